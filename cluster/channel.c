/* channel.c - the phases of a channel on one node.
 *
 * The happy path: the first join subscribes; once that is confirmed and the
 * pair is live, OPEN gives the log's top, which is our position; hints then
 * follow it one by one and are delivered.
 *
 * What can go wrong: a hint does not follow (one was lost): the log is read
 * until it does (catchup.c). The link was lost: the position is kept, and
 * compared with the log's top when it is back. A hint that was lost with
 * nothing after it: the audit compares tops. A hint that doesn't fit into the
 * buffer: it is dropped, and the log read once more. */
#include "channel_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void wwri_channel_config_default(struct wwri_channel_config *config) {
  *config = (struct wwri_channel_config){.buffer_messages = 64,
                                         .buffer_bytes = 256 * 1024,
                                         .chunk = 64,
                                         .linger_ms = 5000,
                                         .audit_grace_ms = 200,
                                         .retry_ms = 100};
}

struct held *wwri_held_new(const struct wwri_entry *entry, uint64_t mark) {
  struct held *held = malloc(sizeof *held + entry->data.len);
  if (!held) return NULL;
  held->entry = *entry;
  held->mark = mark;
  if (entry->data.len) memcpy(held->bytes, entry->data.data, entry->data.len);
  held->entry.data.data = held->bytes;
  wwri_list_init(&held->node);
  return held;
}

static void clear(struct wwri_list *list) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(list))) {
    free(WWRI_CONTAINER(node, struct held, node));
  }
}

static void clear_buffer(struct wwri_channel *channel) {
  clear(&channel->buffer);
  channel->buffer_count = channel->buffer_bytes = 0;
}

static void clear_recent(struct wwri_channel *channel) {
  clear(&channel->recent);
  channel->recent_count = 0;
  channel->recent_lost = false;
}

wwr_err wwri_channel_init(struct wwri_channel *channel,
                          const struct wwri_channel_config *config,
                          void *user) {
  *channel = (struct wwri_channel){.config = config, .user = user};
  wwri_list_init(&channel->buffer);
  wwri_list_init(&channel->recent);
  wwri_list_init(&channel->subs);
  wwri_list_init(&channel->joins);
  return wwri_seen_init(&channel->seen);
}

void wwri_channel_deinit(struct wwri_channel *channel) {
  clear_buffer(channel);
  clear_recent(channel);
  while (wwri_list_pop(&channel->subs)) continue;
  while (wwri_list_pop(&channel->joins)) continue;
  wwri_ahead_deinit(&channel->ahead);
  wwri_seen_deinit(&channel->seen);
}

/* --- the position --- */

struct wwri_pos wwri_channel_pos(const struct wwri_channel *channel) {
  if (channel->trail_len == 0) return (struct wwri_pos){0};
  return channel->trail[channel->trail_len - 1].last;
}

void wwri_channel_place(struct wwri_channel *channel,
                        const struct wwri_pos *pos) {
  channel->trail[0] = (struct wwri_trail){pos->id.epoch, *pos};
  channel->trail_len = 1;
  channel->probe = 0;
}

static void move_to(struct wwri_channel *channel, const struct wwri_pos *pos) {
  struct wwri_trail *top = &channel->trail[channel->trail_len - 1];
  if (top->epoch != pos->id.epoch) {
    if (channel->trail_len == WWRI_TRAIL) {
      memmove(channel->trail, channel->trail + 1,
              (WWRI_TRAIL - 1) * sizeof *top);
      channel->trail_len--;
    }
    top = &channel->trail[channel->trail_len++];
    top->epoch = pos->id.epoch;
  }
  top->last = *pos;
}

static void deliver(struct wwri_channel *channel,
                    const struct wwri_entry *entry) {
  WWRI_COUNT(channel, delivered);
  for (struct wwri_list *node = channel->subs.next; node != &channel->subs;) {
    struct wwri_sub *sub = WWRI_CONTAINER(node, struct wwri_sub, node);
    node = node->next;
    if (sub->joined) channel->config->sink->deliver(channel, sub, entry);
  }
}

void wwri_channel_accept(struct wwri_channel *channel,
                         const struct wwri_entry *entry, bool from_log) {
  move_to(channel, &entry->pos);
  if (entry->fork) return;
  if (wwri_seen_has(&channel->seen, entry->pos.boot, entry->pos.seq)) {
    WWRI_COUNT(channel, duplicates);
    return;
  }
  wwri_seen_add(&channel->seen, entry->pos.boot, entry->pos.seq);
  wwri_channel_keep_recent(channel, entry);
  if (from_log) WWRI_COUNT(channel, repaired);
  deliver(channel, entry);
}

