#include "redisstore_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus.h"
#include "keeper.h"
#include "partition.h"

struct rs rs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char logged[RS_LOG];

static struct timespec deadline_in(unsigned ms) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += ms / 1000;
  return at;
}

uint64_t rs_now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

void rs_wait_ms(uint64_t ms) {
  struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                           .tv_nsec = (long)(ms % 1000) * 1000000};
  nanosleep(&pause, NULL);
}

/* --- Events ------------------------------------------------------------- */

/* Others may come meanwhile, if they do. */
static void note(struct rs_node *node, unsigned *counter, char *last,
                 size_t cap, struct wwr_view text) {
  pthread_mutex_lock(&lock);
  node->at_once += node->telling;
  node->telling = true;
  pthread_mutex_unlock(&lock);
  sched_yield();
  pthread_mutex_lock(&lock);
  node->telling = false;
  (*counter)++;
  snprintf(last, cap, "%.*s", (int)text.len, (const char *)text.data);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void on_closed(void *owner, struct wwr_view key) {
  struct rs_node *node = owner;
  note(node, &node->closed, node->last_closed, sizeof node->last_closed, key);
}

static void on_evicted(void *owner, struct wwr_view key) {
  struct rs_node *node = owner;
  note(node, &node->evicted, node->last_evicted, sizeof node->last_evicted,
       key);
}

static void on_received(void *owner, struct wwr_view key,
                        struct wwr_view bytes) {
  struct rs_node *node = owner;
  char text[256];
  int len = snprintf(text, sizeof text, "%.*s: %.*s", (int)key.len,
                     (const char *)key.data, (int)bytes.len,
                     (const char *)bytes.data);
  size_t used = len < (int)sizeof text ? (size_t)len : sizeof text - 1;
  struct wwr_view view = {(const uint8_t *)text, used};
  note(node, &node->received, node->last_received, sizeof node->last_received,
       view);
}

static const struct wwr_sessionstore_events events = {
    .closed = on_closed, .evicted = on_evicted, .received = on_received};

static void write_log(const struct wwr_log_record *record, void *user) {
  (void)user;
  pthread_mutex_lock(&lock);
  size_t used = strlen(logged);
  used += (size_t)snprintf(logged + used, sizeof logged - used, "%s",
                           record->message);
  for (size_t i = 0; i < record->field_count && used < sizeof logged; i++) {
    used += (size_t)snprintf(logged + used, sizeof logged - used, " %s=%s",
                             record->fields[i].key, record->fields[i].value);
  }
  if (used < sizeof logged) {
    snprintf(logged + used, sizeof logged - used, "\n");
  }
  pthread_mutex_unlock(&lock);
}

bool rs_logged(const char *text) {
  pthread_mutex_lock(&lock);
  bool found = strstr(logged, text) != NULL;
  if (!found) printf("\nlogged:\n%s", logged);
  pthread_mutex_unlock(&lock);
  return found;
}

bool rs_wait(const unsigned *counter, unsigned n) {
  struct timespec until = deadline_in(RS_WAIT_MS);
  int rc = 0;
  pthread_mutex_lock(&lock);
  while (*counter < n && rc == 0) {
    rc = pthread_cond_timedwait(&changed, &lock, &until);
  }
  bool good = *counter >= n;
  pthread_mutex_unlock(&lock);
  return good;
}

unsigned rs_count(const unsigned *counter) {
  pthread_mutex_lock(&lock);
  unsigned n = *counter;
  pthread_mutex_unlock(&lock);
  return n;
}

/* --- Nodes -------------------------------------------------------------- */

struct rs_node *rs_node(unsigned index) {
  static const char *const names[] = {"first", "second", "third"};
  struct rs_node *node = &rs.nodes[index];
  memset(node, 0, sizeof *node);
  node->index = index;
  wwr_cluster_opts_default(&node->opts);
  node->opts.url = rs.url;
  node->opts.name = names[index];
  node->opts.hold_ms = 2000;
  node->opts.lease_ms = 6000;
  node->opts.log = (struct wwr_log){.write = write_log, .level = WWR_LOG_INFO};
  return node;
}

bool rs_is_ready(struct rs_node *node) {
  struct wwri_bus_state state;
  node->bus->ops->state(node->bus, &state);
  return state.health == WWRI_BUS_READY;
}

void rs_wait_ready(struct rs_node *node, bool ready) {
  const struct timespec pause = {.tv_nsec = 2000000};
  for (unsigned i = 0; i < RS_WAIT_MS / 2; i++) {
    if (rs_is_ready(node) == ready) return;
    nanosleep(&pause, NULL);
  }
  CU_FAIL_FATAL("a node does not get ready");
}

void rs_open(struct rs_node *node) {
  static const struct wwri_bus_events none = {0};
  struct wwri_bus_config config;
  const char *why = "";
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&node->cluster, &node->opts, &why),
                        WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_redisstore_new(&node->store, node->cluster),
                        WWR_OK);
  node->store->ops->authority->watch(node->store, &events, node);
  node->bus = wwr_cluster_bus(node->cluster);
  wwri_bus_config_default(&config);
  config.events = &none;
  config.owner = node;
  CU_ASSERT_EQUAL_FATAL(node->bus->ops->open(node->bus, &config, 0), WWR_OK);
  node->open = true;
  rs_wait_ready(node, true);
}

