/* store_calls.c - the keeper's calls as scripts, and what their replies say
 * (session_scripts.h).
 *
 * What can go wrong: an error of Redis is "not now", "perhaps done" or "never";
 * a reply of another shape, or a session that is none, counts as "never", and
 * is logged. */
#include "store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "replies.h"
#include "session.h"
#include "session_scripts.h"

enum {
  CONTROL_ENTRIES = 1000,
  CONTROL_AGE_MS = 600000,
  CONTROL_EXPIRY_MS = 1200000,
  LOG_PAUSE_MS = 1000,
  NUMBERS = 8,
  ARGS = 24,
  NUMBER_MAX = 24
};

void wwri_store_register(struct store *store) {
  static const char *const texts[] = {
      [WWRI_KEEP_CREATE] = wwri_session_script_create,
      [WWRI_KEEP_ATTACH] = wwri_session_script_attach,
      [WWRI_KEEP_LEAVE] = wwri_session_script_leave,
      [WWRI_KEEP_KILL] = wwri_session_script_kill,
      [WWRI_KEEP_TOUCH] = wwri_session_script_touch,
      [WWRI_KEEP_PLACES] = wwri_session_script_places,
      [WWRI_KEEP_SEND] = wwri_session_script_send,
  };
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    store->scripts[i] = wwri_member_script(store->member, texts[i]);
  }
}

void wwri_store_log(struct store *store, const char *message, const char *name,
                    struct wwr_view value) {
  char text[64];
  uint64_t now = wwri_member_now();
  if (store->log_ms && now < store->log_ms + LOG_PAUSE_MS) return;
  store->log_ms = now;
  snprintf(text, sizeof text, "%.*s", (int)(value.len > 63 ? 63 : value.len),
           value.data ? (const char *)value.data : "");
  wwri_log(wwri_member_log(store->member), WWR_LOG_ERROR, 0, message,
           name ? name : "value", text, NULL);
}

/* --- Arguments ---------------------------------------------------------- */

/* Keys, then arguments, with the memory that they point to. */
struct command {
  struct store *store;
  struct wwr_view argv[ARGS];
  size_t argc;
  size_t keys;
  char s[WWRI_KEY_NAME_MAX];
  char names[3][WWRI_KEY_NAME_MAX];
  size_t name_count;
  char numbers[NUMBERS][NUMBER_MAX];
  size_t number_count;
};

static void add(struct command *it, struct wwr_view arg) {
  it->argv[it->argc++] = arg;
}

static void add_text(struct command *it, const char *text) {
  add(it, wwr_view_str(text));
}

static void add_number(struct command *it, uint64_t number) {
  char *text = it->numbers[it->number_count++];
  snprintf(text, NUMBER_MAX, "%" PRIu64, number);
  add_text(it, text);
}

/* An incarnation; empty: whichever. */
static void add_v(struct command *it, uint64_t v) {
  char *text = it->numbers[it->number_count++];
  text[0] = '\0';
  if (v) snprintf(text, NUMBER_MAX, "%016" PRIx64, v);
  add_text(it, text);
}

static void add_max(struct command *it, const struct wwri_keeper_call *call) {
  if (call->max_known) {
    add_number(it, call->max);
  } else {
    add_text(it, "");
  }
}

static void add_name(struct command *it, const char *kind,
                     struct wwr_view name) {
  char *buf = it->names[it->name_count++];
  add(it, wwri_member_key(it->store->member, buf, kind, name));
}

static void begin(struct command *it, struct store *store,
                  const struct wwri_keeper_call *call) {
  it->store = store;
  it->argc = it->name_count = it->number_count = 0;
  add(it, wwri_member_key(store->member, it->s, "s", wwr_view_str(call->id)));
}

static void end_keys(struct command *it) {
  it->keys = it->argc;
}

