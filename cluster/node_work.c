/* node_work.c - which channel gets what of the link, and when.
 *
 * A channel to which something happened is looked at in the next run. Its reads
 * wait in a queue, since at most 8 are under way; questions for its top wait in
 * another, and go out 256 at a time. Calls are answered in order, so a ring of
 * what was asked is all there is to match them. */
#include "node_impl.h"

#include <stdlib.h>
#include <string.h>

static struct wwri_node_channel *of_queue(struct wwri_list *at) {
  return WWRI_CONTAINER(at, struct wwri_node_channel, queue);
}

void wwri_node_touch(struct wwri_node *node,
                     struct wwri_node_channel *channel) {
  wwri_list_remove(&channel->queue);
  wwri_list_append(&node->todo, &channel->queue);
}

static struct wwri_node_channel *of_top(struct wwri_list *at) {
  return WWRI_CONTAINER(at, struct wwri_node_channel, top);
}

static void channel_due(struct wwri_timer *timer) {
  struct wwri_node_channel *channel =
      WWRI_CONTAINER(timer, struct wwri_node_channel, timer);
  wwri_node_touch(channel->owner, channel);
}

static struct wwri_node_channel *channel_new(struct wwri_node *node,
                                             struct wwr_view name) {
  struct wwri_node_channel *channel = malloc(sizeof *channel + name.len);
  if (!channel) return NULL;
  if (wwri_channel_init(&channel->base, &node->config.channel, channel)) {
    free(channel);
    return NULL;
  }
  channel->owner = node;
  channel->name_len = name.len;
  memcpy(channel->name, name.data, name.len);
  wwri_list_init(&channel->queue);
  wwri_list_init(&channel->top);
  wwri_list_init(&channel->held);
  wwri_list_init(&channel->holds);
  wwri_timer_init(&channel->timer, channel_due);
  if (wwri_map_insert(&node->by_name, wwri_name_of(channel), channel)) {
    wwri_channel_deinit(&channel->base);
    free(channel);
    return NULL;
  }
  wwri_list_append(&node->channels, &channel->all);
  channel->base.pair_live = node->live;
  return channel;
}

static void channel_free(struct wwri_node *node,
                         struct wwri_node_channel *channel) {
  wwri_timers_cancel(&node->timers, &channel->timer);
  wwri_map_remove(&node->by_name, wwri_name_of(channel));
  wwri_list_remove(&channel->all);
  wwri_list_remove(&channel->queue);
  wwri_list_remove(&channel->top);
  wwri_channel_deinit(&channel->base);
  free(channel);
}

static struct wwri_node_channel *of_holds(struct wwri_list *at) {
  return WWRI_CONTAINER(at, struct wwri_node_channel, holds);
}

static struct wwri_publish *of_held(struct wwri_list *at) {
  return WWRI_CONTAINER(at, struct wwri_publish, node);
}

/* The oldest that is held, which is no longer then. */
static struct wwri_publish *take_held(struct wwri_node_channel *channel) {
  struct wwri_publish *publish = of_held(wwri_list_pop(&channel->held));
  if (wwri_list_empty(&channel->held)) wwri_list_remove(&channel->holds);
  return publish;
}

void wwri_node_deinit(struct wwri_node *node) {
  while (!wwri_list_empty(&node->holders)) {
    wwri_publisher_expire(&node->publisher,
                          take_held(of_holds(node->holders.next)));
  }
  wwri_publisher_deinit(&node->publisher);
  while (!wwri_list_empty(&node->channels)) {
    struct wwri_list *at = node->channels.next;
    channel_free(node, WWRI_CONTAINER(at, struct wwri_node_channel, all));
  }
  wwri_map_deinit(&node->by_name);
}

struct wwri_node_channel *wwri_node_channel(struct wwri_node *node,
                                            struct wwr_view name, bool create) {
  struct wwri_node_channel *channel = wwri_map_get(&node->by_name, name);
  return channel || !create ? channel : channel_new(node, name);
}

wwr_err wwri_node_join(struct wwri_node *node, struct wwr_view name,
                       struct wwri_join *join) {
  struct wwri_node_channel *channel = wwri_node_channel(node, name, true);
  if (!channel) return WWR_E_NOMEM;
  wwri_channel_join(&channel->base, join);
  wwri_node_touch(node, channel);
  return WWR_OK;
}

void wwri_node_leave(struct wwri_node *node, struct wwr_view name,
                     struct wwri_sub *sub, uint64_t now_ms) {
  struct wwri_node_channel *channel = wwri_node_channel(node, name, false);
  if (!channel) return;
  wwri_channel_leave(&channel->base, sub, now_ms);
  wwri_node_touch(node, channel);
}

