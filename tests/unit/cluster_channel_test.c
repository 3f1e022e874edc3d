/* The states of a channel, event by event. What the channel says is written
 * down as text: "+1.2" delivered, "joined 1.2/3" with three of history,
 * "lost 1.2..1.4", "diverged 3", "reset 2.0". */
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "said.h"
#include "test.h"

struct fixture {
  struct wwri_channel channel;
  struct wwri_channel_config config;
  struct wwri_sub sub;
  struct wwri_join join;
  struct said said;
};

static struct said *said_of(void *user) {
  return &((struct fixture *)user)->said;
}

#define ID(id) (unsigned)(id).epoch, (unsigned)(id).offset

static void on_deliver(struct wwri_channel *channel, struct wwri_sub *sub,
                       const struct wwri_entry *entry) {
  (void)sub;
  said_add(said_of(channel->user), "+%u.%u ", ID(entry->pos.id));
}

static void on_joined(struct wwri_channel *channel, struct wwri_join *join,
                      struct wwri_logid from, const struct wwri_entry *history,
                      size_t count) {
  (void)join, (void)history;
  said_add(said_of(channel->user), "joined %u.%u/%u ", ID(from),
           (unsigned)count);
}

static void on_verdict(struct wwri_channel *channel,
                       const struct wwri_verdict *verdict) {
  if (verdict->kind == WWRI_LOST) {
    said_add(said_of(channel->user), "lost %u.%u..%u.%u ", ID(verdict->from),
             ID(verdict->to));
  } else if (verdict->kind == WWRI_DIVERGED) {
    said_add(said_of(channel->user), "diverged %u ", (unsigned)verdict->count);
  } else {
    said_add(said_of(channel->user), "reset %u.%u ", ID(verdict->to));
  }
}

static const struct wwri_channel_sink sink = {on_deliver, on_joined,
                                              on_verdict};

/* The text since the last call. */
/* An entry: seq = 100 * epoch + offset unless said otherwise. */
static struct wwri_entry entry(uint64_t epoch, uint64_t offset) {
  struct wwri_entry made = {0};
  made.pos.id = (struct wwri_logid){epoch, offset};
  made.pos.boot.lo = 7;
  made.pos.seq = 100 * epoch + offset;
  return made;
}

static struct wwri_entry fork_of(uint64_t epoch, uint64_t parent_epoch,
                                 uint64_t parent_offset) {
  struct wwri_entry made = {.fork = true};
  made.pos.id.epoch = epoch;
  made.parent = (struct wwri_logid){parent_epoch, parent_offset};
  return made;
}

static void hint(struct fixture *f, uint64_t epoch, uint64_t offset) {
  struct wwri_entry made = entry(epoch, offset);
  wwri_channel_hint(&f->channel, &made);
}

static struct wwri_logid asks(struct fixture *f,
                              enum wwri_channel_command kind) {
  struct wwri_channel_want want = wwri_channel_next(&f->channel, 1000);
  CU_ASSERT_EQUAL(want.kind, kind);
  return want.from;
}

static void join(struct fixture *f, uint32_t history) {
  memset(&f->sub, 0, sizeof f->sub);
  memset(&f->join, 0, sizeof f->join);
  f->join.sub = &f->sub;
  f->join.history = history;
  wwri_list_init(&f->sub.node);
  wwri_list_init(&f->join.node);
  wwri_channel_join(&f->channel, &f->join);
}

static void begin(struct fixture *f) {
  memset(f, 0, sizeof *f);
  wwri_channel_config_default(&f->config);
  f->config.sink = &sink;
  f->config.buffer_messages = 3;
  f->config.chunk = 4;
  CU_ASSERT_EQUAL_FATAL(wwri_channel_init(&f->channel, &f->config, f), WWR_OK);
}

/* Live at 1.5, which is the message with seq 105. */
static void begin_live(struct fixture *f) {
  struct wwri_entry top = entry(1, 5);
  begin(f);
  wwri_channel_pair_live(&f->channel);
  join(f, 0);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f->channel), 1);
  wwri_channel_confirmed(&f->channel);
  asks(f, WWRI_CMD_OPEN);
  wwri_channel_opened(&f->channel, &top.pos, NULL, 0, 0);
  said_expect(&f->said, "joined 1.5/0 ");
  CU_ASSERT_EQUAL(f->channel.phase, WWRI_LIVE);
}

/* The link, and back. */
static void lost(struct fixture *f) {
  wwri_channel_pair_lost(&f->channel);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f->channel), 0); /* it knows */
  asks(f, WWRI_CMD_NONE);
}

