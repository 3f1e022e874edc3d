/* Closing sessions (docs/protocol.md, "Sessions"): asked by the client, by the
 * server on one connection, or by key on all. Whoever takes the last
 * connection off the session destroys it in the store. */
#include <stdlib.h>

#include "internal.h"

static void log_failure(const struct wwri_store_op *op, uint64_t conn_id) {
  if (op->err == WWR_OK) return;
  wwri_log(&op->shard->server->opts.log, WWR_LOG_ERROR, conn_id,
           "session was not deleted from the store", "error",
           wwr_err_name(op->err), NULL);
}

/* --- Asked by the client -------------------------------------------------- */

struct farewell {
  struct wwri_store_op store;
  struct wwri_id id;
};

static void confirm(struct wwr_conn *conn, const struct wwri_id *id) {
  wwri_conn_reply_plain(conn, WWRI_REPLY_BINARY, id);
}

static void farewell_done(struct wwri_store_op *op) {
  struct farewell *farewell = WWRI_CONTAINER(op, struct farewell, store);
  struct wwr_conn *conn = wwr_conn_ref(op->conn);
  log_failure(op, conn->id);
  if (conn->pipe) confirm(conn, &farewell->id);
  wwri_store_op_deinit(op);
  free(farewell);
  wwri_session_unblock(conn);
  wwr_conn_unref(conn);
}

void wwri_session_close_asked(struct wwr_conn *conn, const struct wwri_id *id) {
  if (!conn->server->store) {
    wwri_conn_reply_plain(conn, WWRI_REPLY_SESSIONS_DISABLED, id);
    return;
  }
  struct farewell *farewell = calloc(1, sizeof *farewell);
  if (!farewell) {
    wwri_conn_reply_plain(conn, WWRI_REPLY_INTERNAL_ERROR, id);
    return;
  }
  farewell->id = *id;
  wwri_store_op_init(&farewell->store, WWRI_STORE_NOTHING, conn->shard, conn,
                     NULL, farewell_done);
  wwri_registry_close(&conn->server->registry, conn, NULL, &farewell->store);
  if (farewell->store.call == WWRI_STORE_NOTHING) {
    wwri_store_op_deinit(&farewell->store);
    free(farewell);
    confirm(conn, id);
    return;
  }
  conn->blocked = true;
  wwri_conn_work_begin(conn);
  wwri_store_op_start(&farewell->store);
}

/* --- By the server, on one connection ------------------------------------- */

struct closure {
  struct wwri_store_op store;
  wwr_conn_done done;
  void *user_data;
};

static void closure_done(struct wwri_store_op *op) {
  struct closure *closure = WWRI_CONTAINER(op, struct closure, store);
  log_failure(op, op->conn->id);
  if (closure->done) closure->done(op->conn, op->err, closure->user_data);
  wwri_store_op_deinit(op);
  free(closure);
}

wwr_err wwr_conn_close_session(struct wwr_conn *conn, wwr_conn_done done,
                               void *user_data) {
  struct wwr_server *server = conn->server;
  if (!server->store) return WWR_E_SESSIONS_DISABLED;
  struct closure *closure = calloc(1, sizeof *closure);
  if (!closure) return WWR_E_NOMEM;
  closure->done = done;
  closure->user_data = user_data;
  wwri_store_op_init(&closure->store, WWRI_STORE_NOTHING, conn->shard, conn,
                     NULL, closure_done);
  wwri_registry_close(&server->registry, conn, server->session_gone,
                      &closure->store);
  wwri_store_op_start(&closure->store);
  return WWR_OK;
}

wwr_err wwr_conn_close_session_wait(struct wwr_conn *conn) {
  if (wwri_on_io_thread(conn->server)) return WWR_E_WRONG_THREAD;
  struct wwri_waiter waiter;
  wwri_waiter_init(&waiter);
  wwr_err err = wwr_conn_close_session(conn, wwri_conn_wake, &waiter);
  if (err != WWR_OK) wwri_waiter_wake(&waiter, err);
  return wwri_waiter_wait(&waiter);
}

/* --- By key, on every connection ------------------------------------------ */

struct expulsion {
  struct wwri_store_op store;
  wwr_close_done done;
  void *user_data;
  size_t count;
  struct wwr_close_result *results; /* each with a reference */
};

static void expulsion_free(struct expulsion *expulsion) {
  for (size_t i = 0; i < expulsion->count; i++) {
    wwr_conn_unref(expulsion->results[i].conn);
  }
  free(expulsion->results);
  wwri_store_op_deinit(&expulsion->store);
  free(expulsion);
}

static void expulsion_done(struct wwri_store_op *op) {
  struct expulsion *expulsion = WWRI_CONTAINER(op, struct expulsion, store);
  size_t count = expulsion->count;
  log_failure(op, 0);
  /* Only the last one off destroys the session, so its error is the store's. */
  if (count) expulsion->results[count - 1].err = op->err;
  if (expulsion->done) {
    expulsion->done(expulsion->results, count, expulsion->user_data);
  }
  expulsion_free(expulsion);
}

wwr_err wwr_server_close_session(struct wwr_server *server, struct wwr_view key,
                                 wwr_close_done done, void *user_data) {
  if (!server->store) return WWR_E_SESSIONS_DISABLED;
  if (!wwri_server_is_running(server)) return WWR_E_CLOSED;
  struct expulsion *expulsion = calloc(1, sizeof *expulsion);
  if (!expulsion) return WWR_E_NOMEM;
  wwri_store_op_init(&expulsion->store, WWRI_STORE_NOTHING, &server->shards[0],
                     NULL, NULL, expulsion_done);
  expulsion->done = done;
  expulsion->user_data = user_data;
  wwr_err err = wwri_store_op_key(&expulsion->store, key);
  if (err == WWR_OK) {
    err = wwri_registry_expel(&server->registry, server->session_gone,
                              &expulsion->store, &expulsion->results,
                              &expulsion->count);
  }
  if (err == WWR_OK) {
    wwri_store_op_start(&expulsion->store);
  } else {
    expulsion_free(expulsion);
  }
  return err;
}