void wwri_node_pressure(struct wwri_node *node, struct wwr_view name,
                        bool full) {
  struct wwri_node_channel *channel = wwri_node_channel(node, name, false);
  if (!channel) return;
  wwri_channel_pressure(&channel->base, full);
  wwri_node_touch(node, channel);
}

/* --- publishes that wait until more of the log was read --- */

static void submit_held(struct wwri_node *node,
                        struct wwri_node_channel *channel) {
  struct wwri_list *held = &channel->held;
  while (!wwri_list_empty(held) &&
         wwri_channel_may_publish(&channel->base,
                                  of_held(held->next)->limit.entries)) {
    struct wwri_publish *publish = take_held(channel);
    wwri_ahead_begin(&channel->base.ahead, wwri_publish_size(publish));
    publish->lane = channel;
    wwri_publisher_submit(&node->publisher, publish);
  }
}

static void hold(struct wwri_node *node, struct wwri_node_channel *channel,
                 struct wwri_publish *publish) {
  if (wwri_list_empty(&channel->held)) {
    wwri_list_append(&node->holders, &channel->holds);
  }
  wwri_list_append(&channel->held, &publish->node);
}

static void expire_held(struct wwri_node *node, uint64_t now_ms) {
  struct wwri_list *at = node->holders.next;
  while (at != &node->holders) {
    struct wwri_node_channel *channel = of_holds(at);
    at = at->next;
    while (!wwri_list_empty(&channel->held) &&
           of_held(channel->held.next)->deadline_ms <= now_ms) {
      wwri_publisher_expire(&node->publisher, take_held(channel));
    }
  }
}

uint64_t wwri_node_held_until(const struct wwri_node *node) {
  uint64_t until = UINT64_MAX;
  struct wwri_list *at = node->holders.next;
  for (; at != &node->holders; at = at->next) {
    uint64_t due = of_held(of_holds(at)->held.next)->deadline_ms;
    if (due < until) until = due;
  }
  return until;
}

void wwri_node_settled(struct wwri_publisher *publisher,
                       const struct wwri_publish *publish,
                       struct wwri_logid id) {
  struct wwri_node_channel *channel = publish->lane;
  wwri_ahead_end(&channel->base.ahead, id, wwri_publish_size(publish));
  bool idle = channel->base.phase == WWRI_IDLE;
  if (idle || !wwri_list_empty(&channel->held)) {
    wwri_node_touch(publisher->user, channel);
  }
}

wwr_err wwri_node_publish(struct wwri_node *node, struct wwr_view name,
                          struct wwr_view data, struct wwri_log_limit limit,
                          void *cookie, uint64_t now_ms) {
  struct wwri_node_channel *channel = wwri_node_channel(node, name, false);
  struct wwri_logid hint = {0};
  struct wwri_publish *publish;
  if (channel) hint = wwri_channel_pos(&channel->base).id;
  wwr_err err = wwri_publisher_make(&node->publisher, name, data, limit, hint,
                                    cookie, now_ms, &publish);
  if (err) return err;
  if (!channel || !limit.entries || node->config.rules.no_ahead) {
    wwri_publisher_submit(&node->publisher, publish);
    return WWR_OK;
  }
  err = wwri_ahead_prepare(&channel->base.ahead);
  if (err) {
    wwri_publisher_discard(&node->publisher, publish);
    return err;
  }
  hold(node, channel, publish);
  submit_held(node, channel);
  return WWR_OK;
}

void wwri_node_hint(struct wwri_node *node, struct wwr_view name,
                    const struct wwri_entry *entry) {
  struct wwri_node_channel *channel = wwri_node_channel(node, name, false);
  if (!channel) return;
  enum wwri_phase before = channel->base.phase;
  wwri_channel_hint(&channel->base, entry);
  if (channel->base.phase != before || !wwri_list_empty(&channel->held)) {
    wwri_node_touch(node, channel);
  }
}

/* --- calls --- */

/* False: too many are unanswered, or nobody is there. */
static bool send_call(struct wwri_node *node, struct wwri_call call,
                      struct wwri_node_channel *channel) {
  if (node->call_count == WWRI_CALLS_MAX || !node->live) return false;
  unsigned at = (node->call_first + node->call_count) % WWRI_CALLS_MAX;
  node->calls[at] = (struct wwri_call_slot){call.kind, channel};
  node->call_count++;
  call.boot = node->boot;
  call.connection = node->connection;
  node->config.out->call(node, &call);
  return true;
}

