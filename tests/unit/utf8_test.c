/* UTF-8 read, written and escaped one character at a time. */
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "utf8.h"

static bool is_scalar(uint32_t c) {
  return c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
}

/* Every character there is, and no character in any shorter prefix of it. */
static void every_character_round_trips(void) {
  size_t wrong = 0;
  for (uint32_t c = 0; c <= 0x10ffff; c++) {
    if (!is_scalar(c)) continue;
    uint8_t bytes[WWRI_UTF8_MAX];
    uint32_t back = 0;
    size_t len = wwri_utf8_write(c, bytes);
    wrong += wwri_utf8_read(bytes, len, &back) != len || back != c;
    for (size_t cut = 1; cut < len; cut++) {
      wrong += wwri_utf8_read(bytes, cut, &back) != 1 || back != 0xfffd;
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

static uint32_t naive(const uint8_t *b, size_t len, size_t *taken) {
  uint32_t c = 0xfffd;
  *taken = 1;
  if (b[0] < 0x80) return b[0];
  size_t need = (b[0] & 0xe0) == 0xc0   ? 2
                : (b[0] & 0xf0) == 0xe0 ? 3
                : (b[0] & 0xf8) == 0xf0 ? 4
                                        : 0;
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (need == 0 || need > len) return c;
  uint32_t value = b[0] & (0xffu >> (need + 1));
  for (size_t i = 1; i < need; i++) {
    if (b[i] < 0x80 || b[i] > 0xbf) return c;
    value = value * 64 + (b[i] - 0x80u);
  }
  if (value < least[need] || !is_scalar(value)) return c;
  *taken = need;
  return value;
}

/* All pairs of first two bytes, with good and bad bytes after them, against
 * the definition by value (no overlong form, no surrogate, not too large). */
static void reading_agrees_with_the_definition(void) {
  static const uint8_t tails[][2] = {
      {0x80, 0x80}, {0xbf, 0xbf}, {0x7f, 0x80}, {0x80, 0xc0}, {0, 0}};
  size_t wrong = 0;
  for (unsigned pair = 0; pair < 0x10000; pair++) {
    for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
      uint8_t bytes[4] = {(uint8_t)(pair >> 8), (uint8_t)pair, tails[t][0],
                          tails[t][1]};
      for (size_t len = 1; len <= 4; len++) {
        size_t want_taken;
        uint32_t got, want = naive(bytes, len, &want_taken);
        size_t taken = wwri_utf8_read(bytes, len, &got);
        wrong += taken != want_taken || got != want;
      }
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

static void reading_stays_inside(void) {
  for (unsigned first = 0; first < 256; first++) {
    for (size_t len = 1; len <= 4; len++) {
      uint8_t *exact = malloc(len);
      CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
      memset(exact, 0xbf, len);
      exact[0] = (uint8_t)first;
      uint32_t c;
      CU_ASSERT_TRUE(wwri_utf8_read(exact, len, &c) <= len);
      free(exact);
    }
  }
}

static void expect_escaped(const char *text, size_t len, const char *want) {
  struct wwr_view rest = {(const uint8_t *)text, len};
  char out[256];
  size_t at = 0;
  while (rest.len > 0 && at < sizeof out - WWRI_ESCAPED_MAX) {
    at += wwri_json_escape(&rest, out + at);
  }
  out[at] = '\0';
  CU_ASSERT_STRING_EQUAL(out, want);
}

static void escaping(void) {
  expect_escaped("plain ~", 7, "plain ~");
  expect_escaped("\"\\\n\r\t", 5, "\\\"\\\\\\n\\r\\t");
  expect_escaped("\0\x01\x1f\x7f", 4, "\\u0000\\u0001\\u001f\\u007f");
  expect_escaped("\xc2\x85\xc2\xa0", 4, "\\u0085\xc2\xa0");
  expect_escaped("\xe2\x80\xa8\xe2\x80\xa9", 6, "\\u2028\\u2029");
  expect_escaped("\xff\xc3", 2, "\xef\xbf\xbd\xef\xbf\xbd");
  expect_escaped("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"every character round trips", every_character_round_trips},
      {"reading agrees with the definition",
       reading_agrees_with_the_definition},
      {"reading stays inside", reading_stays_inside},
      {"escaping", escaping},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"utf8", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
