/* model.h - a model of Redis as far as the cluster uses it: the scripts of
 * docs/rules.md over a data set that is nothing but the fold of a list
 * of writes. A replica is a server with a shorter list; losing the tail of an
 * append-only file, or of what was not yet replicated, is cutting the list. */
#ifndef WWR_SIM_MODEL_H
#define WWR_SIM_MODEL_H

#include "keeper.h"
#include "node.h"
#include "pair.h"
#include "rng.h"

enum {
  CHANNELS = 3,
  CONTROL = CHANNELS, /* notices about sessions */
  STREAMS,
  SERVERS = 3, /* of a shard */
  SHARDS = 2,
  SERVERS_MAX = SERVERS * SHARDS,
  BOOTS = 64,
  TOPS_MAX = STREAMS,
  KEYS = 48, /* sessions of one run; each has one incarnation */
  COUNTS_MAX = 32
};

/* The keys of the partition, numbered: those that a slot move carries over one
 * by one. "gen" and "nodes" are one here: no script uses the second alone. */
enum {
  SLOT_NODES,
  SLOT_META,
  SLOT_LOG = SLOT_META + STREAMS,
  SLOT_SESSION = SLOT_LOG + STREAMS,
  SLOT_KEYS = SLOT_SESSION + KEYS
};

/* Beyond enum wwri_call_kind. */
enum { REQUEST_BEAT = WWRI_CALL_TOPS + 1, REQUEST_SESSION };

/* A session in Redis; never changed, each write makes another. */
struct session_row {
  bool exists;
  uint64_t v;
  uint32_t max;
  uint64_t expires_ms;
  struct {
    struct wwri_boot boot;
    uint32_t n;
  } counts[COUNTS_MAX];
  unsigned count_count;
  uint64_t tomb; /* incarnation that was destroyed lately; 0: none */
  uint64_t tomb_until_ms;
};

struct session_touch {
  unsigned key;
  uint64_t v;
  uint32_t count;
  uint32_t base; /* mutant R11: what the node believes is stored */
};

/* A call of the keeper, copied. */
struct session_request {
  unsigned slot;
  enum wwri_keeper_kind kind;
  unsigned key;
  uint64_t v;
  uint32_t count, had, max, base;
  bool whole, max_known, any, force;
  uint64_t pen_seq; /* of the notice, if it writes one */
  size_t touch_count;
  struct session_touch touches[];
};

struct session_answer {
  unsigned slot;
  enum wwri_keeper_word word;
  uint64_t v;
  uint32_t count;
  bool gone[KEYS];
};

/* What a notice carries. */
struct notice {
  unsigned key;
  uint64_t v;
};

/* The connection of a boot that may not come back. */
#define FENCED UINT64_MAX

/* One write, as it goes to the file and to replicas. */
struct op {
  enum {
    OP_GENERATION,
    OP_META,
    OP_ADD,
    OP_DROP_META,
    OP_DROP_LOG,
    OP_DROP_GENERATION,
    OP_DROP_NODES, /* and the generation */
    OP_TAKE_NODES, /* what another server had */
    OP_TAKE_LOG,
    OP_EXPIRE,
    OP_BEAT,
    OP_FENCE,
    OP_GRACE,
    OP_SESSION,
    OP_PUBLISH,
    OP_PUBLISH_BEAT
  } kind;
  unsigned channel;
  struct wwri_entry entry; /* ADD, PUBLISH */
  uint64_t a, b, c, d;     /* by kind */
  struct wwri_boot boot;
  const struct session_row *row; /* SESSION; a is the key */
  const struct server *server;   /* TAKE_NODES: a copy of it */
  const struct stream *log;      /* TAKE_LOG */
  uint64_t at_ms;
};

struct stream {
  bool meta;
  uint64_t epoch;   /* of meta */
  uint64_t born_in; /* generation of meta */
  bool log;
  struct wwri_logid last; /* last generated id, also after trimming */
  struct wwri_entry *entries;
  size_t first, count, cap;
  uint64_t expires_ms;
};

struct server {
  unsigned index;
  bool up;
  bool master;
  bool out_of_memory;
  bool has_slot;  /* ... or sends whoever asks elsewhere */
  bool migrating; /* has the slot, but no longer all of its keys */
  bool attached;  /* a replica that follows its master */
  bool stuck;     /* ... or can't reach it, to the end of the run */
  uint64_t demoted_ms;
  uint64_t paused_until;
  uint64_t loading_until;
  unsigned lives; /* connections end with one */
  unsigned demotions;
  uint64_t replid;  /* shown as hex */
  int64_t clock_us; /* off by this much */
  struct op *ops;
  size_t op_count, op_cap;
  size_t synced; /* a replica's place in its master's list */

