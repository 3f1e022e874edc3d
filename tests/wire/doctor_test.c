/* webwire doctor on a real cluster behind a real HAProxy: nothing is wrong with
 * one that is right, and each thing that was made wrong is found. */
#include "admin.h"
#include "cluster.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 2 };

static struct cluster *cluster;
static struct wire_dir dir;
static char admins[NODES][64], url[64], redis_url[64], token_file[96];
static char out[1 << 15];

/* --- The patient ---------------------------------------------------------- */

static bool open_cluster(void) {
  static const char *const args[] = {"--admin", "127.0.0.1:0",
                                     "--admin-token-file", token_file, NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/webwired", .nodes = NODES, .args = args};
  snprintf(token_file, sizeof token_file, "%s", wire_path(&dir, "token"));
  if (!wire_write_file(token_file, ADMIN_TOKEN)) return false;
  if (setenv("WEBWIRED_SERVER_PING_INTERVAL", "2", 1) != 0) return false;
  cluster = cluster_open(&opts);
  return cluster != NULL;
}

static int begin(void) {
  if (!wire_dir_make(&dir) || !open_cluster()) return 1;
  for (int i = 0; i < NODES; i++) {
    snprintf(admins[i], sizeof admins[i], "http://127.0.0.1:%u",
             admin_port_logged(cluster_log(cluster, i)));
  }
  snprintf(url, sizeof url, "ws://127.0.0.1:%u",
           cluster_port(cluster, CLUSTER_HAPROXY));
  snprintf(redis_url, sizeof redis_url, "redis://127.0.0.1:%u",
           cluster_port(cluster, CLUSTER_REDIS));
  return 0;
}

static int end(void) {
  int status = cluster_close(cluster);
  wire_dir_remove(&dir);
  return status;
}

/* HAProxy with another idle time-out. */
static void set_tunnel(const char *text) {
  cluster_kill(cluster, CLUSTER_HAPROXY);
  CU_ASSERT_EQUAL_FATAL(setenv("WEBWIRE_TUNNEL", text, 1), 0);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_HAPROXY));
  for (int i = 0; i < NODES; i++)
    CU_ASSERT_TRUE_FATAL(cluster_wait_balanced(cluster, i, true));
}

/* --- The doctor ----------------------------------------------------------- */

