/* A keeper after another generation, lost data, a fence, missed notices; and
 * what it does by the clock. Rows 45, 47, 52, 53, 56, 57, 61. */
#include <stdio.h>
#include <string.h>

#include "keeper_fixture.h"

static void generation(bool born_anew) {
  kf_lost();
  wwri_keeper_generation(kf.keeper, born_anew, kf.now);
  kf_live();
}

/* --- Another generation (row 56) ---------------------------------------- */

/* All that are held are verified; what was changed lately is told again. */
static void counts_are_told_again(void) {
  kf_have("A", 2);
  kf_have("B", 1);
  kf_detach("B");
  kf_touched("0");
  kf.said[0] = '\0';
  generation(false);
  kf_expect("touch A=2 B=0; ");
  kf_touched("00");
  kf_expect("");
  kf_run(kf.config.keep_ms);
  generation(false);
  kf_expect("touch A=2; ");
}

static void own_closes_are_repeated(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_destroyed(WWRI_WORD_OK, 5);
  kf.said[0] = '\0';
  kf_run(kf.config.keep_ms - 1);
  generation(false);
  kf_expect("kill A v1 force; kill B v5 force; ");
  kf_answer(WWRI_WORD_MISSING);
  kf_destroyed(WWRI_WORD_OK, 5); /* it lived again */
  kf_expect("");
  kf_run(1);
  generation(false);
  kf_expect("");
  struct wwri_keeper_stats stats;
  wwri_keeper_stats(kf.keeper, &stats);
  CU_ASSERT_EQUAL(stats.repeated, 2);
}

static void own_creates_are_repeated(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_answer(WWRI_WORD_OK);
  kf_detach("B");
  kf_touched("0");
  kf.said[0] = '\0';
  generation(false);
  kf_expect("create A n1 v1; create B n0 v2; ");
  kf_answer(WWRI_WORD_OK);
  kf_answer(WWRI_WORD_OK);
  kf_expect("");
  kf_run(kf.config.keep_ms);
  generation(false);
  kf_expect("touch A=1; ");
}

