/* store_impl.h - the inside of the Redis session store, for its own files.
 *
 * Three parts: what the server calls, on any thread (store.c); the keeper, fed
 * on the member thread (store_member.c); the keeper's calls as scripts
 * (store_calls.c). From the first to the second there is one door: mail. With
 * several memberships there is one of these on each (shards.c). */
#ifndef WWRI_STORE_IMPL_H
#define WWRI_STORE_IMPL_H

#include <pthread.h>

#include "keeper.h"
#include "loop.h"
#include "member.h"
#include "partition.h"
#include "waiter.h"
#include "wwr_redisstore.h"

enum {
  STORE_STOP_MS = 2000,      /* to tell Redis that we have gone */
  STORE_SEND_MAX = 15 << 20, /* a link takes replies of up to 16 MiB */
  STORE_PEN = 32,            /* hex digits */
  STORE_V = 16,              /* of an incarnation */
  STORE_KEY_NAME = 160,      /* of a session: prefix, tag, hash */
  STORE_CALLS = 1024         /* under way, of all stores of a node */
};

/* A call of the keeper on its way; by slot. */
struct store_call {
  struct wwri_redis_call redis;
  struct store *store;
  enum wwri_keeper_kind kind;
  size_t touches;
  size_t key_len; /* ATTACH: of the session, to make it from the answer */
  uint8_t key[WWRI_SESSION_KEY_MAX];
};

/* What the server asked, by mail. */
struct request {
  struct wwri_mail mail;
  struct wwri_keeper_op op;
  struct store *store;
  struct wwr_store_op *done; /* or */
  struct wwr_store_places_op *places;
  struct request *next; /* spare */
  size_t key_len;
  uint8_t key[WWRI_SESSION_KEY_MAX];
  uint8_t bytes[]; /* SEND */
};

struct store {
  struct wwr_sessionstore base;
  struct wwri_member *member;
  int scripts[WWRI_KEEP_SEND + 1]; /* by kind */

  /* Any thread, under the lock: */
  pthread_mutex_t lock;
  pthread_cond_t calm; /* no event is being told */
  const struct wwr_sessionstore_events *events;
  void *owner;
  bool telling;
  /* One for every connection that is counted, so that its detach needs no
   * memory. */
  struct request *spares;

  /* The member thread's: */
  struct wwri_member_user user;
  struct wwri_keeper *keeper;
  struct wwri_timer timer; /* the keeper's */
  struct wwri_timer stop_timer;
  struct wwri_flusher runner;
  bool waiting; /* somebody does, and the membership knows */
  bool stopping;
  struct wwri_waiter *freer;
  char pen[STORE_PEN + 1];
  uint64_t pen_seq;
  uint64_t random_state;
  uint64_t log_ms; /* of the last line about garbage */
  struct store_call calls[WWRI_KEEPER_CALLS];
  unsigned failed[WWRI_KEEPER_CALLS]; /* slots that could not be sent */
  size_t failed_count;
  char touch_keys[WWRI_KEEPER_BATCH][STORE_KEY_NAME];
  bool gone[WWRI_KEEPER_BATCH];
  struct wwri_keeper_place *place_list; /* of the last answer */
  size_t place_cap;
};

/* --- store_member.c --- */
wwr_err wwri_store_join(struct store *store, struct wwri_keeper_room *room,
                        unsigned sharers);
/* Run the keeper at the end of the loop's turn. */
void wwri_store_run_soon(struct store *store);
/* ... now. */
void wwri_store_run(struct store *store);
/* Begin the end: counts are taken away; then `freer` is woken. */
void wwri_store_begin_free(struct store *store, struct wwri_waiter *freer);

/* --- store_calls.c --- */
void wwri_store_register(struct store *store);
void wwri_store_call(struct wwri_keeper *keeper,
                     const struct wwri_keeper_call *call);
void wwri_store_cancel_calls(struct store *store);
void wwri_store_log(struct store *store, const char *message, const char *name,
                    struct wwr_view value);

/* --- store.c --- */
/* One of `sharers` on one thread, with the same `room` (keeper.h). */
wwr_err wwri_store_new(struct wwr_sessionstore **out,
                       struct wwri_member *member,
                       struct wwri_keeper_room *room, unsigned sharers);
/* Free them all, in the time of one; at most WWRI_SHARDS_MAX. */
void wwri_store_free_all(struct wwr_sessionstore *const *stores, size_t count);
void wwri_store_tell(struct store *store,
                     void (*tell)(const struct wwr_sessionstore_events *events,
                                  void *owner, void *arg),
                     void *arg);

#endif
