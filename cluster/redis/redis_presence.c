/* redis_presence.c - the rows of this node: who is on a channel here, and how
 * often. Counts are absolute, so repeating a write changes nothing.
 *
 * Happy path: a change makes its row dirty; about once a second all dirty rows
 * of a channel are written in one pass, and the operations that changed them
 * end. Rows are kept alive by renewals, which also find what is missing.
 *
 * What can go wrong: a write is not done: its row is dirty again, for the next
 * pass. Redis forgot something (a new generation), or this node has a new boot
 * id: all rows are written anew and replace what is there, for a row that was
 * taken away may be back. So a channel is remembered for a while when it is
 * empty. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_bus.h"

enum {
  PASS_MS = 1000,
  BURST_MS = 2000, /* a quiet channel's first changes are written at once */
  PASSES_MAX = 64,
  ROWS_MAX = 200, /* of one write */
  RENEW_MAX = 128,
  RENEWS_PER_LEASE = 3
};

struct row {
  struct wwri_list node;  /* channel->rows */
  struct wwri_list dirty; /* channel->dirty or ->writing */
  struct presence_channel *channel;
  uint32_t connections;
  size_t info_len;
  uint8_t *info; /* NULL when empty */
  size_t member_len;
  uint8_t member[];
};

struct presence_channel {
  struct wwri_list node;  /* bus->presence.channels */
  struct wwri_list ready; /* bus->presence.ready */
  struct wwri_list renew; /* bus->presence.renewals */
  struct wwri_timer timer;
  struct redis_bus *bus;
  struct wwri_map by_member;
  struct wwri_list rows;
  struct wwri_list dirty;
  struct wwri_list writing; /* rows of the write under way */
  struct wwri_list waiting; /* operations for the next pass */
  struct wwri_list sent;    /* ... of the pass under way */
  uint64_t total;
  uint64_t pass_at_ms; /* not before */
  struct wwri_redis_call call;
  bool in_pass;
  bool again;        /* write all rows, and these replace what is there */
  unsigned renewals; /* under way */
  size_t name_len;
  uint8_t name[];
};

