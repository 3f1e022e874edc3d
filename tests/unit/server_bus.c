#include "server_bus.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server_fixture.h"

void *__real_malloc(size_t size); /* see test_alloc.c */

/* A call on its way to the bus thread. Its memory does not count. */
struct call {
  struct wwri_list node;
  enum test_call kind;
  struct wwri_bus_op *op;
  struct wwri_bus_sub *sub;
  uint32_t count;
  struct wwri_bus_publish what;
  struct wwri_bus_member member;
  struct wwr_view channel;
  uint8_t bytes[];
};

struct known_sub {
  struct wwri_list node;
  struct wwri_bus_sub *sub;
  void (*done)(struct wwri_bus_op *op, const struct wwri_bus_result *result);
  void *user;
  size_t len;
  char name[WWRI_CHANNEL_MAX];
};

struct errand_of_bus {
  void (*fn)(struct test_bus *bus, void *arg);
  void *arg;
  bool done;
};

static struct test_bus *bus_of(struct wwr_bus *base) {
  return WWRI_CONTAINER(base, struct test_bus, base);
}

static uint64_t unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wake(struct test_bus *bus) {
  bus->woken = true;
  pthread_cond_broadcast(&fix.changed);
}

/* --- The bus thread ------------------------------------------------------ */

static void unlearn(struct test_bus *bus, const struct wwri_bus_sub *sub);

/* Of a sub whose subscribe failed nothing is left. */
static void subscribed(struct wwri_bus_op *op,
                       const struct wwri_bus_result *result) {
  struct known_sub *known = op->user;
  op->done = known->done;
  op->user = known->user;
  if (result->err != WWR_OK) unlearn(fix.bus, known->sub);
  op->done(op, result);
}

static void learn(struct test_bus *bus, const struct call *call) {
  struct known_sub *known = __real_malloc(sizeof *known);
  known->sub = call->sub;
  known->done = call->op->done;
  known->user = call->op->user;
  call->op->done = subscribed;
  call->op->user = known;
  known->len = call->channel.len;
  memcpy(known->name, call->channel.data, known->len);
  wwri_list_append(&bus->subs, &known->node);
}

static void unlearn(struct test_bus *bus, const struct wwri_bus_sub *sub) {
  struct wwri_list *node = bus->subs.next;
  while (node != &bus->subs) {
    struct known_sub *known = WWRI_CONTAINER(node, struct known_sub, node);
    node = node->next;
    if (sub && known->sub != sub) continue;
    wwri_list_remove(&known->node);
    free(known);
  }
}

static wwr_err forward(struct test_bus *bus, const struct call *call) {
  const struct wwri_bus_ops *ops = bus->local->ops;
  switch (call->kind) {
    case TEST_SUBSCRIBE:
      learn(bus, call);
      return ops->subscribe(bus->local, call->channel, call->sub, call->count,
                            call->op);
    case TEST_JOIN:
      return ops->join(bus->local, call->sub, call->count, call->op);
    case TEST_UNSUBSCRIBE:
      unlearn(bus, call->sub);
      return ops->unsubscribe(bus->local, call->sub, call->op);
    case TEST_PUBLISH:
      return ops->publish(bus->local, call->channel, &call->what, call->op);
    case TEST_HISTORY:
      return ops->history(bus->local, call->channel, call->count, call->op);
    case TEST_PRESENCE_SET:
      return ops->presence_set(bus->local, call->channel, &call->member,
                               call->op);
    case TEST_PRESENCE_LIST:
      return ops->presence_list(bus->local, call->channel, call->op);
    case TEST_SUBSCRIBERS:
      return ops->subscribers(bus->local, call->channel, call->op);
    case TEST_NODES:
      return ops->nodes(bus->local, call->op);
    case TEST_CONTROL:
      return ops->control(bus->local, call->channel, call->what.payload.data,
                          call->op);
    case TEST_CALLS:
      break;
  }
  return WWR_E_INVALID;
}

static void execute(struct test_bus *bus, struct call *call, wwr_err err) {
  bool certain = LOCKED(bus->fail_certain);
  struct wwri_logid early = LOCKED(bus->early);
  if (err == WWR_OK && call->kind == TEST_PUBLISH && early.offset) {
    struct wwri_bus_result result = {.id = early};
    call->op->done(call->op, &result);
  } else if (err == WWR_OK) {
    err = forward(bus, call);
  }
  if (err != WWR_OK) {
    struct wwri_bus_result result = {.err = err, .certain = certain};
    call->op->done(call->op, &result);
  }
}

