/* Creating and restoring sessions (docs/protocol.md, "Sessions").
 *
 * Create: make key and object, check that it fits, attach and queue
 * notify-session-created in one step, then tell the store. Restore: look up,
 * then check the limit, attach and queue the reply in one step; the connection
 * is blocked meanwhile. Failures change nothing, except that a created session
 * whose store failed stays active and can't be restored.
 *
 * With a store that has authority a restore is answered only when the answer is
 * certain; else the connection ends, and the client, its session kept, tries
 * elsewhere. It may take seconds: who leaves meanwhile, or a server that shuts
 * down, does not wait for it (abandon). */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { KEY_TRIES = 16 }; /* with a third of the store away: 1 in 40 million */

static const struct wwr_log *log_of(const struct wwr_conn *conn) {
  return &conn->server->opts.log;
}

/* The session object in a message of `type`, as a frame. */
static wwr_err object_frame(const struct wwr_server *server,
                            const struct wwr_session *session,
                            struct wwri_msg *msg, struct wwri_frame **out) {
  char *json;
  size_t len;
  wwr_err err = wwri_session_encode(session, true, &json, &len);
  if (err != WWR_OK) return err;
  msg->payload.encoding = WWR_UTF8;
  msg->payload.data = (struct wwr_view){(const uint8_t *)json, len};
  err = wwri_encode_frame(msg, server->opts.message_buffer_bytes, out);
  free(json);
  return err;
}

/* --- Create --------------------------------------------------------------- */

struct creation {
  struct wwri_store_op store;
  wwr_conn_done done;
  void *user_data;
};

static void created(struct wwri_store_op *op) {
  struct creation *creation = WWRI_CONTAINER(op, struct creation, store);
  if (op->err != WWR_OK) {
    wwri_log(log_of(op->conn), WWR_LOG_ERROR, op->conn->id,
             "session was not stored, it can't be restored", "error",
             wwr_err_name(op->err), NULL);
  }
  wwri_registry_created(&op->conn->server->registry, op);
  wwri_session_mind_end(op->conn);
  if (creation->done) creation->done(op->conn, WWR_OK, creation->user_data);
  wwri_store_op_deinit(op);
  free(creation);
}

/* With one of several Redis away: whose session is new need not wait for it. */
static bool make_key(struct wwr_server *server, char *key, size_t cap) {
  const struct wwr_server_opts *opts = &server->opts;
  struct wwr_sessionstore *store = server->store;
  for (int i = 0; i < KEY_TRIES; i++) {
    key[0] = '\0';
    if (!opts->keygen(key, cap, opts->keygen_user_data) || !key[0]) {
      return false;
    }
    if (!store->ops->takes) break;
    if (store->ops->takes(store, wwr_view_str(key))) break;
  }
  return true;
}

static wwr_err new_session(struct wwr_conn *conn, const char *info_json,
                           struct wwr_session **out) {
  char key[WWRI_KEY_MAX];
  if (!make_key(conn->server, key, sizeof key)) {
    wwri_log(log_of(conn), WWR_LOG_ERROR, conn->id,
             "the session key generator failed", NULL);
    return WWR_E_INTERNAL;
  }
  int64_t now = wwri_unix_now_ns();
  return wwr_session_new(out, wwr_view_str(key), now, now, info_json);
}

static wwr_err attach_created(struct creation *creation, struct wwr_conn *conn,
                              struct wwr_session *session) {
  struct wwri_msg notice = {.type = WWRI_NOTIFY_SESSION_CREATED};
  struct wwri_frame *frame;
  wwr_err err = object_frame(conn->server, session, &notice, &frame);
  if (err != WWR_OK) return err;
  wwri_store_op_init(&creation->store, WWRI_STORE_CREATED, conn->shard, conn,
                     session, created);
  err = wwri_registry_attach(
      &conn->server->registry, conn, wwr_session_ref(session),
      wwri_store_own_limit(conn->server), frame, &creation->store);
  if (err == WWR_OK) {
    wwri_store_op_start(&creation->store);
    return WWR_OK;
  }
  wwr_session_unref(session);
  wwri_frame_unref(frame);
  wwri_store_op_deinit(&creation->store);
  return err;
}

