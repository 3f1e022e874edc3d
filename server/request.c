/* Requests: their memory, and their answers from any thread.
 *
 * An answer is encoded on the thread that gives it. On the connection's own
 * thread it is queued at once; from elsewhere it goes by the mail that every
 * request carries, so answering allocates only the frame. A request ends, and
 * frees its slot, when it is answered and its hook has returned; a deferred one
 * frees its slot when its hook has returned. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { SPARES_MAX = 256 };

static void answer_arrived(struct wwri_mail *mail);

static void init(struct wwr_request *request, struct wwr_conn *conn,
                 enum wwri_work work, const struct wwri_msg *msg) {
  memset(request, 0, sizeof *request);
  request->answered.fn = answer_arrived;
  request->conn = wwr_conn_ref(conn);
  request->work = work;
  if (!msg) return;
  request->id = msg->id;
  request->message.name = msg->name;
  request->message.payload = msg->payload;
}

/* The same bytes in the copy; views without bytes stay as they are. */
static void move_view(struct wwr_view *view, struct wwr_view from,
                      const uint8_t *to) {
  if (view->len) view->data = to + (view->data - from.data);
}

struct wwr_request *wwri_request_new(struct wwr_conn *conn, enum wwri_work work,
                                     const struct wwri_msg *msg,
                                     struct wwr_view bytes) {
  struct wwr_request *request = malloc(sizeof *request + bytes.len);
  if (!request) return NULL;
  init(request, conn, work, msg);
  request->len = (uint32_t)bytes.len;
  if (bytes.len) memcpy(request->bytes, bytes.data, bytes.len);
  move_view(&request->message.name, bytes, request->bytes);
  move_view(&request->message.payload.data, bytes, request->bytes);
  return request;
}

struct wwr_request *wwri_request_borrow(struct wwr_conn *conn,
                                        const struct wwri_msg *msg) {
  struct wwri_shard *shard = conn->shard;
  struct wwr_request *request = shard->own.spare;
  if (request) {
    shard->own.spare = request->next;
    shard->own.spare_count--;
  } else {
    request = malloc(sizeof *request);
    if (!request) return NULL;
  }
  init(request, conn, WWRI_WORK_REQUEST, msg);
  request->spare = true;
  return request;
}

void wwri_request_free(struct wwr_request *request) {
  struct wwri_shard *shard = request->conn->shard;
  wwri_frame_unref(request->answer);
  wwr_conn_unref(request->conn);
  if (request->spare && shard->own.spare_count < SPARES_MAX) {
    request->next = shard->own.spare;
    shard->own.spare = request;
    shard->own.spare_count++;
    return;
  }
  free(request);
}

static size_t size_of(const struct wwr_request *request) {
  return request->message.payload.data.len;
}

/* The hook has returned, the answer is still to come. */
static void pass_slot_on(struct wwr_request *request) {
  struct wwr_conn *conn = request->conn;
  if (!request->deferred || conn->deferred == WWRI_DEFERRED_MAX ||
      conn->deferred_bytes >= WWRI_DEFERRED_BYTES) {
    return;
  }
  request->has_slot = false;
  conn->running--;
  conn->deferred++;
  conn->deferred_bytes += size_of(request);
}

bool wwri_request_end(struct wwr_request *request) {
  if (request->hook_open) return false;
  if (request->answer_open) {
    pass_slot_on(request);
    return false;
  }
  struct wwr_conn *conn = request->conn;
  if (request->has_slot) {
    conn->running--;
  } else {
    conn->deferred--;
    conn->deferred_bytes -= size_of(request);
  }
  wwri_conn_work_end(conn);
  wwri_request_free(request);
  return true;
}

static void send_answer(struct wwr_request *request) {
  struct wwri_pipe *pipe = request->conn->pipe;
  struct wwri_frame *frame = request->answer;
  request->answer = NULL;
  request->answer_open = false;
  if (frame && pipe) {
    (void)pipe->ops->send(pipe, frame);
  } else {
    wwri_frame_unref(frame);
  }
}

