#include <stdlib.h>
#include <string.h>

#include "transport_contract.h"

enum { NOT_FOUND = 404, FORBIDDEN = 403, UNAVAILABLE = 503 };

static void test_open_and_close(void) {
  struct client *client;
  CU_ASSERT_STRING_EQUAL(fix.transport->ops->address(fix.transport), "");
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  CU_ASSERT_STRING_NOT_EQUAL(fix.transport->ops->address(fix.transport), "");
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(server_stats().accepted, 1);
  CU_ASSERT_TRUE(connections_become(1));
  end_close(&client->end, WWRI_CLOSE_NORMAL);
  WAIT(client->end.closed && end->closed);
  CU_ASSERT_EQUAL(client->end.reason, WWR_OK);
  CU_ASSERT_EQUAL(end->reason, WWR_OK);
  CU_ASSERT_TRUE(connections_become(0));
}

static void test_dial_again_after_close(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  for (int i = 0; i < 5; i++) {
    struct end *end = connect_client(&client);
    CU_ASSERT_EQUAL(end_send(end, 0, 1, 5), WWR_OK);
    WAIT(client->end.received == 1);
    end_close(end, WWRI_CLOSE_GOING_AWAY);
    WAIT(client->end.closed && end->closed);
  }
  CU_ASSERT_EQUAL(server_stats().accepted, 5);
}

/* One dialer, one connection after the other. */
static void test_one_dialer_twice(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  connect_client(&client);
  end_abort(&client->end);
  WAIT(client->end.closed == 1);
  memset(&client->end, 0, sizeof(client->end));
  CU_ASSERT_EQUAL_FATAL(client_dial(client, 20000), WWR_OK);
  WAIT(client->end.opened == 1 && fix.opened == 2);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 3, 10), WWR_OK);
  WAIT(fix.server_ends[1].received == 3);
}

static bool refuse(struct wwr_http *http) {
  (void)http;
  return false;
}

static bool refuse_with_404(struct wwr_http *http) {
  return wwr_http_respond(http, NOT_FOUND, "text/plain",
                          wwr_view_str("nothing here")) != WWR_OK;
}

static void test_refused_by_the_hook(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  fix.upgrade = refuse;
  dial_refused(WWR_E_REFUSED, FORBIDDEN);
  fix.upgrade = refuse_with_404;
  dial_refused(WWR_E_REFUSED, NOT_FOUND);
  CU_ASSERT_EQUAL(server_stats().accepted, 0);
  CU_ASSERT_EQUAL(server_stats().refused, 2);
  CU_ASSERT_TRUE(connections_become(0));
}

static void test_503_while_refusing(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  fix.transport->ops->refuse(fix.transport);
  dial_refused(WWR_E_REFUSED, UNAVAILABLE);
  CU_ASSERT_EQUAL(end_send(end, 0, 10, 10), WWR_OK); /* who is in stays in */
  WAIT(client->end.received == 10);
}

/* A place may become free a moment after the closed event. */
static bool gets_in(struct client *client) {
  for (int i = 0; i < 1000; i++) {
    client->failed = 0;
    if (client_dial(client, 20000)) return false;
    WAIT(client->failed || client->end.opened);
    if (client->end.opened) return true;
    settle();
  }
  return false;
}

static void test_503_over_max_connections(void) {
  struct client *client[2];
  fix.config.max_connections = 2;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  connect_client(&client[0]);
  struct end *end = connect_client(&client[1]);
  struct client *third = dial_refused(WWR_E_REFUSED, UNAVAILABLE);
  CU_ASSERT_EQUAL(server_stats().refused, 1);
  end_close(&client[1]->end, WWRI_CLOSE_NORMAL);
  WAIT(client[1]->end.closed && end->closed);
  CU_ASSERT_TRUE(gets_in(third));
  CU_ASSERT_TRUE(connections_become(2));
  dial_refused(WWR_E_REFUSED, UNAVAILABLE);
}

