/* A store that has authority over several nodes closes sessions everywhere, and
 * tells the server what happens on other nodes. Every test ends with the check
 * that the server ended each count exactly once. */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "server_fake_authority.h"

/* --- Closing by key ------------------------------------------------------- */

static struct {
  size_t count;
  wwr_err last;
  int calls;
} expulsion;

static void expelled(const struct wwr_close_result *results, size_t count,
                     void *user_data) {
  (void)user_data;
  expulsion.count = count;
  expulsion.last = count ? results[count - 1].err : WWR_OK;
  note(&expulsion.calls);
}

static void expel(const char *key) {
  memset(&expulsion, 0, sizeof expulsion);
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str(key), expelled, NULL),
      WWR_OK);
}

static void a_close_by_key_is_for_all_nodes(void) {
  fake_start();
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) peers[i] = fake_restored();
  expel("key");
  for (int i = 0; i < 3; i++) {
    (void)peer_expect(peers[i], WWRI_NOTIFY_SESSION_CLOSED);
  }
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(expulsion.count, 3);
  CU_ASSERT_EQUAL(expulsion.last, WWR_OK);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 3);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 1);
  CU_ASSERT_FALSE(fake_alive("key"));
  for (int i = 0; i < 3; i++) peer_expect_nothing(peers[i]); /* told once */
  fake_finish();
}

static void a_close_by_key_without_connections(void) {
  fake_start();
  expel("key");
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(expulsion.count, 0);
  CU_ASSERT_FALSE(fake_alive("key"));
  fake_finish();
}

static void a_close_by_key_that_is_unavailable(void) {
  fake_start();
  struct peer *peer = fake_restored();
  fake.err[FAKE_KILL] = WWR_E_UNAVAILABLE;
  expel("key");
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(expulsion.count, 1);
  CU_ASSERT_EQUAL(expulsion.last, WWR_E_UNAVAILABLE);
  fake_finish();
}

static void a_close_by_key_waits_for_the_create(void) {
  fake_start();
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  struct peer *peer = fake_creating(&conn, key);
  expel(key);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 0);
  fake_release();
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 1);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 1);
  CU_ASSERT_FALSE(fake_alive(key));
  fake_finish();
}

/* A generator may give one key to two sessions: both wait for. */
static bool same_key(char *out, size_t cap, void *user_data) {
  (void)user_data;
  (void)cap;
  memcpy(out, "same", 5);
  return true;
}

static void a_close_by_key_waits_for_two_creates(void) {
  fix.opts.keygen = same_key;
  fake_start();
  char key[FAKE_KEY];
  struct wwr_conn *conn;
  (void)fake_creating(&conn, key);
  struct peer *second = peer_connect();
  peer_request(second, 1, "create", NULL);
  WAIT(fake.open_count == 2);
  expel("same");
  (void)fake_release_one(NULL);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 0);
  fake_release();
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(LOCKED(fake.calls[FAKE_KILL]), 1);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 2);
  fake_finish();
}

/* The kill comes behind the attach: the connection has a session that is no
 * more, until the event says so. */
static void a_kill_finds_a_restore_under_way(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  expel("key");
  WAIT(fake.open_count == 2);
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  WAIT(expulsion.calls == 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  fake_finish();
}

/* --- Events: closed ------------------------------------------------------- */

static void closed_elsewhere(void) {
  fake_start();
  struct peer *peers[3];
  fake_put("other", NULL);
  for (int i = 0; i < 3; i++) peers[i] = fake_restored();
  struct peer *other = peer_connect();
  peer_restore(other, 1, "other");
  peer_expect_id(other, WWRI_REPLY_UTF8, 1);
  fake_closed("key");
  for (int i = 0; i < 3; i++) {
    (void)peer_expect(peers[i], WWRI_NOTIFY_SESSION_CLOSED);
  }
  WAIT(fake.detaches == 3);
  peer_expect_nothing(other);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1);
  peer_restore(peers[0], 2, "key"); /* the connection goes on */
  peer_expect_id(peers[0], WWRI_REPLY_SESSION_NOT_FOUND, 2);
  fake_finish();
}

