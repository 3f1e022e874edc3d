/* bus_calls.c - calls of the bus fixture, and waiting for what they bring. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_fixture.h"
#include "bus_impl.h"

/* CUnit's asserts are for one thread; calls are made by many. */
static struct bus_call *call_new(struct bus_node *on) {
  struct bus_call *call = calloc(1, sizeof *call);
  if (!call) abort();
  call->op.done = bus_on_done;
  call->on = on;
  pthread_mutex_lock(&fx.lock);
  wwri_list_append(&fx.calls, &call->node);
  pthread_mutex_unlock(&fx.lock);
  bus_in_call = true;
  return call;
}

static struct bus_call *called(struct bus_call *call, wwr_err err) {
  bus_in_call = false;
  pthread_mutex_lock(&fx.lock);
  call->refused = err;
  if (err && call->done) bus_breach("a refused call ended");
  pthread_mutex_unlock(&fx.lock);
  return call;
}

#define OPS(on) ((on)->bus->ops)

struct bus_receiver *bus_receiver(struct bus_node *on) {
  struct bus_receiver *receiver = calloc(1, sizeof *receiver);
  if (!receiver) abort();
  receiver->sub.deliver = bus_on_deliver;
  receiver->sub.verdict = bus_on_verdict;
  receiver->on = on;
  pthread_mutex_lock(&fx.lock);
  wwri_list_append(&fx.receivers, &receiver->node);
  pthread_mutex_unlock(&fx.lock);
  return receiver;
}

struct bus_call *bus_subscribe(struct bus_receiver *receiver,
                               const char *channel, uint32_t history) {
  struct bus_node *on = receiver->on;
  struct bus_call *call = call_new(on);
  call->begins = receiver;
  return called(call, OPS(on)->subscribe(on->bus, wwr_view_str(channel),
                                         &receiver->sub, history, &call->op));
}

struct bus_call *bus_join(struct bus_receiver *receiver, uint32_t history) {
  struct bus_node *on = receiver->on;
  struct bus_call *call = call_new(on);
  call->joins = receiver;
  return called(call,
                OPS(on)->join(on->bus, &receiver->sub, history, &call->op));
}

struct bus_call *bus_unsubscribe(struct bus_receiver *receiver) {
  struct bus_node *on = receiver->on;
  struct bus_call *call = call_new(on);
  call->ends = receiver;
  return called(call, OPS(on)->unsubscribe(on->bus, &receiver->sub, &call->op));
}

struct bus_call *bus_publish_as(struct bus_node *on, struct wwr_view channel,
                                const struct wwri_bus_publish *what) {
  struct bus_call *call = call_new(on);
  return called(call, OPS(on)->publish(on->bus, channel, what, &call->op));
}

struct bus_call *bus_publish(struct bus_node *on, const char *channel,
                             const char *text) {
  struct wwri_bus_publish what = {.name = wwr_view_str("name"),
                                  .payload = wwr_payload_text(text),
                                  .limit = {1000, 600000}};
  return bus_publish_as(on, wwr_view_str(channel), &what);
}

struct bus_call *bus_history(struct bus_node *on, const char *channel,
                             uint32_t count) {
  struct bus_call *call = call_new(on);
  return called(
      call, OPS(on)->history(on->bus, wwr_view_str(channel), count, &call->op));
}

struct bus_call *bus_history_before(struct bus_node *on, const char *channel,
                                    uint32_t count, struct wwri_logid before) {
  struct bus_call *call = call_new(on);
  call->op.before = before;
  return called(
      call, OPS(on)->history(on->bus, wwr_view_str(channel), count, &call->op));
}

struct bus_call *bus_presence_as(struct bus_node *on, struct wwr_view channel,
                                 const struct wwri_bus_member *member) {
  struct bus_call *call = call_new(on);
  return called(call,
                OPS(on)->presence_set(on->bus, channel, member, &call->op));
}

struct bus_call *bus_presence(struct bus_node *on, const char *channel,
                              const char *member, uint32_t connections) {
  struct wwri_bus_member what = {.member = wwr_view_str(member),
                                 .connections = connections};
  return bus_presence_as(on, wwr_view_str(channel), &what);
}

struct bus_call *bus_members(struct bus_node *on, const char *channel) {
  struct bus_call *call = call_new(on);
  return called(
      call, OPS(on)->presence_list(on->bus, wwr_view_str(channel), &call->op));
}

struct bus_call *bus_subscribers(struct bus_node *on, const char *channel) {
  struct bus_call *call = call_new(on);
  return called(
      call, OPS(on)->subscribers(on->bus, wwr_view_str(channel), &call->op));
}

struct bus_call *bus_nodes(struct bus_node *on) {
  struct bus_call *call = call_new(on);
  return called(call, OPS(on)->nodes(on->bus, &call->op));
}

struct bus_call *bus_send(struct bus_node *on, struct wwri_boot to,
                          struct wwr_view topic, struct wwr_view bytes) {
  struct bus_call *call = call_new(on);
  return called(call, OPS(on)->send(on->bus, to, topic, bytes, &call->op));
}

struct bus_call *bus_control(struct bus_node *on, struct wwr_view topic,
                             struct wwr_view bytes) {
  struct bus_call *call = call_new(on);
  return called(call, OPS(on)->control(on->bus, topic, bytes, &call->op));
}

/* --- waiting --- */

static bool call_is_done(void *arg) {
  return ((struct bus_call *)arg)->done > 0;
}

