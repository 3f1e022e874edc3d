#include "pool.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "list.h"
#include "test.h"

enum { JOBS = 2000, DEADLINE_S = 20 };

struct job {
  struct wwri_job job;
  int number;
};

static struct job jobs[JOBS];
static atomic_int ran;
static atomic_int running;
static atomic_int most_running;
static atomic_bool in_order;

static void reset(void) {
  atomic_store(&ran, 0);
  atomic_store(&running, 0);
  atomic_store(&most_running, 0);
  atomic_store(&in_order, true);
}

static void submit_all(struct wwri_pool *pool, int count,
                       void (*run)(struct wwri_job *job)) {
  for (int i = 0; i < count; i++) {
    jobs[i].job.run = run;
    jobs[i].number = i;
    CU_ASSERT_EQUAL_FATAL(wwri_pool_submit(pool, &jobs[i].job), WWR_OK);
  }
}

static void run_in_order(struct wwri_job *job) {
  struct job *it = WWRI_CONTAINER(job, struct job, job);
  if (atomic_fetch_add(&ran, 1) != it->number) atomic_store(&in_order, false);
}

static void test_one_thread_is_fifo_and_free_waits(void) {
  struct wwri_pool *pool = NULL;
  reset();
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&pool, 1), WWR_OK);
  submit_all(pool, JOBS, run_in_order);
  wwri_pool_free(pool);
  CU_ASSERT_EQUAL(atomic_load(&ran), JOBS);
  CU_ASSERT_TRUE(atomic_load(&in_order));
}

/* Jobs that only end when `width` of them run at the same time. */
static pthread_mutex_t meet_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t meet_changed = PTHREAD_COND_INITIALIZER;
static int met;
static int width;
static bool met_all;

static void run_meet(struct wwri_job *job) {
  (void)job;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += DEADLINE_S;
  int status = 0;
  pthread_mutex_lock(&meet_lock);
  met++;
  pthread_cond_broadcast(&meet_changed);
  while (met < width && status == 0) {
    status = pthread_cond_timedwait(&meet_changed, &meet_lock, &until);
  }
  if (met < width) met_all = false;
  pthread_mutex_unlock(&meet_lock);
}

static void test_jobs_run_side_by_side(void) {
  struct wwri_pool *pool = NULL;
  width = 8;
  met = 0;
  met_all = true;
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&pool, 8), WWR_OK);
  submit_all(pool, 8, run_meet);
  wwri_pool_free(pool);
  CU_ASSERT_TRUE(met_all);
}

static void run_count(struct wwri_job *job) {
  (void)job;
  int now = atomic_fetch_add(&running, 1) + 1;
  int most = atomic_load(&most_running);
  while (now > most &&
         !atomic_compare_exchange_weak(&most_running, &most, now)) {
    continue;
  }
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  if (!sigismember(&mask, SIGTERM)) atomic_store(&in_order, false);
  atomic_fetch_sub(&running, 1);
  atomic_fetch_add(&ran, 1);
}

static void test_never_more_than_the_maximum(void) {
  struct wwri_pool *pool = NULL;
  reset();
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&pool, 3), WWR_OK);
  submit_all(pool, JOBS, run_count);
  wwri_pool_free(pool);
  CU_ASSERT_EQUAL(atomic_load(&ran), JOBS);
  CU_ASSERT_TRUE(atomic_load(&most_running) <= 3);
  CU_ASSERT_TRUE(atomic_load(&in_order)); /* signals were blocked */
}

/* A job submits the next one, while free() waits already or not yet. */
static struct wwri_pool *chain_pool;
static struct wwri_job chain_job;

static void run_chain(struct wwri_job *job) {
  if (atomic_fetch_add(&ran, 1) + 1 < 100) {
    wwr_err err = wwri_pool_submit(chain_pool, job);
    if (err) atomic_store(&in_order, false);
  }
}

static void test_jobs_submit_jobs(void) {
  reset();
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&chain_pool, 2), WWR_OK);
  chain_job.run = run_chain;
  CU_ASSERT_EQUAL(wwri_pool_submit(chain_pool, &chain_job), WWR_OK);
  wwri_pool_free(chain_pool);
  CU_ASSERT_EQUAL(atomic_load(&ran), 100);
  CU_ASSERT_TRUE(atomic_load(&in_order));
}

/* One job after the other, each on its way before the next is submitted. */
static void run_hit(struct wwri_job *job) {
  (void)job;
  atomic_fetch_add(&ran, 1);
}

static unsigned count_threads(void) {
  unsigned count = 0;
  DIR *tasks = opendir("/proc/self/task");
  CU_ASSERT_PTR_NOT_NULL_FATAL(tasks);
  while (readdir(tasks)) count++;
  closedir(tasks);
  return count; /* and two more: . and .. */
}

/* Nothing tells us that a thread ended, so this one has to look. */
static bool wait_for(bool (*reached)(unsigned goal), unsigned goal) {
  const struct timespec pause = {0, 20 * 1000 * 1000};
  for (int i = 0; i < DEADLINE_S * 50; i++) {
    if (reached(goal)) return true;
    nanosleep(&pause, NULL);
  }
  return false;
}

static bool threads_are(unsigned goal) {
  return count_threads() == goal;
}

static bool jobs_ran(unsigned goal) {
  return (unsigned)atomic_load(&ran) == goal;
}

static void test_idle_threads_are_used_again_and_end(void) {
  struct wwri_pool *pool = NULL;
  unsigned before = count_threads();
  reset();
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&pool, 16), WWR_OK);
  for (unsigned i = 0; i < 30; i++) {
    jobs[i].job.run = run_hit;
    CU_ASSERT_EQUAL(wwri_pool_submit(pool, &jobs[i].job), WWR_OK);
    CU_ASSERT_TRUE(wait_for(jobs_ran, i + 1));
  }
  CU_ASSERT_TRUE(count_threads() < before + 8);
  CU_ASSERT_TRUE(wait_for(threads_are, before)); /* 5 s later */
  submit_all(pool, 20, run_hit);
  wwri_pool_free(pool);
  CU_ASSERT_EQUAL(atomic_load(&ran), 50);
  CU_ASSERT_TRUE(wait_for(threads_are, before)); /* joined, so at once */
}

static void test_unused_and_null(void) {
  struct wwri_pool *pool = NULL;
  CU_ASSERT_EQUAL_FATAL(wwri_pool_new(&pool, 0), WWR_OK);
  wwri_pool_free(pool);
  wwri_pool_free(NULL);
}

static void test_no_memory(void) {
  struct wwri_pool *pool = NULL;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_pool_new(&pool, 1), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_PTR_NULL(pool);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"one thread is first in, first out",
       test_one_thread_is_fifo_and_free_waits},
      {"jobs run side by side", test_jobs_run_side_by_side},
      {"never more than the maximum", test_never_more_than_the_maximum},
      {"jobs submit jobs", test_jobs_submit_jobs},
      {"idle threads are used again and end",
       test_idle_threads_are_used_again_and_end},
      {"unused and NULL", test_unused_and_null},
      {"no memory", test_no_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"pool", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
