/* echo-server, docs/protocol.md "Bytes": what is malformed closes the
 * connection, without a reply to it; what came before is answered first; others
 * live on. */
#include "wire.h"

#include <string.h>

static struct wire_server server;

static int begin(void) {
  return wire_start(&server, "echo-server", NULL) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

static const struct {
  const char *what;
  const uint8_t *bytes;
  size_t len;
} malformed[] = {
    {"empty message", WIRE_BYTES("")},
    {"reply-error without a code", WIRE_BYTES("\x00" WIRE_ID "\x01")},
    {"reply-error, code too short", WIRE_BYTES("\x00" WIRE_ID "\x02"
                                               "C")},
    {"reply-error, empty code", WIRE_BYTES("\x00" WIRE_ID "\x00"
                                           "C")},
    {"reply-shutdown, short", WIRE_BYTES("\x01"
                                         "1234567")},
    {"session-created, empty", WIRE_BYTES("\x15")},
    {"session-closed, long", WIRE_BYTES("\x16"
                                        "a")},
    {"accept-conf, short", WIRE_BYTES("\x17\x02\x00\x60\xea\x00\x00\x00\x20")},
    {"close-session, short", WIRE_BYTES("\x1f"
                                        "1234567")},
    {"close-session, long", WIRE_BYTES("\x1f" WIRE_ID "a")},
    {"restore-session without a key", WIRE_BYTES("\x20" WIRE_ID)},
    {"heartbeat, long", WIRE_BYTES("\x21"
                                   "a")},
    {"signal, nothing", WIRE_BYTES("\x3f")},
    {"signal, no name and no payload", WIRE_BYTES("\x3f\x00")},
    {"signal, name too short", WIRE_BYTES("\x40\x02"
                                          "n")},
    {"UTF-16 signal without payload", WIRE_BYTES("\x41\x02"
                                                 "nm")},
    {"UTF-16 signal, odd", WIRE_BYTES("\x41\x00"
                                      "a\x00"
                                      "b")},
    {"UTF-16 signal, only a pad", WIRE_BYTES("\x41\x01"
                                             "n"
                                             "\x00")},
    {"request, type alone", WIRE_BYTES("\x7f")},
    {"request, nameless and empty", WIRE_BYTES("\x7f" WIRE_ID "\x00")},
    {"request, name too short", WIRE_BYTES("\x7f" WIRE_ID "\x02"
                                           "n")},
    {"request, name far too short", WIRE_BYTES("\x80" WIRE_ID "\xff"
                                               "nnn")},
    {"UTF-16 request, odd", WIRE_BYTES("\x81" WIRE_ID "\x00"
                                       "abc")},
    {"UTF-16 request, no pad", WIRE_BYTES("\x81" WIRE_ID "\x01"
                                          "n")},
    {"UTF-16 request, nothing", WIRE_BYTES("\x81" WIRE_ID "\x00")},
    {"reply, short", WIRE_BYTES("\xbf"
                                "1234567")},
    {"UTF-16 reply, odd", WIRE_BYTES("\xc1" WIRE_ID "\x00"
                                     "a")},
};

/* A request, the violation, and another request in one go: the first one's
 * reply and the end is all that comes. */
static bool violates(const struct rawws_frame *frame) {
  struct rawws *ws = wire_open(server.port);
  bool good =
      ws && wire_request(ws, "", "before") && rawws_send_frame(ws, frame);
  if (good) wire_request(ws, "", "after"); /* may be too late to be sent */
  good = good && wire_expect(ws, wire_with_id(REPLY_UTF8, "before", 6));
  struct rawws_message got;
  good = good && rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK;
  rawws_free(ws);
  return good;
}

static bool message_violates(const uint8_t *bytes, size_t len) {
  return violates(&(struct rawws_frame){
      .opcode = RAWWS_BINARY, .payload = bytes, .len = len});
}

static void malformed_messages(void) {
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    bool good = message_violates(malformed[i].bytes, malformed[i].len);
    if (!good) fprintf(stderr, "malformed: %s\n", malformed[i].what);
    CU_ASSERT_TRUE(good);
  }
}

static bool is_known(int type) {
  return type <= 5 || (type >= 21 && type <= 23) ||
         (type >= 31 && type <= 33) || (type >= 63 && type <= 65) ||
         (type >= 127 && type <= 129) || (type >= 191 && type <= 193);
}

static void unknown_types(void) {
  uint8_t message[16] = {0};
  for (int type = 0; type < 256; type++) {
    message[0] = (uint8_t)type;
    if (is_known(type)) continue;
    CU_ASSERT_TRUE_FATAL(message_violates(message, sizeof message));
  }
}

static void text_message(void) {
  CU_ASSERT_TRUE(violates(&(struct rawws_frame){
      .opcode = RAWWS_TEXT, .payload = "\x7f" WIRE_ID "\x01n", .len = 11}));
}

static void over_the_message_buffer(void) {
  static uint8_t message[8193] = "\x7f" WIRE_ID;
  CU_ASSERT_TRUE(message_violates(message, sizeof message));
}

/* The buffer counts whole messages, not frames. */
static void over_it_in_fragments(void) {
  static uint8_t message[8193] = "\x7f" WIRE_ID;
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(rawws_send_pieces(ws, message, sizeof message, 1000));
  CU_ASSERT_NOT_EQUAL(rawws_expect_end(ws, WIRE_MS), -1);
  rawws_free(ws);
}

static void others_live_on(void) {
  struct rawws *other = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(other);
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_TRUE(message_violates(WIRE_BYTES("\x07")));
    CU_ASSERT_TRUE(wire_request(other, "", "fine"));
    CU_ASSERT_TRUE(wire_expect(other, wire_with_id(REPLY_UTF8, "fine", 4)));
  }
  rawws_free(other);
}

/* A server with another buffer size, said in accept-conf and kept. */
static void smallest_message_buffer(void) {
  struct wire_server small;
  const char *const args[] = {"--message-buffer", "32", NULL};
  CU_ASSERT_TRUE_FATAL(wire_start(&small, "echo-server", args));
  struct rawws *ws = rawws_open(small.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(rawws_expect(
      ws, WIRE_BYTES("\x17\x02\x00\x60\xea\x00\x00\x20\x00\x00\x00"), WIRE_MS));
  CU_ASSERT_TRUE(wire_request(ws, "", "0123456789012345678901"));
  CU_ASSERT_TRUE(
      wire_expect(ws, wire_with_id(REPLY_UTF8, "0123456789012345678901", 22)));
  CU_ASSERT_TRUE(wire_request(ws, "", "01234567890123456789012"));
  CU_ASSERT_NOT_EQUAL(rawws_expect_end(ws, WIRE_MS), -1);
  rawws_free(ws);
  CU_ASSERT_EQUAL(wire_end(&small), 0);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"malformed messages", malformed_messages},
                         {"unknown types", unknown_types},
                         {"text message", text_message},
                         {"over the message buffer", over_the_message_buffer},
                         {"over it in fragments", over_it_in_fragments},
                         {"others live on", others_live_on},
                         {"smallest message buffer", smallest_message_buffer},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"violation", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
