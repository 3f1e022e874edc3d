#include "bus_ledger.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_ledger_impl.h"
#include "lateness.h"
#include "test.h"

struct ledger ledger;

int64_t ledger_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- receiving --- */

static struct ledger_got read_text(struct wwr_view data) {
  char text[32] = "";
  unsigned from = 0, n = 0;
  size_t len = data.len < sizeof text - 1 ? data.len : sizeof text - 1;
  memcpy(text, data.data, len);
  if (sscanf(text, "%u:%u:", &from, &n) != 2 || from >= LEDGER_NODES) {
    fprintf(stderr, "received what nobody sent: %s\n", text);
    abort();
  }
  return (struct ledger_got){(uint8_t)from, n, 0};
}

static void got(struct ledger_receiver *r, struct wwr_view data) {
  struct ledger_got it = read_text(data);
  pthread_mutex_lock(&ledger.lock);
  if (r->count == r->cap) {
    r->cap = r->cap ? 2 * r->cap : 1024;
    r->got = realloc(r->got, r->cap * sizeof *r->got);
    if (!r->got) abort();
  }
  const struct ledger_pub *pub = ledger.nodes[it.from].pubs[it.n];
  it.way_ms = (uint32_t)(ledger_now() - pub->made_ms);
  r->got[r->count++] = it;
  if (ledger.fault_over_ms && !r->fresh_ms &&
      pub->made_ms >= ledger.fault_over_ms) {
    r->fresh_ms = ledger_now();
  }
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

static struct ledger_receiver *receiver_of(struct wwri_bus_sub *sub) {
  return WWRI_CONTAINER(sub, struct ledger_receiver, sub);
}

static void on_deliver(struct wwri_bus_sub *sub,
                       const struct wwri_bus_message *message) {
  got(receiver_of(sub), message->payload.data);
}

static void add_verdict(struct ledger_receiver *r,
                        const struct wwri_verdict *verdict) {
  pthread_mutex_lock(&ledger.lock);
  if (r->verdict_count < MAX_VERDICTS) r->verdicts[r->verdict_count] = *verdict;
  r->verdict_count++;
  pthread_mutex_unlock(&ledger.lock);
}

static void on_verdict(struct wwri_bus_sub *sub,
                       const struct wwri_verdict *verdict) {
  add_verdict(receiver_of(sub), verdict);
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  struct ledger_node *node = owner;
  (void)topic;
  got(&node->receivers[LEDGER_CHANNELS], bytes);
}

static void on_control_lost(void *owner, const struct wwri_verdict *verdict) {
  struct ledger_node *node = owner;
  add_verdict(&node->receivers[LEDGER_CHANNELS], verdict);
}

static void on_health(void *owner, enum wwri_bus_health health) {
  (void)owner;
  pthread_mutex_lock(&ledger.lock);
  if (health != WWRI_BUS_READY) ledger.away++;
  if (health == WWRI_BUS_UNREADY || health == WWRI_BUS_REFUSED) {
    ledger.unready++;
  }
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

static const struct wwri_bus_events events = {.control = on_control,
                                              .control_lost = on_control_lost,
                                              .health = on_health};

static void on_subscribed(struct wwri_bus_op *op,
                          const struct wwri_bus_result *result) {
  struct ledger_receiver *r = op->user;
  pthread_mutex_lock(&ledger.lock);
  r->stands = result->err == WWR_OK;
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

/* --- publishing --- */

static void on_published(struct wwri_bus_op *op,
                         const struct wwri_bus_result *result) {
  struct ledger_pub *pub = WWRI_CONTAINER(op, struct ledger_pub, op);
  struct ledger_node *node = &ledger.nodes[pub->from];
  pthread_mutex_lock(&ledger.lock);
  if (pub->ended) abort(); /* twice */
  pub->ended = true;
  pub->ended_ms = ledger_now();
  pub->err = result->err;
  pub->certain = result->certain;
  pub->id = result->id;
  ledger.open--;
  if (pub->err == WWR_OK) node->acked++;
  if (pub->err == WWR_OK && ledger.fault_over_ms && !node->fresh_ms &&
      pub->made_ms >= ledger.fault_over_ms) {
    node->fresh_ms = pub->ended_ms;
  }
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

static struct ledger_pub *pub_new(unsigned from, unsigned channel) {
  struct ledger_node *node = &ledger.nodes[from];
  struct ledger_pub *pub = calloc(1, sizeof *pub);
  if (!pub || node->count == MAX_EACH) abort();
  pub->op.done = on_published;
  pub->from = (uint8_t)from;
  pub->channel = (uint8_t)channel;
  pub->made_ms = ledger_now();
  pub->taken = true;
  pthread_mutex_lock(&ledger.lock);
  node->pubs[node->count++] = pub;
  ledger.open++;
  pthread_mutex_unlock(&ledger.lock);
  return pub;
}

static void not_taken(struct ledger_pub *pub) {
  pthread_mutex_lock(&ledger.lock);
  pub->taken = false;
  ledger.open--;
  pthread_mutex_unlock(&ledger.lock);
}

static void channel_name(unsigned channel, char out[16]) {
  if (ledger.opts.names) {
    snprintf(out, 16, "%s", ledger.opts.names[channel]);
  } else {
    snprintf(out, 16, "ch%u", channel);
  }
}

static void publish(unsigned from, unsigned channel, uint32_t size) {
  struct ledger_node *node = &ledger.nodes[from];
  uint32_t n = node->count;
  struct ledger_pub *pub = pub_new(from, channel);
  char text[32], name[16];
  char *bytes = malloc(size);
  if (!bytes) abort();
  memset(bytes, '.', size);
  int len = snprintf(text, sizeof text, "%u:%u:", from, n);
  memcpy(bytes, text, (size_t)len);
  struct wwr_view view = {(uint8_t *)bytes, size};
  struct wwri_bus_publish what = {.name = wwr_view_str("n"),
                                  .payload = {.data = view},
                                  .limit = {ledger.opts.log_entries, 600000}};
  wwr_err err;
  if (channel == LEDGER_CHANNELS) {
    view.len = (size_t)len;
    err = node->bus->ops->control(node->bus, wwr_view_str("t"), view, &pub->op);
  } else {
    channel_name(channel, name);
    err =
        node->bus->ops->publish(node->bus, wwr_view_str(name), &what, &pub->op);
  }
  if (err) not_taken(pub);
  free(bytes);
}

/* The size of the next message; 0: stop. */
static uint32_t next_size(unsigned index) {
  enum { BIG = 60000 };
  pthread_mutex_lock(&ledger.lock);
  uint32_t size = ledger.big[index] ? BIG : ledger.opts.payload;
  if (ledger.stop) size = 0;
  ledger.big[index] = false;
  pthread_mutex_unlock(&ledger.lock);
  return size;
}

static void *publisher_main(void *arg) {
  struct ledger_node *node = arg;
  unsigned index = (unsigned)(node - ledger.nodes);
  uint32_t size;
  for (unsigned i = 0; (size = next_size(index)); i++) {
    if (i % CONTROL_EVERY == 0) {
      publish(index, LEDGER_CHANNELS, ledger.opts.payload);
    }
    publish(index, i % LEDGER_CHANNELS, size);
    poll(NULL, 0, (int)ledger.opts.pace_ms);
  }
  /* The last of all: who gets these got everything before. */
  for (unsigned i = 0; i <= LEDGER_CHANNELS; i++) {
    publish(index, i, ledger.opts.payload);
  }
  return NULL;
}

/* --- waiting --- */

bool ledger_until(bool (*condition)(void)) {
  int64_t deadline = ledger_now() + LEDGER_WAIT_MS;
  bool met = false;
  pthread_mutex_lock(&ledger.lock);
  while (!(met = condition()) && ledger_now() < deadline) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 20000000;
    if (at.tv_nsec >= 1000000000) {
      at.tv_sec++;
      at.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&ledger.changed, &ledger.lock, &at);
  }
  pthread_mutex_unlock(&ledger.lock);
  return met;
}

void ledger_fault_over(void) {
  pthread_mutex_lock(&ledger.lock);
  ledger.fault_over_ms = ledger_now();
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    ledger.nodes[i].fresh_ms = 0;
    for (unsigned j = 0; j < LEDGER_CHANNELS; j++) {
      ledger.nodes[i].receivers[j].fresh_ms = 0;
    }
  }
  pthread_mutex_unlock(&ledger.lock);
}

static bool is_recovered(void) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    if (!ledger.nodes[i].fresh_ms) return false;
    for (unsigned j = 0; j < LEDGER_CHANNELS; j++) {
      if (!ledger.nodes[i].receivers[j].fresh_ms) return false;
    }
  }
  return true;
}

