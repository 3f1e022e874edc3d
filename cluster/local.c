/* local.c - the bus of one process: calls become operations in one queue, and
 * run() carries them out in that order. So one order holds for everybody, and
 * nothing but the queue needs a lock.
 *
 * What can go wrong: no memory for a copy, or too much waiting: the call says
 * so and nothing happened. Closed: what waits completes with WWR_E_CLOSED. */
#include "local_impl.h"

#include <stdlib.h>
#include <string.h>

void wwri_bus_config_default(struct wwri_bus_config *config) {
  *config = (struct wwri_bus_config){.max_payload_bytes = 64 * 1024,
                                     .max_queued_bytes = 8u << 20,
                                     .log_entries = 1000,
                                     .log_age_ms = 600000};
}

static struct local_bus *local_of(struct wwri_bus *bus) {
  return WWRI_CONTAINER(bus, struct local_bus, base);
}

static struct wwr_view copy_view(uint8_t **at, struct wwr_view view) {
  struct wwr_view copy = {*at, view.len};
  if (view.len) memcpy(*at, view.data, view.len);
  *at += view.len;
  return copy;
}

static struct local_copy *copy_new(struct wwr_view first,
                                   struct wwr_view second,
                                   struct wwr_view third) {
  size_t size = sizeof(struct local_copy) + first.len + second.len + third.len;
  struct local_copy *copy = malloc(size);
  if (!copy) return NULL;
  *copy = (struct local_copy){.size = size};
  uint8_t *at = copy->bytes;
  copy->first = copy_view(&at, first);
  copy->second = copy_view(&at, second);
  copy->third = copy_view(&at, third);
  return copy;
}

