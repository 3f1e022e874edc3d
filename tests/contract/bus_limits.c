/* bus_limits.c - ceilings, counters, many threads, and the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_contract.h"

static void small_queue(struct wwri_bus_config *config) {
  config->max_queued_bytes = 100000;
  config->max_payload_bytes = 1000;
}

/* What is smaller may still fit, but not for ever. */
static void expect_full(struct bus_receiver *r) {
  struct bus_node *on = r->on;
  struct wwr_view text = wwr_view_str("x");
  unsigned more = 0;
  CU_ASSERT_EQUAL(bus_publish(on, "room", "x")->refused, WWR_E_LIMIT);
  while (more < 10 && !bus_control(on, text, text)->refused) more++;
  CU_ASSERT_EQUAL(bus_control(on, text, text)->refused, WWR_E_LIMIT);
}

static void queues_have_a_ceiling(void) {
  static const char text[] =
      "0123456789012345678901234567890123456789012345678901234567890123456789";
  bus_fixture_reopen(small_queue);
  struct bus_receiver *r = bus_listen(node(0), "room");
  struct bus_receiver *leaves = bus_listen(node(0), "room");
  fx.subject->hold(true);
  unsigned taken = 0;
  while (taken < 10000 && !bus_publish(node(0), "room", text)->refused) taken++;
  CU_ASSERT_TRUE(taken > 10 && taken < 2000);
  uint64_t queued = bus_state(node(0)).queued_bytes;
  CU_ASSERT_TRUE(queued > 50000 && queued <= 100000);
  /* Smaller ones may still fit, but not for ever; leaving always does. */
  while (taken < 10000 && !bus_publish(node(0), "room", "x")->refused) taken++;
  expect_full(r);
  struct bus_call *leave = bus_unsubscribe(leaves);
  fx.subject->hold(false);
  CU_ASSERT_EQUAL(bus_end(leave), WWR_OK);
  CU_ASSERT_TRUE(bus_await(r, taken));
  CU_ASSERT_EQUAL(bus_end(bus_publish(node(0), "room", "x")), WWR_OK);
  CU_ASSERT_TRUE(bus_await(r, taken + 1));
  CU_ASSERT_EQUAL(bus_count(r), taken + 1);
}

static void payloads_have_a_ceiling(void) {
  char text[1002];
  memset(text, 'x', sizeof text);
  bus_fixture_reopen(small_queue);
  text[1001] = '\0';
  CU_ASSERT_EQUAL(bus_publish(node(0), "room", text)->refused,
                  WWR_E_BUFFER_OVERFLOW);
  text[1000] = '\0';
  CU_ASSERT_EQUAL(bus_end(bus_publish(node(0), "room", text)), WWR_OK);
}

static bool has_counted(void *arg) {
  struct bus_node *n = arg;
  struct wwri_bus_state state;
  n->bus->ops->state(n->bus, &state);
  return state.published >= 6 && state.delivered >= 12 &&
         state.queued_bytes == 0;
}

static void what_happens_is_counted(void) {
  struct bus_receiver *r[2] = {bus_listen(node(0), "room"),
                               bus_listen(node(0), "room")};
  for (unsigned i = 0; i < 6; i++) bus_publish(node(0), "room", "x");
  for (unsigned i = 0; i < 2; i++) CU_ASSERT_TRUE(bus_await(r[i], 6));
  CU_ASSERT_TRUE(bus_until(has_counted, node(0)));
  struct wwri_bus_state state = bus_state(node(0));
  CU_ASSERT_EQUAL(state.health, WWRI_BUS_READY);
  CU_ASSERT_STRING_EQUAL(state.reason, "");
  CU_ASSERT_EQUAL(state.channels, 1);
  CU_ASSERT_EQUAL(state.published, 6);
  CU_ASSERT_EQUAL(state.delivered, 12);
  CU_ASSERT_EQUAL(state.duplicates, 0);
  for (unsigned i = 0; i < 4; i++) CU_ASSERT_EQUAL(state.verdicts[i], 0);
}

/* --- many threads on one node --- */

enum { THREADS = 4, ROUNDS = 40 };

static struct bus_call *presences[THREADS];

