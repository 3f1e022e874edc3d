/* Raw clients against the transport: what arrives, and how it ends. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "websocket_raw.h"

/* Receiving */

static void test_sizes(void) {
  static const size_t sizes[] = {0,     1,     2,      125,        126,   127,
                                 2047,  2048,  2049,   4096,       16383, 16384,
                                 65535, 65536, 131072, MAX_MESSAGE};
  raw_start();
  struct rawws *ws = raw_client(0);
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    CU_ASSERT_TRUE(raw_echo(ws, raw_pattern(sizes[i]), sizes[i]));
  }
  rawws_free(ws);
}

static void test_length_fields(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  for (int bytes = 2; bytes <= 8; bytes += 6) {
    struct rawws_frame frame = {.opcode = RAWWS_BINARY,
                                .length_bytes = bytes,
                                .mask = {1, 2, 3, 4},
                                .payload = raw_pattern(10),
                                .len = 10};
    CU_ASSERT_TRUE(rawws_send_frame(ws, &frame));
    CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(10), 10, WAIT_MS));
  }
  rawws_free(ws);
}

static bool send_part(struct rawws *ws, enum rawws_opcode opcode, bool more,
                      const uint8_t *data, size_t len) {
  struct rawws_frame frame = {.opcode = opcode,
                              .more = more,
                              .mask = {9, 8, 7, 6},
                              .payload = data,
                              .len = len};
  return rawws_send_frame(ws, &frame);
}

static void test_cut_at_every_byte(void) {
  enum { LEN = 300 };
  raw_start();
  struct rawws *ws = raw_client(0);
  const uint8_t *data = raw_pattern(LEN);
  for (size_t cut = 0; cut <= LEN; cut++) {
    CU_ASSERT_TRUE(send_part(ws, RAWWS_BINARY, true, data, cut));
    CU_ASSERT_TRUE(
        send_part(ws, RAWWS_CONTINUATION, false, data + cut, LEN - cut));
    CU_ASSERT_TRUE(rawws_expect(ws, data, LEN, WAIT_MS));
  }
  rawws_free(ws);
}

static void test_byte_fragments(void) {
  enum { LEN = 5000 };
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(rawws_send_pieces(ws, raw_pattern(LEN), LEN, 1));
  CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(LEN), LEN, WAIT_MS));
  for (int i = 0; i < 100; i++) { /* empty ones cost nothing */
    CU_ASSERT_TRUE(
        send_part(ws, i ? RAWWS_CONTINUATION : RAWWS_BINARY, true, NULL, 0));
  }
  CU_ASSERT_TRUE(send_part(ws, RAWWS_CONTINUATION, false, NULL, 0));
  CU_ASSERT_TRUE(rawws_expect(ws, NULL, 0, WAIT_MS));
  rawws_free(ws);
}

static void test_byte_segments(void) {
  enum { LEN = 300 };
  raw_start();
  struct rawws *ws = raw_client(0);
  struct rawws_frame frame = {.opcode = RAWWS_BINARY,
                              .mask = {5, 5, 0, 5},
                              .payload = raw_pattern(LEN),
                              .len = LEN};
  uint8_t wire[LEN + 16];
  size_t len = rawws_encode(&frame, wire, sizeof(wire));
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(rawws_write_bytewise(ws, wire, len));
    CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(LEN), LEN, WAIT_MS));
  }
  rawws_free(ws);
}

static void test_ping_between_fragments(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  struct rawws_frame ping = {
      .opcode = RAWWS_PING, .payload = "hello", .len = 5};
  struct rawws_message answer;
  CU_ASSERT_TRUE(send_part(ws, RAWWS_BINARY, true, raw_pattern(8), 4));
  CU_ASSERT_TRUE(rawws_send_frame(ws, &ping));
  CU_ASSERT_EQUAL_FATAL(rawws_recv(ws, &answer, WAIT_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(answer.opcode, RAWWS_PONG);
  CU_ASSERT_EQUAL(answer.len, 5);
  CU_ASSERT_TRUE(answer.len == 5 && memcmp(answer.payload, "hello", 5) == 0);
  CU_ASSERT_TRUE(
      send_part(ws, RAWWS_CONTINUATION, false, raw_pattern(8) + 4, 4));
  CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(8), 8, WAIT_MS));
  rawws_free(ws);
}

