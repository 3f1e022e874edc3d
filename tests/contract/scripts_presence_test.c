/* presence_set, presence_renew, presence_list: who is on a channel.
 * docs/rules.md, R11, R12, row 62. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "test.h"

static struct sr sr;
/* Three nodes, no grace. */
static void setup(void) {
  sr_fresh(&sr, sr_cluster_scripts);
  sr_beat(&sr, BOOT_A, 1);
  sr_beat(&sr, BOOT_B, 1);
  sr_beat(&sr, BOOT_C, 1);
  sr_age(&sr, "!grace", 1);
}

static bool set(const char *boot, const char *member, const char *count,
                const char *info, const char *total) {
  char rows[64];
  snprintf(rows, sizeof(rows), "w:{0}:pr:ch:%s", boot);
  return sr_is(
      sr_eval(&sr, wwri_script_presence_set,
              LIST("w:{0}:gen", rows, "w:{0}:pi:ch"),
              LIST(boot, "1", total, "60000", "0", member, count, info)),
      "ok");
}

static const struct sr_answer *list(const char *most) {
  return sr_eval(&sr, wwri_script_presence_list,
                 LIST("w:{0}:nodes", "w:{0}:pi:ch"),
                 LIST("w:{0}:pr:ch:", "30000", most));
}

static int64_t ttl_of(const char *key) {
  return strtoll(sr_ask(&sr, "PTTL %s", key), NULL, 10);
}

