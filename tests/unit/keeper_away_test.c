/* A keeper while Redis is away, or says "not now": what waits, for how long,
 * what is made up for later, and the ceilings. R16, rows 59, 60. */
#include <stdio.h>
#include <string.h>

#include "keeper_fixture.h"

/* --- Waiting ------------------------------------------------------------ */

static void everything_waits(void) {
  kf_have("B", 1);
  kf_have("C", 1);
  kf_lost();
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LEAVE, "B", 0);
  kf_ask(WWRI_ASK_KILL, "C", 0);
  kf_ask(WWRI_ASK_CREATE, "D", 0);
  kf_ask(WWRI_ASK_PLACES, "E", 0);
  kf_ask(WWRI_ASK_SEND, "F", 0);
  kf_run(kf.config.hold_ms - 1);
  kf_expect("");
  kf_live();
  kf_expect(
      "attach A n1 h0 m0 look; leave B n0 v1; kill C v1 any; create D n1 v1; "
      "places E; send F \"hello\"; ");
  CU_ASSERT_EQUAL(kf.call_count, 6);
}

static void whoever_waits_too_long_is_told(void) {
  kf_have("B", 1);
  kf_have("C", 2);
  kf_lost();
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_run(1);
  kf_ask(WWRI_ASK_LEAVE, "B", 0);
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper),
                  kf.now + kf.config.hold_ms - 1);
  kf_run(kf.config.hold_ms - 1);
  kf_expect("done 4: unavailable; ");
  kf_run(1);
  kf_expect("done 5: unavailable; done 6: unavailable; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
}

/* Live, but it refuses: the same. */
static void refusals_are_repeated_until_then(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  uint64_t start = kf.now;
  unsigned calls = 0;
  while (kf.call_count && calls < 1000) {
    calls++;
    kf_answer(WWRI_WORD_UNAVAILABLE);
    CU_ASSERT(wwri_keeper_deadline(kf.keeper) <= kf.now + kf.config.retry_ms);
    kf_run(kf.config.retry_ms);
  }
  CU_ASSERT_EQUAL(kf.now - start, kf.config.hold_ms);
  CU_ASSERT_EQUAL(calls, kf.config.hold_ms / kf.config.retry_ms);
  CU_ASSERT_PTR_NOT_NULL(strstr(kf.said, "done 1: unavailable; "));
}

static void a_refusal_pauses_all(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_answer(WWRI_WORD_UNAVAILABLE);
  kf_ask(WWRI_ASK_ATTACH, "B", 0);
  kf_expect("attach A n1 h0 m0 look; ");
  kf_run(kf.config.retry_ms);
  kf_expect("attach A n1 h0 m0 look; attach B n1 h0 m0 look; ");
}

/* --- Made up for -------------------------------------------------------- */

static void leave_kill_and_detach_are_made_up_for(void) {
  kf_have("A", 1);
  kf_have("B", 1);
  kf_have("C", 2);
  kf_lost();
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_detach("B");
  kf_detach("C");
  kf_ask(WWRI_ASK_KILL, "D", 0);
  kf_ask(WWRI_ASK_DESTROY, "E", 0);
  kf_run(kf.config.hold_ms);
  kf_expect(
      "done 5: unavailable; done 6: unavailable; done 7: unavailable; "
      "done 8: unavailable; ");
  kf_run(3600000);
  kf_live();
  kf_expect("kill D; kill E force; leave A n0 v1; kill B v1 any; touch C=1; ");
  kf_answer(WWRI_WORD_NOBODY);
  kf_answer(WWRI_WORD_MISSING);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_destroyed(WWRI_WORD_OK, 1);
  kf_touched("0");
  kf_expect("");
  CU_ASSERT_TRUE(wwri_keeper_is_idle(kf.keeper));
}

/* Behind what is made up for. */
static void an_attach_waits_for_it(void) {
  kf_have("A", 1);
  kf_lost();
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_live();
  kf_expect("done 2: unavailable; leave A n0 v1; ");
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_expect("attach A n1 h0 m0 look; ");
}

static void a_leave_and_a_kill_are_one_kill(void) {
  kf_have("A", 1);
  kf_lost();
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_live();
  kf_expect("done 2: unavailable; done 3: unavailable; leave A n0 v1; ");
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_expect("kill A any; ");
}

