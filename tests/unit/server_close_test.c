/* Closing a connection and shutting the server down (docs/protocol.md,
 * "Transport", "Requests", "Server hooks"). */
#include <stdlib.h>
#include <string.h>

#include "server_fixture.h"

/* --- Graceful close of a connection --------------------------------------- */

static void open_work_finishes_first(void) {
  fix.opts.concurrency = 2;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  stage_request(peer, 1, "hold", NULL);
  stage_request(peer, 2, "hold", NULL);
  stage_request(peer, 3, "echo", "waits");
  stage_signal(peer, "s", NULL);
  (void)peer_flush(peer);
  struct wwr_request *first = next_held();
  struct wwr_request *second = next_held();
  settle();
  wwr_conn_close(conn);
  wwr_conn_close(conn); /* again is harmless */
  CU_ASSERT_FALSE(wwr_conn_is_active(conn));
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 3);
  answer_held(first, "one");
  (void)peer_expect(peer, WWRI_REPLY_UTF8);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  answer_held(second, "two");
  (void)peer_expect(peer, WWRI_REPLY_UTF8);
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_OK);
}

/* What comes while a connection closes. */
static void meanwhile_requests_get_reply_shutdown(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  wwr_conn_close(conn);
  stage_request(peer, 2, "echo", "no");
  stage_signal(peer, "s", "no");
  stage_restore(peer, 3, "key");
  stage_close_session(peer, 4);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 2);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 3);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 4);
  answer_held(request, "yes");
  peer_expect_text(peer, 1, "yes");
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.requests), 1);
  CU_ASSERT_EQUAL(fix.store.lookups, 0);
}

static void close_inside_a_handler(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "close", NULL);
  stage_request(peer, 2, "echo", "no");
  (void)peer_flush(peer);
  /* 2 waits, or comes after the close: refused before 1 is answered or after,
   * but never silent. */
  int replies = 0;
  int refused = 0;
  struct wwri_msg msg;
  while (peer_try_next(peer, &msg)) {
    replies += msg.type == WWRI_REPLY_UTF8;
    refused += msg.type == WWRI_REPLY_SHUTDOWN;
  }
  CU_ASSERT_EQUAL(replies, 1);
  CU_ASSERT_TRUE(refused <= 1);
  peer_expect_closed(peer);
}

static void signal_and_close(struct wwr_conn *conn,
                             const struct wwr_message *message,
                             void *user_data) {
  (void)user_data;
  wwr_conn_close(conn);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, message->name, NULL), WWR_OK);
}

/* Also by mail, and after the close: the handler is open work. */
static void what_a_closing_handler_sends_arrives(void) {
  fix.override.on_signal = signal_and_close;
  fixture_start();
  for (int i = 0; i < 40; i++) {
    if (i == 20) traffic_start();
    struct peer *peer = peer_connect();
    peer_signal(peer, "bye", NULL);
    CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_BINARY).name, "bye"));
    peer_expect_closed(peer);
  }
  traffic_stop();
}

/* One thread's calls take effect in their order, whatever the loop does. */
static void signal_then_close_from_a_thread(void) {
  fixture_start();
  for (int i = 0; i < 300; i++) {
    struct wwr_conn *conn;
    struct peer *peer = peer_connect_conn(&conn);
    for (int k = 0; k < 20; k++) stage_signal(peer, "s", NULL);
    (void)peer_flush(peer);
    CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("bye"), NULL), WWR_OK);
    wwr_conn_close(conn);
    CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_BINARY).name, "bye"));
    peer_expect_closed(peer);
  }
}

static void create_after_close_fails(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  settle();
  wwr_conn_close(conn);
  CU_ASSERT_EQUAL(wwr_conn_create_session(conn, NULL, NULL, NULL),
                  WWR_E_DISCONNECTED);
  peer_expect_closed(peer);
}

/* With open work it still works: the work may need it. */
static void create_in_the_last_handler_works(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  wwr_conn_close(conn);
  CU_ASSERT_EQUAL(wwr_conn_create_session_wait(conn, NULL), WWR_OK);
  answer_held(request, "x");
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 1, "x");
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.store.kept_count), 1);
}

static void reasons_of_disconnecting(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  peer_close(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_OK);
  peer = peer_connect();
  peer_abort(peer);
  WAIT(fix.disconnected == 2);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_DISCONNECTED);
}

/* --- Shutdown of the server ----------------------------------------------- */

