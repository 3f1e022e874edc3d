/* bus_fixture.c - opening and closing, and the callbacks with their checks. */
#include "bus_fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_impl.h"

struct bus_fixture fx;
_Thread_local bool bus_in_call;

/* --- callbacks --- */

void bus_breach(const char *format, ...) {
  va_list args;
  if (fx.breach[0]) return;
  va_start(args, format);
  vsnprintf(fx.breach, sizeof fx.breach, format, args);
  va_end(args);
}

void bus_callback_begin(struct bus_node *node) {
  bool overlaps = atomic_exchange(&node->busy, true);
  pthread_mutex_lock(&fx.lock);
  if (overlaps) bus_breach("two callbacks of node %u at once", node->index);
  if (bus_in_call) bus_breach("callback inside a call");
}

void bus_callback_end(struct bus_node *node) {
  pthread_cond_broadcast(&fx.changed);
  pthread_mutex_unlock(&fx.lock);
  atomic_store(&node->busy, false);
}

static struct wwr_view copy_view(uint8_t **at, struct wwr_view view) {
  struct wwr_view copy = {*at, view.len};
  if (view.len) memcpy(*at, view.data, view.len);
  *at += view.len;
  return copy;
}

void bus_keep(struct bus_messages *messages,
              const struct wwri_bus_message *message) {
  struct wwr_view data = message->payload.data;
  struct bus_message *copy =
      malloc(sizeof *copy + message->name.len + data.len);
  if (messages->count == messages->cap) {
    messages->cap = messages->cap ? 2 * messages->cap : 16;
    messages->at = realloc(messages->at, messages->cap * sizeof *messages->at);
  }
  if (!copy || !messages->at) abort();
  uint8_t *bytes = (uint8_t *)(copy + 1);
  *copy = (struct bus_message){.id = message->id,
                               .sender = message->sender,
                               .time_ms = message->time_ms,
                               .encoding = message->payload.encoding};
  copy->name = copy_view(&bytes, message->name);
  copy->data = copy_view(&bytes, data);
  messages->at[messages->count++] = copy;
}

void bus_forget(struct bus_messages *messages) {
  for (size_t i = 0; i < messages->count; i++) free(messages->at[i]);
  free(messages->at);
  *messages = (struct bus_messages){0};
}

/* Logged messages come one by one, without a gap and none twice. */
static void check_id(struct bus_receiver *r, struct wwri_logid id) {
  if (wwri_logid_none(id)) return;
  bool next = id.epoch == r->last.epoch && id.offset == r->last.offset + 1;
  if (!next && !fx.gaps_expected) {
    bus_breach("node %u: %llu-%llu after %llu-%llu", r->on->index,
               (unsigned long long)id.epoch, (unsigned long long)id.offset,
               (unsigned long long)r->last.epoch,
               (unsigned long long)r->last.offset);
  }
  r->last = id;
}

void bus_on_deliver(struct wwri_bus_sub *sub,
                    const struct wwri_bus_message *message) {
  struct bus_receiver *r = WWRI_CONTAINER(sub, struct bus_receiver, sub);
  bus_callback_begin(r->on);
  fx.stamp++;
  if (!r->standing) bus_breach("delivered without a subscription");
  check_id(r, message->id);
  bus_keep(&r->got, message);
  bus_callback_end(r->on);
  if (r->then) r->then(r);
}

void bus_on_verdict(struct wwri_bus_sub *sub,
                    const struct wwri_verdict *verdict) {
  struct bus_receiver *r = WWRI_CONTAINER(sub, struct bus_receiver, sub);
  bus_callback_begin(r->on);
  if (!fx.verdicts_expected) bus_breach("verdict %d", (int)verdict->kind);
  r->verdicts++;
  r->verdict = *verdict;
  bus_callback_end(r->on);
}

