/* Options: defaults, and the field that is named when one is wrong. */
#include <string.h>

#include "options.h"
#include "server_fixture.h"

static struct wwr_server_opts opts;

static void reset(void) {
  static struct wwr_transport transport;
  wwr_server_opts_default(&opts);
  opts.transport = &transport; /* never used: nothing is made */
}

static void expect_bad(const char *field) {
  struct wwr_server *server = (struct wwr_server *)&opts;
  const char *bad = NULL;
  CU_ASSERT_EQUAL(wwr_server_new(&server, &opts, &bad), WWR_E_INVALID);
  CU_ASSERT_PTR_NULL(server);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bad);
  CU_ASSERT_STRING_EQUAL(bad, field);
  CU_ASSERT_EQUAL(wwr_server_new(&server, &opts, NULL), WWR_E_INVALID);
  reset();
}

static void each_bad_field_is_named(void) {
  char text[600];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  reset();
  opts.transport = NULL;
  expect_bad("transport");
  opts.handlers = (enum wwr_handlers)7;
  expect_bad("handlers");
  opts.message_buffer_bytes = 31;
  expect_bad("message_buffer_bytes");
  opts.message_buffer_bytes = (64 << 20) + 1;
  expect_bad("message_buffer_bytes");
  opts.io_threads = 65;
  expect_bad("io_threads");
  opts.worker_threads = 0;
  expect_bad("worker_threads");
  opts.worker_threads = 1025;
  expect_bad("worker_threads");
  opts.max_queued_bytes = opts.message_buffer_bytes + 1023;
  expect_bad("max_queued_bytes");
  opts.max_pending_bytes = 0;
  expect_bad("max_pending_bytes");
  opts.subprotocol = "tab\t";
  expect_bad("subprotocol");
  opts.subprotocol = text;
  opts.message_buffer_bytes = 609;
  expect_bad("subprotocol");
}

static wwr_err copy(struct wwr_server_opts *out) {
  const char *bad = "x";
  wwr_err err = wwri_options_copy(out, &opts, &bad);
  CU_ASSERT_PTR_NULL(bad);
  return err;
}

static void defaults_and_limits(void) {
  struct wwr_server_opts out = {0};
  reset();
  CU_ASSERT_EQUAL_FATAL(copy(&out), WWR_OK);
  CU_ASSERT_EQUAL(out.handlers, WWR_HANDLERS_BLOCKING);
  CU_ASSERT_EQUAL(out.read_timeout_ms, 60000);
  CU_ASSERT_EQUAL(out.message_buffer_bytes, 8192);
  CU_ASSERT_EQUAL(out.concurrency, 0);
  CU_ASSERT_EQUAL(out.max_session_conns, 0);
  CU_ASSERT_TRUE(out.io_threads >= 1 && out.io_threads <= 64);
  CU_ASSERT_STRING_EQUAL(out.subprotocol, "");
  wwri_options_deinit(&out);
}

static void values_at_the_limits(void) {
  struct wwr_server_opts out = {0};
  reset();
  opts.read_timeout_ms = 999;
  opts.message_buffer_bytes = 32;
  opts.max_queued_bytes = 32 + 1024;
  opts.io_threads = 64;
  opts.worker_threads = 1024;
  opts.subprotocol = "123456789012345678901"; /* 32 - 11 */
  opts.keygen = NULL;
  CU_ASSERT_EQUAL_FATAL(copy(&out), WWR_OK);
  CU_ASSERT_EQUAL(out.read_timeout_ms, 60000);
  CU_ASSERT_TRUE(out.keygen == wwri_keygen_random);
  CU_ASSERT_PTR_NOT_EQUAL(out.subprotocol, opts.subprotocol);
  wwri_options_deinit(&out);
  reset();
  opts.read_timeout_ms = 1000;
  opts.message_buffer_bytes = 64 << 20;
  opts.max_queued_bytes = (64 << 20) + 1024;
  CU_ASSERT_EQUAL_FATAL(copy(&out), WWR_OK);
  CU_ASSERT_EQUAL(out.read_timeout_ms, 1000);
  wwri_options_deinit(&out);
}

static void keys_are_random_and_bounded(void) {
  char a[65] = "";
  char b[65] = "";
  CU_ASSERT_FALSE(wwri_keygen_random(a, 64, NULL));
  CU_ASSERT_TRUE(wwri_keygen_random(a, 65, NULL));
  CU_ASSERT_TRUE(wwri_keygen_random(b, 65, NULL));
  CU_ASSERT_EQUAL(strlen(a), 64);
  CU_ASSERT_STRING_NOT_EQUAL(a, b);
}

static CU_TestInfo tests[] = {
    {"each bad field is named", each_bad_field_is_named},
    {"defaults", defaults_and_limits},
    {"values at the limits", values_at_the_limits},
    {"keys are random and bounded", keys_are_random_and_bounded},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {{"options", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
