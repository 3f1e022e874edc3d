/* Channels over a bus that is slow, refuses, fails, or has bad news. */
#include <string.h>

#include "server_channel_common.h"

enum { SHORT_MS = 20 };

/* --- What the bus is told ------------------------------------------------ */

static void the_bus_hears_of_the_server(void) {
  fix.opts.message_buffer_bytes = 4096;
  fix.opts.subprotocol = "chat";
  start_on_bus();
  CU_ASSERT_STRING_EQUAL(fix.bus->fingerprint,
                         "message-buffer=4096\nmax-session-connections=0\n"
                         "subprotocol=chat\n");
  CU_ASSERT_STRING_EQUAL(fix.bus->address, wwr_server_address(fix.server));
  CU_ASSERT_EQUAL(fix.bus->config.max_payload_bytes, 4096);
  (void)peer_connect();
  WAIT(fix.bus->loads >= 2 && fix.bus->connections == 1);
  CU_ASSERT_FALSE(LOCKED(fix.bus->draining));
  CU_ASSERT_EQUAL(LOCKED(fix.bus->closes), 0);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->closes), 1);
}

static void one_receiver_for_many(void) {
  start_on_bus();
  struct peer *peers[6];
  for (int i = 0; i < 6; i++) peers[i] = connect_to("room");
  CU_ASSERT_EQUAL(test_bus_subs("room"), (int)fix.server->shard_count);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_SUBSCRIBE]),
                  (int)fix.server->shard_count);
  (void)publish("room", "x");
  for (int i = 0; i < 6; i++) expect_message(peers[i], "x");
}

/* --- A slow bus ---------------------------------------------------------- */

static void all_wait_for_the_first(void) {
  struct wwr_conn *a, *b;
  struct answer first = {0}, second = {0};
  fix.opts.io_threads = 1;
  start_on_bus();
  struct peer *peer_a = peer_connect_conn(&a);
  wwr_conn_ref(a);
  struct peer *peer_b = peer_connect_conn(&b);
  test_bus_hold(ON(SUBSCRIBE));
  begin_subscribe(a, &first);
  begin_subscribe(b, &second);
  WAIT(fix.bus->calls[TEST_SUBSCRIBE] == 1);
  settle();
  CU_ASSERT_EQUAL(LOCKED(first.calls + second.calls), 0);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->calls[TEST_JOIN]), 0);
  test_bus_hold(0);
  expect_answer(&first, WWR_OK);
  expect_answer(&second, WWR_OK);
  (void)publish("room", "x");
  expect_message(peer_a, "x");
  expect_message(peer_b, "x");
  wwr_conn_unref(a);
}

static void subscribe_in_hook(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
  if (wwr_conn_subscribe(conn, room(), 0, NULL, NULL)) note(&fix.broken);
}

static void accept_conf_waits(void) {
  fix.override.on_connected = subscribe_in_hook;
  fix.opts.subscribe_wait_ms = 60000;
  start_on_bus();
  test_bus_hold(ON(SUBSCRIBE) | ON(JOIN));
  struct peer *peer = peer_dial();
  WAIT(fix.connected == 1 && fix.bus->calls[TEST_SUBSCRIBE] == 1);
  peer_expect_nothing(peer);
  test_bus_hold(0);
  (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  (void)publish("room", "x");
  expect_message(peer, "x");
}

static void accept_conf_waits_not_for_ever(void) {
  fix.override.on_connected = subscribe_in_hook;
  fix.opts.subscribe_wait_ms = SHORT_MS;
  start_on_bus();
  test_bus_hold(ON(SUBSCRIBE) | ON(JOIN));
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "echo", "a");
  peer_expect_text(peer, 1, "a");
  test_bus_hold(0);
  wait_subscribers("room", 1);
  (void)publish("room", "x");
  expect_message(peer, "x");
}

static void accept_conf_waits_not_at_all(void) {
  fix.override.on_connected = subscribe_in_hook;
  fix.opts.subscribe_wait_ms = 0;
  start_on_bus();
  test_bus_hold(ON(SUBSCRIBE));
  (void)peer_connect();
  test_bus_hold(0);
}

