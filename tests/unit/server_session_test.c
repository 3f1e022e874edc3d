/* docs/protocol.md, "Sessions". */
#include <stdlib.h>
#include <string.h>

#include "server_fixture.h"

static long conns_of(const char *key) {
  return wwr_server_session_conn_count(fix.server, wwr_view_str(key));
}

/* --- Create --------------------------------------------------------------- */

static void create_notifies_before_the_reply(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_request(peer, 1, "create", "{\"user\":\"ann\"}");
  struct wwri_msg notice = peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 1, "ok");
  struct wwr_session *session;
  struct wwr_view none = {NULL, 0};
  CU_ASSERT_EQUAL_FATAL(
      wwri_session_decode(notice.payload.data, none, &session), WWR_OK);
  CU_ASSERT_EQUAL(strlen(wwr_session_key(session)), 64);
  CU_ASSERT_EQUAL(strspn(wwr_session_key(session),
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789-_"),
                  64);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(session), "{\"user\":\"ann\"}");
  CU_ASSERT_TRUE(wwr_conn_has_session(conn));
  CU_ASSERT_TRUE(store_has(wwr_session_key(session)));
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1);
  CU_ASSERT_EQUAL(conns_of(wwr_session_key(session)), 1);
  CU_ASSERT_EQUAL(conns_of("other"), -1);
  char *user;
  CU_ASSERT_EQUAL(wwr_conn_session_text(conn, "user", &user), WWR_OK);
  CU_ASSERT_STRING_EQUAL(user, "ann");
  wwr_free(user);
  CU_ASSERT_EQUAL(wwr_conn_session_text(conn, "x", &user), WWR_E_INVALID);
  wwr_session_unref(session);
}

static wwr_err create_wait(struct wwr_conn *conn, const char *info) {
  return wwr_conn_create_session_wait(conn, info);
}

static bool silent_keygen(char *out, size_t cap, void *user_data) {
  (void)user_data;
  (void)cap;
  out[0] = '\0';
  return true;
}

static bool failing_keygen(char *out, size_t cap, void *user_data) {
  (void)user_data;
  (void)cap;
  memcpy(out, "x", 2);
  return false;
}

static bool fixed_keygen(char *out, size_t cap, void *user_data) {
  snprintf(out, cap, "%s", (const char *)user_data);
  return true;
}

static void create_fails_without_a_key(void) {
  fix.opts.keygen = failing_keygen;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_E_INTERNAL);
  CU_ASSERT_FALSE(wwr_conn_has_session(conn));
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(fix.store.created, 0);
}

static void an_empty_key_is_a_failure(void) {
  fix.opts.keygen = silent_keygen;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_E_INTERNAL);
  peer_expect_nothing(peer);
  CU_ASSERT_STRING_EQUAL(fix.log, "the session key generator failed");
}

static void keygen_is_used(void) {
  static char key[] = "my key";
  fix.opts.keygen = fixed_keygen;
  fix.opts.keygen_user_data = key;
  fixture_start();
  struct peer *peer = peer_connect();
  CU_ASSERT_STRING_EQUAL(peer_create(peer), "my key");
}

static bool counting_keygen(char *out, size_t cap, void *user_data) {
  int *count = user_data;
  snprintf(out, cap, "key %d", ++*count);
  return true;
}

static void what_is_not_taken_gets_another_key(void) {
  int count = 0;
  fix.opts.keygen = counting_keygen;
  fix.opts.keygen_user_data = &count;
  fixture_start();
  fix.store.takes_not = 3;
  CU_ASSERT_STRING_EQUAL(peer_create(peer_connect()), "key 4");
  fix.store.takes_not = 100;
  CU_ASSERT_STRING_EQUAL(peer_create(peer_connect()), "key 20");
  CU_ASSERT_EQUAL(fix.store.created, 2);
}

static void create_with_bad_info(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(create_wait(conn, "[1]"), WWR_E_INVALID);
  CU_ASSERT_EQUAL(create_wait(conn, "{"), WWR_E_INVALID);
  CU_ASSERT_EQUAL(create_wait(conn, ""), WWR_E_INVALID);
  peer_expect_nothing(peer);
  CU_ASSERT_FALSE(wwr_conn_has_session(conn));
}