static bool follows(const struct wwri_pos *at, const struct wwri_entry *entry) {
  return entry->pos.id.epoch == at->id.epoch &&
         entry->pos.id.offset == at->id.offset + 1;
}

static bool is_behind(const struct wwri_pos *at,
                      const struct wwri_entry *entry) {
  return entry->pos.id.epoch == at->id.epoch &&
         entry->pos.id.offset <= at->id.offset;
}

static void hold(struct wwri_channel *channel, const struct wwri_entry *entry) {
  const struct wwri_channel_config *config = channel->config;
  struct held *held = NULL;
  if (channel->buffer_count < config->buffer_messages &&
      channel->buffer_bytes + entry->data.len <= config->buffer_bytes) {
    held = wwri_held_new(entry, channel->issued);
  }
  if (!held) {
    channel->again = true;
    WWRI_COUNT(channel, overflows);
    return;
  }
  wwri_list_append(&channel->buffer, &held->node);
  channel->buffer_count++;
  channel->buffer_bytes += entry->data.len;
}

void wwri_channel_lag(struct wwri_channel *channel) {
  channel->phase = WWRI_LAGGING;
  channel->probe = channel->trail_len - 1;
  channel->opened = channel->need_open = false;
  channel->suspect_until_ms = 0;
}

/* A hint that came before the read was issued is in what was read, or was
 * trimmed before we came; one that came later follows, or shows that more must
 * be read. */
void wwri_channel_caught_up(struct wwri_channel *channel, uint64_t now_ms) {
  struct wwri_list *node;
  wwri_ahead_reached(&channel->ahead);
  while (!channel->again && (node = wwri_list_pop(&channel->buffer))) {
    struct held *held = WWRI_CONTAINER(node, struct held, node);
    const struct wwri_pos *at = wwri_channel_at(channel);
    bool covered = held->mark < channel->issued;
    if (!covered && follows(at, &held->entry)) {
      wwri_channel_accept(channel, &held->entry, false);
    } else if (!covered && !is_behind(at, &held->entry)) {
      channel->again = true;
    }
    free(held);
  }
  clear_buffer(channel);
  if (channel->again) {
    wwri_channel_lag(channel);
    return;
  }
  bool wanted = !wwri_list_empty(&channel->subs);
  channel->phase = wanted ? WWRI_LIVE : WWRI_LINGER;
  if (!wanted) channel->linger_until_ms = now_ms + channel->config->linger_ms;
}

void wwri_channel_hint(struct wwri_channel *channel,
                       const struct wwri_entry *entry) {
  if (channel->phase == WWRI_IDLE) return;
  if (entry->pos.id.epoch == 0) { /* not logged: at most once, here and now */
    deliver(channel, entry);
    return;
  }
  if (channel->phase != WWRI_LIVE && channel->phase != WWRI_LINGER) {
    hold(channel, entry);
    return;
  }
  const struct wwri_pos *at = wwri_channel_at(channel);
  if (follows(at, entry)) {
    wwri_channel_accept(channel, entry, false);
  } else if (!is_behind(at, entry)) {
    wwri_channel_lag(channel);
    hold(channel, entry);
  }
}

/* --- links --- */

void wwri_channel_pair_live(struct wwri_channel *channel) {
  channel->pair_live = true;
}

static void forget(struct wwri_channel *channel) {
  channel->phase = WWRI_IDLE;
  channel->trail_len = 0;
  wwri_seen_clear(&channel->seen);
  channel->discard = channel->in_flight != WWRI_CMD_NONE;
  channel->again = false;
  clear_buffer(channel);
  clear_recent(channel);
}

void wwri_channel_pair_lost(struct wwri_channel *channel) {
  channel->pair_live = false;
  if (channel->link == WWRI_SUB_ON) channel->link = WWRI_SUB_WANTED;
  channel->discard = channel->in_flight != WWRI_CMD_NONE;
  channel->suspect_until_ms = 0;
  clear_buffer(channel);
  if (channel->phase == WWRI_LINGER || wwri_list_empty(&channel->subs)) {
    forget(channel);
  } else if (channel->trail_len) {
    channel->phase = WWRI_STALE;
  }
}

void wwri_channel_confirmed(struct wwri_channel *channel) {
  if (channel->link == WWRI_SUB_WANTED) channel->link = WWRI_SUB_ON;
}

static bool wanted(const struct wwri_channel *channel) {
  return channel->phase != WWRI_IDLE;
}

