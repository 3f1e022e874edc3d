/* open, history, range, tops: what is read of a log, in calm. docs/rules.md,
 * the rows named at the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "test.h"

static struct sr sr;

/* Each test has a server without data: one is enough for all. */
static void setup(void) {
  sr_fresh(&sr, sr_cluster_scripts);
  sr_ask(&sr, "CONFIG SET stream-node-max-entries 1"); /* trims exactly */
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat(&sr, BOOT_A, 1), 0), "ok");
}

/* Row 10: the position is there from the start. */
static void test_open_makes_an_epoch(void) {
  char expected[64];
  CU_ASSERT_STRING_EQUAL(sr_text(sr_open(&sr, "ch", 9), 0), "ok");
  char id[48];
  sr_entry_id(&sr, "ch", 0, id);
  sr_open(&sr, "ch", 0);
  snprintf(expected, sizeof(expected), "ok %s  ", id);
  CU_ASSERT_TRUE(sr_is(&sr.answer, expected));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new");
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 120000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 120000));
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_A, 1), "ok", "1"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1");
}

static void test_open_history(void) {
  char id[48];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_publish(&sr, "ch", BOOT_B, 1);
  sr_entry_id(&sr, "ch", 2, id);
  sr_open(&sr, "ch", 2);
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 18);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 1), id);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 2), BOOT_B);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 3), "1");
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 4), id); /* newest first */
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 15), BOOT_A);
  sr_open(&sr, "ch", 100);
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 27);
  sr_open(&sr, "ch", 0);
  CU_ASSERT_EQUAL(sr.answer.count, 4);
}

/* Row 11: what is older than the channel's age is not given out. */
static void test_open_filters_by_age(void) {
  sr_ask(&sr, "TIME");
  int64_t now = sr_number(&sr.answer, 0) * 1000;
  sr_publish(&sr, "ch", BOOT_A, 1); /* age 60 s */
  char epoch[32];
  snprintf(epoch, sizeof(epoch), "%s", sr_ask(&sr, "HGET w:{0}:m:ch e"));
  sr_ask(&sr, "DEL w:{0}:l:ch");
  for (unsigned i = 2; i <= 5; i++) { /* 120 s old, 100, 50, 30 */
    static const int ages[] = {0, 0, 120, 100, 50, 30};
    sr_ask(&sr, "XADD w:{0}:l:ch %s-%u b %s s %u t %lld d x", epoch, i, BOOT_A,
           i, (long long)now - ages[i] * 1000);
  }
  sr_open(&sr, "ch", 10);
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 18);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 4 + 4), "5");
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 4 + 9 + 4), "4");
}

static void test_open_renews(void) {
  sr_publish_as(
      &sr, &(struct sr_publish){
               .channel = "ch", .author = BOOT_A, .seq = 1, .expiry = 3660000});
  sr_open(&sr, "ch", 0); /* not shortened */
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 3660000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 3660000));
  sr_ask(&sr, "PEXPIRE w:{0}:m:ch 5000");
  sr_ask(&sr, "PEXPIRE w:{0}:l:ch 5000");
  sr_open(&sr, "ch", 0);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 120000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 120000));
}

/* The budget of bytes: 128 and the envelope for each entry. */
static void test_history(void) {
  const char *const keys[] = {"w:{0}:m:ch", "w:{0}:l:ch", NULL};
  char id[48];
  CU_ASSERT_TRUE(sr_is(
      sr_eval(&sr, wwri_script_history, keys, LIST("5", "1000", "")), "ok   "));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:m:ch w:{0}:l:ch"), "0");
  sr_fill(&sr, BOOT_A, 1, 40, 0);
  sr_entry_id(&sr, "ch", 40, id);
  sr_eval(&sr, wwri_script_history, keys, LIST("40", "100000", ""));
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 40 * 9);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 1), id);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 3), "40");
  for (size_t i = 0; i < 40; i++) {
    CU_ASSERT_EQUAL(sr_number(&sr.answer, 4 + 9 * i + 4), 40 - (int)i);
  }
  sr_eval(&sr, wwri_script_history, keys, LIST("40", "2700", ""));
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 20 * 9);
  sr_eval(&sr, wwri_script_history, keys, LIST("40", "1", ""));
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 9);
  sr_eval(&sr, wwri_script_history, keys, LIST("0", "1", ""));
  CU_ASSERT_EQUAL(sr.answer.count, 4);
  sr_eval(&sr, wwri_script_open, LIST("w:{0}:m:ch", "w:{0}:l:ch", "w:{0}:gen"),
          LIST(BOOT_A, "1", "120000", "40", "2700"));
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 20 * 9);
}

/* Page by page, from the end; forks are neither told nor counted. */
static void test_history_before(void) {
  const char *const keys[] = {"w:{0}:m:ch", "w:{0}:l:ch", NULL};
  char id[48] = "";
  sr_fill(&sr, BOOT_A, 1, 3, 0);
  sr_ask(&sr, "DEL w:{0}:m:ch"); /* another epoch */
  sr_fill(&sr, BOOT_A, 4, 5, 0);
  for (int first = 5; first > -1; first -= 2) { /* 5 4, 3 2, 1 */
    size_t count = first > 1 ? 2 : (size_t)(first > 0);
    sr_eval(&sr, wwri_script_history, keys, LIST("2", "100000", id));
    CU_ASSERT_EQUAL(sr.answer.count, 4 + 9 * count);
    CU_ASSERT_EQUAL(sr_number(&sr.answer, 4 + 4), first);
    snprintf(id, sizeof id, "%s", sr_text(&sr.answer, 4 + 9 * (count - 1)));
  }
  sr_eval(&sr, wwri_script_history, keys, LIST("9", "100000", id));
  CU_ASSERT_EQUAL(sr.answer.count, 4);
}

