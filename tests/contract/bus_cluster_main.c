/* bus_cluster_main.c - the contract over a Redis Cluster: three nodes in this
 * process, each with a membership for every partition. And what only a Redis
 * Cluster can do to a bus. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_contract.h"
#include "bus_impl.h"
#include "redis_cluster_fixture.h"
#include "wwr_cluster.h"

enum { MASTERS = 3 };

static struct redis_cluster servers;

static wwr_err cluster_start(struct bus_node *node) {
  static const char *const names[] = {"first", "second", "third"};
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  wwr_cluster_opts_default(&opts);
  opts.url = servers.url;
  opts.name = names[node->index];
  opts.hold_ms = BUS_WAIT_MS / 2; /* nobody waits for their end */
  opts.lease_ms = BUS_WAIT_MS;
  wwr_err err = wwr_cluster_new(&cluster, &opts, NULL);
  if (err) return err;
  node->own = cluster;
  node->bus = wwr_cluster_bus(cluster);
  return node->bus->ops->open(node->bus, &node->config, 0);
}

static void cluster_close(struct bus_node *node) {
  node->bus->ops->close(node->bus);
}

static void cluster_free(struct bus_node *node) {
  node->bus->ops->free(node->bus);
  wwr_cluster_free(node->own);
}

/* Masters that stand still are replaced by nobody: there are no replicas. */
static void cluster_hold(bool on) {
  for (unsigned i = 0; i < servers.count; i++) {
    redis_signal(&servers.servers[i], on ? SIGSTOP : SIGCONT);
  }
}

static const struct bus_subject subject = {.name = "cluster",
                                           .nodes = 3,
                                           .strict = true,
                                           .start = cluster_start,
                                           .close = cluster_close,
                                           .free = cluster_free,
                                           .hold = cluster_hold};

static void set_up(void) {
  for (unsigned i = 0; i < MASTERS; i++) {
    CU_ASSERT_TRUE_FATAL(redis_run(&servers.servers[i], "FLUSHALL", NULL, 0));
  }
  bus_fixture_open(&subject, NULL);
}

/* --- what only a Redis Cluster does --- */

static struct wwri_bus_shard shards[WWRI_PARTITIONS];

static void look(void) {
  struct wwr_bus *bus = node(0)->bus;
  CU_ASSERT_EQUAL(bus->ops->shards(bus, shards, WWRI_PARTITIONS),
                  WWRI_PARTITIONS);
}

static void every_partition_is_on_its_master(void) {
  look();
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    char name[16], address[64];
    snprintf(name, sizeof name, "{%s}", wwri_partition_tag(i));
    CU_ASSERT_STRING_EQUAL(shards[i].name, name);
    CU_ASSERT_EQUAL(shards[i].partitions, 1);
    CU_ASSERT_EQUAL(shards[i].health, WWRI_BUS_READY);
    unsigned slot = redis_cluster_slot(&servers, name);
    CU_ASSERT_EQUAL(shards[i].slot, (int)slot);
    snprintf(address, sizeof address, "127.0.0.1:%u",
             servers.servers[redis_cluster_owner(&servers, slot)].port);
    CU_ASSERT_STRING_EQUAL(shards[i].address, address);
  }
}

/* A channel whose partition has this tag. */
static const char *channel_of(unsigned partition, char name[32]) {
  for (unsigned i = 0;; i++) {
    snprintf(name, 32, "room-%u", i);
    if (wwri_partition_of(wwr_view_str(name)) == partition) return name;
  }
}

/* Messages before, while and after the slot goes elsewhere arrive in order. */
static void a_slot_moves(void) {
  char name[32], text[16], expected[1024] = "";
  fx.verdicts_expected = true; /* another master: uncertain, */
  fx.gaps_expected = true;     /* and another epoch */
  const char *channel = channel_of(0, name);
  struct bus_receiver *r = bus_listen(node(1), channel);
  unsigned slot = redis_cluster_slot(&servers, "{0}");
  unsigned from = redis_cluster_owner(&servers, slot);
  struct bus_call *calls[60];
  for (unsigned i = 0; i < 60; i++) {
    if (i == 20) {
      CU_ASSERT_TRUE_FATAL(
          redis_cluster_move(&servers, slot, (from + 1) % MASTERS, 50));
    }
    snprintf(text, sizeof text, "%u", i);
    calls[i] = bus_publish(node(0), channel, text);
    snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
             "%s ", text);
  }
  for (unsigned i = 0; i < 60; i++) {
    CU_ASSERT_EQUAL(bus_end(calls[i]), WWR_OK);
  }
  CU_ASSERT_TRUE(bus_await(r, 60));
  CU_ASSERT_STRING_EQUAL(bus_texts(r), expected);
  look();
  CU_ASSERT_TRUE(shards[0].reconnects > 0);
  CU_ASSERT_EQUAL(shards[0].health, WWRI_BUS_READY);
  CU_ASSERT_TRUE(redis_cluster_move(&servers, slot, from, 0)); /* as it was */
}

static CU_TestInfo cluster_tests[] = {
    {"every_partition_is_on_its_master", every_partition_is_on_its_master},
    {"a_slot_moves", a_slot_moves},
    CU_TEST_INFO_NULL};

/* With nobody to take over there is no reason for haste. */
static const char *const server_args[] = {"--cluster-node-timeout", "15000",
                                          NULL};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      BUS_CONTRACT("cluster", set_up),
      {"cluster/slots", NULL, NULL, set_up, bus_fixture_close, cluster_tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  if (!redis_cluster_start(&servers, MASTERS, 0, server_args)) return 1;
  int status = test_run(argc, argv, suites);
  redis_cluster_remove(&servers);
  return status;
}
