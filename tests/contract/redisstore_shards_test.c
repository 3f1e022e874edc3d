/* Sessions over three Redis: each has its own part of them, and when one is in
 * trouble those of the others must not notice. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "partition.h"
#include "redisstore_rig.h"

enum { MANY = 60, MAX_HELD = 12 };

/* The nth key of a shard: 8 texts are kept. */
static const char *key_of(unsigned shard, unsigned nth) {
  static char keys[8][16];
  static unsigned next;
  char *key = keys[next++ % 8];
  for (unsigned i = 0;; i++) {
    snprintf(key, sizeof *keys, "key-%u", i);
    if (rs_shard(key) == shard && nth-- == 0) return key;
  }
}

static void stop_shard(unsigned shard) {
  redis_signal(&rs.servers[shard], SIGSTOP);
}

static void resume_shard(unsigned shard) {
  redis_signal(&rs.servers[shard], SIGCONT);
}

static struct wwri_bus_state state_of(const struct rs_node *node) {
  struct wwri_bus_state state;
  node->bus->ops->state(node->bus, &state);
  return state;
}

/* --- Where they are ------------------------------------------------------- */

static bool has(unsigned shard, const char *name) {
  char line[200], out[16] = "";
  snprintf(line, sizeof line, "EXISTS %s", name);
  CU_ASSERT_TRUE(redis_run(&rs.servers[shard], line, out, sizeof out));
  return out[0] == '1';
}

/* The key's tag is that of its partition, so that it can move. */
static void each_is_at_its_own_shard(void) {
  struct rs_node *a = rs_up(0);
  bool tags[WWRI_PARTITIONS] = {false};
  unsigned different = 0;
  for (unsigned i = 0; i < MANY; i++) {
    char key[16];
    snprintf(key, sizeof key, "key-%u", i);
    CU_ASSERT_EQUAL(rs_create(a, key), WWR_OK);
    for (unsigned shard = 0; shard < RS_SHARDS; shard++) {
      CU_ASSERT_EQUAL(has(shard, rs_name(key)), shard == rs_shard(key));
    }
    const char *id = strrchr(rs_name(key), ':') + 1;
    unsigned partition = wwri_partition_of(wwr_view_str(id));
    different += !tags[partition];
    tags[partition] = true;
  }
  CU_ASSERT(different > WWRI_PARTITIONS / 3);
}

static void events_come_from_all_one_at_a_time(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  static struct rs_op ops[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i % RS_SHARDS, i / RS_SHARDS)), WWR_OK);
  }
  for (unsigned i = 0; i < MANY; i++) {
    const char *key = key_of(i % RS_SHARDS, i / RS_SHARDS);
    CU_ASSERT_EQUAL(rs_send(b, key, "hello"), WWR_OK);
  }
  CU_ASSERT_TRUE(rs_wait(&a->received, MANY));
  for (unsigned i = 0; i < MANY; i++) {
    rs_begin_kill(b, &ops[i], key_of(i % RS_SHARDS, i / RS_SHARDS));
  }
  for (unsigned i = 0; i < MANY; i++) CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->closed, MANY));
  CU_ASSERT_EQUAL(rs_count(&a->closed), MANY);
  CU_ASSERT_EQUAL(rs_count(&a->at_once), 0);
}

/* When nobody watches any more, nobody is told. */
static void unwatched_while_all_tell(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  static struct rs_op ops[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    const char *key = key_of(i % RS_SHARDS, i / RS_SHARDS);
    CU_ASSERT_EQUAL(rs_create(a, key), WWR_OK);
  }
  for (unsigned i = 0; i < MANY; i++) {
    rs_begin_kill(b, &ops[i], key_of(i % RS_SHARDS, i / RS_SHARDS));
  }
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  a->store->ops->authority->watch(a->store, NULL, NULL);
  unsigned told = rs_count(&a->closed);
  for (unsigned i = 0; i < MANY; i++) CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_OK);
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    const char *key = key_of(i, 0);
    CU_ASSERT_EQUAL(rs_attach(a, key, 0), WWR_E_SESSION_NOT_FOUND);
  }
  CU_ASSERT_EQUAL(rs_count(&a->closed), told);
}

/* --- One of them away ----------------------------------------------------- */

/* Of a session of the shard, on two nodes. */
static void live_a_life(struct rs_node *a, struct rs_node *b, unsigned shard) {
  rs_live_a_life(a, b, key_of(shard, 50));
}

/* Sessions "stay", "leave", "kill" of the shard: of the first node. */
struct three {
  char stay[16], leave[16], kill[16], fresh[16];
};

