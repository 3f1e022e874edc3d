/* The life of a loop: new, start, any number of posts, stop, free. A pass of
 * libuv runs timers, polls (mail arrives here), and ends in on_check(), which
 * decides whether output may leave.
 *
 * What can fail: creating libuv's handles and the thread. After that nothing
 * allocates, so nothing fails. A post after the stop, or a libuv handle that
 * someone left open, is our own mistake and asserts. */
#include "loop.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

enum {
  FLUSH_DELAY_MAX_NS = 500 * 1000,
  HANDLES = 4,
  THREAD_NAME_MAX = 16,
  YIELDS_MAX = 100 /* in vain with real-time priorities */
};

/* Its address tells threads apart. */
static _Thread_local char thread_mark;

struct wwri_loop {
  uv_loop_t uv;
  uv_poll_t wake; /* on wake_fd */
  uv_timer_t timer;
  uv_check_t check;
  uv_idle_t idle; /* active while flushers wait: the poll must not block */

  struct wwri_timers timers;
  uint64_t armed_ms; /* when `timer` fires; UINT64_MAX: it does not */

  struct wwri_list flushers[WWRI_RANKS];
  bool flushing;        /* some were queued, and `idle` is active */
  unsigned bulk_waited; /* flushes in a row */
  uint64_t first_flusher_ns;
  bool input; /* noted in this pass */

  pthread_t thread;
  bool started;
  _Atomic(const char *) owner; /* the thread_mark of the loop's thread */
  atomic_uint mail_count;      /* posted and not yet begun to run */
  int wake_fd;
  atomic_uint wakers; /* between their lock and the end of their write */

  pthread_mutex_t lock; /* guards what follows */
  struct wwri_mail *first;
  struct wwri_mail **last;
  bool woken; /* someone sends the wake-up since the last swap */
  bool stopping;
  bool closed;
};

static wwr_err from_uv(int status) {
  return status == UV_ENOMEM ? WWR_E_NOMEM : WWR_E_IO;
}

/* Mail */

/* An eventfd of ours and no uv_async_t: with libuv 1.44 the woken thread spins
 * for 10 us, and yields, when it runs before uv_async_send() has returned to
 * its caller, which is the rule where both share a core. */
static void wake_up(struct wwri_loop *loop) {
  const uint64_t one = 1;
  ssize_t n = write(loop->wake_fd, &one, sizeof one);
  assert(n == sizeof one); /* it can't fill up, and is never interrupted */
  (void)n;
  atomic_fetch_sub(&loop->wakers, 1);
}

/* Under the lock; true: to be followed by wake_up(), without it, or the woken
 * thread would run into it. */
static bool must_wake(struct wwri_loop *loop) {
  if (loop->woken) return false;
  loop->woken = true;
  atomic_fetch_add(&loop->wakers, 1);
  return true;
}

void wwri_loop_post(struct wwri_loop *loop, struct wwri_mail *mail) {
  mail->next = NULL;
  pthread_mutex_lock(&loop->lock);
  assert(!loop->closed);
  *loop->last = mail;
  loop->last = &mail->next;
  atomic_fetch_add(&loop->mail_count, 1);
  bool wake = must_wake(loop);
  pthread_mutex_unlock(&loop->lock);
  if (wake) wake_up(loop);
}

bool wwri_loop_has_mail(const struct wwri_loop *loop) {
  return atomic_load(&loop->mail_count) > 0;
}

static struct wwri_mail *take_mail(struct wwri_loop *loop, bool *stopping) {
  pthread_mutex_lock(&loop->lock);
  struct wwri_mail *first = loop->first;
  loop->first = NULL;
  loop->last = &loop->first;
  loop->woken = false;
  *stopping = loop->stopping;
  pthread_mutex_unlock(&loop->lock);
  return first;
}

static void run_mail(struct wwri_loop *loop, struct wwri_mail *mail) {
  while (mail) {
    struct wwri_mail *next = mail->next; /* fn may free or post it */
    atomic_fetch_sub(&loop->mail_count, 1);
    mail->fn(mail);
    mail = next;
  }
}

static void deliver(struct wwri_loop *loop) {
  bool stopping;
  struct wwri_mail *mail = take_mail(loop, &stopping);
  if (mail) loop->input = true;
  run_mail(loop, mail);
  if (stopping) uv_stop(&loop->uv);
}

static void on_wake(uv_poll_t *handle, int status, int events) {
  struct wwri_loop *loop = handle->data;
  uint64_t count;
  (void)status, (void)events;
  if (read(loop->wake_fd, &count, sizeof count) != sizeof count) return;
  /* Who woke us has not come back from it: it shares our core. Let it go on,
   * for it may have more for us, which then is done together. */
  for (int i = 0; i < YIELDS_MAX && atomic_load(&loop->wakers) > 0; i++) {
    sched_yield();
  }
  deliver(loop);
}

/* A thread that posts may be interrupted between its lock and its write, and
 * all mail behind its own waits for that write, even what this loop posts to
 * itself. A loop that turns anyway needs no wake-up. */
