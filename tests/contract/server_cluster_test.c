/* What a server's operator sees of its cluster, on a real Redis: the age of the
 * last beat, how long publishes took, who is draining, and commands from node
 * to node. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redis_fixture.h"
#include "test.h"
#include "wwr_client.h"
#include "wwr_cluster.h"
#include "wwr_memory.h"
#include "wwr_server.h"

enum { NODES = 2, WAIT_MS = 30000, MESSAGES = 20 };

struct node {
  const char *name;
  struct wwr_memory_hub *hub;
  struct wwr_cluster *cluster;
  struct wwr_server *server;
};

static struct redis_server redis;
static struct node nodes[NODES] = {{.name = "first"}, {.name = "second"}};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* --- Answers, under the lock ---------------------------------------------- */

struct answer {
  int calls;
  wwr_err err;
  unsigned draining; /* nodes, a bit for each */
};

static void came(struct answer *answer, wwr_err err) {
  answer->err = err;
  answer->calls++;
  pthread_cond_broadcast(&changed);
}

static wwr_err wait_for(struct answer *answer, wwr_err begun) {
  struct timespec until;
  int status = 0;
  if (begun != WWR_OK) return begun;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_MS / 1000;
  pthread_mutex_lock(&lock);
  while (!answer->calls && status == 0) {
    status = pthread_cond_timedwait(&changed, &lock, &until);
  }
  int calls = answer->calls;
  pthread_mutex_unlock(&lock);
  CU_ASSERT_EQUAL_FATAL(calls, 1);
  return answer->err;
}

static void on_done(wwr_err err, void *user) {
  pthread_mutex_lock(&lock);
  came(user, err);
  pthread_mutex_unlock(&lock);
}

static void on_published(const struct wwr_publish_result *result, void *user) {
  on_done(result->err, user);
}

static void on_subscribed(struct wwr_conn *conn, wwr_err err,
                          const struct wwr_channel_message *history,
                          size_t count, void *user) {
  (void)conn, (void)history, (void)count, (void)user;
  CU_ASSERT_EQUAL(err, WWR_OK);
}

static void on_nodes(wwr_err err, const struct wwr_node_info *infos,
                     size_t count, void *user) {
  struct answer *answer = user;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < count; i++) {
    for (unsigned k = 0; k < NODES; k++) {
      if (strcmp(infos[i].name, nodes[k].name) != 0) continue;
      answer->draining |= (unsigned)infos[i].draining << k;
    }
  }
  came(answer, err);
  pthread_mutex_unlock(&lock);
}

/* --- Nodes ---------------------------------------------------------------- */

static struct wwr_view channel(void) {
  return wwr_view_str("room");
}

/* Heard before accept-conf. */
static void on_connected(struct wwr_conn *conn, void *user) {
  (void)user;
  CU_ASSERT_EQUAL(wwr_conn_subscribe(conn, channel(), 0, on_subscribed, NULL),
                  WWR_OK);
}

static bool on_command(struct wwr_server *server, struct wwr_view text,
                       void *user) {
  (void)user;
  bool drain = wwr_view_equal(text, wwr_view_str("drain"));
  if (drain) wwr_server_drain(server, 600000);
  return drain;
}

static void start(struct node *node) {
  struct wwr_cluster_opts opts;
  struct wwr_server_opts server;
  char url[64];
  const char *why = NULL;
  wwr_cluster_opts_default(&opts);
  snprintf(url, sizeof url, "redis://127.0.0.1:%u", redis.port);
  opts.url = url;
  opts.name = node->name;
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&node->cluster, &opts, &why), WWR_OK);
  wwr_server_opts_default(&server);
  server.hooks.on_connected = on_connected;
  server.hooks.on_command = on_command;
  server.bus = wwr_cluster_bus(node->cluster);
  server.io_threads = 2;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&node->hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&server.transport, node->hub),
                        WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_new(&node->server, &server, &why), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_start(node->server), WWR_OK);
}

static void stop(struct node *node) {
  if (!node->server) return;
  wwr_server_free(node->server);
  wwr_cluster_free(node->cluster);
  wwr_memory_hub_free(node->hub);
  node->server = NULL;
}

static void start_all(void) {
  redis_init(&redis, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&redis));
  for (int i = 0; i < NODES; i++) start(&nodes[i]);
}

static void stop_all(void) {
  for (int i = 0; i < NODES; i++) stop(&nodes[i]);
  redis_remove(&redis);
}

static struct wwr_client *connect_to(const struct node *node) {
  struct wwr_client *client;
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_dialer_new(&opts.dialer, node->hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_client_new(&client, &opts, NULL), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_client_connect(client, WAIT_MS), WWR_OK);
  return client;
}

static struct wwr_cluster_state state_of(const struct node *node) {
  struct wwr_cluster_state state;
  wwr_server_cluster(node->server, &state);
  return state;
}

/* Until `good` says so of the node's state, or far too long. */
static bool wait_state(const struct node *node,
                       bool (*good)(const struct wwr_cluster_state *)) {
  for (int i = 0; i < WAIT_MS / 10; i++) {
    struct wwr_cluster_state state = state_of(node);
    if (good(&state)) return true;
    poll(NULL, 0, 10);
  }
  return false;
}

static wwr_err command(const struct node *from, const char *to,
                       const char *text) {
  struct answer answer = {0};
  return wait_for(
      &answer, wwr_server_command(from->server, to, wwr_view_str(text), on_done,
                                  &answer));
}

