/* ahead.h - how far a node's own publishes to a channel may run ahead of what
 * it has read of the channel's log. Pure: no I/O, no clock.
 *
 * Whatever keeps a node from reading (it stood still, its subscription was cut
 * off, its clients are slow) may last while its own clients go on: what they
 * sent meanwhile waits in its sockets. Published at once, it would push the end
 * out of the log before the node has read that, and the node need not even know
 * yet that it missed anything. So of the entries that a node has still to read,
 * a few at most are its own: those that are under way, and those that were
 * acknowledged with an id beyond its position. The next one waits until it has
 * read one of them. What a node misses is then lost only when *other* nodes
 * have filled the log but for these few. */
#ifndef WWRI_AHEAD_H
#define WWRI_AHEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "position.h"
#include "wwr_err.h"

enum {
  WWRI_AHEAD_MAX = 64,
  WWRI_AHEAD_BYTES = 64 * 1024,
  WWRI_AHEAD_SHARE = 8 /* ... and an eighth of the log at most */
};

struct wwri_ahead_entry {
  struct wwri_logid id;
  size_t bytes;
};

struct wwri_ahead {
  struct wwri_ahead_entry *ring; /* acknowledged, beyond the position; NULL
                                    until the first publish */
  unsigned first;
  unsigned count;
  unsigned open; /* under way */
  size_t bytes;  /* of all */
};

/** All zeros is one that holds nothing. */
void wwri_ahead_deinit(struct wwri_ahead *ahead);

/** Room for what it may have to hold. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_ahead_prepare(struct wwri_ahead *ahead);

/** True when one more may go, into a log of so many entries, by a node that has
 * read up to `at` (NULL: it does not read). One may always, when there is none.
 * Entering another epoch is told by wwri_ahead_reached(), as only the end of
 * the log shows what became of the ids of the last. */
bool wwri_ahead_has_room(struct wwri_ahead *ahead, const struct wwri_logid *at,
                         unsigned log_entries);

/** One more is under way; wwri_ahead_end() follows. */
void wwri_ahead_begin(struct wwri_ahead *ahead, size_t bytes);

/** It is no longer: it was appended as `id`, or ({0}) it will not be. */
void wwri_ahead_end(struct wwri_ahead *ahead, struct wwri_logid id,
                    size_t bytes);

/** The log was read to its end after all acknowledgements so far. Ids of a
 * branch that was forgotten go with it. */
void wwri_ahead_reached(struct wwri_ahead *ahead);

#endif
