/* Happy path: the request's name is cut into its verb and the channel -> the
 * channel's name is looked at -> the verb's function permits, asks the server,
 * and answers when that has answered.
 *
 * Failure modes: RATE_LIMITED, NO_SUCH_REQUEST, BAD_CHANNEL, NOT_PERMITTED,
 * SIGN_IN_FIRST, and what the functions say. A signal has no answer: what is
 * wrong with it, and what it is when it is no pub:CHANNEL, is left alone. */
#include <string.h>

#include "webwired.h"

/* --- Answers -------------------------------------------------------------- */

void webwired_fail(struct wwr_request *request, wwr_err err, bool certain) {
  switch (err) {
    case WWR_E_INVALID:
      wwr_request_fail(request, "BAD_CHANNEL", "no name of a channel");
      break;
    case WWR_E_LIMIT:
    case WWR_E_UNAVAILABLE:
    case WWR_E_CLOSED:
      wwr_request_fail(request, "UNAVAILABLE",
                       certain ? "not available now; certain: nothing happened"
                               : "not available now; uncertain: it may have "
                                 "happened, or may yet");
      break;
    case WWR_E_REFUSED:
      wwr_request_fail(request, "NOT_PERMITTED", "the cluster does not permit");
      break;
    case WWR_E_BUFFER_OVERFLOW:
    case WWR_E_PROTOCOL:
      wwr_request_fail(request, "BAD_REQUEST", wwr_err_text(err));
      break;
    default:
      wwr_request_fail_internal(request, wwr_err_text(err));
  }
}

void webwired_done(struct wwr_request *request) {
  const struct wwr_payload reply = wwr_payload_text("{}");
  wwr_request_reply(request, &reply);
}

/* --- Who may -------------------------------------------------------------- */

/* The info field that a permission looks at, as JSON, or NULL. False without
 * memory. */
static bool read_field(const struct wwr_session *session, const char *name,
                       char **out) {
  return wwr_session_field(session, name, out) != WWR_E_NOMEM;
}

static enum permit_verdict decide_by_info(const struct permit *permit,
                                          const struct wwr_conn *conn,
                                          struct wwr_view channel) {
  char *field = NULL;
  struct wwr_session *session = wwr_conn_session(conn);
  if (!session) return PERMIT_SIGN_IN;
  enum permit_verdict verdict = PERMIT_FAILED;
  if (read_field(session, permit->field, &field))
    verdict = permit_decide(permit, true, field, channel);
  wwr_free(field);
  wwr_session_unref(session);
  return verdict;
}

static enum permit_verdict decide(const struct policy *policy,
                                  const struct wwr_conn *conn,
                                  struct wwr_view channel, int action) {
  const struct permit *permit =
      &policy_namespace(policy, channel)->permits[action];
  if (permit_needs_field(permit)) return decide_by_info(permit, conn, channel);
  bool session = permit->kind == PERMIT_SESSION && wwr_conn_has_session(conn);
  return permit_decide(permit, session, NULL, channel);
}

static enum permit_verdict permitted(struct webwired *webwired,
                                     const struct wwr_conn *conn,
                                     struct wwr_view channel, int action) {
  pthread_rwlock_rdlock(&webwired->lock);
  enum permit_verdict verdict = decide(webwired->policy, conn, channel, action);
  pthread_rwlock_unlock(&webwired->lock);
  return verdict;
}

bool webwired_may(const struct webwired_call *call, int action) {
  switch (permitted(call->webwired, call->conn, call->channel, action)) {
    case PERMIT_YES:
      return true;
    case PERMIT_NO:
      wwr_request_fail(call->request, "NOT_PERMITTED", "not in this channel");
      break;
    case PERMIT_SIGN_IN:
      wwr_request_fail(call->request, "SIGN_IN_FIRST", "this needs a session");
      break;
    case PERMIT_FAILED:
      webwired_fail(call->request, WWR_E_NOMEM, true);
      break;
  }
  return false;
}

static bool name_ok(struct webwired *webwired, struct wwr_view channel) {
  pthread_rwlock_rdlock(&webwired->lock);
  bool good = policy_name_ok(webwired->policy, channel);
  pthread_rwlock_unlock(&webwired->lock);
  return good;
}