int wwri_channel_next_sub(struct wwri_channel *channel) {
  if (channel->link == WWRI_SUB_OFF && wanted(channel)) {
    channel->link = WWRI_SUB_WANTED;
    return 1;
  }
  if (channel->link != WWRI_SUB_OFF && !wanted(channel)) {
    channel->link = WWRI_SUB_OFF;
    return -1;
  }
  return 0;
}

void wwri_channel_sub_failed(struct wwri_channel *channel, uint64_t now_ms) {
  channel->link = WWRI_SUB_OFF;
  channel->retry_at_ms = now_ms + channel->config->retry_ms;
}

/* --- commands --- */

static bool may_ask(const struct wwri_channel *channel, uint64_t now_ms) {
  return channel->pair_live && channel->link == WWRI_SUB_ON &&
         channel->in_flight == WWRI_CMD_NONE && now_ms >= channel->retry_at_ms;
}

static struct wwri_channel_want issue(struct wwri_channel *channel,
                                      struct wwri_channel_want want) {
  channel->in_flight = want.kind;
  channel->discard = false;
  if (want.kind == WWRI_CMD_NONE) return want;
  channel->issued++;
  channel->again = false;
  if (want.kind == WWRI_CMD_OPEN) {
    clear_recent(channel);
    channel->asked = want.count;
  }
  if (want.kind == WWRI_CMD_RANGE) WWRI_COUNT(channel, reads);
  return want;
}

struct wwri_channel_want wwri_channel_next(struct wwri_channel *channel,
                                           uint64_t now_ms) {
  struct wwri_channel_want want = {0};
  if (!may_ask(channel, now_ms)) return want;
  bool history = wwri_channel_wants_history(channel, &want.count);
  switch (channel->phase) {
    case WWRI_SUBBING:
      want.kind = WWRI_CMD_OPEN;
      break;
    case WWRI_LIVE:
      if (history) want.kind = WWRI_CMD_OPEN;
      break;
    case WWRI_STALE:
      want.kind = WWRI_CMD_TOP;
      break;
    case WWRI_LAGGING:
      if (channel->need_open) {
        want.kind = WWRI_CMD_OPEN;
        want.count = 0;
      } else if (!channel->paused) {
        want.kind = WWRI_CMD_RANGE;
        want.from = channel->trail[channel->probe].last.id;
        want.count = channel->config->chunk + 1;
      }
      break;
    default:
      break;
  }
  return issue(channel, want);
}

bool wwri_channel_audit(struct wwri_channel *channel) {
  if (channel->phase != WWRI_LIVE && channel->phase != WWRI_LINGER) {
    return false;
  }
  if (!may_ask(channel, UINT64_MAX)) return false;
  struct wwri_channel_want want = {.kind = WWRI_CMD_TOP};
  issue(channel, want);
  return true;
}

/* True when the answer counts. */
static bool answered(struct wwri_channel *channel) {
  bool good = !channel->discard;
  channel->in_flight = WWRI_CMD_NONE;
  channel->discard = false;
  return good;
}

void wwri_channel_failed(struct wwri_channel *channel, uint64_t now_ms) {
  answered(channel);
  channel->retry_at_ms = now_ms + channel->config->retry_ms;
}

void wwri_channel_opened(struct wwri_channel *channel,
                         const struct wwri_pos *top,
                         const struct wwri_entry *history, size_t count,
                         uint64_t now_ms) {
  if (!answered(channel)) return;
  if (channel->phase == WWRI_SUBBING) {
    wwri_channel_place(channel, top);
    wwri_seen_add_up_to(&channel->seen, top->boot, top->seq);
    for (size_t i = 0; i < count; i++) {
      wwri_seen_add_up_to(&channel->seen, history[i].pos.boot,
                          history[i].pos.seq);
    }
    wwri_channel_join_history(channel, history, count);
    wwri_channel_caught_up(channel, now_ms);
  } else if (channel->phase == WWRI_LAGGING && channel->need_open) {
    channel->need_open = false;
    channel->opened = true;
    channel->suspect_top = *top;
  } else if (channel->phase == WWRI_LIVE) {
    wwri_channel_join_history(channel, history, count);
  }
  clear_recent(channel);
}

void wwri_channel_ranged(struct wwri_channel *channel,
                         const struct wwri_entry *entries, size_t count,
                         bool more, uint64_t now_ms) {
  if (!answered(channel) || channel->phase != WWRI_LAGGING) return;
  wwri_channel_find(channel, entries, count, more, now_ms);
}

