#include "member_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"

uint64_t rig_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- what is recorded --- */

static void add(char *text, size_t cap, struct wwr_view more) {
  size_t len = strlen(text);
  snprintf(text + len, cap - len, "%.*s ", (int)more.len,
           more.data ? (const char *)more.data : "");
}

static void on_log(const struct wwr_log_record *record, void *user) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  struct rig_node *node = user;
  pthread_mutex_lock(&node->lock);
  size_t len = strlen(node->log), cap = sizeof node->log;
  snprintf(node->log + len, cap - len, "%s %s", levels[record->level],
           record->message);
  for (size_t i = 0; i < record->field_count; i++) {
    len = strlen(node->log);
    const char *value = record->fields[i].value;
    snprintf(node->log + len, cap - len, " %s=%s", record->fields[i].key,
             value ? value : "-");
  }
  len = strlen(node->log);
  snprintf(node->log + len, cap - len, "\n");
  pthread_mutex_unlock(&node->lock);
}

static void on_control_lost(void *owner, const struct wwri_verdict *verdict) {
  struct rig_node *node = owner;
  (void)verdict;
  pthread_mutex_lock(&node->lock);
  node->lost++;
  pthread_mutex_unlock(&node->lock);
}

static void on_health(void *owner, enum wwri_bus_health health) {
  struct rig_node *node = owner;
  pthread_mutex_lock(&node->lock);
  node->healths[health]++;
  pthread_mutex_unlock(&node->lock);
}

static const struct wwri_bus_events events = {.control_lost = on_control_lost,
                                              .health = on_health};

/* --- life --- */

void rig_init(struct rig_node *node, const struct redis_server *server,
              const char *name) {
  memset(node, 0, sizeof *node);
  pthread_mutex_init(&node->lock, NULL);
  wwri_list_init(&node->calls);
  wwr_cluster_opts_default(&node->opts);
  snprintf(node->url, sizeof node->url, "redis://127.0.0.1:%u", server->port);
  node->opts.url = node->url;
  node->opts.name = name;
  node->opts.hold_ms = 2000;
  node->opts.lease_ms = 4000;
  node->opts.log = (struct wwr_log){on_log, node, WWR_LOG_DEBUG};
}

void rig_open(struct rig_node *node) {
  struct wwri_bus_config config;
  const char *why = NULL;
  wwr_err err = wwr_cluster_new(&node->cluster, &node->opts, &why);
  if (err) printf("\n%s\n", why);
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
  node->bus = wwr_cluster_bus(node->cluster);
  node->member = wwri_cluster_member(node->cluster, 0);
  if (node->watch_ms) node->member->watch_ms = node->watch_ms;
  wwri_bus_config_default(&config);
  config.events = &events;
  config.owner = node;
  config.fingerprint = node->fingerprint;
  config.address = "here:1";
  CU_ASSERT_EQUAL_FATAL(node->bus->ops->open(node->bus, &config, 0), WWR_OK);
}

void rig_join(struct rig_node *node) {
  rig_open(node);
  CU_ASSERT_TRUE_FATAL(rig_wait_health(node, WWRI_BUS_READY));
}

static void free_calls(struct rig_node *node) {
  struct wwri_list *at;
  while ((at = wwri_list_pop(&node->calls))) {
    struct rig_call *call = WWRI_CONTAINER(at, struct rig_call, node);
    CU_ASSERT_EQUAL(call->done, call->refused ? 0 : 1);
    free(call);
  }
}

void rig_close(struct rig_node *node) {
  if (!node->cluster) return;
  node->bus->ops->close(node->bus);
  free_calls(node);
  wwr_cluster_free(node->cluster);
  node->cluster = NULL;
  pthread_mutex_destroy(&node->lock);
}

/* --- waiting --- */

static bool until(bool (*condition)(void *arg), void *arg) {
  for (uint64_t end = rig_now() + RIG_WAIT_MS; rig_now() < end;) {
    if (condition(arg)) return true;
    poll(NULL, 0, 2);
  }
  return condition(arg);
}

struct wanted {
  struct rig_node *node;
  const char *text;
  enum wwri_bus_health health;
};

static bool is_health(void *arg) {
  struct wanted *wanted = arg;
  struct wwri_bus_state state;
  wanted->node->bus->ops->state(wanted->node->bus, &state);
  return state.health == wanted->health;
}

static bool wait_health(struct rig_node *node, enum wwri_bus_health health,
                        bool (*is_so)(void *arg)) {
  struct wanted wanted = {.node = node, .health = health};
  if (until(is_so, &wanted)) return true;
  printf("\n%s\n", node->log);
  return false;
}

bool rig_wait_health(struct rig_node *node, enum wwri_bus_health health) {
  return wait_health(node, health, is_health);
}

static bool turn_and_look(void *arg) {
  struct wanted *wanted = arg;
  wanted->node->bus->ops->load(wanted->node->bus, 0, false);
  return is_health(arg);
}

bool rig_turn_until(struct rig_node *node, enum wwri_bus_health health) {
  return wait_health(node, health, turn_and_look);
}

