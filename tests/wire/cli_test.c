/* Command lines and configuration files of the servers: --help, --version, and
 * every way to be wrong, each one clear line and status 2. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static struct wire_dir dir;

static int make(void) {
  return wire_dir_make(&dir) ? 0 : 1;
}

static int clean(void) {
  wire_dir_remove(&dir);
  return 0;
}

static bool is_one_line(const char *text) {
  const char *end = strchr(text, '\n');
  return end && end != text && end[1] == '\0';
}

/* The program ends with `status` and says one line that has `text` in it. */
static bool ends(const char *name, const char *const args[], int status,
                 const char *text) {
  struct proc *proc = wire_program(name, args);
  if (!proc) return false;
  int got = proc_wait_exit(proc, WIRE_MS);
  char *out = proc_output(proc, PROC_STDOUT);
  char *err = proc_output(proc, PROC_STDERR);
  bool good = got == status && strcmp(out, "") == 0 && is_one_line(err) &&
              strncmp(err, name, strlen(name)) == 0 && strstr(err, text);
  if (!good)
    fprintf(stderr, "%s %s: status %d, not \"%s\": %s\n", name,
            args[0] ? args[0] : "", got, text, err);
  free(out);
  free(err);
  proc_free(proc);
  return good;
}

static const char *const servers[] = {"echo-server", "pubsub-server",
                                      "chatroom-server"};
static const char *const programs[] = {"echo-server",     "pubsub-server",
                                       "chatroom-server", "echo-client",
                                       "pubsub-client",   "chatroom-client"};

static void help_and_version(void) {
  static const char *const options[] = {"--help", "--version"};
  for (size_t i = 0; i < 12; i++) {
    const char *const args[] = {options[i % 2], NULL};
    struct proc *proc = wire_program(programs[i / 2], args);
    CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
    CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), 0);
    char *out = proc_output(proc, PROC_STDOUT);
    char *err = proc_output(proc, PROC_STDERR);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, programs[i / 2]));
    if (i % 2 == 0) {
      CU_ASSERT_PTR_NOT_NULL(strstr(out, "usage:"));
      CU_ASSERT_PTR_NOT_NULL(strstr(out, "--version"));
    } else {
      CU_ASSERT_TRUE(is_one_line(out));
    }
    CU_ASSERT_STRING_EQUAL(err, "");
    free(out);
    free(err);
    proc_free(proc);
  }
}

