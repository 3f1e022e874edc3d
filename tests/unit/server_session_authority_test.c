/* Sessions by a store that has authority over several nodes: what it is asked,
 * and what clients are told. Every test ends with the check that the server
 * ended each count exactly once. */
#include <string.h>

#include "server_fake_authority.h"

/* --- Restore -------------------------------------------------------------- */

static void a_restore_is_counted(void) {
  fake_start();
  struct peer *peer = fake_restored();
  CU_ASSERT_EQUAL(fake_count("key"), 1);
  CU_ASSERT_EQUAL(
      wwr_server_session_conn_count(fix.server, wwr_view_str("key")), 1);
  peer_close(peer);
  WAIT(fake.detaches == 1);
  CU_ASSERT_EQUAL(fake_count("key"), 0);
  CU_ASSERT_TRUE(fake_alive("key"));
  fake_finish();
}

static void certain_answers_are_told(void) {
  fix.opts.max_session_conns = 1;
  fake_start();
  struct peer *first = fake_restored();
  struct peer *second = peer_connect();
  peer_restore(second, 2, "key");
  peer_expect_id(second, WWRI_REPLY_MAX_SESSION_CONNS, 2);
  peer_restore(second, 3, "other");
  peer_expect_id(second, WWRI_REPLY_SESSION_NOT_FOUND, 3);
  peer_request(second, 4, "echo", "still here");
  peer_expect_text(second, 4, "still here");
  peer_expect_nothing(first);
  fake_finish();
}

/* The limit is the store's: what this server has does not matter. */
static void the_store_decides_the_limit(void) {
  fix.opts.max_session_conns = 2;
  fake_start();
  LOCKED(((struct fake_slot *)wwri_map_get(&fake.slots, wwr_view_str("key")))
             ->elsewhere = 1);
  (void)fake_restored();
  struct peer *second = peer_connect();
  peer_restore(second, 2, "key");
  peer_expect_id(second, WWRI_REPLY_MAX_SESSION_CONNS, 2);
  fake_finish();
}

static void no_answer_closes(wwr_err err) {
  fake_start();
  fake.err[FAKE_ATTACH] = err;
  struct peer *peer = peer_connect();
  stage_restore(peer, 1, "key");
  stage_request(peer, 2, "echo", "of a session that is not there");
  (void)peer_flush(peer);
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(fix.reason, WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(LOCKED(fix.requests), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.errors_logged), 1);
  CU_ASSERT_TRUE(fake_alive("key"));
  fake_finish();
}

static void what_is_uncertain_is_not_told(void) {
  no_answer_closes(WWR_E_UNAVAILABLE);
  fixture_reset();
  no_answer_closes(WWR_E_LIMIT);
  fixture_reset();
  no_answer_closes(WWR_E_IO);
}

/* Requests that were there before are answered first. */
static void an_end_lets_handlers_finish(void) {
  fix.opts.concurrency = 2;
  fake_start();
  fake.err[FAKE_ATTACH] = WWR_E_UNAVAILABLE;
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_restore(peer, 2, "key");
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  WAIT(fake.calls[FAKE_ATTACH] == 1);
  settle();
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  answer_held(request, "late");
  peer_expect_text(peer, 1, "late");
  peer_expect_closed(peer);
  fake_finish();
}

static void many_failures_are_logged_once(void) {
  fake_start();
  fake.err[FAKE_ATTACH] = WWR_E_UNAVAILABLE;
  uint64_t begin = now_ms();
  for (int i = 0; i < 10; i++) {
    struct peer *peer = peer_connect();
    peer_restore(peer, 1, "key");
    peer_expect_closed(peer);
  }
  WAIT(fix.disconnected == 10);
  /* One a second and thread. */
  int most = (int)((now_ms() - begin) / 1000 + 1) * (int)fix.opts.io_threads;
  CU_ASSERT_TRUE(LOCKED(fix.errors_logged) <= most);
  fake_finish();
}

static void a_session_too_large_is_given_back(void) {
  char info[300];
  memset(info, 'x', sizeof info);
  memcpy(info, "{\"a\":\"", 6);
  memcpy(info + sizeof info - 3, "\"}", 3);
  fix.opts.message_buffer_bytes = 128;
  fake_start();
  fake_put("large", info);
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "large");
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 1);
  CU_ASSERT_EQUAL(fake_count("large"), 0);
  peer_restore(peer, 2, "key");
  peer_expect_id(peer, WWRI_REPLY_UTF8, 2);
  fake_finish();
}

