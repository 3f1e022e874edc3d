/* node_impl.h - what node.c and run.c share. */
#ifndef WWRI_NODE_IMPL_H
#define WWRI_NODE_IMPL_H

#include <webwire/wwr_cluster.h>
#include <webwire/wwr_websocket.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "config.h"
#include "node.h"

struct wwr_node {
  const struct wwr_node_program *program;
  int argc;
  char **argv;
  struct wwr_server_opts *opts;
  uint32_t default_read_timeout_ms;
  uint32_t accepts_per_second;

  struct wwr_command command;
  struct wwr_option *table;
  struct wwr_options *options;
  const char *listen;
  const char *config;
  const char *sessions;
  const char *origin; /* the item of `origins` by default */
  struct wwr_option_list origins;
  struct wwr_tls_server tls;
  bool tls_readable; /* both of its files are there */
  uint32_t drain_ms;
  const char *redis_url; /* NULL: no cluster */
  const char *redis_password;
  struct wwr_cluster_opts cluster_opts;
  const char *admin_listen; /* NULL: no admin listener */
  const char *admin_token;
  const char *health_url; /* to ask instead of being a server */
  enum wwr_log_level log_level;
  atomic_int level; /* the same, for all threads */
  enum wwr_log_format log_format;

  struct wwr_log_writer *writer;
  struct wwr_log log;              /* to the writer */
  struct wwr_transport *transport; /* the server owns it */
  struct wwr_server *server;
  struct wwr_cluster *cluster; /* outlives the server */
  struct wwri_admin *admin;    /* while it runs */
  sigset_t signals;            /* that wwr_node_run() waits for */

  /* Why the server could not start, as the log tells it. */
  struct {
    pthread_mutex_t mutex;
    char text[WWRI_REASON_MAX];
  } reason;
};

enum { WWRI_CLUSTER_OPTIONS = 10, WWRI_ADMIN_OPTIONS = 4 };

/** wwr_node_new() without an effect on the process. */
int wwri_node_read(struct wwr_node **out,
                   const struct wwr_node_program *program,
                   struct wwr_server_opts *opts, int argc, char **argv);

/** What the server's log is asked for. */
enum wwr_log_level wwri_node_log_level(const struct wwr_node *node);

enum { WWRI_OWN_OPTIONS = 21 };

/** Fill the options of every server; sets their defaults. */
void wwri_node_options(struct wwr_node *node, struct wwr_option *rows);

/** What follows from one option for others, and what is wrong with them
 * together. */
void wwri_node_settle(struct wwr_node *node);

/** Make the transport. WWR_GO_ON or the exit status; then a line was printed.
 */
int wwri_node_transport(struct wwr_node *node);

/** Fill the options of the admin listener. */
void wwri_node_admin_options(struct wwr_node *node, struct wwr_option *rows);

/** What is wrong with them, and the hook for what other nodes ask for. */
void wwri_node_admin_settle(struct wwr_node *node);

/** Start it, if there is to be one, and say where. WWR_GO_ON or the exit
 * status; then a line was printed. */
int wwri_node_admin_start(struct wwr_node *node);

/** What was read again. */
void wwri_node_admin_reread(struct wwr_node *node, const struct wwr_node *now);

/** Fill the options of the cluster; sets their defaults. */
void wwri_cluster_options(struct wwr_node *node, struct wwr_option *rows);

/** Say what is wrong with them together. */
void wwri_cluster_settle(struct wwr_node *node);

/** Make the membership, to see whether its options are right. WWR_GO_ON or the
 * exit status; then a line was printed. */
int wwri_cluster_new(struct wwr_node *node);

/** Join the cluster that the options name: bus and store go to node->opts.
 * WWR_GO_ON or the exit status; then a line was printed. */
int wwri_cluster_open(struct wwr_node *node);

/** Sent to the main thread when the server has stopped. */
#define WWRI_SIGNAL_STOPPED SIGUSR1

/** Print one line that says why the server can't start: the first error of its
 * log, or `what` and `err`. Returns WWR_EXIT_FAILED. */
int wwri_node_failed(const struct wwr_node *node, const char *what,
                     wwr_err err);

#endif
