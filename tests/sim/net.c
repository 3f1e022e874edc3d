/* net.c - links between nodes and servers: what is sent on one arrives in
 * order, a little later, or not at all when the link is cut first. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { CONNECT_TIMEOUT_MS = 2000 };

static uint64_t delay(struct world *world) {
  return world_chance(world, 3) ? world_below(world, 300)
                                : world_below(world, 3);
}

static struct server *server_of(struct world *world, unsigned index) {
  return &world->model.servers[index];
}

/* --- the node's side --- */

static void to_server(struct node *node, enum wwri_link link,
                      struct event event) {
  struct link_state *state = &node->links[link];
  if (state->id == 0) return;
  uint64_t at = node->world->now_ms + delay(node->world);
  if (at < state->last_out) at = state->last_out;
  state->last_out = at;
  event.node = node->index;
  event.link = link;
  event.connection = state->id;
  event.server = state->server;
  world_push(node->world, at, event);
}

static void to_node(struct world *world, struct node *node, enum wwri_link link,
                    struct event event) {
  struct link_state *state = &node->links[link];
  uint64_t at = world->now_ms + delay(world);
  if (at < state->last_in) at = state->last_in;
  state->last_in = at;
  event.node = node->index;
  event.link = link;
  event.connection = state->id;
  world_push(world, at, event);
}

static unsigned channel_of(struct wwr_view name) {
  return (unsigned)(name.data[1] - '0');
}

static void out_call(struct wwri_node *core, const struct wwri_call *call) {
  struct node *node = world_node_of(core);
  struct event event = {.kind = EVENT_REQUEST};
  struct request *request = &event.request;
  request->kind = call->kind;
  request->boot = call->boot;
  request->n = call->n;
  request->from = call->from;
  request->count = call->count;
  request->touch = call->touch;
  if (call->channel.len) request->channel = channel_of(call->channel);
  for (size_t i = 0; i < call->channel_count; i++) {
    const struct wwri_node_channel *channel = call->channels[i];
    struct wwr_view name = {channel->name, channel->name_len};
    request->channels[request->channel_count++] = channel_of(name);
  }
  if (call->publish) {
    const struct wwri_publish *publish = call->publish;
    struct call *record =
        oracle_find(&node->world->oracle, publish->boot, publish->seq);
    assert(record);
    request->boot = publish->boot;
    request->seq = publish->seq;
    request->channel = record->channel;
    request->from = publish->hint;
    request->retry = publish->retry;
    request->deep = publish->deep;
    request->age_ms = call->age_ms;
    request->data = (struct wwr_view){record->data, sizeof record->data};
  }
  to_server(node, WWRI_LINK_COMMAND, event);
}

static void out_subscribe(struct wwri_node *core, const struct wwr_view *name,
                          bool on) {
  struct event event = {.kind = EVENT_SUBSCRIBE, .on = on};
  event.channel = name ? channel_of(*name) : CHANNELS;
  to_server(world_node_of(core), WWRI_LINK_SUBSCRIBER, event);
}

static void out_reconnect(struct wwri_node *core, enum wwri_link link) {
  struct node *node = world_node_of(core);
  node->links[link] = (struct link_state){0};
  net_connect(node, link);
}

static void out_event(struct wwri_node *core, enum wwri_node_event event) {
  static const char *const names[] = {"live",      "down",   "uncertain",
                                      "data lost", "fenced", "refused"};
  struct node *node = world_node_of(core);
  oracle_trace(&node->world->oracle, "node %u: %s", node->proc, names[event]);
  if (event != WWRI_NODE_UNCERTAIN) return;
  for (unsigned i = 0; i < CHANNELS; i++) {
    struct wwri_verdict verdict = {.kind = WWRI_UNCERTAIN};
    oracle_verdict(&node->world->oracle, node->proc, i,
                   server_of(node->world, node->links[0].server), &verdict);
  }
}

static struct wwri_boot out_new_boot(struct wwri_node *core) {
  struct node *node = world_node_of(core);
  return (struct wwri_boot){node->proc, ++node->boots};
}

const struct wwri_node_out net_out = {out_call, out_subscribe, out_reconnect,
                                      out_event, out_new_boot};

/* --- connecting --- */

static unsigned view_of(struct node *node) {
  struct world *world = node->world;
  bool minority = world->partition && (world->minority >> node->index & 1);
  return minority ? world->old_master : world->master;
}

void net_connect(struct node *node, enum wwri_link link) {
  struct world *world = node->world;
  struct link_state *state = &node->links[link];
  *state = (struct link_state){.id = ++world->next_connection};
  state->server = view_of(node);
  uint64_t back_off = 20 + world_below(world, 300);
  struct event event = {.kind = EVENT_CONNECT,
                        .node = node->index,
                        .link = link,
                        .connection = state->id,
                        .server = state->server};
  world_push(world, world->now_ms + back_off, event);
  event.kind = EVENT_CONNECT_TIMEOUT;
  world_push(world, world->now_ms + back_off + CONNECT_TIMEOUT_MS, event);
}

static bool is_current(const struct node *node, const struct event *event) {
  return node->alive && node->links[event->link].id == event->connection;
}

static bool reachable(struct world *world, const struct node *node,
                      unsigned server) {
  if (node->isolated_until > world->now_ms) return false;
  if (!server_of(world, server)->up) return false;
  if (!world->partition) return true;
  bool minority = world->minority >> node->index & 1;
  return minority == (server == world->old_master);
}