/* Loop thread: the answer goes out, the slot may be free. */
static void deliver(struct wwr_request *request) {
  send_answer(request);
  if (request->hook_open) return; /* and so is the request, until it returns */
  struct wwr_conn *conn = wwr_conn_ref(request->conn);
  if (wwri_request_end(request)) wwri_conn_pump_later(conn);
  wwr_conn_unref(conn);
}

static void answer_arrived(struct wwri_mail *mail) {
  struct wwr_request *request =
      WWRI_CONTAINER(mail, struct wwr_request, answered);
  if (request->own_mail) request->conn->own_parcels--;
  deliver(request);
}

static wwr_err give(struct wwr_request *request, struct wwri_frame *frame) {
  struct wwri_loop *loop = request->conn->shard->loop;
  bool gone = atomic_load(&request->conn->gone);
  bool own = wwri_loop_is_current(loop);
  request->answer = frame;
  if (own && !wwri_loop_has_mail(loop)) {
    deliver(request);
  } else {
    /* Signals that are given to the connection from now on come behind it. */
    request->own_mail = own;
    if (own) request->conn->own_parcels++;
    wwri_loop_post(loop, &request->answered);
  }
  return gone ? WWR_E_DISCONNECTED : WWR_OK;
}

static void log_cause(struct wwr_request *request, const char *message,
                      const char *cause) {
  const struct wwr_conn *conn = request->conn;
  /* Of who has left nobody waits for the answer, and anybody can leave. */
  enum wwr_log_level level =
      atomic_load(&conn->gone) ? WWR_LOG_DEBUG : WWR_LOG_ERROR;
  wwri_log(&conn->server->opts.log, level, conn->id, message, "cause", cause,
           NULL);
}

/* Encode an answer; what can't be encoded becomes reply-internal-error. */
static wwr_err answer(struct wwr_request *request, struct wwri_msg *msg) {
  uint32_t max = request->conn->server->opts.message_buffer_bytes;
  struct wwri_frame *frame;
  msg->id = request->id;
  wwr_err bad = wwri_encode_frame(msg, max, &frame);
  if (bad == WWR_OK) return give(request, frame);
  log_cause(request, "reply could not be encoded", wwr_err_name(bad));
  struct wwri_msg internal = {.type = WWRI_REPLY_INTERNAL_ERROR,
                              .id = request->id};
  if (wwri_encode_frame(&internal, max, &frame) != WWR_OK) {
    wwr_conn_close(request->conn); /* no memory: better gone than silent */
    frame = NULL;
    bad = WWR_E_NOMEM;
  }
  wwr_err sent = give(request, frame);
  return bad == WWR_E_NOMEM ? bad : sent == WWR_OK ? bad : sent;
}

wwr_err wwr_request_reply(struct wwr_request *request,
                          const struct wwr_payload *payload) {
  static const struct wwr_payload none = {.encoding = WWR_BINARY};
  if (!payload) payload = &none;
  struct wwri_msg msg = {.type = wwri_reply_type(payload->encoding),
                         .payload = *payload};
  return answer(request, &msg);
}

wwr_err wwr_request_fail(struct wwr_request *request, const char *code,
                         const char *message) {
  struct wwri_msg msg = {.type = WWRI_REPLY_ERROR,
                         .name = wwr_view_str(code),
                         .payload = wwr_payload_text(message)};
  return answer(request, &msg);
}

wwr_err wwr_request_fail_internal(struct wwr_request *request,
                                  const char *cause) {
  struct wwri_msg msg = {.type = WWRI_REPLY_INTERNAL_ERROR};
  log_cause(request, "request failed", cause);
  return answer(request, &msg);
}

void wwr_request_defer(struct wwr_request *request) {
  request->deferred = true;
}

struct wwr_conn *wwr_request_conn(const struct wwr_request *request) {
  return request->conn;
}
