#include "transport_contract.h"

enum { MIB = 1024 * 1024 };

/* Both ways at once: nothing lost, nothing out of order. */
static void exchange(uint32_t count, size_t len) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(end_send(end, 0, count, len), WWR_OK);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, count, len), WWR_OK);
  WAIT((end->received == count && client->end.received == count) ||
       end->closed || client->end.closed);
  CU_ASSERT_EQUAL(end->received, count);
  CU_ASSERT_EQUAL(client->end.received, count);
  CU_ASSERT_EQUAL(end->bytes, (uint64_t)count * len);
  CU_ASSERT_EQUAL(client->end.bytes, (uint64_t)count * len);
}

static void test_empty(void) {
  exchange(10, 0);
}
static void test_1(void) {
  exchange(TEST_SANITIZED ? 20000 : 100000, 1);
}
static void test_125(void) {
  exchange(5000, 125);
}
static void test_126(void) {
  exchange(5000, 126);
}
static void test_127(void) {
  exchange(5000, 127);
}
static void test_65535(void) {
  exchange(100, 65535);
}
static void test_65536(void) {
  exchange(100, 65536);
}
static void test_mib(void) {
  exchange(12, MIB);
}

static void test_exactly_the_maximum(void) {
  fix.config.max_message_bytes = fix.dialer_config.max_message_bytes = 1000;
  exchange(50, 1000);
}

static void test_mixed_sizes(void) {
  static const size_t sizes[] = {1, 65536, 125, 0, 126, 70000, 3, 65535};
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  uint32_t n = 0;
  for (int round = 0; round < 20; round++) {
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++, n++) {
      CU_ASSERT_EQUAL(end_send(end, n, 1, sizes[i]), WWR_OK);
      CU_ASSERT_EQUAL(end_send(&client->end, n, 1, sizes[i]), WWR_OK);
    }
  }
  WAIT(end->received == n && client->end.received == n);
  CU_ASSERT_EQUAL(end->bytes, client->end.bytes);
}

static void check_too_big(struct end *receiver, struct end *sender) {
  end_set_max_message(receiver, 100);
  CU_ASSERT_EQUAL(end_send(sender, 0, 3, 100), WWR_OK);
  CU_ASSERT_EQUAL(end_send(sender, 3, 1, 101), WWR_OK);
  CU_ASSERT_EQUAL(end_send(sender, 4, 50, 10), WWR_OK); /* discarded */
  WAIT(receiver->violations > 0);
  CU_ASSERT_EQUAL(receiver->violation_code, WWRI_CLOSE_TOO_BIG);
  CU_ASSERT_EQUAL(receiver->received, 3);
  CU_ASSERT_EQUAL(end_send(receiver, 0, 5, 10), WWR_OK); /* still writable */
  WAIT(sender->received == 5);
  end_close(receiver, receiver->violation_code);
  WAIT(receiver->closed && sender->closed);
  CU_ASSERT_EQUAL(receiver->violations, 1);
  CU_ASSERT_EQUAL(receiver->received, 3);
  CU_ASSERT_EQUAL(receiver->reason, WWR_OK);
  CU_ASSERT_EQUAL(sender->reason, WWR_OK);
}

static void test_too_big_for_the_server(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  check_too_big(end, &client->end);
}

static void test_too_big_for_the_client(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  check_too_big(&client->end, end);
}

/* Over the ceiling of what is buffered on the way, so that it really stops. */
static void check_pause(struct end *receiver, struct end *sender) {
  enum { COUNT = TEST_SANITIZED ? 1500 : 3000, LEN = 16 * 1024 };
  end_pause(receiver, true);
  end_pause(receiver, true);
  CU_ASSERT_EQUAL(end_send(sender, 0, COUNT, LEN), WWR_OK);
  settle();
  CU_ASSERT_TRUE(receiver->received < COUNT);
  CU_ASSERT_TRUE(end_queued_bytes(sender) > 0);
  end_pause(receiver, false);
  end_pause(receiver, false);
  WAIT(receiver->received == COUNT || receiver->closed);
  CU_ASSERT_EQUAL(receiver->received, COUNT);
}

static void test_pause_the_server(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  check_pause(end, &client->end);
}

static void test_pause_the_client(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  check_pause(&client->end, end);
}

/* As the concurrency limit does it: pause in the message event, go on later. */
static void test_pause_in_events(void) {
  enum { COUNT = 300 };
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  end->pause_at = 3;
  CU_ASSERT_EQUAL(end_send(&client->end, 0, COUNT, 10), WWR_OK);
  for (uint32_t seen = 3; seen <= COUNT; seen += 3) {
    WAIT(end->received >= seen);
    end_pause(end, false);
  }
  CU_ASSERT_EQUAL(end->received, COUNT);
}

