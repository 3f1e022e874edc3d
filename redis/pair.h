/* pair.h - the life of the two connections to one Redis server, commands and
 * subscriptions, as one unit with one identity. Pure: events and the time go
 * in, actions come out; link.c does them.
 *
 *   STOPPED -> RESOLVE -> CONNECT -> PROVE -> LIVE <-> SUSPECT
 *                 ^          |         |        |         |
 *                 +-- WAIT <-+---------+--------+---------+
 *
 * Rules that it keeps (docs/rules.md R4, R5):
 * - Both connections say that their server is a master, and the same one,
 * before either is used.
 * - Live only when a beat that was written through the one came back on the
 *   other, on these very connections.
 * - Either connection lost: both are closed, so both are verified again.
 * - A beat is judged by when it was sent, so a subscriber that lags counts as
 *   one that is silent. When the loop itself stood still, time stood still. */
#ifndef WWRI_REDIS_PAIR_H
#define WWRI_REDIS_PAIR_H

#include "answer.h"

enum wwri_pair_state {
  WWRI_PAIR_STOPPED,
  WWRI_PAIR_RESOLVE, /* asking where the master is */
  WWRI_PAIR_CONNECT, /* both connections are on their way through the steps */
  WWRI_PAIR_PROVE,   /* both are verified; no beat came back yet */
  WWRI_PAIR_LIVE,
  WWRI_PAIR_SUSPECT, /* beats are missing; calls still go out */
  WWRI_PAIR_WAIT,    /* back-off */
  WWRI_PAIR_STATES
};

enum wwri_pair_side {
  WWRI_PAIR_COMMANDS,
  WWRI_PAIR_SUBSCRIBER,
  WWRI_PAIR_SIDES
};

/** What a connection is doing before it may be used, in this order. */
enum wwri_pair_step {
  WWRI_STEP_OFF,
  WWRI_STEP_DIAL,
  WWRI_STEP_AUTH,
  WWRI_STEP_SELECT, /* commands only */
  WWRI_STEP_INFO,
  WWRI_STEP_LOAD,   /* commands only: SCRIPT LOAD of all scripts */
  WWRI_STEP_LISTEN, /* subscriber only: SUBSCRIBE to the beat's channel */
  WWRI_STEP_READY
};

/** Why an attempt or a live pair ended. */
enum wwri_redis_cause {
  WWRI_CAUSE_NONE,
  WWRI_CAUSE_STOPPED,     /**< wwri_redis_stop(). */
  WWRI_CAUSE_IO,          /**< A connection failed or was closed by the peer. */
  WWRI_CAUSE_TIMEOUT,     /**< Connecting or a reply took too long. */
  WWRI_CAUSE_BEAT,        /**< Beats did not come back. */
  WWRI_CAUSE_PROTOCOL,    /**< The peer sent what Redis does not send. */
  WWRI_CAUSE_TLS,         /**< Handshake or certificate. */
  WWRI_CAUSE_AUTH,        /**< Wrong password, or not permitted. */
  WWRI_CAUSE_ROLE,        /**< Not a master. */
  WWRI_CAUSE_REPLID,      /**< The two connections are on two servers. */
  WWRI_CAUSE_DEMOTED,     /**< READONLY and its kin: no longer the master. */
  WWRI_CAUSE_SCRIPT,      /**< NOSCRIPT although loaded, or loading failed. */
  WWRI_CAUSE_UNAVAILABLE, /**< LOADING and its kin while setting up. */
  WWRI_CAUSE_REFUSED,  /**< A definite error to a set-up command or the beat. */
  WWRI_CAUSE_SWITCHED, /**< A sentinel named another master. */
  WWRI_CAUSE_RESOLVE,  /**< No sentinel knows the master; no such host. */
  WWRI_CAUSE_NOMEM,    /**< Out of memory. */
  WWRI_CAUSES
};

/** The cause as a program would log it: "io", "timeout", ... Static. */
const char *wwri_redis_cause_name(enum wwri_redis_cause cause);

enum wwri_pair_event {
  WWRI_PAIR_START,
  WWRI_PAIR_STOP,
  WWRI_PAIR_MASTER,    /* the master's address is known */
  WWRI_PAIR_SWITCH,    /* it is another one than we are connected to */
  WWRI_PAIR_OPENED,    /* side: connected, TLS included */
  WWRI_PAIR_ANSWERED,  /* side: its step is answered; info for STEP_INFO */
  WWRI_PAIR_FAILED,    /* side irrelevant; cause */
  WWRI_PAIR_BEAT_BACK, /* beat number */
  WWRI_PAIR_TICK,      /* wwri_pair_due() has come */
  WWRI_PAIR_EVENTS
};