/* BOOT, CONNECTION, lease. */
static void add_who(struct command *it) {
  struct wwri_member *member = it->store->member;
  add_text(it, wwri_member_boot_hex(member));
  add_number(it, wwri_member_connection(member));
  add_number(it, wwri_member_opts(member)->lease_ms);
}

static void add_gen_and_nodes(struct command *it) {
  add(it, wwri_member_gen_key(it->store->member));
  add(it, wwri_member_nodes_key(it->store->member));
}

static void add_ttl(struct command *it) {
  add_number(it, wwri_member_opts(it->store->member)->session_ttl_ms);
}

static wwr_err submit(struct command *it, struct store_call *call) {
  return wwri_redis_eval(wwri_member_link(it->store->member), &call->redis,
                         it->store->scripts[call->kind], it->argv, it->argc,
                         it->keys, 0);
}

/* --- Each kind ---------------------------------------------------------- */

static wwr_err send_create(struct command *it, struct store_call *to,
                           const struct wwri_keeper_call *call) {
  char *json;
  char looked[NUMBER_MAX];
  size_t len;
  wwr_err err = wwri_session_encode_fixed(call->session, &json, &len);
  if (err) return err;
  snprintf(looked, sizeof looked, "%" PRId64,
           wwr_session_last_lookup(call->session));
  add_gen_and_nodes(it);
  end_keys(it);
  add_who(it);
  add_ttl(it);
  add_v(it, call->v);
  add_number(it, call->count);
  add_max(it, call);
  add(it, (struct wwr_view){(const uint8_t *)json, len});
  add_text(it, looked);
  err = submit(it, to);
  free(json);
  return err;
}

static wwr_err send_attach(struct command *it, struct store_call *to,
                           const struct wwri_keeper_call *call) {
  char look[NUMBER_MAX] = "";
  if (call->look_ns) snprintf(look, sizeof look, "%" PRId64, call->look_ns);
  to->key_len = call->key.len;
  memcpy(to->key, call->key.data, call->key.len);
  add_gen_and_nodes(it);
  end_keys(it);
  add_who(it);
  add_ttl(it);
  add_v(it, call->v);
  add_number(it, call->count);
  add_number(it, call->had);
  add_text(it, call->whole ? "1" : "0");
  add_max(it, call);
  add_text(it, look);
  return submit(it, to);
}

/* LEAVE and KILL: keys and arguments for the notice. */
static void add_control_keys(struct command *it) {
  struct wwr_view control = wwr_view_str("!ctl");
  add_gen_and_nodes(it);
  add_name(it, "m", control);
  add_name(it, "l", control);
  end_keys(it);
}

static wwr_err send_with_notice(struct command *it, struct store_call *to,
                                const struct wwri_keeper_call *call) {
  char limits[3][NUMBER_MAX];
  char seq[NUMBER_MAX];
  struct wwri_buf envelope;
  wwr_err err = wwri_member_encode(&envelope, wwr_view_str("closed"),
                                   wwr_view_str(call->id));
  add_name(it, "c", wwr_view_str("!ctl"));
  add_text(it, it->store->pen);
  snprintf(seq, sizeof seq, "%" PRIu64, ++it->store->pen_seq);
  add_text(it, seq);
  add(it, wwri_buf_view(&envelope));
  snprintf(limits[0], NUMBER_MAX, "%d", CONTROL_ENTRIES);
  snprintf(limits[1], NUMBER_MAX, "%d", CONTROL_AGE_MS);
  snprintf(limits[2], NUMBER_MAX, "%d", CONTROL_EXPIRY_MS);
  for (unsigned i = 0; i < 3; i++) add_text(it, limits[i]);
  if (!err) err = submit(it, to);
  wwri_buf_deinit(&envelope);
  return err;
}

static wwr_err send_leave(struct command *it, struct store_call *to,
                          const struct wwri_keeper_call *call) {
  add_control_keys(it);
  add_who(it);
  add_ttl(it);
  add_v(it, call->v);
  add_number(it, call->count);
  return send_with_notice(it, to, call);
}