static void wrong_options(void) {
  static const struct {
    const char *args[5];
    const char *text;
  } cases[] = {
      {{"--nonsense"}, "--nonsense"},
      {{"-x"}, "-x"},
      {{"extra"}, "extra"},
      {{"--redis"}, "--redis"},
      {{"--redis="}, "--redis"},
      {{"--redis", "127.0.0.1:6379"}, "--redis"},
      {{"--redis", "http://127.0.0.1"}, "--redis"},
      {{"--redis", "redis://"}, "--redis"},
      {{"--redis", "redis://127.0.0.1:70000"}, "--redis"},
      {{"--redis", "redis://127.0.0.1/x"}, "--redis"},
      {{"--redis", "redis://127.0.0.1?x=1"}, "--redis"},
      {{"--redis", "unix://relative"}, "--redis"},
      {{"--redis", "redis+sentinel://127.0.0.1"}, "--redis"},
      {{"--redis", "rediss://127.0.0.1?ca_file=/nonexistent"}, "--redis"},
      {{"--redis", "redis://127.0.0.1", "--sessions", "/tmp"}, "--sessions"},
      {{"--redis", "redis://127.0.0.1", "--prefix", "a b"}, "--prefix"},
      {{"--redis", "redis://127.0.0.1", "--prefix="}, "--prefix"},
      {{"--redis", "redis://127.0.0.1", "--node-name", "\t"}, "--node-name"},
      {{"--redis", "redis://127.0.0.1", "--hold", "0"}, "--hold"},
      {{"--redis", "redis://127.0.0.1", "--hold", "61"}, "--hold"},
      {{"--redis", "redis://127.0.0.1", "--lease", "15"}, "--lease"},
      {{"--redis", "redis://127.0.0.1", "--lease", "601"}, "--lease"},
      {{"--prefix", "x"}, "--prefix: needs --redis"},
      {{"--node-name", "x"}, "--node-name: needs --redis"},
      {{"--hold", "5"}, "--hold: needs --redis"},
      {{"--lease", "50"}, "--lease: needs --redis"},
      {{"--max-session-connections", "-1"}, "--max-session-connections"},
      {{"--admin", "nonsense"}, "--admin: 'nonsense' is no HOST:PORT"},
      {{"--admin", "127.0.0.1:65536"}, "--admin"},
      {{"--admin-token-file", "/nonexistent"}, "--admin-token-file"},
      {{"--help=1"}, "--help"},
      {{"--listen"}, "--listen"},
      {{"--listen="}, "--listen"},
      {{"--listen", "nonsense"}, "--listen"},
      {{"--listen", "127.0.0.1"}, "--listen"},
      {{"--listen", "127.0.0.1:65536"}, "--listen"},
      {{"--listen", "127.0.0.1:x"}, "--listen"},
      {{"--threads", "65"}, "--threads"},
      {{"--threads", "-1"}, "--threads"},
      {{"--threads", "1x"}, "--threads"},
      {{"--threads", ""}, "--threads"},
      {{"--threads", "99999999999999999999999"}, "--threads"},
      {{"--read-timeout", "-1"}, "--read-timeout"},
      {{"--read-timeout", "soon"}, "--read-timeout"},
      {{"--read-timeout", "1.2.3"}, "--read-timeout"},
      {{"--read-timeout", "86401"}, "--read-timeout"},
      {{"--message-buffer", "31"}, "--message-buffer"},
      {{"--message-buffer", "67108865"}, "--message-buffer"},
      {{"--max-connections", "many"}, "--max-connections"},
      {{"--log-level", "loud"}, "--log-level"},
      {{"--log-format", "xml"}, "--log-format"},
      {{"--tls-cert", "/dev/null"}, "--tls-cert"},
      {{"--tls-key", "/dev/null"}, "--tls-key"},
      {{"--tls-min-version", "1.2"}, "--tls-min-version"},
      {{"--tls-cert", "/dev/null", "--tls-key", "/nonexistent"}, "--tls-key"},
      {{"--config", "/nonexistent"}, "/nonexistent"},
      {{"--config", "/tmp"}, "/tmp"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CU_ASSERT_TRUE(ends("echo-server", cases[i].args, 2, cases[i].text));
  for (size_t i = 0; i < 6; i++)
    CU_ASSERT_TRUE(ends(programs[i], cases[0].args, 2, cases[0].text));
  for (size_t i = 0; i < 3; i++)
    CU_ASSERT_TRUE(ends(servers[i], cases[3].args, 2, cases[3].text));
}

/* A URL that may hold a password is never shown, right or wrong. */
static void secrets_are_not_shown(void) {
  static const char *const args[][5] = {
      {"--redis", "redis://:hunter2@127.0.0.1:x"},
      {"--redis", "redis://hunter2@127.0.0.1"},
      {"--redis", "http://:hunter2@127.0.0.1"},
      {"--redis", "redis://:hunter2@127.0.0.1", "--sessions", "/tmp"},
      {"--redis", "redis://:hunter2@127.0.0.1", "--help"},
      {"--config", NULL},
  };
  CU_ASSERT_TRUE_FATAL(wire_write_file(wire_path(&dir, "x.conf"),
                                       "redis = \"redis://hunter2@x\";\n"));
  for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
    const char *own[6];
    memcpy(own, args[i], sizeof args[i]);
    own[5] = NULL;
    if (!own[1]) own[1] = wire_path(&dir, "x.conf");
    struct proc *proc = wire_program("echo-server", own);
    CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
    int status = proc_wait_exit(proc, WIRE_MS);
    CU_ASSERT_EQUAL(status, own[2] && strcmp(own[2], "--help") == 0 ? 0 : 2);
    char *out = proc_output(proc, PROC_STDOUT);
    char *err = proc_output(proc, PROC_STDERR);
    CU_ASSERT_PTR_NULL(strstr(out, "hunter2"));
    CU_ASSERT_PTR_NULL(strstr(err, "hunter2"));
    free(out);
    free(err);
    proc_free(proc);
  }
}

static void wrong_client_options(void) {
  CU_ASSERT_TRUE(ends("pubsub-client", (const char *[]){"--count", "0", NULL},
                      2, "--count"));
  CU_ASSERT_TRUE(
      ends("pubsub-client", (const char *[]){"http://x", NULL}, 2, "http://x"));
  CU_ASSERT_TRUE(
      ends("chatroom-client", (const char *[]){"nowhere", NULL}, 2, "nowhere"));
  CU_ASSERT_TRUE(ends("chatroom-client",
                      (const char *[]){"--name", "Frodo", NULL}, 2, "--pass"));
  CU_ASSERT_TRUE(ends("echo-client",
                      (const char *[]){"ws://127.0.0.1:1", "x", NULL}, 1,
                      "ws://127.0.0.1:1"));
  CU_ASSERT_TRUE(
      ends("echo-client", (const char *[]){"ws://", NULL}, 2, "ws://"));
  CU_ASSERT_TRUE(ends("echo-client",
                      (const char *[]){"ws://127.0.0.1:99999", NULL}, 2,
                      "is no ws://HOST:PORT"));
  CU_ASSERT_TRUE(
      ends("echo-client",
           (const char *[]){"--ca-file", wire_path(&dir, "nothing"), NULL}, 2,
           "nothing: No such file"));
  CU_ASSERT_TRUE_FATAL(wire_write_file(wire_path(&dir, "x.pem"), "nothing\n"));
  CU_ASSERT_TRUE(ends("echo-client",
                      (const char *[]){"--ca-file", wire_path(&dir, "x.pem"),
                                       "wss://127.0.0.1:1", NULL},
                      2, "x.pem: holds no certificate"));
}

#define NOBODY  "pubsub-client: ws://127.0.0.1:1: "
#define IN_VAIN NOBODY "no answer in time\n"

/* What it says when it may try for so long; to free(). */
static char *wait_in_vain(const char *seconds) {
  struct proc *proc = wire_program(
      "pubsub-client",
      (const char *[]){"--timeout", seconds, "ws://127.0.0.1:1", NULL});
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), 1);
  char *err = proc_output(proc, PROC_STDERR);
  proc_free(proc);
  return err;
}

