#include "websocket_raw.h"

#define SUITE(name, init, tests) \
  { name, init, NULL, raw_setup, raw_teardown, tests }

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      SUITE("receiving", raw_use_direct, raw_receiving),
      SUITE("ending", raw_use_direct, raw_ending),
      SUITE("http", raw_use_direct, raw_http),
      SUITE("sending", raw_use_direct, raw_sending),
      SUITE("native", raw_use_direct, raw_native),
      SUITE("turns", raw_use_direct, raw_turns),
      SUITE("rate", raw_use_direct, raw_rate),
      SUITE("tls", raw_use_direct, raw_tls),
      SUITE("life", raw_use_direct, raw_life),
      SUITE("receiving, callback", raw_use_callback, raw_receiving),
      SUITE("ending, callback", raw_use_callback, raw_ending),
      SUITE("http, callback", raw_use_callback, raw_http),
      CU_SUITE_INFO_NULL};
  int status = test_cert_make(&raw_cert) ? test_run(argc, argv, suites) : 2;
  test_cert_remove(&raw_cert);
  return status;
}
