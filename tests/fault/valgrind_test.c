/* A little of everything against a server under valgrind, which exits with 99
 * for an error or a leak. */
#include "fault.h"

#include <stdio.h>
#include <string.h>

enum { CLIENTS = 12, CALLS = 5, CASTS = 700, CAST_BYTES = 4096 };

static const char *const valgrind[] = {
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect",
    NULL};

static void requests_and_sessions(const struct fault_server *server) {
  struct rawws *clients[CLIENTS];
  struct fault_reply reply;
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = fault_client(server, 0);
    CU_ASSERT_FATAL(clients[i] != NULL);
    for (int n = 0; n < CALLS; n++) {
      CU_ASSERT(
          fault_call(clients[i], n % 2 ? "slow" : "echo", "x", 1, &reply));
    }
    CU_ASSERT(fault_call(clients[i], "create", NULL, 0, &reply));
    if (i % 3 == 0)
      CU_ASSERT(fault_send_request(clients[i], 1, "slow", "x", 1));
  }
  for (int i = 0; i < CLIENTS; i++) {
    if (i % 3 == 1) {
      CU_ASSERT(rawws_send_close(clients[i], 1000));
      CU_ASSERT(rawws_expect_end(clients[i], FAULT_WAIT_MS) == 1000);
    }
    if (i % 3 == 2) {
      rawws_reset(clients[i]);
    } else {
      rawws_free(clients[i]);
    }
  }
}

static void bad_ones(const struct fault_server *server) {
  static const char *const texts[] = {"", "GET / HT", "\1\2\3garbage\r\n\r\n",
                                      "GET / HTTP/1.1\r\nHost: x\r\n\r\n"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    struct fault_swarm *swarm = fault_swarm_connect(server, CLIENTS);
    CU_ASSERT_FATAL(swarm != NULL);
    fault_swarm_send(swarm, texts[i], strlen(texts[i]));
    fault_swarm_end(swarm, i % 2 ? FAULT_FIN : FAULT_RESET);
  }
  struct rawws *ws = fault_client(server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  CU_ASSERT(rawws_send(ws, "\x50unknown", 8));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, FAULT_WAIT_MS), 1002);
  rawws_free(ws);
}

static void slow_consumer(const struct fault_server *server) {
  static const uint8_t payload[CAST_BYTES];
  struct fault_reply reply;
  struct rawws *caster = fault_client(server, 0);
  struct rawws *sleeper = fault_client(server, CAST_BYTES);
  CU_ASSERT_FATAL(caster != NULL && sleeper != NULL);
  for (int i = 0; i < CASTS; i++) {
    CU_ASSERT(fault_call(caster, "cast", payload, sizeof payload, &reply));
  }
  CU_ASSERT(fault_wait_stat(caster, "slow_consumers", 1, 1));
  CU_ASSERT(fault_wait_stat(caster, "connections", 1, 1));
  rawws_free(sleeper);
  rawws_free(caster);
}

static void scenario(const char *const options[]) {
  struct fault_server server;
  if (!fault_start_under(&server, valgrind, options)) return;
  requests_and_sessions(&server);
  bad_ones(&server);
  slow_consumer(&server);
  struct rawws *open = fault_client(&server, 0);
  CU_ASSERT_FATAL(open != NULL);
  CU_ASSERT(fault_send_request(open, 1, "slow", "x", 1));
  fault_stop(&server);
  rawws_free(open);
}

static void test_blocking(void) {
  static const char *const options[] = {"--delay",   "1", "--queue", "262144",
                                        "--workers", "4", NULL};
  scenario(options);
}

static void test_nonblocking(void) {
  static const char *const options[] = {
      "--nonblocking", "yes", "--queue", "262144", "--threads", "2", NULL};
  scenario(options);
}

static CU_TestInfo plain_tests[] = {
    {"blocking handlers", test_blocking},
    {"non-blocking handlers", test_nonblocking},
    CU_TEST_INFO_NULL,
};

static CU_TestInfo tls_tests[] = {
    {"TLS: blocking handlers", test_blocking},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"valgrind", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"valgrind, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
