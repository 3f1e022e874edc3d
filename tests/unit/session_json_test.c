/* The session object's JSON: golden texts, what is refused, no memory. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "session.h"
#include "test.h"

static const struct wwr_view no_key = {0};

static struct wwr_session *decode(const char *json, struct wwr_view key) {
  size_t len = strlen(json);
  uint8_t *exact = malloc(len ? len : 1); /* no NUL behind it */
  CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
  memcpy(exact, json, len);
  struct wwr_session *session = NULL;
  wwr_err err =
      wwri_session_decode((struct wwr_view){exact, len}, key, &session);
  free(exact);
  CU_ASSERT_TRUE(err == WWR_OK || err == WWR_E_INVALID);
  CU_ASSERT_EQUAL(session != NULL, err == WWR_OK);
  return session;
}

static void expect_json(const struct wwr_session *session, bool with_key,
                        const char *want) {
  char *json = NULL;
  size_t len = 0;
  CU_ASSERT_EQUAL_FATAL(wwri_session_encode(session, with_key, &json, &len),
                        WWR_OK);
  CU_ASSERT_STRING_EQUAL(json, want);
  CU_ASSERT_EQUAL(len, strlen(want));
  free(json);
}

static void objects_print_as_golden_text(void) {
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str("kQ9-_"), 1795338000000000000,
                      1795338000500000000, "{\"n\": 1, \"a\": [1, 2]}"),
      WWR_OK);
  expect_json(session, true,
              "{\"k\":\"kQ9-_\",\"c\":\"2026-11-22T09:00:00Z\","
              "\"l\":\"2026-11-22T09:00:00.5Z\",\"i\":{\"n\":1,\"a\":[1,2]}}");
  expect_json(session, false,
              "{\"c\":\"2026-11-22T09:00:00Z\","
              "\"l\":\"2026-11-22T09:00:00.5Z\",\"i\":{\"n\":1,\"a\":[1,2]}}");
  wwr_session_unref(session);
}

#define TIMES "\"c\":\"1970-01-01T00:00:00Z\",\"l\":\"1970-01-01T00:00:00Z\""

static void keys_are_escaped(void) {
  static const char *const keys[][2] = {
      {"a\"\\\n\x01", "{\"k\":\"a\\\"\\\\\\n\\u0001\"," TIMES "}"},
      {"\xc3\xa4\xf0\x9f\x98\x80",
       "{\"k\":\"\xc3\xa4\xf0\x9f\x98\x80\"," TIMES "}"},
      {"\xff\xc3", "{\"k\":\"\xef\xbf\xbd\xef\xbf\xbd\"," TIMES "}"},
      {"\x01\x02\x03\x04\x05\x06\x07",
       "{\"k\":\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\"," TIMES
       "}"}};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct wwr_session *session = NULL;
    CU_ASSERT_EQUAL_FATAL(
        wwr_session_new(&session, wwr_view_str(keys[i][0]), 0, 0, NULL),
        WWR_OK);
    expect_json(session, true, keys[i][1]);
    wwr_session_unref(session);
  }
}

static void long_keys_have_room_for_their_escapes(void) {
  enum { LEN = 500 };
  char key[LEN + 1], want[LEN * 6 + 100] = "{\"k\":\"";
  memset(key, 1, LEN);
  key[LEN] = '\0';
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str(key), 0, 0, NULL), WWR_OK);
  char *end = want + strlen(want);
  for (int i = 0; i < LEN; i++, end += 6) memcpy(end, "\\u0001", 6);
  snprintf(end, (size_t)(want + sizeof want - end), "\"," TIMES "}");
  expect_json(session, true, want);
  wwr_session_unref(session);
}

static void what_go_prints_is_read(void) {
  struct wwr_session *session = decode(
      " {\"k\":\"x\\u0041\",\"c\":\"2017-10-21T18:50:13.123456789+02:00\",\n"
      "\"l\":\"2017-10-21T16:50:14Z\",\"i\":{\"uid\":\"u1\", \"big\":1e3}}\n",
      no_key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(session);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(session), "xA");
  CU_ASSERT_EQUAL(wwr_session_created(session), 1508604613123456789);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(session), 1508604614000000000);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(session),
                         "{\"uid\":\"u1\",\"big\":1e3}");
  wwr_session_unref(session);
}

static void a_given_key_overrides(void) {
  struct wwr_session *session =
      decode("{\"k\":\"inside\"," TIMES "}", wwr_view_str("given"));
  CU_ASSERT_PTR_NOT_NULL_FATAL(session);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(session), "given");
  wwr_session_unref(session);
  session = decode("{" TIMES "}", wwr_view_str("given"));
  CU_ASSERT_PTR_NOT_NULL(session);
  wwr_session_unref(session);
  CU_ASSERT_PTR_NULL(decode("{\"k\":\"inside\"," TIMES "}", wwr_view_str("")));
}

static void a_missing_look_up_is_the_creation(void) {
  struct wwr_session *session =
      decode("{\"k\":\"k\",\"c\":\"1970-01-01T00:00:01Z\"}", no_key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(session);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(session), 1000000000);
  CU_ASSERT_PTR_NULL(wwr_session_info(session));
  wwr_session_unref(session);
}

