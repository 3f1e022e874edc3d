/* redis_channel.c - the server's subs on the core's channels.
 *
 * Happy path: a subscribe makes a receiver and a join; the core completes the
 * join with the channel's position, and delivers to the receiver from there.
 *
 * What can go wrong: the join is not completed in time: it is taken back, and a
 * receiver whose first join that was goes with it. Redis does not permit the
 * subscription: likewise, as refused. */
#include "redis_bus.h"

#include <stdlib.h>
#include <string.h>

static struct wwr_view name_of(const struct bus_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/* --- channels --- */

static struct bus_channel *channel_new(struct redis_bus *bus,
                                       struct wwr_view name) {
  struct bus_channel *channel = malloc(sizeof *channel + name.len);
  if (!channel) return NULL;
  *channel = (struct bus_channel){.name_len = name.len};
  memcpy(channel->name, name.data, name.len);
  wwri_list_init(&channel->receivers);
  if (wwri_map_insert(&bus->by_name, name, channel)) {
    free(channel);
    return NULL;
  }
  wwri_list_append(&bus->channels, &channel->node);
  atomic_fetch_add(&bus->counts.channels, 1);
  return channel;
}

static void channel_free(struct redis_bus *bus, struct bus_channel *channel) {
  wwri_map_remove(&bus->by_name, name_of(channel));
  wwri_list_remove(&channel->node);
  atomic_fetch_sub(&bus->counts.channels, 1);
  free(channel);
}

/* --- receivers --- */

static struct bus_receiver *receiver_of(struct member_sub *base) {
  return WWRI_CONTAINER(base, struct bus_receiver, base);
}

static struct redis_bus *bus_of(const struct bus_receiver *receiver) {
  return receiver->bus;
}

static bool is_first(const struct bus_receiver *receiver) {
  return receiver->channel->receivers.next == &receiver->node;
}

/* Only of our own: the clock is the same. */
static void note_lag(struct redis_bus *bus, const struct wwri_entry *entry) {
  static const uint32_t bounds[] = WWRI_LAG_BOUNDS;
  struct wwri_envelope envelope;
  if (!wwri_boot_equal(entry->pos.boot, bus->member->node.boot)) return;
  if (wwri_envelope_decode(entry->data, &envelope)) return;
  uint64_t now = wwri_member_unix_now();
  uint64_t lag = now > envelope.time_ms ? now - envelope.time_ms : 0;
  size_t bucket = 0;
  while (bucket < WWRI_LAG_BUCKETS - 1 && lag > bounds[bucket]) bucket++;
  atomic_fetch_add_explicit(&bus->counts.lag[bucket], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&bus->counts.lag_sum_ms, lag, memory_order_relaxed);
}

static void deliver(struct member_sub *base, const struct wwri_entry *entry) {
  struct bus_receiver *receiver = receiver_of(base);
  struct redis_bus *bus = bus_of(receiver);
  struct wwri_bus_message message;
  if (!wwri_rbus_read_message(bus, entry, &message)) return;
  if (is_first(receiver)) note_lag(bus, entry);
  atomic_fetch_add_explicit(&bus->counts.delivered, 1, memory_order_relaxed);
  receiver->sub->deliver(receiver->sub, &message);
}

static void verdict(struct member_sub *base, const struct wwri_verdict *what) {
  struct bus_receiver *receiver = receiver_of(base);
  struct redis_bus *bus = bus_of(receiver);
  if (!base->base.joined) return; /* it has missed nothing */
  if (is_first(receiver)) {
    atomic_fetch_add(&bus->counts.verdicts[what->kind], 1);
  }
  receiver->sub->verdict(receiver->sub, what);
}

static void refused(struct member_sub *base);

static struct bus_receiver *receiver_new(struct redis_bus *bus,
                                         struct wwr_view name,
                                         struct wwri_bus_sub *sub) {
  struct bus_channel *channel = wwri_map_get(&bus->by_name, name);
  struct bus_receiver *receiver = calloc(1, sizeof *receiver);
  if (receiver && !channel) channel = channel_new(bus, name);
  if (!receiver || !channel) { /* a new channel is never left empty */
    free(receiver);
    return NULL;
  }
  receiver->base.deliver = deliver;
  receiver->base.verdict = verdict;
  receiver->base.refused = refused;
  wwri_list_init(&receiver->base.base.node);
  receiver->bus = bus;
  receiver->sub = sub;
  receiver->channel = channel;
  wwri_list_init(&receiver->joins);
  wwri_list_init(&receiver->pressed);
  wwri_list_append(&channel->receivers, &receiver->node);
  pthread_mutex_lock(&bus->locked.mutex);
  sub->channel = receiver;
  sub->joined = false;
  pthread_mutex_unlock(&bus->locked.mutex);
  return receiver;
}

static struct wwri_bus_op *join_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct bus_work, u.join.node)->op;
}

/* Take an open join back. */
static void take_back(struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  wwri_list_remove(&work->u.join.join.base.node);
  wwri_list_remove(&work->u.join.node);
}

static void count_pressure(struct redis_bus *bus, struct bus_channel *channel,
                           int change) {
  bool before = channel->full > 0;
  channel->full = (unsigned)((int)channel->full + change);
  if (before == (channel->full > 0)) return;
  wwri_node_pressure(wwri_member_node(bus->member), name_of(channel), !before);
}

/* The receiver goes, and joins that are open fail. Its sub may be gone with the
 * first of them, so it is let go before. */
