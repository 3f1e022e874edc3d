/* Sessions in a real Redis, on two and three nodes in this process: what is
 * decided for all of them together. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redisstore_rig.h"

static void restored_on_another_node(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  struct rs_op op;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_begin_attach(b, &op, "abc", 0);
  CU_ASSERT_EQUAL_FATAL(rs_end(&op), WWR_OK);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(op.session), "abc");
  CU_ASSERT_STRING_EQUAL(wwr_session_info(op.session), "{\"n\":1}");
  CU_ASSERT_EQUAL(wwr_session_created(op.session), 1000);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(op.session), 2000);
  wwr_session_unref(op.session);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "first=1 second=1");
  CU_ASSERT_EQUAL(rs_attach(b, "abd", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abd"), "session-not-found");
}

static void the_last_one_out_destroys(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_leave(a, "abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abc"), "second=1");
  CU_ASSERT_EQUAL(rs_leave(b, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&a->closed) + rs_count(&b->closed), 0);
}

static void a_disconnect_destroys_nothing(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_detach(a, "abc");
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "");
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 1), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 1), WWR_E_MAX_SESSION_CONNS);
}

static void closed_by_key_everywhere(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1), *c = rs_up(2);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "other"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_kill(c, "abc"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_TRUE(rs_wait(&b->closed, 1));
  CU_ASSERT_STRING_EQUAL(a->last_closed, "abc");
  CU_ASSERT_STRING_EQUAL(b->last_closed, "abc");
  CU_ASSERT_EQUAL(rs_attach(c, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_STRING_EQUAL(rs_places(c, "other"), "first=1");
}

/* PROTOCOL: with no connections the store is untouched. */
static void who_is_nowhere_is_not_closed_by_key(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_detach(a, "abc");
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "");
  CU_ASSERT_EQUAL(rs_kill(b, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  /* As a server does that closes by key: */
  rs_detach(b, "abc");
  CU_ASSERT_EQUAL(rs_kill(b, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_E_SESSION_NOT_FOUND);
}

static void bytes_reach_every_holder(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1), *c = rs_up(2);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_send(c, "abc", "hello"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->received, 1));
  CU_ASSERT_TRUE(rs_wait(&b->received, 1));
  CU_ASSERT_STRING_EQUAL(a->last_received, "abc: hello");
  CU_ASSERT_STRING_EQUAL(b->last_received, "abc: hello");
  CU_ASSERT_EQUAL(rs_send(a, "abd", "hello"), WWR_E_SESSION_NOT_FOUND);
  rs_detach(a, "abc");
  rs_detach(b, "abc");
  rs_places(a, "abc"); /* behind the detach of the same node */
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abc"), "");
  CU_ASSERT_EQUAL(rs_send(c, "abc", "hello"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&c->received), 0);
}

/* --- Limits ------------------------------------------------------------- */

enum { RACE = 60, MAX = 7, WAVE = 10000 };

/* All at once, on two nodes: exactly so many get in. */
static void the_limit_is_kept(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  static struct rs_op ops[RACE];
  unsigned in = 0, full = 0;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  for (unsigned i = 0; i < RACE; i++) {
    rs_begin_attach(i % 2 ? a : b, &ops[i], "abc", MAX);
  }
  for (unsigned i = 0; i < RACE; i++) {
    wwr_err err = rs_end(&ops[i]);
    in += err == WWR_OK;
    full += err == WWR_E_MAX_SESSION_CONNS;
    wwr_session_unref(ops[i].session);
  }
  CU_ASSERT_EQUAL(in, MAX - 1);
  CU_ASSERT_EQUAL(full, RACE - (MAX - 1));
  CU_ASSERT_EQUAL(rs_leave(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", MAX), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", MAX), WWR_E_MAX_SESSION_CONNS);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_OK); /* no limit */
}

static uint64_t now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static double redis_cpu(const char *key) {
  char info[2048];
  redis_run(rs_server(key), "INFO cpu", info, sizeof info);
  const char *user = strstr(info, "used_cpu_user:");
  const char *sys = strstr(info, "used_cpu_sys:");
  CU_ASSERT_FATAL(user && sys);
  return strtod(user + 14, NULL) + strtod(sys + 13, NULL);
}

static void key_of(unsigned i, char out[16]) {
  snprintf(out, 16, "wave-%u", i);
}

