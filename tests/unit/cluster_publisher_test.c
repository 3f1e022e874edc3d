/* Publishes on their way: what is sent, in which order, and how it ends. Texts:
 * "5" sent for the first time, "5r" sent again, "5=acked", "5=failed",
 * "5=denied", "5=unknown", "5=lost". */
#include <stdio.h>
#include <string.h>

#include "publisher.h"
#include "said.h"
#include "test.h"

struct fixture {
  struct wwri_publisher publisher;
  struct wwri_publish_config config;
  struct said said;
};

static struct said *said_of(void *user) {
  return &((struct fixture *)user)->said;
}

static void on_done(struct wwri_publisher *publisher, void *cookie,
                    enum wwri_outcome outcome, struct wwri_logid id) {
  static const char *const names[] = {"acked", "failed", "denied", "unknown"};
  (void)id;
  said_add(said_of(publisher->user), "%u=%s ", (unsigned)(uintptr_t)cookie,
           names[outcome]);
}

static void on_lost(struct wwri_publisher *publisher, struct wwr_view channel,
                    const struct wwri_pos *pos) {
  said_add(said_of(publisher->user), "%.*s%u=lost ", (int)channel.len,
           (const char *)channel.data, (unsigned)pos->seq);
}

static void begin(struct fixture *f) {
  memset(f, 0, sizeof *f);
  wwri_publish_config_default(&f->config);
  f->config.done = on_done;
  f->config.lost = on_lost;
  wwri_publisher_init(&f->publisher, &f->config, (struct wwri_boot){1, 1}, f);
  wwri_publisher_link_up(&f->publisher, 1);
}

static wwr_err publish_as(struct fixture *f, const char *channel,
                          uintptr_t number, bool logged) {
  struct wwri_log_limit limit = {.entries = logged ? 100 : 0, .age_ms = 1000};
  struct wwri_publish *publish;
  wwr_err err = wwri_publisher_make(
      &f->publisher, wwr_view_str(channel), wwr_view_str("data"), limit,
      (struct wwri_logid){0}, (void *)number, 0, &publish);
  if (err == WWR_OK) wwri_publisher_submit(&f->publisher, publish);
  return err;
}

static wwr_err publish(struct fixture *f, const char *channel,
                       uintptr_t number) {
  return publish_as(f, channel, number, true);
}

/* All were told how they ended. */
static bool is_idle(const struct fixture *f) {
  return wwri_publisher_deadline(&f->publisher) == UINT64_MAX;
}

static void send_all(struct fixture *f, uint64_t now_ms) {
  const struct wwri_publish *sent;
  while ((sent = wwri_publisher_next(&f->publisher, now_ms))) {
    said_add(&f->said, "%u%s ", (unsigned)sent->seq, sent->retry ? "r" : "");
  }
}

static void answer(struct fixture *f, enum wwri_answer what, uint64_t offset) {
  struct wwri_logid id = {1, offset};
  wwri_publisher_answer(&f->publisher, what, id, 100);
}

static void end(struct fixture *f) {
  wwri_publisher_deinit(&f->publisher);
}

static void three(struct fixture *f) {
  begin(f);
  CU_ASSERT_EQUAL(publish(f, "a", 1), WWR_OK);
  CU_ASSERT_EQUAL(publish(f, "a", 2), WWR_OK);
  CU_ASSERT_EQUAL(publish(f, "b", 3), WWR_OK);
  send_all(f, 0);
  said_expect(&f->said, "1 2 3 ");
}

static void no_answer_means_again_and_first(void) {
  struct fixture f;
  three(&f);
  answer(&f, WWRI_ANSWER_OK, 1);
  wwri_publisher_link_down(&f.publisher);
  CU_ASSERT_EQUAL(publish(&f, "a", 4), WWR_OK);
  send_all(&f, 0);
  said_expect(&f.said, "1=acked ");
  wwri_publisher_link_up(&f.publisher, 1);
  send_all(&f, 0);
  said_expect(&f.said, "2r 3r 4 ");
  answer(&f, WWRI_ANSWER_DUP, 2);
  answer(&f, WWRI_ANSWER_WRAPPED, 0);
  answer(&f, WWRI_ANSWER_OK, 3);
  said_expect(&f.said, "2=acked 3=unknown 4=acked ");
  end(&f);
}

