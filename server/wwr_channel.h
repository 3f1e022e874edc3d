/* wwr_channel.h - channels: named streams of signals that connections subscribe
 * to, on whatever node they are (docs/cluster.md).
 *
 * Order: every subscriber of a channel sees its messages in one order, on every
 * node, and the publishers are among them. A logged channel (the default) keeps
 * its last messages: what a subscriber misses because the cluster's links broke
 * is read from there before anything newer is delivered, or a verdict says that
 * it could not be.
 *
 * A channel's name is 1 to 200 bytes of printable ASCII and does not begin with
 * '!'. Channels need no creation, and vanish when nobody uses them.
 *
 * Threads: every function may be called from any thread; calls of one thread
 * take effect in their order. Callbacks are called exactly once for every call
 * that returned WWR_OK, and not for others; on an I/O thread, never from inside
 * the call; they must not block. What they are given is borrowed until they
 * return. */
#ifndef WWR_CHANNEL_H
#define WWR_CHANNEL_H

#include "wwr_conn.h"
#include "wwr_sessionstore.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_server;

/** How a channel behaves: the same on all nodes, or they disagree. Filled with
 * the defaults before the on_channel hook may change it; a number outside its
 * range is brought into it. */
struct wwr_channel_opts {
  bool logged;          /**< Default true. False: at most once, no history. */
  uint32_t log_entries; /**< Messages kept. Default 1000, 1..1000000. */
  uint32_t log_age_ms;  /**< ... for so long. Default 600000, 1000..2592000000
                             (30 days). */
  bool counted;         /**< Default true: wwr_server_subscribers() knows it. */
  bool presence;        /**< Default false: wwr_server_presence() knows members,
                             which are named by their sessions. */
  const char *member_field; /**< The text field of the session's info that names
                                 a member. Default "username". Borrowed for
                                 ever. Connections without it, or with more
                                 than 255 bytes in it, count together, under an
                                 empty name. */
  bool gap_signals; /**< Default false. True: what could not be repaired is told
                         to subscribers as a signal "gap:CHANNEL" with a text
                         like "lost 17-3 17-9 7": the verdict, from, to (epoch
                         and offset), count. */
};

/** A message's place in its channel's log; {0, 0} in one that is not logged.
 * Within an epoch offsets grow by one; epochs grow. */
struct wwr_channel_id {
  uint64_t epoch;
  uint64_t offset;
};

struct wwr_channel_message {
  struct wwr_channel_id id;
  uint64_t time_ms; /**< Unix time when it was published. */
  struct wwr_view name;
  struct wwr_payload payload;
};

/** What could not be repaired on this node, for one channel. */
enum wwr_verdict_kind {
  WWR_VERDICT_LOST,     /**< from..to were gone from the log before they could
                             be read. */
  WWR_VERDICT_DIVERGED, /**< `count` messages were delivered here which the log
                             forgot in a failover. */
  WWR_VERDICT_RESET,    /**< The place in the log is unknown: what was not
                             delivered up to `to` is lost. */
  WWR_VERDICT_UNCERTAIN /**< The log's server changed: messages of nodes that
                             died with it may be missing. */
};

/** Ranges are inclusive. */
struct wwr_verdict {
  enum wwr_verdict_kind kind;
  struct wwr_channel_id from;
  struct wwr_channel_id to;
  uint64_t count; /**< 0: unknown. */
};

/* --- Subscribing -------------------------------------------------------- */

/** A subscription stands (or `err` says why not). `history`: up to the number
 * asked for, oldest first; what was published before and is not in it does not
 * arrive, everything published afterwards does, as signals of the message's
 * name, behind whatever this callback sends to the connection.
 * Errors: WWR_E_UNAVAILABLE (the cluster did not answer for the hold time),
 * WWR_E_REFUSED (not permitted by Redis), WWR_E_DISCONNECTED,
 * WWR_E_CANCELED (unsubscribed meanwhile), WWR_E_LIMIT (max_conn_channels, when
 * it was called off the connection's I/O thread), WWR_E_CLOSED,
 * WWR_E_NOMEM. */
typedef void (*wwr_subscribe_done)(struct wwr_conn *conn, wwr_err err,
                                   const struct wwr_channel_message *history,
                                   size_t count, void *user_data);