static void *shut_down(void *arg) {
  (void)arg;
  wwr_server_shutdown(fix.server);
  return NULL;
}

static void shutdown_waits_for_open_handlers(void) {
  fixture_start();
  struct peer *idle = peer_connect();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    pthread_create(&threads[i], NULL, shut_down, NULL);
  while (!atomic_load(&fix.server->stopping)) settle();
  settle();
  peer_refused(503);
  stage_request(peer, 2, "echo", "no");
  stage_signal(peer, "s", NULL);
  stage_restore(peer, 3, "key");
  stage_close_session(peer, 4);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 2);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 3);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 4);
  CU_ASSERT_EQUAL(LOCKED(idle->closed), 0);
  answer_held(request, "yes");
  peer_expect_text(peer, 1, "yes");
  peer_expect_closed(peer);
  peer_expect_closed(idle);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 2); /* the hooks have returned */
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("x"), NULL),
                  WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_E_CLOSED);
  wwr_server_shutdown(fix.server); /* again */
  wwr_server_wait(fix.server);
}

static void idle_connections_do_not_delay_it(void) {
  fixture_start();
  for (int i = 0; i < 50; i++) (void)peer_connect();
  uint64_t before = now_ms();
  wwr_server_shutdown(fix.server);
  CU_ASSERT_TRUE(now_ms() - before < 4000);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 50);
}

/* Far more wait than the server reads ahead: all of them are refused, in any
 * order, while the one that runs is still open. */
static struct wwr_request *many_wait(struct peer *peer) {
  stage_request(peer, 1, "hold", NULL);
  for (int i = 2; i < 500; i++) {
    stage_request(peer, (uint64_t)i, "echo", "no");
  }
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  settle();
  return request;
}

static void expect_many_refused(struct peer *peer) {
  uint64_t sum = 0;
  for (int i = 2; i < 500; i++) {
    uint64_t id;
    memcpy(&id, peer_expect(peer, WWRI_REPLY_SHUTDOWN).id.bytes, sizeof id);
    sum += id;
  }
  CU_ASSERT_EQUAL(sum, 499 * 500 / 2 - 1);
}

static void shutdown_refuses_what_waits(void) {
  fix.opts.max_pending_bytes = 1024;
  fixture_start();
  struct peer *peer = peer_connect();
  struct wwr_request *request = many_wait(peer);
  wwr_server_shutdown_async(fix.server);
  expect_many_refused(peer);
  answer_held(request, "yes");
  peer_expect_text(peer, 1, "yes");
  wwr_server_wait(fix.server);
  peer_expect_closed(peer);
}

static void close_refuses_what_waits(void) {
  fix.opts.max_pending_bytes = 1024;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  struct wwr_request *request = many_wait(peer);
  wwr_conn_close(conn);
  expect_many_refused(peer);
  answer_held(request, "yes");
  peer_expect_text(peer, 1, "yes");
  peer_expect_closed(peer);
}

static void the_time_out_cuts_off(void) {
  fix.opts.shutdown_timeout_ms = 300;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  uint64_t before = now_ms();
  wwr_server_shutdown(fix.server);
  uint64_t took = now_ms() - before;
  CU_ASSERT_TRUE(took >= 300 && took < 3000);
  peer_expect_closed(peer);
  CU_ASSERT_STRING_EQUAL(fix.log, "shutdown: open handlers are cut off");
  answer_held(request, "late");
  WAIT(fix.disconnected == 1);
}

static void the_time_out_cuts_off_a_slow_store(void) {
  fix.opts.shutdown_timeout_ms = 300;
  fix.store.hold = true;
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  WAIT(fix.store.held_count == 1);
  uint64_t before = now_ms();
  wwr_server_shutdown(fix.server);
  CU_ASSERT_TRUE(now_ms() - before < 3000);
  peer_expect_closed(peer);
  store_release();
  WAIT(fix.disconnected == 1);
}

/* Between the transport's own refusal and the server's. */
static void upgrades_are_refused_meanwhile(void) {
  fixture_start();
  wwr_server_shutdown(fix.server);
  struct wwr_http http = {.method = "GET", .path = "/"};
  void *token;
  CU_ASSERT_FALSE(wwri_accept_events.upgrade(fix.server, 0, &http, &token));
  CU_ASSERT_EQUAL(http.status, 503);
  wwri_http_deinit(&http);
}