/* The first call that is not held; with its error. Under the lock. */
static struct call *next_call(struct test_bus *bus, wwr_err *err) {
  struct wwri_list *node = bus->queue.next;
  for (; node != &bus->queue; node = node->next) {
    struct call *call = WWRI_CONTAINER(node, struct call, node);
    if (bus->hold & 1u << call->kind && !bus->stopping) continue;
    wwri_list_remove(node);
    *err = bus->stopping ? WWR_E_CLOSED : bus->fail[call->kind];
    return call;
  }
  return NULL;
}

static void run_errand(struct test_bus *bus) {
  struct errand_of_bus *errand = bus->errand;
  if (!errand) return;
  bus->errand = NULL;
  pthread_mutex_unlock(&fix.lock);
  errand->fn(bus, errand->arg);
  pthread_mutex_lock(&fix.lock);
  errand->done = true;
  pthread_cond_broadcast(&fix.changed);
}

static void run_calls(struct test_bus *bus) {
  struct call *call;
  wwr_err err;
  while ((call = next_call(bus, &err))) {
    pthread_mutex_unlock(&fix.lock);
    execute(bus, call, err);
    bus->local->ops->run(bus->local, unix_ms()); /* does what was forwarded */
    pthread_mutex_lock(&fix.lock);
    bus->done[call->kind]++;
    pthread_cond_broadcast(&fix.changed);
    free(call);
  }
}

static void *bus_thread(void *arg) {
  struct test_bus *bus = arg;
  pthread_mutex_lock(&fix.lock);
  for (bool last = false; !last;) {
    while (!bus->woken && !bus->stopping && !bus->errand) {
      pthread_cond_wait(&fix.changed, &fix.lock);
    }
    last = bus->stopping;
    bus->woken = false;
    run_errand(bus);
    run_calls(bus);
    pthread_mutex_unlock(&fix.lock);
    bus->local->ops->run(bus->local, unix_ms());
    pthread_mutex_lock(&fix.lock);
  }
  pthread_mutex_unlock(&fix.lock);
  bus->local->ops->close(bus->local);
  unlearn(bus, NULL);
  return NULL;
}

static void run_on_bus(void (*fn)(struct test_bus *, void *), void *arg) {
  struct errand_of_bus errand = {.fn = fn, .arg = arg};
  WAIT(!fix.bus->errand);
  pthread_mutex_lock(&fix.lock);
  fix.bus->errand = &errand;
  pthread_cond_broadcast(&fix.changed);
  while (!errand.done) pthread_cond_wait(&fix.changed, &fix.lock);
  pthread_mutex_unlock(&fix.lock);
}

/* --- Ops ----------------------------------------------------------------- */

static void on_wake(void *owner) {
  struct test_bus *bus = owner;
  pthread_mutex_lock(&fix.lock);
  wake(bus);
  pthread_mutex_unlock(&fix.lock);
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  const struct wwri_bus_config *config = &((struct test_bus *)owner)->config;
  if (config->events->control) {
    config->events->control(config->owner, topic, bytes);
  }
}

static wwr_err bus_open(struct wwr_bus *base,
                        const struct wwri_bus_config *config, uint64_t now) {
  static const struct wwri_bus_events events = {.control = on_control,
                                                .wake = on_wake};
  struct test_bus *bus = bus_of(base);
  bus->config = *config;
  snprintf(bus->fingerprint, sizeof bus->fingerprint, "%s",
           config->fingerprint);
  snprintf(bus->address, sizeof bus->address, "%s", config->address);
  struct wwri_bus_config own = *config;
  own.events = &events;
  own.owner = bus;
  wwr_err err = bus->local->ops->open(bus->local, &own, now);
  if (err != WWR_OK) return err;
  if (pthread_create(&bus->thread, NULL, bus_thread, bus)) return WWR_E_IO;
  bus->started = true;
  return WWR_OK;
}

static void bus_close(struct wwr_bus *base) {
  struct test_bus *bus = bus_of(base);
  if (!bus->started) return;
  pthread_mutex_lock(&fix.lock);
  bus->stopping = true;
  bus->closes++;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
  pthread_join(bus->thread, NULL);
  bus->started = false;
}

static void bus_run(struct wwr_bus *base, uint64_t now_ms) {
  (void)now_ms;
  note(&bus_of(base)->runs);
}

static struct wwr_view copy_view(uint8_t **at, struct wwr_view view) {
  struct wwr_view copy = {*at, view.len};
  if (view.len) memcpy(*at, view.data, view.len);
  *at += view.len;
  return copy;
}