static void deliver_unwoken(struct wwri_loop *loop) {
  if (loop->flushing && atomic_load(&loop->wakers) > 0 &&
      wwri_loop_has_mail(loop)) {
    deliver(loop);
  }
}

/* Timers */

static void on_timer(uv_timer_t *handle);

/* Lazy: a timer that moved back or was cancelled leaves the handle alone and
 * costs one early wake-up at most. */
static void rearm(struct wwri_loop *loop) {
  uint64_t deadline;
  if (!wwri_timers_next(&loop->timers, &deadline)) return;
  if (deadline >= loop->armed_ms) return;
  uint64_t now = uv_now(&loop->uv);
  loop->armed_ms = deadline;
  uv_timer_start(&loop->timer, on_timer, deadline > now ? deadline - now : 0,
                 0);
}

static void on_timer(uv_timer_t *handle) {
  struct wwri_loop *loop = handle->data;
  loop->armed_ms = 0; /* keeps rearm() quiet while timers fire */
  wwri_timers_run(&loop->timers, uv_now(&loop->uv));
  loop->armed_ms = UINT64_MAX;
  rearm(loop);
}

void wwri_loop_timer_set(struct wwri_loop *loop, struct wwri_timer *timer,
                         uint64_t delay_ms) {
  uint64_t now = uv_now(&loop->uv);
  uint64_t max = UINT64_MAX - 1 - now;
  wwri_timers_set(&loop->timers, timer,
                  now + (delay_ms < max ? delay_ms : max));
  rearm(loop);
}

void wwri_loop_timer_cancel(struct wwri_loop *loop, struct wwri_timer *timer) {
  wwri_timers_cancel(&loop->timers, timer);
}

uint64_t wwri_loop_now_ms(const struct wwri_loop *loop) {
  return uv_now(&loop->uv);
}

/* Flushing */

static void on_idle(uv_idle_t *handle) {
  (void)handle;
}

static bool nobody_waits(const struct wwri_loop *loop) {
  for (int rank = 0; rank < WWRI_RANKS; rank++) {
    if (!wwri_list_empty(&loop->flushers[rank])) return false;
  }
  return true;
}

static void run_rank(struct wwri_loop *loop, enum wwri_rank rank) {
  struct wwri_list due;
  struct wwri_list *node;
  if (wwri_list_empty(&loop->flushers[rank])) return;
  wwri_list_init(&due);
  wwri_list_splice(&due, &loop->flushers[rank]);
  while ((node = wwri_list_pop(&due))) {
    struct wwri_flusher *flusher =
        WWRI_CONTAINER(node, struct wwri_flusher, link);
    flusher->flush(flusher);
  }
}

static void stop_flushing(struct wwri_loop *loop) {
  loop->flushing = false;
  uv_idle_stop(&loop->idle);
}

static void run_flushers(struct wwri_loop *loop) {
  run_rank(loop, WWRI_RANK_WORK);
  run_rank(loop, WWRI_RANK_PROMPT);
  run_rank(loop, WWRI_RANK_WALK);
  if (wwri_list_empty(&loop->flushers[WWRI_RANK_WALK]) ||
      ++loop->bulk_waited >= WWRI_BULK_WAIT) {
    loop->bulk_waited = 0;
    run_rank(loop, WWRI_RANK_BULK);
  }
  if (nobody_waits(loop)) {
    stop_flushing(loop);
  } else {
    loop->first_flusher_ns = uv_hrtime();
  }
}

static void on_check(uv_check_t *handle) {
  struct wwri_loop *loop = handle->data;
  deliver_unwoken(loop);
  bool input = loop->input;
  loop->input = false;
  if (!loop->flushing) return;
  if (nobody_waits(loop)) { /* they were cancelled */
    stop_flushing(loop);
    return;
  }
  if (input && uv_hrtime() - loop->first_flusher_ns < FLUSH_DELAY_MAX_NS) {
    return; /* the idle handle makes the next pass come without blocking */
  }
  run_flushers(loop);
}

void wwri_loop_note_input(struct wwri_loop *loop) {
  loop->input = true;
}

void wwri_loop_flush_later(struct wwri_loop *loop,
                           struct wwri_flusher *flusher) {
  if (!wwri_list_empty(&flusher->link)) return;
  if (!loop->flushing) {
    loop->flushing = true;
    loop->first_flusher_ns = uv_hrtime();
    uv_idle_start(&loop->idle, on_idle);
  }
  wwri_list_append(&loop->flushers[flusher->rank], &flusher->link);
}

void wwri_flusher_init(struct wwri_flusher *flusher,
                       void (*flush)(struct wwri_flusher *flusher)) {
  wwri_flusher_init_ranked(flusher, flush, WWRI_RANK_PROMPT);
}

void wwri_flusher_init_ranked(struct wwri_flusher *flusher,
                              void (*flush)(struct wwri_flusher *flusher),
                              enum wwri_rank rank) {
  wwri_list_init(&flusher->link);
  flusher->flush = flush;
  flusher->rank = rank;
}