static void get_last_rx(void *arg) {
  *(uint64_t *)arg = raw.pipes[0]->last_rx_ms;
}

static void check_ping_counts(void) {
  uint64_t before, last, until = raw_now_ms() + WAIT_MS;
  struct rawws *ws = raw_client(0);
  RAW_WAIT(raw.opened == 1);
  raw_on_loop(get_last_rx, &before);
  struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
  nanosleep(&pause, NULL); /* it is about time passing */
  raw_on_loop(get_last_rx, &last);
  CU_ASSERT_EQUAL(last, before);
  struct rawws_frame ping = {.opcode = RAWWS_PING};
  struct rawws_message answer;
  CU_ASSERT_TRUE(rawws_send_frame(ws, &ping));
  CU_ASSERT_EQUAL(rawws_recv(ws, &answer, WAIT_MS), RAWWS_OK);
  do {
    raw_on_loop(get_last_rx, &last);
  } while (last == before && raw_now_ms() < until);
  CU_ASSERT_TRUE(last >= before + 250);
  rawws_free(ws);
}

static void test_ping_counts_as_activity(void) {
  raw_start();
  check_ping_counts();
}

static void test_ping_counts_on_the_callback_path(void) {
  raw_start_with(WWR_WRITE_CALLBACK, false);
  check_ping_counts();
}

static double thread_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check_pause(void) {
  enum { COUNT = 2000, LEN = 700 };
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'P', UINT16_MAX)); /* far too long */
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_TRUE(rawws_send(ws, raw_pattern(LEN), LEN));
  }
  double before = thread_seconds();
  CU_ASSERT_TRUE(rawws_expect_silence(ws, 200));
  CU_ASSERT_TRUE(thread_seconds() - before < 0.1); /* it does not spin */
  raw_resume();
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_TRUE(rawws_expect(ws, raw_pattern(LEN), LEN, WAIT_MS));
  }
  for (int i = 0; i < COUNT; i++) { /* on and off, nothing gets lost */
    if (i % 100 == 50) CU_ASSERT_TRUE(raw_send_command(ws, 'P', 1));
    if (!rawws_send(ws, &i, sizeof(i))) break;
  }
  for (int i = 0; i < COUNT; i++) {
    CU_ASSERT_TRUE_FATAL(rawws_expect(ws, &i, sizeof(i), WAIT_MS));
  }
  rawws_free(ws);
}

static void test_pause(void) {
  raw_start();
  check_pause();
}

static void test_pause_with_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_pause();
}

/* What was sent before the end is delivered, even behind a pause. */
static void test_pause_then_gone(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'P', 200));
  for (int i = 0; i < 10; i++) CU_ASSERT_TRUE(rawws_send(ws, "x", 1));
  CU_ASSERT_TRUE(rawws_send_close(ws, 1000));
  RAW_WAIT(raw.messages == 11 && raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  rawws_free(ws);
}

CU_TestInfo raw_receiving[] = {
    {"sizes", test_sizes},
    {"length fields", test_length_fields},
    {"cut at every byte", test_cut_at_every_byte},
    {"fragments of one byte", test_byte_fragments},
    {"segments of one byte", test_byte_segments},
    {"ping between fragments", test_ping_between_fragments},
    {"ping counts as activity", test_ping_counts_as_activity},
    {"ping counts, callback", test_ping_counts_on_the_callback_path},
    {"pause", test_pause},
    {"pause, TLS", test_pause_with_tls},
    {"pause, then gone", test_pause_then_gone},
    CU_TEST_INFO_NULL};

/* Ending */

/* What came before a violation is answered before the close. */
static void check_violation(struct rawws *ws, uint16_t code) {
  for (int i = 0; i < 5; i++) {
    CU_ASSERT_TRUE(rawws_expect(ws, "before", 6, WAIT_MS));
  }
  CU_ASSERT_TRUE(rawws_expect(ws, "violated", 8, WAIT_MS));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), code);
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  rawws_free(ws);
}

static struct rawws *client_with_five(void) {
  struct rawws *ws = raw_client(0);
  for (int i = 0; i < 5; i++) CU_ASSERT_TRUE(rawws_send(ws, "before", 6));
  return ws;
}

static void test_text(void) {
  raw_start();
  struct rawws *ws = client_with_five();
  CU_ASSERT_TRUE(send_part(ws, RAWWS_TEXT, false, raw_pattern(4), 4));
  (void)rawws_send(ws, "after", 5); /* is thrown away */
  check_violation(ws, 1003);
}

