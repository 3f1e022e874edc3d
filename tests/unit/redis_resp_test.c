/* The measure of replies and the parser behind it: every case also runs with
 * every split, and cut off at every byte. */
#include "resp.h"

#include <stdlib.h>
#include <string.h>

#include "reply.h"
#include "rng.h"
#include "test.h"

static struct wwr_view view(const char *text) {
  return wwr_view_str(text);
}

static enum wwri_resp_result scan_all(struct wwr_view bytes, size_t *len,
                                      const char **why) {
  struct wwri_resp_scan scan = {0};
  enum wwri_resp_result result = wwri_resp_scan(&scan, bytes, why);
  *len = scan.pos;
  return result;
}

/* --- Well-formed -------------------------------------------------------- */

static const char *const good[] = {
    "+OK\r\n",
    "+\r\n",
    "-ERR no\r\n",
    ":0\r\n",
    ":-9223372036854775808\r\n",
    ":9223372036854775807\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$5\r\na\r\nb\r\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*1\r\n*0\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
    "*2\r\n*2\r\n:1\r\n$-1\r\n*1\r\n-ERR in it\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
};

static void test_good_replies_at_every_split(void) {
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    struct wwr_view all = view(good[i]);
    for (size_t cut = 0; cut <= all.len; cut++) {
      struct wwri_resp_scan scan = {0};
      const char *why = NULL;
      struct wwr_view part = {all.data, cut};
      enum wwri_resp_result first = wwri_resp_scan(&scan, part, &why);
      CU_ASSERT_EQUAL(first, cut < all.len ? WWRI_RESP_MORE : WWRI_RESP_DONE);
      if (first == WWRI_RESP_DONE) continue;
      CU_ASSERT_EQUAL(wwri_resp_scan(&scan, all, &why), WWRI_RESP_DONE);
      CU_ASSERT_EQUAL(scan.pos, all.len);
    }
  }
}

static void test_good_replies_byte_by_byte_with_more_behind(void) {
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    char text[128];
    size_t len = strlen(good[i]);
    struct wwri_resp_scan scan = {0};
    const char *why = NULL;
    memcpy(text, good[i], len);
    memcpy(text + len, "$9\r\n", 4); /* the next one */
    for (size_t n = 1; n < len; n++) {
      struct wwr_view part = {(const uint8_t *)text, n};
      CU_ASSERT_EQUAL(wwri_resp_scan(&scan, part, &why), WWRI_RESP_MORE);
    }
    struct wwr_view all = {(const uint8_t *)text, len + 4};
    CU_ASSERT_EQUAL(wwri_resp_scan(&scan, all, &why), WWRI_RESP_DONE);
    CU_ASSERT_EQUAL(scan.pos, len);
  }
}

static void test_the_parser_takes_what_the_scan_takes(void) {
  struct wwri_redis_parser *parser;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_new(&parser), WWR_OK);
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    struct wwri_redis_reply *reply;
    CU_ASSERT_EQUAL(wwri_redis_parser_take(parser, view(good[i]), &reply),
                    WWR_OK);
    CU_ASSERT_PTR_NOT_NULL(reply);
    wwri_redis_reply_free(reply);
  }
  wwri_redis_parser_free(parser);
}

/* --- Refused ------------------------------------------------------------ */

static const char *const bad[] = {
    "hello",
    "\r\n",
    "\n",
    "%1\r\n",
    "_\r\n",
    ">3\r\n",
    "HTTP/1.1 400 Bad Request\r\n",
    "+OK\n",
    ":\r\n",
    ":12x\r\n",
    ":-\r\n",
    ":1 \r\n",
    "$-2\r\n",
    "$x\r\n",
    "$99999999999\r\n",
    "$16777216\r\n",
    "$999999999999999999999999\r\n",
    "$3\r\nabcd\r\n",
    "*-2\r\n",
    "*100000000\r\n",
    "*131073\r\n",
    "*4294967297\r\n",
    "*2\r\n*131071\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    "*2\r\n:1\r\n!\r\n",
    "$1111111111111111111111111",
};

static void test_bad_replies_are_refused_at_once(void) {
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    size_t len;
    const char *why = NULL;
    CU_ASSERT_EQUAL(scan_all(view(bad[i]), &len, &why), WWRI_RESP_BAD);
    CU_ASSERT_PTR_NOT_NULL(why);
  }
}

