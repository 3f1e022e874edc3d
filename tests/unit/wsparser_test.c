/* Frames by tables: what comes out must not depend on how the bytes are cut. */
#include "wsparser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

enum { BYTES_MAX = 1 << 18, LOG_MAX = 1 << 19 };

/* Frames as a client would send them */

struct stream {
  uint8_t bytes[BYTES_MAX];
  size_t len;
};

static struct stream stream;

static void put(const void *bytes, size_t len) {
  CU_ASSERT_FATAL(stream.len + len <= sizeof(stream.bytes));
  if (len) memcpy(stream.bytes + stream.len, bytes, len);
  stream.len += len;
}

static void put_number(uint64_t value, size_t bytes) {
  for (size_t i = bytes; i-- > 0;) {
    uint8_t byte = (uint8_t)(value >> (8 * i));
    put(&byte, 1);
  }
}

static void put_header(uint8_t first, uint64_t len, size_t length_bytes) {
  uint8_t head[2] = {first, (uint8_t)(0x80 | len)};
  if (length_bytes == 2) head[1] = 0x80 | 126;
  if (length_bytes == 8) head[1] = 0x80 | 127;
  put(head, 2);
  if (length_bytes) put_number(len, length_bytes);
}

static void put_frame(uint8_t first, const void *payload, size_t len) {
  static const uint8_t mask[4] = {0x11, 0xa2, 0x73, 0xf4};
  put_header(first, len, len < 126 ? 0 : len < 65536 ? 2 : 8);
  put(mask, 4);
  for (size_t i = 0; i < len; i++) {
    uint8_t byte = ((const uint8_t *)payload)[i] ^ mask[i % 4];
    put(&byte, 1);
  }
}

static void put_text(uint8_t first, const char *payload) {
  put_frame(first, payload, strlen(payload));
}

/* What came out, as text: pieces of one message are joined, so that the text
 * is the same however the bytes were cut. */

static char out[LOG_MAX];
static size_t out_len;
static bool in_piece;

static void say(const char *text, const uint8_t *data, size_t len) {
  size_t text_len = strlen(text);
  CU_ASSERT_FATAL(out_len + text_len + len < sizeof(out));
  memcpy(out + out_len, text, text_len);
  if (len) memcpy(out + out_len + text_len, data, len);
  out_len += text_len + len;
  out[out_len] = '\0';
}

static void say_piece(const struct wwri_ws_piece *piece) {
  if (!in_piece) say(piece->text ? "text:" : "binary:", NULL, 0);
  say("", piece->data, piece->len);
  in_piece = !piece->last;
  if (piece->last) say(";", NULL, 0);
}

static void say_close(const struct wwri_ws_piece *piece) {
  char text[32];
  snprintf(text, sizeof(text), "close %u;",
           wwri_wsparser_close_code(piece->data, piece->len));
  say(text, NULL, 0);
}

/* False: broken. Moves what is left to the front. */
static bool feed(struct wwri_wsparser *parser, uint8_t *bytes, size_t *len) {
  uint8_t *at = bytes;
  struct wwri_ws_piece piece;
  for (;;) {
    switch (wwri_wsparser_next(parser, &at, bytes + *len, &piece)) {
      case WWRI_WS_MORE:
        *len = (size_t)(bytes + *len - at);
        CU_ASSERT_FATAL(*len <= WWRI_WSPARSER_REST_MAX);
        memmove(bytes, at, *len);
        return true;
      case WWRI_WS_PIECE:
        say_piece(&piece);
        break;
      case WWRI_WS_PING:
        say("ping:", piece.data, piece.len);
        say(";", NULL, 0);
        break;
      case WWRI_WS_PONG:
        say("pong:", piece.data, piece.len);
        say(";", NULL, 0);
        break;
      case WWRI_WS_CLOSE:
        say_close(&piece);
        break;
      case WWRI_WS_BROKEN:
        say("broken", NULL, 0);
        return false;
    }
  }
}

/* In reads of `first`, then `piece` bytes each; every read's memory has just
 * its size, so that ASan sees a byte more. */
