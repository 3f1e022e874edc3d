/* slot_faults_test.c - the bus of three nodes on a Redis Cluster of three
 * masters and three replicas while masters fail, change roles and give slots
 * away under traffic. Every message is counted (bus_ledger.h). */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bus_ledger_impl.h"
#include "partition.h"
#include "redis_cluster_fixture.h"
#include "test.h"

enum { MASTERS = 3, HALF_MS = 1500, AWAY_MS = 4000, FAILED_MAX = 10 };

static struct redis_cluster cluster;
static unsigned slot; /* of channel 0 */

static struct ledger_opts usual = {.url = cluster.url,
                                   .hold_ms = 10000,
                                   .pace_ms = 3,
                                   .payload = 100,
                                   .log_entries = 100000,
                                   .shards = true};

static unsigned slot_of(const char *name) {
  char key[64];
  snprintf(key, sizeof key, "{%s}",
           wwri_partition_tag(wwri_partition_of(wwr_view_str(name))));
  return redis_cluster_slot(&cluster, key);
}

/* After a test in which a master was lost, another cluster;
 * else without the
 * data of the last test. */
static bool worn;

static void begin(void) {
  if (worn) {
    redis_cluster_remove(&cluster);
    CU_ASSERT_TRUE_FATAL(redis_cluster_start(&cluster, MASTERS, 1, NULL));
  }
  worn = false;
  for (unsigned i = 0; i < cluster.count; i++) {
    redis_run(&cluster.servers[i], "FLUSHALL", NULL, 0); /* replicas refuse */
  }
  ledger_open(&usual);
  CU_ASSERT_TRUE(ledger_await_acked(200));
}

static void lasts(int ms) {
  poll(NULL, 0, ms);
}

static unsigned owner(void) {
  return redis_cluster_owner(&cluster, slot);
}

static unsigned another_master(void) {
  for (unsigned s = 0; s < REDIS_CLUSTER_SLOTS; s += 100) {
    unsigned other = redis_cluster_owner(&cluster, s);
    if (other != owner() && other < REDIS_CLUSTER_MAX) return other;
  }
  return REDIS_CLUSTER_MAX;
}

static void nothing_happens(void) {
  begin();
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("Redis Cluster, calm");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.verdicts[WWRI_UNCERTAIN], 0);
  ledger_expect_calm(&sums);
}

static void a_master_hands_over(void) {
  begin();
  CU_ASSERT_TRUE(redis_cluster_hand_over(&cluster, slot));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("CLUSTER FAILOVER");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

static void a_master_is_killed(void) {
  begin();
  worn = true;
  CU_ASSERT_TRUE(redis_cluster_fail_over(&cluster, slot));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("a master killed");
  ledger_expect_complete(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

/* Longer than the others wait for it: it comes back as a master that is none
 * any more. */
static void a_master_is_cut_off(void) {
  begin();
  worn = true;
  unsigned old = owner(), next = redis_cluster_replica(&cluster, old);
  redis_signal(&cluster.servers[old], SIGSTOP);
  lasts(AWAY_MS);
  redis_signal(&cluster.servers[old], SIGCONT);
  CU_ASSERT_TRUE(redis_cluster_await(&cluster, slot, next));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("a master cut off for 4 s");
  ledger_expect_complete(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
}

/* The old master serves on until it is told: what it still takes behind what it
 * refused makes that fail, with certainty. */
static void a_replica_that_missed_writes_takes_over(void) {
  begin();
  CU_ASSERT_TRUE(redis_cluster_take_over(&cluster, slot, 400));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("a replica that missed writes");
  ledger_expect_complete(&sums);
  CU_ASSERT_TRUE(sums.failed <= FAILED_MAX);
}

static void half_of_a_slot_moves(void) {
  begin();
  CU_ASSERT_TRUE(redis_cluster_move(&cluster, slot, another_master(), HALF_MS));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("a slot half moved for 1.5 s");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

/* There and back, at once: who looks late finds it where it was. */
static void a_slot_moves_there_and_back(void) {
  begin();
  unsigned here = owner(), there = another_master();
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(redis_cluster_move(&cluster, slot, there, 0));
    CU_ASSERT_TRUE(redis_cluster_move(&cluster, slot, here, 0));
  }
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("a slot moved there and back, 3 times");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

static void a_third_of_the_slots_moves(void) {
  begin();
  unsigned from = owner(), to = another_master();
  CU_ASSERT_TRUE(redis_cluster_reshard(&cluster, from, to, 5000));
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("5000 slots resharded");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.unready, 0);
  CU_ASSERT_TRUE(redis_cluster_reshard(&cluster, to, from, 5000));
}

static void all_connections_are_cut(void) {
  begin();
  for (unsigned i = 0; i < cluster.count; i++) {
    redis_run(&cluster.servers[i], "CLIENT KILL TYPE normal", NULL, 0);
    redis_run(&cluster.servers[i], "CLIENT KILL TYPE pubsub", NULL, 0);
  }
  ledger_fault_over();
  struct ledger_sums sums = ledger_end("all connections to it closed");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

#define TEST(name) \
  { #name, name }

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {TEST(nothing_happens),
                         TEST(a_master_hands_over),
                         TEST(half_of_a_slot_moves),
                         TEST(a_slot_moves_there_and_back),
                         TEST(a_third_of_the_slots_moves),
                         TEST(all_connections_are_cut),
                         TEST(a_replica_that_missed_writes_takes_over),
                         TEST(a_master_is_killed),
                         TEST(a_master_is_cut_off),
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"slot_faults", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  if (!redis_cluster_start(&cluster, MASTERS, 1, NULL)) return 1;
  slot = slot_of("ch0");
  int status = test_run(argc, argv, suites);
  redis_cluster_remove(&cluster);
  return status;
}
