/* What webwire doctor says of Redis, by every kind of URL. No node runs. */
#include "cert.h"
#include "redis_cluster_fixture.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static struct redis_server servers[2];
static struct redis_cluster redis_cluster;
static char out[1 << 15];

static int begin(void) {
  static const char *const args[] = {"--client-output-buffer-limit",
                                     "pubsub 64mb 16mb 60", NULL};
  bool good = true;
  for (int i = 0; i < 2; i++) {
    redis_init(&servers[i], args);
    good = redis_start(&servers[i]) && good;
  }
  return good ? 0 : 1;
}

static int end(void) {
  for (int i = 0; i < 2; i++) redis_remove(&servers[i]);
  return 0;
}

/* Where nodes and clients are looked for there is nothing. */
static void examine(const char *redis) {
  const char *const args[] = {"--admin", "http://127.0.0.1:1",
                              "--url",   "ws://127.0.0.1:1",
                              "--idle",  "0",
                              "--redis", redis,
                              "doctor",  NULL};
  struct proc *proc = wire_program("webwire", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), 1);
  char *text = proc_output(proc, PROC_STDOUT);
  snprintf(out, sizeof out, "%s", text ? text : "");
  free(text);
  proc_free(proc);
}

/* The number of findings that begin so. */
static int found(const char *finding, const char *what, const char *text) {
  char line[400];
  int count = 0;
  snprintf(line, sizeof line, "%-8s %s: %s", finding, what, text);
  for (const char *at = out; (at = strstr(at, line)); at++) count++;
  return count;
}

static void a_list(void) {
  char urls[128], text[64];
  snprintf(urls, sizeof urls, "redis://127.0.0.1:%u redis://127.0.0.1:%u/1",
           servers[0].port, servers[1].port);
  examine(urls);
  for (int i = 0; i < 2; i++) {
    snprintf(text, sizeof text, "127.0.0.1:%u: a master", servers[i].port);
    CU_ASSERT_EQUAL(found("ok", "redis kind", text), 1);
    snprintf(text, sizeof text, "127.0.0.1:%u: pubsub: 6", servers[i].port);
    CU_ASSERT_EQUAL(found("warning", "redis buffers", text), 1);
  }
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
  CU_ASSERT_EQUAL(found("problem", "redis list", ""), 0);
}

static void a_list_with_mistakes(void) {
  char urls[200], text[80];
  snprintf(urls, sizeof urls,
           "redis://127.0.0.1:%u redis://127.1:%u redis://127.0.0.1:1",
           servers[0].port, servers[0].port);
  examine(urls);
  CU_ASSERT_EQUAL(found("problem", "redis list", "1 and 2 of the list"), 1);
  CU_ASSERT_EQUAL(found("problem", "redis", "127.0.0.1:1: Conn"), 1);
  snprintf(text, sizeof text, "REPLICAOF 127.0.0.1 %u", servers[0].port);
  CU_ASSERT_TRUE_FATAL(redis_run(&servers[1], text, NULL, 0));
  snprintf(urls, sizeof urls, "redis://127.0.0.1:%u redis://:s@127.0.0.1:%u",
           servers[1].port, servers[0].port);
  examine(urls);
  snprintf(text, sizeof text, "127.0.0.1:%u: it is a replica", servers[1].port);
  CU_ASSERT_EQUAL(found("problem", "redis kind", text), 1);
  snprintf(text, sizeof text, "127.0.0.1:%u: AUTH was refused",
           servers[0].port);
  CU_ASSERT_EQUAL(found("problem", "redis", text), 1);
  CU_ASSERT_TRUE(redis_run(&servers[1], "REPLICAOF NO ONE", NULL, 0));
  examine("redis://h nonsense");
  CU_ASSERT_EQUAL(found("problem", "redis", "--redis: URL 2 of 2: "), 1);
}

