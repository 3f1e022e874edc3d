#include "keeper_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_MS = 3000, STEPS = 1500, SETTLE_STEPS = 2000 };

static void wrong(struct world *world, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (!world->wrong++) vsnprintf(world->why, sizeof world->why, format, args);
  va_end(args);
}

static bool chance(struct world *world, unsigned of_thousand) {
  return rng_below(&world->rng, 1000) < of_thousand;
}

/* --- Keys --------------------------------------------------------------- */

static void make_keys(struct world *world) {
  for (unsigned key = 0; key < KEYS; key++) {
    char *text = world->texts[key];
    snprintf(text, sizeof world->texts[key], "k%02u", key);
    if (!wwri_session_id(wwr_view_str(text), world->ids[key]) ||
        wwr_session_new(&world->sessions[key], wwr_view_str(text), 1, 1,
                        NULL)) {
      abort();
    }
  }
}

static unsigned key_of(const struct world *world, const char *id) {
  unsigned key = 0;
  while (key < KEYS && strcmp(world->ids[key], id) != 0) key++;
  if (key == KEYS) abort();
  return key;
}

/* --- The keeper's table ------------------------------------------------- */

static struct node *node_of(struct wwri_keeper *keeper) {
  return wwri_keeper_user(keeper);
}

static void on_call(struct wwri_keeper *keeper,
                    const struct wwri_keeper_call *call) {
  struct node *node = node_of(keeper);
  if (node->pipe_count == PIPE) abort();
  size_t end = (node->pipe_first + node->pipe_count++) % PIPE;
  struct message *message = &node->pipe[end];
  memset(message, 0, sizeof *message);
  message->call = *call;
  if (call->id) message->key = key_of(node->world, call->id);
  message->boot = node->boot;
  message->connection = node->connection;
  for (size_t i = 0; i < call->touch_count; i++) {
    message->keys[i] = key_of(node->world, call->touches[i].id);
    message->vs[i] = call->touches[i].v;
    message->counts[i] = call->touches[i].count;
  }
}

static bool is_permanent(unsigned key) {
  return key % 2 == 0;
}

/* What is never left nor killed is never closed; the rest not by others than
 * who kill it, or leave it as the last. */
static bool may_be_closed(const struct world *world, unsigned key) {
  bool apart = world->took_for_dead || (world->forgot && world->faults.cuts);
  return !is_permanent(key) && (world->killed[key] || apart);
}

static void on_event(struct wwri_keeper *keeper, enum wwri_keeper_event event,
                     struct wwr_view view) {
  struct node *node = node_of(keeper);
  struct world *world = node->world;
  unsigned key = (unsigned)((view.data[1] - '0') * 10 + view.data[2] - '0');
  world->events++;
  if (event == WWRI_KEEPER_EVICTED && !world->faults.fences) {
    wrong(world, "evicted without a fence");
  }
  if (event == WWRI_KEEPER_CLOSED && node->connections[key] &&
      !may_be_closed(world, key)) {
    wrong(world, "key %u closed on node %u, and nobody asked for it", key,
          (unsigned)(node - world->nodes));
  }
  node->leaving[key] += node->connections[key];
  node->connections[key] = 0;
}

static uint64_t on_random(struct wwri_keeper *keeper) {
  return rng_next(&node_of(keeper)->world->rng);
}

static const struct wwri_keeper_out out = {on_call, on_event, on_random};

/* --- The application ---------------------------------------------------- */

struct operation {
  struct wwri_keeper_op base;
  struct node *node;
  unsigned key;
  /* When it was asked for: */
  uint64_t v;  /* the incarnation that lived */
  bool stored; /* it was in Redis, for certain */
  bool had;    /* this node had a connection */
};

static uint32_t connections_of(const struct world *world, unsigned key) {
  uint32_t sum = 0;
  for (unsigned i = 0; i < NODES; i++) {
    sum += world->nodes[i].connections[key];
  }
  return sum;
}

static uint32_t max_of(unsigned key) {
  return key % 4;
}

