/* Waiting for other threads to finish what they were asked for. */
#include "server.h"

bool wwri_ws_latch_init(struct wwri_ws_latch *latch) {
  latch->left = 0;
  if (pthread_mutex_init(&latch->lock, NULL)) return false;
  if (!pthread_cond_init(&latch->done, NULL)) return true;
  pthread_mutex_destroy(&latch->lock);
  return false;
}

void wwri_ws_latch_deinit(struct wwri_ws_latch *latch) {
  pthread_cond_destroy(&latch->done);
  pthread_mutex_destroy(&latch->lock);
}

void wwri_ws_latch_set(struct wwri_ws_latch *latch, unsigned left) {
  pthread_mutex_lock(&latch->lock);
  latch->left = left;
  pthread_mutex_unlock(&latch->lock);
}

void wwri_ws_latch_count(struct wwri_ws_latch *latch) {
  pthread_mutex_lock(&latch->lock);
  if (--latch->left == 0) pthread_cond_signal(&latch->done);
  pthread_mutex_unlock(&latch->lock);
}

void wwri_ws_latch_wait(struct wwri_ws_latch *latch) {
  pthread_mutex_lock(&latch->lock);
  while (latch->left > 0) pthread_cond_wait(&latch->done, &latch->lock);
  pthread_mutex_unlock(&latch->lock);
}
