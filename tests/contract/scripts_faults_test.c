/* The scripts on servers that fail over, lose their tail, or refuse to write.
 * docs/rules.md, the rows named at the tests. */
#include <dirent.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scripts_rig.h"
#include "test.h"

static struct sr one, two;

static const char *const durable[] = {"--appendonly", "yes", "--appendfsync",
                                      "always", NULL};

static void setup(void) {
  sr_start(&one, NULL);
}

static void teardown(void) {
  if (one.server.dir[0]) sr_end(&one);
  if (two.server.dir[0]) sr_end(&two);
}

/* A replica that has all of its master's data. */
static void follow(struct sr *replica, struct sr *master) {
  char line[64];
  snprintf(line, sizeof(line), "127.0.0.1 %u", master->server.port);
  sr_ask(replica, "REPLICAOF %s", line);
  CU_ASSERT_TRUE_FATAL(redis_until(&replica->server, "INFO replication",
                                   "master_link_status:up"));
  CU_ASSERT_STRING_EQUAL(sr_ask(master, "WAIT 1 10000"), "1");
}

static void start_pair(void) {
  sr_start(&two, NULL);
  sr_ask(&one, "CONFIG SET repl-diskless-sync-delay 0");
  sr_ask(&two, "CONFIG SET repl-diskless-sync-delay 0");
  follow(&two, &one);
}

/* It hears nothing any more, and keeps what it has. */
static void cut_off(struct sr *replica) {
  sr_ask(replica, "REPLICAOF 127.0.0.1 1");
}

static void promote(struct sr *replica) {
  sr_ask(replica, "REPLICAOF NO ONE");
}

static uint64_t beat(struct sr *sr, const char *boot, unsigned n) {
  const struct sr_answer *answer = sr_beat(sr, boot, n);
  if (strcmp(sr_text(answer, 0), "ok") != 0) sr_is(answer, "ok");
  return (uint64_t)sr_number(answer, 1);
}

static void publish(struct sr *sr, unsigned first, unsigned last,
                    const char *expected) {
  for (unsigned seq = first; seq <= last; seq++) {
    CU_ASSERT_STRING_EQUAL(sr_text(sr_publish(sr, "ch", BOOT_A, seq), 0),
                           expected);
  }
}

static struct sr_publish ring(unsigned seq, const char *hint) {
  return (struct sr_publish){.channel = "ch",
                             .author = BOOT_A,
                             .seq = seq,
                             .flags = "rd",
                             .hint = hint};
}

/* --- failover ----------------------------------------------------------- */

/* Row 1: the replica is promoted without the last five. No number that the old
 * master gave to them is given again; the log says where it branched off. */
static void test_promotion_without_the_tail(void) {
  char old[16][48], id[48];
  start_pair();
  uint64_t generation = beat(&one, BOOT_A, 1);
  publish(&one, 1, 10, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  cut_off(&two);
  publish(&one, 11, 15, "ok");
  for (size_t i = 0; i < 16; i++) sr_entry_id(&one, "ch", i, old[i]);
  redis_kill(&one.server);
  promote(&two);
  CU_ASSERT(beat(&two, BOOT_B, 1) > generation);
  for (unsigned seq = 1; seq <= 10; seq++) {
    snprintf(id, sizeof(id), "%s",
             sr_text(sr_publish(&two, "ch", BOOT_B, seq), 1));
    for (size_t i = 0; i < 16; i++) CU_ASSERT_STRING_NOT_EQUAL(id, old[i]);
    CU_ASSERT(strtoull(id, NULL, 10) > strtoull(old[15], NULL, 10));
  }
  CU_ASSERT_STRING_EQUAL(
      sr_log(&two, "ch"),
      "!new 1:d1 2:d2 3:d3 4:d4 5:d5 6:d6 7:d7 8:d8 9:d9 10:d10 !generation "
      "1:d1 2:d2 3:d3 4:d4 5:d5 6:d6 7:d7 8:d8 9:d9 10:d10");
  sr_ask(&two, "XRANGE w:{0}:l:ch - +");
  CU_ASSERT_STRING_EQUAL(sr_text(&two.answer, 9 * 11 + 4), old[10]);
  /* What a node at old[15] reads: its own message is not there. */
  sr_ask(&two, "XRANGE w:{0}:l:ch %s + COUNT 1", old[15]);
  CU_ASSERT_STRING_NOT_EQUAL(sr_text(&two.answer, 0), old[15]);
}

/* Rows 3, 33: the publisher re-submits; exactly what was forgotten is appended,
 * in order. */
static void test_replay_after_promotion(void) {
  char old[6][48];
  start_pair();
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 3, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  cut_off(&two);
  publish(&one, 4, 5, "ok");
  for (size_t i = 0; i < 6; i++) sr_entry_id(&one, "ch", i, old[i]);
  redis_kill(&one.server);
  promote(&two);
  beat(&two, BOOT_A, 2);
  for (unsigned seq = 1; seq <= 5; seq++) {
    struct sr_publish again = ring(seq, old[seq]);
    CU_ASSERT_STRING_EQUAL(sr_text(sr_publish_as(&two, &again), 0),
                           seq <= 3 ? "dup" : "ok");
  }
  CU_ASSERT_STRING_EQUAL(sr_log(&two, "ch"),
                         "!new 1:d1 2:d2 3:d3 !generation 1:d4 2:d5");
}

/* R8: the order ring, unresolved, new is not optional. */
static void test_replay_too_late(void) {
  char old[4][48];
  start_pair();
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 1, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  cut_off(&two);
  publish(&one, 2, 2, "ok");
  for (size_t i = 0; i < 3; i++) sr_entry_id(&one, "ch", i, old[i]);
  redis_kill(&one.server);
  promote(&two);
  beat(&two, BOOT_A, 2);
  publish(&two, 3, 3, "ok");
  struct sr_publish again = ring(2, old[2]);
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&two, &again), "superseded"));
}

