/* chatroom-server: its requests as existing clients expect them. Run with one
 * I/O thread and with three, because order between threads is part of it. */
#include "room.h"

#include <stdlib.h>
#include <string.h>

static struct wire_server server;
static struct rawws *one, *two;

/* Raw clients are silent for longer than the chat room's three seconds. */
static int begin_with(const char *threads) {
  const char *const args[] = {"--threads", threads, "--read-timeout", "60",
                              NULL};
  return wire_start(&server, "chatroom-server", args) ? 0 : 1;
}

static int begin_alone(void) {
  return begin_with("1");
}

static int begin_threaded(void) {
  return begin_with("3");
}

static int end(void) {
  return wire_end(&server);
}

static void connect_clients(void) {
  one = wire_open(server.port);
  two = wire_open(server.port);
}

static void drop_clients(void) {
  rawws_free(one);
  rawws_free(two);
  one = two = NULL;
}

static void accept_conf(void) {
  struct wire_server usual;
  CU_ASSERT_TRUE_FATAL(wire_start(&usual, "chatroom-server", NULL));
  struct rawws *ws = rawws_open(usual.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(
      rawws_expect(ws,
                   WIRE_BYTES("\x17\x02\x00\xb8\x0b\x00\x00\x00\x20\x00\x00"
                              "chatroom-example-protocol"),
                   WIRE_MS));
  rawws_free(ws);
  CU_ASSERT_EQUAL(wire_end(&usual), 0);
}

/* --- msg ---------------------------------------------------------------- */

static const struct {
  int type;
  const uint8_t *payload;
  size_t len;
  const char *signal;
} messages[] = {
    {REQUEST_UTF8, WIRE_BYTES("hello"), "hello"},
    {REQUEST_BINARY, WIRE_BYTES("bytes"), "bytes"},
    {REQUEST_UTF16, WIRE_BYTES("h\x00i\x00"), "hi"},
    {REQUEST_UTF16, WIRE_BYTES("\x3d\xd8\x00\xde"), "\xf0\x9f\x98\x80"},
    {REQUEST_UTF16,
     WIRE_BYTES("\x3d\xd8"
                "a\x00"),
     "\xef\xbf\xbd"
     "a"},
    {REQUEST_UTF8, WIRE_BYTES("w\xc3\xb6rld"), "w\xc3\xb6rld"},
    {REQUEST_UTF8, WIRE_BYTES("a\xff\xc3z"), "a\xef\xbf\xbd\xef\xbf\xbdz"},
    {REQUEST_BINARY, WIRE_BYTES("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd"},
    {REQUEST_UTF8, WIRE_BYTES("say \"x\" \\ y"), "say \\\"x\\\" \\\\ y"},
    {REQUEST_UTF8, WIRE_BYTES("1\n2\t3"), "1\\n2\\t3"},
    {REQUEST_BINARY,
     WIRE_BYTES("a\x00"
                "b"),
     "a\\u0000b"},
    {REQUEST_UTF8, NULL, 0, ""},
    {REQUEST_BINARY, NULL, 0, ""},
    {REQUEST_UTF16, NULL, 0, ""},
};

static bool expect_said(struct rawws *ws, const char *user, const char *text) {
  char json[1024];
  snprintf(json, sizeof json, "{\"user\":\"%s\",\"msg\":\"%s\"}", user, text);
  return wire_expect_signal(ws, json);
}

static void messages_reach_everyone(void) {
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
    CU_ASSERT_TRUE(
        wire_send(one, wire_named(messages[i].type, "msg", messages[i].payload,
                                  messages[i].len)));
    CU_ASSERT_TRUE(expect_said(one, "Anonymous", messages[i].signal));
    CU_ASSERT_TRUE(wire_expect_empty(one));
    CU_ASSERT_TRUE_FATAL(expect_said(two, "Anonymous", messages[i].signal));
  }
}

/* Both talk at once: everyone sees the same order, and each its own signal
 * before the reply. */
static void one_order_for_everyone(void) {
  char seen[2][200];
  enum { EACH = 50 };
  struct rawws *both[2] = {one, two};
  for (int i = 0; i < EACH; i++) {
    CU_ASSERT_TRUE(wire_request(one, "msg", "1"));
    CU_ASSERT_TRUE(wire_request(two, "msg", "2"));
  }
  for (int c = 0; c < 2; c++) {
    int signals = 0, own = 0, replies = 0;
    while (signals + replies < 3 * EACH) {
      struct rawws_message got;
      CU_ASSERT_EQUAL_FATAL(rawws_recv_message(both[c], &got, WIRE_MS),
                            RAWWS_OK);
      if (got.payload[0] == SIGNAL_UTF8) {
        char from = (char)got.payload[got.len - 3];
        seen[c][signals++] = from;
        own += from == '1' + c;
      } else {
        CU_ASSERT_TRUE_FATAL(++replies <= own);
      }
    }
    CU_ASSERT_EQUAL(signals, 2 * EACH);
  }
  CU_ASSERT_EQUAL(memcmp(seen[0], seen[1], 2 * EACH), 0);
}

static void broadcast_right_after_accept_conf(void) {
  for (int i = 0; i < 100; i++) {
    struct rawws *late = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(late);
    CU_ASSERT_TRUE(wire_request(one, "msg", "welcome"));
    CU_ASSERT_TRUE_FATAL(expect_said(late, "Anonymous", "welcome"));
    CU_ASSERT_TRUE(expect_said(one, "Anonymous", "welcome"));
    CU_ASSERT_TRUE(wire_expect_empty(one));
    rawws_free(late);
  }
}

/* As a signal it exceeds the message buffer: nobody gets it, nobody is cut. */
static void too_long_a_message(void) {
  static char text[8170];
  memset(text, 'x', sizeof text - 1);
  CU_ASSERT_TRUE(wire_request(one, "msg", text));
  CU_ASSERT_TRUE(wire_expect_empty(one));
  CU_ASSERT_TRUE(wire_request(one, "msg", "short"));
  CU_ASSERT_TRUE(expect_said(two, "Anonymous", "short"));
  CU_ASSERT_TRUE(expect_said(one, "Anonymous", "short"));
  CU_ASSERT_TRUE(wire_expect_empty(one));
}

static void other_requests(void) {
  static const char *const names[] = {"", "MSG", "msgs", "ms", "auth2", "AUTH"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    CU_ASSERT_TRUE(wire_request(one, names[i], "x"));
    CU_ASSERT_TRUE(wire_expect_error(one, "BAD_REQUEST"));
  }
  CU_ASSERT_TRUE(wire_send(one, wire_named(SIGNAL_UTF8, "msg", "x", 1)));
  CU_ASSERT_TRUE(rawws_expect_silence(two, WIRE_QUIET_MS));
}

/* --- auth --------------------------------------------------------------- */

static const struct {
  const char *payload;
  const char *code;
} refused[] = {
    {"{\"name\":\"Nobody\",\"pass\":\"x\"}", "INEXISTENT_USER"},
    {"{\"name\":\"gandalf\",\"pass\":\"gandalf1234\"}", "INEXISTENT_USER"},
    {"{\"name\":\"\",\"pass\":\"\"}", "INEXISTENT_USER"},
    {"{\"name\":\"Gandalf\\u0000\",\"pass\":\"gandalf1234\"}",
     "INEXISTENT_USER"},
    {"{}", "INEXISTENT_USER"},
    {"null", "INEXISTENT_USER"},
    {"{\"pass\":\"gandalf1234\"}", "INEXISTENT_USER"},
    {"{\"name\":\"Gandalf\"}", "INEXISTENT_USER"},
    {"{\"name\":\"\xff\",\"pass\":\"x\"}", "INEXISTENT_USER"},
    {"{\"name\":\"Gandalf\",\"pass\":\"\"}", "WRONG_PASSWORD"},
    {"{\"name\":\"Gandalf\",\"pass\":\"gandalf123\"}", "WRONG_PASSWORD"},
    {"{\"name\":\"Gandalf\",\"pass\":\"gandalf12345\"}", "WRONG_PASSWORD"},
    {"{\"name\":\"Gandalf\",\"pass\":\"gandalf1234\\u0000\"}",
     "WRONG_PASSWORD"},
    {"{\"name\":\"Gandalf\",\"pass\":\"sauron1234\"}", "WRONG_PASSWORD"},
    {NULL, "DECODING_FAILURE"},
    {"x", "DECODING_FAILURE"},
    {"{\"name\":\"Gandalf\",\"pass\":\"gandalf1234\"", "DECODING_FAILURE"},
    {"{\"name\":\"Gandalf\",\"pass\":\"gandalf1234\"} x", "DECODING_FAILURE"},
    {"{name:1}", "DECODING_FAILURE"},
    {"[]", "DECODING_FAILURE"},
    {"\"Gandalf\"", "DECODING_FAILURE"},
    {"7", "DECODING_FAILURE"},
    {"{\"name\":7,\"pass\":\"x\"}", "DECODING_FAILURE"},
    {"{\"name\":\"Gandalf\",\"pass\":[]}", "DECODING_FAILURE"},
    {"{\"name\":{},\"pass\":true}", "DECODING_FAILURE"},
    {"{\"name\":7}", "DECODING_FAILURE"},
    {"{\"name\":null,\"pass\":null}", "INEXISTENT_USER"},
    {"{\"name\":\"Gandalf\",\"pass\":null}", "INEXISTENT_USER"},
};

static void refused_logins(void) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    CU_ASSERT_TRUE(wire_request(one, "auth", refused[i].payload));
    bool good = wire_expect_error(one, refused[i].code);
    if (!good) fprintf(stderr, "login: %s\n", refused[i].payload);
    CU_ASSERT_TRUE_FATAL(good);
  }
  CU_ASSERT_TRUE(rawws_expect_silence(two, WIRE_QUIET_MS));
}

