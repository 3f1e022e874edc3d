/* Every allocation of a scenario with channels fails once. Nothing leaks, every
 * promised callback comes once, and a message that was accepted reaches its
 * subscribers, or they are cut off, or a verdict says that it is lost. */
#include <stdio.h>
#include <string.h>

#include "server_channel_common.h"

static int verdicts;

static void on_verdict(struct wwr_server *server, struct wwr_view channel,
                       const struct wwr_verdict *verdict, void *user_data) {
  (void)server;
  (void)channel;
  (void)verdict;
  (void)user_data;
  note(&verdicts);
}

static void with_presence(struct wwr_view channel,
                          struct wwr_channel_opts *opts, void *user_data) {
  (void)channel;
  (void)user_data;
  opts->presence = true;
  opts->gap_signals = true;
  opts->member_field = "a";
}

/* The callback of a call that was taken, or no memory; true: it succeeded. */
static bool succeeded(struct answer *answer, wwr_err err) {
  if (err == WWR_OK) {
    WAIT(answer->calls > 0);
    CU_ASSERT_EQUAL(answer->calls, 1);
    err = answer->err;
  } else {
    settle();
    CU_ASSERT_EQUAL(LOCKED(answer->calls), 0);
  }
  if (err != WWR_OK && err != WWR_E_NOMEM && err != WWR_E_DISCONNECTED) {
    printf("(%s) ", wwr_err_name(err));
    CU_FAIL("another error than no memory");
  }
  return err == WWR_OK;
}

/* A connected client with its connection; NULL: cut off or refused. */
static struct peer *try_connect(struct wwr_conn **conn) {
  struct wwri_msg msg;
  *conn = NULL;
  struct peer *peer = peer_dial();
  if (!peer || !LOCKED(peer->opened)) return NULL;
  if (!peer_try_next(peer, &msg)) return NULL;
  CU_ASSERT_EQUAL(msg.type, WWRI_ACCEPT_CONF);
  *conn = wwr_conn_ref(LOCKED(fix.last_conn));
  return peer;
}

static bool try_subscribe(struct wwr_conn *conn, uint32_t history) {
  struct answer answer = {0};
  return succeeded(&answer, wwr_conn_subscribe(conn, room(), history,
                                               on_subscribed, &answer));
}

static bool try_publish(void) {
  struct answer answer = {0};
  struct wwr_payload text = wwr_payload_text("x");
  return succeeded(
      &answer, wwr_server_publish(fix.server, room(), wwr_view_str("m"), &text,
                                  NULL, on_published, &answer));
}

/* Under the lock: a signal "m" behind what was taken. */
static bool has_message(const struct peer *peer) {
  for (size_t i = peer->rx_next; i < peer->rx_count; i++) {
    struct wwri_msg msg;
    if (wwri_decode(wwri_frame_view(peer->rx[i]), &msg)) continue;
    if (view_is(msg.name, "m")) return true;
  }
  return false;
}

static void must_get(struct peer *peer, int before) {
  WAIT(has_message(peer) || peer->closed || verdicts > before);
  pthread_mutex_lock(&fix.lock);
  peer->rx_next = peer->rx_count;
  pthread_mutex_unlock(&fix.lock);
}

static void ask_everything(void) {
  struct answer history = {0}, members = {0}, count = {0};
  (void)succeeded(&history, wwr_server_history(fix.server, room(), 10,
                                               on_history, &history));
  (void)succeeded(
      &members, wwr_server_presence(fix.server, room(), on_members, &members));
  (void)succeeded(&count,
                  wwr_server_subscribers(fix.server, room(), on_count, &count));
}

static void on_nodes(wwr_err err, const struct wwr_node_info *nodes,
                     size_t count, void *user_data) {
  (void)nodes;
  on_count(err, count, user_data);
}

static void on_signaled(wwr_err err, void *user_data) {
  if (err == WWR_E_SESSION_NOT_FOUND) err = WWR_OK;
  on_count(err, 0, user_data);
}

static void on_places(wwr_err err, const struct wwr_session_place *places,
                      size_t count, void *user_data) {
  (void)places;
  if (err == WWR_E_SESSION_NOT_FOUND) err = WWR_OK;
  on_count(err, count, user_data);
}

static void ask_about_sessions(void) {
  struct answer nodes = {0}, signal = {0}, places = {0};
  struct wwr_view key = wwr_view_str("key");
  (void)succeeded(&nodes, wwr_server_nodes(fix.server, on_nodes, &nodes));
  (void)succeeded(&signal, wwr_server_signal_session(fix.server, key, key, NULL,
                                                     on_signaled, &signal));
  (void)succeeded(
      &places, wwr_server_session_places(fix.server, key, on_places, &places));
}