/* Row 3 of section 6: the old master follows, and is promoted again. */
static void test_promoted_again(void) {
  uint64_t generations[3], epochs[3];
  start_pair();
  generations[0] = beat(&one, BOOT_A, 1);
  publish(&one, 1, 1, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  promote(&two);
  generations[1] = beat(&two, BOOT_A, 2);
  publish(&two, 2, 2, "ok");
  follow(&one, &two);
  promote(&one);
  generations[2] = beat(&one, BOOT_A, 3);
  publish(&one, 3, 3, "ok");
  CU_ASSERT(generations[1] > generations[0]);
  CU_ASSERT(generations[2] > generations[1]);
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"),
                         "!new 1:d1 !generation 1:d2 !generation 1:d3");
  char id[48];
  for (size_t i = 0; i < 3; i++) {
    epochs[i] = strtoull(sr_entry_id(&one, "ch", 2 * i, id), NULL, 10);
  }
  CU_ASSERT(epochs[1] > epochs[0] && epochs[2] > epochs[1]);
}

/* Row 4: two masters at a time give out different numbers. */
static void test_two_masters(void) {
  char a[48], b[48];
  start_pair();
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 1, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  cut_off(&two);
  promote(&two);
  uint64_t generation = beat(&two, BOOT_B, 1);
  CU_ASSERT(generation > beat(&one, BOOT_A, 2));
  publish(&one, 2, 2, "ok");
  publish(&two, 2, 2, "ok");
  sr_entry_id(&one, "ch", 2, a);
  sr_entry_id(&two, "ch", 3, b);
  CU_ASSERT(a[0] && b[0] && strcmp(a, b) != 0);
}

/* --- restarts ----------------------------------------------------------- */

/* Row 2: kill -9 loses nothing that was written, and still begins a new
 * generation; so does a clean restart. */
static void test_restart_with_data(void) {
  char born[64];
  sr_end(&one);
  sr_start(&one, durable);
  uint64_t generation = beat(&one, BOOT_A, 1);
  snprintf(born, sizeof(born), "%s", sr_text(&one.answer, 2));
  publish(&one, 1, 2, "ok");
  sr_restart(&one);
  CU_ASSERT(beat(&one, BOOT_A, 2) > generation);
  CU_ASSERT_STRING_EQUAL(sr_text(&one.answer, 2), born);
  publish(&one, 3, 3, "ok");
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"), "!new 1:d1 2:d2 !generation 1:d3");
}

/* Cut the newest append-only file by so many bytes. */
static bool truncate_aof(const struct redis_server *server, off_t bytes) {
  char dir[128], file[512] = "";
  snprintf(dir, sizeof(dir), "%s/appendonlydir", server->dir);
  DIR *it = opendir(dir);
  struct dirent *entry;
  while (it && (entry = readdir(it))) {
    if (strstr(entry->d_name, ".incr.aof")) {
      snprintf(file, sizeof(file), "%s/%s", dir, entry->d_name);
    }
  }
  if (it) closedir(it);
  struct stat status;
  return file[0] && stat(file, &status) == 0 && status.st_size > bytes &&
         truncate(file, status.st_size - bytes) == 0;
}