static void test_set_and_list(void) {
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 0 0"));
  CU_ASSERT_TRUE(set(BOOT_A, "ann", "2", "the info", "2"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 2 0 ann 2 the info"));
  CU_ASSERT_TRUE(set(BOOT_A, "ann", "2", "the info", "2")); /* again */
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 2 0 ann 2 the info"));
  CU_ASSERT_TRUE(set(BOOT_A, "ann", "1", "", "1"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 1 0 ann 1 "));
  CU_ASSERT_TRUE(set(BOOT_A, "", "4", "no name", "5"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 5 0 ann 1   4 no name"));
  CU_ASSERT(ttl_of("w:{0}:pr:ch:" BOOT_A) > 30000);
  CU_ASSERT(ttl_of("w:{0}:pi:ch") > 30000);
}

static void test_none_left(void) {
  set(BOOT_A, "ann", "2", "x", "3");
  set(BOOT_A, "bob", "1", "x", "3");
  CU_ASSERT_TRUE(set(BOOT_A, "ann", "0", "", "1"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 1 0 bob 1 x"));
  CU_ASSERT_TRUE(set(BOOT_A, "bob", "0", "", "0"));
  CU_ASSERT_TRUE(set(BOOT_A, "bob", "0", "", "0"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 0 0"));
  CU_ASSERT_STRING_EQUAL(
      sr_ask(&sr, "EXISTS w:{0}:pi:ch w:{0}:pr:ch:%s", BOOT_A), "0");
}

static void test_sum_over_nodes(void) {
  set(BOOT_A, "ann", "2", "on a", "2");
  set(BOOT_B, "ann", "3", "on b", "7");
  set(BOOT_B, "bob", "4", "on b", "7");
  const struct sr_answer *answer = list("10");
  CU_ASSERT_EQUAL(answer->count, 9);
  CU_ASSERT_EQUAL(sr_number(answer, 1), 9);
  CU_ASSERT_EQUAL(sr_number(answer, 2), 0);
  size_t ann = strcmp(sr_text(answer, 3), "ann") == 0 ? 3 : 6;
  CU_ASSERT_STRING_EQUAL(sr_text(answer, ann), "ann");
  CU_ASSERT_EQUAL(sr_number(answer, ann + 1), 5);
  CU_ASSERT_EQUAL(sr_number(answer, 9 - ann + 1), 4);
  CU_ASSERT_TRUE(sr_is(list("0"), "ok 9 0"));
}

/* Members and infos are anybody's bytes. */
static void test_binary(void) {
  const char member[] = "a\0 b\n\xff";
  const char info[] = "1 2\n\0 ";
  const struct wwr_view argv[] = {wwr_view_str("w:{0}:gen"),
                                  wwr_view_str("w:{0}:pr:ch:" BOOT_A),
                                  wwr_view_str("w:{0}:pi:ch"),
                                  wwr_view_str(BOOT_A),
                                  wwr_view_str("1"),
                                  wwr_view_str("1"),
                                  wwr_view_str("60000"),
                                  wwr_view_str("0"),
                                  {(const uint8_t *)member, sizeof(member)},
                                  wwr_view_str("1"),
                                  {(const uint8_t *)info, sizeof(info)}};
  CU_ASSERT_TRUE(
      sr_is(sr_eval_views(&sr, wwri_script_presence_set, argv, 11, 3), "ok"));
  const struct sr_answer *answer = list("10");
  CU_ASSERT_EQUAL_FATAL(answer->count, 6);
  CU_ASSERT_TRUE(wwr_view_equal(answer->values[3], argv[8]));
  CU_ASSERT_TRUE(wwr_view_equal(answer->values[5], argv[10]));
}

static void test_too_many(void) {
  char member[16], total[16];
  for (unsigned i = 0; i < 200; i++) {
    snprintf(member, sizeof(member), "m%u", i);
    snprintf(total, sizeof(total), "%u", i + 1);
    set(BOOT_A, member, "1", "", total);
  }
  const struct sr_answer *answer = list("50");
  CU_ASSERT_EQUAL(answer->count, 3 + 150);
  CU_ASSERT_EQUAL(sr_number(answer, 1), 200);
  CU_ASSERT_EQUAL(sr_number(answer, 2), 1);
  answer = list("200");
  CU_ASSERT_EQUAL(answer->count, 3 + 600);
  CU_ASSERT_EQUAL(sr_number(answer, 2), 0);
  set(BOOT_B, "m0", "1", "", "1"); /* known: there is room for it */
  answer = list("200");
  CU_ASSERT_EQUAL(sr_number(answer, 1), 201);
  CU_ASSERT_EQUAL(sr_number(answer, 2), 0);
  set(BOOT_B, "another", "1", "", "2");
  answer = list("200");
  CU_ASSERT_EQUAL(answer->count, 3 + 600);
  CU_ASSERT_EQUAL(sr_number(answer, 2), 1);
}

static void test_dead_node(void) {
  set(BOOT_A, "ann", "1", "", "1");
  set(BOOT_B, "bob", "2", "", "2");
  sr_age(&sr, BOOT_B, SR_LEASE_MS + 1000);
  sr_age(&sr, "!grace",
         -5000); /* in grace nobody is dead, and nothing dropped */
  CU_ASSERT_EQUAL(sr_number(list("10"), 1), 3);
  CU_ASSERT_EQUAL(sr_number(list("10"), 1), 3);
  sr_age(&sr, "!grace", 1);
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 1 0 ann 1 "));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:pr:ch:%s", BOOT_B), "0");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZCARD w:{0}:pi:ch"), "1");
}

/* One that said bye is gone at once, also in a grace. */
static void test_node_that_left(void) {
  set(BOOT_A, "ann", "1", "", "1");
  set(BOOT_B, "bob", "2", "", "2");
  sr_age(&sr, "!grace", -5000);
  sr_eval(&sr, wwri_script_bye,
          LIST("w:{0}:gen", "w:{0}:nodes", "w:{0}:node:" BOOT_B),
          LIST(BOOT_B, "30000"));
  CU_ASSERT_TRUE(sr_is(list("0"), "ok 1 0"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:pr:ch:%s", BOOT_B), "0");
}

static const struct sr_answer *set_two(const char *connection,
                                       const char *replace) {
  return sr_eval(&sr, wwri_script_presence_set,
                 LIST("w:{0}:gen", "w:{0}:pr:ch:" BOOT_A, "w:{0}:pi:ch"),
                 LIST(BOOT_A, connection, "5", "60000", replace, "ann", "2",
                      "x", "bob", "3", "y"));
}

static void test_many_at_once(void) {
  set(BOOT_A, "eve", "1", "", "1");
  CU_ASSERT_TRUE(sr_is(set_two("1", "0"), "ok"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 5 0 eve 1  ann 2 x bob 3 y"));
  CU_ASSERT_TRUE(sr_is(set_two("1", "1"), "ok"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 5 0 ann 2 x bob 3 y"));
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_presence_set,
                    LIST("w:{0}:gen", "w:{0}:pr:ch:" BOOT_A, "w:{0}:pi:ch"),
                    LIST(BOOT_A, "1", "0", "60000", "1")),
            "ok"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 0 0"));
}

static void test_late_commands(void) {
  set(BOOT_A, "eve", "1", "", "1");
  CU_ASSERT_TRUE(sr_is(set_two("2", "1"), "nogen"));
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 1 0 eve 1 "));
  sr_ask(&sr, "DEL w:{0}:gen");
  CU_ASSERT_TRUE(sr_is(set_two("1", "1"), "nogen"));
}

static void test_renew(void) {
  const char *const keys[] = {"w:{0}:pr:ch:" BOOT_A,
                              "w:{0}:pi:ch",
                              "w:{0}:pr:none:" BOOT_A,
                              "w:{0}:pi:none",
                              "w:{0}:pr:ch:" BOOT_B,
                              "w:{0}:pi:ch",
                              NULL};
  set(BOOT_A, "ann", "2", "", "2");
  sr_ask(&sr, "PEXPIRE w:{0}:pr:ch:%s 5000", BOOT_A);
  sr_ask(&sr, "PEXPIRE w:{0}:pi:ch 5000");
  CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_script_presence_renew, keys,
                               LIST(BOOT_A, "60000", "2", "1", "0")),
                       "ok 2 3"));
  CU_ASSERT(ttl_of("w:{0}:pr:ch:" BOOT_A) > 30000);
  CU_ASSERT(ttl_of("w:{0}:pi:ch") > 30000);
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_presence_renew, LIST(keys[0], keys[1]),
                    LIST(BOOT_A, "60000", "3")),
            "ok 1")); /* the sum is another */
  sr_ask(&sr, "ZREM w:{0}:pi:ch %s", BOOT_A);
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_presence_renew, LIST(keys[0], keys[1]),
                    LIST(BOOT_A, "60000", "2")),
            "ok 1"));
  CU_ASSERT_TRUE(set(BOOT_A, "ann", "2", "", "2"));
  sr_ask(&sr, "DEL w:{0}:pr:ch:%s", BOOT_A);
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_presence_renew, LIST(keys[0], keys[1]),
                    LIST(BOOT_A, "60000", "2")),
            "ok 1"));
}

static void test_wrong_types(void) {
  static const char *const keys[] = {("pr:ch:" BOOT_A), "pi:ch", "nodes"};
  const struct sr_answer *answer;
  for (size_t i = 0; i < 3; i++) {
    setup();
    sr_ask(&sr, "DEL w:{0}:%s", keys[i]);
    sr_ask(&sr, "SET w:{0}:%s theirs", keys[i]);
    answer = set_two("1", "1");
    if (i < 2) {
      CU_ASSERT_TRUE(sr_refused(answer, "WRONGTYPE"));
      CU_ASSERT_STRING_EQUAL(
          sr_ask(&sr, "EXISTS w:{0}:pi:ch w:{0}:pr:ch:%s", BOOT_A), "1");
      CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_script_presence_renew,
                                   LIST("w:{0}:pr:ch:" BOOT_A, "w:{0}:pi:ch"),
                                   LIST(BOOT_A, "60000", "1")),
                           "ok 1"));
    }
    if (i > 0) CU_ASSERT_TRUE(sr_refused(list("10"), "WRONGTYPE"));
    CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "GET w:{0}:%s", keys[i]), "theirs");
  }
}

/* Rows of a node that are something else are left out, and that is said. */
static void test_strange_rows(void) {
  set(BOOT_A, "ann", "1", "", "1");
  set(BOOT_B, "bob", "2", "", "2");
  sr_ask(&sr, "HSET w:{0}:pr:ch:%s bob x", BOOT_B);
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 3 1 ann 1 "));
  sr_ask(&sr, "SET w:{0}:pr:ch:%s theirs", BOOT_B);
  CU_ASSERT_TRUE(sr_is(list("10"), "ok 3 0 ann 1 "));
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo tests[] = {{"set and list", test_set_and_list},
                         {"none left", test_none_left},
                         {"sum over nodes", test_sum_over_nodes},
                         {"binary", test_binary},
                         {"too many", test_too_many},
                         {"dead node", test_dead_node},
                         {"node that left", test_node_that_left},
                         {"many at once", test_many_at_once},
                         {"late commands", test_late_commands},
                         {"renew", test_renew},
                         {"wrong types", test_wrong_types},
                         {"strange rows", test_strange_rows},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"presence", NULL, NULL, setup, NULL, tests},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  if (sr.texts) sr_end(&sr);
  return status;
}
