/* Many sockets that connect at once and behave as they are told. They come from
 * several local addresses, so that closed ones do not use up the ports. */
#include "fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 20000 };

const char fault_upgrade[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

struct fault_swarm {
  size_t count;
  struct pollfd *sockets;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int begin_connection(uint16_t port) {
  static unsigned calls;
  struct sockaddr_in from = {.sin_family = AF_INET};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + calls++ % 16);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1; /* the port is chosen by connect(), per pair of addresses */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
      (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ||
       errno == EINPROGRESS)) {
    return fd;
  }
  close(fd);
  return -1;
}

struct fault_swarm *fault_swarm_connect(const struct fault_server *server,
                                        size_t count) {
  struct fault_swarm *swarm = calloc(1, sizeof *swarm);
  if (!swarm) return NULL;
  swarm->sockets = calloc(count, sizeof *swarm->sockets);
  for (size_t i = 0; swarm->sockets && i < count; i++) {
    swarm->sockets[i].fd = begin_connection(server->port);
    if (swarm->sockets[i].fd < 0) break;
    swarm->count++;
  }
  if (swarm->count == count) return swarm;
  fault_swarm_end(swarm, FAULT_RESET);
  return NULL;
}

/* Wait until each socket has one of these events; how many have not. */
static size_t wait_all(struct fault_swarm *swarm, short events,
                       int timeout_ms) {
  int64_t deadline = now_ms() + timeout_ms;
  size_t waiting = swarm->count;
  for (size_t i = 0; i < swarm->count; i++) swarm->sockets[i].events = events;
  while (waiting > 0 && now_ms() < deadline) {
    if (poll(swarm->sockets, swarm->count, 100) < 0) break;
    for (size_t i = 0; i < swarm->count; i++) {
      if (!swarm->sockets[i].events || !swarm->sockets[i].revents) continue;
      swarm->sockets[i].events = 0;
      waiting--;
    }
  }
  return waiting;
}

size_t fault_swarm_send(struct fault_swarm *swarm, const void *bytes,
                        size_t len) {
  size_t sent = 0;
  wait_all(swarm, POLLOUT, CONNECT_MS);
  for (size_t i = 0; i < swarm->count; i++) {
    ssize_t n = send(swarm->sockets[i].fd, bytes, len, MSG_NOSIGNAL);
    if (n == (ssize_t)len) sent++;
  }
  return sent;
}

size_t fault_swarm_wait_answered(struct fault_swarm *swarm, const char *text,
                                 int timeout_ms) {
  size_t answered = 0;
  size_t len = strlen(text);
  wait_all(swarm, POLLIN, timeout_ms);
  for (size_t i = 0; i < swarm->count; i++) {
    char got[64];
    ssize_t n =
        recv(swarm->sockets[i].fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT);
    if (n >= (ssize_t)len && memcmp(got, text, len) == 0) answered++;
  }
  return answered;
}

size_t fault_swarm_wait_closed(struct fault_swarm *swarm, int timeout_ms) {
  return swarm->count - wait_all(swarm, POLLRDHUP, timeout_ms);
}

void fault_swarm_end(struct fault_swarm *swarm, enum fault_end how) {
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  for (size_t i = 0; i < swarm->count; i++) {
    if (how == FAULT_RESET) {
      setsockopt(swarm->sockets[i].fd, SOL_SOCKET, SO_LINGER, &reset,
                 sizeof reset);
    }
    close(swarm->sockets[i].fd);
  }
  free(swarm->sockets);
  free(swarm);
}

size_t fault_client_hello(uint8_t *out, size_t cap) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL *ssl = context ? SSL_new(context) : NULL;
  BIO *in = BIO_new(BIO_s_mem());
  BIO *hello = BIO_new(BIO_s_mem());
  int n = 0;
  if (ssl && in && hello) {
    SSL_set_bio(ssl, in, hello); /* takes both */
    SSL_connect(ssl);            /* which wants an answer */
    n = BIO_read(hello, out, (int)cap);
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  return n > 0 ? (size_t)n : 0;
}
