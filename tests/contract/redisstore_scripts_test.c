/* The scripts of sessions by themselves: what they refuse, and who counts.
 * docs/rules.md, R6, R11 to R13, rows 45 to 47, 51, 55, 56, 58. Time passes by
 * moving what is stored. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "session_scripts.h"
#include "test.h"

#define S  "w:{0}:s:one"
#define V1 "0000000000000001"
#define V2 "0000000000000002"

static struct sr sr;
static const char *const texts[] = {
    wwri_session_script_create, wwri_session_script_attach,
    wwri_session_script_leave,  wwri_session_script_kill,
    wwri_session_script_touch,  wwri_session_script_places,
    wwri_session_script_send,   NULL};

static void setup(void) {
  sr_fresh(&sr, texts);
  sr_ask(&sr, "HSET w:{0}:gen n 1700000000000000001 k:" BOOT_A " 3 k:" BOOT_B
              " 1 k:" BOOT_C " 1");
  sr_age(&sr, BOOT_A, 0);
  sr_age(&sr, BOOT_B, 0);
  sr_age(&sr, BOOT_C, 0);
}

/* --- Calls -------------------------------------------------------------- */

static const char *connection_of(const char *boot) {
  return strcmp(boot, BOOT_A) == 0 ? "3" : "1";
}

static const struct sr_answer *create_as(const char *boot,
                                         const char *connection, const char *v,
                                         const char *count) {
  return sr_eval(
      &sr, wwri_session_script_create, LIST(S, "w:{0}:gen", "w:{0}:nodes"),
      LIST(boot, connection, "30000", "60000", v, count, "", "{\"c\":1}", "5"));
}

static const struct sr_answer *create(const char *boot, const char *v,
                                      const char *count) {
  return create_as(boot, connection_of(boot), v, count);
}

static const struct sr_answer *attach(const char *boot, const char *v,
                                      const char *count, const char *had,
                                      const char *whole, const char *max,
                                      const char *look) {
  return sr_eval(&sr, wwri_session_script_attach,
                 LIST(S, "w:{0}:gen", "w:{0}:nodes"),
                 LIST(boot, connection_of(boot), "30000", "60000", v, count,
                      had, whole, max, look));
}

static const struct sr_answer *leave(const char *boot, const char *v,
                                     const char *count) {
  return sr_eval(
      &sr, wwri_session_script_leave,
      LIST(S, "w:{0}:gen", "w:{0}:nodes", "w:{0}:m:!ctl", "w:{0}:l:!ctl"),
      LIST(boot, connection_of(boot), "30000", "60000", v, count,
           "w:{0}:c:!ctl", "pen", "1", "closed ", "1000", "60000", "120000"));
}

static const struct sr_answer *kill_it(const char *boot, const char *v,
                                       const char *how, const char *seq) {
  return sr_eval(
      &sr, wwri_session_script_kill,
      LIST(S, "w:{0}:gen", "w:{0}:nodes", "w:{0}:m:!ctl", "w:{0}:l:!ctl"),
      LIST(boot, connection_of(boot), "30000", v, how, "w:{0}:c:!ctl", "pen",
           seq, "closed ", "1000", "60000", "120000"));
}

static const struct sr_answer *touch(const char *boot, const char *v,
                                     const char *count) {
  return sr_eval(
      &sr, wwri_session_script_touch,
      LIST("w:{0}:gen", "w:{0}:nodes", S, "w:{0}:s:none"),
      LIST(boot, connection_of(boot), "30000", "60000", v, count, V1, "1"));
}

static const char *count_of(const char *boot) {
  return sr_ask(&sr, "HGET " S " c:%s", boot);
}

/* --- Who may ------------------------------------------------------------ */

/* R13: a node without a fresh beat does nothing, and says so. */
static void test_fenced(void) {
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V1, "1"), "ok"));
  sr_age(&sr, BOOT_A, 30100);
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V2, "1"), "fenced"));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_A, "", "2", "1", "0", "0", ""), "fenced"));
  CU_ASSERT_TRUE(sr_is(leave(BOOT_A, "", "0"), "fenced"));
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_A, "", "1", "1"), "fenced"));
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, "", "7"), "fenced"));
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_A), "1");
  sr_ask(&sr, "ZREM w:{0}:nodes " BOOT_A);
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, "", "7"), "fenced"));
  sr_age(&sr, "!grace", -5000); /* Redis was away: nobody is dead */
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, "", "7"), "ok 2"));
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_A), "7");
}