/* A client that takes nothing is cut off with what is queued for it. */
static void a_stuck_client_is_cut_off(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_pause(peer, true);
  for (int i = 0; i < 100; i++) {
    CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("x"), NULL), WWR_OK);
  }
  uint64_t before = now_ms();
  wwr_server_shutdown(fix.server);
  CU_ASSERT_TRUE(now_ms() - before < 8000);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 1);
}

static void abort_cuts_the_wait_short(void) {
  fix.opts.shutdown_timeout_ms = 0; /* for ever */
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  wwr_server_shutdown_async(fix.server);
  settle();
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  uint64_t before = now_ms();
  wwr_server_abort(fix.server);
  wwr_server_wait(fix.server);
  CU_ASSERT_TRUE(now_ms() - before < 4000);
  peer_wait_closed(peer);
  answer_held(request, "late");
  WAIT(fix.disconnected == 1);
}

static void ask_for_shutdown(struct wwr_conn *conn,
                             const struct wwr_message *message,
                             void *user_data) {
  (void)message;
  (void)user_data;
  wwr_server_shutdown_async(fix.server);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("bye"), NULL), WWR_OK);
}

static void shutdown_in_a_hook(void) {
  fix.override.on_signal = ask_for_shutdown;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_signal(peer, "stop", NULL);
  (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  wwr_server_wait(fix.server);
  peer_expect_closed(peer);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 1);
}

static void shutdown_waits_for_the_store(void) {
  fix.store.hold = true;
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  WAIT(fix.store.held_count == 1);
  wwr_server_shutdown_async(fix.server);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  store_release();
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  peer_expect_closed(peer);
  wwr_server_wait(fix.server);
}

static int gate;

static void wait_for_gate(struct wwr_conn *conn, void *user_data) {
  (void)conn;
  (void)user_data;
  if (is_blocking()) WAIT(gate);
}

static void shutdown_during_on_connected(void) {
  gate = 0;
  fix.override.on_connected = wait_for_gate;
  fixture_start();
  struct peer *peer = peer_dial();
  peer_request(peer, 1, "echo", "x");
  if (!is_blocking()) (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  if (!is_blocking()) peer_expect_text(peer, 1, "x");
  wwr_server_shutdown_async(fix.server);
  settle();
  if (is_blocking()) CU_ASSERT_EQUAL(LOCKED(peer->rx_count), 0);
  note(&gate);
  if (is_blocking()) (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  wwr_server_wait(fix.server);
  peer_wait_closed(peer);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 1);
}

static void free_without_start(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  CU_ASSERT_STRING_EQUAL(wwr_server_address(fix.server), "");
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("x"), NULL),
                  WWR_E_CLOSED);
}

static void shutdown_before_start(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  wwr_server_shutdown(fix.server);
  wwr_server_wait(fix.server);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_E_CLOSED);
}

static void start_once(void) {
  fixture_start();
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_E_CLOSED);
  CU_ASSERT_STRING_EQUAL(wwr_server_address(fix.server), "memory");
}

/* The hub has a server already. */
static void start_that_fails(void) {
  fixture_start();
  struct wwr_server *other;
  struct wwr_server_opts opts;
  wwr_server_opts_default(&opts);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&opts.transport, fix.hub),
                        WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_new(&other, &opts, NULL), WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_run(other), WWR_E_EXISTS);
  wwr_server_wait(other);
  CU_ASSERT_EQUAL(wwr_server_start(other), WWR_E_CLOSED);
  wwr_server_free(other);
}

static void *run_server(void *arg) {
  CU_ASSERT_EQUAL(wwr_server_run(arg), WWR_OK);
  return NULL;
}

static void ten_servers(void) {
  struct wwr_server *servers[10];
  pthread_t threads[10];
  fixture_start();
  for (int i = 0; i < 10; i++) {
    struct wwr_memory_hub *hub;
    struct wwr_server_opts opts;
    wwr_server_opts_default(&opts);
    opts.handlers = fix.opts.handlers;
    opts.io_threads = fix.opts.io_threads;
    CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&hub), WWR_OK);
    CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&opts.transport, hub),
                          WWR_OK);
    wwr_memory_hub_free(hub);
    CU_ASSERT_EQUAL_FATAL(wwr_server_new(&servers[i], &opts, NULL), WWR_OK);
    pthread_create(&threads[i], NULL, run_server, servers[i]);
  }
  for (int i = 0; i < 10; i++) {
    while (!wwr_server_address(servers[i])[0]) sched_yield();
  }
  for (int i = 0; i < 10; i++) {
    wwr_server_shutdown(servers[i]);
    pthread_join(threads[i], NULL);
    wwr_server_free(servers[i]);
  }
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "echo", "mine lives");
  peer_expect_text(peer, 1, "mine lives");
}

