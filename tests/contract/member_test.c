/* Memberships against the real Redis: joining, being refused, leaving, being
 * missed, and taken for another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "member_rig.h"
#include "test.h"

enum { MANY = 10 };

static struct redis_server server;
static struct rig_node nodes[MANY];

static void setup(void) {
  CU_ASSERT_TRUE_FATAL(redis_run(&server, "FLUSHALL", NULL, 0));
  memset(nodes, 0, sizeof nodes);
}

static void teardown(void) {
  for (int i = 0; i < MANY; i++) rig_close(&nodes[i]);
}

static void join(int index, const char *name) {
  rig_init(&nodes[index], &server, name);
  rig_join(&nodes[index]);
}

/* --- options --- */

static void expect_wrong(struct wwr_cluster_opts opts, const char *text) {
  struct wwr_cluster *cluster = (struct wwr_cluster *)&opts;
  const char *why = NULL;
  CU_ASSERT_EQUAL(wwr_cluster_new(&cluster, &opts, &why), WWR_E_INVALID);
  CU_ASSERT_PTR_NULL(cluster);
  CU_ASSERT_PTR_NOT_NULL_FATAL(why);
  if (!strstr(why, text)) printf("\n%s\n", why);
  CU_ASSERT_PTR_NOT_NULL(strstr(why, text));
  CU_ASSERT_PTR_NULL(strstr(why, "secret"));
  CU_ASSERT_EQUAL(wwr_cluster_new(&cluster, &opts, NULL), WWR_E_INVALID);
}

static void wrong_options_are_named(void) {
  struct wwr_cluster_opts good, opts;
  wwr_cluster_opts_default(&good);
  good.url = "redis://127.0.0.1";
#define EXPECT_WRONG(change, text) opts = good, change, expect_wrong(opts, text)
  EXPECT_WRONG(opts.url = NULL, "url");
  EXPECT_WRONG(opts.url = "http://u:secret@host", "scheme");
  EXPECT_WRONG(opts.prefix = NULL, "prefix");
  EXPECT_WRONG(opts.prefix = "", "prefix");
  EXPECT_WRONG(opts.prefix = "a:b", "prefix");
  EXPECT_WRONG(opts.prefix = "123456789012345678901234567890123", "prefix");
  EXPECT_WRONG(opts.name = "", "name");
  EXPECT_WRONG(opts.name = "a\nb", "name");
  EXPECT_WRONG(opts.name =
                   "1234567890123456789012345678901234567890"
                   "123456789012345678901234",
               "name");
  EXPECT_WRONG(opts.hold_ms = 99, "hold_ms");
  EXPECT_WRONG(opts.hold_ms = 60001, "hold_ms");
  EXPECT_WRONG(opts.lease_ms = 19999, "lease_ms");
  EXPECT_WRONG(opts.lease_ms = 600001, "lease_ms");
  EXPECT_WRONG(opts.session_ttl_ms = 59999, "session_ttl_ms");
  EXPECT_WRONG(opts.max_held = 0, "max_held");
#undef EXPECT_WRONG
}

static void a_missing_tls_file_is_named(void) {
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  const char *why = NULL;
  wwr_cluster_opts_default(&opts);
  opts.url = "rediss://127.0.0.1?ca_file=/nowhere/ca.pem";
  CU_ASSERT_EQUAL(wwr_cluster_new(&cluster, &opts, &why), WWR_E_TLS);
  CU_ASSERT_PTR_NULL(cluster);
  CU_ASSERT_PTR_NOT_NULL_FATAL(why);
  CU_ASSERT_PTR_NOT_NULL(strstr(why, "ca_file"));
}

