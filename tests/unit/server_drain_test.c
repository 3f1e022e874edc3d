/* Draining: connections work until their turn, turns are spread over the time,
 * whatever comes meanwhile ends it sooner, never later. */
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "server_fixture.h"

enum { LONG_MS = 100000, SOON_MS = 10000, PEERS = 8 };

static uint64_t wait_for_end(uint64_t since) {
  wwr_server_wait(fix.server);
  return now_ms() - since;
}

static struct wwr_drain_state state(void) {
  struct wwr_drain_state out;
  wwr_server_drain_state(fix.server, &out);
  return out;
}

static void turns_are_spread_over_the_time(void) {
  struct peer *peers[PEERS];
  fixture_start();
  for (int i = 0; i < PEERS; i++) peers[i] = peer_connect();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, 800);
  uint64_t took = wait_for_end(since);
  /* 200 ms of notice, and the last of 8 turns is in the last eighth. */
  CU_ASSERT_TRUE(took >= 200 + 600 * 7 / 8 && took < SOON_MS);
  for (int i = 0; i < PEERS; i++) peer_expect_closed(peers[i]);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), PEERS);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_OK);
  CU_ASSERT_TRUE(state().draining);
  CU_ASSERT_EQUAL(state().remaining, 0);
  CU_ASSERT_EQUAL(state().left_ms, 0);
}

static int options_status(void) {
  struct wwr_http http = {.method = "OPTIONS", .path = "/"};
  wwri_accept_events.http(fix.server, 0, &http);
  int status = http.status;
  wwri_http_deinit(&http);
  return status;
}

static void until_its_turn_a_connection_works(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  CU_ASSERT_FALSE(state().draining);
  CU_ASSERT_EQUAL(state().remaining, 0);
  CU_ASSERT_EQUAL(options_status(), 200);
  wwr_server_drain(fix.server, LONG_MS);
  CU_ASSERT_EQUAL(options_status(), 503);
  CU_ASSERT_TRUE(state().draining);
  CU_ASSERT_EQUAL(state().remaining, 1);
  CU_ASSERT_TRUE(state().left_ms > 0 && state().left_ms <= LONG_MS);
  peer_request(peer, 1, "echo", "still here");
  peer_expect_text(peer, 1, "still here");
  struct peer *late = peer_connect(); /* balancers don't know yet */
  peer_request(late, 1, "echo", "me too");
  peer_expect_text(late, 1, "me too");
  CU_ASSERT_EQUAL(state().remaining, 2);
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, 0);
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
  peer_expect_closed(peer);
  peer_expect_closed(late);
}

static void after_the_notice_nobody_is_let_in(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  wwr_server_drain(fix.server, 400);
  while (wwr_conn_is_active(conn)) settle();
  peer_refused(503);
  stage_request(peer, 2, "echo", "no");
  stage_signal(peer, "s", NULL);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 2);
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  answer_held(request, "yes");
  peer_expect_text(peer, 1, "yes");
  peer_expect_closed(peer);
  wwr_server_wait(fix.server);
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
}

static void sessions_live_on(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  const char *key = peer_create(peer);
  wwr_server_drain(fix.server, 100);
  wwr_server_wait(fix.server);
  peer_expect_closed(peer);
  CU_ASSERT_TRUE(store_has(key));
  CU_ASSERT_EQUAL(fix.store.closed, 0);
}

static void a_second_call_hurries(void) {
  struct peer *peers[PEERS];
  fixture_start();
  for (int i = 0; i < PEERS; i++) peers[i] = peer_connect();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, LONG_MS);
  wwr_server_drain(fix.server, 2 * LONG_MS); /* not later */
  CU_ASSERT_TRUE(state().left_ms <= LONG_MS);
  wwr_server_drain(fix.server, 400);
  CU_ASSERT_TRUE(state().left_ms <= 400);
  uint64_t took = wait_for_end(since);
  CU_ASSERT_TRUE(took >= 300 && took < SOON_MS);
  for (int i = 0; i < PEERS; i++) peer_expect_closed(peers[i]);
}

/* The turns have begun, the next is far away. */
static void hurrying_moves_turns(void) {
  fixture_start();
  struct peer *peers[PEERS];
  for (int i = 0; i < PEERS; i++) peers[i] = peer_connect();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, 400);
  WAIT(fix.disconnected > 0);
  wwr_server_drain(fix.server, 1);
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
  for (int i = 0; i < PEERS; i++) peer_expect_closed(peers[i]);
}

static void a_shutdown_takes_over(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, LONG_MS);
  wwr_server_shutdown_async(fix.server);
  wwr_server_drain(fix.server, LONG_MS); /* too late */
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
  peer_expect_closed(peer);
}

static void abort_ends_it(void) {
  fix.opts.shutdown_timeout_ms = 0; /* for ever */
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, LONG_MS);
  wwr_server_abort(fix.server);
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
  peer_wait_closed(peer);
  answer_held(request, "late");
}

static void without_connections_it_ends_at_once(void) {
  fixture_start();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, LONG_MS);
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
}

static void the_last_to_leave_ends_it(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  struct peer *other = peer_connect();
  uint64_t since = now_ms();
  wwr_server_drain(fix.server, LONG_MS);
  peer_close(peer);
  peer_abort(other);
  CU_ASSERT_TRUE(wait_for_end(since) < SOON_MS);
}

static void ask_to_drain(struct wwr_conn *conn,
                         const struct wwr_message *message, void *user_data) {
  (void)message;
  (void)user_data;
  wwr_server_drain(fix.server, 100);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("bye"), NULL), WWR_OK);
}

static void drain_in_a_hook(void) {
  fix.override.on_signal = ask_to_drain;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_signal(peer, "stop", NULL);
  (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  wwr_server_wait(fix.server);
  peer_expect_closed(peer);
}

static void drain_before_the_start(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  wwr_server_drain(fix.server, LONG_MS);
  CU_ASSERT_FALSE(state().draining); /* it would never end */
  wwr_server_drain(fix.server, 0);
  wwr_server_wait(fix.server);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_E_CLOSED);
}

/* Some connections come and go, and each is closed once. */
static void under_traffic(void) {
  fixture_start();
  struct peer *peers[PEERS];
  for (int i = 0; i < PEERS; i++) peers[i] = peer_connect();
  traffic_start();
  wwr_server_drain(fix.server, 300);
  for (int i = 0; i < PEERS / 2; i++) {
    peer_request(peers[i], 1, "echo", "x");
    peer_close(peers[i]);
  }
  wwr_server_wait(fix.server);
  traffic_stop();
  for (int i = 0; i < PEERS; i++) peer_wait_closed(peers[i]);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), PEERS);
}

int main(int argc, char **argv) {
  static CU_TestInfo tests[] = {
      {"turns are spread over the time", turns_are_spread_over_the_time},
      {"until its turn a connection works", until_its_turn_a_connection_works},
      {"after the notice nobody is let in", after_the_notice_nobody_is_let_in},
      {"sessions live on", sessions_live_on},
      {"a second call hurries", a_second_call_hurries},
      {"hurrying moves turns", hurrying_moves_turns},
      {"a shutdown takes over", a_shutdown_takes_over},
      {"abort ends it", abort_ends_it},
      {"without connections it ends at once",
       without_connections_it_ends_at_once},
      {"the last to leave ends it", the_last_to_leave_ends_it},
      {"drain in a hook", drain_in_a_hook},
      {"drain before the start", drain_before_the_start},
      {"under traffic", under_traffic},
      CU_TEST_INFO_NULL,
  };
  return fixture_main(argc, argv, tests);
}
