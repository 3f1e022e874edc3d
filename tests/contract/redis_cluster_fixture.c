/* The servers start with what they would have found out from each other in
 * their files, which takes less time than letting them meet. */
#include "redis_cluster_fixture.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert.h"
#include "proc.h"

enum {
  AWAIT_MS = 60000,
  LOOK_MS = 20,
  RESHARD_MS = 60000,
  NODES_TEXT = 8192,
  KEYS_TEXT = 65536
};

/* --- life --- */

static void slots_of(const struct redis_cluster *cluster, unsigned master,
                     unsigned *first, unsigned *last) {
  *first = REDIS_CLUSTER_SLOTS * master / cluster->masters;
  *last = REDIS_CLUSTER_SLOTS * (master + 1) / cluster->masters - 1;
}

/* Since 7.2 masters must have the name of their shard in the file: without it
 * Redis 8.0 fails an assertion of its own at the first SPUBLISH. */
static bool has_shard_ids(void) {
  const char *const argv[] = {"redis-server", "--version", NULL};
  unsigned major = 0, minor = 0;
  struct proc *proc = proc_start(argv);
  if (proc) (void)proc_wait_exit(proc, AWAIT_MS);
  char *text = proc ? proc_output(proc, PROC_STDOUT) : NULL;
  const char *version = text ? strstr(text, "v=") : NULL;
  if (version) (void)sscanf(version, "v=%u.%u", &major, &minor);
  free(text);
  proc_free(proc);
  return major > 7 || (major == 7 && minor >= 2);
}

/* The port by which the servers know each other. */
static const char *port_of(const struct redis_cluster *cluster,
                           unsigned index) {
  return cluster->authority ? cluster->tls_ports[index]
                            : cluster->servers[index].port_text;
}

static void write_node(const struct redis_cluster *cluster, FILE *file,
                       unsigned index, bool self) {
  unsigned first, last, master = index % cluster->masters;
  bool replica = index >= cluster->masters;
  fprintf(file, "%s 127.0.0.1:%s@%s", cluster->ids[index],
          port_of(cluster, index), cluster->bus_ports[index]);
  if (cluster->shard_ids) fprintf(file, ",,shard-id=%s", cluster->ids[master]);
  fprintf(file, " %s%s %s 0 0 %u connected", self ? "myself," : "",
          replica ? "slave" : "master", replica ? cluster->ids[master] : "-",
          master + 1);
  slots_of(cluster, master, &first, &last);
  if (!replica) fprintf(file, " %u-%u", first, last);
  fprintf(file, "\n");
}

static bool write_nodes(const struct redis_cluster *cluster, unsigned self) {
  char path[128];
  snprintf(path, sizeof path, "%s/nodes.conf", cluster->servers[self].dir);
  FILE *file = fopen(path, "w");
  if (!file) return false;
  for (unsigned i = 0; i < cluster->count; i++) {
    write_node(cluster, file, i, i == self);
  }
  fprintf(file, "vars currentEpoch %u lastVoteEpoch 0\n", cluster->masters);
  return fclose(file) == 0;
}

/* Redis 8.0 replaces each server's file whenever a slot moves anywhere, and
 * waits for the disk every other time. On a busy one 10,000 slots took half a
 * minute, and a wait could be longer than the servers' patience. */
