/* The admin listener of one node, asked as its users ask, and as nobody
 * should. */
#include "admin.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct wire_server server;
static struct wire_dir dir;
static uint16_t port;
static struct admin_answer answer;

static const char *const args[] = {
    "--admin",     "127.0.0.1:0",    "--admin-token-file",
    NULL,          "--read-timeout", "60",
    "--log-level", "debug",          NULL};

static bool start(const char *name) {
  const char *all[WIRE_MAX_ARGS];
  memcpy(all, args, sizeof args);
  if (!wire_dir_make(&dir)) return false;
  all[3] = wire_path(&dir, "token");
  if (!wire_write_file(all[3], ADMIN_TOKEN "\n") ||
      !wire_start(&server, name, all)) {
    return false;
  }
  port = admin_port(server.proc);
  return port != 0;
}

static int begin(void) {
  return start("chatroom-server") ? 0 : 1;
}

static int end(void) {
  wire_dir_remove(&dir);
  return wire_end(&server);
}

static int get(const char *path) {
  return admin_ask(port, "GET", path, NULL, &answer);
}

/* --- Probes and metrics --------------------------------------------------- */

static void probes(void) {
  CU_ASSERT_EQUAL(admin_probe(port, "/live", &answer), 200);
  CU_ASSERT_STRING_EQUAL(answer.body, "ok\n");
  CU_ASSERT_EQUAL(admin_probe(port, "/ready", &answer), 200);
  CU_ASSERT_STRING_EQUAL(answer.body, "ready\n");
  CU_ASSERT_EQUAL(admin_probe(port, "/", &answer), 404);
  CU_ASSERT_EQUAL(admin_probe(port, "/live/", &answer), 404);
  CU_ASSERT_EQUAL(admin_probe(port, "/live?x=1", &answer), 200);
}

/* Every metric on the page of documentation, and none that is not there. */
static bool documented(const char *page, const char *metrics) {
  bool good = true;
  for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at++) {
    char name[128], line[160];
    sscanf(at + 4, "%127[a-z_]", name);
    bool metric =
        strncmp(name, "webwire_", 8) == 0 || strncmp(name, "process_", 8) == 0;
    snprintf(line, sizeof line, "\n# TYPE %s ", name);
    if (!metric || strstr(metrics, line)) continue;
    fprintf(stderr, "documented, but not there: %s\n", name);
    good = false;
  }
  for (const char *at = metrics; (at = strstr(at, "# TYPE ")) != NULL; at++) {
    char name[128], braces[160], plain[160];
    sscanf(at + 7, "%127s", name);
    snprintf(braces, sizeof braces, "\n| `%s{", name);
    snprintf(plain, sizeof plain, "\n| `%s`", name);
    if (strstr(page, braces) || strstr(page, plain)) continue;
    fprintf(stderr, "there, but not documented: %s\n", name);
    good = false;
  }
  return good;
}

static void metrics_are_documented(void) {
  FILE *file = fopen(SOURCES "/docs/admin.md", "re");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  static char page[65536];
  page[fread(page, 1, sizeof page - 1, file)] = '\0';
  fclose(file);
  CU_ASSERT_EQUAL_FATAL(admin_probe(port, "/metrics", &answer), 200);
  CU_ASSERT_TRUE(documented(page, answer.body));
}

/* 77 without promtool. */
static const char promtool_command[] =
    "command -v promtool >/dev/null || { cat >/dev/null; exit 77; }\n"
    "exec promtool check metrics";

