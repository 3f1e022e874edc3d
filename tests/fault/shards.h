/* shards.h - three Redis that share the channels, as a list or as a Redis
 * Cluster with a replica of each; and who of them has the chat room. */
#ifndef WWR_TEST_SHARDS_H
#define WWR_TEST_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redis_cluster_fixture.h"

enum { SHARDS = 3 };

struct shards; /* opaque */

/** Start and wait until all serve. NULL, and the reason on stderr, when that
 * takes too long. */
struct shards *shards_start(bool cluster);
void shards_stop(struct shards *shards);

/** What the nodes' --redis is. Borrowed. */
const char *shards_url(const struct shards *shards);

/** The servers' ports, for ports[REDIS_CLUSTER_MAX]; how many. */
size_t shards_ports(const struct shards *shards, uint16_t *ports);

/** The room's log: its key on whichever server has it. Borrowed. */
const char *shards_room_log(const struct shards *shards);

/** A list: a server that has nothing of the room. */
struct redis_server *shards_other(struct shards *shards);

/** A Redis Cluster; and the room's slot. */
struct redis_cluster *shards_cluster(struct shards *shards);
unsigned shards_room_slot(const struct shards *shards);

/** ... its master now, and another master. */
unsigned shards_room_master(const struct shards *shards);
unsigned shards_other_master(const struct shards *shards);

#endif
