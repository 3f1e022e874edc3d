/* wwr_sessionstore.h - the SessionManager interface: where sessions are kept
 * (docs/protocol.md, "Sessions"). Implement it for your own storage, or take
 * one of the stores beside this header.
 *
 * Every hook is asynchronous: it gets an operation and completes it exactly
 * once with wwr_store_op_done(), from any thread, during the hook or later.
 * The server never calls two hooks for one operation, but many operations may
 * be open at once, on several threads: a store guards its own state. */
#ifndef WWR_SESSIONSTORE_H
#define WWR_SESSIONSTORE_H

#include "wwr_session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_conn; /* wwr_conn.h */
struct wwr_sessionstore;

/** One open operation. The server owns the memory and embeds this; a store
 * only passes it to wwr_store_op_done(). */
struct wwr_store_op {
  void (*done)(struct wwr_store_op *op, wwr_err err,
               struct wwr_session *session);
};

/** Complete an operation; `op` is gone afterwards. For look-ups that succeed
 * `session` is the found session, one reference of which passes to the server;
 * otherwise NULL. Any thread. */
static inline void wwr_store_op_done(struct wwr_store_op *op, wwr_err err,
                                     struct wwr_session *session) {
  op->done(op, err, session);
}

/** What a store with authority over several nodes tells the server that
 * watches it. Any thread; with no lock held; one call at a time. A key is
 * borrowed until the call returns. A call never changes what is counted: the
 * server detaches every connection that it takes off.
 *
 * Order: a successful `attach` or `created` of a key whose operation was
 * completed before the call is affected by it, one that is completed after the
 * call returned is not; so never complete one of the same key meanwhile. */
struct wwr_sessionstore_events {
  /** The session was closed, on whatever node, or is gone: take it off every
   * connection, each of which is told (notify-session-closed). No `attach` of
   * it succeeds afterwards. */
  void (*closed)(void *owner, struct wwr_view key);
  /** This node was away for too long and the session's places were taken
   * meanwhile: close every connection that has it (1001), undestroyed. */
  void (*evicted)(void *owner, struct wwr_view key);
  /** Bytes that some node sent to the session, by `send`. They come from
   * elsewhere: the server checks them. */
  void (*received)(void *owner, struct wwr_view key, struct wwr_view bytes);
};

/** Where a session is connected. */
struct wwr_session_place {
  const char *node;     /**< The node's name. */
  uint32_t connections; /**< 1 or more. */
};

/** One open question where a session is; the caller's memory. */
struct wwr_store_places_op {
  /** Once, on any thread. `places` is borrowed until it returns; none when
   * `err` is not WWR_OK. */
  void (*done)(struct wwr_store_places_op *op, wwr_err err,
               const struct wwr_session_place *places, size_t count);
};

/** Authority over the connections of sessions on several nodes. The store
 * counts: every `attach` that succeeded, and every `created` that succeeded or
 * was unavailable, is one connection of this node, until exactly one `detach`
 * or `leave` of the key ends it. The server calls that one always, also after
 * `closed`, `evicted` or `kill`; for a session that is gone it only has to be
 * counted down. A node that was evicted counts what is attached anew beside
 * what is on its way out.
 *
 * Unavailable is never an answer: an operation waits for as long as the store
 * was told to hold, then fails with WWR_E_UNAVAILABLE. */
struct wwr_sessionauthority_ops {
  /** Instead of `lookup`: give the session if it is there and has less than
   * `max` connections on all nodes together (0: no limit), and count one more.
   * Errors: WWR_E_SESSION_NOT_FOUND and WWR_E_MAX_SESSION_CONNS only when that
   * is certain; WWR_E_UNAVAILABLE, WWR_E_LIMIT (too many wait), any other:
   * can't tell, the server closes the connection without an answer. */
  void (*attach)(struct wwr_sessionstore *store, struct wwr_view key,
                 uint32_t max, struct wwr_store_op *op);

  /** A connection has gone or took another session: one less; the session
   * stays. Never blocks, never fails. Any thread. */
  void (*detach)(struct wwr_sessionstore *store, struct wwr_view key);

