/* redis_bus.c - calls from any thread become operations in one queue, and one
 * mail takes all that are there; so the calls of a thread keep their order.
 *
 * What can go wrong: no memory for a copy, or too much waits: the call says so
 * and nothing happened. Redis is away: an operation waits for the hold time and
 * then ends as unavailable; nothing waits for ever. The end: publishes that
 * were sent get the time of the last writes, everything else ends as closed. */
#include "redis_bus.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct redis_bus *bus_of(struct wwr_bus *base) {
  return WWRI_CONTAINER(base, struct redis_bus, base);
}

/* --- operations and their end --- */

static size_t cost_of(const struct wwri_bus_op *op) {
  const struct bus_work *work = op->copy;
  return op->kind == BUS_UNSUBSCRIBE ? 0 : sizeof *op + work->size;
}

static void tell_waiting(struct redis_bus *bus) {
  bool waiting = !wwri_list_empty(&bus->open) || bus->publishes > 0;
  if (waiting == bus->waiting) return;
  bus->waiting = waiting;
  wwri_member_waiting(bus->member, waiting ? 1 : -1);
}

void wwri_rbus_end(struct redis_bus *bus, struct wwri_bus_op *op,
                   const struct wwri_bus_result *result) {
  atomic_fetch_sub(bus->queued, cost_of(op));
  wwri_list_remove(&op->node);
  tell_waiting(bus);
  void *work = op->copy;
  op->copy = NULL;
  op->done(op, result);
  free(work);
}

void wwri_rbus_fail(struct redis_bus *bus, struct wwri_bus_op *op, wwr_err err,
                    bool certain) {
  struct wwri_bus_result result = {.err = err, .certain = certain};
  if (bus->stopping) result.err = WWR_E_CLOSED;
  wwri_rbus_end(bus, op, &result);
}

static struct wwri_bus_op *op_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_bus_op, node);
}

static void arm(struct redis_bus *bus, uint64_t now) {
  if (wwri_list_empty(&bus->open)) return;
  uint64_t due = bus_work_of(op_of(bus->open.next))->deadline_ms;
  wwri_loop_timer_set(wwri_member_loop(bus->member), &bus->timer,
                      due > now ? due - now : 0);
}

void wwri_rbus_wait(struct redis_bus *bus, struct wwri_bus_op *op) {
  uint64_t now = wwri_member_now();
  bool first = wwri_list_empty(&bus->open);
  bus_work_of(op)->deadline_ms = now + wwri_member_opts(bus->member)->hold_ms;
  wwri_list_append(&bus->open, &op->node);
  if (first) arm(bus, now);
  tell_waiting(bus);
}

static void expire(struct redis_bus *bus, struct wwri_bus_op *op) {
  switch ((enum bus_kind)op->kind) {
    case BUS_SUBSCRIBE:
    case BUS_JOIN:
      wwri_rbus_join_expired(bus, op);
      break;
    case BUS_PRESENCE_SET:
      wwri_rbus_presence_expired(bus, op);
      break;
    default:
      wwri_rbus_ask_expired(bus, op);
      break;
  }
}

/* All operations wait equally long, so they expire in the order they came. */
static void on_timer(struct wwri_timer *timer) {
  struct redis_bus *bus = WWRI_CONTAINER(timer, struct redis_bus, timer);
  uint64_t now = wwri_member_now();
  while (!wwri_list_empty(&bus->open)) {
    struct wwri_bus_op *op = op_of(bus->open.next);
    if (bus_work_of(op)->deadline_ms > now) break;
    expire(bus, op);
  }
  arm(bus, now);
}

/* --- messages --- */

