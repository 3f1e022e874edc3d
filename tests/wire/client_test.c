/* echo-client and chatroom-client, driven through pipes. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static struct wire_server echo, room;
static char echo_url[64], room_url[64];

static int begin(void) {
  if (!wire_start(&echo, "echo-server", NULL) ||
      !wire_start(&room, "chatroom-server", NULL))
    return 1;
  snprintf(echo_url, sizeof echo_url, "ws://127.0.0.1:%u", echo.port);
  snprintf(room_url, sizeof room_url, "ws://127.0.0.1:%u/any/path", room.port);
  return 0;
}

static int end(void) {
  int status = wire_end(&echo);
  return wire_end(&room) + status;
}

/* The program reads `input` up to its end, unless it fails before; its output
 * must be `out`, and what it says besides must have `notice` in it. */
static bool prints(const char *name, const char *const args[],
                   const char *input, int status, const char *out,
                   const char *notice) {
  struct proc *proc = wire_program(name, args);
  if (!proc) return false;
  bool taken = proc_write(proc, input) || status != 0;
  proc_close_stdin(proc);
  int got = proc_wait_exit(proc, WIRE_MS);
  char *printed = proc_output(proc, PROC_STDOUT);
  char *said = proc_output(proc, PROC_STDERR);
  bool good = taken && got == status && strcmp(printed, out) == 0 &&
              (!notice || strstr(said, notice));
  if (!good) fprintf(stderr, "%s: %d: %s\n%s\n", name, got, printed, said);
  free(printed);
  free(said);
  proc_free(proc);
  return good;
}

static void echo_arguments(void) {
  const char *const args[] = {echo_url, "one", "zw\xc3\xb6i",
                              "--",     "--x", NULL};
  CU_ASSERT_TRUE(
      prints("echo-client", args, "", 0, "one\nzw\xc3\xb6i\n--x\n", NULL));
}

static void echo_input(void) {
  const char *const args[] = {echo_url, NULL};
  CU_ASSERT_TRUE(prints("echo-client", args, "one\n\nzw\xc3\xb6i\nend", 0,
                        "one\nzw\xc3\xb6i\nend\n", NULL));
  CU_ASSERT_TRUE(prints("echo-client", args, "", 0, "", NULL));
}

static void echo_too_long(void) {
  static char text[9000];
  memset(text, 'x', sizeof text - 1);
  const char *const args[] = {echo_url, text, NULL};
  CU_ASSERT_TRUE(prints("echo-client", args, "", 1, "", "message buffer"));
}

static void chat_script(void) {
  const char *const args[] = {room_url, NULL};
  CU_ASSERT_TRUE(
      prints("chatroom-client", args,
             "hello\n:login Frodo frodo1234\nring\n\n:logout\nanon\n", 0,
             "Anonymous: hello\nFrodo: ring\nAnonymous: anon\n",
             "logged in as: Frodo"));
}

static void chat_options(void) {
  const char *const good[] = {"--name",    "Gimli",  "--pass",
                              "gimli1234", room_url, NULL};
  const char *const bad[] = {"--name", "Gimli", "--pass", "x", room_url, NULL};
  CU_ASSERT_TRUE(prints("chatroom-client", good, "axe\n:x\nlost\n", 0,
                        "Gimli: axe\n", "logged in as: Gimli"));
  CU_ASSERT_TRUE(
      prints("chatroom-client", bad, "axe\n", 1, "", "WRONG_PASSWORD"));
}

static void chat_asks(void) {
  const char *const args[] = {room_url, NULL};
  CU_ASSERT_TRUE(prints("chatroom-client", args,
                        ":login Gimli gimli1234\naxe\n:history 1\n", 0,
                        "Gimli: axe\n", "Z Gimli: axe\n"));
  CU_ASSERT_TRUE(
      prints("chatroom-client", args, ":who\n", 0, "", "* here: Anonymous ("));
  CU_ASSERT_TRUE(prints("chatroom-client", args, ":history 0\n", 0, "",
                        "* no history: BAD_REQUEST"));
}

static void chat_reconnects_with_its_session(void) {
  const char *const args[] = {room_url, NULL};
  CU_ASSERT_TRUE(prints("chatroom-client", args,
                        ":login Frodo frodo1234\n:disconnect\n:connect\nback\n",
                        0, "Frodo: back\n", "disconnected"));
}