  /** Instead of `closed`: a connection gives its session up: one less, and when
   * no node has another, the session is destroyed. Whatever the result, the
   * connection is counted no more. */
  void (*leave)(struct wwr_sessionstore *store, struct wwr_view key,
                struct wwr_store_op *op);

  /** The session is destroyed and closed on every node, if any has a connection
   * of it; else it is left alone. Those of this node are off it already and get
   * their `detach` as well, just before or afterwards: they count as
   * connections here. `closed` is told here too, for a connection whose
   * `attach` was under way. A key that is not there counts as success. */
  void (*kill)(struct wwr_sessionstore *store, struct wwr_view key,
               struct wwr_store_op *op);

  /** Where it is connected. Errors: WWR_E_SESSION_NOT_FOUND, WWR_E_UNAVAILABLE.
   */
  void (*places)(struct wwr_sessionstore *store, struct wwr_view key,
                 struct wwr_store_places_op *op);

  /** Bytes for every node that has a connection of the session, this one
   * included, at most once; they arrive by `received`. At most 64 MiB.
   * Errors: WWR_E_SESSION_NOT_FOUND (or it has no connection),
   * WWR_E_UNAVAILABLE. */
  void (*send)(struct wwr_sessionstore *store, struct wwr_view key,
               struct wwr_view bytes, struct wwr_store_op *op);

  /** Tell the events from now on; NULL: no more, and when that returns none is
   * under way. `events` is static. */
  void (*watch)(struct wwr_sessionstore *store,
                const struct wwr_sessionstore_events *events, void *owner);
};

/** The hooks. All required but the last two. */
struct wwr_sessionstore_ops {
  /** A session was created on `conn`: keep it. `session` is borrowed until the
   * operation is done, and of this connection's session nothing else is told
   * before. An error is logged and the session stays active but can't be
   * restored. With authority: WWR_E_UNAVAILABLE says that the store has waited
   * long enough but goes on trying, so this connection is counted as if it had
   * succeeded; with any other error it is not. */
  void (*created)(struct wwr_sessionstore *store, struct wwr_conn *conn,
                  struct wwr_session *session, struct wwr_store_op *op);

  /** A client asks for a session. Give the session with its *previous* last
   * look-up and store the present time as the new one. `key` comes from a
   * stranger and is valid until the operation is done: never use it as a path,
   * a pattern or a command. Errors: WWR_E_SESSION_NOT_FOUND only when it is
   * certain; any other error means "can't tell". */
  void (*lookup)(struct wwr_sessionstore *store, struct wwr_view key,
                 struct wwr_store_op *op);

  /** A session was closed: forget it. `key` is valid until the operation is
   * done. A key that is not there counts as success. */
  void (*closed)(struct wwr_sessionstore *store, struct wwr_view key,
                 struct wwr_store_op *op);

  /** Free the store. Called once, when no operation is open. */
  void (*free)(struct wwr_sessionstore *store);

  /** True: the hooks block (disk, network) and are called on worker threads.
   * False: they return at once and are called on I/O threads. */
  bool blocking;

  /** Authority over several nodes, or NULL: the server then decides by the
   * connections it has itself. With it `lookup` and `closed` are not called,
   * and it must not block. */
  const struct wwr_sessionauthority_ops *authority;

  /** Would a session with this key be kept at once? False: the part of the
   * store that has it is away, others are not; the server makes another key, up
   * to 16, and takes the last. What it answers may be past already. Never
   * blocks; any thread. NULL: always. */
  bool (*takes)(struct wwr_sessionstore *store, struct wwr_view key);
};

/** Base of every store: put it first in your own struct. */
struct wwr_sessionstore {
  const struct wwr_sessionstore_ops *ops;
};

/** Free a store that no server took over. NULL does nothing. */
static inline void wwr_sessionstore_free(struct wwr_sessionstore *store) {
  if (store) store->ops->free(store);
}

#ifdef __cplusplus
}
#endif
#endif /* WWR_SESSIONSTORE_H */