static void back(struct fixture *f) {
  wwri_channel_pair_live(&f->channel);
  asks(f, WWRI_CMD_NONE); /* live, but not subscribed */
  wwri_channel_confirmed(&f->channel);
}

static void end(struct fixture *f) {
  wwri_channel_deinit(&f->channel);
}

static void ranged(struct fixture *f, const struct wwri_entry *entries,
                   size_t count) {
  wwri_channel_ranged(&f->channel, entries, count, count > 4, 0);
}

static void a_join_needs_confirmation_pair_and_top(void) {
  struct fixture f;
  begin(&f);
  join(&f, 0);
  asks(&f, WWRI_CMD_NONE);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 1);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 0);
  wwri_channel_confirmed(&f.channel);
  asks(&f, WWRI_CMD_NONE); /* the pair is not live */
  wwri_channel_pair_live(&f.channel);
  asks(&f, WWRI_CMD_OPEN);
  asks(&f, WWRI_CMD_NONE); /* one at a time */
  struct wwri_entry top = entry(1, 5);
  hint(&f, 1, 6);
  hint(&f, 1, 5); /* late */
  wwri_channel_opened(&f.channel, &top.pos, NULL, 0, 0);
  said_expect(&f.said, "joined 1.5/0 +1.6 ");
  hint(&f, 1, 7);
  said_expect(&f.said, "+1.7 ");
  end(&f);
}

static void a_gap_is_read_before_anything_newer(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 1, 8);
  hint(&f, 1, 9);
  said_expect(&f.said, "");
  struct wwri_logid from = asks(&f, WWRI_CMD_RANGE);
  CU_ASSERT_EQUAL(from.offset, 5);
  hint(&f, 1, 10);
  struct wwri_entry log[] = {entry(1, 5), entry(1, 6), entry(1, 7), entry(1, 8),
                             entry(1, 9)};
  wwri_channel_ranged(&f.channel, log, 5, false, 0);
  said_expect(&f.said, "+1.6 +1.7 +1.8 +1.9 +1.10 ");
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
  end(&f);
}

static void a_full_buffer_reads_again(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 1, 7);
  asks(&f, WWRI_CMD_RANGE);
  for (uint64_t i = 8; i < 14; i++) hint(&f, 1, i);
  CU_ASSERT_TRUE(f.channel.buffer_count <= 3);
  struct wwri_entry log[] = {entry(1, 5), entry(1, 6), entry(1, 7)};
  ranged(&f, log, 3);
  said_expect(&f.said, "+1.6 +1.7 ");
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LAGGING);
  CU_ASSERT_EQUAL(asks(&f, WWRI_CMD_RANGE).offset, 7);
  end(&f);
}

static void pressure_holds_repairs_up(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 1, 7);
  wwri_channel_pressure(&f.channel, true);
  asks(&f, WWRI_CMD_NONE);
  wwri_channel_pressure(&f.channel, false);
  asks(&f, WWRI_CMD_RANGE);
  struct wwri_entry log[] = {entry(1, 5), entry(1, 6), entry(1, 7), entry(1, 8),
                             entry(1, 9)};
  wwri_channel_pressure(&f.channel, true);
  ranged(&f, log, 5); /* there is more */
  said_expect(&f.said, "+1.6 +1.7 +1.8 +1.9 ");
  asks(&f, WWRI_CMD_NONE);
  end(&f);
}

/* What the log looks like from 1.5 on, and what is said. */
struct place {
  const char *name;
  struct wwri_entry log[5];
  size_t count;
  const char *said;
};

static void our_place_in_the_log_is_found_or_declared(void) {
  struct wwri_entry other = entry(1, 5);
  other.pos.boot.lo = 9;
  const struct place places[] = {
      {"there", {entry(1, 5), entry(1, 6)}, 2, "+1.6 "},
      {"a fork after us",
       {entry(1, 5), entry(1, 6), fork_of(2, 1, 6), entry(2, 1)},
       4,
       "+1.6 +2.1 "},
      {"forgotten tail",
       {fork_of(2, 1, 3), entry(2, 1)},
       2,
       "diverged 2 +2.1 "},
      {"trimmed", {entry(1, 9), entry(1, 10)}, 2, "lost 1.6..1.8 +1.9 +1.10 "},
      {"trimmed up to a fork",
       {fork_of(2, 1, 8), entry(2, 1)},
       2,
       "lost 1.6..1.8 +2.1 "},
      {"trimmed beyond a fork",
       {entry(2, 4), entry(2, 5)},
       2,
       "reset 2.4 +2.4 +2.5 "},
      {"new data", {fork_of(2, 0, 0), entry(2, 1)}, 2, "reset 2.0 +2.1 "},
      {"one id, two messages", {other, entry(1, 6)}, 2, "reset 1.5 +1.5 +1.6 "},
  };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    struct fixture f;
    begin_live(&f);
    lost(&f);
    back(&f);
    asks(&f, WWRI_CMD_TOP);
    wwri_channel_topped(&f.channel, &places[i].log[1].pos, 0);
    asks(&f, WWRI_CMD_RANGE);
    ranged(&f, places[i].log, places[i].count);
    said_expect(&f.said, places[i].said);
    CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
    end(&f);
  }
}

