/* pubsub-server and pubsub-client. */
#include "wire.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static struct wire_server server;

static int begin(void) {
  return wire_start(&server, "pubsub-server", NULL) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

/* "2026-01-31T23:59:59Z" */
static bool is_time(const char *text, size_t len) {
  static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
  if (len != sizeof shape - 1) return false;
  for (size_t i = 0; i < len; i++) {
    bool digit = isdigit((unsigned char)text[i]) != 0;
    if (shape[i] == 'd' ? !digit : text[i] != shape[i]) return false;
  }
  return true;
}

static void next_time(struct rawws *ws, char out[32]) {
  struct rawws_message got;
  CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], SIGNAL_UTF8);
  CU_ASSERT_EQUAL(got.payload[1], 0);
  CU_ASSERT_TRUE_FATAL(is_time((const char *)got.payload + 2, got.len - 2));
  snprintf(out, 32, "%.20s", (const char *)got.payload + 2);
}

/* A tick that was late may be of the same second as the next one. */
static void everyone_gets_the_time(void) {
  enum { TICKS = 4 };
  struct rawws *clients[3];
  for (int i = 0; i < 3; i++) {
    clients[i] = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(clients[i]);
  }
  for (int i = 0; i < 3; i++) {
    char first[32], now[32];
    next_time(clients[i], first);
    memcpy(now, first, sizeof now);
    for (int n = 1; n < TICKS && strcmp(first, now) == 0; n++) {
      next_time(clients[i], now);
    }
    CU_ASSERT_TRUE(strcmp(first, now) < 0);
  }
  for (int i = 0; i < 3; i++) rawws_free(clients[i]);
}

/* It has no request handler. */
static void requests_are_internal_errors(void) {
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_request(ws, "", "x"));
  struct rawws_message got;
  do {
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  } while (got.payload[0] == SIGNAL_UTF8);
  CU_ASSERT_EQUAL(got.len, 9);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_INTERNAL_ERROR);
  rawws_free(ws);
}

/* How many lines that are times the client printed, then it exits with 0. */
static int lines_of_client(const char *count) {
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", server.port);
  const char *const args[] = {url, count ? "--count" : NULL, count, NULL};
  struct proc *client = wire_program("pubsub-client", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  CU_ASSERT_EQUAL(proc_wait_exit(client, WIRE_MS), 0);
  char *text = proc_output(client, PROC_STDOUT);
  int lines = 0;
  for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
    if (*line == '\0') continue;
    CU_ASSERT_TRUE(is_time(line, strlen(line)));
    lines++;
  }
  free(text);
  proc_free(client);
  return lines;
}

static void client_counts(void) {
  CU_ASSERT_EQUAL(lines_of_client("2"), 2);
}

static void client_counts_to_six(void) {
  CU_ASSERT_EQUAL(lines_of_client(NULL), 6);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"everyone gets the time", everyone_gets_the_time},
      {"requests are internal errors", requests_are_internal_errors},
      {"client counts", client_counts},
      {"client counts to six", client_counts_to_six},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"pubsub", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
