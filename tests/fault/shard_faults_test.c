/* shard_faults_test.c - the bus of three nodes over a list of three Redis while
 * one of them fails: its channels wait for it, those of the others notice
 * nothing. Every message is counted (bus_ledger.h). */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bus_ledger_impl.h"
#include "partition.h"
#include "redis_fixture.h"
#include "replicas.h"
#include "test.h"

enum {
  SHARDS = 3,
  VICTIM = 1, /* the shard that fails, and the channel that is on it */
  SHORT_HOLD_MS = 2000,
  STOP_MS = 3000,
  LONG_STOP_MS = 5000,
  QUIET_MS = 1000 /* what others may take; measured: 30 ms */
};

static struct redis_server servers[SHARDS];
static char url[512];
static char names[LEDGER_CHANNELS][16];
static const char *const name_list[LEDGER_CHANNELS] = {names[0], names[1],
                                                       names[2], names[3]};
static struct ledger_opts usual = {.url = url,
                                   .names = name_list,
                                   .hold_ms = 10000,
                                   .pace_ms = 3,
                                   .payload = 100,
                                   .log_entries = 100000,
                                   .shards = true};

static unsigned shard_of(const char *name) {
  return wwri_partition_shard(wwri_partition_of(wwr_view_str(name)), SHARDS);
}

/* Channel i is on shard i modulo their number. */
static void choose_names(void) {
  for (unsigned i = 0, n = 0; i < LEDGER_CHANNELS; n++) {
    snprintf(names[i], sizeof names[i], "ch%u", n);
    if (shard_of(names[i]) == i % SHARDS) i++;
  }
}

static void print_url(char *out, size_t cap, const unsigned *order,
                      unsigned count) {
  size_t len = 0;
  for (unsigned i = 0; i < count; i++) {
    len += (size_t)snprintf(out + len, cap - len, "%sredis://127.0.0.1:%s",
                            i ? " " : "", servers[order[i]].port_text);
  }
}

static void begin(uint32_t hold_ms) {
  static const unsigned order[SHARDS] = {0, 1, 2};
  for (unsigned i = 0; i < SHARDS; i++) {
    redis_init(&servers[i], NULL);
    CU_ASSERT_TRUE_FATAL(redis_start(&servers[i]));
  }
  print_url(url, sizeof url, order, SHARDS);
  usual.hold_ms = hold_ms;
  ledger_open(&usual);
  CU_ASSERT_TRUE(ledger_await_acked(200));
}

/* A fault takes its time; traffic goes on meanwhile. */
static void lasts(int ms) {
  poll(NULL, 0, ms);
}

static struct ledger_sums end(const char *name) {
  struct ledger_sums sums = ledger_end(name);
  for (unsigned i = 0; i < SHARDS; i++) redis_remove(&servers[i]);
  for (unsigned i = 0; i < LEDGER_CHANNELS; i++) {
    printf("  shard %u: longest ack %lld ms, longest way %lld ms\n", i % SHARDS,
           (long long)sums.channels[i].longest_ack_ms,
           (long long)sums.channels[i].longest_way_ms);
  }
  return sums;
}

/* The channels of the other shards, and the nodes themselves. */
static void expect_others_unmoved(const struct ledger_sums *sums) {
  for (unsigned i = 0; i < LEDGER_CHANNELS; i++) {
    const struct ledger_channel_sums *channel = &sums->channels[i];
    if (i % SHARDS == VICTIM) continue;
    CU_ASSERT_TRUE(channel->acked > 50);
    CU_ASSERT_EQUAL(channel->failed, 0);
    CU_ASSERT_EQUAL(channel->unknown, 0);
    CU_ASSERT_EQUAL(channel->verdicts, 0);
    CU_ASSERT_TRUE(channel->longest_ack_ms < ledger_allowed(sums, QUIET_MS));
    CU_ASSERT_TRUE(channel->longest_way_ms < ledger_allowed(sums, QUIET_MS));
  }
  CU_ASSERT_EQUAL(sums->unready, 0);
}

static void nothing_happens(void) {
  begin(10000);
  ledger_fault_over();
  struct ledger_sums sums = end("three shards, calm");
  ledger_expect_whole(&sums);
  expect_others_unmoved(&sums);
  ledger_expect_calm(&sums);
}

static void one_shard_is_stopped(void) {
  begin(10000);
  redis_signal(&servers[VICTIM], SIGSTOP);
  lasts(STOP_MS);
  redis_signal(&servers[VICTIM], SIGCONT);
  ledger_fault_over();
  struct ledger_sums sums = end("one of three stopped for 3 s");
  ledger_expect_whole(&sums);
  expect_others_unmoved(&sums);
  CU_ASSERT_TRUE(sums.channels[VICTIM].longest_ack_ms >= STOP_MS / 2);
}