/* Where Redis forgot, who remembers may not have been there in time. */
static void judge_answer(struct world *world, const struct operation *op,
                         wwr_err err) {
  enum wwri_keeper_ask what = op->base.ask;
  bool sure = is_permanent(op->key) && op->stored;
  bool in_time = !world->lost_data && !(world->forgot && world->faults.cuts);
  if (what == WWRI_ASK_CREATE && err == WWR_OK) world->stored[op->key] = true;
  if (err == WWR_E_SESSION_NOT_FOUND && sure && in_time) {
    wrong(world, "key %u was not found", op->key);
  }
  bool kills = what == WWRI_ASK_DESTROY || (what == WWRI_ASK_KILL && op->had);
  if (kills && op->v) world->done[op->key] = op->v;
}

static void on_done(struct wwri_keeper_op *base, wwr_err err,
                    const struct wwri_keeper_answer *answer) {
  struct operation *op = (struct operation *)(void *)base;
  struct node *node = op->node;
  struct world *world = node->world;
  (void)answer;
  node->open--;
  bool counts = (base->ask == WWRI_ASK_ATTACH && err == WWR_OK) ||
                (base->ask == WWRI_ASK_CREATE &&
                 (err == WWR_OK || err == WWR_E_UNAVAILABLE));
  uint32_t max = max_of(op->key);
  if (counts) {
    const char *id = world->ids[op->key];
    /* It may have been closed in the same moment; then it is on its way out. */
    if (wwri_keeper_count(node->keeper, id, NULL) >
        node->connections[op->key]) {
      node->connections[op->key]++;
    } else {
      node->leaving[op->key]++;
    }
    world->attached++;
    bool excused = world->forgot || world->took_for_dead;
    if (max && connections_of(world, op->key) > max && !excused) {
      wrong(world, "key %u: %u connections, at most %u", op->key,
            connections_of(world, op->key), max);
    }
  }
  if (err == WWR_E_MAX_SESSION_CONNS) world->refused++;
  judge_answer(world, op, err);
  if (err == WWR_E_NOMEM || err == WWR_E_INVALID || err == WWR_E_INTERNAL ||
      err == WWR_E_LIMIT) {
    wrong(world, "an operation ended %s", wwr_err_name(err));
  }
  free(op);
}

static void ask(struct node *node, enum wwri_keeper_ask what, unsigned key) {
  struct operation *op = calloc(1, sizeof *op);
  if (!op) abort();
  op->node = node;
  op->key = key;
  op->v = node->world->model.sessions[key].v;
  op->stored = node->world->stored[key];
  op->had = node->connections[key] > 0;
  op->base.done = on_done;
  op->base.ask = what;
  op->base.key = wwr_view_str(node->world->texts[key]);
  op->base.max = max_of(key);
  op->base.look_ns = 1;
  op->base.session = node->world->sessions[key];
  node->open++;
  wwri_keeper_ask(node->keeper, &op->base, node->world->now);
  wwri_keeper_run(node->keeper, node->world->now);
}

static void detach(struct node *node, unsigned key) {
  struct wwr_view view = wwr_view_str(node->world->texts[key]);
  wwri_keeper_detach(node->keeper, view, node->world->now);
  wwri_keeper_run(node->keeper, node->world->now);
}

static void take_off(struct node *node, unsigned key) {
  for (; node->leaving[key]; node->leaving[key]--) detach(node, key);
}

