#include "transport_contract.h"
#include "wwr_memory.h"

static wwr_err make_transport(struct wwr_transport **out, void **data) {
  struct wwr_memory_hub *hub;
  wwr_err err = wwr_memory_hub_new(&hub);
  if (err) return err;
  *data = hub;
  return wwr_memory_transport_new(out, hub);
}

static wwr_err make_dialer(struct wwr_dialer **out, const char *address,
                           void *data) {
  (void)address;
  return wwr_memory_dialer_new(out, data);
}

static void free_hub(void *data) {
  wwr_memory_hub_free(data);
}

static const struct subject memory = {"memory", make_transport, make_dialer,
                                      free_hub};

/* What only this transport promises */

static void test_one_server_per_hub(void) {
  struct wwr_transport *second = NULL;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&second, fix.data), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  CU_ASSERT_EQUAL(second->ops->start(second, &fix.config), WWR_E_EXISTS);
  fix.transport->ops->stop(fix.transport);
  CU_ASSERT_EQUAL(second->ops->start(second, &fix.config), WWR_OK);
  second->ops->stop(second);
  wwr_transport_free(second);
}

static void test_free_before_start(void) {
  struct wwr_memory_hub *hub;
  struct wwr_transport *transport;
  struct wwr_dialer *dialer;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&transport, hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_dialer_new(&dialer, hub), WWR_OK);
  wwr_memory_hub_free(hub); /* the two keep it */
  transport->ops->stop(transport);
  dialer->ops->stop(dialer);
  wwr_transport_free(transport);
  wwr_dialer_free(dialer);
  wwr_transport_free(NULL);
  wwr_dialer_free(NULL);
  wwr_memory_hub_free(NULL);
}

static CU_TestInfo memory_only[] = {
    {"one server per hub", test_one_server_per_hub},
    {"free before start", test_free_before_start},
    CU_TEST_INFO_NULL,
};

static int one_loop(void) {
  fixture_select(&memory, 1);
  return 0;
}

static int two_loops(void) {
  fixture_select(&memory, 2);
  return 0;
}

#define SUITE(name, init, tests) \
  { name, init, NULL, fixture_setup, fixture_teardown, tests }

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      SUITE("opening, 1 loop", one_loop, transport_opening),
      SUITE("messages, 1 loop", one_loop, transport_messages),
      SUITE("ending, 1 loop", one_loop, transport_ending),
      SUITE("opening, 2 loops", two_loops, transport_opening),
      SUITE("messages, 2 loops", two_loops, transport_messages),
      SUITE("ending, 2 loops", two_loops, transport_ending),
      SUITE("memory only", one_loop, memory_only),
      {"no memory", two_loops, NULL, NULL, NULL, transport_no_memory},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
