/* Messages of a connection, in their order and within its concurrency limit
 * (docs/protocol.md, "Requests").
 *
 * A message that may start goes straight to its handler, from the transport's
 * own buffer. Otherwise it is copied and waits; when too much waits, the socket
 * is not read any more, so nothing is lost and memory stays bounded. */
#include <stdlib.h>

#include "internal.h"

static void pump_arrived(struct wwri_mail *mail);

/* --- What may start ------------------------------------------------------- */

static bool has_slot(const struct wwr_conn *conn) {
  if (conn->concurrency > 0) {
    return conn->running < (unsigned)conn->concurrency;
  }
  if (conn->concurrency == 0) return conn->running < 1;
  /* More than the workers can run may as well wait here. What only waits for
   * its answer does not count: a later message may be what it waits for. */
  return conn->hooks < 4 * conn->server->opts.worker_threads &&
         conn->running < WWRI_UNLIMITED;
}

static bool may_start(const struct wwr_conn *conn, enum wwri_work work) {
  bool listens = conn->state == WWRI_CONN_OPEN || conn->state == WWRI_CONN_GONE;
  if (conn->blocked || !listens) return false;
  if (work == WWRI_WORK_RESTORE || work == WWRI_WORK_CLOSE) return true;
  return has_slot(conn);
}

/* False: well-formed, but nothing to do (server-side types, docs/protocol.md).
 */
static bool work_of(enum wwri_msg_type type, enum wwri_work *work) {
  switch (type) {
    case WWRI_SIGNAL_BINARY:
    case WWRI_SIGNAL_UTF8:
    case WWRI_SIGNAL_UTF16:
      *work = WWRI_WORK_SIGNAL;
      return true;
    case WWRI_REQUEST_BINARY:
    case WWRI_REQUEST_UTF8:
    case WWRI_REQUEST_UTF16:
      *work = WWRI_WORK_REQUEST;
      return true;
    case WWRI_REQUEST_RESTORE_SESSION:
      *work = WWRI_WORK_RESTORE;
      return true;
    case WWRI_REQUEST_CLOSE_SESSION:
      *work = WWRI_WORK_CLOSE;
      return true;
    default:
      return false;
  }
}

/* --- The queue ------------------------------------------------------------ */

static size_t cost(const struct wwr_request *request) {
  return sizeof *request + request->len;
}

static void push(struct wwr_conn *conn, struct wwr_request *request) {
  request->next = NULL;
  if (conn->inbox_tail) {
    conn->inbox_tail->next = request;
  } else {
    conn->inbox_head = request;
  }
  conn->inbox_tail = request;
  conn->inbox_bytes += cost(request);
}

static struct wwr_request *pop(struct wwr_conn *conn) {
  struct wwr_request *request = conn->inbox_head;
  if (!request) return NULL;
  conn->inbox_head = request->next;
  if (!conn->inbox_head) conn->inbox_tail = NULL;
  conn->inbox_bytes -= cost(request);
  return request;
}

void wwri_inbox_drop(struct wwr_conn *conn) {
  struct wwr_request *request;
  while ((request = pop(conn))) wwri_request_free(request);
}

/* Clients throw their session away on any failed restore: what another node
 * could restore gets no answer but a close. */
static void refuse(struct wwr_conn *conn, enum wwri_work work,
                   const struct wwri_id *id) {
  if (work == WWRI_WORK_SIGNAL) return;
  if (work == WWRI_WORK_RESTORE && wwri_store_decides(conn->server)) {
    wwri_conn_end(conn, WWRI_CLOSE_GOING_AWAY, WWR_OK);
  } else {
    wwri_conn_reply_plain(conn, WWRI_REPLY_SHUTDOWN, id);
  }
}

static uint32_t max_pending(const struct wwr_conn *conn) {
  return wwri_limit(&conn->server->limits.pending_bytes);
}

static void resume(struct wwr_conn *conn) {
  if (!conn->paused || !conn->pipe) return;
  if (conn->inbox_bytes > max_pending(conn) / 2) return;
  conn->paused = false;
  conn->pipe->last_rx_ms = wwri_loop_now_ms(conn->shard->loop);
  conn->pipe->ops->pause(conn->pipe, false);
}

void wwri_inbox_refuse(struct wwr_conn *conn) {
  struct wwr_request *request;
  while ((request = pop(conn))) {
    refuse(conn, request->work, &request->id);
    wwri_request_free(request);
  }
  resume(conn); /* what was not read yet is refused as well */
  if (!conn->restoring) return;
  wwri_conn_end(conn, WWRI_CLOSE_GOING_AWAY, WWR_OK);
  wwri_session_abandon(conn);
}

/* --- Arrival -------------------------------------------------------------- */

static void no_memory(struct wwr_conn *conn) {
  wwri_log(&conn->server->opts.log, WWR_LOG_ERROR, conn->id,
           "out of memory, connection dropped", NULL);
  wwri_conn_close_now(conn, WWRI_CLOSE_TRY_LATER, WWR_E_NOMEM);
}

