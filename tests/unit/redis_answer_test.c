#include "answer.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static const struct {
  const char *text;
  enum wwri_redis_class class;
} errors[] = {
    {"LOADING Redis is loading the dataset in memory", WWRI_REDIS_UNAVAILABLE},
    {"CLUSTERDOWN The cluster is down", WWRI_REDIS_UNAVAILABLE},
    {"TRYAGAIN Multiple keys request during rehashing of slot",
     WWRI_REDIS_UNAVAILABLE},
    {"ASK 3999 127.0.0.1:6381", WWRI_REDIS_UNAVAILABLE},
    {"ERR Script attempted to access a non local key in a cluster node script: "
     "4ba3, on @user_script:30.",
     WWRI_REDIS_UNAVAILABLE},
    {"ERR Script attempted to execute a write command while the cluster is "
     "down and readonly script: 4ba3, on @user_script:3.",
     WWRI_REDIS_UNAVAILABLE},
    {"ERR Script attempted to access keys that do not hash to the same slot",
     WWRI_REDIS_DEFINITE},
    {"BUSY Redis is busy running a script.", WWRI_REDIS_UNAVAILABLE},
    {"OOM command not allowed when used memory > 'maxmemory'.",
     WWRI_REDIS_UNAVAILABLE},
    {"OOM", WWRI_REDIS_UNAVAILABLE},
    {"MISCONF Redis is configured to save RDB snapshots",
     WWRI_REDIS_UNAVAILABLE},
    {"NOREPLICAS Not enough good replicas to write.", WWRI_REDIS_UNAVAILABLE},
    {"ERR max number of clients reached", WWRI_REDIS_UNAVAILABLE},
    {"READONLY You can't write against a read only replica.",
     WWRI_REDIS_DEMOTED},
    {"MASTERDOWN Link with MASTER is down", WWRI_REDIS_DEMOTED},
    {"MOVED 3999 127.0.0.1:6381", WWRI_REDIS_DEMOTED},
    {"UNBLOCKED force unblock from blocking operation", WWRI_REDIS_DEMOTED},
    {"NOSCRIPT No matching script. Please use EVAL.", WWRI_REDIS_NOSCRIPT},
    {"NOAUTH Authentication required.", WWRI_REDIS_AUTH},
    {"WRONGPASS invalid username-password pair or user is disabled.",
     WWRI_REDIS_AUTH},
    {"NOPERM this user has no permissions to run the 'get' command",
     WWRI_REDIS_AUTH},
    {"DENIED Redis is running in protected mode", WWRI_REDIS_AUTH},
    {"ERR invalid password", WWRI_REDIS_AUTH},
    {"ERR unknown command 'X'", WWRI_REDIS_DEFINITE},
    {"ERR", WWRI_REDIS_DEFINITE},
    {"", WWRI_REDIS_DEFINITE},
    {"WRONGTYPE Operation against a key", WWRI_REDIS_DEFINITE},
    {"ASKING is no error", WWRI_REDIS_DEFINITE},
    {"BUSYGROUP Consumer Group name already exists", WWRI_REDIS_DEFINITE},
    {"BUSYKEY Target key name already exists.", WWRI_REDIS_DEFINITE},
    {"loading", WWRI_REDIS_DEFINITE},
    {" LOADING", WWRI_REDIS_DEFINITE},
    {"EXECABORT Transaction discarded", WWRI_REDIS_DEFINITE},
    {"CROSSSLOT Keys in request don't hash to the same slot",
     WWRI_REDIS_DEFINITE},
};

static void test_classes(void) {
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
    enum wwri_redis_class class =
        wwri_redis_classify(wwr_view_str(errors[i].text));
    CU_ASSERT_EQUAL(class, errors[i].class);
    if (class != errors[i].class) printf("\n%s: %d\n", errors[i].text, class);
  }
}

static void test_errors_from_within_a_script(void) {
  CU_ASSERT_TRUE(wwri_redis_from_script(wwr_view_str(
      "OOM command not allowed when used memory > 'maxmemory'. script: 3a, on "
      "@user_script:2.")));
  CU_ASSERT_FALSE(wwri_redis_from_script(
      wwr_view_str("OOM allow-oom flag is not set on the script, can not run "
                   "it when used memory > 'maxmemory'")));
  CU_ASSERT_FALSE(wwri_redis_from_script((struct wwr_view){NULL, 0}));
}

#define REPLID "0123456789abcdef0123456789abcdef01234567"

static const struct {
  const char *text;
  int result; /* -1: refused; 0: replica; 1: master */
} infos[] = {
    {"# Replication\r\nrole:master\r\nmaster_replid:" REPLID "\r\n", 1},
    {"role:slave\r\nmaster_host:h\r\nmaster_replid:" REPLID "\r\n", 0},
    {"master_replid:" REPLID "\nrole:master", 1},
    {"role:sentinel\r\nmaster_replid:" REPLID "\r\n", 0},
    {"role:masterful\r\nmaster_replid:" REPLID "\r\n", 0},
    {"role:master\r\n", -1},
    {"master_replid:" REPLID "\r\n", -1},
    {"xrole:master\r\nmaster_replid:" REPLID "\r\n", -1},
    {"role:\r\nmaster_replid:" REPLID "\r\n", -1},
    {"role:master\r\nmaster_replid:\r\n", -1},
    {"role:master\r\nmaster_replid:" REPLID "8\r\n", -1},
    {"role:master\r\nmaster_replid:a b\r\n", -1},
    {"role:master\r\nmaster_replid2:" REPLID "\r\n", -1},
    {"", -1},
    {"\r\n\r\n", -1},
};

static void test_info(void) {
  for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
    struct wwri_redis_info info;
    bool good = wwri_redis_info_parse(wwr_view_str(infos[i].text), &info);
    CU_ASSERT_EQUAL(good, infos[i].result >= 0);
    if (!good) continue;
    CU_ASSERT_EQUAL(info.master, infos[i].result == 1);
    CU_ASSERT_STRING_EQUAL(info.replid, REPLID);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"classes", test_classes},
      {"errors from within a script", test_errors_from_within_a_script},
      {"info", test_info},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis answers", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