/* What was sent on a connection that the node has given up since. */
static void test_late_commands(void) {
  CU_ASSERT_TRUE(sr_is(create_as(BOOT_A, "2", V1, "1"), "nogen"));
  CU_ASSERT_TRUE(sr_is(create_as(BOOT_A, "4", V1, "1"), "nogen"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS " S), "0");
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V1, "1"), "ok"));
  sr_ask(&sr, "HSET w:{0}:gen k:" BOOT_A " 4");
  CU_ASSERT_TRUE(sr_is(attach(BOOT_A, "", "2", "1", "0", "0", ""), "nogen"));
  CU_ASSERT_TRUE(sr_is(leave(BOOT_A, "", "0"), "nogen"));
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_A, "", "1", "1"), "nogen"));
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, "", "7"), "nogen"));
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_A), "1");
  sr_ask(&sr, "DEL w:{0}:gen");
  CU_ASSERT_TRUE(sr_is(touch(BOOT_B, "", "7"), "nogen"));
}

/* --- Who counts --------------------------------------------------------- */

static void test_counts_are_absolute(void) {
  create(BOOT_A, V1, "1");
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(sr_is(attach(BOOT_B, "", "2", "0", "0", "5", ""),
                         "ok " V1 " 2 {\"c\":1} 5"));
  }
  CU_ASSERT_TRUE(sr_is(attach(BOOT_B, V1, "9", "2", "0", "5", ""),
                       "ok " V1 " 4 {\"c\":1} 5"));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_C, "", "1", "0", "0", "5", ""),
                       "ok " V1 " 0 {\"c\":1} 5"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HEXISTS " S " c:" BOOT_C), "0");
  CU_ASSERT_TRUE(sr_is(attach(BOOT_C, V1, "1", "0", "1", "", ""), "full"));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_C, V2, "1", "0", "0", "0", ""), "missing"));
}

/* A look-up that is repeated gives the same previous one. */
static void test_look_ups(void) {
  create(BOOT_A, V1, "1");
  const char *first = "ok " V1 " 1 {\"c\":1} 5";
  CU_ASSERT_TRUE(sr_is(attach(BOOT_B, "", "1", "0", "0", "0", "77"), first));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_B, "", "1", "0", "0", "0", "77"), first));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_B, "", "1", "0", "0", "0", "88"),
                       "ok " V1 " 1 {\"c\":1} 77"));
}

/* R12: silent while others were heard: its counts are dropped. */
static void test_the_dead_do_not_count(void) {
  create(BOOT_A, V1, "1");
  attach(BOOT_B, "", "2", "0", "0", "0", "");
  sr_age(&sr, BOOT_B, 30100);
  CU_ASSERT_TRUE(sr_is(attach(BOOT_C, "", "1", "0", "0", "2", ""),
                       "ok " V1 " 1 {\"c\":1} 5"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HEXISTS " S " c:" BOOT_B), "0");
}

/* Row 46: Redis was away; never "last" on the strength of the missing. */
static void test_grace(void) {
  create(BOOT_A, V1, "1");
  attach(BOOT_B, "", "1", "0", "0", "0", "");
  sr_age(&sr, BOOT_B, 30100);
  sr_age(&sr, "!grace", -5000);
  CU_ASSERT_TRUE(sr_is(leave(BOOT_A, V1, "0"), "ok " V1));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HEXISTS " S " c:" BOOT_B), "1");
  sr_ask(&sr, "ZREM w:{0}:nodes !grace");
  CU_ASSERT_TRUE(sr_is(leave(BOOT_A, V1, "0"), "last " V1));
}

/* --- The end of a session ----------------------------------------------- */

static void test_leave(void) {
  void *listener = sr_listen(&sr, "w:{0}:c:!ctl");
  create(BOOT_A, V1, "1");
  attach(BOOT_B, "", "1", "0", "0", "0", "");
  CU_ASSERT_TRUE(sr_is(leave(BOOT_A, V1, "0"), "ok " V1));
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:!ctl"));
  CU_ASSERT_TRUE(sr_is(leave(BOOT_B, V2, "0"), "missing"));
  CU_ASSERT_TRUE(sr_is(leave(BOOT_B, V1, "0"), "last " V1));
  CU_ASSERT_TRUE(sr_is(leave(BOOT_B, V1, "0"), "missing"));
  struct wwr_view heard = sr_heard(listener);
  char text[200];
  snprintf(text, sizeof text, "%.*s", (int)heard.len, (const char *)heard.data);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, " pen 1 "));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, " closed " V1));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "!ctl"), "!new 1:closed " V1);
  sr_listen_end(listener);
}