static struct wwr_view name_of(const struct presence_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/* --- rows --- */

static struct wwr_view member_of(const struct row *row) {
  return (struct wwr_view){row->member, row->member_len};
}

static struct wwr_view info_of(const struct row *row) {
  return (struct wwr_view){row->info, row->info_len};
}

static void row_free(struct row *row) {
  wwri_map_remove(&row->channel->by_member, member_of(row));
  wwri_list_remove(&row->node);
  wwri_list_remove(&row->dirty);
  free(row->info);
  free(row);
}

static struct row *row_new(struct presence_channel *channel,
                           struct wwr_view member) {
  struct row *row = calloc(1, sizeof *row + member.len);
  if (!row) return NULL;
  row->channel = channel;
  row->member_len = member.len;
  if (member.len) memcpy(row->member, member.data, member.len);
  if (wwri_map_insert(&channel->by_member, member, row)) {
    free(row);
    return NULL;
  }
  wwri_list_init(&row->dirty);
  wwri_list_append(&channel->rows, &row->node);
  return row;
}

static void make_dirty(struct row *row) {
  wwri_list_remove(&row->dirty);
  wwri_list_append(&row->channel->dirty, &row->dirty);
}

static bool set_info(struct row *row, struct wwr_view info) {
  uint8_t *copy = info.len ? malloc(info.len) : NULL;
  if (info.len && !copy) return false;
  if (info.len) memcpy(copy, info.data, info.len);
  free(row->info);
  row->info = copy;
  row->info_len = info.len;
  return true;
}

/* The new truth about a member. False: no memory, nothing changed. */
static bool row_set(struct presence_channel *channel,
                    const struct wwri_bus_member *member) {
  struct row *row = wwri_map_get(&channel->by_member, member->member);
  bool fresh = !row;
  if (fresh && member->connections == 0) return true;
  if (fresh) row = row_new(channel, member->member);
  if (!row) return false;
  bool same = wwr_view_equal(info_of(row), member->info);
  if (!same && !set_info(row, member->info)) {
    if (fresh) row_free(row);
    return false;
  }
  if (same && !fresh && row->connections == member->connections) return true;
  channel->total += (uint64_t)member->connections - row->connections;
  row->connections = member->connections;
  make_dirty(row);
  return true;
}

/* --- channels --- */

static void on_timer(struct wwri_timer *timer);

static struct presence_channel *channel_new(struct redis_bus *bus,
                                            struct wwr_view name) {
  struct presence_channel *channel = calloc(1, sizeof *channel + name.len);
  if (!channel) return NULL;
  channel->bus = bus;
  channel->name_len = name.len;
  memcpy(channel->name, name.data, name.len);
  wwri_map_init(&channel->by_member);
  wwri_list_init(&channel->ready);
  wwri_list_init(&channel->renew);
  wwri_list_init(&channel->rows);
  wwri_list_init(&channel->dirty);
  wwri_list_init(&channel->writing);
  wwri_list_init(&channel->waiting);
  wwri_list_init(&channel->sent);
  wwri_timer_init(&channel->timer, on_timer);
  if (wwri_map_insert(&bus->presence.by_name, name, channel)) {
    free(channel);
    return NULL;
  }
  wwri_list_append(&bus->presence.channels, &channel->node);
  return channel;
}

static void channel_free(struct presence_channel *channel) {
  struct redis_bus *bus = channel->bus;
  while (!wwri_list_empty(&channel->rows)) {
    row_free(WWRI_CONTAINER(channel->rows.next, struct row, node));
  }
  wwri_map_deinit(&channel->by_member);
  wwri_map_remove(&bus->presence.by_name, name_of(channel));
  wwri_list_remove(&channel->node);
  wwri_list_remove(&channel->ready);
  wwri_list_remove(&channel->renew);
  free(channel);
}

static void set_timer(struct presence_channel *channel, uint64_t delay_ms) {
  wwri_loop_timer_set(wwri_member_loop(channel->bus->member), &channel->timer,
                      delay_ms);
}

static bool is_due(const struct presence_channel *channel) {
  return channel->again || !wwri_list_empty(&channel->dirty);
}

/* Have it written when its time has come. */
static void schedule(struct presence_channel *channel) {
  uint64_t now = wwri_member_now();
  if (channel->in_pass || !is_due(channel)) return;
  set_timer(channel, channel->pass_at_ms > now ? channel->pass_at_ms - now : 0);
}

/* --- a pass --- */

/* Keys and arguments, with the memory that they point to. */
struct write {
  struct wwr_view argv[8 + 3 * ROWS_MAX];
  size_t argc;
  char rows[WWRI_KEY_NAME_MAX], index[WWRI_KEY_NAME_MAX];
  char connection[24], total[24], expiry[24], counts[ROWS_MAX][12];
};

/* The channel decides which shard and tag its rows have. */
static struct wwr_view rows_key(const struct presence_channel *channel,
                                char out[WWRI_KEY_NAME_MAX]) {
  const struct wwri_member *member = channel->bus->member;
  struct wwr_view key = wwri_member_key(member, out, "pr", name_of(channel));
  out[key.len++] = ':';
  memcpy(out + key.len, wwri_member_boot_hex(member), WWRI_BOOT_HEX);
  key.len += WWRI_BOOT_HEX;
  return key;
}

static struct wwr_view number(char out[24], uint64_t value) {
  snprintf(out, 24, "%" PRIu64, value);
  return wwr_view_str(out);
}

static uint64_t expiry_ms(const struct redis_bus *bus) {
  return 2 * (uint64_t)wwri_member_opts(bus->member)->lease_ms;
}

static void add(struct write *it, struct wwr_view arg) {
  it->argv[it->argc++] = arg;
}

static void add_head(struct write *it, const struct presence_channel *channel) {
  const struct wwri_member *member = channel->bus->member;
  it->argc = 0;
  add(it, wwri_member_gen_key(member));
  add(it, rows_key(channel, it->rows));
  add(it, wwri_member_key(member, it->index, "pi", name_of(channel)));
  add(it, wwr_view_str(wwri_member_boot_hex(member)));
  add(it, number(it->connection, wwri_member_connection(member)));
  add(it, number(it->total, channel->total));
  add(it, number(it->expiry, expiry_ms(channel->bus)));
  add(it, wwr_view_str(channel->again ? "1" : "0"));
}

/* What is dirty is being written now. */
static void add_rows(struct write *it, struct presence_channel *channel) {
  for (size_t i = 0; i < ROWS_MAX && !wwri_list_empty(&channel->dirty); i++) {
    struct row *row = WWRI_CONTAINER(channel->dirty.next, struct row, dirty);
    wwri_list_remove(&row->dirty);
    wwri_list_append(&channel->writing, &row->dirty);
    snprintf(it->counts[i], sizeof it->counts[i], "%" PRIu32, row->connections);
    add(it, member_of(row));
    add(it, wwr_view_str(it->counts[i]));
    add(it, info_of(row));
  }
}

static void on_written(struct wwri_redis_call *call,
                       const struct wwri_redis_result *result);

/* False: not now; nothing was sent. */
static bool send_some(struct presence_channel *channel) {
  struct redis_bus *bus = channel->bus;
  struct write *it = malloc(sizeof *it);
  if (!it) return false;
  add_head(it, channel);
  add_rows(it, channel);
  channel->call = (struct wwri_redis_call){.done = on_written};
  wwr_err err =
      wwri_redis_eval(wwri_member_link(bus->member), &channel->call,
                      bus->scripts.presence_set, it->argv, it->argc, 3, 0);
  free(it);
  if (err == WWR_OK) {
    channel->again = false;
  } else {
    wwri_list_splice(&channel->dirty, &channel->writing);
  }
  return err == WWR_OK;
}

static void end_pass(struct presence_channel *channel, bool good);
static void pump(struct redis_bus *bus);

static void begin_pass(struct presence_channel *channel) {
  struct redis_bus *bus = channel->bus;
  uint64_t now = wwri_member_now();
  bus->presence.passes++;
  if (channel->pass_at_ms + BURST_MS < now) {
    channel->pass_at_ms = now - BURST_MS;
  }
  channel->pass_at_ms += PASS_MS;
  wwri_list_splice(&channel->sent, &channel->waiting);
  channel->in_pass = true;
  if (channel->again) {
    struct wwri_list *at = channel->rows.next;
    for (; at != &channel->rows; at = at->next) {
      make_dirty(WWRI_CONTAINER(at, struct row, node));
    }
  }
  if (!send_some(channel)) end_pass(channel, false);
}

static struct wwri_bus_op *op_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct bus_work, u.presence.node)->op;
}