static void create_too_large_changes_nothing(void) {
  char info[256];
  fix.opts.message_buffer_bytes = 256;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  snprintf(info, sizeof info, "{\"i\":\"%0200d\"}", 1);
  CU_ASSERT_EQUAL(create_wait(conn, info), WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_FALSE(wwr_conn_has_session(conn));
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(fix.store.created, 0);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_OK);
}

static void create_twice_fails(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  const char *key = peer_create(peer);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_E_SESSION_ACTIVE);
  CU_ASSERT_EQUAL(conns_of(key), 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1);
  peer_expect_nothing(peer);
}

static void create_when_disconnected_fails(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  wwr_conn_ref(conn);
  peer_abort(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(fix.store.created, 0);
  wwr_conn_unref(conn);
}

static void create_with_a_failing_store(void) {
  fix.store.created_err = WWR_E_IO;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_OK);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  CU_ASSERT_TRUE(wwr_conn_has_session(conn)); /* stays active ... */
  CU_ASSERT_STRING_EQUAL(fix.log,
                         "session was not stored, it can't be restored");
  struct wwr_session *session = wwr_conn_session(conn);
  struct peer *other = peer_connect();
  peer_restore(other, 1, wwr_session_key(session)); /* ... but only here */
  peer_expect_id(other, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  wwr_session_unref(session);
}

static void create_completes_with_the_hook(void) {
  fix.store.hold = true;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "create", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  WAIT(fix.store.held_count == 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1);
  peer_expect_nothing(peer);
  store_release();
  peer_expect_text(peer, 1, "ok");
}

/* --- Sessions disabled ---------------------------------------------------- */

static void sessions_disabled(void) {
  fix.with_store = false;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(create_wait(conn, NULL), WWR_E_SESSIONS_DISABLED);
  CU_ASSERT_EQUAL(wwr_conn_close_session_wait(conn), WWR_E_SESSIONS_DISABLED);
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str("key"), NULL, NULL),
      WWR_E_SESSIONS_DISABLED);
  stage_restore(peer, 1, "key");
  stage_close_session(peer, 2);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_SESSIONS_DISABLED, 1);
  peer_expect_id(peer, WWRI_REPLY_SESSIONS_DISABLED, 2);
}

/* --- Restore -------------------------------------------------------------- */

static void restore_gives_the_session(void) {
  fixture_start();
  store_put("key", "{\"a\":1}");
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_restore(peer, 1, "key");
  struct wwri_msg reply = peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  CU_ASSERT_TRUE(view_is(reply.payload.data,
                         "{\"k\":\"key\",\"c\":\"1970-01-01T00:00:01Z\","
                         "\"l\":\"1970-01-01T00:00:02Z\",\"i\":{\"a\":1}}"));
  CU_ASSERT_TRUE(wwr_conn_has_session(conn));
  CU_ASSERT_EQUAL(conns_of("key"), 1);
  CU_ASSERT_EQUAL(fix.store.lookups, 1);
}

static void restore_errors(void) {
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "../../etc/passwd");
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  CU_ASSERT_EQUAL(fix.errors_logged, 0);
  pthread_mutex_lock(&fix.lock);
  fix.store.lookup_err = WWR_E_IO;
  pthread_mutex_unlock(&fix.lock);
  peer_restore(peer, 2, "key");
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 2);
  CU_ASSERT_STRING_EQUAL(fix.log, "session could not be restored");
}

/* A key of any bytes, NUL and line feed too, is only looked up. */
static void restore_with_a_strange_key(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  struct wwri_msg msg = {.type = WWRI_REQUEST_RESTORE_SESSION,
                         .id = id_of(1),
                         .name = {(const uint8_t *)"a\0\n\xff", 4}};
  stage(peer, &msg);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
}

