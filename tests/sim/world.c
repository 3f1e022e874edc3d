/* world.c - the clock, the nodes, and applications that publish and join. */
#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* All faults end; publishing goes on, and must be prompt once links are back.
 */
enum { CALM_MS = 40000, PUBLISH_MS = 25000, PROMPT_MS = 15000 };
enum { STEPS_MAX = 400000 };

uint64_t world_below(struct world *world, uint64_t n) {
  return rng_below(&world->rng, n);
}

bool world_chance(struct world *world, unsigned percent) {
  return world_below(world, 100) < percent;
}

/* --- events: a binary heap of numbers --- */

static bool before(const struct due *a, const struct due *b) {
  return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct due *a, struct due *b) {
  struct due keep = *a;
  *a = *b;
  *b = keep;
}

static uint32_t new_event(struct world *world) {
  uint32_t number = world->free_event;
  if (number) {
    world->free_event = (uint32_t)world->events[number - 1].order;
    return number - 1;
  }
  if (world->event_count == world->heap_cap) {
    world->heap_cap = world->heap_cap ? world->heap_cap * 2 : 256;
    world->events =
        realloc(world->events, world->heap_cap * sizeof *world->events);
    world->heap = realloc(world->heap, world->heap_cap * sizeof *world->heap);
    assert(world->events && world->heap);
  }
  return (uint32_t)world->event_count++;
}

void world_push(struct world *world, uint64_t at_ms, struct event event) {
  uint32_t number = new_event(world);
  event.at_ms = at_ms;
  if (event.order == 0) event.order = ++world->pushed;
  world->events[number] = event;
  struct due *heap = world->heap;
  size_t at = world->heap_count++;
  heap[at] = (struct due){at_ms, event.order, number};
  for (; at && before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2) {
    swap(&heap[at], &heap[(at - 1) / 2]);
  }
}

static bool pop(struct world *world, struct event *event) {
  if (world->heap_count == 0) return false;
  struct due *heap = world->heap;
  struct event *slot = &world->events[heap[0].event];
  *event = *slot;
  slot->order = world->free_event;
  world->free_event = heap[0].event + 1;
  heap[0] = heap[--world->heap_count];
  for (size_t at = 0;;) {
    size_t least = at, left = 2 * at + 1, right = left + 1;
    if (left < world->heap_count && before(&heap[left], &heap[least])) {
      least = left;
    }
    if (right < world->heap_count && before(&heap[right], &heap[least])) {
      least = right;
    }
    if (least == at) return true;
    swap(&heap[at], &heap[least]);
    at = least;
  }
}

/* --- memory --- */

enum { CHUNK = 256 * 1024 };

struct chunk {
  struct chunk *next;
  size_t used;
  _Alignas(16) uint8_t bytes[CHUNK];
};

void *world_alloc(struct world *world, size_t size) {
  struct chunk *chunk = world->chunks;
  size = (size + 15) / 16 * 16;
  assert(size <= CHUNK);
  if (!chunk || chunk->used + size > CHUNK) {
    chunk = malloc(sizeof *chunk);
    assert(chunk);
    chunk->next = world->chunks;
    chunk->used = 0;
    world->chunks = chunk;
  }
  void *memory = chunk->bytes + chunk->used;
  chunk->used += size;
  return memory;
}

static void free_memory(struct world *world) {
  while (world->chunks) {
    struct chunk *chunk = world->chunks;
    world->chunks = chunk->next;
    free(chunk);
  }
}

/* --- nodes --- */

struct node *world_node_of(const struct wwri_node *core) {
  return core->user;
}

static struct node *node_of_channel(const struct wwri_channel *channel) {
  const struct wwri_node_channel *outer = channel->user;
  return world_node_of(outer->owner);
}

static unsigned index_of_channel(const struct wwri_channel *channel) {
  const struct wwri_node_channel *outer = channel->user;
  return (unsigned)(outer->name[1] - '0');
}

static void on_deliver(struct wwri_channel *channel, struct wwri_sub *sub,
                       const struct wwri_entry *entry) {
  struct sub *owner = sub->user;
  if (index_of_channel(channel) == CONTROL) {
    sessions_notice(node_of_channel(channel), entry);
    return;
  }
  oracle_delivered(&node_of_channel(channel)->world->oracle, owner->receiver,
                   entry);
}

