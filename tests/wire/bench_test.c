/* webwire-bench: every mode against the real servers, and that its reckoning
 * finds what a lying server does. */
#include "cluster.h"
#include "liar.h"
#include "wire.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct wire_server echo, chat;

static int begin(void) {
  return wire_start(&echo, "echo-server", NULL) &&
                 wire_start(&chat, "chatroom-server", NULL)
             ? 0
             : 1;
}

static int end(void) {
  int failed = wire_end(&echo);
  return wire_end(&chat) | failed;
}

/* --- Running it ----------------------------------------------------------- */

/* How a run ended. */
struct result {
  int status;
  char *out;
  char *err;
};

/* `scheme` NULL: no --url. */
static struct proc *start(const char *scheme, uint16_t port,
                          const char *const args[]) {
  char url[64];
  const char *argv[WIRE_MAX_ARGS];
  size_t n = 0;
  if (scheme) {
    snprintf(url, sizeof url, "%s://127.0.0.1:%u", scheme, port);
    argv[n++] = "--url";
    argv[n++] = url;
  }
  while (*args && n < WIRE_MAX_ARGS - 1) argv[n++] = *args++;
  argv[n] = NULL;
  return wire_program("webwire-bench", argv);
}

static struct result finish(struct proc *proc) {
  struct result result = {.status = -1};
  if (proc) {
    result.status = proc_wait_exit(proc, WIRE_MS);
    result.out = proc_output(proc, PROC_STDOUT);
    result.err = proc_output(proc, PROC_STDERR);
  }
  proc_free(proc);
  return result;
}

static struct result run(const char *scheme, uint16_t port,
                         const char *const args[]) {
  return finish(start(scheme, port, args));
}

static void forget(struct result *result) {
  free(result->out);
  free(result->err);
}

/* The number of a field of the JSON, -1 when there is none. */
static double field(const struct result *result, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = result->out ? strstr(result->out, key) : NULL;
  return at ? strtod(at + strlen(key), NULL) : -1;
}

static const char *const reckoning[] = {
    "unsent",  "unanswered", "undelivered", "duplicated",        "disordered",
    "refused", "unexpected", "wrong",       "broken_connections"};

/* What the fields of the reckoning say together. */
static double faults(const struct result *result) {
  double sum = 0;
  for (size_t i = 0; i < sizeof reckoning / sizeof *reckoning; i++)
    sum += field(result, reckoning[i]);
  return sum;
}

static void complain(const struct result *result) {
  fprintf(stderr, "status %d: %s%s\n", result->status, result->out,
          result->err);
}

/* A run with JSON that ends with 0 and says nothing on stderr. */
static struct result good_run(uint16_t port, const char *const args[]) {
  struct result result = run("ws", port, args);
  bool good =
      result.status == 0 && faults(&result) == 0 && strcmp(result.err, "") == 0;
  if (!good) complain(&result);
  CU_ASSERT_TRUE(good);
  return result;
}

/* --- Modes ---------------------------------------------------------------- */

static void echo_counts(void) {
  struct result result = good_run(
      echo.port, (const char *[]){"--output", "json", "--count", "1000",
                                  "--connections", "7", "--window", "3", NULL});
  CU_ASSERT_EQUAL(field(&result, "issued"), 1000);
  CU_ASSERT_EQUAL(field(&result, "done"), 1000);
  CU_ASSERT_EQUAL(field(&result, "connections"), 7);
  CU_ASSERT_TRUE(field(&result, "p50_us") > 0);
  CU_ASSERT_TRUE(field(&result, "p50_us") <= field(&result, "p99_9_us"));
  CU_ASSERT_TRUE(field(&result, "p99_9_us") <= field(&result, "max_us"));
  forget(&result);
}

static void echo_at_a_rate(void) {
  struct result result =
      good_run(echo.port, (const char *[]){"--output", "json", "--rate", "400",
                                           "--seconds", "0.5", "--warmup",
                                           "0.1", "--size", "5", NULL});
  CU_ASSERT_TRUE(field(&result, "issued") >= 240);
  CU_ASSERT_EQUAL(field(&result, "wanted_per_s"), 400);
  forget(&result);
}