/* A node has died: its clients restore their sessions on another. */
static void a_wave_of_restores_is_absorbed(void) {
  struct rs_node *a = rs_node(0), *b = rs_node(1);
  static struct rs_op ops[WAVE];
  char key[16];
  a->opts.hold_ms = b->opts.hold_ms = 60000;
  a->opts.lease_ms = b->opts.lease_ms = 120000;
  rs_open(a);
  rs_open(b);
  for (unsigned i = 0; i < WAVE; i++) {
    key_of(i, key);
    rs_begin_create(a, &ops[i], key, "{\"user\":\"somebody\"}");
  }
  for (unsigned i = 0; i < WAVE; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_OK);
  }
  double cpu = redis_cpu("wave-0");
  uint64_t start = now_ms();
  for (unsigned i = 0; i < WAVE; i++) {
    key_of(i, key);
    rs_begin_attach(b, &ops[i], key, 5);
  }
  for (unsigned i = 0; i < WAVE; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_OK);
    wwr_session_unref(ops[i].session);
  }
  unsigned shards = rs.mode == RS_ONE ? 1 : RS_SHARDS; /* even ones */
  printf("(%u restores: %llu ms, Redis %.0f us each) ", WAVE,
         (unsigned long long)(now_ms() - start),
         (redis_cpu("wave-0") - cpu) * 1e6 * shards / (double)WAVE);
  for (unsigned i = 0; i < WAVE; i++) {
    key_of(i, key);
    rs_detach(b, key);
  }
  CU_ASSERT_STRING_EQUAL(rs_places(b, key), "first=1");
}