static void test_bad_replies_byte_by_byte(void) {
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct wwri_resp_scan scan = {0};
    struct wwr_view all = view(bad[i]);
    enum wwri_resp_result result = WWRI_RESP_MORE;
    const char *why = NULL;
    for (size_t n = 1; n <= all.len && result == WWRI_RESP_MORE; n++) {
      struct wwr_view part = {all.data, n};
      result = wwri_resp_scan(&scan, part, &why);
    }
    CU_ASSERT_EQUAL(result, WWRI_RESP_BAD);
  }
}

static void test_a_line_without_end_is_refused(void) {
  char *line = malloc(WWRI_RESP_MAX_LINE + 8);
  size_t len;
  const char *why;
  CU_ASSERT_PTR_NOT_NULL_FATAL(line);
  memset(line, 'x', WWRI_RESP_MAX_LINE + 8);
  line[0] = '+';
  struct wwr_view whole = {(const uint8_t *)line, WWRI_RESP_MAX_LINE};
  CU_ASSERT_EQUAL(scan_all(whole, &len, &why), WWRI_RESP_MORE);
  whole.len += 8;
  CU_ASSERT_EQUAL(scan_all(whole, &len, &why), WWRI_RESP_BAD);
  free(line);
}

/* Many strings that are small each, and too much together. */
static void test_a_reply_over_the_limit_in_pieces(void) {
  enum { PIECE = 1 << 20, COUNT = 17 };
  size_t each = 10 + PIECE + 2;
  uint8_t *bytes = calloc(1, 5 + COUNT * each);
  size_t len = 5;
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  memcpy(bytes, "*17\r\n", 5);
  for (int i = 0; i < COUNT; i++) {
    memcpy(bytes + len, "$1048576\r\n", 10);
    memcpy(bytes + len + 10 + PIECE, "\r\n", 2);
    len += each;
  }
  size_t pos;
  const char *why = NULL;
  struct wwr_view all = {bytes, len};
  CU_ASSERT_EQUAL(scan_all(all, &pos, &why), WWRI_RESP_BAD);
  CU_ASSERT_STRING_EQUAL(why, "a string over the limit");
  free(bytes);
}

/* Whatever the bytes: no crash, and what the scan calls a reply, the parser
 * either takes as exactly one or refuses. */
static void test_random_bytes(void) {
  static const char alphabet[] = "+-:$*0123\r\n\r\n\r\nab";
  struct rng rng = {20241122};
  for (int round = 0; round < 20000; round++) {
    uint8_t bytes[48];
    size_t len = (size_t)rng_below(&rng, sizeof(bytes));
    for (size_t i = 0; i < len; i++) {
      bytes[i] = (uint8_t)alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
    }
    size_t pos;
    const char *why = NULL;
    struct wwr_view all = {bytes, len};
    if (scan_all(all, &pos, &why) != WWRI_RESP_DONE) continue;
    CU_ASSERT_FATAL(pos <= len);
    struct wwri_redis_parser *parser;
    struct wwri_redis_reply *reply;
    CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_new(&parser), WWR_OK);
    all.len = pos;
    wwr_err err = wwri_redis_parser_take(parser, all, &reply);
    CU_ASSERT_TRUE(err == WWR_E_PROTOCOL || (err == WWR_OK && reply));
    wwri_redis_reply_free(reply);
    wwri_redis_parser_free(parser);
  }
}

/* --- Reading ------------------------------------------------------------ */

