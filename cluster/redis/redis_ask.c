/* redis_ask.c - questions that are one script each: history, members, nodes,
 * bytes for one node.
 *
 * Happy path: the link is live, the script is sent, its reply is the result.
 *
 * What can go wrong: the link is not live, or "not now": it is asked again,
 * until the hold time is over. Bytes for a node are sent at most once: when
 * they may have left, they are not sent again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_bus.h"

enum { RETRY_MS = 100, NODES_MAX = 1000, MEMBERS_MAX = 10000, NODE_FIELDS = 8 };

static void on_done(struct wwri_redis_call *call,
                    const struct wwri_redis_result *result);

static bool is_ask(const struct wwri_bus_op *op) {
  return op->kind == BUS_HISTORY || op->kind == BUS_PRESENCE_LIST ||
         op->kind == BUS_SUBSCRIBERS || op->kind == BUS_NODES ||
         op->kind == BUS_SEND;
}

/* --- asking --- */

struct question {
  int script;
  struct wwr_view argv[8];
  size_t argc;
  size_t keys;
  char names[3][WWRI_KEY_NAME_MAX + 1];
  char texts[3][WWRI_LOGID_TEXT_MAX]; /* or a boot id */
};

static void add(struct question *it, struct wwr_view arg) {
  it->argv[it->argc++] = arg;
}

static void add_number(struct question *it, int at, uint64_t number) {
  snprintf(it->texts[at], sizeof it->texts[at], "%" PRIu64, number);
  add(it, wwr_view_str(it->texts[at]));
}

/* What a key begins with, its colon included. */
static void add_head(struct question *it, const struct redis_bus *bus,
                     const char *kind, struct wwr_view name) {
  struct wwr_view key = wwri_member_key(bus->member, it->names[0], kind, name);
  it->names[0][key.len] = ':';
  key.len++;
  add(it, key);
}

static void make_history(struct question *it, const struct redis_bus *bus,
                         const struct wwri_bus_op *op) {
  struct wwr_view channel = bus_work_of((struct wwri_bus_op *)op)->channel;
  it->script = bus->scripts.history;
  add(it, wwri_member_key(bus->member, it->names[1], "m", channel));
  add(it, wwri_member_key(bus->member, it->names[2], "l", channel));
  it->keys = it->argc;
  add_number(it, 0, op->count);
  add_number(it, 1, MEMBER_REPLY_BYTES);
  struct wwr_view before = {0};
  if (!wwri_logid_none(op->before)) {
    before = wwri_write_logid(op->before, it->texts[2]);
  }
  add(it, before);
}

static void make_members(struct question *it, const struct redis_bus *bus,
                         const struct wwri_bus_op *op) {
  struct wwr_view channel = bus_work_of((struct wwri_bus_op *)op)->channel;
  it->script = bus->scripts.presence_list;
  add(it, wwri_member_nodes_key(bus->member));
  add(it, wwri_member_key(bus->member, it->names[1], "pi", channel));
  it->keys = it->argc;
  add_head(it, bus, "pr", channel);
  add_number(it, 0, wwri_member_opts(bus->member)->lease_ms);
  add_number(it, 1, op->kind == BUS_PRESENCE_LIST ? MEMBERS_MAX : 0);
}

static void make_nodes(struct question *it, const struct redis_bus *bus) {
  struct wwr_view none = {0};
  it->script = bus->scripts.nodes;
  add(it, wwri_member_nodes_key(bus->member));
  it->keys = it->argc;
  add_head(it, bus, "node", none);
  add_number(it, 0, wwri_member_opts(bus->member)->lease_ms);
  add_number(it, 1, NODES_MAX);
}

static void make_send(struct question *it, const struct redis_bus *bus,
                      const struct bus_work *work) {
  char *boot = it->texts[1];
  wwri_write_boot(work->u.ask.node, boot);
  it->script = bus->scripts.direct;
  add(it, wwri_member_nodes_key(bus->member));
  it->keys = it->argc;
  add_number(it, 0, wwri_member_opts(bus->member)->lease_ms);
  add(it, wwr_view_str(boot));
  add(it, wwri_member_key(bus->member, it->names[0], "n", wwr_view_str(boot)));
  add(it, work->u.ask.data);
}

/* False: not now. */
static bool send(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  struct question it;
  it.argc = it.keys = 0;
  switch ((enum bus_kind)op->kind) {
    case BUS_HISTORY:
      make_history(&it, bus, op);
      break;
    case BUS_NODES:
      make_nodes(&it, bus);
      break;
    case BUS_SEND:
      make_send(&it, bus, work);
      break;
    default:
      make_members(&it, bus, op);
      break;
  }
  work->u.ask.call = (struct wwri_redis_call){.done = on_done};
  return wwri_redis_eval(wwri_member_link(bus->member), &work->u.ask.call,
                         it.script, it.argv, it.argc, it.keys, 0) == WWR_OK;
}

static void retry_later(struct redis_bus *bus) {
  wwri_loop_timer_set(wwri_member_loop(bus->member), &bus->retry_timer,
                      RETRY_MS);
}

