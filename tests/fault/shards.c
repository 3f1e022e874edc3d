#include "shards.h"

#include <stdio.h>
#include <stdlib.h>

#include "partition.h"

struct shards {
  bool is_cluster;
  struct redis_server servers[SHARDS];
  struct redis_cluster cluster;
  unsigned slot;
  char url[256];
  char room_log[32];
};

static unsigned room_partition(void) {
  return wwri_partition_of(wwr_view_str("room"));
}

static bool start_list(struct shards *shards) {
  size_t len = 0;
  for (unsigned i = 0; i < SHARDS; i++) {
    redis_init(&shards->servers[i], NULL);
    if (!redis_start(&shards->servers[i])) return false;
    len += (size_t)snprintf(shards->url + len, sizeof shards->url - len,
                            "%sredis://127.0.0.1:%s", i ? " " : "",
                            shards->servers[i].port_text);
  }
  return true;
}

static bool start_cluster(struct shards *shards) {
  if (!redis_cluster_start(&shards->cluster, SHARDS, 1, NULL)) return false;
  snprintf(shards->url, sizeof shards->url, "%s", shards->cluster.url);
  shards->slot = redis_cluster_slot(&shards->cluster, shards->room_log);
  return true;
}

struct shards *shards_start(bool cluster) {
  struct shards *shards = calloc(1, sizeof *shards);
  if (!shards) return NULL;
  shards->is_cluster = cluster;
  snprintf(shards->room_log, sizeof shards->room_log, "wwr:{%s}:l:room",
           wwri_partition_tag(room_partition()));
  if (cluster ? start_cluster(shards) : start_list(shards)) return shards;
  shards_stop(shards);
  return NULL;
}

void shards_stop(struct shards *shards) {
  if (!shards) return;
  redis_cluster_remove(&shards->cluster);
  for (unsigned i = 0; i < SHARDS; i++) redis_remove(&shards->servers[i]);
  free(shards);
}

const char *shards_url(const struct shards *shards) {
  return shards->url;
}

size_t shards_ports(const struct shards *shards, uint16_t *ports) {
  const struct redis_server *servers =
      shards->is_cluster ? shards->cluster.servers : shards->servers;
  size_t count = shards->is_cluster ? shards->cluster.count : SHARDS;
  for (size_t i = 0; i < count; i++) ports[i] = servers[i].port;
  return count;
}

const char *shards_room_log(const struct shards *shards) {
  return shards->room_log;
}

struct redis_server *shards_other(struct shards *shards) {
  unsigned room = wwri_partition_shard(room_partition(), SHARDS);
  return &shards->servers[(room + 1) % SHARDS];
}

struct redis_cluster *shards_cluster(struct shards *shards) {
  return &shards->cluster;
}

unsigned shards_room_slot(const struct shards *shards) {
  return shards->slot;
}

unsigned shards_room_master(const struct shards *shards) {
  return redis_cluster_owner(&shards->cluster, shards->slot);
}

unsigned shards_other_master(const struct shards *shards) {
  unsigned room = shards_room_master(shards);
  for (unsigned slot = 0; slot < REDIS_CLUSTER_SLOTS; slot += 100) {
    unsigned other = redis_cluster_owner(&shards->cluster, slot);
    if (other != room && other < REDIS_CLUSTER_MAX) return other;
  }
  return REDIS_CLUSTER_MAX;
}
