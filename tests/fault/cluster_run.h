/* cluster_run.h - one run of the cluster's fault suite: a cluster of real
 * processes, a crowd that chats on it, a fault, and the row of the table that
 * comes of it. */
#ifndef WWR_TEST_CLUSTER_RUN_H
#define WWR_TEST_CLUSTER_RUN_H

#include "chatters.h"
#include "cluster.h"
#include "shards.h"

enum {
  RUN_REDIS_MAX = REDIS_CLUSTER_MAX,
  RUN_ARGS_MAX = 32,
  RUN_ROWS_MAX = 40
};

/** What the nodes share. */
enum run_redis {
  RUN_ONE,      /* a Redis */
  RUN_REPLICAS, /* a master, a replica and three sentinels */
  RUN_LIST,     /* three Redis */
  RUN_SLOTS     /* a Redis Cluster: three masters with a replica each */
};

struct run;

/** What a row is. */
struct run_plan {
  const char *name;
  /** Break something and mend it; calls run_healed() when it is mended. False:
   * it could not even be tried, the reason on stderr. */
  bool (*fault)(struct run *run);
  const char *const *redis_args;
  const char *const *node_args; /* besides the suite's own */
  bool history;      /* connections break: what they missed counts by history */
  bool may_diverge;  /* a failover: another order is allowed with a verdict */
  unsigned may_fail; /* so many publishes may fail with certainty */
  unsigned pad;      /* bytes of a message, 0: as short as they are */
  unsigned rate;     /* 0: the suite's */
  unsigned clients;  /* 0: the suite's */
  uint32_t limit_ms; /* to recover */
  uint32_t away_ms;  /* 0, or how long a client may be without a node */
  uint32_t way_ms;   /* 0, or how long a message may be on its way at most */
  enum run_redis redis;
};

struct run {
  const struct run_plan *plan;
  struct cluster *cluster;
  const char *args[RUN_ARGS_MAX]; /* of the nodes */
  struct ledger *ledger;
  struct chatters *chatters;
  struct log_reader *reader;
  struct replicas *replicas; /* of RUN_REPLICAS, else NULL */
  struct shards *shards;     /* of RUN_LIST and RUN_SLOTS, else NULL */
  uint64_t healed_us;
  struct lateness *lateness;
};

/** Do it all; assertions as CUnit's. The row is kept for run_print(). */
void run_row(const struct run_plan *plan);

/** Let the crowd talk for so long. Not a way to wait for anything. */
void run_talk(uint32_t ms);

/** The fault is mended: from here the time to recover counts. */
void run_healed(struct run *run);

/** Print the table of all rows so far. */
void run_print(void);

/* --- log_reader.c: where the messages are in Redis' log ------------------- */

struct log_reader;

/** Reads the room's log, this key, on these ports several times a second,
 * whichever answers, and notes the places in the ledger. NULL without a thread.
 */
struct log_reader *log_reader_start(struct ledger *ledger, const char *key,
                                    const uint16_t *ports, size_t count);
/** Reads once more, to the end, and ends. */
void log_reader_stop(struct log_reader *reader);

#endif
