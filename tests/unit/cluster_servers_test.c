/* The list of Redis servers in a cluster's options: what is read of it, and
 * that every mistake is named with the URL it is in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers.h"
#include "test.h"
#include "wwr_cluster.h"

static void one_is_not_sharded(void) {
  static const char *const texts[] = {"redis://a", "  redis://a\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct wwri_servers servers;
    struct wwri_servers_fault fault;
    CU_ASSERT_EQUAL_FATAL(wwri_servers_parse(&servers, texts[i], &fault),
                          WWR_OK);
    CU_ASSERT_EQUAL(servers.sharding, WWRI_UNSHARDED);
    CU_ASSERT_EQUAL(servers.count, 1);
    CU_ASSERT_STRING_EQUAL(servers.names[0], "redis://a:6379");
    wwri_servers_free(&servers);
  }
}

static void several_are_a_list(void) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  CU_ASSERT_EQUAL_FATAL(
      wwri_servers_parse(&servers,
                         "\tredis://u:secret@a\n rediss://b:1/2?ca_file=/c\r\n"
                         "unix:///run/r.sock  redis+sentinel://s1,s2/main ",
                         &fault),
      WWR_OK);
  CU_ASSERT_EQUAL(servers.sharding, WWRI_SHARD_LIST);
  CU_ASSERT_EQUAL_FATAL(servers.count, 4);
  CU_ASSERT_STRING_EQUAL(servers.names[0], "redis://a:6379");
  CU_ASSERT_STRING_EQUAL(servers.names[1], "rediss://b:1/2");
  CU_ASSERT_STRING_EQUAL(servers.names[2], "unix:///run/r.sock");
  CU_ASSERT_STRING_EQUAL(servers.urls[0].password, "secret");
  CU_ASSERT_STRING_EQUAL(servers.urls[3].master, "main");
  wwri_servers_free(&servers);
}

static void a_redis_cluster_is_one(void) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  CU_ASSERT_EQUAL_FATAL(
      wwri_servers_parse(&servers, "redis+cluster://a,b:7000", &fault), WWR_OK);
  CU_ASSERT_EQUAL(servers.sharding, WWRI_REDIS_CLUSTER);
  CU_ASSERT_EQUAL(servers.count, 1);
  wwri_servers_free(&servers);
}

/* By wwr_cluster_check(), which is what people see. */
static void expect_wrong(const char *url, const char *text) {
  struct wwr_cluster_opts opts;
  struct wwr_cluster *cluster;
  const char *brief = NULL;
  char why[200];
  wwr_cluster_opts_default(&opts);
  opts.url = url;
  CU_ASSERT_EQUAL(wwr_cluster_check(&opts, why, sizeof why), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(why, text);
  CU_ASSERT_EQUAL(wwr_cluster_new(&cluster, &opts, &brief), WWR_E_INVALID);
  CU_ASSERT_PTR_NOT_NULL_FATAL(brief);
  const char *colon = strstr(text, ": ");
  if (colon) CU_ASSERT_STRING_EQUAL(brief, colon + 2);
}

static void mistakes_are_named(void) {
  static const char scheme[] =
      "it must begin with redis://, rediss://, unix://, "
      "redis+sentinel:// or redis+cluster://";
  expect_wrong(NULL, "url is required");
  expect_wrong("", "url is empty");
  expect_wrong(" \n", "url is empty");
  expect_wrong("localhost", scheme);
  expect_wrong("redis://a:0", "the port must be 1 to 65535");
  expect_wrong("redis://a redis://b:0 redis://c",
               "URL 2 of 3: the port must be 1 to 65535");
  expect_wrong("redis://a, redis://b",
               "URL 1 of 2: several hosts need redis+sentinel:// or "
               "redis+cluster://, several URLs spaces between them");
  expect_wrong("redis://a redis+cluster://b",
               "URL 2 of 2: redis+cluster:// stands alone, it names several "
               "hosts itself");
  expect_wrong("redis+cluster://a redis://b",
               "URL 1 of 2: redis+cluster:// stands alone, it names several "
               "hosts itself");
}

static void no_redis_is_there_twice(void) {
  static const char *const same[] = {
      "redis://a redis://a",
      "redis://a redis://u:p@a:6379",
      "redis://a redis://A/1",
      "redis://a rediss://a",
      "unix:///s unix:///s?db=1",
      "redis+sentinel://x,y/m redis+sentinel://z,y/m"};
  static const char *const different[] = {
      "redis://a redis://a:6380",
      "redis://a unix:///a",
      "unix:///a unix:///b",
      "redis://a:26379 redis+sentinel://a/m",
      "redis+sentinel://x,y/m redis+sentinel://x,y/n",
      "redis+sentinel://x/m redis+sentinel://y/m"};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    expect_wrong(same[i], "URL 2 of 2 is the same Redis as URL 1");
  }
  expect_wrong("redis://a redis://b redis://b redis://c",
               "URL 3 of 4 is the same Redis as URL 2");
  for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
    struct wwr_cluster_opts opts;
    char why[200] = "?";
    wwr_cluster_opts_default(&opts);
    opts.url = different[i];
    CU_ASSERT_EQUAL(wwr_cluster_check(&opts, why, sizeof why), WWR_OK);
    CU_ASSERT_STRING_EQUAL(why, "");
  }
}

static void make_list(char *out, size_t cap, unsigned count) {
  size_t len = 0;
  for (unsigned i = 0; i < count; i++) {
    len += (size_t)snprintf(out + len, cap - len, "redis://host-%u ", i);
  }
}

static void there_are_64_at_most(void) {
  char text[65 * 20];
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  make_list(text, sizeof text, 64);
  CU_ASSERT_EQUAL_FATAL(wwri_servers_parse(&servers, text, &fault), WWR_OK);
  CU_ASSERT_EQUAL(servers.count, 64);
  wwri_servers_free(&servers);
  make_list(text, sizeof text, 65);
  expect_wrong(text, "more than 64 Redis servers");
}

static void no_memory_is_said(void) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  for (long i = 0; i < 3; i++) {
    test_alloc_fail_at(i);
    CU_ASSERT_EQUAL(wwri_servers_parse(&servers, "redis://a redis://b", &fault),
                    WWR_E_NOMEM);
    CU_ASSERT_TRUE(test_alloc_failed());
    wwri_servers_free(&servers);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"one_is_not_sharded", one_is_not_sharded},
                         {"several_are_a_list", several_are_a_list},
                         {"a_redis_cluster_is_one", a_redis_cluster_is_one},
                         {"mistakes_are_named", mistakes_are_named},
                         {"no_redis_is_there_twice", no_redis_is_there_twice},
                         {"there_are_64_at_most", there_are_64_at_most},
                         {"no_memory_is_said", no_memory_is_said},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"servers", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
