/* Which publishes were seen, against a model: a set of numbers. */
#include <string.h>

#include "rng.h"
#include "seen.h"
#include "test.h"

enum { NUMBERS = 2000, WINDOW = 256 };

static const struct wwri_boot alice = {1, 2}, bob = {1, 3};

static struct wwri_seen fresh(void) {
  struct wwri_seen seen;
  CU_ASSERT_EQUAL_FATAL(wwri_seen_init(&seen), WWR_OK);
  return seen;
}

static void it_knows_a_set(void) {
  struct wwri_seen seen = fresh();
  struct rng rng = {12345};
  bool model[NUMBERS] = {0};
  uint64_t high = 0;
  for (unsigned i = 0; i < 3000; i++) {
    uint64_t far = rng_below(&rng, 50) == 0 ? 300 : 8;
    uint64_t seq = high + rng_below(&rng, far) + 1;
    if (rng_below(&rng, 3) == 0 && high > 40) seq = high - rng_below(&rng, 40);
    if (seq >= NUMBERS) break;
    wwri_seen_add(&seen, alice, seq);
    model[seq] = true;
    if (seq > high) high = seq;
    for (uint64_t n = 1; n < NUMBERS; n++) {
      bool below = n + WINDOW < high;
      CU_ASSERT_EQUAL(wwri_seen_has(&seen, alice, n), model[n] || below);
    }
  }
  CU_ASSERT_TRUE(high > 1000);
  CU_ASSERT_FALSE(wwri_seen_has(&seen, bob, 1));
  wwri_seen_deinit(&seen);
}

static void a_hole_is_not_a_duplicate(void) {
  struct wwri_seen seen = fresh();
  wwri_seen_add(&seen, alice, 41);
  wwri_seen_add(&seen, alice, 43);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 41));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, alice, 42));
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 43));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, alice, 44));
  wwri_seen_deinit(&seen);
}

static void all_up_to_a_number(void) {
  struct wwri_seen seen = fresh();
  wwri_seen_add_up_to(&seen, alice, 10);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 1));
  wwri_seen_add(&seen, alice, 15);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 9));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, alice, 12));
  wwri_seen_add_up_to(&seen, alice, 12);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 12));
  CU_ASSERT_TRUE(wwri_seen_has(&seen, alice, 11));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, alice, 13));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, alice, 14));
  wwri_seen_add(&seen, alice, 0);
  CU_ASSERT_FALSE(wwri_seen_has(&seen, bob, 0));
  wwri_seen_deinit(&seen);
}

static void the_most_silent_is_forgotten(void) {
  struct wwri_seen seen = fresh();
  for (uint64_t i = 1; i <= WWRI_SEEN_MAX; i++) {
    wwri_seen_add(&seen, (struct wwri_boot){i, 0}, 5);
  }
  wwri_seen_add(&seen, (struct wwri_boot){1, 0}, 6); /* speaks again */
  wwri_seen_add(&seen, (struct wwri_boot){100, 0}, 5);
  CU_ASSERT_EQUAL(seen.count, WWRI_SEEN_MAX);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, (struct wwri_boot){1, 0}, 5));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, (struct wwri_boot){2, 0}, 5));
  CU_ASSERT_TRUE(wwri_seen_has(&seen, (struct wwri_boot){100, 0}, 5));
  wwri_seen_clear(&seen);
  CU_ASSERT_FALSE(wwri_seen_has(&seen, (struct wwri_boot){100, 0}, 5));
  wwri_seen_deinit(&seen);
}

static void without_memory_it_remembers_fewer(void) {
  struct wwri_seen seen;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_seen_init(&seen), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  seen = fresh();
  for (uint64_t i = 1; i <= 5; i++) {
    test_alloc_fail_at(0);
    wwri_seen_add(&seen, (struct wwri_boot){i, 0}, 5);
    test_alloc_failed();
  }
  CU_ASSERT_EQUAL(seen.count, 4);
  CU_ASSERT_TRUE(wwri_seen_has(&seen, (struct wwri_boot){5, 0}, 5));
  CU_ASSERT_FALSE(wwri_seen_has(&seen, (struct wwri_boot){1, 0}, 5));
  wwri_seen_deinit(&seen);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"it_knows_a_set", it_knows_a_set},
      {"a_hole_is_not_a_duplicate", a_hole_is_not_a_duplicate},
      {"all_up_to_a_number", all_up_to_a_number},
      {"the_most_silent_is_forgotten", the_most_silent_is_forgotten},
      {"without_memory_it_remembers_fewer", without_memory_it_remembers_fewer},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"seen", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