void ledger_await_recovery(void) {
  CU_ASSERT_TRUE(ledger_until(is_recovered));
}

static uint64_t acked_wanted;

static uint64_t acked_sum(void) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < LEDGER_NODES; i++) sum += ledger.nodes[i].acked;
  return sum;
}

static bool enough_acked(void) {
  return acked_sum() >= acked_wanted;
}

bool ledger_await_acked(uint64_t more) {
  pthread_mutex_lock(&ledger.lock);
  acked_wanted = acked_sum() + more;
  pthread_mutex_unlock(&ledger.lock);
  return ledger_until(enough_acked);
}

static bool all_are(bool ready) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    struct wwri_bus_state state;
    ledger.nodes[i].bus->ops->state(ledger.nodes[i].bus, &state);
    bool good = state.health == WWRI_BUS_READY;
    if (ready ? !good : state.health != WWRI_BUS_UNREADY) return false;
  }
  return true;
}

static bool all_ready(void) {
  return all_are(true);
}

static bool all_unready(void) {
  return all_are(false);
}

bool ledger_await_ready(bool ready) {
  return ledger_until(ready ? all_ready : all_unready);
}

void ledger_publish_big(void) {
  pthread_mutex_lock(&ledger.lock);
  for (unsigned i = 0; i < LEDGER_NODES; i++) ledger.big[i] = true;
  pthread_mutex_unlock(&ledger.lock);
}

