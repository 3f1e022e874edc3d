/* Who is where: presence by sessions, counts, nodes, signals to sessions; and
 * what the on_channel hook decides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server_channel_common.h"

static atomic_int asked;
static struct wwr_channel_opts chosen;

static void on_channel(struct wwr_view channel, struct wwr_channel_opts *opts,
                       void *user_data) {
  (void)channel;
  (void)user_data;
  atomic_fetch_add(&asked, 1);
  if (!opts->logged || opts->log_entries != 1000 ||
      opts->log_age_ms != 600000 || !opts->counted || opts->presence ||
      strcmp(opts->member_field, "username") != 0 || opts->gap_signals) {
    note(&fix.broken);
  }
  *opts = chosen;
}

static void choose(struct wwr_channel_opts opts) {
  atomic_store(&asked, 0);
  chosen = opts;
  fix.opts.hooks.on_channel = on_channel;
}

static void with_presence(void) {
  choose((struct wwr_channel_opts){.logged = true,
                                   .log_entries = 10,
                                   .log_age_ms = 60000,
                                   .presence = true,
                                   .member_field = "name"});
}

/* --- Presence ------------------------------------------------------------ */

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sorted(const char *texts, char *out, size_t cap) {
  char copy[TEXTS_MAX], *words[64], *rest;
  size_t count = 0;
  snprintf(copy, sizeof copy, "%s", texts);
  char *word = strtok_r(copy, " ", &rest);
  for (; word && count < 64; word = strtok_r(NULL, " ", &rest)) {
    words[count++] = word;
  }
  qsort(words, count, sizeof *words, by_text);
  out[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    size_t have = strlen(out);
    snprintf(out + have, cap - have, "%s%s", have ? " " : "", words[i]);
  }
}

/* Wait until the members are these, in order of their names. */
static void wait_members(const char *want) {
  char have[TEXTS_MAX];
  uint64_t until = now_ms() + 30000;
  do {
    sorted(ask_members("room").texts, have, sizeof have);
    if (strcmp(have, want) == 0) return;
    settle();
  } while (now_ms() < until);
  CU_ASSERT_STRING_EQUAL(have, want);
}

static void create(struct peer *peer, const char *info) {
  peer_request(peer, 50, "create", info);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 50, "ok");
}

static void members_have_the_names_of_their_sessions(void) {
  with_presence();
  channel_start();
  struct peer *a = peer_connect();
  create(a, "{\"name\":\"ann\"}");
  CU_ASSERT_EQUAL(subscribe(fix.last_conn, "room", 0).err, WWR_OK);
  wait_members("ann=1");
  struct peer *b = connect_to("room"); /* no session */
  wait_members("=1 ann=1");
  create(b, "{\"name\":\"ann\"}");
  wait_members("ann=2");
  struct peer *c = connect_to("room");
  create(c, "{\"other\":\"x\"}");
  wait_members("=1 ann=2");
  CU_ASSERT_EQUAL(ask_subscribers("room"), 3);
  peer_close_session(a, 60);
  wait_members("=2 ann=1");
  peer_request(b, 61, "close-session", NULL);
  wait_members("=3");
  peer_abort(c);
  wait_members("=2");
  peer_close(a);
  peer_close(b);
  wait_members("");
  CU_ASSERT_EQUAL(ask_subscribers("room"), 0);
}

static void a_restored_session_is_a_member(void) {
  with_presence();
  channel_start();
  store_put("key1", "{\"name\":\"bob\"}");
  store_put("key2", "{\"name\":\"eve\"}");
  struct peer *peer = connect_to("room");
  wait_members("=1");
  peer_restore(peer, 1, "key1");
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  wait_members("bob=1");
  peer_restore(peer, 2, "key2");
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 2);
  wait_members("eve=1");
  CU_ASSERT_EQUAL(
      wwr_server_close_session(fix.server, wwr_view_str("key2"), NULL, NULL),
      WWR_OK);
  wait_members("=1");
}

