/* local.c - the bus of one process: calls become operations in one queue, and
 * run() carries them out in that order. So one order holds for everybody, and
 * nothing but the queue needs a lock.
 *
 * What can go wrong: no memory for a copy, or too much waiting: the call says
 * so and nothing happened. Closed: what waits completes with WWR_E_CLOSED. */
#include "local_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct local_bus *local_of(struct wwr_bus *bus) {
  return WWRI_CONTAINER(bus, struct local_bus, base);
}

/* --- copies and the queue --- */

/* A block of `head` bytes, behind it the bytes of the views, which then point
 * there. The block begins with its struct local_copy, of which the channel is
 * left to the caller. */
static void *copy_new(size_t head, struct wwr_view *views[], size_t count) {
  size_t size = head;
  for (size_t i = 0; i < count; i++) size += views[i]->len;
  uint8_t *block = malloc(size);
  if (!block) return NULL;
  uint8_t *at = block + head;
  for (size_t i = 0; i < count; i++) {
    if (views[i]->len) memcpy(at, views[i]->data, views[i]->len);
    views[i]->data = at;
    at += views[i]->len;
  }
  ((struct local_copy *)(void *)block)->size = size;
  return block;
}

/* What must always be possible is not counted. */
static size_t cost_of(const struct wwri_bus_op *op) {
  const struct local_copy *copy = op->copy;
  if (op->kind == LOCAL_UNSUBSCRIBE) return 0;
  return sizeof *op + (copy ? copy->size : 0);
}

/* Queue an operation with its copy (may be NULL for those that need none). */
static wwr_err submit(struct local_bus *bus, struct wwri_bus_op *op,
                      enum local_kind kind, void *copy) {
  wwr_err err = WWR_OK;
  bool wake = false;
  op->kind = kind;
  op->copy = copy;
  size_t size = cost_of(op);
  pthread_mutex_lock(&bus->locked.mutex);
  if (!bus->locked.open) {
    err = WWR_E_CLOSED;
  } else if (size > 0 &&
             bus->locked.queued_bytes + size > bus->config.max_queued_bytes) {
    err = WWR_E_LIMIT;
  } else {
    wwri_list_append(&bus->locked.queue, &op->node);
    bus->locked.queued_bytes += size;
    wake = !bus->locked.woken;
    bus->locked.woken = true;
  }
  pthread_mutex_unlock(&bus->locked.mutex);
  if (err) free(copy);
  if (wake) bus->config.events->wake(bus->config.owner);
  return err;
}

static wwr_err submit_named(struct wwr_bus *bus, struct wwr_view channel,
                            enum local_kind kind, struct wwri_bus_op *op) {
  if (!wwri_channel_name_ok(channel)) return WWR_E_INVALID;
  struct wwr_view *views[] = {&channel};
  struct local_copy *copy = copy_new(sizeof *copy, views, 1);
  if (!copy) return WWR_E_NOMEM;
  copy->channel = channel;
  return submit(local_of(bus), op, kind, copy);
}

static void take_queue(struct local_bus *bus, struct wwri_list *out,
                       bool close) {
  wwri_list_init(out);
  pthread_mutex_lock(&bus->locked.mutex);
  wwri_list_splice(out, &bus->locked.queue);
  bus->locked.queued_bytes = 0;
  bus->locked.woken = false;
  if (close) bus->locked.open = false;
  pthread_mutex_unlock(&bus->locked.mutex);
}

static struct wwri_bus_op *op_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_bus_op, node);
}

/* --- life --- */

/* Of use only where several processes log into one place. */
static void name_self(struct local_bus *bus) {
  char host[64] = "";
  if (gethostname(host, sizeof host - 1)) host[0] = '\0';
  snprintf(bus->name, sizeof bus->name, "%s-%ld", host[0] ? host : "localhost",
           (long)getpid());
}

static wwr_err local_open(struct wwr_bus *base,
                          const struct wwri_bus_config *config,
                          uint64_t now_ms) {
  struct local_bus *bus = local_of(base);
  if (!config->events || !config->events->wake || bus->address) {
    return WWR_E_INVALID;
  }
  bus->address = strdup(config->address ? config->address : "");
  if (!bus->address) return WWR_E_NOMEM;
  bus->config = *config;
  bus->config.fingerprint = NULL;
  bus->config.address = NULL;
  bus->config.log = NULL;
  bus->run.next_epoch = now_ms * 1000;
  bus->run.now_ms = bus->run.clock_ms = bus->run.started_ms = now_ms;
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.open = true;
  pthread_mutex_unlock(&bus->locked.mutex);
  return WWR_OK;
}