static void a_new_generation_gets_what_was_acknowledged_first(void) {
  struct fixture f;
  three(&f);
  answer(&f, WWRI_ANSWER_OK, 1);
  answer(&f, WWRI_ANSWER_OK, 2);
  wwri_publisher_link_down(&f.publisher); /* 3 got no answer */
  CU_ASSERT_EQUAL(publish(&f, "b", 4), WWR_OK);
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 0);
  said_expect(&f.said, "1=acked 2=acked 1r 2r 3r 4 ");
  answer(&f, WWRI_ANSWER_DUP, 1);
  answer(&f, WWRI_ANSWER_SUPERSEDED, 0);
  wwri_publisher_link_down(&f.publisher);
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 0);
  said_expect(&f.said, "a2=lost 3r 4r ");
  end(&f);
}

static void an_old_answer_does_not_prove_the_new_generation(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  send_all(&f, 0);
  wwri_publisher_verified(&f.publisher, 2, 50); /* while it is under way */
  answer(&f, WWRI_ANSWER_OK, 1);
  send_all(&f, 200);
  said_expect(&f.said, "1 1=acked 1r ");
  end(&f);
}

static void the_acknowledged_age_only_while_beats_come(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  send_all(&f, 0);
  answer(&f, WWRI_ANSWER_OK, 1); /* at 100 */
  wwri_publisher_verified(&f.publisher, 1, 15099);
  wwri_publisher_run(&f.publisher, 90000);
  wwri_publisher_link_down(&f.publisher);
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 90000);
  said_expect(&f.said, "1 1=acked 1r ");
  wwri_publisher_answer(&f.publisher, WWRI_ANSWER_DUP,
                        (struct wwri_logid){1, 1}, 90000);
  wwri_publisher_verified(&f.publisher, 2, 105000);
  CU_ASSERT_EQUAL(f.publisher.acked_bytes, 0);
  end(&f);
}

static void after_a_refusal_all_answers_come_first(void) {
  struct fixture f;
  three(&f);
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  send_all(&f, 1000);
  said_expect(&f.said, "");
  answer(&f, WWRI_ANSWER_OK, 1); /* 2: so 1 is out for good */
  said_expect(&f.said, "1=failed 2=acked ");
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  send_all(&f, 150);
  said_expect(&f.said, "");
  send_all(&f, 1000);
  said_expect(&f.said, "3 "); /* it is certainly nowhere */
  answer(&f, WWRI_ANSWER_ERROR, 0);
  said_expect(&f.said, "3=denied ");
  end(&f);
}

/* Else memory that becomes free amid a window would let the rest of it in. */
static void after_a_refusal_they_go_one_by_one_until_one_is_in(void) {
  struct fixture f;
  three(&f);
  for (int i = 0; i < 3; i++) answer(&f, WWRI_ANSWER_REFUSED, 0);
  send_all(&f, 1000);
  said_expect(&f.said, "1 ");
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  send_all(&f, 150);
  said_expect(&f.said, "");
  send_all(&f, 2000);
  said_expect(&f.said, "1 ");
  answer(&f, WWRI_ANSWER_OK, 1);
  said_expect(&f.said, "1=acked ");
  send_all(&f, 2000);
  said_expect(&f.said, "2 3 ");
  end(&f);
  said_expect(&f.said, "2=unknown 3=unknown ");
}

static void a_refused_one_is_out_when_a_later_one_may_be_in(void) {
  struct fixture f;
  three(&f);
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  wwri_publisher_link_down(&f.publisher); /* 2, of that channel, is unknown */
  said_expect(&f.said, "1=failed ");
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 1000);
  said_expect(&f.said, "2r 3r ");
  end(&f);
  said_expect(&f.said, "2=unknown 3=unknown ");
}

