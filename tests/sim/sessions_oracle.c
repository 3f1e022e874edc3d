/* sessions_oracle.c - what the cluster's master may do with sessions, and what
 * must be so in the end. */
#include "sessions_impl.h"

enum {
  MISS_MS = 1000,
  SLACK_MS = 1500,
  DOUBT_MS = 1900,
  GONE_MS = 2000,
  REPAIRED_MS = 8000, /* by an audit */
  REST_MS = 3000
};

static struct node *node_of(struct sessions *sessions, unsigned proc) {
  for (unsigned i = 0; i < sessions->world->node_count; i++) {
    struct node *node = &sessions->world->nodes[i];
    if (node->alive && node->proc == proc) return node;
  }
  return NULL;
}

static bool is_master(const struct world *world, const struct server *server) {
  return server->index == world->master;
}

/* Keys expire also where they arrived before their slot. */
static bool expires_at(const struct world *world, const struct server *server) {
  bool arrived =
      world->move.state == MOVE_KEYS && server->index == world->move.to;
  return arrived || is_master(world, server);
}

/* --- leases --- */

static bool has_lease(struct sessions *sessions, unsigned proc) {
  uint64_t now_ms = sessions->world->now_ms;
  uint64_t lease_ms = sessions->world->model.config.lease_ms;
  const struct node *node = node_of(sessions, proc);
  if (!node) return false;
  if (!wwri_boot_equal(node->core.boot, sessions->leases[proc].boot)) {
    return false;
  }
  return now_ms < sessions->leases[proc].beat_ms + lease_ms ||
         now_ms < sessions->grace_ms ||
         now_ms > sessions->newest_ms + lease_ms / 2 + 1;
}

/* Whoever has no lease any more is not respected, for good. */
static void check_leases(struct sessions *sessions) {
  for (unsigned proc = 0; proc < PROCS; proc++) {
    if (has_lease(sessions, proc)) continue;
    for (unsigned i = 0; i < sessions->key_count; i++) {
      sessions->keys[i].known[proc] = 0;
    }
  }
}

static void on_beaten(struct model *model, struct server *server,
                      struct wwri_boot boot) {
  struct world *world = model->user;
  struct sessions *sessions = world->sessions;
  uint64_t lease_ms = model->config.lease_ms;
  if (!sessions || !is_master(world, server)) return;
  check_leases(sessions);
  if (world->now_ms > sessions->newest_ms + lease_ms / 2 ||
      server->generation.n != sessions->generation) {
    sessions->grace_ms = world->now_ms + lease_ms;
  }
  sessions->generation = server->generation.n;
  sessions->newest_ms = world->now_ms;
  sessions->leases[boot.hi].boot = boot;
  sessions->leases[boot.hi].beat_ms = world->now_ms;
}

/* --- what the master does --- */

/* Connections of all nodes but one that it has to respect. */
static uint32_t respected(const struct sessions *sessions, unsigned key,
                          unsigned but) {
  uint32_t sum = 0;
  for (unsigned proc = 0; proc < PROCS; proc++) {
    uint32_t known = sessions->keys[key].known[proc];
    if (proc == but || known == 0) continue;
    uint32_t real = sessions_real(sessions, proc, key);
    sum += real < known ? real : known;
  }
  return sum;
}

static void check_limit(struct sessions *sessions, unsigned proc, unsigned key,
                        const struct session_request *request,
                        const struct session_answer *answer) {
  uint32_t max = sessions->keys[key].max;
  if (max == 0 || answer->count <= request->had) return;
  uint32_t sum = answer->count + respected(sessions, key, proc);
  if (sum > max) {
    oracle_fail(&sessions->world->oracle,
                "over the limit: %s has %u connections of %u",
                sessions->keys[key].name, sum, max);
  }
}

/* Counts come back only when a failover forgot them. */
static void check_return(struct sessions *sessions, unsigned proc, unsigned key,
                         const struct request *request,
                         const struct session_row *before,
                         const struct session_row *after) {
  struct key *of = &sessions->keys[key];
  uint32_t count = session_count(after, request->boot);
  uint32_t sum = count + respected(sessions, key, proc);
  bool forgot = of->forgot[proc];
  if (count) of->forgot[proc] = false; /* told again */
  if (forgot || of->max == 0 || sum <= of->max) return;
  if (request->session->kind == WWRI_KEEP_ATTACH) return; /* is checked */
  if (count <= session_count(before, request->boot)) return;
  oracle_fail(&sessions->world->oracle,
              "back over the limit: %s has %u connections of %u", of->name, sum,
              of->max);
}

static void check_destroyed(struct sessions *sessions, unsigned proc,
                            unsigned key, const char *how) {
  uint32_t left =
      respected(sessions, key, proc) + sessions_real(sessions, proc, key);
  if (left == 0) return;
  oracle_fail(&sessions->world->oracle,
              "%s although %u connections have it: %s", how, left,
              sessions->keys[key].name);
}

