#include "redis_liar.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNS = 16, MAX_IN = 256 << 10, MAX_ARGS = 600, MAX_LIE = 512 };

#define REPLID "1111111111111111111111111111111111111111"

struct peer {
  int fd; /* -1: free */
  int which;
  bool subscribed;
  size_t sent;
  size_t cut; /* SIZE_MAX: not */
  size_t len;
  char in[MAX_IN];
};

struct liar {
  int listener;
  int wake;
  uint16_t port;
  uint16_t replica; /* of another; 0: it has none */
  pthread_t thread;
  pthread_mutex_t lock; /* guards everything below */
  bool stop;
  bool cluster;
  char command[32];
  uint8_t lie[MAX_LIE];
  size_t lie_len;
  bool lie_close;
  size_t cut[2];
  size_t sent[2];
  unsigned accepted;
  struct peer peers[MAX_CONNS];
};

static void drop(struct peer *peer) {
  if (peer->fd >= 0) close(peer->fd);
  peer->fd = -1;
}

/* Blocks for a moment at most: the link reads. */
static void say(struct liar *liar, struct peer *peer, const void *bytes,
                size_t len) {
  const char *at = bytes;
  size_t room = peer->cut - peer->sent;
  bool last = peer->cut != SIZE_MAX && len >= room;
  if (peer->fd < 0) return;
  if (last) len = room;
  while (len > 0) {
    ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);
    if (n <= 0) {
      drop(peer);
      return;
    }
    at += n;
    len -= (size_t)n;
    peer->sent += (size_t)n;
  }
  if (peer->cut == SIZE_MAX) liar->sent[peer->which] = peer->sent;
  if (last) drop(peer);
}

static void say_text(struct liar *liar, struct peer *peer, const char *text) {
  say(liar, peer, text, strlen(text));
}

static void say_push(struct liar *liar, struct peer *peer, const char *kind,
                     const char *channel, const char *last) {
  char text[512];
  snprintf(text, sizeof(text), "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n%s\r\n",
           strlen(kind), kind, strlen(channel), channel, last);
  say_text(liar, peer, text);
}

static void publish(struct liar *liar, const char *channel,
                    const char *payload) {
  char last[256];
  snprintf(last, sizeof(last), "$%zu\r\n%s", strlen(payload), payload);
  for (int i = 0; i < MAX_CONNS; i++) {
    if (liar->peers[i].fd >= 0 && liar->peers[i].subscribed) {
      say_push(liar, &liar->peers[i], liar->cluster ? "smessage" : "message",
               channel, last);
    }
  }
}

static void say_info(struct liar *liar, struct peer *peer) {
  char info[] =
      "role:master\r\nmaster_replid:" REPLID "\r\ncluster_enabled:0\r\n";
  char text[160];
  if (liar->cluster) info[strlen(info) - 3] = '1';
  snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(info), info);
  say_text(liar, peer, text);
}

static void say_map(struct liar *liar, struct peer *peer) {
  char text[160];
  snprintf(text, sizeof(text),
           "*1\r\n*4\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%u\r\n"
           "$1\r\nx\r\n*3\r\n$9\r\n127.0.0.1\r\n:%u\r\n$1\r\ny\r\n",
           liar->port, liar->replica ? liar->replica : liar->port);
  say_text(liar, peer, text);
}

static void say_confirmations(struct liar *liar, struct peer *peer, char **argv,
                              int argc) {
  static const char *const kinds[2][2] = {{"unsubscribe", "subscribe"},
                                          {"sunsubscribe", "ssubscribe"}};
  const char *verb = liar->cluster ? argv[0] + 1 : argv[0];
  peer->subscribed = true;
  for (int i = 1; i < argc; i++) {
    say_push(liar, peer, kinds[liar->cluster][verb[0] == 'S'], argv[i], ":1");
  }
}

static bool is_lied_about(const struct liar *liar, char **argv, int argc) {
  for (int i = 0; i < argc && liar->command[0]; i++) {
    if (strcmp(argv[i], liar->command) == 0) return true;
    if (liar->command[0] == '{' && strstr(argv[i], liar->command)) return true;
  }
  return false;
}

