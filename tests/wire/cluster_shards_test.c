/* Sessions of two nodes on three Redis: each session is on one of them, and
 * known on both nodes; one Redis in trouble holds up its own sessions only. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "lateness.h"
#include "redis_fixture.h"
#include "wire.h"

enum { SHARDS = 3, NODES = 2, LOGINS_MAX = 100 };
enum { PROMPT_MS = 3000, TURNS = 20 }; /* of programs, on a late machine */

static struct redis_server redis[SHARDS];
static struct cluster *cluster;

static int begin(void) {
  static const char *const no_file[] = {"--save", "", NULL};
  static const char *const args[] = {"--read-timeout", "60", "--hold", "20",
                                     "--lease",        "40", NULL};
  static char url[256];
  size_t used = 0;
  for (int i = 0; i < SHARDS; i++) {
    redis_init(&redis[i], no_file);
    used += (size_t)snprintf(url + used, sizeof url - used,
                             "redis://127.0.0.1:%u ", redis[i].port);
    if (!redis_start(&redis[i])) return 1;
  }
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server",
      .nodes = NODES,
      .args = args,
      .redis_url = url,
      .no_haproxy = true};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end(void) {
  int status = cluster ? cluster_close(cluster) : 0;
  for (int i = 0; i < SHARDS; i++) redis_remove(&redis[i]);
  return status;
}

/* --- Sessions of each shard ----------------------------------------------- */

/* How many keys like this one has. */
static size_t count_keys(int shard, const char *pattern) {
  static char answer[65536];
  char line[64];
  size_t count = 0;
  snprintf(line, sizeof line, "KEYS %s", pattern);
  answer[0] = '\0';
  CU_ASSERT_TRUE(redis_run(&redis[shard], line, answer, sizeof answer));
  for (const char *at = answer; (at = strstr(at, "wwr:")); at++) count++;
  return count;
}

/* The shard that has no part in the chat itself, so that nothing but sessions
 * waits for it. */
static int quiet_shard(void) {
  for (int i = 0; i < SHARDS; i++) {
    if (count_keys(i, "wwr:*:l:[^!]*") == 0) return i;
  }
  return -1;
}

/* A client of the first node with a session on that shard. */
static struct rawws *logged_in(int shard, char key[65]) {
  for (int i = 0; i < LOGINS_MAX; i++) {
    size_t before = count_keys(shard, "wwr:*:s:*");
    struct rawws *ws = wire_open(cluster_port(cluster, 0));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
    CU_ASSERT_TRUE_FATAL(wire_log_in(ws, "Frodo", "frodo1234", key));
    if (count_keys(shard, "wwr:*:s:*") > before) return ws;
    rawws_free(ws);
  }
  CU_FAIL_FATAL("no session of that shard");
  return NULL;
}

static struct rawws *client(int node) {
  struct rawws *ws = wire_open(cluster_port(cluster, node));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

static void ask_restore(struct rawws *ws, const char *key) {
  CU_ASSERT_TRUE(
      wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))));
}

/* The type of the next message; -1: none in time. */
static int next_type(struct rawws *ws, unsigned timeout_ms) {
  struct rawws_message got;
  if (rawws_recv_message(ws, &got, (int)timeout_ms) != RAWWS_OK || !got.len) {
    return -1;
  }
  return got.payload[0];
}

static int restore(struct rawws *ws, const char *key) {
  ask_restore(ws, key);
  return next_type(ws, WIRE_MS);
}

static bool closes(struct rawws *ws) {
  return wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)) &&
         wire_expect_empty(ws);
}

/* --- Tests ---------------------------------------------------------------- */

static void known_on_both_nodes(void) {
  for (int shard = 0; shard < SHARDS; shard++) {
    char key[65];
    struct rawws *first = logged_in(shard, key), *second = client(1);
    CU_ASSERT_EQUAL(restore(second, key), REPLY_UTF8);
    CU_ASSERT_TRUE(closes(first));
    CU_ASSERT_EQUAL(restore(first, key), REPLY_UTF8); /* the other has it */
    CU_ASSERT_TRUE(closes(second));
    CU_ASSERT_TRUE(closes(first));
    CU_ASSERT_EQUAL(restore(second, key), REPLY_SESSION_NOT_FOUND);
    rawws_free(first);
    rawws_free(second);
  }
}

/* By its key, as the chat room's "signout" does. */
static void closed_on_both_nodes(void) {
  for (int shard = 0; shard < SHARDS; shard++) {
    char key[65];
    struct rawws *first = logged_in(shard, key), *second = client(1);
    CU_ASSERT_EQUAL(restore(second, key), REPLY_UTF8);
    CU_ASSERT_TRUE(wire_request(second, "signout", NULL));
    CU_ASSERT_EQUAL(next_type(second, WIRE_MS), SESSION_CLOSED);
    CU_ASSERT_TRUE(wire_expect_empty(second));
    CU_ASSERT_EQUAL(next_type(first, WIRE_MS), SESSION_CLOSED);
    CU_ASSERT_EQUAL(restore(first, key), REPLY_SESSION_NOT_FOUND);
    rawws_free(first);
    rawws_free(second);
  }
}

