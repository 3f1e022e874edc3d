/* The tool webwire against a real webwired: what it prints, what it does, and
 * what it says when that can't be. */
#include "admin.h"
#include "webwired.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire_dir dir;
static struct node node;
static char admin_url[64], url[64], token_file[96];
static char out[1 << 18], err[1 << 14];

static void take(struct proc *proc, enum proc_stream stream, char *into,
                 size_t size) {
  char *text = proc_output(proc, stream);
  snprintf(into, size, "%s", text ? text : "");
  free(text);
}

static struct proc *begin_tool(const char *const args[]) {
  const char *argv[24] = {"--admin", admin_url,      "--url",
                          url,       "--token-file", token_file};
  size_t count = 6;
  while (*args && count < 23) argv[count++] = *args++;
  return wire_program("webwire", argv);
}

/* Its exit status; `out` and `err` are what it printed. */
static int end_tool(struct proc *proc) {
  int status = proc ? proc_wait_exit(proc, WIRE_MS) : -1;
  if (!proc) return -1;
  take(proc, PROC_STDOUT, out, sizeof out);
  take(proc, PROC_STDERR, err, sizeof err);
  proc_free(proc);
  return status;
}

#define TOOL(...) end_tool(begin_tool((const char *const[]){__VA_ARGS__, NULL}))

static bool printed(const char *text) {
  if (strstr(out, text)) return true;
  fprintf(stderr, "no \"%s\" in: %s%s\n", text, out, err);
  return false;
}

static bool complained(const char *text) {
  const char *end = strchr(err, '\n');
  if (strncmp(err, "webwire: ", 9) == 0 && end && end[1] == '\0' &&
      strstr(err, text))
    return true;
  fprintf(stderr, "no \"%s\" in: %s\n", text, err);
  return false;
}

static int begin(void) {
  if (!wire_dir_make(&dir)) return 1;
  snprintf(token_file, sizeof token_file, "%s/token", dir.path);
  if (!wire_write_file(token_file, ADMIN_TOKEN "\n")) return 1;
  if (!node_start(
          &node, "channels = { presence = true; };\n",
          (const char *const[]){"--admin", "127.0.0.1:0", "--admin-token-file",
                                token_file, "--drain-time", "0", NULL}))
    return 1;
  snprintf(admin_url, sizeof admin_url, "http://127.0.0.1:%u",
           admin_port(node.server.proc));
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", node.server.port);
  return 0;
}

static int end(void) {
  int status = node_end(&node);
  wire_dir_remove(&dir);
  return status == 0 ? 0 : 1;
}

/* The only connection there is: those of before may be listed for a moment. */
static void only_connection(char id[16]) {
  int64_t deadline = wire_now_ms() + WIRE_MS;
  char more[16];
  int found;
  do {
    CU_ASSERT_EQUAL_FATAL(TOOL("connections"), 0);
    found = sscanf(out, "%*[^\n] %15[0-9]%*[^\n] %15[0-9]", id, more);
  } while (found != 1 && wire_now_ms() < deadline);
  CU_ASSERT_EQUAL_FATAL(found, 1);
}

/* --- Asking --------------------------------------------------------------- */

static void health_and_nodes(void) {
  CU_ASSERT_EQUAL(TOOL("health"), 0);
  CU_ASSERT_STRING_EQUAL(out, "ready\n");
  CU_ASSERT_EQUAL(TOOL("node"), 0);
  CU_ASSERT_TRUE(printed(url) && printed("health       ready\n"));
  CU_ASSERT_EQUAL(TOOL("nodes"), 0);
  CU_ASSERT_TRUE(printed("NAME") && printed("DRAINING\n") && printed(url));
  CU_ASSERT_EQUAL(TOOL("nodes", "--json"), 0);
  CU_ASSERT_TRUE(printed("\"nodes\": [\n") && printed(url));
}

static void lists(void) {
  struct rawws *ws = node_open(&node);
  char id[16];
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:team:a", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:team:b", NULL));
  CU_ASSERT_TRUE(
      node_restore(&node, ws, "key-of-it", "{\"username\":\"Frodo\"}"));
  CU_ASSERT_EQUAL(TOOL("channels", "--prefix", "team:"), 0);
  CU_ASSERT_TRUE(printed("team:a") && printed("team:b"));
  CU_ASSERT_EQUAL(TOOL("channels", "--prefix", "team:", "--limit", "1"), 0);
  CU_ASSERT_TRUE(printed("team:a") && !strstr(out, "team:b"));
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "there are more"));
  CU_ASSERT_EQUAL(TOOL("channel", "team:a"), 0);
  CU_ASSERT_TRUE(printed("1 subscribers\n"));
  CU_ASSERT_EQUAL(TOOL("sessions"), 0);
  CU_ASSERT_TRUE(printed("key-of-it") && printed("Frodo"));
  CU_ASSERT_EQUAL(TOOL("session", "key-of-it"), 0);
  CU_ASSERT_TRUE(printed("NODE"));
  only_connection(id);
  CU_ASSERT_EQUAL(TOOL("close-session", "key-of-it"), 0);
  CU_ASSERT_TRUE(printed("key-of-it: closed on all nodes\n"));
  CU_ASSERT_EQUAL(TOOL("disconnect", id), 0);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WIRE_MS), 1000);
  rawws_free(ws);
}

