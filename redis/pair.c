/* Happy path: START, MASTER, then per connection OPENED and an ANSWERED for
 * each step; both READY sends the first beat, BEAT_BACK makes it live, and from
 * then on a TICK per second sends the next.
 *
 * Failure modes: every one of them is fail(): both connections are closed, and
 * the next attempt follows after a back-off. An attempt that stays in a step
 * too long is found by TICK, so no state but STOPPED lasts without a deadline.
 */
#include "pair.h"

#include <string.h>

enum {
  LATE_MS = 250,    /* a TICK later than this: the loop stood still */
  STEADY_MS = 5000, /* live for so long: the next failure is the first again */
  MAX_ATTEMPTS = 16
};

static const char *const cause_names[WWRI_CAUSES] = {
    "none",        "stopped", "io",       "timeout", "beat",    "protocol",
    "tls",         "auth",    "role",     "replid",  "demoted", "script",
    "unavailable", "refused", "switched", "resolve", "nomem"};

const char *wwri_redis_cause_name(enum wwri_redis_cause cause) {
  return cause < WWRI_CAUSES ? cause_names[cause] : "unknown";
}

void wwri_pair_opts_default(struct wwri_pair_opts *opts) {
  *opts = (struct wwri_pair_opts){.connect_ms = 2000,
                                  .reply_ms = 3000,
                                  .beat_ms = 1000,
                                  .suspect_ms = 1500,
                                  .lost_ms = 3000,
                                  .backoff_min_ms = 50,
                                  .backoff_max_ms = 5000,
                                  .backoff_waiting_ms = 500};
}

void wwri_pair_init(struct wwri_pair *pair, const struct wwri_pair_opts *opts,
                    uint64_t seed) {
  memset(pair, 0, sizeof(*pair));
  pair->opts = *opts;
  pair->random = seed;
}

uint64_t wwri_pair_time(const struct wwri_pair *pair, uint64_t now_ms) {
  return now_ms - pair->stood_ms;
}

/* splitmix64 */
static uint64_t next_random(struct wwri_pair *pair) {
  uint64_t z = (pair->random += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void move(struct wwri_pair *pair, enum wwri_pair_state state,
                 uint64_t now) {
  if (pair->state == state) return;
  pair->state = state;
  pair->since_ms = now;
}

static bool is_up(const struct wwri_pair *pair) {
  return pair->state == WWRI_PAIR_LIVE || pair->state == WWRI_PAIR_SUSPECT;
}

static bool is_connected(const struct wwri_pair *pair) {
  return is_up(pair) || pair->state == WWRI_PAIR_CONNECT ||
         pair->state == WWRI_PAIR_PROVE;
}

/* --- Ends --------------------------------------------------------------- */

/* Exponential, the upper half of it random. */
static uint64_t backoff(struct wwri_pair *pair) {
  uint64_t max =
      pair->waiting ? pair->opts.backoff_waiting_ms : pair->opts.backoff_max_ms;
  uint64_t delay = (uint64_t)pair->opts.backoff_min_ms << pair->attempts;
  if (pair->attempts < MAX_ATTEMPTS) pair->attempts++;
  if (delay > max) delay = max;
  return delay - next_random(pair) % (delay / 2 + 1);
}

static unsigned close_both(struct wwri_pair *pair) {
  unsigned acts = is_up(pair) ? WWRI_ACT_LOST : 0;
  if (is_connected(pair)) acts |= WWRI_ACT_CLOSE;
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    pair->side[i].step = WWRI_STEP_OFF;
    pair->side[i].replid[0] = '\0';
  }
  pair->beat_old = pair->beat_n;
  return acts;
}

static unsigned fail(struct wwri_pair *pair, enum wwri_redis_cause cause,
                     uint64_t now) {
  if (is_up(pair) && now - pair->live_ms >= STEADY_MS) pair->attempts = 0;
  pair->cause = cause;
  pair->failures[cause]++;
  unsigned acts = close_both(pair);
  move(pair, WWRI_PAIR_WAIT, now);
  bool at_once = cause == WWRI_CAUSE_SWITCHED;
  pair->until_ms = now + (at_once ? 0 : backoff(pair));
  return acts;
}

static unsigned stop(struct wwri_pair *pair, uint64_t now) {
  unsigned acts = close_both(pair);
  pair->cause = WWRI_CAUSE_STOPPED;
  move(pair, WWRI_PAIR_STOPPED, now);
  return acts;
}

/* --- On the way --------------------------------------------------------- */

static unsigned resolve(struct wwri_pair *pair, uint64_t now) {
  move(pair, WWRI_PAIR_RESOLVE, now);
  pair->until_ms = now + pair->opts.connect_ms;
  return WWRI_ACT_RESOLVE;
}

static unsigned dial(struct wwri_pair *pair, uint64_t now) {
  if (pair->state != WWRI_PAIR_RESOLVE) return 0;
  move(pair, WWRI_PAIR_CONNECT, now);
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    pair->side[i].step = WWRI_STEP_DIAL;
    pair->side[i].deadline_ms = now + pair->opts.connect_ms;
  }
  return WWRI_ACT_DIAL;
}