static void fail(struct wwri_node *node, struct wwri_node_channel *channel,
                 uint64_t now_ms) {
  wwri_channel_failed(&channel->base, now_ms);
  wwri_node_touch(node, channel);
}

static void fail_tops(struct wwri_node *node, uint64_t now_ms) {
  for (size_t i = 0; i < node->tops_sent_count; i++) {
    fail(node, node->tops_sent[i], now_ms);
  }
  node->tops_sent_count = 0;
}

void wwri_node_drop_calls(struct wwri_node *node, uint64_t now_ms) {
  for (; node->call_count; node->call_count--) {
    struct wwri_call_slot *slot = &node->calls[node->call_first];
    node->call_first = (node->call_first + 1) % WWRI_CALLS_MAX;
    if (slot->channel) fail(node, slot->channel, now_ms);
  }
  node->reads = 0;
  fail_tops(node, now_ms);
}

static void publish_reply(struct wwri_node *node,
                          const struct wwri_reply *reply, uint64_t now_ms) {
  enum wwri_answer answer = reply->answer;
  if (reply->status == WWRI_REPLY_ERROR) {
    answer = WWRI_ANSWER_ERROR;
  } else if (reply->status == WWRI_REPLY_NOT_MASTER) {
    answer = WWRI_ANSWER_DEMOTED;
  } else if (reply->status != WWRI_REPLY_OK) {
    answer = WWRI_ANSWER_REFUSED;
  }
  wwri_publisher_answer(&node->publisher, answer, reply->pos.id, now_ms);
}

static void tops_reply(struct wwri_node *node, const struct wwri_reply *reply,
                       uint64_t now_ms) {
  if (reply->status != WWRI_REPLY_OK) {
    fail_tops(node, now_ms);
    return;
  }
  for (size_t i = 0; i < node->tops_sent_count; i++) {
    const struct wwri_top *top = &reply->tops[i];
    struct wwri_node_channel *channel = node->tops_sent[i];
    wwri_channel_topped(&channel->base, top->exists ? &top->pos : NULL, now_ms);
    wwri_node_touch(node, channel);
  }
  node->tops_sent_count = 0;
}

void wwri_node_work_reply(struct wwri_node *node,
                          const struct wwri_call_slot *slot,
                          const struct wwri_reply *reply, uint64_t now_ms) {
  struct wwri_node_channel *channel = slot->channel;
  if (slot->kind == WWRI_CALL_PUBLISH) {
    publish_reply(node, reply, now_ms);
    return;
  }
  if (slot->kind == WWRI_CALL_TOPS) {
    tops_reply(node, reply, now_ms);
    return;
  }
  node->reads--;
  if (reply->status != WWRI_REPLY_OK) {
    wwri_channel_failed(&channel->base, now_ms);
  } else if (slot->kind == WWRI_CALL_OPEN) {
    wwri_channel_opened(&channel->base, &reply->pos, reply->entries,
                        reply->count, now_ms);
  } else {
    wwri_channel_ranged(&channel->base, reply->entries, reply->count,
                        reply->more, now_ms);
  }
  wwri_node_touch(node, channel);
}

/* --- the link --- */

void wwri_node_channels_live(struct wwri_node *node) {
  struct wwri_list *at = node->channels.next;
  for (; at != &node->channels; at = at->next) {
    struct wwri_node_channel *channel =
        WWRI_CONTAINER(at, struct wwri_node_channel, all);
    wwri_channel_pair_live(&channel->base);
    wwri_node_touch(node, channel);
  }
}

void wwri_node_channels_lost(struct wwri_node *node, uint64_t now_ms) {
  struct wwri_list *at;
  while ((at = wwri_list_pop(&node->tops))) fail(node, of_top(at), now_ms);
  for (at = node->channels.next; at != &node->channels; at = at->next) {
    struct wwri_node_channel *channel =
        WWRI_CONTAINER(at, struct wwri_node_channel, all);
    wwri_channel_pair_lost(&channel->base);
    wwri_node_touch(node, channel);
  }
}

/* --- sending --- */

static void subscribe(struct wwri_node *node, struct wwri_node_channel *channel,
                      uint64_t now_ms) {
  int wish = wwri_channel_next_sub(&channel->base);
  if (wish == 0) return;
  if (node->config.out->subscribe(node, channel, wish > 0)) return;
  wwri_channel_sub_failed(&channel->base, now_ms);
}