static void odd_names(void) {
  char info[600], name[300];
  with_presence();
  channel_start();
  memset(name, 'n', sizeof name);
  name[255] = '\0';
  struct peer *fits = connect_to("room");
  snprintf(info, sizeof info, "{\"name\":\"%s\"}", name);
  struct wwr_conn *conn = fix.last_conn;
  CU_ASSERT_EQUAL(wwr_conn_create_session(conn, info, NULL, NULL), WWR_OK);
  (void)peer_expect(fits, WWRI_NOTIFY_SESSION_CREATED);
  snprintf(info, sizeof info, "%s=1", name);
  wait_members(info);
  name[255] = 'n';
  name[256] = '\0';
  struct peer *too_long = connect_to("room");
  snprintf(info, sizeof info, "{\"name\":\"%s\"}", name);
  CU_ASSERT_EQUAL(wwr_conn_create_session(fix.last_conn, info, NULL, NULL),
                  WWR_OK);
  (void)peer_expect(too_long, WWRI_NOTIFY_SESSION_CREATED);
  settle();
  name[255] = '\0';
  snprintf(info, sizeof info, "=1 %s=1", name);
  wait_members(info);
  struct peer *number = connect_to("room");
  create(number, "{\"name\":5}");
  snprintf(info, sizeof info, "=2 %s=1", name);
  wait_members(info);
}

static void a_channel_that_does_not_count(void) {
  choose((struct wwr_channel_opts){
      .logged = true, .log_entries = 1, .log_age_ms = 1000});
  channel_start();
  struct peer *peer = connect_to("room");
  (void)publish("room", "x");
  expect_message(peer, "x");
  CU_ASSERT_EQUAL(ask_subscribers("room"), 0);
  CU_ASSERT_EQUAL(ask_members("room").count, 0);
}

static void counts_of_many(void) {
  enum { MANY = 30 };
  struct peer *peers[MANY];
  channel_start();
  for (int i = 0; i < MANY; i++) {
    peers[i] = connect_to("room");
    CU_ASSERT_EQUAL(ask_subscribers("room"), (uint64_t)i + 1);
  }
  for (int i = 0; i < MANY / 2; i++) peer_close(peers[i]);
  wait_subscribers("room", MANY / 2);
}

/* --- The hook ------------------------------------------------------------ */

static void the_hook_is_asked_once(void) {
  with_presence();
  channel_start();
  (void)connect_to("room");
  (void)connect_to("room");
  (void)publish("room", "x");
  (void)publish("room", "y");
  int before = atomic_load(&asked);
  CU_ASSERT_EQUAL(before, 1);
  (void)publish("another", "x");
  CU_ASSERT_EQUAL(atomic_load(&asked), 2);
}

/* The memory of channels that are not used is bounded; those in use stay. */
static void the_hook_is_asked_again_in_a_while(void) {
  with_presence();
  channel_start();
  struct wwr_channel_opts opts;
  wwri_channel_opts(fix.server, room(), &opts);
  for (int i = 0; i < 40000; i++) {
    char name[32];
    snprintf(name, sizeof name, "channel-%d", i);
    wwri_channel_opts(fix.server, wwr_view_str(name), &opts);
    if (i % 1000 == 0) wwri_channel_opts(fix.server, room(), &opts);
  }
  CU_ASSERT_EQUAL(atomic_load(&asked), 40001);
  CU_ASSERT_STRING_EQUAL(opts.member_field, "name");
  CU_ASSERT_TRUE(fix.server->channels.cache.young.count +
                     fix.server->channels.cache.old.count <=
                 32768);
  wwri_channel_opts(fix.server, wwr_view_str("channel-0"), &opts);
  CU_ASSERT_EQUAL(atomic_load(&asked), 40002);
}

static void a_log_has_its_limit(void) {
  choose((struct wwr_channel_opts){
      .logged = true, .log_entries = 2, .log_age_ms = 60000});
  channel_start();
  (void)publish("room", "1");
  (void)publish("room", "2");
  (void)publish("room", "3");
  CU_ASSERT_STRING_EQUAL(ask_history("room", 256).texts, "2 3");
}

static void a_channel_without_a_log(void) {
  choose((struct wwr_channel_opts){.logged = false});
  channel_start();
  struct peer *peer = connect_to("room");
  struct answer answer = publish("room", "1");
  CU_ASSERT_EQUAL(answer.err, WWR_OK);
  CU_ASSERT_EQUAL(answer.id.offset, 0);
  expect_message(peer, "1");
  CU_ASSERT_EQUAL(ask_history("room", 256).count, 0);
}