  struct {
    bool exists;
    uint64_t n, replid, born;
  } generation;
  struct stream streams[STREAMS];
  const struct session_row *sessions[KEYS]; /* NULL: nothing */
  struct {
    struct wwri_boot boot;
    uint64_t ms, n;
    uint64_t connection; /* in the generation's key; 0: none, or FENCED */
  } beats[BOOTS];
  size_t beat_count;
  uint64_t grace_ms;
};

struct model_config {
  bool no_generation; /* mutant R1 */
  bool no_fence;      /* mutant: late commands are executed */
  bool increments;    /* mutant R11 */
  bool no_grace;      /* mutant R12 */
  bool undeclared;    /* mutant R6: what a script needs may have moved */
  bool follow;        /* mutant: redirections are followed */
  size_t limit;       /* entries of a log */
  uint64_t lease_ms;
  uint64_t ttl_ms; /* of a log and its meta */
  uint64_t session_ttl_ms;
};

/* What a node asks, with everything copied. */
struct request {
  unsigned kind;           /* enum wwri_call_kind, or REQUEST_ */
  struct wwri_boot boot;   /* of the node */
  uint64_t connection;     /* ... */
  uint64_t n;              /* BEAT */
  uint64_t token;          /* BEAT: the link's number */
  struct wwri_boot author; /* PUBLISH: of the message */
  unsigned channel;
  struct wwri_logid from; /* RANGE; PUBLISH: hint */
  uint32_t count;
  uint64_t seq;
  bool retry, deep, sure, touch;
  uint64_t since_ms;
  struct wwr_view data; /* points to what outlives the run */
  unsigned channels[TOPS_MAX];
  size_t channel_count;
  const struct session_request *session; /* SESSION */
};

/* The answer with its arrays; freed as one. */
struct answer {
  unsigned kind; /* of the request */
  struct wwri_reply reply;
  struct wwri_beat_answer beat; /* BEAT; its status counts */
  struct session_answer session;
  struct wwri_top tops[TOPS_MAX];
  struct wwri_entry entries[];
};

struct model {
  struct model_config config;
  struct rng *rng;
  struct server servers[SERVERS_MAX];
  unsigned importer; /* where redirections lead */
  void *user;
  /** Hints to the subscribers of a server. */
  void (*published)(struct model *model, struct server *server,
                    const struct op *op);
  /** A master numbered an entry. */
  void (*added)(struct model *model, struct server *server, unsigned channel,
                const struct wwri_entry *entry);
  /** A script about a session was executed, one of a touch too. Needed with
   * sessions only, as `alloc`. */
  void (*session)(struct model *model, struct server *server,
                  const struct request *request, unsigned key,
                  const struct session_row *before,
                  const struct session_row *after,
                  const struct session_answer *answer);
  /** A beat was accepted, in this generation. May be NULL. */
  void (*beaten)(struct model *model, struct server *server,
                 struct wwri_boot boot);
  /** Memory that lives until the run ends. */
  void *(*alloc)(struct model *model, size_t size);
};

void model_init(struct model *model, const struct model_config *config,
                struct rng *rng, void *user);
void model_free(struct model *model);

/** Run one script; free the answer with free(). */
struct answer *model_execute(struct model *model, struct server *server,
                             const struct request *request, uint64_t now_ms);

/** Give the server a new replication id, as a restart or a promotion does. */
void server_new_id(struct model *model, struct server *server);

/** Only the first `keep` writes survive; logs hold `limit` entries. */
void server_truncate(struct server *server, size_t keep, size_t limit);

/** Follow `master`: everything up to `until_ms`, or, for the first time, all
 * that it has. */
void server_replicate(struct model *model, struct server *replica,
                      const struct server *master, uint64_t until_ms);

/** A write that is no script of ours (eviction). */
void model_write(struct model *model, struct server *server,
                 const struct op *op);

/** The server has that key of the slot. */
bool server_has(const struct server *server, unsigned key);

/** MIGRATE: the key is `to`'s from now on. */
void server_move(struct model *model, struct server *from, struct server *to,
                 unsigned key, uint64_t now_ms);

/** Drop all keys of the slot. */
void server_drop_slot(struct model *model, struct server *server,
                      uint64_t now_ms);

/** What INFO says. */
void server_info(const struct server *server, struct wwri_redis_info *out);

/** True when the channel's log on this server holds the publish. */
bool server_find(const struct server *server, unsigned channel,
                 struct wwri_boot boot, uint64_t seq, struct wwri_logid *id);

/** The connections that a row counts for a boot. */
uint32_t session_count(const struct session_row *row, struct wwri_boot boot);

#endif