static const struct sr_answer *range(const char *from, const char *count,
                                     const char *bytes) {
  return sr_eval(&sr, wwri_script_range, LIST("w:{0}:l:ch"),
                 LIST(from, count, bytes));
}

static void test_range(void) {
  char from[48];
  CU_ASSERT_TRUE(sr_is(range("1-1", "5", "1000"), "ok 0"));
  sr_fill(&sr, BOOT_A, 1, 40, 0);
  sr_entry_id(&sr, "ch", 3, from);
  CU_ASSERT_EQUAL(range(from, "100", "100000")->count, 2 + 38 * 9);
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1), 0);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 2), from); /* included */
  for (size_t i = 0; i < 38; i++) {
    CU_ASSERT_EQUAL(sr_number(&sr.answer, 2 + 9 * i + 4), 3 + (int)i);
  }
  CU_ASSERT_EQUAL(range(from, "37", "100000")->count, 2 + 37 * 9);
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1), 1);
  CU_ASSERT_EQUAL(range(from, "38", "100000")->count, 2 + 38 * 9);
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1), 1); /* as many as asked for */
  CU_ASSERT_EQUAL(range(from, "100", "2700")->count, 2 + 20 * 9);
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1), 1);
  CU_ASSERT_EQUAL(range(from, "100", "1")->count, 2 + 9);
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1), 1);
  CU_ASSERT_EQUAL(range("3000000000000000000-0", "9", "1000")->count, 2);
}

static void test_tops(void) {
  char a[48], b[48], expected[300];
  sr_open(&sr, "a", 0);
  sr_publish(&sr, "b", BOOT_B, 3);
  sr_entry_id(&sr, "a", 0, a);
  sr_entry_id(&sr, "b", 1, b);
  sr_ask(&sr, "SET w:{0}:l:theirs x");
  snprintf(expected, sizeof(expected), "ok %s      %s %s 3   ", a, b, BOOT_B);
  const char *const keys[] = {"w:{0}:l:a", "w:{0}:l:none", "w:{0}:l:b",
                              "w:{0}:l:theirs", NULL};
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_tops, keys, LIST(NULL)), expected));
  CU_ASSERT_EQUAL(sr.answer.count, 13);
}

/* Row 9. */
static void test_tops_touch(void) {
  char id[48], expected[200];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, id);
  sr_ask(&sr, "PEXPIRE w:{0}:m:ch 5000");
  sr_ask(&sr, "PEXPIRE w:{0}:l:ch 5000");
  const char *const keys[] = {"w:{0}:l:ch", "w:{0}:m:ch", "w:{0}:l:none",
                              "w:{0}:m:none", NULL};
  snprintf(expected, sizeof(expected), "ok %s %s 1   ", id, BOOT_A);
  CU_ASSERT_TRUE(sr_is(
      sr_eval(&sr, wwri_script_tops_touch, keys, LIST("300000")), expected));
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 300000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 300000));
  sr_eval(&sr, wwri_script_tops_touch, keys, LIST("1000")); /* not shortened */
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 300000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 300000));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:l:none"), "0");
}

static void test_tops_of_many(void) {
  static char names[512][24];
  const char *keys[513];
  for (unsigned i = 0; i < 256; i++) {
    snprintf(names[2 * i], 24, "w:{0}:l:%u", i);
    snprintf(names[2 * i + 1], 24, "w:{0}:m:%u", i);
    keys[i] = names[2 * i];
  }
  keys[256] = NULL;
  sr_open(&sr, "255", 0);
  sr_eval(&sr, wwri_script_tops, keys, LIST(NULL));
  CU_ASSERT_EQUAL(sr.answer.count, 1 + 3 * 256);
  CU_ASSERT_STRING_NOT_EQUAL(sr_text(&sr.answer, 1 + 3 * 255), "");
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 1 + 3 * 254), "");
  for (unsigned i = 0; i < 512; i++) keys[i] = names[i];
  keys[512] = NULL;
  sr_eval(&sr, wwri_script_tops_touch, keys, LIST("300000"));
  CU_ASSERT_EQUAL(sr.answer.count, 1 + 3 * 256);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:255", 300000));
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo open[] = {{"makes an epoch", test_open_makes_an_epoch},
                        {"history", test_open_history},
                        {"filters by age", test_open_filters_by_age},
                        {"renews", test_open_renews},
                        {"history", test_history},
                        {"history before a place", test_history_before},
                        {"range", test_range},
                        {"tops", test_tops},
                        {"tops touch", test_tops_touch},
                        {"tops of many", test_tops_of_many},
                        CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"open", NULL, NULL, setup, NULL, open},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  if (sr.texts) sr_end(&sr);
  return status;
}
