/* keeper_world.h - three keepers, a model of Redis that runs their calls, and
 * an application that asks for anything at random, on virtual time. Knows how
 * many connections there are, and so what has to be true.
 *
 * Keys with an even number are never left nor killed, only disconnected.
 *
 * The model: sessions with an incarnation, absolute counts by boot, tombstones;
 * a log of notices; a snapshot every 100 ms, one of which a failover goes back
 * to. Links lose what was not executed, or its answer, and execute late. */
#ifndef KEEPER_WORLD_H
#define KEEPER_WORLD_H

#include "keeper.h"
#include "rng.h"
#include "test.h"

enum {
  NODES = 3,
  KEYS = 24, /* each is created once */
  BOOTS = 64,
  NOTICES = 512,
  SNAPSHOTS = 16,
  PIPE = 4 * WWRI_KEEPER_CALLS
};

/* What may go wrong in a run. */
struct faults {
  bool cuts;
  bool failovers;
  bool data_loss;
  bool fences;
  bool refusals;
};

struct model_session {
  uint64_t v; /* 0: not there */
  uint64_t tombstone;
  uint64_t tombstone_until;
  uint32_t max;
  uint32_t counts[BOOTS];
};

struct model {
  struct model_session sessions[KEYS];
  struct {
    unsigned key;
    uint64_t v;
  } notices[NOTICES];
  size_t notice_count;
  uint64_t generation;
  uint64_t born;
};

struct message {
  struct wwri_keeper_call call; /* pointers of it not valid */
  unsigned key;
  unsigned boot;
  unsigned connection;
  unsigned keys[WWRI_KEEPER_BATCH]; /* TOUCH */
  uint64_t vs[WWRI_KEEPER_BATCH];
  uint32_t counts[WWRI_KEEPER_BATCH];
};

struct reply {
  unsigned slot;
  struct wwri_keeper_answer answer;
  unsigned key;
  bool gone[WWRI_KEEPER_BATCH];
};

struct node {
  struct world *world;
  struct wwri_keeper *keeper;
  bool live;
  uint64_t up_ms; /* when it connects again */
  unsigned boot;
  unsigned connection; /* of the link, grows */
  uint64_t beat_ms;
  uint64_t generation, born; /* that it knows; 0: none yet */
  size_t notices_read;
  /* Rings. Not executed; the first `late` are of older links. */
  struct message *pipe;
  size_t pipe_first, pipe_count, late;
  struct reply *replies; /* not delivered */
  size_t reply_first, reply_count;
  uint32_t connections[KEYS]; /* of the application */
  uint32_t leaving[KEYS];     /* told that it is gone; to be detached */
  unsigned open;              /* operations */
};

struct world {
  struct rng rng;
  struct faults faults;
  uint64_t now;
  char texts[KEYS][8]; /* the keys, and their names in Redis */
  char ids[KEYS][WWRI_SESSION_ID_LEN + 1];
  struct wwr_session *sessions[KEYS];
  struct model model;
  struct model snapshots[SNAPSHOTS]; /* a ring */
  size_t snapshot_count;
  uint64_t snapshot_ms;
  unsigned boots;
  unsigned connection_of[BOOTS]; /* newest that Redis saw, of each boot */
  bool dead[BOOTS];
  struct node nodes[NODES];
  bool created[KEYS];
  bool stored[KEYS];   /* ... and that was answered */
  bool killed[KEYS];   /* somebody asked for it */
  uint64_t done[KEYS]; /* incarnation that has to be destroyed in the end */
  bool forgot, took_for_dead, lost_data; /* has happened */
  unsigned wrong;
  unsigned events, attached, refused; /* that anything happened */
  char why[200];
};

/** Run one seed to the end and judge it. False: something is wrong; `why`. */
bool world_run(struct world *world, uint64_t seed, struct faults faults);

/* keeper_model.c */
void model_execute(struct world *world, const struct message *message,
                   struct reply *reply);

#endif
