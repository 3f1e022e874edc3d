/* node.h - the life of a server process: options that all servers of ours
 * share, listening, signals, exit status.
 *
 *   wwr_node_new()   parse the command line into `opts`
 *   wwr_node_open()  make the server, its transport and session store
 *   wwr_node_run()   listen, say so, serve until a signal, stop gracefully
 *   wwr_node_free()
 *
 * SIGTERM or SIGINT ends gracefully, over the drain time (wwr_server_drain()).
 *
 * The exit status of a server: 0 after SIGTERM or SIGINT and a graceful stop,
 * 128 + the signal after a second one cut that short, 1 when it can't start, 2
 * when an option is wrong. SIGHUP reads the certificate again, and the options
 * when the program has on_reload; SIGPIPE is ignored. systemd hears when the
 * server is ready, reloads and stops, and that it is alive (notify.h). All of
 * it is for the main thread. */
#ifndef WWR_NODE_H
#define WWR_NODE_H

#include <webwire/wwr_server.h>

#include "admin.h"
#include "options.h"

struct wwr_node; /* opaque */

/** What is special about a server. Borrowed until wwr_node_free(). */
struct wwr_node_program {
  const char *name;    /**< "echo-server". */
  const char *summary; /**< For --help. */
  const char *listen;  /**< Default address, "127.0.0.1:8081". */
  const char *origin;  /**< Default allowed origin; NULL: the same host, "*":
                            any. */
  uint32_t drain_ms;   /**< Default time of a drain; 0: all at once. */
  const char *admin;   /**< Default address of the admin listener; NULL: there
                            is none unless --admin asks for it. */
  const struct wwr_option *options; /**< Its own, besides the shared ones. */
  size_t option_count;

  /** As in struct wwr_command; all optional. */
  const struct wwr_option_section *sections;
  size_t section_count;
  const char *env;
  void (*complain)(const char *line, void *user_data);

  /** Look at the options together and wwr_options_reject() what is wrong. */
  void (*settle)(struct wwr_options *options, void *user_data);
  /** SIGHUP: the program reads its options again with wwr_node_reread(). */
  void (*on_reload)(struct wwr_node *node, void *user_data);
  /** What the program counts, for its metrics; see admin.h. */
  void (*counters)(struct wwri_admin_counters *out, void *user_data);
  void *user_data;
};

/** Parse the command line, which may change in `opts`: read_timeout_ms,
 * message_buffer_bytes, max_queued_bytes, io_threads, max_connections. What
 * `opts` holds before are the defaults. `opts` is borrowed until
 * wwr_node_open() and may be changed until then. From here on SIGTERM, SIGINT
 * and SIGHUP are blocked, for threads to come as well, and wait for
 * wwr_node_run(). WWR_GO_ON or the exit status; then *out is NULL. */
int wwr_node_new(struct wwr_node **out, const struct wwr_node_program *program,
                 struct wwr_server_opts *opts, int argc, char **argv);

/** Read command line, environment and file once more. `program` is like the one
 * of wwr_node_new(), with targets of its own, and `opts` holds the defaults
 * again. When all of it is right, what may change in a running server of what
 * all servers share does, `keep(user_data)` is called to take over the
 * program's own from its new targets, and WWR_GO_ON is returned; what changed
 * and can't is named in the log, a line each. Else nothing has changed, and
 * what is wrong was said in the log. The new targets' texts are gone when this
 * returns. */
int wwr_node_reread(struct wwr_node *node,
                    const struct wwr_node_program *program,
                    struct wwr_server_opts *opts, void (*keep)(void *user_data),
                    void *user_data);

/** Write a line to the server's log. Any thread. */
void wwr_node_say(const struct wwr_node *node, enum wwr_log_level level,
                  const char *message);

/** Make the server: it neither listens nor calls hooks before wwr_node_run().
 * *server is borrowed and lives until wwr_node_free(). WWR_GO_ON or the exit
 * status; then a line was printed and *server is NULL. */
int wwr_node_open(struct wwr_node *node, struct wwr_server **server);

/** Make the server unless that has happened, start it, print "listening on
 * ADDRESS" (before that, on stderr, "admin on ADDRESS" if there is an admin
 * listener), wait for a signal, stop. Returns the exit status. */
int wwr_node_run(struct wwr_node *node);

/** Print "NAME: option: message" and return the exit status, as
 * wwr_options_reject(), for the program's own options. */
int wwr_node_reject(struct wwr_node *node, const char *option,
                    const char *message);

/** Free, the server included; its hooks are over afterwards. NULL does
 * nothing. */
void wwr_node_free(struct wwr_node *node);

#endif