static wwr_err publish(const struct node *node) {
  struct answer answer = {0};
  struct wwr_payload text = wwr_payload_text("x");
  return wait_for(&answer,
                  wwr_server_publish(node->server, channel(), channel(), &text,
                                     NULL, on_published, &answer));
}

/* --- Tests ---------------------------------------------------------------- */

static bool is_ready(const struct wwr_cluster_state *state) {
  return state->health == WWR_HEALTH_READY;
}

static bool beats(const struct wwr_cluster_state *state) {
  return is_ready(state) && state->beat_age_ms < 1500;
}

static bool misses_beats(const struct wwr_cluster_state *state) {
  return state->beat_age_ms > 2500;
}

static void the_age_of_the_last_beat_is_told(void) {
  start_all();
  CU_ASSERT_TRUE(wait_state(&nodes[0], beats));
  redis_signal(&redis, SIGSTOP);
  CU_ASSERT_TRUE(wait_state(&nodes[0], misses_beats));
  redis_signal(&redis, SIGCONT);
  CU_ASSERT_TRUE(wait_state(&nodes[0], beats));
  stop_all();
}

static uint64_t lags(const struct wwr_cluster_state *state) {
  uint64_t count = 0;
  for (int i = 0; i < WWR_LAG_BUCKETS; i++) count += state->lag[i];
  return count;
}

/* On both threads. */
static bool have_all(const struct wwr_cluster_state *state) {
  return state->delivered >= 2 * MESSAGES;
}

/* Each message once, however many threads it is delivered on; and only by the
 * node whose clock knows. */
static void the_way_of_own_messages_is_measured(void) {
  start_all();
  struct wwr_client *clients[2 * NODES];
  for (int i = 0; i < 2 * NODES; i++)
    clients[i] = connect_to(&nodes[i % NODES]);
  for (int i = 0; i < MESSAGES; i++) {
    CU_ASSERT_EQUAL(publish(&nodes[0]), WWR_OK);
  }
  CU_ASSERT_TRUE(wait_state(&nodes[0], have_all));
  CU_ASSERT_TRUE(wait_state(&nodes[1], have_all));
  struct wwr_cluster_state first = state_of(&nodes[0]);
  struct wwr_cluster_state second = state_of(&nodes[1]);
  CU_ASSERT_EQUAL(lags(&first), MESSAGES);
  CU_ASSERT_EQUAL(lags(&second), 0);
  for (int i = 0; i < 2 * NODES; i++) wwr_client_free(clients[i]);
  stop_all();
}

/* Who drains by what the nodes say of each other, a bit for each. */
static bool wait_draining(const struct node *node, unsigned bits) {
  for (int i = 0; i < WAIT_MS / 20; i++) {
    struct answer answer = {0};
    wwr_err err =
        wait_for(&answer, wwr_server_nodes(node->server, on_nodes, &answer));
    if (err == WWR_OK && answer.draining == bits) return true;
    poll(NULL, 0, 20);
  }
  return false;
}

static void a_node_drains_by_command(void) {
  start_all();
  CU_ASSERT_TRUE(wait_state(&nodes[0], is_ready));
  CU_ASSERT_TRUE(wait_state(&nodes[1], is_ready));
  struct wwr_client *client = connect_to(&nodes[1]); /* it would end at once */
  CU_ASSERT_TRUE(wait_draining(&nodes[0], 0));
  CU_ASSERT_EQUAL(command(&nodes[0], "second", "dance"), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(command(&nodes[0], "third", "drain"), WWR_E_NOT_FOUND);
  CU_ASSERT_EQUAL(command(&nodes[0], "second", "drain"), WWR_OK);
  CU_ASSERT_TRUE(wait_draining(&nodes[0], 1 << 1));
  struct wwr_drain_state state;
  wwr_server_drain_state(nodes[1].server, &state);
  CU_ASSERT_TRUE(state.draining);
  wwr_server_drain_state(nodes[0].server, &state);
  CU_ASSERT_FALSE(state.draining);
  wwr_client_free(client);
  wwr_server_wait(nodes[1].server); /* the last has left */
  stop_all();
}

/* It ends at once, and its answer still arrives. */
static void an_idle_node_drains_by_command(void) {
  start_all();
  CU_ASSERT_TRUE(wait_state(&nodes[0], is_ready));
  CU_ASSERT_TRUE(wait_state(&nodes[1], is_ready));
  CU_ASSERT_EQUAL(command(&nodes[0], "second", "drain"), WWR_OK);
  wwr_server_wait(nodes[1].server);
  stop_all();
}

static void a_node_that_has_left_is_not_found(void) {
  start_all();
  CU_ASSERT_TRUE(wait_state(&nodes[0], is_ready));
  CU_ASSERT_TRUE(wait_state(&nodes[1], is_ready));
  stop(&nodes[1]);
  CU_ASSERT_EQUAL(command(&nodes[0], "second", "drain"), WWR_E_NOT_FOUND);
  stop_all();
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"the age of the last beat is told", the_age_of_the_last_beat_is_told},
      {"the way of own messages is measured",
       the_way_of_own_messages_is_measured},
      {"a node drains by command", a_node_drains_by_command},
      {"an idle node drains by command", an_idle_node_drains_by_command},
      {"a node that has left is not found", a_node_that_has_left_is_not_found},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"server in a cluster", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
