/* Channels: subscribing, publishing, history, presence, as one server shows
 * them, whatever its bus. */
#include <string.h>

#include "server_channel_common.h"

/* --- Subscribing and publishing ------------------------------------------ */

static void a_message_reaches_its_subscribers(void) {
  channel_start();
  struct peer *a = connect_to("room");
  struct peer *b = connect_to("room");
  struct peer *other = connect_to("other");
  struct answer first = publish("room", "1");
  struct answer second = publish("room", "2");
  CU_ASSERT_EQUAL(first.err, WWR_OK);
  CU_ASSERT_EQUAL(first.id.epoch, second.id.epoch);
  CU_ASSERT_EQUAL(first.id.offset + 1, second.id.offset);
  expect_message(a, "1");
  expect_message(a, "2");
  expect_message(b, "1");
  expect_message(b, "2");
  peer_expect_nothing(other);
  if (is_threaded()) WAIT(fix.bus->done[TEST_PUBLISH] == 2); /* and counted */
  struct wwr_cluster_state state;
  wwr_server_cluster(fix.server, &state);
  CU_ASSERT_EQUAL(state.health, WWR_HEALTH_READY);
  CU_ASSERT_EQUAL(state.published, 2);
  CU_ASSERT_EQUAL(state.verdicts[WWR_VERDICT_LOST], 0);
}

static void nobody_listens(void) {
  channel_start();
  CU_ASSERT_EQUAL(publish("empty", "x").err, WWR_OK);
  struct wwr_payload text = wwr_payload_text("y");
  CU_ASSERT_EQUAL(
      wwr_server_publish(fix.server, wwr_view_str("empty"), wwr_view_str("m"),
                         &text, NULL, NULL, NULL),
      WWR_OK);
  struct answer history = ask_history("empty", 10);
  CU_ASSERT_STRING_EQUAL(history.texts, "x y");
}

static void the_sender_is_left_out(void) {
  struct wwr_conn *conn;
  channel_start();
  struct peer *other = connect_to("room");
  struct peer *sender = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  (void)publish_except("room", "1", conn);
  (void)publish("room", "2");
  expect_message(other, "1");
  expect_message(other, "2");
  expect_message(sender, "2");
}

static void signals_keep_their_encoding(void) {
  channel_start();
  struct peer *peer = connect_to("room");
  struct wwr_payload binary = wwr_payload_binary("\0\1", 2);
  struct wwr_payload wide = {WWR_UTF16, {(const uint8_t *)"a\0", 2}};
  struct wwr_view room = wwr_view_str("room");
  CU_ASSERT_EQUAL(wwr_server_publish(fix.server, room, wwr_view_str("b"),
                                     &binary, NULL, NULL, NULL),
                  WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_publish(fix.server, room, wwr_view_str("w"), &wide,
                                     NULL, NULL, NULL),
                  WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_publish(fix.server, room, wwr_view_str("none"),
                                     NULL, NULL, NULL, NULL),
                  WWR_OK);
  struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
  CU_ASSERT_EQUAL(msg.payload.data.len, 2);
  msg = peer_expect(peer, WWRI_SIGNAL_UTF16);
  CU_ASSERT_TRUE(wwr_view_equal(msg.payload.data, wide.data));
  msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
  CU_ASSERT_TRUE(view_is(msg.name, "none"));
}