static void end_ops(struct redis_bus *bus, struct wwri_list *list,
                    wwr_err err) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(list))) {
    const struct wwri_bus_result result = {.err = err};
    wwri_rbus_end(bus, op_of(node), &result);
  }
}

static void end_pass(struct presence_channel *channel, bool good) {
  struct redis_bus *bus = channel->bus;
  bus->presence.passes--;
  channel->in_pass = false;
  if (good) {
    end_ops(bus, &channel->sent, WWR_OK);
  } else { /* before those that came later */
    wwri_list_splice(&channel->sent, &channel->waiting);
    wwri_list_splice(&channel->waiting, &channel->sent);
  }
  if (!is_due(channel)) {
    end_ops(bus, &channel->waiting, WWR_OK);
    if (wwri_list_empty(&channel->rows)) {
      set_timer(channel, wwri_member_opts(bus->member)->lease_ms);
    }
  }
  schedule(channel);
  pump(bus);
}

static void rows_written(struct presence_channel *channel) {
  struct wwri_list *at;
  while ((at = wwri_list_pop(&channel->writing))) {
    struct row *row = WWRI_CONTAINER(at, struct row, dirty);
    if (row->connections == 0) row_free(row);
  }
}

/* "nogen": the link is about to go. */
static void on_written(struct wwri_redis_call *call,
                       const struct wwri_redis_result *result) {
  struct presence_channel *channel =
      WWRI_CONTAINER(call, struct presence_channel, call);
  if (result->outcome == WWRI_CALL_OK &&
      wwri_redis_reply_is(wwri_redis_reply_at(result->reply, 0), "ok")) {
    rows_written(channel);
    bool more = !wwri_list_empty(&channel->dirty);
    if (!more || !send_some(channel)) end_pass(channel, !more);
    return;
  }
  if (result->outcome != WWRI_CALL_UNAVAILABLE) {
    wwri_member_complain(channel->bus->member, "redis refuses presence",
                         wwri_redis_reply_text(result->reply));
  }
  channel->again = true;
  wwri_list_splice(&channel->dirty, &channel->writing);
  end_pass(channel, false);
}

/* --- which channel, and when --- */

/* A pass that can't even be sent ends here, and there may be very many: no
 * pump inside of a pump. */