/* More connections than are taken off at a time. */
static void closed_with_many_connections(void) {
  enum { MANY = 60 };
  fake_start();
  struct peer *peers[MANY];
  for (int i = 0; i < MANY; i++) peers[i] = fake_restored();
  fake_closed("key");
  for (int i = 0; i < MANY; i++) {
    (void)peer_expect(peers[i], WWRI_NOTIFY_SESSION_CLOSED);
  }
  WAIT(fake.detaches == MANY);
  fake_closed("key"); /* again is harmless */
  peer_expect_nothing(peers[0]);
  fake_finish();
}

static void closed_right_behind_the_attach(void) {
  fake_start();
  for (int i = 0; i < 20; i++) {
    fake_put("again", NULL);
    LOCKED(fake.hold = true);
    struct peer *peer = peer_connect();
    peer_restore(peer, 1, "again");
    WAIT(fake.open_count == 1);
    fake_release();
    fake_closed("again");
    peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
    (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
    WAIT(fake.detaches == i + 1);
    peer_close(peer);
    pthread_mutex_lock(&fix.lock);
    struct fake_slot *slot =
        wwri_map_remove(&fake.slots, wwr_view_str("again"));
    pthread_mutex_unlock(&fix.lock);
    CU_ASSERT_EQUAL(slot->count, 0);
    wwr_session_unref(slot->session);
    free(slot);
  }
  fake_finish();
}

static void closed_right_before_the_attach(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  fake_closed("key");
  fake_release();
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  peer_expect_nothing(peer);
  fake_finish();
}

/* --- Events: evicted ------------------------------------------------------ */

static void evicted_connections_are_closed(void) {
  fake_start();
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) peers[i] = fake_restored();
  struct peer *other = peer_connect();
  fake_evicted("key");
  for (int i = 0; i < 3; i++) peer_expect_closed(peers[i]);
  WAIT(fix.disconnected == 3);
  CU_ASSERT_EQUAL(fix.reason, WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 3);
  CU_ASSERT_TRUE(fake_alive("key"));
  peer_restore(other, 4, "key"); /* counted anew */
  peer_expect_id(other, WWRI_REPLY_UTF8, 4);
  settle();
  CU_ASSERT_EQUAL(LOCKED(other->closed), 0);
  CU_ASSERT_EQUAL(fake_count("key"), 1);
  fake_finish();
}

static void evicted_right_behind_the_attach(void) {
  fake_start();
  struct peer *peer = fake_restoring();
  fake_release();
  fake_evicted("key");
  peer_wait_closed(peer);
  WAIT(fake.detaches == 1);
  fake_finish();
}

static void evict_in_hook(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
  if (wwr_conn_create_session(conn, NULL, NULL, NULL) != WWR_OK) return;
  struct wwr_session *session = wwr_conn_session(conn);
  fake_evicted(wwr_session_key(session));
  wwr_session_unref(session);
}

static void evicted_in_on_connected(void) {
  fix.override.on_connected = evict_in_hook;
  fake_start();
  struct peer *peer = peer_connect();
  peer_wait_closed(peer);
  WAIT(fix.disconnected == 1);
  fake_finish();
}

/* --- Events: received ----------------------------------------------------- */

static size_t encode_signal(uint8_t *out, size_t cap, const char *name,
                            const char *payload) {
  struct wwri_msg msg = {.type = WWRI_SIGNAL_UTF8,
                         .name = wwr_view_str(name),
                         .payload = wwr_payload_text(payload)};
  size_t len = wwri_encoded_len(&msg);
  CU_ASSERT_TRUE_FATAL(len <= cap);
  wwri_encode(&msg, out);
  return len;
}

static void signals_reach_the_session(void) {
  uint8_t bytes[64];
  fake_start();
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) peers[i] = fake_restored();
  struct peer *other = peer_connect();
  size_t len = encode_signal(bytes, sizeof bytes, "name", "text");
  fake_received("key", bytes, len);
  fake_received("nobody", bytes, len);
  for (int i = 0; i < 3; i++) {
    struct wwri_msg msg = peer_expect(peers[i], WWRI_SIGNAL_UTF8);
    CU_ASSERT_TRUE(view_is(msg.name, "name"));
    CU_ASSERT_TRUE(view_is(msg.payload.data, "text"));
    peer_expect_nothing(peers[i]);
  }
  peer_expect_nothing(other);
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.signals_out, 3);
  CU_ASSERT_EQUAL(atomic_load(&fix.server->received_bytes), 0);
  fake_finish();
}

