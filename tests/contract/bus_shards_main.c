/* bus_shards_main.c - the contract over three Redis: three nodes in this
 * process, each with a membership for each of them. And what only a bus that is
 * sharded promises. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_contract.h"
#include "bus_impl.h"
#include "redis_fixture.h"
#include "wwr_cluster.h"

enum { SHARDS = 3 };

static struct redis_server servers[SHARDS];

static wwr_err shards_start(struct bus_node *node) {
  static const char *const names[] = {"first", "second", "third"};
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  char url[256];
  wwr_cluster_opts_default(&opts);
  snprintf(url, sizeof url,
           "redis://127.0.0.1:%u redis://127.0.0.1:%u\n\tredis://127.0.0.1:%u ",
           servers[0].port, servers[1].port, servers[2].port);
  opts.url = url;
  opts.name = names[node->index];
  opts.hold_ms = BUS_WAIT_MS / 2; /* nobody waits for their end */
  opts.lease_ms = BUS_WAIT_MS;
  wwr_err err = wwr_cluster_new(&cluster, &opts, NULL);
  if (err) return err;
  node->own = cluster;
  node->bus = wwr_cluster_bus(cluster);
  return node->bus->ops->open(node->bus, &node->config, 0);
}

static void shards_close(struct bus_node *node) {
  node->bus->ops->close(node->bus);
}

static void shards_free(struct bus_node *node) {
  node->bus->ops->free(node->bus);
  wwr_cluster_free(node->own);
}

static void hold_one(unsigned index, bool on) {
  redis_signal(&servers[index], on ? SIGSTOP : SIGCONT);
}

static void shards_hold(bool on) {
  for (unsigned i = 0; i < SHARDS; i++) hold_one(i, on);
}

static const struct bus_subject subject = {.name = "shards",
                                           .nodes = 3,
                                           .strict = true,
                                           .start = shards_start,
                                           .close = shards_close,
                                           .free = shards_free,
                                           .hold = shards_hold};

static void set_up(void) {
  for (unsigned i = 0; i < SHARDS; i++) {
    CU_ASSERT_TRUE_FATAL(redis_run(&servers[i], "FLUSHALL", NULL, 0));
  }
  bus_fixture_open(&subject, NULL);
}

/* --- what only shards promise --- */

/* A channel of the shard: "room-1" and so on. */
static const char *channel_of(unsigned shard, unsigned nth) {
  static char name[32];
  for (unsigned i = 0;; i++) {
    snprintf(name, sizeof name, "room-%u", i);
    unsigned partition = wwri_partition_of(wwr_view_str(name));
    if (wwri_partition_shard(partition, SHARDS) == shard && nth-- == 0) {
      return name;
    }
  }
}

static void every_shard_has_its_channels(void) {
  struct wwri_bus_shard shards[SHARDS + 1];
  struct bus_receiver *receivers[SHARDS];
  struct wwr_bus *bus = node(0)->bus;
  for (unsigned i = 0; i < SHARDS; i++) {
    receivers[i] = bus_listen(node(0), channel_of(i, 0));
    bus_listen(node(0), channel_of(i, 1));
    CU_ASSERT_EQUAL(bus_end(bus_publish(node(1), channel_of(i, 0), "x")),
                    WWR_OK);
    CU_ASSERT_TRUE(bus_await(receivers[i], 1));
  }
  CU_ASSERT_EQUAL(bus->ops->shards(bus, shards, SHARDS + 1), SHARDS);
  unsigned partitions = 0;
  for (unsigned i = 0; i < SHARDS; i++) {
    char name[64];
    snprintf(name, sizeof name, "redis://127.0.0.1:%u", servers[i].port);
    CU_ASSERT_STRING_EQUAL(shards[i].name, name);
    CU_ASSERT_STRING_EQUAL(shards[i].address, name + strlen("redis://"));
    CU_ASSERT_EQUAL(shards[i].channels, 2);
    CU_ASSERT_EQUAL(shards[i].delivered, 1);
    CU_ASSERT_EQUAL(shards[i].health, WWRI_BUS_READY);
    CU_ASSERT_EQUAL(shards[i].slot, -1);
    partitions += shards[i].partitions;
  }
  CU_ASSERT_EQUAL(partitions, WWRI_PARTITIONS);
  CU_ASSERT_EQUAL(bus->ops->shards(bus, shards, 1), SHARDS);
  CU_ASSERT_EQUAL(bus_state(node(0)).channels, 2 * SHARDS);
}

static bool has_key(unsigned shard, const char *key) {
  char line[128], out[16] = "";
  snprintf(line, sizeof line, "EXISTS %s", key);
  CU_ASSERT_TRUE(redis_run(&servers[shard], line, out, sizeof out));
  return out[0] == '1';
}

/* So that data can move to another shard under the name that it has. */
static void keys_have_the_tag_of_their_name(void) {
  for (unsigned i = 0; i < SHARDS; i++) {
    const char *channel = channel_of(i, 0);
    char key[96];
    bus_end(bus_publish(node(0), channel, "x"));
    bus_end(bus_presence(node(0), channel, "ann", 1));
    const char *tag =
        wwri_partition_tag(wwri_partition_of(wwr_view_str(channel)));
    static const char *const kinds[] = {"m", "l", "pi"};
    for (unsigned kind = 0; kind < 3; kind++) {
      snprintf(key, sizeof key, "wwr:{%s}:%s:%s", tag, kinds[kind], channel);
      for (unsigned j = 0; j < SHARDS; j++) {
        CU_ASSERT_EQUAL(has_key(j, key), i == j);
      }
    }
    CU_ASSERT_TRUE(has_key(i, "wwr:{0}:gen"));
    CU_ASSERT_TRUE(has_key(i, "wwr:{0}:nodes"));
  }
}

