/* The life of a server's process: listening, signals, exit status. */
#include "wire.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire_server server;

static void start(void) {
  wire_start(&server, "echo-server", NULL);
}

static void stop(void) {
  proc_free(server.proc);
  server.proc = NULL;
  wire_dir_remove(&server.dir);
}

static void one_line_when_ready(void) {
  char expected[64];
  CU_ASSERT_NOT_EQUAL_FATAL(server.port, 0);
  proc_signal(server.proc, SIGTERM);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
  char *out = proc_output(server.proc, PROC_STDOUT);
  snprintf(expected, sizeof expected, "listening on ws://127.0.0.1:%u\n",
           server.port);
  CU_ASSERT_STRING_EQUAL(out, expected);
  free(out);
}

static void port_taken(void) {
  char address[32];
  snprintf(address, sizeof address, "127.0.0.1:%u", server.port);
  const char *const args[] = {
      "--listen",    address, "--sessions", wire_path(&server.dir, "other"),
      "--log-level", "off",   NULL};
  struct proc *second = wire_program("echo-server", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_EQUAL(proc_wait_exit(second, WIRE_MS), 1);
  char *out = proc_output(second, PROC_STDOUT);
  char *err = proc_output(second, PROC_STDERR);
  CU_ASSERT_STRING_EQUAL(out, "");
  CU_ASSERT_PTR_NOT_NULL(strstr(err, address));
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "in use"));
  CU_ASSERT_PTR_EQUAL(strchr(err, '\n'), err + strlen(err) - 1);
  free(out);
  free(err);
  proc_free(second);
  rmdir(wire_path(&server.dir, "other"));
}

static void no_session_directory(void) {
  const char *const args[] = {
      "--listen",    "127.0.0.1:0", "--sessions", "/nonexistent/sessions",
      "--log-level", "off",         NULL};
  struct proc *proc = wire_program("echo-server", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), 1);
  char *err = proc_output(proc, PROC_STDERR);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nonexistent/sessions"));
  free(err);
  proc_free(proc);
}

/* Clients that are there get 1001, and what they asked before is answered. */
static void stops_at(int signal) {
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_request(ws, "", "last"));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "last", 4)));
  CU_ASSERT_TRUE(proc_signal(server.proc, signal));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WIRE_MS), 1001);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
  rawws_free(ws);
}

static void sigterm(void) {
  stops_at(SIGTERM);
}

static void sigint(void) {
  stops_at(SIGINT);
}

/* One with more to come than it has room for; it reads none of it. */
static struct rawws *open_slow(void) {
  enum { REQUESTS = 60, TEXT = 8000 };
  static char text[TEXT + 1];
  const struct rawws_opts opts = {.port = server.port, .receive_buffer = 4096};
  struct rawws *ws = rawws_dial(&opts);
  if (!ws || rawws_upgrade(ws, NULL) != 101) return ws;
  memset(text, 'x', TEXT);
  for (int i = 0; i < REQUESTS; i++) {
    CU_ASSERT_TRUE(wire_request(ws, "", text));
  }
  return ws;
}

/* A client that does not take what is on its way to it holds a graceful stop up
 * for seconds; the second signal does not wait for it. */
static void second_signal(void) {
  struct rawws_message got;
  struct rawws *slow = open_slow();
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(slow);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_request(ws, "", "behind those"));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "behind those", 12)));
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGTERM));
  CU_ASSERT_EQUAL(rawws_recv(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.opcode, RAWWS_CLOSE);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, 200), -1);
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGINT));
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 128 + SIGINT);
  rawws_free(ws);
  rawws_free(slow);
}

static void strangers_signals_do_nothing(void) {
  static const int signals[] = {SIGHUP, SIGPIPE, SIGUSR1};
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  for (size_t i = 0; i < 3; i++) {
    CU_ASSERT_TRUE(proc_signal(server.proc, signals[i]));
    CU_ASSERT_TRUE(wire_request(ws, "", "there"));
    CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "there", 5)));
  }
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGTERM));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WIRE_MS), 1001);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
  rawws_free(ws);
}

/* --- Limits ------------------------------------------------------------- */

static bool restart_with(const char *option, const char *value) {
  const char *const args[] = {option, value, NULL};
  return wire_stop(&server) && wire_restart(&server, "echo-server", args);
}

/* One is silent for three times the time-out and closed, one beats four times
 * in each; whether that one lives. */
