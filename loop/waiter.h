/* waiter.h - a blocking call over a callback: one thread waits, another wakes
 * it with a result, once. Never on a loop's thread. */
#ifndef WWRI_WAITER_H
#define WWRI_WAITER_H

#include <pthread.h>

#include "wwr_err.h"

struct wwri_waiter {
  pthread_mutex_t lock;
  pthread_cond_t ready;
  bool done;
  wwr_err err;
};

/** Can't fail. */
void wwri_waiter_init(struct wwri_waiter *waiter);

/** Wake who waits, with a result. Any thread, once; the waiter's memory is not
 * touched after this returned. */
void wwri_waiter_wake(struct wwri_waiter *waiter, wwr_err err);

/** Wait to be woken, destroy the waiter; the result. */
wwr_err wwri_waiter_wait(struct wwri_waiter *waiter);

#endif
