/* The life of a connection.
 *
 * Happy path: upgrade (the hook allows it, the object is made) -> opened
 * (registered, accept-conf queued as the first frame of the held pipe,
 * on_connected runs) -> the pipe is released and messages flow (inbox.c) ->
 * close is asked for, open work finishes, the pipe closes -> gone, and when
 * the last open work has ended on_disconnected runs and the memory goes.
 *
 * Failures: a refused or abandoned upgrade never becomes a connection; a pipe
 * that dies early waits for on_connected to return; silence for the read
 * timeout closes without waiting for handlers. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { SECOND_LOOK_MS = 20 };

static void read_timer_fired(struct wwri_timer *timer);
static void close_arrived(struct wwri_mail *mail);

/* --- Memory --------------------------------------------------------------- */

static void conn_free(struct wwr_conn *conn) {
  wwri_infos_deinit(&conn->infos);
  free(conn->life);
  free(conn->remote);
  free(conn);
}

/* Key 0 is the User-Agent, unless the hook used it for something else. */
static wwr_err default_info(struct wwr_http *http) {
  for (size_t i = 0; i < http->infos.count; i++) {
    if (http->infos.items[i].key == 0) return WWR_OK;
  }
  const char *agent = wwr_http_header(http, "User-Agent");
  if (!agent) return WWR_OK;
  char *copy = strdup(agent);
  return copy ? wwri_http_add_info(http, 0, copy, free) : WWR_E_NOMEM;
}

static struct wwr_conn *conn_new(struct wwri_shard *shard,
                                 struct wwr_http *http) {
  struct wwr_server *server = shard->server;
  struct wwr_conn *conn = calloc(1, sizeof *conn);
  if (!conn) return NULL;
  atomic_init(&conn->refs, 1);
  conn->server = server;
  conn->shard = shard;
  conn->id = atomic_fetch_add(&server->next_conn_id, 1) + 1;
  conn->created_ns = wwri_unix_now_ns();
  wwri_list_init(&conn->session_link);
  wwri_timer_init(&conn->read_timer, read_timer_fired);
  wwri_session_end_init(conn);
  conn->close_mail.fn = close_arrived;
  conn->remote = strdup(http->remote ? http->remote : "");
  if (!conn->remote || default_info(http) != WWR_OK) goto fail;
  if (server->opts.handlers == WWR_HANDLERS_BLOCKING) {
    conn->life = calloc(1, sizeof *conn->life);
    if (!conn->life) goto fail;
  }
  conn->concurrency =
      http->has_concurrency ? http->concurrency : server->opts.concurrency;
  conn->infos = http->infos;
  http->infos = (struct wwri_infos){0};
  return conn;
fail:
  conn_free(conn);
  return NULL;
}

struct wwr_conn *wwr_conn_ref(struct wwr_conn *conn) {
  atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
  return conn;
}

void wwr_conn_unref(struct wwr_conn *conn) {
  if (!conn) return;
  if (atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) == 1) {
    conn_free(conn);
  }
}

/* --- Opening -------------------------------------------------------------- */

static void respond(struct wwr_http *http, int status, const char *text) {
  (void)wwr_http_respond(http, status, "text/plain", wwr_view_str(text));
}

static bool on_upgrade(void *owner, size_t index, struct wwr_http *http,
                       void **token) {
  struct wwr_server *server = owner;
  if (atomic_load(&server->stopping)) {
    respond(http, 503, "shutting down\n");
    return false;
  }
  const char *refusal = wwri_channels_refusal(server);
  if (refusal) {
    respond(http, 503, refusal);
    return false;
  }
  const struct wwr_server_hooks *hooks = &server->opts.hooks;
  if (hooks->on_upgrade && !hooks->on_upgrade(http, server->opts.user_data)) {
    return false;
  }
  struct wwr_conn *conn = conn_new(&server->shards[index], http);
  if (!conn) {
    respond(http, 503, "out of memory\n");
    return false;
  }
  *token = conn;
  return true;
}

static void on_abandoned(void *owner, size_t index, void *token) {
  (void)owner;
  (void)index;
  wwr_conn_unref(token);
}

static void on_opened(void *owner, size_t index, void *token,
                      struct wwri_pipe *pipe) {
  struct wwr_server *server = owner;
  struct wwr_conn *conn = token;
  conn->pipe = pipe;
  pipe->user = conn;
  pipe->events = &wwri_conn_pipe_events;
  atomic_fetch_add(&server->live_conns, 1);
  atomic_fetch_add(&server->live_pipes, 1);
  conn->state = WWRI_CONN_CONNECTING;
  if (wwri_shard_add(&server->shards[index], conn) != WWR_OK) {
    conn->state = WWRI_CONN_CLOSING;
    conn->slot = SIZE_MAX;
    pipe->ops->abort(pipe);
    return;
  }
  wwri_count(&conn->shard->counters.accepted, 1);
  wwri_log(&server->opts.log, WWR_LOG_DEBUG, conn->id, "connected", "remote",
           conn->remote, NULL);
  conn->announced = true;
  (void)pipe->ops->send(pipe, wwri_frame_ref(server->accept_conf));
  wwri_conn_work_begin(conn);
  wwri_handle_life(conn, WWRI_WORK_CONNECTED);
}

