/* member_call.c - the core's commands as scripts, and their replies as the core
 * wants them.
 *
 * Calls are answered in order, so a ring of what was asked is all there is to
 * match them. What the link's end leaves unanswered is not told here: the core
 * hears that the link was lost, which says the same for all of them.
 *
 * What can go wrong: an error of Redis, which is "not now", "never" or "perhaps
 * done"; a reply of another shape, which counts as an error, and is logged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "log.h"
#include "member_impl.h"

enum { LOG_PAUSE_MS = 1000, AGE_ROOM_MS = 60000 };
enum class { CLASS_OK, CLASS_NOT_NOW, CLASS_NEVER, CLASS_PERHAPS };

static void on_done(struct wwri_redis_call *base,
                    const struct wwri_redis_result *result);

wwr_err wwri_member_calls_init(struct wwri_member *member) {
  member->entries = malloc(MEMBER_ENTRIES * sizeof *member->entries);
  member->top_names = malloc(MEMBER_TOP_NAMES);
  member->touches = calloc(MEMBER_TOUCHES, sizeof *member->touches);
  bool good = member->entries && member->top_names && member->touches;
  return good ? WWR_OK : WWR_E_NOMEM;
}

void wwri_member_calls_deinit(struct wwri_member *member) {
  free(member->entries);
  free(member->top_names);
  free(member->touches);
}

/* --- sending --- */

/* Keys and arguments, with the memory that they point to. */
struct command {
  struct wwr_view argv[20];
  size_t argc;
  size_t name_count;
  size_t text_count;
  char names[3][WWRI_KEY_NAME_MAX];
  char texts[12][WWRI_LOGID_TEXT_MAX];
};

/* Not zeroed: it is large, and made for every publish. */
static void begin(struct command *it) {
  it->argc = it->name_count = it->text_count = 0;
}

static void add(struct command *it, struct wwr_view arg) {
  it->argv[it->argc++] = arg;
}

static void add_key(struct command *it, const struct wwri_member *member,
                    const char *kind, struct wwr_view name) {
  add(it, wwri_member_key(member, it->names[it->name_count++], kind, name));
}

static void add_number(struct command *it, uint64_t number) {
  add(it, wwri_write_decimal(number, it->texts[it->text_count++]));
}

static void add_id(struct command *it, struct wwri_logid id) {
  add(it, wwri_write_logid(id, it->texts[it->text_count++]));
}

static void add_boot(struct command *it, struct wwri_boot boot) {
  char *out = it->texts[it->text_count++];
  wwri_write_boot(boot, out);
  add(it, (struct wwr_view){(const uint8_t *)out, WWRI_BOOT_HEX});
}

/* Who writes: what was written to a connection before this one and comes late
 * does nothing. */
static void add_writer(struct command *it, const struct wwri_call *call) {
  add_boot(it, call->boot);
  add_number(it, call->connection);
}

/* Take the next place of the ring and send. The core never has more calls than
 * places; when the link can't take one more, the order is lost with it, so the
 * link goes. */
static void send(struct wwri_member *member, const struct wwri_call *call,
                 int script, const struct wwr_view *argv, size_t argc,
                 size_t keys) {
  unsigned at = (member->call_first + member->call_count) % WWRI_CALLS_MAX;
  struct member_call *slot = &member->calls[at];
  *slot = (struct member_call){.base = {.done = on_done},
                               .member = member,
                               .kind = call->kind,
                               .channel_count = call->channel_count};
  wwr_err err = script < 0
                    ? wwri_redis_call(member->link, &slot->base, argv, argc, 0)
                    : wwri_redis_eval(member->link, &slot->base, script, argv,
                                      argc, keys, 0);
  if (err == WWR_OK) {
    member->call_count++;
  } else if (err != WWR_E_DISCONNECTED) {
    wwri_redis_drop(member->link, "a command could not be queued");
  }
}

static uint64_t expiry_ms(const struct wwri_member *member) {
  return 4 * (uint64_t)member->node.config.touch_ms;
}

