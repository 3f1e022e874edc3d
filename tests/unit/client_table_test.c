/* The table of calls by id. */
#include "table.h"

#include "client.h"
#include "test.h"

enum { CALLS = 1000 };

static struct wwri_call calls[CALLS];

static void fill(struct wwri_call_table *table, uint64_t first) {
  CU_ASSERT_EQUAL(wwri_call_table_init(table), WWR_OK);
  for (size_t i = 0; i < CALLS; i++) {
    calls[i].id = first + i;
    wwri_call_table_insert(table, &calls[i]);
  }
  CU_ASSERT_EQUAL(table->count, CALLS);
}

static void find_and_remove_all(struct wwri_call_table *table, uint64_t first) {
  CU_ASSERT_PTR_NULL(wwri_call_table_find(table, first - 1));
  CU_ASSERT_PTR_NULL(wwri_call_table_find(table, first + CALLS));
  for (size_t i = 0; i < CALLS; i += 2)
    wwri_call_table_remove(table, &calls[i]);
  for (size_t i = 0; i < CALLS; i++) {
    struct wwri_call *expected = i % 2 ? &calls[i] : NULL;
    CU_ASSERT_PTR_EQUAL(wwri_call_table_find(table, first + i), expected);
    wwri_call_table_remove(table, &calls[i]); /* half of them again */
  }
  CU_ASSERT_EQUAL(table->count, 0);
}

static void it_grows(void) {
  struct wwri_call_table table;
  fill(&table, 1);
  CU_ASSERT_TRUE(table.mask + 1 >= CALLS / 2);
  find_and_remove_all(&table, 1);
  wwri_call_table_deinit(&table);
}

static void ids_may_wrap(void) {
  struct wwri_call_table table;
  fill(&table, UINT64_MAX - CALLS / 2);
  find_and_remove_all(&table, UINT64_MAX - CALLS / 2);
  wwri_call_table_deinit(&table);
}

static void without_memory_only_the_chains_grow(void) {
  struct wwri_call_table table;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_call_table_init(&table), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  wwri_call_table_deinit(&table);
  test_alloc_fail_at(2); /* the second doubling */
  fill(&table, 7);
  CU_ASSERT_TRUE(test_alloc_failed());
  find_and_remove_all(&table, 7);
  wwri_call_table_deinit(&table);
}

static CU_TestInfo tests[] = {
    {"it grows", it_grows},
    {"ids may wrap", ids_may_wrap},
    {"without memory", without_memory_only_the_chains_grow},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/table", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