static void test_text_fragment(void) {
  raw_start();
  struct rawws *ws = client_with_five();
  CU_ASSERT_TRUE(send_part(ws, RAWWS_TEXT, true, raw_pattern(4), 4));
  check_violation(ws, 1003);
}

static void test_too_big(void) {
  raw_start();
  struct rawws *ws = client_with_five();
  CU_ASSERT_TRUE(rawws_send(ws, raw_pattern(MAX_MESSAGE + 1), MAX_MESSAGE + 1));
  check_violation(ws, 1009);
}

static void check_declared(uint64_t declared) {
  struct rawws *ws = client_with_five();
  struct rawws_frame frame = {.opcode = RAWWS_BINARY,
                              .lie = true,
                              .length_bytes = 8,
                              .declared = declared,
                              .payload = "x",
                              .len = 1};
  CU_ASSERT_TRUE(rawws_send_frame(ws, &frame));
  check_violation(ws, 1009);
}

static void test_declared_too_big(void) {
  raw_start();
  check_declared(MAX_MESSAGE + 1);
}

static void test_declared_huge(void) {
  raw_start();
  check_declared(UINT64_C(0x7fffffffffffffff));
}

static void test_fragments_too_big(void) {
  raw_start();
  struct rawws *ws = client_with_five();
  enum { PIECE = 50000 };
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_TRUE(send_part(ws, i ? RAWWS_CONTINUATION : RAWWS_BINARY, true,
                             raw_pattern(PIECE), PIECE));
  }
  CU_ASSERT_TRUE(send_part(ws, RAWWS_CONTINUATION, false, raw_pattern(1), 1));
  check_violation(ws, 1009);
}

/* Broken WebSocket: the answers to what came before, then the end. */
static void check_broken(const struct rawws_frame *frame) {
  int closed = raw.closed;
  struct rawws *ws = client_with_five();
  CU_ASSERT_TRUE(rawws_send_frame(ws, frame));
  for (int i = 0; i < 5; i++) {
    CU_ASSERT_TRUE(rawws_expect(ws, "before", 6, WAIT_MS));
  }
  int code = rawws_expect_end(ws, WAIT_MS);
  CU_ASSERT_TRUE(code == 1002 || code == 1006);
  RAW_WAIT(raw.closed == closed + 1);
  rawws_free(ws);
}

static void test_broken_frames(void) {
  raw_start();
  struct rawws_frame bad_opcode = {.opcode = (enum rawws_opcode)3};
  struct rawws_frame bad_control = {.opcode = (enum rawws_opcode)11};
  struct rawws_frame reserved = {.opcode = RAWWS_BINARY, .rsv = 2};
  struct rawws_frame lonely = {.opcode = RAWWS_CONTINUATION};
  struct rawws_frame cut_ping = {.opcode = RAWWS_PING, .more = true};
  struct rawws_frame long_ping = {
      .opcode = RAWWS_PING, .payload = raw_pattern(200), .len = 200};
  check_broken(&bad_opcode);
  check_broken(&bad_control);
  check_broken(&reserved);
  check_broken(&lonely);
  check_broken(&cut_ping);
  check_broken(&long_ping);
}

static void test_close_by_the_client(void) {
  static const uint16_t sent[] = {1000, 1001, 3000, 4999, 0, 999, 1005};
  static const int got[] = {1000, 1001, 3000, 4999, 1005, 1002, 1002};
  raw_start();
  for (int i = 0; i < 7; i++) {
    struct rawws *ws = raw_client(0);
    CU_ASSERT_TRUE(rawws_send(ws, "before", 6));
    CU_ASSERT_TRUE(rawws_send_close(ws, sent[i]));
    CU_ASSERT_TRUE(rawws_expect(ws, "before", 6, WAIT_MS));
    CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), got[i]);
    RAW_WAIT(raw.closed == i + 1);
    CU_ASSERT_EQUAL(raw.reason, WWR_OK);
    rawws_free(ws);
  }
}

static int closed_so_far(void) {
  pthread_mutex_lock(&raw.lock);
  int closed = raw.closed;
  pthread_mutex_unlock(&raw.lock);
  return closed;
}

/* Whoever sees the answer to its close may come back at once: its pipe has
 * ended by then, though the peer keeps its TCP connection. That ends too. */