static void parse_cut(size_t first, size_t piece) {
  struct wwri_wsparser parser = {0};
  uint8_t rest[WWRI_WSPARSER_REST_MAX];
  size_t rest_len = 0;
  bool good = true;
  out_len = 0;
  out[0] = '\0';
  in_piece = false;
  for (size_t at = 0; good && at < stream.len;) {
    size_t n = at == 0 && first ? first : piece;
    if (n > stream.len - at) n = stream.len - at;
    size_t len = rest_len + n;
    uint8_t *bytes = malloc(len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    memcpy(bytes, rest, rest_len);
    memcpy(bytes + rest_len, stream.bytes + at, n);
    good = feed(&parser, bytes, &len);
    if (good) memcpy(rest, bytes, rest_len = len);
    free(bytes);
    at += n;
  }
}

/* At once, in single bytes, and cut in two at every place. */
static void expect(const char *wanted) {
  size_t len = stream.len;
  parse_cut(0, len);
  CU_ASSERT_STRING_EQUAL(out, wanted);
  if (strcmp(out, wanted) != 0) printf("\n%s\n%s\n", wanted, out);
  for (size_t piece = 1; piece < 9; piece++) {
    parse_cut(0, piece);
    CU_ASSERT_STRING_EQUAL(out, wanted);
  }
  for (size_t cut = 1; cut < len; cut++) {
    parse_cut(cut, len);
    CU_ASSERT_STRING_EQUAL(out, wanted);
  }
  stream.len = 0;
}

static void test_messages(void) {
  put_text(0x82, "hello");
  put_text(0x82, "");
  put_text(0x81, "text");
  put_text(0x82, "a somewhat longer message, of several words");
  expect(
      "binary:hello;binary:;text:text;"
      "binary:a somewhat longer message, of several words;");
}

static void test_lengths(void) {
  static const size_t lengths[] = {1,   2,   7,   8,     9,     124,  125,
                                   126, 127, 255, 65535, 65536, 70000};
  static uint8_t payload[70000];
  for (size_t i = 0; i < sizeof(payload); i++) {
    payload[i] = (uint8_t)('a' + i % 23);
  }
  for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    stream.len = 0;
    put_frame(0x82, payload, lengths[i]);
    for (size_t cut = 0; cut < 24; cut++) {
      parse_cut(cut, 4096 + cut);
      CU_ASSERT_EQUAL(out_len, 7 + lengths[i] + 1);
      CU_ASSERT_EQUAL(memcmp(out + 7, payload, lengths[i]), 0);
    }
  }
  stream.len = 0;
}

static void test_long_lengths(void) {
  static const uint8_t body[6] = {0, 0, 0, 0, 'h', 'i'};
  for (size_t bytes = 2; bytes <= 8; bytes += 6) {
    put_header(0x82, 2, bytes);
    put(body, sizeof(body));
  }
  expect("binary:hi;binary:hi;");
}

static void test_fragments(void) {
  put_text(0x02, "one ");
  put_text(0x00, "");
  put_text(0x00, "two ");
  put_text(0x80, "three");
  put_text(0x01, "a");
  put_text(0x80, "");
  expect("binary:one two three;text:a;");
}

static void test_control_between_fragments(void) {
  put_text(0x02, "one ");
  put_text(0x89, "p");
  put_text(0x8a, "");
  put_text(0x00, "two");
  put_text(0x89, "");
  put_text(0x80, "");
  expect("binary:one ping:p;pong:;twoping:;;");
}

static void test_control(void) {
  char longest[126] = {0};
  memset(longest, 'x', 125);
  put_text(0x89, longest);
  put_text(0x82, "after");
  char wanted[256];
  snprintf(wanted, sizeof(wanted), "ping:%s;binary:after;", longest);
  expect(wanted);
}

static void check_close(const void *payload, size_t len, int code) {
  char wanted[32];
  put_frame(0x88, payload, len);
  snprintf(wanted, sizeof(wanted), "close %d;", code);
  expect(wanted);
}

static void test_close_codes(void) {
  static const struct {
    uint16_t sent;
    int answered;
  } codes[] = {
      {0, 1002},    {1, 1002},    {999, 1002},  {1000, 1000}, {1001, 1001},
      {1002, 1002}, {1003, 1003}, {1004, 1002}, {1005, 1002}, {1006, 1002},
      {1007, 1007}, {1011, 1011}, {1012, 1012}, {1014, 1014}, {1015, 1002},
      {1016, 1002}, {1100, 1002}, {2000, 1002}, {2999, 1002}, {3000, 3000},
      {3999, 3999}, {4000, 4000}, {4999, 4999}, {5000, 1002}, {65535, 1002}};
  check_close(NULL, 0, 0);
  check_close("\x03", 1, 1002);
  for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
    uint8_t payload[2] = {(uint8_t)(codes[i].sent >> 8),
                          (uint8_t)codes[i].sent};
    check_close(payload, 2, codes[i].answered);
  }
  check_close("\x03\xe8reason", 8, 1000);
  check_close("\x03\xe8\xc3\xa4\xef\xbf\xbd", 7, 1000);
  check_close("\x03\xe8\xc3", 3, 1007);
  check_close("\x03\xe8\xed\xa0\x80", 5, 1007);
}

