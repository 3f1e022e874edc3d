/* The link and a server that is killed, stopped, cut off, demoted. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "redis_fixture.h"
#include "redis_rig.h"
#include "test.h"

static struct redis_server server;
static struct rig rig;

static void init_rig(const struct redis_server *it) {
  char url[64];
  snprintf(url, sizeof(url), "redis://127.0.0.1:%u", it->port);
  rig_init(&rig, url);
}

static void setup(void) {
  redis_init(&server, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  init_rig(&server);
}

static void teardown(void) {
  rig_end(&rig);
  redis_remove(&server);
}

static void go_live(void) {
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
}

/* In one look: it goes on trying. */
static bool all_losses_are(enum wwri_redis_cause cause) {
  pthread_mutex_lock(&rig.lock);
  bool are = rig.causes[cause] == rig.lost + rig.failed;
  pthread_mutex_unlock(&rig.lock);
  return are;
}

static void test_killed_and_started_again(void) {
  char replid[WWRI_REPLID_MAX], other_replid[WWRI_REPLID_MAX];
  go_live();
  rig_subscribe(&rig, 0, 10);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 10));
  rig_replid(&rig, replid);
  redis_kill(&server);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 2));
  CU_ASSERT_TRUE(all_losses_are(WWRI_CAUSE_IO));
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).err, WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.subs_lost), 10);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  rig_replid(&rig, other_replid);
  CU_ASSERT_STRING_NOT_EQUAL(other_replid, replid);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 20));
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
}

static void test_not_there_at_first(void) {
  redis_kill(&server);
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 3));
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

/* A moment may be long on a busy machine. */
static void bear_silence(void) {
  rig.opts.timing.reply_ms = rig.opts.timing.lost_ms = RIG_WAIT_MS;
}

static void test_stopped_for_a_moment(void) {
  bear_silence();
  go_live();
  redis_signal(&server, SIGSTOP);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.suspect, 1));
  redis_signal(&server, SIGCONT);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.recovered, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 1);
}

struct pending {
  struct wwri_redis_call call;
  unsigned ends;
  enum wwri_redis_outcome outcome;
  bool maybe_done;
};

static struct pending pending;

static void on_pending(struct wwri_redis_call *call,
                       const struct wwri_redis_result *result) {
  struct pending *it = WWRI_CONTAINER(call, struct pending, call);
  pthread_mutex_lock(&rig.lock);
  it->ends++;
  it->outcome = result->outcome;
  it->maybe_done = result->maybe_done;
  pthread_cond_broadcast(&rig.changed);
  pthread_mutex_unlock(&rig.lock);
}

static void make_pending(struct rig *it, void *arg) {
  const struct wwr_view argv[] = {wwr_view_str("INCR"), wwr_view_str("n")};
  (void)arg;
  pending = (struct pending){.call = {.done = on_pending}};
  CU_ASSERT_EQUAL(wwri_redis_call(it->link, &pending.call, argv, 2, 0), WWR_OK);
}

static void test_stopped_for_long(void) {
  go_live();
  rig_subscribe(&rig, 0, 3);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 3));
  redis_signal(&server, SIGSTOP);
  rig_on_loop(&rig, make_pending, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &pending.ends, 1));
  CU_ASSERT_EQUAL(pending.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_TRUE(pending.maybe_done);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.suspect), 1);
  CU_ASSERT_TRUE(rig_count(&rig, &rig.causes[WWRI_CAUSE_BEAT]) +
                     rig_count(&rig, &rig.causes[WWRI_CAUSE_TIMEOUT]) >
                 0);
  redis_signal(&server, SIGCONT);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 6));
  CU_ASSERT_EQUAL(rig_count(&rig, &pending.ends), 1);
}

static void test_stopped_while_connecting(void) {
  rig.opts.timing.connect_ms = rig.opts.timing.reply_ms = 300;
  redis_signal(&server, SIGSTOP);
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_TIMEOUT], 2));
  redis_signal(&server, SIGCONT);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
}