static void pump(struct redis_bus *bus) {
  struct wwri_list *node;
  if (bus->presence.pumping) return;
  if (bus->stopping || !wwri_member_is_live(bus->member)) return;
  bus->presence.pumping = true;
  while (bus->presence.passes < PASSES_MAX &&
         (node = wwri_list_pop(&bus->presence.ready))) {
    begin_pass(WWRI_CONTAINER(node, struct presence_channel, ready));
  }
  bus->presence.pumping = false;
}

static bool is_unused(const struct presence_channel *channel) {
  return wwri_list_empty(&channel->rows) && !is_due(channel) &&
         !channel->in_pass && !channel->renewals &&
         wwri_list_empty(&channel->waiting);
}

static void on_timer(struct wwri_timer *timer) {
  struct presence_channel *channel =
      WWRI_CONTAINER(timer, struct presence_channel, timer);
  struct redis_bus *bus = channel->bus;
  if (is_unused(channel)) {
    channel_free(channel);
    return;
  }
  if (channel->in_pass || !is_due(channel)) return;
  wwri_list_remove(&channel->ready);
  wwri_list_append(&bus->presence.ready, &channel->ready);
  pump(bus);
}

void wwri_rbus_presence_set(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  const struct wwri_bus_result result = {.err = WWR_OK};
  const struct wwri_bus_member *member = &work->u.presence.member;
  struct presence_channel *channel =
      wwri_map_get(&bus->presence.by_name, work->channel);
  wwri_list_init(&op->node);
  if (!channel && member->connections == 0) {
    wwri_rbus_end(bus, op, &result);
    return;
  }
  if (!channel) channel = channel_new(bus, work->channel);
  if (!channel || !row_set(channel, member)) {
    if (channel) set_timer(channel, 0);
    wwri_rbus_fail(bus, op, WWR_E_NOMEM, true);
    return;
  }
  wwri_list_append(&channel->waiting, &work->u.presence.node);
  wwri_rbus_wait(bus, op);
  if (is_due(channel)) {
    schedule(channel);
  } else if (!channel->in_pass) { /* nobody was there, nobody is */
    end_ops(bus, &channel->waiting, WWR_OK);
  }
}

/* What was said stands, and is written when Redis is back. */
void wwri_rbus_presence_expired(struct redis_bus *bus, struct wwri_bus_op *op) {
  wwri_list_remove(&bus_work_of(op)->u.presence.node);
  wwri_rbus_fail(bus, op, WWR_E_UNAVAILABLE, false);
}

void wwri_rbus_presence_again(struct redis_bus *bus) {
  struct wwri_list *at = bus->presence.channels.next;
  for (; at != &bus->presence.channels; at = at->next) {
    struct presence_channel *channel =
        WWRI_CONTAINER(at, struct presence_channel, node);
    channel->again = true;
    channel->pass_at_ms = 0;
    schedule(channel);
  }
}

/* --- renewal --- */

struct renewal {
  struct wwri_redis_call call;
  struct redis_bus *bus;
  size_t count;
  struct presence_channel *channels[RENEW_MAX];
};

static void renew_next(struct redis_bus *bus);

static void on_renewed(struct wwri_redis_call *call,
                       const struct wwri_redis_result *result) {
  struct renewal *it = WWRI_CONTAINER(call, struct renewal, call);
  struct redis_bus *bus = it->bus;
  bool good = result->outcome == WWRI_CALL_OK;
  for (size_t i = 0; i < it->count; i++) it->channels[i]->renewals--;
  size_t missing = good ? wwri_redis_reply_count(result->reply) : 0;
  for (size_t i = 1; i < missing; i++) {
    int64_t at = wwri_redis_reply_int(wwri_redis_reply_at(result->reply, i));
    if (at < 1 || (uint64_t)at > it->count) continue;
    struct presence_channel *channel = it->channels[at - 1];
    if (channel->in_pass || is_due(channel)) continue; /* about to be written */
    channel->again = true;
    schedule(channel);
  }
  free(it);
  bus->presence.renewing = false;
  if (good) renew_next(bus);
}

