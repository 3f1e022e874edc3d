/* reconnect.h - when to dial again: pure, the clock and the dice are
 * parameters. */
#ifndef WWRI_RECONNECT_H
#define WWRI_RECONNECT_H

#include <stdint.h>

struct wwri_reconnect {
  uint32_t first_ms; /* the first wait, exactly */
  uint32_t max_ms;   /* the ceiling, not below first_ms */
  uint32_t waits;    /* since the last success */
};

void wwri_reconnect_init(struct wwri_reconnect *reconnect, uint32_t first_ms,
                         uint32_t max_ms);

/** A connection stands: the next wait is a first one again. */
void wwri_reconnect_succeeded(struct wwri_reconnect *reconnect);

/** The instant of the next attempt. The first wait is first_ms; the n-th after
 * it lies between half of and the whole of min(first_ms * 2^n, max_ms), chosen
 * by `random` (0 the shortest, UINT32_MAX the longest). */
uint64_t wwri_reconnect_next(struct wwri_reconnect *reconnect, uint64_t now_ms,
                             uint32_t random);

#endif
