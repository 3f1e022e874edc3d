/* node.c - the pair of links and its beat.
 *
 * The happy path: the command link comes up and says hello, the subscriber link
 * comes up and takes the node's own channel; a beat goes out on the one and is
 * heard on the other: the pair is live, and stays so as long as beats come
 * back.
 *
 * What can go wrong: a link drops: the pair is lost, and live again only when a
 * beat sent after both are back is heard. The two ended at different servers,
 * or at one whose replication id changed: both are reconnected. No beat heard
 * for 1.5 s: audit; for 3 s: reconnect both. We slept past our lease, or the
 * server says that we were silent too long: a new boot id. */
#include "node_impl.h"

#include <string.h>

void wwri_node_config_default(struct wwri_node_config *config) {
  *config = (struct wwri_node_config){.beat_ms = 1000,
                                      .suspect_ms = 1500,
                                      .dead_ms = 3000,
                                      .lease_ms = 30000,
                                      .audit_ms = 5000,
                                      .audit_soon_ms = 1000,
                                      .touch_ms = 150000,
                                      .reads = 8};
  wwri_channel_config_default(&config->channel);
  wwri_publish_config_default(&config->publish);
}

void wwri_node_init(struct wwri_node *node,
                    const struct wwri_node_config *config,
                    struct wwri_boot boot, void *user, uint64_t now_ms) {
  *node = (struct wwri_node){
      .config = *config, .user = user, .boot = boot, .run_ms = now_ms};
  node->config.channel.rules = config->rules;
  node->config.publish.rules = config->rules;
  node->touch_at_ms = now_ms + config->touch_ms;
  wwri_map_init(&node->by_name);
  wwri_timers_init(&node->timers);
  wwri_list_init(&node->channels);
  wwri_list_init(&node->todo);
  wwri_list_init(&node->read_queue);
  wwri_list_init(&node->tops);
  wwri_list_init(&node->ops);
  wwri_publisher_init(&node->publisher, &node->config.publish, boot, node);
}

static void tell(struct wwri_node *node, enum wwri_node_event event) {
  node->config.out->event(node, event);
}

/* --- links --- */

static void lose_pair(struct wwri_node *node, bool sub_link, uint64_t now_ms) {
  bool was_live = node->live;
  node->live = node->suspect = false;
  node->pair_beat = 0;
  wwri_node_channels_lost(node, sub_link, now_ms);
  if (was_live) tell(node, WWRI_NODE_DOWN);
}

void wwri_node_link_down(struct wwri_node *node, enum wwri_link link,
                         uint64_t now_ms) {
  if (link == WWRI_LINK_COMMAND) {
    node->command_up = node->hello_done = false;
    node->beat_in_flight = false;
    lose_pair(node, false, now_ms);
    wwri_node_drop_calls(node, now_ms);
    wwri_publisher_link_down(&node->publisher);
  } else {
    node->subscriber_up = node->own_confirmed = node->own_op = false;
    while (wwri_list_pop(&node->ops)) continue;
    lose_pair(node, true, now_ms);
  }
}

static void reconnect(struct wwri_node *node, enum wwri_link link,
                      uint64_t now_ms) {
  wwri_node_link_down(node, link, now_ms);
  node->config.out->reconnect(node, link);
}

void wwri_node_reconnect(struct wwri_node *node, uint64_t now_ms) {
  node->stats.reconnects++;
  reconnect(node, WWRI_LINK_COMMAND, now_ms);
  if (node->config.rules.no_pair) return;
  reconnect(node, WWRI_LINK_SUBSCRIBER, now_ms);
}

void wwri_node_hello(struct wwri_node *node) {
  struct wwri_call call = {.kind = WWRI_CALL_HELLO, .boot = node->boot};
  wwri_node_send(node, &call, NULL);
}

static bool same_server(const struct wwri_server_id *a,
                        const struct wwri_server_id *b) {
  return strcmp(a->replid, b->replid) == 0;
}