static void restore_too_large_changes_nothing(void) {
  char info[256];
  fix.opts.message_buffer_bytes = 256;
  fixture_start();
  snprintf(info, sizeof info, "{\"i\":\"%0200d\"}", 1);
  store_put("large", info);
  store_put("small", NULL);
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  peer_restore(peer, 1, "small");
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  peer_restore(peer, 2, "large");
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 2);
  CU_ASSERT_EQUAL(conns_of("small"), 1);
  CU_ASSERT_EQUAL(conns_of("large"), -1);
}

static void restore_over_an_own_session_leaves_it(void) {
  fixture_start();
  store_put("second", NULL);
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  const char *first = peer_create(peer);
  peer_restore(peer, 1, "second");
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  CU_ASSERT_EQUAL(conns_of(first), -1);
  CU_ASSERT_EQUAL(conns_of("second"), 1);
  CU_ASSERT_TRUE(store_has(first));
  CU_ASSERT_EQUAL(fix.store.closed, 0);
  peer_restore(peer, 2, first);
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 2);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 1);
  peer_restore(peer, 3, first); /* itself */
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 3);
  CU_ASSERT_EQUAL(conns_of(first), 1);
  peer_expect_nothing(peer);
}

static void a_failed_restore_keeps_the_old_session(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  const char *first = peer_create(peer);
  peer_restore(peer, 1, "none");
  peer_expect_id(peer, WWRI_REPLY_SESSION_NOT_FOUND, 1);
  CU_ASSERT_EQUAL(conns_of(first), 1);
}

static void the_limit_of_connections(void) {
  fix.opts.max_session_conns = 2;
  fixture_start();
  store_put("key", NULL);
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) {
    peers[i] = peer_connect();
    peer_restore(peers[i], 1, "key");
    peer_expect_id(peers[i],
                   i < 2 ? WWRI_REPLY_UTF8 : WWRI_REPLY_MAX_SESSION_CONNS, 1);
  }
  CU_ASSERT_EQUAL(conns_of("key"), 2);
  CU_ASSERT_EQUAL(fix.store.lookups, 2); /* the third one was not looked up */
  peer_close(peers[0]);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(conns_of("key"), 1);
  peer_restore(peers[2], 2, "key");
  (void)peer_expect_id(peers[2], WWRI_REPLY_UTF8, 2);
}

/* Both look up at once, the last place is one's. */
static void races_for_the_last_place_have_one_winner(void) {
  fix.opts.max_session_conns = 1;
  fixture_start();
  store_put("key", NULL);
  struct peer *peers[2] = {peer_connect(), peer_connect()};
  for (int i = 0; i < 1000; i++) {
    int won = 0;
    int winner = 0;
    peer_restore(peers[0], 1, "key");
    peer_restore(peers[1], 1, "key");
    for (int p = 0; p < 2; p++) {
      enum wwri_msg_type type = peer_next(peers[p]).type;
      CU_ASSERT_TRUE(type == WWRI_REPLY_UTF8 ||
                     type == WWRI_REPLY_MAX_SESSION_CONNS);
      if (type == WWRI_REPLY_UTF8) winner = p;
      won += type == WWRI_REPLY_UTF8;
    }
    CU_ASSERT_EQUAL_FATAL(won, 1);
    peer_close_session(peers[winner], 2);
    peer_expect_id(peers[winner], WWRI_REPLY_BINARY, 2);
    store_put("key", NULL);
  }
}

/* The same with look-ups that surely overlap. */
static void overlapping_restores_have_one_winner(void) {
  fix.opts.max_session_conns = 1;
  fix.store.hold = true;
  fixture_start();
  store_put("key", NULL);
  struct peer *peers[2] = {peer_connect(), peer_connect()};
  peer_restore(peers[0], 1, "key");
  peer_restore(peers[1], 1, "key");
  WAIT(fix.store.held_count == 2);
  store_release();
  enum wwri_msg_type a = peer_next(peers[0]).type;
  enum wwri_msg_type b = peer_next(peers[1]).type;
  CU_ASSERT_EQUAL(a == WWRI_REPLY_UTF8, b == WWRI_REPLY_MAX_SESSION_CONNS);
  CU_ASSERT_EQUAL(b == WWRI_REPLY_UTF8, a == WWRI_REPLY_MAX_SESSION_CONNS);
  CU_ASSERT_EQUAL(conns_of("key"), 1);
}

