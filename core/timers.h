/* timers.h - the timers of one loop: an intrusive pairing heap. Adding and
 * cancelling allocate nothing and can't fail; time is a parameter, so a test
 * or the simulation owns the clock.
 *
 * The first design named a coarse wheel; the heap costs as little per
 * connection, sleeps exactly until the next deadline, and needs no tick
 * (docs/architecture.md). */
#ifndef WWRI_TIMERS_H
#define WWRI_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct wwri_timer {
  struct wwri_timer *child; /* first child */
  struct wwri_timer *next;  /* next sibling */
  struct wwri_timer *prev;  /* previous sibling, or parent of a first child */
  uint64_t deadline_ms;
  void (*fire)(struct wwri_timer *timer);
  bool armed;
};

struct wwri_timers {
  struct wwri_timer *root;
  struct wwri_timer *later; /* armed while running: a second heap */
  bool running;
};

/** Prepare a timer; `fire` runs on the loop's thread with the timer disarmed,
 * and may arm it again, cancel others, or free the timer. */
void wwri_timer_init(struct wwri_timer *timer,
                     void (*fire)(struct wwri_timer *timer));

void wwri_timers_init(struct wwri_timers *timers);

/** Arm, or move when it is armed already. */
void wwri_timers_set(struct wwri_timers *timers, struct wwri_timer *timer,
                     uint64_t deadline_ms);

/** Disarm; harmless when it is not armed. */
void wwri_timers_cancel(struct wwri_timers *timers, struct wwri_timer *timer);

/** True and the earliest deadline when any timer is armed. */
bool wwri_timers_next(const struct wwri_timers *timers, uint64_t *deadline_ms);

/** Fire what is due at now_ms, earliest first, equal deadlines in no promised
 * order. Timers that fire functions arm at or before now_ms wait for the next
 * call, so that this one ends. A call from inside a fire function does
 * nothing. */
void wwri_timers_run(struct wwri_timers *timers, uint64_t now_ms);

#endif
