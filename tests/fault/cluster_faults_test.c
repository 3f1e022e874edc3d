/* What the cluster does when something breaks: three real nodes behind HAProxy
 * on a real Redis, a crowd that chats through it, and every message counted.
 * Prints one row of the table per fault.
 *
 *   cluster_faults          all of them
 *   cluster_faults NAME     one of them
 *
 * "firewall" and "master cut off" need a network of their own, see in_netns.sh;
 * without one they are left out. */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster_run.h"
#include "proc.h"
#include "replicas.h"
#include "test.h"

enum {
  LEASE_MS = 4000,
  RECOVER_MS = 2000,
  SILENT_MS = 3000,
  FAILOVER_MS = 3000,
  AWAY_MS = 3000,
  QUIET_MS = 1000
};

static const char *const with_data[] = {"--appendonly", "yes", "--appendfsync",
                                        "everysec", NULL};
/* Room for what Redis does in one turn of its loop, or who reads is cut off as
 * well: on a busy machine many publishes wait when it comes to a turn. */
static const char *const small_buffer[] = {"--client-output-buffer-limit",
                                           "pubsub 2mb 0 0", NULL};
static const char *const without_data[] = {"--appendonly", "no", "--save", "",
                                           NULL};

static bool redis(struct run *run, const char *line) {
  char out[256];
  if (cluster_redis(run->cluster, line, out, sizeof out)) return true;
  fprintf(stderr, "redis: %s: %s\n", line, out);
  return false;
}

/* --- Redis --- */

static bool nothing(struct run *run) {
  (void)run;
  run_talk(1000);
  return true;
}

static bool stopped(struct run *run) {
  cluster_pause(run->cluster, CLUSTER_REDIS);
  run_talk(3000);
  cluster_resume(run->cluster, CLUSTER_REDIS);
  run_healed(run);
  return true;
}

static bool killed_with_data(struct run *run) {
  cluster_kill(run->cluster, CLUSTER_REDIS);
  run_talk(500);
  bool done = cluster_run(run->cluster, CLUSTER_REDIS);
  run_healed(run);
  return done;
}

static bool killed_without_data(struct run *run) {
  cluster_kill(run->cluster, CLUSTER_REDIS);
  cluster_redis_wipe(run->cluster);
  run_talk(500);
  bool done = cluster_run(run->cluster, CLUSTER_REDIS);
  run_healed(run);
  return done;
}

static bool connections_cut(struct run *run) {
  bool done = redis(run, "CLIENT KILL TYPE pubsub") &&
              redis(run, "CLIENT KILL TYPE normal");
  run_healed(run);
  return done;
}

/* iptables ACTION INPUT ... DROP, for one direction. */
static bool firewall(const char *port, const char *action,
                     const char *direction) {
  const char *const argv[] = {"iptables", action, "INPUT", "-p",   "tcp",
                              direction,  port,   "-j",    "DROP", NULL};
  struct proc *proc = proc_start(argv);
  bool done = proc && proc_wait_exit(proc, CLUSTER_WAIT_MS) == 0;
  proc_free(proc);
  return done;
}

/* Silence: nothing is refused, nothing is closed. */
static bool drop_port(const char *port, bool on) {
  const char *action = on ? "-I" : "-D";
  bool done = firewall(port, action, "--dport");
  return firewall(port, action, "--sport") && done;
}

static bool firewalled(struct run *run) {
  char port[8];
  snprintf(port, sizeof port, "%u", cluster_port(run->cluster, CLUSTER_REDIS));
  bool done = drop_port(port, true);
  run_talk(5000);
  done = drop_port(port, false) && done;
  run_healed(run);
  return done;
}

static bool out_of_memory(struct run *run) {
  bool done = redis(run, "CONFIG SET maxmemory 1");
  run_talk(2000);
  done = redis(run, "CONFIG SET maxmemory 0") && done;
  run_healed(run);
  return done;
}

/* The file that grows is cut, as a crash of the machine would. */
static bool cut_file(const char *dir, off_t bytes) {
  char path[512];
  struct stat info;
  bool done = false;
  DIR *files = opendir(dir);
  struct dirent *file;
  while (files && (file = readdir(files))) {
    if (!strstr(file->d_name, ".incr.aof")) continue;
    snprintf(path, sizeof path, "%s/%s", dir, file->d_name);
    done = stat(path, &info) == 0 && info.st_size > bytes &&
           truncate(path, info.st_size - bytes) == 0;
  }
  if (files) closedir(files);
  return done;
}