/* What is under way behind it was not executed there either: nothing is out. */
static void a_server_that_is_not_the_master_refuses_all(void) {
  struct fixture f;
  three(&f);
  answer(&f, WWRI_ANSWER_DEMOTED, 0);
  CU_ASSERT_EQUAL(publish(&f, "a", 4), WWR_OK);
  send_all(&f, 1000);
  wwri_publisher_link_down(&f.publisher);
  said_expect(&f.said, "");
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 1000);
  said_expect(&f.said, "1r 2r 3r 4 "); /* the script looks, to be sure */
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  wwri_publisher_link_down(&f.publisher); /* by another: 2 may be in */
  said_expect(&f.said, "1=failed ");
  end(&f);
  said_expect(&f.said, "2=unknown 3=unknown 4=unknown ");
}

static void waiting_ends_with_the_hold_time(void) {
  struct fixture f;
  begin(&f);
  wwri_publisher_link_down(&f.publisher);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  wwri_publisher_run(&f.publisher, 9999);
  said_expect(&f.said, "");
  wwri_publisher_run(&f.publisher, 10000);
  said_expect(&f.said, "1=failed "); /* never sent: certain */
  wwri_publisher_link_up(&f.publisher, 1);
  CU_ASSERT_EQUAL(publish(&f, "a", 2), WWR_OK);
  send_all(&f, 0);
  wwri_publisher_run(&f.publisher, 10000);
  said_expect(&f.said, "2 2=unknown ");
  answer(&f, WWRI_ANSWER_OK, 1); /* late: kept, but not told twice */
  said_expect(&f.said, "");
  CU_ASSERT_TRUE(f.publisher.acked_bytes > 0);
  end(&f);
}

static void what_is_not_logged_is_sent_at_most_once(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish_as(&f, "a", 1, false), WWR_OK);
  CU_ASSERT_EQUAL(publish_as(&f, "a", 2, false), WWR_OK);
  CU_ASSERT_EQUAL(publish_as(&f, "a", 3, false), WWR_OK);
  send_all(&f, 0);
  answer(&f, WWRI_ANSWER_REFUSED, 0);
  answer(&f, WWRI_ANSWER_OK, 0);
  wwri_publisher_link_down(&f.publisher);
  said_expect(&f.said, "1 2 3 2=acked 3=unknown ");
  wwri_publisher_link_up(&f.publisher, 2);
  send_all(&f, 1000);
  said_expect(&f.said, "1 "); /* it was never executed */
  answer(&f, WWRI_ANSWER_OK, 0);
  said_expect(&f.said, "1=acked ");
  CU_ASSERT_EQUAL(f.publisher.acked_bytes, 0);
  CU_ASSERT_EQUAL(f.publisher.waiting_bytes, 0);
  end(&f);
}

static void ceilings_hold(void) {
  struct fixture f;
  begin(&f);
  f.config.window = 2;
  f.config.keep_bytes = sizeof(struct wwri_publish) + 20;
  f.config.queue_bytes = 3 * (sizeof(struct wwri_publish) + 5);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 2), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 3), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 4), WWR_E_LIMIT);
  send_all(&f, 0);
  said_expect(&f.said, "1 2 ");
  answer(&f, WWRI_ANSWER_OK, 1);
  answer(&f, WWRI_ANSWER_OK, 2);
  CU_ASSERT_EQUAL(f.publisher.stats.overflows, 1);
  CU_ASSERT_EQUAL(publish(&f, "a", 5), WWR_OK);
  send_all(&f, 0);
  said_expect(&f.said, "1=acked 2=acked 3 4 ");
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(publish(&f, "a", 6), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  end(&f);
}

static void the_end_tells_what_is_certain(void) {
  struct fixture f;
  begin(&f);
  f.config.window = 2;
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 2), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 3), WWR_OK);
  send_all(&f, 0);
  answer(&f, WWRI_ANSWER_OK, 1);
  said_expect(&f.said, "1 2 1=acked ");
  CU_ASSERT_FALSE(is_idle(&f));
  end(&f);
  said_expect(&f.said, "2=unknown 3=failed ");
  begin(&f);
  CU_ASSERT_TRUE(is_idle(&f));
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  CU_ASSERT_FALSE(is_idle(&f));
  send_all(&f, 0);
  CU_ASSERT_FALSE(is_idle(&f));
  wwri_publisher_run(&f.publisher, 10000);
  CU_ASSERT_TRUE(is_idle(&f)); /* it was told */
  answer(&f, WWRI_ANSWER_OK, 1);
  CU_ASSERT_TRUE(is_idle(&f));
  end(&f);
  said_expect(&f.said, "1 1=unknown ");
}