static void a_restore_leaves_the_old_session(void) {
  fake_start();
  fake_put("other", NULL);
  struct peer *peer = fake_restored();
  peer_restore(peer, 2, "other");
  peer_expect_id(peer, WWRI_REPLY_UTF8, 2);
  WAIT(fake.detaches == 1);
  CU_ASSERT_EQUAL(fake_count("key"), 0);
  CU_ASSERT_EQUAL(fake_count("other"), 1);
  CU_ASSERT_TRUE(fake_alive("key"));
  peer_restore(peer, 3, "other"); /* the same again */
  peer_expect_id(peer, WWRI_REPLY_UTF8, 3);
  WAIT(fake.detaches == 2);
  CU_ASSERT_EQUAL(fake_count("other"), 1);
  fake_finish();
}

/* --- A restore that is held ----------------------------------------------- */

static void a_held_restore_holds_nothing_else(void) {
  fake_start();
  struct peer *other = peer_connect();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  LOCKED(fake.hold = true);
  peer_restore(peer, 1, "key");
  WAIT(fake.open_count == 1);
  peer_request(other, 2, "echo", "x");
  peer_expect_text(other, 2, "x");
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("s"), NULL), WWR_OK);
  (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  peer_request(peer, 3, "echo", "behind it");
  peer_expect_nothing(peer);
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  peer_expect_text(peer, 3, "behind it");
  fake_finish();
}

/* Heartbeats are heard meanwhile: the read timeout does not strike. */
static void a_held_restore_hears_heartbeats(void) {
  if (is_blocking() || fix.opts.io_threads > 1) return;
  static const struct timespec nap = {0, 100000000};
  static const uint8_t heartbeat = WWRI_HEARTBEAT;
  fix.opts.read_timeout_ms = 1000;
  fake_start();
  struct peer *peer = fake_restoring();
  uint64_t until = now_ms() + 1300;
  while (now_ms() < until && !LOCKED(peer->closed)) {
    peer_raw(peer, &heartbeat, 1);
    nanosleep(&nap, NULL);
  }
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  fake_finish();
}

static void who_leaves_does_not_wait(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  peer_abort(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fake.open_count), 1);
  fake_release();
  WAIT(fake.detaches == 1);
  CU_ASSERT_EQUAL(fake_count("key"), 0);
  fake_finish();
}

static struct {
  struct wwr_conn *conn;
  bool waits;
} inbox;

static void look_into_inbox(void *arg) {
  (void)arg;
  inbox.waits = inbox.conn->inbox_head != NULL;
}

/* A message of the connection has arrived and waits for its turn. */
static void wait_for_inbox(struct wwr_conn *conn) {
  uint64_t until = now_ms() + 30000;
  inbox.conn = conn;
  do {
    run_on(conn->shard->loop, look_into_inbox, NULL);
  } while (!inbox.waits && now_ms() < until);
  CU_ASSERT_TRUE_FATAL(inbox.waits);
}

/* What was sent behind the restore is still handled, without a session. */
static void who_leaves_leaves_messages(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  peer_signal(peer, "s", "x");
  wait_for_inbox(LOCKED(fix.last_conn));
  peer_abort(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 1);
  fake_release();
  fake_finish();
}

static void a_close_does_not_wait(void) {
  fake_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  LOCKED(fake.hold = true);
  peer_restore(peer, 1, "key");
  WAIT(fake.open_count == 1);
  wwr_conn_close(conn);
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  fake_release();
  fake_finish();
}

static void a_shutdown_does_not_wait(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  struct peer *second = peer_connect();
  stage_restore(second, 2, "key");
  stage_restore(second, 3, "key"); /* waits behind it */
  (void)peer_flush(second);
  WAIT(fake.open_count == 2);
  wait_for_inbox(LOCKED(fix.last_conn));
  wwr_server_shutdown(fix.server);
  peer_expect_closed(peer);
  peer_expect_closed(second);
  CU_ASSERT_EQUAL(LOCKED(fake.open_count), 2);
  fake_release();
  fake_finish();
}

static void *free_server(void *arg) {
  (void)arg;
  fixture_free_server();
  return NULL;
}

/* The operation of a client that left long ago is still the server's. */
static void a_free_waits_for_late_answers(void) {
  static const struct timespec nap = {0, 1000000};
  pthread_t thread;
  fake_start();
  peer_abort(fake_restoring());
  WAIT(fix.disconnected == 1);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, free_server, NULL), 0);
  for (int i = 0; i < 30 && !LOCKED(fake.freed); i++) nanosleep(&nap, NULL);
  fake_release();
  pthread_join(thread, NULL);
  fake_finish();
}