static void login_gives_a_name(void) {
  char key[65], other[65];
  CU_ASSERT_TRUE_FATAL(wire_log_in(one, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(strspn(key,
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789-_="),
                  64);
  CU_ASSERT_TRUE(wire_request(one, "msg", "ring"));
  CU_ASSERT_TRUE(expect_said(one, "Frodo", "ring"));
  CU_ASSERT_TRUE(wire_expect_empty(one));
  CU_ASSERT_TRUE(expect_said(two, "Frodo", "ring"));
  CU_ASSERT_TRUE_FATAL(wire_log_in(two, "Frodo", "frodo1234", other));
  CU_ASSERT_STRING_NOT_EQUAL(key, other);
}

/* The order of the checks: user, password, session. */
static void login_twice(void) {
  char key[65];
  CU_ASSERT_TRUE_FATAL(wire_log_in(one, "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(wire_request(one, "auth",
                              "{\"name\":\"Sauron\",\"pass\":\"sauron1234\"}"));
  CU_ASSERT_TRUE(wire_expect_error(one, "SESSION_ACTIVE"));
  CU_ASSERT_TRUE(
      wire_request(one, "auth", "{\"name\":\"Sauron\",\"pass\":\"x\"}"));
  CU_ASSERT_TRUE(wire_expect_error(one, "WRONG_PASSWORD"));
  CU_ASSERT_TRUE(wire_request(one, "auth", "{\"name\":\"x\",\"pass\":\"x\"}"));
  CU_ASSERT_TRUE(wire_expect_error(one, "INEXISTENT_USER"));
  CU_ASSERT_TRUE(wire_request(one, "auth", "{"));
  CU_ASSERT_TRUE(wire_expect_error(one, "DECODING_FAILURE"));
  CU_ASSERT_TRUE(wire_request(one, "msg", "still"));
  CU_ASSERT_TRUE(expect_said(one, "Frodo", "still"));
}

static void login_in_other_encodings(void) {
  static const char text[] = "{\"name\":\"Gimli\",\"pass\":\"gimli1234\"}";
  uint8_t wide[2 * sizeof text];
  struct rawws_message got;
  for (size_t i = 0; i < sizeof text; i++) {
    wide[2 * i] = (uint8_t)text[i];
    wide[2 * i + 1] = 0;
  }
  CU_ASSERT_TRUE(wire_send(
      one, wire_named(REQUEST_UTF16, "auth", wide, 2 * sizeof text - 2)));
  CU_ASSERT_TRUE(wire_send(
      two, wire_named(REQUEST_BINARY, "auth", text, sizeof text - 1)));
  CU_ASSERT_EQUAL(rawws_recv_message(one, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], SESSION_CREATED);
  CU_ASSERT_EQUAL(rawws_recv_message(two, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], SESSION_CREATED);
}

static void all_built_in_accounts(void) {
  static const char *const names[] = {
      "Gandalf", "Sauron", "Galadriel", "Legolas",  "Aragorn", "Melkor",
      "Frodo",   "Gollum", "Thranduil", "Samweis",  "Gimli",   "Peregrin",
      "Boromir", "Elrond", "Saruman",   "Meriadoc",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char key[65], pass[32];
    struct rawws *ws = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
    snprintf(pass, sizeof pass, "%s1234", names[i]);
    pass[0] = (char)(pass[0] - 'A' + 'a');
    CU_ASSERT_TRUE(wire_log_in(ws, names[i], pass, key));
    rawws_free(ws);
  }
}

static int upgrade_from(const char *origin) {
  char headers[128];
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = server.port});
  if (!ws) return -1;
  snprintf(headers, sizeof headers, "Origin: %s\r\n", origin);
  int status = rawws_upgrade(ws, &(struct rawws_request){.headers = headers});
  rawws_free(ws);
  return status;
}

static void any_page_may_connect(void) {
  CU_ASSERT_EQUAL(upgrade_from("https://elsewhere.example"), 101);
  CU_ASSERT_EQUAL(upgrade_from("http://localhost"), 101);
  CU_ASSERT_EQUAL(upgrade_from("null"), 101);
}

static void others_may_not_when_asked_for(void) {
  const char *const args[] = {"--origin", "https://chat.example", NULL};
  drop_clients();
  CU_ASSERT_TRUE_FATAL(wire_stop(&server));
  CU_ASSERT_TRUE_FATAL(wire_restart(&server, "chatroom-server", args));
  CU_ASSERT_EQUAL(upgrade_from("https://chat.example"), 101);
  CU_ASSERT_EQUAL(upgrade_from("https://elsewhere.example"), 403);
  CU_ASSERT_EQUAL(upgrade_from("null"), 403);
  connect_clients(); /* programs have no origin */
  CU_ASSERT_TRUE(one && two);
}

static bool is_asked(const char *seconds) {
  const char *const args[] = {"--read-timeout", seconds, NULL};
  struct rawws_message got = {.len = 0};
  drop_clients();
  CU_ASSERT_TRUE_FATAL(wire_stop(&server));
  CU_ASSERT_TRUE_FATAL(wire_restart(&server, "chatroom-server", args));
  connect_clients();
  CU_ASSERT_PTR_NOT_NULL_FATAL(one);
  CU_ASSERT_EQUAL(rawws_recv(one, &got, WIRE_MS), RAWWS_OK);
  return got.opcode == RAWWS_PING;
}

/* A page that nobody looks at sends nothing; so it is asked before it counts as
 * gone: always, but by a server that stood still when it would have asked. */
static void asked_before_it_is_gone(void) {
  CU_ASSERT_TRUE(is_asked("1") || is_asked("4") || is_asked("16"));
}

/* --- history, who ------------------------------------------------------- */

static void what_was_said(void) {
  char key[65], json[ROOM_MAX_TEXT], texts[256][64];
  CU_ASSERT_TRUE(wire_ask(one, "msg", "first", json, sizeof json));
  CU_ASSERT_TRUE_FATAL(wire_log_in(one, "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(wire_ask(one, "msg", "\\ \x01", json, sizeof json));
  CU_ASSERT_TRUE(wire_ask(two, "history", "2", json, sizeof json));
  CU_ASSERT_EQUAL_FATAL(room_parse_history(json, texts, 256), 2);
  CU_ASSERT_STRING_EQUAL(texts[0], "Anonymous: first");
  CU_ASSERT_STRING_EQUAL(texts[1], "Frodo: \\\\ \\u0001");
  CU_ASSERT_TRUE(wire_ask(two, "history", NULL, json, sizeof json));
  CU_ASSERT_TRUE(room_parse_history(json, texts, 256) >= 2);
  CU_ASSERT_TRUE(wire_ask(two, "history", "256", json, sizeof json));
  CU_ASSERT_TRUE(room_parse_history(json, texts, 256) >= 2);
  CU_ASSERT_FALSE(wire_ask(two, "history", "257", json, sizeof json));
  CU_ASSERT_STRING_EQUAL(json, "BAD_REQUEST");
  CU_ASSERT_FALSE(wire_ask(two, "history", "0", json, sizeof json));
  CU_ASSERT_STRING_EQUAL(json, "BAD_REQUEST");
}

static void who_is_here(void) {
  char key[65];
  CU_ASSERT_TRUE(room_lists(one, "Anonymous", 2));
  CU_ASSERT_TRUE_FATAL(wire_log_in(one, "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(room_lists(two, "Frodo", 1));
  CU_ASSERT_TRUE(room_lists(two, "Anonymous", 1));
  CU_ASSERT_TRUE(wire_send(one, wire_with_id(CLOSE_SESSION, NULL, 0)));
  CU_ASSERT_TRUE(wire_expect_empty(one));
  CU_ASSERT_TRUE(room_lists(two, "Frodo", 0));
  CU_ASSERT_TRUE(room_lists(one, "Anonymous", 2));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"accept-conf", accept_conf},
      {"messages reach everyone", messages_reach_everyone},
      {"one order for everyone", one_order_for_everyone},
      {"broadcast right after accept-conf", broadcast_right_after_accept_conf},
      {"too long a message", too_long_a_message},
      {"other requests", other_requests},
      {"refused logins", refused_logins},
      {"login gives a name", login_gives_a_name},
      {"login twice", login_twice},
      {"login in other encodings", login_in_other_encodings},
      {"all built-in accounts", all_built_in_accounts},
      {"any page may connect", any_page_may_connect},
      {"what was said", what_was_said},
      {"who is here", who_is_here},
      {"others may not when asked for", others_may_not_when_asked_for},
      {"asked before it is gone", asked_before_it_is_gone},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"one thread", begin_alone, end, connect_clients, drop_clients, tests},
      {"three threads", begin_threaded, end, connect_clients, drop_clients,
       tests},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