/* `done` is first, what it sends next, then what came later. */
static void history_and_what_follows(void) {
  struct wwr_conn *conn;
  channel_start();
  for (int i = 0; i < 5; i++) {
    char text[2] = {(char)('0' + i), '\0'};
    (void)publish("room", text);
  }
  struct peer *peer = peer_connect_conn(&conn);
  struct answer answer = {.signal = conn};
  CU_ASSERT_EQUAL(
      wwr_conn_subscribe(conn, wwr_view_str("room"), 3, on_subscribed, &answer),
      WWR_OK);
  WAIT(answer.calls == 1);
  CU_ASSERT_STRING_EQUAL(answer.texts, "2 3 4");
  (void)publish("room", "5");
  struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
  CU_ASSERT_TRUE(view_is(msg.name, "done"));
  expect_message(peer, "5");
  CU_ASSERT_STRING_EQUAL(ask_history("room", 256).texts, "0 1 2 3 4 5");
  CU_ASSERT_STRING_EQUAL(ask_history("room", 2).texts, "4 5");
  CU_ASSERT_EQUAL(ask_history("room", 0).count, 0);
  CU_ASSERT_EQUAL(ask_history("unknown", 9).count, 0);
}

static struct {
  struct wwr_conn *conn;
  struct wwr_request *request;
  int answered;
} joiner;

static void reply_when_subscribed(struct wwr_conn *conn, wwr_err err,
                                  const struct wwr_channel_message *history,
                                  size_t count, void *user_data) {
  (void)conn, (void)history, (void)count, (void)user_data;
  if (err != WWR_OK) note(&fix.broken);
  reply_text(joiner.request, "joined");
  note(&joiner.answered);
}

/* The subscription and the messages come back while this thread is busy, so
 * that they are in one batch of its mail. */
static void subscribe_amid_messages(void *arg) {
  (void)arg;
  struct wwr_payload text = wwr_payload_text("x");
  struct wwr_view room = wwr_view_str("room");
  if (wwr_conn_subscribe(joiner.conn, room, 0, reply_when_subscribed, NULL)) {
    note(&fix.broken);
  }
  for (int i = 0; i < 3; i++) {
    if (wwr_server_publish(fix.server, room, wwr_view_str("m"), &text, NULL,
                           NULL, NULL)) {
      note(&fix.broken);
    }
  }
  struct timespec until = wait_deadline();
  int status = 0;
  pthread_mutex_lock(&fix.lock);
  while (is_threaded() && fix.bus->done[TEST_PUBLISH] < 3 && status == 0) {
    status = wait_changed(&until);
  }
  if (status) fix.broken++;
  pthread_mutex_unlock(&fix.lock);
}

/* A request that is answered with the history comes before what follows it. */
static void a_reply_and_what_follows(void) {
  channel_start();
  memset(&joiner, 0, sizeof joiner);
  struct peer *peer = peer_connect_conn(&joiner.conn);
  peer_request(peer, 7, "hold", NULL);
  joiner.request = next_held();
  run_on(joiner.conn->shard->loop, subscribe_amid_messages, NULL);
  WAIT(joiner.answered == 1);
  peer_expect_text(peer, 7, "joined");
  for (int i = 0; i < 3; i++) expect_message(peer, "x");
  peer_expect_nothing(peer);
}

static void subscribing_again_changes_nothing(void) {
  struct wwr_conn *conn;
  channel_start();
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  (void)publish("room", "1");
  struct answer again = subscribe(conn, "room", 5);
  CU_ASSERT_EQUAL(again.err, WWR_OK);
  CU_ASSERT_STRING_EQUAL(again.texts, "1");
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 1);
  (void)publish("room", "2");
  expect_message(peer, "1");
  expect_message(peer, "2");
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(ask_subscribers("room"), 1);
}

static void nothing_after_unsubscribe(void) {
  struct wwr_conn *conn;
  channel_start();
  struct peer *stays = connect_to("room");
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  (void)publish("room", "1");
  expect_message(peer, "1");
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, wwr_view_str("room")), WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, wwr_view_str("room")), WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, wwr_view_str("x")), WWR_OK);
  settle();
  (void)publish("room", "2");
  expect_message(stays, "1");
  expect_message(stays, "2");
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 0);
  CU_ASSERT_EQUAL(ask_subscribers("room"), 1);
}