/* We went 1.5 -> 3.1 on a branch that died; the log went 1.5 -> 2.1 -> 4.1. */
static void an_epoch_that_we_never_saw_is_not_skipped(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 3, 1);
  asks(&f, WWRI_CMD_RANGE);
  struct wwri_entry ours[] = {entry(1, 5), fork_of(3, 1, 5), entry(3, 1)};
  ranged(&f, ours, 3);
  said_expect(&f.said, "+3.1 ");
  lost(&f);
  back(&f);
  asks(&f, WWRI_CMD_TOP);
  struct wwri_entry log[] = {entry(1, 5), fork_of(2, 1, 5), entry(2, 1),
                             fork_of(4, 2, 1), entry(4, 1)};
  wwri_channel_topped(&f.channel, &log[4].pos, 0);
  CU_ASSERT_EQUAL(asks(&f, WWRI_CMD_RANGE).epoch, 3);
  ranged(&f, log + 3, 2); /* the fork continues an epoch we don't know */
  CU_ASSERT_EQUAL(asks(&f, WWRI_CMD_RANGE).epoch, 1);
  wwri_channel_ranged(&f.channel, log, 5, false, 0);
  said_expect(&f.said, "diverged 1 +2.1 +4.1 ");
  end(&f);
}

static void an_empty_log_is_opened_before_it_is_believed(void) {
  struct fixture f;
  begin_live(&f);
  lost(&f);
  back(&f);
  asks(&f, WWRI_CMD_TOP);
  wwri_channel_topped(&f.channel, NULL, 0);
  asks(&f, WWRI_CMD_RANGE);
  ranged(&f, NULL, 0);
  asks(&f, WWRI_CMD_OPEN);
  struct wwri_entry fork = fork_of(2, 1, 4);
  wwri_channel_opened(&f.channel, &fork.pos, NULL, 0, 0);
  asks(&f, WWRI_CMD_RANGE);
  ranged(&f, &fork, 1);
  said_expect(&f.said, "diverged 1 ");
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
  end(&f);
}

static void what_was_read_before_the_pair_was_lost_does_not_count(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 1, 7);
  asks(&f, WWRI_CMD_RANGE);
  lost(&f);
  back(&f);
  struct wwri_entry log[] = {entry(1, 5), entry(1, 6), entry(1, 7)};
  ranged(&f, log, 3);
  said_expect(&f.said, "");
  asks(&f, WWRI_CMD_TOP);
  wwri_channel_topped(&f.channel, &log[2].pos, 0);
  asks(&f, WWRI_CMD_RANGE);
  ranged(&f, log, 3);
  said_expect(&f.said, "+1.6 +1.7 ");
  end(&f);
}

static void the_audit_allows_for_hints_under_way(void) {
  struct fixture f;
  begin_live(&f);
  struct wwri_entry top = entry(1, 6);
  CU_ASSERT_TRUE(wwri_channel_audit(&f.channel));
  wwri_channel_topped(&f.channel, &top.pos, 100);
  wwri_channel_run(&f.channel, 299);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), 300);
  hint(&f, 1, 6);
  wwri_channel_run(&f.channel, 300);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
  CU_ASSERT_TRUE(wwri_channel_audit(&f.channel));
  top = entry(1, 7);
  wwri_channel_topped(&f.channel, &top.pos, 400);
  wwri_channel_run(&f.channel, 600);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LAGGING);
  said_expect(&f.said, "+1.6 ");
  end(&f);
}

