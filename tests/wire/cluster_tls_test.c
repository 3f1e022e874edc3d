/* Two nodes on a Redis Cluster of three masters that speak TLS, as a user with
 * no more rights than docs/cluster.md asks for: channels and sessions, also
 * when a slot moves; who must not get in, and what is said of it; and the tool
 * there. */
#include "admin.h"
#include "cert.h"
#include "cluster.h"
#include "redis_cluster_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 2, MASTERS = 3, SESSIONS = 12, PARTITIONS = 64, TEXT = 700 };

static struct wire_dir dir;
static struct test_authority ours, stranger;
static struct redis_cluster redis;
static struct cluster *cluster;
static char url[TEXT];

/* --- The cluster ---------------------------------------------------------- */

static bool write_users(const char *path) {
  return wire_write_file(
      path,
      "user wwr on >s3same resetkeys ~wwr:* resetchannels &wwr:* nocommands "
      "+auth +select +info +time +evalsha +script|load "
      "+publish +subscribe +unsubscribe +del +exists +pexpire "
      "+hget +hmget +hgetall +hset +hdel +hlen +hrandfield "
      "+zadd +zrem +zscore +zcard +zrange +zrevrange +zrangebyscore "
      "+xadd +xdel +xrange +xrevrange +xinfo|stream "
      "+spublish +ssubscribe +sunsubscribe +cluster|slots\n");
}

static void print_url(char out[TEXT], const char *scheme, const char *login,
                      const struct test_authority *authority) {
  size_t len = (size_t)snprintf(out, TEXT, "%s://%s", scheme, login);
  for (int i = 0; i < MASTERS; i++) {
    len += (size_t)snprintf(out + len, TEXT - len, "%s127.0.0.1:%s",
                            i ? "," : "", redis.tls_ports[i]);
  }
  if (authority)
    snprintf(out + len, TEXT - len, "?ca_file=%s", authority->ca_file);
}

static bool start_redis(void) {
  static char users[128];
  const char *const args[] = {"--aclfile", users, NULL};
  snprintf(users, sizeof users, "%s", wire_path(&dir, "users.acl"));
  return test_authority_make(&ours, dir.path, "own", "IP:127.0.0.1") &&
         test_authority_make(&stranger, dir.path, "other", "IP:127.0.0.1") &&
         write_users(users) &&
         redis_cluster_start_tls(&redis, MASTERS, &ours, args);
}

static int begin(void) {
  static char token_file[128];
  static const char *const args[] = {
      "--read-timeout",     "60",       "--admin", "127.0.0.1:0",
      "--admin-token-file", token_file, NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server",
      .nodes = NODES,
      .args = args,
      .redis_url = url,
      .no_haproxy = true};
  if (!wire_dir_make(&dir) || !start_redis()) return 1;
  snprintf(token_file, sizeof token_file, "%s", wire_path(&dir, "token"));
  if (!wire_write_file(token_file, ADMIN_TOKEN)) return 1;
  print_url(url, "rediss+cluster", "wwr:s3same@", &ours);
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end(void) {
  int status = cluster ? cluster_close(cluster) : 0;
  redis_cluster_remove(&redis);
  wire_dir_remove(&dir);
  return status;
}

/* --- Channels and sessions ------------------------------------------------ */

static struct rawws *client(int node) {
  struct rawws *ws = wire_open(cluster_port(cluster, node));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

static bool says(struct rawws *ws, struct rawws *other, const char *text) {
  char json[64], reply[64];
  snprintf(json, sizeof json, "{\"user\":\"Anonymous\",\"msg\":\"%s\"}", text);
  return wire_ask(ws, "msg", text, reply, sizeof reply) &&
         wire_await_signal(other, json);
}

static void talk(const char *there, const char *back) {
  struct rawws *first = client(0), *second = client(1);
  CU_ASSERT_TRUE(says(first, second, there));
  CU_ASSERT_TRUE(says(second, first, back));
  rawws_free(first);
  rawws_free(second);
}

/* The type of the answer to a restore, -1 without one. */
static int restore(struct rawws *ws, const char *key) {
  struct rawws_message got;
  bool good = wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) &&
              wire_recv_answer(ws, &got) && got.len > 0;
  return good ? got.payload[0] : -1;
}

static bool closes(struct rawws *ws) {
  struct rawws_message got;
  return wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)) &&
         wire_recv_answer(ws, &got) && got.payload[0] == REPLY_BINARY;
}

