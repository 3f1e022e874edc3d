/* The cluster fixture, and servers behind HAProxy without Redis: connections
 * are spread, and a node that is killed, stopped or paused costs only its own.
 */
#include "cluster.h"
#include "wire.h"

#include <signal.h>

enum { NODES = 3, EACH = 4, CLIENTS = NODES * EACH };

static struct cluster *cluster;
static struct rawws *clients[CLIENTS];

static uint16_t front(void) {
  return cluster_port(cluster, CLUSTER_HAPROXY);
}

static bool echoes(struct rawws *ws) {
  return wire_request(ws, "", "there") &&
         wire_expect(ws, wire_with_id(REPLY_UTF8, "there", 5));
}

static void start(void) {
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/echo-server", .nodes = NODES, .no_redis = true};
  cluster = cluster_open(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = wire_open(front());
    CU_ASSERT_PTR_NOT_NULL_FATAL(clients[i]);
  }
}

static void stop(void) {
  for (int i = 0; i < CLIENTS; i++) {
    rawws_free(clients[i]);
    clients[i] = NULL;
  }
  CU_ASSERT_EQUAL(cluster_close(cluster), 0);
  cluster = NULL;
}

static void spread(void) {
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_EQUAL(cluster_balanced(cluster, i), EACH);
    CU_ASSERT_EQUAL(cluster_health(cluster, i), 200);
  }
  for (int i = 0; i < CLIENTS; i++) CU_ASSERT_TRUE(echoes(clients[i]));
}

/* The code with which a client was cut off, 0 when it was served. */
static int cut_off(struct rawws *ws) {
  if (echoes(ws)) return 0;
  int code = rawws_close_code(ws);
  return code ? code : rawws_expect_end(ws, WIRE_MS);
}

/* EACH clients are cut off, sooner or later, with this code, and find another
 * node at once; the others are served. */
static void expect_cut(int code) {
  int cut = 0;
  int64_t deadline = wire_now_ms() + WIRE_MS;
  while (cut < EACH && wire_now_ms() < deadline) {
    for (int i = 0; i < CLIENTS; i++) {
      int got = clients[i] ? cut_off(clients[i]) : 0;
      if (got == 0) continue;
      CU_ASSERT_EQUAL(got, code);
      rawws_free(clients[i]);
      clients[i] = NULL;
      cut++;
      struct rawws *again = wire_open(front());
      CU_ASSERT_PTR_NOT_NULL_FATAL(again);
      CU_ASSERT_TRUE(echoes(again));
      rawws_free(again);
    }
  }
  CU_ASSERT_EQUAL(cut, EACH);
}

static void killed(void) {
  cluster_kill(cluster, 1);
  CU_ASSERT_FALSE(cluster_runs(cluster, 1));
  expect_cut(1006);
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 1, false));
  CU_ASSERT_EQUAL(cluster_balanced(cluster, 1), 0);
  CU_ASSERT_TRUE(cluster_run(cluster, 1));
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 1, true));
  CU_ASSERT_EQUAL(cluster_logged(cluster, 1, "listening on ws://"), 2);
}

static void stopped(void) {
  cluster_signal(cluster, 2, SIGTERM);
  expect_cut(1001);
  CU_ASSERT_EQUAL(cluster_wait_exit(cluster, 2), 0);
}

static void paused(void) {
  cluster_pause(cluster, 0);
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 0, false));
  for (int i = 0; i < CLIENTS; i++) {
    struct rawws *more = wire_open(front());
    CU_ASSERT_PTR_NOT_NULL_FATAL(more);
    CU_ASSERT_TRUE(echoes(more));
    rawws_free(more);
  }
  cluster_resume(cluster, 0);
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 0, true));
  for (int i = 0; i < CLIENTS; i++) CU_ASSERT_TRUE(echoes(clients[i]));
}

static void drained(void) {
  CU_ASSERT_TRUE(
      cluster_haproxy(cluster, "set server nodes/node-0 state drain", NULL, 0));
  struct rawws *more[NODES];
  for (int i = 0; i < NODES; i++) {
    more[i] = wire_open(front());
    CU_ASSERT_PTR_NOT_NULL_FATAL(more[i]);
  }
  CU_ASSERT_EQUAL(cluster_balanced(cluster, 0), EACH);
  for (int i = 0; i < NODES; i++) rawws_free(more[i]);
  for (int i = 0; i < CLIENTS; i++) CU_ASSERT_TRUE(echoes(clients[i]));
}

/* --- Redis -------------------------------------------------------------- */

static void start_redis(void) {
  static const struct cluster_opts opts = {
      .program = "unused", .nodes = 1, .no_haproxy = true};
  cluster = cluster_new(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS));
}

static void redis_keeps_its_data(void) {
  char answer[64];
  CU_ASSERT_TRUE(cluster_redis(cluster, "SET key value", NULL, 0));
  cluster_kill(cluster, CLUSTER_REDIS);
  CU_ASSERT_FALSE(cluster_redis(cluster, "GET key", NULL, 0));
  CU_ASSERT_TRUE(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(cluster_redis(cluster, "GET key", answer, sizeof answer));
  CU_ASSERT_STRING_EQUAL(answer, "value");
  CU_ASSERT_EQUAL(cluster_stop(cluster, CLUSTER_REDIS), 0);
  cluster_redis_wipe(cluster);
  CU_ASSERT_TRUE(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(cluster_redis(cluster, "GET key", answer, sizeof answer));
  CU_ASSERT_STRING_EQUAL(answer, "");
}

int main(int argc, char **argv) {
  CU_TestInfo balancer[] = {{"spread", spread},   {"killed", killed},
                            {"stopped", stopped}, {"paused", paused},
                            {"drained", drained}, CU_TEST_INFO_NULL};
  CU_TestInfo redis[] = {{"keeps its data", redis_keeps_its_data},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"balancer", NULL, NULL, start, stop, balancer},
                           {"redis", NULL, NULL, start_redis, stop, redis},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
