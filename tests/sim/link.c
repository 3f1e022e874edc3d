/* link.c - a node's link: redis/pair.c decides and redis/subs.c keeps the
 * subscriptions, as in redis/link.c; this carries out what they ask for over
 * the network of this world. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static bool is_broken(const struct node *node) {
  return node->world->params.no_pair;
}

static unsigned channel_of(struct wwr_view name) {
  return (unsigned)(name.data[1] - '0');
}

static struct wwr_view name_of(const struct wwri_node_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/* --- what the node asks for --- */

static void fill_publish(struct node *node, struct request *request,
                         const struct wwri_publish *publish) {
  struct call *record =
      oracle_find(&node->world->oracle, publish->boot, publish->seq);
  assert(record);
  request->author = publish->boot;
  request->seq = publish->seq;
  request->channel = record->channel;
  request->from = publish->hint;
  request->retry = publish->retry;
  request->deep = publish->deep;
  request->sure = publish->retry && publish->sure;
  request->data = (struct wwr_view){record->data, sizeof record->data};
}

static void out_call(struct wwri_node *core, const struct wwri_call *call) {
  struct node *node = world_node_of(core);
  struct event event = {.kind = EVENT_REQUEST};
  struct request *request = &event.request;
  *request = (struct request){.kind = call->kind,
                              .boot = call->boot,
                              .connection = call->connection,
                              .from = call->from,
                              .count = call->count,
                              .touch = call->touch,
                              .since_ms = call->since_ms};
  if (call->channel.len) request->channel = channel_of(call->channel);
  for (size_t i = 0; i < call->channel_count; i++) {
    request->channels[request->channel_count++] =
        channel_of(name_of(call->channels[i]));
  }
  if (call->publish) fill_publish(node, request, call->publish);
  node->link.unanswered++;
  net_send(node, WWRI_PAIR_COMMANDS, event);
}

static void on_subscribed(void *user) {
  struct wwri_node_channel *channel = user;
  wwri_node_subscribed(channel->owner, channel);
}

static void on_lost(void *user) {
  (void)user; /* wwri_node_link_lost() says it for all */
}

static void on_refused(struct wwr_view why, void *user) {
  (void)why, (void)user;
  assert(false && "nobody refuses here");
}

static void on_message(struct wwr_view payload, void *user) {
  struct wwri_node_channel *channel = user;
  struct wwri_entry entry;
  assert(payload.len == sizeof entry);
  memcpy(&entry, payload.data, sizeof entry);
  wwri_node_hint(channel->owner, name_of(channel), &entry);
}

static bool out_subscribe(struct wwri_node *core,
                          struct wwri_node_channel *channel, bool on) {
  static const struct wwri_redis_sub_hooks hooks = {on_subscribed, on_lost,
                                                    on_refused, on_message};
  struct node *node = world_node_of(core);
  unsigned index = channel_of(name_of(channel));
  if (on && world_chance(node->world, 5)) return false; /* no memory, say */
  if (!on) {
    wwri_subs_unwant(&node->link.subs, node->link.wanted[index]);
    node->link.wanted[index] = NULL;
    return true;
  }
  wwr_err err = wwri_subs_want(&node->link.subs, &node->link.wanted[index],
                               name_of(channel), &hooks, channel);
  assert(err == WWR_OK);
  return true;
}

static void out_drop(struct wwri_node *core, const char *why) {
  struct node *node = world_node_of(core);
  node->link.drop = why;
  oracle_trace(&node->world->oracle, "node %u drops: %s", node->proc, why);
}

static void out_event(struct wwri_node *core, enum wwri_node_event event) {
  static const char *const names[] = {"live",      "down",   "uncertain",
                                      "data lost", "fenced", "refused"};
  struct node *node = world_node_of(core);
  struct world *world = node->world;
  oracle_trace(&world->oracle, "node %u: %s", node->proc, names[event]);
  sessions_node_event(node, event);
  if (event != WWRI_NODE_UNCERTAIN) return;
  for (unsigned i = 0; i < CHANNELS; i++) {
    struct wwri_verdict verdict = {.kind = WWRI_UNCERTAIN};
    oracle_verdict(&world->oracle, node->proc, i,
                   &world->model.servers[node->link.conns[0].server], &verdict);
  }
}

static struct wwri_boot out_new_boot(struct wwri_node *core) {
  struct node *node = world_node_of(core);
  return (struct wwri_boot){node->proc, ++node->boots};
}

const struct wwri_node_out link_out = {out_call, out_subscribe, out_drop,
                                       out_event, out_new_boot};

/* --- sending --- */

void link_send_step(struct node *node, enum wwri_pair_side side,
                    enum wwri_pair_step step) {
  net_send(node, side, (struct event){.kind = EVENT_STEP, .step = step});
}

void link_send_session(struct node *node,
                       const struct session_request *request) {
  struct event event = {.kind = EVENT_REQUEST};
  event.request = (struct request){.kind = REQUEST_SESSION,
                                   .boot = node->core.boot,
                                   .connection = node->core.connection,
                                   .session = request};
  node->link.unanswered++;
  net_send(node, WWRI_PAIR_COMMANDS, event);
}

