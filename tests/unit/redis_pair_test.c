/* The life of the pair: every state with every event by a table, then the
 * sequences that matter on virtual time. */
#include "pair.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static struct wwri_pair pair;
static uint64_t now;

static const char replid_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char replid_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void init(bool all_steps) {
  struct wwri_pair_opts opts;
  wwri_pair_opts_default(&opts);
  opts.auth = opts.select = opts.scripts = all_steps;
  wwri_pair_init(&pair, &opts, 42);
  now = 1000000;
}

static void setup(void) {
  init(true);
}

static unsigned input(const struct wwri_pair_input *it) {
  return wwri_pair_input(&pair, it, now);
}

static unsigned event(enum wwri_pair_event it) {
  return input(&(struct wwri_pair_input){.event = it});
}

static unsigned fail(enum wwri_redis_cause cause) {
  return input(
      &(struct wwri_pair_input){.event = WWRI_PAIR_FAILED, .cause = cause});
}

static unsigned opened(enum wwri_pair_side side) {
  return input(
      &(struct wwri_pair_input){.event = WWRI_PAIR_OPENED, .side = side});
}

static unsigned answered(enum wwri_pair_side side, bool master,
                         const char *replid) {
  struct wwri_pair_input it = {.event = WWRI_PAIR_ANSWERED, .side = side};
  it.info.master = master;
  memcpy(it.info.replid, replid, sizeof(it.info.replid));
  return input(&it);
}

static unsigned yes(enum wwri_pair_side side) {
  return answered(side, true, replid_a);
}

static unsigned back(uint64_t number) {
  return input(
      &(struct wwri_pair_input){.event = WWRI_PAIR_BEAT_BACK, .beat = number});
}

static unsigned tick_at(uint64_t at) {
  now = at;
  return event(WWRI_PAIR_TICK);
}

static unsigned tick_due(void) {
  return tick_at(wwri_pair_due(&pair));
}

/* Bring it to a state. */
static void reach(enum wwri_pair_state state) {
  if (state == WWRI_PAIR_STOPPED) return;
  event(WWRI_PAIR_START);
  if (state == WWRI_PAIR_RESOLVE) return;
  if (state == WWRI_PAIR_WAIT) {
    fail(WWRI_CAUSE_RESOLVE);
    return;
  }
  event(WWRI_PAIR_MASTER);
  if (state == WWRI_PAIR_CONNECT) return;
  for (int side = 0; side < WWRI_PAIR_SIDES; side++) {
    opened((enum wwri_pair_side)side);
    while (pair.side[side].step != WWRI_STEP_READY) {
      yes((enum wwri_pair_side)side);
    }
  }
  if (state == WWRI_PAIR_PROVE) return;
  back(pair.beat_n);
  if (state == WWRI_PAIR_LIVE) return;
  while (pair.state != WWRI_PAIR_SUSPECT) tick_due();
}

/* --- Every state with every event --------------------------------------- */

#define CLOSE   WWRI_ACT_CLOSE
#define LOST    WWRI_ACT_LOST
#define RESOLVE WWRI_ACT_RESOLVE
#define DIAL    WWRI_ACT_DIAL
#define STEP    WWRI_ACT_STEP_COMMANDS
#define BEAT    WWRI_ACT_BEAT

struct row {
  enum wwri_pair_state from;
  enum wwri_pair_event event;
  enum wwri_pair_state to;
  unsigned acts;
};

/* OPENED and ANSWERED are the commands' side; FAILED is IO; BEAT_BACK is the
 * newest; TICK comes when due. */
