/* seen.c - a mark and a bitmap below it for each publisher. */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 4, WORD = 64, WINDOW = WWRI_SEEN_WORDS * WORD };

wwr_err wwri_seen_init(struct wwri_seen *seen) {
  *seen = (struct wwri_seen){0};
  seen->ones = malloc(FIRST * sizeof *seen->ones);
  if (!seen->ones) return WWR_E_NOMEM;
  seen->cap = FIRST;
  return WWR_OK;
}

void wwri_seen_deinit(struct wwri_seen *seen) {
  free(seen->ones);
  *seen = (struct wwri_seen){0};
}

void wwri_seen_clear(struct wwri_seen *seen) {
  seen->count = 0;
}

static struct wwri_seen_one *find(const struct wwri_seen *seen,
                                  struct wwri_boot boot) {
  for (unsigned i = 0; i < seen->count; i++) {
    if (wwri_boot_equal(seen->ones[i].boot, boot)) return &seen->ones[i];
  }
  return NULL;
}

static void grow(struct wwri_seen *seen) {
  unsigned cap = seen->cap * 2;
  struct wwri_seen_one *more = realloc(seen->ones, cap * sizeof *more);
  if (!more) return;
  seen->ones = more;
  seen->cap = cap;
}

static struct wwri_seen_one *find_or_make(struct wwri_seen *seen,
                                          struct wwri_boot boot) {
  struct wwri_seen_one *one = find(seen, boot);
  if (one) return one;
  if (seen->count == seen->cap && seen->cap < WWRI_SEEN_MAX) grow(seen);
  if (seen->count < seen->cap) {
    one = &seen->ones[seen->count++];
  } else {
    one = seen->ones;
    for (unsigned i = 1; i < seen->count; i++) {
      if (seen->ones[i].used < one->used) one = &seen->ones[i];
    }
  }
  *one = (struct wwri_seen_one){.boot = boot};
  return one;
}

static void set_bit(struct wwri_seen_one *one, uint64_t bit) {
  if (bit < WINDOW) one->below[bit / WORD] |= UINT64_C(1) << bit % WORD;
}

/* The mark rises by `by`: what was bit i is now bit i + by. */
static void shift(struct wwri_seen_one *one, uint64_t by) {
  uint64_t old[WWRI_SEEN_WORDS];
  memcpy(old, one->below, sizeof old);
  memset(one->below, 0, sizeof one->below);
  if (by >= WINDOW) return;
  unsigned words = (unsigned)by / WORD, bits = (unsigned)by % WORD;
  for (unsigned i = words; i < WWRI_SEEN_WORDS; i++) {
    one->below[i] = old[i - words] << bits;
    if (bits && i > words) {
      one->below[i] |= old[i - words - 1] >> (WORD - bits);
    }
  }
}

static void raise_to(struct wwri_seen_one *one, uint64_t seq) {
  uint64_t by = seq - one->high;
  shift(one, by);
  if (one->high) set_bit(one, by - 1);
  one->high = seq;
}

bool wwri_seen_has(const struct wwri_seen *seen, struct wwri_boot boot,
                   uint64_t seq) {
  const struct wwri_seen_one *one = find(seen, boot);
  if (!one || seq > one->high) return false;
  if (seq == one->high) return true;
  uint64_t bit = one->high - 1 - seq;
  return bit >= WINDOW || (one->below[bit / WORD] >> bit % WORD & 1);
}

void wwri_seen_add(struct wwri_seen *seen, struct wwri_boot boot,
                   uint64_t seq) {
  if (seq == 0) return;
  struct wwri_seen_one *one = find_or_make(seen, boot);
  one->used = ++seen->clock;
  if (seq > one->high) {
    raise_to(one, seq);
  } else if (seq < one->high) {
    set_bit(one, one->high - 1 - seq);
  }
}

void wwri_seen_add_up_to(struct wwri_seen *seen, struct wwri_boot boot,
                         uint64_t seq) {
  if (seq == 0) return;
  wwri_seen_add(seen, boot, seq);
  struct wwri_seen_one *one = find(seen, boot);
  uint64_t first = one->high == seq ? 0 : one->high - 1 - seq;
  for (uint64_t bit = first; bit < WINDOW; bit++) set_bit(one, bit);
}
