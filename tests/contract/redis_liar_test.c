/* The link against a server that lies: whatever it says, the link neither
 * crashes nor hangs nor believes it, and is live again when the lies end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_liar.h"
#include "redis_rig.h"
#include "test.h"

static struct liar *liar;
static struct rig rig;

static void init_rig(void) {
  char url[64];
  snprintf(url, sizeof(url), "redis://u:p@127.0.0.1:%u/1", liar_port(liar));
  rig_init(&rig, url);
  rig.opts.timing.backoff_min_ms = 2;
  rig.opts.timing.backoff_max_ms = 10;
}

/* For lies that consist in saying nothing. */
static void be_impatient(void) {
  rig.opts.timing.connect_ms = 1000;
  rig.opts.timing.reply_ms = 100;
  rig.opts.timing.beat_ms = 50;
  rig.opts.timing.suspect_ms = 100;
  rig.opts.timing.lost_ms = 150;
}

static void setup(void) {
  liar = liar_new();
  init_rig();
}

static void teardown(void) {
  rig_end(&rig);
  liar_free(liar);
  liar = NULL;
}

static void go_live(void) {
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
}

static void lie(const char *command, const char *text) {
  liar_answer(liar, command, text, strlen(text), false);
}

/* However it went down, it comes up when the lies end: once more than it went
 * down, since it may be up again by now. */
static void expect_recovery(void) {
  liar_answer(liar, NULL, "", 0, false);
  liar_cut(liar, 0, SIZE_MAX);
  liar_cut(liar, 1, SIZE_MAX);
  unsigned lost = rig_count(&rig, &rig.lost);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, lost + 1));
}

static void test_honest(void) {
  go_live();
  rig_subscribe(&rig, 0, 600);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 600));
  CU_ASSERT_STRING_EQUAL(rig_run(&rig, "ECHO x", 0).text, "OK");
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.failed), 0);
}

/* --- Setting up --------------------------------------------------------- */

static const char *const commands[] = {"AUTH",   "SELECT",    "INFO",
                                       "SCRIPT", "SUBSCRIBE", "EVALSHA"};

static const char *const lies[] = {
    "+OK\r\n",
    "+NO\r\n",
    ":1\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$2\r\nOK\n\n",
    "*0\r\n",
    "*-1\r\n",
    "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
    "*2\r\n+a\r\n-ERR b\r\n",
    "$40\r\n11111111111111111111111111111111111111zz\r\n",
    "$12\r\nrole:master\n\r\n",
    "-ERR no\r\n",
    "-LOADING Redis is loading\r\n",
    "-READONLY replica\r\n",
    "-NOAUTH who\r\n",
    "-NOSCRIPT gone\r\n",
    "-\r\n",
    "hello\r\n",
    "*100000000\r\n",
    "$99999999999\r\n",
    "%1\r\n+a\r\n+b\r\n",
    ">3\r\n+a\r\n+b\r\n+c\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    "$5\r\nab", /* and then silence */
    "*3\r\n$9\r\nsubs",
    "",
};

static bool is_true(const char *command, const char *answer) {
  bool ok = strcmp(answer, "+OK\r\n") == 0 ||
            strncmp(answer, "$2\r\nOK", 6) == 0; /* refused by its end */
  return ok && (strcmp(command, "AUTH") == 0 || strcmp(command, "SELECT") == 0);
}

static void try_lie(const char *command, const char *text) {
  rig_end(&rig);
  init_rig();
  be_impatient();
  lie(command, text);
  rig_start(&rig, NULL);
  if (is_true(command, text)) { /* whether it was live by then, or not yet */
    liar_answer(liar, NULL, "", 0, false);
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
    return;
  }
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  expect_recovery();
}

static void test_lies_while_setting_up(void) {
  for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
    for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
      try_lie(commands[i], lies[j]);
    }
  }
}

static void register_marked(struct wwri_redis *link) {
  wwri_redis_script(link, "MARK"); /* the second, after the beat's */
}

static void test_not_live_before_every_script_is_loaded(void) {
  be_impatient();
  lie("MARK", "");
  rig_start(&rig, register_marked);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_TIMEOUT], 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL]), 0);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  expect_recovery();
}

static void test_cut_at_every_byte_of_the_handshake(void) {
  go_live();
  size_t sent[2] = {liar_sent(liar, 0), liar_sent(liar, 1)};
  CU_ASSERT_TRUE(sent[0] > 100 && sent[1] > 100);
  for (int which = 0; which < 2; which++) {
    for (size_t n = 0; n <= sent[which]; n++) {
      rig_end(&rig);
      init_rig();
      rig.opts.timing.beat_ms = 50;
      liar_cut(liar, which, n);
      rig_start(&rig, NULL);
      CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.causes[WWRI_CAUSE_IO], 1));
      if (n % 16 == 0) expect_recovery();
      liar_cut(liar, which, SIZE_MAX);
    }
  }
}

