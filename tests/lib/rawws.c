/* Dialling, TLS and bytes with deadlines, and frames on top; HTTP is in
 * rawws_http.c. Happy path: dial, upgrade, send frames, receive frames out of
 * one growing buffer. What is incomplete when a deadline passes stays in the
 * buffer, so that a caller may wait again. */
#include "rawws.h"
#include "rawws_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WRITE_TIMEOUT_MS 5000
#define MAX_IN_BYTES     ((size_t)256 << 20)

int64_t rawws_now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- Bytes -------------------------------------------------------------- */

static bool wait_for(int fd, short events, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - rawws_now_ms();
    struct pollfd poller = {.fd = fd, .events = events};
    int n = poll(&poller, 1, left > 0 ? (int)left : 0);
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

/* What SSL says about a call that did not succeed: the poll event to wait for,
 * 0 at the end, -1 when it broke. */
static short tls_needs(SSL *tls, int result) {
  switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
      return POLLIN;
    case SSL_ERROR_WANT_WRITE:
      return POLLOUT;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      ERR_clear_error();
      return -1;
  }
}

/* As read() and write() on a socket that does not block, but *needs says what
 * to wait for when the result is -1, or -1 when there is no hope. */
static ssize_t read_some(struct rawws *ws, void *to, size_t cap, short *needs) {
  if (ws->tls) {
    ERR_clear_error();
    int n = SSL_read(ws->tls, to, (int)cap);
    if (n > 0) return n;
    *needs = tls_needs(ws->tls, n);
    return *needs == 0 ? 0 : -1;
  }
  ssize_t n = recv(ws->fd, to, cap, 0);
  if (n < 0) *needs = errno == EAGAIN || errno == EINTR ? POLLIN : -1;
  return n;
}

static ssize_t write_some(struct rawws *ws, const void *from, size_t len,
                          short *needs) {
  if (ws->tls) {
    ERR_clear_error();
    int n = SSL_write(ws->tls, from, (int)len);
    if (n > 0) return n;
    *needs = tls_needs(ws->tls, n);
    if (*needs == 0) *needs = -1;
    return -1;
  }
  ssize_t n = send(ws->fd, from, len, MSG_NOSIGNAL);
  if (n < 0) *needs = errno == EAGAIN || errno == EINTR ? POLLOUT : -1;
  return n;
}

bool rawws_write(struct rawws *ws, const void *data, size_t len) {
  const uint8_t *from = data;
  int64_t deadline = rawws_now_ms() + WRITE_TIMEOUT_MS;
  while (len > 0) {
    short needs = -1;
    ssize_t n = write_some(ws, from, len < 1 << 20 ? len : 1 << 20, &needs);
    if (n > 0) {
      from += n;
      len -= (size_t)n;
    } else if (needs < 0 || !wait_for(ws->fd, needs, deadline)) {
      return false;
    }
  }
  return true;
}

bool rawws_write_bytewise(struct rawws *ws, const void *data, size_t len) {
  const uint8_t *from = data;
  for (size_t i = 0; i < len; i++) {
    if (!rawws_write(ws, from + i, 1)) return false;
  }
  return true;
}

/* Make room for `need` bytes from the read position on. */
static bool reserve(struct rawws *ws, size_t need) {
  if (ws->in_pos > 0) {
    memmove(ws->in, ws->in + ws->in_pos, ws->in_len - ws->in_pos);
    ws->in_len -= ws->in_pos;
    ws->in_pos = 0;
  }
  if (need <= ws->in_cap) return true;
  if (need > MAX_IN_BYTES) return false;
  size_t cap = ws->in_cap ? ws->in_cap : 4096;
  while (cap < need) cap *= 2;
  uint8_t *grown = realloc(ws->in, cap);
  if (!grown) return false;
  ws->in = grown;
  ws->in_cap = cap;
  return true;
}

enum rawws_result rawws_fill(struct rawws *ws, size_t need, int64_t deadline) {
  if (ws->in_len - ws->in_pos >= need) return RAWWS_OK;
  if (!reserve(ws, need)) return RAWWS_BROKEN;
  while (ws->in_len < need) {
    short needs = -1;
    ssize_t n =
        read_some(ws, ws->in + ws->in_len, ws->in_cap - ws->in_len, &needs);
    if (n == 0) return RAWWS_EOF;
    if (n > 0) {
      ws->in_len += (size_t)n;
    } else if (needs < 0) {
      return RAWWS_RESET;
    } else if (!wait_for(ws->fd, needs, deadline)) {
      return RAWWS_TIMEOUT;
    }
  }
  return RAWWS_OK;
}

/* --- Connecting --------------------------------------------------------- */