static uint64_t publish_expiry_ms(const struct wwri_member *member,
                                  const struct wwri_log_limit *limit) {
  uint64_t least = expiry_ms(member);
  uint64_t age = (uint64_t)limit->age_ms + AGE_ROOM_MS;
  return age > least ? age : least;
}

static uint32_t slot_of(struct wwr_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < name.len; i++) {
    hash = (hash ^ name.data[i]) * 0x100000001b3u;
  }
  return (uint32_t)(hash ^ hash >> 32);
}

/* Whether this publish is to renew the expiry of the channel's keys: the first
 * one, and every quarter of the expiry. Two channels in one slot only renew
 * more often than they must. */
static bool is_touch(struct wwri_member *member,
                     const struct wwri_publish *publish) {
  uint32_t hash = slot_of(publish->channel);
  struct member_touch *it = &member->touches[hash % MEMBER_TOUCHES];
  uint64_t now = member->node.run_ms;
  uint64_t quarter = publish_expiry_ms(member, &publish->limit) / 4;
  if (it->hash == hash && it->age_ms == publish->limit.age_ms &&
      it->generation == member->node.generation && now < it->at_ms + quarter) {
    return false;
  }
  *it = (struct member_touch){.hash = hash,
                              .age_ms = publish->limit.age_ms,
                              .generation = member->node.generation,
                              .at_ms = now};
  return true;
}

static void send_unlogged(struct wwri_member *member,
                          const struct wwri_call *call) {
  const struct wwri_publish *publish = call->publish;
  struct command it;
  begin(&it);
  add(&it, wwri_member_gen_key(member));
  add_key(&it, member, "c", publish->channel);
  add_writer(&it, call);
  add_boot(&it, publish->boot);
  add_number(&it, publish->seq);
  add(&it, publish->data);
  send(member, call, member->scripts.publish_unlogged, it.argv, it.argc, 1);
}

enum { FLAGS_MAX = 4 };

static struct wwr_view write_flags(bool touch,
                                   const struct wwri_publish *publish,
                                   char out[FLAGS_MAX]) {
  size_t len = 0;
  if (touch) out[len++] = 't';
  if (publish->retry) out[len++] = 'r';
  if (publish->deep) out[len++] = 'd';
  if (publish->retry && publish->sure) out[len++] = 'a';
  return (struct wwr_view){(const uint8_t *)out, len};
}

static void send_publish(struct wwri_member *member,
                         const struct wwri_call *call) {
  const struct wwri_publish *publish = call->publish;
  if (publish->limit.entries == 0) {
    send_unlogged(member, call);
    return;
  }
  char flags[FLAGS_MAX];
  struct command it;
  begin(&it);
  add_key(&it, member, "m", publish->channel);
  add_key(&it, member, "l", publish->channel);
  add(&it, wwri_member_gen_key(member));
  add_key(&it, member, "c", publish->channel);
  add_writer(&it, call);
  add_boot(&it, publish->boot);
  add_number(&it, publish->seq);
  add(&it, publish->data);
  add_number(&it, publish->limit.entries);
  add_number(&it, publish->limit.age_ms);
  add_number(&it, publish_expiry_ms(member, &publish->limit));
  add(&it, write_flags(is_touch(member, publish), publish, flags));
  if (publish->retry) {
    add_id(&it, publish->hint);
    add_number(&it, call->since_ms);
  }
  send(member, call, member->scripts.publish, it.argv, it.argc, 3);
}

static void send_open(struct wwri_member *member,
                      const struct wwri_call *call) {
  struct command it;
  begin(&it);
  add_key(&it, member, "m", call->channel);
  add_key(&it, member, "l", call->channel);
  add(&it, wwri_member_gen_key(member));
  add_writer(&it, call);
  add_number(&it, expiry_ms(member));
  add_number(&it, call->count);
  add_number(&it, MEMBER_REPLY_BYTES);
  send(member, call, member->scripts.open, it.argv, it.argc, 3);
}

static void send_range(struct wwri_member *member,
                       const struct wwri_call *call) {
  struct command it;
  begin(&it);
  add_key(&it, member, "l", call->channel);
  add_id(&it, call->from);
  add_number(&it, call->count);
  add_number(&it, MEMBER_REPLY_BYTES);
  send(member, call, member->scripts.range, it.argv, it.argc, 1);
}

