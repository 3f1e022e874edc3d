#include "loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"

enum { DEADLINE_S = 20 };

/* Counts up; a test waits for it with a deadline. */
struct latch {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int count;
};

#define LATCH_INIT \
  { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

static void latch_hit(struct latch *latch) {
  pthread_mutex_lock(&latch->lock);
  latch->count++;
  pthread_cond_broadcast(&latch->changed);
  pthread_mutex_unlock(&latch->lock);
}

static bool latch_wait(struct latch *latch, int count) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += DEADLINE_S;
  pthread_mutex_lock(&latch->lock);
  int status = 0;
  while (latch->count < count && status == 0) {
    status = pthread_cond_timedwait(&latch->changed, &latch->lock, &until);
  }
  bool good = latch->count >= count;
  pthread_mutex_unlock(&latch->lock);
  return good;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A loop under test, started for each case. */
static struct wwri_loop *loop;
static struct latch done;

static void setup(void) {
  static const struct latch fresh = LATCH_INIT;
  done = fresh;
  loop = NULL;
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&loop), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_start(loop, "a-name-that-is-too-long"),
                        WWR_OK);
}

static void teardown(void) {
  if (!loop) return;
  wwri_loop_stop(loop);
  wwri_loop_free(loop);
  loop = NULL;
}

/* Run one function on the loop's thread and wait until it returned. */
struct call {
  struct wwri_mail mail;
  void (*fn)(void *arg);
  void *arg;
  struct latch done;
};

static void run_call(struct wwri_mail *mail) {
  struct call *call = WWRI_CONTAINER(mail, struct call, mail);
  call->fn(call->arg);
  latch_hit(&call->done);
}

static void on_loop(void (*fn)(void *arg), void *arg) {
  struct call call = {{NULL, run_call}, fn, arg, LATCH_INIT};
  wwri_loop_post(loop, &call.mail);
  CU_ASSERT_TRUE_FATAL(latch_wait(&call.done, 1));
}

/* Mail */

enum { POSTERS = 4, PER_POSTER = 5000 };

struct numbered {
  struct wwri_mail mail;
  int poster;
  int number;
};

static int next_number[POSTERS];
static bool in_order;

static void run_numbered(struct wwri_mail *mail) {
  struct numbered *it = WWRI_CONTAINER(mail, struct numbered, mail);
  if (!wwri_loop_is_current(loop)) in_order = false;
  if (it->number != next_number[it->poster]++) in_order = false;
  latch_hit(&done);
}

static void *post_many(void *arg) {
  struct numbered *mails = arg;
  for (int i = 0; i < PER_POSTER; i++) wwri_loop_post(loop, &mails[i].mail);
  return NULL;
}

static void test_order_of_each_poster(void) {
  static struct numbered mails[POSTERS][PER_POSTER];
  pthread_t threads[POSTERS];
  in_order = true;
  memset(next_number, 0, sizeof(next_number));
  for (int p = 0; p < POSTERS; p++) {
    for (int i = 0; i < PER_POSTER; i++) {
      mails[p][i] = (struct numbered){{NULL, run_numbered}, p, i};
    }
    pthread_create(&threads[p], NULL, post_many, mails[p]);
  }
  for (int p = 0; p < POSTERS; p++) pthread_join(threads[p], NULL);
  CU_ASSERT_TRUE(latch_wait(&done, POSTERS * PER_POSTER));
  CU_ASSERT_TRUE(in_order);
  CU_ASSERT_FALSE(wwri_loop_has_mail(loop));
}

static struct wwri_mail inner;
static bool inside;
static bool recursed;

static void run_inner(struct wwri_mail *mail) {
  (void)mail;
  recursed = inside;
  latch_hit(&done);
}

static void post_inner(void *arg) {
  (void)arg;
  inside = true;
  inner.fn = run_inner;
  wwri_loop_post(loop, &inner);
  inside = false;
}

static void test_own_thread_posts_run_later(void) {
  on_loop(post_inner, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
  CU_ASSERT_FALSE(recursed);
}

static bool has_mail_seen[3];
static struct numbered has_mail_mails[3];

static void run_has_mail(struct wwri_mail *mail) {
  struct numbered *it = WWRI_CONTAINER(mail, struct numbered, mail);
  has_mail_seen[it->number] = wwri_loop_has_mail(loop);
  latch_hit(&done);
}

static void post_three(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) {
    has_mail_mails[i] = (struct numbered){{NULL, run_has_mail}, 0, i};
    wwri_loop_post(loop, &has_mail_mails[i].mail);
  }
}

