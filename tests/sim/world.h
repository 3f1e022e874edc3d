/* world.h - nodes, links and servers on one virtual clock. Everything that
 * happens is an event with a time; equal times keep the order of pushing. The
 * same seed gives the same run. */
#ifndef WWR_SIM_WORLD_H
#define WWR_SIM_WORLD_H

#include "oracle.h"
#include "sessions.h"
#include "subs.h"

enum { NODES = 4 };

/* What one run may contain; drawn from the seed. */
enum fault {
  FAULT_CUT,       /* a connection is closed, the node is told */
  FAULT_BLACKHOLE, /* a connection carries nothing any more */
  FAULT_ISOLATE,   /* a node can't reach any server for a while */
  FAULT_PAUSE,     /* a server stands still */
  FAULT_RESTART,   /* with its data */
  FAULT_TRUNCATE,  /* restart without the last writes */
  FAULT_EMPTY,     /* restart without data */
  FAULT_FAILOVER,  /* the master dies, a replica that lags takes over */
  FAULT_PARTITION, /* the old master lives on with some of the nodes */
  FAULT_DEMOTE,    /* roles change, no connection is closed */
  FAULT_EVICT,     /* meta, log, both or the generation key vanish */
  FAULT_MEMORY,    /* writes are refused for a while */
  FAULT_SLEEP,     /* a node stands still */
  FAULT_KILL,      /* a node dies, another one starts */
  FAULT_HINTS,     /* hints get lost or doubled throughout the run */
  FAULT_FLAP,      /* receivers come and go */
  FAULT_PRESSURE,  /* repairs are held up */
  FAULT_HANDOVER,  /* a planned failover: nothing is lost, no link is closed */
  FAULT_MOVE,      /* the slot moves to another shard */
  FAULTS
};

struct params {
  uint64_t seed;
  uint32_t faults; /* bits of enum fault; 0: drawn from the seed */
  struct wwri_rules rules;
  bool sessions;      /* in every run; else in half of them */
  bool no_generation; /* mutant R1, of the model */
  bool no_pair;       /* mutant R4, of the link */
  bool no_fence;      /* mutant: late commands, of the model */
  bool increments;    /* mutant R11, of the model */
  bool no_grace;      /* mutant R12, of the model */
  bool undeclared;    /* mutant R6, of the model */
  bool follow;        /* mutant: redirections are followed */
  FILE *trace;
};

/* One of the two connections of a link. */
struct conn {
  uint64_t id; /* 0: none */
  unsigned server;
  unsigned life;      /* of the server */
  unsigned demotions; /* ... until it was opened */
  bool blackhole; /* carries nothing until it is closed; then perhaps late */
  bool cut;       /* closed by the other side */
  bool takes[STREAMS];        /* subscriptions at the server */
  bool listens;               /* ... to our beats */
  uint64_t last_out, last_in; /* times: what is sent arrives in order */
  uint64_t held_ms;           /* ... also what waits on the way until then */
};

/* A node's link: the state machine and the subscriptions of redis/link.c, over
 * connections of this world. */
struct link {
  struct wwri_pair pair;
  struct wwri_subs subs;
  struct wwri_redis_sub *wanted[STREAMS];
  struct conn conns[WWRI_PAIR_SIDES];
  const char *drop; /* the node wants it to end; why */
  uint64_t beat_at; /* mutant R4: the next one */
  uint64_t beat_ok;
  bool ready[WWRI_PAIR_SIDES];
  bool live;
  unsigned unanswered; /* calls */
  unsigned ignored;    /* ... whose answers nobody waits for */
};

struct world;

struct node {
  struct world *world;
  unsigned index; /* place among NODES */
  unsigned proc;  /* life; boot.hi */
  uint64_t boots;
  bool alive;
  uint64_t paused_until;
  uint64_t isolated_until;
  uint64_t tick_at;
  struct link link;
  struct wwri_node core;
  struct wwri_keeper *keeper; /* NULL: a run without sessions */
  struct wwri_sub control;
  struct wwri_join control_join;
  const struct session_request *asked[WWRI_KEEPER_CALLS];
  uint32_t stored[KEYS];
  uint64_t live_ms;    /* since when */
  bool uncertain;      /* a new generation; it is not live yet */
  uint64_t changed_ms; /* when it was */
};

struct event;

struct sub {
  struct wwri_sub sub;
  struct wwri_join join;
  struct receiver *receiver;
  struct node *node;
  bool used;
  bool joining;
};

enum { CLOSED_MAX = 64 };

/* A connection that its node closed: what was on its way arrives at once, later
 * (TCP sends it again), or never. */
struct closed {
  uint64_t id;
  uint64_t arrives_ms; /* UINT64_MAX: never */
  unsigned demotions;
  uint64_t held_ms;
};

/* A slot on its way from one master to another. */
struct move {
  enum {
    MOVE_NONE,
    MOVE_KEYS,
    MOVE_TOLD /* the source does not know yet */
  } state;
  unsigned number; /* of all moves of the run */
  unsigned from, to;
  uint64_t pace_ms;
  bool disturbed; /* the source lost data meanwhile */
};

struct due {
  uint64_t at_ms, order;
  uint32_t event;
};

