/* Happy path of a connection: AUTH, SELECT, INFO replication, then SCRIPT LOAD
 * of everything (commands) or SUBSCRIBE to the beat's channel (subscriber); the
 * pair says which comes next.
 *
 * Failure modes: an error ends the attempt with the cause that it stands for;
 * an answer of another shape is no Redis. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "link_impl.h"

enum wwri_redis_cause wwri_redis_cause_of(struct wwr_view error,
                                          enum wwri_redis_cause otherwise) {
  switch (wwri_redis_classify(error)) {
    case WWRI_REDIS_UNAVAILABLE:
      return WWRI_CAUSE_UNAVAILABLE;
    case WWRI_REDIS_DEMOTED:
      return WWRI_CAUSE_DEMOTED;
    case WWRI_REDIS_NOSCRIPT:
      return WWRI_CAUSE_SCRIPT;
    case WWRI_REDIS_AUTH:
      return WWRI_CAUSE_AUTH;
    default:
      return otherwise;
  }
}

static void nonsense(struct wwri_redis *link, const char *what) {
  wwri_redis_fault(link, WWRI_CAUSE_PROTOCOL, wwr_view_str(what));
}

static void answered(struct wwri_redis *link, enum wwri_pair_side side,
                     const struct wwri_redis_info *info) {
  struct wwri_pair_input input = {.event = WWRI_PAIR_ANSWERED, .side = side};
  if (info) input.info = *info;
  wwri_redis_feed(link, &input);
}

/* --- Sending ------------------------------------------------------------ */

static wwr_err send_command(struct wwri_redis *link, enum wwri_pair_side side,
                            const struct wwr_view *argv, size_t argc) {
  const struct redis_slot slot = {.kind = SLOT_SETUP};
  wwr_err err = WWR_OK;
  if (side == WWRI_PAIR_COMMANDS) {
    return wwri_redis_push(link, slot, -1, argv, argc, 0);
  }
  struct wwri_buf *out = wwri_redis_out(link, side, &err);
  if (out) err = wwri_resp_command(out, argv, argc);
  /* The only one with an answer of its own that is sent by a hub's link. */
  if (err == WWR_OK) wwri_redis_sent(link, side, WWRI_MUX_SUBSCRIBE, 1);
  return err;
}

static wwr_err send_auth(struct wwri_redis *link, enum wwri_pair_side side) {
  struct wwr_view argv[3] = {wwr_view_str("AUTH")};
  size_t argc = 1;
  if (link->url.user[0]) argv[argc++] = wwr_view_str(link->url.user);
  argv[argc++] = wwr_view_str(link->url.password);
  return send_command(link, side, argv, argc);
}

static wwr_err send_two(struct wwri_redis *link, enum wwri_pair_side side,
                        const char *first, const char *second) {
  const struct wwr_view argv[] = {wwr_view_str(first), wwr_view_str(second)};
  return send_command(link, side, argv, 2);
}

static wwr_err send_select(struct wwri_redis *link, enum wwri_pair_side side) {
  char db[16];
  snprintf(db, sizeof(db), "%u", (unsigned)link->url.db);
  return send_two(link, side, "SELECT", db);
}

static wwr_err send_info(struct wwri_redis *link, enum wwri_pair_side side) {
  const struct wwr_view argv[] = {wwr_view_str("INFO"),
                                  wwr_view_str("replication"),
                                  wwr_view_str("cluster")};
  return send_command(link, side, argv, 3);
}

static wwr_err send_listen(struct wwri_redis *link, enum wwri_pair_side side) {
  link->listening = true;
  return send_two(link, side,
                  wwri_redis_shares(link) ? "SSUBSCRIBE" : "SUBSCRIBE",
                  link->beat_channel);
}

/* The hub's scripts are everybody's; one that it had no memory for is tried
 * again. */
static wwr_err load_by_hub(struct wwri_redis *link) {
  bool loaded = false;
  for (int i = 0; i < link->script_count; i++) {
    struct redis_script *script = &link->scripts[i];
    if (script->number >= 0) continue;
    script->number = wwri_hub_script(link->opts.hub, script->text);
    if (script->number < 0) return WWR_E_NOMEM;
  }
  wwr_err err = wwri_hub_load(&link->port, &loaded);
  if (err == WWR_OK && loaded) wwri_redis_scripts_loaded(link);
  return err;
}