/* A refusal of long ago must not hide what is due. */
static void an_old_refusal_hides_no_deadline(void) {
  struct fixture f;
  begin_live(&f);
  CU_ASSERT_TRUE(wwri_channel_audit(&f.channel));
  wwri_channel_failed(&f.channel, 1000);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), 1100);
  wwri_channel_run(&f.channel, 1100);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), UINT64_MAX);
  CU_ASSERT_TRUE(wwri_channel_audit(&f.channel));
  struct wwri_entry top = entry(1, 6);
  wwri_channel_topped(&f.channel, &top.pos, 6000);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), 6200);
  wwri_channel_run(&f.channel, 6200);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LAGGING);
  wwri_channel_leave(&f.channel, &f.sub, 6300);
  end(&f);
  begin_live(&f);
  CU_ASSERT_TRUE(wwri_channel_audit(&f.channel));
  wwri_channel_failed(&f.channel, 1000);
  wwri_channel_run(&f.channel, 1100);
  wwri_channel_leave(&f.channel, &f.sub, 6300);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), 11300);
  end(&f);
}

static void a_duplicate_moves_the_position_only(void) {
  struct fixture f;
  begin_live(&f);
  hint(&f, 1, 6);
  struct wwri_entry again = entry(1, 7);
  again.pos.seq = 106;
  wwri_channel_hint(&f.channel, &again);
  hint(&f, 1, 8);
  said_expect(&f.said, "+1.6 +1.8 ");
  CU_ASSERT_EQUAL(f.channel.stats.duplicates, 1);
  end(&f);
}

static void what_is_not_logged_passes_by(void) {
  struct fixture f;
  begin(&f);
  join(&f, 0);
  hint(&f, 0, 3); /* nobody has joined */
  end(&f);
  begin_live(&f);
  hint(&f, 0, 3);
  hint(&f, 0, 3); /* it has no number: at most once is the sender's affair */
  hint(&f, 1, 6);
  said_expect(&f.said, "+0.3 +0.3 +1.6 ");
  end(&f);
}

static void history_ends_where_delivery_begins(void) {
  struct fixture f;
  struct wwri_sub second = {0};
  struct wwri_join with_history = {.sub = &second, .history = 3};
  begin_live(&f);
  wwri_list_init(&second.node);
  wwri_list_init(&with_history.node);
  wwri_channel_join(&f.channel, &with_history);
  asks(&f, WWRI_CMD_OPEN);
  hint(&f, 1, 6); /* overtakes the answer */
  struct wwri_entry log[] = {fork_of(1, 0, 0), entry(1, 4), entry(1, 5)};
  wwri_channel_opened(&f.channel, &log[2].pos, log, 3, 0);
  said_expect(&f.said, "+1.6 joined 1.6/3 ");
  hint(&f, 1, 7);
  said_expect(&f.said, "+1.7 +1.7 ");
  wwri_channel_leave(&f.channel, &second, 0);
  end(&f);
}

static void history_ahead_of_us_is_cut(void) {
  struct fixture f;
  struct wwri_sub second = {0};
  struct wwri_join with_history = {.sub = &second, .history = 9};
  begin_live(&f);
  wwri_list_init(&second.node);
  wwri_list_init(&with_history.node);
  wwri_channel_join(&f.channel, &with_history);
  asks(&f, WWRI_CMD_OPEN);
  struct wwri_entry log[] = {entry(1, 4), entry(1, 5), entry(1, 6)};
  wwri_channel_opened(&f.channel, &log[2].pos, log, 3, 0);
  said_expect(&f.said, "joined 1.5/2 ");
  hint(&f, 1, 6);
  said_expect(&f.said, "+1.6 +1.6 ");
  wwri_channel_leave(&f.channel, &second, 0);
  end(&f);
}

static void the_last_one_out_lingers(void) {
  struct fixture f;
  begin_live(&f);
  wwri_channel_leave(&f.channel, &f.sub, 1000);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_LINGER);
  hint(&f, 1, 6);
  join(&f, 0);
  wwri_channel_run(&f.channel, 2000);
  said_expect(&f.said, "joined 1.6/0 ");
  wwri_channel_leave(&f.channel, &f.sub, 3000);
  wwri_channel_run(&f.channel, 8000);
  CU_ASSERT_EQUAL(f.channel.phase, WWRI_IDLE);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), -1);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 0);
  wwri_channel_confirmed(&f.channel); /* too late to count */
  CU_ASSERT_TRUE(wwri_channel_unused(&f.channel));
  join(&f, 0);
  CU_ASSERT_FALSE(wwri_channel_unused(&f.channel));
  asks(&f, WWRI_CMD_NONE);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 1);
  asks(&f, WWRI_CMD_NONE);
  wwri_channel_confirmed(&f.channel);
  asks(&f, WWRI_CMD_OPEN);
  said_expect(&f.said, "");
  end(&f);
}

