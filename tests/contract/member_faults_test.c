/* Memberships and a Redis that is away, comes back with or without its data, is
 * full, or lets them in under a user with the least rights. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "member_rig.h"
#include "test.h"

enum { NODES = 2 };

static struct redis_server server;
static struct rig_node nodes[NODES];
static struct rig_receiver receiver;

static void setup(void) {
  static const char *const args[] = {"--appendonly", "yes", NULL};
  memset(nodes, 0, sizeof nodes);
  redis_init(&server, args);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
}

static void teardown(void) {
  for (int i = 0; i < NODES; i++) rig_close(&nodes[i]);
  redis_remove(&server);
}

static void join(int index, const char *name) {
  rig_init(&nodes[index], &server, name);
  rig_join(&nodes[index]);
}

static void two_and_a_receiver(void) {
  join(0, "ann");
  join(1, "bob");
  CU_ASSERT_EQUAL_FATAL(rig_end(rig_subscribe(&receiver, &nodes[1], "room", 0)),
                        WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
}

/* --- away --- */

static void away_for_less_than_the_hold_time(void) {
  rig_init(&nodes[0], &server, "ann");
  rig_init(&nodes[1], &server, "bob");
  nodes[0].opts.hold_ms = nodes[1].opts.hold_ms = 20000;
  nodes[0].opts.lease_ms = nodes[1].opts.lease_ms = 40000;
  rig_join(&nodes[0]);
  rig_join(&nodes[1]);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[1], "room", 0)),
                  WWR_OK);
  redis_kill(&server);
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_HOLDING));
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[0], "redis is away"));
  struct rig_call *publish = rig_publish(&nodes[0], "room", "a", true);
  struct rig_call *unlogged = rig_publish(&nodes[0], "room", "b", false);
  struct rig_call *ask = rig_history(&nodes[0], "room", 5);
  struct rig_call *told = rig_presence(&nodes[0], "room", "x", 1);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_EQUAL(rig_end(publish), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(unlogged), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(ask), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(told), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_FALSE(rig_has_log(&nodes[0], "cluster not ready"));
}

static void away_for_longer(void) {
  two_and_a_receiver();
  redis_kill(&server);
  static struct rig_receiver late; /* until the bus is closed */
  struct rig_call *calls[] = {
      rig_publish(&nodes[0], "room", "b", true),
      rig_publish(&nodes[0], "room", "c", false),
      rig_subscribe(&late, &nodes[0], "hall", 3),
      rig_history(&nodes[0], "room", 3),
      rig_members(&nodes[0], "room"),
      rig_nodes(&nodes[0]),
      rig_send(&nodes[0], wwri_member_boot(nodes[1].member)),
      rig_control(&nodes[0], "t"),
      rig_presence(&nodes[0], "room", "x", 1)};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    CU_ASSERT_EQUAL(rig_end(calls[i]), WWR_E_UNAVAILABLE);
  }
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_UNREADY));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn cluster not ready"));
  CU_ASSERT_TRUE(calls[5]->certain);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_READY));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "d", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&late, &nodes[0], "hall", 3)), WWR_OK);
  /* What was said of this node stands, though nobody waited any more. */
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=1 "));
}

static void a_certain_failure_is_never_seen(void) {
  two_and_a_receiver();
  redis_kill(&server);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn redis lost"));
  struct rig_call *publish = rig_publish(&nodes[0], "room", "b", true);
  CU_ASSERT_EQUAL(rig_end(publish), WWR_E_UNAVAILABLE);
  CU_ASSERT_TRUE(publish->certain);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "c", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a c ");
}

static void never_there(void) {
  redis_kill(&server);
  rig_init(&nodes[0], &server, "ann");
  rig_open(&nodes[0]);
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[0], "refused"));
  struct wwri_bus_state state;
  nodes[0].bus->ops->state(nodes[0].bus, &state);
  CU_ASSERT_EQUAL(state.health, WWRI_BUS_UNREADY);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_EQUAL(rig_counter(&nodes[0], &nodes[0].healths[WWRI_BUS_HOLDING]),
                  0);
}

static void expect_close_within(int index, uint64_t ms) {
  uint64_t begin = rig_now();
  nodes[index].bus->ops->close(nodes[index].bus);
  uint64_t took = rig_now() - begin;
  if (took > ms) printf("\ntook %u ms\n", (unsigned)took);
  CU_ASSERT_TRUE(took <= ms);
}

