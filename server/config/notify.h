/* notify.h - what systemd is told (sd_notify(3)), without its library: a
 * datagram with lines of NAME=VALUE. Without NOTIFY_SOCKET nothing happens. */
#ifndef WWRI_NOTIFY_H
#define WWRI_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/** Send a state, "READY=1". Errors are nobody's business. */
void wwri_notify(const char *state);

/** That it reads its options again; systemd wants to know since when. */
void wwri_notify_reloading(void);

/** How often a watchdog wants to hear WATCHDOG=1, twice over; 0: never. */
uint32_t wwri_notify_watchdog_ms(void);

#endif
