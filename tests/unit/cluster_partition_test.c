/* Partitions: what must never change, and how evenly they are spread. */
#include <stdio.h>
#include <string.h>

#include "partition.h"
#include "test.h"

enum { SLOTS = 16384, NAMES = 64000 };

/* The slot of a tag, by the book: CRC16 (XMODEM) of it. */
static unsigned slot_of(const char *tag) {
  unsigned crc = 0;
  for (; *tag; tag++) {
    crc ^= (unsigned)(unsigned char)*tag << 8;
    for (int bit = 0; bit < 8; bit++) {
      crc = crc & 0x8000u ? crc << 1 ^ 0x1021u : crc << 1;
    }
    crc &= 0xffffu;
  }
  return crc % SLOTS;
}

static void names_keep_their_partition(void) {
  static const struct {
    const char *name;
    unsigned partition;
  } frozen[] = {{"", 38},       {"0", 44},
                {"a", 27},      {"lobby", 39},
                {"room-1", 63}, {"room-2", 32},
                {"chat", 22},   {"news", 47},
                {"user:42", 8}, {"\xc3\xa4\xc3\xb6", 19}};
  for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++) {
    CU_ASSERT_EQUAL(wwri_partition_of(wwr_view_str(frozen[i].name)),
                    frozen[i].partition);
  }
  uint8_t longest[255];
  memset(longest, 'x', sizeof longest);
  struct wwr_view view = {longest, sizeof longest};
  CU_ASSERT_EQUAL(wwri_partition_of(view), 48);
}

static void expect_even(const char *pattern) {
  unsigned counts[WWRI_PARTITIONS] = {0};
  for (unsigned i = 0; i < NAMES; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s%u", pattern, i);
    counts[wwri_partition_of(wwr_view_str(name))]++;
  }
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    CU_ASSERT_TRUE(counts[i] > NAMES / WWRI_PARTITIONS * 4 / 5);
    CU_ASSERT_TRUE(counts[i] < NAMES / WWRI_PARTITIONS * 6 / 5);
  }
}

static void names_are_spread_evenly(void) {
  expect_even("");
  expect_even("room-");
  expect_even("user:");
}

/* The sum stands for all of them: whoever changes one changes it. */
static void tags_are_frozen(void) {
  uint32_t sum = 0;
  CU_ASSERT_STRING_EQUAL(wwri_partition_tag(0), "0");
  CU_ASSERT_STRING_EQUAL(wwri_partition_tag(1), "8");
  CU_ASSERT_STRING_EQUAL(wwri_partition_tag(47), "5722");
  CU_ASSERT_STRING_EQUAL(wwri_partition_tag(63), "26");
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    sum = sum * 31 + slot_of(wwri_partition_tag(i));
  }
  CU_ASSERT_EQUAL(sum, UINT32_C(2393497353));
}

static void every_64th_of_the_slots_has_a_tag(void) {
  unsigned counts[WWRI_PARTITIONS] = {0};
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    counts[slot_of(wwri_partition_tag(i)) / (SLOTS / WWRI_PARTITIONS)]++;
  }
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) CU_ASSERT_EQUAL(counts[i], 1);
}

/* The slots as `redis-cli --cluster create` deals them out. */
static unsigned master_of(unsigned slot, unsigned masters) {
  for (unsigned i = 0; i < masters - 1; i++) {
    double last = (i + 1) * ((double)SLOTS / masters) - 1;
    if (slot <= (unsigned)(last + 0.5)) return i;
  }
  return masters - 1;
}

static void expect_balanced(const unsigned counts[], unsigned parts) {
  for (unsigned i = 0; i < parts; i++) {
    CU_ASSERT_TRUE(counts[i] >= WWRI_PARTITIONS / parts);
    CU_ASSERT_TRUE(counts[i] <= (WWRI_PARTITIONS + parts - 1) / parts);
  }
}

static void every_master_gets_its_share(void) {
  for (unsigned masters = 2; masters <= WWRI_PARTITIONS; masters++) {
    unsigned counts[WWRI_PARTITIONS] = {0};
    for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
      counts[master_of(slot_of(wwri_partition_tag(i)), masters)]++;
    }
    expect_balanced(counts, masters);
  }
}

static void every_shard_gets_its_share(void) {
  for (unsigned shards = 1; shards <= WWRI_SHARDS_MAX; shards++) {
    unsigned counts[WWRI_SHARDS_MAX] = {0};
    uint8_t all[WWRI_PARTITIONS];
    wwri_partition_shards(shards, all);
    for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
      unsigned shard = wwri_partition_shard(i, shards);
      CU_ASSERT_EQUAL(shard, all[i]);
      CU_ASSERT_TRUE_FATAL(shard < shards);
      counts[shard]++;
    }
    expect_balanced(counts, shards);
  }
}

static void a_shard_more_moves_only_what_it_gets(void) {
  uint8_t before[WWRI_PARTITIONS], after[WWRI_PARTITIONS];
  for (unsigned shards = 2; shards <= WWRI_SHARDS_MAX; shards++) {
    wwri_partition_shards(shards - 1, before);
    wwri_partition_shards(shards, after);
    for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
      CU_ASSERT_TRUE(after[i] == before[i] || after[i] == shards - 1);
    }
  }
}

static void shards_are_frozen(void) {
  uint32_t sum = 0;
  for (unsigned shards = 1; shards <= WWRI_SHARDS_MAX; shards++) {
    for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
      sum = sum * 31 + wwri_partition_shard(i, shards);
    }
  }
  CU_ASSERT_EQUAL(sum, UINT32_C(2186634663));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"names_keep_their_partition", names_keep_their_partition},
      {"names_are_spread_evenly", names_are_spread_evenly},
      {"tags_are_frozen", tags_are_frozen},
      {"every_64th_of_the_slots_has_a_tag", every_64th_of_the_slots_has_a_tag},
      {"every_master_gets_its_share", every_master_gets_its_share},
      {"every_shard_gets_its_share", every_shard_gets_its_share},
      {"a_shard_more_moves_only_what_it_gets",
       a_shard_more_moves_only_what_it_gets},
      {"shards_are_frozen", shards_are_frozen},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"partition", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