static void become_live(struct wwri_node *node, uint64_t now_ms) {
  node->live = true;
  node->audit_at_ms = now_ms + node->config.audit_soon_ms;
  wwri_node_channels_live(node);
  tell(node, WWRI_NODE_LIVE);
}

/* Both links are ready: the next beat that comes back makes them a pair. */
static void check_pair(struct wwri_node *node, uint64_t now_ms) {
  if (!node->hello_done || !node->subscriber_up) return;
  if (node->config.rules.no_pair) {
    if (!node->live) become_live(node, now_ms);
    return;
  }
  if (!same_server(&node->command_server, &node->subscriber_server)) {
    wwri_node_reconnect(node, now_ms);
    return;
  }
  if (!node->own_confirmed || node->pair_beat) return;
  node->pair_beat = node->beat_n + 1;
  node->beat_sent_ms = 0; /* now */
}

void wwri_node_link_up(struct wwri_node *node, enum wwri_link link,
                       const struct wwri_server_id *server, uint64_t now_ms) {
  node->heard_ms = now_ms;
  if (link == WWRI_LINK_COMMAND) {
    node->command_up = true;
    node->beat_in_flight = false;
    wwri_node_hello(node);
    return;
  }
  if (!server->master && !node->config.rules.no_pair) {
    reconnect(node, link, now_ms);
    return;
  }
  node->subscriber_up = true;
  node->subscriber_server = *server;
  node->own_op = true;
  node->config.out->subscribe(node, NULL, true);
  struct wwri_list *at = node->channels.next;
  for (; at != &node->channels; at = at->next) {
    wwri_node_touch(node, WWRI_CONTAINER(at, struct wwri_node_channel, all));
  }
  check_pair(node, now_ms);
}

void wwri_node_confirmed(struct wwri_node *node) {
  if (node->own_op) {
    node->own_op = false;
    node->own_confirmed = true;
    check_pair(node, node->run_ms);
    return;
  }
  struct wwri_list *at = wwri_list_pop(&node->ops);
  if (!at) return;
  struct wwri_node_channel *channel =
      WWRI_CONTAINER(at, struct wwri_node_channel, op);
  wwri_channel_confirmed(&channel->base);
  wwri_node_touch(node, channel);
}

/* --- hello and beats --- */

static void reboot(struct wwri_node *node, uint64_t now_ms) {
  node->stats.fenced++;
  node->boot = node->config.out->new_boot(node);
  node->beat_n = 0;
  wwri_publisher_reboot(&node->publisher, node->boot);
  tell(node, WWRI_NODE_FENCED);
  wwri_node_reconnect(node, now_ms); /* the own channel's name changed */
}

static void learn_generation(struct wwri_node *node,
                             const struct wwri_reply *reply) {
  uint64_t before = node->generation;
  uint64_t born = node->born;
  node->generation = reply->generation;
  node->born = reply->born;
  if (before == 0 || before == reply->generation) return;
  node->stats.generations++;
  tell(node, WWRI_NODE_UNCERTAIN);
  if (born != reply->born) tell(node, WWRI_NODE_DATA_LOST);
}

static void hello_answered(struct wwri_node *node,
                           const struct wwri_reply *reply, uint64_t now_ms) {
  if (reply->status == WWRI_REPLY_DISAGREE) tell(node, WWRI_NODE_REFUSED);
  if (reply->status != WWRI_REPLY_OK || !reply->server.master) {
    wwri_node_reconnect(node, now_ms);
    return;
  }
  node->command_server = reply->server;
  node->hello_done = true;
  node->beat_sent_ms = 0;
  learn_generation(node, reply);
  wwri_publisher_link_up(&node->publisher, node->generation);
  check_pair(node, now_ms);
}

static void beat_answered(struct wwri_node *node,
                          const struct wwri_reply *reply, uint64_t now_ms) {
  node->beat_in_flight = false;
  if (reply->status == WWRI_REPLY_FENCED || reply->status == WWRI_REPLY_CLONE) {
    reboot(node, now_ms);
    return;
  }
  if (reply->status == WWRI_REPLY_REFUSED) return; /* silence tells */
  if (node->config.rules.no_pair) node->heard_ms = now_ms;
  if (reply->status != WWRI_REPLY_OK ||
      !same_server(&reply->server, &node->command_server) ||
      reply->generation != node->generation) {
    wwri_node_reconnect(node, now_ms);
    return;
  }
  wwri_publisher_verified(&node->publisher, node->generation,
                          node->beat_sent_ms);
}