static void broadcast(void) {
  struct result result = good_run(
      chat.port, (const char *[]){"--output", "json", "--mode", "broadcast",
                                  "--connections", "20", "--window", "4",
                                  "--count", "200", NULL});
  /* The sender hears it, too. */
  CU_ASSERT_EQUAL(field(&result, "done"), 200 * 21);
  CU_ASSERT_EQUAL(field(&result, "issued"), 200);
  forget(&result);
}

static void broadcast_at_a_rate(void) {
  struct result result = good_run(
      chat.port, (const char *[]){"--output", "json", "--mode", "broadcast",
                                  "--connections", "20", "--rate", "200",
                                  "--seconds", "0.5", "--warmup", "0", NULL});
  CU_ASSERT_TRUE(field(&result, "issued") >= 100);
  forget(&result);
}

/* Two URLs of one server: two senders. */
static void pubsub(void) {
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", chat.port);
  struct result result = good_run(
      chat.port, (const char *[]){"--output", "json", "--url", url, "--mode",
                                  "pubsub", "--connections", "10", "--window",
                                  "3", "--count", "300", NULL});
  CU_ASSERT_EQUAL(field(&result, "publishers"), 2);
  CU_ASSERT_EQUAL(field(&result, "done"), 300 * 12);
  forget(&result);
}

/* Two nodes over Redis, a sender on each: one order for all. */
static void pubsub_across_nodes(void) {
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server", .nodes = 2, .no_haproxy = true};
  char url[64];
  if (!cluster_available()) return;
  struct cluster *cluster = cluster_open(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", cluster_port(cluster, 1));
  struct result result =
      good_run(cluster_port(cluster, 0),
               (const char *[]){"--output", "json", "--url", url, "--mode",
                                "pubsub", "--connections", "10", "--window",
                                "4", "--count", "200", NULL});
  CU_ASSERT_EQUAL(field(&result, "servers"), 2);
  CU_ASSERT_EQUAL(field(&result, "done"), 200 * 12);
  forget(&result);
  CU_ASSERT_EQUAL(cluster_close(cluster), 0);
}

/* Ten channels, each with a subscriber on both nodes. */
static void channels_across_nodes(void) {
  static const char *const args[] = {"--admin", "off", NULL};
  static const struct cluster_opts opts = {.program = PROGRAMS "/webwired",
                                           .nodes = 2,
                                           .args = args,
                                           .no_haproxy = true};
  char url[64];
  if (!cluster_available()) return;
  struct cluster *cluster = cluster_open(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(cluster);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", cluster_port(cluster, 1));
  struct result result =
      good_run(cluster_port(cluster, 0),
               (const char *[]){"--output", "json", "--url", url, "--mode",
                                "channels", "--connections", "20", "--window",
                                "3", "--count", "300", NULL});
  CU_ASSERT_EQUAL(field(&result, "done"), 300 * 2);
  forget(&result);
  /* Four channels, each with three subscribers on one node or the other. */
  result = good_run(
      cluster_port(cluster, 0),
      (const char *[]){"--output", "json", "--url", url, "--mode", "channels",
                       "--connections", "12", "--subscribers", "3", "--window",
                       "3", "--count", "100", NULL});
  CU_ASSERT_EQUAL(field(&result, "done"), 100 * 3);
  CU_ASSERT_EQUAL(field(&result, "subscribers"), 3);
  forget(&result);
  CU_ASSERT_EQUAL(cluster_close(cluster), 0);
}

static void connects(void) {
  struct result result = good_run(
      echo.port,
      (const char *[]){"--output", "json", "--mode", "connect", "--connections",
                       "10", "--window", "4", "--count", "100", NULL});
  CU_ASSERT_EQUAL(field(&result, "done"), 100);
  forget(&result);
}

static void connects_at_a_rate(void) {
  struct result result = good_run(
      echo.port, (const char *[]){"--output", "json", "--mode", "connect",
                                  "--connections", "10", "--rate", "100",
                                  "--seconds", "0.5", "--warmup", "0", NULL});
  CU_ASSERT_TRUE(field(&result, "issued") >= 50); /* the last may end later */
  forget(&result);
}

static void restores_sessions(void) {
  static const char login[] =
      "auth={\"name\":\"Frodo\",\"pass\":\"frodo1234\"}";
  struct result result = good_run(
      chat.port, (const char *[]){"--output", "json", "--mode", "connect",
                                  "--connections", "5", "--window", "2",
                                  "--count", "40", "--login", login, NULL});
  CU_ASSERT_EQUAL(field(&result, "done"), 40);
  forget(&result);
}

static void login_refused(void) {
  struct result result =
      run("ws", chat.port,
          (const char *[]){"--mode", "connect", "--connections", "2", "--login",
                           "auth={\"name\":\"Frodo\",\"pass\":\"x\"}", NULL});
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "--login: 0 of 2"));
  forget(&result);
}

