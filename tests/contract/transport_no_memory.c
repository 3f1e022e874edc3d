/* Every allocation of our own code fails once, one after the other, from
 * making the transport to its end: success or a clean failure, never a hang
 * (WAIT has a deadline), a leak or a wrong message (the fixture checks). */
#include "transport_contract.h"

enum { COUNT = 40, LEN = 50 };

/* The other builds fail each of them; TSan sees the same paths in a third. */
#ifdef __SANITIZE_THREAD__
enum { STEP = 3 };
#else
enum { STEP = 1 };
#endif

static void send_both_ways(struct client *client) {
  struct end *end = &fix.server_ends[fix.taken - 1];
  wwr_err to_client = end_send(end, 0, COUNT, LEN);
  wwr_err to_server = end_send(&client->end, 0, COUNT, LEN);
  WAIT(end->closed || client->end.closed || to_client ||
       client->end.received == COUNT);
  WAIT(end->closed || client->end.closed || to_server ||
       end->received == COUNT);
}

static void talk(void) {
  struct client *client = client_new();
  if (!client || client_dial(client, 20000)) return;
  WAIT(client->failed || client->end.closed ||
       (client->end.opened && fix.opened == 1));
  if (fix.opened && client->end.opened) send_both_ways(client);
}

static bool run_once(long fail_at) {
  test_alloc_fail_at(fail_at);
  if (fixture_try_setup() && fixture_start() == WWR_OK) talk();
  bool failed = test_alloc_failed();
  fixture_teardown();
  return failed;
}

static void test_every_allocation(void) {
  long n = 0;
  unsigned before = CU_get_number_of_failures();
  while (run_once(n) && CU_get_number_of_failures() == before) n += STEP;
  CU_ASSERT_TRUE(n > 50); /* the messages alone are more */
}

CU_TestInfo transport_no_memory[] = {
    {"every allocation", test_every_allocation},
    CU_TEST_INFO_NULL,
};
