#include "replicas.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redis_fixture.h"

enum { SENTINELS = 3 };

struct replicas {
  struct redis_server servers[2];
  struct redis_server sentinels[SENTINELS];
  char files[SENTINELS][128];
  char url[192];
  int master;
};

static bool start_servers(struct replicas *replicas) {
  static const char *const args[] = {"--repl-diskless-sync-delay", "0", NULL};
  char line[64];
  for (int i = 0; i < 2; i++) {
    redis_init(&replicas->servers[i], args);
    if (!redis_start(&replicas->servers[i])) return false;
  }
  snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %u",
           replicas->servers[0].port);
  return redis_run(&replicas->servers[1], line, NULL, 0) &&
         redis_until(&replicas->servers[0], "INFO replication", "state=online");
}

static bool write_file(const struct replicas *replicas, int i) {
  FILE *file = fopen(replicas->files[i], "w");
  if (!file) return false;
  fprintf(file,
          "port %u\nbind 127.0.0.1\ndir %s\n"
          "sentinel monitor mymaster 127.0.0.1 %u 2\n"
          "sentinel down-after-milliseconds mymaster 500\n"
          "sentinel failover-timeout mymaster 3000\n",
          replicas->sentinels[i].port, replicas->sentinels[i].dir,
          replicas->servers[0].port);
  return fclose(file) == 0;
}

static bool start_sentinels(struct replicas *replicas) {
  static const char ask[] = "SENTINEL MASTER mymaster";
  for (int i = 0; i < SENTINELS; i++) {
    struct redis_server *sentinel = &replicas->sentinels[i];
    const char *const args[] = {replicas->files[i], "--sentinel", NULL};
    redis_init(sentinel, args);
    sentinel->sentinel = true;
    char dir[sizeof sentinel->dir]; /* gcc takes them for overlapping else */
    memcpy(dir, sentinel->dir, sizeof dir);
    snprintf(replicas->files[i], sizeof replicas->files[i], "%s/s.conf", dir);
    if (!write_file(replicas, i) || !redis_start(sentinel)) return false;
  }
  for (int i = 0; i < SENTINELS; i++) {
    if (!redis_until(&replicas->sentinels[i], ask, "num-other-sentinels 2") ||
        !redis_until(&replicas->sentinels[i], ask, "num-slaves 1")) {
      return false;
    }
  }
  return true;
}

struct replicas *replicas_start(void) {
  struct replicas *replicas = calloc(1, sizeof *replicas);
  if (!replicas) return NULL;
  if (start_servers(replicas) && start_sentinels(replicas)) {
    snprintf(replicas->url, sizeof replicas->url,
             "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/mymaster",
             replicas->sentinels[0].port, replicas->sentinels[1].port,
             replicas->sentinels[2].port);
    return replicas;
  }
  fprintf(stderr, "the sentinels did not come up\n");
  replicas_stop(replicas);
  return NULL;
}

void replicas_stop(struct replicas *replicas) {
  if (!replicas) return;
  for (int i = 0; i < SENTINELS; i++) {
    if (replicas->sentinels[i].port) redis_remove(&replicas->sentinels[i]);
  }
  for (int i = 0; i < 2; i++) {
    if (replicas->servers[i].port) redis_remove(&replicas->servers[i]);
  }
  free(replicas);
}

const char *replicas_url(const struct replicas *replicas) {
  return replicas->url;
}

size_t replicas_ports(const struct replicas *replicas, uint16_t *ports) {
  ports[0] = replicas->servers[0].port;
  ports[1] = replicas->servers[1].port;
  return 2;
}

/* Promoted, and all sentinels know: one that does not would still send nodes to
 * the old one, should it come back. */
static bool wait_promoted(struct replicas *replicas) {
  char port[16];
  replicas->master = 1 - replicas->master;
  const struct redis_server *master = &replicas->servers[replicas->master];
  snprintf(port, sizeof port, " %u", master->port);
  bool known = redis_until(master, "ROLE", "master");
  for (int i = 0; i < SENTINELS; i++) {
    known =
        known && redis_until(&replicas->sentinels[i],
                             "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", port);
  }
  return known;
}

bool replicas_fail_over(struct replicas *replicas) {
  redis_kill(&replicas->servers[replicas->master]);
  return wait_promoted(replicas);
}

/* A stopped replica would still find in its socket what was sent meanwhile: so
 * the master drops it first, and it can't come back. */
bool replicas_fail_over_late(struct replicas *replicas, uint32_t ms) {
  struct redis_server *master = &replicas->servers[replicas->master];
  struct redis_server *other = &replicas->servers[1 - replicas->master];
  struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
  redis_signal(other, SIGSTOP);
  bool done = redis_run(master, "CLIENT KILL TYPE replica", NULL, 0);
  nanosleep(&time, NULL); /* in which the clients talk */
  redis_kill(master);
  redis_signal(other, SIGCONT);
  return done && wait_promoted(replicas);
}

bool replicas_return(struct replicas *replicas) {
  return redis_start(&replicas->servers[1 - replicas->master]);
}