static void on_joined(struct wwri_channel *channel, struct wwri_join *join,
                      struct wwri_logid from, const struct wwri_entry *history,
                      size_t count) {
  struct sub *owner = join->user;
  struct world *world = node_of_channel(channel)->world;
  if (index_of_channel(channel) == CONTROL) {
    sessions_doubt(node_of_channel(channel)); /* what was told before that? */
    return;
  }
  oracle_joined(&world->oracle, owner->receiver, from, history, count,
                !owner->receiver->joined);
  owner->joining = false;
}

static void on_verdict(struct wwri_channel *channel,
                       const struct wwri_verdict *verdict) {
  struct node *node = node_of_channel(channel);
  if (index_of_channel(channel) == CONTROL) {
    sessions_doubt(node);
    return;
  }
  oracle_verdict(&node->world->oracle, node->proc, index_of_channel(channel),
                 &node->world->model.servers[node->link.conns[0].server],
                 verdict);
}

static void on_done(struct wwri_publisher *publisher, void *cookie,
                    enum wwri_outcome outcome, struct wwri_logid id) {
  struct node *node = world_node_of(publisher->user);
  oracle_outcome(&node->world->oracle, cookie, outcome, id);
}

static void on_lost(struct wwri_publisher *publisher, struct wwr_view channel,
                    const struct wwri_pos *pos) {
  struct oracle *oracle = &world_node_of(publisher->user)->world->oracle;
  struct call *call = oracle_find(oracle, pos->boot, pos->seq);
  (void)channel;
  oracle_trace(oracle, "declared lost: #%llu", (unsigned long long)pos->seq);
  if (!oracle->may_lose && !oracle->may_diverge) {
    oracle_fail(oracle, "declared lost without a cause");
  }
  call->declared_lost = true;
}

static const struct wwri_channel_sink sink = {on_deliver, on_joined,
                                              on_verdict};

/* To the control channel. */
static void listen(struct node *node) {
  wwri_list_init(&node->control.node);
  wwri_list_init(&node->control_join.node);
  node->control_join.sub = &node->control;
  wwr_err err =
      wwri_node_join(&node->core, wwr_view_str("c3"), &node->control_join);
  assert(err == WWR_OK);
}

void world_start_node(struct world *world, unsigned index) {
  struct node *node = &world->nodes[index];
  struct wwri_node_config config;
  wwri_node_config_default(&config);
  config.out = &link_out;
  config.rules = world->params.rules;
  config.channel.sink = &sink;
  config.channel.chunk = 16;
  config.channel.buffer_messages = 8;
  config.channel.linger_ms = 1000;
  config.publish.done = on_done;
  config.publish.lost = on_lost;
  config.lease_ms = (uint32_t)world->model.config.lease_ms;
  config.touch_ms = (uint32_t)world->model.config.ttl_ms / 4;
  memset(node, 0, sizeof *node);
  node->world = world;
  node->index = index;
  node->proc = world->procs++;
  node->alive = true;
  node->boots = 1;
  struct wwri_boot boot = {node->proc, 1};
  wwri_node_init(&node->core, &config, boot, node, world->now_ms);
  node->tick_at = UINT64_MAX;
  sessions_node_up(node);
  if (node->keeper) listen(node);
  link_start(node);
}

void world_kill_node(struct world *world, unsigned index) {
  struct node *node = &world->nodes[index];
  for (unsigned i = 0; i < SUBS_MAX; i++) {
    if (!world->subs[i].used || world->subs[i].node != node) continue;
    world->subs[i].receiver->gone = true;
    world->subs[i].used = false;
  }
  world->oracle.killed[node->proc] = true;
  oracle_trace(&world->oracle, "node %u: killed", node->proc);
  sessions_node_down(node);
  node->alive = false;
  link_end(node);
  wwri_node_deinit(&node->core);
}

void world_run_node(struct node *node) {
  struct world *world = node->world;
  wwri_node_run(&node->core, world->now_ms);
  sessions_run(node);
  link_flush(node);
  uint64_t at = wwri_node_deadline(&node->core);
  if (link_due(node) < at) at = link_due(node);
  if (sessions_deadline(node) < at) at = sessions_deadline(node);
  if (at < world->now_ms) at = world->now_ms;
  if (at >= node->tick_at) return;
  node->tick_at = at;
  struct event event = {.kind = EVENT_TICK, .node = node->index};
  event.connection = node->proc;
  world_push(world, at, event);
}

