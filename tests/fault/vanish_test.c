/* Thousands that connect at once and vanish, at every stage of a connection.
 * Afterwards the server holds what it held before, and meanwhile a client that
 * behaves kept its latency. */
#include "fault.h"

#include <stdio.h>
#include <string.h>

enum {
  CROWD = FAULT_SCALED(5000),
  STAYERS = FAULT_SCALED(1000),
  DAWDLERS = 800, /* some rounds of the handshakes that run at once */
  ROUNDS = 3,
  QUIET_ECHOES = FAULT_SCALED(300),
  SPARE_FDS = 4,
  HANDSHAKE_MS = 1000,
  GROWTH_MAX = 4 << 20, /* of 10,000 connections: 420 bytes each */
  TLS_GROWTH_MAX = 8 << 20
};

static const char *const options[] = {
    "--nonblocking",       "yes",  "--threads", "1",
    "--handshake-timeout", "1000", NULL};

/* What a socket of the crowd sends before it vanishes. */
struct stage {
  const char *name;
  uint8_t bytes[2048];
  size_t len;
  enum fault_end end;
};

static struct stage stage_text(const char *name, const char *text,
                               enum fault_end end) {
  struct stage stage = {.name = name, .len = strlen(text), .end = end};
  memcpy(stage.bytes, text, stage.len);
  return stage;
}

static struct stage stage_hello(enum fault_end end) {
  struct stage stage = {.name = "ClientHello", .end = end};
  stage.len = fault_client_hello(stage.bytes, sizeof stage.bytes);
  CU_ASSERT(stage.len > 0);
  return stage;
}

/* The whole upgrade, and a request whose answer nobody waits for. */
static struct stage stage_open(enum fault_end end) {
  struct stage stage = stage_text("open connection", fault_upgrade, end);
  uint8_t request[64];
  size_t len = fault_encode_request(request, 1, "echo", "vanish", 6);
  struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .payload = request, .len = len};
  stage.len += rawws_encode(&frame, stage.bytes + stage.len,
                            sizeof stage.bytes - stage.len);
  return stage;
}

/* One crowd comes and goes. */
static void crowd(const struct fault_server *server,
                  const struct stage *stage) {
  struct fault_swarm *swarm = fault_swarm_connect(server, CROWD);
  CU_ASSERT_FATAL(swarm != NULL);
  size_t sent = fault_swarm_send(swarm, stage->bytes, stage->len);
  CU_ASSERT_EQUAL(sent, CROWD);
  fault_swarm_end(swarm, stage->end);
}