/* --- Publishing and subscribing ------------------------------------------- */

/* What is said by the input has no line end; what would move the cursor is not
 * printed as it is. */
static void publish_and_subscribe(void) {
  CU_ASSERT_EQUAL(TOOL("publish", "news", "before"), 0);
  CU_ASSERT_TRUE(printed("news: published as "));
  struct proc *subscriber = begin_tool((const char *const[]){
      "subscribe", "news", "other", "--history", "5", "--count", "4", NULL});
  char line[256];
  CU_ASSERT_PTR_NOT_NULL_FATAL(subscriber);
  CU_ASSERT_TRUE(proc_wait_line(subscriber, PROC_STDOUT, "news: before",
                                WIRE_MS, line, sizeof line));
  CU_ASSERT_EQUAL(TOOL("publish", "news", "b25l", "--encoding", "binary"), 0);
  CU_ASSERT_EQUAL(TOOL("publish", "news", "zw\u00f6lf", "--encoding", "utf16"),
                  0);
  struct proc *publisher =
      begin_tool((const char *const[]){"publish", "news", "-", NULL});
  CU_ASSERT_TRUE(proc_write(publisher, "three\033[2J\n"));
  proc_close_stdin(publisher);
  CU_ASSERT_EQUAL(end_tool(publisher), 0);
  CU_ASSERT_EQUAL(end_tool(subscriber), 0);
  CU_ASSERT_STRING_EQUAL(out,
                         "news: before\nnews: one\nnews: zw\u00f6lf\n"
                         "news: three\ufffd[2J\n");
  CU_ASSERT_EQUAL(TOOL("history", "news", "--count", "2"), 0);
  CU_ASSERT_TRUE(printed("utf16") && !strstr(out, "before"));
}

/* A client's page: the two before the last. */
static void expect_before(struct rawws *ws, unsigned last) {
  char epoch[32], wish[128], texts[64];
  const char *reply = node_ask(ws, "history:long", "{\"count\":1}");
  CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
  CU_ASSERT_EQUAL_FATAL(
      sscanf(reply, "{\"messages\":[{\"epoch\":\"%31[0-9]", epoch), 1);
  snprintf(wish, sizeof wish,
           "{\"count\":2,\"before\":{\"epoch\":\"%s\",\"offset\":%u}}", epoch,
           last);
  reply = node_ask(ws, "history:long", wish);
  CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
  snprintf(texts, sizeof texts, "\"<%u>\"", last - 2);
  const char *first = strstr(reply, texts);
  snprintf(texts, sizeof texts, "\"<%u>\"", last - 1);
  CU_ASSERT_TRUE(first && strstr(first, texts));
  snprintf(texts, sizeof texts, "\"<%u>\"", last);
  CU_ASSERT_PTR_NULL(strstr(reply, texts));
}

/* More than one answer holds: in pages, and in order. */
static void long_history(void) {
  enum { MESSAGES = 600 };
  struct rawws *ws = node_open(&node);
  char text[16];
  for (int i = 1; i <= MESSAGES; i++) {
    snprintf(text, sizeof text, "<%d>", i);
    CU_ASSERT_PTR_NOT_NULL_FATAL(node_ask(ws, "pub:long", text));
  }
  expect_before(ws, 600);
  rawws_free(ws);
  CU_ASSERT_EQUAL(TOOL("history", "long", "--count", "9999", "--json"), 0);
  const char *at = out;
  for (int i = 1; i <= MESSAGES && at; i++) {
    snprintf(text, sizeof text, "\"<%d>\"", i);
    at = strstr(at, text);
    if (!at) CU_FAIL("a message is not there, or not in its place");
  }
  CU_ASSERT_EQUAL(TOOL("history", "long", "--count", "300"), 0);
  CU_ASSERT_TRUE(printed("<301>") && !strstr(out, "<300>"));
}

static void interrupted(void) {
  struct proc *subscriber = begin_tool((const char *const[]){
      "subscribe", "news", "--history", "1", "--json", NULL});
  char line[512];
  CU_ASSERT_PTR_NOT_NULL_FATAL(subscriber);
  CU_ASSERT_TRUE(
      proc_wait_line(subscriber, PROC_STDOUT, "{", WIRE_MS, line, sizeof line));
  CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"payload\":\"three\\u001B[2J\""));
  CU_ASSERT_TRUE(proc_signal(subscriber, SIGTERM));
  CU_ASSERT_EQUAL(end_tool(subscriber), 0);
}

