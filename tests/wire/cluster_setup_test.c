/* How nodes join: with a Redis that comes later, or goes; with settings that
 * disagree; with a password. */
#include "cluster.h"
#include "wire.h"

#include <signal.h>
#include <string.h>

static struct cluster *cluster;

static void make(const struct cluster_opts *opts) {
  cluster = cluster_new(opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
}

static void stop(void) {
  CU_ASSERT_EQUAL(cluster_close(cluster), 0);
  cluster = NULL;
}

static bool launch(int node) {
  return cluster_run(cluster, node);
}

/* The whole answer to OPTIONS has this text. */
static bool tells(int node, const char *text) {
  struct rawws *ws =
      rawws_dial(&(struct rawws_opts){.port = cluster_port(cluster, node)});
  int status =
      ws ? rawws_upgrade(
               ws, &(struct rawws_request){.method = "OPTIONS", .bare = true})
         : -1;
  const char *body = status > 0 ? rawws_body(ws, WIRE_MS) : NULL;
  bool good = body && strstr(body, text);
  if (!good) fprintf(stderr, "OPTIONS: %d: %s\n", status, body ? body : "");
  rawws_free(ws);
  return good;
}

/* Raw clients are silent for longer than the chat room's three seconds. */
static const char *const patient[] = {"--read-timeout", "60", NULL};

static const struct cluster_opts one = {.program = PROGRAMS "/chatroom-server",
                                        .nodes = 1,
                                        .args = patient,
                                        .no_haproxy = true};

static void redis_comes_later(void) {
  make(&one);
  CU_ASSERT_TRUE_FATAL(launch(0));
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 503);
  CU_ASSERT_TRUE(cluster_wait_logged(cluster, 0, "level=warn", 1));
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(cluster_wait_health(cluster, 0, 200));
  char reply[64];
  struct rawws *ws = wire_open(cluster_port(cluster, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_ask(ws, "msg", "hello", reply, sizeof reply));
  rawws_free(ws);
}

/* For longer than the hold time: not ready, and "msg" says so. */
static void redis_goes(void) {
  static const char *const args[] = {"--hold",         "1",  "--lease", "4",
                                     "--read-timeout", "60", NULL};
  struct cluster_opts opts = one;
  char reply[64];
  opts.args = args;
  make(&opts);
  CU_ASSERT_TRUE_FATAL(cluster_start(cluster));
  struct rawws *ws = wire_open(cluster_port(cluster, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  cluster_kill(cluster, CLUSTER_REDIS);
  CU_ASSERT_FALSE(wire_ask(ws, "msg", "lost", reply, sizeof reply));
  CU_ASSERT_TRUE(strcmp(reply, "UNAVAILABLE") == 0 ||
                 strcmp(reply, "UNKNOWN_OUTCOME") == 0);
  CU_ASSERT_TRUE(cluster_wait_health(cluster, 0, 503));
  CU_ASSERT_FALSE(wire_ask(ws, "msg", "lost", reply, sizeof reply));
  CU_ASSERT_STRING_EQUAL(reply, "UNAVAILABLE");
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(cluster_wait_health(cluster, 0, 200));
  CU_ASSERT_TRUE(wire_ask(ws, "msg", "found", reply, sizeof reply));
  rawws_free(ws);
}

/* Shorter than it: the request waits, and nobody notices. */
static void redis_restarts(void) {
  char reply[64];
  make(&one);
  CU_ASSERT_TRUE_FATAL(cluster_start(cluster));
  struct rawws *ws = wire_open(cluster_port(cluster, 0));
  struct rawws *other = wire_open(cluster_port(cluster, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_PTR_NOT_NULL_FATAL(other);
  cluster_kill(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(wire_request(ws, "msg", "meanwhile"));
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 200);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(wire_expect_signal(
      other, "{\"user\":\"Anonymous\",\"msg\":\"meanwhile\"}"));
  CU_ASSERT_TRUE(
      wire_hears_himself(ws, "{\"user\":\"Anonymous\",\"msg\":\"meanwhile\"}"));
  CU_ASSERT_TRUE(wire_ask(ws, "who", NULL, reply, sizeof reply));
  rawws_free(ws);
  rawws_free(other);
}

static void settings_that_disagree(void) {
  static const char *const larger[] = {"--message-buffer", "16384", NULL};
  struct cluster_opts opts = one;
  opts.nodes = 2;
  make(&opts);
  cluster_set_args(cluster, 1, larger);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS) && launch(0) &&
                       cluster_wait_health(cluster, 0, 200) && launch(1));
  CU_ASSERT_TRUE(cluster_wait_logged(cluster, 1, "8192", 1));
  CU_ASSERT_EQUAL(cluster_health(cluster, 1), 503);
  CU_ASSERT_TRUE(tells(1, "8192"));
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 200);
  CU_ASSERT_EQUAL(cluster_stop(cluster, 1), 0);
  cluster_set_args(cluster, 1, NULL);
  CU_ASSERT_TRUE_FATAL(launch(1));
  CU_ASSERT_TRUE(cluster_wait_health(cluster, 1, 200));
}

/* Two clusters in one Redis know nothing of each other. */
static void another_prefix(void) {
  static const char *const args[] = {
      "--prefix", "other", "--message-buffer", "16384", "--read-timeout",
      "60",       NULL};
  struct cluster_opts opts = one;
  char reply[16];
  opts.nodes = 2;
  make(&opts);
  cluster_set_args(cluster, 1, args);
  CU_ASSERT_TRUE_FATAL(cluster_start(cluster));
  struct rawws *ws = wire_open(cluster_port(cluster, 0));
  struct rawws *other = wire_open(cluster_port(cluster, 1));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_PTR_NOT_NULL_FATAL(other);
  CU_ASSERT_TRUE(wire_ask(ws, "msg", "here", reply, sizeof reply));
  CU_ASSERT_TRUE(rawws_expect_silence(other, WIRE_QUIET_MS));
  rawws_free(ws);
  rawws_free(other);
}

/* --- Passwords ------------------------------------------------------------ */

static const char *const guarded[] = {"--requirepass", "s3same!", NULL};

static void with_a_password(void) {
  struct cluster_opts opts = one;
  opts.redis_args = guarded;
  opts.login = ":s3same%21@";
  make(&opts);
  CU_ASSERT_TRUE_FATAL(cluster_start(cluster));
  CU_ASSERT_EQUAL(cluster_logged(cluster, 0, "s3same"), 0);
}

static void with_a_wrong_password(void) {
  struct cluster_opts opts = one;
  opts.redis_args = guarded;
  opts.login = ":0pen@";
  make(&opts);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS) && launch(0));
  CU_ASSERT_TRUE(cluster_wait_logged(cluster, 0, "WRONGPASS", 1));
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 503);
  CU_ASSERT_EQUAL(cluster_logged(cluster, 0, "0pen"), 0);
}