bool wwri_rbus_read_message(struct redis_bus *bus,
                            const struct wwri_entry *entry,
                            struct wwri_bus_message *out) {
  struct wwri_envelope envelope;
  if (entry->fork) return false;
  if (wwri_envelope_decode(entry->data, &envelope) || envelope.internal) {
    wwri_member_complain(bus->member, "a message can't be read",
                         wwr_view_str("envelope"));
    return false;
  }
  *out = (struct wwri_bus_message){.id = entry->pos.id,
                                   .sender = envelope.sender,
                                   .time_ms = entry->time_ms,
                                   .name = envelope.name,
                                   .payload = envelope.payload};
  return true;
}

size_t wwri_rbus_read_messages(struct redis_bus *bus,
                               const struct wwri_entry *entries, size_t count) {
  size_t have = 0;
  for (size_t i = 0; i < count && have < MEMBER_ENTRIES; i++) {
    if (wwri_rbus_read_message(bus, &entries[i], &bus->messages[have])) have++;
  }
  return have;
}

/* --- the queue --- */

static void execute(struct redis_bus *bus, struct wwri_bus_op *op) {
  if (bus->stopping && op->kind != BUS_UNSUBSCRIBE) {
    wwri_rbus_fail(bus, op, WWR_E_CLOSED, true);
    return;
  }
  switch ((enum bus_kind)op->kind) {
    case BUS_SUBSCRIBE:
      wwri_rbus_subscribe(bus, op);
      break;
    case BUS_JOIN:
      wwri_rbus_join(bus, op);
      break;
    case BUS_UNSUBSCRIBE:
      wwri_rbus_unsubscribe(bus, op);
      break;
    case BUS_PUBLISH:
    case BUS_CONTROL:
      wwri_rbus_publish(bus, op);
      break;
    case BUS_PRESENCE_SET:
      wwri_rbus_presence_set(bus, op);
      break;
    default:
      wwri_rbus_ask(bus, op);
      break;
  }
}

static void run_queue(struct redis_bus *bus) {
  struct wwri_list queue, *node;
  wwri_list_init(&queue);
  pthread_mutex_lock(&bus->locked.mutex);
  wwri_list_splice(&queue, &bus->locked.queue);
  bus->locked.posted = false;
  pthread_mutex_unlock(&bus->locked.mutex);
  wwri_rbus_press(bus);
  while ((node = wwri_list_pop(&queue))) execute(bus, op_of(node));
  tell_waiting(bus);
  wwri_member_run(bus->member);
}

static void on_mail(struct wwri_mail *mail) {
  run_queue(WWRI_CONTAINER(mail, struct redis_bus, mail));
}

/* Under the lock; true: to be followed by post() without it, or the member
 * thread, which runs at once where there is one core, would run into it. The
 * bus is there until the last call of its user has returned. */
static bool must_post(struct redis_bus *bus) {
  bool first = !bus->locked.posted;
  bus->locked.posted = true;
  return first;
}

static void post(struct redis_bus *bus) {
  wwri_loop_post(wwri_member_loop(bus->member), &bus->mail);
}

bool wwri_redis_bus_take(atomic_uint_least64_t *queued, size_t size,
                         uint64_t max) {
  if (size == 0) return true;
  if (atomic_fetch_add(queued, size) + size <= max) return true;
  atomic_fetch_sub(queued, size);
  return false;
}

static wwr_err submit(struct redis_bus *bus, struct wwri_bus_op *op,
                      enum bus_kind kind, struct bus_work *work) {
  wwr_err err = WWR_OK;
  bool first = false;
  op->kind = kind;
  op->copy = work;
  if (work) {
    work->op = op;
    work->bus = bus;
  }
  size_t size = cost_of(op);
  pthread_mutex_lock(&bus->locked.mutex);
  if (!bus->locked.open) {
    err = WWR_E_CLOSED;
  } else if (!wwri_redis_bus_take(bus->queued, size,
                                  bus->config.max_queued_bytes)) {
    err = WWR_E_LIMIT;
  } else {
    wwri_list_append(&bus->locked.queue, &op->node);
    first = must_post(bus);
  }
  pthread_mutex_unlock(&bus->locked.mutex);
  if (first) post(bus);
  if (err) {
    op->copy = NULL;
    free(work);
  }
  return err;
}