/* Up to 512 keys: too much for the stack. */
static void send_tops(struct wwri_member *member,
                      const struct wwri_call *call) {
  char expiry[WWRI_DECIMAL_MAX];
  struct wwr_view *argv = member->top_argv;
  char *at = member->top_names;
  size_t keys = 0;
  for (size_t i = 0; i < call->channel_count; i++) {
    const struct wwri_node_channel *channel = call->channels[i];
    struct wwr_view name = {channel->name, channel->name_len};
    for (int meta = 0; meta <= call->touch; meta++) {
      char key[WWRI_KEY_NAME_MAX];
      struct wwr_view text =
          wwri_member_key(member, key, meta ? "m" : "l", name);
      memcpy(at, text.data, text.len);
      argv[keys++] = (struct wwr_view){(const uint8_t *)at, text.len};
      at += text.len;
    }
  }
  argv[keys] = wwri_write_decimal(expiry_ms(member), expiry);
  int script = call->touch ? member->scripts.tops_touch : member->scripts.tops;
  send(member, call, script, argv, keys + call->touch, keys);
}

void wwri_member_call(struct wwri_node *node, const struct wwri_call *call) {
  struct wwri_member *member = wwri_member_of_node(node);
  switch (call->kind) {
    case WWRI_CALL_PUBLISH:
      send_publish(member, call);
      break;
    case WWRI_CALL_OPEN:
      send_open(member, call);
      break;
    case WWRI_CALL_RANGE:
      send_range(member, call);
      break;
    case WWRI_CALL_TOPS:
      send_tops(member, call);
      break;
  }
}

/* --- answers --- */

void wwri_member_complain(struct wwri_member *member, const char *message,
                          struct wwr_view text) {
  char copy[200];
  uint64_t now = wwri_member_now();
  if (now < member->complained_ms + LOG_PAUSE_MS) return;
  member->complained_ms = now;
  snprintf(copy, sizeof copy, "%.*s",
           (int)(text.len < sizeof copy ? text.len : sizeof copy),
           text.data ? (const char *)text.data : "");
  wwri_log(&member->opts.log, WWR_LOG_ERROR, 0, message, "why", copy,
           MEMBER_SHARD(member), NULL);
}

static const char *const kind_names[] = {"publish", "open", "range", "tops"};

/* An error of a script that was raised in its midst may have done its work. */
static enum class classify(struct wwri_member *member,
                           const struct member_call *call,
                           const struct wwri_redis_result *result) {
  if (result->outcome == WWRI_CALL_OK) return CLASS_OK;
  if (result->outcome == WWRI_CALL_UNAVAILABLE){
      return result->maybe_done ? CLASS_PERHAPS : CLASS_NOT_NOW;}
char message[64];
snprintf(message, sizeof message, "redis refuses to %s",
         kind_names[call->kind]);
wwri_member_complain(member, message, wwri_redis_reply_text(result->reply));
return result->maybe_done ? CLASS_PERHAPS : CLASS_NEVER;
}

static bool read_publish(const struct wwri_redis_reply *reply,
                         struct wwri_reply *out) {
  static const struct {
    const char *word;
    enum wwri_answer answer;
    bool has_id;
  } answers[] = {{"ok", WWRI_ANSWER_OK, true},
                 {"dup", WWRI_ANSWER_DUP, true},
                 {"superseded", WWRI_ANSWER_SUPERSEDED, false},
                 {"wrapped", WWRI_ANSWER_WRAPPED, false}};
  const struct wwri_redis_reply *word = wwri_redis_reply_at(reply, 0);
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    if (!wwri_redis_reply_is(word, answers[i].word)) continue;
    out->answer = answers[i].answer;
    if (!answers[i].has_id || wwri_redis_reply_count(reply) < 2) return true;
    return wwri_read_logid(wwri_redis_reply_text(wwri_redis_reply_at(reply, 1)),
                           &out->pos.id);
  }
  return false;
}

