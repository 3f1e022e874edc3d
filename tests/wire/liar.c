#include "liar.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  MAX_CLIENTS = 16,
  BUFFER = 65536,
  HEAD = 4, /* of a frame of ours: the payload is 126..65535 bytes or less */
  SPECIAL = 5,
  VICTIM = 2,
  ACCEPT_CONF = 23,
  SIGNAL_UTF8 = 64,
  REQUEST_BINARY = 127,
  REQUEST_UTF8 = 128,
  REPLY_BINARY = 191
};

struct client {
  int fd;
  bool upgraded;
  uint8_t in[BUFFER];
  size_t len;
};

struct message {
  uint8_t bytes[BUFFER];
  size_t len;
};

struct liar {
  enum lie lie;
  pthread_t thread;
  int listener;
  int stop[2]; /* closing the second end wakes the thread */
  uint16_t port;
  struct client *clients[MAX_CLIENTS];
  size_t count;
  uint64_t messages;
  struct message held; /* of LIE_SWAP */
};

/* --- Sending -------------------------------------------------------------- */

static void write_all(struct client *client, const uint8_t *data, size_t len) {
  while (len > 0 && client->fd >= 0) {
    ssize_t n = send(client->fd, data, len, MSG_NOSIGNAL);
    if (n <= 0) return;
    data += n;
    len -= (size_t)n;
  }
}

static void send_frame(struct client *client, const uint8_t *data, size_t len) {
  uint8_t head[HEAD] = {0x82, (uint8_t)len};
  size_t head_len = 2;
  if (len >= 126) {
    head[1] = 126;
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
    head_len = 4;
  }
  write_all(client, head, head_len);
  write_all(client, data, len);
}

/* --- Chat ----------------------------------------------------------------- */

static void signal_of(const uint8_t *text, size_t len, struct message *out) {
  static const char before[] = "{\"user\":\"Anonymous\",\"msg\":\"";
  out->bytes[0] = SIGNAL_UTF8;
  out->bytes[1] = 0;
  memcpy(out->bytes + 2, before, sizeof before - 1);
  out->len = 2 + sizeof before - 1;
  memcpy(out->bytes + out->len, text, len);
  memcpy(out->bytes + out->len + len, "\"}", 2);
  out->len += len + 2;
}

static void deliver_lying(struct liar *liar, struct client *client,
                          struct message *signal) {
  switch (liar->lie) {
    case LIE_LOSE:
      return;
    case LIE_TWICE:
      send_frame(client, signal->bytes, signal->len);
      break;
    case LIE_SWAP:
      liar->held = *signal;
      return;
    case LIE_ALTER:
      signal->bytes[signal->len - 3] ^= 1;
      break;
    case LIE_CLOSE:
      shutdown(client->fd, SHUT_RDWR);
      return;
    default:
      break;
  }
  send_frame(client, signal->bytes, signal->len);
}

static void deliver(struct liar *liar, uint64_t number,
                    struct message *signal) {
  for (size_t i = 0; i < liar->count; i++) {
    if (i == VICTIM) continue;
    send_frame(liar->clients[i], signal->bytes, signal->len);
  }
  if (liar->count <= VICTIM) return;
  struct client *victim = liar->clients[VICTIM];
  if (number == SPECIAL) {
    deliver_lying(liar, victim, signal);
    return;
  }
  send_frame(victim, signal->bytes, signal->len);
  if (liar->held.len == 0) return;
  send_frame(victim, liar->held.bytes, liar->held.len);
  liar->held.len = 0;
}

/* --- Requests ------------------------------------------------------------- */

static void answer(struct liar *liar, struct client *client, uint64_t number,
                   const uint8_t *request, const uint8_t *payload, size_t len) {
  uint8_t reply[BUFFER] = {REPLY_BINARY};
  bool special = number == SPECIAL;
  if (special && liar->lie == LIE_SILENT) return;
  memcpy(reply + 1, request + 1, 8);
  if (len > 0) memcpy(reply + 9, payload, len);
  if (special && liar->lie == LIE_REFUSE) {
    reply[0] = 2; /* reply-internal-error */
    len = 0;
  }
  if (special && liar->lie == LIE_ALTER && len > 0) reply[9 + len - 1] ^= 1;
  if (special && liar->lie == LIE_ANSWERS) send_frame(client, reply, 9 + len);
  send_frame(client, reply, 9 + len);
}

static void stall(const struct liar *liar) {
  struct pollfd stopped = {.fd = liar->stop[0], .events = POLLIN};
  poll(&stopped, 1, LIAR_STALL_MS);
}

static void on_message(struct liar *liar, struct client *client,
                       const uint8_t *data, size_t len) {
  struct message signal;
  if (len < 10 || (data[0] != REQUEST_BINARY && data[0] != REQUEST_UTF8))
    return;
  uint64_t number = liar->messages++;
  size_t head = 10 + (size_t)data[9];
  if (head > len) return;
  if (number == SPECIAL && liar->lie == LIE_STALL) stall(liar);
  if (data[9] == 0) {
    answer(liar, client, number, data, data + head, len - head);
    return;
  }
  bool early = number == SPECIAL && liar->lie == LIE_EARLY;
  bool refused = number == SPECIAL && liar->lie == LIE_REFUSE;
  signal_of(data + head, len - head, &signal);
  if (early) answer(liar, client, number, data, NULL, 0);
  if (!refused) deliver(liar, number, &signal);
  if (!early) answer(liar, client, number, data, NULL, 0);
}