/* --- copies --- */

static struct wwr_view put(uint8_t **at, struct wwr_view view) {
  struct wwr_view copy = {*at, view.len};
  if (view.len) memcpy(*at, view.data, view.len);
  *at += view.len;
  return copy;
}

/* With room for `more` bytes behind the channel's name; *at points there. */
static struct bus_work *work_new(struct wwr_view channel, size_t more,
                                 uint8_t **at) {
  struct bus_work *work = malloc(sizeof *work + channel.len + more);
  if (!work) return NULL;
  *work = (struct bus_work){.size = sizeof *work + channel.len + more};
  *at = (uint8_t *)(work + 1);
  work->channel = put(at, channel);
  return work;
}

static wwr_err submit_named(struct wwr_bus *base, struct wwr_view channel,
                            enum bus_kind kind, struct wwri_bus_op *op) {
  uint8_t *at;
  if (!wwri_channel_name_ok(channel)) return WWR_E_INVALID;
  struct bus_work *work = work_new(channel, 0, &at);
  return work ? submit(bus_of(base), op, kind, work) : WWR_E_NOMEM;
}

static wwr_err submit_plain(struct wwr_bus *base, enum bus_kind kind,
                            struct wwri_bus_op *op) {
  uint8_t *at;
  struct wwr_view none = {0};
  struct bus_work *work = work_new(none, 0, &at);
  return work ? submit(bus_of(base), op, kind, work) : WWR_E_NOMEM;
}

/* --- the ops --- */

static wwr_err do_subscribe(struct wwr_bus *base, struct wwr_view channel,
                            struct wwri_bus_sub *sub, uint32_t history,
                            struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  return submit_named(base, channel, BUS_SUBSCRIBE, op);
}

static wwr_err do_join(struct wwr_bus *base, struct wwri_bus_sub *sub,
                       uint32_t history, struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  return submit_plain(base, BUS_JOIN, op);
}

static wwr_err do_unsubscribe(struct wwr_bus *base, struct wwri_bus_sub *sub,
                              struct wwri_bus_op *op) {
  op->sub = sub;
  return submit(bus_of(base), op, BUS_UNSUBSCRIBE, NULL);
}

/* Remembered at the receiver, so that it can't fail. */
static void do_pressure(struct wwr_bus *base, struct wwri_bus_sub *sub,
                        bool full) {
  struct redis_bus *bus = bus_of(base);
  bool first = false;
  pthread_mutex_lock(&bus->locked.mutex);
  struct bus_receiver *receiver = bus->locked.open ? sub->channel : NULL;
  if (receiver) {
    receiver->full = full;
    if (!receiver->in_pressed) {
      receiver->in_pressed = true;
      wwri_list_append(&bus->locked.pressed, &receiver->pressed);
    }
    first = must_post(bus);
  }
  pthread_mutex_unlock(&bus->locked.mutex);
  if (first) post(bus);
}

static wwr_err do_publish(struct wwr_bus *base, struct wwr_view channel,
                          const struct wwri_bus_publish *what,
                          struct wwri_bus_op *op) {
  struct redis_bus *bus = bus_of(base);
  wwr_err err = wwri_bus_check_publish(&bus->config, channel, what);
  if (err) return err;
  const struct wwri_envelope envelope = {.sender = what->sender,
                                         .time_ms = wwri_member_unix_now(),
                                         .name = what->name,
                                         .payload = what->payload};
  uint8_t *at;
  size_t len = wwri_envelope_len(&envelope);
  struct bus_work *work = work_new(channel, len, &at);
  if (!work) return WWR_E_NOMEM;
  struct wwri_buf buf = {.data = at, .cap = len, .max = len};
  err = wwri_envelope_encode(&envelope, &buf);
  assert(err == WWR_OK && buf.data == at);
  work->u.publish.limit = what->limit;
  work->u.publish.data = wwri_buf_view(&buf);
  return submit(bus, op, BUS_PUBLISH, work);
}

