/* webwire move with real nodes: from one Redis to three, from three to four,
 * and on to a Redis Cluster. After each, all sessions are restored, and all
 * channels have their history. */
#include "admin.h"
#include "cluster.h"
#include "redis_cluster_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 40, CHANNELS = 80, SHARDS = 4, TEXT = 1024 };

static struct wire_dir dir;
static struct redis_server shards[SHARDS];
static struct redis_cluster redis_cluster;
static struct cluster *cluster; /* one node; NULL: it does not run */
static uint16_t admin;
static struct admin_answer answer;
static char keys[SESSIONS][65];
static unsigned published; /* messages in each channel */
static char out[1 << 14], err[1 << 14];
static char one[TEXT], three[TEXT], four[TEXT];

/* --- Servers -------------------------------------------------------------- */

/* The first shards, with white space between them. */
static void list(char *to, int count) {
  *to = '\0';
  for (int i = 0; i < count; i++) {
    size_t len = strlen(to);
    snprintf(to + len, TEXT - len, "%sredis://127.0.0.1:%u", i ? " " : "",
             shards[i].port);
  }
}

static int begin(void) {
  static const char *const args[] = {NULL};
  bool good = wire_dir_make(&dir) &&
              wire_write_file(wire_path(&dir, "token"), ADMIN_TOKEN);
  for (int i = 0; i < SHARDS; i++) {
    redis_init(&shards[i], args);
    good = redis_start(&shards[i]) && good;
  }
  list(one, 1);
  list(three, 3);
  list(four, 4);
  return good ? 0 : 1;
}

static int end(void) {
  int status = cluster ? cluster_close(cluster) : 0;
  for (int i = 0; i < SHARDS; i++) redis_remove(&shards[i]);
  wire_dir_remove(&dir);
  return status;
}

/* --- A node --------------------------------------------------------------- */

static void start_node(const char *urls) {
  static char token_file[96];
  static const char *const args[] = {
      "--admin",  "127.0.0.1:0", "--admin-token-file",
      token_file, "--hold",      "1",
      "--lease",  "4",           NULL};
  snprintf(token_file, sizeof token_file, "%s", wire_path(&dir, "token"));
  const struct cluster_opts opts = {.program = PROGRAMS "/chatroom-server",
                                    .nodes = 1,
                                    .args = args,
                                    .redis_url = urls,
                                    .no_haproxy = true};
  cluster = cluster_open(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
  CU_ASSERT_TRUE_FATAL(cluster_wait_health(cluster, 0, 200));
  admin = admin_port_logged(cluster_log(cluster, 0));
}

static void stop_node(void) {
  CU_ASSERT_EQUAL(cluster_close(cluster), 0);
  cluster = NULL;
}

static void publish_everywhere(void) {
  char path[64], body[64];
  for (int i = 0; i < CHANNELS; i++) {
    snprintf(path, sizeof path, "/api/v1/channels/move%d/messages", i);
    snprintf(body, sizeof body, "{\"payload\":\"%d-%u\"}", i, published);
    CU_ASSERT_EQUAL(admin_ask(admin, "POST", path, body, &answer), 200);
  }
  published++;
}

static void log_in_all(void) {
  for (int i = 0; i < SESSIONS; i++) {
    struct rawws *ws = wire_open(cluster_port(cluster, 0));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
    CU_ASSERT_TRUE(wire_log_in(ws, "Frodo", "frodo1234", keys[i]));
    rawws_free(ws);
  }
}

/* The type of the answer: REPLY_UTF8 when it is there. */
static int restore(const char *key) {
  struct rawws_message got = {0};
  struct rawws *ws = wire_open(cluster_port(cluster, 0));
  bool good = ws &&
              wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) &&
              rawws_recv_message(ws, &got, WIRE_MS) == RAWWS_OK && got.len > 0;
  int type = good ? got.payload[0] : -1;
  rawws_free(ws);
  return type;
}

static bool has_history(int channel) {
  char path[64], text[32];
  snprintf(path, sizeof path, "/api/v1/channels/move%d/history", channel);
  if (admin_ask(admin, "GET", path, NULL, &answer) != 200) return false;
  const char *at = answer.body;
  for (unsigned i = 0; i < published; i++) {
    snprintf(text, sizeof text, "\"payload\":\"%d-%u\"", channel, i);
    at = at ? strstr(at, text) : NULL;
  }
  return at && !strstr(at + 1, "\"payload\":");
}

static unsigned count_of(const char *text) {
  unsigned count = 0;
  for (const char *at = answer.body; (at = strstr(at, text)); at++) count++;
  return count;
}