/* What is out of its range is put right, not refused by the bus. */
static void silly_options(void) {
  choose((struct wwr_channel_opts){.logged = true, .presence = true});
  channel_start();
  struct peer *peer = connect_to("room");
  CU_ASSERT_EQUAL(publish("room", "1").err, WWR_OK);
  expect_message(peer, "1");
  wait_members("=1");
  chosen.log_entries = chosen.log_age_ms = UINT32_MAX;
  CU_ASSERT_EQUAL(publish("other", "1").err, WWR_OK);
}

/* --- Nodes --------------------------------------------------------------- */

static struct {
  int calls;
  size_t count;
  char address[64];
  char version[32];
  bool named;
} nodes;

static void on_nodes(wwr_err err, const struct wwr_node_info *list,
                     size_t count, void *user_data) {
  (void)user_data;
  pthread_mutex_lock(&fix.lock);
  if (err == WWR_OK && count) {
    snprintf(nodes.address, sizeof nodes.address, "%s", list[0].address);
    snprintf(nodes.version, sizeof nodes.version, "%s", list[0].version);
    nodes.named = list[0].name[0] && list[0].started_ms;
  }
  nodes.count = count;
  pthread_mutex_unlock(&fix.lock);
  note(&nodes.calls);
}

static void a_cluster_of_one(void) {
  memset(&nodes, 0, sizeof nodes);
  channel_start();
  CU_ASSERT_EQUAL(wwr_server_nodes(fix.server, on_nodes, NULL), WWR_OK);
  WAIT(nodes.calls == 1);
  CU_ASSERT_EQUAL(nodes.count, 1);
  CU_ASSERT_TRUE(nodes.named);
  CU_ASSERT_STRING_EQUAL(nodes.address, wwr_server_address(fix.server));
  CU_ASSERT_STRING_EQUAL(nodes.version, wwr_version());
}

/* --- Sessions anywhere --------------------------------------------------- */

static void on_signaled(wwr_err err, void *user_data) {
  on_count(err, 0, user_data);
}

static wwr_err signal_session(const char *key, const char *text) {
  struct answer answer = {0};
  struct wwr_payload payload = wwr_payload_text(text);
  CU_ASSERT_EQUAL_FATAL(wwr_server_signal_session(fix.server, wwr_view_str(key),
                                                  wwr_view_str("m"), &payload,
                                                  on_signaled, &answer),
                        WWR_OK);
  WAIT(answer.calls == 1);
  CU_ASSERT_TRUE(answer.on_io_thread);
  return answer.err;
}

static void on_places(wwr_err err, const struct wwr_session_place *places,
                      size_t count, void *user_data) {
  if (count) {
    CU_ASSERT_STRING_EQUAL(places[0].node, wwr_server_node_name(fix.server));
  }
  on_count(err, count ? places[0].connections : 0, user_data);
}

static struct answer ask_places(const char *key) {
  struct answer answer = {0};
  CU_ASSERT_EQUAL_FATAL(wwr_server_session_places(fix.server, wwr_view_str(key),
                                                  on_places, &answer),
                        WWR_OK);
  WAIT(answer.calls == 1);
  return answer;
}