/* Keys, then arguments, with the memory that they point to. */
static bool send_renewal(struct redis_bus *bus, struct renewal *it) {
  struct names {
    char rows[RENEW_MAX][WWRI_KEY_NAME_MAX];
    char index[RENEW_MAX][WWRI_KEY_NAME_MAX];
    char total[RENEW_MAX][24];
    struct wwr_view argv[3 * RENEW_MAX + 2];
  } *names = malloc(sizeof *names);
  char expiry[24];
  size_t n = 0;
  if (!names) return false;
  for (size_t i = 0; i < it->count; i++) {
    struct presence_channel *channel = it->channels[i];
    names->argv[n++] = rows_key(channel, names->rows[i]);
    names->argv[n++] =
        wwri_member_key(bus->member, names->index[i], "pi", name_of(channel));
  }
  size_t keys = n;
  names->argv[n++] = wwr_view_str(wwri_member_boot_hex(bus->member));
  names->argv[n++] = number(expiry, expiry_ms(bus));
  for (size_t i = 0; i < it->count; i++) {
    names->argv[n++] = number(names->total[i], it->channels[i]->total);
  }
  wwr_err err =
      wwri_redis_eval(wwri_member_link(bus->member), &it->call,
                      bus->scripts.presence_renew, names->argv, n, keys, 0);
  free(names);
  return err == WWR_OK;
}

/* One after the other: there may be very many. */
static void renew_next(struct redis_bus *bus) {
  struct wwri_list *node;
  if (bus->presence.renewing || wwri_list_empty(&bus->presence.renewals)) {
    return;
  }
  struct renewal *it = calloc(1, sizeof *it);
  if (!it) return; /* the next round */
  it->bus = bus;
  it->call.done = on_renewed;
  while (it->count < RENEW_MAX &&
         (node = wwri_list_pop(&bus->presence.renewals))) {
    it->channels[it->count++] =
        WWRI_CONTAINER(node, struct presence_channel, renew);
  }
  if (!send_renewal(bus, it)) {
    free(it);
    return;
  }
  bus->presence.renewing = true;
  for (size_t i = 0; i < it->count; i++) it->channels[i]->renewals++;
}

static void on_renew(struct wwri_timer *timer) {
  struct redis_bus *bus =
      WWRI_CONTAINER(timer, struct redis_bus, presence.renew_timer);
  struct wwri_list *at = bus->presence.channels.next;
  for (; at != &bus->presence.channels; at = at->next) {
    struct presence_channel *channel =
        WWRI_CONTAINER(at, struct presence_channel, node);
    if (!channel->total || !wwri_list_empty(&channel->renew)) continue;
    wwri_list_append(&bus->presence.renewals, &channel->renew);
  }
  wwri_loop_timer_set(
      wwri_member_loop(bus->member), &bus->presence.renew_timer,
      wwri_member_opts(bus->member)->lease_ms / RENEWS_PER_LEASE);
  if (wwri_member_is_live(bus->member)) renew_next(bus);
}

/* --- life --- */

void wwri_rbus_presence_live(struct redis_bus *bus) {
  pump(bus);
  if (!bus->presence.renew_timer.armed) on_renew(&bus->presence.renew_timer);
}

void wwri_rbus_presence_init(struct redis_bus *bus) {
  bus->scripts.presence_set =
      wwri_member_script(bus->member, wwri_script_presence_set);
  bus->scripts.presence_renew =
      wwri_member_script(bus->member, wwri_script_presence_renew);
  wwri_map_init(&bus->presence.by_name);
  wwri_list_init(&bus->presence.channels);
  wwri_list_init(&bus->presence.ready);
  wwri_list_init(&bus->presence.renewals);
  wwri_timer_init(&bus->presence.renew_timer, on_renew);
}

/* Whoever leaves is dead at once, and its rows with it: no last writes. */
void wwri_rbus_presence_end(struct redis_bus *bus) {
  struct wwri_list *at = bus->presence.channels.next;
  wwri_loop_timer_cancel(wwri_member_loop(bus->member),
                         &bus->presence.renew_timer);
  for (; at != &bus->presence.channels; at = at->next) {
    wwri_loop_timer_cancel(
        wwri_member_loop(bus->member),
        &WWRI_CONTAINER(at, struct presence_channel, node)->timer);
  }
}

void wwri_rbus_presence_deinit(struct redis_bus *bus) {
  while (!wwri_list_empty(&bus->presence.channels)) {
    channel_free(WWRI_CONTAINER(bus->presence.channels.next,
                                struct presence_channel, node));
  }
  wwri_map_deinit(&bus->presence.by_name);
}