static void check_call(struct sessions *sessions, unsigned proc, unsigned key,
                       const struct session_request *request,
                       const struct session_answer *answer) {
  struct oracle *oracle = &sessions->world->oracle;
  const struct key *of = &sessions->keys[key];
  switch (request->kind) {
    case WWRI_KEEP_ATTACH:
      if (answer->word == WWRI_WORD_OK) {
        check_limit(sessions, proc, key, request, answer);
      }
      break;
    case WWRI_KEEP_LEAVE:
      if (answer->word == WWRI_WORD_LAST) {
        check_destroyed(sessions, proc, key, "destroyed by the last to leave");
      }
      break;
    case WWRI_KEEP_KILL:
      if (answer->word == WWRI_WORD_NOBODY) {
        check_destroyed(sessions, proc, key, "not closed by its key");
      }
      break;
    case WWRI_KEEP_CREATE:
      if (answer->word == WWRI_WORD_OK && of->dead) {
        oracle_fail(oracle, "it came back: %s", of->name);
      }
      break;
    default:
      break;
  }
}

/* What a node may count: what it was granted in this life, or before a master
 * forgot it. */
static void check_granted(struct sessions *sessions, unsigned proc,
                          unsigned key, const struct request *request,
                          const struct session_row *after,
                          const struct session_answer *answer) {
  struct key *of = &sessions->keys[key];
  enum wwri_keeper_kind kind = request->session->kind;
  uint32_t count = session_count(after, request->boot);
  if (!wwri_boot_equal(of->granted[proc].boot, request->boot)) {
    of->granted[proc].boot = request->boot;
    of->granted[proc].n = 0;
  }
  bool grants =
      kind == WWRI_KEEP_ATTACH || (kind == WWRI_KEEP_CREATE && !of->v_stored);
  if (answer->word == WWRI_WORD_OK && kind == WWRI_KEEP_CREATE) {
    of->v_stored = true;
  }
  if (grants && count > of->granted[proc].n) of->granted[proc].n = count;
  if (count <= of->granted[proc].n) return;
  oracle_fail(&sessions->world->oracle,
              "node %u counts %u connections of %s, granted were %u", proc,
              count, of->name, of->granted[proc].n);
}

static void note_present(struct sessions *sessions, unsigned key,
                         const struct session_row *row) {
  struct key *of = &sessions->keys[key];
  bool present = row && row->exists;
  if (present && !of->present) of->present_ms = sessions->world->now_ms;
  of->present = present;
  if (row && row->tomb) of->dead = true;
}

static void expired(struct sessions *sessions, unsigned key) {
  struct key *of = &sessions->keys[key];
  of->expired = true;
  check_destroyed(sessions, PROCS, key, "expired");
  note_present(sessions, key, NULL);
}

static void on_session(struct model *model, struct server *server,
                       const struct request *request, unsigned key,
                       const struct session_row *before,
                       const struct session_row *after,
                       const struct session_answer *answer) {
  struct world *world = model->user;
  struct sessions *sessions = world->sessions;
  if (request) {
    oracle_trace(&world->oracle,
                 "server %u: session s%u, node %u, call %d count %u: %d (%u)",
                 server->index, key, (unsigned)request->boot.hi,
                 (int)request->session->kind, request->session->count,
                 (int)answer->word, session_count(after, request->boot));
  }
  if (request) {
    check_granted(sessions, (unsigned)request->boot.hi, key, request, after,
                  answer);
  }
  if (!request) {
    check_leases(sessions);
    if (expires_at(world, server)) expired(sessions, key);
    return;
  }
  if (!is_master(world, server)) {
    sessions->keys[key].forgot[request->boot.hi] = true;
    return;
  }
  check_leases(sessions);
  unsigned proc = (unsigned)request->boot.hi;
  check_call(sessions, proc, key, request->session, answer);
  check_return(sessions, proc, key, request, before, after);
  note_present(sessions, key, after);
  sessions->keys[key].known[proc] = session_count(after, request->boot);
  if (after && after->exists) return;
  for (unsigned i = 0; i < PROCS; i++) sessions->keys[key].known[i] = 0;
  if (!before || !before->exists) return;
  bool calm = world->now_ms >= world->oracle.prompt_from_ms;
  world_push(
      world, world->now_ms + (calm ? GONE_MS : REPAIRED_MS),
      (struct event){
          .kind = EVENT_CHECK, .channel = key + 1, .arg = world->now_ms});
}

static void *alloc(struct model *model, size_t size) {
  return world_alloc(model->user, size);
}

void sessions_watch(struct model *model) {
  model->session = on_session;
  model->beaten = on_beaten;
  model->alloc = alloc;
}

void sessions_data_changed(struct world *world) {
  struct sessions *sessions = world->sessions;
  const struct server *master = &world->model.servers[world->master];
  if (!sessions) return;
  sessions->master_ms = world->now_ms;
  for (unsigned i = 0; i < sessions->key_count; i++) {
    struct key *key = &sessions->keys[i];
    const struct session_row *row = master->sessions[i];
    bool moves = world->move.state == MOVE_KEYS && world->move.disturbed;
    if (moves && key->present && !row) key->torn = true;
    key->dead = false;
    note_present(sessions, i, row);
    for (unsigned proc = 0; proc < PROCS; proc++) {
      uint32_t counted = session_count(row, sessions->leases[proc].boot);
      bool less = counted < key->known[proc] ||
                  counted < sessions_real(sessions, proc, i);
      if (counted < key->known[proc]) key->known[proc] = counted;
      if (less) key->forgot[proc] = true;
    }
  }
}