static void a_signal_follows_the_restore(void) {
  uint8_t bytes[64];
  fake_start();
  struct peer *peer = fake_restoring();
  fake_release();
  fake_received("key", bytes,
                encode_signal(bytes, sizeof bytes, "name", "text"));
  fake_closed("key");
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  (void)peer_expect(peer, WWRI_SIGNAL_UTF8);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  fake_finish();
}

static void bad_signals_are_dropped(void) {
  static const uint8_t bad[][8] = {
      {WWRI_SIGNAL_UTF8},                    /* too short */
      {WWRI_SIGNAL_UTF8, 200, 'a', 'b'},     /* name longer than the message */
      {WWRI_SIGNAL_UTF8, 2, '\n', 'b', 'c'}, /* name not printable */
      {WWRI_SIGNAL_UTF16, 1, 'a', 0, 'b'},   /* odd */
      {WWRI_NOTIFY_SESSION_CLOSED},          /* no signal */
      {WWRI_REQUEST_CLOSE_SESSION, 1, 2, 3},
      {0xff, 1, 1, 1}};
  static const size_t lens[] = {1, 4, 5, 5, 1, 8, 4};
  uint8_t large[256];
  fix.opts.message_buffer_bytes = 128;
  fake_start();
  struct peer *peer = fake_restored();
  for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
    fake_received("key", bad[i], lens[i]);
    CU_ASSERT_EQUAL(LOCKED(fix.errors_logged), (int)i + 1);
  }
  fake_received("key", NULL, 0);
  memset(large, 'x', sizeof large);
  large[0] = WWRI_SIGNAL_UTF8;
  large[1] = 1;
  fake_received("key", large, 129);
  CU_ASSERT_EQUAL(LOCKED(fix.errors_logged), 9);
  CU_ASSERT_STRING_EQUAL(fix.log, "a signal to a session was dropped");
  fake_received("key", large, 128);
  (void)peer_expect(peer, WWRI_SIGNAL_UTF8);
  peer_expect_nothing(peer);
  fake_finish();
}

static void stall(void *arg) {
  sem_t *sem = arg;
  sem_post(&sem[0]);
  while (sem_wait(&sem[1]) != 0) continue;
}

static struct {
  struct wwri_mail mail;
  sem_t sem[2];
} stalled;

static void stall_arrived(struct wwri_mail *mail) {
  (void)mail;
  stall(stalled.sem);
}

/* With a loop that does not turn, signals wait up to a ceiling. */
static void signals_have_a_ceiling(void) {
  enum { SIZE = 1 << 20 };
  static uint8_t large[SIZE];
  fix.opts.message_buffer_bytes = SIZE;
  fix.opts.max_queued_bytes = 128 << 20;
  fix.opts.io_threads = 1;
  fake_start();
  struct peer *peer = fake_restored();
  sem_init(&stalled.sem[0], 0, 0);
  sem_init(&stalled.sem[1], 0, 0);
  stalled.mail.fn = stall_arrived;
  wwri_loop_post(fix.server->loops[0], &stalled.mail);
  while (sem_wait(&stalled.sem[0]) != 0) continue;
  large[0] = WWRI_SIGNAL_UTF8;
  large[1] = 1;
  memset(large + 2, 'x', sizeof large - 2);
  for (int i = 0; i < 66; i++) fake_received("key", large, sizeof large);
  CU_ASSERT_EQUAL(LOCKED(fix.errors_logged), 2);
  sem_post(&stalled.sem[1]);
  for (int i = 0; i < 64; i++) (void)peer_expect(peer, WWRI_SIGNAL_UTF8);
  peer_expect_nothing(peer);
  fake_finish();
  sem_destroy(&stalled.sem[0]);
  sem_destroy(&stalled.sem[1]);
}

/* --- No memory ------------------------------------------------------------ */

