#include "url.h"
#include "url_name.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

/* What a URL means, written as one line. */
static void describe(const struct wwri_redis_url *url, char *out, size_t cap) {
  size_t len = 0;
  for (size_t i = 0; i < url->host_count && len < cap; i++) {
    len += (size_t)snprintf(out + len, cap - len, "%s|%u ", url->hosts[i].name,
                            url->hosts[i].port);
  }
  if (len >= cap) return;
  snprintf(out + len, cap - len,
           "tls=%d %s=%s path=%s user=%s pass=%s "
           "db=%u",
           url->tls, url->cluster ? "cluster" : "sentinel",
           url->sentinel || url->cluster ? url->master : "-", url->path,
           url->user, url->password, (unsigned)url->db);
}

static const struct {
  const char *url;
  const char *means;
} good[] = {
    {"redis://h", "h|6379 tls=0 sentinel=- path= user= pass= db=0"},
    {"redis://h/", "h|6379 tls=0 sentinel=- path= user= pass= db=0"},
    {"redis://h:1/2", "h|1 tls=0 sentinel=- path= user= pass= db=2"},
    {"redis://h:65535", "h|65535 tls=0 sentinel=- path= user= pass= db=0"},
    {"redis://:p@h", "h|6379 tls=0 sentinel=- path= user= pass=p db=0"},
    {"redis://u:p@h/15", "h|6379 tls=0 sentinel=- path= user=u pass=p db=15"},
    {"redis://u:a:b@h", "h|6379 tls=0 sentinel=- path= user=u pass=a:b db=0"},
    {"redis://u:a@b@h", "h|6379 tls=0 sentinel=- path= user=u pass=a@b db=0"},
    {"redis://u%3a:%2F%3f%40@h",
     "h|6379 tls=0 sentinel=- path= user=u: pass=/?@ db=0"},
    {"redis://[::1]:7", "::1|7 tls=0 sentinel=- path= user= pass= db=0"},
    {"redis://[fe80::1%25lo]",
     "fe80::1%lo|6379 tls=0 sentinel=- path= user= pass= db=0"},
    {"rediss://h", "h|6379 tls=1 sentinel=- path= user= pass= db=0"},
    {"unix:///run/r.sock",
     "tls=0 sentinel=- path=/run/r.sock user= pass= db=0"},
    {"unix://u:p@/r%20s?db=3", "tls=0 sentinel=- path=/r s user=u pass=p db=3"},
    {"redis+sentinel://a,b:2,[::3]:4/m",
     "a|26379 b|2 ::3|4 tls=0 sentinel=m path= user= pass= db=0"},
    {"rediss+sentinel://u:p@a/m%2Fn/7",
     "a|26379 tls=1 sentinel=m/n path= user=u pass=p db=7"},
    {"redis+cluster://a", "a|6379 tls=0 cluster= path= user= pass= db=0"},
    {"redis+cluster://u:p@a,b:2,[::3]:4/",
     "a|6379 b|2 ::3|4 tls=0 cluster= path= user=u pass=p db=0"},
    {"rediss+cluster://a:1,a:2",
     "a|1 a|2 tls=1 cluster= path= user= pass= db=0"},
};

static void test_good(void) {
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    struct wwri_redis_url url;
    char text[4096];
    const char *why = NULL;
    CU_ASSERT_EQUAL_FATAL(wwri_redis_url_parse(&url, good[i].url, &why),
                          WWR_OK);
    describe(&url, text, sizeof(text));
    CU_ASSERT_STRING_EQUAL(text, good[i].means);
    if (strcmp(text, good[i].means) != 0)
      printf("\n%s: %s\n", good[i].url, text);
  }
}

static const struct {
  const char *url;
  const char *why; /* how the complaint begins */
} bad[] = {
    {"", "it must begin with"},
    {"h:1", "it must begin with"},
    {"http://h", "the scheme must be"},
    {"REDIS://h", "the scheme must be"},
    {"redis://", "the host is missing"},
    {"redis://:1", "the host is missing"},
    {"redis://[]", "the host is missing"},
    {"redis://secret@h", "before @ must be USER:PASSWORD"},
    {"redis://u:@h", "the password is empty"},
    {"redis://h:0", "the port must be"},
    {"redis://h:65536", "the port must be"},
    {"redis://h:x", "the port must be"},
    {"redis://h:", "the port must be"},
    {"redis://::1", "the host is missing"},
    {"redis://a::1", "the port must be"},
    {"redis://[::1", "a [ without ]"},
    {"redis://[::1]x", "only :PORT may follow ]"},
    {"redis://a,b", "several hosts need"},
    {"redis://h/x", "the database must be a number"},
    {"redis://h/-1", "the database must be a number"},
    {"redis://h/1/2", "the database must be a number"},
    {"redis://h/1000001", "the database must be a number"},
    {"redis://%", "a % without"},
    {"redis://%4", "a % without"},
    {"redis://a%zz", "a % without"},
    {"redis://a%00b", "a NUL byte"},
    {"unix://r.sock", "the socket's path must begin"},
    {"unix://", "the socket's path must begin"},
    {"unix:///s?db=x", "the database must be a number"},
    {"redis+sentinel://a", "the master's name is missing"},
    {"redis+sentinel://a/", "the master's name is missing"},
    {"redis+sentinel://a,/m", "the host is missing"},
    {"redis+sentinel://1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h/m", "too many hosts"},
    {"redis://h?db=1", "an unknown option"},
    {"redis://h?x=1", "an unknown option"},
    {"redis://h?ca_file", "an option must be"},
    {"redis://h?ca_file=x", "an option that this scheme"},
    {"rediss://h?ca_file=", "an option is empty"},
    {"rediss://h?cert_file=x", "cert_file and key_file go together"},
    {"rediss://h?sentinel_user=x", "an option that this scheme"},
    {"redis+sentinel://h/m?sentinel_user=x", "sentinel_user needs"},
    {"redis+cluster://", "the host is missing"},
    {"redis+cluster://a,", "the host is missing"},
    {"redis+cluster://a/0", "a Redis Cluster has no databases"},
    {"redis+cluster://a?ca_file=x", "an option that this scheme"},
    {"redis+cluster://a?sentinel_user=x", "an option that this scheme"},
};