static void a_signal_to_a_session(void) {
  channel_start();
  store_put("key", NULL);
  struct peer *peers[4];
  for (int i = 0; i < 4; i++) peers[i] = peer_connect();
  for (int i = 0; i < 3; i++) {
    peer_restore(peers[i], 1, "key");
    (void)peer_expect_id(peers[i], WWRI_REPLY_UTF8, 1);
  }
  CU_ASSERT_EQUAL(signal_session("key", "hello"), WWR_OK);
  for (int i = 0; i < 3; i++) expect_message(peers[i], "hello");
  peer_expect_nothing(peers[3]);
  CU_ASSERT_EQUAL(signal_session("nobody", "x"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(ask_places("key").count, 3);
  CU_ASSERT_EQUAL(ask_places("nobody").err, WWR_E_SESSION_NOT_FOUND);
  struct wwr_view key = wwr_view_str("key"), none = {NULL, 0};
  CU_ASSERT_EQUAL(
      wwr_server_signal_session(fix.server, key, none, NULL, NULL, NULL),
      WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(
      wwr_server_signal_session(fix.server, key, key, NULL, NULL, NULL),
      WWR_OK);
  for (int i = 0; i < 3; i++) (void)peer_expect(peers[i], WWRI_SIGNAL_BINARY);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(
      wwr_server_signal_session(fix.server, key, key, NULL, NULL, NULL),
      WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_session_places(fix.server, key, on_places, NULL),
                  WWR_E_CLOSED);
}

static void no_sessions(void) {
  fix.with_store = false;
  channel_start();
  struct wwr_view key = wwr_view_str("key");
  CU_ASSERT_EQUAL(
      wwr_server_signal_session(fix.server, key, key, NULL, NULL, NULL),
      WWR_E_SESSIONS_DISABLED);
  CU_ASSERT_EQUAL(wwr_server_session_places(fix.server, key, on_places, NULL),
                  WWR_E_SESSIONS_DISABLED);
}

/* --- Broadcasts ---------------------------------------------------------- */

static void a_broadcast_to_all_but_one(void) {
  struct wwr_conn *conn;
  channel_start();
  struct peer *a = peer_connect();
  struct peer *b = peer_connect();
  struct peer *left_out = peer_connect_conn(&conn);
  struct wwr_payload text = wwr_payload_text("1");
  CU_ASSERT_EQUAL(
      wwr_server_broadcast_except(fix.server, conn, wwr_view_str("m"), &text),
      WWR_OK);
  text = wwr_payload_text("2");
  CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("m"), &text),
                  WWR_OK);
  expect_message(a, "1");
  expect_message(a, "2");
  expect_message(b, "1");
  expect_message(b, "2");
  expect_message(left_out, "2");
  struct wwr_server_stats stats;
  wwr_server_stats(fix.server, &stats);
  CU_ASSERT_EQUAL(stats.signals_out, 5);
}

static bool nothing_is_gathered(void) {
  struct wwri_presence *presence = &fix.server->channels.presence;
  pthread_mutex_lock(&presence->lock);
  bool nothing = wwri_list_empty(&presence->dirty);
  pthread_mutex_unlock(&presence->lock);
  return nothing;
}

/* A question tells the bus a count out of turn, which is soon no longer true
 * and was never to be told otherwise. */
static void what_a_question_told_is_taken_back(void) {
  struct wwr_conn *a, *b;
  struct answer count = {0};
  test_bus_use();
  fixture_start();
  (void)peer_connect_conn(&a);
  wwr_conn_ref(a);
  (void)peer_connect_conn(&b);
  test_bus_hold(1u << TEST_PRESENCE_SET);
  (void)subscribe(a, "room", 0);
  WAIT(fix.bus->calls[TEST_PRESENCE_SET] == 1); /* one is there */
  (void)subscribe(b, "room", 0);
  CU_ASSERT_EQUAL(wwr_server_subscribers(fix.server, wwr_view_str("room"),
                                         on_count, &count),
                  WWR_OK);
  WAIT(fix.bus->calls[TEST_PRESENCE_SET] == 2); /* two are */
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(b, wwr_view_str("room")), WWR_OK);
  while (wwr_conn_channels(b) || !nothing_is_gathered()) settle();
  test_bus_hold(0);
  WAIT(count.calls == 1);
  CU_ASSERT_EQUAL(count.err, WWR_OK);
  wait_subscribers("room", 1);
  wwr_conn_unref(a);
}

static CU_TestInfo tests[] = {
    {"members have the names of their sessions",
     members_have_the_names_of_their_sessions},
    {"a restored session is a member", a_restored_session_is_a_member},
    {"odd names", odd_names},
    {"a channel that does not count", a_channel_that_does_not_count},
    {"counts of many", counts_of_many},
    {"the hook is asked once", the_hook_is_asked_once},
    {"the hook is asked again in a while", the_hook_is_asked_again_in_a_while},
    {"a log has its limit", a_log_has_its_limit},
    {"a channel without a log", a_channel_without_a_log},
    {"silly options", silly_options},
    {"a cluster of one", a_cluster_of_one},
    {"a signal to a session", a_signal_to_a_session},
    {"no sessions", no_sessions},
    {"a broadcast to all but one", a_broadcast_to_all_but_one},
    {"what a question told is taken back", what_a_question_told_is_taken_back},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return channel_main(argc, argv, tests);
}