static struct proc *begin_to_examine(const char *where, const char *idle) {
  const char *const args[] = {"--admin",      admins[0],  "--admin", admins[1],
                              "--token-file", token_file, "--redis", redis_url,
                              "--url",        where,      "--idle",  idle,
                              "doctor",       NULL};
  struct proc *proc = wire_program("webwire", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  return proc;
}

/* Its exit status, with what it found in `out`. */
static int read_findings(struct proc *proc) {
  int status = proc_wait_exit(proc, WIRE_MS);
  char *text = proc_output(proc, PROC_STDOUT);
  snprintf(out, sizeof out, "%s", text ? text : "");
  free(text);
  proc_free(proc);
  return status;
}

static int examine(const char *where, const char *idle) {
  return read_findings(begin_to_examine(where, idle));
}

/* A finding, and what is said about it. */
static bool found(const char *finding, const char *what, const char *advice) {
  char begin_of_line[96];
  snprintf(begin_of_line, sizeof begin_of_line, "%-8s %s: ", finding, what);
  const char *at = strstr(out, begin_of_line);
  if (at && (!advice || strstr(at, advice))) return true;
  fprintf(stderr, "no \"%s\" in:\n%s\n", begin_of_line, out);
  return false;
}

static void all_is_well(void) {
  CU_ASSERT_EQUAL(examine(url, "5"), 0);
  CU_ASSERT_TRUE(found("ok", "live", NULL) && found("ok", "ready", NULL));
  CU_ASSERT_TRUE(found("ok", "clock", NULL));
  CU_ASSERT_TRUE(found("ok", "versions", "2 nodes run"));
  CU_ASSERT_TRUE(found("ok", "redis kind", "a master"));
  CU_ASSERT_TRUE(found("ok", "redis eviction", "noeviction"));
  CU_ASSERT_TRUE(found("warning", "redis buffers", "pubsub 268435456"));
  CU_ASSERT_TRUE(found("ok", "redis clock", NULL));
  CU_ASSERT_TRUE(found("ok", "upgrade", url));
  CU_ASSERT_TRUE(found("ok", "protocol", "speaks webwire-channels/1"));
  CU_ASSERT_TRUE(found("ok", "close codes", "1000"));
  CU_ASSERT_TRUE(found("ok", "idle time-out", "pings came"));
  CU_ASSERT_TRUE(found("ok", "slow consumers", "0 connections"));
  CU_ASSERT_TRUE(found("ok", "messages", "0 gaps"));
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n0 problems, "));
}

/* Shorter than the time between two pings, and long enough for everything else
 * that the doctor does there. */
static void idle_time_out(void) {
  set_tunnel("1s");
  CU_ASSERT_EQUAL(examine(url, "3.5"), 1);
  CU_ASSERT_TRUE(found("problem", "idle time-out", "timeout tunnel"));
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n1 problems, "));
  set_tunnel("75s");
}

static void redis_settings(void) {
  CU_ASSERT_TRUE(cluster_redis(cluster, "CONFIG SET maxmemory 100mb", NULL, 0));
  CU_ASSERT_TRUE(cluster_redis(
      cluster, "CONFIG SET maxmemory-policy allkeys-lru", NULL, 0));
  CU_ASSERT_EQUAL(examine(url, "0"), 1);
  CU_ASSERT_TRUE(found("problem", "redis eviction", "noeviction"));
  CU_ASSERT_TRUE(found("skipped", "idle time-out", NULL));
  CU_ASSERT_TRUE(cluster_redis(
      cluster, "CONFIG SET maxmemory-policy noeviction", NULL, 0));
}

/* --- What happens while he looks ------------------------------------------ */

/* Of the first node: it asks for nothing more than its subscription. */
static struct rawws *open_slow_reader(void) {
  struct rawws_message got;
  const struct rawws_opts opts = {.port = cluster_port(cluster, 0),
                                  .receive_buffer = 4096};
  struct rawws *ws = rawws_dial(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL_FATAL(rawws_upgrade(ws, NULL), 101);
  CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_TRUE_FATAL(wire_request(ws, "sub:slow", NULL));
  CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  return ws;
}

static bool somebody_was_cut_off(uint16_t admin) {
  static struct admin_answer answer;
  return admin_probe(admin, "/metrics", &answer) == 200 &&
         strstr(answer.body, "\nwebwire_slow_consumers_total 1\n");
}

/* Until it has more than the kernel and the node keep for it. */
static bool cut_off(uint16_t admin) {
  static char body[60000];
  static struct admin_answer answer;
  size_t len = (size_t)snprintf(body, sizeof body, "{\"payload\":\"");
  memset(body + len, 'x', sizeof body - len);
  memcpy(body + sizeof body - 3, "\"}", 3);
  for (int i = 0; i < 1000; i++) {
    if (admin_ask(admin, "POST", "/api/v1/channels/slow/messages", body,
                  &answer) != 200)
      break;
    if (somebody_was_cut_off(admin)) return true;
  }
  fprintf(stderr, "publish: %s\n", answer.body);
  return false;
}

/* The doctor is stopped while it happens, so that it does in his time. */
static void a_slow_consumer(void) {
  struct rawws *slow = open_slow_reader();
  struct proc *doctor = begin_to_examine(url, "2.5");
  CU_ASSERT_TRUE_FATAL(
      proc_wait_line(doctor, PROC_STDOUT, "ok       live", WIRE_MS, NULL, 0));
  CU_ASSERT_TRUE(proc_signal(doctor, SIGSTOP));
  CU_ASSERT_TRUE(cut_off(admin_port_logged(cluster_log(cluster, 0))));
  CU_ASSERT_TRUE(proc_signal(doctor, SIGCONT));
  read_findings(doctor);
  CU_ASSERT_TRUE(found("warning", "slow consumers", "max-queued"));
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "s 1 connections were cut off, 1 since"));
  rawws_free(slow);
  /* It was before that: no matter. */
  (void)examine(url, "0");
  CU_ASSERT_TRUE(found("ok", "slow consumers", NULL));
  CU_ASSERT_PTR_NOT_NULL(strstr(out, "s 0 connections were cut off, 1 since"));
  CU_ASSERT_PTR_NULL(strstr(out, "warning  slow"));
}

/* Not where clients connect. */
static void wrong_address(void) {
  char where[64];
  snprintf(where, sizeof where, "ws%s", admins[0] + strlen("http"));
  CU_ASSERT_EQUAL(examine(where, "0"), 1);
  CU_ASSERT_TRUE(found("problem", "upgrade", "404"));
  CU_ASSERT_EQUAL(examine("ws://127.0.0.1:1", "0"), 1);
  CU_ASSERT_TRUE(found("problem", "upgrade", "does anything listen there"));
  CU_ASSERT_EQUAL(examine("nowhere", "0"), 1);
  CU_ASSERT_TRUE(found("problem", "upgrade", "no ws:// or wss:// URL"));
}

/* The last: the nodes stay down. */
static void nodes_down(void) {
  cluster_kill(cluster, 1);
  CU_ASSERT_EQUAL(examine(url, "0"), 1);
  CU_ASSERT_TRUE(found("problem", "live", admins[1]));
  cluster_kill(cluster, 0);
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 0, false));
  CU_ASSERT_TRUE(cluster_wait_balanced(cluster, 1, false));
  CU_ASSERT_EQUAL(examine(url, "0"), 1);
  CU_ASSERT_TRUE(found("problem", "upgrade", "503"));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"all is well", all_is_well},
                         {"idle time-out", idle_time_out},
                         {"redis settings", redis_settings},
                         {"wrong address", wrong_address},
                         {"a slow consumer", a_slow_consumer},
                         {"nodes down", nodes_down},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"doctor", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