/* Whoever leaves, is closed or shut down while accept-conf waits. */
static void the_wait_ends_with_the_connection(void) {
  fix.override.on_connected = subscribe_in_hook;
  fix.opts.subscribe_wait_ms = 60000;
  start_on_bus();
  test_bus_hold(ON(SUBSCRIBE) | ON(JOIN));
  struct peer *breaks = peer_dial();
  WAIT(fix.connected == 1);
  peer_abort(breaks);
  WAIT(fix.disconnected == 1);
  struct peer *closed = peer_dial();
  WAIT(fix.connected == 2);
  settle();
  wwr_conn_close(LOCKED(fix.last_conn));
  (void)peer_expect(closed, WWRI_ACCEPT_CONF);
  peer_expect_closed(closed);
  struct peer *shut = peer_dial();
  WAIT(fix.connected == 3);
  settle();
  wwr_server_shutdown(fix.server);
  (void)peer_expect(shut, WWRI_ACCEPT_CONF);
  peer_expect_closed(shut);
}

static void unsubscribed_while_subscribing(void) {
  struct wwr_conn *conn;
  struct answer first = {0}, again = {0}, second = {0};
  start_on_bus();
  struct peer *peer = peer_connect_conn(&conn);
  test_bus_hold(ON(SUBSCRIBE));
  begin_subscribe(conn, &first);
  begin_subscribe(conn, &again);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
  begin_subscribe(conn, &second);
  settle();
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 1);
  test_bus_hold(0);
  expect_answer(&first, WWR_E_CANCELED);
  expect_answer(&again, WWR_E_CANCELED);
  expect_answer(&second, WWR_OK);
  (void)publish("room", "x");
  expect_message(peer, "x");
  peer_expect_nothing(peer);
}

static void gone_while_subscribing(void) {
  struct wwr_conn *conn;
  struct answer answer = {0};
  start_on_bus();
  struct peer *peer = peer_connect_conn(&conn);
  test_bus_hold(ON(SUBSCRIBE));
  begin_subscribe(conn, &answer);
  settle();
  peer_close(peer);
  WAIT(fix.disconnected == 1);
  test_bus_hold(0);
  expect_answer(&answer, WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(wwr_conn_subscribe(conn, room(), 0, NULL, NULL),
                  WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conn, room()), WWR_OK);
}

/* --- Failures ------------------------------------------------------------ */

static void a_failed_subscribe_fails_all_who_wait(void) {
  struct wwr_conn *conn;
  struct answer answers[3] = {{0}};
  fix.opts.io_threads = 1;
  start_on_bus();
  test_bus_hold(ON(SUBSCRIBE));
  for (int i = 0; i < 3; i++) {
    (void)peer_connect_conn(&conn);
    begin_subscribe(conn, &answers[i]);
    settle();
  }
  test_bus_fail(TEST_SUBSCRIBE, WWR_E_UNAVAILABLE);
  test_bus_hold(0);
  for (int i = 0; i < 3; i++) expect_answer(&answers[i], WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 0);
  test_bus_fail(TEST_SUBSCRIBE, WWR_OK);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_OK);
}

static void a_failed_join_fails_one(void) {
  struct wwr_conn *conn;
  fix.opts.io_threads = 1;
  start_on_bus();
  struct peer *first = connect_to("room");
  (void)peer_connect_conn(&conn);
  test_bus_fail(TEST_JOIN, WWR_E_REFUSED);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_E_REFUSED);
  test_bus_fail(TEST_JOIN, WWR_OK);
  test_bus_refuse(TEST_JOIN, WWR_E_LIMIT);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_E_LIMIT);
  test_bus_refuse(TEST_JOIN, WWR_OK);
  CU_ASSERT_EQUAL(wwr_conn_channels(conn), 0);
  (void)publish("room", "x");
  expect_message(first, "x");
  CU_ASSERT_EQUAL(ask_subscribers("room"), 1);
}

