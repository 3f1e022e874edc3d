/* loop.h - an I/O thread: one libuv loop, its timers, its mailbox and the rule
 * when output is flushed.
 *
 * Threads: everything is for the loop's own thread, except wwri_loop_post(),
 * wwri_loop_is_current(), _new, _start, _stop and _free. */
#ifndef WWRI_LOOP_H
#define WWRI_LOOP_H

#include "list.h"
#include "timers.h"
#include "wwr_err.h"

struct uv_loop_s;
struct wwri_loop;

/** A message to a loop; embed it, post it, get it back in `fn`. */
struct wwri_mail {
  struct wwri_mail *next;
  void (*fn)(struct wwri_mail *mail);
};

/** Who is flushed first. What is long cuts itself into turns: it does a part,
 * and queues itself again. */
enum wwri_rank {
  WWRI_RANK_WORK,   /* makes output, which leaves in the same flush */
  WWRI_RANK_PROMPT, /* what somebody waits for: first, every time */
  WWRI_RANK_WALK,   /* gives bulk its work */
  WWRI_RANK_BULK,   /* output to many: when nobody walks, so that it leaves
                       together, or after WWRI_BULK_WAIT flushes */
  WWRI_RANKS
};

enum { WWRI_BULK_WAIT = 16 };

/** Output that waits for quiescence; embed it in what has something to flush.
 */
struct wwri_flusher {
  struct wwri_list link; /* init with wwri_flusher_init() */
  void (*flush)(struct wwri_flusher *flusher);
  enum wwri_rank rank;
};

/** A loop without a thread. Errors: WWR_E_NOMEM, WWR_E_IO. */
WWR_MUST_CHECK wwr_err wwri_loop_new(struct wwri_loop **out);

/** Start the thread that runs it. Errors: WWR_E_IO. */
WWR_MUST_CHECK wwr_err wwri_loop_start(struct wwri_loop *loop,
                                       const char *thread_name);

/** Ask the thread to end and wait for it. What is left in the mailbox then
 * runs on the caller's thread, which counts as the loop's from here on. Every
 * libuv handle of others must be closed by now. Harmless when it never
 * started. Not on the loop's own thread. */
void wwri_loop_stop(struct wwri_loop *loop);

/** Free a loop that was stopped or never started. NULL does nothing. */
void wwri_loop_free(struct wwri_loop *loop);

/** Run mail->fn once on the loop's thread, in the order posted. Never fails
 * and never runs it inside this call. Any thread. One wake-up for any number
 * of posts that it has not seen yet. */
void wwri_loop_post(struct wwri_loop *loop, struct wwri_mail *mail);

/** True on the loop's thread. Any thread. */
bool wwri_loop_is_current(const struct wwri_loop *loop);

/** True when mail is waiting that was posted before now: whoever must keep the
 * order with it posts as well instead of acting directly. */
bool wwri_loop_has_mail(const struct wwri_loop *loop);

/** Milliseconds on the loop's monotonic clock, as of the start of this pass. */
uint64_t wwri_loop_now_ms(const struct wwri_loop *loop);

/** Arm (or move) a timer `delay_ms` from now; cancel it. */
void wwri_loop_timer_set(struct wwri_loop *loop, struct wwri_timer *timer,
                         uint64_t delay_ms);
void wwri_loop_timer_cancel(struct wwri_loop *loop, struct wwri_timer *timer);

/** Tell the loop that this pass handled input (a message, mail counts by
 * itself): as long as input keeps coming, flushing waits, at most 500 us after
 * the first flusher was queued (docs/libwebsockets.md). */
void wwri_loop_note_input(struct wwri_loop *loop);

/** Call flusher->flush once at the next quiescence. Harmless when queued. A
 * flush may queue flushers again; they run in a later pass. */
void wwri_loop_flush_later(struct wwri_loop *loop,
                           struct wwri_flusher *flusher);
void wwri_flusher_init(struct wwri_flusher *flusher,
                       void (*flush)(struct wwri_flusher *flusher));

/** The same for another rank than WWRI_RANK_PROMPT. */
void wwri_flusher_init_ranked(struct wwri_flusher *flusher,
                              void (*flush)(struct wwri_flusher *flusher),
                              enum wwri_rank rank);

/** Take it out of the queue. Harmless when it is not there. */
void wwri_flusher_cancel(struct wwri_flusher *flusher);

/** The libuv loop, for transports and links. */
struct uv_loop_s *wwri_loop_uv(struct wwri_loop *loop);

#endif
