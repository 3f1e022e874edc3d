/* Happy path: a directory -> a port per member, reserved by a socket that is
 * bound but never listens (SO_REUSEADDR lets the member listen there all the
 * same, and keeps the kernel from giving the port to anybody else) -> HAProxy's
 * configuration -> everyone is started, then waited for.
 *
 * Failure modes: what does not answer in time is said with the end of its
 * output. Nothing is left behind: members die with the test's main thread. */
#include "cluster.h"
#include "cluster_impl.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_NODES = 3, MAX_TEXTS = 24, TEXT_MAX = 512 };

/* Debian has it where not everyone looks. */
static const char *haproxy_program(void) {
  static const char path[] = "/usr/sbin/haproxy";
  return access(path, X_OK) == 0 ? path : "haproxy";
}

/* --- Making --------------------------------------------------------------- */

bool cluster_available(void) {
  const char *const programs[][3] = {{"redis-server", "--version", NULL},
                                     {"redis-cli", "--version", NULL},
                                     {haproxy_program(), "-v", NULL}};
  for (size_t i = 0; i < 3; i++) {
    struct proc *proc = proc_start(programs[i]);
    bool good = proc && proc_wait_exit(proc, CLUSTER_WAIT_MS) == 0;
    proc_free(proc);
    if (good) continue;
    printf("skipped: no %s\n", programs[i][0]);
    return false;
  }
  return true;
}

static bool reserve_port(struct cluster_member *member) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof address;
  const int on = 1;
  member->reserved = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr *plain = (struct sockaddr *)&address;
  if (member->reserved < 0 || bind(member->reserved, plain, len) != 0 ||
      getsockname(member->reserved, plain, &len) != 0 ||
      setsockopt(member->reserved, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) {
    perror("cluster: a port");
    return false;
  }
  member->port = ntohs(address.sin_port);
  return true;
}

static void write_server_lines(const struct cluster *cluster, FILE *file) {
  for (size_t i = 0; i < cluster->opts.nodes; i++) {
    const struct cluster_member *member = &cluster->members[i];
    fprintf(file, "  server %s 127.0.0.1:%u\n", member->name, member->port);
  }
}

/* The one that is deployed, with these nodes. */
static bool copy_haproxy_config(const struct cluster *cluster, FILE *from,
                                FILE *to) {
  char *line = NULL;
  size_t cap = 0;
  while (getline(&line, &cap, from) >= 0) {
    if (strncmp(line, "  server ", 9) != 0) fputs(line, to);
  }
  free(line);
  write_server_lines(cluster, to);
  return !ferror(from);
}

static bool write_haproxy_config(const struct cluster *cluster) {
  char path[128];
  snprintf(path, sizeof path, "%s/haproxy.cfg", cluster->dir);
  FILE *from = fopen(HAPROXY_CONFIG, "re");
  FILE *to = fopen(path, "we");
  bool good = from && to && copy_haproxy_config(cluster, from, to);
  if (from) fclose(from);
  return to && fclose(to) == 0 && good;
}

static bool is_member(const struct cluster *cluster, int who) {
  if (who == CLUSTER_REDIS)
    return !cluster->opts.no_redis && !cluster->opts.redis_url;
  if (who == CLUSTER_HAPROXY) return !cluster->opts.no_haproxy;
  return (size_t)who < cluster->opts.nodes;
}

static bool make_members(struct cluster *cluster) {
  for (int i = 0; i < CLUSTER_MEMBERS; i++) {
    struct cluster_member *member = &cluster->members[i];
    if (!is_member(cluster, i)) continue;
    char name[16];
    snprintf(name, sizeof name, "node-%d", i);
    const char *given = i == CLUSTER_REDIS     ? "redis"
                        : i == CLUSTER_HAPROXY ? "haproxy"
                                               : name;
    snprintf(member->name, sizeof member->name, "%s", given);
    snprintf(member->log, sizeof member->log, "%s/%s.log", cluster->dir, given);
    member->args = cluster->opts.args;
    if (!reserve_port(member)) return false;
  }
  return cluster->opts.no_haproxy || write_haproxy_config(cluster);
}

struct cluster *cluster_new(const struct cluster_opts *opts) {
  struct cluster *cluster = calloc(1, sizeof *cluster);
  if (!cluster) return NULL;
  cluster->opts = *opts;
  if (cluster->opts.nodes == 0) cluster->opts.nodes = DEFAULT_NODES;
  for (int i = 0; i < CLUSTER_MEMBERS; i++) cluster->members[i].reserved = -1;
  snprintf(cluster->dir, sizeof cluster->dir, "/tmp/wwr-cluster-XXXXXX");
  if (cluster->opts.nodes <= CLUSTER_MAX_NODES && mkdtemp(cluster->dir) &&
      make_members(cluster))
    return cluster;
  perror("cluster");
  cluster_free(cluster);
  return NULL;
}

/* --- Starting ------------------------------------------------------------- */

