/* local_channel.c - what operations do to the channels of the local bus. All of
 * it on the bus thread, one after the other; a done or deliver function may
 * call the bus again, which only queues. */
#include "local_impl.h"

#include <stdlib.h>
#include <string.h>

static void complete(struct wwri_bus_op *op,
                     const struct wwri_bus_result *result) {
  free(op->copy);
  op->copy = NULL;
  op->done(op, result);
}

void wwri_local_fail(struct wwri_bus_op *op, wwr_err err) {
  struct wwri_bus_result result = {.err = err, .certain = true};
  complete(op, &result);
}

/* --- channels --- */

static struct wwr_view name_of(const struct local_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

static struct local_channel *channel_new(struct local_bus *bus,
                                         struct wwr_view name) {
  struct local_channel *channel = malloc(sizeof *channel + name.len);
  if (!channel) return NULL;
  *channel = (struct local_channel){.name_len = name.len};
  memcpy(channel->name, name.data, name.len);
  if (wwri_map_insert(&bus->run.by_name, name, channel)) {
    free(channel);
    return NULL;
  }
  channel->last.epoch = ++bus->run.next_epoch;
  wwri_list_init(&channel->log);
  wwri_list_init(&channel->subs);
  wwri_list_init(&channel->members);
  wwri_list_append(&bus->run.channels, &channel->node);
  return channel;
}

static struct local_channel *find(struct local_bus *bus, struct wwr_view name) {
  return wwri_map_get(&bus->run.by_name, name);
}

static struct local_channel *find_or_make(struct local_bus *bus,
                                          struct wwr_view name) {
  struct local_channel *channel = find(bus, name);
  return channel ? channel : channel_new(bus, name);
}

static void drop_oldest(struct local_channel *channel) {
  struct wwri_list *node = wwri_list_pop(&channel->log);
  free(WWRI_CONTAINER(node, struct local_entry, node));
  channel->log_count--;
}

static void channel_free(struct local_bus *bus, struct local_channel *channel) {
  struct wwri_list *node;
  while (channel->log_count) drop_oldest(channel);
  while ((node = wwri_list_pop(&channel->subs))) {
    WWRI_CONTAINER(node, struct wwri_bus_sub, node)->channel = NULL;
  }
  while ((node = wwri_list_pop(&channel->members))) {
    free(WWRI_CONTAINER(node, struct local_member, node));
  }
  wwri_map_remove(&bus->run.by_name, name_of(channel));
  wwri_list_remove(&channel->node);
  free(channel);
}

static void drop_old(struct local_bus *bus, struct local_channel *channel) {
  while (channel->log_count) {
    const struct local_entry *oldest =
        WWRI_CONTAINER(channel->log.next, struct local_entry, node);
    uint64_t age = bus->run.now_ms - oldest->message.time_ms;
    if (age < bus->config.log_age_ms) break;
    drop_oldest(channel);
  }
}

/* A channel that is dropped begins anew with a larger epoch: no id is used
 * twice. */
void wwri_local_sweep(struct local_bus *bus) {
  struct wwri_list *node = bus->run.channels.next;
  while (node != &bus->run.channels) {
    struct local_channel *channel =
        WWRI_CONTAINER(node, struct local_channel, node);
    node = node->next;
    drop_old(bus, channel);
    if (channel->log_count == 0 && wwri_list_empty(&channel->subs) &&
        channel->member_count == 0) {
      channel_free(bus, channel);
    }
  }
  bus->run.sweep_at_ms = bus->run.now_ms + bus->config.log_age_ms / 4;
}

void wwri_local_clear(struct local_bus *bus) {
  while (!wwri_list_empty(&bus->run.channels)) {
    channel_free(bus, WWRI_CONTAINER(bus->run.channels.next,
                                     struct local_channel, node));
  }
}

/* --- history --- */

/* The last `count` messages; *out is to be freed. */
static wwr_err collect(struct local_bus *bus, struct local_channel *channel,
                       uint32_t count, struct wwri_bus_message **out,
                       size_t *out_count) {
  *out = NULL;
  *out_count = 0;
  if (!channel) return WWR_OK;
  drop_old(bus, channel);
  if (count > WWRI_HISTORY_MAX) count = WWRI_HISTORY_MAX;
  if (count > channel->log_count) count = (uint32_t)channel->log_count;
  if (count == 0) return WWR_OK;
  struct wwri_bus_message *messages = malloc(count * sizeof *messages);
  if (!messages) return WWR_E_NOMEM;
  const struct wwri_list *node = channel->log.prev;
  for (uint32_t i = count; i > 0; i--, node = node->prev) {
    messages[i - 1] =
        WWRI_CONTAINER(node, const struct local_entry, node)->message;
  }
  *out = messages;
  *out_count = count;
  return WWR_OK;
}

static void complete_with_history(struct local_bus *bus,
                                  struct local_channel *channel,
                                  struct wwri_bus_op *op) {
  struct wwri_bus_result result = {0};
  struct wwri_bus_message *messages;
  result.err =
      collect(bus, channel, op->count, &messages, &result.message_count);
  result.messages = messages;
  if (channel) result.id = channel->last;
  if (result.err == WWR_OK && op->kind == LOCAL_SUBSCRIBE) {
    wwri_list_append(&channel->subs, &op->sub->node);
    op->sub->channel = channel;
    op->sub->joined = true;
  }
  complete(op, &result);
  free(messages);
}

static void subscribe(struct local_bus *bus, struct wwri_bus_op *op) {
  struct local_channel *channel = find_or_make(bus, local_copy_of(op)->first);
  if (channel) {
    complete_with_history(bus, channel, op);
  } else {
    wwri_local_fail(op, WWR_E_NOMEM);
  }
}

static void join(struct local_bus *bus, struct wwri_bus_op *op) {
  if (op->sub->joined) {
    complete_with_history(bus, op->sub->channel, op);
  } else {
    wwri_local_fail(op, WWR_E_CLOSED);
  }
}

static void unsubscribe(struct wwri_bus_op *op) {
  struct wwri_bus_result result = {0};
  wwri_list_remove(&op->sub->node);
  op->sub->channel = NULL;
  op->sub->joined = false;
  complete(op, &result);
}

/* --- publishing --- */

static struct local_entry *entry_new(const struct local_copy *copy) {
  struct local_entry *entry =
      malloc(sizeof *entry + copy->second.len + copy->third.len);
  if (!entry) return NULL;
  *entry = (struct local_entry){0};
  uint8_t *payload = entry->bytes + copy->second.len;
  if (copy->second.len)
    memcpy(entry->bytes, copy->second.data, copy->second.len);
  if (copy->third.len) memcpy(payload, copy->third.data, copy->third.len);
  entry->message.name = (struct wwr_view){entry->bytes, copy->second.len};
  entry->message.payload.data = (struct wwr_view){payload, copy->third.len};
  entry->message.payload.encoding = copy->encoding;
  return entry;
}

static void deliver(struct local_bus *bus, struct local_channel *channel,
                    const struct wwri_bus_message *message) {
  struct wwri_list *node = channel->subs.next;
  for (; node != &channel->subs; node = node->next) {
    struct wwri_bus_sub *sub = WWRI_CONTAINER(node, struct wwri_bus_sub, node);
    bus->run.delivered++;
    sub->deliver(sub, message);
  }
}

static void publish(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_copy *copy = local_copy_of(op);
  struct local_channel *channel = find_or_make(bus, copy->first);
  struct local_entry *entry = channel ? entry_new(copy) : NULL;
  if (!entry) {
    wwri_local_fail(op, WWR_E_NOMEM);
    return;
  }
  channel->last.offset++;
  entry->message.id = channel->last;
  entry->message.time_ms = bus->run.now_ms;
  bus->run.published++;
  struct wwri_bus_result result = {.id = channel->last};
  deliver(bus, channel, &entry->message);
  if (copy->logged) {
    wwri_list_append(&channel->log, &entry->node);
    channel->log_count++;
    if (channel->log_count > bus->config.log_entries) drop_oldest(channel);
  } else {
    free(entry);
  }
  complete(op, &result);
}

/* --- presence --- */

static struct local_member *find_member(struct local_channel *channel,
                                        struct wwr_view name) {
  struct wwri_list *node = channel->members.next;
  for (; node != &channel->members; node = node->next) {
    struct local_member *member =
        WWRI_CONTAINER(node, struct local_member, node);
    if (wwr_view_equal(member->member.member, name)) return member;
  }
  return NULL;
}

static struct local_member *member_new(const struct local_copy *copy) {
  struct local_member *member =
      malloc(sizeof *member + copy->second.len + copy->third.len);
  if (!member) return NULL;
  uint8_t *info = member->bytes + copy->second.len;
  memcpy(member->bytes, copy->second.data, copy->second.len);
  if (copy->third.len) memcpy(info, copy->third.data, copy->third.len);
  member->member.member = (struct wwr_view){member->bytes, copy->second.len};
  member->member.info = (struct wwr_view){info, copy->third.len};
  member->member.connections = copy->connections;
  return member;
}

static void presence_set(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_copy *copy = local_copy_of(op);
  struct wwri_bus_result result = {0};
  bool here = copy->connections > 0;
  struct local_channel *channel =
      here ? find_or_make(bus, copy->first) : find(bus, copy->first);
  struct local_member *fresh = here && channel ? member_new(copy) : NULL;
  if (here && !fresh) {
    wwri_local_fail(op, WWR_E_NOMEM);
    return;
  }
  struct local_member *old =
      channel ? find_member(channel, copy->second) : NULL;
  if (old) {
    wwri_list_remove(&old->node);
    channel->member_count--;
    free(old);
  }
  if (fresh) {
    wwri_list_append(&channel->members, &fresh->node);
    channel->member_count++;
  }
  complete(op, &result);
}

static void presence_list(struct local_bus *bus, struct wwri_bus_op *op) {
  struct local_channel *channel = find(bus, local_copy_of(op)->first);
  size_t count = channel ? channel->member_count : 0;
  struct wwri_bus_result result = {.member_count = count};
  struct wwri_bus_member *members = NULL;
  if (count && op->kind == LOCAL_PRESENCE_LIST) {
    members = malloc(count * sizeof *members);
    if (!members) {
      wwri_local_fail(op, WWR_E_NOMEM);
      return;
    }
    const struct wwri_list *node = channel->members.next;
    for (size_t i = 0; i < count; i++, node = node->next) {
      members[i] =
          WWRI_CONTAINER(node, const struct local_member, node)->member;
    }
  }
  result.members = members;
  complete(op, &result);
  free(members);
}

/* --- to nodes: there is one --- */

static void tell(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_copy *copy = local_copy_of(op);
  const struct wwri_bus_events *events = bus->config.events;
  struct wwri_bus_result result = {0};
  if (op->kind == LOCAL_CONTROL) {
    if (events->control) {
      events->control(bus->config.owner, copy->first, copy->third);
    }
  } else if (wwri_boot_equal(copy->node, bus->boot)) {
    if (events->direct) {
      events->direct(bus->config.owner, copy->first, copy->third);
    }
  } else {
    result.err = WWR_E_REFUSED;
    result.certain = true;
  }
  complete(op, &result);
}

void wwri_local_execute(struct local_bus *bus, struct wwri_bus_op *op) {
  switch ((enum local_kind)op->kind) {
    case LOCAL_SUBSCRIBE:
      subscribe(bus, op);
      break;
    case LOCAL_JOIN:
      join(bus, op);
      break;
    case LOCAL_UNSUBSCRIBE:
      unsubscribe(op);
      break;
    case LOCAL_PUBLISH:
      publish(bus, op);
      break;
    case LOCAL_HISTORY:
      complete_with_history(bus, find(bus, local_copy_of(op)->first), op);
      break;
    case LOCAL_PRESENCE_SET:
      presence_set(bus, op);
      break;
    case LOCAL_PRESENCE_LIST:
    case LOCAL_PRESENCE_COUNT:
      presence_list(bus, op);
      break;
    case LOCAL_SEND:
    case LOCAL_CONTROL:
      tell(bus, op);
      break;
  }
}
