/* bus_messages.c - publishing: who gets what, in which order, unchanged. */
#include <stdio.h>
#include <string.h>

#include "bus_contract.h"

enum { PUBLISHERS = 4, EACH = 150, TOTAL = PUBLISHERS * EACH };

static void subscribed_means_subscribed(void) {
  for (unsigned i = 0; i < 20; i++) {
    char channel[16];
    snprintf(channel, sizeof channel, "room-%u", i);
    struct bus_receiver *r = bus_listen(node(i), channel);
    struct bus_call *call = bus_publish(node(i + 1), channel, "x");
    CU_ASSERT_TRUE(bus_await(r, 1));
    CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
    struct bus_message message = bus_message(r, 0);
    CU_ASSERT_TRUE(wwri_logid_equal(message.id, call->id));
    CU_ASSERT_EQUAL(message.id.offset, 1);
    CU_ASSERT_TRUE(message.id.epoch > 0);
  }
}

/* "P:I" by publisher P, who does not wait for one before the next. */
static void publish_each(unsigned publisher) {
  for (unsigned i = 0; i < EACH; i++) {
    char text[32];
    snprintf(text, sizeof text, "%u:%u", publisher, i);
    bus_publish(node(publisher), "room", text);
  }
}

static void expect_each_publishers_order(struct bus_receiver *r) {
  unsigned next[PUBLISHERS] = {0};
  for (size_t i = 0; i < TOTAL; i++) {
    struct bus_message message = bus_message(r, i);
    unsigned publisher = PUBLISHERS, number = 0;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)message.data.len,
             (const char *)message.data.data);
    CU_ASSERT_EQUAL_FATAL(sscanf(text, "%u:%u", &publisher, &number), 2);
    CU_ASSERT_TRUE_FATAL(publisher < PUBLISHERS);
    CU_ASSERT_EQUAL(number, next[publisher]);
    next[publisher] = number + 1;
  }
}

static void all_see_one_order(void) {
  struct bus_receiver *r[2 * BUS_NODES];
  for (unsigned i = 0; i < 2 * BUS_NODES; i++) {
    r[i] = bus_listen(node(i), "room");
  }
  bus_threads(PUBLISHERS, publish_each);
  for (unsigned i = 0; i < 2 * BUS_NODES; i++) {
    if (!bus_await(r[i], TOTAL)) return;
    CU_ASSERT_EQUAL(bus_count(r[i]), TOTAL);
  }
  expect_each_publishers_order(r[0]);
  for (unsigned i = 1; i < 2 * BUS_NODES; i++) {
    for (size_t j = 0; j < TOTAL; j++) {
      struct bus_message a = bus_message(r[0], j), b = bus_message(r[i], j);
      CU_ASSERT_TRUE(bus_same_message(&a, &b));
    }
  }
}

static void ids_follow_the_order_of_calls(void) {
  enum { COUNT = 200 };
  struct bus_call *calls[COUNT];
  struct bus_receiver *r = bus_listen(node(1), "room");
  for (unsigned i = 0; i < COUNT; i++) {
    calls[i] = bus_publish(node(0), "room", "x");
  }
  CU_ASSERT_TRUE_FATAL(bus_await(r, COUNT));
  for (unsigned i = 0; i < COUNT; i++) {
    CU_ASSERT_EQUAL(bus_end(calls[i]), WWR_OK);
    CU_ASSERT_TRUE(wwri_logid_equal(calls[i]->id, bus_message(r, i).id));
  }
}

struct sample {
  const char *name;
  size_t name_len;
  const char *data;
  size_t data_len;
  enum wwr_encoding encoding;
};

#define HOSTILE "\r\n$-1\r\n*3\r\n\0\xff\xfe{}[]'\"\\ \x1b[31m%s%n:!"
#define SAMPLE(name, data, encoding) \
  { name, sizeof(name) - 1, data, sizeof(data) - 1, encoding }

static const struct sample samples[] = {
    SAMPLE("", "", WWR_BINARY),
    SAMPLE("n", "", WWR_UTF8),
    SAMPLE("", "d", WWR_BINARY),
    SAMPLE("two words", "\xc3\xa4\xf0\x9f\x98\x80", WWR_UTF8),
    SAMPLE("u", "\xe4\x00\x3d\xd8\x00\xde", WWR_UTF16),
    SAMPLE(HOSTILE, HOSTILE, WWR_BINARY),
    SAMPLE("\0", "\0\0\0", WWR_BINARY),
    SAMPLE("-1", "2147483648", WWR_UTF8)};
enum { SAMPLES = sizeof samples / sizeof *samples };

