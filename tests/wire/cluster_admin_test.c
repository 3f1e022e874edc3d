/* The admin listeners of two nodes on one Redis: what is asked of the one is
 * true and done on the other. */
#include "admin.h"
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 2 };

static struct cluster *cluster;
static struct wire_dir dir;
static uint16_t ports[NODES];
static struct admin_answer answer;

static bool open_cluster(void) {
  static const char *args[] = {
      "--admin", "127.0.0.1:0",        "--hold", "1", "--read-timeout",
      "60",      "--admin-token-file", NULL,     NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server",
      .nodes = NODES,
      .args = args,
      .no_haproxy = true};
  args[7] = strdup(wire_path(&dir, "token"));
  if (!args[7] || !wire_write_file(args[7], ADMIN_TOKEN)) return false;
  cluster = cluster_open(&opts);
  return cluster != NULL;
}

static void note_ports(void) {
  for (int i = 0; i < NODES; i++) {
    ports[i] = admin_port_logged(cluster_log(cluster, i));
  }
}

static int begin(void) {
  if (!wire_dir_make(&dir) || !open_cluster()) return 1;
  note_ports();
  return ports[0] && ports[1] ? 0 : 1;
}

static int end(void) {
  wire_dir_remove(&dir);
  return cluster_close(cluster);
}

static struct rawws *client(int node) {
  struct rawws *ws = wire_open(cluster_port(cluster, node));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

static int get(int node, const char *path) {
  return admin_ask(ports[node], "GET", path, NULL, &answer);
}

/* A node's name, as it says itself. */
static void name_of(int node, char name[64]) {
  *name = '\0';
  if (get(node, "/api/v1/node") != 200) return;
  const char *at = strstr(answer.body, "\"name\":\"");
  if (at) sscanf(at + 8, "%63[^\"]", name);
}

static void nodes_know_each_other(void) {
  char names[NODES][64];
  for (int i = 0; i < NODES; i++) name_of(i, names[i]);
  CU_ASSERT_TRUE(*names[0] && *names[1] && strcmp(names[0], names[1]) != 0);
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_EQUAL(get(i, "/api/v1/nodes"), 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, names[0]));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, names[1]));
  }
}

/* One Redis is a shard, which is ready and named without a password. */
static void redis_is_a_shard(void) {
  char address[64];
  snprintf(address, sizeof address, "\"address\":\"127.0.0.1:%u\"",
           cluster_port(cluster, CLUSTER_REDIS));
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_EQUAL(get(i, "/api/v1/shards"), 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, address));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"health\":\"ready\""));
    CU_ASSERT_EQUAL(admin_number(&answer, "partitions"), 1);
    CU_ASSERT_PTR_NULL(strstr(answer.body, "\"slot\""));
    CU_ASSERT_EQUAL(admin_probe(ports[i], "/metrics", &answer), 200);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(answer.body, "\nwebwire_shard_ready{shard=\""));
  }
}

static void published_on_one_heard_on_the_other(void) {
  struct rawws *ws = client(1);
  CU_ASSERT_EQUAL(admin_ask(ports[0], "POST", "/api/v1/channels/room/messages",
                            "{\"payload\":\"hello\",\"name\":\"\"}", &answer),
                  200);
  long long epoch = admin_number(&answer, "epoch");
  CU_ASSERT_TRUE(epoch > 0);
  CU_ASSERT_TRUE(wire_expect_signal(ws, "hello"));
  CU_ASSERT_EQUAL(get(1, "/api/v1/channels/room/history?count=1"), 200);
  CU_ASSERT_EQUAL(admin_number(&answer, "epoch"), epoch);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"payload\":\"hello\""));
  rawws_free(ws);
}

/* A change on another node is seen within a second. */
static void subscribers_of_both(void) {
  struct rawws *one = client(0), *two = client(1);
  long long count = 0;
  int64_t deadline = wire_now_ms() + WIRE_MS;
  while (count != 2 && wire_now_ms() < deadline) {
    CU_ASSERT_EQUAL_FATAL(get(0, "/api/v1/channels/room"), 200);
    count = admin_number(&answer, "subscribers");
  }
  CU_ASSERT_EQUAL(count, 2);
  rawws_free(one);
  rawws_free(two);
}

