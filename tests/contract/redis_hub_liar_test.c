/* A hub against a node that lies: whatever it says, hub and links neither crash
 * nor hang nor believe it, and are live again when the lies end. */
#include <stdio.h>
#include <string.h>

#include "redis_hub_rig.h"
#include "redis_liar.h"
#include "test.h"

enum { LINKS = 2 };

static const char *const tags[LINKS] = {"0", "1"};
static struct liar *liar;
static struct hub_rig hub;
static struct rig rigs[LINKS];

static void be_impatient(struct wwri_pair_opts *timing) {
  timing->connect_ms = 1000;
  timing->reply_ms = 150;
  timing->beat_ms = 50;
  timing->suspect_ms = 100;
  timing->lost_ms = 150;
  timing->backoff_min_ms = 2;
  timing->backoff_max_ms = 10;
}

static void setup_with(bool patient) {
  char url[64];
  liar = liar_new();
  liar_be_cluster(liar);
  snprintf(url, sizeof(url), "redis+cluster://u:p@127.0.0.1:%u",
           liar_port(liar));
  hub_rig_init(&hub, url);
  if (!patient) be_impatient(&hub.opts.timing);
  hub_rig_start(&hub);
  for (int i = 0; i < LINKS; i++) {
    rig_init_hub(&rigs[i], url, hub.loop, hub.hub, tags[i]);
    if (!patient) be_impatient(&rigs[i].opts.timing);
  }
}

static void setup(void) {
  setup_with(false);
}

static void teardown(void) {
  for (int i = 0; i < LINKS; i++) rig_end(&rigs[i]);
  hub_rig_end(&hub);
  liar_free(liar);
  liar = NULL;
}

/* For what is to be left alone. */
static void be_patient(void) {
  teardown();
  setup_with(true);
}

static void start(void) {
  for (int i = 0; i < LINKS; i++) rig_make(&rigs[i]);
  for (int i = 0; i < LINKS; i++) rig_start(&rigs[i], NULL);
}

static void go_live(void) {
  start();
  for (int i = 0; i < LINKS; i++) {
    CU_ASSERT_FATAL(rig_wait(&rigs[i], &rigs[i].live, 1));
  }
}

static void lie(const char *command, const char *text) {
  liar_answer(liar, command, text, strlen(text), false);
}

static void push(const char *text) {
  liar_push(liar, true, text, strlen(text));
}

/* However they went down, they come up when the lies end, and work. */
static void expect_recovery(void) {
  liar_answer(liar, NULL, "", 0, false);
  for (int i = 0; i < LINKS; i++) {
    struct rig *rig = &rigs[i];
    unsigned lost = rig_count(rig, &rig->lost);
    CU_ASSERT(rig_wait(rig, &rig->live, lost + 1));
  }
}

static void test_honest(void) {
  go_live();
  rig_subscribe(&rigs[0], 0, 600);
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].subs_subscribed, 600));
  CU_ASSERT_STRING_EQUAL(rig_run(&rigs[1], "ECHO x", 0).text, "OK");
  CU_ASSERT_EQUAL(rig_count(&rigs[0], &rigs[0].failed), 0);
  CU_ASSERT_EQUAL(hub_rig_stats(&hub).trunks, 1);
}

/* --- The map ------------------------------------------------------------ */

#define NODE(host, port) "*3\r\n" host "\r\n:" port "\r\n$1\r\nx\r\n"
#define ALL(node)        "*1\r\n*3\r\n:0\r\n:16383\r\n" node

static const char *const maps[] = {
    "+OK\r\n",
    ":1\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*1\r\n*0\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n*2\r\n:0\r\n:1\r\n",
    "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
    "*1\r\n*3\r\n:5\r\n:1\r\n" NODE("$1\r\nh", "1"),
    "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("$1\r\nh", "1"),
    "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE("$1\r\nh", "1"),
    "*1\r\n*3\r\n+0\r\n+1\r\n" NODE("$1\r\nh", "1"),
    "*2\r\n*3\r\n:0\r\n:1\r\n" NODE("$1\r\nh", "1") "*3\r\n:1\r\n:2\r\n" NODE(
        "$1\r\nh", "1"),
    ALL(NODE("$1\r\nh", "0")),
    ALL(NODE("$1\r\nh", "65536")),
    ALL(NODE("$1\r\n\0", "1")),
    ALL(NODE(":1", "1")),
    ALL(NODE("$1\r\n?", "1")),                   /* known by no name */
    ALL(NODE("$9\r\n127.0.0.1", "1")),           /* nobody is there */
    "*1\r\n*3\r\n:1\r\n:1\r\n" NODE("$-1", "1"), /* not our slots */
    "-ERR This instance has cluster support disabled\r\n",
    "-ERR unknown command 'CLUSTER'\r\n",
    "-NOPERM no\r\n",
    "-NOAUTH no\r\n",
    "-CLUSTERDOWN\r\n",
    "-MOVED 1 127.0.0.1:1\r\n",
    "-\r\n",
    "*100000000\r\n",
    "hello\r\n",
    "*1\r\n*3\r\n:0\r\n", /* and then silence */
    "",
};

