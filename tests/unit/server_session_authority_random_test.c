/* Everything that happens to sessions, at random and all at once, with a store
 * that has authority, delays, fails, evicts and closes: whatever the schedule,
 * the store is told the end of every count exactly once, and between two storms
 * it counts what the server has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server_fake_authority.h"

enum {
  KEYS = 8,
  API_THREADS = 3,
  CLIENTS = 10,
  ROUNDS = 4,
  STORM_MS = 120,
  OPEN_MAX = 64,
  CALM_SECONDS = 30
};

static atomic_bool storming; /* clients and callers */
static atomic_bool storing;  /* the store's thread */
static atomic_uint incarnation[KEYS];

static const struct timespec short_nap = {0, 100000};

/* "k3-17": the 17th session of its kind; a key never comes back. */
static void write_key(char key[FAKE_KEY], size_t i, unsigned n) {
  snprintf(key, FAKE_KEY, "k%zu-%u", i, n);
}

static void some_key(struct rng *rng, char key[FAKE_KEY]) {
  size_t i = rng_below(rng, KEYS);
  write_key(key, i, atomic_load(&incarnation[i]));
}

/* --- The store ------------------------------------------------------------ */

static void renew(size_t i) {
  char key[FAKE_KEY];
  write_key(key, i, atomic_load(&incarnation[i]));
  if (fake_alive(key)) return;
  unsigned next = atomic_load(&incarnation[i]) + 1;
  write_key(key, i, next);
  fake_put(key, NULL);
  atomic_store(&incarnation[i], next);
}

static void crowd_elsewhere(const char *key, long count) {
  pthread_mutex_lock(&fix.lock);
  struct fake_slot *slot = wwri_map_get(&fake.slots, wwr_view_str(key));
  if (slot) slot->elsewhere = count;
  pthread_mutex_unlock(&fix.lock);
}

static void meddle(struct rng *rng) {
  static const uint8_t signal[] = {WWRI_SIGNAL_UTF8, 1, 's', 'x'};
  char key[FAKE_KEY];
  some_key(rng, key);
  switch (rng_below(rng, 12)) {
    case 0:
      fake_closed(key);
      break;
    case 1:
      fake_evicted(key);
      break;
    case 2:
      crowd_elsewhere(key, (long)rng_below(rng, 3));
      break;
    case 3:
      fake_received(key, signal, rng_below(rng, 4) ? sizeof signal : 1);
      break;
    default:
      renew(rng_below(rng, KEYS));
  }
}

static void *store_thread(void *arg) {
  struct rng rng = {(uint64_t)(uintptr_t)arg * 31 + 5};
  while (atomic_load(&storing)) {
    if (atomic_load(&storming) && rng_below(&rng, 4) == 0) meddle(&rng);
    if (rng_below(&rng, 3)) (void)fake_release_one(&rng);
    if (rng_below(&rng, 4) == 0) nanosleep(&short_nap, NULL);
  }
  return NULL;
}

/* --- Callers -------------------------------------------------------------- */

static struct wwr_conn *some_conn(void) {
  pthread_mutex_lock(&fix.lock);
  struct wwr_conn *conn = fix.last_conn ? wwr_conn_ref(fix.last_conn) : NULL;
  pthread_mutex_unlock(&fix.lock);
  return conn;
}

static void close_its_session(struct wwr_conn *conn) {
  struct wwr_session *session = wwr_conn_session(conn);
  if (!session) return;
  (void)!wwr_server_close_session(
      fix.server, wwr_view_str(wwr_session_key(session)), NULL, NULL);
  wwr_session_unref(session);
}

static void call(struct rng *rng, struct wwr_conn *conn) {
  char key[FAKE_KEY];
  switch (rng_below(rng, 8)) {
    case 0:
    case 1:
      (void)!wwr_conn_create_session(conn, NULL, NULL, NULL);
      break;
    case 2:
      (void)!wwr_conn_close_session(conn, NULL, NULL);
      break;
    case 3:
      close_its_session(conn);
      break;
    case 4:
      some_key(rng, key);
      (void)!wwr_server_close_session(fix.server, wwr_view_str(key), NULL,
                                      NULL);
      break;
    case 5:
      if (rng_below(rng, 8) == 0) wwr_conn_close(conn);
      break;
    default:
      sched_yield();
  }
}

static void *call_thread(void *arg) {
  struct rng rng = {(uint64_t)(uintptr_t)arg * 7919 + 3};
  while (atomic_load(&storming)) {
    struct wwr_conn *conn = some_conn();
    bool busy = LOCKED(fake.open_count > OPEN_MAX);
    for (int i = 0; conn && !busy && i < 10; i++) call(&rng, conn);
    wwr_conn_unref(conn);
    nanosleep(&short_nap, NULL);
  }
  return NULL;
}

/* --- Clients -------------------------------------------------------------- */

