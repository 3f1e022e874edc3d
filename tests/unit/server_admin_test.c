/* Watching and steering a running server: lists, limits, counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server_channel_common.h"
#include "server_fixture.h"

/* --- Lists of connections ------------------------------------------------- */

enum { ROWS_MAX = 64 };

struct page {
  int calls;
  wwr_err err;
  size_t count;
  bool more;
  uint64_t ids[ROWS_MAX];
  char names[ROWS_MAX][80];
  uint64_t numbers[ROWS_MAX];
  struct wwr_conn_row first;
  bool on_io_thread;
};

static void came(struct page *page, wwr_err err, size_t count, bool more) {
  page->calls++;
  page->err = err;
  page->count = count;
  page->more = more;
  page->on_io_thread = wwri_on_io_thread(fix.server);
  pthread_cond_broadcast(&fix.changed);
}

static void on_conns(wwr_err err, const struct wwr_conn_row *rows, size_t count,
                     bool more, void *user_data) {
  struct page *page = user_data;
  pthread_mutex_lock(&fix.lock);
  for (size_t i = 0; i < count && i < ROWS_MAX; i++) {
    page->ids[i] = wwr_conn_id(rows[i].conn);
    snprintf(page->names[i], sizeof page->names[i], "%s",
             rows[i].session ? wwr_session_key(rows[i].session) : "");
  }
  if (count) page->first = rows[0];
  came(page, err, count, more);
  pthread_mutex_unlock(&fix.lock);
}

static struct page finished(struct page *page, wwr_err err) {
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
  WAIT(page->calls > 0);
  CU_ASSERT_EQUAL(page->calls, 1);
  CU_ASSERT_EQUAL(page->err, WWR_OK);
  CU_ASSERT_TRUE(page->on_io_thread);
  return *page;
}

static struct page list_conns(uint64_t after, uint32_t max) {
  struct page page = {0};
  return finished(
      &page, wwr_server_list_conns(fix.server, after, max, on_conns, &page));
}

static void connections_are_listed_in_pages(void) {
  fixture_start();
  CU_ASSERT_EQUAL(list_conns(0, 10).count, 0);
  for (int i = 0; i < 20; i++) (void)peer_connect();
  uint64_t after = 0;
  int pages = 0;
  for (bool more = true; more; pages++) {
    struct page page = list_conns(after, 6);
    CU_ASSERT_EQUAL(page.count, pages < 3 ? 6 : 2);
    for (size_t i = 0; i < page.count; i++) {
      CU_ASSERT_EQUAL(page.ids[i], after + 1);
      after = page.ids[i];
    }
    more = page.more;
  }
  CU_ASSERT_EQUAL(pages, 4);
  CU_ASSERT_FALSE(list_conns(0, 20).more);
  CU_ASSERT_TRUE(list_conns(0, 19).more);
  CU_ASSERT_EQUAL(list_conns(20, 10).count, 0);
  CU_ASSERT_EQUAL(list_conns(0, WWR_LIST_MAX).count, 20);
}

static void rows_tell_what_is_going_on(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  const char *key = peer_create(peer);
  stage_request(peer, 1, "hold", NULL);
  stage_request(peer, 2, "echo", "waits");
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  settle();
  struct page page = list_conns(0, 10);
  CU_ASSERT_EQUAL(page.count, 1);
  CU_ASSERT_STRING_EQUAL(page.names[0], key);
  CU_ASSERT_EQUAL(page.first.open, 1);
  CU_ASSERT_TRUE(page.first.pending_bytes > 0);
  CU_ASSERT_EQUAL(page.first.channels, 0);
  CU_ASSERT_FALSE(page.first.closing);
  wwr_conn_close(conn);
  peer_expect_id(peer, WWRI_REPLY_SHUTDOWN, 2);
  CU_ASSERT_TRUE(list_conns(0, 10).first.closing);
  answer_held(request, "x");
  peer_expect_text(peer, 1, "x");
  peer_expect_closed(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(list_conns(0, 10).count, 0);
}

static void queued_bytes_are_told(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  struct wwr_server_stats stats;
  peer_pause(peer, true);
  for (int i = 0; i < 100; i++) {
    CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("x"), NULL), WWR_OK);
  }
  settle();
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(list_conns(0, 10).first.queued_bytes, stats.queued_bytes);
  CU_ASSERT_TRUE(stats.queued_bytes > 100);
  peer_pause(peer, false);
  for (int i = 0; i < 100; i++) (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  settle();
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.queued_bytes, 0);
}

