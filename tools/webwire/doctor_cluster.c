/* A Redis Cluster: whether it is whole, can lose a master, and notices in time;
 * then each of its masters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "redis_group.h"

enum { SLOW_TIMEOUT_MS = 5000 };

/* --- The whole ------------------------------------------------------------ */

static void check_slots(struct report *report,
                        const struct redis_masters *masters) {
  if (masters->slots < REDIS_SLOTS)
    report_say(report, FINDING_PROBLEM, "redis slots",
               "bring the masters back, or redis-cli --cluster fix",
               "%u of %u slots have no master",
               (unsigned)REDIS_SLOTS - masters->slots, (unsigned)REDIS_SLOTS);
  else
    report_say(report, FINDING_OK, "redis slots", NULL,
               "all have a master, of %zu", masters->count);
}

static void check_replicas(struct report *report,
                           const struct redis_masters *masters) {
  for (size_t i = 0; i < masters->count; i++) {
    const struct redis_master *master = &masters->list[i];
    if (master->replicas == 0)
      report_say(report, FINDING_WARNING, "redis replicas",
                 "redis-cli --cluster add-node ... --cluster-slave: without "
                 "one its channels and sessions are away when it is",
                 "%s:%u has none", master->host.name, master->host.port);
  }
}

static void check_balance(struct report *report,
                          const struct redis_masters *masters) {
  unsigned most = 0, least = WWRI_PARTITIONS;
  for (size_t i = 0; i < masters->count; i++) {
    unsigned partitions = masters->list[i].partitions;
    if (partitions > most) most = partitions;
    if (partitions < least) least = partitions;
  }
  /* With even ranges of slots no two differ by more than one. */
  report_say(report, most > 2 * least ? FINDING_WARNING : FINDING_OK,
             "redis balance",
             most > 2 * least ? "redis-cli --cluster rebalance: even, "
                                "contiguous ranges of slots share best"
                              : NULL,
             "%u to %u of %u partitions to a master", least, most,
             (unsigned)WWRI_PARTITIONS);
}

/* --- Each master ---------------------------------------------------------- */

static void check_timeout(const struct patient *it) {
  char *text = doctor_setting(it->redis, "cluster-node-timeout");
  long ms = text ? strtol(text, NULL, 10) : 0;
  if (ms > SLOW_TIMEOUT_MS)
    report_say(it->report, FINDING_WARNING, "redis failover",
               "CONFIG SET cluster-node-timeout 2000 to 5000: a failover takes "
               "that long and a second or two, and nodes hold what needs Redis "
               "for 10 s (--hold)",
               "%scluster-node-timeout is %ld ms", it->whose, ms);
  free(text);
}

static void expect(const struct patient *it, const char *name,
                   const char *wanted, const char *advice) {
  char *value = doctor_setting(it->redis, name);
  if (value && strcmp(value, wanted) != 0)
    report_say(it->report, FINDING_WARNING, "redis coverage", advice,
               "%s%s is %s", it->whose, name, value);
  free(value);
}

static void examine_master(const struct cli *cli, struct report *report,
                           const struct wwri_redis_url *url,
                           const struct wwri_redis_host *host) {
  char why[REDIS_WHY_SIZE], whose[REDIS_ADDRESS_SIZE + 2];
  struct redis_conn *redis =
      redis_connect_host(url, host, cli->timeout_ms, why);
  if (!redis) {
    report_say(report, FINDING_PROBLEM, "redis",
               "nodes need to reach every master by the address that the "
               "cluster has for it",
               "%s", why);
    return;
  }
  snprintf(whose, sizeof whose, "%s: ", redis_address(redis));
  const struct patient patient = {report, redis, whose};
  doctor_examine(&patient, "a master of a Redis Cluster");
  check_timeout(&patient);
  expect(&patient, "cluster-allow-pubsubshard-when-down", "no",
         "CONFIG SET cluster-allow-pubsubshard-when-down no: a part of the "
         "cluster that is cut off should say so");
  expect(&patient, "cluster-require-full-coverage", "no",
         "CONFIG SET cluster-require-full-coverage no: else one master that "
         "is lost takes all others with it");
  redis_close(redis);
}

/* --- A cluster ------------------------------------------------------------ */

void doctor_redis_cluster(const struct cli *cli, struct report *report,
                          const struct wwri_redis_url *url) {
  struct redis_masters masters;
  char why[REDIS_WHY_SIZE];
  bool reached;
  if (redis_masters_find(&masters, url, cli->timeout_ms, &reached, why)) {
    check_slots(report, &masters);
    check_replicas(report, &masters);
    check_balance(report, &masters);
    for (size_t i = 0; i < masters.count; i++)
      examine_master(cli, report, url, &masters.list[i].host);
    redis_masters_deinit(&masters);
  } else if (reached) {
    report_say(
        report, FINDING_PROBLEM, "redis kind",
        "is it a Redis Cluster? One Redis is redis://HOST:PORT, a cluster "
        "with TLS rediss+cluster://",
        "%s", why);
  } else {
    report_say(report, FINDING_PROBLEM, "redis",
               "is it up, and reachable from here, with this user and "
               "password, and with TLS (rediss+cluster://) if that is what it "
               "speaks?",
               "%s", why);
  }
}
