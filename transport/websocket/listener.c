/* Accepting. One loop listens for all: this lws can't share a port between
 * contexts. A new connection goes to the lobby of the loop with the fewest.
 *
 * Out of descriptors: the reserve is given up to accept and drop one (else the
 * backlog would make poll spin), and accepting pauses for a moment. That is
 * logged once, until everybody who waited was accepted. Over the maximum of
 * connections, or while the server refuses, connections are taken only to tell
 * them 503; over a bound of those they are dropped.
 *
 * Not with TCP_DEFER_ACCEPT, which would leave silent clients to the kernel:
 * they would fill the backlog, in front of everybody, without a time limit of
 * ours; and it lets them through after all when its own is over. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

enum { BACKLOG = 4096, PAUSE_MS = 100 };

/* Sockets */

static void set(int fd, int level, int option, int value) {
  (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_socket(const struct addrinfo *info, bool dual) {
  int fd =
      socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info->ai_family == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual);
  if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
      listen(fd, BACKLOG) == 0) {
    return fd;
  }
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static uint16_t *port_of(struct sockaddr *address) {
  return address->sa_family == AF_INET6
             ? &((struct sockaddr_in6 *)(void *)address)->sin6_port
             : &((struct sockaddr_in *)(void *)address)->sin_port;
}

static void note_address(struct wwri_ws_server *server, uint16_t *port) {
  struct sockaddr_storage bound;
  socklen_t len = sizeof(bound);
  memset(&bound, 0, sizeof(bound));
  (void)getsockname(server->listeners[0].fd, (struct sockaddr *)&bound, &len);
  *port = *port_of((struct sockaddr *)&bound);
  char text[WWRI_WS_REMOTE_MAX];
  wwri_ws_socket_text((struct sockaddr *)&bound, text, sizeof(text));
  snprintf(server->address, sizeof(server->address), "%s://%s",
           server->tls.cert_file ? "wss" : "ws", text);
}

/* All of them on one port, even when that was left to the system. */
static void open_sockets(struct wwri_ws_server *server, struct addrinfo *list,
                         bool every) {
  uint16_t port = 0;
  for (; list && server->listener_count < WWRI_WS_LISTENERS;
       list = list->ai_next) {
    if (list->ai_family != AF_INET && list->ai_family != AF_INET6) continue;
    if (port) *port_of(list->ai_addr) = port;
    int fd = open_socket(list, every);
    if (fd < 0) continue;
    struct wwri_ws_listener *listener =
        &server->listeners[server->listener_count++];
    listener->fd = fd;
    listener->server = server;
    if (!port) note_address(server, &port);
    if (every) return; /* one socket for both families */
  }
}

/* The IPv6 wildcard takes IPv4 as well, so it goes first. */
static struct addrinfo *prefer_v6(struct addrinfo *list) {
  for (struct addrinfo *i = list; i; i = i->ai_next) {
    if (i->ai_family == AF_INET6) return i;
  }
  return list;
}

wwr_err wwri_ws_listen(struct wwri_ws_server *server) {
  const struct wwr_log *log = server->config.log;
  bool every = !server->where.host[0];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  struct addrinfo *list = NULL;
  int status = getaddrinfo(every ? NULL : server->where.host,
                           server->where.port, &hints, &list);
  if (status) {
    wwri_log(log, WWR_LOG_ERROR, 0, "can't resolve the listen address",
             "listen", server->listen, "error", gai_strerror(status), NULL);
    return WWR_E_IO;
  }
  errno = 0;
  if (every) {
    open_sockets(server, prefer_v6(list), true);
  }
  if (server->listener_count == 0) open_sockets(server, list, false);
  int error = errno;
  freeaddrinfo(list);
  if (server->listener_count > 0) return WWR_OK;
  wwri_log(log, WWR_LOG_ERROR, 0, "can't listen", "listen", server->listen,
           "error", strerror(error), NULL);
  return WWR_E_IO;
}

void wwri_ws_listener_abandon(struct wwri_ws_server *server) {
  for (size_t i = 0; i < server->listener_count; i++) {
    close(server->listeners[i].fd);
  }
  server->listener_count = 0;
  server->address[0] = '\0';
}

/* Accepting */

static struct wwri_ws_server_shard *least_loaded(
    struct wwri_ws_server *server) {
  struct wwri_ws_server_shard *best = &server->shards[0];
  for (size_t i = 1; i < server->shard_count; i++) {
    if (server->shards[i].load < best->load) best = &server->shards[i];
  }
  return best;
}

static void enter_by_mail(struct wwri_mail *mail) {
  wwri_ws_lobby_enter(WWRI_CONTAINER(mail, struct wwri_ws_server_conn, mail));
}

static bool is_full(struct wwri_ws_server *server) {
  uint32_t max = atomic_load(&server->max_connections);
  return max && server->connections >= max;
}

static void accepted(struct wwri_ws_server *server, int fd,
                     const struct sockaddr *peer) {
  bool shed = is_full(server) || atomic_load(&server->refusing);
  struct wwri_ws_server_conn *conn = shed && server->shed >= WWRI_WS_SHED_MAX
                                         ? NULL
                                         : calloc(1, sizeof(*conn));
  if (!conn) {
    server->refused++;
    close(fd);
    return;
  }
  conn->fd = fd;
  conn->shed = shed;
  conn->shard = least_loaded(server);
  conn->shard->load++;
  if (shed) {
    server->shed++;
  } else {
    server->connections++;
  }
  wwri_ws_socket_text(peer, conn->pipe.remote, sizeof(conn->pipe.remote));
  if (wwri_loop_is_current(conn->shard->base.loop)) {
    wwri_ws_lobby_enter(conn);
    return;
  }
  conn->mail.fn = enter_by_mail;
  wwri_loop_post(conn->shard->base.loop, &conn->mail);
}

static void poll_all(struct wwri_ws_server *server, bool on);

static void on_pause_over(struct wwri_timer *timer) {
  poll_all(WWRI_CONTAINER(timer, struct wwri_ws_server, accept_pause), true);
}

static void out_of_descriptors(struct wwri_ws_listener *listener, int error) {
  struct wwri_ws_server *server = listener->server;
  if (!server->starved) {
    wwri_log(server->config.log, WWR_LOG_WARN, 0, "can't accept connections",
             "error", strerror(error), NULL);
  }
  server->starved = true;
  if (server->reserve_fd >= 0) close(server->reserve_fd);
  int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    server->refused++;
  }
  server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  poll_all(server, false);
  wwri_loop_timer_set(server->config.loops[0], &server->accept_pause, PAUSE_MS);
}