static bool beats_keep_alive(int seconds) {
  char timeout[8];
  snprintf(timeout, sizeof timeout, "%d", seconds);
  CU_ASSERT_TRUE_FATAL(restart_with("--read-timeout", timeout));
  struct rawws *silent = wire_open(server.port);
  struct rawws *beating = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(silent);
  CU_ASSERT_PTR_NOT_NULL_FATAL(beating);
  rawws_answer_pings(silent, false);
  bool alive = true;
  for (int i = 0; i < 12 && alive; i++) {
    alive = rawws_send(beating, WIRE_BYTES("\x21")) &&
            rawws_expect_silence(beating, seconds * 250);
  }
  CU_ASSERT_NOT_EQUAL(rawws_expect_end(silent, WIRE_MS), -1);
  alive = alive && wire_request(beating, "", "alive") &&
          wire_expect(beating, wire_with_id(REPLY_UTF8, "alive", 5));
  rawws_free(silent);
  rawws_free(beating);
  return alive;
}

/* A machine that is too late for one second is not for four. */
static void silent_clients_are_closed(void) {
  CU_ASSERT_TRUE(beats_keep_alive(1) || beats_keep_alive(4));
}

/* What clients said while the server stood still counts. */
static void a_server_that_stood_still(void) {
  CU_ASSERT_TRUE_FATAL(restart_with("--read-timeout", "1"));
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGSTOP));
  CU_ASSERT_TRUE(wire_request(ws, "", "patient"));
  CU_ASSERT_TRUE(rawws_expect_silence(ws, 2500)); /* over the read timeout */
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGCONT));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "patient", 7)));
  CU_ASSERT_TRUE(wire_request(ws, "", "still there"));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "still there", 11)));
  rawws_free(ws);
}

static int upgrade_with(const char *headers) {
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = server.port});
  if (!ws) return 0;
  int status = rawws_upgrade(ws, &(struct rawws_request){.headers = headers});
  rawws_free(ws);
  return status;
}

static void max_connections(void) {
  CU_ASSERT_TRUE_FATAL(restart_with("--max-connections", "2"));
  struct rawws *first = wire_open(server.port);
  struct rawws *second = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_NOT_EQUAL(upgrade_with(""), 101);
  rawws_free(first);
  rawws_free(second);
}

/* --- Draining ------------------------------------------------------------- */

static int options_status(void) {
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = server.port});
  if (!ws) return 0;
  int status = rawws_upgrade(
      ws, &(struct rawws_request){.method = "OPTIONS", .bare = true});
  rawws_free(ws);
  return status;
}

/* Not ready from the first moment, and as useful as ever. */
static void a_drain_begins_with_a_notice(void) {
  CU_ASSERT_TRUE_FATAL(restart_with("--drain-time", "1000"));
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(options_status(), 200);
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGTERM));
  for (int i = 0; i < 1000 && options_status() == 200; i++) continue;
  CU_ASSERT_EQUAL(options_status(), 503);
  CU_ASSERT_TRUE(wire_request(ws, "", "there"));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "there", 5)));
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGINT)); /* does not wait for it */
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 128 + SIGINT);
  rawws_free(ws);
}

static void clients_go_one_after_another(void) {
  struct rawws *clients[4];
  CU_ASSERT_TRUE_FATAL(restart_with("--drain-time", "1"));
  for (int i = 0; i < 4; i++) {
    clients[i] = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(clients[i]);
  }
  int64_t since = wire_now_ms();
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGTERM));
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(rawws_expect_end(clients[i], WIRE_MS), 1001);
    rawws_free(clients[i]);
  }
  /* A quarter of notice, and the last is in the last quarter of the rest. */
  CU_ASSERT_TRUE(wire_now_ms() - since >= 250 + 750 * 3 / 4);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
}

static void origins(void) {
  CU_ASSERT_EQUAL(upgrade_with("Origin: https://good.example\r\n"), 403);
  CU_ASSERT_EQUAL(upgrade_with(""), 101);
  CU_ASSERT_TRUE_FATAL(restart_with("--origin", "https://good.example"));
  CU_ASSERT_EQUAL(upgrade_with("Origin: https://good.example\r\n"), 101);
  CU_ASSERT_EQUAL(upgrade_with("Origin: https://bad.example\r\n"), 403);
  CU_ASSERT_EQUAL(upgrade_with(""), 101);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"one line when ready", one_line_when_ready},
      {"port taken", port_taken},
      {"no session directory", no_session_directory},
      {"SIGTERM", sigterm},
      {"SIGINT", sigint},
      {"second signal", second_signal},
      {"strangers' signals do nothing", strangers_signals_do_nothing},
      {"silent clients are closed", silent_clients_are_closed},
      {"a server that stood still", a_server_that_stood_still},
      {"max connections", max_connections},
      {"a drain begins with a notice", a_drain_begins_with_a_notice},
      {"clients go one after another", clients_go_one_after_another},
      {"origins", origins},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"process", NULL, NULL, start, stop, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