static void test_queued_bytes_drain(void) {
  struct client *client;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(end_queued_bytes(end), 0);
  CU_ASSERT_EQUAL(end_send(end, 0, 100, 1000), WWR_OK);
  WAIT(client->end.received == 100);
  settle();
  CU_ASSERT_EQUAL(end_queued_bytes(end), 0);
}

static void test_slow_consumer(void) {
  enum { PIECE = 16 * 1024, ROUNDS_MAX = 20000 };
  struct client *slow;
  struct client *other;
  fix.config.max_queued_bytes = MIB;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *to_slow = connect_client(&slow);
  struct end *to_other = connect_client(&other);
  end_pause(&slow->end, true);
  wwr_err err = WWR_OK;
  uint32_t rounds = 0;
  while (!err && rounds < ROUNDS_MAX) {
    err = end_send(to_slow, rounds++, 1, PIECE);
  }
  CU_ASSERT_EQUAL(err, WWR_E_SLOW_CONSUMER);
  CU_ASSERT_TRUE(rounds > MIB / PIECE - 1); /* not before its ceiling */
  WAIT(to_slow->closed);
  CU_ASSERT_EQUAL(to_slow->reason, WWR_E_SLOW_CONSUMER);
  CU_ASSERT_EQUAL(server_stats().slow_consumers, 1);
  CU_ASSERT_EQUAL(end_send(to_slow, 0, 1, 1), WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(end_send(to_other, 0, 10, PIECE), WWR_OK);
  CU_ASSERT_EQUAL(end_send(&other->end, 0, 10, PIECE), WWR_OK);
  WAIT(other->end.received == 10 && to_other->received == 10);
  end_pause(&slow->end, false);
  WAIT(slow->end.closed);
  CU_ASSERT_NOT_EQUAL(slow->end.reason, WWR_OK);
}

/* One message larger than the ceiling passes an empty queue. */
static void test_big_message_over_the_ceiling(void) {
  struct client *client;
  fix.config.max_queued_bytes = 1000;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  CU_ASSERT_EQUAL(end_send(end, 0, 1, MIB), WWR_OK);
  WAIT(client->end.received == 1);
}

static void test_broadcast(void) {
  enum { CLIENTS = 100 };
  struct client *client;
  struct end *ends[CLIENTS];
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  for (int i = 0; i < CLIENTS; i++) ends[i] = connect_client(&client);
  struct wwri_frame *frame = message_frame(500);
  CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
  for (int i = 0; i < CLIENTS; i++) {
    CU_ASSERT_EQUAL(end_send_frame(ends[i], frame), WWR_OK);
  }
  for (int i = 0; i < CLIENTS; i++) WAIT(fix.clients[i].end.received == 1);
  settle();
  CU_ASSERT_EQUAL(atomic_load(&frame->refs), 1);
  wwri_frame_unref(frame);
}

static void test_last_rx(void) {
  struct client *client;
  uint64_t now;
  uint64_t last_rx;
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  struct end *end = connect_client(&client);
  end_times(end, &now, &last_rx);
  CU_ASSERT_TRUE(last_rx > 0);
  CU_ASSERT_TRUE(last_rx <= now);
  uint64_t before = now;
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 1, 10), WWR_OK);
  WAIT(end->received == 1);
  CU_ASSERT_TRUE(end->last_rx_ms >= before);
  end_times(end, &now, &last_rx);
  CU_ASSERT_EQUAL(last_rx, end->last_rx_ms);
}

CU_TestInfo transport_messages[] = {
    {"empty messages", test_empty},
    {"many messages of 1 byte", test_1},
    {"messages of 125 bytes", test_125},
    {"messages of 126 bytes", test_126},
    {"messages of 127 bytes", test_127},
    {"messages of 65535 bytes", test_65535},
    {"messages of 65536 bytes", test_65536},
    {"messages of 1 MiB", test_mib},
    {"messages of the maximum", test_exactly_the_maximum},
    {"messages of mixed sizes", test_mixed_sizes},
    {"too big for the server", test_too_big_for_the_server},
    {"too big for the client", test_too_big_for_the_client},
    {"pause the server", test_pause_the_server},
    {"pause the client", test_pause_the_client},
    {"pause in events", test_pause_in_events},
    {"queued_bytes drain", test_queued_bytes_drain},
    {"slow consumer", test_slow_consumer},
    {"big message over the ceiling", test_big_message_over_the_ceiling},
    {"broadcast of one frame", test_broadcast},
    {"last_rx_ms", test_last_rx},
    CU_TEST_INFO_NULL,
};
