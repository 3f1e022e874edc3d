/* Bytes out, bytes in: commands are collected until an answer is wanted. */
#include "redis_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  CHUNK = 64 << 10,
  FLUSH_BYTES = 256 << 10,
  MAX_OUT = 1 << 30,   /* one command may hold a large value */
  MAX_REPLY = 1 << 30, /* Redis has no value over 512 MB */
  MAX_HANDSHAKE = 64   /* rounds */
};

/* --- Life ----------------------------------------------------------------- */

bool redis_conn_fail(struct redis_conn *conn, const char *why) {
  snprintf(conn->why, sizeof conn->why, "%s", why);
  return false;
}

void redis_conn_hang_up(struct redis_conn *conn) {
  if (conn->fd >= 0) close(conn->fd);
  conn->fd = -1;
}

struct redis_conn *redis_conn_new(const struct wwri_redis_url *url,
                                  const struct wwri_redis_host *host,
                                  uint32_t timeout_ms) {
  struct redis_conn *conn = calloc(1, sizeof *conn);
  if (!conn) return NULL;
  conn->fd = -1;
  conn->timeout_ms = timeout_ms;
  conn->reader = redisReaderCreate();
  wwri_buf_init(&conn->plain, MAX_OUT);
  wwri_buf_init(&conn->wire, MAX_OUT);
  if (host)
    snprintf(conn->address, sizeof conn->address,
             strchr(host->name, ':') ? "[%s]:%u" : "%s:%u", host->name,
             host->port);
  else
    snprintf(conn->address, sizeof conn->address, "%s", url->path);
  if (conn->reader) return conn;
  redis_close(conn);
  return NULL;
}

void redis_close(struct redis_conn *conn) {
  if (!conn) return;
  redis_conn_hang_up(conn);
  wwri_redis_tls_free(conn->tls);
  wwri_redis_tls_config_free(conn->config);
  if (conn->reader) redisReaderFree(conn->reader);
  wwri_buf_deinit(&conn->plain);
  wwri_buf_deinit(&conn->wire);
  free(conn);
}

const char *redis_address(const struct redis_conn *conn) {
  return conn->address;
}

const char *redis_why(const struct redis_conn *conn) {
  return *conn->why ? conn->why : "the connection broke";
}

/* --- The socket ----------------------------------------------------------- */

bool redis_conn_wait(struct redis_conn *conn, bool writable) {
  struct pollfd one = {.fd = conn->fd, .events = writable ? POLLOUT : POLLIN};
  int count;
  do {
    count = poll(&one, 1, (int)conn->timeout_ms);
  } while (count < 0 && errno == EINTR);
  if (count > 0) return true;
  return redis_conn_fail(conn, count == 0 ? "no answer" : strerror(errno));
}

static bool send_all(struct redis_conn *conn, const uint8_t *bytes,
                     size_t len) {
  while (len > 0) {
    ssize_t count = send(conn->fd, bytes, len, MSG_NOSIGNAL);
    if (count > 0) {
      bytes += count;
      len -= (size_t)count;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!redis_conn_wait(conn, true)) return false;
    } else if (errno != EINTR) {
      return redis_conn_fail(conn, strerror(errno));
    }
  }
  return true;
}

/* Some bytes as they come; 0: it broke. */
static size_t receive(struct redis_conn *conn, uint8_t *into, size_t cap) {
  for (;;) {
    ssize_t count = recv(conn->fd, into, cap, 0);
    if (count > 0) return (size_t)count;
    if (count == 0) {
      redis_conn_fail(conn, "the connection was closed");
      return 0;
    }
    bool again = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!again && errno != EINTR) {
      redis_conn_fail(conn, strerror(errno));
      return 0;
    }
    if (again && !redis_conn_wait(conn, false)) return 0;
  }
}

/* --- TLS ------------------------------------------------------------------ */

static bool tls_failed(struct redis_conn *conn, wwr_err err) {
  return redis_conn_fail(conn, err == WWR_E_NOMEM
                                   ? "out of memory"
                                   : wwri_redis_tls_why(conn->tls));
}

static bool send_wire(struct redis_conn *conn) {
  bool ok = send_all(conn, conn->wire.data, conn->wire.len);
  wwri_buf_clear(&conn->wire);
  return ok;
}