static void idle_with_a_pid(void) {
  char pid[16];
  snprintf(pid, sizeof pid, "%d", (int)proc_pid(echo.proc));
  struct result result =
      good_run(echo.port, (const char *[]){"--output", "json", "--mode", "idle",
                                           "--connections", "50", "--seconds",
                                           "0.2", "--warmup", "0", "--pid", pid,
                                           "--pid", pid, NULL});
  CU_ASSERT_TRUE(field(&result, "server_rss_bytes") > 1e6);
  CU_ASSERT_TRUE(field(&result, "server_cpu_percent") >= 0);
  forget(&result);
}

/* One of two servers dies; its clients come back at the other, with their
 * sessions, which both keep in one directory. */
static void come_back_when_a_server_dies(void) {
  static const char login[] =
      "auth={\"name\":\"Frodo\",\"pass\":\"frodo1234\"}";
  struct wire_server dying;
  char url[64];
  CU_ASSERT_TRUE_FATAL(wire_start(&dying, "chatroom-server", NULL));
  const char *sessions = wire_path(&dying.dir, "sessions");
  struct proc *other = wire_program(
      "chatroom-server", (const char *[]){"--listen", "127.0.0.1:0",
                                          "--sessions", sessions, NULL});
  CU_ASSERT_PTR_NOT_NULL_FATAL(other);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u",
           proc_wait_listening(other, WIRE_MS));
  struct proc *proc =
      start("ws", dying.port,
            (const char *[]){"--output", "json", "--mode", "reconnect", "--url",
                             url, "--connections", "6", "--count", "3",
                             "--login", login, NULL});
  CU_ASSERT_TRUE(proc_wait_line(proc, PROC_STDERR,
                                "webwire-bench: 6 connections are open",
                                WIRE_MS, NULL, 0));
  proc_free(dying.proc); /* killed */
  dying.proc = NULL;
  struct result result = finish(proc);
  if (result.status != 0) complain(&result);
  CU_ASSERT_EQUAL(result.status, 0);
  CU_ASSERT_EQUAL(field(&result, "done"), 3);
  CU_ASSERT_EQUAL(field(&result, "lost_connections"), 3);
  CU_ASSERT_EQUAL(faults(&result), 0);
  forget(&result);
  proc_free(other);
  wire_dir_remove(&dying.dir);
}

/* --- Output --------------------------------------------------------------- */

static size_t count_of(const char *text, char what) {
  size_t count = 0;
  for (; *text; text++) count += *text == what;
  return count;
}

static void as_csv(void) {
  struct result result =
      run("ws", echo.port,
          (const char *[]){"--output", "csv", "--count", "10", NULL});
  CU_ASSERT_EQUAL(result.status, 0);
  CU_ASSERT_EQUAL(count_of(result.out, '\n'), 2);
  CU_ASSERT_EQUAL(strncmp(result.out, "mode,servers,", 13), 0);
  char *second = strchr(result.out, '\n');
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  *second++ = '\0';
  CU_ASSERT_EQUAL(count_of(result.out, ','), count_of(second, ','));
  CU_ASSERT_EQUAL(strncmp(second, "echo,1,64,", 10), 0);
  forget(&result);
}