static wwr_err send_kill(struct command *it, struct store_call *to,
                         const struct wwri_keeper_call *call) {
  add_control_keys(it);
  add_who(it);
  add_v(it, call->v);
  add_text(it, call->any || call->force ? "1" : "");
  return send_with_notice(it, to, call);
}

static wwr_err send_places(struct command *it, struct store_call *to) {
  static const struct wwr_view empty = {0};
  char prefix[WWRI_KEY_NAME_MAX];
  add(it, wwri_member_nodes_key(it->store->member));
  end_keys(it);
  add_number(it, wwri_member_opts(it->store->member)->lease_ms);
  wwri_member_key(it->store->member, prefix, "node:", empty);
  add_text(it, prefix);
  return submit(it, to);
}

static wwr_err send_bytes(struct command *it, struct store_call *to,
                          const struct wwri_keeper_call *call) {
  static const struct wwr_view empty = {0};
  char prefix[WWRI_KEY_NAME_MAX];
  struct wwri_buf head;
  wwr_err err = wwri_member_encode(&head, wwr_view_str("session"),
                                   wwr_view_str(call->id));
  add(it, wwri_member_nodes_key(it->store->member));
  end_keys(it);
  add_number(it, wwri_member_opts(it->store->member)->lease_ms);
  wwri_member_key(it->store->member, prefix, "n:", empty);
  add_text(it, prefix);
  add(it, wwri_buf_view(&head));
  add(it, call->bytes);
  if (!err) err = submit(it, to);
  wwri_buf_deinit(&head);
  return err;
}

static wwr_err send_touch(struct store *store, struct store_call *to,
                          const struct wwri_keeper_call *call) {
  enum { HEAD = 6, OF_EACH = 3 };
  struct wwr_view argv[HEAD + OF_EACH * WWRI_KEEPER_BATCH];
  char texts[WWRI_KEEPER_BATCH][2][NUMBER_MAX];
  struct command who = {.store = store};
  size_t argc = 0;
  argv[argc++] = wwri_member_gen_key(store->member);
  argv[argc++] = wwri_member_nodes_key(store->member);
  for (size_t i = 0; i < call->touch_count; i++) {
    char name[WWRI_KEY_NAME_MAX];
    struct wwr_view id = wwr_view_str(call->touches[i].id);
    wwri_member_key(store->member, name, "s", id);
    snprintf(store->touch_keys[i], STORE_KEY_NAME, "%s", name);
    argv[argc++] = wwr_view_str(store->touch_keys[i]);
  }
  size_t keys = argc;
  add_who(&who);
  add_ttl(&who);
  for (size_t i = 0; i < who.argc; i++) argv[argc++] = who.argv[i];
  for (size_t i = 0; i < call->touch_count; i++) {
    const struct wwri_keeper_touch *touch = &call->touches[i];
    texts[i][0][0] = '\0';
    if (touch->v) snprintf(texts[i][0], NUMBER_MAX, "%016" PRIx64, touch->v);
    snprintf(texts[i][1], NUMBER_MAX, "%" PRIu32, touch->count);
    argv[argc++] = wwr_view_str(texts[i][0]);
    argv[argc++] = wwr_view_str(texts[i][1]);
  }
  to->touches = call->touch_count;
  return wwri_redis_eval(wwri_member_link(store->member), &to->redis,
                         store->scripts[WWRI_KEEP_TOUCH], argv, argc, keys, 0);
}

static wwr_err send(struct store *store, struct store_call *to,
                    const struct wwri_keeper_call *call) {
  struct command it;
  if (call->kind == WWRI_KEEP_TOUCH) return send_touch(store, to, call);
  begin(&it, store, call);
  switch (call->kind) {
    case WWRI_KEEP_CREATE:
      return send_create(&it, to, call);
    case WWRI_KEEP_ATTACH:
      return send_attach(&it, to, call);
    case WWRI_KEEP_LEAVE:
      return send_leave(&it, to, call);
    case WWRI_KEEP_KILL:
      return send_kill(&it, to, call);
    case WWRI_KEEP_PLACES:
      return send_places(&it, to);
    default:
      return send_bytes(&it, to, call);
  }
}

