#include <sched.h>

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

static void test_nothing_made_without_memory(void) {
  struct wwr_memory_hub *hub, *none = (struct wwr_memory_hub *)&hub;
  struct wwr_transport *transport = (struct wwr_transport *)&hub;
  struct wwr_dialer *dialer = (struct wwr_dialer *)&hub;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&hub), WWR_OK);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwr_memory_hub_new(&none), WWR_E_NOMEM);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwr_memory_transport_new(&transport, hub), WWR_E_NOMEM);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwr_memory_dialer_new(&dialer, hub), WWR_E_NOMEM);
  test_alloc_fail_at(-1);
  CU_ASSERT_PTR_NULL(none);
  CU_ASSERT_PTR_NULL(transport);
  CU_ASSERT_PTR_NULL(dialer);
  wwr_memory_hub_free(hub);
}

/* What the peer has not taken counts as ours, however little it is. */
static void test_untaken_bytes_count(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  end_pause(&client->end, true);
  CU_ASSERT_EQUAL(end_send(end, 0, 5, 8), WWR_OK);
  settle();
  CU_ASSERT_EQUAL(end_send(end, 5, 5, 8), WWR_OK);
  settle();
  CU_ASSERT_EQUAL(end_queued_bytes(end), 100); /* header bytes count */
  end_pause(&client->end, false);
  WAIT(client->end.received == 10);
  settle();
  CU_ASSERT_EQUAL(end_queued_bytes(end), 0);
}

static bool refuse(struct wwr_http *http) {
  (void)http;
  return false;
}

static void test_refused_dials_weigh_nothing(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  fix.upgrade = refuse;
  dial_refused(WWR_E_REFUSED, 403);
  fix.upgrade = NULL;
  CU_ASSERT_PTR_EQUAL(connect_client(&client)->loop, fix.loops[0]);
  CU_ASSERT_PTR_EQUAL(connect_client(&client)->loop, fix.loops[1]);
}

static bool end_is_closed(struct end *end) {
  pthread_mutex_lock(&fix.lock);
  bool closed = end->closed;
  pthread_mutex_unlock(&fix.lock);
  return closed;
}

/* The peer's goodbye waits in the mailbox when this side aborts; unless it was
 * faster, and there is nothing left to abort. */
static void abort_behind_the_peer(void *arg) {
  struct end *end = arg;
  WAIT(fix.clients[0].end.closed);
  if (end_is_closed(end)) return;
  while (!wwri_loop_has_mail(end->loop)) sched_yield();
  end->pipe->ops->abort(end->pipe);
}

static void post_client_abort(struct wwri_mail *mail) {
  (void)mail;
  struct wwri_pipe *pipe = fix.clients[0].end.pipe;
  pipe->ops->abort(pipe);
}

static void test_both_abort(void) {
  struct client *client;
  struct wwri_mail mail = {NULL, post_client_abort};
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  wwri_loop_post(fix.client_loop, &mail);
  run_on(end->loop, abort_behind_the_peer, end);
  WAIT(end->closed);
  settle();
  CU_ASSERT_EQUAL(end->reason, WWR_E_DISCONNECTED);
}

static CU_TestInfo memory_only[] = {
    {"one server per hub", test_one_server_per_hub},
    {"free before start", test_free_before_start},
    {"nothing made without memory", test_nothing_made_without_memory},
    {"untaken bytes count", test_untaken_bytes_count},
    {"refused dials weigh nothing", test_refused_dials_weigh_nothing},
    {"both abort", test_both_abort},
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
      SUITE("memory only", two_loops, memory_only),
      {"no memory", two_loops, NULL, NULL, NULL, transport_no_memory},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