static void test_accessors(void) {
  struct wwri_redis_parser *parser;
  struct wwri_redis_reply *reply;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_new(&parser), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(
      wwri_redis_parser_take(
          parser, view("*5\r\n$2\r\nhi\r\n:42\r\n+OK\r\n-ERR x\r\n$-1\r\n"),
          &reply),
      WWR_OK);
  CU_ASSERT_EQUAL(wwri_redis_reply_type(reply), WWRI_REDIS_ARRAY);
  CU_ASSERT_EQUAL(wwri_redis_reply_count(reply), 5);
  CU_ASSERT_TRUE(wwri_redis_reply_is(wwri_redis_reply_at(reply, 0), "hi"));
  CU_ASSERT_EQUAL(wwri_redis_reply_int(wwri_redis_reply_at(reply, 1)), 42);
  CU_ASSERT_TRUE(wwri_redis_reply_is(wwri_redis_reply_at(reply, 2), "OK"));
  const struct wwri_redis_reply *error = wwri_redis_reply_at(reply, 3);
  CU_ASSERT_EQUAL(wwri_redis_reply_type(error), WWRI_REDIS_ERROR);
  CU_ASSERT_FALSE(wwri_redis_reply_is(error, "ERR x"));
  CU_ASSERT_EQUAL(wwri_redis_reply_type(wwri_redis_reply_at(reply, 4)),
                  WWRI_REDIS_NIL);
  CU_ASSERT_PTR_NULL(wwri_redis_reply_at(reply, 5));
  CU_ASSERT_EQUAL(wwri_redis_reply_int(reply), 0);
  CU_ASSERT_EQUAL(wwri_redis_reply_text(reply).len, 0);
  CU_ASSERT_EQUAL(wwri_redis_reply_type(NULL), WWRI_REDIS_NIL);
  CU_ASSERT_EQUAL(wwri_redis_reply_count(NULL), 0);
  CU_ASSERT_PTR_NULL(wwri_redis_reply_at(NULL, 0));
  CU_ASSERT_FALSE(wwri_redis_reply_is(NULL, ""));
  wwri_redis_reply_free(reply);
  wwri_redis_parser_free(parser);
}

/* --- Writing ------------------------------------------------------------ */

static void test_commands(void) {
  const struct wwr_view argv[] = {
      view("SET"), {(const uint8_t *)"a\0b", 3}, view("")};
  static const char wire[] = "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n";
  struct wwri_buf out;
  wwri_buf_init(&out, 100);
  CU_ASSERT_EQUAL(wwri_resp_command(&out, argv, 3), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(out.len, sizeof(wire) - 1);
  CU_ASSERT_EQUAL(memcmp(out.data, wire, out.len), 0);
  wwri_buf_deinit(&out);
}

static void test_a_command_that_does_not_fit_leaves_nothing(void) {
  const struct wwr_view argv[] = {view("SET"), view("key"), view("value")};
  for (size_t max = 0; max < 36; max++) {
    struct wwri_buf out;
    wwri_buf_init(&out, max);
    wwr_err err = wwri_resp_command(&out, argv, 3);
    if (err == WWR_OK) {
      CU_ASSERT_EQUAL(out.len, 33);
      CU_ASSERT_EQUAL(max, 33);
      wwri_buf_deinit(&out);
      return;
    }
    CU_ASSERT_EQUAL(err, WWR_E_BUFFER_OVERFLOW);
    CU_ASSERT_EQUAL(out.len, 0);
    wwri_buf_deinit(&out);
  }
  CU_FAIL("it never fitted");
}

static void test_a_command_without_memory(void) {
  const struct wwr_view argv[] = {view("SET"), view("key"), view("value")};
  int failures = 0;
  for (long n = 0;; n++) {
    struct wwri_buf out;
    wwri_buf_init(&out, 1000);
    test_alloc_fail_at(n);
    wwr_err err = wwri_resp_command(&out, argv, 3);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    CU_ASSERT_EQUAL(out.len, failed ? 0 : 33);
    wwri_buf_deinit(&out);
    if (!failed) break;
    failures++;
  }
  CU_ASSERT_TRUE(failures > 0);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"good at every split", test_good_replies_at_every_split},
      {"good byte by byte", test_good_replies_byte_by_byte_with_more_behind},
      {"scan and parser agree", test_the_parser_takes_what_the_scan_takes},
      {"bad at once", test_bad_replies_are_refused_at_once},
      {"bad byte by byte", test_bad_replies_byte_by_byte},
      {"a line without end", test_a_line_without_end_is_refused},
      {"too much in pieces", test_a_reply_over_the_limit_in_pieces},
      {"random bytes", test_random_bytes},
      {"accessors", test_accessors},
      {"commands", test_commands},
      {"a command that does not fit",
       test_a_command_that_does_not_fit_leaves_nothing},
      {"a command without memory", test_a_command_without_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"resp", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
