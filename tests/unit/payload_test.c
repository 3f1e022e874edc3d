/* Payloads as UTF-8: surrogates, invalid bytes, NULs, lengths. */
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "utf8.h"
#include "wwr_payload.h"

struct conversion {
  enum wwr_encoding encoding;
  const char *in;
  size_t in_len;
  const char *out;
  size_t out_len;
};

#define B(text) text, sizeof text - 1
#define BAD     "\xef\xbf\xbd"

static const struct conversion conversions[] = {
    {WWR_UTF16, B(""), B("")},
    {WWR_UTF16, B("a\0"), B("a")},
    {WWR_UTF16, B("\0\0b\0"), B("\0b")},
    {WWR_UTF16, B("\xe4\0"), B("\xc3\xa4")},
    {WWR_UTF16, B("\xac\x20"), B("\xe2\x82\xac")},
    {WWR_UTF16, B("\x3d\xd8\x00\xde"), B("\xf0\x9f\x98\x80")},
    {WWR_UTF16, B("\x00\xd8\x00\xdc"), B("\xf0\x90\x80\x80")},
    {WWR_UTF16, B("\xff\xdb\xff\xdf"), B("\xf4\x8f\xbf\xbf")},
    {WWR_UTF16, B("\x00\xd8"), B(BAD)},
    {WWR_UTF16, B("\x00\xdc"), B(BAD)},
    {WWR_UTF16, B("\x00\xd8x\0"), B(BAD "x")},
    {WWR_UTF16, B("\x00\xdc\x00\xd8"), B(BAD BAD)},
    {WWR_UTF16, B("\x00\xd8\x00\xd8\x00\xdc"), B(BAD "\xf0\x90\x80\x80")},
    {WWR_UTF16, B("\xff\xd7\x00\xe0"), B("\xed\x9f\xbf\xee\x80\x80")},
    {WWR_UTF16, B("\xff\xfe"), B("\xef\xbb\xbf")}, /* no BOM: U+FEFF */
    {WWR_UTF8, B(""), B("")},
    {WWR_UTF8, B("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
     B("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")},
    {WWR_UTF8, B("a\0b"), B("a\0b")},
    {WWR_UTF8, B("seven: \xc3\xa4 eight: 9"), B("seven: \xc3\xa4 eight: 9")},
    {WWR_UTF8, B("twice eight \x80 bytes"), B("twice eight " BAD " bytes")},
    {WWR_UTF8, B("\x80"), B(BAD)},
    {WWR_UTF8, B("\xc0\xaf"), B(BAD BAD)},         /* overlong */
    {WWR_UTF8, B("\xe0\x9f\xbf"), B(BAD BAD BAD)}, /* overlong */
    {WWR_UTF8, B("\xed\xa0\x80"), B(BAD BAD BAD)}, /* surrogate */
    {WWR_UTF8, B("\xf4\x90\x80\x80"), B(BAD BAD BAD BAD)},
    {WWR_UTF8, B("\xe2\x82"), B(BAD BAD)},
    {WWR_UTF8, B("\xe2\x82x"), B(BAD BAD "x")},
    {WWR_UTF8, B("\xef\xbf\xbd"), B(BAD)}, /* U+FFFD itself */
    {WWR_BINARY,
     B("\xff"
       "a\xc3\xa4"),
     B(BAD "a\xc3\xa4")},
};

static void expect(const struct wwr_payload *payload, const char *want,
                   size_t want_len) {
  char *text = NULL;
  size_t len = 99;
  CU_ASSERT_EQUAL_FATAL(wwr_payload_to_utf8(payload, &text, &len), WWR_OK);
  CU_ASSERT_EQUAL(len, want_len);
  CU_ASSERT_EQUAL(memcmp(text, want, want_len + 1), 0); /* and the NUL */
  wwr_free(text);
}

static void payloads_convert(void) {
  for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++) {
    const struct conversion *c = &conversions[i];
    uint8_t *exact = malloc(c->in_len ? c->in_len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    memcpy(exact, c->in, c->in_len);
    struct wwr_payload payload = {c->encoding, {exact, c->in_len}};
    expect(&payload, c->out, c->out_len);
    free(exact);
  }
}

static void null_views_are_empty(void) {
  for (int e = WWR_BINARY; e <= WWR_UTF16; e++) {
    struct wwr_payload payload = {(enum wwr_encoding)e, {NULL, 0}};
    expect(&payload, "", 0);
  }
  struct wwr_payload none = wwr_payload_text(NULL);
  expect(&none, "", 0);
}

/* Each code unit alone and after a high surrogate, against the definition. */
static void every_code_unit_converts(void) {
  size_t wrong = 0;
  for (unsigned unit = 0; unit < 0x10000; unit++) {
    uint8_t in[4] = {0x34, 0xda, (uint8_t)unit, (uint8_t)(unit >> 8)};
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    bool lone = unit >= 0xd800 && unit <= 0xdfff;
    uint8_t want[8];
    size_t want_len;
    if (low) {
      want_len = wwri_utf8_write(0x10000 + 0x234 * 0x400 + unit - 0xdc00, want);
    } else {
      want_len = wwri_utf8_write(0xfffd, want);
      want_len += wwri_utf8_write(lone ? 0xfffd : unit, want + want_len);
    }
    struct wwr_payload payload = {WWR_UTF16, {in, 4}};
    char *text = NULL;
    size_t len = 0;
    wrong += wwr_payload_to_utf8(&payload, &text, &len) != WWR_OK ||
             len != want_len || memcmp(text, want, len) != 0;
    wwr_free(text);
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

static void odd_utf16_is_an_error(void) {
  for (size_t len = 1; len < 8; len += 2) {
    struct wwr_payload payload = {WWR_UTF16, {(const uint8_t *)"abcdefg", len}};
    char *text = (char *)&payload;
    CU_ASSERT_EQUAL(wwr_payload_to_utf8(&payload, &text, NULL), WWR_E_PROTOCOL);
    CU_ASSERT_PTR_NULL(text);
  }
}

static void conversion_needs_memory(void) {
  struct wwr_payload payload = wwr_payload_binary("abc", 3);
  char *text = (char *)&payload;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwr_payload_to_utf8(&payload, &text, NULL), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_PTR_NULL(text);
  CU_ASSERT_EQUAL(wwr_payload_to_utf8(&payload, &text, NULL), WWR_OK);
  CU_ASSERT_STRING_EQUAL(text, "abc");
  wwr_free(text);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"payloads convert", payloads_convert},
                         {"null views are empty", null_views_are_empty},
                         {"every code unit converts", every_code_unit_converts},
                         {"odd UTF-16 is an error", odd_utf16_is_an_error},
                         {"conversion needs memory", conversion_needs_memory},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"payload", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