void wwri_rbus_ask(struct redis_bus *bus, struct wwri_bus_op *op) {
  wwri_rbus_wait(bus, op);
  if (wwri_member_is_live(bus->member) && !send(bus, op)) retry_later(bus);
}

void wwri_rbus_asks_live(struct redis_bus *bus) {
  if (!wwri_member_is_live(bus->member)) return;
  for (struct wwri_list *at = bus->open.next; at != &bus->open; at = at->next) {
    struct wwri_bus_op *op = WWRI_CONTAINER(at, struct wwri_bus_op, node);
    if (!is_ask(op) || bus_work_of(op)->u.ask.call.link) continue;
    if (!send(bus, op)) {
      retry_later(bus);
      return;
    }
  }
}

static void on_retry(struct wwri_timer *timer) {
  wwri_rbus_asks_live(WWRI_CONTAINER(timer, struct redis_bus, retry_timer));
}

void wwri_rbus_asks_init(struct redis_bus *bus) {
  bus->scripts.direct = wwri_member_script(bus->member, wwri_script_direct);
  bus->scripts.history = wwri_member_script(bus->member, wwri_script_history);
  bus->scripts.nodes = wwri_member_script(bus->member, wwri_script_nodes);
  bus->scripts.presence_list =
      wwri_member_script(bus->member, wwri_script_presence_list);
  wwri_timer_init(&bus->retry_timer, on_retry);
}

/* What is under way may still be carried out. */
void wwri_rbus_ask_expired(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  bool under_way = work->u.ask.call.link != NULL;
  wwri_redis_cancel(&work->u.ask.call);
  wwri_rbus_fail(bus, op, WWR_E_UNAVAILABLE,
                 op->kind != BUS_SEND || !under_way);
}

/* --- answers --- */

static struct wwr_view text_at(const struct wwri_redis_reply *reply,
                               size_t index) {
  return wwri_redis_reply_text(wwri_redis_reply_at(reply, index));
}

static bool end_history(struct redis_bus *bus, struct wwri_bus_op *op,
                        const struct wwri_redis_reply *reply) {
  struct wwri_entry *entries = bus->member->entries;
  struct wwri_bus_result result = {.err = WWR_OK};
  struct wwri_pos top;
  bool exists;
  size_t count;
  if (!wwri_read_top(reply, 1, &top, &exists) ||
      !wwri_read_entries(wwri_redis_reply_at(reply, 4), true, entries,
                         MEMBER_ENTRIES, &count)) {
    return false;
  }
  result.id = top.id;
  result.message_count = wwri_rbus_read_messages(bus, entries, count);
  result.messages = bus->messages;
  wwri_rbus_end(bus, op, &result);
  return true;
}

static bool end_subscribers(struct redis_bus *bus, struct wwri_bus_op *op,
                            const struct wwri_redis_reply *reply) {
  struct wwri_bus_result result = {.err = WWR_OK};
  int64_t sum = wwri_redis_reply_int(wwri_redis_reply_at(reply, 1));
  if (sum < 0 || wwri_redis_reply_count(reply) < 3) return false;
  result.connections = (uint64_t)sum;
  wwri_rbus_end(bus, op, &result);
  return true;
}

static bool read_member(const struct wwri_redis_reply *reply, size_t at,
                        struct wwri_bus_member *out) {
  int64_t count = wwri_redis_reply_int(wwri_redis_reply_at(reply, at + 1));
  if (count < 0) return false;
  out->member = text_at(reply, at);
  out->connections = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
  out->info = text_at(reply, at + 2);
  return true;
}

static bool end_members(struct redis_bus *bus, struct wwri_bus_op *op,
                        const struct wwri_redis_reply *reply) {
  size_t elements = wwri_redis_reply_count(reply);
  int64_t sum = wwri_redis_reply_int(wwri_redis_reply_at(reply, 1));
  struct wwri_bus_result result = {.connections = (uint64_t)sum};
  if (sum < 0 || elements < 3 || elements % 3) return false;
  size_t count = elements / 3 - 1;
  struct wwri_bus_member *members = malloc((count + 1) * sizeof *members);
  if (!members) {
    wwri_rbus_fail(bus, op, WWR_E_NOMEM, true);
    return true;
  }
  bool good = true;
  for (size_t i = 0; i < count && good; i++) {
    good = read_member(reply, 3 * (i + 1), &members[i]);
  }
  result.members = members;
  result.member_count = count;
  if (good) wwri_rbus_end(bus, op, &result);
  free(members);
  return good;
}

/* Copy a text behind the nodes, with a NUL. */
static const char *keep_text(char **at, struct wwr_view text) {
  char *copy = *at;
  if (text.len) memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  *at += text.len + 1;
  return copy;
}

