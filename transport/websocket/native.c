/* Plain connections of a server, without lws: the descriptor is ours from the
 * upgrade on (lobby.c, upgrade.c). What lws would do here is a parser
 * (wsparser.c) and the closing handshake. All connections of a thread are read
 * into one buffer, so that one can be large, and an idle connection holds
 * nothing but its pipe.
 *
 * The descriptors are in an epoll set of their own, which is one descriptor to
 * the loop. It is edge-triggered and asked for everything once: what is not
 * read or written to the end is noted here instead (rx_ready, waiting).
 *
 * A connection ends with the peer's close, its end of stream, an error, or the
 * linger time. Frames that are none are a violation (1002) like any other: what
 * came before is answered first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "websocket.h"

enum {
  RX_BYTES = 32768,
  /* What stands in front of timers, mail and output in one pass: so many bytes,
   * looked at after so many events. */
  RX_BYTES_PER_PASS = 262144,
  EVENTS_AT_ONCE = 32,
  ROUNDS_PER_PASS = 8,
  FRAMES_PER_SEND = 64,
  BYTES_PER_SEND = 65536,
  COPIED_MAX = 1024,
  BYTES_PER_FLUSH = 262144, /* of one pipe; then it is the others' turn */
  CLOSE_FIRST_BYTE = 0x88,
  PONG_FIRST_BYTE = 0x8a
};

struct wwri_ws_native_set {
  uv_poll_t poll;
  struct wwri_ws_shard *shard;
  void (*closed)(struct wwri_ws_shard *shard);
  int epoll_fd;
  size_t read_bytes; /* in this pass */
  uint8_t bytes[WWRI_WSPARSER_REST_MAX + RX_BYTES];
  uint8_t together[BYTES_PER_SEND];
};

static const uint32_t every_event = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/* Ends */

static void forget(struct wwri_ws_native *native) {
  free(native->rest);
  native->rest = NULL;
  native->rest_len = 0;
  wwri_frame_unref(native->pong);
  native->pong = NULL;
}

void wwri_ws_native_detach(struct wwri_ws_pipe *pipe) {
  struct wwri_ws_native *native = &pipe->native;
  forget(native);
  if (native->fd >= 0 && !native->farewell) {
    close(native->fd);
    native->fd = -1;
  }
  native->attached = false;
}

static struct wwri_frame *close_frame(uint16_t code) {
  struct wwri_frame *frame = wwri_frame_new(code ? 2 : 0);
  if (!frame) return NULL;
  frame->wire[0] = CLOSE_FIRST_BYTE;
  if (code) {
    wwri_frame_message(frame)[0] = (uint8_t)(code >> 8);
    wwri_frame_message(frame)[1] = (uint8_t)code;
  }
  return frame;
}

/* Bytes that are left unread would make the end a reset, which could overtake
 * the answer. */