/* --- Commands of a live link -------------------------------------------- */

static void test_cut_at_every_byte_of_a_reply(void) {
  static const char reply[] = "*2\r\n$5\r\nhello\r\n*1\r\n:42\r\n";
  go_live();
  for (size_t n = 0; n < sizeof(reply); n++) {
    unsigned lost = rig_count(&rig, &rig.lost);
    unsigned live = rig_count(&rig, &rig.live);
    liar_answer(liar, "ECHO", reply, n, true);
    struct rig_result result = rig_run(&rig, "ECHO x", 0);
    CU_ASSERT_EQUAL_FATAL(result.err, WWR_OK);
    if (n < sizeof(reply) - 1) {
      CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
      CU_ASSERT_TRUE(result.maybe_done);
    } else {
      n = sizeof(reply);
      CU_ASSERT_EQUAL(result.type, WWRI_REDIS_ARRAY);
    }
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, lost + 1));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, live + 1));
  }
}

static void test_nonsense_as_a_reply(void) {
  static const char *const nonsense[] = {
      "hello\r\n", "*100000000\r\n", "$99999999999\r\n", "$-7\r\n",
      ":1x\r\n",   "%1\r\n",         "$2\r\nabcd",       "+OK\n"};
  go_live();
  for (unsigned i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
    lie("ECHO", nonsense[i]);
    struct rig_result result = rig_run(&rig, "ECHO x", 0);
    CU_ASSERT_EQUAL_FATAL(result.err, WWR_OK);
    CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
    CU_ASSERT_TRUE(result.maybe_done);
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL], i + 1));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, i + 2));
  }
}

static void test_errors_that_end_the_link(void) {
  static const struct {
    const char *text;
    enum wwri_redis_outcome outcome;
    enum wwri_redis_cause cause; /* NONE: it stays */
  } rows[] = {
      {"-READONLY r\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_DEMOTED},
      {"-MASTERDOWN m\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_DEMOTED},
      {"-MOVED 1 h:1\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_DEMOTED},
      {"-NOSCRIPT n\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_SCRIPT},
      {"-NOAUTH n\r\n", WWRI_CALL_AUTH, WWRI_CAUSE_AUTH},
      {"-NOPERM n\r\n", WWRI_CALL_AUTH, WWRI_CAUSE_NONE},
      {"-BUSY b\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_NONE},
      {"-TRYAGAIN t\r\n", WWRI_CALL_UNAVAILABLE, WWRI_CAUSE_NONE},
      {"-ERR e\r\n", WWRI_CALL_ERROR, WWRI_CAUSE_NONE},
      {"-\r\n", WWRI_CALL_ERROR, WWRI_CAUSE_NONE},
  };
  unsigned lost = 0;
  go_live();
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    lie("ECHO", rows[i].text);
    struct rig_result result = rig_run(&rig, "ECHO x", 0);
    CU_ASSERT_EQUAL_FATAL(result.err, WWR_OK);
    CU_ASSERT_EQUAL(result.outcome, rows[i].outcome);
    CU_ASSERT_EQUAL(result.type, WWRI_REDIS_ERROR);
    if (rows[i].cause != WWRI_CAUSE_NONE) {
      CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, ++lost));
      CU_ASSERT_EQUAL(rig_cause(&rig), rows[i].cause);
      CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, lost + 1));
    }
    CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), lost);
  }
}

/* Only what is answered late is lost, and by nothing but the lie. */
static void expect_a_late_answer(void) {
  rig_be_patient(&rig);
  rig.opts.timing.reply_ms = 1000;
  rig.opts.timing.beat_ms = 50;
}

static void test_silence_in_the_middle_of_a_reply(void) {
  expect_a_late_answer();
  go_live();
  lie("ECHO", "$100000\r\nab"); /* and beats are answered into it */
  struct rig_result result = rig_run(&rig, "ECHO x", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_TRUE(result.maybe_done);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_TIMEOUT], 1));
  expect_recovery();
}

static void test_an_answer_to_nothing(void) {
  go_live();
  liar_push(liar, false, "+OK\r\n", 5);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL], 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  liar_push(liar, false, "-ERR max number of clients reached\r\n", 36);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_UNAVAILABLE], 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 3));
}

static void test_beats_that_go_nowhere(void) {
  be_impatient();
  go_live();
  lie("EVALSHA", ":1\r\n");
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.suspect, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_TRUE(rig_count(&rig, &rig.causes[WWRI_CAUSE_BEAT]) >= 1);
  expect_recovery();
}

