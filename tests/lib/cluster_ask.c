/* What a cluster's members say: their output, health, and administration. */
#include "cluster.h"
#include "cluster_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ASK_MS = 2000, TAIL_BYTES = 4000, MAX_WORDS = 32 };

int64_t cluster_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cluster_sleep_ms(int ms) {
  const struct timespec step = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&step, NULL);
}

/* --- Sockets -------------------------------------------------------------- */

static int dial(const struct sockaddr *address, socklen_t len, int timeout_ms) {
  const struct timeval timeout = {timeout_ms / 1000,
                                  (timeout_ms % 1000) * 1000};
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
      connect(fd, address, len) == 0)
    return fd;
  close(fd);
  return -1;
}

int cluster_dial(uint16_t port, int timeout_ms) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return dial((struct sockaddr *)&address, sizeof address, timeout_ms);
}

bool cluster_converse(int fd, const char *line, char *out, size_t cap) {
  size_t len = 0;
  ssize_t n = fd < 0 ? -1 : send(fd, line, strlen(line), MSG_NOSIGNAL);
  while (n > 0 && len + 1 < cap) {
    n = recv(fd, out + len, cap - 1 - len, 0);
    if (n > 0) len += (size_t)n;
    if (n < 0 && errno == EINTR) n = 1;
  }
  if (cap > 0) out[len] = '\0';
  if (fd >= 0) close(fd);
  return len > 0;
}

/* --- Output --------------------------------------------------------------- */

/* All of a file, to free(); NULL when there is none. */
static char *read_all(const char *path) {
  FILE *file = fopen(path, "re");
  char *text = NULL;
  size_t cap = 0;
  if (!file) return NULL;
  ssize_t n = getdelim(&text, &cap, '\0', file);
  fclose(file);
  if (n > 0) return text;
  free(text);
  return NULL;
}

const char *cluster_log(const struct cluster *cluster, int who) {
  return cluster->members[who].log;
}

size_t cluster_logged(const struct cluster *cluster, int who,
                      const char *text) {
  char *all = read_all(cluster->members[who].log);
  size_t count = 0;
  for (const char *at = all; at && (at = strstr(at, text)); at++) count++;
  free(all);
  return count;
}

static void print_tail(const struct cluster_member *member) {
  char *all = read_all(member->log);
  size_t len = all ? strlen(all) : 0;
  const char *tail = all ? all : "(nothing)\n";
  if (len > TAIL_BYTES) tail = all + len - TAIL_BYTES;
  fprintf(stderr, "--- %s printed:\n%s---\n", member->name, tail);
  free(all);
}

bool cluster_wait_logged(const struct cluster *cluster, int who,
                         const char *text, size_t count) {
  int64_t deadline = cluster_now_ms() + CLUSTER_WAIT_MS;
  while (cluster_now_ms() < deadline) {
    if (cluster_logged(cluster, who, text) >= count) return true;
    cluster_sleep_ms(CLUSTER_POLL_MS);
  }
  fprintf(stderr, "cluster: %s did not print %zu times: %s\n",
          cluster->members[who].name, count, text);
  print_tail(&cluster->members[who]);
  return false;
}

void cluster_dump(const struct cluster *cluster) {
  for (int i = 0; i < CLUSTER_MEMBERS; i++) {
    if (*cluster->members[i].name) print_tail(&cluster->members[i]);
  }
}

/* --- Members -------------------------------------------------------------- */

bool cluster_runs(const struct cluster *cluster, int who) {
  struct proc *proc = cluster->members[who].proc;
  return proc && proc_wait_exit(proc, 0) < 0;
}

uint16_t cluster_port(const struct cluster *cluster, int who) {
  return cluster->members[who].port;
}

size_t cluster_nodes(const struct cluster *cluster) {
  return cluster->opts.nodes;
}

int cluster_health(const struct cluster *cluster, int node) {
  char answer[1024];
  int status = -1;
  int fd = cluster_dial(cluster->members[node].port, ASK_MS);
  if (cluster_converse(fd,
                       "OPTIONS / HTTP/1.1\r\nHost: node\r\n"
                       "Connection: close\r\n\r\n",
                       answer, sizeof answer) &&
      sscanf(answer, "HTTP/1.%*d %d", &status) != 1)
    status = -1;
  return status;
}