struct world {
  struct params params;
  struct rng rng;
  uint64_t now_ms;
  struct model model;
  struct oracle oracle;
  struct sessions *sessions; /* NULL: a run without */
  struct chunk *chunks;      /* of world_alloc() */
  struct node nodes[NODES];
  unsigned node_count;
  unsigned procs;
  unsigned master; /* what Sentinel says; of the shard that has the slot */
  unsigned masters[SHARDS];
  struct move move;
  uint64_t stale_until_ms; /* some still ask where the slot was */
  unsigned minority;       /* node bits that still see `old_master` */
  unsigned old_master;
  bool partition;
  unsigned servers; /* of a shard */
  unsigned shards;
  uint64_t lag_ms; /* of replication */
  uint64_t next_connection;
  struct closed closed[CLOSED_MAX]; /* by id modulo */
  struct event *events; /* those that are due and those that are free */
  uint32_t free_event;  /* number + 1; 0: none */
  struct due *heap;
  size_t heap_count, heap_cap, event_count;
  uint64_t pushed;
  uint64_t steps;
  uint64_t late; /* commands of closed connections that were executed */
  uint64_t end_of_faults_ms;
  uint32_t faults;
  unsigned fault_count[FAULTS];
  struct sub subs[SUBS_MAX];
};

struct result {
  unsigned violations;
  char first[256];
  uint64_t steps, calls, acked, deliveries, late, sessions;
  unsigned verdicts[4];
  unsigned faults[FAULTS];
};

/** Run one seed to its end. */
void world_run(const struct params *params, struct result *result);

/* --- between world.c, link.c, net.c and faults.c --- */

enum event_kind {
  EVENT_TICK,    /* node */
  EVENT_MASTER,  /* node: Sentinel says who it is */
  EVENT_CONNECT, /* at the server */
  EVENT_OPENED,
  EVENT_CLOSED,
  EVENT_STEP, /* at the server */
  EVENT_STEP_DONE,
  EVENT_REQUEST, /* at the server */
  EVENT_ANSWER,
  EVENT_SUBSCRIBE, /* at the server */
  EVENT_CONFIRM,
  EVENT_HINT,
  EVENT_BEAT_BACK,
  EVENT_REPLICATE,
  EVENT_PUBLISH, /* the application */
  EVENT_BACKLOG, /* ... what its clients sent while the node stood still */
  EVENT_FAULT,
  EVENT_HEAL,
  EVENT_MOVE, /* arg: which */
  EVENT_FLAP,
  EVENT_SESSION, /* the application */
  EVENT_DETACH,  /* node */
  EVENT_CHECK    /* channel: the key and 1; 0: all. arg: destroyed then */
};

struct event {
  uint64_t at_ms, order;
  enum event_kind kind;
  unsigned node;
  enum wwri_pair_side side;
  uint64_t connection;
  unsigned server;
  unsigned life; /* of the server */
  unsigned channel;
  bool on;
  enum fault fault;
  enum wwri_pair_step step;
  uint64_t arg;
  struct wwri_redis_info info;
  struct request request;
  struct answer *answer;
  struct wwri_entry entry;
};

/** Add an event. One that was popped and is put off keeps its place among
 * those of its new time. */
void world_push(struct world *world, uint64_t at_ms, struct event event);
uint64_t world_below(struct world *world, uint64_t n);
bool world_chance(struct world *world, unsigned percent);

/** Memory that lives until the run ends. */
void *world_alloc(struct world *world, size_t size);
struct node *world_random_awake(struct world *world);

/** Run the core of a node and plan its next tick. */
void world_run_node(struct node *node);
struct node *world_node_of(const struct wwri_node *core);
void world_start_node(struct world *world, unsigned index);
void world_kill_node(struct world *world, unsigned index);

/* link.c: the node's end */
extern const struct wwri_node_out link_out;
void link_start(struct node *node);
/** The node is gone. */
void link_end(struct node *node);
/** Something arrived, or its time has come. */
void link_event(struct node *node, struct event *event);
void link_tick(struct node *node);
/** After whatever happened to the node: send, and drop when it asked for it. */
void link_flush(struct node *node);
uint64_t link_due(const struct node *node);

/* broken.c: the same without R4 */
void broken_start(struct node *node);
void broken_event(struct node *node, struct event *event);
void broken_tick(struct node *node);
void broken_drop(struct node *node);
uint64_t broken_due(const struct node *node);

/* ... and what both do */
void link_send_step(struct node *node, enum wwri_pair_side side,
                    enum wwri_pair_step step);
void link_send_session(struct node *node,
                       const struct session_request *request);
void link_send_beat(struct node *node, uint64_t token);
void link_answered(struct node *node, const struct answer *answer);
void link_confirmed(struct node *node, const struct event *event);
void link_hint(struct node *node, const struct event *event);

/* net.c */
void net_event(struct world *world, struct event *event);
void net_connect(struct node *node, enum wwri_pair_side side);
/** The node closes its end. */
void net_close(struct node *node, enum wwri_pair_side side);
/** Send to the server, on a connection that is open. */
void net_send(struct node *node, enum wwri_pair_side side, struct event event);
/** Somebody else closes a connection. */
void net_cut(struct world *world, struct node *node, enum wwri_pair_side side);
/** No server of the shard has the slot any more. */
void net_unsubscribed(struct world *world, unsigned shard);
void net_published(struct model *model, struct server *server,
                   const struct op *op);

void faults_plan(struct world *world);
void faults_event(struct world *world, const struct event *event);
/** Everything works again. */
void faults_heal_all(struct world *world);
const char *fault_name(enum fault fault);

static inline unsigned shard_of(unsigned server) {
  return server / SERVERS;
}

/* move.c */
void move_init(struct world *world);
void move_begin(struct world *world);
void move_event(struct world *world, const struct event *event);
/** The source's successor does not know of it. */
void move_broken(struct world *world);
/** Now, all of it. */
void move_finish(struct world *world);

#endif