static const struct row rows[] = {
    {WWRI_PAIR_STOPPED, WWRI_PAIR_START, WWRI_PAIR_RESOLVE, RESOLVE},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_MASTER, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_SWITCH, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_OPENED, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_ANSWERED, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_FAILED, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_STOPPED, WWRI_PAIR_TICK, WWRI_PAIR_STOPPED, 0},

    {WWRI_PAIR_RESOLVE, WWRI_PAIR_START, WWRI_PAIR_RESOLVE, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_MASTER, WWRI_PAIR_CONNECT, DIAL},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_SWITCH, WWRI_PAIR_RESOLVE, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_OPENED, WWRI_PAIR_RESOLVE, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_ANSWERED, WWRI_PAIR_RESOLVE, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_RESOLVE, 0},
    {WWRI_PAIR_RESOLVE, WWRI_PAIR_TICK, WWRI_PAIR_WAIT, 0},

    {WWRI_PAIR_CONNECT, WWRI_PAIR_START, WWRI_PAIR_CONNECT, 0},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, CLOSE},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_MASTER, WWRI_PAIR_CONNECT, 0},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_SWITCH, WWRI_PAIR_WAIT, CLOSE},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_OPENED, WWRI_PAIR_CONNECT, STEP},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_ANSWERED, WWRI_PAIR_CONNECT, 0},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, CLOSE},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_CONNECT, 0},
    {WWRI_PAIR_CONNECT, WWRI_PAIR_TICK, WWRI_PAIR_WAIT, CLOSE},

    {WWRI_PAIR_PROVE, WWRI_PAIR_START, WWRI_PAIR_PROVE, 0},
    {WWRI_PAIR_PROVE, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, CLOSE},
    {WWRI_PAIR_PROVE, WWRI_PAIR_MASTER, WWRI_PAIR_PROVE, 0},
    {WWRI_PAIR_PROVE, WWRI_PAIR_SWITCH, WWRI_PAIR_WAIT, CLOSE},
    {WWRI_PAIR_PROVE, WWRI_PAIR_OPENED, WWRI_PAIR_PROVE, 0},
    {WWRI_PAIR_PROVE, WWRI_PAIR_ANSWERED, WWRI_PAIR_PROVE, 0},
    {WWRI_PAIR_PROVE, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, CLOSE},
    {WWRI_PAIR_PROVE, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_LIVE, WWRI_ACT_LIVE},
    {WWRI_PAIR_PROVE, WWRI_PAIR_TICK, WWRI_PAIR_PROVE, BEAT},

    {WWRI_PAIR_LIVE, WWRI_PAIR_START, WWRI_PAIR_LIVE, 0},
    {WWRI_PAIR_LIVE, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, CLOSE | LOST},
    {WWRI_PAIR_LIVE, WWRI_PAIR_MASTER, WWRI_PAIR_LIVE, 0},
    {WWRI_PAIR_LIVE, WWRI_PAIR_SWITCH, WWRI_PAIR_WAIT, CLOSE | LOST},
    {WWRI_PAIR_LIVE, WWRI_PAIR_OPENED, WWRI_PAIR_LIVE, 0},
    {WWRI_PAIR_LIVE, WWRI_PAIR_ANSWERED, WWRI_PAIR_LIVE, 0},
    {WWRI_PAIR_LIVE, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, CLOSE | LOST},
    {WWRI_PAIR_LIVE, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_LIVE, 0},
    {WWRI_PAIR_LIVE, WWRI_PAIR_TICK, WWRI_PAIR_LIVE, BEAT},

    {WWRI_PAIR_SUSPECT, WWRI_PAIR_START, WWRI_PAIR_SUSPECT, 0},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, CLOSE | LOST},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_MASTER, WWRI_PAIR_SUSPECT, 0},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_SWITCH, WWRI_PAIR_WAIT, CLOSE | LOST},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_OPENED, WWRI_PAIR_SUSPECT, 0},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_ANSWERED, WWRI_PAIR_SUSPECT, 0},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, CLOSE | LOST},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_LIVE,
     WWRI_ACT_RECOVERED},
    {WWRI_PAIR_SUSPECT, WWRI_PAIR_TICK, WWRI_PAIR_SUSPECT, BEAT},

    {WWRI_PAIR_WAIT, WWRI_PAIR_START, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_STOP, WWRI_PAIR_STOPPED, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_MASTER, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_SWITCH, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_OPENED, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_ANSWERED, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_FAILED, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_BEAT_BACK, WWRI_PAIR_WAIT, 0},
    {WWRI_PAIR_WAIT, WWRI_PAIR_TICK, WWRI_PAIR_RESOLVE, RESOLVE},
};

static unsigned do_event(enum wwri_pair_event it) {
  switch (it) {
    case WWRI_PAIR_OPENED:
      return opened(WWRI_PAIR_COMMANDS);
    case WWRI_PAIR_ANSWERED:
      return yes(WWRI_PAIR_COMMANDS);
    case WWRI_PAIR_FAILED:
      return fail(WWRI_CAUSE_IO);
    case WWRI_PAIR_BEAT_BACK:
      return back(pair.beat_n);
    case WWRI_PAIR_TICK:
      return wwri_pair_due(&pair) == UINT64_MAX ? event(it) : tick_due();
    default:
      return event(it);
  }
}