static void refused_at_once(void) {
  struct wwr_conn *conn;
  start_on_bus();
  (void)peer_connect_conn(&conn);
  test_bus_refuse(TEST_SUBSCRIBE, WWR_E_NOMEM);
  CU_ASSERT_EQUAL(subscribe(conn, "room", 0).err, WWR_E_NOMEM);
  test_bus_refuse(TEST_SUBSCRIBE, WWR_OK);
  test_bus_refuse(TEST_PUBLISH, WWR_E_LIMIT);
  test_bus_refuse(TEST_HISTORY, WWR_E_LIMIT);
  test_bus_refuse(TEST_NODES, WWR_E_LIMIT);
  struct answer answer = {0};
  CU_ASSERT_EQUAL(wwr_server_publish(fix.server, room(), room(), NULL, NULL,
                                     on_published, &answer),
                  WWR_E_LIMIT);
  CU_ASSERT_EQUAL(
      wwr_server_history(fix.server, room(), 1, on_history, &answer),
      WWR_E_LIMIT);
  CU_ASSERT_EQUAL(wwr_server_nodes(fix.server, NULL, &answer), WWR_E_LIMIT);
  settle();
  CU_ASSERT_EQUAL(LOCKED(answer.calls), 0);
}

static void a_publish_fails(void) {
  start_on_bus();
  test_bus_fail(TEST_PUBLISH, WWR_E_UNAVAILABLE);
  struct answer answer = publish("room", "x");
  CU_ASSERT_EQUAL(answer.err, WWR_E_UNAVAILABLE);
  CU_ASSERT_FALSE(answer.certain);
  fix.bus->fail_certain = true;
  CU_ASSERT_TRUE(publish("room", "x").certain);
  test_bus_fail(TEST_HISTORY, WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(ask_history("room", 1).err, WWR_E_UNAVAILABLE);
  test_bus_fail(TEST_PRESENCE_LIST, WWR_E_REFUSED);
  CU_ASSERT_EQUAL(ask_members("room").err, WWR_E_REFUSED);
}

static void presence_is_told_again(void) {
  struct wwr_conn *conn;
  start_on_bus();
  (void)peer_connect_conn(&conn);
  test_bus_fail(TEST_PRESENCE_SET, WWR_E_UNAVAILABLE);
  (void)subscribe(conn, "room", 0);
  WAIT(fix.bus->done[TEST_PRESENCE_SET] >= 1);
  test_bus_fail(TEST_PRESENCE_SET, WWR_OK);
  test_bus_refuse(TEST_PRESENCE_SET, WWR_E_LIMIT);
  int calls = LOCKED(fix.bus->calls[TEST_PRESENCE_SET]);
  WAIT(fix.bus->calls[TEST_PRESENCE_SET] > calls);
  CU_ASSERT_EQUAL(ask_subscribers("room"), 0);
  test_bus_refuse(TEST_PRESENCE_SET, WWR_OK);
  int done = LOCKED(fix.bus->done[TEST_PRESENCE_SET]);
  WAIT(fix.bus->done[TEST_PRESENCE_SET] > done);
  CU_ASSERT_EQUAL(ask_subscribers("room"), 1);
}

/* --- What the bus delivers ----------------------------------------------- */

static struct wwri_bus_message message(struct wwri_logid id, const char *text) {
  return (struct wwri_bus_message){
      .id = id, .name = wwr_view_str("m"), .payload = wwr_payload_text(text)};
}

/* A repair brings messages from before a subscription. */
static void nothing_older_than_the_subscription(void) {
  struct wwr_conn *conn;
  fix.opts.io_threads = 1;
  start_on_bus();
  struct peer *early = connect_to("room");
  (void)publish("room", "1");
  struct wwr_channel_id second = publish("room", "2").id;
  struct peer *late = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  struct wwri_logid id = {second.epoch, second.offset};
  struct wwri_bus_message old = message(id, "old");
  test_bus_message("room", &old);
  struct wwri_bus_message unlogged = message((struct wwri_logid){0, 0}, "any");
  test_bus_message("room", &unlogged);
  id.offset++;
  struct wwri_bus_message fresh = message(id, "new");
  test_bus_message("room", &fresh);
  expect_message(early, "1");
  expect_message(early, "2");
  expect_message(early, "old");
  expect_message(early, "any");
  expect_message(early, "new");
  expect_message(late, "any");
  expect_message(late, "new");
}

static int verdicts;
static struct wwr_verdict heard;
static char heard_channel[32];

static void on_verdict(struct wwr_server *server, struct wwr_view channel,
                       const struct wwr_verdict *verdict, void *user_data) {
  (void)user_data;
  pthread_mutex_lock(&fix.lock);
  heard = *verdict;
  snprintf(heard_channel, sizeof heard_channel, "%.*s", (int)channel.len,
           (const char *)channel.data);
  pthread_mutex_unlock(&fix.lock);
  if (!wwri_on_io_thread(server)) note(&fix.broken);
  note(&verdicts);
}

/* What no client may be sent is not sent, but said. */
static void bad_messages_are_verdicts(void) {
  static char bytes[9000];
  verdicts = 0;
  fix.opts.hooks.on_verdict = on_verdict;
  start_on_bus();
  struct peer *peer = connect_to("room");
  struct wwri_bus_message bad = message((struct wwri_logid){7, 1}, "x");
  bad.name = wwr_view_str("new\nline");
  test_bus_message("room", &bad);
  WAIT(verdicts == 1);
  CU_ASSERT_EQUAL(heard.kind, WWR_VERDICT_LOST);
  CU_ASSERT_EQUAL(heard.from.epoch, 7);
  CU_ASSERT_EQUAL(heard.to.offset, 1);
  CU_ASSERT_EQUAL(heard.count, 1);
  bad = message((struct wwri_logid){7, 2}, "");
  bad.payload = wwr_payload_binary(bytes, sizeof bytes);
  test_bus_message("room", &bad);
  WAIT(verdicts == 2);
  CU_ASSERT_EQUAL(heard.to.offset, 2);
  peer_expect_nothing(peer);
  struct wwr_cluster_state state;
  wwr_server_cluster(fix.server, &state);
  CU_ASSERT_EQUAL(state.verdicts[WWR_VERDICT_LOST], 2);
}

static void want_gaps(struct wwr_view channel, struct wwr_channel_opts *opts,
                      void *user_data) {
  (void)user_data;
  opts->gap_signals = view_is(channel, "room");
}

static void verdicts_are_told_once(void) {
  verdicts = 0;
  fix.opts.hooks.on_verdict = on_verdict;
  fix.opts.hooks.on_channel = want_gaps;
  start_on_bus();
  struct peer *peers[4];
  for (int i = 0; i < 4; i++) peers[i] = connect_to("room");
  struct peer *quiet = connect_to("quiet");
  struct wwri_verdict verdict = {WWRI_DIVERGED, {5, 6}, {5, 9}, 4};
  test_bus_verdict("room", &verdict);
  WAIT(verdicts == 1);
  CU_ASSERT_STRING_EQUAL(heard_channel, "room");
  CU_ASSERT_EQUAL(heard.kind, WWR_VERDICT_DIVERGED);
  CU_ASSERT_EQUAL(heard.from.offset, 6);
  CU_ASSERT_EQUAL(heard.to.offset, 9);
  CU_ASSERT_EQUAL(heard.count, 4);
  WAIT(strcmp(fix.log, "verdict") == 0);
  for (int i = 0; i < 4; i++) {
    struct wwri_msg msg = peer_expect(peers[i], WWRI_SIGNAL_UTF8);
    CU_ASSERT_TRUE(view_is(msg.name, "gap:room"));
    CU_ASSERT_TRUE(view_is(msg.payload.data, "diverged 5-6 5-9 4"));
  }
  test_bus_verdict("room", &verdict); /* the same again is another */
  WAIT(verdicts == 2);
  test_bus_verdict("quiet", &verdict);
  WAIT(verdicts == 3);
  settle();
  CU_ASSERT_EQUAL(LOCKED(verdicts), 3);
  peer_expect_nothing(quiet);
}

/* --- A publisher's own message ------------------------------------------- */

static int replied;

static void reply_published(const struct wwr_publish_result *result,
                            void *user_data) {
  reply_text(user_data, wwr_err_name(result->err));
  note(&replied);
}

static void publish_request(struct wwr_conn *conn, struct wwr_request *request,
                            const struct wwr_message *asked, void *user_data) {
  (void)conn;
  (void)user_data;
  if (wwr_server_publish(fix.server, room(), asked->name, &asked->payload, NULL,
                         reply_published, request)) {
    reply_text(request, "failed");
  }
}

static struct peer *publish_early(void) {
  replied = 0;
  fix.override.on_request = publish_request;
  start_on_bus();
  struct peer *peer = connect_to("room");
  struct wwr_channel_id last = publish("room", "1").id;
  expect_message(peer, "1");
  pthread_mutex_lock(&fix.lock);
  fix.bus->early = (struct wwri_logid){last.epoch, last.offset + 1};
  pthread_mutex_unlock(&fix.lock);
  peer_request(peer, 1, "pub", "2");
  WAIT(fix.bus->done[TEST_PUBLISH] == 2);
  return peer;
}

/* The bus's answer overtakes the message. */
static void done_waits_for_the_message(void) {
  struct peer *peer = publish_early();
  if (is_blocking()) {
    peer_expect_text(peer, 1, "ok"); /* only the caller's own thread waits */
    return;
  }
  struct wwri_bus_message other = message((struct wwri_logid){0, 0}, "other");
  test_bus_message("room", &other);
  expect_message(peer, "other");
  struct wwri_bus_message own = message(fix.bus->early, "2");
  test_bus_message("room", &own);
  expect_message(peer, "2");
  peer_expect_text(peer, 1, "ok");
}

static void done_waits_not_for_ever(void) {
  struct peer *peer = publish_early();
  peer_expect_text(peer, 1, "ok"); /* after a second */
}

static void done_does_not_wait_for_what_is_lost(void) {
  struct peer *peer = publish_early();
  struct wwri_verdict verdict = {WWRI_LOST, fix.bus->early, fix.bus->early, 1};
  test_bus_verdict("room", &verdict);
  peer_expect_text(peer, 1, "ok");
}

/* --- Health -------------------------------------------------------------- */

static int health_calls;
static enum wwr_health felt;

static void on_health(struct wwr_server *server, enum wwr_health health,
                      void *user_data) {
  (void)user_data;
  if (!wwri_on_io_thread(server)) note(&fix.broken);
  pthread_mutex_lock(&fix.lock);
  felt = health;
  pthread_mutex_unlock(&fix.lock);
  note(&health_calls);
}

static void health_is_told(void) {
  health_calls = 0;
  fix.opts.hooks.on_health = on_health;
  start_on_bus();
  test_bus_health(WWRI_BUS_HOLDING, "redis is away");
  WAIT(health_calls == 1 && felt == WWR_HEALTH_HOLDING);
  struct wwr_cluster_state state;
  wwr_server_cluster(fix.server, &state);
  CU_ASSERT_EQUAL(state.health, WWR_HEALTH_HOLDING);
  CU_ASSERT_STRING_EQUAL(state.reason, "redis is away");
  test_bus_health(WWRI_BUS_HOLDING, "still");
  settle();
  CU_ASSERT_EQUAL(LOCKED(health_calls), 1);
  test_bus_health(WWRI_BUS_UNREADY, "gone");
  WAIT(health_calls == 2 && felt == WWR_HEALTH_UNREADY);
  (void)peer_connect(); /* the clients of a fleet are not turned away */
  test_bus_health(WWRI_BUS_REFUSED, "message-buffer differs");
  WAIT(health_calls == 3 && felt == WWR_HEALTH_REFUSED);
  peer_refused(503);
  test_bus_health(WWRI_BUS_READY, "");
  WAIT(health_calls == 4 && felt == WWR_HEALTH_READY);
  (void)peer_connect();
}

/* --- Slow connections during a repair ------------------------------------ */

enum { QUEUE = 64 * 1024, BIG = 4000 };

static struct wwri_bus_message big_message(uint64_t offset) {
  static uint8_t bytes[BIG];
  return (struct wwri_bus_message){
      .id = {UINT64_C(1) << 60, offset},
      .name = wwr_view_str("m"),
      .payload = wwr_payload_binary(bytes, sizeof bytes)};
}

static void send_big(uint64_t from, uint64_t to) {
  for (uint64_t i = from; i < to; i++) {
    struct wwri_bus_message big = big_message(i);
    test_bus_message("room", &big);
  }
}

/* The bus is told of a client's queue only, not of what waits for the loop. */
static void start_with_queues(uint32_t stuck_ms) {
  fix.opts.max_queued_bytes = QUEUE;
  start_on_bus();
  fix.server->channels.press_bytes = UINT32_MAX;
  fix.server->channels.stuck_ms = stuck_ms;
}

static struct peer *fill_queue(void) {
  start_with_queues(60000);
  struct peer *slow = connect_to("room");
  peer_pause(slow, true);
  send_big(1, 12);
  WAIT(fix.bus->pressed == 1);
  return slow;
}

static void a_repair_waits_for_queues(void) {
  struct peer *slow = fill_queue();
  settle();
  peer_pause(slow, false);
  WAIT(fix.bus->released == 1);
  for (int i = 1; i < 12; i++) (void)peer_expect(slow, WWRI_SIGNAL_BINARY);
  send_big(12, 14);
  for (int i = 12; i < 14; i++) (void)peer_expect(slow, WWRI_SIGNAL_BINARY);
}

/* A client that does not read holds nobody for long. */
static void a_stuck_client_no_longer_counts(void) {
  start_with_queues(50);
  struct peer *slow = connect_to("room");
  peer_pause(slow, true);
  uint64_t begun = now_ms();
  send_big(1, 12);
  WAIT(fix.bus->released >= 1);
  CU_ASSERT_TRUE(now_ms() - begun >= 50);
  CU_ASSERT_EQUAL(LOCKED(slow->closed), 0);
}

static void who_leaves_holds_nobody(void) {
  struct peer *slow = fill_queue();
  peer_abort(slow);
  WAIT(fix.bus->released == 1);
}

/* Nothing is taken by a loop that is busy: the bus is told, then messages are
 * lost, and said to be. */
static atomic_bool blocked;
static int blocking;

static void block(struct wwri_mail *mail) {
  (void)mail;
  note(&blocking);
  while (atomic_load(&blocked)) sched_yield();
}

static void a_stuck_loop(void) {
  struct wwr_conn *conn;
  struct wwri_mail mail = {.fn = block};
  verdicts = blocking = 0;
  fix.opts.hooks.on_verdict = on_verdict;
  start_on_bus();
  fix.server->channels.items_max = 100 * BIG;
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "room", 0);
  atomic_store(&blocked, true);
  wwri_loop_post(conn->shard->loop, &mail);
  WAIT(blocking == 1);
  send_big(1, 200);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->pressed), 1);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->released), 0);
  atomic_store(&blocked, false);
  WAIT(verdicts == 1 && fix.bus->released == 1);
  CU_ASSERT_EQUAL(heard.kind, WWR_VERDICT_LOST);
  CU_ASSERT_EQUAL(heard.to.offset, 199);
  for (uint64_t i = 1; i < heard.from.offset; i++) {
    (void)peer_expect(peer, WWRI_SIGNAL_BINARY);
  }
  CU_ASSERT_EQUAL(heard.from.offset + heard.count, 200);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(atomic_load(&conn->shard->channels.waiting), 0);
}