void wwri_ws_native_farewell(struct wwri_ws_pipe *pipe) {
  struct wwri_ws_native *native = &pipe->native;
  struct wwri_ws_native_set *set = pipe->shard->native_set;
  if (!native->farewell) return;
  struct wwri_frame *frame = close_frame(native->farewell_code);
  if (frame) {
    (void)send(native->fd, frame->wire, wwri_frame_wire_len(frame),
               MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  wwri_frame_unref(frame);
  (void)shutdown(native->fd, SHUT_WR);
  if (set) (void)recv(native->fd, set->bytes, sizeof(set->bytes), MSG_DONTWAIT);
  close(native->fd);
  native->fd = -1;
  native->farewell = false;
}

void wwri_ws_native_close(struct wwri_ws_pipe *pipe, uint16_t code) {
  struct wwri_frame *frame = close_frame(code);
  if (!frame || wwri_outq_push(&pipe->out, frame, UINT32_MAX)) {
    wwri_frame_unref(frame);
    wwri_ws_pipe_kill(pipe, WWR_E_NOMEM);
    return;
  }
  pipe->base.queued_bytes = pipe->out.bytes;
  pipe->close_sent = true;
  wwri_ws_mark_dirty(pipe);
}

/* Sending */

/* Small frames together: the copy costs less than the kernel's work per piece.
 * 0: the first one is not small. */
static size_t collect(const struct wwri_ws_pipe *pipe, uint8_t *to) {
  size_t bytes = 0;
  size_t skip = pipe->out.offset;
  for (uint32_t i = 0; i < pipe->out.count; i++) {
    struct wwri_frame *frame = wwri_outq_peek(&pipe->out, i);
    size_t len = wwri_frame_wire_len(frame) - skip;
    if (len > COPIED_MAX || bytes + len > BYTES_PER_SEND) break;
    memcpy(to + bytes, frame->wire + skip, len);
    bytes += len;
    skip = 0;
  }
  return bytes;
}

static size_t gather(const struct wwri_ws_pipe *pipe, struct iovec *iov,
                     size_t *count) {
  size_t bytes = 0;
  size_t skip = pipe->out.offset;
  size_t n = 0;
  while (n < FRAMES_PER_SEND && n < pipe->out.count && bytes < BYTES_PER_SEND) {
    struct wwri_frame *frame = wwri_outq_peek(&pipe->out, (uint32_t)n);
    iov[n].iov_base = frame->wire + skip;
    iov[n].iov_len = wwri_frame_wire_len(frame) - skip;
    bytes += iov[n++].iov_len;
    skip = 0;
  }
  *count = n;
  return bytes;
}

/* As send(); *want is what it was asked to take. */
static ssize_t send_some(struct wwri_ws_pipe *pipe, size_t *want) {
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  struct iovec iov[FRAMES_PER_SEND];
  struct msghdr message = {.msg_iov = iov};
  uint8_t *together = pipe->shard->native_set->together;
  *want = pipe->out.count > 1 ? collect(pipe, together) : 0;
  if (*want > 0) return send(pipe->native.fd, together, *want, flags);
  *want = gather(pipe, iov, &message.msg_iovlen);
  if (message.msg_iovlen > 1) return sendmsg(pipe->native.fd, &message, flags);
  return send(pipe->native.fd, iov[0].iov_base, *want, flags);
}

static void write_queue(struct wwri_ws_pipe *pipe) {
  size_t budget = BYTES_PER_FLUSH;
  while (pipe->out.count > 0 && budget > 0) {
    size_t want;
    ssize_t n = send_some(pipe, &want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
      wwri_ws_pipe_broken(pipe);
      return;
    }
    if (n > 0) wwri_ws_wrote(pipe, (size_t)n);
    if (n < 0 || (size_t)n < want) {
      pipe->waiting = true;
      wwri_ws_stall_watch(pipe);
      return;
    }
    budget -= want < budget ? want : budget;
  }
}

/* The answer to the latest ping, behind what is queued. */
static void queue_pong(struct wwri_ws_pipe *pipe) {
  struct wwri_frame *pong = pipe->native.pong;
  pipe->native.pong = NULL;
  if (!pong) return;
  if (pipe->closing || wwri_outq_push(&pipe->out, pong, UINT32_MAX)) {
    wwri_frame_unref(pong); /* it may be left out */
  }
  pipe->base.queued_bytes = pipe->out.bytes;
}

void wwri_ws_native_flush(struct wwri_ws_pipe *pipe) {
  queue_pong(pipe);
  write_queue(pipe);
  if (!pipe->native.attached || pipe->waiting || pipe->broken) return;
  if (pipe->out.count > 0) {
    wwri_ws_mark_bulk(pipe); /* over its budget */
  } else if (pipe->close_sent && pipe->peer_closing) {
    (void)shutdown(pipe->native.fd, SHUT_WR);
    wwri_ws_pipe_gone(pipe, WWR_OK);
  } else if (pipe->close_sent && pipe->native.deaf) {
    (void)shutdown(pipe->native.fd, SHUT_WR); /* no answer can be heard */
  }
}

/* Receiving */

static void on_ping(struct wwri_ws_pipe *pipe,
                    const struct wwri_ws_piece *piece) {
  struct wwri_frame *pong = wwri_frame_new(piece->len);
  if (!pong || pipe->closing) { /* no memory: the next one is answered */
    wwri_frame_unref(pong);
    return;
  }
  pong->wire[0] = PONG_FIRST_BYTE;
  if (piece->len) memcpy(wwri_frame_message(pong), piece->data, piece->len);
  wwri_frame_unref(pipe->native.pong);
  pipe->native.pong = pong;
  wwri_ws_mark_dirty(pipe);
}

/* If all is sent and the answer can go out, nobody needs to wait for it: the
 * pipe ends before, so that a client which has the answer finds its place
 * free. Otherwise it stays, with its time limit. */
static void on_close(struct wwri_ws_pipe *pipe,
                     const struct wwri_ws_piece *piece) {
  uint16_t code = wwri_wsparser_close_code(piece->data, piece->len);
  if (pipe->closing) {
    pipe->peer_closing = true;
    if (pipe->out.count == 0) wwri_ws_pipe_gone(pipe, WWR_OK);
    return;
  }
  wwri_ws_peer_closes(pipe);
  if (!pipe->native.attached || pipe->broken) return;
  if (pipe->out.count == 0 && wwri_ws_socket_is_writable(pipe->native.fd)) {
    pipe->native.farewell = true;
    pipe->native.farewell_code = code;
    wwri_ws_pipe_gone(pipe, WWR_OK);
  } else {
    wwri_ws_native_close(pipe, code);
  }
}

static void on_broken(struct wwri_ws_pipe *pipe) {
  pipe->native.deaf = true;
  if (pipe->violated) return; /* or closing: it ends soon */
  wwri_ws_violate(pipe, WWRI_CLOSE_PROTOCOL);
}

static void keep_rest(struct wwri_ws_pipe *pipe, const uint8_t *at,
                      const uint8_t *end) {
  size_t len = (size_t)(end - at);
  if (len == 0) return;
  pipe->native.rest = malloc(len);
  if (!pipe->native.rest) {
    wwri_ws_pipe_kill(pipe, WWR_E_NOMEM);
    return;
  }
  memcpy(pipe->native.rest, at, len);
  pipe->native.rest_len = (uint8_t)len;
}

/* There is room before `at` for the rest. */
static uint8_t *prepend_rest(struct wwri_ws_native *native, uint8_t *at) {
  if (!native->rest) return at;
  at -= native->rest_len;
  memcpy(at, native->rest, native->rest_len);
  free(native->rest);
  native->rest = NULL;
  native->rest_len = 0;
  return at;
}

static void parse(struct wwri_ws_pipe *pipe, uint8_t *at, uint8_t *end) {
  struct wwri_ws_native *native = &pipe->native;
  struct wwri_ws_piece piece;
  at = prepend_rest(native, at);
  while (native->attached && !native->deaf && !pipe->peer_closing) {
    switch (wwri_wsparser_next(&native->parser, &at, end, &piece)) {
      case WWRI_WS_MORE:
        keep_rest(pipe, at, end);
        return;
      case WWRI_WS_PIECE:
        wwri_ws_received(pipe, &piece);
        break;
      case WWRI_WS_PING:
        on_ping(pipe, &piece);
        break;
      case WWRI_WS_PONG:
        break;
      case WWRI_WS_CLOSE:
        on_close(pipe, &piece);
        break;
      case WWRI_WS_BROKEN:
        on_broken(pipe);
        break;
    }
  }
}

/* There may be more, of which no event will tell: ask for one. */
static void ask_again(struct wwri_ws_pipe *pipe) {
  struct epoll_event event = {.events = every_event, .data.ptr = pipe};
  if (epoll_ctl(pipe->shard->native_set->epoll_fd, EPOLL_CTL_MOD,
                pipe->native.fd, &event)) {
    wwri_ws_pipe_kill(pipe, WWR_E_IO);
  }
}

static void read_some(struct wwri_ws_pipe *pipe) {
  struct wwri_ws_native_set *set = pipe->shard->native_set;
  uint8_t *bytes = set->bytes + WWRI_WSPARSER_REST_MAX;
  ssize_t n;
  do {
    n = recv(pipe->native.fd, bytes, RX_BYTES, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) {
    wwri_ws_pipe_gone(pipe, WWR_E_DISCONNECTED);
    return;
  }
  set->read_bytes += (size_t)n;
  if (n == RX_BYTES || pipe->native.ended) ask_again(pipe);
  if (!pipe->native.attached) return;
  wwri_ws_touch(pipe);
  wwri_loop_note_input(pipe->base.loop);
  parse(pipe, bytes, bytes + n);
}

void wwri_ws_native_resume(struct wwri_ws_pipe *pipe) {
  if (!pipe->native.rx_ready) return;
  pipe->native.rx_ready = false;
  read_some(pipe);
}

static void on_event(struct wwri_ws_pipe *pipe, uint32_t events) {
  struct wwri_ws_native *native = &pipe->native;
  if (!native->attached) return; /* ended after these events were fetched */
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) native->ended = true;
  if ((events & EPOLLOUT) && pipe->waiting) {
    pipe->waiting = false;
    wwri_list_remove(&pipe->stall_link);
    wwri_ws_mark_bulk(pipe); /* there may be many such */
  }
  if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
  if (!pipe->rx_off) {
    read_some(pipe);
  } else if (events & (EPOLLHUP | EPOLLERR)) {
    wwri_ws_pipe_kill(pipe, WWR_E_DISCONNECTED);
  } else {
    native->rx_ready = true;
  }
}

static void on_events(uv_poll_t *handle, int status, int events) {
  struct wwri_ws_native_set *set = handle->data;
  struct epoll_event found[EVENTS_AT_ONCE];
  (void)events;
  if (status < 0) return;
  int n = EVENTS_AT_ONCE;
  set->read_bytes = 0;
  for (int round = 0; round < ROUNDS_PER_PASS && n == EVENTS_AT_ONCE &&
                      set->read_bytes < RX_BYTES_PER_PASS;
       round++) {
    n = epoll_wait(set->epoll_fd, found, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < n; i++) on_event(found[i].data.ptr, found[i].events);
  }
}

/* Life */

wwr_err wwri_ws_native_attach(struct wwri_ws_pipe *pipe, int fd) {
  struct epoll_event event = {.events = every_event, .data.ptr = pipe};
  if (epoll_ctl(pipe->shard->native_set->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
    return WWR_E_IO;
  }
  pipe->native.fd = fd;
  pipe->native.attached = true;
  return WWR_OK;
}

uint8_t *wwri_ws_native_scratch(struct wwri_ws_shard *shard, size_t *size) {
  *size = sizeof(shard->native_set->bytes);
  return shard->native_set->bytes;
}

wwr_err wwri_ws_native_open(struct wwri_ws_shard *shard) {
  struct wwri_ws_native_set *set = malloc(sizeof(*set));
  if (!set) return WWR_E_NOMEM;
  set->shard = shard;
  set->poll.data = set;
  set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (set->epoll_fd < 0 ||
      uv_poll_init(wwri_loop_uv(shard->loop), &set->poll, set->epoll_fd)) {
    if (set->epoll_fd >= 0) close(set->epoll_fd);
    free(set);
    return WWR_E_IO;
  }
  uv_poll_start(&set->poll, UV_READABLE, on_events);
  shard->native_set = set;
  return WWR_OK;
}

static void on_set_closed(uv_handle_t *handle) {
  struct wwri_ws_native_set *set = handle->data;
  struct wwri_ws_shard *shard = set->shard;
  shard->native_set = NULL;
  close(set->epoll_fd);
  set->closed(shard);
  free(set);
}

void wwri_ws_native_stop(struct wwri_ws_shard *shard,
                         void (*closed)(struct wwri_ws_shard *shard)) {
  if (!shard->native_set) {
    closed(shard);
    return;
  }
  shard->native_set->closed = closed;
  uv_close((uv_handle_t *)&shard->native_set->poll, on_set_closed);
}