static const char *quick_dir(void) {
  return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

static size_t add_tls(struct redis_cluster *cluster, unsigned index,
                      const char **args) {
  const struct test_authority *authority = cluster->authority;
  const char *const more[] = {"--tls-port",         cluster->tls_ports[index],
                              "--tls-cert-file",    authority->cert_file,
                              "--tls-key-file",     authority->key_file,
                              "--tls-ca-cert-file", authority->ca_file,
                              "--tls-auth-clients", "no",
                              "--tls-cluster",      "yes"};
  snprintf(cluster->tls_ports[index], sizeof cluster->tls_ports[index], "%u",
           redis_reserve_port(&cluster->tls_reserved[index]));
  memcpy(args, more, sizeof more);
  return sizeof more / sizeof *more;
}

static void init_server(struct redis_cluster *cluster, unsigned index,
                        const char *const *args) {
  const char *all[REDIS_MAX_ARGS] = {"--cluster-enabled",
                                     "yes",
                                     "--cluster-config-file",
                                     "nodes.conf",
                                     "--cluster-node-timeout",
                                     "500",
                                     "--cluster-port",
                                     cluster->bus_ports[index],
                                     "--repl-diskless-sync-delay",
                                     "0"};
  size_t n = 10;
  if (cluster->authority) n += add_tls(cluster, index, all + n);
  while (args && *args && n < REDIS_MAX_ARGS - 1) all[n++] = *args++;
  snprintf(cluster->bus_ports[index], sizeof cluster->bus_ports[index], "%u",
           redis_reserve_port(&cluster->reserved[index]));
  snprintf(cluster->ids[index], sizeof cluster->ids[index], "%040x", index + 1);
  redis_init_in(&cluster->servers[index], quick_dir(), all);
}

static bool start_all(struct redis_cluster *cluster) {
  bool started = true;
  for (unsigned i = 0; i < cluster->count; i++) {
    started = started && write_nodes(cluster, i);
  }
  for (unsigned i = 0; i < cluster->count; i++) {
    started = started && redis_start(&cluster->servers[i]);
  }
  for (unsigned i = 0; i < cluster->masters; i++) {
    unsigned first, last;
    slots_of(cluster, i, &first, &last);
    started = started && redis_cluster_await(cluster, first, i);
  }
  for (unsigned i = cluster->masters; i < cluster->count; i++) {
    started = started && redis_until(&cluster->servers[i], "INFO replication",
                                     "master_link_status:up");
  }
  return started;
}

static bool start(struct redis_cluster *cluster, unsigned masters,
                  unsigned replicas, const struct test_authority *authority,
                  const char *const *args) {
  memset(cluster, 0, sizeof *cluster);
  cluster->authority = authority;
  cluster->masters = masters;
  cluster->count = masters * (1 + replicas);
  cluster->shard_ids = has_shard_ids();
  if (cluster->count > REDIS_CLUSTER_MAX) abort();
  for (unsigned i = 0; i < cluster->count; i++) init_server(cluster, i, args);
  size_t len =
      (size_t)snprintf(cluster->url, sizeof cluster->url, "redis+cluster://");
  for (unsigned i = 0; i < cluster->count; i++) {
    len += (size_t)snprintf(cluster->url + len, sizeof cluster->url - len,
                            "%s127.0.0.1:%s", i ? "," : "",
                            cluster->servers[i].port_text);
  }
  if (start_all(cluster)) return true;
  fprintf(stderr, "the Redis Cluster did not come up\n");
  redis_cluster_remove(cluster);
  return false;
}

bool redis_cluster_start(struct redis_cluster *cluster, unsigned masters,
                         unsigned replicas, const char *const *args) {
  return start(cluster, masters, replicas, NULL, args);
}

bool redis_cluster_start_tls(struct redis_cluster *cluster, unsigned masters,
                             const struct test_authority *authority,
                             const char *const *args) {
  return start(cluster, masters, 0, authority, args);
}

void redis_cluster_remove(struct redis_cluster *cluster) {
  for (unsigned i = 0; i < cluster->count; i++) {
    redis_remove(&cluster->servers[i]);
    close(cluster->reserved[i]);
    if (cluster->authority) close(cluster->tls_reserved[i]);
  }
  cluster->count = 0;
}

unsigned redis_cluster_add(struct redis_cluster *cluster,
                           const char *const *args) {
  unsigned index = cluster->count;
  struct redis_server *server = &cluster->servers[index];
  char line[64], id[64] = "";
  if (index == REDIS_CLUSTER_MAX) abort();
  init_server(cluster, index, args);
  cluster->count++;
  snprintf(line, sizeof line, "CLUSTER MEET 127.0.0.1 %s %s",
           port_of(cluster, 0), cluster->bus_ports[0]);
  if (!redis_start(server) || !redis_until(server, "PING", "PONG") ||
      !redis_run(server, "CLUSTER MYID", id, sizeof id) ||
      !redis_run(server, line, NULL, 0)) {
    return REDIS_CLUSTER_MAX;
  }
  snprintf(cluster->ids[index], sizeof cluster->ids[index], "%.40s", id);
  for (unsigned i = 0; i < cluster->count; i++) {
    if (cluster->servers[i].proc &&
        !redis_until(&cluster->servers[i], "CLUSTER NODES", id)) {
      return REDIS_CLUSTER_MAX;
    }
  }
  return redis_until(server, "CLUSTER INFO", "cluster_state:ok")
             ? index
             : REDIS_CLUSTER_MAX;
}

/* --- who has what --- */

static const struct redis_server *someone(const struct redis_cluster *cluster) {
  for (unsigned i = 0; i < cluster->count; i++) {
    if (cluster->servers[i].proc) return &cluster->servers[i];
  }
  return NULL;
}

unsigned redis_cluster_slot(const struct redis_cluster *cluster,
                            const char *key) {
  char line[512], out[16] = "";
  snprintf(line, sizeof line, "CLUSTER KEYSLOT %s", key);
  const struct redis_server *server = someone(cluster);
  if (!server || !redis_run(server, line, out, sizeof out)) return 0;
  return (unsigned)strtoul(out, NULL, 10);
}

static bool has_slot(const char *line, unsigned slot) {
  const char *at = line;
  for (int word = 0; at && word < 8; word++) at = strchr(at + 1, ' ');
  while (at) {
    char *end;
    unsigned long first = strtoul(at + 1, &end, 10);
    unsigned long last = *end == '-' ? strtoul(end + 1, NULL, 10) : first;
    if (at[1] != '[' && slot >= first && slot <= last) return true;
    at = strchr(at + 1, ' ');
  }
  return false;
}

/* The seventh word: by the larger one of two claims to a slot counts. */
static unsigned long epoch_of(const char *line) {
  const char *at = line;
  for (int word = 0; at && word < 6; word++) at = strchr(at + 1, ' ');
  return at ? strtoul(at, NULL, 10) : 0;
}

/* Whom this server takes for the slot's master, and since which epoch (may be
 * NULL). */
static unsigned claim_by(const struct redis_cluster *cluster, unsigned by,
                         unsigned slot, unsigned long *epoch) {
  char text[NODES_TEXT] = "";
  char *rest = text;
  const struct redis_server *server = &cluster->servers[by];
  if (!redis_run(server, "CLUSTER NODES", text, sizeof text)) {
    return REDIS_CLUSTER_MAX;
  }
  for (char *line; (line = strsep(&rest, "\n"));) {
    for (unsigned i = 0; i < cluster->count; i++) {
      if (strncmp(line, cluster->ids[i], 40) == 0 && has_slot(line, slot)) {
        if (epoch) *epoch = epoch_of(line);
        return i;
      }
    }
  }
  return REDIS_CLUSTER_MAX;
}

static unsigned owner_by(const struct redis_cluster *cluster, unsigned by,
                         unsigned slot) {
  return claim_by(cluster, by, slot, NULL);
}

unsigned redis_cluster_owner(const struct redis_cluster *cluster,
                             unsigned slot) {
  unsigned votes[REDIS_CLUSTER_MAX + 1] = {0}, best = REDIS_CLUSTER_MAX;
  for (unsigned i = 0; i < cluster->count; i++) {
    if (cluster->servers[i].proc) votes[owner_by(cluster, i, slot)]++;
  }
  for (unsigned i = 0; i < cluster->count; i++) {
    if (votes[i] > votes[best] || best == REDIS_CLUSTER_MAX) best = i;
  }
  return best;
}

/* All say so, and know the owner's epoch: one that was only told (SETSLOT) and
 * takes the slot itself next would not count higher, and lose it to what the
 * last owner said before. */
static bool is_owner(const struct redis_cluster *cluster, unsigned slot,
                     unsigned owner) {
  char info[1024] = "";
  unsigned long claimed = 0, known;
  if (claim_by(cluster, owner, slot, &claimed) != owner) return false;
  for (unsigned i = 0; i < cluster->count; i++) {
    const struct redis_server *server = &cluster->servers[i];
    if (!server->proc) continue;
    if (!redis_run(server, "CLUSTER INFO", info, sizeof info) ||
        !strstr(info, "cluster_state:ok") ||
        claim_by(cluster, i, slot, &known) != owner || known != claimed) {
      return false;
    }
  }
  return true;
}

/* What each server thinks, for people. */
static void print_views(const struct redis_cluster *cluster) {
  char text[NODES_TEXT];
  for (unsigned i = 0; i < cluster->count; i++) {
    const struct redis_server *server = &cluster->servers[i];
    text[0] = '\0';
    bool answers =
        server->proc && redis_run(server, "CLUSTER NODES", text, sizeof text);
    fprintf(stderr, "server %u%s:\n%s\n", i, answers ? "" : " is silent", text);
  }
}

bool redis_cluster_await(const struct redis_cluster *cluster, unsigned slot,
                         unsigned owner) {
  for (int waited = 0; waited < AWAIT_MS; waited += LOOK_MS) {
    if (is_owner(cluster, slot, owner)) return true;
    poll(NULL, 0, LOOK_MS);
  }
  fprintf(stderr, "server %u does not become the master of slot %u\n", owner,
          slot);
  print_views(cluster);
  return false;
}

unsigned redis_cluster_replica(const struct redis_cluster *cluster,
                               unsigned master) {
  char text[1024], port[32];
  snprintf(port, sizeof port, "master_port:%s\r",
           cluster->servers[master].port_text);
  for (unsigned i = 0; i < cluster->count; i++) {
    const struct redis_server *server = &cluster->servers[i];
    text[0] = '\0';
    if (i == master || !server->proc) continue;
    if (redis_run(server, "INFO replication", text, sizeof text) &&
        strstr(text, port)) {
      return i;
    }
  }
  return REDIS_CLUSTER_MAX;
}

/* --- changes --- */

bool redis_cluster_fail_over(struct redis_cluster *cluster, unsigned slot) {
  unsigned master = redis_cluster_owner(cluster, slot);
  unsigned replica = redis_cluster_replica(cluster, master);
  if (replica == REDIS_CLUSTER_MAX) return false;
  redis_kill(&cluster->servers[master]);
  return redis_cluster_await(cluster, slot, replica);
}

bool redis_cluster_hand_over(struct redis_cluster *cluster, unsigned slot) {
  unsigned master = redis_cluster_owner(cluster, slot);
  unsigned replica = redis_cluster_replica(cluster, master);
  return replica != REDIS_CLUSTER_MAX &&
         redis_run(&cluster->servers[replica], "CLUSTER FAILOVER", NULL, 0) &&
         redis_cluster_await(cluster, slot, replica);
}

/* The command waits in the replica's socket while it stands still, so it comes
 * before the replica can ask its master for what it has missed. */
bool redis_cluster_take_over(struct redis_cluster *cluster, unsigned slot,
                             uint32_t ms) {
  unsigned master = redis_cluster_owner(cluster, slot);
  unsigned replica = redis_cluster_replica(cluster, master);
  if (replica == REDIS_CLUSTER_MAX) return false;
  redisContext *redis =
      redisConnect("127.0.0.1", cluster->servers[replica].port);
  redisReply *reply = NULL;
  int written = 0;
  bool done = redis && !redis->err && (reply = redisCommand(redis, "PING"));
  freeReplyObject(reply);
  redis_signal(&cluster->servers[replica], SIGSTOP);
  done = done && redis_run(&cluster->servers[master],
                           "CLIENT KILL TYPE replica", NULL, 0);
  poll(NULL, 0, (int)ms); /* in which others write */
  done = done && !redisAppendCommand(redis, "CLUSTER FAILOVER TAKEOVER");
  while (done && !written) done = redisBufferWrite(redis, &written) == REDIS_OK;
  redis_signal(&cluster->servers[replica], SIGCONT);
  if (redis) redisFree(redis);
  return done && redis_cluster_await(cluster, slot, replica);
}

bool redis_cluster_reshard(struct redis_cluster *cluster, unsigned from,
                           unsigned to, unsigned slots) {
  char address[32], number[8];
  const struct redis_server *server = &cluster->servers[from];
  snprintf(address, sizeof address, "127.0.0.1:%s", server->port_text);
  snprintf(number, sizeof number, "%u", slots);
  const char *const argv[] = {
      "redis-cli",    "--cluster",      "reshard",
      address,        "--cluster-from", cluster->ids[from],
      "--cluster-to", cluster->ids[to], "--cluster-slots",
      number,         "--cluster-yes",  NULL};
  struct proc *proc = proc_start(argv);
  bool done = proc && proc_wait_exit(proc, RESHARD_MS) == 0;
  char *text = proc && !done ? proc_output(proc, PROC_STDOUT) : NULL;
  if (text) fprintf(stderr, "redis-cli: %s\n", text);
  free(text);
  proc_free(proc);
  return done;
}

static bool set_slot(const struct redis_cluster *cluster, unsigned at,
                     unsigned slot, const char *what, unsigned who) {
  char line[128];
  snprintf(line, sizeof line, "CLUSTER SETSLOT %u %s %s", slot, what,
           cluster->ids[who]);
  return redis_run(&cluster->servers[at], line, NULL, 0);
}

/* False: it could not be moved. */
static bool move_key(const struct redis_cluster *cluster, unsigned from,
                     unsigned to, const char *key) {
  char line[512];
  snprintf(line, sizeof line, "MIGRATE 127.0.0.1 %s %s 0 5000",
           port_of(cluster, to), key);
  return redis_run(&cluster->servers[from], line, NULL, 0);
}

static bool move_keys(const struct redis_cluster *cluster, unsigned slot,
                      unsigned from, unsigned to, uint32_t half_ms) {
  static char keys[KEYS_TEXT];
  char line[64], *rest = keys;
  unsigned long moved = 0, count = 0;
  snprintf(line, sizeof line, "CLUSTER COUNTKEYSINSLOT %u", slot);
  if (!redis_run(&cluster->servers[from], line, keys, sizeof keys))
    return false;
  count = strtoul(keys, NULL, 10);
  snprintf(line, sizeof line, "CLUSTER GETKEYSINSLOT %u %lu", slot, count);
  keys[0] = '\0';
  if (count && !redis_run(&cluster->servers[from], line, keys, sizeof keys)) {
    return false;
  }
  for (char *key; count && (key = strsep(&rest, " "));) {
    if (!move_key(cluster, from, to, key)) return false;
    if (++moved == count / 2) poll(NULL, 0, (int)half_ms);
  }
  return true;
}

bool redis_cluster_move(struct redis_cluster *cluster, unsigned slot,
                        unsigned to, uint32_t half_ms) {
  unsigned from = redis_cluster_owner(cluster, slot);
  bool done = set_slot(cluster, to, slot, "IMPORTING", from) &&
              set_slot(cluster, from, slot, "MIGRATING", to) &&
              move_keys(cluster, slot, from, to, half_ms) &&
              set_slot(cluster, to, slot, "NODE", to) &&
              set_slot(cluster, from, slot, "NODE", to);
  return done && redis_cluster_await(cluster, slot, to);
}