static void test_every_state_with_every_event(void) {
  enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
  CU_ASSERT_EQUAL(ROWS, (int)WWRI_PAIR_STATES * (int)WWRI_PAIR_EVENTS);
  for (size_t i = 0; i < ROWS; i++) {
    const struct row *row = &rows[i];
    init(true);
    reach(row->from);
    CU_ASSERT_EQUAL_FATAL(pair.state, row->from);
    unsigned acts = do_event(row->event);
    CU_ASSERT_EQUAL(acts, row->acts);
    CU_ASSERT_EQUAL(pair.state, row->to);
    if (acts != row->acts || pair.state != row->to) {
      printf("\nstate %d, event %d: state %d, %#x\n", row->from, row->event,
             pair.state, acts);
    }
    /* No state but STOPPED lasts without a deadline. */
    CU_ASSERT_EQUAL(pair.state == WWRI_PAIR_STOPPED,
                    wwri_pair_due(&pair) == UINT64_MAX);
  }
}

static void test_every_cause_in_every_connected_state(void) {
  static const enum wwri_pair_state states[] = {
      WWRI_PAIR_CONNECT, WWRI_PAIR_PROVE, WWRI_PAIR_LIVE, WWRI_PAIR_SUSPECT};
  for (int cause = WWRI_CAUSE_IO; cause < WWRI_CAUSES; cause++) {
    for (int i = 0; i < 4; i++) {
      init(true);
      reach(states[i]);
      unsigned acts = fail((enum wwri_redis_cause)cause);
      CU_ASSERT_EQUAL(acts & ~(unsigned)LOST, CLOSE);
      CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_WAIT);
      CU_ASSERT_EQUAL((int)pair.cause, cause);
      CU_ASSERT_EQUAL(pair.failures[cause], 1);
      CU_ASSERT_EQUAL(pair.side[0].step, WWRI_STEP_OFF);
      CU_ASSERT_EQUAL(pair.side[1].step, WWRI_STEP_OFF);
    }
    CU_ASSERT_STRING_NOT_EQUAL(
        wwri_redis_cause_name((enum wwri_redis_cause)cause), "unknown");
  }
}

/* --- Steps -------------------------------------------------------------- */

static void expect_steps(enum wwri_pair_side side,
                         const enum wwri_pair_step *steps) {
  unsigned act =
      side ? WWRI_ACT_STEP_SUBSCRIBER : (unsigned)WWRI_ACT_STEP_COMMANDS;
  CU_ASSERT_EQUAL(opened(side), act);
  for (; *steps != WWRI_STEP_READY; steps++) {
    CU_ASSERT_EQUAL(pair.side[side].step, *steps);
    unsigned acts = yes(side);
    if (steps[1] != WWRI_STEP_READY) CU_ASSERT_EQUAL(acts, act);
  }
  CU_ASSERT_EQUAL(pair.side[side].step, WWRI_STEP_READY);
}

static void test_all_steps(void) {
  static const enum wwri_pair_step commands[] = {
      WWRI_STEP_AUTH, WWRI_STEP_SELECT, WWRI_STEP_INFO, WWRI_STEP_LOAD,
      WWRI_STEP_READY};
  static const enum wwri_pair_step subscriber[] = {
      WWRI_STEP_AUTH, WWRI_STEP_INFO, WWRI_STEP_LISTEN, WWRI_STEP_READY};
  reach(WWRI_PAIR_CONNECT);
  expect_steps(WWRI_PAIR_COMMANDS, commands);
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_CONNECT);
  CU_ASSERT_EQUAL(pair.beat_n, 0);
  expect_steps(WWRI_PAIR_SUBSCRIBER, subscriber);
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_PROVE);
  CU_ASSERT_EQUAL(pair.beat_n, 1);
}

static void test_fewest_steps(void) {
  static const enum wwri_pair_step commands[] = {WWRI_STEP_INFO,
                                                 WWRI_STEP_READY};
  static const enum wwri_pair_step subscriber[] = {
      WWRI_STEP_INFO, WWRI_STEP_LISTEN, WWRI_STEP_READY};
  init(false);
  reach(WWRI_PAIR_CONNECT);
  expect_steps(WWRI_PAIR_SUBSCRIBER, subscriber);
  expect_steps(WWRI_PAIR_COMMANDS, commands);
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_PROVE);
}

