/* move.c - the partition's slot moves to another shard of a Redis Cluster, as
 * redis-cli --cluster reshard does it: the keys one by one, a script that needs
 * one that is elsewhere is refused; then the slot itself, which the new master
 * knows first, the old one a little later and the others last. */
#include "world.h"

enum { BATCH = 10, AGAIN_MS = 100 };

/* Between two batches at most; the last takes longer than a lease. */
static const uint64_t paces_ms[] = {20, 20, 20, 1000, 1000, 4000};

static struct server *source_of(struct world *world) {
  return &world->model.servers[world->move.from];
}

static struct server *target_of(struct world *world) {
  return &world->model.servers[world->move.to];
}

static void give_slot(struct world *world, unsigned shard, bool has) {
  for (unsigned i = 0; i < world->servers; i++) {
    world->model.servers[shard * SERVERS + i].has_slot = has;
  }
}

void move_init(struct world *world) {
  for (unsigned i = 0; i < SHARDS; i++) {
    world->masters[i] = i * SERVERS;
    if (i < world->shards) world->model.servers[i * SERVERS].master = true;
    give_slot(world, i, i == 0);
  }
}

static void next_step(struct world *world, uint64_t after_ms) {
  struct event event = {.kind = EVENT_MOVE, .arg = world->move.number};
  world_push(world, world->now_ms + after_ms, event);
}

void move_begin(struct world *world) {
  unsigned other = 1 - shard_of(world->master);
  struct move *move = &world->move;
  if (move->state != MOVE_NONE || world->partition || world->shards < 2) return;
  if (!world->model.servers[world->master].up) return;
  move->from = world->master;
  move->to = world->masters[other];
  move->state = MOVE_KEYS;
  move->number++;
  move->pace_ms =
      paces_ms[world_below(world, sizeof paces_ms / sizeof *paces_ms)];
  world->model.importer = move->to;
  source_of(world)->migrating = true;
  oracle_trace(&world->oracle, "slot: server %u to server %u", move->from,
               move->to);
  next_step(world, world_below(world, move->pace_ms));
}

/* --- the keys --- */

static unsigned some_key(struct world *world) {
  unsigned first = (unsigned)world_below(world, SLOT_KEYS);
  for (unsigned i = 0; i < SLOT_KEYS; i++) {
    unsigned key = (first + i) % SLOT_KEYS;
    if (server_has(source_of(world), key)) return key;
  }
  return SLOT_KEYS;
}

/* False: none is left. */
static bool move_some(struct world *world) {
  uint64_t count = 1 + world_below(world, BATCH);
  while (count--) {
    unsigned key = some_key(world);
    if (key == SLOT_KEYS) return false;
    oracle_trace(&world->oracle, "slot: key %u", key);
    server_move(&world->model, source_of(world), target_of(world), key,
                world->now_ms);
  }
  return true;
}

static bool can_work(const struct world *world, const struct server *server) {
  return server->up && server->paused_until <= world->now_ms &&
         server->loading_until <= world->now_ms;
}

/* --- the slot --- */

static void target_owns(struct world *world) {
  struct move *move = &world->move;
  oracle_trace(&world->oracle, "slot: is server %u's", move->to);
  give_slot(world, shard_of(move->to), true);
  world->master = move->to;
  world->stale_until_ms = world->now_ms + world_below(world, 2000);
  move->state = MOVE_TOLD;
  if (move->disturbed) sessions_data_changed(world);
  move->disturbed = false;
  next_step(world, world_below(world, 300));
}

/* Its subscribers are told; who has calls there learns by their answers. */
static void source_learns(struct world *world) {
  struct move *move = &world->move;
  source_of(world)->migrating = false;
  give_slot(world, shard_of(move->from), false);
  oracle_trace(&world->oracle, "slot: is no longer server %u's", move->from);
  net_unsubscribed(world, shard_of(move->from));
  move->state = MOVE_NONE;
}

static void step(struct world *world) {
  struct move *move = &world->move;
  if (move->state == MOVE_TOLD) {
    source_learns(world);
  } else if (!can_work(world, source_of(world)) ||
             !can_work(world, target_of(world))) {
    next_step(world, AGAIN_MS);
  } else if (move_some(world)) {
    next_step(world, world_below(world, move->pace_ms));
  } else {
    target_owns(world);
  }
}

void move_event(struct world *world, const struct event *event) {
  if (world->move.state == MOVE_NONE) return;
  if (event->arg == world->move.number) step(world);
}

void move_broken(struct world *world) {
  struct move *move = &world->move;
  if (move->state != MOVE_KEYS) return;
  oracle_trace(&world->oracle, "slot: stays");
  move->state = MOVE_NONE;
  move->disturbed = false;
  source_of(world)->migrating = false;
  server_drop_slot(&world->model, target_of(world), world->now_ms);
}

void move_finish(struct world *world) {
  if (world->move.state == MOVE_KEYS) {
    while (move_some(world)) continue;
    target_owns(world);
  }
  if (world->move.state == MOVE_TOLD) source_learns(world);
  world->stale_until_ms = 0;
}