static void test_bad(void) {
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct wwri_redis_url url;
    const char *why = "";
    CU_ASSERT_EQUAL(wwri_redis_url_parse(&url, bad[i].url, &why),
                    WWR_E_INVALID);
    CU_ASSERT_EQUAL(strncmp(why, bad[i].why, strlen(bad[i].why)), 0);
    if (strncmp(why, bad[i].why, strlen(bad[i].why)) != 0) {
      printf("\n%s: %s\n", bad[i].url, why);
    }
  }
}

static void test_options(void) {
  struct wwri_redis_url url;
  const char *why;
  CU_ASSERT_EQUAL_FATAL(
      wwri_redis_url_parse(&url,
                           "rediss+sentinel://h/m?ca_file=/ca&cert_file=%2Fc&"
                           "key_file=k&tls_name=n.example&sentinel_user=su&"
                           "sentinel_password=sp%26",
                           &why),
      WWR_OK);
  CU_ASSERT_STRING_EQUAL(url.ca_file, "/ca");
  CU_ASSERT_STRING_EQUAL(url.cert_file, "/c");
  CU_ASSERT_STRING_EQUAL(url.key_file, "k");
  CU_ASSERT_STRING_EQUAL(url.tls_name, "n.example");
  CU_ASSERT_STRING_EQUAL(url.sentinel_user, "su");
  CU_ASSERT_STRING_EQUAL(url.sentinel_password, "sp&");
}

static void test_parts_have_a_limit(void) {
  char text[WWRI_REDIS_MAX_TEXT + 32];
  struct wwri_redis_url url;
  const char *why = "";
  int prefix = snprintf(text, sizeof(text), "redis://");
  memset(text + prefix, 'h', WWRI_REDIS_MAX_TEXT);
  text[prefix + WWRI_REDIS_MAX_TEXT - 1] = '\0';
  CU_ASSERT_EQUAL(wwri_redis_url_parse(&url, text, &why), WWR_OK);
  CU_ASSERT_EQUAL(strlen(url.hosts[0].name), WWRI_REDIS_MAX_TEXT - 1);
  text[prefix + WWRI_REDIS_MAX_TEXT - 1] = 'h';
  text[prefix + WWRI_REDIS_MAX_TEXT] = '\0';
  CU_ASSERT_EQUAL(wwri_redis_url_parse(&url, text, &why), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(why, "a part is too long");
}

static void test_names(void) {
  static const char *const names[][2] = {
      {"redis://u:secret@h", "redis://h:6379"},
      {"redis://h:1/0", "redis://h:1"},
      {"rediss://:s@h/3?ca_file=/ca", "rediss://h:6379/3"},
      {"redis://[::1]:7", "redis://[::1]:7"},
      {"unix://:s@/run/r.sock?db=2", "unix:///run/r.sock?db=2"},
      {"rediss+cluster://u:s@a,b:2", "rediss+cluster://a:6379,b:2"},
      {"redis+sentinel://:s@a,b:2/m/1?sentinel_password=t",
       "redis+sentinel://a:26379,b:2/m/1"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct wwri_redis_url url;
    const char *why;
    char name[WWRI_REDIS_NAME_MAX];
    CU_ASSERT_EQUAL_FATAL(wwri_redis_url_parse(&url, names[i][0], &why),
                          WWR_OK);
    wwri_redis_url_name(&url, name);
    CU_ASSERT_STRING_EQUAL(name, names[i][1]);
  }
}

static void test_names_have_a_limit(void) {
  struct wwri_redis_url url = {.sentinel = true, .host_count = 2};
  char name[WWRI_REDIS_NAME_MAX];
  for (size_t i = 0; i < 2; i++) {
    memset(url.hosts[i].name, 'h', WWRI_REDIS_MAX_TEXT - 1);
    url.hosts[i].port = 1;
  }
  wwri_redis_url_name(&url, name);
  CU_ASSERT_EQUAL(strlen(name), WWRI_REDIS_NAME_MAX - 1);
  CU_ASSERT_STRING_EQUAL(name + strlen(name) - 4, "h...");
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"good", test_good},
      {"bad", test_bad},
      {"options", test_options},
      {"parts have a limit", test_parts_have_a_limit},
      {"names", test_names},
      {"names have a limit", test_names_have_a_limit},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis url", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
