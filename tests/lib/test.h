/* test.h - what every suite shares: the runner and failing allocations. */
#ifndef WWR_TEST_H
#define WWR_TEST_H

#include <CUnit/CUnit.h>
#include <stdbool.h>

/* Whether a sanitizer makes everything slower: rounds that only repeat may be
 * fewer. */
#if defined(__has_feature)
#define TEST_HAS_FEATURE(x) __has_feature(x)
#else
#define TEST_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    TEST_HAS_FEATURE(address_sanitizer) || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_SANITIZED 1
#else
#define TEST_SANITIZED 0
#endif

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
