/* Links of a hub on a real Redis Cluster of six processes: what happens to a
 * slot or a node is felt by the links concerned, and by no other. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_cluster_fixture.h"
#include "redis_hub_rig.h"
#include "slots.h"
#include "test.h"

enum { MASTERS = 3, PER_MASTER = 2, LINKS = MASTERS * PER_MASTER };

/* It says so itself what it publishes: rewritten for the cluster. */
static const char publish[] =
    "#!lua\nreturn redis.call('PUBLISH', ARGV[1], ARGV[2])\n";

struct world {
  struct hub_rig hub;
  struct rig rig[LINKS];
  int script[LINKS];
};

/* Else all slots stand still while one master is away. */
static const char *const server_args[] = {
    "--cluster-require-full-coverage", "no",
    "--cluster-allow-pubsubshard-when-down", "no", NULL};

static struct redis_cluster cluster;
static struct world worlds[2];
static char tags[LINKS][8]; /* PER_MASTER in each third of the slots */

static unsigned slot_of(const char *tag) {
  return wwri_slot_of(wwr_view_str(tag));
}

static void find_tags(void) {
  int found[MASTERS] = {0};
  for (int n = 0, all = 0; all < LINKS; n++) {
    char tag[8];
    snprintf(tag, sizeof(tag), "%d", n);
    unsigned third = slot_of(tag) * MASTERS / WWRI_SLOTS;
    if (found[third] == PER_MASTER) continue;
    memcpy(tags[third * PER_MASTER + (unsigned)found[third]++], tag, 8);
    all++;
  }
}

/* --- A process' worth of links ------------------------------------------ */

static void begin(struct world *world, const char *url) {
  hub_rig_init(&world->hub, url);
  hub_rig_start(&world->hub);
  for (int i = 0; i < LINKS; i++) {
    rig_init_hub(&world->rig[i], url, world->hub.loop, world->hub.hub, tags[i]);
    rig_make(&world->rig[i]);
    world->script[i] = wwri_redis_script(world->rig[i].link, publish);
  }
  for (int i = 0; i < LINKS; i++) rig_start(&world->rig[i], NULL);
}

static void begin_live(struct world *world, const char *url) {
  begin(world, url);
  for (int i = 0; i < LINKS; i++) {
    CU_ASSERT_FATAL(rig_wait(&world->rig[i], &world->rig[i].live, 1));
  }
}

static void end(struct world *world) {
  for (int i = 0; i < LINKS; i++) rig_end(&world->rig[i]);
  hub_rig_end(&world->hub);
}

/* Publish by script through link i. */
static struct rig_result say(struct world *world, int i, const char *text) {
  char line[100];
  snprintf(line, sizeof(line), "{%s}k {%s}ch:0 %s", tags[i], tags[i], text);
  return rig_eval(&world->rig[i], world->script[i], line, 1);
}

static bool heard(struct rig *rig, const char *text) {
  pthread_mutex_lock(&rig->lock);
  bool is = strcmp(rig->subs[0].last, text) == 0;
  pthread_mutex_unlock(&rig->lock);
  return is;
}

/* Link i of one hears what link i of the other says, perhaps after what was
 * said before: its answer may have overtaken the message. */
static bool hears(struct world *to, struct world *from, int i,
                  const char *text) {
  struct rig *rig = &to->rig[i];
  unsigned count = rig_count(rig, &rig->subs[0].messages);
  struct rig_result result = say(from, i, text);
  if (result.err != WWR_OK || result.outcome != WWRI_CALL_OK) return false;
  do {
    if (!rig_wait(rig, &rig->subs[0].messages, ++count)) return false;
  } while (!heard(rig, text));
  return true;
}

static void all_hear(struct world *to, struct world *from, const char *text) {
  for (int i = 0; i < LINKS; i++) CU_ASSERT(hears(to, from, i, text));
}

static void subscribe_all(struct world *world) {
  for (int i = 0; i < LINKS; i++) {
    struct rig *rig = &world->rig[i];
    rig_subscribe(rig, 0, 3);
    CU_ASSERT_FATAL(rig_wait(rig, &rig->subs_subscribed, 3));
  }
}

