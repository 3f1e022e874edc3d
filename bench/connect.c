/* Connections come and go. A visit begins when a link is started, and is done
 * when it is open and, after --login, its session is back; then it stays until
 * its turn comes again, when it is reset.
 *
 * Links are only restarted from pump(), never while events are handled: one of
 * those could be of the socket before. */
#include "keys.h"

#include <stdlib.h>

struct visit {
  uint64_t due_ns;
  bool under_way;
};

struct visits {
  struct measure *measure;
  struct keys keys;
  struct visit *list;
  uint32_t *free; /* ring of links that are at rest, longest first */
  uint32_t free_at;
  uint32_t free_count;
};

static void rest(struct visits *visits, uint32_t index) {
  uint32_t count = visits->measure->net.count;
  visits->free[(visits->free_at + visits->free_count++) % count] = index;
}

static void finish(struct visits *visits, struct link *link, bool well) {
  struct visit *visit = &visits->list[link->index];
  if (!visit->under_way) return;
  visit->under_way = false;
  visits->measure->open--;
  if (well) measure_done(visits->measure, visit->due_ns);
  rest(visits, link->index);
}

static uint64_t pump(struct measure *measure) {
  struct visits *visits = measure->net.user_data;
  uint64_t due_ns, wait_ns = UINT64_MAX;
  while (!measure->stuck && measure->open < measure->options->window &&
         visits->free_count > 0 &&
         measure_may_issue(measure, &due_ns, &wait_ns)) {
    uint32_t index = visits->free[visits->free_at];
    struct link *link = &measure->net.links[index];
    visits->free_at = (visits->free_at + 1) % measure->net.count;
    visits->free_count--;
    net_reset(link);
    visits->list[index] = (struct visit){due_ns, true};
    measure_issued(measure);
    if (!net_start(link)) {
      measure->stuck = true;
      measure->net.broken++;
    }
  }
  return wait_ns;
}

static void on_open(struct link *link, void *user_data) {
  struct visits *visits = user_data;
  if (!keys_restore(&visits->keys, link)) finish(visits, link, true);
}

static void on_broken(struct link *link, void *user_data) {
  finish(user_data, link, false);
}

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct visits *visits = user_data;
  enum keys_heard what = keys_heard(&visits->keys, link, heard);
  if (what != KEYS_OTHER) finish(visits, link, what == KEYS_BACK);
}

static bool visits_init(struct visits *visits, struct measure *measure) {
  uint32_t count = measure->net.count;
  *visits = (struct visits){.measure = measure};
  visits->list = calloc(count, sizeof *visits->list);
  visits->free = calloc(count, sizeof *visits->free);
  if (!keys_init(&visits->keys, measure) || !visits->list || !visits->free)
    return false;
  for (uint32_t i = 0; i < count; i++) rest(visits, i);
  return true;
}

bool connect_run(struct measure *measure) {
  struct visits visits;
  struct net *net = &measure->net;
  bool good = visits_init(&visits, measure) && keys_log_in(&visits.keys);
  if (good) {
    net->hooks = (struct net_hooks){on_heard, on_open, on_broken};
    net->user_data = &visits;
    measure->pump = pump;
    measure_run(measure);
    measure->unanswered = measure->open;
    keys_log_out(&visits.keys);
  }
  keys_deinit(&visits.keys);
  free(visits.list);
  free(visits.free);
  return good;
}
