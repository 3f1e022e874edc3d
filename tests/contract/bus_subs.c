/* bus_subs.c - the life of subscriptions. */
#include <stdio.h>
#include <string.h>

#include "bus_contract.h"

/* That nothing is delivered after it is done is the fixture's check. */
static void after_unsubscribe_nothing_is_delivered(void) {
  struct bus_receiver *stays = bus_listen(node(1), "room");
  struct bus_receiver *leaves = bus_listen(node(1), "room");
  struct bus_receiver *alone = bus_listen(node(2), "room");
  bus_publish(node(0), "room", "a");
  CU_ASSERT_TRUE(bus_await(leaves, 1));
  CU_ASSERT_TRUE(bus_await(alone, 1));
  CU_ASSERT_EQUAL(bus_end(bus_unsubscribe(leaves)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_unsubscribe(alone)), WWR_OK);
  bus_publish(node(0), "room", "b");
  bus_publish(node(1), "room", "c");
  CU_ASSERT_TRUE(bus_await(stays, 3));
  CU_ASSERT_STRING_EQUAL(bus_texts(leaves), "a ");
  CU_ASSERT_STRING_EQUAL(bus_texts(alone), "a ");
}

static void a_subscription_begins_anew(void) {
  struct bus_receiver *r = bus_listen(node(1), "room");
  bus_publish(node(0), "room", "a");
  CU_ASSERT_TRUE(bus_await(r, 1));
  CU_ASSERT_EQUAL(bus_end(bus_unsubscribe(r)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_publish(node(0), "room", "b")), WWR_OK);
  struct bus_call *call = bus_subscribe(r, "room", 1);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), "b ");
  bus_publish(node(2), "room", "c");
  CU_ASSERT_TRUE(bus_await(r, 2));
  CU_ASSERT_STRING_EQUAL(bus_texts(r), "a c ");
}

static void an_open_subscribe_ends_before_its_end(void) {
  for (unsigned i = 0; i < 20; i++) {
    struct bus_receiver *r = bus_receiver(node(i));
    struct bus_call *begin = bus_subscribe(r, "room", 5);
    struct bus_call *join = bus_join(r, 5);
    struct bus_call *end = bus_unsubscribe(r);
    CU_ASSERT_EQUAL(bus_end(end), WWR_OK);
    CU_ASSERT_TRUE_FATAL(bus_ended(begin) && bus_ended(join));
    CU_ASSERT_TRUE(begin->err == WWR_OK || begin->err == WWR_E_CLOSED);
    CU_ASSERT_TRUE(join->err == WWR_OK || join->err == WWR_E_CLOSED);
    CU_ASSERT_TRUE(begin->stamp < end->stamp && join->stamp < end->stamp);
  }
}

static void an_open_subscribe_can_be_given_up(void) {
  struct bus_receiver *r = bus_receiver(node(0));
  fx.subject->hold(true);
  struct bus_call *begin = bus_subscribe(r, "room", 5);
  struct bus_call *end = bus_unsubscribe(r);
  if (fx.subject->strict) CU_ASSERT_EQUAL(bus_end(end), WWR_OK);
  fx.subject->hold(false);
  CU_ASSERT_EQUAL(bus_end(end), WWR_OK);
  CU_ASSERT_TRUE(bus_ended(begin));
  if (fx.subject->strict) CU_ASSERT_EQUAL(begin->err, WWR_E_CLOSED);
  CU_ASSERT_EQUAL(bus_end(bus_subscribe(r, "room", 0)), WWR_OK);
  bus_publish(node(1), "room", "x");
  CU_ASSERT_TRUE(bus_await(r, 1));
}

static void joining_what_does_not_stand_fails(void) {
  struct bus_receiver *r = bus_listen(node(0), "room");
  CU_ASSERT_EQUAL(bus_end(bus_unsubscribe(r)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_join(r, 1)), WWR_E_CLOSED);
}

/* --- flapping while others publish --- */

enum { FLAPS = 60, FLAPPERS = 3, STEADY = 400 };

static struct bus_receiver *flapping[FLAPPERS];
static struct bus_call *begun[FLAPPERS][FLAPS], *ended[FLAPPERS][FLAPS];

static void flap(unsigned index) {
  if (index == FLAPPERS) {
    for (unsigned i = 0; i < STEADY; i++) bus_publish(node(i), "room", "x");
    return;
  }
  for (unsigned i = 0; i < FLAPS; i++) {
    begun[index][i] = bus_subscribe(flapping[index], "room", 0);
    ended[index][i] = bus_unsubscribe(flapping[index]);
    bus_wait(ended[index][i]);
  }
}