/* --- presence: what each node says of itself must survive --- */

struct count {
  struct wwri_bus_op op;
  bool ended;
  wwr_err err;
  uint64_t connections;
};
static struct count count;

static void on_counted(struct wwri_bus_op *op,
                       const struct wwri_bus_result *result) {
  (void)op;
  pthread_mutex_lock(&ledger.lock);
  count.connections = result->connections;
  count.err = result->err;
  count.ended = true;
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

static bool has_counted(void) {
  return count.ended;
}

static void set_presence(struct ledger_node *node, uint32_t connections) {
  char name[16];
  struct wwri_bus_member ann = {.member = wwr_view_str("ann"),
                                .connections = connections};
  channel_name(0, name);
  count = (struct count){.op = {.done = on_counted}};
  CU_ASSERT_EQUAL_FATAL(node->bus->ops->presence_set(
                            node->bus, wwr_view_str(name), &ann, &count.op),
                        WWR_OK);
  CU_ASSERT_TRUE_FATAL(ledger_until(has_counted));
  CU_ASSERT_EQUAL(count.err, WWR_OK);
}

/* Every node said 1, 2 or 3. */
static bool presence_is_right(struct ledger_node *node) {
  int64_t deadline = ledger_now() + LEDGER_WAIT_MS;
  char name[16];
  channel_name(0, name);
  do {
    count = (struct count){.op = {.done = on_counted}};
    CU_ASSERT_EQUAL_FATAL(
        node->bus->ops->subscribers(node->bus, wwr_view_str(name), &count.op),
        WWR_OK);
    CU_ASSERT_TRUE_FATAL(ledger_until(has_counted));
    if (count.err == WWR_OK && count.connections == 6) return true;
    poll(NULL, 0, 50);
  } while (ledger_now() < deadline);
  printf("presence: %llu\n", (unsigned long long)count.connections);
  return false;
}

/* --- history: what a newcomer would see --- */

struct past {
  struct wwri_bus_op op;
  bool ended;
  wwr_err err;
  uint64_t bad;
};
static struct past past;

static void on_past(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  int64_t last[LEDGER_NODES];
  (void)op;
  for (unsigned i = 0; i < LEDGER_NODES; i++) last[i] = -1;
  pthread_mutex_lock(&ledger.lock);
  for (size_t i = 0; i < result->message_count; i++) {
    struct ledger_got it = read_text(result->messages[i].payload.data);
    if (it.n <= last[it.from]) past.bad++;
    last[it.from] = it.n;
  }
  past.err = result->err;
  past.ended = true;
  pthread_cond_broadcast(&ledger.changed);
  pthread_mutex_unlock(&ledger.lock);
}

static bool past_is_known(void) {
  return past.ended;
}

static uint64_t bad_history(struct ledger_node *node) {
  uint64_t bad = 0;
  for (unsigned i = 0; i < LEDGER_CHANNELS; i++) {
    char name[16];
    channel_name(i, name);
    past = (struct past){.op = {.done = on_past}};
    CU_ASSERT_EQUAL_FATAL(
        node->bus->ops->history(node->bus, wwr_view_str(name), 256, &past.op),
        WWR_OK);
    CU_ASSERT_TRUE_FATAL(ledger_until(past_is_known));
    CU_ASSERT_EQUAL(past.err, WWR_OK);
    bad += past.bad;
  }
  return bad;
}

/* --- life --- */

static void open_node(unsigned index) {
  static const char *const addresses[] = {"a:1", "b:2", "c:3"};
  struct ledger_node *node = &ledger.nodes[index];
  struct wwr_cluster_opts opts;
  struct wwri_bus_config config;
  const char *why = NULL;
  wwr_cluster_opts_default(&opts);
  if (ledger.writer) {
    opts.log = wwr_log_writer_sink(ledger.writer, WWR_LOG_DEBUG);
  }
  opts.url = ledger.opts.url;
  opts.name = addresses[index];
  opts.hold_ms = ledger.opts.hold_ms;
  if (opts.lease_ms < 2 * opts.hold_ms) opts.lease_ms = 2 * opts.hold_ms;
  CU_ASSERT_EQUAL_FATAL(wwr_cluster_new(&node->cluster, &opts, &why), WWR_OK);
  node->bus = wwr_cluster_bus(node->cluster);
  wwri_bus_config_default(&config);
  config.events = &events;
  config.owner = node;
  config.max_queued_bytes = 64 << 20;
  config.fingerprint = "message-buffer=65536\n";
  config.address = addresses[index];
  CU_ASSERT_EQUAL_FATAL(node->bus->ops->open(node->bus, &config, unix_ms()),
                        WWR_OK);
}

static void subscribe_all(struct ledger_node *node) {
  for (unsigned i = 0; i < LEDGER_CHANNELS; i++) {
    struct ledger_receiver *r = &node->receivers[i];
    char name[16];
    channel_name(i, name);
    r->sub.deliver = on_deliver;
    r->sub.verdict = on_verdict;
    r->op.done = on_subscribed;
    r->op.user = r;
    CU_ASSERT_EQUAL_FATAL(
        node->bus->ops->subscribe(node->bus, wwr_view_str(name), &r->sub, 0,
                                  &r->op),
        WWR_OK);
  }
}

static bool all_stand(void) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    for (unsigned j = 0; j < LEDGER_CHANNELS; j++) {
      if (!ledger.nodes[i].receivers[j].stands) return false;
    }
  }
  return true;
}

