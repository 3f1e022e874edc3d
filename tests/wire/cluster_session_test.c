/* Sessions of a cluster: created on one node, known on all, closed with the
 * last connection on any; a client whose node is killed keeps its own. */
#include "cluster.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { NODES = 3 };

static struct cluster *cluster;

/* Raw clients are silent for longer than the chat room's three seconds. */
static int begin(void) {
  static const char *const args[] = {"--read-timeout", "60", NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server", .nodes = NODES, .args = args};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int begin_limited(void) {
  static const char *const args[] = {"--max-session-connections", "2",
                                     "--read-timeout", "60", NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server",
      .nodes = NODES,
      .args = args,
      .no_haproxy = true};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end(void) {
  return cluster_close(cluster);
}

static struct rawws *client(int node) {
  return wire_open(cluster_port(cluster, node));
}

/* The type of the answer to a restore, -1 without one; 192 is a success, and
 * then it must be Frodo's session with this key. */
static int restore(struct rawws *ws, const char *key) {
  struct rawws_message got;
  if (!wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) ||
      !wire_recv_answer(ws, &got) || got.len < 9)
    return -1;
  if (got.payload[0] != REPLY_UTF8) return got.payload[0];
  bool good = memmem(got.payload, got.len, key, strlen(key)) &&
              memmem(got.payload, got.len, "\"username\":\"Frodo\"", 18);
  return good ? REPLY_UTF8 : -1;
}

/* What other tests said before may come late to a node, so that signals may be
 * ahead of what is waited for everywhere here. */
static bool is_confirmed(struct rawws *ws) {
  struct rawws_message got;
  return wire_recv_answer(ws, &got) && got.len == 9 &&
         got.payload[0] == REPLY_BINARY;
}

static bool closes(struct rawws *ws) {
  return wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)) &&
         is_confirmed(ws);
}

/* What it says is heard by itself and by `other` under this name. */
static bool speaks_as(struct rawws *ws, struct rawws *other, const char *name) {
  char json[128];
  snprintf(json, sizeof json, "{\"user\":\"%s\",\"msg\":\"me\"}", name);
  return wire_request(ws, "msg", "me") && wire_await_signal(ws, json) &&
         is_confirmed(ws) && wire_await_signal(other, json);
}

