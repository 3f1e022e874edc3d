/* bus_nodes.c - members, nodes, and what is told to nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_contract.h"

static struct bus_call *ask_subscribers(struct bus_node *on, uint64_t count) {
  struct bus_call *call = bus_subscribers(on, "room");
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->connections, count);
  return call;
}

static void presence_is_absolute(void) {
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 2)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "bob", 1)), WWR_OK);
  bus_await_members(node(1), "room", "ann=2;bob=1;");
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 5)), WWR_OK);
  }
  bus_await_members(node(1), "room", "ann=5;bob=1;");
  ask_subscribers(node(1), 6);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 0)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 0)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "eve", 0)), WWR_OK);
  bus_await_members(node(2), "room", "bob=1;");
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "bob", 0)), WWR_OK);
  bus_await_members(node(2), "room", "");
  ask_subscribers(node(2), 0);
}

static void those_without_a_name_are_one_member(void) {
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "", 7)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 1)), WWR_OK);
  bus_await_members(node(1), "room", "=7;ann=1;");
  ask_subscribers(node(1), 8);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "", 0)), WWR_OK);
  bus_await_members(node(1), "room", "ann=1;");
}

/* With one node the second value replaces the first. */
static void members_of_all_nodes_are_one_list(void) {
  bool one = fx.subject->nodes == 1;
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(0), "room", "ann", 1)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(1), "room", "ann", 2)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(1), "room", "bob", 4)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(2), "hall", "bob", 9)), WWR_OK);
  bus_await_members(node(2), "room", one ? "ann=2;bob=4;" : "ann=3;bob=4;");
  bus_await_members(node(0), "hall", "bob=9;");
  ask_subscribers(node(0), one ? 6 : 7);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(1), "room", "ann", 0)), WWR_OK);
  bus_await_members(node(0), "room", one ? "bob=4;" : "ann=1;bob=4;");
}

#define HOSTILE "\r\n$5 \xff{0}:*'\"\\"

static void members_may_be_any_bytes(void) {
  static char most[WWRI_BUS_MEMBER_MAX + 1], info[WWRI_BUS_INFO_MAX + 1];
  memset(most, 0xfe, sizeof most);
  memset(info, '\n', sizeof info);
  struct wwri_bus_member member = {.member = wwr_view_str(HOSTILE),
                                   .info = wwr_view_str("in" HOSTILE),
                                   .connections = UINT32_MAX};
  struct wwr_view room = wwr_view_str("room");
  CU_ASSERT_EQUAL(bus_end(bus_presence_as(node(0), room, &member)), WWR_OK);
  bus_await_members(node(1), "room", HOSTILE "=4294967295(in" HOSTILE ");");
  member.connections = 0;
  CU_ASSERT_EQUAL(bus_end(bus_presence_as(node(0), room, &member)), WWR_OK);
  member.connections = 1;
  member.member = (struct wwr_view){(uint8_t *)most, WWRI_BUS_MEMBER_MAX};
  member.info = (struct wwr_view){(uint8_t *)info, WWRI_BUS_INFO_MAX};
  CU_ASSERT_EQUAL(bus_end(bus_presence_as(node(0), room, &member)), WWR_OK);
  ask_subscribers(node(0), 1);
  member.member.len++;
  CU_ASSERT_EQUAL(bus_presence_as(node(0), room, &member)->refused,
                  WWR_E_INVALID);
  member.member.len--;
  member.info.len++;
  CU_ASSERT_EQUAL(bus_presence_as(node(0), room, &member)->refused,
                  WWR_E_INVALID);
}

static void many_members_are_listed(void) {
  enum { MEMBERS = 500 };
  struct bus_call *call = NULL;
  for (unsigned i = 0; i < MEMBERS; i++) {
    char name[16];
    snprintf(name, sizeof name, "m%u", i);
    call = bus_presence(node(0), "room", name, i + 1);
  }
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  ask_subscribers(node(0), MEMBERS * (MEMBERS + 1) / 2);
  call = bus_members(node(0), "room");
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  unsigned count = 0;
  for (const char *at = call->text; (at = strchr(at, ';')); at++) count++;
  CU_ASSERT_EQUAL(count, MEMBERS);
}

/* --- nodes --- */

static void nodes_know_each_other(void) {
  bool one = fx.subject->nodes == 1;
  for (unsigned i = 0; i < fx.subject->nodes; i++) {
    node(i)->bus->ops->load(node(i)->bus, 10 + i, i == 1);
  }
  bus_await_nodes(node(0),
                  one ? "first:1=10;" : "first:1=10;second:2=11!;third:3=12;");
  bus_await_nodes(node(2),
                  one ? "first:1=10;" : "third:3=12;first:1=10;second:2=11!;");
  node(0)->bus->ops->load(node(0)->bus, 0, true);
  bus_await_nodes(node(1),
                  one ? "first:1=0!;" : "second:2=11!;first:1=0!;third:3=12;");
}

static void a_closed_node_is_gone(void) {
  if (fx.subject->nodes < 3) return; /* nobody is left to ask */
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(2), "room", "ann", 3)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_presence(node(1), "room", "ann", 1)), WWR_OK);
  bus_await_members(node(0), "room", "ann=4;");
  bus_close_node(node(2));
  bus_await_nodes(node(0), "first:1=0;second:2=0;");
  bus_await_members(node(0), "room", "ann=1;");
  ask_subscribers(node(1), 1);
}

static void boots_tell_nodes_apart(void) {
  for (unsigned i = 0; i < fx.subject->nodes; i++) {
    struct wwri_boot boot = bus_boot_of(node(i));
    CU_ASSERT_FALSE(wwri_boot_equal(boot, (struct wwri_boot){0}));
    for (unsigned j = 0; j < i; j++) {
      struct wwri_boot other = bus_boot_of(node(j));
      CU_ASSERT_FALSE(wwri_boot_equal(boot, other));
    }
  }
}

