/* What the scripts and the nodes believe of Redis (docs/rules.md, marked
 * [ran]), and what happens when its clock is wrong (row 12). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_time.h"
#include "test.h"

static struct sr one, two;
static struct sr_time time_one, time_two;

static void setup(void) {
  sr_start(&one, LIST("--appendonly", "yes"));
}

static void teardown(void) {
  if (one.server.dir[0]) sr_end(&one);
  if (two.server.dir[0]) sr_end(&two);
  if (time_one.us) sr_time_deinit(&time_one);
  if (time_two.us) sr_time_deinit(&time_two);
  time_one.us = time_two.us = NULL;
}

static void follow(struct sr *replica, struct sr *master) {
  sr_ask(replica, "CONFIG SET repl-diskless-sync-delay 0");
  sr_ask(master, "CONFIG SET repl-diskless-sync-delay 0");
  sr_ask(replica, "REPLICAOF 127.0.0.1 %u", master->server.port);
  CU_ASSERT_TRUE_FATAL(redis_until(&replica->server, "INFO replication",
                                   "master_link_status:up"));
  CU_ASSERT_STRING_EQUAL(sr_ask(master, "WAIT 1 10000"), "1");
}

static void start_pair(void) {
  sr_start(&two, NULL);
  follow(&two, &one);
}

static void read_id(struct sr *sr, char id[41]) {
  sr_ask(sr, "INFO replication");
  const char *at = strstr(sr_text(&sr->answer, 0), "master_replid:");
  snprintf(id, 41, "%s", at ? at + 14 : "");
}

/* --- facts -------------------------------------------------------------- */

/* R1: every restart, promotion, and promotion again. */
static void test_replication_id(void) {
  char ids[5][41];
  read_id(&one, ids[0]);
  sr_restart(&one);
  read_id(&one, ids[1]);
  start_pair();
  sr_ask(&two, "REPLICAOF NO ONE");
  read_id(&two, ids[2]);
  follow(&one, &two);
  read_id(&one, ids[4]);
  CU_ASSERT_STRING_EQUAL(ids[4], ids[2]); /* a replica has its master's */
  sr_ask(&one, "REPLICAOF NO ONE");
  read_id(&one, ids[3]);
  for (size_t a = 0; a < 4; a++) {
    CU_ASSERT_EQUAL(strlen(ids[a]), 40);
    for (size_t b = 0; b < a; b++) CU_ASSERT_STRING_NOT_EQUAL(ids[a], ids[b]);
  }
}

/* A plain PUBLISH is taken where nothing may be written. */
static void test_plain_publish_lies(void) {
  start_pair();
  void *listener = sr_listen(&two, "c");
  CU_ASSERT_STRING_EQUAL(sr_ask(&two, "PUBLISH c x"), "1");
  sr_ask(&one, "CONFIG SET maxmemory 1");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "PUBLISH c x"), "0");
  sr_ask(&one, "CONFIG SET maxmemory 0");
  sr_ask(&one, "CONFIG SET min-replicas-to-write 5");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "PUBLISH c x"), "0");
  sr_listen_end(listener);
}

static const struct sr_answer *eval(const char *text) {
  return sr_eval_directly(&one, text, LIST("k", "l"), LIST(NULL));
}

/* Row 35: a script without a shebang publishes, and then fails. */
static void test_only_a_shebang_refuses_whole(void) {
  void *listener = sr_listen(&one, "c");
  sr_ask(&one, "CONFIG SET maxmemory 1");
  const struct sr_answer *answer = eval(
      "redis.call('PUBLISH', 'c', 'legacy') "
      "return redis.call('SET', KEYS[1], 1)");
  CU_ASSERT_PTR_NOT_NULL(strstr(answer->error, "OOM"));
  struct wwr_view heard = sr_heard(listener);
  CU_ASSERT_TRUE(wwr_view_equal(heard, wwr_view_str("legacy")));
  answer = eval(
      "#!lua\nredis.call('PUBLISH', 'c', 'new') "
      "return redis.call('SET', KEYS[1], 1)");
  CU_ASSERT_EQUAL(strncmp(answer->error, "OOM", 3), 0);
  CU_ASSERT_TRUE(sr_heard_nothing(&one, listener, "c"));
  sr_listen_end(listener);
}

