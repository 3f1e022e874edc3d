/* wwr_server.h - accept webwire clients, answer requests, push signals, keep
 * sessions. The wire contract is docs/protocol.md; where a function follows a
 * section of it, the comment names it.
 *
 * Threads: every function may be called from any thread, except where its
 * comment says otherwise. Hooks run on I/O threads or workers, see
 * enum wwr_handlers; hooks of different connections run at the same time. */
#ifndef WWR_SERVER_H
#define WWR_SERVER_H

#include "wwr_admin.h"
#include "wwr_channel.h"
#include "wwr_conn.h"
#include "wwr_log.h"
#include "wwr_sessionstore.h"
#include "wwr_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_server; /* opaque; freed by wwr_server_free() */
struct wwr_bus;    /* what carries channels between nodes; opaque */

/** What the application does. All optional; copied. Borrowed arguments are
 * valid until the hook returns. */
struct wwr_server_hooks {
  /** A client asks to connect: return false to refuse it (403, or what
   * wwr_http_respond() chose). Set the connection's concurrency limit and info
   * on `http`. On an I/O thread always: must not block. */
  bool (*on_upgrade)(struct wwr_http *http, void *user_data);

  /** An OPTIONS request: choose an answer, else it is 200. On an I/O thread. */
  void (*on_options)(struct wwr_http *http, void *user_data);

  /** Any other HTTP request that asks for no upgrade: choose an answer with
   * wwr_http_respond(), else it is 426. The body of an answer to HEAD is not
   * sent, but its length is said. While the server stops it is not called
   * (503). On an I/O thread always: must not block. */
  void (*on_http)(struct wwr_http *http, void *user_data);

  /** The first hook of a connection; no other runs before it has returned.
   * What is sent in it queues behind accept-conf. */
  void (*on_connected)(struct wwr_conn *conn, void *user_data);

  /** The last hook of a connection, exactly once after on_connected returned
   * and its open handlers finished. `reason`: WWR_OK (closed by either side),
   * WWR_E_TIMEOUT (nothing was heard for the read timeout), WWR_E_PROTOCOL,
   * WWR_E_SLOW_CONSUMER, WWR_E_DISCONNECTED (broken), WWR_E_UNAVAILABLE (its
   * session could not be restored, or lost its place, because the cluster was
   * out of reach), WWR_E_NOMEM, WWR_E_IO (the system failed us). */
  void (*on_disconnected)(struct wwr_conn *conn, wwr_err reason,
                          void *user_data);

  /** A signal arrived. */
  void (*on_signal)(struct wwr_conn *conn, const struct wwr_message *message,
                    void *user_data);

  /** A request arrived. The hook owns `request` and must answer it, now or
   * later, exactly once (wwr_request_reply() and its siblings). Without this
   * hook every request gets reply-internal-error. */
  void (*on_request)(struct wwr_conn *conn, struct wwr_request *request,
                     const struct wwr_message *message, void *user_data);

  /** A channel is used on this node for the first time (in a while): change in
   * `opts` what differs from the defaults. On any thread: must not block. */
  void (*on_channel)(struct wwr_view channel, struct wwr_channel_opts *opts,
                     void *user_data);

  /** Messages of a channel could not be repaired (docs/cluster.md); logged and
   * counted in any case. On an I/O thread: must not block. */
  void (*on_verdict)(struct wwr_server *server, struct wwr_view channel,
                     const struct wwr_verdict *verdict, void *user_data);

  /** The cluster's health as this node sees it changed. On an I/O thread: must
   * not block. */
  void (*on_health)(struct wwr_server *server, enum wwr_health health,
                    void *user_data);

  /** A connection gets a session, created or restored: when does that end? Unix
   * time in nanoseconds; 0: at no time. It is asked again when it may have
   * changed, and the same session has to give the same answer on every node.
   * At that time the session is closed on all of its connections, and they are
   * closed (1001), so that nothing is left of what the session permitted; from
   * then on it can't be restored. On an I/O thread: must not block. */
  int64_t (*on_session)(const struct wwr_session *session, void *user_data);

  /** A command of a node, by wwr_server_command(): true when it was understood
   * and is being carried out. On an I/O thread: must not block. */
  bool (*on_command)(struct wwr_server *server, struct wwr_view text,
                     void *user_data);
};

/** Where on_connected, on_disconnected, on_signal and on_request run. */
enum wwr_handlers {
  WWR_HANDLERS_BLOCKING,   /**< On worker threads: they may block (default). */
  WWR_HANDLERS_NONBLOCKING /**< On the I/O thread: they return at once. Much
                                faster; a hook that blocks stalls every
                                connection of its thread. */
};