static void act(struct node *node) {
  struct world *world = node->world;
  unsigned key = (unsigned)rng_below(&world->rng, KEYS);
  unsigned what = (unsigned)rng_below(&world->rng, 100);
  if (chance(world, 500)) take_off(node, key);
  if (!world->created[key]) {
    if (what >= 20) return;
    world->created[key] = true;
    ask(node, WWRI_ASK_CREATE, key);
  } else if (what < 40) {
    ask(node, WWRI_ASK_ATTACH, key);
  } else if (what < 70 && node->connections[key]) {
    node->connections[key]--;
    detach(node, key);
  } else if (what < 80 && node->connections[key] && !is_permanent(key)) {
    node->connections[key]--;
    ask(node, WWRI_ASK_LEAVE, key);
  } else if ((what == 85 || what == 86) && !is_permanent(key)) {
    world->killed[key] = true;
    ask(node, what == 85 ? WWRI_ASK_KILL : WWRI_ASK_DESTROY, key);
  } else if (what < 90) {
    ask(node, WWRI_ASK_LOOKUP, key);
  } else if (what < 93) {
    ask(node, WWRI_ASK_PLACES, key);
  }
}

/* A leave destroys only what no other node has. */
static void judge_execution(struct node *node, const struct message *message,
                            const struct reply *reply) {
  struct world *world = node->world;
  unsigned key = message->key;
  if (reply->answer.word != WWRI_WORD_LAST) return;
  world->killed[key] = true;
  for (unsigned i = 0; i < NODES; i++) {
    struct node *other = &world->nodes[i];
    /* Taken for dead, or it was and has not attached everything again. */
    bool apart = world->dead[other->boot] || other->boot >= NODES ||
                 (world->forgot && world->faults.cuts);
    if (other != node && other->connections[key] && !apart) {
      wrong(world, "key %u: node %u destroys what node %u has", key,
            (unsigned)(node - world->nodes), i);
    }
  }
}

/* --- Links -------------------------------------------------------------- */

/* One message of the pipe is executed. */
static void execute(struct node *node) {
  struct world *world = node->world;
  struct reply reply;
  if (!node->pipe_count) return;
  struct message *message = &node->pipe[node->pipe_first];
  if (world->faults.refusals && chance(world, 20)) {
    reply = (struct reply){.slot = message->call.slot,
                           .answer.word = WWRI_WORD_UNAVAILABLE};
  } else {
    model_execute(world, message, &reply);
    judge_execution(node, message, &reply);
  }
  bool late = node->late > 0;
  if (late) node->late--;
  node->pipe_count--;
  node->pipe_first = (node->pipe_first + 1) % PIPE;
  if (late) return;
  node->replies[(node->reply_first + node->reply_count++) % PIPE] = reply;
}

static void deliver(struct node *node) {
  if (!node->reply_count) return;
  struct reply reply = node->replies[node->reply_first];
  node->reply_first = (node->reply_first + 1) % PIPE;
  node->reply_count--;
  reply.answer.session = node->world->sessions[reply.key];
  reply.answer.gone = reply.gone;
  wwri_keeper_answered(node->keeper, reply.slot, &reply.answer,
                       node->world->now);
  wwri_keeper_run(node->keeper, node->world->now);
}

static void cut(struct node *node) {
  struct world *world = node->world;
  if (!node->live) return;
  node->live = false;
  node->up_ms = world->now + rng_below(&world->rng, 300);
  if (chance(world, 300)) node->up_ms += rng_below(&world->rng, 6000);
  node->reply_count = 0;
  /* What is in the pipe is lost, or executed some time. */
  if (chance(world, 500)) node->pipe_count = node->late;
  node->late = node->pipe_count;
  wwri_keeper_lost(node->keeper, world->now);
  wwri_keeper_run(node->keeper, world->now);
}

static void read_notices(struct node *node) {
  struct world *world = node->world;
  while (node->notices_read < world->model.notice_count) {
    size_t i = node->notices_read++;
    const char *id = world->ids[world->model.notices[i].key];
    wwri_keeper_closed(node->keeper, id, world->model.notices[i].v, world->now);
    wwri_keeper_run(node->keeper, world->now);
  }
}

static void new_boot(struct node *node) {
  struct world *world = node->world;
  if (world->boots == BOOTS) abort();
  node->boot = world->boots++;
}