static void hurry(struct wwri_mail *mail) {
  struct wwri_channels *channels = &fix.server->channels;
  (void)mail;
  channels->beat_ms = 1;
  wwri_loop_timer_set(fix.server->loops[0], &channels->run.beat, 1);
}

static void wait_beats(int count) {
  int runs = LOCKED(fix.bus->runs);
  WAIT(fix.bus->runs >= runs + count);
}

/* The bus must not believe that the node is well when one of its loops hangs
 * that has nothing to do with the bus. */
static void no_word_while_a_loop_hangs(void) {
  struct wwri_mail hurrying = {.fn = hurry};
  struct wwri_mail mail = {.fn = block};
  blocking = 0;
  fix.opts.io_threads = 2;
  start_on_bus();
  wwri_loop_post(fix.server->loops[0], &hurrying);
  WAIT(fix.bus->loads >= 5);
  atomic_store(&blocked, true);
  wwri_loop_post(fix.server->loops[1], &mail);
  WAIT(blocking == 1);
  wait_beats(3); /* it may have answered one just before */
  int loads = LOCKED(fix.bus->loads);
  wait_beats(20);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->loads), loads);
  atomic_store(&blocked, false);
  WAIT(fix.bus->loads > loads);
}

/* --- The end ------------------------------------------------------------- */