/** Makes session keys. Writes a NUL-terminated key of at most cap - 1
 * characters to `out`; false when it failed. Any thread, several at once. An
 * empty key counts as a failure. Called up to 16 times for one session, while
 * the store can't keep what has such a key (`takes` of wwr_sessionstore.h). */
typedef bool (*wwr_keygen)(char *out, size_t cap, void *user_data);

/** Fill with wwr_server_opts_default(), then change what you need. */
struct wwr_server_opts {
  struct wwr_server_hooks hooks;
  void *user_data; /**< Given to hooks; borrowed. */

  struct wwr_transport *transport; /**< Required, taken over: of
                                        wwr_websocket.h or wwr_memory.h. */
  struct wwr_sessionstore *store;  /**< Optional, taken over: of wwr_stores.h,
                                        wwr_redisstore.h or your own; NULL:
                                        sessions are disabled. */
  struct wwr_bus *bus; /**< Optional, of wwr_cluster.h; default NULL: channels
                            within this server. Not taken over: it outlives the
                            server, which opens it at its start and closes it at
                            its end. */
  struct wwr_log log;  /**< Default: silence. Copied. */

  enum wwr_handlers handlers; /**< Default WWR_HANDLERS_BLOCKING. */
  int concurrency;            /**< Default limit of a connection, 0: see
                                   wwr_http_set_concurrency(). */
  const char *subprotocol;    /**< Sub-protocol name in accept-conf, printable
                                   ASCII; default none. Copied. */
  uint32_t read_timeout_ms;   /**< Default 60000; below 1000 means default. */
  uint32_t message_buffer_bytes; /**< Default 8192, 32..67108864. */
  uint32_t max_session_conns;    /**< Connections per session; 0 (default):
                                      unlimited. */
  wwr_keygen keygen;             /**< Optional; default: 48 random bytes as
                                      URL-safe base64. */
  void *keygen_user_data;

  uint32_t io_threads;     /**< 0 (default): cores - 1, at least 1; up to 64. */
  uint32_t worker_threads; /**< Default 64, 1..1024: at most so many handlers
                                run at once; threads start on demand. */
  uint32_t max_queued_bytes; /**< Outgoing bytes per connection before it is cut
                                  off as a slow consumer. Default 1048576, at
                                  least message_buffer_bytes + 1024. */
  uint32_t max_pending_bytes;   /**< Incoming bytes that wait per connection for
                                     its concurrency limit before its socket is
                                     no longer read. Default 65536, at
                                     least 1. */
  uint32_t max_connections;     /**< Default 0: as many as descriptors allow. */
  uint32_t max_conn_channels;   /**< Channels per connection. Default 1000,
                                     1..65536. */
  uint32_t subscribe_wait_ms;   /**< How long accept-conf may wait for what
                                     on_connected subscribes. Default 2000, up to
                                     60000; 0: not at all. */
  uint32_t ping_interval_ms;    /**< Default 25000, 0: no pings. Jittered. */
  uint32_t shutdown_timeout_ms; /**< How long wwr_server_shutdown() waits for
                                     open handlers. Default 30000; 0: for
                                     ever. */
};

WWR_API void wwr_server_opts_default(struct wwr_server_opts *opts);

/** Make a server. Copies `opts`; takes over transport and store only on
 * success, else they are freed by wwr_transport_free() and
 * wwr_sessionstore_free(). `bad_field` (may be NULL) names the option that is
 * wrong; static. Errors: WWR_E_INVALID, WWR_E_NOMEM, WWR_E_IO (no thread). */
WWR_API WWR_MUST_CHECK wwr_err
wwr_server_new(struct wwr_server **out, const struct wwr_server_opts *opts,
               const char **bad_field);

/** Start to accept clients, on the server's own threads, and return. Once.
 * Errors: WWR_E_IO (can't listen; logged with the reason), WWR_E_TLS,
 * WWR_E_NOMEM, WWR_E_CLOSED (it was started or shut down before), WWR_E_EXISTS
 * (another server is on the memory hub), WWR_E_INVALID (the bus is, or was,
 * another server's). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_start(struct wwr_server *server);

/** Wait until the server was shut down. Not in a hook. */
WWR_API void wwr_server_wait(struct wwr_server *server);

