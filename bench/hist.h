/* hist.h - every latency counted, none sampled: buckets that grow with the
 * value, so that a percentile is right to 1.6 %. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_BUCKETS (59 * 64)

struct hist {
  uint64_t count;
  uint64_t max;
  uint64_t sum;
  uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *hist, uint64_t value);

/** 0 when empty. */
double hist_mean(const struct hist *hist);

/** The value that `percent` of what was added is not above; 0 when empty. */
uint64_t hist_percentile(const struct hist *hist, double percent);

#endif