static bool is_needed(const struct wwri_pair *pair, enum wwri_pair_side side,
                      enum wwri_pair_step step) {
  bool commands = side == WWRI_PAIR_COMMANDS;
  switch (step) {
    case WWRI_STEP_AUTH:
      return pair->opts.auth;
    case WWRI_STEP_SELECT:
      return pair->opts.select && commands;
    case WWRI_STEP_LOAD:
      return pair->opts.scripts && commands;
    case WWRI_STEP_LISTEN:
      return !commands;
    default:
      return true;
  }
}

static unsigned beat(struct wwri_pair *pair, uint64_t now) {
  pair->beat_n++;
  pair->beat_sent_ms[pair->beat_n % WWRI_PAIR_BEATS] = now;
  pair->next_beat_ms = now + pair->opts.beat_ms;
  return WWRI_ACT_BEAT;
}

static unsigned prove(struct wwri_pair *pair, uint64_t now) {
  move(pair, WWRI_PAIR_PROVE, now);
  pair->until_ms = now + pair->opts.lost_ms;
  return beat(pair, now);
}

static unsigned next_step(struct wwri_pair *pair, enum wwri_pair_side side,
                          uint64_t now) {
  enum wwri_pair_step step = pair->side[side].step;
  do {
    step++;
  } while (!is_needed(pair, side, step));
  pair->side[side].step = step;
  pair->side[side].deadline_ms = now + pair->opts.reply_ms;
  if (step != WWRI_STEP_READY) {
    return side == WWRI_PAIR_COMMANDS ? WWRI_ACT_STEP_COMMANDS
                                      : WWRI_ACT_STEP_SUBSCRIBER;
  }
  bool both = pair->side[0].step == WWRI_STEP_READY &&
              pair->side[1].step == WWRI_STEP_READY;
  return both ? prove(pair, now) : 0;
}

static unsigned opened(struct wwri_pair *pair, enum wwri_pair_side side,
                       uint64_t now) {
  if (pair->state != WWRI_PAIR_CONNECT) return 0;
  if (pair->side[side].step != WWRI_STEP_DIAL) return 0;
  return next_step(pair, side, now);
}

static unsigned answered(struct wwri_pair *pair,
                         const struct wwri_pair_input *input, uint64_t now) {
  enum wwri_pair_step step = pair->side[input->side].step;
  if (pair->state != WWRI_PAIR_CONNECT) return 0;
  if (step <= WWRI_STEP_DIAL || step == WWRI_STEP_READY) return 0;
  if (step == WWRI_STEP_INFO) {
    const char *other = pair->side[!input->side].replid;
    if (!input->info.master) return fail(pair, WWRI_CAUSE_ROLE, now);
    if (other[0] && strcmp(other, input->info.replid) != 0) {
      return fail(pair, WWRI_CAUSE_REPLID, now);
    }
    memcpy(pair->side[input->side].replid, input->info.replid,
           sizeof(input->info.replid));
  }
  return next_step(pair, input->side, now);
}

/* --- Beats -------------------------------------------------------------- */

static unsigned beat_back(struct wwri_pair *pair, uint64_t number,
                          uint64_t now) {
  if (pair->state != WWRI_PAIR_PROVE && !is_up(pair)) return 0;
  if (number <= pair->beat_old || number > pair->beat_n ||
      pair->beat_n - number >= WWRI_PAIR_BEATS) {
    return 0; /* not one of these connections */
  }
  uint64_t sent = pair->beat_sent_ms[number % WWRI_PAIR_BEATS];
  pair->rtt_ms = now - sent;
  if (pair->state == WWRI_PAIR_PROVE) {
    pair->back_ms = sent;
    pair->live_ms = now;
    move(pair, WWRI_PAIR_LIVE, now);
    return WWRI_ACT_LIVE;
  }
  if (sent > pair->back_ms) pair->back_ms = sent;
  if (pair->state == WWRI_PAIR_LIVE) return 0;
  if (now - pair->back_ms >= pair->opts.suspect_ms) return 0;
  move(pair, WWRI_PAIR_LIVE, now);
  return WWRI_ACT_RECOVERED;
}