static unsigned count_of(const char *where, const char *text) {
  unsigned count = 0;
  for (const char *at = where; (at = strstr(at, text)); at++) count++;
  return count;
}

/* All partitions, so each server by its own port. */
static void every_server_is_there(void) {
  static struct admin_answer answer;
  uint16_t port = admin_port_logged(cluster_log(cluster, 0));
  unsigned ready = 0;
  int64_t deadline = wire_now_ms() + WIRE_MS;
  while (ready < PARTITIONS && wire_now_ms() < deadline) {
    CU_ASSERT_EQUAL_FATAL(
        admin_ask(port, "GET", "/api/v1/shards", NULL, &answer), 200);
    ready = count_of(answer.body, "\"health\":\"ready\"");
  }
  CU_ASSERT_EQUAL(ready, PARTITIONS);
  for (int i = 0; i < MASTERS; i++) {
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%s\"", redis.tls_ports[i]);
    unsigned count = count_of(answer.body, address);
    CU_ASSERT_TRUE(count >= 21 && count <= 22);
  }
}

static void channels(void) {
  talk("there", "back");
}

static void sessions(void) {
  char keys[SESSIONS][65];
  struct rawws *owners[SESSIONS];
  for (int i = 0; i < SESSIONS; i++) {
    owners[i] = client(0);
    CU_ASSERT_TRUE_FATAL(wire_log_in(owners[i], "Frodo", "frodo1234", keys[i]));
  }
  for (int i = 0; i < SESSIONS; i++) {
    struct rawws *other = client(1);
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_UTF8);
    CU_ASSERT_TRUE(closes(owners[i]));
    CU_ASSERT_EQUAL(restore(owners[i], keys[i]), REPLY_UTF8);
    CU_ASSERT_TRUE(closes(other));
    CU_ASSERT_TRUE(closes(owners[i]));
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_SESSION_NOT_FOUND);
    rawws_free(owners[i]);
    rawws_free(other);
  }
}

/* The slot of the room's log, by its key on whichever server has it. */
static unsigned room_slot(void) {
  char key[128] = "";
  for (int i = 0; i < MASTERS && !*key; i++) {
    CU_ASSERT_TRUE(
        redis_run(&redis.servers[i], "KEYS wwr:*:l:room", key, sizeof key));
  }
  CU_ASSERT_TRUE_FATAL(*key);
  return redis_cluster_slot(&redis, key);
}

static void a_slot_moves(void) {
  unsigned slot = room_slot(), from = redis_cluster_owner(&redis, slot);
  struct rawws *first = client(0), *second = client(1);
  CU_ASSERT_TRUE(says(first, second, "before"));
  CU_ASSERT_TRUE(redis_cluster_move(&redis, slot, (from + 1) % MASTERS, 0));
  CU_ASSERT_TRUE(says(first, second, "moved"));
  CU_ASSERT_TRUE(says(second, first, "also"));
  CU_ASSERT_TRUE(redis_cluster_move(&redis, slot, from, 0));
  CU_ASSERT_TRUE(says(first, second, "home"));
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 200);
  rawws_free(first);
  rawws_free(second);
}

static void connections_cut(void) {
  struct rawws *first = client(0), *second = client(1);
  for (int i = 0; i < MASTERS; i++) {
    redis_run(&redis.servers[i], "CLIENT KILL TYPE normal", NULL, 0);
    redis_run(&redis.servers[i], "CLIENT KILL TYPE pubsub", NULL, 0);
  }
  CU_ASSERT_TRUE(says(first, second, "once more"));
  rawws_free(first);
  rawws_free(second);
}

/* --- Who must not get in -------------------------------------------------- */

/* Until the node has said so; what it said, to free(). */
static char *await_words(struct proc *node, const char *words) {
  char *log = NULL;
  for (int i = 0; i < WIRE_MS / 20; i++) {
    free(log);
    log = proc_output(node, PROC_STDERR);
    if (log && strstr(log, words)) return log;
    if (proc_wait_exit(node, 20) >= 0) break;
  }
  fprintf(stderr, "expected %s: %s\n", words, log ? log : "");
  CU_FAIL("it is not said");
  return log;
}