static void answer_options(struct wwr_server *server, struct wwr_http *http) {
  char reason[256];
  if (atomic_load(&server->draining)) {
    respond(http, 503, "draining\n");
  } else if (wwri_channels_ready(server, reason, sizeof reason)) {
    (void)wwr_http_respond(http, 200, NULL, (struct wwr_view){NULL, 0});
  } else {
    respond(http, 503, reason);
  }
  if (server->opts.hooks.on_options) {
    server->opts.hooks.on_options(http, server->opts.user_data);
  }
}

static void on_http(void *owner, size_t index, struct wwr_http *http) {
  struct wwr_server *server = owner;
  const struct wwr_server_hooks *hooks = &server->opts.hooks;
  (void)index;
  if (strcmp(wwr_http_method(http), "OPTIONS") == 0) {
    answer_options(server, http);
    return;
  }
  if (hooks->on_http) hooks->on_http(http, server->opts.user_data);
  if (http->status) return;
  respond(http, 426, "this is a WebSocket server\n");
  (void)wwr_http_add_header(http, "Upgrade", "websocket");
}

const struct wwri_accept_events wwri_accept_events = {
    .upgrade = on_upgrade,
    .abandoned = on_abandoned,
    .opened = on_opened,
    .http = on_http,
};

static void start_talking(struct wwr_conn *conn) {
  struct wwr_server *server = conn->server;
  conn->state = WWRI_CONN_OPEN;
  conn->pipe->last_rx_ms = wwri_loop_now_ms(conn->shard->loop);
  wwri_loop_timer_set(conn->shard->loop, &conn->read_timer,
                      server->opts.read_timeout_ms);
  conn->pipe->ops->release(conn->pipe);
  if (atomic_load(&server->closing_all)) {
    wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_OK);
  } else {
    wwri_conn_close_if_idle(conn);
  }
}

void wwri_conn_talk(struct wwr_conn *conn) {
  if (!conn->channels.awaiting) return;
  conn->channels.awaiting = false;
  if (conn->state == WWRI_CONN_CONNECTING) start_talking(conn);
}

/* What on_connected subscribed is to stand before the client gets accept-conf;
 * but a client must not wait for ever. */
static void talk_soon(struct wwr_conn *conn) {
  uint32_t wait = conn->server->opts.subscribe_wait_ms;
  bool closing = atomic_load(&conn->server->closing_all) || conn->close_asked;
  conn->channels.awaiting = true;
  if (!conn->channels.holding || !wait || closing) {
    wwri_conn_talk(conn);
  } else {
    wwri_loop_timer_set(conn->shard->loop, &conn->read_timer, wait);
  }
}

/* The disconnected hook has returned: drop the last of it. */
static void finished(struct wwr_conn *conn) {
  struct wwr_server *server = conn->server;
  wwr_conn_unref(conn);
  if (atomic_fetch_sub(&server->live_conns, 1) == 1) {
    wwri_shutdown_nudge(server);
  }
}

void wwri_conn_hook_returned(struct wwr_conn *conn, enum wwri_work work) {
  if (work == WWRI_WORK_DISCONNECTED) {
    finished(conn);
    return;
  }
  wwr_conn_ref(conn);
  wwri_conn_work_end(conn);
  if (conn->state == WWRI_CONN_CONNECTING) talk_soon(conn);
  wwr_conn_unref(conn);
}

/* --- Silence -------------------------------------------------------------- */

static void read_timer_fired(struct wwri_timer *timer) {
  struct wwr_conn *conn = WWRI_CONTAINER(timer, struct wwr_conn, read_timer);
  struct wwri_loop *loop = conn->shard->loop;
  uint64_t timeout = conn->server->opts.read_timeout_ms;
  wwri_conn_talk(conn);
  if (conn->state != WWRI_CONN_OPEN) return;
  uint64_t now = wwri_loop_now_ms(loop);
  /* While messages wait for their turn it is us who are late. */
  if (conn->inbox_head) conn->pipe->last_rx_ms = now;
  uint64_t idle = now - conn->pipe->last_rx_ms;
  if (idle < timeout) {
    conn->doubted = false;
    wwri_loop_timer_set(loop, timer, timeout - idle);
    return;
  }
  /* Timers come before sockets: if this process stood still, what the peer has
   * said meanwhile was not read yet. So it is judged at a second look. */
  if (!conn->doubted) {
    conn->doubted = true;
    wwri_loop_timer_set(loop, timer, SECOND_LOOK_MS);
    return;
  }
  wwri_count(&conn->shard->counters.read_timeouts, 1);
  wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_E_TIMEOUT);
}

