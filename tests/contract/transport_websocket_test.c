#include <stdlib.h>

#include "cert.h"
#include "transport_contract.h"
#include "wwr_websocket.h"

static struct test_cert cert;

static wwr_err make_transport(struct wwr_transport **out, bool tls,
                              enum wwr_write_path write_path) {
  struct wwr_tls_server tls_opts = {.cert_file = cert.cert_file,
                                    .key_file = cert.key_file};
  struct wwr_websocket_opts opts;
  wwr_websocket_opts_default(&opts);
  opts.tls = tls ? &tls_opts : NULL;
  opts.write_path = write_path;
  return wwr_websocket_transport_new(out, &opts, NULL);
}

static wwr_err make_plain(struct wwr_transport **out, void **data) {
  (void)data;
  return make_transport(out, false, WWR_WRITE_DIRECT);
}

static wwr_err make_callback(struct wwr_transport **out, void **data) {
  (void)data;
  return make_transport(out, false, WWR_WRITE_CALLBACK);
}

static wwr_err make_tls(struct wwr_transport **out, void **data) {
  (void)data;
  return make_transport(out, true, WWR_WRITE_DIRECT);
}

static wwr_err make_tls_callback(struct wwr_transport **out, void **data) {
  (void)data;
  return make_transport(out, true, WWR_WRITE_CALLBACK);
}

static wwr_err make_dialer(struct wwr_dialer **out, const char *address,
                           void *data) {
  (void)data;
  struct wwr_websocket_dialer_opts opts = {.url = address,
                                           .ca_file = cert.cert_file};
  return wwr_websocket_dialer_new(out, &opts);
}

static const struct subject plain = {"plain", make_plain, make_dialer, NULL};
static const struct subject callback = {"callback", make_callback, make_dialer,
                                        NULL};
static const struct subject tls = {"tls", make_tls, make_dialer, NULL};
static const struct subject tls_callback = {"tls, callback", make_tls_callback,
                                            make_dialer, NULL};

static int use_plain(void) {
  fixture_select(&plain, 1);
  return 0;
}

static int use_plain_on_two(void) {
  fixture_select(&plain, 2);
  return 0;
}

static int use_callback(void) {
  fixture_select(&callback, 1);
  return 0;
}

static int use_tls(void) {
  fixture_select(&tls, 1);
  return 0;
}

static int use_tls_callback_on_two(void) {
  fixture_select(&tls_callback, 2);
  return 0;
}

#define SUITE(name, init, tests) \
  { name, init, NULL, fixture_setup, fixture_teardown, tests }

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      SUITE("opening, plain", use_plain, transport_opening),
      SUITE("messages, plain", use_plain, transport_messages),
      SUITE("ending, plain", use_plain, transport_ending),
      SUITE("opening, plain, 2 loops", use_plain_on_two, transport_opening),
      SUITE("messages, plain, 2 loops", use_plain_on_two, transport_messages),
      SUITE("ending, plain, 2 loops", use_plain_on_two, transport_ending),
      SUITE("opening, callback", use_callback, transport_opening),
      SUITE("messages, callback", use_callback, transport_messages),
      SUITE("ending, callback", use_callback, transport_ending),
      SUITE("opening, TLS", use_tls, transport_opening),
      SUITE("messages, TLS", use_tls, transport_messages),
      SUITE("ending, TLS", use_tls, transport_ending),
      SUITE("opening, TLS, callback, 2 loops", use_tls_callback_on_two,
            transport_opening),
      SUITE("messages, TLS, callback, 2 loops", use_tls_callback_on_two,
            transport_messages),
      SUITE("ending, TLS, callback, 2 loops", use_tls_callback_on_two,
            transport_ending),
      {"no memory, plain", use_plain, NULL, NULL, NULL, transport_no_memory},
      {"no memory, TLS", use_tls, NULL, NULL, NULL, transport_no_memory},
      CU_SUITE_INFO_NULL,
  };
  /* libwebsockets asks for the local time; with no TZ the C library then
   * reads it anew each time, under a lock that TSan can't see. */
  setenv("TZ", "UTC", 0);
  int status = test_cert_make(&cert) ? test_run(argc, argv, suites) : 2;
  test_cert_remove(&cert);
  return status;
}