/* The connection is gone before the store answers. */
static void restore_of_a_gone_connection(void) {
  fix.store.hold = true;
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  WAIT(fix.store.held_count == 1);
  peer_abort(peer);
  peer_wait_closed(peer);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  store_release();
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  CU_ASSERT_TRUE(store_has("key"));
}

static void create_of_a_gone_connection(void) {
  fix.store.hold = true;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "create", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  WAIT(fix.store.held_count == 1);
  peer_abort(peer);
  peer_wait_closed(peer);
  settle();
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  store_release();
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.store.kept_count), 1);
}

/* --- Close by the client -------------------------------------------------- */

static void close_without_a_session_is_confirmed(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  peer_close_session(peer, 1);
  struct wwri_msg reply = peer_expect_id(peer, WWRI_REPLY_BINARY, 1);
  CU_ASSERT_EQUAL(reply.payload.data.len, 0);
  CU_ASSERT_EQUAL(fix.store.closed, 0);
}

static void the_last_connection_destroys(void) {
  fixture_start();
  struct peer *a = peer_connect();
  char key[128];
  snprintf(key, sizeof key, "%s", peer_create(a));
  struct peer *b = peer_connect();
  peer_restore(b, 1, key);
  (void)peer_expect_id(b, WWRI_REPLY_UTF8, 1);
  CU_ASSERT_EQUAL(conns_of(key), 2);
  peer_close_session(a, 2);
  CU_ASSERT_EQUAL(peer_expect_id(a, WWRI_REPLY_BINARY, 2).payload.data.len, 0);
  CU_ASSERT_TRUE(store_has(key));
  CU_ASSERT_EQUAL(conns_of(key), 1);
  peer_close_session(b, 3);
  CU_ASSERT_EQUAL(peer_expect_id(b, WWRI_REPLY_BINARY, 3).payload.data.len, 0);
  CU_ASSERT_FALSE(store_has(key));
  CU_ASSERT_EQUAL(conns_of(key), -1);
  CU_ASSERT_EQUAL(fix.store.closed, 1);
  peer_restore(a, 4, key);
  peer_expect_id(a, WWRI_REPLY_SESSION_NOT_FOUND, 4);
  peer_expect_nothing(a); /* no notify-session-closed for who asked */
  peer_expect_nothing(b);
}

static void close_is_replied_after_the_hook(void) {
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  (void)peer_create(peer);
  pthread_mutex_lock(&fix.lock);
  fix.store.hold = true;
  fix.store.closed_err = WWR_E_IO;
  pthread_mutex_unlock(&fix.lock);
  peer_close_session(peer, 1);
  WAIT(fix.store.held_count == 1);
  CU_ASSERT_FALSE(wwr_conn_has_session(conn));
  peer_expect_nothing(peer);
  store_release();
  peer_expect_id(peer, WWRI_REPLY_BINARY, 1);
  CU_ASSERT_STRING_EQUAL(fix.log, "session was not deleted from the store");
}

/* The store hears of the end behind the beginning, or it would keep what was
 * closed. */
static struct peer *create_held(void) {
  fix.store.hold = true;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "create", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  WAIT(fix.store.held_count == 1);
  return peer;
}

/* Nothing is told when it is closed here and the store is still to hear of it.
 */
static void wait_no_session(void) {
  uint64_t until = now_ms() + 30000;
  while (wwr_server_sessions(fix.server) > 0 && now_ms() < until) settle();
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
}

static void a_close_waits_for_created(void) {
  struct peer *peer = create_held();
  peer_close_session(peer, 2);
  wait_no_session();
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.store.closed), 0);
  peer_expect_nothing(peer);
  store_release();
  peer_expect_text(peer, 1, "ok");
  WAIT(fix.store.held_count == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.store.closed), 1);
  store_release();
  peer_expect_id(peer, WWRI_REPLY_BINARY, 2);
  CU_ASSERT_EQUAL(LOCKED(fix.store.kept_count), 0);
}

