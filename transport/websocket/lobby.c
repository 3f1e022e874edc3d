/* Where accepted sockets wait until lws may have them. Inside lws each
 * handshake makes the others dearer: it walks through all of them for a timer
 * or a header table, so a crowd costs the square of its size, at the expense of
 * those who are connected. So few are let in at a time, and only those that
 * have sent something; whoever connects and vanishes never enters.
 *
 * The waiting sockets are in an epoll set of their own, which is one descriptor
 * to the loop: each pass looks at a few of them, however many there are. One
 * that speaks joins the queue, where only its end is still watched; the queue
 * is let in first come, first served, some in each pass.
 *
 * With a limit to the connections accepted per second the queue moves at that
 * rate, each shard at its part of it, and up to BURST_MS' worth at once.
 * Whoever would have to wait too long is told 503 at once, with TLS dropped.
 *
 * Ends: a socket is closed when its peer is gone, or when it has waited for the
 * handshake's time limit; lws grants the same once more. When the handshakes
 * inside lws are at their limit and others wait, the oldest give way after
 * GRACE_MS: clients that begin and dawdle can't lock out the rest. */
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

enum {
  /* Enough to keep a CPU busy: 256 clients whose handshakes take 200 ms, for
   * their round trips, are 1280 a second. Few enough that lws' walks over all
   * of them do not count, and that it is soon done when all vanish at once. */
  HANDSHAKES_MAX = 256,
  GRACE_MS = 1000,
  /* These bound what stands in front of the others' messages in one pass. */
  LOOKS_PER_PASS = 64,
  ADMITTED_PER_TURN = 16, /* at 100 us or less, with TLS at 600 us; */
  TURN_NS = 400 * 1000,   /* the one that is begun then is the last */
  NEXT_PASS_MS = 1,       /* 0 could fire in the same one */
  BURST_MS = 100,
  MS_US = 1000,
  SECOND_US = 1000000
};

static uint64_t now_ms(const struct wwri_ws_server_shard *shard) {
  return wwri_loop_now_ms(shard->base.loop);
}

static struct wwri_ws_server_conn *by_link(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_ws_server_conn, pipe.link);
}

static struct wwri_ws_server_conn *by_todo_link(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_ws_server_conn, pipe.todo_link);
}

/* Coming and going */

void wwri_ws_lobby_enter(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server_shard *shard = conn->shard;
  struct wwri_ws_lobby *lobby = &shard->lobby;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                              .data.ptr = conn};
  wwri_ws_pipe_init(&conn->pipe, &shard->base,
                    shard->server->config.max_message_bytes);
  conn->since_ms = now_ms(shard);
  if (epoll_ctl(lobby->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event)) {
    shard->server->refused++;
    close(conn->fd);
    wwri_ws_conn_free(conn);
    return;
  }
  wwri_list_append(&lobby->guests, &conn->pipe.link);
  if (!lobby->expiry.armed) {
    wwri_loop_timer_set(shard->base.loop, &lobby->expiry,
                        shard->server->handshake_timeout_ms);
  }
}

static void leave(struct wwri_ws_server_conn *conn) {
  wwri_list_remove(&conn->pipe.link);
  wwri_list_remove(&conn->pipe.todo_link);
  if (conn->queued) conn->shard->lobby.queue_count--;
  conn->queued = false;
  (void)epoll_ctl(conn->shard->lobby.epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
}

static void turn_away(struct wwri_ws_server_conn *conn) {
  leave(conn);
  close(conn->fd);
  wwri_ws_conn_free(conn);
}

static void on_expiry(struct wwri_timer *timer) {
  struct wwri_ws_server_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_ws_server_shard, lobby.expiry);
  struct wwri_list *guests = &shard->lobby.guests;
  uint64_t now = now_ms(shard);
  uint64_t wait = NEXT_PASS_MS;
  for (int i = 0; i < LOOKS_PER_PASS && !wwri_list_empty(guests); i++) {
    struct wwri_ws_server_conn *oldest = by_link(guests->next);
    uint64_t due = oldest->since_ms + shard->server->handshake_timeout_ms;
    if (due > now) {
      wait = due - now;
      break;
    }
    turn_away(oldest);
  }
  if (!wwri_list_empty(guests)) {
    wwri_loop_timer_set(shard->base.loop, timer, wait);
  }
}

/* Handshakes */

/* At once is at the end of a pass, behind what the connected wait for. */
static void admit_in(struct wwri_ws_server_shard *shard, uint64_t wait_ms) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  if (wait_ms) {
    wwri_loop_timer_set(shard->base.loop, &lobby->admission_wait, wait_ms);
  } else {
    wwri_loop_flush_later(shard->base.loop, &lobby->admission);
  }
}

void wwri_ws_handshake_over(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_lobby *lobby = &conn->shard->lobby;
  if (!conn->in_handshake) return;
  conn->in_handshake = false;
  wwri_list_remove(&conn->pipe.link);
  bool was_full = lobby->handshake_count-- == HANDSHAKES_MAX;
  if (was_full && !wwri_list_empty(&lobby->queue)) admit_in(conn->shard, 0);
}