/* Row 2 for real: the tail is gone from the disk. The numbers of what is gone
 * are not given again. */
static void test_truncated_file(void) {
  char old[6][48], id[48];
  sr_end(&one);
  sr_start(&one, durable);
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 5, "ok");
  for (size_t i = 0; i < 6; i++) sr_entry_id(&one, "ch", i, old[i]);
  redis_kill(&one.server);
  CU_ASSERT_TRUE_FATAL(truncate_aof(&one.server, 100));
  sr_restart(&one);
  sr_entry_id(&one, "ch", 5, id);
  CU_ASSERT_STRING_EQUAL(id, ""); /* or the test proves nothing */
  beat(&one, BOOT_A, 2);
  publish(&one, 6, 7, "ok");
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"),
                         "!new 1:d1 2:d2 3:d3 4:d4 !generation 1:d6 2:d7");
  sr_ask(&one, "XRANGE w:{0}:l:ch - +");
  CU_ASSERT_STRING_EQUAL(sr_text(&one.answer, 9 * 5 + 4), old[4]);
}

/* Row 15. */
static void test_restart_without_data(void) {
  uint64_t generation = beat(&one, BOOT_A, 1);
  int64_t born = sr_number(&one.answer, 2);
  publish(&one, 1, 2, "ok");
  char old[48];
  sr_entry_id(&one, "ch", 2, old);
  sr_restart(&one);
  publish(&one, 3, 3, "nogen");
  CU_ASSERT(beat(&one, BOOT_A, 2) > generation);
  CU_ASSERT(sr_number(&one.answer, 2) != born);
  for (unsigned seq = 1; seq <= 2; seq++) { /* the ring fills it again */
    struct sr_publish again = ring(seq, old);
    CU_ASSERT_STRING_EQUAL(sr_text(sr_publish_as(&one, &again), 0), "ok");
  }
  publish(&one, 3, 3, "ok");
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"), "!new 1:d1 2:d2 3:d3");
  char id[48];
  CU_ASSERT(strtoull(sr_entry_id(&one, "ch", 0, id), NULL, 10) >
            strtoull(old, NULL, 10));
}

/* --- refusals ----------------------------------------------------------- */

/* Make every script with arguments that would work. */
static const struct sr_answer *run(struct sr *sr, const char *text) {
  const char *const log[] = {"w:{0}:m:ch", "w:{0}:l:ch", "w:{0}:gen", NULL};
  const char *const rows[] = {"w:{0}:gen", ("w:{0}:pr:ch:" BOOT_A),
                              "w:{0}:pi:ch", NULL};
  if (text == wwri_script_beat) return sr_beat(sr, BOOT_A, 100);
  if (text == wwri_script_publish) return sr_publish(sr, "ch", BOOT_A, 9);
  if (text == wwri_script_open) {
    return sr_eval(sr, text, log, LIST(BOOT_A, "1", "120000", "1", "1000"));
  }
  if (text == wwri_script_history) {
    return sr_eval(sr, text, LIST(log[0], log[1]), LIST("5", "1000", ""));
  }
  if (text == wwri_script_range) {
    return sr_eval(sr, text, LIST(log[1]), LIST("1-1", "5", "1000"));
  }
  if (text == wwri_script_publish_unlogged) {
    return sr_eval(sr, text, LIST("w:{0}:gen"),
                   LIST("w:{0}:c:ch", BOOT_A, "1", BOOT_A, "9", "d"));
  }
  if (text == wwri_script_direct) {
    return sr_eval(sr, text, LIST("w:{0}:nodes"),
                   LIST("30000", BOOT_A, "w:{0}:c:ch", "d"));
  }
  if (text == wwri_script_tops) {
    return sr_eval(sr, text, LIST("w:{0}:l:ch"), LIST(NULL));
  }
  if (text == wwri_script_tops_touch) {
    return sr_eval(sr, text, LIST("w:{0}:l:ch", "w:{0}:m:ch"), LIST("90000"));
  }
  if (text == wwri_script_nodes) {
    return sr_eval(sr, text, LIST("w:{0}:nodes"),
                   LIST("w:{0}:node:", "30000", "9"));
  }
  if (text == wwri_script_presence_set) {
    return sr_eval(sr, text, rows,
                   LIST(BOOT_A, "1", "1", "60000", "0", "ann", "1", "x"));
  }
  if (text == wwri_script_presence_renew) {
    return sr_eval(sr, text, rows + 1, LIST(BOOT_A, "60000", "1"));
  }
  if (text == wwri_script_presence_list) {
    return sr_eval(sr, text, LIST("w:{0}:nodes", "w:{0}:pi:ch"),
                   LIST("w:{0}:pr:ch:", "30000", "9"));
  }
  return sr_eval(sr, wwri_script_bye,
                 LIST("w:{0}:gen", "w:{0}:nodes", "w:{0}:node:" BOOT_B),
                 LIST(BOOT_B, "30000"));
}