static void a_redis_cluster(void) {
  char text[80];
  if (!redis_cluster_start(&redis_cluster, 3, 0, NULL))
    CU_FAIL_FATAL("no Redis Cluster");
  examine(redis_cluster.url);
  CU_ASSERT_EQUAL(found("ok", "redis slots", "all have a master, of 3"), 1);
  CU_ASSERT_EQUAL(found("ok", "redis balance", "21 to 22 of 64"), 1);
  CU_ASSERT_EQUAL(found("warning", "redis replicas", ""), 3);
  for (int i = 0; i < 3; i++) {
    snprintf(text, sizeof text, "127.0.0.1:%u: a master of a Redis Cluster",
             redis_cluster.servers[i].port);
    CU_ASSERT_EQUAL(found("ok", "redis kind", text), 1);
  }
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
  /* By the wrong kind of URL, both ways. */
  snprintf(text, sizeof text, "redis://127.0.0.1:%u",
           redis_cluster.servers[0].port);
  examine(text);
  CU_ASSERT_EQUAL(found("problem", "redis kind", "it is a node of a Redis"), 1);
  snprintf(text, sizeof text, "redis+cluster://127.0.0.1:%u", servers[0].port);
  examine(text);
  CU_ASSERT_EQUAL(found("problem", "redis kind", "127.0.0.1:"), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "is it a Redis Cluster?"));
  /* Nodes pass over such a one, and over one that is not there. */
  snprintf(text, sizeof text,
           "redis+cluster://127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%u",
           servers[0].port, redis_cluster.servers[0].port);
  examine(text);
  CU_ASSERT_EQUAL(found("ok", "redis slots", "all have a master, of 3"), 1);
}

/* Told to name themselves by host names, which they don't have: "?", and the
 * address elsewhere in the answer. */
static void a_redis_cluster_without_names(void) {
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(redis_run(
        &redis_cluster.servers[i],
        "CONFIG SET cluster-preferred-endpoint-type hostname", NULL, 0));
  }
  examine(redis_cluster.url);
  CU_ASSERT_EQUAL(found("ok", "redis slots", "all have a master, of 3"), 1);
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
}

/* Half of it is gone; the others know only after their time-out. */
static void a_broken_redis_cluster(void) {
  CU_ASSERT_TRUE(redis_run(&redis_cluster.servers[0],
                           "CLUSTER DELSLOTSRANGE 0 99", NULL, 0));
  CU_ASSERT_TRUE(redis_run(&redis_cluster.servers[1],
                           "CONFIG SET cluster-node-timeout 15000", NULL, 0));
  char url[64];
  snprintf(url, sizeof url, "redis+cluster://127.0.0.1:%u",
           redis_cluster.servers[0].port);
  examine(url);
  CU_ASSERT_EQUAL(found("problem", "redis slots", "100 of 16384"), 1);
  CU_ASSERT_EQUAL(found("warning", "redis failover", "127.0.0.1:"), 1);
  redis_kill(&redis_cluster.servers[2]);
  examine(url);
  CU_ASSERT_EQUAL(found("problem", "redis", "127.0.0.1:"), 1);
  redis_cluster_remove(&redis_cluster);
}

/* --- TLS ------------------------------------------------------------------ */

enum { MASTER, REPLICA, FIRST_SENTINEL, TLS_SERVERS = FIRST_SENTINEL + 3 };

/* For so long a server may stand still and be the master for all that. */
enum { DOWN_MS = 3000 };

static struct test_authority cert, stranger;
static struct redis_server tls[TLS_SERVERS];
static char files[TLS_SERVERS][128], sentinel_url[600];

