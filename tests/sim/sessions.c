/* sessions.c - connections with sessions, and the keeper of each node, whose
 * calls go the way of all commands. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sessions_impl.h"

static struct sessions *of_node(const struct node *node) {
  return node->world->sessions;
}

static uint64_t now_of(const struct sessions *sessions) {
  return sessions->world->now_ms;
}

static struct wwr_view name_of(const struct key *key) {
  return wwr_view_str(key->name);
}

/* --- the keeper's end --- */

static unsigned key_of_id(const struct sessions *sessions, const char *id) {
  for (unsigned i = 0; i < sessions->key_count; i++) {
    if (memcmp(sessions->keys[i].id, id, WWRI_SESSION_ID_LEN) == 0) return i;
  }
  assert(false && "a session of nobody");
  return 0;
}

static void fill_touches(struct node *node, struct session_request *request,
                         const struct wwri_keeper_call *call) {
  struct sessions *sessions = of_node(node);
  request->touch_count = call->touch_count;
  for (size_t i = 0; i < call->touch_count; i++) {
    const struct wwri_keeper_touch *touch = &call->touches[i];
    unsigned key = key_of_id(sessions, touch->id);
    request->touches[i] =
        (struct session_touch){key, touch->v, touch->count, node->stored[key]};
  }
}

static void out_call(struct wwri_keeper *keeper,
                     const struct wwri_keeper_call *call) {
  struct node *node = wwri_keeper_user(keeper);
  struct sessions *sessions = of_node(node);
  size_t size = sizeof(struct session_request) +
                call->touch_count * sizeof(struct session_touch);
  struct session_request *request = world_alloc(node->world, size);
  *request = (struct session_request){.slot = call->slot,
                                      .kind = call->kind,
                                      .v = call->v,
                                      .count = call->count,
                                      .had = call->had,
                                      .max = call->max,
                                      .whole = call->whole,
                                      .max_known = call->max_known,
                                      .any = call->any,
                                      .force = call->force,
                                      .pen_seq = ++sessions->pen_seq};
  if (call->id) {
    request->key = key_of_id(sessions, call->id);
    request->base = node->stored[request->key];
  }
  if (call->kind == WWRI_KEEP_CREATE) sessions->keys[request->key].v = call->v;
  fill_touches(node, request, call);
  node->asked[call->slot] = request;
  link_send_session(node, request);
}

static struct wwri_keeper_answer make_answer(
    const struct sessions *sessions, const struct session_request *request,
    const struct session_answer *from) {
  struct wwri_keeper_answer answer = {.word = from->word,
                                      .v = from->v,
                                      .count = from->count,
                                      .gone = from->gone};
  if (request->kind == WWRI_KEEP_ATTACH && from->word == WWRI_WORD_OK) {
    answer.session = sessions->keys[request->key].session;
  }
  return answer;
}

/* What the node believes is stored for it. */
static void learn_stored(struct node *node,
                         const struct session_request *request,
                         const struct session_answer *answer) {
  uint32_t *stored = &node->stored[request->key];
  if (answer->word == WWRI_WORD_UNAVAILABLE) return;
  if (request->kind == WWRI_KEEP_TOUCH) {
    for (size_t i = 0; i < request->touch_count; i++) {
      const struct session_touch *touch = &request->touches[i];
      node->stored[touch->key] = answer->gone[i] ? 0 : touch->count;
    }
  } else if (answer->word != WWRI_WORD_OK) {
    *stored = 0;
  } else if (request->kind == WWRI_KEEP_ATTACH) {
    *stored = answer->count;
  } else {
    *stored = request->kind == WWRI_KEEP_KILL ? 0 : request->count;
  }
}

void sessions_answer(struct node *node, const struct answer *answer) {
  struct sessions *sessions = of_node(node);
  const struct session_answer *from = &answer->session;
  const struct session_request *request = node->asked[from->slot];
  struct wwri_keeper_answer made = make_answer(sessions, request, from);
  bool destroyed =
      from->word == WWRI_WORD_LAST ||
      (request->kind == WWRI_KEEP_KILL && from->word == WWRI_WORD_OK);
  learn_stored(node, request, from);
  if (destroyed) sessions->keys[request->key].promised[node->proc] = true;
  wwri_keeper_answered(node->keeper, from->slot, &made, now_of(sessions));
}