/* Removed, then made again under the same key: in this order. */
static void first_removed_then_created(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf.randoms = 6;
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf.said[0] = '\0';
  generation(false);
  kf_expect("kill A v1 force; ");
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("create A n1 v7; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("");
}

/* Created by us, destroyed by another node meanwhile: its tombstone tells. */
static void a_repeated_create_revives_nothing(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  generation(false);
  kf_answer(WWRI_WORD_CLOSED);
  kf_expect("create A n1 v1; done 1: ok; create A n1 v1; CLOSED A; ");
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_answer(WWRI_WORD_OK);
  kf_closed("B", 2);
  kf.said[0] = '\0';
  generation(false);
  kf_expect("touch A=0 B=0; ");
}

/* Whoever holds a session that was created shortly before the failover puts it
 * back, also when another node made it. */
static void a_holder_puts_it_back(void) {
  kf_have("A", 1);
  generation(false);
  kf_expect("touch A=1; ");
  kf_touched("1");
  kf_expect("create A n1 v1; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("");
  kf_run(kf.config.ttl_ms / 4);
  kf_expect("touch A=1; ");
  kf_touched("1"); /* seen in this generation: now it is gone */
  kf_expect("CLOSED A; ");
}

/* ... but not after a long absence: Redis' memory of closes is short. */
static void not_after_a_long_absence(void) {
  kf_have("A", 1);
  kf_lost();
  kf_run(kf.config.keep_ms + 1);
  wwri_keeper_generation(kf.keeper, false, kf.now);
  kf_live();
  kf_expect("touch A=1; ");
  kf_touched("1");
  kf_expect("CLOSED A; ");
}

/* Others are telling theirs: for a moment "missing" is no answer. */
static void missing_is_doubted(void) {
  generation(false);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_answer(WWRI_WORD_NOBODY);
  kf_expect("attach A n1 h0 m0 look; kill B; ");
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), kf.now + kf.config.retry_ms);
  kf_run(kf.config.retry_ms);
  kf_expect("attach A n1 h0 m0 look; kill B; ");
  kf_attached(4, 1);
  kf_expect("done 1: ok; ");
  kf_run(kf.config.doubt_ms);
  kf_answer(WWRI_WORD_MISSING); /* true then, and not now perhaps */
  kf_run(kf.config.retry_ms);
  kf_expect("kill B; ");
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("done 2: ok; ");
  kf_ask(WWRI_ASK_ATTACH, "C", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("attach C n1 h0 m0 look; done 3: session-not-found; ");
}

/* Answers to what was asked of the old generation prove nothing. */
static void answers_of_the_old_one_are_void(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_expect("create A n1 v1; kill B; ");
  wwri_keeper_generation(kf.keeper, false, kf.now);
  kf_answer(WWRI_WORD_OK);
  kf_destroyed(WWRI_WORD_OK, 3);
  kf_run(kf.config.retry_ms);
  kf_expect("create A n1 v1; kill B; ");
}

/* --- Lost data (row 57) ------------------------------------------------- */

static void sessions_are_put_back(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_answer(WWRI_WORD_OK);
  kf_have("C", 1);
  kf_ask(WWRI_ASK_KILL, "C", 0);
  kf_destroyed(WWRI_WORD_OK, 1);
  kf_detach("C");
  kf_run(kf.config.keep_ms / 2);
  kf.said[0] = '\0';
  generation(true);
  kf_expect("create A n2 v1; create B n1 v1; kill C v1 force; ");
  kf_answer(WWRI_WORD_OK);
  kf_answer(WWRI_WORD_CLOSED); /* another node closed it, and told again */
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("CLOSED B; ");
  CU_ASSERT_EQUAL(kf_count("A"), 2);
}

static void close_them(struct wwri_keeper_config *config) {
  config->recreate = false;
}

static void sessions_are_closed(void) {
  kf_end();
  kf_begin_with(close_them);
  kf_have("A", 2);
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_answer(WWRI_WORD_OK);
  kf_lost();
  kf_ask(WWRI_ASK_CREATE, "C", 0);
  kf.said[0] = '\0';
  wwri_keeper_generation(kf.keeper, true, kf.now);
  kf_live();
  kf_expect("CLOSED A; CLOSED B; create C n1 v2; touch A=0 B=0; ");
  kf_answer(WWRI_WORD_OK);
  kf_touched("11");
  kf_expect("done 4: ok; ");
}

/* --- Fenced (rows 45, 47) ----------------------------------------------- */

static void fence(void) {
  kf_lost();
  wwri_keeper_fenced(kf.keeper, kf.now);
  kf_live();
}

static void everything_is_attached_again(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_ATTACH, "B", 3);
  kf_attached(1, 1);
  kf_have("C", 1);
  kf_have("D", 1);
  kf_detach("D");
  kf.said[0] = '\0';
  fence();
  kf_expect(
      "attach A n2 h0 m0 v1 whole; attach B n1 h0 m3 v1 whole; "
      "attach C n1 h0 m0 v1 whole; ");
  kf_attached(1, 2);
  kf_answer(WWRI_WORD_FULL);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("EVICTED B; CLOSED C; ");
  CU_ASSERT_EQUAL(kf_count("A"), 2);
  CU_ASSERT_EQUAL(kf_count("B") + kf_count("C"), 0);
  kf_detach("B");
  kf_detach("C");
  kf_expect("");
}

/* The maximum of a session that was only created here is in Redis. */
static void a_created_one_has_the_stored_maximum(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf.said[0] = '\0';
  fence();
  kf_expect("attach A n1 h0 m? v1 whole; ");
}

