/* Connections that come back: whoever loses its connection, because a server
 * died or let it go, opens it again at the next server of the list, and is back
 * when it is open and, after --login, its session is restored. What fails is
 * tried again, after a pause that doubles and is jittered; the time counts from
 * the loss. Who kills the server is none of our business.
 *
 * Links are only restarted from pump(), as in connect.c. */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  FIRST_PAUSE_MS = 50,
  MAX_PAUSE_MS = 2000,
  ATTEMPT_MS = 5000, /* what takes longer is given up and tried again */
  MS_NS = 1000000
};

struct loss {
  uint64_t lost_ns;
  uint64_t next_ns; /* when to try, or when to give up the attempt */
  uint32_t tries;
  bool away; /* lost and not back */
};

struct losses {
  struct measure *measure;
  struct keys keys;
  struct loss *list;
  uint32_t away;
  uint32_t random;
};

/* Jitter for pauses only: xorshift. */
static uint32_t random_below(struct losses *losses, uint32_t below) {
  losses->random ^= losses->random << 13;
  losses->random ^= losses->random >> 17;
  losses->random ^= losses->random << 5;
  return losses->random % below;
}

static uint64_t pause_ns(struct losses *losses, uint32_t tries) {
  uint32_t pause = FIRST_PAUSE_MS;
  for (uint32_t i = 1; i < tries && pause < MAX_PAUSE_MS; i++) pause *= 2;
  if (pause > MAX_PAUSE_MS) pause = MAX_PAUSE_MS;
  return (uint64_t)(pause / 2 + random_below(losses, pause)) * MS_NS;
}

static void on_broken(struct link *link, void *user_data) {
  struct losses *losses = user_data;
  struct loss *loss = &losses->list[link->index];
  uint64_t now = losses->measure->net.now_ns;
  losses->measure->lost++;
  losses->measure->net.broken--; /* it is what we wait for */
  if (!loss->away) {
    *loss = (struct loss){.lost_ns = now, .away = true};
    losses->away++;
    measure_issued(losses->measure);
  }
  loss->next_ns = loss->tries == 0 ? now : now + pause_ns(losses, loss->tries);
}

static void back(struct losses *losses, const struct link *link) {
  struct loss *loss = &losses->list[link->index];
  if (!loss->away) return;
  loss->away = false;
  losses->away--;
  losses->measure->open--;
  measure_done(losses->measure, loss->lost_ns);
}

static void attempt(struct losses *losses, uint32_t index) {
  struct loss *loss = &losses->list[index];
  struct net *net = &losses->measure->net;
  struct link *link = &net->links[index];
  loss->tries++;
  loss->next_ns = net->now_ns + (uint64_t)ATTEMPT_MS * MS_NS;
  net_reset(link);
  net_next_target(link);
  if (!net_start(link)) losses->measure->stuck = true;
}

static uint64_t pump(struct measure *measure) {
  struct losses *losses = measure->net.user_data;
  uint64_t now = net_clock_ns(), next = UINT64_MAX;
  if (losses->away == 0) return UINT64_MAX;
  measure->net.now_ns = now;
  for (uint32_t i = 0; i < measure->net.count && !measure->stuck; i++) {
    struct loss *loss = &losses->list[i];
    if (!loss->away) continue;
    if (loss->next_ns <= now) attempt(losses, i);
    if (loss->next_ns < next) next = loss->next_ns;
  }
  return next > now ? next - now : 0;
}

static void on_open(struct link *link, void *user_data) {
  struct losses *losses = user_data;
  if (!keys_restore(&losses->keys, link)) back(losses, link);
}

/* A refusal was counted, and is not tried again: the session is gone. */
static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct losses *losses = user_data;
  if (keys_heard(&losses->keys, link, heard) != KEYS_OTHER) back(losses, link);
}

bool reconnect_run(struct measure *measure) {
  struct losses losses = {.measure = measure, .random = 2463534242U};
  struct net *net = &measure->net;
  losses.list = calloc(net->count, sizeof *losses.list);
  bool good = keys_init(&losses.keys, measure) && losses.list &&
              keys_log_in(&losses.keys);
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = &losses;
  if (good && !measure->options->login) good = net_open(net);
  if (good) {
    net->hooks = (struct net_hooks){on_heard, on_open, on_broken};
    measure->pump = pump;
    fprintf(stderr, "webwire-bench: %u connections are open\n", net->open);
    measure_run(measure);
    measure->unanswered = losses.away;
    keys_log_out(&losses.keys);
  }
  keys_deinit(&losses.keys);
  free(losses.list);
  return good;
}
