/* wwr_admin.h - watch and steer a running server: drain it, change limits, list
 * what is on it, ask whether it is well, and tell a node of the cluster to do
 * something. What operators need and handlers do not.
 *
 * Threads: every function may be called from any thread and none blocks.
 * Callbacks are called exactly once for every call that returned WWR_OK, and
 * not for others; on an I/O thread, never from inside the call; they must not
 * block. What they are given is a copy, or a reference, borrowed until they
 * return: it holds still while connections come and go. */
#ifndef WWR_ADMIN_H
#define WWR_ADMIN_H

#include "wwr_channel.h"
#include "wwr_conn.h"
#include "wwr_log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_server;

/* --- Draining ----------------------------------------------------------- */

/** End gracefully, spread over `ms`, so that clients come back on other nodes a
 * few at a time:
 * - At once OPTIONS is answered 503, and the cluster hears that this node is
 *   draining. For the first quarter of the time (at most 5 s), while load
 *   balancers find out, new connections are still taken.
 * - Then new connections get 503, and those that stand are closed one by one,
 *   in a random order and at jittered times over the rest. Until its turn a
 *   connection works as ever. At its turn it is closed as by wwr_conn_close(),
 *   but with code 1001: requests under way finish, new ones get reply-shutdown.
 *   Its session lives on.
 * - When all have gone, or the time is over, wwr_server_shutdown_async().
 * Called again, it ends after the new time if that is earlier: 0 hurries. A
 * shutdown or wwr_server_abort() meanwhile takes over at once. Before the start
 * it does nothing, but for 0, which is a shutdown at any time. */
WWR_API void wwr_server_drain(struct wwr_server *server, uint32_t ms);

struct wwr_drain_state {
  bool draining;      /**< Since wwr_server_drain() or a shutdown, for good. */
  uint64_t remaining; /**< Connections that are still there; 0 before. */
  uint64_t left_ms;   /**< Until the last is closed; 0 before, and after. */
};
WWR_API void wwr_server_drain_state(const struct wwr_server *server,
                                    struct wwr_drain_state *out);

/* --- Limits ------------------------------------------------------------- */

/** Options that may change while the server runs; see wwr_server_opts. What is
 * not here can't: a client was told the read timeout and the message buffer
 * size when it connected, and the cluster must agree on the latter and on the
 * connections per session. */
struct wwr_server_limits {
  uint32_t max_connections;     /**< Those that stand stay. */
  uint32_t max_queued_bytes;    /**< At the next message for a connection. */
  uint32_t max_pending_bytes;   /**< At the next message from a connection. */
  uint32_t max_conn_channels;   /**< Subscriptions that stand stay. */
  enum wwr_log_level log_level; /**< Of wwr_server_opts.log; the cluster has its
                                     own, wwr_cluster_set_log_level(). */
};

/** What is in force. */
WWR_API void wwr_server_limits(const struct wwr_server *server,
                               struct wwr_server_limits *out);

/** Set them all. `bad_field` (may be NULL) names what is wrong; static.
 * Errors: WWR_E_INVALID: nothing changed. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_set_limits(
    struct wwr_server *server, const struct wwr_server_limits *limits,
    const char **bad_field);

/* --- Lists -------------------------------------------------------------- */
/* Of this node. In pages: at most `max` (1..WWR_LIST_MAX) rows, ascending,
 * beginning after the last row of the page before. `more`: there are others
 * behind them. Each I/O thread is looked at in turn, so rows that were there
 * throughout are listed, others perhaps.
 * Errors, returned: WWR_E_INVALID, WWR_E_NOMEM, WWR_E_CLOSED (not running).
 * Told by `done`: WWR_E_NOMEM, then without rows. */

enum { WWR_LIST_MAX = 1000 };

struct wwr_conn_row {
  struct wwr_conn *conn;       /**< Borrowed: id, remote, created and info. */
  struct wwr_session *session; /**< Borrowed; NULL: none. */
  uint64_t queued_bytes;       /**< For the client, and still here. */
  uint64_t pending_bytes; /**< From the client, waiting for its handlers. */
  uint32_t open;          /**< Handlers, restores and closes under way. */
  uint32_t channels;
  bool closing; /**< It was asked to close. */
};
typedef void (*wwr_list_conns_done)(wwr_err err,
                                    const struct wwr_conn_row *rows,
                                    size_t count, bool more, void *user_data);

/** Connections by id; `after`: an id, 0 from the beginning. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_list_conns(struct wwr_server *server,
                                                     uint64_t after,
                                                     uint32_t max,
                                                     wwr_list_conns_done done,
                                                     void *user_data);

struct wwr_session_row {
  struct wwr_session *session; /**< Borrowed: key, creation and info. */
  uint32_t connections;        /**< To this node. */
};
typedef void (*wwr_list_sessions_done)(wwr_err err,
                                       const struct wwr_session_row *rows,
                                       size_t count, bool more,
                                       void *user_data);

