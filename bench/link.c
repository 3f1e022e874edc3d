/* One connection. Happy path: connect, TLS, upgrade, greeting, then frames:
 * read up to 64 KiB into the shared scratch space, hand on every whole message
 * in it, keep the rest. Output collects in `out` and is written once per pass.
 *
 * Failure modes: whatever a server may not do breaks the link and is counted;
 * fragments are not expected, because the servers send whole messages. */
#include "net.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_FRAME = 0x81, BINARY_FRAME = 0x82 };

static void watch(struct link *link, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = link};
  epoll_ctl(link->net->epoll, operation, link->fd, &event);
}

static void shut(struct link *link) {
  if (link->state == LINK_OPEN) link->net->open--;
  link->state = LINK_CLOSED;
  tls_link_free(link->tls);
  link->tls = NULL;
  close(link->fd);
  link->fd = -1;
}

/* Close a link that broke, and count it. */
static void break_off(struct link *link, const char *why) {
  struct net *net = link->net;
  if (link->state == LINK_CLOSED) return;
  if (!net->complained)
    fprintf(stderr, "webwire-bench: connection %u: %s\n", link->index, why);
  net->complained = true;
  net->broken++;
  shut(link);
  if (net->hooks.on_broken) net->hooks.on_broken(link, net->user_data);
}

/* A reset, so that our port is free at once and not after a minute. */
void net_reset(struct link *link) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (link->fd < 0) return;
  setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  shut(link);
}

/* --- Connecting --------------------------------------------------------- */

/* Loopback addresses have 28,000 ports each; when they run out, the next one
 * is taken. */
static bool bind_source(struct link *link) {
  struct net *net = link->net;
  int on = 1;
  if (net->source == 0 || !link->target->loopback) return true;
  struct sockaddr_in from = {
      .sin_family = AF_INET,
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK + net->source)};
  setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  return bind(link->fd, (struct sockaddr *)&from, sizeof from) == 0;
}

static bool try_start(struct link *link) {
  const struct net_target *to = link->target;
  int on = 1;
  link->fd = socket(to->address.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (link->fd < 0) return false;
  setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind_source(link) &&
      (connect(link->fd, (const struct sockaddr *)&to->address,
               to->address_len) == 0 ||
       errno == EINPROGRESS))
    return true;
  int error = errno;
  close(link->fd);
  link->fd = -1;
  errno = error;
  return false;
}

bool link_start(struct link *link) {
  struct net *net = link->net;
  bool loopback = link->target->loopback;
  link->in.pos = link->in.len = link->out.pos = link->out.len = 0;
  link->wants_out = false;
  while (!try_start(link)) {
    if (errno != EADDRNOTAVAIL || !loopback || net->source >= 200) return false;
    net->source++;
  }
  link->state = LINK_CONNECTING;
  watch(link, EPOLL_CTL_ADD, EPOLLOUT);
  return true;
}

static ssize_t put(struct link *link, const void *data, size_t len) {
  return link->tls ? tls_send(link->tls, data, len)
                   : send(link->fd, data, len, MSG_NOSIGNAL);
}

static ssize_t get(struct link *link, void *to, size_t cap) {
  return link->tls ? tls_recv(link->tls, to, cap) : recv(link->fd, to, cap, 0);
}

static void upgrade(struct link *link) {
  char request[1024];
  const struct net_target *to = link->target;
  const char *path = to->target->path;
  if (link->net->dialect->path && strcmp(path, "/") == 0)
    path = link->net->dialect->path;
  int n = snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: %s:%s\r\n"
                   "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: d2Vid2lyZS1iZW5jaC0wMQ==\r\n\r\n",
                   path, to->target->host, to->target->port);
  if (put(link, request, (size_t)n) != n) {
    break_off(link, "could not send the upgrade");
    return;
  }
  link->state = LINK_UPGRADING;
  watch(link, EPOLL_CTL_MOD, EPOLLIN);
}

static void secure(struct link *link) {
  bool out;
  int done = tls_handshake(link->tls, &out);
  if (done < 0) {
    break_off(link, tls_problem(link->tls));
  } else if (done > 0) {
    upgrade(link);
  } else {
    watch(link, EPOLL_CTL_MOD, out ? EPOLLOUT : EPOLLIN);
  }
}

static void connected(struct link *link) {
  int error = 0;
  socklen_t len = sizeof error;
  const struct target *target = link->target->target;
  getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
  if (error) {
    break_off(link, strerror(error));
  } else if (!target->tls) {
    upgrade(link);
  } else if (!(link->tls =
                   tls_link_new(link->net->tls, link->fd, target->host))) {
    break_off(link, "out of memory");
  } else {
    link->state = LINK_SECURING;
    secure(link);
  }
}

