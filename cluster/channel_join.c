/* channel_join.c - completing joins, with and without history.
 *
 * A join completes at the channel's own position, never at the log's top: then
 * everything later comes by delivery and nothing needs to be filtered. A
 * history read that ran ahead of our position is cut there; one that we
 * overtook meanwhile is completed from what was delivered since it was
 * issued. */
#include "channel_impl.h"

#include <stdlib.h>

enum { RECENT_MAX = 64 };

void wwri_channel_join(struct wwri_channel *channel, struct wwri_join *join) {
  struct wwri_sub *sub = join->sub;
  bool linked = false;
  struct wwri_list *node = channel->subs.next;
  for (; node != &channel->subs; node = node->next) {
    linked |= node == &sub->node;
  }
  if (!linked) {
    sub->joined = false;
    sub->from = (struct wwri_logid){0};
    wwri_list_append(&channel->subs, &sub->node);
  }
  if (join->history > WWRI_HISTORY_MAX) join->history = WWRI_HISTORY_MAX;
  wwri_list_append(&channel->joins, &join->node);
  if (channel->phase == WWRI_IDLE) channel->phase = WWRI_SUBBING;
  if (channel->phase == WWRI_LINGER) channel->phase = WWRI_LIVE;
}

bool wwri_channel_wants_history(const struct wwri_channel *channel,
                                uint32_t *count) {
  *count = 0;
  const struct wwri_list *node = channel->joins.next;
  for (; node != &channel->joins; node = node->next) {
    const struct wwri_join *join =
        WWRI_CONTAINER(node, const struct wwri_join, node);
    if (join->history > *count) *count = join->history;
  }
  return *count > 0;
}

static bool keeps_recent(const struct wwri_channel *channel) {
  return channel->in_flight == WWRI_CMD_OPEN && channel->asked > 0 &&
         channel->phase == WWRI_LIVE;
}

void wwri_channel_keep_recent(struct wwri_channel *channel,
                              const struct wwri_entry *entry) {
  if (!keeps_recent(channel) || channel->recent_lost) return;
  struct held *held = NULL;
  if (channel->recent_count < RECENT_MAX) held = wwri_held_new(entry, 0);
  if (!held) {
    channel->recent_lost = true;
    return;
  }
  wwri_list_append(&channel->recent, &held->node);
  channel->recent_count++;
}

static void complete(struct wwri_channel *channel, struct wwri_join *join,
                     const struct wwri_entry *history, size_t count) {
  struct wwri_logid from = wwri_channel_pos(channel).id;
  struct wwri_sub *sub = join->sub;
  wwri_list_remove(&join->node);
  if (!sub->joined) {
    sub->joined = true;
    sub->from = from;
  }
  if (count > join->history) {
    history += count - join->history;
    count = join->history;
  }
  channel->config->sink->joined(channel, join, from, history, count);
}

static void complete_up_to(struct wwri_channel *channel, uint32_t history,
                           const struct wwri_entry *entries, size_t count) {
  for (struct wwri_list *node = channel->joins.next; node != &channel->joins;) {
    struct wwri_join *join = WWRI_CONTAINER(node, struct wwri_join, node);
    node = node->next;
    if (join->history <= history) complete(channel, join, entries, count);
  }
}

void wwri_channel_join_plain(struct wwri_channel *channel) {
  complete_up_to(channel, 0, NULL, 0);
}

/* Copies the messages of `history` that are not after our position. */
static size_t take_until(const struct wwri_pos *at,
                         const struct wwri_entry *history, size_t count,
                         struct wwri_entry *out) {
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    if (wwri_logid_compare(history[i].pos.id, at->id) > 0) break;
    if (!history[i].fork) out[taken++] = history[i];
  }
  return taken;
}

static size_t take_recent(struct wwri_channel *channel,
                          const struct wwri_entry *history, size_t count,
                          struct wwri_entry *out) {
  struct wwri_logid top = {0};
  if (count) top = history[count - 1].pos.id;
  size_t taken = 0;
  struct wwri_list *node = channel->recent.next;
  for (; node != &channel->recent; node = node->next) {
    const struct held *held = WWRI_CONTAINER(node, struct held, node);
    if (wwri_logid_compare(held->entry.pos.id, top) > 0) {
      out[taken++] = held->entry;
    }
  }
  return taken;
}

void wwri_channel_join_history(struct wwri_channel *channel,
                               const struct wwri_entry *history, size_t count) {
  if (wwri_list_empty(&channel->joins)) return;
  if (channel->recent_lost) return; /* it is asked for again */
  size_t max = count + channel->recent_count;
  if (max == 0) {
    complete_up_to(channel, channel->asked, NULL, 0);
    return;
  }
  struct wwri_entry *entries = malloc(max * sizeof *entries);
  if (!entries) return;
  const struct wwri_pos *at = wwri_channel_at(channel);
  size_t have = take_until(at, history, count, entries);
  have += take_recent(channel, history, count, entries + have);
  for (size_t i = 0; i < have; i++) {
    wwri_seen_add(&channel->seen, entries[i].pos.boot, entries[i].pos.seq);
  }
  complete_up_to(channel, channel->asked, entries, have);
  free(entries);
}
