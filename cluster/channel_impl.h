/* channel_impl.h - between channel.c, channel_join.c and catchup.c. */
#ifndef WWRI_CHANNEL_IMPL_H
#define WWRI_CHANNEL_IMPL_H

#include "channel.h"

/** One more in the statistics, also in those of all channels. */
#define WWRI_COUNT(channel, what)                                   \
  do {                                                              \
    (channel)->stats.what++;                                        \
    if ((channel)->config->total) (channel)->config->total->what++; \
  } while (0)

/** A copy of an entry: a hint that waits, or what was delivered lately. */
struct held {
  struct wwri_list node;
  struct wwri_entry entry;
  uint64_t mark; /* commands issued when it arrived */
  uint8_t bytes[];
};

/** NULL: no memory. */
struct held *wwri_held_new(const struct wwri_entry *entry, uint64_t mark);

/** Where we are; there is a position (phase LIVE, STALE, LAGGING, LINGER). */
static inline struct wwri_pos *wwri_channel_at(struct wwri_channel *channel) {
  return &channel->trail[channel->trail_len - 1].last;
}

/** The position moves to an entry, which is delivered unless it is a fork
 * record or was delivered before. */
void wwri_channel_accept(struct wwri_channel *channel,
                         const struct wwri_entry *entry, bool from_log);

/** Forget the trail and stand at `pos`. */
void wwri_channel_place(struct wwri_channel *channel,
                        const struct wwri_pos *pos);

/** Begin to catch up from the present position. */
void wwri_channel_lag(struct wwri_channel *channel);

/** The end of the log was read up to the present position: what hints are left
 * follow, and the channel is live; or it must read again. */
void wwri_channel_caught_up(struct wwri_channel *channel, uint64_t now_ms);

/** An answer to RANGE while lagging (catchup.c). */
void wwri_channel_find(struct wwri_channel *channel,
                       const struct wwri_entry *entries, size_t count,
                       bool more, uint64_t now_ms);

/** Keep a copy for joins whose history is under way. */
void wwri_channel_keep_recent(struct wwri_channel *channel,
                              const struct wwri_entry *entry);

/** True when some join waits for entries. */
bool wwri_channel_wants_history(const struct wwri_channel *channel,
                                uint32_t *count);

/** Complete the joins that asked for nothing; needs a position. */
void wwri_channel_join_plain(struct wwri_channel *channel);

/** Complete the joins that the answer to an OPEN serves. False: not now (no
 * memory, or the log and we are apart). */
void wwri_channel_join_history(struct wwri_channel *channel,
                               const struct wwri_entry *history, size_t count);

#endif
