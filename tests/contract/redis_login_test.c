/* Ways in: passwords, users, databases, Unix sockets, TLS. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proc.h"
#include "cert.h"
#include "redis_fixture.h"
#include "redis_rig.h"
#include "test.h"

static struct redis_server server;
static struct rig rig;

/* A URL from a format with the port. */
static void init_rig(const char *format, unsigned port) {
  char url[1400];
  snprintf(url, sizeof(url), format, port);
  rig_init(&rig, url);
  rig_be_patient(&rig);
}

static void start_server(const char *const *args) {
  redis_init(&server, args);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
}

static void teardown(void) {
  rig_end(&rig);
  redis_remove(&server);
}

static void expect_live(void (*before)(struct wwri_redis *link)) {
  rig_start(&rig, before);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.failed), 0);
}

/* It tries again, and never gets in. */
static void expect_refused(enum wwri_redis_cause cause, const char *why) {
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[cause], 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  CU_ASSERT_TRUE(rig_why_has(&rig, cause, why));
  rig_end(&rig);
}

/* --- Passwords and users ------------------------------------------------ */

static void test_passwords(void) {
  static const char *const args[] = {"--requirepass", "s3:cr/et", NULL};
  start_server(args);
  init_rig("redis://:s3:cr%%2Fet@127.0.0.1:%u", server.port);
  expect_live(NULL);
  rig_end(&rig);
  init_rig("redis://127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "NOAUTH");
  init_rig("redis://:wrong@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "WRONGPASS");
  init_rig("redis://nobody:s3:cr%%2Fet@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "WRONGPASS");
}

static void test_a_password_that_is_not_wanted(void) {
  start_server(NULL);
  init_rig("redis://:x@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "AUTH");
}

static void test_a_password_that_changes(void) {
  static const char *const args[] = {"--requirepass", "old", NULL};
  start_server(args);
  init_rig("redis://:new@127.0.0.1:%u", server.port);
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_AUTH], 1));
  /* The fixture has no password, so it comes back with the right one. */
  redis_kill(&server);
  server.args[1] = "new";
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
}

/* The least that the link itself needs, and one kind of channel. */
static void test_a_user_with_few_rights(void) {
  static const char acl[] =
      "ACL SETUSER node on >pw resetchannels &ch:1 &wwr:* ~wwr:* +evalsha "
      "+script|load +info +subscribe +unsubscribe +publish +auth +ping";
  start_server(NULL);
  CU_ASSERT_TRUE(redis_run(&server, acl, NULL, 0));
  init_rig("redis://node:pw@127.0.0.1:%u", server.port);
  expect_live(NULL);
  rig_subscribe(&rig, 0, 3);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[1].subscribed, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[0].refused, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[2].refused, 1));
  struct rig_result result = rig_run(&rig, "GET wwr:x", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_AUTH);
  CU_ASSERT_FALSE(result.maybe_done);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
  CU_ASSERT_TRUE(redis_run(&server, "PUBLISH ch:1 hi", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[1].messages, 1));
}

static void test_a_user_without_the_rights(void) {
  start_server(NULL);
  CU_ASSERT_TRUE(redis_run(
      &server, "ACL SETUSER node on >pw allchannels allkeys +@all -info", NULL,
      0));
  init_rig("redis://node:pw@127.0.0.1:%u", server.port);
  expect_refused(WWRI_CAUSE_AUTH, "NOPERM");
}

static void test_a_user_who_is_deleted(void) {
  start_server(NULL);
  CU_ASSERT_TRUE(redis_run(
      &server, "ACL SETUSER node on >pw allchannels allkeys +@all", NULL, 0));
  init_rig("redis://node:pw@127.0.0.1:%u", server.port);
  expect_live(NULL);
  CU_ASSERT_TRUE(redis_run(&server, "ACL DELUSER node", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_AUTH], 1));
}

/* --- Databases, sockets, names ------------------------------------------ */

