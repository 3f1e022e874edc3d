/* The whole API from eight threads at random while clients come and go. The
 * seed is fixed, the schedule is not; what is asserted is what must hold in
 * any: no crash, no race, no leak, every request answered or cut off, every
 * connection announced and ended once (the fixture counts). */
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "server_fixture.h"

enum { THREADS = 8, CLIENTS = 12, RUN_MS = 800 };

static atomic_bool running;

static struct wwr_conn *some_conn(void) {
  pthread_mutex_lock(&fix.lock);
  struct wwr_conn *conn = fix.last_conn ? wwr_conn_ref(fix.last_conn) : NULL;
  pthread_mutex_unlock(&fix.lock);
  return conn;
}

static const char *some_key(struct rng *rng) {
  static const char *const keys[] = {"k0", "k1", "k2", "k3"};
  return keys[rng_below(rng, 4)];
}

static void use_sessions(struct rng *rng, struct wwr_conn *conn) {
  struct wwr_conn **conns;
  size_t count;
  struct wwr_view key = wwr_view_str(some_key(rng));
  switch (rng_below(rng, 7)) {
    case 0:
      (void)!wwr_conn_create_session(conn, "{\"a\":\"b\"}", NULL, NULL);
      break;
    case 1:
      (void)!wwr_conn_close_session(conn, NULL, NULL);
      break;
    case 2:
      (void)!wwr_conn_create_session_wait(conn, NULL);
      break;
    case 3:
      (void)!wwr_conn_close_session_wait(conn);
      break;
    case 4:
      (void)!wwr_server_close_session(fix.server, key, NULL, NULL);
      break;
    case 5:
      if (wwr_server_session_conns(fix.server, key, &conns, &count)) break;
      for (size_t i = 0; i < count; i++) wwr_conn_unref(conns[i]);
      wwr_free(conns);
      break;
    default:
      (void)wwr_server_session_conn_count(fix.server, key);
  }
}

static void query(struct wwr_conn *conn) {
  struct wwr_server_stats stats;
  char *text;
  wwr_server_stats(fix.server, &stats);
  (void)wwr_server_sessions(fix.server);
  (void)wwr_server_address(fix.server);
  (void)wwr_conn_is_active(conn);
  (void)wwr_conn_has_session(conn);
  (void)wwr_conn_info(conn, 0);
  (void)wwr_conn_remote(conn);
  struct wwr_session *session = wwr_conn_session(conn);
  if (session) (void)strlen(wwr_session_key(session));
  wwr_session_unref(session);
  if (wwr_conn_session_text(conn, "a", &text) == WWR_OK) wwr_free(text);
}

static bool answer_one(void) {
  struct wwr_request *request = NULL;
  pthread_mutex_lock(&fix.lock);
  if (fix.held_next < fix.held_count) request = fix.held[fix.held_next++];
  if (fix.held_next == fix.held_count) fix.held_next = fix.held_count = 0;
  pthread_mutex_unlock(&fix.lock);
  if (request) reply_text(request, "held");
  return request != NULL;
}

static void act(struct rng *rng, struct wwr_conn *conn) {
  struct wwr_payload text = wwr_payload_text("payload");
  switch (rng_below(rng, 8)) {
    case 0:
      (void)wwr_server_broadcast(fix.server, wwr_view_str("b"), &text);
      break;
    case 1:
      query(conn);
      break;
    case 2:
      if (rng_below(rng, 40) == 0) wwr_conn_close(conn);
      break;
    case 3:
    case 4:
      (void)answer_one();
      break;
    case 5:
      (void)wwr_conn_signal(conn, wwr_view_str("s"), &text);
      break;
    default:
      use_sessions(rng, conn);
  }
}

static void *api_thread(void *arg) {
  struct rng rng = {(uint64_t)(uintptr_t)arg * 7919 + 1};
  while (atomic_load(&running)) {
    struct wwr_conn *conn = some_conn();
    for (int i = 0; conn && i < 20; i++) act(&rng, conn);
    wwr_conn_unref(conn);
    sched_yield();
  }
  return NULL;
}