wwr_err bus_wait(struct bus_call *call) {
  if (call->refused) return call->refused;
  return bus_until(call_is_done, call) ? call->err : WWR_E_TIMEOUT;
}

wwr_err bus_end(struct bus_call *call) {
  wwr_err err = bus_wait(call);
  CU_ASSERT_TRUE(err != WWR_E_TIMEOUT);
  return err;
}

bool bus_ended(struct bus_call *call) {
  pthread_mutex_lock(&fx.lock);
  bool ended = call->done > 0;
  pthread_mutex_unlock(&fx.lock);
  return ended;
}

struct bus_receiver *bus_listen(struct bus_node *on, const char *channel) {
  struct bus_receiver *receiver = bus_receiver(on);
  CU_ASSERT_EQUAL_FATAL(bus_end(bus_subscribe(receiver, channel, 0)), WWR_OK);
  return receiver;
}

size_t bus_count(struct bus_receiver *receiver) {
  pthread_mutex_lock(&fx.lock);
  size_t count = receiver->got.count;
  pthread_mutex_unlock(&fx.lock);
  return count;
}

struct await {
  const void *on;
  size_t count;
};

static bool has_got(void *arg) {
  const struct await *await = arg;
  const struct bus_receiver *receiver = await->on;
  return receiver->got.count >= await->count;
}

bool bus_await(struct bus_receiver *receiver, size_t count) {
  struct await await = {receiver, count};
  bool met = bus_until(has_got, &await);
  if (!met) printf("got %zu of %zu\n", bus_count(receiver), count);
  CU_ASSERT_TRUE(met);
  return met;
}

struct bus_message bus_message(struct bus_receiver *receiver, size_t index) {
  struct bus_message message = {0};
  pthread_mutex_lock(&fx.lock);
  if (index < receiver->got.count) message = *receiver->got.at[index];
  pthread_mutex_unlock(&fx.lock);
  return message;
}

bool bus_same_message(const struct bus_message *a,
                      const struct bus_message *b) {
  return wwri_logid_equal(a->id, b->id) && a->encoding == b->encoding &&
         a->sender.process == b->sender.process &&
         a->sender.conn == b->sender.conn && a->time_ms == b->time_ms &&
         wwr_view_equal(a->name, b->name) && wwr_view_equal(a->data, b->data);
}

/* Under the lock, or of a call that has ended. */
static const char *texts_of(const struct bus_messages *messages) {
  static char text[BUS_TEXT];
  size_t len = 0;
  text[0] = '\0';
  for (size_t i = 0; i < messages->count && len < sizeof text; i++) {
    struct wwr_view data = messages->at[i]->data;
    len += (size_t)snprintf(text + len, sizeof text - len, "%.*s ",
                            (int)data.len, (const char *)data.data);
  }
  return text;
}

const char *bus_texts(struct bus_receiver *receiver) {
  pthread_mutex_lock(&fx.lock);
  const char *text = texts_of(&receiver->got);
  pthread_mutex_unlock(&fx.lock);
  return text;
}

const char *bus_history_texts(const struct bus_call *call) {
  return texts_of(&call->history);
}

static bool has_heard(void *arg) {
  const struct await *await = arg;
  const struct bus_heard *heard = await->on;
  return heard->count >= await->count;
}

static const char *await_heard(struct bus_heard *heard, unsigned count) {
  struct await await = {heard, count};
  bool met = bus_until(has_heard, &await);
  if (!met) printf("heard %u of %u\n", heard->count, count);
  CU_ASSERT_TRUE(met);
  return heard->text;
}

const char *bus_await_direct(struct bus_node *on, unsigned count) {
  return await_heard(&on->direct, count);
}

const char *bus_await_control(struct bus_node *on, unsigned count) {
  return await_heard(&on->control, count);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Ask until the answer is this: other nodes learn of it a moment later, and on
 * a busy machine Redis may seem away. */
static void await_text(struct bus_call *(*ask)(struct bus_node *, const char *),
                       struct bus_node *on, const char *channel,
                       const char *text) {
  enum { ASK_AGAIN_MS = 10 };
  int64_t deadline = now_ms() + BUS_WAIT_MS;
  struct bus_call *call = ask(on, channel);
  while ((bus_end(call) != WWR_OK || strcmp(call->text, text) != 0) &&
         now_ms() < deadline) {
    poll(NULL, 0, ASK_AGAIN_MS);
    call = ask(on, channel);
  }
  CU_ASSERT_EQUAL_FATAL(bus_end(call), WWR_OK);
  if (strcmp(call->text, text) != 0) {
    printf("wanted %s got %s\n", text, call->text);
  }
  CU_ASSERT_STRING_EQUAL(call->text, text);
}

void bus_await_members(struct bus_node *on, const char *channel,
                       const char *text) {
  await_text(bus_members, on, channel, text);
}

static struct bus_call *ask_nodes(struct bus_node *on, const char *unused) {
  (void)unused;
  return bus_nodes(on);
}

void bus_await_nodes(struct bus_node *on, const char *text) {
  await_text(ask_nodes, on, NULL, text);
}

struct wwri_boot bus_boot_of(struct bus_node *on) {
  struct wwri_boot boot = {0};
  CU_ASSERT_EQUAL(on->bus->ops->boots(on->bus, &boot, 1), 1);
  return boot;
}

struct wwri_bus_state bus_state(struct bus_node *on) {
  struct wwri_bus_state state;
  OPS(on)->state(on->bus, &state);
  return state;
}