/* --- Receiving ------------------------------------------------------------ */

/* Unmask and handle the first frame; the bytes it took, 0 when it is not all
 * there. */
static size_t take_frame(struct liar *liar, struct client *client) {
  uint8_t *in = client->in;
  if (client->len < 2) return 0;
  size_t len = in[1] & 127, head = 2;
  if (len == 126) {
    if (client->len < 4) return 0;
    len = (size_t)in[2] << 8 | in[3];
    head = 4;
  }
  if (client->len < head + 4 + len) return 0;
  uint8_t *payload = in + head + 4;
  for (size_t i = 0; i < len; i++) payload[i] ^= in[head + i % 4];
  if ((in[0] & 15) == 2) on_message(liar, client, payload, len);
  return head + 4 + len;
}

static size_t take_upgrade(const struct liar *liar, struct client *client) {
  static const char good[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\n\r\n";
  static const char bad[] =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
  /* version 2.0, 60 s, 8192 bytes */
  static const uint8_t conf[] = {ACCEPT_CONF, 2, 0,  0x60, 0xea, 0,
                                 0,           0, 32, 0,    0};
  static const uint8_t other[] = {SIGNAL_UTF8, 0, 'x', 0, 0, 0, 0, 0, 0, 0, 0};
  const uint8_t *end = memmem(client->in, client->len, "\r\n\r\n", 4);
  if (!end) return 0;
  client->upgraded = true;
  if (liar->lie == LIE_HTTP) {
    write_all(client, (const uint8_t *)bad, sizeof bad - 1);
  } else {
    write_all(client, (const uint8_t *)good, sizeof good - 1);
    send_frame(client, liar->lie == LIE_GREET ? other : conf, sizeof conf);
  }
  return (size_t)(end - client->in) + 4;
}

static void hang_up(struct client *client) {
  close(client->fd);
  client->fd = -1;
}

static void readable(struct liar *liar, struct client *client) {
  ssize_t n =
      recv(client->fd, client->in + client->len, BUFFER - client->len, 0);
  if (n <= 0) {
    hang_up(client);
    return;
  }
  client->len += (size_t)n;
  for (;;) {
    size_t took = client->upgraded ? take_frame(liar, client)
                                   : take_upgrade(liar, client);
    if (took == 0) return;
    client->len -= took;
    memmove(client->in, client->in + took, client->len);
  }
}

static void acceptable(struct liar *liar) {
  int fd = accept(liar->listener, NULL, NULL), on = 1;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct client *client =
      liar->count < MAX_CLIENTS ? calloc(1, sizeof *client) : NULL;
  if (!client) {
    close(fd);
    return;
  }
  client->fd = fd;
  liar->clients[liar->count++] = client;
}

static void *serve(void *arg) {
  struct liar *liar = arg;
  for (;;) {
    struct pollfd fds[2 + MAX_CLIENTS] = {
        {.fd = liar->stop[0], .events = POLLIN},
        {.fd = liar->listener, .events = POLLIN}};
    size_t count = liar->count;
    for (size_t i = 0; i < count; i++)
      fds[2 + i] =
          (struct pollfd){.fd = liar->clients[i]->fd, .events = POLLIN};
    if (poll(fds, 2 + count, -1) < 0 || fds[0].revents) return NULL;
    if (fds[1].revents) acceptable(liar);
    for (size_t i = 0; i < count; i++)
      if (fds[2 + i].revents) readable(liar, liar->clients[i]);
  }
}

/* --- Life ----------------------------------------------------------------- */

static bool start(struct liar *liar) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  liar->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (liar->listener < 0 || pipe(liar->stop) != 0 ||
      bind(liar->listener, (struct sockaddr *)&address, len) != 0 ||
      listen(liar->listener, MAX_CLIENTS) != 0 ||
      getsockname(liar->listener, (struct sockaddr *)&address, &len) != 0)
    return false;
  liar->port = ntohs(address.sin_port);
  return pthread_create(&liar->thread, NULL, serve, liar) == 0;
}

struct liar *liar_start(enum lie lie) {
  struct liar *liar = calloc(1, sizeof *liar);
  if (!liar) return NULL;
  liar->lie = lie;
  if (start(liar)) return liar;
  perror("liar");
  free(liar);
  return NULL;
}

void liar_stop(struct liar *liar) {
  if (!liar) return;
  close(liar->stop[1]);
  pthread_join(liar->thread, NULL);
  for (size_t i = 0; i < liar->count; i++) {
    if (liar->clients[i]->fd >= 0) hang_up(liar->clients[i]);
    free(liar->clients[i]);
  }
  close(liar->listener);
  close(liar->stop[0]);
  free(liar);
}

uint16_t liar_port(const struct liar *liar) {
  return liar->port;
}