/* --- Output ------------------------------------------------------------- */

static bool grow(struct bytes *bytes, size_t more) {
  if (bytes->pos > 0 && bytes->pos == bytes->len) bytes->pos = bytes->len = 0;
  if (bytes->len + more <= bytes->cap) return true;
  size_t cap = bytes->cap ? bytes->cap : 256;
  while (cap < bytes->len + more) cap *= 2;
  uint8_t *data = realloc(bytes->data, cap);
  if (!data) return false;
  bytes->data = data;
  bytes->cap = cap;
  return true;
}

/* A masked frame's header; returns where the payload begins. */
static uint8_t *put_header(struct link *link, uint8_t opcode, size_t len) {
  if (!grow(&link->out, len + 14)) return NULL;
  uint8_t *to = link->out.data + link->out.len;
  *to++ = 0x80 | opcode;
  if (len < 126) {
    *to++ = (uint8_t)(0x80 | len);
  } else if (len < 65536) {
    *to++ = 0x80 | 126;
    *to++ = (uint8_t)(len >> 8);
    *to++ = (uint8_t)len;
  } else {
    *to++ = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8)
      *to++ = (uint8_t)(len >> shift);
  }
  memcpy(to, &link->mask, 4);
  return to + 4;
}

static void mask_in_place(uint8_t *data, size_t len, uint32_t mask) {
  uint64_t wide = (uint64_t)mask << 32 | mask;
  for (; len >= 8; data += 8, len -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    word ^= wide;
    memcpy(data, &word, 8);
  }
  uint8_t rest[8];
  memcpy(rest, &wide, 8);
  for (size_t i = 0; i < len; i++) data[i] ^= rest[i];
}

static void commit(struct link *link, uint8_t *payload, size_t len) {
  mask_in_place(payload, len, link->mask);
  link->out.len = (size_t)(payload + len - link->out.data);
  link->sent_ns = link->net->now_ns;
  if (link->dirty || link->wants_out) return;
  link->dirty = true;
  link->net->dirty[link->net->dirty_count++] = link;
}

void link_send(struct link *link, uint8_t opcode, const void *data,
               size_t len) {
  uint8_t *payload = put_header(link, opcode, len);
  if (!payload) {
    break_off(link, "out of memory");
    return;
  }
  memcpy(payload, data, len);
  commit(link, payload, len);
}

bool net_send(struct link *link, const void *message, size_t len) {
  if (link->state != LINK_OPEN) return false;
  link_send(link, link->net->dialect->opcode, message, len);
  return link->state == LINK_OPEN;
}

void link_flush(struct link *link) {
  struct bytes *out = &link->out;
  if (link->state == LINK_CLOSED) return;
  ssize_t n = 0;
  while (out->pos < out->len) {
    n = put(link, out->data + out->pos, out->len - out->pos);
    if (n <= 0) break;
    out->pos += (size_t)n;
  }
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    break_off(link, strerror(errno));
    return;
  }
  bool left = out->pos < out->len;
  if (left != link->wants_out)
    watch(link, EPOLL_CTL_MOD, left ? EPOLLIN | EPOLLOUT : EPOLLIN);
  link->wants_out = left;
}

/* --- Input -------------------------------------------------------------- */

static void opened(struct link *link) {
  struct net *net = link->net;
  link->state = LINK_OPEN;
  link->sent_ns = net->now_ns;
  net->open++;
  if (net->hooks.on_open) net->hooks.on_open(link, net->user_data);
}

static void greeted(struct link *link, const uint8_t *data, size_t len) {
  struct net *net = link->net;
  switch (net->dialect->greet(data, len, net->options->sub_protocol,
                              &net->greeting)) {
    case GREETED_OPEN:
      opened(link);
      break;
    case GREETED_WAIT:
      break;
    case GREETED_WRONG:
      break_off(link, "this is no server of that protocol");
      break;
    case GREETED_OTHER_SUB_PROTOCOL:
      break_off(link, "the server has another sub-protocol");
      break;
  }
}

static void message(struct link *link, const uint8_t *data, size_t len) {
  struct net *net = link->net;
  struct heard heard = {.kind = HEARD_ODD};
  if (link->state != LINK_OPEN) {
    greeted(link, data, len);
    return;
  }
  if (len > 0) net->dialect->hear(data, len, &heard);
  if (heard.kind == HEARD_PING) {
    link_send(link, net->dialect->opcode, heard.payload, heard.len);
  } else if (heard.kind != HEARD_NOTHING) {
    net->hooks.on_heard(link, &heard, net->user_data);
  }
}

