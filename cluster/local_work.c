/* local_work.c - what operations of the local bus do. All of it on the bus
 * thread, one after the other; a done or deliver function may call the bus
 * again, which only queues. */
#include "local_impl.h"

#include <stdlib.h>

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

static struct wwr_view channel_of(const struct wwri_bus_op *op) {
  const struct local_copy *copy = op->copy;
  return copy->channel;
}

/* --- receiving --- */

static void complete_with_history(struct local_bus *bus,
                                  const struct local_channel *channel,
                                  struct wwri_bus_op *op) {
  struct wwri_bus_result result = {.id = channel->last};
  struct wwri_bus_message *messages;
  result.err = wwri_local_last(bus, channel, op->before, op->count, &messages,
                               &result.message_count);
  result.messages = messages;
  complete(op, &result);
  free(messages);
}

static void subscribe(struct local_bus *bus, struct wwri_bus_op *op) {
  struct local_channel *channel = wwri_local_make(bus, channel_of(op));
  struct wwri_bus_result result = {0};
  struct wwri_bus_message *messages;
  if (!channel || wwri_local_last(bus, channel, op->before, op->count,
                                  &messages, &result.message_count)) {
    wwri_local_fail(op, WWR_E_NOMEM);
    return;
  }
  wwri_list_append(&channel->subs, &op->sub->node);
  op->sub->channel = channel;
  op->sub->joined = true;
  result.id = channel->last;
  result.messages = messages;
  complete(op, &result);
  free(messages);
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

static void history(struct local_bus *bus, struct wwri_bus_op *op) {
  static const struct wwri_bus_result nothing;
  const struct local_channel *channel = wwri_local_find(bus, channel_of(op));
  if (channel) {
    complete_with_history(bus, channel, op);
  } else {
    complete(op, &nothing);
  }
}

/* --- publishing --- */

static void deliver(struct local_bus *bus, struct local_channel *channel,
                    const struct wwri_bus_message *message) {
  struct wwri_list *node = channel->subs.next;
  for (; node != &channel->subs; node = node->next) {
    struct wwri_bus_sub *sub = WWRI_CONTAINER(node, struct wwri_bus_sub, node);
    bus->run.delivered++;
    sub->deliver(sub, message);
  }
}

static void publish_unlogged(struct local_bus *bus, struct wwri_bus_op *op,
                             struct local_entry *entry) {
  struct local_channel *channel = wwri_local_find(bus, entry->copy.channel);
  struct wwri_bus_result result = {0};
  bus->run.published++;
  if (channel) deliver(bus, channel, &entry->message);
  complete(op, &result);
}

static void publish(struct local_bus *bus, struct wwri_bus_op *op) {
  struct local_entry *entry = op->copy;
  entry->message.time_ms = bus->run.now_ms;
  if (entry->limit.entries == 0) {
    publish_unlogged(bus, op, entry);
    return;
  }
  struct local_channel *channel = wwri_local_make(bus, entry->copy.channel);
  if (!channel) {
    wwri_local_fail(op, WWR_E_NOMEM);
    return;
  }
  channel->last.offset++;
  entry->message.id = channel->last;
  bus->run.published++;
  struct wwri_bus_result result = {.id = channel->last};
  deliver(bus, channel, &entry->message);
  op->copy = NULL;
  wwri_local_keep(bus, channel, entry);
  complete(op, &result);
}

/* --- presence --- */

static void presence_set(struct local_bus *bus, struct wwri_bus_op *op) {
  struct local_member *member = op->copy;
  struct wwri_bus_result result = {0};
  if (member->member.connections == 0) {
    struct local_channel *channel = wwri_local_find(bus, channel_of(op));
    if (channel) wwri_local_member_remove(channel, member->member.member);
  } else {
    struct local_channel *channel = wwri_local_make(bus, channel_of(op));
    if (!channel || wwri_local_member_set(channel, member)) {
      wwri_local_fail(op, WWR_E_NOMEM);
      return;
    }
    op->copy = NULL;
  }
  complete(op, &result);
}

static void presence_list(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_channel *channel = wwri_local_find(bus, channel_of(op));
  size_t count = channel ? channel->member_by_name.count : 0;
  struct wwri_bus_result result = {.member_count = count};
  struct wwri_bus_member *members = NULL;
  if (count) {
    members = malloc(count * sizeof *members);
    if (!members) {
      wwri_local_fail(op, WWR_E_NOMEM);
      return;
    }
    const struct wwri_list *node = channel->members.next;
    for (size_t i = 0; i < count; i++, node = node->next) {
      members[i] = WWRI_CONTAINER(node, struct local_member, node)->member;
    }
    result.connections = channel->connections;
  }
  result.members = members;
  complete(op, &result);
  free(members);
}

static void subscribers(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_channel *channel = wwri_local_find(bus, channel_of(op));
  struct wwri_bus_result result = {0};
  if (channel) result.connections = channel->connections;
  complete(op, &result);
}

/* --- nodes: there is one --- */

static void nodes(struct local_bus *bus, struct wwri_bus_op *op) {
  struct wwri_bus_node self = {.boot = bus->boot,
                               .name = bus->name,
                               .address = bus->address,
                               .version = wwr_version(),
                               .started_ms = bus->run.started_ms};
  pthread_mutex_lock(&bus->locked.mutex);
  self.connections = bus->locked.connections;
  self.draining = bus->locked.draining;
  pthread_mutex_unlock(&bus->locked.mutex);
  struct wwri_bus_result result = {.nodes = &self, .node_count = 1};
  complete(op, &result);
}

static void tell(struct local_bus *bus, struct wwri_bus_op *op) {
  const struct local_tell *told = op->copy;
  const struct wwri_bus_events *events = bus->config.events;
  void *owner = bus->config.owner;
  struct wwri_bus_result result = {0};
  if (op->kind == LOCAL_CONTROL) {
    if (events->control)
      events->control(owner, told->copy.channel, told->bytes);
  } else if (wwri_boot_equal(told->node, bus->boot)) {
    if (events->direct) events->direct(owner, told->copy.channel, told->bytes);
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
      history(bus, op);
      break;
    case LOCAL_PRESENCE_SET:
      presence_set(bus, op);
      break;
    case LOCAL_PRESENCE_LIST:
      presence_list(bus, op);
      break;
    case LOCAL_SUBSCRIBERS:
      subscribers(bus, op);
      break;
    case LOCAL_NODES:
      nodes(bus, op);
      break;
    case LOCAL_SEND:
    case LOCAL_CONTROL:
      tell(bus, op);
      break;
  }
}
