#include "waiter.h"

void wwri_waiter_init(struct wwri_waiter *waiter) {
  pthread_mutex_init(&waiter->lock, NULL);
  pthread_cond_init(&waiter->ready, NULL);
  waiter->done = false;
  waiter->err = WWR_OK;
}

void wwri_waiter_wake(struct wwri_waiter *waiter, wwr_err err) {
  pthread_mutex_lock(&waiter->lock);
  waiter->done = true;
  waiter->err = err;
  /* Under the lock: the waiter's memory dies as soon as it is released. */
  pthread_cond_signal(&waiter->ready);
  pthread_mutex_unlock(&waiter->lock);
}

wwr_err wwri_waiter_wait(struct wwri_waiter *waiter) {
  pthread_mutex_lock(&waiter->lock);
  while (!waiter->done) pthread_cond_wait(&waiter->ready, &waiter->lock);
  wwr_err err = waiter->err;
  pthread_mutex_unlock(&waiter->lock);
  pthread_cond_destroy(&waiter->ready);
  pthread_mutex_destroy(&waiter->lock);
  return err;
}