/* Queue an operation with its copy (may be NULL for those that need none). */
static wwr_err submit(struct local_bus *bus, struct wwri_bus_op *op,
                      enum local_kind kind, struct local_copy *copy) {
  size_t size = copy ? copy->size : 0;
  wwr_err err = WWR_OK;
  bool wake = false;
  op->kind = kind;
  op->copy = copy;
  pthread_mutex_lock(&bus->locked.mutex);
  if (!bus->locked.open) {
    err = WWR_E_CLOSED;
  } else if (bus->locked.queued_bytes + size > bus->config.max_queued_bytes) {
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

static wwr_err submit_named(struct wwri_bus *bus, struct wwr_view channel,
                            enum local_kind kind, struct wwri_bus_op *op) {
  static const struct wwr_view none = {0};
  if (!wwri_channel_name_ok(channel)) return WWR_E_INVALID;
  struct local_copy *copy = copy_new(channel, none, none);
  if (!copy) return WWR_E_NOMEM;
  return submit(local_of(bus), op, kind, copy);
}

/* --- the ops --- */

static wwr_err local_open(struct wwri_bus *base,
                          const struct wwri_bus_config *config,
                          uint64_t now_ms) {
  struct local_bus *bus = local_of(base);
  if (!config->events || !config->events->wake || config->log_entries == 0) {
    return WWR_E_INVALID;
  }
  bus->config = *config;
  bus->run.next_epoch = now_ms * 1000;
  bus->run.now_ms = now_ms;
  bus->run.sweep_at_ms = now_ms + config->log_age_ms / 4;
  pthread_mutex_lock(&bus->locked.mutex);
  bus->locked.open = true;
  pthread_mutex_unlock(&bus->locked.mutex);
  return WWR_OK;
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

static void local_close(struct wwri_bus *base) {
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

static void local_run(struct wwri_bus *base, uint64_t now_ms) {
  struct local_bus *bus = local_of(base);
  struct wwri_list queue, *node;
  /* The wall clock may step back; ages must not. */
  if (now_ms > bus->run.now_ms) bus->run.now_ms = now_ms;
  take_queue(bus, &queue, false);
  while ((node = wwri_list_pop(&queue))) wwri_local_execute(bus, op_of(node));
  if (bus->run.now_ms >= bus->run.sweep_at_ms) wwri_local_sweep(bus);
  publish_counts(bus);
}

static wwr_err local_subscribe(struct wwri_bus *bus, struct wwr_view channel,
                               struct wwri_bus_sub *sub, uint32_t history,
                               struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  sub->joined = false;
  sub->channel = NULL;
  wwri_list_init(&sub->node);
  return submit_named(bus, channel, LOCAL_SUBSCRIBE, op);
}

static wwr_err local_join(struct wwri_bus *bus, struct wwri_bus_sub *sub,
                          uint32_t history, struct wwri_bus_op *op) {
  op->sub = sub;
  op->count = history;
  return submit(local_of(bus), op, LOCAL_JOIN, NULL);
}

static wwr_err local_unsubscribe(struct wwri_bus *bus, struct wwri_bus_sub *sub,
                                 struct wwri_bus_op *op) {
  op->sub = sub;
  return submit(local_of(bus), op, LOCAL_UNSUBSCRIBE, NULL);
}

/* Nothing is ever repaired here. */
static void local_pressure(struct wwri_bus *bus, struct wwri_bus_sub *sub,
                           bool full) {
  (void)bus, (void)sub, (void)full;
}

static wwr_err local_publish(struct wwri_bus *base, struct wwr_view channel,
                             bool logged, const struct wwr_message *message,
                             struct wwri_bus_op *op) {
  struct local_bus *bus = local_of(base);
  if (!wwri_channel_name_ok(channel) || message->name.len > 255) {
    return WWR_E_INVALID;
  }
  if (message->payload.data.len > bus->config.max_payload_bytes) {
    return WWR_E_BUFFER_OVERFLOW;
  }
  struct local_copy *copy =
      copy_new(channel, message->name, message->payload.data);
  if (!copy) return WWR_E_NOMEM;
  copy->logged = logged;
  copy->encoding = message->payload.encoding;
  return submit(bus, op, LOCAL_PUBLISH, copy);
}

static wwr_err local_history(struct wwri_bus *bus, struct wwr_view channel,
                             uint32_t count, struct wwri_bus_op *op) {
  op->count = count;
  return submit_named(bus, channel, LOCAL_HISTORY, op);
}

static wwr_err local_presence_set(struct wwri_bus *bus, struct wwr_view channel,
                                  const struct wwri_bus_member *member,
                                  struct wwri_bus_op *op) {
  size_t len = member->member.len;
  if (!wwri_channel_name_ok(channel) || len < 1 || len > 255) {
    return WWR_E_INVALID;
  }
  struct local_copy *copy = copy_new(channel, member->member, member->info);
  if (!copy) return WWR_E_NOMEM;
  copy->connections = member->connections;
  return submit(local_of(bus), op, LOCAL_PRESENCE_SET, copy);
}

static wwr_err local_presence_list(struct wwri_bus *bus,
                                   struct wwr_view channel,
                                   struct wwri_bus_op *op) {
  return submit_named(bus, channel, LOCAL_PRESENCE_LIST, op);
}

static wwr_err local_presence_count(struct wwri_bus *bus,
                                    struct wwr_view channel,
                                    struct wwri_bus_op *op) {
  return submit_named(bus, channel, LOCAL_PRESENCE_COUNT, op);
}

static wwr_err submit_topic(struct wwri_bus *bus, struct wwr_view topic,
                            struct wwr_view bytes, struct wwri_boot node,
                            enum local_kind kind, struct wwri_bus_op *op) {
  static const struct wwr_view none = {0};
  if (topic.len > WWRI_BUS_TOPIC_MAX) return WWR_E_INVALID;
  struct local_copy *copy = copy_new(topic, none, bytes);
  if (!copy) return WWR_E_NOMEM;
  copy->node = node;
  return submit(local_of(bus), op, kind, copy);
}

static wwr_err local_send(struct wwri_bus *bus, struct wwri_boot node,
                          struct wwr_view topic, struct wwr_view bytes,
                          struct wwri_bus_op *op) {
  return submit_topic(bus, topic, bytes, node, LOCAL_SEND, op);
}

static wwr_err local_control(struct wwri_bus *bus, struct wwr_view topic,
                             struct wwr_view bytes, struct wwri_bus_op *op) {
  return submit_topic(bus, topic, bytes, local_of(bus)->boot, LOCAL_CONTROL,
                      op);
}

static struct wwri_boot local_boot(struct wwri_bus *bus) {
  return local_of(bus)->boot;
}

static void local_state(struct wwri_bus *base, struct wwri_bus_state *out) {
  struct local_bus *bus = local_of(base);
  *out = (struct wwri_bus_state){.health = WWRI_BUS_READY};
  pthread_mutex_lock(&bus->locked.mutex);
  if (!bus->locked.open) out->health = WWRI_BUS_UNREADY;
  out->channels = bus->locked.channels;
  out->published = bus->locked.published;
  out->delivered = bus->locked.delivered;
  out->queued_bytes = bus->locked.queued_bytes;
  pthread_mutex_unlock(&bus->locked.mutex);
}

static void local_free(struct wwri_bus *base) {
  struct local_bus *bus = local_of(base);
  wwri_map_deinit(&bus->run.by_name);
  pthread_mutex_destroy(&bus->locked.mutex);
  free(bus);
}

static const struct wwri_bus_ops ops = {
    local_open,         local_close,         local_run,
    local_subscribe,    local_join,          local_unsubscribe,
    local_pressure,     local_publish,       local_history,
    local_presence_set, local_presence_list, local_presence_count,
    local_send,         local_control,       local_boot,
    local_state,        local_free};

wwr_err wwri_localbus_new(struct wwri_bus **out, struct wwri_boot boot) {
  struct local_bus *bus = calloc(1, sizeof *bus);
  *out = NULL;
  if (!bus) return WWR_E_NOMEM;
  if (pthread_mutex_init(&bus->locked.mutex, NULL)) {
    free(bus);
    return WWR_E_NOMEM;
  }
  bus->base.ops = &ops;
  bus->boot = boot;
  wwri_list_init(&bus->locked.queue);
  wwri_list_init(&bus->run.channels);
  wwri_map_init(&bus->run.by_name);
  *out = &bus->base;
  return WWR_OK;
}