/* The answer to a call whose caller was told meanwhile counts. */
static void a_late_answer_settles_it(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_expect("leave A n0 v1; done 2: unavailable; ");
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_run(0);
  kf_expect("");
}

/* Row 60: undone by the next absolute count. */
static void a_late_attach_is_undone(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_attached(1, 1);
  kf_expect("attach A n1 h0 m0 look; done 1: unavailable; touch A=0; ");
  kf_touched("0");
  kf_expect("");
  kf_ask(WWRI_ASK_ATTACH, "B", 0);
  kf_run(kf.config.hold_ms);
  kf_lost();
  kf_live();
  kf_expect("attach B n1 h0 m0 look; done 2: unavailable; touch B=0; ");
}

/* A place is left for those who still wait. */
static void places_of_the_late_go_to_others(void) {
  kf_have("B", 1);
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_ask(WWRI_ASK_ATTACH, "A", 2);
  kf_run(kf.config.hold_ms / 2);
  kf_ask(WWRI_ASK_ATTACH, "A", 2);
  kf_ask(WWRI_ASK_ATTACH, "A", 2);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("places A; done 2: session-not-found; attach A n3 h0 m2 look; ");
  kf_run(kf.config.hold_ms / 2);
  kf_expect("done 3: unavailable; ");
  kf_attached(1, 2);
  kf_expect("done 4: ok; done 5: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 2);
}

/* Told "unavailable", and created all the same: it stays counted. */
static void a_create_goes_on(void) {
  kf_lost();
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_expect("done 1: unavailable; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  kf_live();
  kf_expect("create A n1 v1; ");
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_expect("leave A n0 v1; ");
  kf_lost();
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_run(kf.config.hold_ms);
  kf_live();
  kf_answer(WWRI_WORD_MISSING); /* the leave of A */
  kf_expect(
      "done 2: unavailable; done 3: unavailable; leave A n0 v1; "
      "create B n1 v2; ");
  kf_answer(WWRI_WORD_TAKEN); /* it can't be kept after all */
  kf_expect("CLOSED B; ");
  kf_detach("B");
  kf_expect("");
}

static void left_before_it_was_created(void) {
  kf_lost();
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_run(kf.config.hold_ms);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_live();
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 1: unavailable; create A n0 v1; leave A n0 v1; ");
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_expect("done 2: ok; ");
}

/* --- Ceilings ----------------------------------------------------------- */

static void two_attaches(struct wwri_keeper_config *config) {
  config->max_held = 2;
}

static void attaches_are_limited(void) {
  kf_end();
  kf_begin_with(two_attaches);
  kf_lost();
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LOOKUP, "B", 0);
  kf_ask(WWRI_ASK_ATTACH, "C", 0);
  kf_ask(WWRI_ASK_LOOKUP, "C", 0);
  kf_expect("done 3: limit; done 4: limit; ");
  kf_ask(WWRI_ASK_KILL, "C", 0);
  kf_expect("");
  kf_run(kf.config.hold_ms);
  kf_ask(WWRI_ASK_ATTACH, "C", 0);
  kf_expect("done 1: unavailable; done 2: unavailable; done 5: unavailable; ");
  struct wwri_keeper_stats stats;
  wwri_keeper_stats(kf.keeper, &stats);
  CU_ASSERT_EQUAL(stats.open, 1);
  CU_ASSERT_EQUAL(stats.limited, 2);
  CU_ASSERT_EQUAL(stats.timed_out, 3);
}

static void one_other(struct wwri_keeper_config *config) {
  config->max_open = 1;
}

/* Over the limit nobody waits; who left has left all the same. */
static void others_are_limited(void) {
  kf_end();
  kf_begin_with(one_other);
  kf_have("A", 1);
  kf_have("B", 1);
  kf_lost();
  kf_ask(WWRI_ASK_PLACES, "C", 0);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_ask(WWRI_ASK_KILL, "D", 0);
  kf_ask(WWRI_ASK_CREATE, "E", 0);
  kf_ask(WWRI_ASK_SEND, "B", 0);
  kf_expect(
      "done 4: limit; done 5: limit; done 6: limit; done 7: limit; "
      "done 8: limit; ");
  CU_ASSERT_EQUAL(kf_count("A") + kf_count("E"), 0);
  kf_live();
  kf_expect("places C; leave A n0 v1; kill B v1 any; ");
}

static void room_for_two(struct wwri_keeper_config *config) {
  config->max_kept = 2;
}

static void memory_is_limited(void) {
  kf_end();
  kf_begin_with(room_for_two);
  kf_lost();
  kf_ask(WWRI_ASK_PLACES, "C", 0); /* those that are waited for don't count */
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_expect("");
  kf_run(kf.config.hold_ms);
  kf_ask(WWRI_ASK_PLACES, "C", 0);
  kf_expect(
      "done 1: unavailable; done 2: unavailable; done 3: unavailable; "
      "done 4: limit; ");
  kf_live();
  kf_answer(WWRI_WORD_MISSING);
  kf_answer(WWRI_WORD_MISSING);
  kf_have("A", 1); /* those with connections don't count */
  kf_have("B", 1);
  kf_have("C", 1);
  kf_ask(WWRI_ASK_ATTACH, "D", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_ATTACH, "E", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_ATTACH, "F", 0); /* D is forgotten for it */
  kf_answer(WWRI_WORD_MISSING);
  kf.said[0] = '\0';
  kf_ask(WWRI_ASK_ATTACH, "E", 0);
  kf_ask(WWRI_ASK_ATTACH, "D", 0);
  kf_expect("done 11: session-not-found; attach D n1 h0 m0 look; ");
}

static struct wwri_keeper_room room;

static void one_of_two(struct wwri_keeper_config *config) {
  room = (struct wwri_keeper_room){0};
  config->room = &room;
  config->sharers = 2;
  config->max_held = 8; /* each has 2, and 4 are for who needs them */
  config->max_open = 5; /* 1 and 3 */
  config->max_kept = 5; /* 2 */
}

static void a_ceiling_is_shared(void) {
  kf_end();
  kf_begin_with(one_of_two);
  kf_lost();
  room.attaches = 3;
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LOOKUP, "B", 0);
  CU_ASSERT_EQUAL(room.attaches, 3);
  kf_ask(WWRI_ASK_ATTACH, "C", 0);
  CU_ASSERT_EQUAL(room.attaches, 4);
  kf_ask(WWRI_ASK_ATTACH, "D", 0);
  kf_expect("done 4: limit; ");
  kf_run(kf.config.hold_ms);
  CU_ASSERT_EQUAL(room.attaches, 3);
  kf_expect("done 1: unavailable; done 2: unavailable; done 3: unavailable; ");
  /* The others took all that there is: what is ours remains. */
  room.attaches = 4;
  room.others = 3;
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_ATTACH, "B", 0);
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_expect("");
  kf_ask(WWRI_ASK_ATTACH, "C", 0);
  kf_ask(WWRI_ASK_PLACES, "B", 0);
  kf_expect("done 8: limit; done 9: limit; ");
  kf_live();
  kf_attached(1, 1);
  kf_attached(1, 1);
  kf_answer(WWRI_WORD_OK);
  CU_ASSERT_EQUAL(room.attaches, 4);
  CU_ASSERT_EQUAL(room.others, 3);
}