static wwr_err send_loads(struct wwri_redis *link) {
  wwr_err err = WWR_OK;
  link->loads = link->script_count;
  for (int i = 0; i < link->script_count && err == WWR_OK; i++) {
    const struct redis_slot slot = {.kind = SLOT_LOAD, .script = i};
    const struct wwr_view argv[] = {wwr_view_str("SCRIPT"),
                                    wwr_view_str("LOAD"),
                                    wwr_view_str(link->scripts[i].text)};
    err = wwri_redis_push(link, slot, -1, argv, 3, 0);
  }
  return err;
}

void wwri_redis_send_step(struct wwri_redis *link, enum wwri_pair_side side) {
  wwr_err err = WWR_E_INTERNAL;
  if (wwri_redis_shares(link) && side == WWRI_PAIR_SUBSCRIBER &&
      link->pair.side[side].step == WWRI_STEP_INFO) {
    /* It was asked before the trunk's first subscription: it can't be now. */
    answered(link, side, wwri_hub_info(&link->port));
    return;
  }
  switch (link->pair.side[side].step) {
    case WWRI_STEP_AUTH:
      err = send_auth(link, side);
      break;
    case WWRI_STEP_SELECT:
      err = send_select(link, side);
      break;
    case WWRI_STEP_INFO:
      err = send_info(link, side);
      break;
    case WWRI_STEP_LOAD:
      err = wwri_redis_shares(link) ? load_by_hub(link) : send_loads(link);
      break;
    case WWRI_STEP_LISTEN:
      err = send_listen(link, side);
      break;
    default:
      break;
  }
  if (err != WWR_OK) {
    wwri_redis_fault(link, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
  }
}

/* --- Answers ------------------------------------------------------------ */

static void refused(struct wwri_redis *link, enum wwri_pair_step step,
                    struct wwr_view text) {
  enum wwri_redis_cause cause = wwri_redis_cause_of(
      text, step == WWRI_STEP_AUTH ? WWRI_CAUSE_AUTH : WWRI_CAUSE_REFUSED);
  wwri_redis_fault(link, cause, text);
}

static bool is_confirmation(const struct wwri_redis *link,
                            const struct wwri_redis_reply *reply) {
  return wwri_redis_reply_is(
             wwri_redis_reply_at(reply, 0),
             wwri_redis_shares(link) ? "ssubscribe" : "subscribe") &&
         wwri_redis_reply_is(wwri_redis_reply_at(reply, 1), link->beat_channel);
}

void wwri_redis_step_reply(struct wwri_redis *link, enum wwri_pair_side side,
                           const struct wwri_redis_reply *reply) {
  enum wwri_pair_step step = link->pair.side[side].step;
  struct wwri_redis_info info;
  struct wwr_view text = wwri_redis_reply_text(reply);
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    refused(link, step, text);
  } else if (step == WWRI_STEP_INFO) {
    if (!wwri_redis_info_parse(text, &info)) {
      nonsense(link, "INFO replication without role and replication id");
    } else if (info.cluster != wwri_redis_shares(link)) {
      refused(link, step,
              wwr_view_str(info.cluster ? WWRI_REDIS_IS_CLUSTER
                                        : WWRI_REDIS_IS_NO_CLUSTER));
    } else {
      answered(link, side, &info);
    }
  } else if (step == WWRI_STEP_LISTEN) {
    if (!is_confirmation(link, reply)) {
      nonsense(link, "no confirmation of the first subscription");
    } else {
      answered(link, side, NULL);
    }
  } else if (!wwri_redis_reply_is(reply, "OK")) {
    nonsense(link, "an answer to AUTH or SELECT that is not OK");
  } else {
    answered(link, side, NULL);
  }
}

void wwri_redis_scripts_loaded(struct wwri_redis *link) {
  for (int i = 0; i < link->script_count; i++) {
    struct redis_script *script = &link->scripts[i];
    memcpy(script->sha, wwri_hub_sha(link->opts.hub, script->number), SHA_LEN);
  }
  answered(link, WWRI_PAIR_COMMANDS, NULL);
}

static bool is_sha(struct wwr_view text) {
  if (text.len != SHA_LEN) return false;
  for (size_t i = 0; i < SHA_LEN; i++) {
    if (!isxdigit(text.data[i])) return false;
  }
  return true;
}

void wwri_redis_load_reply(struct wwri_redis *link, int script,
                           const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    wwri_redis_fault(link, wwri_redis_cause_of(text, WWRI_CAUSE_SCRIPT), text);
  } else if (!is_sha(text)) {
    nonsense(link, "an answer to SCRIPT LOAD that is no hash");
  } else {
    memcpy(link->scripts[script].sha, text.data, SHA_LEN);
    if (--link->loads == 0) answered(link, WWRI_PAIR_COMMANDS, NULL);
  }
}