static void reconnect(struct node *node) {
  struct world *world = node->world;
  struct model *model = &world->model;
  if (world->dead[node->boot]) {
    new_boot(node);
    wwri_keeper_fenced(node->keeper, world->now);
  }
  world->connection_of[node->boot] = ++node->connection;
  node->beat_ms = world->now;
  if (node->generation && node->generation != model->generation) {
    wwri_keeper_generation(node->keeper, node->born != model->born, world->now);
    if (node->notices_read > model->notice_count) {
      node->notices_read = model->notice_count;
      wwri_keeper_verify(node->keeper, world->now);
    }
  }
  node->generation = model->generation;
  node->born = model->born;
  node->live = true;
  wwri_keeper_live(node->keeper, world->now);
  wwri_keeper_run(node->keeper, world->now);
}

/* --- Faults ------------------------------------------------------------- */

static void cut_all(struct world *world) {
  for (unsigned i = 0; i < NODES; i++) cut(&world->nodes[i]);
}

static void take_snapshot(struct world *world) {
  if (world->now < world->snapshot_ms + 100) return;
  world->snapshot_ms = world->now;
  world->snapshots[world->snapshot_count++ % SNAPSHOTS] = world->model;
}

static void failover(struct world *world) {
  uint64_t generation = world->model.generation;
  cut_all(world);
  for (unsigned i = 0; i < NODES; i++) {
    world->nodes[i].pipe_count = world->nodes[i].late = 0;
    if (!world->faults.cuts) world->nodes[i].up_ms = world->now + 20 * i;
  }
  size_t kept =
      world->snapshot_count < SNAPSHOTS ? world->snapshot_count : SNAPSHOTS;
  world->model = world->snapshots[rng_below(&world->rng, kept)];
  world->model.generation = generation + 1;
  world->forgot = true;
  world->snapshot_count = 1;
  world->snapshots[0] = world->model;
}

static void lose_data(struct world *world) {
  uint64_t generation = world->model.generation;
  uint64_t born = world->model.born;
  cut_all(world);
  for (unsigned i = 0; i < NODES; i++) {
    world->nodes[i].pipe_count = world->nodes[i].late = 0;
    if (!world->faults.cuts) world->nodes[i].up_ms = world->now + 20 * i;
  }
  memset(&world->model, 0, sizeof world->model);
  world->model.generation = generation + 1;
  world->model.born = born + 1;
  world->forgot = world->lost_data = true;
  world->snapshot_count = 1;
  world->snapshots[0] = world->model;
}

static void go_wrong(struct world *world) {
  struct node *node = &world->nodes[rng_below(&world->rng, NODES)];
  if (world->faults.cuts && chance(world, 20)) cut(node);
  if (world->faults.failovers && chance(world, 2)) failover(world);
  if (world->faults.data_loss && chance(world, 1)) lose_data(world);
}

/* --- Time --------------------------------------------------------------- */

static void beat(struct node *node) {
  struct world *world = node->world;
  if (node->live) node->beat_ms = world->now;
  if (!world->faults.fences) return;
  if (!world->dead[node->boot] && world->now > node->beat_ms + LEASE_MS) {
    world->dead[node->boot] = true;
    world->took_for_dead = true;
  }
}

static void step_node(struct node *node, bool quiet) {
  struct world *world = node->world;
  beat(node);
  if (!node->live && (quiet || world->now >= node->up_ms)) reconnect(node);
  if (!quiet) act(node);
  for (unsigned i = 0; i < 3; i++) {
    if (quiet || chance(world, 500)) execute(node);
    if (quiet || chance(world, 500)) deliver(node);
  }
  if (node->live && (quiet || chance(world, 100))) read_notices(node);
  wwri_keeper_run(node->keeper, world->now);
}

static void step(struct world *world, bool quiet) {
  world->now += 1 + rng_below(&world->rng, quiet ? 20 : 40);
  take_snapshot(world);
  if (!quiet) go_wrong(world);
  for (unsigned i = 0; i < NODES; i++) step_node(&world->nodes[i], quiet);
}

/* --- The end ------------------------------------------------------------ */

