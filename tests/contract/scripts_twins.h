/* scripts_twins.h - the simulation's model of Redis and the real server, asked
 * the same; what differs is told once, with the seed and the step. */
#ifndef SCRIPTS_TWINS_H
#define SCRIPTS_TWINS_H

#include "model.h"
#include "scripts_time.h"

enum {
  TWINS_NODES = 4,
  TWINS_LEASE_MS = 30000,
  TWINS_TTL_MS = 90001, /* odd: time passes by even steps, never just so far */
  TWINS_LIMIT = 260,
  TWINS_CLOCK_MS = 1000000, /* the model's clock is ahead of its world */
  TWINS_PAIRS = 4096,
  TWINS_KNOWN = 8192,
  TWINS_HINTS = 8
};

/* One number that both made, each in its own way. */
struct twins_pair {
  uint64_t model, real;
};

struct twins_pairs {
  struct twins_pair items[TWINS_PAIRS];
  size_t count;
};

/* An entry that was appended. */
struct twins_known {
  unsigned channel;
  struct wwri_logid model, real;
  struct wwri_boot boot;
  uint64_t seq;
};

struct twins_node {
  struct wwri_boot boot;
  uint64_t n, connection, seq;
  uint64_t wakes_ms; /* it does not beat before that */
};

/* Answers that must be met, or a run proves less than it says. */
enum {
  TWINS_FENCED,
  TWINS_CLONE,
  TWINS_NOGEN,
  TWINS_DUP,
  TWINS_SUPERSEDED,
  TWINS_WRAPPED,
  TWINS_KINDS
};

struct twins {
  uint64_t seed;
  unsigned step;
  const char *what;
  bool failed;
  struct rng rng;
  uint64_t now_ms; /* of the model's world */
  struct sr_time time;
  struct model model;
  struct server *server; /* the model's */
  struct sr *sr;         /* the real one */
  struct sr *spare;      /* its replica, or cut off from it */
  bool cut;
  size_t cut_at;                 /* writes of the model that the replica has */
  void *listeners[CHANNELS + 1]; /* the last: beats */
  struct twins_pairs epochs[CHANNELS], generations, births;
  struct twins_known known[TWINS_KNOWN];
  size_t known_count;
  struct twins_node nodes[TWINS_NODES];
  unsigned boots;               /* made so far */
  struct op hints[TWINS_HINTS]; /* that the model published */
  size_t hint_count;
  unsigned met[TWINS_KINDS];
};

extern struct twins twins;
extern const char *const twins_channels[CHANNELS];

/** Returns `good`; else tells once what is wrong. */
bool twins_check(bool good, const char *what);
bool twins_chance(unsigned percent);
void twins_pass(uint64_t ms);
void twins_new_boot(struct twins_node *node);

/* --- the same ----------------------------------------------------------- */

/** Both made a number: a new one of each, or a known pair; in one order. */
bool twins_same_number(struct twins_pairs *pairs, uint64_t model,
                       uint64_t real);
bool twins_same_id(unsigned channel, struct wwri_logid model, const char *text);
struct wwri_logid twins_read_id(const char *text);
void twins_write_boot(struct wwri_boot boot, char out[33]);

/** Values of the last answer from `at` on: entries of nine; ID, BOOT, SEQ. */
bool twins_same_entries(unsigned channel, const struct wwri_entry *entries,
                        size_t count, size_t at, bool newest_first);
bool twins_same_pos(unsigned channel, const struct wwri_pos *pos, size_t at);

/** Whole logs; and what was published since the last time, nothing else. */
void twins_compare_logs(void);
void twins_compare_hints(void);

/** The model's callbacks. */
void twins_on_published(struct model *model, struct server *server,
                        const struct op *op);
void twins_on_added(struct model *model, struct server *server,
                    unsigned channel, const struct wwri_entry *entry);

/* --- random calls of both ----------------------------------------------- */

void twins_beat(void);
void twins_publish(void);
void twins_burst(void);
void twins_open(void);
void twins_range(void);
void twins_tops(void);

/** When the last beat of a node was, 0: never; a failover forgets some. */
uint64_t twins_stored_beat(const struct twins_node *node);

#endif