/* The node works with so many, and they have all partitions between them. */
static void has_shards(unsigned count) {
  unsigned ready = 0, partitions = 0;
  int64_t deadline = wire_now_ms() + WIRE_MS;
  while (ready < count && wire_now_ms() < deadline) {
    CU_ASSERT_EQUAL_FATAL(
        admin_ask(admin, "GET", "/api/v1/shards", NULL, &answer), 200);
    ready = count_of("\"health\":\"ready\"");
  }
  CU_ASSERT_EQUAL(ready, count);
  CU_ASSERT_EQUAL(count_of("\"name\":"), count);
  CU_ASSERT_EQUAL(admin_probe(admin, "/metrics", &answer), 200);
  CU_ASSERT_EQUAL(count_of("\nwebwire_shard_ready{"), count);
  static const char name[] = "\nwebwire_shard_partitions{";
  for (const char *at = answer.body; (at = strstr(at, name)); at++)
    partitions += (unsigned)strtoul(strstr(at, "} ") + 2, NULL, 10);
  CU_ASSERT_EQUAL(partitions, count == 1 ? 1 : 64);
}

static void all_is_there(void) {
  for (int i = 0; i < SESSIONS; i++)
    CU_ASSERT_EQUAL(restore(keys[i]), REPLY_UTF8);
  for (int i = 0; i < CHANNELS; i++) CU_ASSERT_TRUE(has_history(i));
}

/* --- The tool ------------------------------------------------------------- */

static void take(struct proc *proc, enum proc_stream stream, char *into,
                 size_t size) {
  char *text = proc_output(proc, stream);
  snprintf(into, size, "%s", text ? text : "");
  free(text);
}

/* Its exit status; `out` and `err` are what it printed. */
static int tool(const char *const args[]) {
  struct proc *proc = wire_program("webwire", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  int status = proc_wait_exit(proc, WIRE_MS);
  take(proc, PROC_STDOUT, out, sizeof out);
  take(proc, PROC_STDERR, err, sizeof err);
  proc_free(proc);
  return status;
}

static int move(const char *from, const char *to, const char *flag) {
  const char *const args[] = {"move", "--json", "--from", from,
                              "--to", to,       flag,     NULL};
  int status = tool(args);
  if (status != 0) fprintf(stderr, "%s", err);
  return status;
}

/* The sum of a member of all objects. */
static long long sum(const char *member) {
  char name[64];
  long long total = 0;
  snprintf(name, sizeof name, "\"%s\": ", member);
  for (const char *at = out; (at = strstr(at, name)); at++)
    total += strtoll(at + strlen(name), NULL, 10);
  return total;
}

/* --- Tests ---------------------------------------------------------------- */

static void one_to_three(void) {
  start_node(one);
  has_shards(1);
  log_in_all();
  publish_everywhere();
  publish_everywhere();
  CU_ASSERT_EQUAL(move(one, three, NULL), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "stop all nodes"));
  stop_node();
  /* A few keep their place: the first shard is the old server. */
  CU_ASSERT_EQUAL(move(one, three, "--dry-run"), 0);
  long long sessions = sum("sessions");
  CU_ASSERT_TRUE(sessions > SESSIONS - 20 && sessions <= SESSIONS);
  CU_ASSERT_EQUAL_FATAL(move(one, three, NULL), 0);
  CU_ASSERT_EQUAL(sum("sessions"), sessions);
  CU_ASSERT_TRUE(sum("bytes") > 0);
  CU_ASSERT_EQUAL(sum("deleted"), 0);
  /* Again: the same, and harmless. */
  CU_ASSERT_EQUAL_FATAL(move(one, three, "--delete"), 0);
  CU_ASSERT_EQUAL(sum("sessions"), sessions);
  CU_ASSERT_TRUE(sum("deleted") + sum("in_place") >= SESSIONS + 2 * CHANNELS);
  start_node(three);
  has_shards(3);
  all_is_there();
  publish_everywhere();
  stop_node();
}

static void three_to_four(void) {
  CU_ASSERT_EQUAL_FATAL(move(three, four, "--delete"), 0);
  /* A quarter of it, not all. */
  CU_ASSERT_TRUE(sum("sessions") < SESSIONS * 3 / 4);
  CU_ASSERT_TRUE(sum("in_place") > CHANNELS);
  start_node(four);
  has_shards(4);
  all_is_there();
  publish_everywhere();
  stop_node();
}

