/* Where a plain connection without libwebsockets differs from one inside it:
 * the request before it, and reading by edges. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "websocket_raw.h"

#define HEAD                           \
  "Host: x\r\nConnection: Upgrade\r\n" \
  "Upgrade: WebSocket\r\n"             \
  "Sec-WebSocket-Version: 13\r\n"      \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const char request[] = "GET / HTTP/1.1\r\n" HEAD "\r\n";

static size_t encode(uint8_t *out, size_t cap, const void *data, size_t len) {
  struct rawws_frame frame = {.opcode = RAWWS_BINARY,
                              .mask = {4, 3, 2, 1},
                              .payload = data,
                              .len = len};
  return rawws_encode(&frame, out, cap);
}

static void check_answer(struct rawws *ws) {
  CU_ASSERT_EQUAL(rawws_read_answer(ws), 101);
  const char *accept = rawws_header(ws, "sec-websocket-accept");
  CU_ASSERT_TRUE(accept && strcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == 0);
}

/* A client that does not wait for the answer gets its messages through. */
static void test_frames_behind_the_request(void) {
  uint8_t bytes[8192];
  raw_start();
  for (size_t cut = 0; cut <= 12; cut++) {
    struct rawws *ws = raw_dial();
    size_t len = strlen(request);
    memcpy(bytes, request, len);
    len += encode(bytes + len, sizeof(bytes) - len, "first", 5);
    len += encode(bytes + len, sizeof(bytes) - len, raw_pattern(3000), 3000);
    CU_ASSERT_TRUE(rawws_write(ws, bytes, len - cut));
    check_answer(ws);
    CU_ASSERT_TRUE(rawws_expect(ws, "first", 5, WAIT_MS));
    CU_ASSERT_TRUE(rawws_write(ws, bytes + len - cut, cut));
    CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(3000), 3000, WAIT_MS));
    rawws_free(ws);
  }
}

static void test_request_by_bytes(void) {
  raw_start();
  struct rawws *ws = raw_dial();
  CU_ASSERT_TRUE(rawws_write_bytewise(ws, request, strlen(request)));
  check_answer(ws);
  CU_ASSERT_TRUE(raw_echo(ws, "x", 1));
  rawws_free(ws);
}

/* Requests that are left to lws upgrade all the same. */
static void test_uncommon_requests(void) {
  static const char *const heads[] = {
      "GET /%41 HTTP/1.1\r\n" HEAD "\r\n",
      "GET /a?x=%20&y=%26 HTTP/1.1\r\n" HEAD "\r\n",
      "GET / HTTP/1.1\r\n" HEAD "Cookie: a=b\r\nCookie: c=d\r\n\r\n",
      "GET //a/../b HTTP/1.1\r\n" HEAD "\r\n"};
  raw_start();
  for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
    struct rawws *ws = raw_dial();
    CU_ASSERT_TRUE(rawws_write(ws, heads[i], strlen(heads[i])));
    check_answer(ws);
    CU_ASSERT_TRUE(raw_echo(ws, raw_pattern(9000), 9000));
    CU_ASSERT_TRUE(raw_send_command(ws, 'C', 1001));
    CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1001);
    rawws_free(ws);
  }
}

/* Too long for anyone; but it ends. */
static void test_long_head(void) {
  static const char line[] = "X-%04d: 0123456789012345678901234567890123\r\n";
  raw_start();
  struct rawws *ws = raw_dial();
  CU_ASSERT_TRUE(rawws_write(ws, request, strlen(request) - 2));
  for (int i = 0; i < 1000; i++) {
    char text[64];
    int len = snprintf(text, sizeof(text), line, i);
    if (!rawws_write(ws, text, (size_t)len)) break;
  }
  struct pollfd wanted = {.fd = rawws_fd(ws), .events = POLLIN};
  CU_ASSERT_EQUAL(poll(&wanted, 1, WAIT_MS), 1);
  rawws_free(ws);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
}

/* Half a request and then the end of the stream. */
static void test_half_a_request(void) {
  raw_start();
  for (size_t len = 1; len < strlen(request); len += 7) {
    struct rawws *ws = raw_dial();
    uint64_t before = raw_now_ms();
    CU_ASSERT_TRUE(rawws_write(ws, request, len));
    rawws_shutdown_write(ws);
    CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1006);
    CU_ASSERT_TRUE(raw_now_ms() - before < WAIT_MS / 2);
    rawws_free(ws);
  }
}

static void check_broken_is_answered(const struct rawws_frame *frame) {
  struct rawws *ws = raw_client(0);
  for (int i = 0; i < 3; i++) CU_ASSERT_TRUE(rawws_send(ws, "before", 6));
  CU_ASSERT_TRUE(rawws_send_frame(ws, frame));
  (void)rawws_send(ws, "after", 5); /* is thrown away */
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(rawws_expect(ws, "before", 6, WAIT_MS));
  }
  CU_ASSERT_TRUE(rawws_expect(ws, "violated", 8, WAIT_MS));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1002);
  rawws_free(ws);
}

/* What came before is answered, and the code says why it ends. */
static void test_broken_frames(void) {
  static const struct rawws_frame cases[] = {
      {.opcode = RAWWS_BINARY, .unmasked = true, .payload = "x", .len = 1},
      {.opcode = RAWWS_PING, .unmasked = true},
      {.opcode = RAWWS_BINARY, .rsv = 4, .payload = "x", .len = 1},
      {.opcode = (enum rawws_opcode)5},
      {.opcode = RAWWS_CONTINUATION, .payload = "x", .len = 1},
      {.opcode = RAWWS_BINARY,
       .lie = true,
       .length_bytes = 8,
       .declared = UINT64_C(1) << 63}};
  raw_start();
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    check_broken_is_answered(&cases[i]);
  }
  RAW_WAIT(raw.closed == sizeof(cases) / sizeof(cases[0]));
}