/** Subscribe a connection, with up to `history` (at most 256) messages. `done`
 * may be NULL. A subscription begun in on_connected is in effect before the
 * client receives accept-conf, unless the cluster takes longer than
 * subscribe_wait_ms. Subscribing again to the same channel completes with
 * WWR_OK and the history, and changes nothing.
 * Errors: WWR_E_INVALID (name, history), WWR_E_DISCONNECTED (closing, too),
 * WWR_E_LIMIT (max_conn_channels, of calls not done yet as well), WWR_E_NOMEM,
 * WWR_E_CLOSED (not running). */
WWR_API WWR_MUST_CHECK wwr_err wwr_conn_subscribe(struct wwr_conn *conn,
                                                  struct wwr_view channel,
                                                  uint32_t history,
                                                  wwr_subscribe_done done,
                                                  void *user_data);

/** End it: no signal of the channel is queued afterwards. Without one it
 * succeeds silently. A connection that leaves is unsubscribed by itself.
 * Errors: WWR_E_INVALID (name); off the connection's I/O thread, where it takes
 * effect soon, WWR_E_NOMEM. */
WWR_API wwr_err wwr_conn_unsubscribe(struct wwr_conn *conn,
                                     struct wwr_view channel);

/** In wwr_subscribe_done: the place of the last message before those that the
 * connection gets from now on; what is delivered counts up from there, by one.
 * It means nothing in a channel that is not logged, and later the message that
 * is being handed out may be one further. False off the connection's I/O thread
 * and without a subscription. */
WWR_API bool wwr_conn_channel_place(const struct wwr_conn *conn,
                                    struct wwr_view channel,
                                    struct wwr_channel_id *out);

/** Number of channels that the connection is subscribed to. On its I/O thread
 * exact, elsewhere as of some moment ago. */
WWR_API size_t wwr_conn_channels(const struct wwr_conn *conn);

/* --- Publishing --------------------------------------------------------- */

struct wwr_publish_result {
  /** WWR_OK: the log's master has it. WWR_E_UNAVAILABLE: not accepted within
   * the hold time. WWR_E_REFUSED: not permitted. WWR_E_CLOSED. */
  wwr_err err;
  /** With an error: true, nobody will ever see it; false, it may have been
   * delivered, or yet be. */
  bool certain;
  struct wwr_channel_id id;
};
typedef void (*wwr_publish_done)(const struct wwr_publish_result *result,
                                 void *user_data);

/** Publish a signal to a channel. `name` and `payload` as for
 * wwr_conn_signal(). `except` (may be NULL): a connection of this server that
 * does not get it. `done` may be NULL; it runs on the calling I/O thread, or on
 * any when the caller is none. On the caller's it comes after the message was
 * queued to that thread's subscribers (but after a second in any case, as when
 * a repair takes longer).
 * Errors: WWR_E_INVALID (channel), WWR_E_PROTOCOL (name, nothing to send, odd
 * UTF-16), WWR_E_BUFFER_OVERFLOW, WWR_E_LIMIT (too much waits),
 * WWR_E_NOMEM, WWR_E_CLOSED. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_publish(
    struct wwr_server *server, struct wwr_view channel, struct wwr_view name,
    const struct wwr_payload *payload, const struct wwr_conn *except,
    wwr_publish_done done, void *user_data);

/* --- Asking ------------------------------------------------------------- */

/** The last messages, oldest first. Errors: as wwr_subscribe_done. */
typedef void (*wwr_history_done)(wwr_err err,
                                 const struct wwr_channel_message *messages,
                                 size_t count, void *user_data);

/** The last `count` (at most 256) messages of a channel.
 * Errors: WWR_E_INVALID, WWR_E_LIMIT, WWR_E_NOMEM, WWR_E_CLOSED. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_history(struct wwr_server *server,
                                                  struct wwr_view channel,
                                                  uint32_t count,
                                                  wwr_history_done done,
                                                  void *user_data);

/** The same, of the messages before a place: with that of the first message one
 * has already, again and again, the whole log is read, newest pages first; no
 * messages are its end. {0, 0}: the last ones of all. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_server_history_before(struct wwr_server *server, struct wwr_view channel,
                          struct wwr_channel_id before, uint32_t count,
                          wwr_history_done done, void *user_data);

struct wwr_member {
  struct wwr_view name; /**< Empty: all connections without a name. */
  uint64_t connections; /**< On all nodes. */
};
typedef void (*wwr_presence_done)(wwr_err err, const struct wwr_member *members,
                                  size_t count, void *user_data);

