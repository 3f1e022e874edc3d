/* What webwire doctor says of Redis, by every kind of URL. No node runs. */
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
    CU_ASSERT_EQUAL(found("ok", "redis buffers", text), 1);
  }
  CU_ASSERT_EQUAL(found("problem", "redis", ""), 0);
  CU_ASSERT_EQUAL(found("problem", "redis list", ""), 0);
}

static void a_list_with_mistakes(void) {
  char urls[200], text[80];
  snprintf(urls, sizeof urls,
           "redis://127.0.0.1:%u redis://localhost:%u redis://127.0.0.1:1",
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

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"a list", a_list},
                         {"a list with mistakes", a_list_with_mistakes},
                         {"a Redis Cluster", a_redis_cluster},
                         {"a broken Redis Cluster", a_broken_redis_cluster},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"doctor of Redis", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
