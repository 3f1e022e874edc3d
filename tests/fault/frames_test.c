/* Messages in the smallest pieces, messages without an end, messages that
 * announce more than anyone may send. The connection that sends them ends by
 * the rules; memory and everyone else stay as they were. */
#include "fault.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
  BUFFER_BYTES = 8192,
  ENDLESS = 50,
  SEGMENTS = FAULT_SCALED(2000),
  EMPTY_FRAMES = FAULT_SCALED(200000),
  TOO_BIG = 1009,
  PROTOCOL_ERROR = 1002,
  GROWTH_MAX = 4 << 20
};

static const char *const patient[] = {"--nonblocking", "yes", "--threads", "1",
                                      NULL};
static const char *const impatient[] = {
    "--nonblocking", "yes", "--threads", "1", "--read-timeout", "1000", NULL};

struct scene {
  struct fault_server server;
  struct rawws *attacker;
  struct fault_prober *prober;
  struct fault_latency before;
  uint64_t rss;
};

static void begin(struct scene *scene, const char *const options[]) {
  if (!fault_start(&scene->server, options)) return;
  scene->prober = fault_prober_start(&scene->server);
  fault_prober_take(scene->prober, FAULT_SCALED(200), &scene->before);
  scene->attacker = fault_client(&scene->server, 0);
  CU_ASSERT_FATAL(scene->attacker != NULL);
  scene->rss = fault_rss(&scene->server);
}

static void end(struct scene *scene, const char *what) {
  struct fault_latency during;
  fault_prober_take(scene->prober, FAULT_SCALED(50), &during);
  fault_expect_latency(what, &scene->before, &during);
  uint64_t rss = fault_rss(&scene->server);
  if (!FAULT_SANITIZED) CU_ASSERT(rss < scene->rss + GROWTH_MAX);
  fault_prober_stop(scene->prober);
  rawws_free(scene->attacker);
  fault_stop(&scene->server);
}

static bool send_fragment(struct rawws *ws, bool first, size_t len) {
  static const uint8_t any[1] = {128};
  return rawws_send_frame(
      ws,
      &(struct rawws_frame){.opcode = first ? RAWWS_BINARY : RAWWS_CONTINUATION,
                            .more = true,
                            .mask = {1, 2, 3, 4},
                            .payload = any,
                            .len = len});
}

/* Fifty at once, one byte a fragment: cut off at the size of a message. */
static void test_fragments(void) {
  struct scene scene;
  struct rawws *senders[ENDLESS];
  begin(&scene, patient);
  for (int i = 0; i < ENDLESS; i++) {
    senders[i] = fault_client(&scene.server, 0);
    CU_ASSERT_FATAL(senders[i] != NULL);
  }
  for (int n = 0; n < BUFFER_BYTES; n++) {
    for (int i = 0; i < ENDLESS; i++) {
      if (!send_fragment(senders[i], n == 0, 1)) CU_FAIL_FATAL("cut too early");
    }
  }
  for (int i = 0; i < ENDLESS; i++) {
    send_fragment(senders[i], false, 1);
    CU_ASSERT_EQUAL(rawws_expect_end(senders[i], FAULT_WAIT_MS), TOO_BIG);
    rawws_free(senders[i]);
  }
  CU_ASSERT(fault_wait_stat(scene.attacker, "violations", ENDLESS, ENDLESS));
  end(&scene, "fragments of one byte");
}

/* Fragments without a byte never reach the size: a flood, and harmless. */
static void test_empty_fragments(void) {
  struct scene scene;
  begin(&scene, patient);
  bool sent = send_fragment(scene.attacker, true, 0);
  for (int i = 0; sent && i < EMPTY_FRAMES; i++) {
    sent = send_fragment(scene.attacker, false, 0);
  }
  end(&scene, "fragments without a byte");
}

/* Every byte of a request in a TCP segment of its own. */
static void test_segments(void) {
  struct scene scene;
  begin(&scene, patient);
  uint8_t request[64], wire[128];
  size_t len = fault_encode_request(request, 7, "echo", "drip", 4);
  struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .payload = request, .len = len};
  len = rawws_encode(&frame, wire, sizeof wire);
  for (int i = 0; i < SEGMENTS / 20; i++) {
    struct fault_reply reply;
    CU_ASSERT_FATAL(rawws_write_bytewise(scene.attacker, wire, len));
    CU_ASSERT_FATAL(fault_recv_reply(scene.attacker, &reply, FAULT_WAIT_MS) ==
                    RAWWS_OK);
    CU_ASSERT_FATAL(reply.id == 7 && reply.len == 4);
  }
  end(&scene, "segments of one byte");
}

/* A message that is begun and left: the read time-out ends it. */
static void test_unfinished(void) {
  struct scene scene;
  begin(&scene, impatient);
  CU_ASSERT(send_fragment(scene.attacker, true, 1));
  CU_ASSERT_EQUAL(rawws_expect_end(scene.attacker, FAULT_WAIT_MS), 1001);
  end(&scene, "an unfinished message");
}

static struct rawws *announce(const struct fault_server *server,
                              uint64_t length) {
  struct rawws *ws = fault_client(server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  CU_ASSERT(rawws_send_frame(ws, &(struct rawws_frame){.opcode = RAWWS_BINARY,
                                                       .lie = true,
                                                       .declared = length,
                                                       .payload = "x",
                                                       .len = 1}));
  return ws;
}

/* Announcing is free: nothing is allocated for it. */
static void test_declared(void) {
  static const uint64_t lengths[] = {BUFFER_BYTES + 1, 1ULL << 32,
                                     (1ULL << 63) - 1};
  enum { COUNT = sizeof lengths / sizeof lengths[0] };
  struct scene scene;
  struct rawws *senders[COUNT];
  begin(&scene, patient);
  for (int i = 0; i < COUNT; i++) {
    senders[i] = announce(&scene.server, lengths[i]);
  }
  for (int i = 0; i < COUNT; i++) {
    int code = rawws_expect_end(senders[i], FAULT_WAIT_MS);
    CU_ASSERT(code == TOO_BIG || code == PROTOCOL_ERROR);
    rawws_free(senders[i]);
  }
  end(&scene, "huge declared lengths");
}

#define TESTS(prefix)                                                       \
  {                                                                         \
    {prefix "fragments of one byte", test_fragments},                       \
        {prefix "fragments without a byte", test_empty_fragments},          \
        {prefix "segments of one byte", test_segments},                     \
        {prefix "an unfinished message", test_unfinished},                  \
        {prefix "huge declared lengths", test_declared}, CU_TEST_INFO_NULL, \
  }

static CU_TestInfo plain_tests[] = TESTS("");
static CU_TestInfo tls_tests[] = TESTS("TLS: ");

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"frames", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"frames, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
