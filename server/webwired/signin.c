/* Signing in: the token is looked at -> a session with what it says is created,
 * of which the client is told -> when it is stored, the reply is its info. Who
 * is signed in brings a newer token: his connection leaves the old session for
 * one that lasts longer.
 *
 * Signing out closes the session wherever it is, each of its connections is
 * told, and then the reply is "{}", as it is without a session. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "webwired.h"

/* --- Coming --------------------------------------------------------------- */

static void on_created(struct wwr_conn *conn, wwr_err err, void *user_data) {
  struct wwr_request *request = user_data;
  struct wwr_session *session = err ? NULL : wwr_conn_session(conn);
  if (!session) {
    wwr_request_fail_internal(request, "the session is gone already");
    return;
  }
  const char *info = wwr_session_info(session);
  const struct wwr_payload reply = wwr_payload_text(info ? info : "{}");
  wwr_request_reply(request, &reply);
  wwr_session_unref(session);
}

/* The same user, and a session that ends by itself. */
static bool is_newer(const struct wwr_session *session, const char *info) {
  char *name = NULL;
  json_t *json = json_loads(info, 0, NULL);
  const char *new_name = json_string_value(json_object_get(json, "username"));
  bool good = json_object_get(json, TOKEN_ENDS) && new_name &&
              wwr_session_field_text(session, "username", &name) == WWR_OK &&
              strcmp(name, new_name) == 0;
  wwr_free(name);
  json_decref(json);
  return good;
}

/* Leave the session for one with this info. */
static wwr_err renew(const struct webwired_call *call, const char *info) {
  struct wwr_session *session = wwr_conn_session(call->conn);
  bool newer = session && is_newer(session, info);
  wwr_session_unref(session);
  if (!newer) return WWR_E_SESSION_ACTIVE;
  wwr_err err = wwr_conn_close_session(call->conn, NULL, NULL);
  if (err != WWR_OK) return err;
  return wwr_conn_create_session(call->conn, info, on_created, call->request);
}

static void create(const struct webwired_call *call, const char *info) {
  wwr_err err =
      wwr_conn_create_session(call->conn, info, on_created, call->request);
  if (err == WWR_E_SESSION_ACTIVE) err = renew(call, info);
  if (err == WWR_OK) return;
  if (err == WWR_E_SESSION_ACTIVE) {
    wwr_request_fail(call->request, "BAD_REQUEST",
                     "signed in already; signout comes first");
  } else {
    webwired_fail(call->request, err, true);
  }
}

static enum auth_verdict look_at(const struct webwired_call *call,
                                 struct wwr_view token, char **info,
                                 char why[AUTH_REASON_MAX]) {
  struct webwired *webwired = call->webwired;
  pthread_rwlock_rdlock(&webwired->lock);
  enum auth_verdict verdict =
      auth_check(webwired->auth, token, (int64_t)time(NULL), info, why);
  pthread_rwlock_unlock(&webwired->lock);
  atomic_fetch_add(&webwired->sign_ins[verdict], 1);
  return verdict;
}

static void sign_in(const struct webwired_call *call, struct wwr_view token) {
  static const char *const codes[] = {
      [AUTH_BAD] = "BAD_TOKEN", [AUTH_EXPIRED] = "EXPIRED_TOKEN"};
  char *info = NULL, why[AUTH_REASON_MAX];
  enum auth_verdict verdict = look_at(call, token, &info, why);
  if (verdict == AUTH_GOOD) {
    create(call, info);
  } else if (verdict == AUTH_FAILED) {
    webwired_fail(call->request, WWR_E_NOMEM, true);
  } else if (verdict == AUTH_OFF) {
    wwr_request_fail(call->request, "NO_SUCH_REQUEST",
                     "nobody signs in on this server");
  } else {
    wwr_request_fail(call->request, codes[verdict], why);
  }
  free(info);
}

int64_t webwired_on_session(const struct wwr_session *session,
                            void *user_data) {
  (void)user_data;
  return auth_session_end(session);
}

void webwired_sign_in(const struct webwired_call *call) {
  char *text;
  size_t len;
  if (!guard_admit_sign_in(call->webwired->guard, call->conn)) {
    wwr_request_fail(call->request, "RATE_LIMITED", "too many tokens");
    return;
  }
  wwr_err err = wwr_payload_to_utf8(call->payload, &text, &len);
  if (err != WWR_OK) {
    webwired_fail(call->request, err, true);
    return;
  }
  sign_in(call, (struct wwr_view){(const uint8_t *)text, len});
  wwr_free(text);
}

/* --- Going ---------------------------------------------------------------- */

static void on_signed_out(const struct wwr_close_result *results, size_t count,
                          void *user_data) {
  struct wwr_request *request = user_data;
  wwr_err err = count > 0 ? results[count - 1].err : WWR_OK;
  if (err == WWR_OK) {
    webwired_done(request);
  } else if (err == WWR_E_UNAVAILABLE) {
    wwr_request_fail(
        request, "UNAVAILABLE",
        "signed out here; other nodes follow when they can be reached");
  } else {
    webwired_fail(request, err, false);
  }
}

void webwired_sign_out(const struct webwired_call *call) {
  struct wwr_session *session = wwr_conn_session(call->conn);
  if (!session) {
    webwired_done(call->request);
    return;
  }
  wwr_err err = wwr_server_close_session(call->webwired->server,
                                         wwr_view_str(wwr_session_key(session)),
                                         on_signed_out, call->request);
  wwr_session_unref(session);
  if (err != WWR_OK) webwired_fail(call->request, err, true);
}