static void test_role_and_identity(void) {
  for (int first = 0; first < 2; first++) {
    enum wwri_pair_side one = (enum wwri_pair_side)first;
    enum wwri_pair_side two = (enum wwri_pair_side) !first;
    init(false);
    reach(WWRI_PAIR_CONNECT);
    opened(one);
    CU_ASSERT_EQUAL(answered(one, false, replid_a), CLOSE);
    CU_ASSERT_EQUAL(pair.cause, WWRI_CAUSE_ROLE);
    init(false);
    reach(WWRI_PAIR_CONNECT);
    opened(one);
    answered(one, true, replid_a);
    opened(two);
    CU_ASSERT_EQUAL(answered(two, true, replid_b), CLOSE);
    CU_ASSERT_EQUAL(pair.cause, WWRI_CAUSE_REPLID);
  }
}

static void test_a_step_has_a_deadline_of_its_own(void) {
  reach(WWRI_PAIR_CONNECT);
  now += 1900;
  opened(WWRI_PAIR_COMMANDS);
  opened(WWRI_PAIR_SUBSCRIBER);
  CU_ASSERT_EQUAL(wwri_pair_due(&pair), now + 3000);
  now += 2900;
  yes(WWRI_PAIR_COMMANDS);
  CU_ASSERT_EQUAL(wwri_pair_due(&pair), now + 100); /* the subscriber's */
  CU_ASSERT_EQUAL(tick_due(), CLOSE);
  CU_ASSERT_EQUAL(pair.cause, WWRI_CAUSE_TIMEOUT);
}

/* --- Beats -------------------------------------------------------------- */

static void test_live_for_long(void) {
  reach(WWRI_PAIR_LIVE);
  for (int i = 0; i < 100; i++) {
    CU_ASSERT_EQUAL(tick_due(), BEAT);
    now += 3;
    CU_ASSERT_EQUAL(back(pair.beat_n), 0);
    CU_ASSERT_EQUAL(pair.rtt_ms, 3);
  }
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_LIVE);
  CU_ASSERT_EQUAL(now, 1000000 + 100 * 1003 - 3 * 100 + 3);
}

static void test_silence(void) {
  reach(WWRI_PAIR_LIVE);
  uint64_t start = now;
  unsigned suspect = 0;
  unsigned beats = 0;
  while (pair.state != WWRI_PAIR_WAIT) {
    unsigned acts = tick_due();
    if (acts & WWRI_ACT_SUSPECT) suspect = (unsigned)(now - start);
    if (acts & BEAT) beats++;
  }
  CU_ASSERT_EQUAL(suspect, 1500);
  CU_ASSERT_EQUAL(now - start, 3000);
  CU_ASSERT_EQUAL(beats, 2);
  CU_ASSERT_EQUAL(pair.cause, WWRI_CAUSE_BEAT);
}

static void test_a_beat_that_is_old_does_not_clear(void) {
  reach(WWRI_PAIR_SUSPECT); /* beats 2 (and 1) are out */
  uint64_t first = pair.beat_n;
  CU_ASSERT_EQUAL(tick_due(), BEAT);
  now += 600;
  CU_ASSERT_EQUAL(back(first), 0); /* sent 1600 ms ago: it lags */
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_SUSPECT);
  CU_ASSERT_EQUAL(back(first + 1), WWRI_ACT_RECOVERED);
}

static void test_beats_of_others_do_not_count(void) {
  reach(WWRI_PAIR_PROVE);
  uint64_t before = pair.beat_n;
  CU_ASSERT_EQUAL(back(before + 1), 0);
  CU_ASSERT_EQUAL(back(0), 0);
  fail(WWRI_CAUSE_IO);
  tick_due();
  event(WWRI_PAIR_MASTER);
  for (int side = 0; side < 2; side++) {
    opened((enum wwri_pair_side)side);
    while (pair.side[side].step != WWRI_STEP_READY) {
      yes((enum wwri_pair_side)side);
    }
  }
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_PROVE);
  CU_ASSERT_EQUAL(back(before), 0); /* of the former connections */
  CU_ASSERT_EQUAL(back(pair.beat_n), WWRI_ACT_LIVE);
}

static void test_not_proven(void) {
  reach(WWRI_PAIR_PROVE);
  uint64_t start = now;
  while (pair.state == WWRI_PAIR_PROVE) tick_due();
  CU_ASSERT_EQUAL(now - start, 3000);
  CU_ASSERT_EQUAL(pair.cause, WWRI_CAUSE_BEAT);
  CU_ASSERT_EQUAL(pair.beat_n, 3);
}

