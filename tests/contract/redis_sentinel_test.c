/* The link and real sentinels: finds the master, and the next one. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "redis_fixture.h"
#include "redis_rig.h"
#include "test.h"

enum { SENTINELS = 3 };

static struct redis_server nodes[2]; /* 0 begins as the master */
static struct redis_server sentinels[SENTINELS];
static char files[SENTINELS][128];
static struct rig rig;

static void write_file(const char *path, const struct redis_server *it) {
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fprintf(file,
          "port %u\nbind 127.0.0.1\ndir %s\n"
          "sentinel monitor mymaster 127.0.0.1 %u 2\n"
          "sentinel down-after-milliseconds mymaster 2000\n"
          "sentinel failover-timeout mymaster 3000\n",
          it->port, it->dir, nodes[0].port);
  CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
}

static void start_nodes(void) {
  static const char *const fast[] = {"--repl-diskless-sync-delay", "0", NULL};
  char line[64];
  for (int i = 0; i < 2; i++) {
    redis_init(&nodes[i], fast);
    CU_ASSERT_TRUE_FATAL(redis_start(&nodes[i]));
  }
  snprintf(line, sizeof(line), "REPLICAOF 127.0.0.1 %u", nodes[0].port);
  CU_ASSERT_TRUE_FATAL(redis_run(&nodes[1], line, NULL, 0));
  CU_ASSERT_TRUE_FATAL(
      redis_until(&nodes[0], "INFO replication", "state=online"));
}

static void start_sentinels(void) {
  for (int i = 0; i < SENTINELS; i++) {
    const char *const args[] = {files[i], "--sentinel", NULL};
    redis_init(&sentinels[i], args);
    sentinels[i].sentinel = true;
    snprintf(files[i], sizeof(files[i]), "%s/s.conf", sentinels[i].dir);
    write_file(files[i], &sentinels[i]);
    CU_ASSERT_TRUE_FATAL(redis_start(&sentinels[i]));
  }
  for (int i = 0; i < SENTINELS; i++) {
    CU_ASSERT_TRUE_FATAL(redis_until(&sentinels[i], "SENTINEL MASTER mymaster",
                                     "num-other-sentinels 2"));
    CU_ASSERT_TRUE_FATAL(
        redis_until(&sentinels[i], "SENTINEL MASTER mymaster", "num-slaves 1"));
  }
}

static void init_rig(const char *name) {
  char url[128];
  snprintf(url, sizeof(url),
           "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,"
           "127.0.0.1:%u/%s",
           sentinels[0].port, sentinels[1].port, sentinels[2].port, name);
  rig_init(&rig, url);
}

static void setup(void) {
  start_nodes();
  start_sentinels();
  init_rig("mymaster");
}

static void teardown(void) {
  rig_end(&rig);
  for (int i = 0; i < SENTINELS; i++) redis_remove(&sentinels[i]);
  for (int i = 0; i < 2; i++) redis_remove(&nodes[i]);
}

static void expect_address(const struct redis_server *node) {
  char text[64];
  snprintf(text, sizeof(text), "127.0.0.1:%u", node->port);
  CU_ASSERT_STRING_EQUAL(rig_stats(&rig).address, text);
}

/* The link may have been live on the old one for a moment more: what counts is
 * where it ends up. */
static void expect_live_on(const struct redis_server *node) {
  char text[64];
  struct wwri_redis_stats stats;
  snprintf(text, sizeof(text), "127.0.0.1:%u", node->port);
  for (int i = 0; i < RIG_WAIT_MS / 5; i++) {
    stats = rig_stats(&rig);
    if (stats.state == WWRI_PAIR_LIVE && strcmp(stats.address, text) == 0) {
      return;
    }
    poll(NULL, 0, 5);
  }
  CU_ASSERT_STRING_EQUAL(stats.address, text);
  CU_FAIL("not live there");
}

static void go_live(void) {
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
  expect_address(&nodes[0]);
}

static void test_the_master_dies(void) {
  char replid[WWRI_REPLID_MAX], other[WWRI_REPLID_MAX];
  go_live();
  rig_subscribe(&rig, 0, 100);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 100));
  rig_replid(&rig, replid);
  redis_kill(&nodes[0]);
  expect_live_on(&nodes[1]);
  /* By the news, without another visit to the old one, which still answers as
   * a master when the next sentinel is asked. */
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 2);
  rig_replid(&rig, other);
  CU_ASSERT_STRING_NOT_EQUAL(other, replid);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 200));
  CU_ASSERT_STRING_EQUAL(rig_run(&rig, "SET k v", 0).text, "OK");
}

/* Nothing breaks the connections: the news or the beat does. */
static void test_the_master_is_replaced(void) {
  go_live();
  CU_ASSERT_TRUE(
      redis_run(&sentinels[0], "SENTINEL FAILOVER mymaster", NULL, 0));
  expect_live_on(&nodes[1]);
  /* By the news, without another visit to the old one, which still answers as
   * a master when the next sentinel is asked. */
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 2);
}

static void test_sentinels_die(void) {
  redis_kill(&sentinels[0]); /* it is asked first */
  go_live();
  redis_kill(&sentinels[1]);
  redis_kill(&sentinels[2]);
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
  CU_ASSERT_TRUE(redis_run(&nodes[0], "CLIENT KILL TYPE pubsub", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_RESOLVE], 1));
  CU_ASSERT_TRUE(rig_why_has(&rig, WWRI_CAUSE_RESOLVE, "sentinel 127.0.0.1:"));
  CU_ASSERT_TRUE_FATAL(redis_start(&sentinels[1]));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
}

static void test_an_unknown_name(void) {
  rig_end(&rig);
  init_rig("nobody");
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_RESOLVE], 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  CU_ASSERT_TRUE(rig_why_has(&rig, WWRI_CAUSE_RESOLVE, "does not know"));
}

static void test_sentinels_with_a_password(void) {
  for (int i = 0; i < SENTINELS; i++) {
    CU_ASSERT_TRUE_FATAL(
        redis_run(&sentinels[i], "ACL SETUSER default resetpass >pw", NULL, 0));
  }
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_RESOLVE], 1));
  CU_ASSERT_TRUE(rig_why_has(&rig, WWRI_CAUSE_RESOLVE, "NOAUTH"));
  rig_end(&rig);
  init_rig("mymaster?sentinel_password=wrong");
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_RESOLVE], 1));
  CU_ASSERT_TRUE(rig_why_has(&rig, WWRI_CAUSE_RESOLVE, "WRONGPASS"));
  rig_end(&rig);
  init_rig("mymaster?sentinel_user=default&sentinel_password=pw");
  go_live();
}

static void test_a_silent_sentinel(void) {
  redis_signal(&sentinels[0], SIGSTOP);
  go_live(); /* by the next */
  redis_signal(&sentinels[0], SIGCONT);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"the master dies", test_the_master_dies},
      {"the master is replaced", test_the_master_is_replaced},
      {"sentinels die", test_sentinels_die},
      {"an unknown name", test_an_unknown_name},
      {"sentinels with a password", test_sentinels_with_a_password},
      {"a silent sentinel", test_a_silent_sentinel},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis sentinel", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
