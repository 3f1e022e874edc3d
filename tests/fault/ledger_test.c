/* Whether the books would notice: each kind of finding, made on purpose. */
#include "ledger.h"
#include "test.h"

static struct ledger *books;
static size_t m[4]; /* sent by client 0 */

/* Three clients, all open; client 0 sends four messages, all acknowledged and
 * logged in order. */
static void open_books(void) {
  books = ledger_new(3);
  CU_ASSERT_PTR_NOT_NULL_FATAL(books);
  for (size_t i = 0; i < 3; i++) ledger_open(books, i, 10);
  for (size_t i = 0; i < 4; i++) {
    m[i] = ledger_send(books, 0, 100 + i);
    ledger_answer(books, m[i], LEDGER_ACKED);
    ledger_logged(books, m[i], (struct ledger_id){1, 1 + i});
  }
}

static struct ledger_sum close_books(bool history) {
  struct ledger_sum sum;
  ledger_sum(books, history, 1000, &sum);
  ledger_free(books);
  return sum;
}

static void receive_all(size_t client) {
  for (size_t i = 0; i < 4; i++) ledger_receive(books, client, m[i], 200 + i);
}

static void test_clean(void) {
  open_books();
  for (size_t i = 0; i < 3; i++) receive_all(i);
  CU_ASSERT_TRUE(ledger_settled(books, true));
  struct ledger_sum sum = close_books(true);
  CU_ASSERT_EQUAL(sum.sent, 4);
  CU_ASSERT_EQUAL(sum.answers[LEDGER_ACKED], 4);
  CU_ASSERT_EQUAL(sum.delivered, 12);
  CU_ASSERT_EQUAL(sum.lost + sum.excused + sum.undead, 0);
  CU_ASSERT_EQUAL(sum.duplicated + sum.reordered, 0);
  CU_ASSERT_EQUAL(sum.last_us, 203);
  CU_ASSERT_EQUAL(sum.worst_us, 100);
}

static void test_lost(void) {
  open_books();
  receive_all(0);
  receive_all(1);
  ledger_receive(books, 2, m[0], 200);
  CU_ASSERT_FALSE(ledger_settled(books, false));
  CU_ASSERT_EQUAL(close_books(false).lost, 3);
}

static void test_unanswered_is_not_settled(void) {
  books = ledger_new(1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(books);
  ledger_open(books, 0, 10);
  size_t message = ledger_send(books, 0, 100);
  CU_ASSERT_FALSE(ledger_settled(books, false));
  ledger_answer(books, message, LEDGER_UNKNOWN);
  CU_ASSERT_TRUE(ledger_settled(books, false));
  CU_ASSERT_EQUAL(close_books(false).lost, 0);
}

/* A range excuses what lies in it, on both ends, and nothing else. */
static void test_excused(void) {
  open_books();
  receive_all(0);
  receive_all(1);
  ledger_verdict(books, LEDGER_LOST, (struct ledger_id){1, 2},
                 (struct ledger_id){1, 3});
  struct ledger_sum sum = close_books(false);
  CU_ASSERT_EQUAL(sum.excused, 2);
  CU_ASSERT_EQUAL(sum.lost, 2);
  CU_ASSERT_EQUAL(sum.verdicts[LEDGER_LOST], 1);
}

/* `uncertain` excuses only what clients of a killed node sent. */
static void test_uncertain(void) {
  static const bool of_killed[3] = {true, false, false};
  static const struct ledger_id none = {0, 0};
  open_books();
  receive_all(0);
  receive_all(1);
  ledger_verdict(books, LEDGER_UNCERTAIN, none, none);
  CU_ASSERT_FALSE(ledger_settled(books, false));
  ledger_killed(books, of_killed);
  CU_ASSERT_TRUE(ledger_settled(books, false));
  size_t later = ledger_send(books, 0, 300);
  ledger_answer(books, later, LEDGER_ACKED);
  struct ledger_sum sum = close_books(false);
  CU_ASSERT_EQUAL(sum.excused, 4);
  CU_ASSERT_EQUAL(sum.lost, 3); /* `later`, by everybody */
}

static void test_broken_connection(void) {
  open_books();
  receive_all(0);
  receive_all(1);
  ledger_close(books, 2);
  CU_ASSERT_TRUE(ledger_settled(books, true)); /* it is away */
  ledger_open(books, 2, 500);
  CU_ASSERT_TRUE(ledger_settled(books, false));
  CU_ASSERT_FALSE(ledger_settled(books, true));
  for (size_t i = 0; i < 3; i++) ledger_read(books, 2, m[i]);
  CU_ASSERT_EQUAL(close_books(true).lost, 1);
}

static void test_undead_and_double(void) {
  open_books();
  for (size_t i = 0; i < 3; i++) receive_all(i);
  ledger_answer(books, m[1], LEDGER_FAILED);
  ledger_receive(books, 1, m[2], 400);
  struct ledger_sum sum = close_books(false);
  CU_ASSERT_EQUAL(sum.undead, 3);
  CU_ASSERT_EQUAL(sum.duplicated, 1);
}

static void test_order(void) {
  open_books();
  receive_all(0);
  for (size_t i = 4; i-- > 0;) ledger_receive(books, 1, m[i], 300);
  CU_ASSERT_EQUAL(close_books(false).reordered, 3);
}

/* Two senders: their messages must come in one order to all. */
static void test_common_order(void) {
  open_books();
  size_t other = ledger_send(books, 1, 150);
  ledger_answer(books, other, LEDGER_ACKED);
  for (size_t i = 0; i < 3; i++) {
    if (i == 2) ledger_receive(books, i, other, 200);
    receive_all(i);
    if (i != 2) ledger_receive(books, i, other, 300);
  }
  CU_ASSERT_EQUAL(close_books(false).reordered, 1);
}

static void test_text(void) {
  char text[64];
  open_books();
  ledger_text(books, m[3], text);
  CU_ASSERT_EQUAL(ledger_parse(books, text), m[3]);
  CU_ASSERT_EQUAL(ledger_parse(books, "0-0-9"), SIZE_MAX);
  CU_ASSERT_EQUAL(ledger_parse(books, "1-3-3"), SIZE_MAX);
  CU_ASSERT_EQUAL(ledger_parse(books, "0-3-3x"), SIZE_MAX);
  CU_ASSERT_EQUAL(ledger_parse(books, "hello"), SIZE_MAX);
  (void)close_books(false);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"nothing wrong", test_clean},
      {"lost", test_lost},
      {"what has no answer is not settled", test_unanswered_is_not_settled},
      {"a verdict excuses its range", test_excused},
      {"uncertain excuses a killed node's", test_uncertain},
      {"a connection that broke", test_broken_connection},
      {"failed but received, received twice", test_undead_and_double},
      {"a sender's order", test_order},
      {"one order for all", test_common_order},
      {"texts", test_text},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"ledger", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
