/* member_watch.c - a node whose I/O threads hang must not hold its lease
 * (docs/rules.md, row 49): nobody is served there, and nobody else may take
 * over.
 *
 * Happy path: the server says about once a second that all of its threads turn
 * (wwri_member_load()), and the watch sees that it did.
 *
 * Not a word for a third of the lease: the link is dropped and beats no more
 * until the next word; then the node comes back as from any other absence. What
 * is counted is the watch's own turns, so that a process that stood still as a
 * whole is not blamed. Whoever never says a word is not watched. */
#include "log.h"
#include "member_impl.h"

enum { WATCH_MS = 1000, SILENT_MIN = 5 };

static const char why[] = "an I/O thread hangs";

static void hangs(struct wwri_member *member) {
  member->hung = true;
  if (member->first) {
    wwri_log(&member->opts.log, WWR_LOG_ERROR, 0,
             "an I/O thread hangs: this node gives up its lease", "node",
             member->name, NULL);
  }
  wwri_redis_drop(member->link, why);
  wwri_member_judge(member);
}

static void turns_again(struct wwri_member *member) {
  member->hung = false;
  if (member->first) {
    wwri_log(&member->opts.log, WWR_LOG_WARN, 0, "the I/O threads turn again",
             "node", member->name, NULL);
  }
  wwri_member_judge(member);
}

static unsigned most_silent(const struct wwri_member *member) {
  unsigned third = member->opts.lease_ms / 3 / WATCH_MS;
  return third > SILENT_MIN ? third : SILENT_MIN;
}

static void on_watch(struct wwri_timer *timer) {
  struct wwri_member *member =
      WWRI_CONTAINER(timer, struct wwri_member, watch_timer);
  unsigned words = atomic_load(&member->words);
  wwri_loop_timer_set(member->loop, timer, member->watch_ms);
  member->silent = words == member->words_seen ? member->silent + 1 : 0;
  member->words_seen = words;
  bool hung = words && member->silent >= most_silent(member);
  if (hung && !member->hung) hangs(member);
  if (!hung && member->hung) turns_again(member);
}

void wwri_member_watch_init(struct wwri_member *member) {
  wwri_timer_init(&member->watch_timer, on_watch);
  member->watch_ms = WATCH_MS;
}

void wwri_member_watch_start(struct wwri_member *member) {
  wwri_loop_timer_set(member->loop, &member->watch_timer, member->watch_ms);
}

void wwri_member_watch_end(struct wwri_member *member) {
  wwri_loop_timer_cancel(member->loop, &member->watch_timer);
}

void wwri_member_load(struct wwri_member *member, uint64_t connections,
                      bool draining) {
  atomic_store(&member->load, connections * 2 + draining);
  atomic_fetch_add(&member->words, 1);
}