static void start_tls(int index, const char *master_port) {
  struct redis_server *it = &tls[index];
  const char *const args[] = {"--tls-port",
                              it->port_text,
                              "--port",
                              "0",
                              "--tls-cert-file",
                              cert.cert_file,
                              "--tls-key-file",
                              cert.key_file,
                              "--tls-ca-cert-file",
                              cert.ca_file,
                              "--tls-auth-clients",
                              "optional",
                              "--tls-replication",
                              "yes",
                              "--repl-diskless-sync-delay",
                              "0",
                              "--client-output-buffer-limit",
                              "pubsub 64mb 16mb 60",
                              "--requirepass",
                              "s3cret",
                              "--masterauth",
                              "s3cret",
                              master_port ? "--replicaof" : NULL,
                              "127.0.0.1",
                              master_port,
                              NULL};
  redis_init(it, args);
  if (index == MASTER)
    CU_ASSERT_TRUE_FATAL(
        test_authority_make(&cert, it->dir, "own", "IP:127.0.0.1") &&
        test_authority_make(&stranger, it->dir, "strange", "IP:127.0.0.1"));
  CU_ASSERT_TRUE_FATAL(redis_start(it));
}

static void tls_to_one(void) {
  char url[400], text[120];
  start_tls(MASTER, NULL);
  snprintf(url, sizeof url, "rediss://:s3cret@127.0.0.1:%u?ca_file=%s",
           tls[MASTER].port, cert.ca_file);
  examine(url);
  CU_ASSERT_EQUAL(found("ok", "redis kind", "a master"), 1);
  CU_ASSERT_EQUAL(found("warning", "redis buffers", "pubsub: 6"), 1);
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
  snprintf(url, sizeof url, "rediss://127.0.0.1:%u?ca_file=%s",
           tls[MASTER].port, cert.ca_file);
  examine(url);
  CU_ASSERT_EQUAL(found("problem", "redis", "NOAUTH"), 1);
  snprintf(url, sizeof url, "rediss://:s3cret@127.0.0.1:%u?ca_file=%s",
           tls[MASTER].port, stranger.ca_file);
  examine(url);
  snprintf(text, sizeof text, "127.0.0.1:%u: ", tls[MASTER].port);
  CU_ASSERT_EQUAL(found("problem", "redis", text), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "certificate"));
  CU_ASSERT_PTR_NULL(strstr(out, "s3cret"));
  /* Plain, where TLS is spoken. */
  snprintf(url, sizeof url, "redis://127.0.0.1:%u", tls[MASTER].port);
  examine(url);
  CU_ASSERT_EQUAL(found("problem", "redis", text), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "rediss://"));
  redis_remove(&tls[MASTER]);
}

/* --- Sentinel, over TLS --------------------------------------------------- */

static void write_sentinel(int index, unsigned master, unsigned down_ms) {
  const struct redis_server *it = &tls[index];
  char text[1200];
  snprintf(text, sizeof text,
           "port 0\ntls-port %u\nbind 127.0.0.1\ndir %s\n"
           "tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\n"
           "tls-auth-clients optional\ntls-replication yes\n"
           "sentinel monitor mymaster 127.0.0.1 %u 2\n"
           "sentinel auth-pass mymaster s3cret\n"
           "sentinel down-after-milliseconds mymaster %u\n",
           it->port, it->dir, cert.cert_file, cert.key_file, cert.ca_file,
           master, down_ms);
  CU_ASSERT_TRUE_FATAL(wire_write_file(files[index], text));
}

static void start_group(void) {
  start_tls(MASTER, NULL);
  start_tls(REPLICA, tls[MASTER].port_text);
  for (int i = FIRST_SENTINEL; i < TLS_SERVERS; i++) {
    const char *const args[] = {files[i], "--sentinel", NULL};
    redis_init(&tls[i], args);
    tls[i].sentinel = true;
    snprintf(files[i], sizeof files[i], "%s/s.conf", tls[i].dir);
    write_sentinel(i, tls[MASTER].port, DOWN_MS);
    CU_ASSERT_TRUE_FATAL(redis_start(&tls[i]));
  }
}

static void name_sentinels(int first, const char *master) {
  unsigned ports[3];
  for (int i = 0; i < 3; i++)
    ports[i] = tls[FIRST_SENTINEL + (first + i) % 3].port;
  snprintf(sentinel_url, sizeof sentinel_url,
           "rediss+sentinel://:s3cret@127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/"
           "%s?ca_file=%s",
           ports[0], ports[1], ports[2], master, cert.ca_file);
}