static void promtool_reads_them(void) {
  CU_ASSERT_EQUAL_FATAL(admin_probe(port, "/metrics", &answer), 200);
  FILE *promtool = popen(promtool_command, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(promtool);
  fputs(answer.body, promtool);
  int status = pclose(promtool);
  CU_ASSERT_TRUE(WIFEXITED(status));
  CU_ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
}

/* The value of a line of the metrics, -1 when it is not there. */
static double metric(const char *series) {
  char line[160];
  if (admin_probe(port, "/metrics", &answer) != 200) return -1;
  snprintf(line, sizeof line, "\n%s ", series);
  const char *at = strstr(answer.body, line);
  return at ? strtod(at + strlen(line), NULL) : -1;
}

/* Those of the last test go in their own time. */
static void await_connections(int count) {
  int64_t deadline = wire_now_ms() + WIRE_MS;
  double open;
  while ((open = metric("webwire_connections")) != count &&
         wire_now_ms() < deadline) {
    continue;
  }
  CU_ASSERT_EQUAL_FATAL(open, count);
}

static void metrics_count(void) {
  double accepted = metric("webwire_accepted_total");
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(metric("webwire_accepted_total"), accepted + 1);
  CU_ASSERT_EQUAL(metric("webwire_connections"), 1);
  CU_ASSERT_EQUAL(metric("webwire_health{state=\"ready\"}"), 1);
  CU_ASSERT_EQUAL(metric("webwire_draining"), 0);
  CU_ASSERT_TRUE(metric("process_open_fds") > 5);
  rawws_free(ws);
}

/* --- Who may -------------------------------------------------------------- */

/* What an Authorization line leads to. */
static int with_line(const char *line, struct rawws **out) {
  const struct rawws_opts opts = {.port = port};
  struct rawws *http = rawws_dial(&opts);
  char head[512];
  if (!http) return -1;
  snprintf(head, sizeof head, "GET /api/v1/node HTTP/1.1\r\nHost: a\r\n%s\r\n",
           line);
  int status =
      rawws_write(http, head, strlen(head)) ? rawws_read_answer(http) : -1;
  if (out) {
    *out = http;
  } else {
    rawws_free(http);
  }
  return status;
}

static void tokens(void) {
  struct rawws *http;
  CU_ASSERT_EQUAL(with_line("", &http), 401);
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  const char *challenge = rawws_header(http, "WWW-Authenticate");
  CU_ASSERT_TRUE(challenge && strncmp(challenge, "Bearer", 6) == 0);
  rawws_free(http);
  CU_ASSERT_EQUAL(with_line("Authorization: Bearer wrong\r\n", NULL), 401);
  CU_ASSERT_EQUAL(with_line("Authorization: Basic YTpi\r\n", NULL), 401);
  CU_ASSERT_EQUAL(with_line("Authorization: Bearer " ADMIN_TOKEN "x\r\n", NULL),
                  401);
  CU_ASSERT_EQUAL(with_line("Authorization: Bearer " ADMIN_TOKEN "\r\n", NULL),
                  200);
  CU_ASSERT_EQUAL(admin_probe(port, "/api/v1/nonsense", &answer), 401);
  CU_ASSERT_EQUAL(get("/api/v1/nonsense"), 404);
}

static void secrets_are_not_logged(void) {
  CU_ASSERT_EQUAL(get("/api/v1/sessions/a-very-secret-key"), 404);
  CU_ASSERT_TRUE(
      proc_wait_line(server.proc, PROC_STDERR, "time=", WIRE_MS, NULL, 0));
  char *log = proc_output(server.proc, PROC_STDERR);
  CU_ASSERT_PTR_NULL(strstr(log, "a-very-secret-key"));
  CU_ASSERT_PTR_NULL(strstr(log, ADMIN_TOKEN));
  free(log);
}

/* --- Mistakes ------------------------------------------------------------- */

static void mistakes(void) {
  static const struct {
    const char *method, *path, *body;
    int status;
    const char *says;
  } rows[] = {
      {"POST", "/live", NULL, 405, "only GET"},
      {"DELETE", "/metrics", NULL, 405, "only GET"},
      {"POST", "/api/v1/node", "{}", 405, "method-not-allowed"},
      {"GET", "/api/v1/drain", NULL, 405, "only POST"},
      {"PATCH", "/api/v1/sessions/x", NULL, 405, "only GET, HEAD, DELETE"},
      {"OPTIONS", "/ready", NULL, 405, "only GET"},
      {"GET", "/api/v1/channels/%zz", NULL, 400, "malformed"},
      {"GET", "/api/v1/channels/%00", NULL, 400, "malformed"},
      {"GET", "/api/v1/channels/", NULL, 404, "not-found"},
      {"GET", "/api/v1/channels/!x", NULL, 400, "bad-request"},
      {"GET", "/api/v1/channels/a/b/c/d/e", NULL, 400, "malformed"},
      {"GET", "/api/v1/channels?limit=0", NULL, 400, "limit: must be"},
      {"GET", "/api/v1/channels?limit=1001", NULL, 400, "limit: must be"},
      {"GET", "/api/v1/channels?limit=x", NULL, 400, "limit: must be"},
      {"GET", "/api/v1/channels?prefix=%4", NULL, 400, "prefix: malformed"},
      {"GET", "/api/v1/channels/room/history?count=257", NULL, 400, "count"},
      {"GET", "/api/v1/channels/room/history?before=1", NULL, 400, "before"},
      {"GET", "/api/v1/channels/room/history?before=1-", NULL, 400, "before"},
      {"GET", "/api/v1/channels/room/history?before=-1-2", NULL, 400, "before"},
      {"GET", "/api/v1/channels/room/history?before=0-0", NULL, 400, "before"},
      {"GET", "/api/v1/channels/room/history?before=1-2x", NULL, 400, "before"},
      {"GET", "/api/v1/channels/room/history?before=99999999999999999999-1",
       NULL, 400, "before"},
      {"GET", "/api/v1/connections/x", NULL, 400, "is a number"},
      {"GET", "/api/v1/connections/0", NULL, 400, "is a number"},
      {"GET", "/api/v1/connections/999999", NULL, 404, "not-found"},
      {"DELETE", "/api/v1/connections/999999", NULL, 404, "not-found"},
      {"GET", "/api/v1/connections?after=-1", NULL, 400, "after: must be"},
      {"GET", "/api/v1/sessions/nobody", NULL, 404, "not-found"},
      {"DELETE", "/api/v1/sessions/nobody", NULL, 404, "not-found"},
      {"POST", "/api/v1/drain", "{\"node\":1}", 400, "node: must be"},
      {"POST", "/api/v1/drain", "{\"node\":\"\"}", 400, "node: must be"},
      {"POST", "/api/v1/drain", "{\"node\":\"nobody\"}", 404, "no node"},
      {"POST", "/api/v1/drain", "{\"nod\":\"a\"}", 400, "unknown member 'nod'"},
      {"POST", "/api/v1/drain", "[]", 400, "no JSON object"},
      {"POST", "/api/v1/drain", "{", 400, "no JSON"},
      {"POST", "/api/v1/channels/a/messages", NULL, 400, "payload: must"},
      {"POST", "/api/v1/channels/a/messages", "{\"payload\":7}", 400,
       "payload"},
      {"POST", "/api/v1/channels/a/messages",
       "{\"payload\":\"x\",\"encoding\":\"latin1\"}", 400, "encoding: must"},
      {"POST", "/api/v1/channels/a/messages",
       "{\"payload\":\"x\",\"encoding\":\"binary\"}", 400, "no base64"},
      {"POST", "/api/v1/channels/a/messages", "{\"payload\":\"x\",\"name\":7}",
       400, "name: must"},
      {"POST", "/api/v1/channels/a/messages",
       "{\"payload\":\"x\",\"name\":\"\xc3\xbc\"}", 400, "bad-request"},
      {"POST", "/api/v1/channels/a/messages",
       "{\"payload\":\"x\",\"payload\":\"y\"}", 400, "no JSON"},
      {"POST", "/api/v1/channels/a/messages", "{\"payload\":\"\xff\"}", 400,
       "no JSON"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int status =
        admin_ask(port, rows[i].method, rows[i].path, rows[i].body, &answer);
    CU_ASSERT_EQUAL(status, rows[i].status);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, rows[i].says));
    if (status != rows[i].status || !strstr(answer.body, rows[i].says)) {
      fprintf(stderr, "%s %s: %d %s\n", rows[i].method, rows[i].path, status,
              answer.body);
    }
  }
}