/* --- One connection ------------------------------------------------------- */

struct found {
  int calls;
  uint64_t id;
};

static void close_found(struct wwr_conn *conn, void *user_data) {
  struct found *found = user_data;
  if (conn) wwr_conn_close(conn);
  pthread_mutex_lock(&fix.lock);
  found->calls++;
  found->id = conn ? wwr_conn_id(conn) : 0;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static uint64_t close_by_id(uint64_t id) {
  struct found found = {0};
  CU_ASSERT_EQUAL_FATAL(
      wwr_server_find_conn(fix.server, id, close_found, &found), WWR_OK);
  WAIT(found.calls == 1);
  return found.id;
}

static void a_connection_is_closed_by_its_id(void) {
  struct peer *peers[5];
  fixture_start();
  for (int i = 0; i < 5; i++) peers[i] = peer_connect();
  CU_ASSERT_EQUAL(close_by_id(3), 3);
  peer_expect_closed(peers[2]);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(close_by_id(3), 0);
  CU_ASSERT_EQUAL(close_by_id(0), 0);
  CU_ASSERT_EQUAL(close_by_id(99), 0);
  peer_request(peers[4], 1, "echo", "here");
  peer_expect_text(peers[4], 1, "here");
}

/* --- Sessions ------------------------------------------------------------- */

static void on_sessions(wwr_err err, const struct wwr_session_row *rows,
                        size_t count, bool more, void *user_data) {
  struct page *page = user_data;
  pthread_mutex_lock(&fix.lock);
  for (size_t i = 0; i < count && i < ROWS_MAX; i++) {
    snprintf(page->names[i], sizeof page->names[i], "%s",
             wwr_session_key(rows[i].session));
    page->numbers[i] = rows[i].connections;
  }
  came(page, err, count, more);
  pthread_mutex_unlock(&fix.lock);
}

static struct page list_sessions(const char *after, uint32_t max) {
  struct page page = {0};
  return finished(&page,
                  wwr_server_list_sessions(fix.server, wwr_view_str(after), max,
                                           on_sessions, &page));
}

static void sessions_are_listed_by_key(void) {
  fixture_start();
  CU_ASSERT_EQUAL(list_sessions("", 10).count, 0);
  for (int i = 0; i < 12; i++) {
    char key[16];
    snprintf(key, sizeof key, "key-%02d", i);
    store_put(key, NULL);
    for (int k = 0; k <= i % 2; k++) {
      struct peer *peer = peer_connect();
      peer_restore(peer, 1, key);
      (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
    }
  }
  struct page page = list_sessions("", 5);
  CU_ASSERT_EQUAL(page.count, 5);
  CU_ASSERT_TRUE(page.more);
  CU_ASSERT_STRING_EQUAL(page.names[0], "key-00");
  CU_ASSERT_EQUAL(page.numbers[0], 1);
  CU_ASSERT_EQUAL(page.numbers[1], 2);
  page = list_sessions(page.names[4], 50);
  CU_ASSERT_EQUAL(page.count, 7);
  CU_ASSERT_FALSE(page.more);
  CU_ASSERT_STRING_EQUAL(page.names[0], "key-05");
  CU_ASSERT_STRING_EQUAL(page.names[6], "key-11");
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.sessions, 12);
}

/* --- Channels ------------------------------------------------------------- */

static void on_channels(wwr_err err, const struct wwr_channel_row *rows,
                        size_t count, bool more, void *user_data) {
  struct page *page = user_data;
  pthread_mutex_lock(&fix.lock);
  for (size_t i = 0; i < count && i < ROWS_MAX; i++) {
    snprintf(page->names[i], sizeof page->names[i], "%.*s",
             (int)rows[i].name.len, (const char *)rows[i].name.data);
    page->numbers[i] = rows[i].subscribers;
    page->ids[i] = rows[i].last.offset;
  }
  came(page, err, count, more);
  pthread_mutex_unlock(&fix.lock);
}

static struct page list_channels(const char *prefix, const char *after,
                                 uint32_t max) {
  struct page page = {0};
  return finished(&page, wwr_server_list_channels(
                             fix.server, wwr_view_str(prefix),
                             wwr_view_str(after), max, on_channels, &page));
}

static void channels_are_listed_by_name(void) {
  fixture_start();
  CU_ASSERT_EQUAL(list_channels("", "", 10).count, 0);
  struct wwr_conn *conn;
  for (int i = 0; i < 6; i++) {
    (void)peer_connect_conn(&conn);
    for (int k = 0; k <= i; k++) {
      char name[16];
      snprintf(name, sizeof name, "%s-%d", k % 2 ? "odd" : "even", k);
      CU_ASSERT_EQUAL(subscribe(conn, name, 0).err, WWR_OK);
    }
  }
  (void)publish("even-2", "x");
  struct page page = list_channels("", "", 4);
  CU_ASSERT_EQUAL(page.count, 4);
  CU_ASSERT_TRUE(page.more);
  CU_ASSERT_STRING_EQUAL(page.names[0], "even-0");
  CU_ASSERT_EQUAL(page.numbers[0], 6); /* on all threads */
  CU_ASSERT_EQUAL(page.numbers[1], 4);
  CU_ASSERT_EQUAL(page.ids[1], 1);
  CU_ASSERT_STRING_EQUAL(page.names[3], "odd-1");
  page = list_channels("", "odd-1", 4);
  CU_ASSERT_EQUAL(page.count, 2);
  CU_ASSERT_STRING_EQUAL(page.names[0], "odd-3");
  page = list_channels("odd", "", 2);
  CU_ASSERT_EQUAL(page.count, 2);
  CU_ASSERT_TRUE(page.more);
  CU_ASSERT_EQUAL(list_channels("none", "", 2).count, 0);
}

/* --- All of them ---------------------------------------------------------- */

static struct page refused;

static void expect_lists(uint32_t max, wwr_err err) {
  struct wwr_view none = {0};
  CU_ASSERT_EQUAL(wwr_server_list_conns(fix.server, 0, max, on_conns, &refused),
                  err);
  CU_ASSERT_EQUAL(
      wwr_server_list_sessions(fix.server, none, max, on_sessions, &refused),
      err);
  CU_ASSERT_EQUAL(wwr_server_list_channels(fix.server, none, none, max,
                                           on_channels, &refused),
                  err);
}

static void what_is_refused_is_not_called_back(void) {
  static const uint8_t bytes[2048];
  struct wwr_view view = {bytes, sizeof bytes};
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  refused = (struct page){0};
  expect_lists(1, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_OK);
  expect_lists(0, WWR_E_INVALID);
  expect_lists(WWR_LIST_MAX + 1, WWR_E_INVALID);
  CU_ASSERT_EQUAL(
      wwr_server_list_sessions(fix.server, view, 1, on_sessions, &refused),
      WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_server_list_channels(fix.server, view, view, 1,
                                           on_channels, &refused),
                  WWR_E_INVALID);
  wwr_server_shutdown(fix.server);
  expect_lists(1, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_find_conn(fix.server, 1, close_found, NULL),
                  WWR_E_CLOSED);
  fixture_free_server();
  CU_ASSERT_EQUAL(refused.calls, 0);
}

static struct page many[200];

/* Asked for at the end: each is told before the server is gone. */
static void lists_end_with_the_server(void) {
  fixture_start();
  for (int i = 0; i < 10; i++) (void)peer_connect();
  memset(many, 0, sizeof many);
  int begun = 0;
  for (int i = 0; i < 200; i++) {
    begun +=
        wwr_server_list_conns(fix.server, 0, 5, on_conns, &many[i]) == WWR_OK;
    if (i == 100) wwr_server_shutdown_async(fix.server);
  }
  fixture_stop_peers();
  fixture_free_server();
  int calls = 0;
  for (int i = 0; i < 200; i++) calls += many[i].calls;
  CU_ASSERT_EQUAL(calls, begun);
}

/* --- Limits --------------------------------------------------------------- */

static struct wwr_server_limits limits_now(void) {
  struct wwr_server_limits limits;
  wwr_server_limits(fix.server, &limits);
  return limits;
}

static void set_limits(const struct wwr_server_limits *limits) {
  CU_ASSERT_EQUAL(wwr_server_set_limits(fix.server, limits, NULL), WWR_OK);
}

static void connections_are_limited_anew(void) {
  fix.opts.max_connections = 2;
  fixture_start();
  (void)peer_connect();
  (void)peer_connect();
  peer_refused(503);
  struct wwr_server_limits limits = limits_now();
  CU_ASSERT_EQUAL(limits.max_connections, 2);
  limits.max_connections = 3;
  set_limits(&limits);
  struct peer *peer = peer_connect();
  peer_refused(503);
  limits.max_connections = 1;
  set_limits(&limits);
  peer_request(peer, 1, "echo", "stays");
  peer_expect_text(peer, 1, "stays");
  limits.max_connections = 0;
  set_limits(&limits);
  (void)peer_connect();
}

static void queues_are_limited_anew(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  struct wwr_server_limits limits = limits_now();
  limits.max_queued_bytes = fix.opts.message_buffer_bytes + 1024;
  peer_pause(peer, true);
  char text[1024] = "";
  memset(text, 'x', sizeof text - 1);
  struct wwr_payload payload = wwr_payload_text(text);
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("x"), &payload), WWR_OK);
  }
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  set_limits(&limits);
  (void)wwr_conn_signal(conn, wwr_view_str("x"), &payload);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_SLOW_CONSUMER);
}