/* --- Sessions that are closed while they are restored ----------------------
 */

/* One has the session, another is about to: the store has found it. */
static void restore_held(struct peer **has, struct peer **asks) {
  fixture_start();
  store_put("key", NULL);
  *has = peer_connect();
  peer_restore(*has, 1, "key");
  (void)peer_expect_id(*has, WWRI_REPLY_UTF8, 1);
  *asks = peer_connect();
  pthread_mutex_lock(&fix.lock);
  fix.store.hold = true;
  pthread_mutex_unlock(&fix.lock);
  peer_restore(*asks, 2, "key");
  WAIT(fix.store.held_count == 1);
}

static void what_was_closed_meanwhile_is_not_found(void) {
  struct peer *has, *asks;
  restore_held(&has, &asks);
  peer_close_session(has, 3);
  WAIT(fix.store.held_count == 2);
  store_release();
  peer_expect_id(has, WWRI_REPLY_BINARY, 3);
  peer_expect_id(asks, WWRI_REPLY_SESSION_NOT_FOUND, 2);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
}

static void a_key_that_was_closed_may_be_given_again(void) {
  struct peer *has, *asks;
  restore_held(&has, &asks);
  peer_close_session(has, 3);
  WAIT(fix.store.held_count == 2);
  store_put("key", NULL);
  struct peer *late = peer_connect();
  store_release();
  peer_expect_id(has, WWRI_REPLY_BINARY, 3);
  peer_expect_id(asks, WWRI_REPLY_SESSION_NOT_FOUND, 2);
  pthread_mutex_lock(&fix.lock);
  fix.store.hold = false;
  pthread_mutex_unlock(&fix.lock);
  settle(); /* the answers are there, but perhaps not all behind them */
  peer_restore(late, 4, "key");
  (void)peer_expect_id(late, WWRI_REPLY_UTF8, 4);
}

static void close_by_key_ends_restores(void) {
  struct peer *has, *asks;
  restore_held(&has, &asks);
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str("key"), NULL, NULL),
      WWR_OK);
  WAIT(fix.store.held_count == 2);
  store_release();
  (void)peer_expect(has, WWRI_NOTIFY_SESSION_CLOSED);
  peer_expect_id(asks, WWRI_REPLY_SESSION_NOT_FOUND, 2);
}

static CU_TestInfo tests[] = {
    {"what was closed meanwhile is not found",
     what_was_closed_meanwhile_is_not_found},
    {"a key that was closed may be given again",
     a_key_that_was_closed_may_be_given_again},
    {"close by key ends restores", close_by_key_ends_restores},
    {"open work finishes first", open_work_finishes_first},
    {"meanwhile requests get reply-shutdown",
     meanwhile_requests_get_reply_shutdown},
    {"close inside a handler", close_inside_a_handler},
    {"what a closing handler sends arrives",
     what_a_closing_handler_sends_arrives},
    {"signal, then close, from a thread", signal_then_close_from_a_thread},
    {"create after close fails", create_after_close_fails},
    {"create in the last handler works", create_in_the_last_handler_works},
    {"reasons of disconnecting", reasons_of_disconnecting},
    {"shutdown waits for open handlers", shutdown_waits_for_open_handlers},
    {"idle connections do not delay it", idle_connections_do_not_delay_it},
    {"shutdown refuses what waits", shutdown_refuses_what_waits},
    {"close refuses what waits", close_refuses_what_waits},
    {"the time-out cuts off", the_time_out_cuts_off},
    {"the time-out cuts off a slow store", the_time_out_cuts_off_a_slow_store},
    {"upgrades are refused meanwhile", upgrades_are_refused_meanwhile},
    {"a stuck client is cut off", a_stuck_client_is_cut_off},
    {"abort cuts the wait short", abort_cuts_the_wait_short},
    {"shutdown in a hook", shutdown_in_a_hook},
    {"shutdown waits for the store", shutdown_waits_for_the_store},
    {"shutdown during on_connected", shutdown_during_on_connected},
    {"free without start", free_without_start},
    {"shutdown before start", shutdown_before_start},
    {"start once", start_once},
    {"start that fails", start_that_fails},
    {"ten servers", ten_servers},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
