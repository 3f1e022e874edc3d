#include "rate.h"

#include <stddef.h>

static const uint64_t UNIT = 1000000;

static void refill(struct rate *rate, const struct rate_limit *limit,
                   uint64_t now_us) {
  if (now_us <= rate->seen_us) return;
  uint64_t passed = now_us - rate->seen_us;
  rate->seen_us = now_us;
  /* Divided, so that a long silence does not overflow. */
  if (passed >= rate->spent / limit->per_second + 1)
    rate->spent = 0;
  else
    rate->spent -= passed * limit->per_second;
}

bool rate_take(struct rate *rate, const struct rate_limit *limit, uint32_t cost,
               uint64_t now_us) {
  if (limit->per_second == 0) return true;
  refill(rate, limit, now_us);
  uint64_t room = limit->burst * UNIT;
  uint64_t price = (cost < limit->burst ? cost : limit->burst) * UNIT;
  if (rate->spent > room) rate->spent = room; /* the burst was lowered */
  if (rate->spent + price > room) return false;
  rate->spent += price;
  return true;
}

bool rate_full(const struct rate *rate, const struct rate_limit *limit,
               uint64_t now_us) {
  struct rate copy = *rate;
  if (limit->per_second == 0) return true;
  refill(&copy, limit, now_us);
  return copy.spent == 0;
}