static void frame(struct link *link, uint8_t head, const uint8_t *data,
                  size_t len) {
  bool webwire = link->net->options->protocol == PROTOCOL_WEBWIRE;
  char why[40];
  switch (head) {
    case TEXT_FRAME:
      if (webwire)
        break_off(link, "a text message");
      else
        message(link, data, len);
      break;
    case BINARY_FRAME:
      message(link, data, len);
      break;
    case 0x89:
      link_send(link, 10, data, len);
      break;
    case 0x8a:
      break;
    case 0x88:
      snprintf(why, sizeof why, "the server closed it with %u",
               len < 2 ? 1005U : (unsigned)(data[0] << 8 | data[1]));
      break_off(link, why);
      break;
    default:
      break_off(link, "an unexpected frame");
  }
}

/* Length of the frame's header, 0 when it is not all there; *len of its
 * payload. */
static size_t frame_header(const uint8_t *data, size_t have, uint64_t *len) {
  if (have < 2) return 0;
  size_t wide = data[1] == 126 ? 2 : data[1] == 127 ? 8 : 0;
  if (have < 2 + wide) return 0;
  *len = data[1];
  if (wide) *len = 0;
  for (size_t i = 0; i < wide; i++) *len = *len << 8 | data[2 + i];
  return 2 + wide;
}

/* Hand on all whole frames; returns how many bytes that were. */
static size_t frames(struct link *link, const uint8_t *data, size_t have) {
  size_t done = 0;
  while (link->state != LINK_CLOSED) {
    uint64_t len = 0;
    size_t head = frame_header(data + done, have - done, &len);
    if (head == 0) break;
    if (len > NET_FRAME_BYTES - 16) {
      break_off(link, "a frame too large");
      break;
    }
    if (have - done < head + len) break;
    frame(link, data[done], data + done + head, (size_t)len);
    done += head + (size_t)len;
  }
  return done;
}

/* The HTTP answer's length, when it is all there and 101. */
static size_t answer(struct link *link, const uint8_t *data, size_t have) {
  const uint8_t *end = memmem(data, have, "\r\n\r\n", 4);
  if (!end) return 0;
  if (have < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0) {
    char why[64];
    size_t line = strcspn((const char *)data, "\r"); /* there is one */
    snprintf(why, sizeof why, "the upgrade was answered: %.*s",
             line < 40 ? (int)line : 40, (const char *)data);
    break_off(link, why);
    return 0;
  }
  const struct dialect *dialect = link->net->dialect;
  link->state = LINK_GREETING;
  if (dialect->hello)
    link_send(link, dialect->opcode, dialect->hello, strlen(dialect->hello));
  if (!dialect->greets) opened(link);
  return (size_t)(end - data) + 4;
}

static void keep(struct link *link, const uint8_t *data, size_t len) {
  link->in.pos = link->in.len = 0;
  if (len == 0) return;
  if (!grow(&link->in, len)) {
    break_off(link, "out of memory");
    return;
  }
  memcpy(link->in.data, data, len);
  link->in.len = len;
}

/* One read, and what came of it; true when there may be more. */
static bool read_some(struct link *link) {
  uint8_t *scratch = link->net->scratch;
  size_t have = link->in.len, done = 0;
  if (have > 0) memcpy(scratch, link->in.data, have);
  ssize_t n = get(link, scratch + have, NET_READ_BYTES);
  if (n <= 0) {
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    break_off(link, n == 0 ? "the server ended it" : strerror(errno));
    return false;
  }
  have += (size_t)n;
  if (link->state == LINK_UPGRADING) done = answer(link, scratch, have);
  if (link->state >= LINK_GREETING)
    done += frames(link, scratch + done, have - done);
  if (link->state == LINK_CLOSED) return false;
  keep(link, scratch + done, have - done);
  return true;
}

/* TLS has records in store that epoll knows nothing of. */
static void readable(struct link *link) {
  while (read_some(link) && link->tls) continue;
}

void link_event(struct link *link, uint32_t events) {
  switch (link->state) {
    case LINK_NEW:
    case LINK_CLOSED:
      return;
    case LINK_CONNECTING:
      connected(link);
      return;
    case LINK_SECURING:
      secure(link);
      return;
    default:
      break;
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(link);
  if (link->state != LINK_CLOSED && (events & EPOLLOUT)) link_flush(link);
}
