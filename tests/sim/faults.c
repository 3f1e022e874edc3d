/* faults.c - what goes wrong in a run, when, and for how long. */
#include <stdio.h>

#include "world.h"

enum { TWO_BEATS_MS = 2000 };

static const char *const fault_names[FAULTS] = {
    "cut",      "blackhole", "isolate",  "pause",     "restart",
    "truncate", "empty",     "failover", "partition", "demote",
    "evict",    "memory",    "sleep",    "kill",      "hints",
    "flap",     "pressure",  "handover", "move"};

const char *fault_name(enum fault fault) {
  return fault_names[fault];
}

static bool needs_replica(unsigned fault) {
  return fault == FAULT_FAILOVER || fault == FAULT_PARTITION ||
         fault == FAULT_DEMOTE || fault == FAULT_HANDOVER;
}

static void draw_faults(struct world *world) {
  for (unsigned i = 0; i < FAULTS; i++) {
    if (world_chance(world, 30)) world->faults |= 1u << i;
  }
  if (world->params.faults) world->faults = world->params.faults;
  for (unsigned i = 0; i < FAULTS; i++) {
    if (needs_replica(i) && world->servers == 1) world->faults &= ~(1u << i);
  }
  if (world->faults >> FAULT_MOVE & 1) world->shards = SHARDS;
}

void faults_plan(struct world *world) {
  draw_faults(world);
  uint32_t diverge = 1u << FAULT_TRUNCATE | 1u << FAULT_FAILOVER |
                     1u << FAULT_PARTITION | 1u << FAULT_DEMOTE;
  uint32_t lose = 1u << FAULT_EMPTY | 1u << FAULT_EVICT;
  if (world->faults & diverge) world->oracle.may_diverge = true;
  if (world->faults & lose) world->oracle.may_lose = true;
  /* A channel that exists on one side of a fork only can't be matched. */
  if (world->faults & diverge) world->oracle.may_lose = true;
  world->lag_ms = world_chance(world, 50) ? world_below(world, 20)
                                          : world_below(world, 2000);
  for (unsigned i = 0; i < FAULTS; i++) {
    if (!(world->faults >> i & 1)) continue;
    unsigned times = 1 + (unsigned)world_below(world, 3);
    for (unsigned t = 0; t < times; t++) {
      uint64_t at = 1000 + world_below(world, world->end_of_faults_ms - 1000);
      world_push(world, at,
                 (struct event){.kind = EVENT_FAULT, .fault = (enum fault)i});
    }
  }
}

static struct server *master_of(struct world *world) {
  return &world->model.servers[world->master];
}

static struct node *random_node(struct world *world) {
  return &world->nodes[world_below(world, world->node_count)];
}

static void heal_later(struct world *world, enum fault fault, uint64_t after,
                       uint64_t arg) {
  struct event event = {.kind = EVENT_HEAL, .fault = fault, .arg = arg};
  world_push(world, world->now_ms + after, event);
}

/* The server's connections end; told or not. */
static void drop_connections(struct world *world, unsigned server,
                             bool silently) {
  for (unsigned i = 0; i < world->node_count; i++) {
    for (int side = 0; side < WWRI_PAIR_SIDES; side++) {
      struct conn *conn = &world->nodes[i].link.conns[side];
      if (conn->id == 0 || conn->server != server) continue;
      if (silently) {
        conn->blackhole = true;
      } else {
        net_cut(world, &world->nodes[i], (enum wwri_pair_side)side);
      }
    }
  }
}

static void detach_replicas(struct world *world, unsigned shard) {
  for (unsigned i = 0; i < SERVERS; i++) {
    world->model.servers[shard * SERVERS + i].attached = false;
  }
}

/* Never shorter than before: what waits was put off until then. */
static void stand_still(uint64_t *until, uint64_t at_ms) {
  if (at_ms > *until) *until = at_ms;
}

/* --- one server --- */

static void server_dies(struct world *world, struct server *server) {
  server->up = false;
  server->lives++;
  drop_connections(world, server->index, world_chance(world, 30));
}

static void server_returns(struct world *world, struct server *server) {
  if (server->up) return;
  server->up = true;
  server_new_id(&world->model, server);
  server->loading_until = world->now_ms + world_below(world, 500);
  if (server->master) detach_replicas(world, shard_of(server->index));
}

static void restart(struct world *world, enum fault fault) {
  struct server *server = master_of(world);
  size_t limit = world->model.config.limit;
  if (!server->up) return;
  server_dies(world, server);
  size_t keep = server->op_count;
  if (fault == FAULT_EMPTY) keep = 0;
  if (fault == FAULT_TRUNCATE) {
    size_t lose = world_below(world, 200);
    keep = keep > lose ? keep - lose : 0;
  }
  server_truncate(server, keep, limit);
  if (world->move.state == MOVE_KEYS && fault != FAULT_RESTART) {
    world->move.disturbed = true;
  }
  sessions_data_changed(world);
  heal_later(world, FAULT_RESTART, 50 + world_below(world, 4000),
             server->index);
}