static void the_name_follows(void) {
  char key[65];
  struct rawws *first = client(0), *second = client(1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_TRUE_FATAL(wire_log_in(first, "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(speaks_as(first, second, "Frodo"));
  CU_ASSERT_TRUE(speaks_as(second, first, "Anonymous"));
  rawws_reset(first);
  CU_ASSERT_EQUAL(restore(second, key), REPLY_UTF8);
  first = client(2);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_TRUE(speaks_as(second, first, "Frodo"));
  rawws_free(first);
  rawws_free(second);
}

static void the_last_connection_destroys(void) {
  char key[65];
  struct rawws *at[NODES];
  for (int i = 0; i < NODES; i++) {
    at[i] = client(i);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at[i]);
  }
  CU_ASSERT_TRUE_FATAL(wire_log_in(at[0], "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restore(at[1], key), REPLY_UTF8);
  CU_ASSERT_TRUE(closes(at[0]));
  CU_ASSERT_EQUAL(restore(at[2], key), REPLY_UTF8); /* node 1 has it still */
  CU_ASSERT_TRUE(closes(at[2]));
  CU_ASSERT_TRUE(speaks_as(at[1], at[0], "Frodo"));
  CU_ASSERT_TRUE(
      wire_await_signal(at[2], "{\"user\":\"Frodo\",\"msg\":\"me\"}"));
  CU_ASSERT_TRUE(closes(at[1]));
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_EQUAL(restore(at[i], key), REPLY_SESSION_NOT_FOUND);
    rawws_free(at[i]);
  }
}

/* Disconnecting is not closing, not even by the death of a node. */
static void survives_its_node(void) {
  char key[65];
  struct rawws *first = client(0), *second = client(1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_TRUE_FATAL(wire_log_in(first, "Frodo", "frodo1234", key));
  cluster_kill(cluster, 0);
  CU_ASSERT_EQUAL(rawws_expect_end(first, WIRE_MS), 1006);
  rawws_free(first);
  CU_ASSERT_EQUAL(restore(second, key), REPLY_UTF8);
  CU_ASSERT_TRUE(cluster_run(cluster, 0) &&
                 cluster_wait_health(cluster, 0, 200) &&
                 cluster_wait_balanced(cluster, 0, true));
  first = client(0);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_EQUAL(restore(first, key), REPLY_UTF8);
  CU_ASSERT_TRUE(speaks_as(first, second, "Frodo"));
  rawws_free(first);
  rawws_free(second);
}

/* The node that HAProxy gave the only client to, -1 when there is none. */
static int node_of_the_client(void) {
  for (int i = 0; i < NODES; i++) {
    if (cluster_balanced(cluster, i) == 1) return i;
  }
  return -1;
}

/* chatroom-client, logged in as Frodo through HAProxy; its node in *node. */
static struct proc *chatter(int *node) {
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%u",
           cluster_port(cluster, CLUSTER_HAPROXY));
  const char *const args[] = {url,      "--name",    "Frodo",
                              "--pass", "frodo1234", NULL};
  struct proc *program = wire_program("chatroom-client", args);
  /* What it says shows that its login was answered. */
  if (program && proc_write(program, "here\n") &&
      proc_wait_line(program, PROC_STDOUT, "Frodo: here", WIRE_MS, NULL, 0)) {
    *node = node_of_the_client();
    if (*node >= 0) return program;
  }
  proc_free(program);
  return NULL;
}

/* Its node goes: it is back by itself, by the same address, on another node,
 * with its session. */
static void comes_back_after(void (*go)(struct cluster *cluster, int node)) {
  int node = 0;
  struct proc *program = chatter(&node);
  CU_ASSERT_PTR_NOT_NULL_FATAL(program);
  struct rawws *witness = client((node + 1) % NODES);
  CU_ASSERT_PTR_NOT_NULL_FATAL(witness);
  go(cluster, node);
  CU_ASSERT_TRUE(
      proc_wait_line(program, PROC_STDERR, "* disconnected", WIRE_MS, NULL, 0));
  CU_ASSERT_TRUE(proc_write(program, "back\n"));
  CU_ASSERT_TRUE(
      proc_wait_line(program, PROC_STDOUT, "Frodo: back", WIRE_MS, NULL, 0));
  /* What was said before may come late to its node. */
  CU_ASSERT_TRUE(
      wire_await_signal(witness, "{\"user\":\"Frodo\",\"msg\":\"back\"}"));
  proc_close_stdin(program);
  CU_ASSERT_EQUAL(proc_wait_exit(program, WIRE_MS), 0);
  proc_free(program);
  rawws_free(witness);
  CU_ASSERT_TRUE(cluster_run(cluster, node) &&
                 cluster_wait_health(cluster, node, 200) &&
                 cluster_wait_balanced(cluster, node, true));
}

static void back_from_a_killed_node(void) {
  comes_back_after(cluster_kill);
}

static void stop_node(struct cluster *of, int node) {
  CU_ASSERT_EQUAL(cluster_stop(of, node), 0);
}

static void back_from_a_stopped_node(void) {
  comes_back_after(stop_node);
}

static void a_limit_of_connections(void) {
  enum { REPLY_MAX_SESSION_CONNECTIONS = 4 };
  char key[65];
  struct rawws *at[NODES];
  for (int i = 0; i < NODES; i++) {
    at[i] = client(i);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at[i]);
  }
  CU_ASSERT_TRUE_FATAL(wire_log_in(at[0], "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restore(at[1], key), REPLY_UTF8);
  CU_ASSERT_EQUAL(restore(at[2], key), REPLY_MAX_SESSION_CONNECTIONS);
  CU_ASSERT_TRUE(closes(at[1]));
  CU_ASSERT_EQUAL(restore(at[2], key), REPLY_UTF8);
  CU_ASSERT_EQUAL(restore(at[1], key), REPLY_MAX_SESSION_CONNECTIONS);
  for (int i = 0; i < NODES; i++) rawws_free(at[i]);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"the name follows", the_name_follows},
      {"the last connection destroys", the_last_connection_destroys},
      {"survives its node", survives_its_node},
      {"back from a killed node", back_from_a_killed_node},
      {"back from a stopped node", back_from_a_stopped_node},
      CU_TEST_INFO_NULL};
  CU_TestInfo limited[] = {{"a limit of connections", a_limit_of_connections},
                           CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"sessions", begin, end, NULL, NULL, tests},
      {"limited sessions", begin_limited, end, NULL, NULL, limited},
      CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