static void test_maps(void) {
  for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
    if (i > 0) setup();
    lie("CLUSTER", maps[i]);
    start();
    CU_ASSERT(rig_wait(&rigs[0], &rigs[0].failed, 2));
    CU_ASSERT_EQUAL(rig_count(&rigs[0], &rigs[0].live), 0);
    expect_recovery();
    teardown();
  }
  setup();
}

static void test_it_is_no_cluster(void) {
  lie("CLUSTER", "-ERR This instance has cluster support disabled\r\n");
  start();
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].causes[WWRI_CAUSE_REFUSED], 1));
  CU_ASSERT(rig_why_has(&rigs[0], WWRI_CAUSE_REFUSED, "use redis://"));
  lie("INFO",
      "$49\r\nrole:master\r\nmaster_replid:1\r\ncluster_enabled:0\r\n"
      "\r\n");
  unsigned *refused = &rigs[0].causes[WWRI_CAUSE_REFUSED];
  CU_ASSERT(rig_wait(&rigs[0], refused, rig_count(&rigs[0], refused) + 2));
  CU_ASSERT(rig_why_has(&rigs[0], WWRI_CAUSE_REFUSED, "use redis://"));
  expect_recovery();
}

/* --- Setting up a trunk ------------------------------------------------- */

static const char *const commands[] = {"AUTH", "INFO", "SCRIPT", "SSUBSCRIBE",
                                       "EVALSHA"};

static const char *const lies[] = {
    "+NO\r\n",
    "*0\r\n",
    "*3\r\n$10\r\nssubscribe\r\n$1\r\nx\r\n:1\r\n",
    "*3\r\n$10\r\nssubscribe\r\n$3\r\n{1}\r\n:1\r\n",
    "-ERR no\r\n",
    "-READONLY replica\r\n",
    "-NOAUTH who\r\n",
    "-NOSCRIPT gone\r\n",
    "-MOVED 1 127.0.0.1:1\r\n",
    "-MOVED 13907 127.0.0.1:1\r\n", /* {0} */
    "-ASK 13907 127.0.0.1:1\r\n",
    "-TRYAGAIN\r\n",
    "-CLUSTERDOWN\r\n",
    "$5\r\nab", /* and then silence */
    "",
};

static bool is_true(const char *command, const char *text) {
  return strcmp(command, "AUTH") == 0 && text[0] == '+';
}

static void test_lies(void) {
  for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
    for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
      teardown();
      setup();
      lie(commands[i], lies[j]);
      start();
      if (!is_true(commands[i], lies[j])) {
        CU_ASSERT(rig_wait(&rigs[0], &rigs[0].failed, 1));
      }
      expect_recovery();
    }
  }
}

static void test_lies_while_live(void) {
  for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
    teardown();
    setup();
    go_live();
    lie("EVALSHA", lies[j]);
    CU_ASSERT(rig_wait(&rigs[0], &rigs[0].lost, 1));
    expect_recovery();
  }
}

/* --- Unasked ------------------------------------------------------------ */

static const char *const pushes[] = {
    "*3\r\n$10\r\nssubscribe\r\n$3\r\n{0}\r\n:1\r\n",
    "*3\r\n$8\r\nsmessage\r\n$5\r\n{0}ch\r\n$1\r\nx\r\n",
    "*3\r\n$8\r\nsmessage\r\n$5\r\n{9}ch\r\n$1\r\nx\r\n",
    "*3\r\n$7\r\nmessage\r\n$5\r\n{0}ch\r\n$1\r\nx\r\n",
    "*3\r\n$8\r\nsmessage\r\n$3\r\n{0}\r\n:1\r\n",
    "*2\r\n$8\r\nsmessage\r\n$3\r\n{0}\r\n",
    "*3\r\n:1\r\n:2\r\n:3\r\n",
    ":1\r\n",
    "-ERR what\r\n",
    "$-1\r\n",
    "hello\r\n",
};

static void test_pushes(void) {
  for (size_t i = 0; i < sizeof(pushes) / sizeof(pushes[0]); i++) {
    be_patient(); /* or it may be lost by itself */
    go_live();
    push(pushes[i]);
    for (int n = 0; n < LINKS; n++) {
      CU_ASSERT(rig_wait(&rigs[n], &rigs[n].causes[WWRI_CAUSE_PROTOCOL], 1));
    }
    expect_recovery();
  }
}

static void test_answer_to_nothing(void) {
  go_live();
  liar_push(liar, false, "+OK\r\n", 5);
  liar_push(liar, false, "+OK\r\n", 5);
  CU_ASSERT(rig_wait(&rigs[1], &rigs[1].lost, 1));
  expect_recovery();
}