static void evict(struct world *world) {
  struct server *server = master_of(world);
  struct op op = {.at_ms = world->now_ms};
  op.channel = (unsigned)world_below(world, STREAMS);
  uint64_t what = world_below(world, 4);
  if (!server->up) return;
  if (what == 0 || what == 2) {
    op.kind = OP_DROP_META;
    model_write(&world->model, server, &op);
  }
  if (what == 1 || what == 2) {
    op.kind = OP_DROP_LOG;
    model_write(&world->model, server, &op);
  }
  if (what == 3) {
    op.kind = OP_DROP_GENERATION;
    model_write(&world->model, server, &op);
  }
}

/* --- several servers --- */

static void promote(struct world *world, unsigned index) {
  struct server *server = &world->model.servers[index];
  move_broken(world);
  server->master = true;
  server_new_id(&world->model, server);
  world->master = world->masters[shard_of(index)] = index;
  sessions_data_changed(world);
  detach_replicas(world, shard_of(index));
}

/* Demoted and promoted again between two beats is docs/rules.md's row 5, which
 * no rule covers: nobody asks for the generation in that time. */
static bool may_be_promoted(const struct world *world,
                            const struct server *server) {
  return server->up && !server->master && server->attached &&
         world->now_ms >= server->demoted_ms + TWO_BEATS_MS;
}

static void step_down(struct world *world, struct server *server) {
  server->master = server->attached = false;
  server->demoted_ms = world->now_ms;
  server->demotions++;
  server->stuck = world_chance(world, 30);
}

static unsigned some_replica(struct world *world) {
  unsigned first = (unsigned)world_below(world, world->servers);
  unsigned shard = shard_of(world->master);
  for (unsigned i = 0; i < world->servers; i++) {
    unsigned index = shard * SERVERS + (first + i) % world->servers;
    if (may_be_promoted(world, &world->model.servers[index])) return index;
  }
  return world->master;
}

static void failover(struct world *world) {
  struct server *old = master_of(world);
  unsigned next = some_replica(world);
  if (next == world->master || world->partition || !old->up) return;
  server_dies(world, old);
  heal_later(world, FAULT_FAILOVER, 500 + world_below(world, 2500), next);
  heal_later(world, FAULT_RESTART, 4000 + world_below(world, 8000), old->index);
}

static void take_over(struct world *world, unsigned next) {
  struct server *old = master_of(world);
  if (old->up || world->model.servers[next].master) return;
  if (!world->model.servers[next].up) return;
  step_down(world, old); /* Sentinel will see to that when it returns */
  promote(world, next);
}

/* The old master goes on, alone with some nodes, and is told later. */
static void partition(struct world *world) {
  unsigned next = some_replica(world);
  if (next == world->master || world->partition) return;
  world->partition = true;
  world->old_master = world->master;
  world->minority = (unsigned)world_below(world, 1u << world->node_count);
  for (unsigned i = 0; i < world->node_count; i++) {
    if (world->minority >> i & 1) continue;
    for (int side = 0; side < WWRI_PAIR_SIDES; side++) {
      struct conn *conn = &world->nodes[i].link.conns[side];
      conn->blackhole |= conn->server == world->old_master;
    }
  }
  promote(world, next);
  heal_later(world, FAULT_PARTITION, 1000 + world_below(world, 8000), 0);
}

static void end_partition(struct world *world) {
  if (!world->partition) return;
  world->partition = false;
  if (world->old_master == world->master) return;
  struct server *old = &world->model.servers[world->old_master];
  step_down(world, old);
  /* REPLICAOF closes nothing; Sentinel kills clients. */
  if (world_chance(world, 50)) drop_connections(world, old->index, false);
}

static void demote(struct world *world) {
  struct server *old = master_of(world);
  unsigned next = some_replica(world);
  if (next == world->master || world->partition || !old->up) return;
  step_down(world, old);
  promote(world, next);
}

/* CLUSTER FAILOVER: the replica has everything, then the roles change. Not
 * while a slot moves: a replica does not know which of its keys are elsewhere.
 */
static void hand_over(struct world *world) {
  struct server *old = master_of(world);
  unsigned next = some_replica(world);
  if (next == world->master || world->partition || !old->up) return;
  if (old->paused_until > world->now_ms || old->migrating) return;
  server_replicate(&world->model, &world->model.servers[next], old,
                   world->now_ms);
  step_down(world, old);
  promote(world, next);
}

/* --- nodes --- */

static void node_sleeps(struct world *world) {
  struct node *node = random_node(world);
  uint64_t lease = world->model.config.lease_ms;
  uint64_t length = world_chance(world, 30) ? lease + 2000 : 5000;
  if (!node->alive) return;
  stand_still(&node->paused_until,
              world->now_ms + 200 + world_below(world, length));
  struct event event = {.kind = EVENT_BACKLOG, .node = node->index};
  event.connection = node->proc;
  world_push(world, node->paused_until, event);
}