/* Off the connection's thread the answer may come later. */
static wwr_err try_subscribe(struct wwr_conn *conn) {
  struct answer answer = {0};
  wwr_err err = wwr_conn_subscribe(conn, room(), 0, on_subscribed, &answer);
  if (err != WWR_OK) return err;
  WAIT(answer.calls > 0);
  return answer.err;
}

static void subscriptions_are_limited_anew(void) {
  fixture_start();
  struct wwr_conn *conn;
  (void)peer_connect_conn(&conn);
  struct wwr_server_limits limits = limits_now();
  limits.max_conn_channels = 1;
  set_limits(&limits);
  CU_ASSERT_EQUAL(subscribe(conn, "a", 0).err, WWR_OK);
  CU_ASSERT_EQUAL(try_subscribe(conn), WWR_E_LIMIT);
  limits.max_conn_channels = 2;
  set_limits(&limits);
  CU_ASSERT_EQUAL(try_subscribe(conn), WWR_OK);
}

static void the_log_level_changes(void) {
  fixture_start();
  struct wwr_server_limits limits = limits_now();
  limits.log_level = WWR_LOG_OFF;
  set_limits(&limits);
  fix.log[0] = '\0';
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "internal", NULL);
  settle();
  CU_ASSERT_FALSE(wwri_log_enabled(&fix.server->opts.log, WWR_LOG_ERROR));
  limits.log_level = WWR_LOG_DEBUG;
  set_limits(&limits);
  CU_ASSERT_TRUE(wwri_log_enabled(&fix.server->opts.log, WWR_LOG_DEBUG));
}

