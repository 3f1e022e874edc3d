/* Happy path: commands are appended to `out` and leave together when the loop
 * is quiet; what arrives is collected in `in` until a reply is complete, which
 * is then parsed and handed on.
 *
 * Failure modes: whatever is no reply ends the connection, and so does the end
 * of the stream, also in the middle of a reply: the rest is never guessed. A
 * connection that was closed by its owner from inside a hook reads on no
 * further; its memory lives until libuv has let go of it. */
#include "rconn.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "rconn_impl.h"
#include "reply.h"
#include "tls.h"

enum {
  CHUNK = 16 << 10,
  READS = 16,           /* per wake-up, so that others get their turn */
  KEEP_BYTES = 1 << 20, /* a larger buffer is given back when empty */
  TLS_ROOM = 1 << 20    /* what TLS adds to max_out, generously */
};

/* --- Life --------------------------------------------------------------- */

void wwri_rconn_ref(struct wwri_rconn *conn) {
  conn->refs++;
}

void wwri_rconn_unref(struct wwri_rconn *conn) {
  assert(conn->refs > 0);
  if (--conn->refs > 0 || conn->stage != RCONN_CLOSED) return;
  const struct wwri_rconn_hooks *hooks = conn->hooks;
  void *user = conn->user;
  if (conn->found) uv_freeaddrinfo(conn->found);
  wwri_redis_tls_free(conn->tls);
  wwri_redis_parser_free(conn->parser);
  wwri_buf_deinit(&conn->in);
  wwri_buf_deinit(&conn->out);
  wwri_buf_deinit(&conn->raw);
  free(conn);
  hooks->on_gone(user);
}

void wwri_rconn_close(struct wwri_rconn *conn) {
  if (!conn || conn->stage == RCONN_CLOSED) return;
  wwri_rconn_ref(conn);
  conn->stage = RCONN_CLOSED;
  wwri_loop_timer_cancel(conn->loop, &conn->start);
  wwri_flusher_cancel(&conn->flusher);
  wwri_rconn_drop_socket(conn);
  if (conn->resolving) uv_cancel((uv_req_t *)&conn->dns);
  wwri_rconn_unref(conn);
}

void wwri_rconn_fail(struct wwri_rconn *conn, enum wwri_redis_cause cause,
                     const char *format, ...) {
  va_list args;
  if (conn->stage == RCONN_CLOSED) return;
  va_start(args, format);
  vsnprintf(conn->why, sizeof(conn->why), format, args);
  va_end(args);
  wwri_rconn_ref(conn);
  wwri_rconn_close(conn);
  conn->hooks->on_closed(cause, conn->why, conn->user);
  wwri_rconn_unref(conn);
}

static void fail_with(struct wwri_rconn *conn, wwr_err err) {
  if (err == WWR_E_TLS) {
    wwri_rconn_fail(conn, WWRI_CAUSE_TLS, "TLS: %s",
                    wwri_redis_tls_why(conn->tls));
  } else if (err == WWR_E_CLOSED) {
    wwri_rconn_fail(conn, WWRI_CAUSE_IO, "closed by the peer");
  } else if (err == WWR_E_NOMEM) {
    wwri_rconn_fail(conn, WWRI_CAUSE_NOMEM, "out of memory");
  } else {
    wwri_rconn_fail(conn, WWRI_CAUSE_PROTOCOL, "%s", wwr_err_text(err));
  }
}

/* --- Writing ------------------------------------------------------------ */

/* Send what is left of `buf`. False: not all of it, or the connection ended. */
static bool send_buf(struct wwri_rconn *conn, struct wwri_buf *buf,
                     size_t *sent) {
  while (*sent < buf->len) {
    ssize_t n =
        send(conn->fd, buf->data + *sent, buf->len - *sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n < 0) {
      wwri_rconn_fail(conn, WWRI_CAUSE_IO, "send: %s", strerror(errno));
      return false;
    }
    *sent += (size_t)n;
  }
  return true;
}

static void release(struct wwri_buf *buf) {
  if (buf->cap > KEEP_BYTES) {
    wwri_buf_deinit(buf);
  } else {
    wwri_buf_clear(buf);
  }
}

/* Make room again when the larger part of a backlog has left. */
static void compact_out(struct wwri_rconn *conn) {
  size_t rest = conn->out.len - conn->out_sent;
  if (conn->out_sent == 0 || (rest > 0 && conn->out_sent < rest)) return;
  conn->out_base += conn->out_sent;
  if (rest > 0) {
    memmove(conn->out.data, conn->out.data + conn->out_sent, rest);
    conn->out.len = rest;
  } else {
    release(&conn->out);
  }
  conn->out_sent = 0;
}

static bool flush_plain(struct wwri_rconn *conn) {
  bool all = send_buf(conn, &conn->out, &conn->out_sent);
  if (conn->stage != RCONN_CLOSED) compact_out(conn);
  return all;
}