static void create_three(struct rs_node *a, unsigned shard, struct three *out) {
  snprintf(out->stay, sizeof out->stay, "%s", key_of(shard, 0));
  snprintf(out->leave, sizeof out->leave, "%s", key_of(shard, 1));
  snprintf(out->kill, sizeof out->kill, "%s", key_of(shard, 2));
  snprintf(out->fresh, sizeof out->fresh, "%s", key_of(shard, 3));
  CU_ASSERT_EQUAL(rs_create(a, out->stay), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, out->leave), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, out->kill), WWR_OK);
}

enum { ATTACH, LEAVE, KILL, CREATE, ASKED };

static void ask_three(struct rs_node *a, struct rs_node *b,
                      const struct three *keys, struct rs_op ops[ASKED]) {
  rs_begin_attach(b, &ops[ATTACH], keys->stay, 0);
  rs_begin_leave(a, &ops[LEAVE], keys->leave);
  rs_begin_kill(b, &ops[KILL], keys->kill);
  rs_begin_create(b, &ops[CREATE], keys->fresh, NULL);
}

/* Row 59: what is the dead one's waits, and what is the others' does not. */
static void stopped_for_less_than_the_hold(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  struct rs_op ops[ASKED];
  struct three keys;
  create_three(a, 1, &keys);
  stop_shard(1);
  ask_three(a, b, &keys, ops);
  for (unsigned i = 0; i < 2; i++) { /* before and after its link is down */
    live_a_life(a, b, 0);
    live_a_life(a, b, 2);
    for (unsigned k = 0; k < ASKED; k++) CU_ASSERT_FALSE(rs_is_done(&ops[k]));
    rs_wait_ready(a, false);
    rs_wait_ready(b, false);
  }
  CU_ASSERT_EQUAL(state_of(a).health, WWRI_BUS_HOLDING);
  resume_shard(1);
  for (unsigned k = 0; k < ASKED; k++) {
    CU_ASSERT_EQUAL(rs_end(&ops[k]), WWR_OK);
    wwr_session_unref(ops[k].session);
  }
  CU_ASSERT_STRING_EQUAL(rs_places(a, keys.stay), "first=1 second=1");
  CU_ASSERT_STRING_EQUAL(rs_places(a, keys.fresh), "second=1");
  CU_ASSERT_EQUAL(rs_attach(b, keys.leave, 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_attach(b, keys.kill, 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&a->evicted) + rs_count(&b->evicted), 0);
}

static bool takes(const struct rs_node *node, const char *key) {
  return node->store->ops->takes(node->store, wwr_view_str(key));
}

/* A new session need not be at the one that is away. */
static void new_ones_go_to_the_others(void) {
  struct rs_node *a = rs_patient(0);
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_TRUE(takes(a, key_of(i, 0)));
  }
  stop_shard(1);
  uint64_t end = rs_now_ms() + RS_WAIT_MS;
  while (takes(a, key_of(1, 0)) && rs_now_ms() < end) rs_wait_ms(10);
  CU_ASSERT_FALSE(takes(a, key_of(1, 1)));
  CU_ASSERT_TRUE(takes(a, key_of(0, 0)));
  CU_ASSERT_TRUE(takes(a, key_of(2, 0)));
  resume_shard(1);
  rs_wait_ready(a, true);
  CU_ASSERT_TRUE(takes(a, key_of(1, 0)));
}

/* A node that waits for as short a time as a busy machine allows. */
static struct rs_node *hasty(unsigned index) {
  struct rs_node *node = rs_node(index);
  node->opts.hold_ms = 3000;
  node->opts.max_held = MAX_HELD;
  rs_open(node);
  return node;
}

static void stopped_for_longer_than_the_hold(void) {
  struct rs_node *a = hasty(0), *b = hasty(1);
  struct rs_op ops[ASKED];
  struct three keys;
  create_three(a, 0, &keys);
  CU_ASSERT_EQUAL(rs_create(a, key_of(1, 0)), WWR_OK);
  stop_shard(0);
  ask_three(a, b, &keys, ops);
  live_a_life(a, b, 1);
  for (unsigned k = 0; k < ASKED; k++) {
    CU_ASSERT_EQUAL(rs_end(&ops[k]), WWR_E_UNAVAILABLE);
  }
  live_a_life(a, b, 2);
  CU_ASSERT_NOT_EQUAL(state_of(a).health, WWRI_BUS_UNREADY);
  CU_ASSERT_STRING_EQUAL(rs_places(b, key_of(1, 0)), "first=1");
  resume_shard(0);
  rs_wait_ready(a, true);
  rs_wait_ready(b, true);
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", keys.leave, "0"));
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", keys.kill, "0"));
  CU_ASSERT_TRUE(rs_until("HEXISTS %s v", keys.fresh, "1"));
  CU_ASSERT_TRUE(rs_places_become(b, keys.stay, "first=1"));
}

