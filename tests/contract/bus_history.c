/* bus_history.c - what a channel remembers, and how the past meets the present
 * without a gap. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bus_contract.h"

static struct bus_call *publish_limited(struct bus_node *on, const char *text,
                                        uint32_t entries, uint32_t age_ms) {
  struct wwri_bus_publish what = {.name = wwr_view_str("name"),
                                  .payload = wwr_payload_text(text),
                                  .limit = {entries, age_ms}};
  return bus_publish_as(on, wwr_view_str("room"), &what);
}

static void publish_numbers(unsigned from, unsigned to) {
  struct bus_call *call = NULL;
  for (unsigned i = from; i <= to; i++) {
    char text[16];
    snprintf(text, sizeof text, "%u", i);
    call = bus_publish(node(i), "room", text);
    CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  }
}

static void expect_history(struct bus_node *on, uint32_t count,
                           const char *text) {
  struct bus_call *call = bus_history(on, "room", count);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), text);
}

static void history_is_the_last_messages(void) {
  publish_numbers(1, 12);
  expect_history(node(0), 3, "10 11 12 ");
  expect_history(node(1), 100, "1 2 3 4 5 6 7 8 9 10 11 12 ");
  expect_history(node(2), 1, "12 ");
  expect_history(node(2), 0, "");
  struct bus_call *call = bus_history(node(0), "room", 2);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_TRUE(wwri_logid_equal(call->id, call->history.at[1]->id));
}

static void a_channel_without_messages_has_none(void) {
  struct bus_call *call = bus_history(node(0), "nobody", 10);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
  struct bus_receiver *r = bus_receiver(node(1));
  call = bus_subscribe(r, "room", 10);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
}

static void history_is_capped(void) {
  enum { COUNT = WWRI_HISTORY_MAX + 44 };
  struct bus_receiver *r = bus_listen(node(1), "room");
  for (unsigned i = 0; i < COUNT; i++) bus_publish(node(0), "room", "x");
  CU_ASSERT_TRUE_FATAL(bus_await(r, COUNT));
  struct bus_call *call = bus_history(node(2), "room", UINT32_MAX);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(call->history.count, WWRI_HISTORY_MAX);
  for (size_t i = 0; i < WWRI_HISTORY_MAX; i++) {
    struct bus_message got = bus_message(r, COUNT - WWRI_HISTORY_MAX + i);
    CU_ASSERT_TRUE(bus_same_message(&got, call->history.at[i]));
  }
}

/* Page by page, from the end; the pages do not overlap and leave nothing out.
 */
static void a_log_is_read_page_by_page(void) {
  enum { COUNT = 700, PAGE = 100 };
  struct bus_receiver *r = bus_listen(node(1), "room");
  struct wwri_logid before = {0};
  size_t left = COUNT;
  for (unsigned i = 0; i < COUNT; i++) bus_publish(node(0), "room", "x");
  CU_ASSERT_TRUE_FATAL(bus_await(r, COUNT));
  while (left > 0) {
    struct bus_call *call = bus_history_before(node(2), "room", PAGE, before);
    CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
    CU_ASSERT_EQUAL_FATAL(call->history.count, PAGE);
    for (size_t i = PAGE; i-- > 0;) {
      struct bus_message got = bus_message(r, --left);
      CU_ASSERT_TRUE(bus_same_message(&got, call->history.at[i]));
    }
    before = call->history.at[0]->id;
  }
  struct bus_call *call = bus_history_before(node(0), "room", PAGE, before);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
}

/* Before a place that the log has never had, too. */
static void before_any_place(void) {
  publish_numbers(1, 5);
  struct bus_call *call = bus_history(node(0), "room", 5);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(call->history.count, 5);
  struct wwri_logid third = call->history.at[2]->id;
  const struct wwri_logid behind_all = {UINT64_MAX, UINT64_MAX};
  const struct wwri_logid before_all = {1, 1};
  call = bus_history_before(node(1), "room", 9, third);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), "1 2 ");
  call = bus_history_before(node(1), "room", 2, behind_all);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), "4 5 ");
  call = bus_history_before(node(1), "room", 2, before_all);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
  call = bus_history_before(node(1), "nobody", 2, behind_all);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
}

/* A bus may keep some more than it must (bus.h). */
static void the_log_is_limited_by_count(void) {
  enum { ENTRIES = 3, SLACK = 100, COUNT = 256 };
  struct bus_call *call = NULL;
  char text[16], last[64] = "";
  for (unsigned i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "%u", i);
    call = publish_limited(node(0), text, ENTRIES, 600000);
  }
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  for (unsigned i = COUNT - ENTRIES; i < COUNT; i++) {
    snprintf(last + strlen(last), sizeof last - strlen(last), "%u ", i);
  }
  expect_history(node(1), ENTRIES, last);
  call = bus_history(node(1), "room", COUNT);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_TRUE(call->history.count >= ENTRIES);
  CU_ASSERT_TRUE(call->history.count <= ENTRIES + SLACK);
  call = bus_subscribe(bus_receiver(node(2)), "room", COUNT);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_TRUE(call->history.count <= ENTRIES + SLACK);
}