/* Any answer will do, and what the room says is left alone. */
static void ask_a_busy_room(void) {
  struct proc *room =
      start("ws", chat.port,
            (const char *[]){"--mode", "broadcast", "--connections", "20",
                             "--rate", "100", "--seconds", "1", NULL});
  struct result asked = run("ws", chat.port,
                            (const char *[]){"--mode", "ask", "--connections",
                                             "2", "--count", "50", NULL});
  CU_ASSERT_EQUAL(asked.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(asked.out, "50 begun, all accounted for"));
  forget(&asked);
  struct result said = finish(room);
  CU_ASSERT_EQUAL(said.status, 0);
  forget(&said);
}

/* Each mode says what it counts. */
static void units_as_text(void) {
  static const char *const units[][2] = {{"echo", " replies per second"},
                                         {"ask", " replies per second"},
                                         {"connect", " connections per second"},
                                         {"idle", " signals per second"}};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    struct result result =
        run("ws", echo.port,
            (const char *[]){"--mode", units[i][0], "--connections", "2",
                             "--warmup", "0", "--seconds", "0.1", NULL});
    CU_ASSERT_EQUAL(result.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, units[i][1]));
    forget(&result);
  }
}

static void as_text(void) {
  struct result result =
      run("ws", echo.port, (const char *[]){"--count", "10", NULL});
  CU_ASSERT_EQUAL(result.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "10 begun, all accounted for"));
  CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "p99.9"));
  CU_ASSERT_STRING_EQUAL(result.err, ""); /* no progress: no terminal */
  forget(&result);
}

/* --- Usage ---------------------------------------------------------------- */

static void help_and_version(void) {
  struct result help = run(NULL, 0, (const char *[]){"--help", NULL});
  CU_ASSERT_EQUAL(help.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(help.out, "usage: webwire-bench"));
  CU_ASSERT_PTR_NOT_NULL(strstr(help.out, "Exit status"));
  for (const char *line = help.out; *line; line += strcspn(line, "\n") + 1)
    CU_ASSERT_TRUE(strcspn(line, "\n") <= 80);
  forget(&help);
  struct result version = run(NULL, 0, (const char *[]){"--version", NULL});
  CU_ASSERT_EQUAL(version.status, 0);
  CU_ASSERT_EQUAL(strncmp(version.out, "webwire-bench ", 14), 0);
  forget(&version);
}

static void wrong_usage(void) {
  static const struct {
    const char *args[5];
    const char *text;
  } cases[] = {
      {{"--mode", "echo"}, "--url: missing"},
      {{"--nonsense"}, "--nonsense"},
      {{"--url", "http://127.0.0.1:1"}, "ws://"},
      {{"--url", "ws://127.0.0.1"}, "port"},
      {{"--url", "ws://:1"}, "host"},
      {{"--url", "ws://x:99999"}, "the port must be 1 to 65535"},
      {{"--url", "ws://x:1", "--window"}, "--window: needs a value"},
      {{"--url", "ws://x:1", "--mode", "dance"}, "--mode"},
      {{"--url", "ws://x:1", "--output", "xml"}, "--output"},
      {{"--url", "ws://x:1", "--window", "0"}, "--window"},
      {{"--url", "ws://x:1", "--window", "1.5"}, "--window"},
      {{"--url", "ws://x:1", "--connections", "x"}, "--connections"},
      {{"--url", "ws://x:1", "--mode=broadcast", "--size=15"}, "--size"},
      {{"--url", "ws://x:1", "--mode=idle", "--rate=1"}, "--rate"},
      {{"--url", "ws://x:1", "--login", "auth=x"}, "--login"},
      {{"--url", "ws://x:1", "--mode=connect", "--login=auth"}, "--login"},
      {{"--url", "ws://x:1", "--publish-url=ws://x:1"}, "--publish-url"},
      {{"--url", "ws://x:1", "extra"}, "extra"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct result result = run(NULL, 0, cases[i].args);
    if (result.status != 2 || !strstr(result.err, cases[i].text))
      complain(&result);
    CU_ASSERT_EQUAL(result.status, 2);
    CU_ASSERT_STRING_EQUAL(result.out, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, cases[i].text));
    forget(&result);
  }
}