/* What one remembers is its part of what all do. */
static void memory_is_divided(void) {
  kf_end();
  kf_begin_with(one_of_two);
  kf_lost();
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_run(kf.config.hold_ms);
  kf_ask(WWRI_ASK_KILL, "C", 0);
  kf_expect("done 1: unavailable; done 2: unavailable; done 3: limit; ");
}

static void ask_for_many_places(size_t at_a_time) {
  static struct kf_op ops[300];
  char keys[300][8];
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  for (int i = 0; i < 300; i++) {
    snprintf(keys[i], sizeof keys[i], "k%d", i);
    ops[i] = (struct kf_op){.open = true, .base = kf.ops[0].base};
    ops[i].base.ask = WWRI_ASK_PLACES;
    ops[i].base.key = wwr_view_str(keys[i]);
    wwri_keeper_ask(kf.keeper, &ops[i].base, kf.now);
  }
  kf_run(0);
  CU_ASSERT_EQUAL(kf.call_count, at_a_time);
  kf_answer(WWRI_WORD_MISSING);
  CU_ASSERT_EQUAL(kf.call_count, at_a_time);
  while (kf.call_count) kf_answer(WWRI_WORD_MISSING);
  for (int i = 0; i < 300; i++) CU_ASSERT_FALSE(ops[i].open);
}