/* Restored, given up and closed, on another node than its own, in no time. */
static void lives_on(int shard, struct rawws *owner, const char *key) {
  struct lateness *lateness = lateness_start();
  int64_t start = wire_now_ms();
  struct rawws *other = client(1);
  CU_ASSERT_EQUAL(restore(other, key), REPLY_UTF8);
  CU_ASSERT_TRUE(closes(other));
  CU_ASSERT_EQUAL(restore(other, key), REPLY_UTF8);
  CU_ASSERT_TRUE(wire_request(other, "signout", NULL));
  CU_ASSERT_EQUAL(next_type(other, WIRE_MS), SESSION_CLOSED);
  CU_ASSERT_TRUE(wire_expect_empty(other));
  CU_ASSERT_EQUAL(next_type(owner, WIRE_MS), SESSION_CLOSED);
  CU_ASSERT_EQUAL(restore(owner, key), REPLY_SESSION_NOT_FOUND);
  rawws_free(other);
  int64_t took = wire_now_ms() - start;
  int64_t prompt = PROMPT_MS + TURNS * (int64_t)lateness_stop(lateness);
  if (took >= prompt) printf("\nshard %d: %d ms\n", shard, (int)took);
  CU_ASSERT(took < prompt);
}

static void one_away_holds_up_its_own(void) {
  char keys[SHARDS][65];
  struct rawws *owners[SHARDS], *waits = client(1);
  int away = quiet_shard();
  CU_ASSERT_FATAL(away >= 0);
  for (int i = 0; i < SHARDS; i++) owners[i] = logged_in(i, keys[i]);
  redis_signal(&redis[away], SIGSTOP);
  ask_restore(waits, keys[away]);
  for (int i = 0; i < SHARDS; i++) {
    if (i != away) lives_on(i, owners[i], keys[i]);
  }
  /* Until the link has been found to be down, too. */
  CU_ASSERT_EQUAL(next_type(waits, 4000), -1);
  CU_ASSERT_EQUAL(cluster_health(cluster, 0), 200);
  CU_ASSERT_EQUAL(cluster_health(cluster, 1), 200);
  redis_signal(&redis[away], SIGCONT);
  CU_ASSERT_EQUAL(next_type(waits, WIRE_MS), REPLY_UTF8);
  CU_ASSERT_TRUE(closes(waits));
  for (int i = 0; i < SHARDS; i++) rawws_free(owners[i]);
  rawws_free(waits);
}

/* The sessions that are connected are put back, with what is known of them. */
static void one_restarts_without_its_data(void) {
  char keys[SHARDS][65];
  struct rawws *owners[SHARDS];
  int away = quiet_shard();
  CU_ASSERT_FATAL(away >= 0);
  for (int i = 0; i < SHARDS; i++) owners[i] = logged_in(i, keys[i]);
  redis_kill(&redis[away]);
  CU_ASSERT_TRUE_FATAL(redis_start(&redis[away]));
  for (int i = 0; i < SHARDS; i++) {
    struct rawws *other = client(1);
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_UTF8);
    CU_ASSERT_TRUE(closes(other));
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_UTF8); /* not the last */
    CU_ASSERT_TRUE(closes(owners[i]));
    CU_ASSERT_TRUE(closes(other));
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_SESSION_NOT_FOUND);
    rawws_free(other);
    rawws_free(owners[i]);
  }
}

static void survives_its_node(void) {
  char keys[SHARDS][65];
  struct rawws *owners[SHARDS];
  for (int i = 0; i < SHARDS; i++) owners[i] = logged_in(i, keys[i]);
  cluster_kill(cluster, 0);
  for (int i = 0; i < SHARDS; i++) {
    struct rawws *other = client(1);
    CU_ASSERT_EQUAL(restore(other, keys[i]), REPLY_UTF8);
    rawws_free(other);
    rawws_free(owners[i]);
  }
  CU_ASSERT_TRUE(cluster_run(cluster, 0) &&
                 cluster_wait_health(cluster, 0, 200));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"known on both nodes", known_on_both_nodes},
      {"closed on both nodes", closed_on_both_nodes},
      {"one away holds up its own", one_away_holds_up_its_own},
      {"one restarts without its data", one_restarts_without_its_data},
      {"survives its node", survives_its_node},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"sessions of shards", begin, end, NULL, NULL, tests},
      CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