static void test_a_loop_that_stood_still_blames_nobody(void) {
  reach(WWRI_PAIR_LIVE);
  unsigned acts = tick_at(now + 60000);
  CU_ASSERT_EQUAL(acts, BEAT);
  CU_ASSERT_EQUAL(pair.state, WWRI_PAIR_LIVE);
  CU_ASSERT_EQUAL(pair.stood_ms, 59000);
  now += 2;
  CU_ASSERT_EQUAL(back(pair.beat_n), 0);
  CU_ASSERT_EQUAL(pair.rtt_ms, 2);
  /* From here on real silence counts as ever. */
  while (pair.state != WWRI_PAIR_WAIT) tick_due();
  CU_ASSERT_EQUAL(now, 1000000 + 60000 + 3000);
}

/* --- Back-off ----------------------------------------------------------- */

static uint64_t next_delay(void) {
  event(WWRI_PAIR_MASTER);
  fail(WWRI_CAUSE_IO);
  uint64_t delay = wwri_pair_due(&pair) - now;
  tick_due();
  return delay;
}

static void expect_backoff(uint64_t max) {
  uint64_t limit = 50;
  for (int i = 0; i < 40; i++) {
    uint64_t delay = next_delay();
    CU_ASSERT_TRUE(delay >= limit / 2 && delay <= limit);
    limit = limit * 2 < max ? limit * 2 : max;
  }
}

static void test_backoff(void) {
  reach(WWRI_PAIR_RESOLVE);
  expect_backoff(5000);
}

static void test_backoff_while_someone_waits(void) {
  reach(WWRI_PAIR_RESOLVE);
  wwri_pair_set_waiting(&pair, true, now);
  expect_backoff(500);
}

static void test_someone_begins_to_wait(void) {
  reach(WWRI_PAIR_RESOLVE);
  for (int i = 0; i < 20; i++) next_delay();
  event(WWRI_PAIR_MASTER);
  fail(WWRI_CAUSE_IO);
  CU_ASSERT_TRUE(wwri_pair_due(&pair) - now >= 2500);
  wwri_pair_set_waiting(&pair, true, now);
  CU_ASSERT_TRUE(wwri_pair_due(&pair) - now <= 500);
  CU_ASSERT_TRUE(wwri_pair_due(&pair) - now >= 250);
}

static void test_backoff_begins_anew_after_a_steady_time(void) {
  reach(WWRI_PAIR_RESOLVE);
  for (int i = 0; i < 10; i++) next_delay();
  fail(WWRI_CAUSE_IO);
  tick_due();
  reach(WWRI_PAIR_LIVE); /* START is ignored */
  fail(WWRI_CAUSE_IO);
  CU_ASSERT_TRUE(wwri_pair_due(&pair) - now >= 2500); /* it flaps */
  tick_due();
  reach(WWRI_PAIR_LIVE);
  for (int i = 0; i < 6; i++) {
    tick_due();
    back(pair.beat_n);
  }
  fail(WWRI_CAUSE_IO);
  CU_ASSERT_TRUE(wwri_pair_due(&pair) - now <= 50);
}

static void test_a_switch_does_not_wait(void) {
  reach(WWRI_PAIR_LIVE);
  CU_ASSERT_EQUAL(event(WWRI_PAIR_SWITCH), CLOSE | LOST);
  CU_ASSERT_EQUAL(wwri_pair_due(&pair), now);
  CU_ASSERT_EQUAL(tick_due(), RESOLVE);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"every state with every event", test_every_state_with_every_event},
      {"every cause", test_every_cause_in_every_connected_state},
      {"all steps", test_all_steps},
      {"fewest steps", test_fewest_steps},
      {"role and identity", test_role_and_identity},
      {"a step's deadline", test_a_step_has_a_deadline_of_its_own},
      {"live for long", test_live_for_long},
      {"silence", test_silence},
      {"an old beat", test_a_beat_that_is_old_does_not_clear},
      {"beats of others", test_beats_of_others_do_not_count},
      {"not proven", test_not_proven},
      {"the loop stood still", test_a_loop_that_stood_still_blames_nobody},
      {"back-off", test_backoff},
      {"back-off while someone waits", test_backoff_while_someone_waits},
      {"someone begins to wait", test_someone_begins_to_wait},
      {"back-off begins anew", test_backoff_begins_anew_after_a_steady_time},
      {"a switch does not wait", test_a_switch_does_not_wait},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"pair", NULL, NULL, setup, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