void link_send_beat(struct node *node, uint64_t token) {
  struct wwri_beat beat;
  wwri_node_beat(&node->core, &beat, node->world->now_ms);
  struct event event = {.kind = EVENT_REQUEST};
  event.request = (struct request){.kind = REQUEST_BEAT,
                                   .boot = beat.boot,
                                   .n = beat.n,
                                   .connection = beat.connection,
                                   .token = token};
  net_send(node, WWRI_PAIR_COMMANDS, event);
}

/* The next word of a command, "$2\r\nc0\r\n". */
static struct wwr_view next_word(struct wwr_view *text) {
  char *end;
  assert(text->data[0] == '$');
  size_t len = strtoul((const char *)text->data + 1, &end, 10);
  struct wwr_view word = {(const uint8_t *)end + 2, len};
  size_t used = (size_t)(word.data + len + 2 - text->data);
  *text = (struct wwr_view){text->data + used, text->len - used};
  return word;
}

static void send_command(struct node *node, struct wwr_view text) {
  char *end;
  assert(text.data[0] == '*');
  size_t words = strtoul((const char *)text.data + 1, &end, 10);
  size_t used = (size_t)((uint8_t *)end + 2 - text.data);
  text = (struct wwr_view){text.data + used, text.len - used};
  struct wwr_view name = next_word(&text);
  struct event event = {.kind = EVENT_SUBSCRIBE, .on = name.data[0] == 'S'};
  while (--words) {
    event.channel = channel_of(next_word(&text));
    net_send(node, WWRI_PAIR_SUBSCRIBER, event);
  }
}

static void send_subs(struct node *node) {
  struct wwri_buf buf;
  bool sent = true;
  wwri_buf_init(&buf, 4096);
  while (sent) {
    wwri_buf_clear(&buf);
    wwr_err err = wwri_subs_next(&node->link.subs, &buf, &sent);
    assert(err == WWR_OK);
    if (sent) send_command(node, wwri_buf_view(&buf));
  }
  wwri_buf_deinit(&buf);
}

/* --- the pair --- */

static void feed(struct node *node, struct wwri_pair_input input);

static void feed_simple(struct node *node, enum wwri_pair_event event) {
  feed(node, (struct wwri_pair_input){.event = event});
}

static void fault(struct node *node, enum wwri_redis_cause cause) {
  feed(node,
       (struct wwri_pair_input){.event = WWRI_PAIR_FAILED, .cause = cause});
}

static void close_both(struct node *node) {
  wwri_subs_disconnected(&node->link.subs);
  net_close(node, WWRI_PAIR_COMMANDS);
  net_close(node, WWRI_PAIR_SUBSCRIBER);
}

static void resolve(struct node *node) {
  struct world *world = node->world;
  struct event event = {.kind = EVENT_MASTER, .node = node->index};
  event.connection = node->proc;
  world_push(world, world->now_ms + 1 + world_below(world, 20), event);
}

static void go_live(struct node *node, bool fresh) {
  if (fresh) wwri_subs_connected(&node->link.subs);
  wwri_node_link_live(&node->core, fresh, node->world->now_ms);
  wwri_subs_set_live(&node->link.subs, true);
}

static void go_suspect(struct node *node) {
  wwri_subs_set_live(&node->link.subs, false);
  wwri_node_link_suspect(&node->core, node->world->now_ms);
}

static void perform(struct node *node, unsigned acts) {
  const struct wwri_pair *pair = &node->link.pair;
  if (acts & WWRI_ACT_CLOSE) close_both(node);
  if (acts & WWRI_ACT_RESOLVE) resolve(node);
  if (acts & WWRI_ACT_DIAL) {
    net_connect(node, WWRI_PAIR_COMMANDS);
    net_connect(node, WWRI_PAIR_SUBSCRIBER);
  }
  if (acts & WWRI_ACT_STEP_COMMANDS) {
    link_send_step(node, WWRI_PAIR_COMMANDS, pair->side[0].step);
  }
  if (acts & WWRI_ACT_STEP_SUBSCRIBER) {
    link_send_step(node, WWRI_PAIR_SUBSCRIBER, pair->side[1].step);
  }
  if (acts & WWRI_ACT_SUSPECT) go_suspect(node);
  if (acts & WWRI_ACT_BEAT) link_send_beat(node, pair->beat_n);
  if (acts & WWRI_ACT_LIVE) go_live(node, true);
  if (acts & WWRI_ACT_RECOVERED) go_live(node, false);
}

static uint64_t failures(const struct wwri_pair *pair) {
  uint64_t sum = 0;
  for (int i = 0; i < WWRI_CAUSES; i++) sum += pair->failures[i];
  return sum;
}

static void feed(struct node *node, struct wwri_pair_input input) {
  struct wwri_pair *pair = &node->link.pair;
  struct world *world = node->world;
  uint64_t before = failures(pair);
  unsigned acts = wwri_pair_input(pair, &input, world->now_ms);
  bool failed = failures(pair) != before;
  perform(node, acts);
  if (!failed) return;
  node->link.drop = NULL;
  node->link.unanswered = 0;
  oracle_trace(&world->oracle, "node %u: link failed: %s", node->proc,
               wwri_redis_cause_name(pair->cause));
  wwri_node_link_lost(&node->core, world->now_ms);
}