static void test_databases(void) {
  char text[64];
  start_server(NULL);
  init_rig("redis://127.0.0.1:%u/3", server.port);
  expect_live(NULL);
  CU_ASSERT_STRING_EQUAL(rig_run(&rig, "SET k v", 0).text, "OK");
  CU_ASSERT_TRUE(redis_run(&server, "INFO keyspace", NULL, 0));
  CU_ASSERT_TRUE(redis_until(&server, "INFO keyspace", "db3:keys=1"));
  CU_ASSERT_TRUE(redis_run(&server, "EXISTS k", text, sizeof(text)));
  CU_ASSERT_STRING_EQUAL(text, "0");
  rig_end(&rig);
  init_rig("redis://127.0.0.1:%u/999", server.port);
  expect_refused(WWRI_CAUSE_REFUSED, "DB index is out of range");
}

static bool unix_listens(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  int status = connect(fd, (const struct sockaddr *)&address, sizeof(address));
  close(fd);
  return status == 0;
}

/* It listens on its port first, which is all that redis_start() waits for. */
static bool wait_for_unix(const char *path) {
  for (int i = 0; i < 1000; i++) {
    if (unix_listens(path)) return true;
    if (proc_wait_exit(server.proc, 5) >= 0) return false;
  }
  return false;
}

static void test_a_unix_socket(void) {
  static char path[100];
  char url[160];
  const char *const args[] = {"--unixsocket", path, NULL};
  redis_init(&server, args);
  snprintf(path, sizeof(path), "%s/r.sock", server.dir);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE_FATAL(wait_for_unix(path));
  snprintf(url, sizeof(url), "unix://%s?db=2", path);
  rig_init(&rig, url);
  rig_be_patient(&rig);
  expect_live(NULL);
  CU_ASSERT_STRING_EQUAL(rig_stats(&rig).address, path);
  CU_ASSERT_STRING_EQUAL(rig_run(&rig, "SET k v", 0).text, "OK");
  CU_ASSERT_TRUE(redis_until(&server, "INFO keyspace", "db2:keys=1"));
  rig_end(&rig);
  rig_init(&rig, "unix:///nowhere/r.sock");
  expect_refused(WWRI_CAUSE_IO, "No such file");
}

static void test_names(void) {
  start_server(NULL);
  init_rig("redis://localhost:%u", server.port); /* perhaps ::1 first */
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.failed), 0);
  rig_end(&rig);
  init_rig("redis://no-such-host.invalid:%u", server.port);
  rig.opts.timing.connect_ms = 2000; /* a resolver may be silent */
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 1));
  enum wwri_redis_cause cause = rig_cause(&rig);
  CU_ASSERT_TRUE(cause == WWRI_CAUSE_RESOLVE || cause == WWRI_CAUSE_TIMEOUT);
}

/* --- TLS ---------------------------------------------------------------- */

static struct test_authority cert;
static struct test_authority stranger;

static void start_tls_server(const char *names) {
  const char *const args[] = {"--tls-port",
                              server.port_text,
                              "--port",
                              "0",
                              "--tls-cert-file",
                              cert.cert_file,
                              "--tls-key-file",
                              cert.key_file,
                              "--tls-ca-cert-file",
                              cert.ca_file,
                              "--tls-auth-clients",
                              "optional",
                              NULL};
  redis_init(&server, args);
  CU_ASSERT_TRUE_FATAL(test_authority_make(&cert, server.dir, "own", names));
  CU_ASSERT_TRUE_FATAL(
      test_authority_make(&stranger, server.dir, "strange", names));
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
}

static void init_tls_rig(const char *host, const char *options) {
  char url[1400];
  snprintf(url, sizeof(url), "rediss://%s:%u?%s", host, server.port, options);
  rig_init(&rig, url);
  rig_be_patient(&rig);
}

static void init_trusting(const char *host, const char *ca_file,
                          const char *more) {
  char options[1200];
  snprintf(options, sizeof(options), "ca_file=%s%s", ca_file, more);
  init_tls_rig(host, options);
}

static void test_tls(void) {
  start_tls_server("IP:127.0.0.1,DNS:localhost");
  init_trusting("127.0.0.1", cert.ca_file, "");
  expect_live(NULL);
  rig_subscribe(&rig, 0, 1000);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 1000));
  CU_ASSERT_EQUAL(rig_run(&rig, "SETRANGE big 8000000 x", 0).number, 8000001);
  CU_ASSERT_EQUAL(rig_run(&rig, "GET big", 0).outcome, WWRI_CALL_OK);
  struct rig_result result = rig_run(&rig, "PUBLISH ch:999 hi", 0);
  CU_ASSERT_EQUAL(result.number, 1);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_messages, 1));
  rig_end(&rig);
  init_trusting("localhost", cert.ca_file, "");
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
}

