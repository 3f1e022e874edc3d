/* keeper_keep.c - the sessions a keeper remembers: where each of them stands
 * and what is next for it. */
#include <stdlib.h>
#include <string.h>

#include "keeper_impl.h"

static struct wwri_keep *of_place(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, place);
}

static struct wwri_keep *of_recent(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, recent);
}

static struct wwri_keep *of_missed(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, missed);
}

struct wwri_keep *wwri_keep_find(const struct wwri_keeper *keeper,
                                 const char *id) {
  struct wwr_view view = {(const uint8_t *)id, WWRI_SESSION_ID_LEN};
  return wwri_map_get(&keeper->by_id, view);
}

static struct wwri_keep *keep_new(struct wwri_keeper *keeper, const char *id,
                                  struct wwr_view key) {
  struct wwri_keep *keep = calloc(1, sizeof *keep + key.len + 1);
  if (!keep) return NULL;
  keep->keeper = keeper;
  memcpy(keep->id, id, WWRI_SESSION_ID_LEN);
  memcpy(keep->key, key.data, key.len);
  keep->key_len = key.len;
  wwri_list_init(&keep->all);
  wwri_list_init(&keep->place);
  wwri_list_init(&keep->recent);
  wwri_list_init(&keep->missed);
  wwri_list_init(&keep->ops);
  return keep;
}

void wwri_keep_forget_miss(struct wwri_keep *keep) {
  if (wwri_list_empty(&keep->missed)) return;
  wwri_list_remove(&keep->missed);
  keep->keeper->missed_count--;
}

void wwri_keep_free(struct wwri_keep *keep) {
  struct wwr_view id = {(const uint8_t *)keep->id, WWRI_SESSION_ID_LEN};
  wwri_keep_set_count(keep, 0);
  keep->keeper->stats.kept--;
  wwri_keep_forget_miss(keep);
  wwri_map_remove(&keep->keeper->by_id, id);
  wwri_list_remove(&keep->all);
  wwri_list_remove(&keep->place);
  wwri_list_remove(&keep->recent);
  wwr_session_unref(keep->session);
  free(keep);
}

static bool is_remembered(const struct wwri_keep *keep) {
  return keep->ghosts || !wwri_list_empty(&keep->recent) ||
         !wwri_list_empty(&keep->missed);
}

/* Room for one more, at the cost of what is only a memory. */
static bool make_room(struct wwri_keeper *keeper) {
  size_t max = keeper->config.max_kept / keeper->config.sharers +
               keeper->open_attaches + keeper->open_others;
  while (keeper->stats.kept >= max) {
    struct wwri_keep *keep = NULL;
    if (!wwri_list_empty(&keeper->missed)) {
      keep = of_missed(keeper->missed.next);
      wwri_keep_forget_miss(keep);
    } else if (!wwri_list_empty(&keeper->recent)) {
      keep = of_recent(keeper->recent.next);
      wwri_list_remove(&keep->recent);
    }
    if (!keep) return false;
    if (!keep->busy) wwri_keep_settle(keep);
  }
  return true;
}

wwr_err wwri_keep_make(struct wwri_keeper *keeper, const char *id,
                       struct wwr_view key, struct wwri_keep **out) {
  *out = wwri_keep_find(keeper, id);
  if (*out) return WWR_OK;
  if (!make_room(keeper)) return WWR_E_LIMIT;
  struct wwri_keep *keep = keep_new(keeper, id, key);
  if (!keep) return WWR_E_NOMEM;
  struct wwr_view view = {(const uint8_t *)keep->id, WWRI_SESSION_ID_LEN};
  if (wwri_map_insert(&keeper->by_id, view, keep) != WWR_OK) {
    free(keep);
    return WWR_E_NOMEM;
  }
  wwri_list_append(&keeper->all, &keep->all);
  keeper->stats.kept++;
  *out = keep;
  return WWR_OK;
}