static void shutdown_with_everything_open(void) {
  struct wwr_conn *conn;
  struct answer answers[7] = {{0}};
  struct wwr_server *server;
  start_on_bus();
  server = fix.server;
  struct peer *peer = peer_connect_conn(&conn);
  (void)subscribe(conn, "other", 0);
  test_bus_hold(~0u);
  begin_subscribe(conn, &answers[0]);
  begin_subscribe(conn, &answers[1]);
  CU_ASSERT_EQUAL(wwr_conn_subscribe(conn, wwr_view_str("other"), 0,
                                     on_subscribed, &answers[2]),
                  WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_publish(server, room(), room(), NULL, conn,
                                     on_published, &answers[3]),
                  WWR_OK);
  CU_ASSERT_EQUAL(
      wwr_server_history(server, room(), 5, on_history, &answers[4]), WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_presence(server, room(), on_members, &answers[5]),
                  WWR_OK);
  CU_ASSERT_EQUAL(wwr_server_subscribers(server, room(), on_count, &answers[6]),
                  WWR_OK);
  settle();
  wwr_server_shutdown(server);
  peer_wait_closed(peer);
  expect_answer(&answers[0], WWR_E_DISCONNECTED);
  expect_answer(&answers[1], WWR_E_DISCONNECTED);
  expect_answer(&answers[2], WWR_E_DISCONNECTED);
  for (int i = 3; i < 7; i++) expect_answer(&answers[i], WWR_E_CLOSED);
}

