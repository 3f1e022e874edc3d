/* wwr_cluster.h - many nodes as one server, over Redis (docs/cluster.md).
 *
 * Make one of these per server; give its bus and a session store to
 * wwr_server_opts; free it after the server. Ten in one process are ten nodes.
 * A program that only publishes is a node, too: its server's transport may be
 * the one in memory (wwr_memory.h), which nobody dials.
 *
 * All nodes must agree on message_buffer_bytes, max_session_conns and
 * subprotocol of wwr_server_opts, on the lease and on the list of Redis
 * servers: one that does not is refused (WWR_HEALTH_REFUSED, and its log says
 * what differs). They should agree on what on_channel makes of a channel.
 * webwired has 65536 bytes, no limit of connections and the sub-protocol
 * "webwire-channels/1" unless it is told otherwise.
 *
 * Threads: _new, _bus and _free are for the owner's. */
#ifndef WWR_CLUSTER_H
#define WWR_CLUSTER_H

#include "wwr_log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_bus;     /* what carries channels; opaque */
struct wwr_cluster; /* a node's membership; opaque */

/** Fill with wwr_cluster_opts_default(), then change what you need. Copied. */
struct wwr_cluster_opts {
  const char *url;    /**< Required: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
                           or one of the others of docs/cluster.md, "URLs"; 2
                           to 64 of them with white space in between: each has
                           its share of the channels and sessions. The same on
                           all nodes, in the same order. Holds a password
                           perhaps: never logged. */
  const char *prefix; /**< Of every key and Redis channel. Default "wwr"; 1..32
                           letters, digits, '-', '_'. */
  const char *name;   /**< This node's name in logs and lists. Default: the host
                           name and process id. At most 63 printable
                           characters. */
  uint32_t hold_ms;   /**< How long what needs Redis waits while it is away.
                           Default 10000, 100..60000. */
  uint32_t lease_ms;  /**< Silence after which others take this node for dead.
                           The same on all nodes. Default 30000; at least
                           2 x hold_ms, at most 600000. */
  uint32_t session_ttl_ms; /**< How long a session nobody is connected with is
                                kept. Default 2592000000 (30 days); at least
                                60000. */
  bool recreate_sessions;  /**< Default true: when Redis lost its data, put back
                                the sessions connected here. False: close
                                them. */
  uint32_t max_held;  /**< Restores that wait at a time; over it connections are
                           closed. With several Redis half of it is divided
                           among them. Default 20000, at least 1. */
  struct wwr_log log; /**< Default: silence. Copied. */
};
WWR_API void wwr_cluster_opts_default(struct wwr_cluster_opts *opts);

/** Whether wwr_cluster_new() would take them. WWR_E_INVALID: `why`, of `cap`
 * bytes, is one line that names the option, and which URL of several it is.
 * Errors also: WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_cluster_check(const struct wwr_cluster_opts *opts, char *why, size_t cap);

/** A membership that does nothing until the server that got its bus starts.
 * WWR_E_INVALID: `why` (may be NULL) is set to one static line that names the
 * option. Errors also: WWR_E_TLS (a file, see `why`), WWR_E_IO (no thread, no
 * random numbers), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_cluster_new(struct wwr_cluster **out, const struct wwr_cluster_opts *opts,
                const char **why);

/** Its bus, for wwr_server_opts.bus. Belongs to the cluster; for one server. */
WWR_API struct wwr_bus *wwr_cluster_bus(struct wwr_cluster *cluster);

/** Change what its log gets from now on. Any thread. */
WWR_API void wwr_cluster_set_log_level(struct wwr_cluster *cluster,
                                       enum wwr_log_level level);

/** Free, after the server that got the bus and the stores made of it. NULL does
 * nothing. */
WWR_API void wwr_cluster_free(struct wwr_cluster *cluster);

#ifdef __cplusplus
}
#endif
#endif /* WWR_CLUSTER_H */