/* Who waits for a server that is not there is told so, if there is time for an
 * attempt: on a busy machine perhaps not in the shortest. */
static void says_that_it_waits(void) {
  static const char *const seconds[] = {"0.2", "2", "10"};
  char *err = wait_in_vain(seconds[0]), expected[200];
  size_t i = 0;
  while (strcmp(err, IN_VAIN) == 0 && i + 1 < 3) {
    free(err);
    err = wait_in_vain(seconds[++i]);
  }
  snprintf(expected, sizeof expected,
           NOBODY "no connection yet, trying for %s s\n" IN_VAIN, seconds[i]);
  CU_ASSERT_STRING_EQUAL(err, expected);
  free(err);
}

/* Where what it prints can't go, and what it was not given. */
static void odd_descriptors(void) {
  static const struct {
    const char *command;
    const char *err;
  } cases[] = {
      {"--help >/dev/full", "stdout: No space left on device\n"},
      {"--version >/dev/full", "stdout: No space left on device\n"},
      {"--help >&-", "stdout: Bad file descriptor\n"},
      {"--listen 127.0.0.1:0 --sessions \"$1\" <&- >&-",
       "stdout: Bad file descriptor\n"},
      {"--listen 127.0.0.1:0 --sessions \"$1\" <&- >&- 2>&-", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256];
    snprintf(text, sizeof text, "exec \"$0\" %s", cases[i].command);
    const char *sessions = wire_path(&dir, "sessions");
    const char *const argv[] = {"sh",     "-c", text, PROGRAMS "/echo-server",
                                sessions, NULL};
    struct proc *proc = proc_start(argv);
    CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
    CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), 1);
    char *err = proc_output(proc, PROC_STDERR);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, cases[i].err));
    CU_ASSERT_PTR_NULL(strstr(err, "could not start"));
    free(err);
    proc_free(proc);
  }
}

/* --- Configuration files ------------------------------------------------ */