struct rs_node *rs_patient(unsigned index) {
  struct rs_node *node = rs_node(index);
  node->opts.hold_ms = 20000;
  node->opts.lease_ms = 40000;
  rs_open(node);
  return node;
}

struct rs_node *rs_up(unsigned index) {
  struct rs_node *node = rs_node(index);
  rs_open(node);
  return node;
}

void rs_down(struct rs_node *node) {
  if (!node->cluster) return;
  node->bus->ops->close(node->bus);
  node->store->ops->authority->watch(node->store, NULL, NULL);
  node->store->ops->free(node->store);
  wwr_cluster_free(node->cluster);
  node->cluster = NULL;
}

/* --- Operations --------------------------------------------------------- */

static void on_done(struct wwr_store_op *base, wwr_err err,
                    struct wwr_session *session) {
  struct rs_op *op = (struct rs_op *)(void *)base;
  pthread_mutex_lock(&lock);
  if (op->done) abort();
  op->done = true;
  op->err = err;
  op->session = session;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static struct wwr_store_op *start(struct rs_op *op) {
  *op = (struct rs_op){.base = {.done = on_done}};
  return &op->base;
}

wwr_err rs_end(struct rs_op *op) {
  struct timespec until = deadline_in(RS_WAIT_MS);
  int rc = 0;
  pthread_mutex_lock(&lock);
  while (!op->done && rc == 0) {
    rc = pthread_cond_timedwait(&changed, &lock, &until);
  }
  pthread_mutex_unlock(&lock);
  if (!op->done) abort(); /* it may still be in use */
  return op->err;
}

bool rs_is_done(struct rs_op *op) {
  pthread_mutex_lock(&lock);
  bool done = op->done;
  pthread_mutex_unlock(&lock);
  return done;
}

static wwr_err finish(struct rs_op *op) {
  wwr_err err = rs_end(op);
  wwr_session_unref(op->session);
  return err;
}

void rs_begin_create(struct rs_node *node, struct rs_op *op, const char *key,
                     const char *info) {
  struct wwr_session *session;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str(key), 1000, 2000, info), WWR_OK);
  node->store->ops->created(node->store, NULL, session, start(op));
  wwr_session_unref(session);
}

void rs_begin_attach(struct rs_node *node, struct rs_op *op, const char *key,
                     uint32_t max) {
  node->store->ops->authority->attach(node->store, wwr_view_str(key), max,
                                      start(op));
}

void rs_begin_leave(struct rs_node *node, struct rs_op *op, const char *key) {
  node->store->ops->authority->leave(node->store, wwr_view_str(key), start(op));
}

void rs_begin_kill(struct rs_node *node, struct rs_op *op, const char *key) {
  node->store->ops->authority->kill(node->store, wwr_view_str(key), start(op));
}

void rs_begin_send(struct rs_node *node, struct rs_op *op, const char *key,
                   const char *bytes) {
  node->store->ops->authority->send(node->store, wwr_view_str(key),
                                    wwr_view_str(bytes), start(op));
}

wwr_err rs_create(struct rs_node *node, const char *key) {
  struct rs_op op;
  rs_begin_create(node, &op, key, "{\"n\":1}");
  return finish(&op);
}

wwr_err rs_attach(struct rs_node *node, const char *key, uint32_t max) {
  struct rs_op op;
  rs_begin_attach(node, &op, key, max);
  wwr_err err = rs_end(&op);
  CU_ASSERT_EQUAL(err == WWR_OK, op.session != NULL);
  if (op.session) CU_ASSERT_STRING_EQUAL(wwr_session_key(op.session), key);
  wwr_session_unref(op.session);
  return err;
}