/* --- Replies ------------------------------------------------------------ */

static const struct wwri_redis_reply *at(const struct wwri_redis_reply *reply,
                                         size_t index) {
  return wwri_redis_reply_at(reply, index);
}

static struct wwr_view text_at(const struct wwri_redis_reply *reply,
                               size_t index) {
  return wwri_redis_reply_text(at(reply, index));
}

static bool read_v(struct wwr_view text, uint64_t *out) {
  char copy[STORE_V + 1];
  char *end;
  if (text.len != STORE_V) return false;
  memcpy(copy, text.data, STORE_V);
  copy[STORE_V] = '\0';
  *out = strtoull(copy, &end, 16);
  return end == copy + STORE_V && *out != 0;
}

static bool read_time(struct wwr_view text, int64_t *out) {
  char copy[NUMBER_MAX];
  char *end;
  if (text.len == 0 || text.len >= sizeof copy) return false;
  memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  *out = strtoll(copy, &end, 10);
  return *end == '\0';
}

/* The session as it is there, its look-up the previous one. */
static wwr_err make_session(const struct store_call *call, struct wwr_view json,
                            struct wwr_view looked, struct wwr_session **out) {
  struct wwr_view key = {call->key, call->key_len};
  struct wwr_session *session;
  int64_t looked_ns;
  wwr_err err = wwri_session_decode(json, key, &session);
  if (err) return err;
  if (!read_time(looked, &looked_ns)) {
    *out = session;
    return WWR_OK;
  }
  err = wwri_session_looked_up(session, looked_ns, out);
  wwr_session_unref(session);
  return err;
}

static const struct {
  const char *text;
  enum wwri_keeper_word word;
} words[] = {
    {"ok", WWRI_WORD_OK},
    {"missing", WWRI_WORD_MISSING},
    {"closed", WWRI_WORD_CLOSED},
    {"taken", WWRI_WORD_TAKEN},
    {"full", WWRI_WORD_FULL},
    {"last", WWRI_WORD_LAST},
    {"nobody", WWRI_WORD_NOBODY},
    {"fenced", WWRI_WORD_UNAVAILABLE},
    {"nogen", WWRI_WORD_UNAVAILABLE},
};

static bool read_word(const struct wwri_redis_reply *reply,
                      enum wwri_keeper_word *out) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (!wwri_redis_reply_is(at(reply, 0), words[i].text)) continue;
    *out = words[i].word;
    return true;
  }
  return false;
}

static wwr_err read_attached(const struct store_call *call,
                             const struct wwri_redis_reply *reply,
                             struct wwri_keeper_answer *answer) {
  int64_t count = wwri_redis_reply_int(at(reply, 2));
  if (!read_v(text_at(reply, 1), &answer->v) || count < 0 ||
      count > UINT32_MAX) {
    return WWR_E_INVALID;
  }
  answer->count = (uint32_t)count;
  return make_session(call, text_at(reply, 3), text_at(reply, 4),
                      &answer->session);
}

static wwr_err read_touched(struct store *store, const struct store_call *call,
                            const struct wwri_redis_reply *reply,
                            struct wwri_keeper_answer *answer) {
  memset(store->gone, 0, sizeof store->gone);
  for (size_t i = 1; i < wwri_redis_reply_count(reply); i++) {
    int64_t number = wwri_redis_reply_int(at(reply, i));
    if (number < 1 || (uint64_t)number > call->touches) return WWR_E_INVALID;
    store->gone[number - 1] = true;
  }
  answer->gone = store->gone;
  return WWR_OK;
}

