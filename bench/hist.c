#include "hist.h"

/* Values below 64 have a bucket each; every power of two above has 64. */
static unsigned bucket_of(uint64_t value) {
  if (value < 64) return (unsigned)value;
  unsigned shift = 63U - (unsigned)__builtin_clzll(value) - 6;
  return (shift + 1) * 64 + (unsigned)(value >> shift & 63);
}

static uint64_t top_of(unsigned bucket) {
  if (bucket < 64) return bucket;
  unsigned shift = bucket / 64 - 1;
  return ((uint64_t)(64 + bucket % 64 + 1) << shift) - 1;
}

void hist_add(struct hist *hist, uint64_t value) {
  hist->buckets[bucket_of(value)]++;
  hist->count++;
  hist->sum += value;
  if (value > hist->max) hist->max = value;
}

double hist_mean(const struct hist *hist) {
  return hist->count ? (double)hist->sum / (double)hist->count : 0;
}

uint64_t hist_percentile(const struct hist *hist, double percent) {
  uint64_t wanted = (uint64_t)((double)hist->count * percent / 100);
  uint64_t seen = 0;
  if (wanted >= hist->count) return hist->max;
  for (unsigned i = 0; i < HIST_BUCKETS; i++) {
    seen += hist->buckets[i];
    if (seen > wanted) return top_of(i) < hist->max ? top_of(i) : hist->max;
  }
  return hist->max;
}