wwr_err rs_leave(struct rs_node *node, const char *key) {
  struct rs_op op;
  rs_begin_leave(node, &op, key);
  return finish(&op);
}

wwr_err rs_kill(struct rs_node *node, const char *key) {
  struct rs_op op;
  rs_begin_kill(node, &op, key);
  return finish(&op);
}

wwr_err rs_send(struct rs_node *node, const char *key, const char *bytes) {
  struct rs_op op;
  rs_begin_send(node, &op, key, bytes);
  return finish(&op);
}

void rs_detach(struct rs_node *node, const char *key) {
  node->store->ops->authority->detach(node->store, wwr_view_str(key));
}

struct places {
  struct wwr_store_places_op base;
  bool done;
  char text[256];
};

static int by_name(const void *a, const void *b) {
  const struct wwr_session_place *x = a, *y = b;
  return strcmp(x->node, y->node);
}

static void on_places(struct wwr_store_places_op *base, wwr_err err,
                      const struct wwr_session_place *all, size_t count) {
  struct places *it = (struct places *)(void *)base;
  struct wwr_session_place sorted[8];
  size_t used = 0;
  if (count > 8) abort();
  if (count) memcpy(sorted, all, count * sizeof *all);
  qsort(sorted, count, sizeof *sorted, by_name);
  pthread_mutex_lock(&lock);
  if (err) snprintf(it->text, sizeof it->text, "%s", wwr_err_name(err));
  for (size_t i = 0; i < count; i++) {
    used +=
        (size_t)snprintf(it->text + used, sizeof it->text - used, "%s%s=%u",
                         i ? " " : "", sorted[i].node, sorted[i].connections);
  }
  it->done = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

const char *rs_places(struct rs_node *node, const char *key) {
  static char text[256];
  struct places it = {.base = {.done = on_places}};
  struct timespec until = deadline_in(RS_WAIT_MS);
  int rc = 0;
  node->store->ops->authority->places(node->store, wwr_view_str(key), &it.base);
  pthread_mutex_lock(&lock);
  while (!it.done && rc == 0) {
    rc = pthread_cond_timedwait(&changed, &lock, &until);
  }
  snprintf(text, sizeof text, "%s", it.text);
  pthread_mutex_unlock(&lock);
  if (rc) abort();
  return text;
}

bool rs_places_become(struct rs_node *node, const char *key, const char *text) {
  for (unsigned i = 0; i < RS_WAIT_MS / 10; i++) {
    if (strcmp(rs_places(node, key), text) == 0) return true;
    rs_wait_ms(10);
  }
  printf("\n%s: %s, expected %s\n", key, rs_places(node, key), text);
  return false;
}

void rs_live_a_life(struct rs_node *a, struct rs_node *b, const char *of) {
  char key[WWRI_SESSION_KEY_MAX + 1];
  uint64_t start = rs_now_ms();
  snprintf(key, sizeof key, "%s", of);
  CU_ASSERT_EQUAL(rs_create(a, key), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, key, 2), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, key, 2), WWR_E_MAX_SESSION_CONNS);
  CU_ASSERT_STRING_EQUAL(rs_places(a, key), "first=1 second=1");
  CU_ASSERT_EQUAL(rs_send(b, key, "hello"), WWR_OK);
  rs_detach(a, key);
  CU_ASSERT_EQUAL(rs_attach(a, key, 2), WWR_OK);
  CU_ASSERT_EQUAL(rs_leave(b, key), WWR_OK);
  unsigned closed = rs_count(&a->closed);
  CU_ASSERT_EQUAL(rs_kill(b, key), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->closed, closed + 1));
  CU_ASSERT_STRING_EQUAL(a->last_closed, key);
  rs_detach(a, key);
  CU_ASSERT_EQUAL(rs_attach(b, key, 0), WWR_E_SESSION_NOT_FOUND);
  /* Nothing was held until its time was over, on a busy machine either. */
  uint64_t took = rs_now_ms() - start, prompt_ms = a->opts.hold_ms * 3 / 4;
  if (took >= prompt_ms) printf("\n%llu ms\n", (unsigned long long)took);
  CU_ASSERT(took < prompt_ms);
}

/* --- Redis -------------------------------------------------------------- */

static const char *id_of(const char *key) {
  static char id[WWRI_SESSION_ID_LEN + 1];
  CU_ASSERT_TRUE_FATAL(wwri_session_id(wwr_view_str(key), id));
  return id;
}