static bool is_in(const char *text, const char *const *list) {
  while (*list && *list != text) list++;
  return *list != NULL;
}

static const char *const readers[] = {wwri_script_tops, wwri_script_nodes,
                                      wwri_script_range, wwri_script_history,
                                      NULL};
static const char *const even_out_of_memory[] = {wwri_script_beat,
                                                 wwri_script_bye,
                                                 wwri_script_tops,
                                                 wwri_script_tops_touch,
                                                 wwri_script_range,
                                                 wwri_script_history,
                                                 wwri_script_nodes,
                                                 wwri_script_presence_set,
                                                 wwri_script_presence_renew,
                                                 wwri_script_presence_list,
                                                 NULL};

/* All scripts but those in `allowed` are refused with `error`, whole: nothing
 * is written, no message leaves. */
static void refused(struct sr *sr, const char *error,
                    const char *const *allowed) {
  char before[32];
  void *listener = sr_listen(sr, "w:{0}:c:ch");
  void *beats = sr_listen(sr, "beats");
  for (size_t i = 0; sr_cluster_scripts[i]; i++) {
    const char *text = sr_cluster_scripts[i];
    if (is_in(text, allowed)) continue;
    snprintf(before, sizeof(before), "%s",
             sr_ask(sr, "INFO persistence")
                 ? strstr(sr_text(&sr->answer, 0), "rdb_changes_since_") + 27
                 : "");
    const struct sr_answer *answer = run(sr, text);
    CU_ASSERT_TRUE(sr_refused(answer, error));
    if (sr->texts) CU_ASSERT_EQUAL(answer->outcome, WWRI_CALL_UNAVAILABLE);
    sr_ask(sr, "INFO persistence");
    const char *after = strstr(sr_text(&sr->answer, 0), "rdb_changes_since_");
    CU_ASSERT(after && strncmp(after + 27, before, 8) == 0);
  }
  CU_ASSERT_TRUE(sr_heard_nothing(sr, listener, "w:{0}:c:ch"));
  CU_ASSERT_TRUE(sr_heard_nothing(sr, beats, "beats"));
  sr_listen_end(listener);
  sr_listen_end(beats);
  for (size_t i = 0; allowed[i]; i++) {
    CU_ASSERT_STRING_EQUAL(run(sr, allowed[i])->error, "");
  }
}

/* Row 35. */
static void test_out_of_memory(void) {
  sr_link(&one, sr_cluster_scripts);
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 2, "ok");
  sr_ask(&one, "CONFIG SET maxmemory 1");
  refused(&one, "OOM", even_out_of_memory);
  sr_ask(&one, "CONFIG SET maxmemory 0");
  publish(&one, 3, 3, "ok");
}

static void test_without_enough_replicas(void) {
  sr_link(&one, sr_cluster_scripts);
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 2, "ok");
  sr_ask(&one, "CONFIG SET min-replicas-to-write 1");
  refused(&one, "NOREPLICAS", readers);
}

/* The disk is gone. */
static void test_can_not_save(void) {
  sr_end(&one);
  sr_start(&one, LIST("--save", "3600 1"));
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 2, "ok");
  if (rmdir(one.server.dir)) abort();
  sr_ask(&one, "BGSAVE");
  CU_ASSERT_TRUE_FATAL(redis_until(&one.server, "INFO persistence",
                                   "rdb_last_bgsave_status:err"));
  refused(&one, "MISCONF", readers);
}

static void test_on_a_replica(void) {
  start_pair();
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 2, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&one, "WAIT 1 10000"), "1");
  refused(&two, "READONLY", readers);
}

