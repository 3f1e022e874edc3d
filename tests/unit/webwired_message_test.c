/* JSON of webwired's requests and replies. */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "test.h"

/* --- Requests ------------------------------------------------------------- */

static void wishes(void) {
  static const struct {
    const char *json;
    bool sub;
    bool history;
    uint32_t count; /* of whichever it is */
    uint64_t epoch, offset;
  } cases[] = {
      {"", true, true, 0, 0, 0},
      {"{}", true, true, 0, 0, 0},
      {"{\"history\":7}", true, false, 7, 0, 0},
      {" {\"history\" : 256 } ", true, false, 256, 0, 0},
      {"{\"history\":257}", false, false, 0, 0, 0},
      {"{\"history\":-1}", false, false, 0, 0, 0},
      {"{\"history\":null}", false, false, 0, 0, 0},
      {"{\"history\":1e2}", false, false, 0, 0, 0},
      {"{\"count\":3}", false, true, 3, 0, 0},
      {"{\"count\":3,\"after\":{\"epoch\":9007199254740991,\"offset\":5}}",
       false, true, 3, 9007199254740991, 5},
      {"{\"after\":{\"offset\":5,\"epoch\":1}}", false, true, 256, 1, 5},
      {"{\"before\":{\"offset\":5,\"epoch\":1}}", false, true, 256, 1, 5},
      {"{\"before\":{\"offset\":0,\"epoch\":0}}", false, false, 0, 0, 0},
      {"{\"before\":{\"offset\":5,\"epoch\":1},"
       "\"after\":{\"offset\":5,\"epoch\":1}}",
       false, false, 0, 0, 0},
      {"{\"before\":7}", false, false, 0, 0, 0},
      {"{\"after\":{\"offset\":5,\"epoch\":1,\"x\":1}}", false, false, 0, 0, 0},
      {"{\"after\":{\"offset\":5,\"epoch\":-1}}", false, false, 0, 0, 0},
      {"{\"after\":{\"epoch\":\"1795388576543837856\",\"offset\":5}}", false,
       true, 256, 1795388576543837856, 5},
      {"{\"after\":{\"epoch\":\"18446744073709551615\",\"offset\":0}}", false,
       true, 256, UINT64_MAX, 0},
      {"{\"after\":{\"epoch\":\"18446744073709551616\",\"offset\":0}}", false,
       false, 0, 0, 0},
      {"{\"after\":{\"epoch\":\"\",\"offset\":5}}", false, false, 0, 0, 0},
      {"{\"after\":{\"epoch\":\"-1\",\"offset\":5}}", false, false, 0, 0, 0},
      {"{\"after\":{\"epoch\":\"1 \",\"offset\":5}}", false, false, 0, 0, 0},
      {"{\"after\":{\"epoch\":\"1\\u0000\",\"offset\":5}}", false, false, 0, 0,
       0},
      {"{\"after\":{\"epoch\":true,\"offset\":5}}", false, false, 0, 0, 0},
      {"{\"after\":{\"offset\":99999999999999999999,\"epoch\":1}}", false,
       false, 0, 0, 0},
      {"{\"count\":1,\"count\":1}", false, false, 0, 0, 0},
      {"[]", false, false, 0, 0, 0},
      {"null", false, false, 0, 0, 0},
      {"{} x", false, false, 0, 0, 0},
      {"{\"history\":1", false, false, 0, 0, 0},
      {"\xff", false, false, 0, 0, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct wwr_payload payload = wwr_payload_text(cases[i].json);
    struct message_wish wish;
    CU_ASSERT_EQUAL(message_read_sub(&payload, &wish), cases[i].sub);
    if (cases[i].sub && !cases[i].history)
      CU_ASSERT_EQUAL(wish.count, cases[i].count);
    CU_ASSERT_EQUAL(message_read_history(&payload, &wish), cases[i].history);
    if (!cases[i].history) continue;
    CU_ASSERT_EQUAL(wish.count, cases[i].sub ? 256 : cases[i].count);
    bool before = strstr(cases[i].json, "before") != NULL;
    CU_ASSERT_EQUAL(wish.after, cases[i].epoch > 0 && !before);
    CU_ASSERT_EQUAL(wish.before, before);
    CU_ASSERT_EQUAL(wish.place.epoch, cases[i].epoch);
    CU_ASSERT_EQUAL(wish.place.offset, cases[i].offset);
  }
}

static void wishes_in_utf16(void) {
  static const char text[] = "{\0\"\0h\0i\0s\0t\0o\0r\0y\0\"\0:\0003\0}\0";
  struct wwr_payload payload = wwr_payload_binary(text, sizeof text - 1);
  struct message_wish wish;
  payload.encoding = WWR_UTF16;
  CU_ASSERT_TRUE(message_read_sub(&payload, &wish));
  CU_ASSERT_EQUAL(wish.count, 3);
  payload.data.len--;
  CU_ASSERT_FALSE(message_read_sub(&payload, &wish));
}

/* --- Replies -------------------------------------------------------------- */

static struct wwr_channel_message message(uint64_t offset, const char *text) {
  return (struct wwr_channel_message){
      .id = {7, offset}, .time_ms = 5, .payload = wwr_payload_text(text)};
}

static void one_message(void) {
  static const struct {
    enum wwr_encoding encoding;
    const char *bytes;
    size_t len;
    const char *json; /* behind the encoding */
  } cases[] = {
      {WWR_BINARY, "", 0, "\"binary\",\"payload\":\"\"}"},
      {WWR_BINARY, "\xff", 1, "\"binary\",\"payload\":\"/w==\"}"},
      {WWR_BINARY, "ab", 2, "\"binary\",\"payload\":\"YWI=\"}"},
      {WWR_BINARY, "abc", 3, "\"binary\",\"payload\":\"YWJj\"}"},
      {WWR_UTF8, "\"\n", 2, "\"utf8\",\"payload\":\"\\\"\\n\"}"},
      {WWR_UTF8, "\xc0\x80", 2,
       "\"utf8\",\"payload\":\"wIA=\",\"base64\":true}"},
      {WWR_UTF16, "", 0, "\"utf16\",\"payload\":\"\"}"},
      {WWR_UTF16, "a\0", 2, "\"utf16\",\"payload\":\"a\"}"},
      {WWR_UTF16, "=\xd8\0\xde", 4,
       "\"utf16\",\"payload\":\"\xf0\x9f\x98\x80\"}"},
      {WWR_UTF16, "\0\xde=\xd8", 4,
       "\"utf16\",\"payload\":\"AN492A==\",\"base64\":true}"},
      {WWR_UTF16, "=\xd8", 2,
       "\"utf16\",\"payload\":\"Pdg=\",\"base64\":true}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char expected[256];
    struct wwr_channel_message one = message(3, "");
    one.payload = wwr_payload_binary(cases[i].bytes, cases[i].len);
    one.payload.encoding = cases[i].encoding;
    snprintf(expected, sizeof expected,
             "{\"epoch\":\"7\",\"offset\":3,\"time\":5,\"encoding\":%s",
             cases[i].json);
    char *json = message_json(&one, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_STRING_EQUAL(json, expected);
    free(json);
  }
}

/* The offsets in a page, "1 2 3", and "..." when there are more. */
static const char *page_of(const struct message_wish *wish, size_t max) {
  static char out[128];
  struct wwr_channel_message messages[5];
  for (unsigned i = 0; i < 5; i++)
    messages[i] = message(i + 1, i == 2 ? "a long one, a long one" : "x");
  struct message_page page = message_page(wish, messages, 5, max);
  CU_ASSERT_PTR_NOT_NULL_FATAL(page.json);
  CU_ASSERT_TRUE(strlen(page.json) <= max || strcmp(page.json, "[]") == 0);
  size_t len = 0;
  out[0] = '\0';
  for (const char *at = page.json; (at = strstr(at, "\"offset\":")); at++)
    len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", len ? " " : "",
                            (char[]){at[9], '\0'});
  if (page.more) snprintf(out + len, sizeof out - len, "...");
  free(page.json);
  return out;
}

static void pages(void) {
  const struct message_wish last = {.count = 5};
  const struct message_wish after = {
      .count = 256, .after = true, .place = {7, 2}};
  const struct message_wish few = {.count = 2, .after = true, .place = {6, 9}};
  const struct message_wish none = {
      .count = 256, .after = true, .place = {8, 0}};
  enum { ONE = sizeof "{\"epoch\":\"7\",\"offset\":1,\"time\":5,\"encoding\":\"utf8\","
                      "\"payload\":\"x\"}" - 1 };
  CU_ASSERT_STRING_EQUAL(page_of(&last, 1000), "1 2 3 4 5");
  CU_ASSERT_STRING_EQUAL(page_of(&last, 2 * ONE + 3), "4 5...");
  CU_ASSERT_STRING_EQUAL(page_of(&last, 2 * ONE + 2), "5...");
  CU_ASSERT_STRING_EQUAL(page_of(&last, ONE + 2), "5...");
  CU_ASSERT_STRING_EQUAL(page_of(&last, ONE + 1), "...");
  CU_ASSERT_STRING_EQUAL(page_of(&last, 0), "...");
  CU_ASSERT_STRING_EQUAL(page_of(&after, 1000), "3 4 5");
  CU_ASSERT_STRING_EQUAL(page_of(&few, 1000), "1 2...");
  CU_ASSERT_STRING_EQUAL(page_of(&none, 1000), "");
}

static void without_memory(void) {
  const struct message_wish wish = {.count = 2};
  struct wwr_channel_message messages[2] = {message(1, "x"), message(2, "y")};
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    struct message_page page = message_page(&wish, messages, 2, 1000);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(page.json == NULL, failed);
    free(page.json);
    if (!failed) return;
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"wishes", wishes},
                         {"wishes in UTF-16", wishes_in_utf16},
                         {"one message", one_message},
                         {"pages", pages},
                         {"without memory", without_memory},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"webwired_message", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