/* A handler is still open: the bus is closed by the end of the server. */
static void shutdown_cut_short(void) {
  struct answer answer = {0};
  fix.opts.shutdown_timeout_ms = 1;
  start_on_bus();
  struct peer *peer = connect_to("room");
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  test_bus_hold(ON(PUBLISH));
  CU_ASSERT_EQUAL(wwr_server_publish(fix.server, room(), room(), NULL, NULL,
                                     on_published, &answer),
                  WWR_OK);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(LOCKED(fix.bus->closes), 0);
  CU_ASSERT_EQUAL(LOCKED(answer.calls), 0);
  reply_text(request, "late");
  fixture_stop_peers();
  fixture_free_server();
  CU_ASSERT_EQUAL(fix.bus->closes, 1);
  CU_ASSERT_EQUAL(answer.calls, 1);
  CU_ASSERT_EQUAL(answer.err, WWR_E_CLOSED);
}

static void never_started(void) {
  test_bus_use();
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  fixture_free_server();
  CU_ASSERT_EQUAL(fix.bus->closes, 0);
}

static CU_TestInfo tests[] = {
    {"the bus hears of the server", the_bus_hears_of_the_server},
    {"one receiver for many", one_receiver_for_many},
    {"all wait for the first", all_wait_for_the_first},
    {"accept-conf waits", accept_conf_waits},
    {"accept-conf waits not for ever", accept_conf_waits_not_for_ever},
    {"accept-conf waits not at all", accept_conf_waits_not_at_all},
    {"the wait ends with the connection", the_wait_ends_with_the_connection},
    {"unsubscribed while subscribing", unsubscribed_while_subscribing},
    {"gone while subscribing", gone_while_subscribing},
    {"a failed subscribe fails all who wait",
     a_failed_subscribe_fails_all_who_wait},
    {"a failed join fails one", a_failed_join_fails_one},
    {"refused at once", refused_at_once},
    {"a publish fails", a_publish_fails},
    {"presence is told again", presence_is_told_again},
    {"nothing older than the subscription",
     nothing_older_than_the_subscription},
    {"bad messages are verdicts", bad_messages_are_verdicts},
    {"verdicts are told once", verdicts_are_told_once},
    {"done waits for the message", done_waits_for_the_message},
    {"done waits not for ever", done_waits_not_for_ever},
    {"done does not wait for what is lost",
     done_does_not_wait_for_what_is_lost},
    {"health is told", health_is_told},
    {"a repair waits for queues", a_repair_waits_for_queues},
    {"a stuck client no longer counts", a_stuck_client_no_longer_counts},
    {"who leaves holds nobody", who_leaves_holds_nobody},
    {"a stuck loop", a_stuck_loop},
    {"no word while a loop hangs", no_word_while_a_loop_hangs},
    {"shutdown with everything open", shutdown_with_everything_open},
    {"shutdown cut short", shutdown_cut_short},
    {"never started", never_started},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  fixture_end = test_bus_free;
  return fixture_main(argc, argv, tests);
}
