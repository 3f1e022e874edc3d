/* The least that a server can do: whoever says something, all connections get
 * it, by one send() each in a loop, on one thread. No queues, no checks, no
 * answer; a connection that does not read loses messages. bench/compare.sh
 * shows it beside the servers: what is below it is the kernel's, and nobody's
 * to win.
 *
 * It understands what webwire-bench --protocol plain says, short messages that
 * come whole, and nothing else. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  FDS_MAX = 20000,
  EVENTS_AT_ONCE = 64,
  BACKLOG = 4096,
  READ_BYTES = 4096,
  HEADER = 6, /* of a short masked frame */
  SHORT_MAX = 125
};

struct floor {
  int epoll;
  int listener;
  int count; /* of connections that were upgraded */
  int fds[FDS_MAX];
  bool upgraded[FDS_MAX]; /* by descriptor */
};

static bool watch(const struct floor *floor, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  return epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Announced as our servers do it, for bench/servers.sh. */
static bool start(struct floor *floor) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  floor->epoll = epoll_create1(EPOLL_CLOEXEC);
  floor->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (floor->epoll < 0 || floor->listener < 0 ||
      bind(floor->listener, (struct sockaddr *)&address, len) != 0 ||
      listen(floor->listener, BACKLOG) != 0 ||
      getsockname(floor->listener, (struct sockaddr *)&address, &len) != 0 ||
      !watch(floor, floor->listener, EPOLLIN)) {
    perror("webwire-floor");
    return false;
  }
  printf("listening on ws://127.0.0.1:%u/\n", ntohs(address.sin_port));
  return fflush(stdout) == 0;
}

static void take_connection(const struct floor *floor) {
  int on = 1;
  int fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (fd >= FDS_MAX || !watch(floor, fd, EPOLLIN | EPOLLET)) close(fd);
}

static void upgrade(struct floor *floor, int fd) {
  static const char answer[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Accept: none\r\n\r\n";
  if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) return;
  floor->upgraded[fd] = true;
  floor->fds[floor->count++] = fd;
}

/* A frame without its mask, to all; returns its length, 0 when it is none. */
static size_t pass_on(const struct floor *floor, const uint8_t *frame,
                      size_t have) {
  size_t len = have > HEADER ? frame[1] & 0x7FU : 0;
  if (len == 0 || len > SHORT_MAX || have < HEADER + len) return 0;
  uint8_t out[2 + SHORT_MAX] = {frame[0], (uint8_t)len};
  for (size_t i = 0; i < len; i++) {
    out[2 + i] = frame[HEADER + i] ^ frame[2 + i % 4];
  }
  for (int i = 0; i < floor->count; i++) {
    (void)send(floor->fds[i], out, 2 + len, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  return HEADER + len;
}

static void forget(struct floor *floor, int fd) {
  for (int i = 0; i < floor->count; i++) {
    if (floor->fds[i] != fd) continue;
    floor->fds[i] = floor->fds[--floor->count];
    break;
  }
  floor->upgraded[fd] = false;
  close(fd);
}

static void readable(struct floor *floor, int fd) {
  uint8_t bytes[READ_BYTES];
  ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (n <= 0) {
    forget(floor, fd);
  } else if (!floor->upgraded[fd]) {
    upgrade(floor, fd);
  } else {
    size_t at = 0, len;
    while ((len = pass_on(floor, bytes + at, (size_t)n - at))) at += len;
  }
}

int main(void) {
  struct epoll_event events[EVENTS_AT_ONCE];
  struct floor *floor = calloc(1, sizeof *floor);
  if (!floor || !start(floor)) return EXIT_FAILURE;
  for (;;) { /* until a signal ends it */
    int count = epoll_wait(floor->epoll, events, EVENTS_AT_ONCE, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == floor->listener) {
        take_connection(floor);
      } else {
        readable(floor, events[i].data.fd);
      }
    }
  }
}
