/* test.h - what every suite shares: the runner and failing allocations. */
#ifndef WWR_TEST_H
#define WWR_TEST_H

#include <CUnit/CUnit.h>
#include <stdbool.h>

/** Run the suites (ended by CU_SUITE_INFO_NULL); a test or suite name as the
 * only argument runs just that. Returns main()'s exit status: 0 only when at
 * least one test ran and none failed. */
int test_run(int argc, char **argv, CU_SuiteInfo *suites);

/** Let the n-th allocation (0: the next one) of our own code from now on fail
 * once; all threads count. Negative: none fails (the default). */
void test_alloc_fail_at(long n);

/** True when the failure that was asked for has happened. Resets to "none". */
bool test_alloc_failed(void);

#endif