/* The URL from a file, so that no process list shows the password. */
static void from_a_file(void) {
  struct cluster_opts opts = one;
  struct wire_dir dir;
  char text[128];
  opts.redis_args = guarded;
  make(&opts);
  CU_ASSERT_TRUE_FATAL(cluster_run(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE_FATAL(wire_dir_make(&dir));
  snprintf(text, sizeof text,
           "redis = \"redis://:s3same%%21@127.0.0.1:%u\";\n"
           "prefix = \"file\";\nnode-name = \"filed\";\nhold = 2.5;\n",
           cluster_port(cluster, CLUSTER_REDIS));
  CU_ASSERT_TRUE(wire_write_file(wire_path(&dir, "x.conf"), text));
  const char *const args[] = {"--config", wire_path(&dir, "x.conf"), "--listen",
                              "127.0.0.1:0", NULL};
  struct proc *node = wire_program("chatroom-server", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(node);
  uint16_t port = proc_wait_listening(node, WIRE_MS);
  struct rawws *ws = wire_open(port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_ask(ws, "msg", "hello", text, sizeof text));
  rawws_free(ws);
  proc_signal(node, SIGTERM);
  CU_ASSERT_EQUAL(proc_wait_exit(node, WIRE_MS), 0);
  proc_free(node);
  wire_dir_remove(&dir);
  CU_ASSERT_TRUE(
      cluster_redis(cluster, "-a s3same! KEYS file:*", text, sizeof text));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "file:{0}:"));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"Redis comes later", redis_comes_later},
                         {"Redis goes", redis_goes},
                         {"Redis restarts", redis_restarts},
                         {"settings that disagree", settings_that_disagree},
                         {"another prefix", another_prefix},
                         {"with a password", with_a_password},
                         {"with a wrong password", with_a_wrong_password},
                         {"from a file", from_a_file},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"setup", NULL, NULL, NULL, stop, tests},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
