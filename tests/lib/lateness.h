/* lateness.h - limits in time, on a machine that may have too much to do: how
 * late a thread of this program was woken at worst. */
#ifndef WWR_TEST_LATENESS_H
#define WWR_TEST_LATENESS_H

#include <stdint.h>

struct lateness; /* opaque; freed by lateness_stop() */

/** Watch from now on, on a thread of its own. NULL without memory or thread:
 * then nothing is late. */
struct lateness *lateness_start(void);

/** The worst so far, in milliseconds. NULL: 0. */
uint32_t lateness_ms(const struct lateness *lateness);

/** End it; the worst of all. NULL: 0. */
uint32_t lateness_stop(struct lateness *lateness);

#endif