static bool has_ipv6(void) {
  const struct sockaddr_in6 any_port = {.sin6_family = AF_INET6,
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool good =
      bind(fd, (const struct sockaddr *)&any_port, sizeof any_port) == 0;
  close(fd);
  return good;
}

static void goes_to_ipv6(void) {
  struct wire_server server;
  char url[64];
  if (!has_ipv6()) return; /* neither has the machine anything to measure */
  CU_ASSERT_TRUE_FATAL(wire_start(
      &server, "echo-server", (const char *[]){"--listen", "[::1]:0", NULL}));
  snprintf(url, sizeof url, "ws://[::1]:%u", server.port);
  struct result result =
      run(NULL, 0, (const char *[]){"--url", url, "--count", "10", NULL});
  CU_ASSERT_EQUAL(result.status, 0);
  if (result.status != 0) complain(&result);
  forget(&result);
  CU_ASSERT_EQUAL(wire_end(&server), 0);
}

static void respects_the_message_buffer(void) {
  struct result fits =
      run("ws", echo.port,
          (const char *[]){"--size", "8179", "--count", "10", NULL});
  CU_ASSERT_EQUAL(fits.status, 0);
  forget(&fits);
  struct result result =
      run("ws", echo.port,
          (const char *[]){"--size", "8192", "--count", "10", NULL});
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "8192 bytes"));
  CU_ASSERT_STRING_EQUAL(result.out, "");
  forget(&result);
}

static void checks_the_sub_protocol(void) {
  struct result result =
      run("ws", echo.port,
          (const char *[]){"--sub-protocol", "chess", "--count", "1", NULL});
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "sub-protocol"));
  forget(&result);
  struct result same =
      run("ws", echo.port,
          (const char *[]){"--sub-protocol", "", "--count", "1", NULL});
  CU_ASSERT_EQUAL(same.status, 0);
  forget(&same);
}

static void nobody_there(void) {
  struct result result =
      run("ws", 1, (const char *[]){"--connections", "2", NULL});
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "refused"));
  forget(&result);
}

/* --- TLS ------------------------------------------------------------------ */

static void over_tls(void) {
  struct wire_server tls;
  struct wire_dir dir;
  CU_ASSERT_TRUE_FATAL(wire_dir_make(&dir));
  const char *cert = wire_path(&dir, "cert.pem");
  const char *key = wire_path(&dir, "key.pem");
  const char *const make[] = {
      "openssl",  "req",
      "-x509",    "-newkey",
      "rsa:2048", "-nodes",
      "-days",    "2",
      "-subj",    "/CN=localhost",
      "-addext",  "subjectAltName=IP:127.0.0.1,DNS:localhost",
      "-out",     cert,
      "-keyout",  key,
      NULL};
  struct proc *proc = proc_start(make);
  CU_ASSERT_EQUAL_FATAL(proc_wait_exit(proc, WIRE_MS), 0);
  proc_free(proc);
  CU_ASSERT_TRUE_FATAL(
      wire_start(&tls, "echo-server",
                 (const char *[]){"--tls-cert", cert, "--tls-key", key, NULL}));
  const char *const trusting[] = {"--ca-file",     cert,   "--count",  "300",
                                  "--size",        "8000", "--window", "4",
                                  "--connections", "5",    NULL};
  const char *const careless[] = {"--insecure", "--count", "10", NULL};
  const char *const neither[] = {"--count", "10", NULL};
  struct result results[] = {run("wss", tls.port, trusting),
                             run("wss", tls.port, careless),
                             run("wss", tls.port, neither)};
  CU_ASSERT_EQUAL(results[0].status, 0);
  CU_ASSERT_EQUAL(results[1].status, 0);
  CU_ASSERT_EQUAL(results[2].status, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(results[2].err, "certificate"));
  for (int i = 0; i < 3; i++) forget(&results[i]);
  CU_ASSERT_EQUAL(wire_end(&tls), 0);
  wire_dir_remove(&dir);
}

