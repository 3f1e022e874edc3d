/* sessionstore_memory_test.c - what only the memory store promises. */
#include "sessionstore_contract.h"
#include "sessionstore_fixture.h"

static void the_ceiling_is_kept(void) {
  fx.store->ops->free(fx.store);
  CU_ASSERT_EQUAL_FATAL(wwr_memorystore_new(&fx.store, 2), WWR_OK);
  CU_ASSERT_EQUAL(create_key("a", NULL), WWR_OK);
  CU_ASSERT_EQUAL(create_key("b", NULL), WWR_OK);
  CU_ASSERT_EQUAL(create_key("c", NULL), WWR_E_LIMIT);
  CU_ASSERT_EQUAL(lookup_key("c"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(create_key("b", NULL), WWR_OK); /* replaced, not added */
  CU_ASSERT_EQUAL(close_key("a"), WWR_OK);
  CU_ASSERT_EQUAL(create_key("c", NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("b"), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("c"), WWR_OK);
}

static void any_key_of_a_generator_is_kept(void) {
  CU_ASSERT_EQUAL(create_key("user 1/../\xc3\xa4", NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("user 1/../\xc3\xa4"), WWR_OK);
}

static void hooks_do_not_block(void) {
  CU_ASSERT_FALSE(fx.store->ops->blocking);
}

CU_TestInfo sessionstore_memory_only[] = {
    {"the_ceiling_is_kept", the_ceiling_is_kept},
    {"any_key_of_a_generator_is_kept", any_key_of_a_generator_is_kept},
    {"hooks_do_not_block", hooks_do_not_block},
    CU_TEST_INFO_NULL,
};
