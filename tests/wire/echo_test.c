/* echo-server, docs/protocol.md "Bytes" and "Requests": every well-formed
 * message.
 */
#include "wire.h"

#include <string.h>

static struct wire_server server;
static struct rawws *ws;

static int begin(void) {
  return wire_start(&server, "echo-server", NULL) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

static void connect_client(void) {
  ws = wire_open(server.port);
}

static void drop_client(void) {
  rawws_free(ws);
  ws = NULL;
}

static void accept_conf_is_first_and_exact(void) {
  struct rawws *other = rawws_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(other);
  CU_ASSERT_TRUE(rawws_expect(
      other, WIRE_BYTES("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00"),
      WIRE_MS));
  CU_ASSERT_TRUE(rawws_expect_silence(other, WIRE_QUIET_MS));
  rawws_free(other);
}

/* --- Requests of every form --------------------------------------------- */

static const struct {
  const char *what;
  const uint8_t *request;
  size_t request_len;
  const uint8_t *reply;
  size_t reply_len;
} forms[] = {
    {"binary",
     WIRE_BYTES("\x7f" WIRE_ID "\x00"
                "\x00\xff"),
     WIRE_BYTES("\xbf" WIRE_ID "\x00\xff")},
    {"binary, one byte",
     WIRE_BYTES("\x7f" WIRE_ID "\x00"
                "a"),
     WIRE_BYTES("\xbf" WIRE_ID "a")},
    {"binary, named",
     WIRE_BYTES("\x7f" WIRE_ID "\x03"
                "abcxy"),
     WIRE_BYTES("\xbf" WIRE_ID "xy")},
    {"binary, name only",
     WIRE_BYTES("\x7f" WIRE_ID "\x01"
                "a"),
     WIRE_BYTES("\xbf" WIRE_ID)},
    {"any name byte",
     WIRE_BYTES("\x7f" WIRE_ID "\x03"
                "\x00\x1f\xff"
                "p"),
     WIRE_BYTES("\xbf" WIRE_ID "p")},
    {"UTF-8",
     WIRE_BYTES("\x80" WIRE_ID "\x00"
                "\xc3\xa9"),
     WIRE_BYTES("\xc0" WIRE_ID "\xc3\xa9")},
    {"invalid UTF-8",
     WIRE_BYTES("\x80" WIRE_ID "\x01"
                "n"
                "\xff\xfe"),
     WIRE_BYTES("\xc0" WIRE_ID "\xff\xfe")},
    {"UTF-8, name only",
     WIRE_BYTES("\x80" WIRE_ID "\x01"
                "n"),
     WIRE_BYTES("\xc0" WIRE_ID)},
    {"UTF-16",
     WIRE_BYTES("\x81" WIRE_ID "\x00"
                "a\x00"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00"
                "a\x00")},
    {"UTF-16, odd name",
     WIRE_BYTES("\x81" WIRE_ID "\x03"
                "abc"
                "\x00"
                "a\x00"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00"
                "a\x00")},
    {"UTF-16, even name",
     WIRE_BYTES("\x81" WIRE_ID "\x02"
                "ab"
                "a\x00"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00"
                "a\x00")},
    {"UTF-16, any pad",
     WIRE_BYTES("\x81" WIRE_ID "\x01"
                "n"
                "\x7f"
                "a\x00"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00"
                "a\x00")},
    {"UTF-16, odd name only",
     WIRE_BYTES("\x81" WIRE_ID "\x01"
                "n"
                "\x00"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00")},
    {"UTF-16, even name only",
     WIRE_BYTES("\x81" WIRE_ID "\x02"
                "nm"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00")},
    {"UTF-16, lone surrogate",
     WIRE_BYTES("\x81" WIRE_ID "\x00"
                "\x00\xd8"),
     WIRE_BYTES("\xc1" WIRE_ID "\x00"
                "\x00\xd8")},
};

static void every_form_is_echoed(void) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    bool good = rawws_send(ws, forms[i].request, forms[i].request_len) &&
                rawws_expect(ws, forms[i].reply, forms[i].reply_len, WIRE_MS);
    if (!good) fprintf(stderr, "form: %s\n", forms[i].what);
    CU_ASSERT_TRUE_FATAL(good);
  }
}

static void every_form_in_fragments(void) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    CU_ASSERT_TRUE(
        rawws_send_pieces(ws, forms[i].request, forms[i].request_len, 1));
    CU_ASSERT_TRUE_FATAL(
        rawws_expect(ws, forms[i].reply, forms[i].reply_len, WIRE_MS));
  }
}

/* The reply of a nameless UTF-16 request is as long as the request. */
static void boundary_sizes(void) {
  static const size_t sizes[] = {1,    2,    113,  114,  115,  116, 4076,
                                 4086, 4096, 8170, 8180, 8181, 8182};
  static uint8_t payload[8192];
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 7);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int kind = 0; kind < 3; kind++) {
      size_t len = kind == 2 ? (sizes[i] + 1) & ~(size_t)1 : sizes[i];
      CU_ASSERT_TRUE_FATAL(
          wire_send(ws, wire_named(REQUEST_BINARY + kind, "", payload, len)));
      CU_ASSERT_TRUE_FATAL(
          wire_expect(ws, wire_with_id(REPLY_BINARY + kind, payload, len)));
    }
  }
}

