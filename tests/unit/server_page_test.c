/* Pages of lists against a model: a sorted array of all that was offered. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "rng.h"
#include "survey.h"
#include "test.h"

enum { VALUES = 200, ROUNDS = 400 };

struct row {
  unsigned value;
  int offers; /* after the first */
};

static int held[VALUES];

static int compare(const void *a, const void *b) {
  const struct row *left = a, *right = b;
  return (left->value > right->value) - (left->value < right->value);
}

static void drop(void *row) {
  held[((struct row *)row)->value]--;
}

static const struct wwri_page_kind kind = {sizeof(struct row), compare, drop};

static void offer(struct wwri_page *page, unsigned value) {
  const struct row row = {.value = value};
  bool fresh;
  struct row *kept = wwri_page_offer(page, &row, &fresh);
  if (!kept) return;
  CU_ASSERT_EQUAL(kept->value, value);
  held[value] += fresh;
  kept->offers += !fresh;
}

/* The page holds the smallest of what was offered, in order. */
static void check(const struct wwri_page *page, const bool offered[VALUES]) {
  size_t place = 0;
  for (unsigned i = 0; i < VALUES; i++) {
    bool here = offered[i] && place < page->max;
    CU_ASSERT_EQUAL(held[i], here);
    if (!here) continue;
    CU_ASSERT_TRUE_FATAL(place < page->count);
    const struct row *row = wwri_page_row(page, place++);
    CU_ASSERT_EQUAL(row->value, i);
  }
  CU_ASSERT_EQUAL(page->count, place);
}

static void a_page_holds_the_smallest(void) {
  struct rng rng = {77};
  for (int round = 0; round < ROUNDS; round++) {
    struct wwri_page page;
    bool offered[VALUES] = {false};
    unsigned distinct = 0;
    size_t max = 1 + (size_t)rng_below(&rng, 40);
    CU_ASSERT_EQUAL_FATAL(wwri_page_init(&page, &kind, max), WWR_OK);
    for (unsigned i = 0, n = (unsigned)rng_below(&rng, 300); i < n; i++) {
      unsigned value = (unsigned)rng_below(&rng, VALUES);
      distinct += !offered[value];
      offered[value] = true;
      offer(&page, value);
    }
    check(&page, offered);
    CU_ASSERT_EQUAL(page.more, distinct > max);
    wwri_page_deinit(&page);
    for (unsigned i = 0; i < VALUES; i++) CU_ASSERT_EQUAL(held[i], 0);
  }
}

static void offers_of_one_row_meet(void) {
  struct wwri_page page;
  CU_ASSERT_EQUAL_FATAL(wwri_page_init(&page, &kind, 2), WWR_OK);
  for (int i = 0; i < 3; i++) offer(&page, 7);
  CU_ASSERT_EQUAL(page.count, 1);
  CU_ASSERT_EQUAL(((const struct row *)wwri_page_row(&page, 0))->offers, 2);
  CU_ASSERT_FALSE(page.more);
  wwri_page_deinit(&page);
}

static void every_allocation_may_fail(void) {
  for (long n = 0; n < 2; n++) {
    struct wwri_page page;
    test_alloc_fail_at(n);
    CU_ASSERT_EQUAL(wwri_page_init(&page, &kind, 2), WWR_E_NOMEM);
    CU_ASSERT_TRUE(test_alloc_failed());
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"a page holds the smallest", a_page_holds_the_smallest},
      {"offers of one row meet", offers_of_one_row_meet},
      {"every allocation may fail", every_allocation_may_fail},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"page", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