static bool file_truncated(struct run *run) {
  char out[256], dir[300];
  if (!cluster_redis(run->cluster, "CONFIG GET dir", out, sizeof out)) {
    return false;
  }
  const char *at = strchr(out, '/');
  if (!at) return false;
  snprintf(dir, sizeof dir, "%s/appendonlydir", at);
  cluster_kill(run->cluster, CLUSTER_REDIS);
  bool done = cut_file(dir, 20000) && cluster_run(run->cluster, CLUSTER_REDIS);
  run_healed(run);
  return done;
}

static bool keys_evicted(struct run *run) {
  static const char *const lines[] = {
      "DEL wwr:{0}:l:room", "DEL wwr:{0}:m:room",
      "DEL wwr:{0}:l:room wwr:{0}:m:room", "DEL wwr:{0}:gen"};
  bool done = true;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    done = redis(run, lines[i]) && done;
    run_talk(500);
  }
  run_healed(run);
  return done;
}

static bool has_overflowed(const struct run *run) {
  return cluster_logged(run->cluster, CLUSTER_REDIS, "output buffer limits");
}

/* A node stops reading until Redis gives its subscriptions up: with what its
 * sockets hold that takes some 10 MB. */
static bool buffer_overflow(struct run *run) {
  cluster_pause(run->cluster, 0);
  run_talk(4000);
  for (int i = 0; i < 80 && !has_overflowed(run); i++) run_talk(100);
  bool done = has_overflowed(run);
  cluster_resume(run->cluster, 0);
  run_healed(run);
  return done;
}

/* --- failover --- */

static bool failover(struct run *run) {
  bool done = replicas_fail_over(run->replicas);
  run_healed(run);
  run_talk(500);
  return replicas_return(run->replicas) && done;
}

static bool late_replica(struct run *run) {
  bool done = replicas_fail_over_late(run->replicas, 400);
  run_healed(run);
  run_talk(500);
  return replicas_return(run->replicas) && done;
}

/* --- shards --- */

/* All of the time that a shard is away the nodes are ready. */
static bool all_ready(struct run *run) {
  for (int i = 0; i < (int)cluster_nodes(run->cluster); i++) {
    if (cluster_health(run->cluster, i) != 200) return false;
  }
  return true;
}

static bool talk_ready(struct run *run, uint32_t ms) {
  uint64_t end = chatters_now_us() + (uint64_t)ms * 1000;
  bool ready = true;
  while (chatters_now_us() < end) {
    ready = all_ready(run) && ready;
    run_talk(100);
  }
  if (!ready) fprintf(stderr, "a node was not ready\n");
  return ready;
}

static bool shard_stopped(struct run *run) {
  redis_signal(shards_other(run->shards), SIGSTOP);
  bool ready = talk_ready(run, 4000);
  redis_signal(shards_other(run->shards), SIGCONT);
  run_healed(run);
  return talk_ready(run, 1000) && ready;
}

static bool shard_killed(struct run *run) {
  redis_kill(shards_other(run->shards));
  bool ready = talk_ready(run, 1000);
  bool done = redis_start(shards_other(run->shards));
  run_healed(run);
  return talk_ready(run, 1000) && ready && done;
}

/* --- a Redis Cluster --- */

static bool master_killed(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  unsigned slot = shards_room_slot(run->shards);
  bool done = redis_cluster_fail_over(redis, slot);
  run_healed(run);
  return done;
}

static bool master_hands_over(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  bool done = redis_cluster_hand_over(redis, shards_room_slot(run->shards));
  run_healed(run);
  return done;
}

/* Until the others have made another one the master, and a second longer. */
static bool master_stopped(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  unsigned old = shards_room_master(run->shards);
  unsigned next = redis_cluster_replica(redis, old);
  redis_signal(&redis->servers[old], SIGSTOP);
  run_talk(4000);
  redis_signal(&redis->servers[old], SIGCONT);
  run_healed(run);
  return redis_cluster_await(redis, shards_room_slot(run->shards), next);
}

static bool replica_takes_over(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  bool done =
      redis_cluster_take_over(redis, shards_room_slot(run->shards), 400);
  run_healed(run);
  return done;
}

/* Its peers go on hearing it, so none of them takes its place. */
static bool master_firewalled(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  const char *port = redis->servers[shards_room_master(run->shards)].port_text;
  bool done = drop_port(port, true);
  run_talk(5000);
  done = drop_port(port, false) && done;
  run_healed(run);
  return done;
}