static void who_leaves_is_unsubscribed(void) {
  channel_start();
  struct peer *stays = connect_to("room");
  struct peer *closes = connect_to("room");
  struct peer *breaks = connect_to("room");
  wait_subscribers("room", 3);
  peer_close(closes);
  peer_abort(breaks);
  wait_subscribers("room", 1);
  (void)publish("room", "1");
  expect_message(stays, "1");
}

static wwr_err try_publish(const char *channel, struct wwr_view name,
                           const struct wwr_payload *payload) {
  return wwr_server_publish(fix.server, wwr_view_str(channel), name, payload,
                            NULL, on_published, NULL);
}

static wwr_err try_subscribe(struct wwr_conn *conn, struct wwr_view channel,
                             uint32_t history) {
  return wwr_conn_subscribe(conn, channel, history, on_subscribed, NULL);
}

static void bad_calls_are_refused(void) {
  char name[300];
  struct wwr_conn *conn;
  memset(name, 'x', sizeof name);
  struct wwr_view empty = {NULL, 0}, long_name = {(uint8_t *)name, 201},
                  room = wwr_view_str("room");
  fix.opts.message_buffer_bytes = 64;
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  struct wwr_payload text = wwr_payload_text("x");
  CU_ASSERT_EQUAL(try_publish("room", empty, &text), WWR_E_CLOSED);
  CU_ASSERT_EQUAL_FATAL(wwr_server_start(fix.server), WWR_OK);
  (void)peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(try_publish("", empty, &text), WWR_E_INVALID);
  CU_ASSERT_EQUAL(try_publish("!ctl", empty, &text), WWR_E_INVALID);
  CU_ASSERT_EQUAL(try_publish("tab\t", empty, &text), WWR_E_INVALID);
  CU_ASSERT_EQUAL(try_publish("room", empty, NULL), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(try_publish("room", wwr_view_str("\n"), &text),
                  WWR_E_PROTOCOL);
  text.data = (struct wwr_view){(uint8_t *)name, 63};
  CU_ASSERT_EQUAL(try_publish("room", empty, &text), WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(try_subscribe(conn, empty, 0), WWR_E_INVALID);
  CU_ASSERT_EQUAL(try_subscribe(conn, long_name, 0), WWR_E_INVALID);
  CU_ASSERT_EQUAL(try_subscribe(conn, room, 257), WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, long_name), WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_server_history(fix.server, room, 257, on_history, NULL),
                  WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_server_presence(fix.server, empty, on_members, NULL),
                  WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_server_subscribers(fix.server, empty, on_count, NULL),
                  WWR_E_INVALID);
  wwr_server_shutdown(fix.server);
  text.data.len = 1;
  CU_ASSERT_EQUAL(try_publish("room", empty, &text), WWR_E_CLOSED);
  CU_ASSERT_EQUAL(try_subscribe(conn, room, 0), WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_subscribers(fix.server, room, on_count, NULL),
                  WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_nodes(fix.server, NULL, NULL), WWR_E_CLOSED);
}

static void so_many_channels_and_no_more(void) {
  struct wwr_conn *conn;
  fix.opts.max_conn_channels = 3;
  channel_start();
  (void)peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(subscribe(conn, "c", 0).err, WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "a", 0).err, WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "b", 0).err, WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "d", 0).err, WWR_E_LIMIT);
  CU_ASSERT_EQUAL(subscribe(conn, "a", 0).err, WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 3);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, wwr_view_str("a")), WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "d", 0).err, WWR_OK);
}

/* --- In hooks ------------------------------------------------------------ */

static void subscribe_first(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
  if (wwr_conn_subscribe(conn, wwr_view_str("room"), 0, NULL, NULL)) {
    note(&fix.broken);
  }
}

/* Whoever has received accept-conf gets what is published from then on. */
static void accept_conf_comes_after_the_subscription(void) {
  fix.override.on_connected = subscribe_first;
  channel_start();
  for (int i = 0; i < 20; i++) {
    struct peer *peer = peer_connect();
    struct wwr_payload text = wwr_payload_text("x");
    CU_ASSERT_EQUAL(
        wwr_server_publish(fix.server, wwr_view_str("room"), wwr_view_str("m"),
                           &text, NULL, NULL, NULL),
        WWR_OK);
    expect_message(peer, "x");
    peer_close(peer);
  }
}