/* --- what applications are told --- */

void sessions_missed(struct sessions *sessions, const struct client *client) {
  struct world *world = sessions->world;
  const struct key *key = &sessions->keys[client->key];
  uint64_t since = client->asked_ms - MISS_MS;
  if (sessions->master_ms > key->made_ms && client->node->changed_ms &&
      world->now_ms < client->node->changed_ms + DOUBT_MS && !key->closing &&
      !key->expired && node_of(sessions, key->creator)) {
    oracle_fail(&world->oracle, "not found, so soon: %s", key->name);
  }
  bool settled = key->present && key->present_ms < since &&
                 sessions->master_ms < since && !world->partition;
  if (!settled || client->node->link.conns[0].server != world->master) return;
  oracle_fail(&world->oracle, "not found, although it is there: %s", key->name);
}

void sessions_ended(struct sessions *sessions, const struct client *client,
                    const char *what) {
  struct world *world = sessions->world;
  const char *name = sessions->keys[client->key].name;
  if (!client->op_open) {
    oracle_fail(&world->oracle, "ended twice: %s %s", name, what);
  }
  if (client->node->paused_until > client->asked_ms) return; /* it slept */
  if (world->now_ms > client->asked_ms + HOLD_MS + SLACK_MS) {
    oracle_fail(&world->oracle, "ended late: %s %s", name, what);
  }
}

/* --- the end --- */

static void check_key(struct sessions *sessions, unsigned index,
                      const struct session_row *row) {
  struct oracle *oracle = &sessions->world->oracle;
  const struct key *key = &sessions->keys[index];
  bool there = row && row->exists;
  if (there && key->dead) {
    oracle_fail(oracle, "destroyed, and there: %s", key->name);
  }
  for (unsigned proc = 0; proc < PROCS; proc++) {
    const struct node *node = node_of(sessions, proc);
    if (!node) continue;
    uint32_t real = sessions_real(sessions, proc, index);
    uint32_t counted = session_count(row, node->core.boot);
    if (there && key->promised[proc]) {
      oracle_fail(oracle, "it came back, and node %u destroyed it: %s", proc,
                  key->name);
    }
    if (real && !there) {
      oracle_fail(oracle, "node %u has what is not there: %s", proc, key->name);
    } else if (real != counted) {
      oracle_fail(oracle, "node %u has %u connections of %s, counted are %u",
                  proc, real, key->name, counted);
    }
  }
  bool kept = key->created && !key->closing && !key->expired && !key->torn &&
              node_of(sessions, key->creator);
  if (kept && !there) {
    oracle_fail(oracle, "nobody closed it, and it is gone: %s", key->name);
  }
}

static bool is_open(const struct sessions *sessions, unsigned key) {
  for (unsigned i = 0; i < CLIENTS; i++) {
    const struct client *client = &sessions->clients[i];
    if (client->used && client->key == key && client->op_open) return true;
  }
  return false;
}

void sessions_check(struct world *world) {
  struct sessions *sessions = world->sessions;
  const struct server *master = &world->model.servers[world->master];
  for (unsigned i = 0; i < sessions->key_count; i++) {
    if (is_open(sessions, i)) continue;
    if (sessions->keys[i].busy_ms + REST_MS > world->now_ms) continue;
    check_key(sessions, i, master->sessions[i]);
  }
}

/* It could hear of it all the time. */
static bool was_live(const struct node *node, uint64_t since_ms) {
  return node->core.live && node->live_ms <= since_ms &&
         node->paused_until <= since_ms;
}

void sessions_check_gone(struct world *world, unsigned key, uint64_t since_ms) {
  struct sessions *sessions = world->sessions;
  if (!sessions->keys[key].dead || sessions->master_ms > since_ms) return;
  for (unsigned i = 0; i < world->node_count; i++) {
    const struct node *node = &world->nodes[i];
    if (!node->alive || !was_live(node, since_ms)) continue;
    if (!sessions_real(sessions, node->proc, key)) continue;
    oracle_fail(&world->oracle, "destroyed, and node %u still has it: %s",
                node->proc, sessions->keys[key].name);
  }
}

void sessions_end(struct world *world) {
  struct sessions *sessions = world->sessions;
  if (!sessions || world->oracle.violations) return;
  for (unsigned i = 0; i < CLIENTS; i++) {
    const struct client *client = &sessions->clients[i];
    if (!client->used || !client->op_open) continue;
    oracle_fail(&world->oracle, "never ended: ask %d of %s",
                (int)client->op.ask, sessions->keys[client->key].name);
  }
  for (unsigned i = 0; i < sessions->key_count; i++) {
    check_key(sessions, i, world->model.servers[world->master].sessions[i]);
  }
}
