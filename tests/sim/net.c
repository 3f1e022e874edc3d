/* net.c - connections between nodes and servers: what is sent on one arrives in
 * order, a little later, or not at all when it is cut first. What a node sent
 * before it closed its end may arrive long after that. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { POLL_MS = 500, LATE_MS = 12000 };

static uint64_t delay(struct world *world) {
  return world_chance(world, 3) ? world_below(world, 300)
                                : world_below(world, 3);
}

static struct server *server_of(struct world *world, unsigned index) {
  return &world->model.servers[index];
}

static struct conn *conn_of(struct world *world, const struct event *event) {
  return &world->nodes[event->node].link.conns[event->side];
}

void net_send(struct node *node, enum wwri_pair_side side, struct event event) {
  struct world *world = node->world;
  struct conn *conn = &node->link.conns[side];
  if (conn->id == 0) return;
  uint64_t at = world->now_ms + delay(world);
  if (at < conn->last_out) at = conn->last_out;
  conn->last_out = at;
  event.node = node->index;
  event.side = side;
  event.connection = conn->id;
  event.server = conn->server;
  event.life = conn->life;
  world_push(world, at, event);
}

static void to_node(struct world *world, struct node *node,
                    enum wwri_pair_side side, struct event event) {
  struct conn *conn = &node->link.conns[side];
  uint64_t at = world->now_ms + delay(world);
  if (at < conn->last_in) at = conn->last_in;
  conn->last_in = at;
  event.node = node->index;
  event.side = side;
  event.connection = conn->id;
  world_push(world, at, event);
}

/* --- connecting and closing --- */

static unsigned view_of(struct node *node) {
  struct world *world = node->world;
  bool minority = world->partition && (world->minority >> node->index & 1);
  bool stale = world->now_ms < world->stale_until_ms && world_chance(world, 30);
  if (stale) return world->move.from;
  return minority ? world->old_master : world->master;
}

void net_connect(struct node *node, enum wwri_pair_side side) {
  struct conn *conn = &node->link.conns[side];
  *conn = (struct conn){.id = ++node->world->next_connection};
  conn->server = view_of(node);
  conn->life = server_of(node->world, conn->server)->lives;
  net_send(node, side, (struct event){.kind = EVENT_CONNECT});
}

void net_close(struct node *node, enum wwri_pair_side side) {
  struct world *world = node->world;
  struct conn *conn = &node->link.conns[side];
  struct closed *closed = &world->closed[conn->id % CLOSED_MAX];
  if (conn->id == 0) return;
  *closed =
      (struct closed){conn->id, UINT64_MAX, conn->demotions, conn->held_ms};
  if (!conn->cut && world_chance(world, 50)) {
    uint64_t late = world_chance(world, 50) ? 0 : world_below(world, LATE_MS);
    closed->arrives_ms = world->now_ms + late;
  }
  conn->id = 0;
}

void net_cut(struct world *world, struct node *node, enum wwri_pair_side side) {
  struct conn *conn = &node->link.conns[side];
  if (conn->id == 0 || conn->cut || !node->alive) return;
  struct event event = {.kind = EVENT_CLOSED};
  to_node(world, node, side, event);
  conn->cut = true;
}

/* The link takes the server's word, "sunsubscribe", for its end. */
void net_unsubscribed(struct world *world, unsigned shard) {
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    struct conn *conn = &node->link.conns[WWRI_PAIR_SUBSCRIBER];
    if (!node->alive || !conn->id || shard_of(conn->server) != shard) continue;
    memset(conn->takes, 0, sizeof conn->takes);
    conn->listens = false;
    if (!conn->blackhole && !world->params.follow) {
      net_cut(world, node, WWRI_PAIR_SUBSCRIBER);
    }
  }
}

static bool is_current(const struct node *node, const struct event *event) {
  return node->alive && node->link.conns[event->side].id == event->connection;
}

static bool reachable(struct world *world, const struct node *node,
                      unsigned server) {
  if (node->isolated_until > world->now_ms) return false;
  if (!world->partition) return true;
  bool minority = world->minority >> node->index & 1;
  return minority == (server == world->old_master);
}

