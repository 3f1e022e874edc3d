/* Ways into a Redis Cluster: users, TLS; and URLs that say one thing of a
 * server that is another. The cluster is one real node with all slots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert.h"
#include "redis_fixture.h"
#include "redis_hub_rig.h"
#include "test.h"

enum { LINKS = 2 };

static const char *const tags[LINKS] = {"0", "1"};
static struct redis_server server;
static struct hub_rig hub;
static struct rig rigs[LINKS];
/* Nobody else gets these ports until the test is over. */
static char bus[8];
static int reserved[2] = {-1, -1};

static void start_server(const char *const *args, bool slots) {
  redis_init(&server, args);
  CU_ASSERT_FATAL(redis_start(&server));
  CU_ASSERT_FATAL(redis_until(&server, "PING", "PONG"));
  if (!slots) return;
  CU_ASSERT(redis_run(&server, "CLUSTER ADDSLOTSRANGE 0 16383", NULL, 0));
  CU_ASSERT(redis_until(&server, "CLUSTER INFO", "cluster_state:ok"));
}

/* Links by a URL from a format with the port. */
static void begin(const char *format, unsigned port) {
  char url[1400];
  snprintf(url, sizeof(url), format, port);
  hub_rig_init(&hub, url);
  hub_rig_start(&hub);
  for (int i = 0; i < LINKS; i++) {
    rig_init_hub(&rigs[i], url, hub.loop, hub.hub, tags[i]);
  }
  for (int i = 0; i < LINKS; i++) rig_make(&rigs[i]);
  for (int i = 0; i < LINKS; i++) rig_start(&rigs[i], NULL);
}

static void end(void) {
  for (int i = 0; i < LINKS; i++) rig_end(&rigs[i]);
  hub_rig_end(&hub);
}

static void teardown(void) {
  end();
  redis_remove(&server);
  for (int i = 0; i < 2; i++) {
    if (reserved[i] >= 0) close(reserved[i]);
    reserved[i] = -1;
  }
}

static void expect_live(void) {
  for (int i = 0; i < LINKS; i++) {
    CU_ASSERT_FATAL(rig_wait(&rigs[i], &rigs[i].live, 1));
    rig_subscribe(&rigs[i], 0, 1);
    CU_ASSERT(rig_wait(&rigs[i], &rigs[i].subs_subscribed, 1));
  }
  CU_ASSERT_EQUAL(rig_count(&rigs[0], &rigs[0].failed), 0);
  end();
}

/* They try again, and never get in. */
static void expect_refused(enum wwri_redis_cause cause, const char *why) {
  for (int i = 0; i < LINKS; i++) {
    CU_ASSERT(rig_wait(&rigs[i], &rigs[i].causes[cause], 2));
    CU_ASSERT_EQUAL(rig_count(&rigs[i], &rigs[i].live), 0);
    CU_ASSERT(rig_why_has(&rigs[i], cause, why));
  }
  end();
}

#define CLUSTER "--cluster-enabled", "yes", "--cluster-port", bus

static void choose_bus(void) {
  snprintf(bus, sizeof(bus), "%u", redis_reserve_port(&reserved[0]));
}

static void test_wrong_scheme(void) {
  static const char *const args[] = {CLUSTER, NULL};
  static struct rig plain;
  char url[64];
  choose_bus();
  start_server(args, true);
  snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
  rig_init(&plain, url);
  rig_start(&plain, NULL);
  CU_ASSERT(rig_wait(&plain, &plain.causes[WWRI_CAUSE_REFUSED], 2));
  CU_ASSERT(rig_why_has(&plain, WWRI_CAUSE_REFUSED, "use redis+cluster://"));
  CU_ASSERT_EQUAL(rig_count(&plain, &plain.live), 0);
  rig_end(&plain);
  begin("redis+cluster://127.0.0.1:%u", server.port);
  expect_live();
}

static void test_no_cluster(void) {
  start_server(NULL, false);
  begin("redis+cluster://127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_REFUSED, "use redis://");
}

/* Nodes that name themselves by host names. */
static void test_hostnames(void) {
  static const char *const args[] = {
      CLUSTER,     "--cluster-announce-hostname",
      "localhost", "--cluster-preferred-endpoint-type",
      "hostname",  NULL};
  choose_bus();
  start_server(args, true);
  begin("redis+cluster://127.0.0.1:%u", server.port);
  CU_ASSERT(rig_wait(&rigs[0], &rigs[0].live, 1));
  CU_ASSERT_EQUAL(strncmp(rig_stats(&rigs[0]).address, "localhost:", 10), 0);
  expect_live();
}

static void test_no_slots(void) {
  static const char *const args[] = {CLUSTER, NULL};
  choose_bus();
  start_server(args, false);
  begin("redis+cluster://127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_PROTOCOL, "no slot has a master");
}

static void test_users(void) {
  static const char *const args[] = {CLUSTER, NULL};
  choose_bus();
  start_server(args, true);
  CU_ASSERT(redis_run(&server,
                      "ACL SETUSER few on >pw ~wwr:* ~{* &wwr:* &{* +info "
                      "+cluster|slots +script|load +evalsha +ssubscribe "
                      "+sunsubscribe +spublish",
                      NULL, 0));
  CU_ASSERT(redis_run(&server, "ACL SETUSER less on >pw ~* &* +info", NULL, 0));
  begin("redis+cluster://few:pw@127.0.0.1:%u", server.port);
  expect_live();
  begin("redis+cluster://few:wrong@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "WRONGPASS");
  begin("redis+cluster://less:pw@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "NOPERM");
}

static void test_tls(void) {
  struct test_authority ours;
  struct test_authority other;
  char dir[] = "/tmp/wwr-hub-XXXXXX";
  char url[800];
  char port[8];
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
  CU_ASSERT_FATAL(test_authority_make(&ours, dir, "a", "IP:127.0.0.1"));
  CU_ASSERT_FATAL(test_authority_make(&other, dir, "b", "IP:127.0.0.1"));
  choose_bus();
  snprintf(port, sizeof(port), "%u", redis_reserve_port(&reserved[1]));
  const char *const args[] = {CLUSTER,
                              "--tls-port",
                              port,
                              "--tls-cert-file",
                              ours.cert_file,
                              "--tls-key-file",
                              ours.key_file,
                              "--tls-ca-cert-file",
                              ours.ca_file, /* Or it names its other port. */
                              "--tls-cluster",
                              "yes",
                              "--tls-auth-clients",
                              "no",
                              NULL};
  start_server(args, true);
  snprintf(url, sizeof(url), "rediss+cluster://127.0.0.1:%s?ca_file=%s", port,
           ours.ca_file);
  begin(url, 0);
  expect_live();
  snprintf(url, sizeof(url), "rediss+cluster://127.0.0.1:%s?ca_file=%s", port,
           other.ca_file);
  begin(url, 0);
  expect_refused(WWRI_CAUSE_TLS, "TLS");
  const char *const files[] = {ours.ca_file,  ours.cert_file,  ours.key_file,
                               other.ca_file, other.cert_file, other.key_file};
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
    unlink(files[i]);
  }
  rmdir(dir);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"the wrong scheme", test_wrong_scheme},
                         {"no cluster", test_no_cluster},
                         {"no slots", test_no_slots},
                         {"host names", test_hostnames},
                         {"users", test_users},
                         {"TLS", test_tls},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"redis hub login", NULL, NULL, NULL, teardown, tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