/* Requests "sub", "unsub", "pub": the payload is "channel" or, for "pub", a
 * text for the room. */
static void reply_subscribed(struct wwr_conn *conn, wwr_err err,
                             const struct wwr_channel_message *history,
                             size_t count, void *user_data) {
  (void)conn;
  (void)history;
  (void)count;
  reply_text(user_data, wwr_err_name(err));
}

static void reply_published(const struct wwr_publish_result *result,
                            void *user_data) {
  reply_text(user_data, wwr_err_name(result->err));
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  struct wwr_view arg = message->payload.data;
  wwr_err err = WWR_OK;
  (void)user_data;
  if (view_is(message->name, "sub")) {
    err = wwr_conn_subscribe(conn, arg, 0, reply_subscribed, request);
  } else if (view_is(message->name, "pub")) {
    err =
        wwr_server_publish(fix.server, wwr_view_str("room"), wwr_view_str("m"),
                           &message->payload, NULL, reply_published, request);
  } else {
    err = wwr_conn_unsubscribe(conn, arg);
    reply_text(request, wwr_err_name(err));
    return;
  }
  if (err != WWR_OK) reply_text(request, wwr_err_name(err));
}

static void calls_in_hooks(void) {
  fix.override.on_request = on_request;
  fix.opts.max_conn_channels = 2;
  channel_start();
  struct peer *peer = peer_connect();
  for (uint64_t i = 0; i < 10; i++) {
    peer_request(peer, 1, "sub", "room");
    peer_expect_text(peer, 1, "ok");
    peer_request(peer, 2, "sub", "b");
    peer_expect_text(peer, 2, "ok");
    peer_request(peer, 3, "sub", "c");
    peer_expect_text(peer, 3, "limit");
    peer_request(peer, 4, "sub", "");
    peer_expect_text(peer, 4, "invalid");
    peer_request(peer, 5, "unsub", "room");
    peer_expect_text(peer, 5, "ok");
    peer_request(peer, 6, "unsub", "b");
    peer_expect_text(peer, 6, "ok");
  }
}

/* The publisher's own message comes before the reply to its request. */
static void each_its_own_message_before_the_reply(void) {
  fix.override.on_request = on_request;
  fix.opts.concurrency = 1;
  channel_start();
  struct peer *peer = connect_to("room");
  for (uint64_t i = 0; i < 50; i++) {
    peer_request(peer, i, "pub", "own");
    if (is_blocking()) {
      /* `done` may run on another I/O thread than the connection's. */
      struct wwri_msg a = peer_next(peer), b = peer_next(peer);
      CU_ASSERT_TRUE(a.type == WWRI_SIGNAL_UTF8 || b.type == WWRI_SIGNAL_UTF8);
      continue;
    }
    expect_message(peer, "own");
    peer_expect_text(peer, i, "ok");
  }
}

/* --- Order --------------------------------------------------------------- */

enum { MESSAGES = 300, WATCHERS = 4 };

static void *publish_many(void *arg) {
  struct wwr_payload who = wwr_payload_text(arg);
  for (int i = 0; i < MESSAGES; i++) {
    if (wwr_server_publish(fix.server, wwr_view_str("room"), wwr_view_str("m"),
                           &who, NULL, NULL, NULL)) {
      note(&fix.broken);
    }
  }
  return NULL;
}

static void publish_signal(struct wwr_conn *conn,
                           const struct wwr_message *message, void *user_data) {
  (void)conn;
  (void)user_data;
  if (wwr_server_publish(fix.server, wwr_view_str("room"), message->name,
                         &message->payload, NULL, NULL, NULL)) {
    note(&fix.broken);
  }
}