static void test_nobody_listens(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  client = client_new(); /* knows the address */
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  fix.transport->ops->stop(fix.transport);
  CU_ASSERT_EQUAL_FATAL(client_dial(client, 20000), WWR_OK);
  WAIT(client->failed || client->end.opened);
  CU_ASSERT_EQUAL(client->failed, 1);
  CU_ASSERT_EQUAL(client->fail_reason, WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(client->status, 0);
}

/* Options that the hook sets travel with the request; what nobody took is
 * released by the transport. */
static int released;
static int concurrency_seen;

static void release(void *value) {
  CU_ASSERT_STRING_EQUAL(value, "info");
  released++;
}

static bool set_options(struct wwr_http *http) {
  static char info[] = "info";
  wwr_http_set_concurrency(http, 7);
  concurrency_seen = http->has_concurrency ? http->concurrency : 0;
  if (wwr_http_set_info(http, 1, info, release)) return false;
  return wwr_http_set_info(http, 2, info, release) == WWR_OK;
}

static struct wwri_infos taken;

static bool set_and_take_options(struct wwr_http *http) {
  static const struct wwri_infos none;
  bool good = set_options(http);
  taken = http->infos;
  http->infos = none;
  return good;
}

static void test_options_of_the_hook(void) {
  struct client *client;
  released = 0;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  fix.upgrade = set_and_take_options;
  connect_client(&client);
  CU_ASSERT_EQUAL(concurrency_seen, 7);
  CU_ASSERT_EQUAL(taken.count, 2);
  CU_ASSERT_EQUAL(released, 0);
  wwri_infos_deinit(&taken);
  CU_ASSERT_EQUAL(released, 2);
  fix.upgrade = set_options;
  connect_client(&client);
  settle();
  CU_ASSERT_EQUAL(released, 4);
}

/* Frames that were sent before the release come first, in order. */
static void test_held_pipes(void) {
  struct client *client;
  fix.hold_servers = true;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(end_send(end, 0, 2, 20), WWR_OK);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 3, 30), WWR_OK);
  settle();
  CU_ASSERT_EQUAL(end_send(end, 2, 2, 20), WWR_OK);
  settle();
  CU_ASSERT_EQUAL(client->end.received, 0);
  CU_ASSERT_EQUAL(end->received, 0);
  end_release(end);
  CU_ASSERT_EQUAL(end_send(end, 4, 2, 20), WWR_OK);
  WAIT(client->end.received == 6 && end->received == 3);
}

static void test_held_client(void) {
  struct client *client = NULL;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  fix.clients[0].end.hold = true;
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 5, 20), WWR_OK);
  CU_ASSERT_EQUAL(end_send(end, 0, 5, 20), WWR_OK);
  settle();
  CU_ASSERT_EQUAL(client->end.received, 0);
  CU_ASSERT_EQUAL(end->received, 0);
  end_release(&client->end);
  WAIT(client->end.received == 5 && end->received == 5);
}

/* Dial and cancel in one go. */
static void cancel_dial(void *arg) {
  struct client *client = arg;
  struct wwr_dialer *dialer = client->dialer;
  dialer->ops->cancel(dialer); /* nothing to cancel: harmless */
  CU_ASSERT_EQUAL(dialer->ops->dial(dialer, 20000), WWR_OK);
  dialer->ops->cancel(dialer);
  dialer->ops->cancel(dialer);
  CU_ASSERT_EQUAL(client->failed, 0); /* it follows later */
}

static void test_cancel(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct client *client = client_new();
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  run_on(fix.client_loop, cancel_dial, client);
  WAIT(client->failed == 1);
  CU_ASSERT_EQUAL(client->fail_reason, WWR_E_CANCELED);
  settle();
  CU_ASSERT_EQUAL(client->failed, 1);
  CU_ASSERT_EQUAL(client->end.opened, 0);
  CU_ASSERT_EQUAL(client_dial(client, 20000), WWR_OK);
  WAIT(client->end.opened == 1);
}

/* A server that does not answer: its loop is stuck in the hook. */
static bool gate_open;

static bool wait_for_gate(struct wwr_http *http) {
  (void)http;
  WAIT(gate_open);
  return true;
}

static void test_dial_timeout(void) {
  gate_open = false;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  fix.upgrade = wait_for_gate;
  struct client *client = client_new();
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  CU_ASSERT_EQUAL(client_dial(client, 50), WWR_OK);
  WAIT(client->failed || client->end.opened);
  CU_ASSERT_EQUAL(client->failed, 1);
  CU_ASSERT_EQUAL(client->fail_reason, WWR_E_DIAL_TIMEOUT);
  pthread_mutex_lock(&fix.lock);
  gate_open = true;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
  settle();
  CU_ASSERT_EQUAL(client->failed, 1);
  CU_ASSERT_EQUAL(client->end.opened, 0);
}

/* More than one loop: connections spread. */
static void test_connections_spread(void) {
  struct client *client;
  int on_first = 0;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  for (int i = 0; i < 10; i++) {
    if (connect_client(&client)->loop == fix.loops[0]) on_first++;
  }
  CU_ASSERT_EQUAL(on_first, fix.loop_count == 2 ? 5 : 10);
}

CU_TestInfo transport_opening[] = {
    {"open and close", test_open_and_close},
    {"dial again after close", test_dial_again_after_close},
    {"one dialer twice", test_one_dialer_twice},
    {"refused by the hook", test_refused_by_the_hook},
    {"503 while refusing", test_503_while_refusing},
    {"503 over max_connections", test_503_over_max_connections},
    {"nobody listens", test_nobody_listens},
    {"options of the hook", test_options_of_the_hook},
    {"held pipes", test_held_pipes},
    {"held client", test_held_client},
    {"cancel", test_cancel},
    {"dial time-out", test_dial_timeout},
    {"connections spread", test_connections_spread},
    CU_TEST_INFO_NULL,
};
