/* catchup.c - finding our place in the log again (R3), and saying so when it
 * is not there.
 *
 * The log is read from our position on, that entry included. If it comes back
 * as the very message that we delivered last, what follows is what we missed.
 *
 * If it does not, the log and we have parted somewhere. Fork records name the
 * entry that an epoch continues, and we remember the last entry of each of the
 * last eight epochs that we delivered from (the trail). So:
 * - a fork that continues something we delivered: we went further on a branch
 *   that was forgotten; go on after the fork (diverged);
 * - the fork continues an epoch that we don't know, or nothing is there at
 *   all: look again from the epoch before. docs/rules.md's R3 goes on after the
 *   fork at once, and would skip an epoch that began and ended elsewhere while
 *   we were on the forgotten branch;
 * - what we look for is older than the log, which goes on in that epoch: lost;
 * - none of our epochs is in the log, or where it left them is trimmed away:
 *   reset. Numbers alone don't tell how much was missed, since an epoch of
 *   another branch can lie on either side of ours. */
#include "channel_impl.h"

static void declare(struct wwri_channel *channel, enum wwri_verdict_kind kind,
                    struct wwri_logid from, struct wwri_logid to,
                    uint64_t count) {
  struct wwri_verdict verdict = {kind, from, to, count};
  channel->config->sink->verdict(channel, &verdict);
}

static struct wwri_trail *newest(struct wwri_channel *channel) {
  return &channel->trail[channel->trail_len - 1];
}

/* Deliver what follows our position; the end of the log makes us live. */
static void follow(struct wwri_channel *channel,
                   const struct wwri_entry *entries, size_t count, bool more,
                   uint64_t now_ms) {
  for (size_t i = 0; i < count; i++) {
    wwri_channel_accept(channel, &entries[i], true);
  }
  channel->probe = channel->trail_len - 1;
  channel->opened = false;
  if (!more) wwri_channel_caught_up(channel, now_ms);
}

static struct wwri_logid after(struct wwri_logid id) {
  id.offset++;
  return id;
}

/* How many entries beyond `id` of trail entry `at` we delivered, as far as
 * offsets tell. */
static uint64_t beyond(const struct wwri_channel *channel, unsigned at,
                       struct wwri_logid id) {
  uint64_t count = channel->trail[at].last.id.offset - id.offset;
  for (unsigned i = at + 1; i < channel->trail_len; i++) {
    count += channel->trail[i].last.id.offset;
  }
  return count;
}

/* We went further than `id` (an entry of trail epoch `at`), on a branch that
 * is gone. */
static void branch_off(struct wwri_channel *channel, unsigned at,
                       struct wwri_logid id) {
  struct wwri_logid from = after(id);
  struct wwri_logid to = newest(channel)->last.id;
  uint64_t count = beyond(channel, at, id);
  if (at + 1 < channel->trail_len) from = channel->trail[at + 1].last.id;
  if (count || at + 1 < channel->trail_len) {
    declare(channel, WWRI_DIVERGED, from, to, count);
  }
  channel->trail_len = at + 1;
  if (!wwri_logid_equal(channel->trail[at].last.id, id)) {
    channel->trail[at].last = (struct wwri_pos){.id = id};
  }
  channel->probe = at;
}

/* A position known by its id alone (after a fork that cut it off) matches any
 * entry of that id. */
static bool matches(const struct wwri_pos *want, const struct wwri_entry *got) {
  if (!wwri_logid_equal(want->id, got->pos.id)) return false;
  return want->seq == 0 || got->fork || wwri_pos_equal(want, &got->pos);
}

static bool step_back(struct wwri_channel *channel) {
  if (channel->probe == 0) return false;
  channel->probe--;
  return true;
}

static int find_epoch(const struct wwri_channel *channel, uint64_t epoch) {
  for (unsigned i = channel->trail_len; i > 0; i--) {
    if (channel->trail[i - 1].epoch == epoch) return (int)(i - 1);
  }
  return -1;
}

static void lose(struct wwri_channel *channel, struct wwri_logid to,
                 uint64_t count) {
  channel->trail_len = channel->probe + 1;
  declare(channel, WWRI_LOST, after(newest(channel)->last.id), to, count);
}

/* None of our epochs continues in the log: begin with the entry `first`. */
static void reset_at(struct wwri_channel *channel,
                     const struct wwri_pos *first) {
  declare(channel, WWRI_RESET, after(newest(channel)->last.id), first->id, 0);
  wwri_channel_place(channel, first);
}

enum found { AGAIN, GO_ON };

/* The log continues with a fork record; our own entry is not there. */
static enum found at_fork(struct wwri_channel *channel,
                          const struct wwri_entry *fork) {
  struct wwri_logid parent = fork->parent;
  if (wwri_logid_none(parent)) {
    reset_at(channel, &fork->pos);
    return GO_ON;
  }
  int known = find_epoch(channel, parent.epoch);
  if (known >= 0) {
    struct wwri_logid last = channel->trail[known].last.id;
    if (parent.offset <= last.offset) {
      branch_off(channel, (unsigned)known, parent);
      return GO_ON;
    }
    if ((unsigned)known < channel->probe) {
      channel->probe = (unsigned)known;
      return AGAIN;
    }
    lose(channel, parent, parent.offset - last.offset);
    return GO_ON;
  }
  if (step_back(channel)) return AGAIN;
  reset_at(channel, &fork->pos);
  return GO_ON;
}

/* The log continues with a message that is not ours. */
static enum found at_message(struct wwri_channel *channel,
                             const struct wwri_entry *first) {
  struct wwri_logid at = channel->trail[channel->probe].last.id;
  struct wwri_logid before = first->pos.id;
  if (at.epoch == before.epoch && at.offset < before.offset) {
    before.offset--; /* not 0: that would be a fork record */
    lose(channel, before, before.offset - at.offset);
    return GO_ON;
  }
  /* One id for two messages (R1 slipped); or the place where the log left our
   * branch is trimmed away, and it may be further back than we remember. */
  if (wwri_logid_equal(at, before) && step_back(channel)) return AGAIN;
  reset_at(channel, &first->pos);
  return GO_ON;
}

/* The log ends before the entry that we look for. */
static void at_end(struct wwri_channel *channel) {
  if (!channel->opened) {
    channel->need_open = true; /* the generation may be new, the log gone */
  } else if (!step_back(channel)) {
    reset_at(channel, &channel->suspect_top);
    wwri_channel_lag(channel);
  }
}

static void mutant_follow(struct wwri_channel *channel,
                          const struct wwri_entry *entries, size_t count,
                          bool more, uint64_t now_ms) {
  struct wwri_logid at = newest(channel)->last.id;
  while (count && wwri_logid_compare(entries->pos.id, at) <= 0) {
    entries++;
    count--;
  }
  follow(channel, entries, count, more, now_ms);
}

void wwri_channel_find(struct wwri_channel *channel,
                       const struct wwri_entry *entries, size_t count,
                       bool more, uint64_t now_ms) {
  if (channel->config->rules.no_log_matching) {
    mutant_follow(channel, entries, count, more, now_ms);
    return;
  }
  if (count == 0) {
    at_end(channel);
    return;
  }
  if (matches(&channel->trail[channel->probe].last, entries)) {
    if (channel->probe + 1 < channel->trail_len) {
      branch_off(channel, channel->probe, entries->pos.id);
    }
    follow(channel, entries + 1, count - 1, more, now_ms);
    return;
  }
  enum found found =
      entries->fork ? at_fork(channel, entries) : at_message(channel, entries);
  if (found == GO_ON) follow(channel, entries, count, more, now_ms);
}
