/* keeper.h - one node's side of the sessions in Redis: which of them have
 * connections here, what Redis knows of that, and what has to be told it.
 * docs/rules.md, R11 to R16 and rows 45 to 62. Pure: no I/O, no clock; the
 * owner feeds events and carries out what the table asks for.
 *
 * Per session at most one call is under way, and what a call writes is absolute
 * (this node has n connections now), so any call may be repeated.
 *
 * Every attach that succeeded is one connection until one detach or leave, also
 * after the session was closed or evicted: of such a session they only count
 * down what was told.
 *
 * Time: milliseconds of a clock that goes on while the machine sleeps
 * (CLOCK_BOOTTIME). Threads: a keeper belongs to one. Every function that gets
 * the time only takes note; wwri_keeper_run(), to be called after it, completes
 * operations and sends calls. The table's functions must not call back into the
 * keeper, `done` may. */
#ifndef WWRI_KEEPER_H
#define WWRI_KEEPER_H

#include "list.h"
#include "wwr_session.h"

enum {
  WWRI_SESSION_ID_LEN = 64, /* the key's SHA-256 in hex: its name in Redis */
  WWRI_SESSION_KEY_MAX = 128,
  WWRI_KEEPER_CALLS = 256, /* under way at a time */
  WWRI_KEEPER_BATCH = 128  /* sessions of one TOUCH */
};

struct wwri_keeper; /* opaque */

/** True for 1..128 characters of the URL-safe base64 alphabet; no session has
 * another key. */
bool wwri_session_key_ok(struct wwr_view key);

/** The key's name in Redis, NUL-terminated. False: it is none. */
bool wwri_session_id(struct wwr_view key, char id[WWRI_SESSION_ID_LEN + 1]);

/* --- Calls: what the scripts do ----------------------------------------- */

enum wwri_keeper_kind {
  WWRI_KEEP_CREATE, /* put the session there, unless there is one */
  WWRI_KEEP_ATTACH, /* set our count, as far as the maximum lets; give it */
  WWRI_KEEP_LEAVE,  /* set our count; when all are 0, destroy the session */
  WWRI_KEEP_KILL,   /* destroy the session */
  WWRI_KEEP_TOUCH,  /* up to 128 sessions: set our counts, renew the expiry */
  WWRI_KEEP_PLACES, /* who has how many */
  WWRI_KEEP_SEND    /* bytes to every node that has any */
};

/** One session of a TOUCH. */
struct wwri_keeper_touch {
  const char *id;
  uint64_t v;     /* 0: whichever it is */
  uint32_t count; /* ours */
};

/** One command to send, behind those sent before. Borrowed until `call`
 * returns. */
struct wwri_keeper_call {
  unsigned slot; /* for the answer */
  enum wwri_keeper_kind kind;
  const char *id;      /* all but TOUCH */
  struct wwr_view key; /* ... to make the session object from the answer */
  uint64_t v;     /* the incarnation meant; 0: whichever it is. CREATE: to be */
  uint32_t count; /* CREATE, ATTACH, LEAVE: ours from now on */
  uint32_t had;   /* ATTACH: so many of them we have: never set it lower */
  bool whole;     /* ATTACH: all of `count` or none */
  bool max_known; /* ATTACH: else by the one that was stored last */
  uint32_t max;   /* ATTACH: of all nodes; 0: none */
  int64_t look_ns; /* ATTACH: 0, or a look-up: store this Unix time. The same
                      again is a repetition */
  bool any;   /* KILL: somebody has it, namely we had it: no need to look */
  bool force; /* KILL: even when nobody has it */
  struct wwr_session *session; /* CREATE */
  struct wwr_view bytes;       /* SEND */
  const struct wwri_keeper_touch *touches;
  size_t touch_count;
};

enum wwri_keeper_word {
  WWRI_WORD_OK,
  WWRI_WORD_MISSING,     /* no such session, or not this incarnation. SEND: or
                            nobody has it */
  WWRI_WORD_CLOSED,      /* CREATE: it was, a short while ago */
  WWRI_WORD_TAKEN,       /* CREATE: another one has the key */
  WWRI_WORD_FULL,        /* ATTACH `whole`: over the maximum; our count is 0 */
  WWRI_WORD_LAST,        /* LEAVE: destroyed */
  WWRI_WORD_NOBODY,      /* KILL: nobody has it, untouched */
  WWRI_WORD_UNAVAILABLE, /* certainly not done: R16, fenced, stale */
  WWRI_WORD_UNKNOWN,     /* ... or perhaps done: the link went */
  WWRI_WORD_ERROR        /* not done and never will be: `err` */
};