/* Row 57, for the sessions of one shard alone. */
static void one_restarted_without_its_data(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  struct three keys[RS_SHARDS];
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    create_three(a, i, &keys[i]);
    CU_ASSERT_EQUAL(rs_attach(b, keys[i].stay, 3), WWR_OK);
    CU_ASSERT_EQUAL(rs_leave(a, keys[i].leave), WWR_OK);
  }
  redis_kill(&rs.servers[2]);
  live_a_life(a, b, 0);
  CU_ASSERT_TRUE_FATAL(redis_start(&rs.servers[2]));
  rs_wait_ready(a, true);
  rs_wait_ready(b, true);
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_TRUE(rs_places_become(a, keys[i].stay, "first=1 second=1"));
    CU_ASSERT_TRUE(rs_places_become(b, keys[i].kill, "first=1"));
    CU_ASSERT_EQUAL(rs_attach(b, keys[i].leave, 0), WWR_E_SESSION_NOT_FOUND);
  }
  live_a_life(a, b, 2);
  CU_ASSERT_EQUAL(rs_count(&b->closed), 0);
  CU_ASSERT_EQUAL(rs_count(&a->evicted) + rs_count(&b->evicted), 0);
}

/* Row 60: one ceiling for all, but what waits for one does not starve those of
 * the others. */
static void what_waits_for_one_leaves_room(void) {
  struct rs_node *a = hasty(0), *b = hasty(1);
  struct rs_op ops[MAX_HELD];
  stop_shard(1);
  for (unsigned i = 0; i < MAX_HELD; i++) {
    rs_begin_attach(a, &ops[i], key_of(1, 0), 0);
  }
  unsigned waiting = MAX_HELD - MAX_HELD / 2 / RS_SHARDS * (RS_SHARDS - 1);
  for (unsigned i = waiting; i < MAX_HELD; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_E_LIMIT);
  }
  live_a_life(a, b, 0);
  live_a_life(a, b, 2);
  for (unsigned i = 0; i < waiting; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_E_UNAVAILABLE);
  }
  resume_shard(1);
}

/* --- Leases --------------------------------------------------------------- */

/* Make it look to one shard as if the first node had not beaten for long. */
static void silence_first(struct redis_server *server) {
  char boots[400], time[64];
  redis_run(server, "TIME", time, sizeof time);
  long long seconds = strtoll(time, NULL, 10);
  redis_run(server, "ZREM wwr:{0}:nodes !grace", NULL, 0);
  redis_run(server, "HKEYS wwr:{0}:gen", boots, sizeof boots);
  for (char *at = boots; (at = strstr(at, "k:")); at++) {
    char line[200], name[64] = "";
    snprintf(line, sizeof line, "HGET wwr:{0}:node:%.32s name", at + 2);
    redis_run(server, line, name, sizeof name);
    if (strcmp(name, "first") != 0) continue;
    snprintf(line, sizeof line, "ZADD wwr:{0}:nodes %lld %.32s",
             seconds * 1000 - 20000, at + 2);
    redis_run(server, line, NULL, 0);
  }
}

/* Rows 45, 47: who is dead for one shard loses the places there, and no
 * other. */
static void places_are_lost_at_one_shard(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  char lost[16];
  snprintf(lost, sizeof lost, "%s", key_of(1, 0));
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i, 0)), WWR_OK);
    CU_ASSERT_EQUAL(rs_create(a, key_of(i, 1)), WWR_OK);
  }
  wwr_err err = WWR_E_MAX_SESSION_CONNS;
  for (unsigned i = 0; i < 1000 && err == WWR_E_MAX_SESSION_CONNS; i++) {
    silence_first(&rs.servers[1]);
    err = rs_attach(b, lost, 1);
  }
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->evicted, 1));
  CU_ASSERT_STRING_EQUAL(a->last_evicted, lost);
  rs_detach(a, lost);
  CU_ASSERT_STRING_EQUAL(rs_places(b, lost), "second=1");
  rs_wait_ready(a, true);
  CU_ASSERT_TRUE(rs_places_become(b, key_of(1, 1), "first=1"));
  for (unsigned i = 0; i < RS_SHARDS; i += 2) {
    CU_ASSERT_STRING_EQUAL(rs_places(b, key_of(i, 0)), "first=1");
    CU_ASSERT_EQUAL(rs_attach(b, key_of(i, 0), 1), WWR_E_MAX_SESSION_CONNS);
  }
  CU_ASSERT_EQUAL(rs_count(&a->evicted), 1);
  CU_ASSERT_EQUAL(rs_count(&a->closed), 0);
}

/* --- The end -------------------------------------------------------------- */

