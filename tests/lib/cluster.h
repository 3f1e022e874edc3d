/* cluster.h - a cluster of real processes: one redis-server, nodes of a server
 * program on it, and HAProxy in front of them. Each can be killed, stopped,
 * paused and started again on its port and with its data.
 *
 * Everything listens on loopback, on ports that stay reserved for the cluster
 * while it lives, also while a member is down. What a member prints is appended
 * to a file. For the main thread; every wait has a deadline. */
#ifndef WWR_TEST_CLUSTER_H
#define WWR_TEST_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
  CLUSTER_MAX_NODES = 8,
  CLUSTER_REDIS = CLUSTER_MAX_NODES, /* members besides the nodes 0, 1, ... */
  CLUSTER_HAPROXY,
  CLUSTER_WAIT_MS = 30000 /* ends what hangs; generous for sanitizers */
};

/** All optional but the program. Borrowed until cluster_free(). */
struct cluster_opts {
  const char *program;           /**< Path of the server program. */
  size_t nodes;                  /**< Default 3. */
  const char *const *args;       /**< More options of all nodes. */
  const char *const *redis_args; /**< More options of redis-server. */
  const char *login;             /**< Of the nodes' Redis URL: "user:pass@". */
  const char *balance;           /**< Default "roundrobin". */
  const char *redis_url;         /**< Of a Redis of the test's own: none is
                                      started. */
  bool no_redis;                 /**< Nodes that know nothing of each other. */
  bool no_haproxy;
};

struct cluster; /* opaque; freed by cluster_free() */

/** True when there is a redis-server and a haproxy; else says that it skips. */
bool cluster_available(void);

/** Make the directory and reserve the ports; nothing runs yet. NULL, and the
 * reason on stderr, when that fails. */
struct cluster *cluster_new(const struct cluster_opts *opts);

/** Start Redis, the nodes and HAProxy, and wait until all are ready. False, and
 * what they printed on stderr, when they are not in time. */
bool cluster_start(struct cluster *cluster);

/** cluster_new() and cluster_start(); NULL when either fails. */
struct cluster *cluster_open(const struct cluster_opts *opts);

/** Stop what still runs: nodes by SIGTERM, which must end them with 0. False,
 * and what they printed on stderr, when one does not, or when a node printed
 * what only a sanitizer or a failed assertion prints. */
bool cluster_stop_all(struct cluster *cluster);

/** Kill what still runs and remove the directory (not with WWR_TEST_KEEP in the
 * environment). NULL does nothing. */
void cluster_free(struct cluster *cluster);

/** cluster_stop_all() and cluster_free(): a suite's status, 0 is good. */
int cluster_close(struct cluster *cluster);

/* --- Members: a node's index, CLUSTER_REDIS or CLUSTER_HAPROXY ------------ */

/** Start it, without waiting; then wait until it answers: Redis a PING, a node
 * and HAProxy a connection. */
bool cluster_launch(struct cluster *cluster, int who);
bool cluster_wait_answers(struct cluster *cluster, int who);

/** Both. */
bool cluster_run(struct cluster *cluster, int who);

/** SIGKILL, and wait for its end. Harmless when it does not run. */
void cluster_kill(struct cluster *cluster, int who);

/** Send a signal. Harmless when it does not run. */
void cluster_signal(struct cluster *cluster, int who, int signal);

/** Wait for its end: the exit status, 128 + the signal that killed it, -1 when
 * it does not end or was not started. */
int cluster_wait_exit(struct cluster *cluster, int who);

/** SIGTERM, and wait for its end. */
int cluster_stop(struct cluster *cluster, int who);

/** SIGSTOP and SIGCONT. */
void cluster_pause(struct cluster *cluster, int who);
void cluster_resume(struct cluster *cluster, int who);

bool cluster_runs(const struct cluster *cluster, int who);
uint16_t cluster_port(const struct cluster *cluster, int who);
size_t cluster_nodes(const struct cluster *cluster);

/** Where its output is. Borrowed. */
const char *cluster_log(const struct cluster *cluster, int who);

/** How often `text` occurs in its output. */
size_t cluster_logged(const struct cluster *cluster, int who, const char *text);

/** Wait until it occurs at least `count` times. False: too late; then the end
 * of the output goes to stderr. */
bool cluster_wait_logged(const struct cluster *cluster, int who,
                         const char *text, size_t count);

/** Print the end of everyone's output to stderr. */
void cluster_dump(const struct cluster *cluster);

/* --- Nodes ---------------------------------------------------------------- */

/** Options of one node instead of opts.args, from its next start on. */
void cluster_set_args(struct cluster *cluster, int node,
                      const char *const *args);

/** The node's answer to OPTIONS, by which HAProxy asks for its health: 200 is
 * ready, 503 not; -1 none. */
int cluster_health(const struct cluster *cluster, int node);
bool cluster_wait_health(const struct cluster *cluster, int node, int status);

/** Wait until HAProxy takes a node for up or down. */
bool cluster_wait_balanced(const struct cluster *cluster, int node, bool up);

/** Open connections of HAProxy to a node, -1 when it does not say. */
long cluster_balanced(const struct cluster *cluster, int node);

/* --- Redis and HAProxy ---------------------------------------------------- */

/** Run a command (words without spaces) by redis-cli; what it printed to `out`
 * (may be NULL), without the last line end. False when it failed. */
bool cluster_redis(const struct cluster *cluster, const char *line, char *out,
                   size_t cap);

/** Remove the data of a Redis that does not run. */
void cluster_redis_wipe(struct cluster *cluster);

/** A command for HAProxy's admin socket, "disable server nodes/node-0"; its
 * answer to `out` (may be NULL). False when there was none. */
bool cluster_haproxy(const struct cluster *cluster, const char *line, char *out,
                     size_t cap);

#endif