static void what_was_never_started_is_freed(void) {
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  wwr_cluster_opts_default(&opts);
  opts.url = "redis://u:secret@127.0.0.1:1";
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&cluster, &opts, NULL), WWR_OK);
  struct wwri_member *member = wwri_cluster_member(cluster, 0);
  struct wwri_bus_state state;
  struct wwri_bus_op op = {0};
  struct wwr_bus *bus = wwr_cluster_bus(cluster);
  bus->ops->state(bus, &state);
  CU_ASSERT_EQUAL(state.health, WWRI_BUS_UNREADY);
  CU_ASSERT_STRING_NOT_EQUAL(state.reason, "");
  CU_ASSERT_EQUAL(bus->ops->nodes(bus, &op), WWR_E_CLOSED);
  CU_ASSERT_PTR_NULL(wwri_member_opts(member)->url);
  CU_ASSERT_TRUE(strlen(wwri_member_opts(member)->name) > 0);
  bus->ops->close(bus);
  bus->ops->free(bus);
  wwr_cluster_free(cluster);
  wwr_cluster_free(NULL);
}

static void memory_may_be_short(void) {
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  wwr_cluster_opts_default(&opts);
  opts.url = "redis://127.0.0.1:1";
  for (long n = 0; n < 200; n++) {
    test_alloc_fail_at(n);
    wwr_err err = wwr_cluster_new(&cluster, &opts, NULL);
    bool failed = test_alloc_failed();
    if (err) CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    if (err) CU_ASSERT_PTR_NULL(cluster);
    wwr_cluster_free(cluster);
    if (!failed) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      CU_ASSERT_TRUE(n > 5);
      return;
    }
  }
  CU_FAIL("never enough");
}

/* --- joining and leaving --- */

static void nodes_join_and_leave(void) {
  char text[4096];
  join(0, "ann");
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann "));
  join(1, "bob");
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann bob "));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob ann "));
  /* Beats go on: the newest is never much older than one. */
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "info redis live"));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "info cluster ready"));
  rig_close(&nodes[1]);
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann "));
  CU_ASSERT_TRUE(redis_run(&server, "KEYS wwr:{0}:node:*", text, sizeof text));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, wwri_member_boot_hex(nodes[0].member)));
  CU_ASSERT_EQUAL(strlen(text), strlen("wwr:{0}:node:") + WWRI_BOOT_HEX);
}

static bool is_expiring(const char *key) {
  char line[300], text[64];
  snprintf(line, sizeof line, "PTTL %s", key);
  return redis_run(&server, line, text, sizeof text) &&
         strtol(text, NULL, 10) > 0;
}

static void every_key_expires(void) {
  static struct rig_receiver receiver; /* until the bus is closed */
  char text[8192], *save = NULL;
  rig_init(&nodes[0], &server, "ann");
  nodes[0].opts.prefix = "my-app_1";
  rig_join(&nodes[0]);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[0], "room", 5)),
                  WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "hall", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[0], "room", "x", 1)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_control(&nodes[0], "t")), WWR_OK);
  CU_ASSERT_TRUE(redis_run(&server, "KEYS *", text, sizeof text));
  unsigned count = 0;
  for (char *key = strtok_r(text, " ", &save); key;
       key = strtok_r(NULL, " ", &save), count++) {
    CU_ASSERT_EQUAL(strncmp(key, "my-app_1:{0}:", 13), 0);
    if (!is_expiring(key)) printf("\n%s does not expire\n", key);
    CU_ASSERT_TRUE(is_expiring(key));
  }
  CU_ASSERT_TRUE(count >= 9);
}

static void prefixes_keep_clusters_apart(void) {
  static struct rig_receiver receiver; /* until the bus is closed */
  join(0, "ann");
  rig_init(&nodes[1], &server, "bob");
  nodes[1].opts.prefix = "other";
  nodes[1].fingerprint = "something=else\n";
  rig_join(&nodes[1]);
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob "));
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[1], "room", 0)),
                  WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[1], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "b ");
}