/* --- at the server --- */

static void connect_at_server(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  struct conn *conn = conn_of(world, event);
  if (!is_current(node, event)) return;
  if (reachable(world, node, event->server) &&
      server_of(world, event->server)->up) {
    conn->life = server_of(world, event->server)->lives;
    conn->demotions = server_of(world, event->server)->demotions;
    to_node(world, node, event->side, (struct event){.kind = EVENT_OPENED});
  } else if (world_chance(world, 50)) {
    net_cut(world, node, event->side); /* refused */
  } else {
    conn->blackhole = true;
  }
}

static void request_at_server(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  struct server *server = server_of(world, event->server);
  struct request *request = &event->request;
  struct event reply = {.kind = EVENT_ANSWER};
  reply.answer = model_execute(&world->model, server, request, world->now_ms);
  if (request->kind == WWRI_CALL_PUBLISH) {
    oracle_trace(
        &world->oracle,
        "server %u: publish c%u #%u-%llu%s: status %d answer %d", server->index,
        request->channel, (unsigned)request->author.hi,
        (unsigned long long)request->seq, request->retry ? " again" : "",
        (int)reply.answer->reply.status, (int)reply.answer->reply.answer);
  }
  if (is_current(node, event)) {
    to_node(world, node, event->side, reply);
  } else {
    world->late++;
    free(reply.answer);
  }
}

static void subscribe_at_server(struct world *world, struct event *event) {
  if (!server_of(world, event->server)->has_slot) {
    net_cut(world, &world->nodes[event->node], event->side); /* MOVED */
    return;
  }
  conn_of(world, event)->takes[event->channel] = event->on;
  struct event reply = {
      .kind = EVENT_CONFIRM, .channel = event->channel, .on = event->on};
  to_node(world, &world->nodes[event->node], event->side, reply);
}

static void step_at_server(struct world *world, struct event *event) {
  struct server *server = server_of(world, event->server);
  struct event reply = {
      .kind = EVENT_STEP_DONE, .step = event->step, .on = true};
  if (event->step == WWRI_STEP_INFO) server_info(server, &reply.info);
  if (event->step == WWRI_STEP_LISTEN) {
    reply.on = server->has_slot; /* else MOVED */
    conn_of(world, event)->listens = reply.on;
  }
  if (event->step == WWRI_STEP_LOAD) {
    reply.on = world->now_ms >= server->loading_until;
  }
  to_node(world, &world->nodes[event->node], event->side, reply);
}

static struct closed *closed_of(struct world *world,
                                const struct event *event) {
  struct closed *closed = &world->closed[event->connection % CLOSED_MAX];
  return closed->id == event->connection ? closed : NULL;
}

/* A server that was demoted and promoted since, and that nobody beat on yet,
 * still has the old generation: docs/rules.md's row 5, which no rule covers. So
 * this ends its connections (Sentinel does: it kills the clients of whom it
 * demotes); those of replicas stay open. */
static bool is_killed(const struct server *server, unsigned demotions) {
  return server->master && server->demotions != demotions;
}

/* When what was sent on a connection that its node closed arrives. */
static uint64_t arrival(struct world *world, const struct event *event) {
  const struct closed *closed = closed_of(world, event);
  const struct server *server = server_of(world, event->server);
  if (event->kind != EVENT_REQUEST || !closed) return UINT64_MAX;
  if (is_killed(server, closed->demotions)) return UINT64_MAX;
  return closed->arrives_ms;
}

/* When it may arrive at the earliest; UINT64_MAX: never. */
static uint64_t when(struct world *world, const struct event *event) {
  const struct node *node = &world->nodes[event->node];
  const struct server *server = server_of(world, event->server);
  const struct conn *conn = conn_of(world, event);
  bool current = is_current(node, event);
  uint64_t at = current ? conn->held_ms : arrival(world, event);
  if (event->life != server->lives || !server->up) return UINT64_MAX;
  if (current && conn->cut) return UINT64_MAX;
  if (at == UINT64_MAX) return at;
  if (!current && at < closed_of(world, event)->held_ms) {
    at = closed_of(world, event)->held_ms;
  }
  if (at < server->paused_until) at = server->paused_until;
  if (at > world->now_ms) return at;
  bool carries =
      reachable(world, node, event->server) && !(current && conn->blackhole);
  return world->now_ms + (carries ? 0 : POLL_MS);
}