void wwri_keep_set_count(struct wwri_keep *keep, uint32_t count) {
  struct wwri_keeper_stats *stats = &keep->keeper->stats;
  if (!keep->count && count) {
    stats->held++;
    stats->kept--;
  } else if (keep->count && !count) {
    stats->held--;
    stats->kept++;
  }
  keep->count = count;
}

void wwri_keep_forget_session(struct wwri_keep *keep) {
  wwr_session_unref(keep->session);
  keep->session = NULL;
  keep->created = false;
  keep->v = 0;
}

/* --- What is next --- */

static struct next owed(enum wwri_keeper_kind kind, unsigned bit) {
  return (struct next){.any = true, .kind = kind, .owed = bit};
}

static struct next next_owed(const struct wwri_keep *keep) {
  unsigned bits = keep->owed;
  if (bits & OWED_REMOVE) return owed(WWRI_KEEP_KILL, OWED_REMOVE);
  if (bits & OWED_CREATE) return owed(WWRI_KEEP_CREATE, OWED_CREATE);
  if (bits & OWED_REATTACH) return owed(WWRI_KEEP_ATTACH, OWED_REATTACH);
  if (bits & OWED_LEAVE) return owed(WWRI_KEEP_LEAVE, OWED_LEAVE);
  return owed(WWRI_KEEP_KILL, OWED_KILL);
}

static enum wwri_keeper_kind kind_of(const struct wwri_keep *keep,
                                     const struct wwri_keeper_op *op) {
  switch (op->ask) {
    case WWRI_ASK_CREATE:
      return WWRI_KEEP_CREATE;
    case WWRI_ASK_ATTACH:
    case WWRI_ASK_LOOKUP:
      return WWRI_KEEP_ATTACH;
    case WWRI_ASK_LEAVE:
      return op->last ? WWRI_KEEP_LEAVE : WWRI_KEEP_TOUCH;
    case WWRI_ASK_KILL:
    case WWRI_ASK_DESTROY:
      return WWRI_KEEP_KILL;
    case WWRI_ASK_PLACES:
      return wwri_keep_dirty(keep) ? WWRI_KEEP_TOUCH : WWRI_KEEP_PLACES;
    case WWRI_ASK_SEND:
      return wwri_keep_dirty(keep) ? WWRI_KEEP_TOUCH : WWRI_KEEP_SEND;
  }
  return WWRI_KEEP_TOUCH;
}

struct next wwri_keep_next(struct wwri_keep *keep) {
  if (!keep->count) keep->owed &= ~(unsigned)OWED_REATTACH;
  if (keep->owed) return next_owed(keep);
  struct wwri_keeper_op *op = wwri_keep_first(keep);
  if (op) {
    return (struct next){.any = true, .kind = kind_of(keep, op), .op = op};
  }
  return (struct next){.any = wwri_keep_dirty(keep), .kind = WWRI_KEEP_TOUCH};
}

static enum todo todo_of(const struct wwri_keep *keep,
                         const struct next *next) {
  if (next->kind == WWRI_KEEP_TOUCH) return TODO_TOUCH;
  return wwri_list_empty(&keep->ops) ? TODO_REPAIR : TODO_OPS;
}

void wwri_keep_settle(struct wwri_keep *keep) {
  struct wwri_keeper *keeper = keep->keeper;
  if (keep->busy) return;
  struct next next = wwri_keep_next(keep);
  wwri_list_remove(&keep->place);
  if (next.any) {
    wwri_list_append(&keeper->todo[todo_of(keep, &next)], &keep->place);
  } else if (keep->count && keep->verified == keeper->epoch) {
    wwri_list_append(&keeper->held, &keep->place);
  } else if (keep->count) {
    wwri_list_append(keeper->held.next, &keep->place); /* the first */
  } else if (!is_remembered(keep)) {
    wwri_keep_free(keep);
  }
}