wwr_err wwr_conn_create_session(struct wwr_conn *conn, const char *info_json,
                                wwr_conn_done done, void *user_data) {
  struct wwr_session *session;
  if (!conn->server->store) return WWR_E_SESSIONS_DISABLED;
  wwr_err err = new_session(conn, info_json, &session);
  if (err != WWR_OK) return err;
  struct creation *creation = calloc(1, sizeof *creation);
  if (creation) {
    creation->done = done;
    creation->user_data = user_data;
    err = attach_created(creation, conn, session);
    if (err != WWR_OK) free(creation);
  } else {
    err = WWR_E_NOMEM;
  }
  wwr_session_unref(session);
  return err;
}

void wwri_conn_wake(struct wwr_conn *conn, wwr_err err, void *waiter) {
  (void)conn;
  wwri_waiter_wake(waiter, err);
}

wwr_err wwr_conn_create_session_wait(struct wwr_conn *conn,
                                     const char *info_json) {
  if (wwri_on_io_thread(conn->server)) return WWR_E_WRONG_THREAD;
  struct wwri_waiter waiter;
  wwri_waiter_init(&waiter);
  wwr_err err =
      wwr_conn_create_session(conn, info_json, wwri_conn_wake, &waiter);
  if (err != WWR_OK) wwri_waiter_wake(&waiter, err);
  return wwri_waiter_wait(&waiter);
}

/* --- Restore -------------------------------------------------------------- */

struct restoration {
  struct wwri_store_op store;
  struct wwri_id id;
};

void wwri_session_unblock(struct wwr_conn *conn) {
  wwr_conn_ref(conn);
  conn->blocked = false;
  wwri_conn_work_end(conn);
  wwri_conn_pump(conn);
  wwr_conn_unref(conn);
}

void wwri_session_abandon(struct wwr_conn *conn) {
  struct wwri_store_op *op = conn->restoring;
  if (!op) return;
  conn->restoring = NULL;
  wwri_store_op_forsake(op);
  wwri_session_unblock(conn);
}

/* Attach and reply in one step, or say which error the client gets. */
static wwr_err take_session(struct wwr_conn *conn, const struct wwri_id *id,
                            struct wwr_session *session) {
  struct wwri_msg reply = {.type = WWRI_REPLY_UTF8, .id = *id};
  struct wwri_frame *frame;
  wwr_err err = object_frame(conn->server, session, &reply, &frame);
  if (err != WWR_OK) return err;
  err = wwri_registry_attach(&conn->server->registry, conn,
                             wwr_session_ref(session),
                             wwri_store_own_limit(conn->server), frame, NULL);
  if (err == WWR_OK) return WWR_OK;
  wwr_session_unref(session);
  wwri_frame_unref(frame);
  return err;
}

static enum wwri_msg_type restore_error(wwr_err err) {
  switch (err) {
    case WWR_E_SESSION_NOT_FOUND:
      return WWRI_REPLY_SESSION_NOT_FOUND;
    case WWR_E_MAX_SESSION_CONNS:
      return WWRI_REPLY_MAX_SESSION_CONNS;
    default:
      return WWRI_REPLY_INTERNAL_ERROR;
  }
}

/* Thousands may fail at once, for one reason: one line a second. */
static enum wwr_log_level unanswered_level(struct wwri_shard *shard) {
  uint64_t now = wwri_loop_now_ms(shard->loop);
  uint64_t last = shard->own.unanswered_ms;
  if (last && now - last < 1000) return WWR_LOG_DEBUG;
  shard->own.unanswered_ms = now;
  return WWR_LOG_WARN;
}

static void restore_failed(struct wwr_conn *conn, const struct wwri_id *id,
                           wwr_err err) {
  enum wwri_msg_type type = restore_error(err);
  if (!conn->pipe) return;
  if (!wwri_store_is_answer(conn->server, err)) {
    wwri_log(log_of(conn), unanswered_level(conn->shard), conn->id,
             "a session can't be restored now, connection closed", "error",
             wwr_err_name(err), NULL);
    wwri_inbox_drop(conn);
    wwri_conn_end(conn, WWRI_CLOSE_GOING_AWAY, WWR_E_UNAVAILABLE);
    return;
  }
  if (type == WWRI_REPLY_INTERNAL_ERROR) {
    wwri_log(log_of(conn), WWR_LOG_ERROR, conn->id,
             "session could not be restored", "error", wwr_err_name(err), NULL);
  }
  wwri_conn_reply_plain(conn, type, id);
}