/* The last ping is answered, whichever of the others are. */
static void test_many_pings(void) {
  enum { COUNT = 20000 };
  uint8_t frame[32];
  uint8_t *bytes = malloc(COUNT * sizeof(frame));
  size_t len = 0;
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  raw_start();
  struct rawws *ws = raw_client(4096);
  for (uint32_t i = 1; i <= COUNT; i++) {
    struct rawws_frame ping = {
        .opcode = RAWWS_PING, .payload = &i, .len = sizeof(i)};
    len += rawws_encode(&ping, bytes + len, sizeof(frame));
  }
  CU_ASSERT_TRUE(rawws_write(ws, bytes, len));
  free(bytes);
  uint32_t last = 0;
  while (last < COUNT) {
    struct rawws_message pong;
    uint32_t number = 0;
    CU_ASSERT_EQUAL_FATAL(rawws_recv(ws, &pong, WAIT_MS), RAWWS_OK);
    CU_ASSERT_EQUAL_FATAL(pong.opcode, RAWWS_PONG);
    CU_ASSERT_EQUAL_FATAL(pong.len, sizeof(number));
    memcpy(&number, pong.payload, sizeof(number));
    CU_ASSERT_TRUE_FATAL(number > last);
    last = number;
  }
  rawws_free(ws);
}

/* More than one read holds while paused; then the peer is gone. */
static void test_pause_and_reset(void) {
  enum { COUNT = 200, LEN = 1500 };
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'P', 60000));
  for (int i = 0; i < COUNT; i++) {
    CU_ASSERT_TRUE(rawws_send(ws, raw_pattern(LEN), LEN));
  }
  RAW_WAIT(raw.messages == 1);
  CU_ASSERT_TRUE(rawws_expect_silence(ws, 50));
  rawws_reset(ws);
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_E_DISCONNECTED);
}

/* Everything that was sent before the end of the stream is delivered. */
static void test_pause_and_end_of_stream(void) {
  enum { COUNT = 200, LEN = 1500 };
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'P', 200));
  for (int i = 0; i < COUNT; i++) {
    CU_ASSERT_TRUE(rawws_send(ws, raw_pattern(LEN), LEN));
  }
  rawws_shutdown_write(ws);
  RAW_WAIT(raw.closed == 1 && raw.messages == COUNT + 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_E_DISCONNECTED);
  rawws_free(ws);
}

/* A close that is read behind a pause is answered at once. */
static void test_pause_and_close(void) {
  static const uint8_t pause[] = {'P', 0xff, 0xff}; /* far too long */
  static const struct rawws_frame end = {
      .opcode = RAWWS_CLOSE, .payload = "\x03\xe8", .len = 2};
  uint8_t bytes[64];
  raw_start();
  struct rawws *ws = raw_client(0);
  size_t len = encode(bytes, sizeof(bytes), pause, sizeof(pause));
  len += encode(bytes + len, sizeof(bytes) - len, "x", 1);
  len += rawws_encode(&end, bytes + len, sizeof(bytes) - len);
  CU_ASSERT_TRUE(rawws_write(ws, bytes, len)); /* and so read */
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1000);
  raw_resume();
  RAW_WAIT(raw.closed == 1 && raw.messages == 2);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  rawws_free(ws);
}

/* A peer that goes on sending and never answers our close. */
static void test_flood_after_close(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'C', 1001));
  uint64_t before = raw_now_ms();
  while (raw_now_ms() - before < WAIT_MS &&
         rawws_send(ws, raw_pattern(60000), 60000)) {
    continue;
  }
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_TRUE(raw_now_ms() - before < WAIT_MS); /* it was cut off */
  CU_ASSERT_EQUAL(raw.messages, 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  rawws_free(ws);
}

/* The switch counts for connections that come, and both kinds live on. */
static void test_switch(void) {
  enum { COUNT = 8 };
  struct rawws *some[COUNT];
  raw_start();
  for (int i = 0; i < COUNT; i++) {
    wwr_websocket_set_write_path(raw.transport,
                                 i % 2 ? WWR_WRITE_CALLBACK : WWR_WRITE_DIRECT);
    some[i] = raw_client(0);
  }
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < COUNT; i++) {
      CU_ASSERT_TRUE(raw_echo(some[i], raw_pattern(2000), 2000));
    }
  }
  for (int i = 0; i < COUNT; i++) {
    CU_ASSERT_TRUE(rawws_send_close(some[i], 1000));
    CU_ASSERT_EQUAL(rawws_expect_end(some[i], WAIT_MS), 1000);
    rawws_free(some[i]);
  }
  RAW_WAIT(raw.closed == COUNT);
}

CU_TestInfo raw_native[] = {
    {"frames behind the request", test_frames_behind_the_request},
    {"request by bytes", test_request_by_bytes},
    {"uncommon requests", test_uncommon_requests},
    {"long head", test_long_head},
    {"half a request", test_half_a_request},
    {"broken frames", test_broken_frames},
    {"many pings", test_many_pings},
    {"pause and reset", test_pause_and_reset},
    {"pause and end of stream", test_pause_and_end_of_stream},
    {"pause and close", test_pause_and_close},
    {"flood after close", test_flood_after_close},
    {"switch", test_switch},
    CU_TEST_INFO_NULL};