static void one_shard_loses_its_data(void) {
  begin(10000);
  redis_kill(&servers[VICTIM]);
  lasts(500);
  CU_ASSERT_TRUE(redis_start(&servers[VICTIM]));
  ledger_fault_over();
  struct ledger_sums sums = end("one of three restarted without data");
  ledger_expect_complete(&sums);
  expect_others_unmoved(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
}

/* What the node says of itself while one shard is away for good. */
static void check_state(void) {
  struct wwri_bus_state state;
  struct wwr_bus *bus = ledger.nodes[0].bus;
  bus->ops->state(bus, &state);
  CU_ASSERT_EQUAL(state.health, WWRI_BUS_HOLDING);
  CU_ASSERT_PTR_NOT_NULL(strstr(state.reason, servers[VICTIM].port_text));
}

static void one_shard_is_away_for_longer_than_the_hold_time(void) {
  begin(SHORT_HOLD_MS);
  redis_signal(&servers[VICTIM], SIGSTOP);
  lasts(LONG_STOP_MS);
  check_state();
  redis_signal(&servers[VICTIM], SIGCONT);
  ledger_fault_over();
  struct ledger_sums sums = end("one of three away for longer than hold");
  CU_ASSERT_TRUE(sums.channels[VICTIM].failed > 0);
  expect_others_unmoved(&sums);
}

/* The first is the one that others turn to when nothing is said (control). */
static void the_first_shard_is_killed(void) {
  begin(10000);
  redis_kill(&servers[0]);
  lasts(500);
  CU_ASSERT_TRUE(redis_start(&servers[0]));
  ledger_fault_over();
  struct ledger_sums sums = end("the first of three restarted without data");
  ledger_expect_complete(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
  CU_ASSERT_EQUAL(sums.unready, 0);
}

static void all_shards_are_away(void) {
  begin(SHORT_HOLD_MS);
  for (unsigned i = 0; i < SHARDS; i++) redis_signal(&servers[i], SIGSTOP);
  CU_ASSERT_TRUE(ledger_await_ready(false));
  for (unsigned i = 0; i < SHARDS; i++) redis_signal(&servers[i], SIGCONT);
  ledger_fault_over();
  struct ledger_sums sums = end("all three away for longer than hold");
  CU_ASSERT_TRUE(sums.unready >= LEDGER_NODES);
}

/* One of the list is a master with a replica and sentinels of its own. */
static void one_shard_fails_over(void) {
  struct replicas *group = replicas_start();
  CU_ASSERT_PTR_NOT_NULL_FATAL(group);
  for (unsigned i = 0; i < SHARDS; i++) {
    redis_init(&servers[i], NULL);
    if (i != VICTIM) CU_ASSERT_TRUE_FATAL(redis_start(&servers[i]));
  }
  snprintf(url, sizeof url, "redis://127.0.0.1:%s %s redis://127.0.0.1:%s",
           servers[0].port_text, replicas_url(group), servers[2].port_text);
  usual.hold_ms = 10000;
  ledger_open(&usual);
  CU_ASSERT_TRUE(ledger_await_acked(200));
  CU_ASSERT_TRUE(replicas_fail_over(group));
  ledger_fault_over();
  struct ledger_sums sums = end("one of three fails over by its sentinels");
  replicas_stop(group);
  ledger_expect_complete(&sums);
  expect_others_unmoved(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
}

/* --- another list --- */

static struct wwr_bus *stranger;

static bool is_refused(void) {
  struct wwri_bus_state state;
  stranger->ops->state(stranger, &state);
  return state.health == WWRI_BUS_REFUSED;
}

/* A node with this list is not let in, and says so with these words. */
static void expect_refused(const char *list, const char *words) {
  struct wwr_cluster *cluster;
  struct wwr_cluster_opts opts;
  struct wwri_bus_config config;
  struct wwri_bus_state state;
  static const struct wwri_bus_events none = {0};
  wwr_cluster_opts_default(&opts);
  opts.url = list;
  opts.name = "stranger";
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&cluster, &opts, NULL), WWR_OK);
  stranger = wwr_cluster_bus(cluster);
  wwri_bus_config_default(&config);
  config.events = &none;
  config.fingerprint = "message-buffer=65536\n";
  config.address = "stranger:1";
  CU_ASSERT_EQUAL_FATAL(stranger->ops->open(stranger, &config, 0), WWR_OK);
  CU_ASSERT_TRUE(ledger_until(is_refused));
  stranger->ops->state(stranger, &state);
  printf("  refused: %s\n", state.reason);
  CU_ASSERT_PTR_NOT_NULL(strstr(state.reason, words));
  stranger->ops->close(stranger);
  stranger->ops->free(stranger);
  wwr_cluster_free(cluster);
}

static void other_lists_are_refused(void) {
  static const unsigned swapped[] = {1, 0, 2};
  static const unsigned alone[] = {0};
  char list[256];
  begin(10000);
  print_url(list, sizeof list, swapped, 3);
  expect_refused(list, "shard");
  print_url(list, sizeof list, swapped, 2);
  expect_refused(list, "shard");
  print_url(list, sizeof list, alone, 1);
  expect_refused(list, "tags");
  ledger_fault_over();
  struct ledger_sums sums = end("nodes with other lists come");
  ledger_expect_whole(&sums);
  expect_others_unmoved(&sums);
  ledger_expect_calm(&sums);
}

#define TEST(name) \
  { #name, name }

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {TEST(nothing_happens),
                         TEST(one_shard_is_stopped),
                         TEST(one_shard_loses_its_data),
                         TEST(one_shard_is_away_for_longer_than_the_hold_time),
                         TEST(the_first_shard_is_killed),
                         TEST(all_shards_are_away),
                         TEST(one_shard_fails_over),
                         TEST(other_lists_are_refused),
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"shard_faults", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  choose_names();
  return test_run(argc, argv, suites);
}