static void a_close_that_is_not_the_last_waits_for_nothing(void) {
  struct peer *a = create_held();
  pthread_mutex_lock(&fix.lock);
  fix.store.hold = false;
  const struct wwr_session *session = fix.store.kept[0];
  pthread_mutex_unlock(&fix.lock);
  struct peer *b = peer_connect();
  peer_restore(b, 1, wwr_session_key(session));
  (void)peer_expect_id(b, WWRI_REPLY_UTF8, 1);
  peer_close_session(a, 2);
  peer_expect_id(a, WWRI_REPLY_BINARY, 2);
  store_release();
  peer_expect_text(a, 1, "ok");
  CU_ASSERT_EQUAL(LOCKED(fix.store.closed), 0);
  CU_ASSERT_EQUAL(conns_of(wwr_session_key(session)), 1);
}

/* --- Close by the server -------------------------------------------------- */

static void close_by_the_server(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  char key[128];
  peer_request(peer, 1, "close-session", NULL);
  peer_expect_text(peer, 1, "ok"); /* without a session: silently */
  snprintf(key, sizeof key, "%s", peer_create(peer));
  peer_request(peer, 2, "close-session", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  peer_expect_text(peer, 2, "ok");
  CU_ASSERT_EQUAL(fix.store.closed, 1);
  CU_ASSERT_FALSE(store_has(key));
  peer_expect_nothing(peer);
}

static void close_by_the_server_is_not_the_last(void) {
  fixture_start();
  store_put("key", NULL);
  struct wwr_conn *conn;
  struct peer *peers[2] = {peer_connect(), peer_connect_conn(&conn)};
  for (int i = 0; i < 2; i++) {
    peer_restore(peers[i], 1, "key");
    (void)peer_expect_id(peers[i], WWRI_REPLY_UTF8, 1);
  }
  CU_ASSERT_EQUAL(wwr_conn_close_session_wait(conn), WWR_OK);
  (void)peer_expect(peers[1], WWRI_NOTIFY_SESSION_CLOSED);
  peer_expect_nothing(peers[0]);
  CU_ASSERT_EQUAL(conns_of("key"), 1);
  CU_ASSERT_TRUE(store_has("key"));
}

static void the_stores_error_is_told(void) {
  fix.store.closed_err = WWR_E_IO;
  fixture_start();
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  (void)peer_create(peer);
  CU_ASSERT_EQUAL(wwr_conn_close_session_wait(conn), WWR_E_IO);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
}

static struct {
  int calls;
  size_t count;
  wwr_err errs[4];
  bool active[4];
} closing;

static void on_closed_by_key(const struct wwr_close_result *results,
                             size_t count, void *user_data) {
  CU_ASSERT_PTR_EQUAL(user_data, &closing);
  pthread_mutex_lock(&fix.lock);
  closing.count = count;
  for (size_t i = 0; i < count && i < 4; i++) {
    closing.errs[i] = results[i].err;
    closing.active[i] = wwr_conn_is_active(results[i].conn);
  }
  pthread_mutex_unlock(&fix.lock);
  note(&closing.calls);
}

static void close_by_key(const char *key) {
  memset(&closing, 0, sizeof closing);
  CU_ASSERT_EQUAL_FATAL(wwr_server_close_session(fix.server, wwr_view_str(key),
                                                 on_closed_by_key, &closing),
                        WWR_OK);
  WAIT(closing.calls == 1);
}

static void close_by_key_closes_on_all(void) {
  fixture_start();
  store_put("key", NULL);
  struct peer *peers[3];
  for (int i = 0; i < 3; i++) {
    peers[i] = peer_connect();
    peer_restore(peers[i], 1, "key");
    (void)peer_expect_id(peers[i], WWRI_REPLY_UTF8, 1);
  }
  close_by_key("key");
  CU_ASSERT_EQUAL(closing.count, 3);
  for (int i = 0; i < 3; i++) {
    (void)peer_expect(peers[i], WWRI_NOTIFY_SESSION_CLOSED);
    CU_ASSERT_EQUAL(closing.errs[i], WWR_OK);
    CU_ASSERT_TRUE(closing.active[i]);
    peer_expect_nothing(peers[i]);
  }
  CU_ASSERT_EQUAL(conns_of("key"), -1);
  CU_ASSERT_EQUAL(fix.store.closed, 1);
  CU_ASSERT_FALSE(store_has("key"));
}

static void close_by_key_waits_for_created(void) {
  struct peer *peer = create_held();
  struct wwr_session *session = LOCKED(wwr_session_ref(fix.store.kept[0]));
  closing.calls = 0;
  CU_ASSERT_EQUAL(wwr_server_close_session(
                      fix.server, wwr_view_str(wwr_session_key(session)),
                      on_closed_by_key, &closing),
                  WWR_OK);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.store.closed), 0);
  store_release();
  WAIT(fix.store.held_count == 1);
  store_release();
  WAIT(closing.calls == 1);
  CU_ASSERT_FALSE(store_has(wwr_session_key(session)));
  peer_expect_text(peer, 1, "ok");
  wwr_session_unref(session);
}