static void test_has_mail_while_later_mail_remains(void) {
  on_loop(post_three, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 3));
  CU_ASSERT_TRUE(has_mail_seen[0]);
  CU_ASSERT_TRUE(has_mail_seen[1]);
  CU_ASSERT_FALSE(has_mail_seen[2]);
}

static int left_runs;

static void run_left(struct wwri_mail *mail) {
  CU_ASSERT_TRUE(wwri_loop_is_current(loop));
  if (++left_runs < 3) wwri_loop_post(loop, mail); /* even then */
}

static void test_never_started(void) {
  struct wwri_mail mail = {NULL, run_left};
  left_runs = 0;
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&loop), WWR_OK);
  CU_ASSERT_FALSE(wwri_loop_is_current(loop));
  wwri_loop_post(loop, &mail);
  CU_ASSERT_TRUE(wwri_loop_has_mail(loop));
  wwri_loop_stop(loop);
  CU_ASSERT_EQUAL(left_runs, 3);
  CU_ASSERT_TRUE(wwri_loop_is_current(loop));
  wwri_loop_stop(loop); /* harmless */
  wwri_loop_free(loop);
  loop = NULL;
  wwri_loop_free(NULL);
}

static void block_until_hit(void *arg) {
  CU_ASSERT_TRUE(latch_wait(arg, 1));
}

static void run_blocker(struct wwri_mail *mail) {
  struct call *call = WWRI_CONTAINER(mail, struct call, mail);
  call->fn(call->arg);
}

static void run_late(struct wwri_mail *mail) {
  (void)mail;
  latch_hit(&done);
}

static void test_stop_runs_what_is_left(void) {
  struct latch gate = LATCH_INIT;
  struct call blocker = {
      {NULL, run_blocker}, block_until_hit, &gate, LATCH_INIT};
  struct wwri_mail late[50];
  wwri_loop_post(loop, &blocker.mail);
  for (int i = 0; i < 50; i++) {
    late[i].fn = run_late;
    wwri_loop_post(loop, &late[i]);
  }
  latch_hit(&gate);
  wwri_loop_stop(loop);
  CU_ASSERT_EQUAL(done.count, 50);
  CU_ASSERT_FALSE(wwri_loop_has_mail(loop));
}

/* Timers */

static char fired[8];
static size_t fired_count;
static uint64_t fired_at[8];

struct named_timer {
  struct wwri_timer timer;
  char name;
};

static struct named_timer timers[4];

static void on_named(struct wwri_timer *timer) {
  struct named_timer *it = WWRI_CONTAINER(timer, struct named_timer, timer);
  fired_at[fired_count] = wwri_loop_now_ms(loop);
  fired[fired_count++] = it->name;
  latch_hit(&done);
}

static void init_timers(void) {
  memset(fired, 0, sizeof(fired));
  fired_count = 0;
  for (int i = 0; i < 4; i++) {
    wwri_timer_init(&timers[i].timer, on_named);
    timers[i].name = (char)('a' + i);
  }
}

static void arm_timers(void *arg) {
  uint64_t *start = arg;
  *start = wwri_loop_now_ms(loop);
  wwri_loop_timer_set(loop, &timers[0].timer, 60);
  wwri_loop_timer_set(loop, &timers[1].timer, 20);
  wwri_loop_timer_set(loop, &timers[2].timer, 1); /* moved */
  wwri_loop_timer_set(loop, &timers[2].timer, 40);
  wwri_loop_timer_set(loop, &timers[3].timer, 5); /* cancelled */
  wwri_loop_timer_cancel(loop, &timers[3].timer);
}

static void test_timers(void) {
  uint64_t start = 0;
  init_timers();
  on_loop(arm_timers, &start);
  CU_ASSERT_TRUE(latch_wait(&done, 3));
  CU_ASSERT_STRING_EQUAL(fired, "bca");
  CU_ASSERT_TRUE(fired_at[0] >= start + 20);
  CU_ASSERT_TRUE(fired_at[1] >= start + 40);
  CU_ASSERT_TRUE(fired_at[2] >= start + 60);
}

static void arm_far_then_near(void *arg) {
  (void)arg;
  wwri_loop_timer_set(loop, &timers[0].timer, UINT64_MAX);
  wwri_loop_timer_set(loop, &timers[1].timer, 3600 * 1000);
  wwri_loop_timer_set(loop, &timers[2].timer, 1);
}