/** Start, then wait. Errors: as wwr_server_start(). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_run(struct wwr_server *server);

/** Shut down gracefully (docs/protocol.md, "Transport" and "Requests"): new
 * connections get 503, new requests reply-shutdown, signals are dropped; when
 * the open handlers have finished and their replies are written, every
 * connection is closed with 1001. Blocks until all of that is done or
 * shutdown_timeout_ms is over, then cuts off what is left. Every caller blocks;
 * harmless when it has happened. Not in a hook (use
 * wwr_server_shutdown_async()). */
WWR_API void wwr_server_shutdown(struct wwr_server *server);

/** Begin that and return; wwr_server_wait() tells the end. Also in a hook. */
WWR_API void wwr_server_shutdown_async(struct wwr_server *server);

/** Cut the wait for open handlers short: a second signal of the impatient. */
WWR_API void wwr_server_abort(struct wwr_server *server);

/** Shut down if that has not happened, and free. Not in a hook; no other call
 * may be under way, every wwr_conn reference must be given back, and every
 * request answered. NULL does nothing. */
WWR_API void wwr_server_free(struct wwr_server *server);

/** Where it listens, "ws://127.0.0.1:8080"; "" before the start. Lives as long
 * as the server. */
WWR_API const char *wwr_server_address(const struct wwr_server *server);

/** This node's name, as wwr_server_nodes() tells it to others: the cluster's
 * option, by default the host name and process id. Lives as long as the
 * server. */
WWR_API const char *wwr_server_node_name(const struct wwr_server *server);

/** Queue a signal to every connection of this node, those included whose
 * accept-conf was sent but not yet received. All connections see broadcasts in
 * one order. Errors: WWR_E_PROTOCOL, WWR_E_BUFFER_OVERFLOW, WWR_E_NOMEM,
 * WWR_E_CLOSED (not running). */
WWR_API wwr_err wwr_server_broadcast(struct wwr_server *server,
                                     struct wwr_view name,
                                     const struct wwr_payload *payload);

/** The same to all but one connection; NULL: to all. */
WWR_API wwr_err wwr_server_broadcast_except(struct wwr_server *server,
                                            const struct wwr_conn *except,
                                            struct wwr_view name,
                                            const struct wwr_payload *payload);

/** Number of sessions that have connections to this server. */
WWR_API size_t wwr_server_sessions(const struct wwr_server *server);

/** Number of a session's connections to this server, -1 when it has none. */
WWR_API long wwr_server_session_conn_count(const struct wwr_server *server,
                                           struct wwr_view key);

/** A session's connections to this server, each with a reference: give them
 * back with wwr_conn_unref() and the array with wwr_free(). *count 0 and *out
 * NULL when it has none. Errors: WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_server_session_conns(const struct wwr_server *server, struct wwr_view key,
                         struct wwr_conn ***out, size_t *count);

/** What closing a session by key did to one connection. */
struct wwr_close_result {
  struct wwr_conn *conn; /**< Borrowed, valid during the callback. */
  wwr_err err;           /**< WWR_OK, or what the store said for the last. */
};

typedef void (*wwr_close_done)(const struct wwr_close_result *results,
                               size_t count, void *user_data);

/** Close a session on every connection of it (docs/protocol.md, "Sessions");
 * with a store that has authority on every node. `done` (may be NULL) is called
 * once, on an I/O thread, as a wwr_conn_done, with the connections of this
 * server. When there are none the list is empty, and a store without authority
 * is left alone.
 * Errors, returned: WWR_E_SESSIONS_DISABLED, WWR_E_CLOSED, WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_server_close_session(struct wwr_server *server, struct wwr_view key,
                         wwr_close_done done, void *user_data);

/** Counters since the start; `connections`, `sessions`, `open_handlers` and
 * `queued_bytes` are gauges. */
struct wwr_server_stats {
  uint64_t connections;
  uint64_t sessions; /**< That have connections to this server. */
  uint64_t accepted;
  uint64_t refused;
  uint64_t delayed; /**< Connections that waited for the transport's limit of
                         accepts per second. */
  uint64_t slow_consumers;
  uint64_t read_timeouts;
  uint64_t violations;
  uint64_t requests;
  uint64_t signals_in;
  uint64_t signals_out;   /**< Counted per receiving connection. */
  uint64_t open_handlers; /**< Handlers, restores, closes, and operations of the
                               store. */
  uint64_t queued_bytes;  /**< For clients, that the kernel has not taken at
                               once. */
};
WWR_API void wwr_server_stats(const struct wwr_server *server,
                              struct wwr_server_stats *out);

#ifdef __cplusplus
}
#endif
#endif /* WWR_SERVER_H */
