/* The socket calls that lws leaves to us; Linux' own TCP options. */
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "websocket.h"

enum {
  SEND_BUFFER_BYTES = 256 * 1024, /* bounds what a slow reader costs */
  KEEPALIVE_IDLE_S = 60,
  KEEPALIVE_INTERVAL_S = 15,
  KEEPALIVE_PROBES = 4,
  UNACKED_MAX_MS = 60000
};

static void set(int fd, int level, int option, int value) {
  (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void wwri_ws_socket_tune(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MAX_MS);
  set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES);
}

static bool read_info(int fd, struct tcp_info *info) {
  socklen_t len = sizeof(*info);
  memset(info, 0, sizeof(*info));
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0;
}

uint64_t wwri_ws_socket_idle_ms(int fd) {
  struct tcp_info info;
  return read_info(fd, &info) ? info.tcpi_last_data_recv : UINT64_MAX;
}

uint64_t wwri_ws_socket_acked(int fd) {
  struct tcp_info info;
  return read_info(fd, &info) ? info.tcpi_bytes_acked : 0;
}

int wwri_ws_socket_unacked(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

bool wwri_ws_socket_is_writable(int fd) {
  struct pollfd wanted = {.fd = fd, .events = POLLOUT};
  return poll(&wanted, 1, 0) == 1 && wanted.revents == POLLOUT;
}

void wwri_ws_socket_text(const struct sockaddr *address, char *text,
                         size_t cap) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const void *)address;
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
    snprintf(text, cap, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    return;
  }
  const struct sockaddr_in6 *v6 = (const void *)address;
  unsigned port = ntohs(v6->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
    snprintf(text, cap, "%s:%u", host, port);
  } else {
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
    snprintf(text, cap, "[%s]:%u", host, port);
  }
}