/* --- what the keeper tells --- */

static void owe_detach(struct client *client) {
  struct world *world = client->node->world;
  struct event event = {.kind = EVENT_DETACH, .node = client->node->index};
  event.connection = client->proc;
  client->detaches++;
  sessions_busy(of_node(client->node), client->key);
  client->detach_ms = world->now_ms + world_below(world, 20);
  world_push(world, client->detach_ms, event);
}

static void out_event(struct wwri_keeper *keeper, enum wwri_keeper_event what,
                      struct wwr_view key) {
  struct node *node = wwri_keeper_user(keeper);
  struct sessions *sessions = of_node(node);
  oracle_trace(&node->world->oracle, "node %u: %.*s is %s", node->proc,
               (int)key.len, (const char *)key.data,
               what == WWRI_KEEPER_CLOSED ? "closed" : "evicted");
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *client = &sessions->clients[i];
    if (!client->used || client->proc != node->proc || !client->has) continue;
    if (!wwr_view_equal(key, name_of(&sessions->keys[client->key]))) continue;
    client->has = false;
    if (client->op_open) {
      client->taken = true; /* a CREATE; its end tells whether it counts */
    } else {
      owe_detach(client);
    }
  }
}

static uint64_t out_random(struct wwri_keeper *keeper) {
  struct node *node = wwri_keeper_user(keeper);
  return rng_next(&node->world->rng);
}

static const struct wwri_keeper_out out = {out_call, out_event, out_random};

void sessions_node_up(struct node *node) {
  struct wwri_keeper_config config;
  if (!of_node(node)) return;
  wwri_keeper_config_default(&config);
  config.out = &out;
  config.user = node;
  config.lease_ms = (uint32_t)node->world->model.config.lease_ms;
  config.ttl_ms = (uint32_t)node->world->model.config.session_ttl_ms;
  config.hold_ms = HOLD_MS;
  wwr_err err = wwri_keeper_new(&node->keeper, &config);
  assert(err == WWR_OK);
}

void sessions_node_down(struct node *node) {
  struct sessions *sessions = of_node(node);
  if (!sessions) return;
  wwri_keeper_free(node->keeper);
  node->keeper = NULL;
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *client = &sessions->clients[i];
    if (client->used && client->proc == node->proc) client->used = false;
  }
}

void sessions_node_event(struct node *node, enum wwri_node_event event) {
  if (!node->keeper) return;
  uint64_t now_ms = node->world->now_ms;
  switch (event) {
    case WWRI_NODE_LIVE:
      node->live_ms = now_ms;
      if (node->uncertain) node->changed_ms = now_ms;
      node->uncertain = false;
      wwri_keeper_live(node->keeper, now_ms);
      break;
    case WWRI_NODE_DOWN:
      wwri_keeper_lost(node->keeper, now_ms);
      break;
    case WWRI_NODE_UNCERTAIN:
      node->uncertain = true;
      wwri_keeper_generation(node->keeper, false, now_ms);
      break;
    case WWRI_NODE_DATA_LOST:
      wwri_keeper_generation(node->keeper, true, now_ms);
      break;
    case WWRI_NODE_FENCED:
      wwri_keeper_fenced(node->keeper, now_ms);
      break;
    default:
      break;
  }
}

void sessions_notice(struct node *node, const struct wwri_entry *entry) {
  struct sessions *sessions = of_node(node);
  struct notice notice;
  assert(entry->data.len == sizeof notice);
  memcpy(&notice, entry->data.data, sizeof notice);
  oracle_trace(&node->world->oracle, "node %u: notice of s%u", node->proc,
               notice.key);
  wwri_keeper_closed(node->keeper, sessions->keys[notice.key].id, notice.v,
                     now_of(sessions));
}

void sessions_doubt(struct node *node) {
  oracle_trace(&node->world->oracle, "node %u: notices may be missing",
               node->proc);
  wwri_keeper_verify(node->keeper, node->world->now_ms);
}

void sessions_run(struct node *node) {
  if (node->keeper) wwri_keeper_run(node->keeper, node->world->now_ms);
}

