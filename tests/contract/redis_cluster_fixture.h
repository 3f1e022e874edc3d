/* redis_cluster_fixture.h - a Redis Cluster of the test's own: masters with
 * even ranges of slots, replicas of each, on free ports of loopback; it fails
 * over within some two seconds. With TLS its servers speak it among themselves
 * and name those ports; the test itself talks to the plain ones. */
#ifndef REDIS_CLUSTER_FIXTURE_H
#define REDIS_CLUSTER_FIXTURE_H

#include "redis_fixture.h"

struct test_authority;

enum { REDIS_CLUSTER_MAX = 8, REDIS_CLUSTER_SLOTS = 16384 };

struct redis_cluster {
  struct redis_server servers[REDIS_CLUSTER_MAX]; /* the masters first */
  char ids[REDIS_CLUSTER_MAX][41];
  char bus_ports[REDIS_CLUSTER_MAX][8];
  int reserved[REDIS_CLUSTER_MAX];        /* keep them */
  const struct test_authority *authority; /* NULL: it speaks no TLS */
  char tls_ports[REDIS_CLUSTER_MAX][8];
  int tls_reserved[REDIS_CLUSTER_MAX];
  unsigned masters;
  unsigned count;
  bool shard_ids; /* the servers write them into their files */
  char url[256];  /* redis+cluster://..., all servers */
};

/** Start `masters` masters with `replicas` replicas each (server masters * r +
 * m is a replica of server m) and wait until all serve all slots. `args`
 * besides the fixture's own, NULL or ended by NULL. False, and the reason on
 * stderr, when that takes too long; then it is removed already. */
bool redis_cluster_start(struct redis_cluster *cluster, unsigned masters,
                         unsigned replicas, const char *const *args);

/** The same without replicas, and with TLS by the authority's certificate
 * (borrowed). `url` is then that of the plain ports: for clients it is wrong.
 */
bool redis_cluster_start_tls(struct redis_cluster *cluster, unsigned masters,
                             const struct test_authority *authority,
                             const char *const *args);

/** Kill all and remove their directories. */
void redis_cluster_remove(struct redis_cluster *cluster);

/** One server more, a master without slots; `args` as above. Its index,
 * REDIS_CLUSTER_MAX: it did not come up. */
unsigned redis_cluster_add(struct redis_cluster *cluster,
                           const char *const *args);

/** The slot of a key or a channel. */
unsigned redis_cluster_slot(const struct redis_cluster *cluster,
                            const char *key);

/** The server that has the slot, as most of those that run see it. */
unsigned redis_cluster_owner(const struct redis_cluster *cluster,
                             unsigned slot);

/** Wait until every server that runs has the cluster for whole and knows
 * `owner` as the master of the slot. */
bool redis_cluster_await(const struct redis_cluster *cluster, unsigned slot,
                         unsigned owner);

/** A server that runs and replicates that master, REDIS_CLUSTER_MAX: none. */
unsigned redis_cluster_replica(const struct redis_cluster *cluster,
                               unsigned master);

/** Kill the master of a slot and wait until a replica has it. */
bool redis_cluster_fail_over(struct redis_cluster *cluster, unsigned slot);

/** CLUSTER FAILOVER at a replica of the slot's master, and wait. */
bool redis_cluster_hand_over(struct redis_cluster *cluster, unsigned slot);

/** CLUSTER FAILOVER TAKEOVER at a replica that has missed what was written in
 * the `ms` before, and wait: the old master is told by the others. */
bool redis_cluster_take_over(struct redis_cluster *cluster, unsigned slot,
                             uint32_t ms);

/** redis-cli --cluster reshard: the first `slots` slots of a master. */
bool redis_cluster_reshard(struct redis_cluster *cluster, unsigned from,
                           unsigned to, unsigned slots);

/** Move one slot as redis-cli does, and stay `half_ms` with half of its keys
 * moved. */
bool redis_cluster_move(struct redis_cluster *cluster, unsigned slot,
                        unsigned to, uint32_t half_ms);

#endif