static void nobody_waits(struct wwri_ws_server *server) {
  if (!server->starved) return;
  server->starved = false;
  wwri_log(server->config.log, WWR_LOG_INFO, 0, "accepting connections again",
           NULL);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  struct wwri_ws_listener *listener = handle->data;
  (void)events;
  if (status < 0) return;
  for (uint32_t i = 0; i < listener->server->accepts_per_pass; i++) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accepted(listener->server, fd, (struct sockaddr *)&peer);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      nobody_waits(listener->server);
      return;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
               errno == ENOMEM) {
      out_of_descriptors(listener, errno);
      return;
    } /* else: that one is gone, or the network had a moment */
  }
}

static void poll_all(struct wwri_ws_server *server, bool on) {
  for (size_t i = 0; i < server->listener_count; i++) {
    struct wwri_ws_listener *listener = &server->listeners[i];
    if (!listener->polled) continue;
    if (on) {
      uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    } else {
      uv_poll_stop(&listener->poll);
    }
  }
}

/* Life */

wwr_err wwri_ws_listener_open(struct wwri_ws_server *server) {
  uv_loop_t *uv = wwri_loop_uv(server->config.loops[0]);
  wwri_timer_init(&server->accept_pause, on_pause_over);
  server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (size_t i = 0; i < server->listener_count; i++) {
    struct wwri_ws_listener *listener = &server->listeners[i];
    if (uv_poll_init_socket(uv, &listener->poll, listener->fd)) {
      return WWR_E_IO;
    }
    listener->polled = true;
    listener->poll.data = listener;
  }
  poll_all(server, true);
  return WWR_OK;
}

static void closed_one(struct wwri_ws_server *server) {
  if (--server->closing_polls == 0) wwri_ws_latch_count(&server->latch);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct wwri_ws_listener *listener = handle->data;
  listener->polled = false;
  closed_one(listener->server);
}

void wwri_ws_listener_close(struct wwri_ws_server *server) {
  wwri_loop_timer_cancel(server->config.loops[0], &server->accept_pause);
  server->closing_polls = 1;
  for (size_t i = 0; i < server->listener_count; i++) {
    struct wwri_ws_listener *listener = &server->listeners[i];
    if (listener->polled) {
      server->closing_polls++;
      uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
    }
    close(listener->fd);
  }
  if (server->reserve_fd >= 0) close(server->reserve_fd);
  server->reserve_fd = -1;
  closed_one(server);
}