static void tick(struct world *world, const struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (!node->alive || node->proc != event->connection) return;
  if (node->paused_until > world->now_ms) {
    world_push(world, node->paused_until, *event);
    return;
  }
  if (node->tick_at <= world->now_ms) node->tick_at = UINT64_MAX;
  link_tick(node);
  world_run_node(node);
}

/* --- applications --- */

static const char names[CHANNELS][3] = {"c0", "c1", "c2"};

static void join(struct world *world, struct node *node, unsigned channel) {
  struct oracle *oracle = &world->oracle;
  if (oracle->receiver_count == SUBS_MAX) return;
  unsigned index = oracle->receiver_count++;
  struct sub *sub = &world->subs[index];
  struct receiver *receiver = &oracle->receivers[index];
  receiver->proc = node->proc;
  receiver->channel = channel;
  memset(sub, 0, sizeof *sub);
  sub->receiver = receiver;
  sub->node = node;
  sub->used = sub->joining = true;
  wwri_list_init(&sub->sub.node);
  wwri_list_init(&sub->join.node);
  sub->sub.user = sub->join.user = sub;
  sub->join.sub = &sub->sub;
  if (world_chance(world, 40)) {
    sub->join.history = 1 + (uint32_t)world_below(world, 20);
  }
  wwr_err err =
      wwri_node_join(&node->core, wwr_view_str(names[channel]), &sub->join);
  assert(err == WWR_OK);
}

static void leave(struct world *world, struct sub *sub) {
  sub->receiver->gone = true;
  sub->used = false;
  wwri_node_leave(&sub->node->core, wwr_view_str(names[sub->receiver->channel]),
                  &sub->sub, world->now_ms);
}

struct node *world_random_awake(struct world *world) {
  unsigned first = (unsigned)world_below(world, world->node_count);
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[(first + i) % world->node_count];
    if (node->alive && node->paused_until <= world->now_ms) return node;
  }
  return NULL;
}

static bool reads(struct node *node, unsigned channel) {
  struct wwri_node_channel *core =
      wwri_node_channel(&node->core, wwr_view_str(names[channel]), false);
  return core && core->base.trail_len > 0;
}

static void say(struct node *node, unsigned channel, unsigned count) {
  struct world *world = node->world;
  const uint32_t entries = (uint32_t)world->model.config.limit;
  for (unsigned i = 0; i < count; i++) {
    uint64_t seq = node->core.publisher.last_seq + 1;
    struct call *call =
        oracle_call(&world->oracle, node->proc, channel, node->core.boot, seq);
    if (!call) return;
    call->paced = reads(node, channel);
    struct wwr_view data = {call->data, sizeof call->data};
    struct wwri_log_limit limit = {.entries = entries, .age_ms = 1};
    wwr_err err = wwri_node_publish(&node->core, wwr_view_str(names[channel]),
                                    data, limit, call, world->now_ms);
    assert(err == WWR_OK);
  }
  world_run_node(node);
}

/* What a node's clients sent while it stood still waited in its sockets. */
static void catch_up(struct world *world, const struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (!node->alive || node->proc != event->connection) return;
  if (node->paused_until > world->now_ms) {
    world_push(world, node->paused_until, *event);
  } else {
    say(node, (unsigned)world_below(world, CHANNELS), 100);
  }
}

static void publish(struct world *world) {
  struct node *node = world_random_awake(world);
  unsigned channel = (unsigned)world_below(world, CHANNELS);
  unsigned burst = world_chance(world, 5) ? 30 : 1;
  if (node) say(node, channel, burst);
  bool calm = world->now_ms >= world->end_of_faults_ms;
  uint64_t next = world->now_ms + 10 + world_below(world, calm ? 1000 : 140);
  if (next < world->end_of_faults_ms + PUBLISH_MS) {
    world_push(world, next, (struct event){.kind = EVENT_PUBLISH});
  }
}

