/* redisstore_rig.h - session stores of several nodes in this process, on one
 * redis-server of the test's own, on a list of three, or on a Redis Cluster of
 * three masters. What the stores tell is counted under a lock and waited for
 * with a deadline. */
#ifndef REDISSTORE_RIG_H
#define REDISSTORE_RIG_H

#include "redis_cluster_fixture.h"
#include "test.h"
#include "wwr_cluster.h"
#include "wwr_redisstore.h"

enum { RS_NODES = 3, RS_SHARDS = 3, RS_WAIT_MS = 60000, RS_LOG = 8192 };

enum rs_mode { RS_ONE, RS_LIST, RS_CLUSTER };

struct rs_node {
  unsigned index;
  bool open;                    /* the bus is */
  struct wwr_cluster_opts opts; /* change before rs_open() */
  struct wwr_cluster *cluster;
  struct wwr_bus *bus;
  struct wwr_sessionstore *store;
  /* Under rs.lock: */
  unsigned closed, evicted, received;
  unsigned at_once; /* events that were told while another one was */
  bool telling;
  char last_closed[160], last_evicted[160], last_received[256];
};

/** One operation, to be waited for. */
struct rs_op {
  struct wwr_store_op base;
  bool done;
  wwr_err err;
  struct wwr_session *session; /* a reference */
};

struct rs {
  enum rs_mode mode;
  struct redis_server servers[RS_SHARDS]; /* RS_ONE: the first */
  struct redis_cluster cluster;
  unsigned replicas; /* of each of its masters; set it before rs_begin() */
  char url[256];
  struct rs_node nodes[RS_NODES];
};
extern struct rs rs;

/** Once per program: servers; `args` as of redis_init(). False: none. */
bool rs_begin(enum rs_mode mode, const char *const *args);
/** The program's first argument, "--list" or "--cluster", is taken away. */
enum rs_mode rs_read_mode(int *argc, char ***argv);
void rs_finish(void);

/** Before a test: an empty server that runs. Behind it: everything closed. */
void rs_set_up(void);
void rs_tear_down(void);

/** A node with options: defaults, short times (hold 2 s, lease 6 s). rs_open()
 * opens it and waits until it is ready. rs_up(): both. */
struct rs_node *rs_node(unsigned index);
void rs_open(struct rs_node *node);
struct rs_node *rs_up(unsigned index);
/** As a server that stops: the bus is closed, then the store is freed. */
void rs_down(struct rs_node *node);
/** One that can wait long: hold 20 s, lease 40 s. */
struct rs_node *rs_patient(unsigned index);
bool rs_is_ready(struct rs_node *node);
void rs_wait_ready(struct rs_node *node, bool ready);

/* Begin an operation; wait for it (aborts after a deadline): its result. */
void rs_begin_create(struct rs_node *node, struct rs_op *op, const char *key,
                     const char *info);
void rs_begin_attach(struct rs_node *node, struct rs_op *op, const char *key,
                     uint32_t max);
void rs_begin_leave(struct rs_node *node, struct rs_op *op, const char *key);
void rs_begin_kill(struct rs_node *node, struct rs_op *op, const char *key);
void rs_begin_send(struct rs_node *node, struct rs_op *op, const char *key,
                   const char *bytes);
wwr_err rs_end(struct rs_op *op);
bool rs_is_done(struct rs_op *op);

/* At once. */
wwr_err rs_create(struct rs_node *node, const char *key);
wwr_err rs_attach(struct rs_node *node, const char *key, uint32_t max);
wwr_err rs_leave(struct rs_node *node, const char *key);
wwr_err rs_kill(struct rs_node *node, const char *key);
wwr_err rs_send(struct rs_node *node, const char *key, const char *bytes);
void rs_detach(struct rs_node *node, const char *key);
/** "NODE=COUNT NODE=COUNT" in the order of names, or the error's name. */
const char *rs_places(struct rs_node *node, const char *key);
/** Until that is the text: each node tells its own when its link is back. */
bool rs_places_become(struct rs_node *node, const char *key, const char *text);

/** Everything that a session can go through, on two nodes; asserts that it
 * takes far less time than what others wait for meanwhile. Nothing is left. */
void rs_live_a_life(struct rs_node *a, struct rs_node *b, const char *key);

uint64_t rs_now_ms(void);
void rs_wait_ms(uint64_t ms);

/** Wait until *counter (of a node) is at least n. False after RS_WAIT_MS. */
bool rs_wait(const unsigned *counter, unsigned n);
unsigned rs_count(const unsigned *counter);

/** The server that has the session; and the index of a list's. */
struct redis_server *rs_server(const char *key);
unsigned rs_shard(const char *key);

/** The session's key in Redis. Static. */
const char *rs_name(const char *key);

/** A command about the session, to its server (without a key: to the first):
 * "%s" stands for its name. The answer. */
const char *rs_ask(const char *format, const char *key);
/** Repeat until the answer is this text. False (and printed) after
 * RS_WAIT_MS. */
bool rs_until(const char *format, const char *key, const char *text);

/** What the nodes logged holds this text. */
bool rs_logged(const char *text);

#endif