/* What is delivered while one stands has no gap: the fixture's check. */
static void subscriptions_may_flap(void) {
  struct bus_receiver *steady = bus_listen(node(0), "room");
  for (unsigned i = 0; i < FLAPPERS; i++) flapping[i] = bus_receiver(node(i));
  bus_threads(FLAPPERS + 1, flap);
  for (unsigned i = 0; i < FLAPPERS * FLAPS; i++) {
    struct bus_call *begin = begun[i / FLAPS][i % FLAPS];
    CU_ASSERT_EQUAL(bus_end(ended[i / FLAPS][i % FLAPS]), WWR_OK);
    CU_ASSERT_TRUE(bus_ended(begin));
    CU_ASSERT_TRUE(begin->err == WWR_OK || begin->err == WWR_E_CLOSED);
  }
  CU_ASSERT_TRUE(bus_await(steady, STEADY));
  struct bus_receiver *r = flapping[0];
  size_t before = bus_count(r);
  CU_ASSERT_EQUAL(bus_end(bus_subscribe(r, "room", 0)), WWR_OK);
  bus_publish(node(1), "room", "last");
  CU_ASSERT_TRUE(bus_await(r, before + 1));
}

static void many_channels_at_once(void) {
  enum { CHANNELS = 120 };
  struct bus_receiver *r[CHANNELS];
  struct bus_call *call[CHANNELS];
  char name[32];
  for (unsigned i = 0; i < CHANNELS; i++) {
    snprintf(name, sizeof name, "channel %u", i);
    r[i] = bus_receiver(node(i));
    call[i] = bus_subscribe(r[i], name, 3);
  }
  for (unsigned i = 0; i < CHANNELS; i++) {
    CU_ASSERT_EQUAL(bus_end(call[i]), WWR_OK);
  }
  for (unsigned i = 0; i < CHANNELS; i++) {
    snprintf(name, sizeof name, "channel %u", i);
    bus_publish(node(i + 1), name, name);
  }
  for (unsigned i = 0; i < CHANNELS; i++) {
    snprintf(name, sizeof name, "channel %u ", i);
    CU_ASSERT_TRUE(bus_await(r[i], 1));
    CU_ASSERT_STRING_EQUAL(bus_texts(r[i]), name);
  }
  CU_ASSERT_TRUE(bus_state(node(0)).channels >= CHANNELS / fx.subject->nodes);
}

/* Pressure only delays what is repaired: in calm it changes nothing. */
static void pressure_does_not_stop_what_is_live(void) {
  struct bus_receiver *r = bus_listen(node(1), "room");
  r->on->bus->ops->pressure(r->on->bus, &r->sub, true);
  bus_publish(node(0), "room", "a");
  CU_ASSERT_TRUE(bus_await(r, 1));
  r->on->bus->ops->pressure(r->on->bus, &r->sub, false);
  bus_publish(node(0), "room", "b");
  CU_ASSERT_TRUE(bus_await(r, 2));
}

static void bad_subscribes_are_refused(void) {
  static const struct {
    const char *bytes;
    size_t len;
  } bad[] = {{"", 0},          {"!", 1},       {"!ctl", 4}, {"a\n", 2},
             {"\r\n", 2},      {"a\0b", 3},    {"\x7f", 1}, {"\xc3\xa4", 2},
             {"tab\there", 8}, {"\x1b[0m", 4}, {"\x80", 1}};
  static char long_name[WWRI_CHANNEL_MAX + 1];
  struct wwr_bus *bus = node(0)->bus;
  struct wwri_bus_publish what = {.payload = wwr_payload_text("x")};
  struct wwri_bus_member member = {.connections = 1};
  struct wwri_bus_sub sub = {0};
  struct wwri_bus_op op = {0};
  memset(long_name, 'x', sizeof long_name);
  size_t count = sizeof bad / sizeof *bad;
  for (size_t i = 0; i <= count; i++) {
    struct wwr_view name = {(uint8_t *)long_name, sizeof long_name};
    if (i < count) {
      name = (struct wwr_view){(const uint8_t *)bad[i].bytes, bad[i].len};
    }
    CU_ASSERT_EQUAL(bus->ops->subscribe(bus, name, &sub, 0, &op),
                    WWR_E_INVALID);
    CU_ASSERT_EQUAL(bus->ops->publish(bus, name, &what, &op), WWR_E_INVALID);
    CU_ASSERT_EQUAL(bus->ops->history(bus, name, 1, &op), WWR_E_INVALID);
    CU_ASSERT_EQUAL(bus->ops->presence_set(bus, name, &member, &op),
                    WWR_E_INVALID);
    CU_ASSERT_EQUAL(bus->ops->presence_list(bus, name, &op), WWR_E_INVALID);
    CU_ASSERT_EQUAL(bus->ops->subscribers(bus, name, &op), WWR_E_INVALID);
  }
}

CU_TestInfo bus_subs_tests[] = {
    {"after_unsubscribe_nothing_is_delivered",
     after_unsubscribe_nothing_is_delivered},
    {"a_subscription_begins_anew", a_subscription_begins_anew},
    {"an_open_subscribe_ends_before_its_end",
     an_open_subscribe_ends_before_its_end},
    {"an_open_subscribe_can_be_given_up", an_open_subscribe_can_be_given_up},
    {"joining_what_does_not_stand_fails", joining_what_does_not_stand_fails},
    {"subscriptions_may_flap", subscriptions_may_flap},
    {"many_channels_at_once", many_channels_at_once},
    {"pressure_does_not_stop_what_is_live",
     pressure_does_not_stop_what_is_live},
    {"bad_subscribes_are_refused", bad_subscribes_are_refused},
    CU_TEST_INFO_NULL};