static void flap(struct world *world) {
  struct node *node = world_random_awake(world);
  if (node) {
    struct sub *victim = &world->subs[world_below(world, SUBS_MAX)];
    if (victim->used && victim->node->paused_until <= world->now_ms) {
      struct node *owner = victim->node;
      leave(world, victim);
      world_run_node(owner);
    } else {
      join(world, node, (unsigned)world_below(world, CHANNELS));
      world_run_node(node);
    }
  }
  if (world->now_ms < world->end_of_faults_ms) {
    world_push(world, world->now_ms + 100 + world_below(world, 2000),
               (struct event){.kind = EVENT_FLAP});
  }
}

static void act(struct world *world) {
  bool calm = world->now_ms >= world->end_of_faults_ms;
  uint64_t next = world->now_ms + 10 + world_below(world, calm ? 300 : 200);
  sessions_act(world);
  if (next < world->end_of_faults_ms + PUBLISH_MS) {
    world_push(world, next, (struct event){.kind = EVENT_SESSION});
  }
}

static void check(struct world *world, const struct event *event) {
  if (event->channel) {
    sessions_check_gone(world, event->channel - 1, event->arg);
  } else {
    sessions_check(world);
  }
}

static void tell(struct world *world, const struct event *event) {
  struct node *node = &world->nodes[event->node];
  if (!node->alive || node->proc != event->connection) return;
  if (node->paused_until > world->now_ms) {
    world_push(world, node->paused_until, *event);
    return;
  }
  sessions_tell(world, node);
  world_run_node(node);
}

static void replicate_shard(struct world *world, unsigned shard) {
  struct server *master = &world->model.servers[world->masters[shard]];
  uint64_t until =
      world->now_ms > world->lag_ms ? world->now_ms - world->lag_ms : 0;
  for (unsigned i = 0; i < world->servers && master->up; i++) {
    struct server *replica = &world->model.servers[shard * SERVERS + i];
    if (replica->master || !replica->up || replica->stuck) continue;
    if (master->paused_until > world->now_ms) continue;
    server_replicate(&world->model, replica, master, until);
  }
}

static void replicate(struct world *world) {
  for (unsigned i = 0; i < world->shards; i++) replicate_shard(world, i);
  world_push(world, world->now_ms + 20,
             (struct event){.kind = EVENT_REPLICATE});
}

/* --- a run --- */

static struct node *node_of_proc(struct world *world, uint64_t proc) {
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    if (node->alive && node->proc == proc) return node;
  }
  return NULL;
}

static void added(struct model *model, struct server *server, unsigned channel,
                  const struct wwri_entry *entry) {
  struct world *world = model->user;
  bool stale = server->index != world->master;
  oracle_added(&world->oracle, server, stale, channel, entry);
  if (entry->fork || channel == CONTROL) return;
  struct node *node = node_of_proc(world, entry->pos.boot.hi);
  if (!node || !reads(node, channel)) return;
  struct wwri_node_channel *core =
      wwri_node_channel(&node->core, wwr_view_str(names[channel]), false);
  size_t share = model->config.limit / WWRI_AHEAD_SHARE;
  oracle_ahead(&world->oracle, server, channel, node->proc,
               wwri_channel_pos(&core->base).id,
               share < WWRI_AHEAD_MAX ? (unsigned)share : WWRI_AHEAD_MAX);
}

static void begin(struct world *world, const struct params *params) {
  world->params = *params;
  world->rng.state = (params->seed + 1) * 0x9e3779b97f4a7c15u;
  for (int i = 0; i < 4; i++) rng_next(&world->rng);
  world->oracle.trace = params->trace;
  world->end_of_faults_ms = 10000 + world_below(world, 20000);
  world->oracle.prompt_from_ms = world->end_of_faults_ms + PROMPT_MS;
  world->servers = world_chance(world, 60) ? SERVERS : 1;
  world->shards = 1;
  world->node_count = 2 + (unsigned)world_below(world, NODES - 1);
  struct model_config config = {
      .no_generation = params->no_generation,
      .no_fence = params->no_fence,
      .increments = params->increments,
      .no_grace = params->no_grace,
      .undeclared = params->undeclared,
      .follow = params->follow,
      .session_ttl_ms = world_chance(world, 30) ? 60000 : 120000,
      .limit = world_chance(world, 80) ? 900 : 40,
      .lease_ms = 10000,
      .ttl_ms = world_chance(world, 80) ? 600000 : 8000};
  model_init(&world->model, &config, &world->rng, world);
  world->model.published = net_published;
  world->model.added = added;
  sessions_watch(&world->model);
  if (params->sessions || world_chance(world, 50)) {
    world->sessions = sessions_new(world);
  }
  for (unsigned i = 0; i < SERVERS_MAX; i++) {
    world->model.servers[i].up = i % SERVERS < world->servers;
    if (world_chance(world, 20)) {
      world->model.servers[i].clock_us =
          (int64_t)world_below(world, 4000000) - 2000000;
    }
  }
  world->oracle.may_lose = config.limit < 900 || config.ttl_ms < 600000;
  faults_plan(world);
  move_init(world);
}

