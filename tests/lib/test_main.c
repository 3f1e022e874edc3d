#include "test.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void run_named(const char *name) {
  CU_pTestRegistry registry = CU_get_registry();
  for (CU_pSuite suite = registry->pSuite; suite; suite = suite->pNext) {
    if (strcmp(suite->pName, name) == 0) {
      CU_basic_run_suite(suite);
      return;
    }
    for (CU_pTest test = suite->pTest; test; test = test->pNext) {
      if (strcmp(test->pName, name) == 0) CU_basic_run_test(suite, test);
    }
  }
}

int test_run(int argc, char **argv, CU_SuiteInfo *suites) {
  signal(SIGPIPE, SIG_IGN);
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  if (CU_register_suites(suites) != CUE_SUCCESS) {
    fprintf(stderr, "suites: %s\n", CU_get_error_msg());
    CU_cleanup_registry();
    return 2;
  }
  CU_basic_set_mode(CU_BRM_VERBOSE);
  if (argc > 1) {
    run_named(argv[1]);
  } else {
    CU_basic_run_tests();
  }
  bool good = CU_get_number_of_tests_run() > 0 &&
              CU_get_number_of_failures() == 0 &&
              CU_get_number_of_suites_failed() == 0;
  CU_cleanup_registry();
  return good ? 0 : 1;
}