static void wrong_limits_change_nothing(void) {
  fixture_start();
  struct wwr_server_limits before = limits_now();
  const char *field;
  struct {
    struct wwr_server_limits limits;
    const char *field;
  } wrong[] = {{before, "max_queued_bytes"},
               {before, "max_pending_bytes"},
               {before, "max_conn_channels"},
               {before, "max_conn_channels"},
               {before, "log_level"}};
  wrong[0].limits.max_queued_bytes = fix.opts.message_buffer_bytes;
  wrong[1].limits.max_pending_bytes = 0;
  wrong[2].limits.max_conn_channels = 0;
  wrong[3].limits.max_conn_channels = 65537;
  wrong[4].limits.log_level = (enum wwr_log_level)(WWR_LOG_OFF + 1);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    wrong[i].limits.max_connections = 77;
    CU_ASSERT_EQUAL(wwr_server_set_limits(fix.server, &wrong[i].limits, &field),
                    WWR_E_INVALID);
    CU_ASSERT_STRING_EQUAL(field, wrong[i].field);
    struct wwr_server_limits now = limits_now();
    CU_ASSERT_EQUAL(memcmp(&now, &before, sizeof now), 0);
  }
  CU_ASSERT_EQUAL(wwr_server_set_limits(fix.server, &before, &field), WWR_OK);
  CU_ASSERT_PTR_NULL(field);
}

