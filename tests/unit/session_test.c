/* Session objects: made, read field by field, shared. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "test.h"

static struct wwr_session *make(const char *info) {
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str("key"), 1, 2, info), WWR_OK);
  return session;
}

static void sessions_copy_what_they_are_made_of(void) {
  char key[] = "key", info[] = "{ \"a\" : 1 }";
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str(key), 5, -6, info), WWR_OK);
  memset(key, 'x', sizeof key);
  memset(info, 'x', sizeof info);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(session), "key");
  CU_ASSERT_STRING_EQUAL(wwr_session_info(session), "{\"a\":1}");
  CU_ASSERT_EQUAL(wwr_session_created(session), 5);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(session), -6);
  wwr_session_unref(session);
  wwr_session_unref(NULL);
}

static void bad_keys_are_refused(void) {
  static const struct wwr_view keys[] = {
      {NULL, 0}, {(const uint8_t *)"", 0}, {(const uint8_t *)"a\0b", 3}};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct wwr_session *session = (struct wwr_session *)&session;
    CU_ASSERT_EQUAL(wwr_session_new(&session, keys[i], 0, 0, NULL),
                    WWR_E_INVALID);
    CU_ASSERT_PTR_NULL(session);
  }
}

static void bad_infos_are_refused(void) {
  static const char *const infos[] = {"",
                                      " ",
                                      "[]",
                                      "1",
                                      "null",
                                      "\"a\"",
                                      "{",
                                      "{}x",
                                      "{\"a\":}",
                                      "{a:1}",
                                      "{\"a\":1,}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":01}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":1e999}"};
  for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
    struct wwr_session *session = (struct wwr_session *)&session;
    CU_ASSERT_EQUAL(
        wwr_session_new(&session, wwr_view_str("k"), 0, 0, infos[i]),
        WWR_E_INVALID);
    CU_ASSERT_PTR_NULL(session);
  }
}

static void infos_may_not_nest_without_bound(void) {
  enum { DEPTH = 100000 };
  char *info = malloc(DEPTH * 6 + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(info);
  for (int i = 0; i < DEPTH; i++) memcpy(info + i * 5, "{\"a\":", 5);
  memset(info + DEPTH * 5, '}', DEPTH);
  info[DEPTH * 6] = '\0';
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL(wwr_session_new(&session, wwr_view_str("k"), 0, 0, info),
                  WWR_E_INVALID);
  free(info);
}

static void no_members_are_no_info(void) {
  static const char *const infos[] = {NULL, "{}", " { \n } "};
  for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
    struct wwr_session *session = make(infos[i]);
    char *field;
    CU_ASSERT_PTR_NULL(wwr_session_info(session));
    CU_ASSERT_EQUAL(wwr_session_field(session, "a", &field), WWR_E_INVALID);
    wwr_session_unref(session);
  }
}

struct kept {
  const char *given;
  const char *kept;
};

static const struct kept kept[] = {
    {"{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}"},
    {"\t{ \"b\" :\r\n[ 1 , { } ] }", "{\"b\":[1,{}]}"},
    {"{\"s\":\" a \\\" b \\\\\" }", "{\"s\":\" a \\\" b \\\\\"}"},
    {"{\"n\":9223372036854775808}", "{\"n\":9223372036854775808}"},
    {"{\"n\":0.1,\"m\":1.50,\"e\":1E2}", "{\"n\":0.1,\"m\":1.50,\"e\":1E2}"},
    {"{\"u\":\"\\u00e4\",\"v\":\"\xc3\xa4\"}",
     "{\"u\":\"\\u00e4\",\"v\":\"\xc3\xa4\"}"},
    {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
    {"{\"z\":\"\\u0000\"}", "{\"z\":\"\\u0000\"}"},
};

static void infos_stay_as_they_are(void) {
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    struct wwr_session *session = make(kept[i].given);
    CU_ASSERT_STRING_EQUAL(wwr_session_info(session), kept[i].kept);
    wwr_session_unref(session);
  }
}

static const char rich[] =
    "{\"s\":\"text \\u00e4 \\\"\", \"n\":12345678901234567890,\"f\":0.10,"
    "\"t\":true,\"z\":null,\"o\":{\"s\":\"in\",\"x\":[\"}\",2]},\"l\":[1, 2],"
    "\"\":\"none\",\"d\":1,\"d\":2,\"esc\\u0061ped\":\"e\",\"nul\":"
    "\"a\\u0000\","
    "\"}{\":\"braces\"}";

struct field {
  const char *name;
  const char *json; /* NULL: no such field */
  const char *text; /* NULL: no string */
};