static struct wwri_bus_publish publish_of(const struct sample *sample) {
  const uint8_t *name = (const uint8_t *)sample->name;
  const uint8_t *data = (const uint8_t *)sample->data;
  return (struct wwri_bus_publish){.name = {name, sample->name_len},
                                   .payload = {.data = {data, sample->data_len},
                                               .encoding = sample->encoding},
                                   .sender = {UINT64_MAX, 0x0d0a},
                                   .limit = {1000, 600000}};
}

static void expect_sample(const struct bus_message *got,
                          const struct sample *sample) {
  struct wwri_bus_publish what = publish_of(sample);
  CU_ASSERT_TRUE(wwr_view_equal(got->name, what.name));
  CU_ASSERT_TRUE(wwr_view_equal(got->data, what.payload.data));
  CU_ASSERT_EQUAL(got->encoding, what.payload.encoding);
  CU_ASSERT_EQUAL(got->sender.process, UINT64_MAX);
  CU_ASSERT_EQUAL(got->sender.conn, 0x0d0a);
  CU_ASSERT_TRUE(got->time_ms > UINT64_C(1500000000000));
}

static void messages_arrive_unchanged(void) {
  struct bus_receiver *r = bus_listen(node(2), "room");
  for (unsigned i = 0; i < SAMPLES; i++) {
    struct wwri_bus_publish what = publish_of(&samples[i]);
    struct bus_call *call =
        bus_publish_as(node(0), wwr_view_str("room"), &what);
    CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  }
  CU_ASSERT_TRUE_FATAL(bus_await(r, SAMPLES));
  struct bus_call *history = bus_history(node(1), "room", SAMPLES);
  CU_ASSERT_EQUAL(bus_end(history), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(history->history.count, SAMPLES);
  for (unsigned i = 0; i < SAMPLES; i++) {
    struct bus_message got = bus_message(r, i);
    expect_sample(&got, &samples[i]);
    CU_ASSERT_TRUE(bus_same_message(&got, history->history.at[i]));
  }
}

static void the_longest_message_arrives(void) {
  static char name[WWRI_BUS_NAME_MAX], data[65536], channel[WWRI_CHANNEL_MAX];
  memset(name, 0xff, sizeof name);
  memset(data, '\n', sizeof data);
  memset(channel, '~', sizeof channel);
  struct wwr_view room = {(uint8_t *)channel, sizeof channel};
  struct wwri_bus_publish what = {
      .name = {(uint8_t *)name, sizeof name},
      .payload = {.data = {(uint8_t *)data, sizeof data}},
      .limit = {WWRI_BUS_ENTRIES_MAX, WWRI_BUS_AGE_MAX_MS}};
  char text[WWRI_CHANNEL_MAX + 1] = "";
  memcpy(text, channel, sizeof channel);
  struct bus_receiver *r = bus_listen(node(1), text);
  CU_ASSERT_EQUAL(bus_end(bus_publish_as(node(0), room, &what)), WWR_OK);
  CU_ASSERT_TRUE_FATAL(bus_await(r, 1));
  struct bus_message got = bus_message(r, 0);
  CU_ASSERT_TRUE(wwr_view_equal(got.name, what.name));
  CU_ASSERT_TRUE(wwr_view_equal(got.data, what.payload.data));
}

static void channels_do_not_mix(void) {
  const char *const names[] = {"a",   "b",    "A",    "a ",  " a",  "a:b",
                               "{a}", "{a}b", "a*",   "?",   "[a]", "c:a",
                               "\"",  "\\",   "a\\n", "%s%n"};
  enum { NAMES = sizeof names / sizeof *names };
  struct bus_receiver *r[NAMES];
  for (unsigned i = 0; i < NAMES; i++) r[i] = bus_listen(node(i), names[i]);
  for (unsigned i = 0; i < 2 * NAMES; i++) {
    bus_publish(node(i / 2), names[i % NAMES], names[i % NAMES]);
  }
  for (unsigned i = 0; i < NAMES; i++) {
    CU_ASSERT_TRUE(bus_await(r[i], 2));
    CU_ASSERT_EQUAL(bus_count(r[i]), 2);
    struct bus_message got = bus_message(r[i], 0);
    CU_ASSERT_TRUE(wwr_view_equal(got.data, wwr_view_str(names[i])));
  }
}

static struct bus_call *publish_unlogged(struct bus_node *on,
                                         const char *text) {
  struct wwri_bus_publish what = {.name = wwr_view_str("name"),
                                  .payload = wwr_payload_text(text)};
  return bus_publish_as(on, wwr_view_str("room"), &what);
}

static void what_is_not_logged_arrives_too(void) {
  struct bus_receiver *r = bus_listen(node(1), "room");
  struct bus_call *call = publish_unlogged(node(0), "a");
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_TRUE(wwri_logid_none(call->id));
  CU_ASSERT_TRUE_FATAL(bus_await(r, 1));
  CU_ASSERT_TRUE(wwri_logid_none(bus_message(r, 0).id));
  CU_ASSERT_EQUAL(bus_end(bus_publish(node(0), "room", "b")), WWR_OK);
  CU_ASSERT_EQUAL(bus_end(publish_unlogged(node(2), "c")), WWR_OK);
  CU_ASSERT_TRUE(bus_await(r, 3));
  CU_ASSERT_STRING_EQUAL(bus_texts(r), "a b c ");
  struct bus_call *history = bus_history(node(2), "room", 10);
  CU_ASSERT_EQUAL(bus_end(history), WWR_OK);
  CU_ASSERT_STRING_EQUAL(bus_history_texts(history), "b ");
  CU_ASSERT_EQUAL(bus_message(r, 1).id.offset, 1);
}

/* A callback may use the bus: each message is answered on another channel. */
static void answer(struct bus_receiver *r) {
  char text[32] = "";
  struct bus_message got = bus_message(r, bus_count(r) - 1);
  snprintf(text, sizeof text, "re:%.*s", (int)got.data.len,
           (const char *)got.data.data);
  bus_publish(r->on, "answers", text);
}

static void callbacks_may_call(void) {
  struct bus_receiver *questions = bus_receiver(node(1));
  struct bus_receiver *answers = bus_listen(node(0), "answers");
  questions->then = answer;
  CU_ASSERT_EQUAL(bus_end(bus_subscribe(questions, "questions", 0)), WWR_OK);
  bus_publish(node(0), "questions", "1");
  bus_publish(node(0), "questions", "2");
  CU_ASSERT_TRUE(bus_await(answers, 2));
  CU_ASSERT_STRING_EQUAL(bus_texts(answers), "re:1 re:2 ");
}

static void bad_publishes_are_refused(void) {
  static char big[65537], long_name[WWRI_BUS_NAME_MAX + 1];
  struct wwri_bus_publish good = {.limit = {1, WWRI_BUS_AGE_MIN_MS}};
  struct wwri_bus_publish bad[9];
  for (unsigned i = 0; i < 9; i++) bad[i] = good;
  bad[0].name = (struct wwr_view){(uint8_t *)long_name, sizeof long_name};
  bad[1].payload.encoding = (enum wwr_encoding)3;
  bad[2].payload.encoding = WWR_UTF16;
  bad[2].payload.data = wwr_view_str("odd");
  bad[3].limit.entries = WWRI_BUS_ENTRIES_MAX + 1;
  bad[4].limit.age_ms = 0;
  bad[5].limit.age_ms = WWRI_BUS_AGE_MIN_MS - 1;
  bad[6].limit.age_ms = WWRI_BUS_AGE_MAX_MS + 1;
  bad[7].payload.encoding = (enum wwr_encoding) - 1;
  bad[8].payload.data = (struct wwr_view){(uint8_t *)big, sizeof big};
  struct bus_receiver *r = bus_listen(node(0), "room");
  for (unsigned i = 0; i < 9; i++) {
    struct bus_call *call =
        bus_publish_as(node(0), wwr_view_str("room"), &bad[i]);
    CU_ASSERT_EQUAL(call->refused,
                    i == 8 ? WWR_E_BUFFER_OVERFLOW : WWR_E_INVALID);
  }
  CU_ASSERT_EQUAL(bus_end(bus_publish_as(node(0), wwr_view_str("room"), &good)),
                  WWR_OK);
  CU_ASSERT_TRUE(bus_await(r, 1));
  CU_ASSERT_EQUAL(bus_count(r), 1);
}

static void publishing_to_nobody_succeeds(void) {
  struct bus_call *call = bus_publish(node(0), "empty", "x");
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->id.offset, 1);
  call = bus_publish(node(1), "empty", "y");
  CU_ASSERT_EQUAL(bus_end(call), WWR_OK);
  CU_ASSERT_EQUAL(call->id.offset, 2);
}

CU_TestInfo bus_messages_tests[] = {
    {"subscribed_means_subscribed", subscribed_means_subscribed},
    {"all_see_one_order", all_see_one_order},
    {"ids_follow_the_order_of_calls", ids_follow_the_order_of_calls},
    {"messages_arrive_unchanged", messages_arrive_unchanged},
    {"the_longest_message_arrives", the_longest_message_arrives},
    {"channels_do_not_mix", channels_do_not_mix},
    {"what_is_not_logged_arrives_too", what_is_not_logged_arrives_too},
    {"callbacks_may_call", callbacks_may_call},
    {"bad_publishes_are_refused", bad_publishes_are_refused},
    {"publishing_to_nobody_succeeds", publishing_to_nobody_succeeds},
    CU_TEST_INFO_NULL};
