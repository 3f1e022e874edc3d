/* The texts of the admin listener, by tables. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "test.h"
#include "text.h"

static struct wwr_view view(const char *text) {
  return wwr_view_str(text);
}

/* --- Percent-encoding ----------------------------------------------------- */

static void percent_decoding(void) {
  static const struct {
    const char *in, *out; /* NULL: refused */
  } rows[] = {{"", ""},         {"room", "room"}, {"a%2Fb", "a/b"},
              {"a%2fb", "a/b"}, {"%41%42", "AB"}, {"%25", "%"},
              {"%2541", "%41"}, {"a+b", "a+b"},   {"%c3%bc", "\xc3\xbc"},
              {"%", NULL},      {"%4", NULL},     {"a%zz", NULL},
              {"%4g", NULL},    {"%g4", NULL},    {"%00", NULL},
              {"a%00b", NULL},  {"%ff", "\xff"},  {"100%", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].in);
    char *text = strdup(rows[i].in); /* so that a sanitizer sees its end */
    bool ok = wwri_percent_decode(text, &len);
    CU_ASSERT_EQUAL(ok, rows[i].out != NULL);
    if (ok && rows[i].out) {
      CU_ASSERT_STRING_EQUAL(text, rows[i].out);
      CU_ASSERT_EQUAL(len, strlen(rows[i].out));
    }
    free(text);
  }
}

/* --- Base64 --------------------------------------------------------------- */