static void receiver_end(struct redis_bus *bus, struct bus_receiver *receiver,
                         wwr_err err) {
  struct bus_channel *channel = receiver->channel;
  pthread_mutex_lock(&bus->locked.mutex);
  receiver->sub->channel = NULL;
  receiver->sub->joined = false;
  wwri_list_remove(&receiver->pressed);
  pthread_mutex_unlock(&bus->locked.mutex);
  wwri_node_leave(wwri_member_node(bus->member), name_of(channel),
                  &receiver->base.base, wwri_member_now());
  wwri_list_remove(&receiver->node);
  if (receiver->full_known) count_pressure(bus, channel, -1);
  if (wwri_list_empty(&channel->receivers)) channel_free(bus, channel);
  while (!wwri_list_empty(&receiver->joins)) {
    struct wwri_bus_op *op = join_of(receiver->joins.next);
    take_back(op);
    wwri_rbus_fail(bus, op, err, true);
  }
  free(receiver);
}

/* --- joins --- */

static void joined(struct member_join *join, struct wwri_logid from,
                   const struct wwri_entry *history, size_t count) {
  struct bus_work *work = WWRI_CONTAINER(join, struct bus_work, u.join.join);
  struct redis_bus *bus = work->bus;
  struct wwri_bus_result result = {.id = from};
  work->u.join.receiver->sub->joined = true;
  wwri_list_remove(&work->u.join.node);
  result.message_count = wwri_rbus_read_messages(bus, history, count);
  result.messages = bus->messages;
  wwri_rbus_end(bus, work->op, &result);
}

/* Let a receiver begin, or one more joiner. False: no memory. */
static bool begin(struct redis_bus *bus, struct bus_receiver *receiver,
                  struct wwri_bus_op *op) {
  struct bus_work *work = bus_work_of(op);
  struct wwri_join *join = &work->u.join.join.base;
  work->u.join.receiver = receiver;
  work->u.join.join.joined = joined;
  *join = (struct wwri_join){.sub = &receiver->base.base, .history = op->count};
  wwri_list_init(&join->node);
  wwri_list_append(&receiver->joins, &work->u.join.node);
  wwri_rbus_wait(bus, op);
  return wwri_node_join(wwri_member_node(bus->member),
                        name_of(receiver->channel), join) == WWR_OK;
}

void wwri_rbus_subscribe(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_receiver *receiver =
      receiver_new(bus, bus_work_of(op)->channel, op->sub);
  if (!receiver) {
    wwri_rbus_fail(bus, op, WWR_E_NOMEM, true);
  } else if (!begin(bus, receiver, op)) {
    receiver_end(bus, receiver, WWR_E_NOMEM);
  }
}

void wwri_rbus_join(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_receiver *receiver = op->sub->channel;
  if (!receiver) {
    wwri_rbus_fail(bus, op, WWR_E_CLOSED, true);
  } else if (!begin(bus, receiver, op)) {
    take_back(op);
    wwri_rbus_fail(bus, op, WWR_E_NOMEM, true);
  }
}

void wwri_rbus_unsubscribe(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_receiver *receiver = op->sub->channel;
  const struct wwri_bus_result result = {.err = WWR_OK};
  if (receiver) receiver_end(bus, receiver, WWR_E_CLOSED);
  wwri_rbus_end(bus, op, &result);
}

void wwri_rbus_join_expired(struct redis_bus *bus, struct wwri_bus_op *op) {
  struct bus_receiver *receiver = bus_work_of(op)->u.join.receiver;
  if (op->kind == BUS_SUBSCRIBE) {
    receiver_end(bus, receiver, WWR_E_UNAVAILABLE);
  } else {
    take_back(op);
    wwri_rbus_fail(bus, op, WWR_E_UNAVAILABLE, true);
  }
}

/* One that stands already keeps what it has. */
static void refused(struct member_sub *base) {
  struct bus_receiver *receiver = receiver_of(base);
  if (!base->base.joined) {
    receiver_end(bus_of(receiver), receiver, WWR_E_REFUSED);
  }
}

/* --- pressure, verdicts, the end --- */

void wwri_rbus_press(struct redis_bus *bus) {
  struct wwri_list *node;
  pthread_mutex_lock(&bus->locked.mutex);
  while ((node = wwri_list_pop(&bus->locked.pressed))) {
    struct bus_receiver *receiver =
        WWRI_CONTAINER(node, struct bus_receiver, pressed);
    bool full = receiver->full;
    receiver->in_pressed = false;
    if (full == receiver->full_known) continue;
    receiver->full_known = full;
    count_pressure(bus, receiver->channel, full ? 1 : -1);
  }
  pthread_mutex_unlock(&bus->locked.mutex);
}

static void channel_uncertain(struct bus_channel *channel) {
  static const struct wwri_verdict uncertain = {.kind = WWRI_UNCERTAIN};
  struct wwri_list *at = channel->receivers.next;
  for (; at != &channel->receivers; at = at->next) {
    verdict(&WWRI_CONTAINER(at, struct bus_receiver, node)->base, &uncertain);
  }
}

void wwri_rbus_uncertain(struct redis_bus *bus) {
  struct wwri_list *at = bus->channels.next;
  for (; at != &bus->channels; at = at->next) {
    channel_uncertain(WWRI_CONTAINER(at, struct bus_channel, node));
  }
}

void wwri_rbus_channels_end(struct redis_bus *bus) {
  while (!wwri_list_empty(&bus->channels)) {
    struct bus_channel *channel =
        WWRI_CONTAINER(bus->channels.next, struct bus_channel, node);
    receiver_end(
        bus, WWRI_CONTAINER(channel->receivers.next, struct bus_receiver, node),
        WWR_E_CLOSED);
  }
}