static void answer(struct liar *liar, struct peer *peer, char **argv,
                   int argc) {
  if (is_lied_about(liar, argv, argc)) {
    say(liar, peer, liar->lie, liar->lie_len);
    if (liar->lie_close) drop(peer);
  } else if (strcmp(argv[0], "INFO") == 0) {
    say_info(liar, peer);
  } else if (strcmp(argv[0], "CLUSTER") == 0) {
    say_map(liar, peer);
  } else if (strcmp(argv[0], "SCRIPT") == 0) {
    say_text(liar, peer, "$40\r\n" REPLID "\r\n");
  } else if (strcmp(argv[0], "EVALSHA") == 0 && argc >= 5) {
    say_text(liar, peer, ":1\r\n");
    publish(liar, argv[argc - 2], argv[argc - 1]);
  } else if (strstr(argv[0], "SUBSCRIBE")) {
    say_confirmations(liar, peer, argv, argc);
  } else {
    say_text(liar, peer, "+OK\r\n");
  }
}

/* The number behind *at, up to CRLF; -1: not there yet. */
static long number(char **at, char *end) {
  char *eol = memchr(*at, '\n', (size_t)(end - *at));
  if (!eol) return -1;
  long value = strtol(*at + 1, NULL, 10);
  *at = eol + 1;
  return value;
}

/* Take one command from the front; the bytes it took, 0 for none. */
static size_t take_command(struct liar *liar, struct peer *peer) {
  char *argv[MAX_ARGS];
  char *at = peer->in;
  char *end = peer->in + peer->len;
  long argc = number(&at, end);
  if (argc < 1 || argc > MAX_ARGS) return 0;
  for (long i = 0; i < argc; i++) {
    long len = at < end ? number(&at, end) : -1;
    if (len < 0 || end - at < len + 2) return 0;
    argv[i] = at;
    at += len + 2;
  }
  for (long i = 0; i < argc; i++) *strchr(argv[i], '\r') = '\0';
  answer(liar, peer, argv, (int)argc);
  return (size_t)(at - peer->in);
}

static void read_peer(struct liar *liar, struct peer *peer) {
  ssize_t n = recv(peer->fd, peer->in + peer->len, MAX_IN - peer->len - 1, 0);
  if (n <= 0) {
    drop(peer);
    return;
  }
  peer->len += (size_t)n;
  peer->in[peer->len] = '\0';
  size_t took;
  while (peer->fd >= 0 && peer->len > 0 &&
         (took = take_command(liar, peer)) > 0) {
    memmove(peer->in, peer->in + took, peer->len - took + 1);
    peer->len -= took;
  }
}

/* The link connects the commands' side first. What it closed has been read
 * before the next is accepted. */
static int number_in_pair(const struct liar *liar) {
  for (int i = 0; i < MAX_CONNS; i++) {
    if (liar->peers[i].fd >= 0 && liar->peers[i].which == 0) return 1;
  }
  return 0;
}

static void accept_peer(struct liar *liar) {
  int fd = accept(liar->listener, NULL, NULL);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  for (int i = 0; i < MAX_CONNS; i++) {
    struct peer *peer = &liar->peers[i];
    if (peer->fd >= 0) continue;
    peer->which = number_in_pair(liar);
    peer->fd = fd;
    liar->accepted++;
    peer->cut = liar->cut[peer->which];
    peer->sent = peer->len = 0;
    peer->subscribed = false;
    if (peer->cut == 0) drop(peer);
    return;
  }
  close(fd);
}

