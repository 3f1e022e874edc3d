/* bus_redis_main.c - the contract over Redis: three nodes in this process, each
 * with its own membership. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus_contract.h"
#include "bus_impl.h"
#include "redis_fixture.h"
#include "wwr_cluster.h"

static struct redis_server server;

static wwr_err redis_bus_start(struct bus_node *node) {
  static const char *const names[] = {"first", "second", "third"};
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  char url[64];
  wwr_cluster_opts_default(&opts);
  snprintf(url, sizeof url, "redis://127.0.0.1:%u", server.port);
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

static void redis_bus_close(struct bus_node *node) {
  node->bus->ops->close(node->bus);
}

static void redis_bus_free(struct bus_node *node) {
  node->bus->ops->free(node->bus);
  wwr_cluster_free(node->own);
}

/* A server that stands still answers nothing. */
static void redis_bus_hold(bool on) {
  redis_signal(&server, on ? SIGSTOP : SIGCONT);
}

const struct bus_subject bus_subject_redis = {.name = "redis",
                                              .nodes = 3,
                                              .strict = true,
                                              .start = redis_bus_start,
                                              .close = redis_bus_close,
                                              .free = redis_bus_free,
                                              .hold = redis_bus_hold};

static void set_up(void) {
  CU_ASSERT_TRUE_FATAL(redis_run(&server, "FLUSHALL", NULL, 0));
  bus_fixture_open(&bus_subject_redis, NULL);
}

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {BUS_CONTRACT("redis", set_up), CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  redis_init(&server, NULL);
  if (!redis_start(&server)) return 1;
  int status = test_run(argc, argv, suites);
  redis_remove(&server);
  return status;
}
