/* keeper_impl.h - the inside of the keeper, for its own files.
 *
 * A session ("keep") is in one of these places:
 *   in a call          in no list, `busy`
 *   has something to do  todo[..], by what is next: wwri_keep_next()
 *   asks again soon    later
 *   has connections    held, the one touched longest ago first
 *   has none           in no list; lives while it is recent or missed
 * wwri_keep_settle() puts it there after every change. */
#ifndef WWRI_KEEPER_IMPL_H
#define WWRI_KEEPER_IMPL_H

#include "keeper.h"
#include "map.h"

enum {
  NOTICES_MAX = 4,
  BATCHES_MAX = 8, /* TOUCHes under way; the other calls are no TOUCH */
  REPAIR_CALLS_MAX = 64,
  JUST_MS = 1000, /* a server detaches, then kills: what it had it has had */
  MISSES_MAX = 4096
};

/* What must be done for a session besides its operations, in this order. */
enum {
  OWED_REMOVE = 1, /* we destroyed `removed`: again */
  OWED_CREATE = 2, /* put it there */
  OWED_REATTACH = 4,
  OWED_LEAVE = 8, /* ... whose callers were told "unavailable" */
  OWED_KILL = 16
};

enum todo { TODO_OPS, TODO_REPAIR, TODO_TOUCH, TODO_COUNT };

struct wwri_keep {
  struct wwri_list all;
  struct wwri_list place;
  struct wwri_list recent; /* keeper->recent, by changed_ms */
  struct wwri_list missed; /* keeper->missed, by missed_ms */
  struct wwri_list ops;
  struct wwri_keeper *keeper;

  struct wwr_session *session; /* held, or created lately */
  uint64_t v;                  /* 0: unknown */
  uint32_t count;              /* connections here */
  uint32_t ghosts;             /* ... whose session is gone for them */
  uint32_t acked;              /* ... as Redis knows */
  bool unsure;                 /* ... or perhaps not */
  bool busy;
  bool ask_later; /* when the call has ended */
  unsigned owed;
  bool kill_any, kill_force; /* of OWED_KILL */
  bool created;              /* by us, lately */
  bool max_known;
  uint32_t max;
  uint64_t removed;  /* incarnation that we destroyed lately; 0: none */
  uint64_t verified; /* keeper->epoch when it was last seen there */
  uint64_t touched_ms;
  uint64_t changed_ms;
  uint64_t missed_ms;
  uint64_t later_ms;
  uint64_t had_ms; /* when the last connection here was detached; 0: never */
  uint64_t notices[NOTICES_MAX]; /* closed while busy */

  char id[WWRI_SESSION_ID_LEN + 1];
  size_t key_len;
  uint8_t key[]; /* NUL behind it */
};

/* A call under way. */
struct slot {
  bool used;
  bool repair; /* nobody waits for it */
  bool old;    /* sent under another boot id, or to another generation */
  enum wwri_keeper_kind kind;
  unsigned owed;          /* for this bit; 0: for operations */
  struct wwri_keep *keep; /* NULL: TOUCH */
  unsigned batch;         /* TOUCH */
  uint64_t v;
  uint32_t count;
  uint32_t had;
  uint64_t epoch;
  uint64_t sent_ms;
};

struct batch {
  bool used;
  size_t count;
  struct wwri_keep *keeps[WWRI_KEEPER_BATCH];
  struct wwri_keeper_touch touches[WWRI_KEEPER_BATCH];
};

struct wwri_keeper {
  struct wwri_keeper_config config;
  struct wwri_keeper_room own_room;
  struct wwri_map by_id;
  struct wwri_list all;
  struct wwri_list todo[TODO_COUNT];
  struct wwri_list later;
  struct wwri_list held;
  struct wwri_list recent;
  struct wwri_list missed;
  struct wwri_list waiting; /* operations, oldest first */
  struct wwri_list ended;   /* operations, to be told */
  size_t missed_count;
  size_t open_attaches;
  size_t open_others;

