/* member_channel.c - channels between the core and the link: subscriptions and
 * what arrives on them, what the core delivers and to whom, the control
 * channel, the direct one.
 *
 * What can go wrong: a message that is none of ours: it is counted and dropped,
 * and if it stood for a log entry, the log will show it. A subscription that
 * the server does not permit: its receivers hear it. */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "member_impl.h"

enum { CONTROL_ENTRIES = 1000, CONTROL_AGE_MS = 600000 };

static struct wwr_view control_name(void) {
  return wwr_view_str("!ctl");
}

/* A channel that the link is to have. */
struct link_channel {
  struct wwri_list node;
  struct wwri_member *member;
  struct wwri_redis_sub *sub;
  struct wwri_node_channel *channel;
};

static struct wwr_view name_of(const struct wwri_node_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/* --- what the link brings --- */

static void on_subscribed(void *user) {
  struct link_channel *it = user;
  wwri_member_enter(it->member);
  wwri_node_subscribed(&it->member->node, it->channel);
}

/* The core hears that the link was lost. */
static void on_lost(void *user) {
  (void)user;
}

static void on_refused(struct wwr_view why, void *user) {
  struct link_channel *it = user;
  struct wwri_list *subs = &it->channel->base.subs;
  wwri_member_complain(it->member, "redis refuses a subscription", why);
  for (struct wwri_list *at = subs->next; at != subs;) {
    struct wwri_sub *sub = WWRI_CONTAINER(at, struct wwri_sub, node);
    struct member_sub *its = WWRI_CONTAINER(sub, struct member_sub, base);
    at = at->next;
    its->refused(its);
  }
}

static void on_message(struct wwr_view payload, void *user) {
  struct link_channel *it = user;
  struct wwri_entry entry;
  (void)wwri_member_enter(it->member);
  if (wwri_read_hint(payload, &entry)) {
    wwri_node_hint(&it->member->node, name_of(it->channel), &entry);
  } else {
    wwri_member_complain(it->member, "a message of an unknown shape",
                         name_of(it->channel));
  }
}

static const struct wwri_redis_sub_hooks hooks = {on_subscribed, on_lost,
                                                  on_refused, on_message};

static bool want(struct wwri_member *member,
                 struct wwri_node_channel *channel) {
  char key[WWRI_KEY_NAME_MAX];
  struct link_channel *it = calloc(1, sizeof *it);
  if (!it) return false;
  it->member = member;
  it->channel = channel;
  if (wwri_map_insert(&member->channels, name_of(channel), it)) {
    free(it);
    return false;
  }
  if (wwri_redis_subscribe(member->link, &it->sub,
                           wwri_member_key(member, key, "c", name_of(channel)),
                           &hooks, it)) {
    wwri_map_remove(&member->channels, name_of(channel));
    free(it);
    return false;
  }
  wwri_list_append(&member->channel_list, &it->node);
  return true;
}

bool wwri_member_subscribe(struct wwri_node *node,
                           struct wwri_node_channel *channel, bool on) {
  struct wwri_member *member = wwri_member_of_node(node);
  if (on) return want(member, channel);
  struct link_channel *it =
      wwri_map_remove(&member->channels, name_of(channel));
  if (!it) return true;
  wwri_redis_unsubscribe(member->link, it->sub);
  wwri_list_remove(&it->node);
  free(it);
  return true;
}

/* --- what the core says --- */

static struct member_sub *sub_of(struct wwri_sub *sub) {
  return WWRI_CONTAINER(sub, struct member_sub, base);
}

static void deliver(struct wwri_channel *channel, struct wwri_sub *sub,
                    const struct wwri_entry *entry) {
  (void)channel;
  sub_of(sub)->deliver(sub_of(sub), entry);
}

static void joined(struct wwri_channel *channel, struct wwri_join *join,
                   struct wwri_logid from, const struct wwri_entry *history,
                   size_t count) {
  struct member_join *it = WWRI_CONTAINER(join, struct member_join, base);
  (void)channel;
  it->joined(it, from, history, count);
}

static void verdict(struct wwri_channel *channel,
                    const struct wwri_verdict *what) {
  struct wwri_list *at = channel->subs.next;
  for (; at != &channel->subs; at = at->next) {
    struct member_sub *sub = sub_of(WWRI_CONTAINER(at, struct wwri_sub, node));
    sub->verdict(sub, what);
  }
}

const struct wwri_channel_sink wwri_member_sink = {deliver, joined, verdict};

void wwri_member_published(struct wwri_publisher *publisher, void *cookie,
                           enum wwri_outcome outcome, struct wwri_logid id) {
  struct wwri_member_publish *publish = cookie;
  (void)publisher;
  publish->done(publish, outcome, id);
}

void wwri_member_lost_message(struct wwri_publisher *publisher,
                              struct wwr_view name,
                              const struct wwri_pos *pos) {
  const struct wwri_verdict lost = {
      .kind = WWRI_LOST, .from = pos->id, .to = pos->id, .count = 1};
  struct wwri_node *node = publisher->user;
  struct wwri_node_channel *channel = wwri_node_channel(node, name, false);
  char id[WWRI_LOGID_TEXT_MAX], text[WWRI_CHANNEL_MAX + 1];
  size_t len = name.len < sizeof text ? name.len : sizeof text - 1;
  memcpy(text, name.data, len);
  text[len] = '\0';
  wwri_write_logid(pos->id, id);
  wwri_log(&wwri_member_of_node(node)->opts.log, WWR_LOG_WARN, 0,
           "an acknowledged message is lost", "channel", text, "id", id, NULL);
  if (channel) verdict(&channel->base, &lost);
}

/* --- control: a logged channel of all nodes --- */

struct told {
  struct wwri_envelope envelope;
  bool direct;
};

static void tell(struct wwri_member_user *user, void *arg) {
  const struct told *it = arg;
  void (*fn)(struct wwri_member_user *, struct wwr_view, struct wwr_view) =
      it->direct ? user->direct : user->control;
  if (fn) fn(user, it->envelope.name, it->envelope.payload.data);
}

static void tell_all(struct wwri_member *member, struct wwr_view bytes,
                     bool direct) {
  struct told it = {.direct = direct};
  if (wwri_envelope_decode(bytes, &it.envelope) || !it.envelope.internal) {
    wwri_member_complain(member, "a message between nodes can't be read",
                         wwr_view_str(direct ? "direct" : "control"));
    return;
  }
  wwri_member_each(member, tell, &it);
}

static struct wwri_member *of_control(struct member_sub *sub) {
  return WWRI_CONTAINER(sub, struct wwri_member, control_sub);
}

static void control_deliver(struct member_sub *sub,
                            const struct wwri_entry *entry) {
  tell_all(of_control(sub), entry->data, false);
}

static void control_verdict(struct member_sub *sub,
                            const struct wwri_verdict *what) {
  wwri_member_control_lost(of_control(sub), what);
}

static void control_refused(struct member_sub *sub) {
  (void)sub; /* it was logged, and is tried again with the next connection */
}

static void control_joined(struct member_join *join, struct wwri_logid from,
                           const struct wwri_entry *history, size_t count) {
  struct wwri_member *member =
      WWRI_CONTAINER(join, struct wwri_member, control_join);
  (void)from, (void)history, (void)count;
  member->in_control = true;
  wwri_member_announce(member);
}

wwr_err wwri_member_channels_init(struct wwri_member *member) {
  wwri_map_init(&member->channels);
  wwri_list_init(&member->channel_list);
  member->control_sub = (struct member_sub){.deliver = control_deliver,
                                            .verdict = control_verdict,
                                            .refused = control_refused};
  member->control_join = (struct member_join){.joined = control_joined};
  member->control_join.base.sub = &member->control_sub.base;
  wwri_list_init(&member->control_sub.base.node);
  wwri_list_init(&member->control_join.base.node);
  return wwri_node_join(&member->node, control_name(),
                        &member->control_join.base);
}

void wwri_member_channels_deinit(struct wwri_member *member) {
  struct wwri_list *at;
  if (!member->channel_list.next) return; /* never initialised */
  while ((at = wwri_list_pop(&member->channel_list))) {
    free(WWRI_CONTAINER(at, struct link_channel, node));
  }
  wwri_map_deinit(&member->channels);
}

wwr_err wwri_member_encode(struct wwri_buf *out, struct wwr_view topic,
                           struct wwr_view bytes) {
  const struct wwri_envelope envelope = {.internal = true,
                                         .time_ms = wwri_member_unix_now(),
                                         .name = topic,
                                         .payload = {WWR_BINARY, bytes}};
  wwri_buf_init(out, wwri_envelope_len(&envelope));
  return wwri_envelope_encode(&envelope, out);
}

wwr_err wwri_member_control(struct wwri_member *member, struct wwr_view topic,
                            struct wwr_view bytes,
                            struct wwri_member_publish *publish) {
  static const struct wwri_log_limit limit = {CONTROL_ENTRIES, CONTROL_AGE_MS};
  struct wwri_buf data;
  wwr_err err = wwri_member_encode(&data, topic, bytes);
  if (!err) {
    err = wwri_node_publish(&member->node, control_name(), wwri_buf_view(&data),
                            limit, publish, wwri_member_now());
  }
  wwri_buf_deinit(&data);
  wwri_member_run(member);
  return err;
}

/* --- direct: to this node alone --- */

static void direct_subscribed(void *user) {
  (void)user;
}

static void direct_refused(struct wwr_view why, void *user) {
  wwri_member_complain(user, "redis refuses a subscription", why);
}

static void direct_message(struct wwr_view payload, void *user) {
  wwri_member_enter(user);
  tell_all(user, payload, true);
}

void wwri_member_direct_renew(struct wwri_member *member) {
  static const struct wwri_redis_sub_hooks direct = {
      direct_subscribed, on_lost, direct_refused, direct_message};
  char key[WWRI_KEY_NAME_MAX];
  if (member->direct) wwri_redis_unsubscribe(member->link, member->direct);
  member->direct = NULL;
  /* Without memory: again when it is next live. */
  if (wwri_redis_subscribe(
          member->link, &member->direct,
          wwri_member_key(member, key, "n", wwr_view_str(member->boot_hex)),
          &direct, member)) {
    member->direct = NULL;
  }
}
