/* Jobs wait in one list; threads take them in order. A thread that finds
 * nothing for IDLE_SECONDS ends.
 *
 * Ended threads must be joined, and nobody waits around for that: each one
 * joins the one that ended before it, and free() joins the last. */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { IDLE_SECONDS = 5 };

struct wwri_pool {
  unsigned max_threads;
  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t work;  /* a job came, or the end */
  pthread_cond_t ended; /* the last thread is gone */
  struct wwri_job *first;
  struct wwri_job **last;
  unsigned queued;
  unsigned threads;
  unsigned waiting; /* threads without a job */
  bool closing;
  bool has_zombie;
  pthread_t zombie; /* the thread that ended last, not joined yet */
};

/* Wait for a job; NULL: this thread should end. Under the lock. */
static struct wwri_job *next_job(struct wwri_pool *pool) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += IDLE_SECONDS;
  int status = 0;
  while (!pool->first && !pool->closing && status != ETIMEDOUT) {
    pool->waiting++;
    status = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    pool->waiting--;
  }
  struct wwri_job *job = pool->first;
  if (!job) return NULL;
  pool->first = job->next;
  if (!pool->first) pool->last = &pool->first;
  pool->queued--;
  return job;
}

static void *run_thread(void *arg) {
  struct wwri_pool *pool = arg;
  struct wwri_job *job;
  pthread_mutex_lock(&pool->lock);
  while ((job = next_job(pool))) {
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
  }
  bool join = pool->has_zombie;
  pthread_t before = pool->zombie;
  pool->zombie = pthread_self();
  pool->has_zombie = true;
  if (--pool->threads == 0) pthread_cond_signal(&pool->ended);
  pthread_mutex_unlock(&pool->lock);
  if (join) pthread_join(before, NULL);
  return NULL;
}

static bool start_thread(struct wwri_pool *pool) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for main */
  pthread_t thread;
  int status = pthread_create(&thread, NULL, run_thread, pool);
  if (status == 0) pthread_setname_np(thread, "wwr-pool");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status == 0;
}

wwr_err wwri_pool_submit(struct wwri_pool *pool, struct wwri_job *job) {
  wwr_err err = WWR_OK;
  pthread_mutex_lock(&pool->lock);
  if (pool->queued >= pool->waiting && pool->threads < pool->max_threads) {
    if (start_thread(pool)) pool->threads++;
  }
  if (pool->threads == 0) {
    err = WWR_E_IO;
  } else {
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
    pthread_cond_signal(&pool->work);
  }
  pthread_mutex_unlock(&pool->lock);
  return err;
}

static bool init_sync(struct wwri_pool *pool) {
  pthread_condattr_t monotonic;
  if (pthread_condattr_init(&monotonic)) return false;
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  bool good = pthread_mutex_init(&pool->lock, NULL) == 0 &&
              pthread_cond_init(&pool->work, &monotonic) == 0 &&
              pthread_cond_init(&pool->ended, NULL) == 0;
  pthread_condattr_destroy(&monotonic);
  return good;
}

wwr_err wwri_pool_new(struct wwri_pool **out, unsigned max_threads) {
  struct wwri_pool *pool = calloc(1, sizeof(*pool));
  if (!pool) return WWR_E_NOMEM;
  pool->max_threads = max_threads ? max_threads : 1;
  pool->last = &pool->first;
  if (!init_sync(pool)) { /* never on Linux: nothing is allocated there */
    free(pool);
    return WWR_E_NOMEM;
  }
  *out = pool;
  return WWR_OK;
}

void wwri_pool_free(struct wwri_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  pool->closing = true;
  pthread_cond_broadcast(&pool->work);
  while (pool->threads > 0) pthread_cond_wait(&pool->ended, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
  if (pool->has_zombie) pthread_join(pool->zombie, NULL);
  pthread_cond_destroy(&pool->ended);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}
