/* One call of the session store: started on the shard's loop, or on a worker
 * when the store blocks, and always finished on the shard's loop. Here is where
 * a store with authority is asked differently from one without. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static struct wwr_server *server_of(const struct wwri_store_op *op) {
  return op->shard->server;
}

static void late_work_end(struct wwr_server *server) {
  if (atomic_fetch_sub(&server->late_work, 1) == 1) wwri_shutdown_nudge(server);
}

static void finish(struct wwri_mail *mail) {
  struct wwri_store_op *op = WWRI_CONTAINER(mail, struct wwri_store_op, mail);
  struct wwr_server *server = server_of(op);
  bool late = op->late;
  op->finished(op);
  if (late) {
    late_work_end(server);
  } else {
    wwri_server_work_end(server);
  }
}

/* Any thread: the store is done. */
static void on_done(struct wwr_store_op *base, wwr_err err,
                    struct wwr_session *session) {
  struct wwri_store_op *op = WWRI_CONTAINER(base, struct wwri_store_op, op);
  op->err = err;
  if (session) op->session = session;
  op->mail.fn = finish;
  wwri_loop_post(op->shard->loop, &op->mail);
}

static struct wwr_view key_of(const struct wwri_store_op *op) {
  if (!op->key) return wwr_view_str(wwr_session_key(op->session));
  struct wwr_view key = {(const uint8_t *)op->key, op->key_len};
  return key;
}

static void ask_plain(struct wwr_sessionstore *store,
                      struct wwri_store_op *op) {
  if (op->call == WWRI_STORE_LOOKUP) {
    store->ops->lookup(store, key_of(op), &op->op);
  } else {
    store->ops->closed(store, key_of(op), &op->op);
  }
}

static void ask_authority(struct wwr_sessionstore *store,
                          struct wwri_store_op *op) {
  const struct wwr_sessionauthority_ops *authority = store->ops->authority;
  if (op->call == WWRI_STORE_LOOKUP) {
    uint32_t max = server_of(op)->opts.max_session_conns;
    authority->attach(store, key_of(op), max, &op->op);
  } else if (op->call == WWRI_STORE_CLOSED) {
    authority->leave(store, key_of(op), &op->op);
  } else {
    authority->kill(store, key_of(op), &op->op);
  }
}

static void call_store(struct wwri_store_op *op) {
  struct wwr_sessionstore *store = server_of(op)->store;
  if (op->call == WWRI_STORE_NOTHING) {
    on_done(&op->op, WWR_OK, NULL);
  } else if (op->call == WWRI_STORE_CREATED) {
    store->ops->created(store, op->conn, op->session, &op->op);
  } else if (wwri_store_decides(server_of(op))) {
    ask_authority(store, op);
  } else {
    ask_plain(store, op);
  }
}

static void start_on_worker(struct wwri_job *job) {
  call_store(WWRI_CONTAINER(job, struct wwri_store_op, job));
}

static void start_on_loop(struct wwri_mail *mail) {
  call_store(WWRI_CONTAINER(mail, struct wwri_store_op, mail));
}

void wwri_store_op_init(struct wwri_store_op *op, enum wwri_store_call call,
                        struct wwri_shard *shard, struct wwr_conn *conn,
                        struct wwr_session *session,
                        void (*finished)(struct wwri_store_op *op)) {
  memset(op, 0, sizeof *op);
  atomic_init(&op->starts, 1);
  op->op.done = on_done;
  op->job.run = start_on_worker;
  op->mail.fn = start_on_loop;
  op->shard = shard;
  op->call = call;
  op->conn = conn ? wwr_conn_ref(conn) : NULL;
  op->session = session ? wwr_session_ref(session) : NULL;
  op->finished = finished;
}

wwr_err wwri_store_op_key(struct wwri_store_op *op, struct wwr_view key) {
  op->key = malloc(key.len + 1);
  if (!op->key) return WWR_E_NOMEM;
  if (key.len) memcpy(op->key, key.data, key.len);
  op->key[key.len] = '\0';
  op->key_len = key.len;
  return WWR_OK;
}

void wwri_store_op_start(struct wwri_store_op *op) {
  struct wwr_server *server = server_of(op);
  if (atomic_fetch_sub(&op->starts, 1) > 1) return;
  wwri_server_work_begin(server);
  if (op->call == WWRI_STORE_NOTHING || !server->store_workers) {
    wwri_loop_post(op->shard->loop, &op->mail);
  } else if (wwri_pool_submit(server->store_workers, &op->job) != WWR_OK) {
    on_done(&op->op, WWR_E_IO, NULL);
  }
}

void wwri_store_op_forsake(struct wwri_store_op *op) {
  op->late = true;
  atomic_fetch_add(&server_of(op)->late_work, 1);
  wwri_server_work_end(server_of(op));
}

void wwri_store_op_deinit(struct wwri_store_op *op) {
  if (op->pending) wwri_registry_looked(&server_of(op)->registry, key_of(op));
  wwr_conn_unref(op->conn);
  wwr_session_unref(op->session);
  free(op->key);
}
