/* node.c - the link and its beats.
 *
 * The happy path: the link connects and asks for a beat; its answer tells the
 * generation, the link says that it is live, and so are we, until either ends.
 *
 * What can go wrong: the link is lost: calls end, channels are stale, and the
 * next connection begins with a beat again. A beat brings another generation
 * than the one we work with, or a call finds that there is none: the link is
 * dropped, so that everything starts anew in the new one. We slept past our
 * lease: likewise, as what waits in the sockets is from another life. The
 * server says that we were silent too long, or that somebody else beats under
 * our boot id: a new boot id. */
#include "node_impl.h"

/* Publishes that wait are looked at so often, if nothing else happens. */
enum { IDLE_MS = 1000 };

void wwri_node_config_default(struct wwri_node_config *config) {
  *config = (struct wwri_node_config){.lease_ms = 30000,
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
  node->config.channel.total = &node->channel_stats;
  node->config.publish.rules = config->rules;
  node->config.publish.settled = wwri_node_settled;
  node->touch_at_ms = now_ms + config->touch_ms;
  wwri_map_init(&node->by_name);
  wwri_timers_init(&node->timers);
  wwri_list_init(&node->channels);
  wwri_list_init(&node->todo);
  wwri_list_init(&node->read_queue);
  wwri_list_init(&node->tops);
  wwri_list_init(&node->holders);
  wwri_publisher_init(&node->publisher, &node->config.publish, boot, node);
}

static void tell(struct wwri_node *node, enum wwri_node_event event) {
  node->config.out->event(node, event);
}

/* --- the link --- */

static void lose(struct wwri_node *node, uint64_t now_ms) {
  bool was_live = node->live;
  node->live = node->link_live = false;
  node->beating = node->beat_known = false;
  node->beat_done = node->beat_n; /* the others will not be answered */
  wwri_node_channels_lost(node, now_ms);
  wwri_node_drop_calls(node, now_ms);
  wwri_publisher_link_down(&node->publisher);
  if (was_live) tell(node, WWRI_NODE_DOWN);
}

void wwri_node_link_lost(struct wwri_node *node, uint64_t now_ms) {
  node->dropping = false;
  lose(node, now_ms);
}

/* Before the first beat there is nothing to drop: what comes then is asked for
 * on these connections, and that beat will tell. */
static void drop(struct wwri_node *node, const char *why, uint64_t now_ms) {
  if (!node->beating || node->dropping) return;
  node->stats.drops++;
  lose(node, now_ms);
  node->dropping = true;
  node->config.out->drop(node, why);
}

static void check_live(struct wwri_node *node, uint64_t now_ms) {
  if (node->live || !node->link_live || !node->beat_known) return;
  node->live = true;
  node->audit_at_ms = now_ms + node->config.audit_soon_ms;
  wwri_publisher_link_up(&node->publisher, node->generation);
  wwri_node_channels_live(node);
  tell(node, WWRI_NODE_LIVE);
}

void wwri_node_link_live(struct wwri_node *node, bool fresh, uint64_t now_ms) {
  if (node->dropping) return;
  node->link_live = true;
  if (!fresh) node->audit_at_ms = now_ms;
  check_live(node, now_ms);
}

void wwri_node_link_suspect(struct wwri_node *node, uint64_t now_ms) {
  node->audit_at_ms = now_ms;
}

void wwri_node_subscribed(struct wwri_node *node,
                          struct wwri_node_channel *channel) {
  if (node->dropping) return;
  wwri_channel_confirmed(&channel->base);
  wwri_node_touch(node, channel);
}

/* --- beats --- */

void wwri_node_beat(struct wwri_node *node, struct wwri_beat *out,
                    uint64_t now_ms) {
  if (!node->beating && !node->dropping) {
    node->beating = true;
    node->connection++;
  }
  node->beat_n++;
  node->beat_sent_ms[node->beat_n % WWRI_BEATS_MAX] = now_ms;
  *out = (struct wwri_beat){node->boot, node->beat_n, node->connection};
}

static void reboot(struct wwri_node *node, const char *why, uint64_t now_ms) {
  drop(node, why, now_ms);
  node->boot = node->config.out->new_boot(node);
  node->beat_n = node->beat_done = 0;
  wwri_publisher_reboot(&node->publisher, node->boot);
  tell(node, WWRI_NODE_FENCED);
}

static void learn_generation(struct wwri_node *node,
                             const struct wwri_beat_answer *answer) {
  uint64_t before = node->generation;
  uint64_t born = node->born;
  node->beat_known = true;
  node->generation = answer->generation;
  node->born = answer->born;
  if (before == 0 || before == answer->generation) return;
  node->stats.generations++;
  tell(node, WWRI_NODE_UNCERTAIN);
  if (born != answer->born) tell(node, WWRI_NODE_DATA_LOST);
}

/* The generation held when the beat was sent. Beats that were refused may have
 * gone unreported: then this is an earlier one, which errs on the safe side. */
static void verify(struct wwri_node *node) {
  uint64_t n = node->beat_done;
  if (node->beat_n - n >= WWRI_BEATS_MAX) return;
  wwri_publisher_verified(&node->publisher, node->generation,
                          node->beat_sent_ms[n % WWRI_BEATS_MAX]);
}

static void beat_done(struct wwri_node *node,
                      const struct wwri_beat_answer *answer, uint64_t now_ms) {
  if (!node->beat_known) {
    learn_generation(node, answer);
  } else if (answer->generation != node->generation) {
    drop(node, "the generation changed", now_ms);
    return;
  }
  node->server_ms = answer->time_ms;
  node->server_at_ms = now_ms;
  verify(node);
  check_live(node, now_ms);
}

void wwri_node_beat_answered(struct wwri_node *node,
                             const struct wwri_beat_answer *answer,
                             uint64_t now_ms) {
  if (!node->beating || node->beat_done == node->beat_n) return;
  node->beat_done++;
  switch (answer->status) {
    case WWRI_REPLY_OK:
      beat_done(node, answer, now_ms);
      break;
    case WWRI_REPLY_REFUSED:
      break; /* silence tells */
    case WWRI_REPLY_FENCED:
      reboot(node, "we were silent for longer than the lease", now_ms);
      break;
    case WWRI_REPLY_CLONE:
      reboot(node, "another process beats under our boot id", now_ms);
      break;
    case WWRI_REPLY_DISAGREE:
      tell(node, WWRI_NODE_REFUSED);
      drop(node, "our settings disagree with the cluster's", now_ms);
      break;
    default:
      drop(node, "the beat was refused", now_ms);
      break;
  }
}

bool wwri_node_beat_back(struct wwri_node *node, uint64_t generation) {
  if (node->dropping) return false;
  /* The answer may be behind the message: both sockets were readable. */
  if (node->beat_known && generation != node->generation) return false;
  node->stats.beats++;
  return true;
}

/* --- calls --- */

void wwri_node_reply(struct wwri_node *node, const struct wwri_reply *reply,
                     uint64_t now_ms) {
  if (node->call_count == 0) return; /* it was dropped, or is to nothing */
  struct wwri_call_slot slot = node->calls[node->call_first];
  node->call_first = (node->call_first + 1) % WWRI_CALLS_MAX;
  node->call_count--;
  wwri_node_work_reply(node, &slot, reply, now_ms);
  if (reply->status == WWRI_REPLY_NOT_MASTER) {
    drop(node, "no longer the master", now_ms);
  } else if (reply->status == WWRI_REPLY_NO_GENERATION) {
    drop(node, "the generation is missing", now_ms);
  }
}

/* --- time --- */

static void check_sleep(struct wwri_node *node, uint64_t now_ms) {
  uint64_t slept = now_ms - node->run_ms;
  node->run_ms = now_ms;
  if (slept > node->config.lease_ms) {
    drop(node, "this process stood still for longer than the lease", now_ms);
  }
}

void wwri_node_run(struct wwri_node *node, uint64_t now_ms) {
  check_sleep(node, now_ms);
  wwri_node_work(node, now_ms);
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t wwri_node_deadline(const struct wwri_node *node) {
  uint64_t at = node->run_ms + IDLE_MS;
  uint64_t timer = 0;
  if (wwri_timers_next(&node->timers, &timer)) at = least(at, timer);
  at = least(at, wwri_publisher_deadline(&node->publisher));
  at = least(at, wwri_node_held_until(node));
  if (node->live) at = least(at, node->audit_at_ms);
  return at > node->run_ms ? at : node->run_ms + 1;
}