static const struct field fields[] = {
    {"s", "\"text \\u00e4 \\\"\"", "text \xc3\xa4 \""},
    {"n", "12345678901234567890", NULL},
    {"f", "0.10", NULL},
    {"t", "true", NULL},
    {"z", "null", NULL},
    {"o", "{\"s\":\"in\",\"x\":[\"}\",2]}", NULL},
    {"l", "[1,2]", NULL},
    {"", "\"none\"", "none"},
    {"d", "2", NULL},
    {"escaped", "\"e\"", "e"},
    {"nul", "\"a\\u0000\"", NULL},
    {"}{", "\"braces\"", "braces"},
    {"x", NULL, NULL}, /* only inside "o" */
    {"in", NULL, NULL},
    {"S", NULL, NULL},
};

static void expect_field(const struct wwr_session *session,
                         const struct field *want) {
  char *json = NULL, *text = NULL;
  wwr_err err = wwr_session_field(session, want->name, &json);
  CU_ASSERT_EQUAL(err, want->json ? WWR_OK : WWR_E_INVALID);
  CU_ASSERT_EQUAL(json != NULL, want->json != NULL);
  if (json && want->json) CU_ASSERT_STRING_EQUAL(json, want->json);
  err = wwr_session_field_text(session, want->name, &text);
  CU_ASSERT_EQUAL(err, want->text ? WWR_OK : WWR_E_INVALID);
  CU_ASSERT_EQUAL(text != NULL, want->text != NULL);
  if (text && want->text) CU_ASSERT_STRING_EQUAL(text, want->text);
  wwr_free(json);
  wwr_free(text);
}

static void fields_are_found_by_name(void) {
  struct wwr_session *session = make(rich);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    expect_field(session, &fields[i]);
  }
  wwr_session_unref(session);
}

static void lookups_make_a_new_session(void) {
  struct wwr_session *session = make("{\"a\":1}"), *later = NULL;
  CU_ASSERT_EQUAL_FATAL(wwri_session_looked_up(session, 99, &later), WWR_OK);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(session), 2);
  wwr_session_unref(session);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(later), "key");
  CU_ASSERT_STRING_EQUAL(wwr_session_info(later), "{\"a\":1}");
  CU_ASSERT_EQUAL(wwr_session_created(later), 1);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(later), 99);
  wwr_session_unref(later);
}

static void *read_and_drop(void *arg) {
  struct wwr_session *session = arg;
  for (int i = 0; i < 2000; i++) {
    char *text = NULL;
    if (wwr_session_field_text(session, "s", &text) != WWR_OK) break;
    wwr_free(text);
    wwr_session_unref(wwr_session_ref(session));
  }
  wwr_session_unref(session);
  return NULL;
}

static void sessions_are_shared_by_threads(void) {
  struct wwr_session *session = make(rich);
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_and_drop,
                                         wwr_session_ref(session)),
                          0);
  }
  wwr_session_unref(session); /* the last thread frees it */
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

/* Returns the first error; whatever it is, nothing may leak or crash. */
static wwr_err use_everything(void) {
  struct wwr_session *session = NULL, *later = NULL;
  char *json = NULL, *text = NULL;
  wwr_err err = wwr_session_new(&session, wwr_view_str("k"), 0, 0, rich);
  if (err == WWR_OK) err = wwr_session_field(session, "escaped", &json);
  if (err == WWR_OK) err = wwr_session_field_text(session, "s", &text);
  if (err == WWR_OK) err = wwri_session_looked_up(session, 1, &later);
  CU_ASSERT_EQUAL(err == WWR_OK, later != NULL);
  wwr_free(json);
  wwr_free(text);
  wwr_session_unref(later);
  wwr_session_unref(session);
  return err;
}

/* Every allocation of ours. The JSON library's are left alone: the lexer of
 * jansson 2.14 writes outside its buffer when growing it fails. */
static void every_allocation_may_fail(void) {
  long n = 0;
  for (;; n++) {
    test_alloc_fail_at(n);
    wwr_err err = use_everything();
    if (!test_alloc_failed()) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      break;
    }
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
  }
  CU_ASSERT_EQUAL(n, 4);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"sessions copy what they are made of",
       sessions_copy_what_they_are_made_of},
      {"bad keys are refused", bad_keys_are_refused},
      {"bad infos are refused", bad_infos_are_refused},
      {"infos may not nest without bound", infos_may_not_nest_without_bound},
      {"no members are no info", no_members_are_no_info},
      {"infos stay as they are", infos_stay_as_they_are},
      {"fields are found by name", fields_are_found_by_name},
      {"lookups make a new session", lookups_make_a_new_session},
      {"sessions are shared by threads", sessions_are_shared_by_threads},
      CU_TEST_INFO_NULL};
  CU_TestInfo memory[] = {
      {"every allocation may fail", every_allocation_may_fail},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"session", NULL, NULL, NULL, NULL, tests},
                           {"session memory", NULL, NULL, NULL, NULL, memory},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