/* Only the link of that slot goes. */
static void test_unasked_sunsubscribe(void) {
  be_patient();
  go_live();
  rig_subscribe(&rigs[0], 0, 3);
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].subs_subscribed, 3));
  for (unsigned i = 0; i < 5; i++) {
    unsigned live = rig_count(&rigs[0], &rigs[0].live);
    push("*3\r\n$12\r\nsunsubscribe\r\n$7\r\n{0}ch:1\r\n:1\r\n");
    CU_ASSERT(rig_wait(&rigs[0], &rigs[0].live, live + 1));
    CU_ASSERT(rig_wait(&rigs[0], &rigs[0].subs_subscribed, 3 * (i + 2)));
    CU_ASSERT_EQUAL(rig_count(&rigs[0], &rigs[0].causes[WWRI_CAUSE_DEMOTED]),
                    i + 1);
  }
  CU_ASSERT_EQUAL(rig_count(&rigs[1], &rigs[1].lost), 0);
  CU_ASSERT_EQUAL(rig_count(&rigs[1], &rigs[1].live), 1);
}

/* A redirection that goes round in circles costs a bounded number of tries. */
static void test_moved_for_ever(void) {
  go_live();
  char text[64];
  snprintf(text, sizeof(text), "-MOVED 13907 127.0.0.1:%u\r\n",
           liar_port(liar));
  lie("EVALSHA", text);
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].failed, 10));
  CU_ASSERT(rig_wait(&rigs[1], &rigs[1].failed, 10));
  CU_ASSERT(hub_rig_stats(&hub).trunks <= 3);
  expect_recovery();
}

/* A master that the others replaced, cut off from them, but not from us: it
 * goes on saying that it has all slots, and serves nobody. One link stays with
 * it, and does not keep the other from finding the new master. */
static void test_cut_off_master(void) {
  struct liar *promoted = liar_new();
  char address[32];
  liar_be_cluster(promoted);
  be_patient();
  liar_have_replica(liar, liar_port(promoted));
  rigs[0].opts.timing.suspect_ms = 300; /* the other one is not in a hurry */
  rigs[0].opts.timing.lost_ms = 1000;
  for (int i = 0; i < LINKS; i++) {
    rigs[i].opts.timing.beat_ms = 50;
    rigs[i].opts.timing.backoff_max_ms = 50;
  }
  snprintf(address, sizeof(address), "127.0.0.1:%u", liar_port(promoted));
  go_live();
  lie("{0}", "-CLUSTERDOWN The cluster is down\r\n");
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].lost, 1));
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].live, 2));
  CU_ASSERT_STRING_EQUAL(rig_stats(&rigs[0]).address, address);
  CU_ASSERT_EQUAL(rig_count(&rigs[1], &rigs[1].lost), 0);
  teardown();
  liar_free(promoted);
  setup();
}

/* Redirections and answers for a slot that is not due change nothing. */
static void test_stale_redirection(void) {
  be_patient();
  go_live();
  push("-MOVED 5 127.0.0.1:1\r\n");
  push("*3\r\n$12\r\nsunsubscribe\r\n$7\r\n{1}gone\r\n:0\r\n");
  CU_ASSERT(rig_wait(&rigs[1], &rigs[1].lost, 1));
  expect_recovery();
  CU_ASSERT_EQUAL(rig_count(&rigs[0], &rigs[0].lost), 0);
}

/* Whatever allocation fails: either it says so, or it gets there in the end. */
static void test_no_memory(void) {
  const char *why;
  long failures = 0;
  bool failed = true;
  for (long n = 0; failed; n++) {
    be_patient();
    test_alloc_fail_at(n);
    wwr_err err = wwri_redis_new(&rigs[0].link, hub.loop, &rigs[0].opts, &why);
    if (err == WWR_OK) {
      rig_start(&rigs[0], NULL);
      CU_ASSERT(rig_wait(&rigs[0], &rigs[0].live, 1));
      CU_ASSERT_EQUAL(rig_run(&rigs[0], "PING", 0).outcome, WWRI_CALL_OK);
    } else {
      CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    }
    failed = test_alloc_failed();
    if (failed) failures++;
  }
  CU_ASSERT(failures > 10);
}

static void test_stop_at_any_time(void) {
  static const char *const silent[] = {"CLUSTER", "AUTH", "INFO", "SCRIPT",
                                       "SSUBSCRIBE"};
  for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
    unsigned accepted = liar_accepted(liar);
    lie(silent[i], "");
    start();
    while (liar_accepted(liar) == accepted) {
      rig_stats(&rigs[0]); /* the loop goes round */
    }
    teardown();
    setup();
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"honest", test_honest},
                         {"maps", test_maps},
                         {"no cluster", test_it_is_no_cluster},
                         {"lies", test_lies},
                         {"lies while live", test_lies_while_live},
                         {"pushes", test_pushes},
                         {"an answer to nothing", test_answer_to_nothing},
                         {"unasked sunsubscribe", test_unasked_sunsubscribe},
                         {"moved for ever", test_moved_for_ever},
                         {"a master that is cut off", test_cut_off_master},
                         {"stale redirection", test_stale_redirection},
                         {"stop at any time", test_stop_at_any_time},
                         {"no memory", test_no_memory},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"redis hub liar", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
