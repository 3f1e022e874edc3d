/* Sessions while Redis, or a node, is in trouble. docs/rules.md, rows 45 to 61.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redisstore_rig.h"

enum { MANY = 300 };

static const char *key_of(unsigned i) {
  static char key[16];
  snprintf(key, sizeof key, "key-%u", i);
  return key;
}

/* --- Redis away --------------------------------------------------------- */

/* Row 59, DESIGN 7: shorter than the hold: nobody notices but by waiting. */
static void stopped_for_less_than_the_hold(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  static struct rs_op ops[MANY];
  for (unsigned i = 0; i < MANY; i++) rs_create(a, key_of(i));
  CU_ASSERT_EQUAL(rs_create(a, "leaving"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "killed"), WWR_OK);
  redis_signal(&rs.servers[0], SIGSTOP);
  struct rs_op leave, kill, create;
  for (unsigned i = 0; i < MANY; i++) {
    rs_begin_attach(b, &ops[i], key_of(i), 0);
  }
  rs_begin_leave(a, &leave, "leaving");
  rs_begin_kill(b, &kill, "killed");
  rs_begin_create(b, &create, "new", NULL);
  rs_wait_ms(4000); /* longer than the links wait for beats */
  CU_ASSERT_FALSE(rs_is_done(&ops[0]));
  redis_signal(&rs.servers[0], SIGCONT);
  for (unsigned i = 0; i < MANY; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_OK);
    wwr_session_unref(ops[i].session);
  }
  CU_ASSERT_EQUAL(rs_end(&leave), WWR_OK);
  CU_ASSERT_EQUAL(rs_end(&kill), WWR_OK);
  CU_ASSERT_EQUAL(rs_end(&create), WWR_OK);
  for (unsigned i = 0; i < MANY; i += 50) {
    CU_ASSERT_STRING_EQUAL(rs_places(a, key_of(i)), "first=1 second=1");
  }
  CU_ASSERT_EQUAL(rs_attach(b, "leaving", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_attach(b, "killed", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "new"), "second=1");
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_EQUAL(rs_count(&a->closed), 1);
  CU_ASSERT_EQUAL(rs_count(&a->evicted) + rs_count(&b->evicted), 0);
}

/* Longer: told so, and what can't be taken back is made up for. */
static void stopped_for_longer_than_the_hold(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "leaving"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "killed"), WWR_OK);
  redis_signal(&rs.servers[0], SIGSTOP);
  struct rs_op attach, leave, kill, create;
  uint64_t start = rs_now_ms();
  rs_begin_attach(b, &attach, "abc", 0);
  rs_begin_leave(a, &leave, "leaving");
  rs_begin_kill(b, &kill, "killed");
  rs_begin_create(b, &create, "new", NULL);
  CU_ASSERT_EQUAL(rs_end(&attach), WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(rs_end(&leave), WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(rs_end(&kill), WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(rs_end(&create), WWR_E_UNAVAILABLE);
  CU_ASSERT(rs_now_ms() - start >= 1990);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "unavailable");
  redis_signal(&rs.servers[0], SIGCONT);
  rs_wait_ready(a, true);
  rs_wait_ready(b, true);
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", "leaving", "0"));
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", "killed", "0"));
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", "new", "1"));
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_STRING_EQUAL(a->last_closed, "killed");
  CU_ASSERT_EQUAL(rs_leave(b, "new"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "new", 0), WWR_E_SESSION_NOT_FOUND);
  /* The attach that was perhaps executed has left no count. */
  CU_ASSERT_TRUE(rs_places_become(b, "abc", "first=1"));
}

/* Restarted from its file: a generation, and nothing is lost. */
static void restarted_with_its_data(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "closed"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_leave(a, "closed"), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&rs.servers[0], "SAVE", NULL, 0));
  redis_kill(&rs.servers[0]);
  struct rs_op op;
  rs_begin_attach(b, &op, "abc", 3);
  CU_ASSERT_TRUE_FATAL(redis_start(&rs.servers[0]));
  CU_ASSERT_EQUAL(rs_end(&op), WWR_OK);
  wwr_session_unref(op.session);
  CU_ASSERT_TRUE(rs_places_become(a, "abc", "first=1 second=2"));
  CU_ASSERT_EQUAL(rs_attach(a, "closed", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&a->closed) + rs_count(&b->closed), 0);
}

/* Row 57: the sessions that are connected are put back, with their counts; who
 * was closed stays closed. */
