/* docs/protocol.md, "Connection": accept-conf, heartbeats, time-outs, sizes,
 * violations. */
#include <stdlib.h>
#include <string.h>

#include "server_fixture.h"

/* --- Opening -------------------------------------------------------------- */

static void accept_conf_tells_the_options(void) {
  fix.opts.read_timeout_ms = 1234;
  fix.opts.message_buffer_bytes = 4321;
  fix.opts.subprotocol = "chat";
  fixture_start();
  struct peer *peer = peer_dial();
  struct wwri_msg conf = peer_expect(peer, WWRI_ACCEPT_CONF);
  CU_ASSERT_EQUAL(conf.conf.major, 2);
  CU_ASSERT_EQUAL(conf.conf.minor, 0);
  CU_ASSERT_EQUAL(conf.conf.read_timeout_ms, 1234);
  CU_ASSERT_EQUAL(conf.conf.buffer_bytes, 4321);
  CU_ASSERT_TRUE(view_is(conf.name, "chat"));
}

static void send_everything(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
  struct wwr_payload text = wwr_payload_text("x");
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("1"), &text), WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_create_session(conn, NULL, NULL, NULL), WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_close_session(conn, NULL, NULL), WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("2"), &text), WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("3"), &text),
                  WWR_OK);
  wwr_conn_close(conn);
}

static void expect_everything(struct peer *peer) {
  (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_UTF8).name, "1"));
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_UTF8).name, "2"));
}

static void what_on_connected_sends_queues_behind(void) {
  fix.override.on_connected = send_everything;
  fixture_start();
  for (int i = 0; i < 20; i++) {
    struct peer *peer = peer_dial();
    expect_everything(peer);
    CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_UTF8).name, "3"));
    peer_expect_closed(peer);
  }
}

/* The same while other mail is always on its way. */
static void what_on_connected_sends_queues_behind_in_traffic(void) {
  fix.override.on_connected = send_everything;
  fixture_start();
  traffic_start();
  for (int i = 0; i < 20; i++) {
    struct peer *peer = peer_dial();
    expect_everything(peer);
    CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_UTF8).name, "3"));
    peer_expect_closed(peer);
  }
  traffic_stop();
}

static atomic_bool racing;

static void *race_with_opening(void *arg) {
  (void)arg;
  struct wwr_payload text = wwr_payload_text("x");
  while (atomic_load(&racing)) {
    pthread_mutex_lock(&fix.lock);
    struct wwr_conn *conn = fix.last_conn ? wwr_conn_ref(fix.last_conn) : NULL;
    pthread_mutex_unlock(&fix.lock);
    if (!conn) continue;
    (void)wwr_conn_signal(conn, wwr_view_str("1"), &text);
    (void)!wwr_conn_create_session(conn, NULL, NULL, NULL);
    (void)wwr_server_broadcast(fix.server, wwr_view_str("2"), &text);
    wwr_conn_close(conn);
    wwr_conn_unref(conn);
  }
  return NULL;
}

static void accept_conf_is_first_whatever_races(void) {
  pthread_t thread;
  fixture_start();
  atomic_store(&racing, true);
  pthread_create(&thread, NULL, race_with_opening, NULL);
  for (int i = 0; i < 300; i++) {
    struct peer *peer = peer_dial();
    (void)peer_expect(peer, WWRI_ACCEPT_CONF);
    peer_wait_closed(peer);
  }
  atomic_store(&racing, false);
  pthread_join(thread, NULL);
}

static void broadcast_after_accept_conf_arrives(void) {
  fixture_start();
  struct wwr_payload text = wwr_payload_text("x");
  for (int i = 0; i < 1000; i++) {
    struct peer *peer = peer_connect();
    CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("b"), &text),
                    WWR_OK);
    CU_ASSERT_TRUE(view_is(peer_expect(peer, WWRI_SIGNAL_UTF8).name, "b"));
    peer_close(peer);
    peer_wait_closed(peer);
  }
}

static int gate_opened;

static void wait_for_gate(struct wwr_conn *conn, void *user_data) {
  (void)conn;
  (void)user_data;
  if (!is_blocking()) return;
  WAIT(gate_opened);
}

/* Messages of an impatient client wait for on_connected; the fixture checks
 * the order of the hooks. */
static void no_hook_before_connected_returned(void) {
  gate_opened = 0;
  fix.override.on_connected = wait_for_gate;
  fixture_start();
  struct peer *peer = peer_dial();
  stage_signal(peer, "s", "1");
  stage_request(peer, 1, "echo", "a");
  (void)peer_flush(peer);
  settle();
  if (is_blocking()) CU_ASSERT_EQUAL(LOCKED(peer->rx_count), 0);
  note(&gate_opened);
  (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  peer_expect_text(peer, 1, "a");
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 1);
}

