/* --health-check: one GET to a server's admin listener, for images without a
 * shell. The configuration is not read for it: a mistake that somebody has just
 * written into it says nothing about the server that runs.
 *
 * Failure modes: whatever keeps an answer from coming is said in one line and
 * is status 1, after TIME_MS at most, looking up a name not counted. */
#include "health.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define SCHEME "http://"

enum { TIME_MS = 4000, URL_MAX = 512, ANSWER_MAX = 4096, REASON_MAX = 256 };

struct question {
  char address[URL_MAX]; /* HOST:PORT, as it goes into the request */
  char host[URL_MAX];
  char port[6];
  char path[URL_MAX];
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Nothing that could end the head of the request, or begin another line. */
static bool is_plain(const char *text) {
  for (; *text; text++) {
    if (!isgraph((unsigned char)*text)) return false;
  }
  return true;
}

static bool read_url(const char *url, struct question *out) {
  size_t scheme = sizeof SCHEME - 1;
  if (strncmp(url, SCHEME, scheme) != 0 || strlen(url) >= URL_MAX ||
      !is_plain(url)) {
    return false;
  }
  const char *begin = url + scheme;
  size_t len = strcspn(begin, "/");
  memcpy(out->address, begin, len);
  out->address[len] = '\0';
  snprintf(out->path, sizeof out->path, "%s", begin[len] ? begin + len : "/");
  return wwri_split_address(out->address, out->host, sizeof out->host,
                            out->port) &&
         *out->host;
}

/* --- Connecting ----------------------------------------------------------- */

/* Until the descriptor is ready for it, or the deadline is over. */
static bool wait_for(int fd, short events, int64_t deadline) {
  struct pollfd item = {.fd = fd, .events = events};
  for (;;) {
    int64_t left = deadline - now_ms();
    if (left < 0) left = 0;
    int count = poll(&item, 1, (int)left);
    if (count > 0) return true;
    if (count == 0) errno = ETIMEDOUT;
    if (count == 0 || errno != EINTR) return false;
  }
}

static bool connected(int fd, const struct addrinfo *info, int64_t deadline) {
  int error = 0;
  socklen_t len = sizeof error;
  if (connect(fd, info->ai_addr, info->ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline)) return false;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) return false;
  errno = error;
  return error == 0;
}

static int dial(const struct question *question, int64_t deadline,
                char reason[REASON_MAX]) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_NUMERICSERV};
  struct addrinfo *found = NULL;
  int fd = -1;
  int err = getaddrinfo(question->host, question->port, &hints, &found);
  if (err != 0) {
    snprintf(reason, REASON_MAX, "%s", gai_strerror(err));
    return -1;
  }
  for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
    fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connected(fd, at, deadline)) break;
    snprintf(reason, REASON_MAX, "%s", strerror(errno));
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

/* --- Asking --------------------------------------------------------------- */

/* Short enough for any socket's buffer. */
static bool send_request(int fd, const struct question *question) {
  char head[3 * URL_MAX];
  int len = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                     question->path, question->address);
  return send(fd, head, (size_t)len, MSG_NOSIGNAL) == len;
}

/* All of the answer that there is room for. */
static bool read_answer(int fd, int64_t deadline, char answer[ANSWER_MAX]) {
  size_t len = 0;
  while (len < ANSWER_MAX - 1) {
    if (!wait_for(fd, POLLIN, deadline)) return false;
    ssize_t got = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0);
    if (got == 0) break;
    if (got > 0) len += (size_t)got;
    if (got < 0 && errno != EINTR && errno != EAGAIN) return false;
  }
  answer[len] = '\0';
  return true;
}

static bool ask(const struct question *question, char answer[ANSWER_MAX],
                char reason[REASON_MAX]) {
  int64_t deadline = now_ms() + TIME_MS;
  int fd = dial(question, deadline, reason);
  if (fd < 0) return false;
  bool good = send_request(fd, question) && read_answer(fd, deadline, answer);
  if (!good) snprintf(reason, REASON_MAX, "%s", strerror(errno));
  close(fd);
  return good;
}

/* The status and where the body begins; 0: this is no answer. */
static int parse(char *answer, char **body) {
  int status = 0, used = 0;
  char *end = strstr(answer, "\r\n\r\n");
  if (!end || sscanf(answer, "HTTP/1.%*1[01] %3d%n", &status, &used) != 1 ||
      used != (int)sizeof "HTTP/1.1 200" - 1 ||
      !isspace((unsigned char)answer[used])) {
    return 0;
  }
  *body = end + 4;
  return status;
}

/* Into one line that harms no terminal. */
static void flatten(char *text) {
  size_t len = strlen(text);
  while (len > 0 && isspace((unsigned char)text[len - 1])) text[--len] = '\0';
  for (; *text; text++) {
    if (*text == '\n') {
      *text = ';';
    } else if (!isprint((unsigned char)*text)) {
      *text = '?';
    }
  }
}

int wwri_health_check(const char *name, const char *url) {
  struct question question;
  char answer[ANSWER_MAX], reason[REASON_MAX] = "", *body = answer;
  if (!read_url(url, &question)) {
    fprintf(stderr, "%s: --health-check: must be " SCHEME "HOST:PORT/PATH\n",
            name);
    return WWR_EXIT_USAGE;
  }
  if (!ask(&question, answer, reason)) {
    fprintf(stderr, "%s: %s: %s\n", name, url, reason);
    return WWR_EXIT_FAILED;
  }
  int status = parse(answer, &body);
  if (status == 0) {
    fprintf(stderr, "%s: %s: no answer of HTTP\n", name, url);
    return WWR_EXIT_FAILED;
  }
  flatten(body);
  if (status != 200) {
    fprintf(stderr, "%s: %s: %d: %s\n", name, url, status, body);
    return WWR_EXIT_FAILED;
  }
  printf("%s\n", body);
  return fflush(stdout) == 0 ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}