static wwr_err do_history(struct wwr_bus *base, struct wwr_view channel,
                          uint32_t count, struct wwri_bus_op *op) {
  op->count = count < WWRI_HISTORY_MAX ? count : WWRI_HISTORY_MAX;
  return submit_named(base, channel, BUS_HISTORY, op);
}

static wwr_err do_presence_set(struct wwr_bus *base, struct wwr_view channel,
                               const struct wwri_bus_member *member,
                               struct wwri_bus_op *op) {
  uint8_t *at;
  wwr_err err = wwri_bus_check_member(channel, member);
  if (err) return err;
  struct bus_work *work =
      work_new(channel, member->member.len + member->info.len, &at);
  if (!work) return WWR_E_NOMEM;
  work->u.presence.member.connections = member->connections;
  work->u.presence.member.member = put(&at, member->member);
  work->u.presence.member.info = put(&at, member->info);
  wwri_list_init(&work->u.presence.node);
  return submit(bus_of(base), op, BUS_PRESENCE_SET, work);
}

static wwr_err do_presence_list(struct wwr_bus *base, struct wwr_view channel,
                                struct wwri_bus_op *op) {
  return submit_named(base, channel, BUS_PRESENCE_LIST, op);
}

static wwr_err do_subscribers(struct wwr_bus *base, struct wwr_view channel,
                              struct wwri_bus_op *op) {
  return submit_named(base, channel, BUS_SUBSCRIBERS, op);
}

static wwr_err do_nodes(struct wwr_bus *base, struct wwri_bus_op *op) {
  return submit_plain(base, BUS_NODES, op);
}

static void do_load(struct wwr_bus *base, uint64_t connections, bool draining) {
  wwri_member_load(bus_of(base)->member, connections, draining);
}

static wwr_err do_send(struct wwr_bus *base, struct wwri_boot node,
                       struct wwr_view topic, struct wwr_view bytes,
                       struct wwri_bus_op *op) {
  struct redis_bus *bus = bus_of(base);
  struct wwr_view none = {0};
  struct wwri_buf data;
  struct bus_work *work = NULL;
  uint8_t *at;
  wwr_err err = wwri_bus_check_topic(&bus->config, topic, bytes);
  if (err) return err;
  err = wwri_member_encode(&data, topic, bytes);
  if (!err) work = work_new(none, data.len, &at);
  if (work) {
    work->u.ask.node = node;
    work->u.ask.data = put(&at, wwri_buf_view(&data));
  }
  wwri_buf_deinit(&data);
  if (err) return err;
  return work ? submit(bus, op, BUS_SEND, work) : WWR_E_NOMEM;
}

static wwr_err do_control(struct wwr_bus *base, struct wwr_view topic,
                          struct wwr_view bytes, struct wwri_bus_op *op) {
  struct redis_bus *bus = bus_of(base);
  struct wwr_view none = {0};
  uint8_t *at;
  wwr_err err = wwri_bus_check_topic(&bus->config, topic, bytes);
  if (err) return err;
  struct bus_work *work = work_new(none, topic.len + bytes.len, &at);
  if (!work) return WWR_E_NOMEM;
  work->u.publish.topic = put(&at, topic);
  work->u.publish.data = put(&at, bytes);
  return submit(bus, op, BUS_CONTROL, work);
}

static size_t do_boots(struct wwr_bus *base, struct wwri_boot *out,
                       size_t cap) {
  if (cap) *out = wwri_member_boot(bus_of(base)->member);
  return cap ? 1 : 0;
}