/* The node stays ready, and doctor and the list of shards say which it is. */
static void one_of_four_is_away(void) {
  char where[64], url[64];
  start_node(four);
  has_shards(SHARDS);
  redis_signal(&shards[1], SIGSTOP);
  bool seen = false;
  int64_t deadline = wire_now_ms() + WIRE_MS;
  while (!seen && wire_now_ms() < deadline) {
    CU_ASSERT_EQUAL_FATAL(
        admin_ask(admin, "GET", "/api/v1/shards", NULL, &answer), 200);
    seen = count_of("\"health\":\"ready\"") == SHARDS - 1;
  }
  CU_ASSERT_TRUE(seen);
  CU_ASSERT_EQUAL(admin_probe(admin, "/ready", &answer), 200);
  snprintf(where, sizeof where, "http://127.0.0.1:%u", admin);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", cluster_port(cluster, 0));
  const char *const args[] = {"doctor", "--admin", where, "--url",
                              url,      "--idle",  "0",   NULL};
  CU_ASSERT_EQUAL(tool(args), 1);
  snprintf(url, sizeof url, "works with 3 of 4, not with redis://127.0.0.1:%u",
           shards[1].port);
  CU_ASSERT_PTR_NOT_NULL(strstr(out, url));
  redis_signal(&shards[1], SIGCONT);
  has_shards(SHARDS);
  stop_node();
}

/* As if its session had been closed, some time ago. */
static void forget_one_session(void) {
  char found[1 << 13], line[256];
  for (unsigned i = 0; i < redis_cluster.count; i++) {
    const struct redis_server *server = &redis_cluster.servers[i];
    if (!redis_run(server, "KEYS wwr:{*}:s:*", found, sizeof found) || !*found)
      continue;
    found[strcspn(found, " ")] = '\0';
    snprintf(line, sizeof line, "DEL %s", found);
    CU_ASSERT_TRUE(redis_run(server, line, NULL, 0));
    return;
  }
  CU_FAIL("no session in the Redis Cluster");
}

/* And back: what is left on the list does not bring back a session that has
 * gone meanwhile. */
static void four_to_a_redis_cluster(void) {
  int gone = 0;
  if (!redis_cluster_start(&redis_cluster, 3, 0, NULL))
    CU_FAIL_FATAL("no Redis Cluster");
  CU_ASSERT_EQUAL_FATAL(move(four, redis_cluster.url, NULL), 0);
  CU_ASSERT_EQUAL(sum("sessions"), SESSIONS);
  start_node(redis_cluster.url);
  has_shards(64);
  all_is_there();
  publish_everywhere();
  stop_node();
  forget_one_session();
  CU_ASSERT_EQUAL(move(redis_cluster.url, four, NULL), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "1 keys are there, but not on"));
  CU_ASSERT_EQUAL_FATAL(move(redis_cluster.url, four, "--delete"), 0);
  start_node(four);
  for (int i = 0; i < SESSIONS; i++) {
    int type = restore(keys[i]);
    gone += type == REPLY_SESSION_NOT_FOUND;
    CU_ASSERT_TRUE(type == REPLY_UTF8 || type == REPLY_SESSION_NOT_FOUND);
  }
  CU_ASSERT_EQUAL(gone, 1);
  for (int i = 0; i < CHANNELS; i++) CU_ASSERT_TRUE(has_history(i));
  stop_node();
  redis_cluster_remove(&redis_cluster);
}

static void mistakes(void) {
  static const struct {
    const char *from, *to, *said;
  } rows[] = {
      {"redis://127.0.0.1:1", "redis://127.0.0.1:1", "--from: 127.0.0.1:1: "},
      {" ", "redis://127.0.0.1:1", "--from: url is empty"},
      {"redis://h nonsense", "redis://h", "--from: URL 2 of 2: "},
      {"redis+cluster://h redis://h", "redis://h",
       "redis+cluster:// stands alone"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CU_ASSERT_EQUAL(move(rows[i].from, rows[i].to, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, rows[i].said));
  }
  /* No node of a cluster, and one that would be needed. */
  char wrong[TEXT];
  snprintf(wrong, sizeof wrong, "redis+cluster://127.0.0.1:%u", shards[0].port);
  CU_ASSERT_EQUAL(move(wrong, one, NULL), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "cluster support disabled"));
}

/* Bytes under our names that are of another type: said, and nothing is lost. */
static void foreign_bytes(void) {
  char key[] = "wwr:{0}:s:foreign";
  char line[64];
  snprintf(line, sizeof line, "SET %s x", key);
  CU_ASSERT_TRUE(redis_run(&shards[0], line, NULL, 0));
  CU_ASSERT_EQUAL(move(one, four, NULL), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "s:foreign: WRONGTYPE"));
  snprintf(line, sizeof line, "DEL %s", key);
  CU_ASSERT_TRUE(redis_run(&shards[0], line, NULL, 0));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"one to three", one_to_three},
                         {"three to four", three_to_four},
                         {"four to a Redis Cluster", four_to_a_redis_cluster},
                         {"one of four is away", one_of_four_is_away},
                         {"mistakes", mistakes},
                         {"foreign bytes", foreign_bytes},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"move", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
