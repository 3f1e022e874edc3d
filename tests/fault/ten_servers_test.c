/* Ten servers of one process on one Redis, each with its own membership and
 * sessions, while clients come, subscribe, publish, log in and leave; servers
 * drain, stop and start, operators list what is there and send commands, and
 * connections to Redis are cut.
 *
 * What must hold: every promised callback comes exactly once, before its server
 * is gone; no subscriber hears a message twice or behind a later one of the
 * same client; and when all is quiet, every message reaches everybody and
 * nobody is counted who is not there. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redis_fixture.h"
#include "test.h"
#include "wwr_client.h"
#include "wwr_cluster.h"
#include "wwr_memory.h"
#include "wwr_redisstore.h"
#include "wwr_server.h"

enum { SERVERS = 10, ROOMS = 4, AUTHORS = 1 << 14, WAIT_MS = 60000 };
enum { CHAOS_MS = 8000, STEPS = 12, CALL_MS = 5000 };

struct node {
  unsigned index;
  unsigned life;
  struct wwr_memory_hub *hub;
  struct wwr_cluster *cluster;
  struct wwr_server *server;
  char name[32];
  atomic_ulong begun, ended; /* promised callbacks */
};

static struct redis_server redis;
static struct node nodes[SERVERS];
static atomic_bool over;
static atomic_uint authors;
static atomic_ulong heard, disorders, visits;
static atomic_ulong listed, commanded, obeyed; /* rows, and commands */
static struct {
  pthread_mutex_t lock;
  char keys[SERVERS][256]; /* of the last sessions made */
} sessions = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct wwr_view name_of(const struct wwr_message *message) {
  return message->name;
}

static bool is(struct wwr_view name, const char *text) {
  return wwr_view_equal(name, wwr_view_str(text));
}

/* --- The application ------------------------------------------------------ */

static void count(struct node *node, wwr_err err) {
  if (err == WWR_OK) atomic_fetch_add(&node->begun, 1);
}

static void on_subscribed(struct wwr_conn *conn, wwr_err err,
                          const struct wwr_channel_message *history,
                          size_t length, void *user) {
  struct node *node = user;
  (void)conn, (void)err, (void)history, (void)length;
  atomic_fetch_add(&node->ended, 1);
}

