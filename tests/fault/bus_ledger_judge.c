/* bus_ledger_judge.c - what the sums must be, and the line that tells them. */
#include <stdio.h>

#include "bus_ledger_impl.h"
#include "test.h"

void ledger_print(const char *name, const struct ledger_sums *s) {
  printf(
      "%s: published %llu acked %llu failed %llu unknown %llu | received %llu "
      "of %llu lost %llu excused %llu lied %llu dup %llu reordered %llu "
      "disordered %llu | verdicts lost %llu diverged %llu reset %llu uncertain "
      "%llu | history bad %llu | away %llu unready %llu | controls %llu lost "
      "%llu excused "
      "%llu bad %llu | "
      "recovered %lld "
      "ms, longest ack %lld ms\n",
      name, (unsigned long long)s->published, (unsigned long long)s->acked,
      (unsigned long long)s->failed, (unsigned long long)s->unknown,
      (unsigned long long)s->received, (unsigned long long)s->expected,
      (unsigned long long)s->lost, (unsigned long long)s->excused,
      (unsigned long long)s->lied, (unsigned long long)s->duplicates,
      (unsigned long long)s->reordered, (unsigned long long)s->disordered,
      (unsigned long long)s->verdicts[0], (unsigned long long)s->verdicts[1],
      (unsigned long long)s->verdicts[2], (unsigned long long)s->verdicts[3],
      (unsigned long long)s->history_bad, (unsigned long long)s->away,
      (unsigned long long)s->unready, (unsigned long long)s->controls,
      (unsigned long long)s->controls_lost,
      (unsigned long long)s->controls_excused,
      (unsigned long long)s->controls_bad, (long long)s->recovery_ms,
      (long long)s->longest_ack_ms);
}

struct ledger_sums ledger_end(const char *name) {
  ledger_await_recovery();
  CU_ASSERT_TRUE(ledger_await_ready(true));
  CU_ASSERT_TRUE(ledger_await_acked(200));
  struct ledger_sums sums = ledger_close(name);
  CU_ASSERT_EQUAL(sums.lost, 0);
  CU_ASSERT_EQUAL(sums.lied, 0);
  CU_ASSERT_EQUAL(sums.duplicates, 0);
  CU_ASSERT_EQUAL(sums.reordered, 0);
  CU_ASSERT_EQUAL(sums.disordered, 0);
  CU_ASSERT_EQUAL(sums.controls_lost, 0);
  CU_ASSERT_EQUAL(sums.controls_bad, 0);
  CU_ASSERT_TRUE(ledger.opts.shards || sums.controls_reordered == 0);
  CU_ASSERT_EQUAL(sums.history_bad, 0);
  CU_ASSERT_TRUE(sums.acked > 400);
  return sums;
}

void ledger_expect_whole(const struct ledger_sums *sums) {
  CU_ASSERT_EQUAL(sums->failed, 0);
  CU_ASSERT_EQUAL(sums->unknown, 0);
  CU_ASSERT_EQUAL(sums->received, sums->expected);
  for (unsigned i = 0; i < 3; i++) CU_ASSERT_EQUAL(sums->verdicts[i], 0);
}

void ledger_expect_calm(const struct ledger_sums *sums) {
  enum { MISSED_MS = 300 }; /* a beat each second, and 1.5 s until it counts */
  int64_t longest = sums->late_ms;
  for (unsigned i = 0; i < LEDGER_CHANNELS; i++) {
    const struct ledger_channel_sums *channel = &sums->channels[i];
    if (channel->longest_ack_ms > longest) longest = channel->longest_ack_ms;
    if (channel->longest_way_ms > longest) longest = channel->longest_way_ms;
  }
  CU_ASSERT_TRUE(sums->away == 0 || longest >= MISSED_MS);
}

int64_t ledger_allowed(const struct ledger_sums *sums, int64_t ms) {
  enum { TURNS = 4 }; /* of threads of ours that a message takes */
  return ms + TURNS * sums->late_ms;
}

void ledger_expect_complete(const struct ledger_sums *sums) {
  CU_ASSERT_EQUAL(sums->excused, 0);
  CU_ASSERT_EQUAL(sums->controls_excused, 0);
  CU_ASSERT_EQUAL(sums->verdicts[WWRI_LOST], 0);
}