/** Sessions that have connections here, by key; `after`: a key, empty from the
 * beginning. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_list_sessions(
    struct wwr_server *server, struct wwr_view after, uint32_t max,
    wwr_list_sessions_done done, void *user_data);

struct wwr_channel_row {
  struct wwr_view name;
  uint64_t subscribers;       /**< Connections to this node. */
  struct wwr_channel_id last; /**< The last message delivered here; {0, 0}: none
                                   yet, or not logged. */
};
typedef void (*wwr_list_channels_done)(wwr_err err,
                                       const struct wwr_channel_row *rows,
                                       size_t count, bool more,
                                       void *user_data);

/** Channels that this node receives, by name, that begin with `prefix` (empty:
 * all); `after`: a name, empty from the beginning. A channel is received a few
 * seconds longer than somebody here is subscribed to it. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_list_channels(
    struct wwr_server *server, struct wwr_view prefix, struct wwr_view after,
    uint32_t max, wwr_list_channels_done done, void *user_data);

/** `conn`: borrowed; NULL: there is none with that id. */
typedef void (*wwr_find_conn_done)(struct wwr_conn *conn, void *user_data);

/** Find a connection by its id, as to close it with wwr_conn_close().
 * Errors: WWR_E_NOMEM, WWR_E_CLOSED (not running). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_find_conn(struct wwr_server *server,
                                                    uint64_t id,
                                                    wwr_find_conn_done done,
                                                    void *user_data);

/* --- Is it well? -------------------------------------------------------- */

struct wwr_loops_state {
  uint32_t count; /**< I/O threads. */
  uint64_t
      silent_ms;   /**< Since the loop that has been silent longest turned
                        last: a quarter of a second or so when all is well. */
  uint64_t lag_us; /**< What was due waited at most so long, since this was
                        last asked for. Looked at four times a second. */
};

/** How the I/O threads fare. Zeros before the start. */
WWR_API void wwr_server_loops(struct wwr_server *server,
                              struct wwr_loops_state *out);

/* --- Redis, shard by shard ---------------------------------------------- */

enum { WWR_SHARDS_MAX = 64, WWR_SHARD_TEXT_MAX = 300 };

/** One of the Redis servers that this node works with, or one partition of a
 * Redis Cluster (docs/scaling.md). Counters since the start. */
struct wwr_shard_row {
  char name[WWR_SHARD_TEXT_MAX]; /**< Its URL without secrets and options; of a
                                      partition "{TAG}", the tag of its keys. */
  char address[WWR_SHARD_TEXT_MAX]; /**< HOST:PORT or the path of the socket
                                         that it is on now; empty before it was
                                         reached first. */
  uint32_t partitions; /**< That it has, of 64; of a single Redis 1: it is not
                            sharded. */
  int32_t slot; /**< Of a partition's tag in the Redis Cluster, else -1. */
  enum wwr_health health;
  char reason[128];  /**< One line for people; "" when ready. */
  uint64_t channels; /**< That this node receives. */
  uint64_t published;
  uint64_t delivered;   /**< Messages, before they are copied to connections. */
  uint64_t reconnects;  /**< How often its link was live again. */
  uint64_t beat_age_ms; /**< As in struct wwr_cluster_state. */
  uint64_t rtt_ms;      /**< What its last beat took. */
};

/** Copy up to `max` rows, always in the same order, and return how many there
 * are: at most WWR_SHARDS_MAX; 0 without a cluster, and without memory. */
WWR_API size_t wwr_server_shards(const struct wwr_server *server,
                                 struct wwr_shard_row *rows, size_t max);

/* --- Other nodes -------------------------------------------------------- */

enum { WWR_COMMAND_MAX = 512 };

/** `err`: WWR_OK: that node's on_command hook has returned true.
 * WWR_E_REFUSED: it returned false, or there is none. WWR_E_NOT_FOUND: no such
 * node is alive. WWR_E_UNAVAILABLE: no answer within 5 s; it may or may not
 * have been carried out. WWR_E_CLOSED: this server ends. */
typedef void (*wwr_command_done)(wwr_err err, void *user_data);

/** Give a node of the cluster, this one included, a short text (1 to
 * WWR_COMMAND_MAX bytes) for its on_command hook. `node`: its name, as
 * wwr_server_nodes() tells it; if several have it, the one heard of last.
 * Commands travel by a logged channel that all nodes read, and each is carried
 * out at most once: meant for an operator's, not for traffic. `done` may be
 * NULL.
 * Errors: WWR_E_INVALID (node, text), WWR_E_LIMIT (64 are under way),
 * WWR_E_NOMEM, WWR_E_CLOSED (not running). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_command(struct wwr_server *server,
                                                  const char *node,
                                                  struct wwr_view text,
                                                  wwr_command_done done,
                                                  void *user_data);

#ifdef __cplusplus
}
#endif
#endif /* WWR_ADMIN_H */
