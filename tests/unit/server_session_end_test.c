/* Sessions that end at a time, which they name in their info as milliseconds
 * of Unix time. With a store of this server alone, and with one that has
 * authority over several nodes. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server_fake_authority.h"

enum { SOON_MS = 30, MS_NS = 1000000, HOUR_MS = 3600000 };

static int64_t unix_ms(void) {
  return wwri_unix_now_ns() / MS_NS;
}

/* No session ends before a test is ready for it, however slow the machine is;
 * those whose time has come meanwhile end within moments of its release. */
static atomic_bool held;

static int64_t on_session(const struct wwr_session *session, void *user_data) {
  char *text;
  (void)user_data;
  if (wwr_session_field(session, "end", &text) != WWR_OK) return 0;
  int64_t end = strtoll(text, NULL, 10), later = unix_ms() + SOON_MS;
  wwr_free(text);
  if (atomic_load(&held) && end > 0 && end < later) end = later;
  return end * MS_NS;
}

static const char *info_until(int64_t end_ms) {
  static char info[64];
  snprintf(info, sizeof info, "{\"end\":%lld}", (long long)end_ms);
  return info;
}

static void start(void) {
  fix.opts.hooks.on_session = on_session;
  fixture_start();
}

static void start_with_authority(void) {
  fix.opts.hooks.on_session = on_session;
  fake_use();
  fixture_start();
}

/* A peer with a session until then. */
static struct peer *created_until(int64_t end_ms) {
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "create", info_until(end_ms));
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 1, "ok");
  return peer;
}

/* It is told, and closed; not before. */
static void expect_end(struct peer *peer, int64_t end_ms) {
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  CU_ASSERT(unix_ms() >= end_ms);
  peer_expect_closed(peer);
}

static void a_created_session_ends(void) {
  start();
  int64_t end = unix_ms() + SOON_MS;
  struct peer *peer = created_until(end);
  expect_end(peer, end);
  WAIT(fix.disconnected == 1 && fix.store.closed == 1);
  CU_ASSERT_EQUAL(fix.reason, WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.store.kept_count), 0);
}

static void a_restored_session_ends_on_all_connections(void) {
  start();
  int64_t end = unix_ms() + SOON_MS;
  struct peer *peers[3];
  atomic_store(&held, true);
  store_put("key", info_until(end));
  for (int i = 0; i < 3; i++) {
    peers[i] = peer_connect();
    peer_restore(peers[i], 1, "key");
    (void)peer_expect_id(peers[i], WWRI_REPLY_UTF8, 1);
  }
  atomic_store(&held, false);
  for (int i = 0; i < 3; i++) expect_end(peers[i], end);
  WAIT(fix.disconnected == 3 && fix.store.closed == 1);
  CU_ASSERT_FALSE(store_has("key"));
}

static void one_that_is_over_is_not_found(void) {
  start();
  store_put("key", info_until(unix_ms() - 1));
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  WAIT(fix.store.closed == 1);
  CU_ASSERT_FALSE(store_has("key"));
  peer_request(peer, 2, "echo", "still here");
  peer_expect_text(peer, 2, "still here");
}

/* What is over already when it is created ends at once. */
static void an_end_in_the_past(void) {
  start();
  expect_end(created_until(1), 1);
  expect_end(created_until(-5), 1);
}

/* The connection lives on with what it has instead, or without. */
static void another_session_has_another_end(void) {
  start();
  int64_t end = unix_ms() + SOON_MS;
  atomic_store(&held, true);
  struct peer *longer = created_until(end), *none = created_until(end);
  peer_close_session(longer, 2);
  peer_expect_id(longer, WWRI_REPLY_BINARY, 2);
  peer_close_session(none, 2);
  peer_expect_id(none, WWRI_REPLY_BINARY, 2);
  peer_request(longer, 3, "create", info_until(end + HOUR_MS));
  (void)peer_expect(longer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(longer, 3, "ok");
  atomic_store(&held, false);
  /* Its timer is behind theirs. */
  int64_t last = unix_ms() + 2 * SOON_MS;
  expect_end(created_until(last), last);
  peer_request(longer, 4, "echo", "here");
  peer_expect_text(longer, 4, "here");
  peer_request(none, 4, "echo", "here");
  peer_expect_text(none, 4, "here");
}

static void no_end_is_none(void) {
  start();
  struct peer *zero = created_until(0), *far = created_until(INT64_MAX / MS_NS);
  int64_t end = unix_ms() + SOON_MS;
  expect_end(created_until(end), end);
  peer_expect_nothing(zero);
  peer_expect_nothing(far);
}

/* Requests that are open finish and are answered. */
static void open_requests_are_answered(void) {
  start();
  int64_t end = unix_ms() + SOON_MS;
  atomic_store(&held, true);
  struct peer *peer = created_until(end);
  peer_request(peer, 2, "hold", "");
  struct wwr_request *request = next_held();
  atomic_store(&held, false);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  answer_held(request, "late");
  peer_expect_text(peer, 2, "late");
  peer_expect_closed(peer);
}

/* --- With authority ------------------------------------------------------- */

static void with_authority_each_gives_it_up(void) {
  start_with_authority();
  int64_t end = unix_ms() + SOON_MS;
  atomic_store(&held, true);
  fake_put("key", info_until(end));
  struct peer *peers[2] = {fake_restored(), fake_restored()};
  atomic_store(&held, false);
  for (int i = 0; i < 2; i++) expect_end(peers[i], end);
  WAIT(fake.calls[FAKE_LEAVE] == 2);
  CU_ASSERT_FALSE(fake_alive("key"));
  fake_finish();
}

static void with_authority_one_that_is_over_is_given_back(void) {
  start_with_authority();
  fake_put("key", info_until(unix_ms() - 1));
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  WAIT(fake.calls[FAKE_LEAVE] == 1);
  CU_ASSERT_EQUAL(fake_count("key"), 0);
  CU_ASSERT_FALSE(fake_alive("key"));
  fake_finish();
}

/* The store's answer comes after the end. */
static void with_authority_a_slow_creation(void) {
  start_with_authority();
  LOCKED(fake.hold = true);
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "create", info_until(unix_ms() - 1));
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  WAIT(fake.open_count == 1);
  fake_release();
  peer_expect_text(peer, 1, "ok");
  expect_end(peer, 1);
  WAIT(fake.calls[FAKE_LEAVE] == 1);
  fake_finish();
}

static CU_TestInfo tests[] = {
    {"a created session ends", a_created_session_ends},
    {"a restored session ends on all connections",
     a_restored_session_ends_on_all_connections},
    {"one that is over is not found", one_that_is_over_is_not_found},
    {"an end in the past", an_end_in_the_past},
    {"another session has another end", another_session_has_another_end},
    {"no end is none", no_end_is_none},
    {"open requests are answered", open_requests_are_answered},
    {"with authority: each gives it up", with_authority_each_gives_it_up},
    {"with authority: one that is over is given back",
     with_authority_one_that_is_over_is_given_back},
    {"with authority: a slow creation", with_authority_a_slow_creation},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