static bool is_settled(struct world *world) {
  for (unsigned i = 0; i < NODES; i++) {
    struct node *node = &world->nodes[i];
    if (node->open || node->pipe_count || node->reply_count || !node->live ||
        !wwri_keeper_is_idle(node->keeper)) {
      return false;
    }
  }
  return true;
}

static void judge_key(struct world *world, unsigned key) {
  struct model_session *session = &world->model.sessions[key];
  const char *id = world->ids[key];
  uint32_t sum = 0;
  for (unsigned i = 0; i < NODES; i++) {
    struct node *node = &world->nodes[i];
    uint32_t ours = node->connections[key];
    if (wwri_keeper_count(node->keeper, id, NULL) != ours) {
      wrong(world, "key %u node %u: kept %u, there are %u", key, i,
            wwri_keeper_count(node->keeper, id, NULL), ours);
    }
    if (session->counts[node->boot] != ours) {
      wrong(world, "key %u node %u: Redis says %u, there are %u", key, i,
            session->counts[node->boot], ours);
    }
    sum += ours;
  }
  if (sum && !session->v) wrong(world, "key %u is held and not there", key);
  if (is_permanent(key) && world->stored[key] && !session->v &&
      !world->lost_data) {
    wrong(world, "key %u is not there any more", key);
  }
  /* When the data was lost, and who holds it came late, nobody knew which one
   * had been destroyed. */
  bool excused = world->lost_data && world->faults.cuts;
  if (world->done[key] && session->v == world->done[key] && !excused) {
    wrong(world, "key %u was destroyed and lives", key);
  }
}

static void judge(struct world *world) {
  if (!is_settled(world)) {
    wrong(world, "it does not settle");
    return;
  }
  for (unsigned key = 0; key < KEYS; key++) judge_key(world, key);
}

static void begin(struct world *world, uint64_t seed, struct faults faults) {
  struct wwri_keeper_config config;
  memset(world, 0, sizeof *world);
  make_keys(world);
  world->rng.state = seed * 0x9e3779b97f4a7c15u | 1;
  world->faults = faults;
  world->now = 1000;
  world->model.generation = world->model.born = 1;
  wwri_keeper_config_default(&config);
  config.out = &out;
  config.hold_ms = 1000;
  config.lease_ms = LEASE_MS;
  /* Without the touches that mend everything in half of the runs. */
  config.ttl_ms = seed % 2 ? 20000 : 2000000000;
  config.doubt_ms = 1500;
  config.miss_ms = 0;
  for (unsigned i = 0; i < NODES; i++) {
    struct node *node = &world->nodes[i];
    node->world = world;
    node->pipe = calloc(PIPE, sizeof *node->pipe);
    node->replies = calloc(PIPE, sizeof *node->replies);
    config.user = node;
    if (!node->pipe || !node->replies ||
        wwri_keeper_new(&node->keeper, &config)) {
      abort();
    }
    new_boot(node);
    reconnect(node);
  }
}

static void end(struct world *world) {
  for (unsigned i = 0; i < NODES; i++) {
    struct node *node = &world->nodes[i];
    wwri_keeper_free(node->keeper);
    if (node->open) wrong(world, "%u operations never ended", node->open);
    free(node->pipe);
    free(node->replies);
  }
  for (unsigned i = 0; i < KEYS; i++) wwr_session_unref(world->sessions[i]);
}

bool world_run(struct world *world, uint64_t seed, struct faults faults) {
  begin(world, seed, faults);
  for (unsigned i = 0; i < STEPS && !world->wrong; i++) step(world, false);
  for (unsigned i = 0; i < SETTLE_STEPS && !world->wrong; i++) {
    step(world, true);
    for (unsigned n = 0; n < NODES; n++) {
      for (unsigned key = 0; key < KEYS; key++) take_off(&world->nodes[n], key);
    }
    /* Long enough for everything to be touched once more. */
    if (i > SETTLE_STEPS / 3 && is_settled(world)) break;
  }
  if (!world->wrong) judge(world);
  end(world);
  return !world->wrong;
}