/* False: it never arrives here, or not yet; what was sent behind it waits. */
static bool arrives(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  uint64_t at = when(world, event);
  if (at <= world->now_ms && is_current(node, event) &&
      is_killed(server_of(world, event->server),
                conn_of(world, event)->demotions)) {
    net_cut(world, node, event->side);
    return false;
  }
  if (at == UINT64_MAX) return false;
  if (at <= world->now_ms) return true;
  if (is_current(node, event)) {
    conn_of(world, event)->held_ms = at;
  } else {
    closed_of(world, event)->held_ms = at;
  }
  world_push(world, at, *event);
  return false;
}

static void at_server(struct world *world, struct event *event) {
  if (event->kind == EVENT_CONNECT) {
    uint64_t until = server_of(world, event->server)->paused_until;
    if (until > world->now_ms) {
      world_push(world, until, *event);
    } else {
      connect_at_server(world, event);
    }
    return;
  }
  if (!arrives(world, event)) return;
  if (event->kind == EVENT_REQUEST) {
    request_at_server(world, event);
  } else if (event->kind == EVENT_STEP) {
    step_at_server(world, event);
  } else {
    subscribe_at_server(world, event);
  }
}

static void send_hint(struct world *world, struct node *node,
                      const struct op *op) {
  struct event event = {
      .kind = EVENT_HINT, .channel = op->channel, .entry = op->entry};
  bool hints = world->faults >> FAULT_HINTS & 1;
  if (hints && world_chance(world, 3)) return;
  to_node(world, node, WWRI_PAIR_SUBSCRIBER, event);
  if (hints && world_chance(world, 3)) {
    to_node(world, node, WWRI_PAIR_SUBSCRIBER, event);
  }
}

void net_published(struct model *model, struct server *server,
                   const struct op *op) {
  struct world *world = model->user;
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    struct conn *conn = &node->link.conns[WWRI_PAIR_SUBSCRIBER];
    if (!node->alive || !conn->id || conn->blackhole || conn->cut) continue;
    if (conn->server != server->index) continue;
    if (op->kind == OP_PUBLISH && conn->takes[op->channel]) {
      send_hint(world, node, op);
    } else if (op->kind == OP_PUBLISH_BEAT && conn->listens &&
               wwri_boot_equal(op->boot, node->core.boot)) {
      struct event event = {.kind = EVENT_BEAT_BACK, .arg = op->b};
      event.request.token = op->a;
      to_node(world, node, WWRI_PAIR_SUBSCRIBER, event);
    }
  }
}

/* --- at the node --- */

static bool concerns(struct world *world, const struct event *event) {
  const struct node *node = &world->nodes[event->node];
  if (event->kind == EVENT_MASTER) {
    return node->alive && node->proc == event->connection;
  }
  if (!is_current(node, event)) return false;
  return event->kind == EVENT_CLOSED || !conn_of(world, event)->blackhole;
}

static void at_node(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (!concerns(world, event)) return;
  world_run_node(node); /* it may have slept */
  if (!concerns(world, event)) return;
  link_event(node, event);
  world_run_node(node);
}

static bool is_at_server(const struct event *event) {
  return event->kind == EVENT_REQUEST || event->kind == EVENT_SUBSCRIBE ||
         event->kind == EVENT_CONNECT || event->kind == EVENT_STEP;
}

void net_event(struct world *world, struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (is_at_server(event)) {
    at_server(world, event);
  } else if (node->paused_until > world->now_ms) {
    struct event later = *event;
    event->answer = NULL;
    world_push(world, node->paused_until, later);
  } else {
    at_node(world, event);
  }
}