static unsigned tick_up(struct wwri_pair *pair, uint64_t now) {
  uint64_t age = now - pair->back_ms;
  unsigned acts = 0;
  if (age >= pair->opts.lost_ms) return fail(pair, WWRI_CAUSE_BEAT, now);
  if (pair->state == WWRI_PAIR_LIVE && age >= pair->opts.suspect_ms) {
    move(pair, WWRI_PAIR_SUSPECT, now);
    acts = WWRI_ACT_SUSPECT;
  }
  if (now >= pair->next_beat_ms) acts |= beat(pair, now);
  return acts;
}

/* --- Time --------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* On the pair's own clock. */
static uint64_t due(const struct wwri_pair *pair) {
  uint64_t first = UINT64_MAX;
  switch (pair->state) {
    case WWRI_PAIR_RESOLVE:
    case WWRI_PAIR_WAIT:
      return pair->until_ms;
    case WWRI_PAIR_PROVE:
      return earlier(pair->until_ms, pair->next_beat_ms);
    case WWRI_PAIR_CONNECT:
      for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
        if (pair->side[i].step == WWRI_STEP_READY) continue;
        first = earlier(first, pair->side[i].deadline_ms);
      }
      return first;
    case WWRI_PAIR_LIVE:
      first = pair->back_ms + pair->opts.suspect_ms;
      return earlier(first, pair->next_beat_ms);
    case WWRI_PAIR_SUSPECT:
      first = pair->back_ms + pair->opts.lost_ms;
      return earlier(first, pair->next_beat_ms);
    default:
      return UINT64_MAX;
  }
}

uint64_t wwri_pair_due(const struct wwri_pair *pair) {
  uint64_t at = due(pair);
  return at == UINT64_MAX ? at : at + pair->stood_ms;
}

static unsigned tick(struct wwri_pair *pair, uint64_t now) {
  if (now < due(pair)) return 0;
  switch (pair->state) {
    case WWRI_PAIR_RESOLVE:
      return fail(pair, WWRI_CAUSE_RESOLVE, now);
    case WWRI_PAIR_CONNECT:
      return fail(pair, WWRI_CAUSE_TIMEOUT, now);
    case WWRI_PAIR_PROVE:
      return now >= pair->until_ms ? fail(pair, WWRI_CAUSE_BEAT, now)
                                   : beat(pair, now);
    case WWRI_PAIR_LIVE:
    case WWRI_PAIR_SUSPECT:
      return tick_up(pair, now);
    case WWRI_PAIR_WAIT:
      return resolve(pair, now);
    default:
      return 0;
  }
}

/* A tick that comes late means that nothing was read meanwhile, so nobody is
 * to blame: that time does not count. */
static void forgive(struct wwri_pair *pair, uint64_t now) {
  uint64_t at = due(pair);
  if (at != UINT64_MAX && now > at + LATE_MS) pair->stood_ms += now - at;
}

unsigned wwri_pair_input(struct wwri_pair *pair,
                         const struct wwri_pair_input *input, uint64_t now_ms) {
  uint64_t now = wwri_pair_time(pair, now_ms);
  switch (input->event) {
    case WWRI_PAIR_START:
      return pair->state == WWRI_PAIR_STOPPED ? resolve(pair, now) : 0;
    case WWRI_PAIR_STOP:
      return stop(pair, now);
    case WWRI_PAIR_MASTER:
      return dial(pair, now);
    case WWRI_PAIR_SWITCH:
      if (pair->state == WWRI_PAIR_WAIT) pair->until_ms = now;
      return is_connected(pair) ? fail(pair, WWRI_CAUSE_SWITCHED, now) : 0;
    case WWRI_PAIR_OPENED:
      return opened(pair, input->side, now);
    case WWRI_PAIR_ANSWERED:
      return answered(pair, input, now);
    case WWRI_PAIR_FAILED:
      return is_connected(pair) || pair->state == WWRI_PAIR_RESOLVE
                 ? fail(pair, input->cause, now)
                 : 0;
    case WWRI_PAIR_BEAT_BACK:
      return beat_back(pair, input->beat, now);
    case WWRI_PAIR_TICK:
      forgive(pair, now);
      return tick(pair, wwri_pair_time(pair, now_ms));
    default:
      return 0;
  }
}

void wwri_pair_set_waiting(struct wwri_pair *pair, bool waiting,
                           uint64_t now_ms) {
  uint64_t now = wwri_pair_time(pair, now_ms);
  uint64_t most = pair->opts.backoff_waiting_ms;
  pair->waiting = waiting;
  if (!waiting || pair->state != WWRI_PAIR_WAIT) return;
  if (pair->until_ms <= now + most) return;
  pair->until_ms = now + most - next_random(pair) % (most / 2 + 1);
}
