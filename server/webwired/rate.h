/* rate.h - a token bucket: so many per second, and so many at once. Pure; time
 * is given by the caller. Not thread-safe. */
#ifndef WEBWIRED_RATE_H
#define WEBWIRED_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
  uint32_t per_second; /* 0: no limit */
  uint32_t burst;      /* at least 1 */
};

/** Zeroed: full at its first use. */
struct rate {
  uint64_t spent;   /* millionths */
  uint64_t seen_us; /* when it was refilled last */
};

/** Take `cost`, if it is there; nothing is taken otherwise. What costs more
 * than the burst is let through by a full bucket, which it empties. `now_us`:
 * of a monotonic clock; a time before the last one counts as that. */
bool rate_take(struct rate *rate, const struct rate_limit *limit, uint32_t cost,
               uint64_t now_us);

/** True when it is as full as one never used. */
bool rate_full(const struct rate *rate, const struct rate_limit *limit,
               uint64_t now_us);

#endif