static void append(char **text, const char *format, ...) {
  char piece[400];
  va_list args;
  va_start(args, format);
  vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  size_t len = *text ? strlen(*text) : 0, more = strlen(piece) + 1;
  *text = realloc(*text, len + more);
  if (!*text) abort();
  memcpy(*text + len, piece, more);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Members have no order; sorted they can be compared. */
static void keep_members(struct bus_call *call,
                         const struct wwri_bus_result *result) {
  char **lines = calloc(result->member_count + 1, sizeof *lines);
  if (!lines) abort();
  for (size_t i = 0; i < result->member_count; i++) {
    const struct wwri_bus_member *member = &result->members[i];
    append(&lines[i], "%.*s=%u", (int)member->member.len,
           (const char *)member->member.data, member->connections);
    if (member->info.len) {
      append(&lines[i], "(%.*s)", (int)member->info.len,
             (const char *)member->info.data);
    }
  }
  qsort(lines, result->member_count, sizeof *lines, by_text);
  for (size_t i = 0; i < result->member_count; i++) {
    append(&call->text, "%s;", lines[i]);
    free(lines[i]);
  }
  free(lines);
}

/* Ours is first; the others have no order: they differ by address. */
static void keep_nodes(struct bus_call *call,
                       const struct wwri_bus_result *result) {
  char *lines[BUS_NODES + 8] = {0};
  size_t count =
      result->node_count < BUS_NODES + 8 ? result->node_count : BUS_NODES + 8;
  for (size_t i = 0; i < count; i++) {
    const struct wwri_bus_node *n = &result->nodes[i];
    append(&lines[i], "%s=%u%s", n->address, (unsigned)n->connections,
           n->draining ? "!" : "");
    if (!n->name[0] || strcmp(n->version, wwr_version()) != 0 ||
        n->started_ms == 0 || n->beat_age_ms > 3600000) {
      bus_breach("node %s %s %s", n->name, n->address, n->version);
    }
  }
  if (count > 1) qsort(lines + 1, count - 1, sizeof *lines, by_text);
  for (size_t i = 0; i < count; i++) {
    append(&call->text, "%s;", lines[i]);
    free(lines[i]);
  }
}

static void begin_or_end_receiver(struct bus_call *call,
                                  const struct wwri_bus_result *result) {
  if (call->begins && result->err == WWR_OK) {
    call->begins->standing = true;
    call->begins->last = result->id;
  }
  if (call->ends) call->ends->standing = false;
  if (call->joins) {
    call->last = call->joins->last;
    if (result->err == WWR_OK &&
        wwri_logid_compare(call->last, result->id) > 0) {
      bus_breach("joined at an id that was delivered before");
    }
  }
}

void bus_on_done(struct wwri_bus_op *op, const struct wwri_bus_result *result) {
  struct bus_call *call = WWRI_CONTAINER(op, struct bus_call, op);
  bus_callback_begin(call->on);
  if (call->done++ || call->refused) bus_breach("a call ended twice");
  call->stamp = ++fx.stamp;
  call->err = result->err;
  call->certain = result->certain;
  call->id = result->id;
  call->connections = result->connections;
  for (size_t i = 0; i < result->message_count; i++) {
    bus_keep(&call->history, &result->messages[i]);
  }
  append(&call->text, "");
  if (result->member_count) keep_members(call, result);
  if (result->node_count) keep_nodes(call, result);
  begin_or_end_receiver(call, result);
  bus_callback_end(call->on);
  if (call->then) call->then(call);
}

static void hear(struct bus_node *node, struct bus_heard *heard,
                 struct wwr_view topic, struct wwr_view bytes) {
  bus_callback_begin(node);
  size_t len = strlen(heard->text);
  snprintf(heard->text + len, sizeof heard->text - len, "%.*s=%.*s|",
           (int)topic.len, (const char *)topic.data, (int)bytes.len,
           (const char *)bytes.data);
  heard->count++;
  bus_callback_end(node);
}

static void on_direct(void *owner, struct wwr_view topic,
                      struct wwr_view bytes) {
  struct bus_node *node = owner;
  hear(node, &node->direct, topic, bytes);
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  struct bus_node *node = owner;
  hear(node, &node->control, topic, bytes);
}

static void on_control_lost(void *owner, const struct wwri_verdict *verdict) {
  struct bus_node *node = owner;
  bus_callback_begin(node);
  if (!fx.verdicts_expected) bus_breach("control lost %d", (int)verdict->kind);
  node->control_lost++;
  bus_callback_end(node);
}

static void on_health(void *owner, enum wwri_bus_health health) {
  struct bus_node *node = owner;
  (void)health;
  bus_callback_begin(node);
  bus_callback_end(node);
}

/* Only those that need it have a subject that sets it. */
const struct wwri_bus_events bus_events = {.direct = on_direct,
                                           .control = on_control,
                                           .control_lost = on_control_lost,
                                           .health = on_health};

/* --- life --- */

static void open_node(unsigned index,
                      void (*change)(struct wwri_bus_config *config)) {
  static const char *const addresses[BUS_NODES] = {"first:1", "second:2",
                                                   "third:3"};
  struct bus_node *n = &fx.nodes[index];
  *n = (struct bus_node){.index = index};
  wwri_bus_config_default(&n->config);
  n->config.events = &bus_events;
  n->config.owner = n;
  n->config.fingerprint = "message-buffer=65536\n";
  n->config.address = addresses[index];
  if (change) change(&n->config);
  CU_ASSERT_EQUAL_FATAL(fx.subject->start(n), WWR_OK);
}

static bool is_ready(void *arg) {
  struct bus_node *n = arg;
  struct wwri_bus_state state;
  n->bus->ops->state(n->bus, &state);
  return state.health == WWRI_BUS_READY;
}

static void init_lock(void) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&fx.lock, NULL);
  pthread_cond_init(&fx.changed, &attr);
  pthread_condattr_destroy(&attr);
}