void link_start(struct node *node) {
  struct wwri_pair_opts opts;
  struct link *link = &node->link;
  wwri_pair_opts_default(&opts);
  opts.scripts = true;
  wwri_pair_init(&link->pair, &opts, rng_next(&node->world->rng));
  wwri_pair_set_waiting(&link->pair, true, node->world->now_ms);
  wwri_subs_init(&link->subs, 1000);
  if (is_broken(node)) {
    broken_start(node);
  } else {
    feed_simple(node, WWRI_PAIR_START);
  }
}

void link_end(struct node *node) {
  net_close(node, WWRI_PAIR_COMMANDS);
  net_close(node, WWRI_PAIR_SUBSCRIBER);
  wwri_subs_deinit(&node->link.subs);
}

void link_tick(struct node *node) {
  if (is_broken(node)) {
    broken_tick(node);
  } else if (wwri_pair_due(&node->link.pair) <= node->world->now_ms) {
    feed_simple(node, WWRI_PAIR_TICK);
  }
}

uint64_t link_due(const struct node *node) {
  return is_broken(node) ? broken_due(node) : wwri_pair_due(&node->link.pair);
}

void link_flush(struct node *node) {
  if (node->link.drop && is_broken(node)) {
    broken_drop(node);
  } else if (node->link.drop) {
    fault(node, WWRI_CAUSE_REFUSED);
  }
  send_subs(node);
}

/* --- what arrives --- */

void link_confirmed(struct node *node, const struct event *event) {
  char name[] = {'c', (char)('0' + event->channel), '\0'};
  wwr_err err =
      wwri_subs_confirmed(&node->link.subs, event->on, wwr_view_str(name));
  assert(err == WWR_OK);
}

void link_hint(struct node *node, const struct event *event) {
  char name[] = {'c', (char)('0' + event->channel), '\0'};
  struct wwr_view bytes = {(const uint8_t *)&event->entry, sizeof event->entry};
  wwr_err err = wwri_subs_message(&node->link.subs, wwr_view_str(name), bytes);
  assert(err == WWR_OK);
}

static void beat_answer(struct node *node, const struct answer *answer) {
  enum wwri_status status = answer->reply.status;
  if (status == WWRI_REPLY_CLONE) {
    oracle_fail(&node->world->oracle, "taken for a clone: node %u", node->proc);
  }
  if (status == WWRI_REPLY_NOT_MASTER) {
    fault(node, WWRI_CAUSE_DEMOTED);
  } else if (status != WWRI_REPLY_REFUSED) {
    wwri_node_beat_answered(&node->core, &answer->beat, node->world->now_ms);
  }
}

void link_answered(struct node *node, const struct answer *answer) {
  if (answer->kind == REQUEST_SESSION) {
    sessions_answer(node, answer);
  } else {
    wwri_node_reply(&node->core, &answer->reply, node->world->now_ms);
  }
}

static void call_answer(struct node *node, const struct answer *answer) {
  node->link.unanswered--;
  link_answered(node, answer);
  if (answer->reply.status == WWRI_REPLY_NOT_MASTER) {
    fault(node, WWRI_CAUSE_DEMOTED);
  }
}

static void beat_back(struct node *node, const struct event *event) {
  if (wwri_node_beat_back(&node->core, event->arg)) {
    feed(node, (struct wwri_pair_input){.event = WWRI_PAIR_BEAT_BACK,
                                        .beat = event->request.token});
  } else {
    fault(node, WWRI_CAUSE_REFUSED);
  }
}

static void step_done(struct node *node, const struct event *event) {
  if (!event->on) {
    fault(node, WWRI_CAUSE_UNAVAILABLE);
    return;
  }
  feed(node, (struct wwri_pair_input){.event = WWRI_PAIR_ANSWERED,
                                      .side = event->side,
                                      .info = event->info});
}

void link_event(struct node *node, struct event *event) {
  struct wwri_pair_input opened = {.event = WWRI_PAIR_OPENED,
                                   .side = event->side};
  if (is_broken(node)) {
    broken_event(node, event);
    return;
  }
  switch (event->kind) {
    case EVENT_MASTER:
      feed_simple(node, WWRI_PAIR_MASTER);
      break;
    case EVENT_OPENED:
      feed(node, opened);
      break;
    case EVENT_CLOSED:
      fault(node, WWRI_CAUSE_IO);
      break;
    case EVENT_STEP_DONE:
      step_done(node, event);
      break;
    case EVENT_ANSWER:
      if (event->answer->kind == REQUEST_BEAT) {
        beat_answer(node, event->answer);
      } else {
        call_answer(node, event->answer);
      }
      break;
    case EVENT_CONFIRM:
      link_confirmed(node, event);
      break;
    case EVENT_HINT:
      link_hint(node, event);
      break;
    case EVENT_BEAT_BACK:
      beat_back(node, event);
      break;
    default:
      assert(false && "an event for servers");
  }
}
