/* bus_faults_test.c - the Redis bus of three nodes in one process while Redis
 * is stopped, killed, emptied, filled, cut off and replaced under traffic.
 * Every message is counted (bus_ledger.h). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus_ledger.h"
#include "position.h"
#include "redis_fixture.h"
#include "test.h"

enum { SHORT_HOLD_MS = 2000, STOP_MS = 3000, LONG_STOP_MS = 4000 };

static struct redis_server server;
static char url[64];

/* Held for longer than Redis is away, on a busy machine, too. */
static const struct ledger_opts usual = {.url = url,
                                         .hold_ms = 30000,
                                         .pace_ms = 3,
                                         .payload = 100,
                                         .log_entries = 100000};

static void begin_with(const char *const *args,
                       const struct ledger_opts *opts) {
  redis_init(&server, args);
  snprintf(url, sizeof url, "redis://127.0.0.1:%s", server.port_text);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  ledger_open(opts);
  CU_ASSERT_TRUE(ledger_await_acked(200));
}

static void begin(const char *const *args) {
  begin_with(args, &usual);
}

/* A fault takes its time; traffic goes on meanwhile. */
static void lasts(int ms) {
  poll(NULL, 0, ms);
}

static struct ledger_sums end(const char *name) {
  struct ledger_sums sums = ledger_end(name);
  redis_remove(&server);
  return sums;
}

static void run(const char *line) {
  CU_ASSERT_TRUE(redis_run(&server, line, NULL, 0));
}

/* One node loses its link; the others publish on: what it misses is on this
 * server alone. */
static void one_node_is_cut_off(void) {
  char list[8192], line[64];
  unsigned id = 0;
  CU_ASSERT_TRUE_FATAL(
      redis_run(&server, "CLIENT LIST TYPE pubsub", list, sizeof list));
  CU_ASSERT_EQUAL_FATAL(sscanf(list, "id=%u", &id), 1);
  snprintf(line, sizeof line, "CLIENT KILL ID %u", id);
  run(line);
  CU_ASSERT_TRUE(ledger_await_acked(20));
}

static void nothing_happens(void) {
  begin(NULL);
  ledger_fault_over();
  struct ledger_sums sums = end("calm");
  ledger_expect_whole(&sums);
  CU_ASSERT_EQUAL(sums.verdicts[3], 0);
}

static void redis_is_stopped(void) {
  begin(NULL);
  redis_signal(&server, SIGSTOP);
  lasts(STOP_MS);
  redis_signal(&server, SIGCONT);
  ledger_fault_over();
  struct ledger_sums sums = end("stopped 3 s");
  ledger_expect_whole(&sums);
}

static void redis_is_stopped_for_longer_than_the_hold_time(void) {
  struct ledger_opts opts = usual;
  opts.hold_ms = SHORT_HOLD_MS;
  begin_with(NULL, &opts);
  redis_signal(&server, SIGSTOP);
  CU_ASSERT_TRUE(ledger_await_ready(false));
  lasts(LONG_STOP_MS);
  redis_signal(&server, SIGCONT);
  ledger_fault_over();
  struct ledger_sums sums = end("stopped for longer than hold");
  CU_ASSERT_TRUE(sums.failed + sums.unknown > 0);
  CU_ASSERT_TRUE(sums.longest_ack_ms < SHORT_HOLD_MS + 3000);
}

static const char *const durable[] = {"--appendonly", "yes", "--appendfsync",
                                      "always", NULL};

static void redis_restarts_with_its_data(void) {
  begin(durable);
  redis_kill(&server);
  lasts(500);
  CU_ASSERT_TRUE(redis_start(&server));
  ledger_fault_over();
  struct ledger_sums sums = end("restarted with data");
  ledger_expect_whole(&sums);
}

/* The end of the log is gone, as after a crash of the machine. */
static void cut_aof(off_t bytes) {
  char path[200];
  struct stat info;
  snprintf(path, sizeof path, "%s/appendonlydir/appendonly.aof.1.incr.aof",
           server.dir);
  CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
  CU_ASSERT_TRUE_FATAL(info.st_size > bytes);
  CU_ASSERT_EQUAL(truncate(path, info.st_size - bytes), 0);
}

static void redis_restarts_with_its_tail_cut(void) {
  begin(durable);
  one_node_is_cut_off();
  redis_kill(&server);
  cut_aof(20001);
  CU_ASSERT_TRUE(redis_start(&server));
  ledger_fault_over();
  struct ledger_sums sums = end("restarted with its tail cut");
  ledger_expect_complete(&sums);
}