static void init_lock(void) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&ledger.lock, NULL);
  pthread_cond_init(&ledger.changed, &attr);
  pthread_condattr_destroy(&attr);
}

void ledger_open(const struct ledger_opts *opts) {
  memset(&ledger, 0, sizeof ledger);
  ledger.opts = *opts;
  ledger.lateness = lateness_start();
  init_lock();
  /* To look into a failure: WWR_TEST_LOG=1. */
  if (getenv("WWR_TEST_LOG") &&
      wwr_log_writer_new(&ledger.writer, 2, WWR_LOG_LOGFMT)) {
    abort();
  }
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    for (unsigned j = 0; j <= LEDGER_CHANNELS; j++) {
      ledger.nodes[i].receivers[j].node = (uint8_t)i;
      ledger.nodes[i].receivers[j].channel = (uint8_t)j;
    }
    open_node(i);
  }
  CU_ASSERT_TRUE_FATAL(ledger_await_ready(true));
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    subscribe_all(&ledger.nodes[i]);
    set_presence(&ledger.nodes[i], i + 1);
  }
  CU_ASSERT_TRUE_FATAL(ledger_until(all_stand));
  pthread_mutex_lock(&ledger.lock);
  ledger.away = ledger.unready =
      0; /* before the first time it does not count */
  pthread_mutex_unlock(&ledger.lock);
  ledger_fault_over(); /* of no fault: everything flows */
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    struct ledger_node *node = &ledger.nodes[i];
    CU_ASSERT_EQUAL_FATAL(
        pthread_create(&node->thread, NULL, publisher_main, node), 0);
  }
  ledger_await_recovery();
}