/* Its connection is closed again and again: what was published meanwhile is
 * printed when it is back, and nothing twice. */
static void comes_back(void) {
  struct proc *subscriber = begin_tool((const char *const[]){
      "subscribe", "back", "--count", "9", "--history", "1", NULL});
  char text[16], line[256], id[16];
  CU_ASSERT_PTR_NOT_NULL_FATAL(subscriber);
  CU_ASSERT_EQUAL(TOOL("publish", "back", "<1>"), 0);
  for (int i = 1; i < 9; i += 2) {
    snprintf(text, sizeof text, "<%d>", i);
    CU_ASSERT_TRUE_FATAL(proc_wait_line(subscriber, PROC_STDOUT, text, WIRE_MS,
                                        line, sizeof line));
    only_connection(id);
    CU_ASSERT_EQUAL(TOOL("disconnect", id), 0);
    for (int more = i + 1; more <= i + 2; more++) {
      snprintf(text, sizeof text, "<%d>", more);
      CU_ASSERT_EQUAL(TOOL("publish", "back", text), 0);
    }
    CU_ASSERT_TRUE_FATAL(proc_wait_line(subscriber, PROC_STDERR,
                                        "webwire: connected again", WIRE_MS,
                                        line, sizeof line));
  }
  CU_ASSERT_EQUAL(end_tool(subscriber), 0);
  CU_ASSERT_STRING_EQUAL(out, "<1>\n<2>\n<3>\n<4>\n<5>\n<6>\n<7>\n<8>\n<9>\n");
}

/* More than an answer of the server holds: it is stopped while its connection
 * ends and the others publish. */
static void long_away(void) {
  enum { MESSAGES = 700 };
  struct proc *subscriber = begin_tool((const char *const[]){
      "subscribe", "away", "--count", "700", "--history", "1", NULL});
  char text[16], line[64], id[16];
  CU_ASSERT_PTR_NOT_NULL_FATAL(subscriber);
  CU_ASSERT_EQUAL(TOOL("publish", "away", "<1>"), 0);
  CU_ASSERT_TRUE_FATAL(proc_wait_line(subscriber, PROC_STDOUT, "<1>", WIRE_MS,
                                      line, sizeof line));
  only_connection(id);
  CU_ASSERT_TRUE(proc_signal(subscriber, SIGSTOP));
  CU_ASSERT_EQUAL(TOOL("disconnect", id), 0);
  CU_ASSERT_EQUAL(TOOL("connections"), 0);
  /* It gets nothing more, but its end, which may have come. */
  CU_ASSERT_TRUE(sscanf(out, "%*[^\n] %15[0-9]", id) != 1 ||
                 printed("closing"));
  struct rawws *ws = node_open(&node);
  for (int i = 2; i <= MESSAGES; i++) {
    snprintf(text, sizeof text, "<%d>", i);
    CU_ASSERT_PTR_NOT_NULL_FATAL(node_ask(ws, "pub:away", text));
  }
  rawws_free(ws);
  CU_ASSERT_TRUE(proc_signal(subscriber, SIGCONT));
  CU_ASSERT_EQUAL(end_tool(subscriber), 0);
  const char *at = out;
  for (int i = 1; i <= MESSAGES && at; i++) {
    int len = snprintf(text, sizeof text, "<%d>\n", i);
    at = strncmp(at, text, (size_t)len) == 0 ? at + len : NULL;
    if (!at) CU_FAIL("a message is not there, or not in its place");
  }
  CU_ASSERT_TRUE(at && !*at);
}

/* --- Mistakes ------------------------------------------------------------- */