/* `call` is copied, with all it views. */
static wwr_err enqueue(struct wwr_bus *base, const struct call *call) {
  struct test_bus *bus = bus_of(base);
  size_t bytes = call->channel.len + call->what.name.len +
                 call->what.payload.data.len + call->member.member.len;
  struct call *copy = __real_malloc(sizeof *copy + bytes);
  uint8_t *at = copy->bytes;
  *copy = *call;
  copy->channel = copy_view(&at, call->channel);
  copy->what.name = copy_view(&at, call->what.name);
  copy->what.payload.data = copy_view(&at, call->what.payload.data);
  copy->member.member = copy_view(&at, call->member.member);
  pthread_mutex_lock(&fix.lock);
  bus->calls[call->kind]++;
  wwr_err err = bus->refuse[call->kind];
  if (bus->stopping) err = WWR_E_CLOSED;
  if (err == WWR_OK) wwri_list_append(&bus->queue, &copy->node);
  wake(bus);
  pthread_mutex_unlock(&fix.lock);
  if (err != WWR_OK) free(copy);
  return err;
}

static wwr_err bus_subscribe(struct wwr_bus *bus, struct wwr_view channel,
                             struct wwri_bus_sub *sub, uint32_t history,
                             struct wwri_bus_op *op) {
  const struct call call = {.kind = TEST_SUBSCRIBE,
                            .channel = channel,
                            .sub = sub,
                            .count = history,
                            .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_join(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                        uint32_t history, struct wwri_bus_op *op) {
  const struct call call = {
      .kind = TEST_JOIN, .sub = sub, .count = history, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_unsubscribe(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                               struct wwri_bus_op *op) {
  const struct call call = {.kind = TEST_UNSUBSCRIBE, .sub = sub, .op = op};
  return enqueue(bus, &call);
}

static void bus_pressure(struct wwr_bus *base, struct wwri_bus_sub *sub,
                         bool full) {
  struct test_bus *bus = bus_of(base);
  (void)sub;
  note(full ? &bus->pressed : &bus->released);
}

static wwr_err bus_publish(struct wwr_bus *bus, struct wwr_view channel,
                           const struct wwri_bus_publish *what,
                           struct wwri_bus_op *op) {
  const struct call call = {
      .kind = TEST_PUBLISH, .channel = channel, .what = *what, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_history(struct wwr_bus *bus, struct wwr_view channel,
                           uint32_t count, struct wwri_bus_op *op) {
  const struct call call = {
      .kind = TEST_HISTORY, .channel = channel, .count = count, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_presence_set(struct wwr_bus *bus, struct wwr_view channel,
                                const struct wwri_bus_member *member,
                                struct wwri_bus_op *op) {
  const struct call call = {.kind = TEST_PRESENCE_SET,
                            .channel = channel,
                            .member = *member,
                            .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_presence_list(struct wwr_bus *bus, struct wwr_view channel,
                                 struct wwri_bus_op *op) {
  const struct call call = {
      .kind = TEST_PRESENCE_LIST, .channel = channel, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_subscribers(struct wwr_bus *bus, struct wwr_view channel,
                               struct wwri_bus_op *op) {
  const struct call call = {
      .kind = TEST_SUBSCRIBERS, .channel = channel, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_nodes(struct wwr_bus *bus, struct wwri_bus_op *op) {
  const struct call call = {.kind = TEST_NODES, .op = op};
  return enqueue(bus, &call);
}

static wwr_err bus_control(struct wwr_bus *bus, struct wwr_view topic,
                           struct wwr_view bytes, struct wwri_bus_op *op) {
  const struct call call = {.kind = TEST_CONTROL,
                            .channel = topic,
                            .what.payload.data = bytes,
                            .op = op};
  return enqueue(bus, &call);
}

static size_t bus_boots(struct wwr_bus *base, struct wwri_boot *out,
                        size_t cap) {
  struct wwr_bus *local = bus_of(base)->local;
  return local->ops->boots(local, out, cap);
}

static void bus_load(struct wwr_bus *base, uint64_t connections,
                     bool draining) {
  struct test_bus *bus = bus_of(base);
  pthread_mutex_lock(&fix.lock);
  bus->connections = connections;
  bus->draining = draining;
  pthread_mutex_unlock(&fix.lock);
  note(&bus->loads);
}

static void bus_state(struct wwr_bus *base, struct wwri_bus_state *out) {
  struct test_bus *bus = bus_of(base);
  bus->local->ops->state(bus->local, out);
  pthread_mutex_lock(&fix.lock);
  out->health = bus->health;
  memcpy(out->reason, bus->reason, sizeof out->reason);
  pthread_mutex_unlock(&fix.lock);
}

static size_t bus_shards(struct wwr_bus *base, struct wwri_bus_shard *out,
                         size_t cap) {
  struct wwr_bus *local = bus_of(base)->local;
  return local->ops->shards(local, out, cap);
}

static void bus_free(struct wwr_bus *base) {
  struct test_bus *bus = bus_of(base);
  bus->local->ops->free(bus->local);
  free(bus);
}

static const struct wwri_bus_ops ops = {.open = bus_open,
                                        .close = bus_close,
                                        .run = bus_run,
                                        .subscribe = bus_subscribe,
                                        .join = bus_join,
                                        .unsubscribe = bus_unsubscribe,
                                        .pressure = bus_pressure,
                                        .publish = bus_publish,
                                        .history = bus_history,
                                        .presence_set = bus_presence_set,
                                        .presence_list = bus_presence_list,
                                        .subscribers = bus_subscribers,
                                        .nodes = bus_nodes,
                                        .load = bus_load,
                                        .control = bus_control,
                                        .boots = bus_boots,
                                        .state = bus_state,
                                        .shards = bus_shards,
                                        .free = bus_free};

void test_bus_use(void) {
  struct test_bus *bus = __real_malloc(sizeof *bus);
  memset(bus, 0, sizeof *bus);
  bus->base.ops = &ops;
  wwri_list_init(&bus->queue);
  wwri_list_init(&bus->subs);
  CU_ASSERT_EQUAL_FATAL(
      wwri_localbus_new(&bus->local, (struct wwri_boot){1, 2}), WWR_OK);
  bus->base.name = bus->local->name;
  fix.bus = bus;
  fix.opts.bus = &bus->base;
}

void test_bus_free(void) {
  if (!fix.bus) return;
  fix.bus->base.ops->close(&fix.bus->base);
  fix.bus->base.ops->free(&fix.bus->base);
  fix.bus = NULL;
}

/* --- What tests do ------------------------------------------------------- */

void test_bus_hold(unsigned kinds) {
  pthread_mutex_lock(&fix.lock);
  fix.bus->hold = kinds;
  wake(fix.bus);
  pthread_mutex_unlock(&fix.lock);
}

void test_bus_fail(enum test_call kind, wwr_err err) {
  pthread_mutex_lock(&fix.lock);
  fix.bus->fail[kind] = err;
  pthread_mutex_unlock(&fix.lock);
}

void test_bus_refuse(enum test_call kind, wwr_err err) {
  pthread_mutex_lock(&fix.lock);
  fix.bus->refuse[kind] = err;
  pthread_mutex_unlock(&fix.lock);
}

struct saying {
  const char *channel;
  const struct wwri_verdict *verdict;
  const struct wwri_bus_message *message;
  int count;
};

static void say(struct test_bus *bus, void *arg) {
  struct saying *saying = arg;
  struct wwri_list *node = bus->subs.next;
  for (; node != &bus->subs; node = node->next) {
    struct known_sub *known = WWRI_CONTAINER(node, struct known_sub, node);
    struct wwr_view name = {(const uint8_t *)known->name, known->len};
    if (!view_is(name, saying->channel)) continue;
    saying->count++;
    if (saying->verdict) known->sub->verdict(known->sub, saying->verdict);
    if (saying->message) known->sub->deliver(known->sub, saying->message);
  }
}

void test_bus_verdict(const char *channel, const struct wwri_verdict *verdict) {
  struct saying saying = {.channel = channel, .verdict = verdict};
  run_on_bus(say, &saying);
}

void test_bus_message(const char *channel,
                      const struct wwri_bus_message *message) {
  struct saying saying = {.channel = channel, .message = message};
  run_on_bus(say, &saying);
}

int test_bus_subs(const char *channel) {
  struct saying saying = {.channel = channel};
  run_on_bus(say, &saying);
  return saying.count;
}

static void feel(struct test_bus *bus, void *arg) {
  enum wwri_bus_health *health = arg;
  bus->config.events->health(bus->config.owner, *health);
}

void test_bus_health(enum wwri_bus_health health, const char *reason) {
  pthread_mutex_lock(&fix.lock);
  fix.bus->health = health;
  snprintf(fix.bus->reason, sizeof fix.bus->reason, "%s", reason);
  pthread_mutex_unlock(&fix.lock);
  run_on_bus(feel, &health);
}