void wwri_flusher_cancel(struct wwri_flusher *flusher) {
  wwri_list_remove(&flusher->link);
}

/* Life */

/* Nobody posts any more, but the last to do so may not be done yet. */
static void close_wake_fd(struct wwri_loop *loop) {
  while (atomic_load(&loop->wakers) > 0) sched_yield();
  close(loop->wake_fd);
}

static void close_handles(struct wwri_loop *loop) {
  uv_handle_t *handles[HANDLES] = {
      (uv_handle_t *)&loop->wake, (uv_handle_t *)&loop->timer,
      (uv_handle_t *)&loop->check, (uv_handle_t *)&loop->idle};
  for (int i = 0; i < HANDLES; i++) uv_close(handles[i], NULL);
  /* Without blocking: a handle that another left open must fail the assert
   * below, not hang here. */
  for (int i = 0; i < 100 && uv_run(&loop->uv, UV_RUN_NOWAIT); i++) continue;
  int status = uv_loop_close(&loop->uv);
  assert(status == 0);
  (void)status;
  close_wake_fd(loop);
}

static int open_wake(struct wwri_loop *loop) {
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->wake_fd < 0) return UV_EMFILE;
  int status = uv_poll_init(&loop->uv, &loop->wake, loop->wake_fd);
  if (status) close(loop->wake_fd);
  return status;
}

static wwr_err open_handles(struct wwri_loop *loop) {
  int status = uv_loop_init(&loop->uv);
  if (status) return from_uv(status);
  status = open_wake(loop);
  if (status) {
    uv_loop_close(&loop->uv);
    return from_uv(status);
  }
  uv_timer_init(&loop->uv, &loop->timer); /* these three can't fail */
  uv_check_init(&loop->uv, &loop->check);
  uv_idle_init(&loop->uv, &loop->idle);
  loop->wake.data = loop->timer.data = loop->check.data = loop->idle.data =
      loop;
  uv_check_start(&loop->check, on_check);
  uv_poll_start(&loop->wake, UV_READABLE, on_wake);
  return WWR_OK;
}

wwr_err wwri_loop_new(struct wwri_loop **out) {
  struct wwri_loop *loop = calloc(1, sizeof(*loop));
  if (!loop) return WWR_E_NOMEM;
  wwri_timers_init(&loop->timers);
  loop->armed_ms = UINT64_MAX;
  for (int rank = 0; rank < WWRI_RANKS; rank++) {
    wwri_list_init(&loop->flushers[rank]);
  }
  loop->last = &loop->first;
  wwr_err err = open_handles(loop);
  if (!err && pthread_mutex_init(&loop->lock, NULL)) {
    close_handles(loop);
    err = WWR_E_NOMEM;
  }
  if (err) {
    free(loop);
    return err;
  }
  *out = loop;
  return WWR_OK;
}

static void *run_thread(void *arg) {
  struct wwri_loop *loop = arg;
  atomic_store(&loop->owner, &thread_mark);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  return NULL;
}

wwr_err wwri_loop_start(struct wwri_loop *loop, const char *thread_name) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for main */
  int status = pthread_create(&loop->thread, NULL, run_thread, loop);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status) return WWR_E_IO;
  loop->started = true;
  char name[THREAD_NAME_MAX];
  snprintf(name, sizeof(name), "%s", thread_name ? thread_name : "wwr-loop");
  pthread_setname_np(loop->thread, name);
  return WWR_OK;
}

static void end_thread(struct wwri_loop *loop) {
  if (!loop->started) return;
  pthread_mutex_lock(&loop->lock);
  loop->stopping = true;
  bool wake = must_wake(loop);
  pthread_mutex_unlock(&loop->lock);
  if (wake) wake_up(loop);
  pthread_join(loop->thread, NULL);
}

/* True once nothing was left; the mailbox is closed then. */
static bool close_mailbox(struct wwri_loop *loop) {
  pthread_mutex_lock(&loop->lock);
  if (!loop->first) loop->closed = true;
  pthread_mutex_unlock(&loop->lock);
  return loop->closed;
}

void wwri_loop_stop(struct wwri_loop *loop) {
  if (loop->closed) return;
  end_thread(loop);
  atomic_store(&loop->owner, &thread_mark);
  bool stopping;
  while (!close_mailbox(loop)) run_mail(loop, take_mail(loop, &stopping));
  close_handles(loop);
}

void wwri_loop_free(struct wwri_loop *loop) {
  if (!loop) return;
  wwri_loop_stop(loop); /* does nothing after a stop */
  pthread_mutex_destroy(&loop->lock);
  free(loop);
}

bool wwri_loop_is_current(const struct wwri_loop *loop) {
  return atomic_load(&loop->owner) == &thread_mark;
}

struct uv_loop_s *wwri_loop_uv(struct wwri_loop *loop) {
  return &loop->uv;
}