/* Rows 51, 56, 58: what was destroyed can't be put back for a while. */
static void test_tombstone(void) {
  create(BOOT_A, V1, "1");
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_B, "", "", "1"), "ok " V1));
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V1, "1"), "closed"));
  CU_ASSERT_TRUE(sr_is(attach(BOOT_A, "", "1", "0", "0", "0", ""), "missing"));
  int64_t ttl = strtoll(sr_ask(&sr, "PTTL " S), NULL, 10);
  CU_ASSERT(ttl > 60000 && ttl <= 120000);
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V2, "1"), "ok"));
  CU_ASSERT_TRUE(sr_is(create(BOOT_B, V1, "1"), "taken"));
  CU_ASSERT_TRUE(sr_is(create(BOOT_A, V2, "1"), "ok"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HEXISTS " S " x"), "0");
}

/* Row 56: a close is repeated to a master that has forgotten the session. */
static void test_kill_again(void) {
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_A, V1, "1", "1"), "missing " V1));
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_A, V1, "1", "2"), "missing"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "!ctl"), "!new 1:closed " V1);
  CU_ASSERT_TRUE(sr_is(create(BOOT_B, V1, "1"), "closed"));
  CU_ASSERT_TRUE(sr_is(create(BOOT_B, V2, "1"), "ok"));
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_A, V1, "1", "3"), "missing"));
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_B), "1");
}

static void test_kill_of_nobodys(void) {
  create(BOOT_A, V1, "0");
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_B, "", "", "1"), "nobody"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET " S " v"), V1);
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_B, "", "1", "1"), "ok " V1));
  CU_ASSERT_TRUE(sr_is(kill_it(BOOT_B, "", "1", "2"), "missing"));
}

/* --- Others ------------------------------------------------------------- */

static void test_touch(void) {
  create(BOOT_A, V1, "1");
  sr_ask(&sr, "PEXPIRE " S " 1000");
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, V1, "1"), "ok 2"));
  CU_ASSERT(strtoll(sr_ask(&sr, "PTTL " S), NULL, 10) > 30000);
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, V1, "4"), "ok 2"));
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_A), "4");
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, "", "0"), "ok 2"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HEXISTS " S " c:" BOOT_A), "0");
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, V2, "1"), "ok 1 2"));
}

static void test_places_and_send(void) {
  void *listener = sr_listen(&sr, "w:{0}:n:" BOOT_A);
  sr_ask(&sr, "HSET w:{0}:node:" BOOT_A " name alpha");
  create(BOOT_A, V1, "2");
  const char *const keys[] = {S, "w:{0}:nodes", NULL};
  CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_session_script_places, keys,
                               LIST("30000", "w:{0}:node:")),
                       "ok alpha 2"));
  CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_session_script_send, keys,
                               LIST("30000", "w:{0}:n:", "head ", " bytes")),
                       "ok 1"));
  struct wwr_view heard = sr_heard(listener);
  CU_ASSERT_TRUE(wwr_view_equal(heard, wwr_view_str("head " V1 " bytes")));
  sr_age(&sr, BOOT_A, 30100);
  CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_session_script_places, keys,
                               LIST("30000", "w:{0}:node:")),
                       "ok"));
  CU_ASSERT_TRUE(sr_is(sr_eval(&sr, wwri_session_script_send, keys,
                               LIST("30000", "w:{0}:n:", "head ", " bytes")),
                       "missing"));
  sr_listen_end(listener);
}

/* A key of another type: an error, and nothing is written. */
static void test_other_types(void) {
  create(BOOT_A, V1, "1");
  sr_ask(&sr, "SET w:{0}:l:!ctl text");
  CU_ASSERT_TRUE(sr_refused(leave(BOOT_A, V1, "0"), "WRONGTYPE"));
  CU_ASSERT_FALSE(sr.answer.maybe_done);
  CU_ASSERT_STRING_EQUAL(count_of(BOOT_A), "1");
  sr_ask(&sr, "SET " S " text");
  CU_ASSERT_TRUE(sr_refused(create(BOOT_A, V1, "1"), "WRONGTYPE"));
  CU_ASSERT_TRUE(
      sr_refused(attach(BOOT_A, "", "1", "0", "0", "0", ""), "WRONGTYPE"));
  CU_ASSERT_TRUE(sr_is(touch(BOOT_A, V1, "1"), "ok 1 2"));
  sr_ask(&sr, "SET w:{0}:nodes text");
  CU_ASSERT_TRUE(sr_refused(touch(BOOT_A, V1, "1"), "WRONGTYPE"));
  sr_ask(&sr, "SET w:{0}:gen text");
  CU_ASSERT_TRUE(sr_refused(touch(BOOT_A, V1, "1"), "WRONGTYPE"));
}

static CU_TestInfo tests[] = {
    {"fenced", test_fenced},
    {"late_commands", test_late_commands},
    {"counts_are_absolute", test_counts_are_absolute},
    {"look_ups", test_look_ups},
    {"the_dead_do_not_count", test_the_dead_do_not_count},
    {"grace", test_grace},
    {"leave", test_leave},
    {"tombstone", test_tombstone},
    {"kill_again", test_kill_again},
    {"kill_of_nobodys", test_kill_of_nobodys},
    {"touch", test_touch},
    {"places_and_send", test_places_and_send},
    {"other_types", test_other_types},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/scripts", NULL, NULL, setup, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  int status = test_run(argc, argv, suites);
  if (sr.texts) sr_end(&sr);
  return status;
}
