/* world.h - nodes, links and servers on one virtual clock. Everything that
 * happens is an event with a time; equal times keep the order of pushing. The
 * same seed gives the same run. */
#ifndef WWR_SIM_WORLD_H
#define WWR_SIM_WORLD_H

#include "oracle.h"

enum { NODES = 4, NAMES_LEN = 8 };

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
  FAULTS
};

struct params {
  uint64_t seed;
  uint32_t faults; /* bits of enum fault; 0: drawn from the seed */
  struct wwri_rules rules;
  bool no_generation; /* mutant R1, of the model */
  FILE *trace;
};

struct link_state {
  uint64_t id; /* of the connection; 0: none */
  bool up;     /* the node was told */
  bool blackhole;
  bool takes[CHANNELS + 1]; /* subscriptions at the server; last: its own */
  unsigned server;
  uint64_t last_out, last_in; /* times: what is sent arrives in order */
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
  struct link_state links[2];
  struct wwri_node core;
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

struct world {
  struct params params;
  struct rng rng;
  uint64_t now_ms;
  struct model model;
  struct oracle oracle;
  struct node nodes[NODES];
  unsigned node_count;
  unsigned procs;
  unsigned master;   /* what Sentinel says */
  unsigned minority; /* node bits that still see `old_master` */
  unsigned old_master;
  bool partition;
  unsigned servers;
  uint64_t lag_ms; /* of replication */
  uint64_t next_connection;
  struct event *heap;
  size_t heap_count, heap_cap;
  uint64_t pushed;
  uint64_t steps;
  uint64_t end_of_faults_ms;
  uint32_t faults;
  unsigned fault_count[FAULTS];
  struct sub subs[SUBS_MAX];
};

struct result {
  unsigned violations;
  char first[256];
  uint64_t steps, calls, acked, deliveries, repaired;
  unsigned verdicts[4];
  unsigned faults[FAULTS];
};

/** Run one seed to its end. */
void world_run(const struct params *params, struct result *result);

/* --- between world.c, net.c and faults.c --- */

enum event_kind {
  EVENT_TICK,      /* node */
  EVENT_CONNECTED, /* node, link */
  EVENT_CLOSED,    /* node, link */
  EVENT_REQUEST,   /* at the server */
  EVENT_ANSWER,
  EVENT_SUBSCRIBE, /* at the server */
  EVENT_CONFIRM,
  EVENT_HINT,
  EVENT_HEARD,
  EVENT_CONNECT, /* at the server */
  EVENT_CONNECT_TIMEOUT,
  EVENT_REPLICATE,
  EVENT_PUBLISH, /* the application */
  EVENT_FAULT,
  EVENT_HEAL,
  EVENT_FLAP
};

struct event {
  uint64_t at_ms, order;
  enum event_kind kind;
  unsigned node;
  enum wwri_link link;
  uint64_t connection;
  unsigned server;
  unsigned channel; /* CHANNELS: the node's own */
  bool on;
  enum fault fault;
  uint64_t arg;
  struct wwri_server_id id;
  struct request request;
  struct answer *answer;
  struct wwri_entry entry;
  struct wwri_boot boot;
};

/** Add an event. One that was popped and is put off keeps its place among
 * those of its new time. */
void world_push(struct world *world, uint64_t at_ms, struct event event);
uint64_t world_below(struct world *world, uint64_t n);
bool world_chance(struct world *world, unsigned percent);

/** Run the core of a node and plan its next tick. */
void world_run_node(struct node *node);
struct node *world_node_of(const struct wwri_node *core);
void world_start_node(struct world *world, unsigned index);
void world_kill_node(struct world *world, unsigned index);

extern const struct wwri_node_out net_out;
void net_connect(struct node *node, enum wwri_link link);
void net_event(struct world *world, struct event *event);
/** Close a connection from the server's side. */
void net_close(struct world *world, struct node *node, enum wwri_link link);
void net_published(struct model *model, struct server *server,
                   const struct op *op);

void faults_plan(struct world *world);
void faults_event(struct world *world, const struct event *event);
/** Everything works again. */
void faults_heal_all(struct world *world);
const char *fault_name(enum fault fault);

#endif