/* --- Closing -------------------------------------------------------------- */

void wwri_conn_close_now(struct wwr_conn *conn, uint16_t code, wwr_err reason) {
  if (!conn->pipe || conn->state == WWRI_CONN_CLOSING) return;
  conn->state = WWRI_CONN_CLOSING;
  conn->reason = reason;
  atomic_store(&conn->closing, true);
  wwri_loop_timer_cancel(conn->shard->loop, &conn->read_timer);
  wwri_session_end_deinit(conn);
  wwri_channels_leave(conn);
  wwri_registry_leave(&conn->server->registry, conn);
  wwri_inbox_drop(conn);
  conn->pipe->ops->close(conn->pipe, code);
}

void wwri_conn_close_if_idle(struct wwr_conn *conn) {
  if (conn->state != WWRI_CONN_OPEN || atomic_load(&conn->open)) return;
  if (conn->own_parcels) return; /* its last answers are still in the mail */
  if (conn->close_asked) {
    uint16_t code =
        conn->going_away ? WWRI_CLOSE_GOING_AWAY : WWRI_CLOSE_NORMAL;
    wwri_conn_close_now(conn, code, WWR_OK);
  } else if (conn->ending && !conn->inbox_head) {
    wwri_conn_close_now(conn, conn->ending, conn->ending_reason);
  }
}

void wwri_conn_end(struct wwr_conn *conn, uint16_t code, wwr_err reason) {
  if (conn->ending) return;
  conn->ending = code;
  conn->ending_reason = reason;
  wwri_conn_close_if_idle(conn);
}

static void begin_close(struct wwr_conn *conn) {
  conn->close_asked = true;
  wwri_inbox_refuse(conn);
  wwri_conn_talk(conn);
  wwri_conn_close_if_idle(conn);
}

static void close_arrived(struct wwri_mail *mail) {
  struct wwr_conn *conn = WWRI_CONTAINER(mail, struct wwr_conn, close_mail);
  begin_close(conn);
  wwr_conn_unref(conn);
}

static void ask_to_close(struct wwr_conn *conn, bool going_away) {
  if (atomic_exchange(&conn->closing, true)) return;
  conn->going_away = going_away;
  wwri_registry_closing(&conn->server->registry, conn);
  struct wwri_loop *loop = conn->shard->loop;
  if (wwri_loop_is_current(loop) && !wwri_loop_has_mail(loop)) {
    begin_close(conn);
    return;
  }
  wwr_conn_ref(conn);
  wwri_loop_post(loop, &conn->close_mail);
}

void wwr_conn_close(struct wwr_conn *conn) {
  ask_to_close(conn, false);
}

void wwri_conn_go_away(struct wwr_conn *conn) {
  ask_to_close(conn, true);
}

/* What arrived before the pipe died still has its effect (docs/protocol.md,
 * "Requests": nothing is lost), in the session it was sent in. */
static void settle(struct wwr_conn *conn) {
  struct wwr_server *server = conn->server;
  wwr_conn_ref(conn);
  if (atomic_load(&server->stopping)) wwri_inbox_drop(conn);
  if (conn->inbox_head) {
    wwri_registry_seal(&server->registry, conn);
  } else {
    wwri_registry_leave(&server->registry, conn);
  }
  wwri_session_abandon(conn);
  wwri_conn_end_if_over(conn);
  wwr_conn_unref(conn);
}

/* The pipe has died: nobody can be told anything any more. */
void wwri_conn_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct wwr_conn *conn = pipe->user;
  if (conn->state != WWRI_CONN_CLOSING) conn->reason = reason;
  conn->pipe = NULL;
  conn->state = WWRI_CONN_GONE;
  atomic_store(&conn->closing, true);
  atomic_store(&conn->gone, true);
  wwri_loop_timer_cancel(conn->shard->loop, &conn->read_timer);
  wwri_session_end_deinit(conn);
  if (conn->slot != SIZE_MAX) wwri_shard_remove(conn->shard, conn);
  wwri_channels_leave(conn);
  wwri_log(&conn->server->opts.log, WWR_LOG_DEBUG, conn->id, "disconnected",
           "reason", wwr_err_name(conn->reason), NULL);
  if (atomic_fetch_sub(&conn->server->live_pipes, 1) == 1) {
    wwri_drain_nudge(conn->server);
  }
  settle(conn);
}