static bool flush_raw(struct wwri_rconn *conn) {
  bool all = send_buf(conn, &conn->raw, &conn->raw_sent);
  if (!all || conn->stage == RCONN_CLOSED) return false;
  release(&conn->raw);
  conn->raw_sent = 0;
  return true;
}

/* Encrypts only when what was encrypted before has left: so the ceiling of
 * `out` is what bounds both. */
static bool flush_tls(struct wwri_rconn *conn) {
  if (!flush_raw(conn)) return false;
  if (conn->stage != RCONN_OPEN || conn->out.len == 0) return true;
  conn->out_base += conn->out.len;
  wwr_err err =
      wwri_redis_tls_write(conn->tls, wwri_buf_view(&conn->out), &conn->raw);
  release(&conn->out);
  if (err != WWR_OK) {
    fail_with(conn, err);
    return false;
  }
  return flush_raw(conn);
}

static void flush(struct wwri_rconn *conn) {
  bool all = conn->tls ? flush_tls(conn) : flush_plain(conn);
  if (conn->stage == RCONN_CLOSED || conn->wants_write == !all) return;
  conn->wants_write = !all;
  wwri_rconn_watch(conn, UV_READABLE | (all ? 0 : UV_WRITABLE));
}

static void on_flush(struct wwri_flusher *flusher) {
  struct wwri_rconn *conn = WWRI_CONTAINER(flusher, struct wwri_rconn, flusher);
  wwri_rconn_ref(conn);
  if (conn->stage == RCONN_OPEN) flush(conn);
  wwri_rconn_unref(conn);
}

struct wwri_buf *wwri_rconn_out(struct wwri_rconn *conn) {
  return &conn->out;
}

void wwri_rconn_commit(struct wwri_rconn *conn) {
  if (conn->stage == RCONN_OPEN) {
    wwri_loop_flush_later(conn->loop, &conn->flusher);
  }
}

uint64_t wwri_rconn_queued(const struct wwri_rconn *conn) {
  return conn->out_base + conn->out.len;
}

uint64_t wwri_rconn_left(const struct wwri_rconn *conn) {
  return conn->out_base + conn->out_sent;
}

/* --- Reading ------------------------------------------------------------ */

static void hand_on(struct wwri_rconn *conn, struct wwr_view bytes) {
  struct wwri_redis_reply *reply = NULL;
  wwr_err err = wwri_redis_parser_take(conn->parser, bytes, &reply);
  if (err == WWR_E_PROTOCOL) {
    wwri_rconn_fail(conn, WWRI_CAUSE_PROTOCOL, "a reply that is none");
  } else if (err != WWR_OK) {
    fail_with(conn, err);
  } else {
    conn->hooks->on_reply(reply, conn->user);
    wwri_redis_reply_free(reply);
  }
}

static void forget_read(struct wwri_rconn *conn) {
  size_t rest = conn->in.len - conn->in_pos;
  if (conn->in_pos == 0) return;
  if (rest > 0) {
    memmove(conn->in.data, conn->in.data + conn->in_pos, rest);
    conn->in.len = rest;
  } else {
    release(&conn->in);
  }
  conn->in_pos = 0;
}

/* Every reply that is complete. */
static void take_replies(struct wwri_rconn *conn) {
  while (conn->stage == RCONN_OPEN && conn->in_pos < conn->in.len) {
    struct wwr_view rest = {conn->in.data + conn->in_pos,
                            conn->in.len - conn->in_pos};
    const char *why = "";
    enum wwri_resp_result result = wwri_resp_scan(&conn->scan, rest, &why);
    if (result == WWRI_RESP_BAD) {
      wwri_rconn_fail(conn, WWRI_CAUSE_PROTOCOL, "no reply of Redis: %s", why);
    }
    if (result != WWRI_RESP_DONE) break;
    rest.len = conn->scan.pos;
    conn->in_pos += rest.len;
    conn->scan = (struct wwri_resp_scan){0};
    hand_on(conn, rest);
  }
  if (conn->stage == RCONN_OPEN) forget_read(conn);
}

static wwr_err decrypt(struct wwri_rconn *conn) {
  uint8_t plain[CHUNK];
  size_t len;
  do {
    wwr_err err =
        wwri_redis_tls_read(conn->tls, plain, sizeof(plain), &len, &conn->raw);
    if (err == WWR_OK) err = wwri_buf_append(&conn->in, plain, len);
    if (err != WWR_OK) return err;
    if (len > 0) take_replies(conn);
  } while (len > 0 && conn->stage == RCONN_OPEN);
  return WWR_OK;
}

static wwr_err handshake(struct wwri_rconn *conn) {
  bool done = false;
  wwr_err err = wwri_redis_tls_handshake(conn->tls, &conn->raw, &done);
  if (err != WWR_OK) {
    flush_raw(conn); /* the alert that tells the peer why */
    return conn->stage == RCONN_CLOSED ? WWR_OK : err;
  }
  flush(conn);
  if (!done || conn->stage == RCONN_CLOSED) return WWR_OK;
  conn->stage = RCONN_OPEN;
  conn->hooks->on_open(conn->user);
  return WWR_OK;
}