static void local_close(struct wwr_bus *base) {
  struct local_bus *bus = local_of(base);
  struct wwri_list queue, *node;
  take_queue(bus, &queue, true);
  while ((node = wwri_list_pop(&queue))) {
    wwri_local_fail(op_of(node), WWR_E_CLOSED);
  }
  wwri_local_clear(bus);
}

static void publish_counts(struct local_bus *bus) {
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.channels = bus->run.by_name.count;
  bus->locked.published = bus->run.published;
  bus->locked.delivered = bus->run.delivered;
  pthread_mutex_unlock(&bus->locked.mutex);
}

static void local_run(struct wwr_bus *base, uint64_t now_ms) {
  struct local_bus *bus = local_of(base);
  struct wwri_list queue, *node;
  if (now_ms > bus->run.now_ms) bus->run.clock_ms += now_ms - bus->run.now_ms;
  bus->run.now_ms = now_ms;
  take_queue(bus, &queue, false);
  while ((node = wwri_list_pop(&queue))) wwri_local_execute(bus, op_of(node));
  wwri_local_sweep(bus);
  publish_counts(bus);
}

/* --- calls --- */

static wwr_err local_subscribe(struct wwr_bus *bus, struct wwr_view channel,
                               struct wwri_bus_sub *sub, uint32_t history,
                               struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  sub->joined = false;
  sub->channel = NULL;
  wwri_list_init(&sub->node);
  return submit_named(bus, channel, LOCAL_SUBSCRIBE, op);
}

static wwr_err local_join(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                          uint32_t history, struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  return submit(local_of(bus), op, LOCAL_JOIN, NULL);
}

static wwr_err local_unsubscribe(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                                 struct wwri_bus_op *op) {
  op->sub = sub;
  return submit(local_of(bus), op, LOCAL_UNSUBSCRIBE, NULL);
}

/* Nothing is ever repaired here. */
static void local_pressure(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                           bool full) {
  (void)bus, (void)sub, (void)full;
}

static wwr_err local_publish(struct wwr_bus *base, struct wwr_view channel,
                             const struct wwri_bus_publish *what,
                             struct wwri_bus_op *op) {
  struct local_bus *bus = local_of(base);
  wwr_err err = wwri_bus_check_publish(&bus->config, channel, what);
  if (err) return err;
  struct wwri_bus_message message = {
      .sender = what->sender, .name = what->name, .payload = what->payload};
  struct wwr_view *views[] = {&channel, &message.name, &message.payload.data};
  struct local_entry *entry = copy_new(sizeof *entry, views, 3);
  if (!entry) return WWR_E_NOMEM;
  entry->copy.channel = channel;
  entry->limit = what->limit;
  entry->message = message;
  return submit(bus, op, LOCAL_PUBLISH, entry);
}

static wwr_err local_history(struct wwr_bus *bus, struct wwr_view channel,
                             uint32_t count, struct wwri_bus_op *op) {
  op->count = count;
  return submit_named(bus, channel, LOCAL_HISTORY, op);
}

static wwr_err local_presence_set(struct wwr_bus *bus, struct wwr_view channel,
                                  const struct wwri_bus_member *what,
                                  struct wwri_bus_op *op) {
  wwr_err err = wwri_bus_check_member(channel, what);
  if (err) return err;
  struct wwri_bus_member copied = *what;
  struct wwr_view *views[] = {&channel, &copied.member, &copied.info};
  struct local_member *member = copy_new(sizeof *member, views, 3);
  if (!member) return WWR_E_NOMEM;
  member->copy.channel = channel;
  member->member = copied;
  member->info_from = NULL;
  return submit(local_of(bus), op, LOCAL_PRESENCE_SET, member);
}

static wwr_err local_presence_list(struct wwr_bus *bus, struct wwr_view channel,
                                   struct wwri_bus_op *op) {
  return submit_named(bus, channel, LOCAL_PRESENCE_LIST, op);
}

static wwr_err local_subscribers(struct wwr_bus *bus, struct wwr_view channel,
                                 struct wwri_bus_op *op) {
  return submit_named(bus, channel, LOCAL_SUBSCRIBERS, op);
}