/** Where a session is. */
struct wwri_keeper_place {
  const char *node; /* name */
  uint32_t count;
};

/** All borrowed. */
struct wwri_keeper_answer {
  enum wwri_keeper_word word;
  wwr_err err;    /* ERROR: what the operation ends with */
  uint64_t v;     /* ATTACH, KILL, LEAVE that did something */
  uint32_t count; /* ATTACH: ours now; below what was asked for: the maximum */
  struct wwr_session *session; /* ATTACH OK */
  const bool *gone;            /* TOUCH OK: each MISSING? */
  const struct wwri_keeper_place *places;
  size_t place_count;
};

/* --- Operations: what the server asks for ------------------------------- */

enum wwri_keeper_ask {
  WWRI_ASK_CREATE,  /* a connection from now on, unless it ends with an error
                       other than UNAVAILABLE */
  WWRI_ASK_ATTACH,  /* ... once it succeeded */
  WWRI_ASK_LOOKUP,  /* attach without a connection */
  WWRI_ASK_LEAVE,   /* one connection less; the last one destroys */
  WWRI_ASK_KILL,    /* destroy, if any node has a connection, ours included,
                       or if we had one until a moment ago */
  WWRI_ASK_DESTROY, /* ... also when none has */
  WWRI_ASK_PLACES,
  WWRI_ASK_SEND
};

/** An operation; the caller's memory until `done`, which comes once, from
 * wwri_keeper_run(), _answered() or _free(). Set what is above the line, zero
 * the rest. */
struct wwri_keeper_op {
  /** WWR_OK; NOT_FOUND and MAX_SESSION_CONNS when certain; UNAVAILABLE (after
   * hold_ms; a LEAVE, KILL or CREATE is made up for when the link returns),
   * LIMIT, EXISTS (CREATE), CLOSED, NOMEM, INVALID (CREATE of such a key), or
   * what the answer's ERROR said. `answer`: ATTACH, LOOKUP: its session;
   * PLACES: its places; else NULL. May call the keeper. */
  void (*done)(struct wwri_keeper_op *op, wwr_err err,
               const struct wwri_keeper_answer *answer);
  enum wwri_keeper_ask ask;
  struct wwr_view key;         /* stays valid; CREATE: the session's */
  struct wwr_session *session; /* CREATE; stays valid */
  uint32_t max;                /* ATTACH; 0: none */
  int64_t look_ns;             /* ATTACH, LOOKUP: Unix time, not 0 */
  struct wwr_view bytes;       /* SEND; stays valid */
  /* --- the keeper's --- */
  struct wwri_list node;    /* of its session */
  struct wwri_list waiting; /* of all that are open, oldest first */
  struct wwri_keep *keep;
  uint64_t deadline_ms;
  struct wwr_session *found;
  wwr_err err;
  bool in_call;
  bool last; /* LEAVE: no connection was left here; KILL: there was one */
};

/* --- The keeper ---------------------------------------------------------- */

enum wwri_keeper_event {
  WWRI_KEEPER_CLOSED, /* destroyed: take it off our connections */
  WWRI_KEEPER_EVICTED /* its places are taken: close our connections */
};

struct wwri_keeper_out {
  /** Send; wwri_keeper_answered() must follow once, unless the link is lost
   * before it. */
  void (*call)(struct wwri_keeper *keeper, const struct wwri_keeper_call *call);
  /** Of a session that had connections here, which are not counted any more. */
  void (*event)(struct wwri_keeper *keeper, enum wwri_keeper_event event,
                struct wwr_view key);
  /** 64 random bits. */
  uint64_t (*random)(struct wwri_keeper *keeper);
};

/** What waits at all keepers that share a ceiling; zeroed. All of one thread.
 */
struct wwri_keeper_room {
  size_t attaches; /* beyond what each has for itself */
  size_t others;
};