static void close_by_key_without_connections(void) {
  fixture_start();
  store_put("key", NULL);
  close_by_key("key");
  CU_ASSERT_EQUAL(closing.count, 0);
  CU_ASSERT_EQUAL(fix.store.closed, 0);
  CU_ASSERT_TRUE(store_has("key"));
}

static void close_by_key_tells_the_stores_error(void) {
  fix.store.closed_err = WWR_E_IO;
  fixture_start();
  store_put("key", NULL);
  for (int i = 0; i < 2; i++) {
    struct peer *peer = peer_connect();
    peer_restore(peer, 1, "key");
    (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  }
  close_by_key("key");
  CU_ASSERT_EQUAL(closing.count, 2);
  CU_ASSERT_EQUAL((int)closing.errs[0] + (int)closing.errs[1], WWR_E_IO);
}

static void close_by_key_before_the_start(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str("key"), NULL, NULL),
      WWR_E_CLOSED);
}

static void close_by_key_after_the_end(void) {
  fixture_start();
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str("key"), NULL, NULL),
      WWR_E_CLOSED);
}

/* --- Disconnecting and queries -------------------------------------------- */

static void disconnecting_never_destroys(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  char key[128];
  snprintf(key, sizeof key, "%s", peer_create(peer));
  peer_abort(peer);
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(wwr_server_sessions(fix.server), 0);
  CU_ASSERT_TRUE(store_has(key));
  peer = peer_connect();
  peer_restore(peer, 1, key);
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  CU_ASSERT_EQUAL(fix.store.closed, 0);
}