static void do_state(struct wwr_bus *base, struct wwri_bus_state *out) {
  struct redis_bus *bus = bus_of(base);
  *out = (struct wwri_bus_state){
      .channels = atomic_load(&bus->counts.channels),
      .published = atomic_load(&bus->counts.published),
      .delivered = atomic_load(&bus->counts.delivered),
      .repaired = atomic_load(&bus->member->repaired),
      .duplicates = atomic_load(&bus->member->duplicates),
      .queued_bytes = atomic_load(bus->queued)};
  for (unsigned i = 0; i < 4; i++) {
    out->verdicts[i] = atomic_load(&bus->counts.verdicts[i]);
  }
  for (unsigned i = 0; i < WWRI_LAG_BUCKETS; i++) {
    out->lag[i] = atomic_load(&bus->counts.lag[i]);
  }
  out->lag_sum_ms = atomic_load(&bus->counts.lag_sum_ms);
  uint64_t beat = atomic_load(&bus->member->beat_ms);
  uint64_t now = wwri_member_now();
  out->beat_age_ms = beat && now > beat ? now - beat : 0;
  out->health =
      wwri_member_health(bus->member, out->reason, sizeof out->reason);
}

static size_t do_shards(struct wwr_bus *base, struct wwri_bus_shard *out,
                        size_t cap) {
  struct redis_bus *bus = bus_of(base);
  if (!cap) return 1;
  wwri_member_shard(bus->member, out);
  out->channels = atomic_load(&bus->counts.channels);
  out->published = atomic_load(&bus->counts.published);
  out->delivered = atomic_load(&bus->counts.delivered);
  return 1;
}

/* --- what the membership says --- */

static struct redis_bus *of_user(struct wwri_member_user *user) {
  return WWRI_CONTAINER(user, struct redis_bus, user);
}

static void on_live(struct wwri_member_user *user, bool fresh) {
  struct redis_bus *bus = of_user(user);
  (void)fresh;
  wwri_rbus_asks_live(bus);
  wwri_rbus_presence_live(bus);
}

static void on_event(struct wwri_member_user *user,
                     enum wwri_node_event event) {
  struct redis_bus *bus = of_user(user);
  if (event == WWRI_NODE_UNCERTAIN) wwri_rbus_uncertain(bus);
  if (event != WWRI_NODE_REFUSED) wwri_rbus_presence_again(bus);
}

static bool hears(const struct redis_bus *bus) {
  return bus->opened && !bus->stopping;
}

static void on_health(struct wwri_member_user *user) {
  struct redis_bus *bus = of_user(user);
  if (!hears(bus) || !bus->config.events->health) return;
  bus->config.events->health(bus->config.owner,
                             wwri_member_health(bus->member, NULL, 0));
}

static void on_control(struct wwri_member_user *user, struct wwr_view topic,
                       struct wwr_view bytes) {
  struct redis_bus *bus = of_user(user);
  if (!hears(bus) || !bus->config.events->control) return;
  bus->config.events->control(bus->config.owner, topic, bytes);
}

static void on_control_lost(struct wwri_member_user *user,
                            const struct wwri_verdict *verdict) {
  struct redis_bus *bus = of_user(user);
  if (!hears(bus) || !bus->config.events->control_lost) return;
  bus->config.events->control_lost(bus->config.owner, verdict);
}

static void on_direct(struct wwri_member_user *user, struct wwr_view topic,
                      struct wwr_view bytes) {
  struct redis_bus *bus = of_user(user);
  if (!hears(bus) || !bus->config.events->direct) return;
  bus->config.events->direct(bus->config.owner, topic, bytes);
}

/* What is in the queue came before the close; publishes may go on. */
static void on_stop(struct wwri_member_user *user) {
  struct redis_bus *bus = of_user(user);
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.open = false;
  pthread_mutex_unlock(&bus->locked.mutex);
  run_queue(bus);
  bus->stopping = true;
  while (!wwri_list_empty(&bus->open)) {
    expire(bus, op_of(bus->open.next));
  }
  wwri_rbus_channels_end(bus);
  wwri_rbus_presence_end(bus);
  wwri_member_run(bus->member);
  if (bus->publishes == 0) wwri_member_user_done(bus->member, user);
}

