/* The admin listener among those who do it wrong, on purpose or not: garbage,
 * halves, crowds, and its own end in the middle of it. Whatever they do, probes
 * are answered. */
#include "admin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct wire_server server;
static uint16_t port;
static struct admin_answer answer;

static const char *const args[] = {"--admin", "127.0.0.1:0", NULL};

static int begin(void) {
  if (!wire_start(&server, "echo-server", args)) return 1;
  port = admin_port(server.proc);
  return port ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

static struct rawws *dial(void) {
  const struct rawws_opts opts = {.port = port};
  return rawws_dial(&opts);
}

static bool alive(void) {
  return admin_probe(port, "/live", &answer) == 200 &&
         admin_probe(port, "/ready", &answer) == 200;
}

/* It is told off or cut off, in time. */
static bool ends(struct rawws *http) {
  int status = rawws_read_answer(http);
  return status == -1 || (status >= 400 && status < 600);
}

static void garbage(void) {
  static const char *const rows[] = {
      "GET\r\n\r\n",
      "GET /live\r\n\r\n",
      "GET /live HTTP/9.9\r\nHost: a\r\n\r\n",
      "GET live HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
      "POST /api/v1/drain HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST /api/v1/drain HTTP/1.1\r\nHost: a\r\nContent-Length: 9x\r\n\r\n",
      ("POST /api/v1/drain HTTP/1.1\r\nHost: a\r\n"
       "Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rawws *http = dial();
    CU_ASSERT_PTR_NOT_NULL_FATAL(http);
    CU_ASSERT_TRUE(rawws_write(http, rows[i], strlen(rows[i])));
    rawws_shutdown_write(http);
    CU_ASSERT_TRUE(ends(http));
    rawws_free(http);
    CU_ASSERT_TRUE(alive());
  }
}

static void huge_heads(void) {
  static char head[100000];
  int start =
      snprintf(head, sizeof head, "GET /live HTTP/1.1\r\nHost: a\r\nX: ");
  memset(head + start, 'x', sizeof head - (size_t)start);
  struct rawws *http = dial();
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  (void)rawws_write(http, head, sizeof head);
  CU_ASSERT_TRUE(ends(http));
  rawws_free(http);

  static char path[4000];
  memset(path, 'a', sizeof path - 1);
  path[0] = '/';
  CU_ASSERT_EQUAL(admin_probe(port, path, &answer), 400);
  CU_ASSERT_TRUE(alive());
}

/* An unknown token is no reason to read for ever. */
static void a_body_without_a_token(void) {
  static char body[100000];
  memset(body, ' ', sizeof body - 1);
  struct rawws *http = dial();
  char head[200];
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  snprintf(head, sizeof head,
           "POST /api/v1/drain HTTP/1.1\r\nHost: a\r\n"
           "Content-Length: %zu\r\n\r\n",
           sizeof body - 1);
  CU_ASSERT_TRUE(rawws_write(http, head, strlen(head)));
  CU_ASSERT_TRUE(rawws_write(http, body, sizeof body - 1));
  CU_ASSERT_EQUAL(rawws_read_answer(http), 403); /* none is configured */
  rawws_free(http);
}

static void one_after_the_other(void) {
  static const char three[] =
      "GET /live HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
      "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  struct rawws *http = dial();
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  CU_ASSERT_TRUE(rawws_write(http, three, sizeof three - 1));
  CU_ASSERT_EQUAL(rawws_read_answer(http), 200);
  CU_ASSERT_STRING_EQUAL(rawws_body(http, WIRE_MS), "ok\n");
  CU_ASSERT_EQUAL(rawws_read_answer(http), 404);
  CU_ASSERT_PTR_NOT_NULL(rawws_body(http, WIRE_MS));
  CU_ASSERT_EQUAL(rawws_read_answer(http), 200); /* without a body */
  CU_ASSERT_EQUAL(rawws_read_answer(http), 200);
  CU_ASSERT_STRING_EQUAL(rawws_body(http, WIRE_MS), "ready\n");
  rawws_free(http);
}

static void byte_by_byte(void) {
  static const char text[] = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
  struct rawws *http = dial();
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  CU_ASSERT_TRUE(rawws_write_bytewise(http, text, sizeof text - 1));
  CU_ASSERT_EQUAL(rawws_read_answer(http), 200);
  rawws_free(http);
}

static void half_closed(void) {
  static const char text[] = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
  struct rawws *http = dial();
  CU_ASSERT_PTR_NOT_NULL_FATAL(http);
  CU_ASSERT_TRUE(rawws_write(http, text, sizeof text - 1));
  rawws_shutdown_write(http);
  CU_ASSERT_EQUAL(rawws_read_answer(http), 200);
  rawws_free(http);
}

/* More than it takes at a time, each with half a head: those who wait longest
 * make room. */
static void a_crowd_that_says_nothing(void) {
  enum { CROWD = 400 };
  static const char half[] = "GET /live HTTP/1.1\r\nHo";
  struct rawws *crowd[CROWD];
  for (int i = 0; i < CROWD; i++) {
    crowd[i] = dial();
    CU_ASSERT_PTR_NOT_NULL_FATAL(crowd[i]);
    (void)rawws_write(crowd[i], half, sizeof half - 1);
    if (i % 50 == 49) CU_ASSERT_TRUE(alive());
  }
  CU_ASSERT_TRUE(alive());
  struct rawws_message none;
  enum rawws_result result = rawws_recv(crowd[0], &none, WIRE_MS);
  CU_ASSERT_TRUE(result == RAWWS_EOF || result == RAWWS_RESET);
  for (int i = 0; i < CROWD; i++) rawws_free(crowd[i]);
  CU_ASSERT_TRUE(alive());
}

/* Connections that stand and halves of requests don't keep it from ending. */
static void its_end(void) {
  static const char half[] =
      "POST /api/v1/drain HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{";
  struct rawws *idle = dial(), *busy = dial();
  CU_ASSERT_PTR_NOT_NULL_FATAL(idle);
  CU_ASSERT_PTR_NOT_NULL_FATAL(busy);
  CU_ASSERT_TRUE(rawws_write(busy, half, sizeof half - 1));
  CU_ASSERT_TRUE(wire_stop(&server));
  struct rawws_message none;
  enum rawws_result result = rawws_recv(idle, &none, WIRE_MS);
  CU_ASSERT_TRUE(result == RAWWS_EOF || result == RAWWS_RESET);
  rawws_free(idle);
  rawws_free(busy);
  CU_ASSERT_TRUE(wire_restart(&server, "echo-server", args));
  port = admin_port(server.proc);
}

/* Ready no more, but alive, and gone when the last client is. */
static void draining(void) {
  static const char *const slow[] = {"--admin", "127.0.0.1:0", "--drain-time",
                                     "30", NULL};
  CU_ASSERT_TRUE_FATAL(wire_stop(&server));
  CU_ASSERT_TRUE_FATAL(wire_restart(&server, "echo-server", slow));
  port = admin_port(server.proc);
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  proc_signal(server.proc, SIGTERM);
  CU_ASSERT_TRUE(admin_wait_probe(port, "/ready", 503));
  CU_ASSERT_EQUAL(admin_probe(port, "/ready", &answer), 503);
  CU_ASSERT_STRING_EQUAL(answer.body, "draining\n");
  CU_ASSERT_EQUAL(admin_probe(port, "/live", &answer), 200);
  CU_ASSERT_EQUAL(admin_probe(port, "/metrics", &answer), 200);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\nwebwire_draining 1\n"));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer.body, "\nwebwire_drain_remaining 1\n"));
  rawws_free(ws);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
  proc_free(server.proc);
  server.proc = NULL;
  CU_ASSERT_TRUE(wire_restart(&server, "echo-server", args));
  port = admin_port(server.proc);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"garbage", garbage},
      {"huge heads", huge_heads},
      {"a body without a token", a_body_without_a_token},
      {"one after the other", one_after_the_other},
      {"byte by byte", byte_by_byte},
      {"half closed", half_closed},
      {"a crowd that says nothing", a_crowd_that_says_nothing},
      {"its end", its_end},
      {"draining", draining},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"admin_abuse", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