static void fenced_and_away(void) {
  kf_have("A", 2);
  fence();
  kf_expect("attach A n2 h0 m0 v1 whole; ");
  kf_answer(WWRI_WORD_UNAVAILABLE);
  kf_ask(WWRI_ASK_ATTACH, "A", 5);
  kf_detach("A");
  kf_run(kf.config.retry_ms);
  kf_expect("attach A n1 h0 m0 v1 whole; ");
  kf_attached(1, 1);
  kf_expect("attach A n2 h1 m5 v1 look; ");
  kf_attached(1, 2);
  kf_expect("done 3: ok; ");
}

static void fenced_without_any_left(void) {
  kf_have("A", 1);
  kf_lost();
  wwri_keeper_fenced(kf.keeper, kf.now);
  kf_detach("A");
  kf_live();
  kf_expect("");
}

static void fenced_and_data_lost(void) {
  kf_have("A", 1);
  kf_lost();
  wwri_keeper_fenced(kf.keeper, kf.now);
  wwri_keeper_generation(kf.keeper, true, kf.now);
  kf_live();
  kf_expect("create A n0 v1; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("attach A n1 h0 m0 v1 whole; ");
  kf_attached(1, 1);
  kf_expect("");
}

/* An evicted connection that is on its way out does not count down the one that
 * takes a place anew. */
static void evicted_and_back(void) {
  kf_have("A", 2);
  fence();
  kf_ask(WWRI_ASK_ATTACH, "A", 2);
  kf_answer(WWRI_WORD_FULL);
  kf_attached(1, 1);
  kf_expect(
      "attach A n2 h0 m0 v1 whole; EVICTED A; attach A n1 h0 m2 look; "
      "done 3: ok; ");
  kf_detach("A");
  kf_detach("A");
  kf_expect("");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  kf_detach("A");
  kf_expect("touch A=0; ");
}

/* --- Verifying (rows 52, 53) -------------------------------------------- */

static void missed_notices(void) {
  kf_have("A", 1);
  kf_have("B", 2);
  wwri_keeper_verify(kf.keeper, kf.now);
  kf_run(0);
  kf_expect("touch A=1 B=2; ");
  wwri_keeper_verify(kf.keeper, kf.now); /* while one is under way: again */
  kf_touched("10");
  kf_expect("CLOSED A; touch B=2; ");
  kf_touched("0");
  kf_expect("");
}

static void touched_every_quarter(void) {
  kf_have("A", 1);
  kf_run(1000);
  kf_have("B", 1);
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), kf.now - 1000 + 60000);
  kf_run(kf.config.ttl_ms / 4 - 1001);
  kf_expect("");
  kf_run(1);
  kf_expect("touch A=1; ");
  kf_touched("0");
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), kf.now + 1000);
  kf_run(1000);
  kf_expect("touch B=1; ");
  kf_touched("1");
  kf_expect("CLOSED B; ");
}

static void touches_are_of_128(void) {
  static struct kf_op ops[300];
  char keys[300][8];
  kf_have("A", 1);
  for (unsigned i = 0; i < 300; i++) {
    snprintf(keys[i], sizeof keys[i], "Ak%u", i);
    ops[i] = (struct kf_op){.open = true, .base = kf.ops[0].base};
    ops[i].base.key = wwr_view_str(keys[i]);
    wwri_keeper_ask(kf.keeper, &ops[i].base, kf.now);
    wwri_keeper_run(kf.keeper, kf.now);
    kf_attached(1, 1);
    wwr_session_unref(ops[i].session);
  }
  CU_ASSERT_EQUAL(kf.call_count, 0);
  wwri_keeper_verify(kf.keeper, kf.now);
  kf_run(0);
  CU_ASSERT_EQUAL_FATAL(kf.call_count, 3);
  CU_ASSERT_EQUAL(kf.calls[0].touches, 128);
  CU_ASSERT_EQUAL(kf.calls[2].touches, 301 - 256);
}