static void await_health(enum wwri_bus_health health) {
  for (int i = 0; i < 4000 && bus_state(node(0)).health != health; i++) {
    poll(NULL, 0, 5);
  }
  CU_ASSERT_EQUAL(bus_state(node(0)).health, health);
}

static void a_shard_that_is_away_is_missed_by_its_channels_alone(void) {
  struct bus_receiver *r = bus_listen(node(0), channel_of(1, 0));
  hold_one(2, true);
  struct bus_call *waits = bus_publish(node(0), channel_of(2, 0), "late");
  await_health(WWRI_BUS_HOLDING);
  struct wwri_bus_state state = bus_state(node(0));
  CU_ASSERT_PTR_NOT_NULL(strstr(state.reason, "1 of 3 shards: redis://"));
  CU_ASSERT_EQUAL(bus_end(bus_publish(node(1), channel_of(1, 0), "x")), WWR_OK);
  CU_ASSERT_TRUE(bus_await(r, 1));
  bus_await_nodes(node(0), "first:1=0;second:2=0;third:3=0;");
  CU_ASSERT_FALSE(bus_ended(waits));
  hold_one(2, false);
  CU_ASSERT_EQUAL(bus_end(waits), WWR_OK);
  await_health(WWRI_BUS_READY);
  CU_ASSERT_STRING_EQUAL(bus_state(node(0)).reason, "");
}

static void small_queue(struct wwri_bus_config *config) {
  config->max_queued_bytes = 100000;
}

/* The sum of what waits at all shards has one ceiling. */
static void the_ceiling_is_one(void) {
  unsigned taken = 0;
  bus_fixture_reopen(small_queue);
  shards_hold(true);
  for (unsigned i = 0; i < 10000; i++) {
    struct bus_call *call =
        bus_publish(node(0), channel_of(i % SHARDS, 0), "x");
    if (call->refused == WWR_E_LIMIT) break;
    CU_ASSERT_EQUAL_FATAL(call->refused, WWR_OK);
    taken++;
  }
  CU_ASSERT_TRUE(taken > 0);
  for (unsigned i = 0; i < SHARDS; i++) {
    CU_ASSERT_EQUAL(bus_publish(node(0), channel_of(i, 0), "x")->refused,
                    WWR_E_LIMIT);
  }
  uint64_t queued = bus_state(node(0)).queued_bytes;
  CU_ASSERT_TRUE(queued <= node(0)->config.max_queued_bytes);
  shards_hold(false);
}

/* Its list is right in itself; only the servers can tell. */
static void a_redis_of_two_names_is_refused(void) {
  static const struct wwri_bus_events deaf;
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  struct wwri_bus_config config;
  struct wwri_bus_state state;
  char url[128];
  wwr_cluster_opts_default(&opts);
  snprintf(url, sizeof url, "redis://127.0.0.1:%u redis://127.1:%u",
           servers[0].port, servers[0].port);
  opts.url = url;
  opts.prefix = "twice";
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&cluster, &opts, NULL), WWR_OK);
  struct wwr_bus *bus = wwr_cluster_bus(cluster);
  wwri_bus_config_default(&config);
  config.events = &deaf;
  CU_ASSERT_EQUAL(bus->ops->open(bus, &config, 0), WWR_OK);
  for (int i = 0; i < 4000; i++) {
    bus->ops->state(bus, &state);
    if (state.health == WWRI_BUS_REFUSED) break;
    poll(NULL, 0, 5);
  }
  CU_ASSERT_EQUAL(state.health, WWRI_BUS_REFUSED);
  CU_ASSERT_PTR_NOT_NULL(
      strstr(state.reason, "settings disagree: here shard="));
  bus->ops->close(bus);
  wwr_cluster_free(cluster);
}

static uint64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* One takes up to 2.5 s when its Redis is silent. */
static void they_end_together(void) {
  struct bus_call *calls[SHARDS];
  shards_hold(true);
  for (unsigned i = 0; i < SHARDS; i++) {
    calls[i] = bus_publish(node(0), channel_of(i, 0), "x");
  }
  uint64_t began = clock_ms();
  bus_close_node(node(0));
  CU_ASSERT_TRUE(clock_ms() - began < 6000);
  for (unsigned i = 0; i < SHARDS; i++) CU_ASSERT_TRUE(bus_ended(calls[i]));
  shards_hold(false);
}

static CU_TestInfo shards_tests[] = {
    {"every_shard_has_its_channels", every_shard_has_its_channels},
    {"keys_have_the_tag_of_their_name", keys_have_the_tag_of_their_name},
    {"a_shard_that_is_away_is_missed_by_its_channels_alone",
     a_shard_that_is_away_is_missed_by_its_channels_alone},
    {"the_ceiling_is_one", the_ceiling_is_one},
    {"a_redis_of_two_names_is_refused", a_redis_of_two_names_is_refused},
    {"they_end_together", they_end_together},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      BUS_CONTRACT("shards", set_up),
      {"shards/shards", NULL, NULL, set_up, bus_fixture_close, shards_tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  bool good = true;
  for (unsigned i = 0; i < SHARDS; i++) {
    redis_init(&servers[i], NULL);
    if (!redis_start(&servers[i])) good = false;
  }
  int status = good ? test_run(argc, argv, suites) : 1;
  for (unsigned i = 0; i < SHARDS; i++) redis_remove(&servers[i]);
  return status;
}