static void test_broken(void) {
  static const struct {
    const char *bytes;
    size_t len;
  } cases[] = {{"\x02\x80....\x82\x80....", 12}, /* a message in a message */
               {"\x80\x80....", 6},              /* a continuation of nothing */
               {"\x00\x80....", 6},
               {"\x82\x80....\x80\x80....", 12},
               {"\xc2\x80", 2}, /* reserved bits */
               {"\xa2\x80", 2},
               {"\x92\x80", 2},
               {"\x83\x80", 2}, /* reserved opcodes */
               {"\x87\x80", 2},
               {"\x8b\x80", 2},
               {"\x8f\x80", 2},
               {"\x82\x00", 2}, /* not masked */
               {"\x82\x01x", 3},
               {"\x89\x00", 2},
               {"\x88\x02\x03\xe8", 4},
               {"\x09\x80....", 6}, /* control frames in fragments */
               {"\x08\x80....", 6},
               {"\x0a\x80....", 6},
               {"\x89\xfe\x00\x7e....", 8}, /* and too long ones */
               {"\x88\xfe\x00\x01....", 8},
               {"\x8a\xff\x00\x00\x00\x00\x00\x00\x00\x01....", 14},
               {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00....", 14}, /* 2^63 */
               {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff....", 14}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    put_text(0x82, "before");
    put(cases[i].bytes, cases[i].len);
    put_text(0x82, "after");
    size_t len = stream.len;
    for (size_t piece = 1; piece <= len; piece++) {
      parse_cut(0, piece);
      CU_ASSERT_EQUAL(strncmp(out, "binary:before;", 14), 0);
      CU_ASSERT_PTR_NOT_NULL(strstr(out, "broken"));
      CU_ASSERT_PTR_NULL(strstr(out, "after"));
    }
    stream.len = 0;
  }
}

/* Known before the first byte of it came. */
static void test_announced(void) {
  struct wwri_wsparser parser = {0};
  struct wwri_ws_piece piece;
  uint8_t bytes[16] = {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff,
                       0xff, 0xff, 0xff, 1,    2,    3,    4};
  uint8_t *at = bytes;
  CU_ASSERT_EQUAL(wwri_wsparser_next(&parser, &at, bytes + 14, &piece),
                  WWRI_WS_PIECE);
  CU_ASSERT_EQUAL(piece.len, 0);
  CU_ASSERT_EQUAL(piece.announced, UINT64_C(0x7fffffffffffffff));
  CU_ASSERT_FALSE(piece.last);
  CU_ASSERT_EQUAL(wwri_wsparser_next(&parser, &at, bytes + 14, &piece),
                  WWRI_WS_MORE);
  CU_ASSERT_PTR_EQUAL(at, bytes + 14);
}

/* Random streams of frames, in random cuts. */
static uint32_t seed;

static uint32_t random_below(uint32_t limit) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % limit;
}

static void put_random_frames(void) {
  static const uint8_t control[] = {0x89, 0x8a, 0x89};
  static uint8_t payload[700];
  for (size_t i = 0; i < sizeof(payload); i++) {
    payload[i] = (uint8_t)('a' + random_below(26));
  }
  bool open = false;
  for (int i = 0; i < 30; i++) {
    if (random_below(3) == 0) {
      put_frame(control[random_below(3)], payload, random_below(126));
      continue;
    }
    bool final = random_below(2) == 0;
    uint8_t opcode = open ? 0 : (uint8_t)(1 + random_below(2));
    put_frame((uint8_t)((final ? 0x80 : 0) | opcode), payload,
              random_below(sizeof(payload)));
    open = !final;
  }
}

static void test_random_streams(void) {
  static char whole[LOG_MAX];
  for (seed = 1; seed < 200; seed = seed % 1000 + 7) {
    uint32_t before = seed;
    put_random_frames();
    parse_cut(0, stream.len);
    memcpy(whole, out, out_len + 1);
    CU_ASSERT_PTR_NULL(strstr(whole, "broken"));
    for (int i = 0; i < 20; i++) {
      parse_cut(0, 1 + random_below(600));
      CU_ASSERT_STRING_EQUAL(out, whole);
    }
    stream.len = 0;
    seed = before;
  }
}

static CU_TestInfo tests[] = {
    {"messages", test_messages},
    {"lengths", test_lengths},
    {"long lengths", test_long_lengths},
    {"fragments", test_fragments},
    {"control between fragments", test_control_between_fragments},
    {"control", test_control},
    {"close codes", test_close_codes},
    {"broken", test_broken},
    {"announced", test_announced},
    {"random streams", test_random_streams},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {{"wsparser", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