/* Bytes of the socket. */
static wwr_err take_bytes(struct wwri_rconn *conn, const uint8_t *bytes,
                          size_t len) {
  if (!conn->tls) {
    wwr_err err = wwri_buf_append(&conn->in, bytes, len);
    if (err == WWR_OK) take_replies(conn);
    return err;
  }
  wwr_err err = wwri_redis_tls_feed(conn->tls, bytes, len);
  if (err == WWR_OK && conn->stage == RCONN_HANDSHAKE) err = handshake(conn);
  if (err == WWR_OK && conn->stage == RCONN_OPEN) err = decrypt(conn);
  if (err == WWR_OK && conn->stage == RCONN_OPEN) flush(conn);
  return err;
}

/* One read; false when there is no more now. */
static bool read_some(struct wwri_rconn *conn) {
  uint8_t chunk[CHUNK];
  ssize_t n = recv(conn->fd, chunk, sizeof(chunk), 0);
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (n < 0) {
    wwri_rconn_fail(conn, WWRI_CAUSE_IO, "recv: %s", strerror(errno));
    return false;
  }
  if (n == 0) {
    wwri_rconn_fail(conn, WWRI_CAUSE_IO, "closed by the peer");
    return false;
  }
  wwr_err err = take_bytes(conn, chunk, (size_t)n);
  if (err != WWR_OK) fail_with(conn, err);
  return (size_t)n == sizeof(chunk);
}

static void read_all(struct wwri_rconn *conn) {
  wwri_loop_note_input(conn->loop);
  for (int i = 0; i < READS && conn->stage != RCONN_CLOSED; i++) {
    if (!read_some(conn)) return;
  }
}

/* --- Connecting --------------------------------------------------------- */

void wwri_rconn_connected(struct wwri_rconn *conn) {
  wwri_rconn_watch(conn, UV_READABLE);
  if (!conn->tls_config) {
    conn->stage = RCONN_OPEN;
    conn->hooks->on_open(conn->user);
    return;
  }
  const char *name = conn->tls_name[0] ? conn->tls_name : conn->host.name;
  wwr_err err = wwri_redis_tls_new(&conn->tls, conn->tls_config, name);
  conn->stage = RCONN_HANDSHAKE;
  if (err == WWR_OK) {
    err = handshake(conn);
  } else if (err == WWR_E_TLS) {
    wwri_rconn_fail(conn, WWRI_CAUSE_TLS, "TLS: %s is not a name", name);
    return;
  }
  if (err != WWR_OK) fail_with(conn, err);
}

void wwri_rconn_ready(struct wwri_rconn *conn, int events) {
  wwri_rconn_ref(conn);
  if (conn->stage == RCONN_CONNECTING) {
    wwri_rconn_finish_connect(conn);
  } else {
    if (events & UV_WRITABLE) flush(conn);
    if (conn->stage != RCONN_CLOSED && events & UV_READABLE) read_all(conn);
  }
  wwri_rconn_unref(conn);
}

static void on_start(struct wwri_timer *timer) {
  struct wwri_rconn *conn = WWRI_CONTAINER(timer, struct wwri_rconn, start);
  wwri_rconn_ref(conn);
  wwri_rconn_dial(conn);
  wwri_rconn_unref(conn);
}

static void copy_text(char *to, size_t cap, const char *from) {
  snprintf(to, cap, "%s", from ? from : "");
}

wwr_err wwri_rconn_new(struct wwri_rconn **out, struct wwri_loop *loop,
                       const struct wwri_rconn_target *target, size_t max_out,
                       const struct wwri_rconn_hooks *hooks, void *user) {
  struct wwri_rconn *conn = calloc(1, sizeof(*conn));
  *out = NULL;
  if (!conn) return WWR_E_NOMEM;
  if (wwri_redis_parser_new(&conn->parser) != WWR_OK) {
    free(conn);
    return WWR_E_NOMEM;
  }
  conn->loop = loop;
  conn->hooks = hooks;
  conn->user = user;
  conn->fd = -1;
  copy_text(conn->path, sizeof(conn->path), target->path);
  copy_text(conn->host.name, sizeof(conn->host.name), target->host);
  copy_text(conn->tls_name, sizeof(conn->tls_name), target->tls_name);
  conn->host.port = target->port;
  conn->tls_config = target->tls;
  wwri_buf_init(&conn->in, WWRI_RESP_MAX_BYTES + 2 * CHUNK);
  wwri_buf_init(&conn->out, max_out);
  wwri_buf_init(&conn->raw, max_out + TLS_ROOM);
  wwri_timer_init(&conn->start, on_start);
  wwri_flusher_init(&conn->flusher, on_flush);
  wwri_loop_timer_set(loop, &conn->start, 0);
  *out = conn;
  return WWR_OK;
}