void wwri_conn_end_if_over(struct wwr_conn *conn) {
  if (conn->state != WWRI_CONN_GONE || conn->ended) return;
  if (atomic_load(&conn->open) || conn->inbox_head) return;
  conn->ended = true;
  wwri_registry_leave(&conn->server->registry, conn);
  wwri_handle_life(conn, WWRI_WORK_DISCONNECTED);
}

void wwri_conn_work_begin(struct wwr_conn *conn) {
  atomic_fetch_add(&conn->open, 1);
  wwri_server_work_begin(conn->server);
}

void wwri_conn_work_end(struct wwr_conn *conn) {
  struct wwr_server *server = conn->server;
  atomic_fetch_sub(&conn->open, 1);
  wwri_conn_end_if_over(conn);
  wwri_server_work_end(server);
}

/* --- Sending -------------------------------------------------------------- */

struct parcel {
  struct wwri_mail mail;
  struct wwr_conn *conn;
  struct wwri_frame *frame;
  bool own; /* posted on the connection's own loop */
};

static bool is_signal(const struct wwri_frame *frame) {
  uint8_t type = wwri_frame_view(frame).data[0];
  return type >= WWRI_SIGNAL_BINARY && type <= WWRI_SIGNAL_UTF16;
}

static wwr_err send_here(struct wwr_conn *conn, struct wwri_frame *frame) {
  if (!conn->pipe) {
    wwri_frame_unref(frame);
    return WWR_E_DISCONNECTED;
  }
  if (is_signal(frame)) wwri_count(&conn->shard->counters.signals_out, 1);
  return conn->pipe->ops->send(conn->pipe, frame);
}

static void parcel_arrived(struct wwri_mail *mail) {
  struct parcel *parcel = WWRI_CONTAINER(mail, struct parcel, mail);
  struct wwr_conn *conn = parcel->conn;
  (void)send_here(conn, parcel->frame);
  if (parcel->own) {
    conn->own_parcels--;
    wwri_conn_close_if_idle(conn);
  }
  wwr_conn_unref(conn);
  free(parcel);
}

wwr_err wwri_conn_send(struct wwr_conn *conn, struct wwri_frame *frame) {
  struct wwri_loop *loop = conn->shard->loop;
  bool own = wwri_loop_is_current(loop);
  if (own && !wwri_loop_has_mail(loop)) return send_here(conn, frame);
  bool gone = atomic_load(&conn->gone);
  struct parcel *parcel = gone ? NULL : malloc(sizeof *parcel);
  if (!parcel) {
    wwri_frame_unref(frame);
    return gone ? WWR_E_DISCONNECTED : WWR_E_NOMEM;
  }
  *parcel =
      (struct parcel){{.fn = parcel_arrived}, wwr_conn_ref(conn), frame, own};
  if (own) conn->own_parcels++;
  wwri_loop_post(loop, &parcel->mail);
  return WWR_OK;
}

static wwr_err send_msg(struct wwr_conn *conn, const struct wwri_msg *msg) {
  struct wwri_frame *frame;
  wwr_err err =
      wwri_encode_frame(msg, conn->server->opts.message_buffer_bytes, &frame);
  return err == WWR_OK ? wwri_conn_send(conn, frame) : err;
}

void wwri_conn_reply_plain(struct wwr_conn *conn, enum wwri_msg_type type,
                           const struct wwri_id *id) {
  struct wwri_msg msg = {.type = type, .id = *id};
  /* A request without an answer would wait for ever. */
  if (send_msg(conn, &msg) == WWR_E_NOMEM) {
    wwri_conn_close_now(conn, WWRI_CLOSE_INTERNAL, WWR_E_NOMEM);
  }
}

wwr_err wwr_conn_signal(struct wwr_conn *conn, struct wwr_view name,
                        const struct wwr_payload *payload) {
  struct wwri_msg msg = wwri_signal_msg(name, payload);
  return send_msg(conn, &msg);
}

/* --- Queries -------------------------------------------------------------- */

uint64_t wwr_conn_id(const struct wwr_conn *conn) {
  return conn->id;
}

bool wwr_conn_is_active(const struct wwr_conn *conn) {
  return !atomic_load(&conn->closing);
}

const char *wwr_conn_remote(const struct wwr_conn *conn) {
  return conn->remote;
}

int64_t wwr_conn_created(const struct wwr_conn *conn) {
  return conn->created_ns;
}

const void *wwr_conn_info(const struct wwr_conn *conn, int key) {
  for (size_t i = 0; i < conn->infos.count; i++) {
    if (conn->infos.items[i].key == key) return conn->infos.items[i].value;
  }
  return NULL;
}