static void a_session_is_closed_on_another_node(void) {
  char key[65], path[128], name[64];
  struct rawws *ws = client(1);
  CU_ASSERT_TRUE_FATAL(wire_log_in(ws, "Frodo", "frodo1234", key));
  name_of(1, name);
  snprintf(path, sizeof path, "/api/v1/sessions/%s", key);
  CU_ASSERT_EQUAL(get(0, path), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, name));
  CU_ASSERT_EQUAL(admin_ask(ports[0], "DELETE", path, NULL, &answer), 200);
  struct rawws_message got;
  do {
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  } while (got.payload[0] != SESSION_CLOSED);
  CU_ASSERT_EQUAL(get(0, path), 404);
  rawws_free(ws);
}

/* Readiness goes only after the hold time, liveness never; while the API waits
 * for Redis, probes don't. */
static void redis_goes_and_comes(void) {
  cluster_pause(cluster, CLUSTER_REDIS);
  CU_ASSERT_EQUAL(get(0, "/api/v1/channels/room/history"), 503);
  CU_ASSERT_TRUE(admin_wait_probe(ports[0], "/ready", 503));
  CU_ASSERT_EQUAL(admin_probe(ports[0], "/ready", &answer), 503);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "redis is away"));
  CU_ASSERT_EQUAL(admin_probe(ports[0], "/live", &answer), 200);
  CU_ASSERT_EQUAL(get(0, "/api/v1/node"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"health\":\"unready\""));
  CU_ASSERT_EQUAL(admin_ask(ports[0], "POST", "/api/v1/channels/room/messages",
                            "{\"payload\":\"x\"}", &answer),
                  503);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "certain"));
  cluster_resume(cluster, CLUSTER_REDIS);
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_TRUE(admin_wait_probe(ports[i], "/ready", 200));
  }
}

/* The process ends in the middle of a question to Redis. */
static void its_end_while_a_request_waits(void) {
  static const char text[] =
      "GET /api/v1/channels/room/history HTTP/1.1\r\nHost: a\r\n"
      "Authorization: Bearer " ADMIN_TOKEN "\r\n\r\n";
  const struct rawws_opts opts = {.port = ports[1]};
  cluster_pause(cluster, CLUSTER_REDIS);
  struct rawws *http = rawws_dial(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  CU_ASSERT_TRUE(rawws_write(http, text, sizeof text - 1));
  for (int i = 0; i < 2;
       i++) { /* who asks later is answered: it has been read */
    CU_ASSERT_EQUAL(admin_probe(ports[1], "/live", &answer), 200);
  }
  CU_ASSERT_EQUAL(cluster_stop(cluster, 1), 0);
  CU_ASSERT_EQUAL(rawws_read_answer(http), 503);
  rawws_free(http);
  cluster_resume(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(cluster_run(cluster, 1) &&
                 cluster_wait_health(cluster, 1, 200));
  note_ports();
}

static void a_node_drains_by_name(void) {
  char name[64], body[96];
  name_of(1, name);
  CU_ASSERT_TRUE_FATAL(*name);
  CU_ASSERT_TRUE(admin_wait_probe(ports[0], "/ready", 200));
  snprintf(body, sizeof body, "{\"node\":\"%s\"}", name);
  CU_ASSERT_EQUAL(admin_ask(ports[0], "POST", "/api/v1/drain", body, &answer),
                  202);
  CU_ASSERT_EQUAL(cluster_wait_exit(cluster, 1), 0);
  CU_ASSERT_EQUAL(admin_probe(ports[0], "/ready", &answer), 200);
  CU_ASSERT_TRUE(cluster_run(cluster, 1));
}

int main(int argc, char **argv) {
  if (!cluster_available()) return 77;
  CU_TestInfo tests[] = {
      {"nodes know each other", nodes_know_each_other},
      {"redis is a shard", redis_is_a_shard},
      {"published on one, heard on the other",
       published_on_one_heard_on_the_other},
      {"subscribers of both", subscribers_of_both},
      {"a session is closed on another node",
       a_session_is_closed_on_another_node},
      {"Redis goes and comes", redis_goes_and_comes},
      {"its end while a request waits", its_end_while_a_request_waits},
      {"a node drains by name", a_node_drains_by_name},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cluster_admin", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