/* Arguments under construction, and room for those that are made up. */
struct args {
  const char *argv[CLUSTER_MAX_ARGS + 1];
  size_t count;
  char texts[MAX_TEXTS][TEXT_MAX];
  size_t text_count;
};

static void add(struct args *args, const char *text) {
  if (args->count < CLUSTER_MAX_ARGS) args->argv[args->count++] = text;
  args->argv[args->count] = NULL;
}

static void add_all(struct args *args, const char *const *more) {
  for (; more && *more; more++) add(args, *more);
}

static void add_made_up(struct args *args, const char *format, va_list values) {
  char *text = args->texts[args->text_count++];
  vsnprintf(text, TEXT_MAX, format, values);
  add(args, text);
}

__attribute__((format(printf, 2, 3))) static void add_text(struct args *args,
                                                           const char *format,
                                                           ...) {
  va_list values;
  va_start(values, format);
  add_made_up(args, format, values);
  va_end(values);
}

__attribute__((format(printf, 3, 4))) static void add_option(struct args *args,
                                                             const char *name,
                                                             const char *format,
                                                             ...) {
  va_list values;
  add(args, name);
  va_start(values, format);
  add_made_up(args, format, values);
  va_end(values);
}

static void redis_args(const struct cluster *cluster, struct args *args) {
  add(args, "redis-server");
  add_option(args, "--port", "%u", cluster->members[CLUSTER_REDIS].port);
  add_option(args, "--bind", "127.0.0.1");
  add_option(args, "--dir", "%s", cluster->dir);
  add_option(args, "--save", "%s", "");
  add_option(args, "--appendonly", "yes");
  add_all(args, cluster->opts.redis_args);
}

static void haproxy_args(const struct cluster *cluster, struct args *args) {
  const char *balance = cluster->opts.balance;
  add(args, "env");
  add_text(args, "WEBWIRE_LISTEN=127.0.0.1:%u",
           cluster->members[CLUSTER_HAPROXY].port);
  add_text(args, "WEBWIRE_ADMIN_SOCKET=%s/haproxy.sock", cluster->dir);
  add_text(args, "WEBWIRE_STATS=%s/haproxy-status.sock", cluster->dir);
  add_text(args, "WEBWIRE_BALANCE=%s", balance ? balance : "roundrobin");
  add(args, "WEBWIRE_CHECK=100ms");
  add(args, "WEBWIRE_THREADS=1");
  add(args, haproxy_program());
  add(args, "-db");
  add_option(args, "-f", "%s/haproxy.cfg", cluster->dir);
}

static void add_redis_url(const struct cluster *cluster,
                          const struct cluster_member *member,
                          struct args *args) {
  const char *login = cluster->opts.login ? cluster->opts.login : "";
  unsigned port = cluster->members[CLUSTER_REDIS].port;
  if (cluster->opts.redis_url) {
    add_option(args, "--redis", "%s", cluster->opts.redis_url);
  } else {
    add_option(args, "--redis", "redis://%s127.0.0.1:%u", login, port);
  }
  add_option(args, "--node-name", "%s", member->name);
}

static void node_args(const struct cluster *cluster, int node,
                      struct args *args) {
  const struct cluster_member *member = &cluster->members[node];
  add(args, cluster->opts.program);
  add_option(args, "--listen", "127.0.0.1:%u", member->port);
  if (cluster->opts.no_redis) {
    add_option(args, "--sessions", "%s/sessions-%d", cluster->dir, node);
  } else {
    add_redis_url(cluster, member, args);
  }
  add_all(args, member->args);
}

bool cluster_launch(struct cluster *cluster, int who) {
  struct cluster_member *member = &cluster->members[who];
  struct args args = {.count = 0};
  if (who == CLUSTER_REDIS) {
    redis_args(cluster, &args);
  } else if (who == CLUSTER_HAPROXY) {
    haproxy_args(cluster, &args);
  } else {
    node_args(cluster, who, &args);
  }
  cluster_kill(cluster, who);
  member->proc = proc_start_logged(args.argv, member->log);
  return member->proc != NULL;
}

static bool answers(const struct cluster *cluster, int who) {
  char answer[64] = "";
  int fd = cluster_dial(cluster->members[who].port, 1000);
  if (fd < 0) return false;
  if (who != CLUSTER_REDIS) {
    close(fd);
    return true;
  }
  /* What wants a password has loaded its data as well. */
  return cluster_converse(fd, "PING\r\nQUIT\r\n", answer, sizeof answer) &&
         (strstr(answer, "PONG") || strstr(answer, "NOAUTH"));
}

bool cluster_wait_answers(struct cluster *cluster, int who) {
  struct cluster_member *member = &cluster->members[who];
  int64_t deadline = cluster_now_ms() + CLUSTER_WAIT_MS;
  bool alive = member->proc != NULL;
  while (alive && cluster_now_ms() < deadline) {
    if (answers(cluster, who)) return true;
    alive = proc_wait_exit(member->proc, CLUSTER_POLL_MS) < 0;
  }
  fprintf(stderr, "cluster: %s %s\n", member->name,
          alive ? "does not answer" : "has ended");
  return false;
}