bool redis_conn_begin_tls(struct redis_conn *conn,
                          const struct wwri_redis_url *url, const char *name) {
  const char *why = "out of memory";
  uint8_t chunk[4096];
  bool done = false;
  if (wwri_redis_tls_config_new(&conn->config, url, &why) != WWR_OK ||
      wwri_redis_tls_new(&conn->tls, conn->config, name) != WWR_OK)
    return redis_conn_fail(conn, why);
  for (int i = 0; i < MAX_HANDSHAKE; i++) {
    wwr_err err = wwri_redis_tls_handshake(conn->tls, &conn->wire, &done);
    /* Also after a refusal: the other side should know why. */
    bool sent = send_wire(conn);
    if (err != WWR_OK) return tls_failed(conn, err);
    if (!sent || done) return sent;
    size_t len = receive(conn, chunk, sizeof chunk);
    if (len == 0) return false;
    err = wwri_redis_tls_feed(conn->tls, chunk, len);
    if (err != WWR_OK) return tls_failed(conn, err);
  }
  return redis_conn_fail(conn, "the TLS handshake does not end");
}

/* What came is fed to the reader as far as it can be decrypted. */
static bool decrypt(struct redis_conn *conn, uint8_t *chunk, size_t len,
                    size_t *fed) {
  wwr_err err = wwri_redis_tls_feed(conn->tls, chunk, len);
  do {
    if (err == WWR_OK)
      err = wwri_redis_tls_read(conn->tls, chunk, CHUNK, &len, &conn->wire);
    if (err != WWR_OK) return tls_failed(conn, err);
    *fed += len;
    if (len > 0 &&
        redisReaderFeed(conn->reader, (const char *)chunk, len) != REDIS_OK)
      return redis_conn_fail(conn, conn->reader->errstr);
  } while (len > 0);
  return send_wire(conn);
}

/* --- Commands and answers ------------------------------------------------- */

static bool flush(struct redis_conn *conn) {
  bool ok = true;
  if (conn->tls) {
    wwr_err err = wwri_redis_tls_write(conn->tls, wwri_buf_view(&conn->plain),
                                       &conn->wire);
    ok = err == WWR_OK ? send_wire(conn) : tls_failed(conn, err);
  } else {
    ok = send_all(conn, conn->plain.data, conn->plain.len);
  }
  wwri_buf_clear(&conn->plain);
  return ok;
}

/* A command that hiredis wrote, which is freed. */
static bool put(struct redis_conn *conn, char *command, long long len) {
  if (len < 0) return redis_conn_fail(conn, "a command can't be written");
  bool ok = wwri_buf_append(&conn->plain, command, (size_t)len) == WWR_OK;
  redisFreeCommand(command);
  if (!ok) return redis_conn_fail(conn, "out of memory");
  return conn->plain.len < FLUSH_BYTES || flush(conn);
}

bool redis_send(struct redis_conn *conn, int argc, const char **argv,
                const size_t *lens) {
  char *command = NULL;
  long long len = redisFormatCommandArgv(&command, argc, argv, lens);
  return put(conn, command, len);
}

static bool take_more(struct redis_conn *conn, size_t *fed) {
  uint8_t chunk[CHUNK];
  if (*fed > MAX_REPLY) return redis_conn_fail(conn, "an answer is too long");
  size_t len = receive(conn, chunk, sizeof chunk);
  if (len == 0) return false;
  if (conn->tls) return decrypt(conn, chunk, len, fed);
  *fed += len;
  return redisReaderFeed(conn->reader, (const char *)chunk, len) == REDIS_OK ||
         redis_conn_fail(conn, conn->reader->errstr);
}

redisReply *redis_answer(struct redis_conn *conn) {
  void *reply = NULL;
  size_t fed = 0;
  if (conn->plain.len > 0 && !flush(conn)) return NULL;
  for (;;) {
    if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK) {
      redis_conn_fail(conn, conn->reader->errstr);
      return NULL;
    }
    if (reply) return reply;
    if (!take_more(conn, &fed)) return NULL;
  }
}

redisReply *redis_ask(struct redis_conn *conn, const char *format, ...) {
  char *command = NULL;
  va_list args;
  va_start(args, format);
  int len = redisvFormatCommand(&command, format, args);
  va_end(args);
  return put(conn, command, len) ? redis_answer(conn) : NULL;
}