/* --- Lies ----------------------------------------------------------------- */

/* A liar must be found by these fields of the reckoning only, each 1. */
struct lie_case {
  enum lie lie;
  const char *first;
  const char *second;
};

static void check_case(const struct lie_case *it, const struct result *result) {
  double expected = (it->first ? 1 : 0) + (it->second ? 1 : 0);
  bool good = result->status == (it->first ? 1 : 0) &&
              faults(result) == expected &&
              (!it->first || field(result, it->first) == 1) &&
              (!it->second || field(result, it->second) == 1);
  if (!good) {
    fprintf(stderr, "lie %d: not %s %s\n", (int)it->lie,
            it->first ? it->first : "nothing", it->second ? it->second : "");
    complain(result);
  }
  CU_ASSERT_TRUE(good);
}

/* All at the same time, because what waits for a lost message takes long. */
static void finds(const struct lie_case *cases, size_t count,
                  const char *const args[]) {
  struct liar *liars[16];
  struct proc *procs[16];
  CU_ASSERT_TRUE_FATAL(count <= 16);
  for (size_t i = 0; i < count; i++) {
    liars[i] = liar_start(cases[i].lie);
    CU_ASSERT_PTR_NOT_NULL_FATAL(liars[i]);
    procs[i] = start("ws", liar_port(liars[i]), args);
  }
  for (size_t i = 0; i < count; i++) {
    struct result result = finish(procs[i]);
    check_case(&cases[i], &result);
    forget(&result);
    liar_stop(liars[i]);
  }
}

/* Nine requests: the sixth is lied about, however slow the machine is, and
 * three more may be open beside one that never ends. */
static const char *const chatting[] = {
    "--output",  "json",     "--mode",   "broadcast", "--connections",
    "3",         "--window", "4",        "--count",   "9",
    "--seconds", "2",        "--warmup", "0",         "--patience",
    "2",         NULL};

static void finds_lies_in_a_broadcast(void) {
  static const struct lie_case cases[] = {{LIE_NONE, NULL, NULL},
                                          {LIE_LOSE, "undelivered", NULL},
                                          {LIE_TWICE, "duplicated", NULL},
                                          {LIE_SWAP, "disordered", NULL},
                                          {LIE_ALTER, "undelivered", "wrong"},
                                          {LIE_EARLY, "disordered", NULL},
                                          {LIE_SILENT, "unanswered", NULL},
                                          {LIE_REFUSE, "refused", NULL}};
  finds(cases, sizeof cases / sizeof *cases, chatting);
}

/* Each sender's messages are in order, but one connection gets two messages of
 * different senders the other way round. */
static void finds_another_order(void) {
  struct liar *liar = liar_start(LIE_SWAP);
  CU_ASSERT_PTR_NOT_NULL_FATAL(liar);
  struct result result = run(
      "ws", liar_port(liar),
      (const char *[]){"--output", "json", "--mode", "pubsub", "--publishers",
                       "2", "--connections", "3", "--window", "1", "--count",
                       "20", "--seconds", "2", "--warmup", "0", NULL});
  liar_stop(liar);
  if (result.status != 1) complain(&result);
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_EQUAL(field(&result, "undelivered"), 0);
  /* Connection 2 differs from the others. */
  CU_ASSERT_EQUAL(field(&result, "disordered"), 1);
  forget(&result);
}

static void finds_lies_in_an_echo(void) {
  static const char *const echoing[] = {
      "--output", "json",       "--connections",
      "1",        "--window",   "4",
      "--count",  "9",          "--seconds",
      "2",        "--patience", "2",
      "--warmup", "0",          NULL};
  static const struct lie_case cases[] = {{LIE_NONE, NULL, NULL},
                                          {LIE_ALTER, "wrong", NULL},
                                          {LIE_SILENT, "unanswered", NULL},
                                          {LIE_ANSWERS, "duplicated", NULL},
                                          {LIE_REFUSE, "refused", NULL}};
  finds(cases, sizeof cases / sizeof *cases, echoing);
}