static bool mutant_same(const struct wwri_channel *channel,
                        const struct wwri_pos *top) {
  return channel->config->rules.no_log_matching &&
         wwri_logid_compare(top->id, wwri_channel_pos(channel).id) <= 0;
}

/* STALE: the same message at the top means that nothing was missed. LIVE: a
 * difference may be a hint under way, so it gets a little time. */
void wwri_channel_topped(struct wwri_channel *channel,
                         const struct wwri_pos *top, uint64_t now_ms) {
  static const struct wwri_pos nothing = {0};
  if (!answered(channel)) return;
  if (!top) top = &nothing;
  if (channel->phase == WWRI_IDLE || channel->phase == WWRI_SUBBING) return;
  bool same = wwri_pos_equal(top, wwri_channel_at(channel)) ||
              mutant_same(channel, top);
  if (channel->phase == WWRI_STALE) {
    if (same) {
      wwri_channel_caught_up(channel, now_ms);
    } else {
      wwri_channel_lag(channel);
    }
  } else if (channel->phase != WWRI_LAGGING && same) {
    wwri_ahead_reached(&channel->ahead);
  } else if (channel->phase != WWRI_LAGGING && channel->suspect_until_ms == 0) {
    channel->suspect_until_ms = now_ms + channel->config->audit_grace_ms;
    channel->suspect_top = *top;
  }
}

/* --- time and wishes --- */

void wwri_channel_pressure(struct wwri_channel *channel, bool full) {
  channel->paused = full;
}

void wwri_channel_leave(struct wwri_channel *channel, struct wwri_sub *sub,
                        uint64_t now_ms) {
  wwri_list_remove(&sub->node);
  sub->joined = false;
  for (struct wwri_list *node = channel->joins.next; node != &channel->joins;) {
    struct wwri_join *join = WWRI_CONTAINER(node, struct wwri_join, node);
    node = node->next;
    if (join->sub == sub) wwri_list_remove(&join->node);
  }
  if (!wwri_list_empty(&channel->subs)) return;
  if (channel->phase == WWRI_LIVE) {
    channel->phase = WWRI_LINGER;
    channel->linger_until_ms = now_ms + channel->config->linger_ms;
  } else if (channel->phase != WWRI_LINGER) {
    forget(channel);
  }
}

bool wwri_channel_unused(const struct wwri_channel *channel) {
  return channel->phase == WWRI_IDLE && channel->link == WWRI_SUB_OFF &&
         channel->in_flight == WWRI_CMD_NONE && channel->ahead.open == 0;
}

bool wwri_channel_may_publish(struct wwri_channel *channel,
                              uint32_t log_entries) {
  const struct wwri_logid *at =
      channel->trail_len ? &wwri_channel_at(channel)->id : NULL;
  return wwri_ahead_has_room(&channel->ahead, at, log_entries);
}

static void check_suspicion(struct wwri_channel *channel, uint64_t now_ms) {
  if (channel->suspect_until_ms == 0 || now_ms < channel->suspect_until_ms) {
    return;
  }
  const struct wwri_pos *at = wwri_channel_at(channel);
  const struct wwri_pos *top = &channel->suspect_top;
  bool reached = at->id.epoch == top->id.epoch &&
                 (at->id.offset > top->id.offset || wwri_pos_equal(at, top));
  channel->suspect_until_ms = 0;
  if (!reached) wwri_channel_lag(channel);
}

void wwri_channel_run(struct wwri_channel *channel, uint64_t now_ms) {
  /* Once it has passed it must not hide a later deadline. */
  if (now_ms >= channel->retry_at_ms) channel->retry_at_ms = 0;
  if (channel->phase == WWRI_LIVE || channel->phase == WWRI_LAGGING) {
    wwri_channel_join_plain(channel);
  }
  if (channel->phase == WWRI_LIVE || channel->phase == WWRI_LINGER) {
    check_suspicion(channel, now_ms);
  }
  if (channel->phase == WWRI_LINGER && now_ms >= channel->linger_until_ms) {
    forget(channel);
  }
}

uint64_t wwri_channel_deadline(const struct wwri_channel *channel) {
  uint64_t at = UINT64_MAX;
  if (channel->phase == WWRI_LINGER) at = channel->linger_until_ms;
  if (channel->suspect_until_ms && channel->suspect_until_ms < at) {
    at = channel->suspect_until_ms;
  }
  if (channel->retry_at_ms && channel->in_flight == WWRI_CMD_NONE &&
      channel->retry_at_ms < at) {
    at = channel->retry_at_ms;
  }
  return at;
}