/* lws tells its end as any other. */
static void evict(struct wwri_ws_server_conn *conn) {
  struct lws *wsi = conn->pipe.wsi;
  wwri_ws_handshake_over(conn);
  if (wsi) wwri_ws_kill_wsi(wsi);
}

static void let_in(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server_shard *shard = conn->shard;
  leave(conn);
  wwri_ws_socket_tune(conn->fd);
  if (wwri_ws_native_upgrade(conn)) return;
  conn->since_ms = now_ms(shard);
  conn->in_handshake = true;
  wwri_list_append(&shard->lobby.handshakes, &conn->pipe.link);
  shard->lobby.handshake_count++;
  wwri_ws_adopt(conn);
}

/* It has sent what nobody has read yet: we are late, not it. */
static bool was_left(const struct wwri_ws_server_conn *conn) {
  int unread = 0;
  return ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* How long until one more handshake may begin. Those that wait for us don't
 * give way: in a crowd all would, just before they are done, and come again. */
static uint64_t time_to_room(struct wwri_ws_server_shard *shard) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  uint64_t now = now_ms(shard);
  if (lobby->handshake_count < HANDSHAKES_MAX) return 0;
  for (int i = 0; i < LOOKS_PER_PASS; i++) {
    struct wwri_ws_server_conn *oldest = by_link(lobby->handshakes.next);
    uint64_t due = oldest->since_ms + GRACE_MS;
    if (due > now) return due - now;
    if (!was_left(oldest)) return 0;
    oldest->since_ms = now;
    wwri_list_remove(&oldest->pipe.link);
    wwri_list_append(&lobby->handshakes, &oldest->pipe.link);
  }
  return NEXT_PASS_MS;
}

static void make_room(struct wwri_ws_server_shard *shard) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  if (lobby->handshake_count < HANDSHAKES_MAX) return;
  evict(by_link(lobby->handshakes.next));
}

/* The rate */

/* Microseconds between two of this shard; 0: there is no limit. */
static uint64_t interval_us(const struct wwri_ws_server_shard *shard) {
  uint64_t rate = atomic_load(&shard->server->accepts_per_second);
  return rate ? SECOND_US * shard->server->shard_count / rate : 0;
}

/* How long until the next one is due. */
static uint64_t time_to_turn(const struct wwri_ws_server_shard *shard) {
  uint64_t now_us = now_ms(shard) * MS_US;
  uint64_t ahead = now_us + BURST_MS * MS_US;
  if (!interval_us(shard) || shard->lobby.due_us <= ahead) return 0;
  return (shard->lobby.due_us - ahead) / MS_US + 1;
}

static void take_turn(struct wwri_ws_server_shard *shard) {
  uint64_t now_us = now_ms(shard) * MS_US;
  if (shard->lobby.due_us < now_us) shard->lobby.due_us = now_us;
  shard->lobby.due_us += interval_us(shard);
}

/* Behind those that queue already. */
static bool waits_too_long(const struct wwri_ws_server_shard *shard) {
  uint64_t wait_ms = time_to_turn(shard) +
                     shard->lobby.queue_count * interval_us(shard) / MS_US;
  return wait_ms > shard->server->handshake_timeout_ms / 2;
}

/* Letting in */

/* How long until one may be told 503; 0: one was. Nobody gives way to it who
 * would not give way to others. */
static uint64_t refuse_one(struct wwri_ws_server_shard *shard) {
  uint64_t wait = time_to_room(shard);
  if (wait) return wait;
  make_room(shard);
  let_in(by_todo_link(shard->lobby.refused.next));
  return 0;
}

/* How long until the next one may be let in; 0: one was. */
static uint64_t admit_one(struct wwri_ws_server_shard *shard) {
  uint64_t wait = time_to_turn(shard);
  if (!wait) wait = time_to_room(shard);
  if (wait) return wait;
  make_room(shard);
  take_turn(shard);
  let_in(by_todo_link(shard->lobby.queue.next));
  return 0;
}

static bool somebody_queues(const struct wwri_ws_lobby *lobby) {
  return !wwri_list_empty(&lobby->queue) || !wwri_list_empty(&lobby->refused);
}

static void admit(struct wwri_flusher *flusher) {
  struct wwri_ws_server_shard *shard =
      WWRI_CONTAINER(flusher, struct wwri_ws_server_shard, lobby.admission);
  struct wwri_ws_lobby *lobby = &shard->lobby;
  uint64_t wait = 0;
  uint64_t end = uv_hrtime() + TURN_NS;
  for (int i = 0; i < ADMITTED_PER_TURN && !wait && somebody_queues(lobby);
       i++) {
    if (!wwri_list_empty(&lobby->refused)) {
      wait = refuse_one(shard);
    } else {
      wait = admit_one(shard);
    }
    if (uv_hrtime() >= end) break;
  }
  if (somebody_queues(lobby)) admit_in(shard, wait);
}