/* A client that leaves during on_connected. */
static void gone_during_on_connected(void) {
  gate_opened = 0;
  fix.override.on_connected = wait_for_gate;
  fixture_start();
  struct peer *peer = peer_dial();
  peer_signal(peer, "s", "1");
  peer_abort(peer);
  peer_wait_closed(peer);
  settle();
  if (is_blocking()) CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  note(&gate_opened);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_DISCONNECTED);
}

static int refusals;

static bool refuse(struct wwr_http *http, void *user_data) {
  (void)user_data;
  if (++refusals == 2) {
    (void)wwr_http_respond(http, 404, NULL, wwr_view_str("no"));
  }
  return refusals > 2;
}

static void upgrade_hook_refuses(void) {
  refusals = 0;
  fix.opts.hooks.on_upgrade = refuse;
  fixture_start();
  peer_refused(403);
  peer_refused(404);
  (void)peer_connect();
  CU_ASSERT_EQUAL(LOCKED(fix.connected), 1);
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.accepted, 1);
  CU_ASSERT_EQUAL(stats.refused, 2);
  CU_ASSERT_EQUAL(stats.connections, 1);
}

static void over_max_connections(void) {
  fix.opts.max_connections = 2;
  fixture_start();
  struct peer *peer = peer_connect();
  (void)peer_connect();
  peer_refused(503);
  peer_close(peer);
  peer_wait_closed(peer);
  settle();
  (void)peer_connect();
}

static void stats_count(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  (void)peer_connect();
  stage_request(peer, 1, "echo", "x");
  stage_signal(peer, "s", NULL);
  stage_request(peer, 2, "hold", NULL);
  (void)peer_flush(peer);
  peer_expect_text(peer, 1, "x");
  struct wwr_request *request = next_held();
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("b"), NULL),
                  WWR_OK);
  (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  settle();
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.accepted, 2);
  CU_ASSERT_EQUAL(stats.connections, 2);
  CU_ASSERT_EQUAL(stats.requests, 2);
  CU_ASSERT_EQUAL(stats.signals_in, 1);
  CU_ASSERT_EQUAL(stats.signals_out, 2);
  CU_ASSERT_EQUAL(stats.open_handlers, 1);
  answer_held(request, "x");
  peer_expect_text(peer, 2, "x");
}

static int released;

static void release_info(void *value) {
  free(value);
  note(&released);
}

static bool attach_info(struct wwr_http *http, void *user_data) {
  (void)user_data;
  char *value = malloc(4);
  memcpy(value, "abc", 4);
  return wwr_http_set_info(http, -7, value, release_info) == WWR_OK;
}