/* Generous for busy machines; unbounded would be the test's own limit. */
static void stopping_while_it_is_away_is_bounded(void) {
  two_and_a_receiver();
  struct rig_call *calls[8];
  redis_signal(&server, SIGSTOP);
  for (int i = 0; i < 8; i++) {
    calls[i] = rig_publish(&nodes[1], "room", "x", i % 2);
  }
  expect_close_within(1, 15000); /* 2.5 s */
  for (int i = 0; i < 8; i++) {
    CU_ASSERT_EQUAL(rig_end(calls[i]), WWR_E_CLOSED);
  }
  redis_kill(&server);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn redis lost"));
  struct rig_call *call = rig_publish(&nodes[0], "room", "x", true);
  expect_close_within(0, 15000); /* at once */
  CU_ASSERT_TRUE(rig_end(call) == WWR_E_CLOSED && call->certain);
}

static void what_was_published_before_the_stop_arrives(void) {
  struct rig_call *calls[500];
  two_and_a_receiver();
  for (int i = 0; i < 500; i++) {
    calls[i] = rig_publish(&nodes[0], "room", "x", true);
  }
  nodes[0].bus->ops->close(nodes[0].bus);
  unsigned good = 0;
  for (int i = 0; i < 500; i++) good += rig_end(calls[i]) == WWR_OK;
  CU_ASSERT_EQUAL(good, 500);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 501));
}

/* --- back --- */

static void back_with_its_data(void) {
  two_and_a_receiver();
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 3)), WWR_OK);
  redis_kill(&server);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn cluster generation changed"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_READY));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a b ");
  CU_ASSERT_EQUAL(rig_counter(receiver.on, &receiver.verdicts[WWRI_UNCERTAIN]),
                  1);
  CU_ASSERT_EQUAL(rig_counter(receiver.on, &receiver.verdicts[WWRI_LOST]), 0);
  CU_ASSERT_EQUAL(rig_counter(receiver.on, &receiver.verdicts[WWRI_RESET]), 0);
  CU_ASSERT_TRUE(rig_wait_lost(&nodes[1], 1)); /* control messages too */
  CU_ASSERT_FALSE(rig_has_log(&nodes[0], "cluster data lost"));
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=3 "));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann bob "));
}

/* The publisher remembers what was acknowledged lately. */
static void back_without_its_data(void) {
  two_and_a_receiver();
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 3)), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&server, "CONFIG SET appendonly no", NULL, 0));
  redis_kill(&server);
  char file[128];
  snprintf(file, sizeof file, "rm -rf %s/appendonlydir", server.dir);
  const char *const argv[] = {"sh", "-c", file, NULL};
  struct proc *proc = proc_start(argv);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, 10000), 0);
  proc_free(proc);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn cluster data lost"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_verdict(&receiver, WWRI_RESET));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a b ");
  struct rig_call *history = rig_history(&nodes[1], "room", 10);
  CU_ASSERT_EQUAL(rig_end(history), WWR_OK);
  CU_ASSERT_STRING_EQUAL(history->text, "a b ");
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=3 "));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann bob "));
}

static void keys_that_vanish_are_made_again(void) {
  two_and_a_receiver();
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 3)), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&server, "FLUSHALL", NULL, 0));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn cluster data lost"));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[1], "warn cluster data lost"));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a b ");
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=3 "));
  /* Rows alone: found by the renewal. */
  CU_ASSERT_TRUE(redis_run(&server, "DEL wwr:{0}:pi:room", NULL, 0));
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=3 "));
}

/* --- full, poisoned, restricted --- */

static void out_of_memory_is_unavailable(void) {
  two_and_a_receiver();
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 1)), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&server, "CONFIG SET maxmemory 1", NULL, 0));
  struct rig_call *publish = rig_publish(&nodes[0], "room", "b", true);
  struct rig_call *unlogged = rig_publish(&nodes[0], "room", "c", false);
  CU_ASSERT_EQUAL(rig_end(publish), WWR_E_UNAVAILABLE);
  CU_ASSERT_TRUE(publish->certain);
  CU_ASSERT_EQUAL(rig_end(unlogged), WWR_E_UNAVAILABLE);
  CU_ASSERT_TRUE(unlogged->certain);
  /* Beats, presence and history go on. */
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 5)), WWR_OK);
  struct rig_call *history = rig_history(&nodes[1], "room", 10);
  CU_ASSERT_EQUAL(rig_end(history), WWR_OK);
  CU_ASSERT_STRING_EQUAL(history->text, "a ");
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann bob "));
  publish = rig_publish(&nodes[0], "room", "d", true);
  CU_ASSERT_TRUE(redis_run(&server, "CONFIG SET maxmemory 0", NULL, 0));
  CU_ASSERT_EQUAL(rig_end(publish), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a d ");
  CU_ASSERT_FALSE(rig_has_log(&nodes[0], "redis lost"));
}

