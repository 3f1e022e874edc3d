/* rng.h - random numbers that are the same in every run (xorshift64*). */
#ifndef WWR_TEST_RNG_H
#define WWR_TEST_RNG_H

#include <stdint.h>

struct rng {
  uint64_t state; /* not 0 */
};

static inline uint64_t rng_next(struct rng *rng) {
  rng->state ^= rng->state >> 12;
  rng->state ^= rng->state << 25;
  rng->state ^= rng->state >> 27;
  return rng->state * 0x2545f4914f6cdd1du;
}

/** 0 to n - 1. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n) {
  return (rng_next(rng) >> 16) % n;
}

#endif
