/* Who may: permissions as texts, and the namespace with the longest prefix. */
#include <string.h>

#include "policy.h"
#include "test.h"

/* --- Permissions ---------------------------------------------------------- */

static void texts(void) {
  static const struct {
    const char *text;
    bool good;
  } cases[] = {{"everyone", true},
               {"session", true},
               {"nobody", true},
               {"info:role=admin", true},
               {"info:role=admin,staff", true},
               {"info:rooms", true},
               {"info:a=b=c", true},
               {"", false},
               {"Everyone", false},
               {"everyone ", false},
               {"info:", false},
               {"info:=x", false},
               {"info:role=", false},
               {"info:role=,a", false},
               {"info:role=a,", false},
               {"info:role=a,,b", false},
               {"info", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char reason[PERMIT_REASON_MAX] = "";
    CU_ASSERT_EQUAL(permit_check(cases[i].text, reason), cases[i].good);
    CU_ASSERT_EQUAL(*reason == '\0', cases[i].good);
  }
}

static void decisions(void) {
  static const struct {
    const char *text;
    bool session;
    const char *field;
    enum permit_verdict verdict;
  } cases[] = {
      {"everyone", false, NULL, PERMIT_YES},
      {"nobody", true, NULL, PERMIT_NO},
      {"session", false, NULL, PERMIT_SIGN_IN},
      {"session", true, NULL, PERMIT_YES},
      {"info:r=a,b", false, NULL, PERMIT_SIGN_IN},
      {"info:r=a,b", true, NULL, PERMIT_NO},
      {"info:r=a,b", true, "\"a\"", PERMIT_YES},
      {"info:r=a,b", true, "\"b\"", PERMIT_YES},
      {"info:r=a,b", true, "\"ab\"", PERMIT_NO},
      {"info:r=a,b", true, "\"a,b\"", PERMIT_NO},
      {"info:r=a,b", true, "[\"x\",\"b\"]", PERMIT_YES},
      {"info:r=a,b", true, "[\"x\",[\"b\"]]", PERMIT_NO},
      {"info:r=a,b", true, "[]", PERMIT_NO},
      {"info:r=a,b", true, "{\"a\":1}", PERMIT_NO},
      {"info:r=a,b", true, "\"a\\u0000\"", PERMIT_NO},
      {"info:r=7", true, "7", PERMIT_YES},
      {"info:r=7", true, "\"7\"", PERMIT_YES},
      {"info:r=7", true, "7.0", PERMIT_NO},
      {"info:r=true", true, "true", PERMIT_YES},
      {"info:r=false", true, "true", PERMIT_NO},
      {"info:r=null", true, "null", PERMIT_NO},
      {"info:r=a", true, "nonsense", PERMIT_NO},
      {"info:rooms", true, "\"chat:1\"", PERMIT_YES},
      {"info:rooms", true, "[\"x\",\"chat:1\"]", PERMIT_YES},
      {"info:rooms", true, "[\"chat:*\"]", PERMIT_YES},
      {"info:rooms", true, "[\"*\"]", PERMIT_YES},
      {"info:rooms", true, "[\"chat:1*\"]", PERMIT_YES},
      {"info:rooms", true, "[\"chat:12*\"]", PERMIT_NO},
      {"info:rooms", true, "[\"chat:\"]", PERMIT_NO},
      {"info:rooms", true, "[\"chat:11\",\"c*t:1\",\"\",7,null]", PERMIT_NO},
      {"info:rooms", false, "[\"*\"]", PERMIT_SIGN_IN},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct permit permit;
    CU_ASSERT_TRUE_FATAL(permit_init(&permit, cases[i].text));
    enum permit_verdict verdict = permit_decide(
        &permit, cases[i].session, cases[i].field, wwr_view_str("chat:1"));
    CU_ASSERT_EQUAL(verdict, cases[i].verdict);
    if (verdict != cases[i].verdict)
      fprintf(stderr, "%s of %s\n", cases[i].text, cases[i].field);
    permit_deinit(&permit);
  }
}

/* --- Namespaces ----------------------------------------------------------- */

static struct namespace_settings items[] = {
    {"a:", 1, 1000, false, "everyone", "everyone", "everyone"},
    {"a:b:", 2, 1000, true, "session", "nobody", "info:x"},
    {"abc", 3, 1000, false, "everyone", "everyone", "info:x=1,2"}};

static struct policy *make(void) {
  struct settings settings;
  settings_init(&settings);
  settings.max_name = 20;
  settings.namespaces.items = items;
  settings.namespaces.count = sizeof items / sizeof *items;
  return policy_new(&settings);
}

static void longest_prefix(void) {
  static const struct {
    const char *channel;
    uint32_t entries;
  } cases[] = {{"a:", 1},    {"a:x", 1},   {"a:b", 1},   {"a:b:", 2},
               {"a:b:c", 2}, {"abc", 3},   {"abcd", 3},  {"ab", 1000},
               {"b:", 1000}, {"A:", 1000}, {"xa:", 1000}};
  struct policy *policy = make();
  CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct namespace *namespace =
        policy_namespace(policy, wwr_view_str(cases[i].channel));
    CU_ASSERT_EQUAL(namespace->log_entries, cases[i].entries);
  }
  const struct namespace *namespace =
      policy_namespace(policy, wwr_view_str("a:b:"));
  CU_ASSERT_TRUE(namespace->presence);
  CU_ASSERT_EQUAL(namespace->permits[POLICY_SUBSCRIBE].kind, PERMIT_SESSION);
  CU_ASSERT_EQUAL(namespace->permits[POLICY_PUBLISH].kind, PERMIT_NOBODY);
  CU_ASSERT_EQUAL(namespace->permits[POLICY_HISTORY].kind, PERMIT_CHANNELS);
  policy_free(policy);
  policy_free(NULL);
}

static void names(void) {
  static const struct {
    const char *name;
    bool good;
  } cases[] = {{"a", true},
               {"a b~", true},
               {"12345678901234567890", true},
               {"123456789012345678901", false},
               {"", false},
               {"!a", false},
               {"a!", true},
               {"gap:a", false},
               {"gap:", false},
               {"gap", true},
               {"a\n", false},
               {"a\x7f", false},
               {"\xc3\xa9", false}};
  struct policy *policy = make();
  CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CU_ASSERT_EQUAL(policy_name_ok(policy, wwr_view_str(cases[i].name)),
                    cases[i].good);
  CU_ASSERT_FALSE(
      policy_name_ok(policy, (struct wwr_view){(const uint8_t *)"a\0b", 3}));
  policy_free(policy);
}

static void without_memory(void) {
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    struct policy *policy = make();
    if (!test_alloc_failed()) {
      CU_ASSERT_PTR_NOT_NULL(policy);
      CU_ASSERT_TRUE(n > 5);
      policy_free(policy);
      return;
    }
    CU_ASSERT_PTR_NULL(policy);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"texts", texts},
                         {"decisions", decisions},
                         {"longest prefix", longest_prefix},
                         {"names", names},
                         {"without memory", without_memory},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"webwired_policy", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