static void restarted_without_its_data(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "idle"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "closed"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 3), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 3), WWR_OK);
  CU_ASSERT_EQUAL(rs_leave(a, "closed"), WWR_OK);
  redis_kill(&rs.servers[0]);
  char line[200];
  snprintf(line, sizeof line, "%s/dump.rdb", rs.servers[0].dir);
  remove(line);
  CU_ASSERT_TRUE_FATAL(redis_start(&rs.servers[0]));
  rs_wait_ready(a, true);
  rs_wait_ready(b, true);
  CU_ASSERT_TRUE(rs_places_become(a, "abc", "first=1 second=2"));
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 3), WWR_E_MAX_SESSION_CONNS);
  CU_ASSERT_TRUE(rs_places_become(b, "idle", "first=1"));
  CU_ASSERT_EQUAL(rs_attach(b, "closed", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&a->closed) + rs_count(&b->closed), 0);
}

static void restarted_without_its_data_and_told_to_close(void) {
  struct rs_node *a = rs_node(0);
  a->opts.hold_ms = 20000;
  a->opts.lease_ms = 40000;
  a->opts.recreate_sessions = false;
  rs_open(a);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  redis_kill(&rs.servers[0]);
  char line[200];
  snprintf(line, sizeof line, "%s/dump.rdb", rs.servers[0].dir);
  remove(line);
  CU_ASSERT_TRUE_FATAL(redis_start(&rs.servers[0]));
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 3), WWR_E_SESSION_NOT_FOUND);
}

/* --- Leases ------------------------------------------------------------- */

/* Make it look as if the first node had not beaten for long. */
static void silence_first(void) {
  char boots[400], time[64];
  redis_run(&rs.servers[0], "TIME", time, sizeof time);
  long long seconds = strtoll(time, NULL, 10);
  redis_run(&rs.servers[0], "ZREM wwr:{0}:nodes !grace", NULL, 0);
  redis_run(&rs.servers[0], "HKEYS wwr:{0}:gen", boots, sizeof boots);
  /* k:BOOT of each; the first node's is known by its name. */
  for (char *at = boots; (at = strstr(at, "k:")); at++) {
    char line[200], name[64] = "";
    snprintf(line, sizeof line, "HGET wwr:{0}:node:%.32s name", at + 2);
    redis_run(&rs.servers[0], line, name, sizeof name);
    if (strcmp(name, "first") != 0) continue;
    snprintf(line, sizeof line, "ZADD wwr:{0}:nodes %lld %.32s",
             seconds * 1000 - 20000, at + 2);
    redis_run(&rs.servers[0], line, NULL, 0);
  }
}

/* Rows 45, 47: its place is taken; it comes back, and closes its connection. */
static void a_silent_node_loses_its_places(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "shared", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_create(a, "free"), WWR_OK);
  wwr_err err = WWR_E_MAX_SESSION_CONNS;
  for (unsigned i = 0; i < 1000 && err == WWR_E_MAX_SESSION_CONNS; i++) {
    silence_first();
    err = rs_attach(b, "abc", 1);
  }
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->evicted, 1));
  CU_ASSERT_STRING_EQUAL(a->last_evicted, "abc");
  rs_detach(a, "abc");
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abc"), "second=1");
  rs_wait_ready(a, true);
  CU_ASSERT_TRUE(rs_places_become(a, "free", "first=1"));
  CU_ASSERT_EQUAL(rs_count(&a->closed), 0);
}

static void destroyed_while_it_was_silent(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  bool destroyed = false;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  for (unsigned i = 0; i < 1000 && !destroyed; i++) {
    CU_ASSERT_EQUAL_FATAL(rs_attach(b, "abc", 0), WWR_OK);
    silence_first();
    CU_ASSERT_EQUAL(rs_leave(b, "abc"), WWR_OK);
    destroyed = strcmp(rs_ask("HEXISTS %s v", "abc"), "0") == 0;
  }
  CU_ASSERT_TRUE(destroyed);
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_STRING_EQUAL(a->last_closed, "abc");
}

/* --- Memory, garbage ---------------------------------------------------- */

static void out_of_memory(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_TRUE(redis_run(&rs.servers[0], "CONFIG SET maxmemory 1", NULL, 0));
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_send(a, "abc", "hello"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&b->received, 1));
  CU_ASSERT_EQUAL(rs_leave(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_kill(a, "abc"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&b->closed, 1));
  CU_ASSERT_TRUE(redis_run(&rs.servers[0], "CONFIG SET maxmemory 0", NULL, 0));
}