static wwr_err local_nodes(struct wwr_bus *bus, struct wwri_bus_op *op) {
  return submit(local_of(bus), op, LOCAL_NODES, NULL);
}

static void local_load(struct wwr_bus *base, uint64_t connections,
                       bool draining) {
  struct local_bus *bus = local_of(base);
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.connections = connections;
  bus->locked.draining = draining;
  pthread_mutex_unlock(&bus->locked.mutex);
}

static wwr_err submit_told(struct wwr_bus *base, struct wwr_view topic,
                           struct wwr_view bytes, struct wwri_boot node,
                           enum local_kind kind, struct wwri_bus_op *op) {
  struct local_bus *bus = local_of(base);
  wwr_err err = wwri_bus_check_topic(&bus->config, topic, bytes);
  if (err) return err;
  struct wwr_view *views[] = {&topic, &bytes};
  struct local_tell *told = copy_new(sizeof *told, views, 2);
  if (!told) return WWR_E_NOMEM;
  told->copy.channel = topic;
  told->node = node;
  told->bytes = bytes;
  return submit(bus, op, kind, told);
}

static wwr_err local_send(struct wwr_bus *bus, struct wwri_boot node,
                          struct wwr_view topic, struct wwr_view bytes,
                          struct wwri_bus_op *op) {
  return submit_told(bus, topic, bytes, node, LOCAL_SEND, op);
}

static wwr_err local_control(struct wwr_bus *bus, struct wwr_view topic,
                             struct wwr_view bytes, struct wwri_bus_op *op) {
  return submit_told(bus, topic, bytes, local_of(bus)->boot, LOCAL_CONTROL, op);
}

static size_t local_boots(struct wwr_bus *bus, struct wwri_boot *out,
                          size_t cap) {
  if (cap) *out = local_of(bus)->boot;
  return cap ? 1 : 0;
}

static void local_state(struct wwr_bus *base, struct wwri_bus_state *out) {
  struct local_bus *bus = local_of(base);
  *out = (struct wwri_bus_state){.health = WWRI_BUS_READY};
  pthread_mutex_lock(&bus->locked.mutex);
  if (!bus->locked.open) out->health = WWRI_BUS_UNREADY;
  out->channels = bus->locked.channels;
  out->published = bus->locked.published;
  out->delivered = bus->locked.delivered;
  out->queued_bytes = bus->locked.queued_bytes;
  pthread_mutex_unlock(&bus->locked.mutex);
  if (out->health != WWRI_BUS_READY) {
    snprintf(out->reason, sizeof out->reason, "not open");
  }
}

static size_t local_shards(struct wwr_bus *bus, struct wwri_bus_shard *out,
                           size_t cap) {
  (void)bus, (void)out, (void)cap;
  return 0;
}

static void local_free(struct wwr_bus *base) {
  struct local_bus *bus = local_of(base);
  wwri_map_deinit(&bus->run.by_name);
  pthread_mutex_destroy(&bus->locked.mutex);
  free(bus->address);
  free(bus);
}

static const struct wwri_bus_ops ops = {.open = local_open,
                                        .close = local_close,
                                        .run = local_run,
                                        .subscribe = local_subscribe,
                                        .join = local_join,
                                        .unsubscribe = local_unsubscribe,
                                        .pressure = local_pressure,
                                        .publish = local_publish,
                                        .history = local_history,
                                        .presence_set = local_presence_set,
                                        .presence_list = local_presence_list,
                                        .subscribers = local_subscribers,
                                        .nodes = local_nodes,
                                        .load = local_load,
                                        .send = local_send,
                                        .control = local_control,
                                        .boots = local_boots,
                                        .state = local_state,
                                        .shards = local_shards,
                                        .free = local_free};

wwr_err wwri_localbus_new(struct wwr_bus **out, struct wwri_boot boot) {
  struct local_bus *bus = calloc(1, sizeof *bus);
  *out = NULL;
  if (!bus) return WWR_E_NOMEM;
  if (pthread_mutex_init(&bus->locked.mutex, NULL)) {
    free(bus);
    return WWR_E_NOMEM;
  }
  name_self(bus);
  bus->base.ops = &ops;
  bus->base.name = bus->name;
  bus->boot = boot;
  wwri_list_init(&bus->locked.queue);
  wwri_list_init(&bus->run.channels);
  wwri_list_init(&bus->run.by_age);
  wwri_map_init(&bus->run.by_name);
  *out = &bus->base;
  return WWR_OK;
}