static void populate(struct world *world) {
  for (unsigned i = 0; i < world->node_count; i++) {
    world_start_node(world, i);
    for (unsigned c = 0; c < CHANNELS; c++) {
      if (world_chance(world, 80)) join(world, &world->nodes[i], c);
    }
    world_run_node(&world->nodes[i]);
  }
  world_push(world, 500, (struct event){.kind = EVENT_PUBLISH});
  world_push(world, 20, (struct event){.kind = EVENT_REPLICATE});
  if (world->sessions) {
    world_push(world, 300, (struct event){.kind = EVENT_SESSION});
    world_push(world, world->oracle.prompt_from_ms,
               (struct event){.kind = EVENT_CHECK});
  }
  if (world->faults >> FAULT_FLAP & 1) {
    world_push(world, 1000, (struct event){.kind = EVENT_FLAP});
  }
}

static void handle(struct world *world, struct event *event) {
  switch (event->kind) {
    case EVENT_TICK:
      tick(world, event);
      break;
    case EVENT_REPLICATE:
      replicate(world);
      break;
    case EVENT_PUBLISH:
      publish(world);
      break;
    case EVENT_BACKLOG:
      catch_up(world, event);
      break;
    case EVENT_FLAP:
      flap(world);
      break;
    case EVENT_SESSION:
      act(world);
      break;
    case EVENT_CHECK:
      check(world, event);
      break;
    case EVENT_DETACH:
      tell(world, event);
      break;
    case EVENT_MOVE:
      move_event(world, event);
      break;
    case EVENT_FAULT:
    case EVENT_HEAL:
      faults_event(world, event);
      break;
    default:
      net_event(world, event);
      free(event->answer);
      break;
  }
}

static void finish(struct world *world, struct result *result) {
  struct oracle *oracle = &world->oracle;
  oracle_end(oracle, &world->model.servers[world->master]);
  sessions_end(world);
  result->sessions = sessions_count(world->sessions);
  for (unsigned i = 0; i < world->node_count; i++) {
    struct node *node = &world->nodes[i];
    if (!node->alive) continue;
    sessions_node_down(node);
    link_end(node);
    wwri_node_deinit(&node->core);
  }
  struct event event;
  while (pop(world, &event)) {
    if (event.kind == EVENT_ANSWER) free(event.answer);
  }
  free(world->heap);
  free(world->events);
  sessions_free(world->sessions);
  free_memory(world);
  model_free(&world->model);
  result->violations = oracle->violations;
  memcpy(result->first, oracle->first, sizeof result->first);
  result->steps = world->steps;
  result->late = world->late;
  result->calls = oracle->call_count;
  result->acked = oracle->acked;
  result->deliveries = oracle->deliveries;
  memcpy(result->verdicts, oracle->verdict_kinds, sizeof result->verdicts);
  memcpy(result->faults, world->fault_count, sizeof result->faults);
}

void world_run(const struct params *params, struct result *result) {
  struct world *world = calloc(1, sizeof *world);
  assert(world);
  begin(world, params);
  populate(world);
  bool healed = false;
  uint64_t end = world->end_of_faults_ms + CALM_MS;
  struct event event;
  while (world->oracle.violations == 0 && pop(world, &event)) {
    assert(event.at_ms >= world->now_ms);
    world->now_ms = world->oracle.now_ms = event.at_ms;
    if (!healed && world->now_ms >= world->end_of_faults_ms) {
      healed = true;
      faults_heal_all(world);
    }
    if (world->now_ms >= end) {
      free(event.answer);
      break;
    }
    if (++world->steps > STEPS_MAX) {
      oracle_fail(&world->oracle, "no end in sight");
    }
    handle(world, &event);
  }
  finish(world, result);
  free(world);
}