void wwri_keep_delay(struct wwri_keep *keep, uint64_t now_ms) {
  wwri_list_remove(&keep->place);
  keep->later_ms = now_ms + keep->keeper->config.retry_ms;
  wwri_list_append(&keep->keeper->later, &keep->place);
}

/* --- Memory of what happened --- */

void wwri_keep_changed(struct wwri_keep *keep, uint64_t now_ms) {
  keep->changed_ms = now_ms;
  wwri_list_remove(&keep->recent);
  wwri_list_append(&keep->keeper->recent, &keep->recent);
}

static void forget_changes(struct wwri_keep *keep) {
  wwri_list_remove(&keep->recent);
  keep->removed = 0;
  keep->created = false;
  if (!keep->count && !keep->busy && !keep->owed) {
    wwri_keep_forget_session(keep);
  }
}

void wwri_keep_missed(struct wwri_keep *keep, uint64_t now_ms) {
  struct wwri_keeper *keeper = keep->keeper;
  wwri_keep_forget_miss(keep);
  if (!keeper->config.miss_ms) return;
  if (keeper->missed_count == MISSES_MAX) {
    struct wwri_keep *oldest = of_missed(keeper->missed.next);
    wwri_keep_forget_miss(oldest);
    wwri_keep_settle(oldest);
  }
  keep->missed_ms = now_ms;
  wwri_list_append(&keeper->missed, &keep->missed);
  keeper->missed_count++;
}

/* Another master may know better. */
void wwri_keeper_forget_misses(struct wwri_keeper *keeper) {
  while (!wwri_list_empty(&keeper->missed)) {
    struct wwri_keep *keep = of_missed(keeper->missed.next);
    wwri_keep_forget_miss(keep);
    wwri_keep_settle(keep);
  }
}

void wwri_keep_expire(struct wwri_keeper *keeper, uint64_t now_ms) {
  struct wwri_keep *keep;
  while (!wwri_list_empty(&keeper->missed)) {
    keep = of_missed(keeper->missed.next);
    if (keep->missed_ms + keeper->config.miss_ms > now_ms) break;
    wwri_keep_forget_miss(keep);
    wwri_keep_settle(keep);
  }
  while (!wwri_list_empty(&keeper->recent)) {
    keep = of_recent(keeper->recent.next);
    if (keep->changed_ms + keeper->config.keep_ms > now_ms) break;
    forget_changes(keep);
    wwri_keep_settle(keep);
  }
  while (!wwri_list_empty(&keeper->later)) {
    keep = of_place(keeper->later.next);
    if (keep->later_ms > now_ms) break;
    wwri_keep_settle(keep);
  }
}

/* --- What our side is told --- */

void wwri_keep_tell(struct wwri_keep *keep, enum wwri_keeper_event event) {
  struct wwri_keeper *keeper = keep->keeper;
  bool evicted = event == WWRI_KEEPER_EVICTED;
  if (!keep->count) return;
  *(evicted ? &keeper->stats.evicted : &keeper->stats.closed) += 1;
  keep->ghosts += keep->count;
  wwri_keep_set_count(keep, 0);
  keep->owed &= ~(unsigned)OWED_REATTACH;
  keeper->config.out->event(keeper, event, wwri_keep_key(keep));
}

/* Until a session was seen in a new generation, "missing" may mean that its
 * creation was forgotten; then whoever holds it puts it back. That can't revive
 * one that was destroyed, for Redis remembers those for longer than `gap`
 * allows. */
void wwri_keep_gone(struct wwri_keep *keep) {
  const struct wwri_keeper *keeper = keep->keeper;
  keep->acked = 0;
  keep->unsure = false;
  bool doubtful = keep->verified < keeper->generation && !keeper->gap;
  if (keep->count && keep->session && doubtful) {
    keep->owed |= OWED_CREATE;
    return;
  }
  wwri_keep_tell(keep, WWRI_KEEPER_CLOSED);
  wwri_keep_forget_session(keep);
}