bool rig_has_log(struct rig_node *node, const char *text) {
  pthread_mutex_lock(&node->lock);
  bool has = strstr(node->log, text) != NULL;
  pthread_mutex_unlock(&node->lock);
  return has;
}

static bool has_log(void *arg) {
  struct wanted *wanted = arg;
  return rig_has_log(wanted->node, wanted->text);
}

bool rig_wait_log(struct rig_node *node, const char *text) {
  struct wanted wanted = {.node = node, .text = text};
  if (until(has_log, &wanted)) return true;
  printf("\nno \"%s\" in:\n%s\n", text, node->log);
  return false;
}

static bool has_reason(void *arg) {
  struct wanted *wanted = arg;
  struct wwri_bus_state state;
  wanted->node->bus->ops->state(wanted->node->bus, &state);
  return strstr(state.reason, wanted->text) != NULL;
}

bool rig_wait_reason(struct rig_node *node, const char *text) {
  struct wanted wanted = {.node = node, .text = text};
  if (until(has_reason, &wanted)) return true;
  printf("\n%s\n", node->log);
  return false;
}

/* --- calls --- */

static void on_done(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  struct rig_call *call = WWRI_CONTAINER(op, struct rig_call, op);
  pthread_mutex_lock(&call->on->lock);
  call->done++;
  call->err = result->err;
  call->certain = result->certain;
  call->id = result->id;
  call->connections = result->connections;
  for (size_t i = 0; i < result->message_count; i++) {
    add(call->text, sizeof call->text, result->messages[i].payload.data);
  }
  for (size_t i = 0; i < result->member_count; i++) {
    char text[300];
    snprintf(text, sizeof text, "%.*s=%u", (int)result->members[i].member.len,
             (const char *)result->members[i].member.data,
             result->members[i].connections);
    add(call->text, sizeof call->text, wwr_view_str(text));
  }
  for (size_t i = 0; i < result->node_count; i++) {
    add(call->text, sizeof call->text, wwr_view_str(result->nodes[i].name));
  }
  pthread_mutex_unlock(&call->on->lock);
}

static struct rig_call *call_new(struct rig_node *on) {
  struct rig_call *call = calloc(1, sizeof *call);
  if (!call) abort();
  call->op.done = on_done;
  call->on = on;
  wwri_list_append(&on->calls, &call->node);
  return call;
}

static void on_deliver(struct wwri_bus_sub *sub,
                       const struct wwri_bus_message *message) {
  struct rig_receiver *it = WWRI_CONTAINER(sub, struct rig_receiver, sub);
  pthread_mutex_lock(&it->on->lock);
  it->count++;
  add(it->text, sizeof it->text, message->payload.data);
  pthread_mutex_unlock(&it->on->lock);
}

static void on_verdict(struct wwri_bus_sub *sub,
                       const struct wwri_verdict *verdict) {
  struct rig_receiver *it = WWRI_CONTAINER(sub, struct rig_receiver, sub);
  pthread_mutex_lock(&it->on->lock);
  it->verdicts[verdict->kind]++;
  pthread_mutex_unlock(&it->on->lock);
}

struct rig_call *rig_subscribe(struct rig_receiver *receiver,
                               struct rig_node *on, const char *channel,
                               uint32_t history) {
  struct rig_call *call = call_new(on);
  memset(receiver, 0, sizeof *receiver);
  receiver->sub.deliver = on_deliver;
  receiver->sub.verdict = on_verdict;
  receiver->on = on;
  call->refused = on->bus->ops->subscribe(on->bus, wwr_view_str(channel),
                                          &receiver->sub, history, &call->op);
  return call;
}

struct rig_call *rig_unsubscribe(struct rig_receiver *receiver) {
  struct rig_node *on = receiver->on;
  struct rig_call *call = call_new(on);
  call->refused = on->bus->ops->unsubscribe(on->bus, &receiver->sub, &call->op);
  return call;
}

struct rig_call *rig_publish(struct rig_node *on, const char *channel,
                             const char *text, bool logged) {
  struct wwri_bus_publish what = {.payload = {WWR_UTF8, wwr_view_str(text)}};
  struct rig_call *call = call_new(on);
  if (logged) what.limit = (struct wwri_log_limit){1000, 600000};
  call->refused =
      on->bus->ops->publish(on->bus, wwr_view_str(channel), &what, &call->op);
  return call;
}

struct rig_call *rig_presence(struct rig_node *on, const char *channel,
                              const char *member, uint32_t connections) {
  const struct wwri_bus_member it = {.member = wwr_view_str(member),
                                     .connections = connections};
  struct rig_call *call = call_new(on);
  call->refused = on->bus->ops->presence_set(on->bus, wwr_view_str(channel),
                                             &it, &call->op);
  return call;
}

struct rig_call *rig_members(struct rig_node *on, const char *channel) {
  struct rig_call *call = call_new(on);
  call->refused =
      on->bus->ops->presence_list(on->bus, wwr_view_str(channel), &call->op);
  return call;
}

struct rig_call *rig_history(struct rig_node *on, const char *channel,
                             uint32_t count) {
  struct rig_call *call = call_new(on);
  call->refused =
      on->bus->ops->history(on->bus, wwr_view_str(channel), count, &call->op);
  return call;
}

