/* Channels that nobody reads any more, over a bus with a thread: what it costs
 * to leave them, and what comes in between. */
#include "server_channel_common.h"

static void flapping_costs_the_bus_little(void) {
  struct wwr_conn *conn;
  start_on_bus();
  struct peer *peer = peer_connect_conn(&conn);
  for (int i = 0; i < 50; i++) {
    CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_OK);
    CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  }
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_SUBSCRIBE]), 1);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_UNSUBSCRIBE]), 0);
  (void)publish("room", "x");
  peer_expect_nothing(peer);
}

/* The bus is told that nobody reads the room any more, and does not answer. */
static void leave_and_hold(struct wwr_conn *conn) {
  test_bus_hold(ON(UNSUBSCRIBE));
  (void)subscribe(conn, "room", 0);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  WAIT(fix.bus->calls[TEST_UNSUBSCRIBE] == 1);
}

static void a_quiet_channel_is_left(void) {
  struct wwr_conn *conn;
  struct answer answer = {0};
  start_on_bus();
  fix.server->channels.linger_ms = 1;
  struct peer *peer = peer_connect_conn(&conn);
  leave_and_hold(conn);
  begin_subscribe(conn, &answer); /* it must come back first */
  settle();
  CU_ASSERT_EQUAL(LOCKED(answer.calls), 0);
  test_bus_hold(0);
  expect_answer(&answer, WWR_OK);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_SUBSCRIBE]), 2);
  (void)publish("room", "x");
  expect_message(peer, "x");
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  WAIT(fix.bus->done[TEST_UNSUBSCRIBE] == 2);
  settle();
  CU_ASSERT_EQUAL(test_bus_subs("room"), 0);
  CU_ASSERT_EQUAL(conn->shard->channels.feeds.count, 0);
}

/* Who wanted it back has left again. */
static void nobody_wants_it_back(void) {
  struct wwr_conn *conn;
  struct answer answer = {0};
  start_on_bus();
  fix.server->channels.linger_ms = 1;
  (void)peer_connect_conn(&conn);
  leave_and_hold(conn);
  begin_subscribe(conn, &answer);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  settle();
  test_bus_hold(0);
  expect_answer(&answer, WWR_E_CANCELED);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_SUBSCRIBE]), 1);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_OK);
}

static void it_can_not_come_back(void) {
  struct wwr_conn *conn;
  struct answer answer = {0};
  start_on_bus();
  fix.server->channels.linger_ms = 1;
  (void)peer_connect_conn(&conn);
  leave_and_hold(conn);
  begin_subscribe(conn, &answer);
  settle();
  test_bus_refuse(TEST_SUBSCRIBE, WWR_E_LIMIT);
  test_bus_hold(0);
  expect_answer(&answer, WWR_E_LIMIT);
  test_bus_refuse(TEST_SUBSCRIBE, WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_OK);
}

/* --- While it is left ----------------------------------------------------- */

static struct answer back;

static void subscribe_again(const struct wwr_publish_result *result,
                            void *user_data) {
  CU_ASSERT_EQUAL(result->err, WWR_OK);
  CU_ASSERT_EQUAL(
      wwr_conn_subscribe(user_data, room(), 0, on_subscribed, &back), WWR_OK);
}

static void publish_request(struct wwr_conn *conn, struct wwr_request *request,
                            const struct wwr_message *asked, void *user_data) {
  (void)user_data;
  CU_ASSERT_EQUAL(
      wwr_server_publish(fix.server, room(), asked->name, &asked->payload, NULL,
                         subscribe_again, conn),
      WWR_OK);
  reply_text(request, "published");
}

/* A publication that waits for its message is done before the feed leaves, and
 * its `done` may want the channel. */
static void a_done_function_wants_it_back(void) {
  struct wwr_conn *conn;
  if (is_blocking()) return; /* only the caller's own thread waits */
  back = (struct answer){0};
  fix.override.on_request = publish_request;
  start_on_bus();
  fix.server->channels.linger_ms = 1;
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  struct wwr_channel_id last = publish("room", "1").id;
  expect_message(peer, "1");
  pthread_mutex_lock(&fix.lock);
  fix.bus->early = (struct wwri_logid){last.epoch, last.offset + 1};
  pthread_mutex_unlock(&fix.lock);
  peer_request(peer, 1, "pub", "2");
  peer_expect_text(peer, 1, "published");
  WAIT(fix.bus->done[TEST_PUBLISH] == 2);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  expect_answer(&back, WWR_OK);
  pthread_mutex_lock(&fix.lock);
  fix.bus->early = (struct wwri_logid){0, 0};
  pthread_mutex_unlock(&fix.lock);
  (void)publish("room", "3");
  expect_message(peer, "3");
}

struct look {
  struct wwri_mail mail;
  struct wwr_conn *conn;
  bool pacing;
  int done;
};

static void look_here(struct wwri_mail *mail) {
  struct look *look = WWRI_CONTAINER(mail, struct look, mail);
  struct wwri_feed *feed = wwri_feed_find(look->conn->shard, room());
  look->pacing = feed && feed->pace.armed;
  note(&look->done);
}

static bool is_pacing(struct wwr_conn *conn) {
  struct look look = {.mail.fn = look_here, .conn = conn};
  wwri_loop_post(conn->shard->loop, &look.mail);
  WAIT(look.done == 1);
  return look.pacing;
}

/* The bus forgets with a receiver that its queues were full. */
static void pressed_while_it_is_left(void) {
  struct wwr_conn *conn;
  struct answer answer = {0};
  start_on_bus();
  fix.server->channels.linger_ms = 1;
  fix.server->channels.press_bytes = 0;
  struct peer *peer = peer_connect_conn(&conn);
  leave_and_hold(conn);
  struct wwri_bus_message message = {.name = wwr_view_str("m"),
                                     .payload = wwr_payload_text("x")};
  test_bus_message("room", &message);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->pressed), 1);
  while (is_pacing(conn)) settle();
  begin_subscribe(conn, &answer);
  test_bus_hold(0);
  expect_answer(&answer, WWR_OK);
  test_bus_message("room", &message);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->pressed), 2);
  WAIT(fix.bus->released == 1);
  expect_message(peer, "x");
}

static CU_TestInfo tests[] = {
    {"flapping costs the bus little", flapping_costs_the_bus_little},
    {"a quiet channel is left", a_quiet_channel_is_left},
    {"nobody wants it back", nobody_wants_it_back},
    {"it can not come back", it_can_not_come_back},
    {"a done function wants it back", a_done_function_wants_it_back},
    {"pressed while it is left", pressed_while_it_is_left},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  fixture_end = test_bus_free;
  return fixture_main(argc, argv, tests);
}