static void keys_of_others_are_refused(void) {
  two_and_a_receiver();
  CU_ASSERT_TRUE(redis_run(&server, "SET wwr:{0}:m:odd 1", NULL, 0));
  CU_ASSERT_TRUE(redis_run(&server, "SET wwr:{0}:pi:odd 1", NULL, 0));
  struct rig_call *publish = rig_publish(&nodes[0], "odd", "b", true);
  CU_ASSERT_EQUAL(rig_end(publish), WWR_E_REFUSED);
  CU_ASSERT_TRUE(publish->certain);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "error redis refuses to publish"));
  CU_ASSERT_EQUAL(rig_end(rig_members(&nodes[0], "odd")), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(rig_end(rig_history(&nodes[0], "odd", 3)), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "odd", "x", 1)),
                  WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
}

/* Somebody else publishes there: it is dropped, and what is in the log comes.
 */
static void garbage_is_dropped(void) {
  two_and_a_receiver();
  CU_ASSERT_TRUE(redis_run(&server, "PUBLISH wwr:{0}:c:room garbage", NULL, 0));
  /* Blanks can't be said otherwise. It names a place that is nowhere. */
  CU_ASSERT_TRUE(
      redis_run(&server,
                "EVAL return(redis.call('PUBLISH','wwr:{0}:c:room','9-9\\032"
                "0123456789abcdef0123456789abcdef\\0321\\0321\\032x')) 0",
                NULL, 0));
  CU_ASSERT_TRUE(redis_run(&server, "PUBLISH wwr:{0}:c:!ctl x", NULL, 0));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[1], "error a message"));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a b ");
}

/* What docs/cluster.md tells operators to paste, in pieces. */
static const char *const least_rights[] = {
    "on >secret resetkeys ~wwr:* resetchannels &wwr:* nocommands",
    "+auth +select +info +time +evalsha +script|load",
    "+publish +subscribe +unsubscribe +del +exists +pexpire",
    "+hget +hmget +hgetall +hset +hdel +hlen +hrandfield",
    "+zadd +zrem +zscore +zcard +zrange +zrevrange +zrangebyscore",
    "+xadd +xdel +xrange +xrevrange +xinfo|stream"};

static void the_least_rights_suffice(void) {
  for (size_t i = 0; i < sizeof least_rights / sizeof *least_rights; i++) {
    char line[200];
    snprintf(line, sizeof line, "ACL SETUSER node %s", least_rights[i]);
    CU_ASSERT_TRUE_FATAL(redis_run(&server, line, NULL, 0));
  }
  for (int i = 0; i < NODES; i++) {
    rig_init(&nodes[i], &server, i ? "bob" : "ann");
    snprintf(nodes[i].url, sizeof nodes[i].url,
             "redis://node:secret@127.0.0.1:%u", server.port);
    rig_join(&nodes[i]);
  }
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[1], "room", 5)),
                  WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "b", false)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 1)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_members(&nodes[1], "room", "x=1 "));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob ann "));
  CU_ASSERT_EQUAL(rig_end(rig_history(&nodes[1], "room", 5)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_control(&nodes[0], "t")), WWR_OK);
  CU_ASSERT_EQUAL(
      rig_end(rig_send(&nodes[0], wwri_member_boot(nodes[1].member))), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&server, "CLIENT KILL TYPE normal", NULL, 0));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "redis lost"));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "c", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 3));
  rig_close(&nodes[0]);
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob "));
  CU_ASSERT_FALSE(rig_has_log(&nodes[1], "error"));
  CU_ASSERT_FALSE(rig_has_log(&nodes[1], "secret"));
}

static void a_wrong_password_is_not_held(void) {
  join(0, "ann");
  CU_ASSERT_TRUE(
      redis_run(&server, "ACL SETUSER node on >other ~* &* +@all", NULL, 0));
  rig_init(&nodes[1], &server, "bob");
  snprintf(nodes[1].url, sizeof nodes[1].url,
           "redis://node:secret@127.0.0.1:%u", server.port);
  rig_open(&nodes[1]);
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[1], "WRONGPASS"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_UNREADY));
  CU_ASSERT_TRUE(redis_run(&server, "ACL SETUSER node >secret", NULL, 0));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_READY));
  CU_ASSERT_FALSE(rig_has_log(&nodes[1], "secret"));
}