static void on_conns(wwr_err err, const struct wwr_conn_row *rows, size_t count,
                     bool more, void *user_data) {
  (void)rows, (void)more;
  on_count(err, count, user_data);
}

static void on_sessions(wwr_err err, const struct wwr_session_row *rows,
                        size_t count, bool more, void *user_data) {
  (void)rows, (void)more;
  on_count(err, count, user_data);
}

static void on_channels(wwr_err err, const struct wwr_channel_row *rows,
                        size_t count, bool more, void *user_data) {
  (void)rows, (void)more;
  on_count(err, count, user_data);
}

/* A command without an answer is not lost silently: its time is over. */
static void on_commanded(wwr_err err, void *user_data) {
  if (err == WWR_E_REFUSED || err == WWR_E_UNAVAILABLE) err = WWR_OK;
  on_count(err, 0, user_data);
}

static void ask_as_operator(void) {
  struct answer conns = {0}, sessions = {0}, channels = {0}, command = {0};
  struct wwr_view none = {0};
  (void)succeeded(&conns,
                  wwr_server_list_conns(fix.server, 0, 9, on_conns, &conns));
  (void)succeeded(&sessions, wwr_server_list_sessions(fix.server, none, 9,
                                                      on_sessions, &sessions));
  (void)succeeded(&channels, wwr_server_list_channels(fix.server, none, none, 9,
                                                      on_channels, &channels));
  (void)succeeded(
      &command, wwr_server_command(fix.server, wwr_server_node_name(fix.server),
                                   room(), on_commanded, &command));
}

static void restore(struct peer *peer) {
  struct wwri_msg msg;
  peer_restore(peer, 5, "key");
  while (peer_try_next(peer, &msg)) {
    if (msg.type == WWRI_REPLY_UTF8 || msg.type == WWRI_REPLY_INTERNAL_ERROR) {
      return;
    }
  }
}

static void talk(struct peer *a, struct wwr_conn *conn_a, struct peer *b,
                 struct wwr_conn *conn_b) {
  bool on_a = try_subscribe(conn_a, 0);
  int before = LOCKED(verdicts);
  if (try_publish() && on_a) must_get(a, before);
  bool on_b = try_subscribe(conn_b, 10);
  (void)try_subscribe(conn_b, 10);
  restore(b);
  before = LOCKED(verdicts);
  bool accepted = try_publish();
  if (accepted && on_a) must_get(a, before);
  if (accepted && on_b) must_get(b, before);
  if (is_threaded()) {
    struct wwri_verdict verdict = {WWRI_RESET, {0, 0}, {1, 1}, 0};
    before = LOCKED(verdicts);
    bool heard = test_bus_subs("room") > 0;
    test_bus_verdict("room", &verdict);
    if (heard) WAIT(verdicts > before);
  }
  ask_everything();
  ask_about_sessions();
  ask_as_operator();
  wwr_err err = wwr_conn_unsubscribe(conn_b, room());
  CU_ASSERT_TRUE(err == WWR_OK || err == WWR_E_NOMEM);
  settle();
}

static void scenario(bool in_traffic) {
  struct wwr_conn *conn_a, *conn_b = NULL;
  if (fixture_new() != WWR_OK) return;
  fix.server->channels.linger_ms = 1;
  fix.server->commands.wait_ms = 50;
  if (wwr_server_start(fix.server) != WWR_OK) return;
  if (in_traffic) traffic_start();
  struct peer *a = try_connect(&conn_a);
  struct peer *b = a ? try_connect(&conn_b) : NULL;
  if (b) talk(a, conn_a, b, conn_b);
  wwr_conn_unref(conn_a);
  wwr_conn_unref(conn_b);
  traffic_stop();
}

static void prepare(void) {
  verdicts = 0;
  fix.opts.hooks.on_verdict = on_verdict;
  fix.opts.hooks.on_channel = with_presence;
  store_put("key", "{\"a\":\"b\"}");
  if (is_threaded()) test_bus_use();
}

static void every_allocation_fails(void) {
  fixture_fail_each(prepare, scenario, false);
}

/* Everything goes by mail: other allocations, other ways. */
static void every_allocation_fails_in_traffic(void) {
  fixture_fail_each(prepare, scenario, true);
}

static CU_TestInfo tests[] = {
    {"every allocation fails", every_allocation_fails},
    {"every allocation fails in traffic", every_allocation_fails_in_traffic},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return channel_main(argc, argv, tests);
}