static void finds_broken_connections(void) {
  struct liar *liar = liar_start(LIE_CLOSE);
  CU_ASSERT_PTR_NOT_NULL_FATAL(liar);
  struct result result = run("ws", liar_port(liar), chatting);
  liar_stop(liar);
  CU_ASSERT_EQUAL(result.status, 1);
  CU_ASSERT_EQUAL(field(&result, "broken_connections"), 1);
  CU_ASSERT_TRUE(field(&result, "undelivered") >= 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "connection 2: "));
  forget(&result);
}

/* Before anything could be measured: nothing but a complaint. */
static void finds_other_servers(void) {
  static const struct {
    enum lie lie;
    const char *text;
  } cases[] = {{LIE_GREET, "no server of that protocol"}, {LIE_HTTP, "503"}};
  for (size_t i = 0; i < 2; i++) {
    struct liar *liar = liar_start(cases[i].lie);
    CU_ASSERT_PTR_NOT_NULL_FATAL(liar);
    struct result result = run("ws", liar_port(liar), chatting);
    liar_stop(liar);
    CU_ASSERT_EQUAL(result.status, 1);
    CU_ASSERT_STRING_EQUAL(result.out, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, cases[i].text));
    forget(&result);
  }
}

/* While the server stalls, 40 of 100 requests become due: what they wait shows,
 * not only the one that was open. */
static void a_stall_is_not_hidden(void) {
  struct liar *liar = liar_start(LIE_STALL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(liar);
  struct result result =
      run("ws", liar_port(liar),
          (const char *[]){"--output", "json", "--connections", "1", "--rate",
                           "100", "--seconds", "1", "--warmup", "0", "--window",
                           "1", NULL});
  liar_stop(liar);
  if (result.status != 0) complain(&result);
  CU_ASSERT_EQUAL(result.status, 0);
  CU_ASSERT_TRUE(field(&result, "issued") >= 100);
  CU_ASSERT_TRUE(field(&result, "p90_us") > LIAR_STALL_MS * 1000 / 2);
  CU_ASSERT_TRUE(field(&result, "max_us") > LIAR_STALL_MS * 1000 * 9 / 10);
  forget(&result);
}

int main(int argc, char **argv) {
  CU_TestInfo modes[] = {{"echo", echo_counts},
                         {"echo at a rate", echo_at_a_rate},
                         {"broadcast", broadcast},
                         {"broadcast at a rate", broadcast_at_a_rate},
                         {"pubsub", pubsub},
                         {"pubsub across nodes", pubsub_across_nodes},
                         {"channels across nodes", channels_across_nodes},
                         {"connect", connects},
                         {"connect at a rate", connects_at_a_rate},
                         {"restore sessions", restores_sessions},
                         {"login refused", login_refused},
                         {"reconnect", come_back_when_a_server_dies},
                         {"idle with a pid", idle_with_a_pid},
                         {"TLS", over_tls},
                         CU_TEST_INFO_NULL};
  CU_TestInfo usage[] = {{"CSV", as_csv},
                         {"ask a busy room", ask_a_busy_room},
                         {"text", as_text},
                         {"units", units_as_text},
                         {"help and version", help_and_version},
                         {"wrong usage", wrong_usage},
                         {"IPv6", goes_to_ipv6},
                         {"message buffer", respects_the_message_buffer},
                         {"sub-protocol", checks_the_sub_protocol},
                         {"nobody there", nobody_there},
                         CU_TEST_INFO_NULL};
  CU_TestInfo lies[] = {{"in a broadcast", finds_lies_in_a_broadcast},
                        {"another order", finds_another_order},
                        {"in an echo", finds_lies_in_an_echo},
                        {"broken connections", finds_broken_connections},
                        {"other servers", finds_other_servers},
                        {"a stall is not hidden", a_stall_is_not_hidden},
                        CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"modes", begin, end, NULL, NULL, modes},
                           {"usage", begin, end, NULL, NULL, usage},
                           {"lies", NULL, NULL, NULL, NULL, lies},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