static void test_tls_of_a_stranger(void) {
  start_tls_server("IP:127.0.0.1");
  init_trusting("127.0.0.1", stranger.ca_file, "");
  expect_refused(WWRI_CAUSE_TLS, "certificate");
  init_tls_rig("127.0.0.1", "tls_name=127.0.0.1"); /* the system's CAs */
  expect_refused(WWRI_CAUSE_TLS, "certificate");
}

static void test_tls_with_another_name(void) {
  start_tls_server("IP:127.0.0.2,DNS:redis.example");
  init_trusting("127.0.0.1", cert.ca_file, "");
  expect_refused(WWRI_CAUSE_TLS, "IP address mismatch");
  init_trusting("localhost", cert.ca_file, "");
  expect_refused(WWRI_CAUSE_TLS, "ostname mismatch");
  init_trusting("127.0.0.1", cert.ca_file, "&tls_name=redis.example");
  expect_live(NULL);
}

static void test_tls_and_plain(void) {
  start_tls_server("IP:127.0.0.1");
  init_rig("redis://127.0.0.1:%u", server.port);
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 2));
  enum wwri_redis_cause cause = rig_cause(&rig);
  CU_ASSERT_TRUE(cause == WWRI_CAUSE_IO || cause == WWRI_CAUSE_PROTOCOL);
  rig_end(&rig);
  static struct redis_server plain;
  redis_init(&plain, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&plain));
  char url[300];
  snprintf(url, sizeof(url), "rediss://127.0.0.1:%u?ca_file=%s", plain.port,
           cert.ca_file);
  rig_init(&rig, url);
  rig.opts.timing.connect_ms = 500;
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 1));
  cause = rig_cause(&rig);
  CU_ASSERT_TRUE(cause == WWRI_CAUSE_TLS || cause == WWRI_CAUSE_IO ||
                 cause == WWRI_CAUSE_TIMEOUT);
  redis_remove(&plain);
}

static void test_tls_of_the_client(void) {
  char options[1200];
  start_tls_server("IP:127.0.0.1");
  redis_kill(&server);
  server.args[11] = "yes"; /* --tls-auth-clients */
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  init_trusting("127.0.0.1", cert.ca_file, "");
  rig_start(&rig, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.failed, 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  rig_end(&rig);
  snprintf(options, sizeof(options), "&cert_file=%s&key_file=%s",
           cert.cert_file, cert.key_file);
  init_trusting("127.0.0.1", cert.ca_file, options);
  expect_live(NULL);
}

static void test_tls_files_that_are_none(void) {
  static const char *const options[] = {"ca_file=/nowhere",
                                        "cert_file=/nowhere&key_file=/nowhere"};
  start_server(NULL);
  for (int i = 0; i < 2; i++) {
    const char *why = "";
    init_tls_rig("127.0.0.1", options[i]);
    CU_ASSERT_EQUAL(wwri_redis_new(&rig.link, rig.loop, &rig.opts, &why),
                    WWR_E_TLS);
    CU_ASSERT_PTR_NULL(rig.link);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "can't be used"));
    rig_end(&rig);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"passwords", test_passwords},
      {"a password not wanted", test_a_password_that_is_not_wanted},
      {"a password that changes", test_a_password_that_changes},
      {"a user with few rights", test_a_user_with_few_rights},
      {"a user without the rights", test_a_user_without_the_rights},
      {"a user who is deleted", test_a_user_who_is_deleted},
      {"databases", test_databases},
      {"a Unix socket", test_a_unix_socket},
      {"names", test_names},
      {"TLS", test_tls},
      {"TLS of a stranger", test_tls_of_a_stranger},
      {"TLS with another name", test_tls_with_another_name},
      {"TLS and plain", test_tls_and_plain},
      {"TLS of the client", test_tls_of_the_client},
      {"TLS files that are none", test_tls_files_that_are_none},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis login", NULL, NULL, NULL, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