static void wrong_files(void) {
  static const struct {
    const char *file;
    const char *text;
  } cases[] = {
      {"listen = \"127.0.0.1:0\";\nnonsense = 1;\n", "x.conf:2: nonsense"},
      {"listen = ;\n", "x.conf:1: syntax error (lines are: name = "},
      {"\nthreads = 4294967297;\n", "x.conf:2: too large a number"},
      {"\n\nthreads = 65;\n", "x.conf:3: threads"},
      {"threads = \"two\";\n", "x.conf:1: threads"},
      {"threads = true;\n", "x.conf:1: threads"},
      {"listen = 8080;\n", "x.conf:1: listen"},
      {"listen = \"nonsense\";\n", "x.conf:1: listen"},
      {"read-timeout = -3;\n", "x.conf:1: read-timeout"},
      {"threads = 1;\nthreads = 2;\n", "x.conf:2"},
      {"origin = [1, 2];\n", "x.conf:1: origin"},
      {"config = \"y\";\n", "x.conf:1: config"},
      {"redis = \"redis://\";\n", "x.conf:1: redis"},
      {"\nhold = 5;\n", "x.conf:2: hold: needs --redis"},
      {"\ntls-cert = \"/dev/null\";\n", "x.conf:2: tls-cert"},
      {"log-level = \"loud\";\n", "x.conf:1: log-level"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CU_ASSERT_TRUE_FATAL(
        wire_write_file(wire_path(&dir, "x.conf"), cases[i].file));
    CU_ASSERT_TRUE(
        ends("echo-server",
             (const char *[]){"--config", wire_path(&dir, "x.conf"), NULL}, 2,
             cases[i].text));
  }
}

/* What accept-conf says of a server with these arguments. */
static bool announces(const char *const args[], uint32_t timeout_ms,
                      uint32_t buffer) {
  struct wire_server server;
  struct rawws_message got;
  if (!wire_start(&server, "echo-server", args)) return false;
  struct rawws *ws = rawws_open(server.port);
  bool good =
      ws && rawws_recv_message(ws, &got, WIRE_MS) == RAWWS_OK && got.len == 11;
  uint32_t said[2] = {0, 0};
  for (int i = 0; good && i < 8; i++)
    said[i / 4] |= (uint32_t)got.payload[3 + i] << (8 * (i % 4));
  rawws_free(ws);
  return wire_end(&server) == 0 && good && said[0] == timeout_ms &&
         said[1] == buffer;
}

static void good_file(void) {
  CU_ASSERT_TRUE_FATAL(
      wire_write_file(wire_path(&dir, "x.conf"),
                      "# all of it\n"
                      "listen = \"127.0.0.1:1\";\n" /* the test says :0 */
                      "threads = 2;\nread-timeout = 2.5;\n"
                      "message-buffer = 1000;\nmax-connections = 10;\n"
                      "origin = [\"https://a.example\", \"https://b.example\"]"
                      ";\nlog-level = \"debug\";\nlog-format = \"json\";\n"));
  const char *path = wire_path(&dir, "x.conf");
  CU_ASSERT_TRUE(
      announces((const char *[]){"--config", path, NULL}, 2500, 1000));
  CU_ASSERT_TRUE(
      announces((const char *[]){"--read-timeout", "7", "--config", path,
                                 "--message-buffer", "2000", NULL},
                7000, 2000));
}

static void below_a_second_is_the_default(void) {
  CU_ASSERT_TRUE(
      announces((const char *[]){"--read-timeout", "0.9", NULL}, 60000, 8192));
  CU_ASSERT_TRUE(
      announces((const char *[]){"--read-timeout=1", NULL}, 1000, 8192));
}

/* --- Accounts ----------------------------------------------------------- */

static void wrong_accounts(void) {
  static const struct {
    const char *file;
    const char *text;
  } cases[] = {
      {"Ann:1\nnonsense\n", "acc:2: no name:password"},
      {"Ann:1\n\n:x\n", "acc:3: no name"},
      {"Ann:\n", "acc:1: no password"},
      {"Ann:1\nBob:2\nAnn:3\n", "acc:3: this name occurs twice"},
      {"\n", "no accounts"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CU_ASSERT_TRUE_FATAL(
        wire_write_file(wire_path(&dir, "acc"), cases[i].file));
    CU_ASSERT_TRUE(
        ends("chatroom-server",
             (const char *[]){"--accounts", wire_path(&dir, "acc"), NULL}, 2,
             cases[i].text));
  }
  CU_ASSERT_TRUE(ends("chatroom-server",
                      (const char *[]){"--accounts", "/nonexistent", NULL}, 2,
                      "/nonexistent"));
  CU_ASSERT_TRUE(ends("chatroom-server",
                      (const char *[]){"--accounts", "/tmp", NULL}, 2, "/tmp"));
}

static void accounts_of_a_file(void) {
  struct wire_server server;
  char key[65];
  CU_ASSERT_TRUE_FATAL(wire_write_file(wire_path(&dir, "acc"),
                                       "Zoe:a:b\r\n\nAnn:se cret\nBob:x"));
  CU_ASSERT_TRUE_FATAL(
      wire_start(&server, "chatroom-server",
                 (const char *[]){"--accounts", wire_path(&dir, "acc"), NULL}));
  struct rawws *ws[3];
  static const char *const names[] = {"Zoe", "Ann", "Bob"};
  static const char *const passwords[] = {"a:b", "se cret", "x"};
  for (int i = 0; i < 3; i++) {
    ws[i] = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws[i]);
    CU_ASSERT_TRUE(wire_request(ws[i], "auth",
                                "{\"name\":\"Frodo\",\"pass\":\"frodo1234\"}"));
    CU_ASSERT_TRUE(wire_expect_error(ws[i], "INEXISTENT_USER"));
    CU_ASSERT_TRUE(wire_log_in(ws[i], names[i], passwords[i], key));
  }
  for (int i = 0; i < 3; i++) rawws_free(ws[i]);
  CU_ASSERT_EQUAL(wire_end(&server), 0);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"help and version", help_and_version},
      {"wrong options", wrong_options},
      {"secrets are not shown", secrets_are_not_shown},
      {"wrong client options", wrong_client_options},
      {"says that it waits", says_that_it_waits},
      {"odd descriptors", odd_descriptors},
      {"wrong files", wrong_files},
      {"good file", good_file},
      {"below a second is the default", below_a_second_is_the_default},
      {"wrong accounts", wrong_accounts},
      {"accounts of a file", accounts_of_a_file},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cli", make, clean, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