/** Who is subscribed, on all nodes, in no order; of nodes that were killed for
 * at most the lease (30 s) longer. A change on another node is seen within a
 * second. Errors: as wwr_server_history(). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_presence(struct wwr_server *server,
                                                   struct wwr_view channel,
                                                   wwr_presence_done done,
                                                   void *user_data);

typedef void (*wwr_count_done)(wwr_err err, uint64_t count, void *user_data);

/** How many connections are subscribed, on all nodes; as exact as presence. */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_subscribers(struct wwr_server *server,
                                                      struct wwr_view channel,
                                                      wwr_count_done done,
                                                      void *user_data);

/* --- Sessions anywhere -------------------------------------------------- */

/** `err`: WWR_OK, WWR_E_SESSION_NOT_FOUND (no connection has it),
 * WWR_E_UNAVAILABLE. */
typedef void (*wwr_signal_done)(wwr_err err, void *user_data);

/** A signal to every connection of a session, on whatever node; at most once.
 * `done` may be NULL. Errors: WWR_E_SESSIONS_DISABLED, as
 * wwr_server_publish(). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_signal_session(
    struct wwr_server *server, struct wwr_view key, struct wwr_view name,
    const struct wwr_payload *payload, wwr_signal_done done, void *user_data);

/** Where a session has connections; errors as wwr_signal_done. */
typedef void (*wwr_places_done)(wwr_err err,
                                const struct wwr_session_place *places,
                                size_t count, void *user_data);

/** Ask it. Errors: WWR_E_SESSIONS_DISABLED, WWR_E_NOMEM, WWR_E_CLOSED. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_server_session_places(struct wwr_server *server, struct wwr_view key,
                          wwr_places_done done, void *user_data);

/* --- The node in its cluster -------------------------------------------- */

enum wwr_health {
  WWR_HEALTH_READY,   /**< Everything works. */
  WWR_HEALTH_HOLDING, /**< Redis is away for less than the hold time. */
  WWR_HEALTH_UNREADY, /**< ... for longer: publishes fail. */
  WWR_HEALTH_REFUSED  /**< The settings disagree with the cluster's. */
};

/** Its name: "ready", "holding", "unready", "refused"; "unknown" for anything
 * else. Static. */
WWR_API const char *wwr_health_name(enum wwr_health health);

/** Milliseconds up to which a bucket of wwr_cluster_state.lag counts. */
#define WWR_LAG_BOUNDS \
  { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000 }
enum { WWR_LAG_BUCKETS = 13 }; /* the last one: without bound */

struct wwr_cluster_state {
  enum wwr_health health;
  char reason[128]; /**< One line for people; "" when ready. */
  uint64_t channels;
  uint64_t published;
  uint64_t delivered; /**< Messages, before they are copied to connections. */
  uint64_t repaired;
  uint64_t duplicates;   /**< Dropped. */
  uint64_t verdicts[4];  /**< By enum wwr_verdict_kind. */
  uint64_t beat_age_ms;  /**< Since a beat last came back from Redis; since the
                              start before the first. 0 without a cluster. */
  uint64_t queued_bytes; /**< Of calls that wait for the bus. */
  uint64_t lag[WWR_LAG_BUCKETS]; /**< This node's own messages, from publish to
                                      delivery here: how many took so long. Each
                                      is in one bucket. */
  uint64_t lag_sum_ms;
};

/** Counters since the start; `beat_age_ms` and `queued_bytes` are gauges. */
WWR_API void wwr_server_cluster(const struct wwr_server *server,
                                struct wwr_cluster_state *out);

struct wwr_node_info {
  const char *name;
  const char *address;
  const char *version;
  uint64_t started_ms;  /**< Unix time. */
  uint64_t beat_age_ms; /**< Since it was last heard of. */
  uint64_t connections;
  bool draining;
};
typedef void (*wwr_nodes_done)(wwr_err err, const struct wwr_node_info *nodes,
                               size_t count, void *user_data);

/** The cluster's nodes that are alive, this one first. Errors: as
 * wwr_server_history(). */
WWR_API WWR_MUST_CHECK wwr_err wwr_server_nodes(struct wwr_server *server,
                                                wwr_nodes_done done,
                                                void *user_data);

#ifdef __cplusplus
}
#endif
#endif /* WWR_CHANNEL_H */