static void too_large(void) {
  static char body[(1 << 20) + 100];
  memset(body, ' ', sizeof body - 1);
  CU_ASSERT_EQUAL(admin_ask(port, "POST", "/api/v1/drain", body, &answer), 413);
  snprintf(body, sizeof body, "{\"payload\":\"%.*s\"}", 20000, "");
  memset(body, 'x', 20000);
  memcpy(body, "{\"payload\":\"", 12);
  memcpy(body + 20000, "\"}", 3);
  CU_ASSERT_EQUAL(
      admin_ask(port, "POST", "/api/v1/channels/room/messages", body, &answer),
      413);
}

/* --- Channels ------------------------------------------------------------- */

static void publishing(void) {
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(
      admin_ask(port, "POST", "/api/v1/channels/room/messages",
                "{\"payload\":\"h\xc3\xa9\",\"name\":\"\"}", &answer),
      200);
  CU_ASSERT_TRUE(admin_number(&answer, "epoch") > 0);
  long long offset = admin_number(&answer, "offset");
  CU_ASSERT_TRUE(offset > 0);
  CU_ASSERT_TRUE(wire_expect_signal(ws, "h\xc3\xa9"));
  CU_ASSERT_EQUAL(
      admin_ask(port, "POST", "/api/v1/channels/room/messages",
                "{\"payload\":\"AP8=\",\"encoding\":\"binary\"}", &answer),
      200);
  CU_ASSERT_EQUAL(admin_number(&answer, "offset"), offset + 1);
  CU_ASSERT_TRUE(
      wire_expect(ws, wire_named(SIGNAL_BINARY, "room", "\0\xff", 2)));
  CU_ASSERT_EQUAL(
      admin_ask(port, "POST", "/api/v1/channels/%72oom/messages",
                "{\"payload\":\"\\u20ac\",\"encoding\":\"utf16\"}", &answer),
      200);
  CU_ASSERT_TRUE(
      wire_expect(ws, wire_named(SIGNAL_UTF16, "room", "\xac\x20", 2)));
  CU_ASSERT_EQUAL(get("/api/v1/channels/room/history?count=3"), 200);
  const char *first = strstr(answer.body,
                             "\"encoding\":\"utf8\","
                             "\"payload\":\"h\xc3\xa9\"");
  const char *second = strstr(answer.body,
                              "\"name\":\"room\",\"encoding\":"
                              "\"binary\",\"payload\":\"AP8=\"");
  const char *third = strstr(answer.body,
                             "\"encoding\":\"utf16\",\"payload\":"
                             "\"\xe2\x82\xac\"");
  CU_ASSERT_TRUE(first && second && third && first < second && second < third);
  rawws_free(ws);
}