struct wwri_keeper_config {
  const struct wwri_keeper_out *out; /* static */
  void *user;
  uint32_t hold_ms;  /* how long an operation waits. Default 10 s */
  uint32_t lease_ms; /* default 30 s */
  uint32_t ttl_ms;   /* expiry of a session; touched every quarter of it */
  uint32_t max_held; /* ATTACH and LOOKUP open at a time; default 20,000 */
  uint32_t max_open; /* others; default 65,536 */
  uint32_t max_kept; /* sessions remembered that have no connection here and
                        that nobody waits for; default 131,072 */
  /* The last three are of `sharers` keepers together (default 1), which have
   * the same `room`. What is remembered is divided among them, and half of what
   * may wait is, so that one whose Redis is away leaves the others some. */
  struct wwri_keeper_room *room; /* NULL: its own */
  uint32_t sharers;
  uint32_t max_calls; /* under way at a time; default and at most
                         WWRI_KEEPER_CALLS, at least 16 */
  uint32_t keep_ms;   /* how long own changes are repeated after another
                         generation began: 60 s */
  uint32_t doubt_ms;  /* ... and how long "missing" is asked again then, and no
                         LEAVE sent, for other nodes may still be repeating
                         theirs: 2 s */
  uint32_t miss_ms;   /* "missing" is believed for: 1 s. 0: never */
  uint32_t retry_ms;  /* pause after a refusal: 100 ms */
  bool recreate;      /* data lost: put our sessions back; else close them */
};
void wwri_keeper_config_default(struct wwri_keeper_config *config);

/** `config` is copied. Not live. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_keeper_new(struct wwri_keeper **out,
                                       const struct wwri_keeper_config *config);

/** Free. What is open ends as `done` with WWR_E_CLOSED. NULL does nothing. */
void wwri_keeper_free(struct wwri_keeper *keeper);

void *wwri_keeper_user(const struct wwri_keeper *keeper);

/** Start an operation. */
void wwri_keeper_ask(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     uint64_t now_ms);

/** A connection has gone; nothing to wait for. Needs no memory. */
void wwri_keeper_detach(struct wwri_keeper *keeper, struct wwr_view key,
                        uint64_t now_ms);

/** The link is live, after the events below that go with it. */
void wwri_keeper_live(struct wwri_keeper *keeper, uint64_t now_ms);

/** It is not any more: calls that are not answered yet never will be. */
void wwri_keeper_lost(struct wwri_keeper *keeper, uint64_t now_ms);

/** Another generation: the last moments may be forgotten. `born_anew`: all. */
void wwri_keeper_generation(struct wwri_keeper *keeper, bool born_anew,
                            uint64_t now_ms);

/** This node was taken for dead and has a new boot id, under which calls are
 * sent from now on. */
void wwri_keeper_fenced(struct wwri_keeper *keeper, uint64_t now_ms);

/** A notice of the control channel: this incarnation was destroyed. */
void wwri_keeper_closed(struct wwri_keeper *keeper,
                        const char id[WWRI_SESSION_ID_LEN], uint64_t v,
                        uint64_t now_ms);

/** Notices may have been missed: verify every session. */
void wwri_keeper_verify(struct wwri_keeper *keeper, uint64_t now_ms);

/** A call was answered. */
void wwri_keeper_answered(struct wwri_keeper *keeper, unsigned slot,
                          const struct wwri_keeper_answer *answer,
                          uint64_t now_ms);

/** Complete and send what is due. */
void wwri_keeper_run(struct wwri_keeper *keeper, uint64_t now_ms);

/** When to run it next at the latest; UINT64_MAX: not before something
 * happens. */
uint64_t wwri_keeper_deadline(const struct wwri_keeper *keeper);

/** No more operations: those that are open and new ones end with WWR_E_CLOSED,
 * and Redis is told that we have no connections any more. */
void wwri_keeper_stop(struct wwri_keeper *keeper, uint64_t now_ms);

/** Redis was told everything. */
bool wwri_keeper_is_idle(const struct wwri_keeper *keeper);

/** Connections of a session that are counted here; with its key when there are
 * some and `key` is not NULL (borrowed until anything happens). */
uint32_t wwri_keeper_count(const struct wwri_keeper *keeper,
                           const char id[WWRI_SESSION_ID_LEN],
                           struct wwr_view *key);

struct wwri_keeper_stats {
  size_t held;    /* sessions with connections */
  size_t kept;    /* sessions remembered without */
  size_t open;    /* operations */
  size_t in_call; /* calls under way */
  uint64_t calls;
  uint64_t merged;    /* attaches that shared a call */
  uint64_t refused;   /* calls that were unavailable */
  uint64_t errors;    /* calls that failed for good */
  uint64_t timed_out; /* operations that ended UNAVAILABLE */
  uint64_t limited;   /* ... LIMIT */
  uint64_t closed;    /* events */
  uint64_t evicted;   /* events */
  uint64_t repeated;  /* changes told again to another generation */
};
void wwri_keeper_stats(const struct wwri_keeper *keeper,
                       struct wwri_keeper_stats *out);

#endif
