/* partition.c - names to partitions, partitions to tags and servers.
 *
 * Never change what comes out of here: data in Redis would not be found. */
#include "partition.h"

#include <assert.h>

/* FNV-1a, whose upper bits are good and whose lowest are not; so all of them
 * are mixed (the finalizer of MurmurHash3). */
unsigned wwri_partition_of(struct wwr_view name) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < name.len; i++) {
    hash = (hash ^ name.data[i]) * UINT64_C(0x100000001b3);
  }
  hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
  hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
  return (unsigned)((hash ^ hash >> 33) % WWRI_PARTITIONS);
}

/* How they were found: the slots are cut into 64 ranges; partition 0 has the
 * tag "0", whose slot is in range 54, and the others have the ranges after it,
 * and round. For each the smallest number whose slot belongs, however many
 * masters there are, to the same one as the middle of its range; but "0" itself
 * is far from the middle, so that "8" was chosen to make up for it. */
static const char tags[WWRI_PARTITIONS][5] = {
    "0",    "8",    "172",  "766",  "401",  "79",   "1734", "2066",
    "1247", "40",   "10",   "977",  "1641", "1764", "29",   "867",
    "736",  "2003", "184",  "2180", "76",   "2333", "679",  "2090",
    "227",  "2223", "109",  "2020", "557",  "844",  "134",  "20",
    "387",  "562",  "329",  "91",   "777",  "192",  "239",  "1951",
    "667",  "46",   "16",   "637",  "261",  "269",  "602",  "5722",
    "1",    "1819", "532",  "821",  "400",  "2045", "422",  "931",
    "151",  "2078", "2985", "981",  "621",  "2708", "1514", "26"};

const char *wwri_partition_tag(unsigned partition) {
  assert(partition < WWRI_PARTITIONS);
  return tags[partition];
}

static unsigned fullest(const unsigned counts[], unsigned shards) {
  unsigned best = 0;
  for (unsigned i = 1; i < shards; i++) {
    if (counts[i] > counts[best]) best = i;
  }
  return best;
}

/* Of the partitions of `from` the last goes to the new server. */
static void move_one(uint8_t out[WWRI_PARTITIONS], unsigned from, unsigned to) {
  for (unsigned i = WWRI_PARTITIONS; i-- > 0;) {
    if (out[i] != from) continue;
    out[i] = (uint8_t)to;
    return;
  }
}

/* As if the servers had been added one by one. */
void wwri_partition_shards(unsigned shards, uint8_t out[WWRI_PARTITIONS]) {
  unsigned counts[WWRI_SHARDS_MAX] = {WWRI_PARTITIONS};
  assert(shards >= 1 && shards <= WWRI_SHARDS_MAX);
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) out[i] = 0;
  for (unsigned added = 1; added < shards; added++) {
    while (counts[added] < WWRI_PARTITIONS / (added + 1)) {
      unsigned from = fullest(counts, added);
      move_one(out, from, added);
      counts[from]--;
      counts[added]++;
    }
  }
}

unsigned wwri_partition_shard(unsigned partition, unsigned shards) {
  uint8_t all[WWRI_PARTITIONS];
  assert(partition < WWRI_PARTITIONS);
  wwri_partition_shards(shards, all);
  return all[partition];
}
