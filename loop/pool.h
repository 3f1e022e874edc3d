/* pool.h - worker threads for what blocks: handlers and disk. Threads start on
 * demand up to a maximum and end after some idle seconds. Any thread. */
#ifndef WWRI_POOL_H
#define WWRI_POOL_H

#include "wwr_err.h"

struct wwri_pool;

/** Work; embed it, submit it, get it back in `run` on a worker thread. */
struct wwri_job {
  struct wwri_job *next;
  void (*run)(struct wwri_job *job);
};

/** A pool without threads yet. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_pool_new(struct wwri_pool **out,
                                     unsigned max_threads);

/** Queue a job; jobs start in the order submitted. How many may wait is the
 * submitter's business (intrusive, so nothing is allocated here). If not even
 * one thread can be started WWR_E_IO, and the job was not taken. */
WWR_MUST_CHECK wwr_err wwri_pool_submit(struct wwri_pool *pool,
                                        struct wwri_job *job);

/** Wait until every submitted job has run, end the threads, free. NULL does
 * nothing. Not from a job. */
void wwri_pool_free(struct wwri_pool *pool);

#endif