static const int ethernet_segment = 1460;

static bool tls_start(struct rawws *ws, const struct rawws_opts *opts) {
  ws->tls_context = SSL_CTX_new(TLS_client_method());
  if (!ws->tls_context) return false;
  if (opts->tls_max)
    SSL_CTX_set_max_proto_version(ws->tls_context, opts->tls_max);
  if (opts->ca) {
    SSL_CTX_set_verify(ws->tls_context, SSL_VERIFY_PEER, NULL);
    if (!SSL_CTX_load_verify_locations(ws->tls_context, opts->ca, NULL))
      return false;
  }
  SSL_CTX_set_mode(ws->tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ws->tls = SSL_new(ws->tls_context);
  if (!ws->tls || !SSL_set_fd(ws->tls, ws->fd)) return false;
  if (opts->alpn) {
    unsigned char list[64];
    int len = snprintf((char *)list + 1, sizeof list - 1, "%s", opts->alpn);
    list[0] = (unsigned char)len;
    SSL_set_alpn_protos(ws->tls, list, (unsigned)len + 1);
  }
  return true;
}

static bool tls_handshake(struct rawws *ws, int64_t deadline) {
  for (;;) {
    ERR_clear_error();
    int result = SSL_connect(ws->tls);
    if (result == 1) return true;
    short needs = tls_needs(ws->tls, result);
    if (needs <= 0 || !wait_for(ws->fd, needs, deadline)) return false;
  }
}

static bool address_of(const char *host, uint16_t port,
                       struct sockaddr_in *out) {
  *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
  return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

/* A small receive buffer, with segments that fit into it as on a network.
 * Loopback's of 64 KiB are larger than such a window: the kernel then offers a
 * window of whole received segments (say 3228 bytes), the sender waits for half
 * of the largest one it saw (3497), and all that moves is one probe each 200
 * ms. Whether a connection gets into that depends on how its first writes fall.
 */
static void narrow(int fd, int receive_buffer) {
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &ethernet_segment,
             sizeof ethernet_segment);
}

static bool tcp_connect(struct rawws *ws, const struct rawws_opts *opts,
                        int64_t deadline) {
  struct sockaddr_in to, from;
  if (!address_of(opts->host ? opts->host : "127.0.0.1", opts->port, &to))
    return false;
  ws->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (ws->fd < 0) return false;
  int on = 1;
  setsockopt(ws->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (opts->receive_buffer) narrow(ws->fd, opts->receive_buffer);
  if (opts->source && (!address_of(opts->source, 0, &from) ||
                       bind(ws->fd, (struct sockaddr *)&from, sizeof from)))
    return false;
  if (connect(ws->fd, (struct sockaddr *)&to, sizeof to) == 0) return true;
  if (errno != EINPROGRESS || !wait_for(ws->fd, POLLOUT, deadline))
    return false;
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(ws->fd, SOL_SOCKET, SO_ERROR, &error, &len);
  errno = error;
  return error == 0;
}

struct rawws *rawws_dial(const struct rawws_opts *opts) {
  int64_t deadline = rawws_now_ms() + WRITE_TIMEOUT_MS;
  struct rawws *ws = calloc(1, sizeof *ws);
  if (!ws) return NULL;
  ws->fd = -1;
  ws->answer_pings = true;
  if (!tcp_connect(ws, opts, deadline)) {
    fprintf(stderr, "rawws: connect: %s\n", strerror(errno));
  } else if (opts->tls &&
             (!tls_start(ws, opts) || !tls_handshake(ws, deadline))) {
    fprintf(stderr, "rawws: the TLS handshake failed\n");
  } else {
    return ws;
  }
  rawws_free(ws);
  return NULL;
}

struct rawws *rawws_open(uint16_t port) {
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = port});
  if (!ws) return NULL;
  int status = rawws_upgrade(ws, NULL);
  if (status == 101) return ws;
  fprintf(stderr, "rawws: the upgrade was answered with %d\n", status);
  rawws_free(ws);
  return NULL;
}

void rawws_free(struct rawws *ws) {
  if (!ws) return;
  SSL_free(ws->tls);
  SSL_CTX_free(ws->tls_context);
  if (ws->fd >= 0) close(ws->fd);
  free(ws->in);
  free(ws->head);
  free(ws->message);
  free(ws);
}

void rawws_reset(struct rawws *ws) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(ws->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  rawws_free(ws);
}

void rawws_shutdown_write(struct rawws *ws) {
  if (ws->tls) SSL_shutdown(ws->tls);
  shutdown(ws->fd, SHUT_WR);
}

int rawws_fd(const struct rawws *ws) {
  return ws->fd;
}