static void ten_in_one_process(void) {
  static const char *const names[MANY] = {"n0", "n1", "n2", "n3", "n4",
                                          "n5", "n6", "n7", "n8", "n9"};
  static struct rig_receiver receivers[MANY]; /* until the bus is closed */
  char text[16];
  for (int i = 0; i < MANY; i++) {
    rig_init(&nodes[i], &server, names[i]);
    rig_open(&nodes[i]);
  }
  for (int i = 0; i < MANY; i++) {
    CU_ASSERT_TRUE_FATAL(rig_wait_health(&nodes[i], WWRI_BUS_READY));
    CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receivers[i], &nodes[i], "room", 0)),
                    WWR_OK);
  }
  for (int i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "%d", i);
    rig_publish(&nodes[i], "room", text, true);
  }
  char first[64];
  CU_ASSERT_TRUE(rig_wait_count(&receivers[0], MANY));
  snprintf(first, sizeof first, "%s", rig_text(&receivers[0]));
  for (int i = 0; i < MANY; i++) {
    CU_ASSERT_TRUE(rig_wait_count(&receivers[i], MANY));
    CU_ASSERT_STRING_EQUAL(rig_text(&receivers[i]), first);
  }
  struct rig_call *call = rig_nodes(&nodes[3]);
  CU_ASSERT_EQUAL(rig_end(call), WWR_OK);
  CU_ASSERT_EQUAL(strlen(call->text), MANY * 3);
}

/* --- being refused --- */

static void a_different_setting_is_named(void) {
  join(0, "ann");
  rig_init(&nodes[1], &server, "bob");
  nodes[1].fingerprint = "message-buffer=8192\n";
  rig_open(&nodes[1]);
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_REFUSED));
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[1], "message-buffer=8192"));
  CU_ASSERT_TRUE(
      rig_wait_log(&nodes[1], "error the cluster refuses this node"));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann "));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[1], "room", "a", true)),
                  WWR_E_UNAVAILABLE);
  /* Nobody is left who wants it otherwise. */
  rig_close(&nodes[0]);
  CU_ASSERT_TRUE(rig_wait_health(&nodes[1], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[1], "bob "));
}

static void both_values_are_named(void) {
  rig_init(&nodes[0], &server, "ann");
  nodes[0].fingerprint = "message-buffer=16384\nsubprotocol=\n";
  rig_join(&nodes[0]);
  rig_init(&nodes[1], &server, "bob");
  nodes[1].fingerprint = "message-buffer=8192\nsubprotocol=\n";
  rig_open(&nodes[1]);
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[1],
                                 "here message-buffer=8192, in the "
                                 "cluster message-buffer=16384"));
  rig_init(&nodes[2], &server, "eve");
  nodes[2].opts.lease_ms = 5000;
  nodes[2].fingerprint = nodes[0].fingerprint;
  rig_open(&nodes[2]);
  CU_ASSERT_TRUE(rig_wait_reason(&nodes[2],
                                 "here lease_ms=5000, in the "
                                 "cluster lease_ms=4000"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
}

/* --- being missed --- */

static bool same_boot(struct rig_node *node, struct wwri_boot boot) {
  return wwri_boot_equal(wwri_member_boot(node->member), boot);
}

/* The thread stands still until the others take it for dead. */
static void a_node_that_stood_still_has_a_new_life(void) {
  static struct rig_receiver receiver; /* until the bus is closed */
  struct rig_pause pause;
  join(0, "ann");
  join(1, "bob");
  struct wwri_boot boot = wwri_member_boot(nodes[1].member);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[1], "room", 0)),
                  WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_presence(&nodes[1], "room", "x", 2)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_members(&nodes[0], "room", "x=2 "));
  rig_stand_still(&nodes[1], &pause);
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann "));
  CU_ASSERT_TRUE(rig_wait_members(&nodes[0], "room", ""));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[0], "room", "a", true)), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_send(&nodes[0], boot)), WWR_E_REFUSED);
  rig_go_on(&pause);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[1], "warn fenced"));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann bob "));
  CU_ASSERT_FALSE(same_boot(&nodes[1], boot));
  /* Everything is attached again, and nothing was missed. */
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
  CU_ASSERT_TRUE(rig_wait_members(&nodes[0], "room", "x=2 "));
  CU_ASSERT_EQUAL(
      rig_end(rig_send(&nodes[0], wwri_member_boot(nodes[1].member))), WWR_OK);
  CU_ASSERT_EQUAL(rig_end(rig_send(&nodes[0], boot)), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[1], "room", "b", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 2));
  CU_ASSERT_STRING_EQUAL(rig_text(&receiver), "a b ");
}