/* --- Loops ---------------------------------------------------------------- */

static void wait_on_loop(void *arg) {
  uint64_t until = now_ms() + *(uint32_t *)arg;
  while (now_ms() < until) continue;
}

static void a_loop_that_stands_still_is_seen(void) {
  struct wwr_loops_state state;
  uint32_t ms = 700;
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  wwr_server_loops(fix.server, &state);
  CU_ASSERT_EQUAL(state.count, 0);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_OK);
  wwr_server_loops(fix.server, &state);
  CU_ASSERT_EQUAL(state.count, fix.server->shard_count);
  run_on(fix.server->loops[fix.server->shard_count - 1], wait_on_loop, &ms);
  wwr_server_loops(fix.server, &state);
  uint64_t late = state.silent_ms > state.lag_us / 1000 ? state.silent_ms
                                                        : state.lag_us / 1000;
  CU_ASSERT_TRUE(late >= 400); /* its timer was due within a quarter */
  uint64_t until = now_ms() + 30000;
  do {
    settle();
    wwr_server_loops(fix.server, &state);
  } while (state.silent_ms >= 400 && now_ms() < until);
  CU_ASSERT_TRUE(state.silent_ms < 400); /* it turns again */
}

int main(int argc, char **argv) {
  static CU_TestInfo tests[] = {
      {"connections are listed in pages", connections_are_listed_in_pages},
      {"rows tell what is going on", rows_tell_what_is_going_on},
      {"queued bytes are told", queued_bytes_are_told},
      {"a connection is closed by its id", a_connection_is_closed_by_its_id},
      {"sessions are listed by key", sessions_are_listed_by_key},
      {"channels are listed by name", channels_are_listed_by_name},
      {"what is refused is not called back",
       what_is_refused_is_not_called_back},
      {"lists end with the server", lists_end_with_the_server},
      {"connections are limited anew", connections_are_limited_anew},
      {"queues are limited anew", queues_are_limited_anew},
      {"subscriptions are limited anew", subscriptions_are_limited_anew},
      {"the log level changes", the_log_level_changes},
      {"wrong limits change nothing", wrong_limits_change_nothing},
      {"a loop that stands still is seen", a_loop_that_stands_still_is_seen},
      CU_TEST_INFO_NULL,
  };
  return fixture_main(argc, argv, tests);
}