/* 256 calls under way, of which the TOUCHes have 8 to themselves. */
static void calls_are_limited(void) {
  ask_for_many_places(248);
}

static void few_calls(struct wwri_keeper_config *config) {
  config->max_calls = 16;
}

static void calls_are_limited_further(void) {
  kf_end();
  kf_begin_with(few_calls);
  ask_for_many_places(8);
}

/* --- The end ------------------------------------------------------------ */

static void stop_takes_our_counts_away(void) {
  kf_have("A", 2);
  kf_have("B", 1);
  kf_have("C", 1);
  kf_ask(WWRI_ASK_LEAVE, "B", 0);
  kf_lost();
  kf_ask(WWRI_ASK_ATTACH, "D", 0);
  kf_live();
  kf.said[0] = '\0';
  CU_ASSERT_FALSE(wwri_keeper_is_idle(kf.keeper));
  wwri_keeper_stop(kf.keeper, kf.now);
  kf_run(0);
  kf_expect("done 5: closed; done 6: closed; touch A=0 C=0; ");
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_detach("A");
  kf_expect("done 7: closed; done 8: closed; ");
  CU_ASSERT_FALSE(wwri_keeper_is_idle(kf.keeper));
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_answer(WWRI_WORD_MISSING);
  kf_touched("00");
  CU_ASSERT_TRUE(wwri_keeper_is_idle(kf.keeper));
  kf_expect("");
}

static void free_ends_what_is_open(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_ask(WWRI_ASK_CREATE, "C", 0);
  kf_lost();
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf.said[0] = '\0';
  wwri_keeper_free(kf.keeper);
  kf_expect("done 2: closed; done 3: closed; done 4: closed; done 5: closed; ");
  kf.keeper = NULL;
}

static void no_memory_is_an_error(void) {
  struct wwri_keeper *keeper;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_keeper_new(&keeper, &kf.config), WWR_E_NOMEM);
  CU_ASSERT_PTR_NULL(keeper);
  CU_ASSERT_TRUE(test_alloc_failed());
  for (long n = 0; n < 8; n++) {
    test_alloc_fail_at(n);
    kf_ask(WWRI_ASK_PLACES, "A", 0);
    if (!test_alloc_failed()) break;
    CU_ASSERT_EQUAL(kf.ops[kf.op_count - 1].err, WWR_E_NOMEM);
    CU_ASSERT_FALSE(kf.ops[kf.op_count - 1].open);
  }
  CU_ASSERT_EQUAL(kf.call_count, 1);
}

static CU_TestInfo tests[] = {
    {"everything_waits", everything_waits},
    {"whoever_waits_too_long_is_told", whoever_waits_too_long_is_told},
    {"refusals_are_repeated_until_then", refusals_are_repeated_until_then},
    {"a_refusal_pauses_all", a_refusal_pauses_all},
    {"leave_kill_and_detach_are_made_up_for",
     leave_kill_and_detach_are_made_up_for},
    {"an_attach_waits_for_it", an_attach_waits_for_it},
    {"a_leave_and_a_kill_are_one_kill", a_leave_and_a_kill_are_one_kill},
    {"a_late_answer_settles_it", a_late_answer_settles_it},
    {"a_late_attach_is_undone", a_late_attach_is_undone},
    {"places_of_the_late_go_to_others", places_of_the_late_go_to_others},
    {"a_create_goes_on", a_create_goes_on},
    {"left_before_it_was_created", left_before_it_was_created},
    {"attaches_are_limited", attaches_are_limited},
    {"others_are_limited", others_are_limited},
    {"memory_is_limited", memory_is_limited},
    {"calls_are_limited", calls_are_limited},
    {"calls_are_limited_further", calls_are_limited_further},
    {"a_ceiling_is_shared", a_ceiling_is_shared},
    {"memory_is_divided", memory_is_divided},
    {"stop_takes_our_counts_away", stop_takes_our_counts_away},
    {"free_ends_what_is_open", free_ends_what_is_open},
    {"no_memory_is_an_error", no_memory_is_an_error},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"keeper/away", NULL, NULL, kf_begin, kf_end, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