/* Row 60: over the ceiling nobody waits. */
static void restores_that_wait_are_limited(void) {
  struct rs_node *a = rs_node(0);
  struct rs_op ops[3];
  a->opts.max_held = 2;
  rs_open(a);
  struct redis_server *server = rs_server("abc");
  redis_signal(server, SIGSTOP);
  for (unsigned i = 0; i < 3; i++) rs_begin_attach(a, &ops[i], "abc", 0);
  CU_ASSERT_EQUAL(rs_end(&ops[2]), WWR_E_LIMIT);
  CU_ASSERT_EQUAL(rs_end(&ops[0]), WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(rs_end(&ops[1]), WWR_E_UNAVAILABLE);
  redis_signal(server, SIGCONT);
}

/* --- Keys, expiry ------------------------------------------------------- */

static void hostile_keys_are_not_found(void) {
  static const char *const keys[] = {"",     "*",     "a b",    "{abc}",
                                     "../x", "abc\n", "a:b",    "\xc3\xa4",
                                     "abc ", "$(id)", "abc%00", "a,b"};
  struct rs_node *a = rs_up(0);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
    CU_ASSERT_EQUAL(rs_attach(a, keys[i], 0), WWR_E_SESSION_NOT_FOUND);
    CU_ASSERT_EQUAL(rs_leave(a, keys[i]), WWR_OK);
    CU_ASSERT_EQUAL(rs_kill(a, keys[i]), WWR_OK);
    CU_ASSERT_EQUAL(rs_send(a, keys[i], "x"), WWR_E_SESSION_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(rs_places(a, keys[i]), "session-not-found");
    rs_detach(a, keys[i]);
  }
  CU_ASSERT_STRING_EQUAL(rs_ask("KEYS *:s:*", "abc"), rs_name("abc"));
}

/* Neither the key nor what it was looked for by is in Redis in the clear. */
static void keys_are_hashed(void) {
  struct rs_node *a = rs_up(0);
  CU_ASSERT_EQUAL(rs_create(a, "secret-key"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(rs_ask("HGET %s j", "secret-key"),
                         "{\"c\":\"1970-01-01T00:00:00.000001Z\","
                         "\"i\":{\"n\":1}}");
}

static void the_expiry_slides(void) {
  struct rs_node *a = rs_node(0);
  a->opts.session_ttl_ms = 60000;
  rs_open(a);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT(strtol(rs_ask("PTTL %s", "abc"), NULL, 10) > 30000);
  rs_ask("PEXPIRE %s 10000", "abc");
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_OK);
  CU_ASSERT(strtol(rs_ask("PTTL %s", "abc"), NULL, 10) > 30000);
  rs_ask("PEXPIRE %s 10000", "abc");
  rs_detach(a, "abc");
  rs_places(a, "abc");
  CU_ASSERT(strtol(rs_ask("PTTL %s", "abc"), NULL, 10) > 30000);
  CU_ASSERT(strtol(rs_ask("PTTL %s", "abc"), NULL, 10) <= 60000);
}

static void the_previous_look_up_is_given(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  struct rs_op first, second;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_begin_attach(b, &first, "abc", 0);
  CU_ASSERT_EQUAL_FATAL(rs_end(&first), WWR_OK);
  rs_begin_attach(a, &second, "abc", 0);
  CU_ASSERT_EQUAL_FATAL(rs_end(&second), WWR_OK);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(first.session), 2000);
  CU_ASSERT(wwr_session_last_lookup(second.session) > 1000000000000000000);
  wwr_session_unref(first.session);
  wwr_session_unref(second.session);
}

static void one_key_one_session(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_E_EXISTS);
  CU_ASSERT_EQUAL(rs_create(b, "abc"), WWR_E_EXISTS);
  CU_ASSERT_EQUAL(rs_leave(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(b, "abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "second=1");
}

static void too_long_to_send(void) {
  struct rs_node *a = rs_node(0);
  struct rs_op op;
  const size_t len = (15u << 20) + 1, good = 1u << 20;
  a->opts.hold_ms = 20000;
  a->opts.lease_ms = 40000;
  rs_open(a);
  char *bytes = malloc(len + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  memset(bytes, 'x', len);
  bytes[len] = '\0';
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_begin_send(a, &op, "abc", bytes);
  CU_ASSERT_EQUAL(rs_end(&op), WWR_E_BUFFER_OVERFLOW);
  bytes[good] = '\0';
  rs_begin_send(a, &op, "abc", bytes);
  CU_ASSERT_EQUAL(rs_end(&op), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->received, 1));
  free(bytes);
}

/* --- Memory ------------------------------------------------------------- */

/* The first allocations are the caller's; what fails later fails on the member
 * thread, whose operations then end by another try, or after the hold. */
static void no_memory(void) {
  struct rs_node *a = rs_up(0);
  struct wwr_session *session;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str("abc"), 1, 2, NULL), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  for (long n = 0; n < 6; n++) {
    struct rs_op op;
    test_alloc_fail_at(n);
    rs_begin_attach(a, &op, "abc", 0);
    wwr_err err = rs_end(&op);
    test_alloc_fail_at(-1);
    CU_ASSERT(err == WWR_OK || err == WWR_E_NOMEM || err == WWR_E_UNAVAILABLE);
    if (err == WWR_OK) rs_detach(a, "abc");
    wwr_session_unref(op.session);
  }
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "first=1");
  wwr_session_unref(session);
  struct wwr_cluster *cluster;
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&cluster, &a->opts, NULL), WWR_OK);
  for (long n = 0; n < 2; n++) {
    struct wwr_sessionstore *store = NULL;
    test_alloc_fail_at(n);
    CU_ASSERT_EQUAL(wwr_redisstore_new(&store, cluster), WWR_E_NOMEM);
    CU_ASSERT_TRUE(test_alloc_failed());
    CU_ASSERT_PTR_NULL(store);
  }
  wwr_cluster_free(cluster);
}

static CU_TestInfo tests[] = {
    {"restored_on_another_node", restored_on_another_node},
    {"the_last_one_out_destroys", the_last_one_out_destroys},
    {"a_disconnect_destroys_nothing", a_disconnect_destroys_nothing},
    {"closed_by_key_everywhere", closed_by_key_everywhere},
    {"who_is_nowhere_is_not_closed_by_key",
     who_is_nowhere_is_not_closed_by_key},
    {"bytes_reach_every_holder", bytes_reach_every_holder},
    {"the_limit_is_kept", the_limit_is_kept},
    {"a_wave_of_restores_is_absorbed", a_wave_of_restores_is_absorbed},
    {"restores_that_wait_are_limited", restores_that_wait_are_limited},
    {"hostile_keys_are_not_found", hostile_keys_are_not_found},
    {"keys_are_hashed", keys_are_hashed},
    {"the_expiry_slides", the_expiry_slides},
    {"the_previous_look_up_is_given", the_previous_look_up_is_given},
    {"one_key_one_session", one_key_one_session},
    {"too_long_to_send", too_long_to_send},
    {"no_memory", no_memory},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/nodes", NULL, NULL, rs_set_up, rs_tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  enum rs_mode mode = rs_read_mode(&argc, &argv);
  if (!redis_available()) return 77;
  if (!rs_begin(mode, NULL)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