static void mistakes(void) {
  static const struct {
    const char *args[4];
    int status;
    const char *text;
  } cases[] = {
      {{NULL}, 2, "which command?"},
      {{"dance"}, 2, "dance: no such command"},
      {{"channel"}, 2, "channel: an argument is missing"},
      {{"nodes", "one"}, 2, "one: unexpected argument"},
      {{"nodes", "--limit", "0"}, 2, "--limit"},
      {{"publish", "a", "x", "--encoding"}, 2, "--encoding"},
      {{"disconnect", "999999"}, 1, "no such connection"},
      {{"disconnect", "me"}, 1, admin_url},
      {{"session", "nobody"}, 1, admin_url},
      {{"publish", "!own", "x"}, 1, "no name of a channel"},
      {{"publish", "a", "%%", "--encoding=binary"}, 1, admin_url},
      {{"publish", "a", "\xff"}, 1, "no UTF-8"},
      {{"drain", "no-such-node"}, 1, admin_url},
      {{"subscribe", "!own"}, 1, "!own: BAD_CHANNEL"},
      {{"nodes", "--token-file=/dev/null"}, 2, "--token-file"},
      {{"subscribe", "a", "--url=http://x"}, 2, "http://x: is no ws://"},
      {{"subscribe", "a", "--ca=/nonexistent"}, 2, "/nonexistent: No such"},
      {{"subscribe", "a", "--url=ws://127.0.0.1:1", "--timeout=0.2"},
       1,
       "no connection within --timeout"},
      {{"move"}, 2, "--from and --to are needed"},
      {{"nodes", "--admin=http://127.0.0.1:1"}, 0, ""}, /* the first counts */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *args[5] = {0};
    memcpy(args, cases[i].args, sizeof cases[i].args);
    int status = end_tool(begin_tool(args));
    if (status != cases[i].status)
      fprintf(stderr, "%s: status %d\n", args[0] ? args[0] : "", status);
    CU_ASSERT_EQUAL(status, cases[i].status);
    if (cases[i].status != 0) CU_ASSERT_TRUE(complained(cases[i].text));
  }
}

static int tool_elsewhere(const char *const args[]) {
  return end_tool(wire_program("webwire", args));
}

static void nobody_there(void) {
  const char *const health[] = {"--admin", "http://127.0.0.1:1", "health",
                                NULL};
  const char *const no_http[] = {"--admin", "ftp://127.0.0.1", "health", NULL};
  const char *const clients[] = {"--admin", url, "nodes", NULL};
  const char *const no_client[] = {
      "--url", "ws://127.0.0.1:1", "--timeout", "0.5", "subscribe", "a", NULL};
  CU_ASSERT_EQUAL(tool_elsewhere(health), 1);
  CU_ASSERT_TRUE(complained("http://127.0.0.1:1: "));
  CU_ASSERT_EQUAL(tool_elsewhere(no_http), 1);
  CU_ASSERT_TRUE(complained("ftp://127.0.0.1: "));
  CU_ASSERT_EQUAL(tool_elsewhere(clients), 1);
  CU_ASSERT_TRUE(complained(url));
  CU_ASSERT_EQUAL(tool_elsewhere(no_client), 1);
  CU_ASSERT_TRUE(complained("ws://127.0.0.1:1: "));
}

static void wrong_token(void) {
  const char *const none[] = {"--admin", admin_url, "nodes", NULL};
  CU_ASSERT_EQUAL(tool_elsewhere(none), 1);
  CU_ASSERT_TRUE(complained("--token-file"));
  const char *file = wire_path(&dir, "wrong");
  CU_ASSERT_TRUE_FATAL(wire_write_file(file, "another-token\n"));
  const char *const wrong[] = {"--admin", admin_url, "--token-file",
                               file,      "nodes",   NULL};
  CU_ASSERT_EQUAL(tool_elsewhere(wrong), 1);
  CU_ASSERT_TRUE(complained("the token is wrong"));
}

/* --- The end -------------------------------------------------------------- */

static void drain(void) {
  struct proc *subscriber = begin_tool(
      (const char *const[]){"subscribe", "news", "--history", "1", NULL});
  char line[256];
  CU_ASSERT_TRUE(proc_wait_line(subscriber, PROC_STDOUT, "three", WIRE_MS, line,
                                sizeof line));
  CU_ASSERT_EQUAL(TOOL("drain", "--wait"), 0);
  CU_ASSERT_TRUE(printed("is draining\n"));
  CU_ASSERT_TRUE(printed(": gone\n"));
  CU_ASSERT_TRUE(proc_wait_line(subscriber, PROC_STDERR,
                                "webwire: connection lost", WIRE_MS, line,
                                sizeof line));
  CU_ASSERT_TRUE(proc_signal(subscriber, SIGINT));
  CU_ASSERT_TRUE(proc_wait_exit(subscriber, WIRE_MS) >= 0);
  proc_free(subscriber);
  CU_ASSERT_EQUAL(proc_wait_exit(node.server.proc, WIRE_MS), 0);
  int held =
      wire_hold_port((uint16_t)strtoul(strrchr(admin_url, ':') + 1, NULL, 10));
  CU_ASSERT_TRUE(held < 0 || TOOL("health") == 1);
  if (held >= 0) close(held);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"health and nodes", health_and_nodes},
                         {"lists", lists},
                         {"publish and subscribe", publish_and_subscribe},
                         {"long history", long_history},
                         {"interrupted", interrupted},
                         {"comes back", comes_back},
                         {"long away", long_away},
                         {"mistakes", mistakes},
                         {"nobody there", nobody_there},
                         {"wrong token", wrong_token},
                         {"drain", drain},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"tool", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