static void on_admission_wait(struct wwri_timer *timer) {
  admit_in(
      WWRI_CONTAINER(timer, struct wwri_ws_server_shard, lobby.admission_wait),
      0);
}

/* Looking */

/* False: there are too many of those. */
static bool shed(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server *server = conn->shard->server;
  if (conn->shed) return true;
  if (server->shed >= WWRI_WS_SHED_MAX) return false;
  conn->shed = true;
  server->shed++;
  server->connections--;
  return true;
}

/* With TLS the answer costs as much as letting it in, which is what the limit
 * is there to prevent. */
static bool is_told(struct wwri_ws_server_conn *conn) {
  bool dear = conn->shard->server->tls.cert_file && !conn->shed;
  return !dear && shed(conn);
}

static void join_queue(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server_shard *shard = conn->shard;
  struct wwri_ws_lobby *lobby = &shard->lobby;
  struct epoll_event end_only = {.data.ptr = conn};
  (void)epoll_ctl(lobby->epoll_fd, EPOLL_CTL_MOD, conn->fd, &end_only);
  if (conn->shed || waits_too_long(shard)) {
    if (is_told(conn)) {
      wwri_list_append(&lobby->refused, &conn->pipe.todo_link);
    } else {
      shard->server->refused++;
      turn_away(conn);
    }
    return;
  }
  bool waits = lobby->queue_count > 0 && interval_us(shard);
  if (waits || time_to_turn(shard)) shard->server->delayed++;
  conn->queued = true;
  lobby->queue_count++;
  wwri_list_append(&lobby->queue, &conn->pipe.todo_link);
}

/* A reset can leave bytes to read, but nobody to answer. */
static void look_at(struct wwri_ws_server_conn *conn, uint32_t events) {
  enum wwri_ws_said said = WWRI_WS_SAID_BYE;
  if (!(events & (EPOLLERR | EPOLLHUP))) said = wwri_ws_listen_to(conn);
  if (said == WWRI_WS_SAID_ENOUGH) {
    join_queue(conn);
  } else if (said == WWRI_WS_SAID_BYE || (events & EPOLLRDHUP)) {
    turn_away(conn);
  }
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  struct wwri_ws_server_shard *shard = handle->data;
  struct epoll_event found[LOOKS_PER_PASS];
  (void)events;
  if (status < 0) return;
  int n = epoll_wait(shard->lobby.epoll_fd, found, LOOKS_PER_PASS, 0);
  for (int i = 0; i < n; i++) look_at(found[i].data.ptr, found[i].events);
  const struct wwri_ws_lobby *lobby = &shard->lobby;
  if (!wwri_list_empty(&lobby->refused) ||
      (!wwri_list_empty(&lobby->queue) && !lobby->admission_wait.armed)) {
    admit_in(shard, 0);
  }
}

/* Life */

void wwri_ws_lobby_init(struct wwri_ws_server_shard *shard) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  lobby->epoll_fd = -1;
  wwri_list_init(&lobby->guests);
  wwri_list_init(&lobby->queue);
  wwri_list_init(&lobby->handshakes);
  wwri_timer_init(&lobby->expiry, on_expiry);
  wwri_list_init(&lobby->refused);
  wwri_flusher_init_ranked(&lobby->admission, admit, WWRI_RANK_BULK);
  wwri_timer_init(&lobby->admission_wait, on_admission_wait);
}

wwr_err wwri_ws_lobby_open(struct wwri_ws_server_shard *shard) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  uv_loop_t *uv = wwri_loop_uv(shard->base.loop);
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return WWR_E_IO;
  if (uv_poll_init(uv, &lobby->poll, fd)) {
    close(fd);
    return WWR_E_IO;
  }
  lobby->epoll_fd = fd;
  lobby->poll.data = shard;
  uv_poll_start(&lobby->poll, UV_READABLE, on_readable);
  return WWR_OK;
}

static void on_closed(uv_handle_t *handle) {
  struct wwri_ws_server_shard *shard = handle->data;
  close(shard->lobby.epoll_fd);
  shard->lobby.epoll_fd = -1;
  wwri_ws_native_stop(&shard->base, wwri_ws_shard_stop);
}

void wwri_ws_lobby_stop(struct wwri_ws_server_shard *shard) {
  struct wwri_ws_lobby *lobby = &shard->lobby;
  wwri_loop_timer_cancel(shard->base.loop, &lobby->expiry);
  wwri_loop_timer_cancel(shard->base.loop, &lobby->admission_wait);
  wwri_flusher_cancel(&lobby->admission);
  while (!wwri_list_empty(&lobby->guests)) {
    turn_away(by_link(lobby->guests.next));
  }
  if (lobby->epoll_fd < 0) {
    wwri_ws_native_stop(&shard->base, wwri_ws_shard_stop);
  } else {
    uv_close((uv_handle_t *)&lobby->poll, on_closed);
  }
}