static void a_read_for_those_who_left_is_not_for_those_who_come(void) {
  struct fixture f;
  begin(&f);
  wwri_channel_pair_live(&f.channel);
  join(&f, 0);
  wwri_channel_next_sub(&f.channel);
  wwri_channel_confirmed(&f.channel);
  asks(&f, WWRI_CMD_OPEN);
  wwri_channel_leave(&f.channel, &f.sub, 0);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), -1);
  CU_ASSERT_FALSE(wwri_channel_unused(&f.channel)); /* an answer is due */
  join(&f, 0);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 1);
  struct wwri_entry top = entry(1, 5);
  wwri_channel_opened(&f.channel, &top.pos, NULL, 0, 0);
  said_expect(&f.said, ""); /* nobody said yet that we are subscribed */
  wwri_channel_confirmed(&f.channel);
  asks(&f, WWRI_CMD_OPEN);
  wwri_channel_opened(&f.channel, &top.pos, NULL, 0, 0);
  said_expect(&f.said, "joined 1.5/0 ");
  end(&f);
}

static void a_wish_that_was_not_taken_is_told_again(void) {
  struct fixture f;
  begin(&f);
  wwri_channel_pair_live(&f.channel);
  join(&f, 0);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 1);
  wwri_channel_sub_failed(&f.channel, 1000);
  CU_ASSERT_EQUAL(wwri_channel_deadline(&f.channel), 1100);
  CU_ASSERT_EQUAL(wwri_channel_next_sub(&f.channel), 1);
  wwri_channel_confirmed(&f.channel);
  CU_ASSERT_EQUAL(wwri_channel_next(&f.channel, 1099).kind, WWRI_CMD_NONE);
  CU_ASSERT_EQUAL(wwri_channel_next(&f.channel, 1100).kind, WWRI_CMD_OPEN);
  end(&f);
}

static void short_memory_only_delays(void) {
  for (long n = 0;; n++) {
    struct fixture f;
    begin_live(&f);
    test_alloc_fail_at(n);
    hint(&f, 1, 7);
    struct wwri_entry foreign = entry(1, 8);
    foreign.pos.boot.lo = 8;
    wwri_channel_hint(&f.channel, &foreign);
    asks(&f, WWRI_CMD_RANGE);
    hint(&f, 1, 9);
    bool failed = test_alloc_failed();
    struct wwri_entry log[] = {entry(1, 5), entry(1, 6), entry(1, 7), foreign,
                               entry(1, 9)};
    wwri_channel_ranged(&f.channel, log, 4, false, 0);
    if (f.channel.phase == WWRI_LAGGING) {
      asks(&f, WWRI_CMD_RANGE);
      wwri_channel_ranged(&f.channel, log + 3, 2, false, 0);
    }
    said_expect(&f.said, "+1.6 +1.7 +1.8 +1.9 ");
    CU_ASSERT_EQUAL(f.channel.phase, WWRI_LIVE);
    end(&f);
    if (!failed) break;
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"a_join_needs_confirmation_pair_and_top",
       a_join_needs_confirmation_pair_and_top},
      {"a_gap_is_read_before_anything_newer",
       a_gap_is_read_before_anything_newer},
      {"a_full_buffer_reads_again", a_full_buffer_reads_again},
      {"pressure_holds_repairs_up", pressure_holds_repairs_up},
      {"our_place_in_the_log_is_found_or_declared",
       our_place_in_the_log_is_found_or_declared},
      {"an_epoch_that_we_never_saw_is_not_skipped",
       an_epoch_that_we_never_saw_is_not_skipped},
      {"an_empty_log_is_opened_before_it_is_believed",
       an_empty_log_is_opened_before_it_is_believed},
      {"what_was_read_before_the_pair_was_lost_does_not_count",
       what_was_read_before_the_pair_was_lost_does_not_count},
      {"the_audit_allows_for_hints_under_way",
       the_audit_allows_for_hints_under_way},
      {"an_old_refusal_hides_no_deadline", an_old_refusal_hides_no_deadline},
      {"a_duplicate_moves_the_position_only",
       a_duplicate_moves_the_position_only},
      {"what_is_not_logged_passes_by", what_is_not_logged_passes_by},
      {"history_ends_where_delivery_begins",
       history_ends_where_delivery_begins},
      {"history_ahead_of_us_is_cut", history_ahead_of_us_is_cut},
      {"the_last_one_out_lingers", the_last_one_out_lingers},
      {"a_read_for_those_who_left_is_not_for_those_who_come",
       a_read_for_those_who_left_is_not_for_those_who_come},
      {"a_wish_that_was_not_taken_is_told_again",
       a_wish_that_was_not_taken_is_told_again},
      {"short_memory_only_delays", short_memory_only_delays},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"channel", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