/* Nobody can be told which session it was: all that have one start anew. */
static void an_event_without_memory(void) {
  fake_start();
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) peers[i] = fake_restored();
  struct peer *plain = peer_connect();
  settle();
  for (int i = 0; i < 2; i++) {
    test_alloc_fail_at(0);
    fake_closed("key");
    CU_ASSERT_TRUE(test_alloc_failed());
  }
  for (int i = 0; i < 3; i++) peer_expect_closed(peers[i]);
  WAIT(fake.detaches == 3);
  settle();
  CU_ASSERT_EQUAL(LOCKED(plain->closed), 0);
  CU_ASSERT_EQUAL(atomic_load(&fix.server->shards[0].relapses), 0);
  fake_finish();
}

static void a_restore_without_memory(void) {
  fake_start();
  for (long n = 0; n < 8; n++) {
    struct peer *peer = peer_connect();
    struct wwri_msg msg;
    stage_restore(peer, 1, "key");
    settle();
    test_alloc_fail_at(n);
    (void)peer_flush(peer);
    if (peer_try_next(peer, &msg)) { /* the session, or no answer */
      CU_ASSERT_EQUAL(msg.type, WWRI_REPLY_UTF8);
    }
    (void)test_alloc_failed();
    peer_close(peer);
    peer_wait_closed(peer);
  }
  fake_finish();
}

/* --- The rest ------------------------------------------------------------- */

static void a_shutdown_detaches_all(void) {
  fake_start();
  for (int i = 0; i < 5; i++) (void)fake_restored();
  char key[FAKE_KEY];
  fake_create(peer_connect(), key);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(LOCKED(fake.detaches), 6);
  CU_ASSERT_EQUAL(fake_count("key"), 0);
  CU_ASSERT_TRUE(fake_alive("key"));
  fake_finish();
}

static void events_end_with_the_server(void) {
  fake_start();
  CU_ASSERT_PTR_NOT_NULL(LOCKED(fake.events));
  fixture_free_server();
  CU_ASSERT_PTR_NULL(fake.events);
  fake_finish();
}

static void a_server_that_never_started(void) {
  fake_use();
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  CU_ASSERT_PTR_NULL(fake.events);
  fake_finish();
}

static void authority_must_not_block(void) {
  fake_use();
  struct wwr_sessionstore_ops ops = *fake.base.ops;
  struct wwr_server *server;
  const char *bad = NULL;
  ops.blocking = true;
  fake.base.ops = &ops;
  struct wwr_transport *transport;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&transport, fix.hub), WWR_OK);
  fix.opts.transport = transport;
  CU_ASSERT_EQUAL(wwr_server_new(&server, &fix.opts, &bad), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(bad, "store");
  wwr_transport_free(transport);
  ops.free(&fake.base);
}

static CU_TestInfo tests[] = {
    {"a close by key is for all nodes", a_close_by_key_is_for_all_nodes},
    {"a close by key without connections", a_close_by_key_without_connections},
    {"a close by key that is unavailable", a_close_by_key_that_is_unavailable},
    {"a close by key waits for the create",
     a_close_by_key_waits_for_the_create},
    {"a close by key waits for two creates",
     a_close_by_key_waits_for_two_creates},
    {"a kill finds a restore under way", a_kill_finds_a_restore_under_way},
    {"closed elsewhere", closed_elsewhere},
    {"closed with many connections", closed_with_many_connections},
    {"closed right behind the attach", closed_right_behind_the_attach},
    {"closed right before the attach", closed_right_before_the_attach},
    {"evicted connections are closed", evicted_connections_are_closed},
    {"evicted right behind the attach", evicted_right_behind_the_attach},
    {"evicted in on_connected", evicted_in_on_connected},
    {"signals reach the session", signals_reach_the_session},
    {"a signal follows the restore", a_signal_follows_the_restore},
    {"bad signals are dropped", bad_signals_are_dropped},
    {"signals have a ceiling", signals_have_a_ceiling},
    {"an event without memory", an_event_without_memory},
    {"a restore without memory", a_restore_without_memory},
    {"a shutdown detaches all", a_shutdown_detaches_all},
    {"events end with the server", events_end_with_the_server},
    {"a server that never started", a_server_that_never_started},
    {"authority must not block", authority_must_not_block},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