/* What the store counted is either on the connection now or given back. */
static wwr_err take_found(struct restoration *restoration) {
  struct wwri_store_op *op = &restoration->store;
  struct wwr_view key = {(const uint8_t *)op->key, op->key_len};
  struct wwri_registry *registry = &op->conn->server->registry;
  if (op->err != WWR_OK) return op->err;
  wwr_err err = op->session ? WWR_OK : WWR_E_INTERNAL;
  if (op->late) err = WWR_E_CANCELED;
  if (err == WWR_OK && wwri_session_is_over(op->conn->server, op->session)) {
    wwri_session_give_up(op->shard, op->session);
    return WWR_E_SESSION_NOT_FOUND;
  }
  if (err == WWR_OK) {
    err = take_session(op->conn, &restoration->id, op->session);
  }
  if (err == WWR_OK) {
    wwri_session_mind_end(op->conn);
  } else {
    wwri_store_detach(registry->store, key);
  }
  return err;
}

static void looked_up(struct wwri_store_op *op) {
  struct restoration *restoration =
      WWRI_CONTAINER(op, struct restoration, store);
  struct wwr_conn *conn = wwr_conn_ref(op->conn);
  bool late = op->late;
  wwr_err err = take_found(restoration);
  if (!late) {
    conn->restoring = NULL;
    if (err != WWR_OK) restore_failed(conn, &restoration->id, err);
  }
  wwri_store_op_deinit(op);
  free(restoration);
  if (!late) wwri_session_unblock(conn);
  wwr_conn_unref(conn);
}

static bool limit_reached(const struct wwr_server *server,
                          struct wwr_view key) {
  long max = (long)wwri_store_own_limit(server);
  return max && wwr_server_session_conn_count(server, key) >= max;
}

static struct restoration *restoration_new(struct wwr_conn *conn,
                                           const struct wwri_id *id,
                                           struct wwr_view key) {
  struct restoration *restoration = calloc(1, sizeof *restoration);
  if (!restoration) return NULL;
  restoration->id = *id;
  wwri_store_op_init(&restoration->store, WWRI_STORE_LOOKUP, conn->shard, conn,
                     NULL, looked_up);
  if (wwri_store_op_key(&restoration->store, key) == WWR_OK &&
      wwri_registry_look(&conn->server->registry, &restoration->store)) {
    return restoration;
  }
  wwri_store_op_deinit(&restoration->store);
  free(restoration);
  return NULL;
}

void wwri_session_restore(struct wwr_conn *conn, const struct wwri_id *id,
                          struct wwr_view key) {
  struct wwr_server *server = conn->server;
  if (!server->store) {
    wwri_conn_reply_plain(conn, WWRI_REPLY_SESSIONS_DISABLED, id);
    return;
  }
  if (limit_reached(server, key)) {
    wwri_conn_reply_plain(conn, WWRI_REPLY_MAX_SESSION_CONNS, id);
    return;
  }
  struct restoration *restoration = restoration_new(conn, id, key);
  if (!restoration) {
    restore_failed(conn, id, WWR_E_NOMEM);
    return;
  }
  conn->blocked = true;
  if (wwri_store_decides(server)) conn->restoring = &restoration->store;
  wwri_conn_work_begin(conn);
  wwri_store_op_start(&restoration->store);
}

/* --- Queries -------------------------------------------------------------- */

struct wwr_session *wwr_conn_session(const struct wwr_conn *conn) {
  struct wwri_registry *registry = &conn->server->registry;
  pthread_mutex_lock(&registry->lock);
  struct wwr_session *session = conn->session;
  if (session) wwr_session_ref(session);
  pthread_mutex_unlock(&registry->lock);
  return session;
}

bool wwr_conn_has_session(const struct wwr_conn *conn) {
  struct wwr_session *session = wwr_conn_session(conn);
  wwr_session_unref(session);
  return session != NULL;
}

wwr_err wwr_conn_session_text(const struct wwr_conn *conn, const char *field,
                              char **out) {
  struct wwr_session *session = wwr_conn_session(conn);
  *out = NULL;
  if (!session) return WWR_E_INVALID;
  wwr_err err = wwr_session_field_text(session, field, out);
  wwr_session_unref(session);
  return err;
}
