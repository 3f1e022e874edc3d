/* Slow consumers: clients that stop reading, or nearly, while the server
 * broadcasts. They are cut off at the ceiling and counted; the others get every
 * message in order; the server's memory stays within the ceilings. */
#include "fault.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  READERS = 8,
  SLEEPERS = 20,
  CASTS = FAULT_SCALED(4000),
  CAST_BYTES = 4096,
  QUEUE_BYTES = 256 << 10,
  SMALL_BUFFER = 4096,
  SIGNAL_HEAD = 2, /* type, name length */
  OVERHEAD = 8 << 20
};

static const char *const options[] = {
    "--nonblocking", "yes", "--queue", "262144", "--ping", "0", NULL};

struct scene {
  struct fault_server server;
  struct rawws *caster;
  struct rawws *readers[READERS];
  struct rawws *sleepers[SLEEPERS];
  size_t fds;
  uint64_t rss;
};

static void begin(struct scene *scene, int sleepers) {
  memset(scene, 0, sizeof *scene);
  if (!fault_start(&scene->server, options)) return;
  scene->caster = fault_client(&scene->server, 0);
  CU_ASSERT_FATAL(scene->caster != NULL);
  for (int i = 0; i < READERS; i++) {
    scene->readers[i] = fault_client(&scene->server, 0);
    CU_ASSERT_FATAL(scene->readers[i] != NULL);
  }
  scene->fds = fault_fds(&scene->server);
  scene->rss = fault_rss(&scene->server);
  for (int i = 0; i < sleepers; i++) {
    scene->sleepers[i] = fault_client(&scene->server, SMALL_BUFFER);
    CU_ASSERT_FATAL(scene->sleepers[i] != NULL);
  }
}

static void end(struct scene *scene) {
  rawws_free(scene->caster);
  for (int i = 0; i < READERS; i++) rawws_free(scene->readers[i]);
  for (int i = 0; i < SLEEPERS; i++) rawws_free(scene->sleepers[i]);
  fault_stop(&scene->server);
}

/* The next broadcast is number `number`, whole. */
static bool is_cast(struct rawws *ws, uint32_t number) {
  struct rawws_message message;
  uint32_t got;
  if (rawws_recv_message(ws, &message, FAULT_WAIT_MS) != RAWWS_OK) return false;
  if (message.len != SIGNAL_HEAD + CAST_BYTES) return false;
  memcpy(&got, message.payload + SIGNAL_HEAD, sizeof got);
  return got == number;
}

/* One broadcast, and every reader has it. */
static bool cast(struct scene *scene, uint32_t number) {
  uint8_t payload[CAST_BYTES] = {0};
  struct fault_reply reply;
  memcpy(payload, &number, sizeof number);
  bool good =
      fault_call(scene->caster, "cast", payload, sizeof payload, &reply);
  for (int i = 0; good && i < READERS; i++) {
    good = is_cast(scene->readers[i], number);
  }
  return good;
}

static void expect_bounded(const struct scene *scene, uint64_t peak) {
  /* The queues hold references of the same frames: one ceiling for all. What
   * TLS copies for a stalled connection is one record each. */
  uint64_t bound = scene->rss + QUEUE_BYTES + SLEEPERS * 65536 + OVERHEAD;
  printf("\n    resident %llu -> %llu KiB",
         (unsigned long long)scene->rss >> 10, (unsigned long long)peak >> 10);
  if (!FAULT_SANITIZED) CU_ASSERT(peak < bound);
}

static void test_sleepers(void) {
  static struct scene scene;
  begin(&scene, SLEEPERS);
  uint64_t peak = 0;
  bool good = true;
  for (uint32_t i = 0; good && i < CASTS; i++) {
    good = cast(&scene, i);
    if (i % 16 == 0 && fault_rss(&scene.server) > peak)
      peak = fault_rss(&scene.server);
  }
  CU_ASSERT(good);
  CU_ASSERT(
      fault_wait_stat(scene.caster, "slow_consumers", SLEEPERS, SLEEPERS));
  CU_ASSERT(
      fault_wait_stat(scene.caster, "connections", 1 + READERS, 1 + READERS));
  CU_ASSERT(fault_wait_fds(&scene.server, scene.fds));
  expect_bounded(&scene, peak);
  end(&scene);
}

/* What was cut off sees the end of the socket, after whole frames in order. */
static void test_end_of_a_sleeper(void) {
  static struct scene scene;
  begin(&scene, 1);
  struct rawws_message message;
  uint32_t number = 0;
  for (uint32_t i = 0; i < CASTS / 4 + 300; i++) {
    if (!cast(&scene, i)) CU_FAIL("a reader lost a message");
  }
  enum rawws_result result;
  while ((result = rawws_recv_message(scene.sleepers[0], &message,
                                      FAULT_WAIT_MS)) == RAWWS_OK) {
    uint32_t got;
    CU_ASSERT_FATAL(message.len == SIGNAL_HEAD + CAST_BYTES);
    memcpy(&got, message.payload + SIGNAL_HEAD, sizeof got);
    CU_ASSERT_FATAL(got == number++);
  }
  CU_ASSERT(result == RAWWS_EOF || result == RAWWS_RESET);
  CU_ASSERT(number > 0 && number < CASTS / 4 + 300);
  end(&scene);
}

/* One byte now and then is no reading either: it changes nothing but that the
 * peer's TCP is alive. */
static void test_drip(void) {
  static struct scene scene;
  begin(&scene, 1);
  bool good = true;
  uint8_t byte;
  for (uint32_t i = 0; good && i < CASTS / 4 + 300; i++) {
    good = cast(&scene, i);
    if (i % 100 == 0) (void)!read(rawws_fd(scene.sleepers[0]), &byte, 1);
  }
  CU_ASSERT(good);
  CU_ASSERT(fault_wait_stat(scene.caster, "slow_consumers", 1, 1));
  CU_ASSERT(fault_wait_fds(&scene.server, scene.fds));
  end(&scene);
}

/* Requests whose replies nobody reads fill the same queue. */
static void test_unread_replies(void) {
  static struct scene scene;
  begin(&scene, 1);
  static uint8_t payload[CAST_BYTES];
  bool sent = true;
  for (uint64_t i = 0; sent && i < 4 * CASTS; i++) {
    sent = fault_send_request(scene.sleepers[0], i, "echo", payload,
                              sizeof payload);
  }
  CU_ASSERT(fault_wait_stat(scene.caster, "slow_consumers", 1, 1));
  CU_ASSERT(cast(&scene, 1));
  expect_bounded(&scene, fault_rss(&scene.server));
  end(&scene);
}

#define TESTS(prefix)                                                      \
  {                                                                        \
    {prefix "twenty stop reading", test_sleepers},                         \
        {prefix "what it sees", test_end_of_a_sleeper},                    \
        {prefix "a byte now and then", test_drip},                         \
        {prefix "unread replies", test_unread_replies}, CU_TEST_INFO_NULL, \
  }

static CU_TestInfo plain_tests[] = TESTS("");
static CU_TestInfo tls_tests[] = TESTS("TLS: ");

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"slow", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"slow, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