static void session_conns_are_told(void) {
  fixture_start();
  store_put("key", NULL);
  struct wwr_conn **conns;
  size_t count;
  struct wwr_view key = wwr_view_str("key");
  CU_ASSERT_EQUAL(wwr_server_session_conns(fix.server, key, &conns, &count),
                  WWR_OK);
  CU_ASSERT_EQUAL(count, 0);
  CU_ASSERT_PTR_NULL(conns);
  for (int i = 0; i < 3; i++) {
    struct peer *peer = peer_connect();
    peer_restore(peer, 1, "key");
    (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  }
  CU_ASSERT_EQUAL(wwr_server_session_conns(fix.server, key, &conns, &count),
                  WWR_OK);
  CU_ASSERT_EQUAL_FATAL(count, 3);
  CU_ASSERT_TRUE(conns[0] != conns[1] && conns[1] != conns[2]);
  for (size_t i = 0; i < count; i++) {
    CU_ASSERT_TRUE(wwr_conn_has_session(conns[i]));
    wwr_conn_unref(conns[i]);
  }
  wwr_free(conns);
}

static void blocking_stores_work_too(void) {
  fix.store_blocks = true;
  fixture_start();
  struct peer *peer = peer_connect();
  char key[128];
  snprintf(key, sizeof key, "%s", peer_create(peer));
  struct peer *other = peer_connect();
  peer_restore(other, 1, key);
  (void)peer_expect_id(other, WWRI_REPLY_UTF8, 1);
  peer_close_session(other, 2);
  peer_expect_id(other, WWRI_REPLY_BINARY, 2);
  peer_request(peer, 3, "close-session", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  peer_expect_text(peer, 3, "ok");
  CU_ASSERT_FALSE(store_has(key));
}

static void wait_in_the_hook(struct wwr_conn *conn, struct wwr_request *request,
                             const struct wwr_message *message,
                             void *user_data) {
  (void)message;
  (void)user_data;
  wwr_err created = wwr_conn_create_session_wait(conn, NULL);
  wwr_err ended = wwr_conn_close_session_wait(conn);
  CU_ASSERT_EQUAL(created, ended);
  reply_text(request, wwr_err_name(created));
}

static void waiting_calls_in_hooks(void) {
  fix.override.on_request = wait_in_the_hook;
  fix.opts.worker_threads = 1;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "x", NULL);
  if (is_blocking()) {
    (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
    (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CLOSED);
  }
  peer_expect_text(peer, 1, is_blocking() ? "ok" : "wrong-thread");
}

static CU_TestInfo tests[] = {
    {"create notifies before the reply", create_notifies_before_the_reply},
    {"create fails without a key", create_fails_without_a_key},
    {"an empty key is a failure", an_empty_key_is_a_failure},
    {"the key generator is used", keygen_is_used},
    {"what is not taken gets another key", what_is_not_taken_gets_another_key},
    {"create with bad info", create_with_bad_info},
    {"create: too large changes nothing", create_too_large_changes_nothing},
    {"create twice fails", create_twice_fails},
    {"create when disconnected fails", create_when_disconnected_fails},
    {"create with a failing store", create_with_a_failing_store},
    {"create completes with the hook", create_completes_with_the_hook},
    {"sessions disabled", sessions_disabled},
    {"restore gives the session", restore_gives_the_session},
    {"restore errors", restore_errors},
    {"restore with a strange key", restore_with_a_strange_key},
    {"restore: too large changes nothing", restore_too_large_changes_nothing},
    {"restore over an own session leaves it",
     restore_over_an_own_session_leaves_it},
    {"a failed restore keeps the old session",
     a_failed_restore_keeps_the_old_session},
    {"the limit of connections", the_limit_of_connections},
    {"races for the last place have one winner",
     races_for_the_last_place_have_one_winner},
    {"overlapping restores have one winner",
     overlapping_restores_have_one_winner},
    {"restore of a gone connection", restore_of_a_gone_connection},
    {"create of a gone connection", create_of_a_gone_connection},
    {"close without a session is confirmed",
     close_without_a_session_is_confirmed},
    {"the last connection destroys", the_last_connection_destroys},
    {"close is replied after the hook", close_is_replied_after_the_hook},
    {"a close waits for created", a_close_waits_for_created},
    {"a close that is not the last waits for nothing",
     a_close_that_is_not_the_last_waits_for_nothing},
    {"close by the server", close_by_the_server},
    {"close by the server, not the last", close_by_the_server_is_not_the_last},
    {"the store's error is told", the_stores_error_is_told},
    {"close by key closes on all", close_by_key_closes_on_all},
    {"close by key waits for created", close_by_key_waits_for_created},
    {"close by key without connections", close_by_key_without_connections},
    {"close by key tells the store's error",
     close_by_key_tells_the_stores_error},
    {"close by key before the start", close_by_key_before_the_start},
    {"close by key after the end", close_by_key_after_the_end},
    {"disconnecting never destroys", disconnecting_never_destroys},
    {"a session's connections are told", session_conns_are_told},
    {"blocking stores work too", blocking_stores_work_too},
    {"waiting calls in hooks", waiting_calls_in_hooks},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