static void info_and_remote(void) {
  released = 0;
  fix.opts.hooks.on_upgrade = attach_info;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  wwr_conn_ref(conn);
  CU_ASSERT_STRING_EQUAL(wwr_conn_info(conn, -7), "abc");
  CU_ASSERT_PTR_NULL(wwr_conn_info(conn, 1));
  CU_ASSERT_PTR_NULL(wwr_conn_info(conn, 0)); /* no User-Agent here */
  CU_ASSERT_STRING_EQUAL(wwr_conn_remote(conn), "memory");
  CU_ASSERT_TRUE(wwr_conn_created(conn) <= wwri_unix_now_ns());
  CU_ASSERT_TRUE(wwr_conn_is_active(conn));
  peer_close(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_STRING_EQUAL(wwr_conn_info(conn, -7), "abc");
  CU_ASSERT_EQUAL(LOCKED(released), 0);
  wwr_conn_unref(conn);
  fixture_stop_peers();
  fixture_free_server();
  CU_ASSERT_EQUAL(released, 1);
}

static const char *agent(const struct wwr_http *http, const char *name) {
  (void)http;
  return strcmp(name, "User-Agent") == 0 ? "tester/1" : NULL;
}

/* The accept events themselves: what the memory transport can't say. */
static void user_agent_is_info_0(void) {
  fixture_start();
  struct wwr_http http = {.method = "GET",
                          .path = "/",
                          .remote = "1.2.3.4:5",
                          .find_header = agent};
  void *token = NULL;
  CU_ASSERT_TRUE_FATAL(
      wwri_accept_events.upgrade(fix.server, 0, &http, &token));
  CU_ASSERT_STRING_EQUAL(wwr_conn_info(token, 0), "tester/1");
  CU_ASSERT_STRING_EQUAL(wwr_conn_remote(token), "1.2.3.4:5");
  wwri_accept_events.abandoned(fix.server, 0, token);
  wwri_http_deinit(&http);
}

static bool attach_sixteen(struct wwr_http *http, void *user_data) {
  static char own[] = "own";
  (void)user_data;
  for (int key = 1; key <= 16; key++) {
    if (wwr_http_set_info(http, key, own, NULL) != WWR_OK) return false;
  }
  return true;
}

/* As many as the hook may have do not cost the User-Agent its place. */
static void user_agent_beside_sixteen(void) {
  fix.opts.hooks.on_upgrade = attach_sixteen;
  fixture_start();
  struct wwr_http http = {.method = "GET", .path = "/", .find_header = agent};
  void *token = NULL;
  CU_ASSERT_TRUE_FATAL(
      wwri_accept_events.upgrade(fix.server, 0, &http, &token));
  CU_ASSERT_STRING_EQUAL(wwr_conn_info(token, 0), "tester/1");
  CU_ASSERT_STRING_EQUAL(wwr_conn_info(token, 16), "own");
  wwri_accept_events.abandoned(fix.server, 0, token);
  wwri_http_deinit(&http);
}

static void answer_options(struct wwr_http *http, void *user_data) {
  (void)user_data;
  (void)wwr_http_respond(http, 204, NULL, (struct wwr_view){NULL, 0});
}

static int http_status(const char *method) {
  struct wwr_http http = {.method = method, .path = "/", .find_header = agent};
  wwri_accept_events.http(fix.server, 0, &http);
  int status = http.status;
  wwri_http_deinit(&http);
  return status;
}

static void plain_http_is_answered(void) {
  fixture_start();
  CU_ASSERT_EQUAL(http_status("OPTIONS"), 200);
  CU_ASSERT_EQUAL(http_status("GET"), 426);
}

static void options_hook_answers(void) {
  fix.opts.hooks.on_options = answer_options;
  fixture_start();
  CU_ASSERT_EQUAL(http_status("OPTIONS"), 204);
}

static void answer_pages(struct wwr_http *http, void *user_data) {
  const char *path = wwr_http_path(http);
  CU_ASSERT_PTR_EQUAL(user_data, fix.opts.user_data);
  CU_ASSERT_STRING_NOT_EQUAL(wwr_http_method(http), "OPTIONS");
  if (strcmp(path, "/page") == 0) {
    (void)wwr_http_respond(http, 200, "text/html", wwr_view_str("page"));
  }
}

static void check_page(const char *method, const char *path, int status,
                       const char *body) {
  struct wwr_http http = {.method = method, .path = path, .find_header = agent};
  wwri_accept_events.http(fix.server, 0, &http);
  CU_ASSERT_EQUAL(http.status, status);
  CU_ASSERT_EQUAL_FATAL(http.body_len, strlen(body));
  CU_ASSERT_EQUAL(memcmp(http.body, body, http.body_len), 0);
  CU_ASSERT_EQUAL(http.header_count, status == 426); /* Upgrade */
  wwri_http_deinit(&http);
}

static void http_hook_answers(void) {
  fix.opts.hooks.on_http = answer_pages;
  fixture_start();
  check_page("GET", "/page", 200, "page");
  check_page("POST", "/page", 200, "page");
  check_page("GET", "/", 426, "this is a WebSocket server\n");
  CU_ASSERT_EQUAL(http_status("OPTIONS"), 200);
}

/* --- Read time-out -------------------------------------------------------- */

static void silence_closes(void) {
  fix.opts.read_timeout_ms = 1000;
  fixture_start();
  struct peer *peer = peer_connect();
  uint64_t before = now_ms();
  peer_expect_closed(peer);
  CU_ASSERT_TRUE(now_ms() - before >= 900);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_TIMEOUT);
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.read_timeouts, 1);
}

/* Any message counts, a heartbeat and an ignored one too. */
static void heartbeats_keep_it_open(void) {
  static const uint8_t heartbeat = WWRI_HEARTBEAT;
  static const uint8_t ignored = WWRI_NOTIFY_SESSION_CLOSED;
  fix.opts.read_timeout_ms = 1000;
  fixture_start();
  struct peer *peer = peer_connect();
  uint64_t until = now_ms() + 2500;
  for (int i = 0; now_ms() < until; i++) {
    struct timespec nap = {0, 300000000};
    peer_raw(peer, i % 2 ? &heartbeat : &ignored, 1);
    nanosleep(&nap, NULL); /* the silence that is tested */
  }
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.signals + fix.requests), 0);
  peer_expect_closed(peer);
}