/* From two threads and from hooks: all see the same sequence. */
static void all_see_one_order(void) {
  fix.override.on_signal = publish_signal;
  channel_start();
  static char texts[2][2] = {"x", "y"};
  pthread_t threads[2];
  struct peer *peers[WATCHERS];
  for (int i = 0; i < WATCHERS; i++) peers[i] = connect_to("room");
  for (int i = 0; i < MESSAGES; i++) stage_signal(peers[0], "m", "0");
  for (int i = 0; i < MESSAGES; i++) stage_signal(peers[1], "m", "1");
  for (int t = 0; t < 2; t++) {
    pthread_create(&threads[t], NULL, publish_many, texts[t]);
  }
  (void)peer_flush(peers[0]);
  (void)peer_flush(peers[1]);
  for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
  int differ = 0;
  for (int i = 0; i < 4 * MESSAGES; i++) {
    struct wwr_view first = peer_next(peers[0]).payload.data;
    for (int p = 1; p < WATCHERS; p++) {
      differ += !wwr_view_equal(first, peer_next(peers[p]).payload.data);
    }
  }
  CU_ASSERT_EQUAL(differ, 0);
}

static void all_see_one_order_in_traffic(void) {
  channel_start();
  static char text[] = "x";
  struct peer *a = connect_to("room");
  struct peer *b = connect_to("room");
  traffic_start();
  (void)publish_many(text);
  for (int i = 0; i < 10; i++) {
    char number[2] = {(char)('0' + i), '\0'};
    (void)publish("room", number);
  }
  traffic_stop();
  for (int i = 0; i < MESSAGES; i++) {
    expect_message(a, "x");
    expect_message(b, "x");
  }
  for (int i = 0; i < 10; i++) {
    char number[2] = {(char)('0' + i), '\0'};
    expect_message(a, number);
    expect_message(b, number);
  }
}

static atomic_bool blocked;
static int blocking;

static void block(struct wwri_mail *mail) {
  (void)mail;
  note(&blocking);
  while (atomic_load(&blocked)) sched_yield();
}

/* What one thread sends and then publishes arrives in that order, also when the
 * loop finds all of it at once. */
static void signals_and_messages_of_one_thread(void) {
  struct wwr_conn *conn;
  struct wwri_mail mail = {.fn = block};
  channel_start();
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  blocking = 0;
  atomic_store(&blocked, true);
  wwri_loop_post(conn->shard->loop, &mail);
  WAIT(blocking == 1);
  for (int i = 0; i < 100; i++) {
    struct wwr_payload text = wwr_payload_text("p");
    CU_ASSERT_EQUAL(wwr_conn_signal(conn, wwr_view_str("s"), NULL), WWR_OK);
    CU_ASSERT_EQUAL(
        wwr_server_publish(fix.server, wwr_view_str("room"), wwr_view_str("m"),
                           &text, NULL, NULL, NULL),
        WWR_OK);
  }
  atomic_store(&blocked, false);
  int signals = 0, messages = 0, early = 0;
  for (int i = 0; i < 200; i++) {
    struct wwri_msg msg = peer_next(peer);
    signals += view_is(msg.name, "s");
    messages += view_is(msg.name, "m");
    early += messages > signals;
  }
  CU_ASSERT_EQUAL(messages, 100);
  CU_ASSERT_EQUAL(early, 0);
}

/* --- Much at once -------------------------------------------------------- */

enum { BIG = 4000, BURST = 25, FLOOD = 100, QUEUE = 128 * 1024 };

static uint8_t big[BIG];

static void publish_big(void) {
  struct wwr_payload payload = wwr_payload_binary(big, sizeof big);
  if (wwr_server_publish(fix.server, wwr_view_str("room"), wwr_view_str("m"),
                         &payload, NULL, NULL, NULL)) {
    note(&fix.broken);
  }
}

static struct {
  struct wwri_mail mail;
  struct wwr_conn *conn;
  uint32_t queued;
  int done;
} probe;

