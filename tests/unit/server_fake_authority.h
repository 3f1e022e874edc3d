/* server_fake_authority.h - a session store with authority that counts
 * strictly: what is ended more often than it was counted, and what is left over
 * when the store is freed, is remembered against the server.
 *
 * Its state is guarded by fix.lock, so WAIT() and LOCKED() work on it. */
#ifndef SERVER_FAKE_AUTHORITY_H
#define SERVER_FAKE_AUTHORITY_H

#include "rng.h"
#include "server_fixture.h"

enum fake_call { FAKE_CREATED, FAKE_ATTACH, FAKE_LEAVE, FAKE_KILL, FAKE_CALLS };

struct fake_slot {
  struct wwr_session *session; /* NULL: never stored */
  bool alive;
  bool uncounted; /* its `created` failed for good */
  long count;     /* this server's connections */
  long elsewhere; /* of other nodes */
};

struct fake_authority {
  struct wwr_sessionstore base;
  struct wwri_map slots; /* key -> struct fake_slot */
  struct wwri_list open; /* operations that are held back, oldest first */
  int open_count;
  bool hold;               /* operations wait for fake_release() */
  wwr_err err[FAKE_CALLS]; /* how operations end; WWR_OK: as they should */
  struct rng *errors;      /* or by chance */
  int calls[FAKE_CALLS];
  int detaches;
  const struct wwr_sessionstore_events *events;
  void *owner;
  bool telling; /* an event is under way */

  int negative; /* detached or left what was not counted */
  int leftover; /* still counted at the end */
  int early;    /* operations that were open then */
  bool freed;
};

extern struct fake_authority fake;

/** Let the next server use the fake. Before fixture_start(). */
void fake_use(void);

/** End peers and server, and check that every count was ended once. */
void fake_finish(void);

/** A session that was created on another node, long ago. */
void fake_put(const char *key, const char *info);
long fake_count(const char *key);
bool fake_alive(const char *key);

enum { FAKE_KEY = 128 };

/** The key in a notify-session-created. */
void fake_key_of(const struct wwri_msg *notice, char key[FAKE_KEY]);

/** The peer creates a session by the request "create", which succeeds. */
void fake_create(struct peer *peer, char key[FAKE_KEY]);

/** Use the fake and start, with "key" as a session that nobody has. */
void fake_start(void);
/** A peer that has restored "key". */
struct peer *fake_restored(void);
/** A peer that restores it; the operation is held back. */
struct peer *fake_restoring(void);
/** A peer whose `created` is held back. */
struct peer *fake_creating(struct wwr_conn **conn, char key[FAKE_KEY]);

/** Complete the oldest operation of those that are held back, if there is one;
 * one of a random key when `rng` is not NULL. On the caller's thread. */
bool fake_release_one(struct rng *rng);
/** Stop holding, and complete all. */
void fake_release(void);

/** Tell an event on the caller's thread, if the server watches. `closed`
 * destroys the session first. */
void fake_closed(const char *key);
void fake_evicted(const char *key);
void fake_received(const char *key, const void *bytes, size_t len);

#endif