struct rig_call *rig_nodes(struct rig_node *on) {
  struct rig_call *call = call_new(on);
  call->refused = on->bus->ops->nodes(on->bus, &call->op);
  return call;
}

struct rig_call *rig_control(struct rig_node *on, const char *topic) {
  struct rig_call *call = call_new(on);
  call->refused = on->bus->ops->control(on->bus, wwr_view_str(topic),
                                        wwr_view_str("x"), &call->op);
  return call;
}

struct rig_call *rig_send(struct rig_node *on, struct wwri_boot to) {
  struct rig_call *call = call_new(on);
  call->refused = on->bus->ops->send(on->bus, to, wwr_view_str("t"),
                                     wwr_view_str("x"), &call->op);
  return call;
}

static bool is_done(void *arg) {
  struct rig_call *call = arg;
  pthread_mutex_lock(&call->on->lock);
  bool done = call->done > 0;
  pthread_mutex_unlock(&call->on->lock);
  return done;
}

wwr_err rig_end(struct rig_call *call) {
  if (call->refused) return call->refused;
  if (until(is_done, call)) return call->err;
  printf("\n%s\n", call->on->log);
  return WWR_E_TIMEOUT;
}

unsigned rig_counter(struct rig_node *on, const unsigned *counter) {
  pthread_mutex_lock(&on->lock);
  unsigned value = *counter;
  pthread_mutex_unlock(&on->lock);
  return value;
}

const char *rig_text(struct rig_receiver *receiver) {
  static char text[RIG_TEXT];
  pthread_mutex_lock(&receiver->on->lock);
  memcpy(text, receiver->text, sizeof text);
  pthread_mutex_unlock(&receiver->on->lock);
  return text;
}

struct counted {
  struct rig_node *on;
  const unsigned *counter;
  unsigned count;
};

static bool is_counted(void *arg) {
  struct counted *it = arg;
  return rig_counter(it->on, it->counter) >= it->count;
}

bool rig_wait_count(struct rig_receiver *receiver, unsigned count) {
  struct counted it = {receiver->on, &receiver->count, count};
  return until(is_counted, &it);
}

bool rig_wait_verdict(struct rig_receiver *receiver,
                      enum wwri_verdict_kind kind) {
  struct counted it = {receiver->on, &receiver->verdicts[kind], 1};
  return until(is_counted, &it);
}

bool rig_wait_lost(struct rig_node *on, unsigned times) {
  struct counted it = {on, &on->lost, times};
  return until(is_counted, &it);
}

/* The question is repeated, since no callback tells of a change elsewhere. */
static bool wait_text(struct rig_call *(*ask)(struct rig_node *on,
                                              const char *channel),
                      struct rig_node *on, const char *channel,
                      const char *text) {
  struct rig_call *call = NULL;
  for (uint64_t end = rig_now() + RIG_WAIT_MS; rig_now() < end;) {
    call = ask(on, channel);
    if (rig_end(call) == WWR_OK && strcmp(call->text, text) == 0) return true;
    poll(NULL, 0, 5);
  }
  printf("\nwanted \"%s\", got \"%s\"\n", text, call ? call->text : "");
  return false;
}

static struct rig_call *ask_nodes(struct rig_node *on, const char *channel) {
  (void)channel;
  return rig_nodes(on);
}

bool rig_wait_nodes(struct rig_node *on, const char *names) {
  return wait_text(ask_nodes, on, "", names);
}

bool rig_wait_members(struct rig_node *on, const char *channel,
                      const char *members) {
  return wait_text(rig_members, on, channel, members);
}

/* --- a thread that stands still --- */

static void stand_still(struct wwri_mail *mail) {
  struct rig_pause *pause = WWRI_CONTAINER(mail, struct rig_pause, mail);
  pthread_mutex_lock(&pause->lock);
  pause->begun = true;
  pthread_cond_broadcast(&pause->changed);
  while (!pause->over) pthread_cond_wait(&pause->changed, &pause->lock);
  pause->begun = false;
  pthread_cond_broadcast(&pause->changed);
  pthread_mutex_unlock(&pause->lock);
}

void rig_stand_still(struct rig_node *node, struct rig_pause *pause) {
  *pause = (struct rig_pause){.mail = {.fn = stand_still}};
  pthread_mutex_init(&pause->lock, NULL);
  pthread_cond_init(&pause->changed, NULL);
  wwri_loop_post(wwri_member_loop(node->member), &pause->mail);
  pthread_mutex_lock(&pause->lock);
  while (!pause->begun) pthread_cond_wait(&pause->changed, &pause->lock);
  pthread_mutex_unlock(&pause->lock);
}

void rig_go_on(struct rig_pause *pause) {
  pthread_mutex_lock(&pause->lock);
  pause->over = true;
  pthread_cond_broadcast(&pause->changed);
  while (pause->begun) pthread_cond_wait(&pause->changed, &pause->lock);
  pthread_mutex_unlock(&pause->lock);
  pthread_cond_destroy(&pause->changed);
  pthread_mutex_destroy(&pause->lock);
}