static void stage_something(struct rng *rng, struct peer *peer) {
  static const char *const names[] = {"hold", "create", "close-session", "echo",
                                      "close"};
  switch (rng_below(rng, 10)) {
    case 0:
      stage_restore(peer, rng_next(rng), some_key(rng));
      break;
    case 1:
      stage_close_session(peer, rng_next(rng));
      break;
    case 2:
      if (rng_below(rng, 20) == 0) stage_raw(peer, "\xff", 1);
      break;
    case 3:
      stage_signal(peer, "s", "x");
      break;
    default:
      stage_request(peer, rng_next(rng),
                    names[rng_below(rng, rng_below(rng, 10) ? 4 : 5)], NULL);
  }
}

static void clients_come_and_go(void) {
  struct rng rng = {4711};
  struct peer *peers[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) peers[i] = peer_connect();
  uint64_t until = now_ms() + RUN_MS;
  while (now_ms() < until) {
    struct peer **peer = &peers[rng_below(&rng, CLIENTS)];
    for (int i = 0; i < 5; i++) stage_something(&rng, *peer);
    (void)peer_flush(*peer);
    if (rng_below(&rng, 20) == 0) {
      if (rng_below(&rng, 2)) {
        peer_close(*peer);
      } else {
        peer_abort(*peer);
      }
    }
    if (rng_below(&rng, 50) == 0) store_put(some_key(&rng), NULL);
    if (LOCKED((*peer)->closed)) *peer = peer_connect();
  }
}

static void *keep_answering(void *arg) {
  (void)arg;
  static const struct timespec nap = {0, 200000};
  while (atomic_load(&running)) {
    if (!answer_one()) nanosleep(&nap, NULL);
  }
  return NULL;
}

static void everything_at_random(void) {
  pthread_t threads[THREADS];
  pthread_t answering;
  fix.opts.concurrency = 3;
  fix.opts.max_session_conns = 2;
  fix.opts.max_pending_bytes = 1024;
  fix.store_blocks = is_blocking();
  fixture_start();
  atomic_store(&running, true);
  for (uintptr_t i = 0; i < THREADS; i++) {
    pthread_create(&threads[i], NULL, api_thread, (void *)i);
  }
  clients_come_and_go();
  pthread_create(&answering, NULL, keep_answering, NULL);
  wwr_server_shutdown(fix.server);
  WAIT(fix.connected == fix.disconnected);
  atomic_store(&running, false);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_join(answering, NULL);
  CU_ASSERT_EQUAL(fix.held_next, fix.held_count);
}

/* --- Closing loses no answer -----------------------------------------------
 */

static int count_answers(struct peer *peer) {
  int answers = 0;
  peer_wait_closed(peer);
  while (LOCKED(peer->rx_next < peer->rx_count)) {
    answers += peer_next(peer).type == WWRI_REPLY_UTF8;
  }
  return answers;
}

static void stage_many(struct rng *rng, struct peer *peer) {
  for (uint64_t i = 0; i < 60; i++) {
    stage_request(peer, i, rng_below(rng, 3) ? "echo" : "hold", "x");
  }
  if (rng_below(rng, 4) == 0) stage_raw(peer, "\xff", 1);
}

/* Every request whose handler began is answered, whenever the close comes. */
static void a_close_loses_no_answer(void) {
  struct rng rng = {99};
  pthread_t answering;
  fix.opts.concurrency = 4;
  fix.opts.max_pending_bytes = 2048;
  fixture_start();
  atomic_store(&running, true);
  pthread_create(&answering, NULL, keep_answering, NULL);
  int answers = 0;
  for (int i = 0; i < 60; i++) {
    struct wwr_conn *conn;
    if (i == 40) traffic_start();
    struct peer *peer = peer_connect_conn(&conn);
    stage_many(&rng, peer);
    (void)peer_flush(peer);
    for (uint64_t n = rng_below(&rng, 100); n > 0; n--) sched_yield();
    wwr_conn_close(conn);
    answers += count_answers(peer);
    CU_ASSERT_EQUAL_FATAL(answers, LOCKED(fix.requests));
  }
  traffic_stop();
  atomic_store(&running, false);
  pthread_join(answering, NULL);
}

