/* The back-off, by tables: no clock, no dice. */
#include "reconnect.h"
#include "test.h"

static void waits_grow_up_to_the_ceiling(void) {
  static const struct {
    uint64_t shortest, longest;
  } expected[] = {{2000, 2000},   {2000, 4000},   {4000, 8000},
                  {8000, 16000},  {15000, 30000}, {15000, 30000},
                  {15000, 30000}, {15000, 30000}};
  struct wwri_reconnect low;
  struct wwri_reconnect high;
  wwri_reconnect_init(&low, 2000, 30000);
  wwri_reconnect_init(&high, 2000, 30000);
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    CU_ASSERT_EQUAL(wwri_reconnect_next(&low, 100, 0),
                    100 + expected[i].shortest);
    CU_ASSERT_EQUAL(wwri_reconnect_next(&high, 100, UINT32_MAX),
                    100 + expected[i].longest);
  }
}

static void the_dice_spread_evenly(void) {
  for (uint32_t i = 0; i <= 4; i++) {
    struct wwri_reconnect reconnect;
    wwri_reconnect_init(&reconnect, 1000, 8000);
    (void)wwri_reconnect_next(&reconnect, 0, 7);
    uint64_t wait = wwri_reconnect_next(&reconnect, 0, UINT32_MAX / 4 * i);
    uint64_t exact = 1000 + 250 * i;
    CU_ASSERT_TRUE(wait <= exact && wait + 1 >= exact);
  }
}

static void success_starts_again(void) {
  struct wwri_reconnect reconnect;
  wwri_reconnect_init(&reconnect, 10, 1000);
  for (int i = 0; i < 5; i++) (void)wwri_reconnect_next(&reconnect, 0, 1);
  wwri_reconnect_succeeded(&reconnect);
  CU_ASSERT_EQUAL(wwri_reconnect_next(&reconnect, 0, UINT32_MAX), 10);
}

static void it_goes_on_for_ever(void) {
  struct wwri_reconnect reconnect;
  wwri_reconnect_init(&reconnect, UINT32_MAX, UINT32_MAX);
  for (int i = 0; i < 100; i++) {
    uint64_t at = wwri_reconnect_next(&reconnect, 1, UINT32_MAX);
    CU_ASSERT_EQUAL(at, 1 + (uint64_t)UINT32_MAX);
  }
  reconnect.waits = UINT32_MAX;
  (void)wwri_reconnect_next(&reconnect, 1, 0);
  CU_ASSERT_EQUAL(reconnect.waits, UINT32_MAX);
}

static void a_ceiling_below_the_first_wait_is_raised(void) {
  struct wwri_reconnect reconnect;
  wwri_reconnect_init(&reconnect, 500, 100);
  (void)wwri_reconnect_next(&reconnect, 0, 0);
  CU_ASSERT_EQUAL(wwri_reconnect_next(&reconnect, 0, UINT32_MAX), 500);
}

static CU_TestInfo tests[] = {
    {"waits grow up to the ceiling", waits_grow_up_to_the_ceiling},
    {"the dice spread evenly", the_dice_spread_evenly},
    {"success starts again", success_starts_again},
    {"it goes on for ever", it_goes_on_for_ever},
    {"a low ceiling is raised", a_ceiling_below_the_first_wait_is_raised},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/reconnect", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