bool cluster_run(struct cluster *cluster, int who) {
  return cluster_launch(cluster, who) && cluster_wait_answers(cluster, who);
}

static bool start_all(struct cluster *cluster) {
  int nodes = (int)cluster->opts.nodes;
  if (is_member(cluster, CLUSTER_REDIS) && !cluster_run(cluster, CLUSTER_REDIS))
    return false;
  for (int i = 0; i < nodes; i++) {
    if (!cluster_launch(cluster, i)) return false;
  }
  for (int i = 0; i < nodes; i++) {
    if (!cluster_wait_answers(cluster, i) ||
        !cluster_wait_health(cluster, i, 200))
      return false;
  }
  if (cluster->opts.no_haproxy) return true;
  if (!cluster_run(cluster, CLUSTER_HAPROXY)) return false;
  for (int i = 0; i < nodes; i++) {
    if (!cluster_wait_balanced(cluster, i, true)) return false;
  }
  return true;
}

bool cluster_start(struct cluster *cluster) {
  bool good = start_all(cluster);
  if (!good) cluster_dump(cluster);
  return good;
}

struct cluster *cluster_open(const struct cluster_opts *opts) {
  struct cluster *cluster = cluster_new(opts);
  if (!cluster || cluster_start(cluster)) return cluster;
  cluster_free(cluster);
  return NULL;
}

void cluster_set_args(struct cluster *cluster, int node,
                      const char *const *args) {
  cluster->members[node].args = args;
}

/* --- Ending --------------------------------------------------------------- */

void cluster_signal(struct cluster *cluster, int who, int signal) {
  struct proc *proc = cluster->members[who].proc;
  if (proc) proc_signal(proc, signal);
}

void cluster_pause(struct cluster *cluster, int who) {
  cluster_signal(cluster, who, SIGSTOP);
}

void cluster_resume(struct cluster *cluster, int who) {
  cluster_signal(cluster, who, SIGCONT);
}

void cluster_kill(struct cluster *cluster, int who) {
  struct cluster_member *member = &cluster->members[who];
  proc_free(member->proc); /* kills and waits */
  member->proc = NULL;
}

int cluster_wait_exit(struct cluster *cluster, int who) {
  struct cluster_member *member = &cluster->members[who];
  if (!member->proc) return -1;
  int status = proc_wait_exit(member->proc, CLUSTER_WAIT_MS);
  if (status >= 0) cluster_kill(cluster, who);
  return status;
}

int cluster_stop(struct cluster *cluster, int who) {
  cluster_signal(cluster, who, SIGTERM);
  cluster_resume(cluster, who);
  return cluster_wait_exit(cluster, who);
}

static bool printed_cleanly(const struct cluster *cluster, int node) {
  static const char *const bad[] = {"Sanitizer", "runtime error:", "Assertion"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (cluster_logged(cluster, node, bad[i]) > 0) return false;
  }
  return true;
}

bool cluster_stop_all(struct cluster *cluster) {
  bool good = true;
  for (int i = 0; i < (int)cluster->opts.nodes; i++) {
    cluster_signal(cluster, i, SIGTERM); /* all at once */
    cluster_signal(cluster, i, SIGCONT);
  }
  for (int i = 0; i < (int)cluster->opts.nodes; i++) {
    struct proc *proc = cluster->members[i].proc;
    int status = proc ? proc_wait_exit(proc, CLUSTER_WAIT_MS) : 0;
    if (status == 0 && printed_cleanly(cluster, i)) continue;
    fprintf(stderr, "cluster: %s: exit status %d\n", cluster->members[i].name,
            status);
    good = false;
  }
  if (!good) cluster_dump(cluster);
  for (int i = 0; i < CLUSTER_MEMBERS; i++) cluster_kill(cluster, i);
  return good;
}

static int remove_entry(const char *path, const struct stat *info, int type,
                        struct FTW *walk) {
  (void)info, (void)type, (void)walk;
  return remove(path);
}

static void remove_tree(const char *path) {
  nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void cluster_redis_wipe(struct cluster *cluster) {
  static const char *const names[] = {"appendonlydir", "dump.rdb"};
  char path[128];
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", cluster->dir, names[i]);
    remove_tree(path);
  }
}

void cluster_free(struct cluster *cluster) {
  if (!cluster) return;
  for (int i = 0; i < CLUSTER_MEMBERS; i++) {
    cluster_kill(cluster, i);
    if (cluster->members[i].reserved >= 0) close(cluster->members[i].reserved);
  }
  if (getenv("WWR_TEST_KEEP")) {
    fprintf(stderr, "cluster: kept %s\n", cluster->dir);
  } else {
    remove_tree(cluster->dir);
  }
  free(cluster);
}

int cluster_close(struct cluster *cluster) {
  if (!cluster) return 1;
  bool good = cluster_stop_all(cluster);
  cluster_free(cluster);
  return good ? 0 : 1;
}