static void redis_restarts_without_its_data(void) {
  begin(NULL);
  one_node_is_cut_off();
  redis_kill(&server);
  lasts(500);
  CU_ASSERT_TRUE(redis_start(&server));
  ledger_fault_over();
  struct ledger_sums sums = end("restarted without data");
  ledger_expect_complete(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
}

static void redis_is_flushed(void) {
  begin(NULL);
  one_node_is_cut_off();
  run("FLUSHALL");
  ledger_fault_over();
  struct ledger_sums sums = end("flushed");
  ledger_expect_complete(&sums);
}

static void redis_closes_every_connection(void) {
  begin(NULL);
  for (int i = 0; i < 5; i++) {
    run("CLIENT KILL TYPE normal");
    run("CLIENT KILL TYPE pubsub");
    CU_ASSERT_TRUE(ledger_await_acked(30));
  }
  for (int i = 0; i < 5; i++) {
    run(i % 2 ? "CLIENT KILL TYPE normal" : "CLIENT KILL TYPE pubsub");
    lasts(100);
  }
  ledger_fault_over();
  struct ledger_sums sums = end("all connections closed, 10 times");
  ledger_expect_whole(&sums);
}

static void redis_memory_is_full(void) {
  begin(NULL);
  run("CONFIG SET maxmemory 1mb");
  lasts(STOP_MS);
  run("CONFIG SET maxmemory 0");
  ledger_fault_over();
  struct ledger_sums sums = end("memory full for 3 s");
  ledger_expect_whole(&sums);
}

static void redis_memory_is_full_for_longer_than_the_hold_time(void) {
  struct ledger_opts opts = usual;
  opts.hold_ms = SHORT_HOLD_MS;
  begin_with(NULL, &opts);
  run("CONFIG SET maxmemory 1mb");
  lasts(LONG_STOP_MS);
  run("CONFIG SET maxmemory 0");
  ledger_fault_over();
  struct ledger_sums sums = end("memory full for longer than hold");
  CU_ASSERT_TRUE(sums.failed > 0);
  CU_ASSERT_TRUE(sums.received >= sums.expected); /* some were unknown */
}

/* One message over the limit, and Redis closes every subscriber: the message
 * itself can only come from the log. */
static void subscribers_are_cut_off_as_slow(void) {
  static const char *const narrow[] = {
      "--client-output-buffer-limit", "pubsub", "48kb", "48kb", "0", NULL};
  begin(narrow);
  for (int i = 0; i < 3; i++) {
    ledger_publish_big();
    CU_ASSERT_TRUE(ledger_await_acked(100));
  }
  ledger_fault_over();
  struct ledger_sums sums = end("output buffer limit");
  ledger_expect_whole(&sums);
  CU_ASSERT_TRUE(sums.away > 0); /* else nobody was cut off */
}

static void keys_are_evicted(void) {
  static const char *const victims[] = {"DEL wwr:{0}:m:ch0",
                                        "DEL wwr:{0}:l:ch1",
                                        "DEL wwr:{0}:m:ch2 wwr:{0}:l:ch2",
                                        "DEL wwr:{0}:gen",
                                        "DEL wwr:{0}:nodes",
                                        "DEL wwr:{0}:m:!ctl",
                                        "DEL wwr:{0}:l:!ctl"};
  begin(NULL);
  for (unsigned i = 0; i < sizeof victims / sizeof *victims; i++) {
    char count[32] = "";
    CU_ASSERT_TRUE(redis_run(&server, victims[i], count, sizeof count));
    CU_ASSERT_STRING_NOT_EQUAL(count, "0"); /* it was there */
    CU_ASSERT_TRUE(ledger_await_acked(50));
  }
  ledger_fault_over();
  end("keys evicted");
}

/* The replica stops following; what is written until the master dies is missing
 * when the replica takes its place (its port). */
static void a_replica_that_missed_writes_is_promoted(void) {
  struct redis_server replica;
  char line[64];
  begin(NULL);
  const char *const args[] = {"--replicaof", "127.0.0.1", server.port_text,
                              NULL};
  redis_init(&replica, args);
  CU_ASSERT_TRUE_FATAL(redis_start(&replica));
  CU_ASSERT_TRUE(
      redis_until(&replica, "INFO replication", "master_link_status:up"));
  CU_ASSERT_TRUE(ledger_await_acked(200));
  CU_ASSERT_TRUE(redis_run(&replica, "REPLICAOF NO ONE", NULL, 0));
  CU_ASSERT_TRUE(ledger_await_acked(200));
  one_node_is_cut_off();
  redis_kill(&server);
  snprintf(line, sizeof line, "CONFIG SET port %s", server.port_text);
  CU_ASSERT_TRUE(redis_run(&replica, line, NULL, 0));
  replica.port = server.port;
  ledger_fault_over();
  struct ledger_sums sums = end("replica promoted after missing writes");
  ledger_expect_complete(&sums);
  CU_ASSERT_EQUAL(sums.failed, 0);
  redis_remove(&replica);
}

#define TEST(name) \
  { #name, name }

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      TEST(nothing_happens),
      TEST(redis_is_stopped),
      TEST(redis_is_stopped_for_longer_than_the_hold_time),
      TEST(redis_restarts_with_its_data),
      TEST(redis_restarts_with_its_tail_cut),
      TEST(redis_restarts_without_its_data),
      TEST(redis_is_flushed),
      TEST(redis_closes_every_connection),
      TEST(redis_memory_is_full),
      TEST(redis_memory_is_full_for_longer_than_the_hold_time),
      TEST(subscribers_are_cut_off_as_slow),
      TEST(keys_are_evicted),
      TEST(a_replica_that_missed_writes_is_promoted),
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"bus_faults", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