static void look(struct wwri_mail *mail) {
  (void)mail;
  probe.queued = probe.conn->pipe->queued_bytes;
  note(&probe.done);
}

/* The look comes behind the run of the bus, before anything is flushed. */
static void burst_here(void *arg) {
  (void)arg;
  for (int i = 0; i < BURST; i++) publish_big();
  probe.mail.fn = look;
  wwri_loop_post(probe.conn->shard->loop, &probe.mail);
}

/* What arrives in one pass of the loop does not fill the queues at once. */
static void a_burst_is_spread(void) {
  fix.opts.max_queued_bytes = QUEUE;
  channel_start();
  struct peer *peer = peer_connect_conn(&probe.conn);
  (void)subscribe(probe.conn, "room", 0);
  probe.done = 0;
  run_on(probe.conn->shard->loop, burst_here, NULL);
  WAIT(probe.done == 1);
  CU_ASSERT_TRUE(probe.queued <= QUEUE / 8 + 2 * BIG);
  for (int i = 0; i < BURST; i++) {
    CU_ASSERT_EQUAL(peer_expect(peer, WWRI_SIGNAL_BINARY).payload.data.len,
                    BIG);
  }
  peer_expect_nothing(peer);
}

static void no_log(struct wwr_view channel, struct wwr_channel_opts *opts,
                   void *user_data) {
  (void)channel;
  (void)user_data;
  opts->logged = false;
}

static struct {
  struct wwr_conn *late;
  struct wwri_mail mail;
  struct answer answer;
  int nothing;
} joining;

static void do_nothing(struct wwri_mail *mail) {
  (void)mail;
  note(&joining.nothing);
}

/* Mail is waiting when the bus runs. */
static void publish_then_subscribe(void *arg) {
  (void)arg;
  for (int i = 0; i < BURST; i++) publish_big();
  if (wwr_conn_subscribe(joining.late, wwr_view_str("room"), 0, on_subscribed,
                         &joining.answer)) {
    note(&fix.broken);
  }
  joining.mail.fn = do_nothing;
  wwri_loop_post(joining.late->shard->loop, &joining.mail);
}

/* Messages wait for mail and for credit; an answer waits behind them. Without
 * ids nothing else would tell what is before the subscription. */
static void an_answer_stays_behind_messages(void) {
  fix.opts.max_queued_bytes = QUEUE;
  fix.opts.io_threads = 1;
  fix.opts.hooks.on_channel = no_log;
  channel_start();
  memset(&joining, 0, sizeof joining);
  struct peer *early = connect_to("room");
  struct peer *late = peer_connect_conn(&joining.late);
  run_on(joining.late->shard->loop, publish_then_subscribe, NULL);
  WAIT(joining.answer.calls == 1);
  (void)publish("room", "x");
  for (int i = 0; i < BURST; i++) (void)peer_expect(early, WWRI_SIGNAL_BINARY);
  expect_message(early, "x");
  expect_message(late, "x");
}

/* One who does not read is cut off; the others notice nothing. */
static void a_slow_consumer_is_cut_off_alone(void) {
  fix.opts.max_queued_bytes = QUEUE;
  channel_start();
  fix.server->channels.crowd_ms = 50;
  struct peer *slow = connect_to("room");
  struct peer *fast[2] = {connect_to("room"), connect_to("room")};
  peer_pause(slow, true);
  for (int i = 0; i < FLOOD; i++) {
    publish_big();
    CU_ASSERT_EQUAL_FATAL(peer_next(fast[0]).type, WWRI_SIGNAL_BINARY);
    CU_ASSERT_EQUAL_FATAL(peer_next(fast[1]).type, WWRI_SIGNAL_BINARY);
  }
  WAIT(fix.disconnected == 1);
  peer_pause(slow, false);
  peer_wait_closed(slow);
  wait_subscribers("room", 2);
  CU_ASSERT_EQUAL(LOCKED(fix.reason), WWR_E_SLOW_CONSUMER);
}