static void vanish(const struct stage *stage) {
  struct fault_server server;
  struct fault_latency before, during;
  if (!fault_start(&server, options)) return;
  struct fault_prober *prober = fault_prober_start(&server);
  struct rawws *ws = fault_client(&server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  size_t fds = fault_fds(&server);
  uint64_t rss = 0;
  fault_prober_take(prober, QUIET_ECHOES, &before);
  for (int round = 0; round < ROUNDS; round++) {
    crowd(&server, stage);
    CU_ASSERT(fault_wait_fds(&server, fds + SPARE_FDS));
    CU_ASSERT(fault_wait_stat(ws, "connections", 2, 2));
    if (round == 0) rss = fault_live_rss(&server, ws);
  }
  fault_prober_take(prober, 1, &during);
  fault_expect_latency(stage->name, &before, &during);
  uint64_t rss_after = fault_live_rss(&server, ws);
  printf("; resident %llu -> %llu KiB", (unsigned long long)rss >> 10,
         (unsigned long long)rss_after >> 10);
  uint64_t growth = fault_is_tls() ? TLS_GROWTH_MAX : GROWTH_MAX;
  if (!FAULT_SANITIZED) CU_ASSERT(rss_after < rss + growth);
  fault_prober_stop(prober);
  rawws_free(ws);
  fault_stop(&server);
}

static void test_nothing(void) {
  struct stage stage = stage_text("silent, reset", "", FAULT_RESET);
  vanish(&stage);
}

static void test_nothing_fin(void) {
  struct stage stage = stage_text("silent, FIN", "", FAULT_FIN);
  vanish(&stage);
}

static void test_partial_http(void) {
  struct stage stage =
      stage_text("half a request", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr",
                 FAULT_RESET);
  vanish(&stage);
}

static void test_garbage(void) {
  struct stage stage =
      stage_text("garbage", "\x01\x02\xff\xfe garbage\r\n\r\n\r\n", FAULT_FIN);
  vanish(&stage);
}

static void test_hello(void) {
  struct stage stage = stage_hello(FAULT_RESET);
  vanish(&stage);
}

static void test_open_reset(void) {
  struct stage stage = stage_open(FAULT_RESET);
  vanish(&stage);
}

static void test_open_fin(void) {
  struct stage stage = stage_open(FAULT_FIN);
  vanish(&stage);
}

/* Those who stay and say nothing are closed by the handshake's time limit. */
static void test_stay(void) {
  static const char *const sent[] = {"",
                                     "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"};
  struct fault_server server;
  if (!fault_start(&server, options)) return;
  struct rawws *ws = fault_client(&server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  size_t fds = fault_fds(&server);
  for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
    struct fault_swarm *swarm = fault_swarm_connect(&server, STAYERS);
    CU_ASSERT_FATAL(swarm != NULL);
    CU_ASSERT_EQUAL(fault_swarm_send(swarm, sent[i], strlen(sent[i])), STAYERS);
    size_t closed = fault_swarm_wait_closed(swarm, 8 * HANDSHAKE_MS);
    printf("\n    %zu of %d closed", closed, STAYERS);
    CU_ASSERT_EQUAL(closed, STAYERS);
    CU_ASSERT(fault_wait_fds(&server, fds));
    fault_swarm_end(swarm, FAULT_RESET);
  }
  CU_ASSERT(fault_wait_stat(ws, "connections", 1, 1));
  rawws_free(ws);
  fault_stop(&server);
}

/* They connect first and speak later, all at once: everyone is served. */
static void test_late(void) {
  static const char *const patient[] = {"--nonblocking", "yes", "--threads",
                                        "1", NULL};
  struct fault_server server;
  struct fault_latency before, during;
  if (!fault_start(&server, patient)) return;
  struct fault_prober *prober = fault_prober_start(&server);
  struct rawws *ws = fault_client(&server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  struct fault_swarm *swarm = fault_swarm_connect(&server, CROWD);
  CU_ASSERT_FATAL(swarm != NULL);
  CU_ASSERT_EQUAL(fault_swarm_send(swarm, "", 0), CROWD);
  fault_prober_take(prober, QUIET_ECHOES, &before);
  CU_ASSERT_EQUAL(fault_swarm_send(swarm, fault_upgrade, strlen(fault_upgrade)),
                  CROWD);
  CU_ASSERT_EQUAL(
      fault_swarm_wait_answered(swarm, "HTTP/1.1 101", FAULT_WAIT_MS), CROWD);
  fault_prober_take(prober, 1, &during);
  fault_expect_latency("late", &before, &during);
  CU_ASSERT(fault_wait_stat(ws, "connections", CROWD + 2, CROWD + 2));
  fault_swarm_end(swarm, FAULT_RESET);
  CU_ASSERT(fault_wait_stat(ws, "connections", 2, 2));
  fault_prober_stop(prober);
  rawws_free(ws);
  fault_stop(&server);
}

/* A crowd that begins its handshakes and dawdles locks nobody out. */
static void test_dawdlers(void) {
  struct stage begun =
      fault_is_tls()
          ? stage_hello(FAULT_RESET)
          : stage_text("begun", "GET / HTTP/1.1\r\nHost: h\r\n", FAULT_RESET);
  static const char *const patient[] = {"--nonblocking", "yes",
                                        "--handshake-timeout", "20000", NULL};
  struct fault_server server;
  if (!fault_start(&server, patient)) return;
  struct fault_swarm *swarm = fault_swarm_connect(&server, DAWDLERS);
  CU_ASSERT_FATAL(swarm != NULL);
  CU_ASSERT_EQUAL(fault_swarm_send(swarm, begun.bytes, begun.len), DAWDLERS);
  for (int i = 0; i < 3; i++) {
    struct rawws *ws = fault_client(&server, 0);
    struct fault_reply reply;
    CU_ASSERT_FATAL(ws != NULL);
    CU_ASSERT(fault_call(ws, "echo", "x", 1, &reply));
    rawws_free(ws);
  }
  fault_swarm_end(swarm, FAULT_RESET);
  fault_stop(&server);
}

static CU_TestInfo plain_tests[] = {
    {"silent, reset", test_nothing},
    {"silent, FIN", test_nothing_fin},
    {"half a request, reset", test_partial_http},
    {"garbage, FIN", test_garbage},
    {"ClientHello, reset", test_hello},
    {"open connection, reset", test_open_reset},
    {"open connection, FIN", test_open_fin},
    {"silent and staying", test_stay},
    {"silent, then all at once", test_late},
    {"begun and staying", test_dawdlers},
    CU_TEST_INFO_NULL,
};

/* Handshakes that begin and end nowhere; complete ones are in the others. */
static CU_TestInfo tls_tests[] = {
    {"TLS: silent, reset", test_nothing},
    {"TLS: no TLS, FIN", test_garbage},
    {"TLS: ClientHello, reset", test_hello},
    {"TLS: silent and staying", test_stay},
    {"TLS: begun and staying", test_dawdlers},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"vanish", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"vanish, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