/* A node by this URL says so, and is not ready; and never the password. */
static void expect_refused(const char *wrong, const char *words) {
  const char *const args[] = {"--listen", "127.0.0.1:0", "--redis", wrong,
                              NULL};
  struct proc *node = wire_program("chatroom-server", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(node);
  uint16_t port = proc_wait_listening(node, WIRE_MS);
  free(await_words(node, words));
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = port});
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(rawws_upgrade(ws, &(struct rawws_request){.method = "OPTIONS",
                                                            .bare = true}),
                  503);
  rawws_free(ws);
  proc_signal(node, SIGTERM);
  CU_ASSERT_EQUAL(proc_wait_exit(node, WIRE_MS), 0);
  char *log = proc_output(node, PROC_STDERR);
  CU_ASSERT_PTR_NULL(strstr(log, "s3same"));
  free(log);
  proc_free(node);
}

static void who_must_not_get_in(void) {
  char wrong[TEXT];
  print_url(wrong, "rediss+cluster", "wwr:s3same@", &stranger);
  expect_refused(wrong, "certificate");
  print_url(wrong, "rediss+cluster", "wwr:s3samen@", &ours);
  expect_refused(wrong, "WRONGPASS");
}

/* --- The tool ------------------------------------------------------------- */

static char out[1 << 15];

static int tool(const char *const args[]) {
  struct proc *proc = wire_program("webwire", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  int status = proc_wait_exit(proc, WIRE_MS);
  char *text = proc_output(proc, PROC_STDOUT);
  char *more = proc_output(proc, PROC_STDERR);
  snprintf(out, sizeof out, "%s%s", text ? text : "", more ? more : "");
  free(text);
  free(more);
  proc_free(proc);
  return status;
}

static void examine(const char *login, const struct test_authority *authority) {
  char where[TEXT];
  print_url(where, "rediss+cluster", login, authority);
  const char *const args[] = {"--admin", "http://127.0.0.1:1",
                              "--url",   "ws://127.0.0.1:1",
                              "--idle",  "0",
                              "--redis", where,
                              "doctor",  NULL};
  CU_ASSERT_EQUAL(tool(args), 1); /* no node is where it looks */
  CU_ASSERT_PTR_NULL(strstr(out, "s3same"));
}

static void the_doctor(void) {
  examine("", &ours);
  CU_ASSERT_EQUAL(count_of(out, "redis slots: all have a master, of 3"), 1);
  CU_ASSERT_EQUAL(count_of(out, "a master of a Redis Cluster"), MASTERS);
  CU_ASSERT_EQUAL(count_of(out, "problem  redis"), 0);
  /* As the nodes' user: it sees what that one may. */
  examine("wwr:s3same@", &ours);
  CU_ASSERT_EQUAL(count_of(out, "redis slots: all have a master, of 3"), 1);
  CU_ASSERT_EQUAL(count_of(out, "problem  redis"), 0);
  examine("", &stranger);
  CU_ASSERT_TRUE(count_of(out, "certificate") > 0);
}

/* From a single Redis, under another name than the nodes', and back. */
static void a_move(void) {
  static struct redis_server one;
  char there[TEXT], here[64], line[64], text[16] = "";
  redis_init(&one, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&one));
  for (int i = 0; i < SESSIONS; i++) {
    snprintf(line, sizeof line, "HSET old:{0}:s:%d o %d", i, i);
    CU_ASSERT_TRUE(redis_run(&one, line, NULL, 0));
  }
  snprintf(here, sizeof here, "redis://127.0.0.1:%u", one.port);
  print_url(there, "rediss+cluster", "", &ours);
  const char *const go[] = {"move", "--prefix", "old",      "--from", here,
                            "--to", there,      "--delete", NULL};
  const char *const back[] = {"move", "--prefix", "old",      "--from", there,
                              "--to", here,       "--delete", NULL};
  CU_ASSERT_EQUAL(tool(go), 0);
  CU_ASSERT_TRUE(redis_run(&one, "DBSIZE", text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "0");
  CU_ASSERT_EQUAL(tool(back), 0);
  CU_ASSERT_TRUE(redis_run(&one, "DBSIZE", text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "12");
  redis_remove(&one);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"every server is there", every_server_is_there},
                         {"channels", channels},
                         {"sessions", sessions},
                         {"a slot moves", a_slot_moves},
                         {"connections cut", connections_cut},
                         {"who must not get in", who_must_not_get_in},
                         {"the doctor", the_doctor},
                         {"a move", a_move},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"TLS to a Redis Cluster", begin, end, NULL, NULL, tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
