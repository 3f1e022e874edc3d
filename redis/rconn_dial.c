/* Happy path: the name is looked up on libuv's pool, its addresses are tried in
 * order, and the first that connects wins. A Unix socket is one address.
 *
 * Failure modes: when the last address fails, its error is the connection's. A
 * look-up that is cancelled ends in its callback, which holds the memory until
 * then. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rconn_impl.h"

static void on_poll(uv_poll_t *handle, int status, int events) {
  struct wwri_rconn *conn = ((struct rconn_poll *)handle->data)->conn;
  /* An error is found by the call that meets it. */
  wwri_rconn_ready(conn, status < 0 ? UV_READABLE | UV_WRITABLE : events);
}

void wwri_rconn_watch(struct wwri_rconn *conn, int events) {
  uv_poll_start(&conn->poll->uv, events, on_poll);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct rconn_poll *poll = handle->data;
  wwri_rconn_unref(poll->conn);
  free(poll);
}

void wwri_rconn_drop_socket(struct wwri_rconn *conn) {
  if (conn->poll) uv_close((uv_handle_t *)&conn->poll->uv, on_poll_closed);
  if (conn->fd >= 0) close(conn->fd);
  conn->poll = NULL;
  conn->fd = -1;
}

static bool add_poll(struct wwri_rconn *conn) {
  struct rconn_poll *poll = calloc(1, sizeof(*poll));
  if (!poll) return false;
  if (uv_poll_init(wwri_loop_uv(conn->loop), &poll->uv, conn->fd)) {
    free(poll);
    return false;
  }
  poll->conn = conn;
  poll->uv.data = poll;
  conn->poll = poll;
  wwri_rconn_ref(conn);
  return true;
}

static void tune(int fd, int family) {
  int on = 1;
  if (family == AF_UNIX) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* 0: under way or connected; else errno, and the socket is gone. */
static int connect_to(struct wwri_rconn *conn, int family,
                      const struct sockaddr *address, socklen_t len) {
  conn->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (conn->fd < 0) return errno;
  int error = add_poll(conn) ? 0 : ENOMEM;
  tune(conn->fd, family);
  if (!error && connect(conn->fd, address, len) && errno != EINPROGRESS) {
    error = errno;
  }
  if (error) {
    wwri_rconn_drop_socket(conn);
    return error;
  }
  wwri_rconn_watch(conn, UV_WRITABLE);
  return 0;
}

static void dial_path(struct wwri_rconn *conn) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(conn->path);
  if (len >= sizeof(address.sun_path)) {
    wwri_rconn_fail(conn, WWRI_CAUSE_IO, "the socket's path is too long");
    return;
  }
  memcpy(address.sun_path, conn->path, len);
  int error = connect_to(conn, AF_UNIX, (const struct sockaddr *)&address,
                         sizeof(address));
  if (error) wwri_rconn_fail(conn, WWRI_CAUSE_IO, "%s", strerror(error));
}

/* Start with the next address that does not fail at once. */
static void try_next(struct wwri_rconn *conn) {
  int error = EHOSTUNREACH;
  while (conn->next) {
    const struct addrinfo *it = conn->next;
    conn->next = it->ai_next;
    error = connect_to(conn, it->ai_family, it->ai_addr, it->ai_addrlen);
    if (!error) return;
  }
  wwri_rconn_fail(conn, WWRI_CAUSE_IO, "connect: %s", strerror(error));
}

static void on_resolved(uv_getaddrinfo_t *request, int status,
                        struct addrinfo *found) {
  struct wwri_rconn *conn = request->data;
  conn->resolving = false;
  conn->found = conn->next = found;
  if (conn->stage == RCONN_CLOSED) {
    /* nobody is interested any more */
  } else if (status) {
    wwri_rconn_fail(conn, WWRI_CAUSE_RESOLVE, "looking up %s: %s",
                    conn->host.name, uv_strerror(status));
  } else {
    try_next(conn);
  }
  wwri_rconn_unref(conn);
}

void wwri_rconn_dial(struct wwri_rconn *conn) {
  char port[8];
  const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM};
  if (conn->path[0]) {
    dial_path(conn);
    return;
  }
  snprintf(port, sizeof(port), "%u", conn->host.port);
  conn->dns.data = conn;
  int status = uv_getaddrinfo(wwri_loop_uv(conn->loop), &conn->dns, on_resolved,
                              conn->host.name, port, &hints);
  if (status) {
    wwri_rconn_fail(conn, WWRI_CAUSE_RESOLVE, "looking up %s: %s",
                    conn->host.name, uv_strerror(status));
    return;
  }
  conn->resolving = true;
  wwri_rconn_ref(conn);
}

void wwri_rconn_finish_connect(struct wwri_rconn *conn) {
  int error = 0;
  socklen_t len = sizeof(error);
  if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len)) error = errno;
  if (!error) {
    wwri_rconn_connected(conn);
    return;
  }
  wwri_rconn_drop_socket(conn);
  if (conn->next) {
    try_next(conn);
  } else {
    wwri_rconn_fail(conn, WWRI_CAUSE_IO, "connect: %s", strerror(error));
  }
}