static void the_info_is_the_top_levels_last(void) {
  struct wwr_session *session = decode(
      "{\"i\":{\"i\":{\"no\":1}},\"k\":\"i\",\"x\":{\"i\":3},"
      "\"\\u0069\":{\"yes\":\"}\"}," TIMES "}",
      no_key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(session);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(session), "{\"yes\":\"}\"}");
  wwr_session_unref(session);
  session = decode("{\"k\":\"k\",\"i\":null," TIMES "}", no_key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(session);
  CU_ASSERT_PTR_NULL(wwr_session_info(session));
  wwr_session_unref(session);
}

static const char *const refused[] = {
    "",
    "{}",
    "[]",
    "null",
    "{\"k\":\"k\"}",
    "{" TIMES "}",
    "{\"k\":\"\"," TIMES "}",
    "{\"k\":1," TIMES "}",
    "{\"k\":\"a\\u0000\"," TIMES "}",
    "{\"k\":\"k\",\"c\":0}",
    "{\"k\":\"k\",\"c\":\"today\"}",
    "{\"k\":\"k\",\"c\":\"1970-01-01T00:00:00Z\",\"l\":\"\"}",
    "{\"k\":\"k\",\"c\":\"1970-01-01T00:00:00Z\",\"l\":null}",
    "{\"k\":\"k\",\"i\":[]," TIMES "}",
    "{\"k\":\"k\",\"i\":\"\"," TIMES "}",
    "{\"k\":\"k\"," TIMES "}x",
    "{\"k\":\"k\"," TIMES,
    "{\"k\":\"\xff\"," TIMES "}",
};

static void what_is_no_session_is_refused(void) {
  static const char nul[] = "{\"k\":\"k\"," TIMES ",\"i\":{\"a\":1\0}}";
  struct wwr_view view = {(const uint8_t *)nul, sizeof nul - 1};
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL(wwri_session_decode(view, no_key, &session), WWR_E_INVALID);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    CU_ASSERT_PTR_NULL(decode(refused[i], no_key));
  }
}

static const char full[] = "{\"k\":\"k\\u0041\"," TIMES
                           ",\"i\":{\"a\":[1,{\"b\":\"}\"}],\"c\":\"\\\\\"}}";

static void every_truncation_is_refused(void) {
  char prefix[sizeof full];
  for (size_t len = 0; len < sizeof full - 1; len++) {
    memcpy(prefix, full, len);
    prefix[len] = '\0';
    CU_ASSERT_PTR_NULL(decode(prefix, no_key));
  }
  struct wwr_session *session = decode(full, no_key);
  CU_ASSERT_PTR_NOT_NULL(session);
  wwr_session_unref(session);
}

/* Any byte at any place: refused, or it survives being printed and read. */
static void every_byte_at_every_place(void) {
  char text[sizeof full];
  for (size_t at = 0; at < sizeof full - 1; at++) {
    memcpy(text, full, sizeof full);
    for (unsigned byte = 1; byte < 256; byte++) {
      text[at] = (char)byte;
      struct wwr_session *session = decode(text, no_key);
      if (!session) continue;
      char *json = NULL;
      size_t len;
      CU_ASSERT_EQUAL_FATAL(wwri_session_encode(session, true, &json, &len),
                            WWR_OK);
      struct wwr_session *again = decode(json, no_key);
      CU_ASSERT_PTR_NOT_NULL_FATAL(again);
      expect_json(again, true, json);
      free(json);
      wwr_session_unref(again);
      wwr_session_unref(session);
    }
  }
}

static wwr_err decode_and_encode(void) {
  struct wwr_session *session = NULL;
  char *json = NULL;
  size_t len;
  wwr_err err = wwri_session_decode(wwr_view_str(full), no_key, &session);
  CU_ASSERT_EQUAL(err == WWR_OK, session != NULL);
  if (err == WWR_OK) err = wwri_session_encode(session, true, &json, &len);
  free(json);
  wwr_session_unref(session);
  return err;
}

/* Every allocation of ours. The JSON library's are left alone: the lexer of
 * jansson 2.14 writes outside its buffer when growing it fails. */
static void every_allocation_may_fail(void) {
  long n = 0;
  for (;; n++) {
    test_alloc_fail_at(n);
    wwr_err err = decode_and_encode();
    if (!test_alloc_failed()) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      break;
    }
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
  }
  CU_ASSERT_EQUAL(n, 2);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"objects print as golden text", objects_print_as_golden_text},
      {"keys are escaped", keys_are_escaped},
      {"long keys have room for their escapes",
       long_keys_have_room_for_their_escapes},
      {"what Go prints is read", what_go_prints_is_read},
      {"a given key overrides", a_given_key_overrides},
      {"a missing look-up is the creation", a_missing_look_up_is_the_creation},
      {"the info is the top level's last", the_info_is_the_top_levels_last},
      {"what is no session is refused", what_is_no_session_is_refused},
      {"every truncation is refused", every_truncation_is_refused},
      {"every byte at every place", every_byte_at_every_place},
      CU_TEST_INFO_NULL};
  CU_TestInfo memory[] = {
      {"every allocation may fail", every_allocation_may_fail},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"session_json", NULL, NULL, NULL, NULL, tests},
      {"session_json memory", NULL, NULL, NULL, NULL, memory},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