/* --- Channels ------------------------------------------------------------- */

/* first_policy never changes. */
struct webwired_channel webwired_channel(struct webwired *webwired,
                                         struct wwr_view channel) {
  const struct namespace *namespace =
      policy_namespace(webwired->first_policy, channel);
  return (struct webwired_channel){namespace->log_entries > 0,
                                   namespace->presence};
}

void webwired_on_channel(struct wwr_view channel, struct wwr_channel_opts *opts,
                         void *user_data) {
  const struct webwired *webwired = user_data;
  const struct namespace *namespace =
      policy_namespace(webwired->first_policy, channel);
  opts->logged = namespace->log_entries > 0;
  if (opts->logged) opts->log_entries = namespace->log_entries;
  opts->log_age_ms = namespace->log_age_ms;
  opts->presence = namespace->presence;
  opts->gap_signals = true;
}

/* --- Rates ---------------------------------------------------------------- */

bool webwired_on_upgrade(struct wwr_http *http, void *user_data) {
  const struct webwired *webwired = user_data;
  return guard_upgrade(webwired->guard, http);
}

static bool within_rates(const struct webwired *webwired,
                         const struct wwr_conn *conn,
                         const struct wwr_message *message) {
  return guard_admit(webwired->guard, conn,
                     message->name.len + message->payload.data.len);
}

/* --- Requests ------------------------------------------------------------- */

struct verb {
  const char *name; /* with its colon when a channel follows */
  size_t len;
  bool channel;
  void (*run)(const struct webwired_call *call);
};

#define VERB(text, function) \
  { text, sizeof(text) - 1, text[sizeof(text) - 2] == ':', function }
/* The busiest first. */
static const struct verb verbs[] = {
    VERB("pub:", webwired_publish),       VERB("sub:", webwired_subscribe),
    VERB("unsub:", webwired_unsubscribe), VERB("history:", webwired_history),
    VERB("presence:", webwired_presence), VERB("auth", webwired_sign_in),
    VERB("signout", webwired_sign_out)};
#undef VERB

static const struct verb *find_verb(struct wwr_view name) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    const struct verb *verb = &verbs[i];
    bool fits = verb->channel ? name.len >= verb->len : name.len == verb->len;
    if (fits && memcmp(name.data, verb->name, verb->len) == 0) return verb;
  }
  return NULL;
}

void webwired_on_request(struct wwr_conn *conn, struct wwr_request *request,
                         const struct wwr_message *message, void *user_data) {
  struct webwired *webwired = user_data;
  struct wwr_view name = message->name;
  const struct verb *verb = find_verb(name);
  if (!within_rates(webwired, conn, message)) {
    wwr_request_fail(request, "RATE_LIMITED", "too much, too fast");
    return;
  }
  if (!verb) {
    wwr_request_fail(request, "NO_SUCH_REQUEST",
                     "sub:, unsub:, pub:, history:, presence: and a channel, "
                     "auth, signout");
    return;
  }
  const struct webwired_call call = {
      .webwired = webwired,
      .conn = conn,
      .request = request,
      .channel = {name.data + verb->len, name.len - verb->len},
      .payload = &message->payload};
  if (verb->channel && !name_ok(webwired, call.channel)) {
    wwr_request_fail(request, "BAD_CHANNEL", "no name of a channel");
    return;
  }
  verb->run(&call);
}

/* --- Signals -------------------------------------------------------------- */

void webwired_on_signal(struct wwr_conn *conn,
                        const struct wwr_message *message, void *user_data) {
  struct webwired *webwired = user_data;
  struct wwr_view name = message->name;
  const struct verb *publish = &verbs[0];
  if (!within_rates(webwired, conn, message)) return;
  if (find_verb(name) != publish) return;
  struct wwr_view channel = {name.data + publish->len, name.len - publish->len};
  if (!name_ok(webwired, channel)) return;
  if (permitted(webwired, conn, channel, POLICY_PUBLISH) != PERMIT_YES) return;
  /* Nobody waits for an answer; what fails is counted by the server. */
  if (wwr_server_publish(webwired->server, channel, channel, &message->payload,
                         NULL, NULL, NULL) != WWR_OK)
    return;
}
