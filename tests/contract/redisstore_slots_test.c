/* Sessions in a Redis Cluster whose slots move, and whose masters fail: what is
 * asked meanwhile waits, and is right afterwards; who is elsewhere does not
 * notice. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition.h"
#include "redisstore_rig.h"

enum { SESSIONS = 120, HALF_MS = 1500, KEYS_AHEAD = 100000 };

/* --- Keys of a partition -------------------------------------------------- */

static unsigned partition_of(const char *key) {
  const char *id = strrchr(rs_name(key), ':') + 1;
  return wwri_partition_of(wwr_view_str(id));
}

/* The first `count` keys of that partition. */
static void find_keys(unsigned partition, char (*out)[16], size_t count) {
  size_t found = 0;
  for (unsigned i = 0; i < KEYS_AHEAD && found < count; i++) {
    snprintf(out[found], sizeof *out, "key-%u", i);
    found += partition_of(out[found]) == partition;
  }
  CU_ASSERT_EQUAL_FATAL(found, count);
}

static unsigned slot_of(const char *key) {
  return redis_cluster_slot(&rs.cluster, rs_name(key));
}

enum { LIVES = 5 };

/* Keys of a partition that another server has: one for each life, for a key
 * that is not there is not looked for again at once. */
static void find_keys_elsewhere(const char *key, char out[LIVES][16]) {
  unsigned owner = redis_cluster_owner(&rs.cluster, slot_of(key));
  for (unsigned partition = 0; partition < WWRI_PARTITIONS; partition += 7) {
    find_keys(partition, out, LIVES);
    if (redis_cluster_owner(&rs.cluster, slot_of(out[0])) != owner) return;
  }
  CU_FAIL_FATAL("one server has everything");
}

/* --- Sessions that live through it ---------------------------------------- */

/* Sessions of one partition: each has a connection at the first node; every
 * other one gets a second one at the second node meanwhile, every third is left
 * and every fifth is killed. */
struct crowd {
  struct rs_node *a, *b;
  char keys[SESSIONS][16];
  struct rs_op attaches[SESSIONS], ends[SESSIONS];
};

enum fate { STAYS, LEFT, KILLED };

static enum fate fate_of(unsigned i) {
  if (i % 5 == 4) return KILLED;
  return i % 3 == 2 ? LEFT : STAYS;
}

static bool is_shared(unsigned i) {
  return i % 2 == 0;
}

static void crowd_begin(struct crowd *crowd, unsigned partition) {
  crowd->a = rs_patient(0);
  crowd->b = rs_patient(1);
  find_keys(partition, crowd->keys, SESSIONS);
  for (unsigned i = 0; i < SESSIONS; i++) {
    rs_begin_create(crowd->a, &crowd->ends[i], crowd->keys[i], "{\"n\":1}");
  }
  for (unsigned i = 0; i < SESSIONS; i++) {
    CU_ASSERT_EQUAL_FATAL(rs_end(&crowd->ends[i]), WWR_OK);
  }
}

static void crowd_act(struct crowd *crowd, unsigned from, unsigned to) {
  for (unsigned i = from; i < to; i++) {
    const char *key = crowd->keys[i];
    if (is_shared(i)) {
      rs_begin_attach(crowd->b, &crowd->attaches[i], key, 2);
    }
    if (is_shared(i) && fate_of(i) != STAYS) {
      /* Else the other's word could be heard first. */
      CU_ASSERT_EQUAL(rs_end(&crowd->attaches[i]), WWR_OK);
    }
    if (fate_of(i) == LEFT) rs_begin_leave(crowd->a, &crowd->ends[i], key);
    if (fate_of(i) == KILLED) rs_begin_kill(crowd->a, &crowd->ends[i], key);
  }
}

static void crowd_check_one(struct crowd *crowd, unsigned i) {
  const char *key = crowd->keys[i];
  if (is_shared(i)) {
    CU_ASSERT_EQUAL(rs_end(&crowd->attaches[i]), WWR_OK);
    wwr_session_unref(crowd->attaches[i].session);
  }
  if (fate_of(i) != STAYS) {
    CU_ASSERT_EQUAL(rs_end(&crowd->ends[i]), WWR_OK);
  }
  const char *where = is_shared(i) ? "first=1 second=1" : "first=1";
  if (fate_of(i) == LEFT) where = is_shared(i) ? "second=1" : NULL;
  if (fate_of(i) == KILLED) where = NULL;
  CU_ASSERT_TRUE(
      rs_places_become(crowd->b, key, where ? where : "session-not-found"));
}