static void await_empty_history(struct bus_node *on, const char *channel) {
  enum { AGAIN_MS = 20 };
  struct bus_call *call = bus_history(on, channel, 10);
  for (int waited = 0; bus_end(call) == WWR_OK && call->history.count > 0 &&
                       waited < BUS_WAIT_MS;
       waited += AGAIN_MS) {
    poll(NULL, 0, AGAIN_MS);
    call = bus_history(on, channel, 10);
  }
  CU_ASSERT_EQUAL(call->err, WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
}

static void the_log_is_limited_by_age(void) {
  struct bus_call *first = publish_limited(node(0), "a", 9, 3600000);
  CU_ASSERT_EQUAL(bus_end(first), WWR_OK);
  expect_history(node(1), 10, "a ");
  for (unsigned i = 0; i < 3; i++) {
    struct wwri_bus_publish what = {.payload = wwr_payload_text("x"),
                                    .limit = {9, WWRI_BUS_AGE_MIN_MS}};
    struct wwr_view brief = wwr_view_str("brief");
    CU_ASSERT_EQUAL(bus_end(bus_publish_as(node(i), brief, &what)), WWR_OK);
  }
  await_empty_history(node(1), "brief");
  struct bus_call *call = bus_subscribe(bus_receiver(node(2)), "brief", 10);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
  expect_history(node(1), 10, "a ");
}

static void subscribing_brings_the_past(void) {
  publish_numbers(1, 5);
  struct bus_receiver *r = bus_receiver(node(1));
  struct bus_call *call = bus_subscribe(r, "room", 2);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), "4 5 ");
  CU_ASSERT_TRUE(wwri_logid_equal(call->id, call->history.at[1]->id));
  publish_numbers(6, 7);
  CU_ASSERT_TRUE(bus_await(r, 2));
  CU_ASSERT_STRING_EQUAL(bus_texts(r), "6 7 ");
}

static void a_joiner_gets_the_past(void) {
  struct bus_receiver *r = bus_listen(node(1), "room");
  publish_numbers(1, 5);
  CU_ASSERT_TRUE(bus_await(r, 5));
  struct bus_call *call = bus_join(r, 3);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(call), "3 4 5 ");
  CU_ASSERT_TRUE(wwri_logid_equal(call->id, call->history.at[2]->id));
  call = bus_join(r, 0);
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->history.count, 0);
  publish_numbers(6, 6);
  CU_ASSERT_TRUE(bus_await(r, 6));
  CU_ASSERT_EQUAL(bus_count(r), 6);
}

/* --- joining while others publish --- */

enum { FLOOD = 300, JOINS = 12, FLOODERS = 2 };

static void flood(unsigned publisher) {
  for (unsigned i = 0; i < FLOOD; i++)
    bus_publish(node(publisher), "room", "x");
}

static void expect_contiguous(const struct bus_messages *messages) {
  for (size_t i = 1; i < messages->count; i++) {
    struct wwri_logid before = messages->at[i - 1]->id;
    CU_ASSERT_EQUAL(messages->at[i]->id.epoch, before.epoch);
    CU_ASSERT_EQUAL(messages->at[i]->id.offset, before.offset + 1);
  }
}

/* History up to the id, and live from the next one on: that the live part has
 * no gap and begins there is what the fixture checks in each delivery. */
static void expect_seamless(struct bus_call *call) {
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  expect_contiguous(&call->history);
  if (call->history.count) {
    CU_ASSERT_TRUE(wwri_logid_equal(
        call->history.at[call->history.count - 1]->id, call->id));
  }
}

static struct bus_receiver *standing;
static struct bus_call *calls[3][JOINS];

static void flood_or_join(unsigned index) {
  if (index < FLOODERS) {
    flood(index);
    return;
  }
  for (unsigned i = 0; i < JOINS; i++) {
    calls[0][i] = bus_join(standing, WWRI_HISTORY_MAX);
    calls[1][i] = bus_join(standing, i);
    calls[2][i] = bus_subscribe(bus_receiver(node(i)), "room", 50);
  }
}

static void past_and_present_meet_without_a_gap(void) {
  standing = bus_listen(node(1), "room");
  bus_threads(FLOODERS + 1, flood_or_join);
  CU_ASSERT_TRUE(bus_await(standing, FLOODERS * FLOOD));
  for (unsigned i = 0; i < 3 * JOINS; i++) {
    struct bus_call *call = calls[i / JOINS][i % JOINS];
    expect_seamless(call);
    struct bus_receiver *r = call->begins;
    if (!r) continue;
    uint64_t missed = call->id.offset, total = FLOODERS * FLOOD;
    CU_ASSERT_TRUE(bus_await(r, (size_t)(total - missed)));
    CU_ASSERT_EQUAL(bus_count(r), total - missed);
  }
}

CU_TestInfo bus_history_tests[] = {
    {"history_is_the_last_messages", history_is_the_last_messages},
    {"a_channel_without_messages_has_none",
     a_channel_without_messages_has_none},
    {"history_is_capped", history_is_capped},
    {"a_log_is_read_page_by_page", a_log_is_read_page_by_page},
    {"before_any_place", before_any_place},
    {"the_log_is_limited_by_count", the_log_is_limited_by_count},
    {"the_log_is_limited_by_age", the_log_is_limited_by_age},
    {"subscribing_brings_the_past", subscribing_brings_the_past},
    {"a_joiner_gets_the_past", a_joiner_gets_the_past},
    {"past_and_present_meet_without_a_gap",
     past_and_present_meet_without_a_gap},
    CU_TEST_INFO_NULL};