/* Time in which messages wait for the limit does not count. */
static void waiting_for_the_limit_is_no_silence(void) {
  fix.opts.read_timeout_ms = 1000;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_request(peer, 2, "echo", "later");
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  uint64_t until = now_ms() + 2500;
  while (now_ms() < until) settle();
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  uint64_t before = now_ms();
  answer_held(request, "now");
  peer_expect_text(peer, 1, "now");
  peer_expect_text(peer, 2, "later");
  peer_expect_closed(peer); /* a whole time-out later */
  CU_ASSERT_TRUE(now_ms() - before >= 900);
}

static void heartbeat_flood_is_harmless(void) {
  static const uint8_t heartbeat = WWRI_HEARTBEAT;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 20000; i++) stage_raw(peer, &heartbeat, 1);
  stage_request(peer, 1, "echo", "alive");
  (void)peer_flush(peer);
  peer_expect_text(peer, 1, "alive");
}

/* --- Sizes ---------------------------------------------------------------- */

static void signal_of(struct wwr_conn *conn, size_t payload_len, wwr_err want) {
  static const char zeros[256];
  struct wwr_payload payload = wwr_payload_binary(zeros, payload_len);
  struct wwr_view name = wwr_view_str("n");
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, name, &payload), want);
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, name, &payload), want);
}

static void large_signal_fails_at_the_sender(void) {
  fix.opts.message_buffer_bytes = 64;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  signal_of(conn, 61, WWR_OK); /* type, length, name: exactly 64 */
  signal_of(conn, 62, WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(peer_expect(peer, WWRI_SIGNAL_BINARY).payload.data.len, 61);
  CU_ASSERT_EQUAL(peer_expect(peer, WWRI_SIGNAL_BINARY).payload.data.len, 61);
  peer_request(peer, 1, "echo", "still here");
  peer_expect_text(peer, 1, "still here");
}

static void bad_signals_fail(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  struct wwr_view none = {NULL, 0};
  struct wwr_payload odd = {WWR_UTF16, {(const uint8_t *)"abc", 3}};
  struct wwr_payload empty16 = {WWR_UTF16, {NULL, 0}};
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, none, NULL), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("\n"), NULL),
                  WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, none, &odd), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("n"), &empty16),
                  WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, none, NULL), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("good"), NULL), WWR_OK);
  struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
  CU_ASSERT_TRUE(view_is(msg.name, "good"));
}

static void slow_consumer_is_cut_off(void) {
  static const char zeros[8000];
  struct wwr_payload payload = wwr_payload_binary(zeros, sizeof zeros);
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_pause(peer, true);
  for (int i = 0; i < 400; i++) {
    (void)wwr_conn_signal(conn, wwr_view_str("n"), &payload);
  }
  peer_wait_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_SLOW_CONSUMER);
  CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("n"), &payload),
                  WWR_E_DISCONNECTED);
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.slow_consumers, 1);
}

/* --- Violations ----------------------------------------------------------- */

static const struct {
  const char *bytes;
  size_t len;
} violations[] = {
    {"", 0},     /* empty */
    {"\x06", 1}, /* unknown types */
    {"\xff"
     "abcdefgh",
     9},
    {"\x21x", 2}, /* a heartbeat has nothing */
    {"\x1f"
     "1234567",
     8}, /* too short */
    {"\x20"
     "12345678",
     9},
    {"\x80"
     "12345678\x09x",
     11},             /* the name is not there */
    {"\x41\0abc", 5}, /* odd UTF-16 */
    {"\x3f\0", 2},    /* neither name nor payload */
    {"\x15", 1},      /* a server's type, malformed */
};

static void violations_close(void) {
  fixture_start();
  for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
    struct peer *peer = peer_connect();
    stage_request(peer, 1, "echo", "before");
    stage_raw(peer, violations[i].bytes, violations[i].len);
    stage_request(peer, 2, "echo", "after");
    (void)peer_flush(peer);
    peer_expect_text(peer, 1, "before");
    peer_expect_closed(peer);
    WAIT(fix.disconnected == (int)i + 1);
    CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_PROTOCOL);
    CU_ASSERT_EQUAL(LOCKED(fix.requests), (int)i + 1);
  }
}

static void too_long_a_message_closes(void) {
  static const char bytes[65] = "\x3f\1n";
  fix.opts.message_buffer_bytes = 64;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_raw(peer, bytes, 64);
  stage_request(peer, 1, "echo", "before");
  stage_raw(peer, bytes, 65);
  stage_request(peer, 2, "echo", "after");
  (void)peer_flush(peer);
  peer_expect_text(peer, 1, "before");
  peer_expect_closed(peer);
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 1);
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.violations, 1);
}