/* What was done before an error stays done. */
static void test_no_transaction(void) {
  sr_ask(&one, "SET l theirs");
  const struct sr_answer *answer = eval(
      "#!lua\nredis.call('HSET', KEYS[1], 'a', 1) "
      "return redis.call('XADD', KEYS[2], '*', 'a', 1)");
  CU_ASSERT_EQUAL(strncmp(answer->error, "WRONGTYPE", 9), 0);
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "HGET k a"), "1");
}

/* R1: INFO is allowed in a script, ROLE is not. */
static void test_info_in_scripts(void) {
  CU_ASSERT_STRING_EQUAL(
      eval("#!lua\nreturn redis.call('INFO', 'replication')")->error, "");
  CU_ASSERT_STRING_NOT_EQUAL(eval("#!lua\nreturn redis.call('ROLE')")->error,
                             "");
}

/* R2, rows 7 and 8: how XADD numbers. epoch.lua knows the error by its words.
 */
static void test_numbering(void) {
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XADD l NOMKSTREAM 7-* a b"), "(nil)");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XADD l 7-* a b"), "7-0");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XADD l NOMKSTREAM 7-* a b"), "7-1");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XADD l 9-0 a b"), "9-0");
  CU_ASSERT_PTR_NOT_NULL(
      strstr(sr_ask(&one, "XADD l 7-* a b"), "equal or smaller"));
  CU_ASSERT_PTR_NOT_NULL(
      strstr(sr_ask(&one, "XADD l 9-0 a b"), "equal or smaller"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XRANGE l 7-1 +"), "7-1 a b 9-0 a b");
  sr_ask(&one, "DEL l");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "XADD l 7-* a b"), "7-0"); /* again! */
}

/* Row 30: scripts are loaded by every node on every connection, for a promoted
 * replica has none. */
static void test_scripts_are_not_replicated(void) {
  start_pair();
  eval("return 1");
  const char *const sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "SCRIPT EXISTS %s", sha), "1");
  CU_ASSERT_STRING_EQUAL(sr_ask(&two, "SCRIPT EXISTS %s", sha), "0");
}

/* Row 18: who subscribed to a master that is none any more goes on hearing,
 * from the new one. */
static void test_subscriber_of_a_demoted_master(void) {
  start_pair();
  void *listener = sr_listen(&one, "c");
  sr_ask(&two, "REPLICAOF NO ONE");
  follow(&one, &two);
  CU_ASSERT_STRING_EQUAL(sr_ask(&two, "PUBLISH c replicated"), "0");
  struct wwr_view heard = sr_heard(listener);
  CU_ASSERT_TRUE(wwr_view_equal(heard, wwr_view_str("replicated")));
  sr_listen_end(listener);
}

/* --- clocks ------------------------------------------------------------- */

enum { DAY_MS = 86400000 };
static const uint64_t START_MS = 1900000000000;

/* A master and a replica, each with a clock of its own. */
static bool start_clocks(uint64_t replica_ms) {
  static const char *const args[] = {"--repl-timeout", "100000000",
                                     "--jemalloc-bg-thread", "no", NULL};
  sr_time_init(&time_one, START_MS);
  sr_time_init(&time_two, replica_ms);
  sr_end(&one);
  sr_time_start(&one, &time_one, args);
  if (!sr_time_works(&one, &time_one)) return false;
  sr_time_start(&two, &time_two, args);
  follow(&two, &one);
  return true;
}

static void beat(struct sr *sr, const char *boot, unsigned n) {
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat(sr, boot, n), 0), "ok");
}

static void promote(void) {
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  redis_kill(&one.server);
  sr_ask(&two, "REPLICAOF NO ONE");
}