void bus_fixture_open(const struct bus_subject *subject,
                      void (*change)(struct wwri_bus_config *config)) {
  memset(&fx, 0, sizeof fx);
  fx.subject = subject;
  wwri_list_init(&fx.calls);
  wwri_list_init(&fx.receivers);
  init_lock();
  for (unsigned i = 0; i < subject->nodes; i++) open_node(i, change);
  for (unsigned i = 0; i < subject->nodes; i++) {
    CU_ASSERT_TRUE_FATAL(bus_until(is_ready, &fx.nodes[i]));
  }
}

static void free_records(void) {
  struct wwri_list *item;
  while ((item = wwri_list_pop(&fx.calls))) {
    struct bus_call *call = WWRI_CONTAINER(item, struct bus_call, node);
    CU_ASSERT_EQUAL(call->done, call->refused ? 0 : 1);
    bus_forget(&call->history);
    free(call->text);
    free(call);
  }
  while ((item = wwri_list_pop(&fx.receivers))) {
    struct bus_receiver *r = WWRI_CONTAINER(item, struct bus_receiver, node);
    bus_forget(&r->got);
    free(r);
  }
}

void bus_close_node(struct bus_node *n) {
  if (!n->closed) fx.subject->close(n);
  n->closed = true;
}

void bus_fixture_close(void) {
  for (unsigned i = 0; i < fx.subject->nodes; i++) {
    bus_close_node(&fx.nodes[i]);
    fx.subject->free(&fx.nodes[i]);
  }
  if (fx.breach[0]) printf("breach: %s\n", fx.breach);
  CU_ASSERT_STRING_EQUAL(fx.breach, "");
  free_records();
  pthread_cond_destroy(&fx.changed);
  pthread_mutex_destroy(&fx.lock);
}

void bus_fixture_reopen(void (*change)(struct wwri_bus_config *config)) {
  const struct bus_subject *subject = fx.subject;
  bus_fixture_close();
  bus_fixture_open(subject, change);
}

struct bus_node *node(unsigned index) {
  return &fx.nodes[index % fx.subject->nodes];
}

/* --- waiting --- */

static void add_ms(struct timespec *at, long ms) {
  at->tv_sec += ms / 1000;
  at->tv_nsec += ms % 1000 * 1000000;
  if (at->tv_nsec >= 1000000000) {
    at->tv_sec++;
    at->tv_nsec -= 1000000000;
  }
}

/* Looks again every few milliseconds for what no callback tells. */
bool bus_until(bool (*condition)(void *arg), void *arg) {
  enum { LOOK_MS = 5 };
  bool met = false;
  pthread_mutex_lock(&fx.lock);
  for (int waited = 0; !(met = condition(arg)) && waited < BUS_WAIT_MS;) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    add_ms(&at, LOOK_MS);
    if (pthread_cond_timedwait(&fx.changed, &fx.lock, &at)) waited += LOOK_MS;
  }
  pthread_mutex_unlock(&fx.lock);
  return met;
}

struct thread_arg {
  void (*fn)(unsigned index);
  unsigned index;
};

static void *thread_main(void *arg) {
  struct thread_arg *thread = arg;
  thread->fn(thread->index);
  return NULL;
}

void bus_threads(unsigned count, void (*fn)(unsigned index)) {
  enum { MOST = 16 };
  pthread_t threads[MOST];
  struct thread_arg args[MOST];
  CU_ASSERT_TRUE_FATAL(count <= MOST);
  for (unsigned i = 0; i < count; i++) {
    args[i] = (struct thread_arg){fn, i};
    int failed = pthread_create(&threads[i], NULL, thread_main, &args[i]);
    CU_ASSERT_EQUAL_FATAL(failed, 0);
  }
  for (unsigned i = 0; i < count; i++) pthread_join(threads[i], NULL);
}
