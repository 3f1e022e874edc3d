/* partition.h - which part of a sharded cluster a name belongs to. Pure, and
 * frozen: the keys of all data in Redis are made of it (docs/cluster.md).
 *
 * A channel's name, or a session's id, has one of 64 partitions. A partition
 * has a tag, which stands in its keys between braces, so that a Redis Cluster
 * keeps them on one server; where the shards are Redis servers of their own,
 * each has some of the partitions. */
#ifndef WWRI_PARTITION_H
#define WWRI_PARTITION_H

#include "wwr_payload.h"

enum { WWRI_PARTITIONS = 64, WWRI_SHARDS_MAX = 64 };

/** 0 to 63; of any bytes. */
unsigned wwri_partition_of(struct wwr_view name);

/** Its tag: one to four digits; "0" is that of partition 0, and of a cluster
 * that is not sharded. The tags' slots lie so that of 2 to 64 masters that
 * share a Redis Cluster's slots evenly, in order, no two differ by more than
 * one partition. */
const char *wwri_partition_tag(unsigned partition);

/** Which of `shards` (1 to 64) servers has it: 0 to shards - 1. No two differ
 * by more than one partition, and one server more takes partitions from the
 * others, but moves none between them. */
unsigned wwri_partition_shard(unsigned partition, unsigned shards);

/** The same for all partitions. */
void wwri_partition_shards(unsigned shards, uint8_t out[WWRI_PARTITIONS]);

#endif