/* What came before is answered first, also later, from elsewhere, and what
 * had to wait for it. */
static void deferred_answers_come_before_the_close(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_request(peer, 2, "hold", NULL);
  stage_restore(peer, 3, "none");
  stage_raw(peer, "\xff", 1);
  stage_request(peer, 4, "echo", NULL);
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  settle();
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  answer_held(request, "one");
  peer_expect_text(peer, 1, "one");
  request = next_held();
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 3);
  settle();
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 0);
  answer_held(request, "two");
  peer_expect_text(peer, 2, "two");
  peer_expect_closed(peer);
}

/* Answers that go by mail are not overtaken by the close. */
static void answers_by_mail_come_before_the_close(void) {
  fix.with_store = false;
  fixture_start();
  traffic_start();
  for (int i = 0; i < 20; i++) {
    struct peer *peer = peer_connect();
    stage_restore(peer, 1, "none");
    stage_close_session(peer, 2);
    stage_raw(peer, "\xff", 1);
    (void)peer_flush(peer);
    peer_expect_id(peer, WWRI_REPLY_SESSIONS_DISABLED, 1);
    peer_expect_id(peer, WWRI_REPLY_SESSIONS_DISABLED, 2);
    peer_expect_closed(peer);
  }
  traffic_stop();
}

static const enum wwri_msg_type server_types[] = {WWRI_REPLY_ERROR,
                                                  WWRI_REPLY_SHUTDOWN,
                                                  WWRI_REPLY_INTERNAL_ERROR,
                                                  WWRI_REPLY_SESSION_NOT_FOUND,
                                                  WWRI_REPLY_MAX_SESSION_CONNS,
                                                  WWRI_REPLY_SESSIONS_DISABLED,
                                                  WWRI_NOTIFY_SESSION_CREATED,
                                                  WWRI_NOTIFY_SESSION_CLOSED,
                                                  WWRI_ACCEPT_CONF,
                                                  WWRI_REPLY_BINARY,
                                                  WWRI_REPLY_UTF8,
                                                  WWRI_REPLY_UTF16};

static void server_side_types_are_ignored(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  for (size_t i = 0; i < sizeof server_types / sizeof *server_types; i++) {
    struct wwri_msg msg = {.type = server_types[i], .id = id_of(9)};
    if (msg.type == WWRI_REPLY_ERROR) msg.name = wwr_view_str("CODE");
    msg.payload = wwr_payload_text("{}");
    stage(peer, &msg);
  }
  stage_request(peer, 1, "echo", "still here");
  (void)peer_flush(peer);
  peer_expect_text(peer, 1, "still here");
  peer_expect_nothing(peer);
}

static CU_TestInfo tests[] = {
    {"accept-conf tells the options", accept_conf_tells_the_options},
    {"what on_connected sends queues behind accept-conf",
     what_on_connected_sends_queues_behind},
    {"the same in traffic", what_on_connected_sends_queues_behind_in_traffic},
    {"accept-conf is first whatever races",
     accept_conf_is_first_whatever_races},
    {"a broadcast after accept-conf arrives",
     broadcast_after_accept_conf_arrives},
    {"no hook before on_connected returned", no_hook_before_connected_returned},
    {"gone during on_connected", gone_during_on_connected},
    {"the upgrade hook refuses", upgrade_hook_refuses},
    {"over max_connections", over_max_connections},
    {"stats count", stats_count},
    {"info and remote", info_and_remote},
    {"User-Agent is info 0", user_agent_is_info_0},
    {"User-Agent beside sixteen", user_agent_beside_sixteen},
    {"plain HTTP is answered", plain_http_is_answered},
    {"the OPTIONS hook answers", options_hook_answers},
    {"the HTTP hook answers", http_hook_answers},
    {"silence closes", silence_closes},
    {"heartbeats keep it open", heartbeats_keep_it_open},
    {"waiting for the limit is no silence",
     waiting_for_the_limit_is_no_silence},
    {"a flood of heartbeats is harmless", heartbeat_flood_is_harmless},
    {"a large signal fails at the sender", large_signal_fails_at_the_sender},
    {"bad signals fail", bad_signals_fail},
    {"a slow consumer is cut off", slow_consumer_is_cut_off},
    {"violations close", violations_close},
    {"too long a message closes", too_long_a_message_closes},
    {"deferred answers come before the close",
     deferred_answers_come_before_the_close},
    {"answers by mail come before the close",
     answers_by_mail_come_before_the_close},
    {"server-side types are ignored", server_side_types_are_ignored},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
