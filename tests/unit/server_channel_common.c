#include "server_channel_common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool threaded;
static bool small_turns;

bool is_threaded(void) {
  return threaded;
}

void channel_start(void) {
  if (threaded) test_bus_use();
  fixture_start();
  if (!small_turns) return;
  struct wwr_server *server = fix.server;
  server->channels.turn_steps = 2;
  for (size_t i = 0; i < server->shard_count; i++) {
    server->shards[i].channels.steps = 1;
  }
}

/* Every suite twice: the fixture's four modes are run for each bus. */
int channel_main(int argc, char **argv, CU_TestInfo *tests) {
  fixture_end = test_bus_free;
  threaded = argc > 1 && strcmp(argv[1], "--threaded") == 0;
  small_turns = argc > 1 && strcmp(argv[1], "--turns") == 0;
  return threaded || small_turns ? fixture_main(argc - 1, argv + 1, tests)
                                 : fixture_main(argc, argv, tests);
}

/* --- Answers ------------------------------------------------------------- */

static void add_text(struct answer *answer, struct wwr_view text) {
  size_t have = strlen(answer->texts);
  snprintf(answer->texts + have, sizeof answer->texts - have, "%s%.*s",
           have ? " " : "", (int)text.len, (const char *)text.data);
}

/* Under the lock. */
static void came(struct answer *answer, wwr_err err, uint64_t count) {
  answer->calls++;
  answer->err = err;
  answer->count = count;
  answer->on_io_thread = wwri_on_io_thread(fix.server);
  pthread_cond_broadcast(&fix.changed);
}

void on_history(wwr_err err, const struct wwr_channel_message *messages,
                size_t count, void *user_data) {
  struct answer *answer = user_data;
  pthread_mutex_lock(&fix.lock);
  for (size_t i = 0; i < count; i++) {
    add_text(answer, messages[i].payload.data);
    answer->id = messages[i].id;
  }
  came(answer, err, count);
  pthread_mutex_unlock(&fix.lock);
}

void on_subscribed(struct wwr_conn *conn, wwr_err err,
                   const struct wwr_channel_message *history, size_t count,
                   void *user_data) {
  struct answer *answer = user_data;
  if (!answer) return;
  if (!wwri_loop_is_current(conn->shard->loop)) note(&fix.broken);
  if (answer->signal) {
    (void)wwr_conn_signal(answer->signal, wwr_view_str("done"), NULL);
  }
  on_history(err, history, count, user_data);
}

void on_published(const struct wwr_publish_result *result, void *user_data) {
  struct answer *answer = user_data;
  pthread_mutex_lock(&fix.lock);
  answer->certain = result->certain;
  answer->id = result->id;
  came(answer, result->err, 0);
  pthread_mutex_unlock(&fix.lock);
}

void on_members(wwr_err err, const struct wwr_member *members, size_t count,
                void *user_data) {
  struct answer *answer = user_data;
  pthread_mutex_lock(&fix.lock);
  for (size_t i = 0; i < count; i++) {
    char text[300];
    snprintf(text, sizeof text, "%.*s=%" PRIu64, (int)members[i].name.len,
             (const char *)members[i].name.data, members[i].connections);
    add_text(answer, wwr_view_str(text));
  }
  came(answer, err, count);
  pthread_mutex_unlock(&fix.lock);
}

void on_count(wwr_err err, uint64_t count, void *user_data) {
  pthread_mutex_lock(&fix.lock);
  came(user_data, err, count);
  pthread_mutex_unlock(&fix.lock);
}

/* --- Calls --------------------------------------------------------------- */

static struct answer finished(struct answer *answer, wwr_err err) {
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
  WAIT(answer->calls > 0);
  CU_ASSERT_EQUAL(answer->calls, 1);
  CU_ASSERT_TRUE(answer->on_io_thread);
  return *answer;
}

void expect_answer(struct answer *answer, wwr_err err) {
  WAIT(answer->calls > 0);
  CU_ASSERT_EQUAL(answer->err, err);
  CU_ASSERT_EQUAL(answer->calls, 1);
}

struct answer subscribe(struct wwr_conn *conn, const char *channel,
                        uint32_t history) {
  struct answer answer = {0};
  return finished(&answer, wwr_conn_subscribe(conn, wwr_view_str(channel),
                                              history, on_subscribed, &answer));
}

struct answer publish_except(const char *channel, const char *text,
                             const struct wwr_conn *except) {
  struct answer answer = {0};
  struct wwr_payload payload = wwr_payload_text(text);
  return finished(&answer, wwr_server_publish(fix.server, wwr_view_str(channel),
                                              wwr_view_str("m"), &payload,
                                              except, on_published, &answer));
}

struct answer publish(const char *channel, const char *text) {
  return publish_except(channel, text, NULL);
}

struct answer ask_history(const char *channel, uint32_t count) {
  struct answer answer = {0};
  return finished(&answer, wwr_server_history(fix.server, wwr_view_str(channel),
                                              count, on_history, &answer));
}

struct answer ask_members(const char *channel) {
  struct answer answer = {0};
  return finished(&answer,
                  wwr_server_presence(fix.server, wwr_view_str(channel),
                                      on_members, &answer));
}

uint64_t ask_subscribers(const char *channel) {
  struct answer answer = {0};
  wwr_err err = wwr_server_subscribers(fix.server, wwr_view_str(channel),
                                       on_count, &answer);
  return finished(&answer, err).count;
}

void wait_subscribers(const char *channel, uint64_t count) {
  uint64_t until = now_ms() + 30000;
  while (ask_subscribers(channel) != count && now_ms() < until) settle();
  CU_ASSERT_EQUAL(ask_subscribers(channel), count);
}

void expect_message(struct peer *peer, const char *text) {
  struct wwri_msg msg = peer_expect(peer, WWRI_SIGNAL_UTF8);
  if (!view_is(msg.payload.data, text)) {
    printf("(got '%.*s', not '%s') ", (int)msg.payload.data.len,
           (const char *)msg.payload.data.data, text);
  }
  CU_ASSERT_TRUE(view_is(msg.name, "m"));
  CU_ASSERT_TRUE(view_is(msg.payload.data, text));
}

struct peer *connect_to(const char *channel) {
  struct wwr_conn *conn;
  struct peer *peer = peer_connect_conn(&conn);
  CU_ASSERT_EQUAL(subscribe(conn, channel, 0).err, WWR_OK);
  return peer;
}

void start_on_bus(void) {
  test_bus_use();
  fixture_start();
}

struct wwr_view room(void) {
  return wwr_view_str("room");
}

void begin_subscribe(struct wwr_conn *conn, struct answer *answer) {
  CU_ASSERT_EQUAL_FATAL(
      wwr_conn_subscribe(conn, room(), 0, on_subscribed, answer), WWR_OK);
}