static void test_near_timer_behind_far_ones(void) {
  init_timers();
  on_loop(arm_far_then_near, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
  CU_ASSERT_STRING_EQUAL(fired, "c");
}

static void on_rearm(struct wwri_timer *timer) {
  on_named(timer);
  if (fired_count < 5) wwri_loop_timer_set(loop, timer, 0);
}

static void arm_rearming(void *arg) {
  (void)arg;
  wwri_timer_init(&timers[0].timer, on_rearm);
  wwri_loop_timer_set(loop, &timers[0].timer, 0);
}

static void test_timer_rearms_itself(void) {
  init_timers();
  on_loop(arm_rearming, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 5));
  CU_ASSERT_STRING_EQUAL(fired, "aaaaa");
}

/* Flushing */

static struct wwri_flusher flusher;
static int flushes;
static uint64_t queued_ns;
static uint64_t flushed_ns;

static void on_flush(struct wwri_flusher *it) {
  CU_ASSERT_PTR_EQUAL(it, &flusher);
  flushed_ns = now_ns();
  flushes++;
  latch_hit(&done);
}

static void queue_flusher_twice(void *arg) {
  (void)arg;
  flushes = 0;
  wwri_flusher_init(&flusher, on_flush);
  wwri_loop_flush_later(loop, &flusher);
  wwri_loop_flush_later(loop, &flusher);
  CU_ASSERT_EQUAL(flushes, 0);
}

static void nothing(void *arg) {
  (void)arg;
}