static void a_refused_touch_is_repeated(void) {
  kf_have("A", 1);
  wwri_keeper_verify(kf.keeper, kf.now);
  kf_run(0);
  kf_answer(WWRI_WORD_ERROR);
  kf_run(kf.config.retry_ms);
  kf_answer(WWRI_WORD_UNAVAILABLE);
  kf_run(kf.config.retry_ms);
  kf_touched("0");
  kf_expect("touch A=1; touch A=1; touch A=1; ");
}

/* Away for long, and nobody said that we were dead: see for ourselves. */
static void verified_after_a_long_absence(void) {
  kf_have("A", 1);
  kf_lost();
  kf_run(kf.config.lease_ms / 2);
  kf_live();
  kf_expect("");
  kf_lost();
  kf_run(kf.config.lease_ms / 2 + 1);
  kf_live();
  kf_expect("touch A=1; ");
}

static void nothing_to_do_when_idle(void) {
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), UINT64_MAX);
  CU_ASSERT_TRUE(wwri_keeper_is_idle(kf.keeper));
  kf_have("A", 1);
  kf_run(kf.config.keep_ms);
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), 1000 + kf.config.ttl_ms / 4);
  kf_detach("A");
  kf_touched("0");
  kf_run(kf.config.keep_ms);
  CU_ASSERT_EQUAL(wwri_keeper_deadline(kf.keeper), UINT64_MAX);
  struct wwri_keeper_stats stats;
  wwri_keeper_stats(kf.keeper, &stats);
  CU_ASSERT_EQUAL(stats.held + stats.kept + stats.open + stats.in_call, 0);
}

/* A slot that is not in use, or an answer for the second time. */
static void unknown_answers_do_nothing(void) {
  struct wwri_keeper_answer answer = {.word = WWRI_WORD_MISSING};
  wwri_keeper_answered(kf.keeper, 0, &answer, kf.now);
  wwri_keeper_answered(kf.keeper, WWRI_KEEPER_CALLS, &answer, kf.now);
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  unsigned slot = kf.calls[0].slot;
  kf_answer(WWRI_WORD_MISSING);
  wwri_keeper_answered(kf.keeper, slot, &answer, kf.now);
  kf_expect("places A; done 1: session-not-found; ");
}

static CU_TestInfo tests[] = {
    {"counts_are_told_again", counts_are_told_again},
    {"own_closes_are_repeated", own_closes_are_repeated},
    {"own_creates_are_repeated", own_creates_are_repeated},
    {"first_removed_then_created", first_removed_then_created},
    {"a_repeated_create_revives_nothing", a_repeated_create_revives_nothing},
    {"a_holder_puts_it_back", a_holder_puts_it_back},
    {"not_after_a_long_absence", not_after_a_long_absence},
    {"missing_is_doubted", missing_is_doubted},
    {"answers_of_the_old_one_are_void", answers_of_the_old_one_are_void},
    {"sessions_are_put_back", sessions_are_put_back},
    {"sessions_are_closed", sessions_are_closed},
    {"everything_is_attached_again", everything_is_attached_again},
    {"a_created_one_has_the_stored_maximum",
     a_created_one_has_the_stored_maximum},
    {"fenced_and_away", fenced_and_away},
    {"fenced_without_any_left", fenced_without_any_left},
    {"fenced_and_data_lost", fenced_and_data_lost},
    {"evicted_and_back", evicted_and_back},
    {"missed_notices", missed_notices},
    {"touched_every_quarter", touched_every_quarter},
    {"touches_are_of_128", touches_are_of_128},
    {"a_refused_touch_is_repeated", a_refused_touch_is_repeated},
    {"verified_after_a_long_absence", verified_after_a_long_absence},
    {"nothing_to_do_when_idle", nothing_to_do_when_idle},
    {"unknown_answers_do_nothing", unknown_answers_do_nothing},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"keeper/repair", NULL, NULL, kf_begin, kf_end, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