  bool live;
  bool stopped;
  uint64_t epoch;       /* grows when everything must be verified */
  uint64_t generation;  /* the epoch in which the last one began */
  uint64_t lost_ms;     /* when it was last live; 0: never */
  uint64_t doubt_until; /* "missing" may not be true before */
  bool doubt;           /* ... counted from when it is live */
  uint64_t resume_ms;   /* pause after a refusal */
  bool gap;             /* we were away for long before this generation */

  struct slot slots[WWRI_KEEPER_CALLS];
  unsigned free_slots[WWRI_KEEPER_CALLS];
  unsigned free_count;
  unsigned ones;    /* calls under way but TOUCH */
  unsigned repairs; /* of them: that nobody waits for */
  struct batch batches[BATCHES_MAX];
  struct wwri_keeper_stats stats;
};

/* The next call of a session. */
struct next {
  bool any;
  enum wwri_keeper_kind kind;
  unsigned owed;             /* the bit it is for, or */
  struct wwri_keeper_op *op; /* the operation, or neither */
};

static inline struct wwri_keeper_op *wwri_keep_op(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keeper_op, node);
}

static inline struct wwri_keeper_op *wwri_keep_first(struct wwri_keep *keep) {
  return wwri_list_empty(&keep->ops) ? NULL : wwri_keep_op(keep->ops.next);
}

static inline bool wwri_keep_dirty(const struct wwri_keep *keep) {
  return keep->unsure || keep->acked != keep->count;
}

static inline struct wwr_view wwri_keep_key(const struct wwri_keep *keep) {
  struct wwr_view key = {keep->key, keep->key_len};
  return key;
}

/* keeper_keep.c */
struct wwri_keep *wwri_keep_find(const struct wwri_keeper *keeper,
                                 const char *id);
/* Find or make. WWR_E_LIMIT, WWR_E_NOMEM. Settle it afterwards. */
wwr_err wwri_keep_make(struct wwri_keeper *keeper, const char *id,
                       struct wwr_view key, struct wwri_keep **out);
void wwri_keep_free(struct wwri_keep *keep);
struct next wwri_keep_next(struct wwri_keep *keep);
/* May free it. */
void wwri_keep_settle(struct wwri_keep *keep);
/* As settle, but what is next waits for a moment. */
void wwri_keep_delay(struct wwri_keep *keep, uint64_t now_ms);
void wwri_keep_set_count(struct wwri_keep *keep, uint32_t count);
void wwri_keep_forget_session(struct wwri_keep *keep);
/* It was changed by us in Redis. */
void wwri_keep_changed(struct wwri_keep *keep, uint64_t now_ms);
void wwri_keep_missed(struct wwri_keep *keep, uint64_t now_ms);
void wwri_keep_forget_miss(struct wwri_keep *keep);
void wwri_keeper_forget_misses(struct wwri_keeper *keeper);
/* It is not there (any more) in Redis: tell, or put it there again. */
void wwri_keep_gone(struct wwri_keep *keep);
void wwri_keep_tell(struct wwri_keep *keep, enum wwri_keeper_event event);
void wwri_keep_expire(struct wwri_keeper *keeper, uint64_t now_ms);

/* keeper_ops.c */
void wwri_keeper_end(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     wwr_err err);
/* What its caller was told "no" to is still to be done. */
void wwri_keeper_owe(struct wwri_keeper_op *op);
void wwri_keeper_tell_ended(struct wwri_keeper *keeper);

/* keeper_calls.c */
void wwri_keeper_send(struct wwri_keeper *keeper, uint64_t now_ms);
uint64_t wwri_keeper_due_ms(const struct wwri_keep *keep);

/* keeper_answers.c */
void wwri_keeper_judge(struct wwri_keeper *keeper, unsigned slot,
                       const struct wwri_keeper_answer *answer,
                       uint64_t now_ms);

#endif