/* One that takes writes is found out by the beat, without which there is no
 * generation that anybody could know. */
static void test_on_a_writable_replica(void) {
  start_pair();
  beat(&one, BOOT_A, 1);
  sr_ask(&two, "CONFIG SET replica-read-only no");
  CU_ASSERT_TRUE(sr_refused(sr_beat(&two, BOOT_B, 1), "READONLY"));
}

/* --- NOSCRIPT ----------------------------------------------------------- */

/* Row 30: of two publishes under way the first finds no script, another node
 * loads it, the second is executed. */
static void test_no_script_between_two(void) {
  char sha[48];
  const char *args[16];
  size_t argc = 0;
  beat(&one, BOOT_A, 1);
  redisContext *raw = one.raw;
  redisReply *reply = redisCommand(raw, "SCRIPT LOAD %s", wwri_script_publish);
  snprintf(sha, sizeof(sha), "%s", reply ? reply->str : "");
  freeReplyObject(reply);
  sr_ask(&one, "SCRIPT FLUSH");
  for (const char *seq = "5"; seq; seq = seq[0] == '5' ? "6" : NULL) {
    const char *const words[] = {
        "EVALSHA",    sha,         "3",          "w:{0}:m:ch",
        "w:{0}:l:ch", "w:{0}:gen", "w:{0}:c:ch", BOOT_A,
        "1",          BOOT_A,      seq,          seq,
        "100",        "60000",     "120000",     ""};
    for (argc = 0; argc < 16; argc++) args[argc] = words[argc];
    redisAppendCommandArgv(raw, (int)argc, args, NULL);
    if (seq[0] == '5') {
      redisAppendCommand(raw, "SCRIPT LOAD %s", wwri_script_publish);
    }
  }
  const char *const expected[] = {"NOSCRIPT", NULL, NULL};
  for (size_t i = 0; i < 3; i++) {
    void *out = NULL;
    CU_ASSERT_EQUAL_FATAL(redisGetReply(raw, &out), REDIS_OK);
    reply = out;
    CU_ASSERT_EQUAL(reply->type == REDIS_REPLY_ERROR, expected[i] != NULL);
    if (expected[i]) CU_ASSERT_PTR_NOT_NULL(strstr(reply->str, expected[i]));
    freeReplyObject(reply);
  }
  const struct sr_publish again = {
      .channel = "ch", .author = BOOT_A, .seq = 5, .flags = "r"};
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&one, &again), "superseded"));
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"), "!new 1:6");
}

/* By the link: not executed, and it comes back with the scripts loaded. */
static void test_no_script_on_the_link(void) {
  sr_link(&one, sr_cluster_scripts);
  beat(&one, BOOT_A, 1);
  publish(&one, 1, 1, "ok");
  sr_ask(&one, "SCRIPT FLUSH");
  const struct sr_answer *answer = sr_publish(&one, "ch", BOOT_A, 2);
  CU_ASSERT_TRUE(sr_refused(answer, "NOSCRIPT"));
  CU_ASSERT_EQUAL(answer->outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_TRUE_FATAL(rig_wait(&one.rig, &one.rig.live, 2));
  publish(&one, 2, 2, "ok");
  CU_ASSERT_STRING_EQUAL(sr_log(&one, "ch"), "!new 1:d1 2:d2");
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo failover[] = {
      {"without the tail", test_promotion_without_the_tail},
      {"replay", test_replay_after_promotion},
      {"replay too late", test_replay_too_late},
      {"promoted again", test_promoted_again},
      {"two masters", test_two_masters},
      CU_TEST_INFO_NULL};
  CU_TestInfo restart[] = {{"with data", test_restart_with_data},
                           {"truncated file", test_truncated_file},
                           {"without data", test_restart_without_data},
                           CU_TEST_INFO_NULL};
  CU_TestInfo refusals[] = {
      {"out of memory", test_out_of_memory},
      {"replicas", test_without_enough_replicas},
      {"can't save", test_can_not_save},
      {"on a replica", test_on_a_replica},
      {"on a writable replica", test_on_a_writable_replica},
      {"no script", test_no_script_between_two},
      {"no script, link", test_no_script_on_the_link},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"failover", NULL, NULL, setup, teardown, failover},
                           {"restart", NULL, NULL, setup, teardown, restart},
                           {"refusals", NULL, NULL, setup, teardown, refusals},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