static void garbage_is_a_clear_error(void) {
  struct rs_node *a = rs_up(0);
  rs_ask("SET %s text", "string");
  CU_ASSERT_EQUAL(rs_attach(a, "string", 0), WWR_E_INTERNAL);
  CU_ASSERT_TRUE(rs_logged("garbage among the sessions error=WRONGTYPE"));
  CU_ASSERT_EQUAL(rs_create(a, "string"), WWR_E_INTERNAL);
  CU_ASSERT_EQUAL(rs_kill(a, "string"), WWR_E_INTERNAL);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "string"), "internal");
  CU_ASSERT_EQUAL(rs_send(a, "string", "x"), WWR_E_INTERNAL);
  CU_ASSERT_STRING_EQUAL(rs_ask("GET %s", "string"), "text");
  static const char *const bad[] = {"{", "[]", "null", "{\"c\":5}", "x"};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    char line[100];
    snprintf(line, sizeof line, "HSET %%s v 0123456789abcdef l 5 j %s", bad[i]);
    rs_ask(line, "json");
    CU_ASSERT_EQUAL(rs_attach(a, "json", 0), WWR_E_INTERNAL);
    CU_ASSERT_TRUE(rs_until("HKEYS %s", "json", "v l j pl max"));
  }
  rs_ask("HSET %s v short", "json");
  CU_ASSERT_EQUAL(rs_attach(a, "json", 0), WWR_E_INTERNAL);
  rs_ask("HSET %s some thing", "nothing");
  CU_ASSERT_EQUAL(rs_attach(a, "nothing", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_create(a, "nothing"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "nothing", 0), WWR_OK);
}

/* Whoever deletes a session that is connected: it is gone. */
static void deleted_by_hand(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_ask("DEL %s", "abc");
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
}

/* --- The end ------------------------------------------------------------ */

static void a_graceful_stop_leaves_no_counts(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  for (unsigned i = 0; i < MANY; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i)), WWR_OK);
  }
  CU_ASSERT_EQUAL(rs_attach(b, key_of(0), 0), WWR_OK);
  rs_down(a);
  for (unsigned i = 1; i < MANY; i++) {
    CU_ASSERT_STRING_EQUAL(rs_ask("HKEYS %s", key_of(i)), "v j l");
  }
  CU_ASSERT_STRING_EQUAL(rs_places(b, key_of(0)), "second=1");
  CU_ASSERT_EQUAL(rs_count(&b->closed), 0);
}

static void stopping_while_redis_is_away(void) {
  struct rs_node *a = rs_patient(0);
  struct rs_op op;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  redis_signal(&rs.servers[0], SIGSTOP);
  uint64_t start = rs_now_ms();
  rs_begin_attach(a, &op, "abc", 0);
  rs_down(a);
  CU_ASSERT_EQUAL(rs_end(&op), WWR_E_CLOSED);
  CU_ASSERT(rs_now_ms() - start < 15000);
  redis_signal(&rs.servers[0], SIGCONT);
}

/* Never opened: nothing hangs. */
static void a_store_that_never_started(void) {
  struct rs_node *a = rs_node(0);
  struct rs_op op;
  a->opts.hold_ms = 100;
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&a->cluster, &a->opts, NULL), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_redisstore_new(&a->store, a->cluster), WWR_OK);
  rs_begin_attach(a, &op, "abc", 0);
  CU_ASSERT_EQUAL(rs_end(&op), WWR_E_UNAVAILABLE);
  a->store->ops->free(a->store);
  wwr_cluster_free(a->cluster);
  a->cluster = NULL;
}

static CU_TestInfo tests[] = {
    {"stopped_for_less_than_the_hold", stopped_for_less_than_the_hold},
    {"stopped_for_longer_than_the_hold", stopped_for_longer_than_the_hold},
    {"restarted_with_its_data", restarted_with_its_data},
    {"restarted_without_its_data", restarted_without_its_data},
    {"restarted_without_its_data_and_told_to_close",
     restarted_without_its_data_and_told_to_close},
    {"a_silent_node_loses_its_places", a_silent_node_loses_its_places},
    {"destroyed_while_it_was_silent", destroyed_while_it_was_silent},
    {"out_of_memory", out_of_memory},
    {"garbage_is_a_clear_error", garbage_is_a_clear_error},
    {"deleted_by_hand", deleted_by_hand},
    {"a_graceful_stop_leaves_no_counts", a_graceful_stop_leaves_no_counts},
    {"stopping_while_redis_is_away", stopping_while_redis_is_away},
    {"a_store_that_never_started", a_store_that_never_started},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/faults", NULL, NULL, rs_set_up, rs_tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  static const char *const args[] = {"--save", "", NULL};
  if (!redis_available()) return 77;
  if (!rs_begin(RS_ONE, args)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