static void on_published(const struct wwr_publish_result *result, void *user) {
  (void)result;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_history(wwr_err err, const struct wwr_channel_message *messages,
                       size_t length, void *user) {
  (void)err, (void)messages, (void)length;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_members(wwr_err err, const struct wwr_member *members,
                       size_t length, void *user) {
  (void)err, (void)members, (void)length;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_places(wwr_err err, const struct wwr_session_place *places,
                      size_t length, void *user) {
  (void)err, (void)places, (void)length;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_signaled(wwr_err err, void *user) {
  (void)err;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

/* --- Operators --- */

static void on_conns(wwr_err err, const struct wwr_conn_row *rows,
                     size_t length, bool more, void *user) {
  (void)err, (void)more;
  for (size_t i = 1; i < length; i++) {
    if (wwr_conn_id(rows[i - 1].conn) >= wwr_conn_id(rows[i].conn)) {
      atomic_fetch_add(&disorders, 1);
    }
  }
  atomic_fetch_add(&listed, length);
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_sessions(wwr_err err, const struct wwr_session_row *rows,
                        size_t length, bool more, void *user) {
  (void)err, (void)more;
  for (size_t i = 0; i < length; i++) {
    if (rows[i].connections == 0 || !*wwr_session_key(rows[i].session)) {
      atomic_fetch_add(&disorders, 1);
    }
  }
  atomic_fetch_add(&listed, length);
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_channels(wwr_err err, const struct wwr_channel_row *rows,
                        size_t length, bool more, void *user) {
  (void)err, (void)rows, (void)more;
  atomic_fetch_add(&listed, length);
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void on_commanded(wwr_err err, void *user) {
  if (err == WWR_OK) atomic_fetch_add(&commanded, 1);
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static bool on_command(struct wwr_server *server, struct wwr_view text,
                       void *user) {
  (void)server, (void)user;
  if (is(text, "obey")) atomic_fetch_add(&obeyed, 1);
  return is(text, "obey");
}

static void look_around(struct node *node) {
  struct wwr_view none = {0};
  char other[32];
  pthread_mutex_lock(&sessions.lock);
  snprintf(other, sizeof other, "%s", nodes[(node->index + 1) % SERVERS].name);
  pthread_mutex_unlock(&sessions.lock);
  count(node, wwr_server_list_conns(node->server, 0, 4, on_conns, node));
  count(node,
        wwr_server_list_sessions(node->server, none, 4, on_sessions, node));
  count(node, wwr_server_list_channels(node->server, none, none, 4, on_channels,
                                       node));
  count(node, wwr_server_command(node->server, other, wwr_view_str("obey"),
                                 on_commanded, node));
}

static void on_closed(struct wwr_conn *conn, wwr_err err, void *user) {
  (void)conn, (void)err;
  atomic_fetch_add(&((struct node *)user)->ended, 1);
}

static void publish(struct node *node, struct wwr_view room,
                    const struct wwr_payload *text) {
  count(node, wwr_server_publish(node->server, room, room, text, NULL,
                                 on_published, node));
}

static void ask(struct node *node, struct wwr_view room) {
  struct wwr_view key;
  char copy[256];
  pthread_mutex_lock(&sessions.lock);
  snprintf(copy, sizeof copy, "%s", sessions.keys[(node->index + 3) % SERVERS]);
  pthread_mutex_unlock(&sessions.lock);
  key = wwr_view_str(copy);
  look_around(node);
  count(node, wwr_server_history(node->server, room, 8, on_history, node));
  count(node, wwr_server_presence(node->server, room, on_members, node));
  if (!key.len) return;
  count(node, wwr_server_session_places(node->server, key, on_places, node));
  count(node, wwr_server_signal_session(node->server, key, wwr_view_str("hey"),
                                        NULL, on_signaled, node));
}

static void on_signal(struct wwr_conn *conn, const struct wwr_message *message,
                      void *user) {
  struct node *node = user;
  struct wwr_view name = name_of(message), data = message->payload.data;
  if (is(name, "join")) {
    count(node, wwr_conn_subscribe(conn, data, 4, on_subscribed, node));
  } else if (is(name, "part")) {
    (void)wwr_conn_unsubscribe(conn, data);
  } else if (is(name, "ask")) {
    ask(node, data);
  } else if (is(name, "logout")) {
    count(node, wwr_conn_close_session(conn, on_closed, node));
  } else {
    publish(node, name, &message->payload);
  }
}

/* --- Requests: answered when the call is done --- */

struct asked {
  struct wwr_request *request;
  struct node *node;
};

static void answer(struct asked *asked, wwr_err err) {
  if (err == WWR_OK) {
    (void)wwr_request_reply(asked->request, NULL);
  } else {
    (void)wwr_request_fail(asked->request, wwr_err_name(err), NULL);
  }
  free(asked);
}

static void ended(struct asked *asked, wwr_err err) {
  struct node *node = asked->node;
  answer(asked, err);
  atomic_fetch_add(&node->ended, 1);
}

static void join_done(struct wwr_conn *conn, wwr_err err,
                      const struct wwr_channel_message *history, size_t length,
                      void *user) {
  (void)conn, (void)history, (void)length;
  ended(user, err);
}

static void publish_done(const struct wwr_publish_result *result, void *user) {
  ended(user, result->err);
}

static void count_done(wwr_err err, uint64_t number, void *user) {
  struct asked *asked = user;
  struct node *node = asked->node;
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  struct wwr_payload payload = wwr_payload_text(text);
  if (err == WWR_OK) {
    (void)wwr_request_reply(asked->request, &payload);
    free(asked);
  } else {
    answer(asked, err);
  }
  atomic_fetch_add(&node->ended, 1);
}

static void login_done(struct wwr_conn *conn, wwr_err err, void *user);

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user) {
  struct node *node = user;
  struct asked *asked = malloc(sizeof *asked);
  struct wwr_view name = name_of(message), data = message->payload.data;
  char info[64];
  wwr_err err;
  *asked = (struct asked){request, node};
  if (is(name, "join")) {
    err = wwr_conn_subscribe(conn, data, 0, join_done, asked);
  } else if (is(name, "count")) {
    err = wwr_server_subscribers(node->server, data, count_done, asked);
  } else if (is(name, "login")) {
    snprintf(info, sizeof info, "{\"username\":\"user%u\"}", node->index);
    err = wwr_conn_create_session(conn, info, login_done, asked);
  } else {
    err = wwr_server_publish(node->server, name, name, &message->payload, NULL,
                             publish_done, asked);
  }
  count(node, err);
  if (err != WWR_OK) answer(asked, err);
}

static void login_done(struct wwr_conn *conn, wwr_err err, void *user) {
  struct asked *asked = user;
  struct wwr_session *session = wwr_conn_session(conn);
  if (session) {
    pthread_mutex_lock(&sessions.lock);
    snprintf(sessions.keys[asked->node->index], sizeof sessions.keys[0], "%s",
             wwr_session_key(session));
    pthread_mutex_unlock(&sessions.lock);
  }
  wwr_session_unref(session);
  ended(asked, err);
}

/* One room is not logged, in one members are named. */
static void on_channel(struct wwr_view channel, struct wwr_channel_opts *opts,
                       void *user) {
  (void)user;
  opts->logged = !is(channel, "room-1");
  opts->presence = is(channel, "room-2");
}

/* --- A server's life ------------------------------------------------------ */

static void start(struct node *node) {
  struct wwr_cluster_opts opts;
  struct wwr_server_opts server;
  char url[64];
  const char *why = NULL;
  wwr_cluster_opts_default(&opts);
  snprintf(url, sizeof url, "redis://127.0.0.1:%u", redis.port);
  pthread_mutex_lock(&sessions.lock);
  snprintf(node->name, sizeof node->name, "n%u-%u", node->index, node->life++);
  pthread_mutex_unlock(&sessions.lock);
  opts.url = url;
  opts.name = node->name;
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&node->cluster, &opts, &why), WWR_OK);
  wwr_server_opts_default(&server);
  server.hooks.on_signal = on_signal;
  server.hooks.on_request = on_request;
  server.hooks.on_channel = on_channel;
  server.hooks.on_command = on_command;
  server.user_data = node;
  server.bus = wwr_cluster_bus(node->cluster);
  server.handlers =
      node->index % 3 ? WWR_HANDLERS_NONBLOCKING : WWR_HANDLERS_BLOCKING;
  server.io_threads = 1 + node->index % 2;
  server.worker_threads = 4;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_transport_new(&server.transport, node->hub),
                        WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_redisstore_new(&server.store, node->cluster),
                        WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_new(&node->server, &server, &why), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_start(node->server), WWR_OK);
}

static void stop(struct node *node) {
  if (node->life % 2) wwr_server_drain(node->server, 100);
  if (node->life % 2) wwr_server_wait(node->server);
  wwr_server_shutdown(node->server);
  wwr_server_free(node->server);
  wwr_cluster_free(node->cluster);
  unsigned long begun = atomic_load(&node->begun);
  unsigned long done = atomic_load(&node->ended);
  if (begun != done)
    printf("\nnode %u: %lu of %lu\n", node->index, done, begun);
  CU_ASSERT_EQUAL(begun, done);
}

/* --- Clients -------------------------------------------------------------- */

struct guest {
  struct node *node;
  struct wwr_client *client;
  unsigned author, seq;
  unsigned *last[ROOMS]; /* of each author */
  atomic_uint finals;
};

static void guest_signal(const struct wwr_message *message, void *user) {
  struct guest *guest = user;
  char text[64] = "";
  unsigned room, author, seq;
  struct wwr_view name = name_of(message), data = message->payload.data;
  atomic_fetch_add(&heard, 1);
  if (is(name, "final")) atomic_fetch_add(&guest->finals, 1);
  if (name.len != 6 || memcmp(name.data, "room-", 5) != 0) return;
  if (data.len >= sizeof text) return;
  memcpy(text, data.data, data.len);
  room = name.data[5] - '0';
  if (sscanf(text, "%u %u", &author, &seq) != 2) return;
  if (room >= ROOMS || author >= AUTHORS) return;
  if (guest->last[room][author] >= seq) atomic_fetch_add(&disorders, 1);
  guest->last[room][author] = seq;
}

static struct guest *guest_new(struct node *node) {
  struct guest *guest = calloc(1, sizeof *guest);
  struct wwr_client_opts opts;
  CU_ASSERT_PTR_NOT_NULL_FATAL(guest);
  guest->node = node;
  guest->author = atomic_fetch_add(&authors, 1) + 1;
  for (int i = 0; i < ROOMS; i++) {
    guest->last[i] = calloc(AUTHORS, sizeof *guest->last[i]);
  }
  wwr_client_opts_default(&opts);
  opts.autoconnect = WWR_AUTOCONNECT_OFF;
  opts.hooks.on_signal = guest_signal;
  opts.user_data = guest;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_dialer_new(&opts.dialer, node->hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_client_new(&guest->client, &opts, NULL), WWR_OK);
  return guest;
}

static void guest_free(struct guest *guest) {
  wwr_client_free(guest->client);
  for (int i = 0; i < ROOMS; i++) free(guest->last[i]);
  free(guest);
}

static bool say(struct guest *guest, const char *name, const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  return wwr_client_signal(guest->client, wwr_view_str(name), &payload,
                           CALL_MS) == WWR_OK;
}

static wwr_err request(struct guest *guest, const char *name, const char *text,
                       unsigned *number) {
  struct wwr_payload payload = wwr_payload_text(text);
  struct wwr_reply reply;
  char copy[24] = "";
  wwr_err err = wwr_client_request_wait(guest->client, wwr_view_str(name),
                                        &payload, WAIT_MS, &reply);
  if (err == WWR_OK && number && reply.payload.data.len < sizeof copy) {
    memcpy(copy, reply.payload.data.data, reply.payload.data.len);
    *number = (unsigned)strtoul(copy, NULL, 10);
  }
  wwr_reply_deinit(&reply);
  return err;
}

static void restore(struct guest *guest, unsigned *dice) {
  char key[256];
  pthread_mutex_lock(&sessions.lock);
  snprintf(key, sizeof key, "%s", sessions.keys[rand_r(dice) % SERVERS]);
  pthread_mutex_unlock(&sessions.lock);
  if (!key[0]) return;
  wwr_err err =
      wwr_client_restore_session(guest->client, wwr_view_str(key), CALL_MS);
  (void)err; /* it may be gone */
}

static void visit(struct guest *guest, unsigned *dice) {
  if (wwr_client_connect(guest->client, CALL_MS) != WWR_OK) {
    poll(NULL, 0, 20);
    return;
  }
  atomic_fetch_add(&visits, 1);
  if (rand_r(dice) % 2) restore(guest, dice);
  for (int i = 0, n = rand_r(dice) % 30; i < n && !atomic_load(&over); i++) {
    char room[16], text[32];
    bool good = true;
    snprintf(room, sizeof room, "room-%d", rand_r(dice) % ROOMS);
    snprintf(text, sizeof text, "%u %u", guest->author, ++guest->seq);
    switch (rand_r(dice) % 9) {
      case 0:
      case 1:
        good = say(guest, "join", room);
        break;
      case 2:
        good = say(guest, "part", room);
        break;
      case 3:
        good = say(guest, "ask", room);
        break;
      case 4:
        if (rand_r(dice) % 3 == 0) (void)request(guest, "login", "x", NULL);
        break;
      case 5:
        if (rand_r(dice) % 4 == 0) good = say(guest, "logout", "x");
        break;
      default:
        good = say(guest, room, text);
    }
    if (!good) return;
  }
}

static void *drive(void *arg) {
  struct node *node = arg;
  unsigned dice = node->index + 1;
  while (!atomic_load(&over) &&
         atomic_load(&authors) < AUTHORS - SERVERS - 64) {
    struct guest *guest = guest_new(node);
    visit(guest, &dice);
    guest_free(guest);
  }
  return NULL;
}

/* --- The test ------------------------------------------------------------- */

static void chaos(void) {
  unsigned dice = 7;
  for (int step = 0; step < STEPS; step++) {
    struct node *node = &nodes[rand_r(&dice) % SERVERS];
    uint64_t until = now_ms() + CHAOS_MS / STEPS;
    if (step % 4 == 3) {
      redis_run(&redis, "CLIENT KILL TYPE normal SKIPME yes", NULL, 0);
    } else {
      stop(node);
      start(node);
    }
    if (step % 6 == 4) {
      redis_run(&redis, "CLIENT KILL TYPE pubsub", NULL, 0);
    }
    uint64_t now = now_ms();
    if (now < until) poll(NULL, 0, (int)(until - now));
  }
}

static void everything_arrives(void) {
  struct guest *guests[SERVERS];
  for (int i = 0; i < SERVERS; i++) {
    guests[i] = guest_new(&nodes[i]);
    CU_ASSERT_EQUAL_FATAL(wwr_client_connect(guests[i]->client, WAIT_MS),
                          WWR_OK);
    CU_ASSERT_EQUAL(request(guests[i], "join", "final", NULL), WWR_OK);
  }
  for (int i = 0; i < SERVERS; i++) {
    CU_ASSERT_EQUAL(request(guests[i], "final", "x", NULL), WWR_OK);
  }
  for (int i = 0; i < SERVERS; i++) {
    uint64_t end = now_ms() + WAIT_MS;
    while (atomic_load(&guests[i]->finals) < SERVERS && now_ms() < end) {
      poll(NULL, 0, 5);
    }
    CU_ASSERT_EQUAL(atomic_load(&guests[i]->finals), SERVERS);
  }
  unsigned there = 0, ghosts = ROOMS;
  for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end;) {
    unsigned number = 0;
    (void)request(guests[0], "count", "final", &there);
    ghosts = 0;
    for (int i = 0; i < ROOMS; i++) {
      char room[16];
      snprintf(room, sizeof room, "room-%d", i);
      (void)request(guests[3], "count", room, &number);
      ghosts += number;
    }
    if (there == SERVERS && ghosts == 0) break;
    poll(NULL, 0, 50);
  }
  CU_ASSERT_EQUAL(there, SERVERS);
  CU_ASSERT_EQUAL(ghosts, 0);
  for (int i = 0; i < SERVERS; i++) guest_free(guests[i]);
}

static void ten_servers(void) {
  pthread_t threads[SERVERS];
  redis_init(&redis, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&redis));
  for (unsigned i = 0; i < SERVERS; i++) {
    nodes[i].index = i;
    CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&nodes[i].hub), WWR_OK);
    start(&nodes[i]);
  }
  for (int i = 0; i < SERVERS; i++) {
    pthread_create(&threads[i], NULL, drive, &nodes[i]);
  }
  chaos();
  atomic_store(&over, true);
  for (int i = 0; i < SERVERS; i++) pthread_join(threads[i], NULL);
  everything_arrives();
  for (int i = 0; i < SERVERS; i++) {
    stop(&nodes[i]);
    wwr_memory_hub_free(nodes[i].hub);
  }
  printf("\nvisits %lu, messages heard %lu, rows listed %lu, commands %lu\n",
         atomic_load(&visits), atomic_load(&heard), atomic_load(&listed),
         atomic_load(&commanded));
  CU_ASSERT_EQUAL(atomic_load(&disorders), 0);
  CU_ASSERT_TRUE(atomic_load(&listed) > 0);
  CU_ASSERT_TRUE(atomic_load(&commanded) > 0);
  CU_ASSERT_TRUE(atomic_load(&obeyed) >= atomic_load(&commanded));
  CU_ASSERT_TRUE(atomic_load(&heard) > 0);
  redis_remove(&redis);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"come and go", ten_servers}, CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"ten servers", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