bool cluster_wait_health(const struct cluster *cluster, int node, int status) {
  int64_t deadline = cluster_now_ms() + CLUSTER_WAIT_MS;
  int health = -1;
  while (cluster_now_ms() < deadline) {
    health = cluster_health(cluster, node);
    if (health == status) return true;
    cluster_sleep_ms(CLUSTER_POLL_MS);
  }
  fprintf(stderr, "cluster: %s answers %d, not %d\n",
          cluster->members[node].name, health, status);
  return false;
}

/* --- HAProxy -------------------------------------------------------------- */

bool cluster_haproxy(const struct cluster *cluster, const char *line, char *out,
                     size_t cap) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char command[256], unwanted[16];
  snprintf(address.sun_path, sizeof address.sun_path, "%s/haproxy.sock",
           cluster->dir);
  snprintf(command, sizeof command, "%s\n", line);
  int fd = dial((struct sockaddr *)&address, sizeof address, ASK_MS);
  if (!out) {
    out = unwanted;
    cap = sizeof unwanted;
  }
  return cluster_converse(fd, command, out, cap);
}

/* A column of the node's row in HAProxy's table, counted from 0. */
static bool table_cell(const struct cluster *cluster, int node, int column,
                       char *out, size_t cap) {
  static const char ask[] = "show stat nodes 4 -1";
  char table[16384], row[32];
  if (!cluster_haproxy(cluster, ask, table, sizeof table)) return false;
  snprintf(row, sizeof row, "\nnodes,%s,", cluster->members[node].name);
  const char *at = strstr(table, row);
  if (!at) return false;
  for (at++; column > 0 && at; column--) {
    at = strchr(at, ',');
    if (at) at++;
  }
  if (!at) return false;
  snprintf(out, cap, "%.*s", (int)strcspn(at, ",\n"), at);
  return true;
}

bool cluster_wait_balanced(const struct cluster *cluster, int node, bool up) {
  enum { STATUS = 17, CHECK = 36 };
  int64_t deadline = cluster_now_ms() + CLUSTER_WAIT_MS;
  char status[32] = "", check[32] = "";
  while (cluster_now_ms() < deadline) {
    /* Before the first check it counts as up. */
    if (table_cell(cluster, node, STATUS, status, sizeof status) &&
        table_cell(cluster, node, CHECK, check, sizeof check) &&
        strcmp(check, "INI") != 0 && strcmp(status, up ? "UP" : "DOWN") == 0)
      return true;
    cluster_sleep_ms(CLUSTER_POLL_MS);
  }
  fprintf(stderr, "cluster: HAProxy takes %s for %s (%s)\n",
          cluster->members[node].name, status, check);
  return false;
}

long cluster_balanced(const struct cluster *cluster, int node) {
  enum { SCUR = 4 };
  char text[32];
  if (!table_cell(cluster, node, SCUR, text, sizeof text)) return -1;
  return strtol(text, NULL, 10);
}

/* --- Redis ---------------------------------------------------------------- */

bool cluster_redis(const struct cluster *cluster, const char *line, char *out,
                   size_t cap) {
  const char *argv[MAX_WORDS + 8] = {"redis-cli", "-e", "-p"};
  char port[8], copy[512], *rest = NULL;
  size_t count = 3;
  snprintf(port, sizeof port, "%u", cluster->members[CLUSTER_REDIS].port);
  snprintf(copy, sizeof copy, "%s", line);
  argv[count++] = port;
  for (char *word = strtok_r(copy, " ", &rest); word && count < MAX_WORDS;
       word = strtok_r(NULL, " ", &rest)) {
    argv[count++] = word;
  }
  struct proc *proc = proc_start(argv);
  bool good = proc && proc_wait_exit(proc, CLUSTER_WAIT_MS) == 0;
  char *text = proc ? proc_output(proc, PROC_STDOUT) : NULL;
  if (out) snprintf(out, cap, "%s", text ? text : "");
  size_t len = out ? strlen(out) : 0;
  if (len > 0 && out[len - 1] == '\n') out[len - 1] = '\0';
  free(text);
  proc_free(proc);
  return good;
}