static void publish_patiently(int number) {
  static uint8_t bytes[BIG];
  wwr_err err;
  memcpy(bytes, &number, sizeof number);
  struct wwr_payload payload = wwr_payload_binary(bytes, sizeof bytes);
  do {
    err = wwr_server_publish(fix.server, wwr_view_str("room"),
                             wwr_view_str("m"), &payload, NULL, NULL, NULL);
  } while (err == WWR_E_LIMIT && sched_yield() == 0);
  if (err != WWR_OK) note(&fix.broken);
}

static void expect_numbers(struct peer *peer, int count) {
  int wrong = 0;
  for (int i = 0; i < count; i++) {
    int number;
    struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_BINARY);
    memcpy(&number, msg.payload.data.data, sizeof number);
    wrong += number != i;
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

/* More at once than queues of 256 KiB hold: nobody is cut off, nothing changes
 * places, and the other channels go on. */
static void a_burst_waits_for_those_who_read(void) {
  enum { MANY = 1000 };
  struct peer *peers[WATCHERS];
  struct wwr_server_stats stats;
  fix.opts.max_queued_bytes = 256 * 1024;
  channel_start();
  fix.server->channels.crowd_ms = 60000; /* however busy the machine is */
  for (int i = 0; i < WATCHERS; i++) peers[i] = connect_to("room");
  struct peer *other = connect_to("other");
  for (int i = 0; i < WATCHERS; i++) peer_pause(peers[i], true);
  for (int i = 0; i < MANY; i++) publish_patiently(i);
  (void)publish("other", "x");
  expect_message(other, "x");
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  for (int i = 0; i < WATCHERS; i++) peer_pause(peers[i], false);
  for (int i = 0; i < WATCHERS; i++) expect_numbers(peers[i], MANY);
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.slow_consumers, 0);
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
}

/* The server ends while a feed is held. */
static void the_end_of_a_crowd(void) {
  fix.opts.max_queued_bytes = 256 * 1024;
  fix.opts.shutdown_timeout_ms = 1;
  channel_start();
  struct peer *peer = connect_to("room");
  peer_pause(peer, true);
  for (int i = 0; i < 500; i++) publish_patiently(i);
  peer_abort(peer);
  peer = connect_to("room");
  peer_pause(peer, true);
  for (int i = 0; i < 500; i++) publish_patiently(i);
  settle();
}

static CU_TestInfo tests[] = {
    {"a message reaches its subscribers", a_message_reaches_its_subscribers},
    {"nobody listens", nobody_listens},
    {"the sender is left out", the_sender_is_left_out},
    {"signals keep their encoding", signals_keep_their_encoding},
    {"history, and what follows", history_and_what_follows},
    {"a reply and what follows", a_reply_and_what_follows},
    {"subscribing again changes nothing", subscribing_again_changes_nothing},
    {"nothing after unsubscribe", nothing_after_unsubscribe},
    {"who leaves is unsubscribed", who_leaves_is_unsubscribed},
    {"bad calls are refused", bad_calls_are_refused},
    {"so many channels and no more", so_many_channels_and_no_more},
    {"accept-conf comes after the subscription",
     accept_conf_comes_after_the_subscription},
    {"calls in hooks", calls_in_hooks},
    {"each its own message before the reply",
     each_its_own_message_before_the_reply},
    {"all see one order", all_see_one_order},
    {"all see one order in traffic", all_see_one_order_in_traffic},
    {"signals and messages of one thread", signals_and_messages_of_one_thread},
    {"a burst is spread", a_burst_is_spread},
    {"an answer stays behind messages", an_answer_stays_behind_messages},
    {"a slow consumer is cut off alone", a_slow_consumer_is_cut_off_alone},
    {"a burst waits for those who read", a_burst_waits_for_those_who_read},
    {"the end of a crowd", the_end_of_a_crowd},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return channel_main(argc, argv, tests);
}
