/* redis_group.h - the Redis servers that a node's setting names - one, a list,
 * or the masters of a Redis Cluster - and which of them has a name's keys. */
#ifndef WEBWIRE_REDIS_GROUP_H
#define WEBWIRE_REDIS_GROUP_H

#include "redis_connect.h"
#include "servers.h"

enum { REDIS_ID_SIZE = 64 };

struct redis_server {
  struct redis_conn *conn;
  char id[REDIS_ID_SIZE];
};

/** Which process and which of its databases it is, by whatever address. Empty
 * when Redis does not say. */
void redis_identify(struct redis_conn *conn, uint32_t db,
                    char out[REDIS_ID_SIZE]);

struct redis_group {
  enum wwri_sharding kind;
  struct redis_server *servers;
  size_t count;
  /** The server of each partition, an index; of one: all 0. */
  unsigned of_partition[WWRI_PARTITIONS];
};

/** Connect to all. Whole, or false and a line in `why`. The group may be closed
 * in any case. */
bool redis_group_open(struct redis_group *group, const char *text,
                      uint32_t timeout_ms, char why[REDIS_WHY_SIZE]);
void redis_group_close(struct redis_group *group);

/** The tag of the keys of a partition's names. */
const char *redis_group_tag(const struct redis_group *group,
                            unsigned partition);

struct redis_master {
  struct wwri_redis_host host; /* as the server that was asked calls it */
  unsigned replicas;           /* of which that server knows */
  unsigned partitions;
};

enum { REDIS_SLOTS = 16384 };

/** The masters of a Redis Cluster, and which of them has each partition. */
struct redis_masters {
  struct redis_master *list;
  size_t count;
  unsigned slots;                         /* how many have a master */
  unsigned of_partition[WWRI_PARTITIONS]; /* an index; count: none */
};

/** Ask the nodes of the URL, one after the other, until one knows. False and a
 * line in `why`: none does, or (*reached is false) none could be asked. */
bool redis_masters_find(struct redis_masters *out,
                        const struct wwri_redis_url *url, uint32_t timeout_ms,
                        bool *reached, char why[REDIS_WHY_SIZE]);
void redis_masters_deinit(struct redis_masters *masters);

#endif