static bool slots_resharded(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  unsigned from = shards_room_master(run->shards);
  unsigned to = shards_other_master(run->shards);
  bool done =
      redis_cluster_reshard(redis, from, to, REDIS_CLUSTER_SLOTS / SHARDS - 1);
  run_healed(run);
  if (shards_room_master(run->shards) == to) return done;
  fprintf(stderr, "the room's slot was not among those that moved\n");
  return false;
}

static bool slot_half_moved(struct run *run) {
  struct redis_cluster *redis = shards_cluster(run->shards);
  bool done = redis_cluster_move(redis, shards_room_slot(run->shards),
                                 shards_other_master(run->shards), 2000);
  run_healed(run);
  return done;
}

/* --- nodes --- */

static bool node_killed(struct run *run) {
  bool lost[CHATTERS_MAX];
  cluster_kill(run->cluster, 1);
  run_talk(200);
  chatters_broken(run->chatters, lost);
  ledger_killed(run->ledger, lost);
  run_healed(run);
  run_talk(1000);
  return cluster_run(run->cluster, 1);
}

static bool node_terminated(struct run *run) {
  int status = cluster_stop(run->cluster, 1);
  run_healed(run);
  if (status != 0) fprintf(stderr, "the node ended with %d\n", status);
  run_talk(500);
  return cluster_run(run->cluster, 1) && status == 0;
}

/* As a deployment does it: the next one when the last is back. */
static bool rolling_restart(struct run *run) {
  int nodes = (int)cluster_nodes(run->cluster);
  for (int i = 0; i < nodes; i++) {
    int status = cluster_stop(run->cluster, i);
    if (status != 0) fprintf(stderr, "node %d ended with %d\n", i, status);
    if (status != 0 || !cluster_run(run->cluster, i) ||
        !cluster_wait_health(run->cluster, i, 200) ||
        !cluster_wait_balanced(run->cluster, i, true)) {
      return false;
    }
  }
  run_healed(run);
  return true;
}

static bool node_fenced(struct run *run) {
  cluster_pause(run->cluster, 0);
  run_talk(LEASE_MS * 3 / 2);
  cluster_resume(run->cluster, 0);
  run_healed(run);
  return true;
}

/* A crowd of one more that comes and goes, so that nodes subscribe and
 * unsubscribe; and the room's own subscribers must not notice. */
static bool flapping(struct run *run) {
  bool done = chatters_flap(run->chatters, 60, 20);
  run_healed(run);
  return done;
}

/* --- the rows --- */

#define ROW(id, ...)                                   \
  static void test_##id(void) {                        \
    static const struct run_plan plan = {__VA_ARGS__}; \
    run_row(&plan);                                    \
  }

static const char *const short_drain[] = {"--drain-time", "2", NULL};
static const char *const short_lease[] = {"--hold", "2", "--lease", "4", NULL};

ROW(nothing, .name = "none", .fault = nothing, .limit_ms = 200)
ROW(stopped, .name = "Redis stopped for 3 s (SIGSTOP)", .fault = stopped,
    .limit_ms = RECOVER_MS)
ROW(with_data, .name = "Redis killed, restarted with its data",
    .fault = killed_with_data, .redis_args = with_data, .limit_ms = RECOVER_MS)
ROW(without_data, .name = "Redis killed, restarted without its data",
    .fault = killed_without_data, .redis_args = without_data,
    .limit_ms = RECOVER_MS, .may_diverge = true)
ROW(truncated, .name = "Redis killed, the end of its file lost",
    .fault = file_truncated, .redis_args = with_data, .limit_ms = RECOVER_MS,
    .may_diverge = true)
ROW(cut, .name = "all connections to Redis cut (CLIENT KILL)",
    .fault = connections_cut, .limit_ms = RECOVER_MS)
ROW(firewall, .name = "Redis behind a firewall that drops, 5 s",
    .fault = firewalled, .limit_ms = SILENT_MS)
ROW(oom, .name = "Redis out of memory for 2 s", .fault = out_of_memory,
    .limit_ms = RECOVER_MS)
/* Refused while there is no generation, and overtaken by one behind the beat
 * that makes it: a few may fail with certainty (docs/rules.md, row 30). */
ROW(evicted, .name = "log, meta and generation keys deleted",
    .fault = keys_evicted, .limit_ms = RECOVER_MS, .may_diverge = true,
    .may_fail = 10)
/* Its clients' backlog of 5 MB comes behind the repair, 64 KiB at a time: as
 * fast as this program reads. */
ROW(repair, .name = "a node over its output buffer limit: 10 MB to repair",
    .fault = buffer_overflow, .redis_args = small_buffer, .pad = 20000,
    .clients = 6, .limit_ms = RECOVER_MS * 15)
