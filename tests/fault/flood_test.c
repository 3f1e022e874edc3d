/* Floods: more than the server can do, as fast as the socket takes it. The
 * server stops reading what it can't handle, so its memory is bounded and
 * nothing is lost; what costs nothing costs nothing in numbers too. */
#include "fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  REQUESTS = FAULT_SCALED(3000),
  REQUEST_BYTES = 4096,
  SMALLS = FAULT_SCALED(200000),
  BATCH = 1000,
  WIRE_MAX = 64,
  GROWTH_MAX = 4 << 20
};

struct scene {
  struct fault_server server;
  struct rawws *flooder;
  struct rawws *other;
  struct fault_prober *prober;
  struct fault_latency before;
  uint64_t rss;
  uint64_t cpu_us;
};

static void begin(struct scene *scene, const char *const options[]) {
  if (!fault_start(&scene->server, options)) return;
  scene->prober = fault_prober_start(&scene->server);
  scene->flooder = fault_client(&scene->server, 0);
  scene->other = fault_client(&scene->server, 0);
  CU_ASSERT_FATAL(scene->flooder != NULL && scene->other != NULL);
  fault_prober_take(scene->prober, FAULT_SCALED(200), &scene->before);
  scene->rss = fault_rss(&scene->server);
  scene->cpu_us = proc_cpu_us(proc_pid(scene->server.proc));
}

static void expect_bounded(struct scene *scene, uint64_t peak) {
  printf("\n    resident %llu -> %llu KiB",
         (unsigned long long)scene->rss >> 10, (unsigned long long)peak >> 10);
  if (!FAULT_SANITIZED) CU_ASSERT(peak < scene->rss + GROWTH_MAX);
}

static void end(struct scene *scene, const char *what) {
  struct fault_latency during;
  fault_prober_take(scene->prober, 1, &during);
  fault_expect_latency(what, &scene->before, &during);
  printf(", %llu us of CPU in all",
         (unsigned long long)(proc_cpu_us(proc_pid(scene->server.proc)) -
                              scene->cpu_us));
  fault_prober_stop(scene->prober);
  rawws_free(scene->flooder);
  rawws_free(scene->other);
  fault_stop(&scene->server);
}

/* --- Slow handlers -------------------------------------------------------- */

static uint64_t flood_requests(struct scene *scene) {
  static uint8_t payload[REQUEST_BYTES];
  uint64_t peak = 0;
  for (uint64_t id = 0; id < REQUESTS; id++) {
    if (!fault_send_request(scene->flooder, id, "slow", payload,
                            sizeof payload)) {
      CU_FAIL("the flooder was cut off");
      break;
    }
    uint64_t rss = id % 16 ? 0 : fault_rss(&scene->server);
    if (rss > peak) peak = rss;
  }
  return peak;
}

/* Each request is answered exactly once; with one handler at a time, in order.
 */
static void expect_replies(struct scene *scene, bool in_order) {
  static bool seen[REQUESTS];
  struct fault_reply reply;
  memset(seen, 0, sizeof seen);
  for (uint64_t i = 0; i < REQUESTS; i++) {
    CU_ASSERT_FATAL(fault_recv_reply(scene->flooder, &reply, FAULT_WAIT_MS) ==
                    RAWWS_OK);
    CU_ASSERT_FATAL(reply.id < REQUESTS && !seen[reply.id]);
    CU_ASSERT_FATAL(!in_order || reply.id == i);
    seen[reply.id] = true;
  }
}

static void test_slow_handler(void) {
  static const char *const options[] = {"--delay",   "1", "--workers", "4",
                                        "--threads", "1", NULL};
  struct scene scene;
  begin(&scene, options);
  uint64_t peak = flood_requests(&scene);
  expect_replies(&scene, true);
  expect_bounded(&scene, peak);
  end(&scene, "slow handler");
}

/* At most 4 x workers of them are open at once. */
static void test_unlimited(void) {
  static const char *const options[] = {"--delay",   "1", "--workers",     "4",
                                        "--threads", "1", "--concurrency", "-1",
                                        NULL};
  struct scene scene;
  begin(&scene, options);
  uint64_t peak = flood_requests(&scene);
  expect_replies(&scene, false);
  expect_bounded(&scene, peak);
  end(&scene, "slow handlers without a limit");
}