static void note_losses(struct world *world, unsigned *losses) {
  for (int i = 0; i < LINKS; i++) {
    losses[i] = rig_count(&world->rig[i], &world->rig[i].lost);
  }
}

/* --- Tests -------------------------------------------------------------- */

static void test_one_trunk_per_node(void) {
  struct wwri_redis_hub_stats stats = hub_rig_stats(&worlds[0].hub);
  CU_ASSERT_EQUAL(stats.trunks, MASTERS);
  CU_ASSERT_EQUAL(stats.masters, MASTERS);
  CU_ASSERT(stats.nodes >= MASTERS);
  CU_ASSERT_EQUAL(stats.slots, WWRI_SLOTS);
  CU_ASSERT_EQUAL(stats.refreshes, 1);
  for (int i = 0; i < LINKS; i++) {
    struct wwri_redis_stats link = rig_stats(&worlds[0].rig[i]);
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u",
             cluster.servers[i / PER_MASTER].port);
    CU_ASSERT_STRING_EQUAL(link.address, address);
  }
}

static void test_messages(void) {
  subscribe_all(&worlds[0]);
  all_hear(&worlds[0], &worlds[1], "hello");
  all_hear(&worlds[0], &worlds[0], "self");
}

static void test_wrong_tag(void) {
  struct rig *rig = &worlds[0].rig[0];
  char name[32];
  struct rig_result result;
  snprintf(name, sizeof(name), "SET {%s}x 1", tags[LINKS - 1]);
  /* Another slot's key is our own mistake; it looks like a slot that moved. */
  result = rig_run(&worlds[1].rig[0], name, 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_FALSE(result.maybe_done);
  CU_ASSERT(rig_wait(&worlds[1].rig[0], &worlds[1].rig[0].live, 2));
  CU_ASSERT(hears(&worlds[0], &worlds[1], 0, "again"));
  CU_ASSERT_EQUAL(rig_count(rig, &rig->lost), 0);
}

static void do_drop(struct rig *rig, void *arg) {
  (void)arg;
  wwri_redis_drop(rig->link, "a test");
}

/* A link that starts over on a trunk that goes on: what it had subscribed does
 * not haunt it, and nobody else notices. */
static void test_drop(void) {
  struct rig *rig = &worlds[0].rig[1];
  unsigned live = rig_count(rig, &rig->live);
  for (unsigned i = 0; i < 20; i++) {
    say(&worlds[1], 1, "before");
    if (i == 10) rig_unsubscribe(rig, 2);
    rig_on_loop(rig, do_drop, NULL);
    say(&worlds[1], 1, "between");
    CU_ASSERT_FATAL(rig_wait(rig, &rig->live, live + i + 1));
  }
  CU_ASSERT_EQUAL(rig_count(rig, &rig->causes[WWRI_CAUSE_PROTOCOL]), 0);
  CU_ASSERT_EQUAL(rig_count(&worlds[0].rig[0], &worlds[0].rig[0].lost), 0);
  unsigned told = rig_count(rig, &rig->subs[0].lost);
  CU_ASSERT(rig_wait(rig, &rig->subs[0].subscribed, told + 1));
  CU_ASSERT(hears(&worlds[0], &worlds[1], 1, "after"));
}

static void test_scripts_flushed(void) {
  struct rig *rig = &worlds[0].rig[0];
  unsigned live = rig_count(rig, &rig->live);
  unsigned other = rig_count(&worlds[0].rig[2], &worlds[0].rig[2].lost);
  CU_ASSERT(redis_run(&cluster.servers[0], "SCRIPT FLUSH", NULL, 0));
  CU_ASSERT(rig_wait(rig, &rig->live, live + 1));
  unsigned lost = rig_count(rig, &rig->subs[0].lost);
  CU_ASSERT(rig_wait(rig, &rig->subs[0].subscribed, lost + 1));
  CU_ASSERT(hears(&worlds[0], &worlds[0], 0, "loaded"));
  CU_ASSERT_EQUAL(rig_count(&worlds[0].rig[2], &worlds[0].rig[2].lost), other);
}

/* Wait for all links of both worlds to be live, with their subscriptions. */
static void await_all_live(void) {
  for (int w = 0; w < 2; w++) {
    for (int i = 0; i < LINKS; i++) {
      struct rig *rig = &worlds[w].rig[i];
      unsigned lost = rig_count(rig, &rig->lost);
      CU_ASSERT_FATAL(rig_wait(rig, &rig->live, lost + 1));
      if (w > 0) continue;
      lost = rig_count(rig, &rig->subs[0].lost);
      CU_ASSERT_FATAL(rig_wait(rig, &rig->subs[0].subscribed, lost + 1));
    }
  }
}

struct talk {
  pthread_t thread;
  int link;
  bool stop;
  unsigned said;
};

static void *talk(void *arg) {
  struct talk *talk = arg;
  while (!__atomic_load_n(&talk->stop, __ATOMIC_ACQUIRE)) {
    struct rig_result result = say(&worlds[1], talk->link, "talk");
    bool done = result.err == WWR_OK && result.outcome == WWRI_CALL_OK;
    if (done) __atomic_add_fetch(&talk->said, 1, __ATOMIC_RELEASE);
  }
  return NULL;
}

/* Returns when something has been said: it may take longer to begin than what
 * it is to accompany. */
static bool begin_talk(struct talk *it, int link) {
  *it = (struct talk){.link = link};
  CU_ASSERT_EQUAL_FATAL(pthread_create(&it->thread, NULL, talk, it), 0);
  for (int waited = 0; waited < RIG_WAIT_MS; waited++) {
    if (__atomic_load_n(&it->said, __ATOMIC_ACQUIRE) > 0) return true;
    poll(NULL, 0, 1);
  }
  return false;
}

static void end_talk(struct talk *it) {
  __atomic_store_n(&it->stop, true, __ATOMIC_RELEASE);
  pthread_join(it->thread, NULL);
}

static void only_lost(const unsigned *before, const bool *may) {
  for (int i = 0; i < LINKS; i++) {
    unsigned now = rig_count(&worlds[0].rig[i], &worlds[0].rig[i].lost);
    if (may[i]) {
      CU_ASSERT(now > before[i]);
    } else {
      CU_ASSERT_EQUAL(now, before[i]);
    }
  }
}

static void test_slot_moves(void) {
  struct rig *rig = &worlds[0].rig[0];
  const bool may[LINKS] = {true};
  unsigned before[LINKS];
  struct talk it;
  char line[64];
  for (int i = 0; i < 20; i++) {
    snprintf(line, sizeof(line), "SET {%s}%d x", tags[0], i);
    CU_ASSERT(redis_run(&cluster.servers[0], line, NULL, 0));
  }
  note_losses(&worlds[0], before);
  CU_ASSERT(begin_talk(&it, 0));
  CU_ASSERT(redis_cluster_move(&cluster, slot_of(tags[0]), 1, 100));
  CU_ASSERT(rig_wait(rig, &rig->lost, before[0] + 1));
  await_all_live();
  end_talk(&it);
  CU_ASSERT_EQUAL(rig_count(rig, &rig->causes[WWRI_CAUSE_PROTOCOL]), 0);
  only_lost(before, may);
  all_hear(&worlds[0], &worlds[1], "moved");
  CU_ASSERT(strstr(rig_stats(rig).address, cluster.servers[1].port_text) !=
            NULL);
}

static void test_hand_over(void) {
  const bool may[LINKS] = {[2 * PER_MASTER] = true,
                           [2 * PER_MASTER + 1] = true};
  unsigned before[LINKS];
  note_losses(&worlds[0], before);
  CU_ASSERT_FATAL(
      redis_cluster_hand_over(&cluster, slot_of(tags[2 * PER_MASTER])));
  for (int i = 2 * PER_MASTER; i < LINKS; i++) {
    struct rig *rig = &worlds[0].rig[i];
    CU_ASSERT(rig_wait(rig, &rig->lost, before[i] + 1));
  }
  await_all_live();
  all_hear(&worlds[0], &worlds[1], "handed");
  only_lost(before, may);
}

static void test_new_node(void) {
  unsigned node = redis_cluster_add(&cluster, server_args);
  struct rig *rig = &worlds[0].rig[3];
  unsigned lost = rig_count(rig, &rig->lost);
  CU_ASSERT_FATAL(node < REDIS_CLUSTER_MAX);
  CU_ASSERT_FATAL(redis_cluster_move(&cluster, slot_of(tags[3]), node, 0));
  CU_ASSERT(rig_wait(rig, &rig->lost, lost + 1));
  await_all_live();
  all_hear(&worlds[0], &worlds[1], "new");
  CU_ASSERT(strstr(rig_stats(rig).address, cluster.servers[node].port_text) !=
            NULL);
  CU_ASSERT_EQUAL(hub_rig_stats(&worlds[0].hub).trunks, MASTERS + 1);
}

/* The master that dies is the only seed of the second world. */
static void test_master_dies(void) {
  unsigned before[LINKS];
  bool may[LINKS] = {false};
  unsigned victim = redis_cluster_owner(&cluster, slot_of(tags[1]));
  for (int i = 0; i < LINKS; i++) {
    may[i] = redis_cluster_owner(&cluster, slot_of(tags[i])) == victim;
  }
  unsigned others = rig_count(&worlds[1].rig[1], &worlds[1].rig[1].lost);
  CU_ASSERT_EQUAL(victim, 0);
  note_losses(&worlds[0], before);
  CU_ASSERT_FATAL(redis_cluster_fail_over(&cluster, slot_of(tags[1])));
  CU_ASSERT(rig_wait(&worlds[0].rig[1], &worlds[0].rig[1].lost, before[1] + 1));
  CU_ASSERT(rig_wait(&worlds[1].rig[1], &worlds[1].rig[1].lost, others + 1));
  await_all_live();
  only_lost(before, may);
  all_hear(&worlds[0], &worlds[1], "survived");
}

/* It stands still; nothing is closed. */
static void test_master_hangs(void) {
  unsigned owner = redis_cluster_owner(&cluster, slot_of(tags[4]));
  unsigned replica = redis_cluster_replica(&cluster, owner);
  unsigned before[2][LINKS];
  CU_ASSERT_FATAL(replica < REDIS_CLUSTER_MAX);
  for (int w = 0; w < 2; w++) note_losses(&worlds[w], before[w]);
  redis_signal(&cluster.servers[owner], SIGSTOP);
  for (int w = 0; w < 2; w++) {
    for (int i = 4; i < LINKS; i++) {
      struct rig *rig = &worlds[w].rig[i];
      CU_ASSERT(rig_wait(rig, &rig->lost, before[w][i] + 1));
    }
  }
  CU_ASSERT(redis_until(&cluster.servers[replica], "INFO replication",
                        "role:master"));
  await_all_live();
  all_hear(&worlds[0], &worlds[1], "stopped");
  CU_ASSERT_EQUAL(rig_count(&worlds[0].rig[0], &worlds[0].rig[0].lost),
                  before[0][0]);
  redis_signal(&cluster.servers[owner], SIGCONT);
  all_hear(&worlds[0], &worlds[1], "resumed");
}

static void test_begin(void) {
  char seed[64];
  begin_live(&worlds[0], cluster.url);
  snprintf(seed, sizeof(seed), "redis+cluster://127.0.0.1:%u",
           cluster.servers[0].port);
  begin_live(&worlds[1], seed);
}

static void test_end(void) {
  end(&worlds[0]);
  end(&worlds[1]);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"all are live", test_begin},
                         {"one trunk per node", test_one_trunk_per_node},
                         {"messages", test_messages},
                         {"a key of another slot", test_wrong_tag},
                         {"a link starts over", test_drop},
                         {"scripts are flushed", test_scripts_flushed},
                         {"a slot moves", test_slot_moves},
                         {"hand over", test_hand_over},
                         {"a new node", test_new_node},
                         {"a master dies", test_master_dies},
                         {"a master hangs", test_master_hangs},
                         {"the end", test_end},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"redis hub", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  find_tags();
  if (!redis_cluster_start(&cluster, MASTERS, 1, server_args)) return 1;
  int status = test_run(argc, argv, suites);
  redis_cluster_remove(&cluster);
  return status;
}