static void chat_commands_that_fail(void) {
  static const struct {
    const char *input;
    const char *notice;
  } cases[] = {
      {":login Frodo\n", ":login NAME PASSWORD"},
      {":login\n", ":login NAME PASSWORD"},
      {":login Nobody x\n", "INEXISTENT_USER"},
      {":login Frodo x\n", "WRONG_PASSWORD"},
      {":login Frodo frodo1234\n:login Frodo frodo1234\n", "SESSION_ACTIVE"},
      {":login \xff\xff x\n", "UTF-8"},
      {":logout\n", "not logged in"},
      {":what\n", ":disconnect, :x"},
  };
  const char *const args[] = {room_url, NULL};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CU_ASSERT_TRUE(prints("chatroom-client", args, cases[i].input, 0, "",
                          cases[i].notice));
}

/* What others say appears at once, and can't touch the terminal. */
static void strangers_text_is_harmless(void) {
  static const char *const said[][2] = {
      {"\x1b[31mred", "Anonymous: \xef\xbf\xbd[31mred"},
      {"a\nFrodo: b", "Anonymous: a Frodo: b"},
      {"\xc2\x9b"
       "1m\x7f",
       "Anonymous: \xef\xbf\xbd"
       "1m\xef\xbf\xbd"},
      {"\xe2\x80\xae"
       "x",
       "Anonymous: \xef\xbf\xbdx"},
      {"\xf0\x9f\x98\x80 \xc3\xa9", "Anonymous: \xf0\x9f\x98\x80 \xc3\xa9"},
  };
  const char *const args[] = {room_url, NULL};
  struct proc *client = wire_program("chatroom-client", args);
  struct rawws *ws = wire_open(room.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(
      proc_wait_line(client, PROC_STDERR, "* connected", WIRE_MS, NULL, 0));
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    CU_ASSERT_TRUE(wire_request(ws, "msg", said[i][0]));
    CU_ASSERT_TRUE(
        proc_wait_line(client, PROC_STDOUT, said[i][1], WIRE_MS, NULL, 0));
  }
  proc_close_stdin(client);
  CU_ASSERT_EQUAL(proc_wait_exit(client, WIRE_MS), 0);
  proc_free(client);
  rawws_free(ws);
}

/* The server goes and comes back; so does the client, with its session. */
static void chat_survives_a_restart(void) {
  struct wire_server own;
  char url[64], address[64];
  CU_ASSERT_TRUE_FATAL(wire_start(&own, "chatroom-server", NULL));
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", own.port);
  snprintf(address, sizeof address, "127.0.0.1:%u", own.port);
  const char *const again[] = {"--listen", address, NULL};
  const char *const args[] = {url,      "--name",    "Frodo",
                              "--pass", "frodo1234", NULL};
  struct proc *client = wire_program("chatroom-client", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  CU_ASSERT_TRUE(proc_wait_line(client, PROC_STDERR, "* logged in as: Frodo",
                                WIRE_MS, NULL, 0));
  CU_ASSERT_TRUE(wire_stop(&own));
  CU_ASSERT_TRUE(
      proc_wait_line(client, PROC_STDERR, "* disconnected", WIRE_MS, NULL, 0));
  CU_ASSERT_TRUE_FATAL(wire_restart(&own, "chatroom-server", again));
  CU_ASSERT_TRUE(proc_write(client, "again\n"));
  CU_ASSERT_TRUE(
      proc_wait_line(client, PROC_STDOUT, "Frodo: again", WIRE_MS, NULL, 0));
  proc_close_stdin(client);
  CU_ASSERT_EQUAL(proc_wait_exit(client, WIRE_MS), 0);
  proc_free(client);
  CU_ASSERT_EQUAL(wire_end(&own), 0);
}

static void nobody_there(void) {
  const char *const args[] = {"ws://127.0.0.1:1", "--timeout", "0.3", NULL};
  CU_ASSERT_TRUE(prints("chatroom-client", args, "x\n", 1, "", "127.0.0.1:1"));
  CU_ASSERT_TRUE(prints("pubsub-client", args, "", 1, "", "127.0.0.1:1"));
}

/* echo-server has another sub-protocol name: none. */
static void another_protocol(void) {
  const char *const args[] = {echo_url, NULL};
  CU_ASSERT_TRUE(prints("chatroom-client", args, "x\n", 1, "", "sub-protocol"));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"echo: arguments", echo_arguments},
      {"echo: input", echo_input},
      {"echo: too long", echo_too_long},
      {"chat: a script", chat_script},
      {"chat: options", chat_options},
      {"chat: asks", chat_asks},
      {"chat: reconnects with its session", chat_reconnects_with_its_session},
      {"chat: commands that fail", chat_commands_that_fail},
      {"chat: strangers' text is harmless", strangers_text_is_harmless},
      {"chat: survives a restart", chat_survives_a_restart},
      {"nobody there", nobody_there},
      {"another protocol", another_protocol},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"client", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