static bool read_node(const struct wwri_redis_reply *reply, size_t at,
                      char **texts, struct wwri_bus_node *out) {
  int64_t age = wwri_redis_reply_int(wwri_redis_reply_at(reply, at + 1));
  *out = (struct wwri_bus_node){.beat_age_ms = age > 0 ? (uint64_t)age : 0};
  if (!wwri_read_boot(text_at(reply, at), &out->boot)) return false;
  out->name = keep_text(texts, text_at(reply, at + 2));
  out->address = keep_text(texts, text_at(reply, at + 3));
  out->version = keep_text(texts, text_at(reply, at + 4));
  /* Lost until its next beat: 0. */
  wwri_read_number(text_at(reply, at + 5), &out->started_ms);
  wwri_read_number(text_at(reply, at + 6), &out->connections);
  out->draining =
      text_at(reply, at + 7).len == 1 && text_at(reply, at + 7).data[0] == '1';
  return true;
}

static void ours_first(struct wwri_boot boot, struct wwri_bus_node *nodes,
                       size_t count) {
  for (size_t i = 1; i < count; i++) {
    if (!wwri_boot_equal(nodes[i].boot, boot)) continue;
    struct wwri_bus_node ours = nodes[i];
    memmove(nodes + 1, nodes, i * sizeof *nodes);
    nodes[0] = ours;
  }
}

static bool end_nodes(struct redis_bus *bus, struct wwri_bus_op *op,
                      const struct wwri_redis_reply *reply) {
  size_t elements = wwri_redis_reply_count(reply), bytes = 0;
  size_t count = elements / NODE_FIELDS;
  if (elements % NODE_FIELDS != 1) return false;
  for (size_t i = 1; i < elements; i++) bytes += text_at(reply, i).len + 1;
  struct wwri_bus_node *nodes = malloc((count + 1) * sizeof *nodes + bytes);
  if (!nodes) {
    wwri_rbus_fail(bus, op, WWR_E_NOMEM, true);
    return true;
  }
  char *texts = (char *)(nodes + count + 1);
  bool good = true;
  for (size_t i = 0; i < count && good; i++) {
    good = read_node(reply, 1 + NODE_FIELDS * i, &texts, &nodes[i]);
  }
  if (good) {
    ours_first(bus->member->node.boot, nodes, count);
    struct wwri_bus_result result = {.nodes = nodes, .node_count = count};
    wwri_rbus_end(bus, op, &result);
  }
  free(nodes);
  return good;
}

static bool end_send(struct redis_bus *bus, struct wwri_bus_op *op,
                     const struct wwri_redis_reply *reply) {
  struct wwri_bus_result result = {.err = WWR_OK};
  if (wwri_redis_reply_count(reply) < 2) return false;
  if (wwri_redis_reply_int(wwri_redis_reply_at(reply, 1)) > 0) {
    wwri_rbus_end(bus, op, &result);
  } else {
    wwri_rbus_fail(bus, op, WWR_E_REFUSED, true);
  }
  return true;
}

static bool end_well(struct redis_bus *bus, struct wwri_bus_op *op,
                     const struct wwri_redis_reply *reply) {
  const struct wwri_redis_reply *word = wwri_redis_reply_at(reply, 0);
  if (op->kind == BUS_SEND && wwri_redis_reply_is(word, "dead")) {
    wwri_rbus_fail(bus, op, WWR_E_REFUSED, true);
    return true;
  }
  if (!wwri_redis_reply_is(word, "ok")) return false;
  switch ((enum bus_kind)op->kind) {
    case BUS_HISTORY:
      return end_history(bus, op, reply);
    case BUS_SUBSCRIBERS:
      return end_subscribers(bus, op, reply);
    case BUS_PRESENCE_LIST:
      return end_members(bus, op, reply);
    case BUS_NODES:
      return end_nodes(bus, op, reply);
    default:
      return end_send(bus, op, reply);
  }
}

/* Asked again when the link is next live, or after a while. */
static void not_now(struct redis_bus *bus, struct wwri_bus_op *op,
                    const struct wwri_redis_result *result) {
  if (op->kind == BUS_SEND && result->maybe_done) {
    wwri_rbus_fail(bus, op, WWR_E_UNAVAILABLE, false);
  } else if (result->reply) {
    retry_later(bus);
  }
}

static void on_done(struct wwri_redis_call *call,
                    const struct wwri_redis_result *result) {
  struct bus_work *work = WWRI_CONTAINER(call, struct bus_work, u.ask.call);
  struct redis_bus *bus = work->bus;
  struct wwri_bus_op *op = work->op;
  if (result->outcome == WWRI_CALL_UNAVAILABLE) {
    not_now(bus, op, result);
  } else if (result->outcome != WWRI_CALL_OK) {
    wwri_member_complain(bus->member, "redis refuses a question",
                         wwri_redis_reply_text(result->reply));
    wwri_rbus_fail(bus, op, WWR_E_REFUSED, !result->maybe_done);
  } else if (!end_well(bus, op, result->reply)) {
    wwri_member_complain(bus->member, "an answer of an unknown shape",
                         wwr_view_str("question"));
    wwri_rbus_fail(bus, op, WWR_E_REFUSED, false);
  }
}