/* A client that asks a server which shuts down tries elsewhere, too. */
static void a_restore_during_shutdown_gets_no_answer(void) {
  fake_start();
  struct peer *busy = peer_connect();
  struct peer *peer = peer_connect();
  struct peer *closing = peer_connect();
  peer_request(busy, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  wwr_server_shutdown_async(fix.server);
  peer_restore(peer, 2, "key");
  peer_expect_closed(peer);
  peer_close_session(closing, 3); /* this one loses nothing by an answer */
  peer_expect_id(closing, WWRI_REPLY_SHUTDOWN, 3);
  answer_held(request, "done");
  peer_expect_text(busy, 1, "done");
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_ATTACH]), 0);
  fake_finish();
}

/* The server has taken the session off. */
static void wait_for_loss(const struct wwr_conn *conn) {
  static const struct timespec nap = {0, 100000};
  uint64_t until = now_ms() + 30000;
  while (wwr_conn_has_session(conn) && now_ms() < until) nanosleep(&nap, NULL);
  CU_ASSERT_FALSE_FATAL(wwr_conn_has_session(conn));
}

/* --- Create --------------------------------------------------------------- */

static void a_create_is_counted(void) {
  fake_start();
  char key[FAKE_KEY];
  struct peer *peer = peer_connect();
  fake_create(peer, key);
  CU_ASSERT_EQUAL(fake_count(key), 1);
  peer_close(peer);
  WAIT(fake.detaches == 1);
  CU_ASSERT_TRUE(fake_alive(key));
  fake_finish();
}

static void a_create_is_done_when_accepted(void) {
  fake_start();
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  struct peer *peer = fake_creating(&conn, key);
  peer_expect_nothing(peer);
  CU_ASSERT_TRUE(wwr_conn_has_session(conn));
  fake_release();
  peer_expect_text(peer, 1, "ok");
  CU_ASSERT_EQUAL(fake_count(key), 1);
  fake_finish();
}

static void create_failing(wwr_err err, char key[FAKE_KEY],
                           struct peer **peer) {
  fake_start();
  fake.err[FAKE_CREATED] = err;
  *peer = peer_connect();
  fake_create(*peer, key);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1); /* it stays active */
  CU_ASSERT_STRING_EQUAL(fix.log,
                         "session was not stored, it can't be restored");
}

static void a_failed_create_is_not_counted(void) {
  char key[FAKE_KEY];
  struct peer *peer;
  create_failing(WWR_E_IO, key, &peer);
  CU_ASSERT_EQUAL(fake_count(key), 0);
  peer_close(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 0);
  fake_finish();
}

/* The store may have it all the same: a logout must not leave it behind. */
static void a_failed_create_is_killed_when_closed(void) {
  char key[FAKE_KEY];
  struct peer *peer;
  create_failing(WWR_E_IO, key, &peer);
  peer_close_session(peer, 2);
  peer_expect_id(peer, WWRI_REPLY_BINARY, 2);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 1);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_LEAVE]), 0);
  fake_finish();
}

/* The store goes on trying, so it is a connection like any other. */
static void an_unavailable_create_is_counted(void) {
  char key[FAKE_KEY];
  struct peer *peer;
  create_failing(WWR_E_UNAVAILABLE, key, &peer);
  CU_ASSERT_EQUAL(fake_count(key), 1);
  peer_close(peer);
  WAIT(fake.detaches == 1);
  fake_finish();
}

static void who_leaves_during_create_is_detached(void) {
  fake_start();
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  struct peer *peer = fake_creating(&conn, key);
  peer_abort(peer);
  wait_for_loss(conn);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 0);
  fake_release();
  WAIT(fake.detaches == 1);
  CU_ASSERT_TRUE(fake_alive(key));
  fake_finish();
}

static void who_leaves_during_a_failing_create_is_not(void) {
  fake_start();
  fake.err[FAKE_CREATED] = WWR_E_IO;
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  struct peer *peer = fake_creating(&conn, key);
  peer_abort(peer);
  wait_for_loss(conn);
  fake_release();
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 0);
  fake_finish();
}

/* Told only when the store knows the session, however it is closed. */
static void a_close_waits_for_the_create(void) {
  fix.opts.concurrency = 2;
  fake_start();
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  struct peer *peer = fake_creating(&conn, key);
  peer_close_session(peer, 2);
  wait_for_loss(conn);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_LEAVE]), 0);
  (void)fake_release_one(NULL);
  peer_expect_text(peer, 1, "ok");
  WAIT(fake.calls[FAKE_LEAVE] == 1);
  peer_expect_nothing(peer);
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_BINARY, 2);
  CU_ASSERT_FALSE(fake_alive(key));
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 0);
  fake_finish();
}