const char *rs_name(const char *key) {
  static char name[128];
  const char *id = id_of(key);
  unsigned partition =
      rs.mode == RS_ONE ? 0 : wwri_partition_of(wwr_view_str(id));
  snprintf(name, sizeof name, "wwr:{%s}:s:%s", wwri_partition_tag(partition),
           id);
  return name;
}

unsigned rs_shard(const char *key) {
  unsigned partition = wwri_partition_of(wwr_view_str(id_of(key)));
  return rs.mode == RS_ONE ? 0 : wwri_partition_shard(partition, RS_SHARDS);
}

struct redis_server *rs_server(const char *key) {
  if (rs.mode != RS_CLUSTER) return &rs.servers[key ? rs_shard(key) : 0];
  unsigned slot = key ? redis_cluster_slot(&rs.cluster, rs_name(key)) : 0;
  return &rs.cluster.servers[redis_cluster_owner(&rs.cluster, slot)];
}

const char *rs_ask(const char *format, const char *key) {
  static char answer[4096];
  char line[512];
  const char *name = key ? rs_name(key) : "";
  const char *at = strstr(format, "%s");
  if (at) {
    snprintf(line, sizeof line, "%.*s%s%s", (int)(at - format), format, name,
             at + 2);
  } else {
    snprintf(line, sizeof line, "%s", format);
  }
  answer[0] = '\0';
  redis_run(rs_server(key), line, answer, sizeof answer);
  return answer;
}

bool rs_until(const char *format, const char *key, const char *text) {
  const struct timespec pause = {.tv_nsec = 5000000};
  for (unsigned i = 0; i < RS_WAIT_MS / 5; i++) {
    if (strcmp(rs_ask(format, key), text) == 0) return true;
    nanosleep(&pause, NULL);
  }
  printf("\n%s: %s, expected %s\n", format, rs_ask(format, key), text);
  return false;
}

enum rs_mode rs_read_mode(int *argc, char ***argv) {
  static const char *const words[] = {
      [RS_LIST] = "--list", [RS_CLUSTER] = "--cluster"};
  for (enum rs_mode mode = RS_LIST; *argc > 1 && mode <= RS_CLUSTER; mode++) {
    if (strcmp((*argv)[1], words[mode]) != 0) continue;
    --*argc;
    ++*argv;
    return mode;
  }
  return RS_ONE;
}

static size_t server_count(void) {
  return rs.mode == RS_ONE ? 1 : RS_SHARDS;
}

bool rs_begin(enum rs_mode mode, const char *const *args) {
  size_t used = 0;
  bool good = true;
  rs.mode = mode;
  if (mode == RS_CLUSTER) {
    good = redis_cluster_start(&rs.cluster, RS_SHARDS, rs.replicas, args);
    if (good) snprintf(rs.url, sizeof rs.url, "%s", rs.cluster.url);
    return good;
  }
  for (size_t i = 0; i < server_count(); i++) {
    redis_init(&rs.servers[i], args);
    used += (size_t)snprintf(rs.url + used, sizeof rs.url - used,
                             "redis://127.0.0.1:%u ", rs.servers[i].port);
    good = redis_start(&rs.servers[i]) && good;
  }
  if (!good) rs_finish();
  return good;
}

void rs_finish(void) {
  if (rs.mode == RS_CLUSTER) {
    redis_cluster_remove(&rs.cluster);
    return;
  }
  for (size_t i = 0; i < server_count(); i++) redis_remove(&rs.servers[i]);
}

/* All that run; replicas refuse. */
static void empty_the_cluster(void) {
  for (unsigned i = 0; i < rs.cluster.count; i++) {
    struct redis_server *server = &rs.cluster.servers[i];
    if (server->proc) redis_run(server, "FLUSHALL", NULL, 0);
  }
}

void rs_set_up(void) {
  for (size_t i = 0; rs.mode != RS_CLUSTER && i < server_count(); i++) {
    CU_ASSERT_TRUE_FATAL(redis_run(&rs.servers[i], "FLUSHALL", NULL, 0));
  }
  if (rs.mode == RS_CLUSTER) empty_the_cluster();
  memset(rs.nodes, 0, sizeof rs.nodes);
  logged[0] = '\0';
}

void rs_tear_down(void) {
  for (unsigned i = 0; i < RS_NODES; i++) rs_down(&rs.nodes[i]);
}
