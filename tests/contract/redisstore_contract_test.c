/* The contract of all session stores (sessionstore_contract.c), over Redis.
 *
 * Left out: what a store on another thread can't promise (which allocation
 * fails where), and replacing a session by another one with its key, which a
 * store for many nodes must not do (one_key_one_session). */
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "redisstore_rig.h"
#include "sessionstore_contract.h"
#include "sessionstore_fixture.h"
#include "wwr_cluster.h"
#include "wwr_redisstore.h"

enum { CASES_MAX = 64 };

static struct wwr_cluster *cluster;

static void leave(void) {
  if (!cluster) return;
  struct wwr_bus *bus = wwr_cluster_bus(cluster);
  bus->ops->close(bus);
  wwr_cluster_free(cluster);
  cluster = NULL;
}

/* The store of the last one was freed before, while its membership lived. */
static wwr_err open_redis(struct wwr_sessionstore **out, const char *place,
                          const struct wwr_log *log) {
  static const struct wwri_bus_events none = {0};
  struct wwr_cluster_opts opts;
  struct wwri_bus_config config;
  (void)place;
  leave();
  wwr_cluster_opts_default(&opts);
  opts.url = rs.url;
  opts.log = *log;
  wwr_err err = wwr_cluster_new(&cluster, &opts, NULL);
  if (!err) err = wwr_redisstore_new(out, cluster);
  if (err) return err;
  wwri_bus_config_default(&config);
  config.events = &none;
  struct wwr_bus *bus = wwr_cluster_bus(cluster);
  return bus->ops->open(bus, &config, 0);
}

static const struct subject subject_redis = {"redis", true, open_redis};

static void set_up(void) {
  rs_set_up();
  fixture_open(&subject_redis);
}

/* The membership logs to the fixture. */
static void tear_down(void) {
  fx.store->ops->free(fx.store);
  fx.store = NULL;
  leave();
  fixture_close();
}

static bool is_left_out(const char *name) {
  return strstr(name, "failing_allocations") ||
         strcmp(name, "a_key_used_again_is_replaced") == 0;
}

int main(int argc, char **argv) {
  static CU_TestInfo cases[CASES_MAX];
  CU_SuiteInfo suites[] = {
      {"sessionstore/redis", NULL, NULL, set_up, tear_down, cases},
      CU_SUITE_INFO_NULL,
  };
  size_t count = 0;
  for (size_t i = 0; sessionstore_contract[i].pName; i++) {
    if (is_left_out(sessionstore_contract[i].pName)) continue;
    if (count < CASES_MAX - 1) cases[count++] = sessionstore_contract[i];
  }
  enum rs_mode mode = rs_read_mode(&argc, &argv);
  if (!redis_available()) return 77;
  if (!rs_begin(mode, NULL)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