static void base64_known(void) {
  static const char *const rows[][2] = {{"", ""},
                                        {"f", "Zg=="},
                                        {"fo", "Zm8="},
                                        {"foo", "Zm9v"},
                                        {"foob", "Zm9vYg=="},
                                        {"fooba", "Zm9vYmE="},
                                        {"foobar", "Zm9vYmFy"},
                                        {"\xfb\xff\xbf", "+/+/"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[16];
    uint8_t bytes[16];
    size_t len;
    wwri_base64_encode(view(rows[i][0]), text);
    CU_ASSERT_STRING_EQUAL(text, rows[i][1]);
    CU_ASSERT_EQUAL(strlen(text), wwri_base64_len(strlen(rows[i][0])));
    CU_ASSERT_TRUE(wwri_base64_decode(view(rows[i][1]), bytes, &len));
    CU_ASSERT_EQUAL(len, strlen(rows[i][0]));
    CU_ASSERT_EQUAL(memcmp(bytes, rows[i][0], len), 0);
  }
}

static void base64_refused(void) {
  static const char *const rows[] = {
      "Z",    "Zg",   "Zg=",   "Zg==Zg==", "Z===",
      "====", "=Zg=", "Zm9v=", "Zm9v\n",   "Zh==",
      "Zm9=", "Zm-_", "Zm 9",  "Zm=v",     "Zg==\n\n\n\n"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint8_t bytes[16];
    size_t len;
    CU_ASSERT_FALSE(wwri_base64_decode(view(rows[i]), bytes, &len));
  }
}

static void base64_there_and_back(void) {
  struct rng rng = {42};
  for (size_t len = 0; len < 200; len++) {
    uint8_t in[200], *out = malloc(wwri_base64_len(len) / 4 * 3 + 1);
    char *text = malloc(wwri_base64_len(len) + 1);
    size_t out_len;
    for (size_t i = 0; i < len; i++) in[i] = (uint8_t)rng_next(&rng);
    wwri_base64_encode((struct wwr_view){in, len}, text);
    CU_ASSERT_TRUE(wwri_base64_decode(view(text), out, &out_len));
    CU_ASSERT_EQUAL(out_len, len);
    CU_ASSERT_EQUAL(memcmp(in, out, len), 0);
    free(text);
    free(out);
  }
}

/* --- UTF-16 --------------------------------------------------------------- */

static void utf16_encoding(void) {
  static const struct {
    const char *in, *out;
    size_t len;
  } rows[] = {{"", "", 0},
              {"a", "a\0", 2},
              {"\xc3\xbc", "\xfc\0", 2},
              {"\xe2\x82\xac", "\xac\x20", 2},
              {"\xf0\x9f\x98\x80", "\x3d\xd8\x00\xde", 4},
              {"\xf4\x8f\xbf\xbf", "\xff\xdb\xff\xdf", 4}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint8_t *out = malloc(2 * strlen(rows[i].in) + 1);
    CU_ASSERT_EQUAL(wwri_utf16_encode(view(rows[i].in), out), rows[i].len);
    CU_ASSERT_EQUAL(memcmp(out, rows[i].out, rows[i].len), 0);
    free(out);
  }
}

/* --- Tokens --------------------------------------------------------------- */

static void tokens_compared(void) {
  static const struct {
    const char *given;
    bool matches;
  } rows[] = {{"Bearer secret", true},
              {"bearer secret", true},
              {"BEARER secret", true},
              {"Bearer secre", false},
              {"Bearer secrett", false},
              {"Bearer secreT", false},
              {"Bearer ", false},
              {"Bearer", false},
              {"", false},
              {"secret", false},
              {"Basic secret", false},
              {"Bearer  secret", false},
              {"Bearer secret ", false},
              {"Bearer secretsecret", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CU_ASSERT_EQUAL(wwri_token_matches(rows[i].given, "secret"),
                    rows[i].matches);
  }
  CU_ASSERT_FALSE(wwri_token_matches("Bearer ", ""));
}

static void tokens_judged(void) {
  static const struct {
    const char *token;
    bool ok;
  } rows[] = {{"a", true},      {"abcd", true},     {"", false},
              {"abcde", false}, {"a b", false},     {"a\n", false},
              {"\x7f", false},  {"\xc3\xbc", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CU_ASSERT_EQUAL(wwri_token_ok(rows[i].token, 4), rows[i].ok);
  }
}

/* --- Addresses and numbers ------------------------------------------------ */

static void addresses(void) {
  static const struct {
    const char *text, *host, *port; /* NULL: refused */
  } rows[] = {{"127.0.0.1:9180", "127.0.0.1", "9180"},
              {"localhost:0", "localhost", "0"},
              {"[::1]:9180", "::1", "9180"},
              {":9180", "", "9180"},
              {"host:65535", "host", "65535"},
              {"host:65536", NULL, NULL},
              {"host:", NULL, NULL},
              {"host", NULL, NULL},
              {"", NULL, NULL},
              {"::1:9180", NULL, NULL},
              {"[]:9180", NULL, NULL},
              {"[::1:9180", NULL, NULL},
              {"[::1]9180", NULL, NULL},
              {"host:-1", NULL, NULL},
              {"host:99999999999", NULL, NULL},
              {"averylonghostname:1", NULL, NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char host[16], port[6];
    bool ok = wwri_split_address(rows[i].text, host, sizeof host, port);
    CU_ASSERT_EQUAL(ok, rows[i].host != NULL);
    if (!ok || !rows[i].host) continue;
    CU_ASSERT_STRING_EQUAL(host, rows[i].host);
    CU_ASSERT_STRING_EQUAL(port, rows[i].port);
  }
}

static void numbers(void) {
  static const struct {
    const char *text;
    bool ok;
  } rows[] = {{"1", true},
              {"100", true},
              {"0", false},
              {"101", false},
              {"", false},
              {"-1", false},
              {"+1", false},
              {" 1", false},
              {"1 ", false},
              {"1e1", false},
              {"18446744073709551617", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint64_t value;
    CU_ASSERT_EQUAL(wwri_parse_number(rows[i].text, 1, 100, &value),
                    rows[i].ok);
  }
  uint64_t max;
  CU_ASSERT_TRUE(
      wwri_parse_number("18446744073709551615", 0, UINT64_MAX, &max));
  CU_ASSERT_EQUAL(max, UINT64_MAX);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"percent_decoding", percent_decoding},
                         {"base64_known", base64_known},
                         {"base64_refused", base64_refused},
                         {"base64_there_and_back", base64_there_and_back},
                         {"utf16_encoding", utf16_encoding},
                         {"tokens_compared", tokens_compared},
                         {"tokens_judged", tokens_judged},
                         {"addresses", addresses},
                         {"numbers", numbers},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"admin_text", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