static void connect_at_server(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  struct link_state *state = &node->links[event->link];
  if (!is_current(node, event)) return;
  if (!reachable(world, node, event->server)) {
    net_connect(node, event->link);
    return;
  }
  struct event reply = {.kind = EVENT_CONNECTED, .server = event->server};
  server_id(server_of(world, event->server), &reply.id);
  state->last_in = world->now_ms;
  to_node(world, node, event->link, reply);
}

void net_close(struct world *world, struct node *node, enum wwri_link link) {
  struct link_state *state = &node->links[link];
  if (state->id == 0 || !node->alive) return;
  struct event event = {.kind = EVENT_CLOSED};
  to_node(world, node, link, event);
  state->blackhole = true;
}

/* --- at the server --- */

static bool gone(struct world *world, const struct event *event) {
  const struct node *node = &world->nodes[event->node];
  if (!is_current(node, event)) return true;
  if (node->links[event->link].blackhole) return true;
  return !server_of(world, event->server)->up;
}

static void request_at_server(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  struct server *server = server_of(world, event->server);
  struct event reply = {.kind = EVENT_ANSWER};
  reply.answer =
      model_execute(&world->model, server, &event->request, world->now_ms);
  if (event->request.kind == WWRI_CALL_PUBLISH) {
    oracle_trace(&world->oracle,
                 "server %u: publish c%u #%u-%llu%s: status %d answer %d",
                 server->index, event->request.channel, node->proc,
                 (unsigned long long)event->request.seq,
                 event->request.retry ? " again" : "",
                 (int)reply.answer->reply.status,
                 (int)reply.answer->reply.answer);
  }
  to_node(world, node, event->link, reply);
}

static void subscribe_at_server(struct world *world, struct event *event) {
  struct link_state *state = &world->nodes[event->node].links[event->link];
  state->takes[event->channel] = event->on;
  struct event reply = {.kind = EVENT_CONFIRM, .channel = event->channel};
  to_node(world, &world->nodes[event->node], event->link, reply);
}

static void send_hint(struct world *world, struct node *node,
                      const struct op *op) {
  struct event event = {
      .kind = EVENT_HINT, .channel = op->channel, .entry = op->entry};
  bool hints = world->faults >> FAULT_HINTS & 1;
  if (hints && world_chance(world, 3)) return;
  to_node(world, node, WWRI_LINK_SUBSCRIBER, event);
  if (hints && world_chance(world, 3)) {
    to_node(world, node, WWRI_LINK_SUBSCRIBER, event);
  }
}

void net_published(struct model *model, struct server *server,
                   const struct op *op) {
  struct world *world = model->user;
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    struct link_state *state = &node->links[WWRI_LINK_SUBSCRIBER];
    if (!node->alive || !state->id || state->blackhole) continue;
    if (state->server != server->index) continue;
    if (op->kind == OP_PUBLISH && state->takes[op->channel]) {
      send_hint(world, node, op);
    } else if (op->kind == OP_PUBLISH_BEAT && state->takes[CHANNELS] &&
               wwri_boot_equal(op->boot, node->core.boot)) {
      struct event event = {
          .kind = EVENT_HEARD, .boot = op->boot, .arg = op->a};
      event.request.n = op->b;
      to_node(world, node, WWRI_LINK_SUBSCRIBER, event);
    }
  }
}

/* --- at the node --- */

static void at_node(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  struct link_state *state = &node->links[event->link];
  static const char names[CHANNELS][3] = {"c0", "c1", "c2"};
  uint64_t now = world->now_ms;
  if (!is_current(node, event)) return;
  if (state->blackhole && event->kind != EVENT_CLOSED &&
      event->kind != EVENT_CONNECT_TIMEOUT) {
    return;
  }
  wwri_node_run(&node->core, now); /* it may have slept */
  if (!is_current(node, event)) return;
  switch (event->kind) {
    case EVENT_CONNECTED:
      state->up = true;
      wwri_node_link_up(&node->core, event->link, &event->id, now);
      break;
    case EVENT_CLOSED:
      wwri_node_link_down(&node->core, event->link, now);
      net_connect(node, event->link);
      break;
    case EVENT_CONNECT_TIMEOUT:
      if (!state->up) net_connect(node, event->link);
      break;
    case EVENT_ANSWER:
      wwri_node_reply(&node->core, &event->answer->reply, now);
      break;
    case EVENT_CONFIRM:
      wwri_node_confirmed(&node->core);
      break;
    case EVENT_HINT:
      wwri_node_hint(&node->core, wwr_view_str(names[event->channel]),
                     &event->entry, now);
      break;
    case EVENT_HEARD:
      wwri_node_heard(&node->core, event->boot, event->arg, event->request.n,
                      now);
      break;
    default:
      assert(false && "an event for servers");
  }
  world_run_node(node);
}

static bool is_at_server(const struct event *event) {
  return event->kind == EVENT_REQUEST || event->kind == EVENT_SUBSCRIBE ||
         event->kind == EVENT_CONNECT;
}

void net_event(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (is_at_server(event)) {
    uint64_t until = server_of(world, event->server)->paused_until;
    if (until > world->now_ms) {
      world_push(world, until, *event);
    } else if (event->kind == EVENT_CONNECT) {
      connect_at_server(world, event);
    } else if (!gone(world, event)) {
      if (event->kind == EVENT_REQUEST) {
        request_at_server(world, event);
      } else {
        subscribe_at_server(world, event);
      }
    }
    return;
  }
  if (node->paused_until > world->now_ms) {
    struct event later = *event;
    event->answer = NULL;
    world_push(world, node->paused_until, later);
    return;
  }
  at_node(world, event);
}