/* --- telling them --- */

static void one_node_is_told(void) {
  struct wwr_view topic = wwr_view_str("t" HOSTILE);
  struct wwr_view bytes = wwr_view_str("b" HOSTILE);
  struct wwr_view none = {0};
  CU_ASSERT_EQUAL(
      bus_end(bus_send(node(0), bus_boot_of(node(1)), topic, bytes)), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_await_direct(node(1), 1),
                         "t" HOSTILE "=b" HOSTILE "|");
  CU_ASSERT_EQUAL(bus_end(bus_send(node(1), bus_boot_of(node(1)), none, none)),
                  WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_await_direct(node(1), 2),
                         "t" HOSTILE "=b" HOSTILE "|=|");
  if (fx.subject->nodes > 1) CU_ASSERT_EQUAL(node(0)->direct.count, 0);
  struct wwri_boot nobody = {1, 1};
  CU_ASSERT_EQUAL(bus_end(bus_send(node(0), nobody, topic, bytes)),
                  WWR_E_REFUSED);
}

static void sends_keep_their_order(void) {
  char text[4096] = "";
  for (unsigned i = 0; i < 50; i++) {
    char bytes[16];
    snprintf(bytes, sizeof bytes, "%u", i);
    snprintf(text + strlen(text), sizeof text - strlen(text), "n=%u|", i);
    bus_send(node(0), bus_boot_of(node(1)), wwr_view_str("n"),
             wwr_view_str(bytes));
  }
  CU_ASSERT_STRING_EQUAL(bus_await_direct(node(1), 50), text);
}

enum { CONTROLLERS = 3, CONTROLS = 40 };

static struct bus_call *told[CONTROLLERS][CONTROLS];

static void control_some(unsigned index) {
  for (unsigned i = 0; i < CONTROLS; i++) {
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%u:%u", index, i);
    told[index][i] = bus_control(node(index), wwr_view_str("t" HOSTILE),
                                 wwr_view_str(bytes));
  }
}

static void all_nodes_are_told_in_one_order(void) {
  bus_threads(CONTROLLERS, control_some);
  for (unsigned i = 0; i < CONTROLLERS * CONTROLS; i++) {
    CU_ASSERT_EQUAL(bus_end(told[i / CONTROLS][i % CONTROLS]), WWR_OK);
  }
  static char first[BUS_TEXT];
  snprintf(first, sizeof first, "%s",
           bus_await_control(node(0), CONTROLLERS * CONTROLS));
  for (unsigned i = 0; i < fx.subject->nodes; i++) {
    CU_ASSERT_STRING_EQUAL(bus_await_control(node(i), CONTROLLERS * CONTROLS),
                           first);
    CU_ASSERT_EQUAL(node(i)->control.count, CONTROLLERS * CONTROLS);
  }
  unsigned next[CONTROLLERS] = {0};
  for (const char *at = first; (at = strstr(at, HOSTILE "=")); at++) {
    unsigned who = CONTROLLERS, number = 0;
    CU_ASSERT_EQUAL_FATAL(
        sscanf(at + strlen(HOSTILE "="), "%u:%u", &who, &number), 2);
    CU_ASSERT_TRUE_FATAL(who < CONTROLLERS);
    CU_ASSERT_EQUAL(number, next[who]);
    next[who]++;
  }
}

static void bad_tellings_are_refused(void) {
  static char long_topic[WWRI_BUS_TOPIC_MAX + 1];
  static uint8_t big[65536 + WWRI_BUS_ROOM + 1];
  struct wwri_boot self = bus_boot_of(node(0));
  struct wwr_view topic = {(uint8_t *)long_topic, sizeof long_topic};
  struct wwr_view bytes = {big, sizeof big}, none = {0};
  memset(long_topic, 'x', sizeof long_topic);
  CU_ASSERT_EQUAL(bus_send(node(0), self, topic, none)->refused, WWR_E_INVALID);
  CU_ASSERT_EQUAL(bus_control(node(0), topic, none)->refused, WWR_E_INVALID);
  topic.len--;
  CU_ASSERT_EQUAL(bus_send(node(0), self, topic, bytes)->refused,
                  WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(bus_control(node(0), topic, bytes)->refused,
                  WWR_E_BUFFER_OVERFLOW);
  bytes.len--;
  CU_ASSERT_EQUAL(bus_end(bus_send(node(0), self, topic, bytes)), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(bus_control(node(0), topic, bytes)), WWR_OK);
  bus_await_direct(node(0), 1);
  bus_await_control(node(0), 1);
}

CU_TestInfo bus_nodes_tests[] = {
    {"presence_is_absolute", presence_is_absolute},
    {"those_without_a_name_are_one_member",
     those_without_a_name_are_one_member},
    {"members_of_all_nodes_are_one_list", members_of_all_nodes_are_one_list},
    {"members_may_be_any_bytes", members_may_be_any_bytes},
    {"many_members_are_listed", many_members_are_listed},
    {"nodes_know_each_other", nodes_know_each_other},
    {"a_closed_node_is_gone", a_closed_node_is_gone},
    {"boots_tell_nodes_apart", boots_tell_nodes_apart},
    {"one_node_is_told", one_node_is_told},
    {"sends_keep_their_order", sends_keep_their_order},
    {"all_nodes_are_told_in_one_order", all_nodes_are_told_in_one_order},
    {"bad_tellings_are_refused", bad_tellings_are_refused},
    CU_TEST_INFO_NULL};
