/* More messages at once than a queue holds, of a repair or live, and one client
 * of several that does not take them as quickly as the others: who is waited
 * for, and for how long. */
#include <string.h>

#include "server_channel_common.h"

enum {
  QUEUE = 64 * 1024,
  BIG = 4000,
  PAGE = 64, /* messages: as many as the bus reads at once */
  OTHERS = 4,
  LONG_MS = 60000, /* however busy the machine is */
  SHORT_MS = 30
};

static struct peer *slow;
static struct wwr_conn *slow_conn; /* a reference */
static struct peer *others[OTHERS];

/* --- A room of which one does not read ------------------------------------ */

static void begin(uint32_t few_ms, uint32_t held_ms) {
  fix.opts.io_threads = 1;
  fix.opts.max_queued_bytes = QUEUE;
  start_on_bus();
  fix.server->channels.few_ms = few_ms;
  fix.server->channels.held_ms = held_ms;
  slow = peer_connect_conn(&slow_conn);
  wwr_conn_ref(slow_conn);
  CU_ASSERT_EQUAL(subscribe(slow_conn, "room", 0).err, WWR_OK);
  for (int i = 0; i < OTHERS; i++) others[i] = connect_to("room");
  peer_pause(slow, true);
}

static void end(void) {
  wwr_conn_unref(slow_conn);
}

static void send_page(void) {
  uint8_t bytes[BIG] = {0};
  struct wwri_bus_message message = {
      .name = wwr_view_str("m"),
      .payload = wwr_payload_binary(bytes, sizeof bytes)};
  for (uint8_t i = 1; i <= PAGE; i++) {
    bytes[0] = i;
    message.id = (struct wwri_logid){UINT64_C(1) << 60, i};
    test_bus_message("room", &message);
  }
}

static void expect_page(struct peer *peer) {
  for (uint8_t i = 1; i <= PAGE; i++) {
    struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
    const uint8_t *number = msg.payload.data.data;
    CU_ASSERT_EQUAL_FATAL(*number, i);
  }
}

static void expect_pages(void) {
  for (int i = 0; i < OTHERS; i++) expect_page(others[i]);
}

static struct wwri_feed *feed_here(void) {
  return wwri_feed_find(&fix.server->shards[0], room());
}

static void look_here(void *arg) {
  *(bool *)arg = feed_here()->crowded;
}

static bool is_held(void) {
  bool held;
  run_on(fix.server->loops[0], look_here, &held);
  return held;
}

static void wait_held(void) {
  uint64_t until = now_ms() + LONG_MS;
  while (!is_held() && now_ms() < until) settle();
  CU_ASSERT_TRUE(is_held());
}

/* --- The tests ------------------------------------------------------------ */

static void one_of_several_is_waited_for(void) {
  struct wwr_server_stats stats;
  begin(LONG_MS, LONG_MS);
  struct peer *other = connect_to("other");
  send_page();
  wait_held();
  (void)publish("other", "x"); /* which has nothing to do with it */
  expect_message(other, "x");
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  peer_pause(slow, false);
  expect_page(slow);
  expect_pages();
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.slow_consumers, 0);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  end();
}

static void expect_cut_off(void) {
  expect_pages();
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_SLOW_CONSUMER);
  CU_ASSERT_FALSE(is_held());
  end();
}

static void who_takes_nothing_holds_for_a_moment(void) {
  begin(SHORT_MS, LONG_MS);
  send_page();
  expect_cut_off();
}

/* Its queue moves, as far as anybody knows; but the others wait. */
static void who_takes_little_holds_not_for_long(void) {
  begin(LONG_MS, SHORT_MS);
  send_page();
  expect_cut_off();
}

static void who_unsubscribes_holds_nobody(void) {
  begin(LONG_MS, LONG_MS);
  send_page();
  wait_held();
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(slow_conn, room()), WWR_OK);
  expect_pages();
  CU_ASSERT_FALSE(is_held());
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  end();
}

static void who_breaks_holds_nobody(void) {
  begin(LONG_MS, LONG_MS);
  send_page();
  wait_held();
  peer_abort(slow);
  expect_pages();
  end();
}

/* --- A process that is not given the processor ---------------------------- */

enum { STOOD_MS = 300, ALLOWED_MS = 200 };

/* From here on the queue is waited for so much longer, and time goes by. */
static void stand_still(void *arg) {
  struct wwri_channels *channels = &fix.server->channels;
  uint64_t since =
      fix.server->shards[0].channels.pace_ms - slow_conn->channels.moved_ms;
  uint64_t until = now_ms() + STOOD_MS;
  (void)arg;
  channels->few_ms = (uint32_t)since + ALLOWED_MS;
  while (now_ms() < until) sched_yield();
}

static void look_and_relent(void *arg) {
  wwri_feed_repace(feed_here());
  look_here(arg);
  fix.server->channels.few_ms = LONG_MS;
}

static void time_counts_while_the_loop_turns(void) {
  bool held;
  begin(LONG_MS, LONG_MS);
  send_page();
  wait_held();
  run_on(fix.server->loops[0], stand_still, NULL);
  run_on(fix.server->loops[0], look_and_relent, &held);
  CU_ASSERT_TRUE(held);
  peer_pause(slow, false);
  expect_page(slow);
  expect_pages();
  end();
}

static CU_TestInfo tests[] = {
    {"one of several is waited for", one_of_several_is_waited_for},
    {"who takes nothing holds for a moment",
     who_takes_nothing_holds_for_a_moment},
    {"who takes little holds not for long",
     who_takes_little_holds_not_for_long},
    {"who unsubscribes holds nobody", who_unsubscribes_holds_nobody},
    {"who breaks holds nobody", who_breaks_holds_nobody},
    {"time counts while the loop turns", time_counts_while_the_loop_turns},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  fixture_end = test_bus_free;
  return fixture_main(argc, argv, tests);
}
