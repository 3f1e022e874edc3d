/* seen.h - which publishes of each publisher a channel has delivered, so that
 * one that comes again is dropped. Pure.
 *
 * A publisher numbers its publishes upwards, but a high-water mark is not
 * enough: of two that were sent together the first can be refused and the
 * second be appended, delivered, and forgotten by a failover; sent again, both
 * are appended in order, and the first is not a duplicate. So the last 256
 * numbers below the mark are remembered one by one. */
#ifndef WWRI_SEEN_H
#define WWRI_SEEN_H

#include "position.h"
#include "wwr_err.h"

enum { WWRI_SEEN_MAX = 64, WWRI_SEEN_WORDS = 4 };

struct wwri_seen_one {
  struct wwri_boot boot;
  uint64_t high;
  uint64_t below[WWRI_SEEN_WORDS]; /* bit i: high - 1 - i was seen */
  uint64_t used;
};

struct wwri_seen {
  struct wwri_seen_one *ones;
  unsigned count;
  unsigned cap;
  uint64_t clock;
};

/** Errors: WWR_E_NOMEM. Room for 64 publishers is made as needed; then, or when
 * memory is short, the one that was silent longest is forgotten. */
WWR_MUST_CHECK wwr_err wwri_seen_init(struct wwri_seen *seen);
void wwri_seen_deinit(struct wwri_seen *seen);
void wwri_seen_clear(struct wwri_seen *seen);

/** True when it is known, or too far below the mark to tell. */
bool wwri_seen_has(const struct wwri_seen *seen, struct wwri_boot boot,
                   uint64_t seq);

/** Remember this one. seq 0 (a fork record) does nothing. */
void wwri_seen_add(struct wwri_seen *seen, struct wwri_boot boot, uint64_t seq);

/** Remember this one and all below it. */
void wwri_seen_add_up_to(struct wwri_seen *seen, struct wwri_boot boot,
                         uint64_t seq);

#endif
