/* timers.c - a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): insert
 * in O(1), removing any timer in amortised O(log n), no recursion.
 *
 * While timers_run() fires what is due, newly armed timers collect in a second
 * heap, so that a timer which arms itself in the past can't keep the run from
 * ending. A fire function may cancel, move or free any other timer at that
 * time, due or not: all of them are in one of the two heaps. */
#include "timers.h"

#include <assert.h>
#include <stddef.h>

/* Join two heaps; either may be NULL. */
static struct wwri_timer *meld(struct wwri_timer *a, struct wwri_timer *b) {
  if (!a) return b;
  if (!b) return a;
  if (b->deadline_ms < a->deadline_ms) {
    struct wwri_timer *swap = a;
    a = b;
    b = swap;
  }
  b->prev = a;
  b->next = a->child;
  if (a->child) a->child->prev = b;
  a->child = b;
  return a;
}

static struct wwri_timer *detach(struct wwri_timer *timer) {
  timer->next = timer->prev = NULL;
  return timer;
}

/* Join siblings into one heap: pairs from left to right, then the pairs from
 * right to left. The pairs wait as a stack linked by `next`. */
static struct wwri_timer *meld_siblings(struct wwri_timer *first) {
  struct wwri_timer *pairs = NULL;
  while (first) {
    struct wwri_timer *second = first->next;
    struct wwri_timer *rest = second ? second->next : NULL;
    struct wwri_timer *pair =
        meld(detach(first), second ? detach(second) : NULL);
    pair->next = pairs;
    pairs = pair;
    first = rest;
  }
  struct wwri_timer *root = NULL;
  while (pairs) {
    struct wwri_timer *next = pairs->next;
    root = meld(root, detach(pairs));
    pairs = next;
  }
  return root;
}

/* Put `heap`, or nothing when it is NULL, in the place of a timer that has a
 * parent. The timer's own children may go there: none of them is earlier than
 * that parent. So it does not matter which heap this is. */
static void replace(struct wwri_timer *timer, struct wwri_timer *heap) {
  struct wwri_timer *next = timer->next;
  if (heap) {
    heap->prev = timer->prev;
    heap->next = next;
    if (next) next->prev = heap;
  } else {
    if (next) next->prev = timer->prev;
    heap = next;
  }
  if (timer->prev->child == timer) {
    timer->prev->child = heap;
  } else {
    timer->prev->next = heap;
  }
}

static void take_out(struct wwri_timers *timers, struct wwri_timer *timer) {
  struct wwri_timer *children = meld_siblings(timer->child);
  if (timer == timers->root) {
    timers->root = children;
  } else if (timer == timers->later) {
    timers->later = children;
  } else {
    replace(timer, children);
  }
  timer->child = NULL;
  detach(timer)->armed = false;
}

void wwri_timer_init(struct wwri_timer *timer,
                     void (*fire)(struct wwri_timer *timer)) {
  *timer = (struct wwri_timer){.fire = fire};
}

void wwri_timers_init(struct wwri_timers *timers) {
  *timers = (struct wwri_timers){0};
}

void wwri_timers_set(struct wwri_timers *timers, struct wwri_timer *timer,
                     uint64_t deadline_ms) {
  assert(timer->fire);
  wwri_timers_cancel(timers, timer);
  timer->deadline_ms = deadline_ms;
  timer->armed = true;
  struct wwri_timer **heap = timers->running ? &timers->later : &timers->root;
  *heap = meld(*heap, timer);
}

void wwri_timers_cancel(struct wwri_timers *timers, struct wwri_timer *timer) {
  if (timer->armed) take_out(timers, timer);
}

bool wwri_timers_next(const struct wwri_timers *timers, uint64_t *deadline_ms) {
  const struct wwri_timer *first = timers->root;
  const struct wwri_timer *later = timers->later;
  if (!first || (later && later->deadline_ms < first->deadline_ms)) {
    first = later;
  }
  if (!first) return false;
  *deadline_ms = first->deadline_ms;
  return true;
}

void wwri_timers_run(struct wwri_timers *timers, uint64_t now_ms) {
  if (timers->running) return;
  timers->running = true;
  while (timers->root && timers->root->deadline_ms <= now_ms) {
    struct wwri_timer *due = timers->root;
    take_out(timers, due);
    due->fire(due); /* may free it */
  }
  timers->running = false;
  timers->root = meld(timers->root, timers->later);
  timers->later = NULL;
}