static void channels(void) {
  await_connections(0);
  struct rawws *one = wire_open(server.port), *two = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(one);
  CU_ASSERT_PTR_NOT_NULL_FATAL(two);
  CU_ASSERT_EQUAL(get("/api/v1/channels/room"), 200);
  CU_ASSERT_EQUAL(admin_number(&answer, "subscribers"), 2);
  CU_ASSERT_EQUAL(get("/api/v1/channels"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body,
                                "{\"name\":\"room\","
                                "\"subscribers\":2,"));
  CU_ASSERT_EQUAL(get("/api/v1/channels?prefix=%72o"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"room\""));
  CU_ASSERT_EQUAL(get("/api/v1/channels?prefix=x"), 200);
  CU_ASSERT_STRING_EQUAL(answer.body, "{\"channels\":[],\"more\":false}\n");
  CU_ASSERT_EQUAL(get("/api/v1/channels?after=room"), 200);
  CU_ASSERT_STRING_EQUAL(answer.body, "{\"channels\":[],\"more\":false}\n");
  rawws_free(one);
  rawws_free(two);
}

/* --- Connections and sessions --------------------------------------------- */

/* How many connections the pages of this size list, each once, ascending. */
static int count_pages(int limit) {
  long long after = 0;
  int count = 0;
  for (int page = 0; page < 1000; page++) {
    char path[80];
    snprintf(path, sizeof path, "/api/v1/connections?limit=%d&after=%lld",
             limit, after);
    if (get(path) != 200) return -1;
    int rows = 0;
    for (char *at = answer.body; (at = strstr(at, "{\"id\":")) != NULL; at++) {
      long long id = strtoll(at + 6, NULL, 10);
      if (id <= after) return -1;
      after = id;
      rows++;
    }
    if (rows > limit) return -1;
    count += rows;
    if (!strstr(answer.body, "\"more\":true")) return count;
    if (rows != limit) return -1;
  }
  return -1;
}