static void *serve(void *arg) {
  struct liar *liar = arg;
  for (;;) {
    struct pollfd fds[MAX_CONNS + 2] = {{liar->wake, POLLIN, 0},
                                        {liar->listener, POLLIN, 0}};
    pthread_mutex_lock(&liar->lock);
    bool stop = liar->stop;
    for (int i = 0; i < MAX_CONNS; i++) {
      fds[i + 2] = (struct pollfd){liar->peers[i].fd, POLLIN, 0};
    }
    pthread_mutex_unlock(&liar->lock);
    if (stop) return NULL;
    poll(fds, MAX_CONNS + 2, -1);
    pthread_mutex_lock(&liar->lock);
    for (int i = 0; i < MAX_CONNS; i++) {
      struct peer *peer = &liar->peers[i];
      if (fds[i + 2].revents && peer->fd == fds[i + 2].fd && peer->fd >= 0) {
        read_peer(liar, peer);
      }
    }
    if (fds[1].revents) accept_peer(liar);
    pthread_mutex_unlock(&liar->lock);
    eventfd_t value;
    if (fds[0].revents) eventfd_read(liar->wake, &value);
  }
}

struct liar *liar_new(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof(address);
  struct liar *liar = calloc(1, sizeof(*liar));
  if (!liar) abort();
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  liar->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  liar->wake = eventfd(0, EFD_CLOEXEC);
  pthread_mutex_init(&liar->lock, NULL);
  liar->cut[0] = liar->cut[1] = SIZE_MAX;
  for (int i = 0; i < MAX_CONNS; i++) liar->peers[i].fd = -1;
  if (bind(liar->listener, (struct sockaddr *)&address, len) ||
      getsockname(liar->listener, (struct sockaddr *)&address, &len) ||
      listen(liar->listener, 16) ||
      pthread_create(&liar->thread, NULL, serve, liar)) {
    abort();
  }
  liar->port = ntohs(address.sin_port);
  return liar;
}

void liar_free(struct liar *liar) {
  if (!liar) return;
  pthread_mutex_lock(&liar->lock);
  liar->stop = true;
  pthread_mutex_unlock(&liar->lock);
  eventfd_write(liar->wake, 1);
  pthread_join(liar->thread, NULL);
  for (int i = 0; i < MAX_CONNS; i++) drop(&liar->peers[i]);
  close(liar->listener);
  close(liar->wake);
  pthread_mutex_destroy(&liar->lock);
  free(liar);
}

void liar_be_cluster(struct liar *liar) {
  pthread_mutex_lock(&liar->lock);
  liar->cluster = true;
  pthread_mutex_unlock(&liar->lock);
}

void liar_have_replica(struct liar *liar, uint16_t port) {
  pthread_mutex_lock(&liar->lock);
  liar->replica = port;
  pthread_mutex_unlock(&liar->lock);
}

uint16_t liar_port(const struct liar *liar) {
  return liar->port;
}

void liar_answer(struct liar *liar, const char *command, const void *bytes,
                 size_t len, bool close) {
  pthread_mutex_lock(&liar->lock);
  snprintf(liar->command, sizeof(liar->command), "%s", command ? command : "");
  if (len > 0) memcpy(liar->lie, bytes, len);
  liar->lie_len = len;
  liar->lie_close = close;
  pthread_mutex_unlock(&liar->lock);
}

void liar_cut(struct liar *liar, int which, size_t bytes) {
  pthread_mutex_lock(&liar->lock);
  liar->cut[which] = bytes;
  pthread_mutex_unlock(&liar->lock);
}

void liar_push(struct liar *liar, bool subscribed, const void *bytes,
               size_t len) {
  pthread_mutex_lock(&liar->lock);
  for (int i = 0; i < MAX_CONNS; i++) {
    struct peer *peer = &liar->peers[i];
    if (peer->fd >= 0 && peer->subscribed == subscribed) {
      say(liar, peer, bytes, len);
    }
  }
  pthread_mutex_unlock(&liar->lock);
}

size_t liar_sent(struct liar *liar, int which) {
  pthread_mutex_lock(&liar->lock);
  size_t sent = liar->sent[which];
  pthread_mutex_unlock(&liar->lock);
  return sent;
}

unsigned liar_accepted(struct liar *liar) {
  pthread_mutex_lock(&liar->lock);
  unsigned accepted = liar->accepted;
  pthread_mutex_unlock(&liar->lock);
  return accepted;
}