static void test_flush_once(void) {
  on_loop(queue_flusher_twice, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
  on_loop(nothing, NULL);
  on_loop(nothing, NULL);
  CU_ASSERT_EQUAL(flushes, 1);
}

static void queue_and_cancel(void *arg) {
  queue_flusher_twice(arg);
  wwri_flusher_cancel(&flusher);
  wwri_flusher_cancel(&flusher);
}

static void test_flush_cancelled(void) {
  on_loop(queue_and_cancel, NULL);
  for (int i = 0; i < 5; i++) on_loop(nothing, NULL);
  CU_ASSERT_EQUAL(flushes, 0);
}

static int passes;
static struct wwri_mail keep_busy;

/* Input in every pass until the flush. */
static void run_keep_busy(struct wwri_mail *mail) {
  passes++;
  if (flushes == 0) wwri_loop_post(loop, mail);
}

static void queue_under_load(void *arg) {
  (void)arg;
  flushes = passes = 0;
  queued_ns = now_ns();
  wwri_flusher_init(&flusher, on_flush);
  wwri_loop_flush_later(loop, &flusher);
  keep_busy.fn = run_keep_busy;
  wwri_loop_post(loop, &keep_busy);
}

static void test_flush_waits_for_quiescence_but_not_long(void) {
  on_loop(queue_under_load, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
  on_loop(nothing, NULL); /* the last keep_busy is over */
  CU_ASSERT_TRUE(flushed_ns - queued_ns >= 500 * 1000);
  CU_ASSERT_TRUE(passes >= 2);
}

/* Flush again from the flush: it must come in a later pass. */
static void on_flush_again(struct wwri_flusher *it) {
  if (++flushes == 1) {
    inside = true;
    wwri_loop_flush_later(loop, it);
    inside = false;
  } else {
    recursed = inside;
  }
  latch_hit(&done);
}

static void queue_again(void *arg) {
  (void)arg;
  flushes = 0;
  wwri_flusher_init(&flusher, on_flush_again);
  wwri_loop_flush_later(loop, &flusher);
}

static void test_flush_queues_again(void) {
  on_loop(queue_again, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 2));
  CU_ASSERT_FALSE(recursed);
  on_loop(nothing, NULL);
  CU_ASSERT_EQUAL(flushes, 2);
}

/* Ranks: what each flusher saw of the others. */

static struct wwri_flusher ranked[WWRI_RANKS];
static int runs[WWRI_RANKS];
static int walks_left;
static int walks_before_bulk;
static bool out_of_rank;

/* What it makes is to leave in the same flush. */
static void on_work(struct wwri_flusher *it) {
  (void)it;
  runs[WWRI_RANK_WORK]++;
  wwri_loop_flush_later(loop, &ranked[WWRI_RANK_PROMPT]);
}

static void on_prompt(struct wwri_flusher *it) {
  (void)it;
  runs[WWRI_RANK_PROMPT]++;
}

static void on_walk(struct wwri_flusher *it) {
  if (runs[WWRI_RANK_PROMPT] == 0) out_of_rank = true;
  runs[WWRI_RANK_WALK]++;
  if (--walks_left > 0) wwri_loop_flush_later(loop, it);
}

static void on_bulk(struct wwri_flusher *it) {
  (void)it;
  if (runs[WWRI_RANK_WALK] == 0) out_of_rank = true;
  if (++runs[WWRI_RANK_BULK] == 1) walks_before_bulk = runs[WWRI_RANK_WALK];
  latch_hit(&done);
}

/* The last rank first. */
static void queue_ranks(void *arg) {
  static void (*const fns[])(struct wwri_flusher *) = {on_work, on_prompt,
                                                       on_walk, on_bulk};
  walks_left = *(const int *)arg;
  memset(runs, 0, sizeof(runs));
  out_of_rank = false;
  for (int rank = WWRI_RANKS; rank-- > 0;) {
    wwri_flusher_init_ranked(&ranked[rank], fns[rank], (enum wwri_rank)rank);
    if (rank == WWRI_RANK_PROMPT) continue; /* on_work() does */
    wwri_loop_flush_later(loop, &ranked[rank]);
  }
}

static void walk_with_bulk(int walks, int before_bulk) {
  on_loop(queue_ranks, &walks);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
  for (int i = 0; i < walks; i++) on_loop(nothing, NULL);
  CU_ASSERT_FALSE(out_of_rank);
  CU_ASSERT_EQUAL(walks_before_bulk, before_bulk);
  CU_ASSERT_EQUAL(runs[WWRI_RANK_WORK], 1);
  CU_ASSERT_EQUAL(runs[WWRI_RANK_PROMPT], 1);
  CU_ASSERT_EQUAL(runs[WWRI_RANK_BULK], 1);
}

static void test_flush_by_rank(void) {
  walk_with_bulk(1, 1);
}

static void test_bulk_waits_for_walks(void) {
  walk_with_bulk(WWRI_BULK_WAIT / 2, WWRI_BULK_WAIT / 2);
}

static void test_bulk_waits_not_for_ever(void) {
  walk_with_bulk(3 * WWRI_BULK_WAIT, WWRI_BULK_WAIT);
}

static void on_timer_flush(struct wwri_timer *timer) {
  (void)timer;
  wwri_loop_note_input(loop);
  queue_flusher_twice(NULL);
}

static void arm_timer_flush(void *arg) {
  (void)arg;
  wwri_timer_init(&timers[0].timer, on_timer_flush);
  wwri_loop_timer_set(loop, &timers[0].timer, 1);
}

/* Nothing else wakes the loop, so a poll that blocks would hang this. */
static void test_flush_from_a_timer(void) {
  on_loop(arm_timer_flush, NULL);
  CU_ASSERT_TRUE(latch_wait(&done, 1));
}

/* Rest */

static void read_mask(void *arg) {
  pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void test_signals_are_for_main(void) {
  sigset_t mask;
  sigset_t ours;
  on_loop(read_mask, &mask);
  pthread_sigmask(SIG_SETMASK, NULL, &ours);
  CU_ASSERT_EQUAL(sigismember(&mask, SIGTERM), 1);
  CU_ASSERT_EQUAL(sigismember(&mask, SIGPIPE), 1);
  CU_ASSERT_EQUAL(sigismember(&ours, SIGTERM), 0);
}

static void test_no_memory(void) {
  int failures = 0;
  for (long n = 0;; n++) {
    struct wwri_loop *it = NULL;
    test_alloc_fail_at(n);
    wwr_err err = wwri_loop_new(&it);
    if (!test_alloc_failed()) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      wwri_loop_free(it);
      break;
    }
    failures++;
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    CU_ASSERT_PTR_NULL(it);
  }
  CU_ASSERT_TRUE(failures > 0);
}

int main(int argc, char **argv) {
  CU_TestInfo started[] = {
      {"order of each poster", test_order_of_each_poster},
      {"own thread's posts run later", test_own_thread_posts_run_later},
      {"has_mail", test_has_mail_while_later_mail_remains},
      {"stop runs what is left", test_stop_runs_what_is_left},
      {"timers", test_timers},
      {"near timer behind far ones", test_near_timer_behind_far_ones},
      {"timer re-arms itself", test_timer_rearms_itself},
      {"flush once", test_flush_once},
      {"flush cancelled", test_flush_cancelled},
      {"flush at quiescence", test_flush_waits_for_quiescence_but_not_long},
      {"flush queues again", test_flush_queues_again},
      {"flush from a timer", test_flush_from_a_timer},
      {"flush by rank", test_flush_by_rank},
      {"bulk waits for walks", test_bulk_waits_for_walks},
      {"bulk waits not for ever", test_bulk_waits_not_for_ever},
      {"signals are for main", test_signals_are_for_main},
      CU_TEST_INFO_NULL,
  };
  CU_TestInfo plain[] = {
      {"never started", test_never_started},
      {"no memory", test_no_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"loop", NULL, NULL, setup, teardown, started},
      {"loop alone", NULL, NULL, NULL, NULL, plain},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