/* Texts of a reply end in a NUL. */
static wwr_err read_places(struct store *store,
                           const struct wwri_redis_reply *reply,
                           struct wwri_keeper_answer *answer) {
  size_t count = (wwri_redis_reply_count(reply) - 1) / 2;
  if (count > store->place_cap) {
    void *list = realloc(store->place_list, count * sizeof *store->place_list);
    if (!list) return WWR_E_NOMEM;
    store->place_list = list;
    store->place_cap = count;
  }
  for (size_t i = 0; i < count; i++) {
    int64_t connections;
    if (!read_time(text_at(reply, 2 * i + 2), &connections) ||
        connections < 1 || connections > UINT32_MAX) {
      return WWR_E_INVALID;
    }
    store->place_list[i].node = (const char *)text_at(reply, 2 * i + 1).data;
    store->place_list[i].count = (uint32_t)connections;
  }
  answer->places = store->place_list;
  answer->place_count = count;
  return WWR_OK;
}

/* Not WWR_OK: it is no answer of ours, or no session is in it. */
static wwr_err read_reply(struct store *store, const struct store_call *call,
                          const struct wwri_redis_reply *reply,
                          struct wwri_keeper_answer *answer) {
  if (!read_word(reply, &answer->word)) return WWR_E_INVALID;
  bool ok = answer->word == WWRI_WORD_OK || answer->word == WWRI_WORD_LAST;
  if (!ok) return WWR_OK;
  switch (call->kind) {
    case WWRI_KEEP_ATTACH:
      return read_attached(call, reply, answer);
    case WWRI_KEEP_LEAVE:
    case WWRI_KEEP_KILL:
      return read_v(text_at(reply, 1), &answer->v) ? WWR_OK : WWR_E_INVALID;
    case WWRI_KEEP_TOUCH:
      return read_touched(store, call, reply, answer);
    case WWRI_KEEP_PLACES:
      return read_places(store, reply, answer);
    default:
      return WWR_OK;
  }
}

static void read_result(struct store *store, const struct store_call *call,
                        const struct wwri_redis_result *result,
                        struct wwri_keeper_answer *answer) {
  wwr_err err = WWR_E_INVALID;
  if (result->outcome == WWRI_CALL_OK) {
    err = read_reply(store, call, result->reply, answer);
    if (err == WWR_OK) return;
    wwri_store_log(store, "garbage among the sessions", "reply",
                   text_at(result->reply, 0));
  } else if (result->outcome != WWRI_CALL_ERROR) {
    answer->word =
        result->maybe_done ? WWRI_WORD_UNKNOWN : WWRI_WORD_UNAVAILABLE;
    return;
  } else {
    wwri_store_log(store, "garbage among the sessions", "error",
                   wwri_redis_reply_text(result->reply));
  }
  answer->word = WWRI_WORD_ERROR;
  answer->err = err == WWR_E_NOMEM ? WWR_E_NOMEM : WWR_E_INTERNAL;
}

static void on_done(struct wwri_redis_call *base,
                    const struct wwri_redis_result *result) {
  struct store_call *call = WWRI_CONTAINER(base, struct store_call, redis);
  struct store *store = call->store;
  struct wwri_keeper_answer answer = {0};
  unsigned slot = (unsigned)(call - store->calls);
  read_result(store, call, result, &answer);
  wwri_keeper_answered(store->keeper, slot, &answer, wwri_member_now());
  wwr_session_unref(answer.session);
  wwri_store_run(store);
}

void wwri_store_call(struct wwri_keeper *keeper,
                     const struct wwri_keeper_call *call) {
  struct store *store = wwri_keeper_user(keeper);
  struct store_call *to = &store->calls[call->slot];
  *to = (struct store_call){
      .redis = {.done = on_done}, .store = store, .kind = call->kind};
  if (send(store, to, call) != WWR_OK) {
    store->failed[store->failed_count++] = call->slot;
  }
}

void wwri_store_cancel_calls(struct store *store) {
  for (unsigned i = 0; i < WWRI_KEEPER_CALLS; i++) {
    wwri_redis_cancel(&store->calls[i].redis);
  }
}
