/* sessions_impl.h - between sessions.c (applications, the keeper's end) and
 * sessions_oracle.c (what must never happen). */
#ifndef WWR_SIM_SESSIONS_IMPL_H
#define WWR_SIM_SESSIONS_IMPL_H

#include "sessions.h"
#include "world.h"

enum { CLIENTS = 400, HOLD_MS = 10000 };

/* A session: of one key, which nobody uses again. */
struct key {
  char name[8];
  char id[WWRI_SESSION_ID_LEN + 1];
  struct wwr_session *session; /* NULL: not yet */
  uint32_t max;
  uint64_t v;
  unsigned creator; /* process */
  uint64_t made_ms;
  bool v_stored; /* some server took it */
  bool created;  /* and its application was told */
  bool closing;  /* somebody wanted that */
  bool expired;
  bool torn;        /* lost by a server from which its slot was being moved */
  uint64_t busy_ms; /* when an application last did something with it */
  bool promised[PROCS]; /* its keeper was told that it is destroyed */
  struct {
    struct wwri_boot boot;
    uint32_t n;
  } granted[PROCS]; /* by any server: more may not be counted */

  /* Of the cluster's master: */
  bool present;
  uint64_t present_ms;   /* since when */
  bool dead;             /* destroyed, and it remembers that */
  uint32_t known[PROCS]; /* connections that it was told of and must respect */
  bool forgot[PROCS];    /* ... and some that it was not, or forgot */
};

/* A connection, or a question that needs none. */
struct client {
  bool used;
  struct node *node;
  unsigned proc;
  unsigned key;
  bool has;   /* the session is this connection's */
  bool gone;  /* the connection ended while an operation is open */
  bool taken; /* the session was closed meanwhile */
  bool op_open;
  uint64_t asked_ms;
  unsigned detaches; /* that the keeper was not told yet */
  uint64_t detach_ms;
  struct wwri_keeper_op op;
};

struct sessions {
  struct world *world;
  struct key keys[KEYS];
  unsigned key_count;
  struct client clients[CLIENTS];
  bool lasting;   /* connections stay for long */
  uint64_t count; /* of operations */
  uint64_t pen_seq;

  struct {
    struct wwri_boot boot;
    uint64_t beat_ms;
  } leases[PROCS];
  uint64_t newest_ms; /* beat of anyone */
  uint64_t grace_ms;
  uint64_t generation;
  uint64_t master_ms; /* since when it is the master, or has this data */
};

/** Connections that a node has. */
uint32_t sessions_real(const struct sessions *sessions, unsigned proc,
                       unsigned key);

/** An attach found nothing. */
void sessions_missed(struct sessions *sessions, const struct client *client);

/** An application did something with it. */
static inline void sessions_busy(struct sessions *sessions, unsigned key) {
  sessions->keys[key].busy_ms = sessions->world->now_ms;
}

/** An operation ended. */
void sessions_ended(struct sessions *sessions, const struct client *client,
                    const char *what);

#endif