/* Alone it is not missed by anybody: Redis may as well have been away. */
static void a_node_that_was_alone_is_not_missed(void) {
  struct rig_pause pause;
  join(0, "ann");
  struct wwri_boot boot = wwri_member_boot(nodes[0].member);
  rig_stand_still(&nodes[0], &pause);
  char line[100], text[64];
  snprintf(line, sizeof line, "PTTL wwr:{0}:node:%s",
           wwri_member_boot_hex(nodes[0].member));
  do { /* its row lives for two leases */
    CU_ASSERT_TRUE_FATAL(redis_run(&server, line, text, sizeof text));
  } while (strtol(text, NULL, 10) > 3000);
  rig_go_on(&pause);
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "stood still"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_TRUE(rig_wait_nodes(&nodes[0], "ann "));
  CU_ASSERT_TRUE(same_boot(&nodes[0], boot));
}

/* As if a copy of this process beat as well. */
static void a_clone_gets_an_id_of_its_own(void) {
  char line[200];
  static struct rig_receiver receiver; /* until the bus is closed */
  join(0, "ann");
  join(1, "bob");
  struct wwri_boot boot = wwri_member_boot(nodes[0].member);
  CU_ASSERT_EQUAL(rig_end(rig_subscribe(&receiver, &nodes[0], "room", 0)),
                  WWR_OK);
  snprintf(line, sizeof line, "HSET wwr:{0}:node:%s n 1000000",
           wwri_member_boot_hex(nodes[0].member));
  CU_ASSERT_TRUE(redis_run(&server, line, NULL, 0));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "beats under our boot id"));
  CU_ASSERT_TRUE(rig_wait_log(&nodes[0], "warn fenced"));
  CU_ASSERT_TRUE(rig_wait_health(&nodes[0], WWRI_BUS_READY));
  CU_ASSERT_FALSE(same_boot(&nodes[0], boot));
  CU_ASSERT_EQUAL(rig_end(rig_publish(&nodes[1], "room", "a", true)), WWR_OK);
  CU_ASSERT_TRUE(rig_wait_count(&receiver, 1));
  CU_ASSERT_EQUAL(rig_counter(receiver.on, &receiver.verdicts[WWRI_LOST]), 0);
}

int main(int argc, char **argv) {
  CU_TestInfo options[] = {
      {"wrong_options_are_named", wrong_options_are_named},
      {"a_missing_tls_file_is_named", a_missing_tls_file_is_named},
      {"what_was_never_started_is_freed", what_was_never_started_is_freed},
      {"memory_may_be_short", memory_may_be_short},
      CU_TEST_INFO_NULL};
  CU_TestInfo tests[] = {
      {"nodes_join_and_leave", nodes_join_and_leave},
      {"every_key_expires", every_key_expires},
      {"prefixes_keep_clusters_apart", prefixes_keep_clusters_apart},
      {"ten_in_one_process", ten_in_one_process},
      {"a_different_setting_is_named", a_different_setting_is_named},
      {"both_values_are_named", both_values_are_named},
      {"a_node_that_stood_still_has_a_new_life",
       a_node_that_stood_still_has_a_new_life},
      {"a_node_that_was_alone_is_not_missed",
       a_node_that_was_alone_is_not_missed},
      {"a_clone_gets_an_id_of_its_own", a_clone_gets_an_id_of_its_own},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cluster options", NULL, NULL, NULL, NULL, options},
                           {"membership", NULL, NULL, setup, teardown, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  redis_init(&server, NULL);
  if (!redis_start(&server)) return 1;
  int status = test_run(argc, argv, suites);
  redis_remove(&server);
  return status;
}
