/* Running the application's hooks: on the I/O thread when they are declared
 * non-blocking, else on a worker, which mails back when the hook has
 * returned. */
#include "internal.h"

/* --- Requests and signals ------------------------------------------------- */

static void call_hook(struct wwr_request *request) {
  const struct wwr_server *server = request->conn->server;
  const struct wwr_server_hooks *hooks = &server->opts.hooks;
  void *user_data = server->opts.user_data;
  if (request->work == WWRI_WORK_SIGNAL) {
    hooks->on_signal(request->conn, &request->message, user_data);
  } else {
    hooks->on_request(request->conn, request, &request->message, user_data);
  }
}

static bool has_hook(const struct wwr_conn *conn, enum wwri_work work) {
  const struct wwr_server_hooks *hooks = &conn->server->opts.hooks;
  return work == WWRI_WORK_SIGNAL ? hooks->on_signal != NULL
                                  : hooks->on_request != NULL;
}

static void count(struct wwr_conn *conn, enum wwri_work work) {
  struct wwri_counters *counters = &conn->shard->counters;
  wwri_count(
      work == WWRI_WORK_SIGNAL ? &counters->signals_in : &counters->requests,
      1);
}

/* Nobody answers: the client must not wait for ever. */
static void no_handler(struct wwr_conn *conn, enum wwri_work work,
                       const struct wwri_id *id) {
  if (work == WWRI_WORK_REQUEST) {
    wwri_conn_reply_plain(conn, WWRI_REPLY_INTERNAL_ERROR, id);
  }
}

static void begin(struct wwr_request *request) {
  request->hook_open = true;
  request->answer_open = request->work == WWRI_WORK_REQUEST;
  request->has_slot = true;
  request->conn->running++;
  wwri_conn_work_begin(request->conn);
}

static void run_here(struct wwr_request *request) {
  begin(request);
  call_hook(request);
  request->hook_open = false;
  (void)wwri_request_end(request);
}

static void inline_signal(struct wwr_conn *conn, const struct wwri_msg *msg) {
  const struct wwr_server *server = conn->server;
  struct wwr_message message = {msg->name, msg->payload};
  conn->running++;
  wwri_conn_work_begin(conn);
  server->opts.hooks.on_signal(conn, &message, server->opts.user_data);
  conn->running--;
  wwri_conn_work_end(conn);
}

void wwri_handle_inline(struct wwr_conn *conn, const struct wwri_msg *msg) {
  bool signal = msg->type <= WWRI_SIGNAL_UTF16;
  enum wwri_work work = signal ? WWRI_WORK_SIGNAL : WWRI_WORK_REQUEST;
  count(conn, work);
  if (!has_hook(conn, work)) {
    no_handler(conn, work, &msg->id);
    return;
  }
  if (signal) {
    inline_signal(conn, msg);
    return;
  }
  struct wwr_request *request = wwri_request_borrow(conn, msg);
  if (request) {
    run_here(request);
  } else {
    wwri_conn_close_now(conn, WWRI_CLOSE_TRY_LATER, WWR_E_NOMEM);
  }
}

/* Loop thread: a worker is done with the hook. */
static void hook_returned(struct wwri_mail *mail) {
  struct wwr_request *request =
      WWRI_CONTAINER(mail, struct wwr_request, returned);
  struct wwr_conn *conn = wwr_conn_ref(request->conn);
  request->hook_open = false;
  conn->hooks--;
  (void)wwri_request_end(request);
  wwri_conn_pump(conn);
  wwr_conn_unref(conn);
}

static void run_on_worker(struct wwri_job *job) {
  struct wwr_request *request = WWRI_CONTAINER(job, struct wwr_request, job);
  struct wwri_loop *loop = request->conn->shard->loop;
  call_hook(request);
  wwri_loop_post(loop, &request->returned);
}

static void no_worker(struct wwr_request *request) {
  struct wwr_conn *conn = request->conn;
  wwri_log(&conn->server->opts.log, WWR_LOG_ERROR, conn->id,
           "no worker thread could be started", NULL);
  no_handler(conn, request->work, &request->id);
  conn->hooks--;
  request->hook_open = request->answer_open = false;
  (void)wwri_request_end(request);
}

void wwri_handle_queued(struct wwr_request *request) {
  struct wwr_conn *conn = request->conn;
  count(conn, request->work);
  if (!has_hook(conn, request->work)) {
    no_handler(conn, request->work, &request->id);
    wwri_request_free(request);
    return;
  }
  if (conn->server->opts.handlers == WWR_HANDLERS_NONBLOCKING) {
    run_here(request);
    return;
  }
  begin(request);
  conn->hooks++;
  request->job.run = run_on_worker;
  request->returned.fn = hook_returned;
  if (wwri_pool_submit(conn->server->workers, &request->job) != WWR_OK) {
    no_worker(request);
  }
}

/* --- on_connected and on_disconnected ------------------------------------- */

static void call_life_hook(struct wwr_conn *conn, enum wwri_work work) {
  const struct wwr_server_opts *opts = &conn->server->opts;
  if (work == WWRI_WORK_CONNECTED) {
    opts->hooks.on_connected(conn, opts->user_data);
  } else {
    opts->hooks.on_disconnected(conn, conn->reason, opts->user_data);
  }
}

static bool has_life_hook(const struct wwr_conn *conn, enum wwri_work work) {
  const struct wwr_server_hooks *hooks = &conn->server->opts.hooks;
  if (!conn->announced) return false;
  return work == WWRI_WORK_CONNECTED ? hooks->on_connected != NULL
                                     : hooks->on_disconnected != NULL;
}

static void life_returned(struct wwri_mail *mail) {
  struct wwr_request *life = WWRI_CONTAINER(mail, struct wwr_request, returned);
  struct wwr_conn *conn = life->conn;
  wwri_conn_hook_returned(conn, life->work);
  wwr_conn_unref(conn);
}

static void life_on_worker(struct wwri_job *job) {
  struct wwr_request *life = WWRI_CONTAINER(job, struct wwr_request, job);
  struct wwri_loop *loop = life->conn->shard->loop;
  call_life_hook(life->conn, life->work);
  wwri_loop_post(loop, &life->returned);
}

void wwri_handle_life(struct wwr_conn *conn, enum wwri_work work) {
  if (!has_life_hook(conn, work)) {
    wwri_conn_hook_returned(conn, work);
    return;
  }
  struct wwr_request *life = conn->life;
  if (life) {
    life->work = work;
    life->conn = wwr_conn_ref(conn);
    life->job.run = life_on_worker;
    life->returned.fn = life_returned;
    if (wwri_pool_submit(conn->server->workers, &life->job) == WWR_OK) return;
    wwr_conn_unref(conn);
    /* Better late on this thread than never. */
    wwri_log(&conn->server->opts.log, WWR_LOG_ERROR, conn->id,
             "no worker thread could be started", NULL);
  }
  call_life_hook(conn, work);
  wwri_conn_hook_returned(conn, work);
}
