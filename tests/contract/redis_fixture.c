#include "redis_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"

enum { START_MS = 30000, UNTIL_MS = 30000, MAX_WORDS = 32 };

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool redis_available(void) {
  const char *const argv[] = {"redis-server", "--version", NULL};
  struct proc *proc = proc_start(argv);
  bool good = proc && proc_wait_exit(proc, START_MS) == 0;
  proc_free(proc);
  if (!good) printf("skipped: no redis-server\n");
  return good;
}

uint16_t redis_reserve_port(int *reserved) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof(address);
  const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, (struct sockaddr *)&address, len) ||
      getsockname(fd, (struct sockaddr *)&address, &len) ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) {
    perror("a free port");
    abort();
  }
  *reserved = fd;
  return ntohs(address.sin_port);
}

void redis_init(struct redis_server *server, const char *const *args) {
  redis_init_in(server, "/tmp", args);
}

void redis_init_in(struct redis_server *server, const char *parent,
                   const char *const *args) {
  memset(server, 0, sizeof(*server));
  snprintf(server->dir, sizeof(server->dir), "%s/wwr-redis-XXXXXX", parent);
  if (!mkdtemp(server->dir)) abort();
  server->port = redis_reserve_port(&server->reserved);
  snprintf(server->port_text, sizeof(server->port_text), "%u", server->port);
  for (size_t i = 0; args && args[i]; i++) server->args[i] = args[i];
}

/* Any answer, or that it wants TLS, shows that it listens. */
static bool listens(const struct redis_server *server) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(server->port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool good = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
  close(fd);
  return good;
}

static void build_args(const struct redis_server *server, const char **argv) {
  const char *const own[] = {"--bind", "127.0.0.1", "--save", "",
                             "--dir",  server->dir, NULL};
  size_t n = 0;
  argv[n++] = "redis-server";
  if (!server->sentinel) {
    bool tls = server->args[0] && strcmp(server->args[0], "--tls-port") == 0;
    if (!tls) {
      argv[n++] = "--port";
      argv[n++] = server->port_text;
    }
    for (size_t i = 0; own[i]; i++) argv[n++] = own[i];
  }
  for (size_t i = 0; server->args[i]; i++) argv[n++] = server->args[i];
  argv[n] = NULL;
}

bool redis_start(struct redis_server *server) {
  const char *argv[REDIS_MAX_ARGS + 16];
  int64_t deadline = now_ms() + START_MS;
  build_args(server, argv);
  server->proc = proc_start(argv);
  while (server->proc && now_ms() < deadline) {
    if (listens(server)) return true;
    if (proc_wait_exit(server->proc, 5) >= 0) break;
  }
  if (server->proc) {
    char *text = proc_output(server->proc, PROC_STDOUT);
    fprintf(stderr, "redis-server: %s\n", text ? text : "");
    free(text);
  }
  return false;
}

void redis_kill(struct redis_server *server) {
  proc_free(server->proc); /* kills and waits */
  server->proc = NULL;
}

void redis_signal(struct redis_server *server, int signal) {
  if (server->proc) proc_signal(server->proc, signal);
}

static void remove_dir(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  while (dir && (entry = readdir(dir))) {
    char file[400];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
    if (unlink(file)) remove_dir(file);
  }
  if (dir) closedir(dir);
  rmdir(path);
}

void redis_remove(struct redis_server *server) {
  redis_signal(server, SIGCONT);
  redis_kill(server);
  if (server->dir[0]) {
    remove_dir(server->dir);
    close(server->reserved);
  }
  server->dir[0] = '\0';
}

/* --- Commands ----------------------------------------------------------- */

static void print(const redisReply *reply, char *out, size_t cap) {
  size_t len = strlen(out);
  if (reply->type == REDIS_REPLY_ARRAY) {
    for (size_t i = 0; i < reply->elements; i++) {
      print(reply->element[i], out, cap);
    }
  } else if (reply->type == REDIS_REPLY_INTEGER) {
    snprintf(out + len, cap - len, "%s%lld", len ? " " : "", reply->integer);
  } else if (reply->str) {
    snprintf(out + len, cap - len, "%s%s", len ? " " : "", reply->str);
  }
}

bool redis_run(const struct redis_server *server, const char *line, char *out,
               size_t cap) {
  const struct timeval timeout = {.tv_sec = 5};
  const char *words[MAX_WORDS];
  char copy[512];
  char *save = NULL;
  int count = 0;
  bool good = false;
  snprintf(copy, sizeof(copy), "%s", line);
  for (char *word = strtok_r(copy, " ", &save); word && count < MAX_WORDS;
       word = strtok_r(NULL, " ", &save)) {
    words[count++] = word;
  }
  if (out) out[0] = '\0';
  redisContext *context =
      redisConnectWithTimeout("127.0.0.1", server->port, timeout);
  if (context && !context->err) {
    redisSetTimeout(context, timeout);
    redisReply *reply = redisCommandArgv(context, count, words, NULL);
    if (reply && out) print(reply, out, cap);
    good = reply && reply->type != REDIS_REPLY_ERROR;
    if (reply) freeReplyObject(reply);
  }
  if (context) redisFree(context);
  return good;
}

bool redis_until(const struct redis_server *server, const char *line,
                 const char *text) {
  int64_t deadline = now_ms() + UNTIL_MS;
  char answer[8192];
  do {
    if (redis_run(server, line, answer, sizeof(answer)) &&
        strstr(answer, text)) {
      return true;
    }
    poll(NULL, 0, 5);
  } while (now_ms() < deadline);
  fprintf(stderr, "%s: %s\n", line, answer);
  return false;
}