static void deadlines_are_those_of_the_oldest(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), UINT64_MAX);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), 10000);
  send_all(&f, 0);
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), 10000);
  answer(&f, WWRI_ANSWER_REFUSED, 0); /* at 100, again after 100 */
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), 200);
  send_all(&f, 200);
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), 10000);
  answer(&f, WWRI_ANSWER_OK, 1);
  CU_ASSERT_EQUAL(wwri_publisher_deadline(&f.publisher), UINT64_MAX);
  said_expect(&f.said, "1 1 1=acked ");
  end(&f);
}

static void again(struct fixture *f, uint64_t generation) {
  wwri_publisher_link_down(&f->publisher);
  wwri_publisher_link_up(&f->publisher, generation);
}

static void expect_next(struct fixture *f, bool sure, bool deep) {
  const struct wwri_publish *next = wwri_publisher_next(&f->publisher, 1000);
  CU_ASSERT_PTR_NOT_NULL_FATAL(next);
  CU_ASSERT_TRUE(next->retry);
  CU_ASSERT_EQUAL(next->sure, sure);
  CU_ASSERT_EQUAL(next->deep, deep);
}

static void what_was_appended_once_is_only_in_one_place(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  send_all(&f, 0);
  answer(&f, WWRI_ANSWER_OK, 1);
  again(&f, 2);
  expect_next(&f, true, false);
  answer(&f, WWRI_ANSWER_DUP, 1); /* where it was */
  again(&f, 3);
  expect_next(&f, true, false);
  answer(&f, WWRI_ANSWER_OK, 2); /* in another place */
  again(&f, 4);
  expect_next(&f, false, true);
  answer(&f, WWRI_ANSWER_DUP, 2);
  again(&f, 5);
  expect_next(&f, false, true);
  said_expect(&f.said, "1 1=acked ");
  end(&f);
}

static void what_got_no_answer_may_be_anywhere(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish(&f, "a", 1), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a", 2), WWR_OK);
  send_all(&f, 0);
  answer(&f, WWRI_ANSWER_OK, 1);
  again(&f, 2); /* 2 got no answer */
  expect_next(&f, true, false);
  expect_next(&f, false, false); /* not acknowledged yet */
  answer(&f, WWRI_ANSWER_DUP, 1);
  answer(&f, WWRI_ANSWER_OK, 2);
  again(&f, 3);
  expect_next(&f, true, false);
  expect_next(&f, false, true);
  again(&f, 3); /* ... nor these */
  expect_next(&f, false, true);
  expect_next(&f, false, true);
  end(&f);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"no_answer_means_again_and_first", no_answer_means_again_and_first},
      {"a_new_generation_gets_what_was_acknowledged_first",
       a_new_generation_gets_what_was_acknowledged_first},
      {"an_old_answer_does_not_prove_the_new_generation",
       an_old_answer_does_not_prove_the_new_generation},
      {"the_acknowledged_age_only_while_beats_come",
       the_acknowledged_age_only_while_beats_come},
      {"after_a_refusal_all_answers_come_first",
       after_a_refusal_all_answers_come_first},
      {"after_a_refusal_they_go_one_by_one_until_one_is_in",
       after_a_refusal_they_go_one_by_one_until_one_is_in},
      {"a_refused_one_is_out_when_a_later_one_may_be_in",
       a_refused_one_is_out_when_a_later_one_may_be_in},
      {"a_server_that_is_not_the_master_refuses_all",
       a_server_that_is_not_the_master_refuses_all},
      {"waiting_ends_with_the_hold_time", waiting_ends_with_the_hold_time},
      {"what_is_not_logged_is_sent_at_most_once",
       what_is_not_logged_is_sent_at_most_once},
      {"ceilings_hold", ceilings_hold},
      {"what_was_appended_once_is_only_in_one_place",
       what_was_appended_once_is_only_in_one_place},
      {"what_got_no_answer_may_be_anywhere",
       what_got_no_answer_may_be_anywhere},
      {"the_end_tells_what_is_certain", the_end_tells_what_is_certain},
      {"deadlines_are_those_of_the_oldest", deadlines_are_those_of_the_oldest},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"publisher", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