/* Either connection alone: both are made anew. */
static void test_one_connection_cut(void) {
  static const char *const kill[] = {"CLIENT KILL TYPE normal SKIPME yes",
                                     "CLIENT KILL TYPE pubsub"};
  char before[2000];
  char after[2000];
  go_live();
  for (unsigned i = 0; i < 2; i++) {
    CU_ASSERT_TRUE(
        redis_run(&server, "CLIENT LIST TYPE pubsub", before, sizeof(before)));
    CU_ASSERT_TRUE(redis_run(&server, kill[i], NULL, 0));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, i + 1));
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, i + 2));
    CU_ASSERT_TRUE(
        redis_run(&server, "CLIENT LIST TYPE pubsub", after, sizeof(after)));
    CU_ASSERT_NOT_EQUAL(strncmp(before, after, strcspn(before, " ")), 0);
    CU_ASSERT_PTR_NULL(strchr(after, '\n') ? strstr(strchr(after, '\n'), "id=")
                                           : NULL); /* one, not two */
  }
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
}

/* --- Replicas ----------------------------------------------------------- */

static struct redis_server other;

static bool start_other(void) {
  redis_init(&other, NULL);
  return redis_start(&other);
}

static void replicate(struct redis_server *replica,
                      const struct redis_server *master) {
  char line[64];
  snprintf(line, sizeof(line), "REPLICAOF 127.0.0.1 %u", master->port);
  CU_ASSERT_TRUE(redis_run(replica, line, NULL, 0));
  CU_ASSERT_TRUE(
      redis_until(replica, "INFO replication", "master_link_status:up"));
}

static void test_a_replica_is_refused_until_promoted(void) {
  CU_ASSERT_TRUE_FATAL(start_other());
  CU_ASSERT_TRUE(
      redis_run(&other, "CONFIG SET repl-diskless-sync-delay 0", NULL, 0));
  replicate(&server, &other);
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_ROLE], 3));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  CU_ASSERT_TRUE(redis_run(&server, "REPLICAOF NO ONE", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
  redis_remove(&other);
}

static void test_demoted_under_a_live_link(void) {
  char replid[WWRI_REPLID_MAX], other_replid[WWRI_REPLID_MAX];
  CU_ASSERT_TRUE_FATAL(start_other());
  CU_ASSERT_TRUE(
      redis_run(&other, "CONFIG SET repl-diskless-sync-delay 0", NULL, 0));
  go_live();
  rig_replid(&rig, replid);
  replicate(&server, &other);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_ROLE], 1));
  CU_ASSERT_TRUE(redis_run(&server, "REPLICAOF NO ONE", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  rig_replid(&rig, other_replid);
  CU_ASSERT_STRING_NOT_EQUAL(other_replid, replid);
  redis_remove(&other);
}

static void want_replicas(unsigned count) {
  char line[64];
  snprintf(line, sizeof(line), "CONFIG SET min-replicas-to-write %u", count);
  CU_ASSERT_TRUE(redis_run(&server, line, NULL, 0));
}

static void test_writes_refused_for_want_of_replicas(void) {
  bear_silence();
  go_live();
  want_replicas(1);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.suspect, 1));
  want_replicas(0);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.recovered, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

static void test_writes_refused_for_long(void) {
  go_live();
  want_replicas(1);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_TRUE(
      rig_why_has(&rig, WWRI_CAUSE_BEAT, "beats are refused: NOREPLICAS"));
  want_replicas(0);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
}

/* --- Ending ------------------------------------------------------------- */

static void test_ended_at_any_moment(void) {
  rig_end(&rig);
  for (int i = 0; i < 60; i++) {
    init_rig(&server);
    rig_start(&rig, NULL);
    if (i % 3 == 1) rig_wait(&rig, &rig.live, 1);
    for (int turns = 0; turns < i / 3; turns++) rig_stats(&rig);
    rig_end(&rig);
  }
}