/* --- life --- */

static wwr_err do_open(struct wwr_bus *base,
                       const struct wwri_bus_config *config, uint64_t now_ms) {
  struct redis_bus *bus = bus_of(base);
  (void)now_ms;
  if (!config->events || bus->opened) return WWR_E_INVALID;
  bus->config = *config;
  bus->config.fingerprint = bus->config.address = NULL;
  bus->config.log = NULL;
  if (bus->config.max_payload_bytes > MEMBER_PAYLOAD_MAX) {
    bus->config.max_payload_bytes = MEMBER_PAYLOAD_MAX;
  }
  bus->opened = true;
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.open = true;
  pthread_mutex_unlock(&bus->locked.mutex);
  wwr_err err =
      wwri_member_start(bus->member, config->address, config->fingerprint);
  if (!err) return WWR_OK;
  bus->opened = bus->locked.open = false;
  return err;
}

static void do_close(struct wwr_bus *base) {
  struct redis_bus *bus = bus_of(base);
  if (!bus->opened) return;
  wwri_member_stop_begin(bus->member);
  wwri_member_stop_wait(bus->member);
}

static void do_run(struct wwr_bus *base, uint64_t now_ms) {
  (void)base, (void)now_ms; /* it has a thread */
}

/* It goes with its cluster. */
static void do_free(struct wwr_bus *base) {
  (void)base;
}

static const struct wwri_bus_ops ops = {
    do_open,          do_close,       do_run,     do_subscribe, do_join,
    do_unsubscribe,   do_pressure,    do_publish, do_history,   do_presence_set,
    do_presence_list, do_subscribers, do_nodes,   do_load,      do_send,
    do_control,       do_boots,       do_state,   do_shards,    do_free};

wwr_err wwri_redis_bus_new(struct wwr_bus **out, struct wwri_member *member) {
  struct redis_bus *bus = calloc(1, sizeof *bus);
  if (!bus) return WWR_E_NOMEM;
  bus->messages = malloc(MEMBER_ENTRIES * sizeof *bus->messages);
  if (!bus->messages) {
    free(bus);
    return WWR_E_NOMEM;
  }
  bus->base.ops = &ops;
  bus->base.name = wwri_member_opts(member)->name;
  bus->member = member;
  bus->queued = &bus->counts.queued_bytes;
  bus->mail.fn = on_mail;
  wwri_bus_config_default(&bus->config);
  bus->user = (struct wwri_member_user){.live = on_live,
                                        .event = on_event,
                                        .health = on_health,
                                        .control = on_control,
                                        .control_lost = on_control_lost,
                                        .direct = on_direct,
                                        .stop = on_stop};
  pthread_mutex_init(&bus->locked.mutex, NULL); /* without attributes it can't
                                                   fail */
  wwri_list_init(&bus->locked.queue);
  wwri_list_init(&bus->locked.pressed);
  wwri_list_init(&bus->open);
  wwri_list_init(&bus->channels);
  wwri_map_init(&bus->by_name);
  wwri_timer_init(&bus->timer, on_timer);
  wwri_rbus_asks_init(bus);
  wwri_rbus_presence_init(bus);
  wwri_member_user_add(member, &bus->user);
  *out = &bus->base;
  return WWR_OK;
}

void wwri_redis_bus_share(struct wwr_bus *base, atomic_uint_least64_t *queued) {
  bus_of(base)->queued = queued;
}

void wwri_redis_bus_delete(struct wwr_bus *base) {
  if (!base) return;
  struct redis_bus *bus = bus_of(base);
  wwri_rbus_presence_deinit(bus);
  wwri_map_deinit(&bus->by_name);
  pthread_mutex_destroy(&bus->locked.mutex);
  free(bus->messages);
  free(bus);
}