static void closed_done(struct wwr_conn *conn, wwr_err err, void *user_data) {
  (void)conn;
  *(wwr_err *)user_data = err;
  note(&fix.signals);
}

static void a_close_of_a_failing_create_kills(void) {
  fake_start();
  fake.err[FAKE_CREATED] = WWR_E_IO;
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  wwr_err err = WWR_E_INTERNAL;
  struct peer *peer = fake_creating(&conn, key);
  CU_ASSERT_EQUAL(wwr_conn_close_session(conn, closed_done, &err), WWR_OK);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
  fake_release();
  WAIT(fix.signals == 1);
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 1);
  fake_finish();
}

/* --- Closing on a connection ---------------------------------------------- */

static void a_close_always_asks_the_store(void) {
  fake_start();
  struct peer *first = fake_restored();
  struct peer *second = fake_restored();
  peer_close_session(first, 2);
  peer_expect_id(first, WWRI_REPLY_BINARY, 2);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_LEAVE]), 1);
  CU_ASSERT_TRUE(fake_alive("key"));
  peer_close_session(second, 3);
  peer_expect_id(second, WWRI_REPLY_BINARY, 3);
  CU_ASSERT_FALSE(fake_alive("key"));
  peer_close_session(second, 4); /* has none any more */
  peer_expect_id(second, WWRI_REPLY_BINARY, 4);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_LEAVE]), 2);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 0);
  fake_finish();
}

static void a_close_is_confirmed_in_any_case(void) {
  fake_start();
  struct peer *peer = fake_restored();
  LOCKED(fake.hold = true);
  fake.err[FAKE_LEAVE] = WWR_E_UNAVAILABLE;
  peer_close_session(peer, 2);
  WAIT(fake.open_count == 1);
  peer_expect_nothing(peer);
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_BINARY, 2);
  CU_ASSERT_STRING_EQUAL(fix.log, "session was not deleted from the store");
  fake_finish();
}

static void a_close_by_the_server(void) {
  fake_start();
  struct wwr_conn *conn;
  wwr_err err = WWR_E_INTERNAL;
  struct peer *other = fake_restored();
  struct peer *peer = peer_connect_conn(&conn);
  peer_restore(peer, 1, "key");
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  CU_ASSERT_EQUAL(wwr_conn_close_session(conn, closed_done, &err), WWR_OK);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  WAIT(fix.signals == 1);
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT_EQUAL(fake_count("key"), 1);
  peer_expect_nothing(other);
  fake_finish();
}

static CU_TestInfo tests[] = {
    {"a restore is counted", a_restore_is_counted},
    {"certain answers are told", certain_answers_are_told},
    {"the store decides the limit", the_store_decides_the_limit},
    {"what is uncertain is not told", what_is_uncertain_is_not_told},
    {"an end lets handlers finish", an_end_lets_handlers_finish},
    {"many failures are logged once", many_failures_are_logged_once},
    {"a session too large is given back", a_session_too_large_is_given_back},
    {"a restore leaves the old session", a_restore_leaves_the_old_session},
    {"a held restore holds nothing else", a_held_restore_holds_nothing_else},
    {"a held restore hears heartbeats", a_held_restore_hears_heartbeats},
    {"who leaves does not wait", who_leaves_does_not_wait},
    {"who leaves leaves messages", who_leaves_leaves_messages},
    {"a close does not wait", a_close_does_not_wait},
    {"a shutdown does not wait", a_shutdown_does_not_wait},
    {"a free waits for late answers", a_free_waits_for_late_answers},
    {"a restore during shutdown gets no answer",
     a_restore_during_shutdown_gets_no_answer},
    {"a create is counted", a_create_is_counted},
    {"a create is done when accepted", a_create_is_done_when_accepted},
    {"a failed create is not counted", a_failed_create_is_not_counted},
    {"a failed create is killed when closed",
     a_failed_create_is_killed_when_closed},
    {"an unavailable create is counted", an_unavailable_create_is_counted},
    {"who leaves during create is detached",
     who_leaves_during_create_is_detached},
    {"who leaves during a failing create is not",
     who_leaves_during_a_failing_create_is_not},
    {"a close waits for the create", a_close_waits_for_the_create},
    {"a close of a failing create kills", a_close_of_a_failing_create_kills},
    {"a close always asks the store", a_close_always_asks_the_store},
    {"a close is confirmed in any case", a_close_is_confirmed_in_any_case},
    {"a close by the server", a_close_by_the_server},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