static void stage_something(struct rng *rng, struct peer *peer) {
  char key[FAKE_KEY];
  switch (rng_below(rng, 8)) {
    case 0:
    case 1:
    case 2:
      some_key(rng, key);
      stage_restore(peer, rng_next(rng), key);
      break;
    case 3:
      stage_close_session(peer, rng_next(rng));
      break;
    case 4:
    case 5:
      stage_request(peer, rng_next(rng), "create", NULL);
      break;
    case 6:
      stage_request(peer, rng_next(rng), "close-session", NULL);
      break;
    default:
      stage_request(peer, rng_next(rng), "echo", "x");
  }
}

static void clients_come_and_go(struct rng *rng, struct peer **peers) {
  struct peer **peer = &peers[rng_below(rng, CLIENTS)];
  for (uint64_t n = rng_below(rng, 5); n > 0; n--) stage_something(rng, *peer);
  (void)peer_flush(*peer);
  if (rng_below(rng, 10) == 0) peer_close(*peer);
  if (rng_below(rng, 10) == 0) peer_abort(*peer);
  if (LOCKED((*peer)->closed)) *peer = peer_connect();
}

/* Nobody new is let in. */
static void clients_stay(struct rng *rng, struct peer **peers) {
  struct peer *peer = peers[rng_below(rng, CLIENTS)];
  stage_something(rng, peer);
  (void)peer_flush(peer);
  if (rng_below(rng, 10) == 0) peer_abort(peer);
}

/* --- Between two storms --------------------------------------------------- */

static bool agrees(struct wwr_view key, void *value, void *arg) {
  const struct fake_slot *slot = value;
  long here = wwr_server_session_conn_count(fix.server, key);
  bool *all = arg;
  if (here < 0) here = 0;
  if (slot->uncounted) here = 0;
  if (slot->count != here) *all = false;
  return *all;
}

static bool calm(void) {
  bool all = true;
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  if (stats.open_handlers || atomic_load(&fix.server->late_work)) return false;
  pthread_mutex_lock(&fix.lock);
  if (fake.open_count) all = false;
  if (all) wwri_map_each(&fake.slots, agrees, &all);
  pthread_mutex_unlock(&fix.lock);
  return all;
}

static void it_counts_what_is_here(void) {
  uint64_t until = now_ms() + CALM_SECONDS * 1000;
  bool was_calm; /* once: what the clients sent may not all have been read */
  while (!(was_calm = calm()) && now_ms() < until) nanosleep(&short_nap, NULL);
  CU_ASSERT_TRUE_FATAL(was_calm);
}

/* --- A round -------------------------------------------------------------- */

static void storm(struct rng *rng, struct peer **peers, bool last) {
  pthread_t callers[API_THREADS];
  atomic_store(&storming, true);
  for (uintptr_t i = 0; i < API_THREADS; i++) {
    pthread_create(&callers[i], NULL, call_thread, (void *)(i + rng->state));
  }
  uint64_t until = now_ms() + STORM_MS;
  while (now_ms() < until) clients_come_and_go(rng, peers);
  if (last) {
    wwr_server_shutdown_async(fix.server);
    while (now_ms() < until + STORM_MS / 4) clients_stay(rng, peers);
  }
  atomic_store(&storming, false);
  for (int i = 0; i < API_THREADS; i++) pthread_join(callers[i], NULL);
}

static void start_round(struct rng *errors) {
  fake_use();
  fake.hold = true;
  fake.errors = errors;
  fix.opts.concurrency = 3;
  fix.opts.max_session_conns = 3;
  if (fix.opts.io_threads > 1) fix.opts.io_threads = 4;
  fixture_start();
  for (size_t i = 0; i < KEYS; i++) renew(i);
}

/* Odd rounds end in the middle of a storm, even ones in calm weather. */
static void one_round(struct rng *rng, uint64_t number) {
  struct rng errors = {number * 13 + 7};
  struct peer *peers[CLIENTS];
  pthread_t store;
  start_round(&errors);
  atomic_store(&storing, true);
  pthread_create(&store, NULL, store_thread, (void *)(uintptr_t)number);
  for (int i = 0; i < CLIENTS; i++) peers[i] = peer_connect();
  storm(rng, peers, false);
  it_counts_what_is_here();
  storm(rng, peers, number % 2 == 1);
  if (number % 2 == 0) it_counts_what_is_here();
  wwr_server_shutdown(fix.server);
  fake_finish();
  atomic_store(&storing, false);
  pthread_join(store, NULL);
}

static void every_count_is_ended_once(void) {
  struct rng rng = {20240611};
  for (uint64_t i = 0; i < ROUNDS; i++) {
    one_round(&rng, i);
    fixture_reset();
  }
}

static CU_TestInfo tests[] = {
    {"every count is ended once", every_count_is_ended_once},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
