/* Happy path: look up, connect, [handshake], AUTH, SELECT; with sentinels first
 * a connection to one that knows the master. */
#include "redis_connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "redis_conn.h"

/* --- Dialing -------------------------------------------------------------- */

/* Connected, or false with the reason. */
static bool dial(struct redis_conn *conn, int family,
                 const struct sockaddr *address, socklen_t len) {
  int error = 0, on = 1;
  socklen_t size = sizeof error;
  if (conn->fd >= 0) redis_conn_hang_up(conn);
  conn->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (conn->fd < 0) return redis_conn_fail(conn, strerror(errno));
  if (family != AF_UNIX)
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(conn->fd, address, len) == 0) return true;
  if (errno != EINPROGRESS) return redis_conn_fail(conn, strerror(errno));
  if (!redis_conn_wait(conn, true)) return false;
  if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size)) error = errno;
  return error == 0 || redis_conn_fail(conn, strerror(error));
}

static bool dial_path(struct redis_conn *conn, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return redis_conn_fail(conn, "the socket's path is too long");
  memcpy(address.sun_path, path, strlen(path));
  return dial(conn, AF_UNIX, (const struct sockaddr *)&address, sizeof address);
}

static bool dial_host(struct redis_conn *conn,
                      const struct wwri_redis_host *host) {
  const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char port[8];
  snprintf(port, sizeof port, "%u", host->port);
  int status = getaddrinfo(host->name, port, &hints, &found);
  if (status != 0) return redis_conn_fail(conn, gai_strerror(status));
  bool ok = false;
  for (const struct addrinfo *it = found; it && !ok; it = it->ai_next)
    ok = dial(conn, it->ai_family, it->ai_addr, it->ai_addrlen);
  freeaddrinfo(found);
  return ok;
}

/* --- Signing in ----------------------------------------------------------- */

/* What is no "OK" is the reason. */
static bool expect_ok(struct redis_conn *conn, const char *what,
                      redisReply *reply) {
  char why[REDIS_WHY_SIZE / 2];
  if (!reply) return false;
  bool ok = reply->type == REDIS_REPLY_STATUS;
  if (!ok) {
    snprintf(why, sizeof why, "%s was refused: %.150s", what,
             reply->type == REDIS_REPLY_ERROR ? reply->str : "nonsense");
    redis_conn_fail(conn, why);
  }
  freeReplyObject(reply);
  return ok;
}

static bool sign_in(struct redis_conn *conn, const char *user,
                    const char *password) {
  if (!*password) return true;
  return expect_ok(conn, "AUTH",
                   *user ? redis_ask(conn, "AUTH %s %s", user, password)
                         : redis_ask(conn, "AUTH %s", password));
}

static bool choose(struct redis_conn *conn, uint32_t db) {
  return db == 0 ||
         expect_ok(conn, "SELECT", redis_ask(conn, "SELECT %u", (unsigned)db));
}

/* --- Connections ---------------------------------------------------------- */

/* `host` NULL: the URL's socket. */
static struct redis_conn *reach(const struct wwri_redis_url *url,
                                const struct wwri_redis_host *host,
                                uint32_t timeout_ms, char *why) {
  struct redis_conn *conn = redis_conn_new(url, host, timeout_ms);
  if (!conn) {
    snprintf(why, REDIS_WHY_SIZE, "out of memory");
    return NULL;
  }
  bool ok = host ? dial_host(conn, host) : dial_path(conn, url->path);
  if (ok && url->tls)
    ok = redis_conn_begin_tls(conn, url,
                              *url->tls_name ? url->tls_name : host->name);
  if (ok) return conn;
  snprintf(why, REDIS_WHY_SIZE, "%.270s: %.200s", redis_address(conn),
           redis_why(conn));
  redis_close(conn);
  return NULL;
}

/* `conn`, or NULL and the reason. */
static struct redis_conn *keep_if(bool ok, struct redis_conn *conn, char *why) {
  if (ok) return conn;
  snprintf(why, REDIS_WHY_SIZE, "%.270s: %.200s", redis_address(conn),
           redis_why(conn));
  redis_close(conn);
  return NULL;
}

static struct redis_conn *open_one(const struct wwri_redis_url *url,
                                   const struct wwri_redis_host *host,
                                   uint32_t timeout_ms, char *why) {
  struct redis_conn *conn = reach(url, host, timeout_ms, why);
  if (!conn) return NULL;
  return keep_if(
      sign_in(conn, url->user, url->password) && choose(conn, url->db), conn,
      why);
}

struct redis_conn *redis_connect_host(const struct wwri_redis_url *url,
                                      const struct wwri_redis_host *host,
                                      uint32_t timeout_ms,
                                      char why[REDIS_WHY_SIZE]) {
  return open_one(url, host, timeout_ms, why);
}

struct redis_conn *redis_connect_sentinel(const struct wwri_redis_url *url,
                                          size_t index, uint32_t timeout_ms,
                                          char why[REDIS_WHY_SIZE]) {
  struct redis_conn *conn = reach(url, &url->hosts[index], timeout_ms, why);
  if (!conn) return NULL;
  return keep_if(sign_in(conn, url->sentinel_user, url->sentinel_password),
                 conn, why);
}

/* --- The master that sentinels name --------------------------------------- */

static bool read_master(const redisReply *reply, struct wwri_redis_host *out) {
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return false;
  const redisReply *name = reply->element[0], *port = reply->element[1];
  if (name->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING)
    return false;
  unsigned long number = strtoul(port->str, NULL, 10);
  if (number == 0 || number > UINT16_MAX ||
      strlen(name->str) >= sizeof out->name)
    return false;
  memcpy(out->name, name->str, strlen(name->str) + 1);
  out->port = (uint16_t)number;
  return true;
}

static bool ask_sentinel(const struct wwri_redis_url *url, size_t index,
                         uint32_t timeout_ms, struct wwri_redis_host *out,
                         char *why) {
  struct redis_conn *conn = redis_connect_sentinel(url, index, timeout_ms, why);
  if (!conn) return false;
  redisReply *reply =
      redis_ask(conn, "SENTINEL get-master-addr-by-name %s", url->master);
  bool ok = reply && read_master(reply, out);
  if (!ok) {
    const char *said = !reply                             ? redis_why(conn)
                       : reply->type == REDIS_REPLY_ERROR ? reply->str
                                                          : NULL;
    snprintf(why, REDIS_WHY_SIZE, "sentinel %.270s: %.200s",
             redis_address(conn), said ? said : "it knows no such master");
  }
  if (reply) freeReplyObject(reply);
  redis_close(conn);
  return ok;
}

static struct redis_conn *open_master(const struct wwri_redis_url *url,
                                      uint32_t timeout_ms, char *why) {
  struct wwri_redis_host master;
  for (size_t i = 0; i < url->host_count; i++) {
    if (ask_sentinel(url, i, timeout_ms, &master, why))
      return open_one(url, &master, timeout_ms, why);
  }
  return NULL;
}

struct redis_conn *redis_connect(const struct wwri_redis_url *url,
                                 uint32_t timeout_ms,
                                 char why[REDIS_WHY_SIZE]) {
  struct redis_conn *conn = NULL;
  if (*url->path) return open_one(url, NULL, timeout_ms, why);
  if (url->sentinel) return open_master(url, timeout_ms, why);
  for (size_t i = 0; i < url->host_count && !conn; i++)
    conn = open_one(url, &url->hosts[i], timeout_ms, why);
  return conn;
}