static bool nothing_is_open(void) {
  return ledger.open == 0;
}

/* The newest message of this publisher on this channel that was acknowledged;
 * behind it an older control message may have come, from another Redis. */
static bool has_last_of(const struct ledger_receiver *r, unsigned from) {
  const struct ledger_node *node = &ledger.nodes[from];
  uint32_t n = node->count;
  while (n > 0) {
    const struct ledger_pub *pub = node->pubs[--n];
    if (pub->channel == r->channel && pub->taken && pub->err == WWR_OK) break;
  }
  for (size_t i = r->count; i > 0; i--) {
    if (r->got[i - 1].from == from && r->got[i - 1].n >= n) return true;
  }
  return n == 0;
}

static bool all_have_the_last(void) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    for (unsigned j = 0; j <= LEDGER_CHANNELS; j++) {
      for (unsigned from = 0; from < LEDGER_NODES; from++) {
        if (!has_last_of(&ledger.nodes[i].receivers[j], from)) return false;
      }
    }
  }
  return true;
}

static void free_all(void) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    struct ledger_node *node = &ledger.nodes[i];
    for (uint32_t n = 0; n < node->count; n++) free(node->pubs[n]);
    for (unsigned j = 0; j <= LEDGER_CHANNELS; j++) {
      free(node->receivers[j].got);
    }
  }
  wwr_log_writer_free(ledger.writer);
  pthread_cond_destroy(&ledger.changed);
  pthread_mutex_destroy(&ledger.lock);
}

struct ledger_sums ledger_close(const char *name) {
  struct ledger_sums sums;
  pthread_mutex_lock(&ledger.lock);
  ledger.stop = true;
  pthread_mutex_unlock(&ledger.lock);
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    pthread_join(ledger.nodes[i].thread, NULL);
  }
  CU_ASSERT_TRUE(ledger_until(nothing_is_open));
  CU_ASSERT_TRUE(ledger_until(all_have_the_last));
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    CU_ASSERT_TRUE(presence_is_right(&ledger.nodes[i]));
  }
  uint64_t history_bad = bad_history(&ledger.nodes[0]);
  pthread_mutex_lock(&ledger.lock);
  uint64_t away = ledger.away, unready = ledger.unready;
  pthread_mutex_unlock(&ledger.lock);
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    ledger.nodes[i].bus->ops->close(ledger.nodes[i].bus);
  }
  ledger_sum(&sums);
  sums.late_ms = lateness_stop(ledger.lateness);
  sums.away = away;
  sums.unready = unready;
  sums.history_bad = history_bad;
  ledger_print(name, &sums);
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    wwr_cluster_free(ledger.nodes[i].cluster);
  }
  free_all();
  return sums;
}