static void read_log(struct wwri_node *node, struct wwri_node_channel *channel,
                     uint64_t now_ms) {
  struct wwri_channel_want want = wwri_channel_next(&channel->base, now_ms);
  if (want.kind == WWRI_CMD_NONE) return;
  if (want.kind == WWRI_CMD_TOP) {
    wwri_list_append(&node->tops, &channel->top);
    return;
  }
  struct wwri_call call = {
      .kind = want.kind == WWRI_CMD_OPEN ? WWRI_CALL_OPEN : WWRI_CALL_RANGE,
      .channel = wwri_name_of(channel),
      .from = want.from,
      .count = want.count};
  if (send_call(node, call, channel)) {
    node->reads++;
  } else {
    fail(node, channel, now_ms);
  }
}

static void look_at(struct wwri_node *node, struct wwri_node_channel *channel,
                    uint64_t now_ms) {
  wwri_channel_run(&channel->base, now_ms);
  submit_held(node, channel);
  subscribe(node, channel, now_ms);
  if (wwri_channel_unused(&channel->base)) {
    channel_free(node, channel);
    return;
  }
  if (node->live && channel->base.in_flight == WWRI_CMD_NONE) {
    wwri_list_append(&node->read_queue, &channel->queue);
  }
  uint64_t due = wwri_channel_deadline(&channel->base);
  if (due > now_ms && due != UINT64_MAX) {
    wwri_timers_set(&node->timers, &channel->timer, due);
  }
}

static void send_tops(struct wwri_node *node, uint64_t now_ms) {
  if (node->tops_sent_count || wwri_list_empty(&node->tops)) return;
  struct wwri_list *at;
  while (node->tops_sent_count < WWRI_TOPS_MAX &&
         (at = wwri_list_pop(&node->tops))) {
    node->tops_sent[node->tops_sent_count++] = of_top(at);
  }
  struct wwri_call call = {.kind = WWRI_CALL_TOPS,
                           .channels = node->tops_sent,
                           .channel_count = node->tops_sent_count,
                           .touch = now_ms >= node->touch_at_ms};
  if (!send_call(node, call, NULL)) fail_tops(node, now_ms);
}

static void audit(struct wwri_node *node, uint64_t now_ms) {
  if (!node->live || now_ms < node->audit_at_ms) return;
  if (now_ms >= node->touch_at_ms + node->config.audit_ms) {
    node->touch_at_ms = now_ms + node->config.touch_ms;
  }
  node->audit_at_ms = now_ms + node->config.audit_ms;
  node->stats.audits++;
  struct wwri_list *at = node->channels.next;
  for (; at != &node->channels; at = at->next) {
    struct wwri_node_channel *channel =
        WWRI_CONTAINER(at, struct wwri_node_channel, all);
    if (!wwri_channel_audit(&channel->base)) continue;
    wwri_list_append(&node->tops, &channel->top);
  }
}

/* What the server's clock showed at that time of ours, or less. Told as an age
 * it would be wrong for a command that is executed late. */
static uint64_t server_time(const struct wwri_node *node, uint64_t at_ms) {
  uint64_t time_ms = node->server_ms + at_ms;
  if (!node->server_ms || time_ms <= node->server_at_ms) return 0;
  return time_ms - node->server_at_ms;
}

static void publish(struct wwri_node *node, uint64_t now_ms) {
  if (!node->live) return;
  while (node->call_count < WWRI_CALLS_MAX / 2 + 64) {
    const struct wwri_publish *publish =
        wwri_publisher_next(&node->publisher, now_ms);
    if (!publish) break;
    struct wwri_call call = {
        .kind = WWRI_CALL_PUBLISH,
        .publish = publish,
        .since_ms = server_time(node, publish->first_sent_ms)};
    send_call(node, call, NULL);
  }
}

void wwri_node_work(struct wwri_node *node, uint64_t now_ms) {
  wwri_timers_run(&node->timers, now_ms);
  wwri_publisher_run(&node->publisher, now_ms);
  expire_held(node, now_ms);
  audit(node, now_ms);
  struct wwri_list todo;
  wwri_list_init(&todo);
  wwri_list_splice(&todo, &node->todo);
  struct wwri_list *at;
  while ((at = wwri_list_pop(&todo))) look_at(node, of_queue(at), now_ms);
  while (node->reads < node->config.reads &&
         (at = wwri_list_pop(&node->read_queue))) {
    read_log(node, of_queue(at), now_ms);
  }
  send_tops(node, now_ms);
  publish(node, now_ms);
}