static bool read_open(struct wwri_member *member,
                      const struct wwri_redis_reply *reply,
                      struct wwri_reply *out) {
  bool exists;
  out->entries = member->entries;
  return wwri_read_top(reply, 1, &out->pos, &exists) && exists &&
         wwri_read_entries(wwri_redis_reply_at(reply, 4), true, member->entries,
                           MEMBER_ENTRIES, &out->count);
}

static bool read_range(struct wwri_member *member,
                       const struct wwri_redis_reply *reply,
                       struct wwri_reply *out) {
  out->entries = member->entries;
  out->more = wwri_redis_reply_int(wwri_redis_reply_at(reply, 1)) != 0;
  return wwri_read_entries(wwri_redis_reply_at(reply, 2), false,
                           member->entries, MEMBER_ENTRIES, &out->count);
}

static bool read_tops(struct wwri_member *member, size_t count,
                      const struct wwri_redis_reply *reply,
                      struct wwri_reply *out) {
  out->tops = member->tops;
  for (size_t i = 0; i < count; i++) {
    struct wwri_top *top = &member->tops[i];
    if (!wwri_read_top(reply, 1 + 3 * i, &top->pos, &top->exists)) return false;
  }
  return true;
}

static bool read_reply(struct wwri_member *member,
                       const struct member_call *call,
                       const struct wwri_redis_reply *reply,
                       struct wwri_reply *out) {
  const struct wwri_redis_reply *word = wwri_redis_reply_at(reply, 0);
  if (wwri_redis_reply_is(word, "nogen")) {
    out->status = WWRI_REPLY_NO_GENERATION;
    return true;
  }
  if (call->kind == WWRI_CALL_PUBLISH) return read_publish(reply, out);
  if (!wwri_redis_reply_is(word, "ok")) return false;
  switch (call->kind) {
    case WWRI_CALL_OPEN:
      return read_open(member, reply, out);
    case WWRI_CALL_RANGE:
      return read_range(member, reply, out);
    default:
      return read_tops(member, call->channel_count, reply, out);
  }
}

/* Not the master any more: so it was not when it read what was sent behind
 * this. The link ends itself. */
static bool is_demoted(const struct wwri_redis_result *result) {
  struct wwr_view text = wwri_redis_reply_text(result->reply);
  return wwri_redis_classify(text) == WWRI_REDIS_DEMOTED;
}

/* A publish that was perhaps done ends as unknown; what only reads is asked
 * again. */
static void judge_error(enum class class, enum wwri_call_kind kind,
                        const struct wwri_redis_result *result,
                        struct wwri_reply *out) {
  *out = (struct wwri_reply){.status = WWRI_REPLY_ERROR};
  if (class == CLASS_NOT_NOW) {
    out->status = WWRI_REPLY_REFUSED;
    if (kind != WWRI_CALL_PUBLISH || !is_demoted(result)) return;
    out->status = WWRI_REPLY_OK;
    out->answer = WWRI_ANSWER_DEMOTED;
  } else if (class == CLASS_PERHAPS && kind == WWRI_CALL_PUBLISH) {
    out->status = WWRI_REPLY_OK;
    out->answer = WWRI_ANSWER_WRAPPED;
  }
}

static void on_done(struct wwri_redis_call *base,
                    const struct wwri_redis_result *result) {
  struct member_call call = *WWRI_CONTAINER(base, struct member_call, base);
  struct wwri_member *member = call.member;
  struct wwri_reply reply = {.status = WWRI_REPLY_OK};
  member->call_first = (member->call_first + 1) % WWRI_CALLS_MAX;
  member->call_count--;
  if (!result->reply) return; /* the link ended */
  uint64_t now = wwri_member_enter(member);
  enum class class = classify(member, &call, result);
  if (class == CLASS_OK && !read_reply(member, &call, result->reply, &reply)) {
    wwri_member_complain(member, "an answer of an unknown shape",
                         wwr_view_str(kind_names[call.kind]));
    class = CLASS_PERHAPS;
  }
  if (class != CLASS_OK) judge_error(class, call.kind, result, &reply);
  wwri_node_reply(&member->node, &reply, now);
}