/* --- Subscriptions of a live link --------------------------------------- */

static void test_pushes_that_nobody_asked_for(void) {
  static const char *const pushes[] = {
      "+OK\r\n",
      ":1\r\n",
      "$-1\r\n",
      "*0\r\n",
      "-ERR what\r\n",
      "*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
      "*3\r\n$7\r\nmessage\r\n$7\r\nnothere\r\n$1\r\nx\r\n",
      "*3\r\n$7\r\nmessage\r\n$4\r\nch:0\r\n:1\r\n",
      "*3\r\n$7\r\nmessage\r\n$4\r\nch:0\r\n$-1\r\n",
      "*3\r\n$7\r\nmessage\r\n:5\r\n$1\r\nx\r\n",
      "*3\r\n$9\r\nsubscribe\r\n$4\r\nch:0\r\n:1\r\n",
      "*3\r\n$11\r\nunsubscribe\r\n$4\r\nch:0\r\n:0\r\n",
      "*3\r\n$12\r\nsunsubscribe\r\n$4\r\nch:0\r\n:0\r\n",
      "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$4\r\nch:0\r\n$1\r\nx\r\n",
      "*3\r\n*1\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nx\r\n",
      "hello\r\n",
  };
  go_live();
  rig_subscribe(&rig, 0, 1);
  for (unsigned i = 0; i < sizeof(pushes) / sizeof(pushes[0]); i++) {
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, i + 1));
    liar_push(liar, true, pushes[i], strlen(pushes[i]));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL], i + 1));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, i + 2));
  }
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.subs_messages), 0);
}

#define CONFIRM(name) "*3\r\n$9\r\nsubscribe\r\n$4\r\n" name "\r\n:1\r\n"

static void test_confirmations_that_are_wrong(void) {
  static const char *const wrong[] = {
      CONFIRM("ch:1") CONFIRM("ch:0"), /* the order */
      CONFIRM("ch:2") CONFIRM("ch:1"), /* a name */
      "*3\r\n$11\r\nunsubscribe\r\n$4\r\nch:0\r\n:1\r\n",
      CONFIRM("ch:0") "-NOPERM in the middle\r\n",
      CONFIRM("ch:0") CONFIRM("ch:1") CONFIRM("ch:1"), /* one too many */
  };
  for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    rig_end(&rig);
    init_rig();
    go_live();
    lie("SUBSCRIBE", wrong[i]);
    rig_subscribe(&rig, 0, 2);
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL], 1));
    CU_ASSERT_EQUAL(rig_count(&rig, &rig.subs[1].subscribed), i == 4);
    expect_recovery();
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[0].subscribed, 1));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[1].subscribed, 1));
  }
}

static void test_confirmations_that_do_not_come(void) {
  expect_a_late_answer();
  go_live();
  lie("SUBSCRIBE", CONFIRM("ch:0"));
  rig_subscribe(&rig, 0, 2);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[0].lost, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_TIMEOUT], 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.subs[1].subscribed), 0);
  expect_recovery();
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[1].subscribed, 1));
}

static void test_a_subscription_is_cut_at_every_byte(void) {
  static const char confirm[] = CONFIRM("ch:0");
  for (size_t n = 0; n < sizeof(confirm) - 1; n++) {
    rig_end(&rig);
    init_rig();
    go_live();
    liar_answer(liar, "SUBSCRIBE", confirm, n, true);
    rig_subscribe(&rig, 0, 1);
    CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.lost, 1));
    CU_ASSERT_EQUAL(rig_count(&rig, &rig.subs[0].subscribed), 0);
    liar_answer(liar, NULL, "", 0, false);
    CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.subs[0].subscribed, 1));
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"honest", test_honest},
      {"lies while setting up", test_lies_while_setting_up},
      {"every script is loaded", test_not_live_before_every_script_is_loaded},
      {"cut at every byte of the handshake",
       test_cut_at_every_byte_of_the_handshake},
      {"cut at every byte of a reply", test_cut_at_every_byte_of_a_reply},
      {"nonsense as a reply", test_nonsense_as_a_reply},
      {"errors that end the link", test_errors_that_end_the_link},
      {"silence in a reply", test_silence_in_the_middle_of_a_reply},
      {"an answer to nothing", test_an_answer_to_nothing},
      {"beats that go nowhere", test_beats_that_go_nowhere},
      {"pushes nobody asked for", test_pushes_that_nobody_asked_for},
      {"wrong confirmations", test_confirmations_that_are_wrong},
      {"missing confirmations", test_confirmations_that_do_not_come},
      {"cut at every byte of a confirmation",
       test_a_subscription_is_cut_at_every_byte},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis liar", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