static void node_dies(struct world *world) {
  struct node *node = random_node(world);
  if (!node->alive || world->procs >= PROCS - NODES) return;
  world_kill_node(world, node->index);
  heal_later(world, FAULT_KILL, 200 + world_below(world, 5000), node->index);
}

static void node_returns(struct world *world, unsigned index) {
  if (world->nodes[index].alive) return;
  world_start_node(world, index);
  world_run_node(&world->nodes[index]);
}

static void press(struct world *world, bool full) {
  static const char names[CHANNELS][3] = {"c0", "c1", "c2"};
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    if (!node->alive || (full && world_chance(world, 50))) continue;
    for (unsigned c = 0; c < CHANNELS; c++) {
      wwri_node_pressure(&node->core, wwr_view_str(names[c]), full);
    }
  }
}

static void cut(struct world *world, bool silently) {
  struct node *node = random_node(world);
  enum wwri_pair_side side = (enum wwri_pair_side)world_below(world, 2);
  if (!node->alive) return;
  if (silently) {
    node->link.conns[side].blackhole = true;
  } else {
    net_cut(world, node, side);
  }
}

static void isolate(struct world *world) {
  struct node *node = random_node(world);
  if (!node->alive) return;
  uint64_t most = world_chance(world, 30) ? 25000 : 6000; /* over a lease */
  node->isolated_until = world->now_ms + 500 + world_below(world, most);
  node->link.conns[0].blackhole = node->link.conns[1].blackhole = true;
}

/* Sometimes for longer than a lease. */
static void pause_server(struct world *world) {
  uint64_t most = world_chance(world, 30) ? 14000 : 8000;
  uint64_t until = world->now_ms + 200 + world_below(world, most);
  uint64_t last = world->end_of_faults_ms + 8000;
  stand_still(&master_of(world)->paused_until, until < last ? until : last);
}

static void strike(struct world *world, enum fault fault) {
  switch (fault) {
    case FAULT_CUT:
    case FAULT_BLACKHOLE:
      cut(world, fault == FAULT_BLACKHOLE);
      break;
    case FAULT_ISOLATE:
      isolate(world);
      break;
    case FAULT_PAUSE:
      pause_server(world);
      break;
    case FAULT_RESTART:
    case FAULT_TRUNCATE:
    case FAULT_EMPTY:
      restart(world, fault);
      break;
    case FAULT_FAILOVER:
      failover(world);
      break;
    case FAULT_PARTITION:
      partition(world);
      break;
    case FAULT_DEMOTE:
      demote(world);
      break;
    case FAULT_EVICT:
      evict(world);
      break;
    case FAULT_MEMORY:
      master_of(world)->out_of_memory = true;
      heal_later(world, fault, 300 + world_below(world, 4000), world->master);
      break;
    case FAULT_SLEEP:
      node_sleeps(world);
      break;
    case FAULT_KILL:
      node_dies(world);
      break;
    case FAULT_PRESSURE:
      press(world, true);
      heal_later(world, fault, 300 + world_below(world, 4000), 0);
      break;
    case FAULT_HANDOVER:
      hand_over(world);
      break;
    case FAULT_MOVE:
      move_begin(world);
      break;
    case FAULT_HINTS:
    case FAULT_FLAP:
    case FAULTS:
      break;
  }
}

static void heal(struct world *world, const struct event *event) {
  unsigned index = (unsigned)event->arg;
  switch (event->fault) {
    case FAULT_RESTART:
      server_returns(world, &world->model.servers[index]);
      break;
    case FAULT_FAILOVER:
      take_over(world, index);
      break;
    case FAULT_PARTITION:
      end_partition(world);
      break;
    case FAULT_MEMORY:
      world->model.servers[index].out_of_memory = false;
      break;
    case FAULT_KILL:
      node_returns(world, index);
      break;
    case FAULT_PRESSURE:
      press(world, false);
      break;
    default:
      break;
  }
}

void faults_event(struct world *world, const struct event *event) {
  bool over = world->now_ms >= world->end_of_faults_ms;
  if (event->kind == EVENT_HEAL) {
    heal(world, event);
  } else if (!over) {
    oracle_trace(&world->oracle, "fault: %s", fault_name(event->fault));
    world->fault_count[event->fault]++;
    strike(world, event->fault);
  }
}

void faults_heal_all(struct world *world) {
  oracle_trace(&world->oracle, "all faults end");
  end_partition(world);
  for (unsigned i = 0; i < SERVERS_MAX; i++) {
    struct server *server = &world->model.servers[i];
    server->out_of_memory = false;
    if (i % SERVERS < world->servers) server_returns(world, server);
  }
  move_finish(world);
  world->faults &= ~(1u << FAULT_HINTS | 1u << FAULT_FLAP);
  press(world, false);
  for (unsigned i = 0; i < world->node_count; i++) {
    world->nodes[i].isolated_until = 0;
    node_returns(world, i);
  }
}