static void use_everything(unsigned index) {
  char own[16], text[16];
  snprintf(own, sizeof own, "own-%u", index);
  for (unsigned i = 0; i < ROUNDS; i++) {
    snprintf(text, sizeof text, "%u", i);
    struct bus_receiver *r = bus_receiver(node(0));
    bus_subscribe(r, own, 2);
    bus_publish(node(0), "room", "x");
    bus_publish(node(0), own, text);
    bus_history(node(0), "room", 3);
    presences[index] = bus_presence(node(0), "room", own, i + 1);
    bus_members(node(0), "room");
    bus_subscribers(node(0), "room");
    bus_nodes(node(0));
    bus_state(node(0));
    node(0)->bus->ops->load(node(0)->bus, i, false);
    bus_join(r, 1);
    bus_unsubscribe(r);
  }
}

static void any_thread_may_call(void) {
  struct bus_receiver *room = bus_listen(node(1), "room");
  struct bus_receiver *own[THREADS];
  char name[16], texts[512] = "";
  for (unsigned i = 0; i < THREADS; i++) {
    snprintf(name, sizeof name, "own-%u", i);
    own[i] = bus_listen(node(1), name);
  }
  bus_threads(THREADS, use_everything);
  CU_ASSERT_TRUE(bus_await(room, THREADS * ROUNDS));
  for (unsigned i = 0; i < ROUNDS; i++) {
    snprintf(texts + strlen(texts), sizeof texts - strlen(texts), "%u ", i);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    CU_ASSERT_TRUE(bus_await(own[i], ROUNDS));
    CU_ASSERT_STRING_EQUAL(bus_texts(own[i]), texts);
    CU_ASSERT_EQUAL(bus_end(presences[i]), WWR_OK);
  }
  /* Of each thread's absolute counts the last one stands. */
  bus_await_members(node(1), "room", "own-0=40;own-1=40;own-2=40;own-3=40;");
}

/* --- the end --- */

static void everything_open_ends_with_the_bus(void) {
  struct bus_receiver *r = bus_listen(node(0), "room");
  struct wwr_view text = wwr_view_str("x");
  struct wwri_boot self = bus_boot_of(node(0));
  fx.subject->hold(true);
  struct bus_call *calls[] = {bus_publish(node(0), "room", "x"),
                              bus_join(r, 5),
                              bus_history(node(0), "room", 5),
                              bus_members(node(0), "room"),
                              bus_subscribers(node(0), "room"),
                              bus_presence(node(0), "room", "a", 1),
                              bus_nodes(node(0)),
                              bus_send(node(0), self, text, text),
                              bus_control(node(0), text, text),
                              bus_subscribe(bus_receiver(node(0)), "hall", 1),
                              bus_publish(node(0), "other", "x")};
  bus_close_node(node(0));
  for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
    CU_ASSERT_TRUE(bus_ended(calls[i]));
    CU_ASSERT_EQUAL(calls[i]->err, WWR_E_CLOSED);
  }
  fx.subject->hold(false);
}

static void a_closed_bus_takes_nothing(void) {
  struct bus_receiver *r = bus_listen(node(0), "room");
  struct wwr_view text = wwr_view_str("x");
  struct wwri_boot self = bus_boot_of(node(0));
  bus_close_node(node(0));
  CU_ASSERT_EQUAL(bus_publish(node(0), "room", "x")->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_join(r, 1)->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_unsubscribe(r)->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_subscribe(bus_receiver(node(0)), "room", 1)->refused,
                  WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_history(node(0), "room", 1)->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_presence(node(0), "room", "a", 1)->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_members(node(0), "room")->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_subscribers(node(0), "room")->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_nodes(node(0))->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_send(node(0), self, text, text)->refused, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_control(node(0), text, text)->refused, WWR_E_CLOSED);
  CU_ASSERT_NOT_EQUAL(bus_state(node(0)).health, WWRI_BUS_READY);
  node(0)->bus->ops->load(node(0)->bus, 1, false);
  node(0)->bus->ops->pressure(node(0)->bus, &r->sub, true);
}

CU_TestInfo bus_limits_tests[] = {
    {"queues_have_a_ceiling", queues_have_a_ceiling},
    {"payloads_have_a_ceiling", payloads_have_a_ceiling},
    {"what_happens_is_counted", what_happens_is_counted},
    {"any_thread_may_call", any_thread_may_call},
    {"everything_open_ends_with_the_bus", everything_open_ends_with_the_bus},
    {"a_closed_bus_takes_nothing", a_closed_bus_takes_nothing},
    CU_TEST_INFO_NULL};