static void a_channel_that_is_not_permitted_is_refused(void) {
  CU_ASSERT_TRUE_FATAL(redis_run(&server,
                                 "ACL SETUSER node on >secret ~* +@all "
                                 "resetchannels &wwr:{0}:b:* &wwr:{0}:n:* "
                                 "&wwr:{0}:c:!ctl &wwr:{0}:c:hall",
                                 NULL, 0));
  rig_init(&nodes[0], &server, "ann");
  snprintf(nodes[0].url, sizeof nodes[0].url,
           "redis://node:secret@127.0.0.1:%u", server.port);
  rig_join(&nodes[0]);
  static struct rig_receiver other; /* until the bus is closed */
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[0], "room", 0)),
                  WWR_E_REFUSED);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&other, &nodes[0], "hall", 0)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "error redis refuses a subscription"));
}

/* --- threads that hang --- */

/* The server's, while the member's own is well. */
static void who_hangs_gives_up_the_lease(void) {
  rig_init(&nodes[0], &server, "ann");
  nodes[0].watch_ms = 100;
  rig_join(&nodes[0]);
  join(1, "bob");
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[0], "room", 0)),
                  WWR_OK);
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob ann "));
  struct wwri_boot boot = wwri_member_boot(nodes[0].member);
  CU_ASSERT_TRUE(rig_turn_until(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[0], "an I/O thread hangs"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_UNREADY));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob "));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[1], "room", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_counter(&nodes[0], &receiver.count), 0);
  CU_ASSERT_TRUE(rig_turn_until(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_has_log(&nodes[0], "warn the I/O threads turn again"));
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
  struct wwri_boot now = wwri_member_boot(nodes[0].member);
  CU_ASSERT_FALSE(now.hi == boot.hi && now.lo == boot.lo);
}

/* Nobody is blamed for what happened while nothing ran. */
static void who_stood_still_does_not_hang(void) {
  struct rig_pause pause;
  rig_init(&nodes[0], &server, "ann");
  nodes[0].watch_ms = 400; /* five of them are too many */
  rig_join(&nodes[0]);
  CU_ASSERT_TRUE(rig_turn_until(&nodes[0], WWRI_BUS_READY));
  rig_stand_still(&nodes[0], &pause);
  (void)poll(NULL, 0, 2500);
  rig_go_on(&pause);
  CU_ASSERT_TRUE(rig_turn_until(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_FALSE(rig_has_log(&nodes[0], "hangs"));
}

int main(int argc, char **argv) {
  CU_TestInfo away[] = {
      {"away_for_less_than_the_hold_time", away_for_less_than_the_hold_time},
      {"away_for_longer", away_for_longer},
      {"a_certain_failure_is_never_seen", a_certain_failure_is_never_seen},
      {"never_there", never_there},
      {"stopping_while_it_is_away_is_bounded",
       stopping_while_it_is_away_is_bounded},
      {"what_was_published_before_the_stop_arrives",
       what_was_published_before_the_stop_arrives},
      CU_TEST_INFO_NULL};
  CU_TestInfo back[] = {
      {"back_with_its_data", back_with_its_data},
      {"back_without_its_data", back_without_its_data},
      {"keys_that_vanish_are_made_again", keys_that_vanish_are_made_again},
      CU_TEST_INFO_NULL};
  CU_TestInfo odd[] = {
      {"out_of_memory_is_unavailable", out_of_memory_is_unavailable},
      {"keys_of_others_are_refused", keys_of_others_are_refused},
      {"garbage_is_dropped", garbage_is_dropped},
      {"the_least_rights_suffice", the_least_rights_suffice},
      {"a_wrong_password_is_not_held", a_wrong_password_is_not_held},
      {"a_channel_that_is_not_permitted_is_refused",
       a_channel_that_is_not_permitted_is_refused},
      CU_TEST_INFO_NULL};
  CU_TestInfo threads[] = {
      {"who_hangs_gives_up_the_lease", who_hangs_gives_up_the_lease},
      {"who_stood_still_does_not_hang", who_stood_still_does_not_hang},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"redis away", NULL, NULL, setup, teardown, away},
                           {"redis back", NULL, NULL, setup, teardown, back},
                           {"redis odd", NULL, NULL, setup, teardown, odd},
                           {"threads", NULL, NULL, setup, teardown, threads},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