/* Numbers grow, nobody is dead, the log goes on. */
static void test_new_master_is_behind(void) {
  if (!start_clocks(START_MS - 3600000)) return;
  beat(&one, BOOT_A, 1);
  beat(&one, BOOT_B, 1);
  uint64_t generation = strtoull(sr_text(&one.answer, 1), NULL, 10);
  uint64_t first =
      strtoull(sr_text(sr_publish(&one, "ch", BOOT_A, 1), 1), NULL, 10);
  promote();
  beat(&two, BOOT_A, 2);
  CU_ASSERT(strtoull(sr_text(&two.answer, 1), NULL, 10) > generation);
  CU_ASSERT_EQUAL(sr_number(&two.answer, 4), SR_LEASE_MS);
  uint64_t second =
      strtoull(sr_text(sr_publish(&two, "ch", BOOT_A, 2), 1), NULL, 10);
  CU_ASSERT(second > first);
  CU_ASSERT_STRING_EQUAL(sr_log(&two, "ch"), "!new 1:d1 !generation 1:d2");
  /* The hour that is to come again keeps nobody alive: B is silent now. */
  for (unsigned i = 1; i <= 5; i++) {
    sr_time_set(&time_two, START_MS - 3600000 + i * 10000);
    beat(&two, BOOT_A, 2 + i);
  }
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat(&two, BOOT_B, 2), 0), "fenced");
}

/* Expiry is an absolute time: a day ahead, all logs are gone at once, which is
 * seen: the epoch is another and continues none. */
static void test_new_master_is_ahead(void) {
  if (!start_clocks(START_MS)) return;
  beat(&one, BOOT_A, 1);
  beat(&one, BOOT_B, 1);
  uint64_t generation = strtoull(sr_text(&one.answer, 1), NULL, 10);
  uint64_t first =
      strtoull(sr_text(sr_publish(&one, "ch", BOOT_A, 1), 1), NULL, 10);
  promote();
  sr_time_set(&time_two, START_MS + DAY_MS);
  beat(&two, BOOT_A, 2);
  CU_ASSERT(strtoull(sr_text(&two.answer, 1), NULL, 10) > generation);
  beat(&two, BOOT_B, 2);
  uint64_t second =
      strtoull(sr_text(sr_publish(&two, "ch", BOOT_A, 2), 1), NULL, 10);
  CU_ASSERT(second > first);
  CU_ASSERT_STRING_EQUAL(sr_log(&two, "ch"), "!new 1:d2");
}

/* The same server's clock is set back by an hour: nothing begins anew. */
static void test_clock_is_set_back(void) {
  if (!start_clocks(START_MS)) return;
  beat(&one, BOOT_A, 1);
  beat(&one, BOOT_B, 1);
  char generation[32];
  snprintf(generation, sizeof(generation), "%s", sr_text(&one.answer, 1));
  sr_publish(&one, "ch", BOOT_A, 1);
  sr_time_set(&time_one, START_MS - 3600000);
  beat(&one, BOOT_A, 2);
  CU_ASSERT_STRING_EQUAL(sr_text(&one.answer, 1), generation);
  beat(&one, BOOT_B, 2);
  sr_publish(&one, "ch", BOOT_A, 2);
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"), "!new 1:d1 2:d2");
  /* ... until both are evicted: then the number is smaller, and another. */
  char before[48];
  sr_entry_id(&one, "ch", 2, before);
  sr_ask(&one, "DEL w:{0}:m:ch w:{0}:l:ch");
  CU_ASSERT(strtoull(sr_text(sr_publish(&one, "ch", BOOT_A, 3), 1), NULL, 10) !=
            strtoull(before, NULL, 10));
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo facts[] = {{"replication id", test_replication_id},
                         {"plain publish", test_plain_publish_lies},
                         {"shebang", test_only_a_shebang_refuses_whole},
                         {"no transaction", test_no_transaction},
                         {"info", test_info_in_scripts},
                         {"numbering", test_numbering},
                         {"script cache", test_scripts_are_not_replicated},
                         {"demoted", test_subscriber_of_a_demoted_master},
                         CU_TEST_INFO_NULL};
  CU_TestInfo clocks[] = {{"master behind", test_new_master_is_behind},
                          {"master ahead", test_new_master_is_ahead},
                          {"set back", test_clock_is_set_back},
                          CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"facts", NULL, NULL, setup, teardown, facts},
                           {"clocks", NULL, NULL, setup, teardown, clocks},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