/* --- Small frames --------------------------------------------------------- */

static size_t batch_of(uint8_t *out, const struct rawws_frame *frame) {
  size_t len = 0;
  for (int i = 0; i < BATCH; i++) {
    len += rawws_encode(frame, out + len, (size_t)BATCH * WIRE_MAX - len);
  }
  return len;
}

/* SMALLS frames as fast as the socket takes them. */
static bool flood(struct scene *scene, const struct rawws_frame *frame) {
  static uint8_t batch[BATCH * WIRE_MAX];
  size_t len = batch_of(batch, frame);
  bool sent = true;
  for (int i = 0; sent && i < SMALLS / BATCH; i++) {
    sent = rawws_write(scene->flooder, batch, len);
  }
  return sent;
}

static const char *const quick[] = {"--nonblocking", "yes", "--threads", "1",
                                    NULL};

static void test_heartbeats(void) {
  static const uint8_t heartbeat[] = {33};
  const struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .payload = heartbeat, .len = 1};
  struct fault_reply reply;
  struct scene scene;
  begin(&scene, quick);
  CU_ASSERT(flood(&scene, &frame));
  CU_ASSERT(fault_call(scene.flooder, "echo", "x", 1, &reply));
  expect_bounded(&scene, fault_rss(&scene.server));
  end(&scene, "heartbeats");
}

/* What an existing client does by mistake, all the time. */
static void test_heartbeats_paced(void) {
  static const uint8_t heartbeat[] = {33};
  struct fault_latency latency;
  struct fault_reply reply;
  struct scene scene;
  begin(&scene, quick);
  for (int i = 0; i < 900; i++) {
    CU_ASSERT(rawws_send(scene.flooder, heartbeat, 1));
    fault_prober_take(scene.prober, 1, &latency); /* one a millisecond */
  }
  CU_ASSERT(fault_call(scene.flooder, "echo", "x", 1, &reply));
  end(&scene, "900 heartbeats");
}

/* Pongs that nobody reads: libwebsockets has one of them at a time. */
static void test_pings(void) {
  const struct rawws_frame frame = {
      .opcode = RAWWS_PING, .payload = "flood", .len = 5};
  struct fault_reply reply;
  struct scene scene;
  begin(&scene, quick);
  CU_ASSERT(flood(&scene, &frame));
  CU_ASSERT(fault_call(scene.flooder, "echo", "x", 1, &reply));
  expect_bounded(&scene, fault_rss(&scene.server));
  end(&scene, "pings");
}

static void test_signals(void) {
  static const uint8_t signal[] = {64, 1, 'n', 'p', 'a', 'y'};
  const struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .payload = signal, .len = sizeof signal};
  struct scene scene;
  begin(&scene, quick);
  CU_ASSERT(flood(&scene, &frame));
  CU_ASSERT(fault_wait_stat(scene.other, "signals_in", SMALLS, SMALLS));
  expect_bounded(&scene, fault_rss(&scene.server));
  end(&scene, "signals");
}

/* On workers, one at a time: the reading pauses, none is lost. */
static void test_signals_to_workers(void) {
  static const uint8_t signal[] = {64, 1, 'n', 'p', 'a', 'y'};
  static const char *const options[] = {"--workers", "4", "--threads", "1",
                                        NULL};
  const struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .payload = signal, .len = sizeof signal};
  struct scene scene;
  begin(&scene, options);
  CU_ASSERT(flood(&scene, &frame));
  CU_ASSERT(fault_wait_stat(scene.other, "signals_in", SMALLS, SMALLS));
  expect_bounded(&scene, fault_rss(&scene.server));
  end(&scene, "signals to workers");
}

static CU_TestInfo plain_tests[] = {
    {"slow handler", test_slow_handler},
    {"slow handlers without a limit", test_unlimited},
    {"heartbeats", test_heartbeats},
    {"heartbeats, 900 in a second", test_heartbeats_paced},
    {"pings", test_pings},
    {"signals", test_signals},
    {"signals to workers", test_signals_to_workers},
    CU_TEST_INFO_NULL,
};

static CU_TestInfo tls_tests[] = {
    {"TLS: slow handler", test_slow_handler},
    {"TLS: heartbeats", test_heartbeats},
    {"TLS: pings", test_pings},
    {"TLS: signals", test_signals},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"flood", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"flood, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