static void enqueue(struct wwr_conn *conn, enum wwri_work work,
                    const struct wwri_msg *msg, struct wwr_view bytes) {
  struct wwr_request *request = wwri_request_new(conn, work, msg, bytes);
  if (!request) {
    no_memory(conn);
    return;
  }
  push(conn, request);
  if (!conn->paused && conn->inbox_bytes > max_pending(conn)) {
    conn->paused = true;
    conn->pipe->ops->pause(conn->pipe, true);
  }
}

static void start(struct wwr_conn *conn, enum wwri_work work,
                  const struct wwri_msg *msg, struct wwr_view bytes) {
  if (work == WWRI_WORK_RESTORE) {
    wwri_session_restore(conn, &msg->id, msg->name);
  } else if (work == WWRI_WORK_CLOSE) {
    wwri_session_close_asked(conn, &msg->id);
  } else if (conn->server->opts.handlers == WWR_HANDLERS_NONBLOCKING) {
    wwri_handle_inline(conn, msg);
  } else {
    struct wwr_request *request = wwri_request_new(conn, work, msg, bytes);
    if (request) {
      wwri_handle_queued(request);
    } else {
      no_memory(conn);
    }
  }
}

static void violate(struct wwr_conn *conn, uint16_t close_code) {
  if (conn->ending) return;
  wwri_count(&conn->shard->counters.violations, 1);
  wwri_log(&conn->server->opts.log, WWR_LOG_INFO, conn->id,
           "protocol violation", "remote", conn->remote, NULL);
  wwri_conn_end(conn, close_code, WWR_E_PROTOCOL);
}

static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  struct wwr_conn *conn = pipe->user;
  struct wwri_msg msg;
  enum wwri_work work;
  if (conn->ending || conn->state != WWRI_CONN_OPEN) return;
  if (bytes.len == 1 && bytes.data[0] == WWRI_HEARTBEAT) return;
  if (wwri_decode(bytes, &msg) != WWR_OK) {
    violate(conn, WWRI_CLOSE_PROTOCOL);
    return;
  }
  if (!work_of(msg.type, &work)) return;
  if (wwri_conn_refusing(conn)) {
    refuse(conn, work, &msg.id);
  } else if (!conn->inbox_head && may_start(conn, work)) {
    start(conn, work, &msg, bytes);
    wwri_conn_pump(conn);
  } else {
    enqueue(conn, work, &msg, bytes);
  }
}

static void on_violation(struct wwri_pipe *pipe, uint16_t close_code) {
  violate(pipe->user, close_code);
}

/* --- The pump ------------------------------------------------------------- */

static void start_queued(struct wwr_conn *conn, struct wwr_request *request) {
  if (request->work == WWRI_WORK_REQUEST || request->work == WWRI_WORK_SIGNAL) {
    wwri_handle_queued(request);
    return;
  }
  if (request->work == WWRI_WORK_CLOSE) {
    wwri_session_close_asked(conn, &request->id);
  } else if (conn->pipe) {
    wwri_session_restore(conn, &request->id, request->message.name);
  }
  wwri_request_free(request);
}

void wwri_conn_pump(struct wwr_conn *conn) {
  if (conn->pumping) return;
  if (!conn->pipe && atomic_load(&conn->server->stopping)) {
    wwri_inbox_drop(conn);
  }
  if (conn->inbox_head) {
    conn->pumping = true;
    while (conn->inbox_head && may_start(conn, conn->inbox_head->work)) {
      start_queued(conn, pop(conn));
    }
    conn->pumping = false;
    if (conn->pipe && !conn->inbox_head) {
      conn->pipe->last_rx_ms = wwri_loop_now_ms(conn->shard->loop);
    }
  }
  resume(conn);
  wwri_conn_close_if_idle(conn);
  wwri_conn_end_if_over(conn);
}

void wwri_conn_pump_later(struct wwr_conn *conn) {
  bool nothing_to_do = !conn->inbox_head && !conn->paused && !conn->ending &&
                       !atomic_load(&conn->closing);
  if (nothing_to_do || conn->pump_posted) return;
  conn->pump_posted = true;
  conn->pump_mail.fn = pump_arrived;
  wwr_conn_ref(conn);
  wwri_loop_post(conn->shard->loop, &conn->pump_mail);
}

static void pump_arrived(struct wwri_mail *mail) {
  struct wwr_conn *conn = WWRI_CONTAINER(mail, struct wwr_conn, pump_mail);
  conn->pump_posted = false;
  wwri_conn_pump(conn);
  wwr_conn_unref(conn);
}

const struct wwri_pipe_events wwri_conn_pipe_events = {
    .message = on_message,
    .violation = on_violation,
    .closed = wwri_conn_closed,
};