struct wwri_pair_input {
  enum wwri_pair_event event;
  enum wwri_pair_side side;
  enum wwri_redis_cause cause;
  struct wwri_redis_info info;
  uint64_t beat;
};

/** Actions, to be carried out in the order of their values. */
enum wwri_pair_action {
  WWRI_ACT_CLOSE = 1 << 0,   /* close both connections; pending calls end */
  WWRI_ACT_LOST = 1 << 1,    /* tell: it was live or suspect */
  WWRI_ACT_RESOLVE = 1 << 2, /* find the master; then MASTER or FAILED */
  WWRI_ACT_DIAL = 1 << 3,    /* connect both */
  WWRI_ACT_STEP_COMMANDS = 1 << 4, /* send what side[].step asks */
  WWRI_ACT_STEP_SUBSCRIBER = 1 << 5,
  WWRI_ACT_BEAT = 1 << 6,      /* send beat number beat_n */
  WWRI_ACT_LIVE = 1 << 7,      /* tell: live, connections are new */
  WWRI_ACT_RECOVERED = 1 << 8, /* tell: live again after suspect */
  WWRI_ACT_SUSPECT = 1 << 9    /* tell */
};

struct wwri_pair_opts {
  bool auth;
  bool select;
  bool scripts;
  uint32_t connect_ms; /* also TLS, and finding the master */
  uint32_t reply_ms;
  uint32_t beat_ms;
  uint32_t suspect_ms;
  uint32_t lost_ms;
  uint32_t backoff_min_ms;
  uint32_t backoff_max_ms;
  uint32_t backoff_waiting_ms; /* the most while someone waits */
};

enum { WWRI_PAIR_BEATS = 8 };

struct wwri_pair {
  struct wwri_pair_opts opts;
  enum wwri_pair_state state;
  uint64_t since_ms; /* in this state; as all times here on wwri_pair_time() */
  struct {
    enum wwri_pair_step step;
    uint64_t deadline_ms;
    char replid[WWRI_REPLID_MAX]; /* empty before INFO */
  } side[WWRI_PAIR_SIDES];
  uint64_t stood_ms; /* how long the loop stood still, in sum */
  uint64_t until_ms; /* RESOLVE, PROVE, WAIT: the end of it */
  uint64_t beat_n;   /* the newest that was sent; 0: none yet */
  uint64_t beat_old; /* the newest that belongs to former connections */
  uint64_t beat_sent_ms[WWRI_PAIR_BEATS]; /* by number modulo */
  uint64_t next_beat_ms;
  uint64_t back_ms;  /* when the newest beat that came back was sent */
  uint64_t live_ms;  /* since when live or suspect */
  uint64_t rtt_ms;   /* of the last beat */
  unsigned attempts; /* failed since it was last live for a while */
  bool waiting;
  uint64_t random;
  enum wwri_redis_cause cause; /* of the last failure */
  uint64_t failures[WWRI_CAUSES];
};

/** The defaults: 2 s, 3 s, beats 1 s, 1.5 s, 3 s, back-off 50 ms to 5 s or
 * 500 ms; no AUTH, SELECT, scripts. */
void wwri_pair_opts_default(struct wwri_pair_opts *opts);

/** `seed`: any number; it spreads the back-off of many nodes. Can't fail. */
void wwri_pair_init(struct wwri_pair *pair, const struct wwri_pair_opts *opts,
                    uint64_t seed);

/** Take an event; the actions to carry out, 0 for none. An event that does not
 * belong to the state changes nothing. */
unsigned wwri_pair_input(struct wwri_pair *pair,
                         const struct wwri_pair_input *input, uint64_t now_ms);

/** Whether someone waits for the pair to be live: bounds the back-off. */
void wwri_pair_set_waiting(struct wwri_pair *pair, bool waiting,
                           uint64_t now_ms);

/** When TICK is due, on the caller's clock; UINT64_MAX: never. Changes with
 * every input. */
uint64_t wwri_pair_due(const struct wwri_pair *pair);

/** The pair's clock: the caller's without the time that the loop stood still.
 */
uint64_t wwri_pair_time(const struct wwri_pair *pair, uint64_t now_ms);

#endif