static void a_graceful_stop_leaves_no_counts(void) {
  struct rs_node *a = rs_patient(0), *b = rs_patient(1);
  for (unsigned i = 0; i < MANY; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i % RS_SHARDS, i / RS_SHARDS)), WWR_OK);
  }
  CU_ASSERT_EQUAL(rs_attach(b, key_of(1, 0), 0), WWR_OK);
  rs_down(a);
  for (unsigned i = 0; i < MANY; i++) {
    const char *key = key_of(i % RS_SHARDS, i / RS_SHARDS);
    const char *where = i == 1 ? "second=1" : "";
    CU_ASSERT_STRING_EQUAL(rs_places(b, key), where);
  }
  CU_ASSERT_EQUAL(rs_count(&b->closed), 0);
}

/* All of them are waited for together: in the time of one. */
static uint64_t time_of_stopping(void) {
  struct rs_node *a = rs_patient(0);
  struct rs_op ops[RS_SHARDS];
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i, 0)), WWR_OK);
  }
  for (unsigned i = 0; i < RS_SHARDS; i++) stop_shard(i);
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    rs_begin_attach(a, &ops[i], key_of(i, 0), 0);
  }
  uint64_t start = rs_now_ms();
  rs_down(a);
  uint64_t took = rs_now_ms() - start;
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_EQUAL(rs_end(&ops[i]), WWR_E_CLOSED);
    resume_shard(i);
  }
  return took;
}

static void stopping_while_all_are_away(void) {
  uint64_t took = time_of_stopping();
  printf("(%llu ms) ", (unsigned long long)took);
  CU_ASSERT(took < 6000);
}

/* Freed while the membership lives: their words to Redis wait together, too. */
static void freed_first_while_all_are_away(void) {
  struct rs_node *a = rs_patient(0);
  for (unsigned i = 0; i < RS_SHARDS; i++) {
    CU_ASSERT_EQUAL(rs_create(a, key_of(i, 0)), WWR_OK);
    stop_shard(i);
  }
  uint64_t start = rs_now_ms();
  a->store->ops->free(a->store);
  uint64_t took = rs_now_ms() - start;
  printf("(%llu ms) ", (unsigned long long)took);
  CU_ASSERT(took < 4000);
  for (unsigned i = 0; i < RS_SHARDS; i++) resume_shard(i);
  a->bus->ops->close(a->bus);
  wwr_cluster_free(a->cluster);
  a->cluster = NULL;
}

/* Each allocation of making it fails once, and it is tried again. */
static void no_memory(void) {
  struct rs_node *a = rs_node(0);
  wwr_err err = WWR_E_NOMEM;
  unsigned failed = 0;
  wwr_cluster_free(a->cluster);
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&a->cluster, &a->opts, NULL), WWR_OK);
  for (long n = 0; err == WWR_E_NOMEM && n < 1000; n++) {
    a->store = NULL;
    test_alloc_fail_at(n);
    err = wwr_redisstore_new(&a->store, a->cluster);
    test_alloc_fail_at(-1);
    failed += err == WWR_E_NOMEM;
    CU_ASSERT_EQUAL(err == WWR_OK, a->store != NULL);
  }
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT(failed > RS_SHARDS);
  struct rs_op op;
  rs_begin_attach(a, &op, "key", 0);
  a->store->ops->free(a->store);
  CU_ASSERT_EQUAL(rs_end(&op), WWR_E_CLOSED);
  wwr_cluster_free(a->cluster);
  a->cluster = NULL;
}

static CU_TestInfo tests[] = {
    {"each_is_at_its_own_shard", each_is_at_its_own_shard},
    {"events_come_from_all_one_at_a_time", events_come_from_all_one_at_a_time},
    {"unwatched_while_all_tell", unwatched_while_all_tell},
    {"stopped_for_less_than_the_hold", stopped_for_less_than_the_hold},
    {"new_ones_go_to_the_others", new_ones_go_to_the_others},
    {"stopped_for_longer_than_the_hold", stopped_for_longer_than_the_hold},
    {"one_restarted_without_its_data", one_restarted_without_its_data},
    {"what_waits_for_one_leaves_room", what_waits_for_one_leaves_room},
    {"places_are_lost_at_one_shard", places_are_lost_at_one_shard},
    {"a_graceful_stop_leaves_no_counts", a_graceful_stop_leaves_no_counts},
    {"stopping_while_all_are_away", stopping_while_all_are_away},
    {"freed_first_while_all_are_away", freed_first_while_all_are_away},
    {"no_memory", no_memory},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/shards", NULL, NULL, rs_set_up, rs_tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  static const char *const args[] = {"--save", "", NULL};
  if (!redis_available()) return 77;
  if (!rs_begin(RS_LIST, args)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
