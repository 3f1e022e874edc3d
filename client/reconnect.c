/* reconnect.c - jittered exponential back-off.
 *
 * The first wait is the interval the application asked for. Later ones double
 * up to the ceiling and are spread over their upper half, so that the clients
 * of a server that went away do not all come back in the same moment. */
#include "reconnect.h"

void wwri_reconnect_init(struct wwri_reconnect *reconnect, uint32_t first_ms,
                         uint32_t max_ms) {
  reconnect->first_ms = first_ms;
  reconnect->max_ms = max_ms < first_ms ? first_ms : max_ms;
  reconnect->waits = 0;
}

void wwri_reconnect_succeeded(struct wwri_reconnect *reconnect) {
  reconnect->waits = 0;
}

uint64_t wwri_reconnect_next(struct wwri_reconnect *reconnect, uint64_t now_ms,
                             uint32_t random) {
  uint32_t n = reconnect->waits;
  if (n < UINT32_MAX) reconnect->waits++;
  if (n == 0) return now_ms + reconnect->first_ms;
  /* 2^32 times anything is over every ceiling. */
  uint64_t whole = (uint64_t)reconnect->first_ms << (n < 32 ? n : 32);
  if (whole > reconnect->max_ms) whole = reconnect->max_ms;
  uint64_t half = whole / 2;
  return now_ms + half + (whole - half) * random / UINT32_MAX;
}
