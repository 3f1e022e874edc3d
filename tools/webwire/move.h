/* move.h - what the parts of `webwire move` share. */
#ifndef WEBWIRE_MOVE_H
#define WEBWIRE_MOVE_H

#include "cli.h"
#include "redis_group.h"

enum { MOVE_KEY_MAX = 512, MOVE_NAME_MAX = 256 };

/** One key of a session, a log, or a log's meta. Borrowed. */
struct move_key {
  const char *text;
  size_t len;
  char kind; /* 's', 'l', 'm' */
  const char *name;
  size_t name_len;
  unsigned partition;
};

/** Where a key is, or belongs. */
struct move_place {
  char key[MOVE_KEY_MAX];
  size_t len;
  struct redis_server *server;
};

struct move_counts {
  uint64_t sessions, logs, bytes;
};

struct move {
  const struct cli *cli;
  const char *prefix;
  struct redis_group from, to;
  struct move_counts *to_each; /* copied, by server of `to` */
  uint64_t in_place;           /* keys that are where they belong already */
  uint64_t astray;             /* keys that the source's nodes don't look at */
  uint64_t stale;              /* on the target, but not on the source */
  uint64_t deleted;
  size_t ahead;  /* so many keys are asked for at a time; 0: not yet known */
  uint64_t seen; /* for the progress */
  bool told;     /* a line of progress */
  long next_at;
  char why[REDIS_WHY_SIZE];
};

/** Note the reason; false. */
bool move_fail(struct move *move, const struct redis_server *server,
               const char *why);

/** The place of a key in a group. */
void move_place(const struct move *move, const struct redis_group *group,
                const struct move_key *key, struct move_place *out);

/** The same process, database and key, by whatever address. */
bool move_same(const struct move_place *a, const struct move_place *b);

/** For up to MOVE_BATCH keys; false ends the walk. */
typedef bool move_fn(struct move *move, const struct move_key *keys,
                     size_t count);
enum { MOVE_BATCH = 32 };

/** All keys that the nodes of a group look at, each where they look for it. A
 * key may come twice. Others are counted in *astray, unless it is NULL. */
bool move_walk(struct move *move, const struct redis_group *group, move_fn *fn,
               uint64_t *astray);

/** Copy, verify, count. */
move_fn move_copy;
void move_end_progress(struct move *move);

/** Count what is on the target, but not on the source; with --delete, delete
 * it. */
move_fn move_find_stale;

/** Delete on the source what is on the target. */
move_fn move_delete;

/** Refuse while a node of the group may be alive. */
bool move_check_idle(struct move *move, const struct redis_group *group);

#endif