static void longest_name(void) {
  char name[256];
  memset(name, 'n', 255);
  name[255] = '\0';
  for (int kind = 0; kind < 3; kind++) {
    CU_ASSERT_TRUE(
        wire_send(ws, wire_named(REQUEST_BINARY + kind, name, "ab", 2)));
    CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_BINARY + kind, "ab", 2)));
  }
}

/* --- Many, and others --------------------------------------------------- */

static void pipelined_requests_in_order(void) {
  for (unsigned i = 0; i < 1000; i++)
    CU_ASSERT_TRUE_FATAL(
        wire_send(ws, wire_named(REQUEST_BINARY, "", &i, sizeof i)));
  for (unsigned i = 0; i < 1000; i++)
    CU_ASSERT_TRUE_FATAL(
        wire_expect(ws, wire_with_id(REPLY_BINARY, &i, sizeof i)));
}

static void ids_are_opaque(void) {
  CU_ASSERT_TRUE(
      rawws_send(ws, WIRE_BYTES("\x7f\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                "a")));
  CU_ASSERT_TRUE(rawws_expect(ws,
                              WIRE_BYTES("\xbf\x00\x00\x00\x00\x00\x00\x00\x00"
                                         "a"),
                              WIRE_MS));
  CU_ASSERT_TRUE(
      rawws_send(ws, WIRE_BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x00"
                                "a")));
  CU_ASSERT_TRUE(rawws_expect(ws,
                              WIRE_BYTES("\xbf\xff\xff\xff\xff\xff\xff\xff\xff"
                                         "a"),
                              WIRE_MS));
}

/* Signals, heartbeats, and what only a server sends: nothing comes of them. */
static void silent_messages(void) {
  static const struct {
    const uint8_t *bytes;
    size_t len;
  } silent[] = {
      {WIRE_BYTES("\x21")},
      {WIRE_BYTES("\x3f\x00"
                  "a")},
      {WIRE_BYTES("\x3f\x01"
                  "n")},
      {WIRE_BYTES("\x40\x01"
                  "na")},
      {WIRE_BYTES("\x41\x00"
                  "a\x00")},
      {WIRE_BYTES("\x41\x01"
                  "n"
                  "\x00"
                  "a\x00")},
      {WIRE_BYTES("\x00" WIRE_ID "\x01"
                  "C")},
      {WIRE_BYTES("\x01" WIRE_ID)},
      {WIRE_BYTES("\x02" WIRE_ID)},
      {WIRE_BYTES("\x03" WIRE_ID)},
      {WIRE_BYTES("\x04" WIRE_ID)},
      {WIRE_BYTES("\x05" WIRE_ID)},
      {WIRE_BYTES("\x15{")},
      {WIRE_BYTES("\x16")},
      {WIRE_BYTES("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00")},
      {WIRE_BYTES("\xbf" WIRE_ID)},
      {WIRE_BYTES("\xc0" WIRE_ID "a")},
      {WIRE_BYTES("\xc1" WIRE_ID "\x00")},
  };
  for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
    CU_ASSERT_TRUE(rawws_send(ws, silent[i].bytes, silent[i].len));
  CU_ASSERT_TRUE(wire_request(ws, "", "still here"));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "still here", 10)));
}

static void sessions_without_any(void) {
  static const char *const keys[] = {
      "k",
      "../../etc/passwd",
      "*",
      "a b",
      "\x01\xff",
      "0123456789012345678901234567890123456789012345678901234567890123"};
  CU_ASSERT_TRUE(wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)));
  CU_ASSERT_TRUE(wire_expect_empty(ws));
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    CU_ASSERT_TRUE(
        wire_send(ws, wire_with_id(RESTORE_SESSION, keys[i], strlen(keys[i]))));
    CU_ASSERT_TRUE(
        wire_expect(ws, wire_with_id(REPLY_SESSION_NOT_FOUND, NULL, 0)));
  }
}

static void pings_and_close(void) {
  struct rawws_message got;
  CU_ASSERT_TRUE(rawws_send_frame(
      ws,
      &(struct rawws_frame){.opcode = RAWWS_PING, .payload = "abc", .len = 3}));
  CU_ASSERT_EQUAL(rawws_recv(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.opcode, RAWWS_PONG);
  CU_ASSERT_EQUAL(got.len, 3);
  CU_ASSERT_TRUE(rawws_send_close(ws, 1000));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WIRE_MS), 1000);
}

int main(int argc, char **argv) {
  CU_TestInfo own[] = {
      {"accept-conf is first and exact", accept_conf_is_first_and_exact},
      CU_TEST_INFO_NULL};
  CU_TestInfo tests[] = {
      {"every form is echoed", every_form_is_echoed},
      {"every form in fragments", every_form_in_fragments},
      {"boundary sizes", boundary_sizes},
      {"longest name", longest_name},
      {"pipelined requests in order", pipelined_requests_in_order},
      {"ids are opaque", ids_are_opaque},
      {"silent messages", silent_messages},
      {"sessions without any", sessions_without_any},
      {"pings and close", pings_and_close},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"accept-conf", begin, end, NULL, NULL, own},
      {"echo", begin, end, connect_client, drop_client, tests},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
