/* wwr_sessionstore.h - the SessionManager interface: where sessions are kept
 * (PROTOCOL.md, "Sessions"). Implement it for your own storage, or take one of
 * the stores beside this header.
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

/** The hooks. All required. */
struct wwr_sessionstore_ops {
  /** A session was created on `conn`: keep it. `session` is borrowed until the
   * operation is done. An error is logged and the session stays active but
   * can't be restored. */
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
};

/** Base of every store: put it first in your own struct. */
struct wwr_sessionstore {
  const struct wwr_sessionstore_ops *ops;
};

#ifdef __cplusplus
}
#endif
#endif /* WWR_SESSIONSTORE_H */