uint64_t sessions_deadline(const struct node *node) {
  return node->keeper ? wwri_keeper_deadline(node->keeper) : UINT64_MAX;
}

/* --- applications --- */

uint32_t sessions_real(const struct sessions *sessions, unsigned proc,
                       unsigned key) {
  uint32_t count = 0;
  for (unsigned i = 0; i < CLIENTS; i++) {
    const struct client *client = &sessions->clients[i];
    count += client->used && client->has && client->proc == proc &&
             client->key == key;
  }
  return count;
}

uint64_t sessions_count(const struct sessions *sessions) {
  return sessions ? sessions->count : 0;
}

static void free_if_done(struct client *client) {
  if (client->op_open || client->detaches || client->has) return;
  client->used = false;
}

static void detach(struct client *client) {
  struct sessions *sessions = of_node(client->node);
  client->detaches--;
  sessions_busy(sessions, client->key);
  wwri_keeper_detach(client->node->keeper,
                     name_of(&sessions->keys[client->key]), now_of(sessions));
}

void sessions_tell(struct world *world, const struct node *node) {
  struct sessions *sessions = world->sessions;
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *client = &sessions->clients[i];
    if (!client->used || client->proc != node->proc) continue;
    if (!client->detaches || client->detach_ms > world->now_ms) continue;
    detach(client);
    free_if_done(client);
  }
}

/* The keeper counts one more connection. */
static void counted(struct client *client) {
  if (client->gone || client->taken) {
    client->detaches++;
    client->has = false;
    detach(client);
  } else {
    client->has = true;
  }
}

static void create_done(struct key *key, struct client *client, wwr_err err) {
  if (err == WWR_OK) key->created = true;
  if (err == WWR_OK || err == WWR_E_UNAVAILABLE) {
    counted(client);
  } else {
    client->has = false;
  }
}

static void on_done(struct wwri_keeper_op *op, wwr_err err,
                    const struct wwri_keeper_answer *answer) {
  struct client *client = WWRI_CONTAINER(op, struct client, op);
  struct sessions *sessions = of_node(client->node);
  struct key *key = &sessions->keys[client->key];
  (void)answer;
  oracle_trace(&sessions->world->oracle, "node %u: %s ask %d ends: %s",
               client->proc, key->name, (int)op->ask, wwr_err_name(err));
  sessions_ended(sessions, client, wwr_err_name(err));
  sessions_busy(sessions, client->key);
  client->op_open = false;
  if (err == WWR_E_CLOSED) return; /* the node ends */
  if (op->ask == WWRI_ASK_CREATE) {
    create_done(key, client, err);
  } else if (op->ask == WWRI_ASK_ATTACH) {
    if (err == WWR_E_SESSION_NOT_FOUND) sessions_missed(sessions, client);
    if (err == WWR_OK) counted(client);
  }
  free_if_done(client);
}

static struct client *new_client(struct sessions *sessions, struct node *node,
                                 unsigned key) {
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *client = &sessions->clients[i];
    if (client->used) continue;
    *client = (struct client){.used = true, .node = node, .key = key};
    client->proc = node->proc;
    return client;
  }
  return NULL;
}

static void ask(struct sessions *sessions, struct client *client,
                enum wwri_keeper_ask what) {
  const struct key *key = &sessions->keys[client->key];
  client->op = (struct wwri_keeper_op){.done = on_done,
                                       .ask = what,
                                       .key = name_of(key),
                                       .session = key->session,
                                       .max = key->max,
                                       .look_ns = 1};
  client->op_open = true;
  client->asked_ms = now_of(sessions);
  sessions_busy(sessions, client->key);
  sessions->count++;
  oracle_trace(&sessions->world->oracle, "node %u: %s ask %d", client->proc,
               key->name, (int)what);
  wwri_keeper_ask(client->node->keeper, &client->op, now_of(sessions));
}

