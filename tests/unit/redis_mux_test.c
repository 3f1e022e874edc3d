#include "mux.h"

#include <string.h>

#include "test.h"

static struct wwri_mux mux;
static int a, b; /* users */

static void send(void *user, enum wwri_mux_kind kind, uint16_t slot,
                 uint32_t count) {
  CU_ASSERT_EQUAL_FATAL(wwri_mux_reserve(&mux), WWR_OK);
  wwri_mux_sent(&mux, user, kind, slot, count, 5);
}

static void *answer(void) {
  void *user = &mux;
  CU_ASSERT_EQUAL(wwri_mux_answer(&mux, &user), WWRI_MUX_OURS);
  return user;
}

static void *confirmed(bool subscribe, uint16_t slot) {
  void *user = &mux;
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, subscribe, slot, &user),
                  WWRI_MUX_OURS);
  return user;
}

static void test_answers(void) {
  void *user;
  for (int i = 0; i < 1000; i++) {
    send(&a, WWRI_MUX_CALL, 0, 1);
    send(&b, WWRI_MUX_CALL, 0, 1);
    send(&b, WWRI_MUX_CALL, 0, 1);
  }
  CU_ASSERT_EQUAL(mux.next - mux.first, 2000); /* calls in a row are one */
  CU_ASSERT_EQUAL(wwri_mux_oldest_ms(&mux), 5);
  CU_ASSERT_PTR_EQUAL(answer(), &a);
  wwri_mux_forget(&mux, &b);
  CU_ASSERT_PTR_NULL(answer());
  CU_ASSERT_PTR_NULL(answer());
  for (int i = 1; i < 1000; i++) {
    CU_ASSERT_PTR_EQUAL(answer(), &a);
    CU_ASSERT_PTR_NULL(answer());
    CU_ASSERT_PTR_NULL(answer());
  }
  CU_ASSERT_EQUAL(wwri_mux_answer(&mux, &user), WWRI_MUX_WRONG);
  CU_ASSERT_EQUAL(wwri_mux_oldest_ms(&mux), UINT64_MAX);
}

static void test_confirmations(void) {
  void *user;
  send(&a, WWRI_MUX_SUBSCRIBE, 1, 2);
  send(&b, WWRI_MUX_UNSUBSCRIBE, 2, 1);
  CU_ASSERT_PTR_EQUAL(confirmed(true, 1), &a);
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, true, 2, &user), WWRI_MUX_WRONG);
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, false, 1, &user),
                  WWRI_MUX_UNSOLICITED);
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, false, 2, &user),
                  WWRI_MUX_UNSOLICITED); /* not its turn */
  CU_ASSERT_PTR_EQUAL(confirmed(true, 1), &a);
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, true, 1, &user), WWRI_MUX_WRONG);
  CU_ASSERT_PTR_EQUAL(confirmed(false, 2), &b);
  CU_ASSERT_EQUAL(wwri_mux_confirmed(&mux, false, 2, &user),
                  WWRI_MUX_UNSOLICITED);
}

static void test_errors(void) {
  void *user = NULL;
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, false, 0, &user), WWRI_MUX_WRONG);
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, true, 1, &user), WWRI_MUX_UNSOLICITED);
  send(&a, WWRI_MUX_SUBSCRIBE, 1, 2);
  send(&b, WWRI_MUX_SUBSCRIBE, 2, 2);
  send(&a, WWRI_MUX_UNSUBSCRIBE, 1, 2);
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, true, 2, &user), WWRI_MUX_UNSOLICITED);
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, true, 1, &user), WWRI_MUX_OURS);
  CU_ASSERT_PTR_EQUAL(user, &a); /* all of it */
  CU_ASSERT_PTR_EQUAL(confirmed(true, 2), &b);
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, false, 0, &user), WWRI_MUX_WRONG);
  CU_ASSERT_PTR_EQUAL(confirmed(true, 2), &b);
  /* One was taken for confirmed by an unasked one. */
  CU_ASSERT_PTR_EQUAL(confirmed(false, 1), &a);
  CU_ASSERT_EQUAL(wwri_mux_refused(&mux, true, 1, &user), WWRI_MUX_OURS);
  CU_ASSERT_EQUAL(mux.first, mux.next);
}

static void test_ceiling(void) {
  for (int i = 0; i < WWRI_MUX_MAX; i++) send(&a, WWRI_MUX_SUBSCRIBE, 1, 1);
  CU_ASSERT_EQUAL(wwri_mux_reserve(&mux), WWR_E_LIMIT);
  confirmed(true, 1);
  CU_ASSERT_EQUAL(wwri_mux_reserve(&mux), WWR_OK);
}

static void teardown(void) {
  wwri_mux_deinit(&mux);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"answers", test_answers},
                         {"confirmations", test_confirmations},
                         {"errors", test_errors},
                         {"ceiling", test_ceiling},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"redis mux", NULL, NULL, NULL, teardown, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