static void crowd_end(struct crowd *crowd) {
  unsigned killed = LIVES, killed_there = 0; /* by each life one */
  for (unsigned i = 0; i < SESSIONS; i++) {
    crowd_check_one(crowd, i);
    killed += fate_of(i) == KILLED;
    killed_there += fate_of(i) == KILLED && is_shared(i);
  }
  CU_ASSERT_TRUE(rs_wait(&crowd->a->closed, killed));
  CU_ASSERT_TRUE(rs_wait(&crowd->b->closed, killed_there));
  CU_ASSERT_EQUAL(rs_count(&crowd->a->closed), killed);
  CU_ASSERT_EQUAL(rs_count(&crowd->b->closed), killed_there);
  CU_ASSERT_EQUAL(rs_count(&crowd->a->evicted), 0);
  CU_ASSERT_EQUAL(rs_count(&crowd->b->evicted), 0);
}

/* --- What happens to the slot --------------------------------------------- */

struct trouble {
  pthread_t thread;
  unsigned slot, to;
  bool (*run)(const struct trouble *trouble);
  bool good;
};

static void *run_trouble(void *arg) {
  struct trouble *trouble = arg;
  trouble->good = trouble->run(trouble);
  return NULL;
}

static void begin_trouble(struct trouble *trouble, unsigned slot,
                          bool (*run)(const struct trouble *)) {
  unsigned owner = redis_cluster_owner(&rs.cluster, slot);
  *trouble = (struct trouble){.slot = slot, .run = run};
  while (trouble->to == owner || !rs.cluster.servers[trouble->to].proc ||
         redis_cluster_replica(&rs.cluster, trouble->to) == REDIS_CLUSTER_MAX) {
    trouble->to++;
  }
  CU_ASSERT_EQUAL_FATAL(
      pthread_create(&trouble->thread, NULL, run_trouble, trouble), 0);
}

static void end_trouble(struct trouble *trouble) {
  pthread_join(trouble->thread, NULL);
  CU_ASSERT_TRUE(trouble->good);
}

/* Some ask before, some while half of the keys are elsewhere, some after. */
static void live_through(unsigned partition,
                         bool (*run)(const struct trouble *)) {
  static struct crowd crowd;
  struct trouble trouble;
  char others[LIVES][16];
  crowd_begin(&crowd, partition);
  find_keys_elsewhere(crowd.keys[0], others);
  begin_trouble(&trouble, slot_of(crowd.keys[0]), run);
  for (unsigned i = 0; i < LIVES; i++) {
    rs_wait_ms(HALF_MS / 6);
    rs_live_a_life(crowd.a, crowd.b, others[i]);
  }
  uint64_t start = rs_now_ms();
  crowd_act(&crowd, 0, SESSIONS / 2);
  for (unsigned i = SESSIONS - 10; i < SESSIONS; i++) {
    CU_ASSERT_STRING_EQUAL(rs_places(crowd.b, crowd.keys[i]), "first=1");
    CU_ASSERT_EQUAL(rs_send(crowd.b, crowd.keys[i], "hello"), WWR_OK);
  }
  end_trouble(&trouble);
  crowd_act(&crowd, SESSIONS / 2, SESSIONS);
  crowd_end(&crowd);
  printf("(%llu ms) ", (unsigned long long)(rs_now_ms() - start));
}

static bool move_slot(const struct trouble *trouble) {
  return redis_cluster_move(&rs.cluster, trouble->slot, trouble->to, HALF_MS);
}

static void a_slot_moves(void) {
  live_through(11, move_slot);
}

static bool hand_over(const struct trouble *trouble) {
  return redis_cluster_hand_over(&rs.cluster, trouble->slot);
}

static void a_master_hands_over(void) {
  live_through(23, hand_over);
}

static bool fail_over(const struct trouble *trouble) {
  return redis_cluster_fail_over(&rs.cluster, trouble->slot);
}

/* Its replica has nearly everything; what it has not is told again by who did
 * it. */
static void a_master_is_killed(void) {
  live_through(42, fail_over);
}

static CU_TestInfo tests[] = {
    {"a_slot_moves", a_slot_moves},
    {"a_master_hands_over", a_master_hands_over},
    {"a_master_is_killed", a_master_is_killed},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/slots", NULL, NULL, rs_set_up, rs_tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  rs.replicas = 1;
  if (!rs_begin(RS_CLUSTER, NULL)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