/* Sentinels hear of each other, and notice, in their own time. */
static bool examine_until(const char *finding, const char *what,
                          const char *text) {
  for (int i = 0; i < 200; i++) {
    examine(sentinel_url);
    if (found(finding, what, text) == 1) return true;
    proc_wait_exit(tls[MASTER].proc, 100);
  }
  return false;
}

static void sentinels(void) {
  char text[120];
  start_group();
  name_sentinels(0, "mymaster");
  snprintf(text, sizeof text, "127.0.0.1:%u: OK 3 usable",
           tls[FIRST_SENTINEL].port);
  CU_ASSERT_TRUE(examine_until("ok", "redis quorum", text));
  CU_ASSERT_EQUAL(found("ok", "redis kind", "a master"), 1);
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
  CU_ASSERT_PTR_NULL(strstr(out, "redis sentinel"));
  CU_ASSERT_PTR_NULL(strstr(out, "redis failover"));
  name_sentinels(0, "other");
  examine(sentinel_url);
  snprintf(text, sizeof text, "127.0.0.1:%u: it knows no master other",
           tls[FIRST_SENTINEL].port);
  CU_ASSERT_EQUAL(found("problem", "redis sentinel", text), 1);
}

static void sentinels_that_are_away(void) {
  char text[120];
  name_sentinels(0, "mymaster");
  for (int i = 1; i < 3; i++) redis_kill(&tls[FIRST_SENTINEL + i]);
  snprintf(text, sizeof text, "127.0.0.1:%u: NOQUORUM",
           tls[FIRST_SENTINEL].port);
  CU_ASSERT_TRUE(examine_until("problem", "redis quorum", text));
  for (int i = 1; i < 3; i++) {
    snprintf(text, sizeof text, "127.0.0.1:%u: ", tls[FIRST_SENTINEL + i].port);
    CU_ASSERT_EQUAL(found("warning", "redis sentinel", text), 1);
  }
}

/* With the file it is given it knows no other, nor is known to one that starts
 * so: sentinels greet whom they know, and are known then. */
static void start_alone(int index, unsigned master, unsigned down_ms) {
  redis_kill(&tls[index]);
  write_sentinel(index, master, down_ms);
  CU_ASSERT_TRUE_FATAL(redis_start(&tls[index]));
}

/* One that watches something else, alone, and is asked first. */
static void a_sentinel_of_another_group(void) {
  char text[120];
  start_alone(FIRST_SENTINEL, tls[MASTER].port, DOWN_MS);
  start_alone(FIRST_SENTINEL + 1, 1, 30000);
  name_sentinels(1, "mymaster");
  examine(sentinel_url);
  snprintf(text, sizeof text, "127.0.0.1:%u: the master is 127.0.0.1:%u",
           tls[FIRST_SENTINEL].port, tls[MASTER].port);
  CU_ASSERT_EQUAL(found("problem", "redis sentinel", text), 1);
  CU_ASSERT_EQUAL(found("warning", "redis sentinels", "1"), 1);
  CU_ASSERT_EQUAL(found("warning", "redis replicas", "the master has"), 1);
  CU_ASSERT_EQUAL(found("warning", "redis failover", "down-after-m"), 1);
  for (int i = 0; i < TLS_SERVERS; i++) redis_remove(&tls[i]);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"a list", a_list},
      {"a list with mistakes", a_list_with_mistakes},
      {"a Redis Cluster", a_redis_cluster},
      {"a Redis Cluster without names", a_redis_cluster_without_names},
      {"a broken Redis Cluster", a_broken_redis_cluster},
      {"TLS", tls_to_one},
      {"Sentinel", sentinels},
      {"sentinels that are away", sentinels_that_are_away},
      {"another group", a_sentinel_of_another_group},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"doctor of Redis", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