static void a_shutdown_loses_no_answer(void) {
  struct rng rng = {77};
  for (int i = 0; i < 10; i++) {
    struct peer *peers[4];
    pthread_t answering;
    int answers = 0;
    fix.opts.concurrency = -1;
    fixture_start();
    atomic_store(&running, true);
    pthread_create(&answering, NULL, keep_answering, NULL);
    for (int p = 0; p < 4; p++) peers[p] = peer_connect();
    for (int p = 0; p < 4; p++) stage_many(&rng, peers[p]);
    for (int p = 0; p < 4; p++) (void)peer_flush(peers[p]);
    for (uint64_t n = rng_below(&rng, 100); n > 0; n--) sched_yield();
    wwr_server_shutdown(fix.server);
    for (int p = 0; p < 4; p++) answers += count_answers(peers[p]);
    CU_ASSERT_EQUAL(answers, LOCKED(fix.requests));
    atomic_store(&running, false);
    pthread_join(answering, NULL);
    fixture_reset();
  }
}

/* --- Races with one right outcome ------------------------------------------
 */

static void *create_once(void *arg) {
  wwr_err *err = arg;
  struct wwr_conn *conn = some_conn();
  *err = wwr_conn_create_session_wait(conn, NULL);
  wwr_conn_unref(conn);
  return NULL;
}

static void of_two_creates_one_wins(void) {
  fixture_start();
  for (int i = 0; i < 50; i++) {
    wwr_err errs[2];
    pthread_t threads[2];
    struct peer *peer = peer_connect();
    for (int t = 0; t < 2; t++) {
      pthread_create(&threads[t], NULL, create_once, &errs[t]);
    }
    for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
    CU_ASSERT_EQUAL(errs[0] == WWR_OK, errs[1] == WWR_E_SESSION_ACTIVE);
    CU_ASSERT_EQUAL(errs[1] == WWR_OK, errs[0] == WWR_E_SESSION_ACTIVE);
    (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
    peer_expect_nothing(peer);
    peer_close(peer);
    peer_wait_closed(peer);
  }
}

enum { BROADCASTS = 300, WATCHERS = 4 };

static void *broadcast_many(void *arg) {
  struct wwr_payload who = wwr_payload_text(arg);
  for (int i = 0; i < BROADCASTS; i++) {
    (void)wwr_server_broadcast(fix.server, wwr_view_str("b"), &who);
  }
  return NULL;
}

static void broadcast_signal(struct wwr_conn *conn,
                             const struct wwr_message *message,
                             void *user_data) {
  (void)conn;
  (void)user_data;
  (void)wwr_server_broadcast(fix.server, message->name, &message->payload);
}

/* From two threads and from hooks: all see the same sequence. */
static void broadcasts_have_one_order(void) {
  fix.override.on_signal = broadcast_signal;
  fixture_start();
  static char names[2] = {'x', 'y'};
  char texts[2][2] = {{names[0]}, {names[1]}};
  pthread_t threads[2];
  struct peer *peers[WATCHERS];
  for (int i = 0; i < WATCHERS; i++) peers[i] = peer_connect();
  for (int i = 0; i < BROADCASTS; i++) stage_signal(peers[0], "b", "0");
  for (int i = 0; i < BROADCASTS; i++) stage_signal(peers[1], "b", "1");
  for (int t = 0; t < 2; t++) {
    pthread_create(&threads[t], NULL, broadcast_many, texts[t]);
  }
  (void)peer_flush(peers[0]);
  (void)peer_flush(peers[1]);
  for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
  int differ = 0;
  for (int i = 0; i < 4 * BROADCASTS; i++) {
    struct wwr_view first = peer_next(peers[0]).payload.data;
    for (int p = 1; p < WATCHERS; p++) {
      differ += !wwr_view_equal(first, peer_next(peers[p]).payload.data);
    }
  }
  CU_ASSERT_EQUAL(differ, 0);
}

static CU_TestInfo tests[] = {
    {"everything at random", everything_at_random},
    {"a close loses no answer", a_close_loses_no_answer},
    {"a shutdown loses no answer", a_shutdown_loses_no_answer},
    {"of two creates one wins", of_two_creates_one_wins},
    {"broadcasts have one order", broadcasts_have_one_order},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