void wwri_node_heard(struct wwri_node *node, struct wwri_boot boot, uint64_t n,
                     uint64_t generation, uint64_t now_ms) {
  if (!wwri_boot_equal(boot, node->boot) || generation != node->generation) {
    return;
  }
  if (!node->hello_done || !node->subscriber_up) return;
  if (node->pair_beat == 0 || n < node->pair_beat) return;
  node->heard_ms = now_ms;
  node->suspect = false;
  node->stats.beats++;
  if (!node->live) become_live(node, now_ms);
}

void wwri_node_reply(struct wwri_node *node, const struct wwri_reply *reply,
                     uint64_t now_ms) {
  if (node->call_count == 0) return; /* an answer to nothing */
  struct wwri_call_slot slot = node->calls[node->call_first];
  node->call_first = (node->call_first + 1) % WWRI_CALLS_MAX;
  node->call_count--;
  if (slot.kind == WWRI_CALL_HELLO) {
    hello_answered(node, reply, now_ms);
  } else if (slot.kind == WWRI_CALL_BEAT) {
    beat_answered(node, reply, now_ms);
  } else {
    wwri_node_work_reply(node, &slot, reply, now_ms);
    if (reply->status == WWRI_REPLY_NOT_MASTER) {
      wwri_node_reconnect(node, now_ms);
    } else if (reply->status == WWRI_REPLY_NO_GENERATION) {
      wwri_node_hello(node);
    }
  }
}

/* --- time --- */

static void beat(struct wwri_node *node, uint64_t now_ms) {
  if (!node->hello_done || node->beat_in_flight) return;
  if (node->beat_sent_ms &&
      now_ms < node->beat_sent_ms + node->config.beat_ms) {
    return;
  }
  struct wwri_call call = {
      .kind = WWRI_CALL_BEAT, .boot = node->boot, .n = node->beat_n + 1};
  if (!wwri_node_send(node, &call, NULL)) return;
  node->beat_n++;
  node->beat_in_flight = true;
  node->beat_sent_ms = now_ms ? now_ms : 1;
}

static void check_silence(struct wwri_node *node, uint64_t now_ms) {
  if (!node->command_up || !node->subscriber_up) return;
  uint64_t silent = now_ms - node->heard_ms;
  if (silent >= node->config.dead_ms) {
    wwri_node_reconnect(node, now_ms);
  } else if (silent >= node->config.suspect_ms && !node->suspect) {
    node->suspect = true;
    node->audit_at_ms = now_ms;
  }
}

/* Slept past the lease: what waits in the sockets is from another life. The
 * server's answer to the next beat says whether we were missed. */
static void check_sleep(struct wwri_node *node, uint64_t now_ms) {
  uint64_t slept = now_ms - node->run_ms;
  node->run_ms = now_ms;
  if (slept > node->config.lease_ms) wwri_node_reconnect(node, now_ms);
}

void wwri_node_run(struct wwri_node *node, uint64_t now_ms) {
  check_sleep(node, now_ms);
  check_silence(node, now_ms);
  beat(node, now_ms);
  wwri_node_work(node, now_ms);
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t wwri_node_deadline(const struct wwri_node *node) {
  uint64_t at = node->run_ms + node->config.beat_ms;
  uint64_t timer = 0;
  if (wwri_timers_next(&node->timers, &timer)) at = least(at, timer);
  if (node->hello_done && !node->beat_in_flight) {
    at = least(at, node->beat_sent_ms + node->config.beat_ms);
  }
  if (node->publisher.retry_at_ms > node->run_ms) {
    at = least(at, node->publisher.retry_at_ms);
  }
  if (node->live) at = least(at, node->audit_at_ms);
  return at > node->run_ms ? at : node->run_ms + 1;
}