static void create(struct sessions *sessions, struct node *node) {
  if (sessions->key_count == KEYS) return;
  unsigned index = sessions->key_count;
  struct client *client = new_client(sessions, node, index);
  struct key *key = &sessions->keys[index];
  if (!client) return;
  sessions->key_count++;
  snprintf(key->name, sizeof key->name, "s%u", index);
  bool good = wwri_session_id(name_of(key), key->id);
  wwr_err err = wwr_session_new(&key->session, name_of(key), 1, 1, NULL);
  assert(good && err == WWR_OK);
  key->max = (uint32_t)world_below(sessions->world, 4);
  key->creator = node->proc;
  key->made_ms = now_of(sessions);
  client->has = true;
  ask(sessions, client, WWRI_ASK_CREATE);
}

static int random_key(struct sessions *sessions) {
  if (sessions->key_count == 0) return -1;
  unsigned recent = sessions->key_count < 8 ? sessions->key_count : 8;
  return (int)(sessions->key_count - 1 - world_below(sessions->world, recent));
}

static void restore(struct sessions *sessions, struct node *node) {
  int key = random_key(sessions);
  if (key < 0 || !sessions->keys[key].created) return;
  struct client *client = new_client(sessions, node, (unsigned)key);
  if (!client) return;
  bool look = world_chance(sessions->world, 5);
  ask(sessions, client, look ? WWRI_ASK_LOOKUP : WWRI_ASK_ATTACH);
}

/* All connections of the node lose it at once; the keeper is asked before it
 * hears of that. */
static void close_by_key(struct sessions *sessions, struct node *node) {
  int key = random_key(sessions);
  if (key < 0) return;
  struct client *client = new_client(sessions, node, (unsigned)key);
  if (!client) return;
  sessions->keys[key].closing = true;
  bool force = world_chance(sessions->world, 30);
  ask(sessions, client, force ? WWRI_ASK_DESTROY : WWRI_ASK_KILL);
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *other = &sessions->clients[i];
    if (!other->used || !other->has || other->proc != node->proc ||
        other->key != (unsigned)key) {
      continue;
    }
    other->has = false;
    if (other->op_open) {
      other->taken = true;
    } else {
      other->detaches++;
      detach(other);
      free_if_done(other);
    }
  }
}

static struct client *random_client(struct sessions *sessions,
                                    const struct node *node) {
  unsigned first = (unsigned)world_below(sessions->world, CLIENTS);
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct client *client = &sessions->clients[(first + i) % CLIENTS];
    if (client->used && client->proc == node->proc && !client->gone &&
        (client->has || client->op_open)) {
      return client;
    }
  }
  return NULL;
}

static void disconnect(struct sessions *sessions, struct client *client) {
  if (client->op_open) {
    client->gone = true;
    if (client->op.ask == WWRI_ASK_CREATE) client->has = false;
    return;
  }
  client->has = false;
  client->detaches++;
  oracle_trace(&sessions->world->oracle, "node %u: %s disconnects",
               client->proc, sessions->keys[client->key].name);
  detach(client);
  free_if_done(client);
}

static void give_up(struct sessions *sessions, struct client *client) {
  if (client->op_open || !client->has) return;
  sessions->keys[client->key].closing = true;
  client->has = false;
  ask(sessions, client, WWRI_ASK_LEAVE);
}

void sessions_act(struct world *world) {
  struct sessions *sessions = world->sessions;
  struct node *node = world_random_awake(world);
  if (!node) return;
  struct client *client = random_client(sessions, node);
  unsigned ends = sessions->lasting ? 5 : 20; /* in 100 */
  unsigned what = (unsigned)world_below(world, 100);
  if (what < 12) {
    create(sessions, node);
  } else if (what < 12 + ends && client) {
    disconnect(sessions, client);
  } else if (what < 12 + ends + ends / 2 && client) {
    give_up(sessions, client);
  } else if (what < 96) {
    restore(sessions, node);
  } else {
    close_by_key(sessions, node);
  }
  world_run_node(node);
}

struct sessions *sessions_new(struct world *world) {
  struct sessions *sessions = calloc(1, sizeof *sessions);
  assert(sessions);
  sessions->world = world;
  sessions->lasting = world_chance(world, 50);
  return sessions;
}

void sessions_free(struct sessions *sessions) {
  if (!sessions) return;
  for (unsigned i = 0; i < sessions->key_count; i++) {
    wwr_session_unref(sessions->keys[i].session);
  }
  free(sessions);
}