ROW(failover, .name = "Sentinel failover", .fault = failover,
    .redis = RUN_REPLICAS, .may_diverge = true, .limit_ms = FAILOVER_MS)
ROW(late, .name = "failover to a replica that missed writes",
    .fault = late_replica, .redis = RUN_REPLICAS, .may_diverge = true,
    .limit_ms = FAILOVER_MS)
ROW(killed, .name = "a node killed (history counts)", .fault = node_killed,
    .history = true, .limit_ms = RECOVER_MS)
ROW(terminated, .name = "a node terminated (history counts)",
    .fault = node_terminated, .history = true, .may_fail = UINT_MAX,
    .limit_ms = RECOVER_MS)
/* A history of 256 messages must hold what a client misses at most. */
ROW(rolling, .name = "rolling restart of all nodes (history counts)",
    .fault = rolling_restart, .history = true, .node_args = short_drain,
    .rate = 256 * 1000 / AWAY_MS, .may_fail = UINT_MAX, .limit_ms = RECOVER_MS,
    .away_ms = AWAY_MS)
ROW(fenced, .name = "a node stopped past its lease", .fault = node_fenced,
    .history = true, .node_args = short_lease, .limit_ms = RECOVER_MS)
ROW(flapping, .name = "clients that come and go", .fault = flapping,
    .limit_ms = 500)

ROW(shard_stopped, .name = "one of three Redis stopped for 4 s, not the room's",
    .fault = shard_stopped, .redis = RUN_LIST, .limit_ms = 200,
    .way_ms = QUIET_MS)
ROW(shard_killed, .name = "one of three Redis emptied, not the room's",
    .fault = shard_killed, .redis = RUN_LIST, .limit_ms = 200,
    .way_ms = QUIET_MS)
ROW(handover, .name = "Redis Cluster: CLUSTER FAILOVER",
    .fault = master_hands_over, .redis = RUN_SLOTS, .limit_ms = RECOVER_MS)
ROW(reshard, .name = "Redis Cluster: a third of the slots resharded",
    .fault = slots_resharded, .redis = RUN_SLOTS, .limit_ms = RECOVER_MS)
ROW(half, .name = "Redis Cluster: the room's slot half moved for 2 s",
    .fault = slot_half_moved, .redis = RUN_SLOTS, .limit_ms = RECOVER_MS)
ROW(master, .name = "Redis Cluster: master killed, failover",
    .fault = master_killed, .redis = RUN_SLOTS, .may_diverge = true,
    .limit_ms = FAILOVER_MS)
ROW(paused, .name = "Redis Cluster: master stopped for 4 s, failover",
    .fault = master_stopped, .redis = RUN_SLOTS, .may_diverge = true,
    .limit_ms = FAILOVER_MS)
ROW(takeover, .name = "Redis Cluster: a replica that missed writes takes over",
    .fault = replica_takes_over, .may_fail = 10, .redis = RUN_SLOTS,
    .may_diverge = true, .limit_ms = FAILOVER_MS)

ROW(cut_off, .name = "Redis Cluster: master behind a firewall that drops, 5 s",
    .fault = master_firewalled, .redis = RUN_SLOTS, .limit_ms = SILENT_MS)

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"none", test_nothing},
                         {"stopped", test_stopped},
                         {"with data", test_with_data},
                         {"without data", test_without_data},
                         {"truncated", test_truncated},
                         {"cut", test_cut},
                         {"out of memory", test_oom},
                         {"evicted", test_evicted},
                         {"repair", test_repair},
                         {"failover", test_failover},
                         {"late replica", test_late},
                         {"node killed", test_killed},
                         {"node terminated", test_terminated},
                         {"rolling restart", test_rolling},
                         {"node fenced", test_fenced},
                         {"flapping", test_flapping},
                         {"shard stopped", test_shard_stopped},
                         {"shard emptied", test_shard_killed},
                         {"handed over", test_handover},
                         {"resharded", test_reshard},
                         {"half moved", test_half},
                         {"master killed", test_master},
                         {"master stopped", test_paused},
                         {"taken over", test_takeover},
                         {"firewall", test_firewall}, /* the last two */
                         {"master cut off", test_cut_off},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"faults", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  /* The others run wherever there is loopback; these want it to themselves. */
  if (!getenv("WWR_IN_NETNS")) {
    tests[sizeof tests / sizeof *tests - 3] = (CU_TestInfo)CU_TEST_INFO_NULL;
  }
  int status = test_run(argc, argv, suites);
  run_print();
  return status;
}