static void test_ended_with_calls_pending(void) {
  go_live();
  redis_signal(&server, SIGSTOP);
  rig_on_loop(&rig, make_pending, NULL);
  rig_end(&rig);
  CU_ASSERT_EQUAL(pending.ends, 1);
  CU_ASSERT_EQUAL(pending.outcome, WWRI_CALL_UNAVAILABLE);
}

/* Far more than fits into the socket while the server does not read: what has
 * left may have been executed, what has not was certainly not. */
enum { LARGE_CALLS = 400 };

static struct pending large[LARGE_CALLS];
static unsigned large_ends;

static void on_large(struct wwri_redis_call *call,
                     const struct wwri_redis_result *result) {
  on_pending(call, result);
  pthread_mutex_lock(&rig.lock);
  large_ends++;
  pthread_cond_broadcast(&rig.changed);
  pthread_mutex_unlock(&rig.lock);
}

static void make_large(struct rig *it, void *arg) {
  static uint8_t bytes[64 << 10];
  const struct wwr_view argv[] = {
      wwr_view_str("SET"), wwr_view_str("k"), {bytes, sizeof(bytes)}};
  (void)arg;
  large_ends = 0;
  for (int i = 0; i < LARGE_CALLS; i++) {
    large[i] = (struct pending){.call = {.done = on_large}};
    CU_ASSERT_EQUAL(wwri_redis_call(it->link, &large[i].call, argv, 3, 0),
                    WWR_OK);
  }
}

static void test_what_has_not_left_was_not_executed(void) {
  go_live();
  redis_signal(&server, SIGSTOP);
  rig_on_loop(&rig, make_large, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &large_ends, LARGE_CALLS));
  int left = 0;
  while (left < LARGE_CALLS && large[left].maybe_done) left++;
  CU_ASSERT_TRUE(left > 0 && left < LARGE_CALLS);
  for (int i = 0; i < LARGE_CALLS; i++) {
    CU_ASSERT_EQUAL(large[i].ends, 1);
    CU_ASSERT_EQUAL(large[i].outcome, WWRI_CALL_UNAVAILABLE);
    CU_ASSERT_EQUAL(large[i].maybe_done, i < left);
  }
}

static void test_never_started(void) {
  const char *why;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_new(&rig.link, rig.loop, &rig.opts, &why),
                        WWR_OK);
  rig_end(&rig); /* stop works */
  init_rig(&server);
  CU_ASSERT_EQUAL_FATAL(wwri_redis_new(&rig.link, rig.loop, &rig.opts, &why),
                        WWR_OK);
  wwri_redis_free(rig.link);
  rig.link = NULL;
  wwri_redis_free(NULL);
}

/* Whatever allocation fails: either it says so, or it gets there in the end. */
static void test_no_memory(void) {
  const char *why;
  long failures = 0;
  rig_end(&rig);
  for (long n = 0;; n++) {
    init_rig(&server);
    test_alloc_fail_at(n);
    wwr_err err = wwri_redis_new(&rig.link, rig.loop, &rig.opts, &why);
    if (err == WWR_OK) {
      rig_start(&rig, NULL);
      CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
      CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
    } else {
      CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    }
    bool failed = test_alloc_failed();
    rig_end(&rig);
    if (!failed) break;
    failures++;
  }
  CU_ASSERT_TRUE(failures > 1);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"killed and started again", test_killed_and_started_again},
      {"not there at first", test_not_there_at_first},
      {"stopped for a moment", test_stopped_for_a_moment},
      {"stopped for long", test_stopped_for_long},
      {"stopped while connecting", test_stopped_while_connecting},
      {"one connection cut", test_one_connection_cut},
      {"a replica", test_a_replica_is_refused_until_promoted},
      {"demoted", test_demoted_under_a_live_link},
      {"no replicas", test_writes_refused_for_want_of_replicas},
      {"no replicas for long", test_writes_refused_for_long},
      {"ended at any moment", test_ended_at_any_moment},
      {"ended with calls pending", test_ended_with_calls_pending},
      {"what has not left", test_what_has_not_left_was_not_executed},
      {"never started", test_never_started},
      {"no memory", test_no_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis faults", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