static void connections_in_pages(void) {
  enum { COUNT = 250 };
  struct rawws *clients[COUNT];
  for (int i = 0; i < COUNT; i++) {
    clients[i] = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(clients[i]);
  }
  await_connections(COUNT);
  CU_ASSERT_EQUAL(count_pages(1000), COUNT);
  CU_ASSERT_EQUAL(count_pages(240), COUNT);
  CU_ASSERT_EQUAL(count_pages(100), COUNT);
  CU_ASSERT_EQUAL(count_pages(7), COUNT);
  for (int i = 0; i < COUNT; i++) rawws_free(clients[i]);
}

static void a_connection_is_closed(void) {
  await_connections(0);
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(get("/api/v1/connections?limit=1"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"session\":null"));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"remote\":\"127.0.0.1:"));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"more\":false"));
  char path[80];
  long long id = admin_number(&answer, "id");
  snprintf(path, sizeof path, "/api/v1/connections/%lld", id);
  CU_ASSERT_EQUAL(get(path), 200);
  CU_ASSERT_EQUAL(admin_number(&answer, "id"), id);
  CU_ASSERT_EQUAL(admin_ask(port, "DELETE", path, NULL, &answer), 200);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WIRE_MS), 1000);
  rawws_free(ws);
}

static void sessions(void) {
  char key[65], path[128];
  await_connections(0);
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE_FATAL(wire_log_in(ws, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(get("/api/v1/sessions"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, key));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"username\":\"Frodo\""));
  CU_ASSERT_EQUAL(admin_number(&answer, "connections"), 1);
  CU_ASSERT_EQUAL(get("/api/v1/connections"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, key));
  snprintf(path, sizeof path, "/api/v1/sessions/%s", key);
  CU_ASSERT_EQUAL(get(path), 200);
  CU_ASSERT_EQUAL(admin_number(&answer, "connections"), 1);
  CU_ASSERT_EQUAL(metric("webwire_sessions"), 1);
  CU_ASSERT_EQUAL(admin_ask(port, "DELETE", path, NULL, &answer), 200);
  struct rawws_message got;
  do {
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  } while (got.payload[0] != SESSION_CLOSED);
  CU_ASSERT_EQUAL(get(path), 404);
  rawws_free(ws);
}

static void the_node(void) {
  CU_ASSERT_EQUAL(get("/api/v1/node"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"health\":\"ready\""));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\"draining\":false"));
  char address[64];
  snprintf(address, sizeof address, "\"ws://127.0.0.1:%u\"", server.port);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, address));
  CU_ASSERT_EQUAL(get("/api/v1/nodes"), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, address));
}

static void reloading(void) {
  CU_ASSERT_EQUAL(admin_ask(port, "POST", "/api/v1/reload", NULL, &answer),
                  202);
  CU_ASSERT_EQUAL(admin_probe(port, "/live", &answer), 200);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"probes", probes},
                         {"metrics are documented", metrics_are_documented},
                         {"promtool reads them", promtool_reads_them},
                         {"metrics count", metrics_count},
                         {"tokens", tokens},
                         {"secrets are not logged", secrets_are_not_logged},
                         {"mistakes", mistakes},
                         {"too large", too_large},
                         {"publishing", publishing},
                         {"channels", channels},
                         {"connections in pages", connections_in_pages},
                         {"a connection is closed", a_connection_is_closed},
                         {"sessions", sessions},
                         {"the node", the_node},
                         {"reloading", reloading},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"admin", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