static void check_noticed(void) {
  for (int i = 0; i < 100; i++) {
    struct rawws_message message;
    struct rawws *ws = raw_client(0);
    CU_ASSERT_TRUE(rawws_send(ws, "before", 6));
    CU_ASSERT_TRUE(rawws_send_close(ws, 4321));
    uint64_t sent_ms = raw_now_ms();
    CU_ASSERT_TRUE(rawws_expect(ws, "before", 6, WAIT_MS));
    CU_ASSERT_EQUAL(rawws_recv_message(ws, &message, WAIT_MS), RAWWS_CLOSED);
    CU_ASSERT_EQUAL(closed_so_far(), i + 1);
    CU_ASSERT_EQUAL(rawws_close_code(ws), 4321);
    CU_ASSERT_EQUAL(raw.reason, WWR_OK);
    CU_ASSERT_EQUAL(rawws_recv(ws, &message, WAIT_MS), RAWWS_EOF);
    CU_ASSERT_TRUE(raw_now_ms() - sent_ms < 2 * LINGER_MS);
    rawws_free(ws);
  }
}

static void test_close_is_noticed(void) {
  raw_start();
  check_noticed();
}

static void test_close_is_noticed_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_noticed();
}

static void check_server_close(int already) {
  static const uint16_t codes[] = {1000, 1001, 1002, 1011, 1013, 4000};
  for (int i = 0; i < 6; i++) {
    struct rawws *ws = raw_client(0);
    CU_ASSERT_TRUE(raw_ask_flood(ws, 100, 1000));
    CU_ASSERT_TRUE(raw_send_command(ws, 'C', codes[i]));
    CU_ASSERT_TRUE(raw_read_flood(ws, 100, 1000));
    CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), codes[i]);
    RAW_WAIT(raw.closed == already + i + 1);
    CU_ASSERT_EQUAL(raw.reason, WWR_OK);
    rawws_free(ws);
  }
}

static void test_close_by_the_server(void) {
  raw_start();
  check_server_close(0);
  wwr_websocket_set_write_path(raw.transport, WWR_WRITE_CALLBACK);
  check_server_close(6);
}

static void test_close_by_the_server_with_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_server_close(0);
}

/* A peer that neither reads nor answers is cut off after the linger time. */
static void test_close_unanswered(void) {
  raw_start();
  struct rawws *ws = raw_client(4096);
  CU_ASSERT_TRUE(raw_ask_flood(ws, 3000, 1000));
  CU_ASSERT_TRUE(raw_send_command(ws, 'C', 1001));
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  rawws_free(ws);
}

/* One that has got the close but never answers it is not waited for so long:
 * nothing is left to be sent to it. */
static void check_close_ignored(void) {
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_send_command(ws, 'C', 1001));
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_OK);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1001);
  rawws_free(ws);
}

static void test_close_ignored(void) {
  raw.config.close_linger_ms = 10 * WAIT_MS;
  raw_start();
  check_close_ignored();
}

static void test_close_ignored_tls(void) {
  raw.config.close_linger_ms = 10 * WAIT_MS;
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_close_ignored();
}

static void test_vanished(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(rawws_send(ws, "last words", 10));
  rawws_free(ws);
  RAW_WAIT(raw.closed == 1 && raw.messages == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_E_DISCONNECTED);
  rawws_reset(raw_client(0));
  RAW_WAIT(raw.closed == 2);
  CU_ASSERT_EQUAL(raw.reason, WWR_E_DISCONNECTED);
}

CU_TestInfo raw_ending[] = {
    {"text", test_text},
    {"text fragment", test_text_fragment},
    {"too big", test_too_big},
    {"declared too big", test_declared_too_big},
    {"declared huge", test_declared_huge},
    {"fragments too big", test_fragments_too_big},
    {"broken frames", test_broken_frames},
    {"close by the client", test_close_by_the_client},
    {"close is noticed", test_close_is_noticed},
    {"close is noticed, TLS", test_close_is_noticed_tls},
    {"close by the server", test_close_by_the_server},
    {"close by the server, TLS", test_close_by_the_server_with_tls},
    {"close unanswered", test_close_unanswered},
    {"close ignored", test_close_ignored},
    {"close ignored, TLS", test_close_ignored_tls},
    {"vanished", test_vanished},
    CU_TEST_INFO_NULL};
