/* keeper_repair.c - what happens to all sessions at once: the link comes and
 * goes, a generation begins, this node was taken for dead, notices. */
#include "keeper_impl.h"

static struct wwri_keep *of_all(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, all);
}

void wwri_keeper_live(struct wwri_keeper *keeper, uint64_t now_ms) {
  uint64_t away = keeper->lost_ms ? now_ms - keeper->lost_ms : 0;
  keeper->live = true;
  keeper->resume_ms = 0;
  keeper->lost_ms = 0;
  /* Others may have taken us for dead, although nobody told us. */
  if (away > keeper->config.lease_ms / 2) wwri_keeper_verify(keeper, now_ms);
  if (keeper->doubt) keeper->doubt_until = now_ms + keeper->config.doubt_ms;
  keeper->doubt = false;
}

void wwri_keeper_lost(struct wwri_keeper *keeper, uint64_t now_ms) {
  static const struct wwri_keeper_answer none = {.word = WWRI_WORD_UNKNOWN};
  if (keeper->live) keeper->lost_ms = now_ms;
  keeper->live = false;
  wwri_keeper_forget_misses(keeper);
  for (unsigned i = 0; i < WWRI_KEEPER_CALLS; i++) {
    if (keeper->slots[i].used) wwri_keeper_judge(keeper, i, &none, now_ms);
  }
}

void wwri_keeper_verify(struct wwri_keeper *keeper, uint64_t now_ms) {
  (void)now_ms;
  keeper->epoch++;
}

static void outdate_calls(struct wwri_keeper *keeper) {
  for (unsigned i = 0; i < WWRI_KEEPER_CALLS; i++) keeper->slots[i].old = true;
}

/* What we changed lately may be forgotten: remove first, then create, then
 * count. */
static void repeat_changes(struct wwri_keep *keep) {
  if (wwri_list_empty(&keep->recent)) return;
  keep->keeper->stats.repeated++;
  keep->unsure = true;
  if (keep->removed) keep->owed |= OWED_REMOVE;
  if (keep->created && keep->session) keep->owed |= OWED_CREATE;
}

static void data_lost(struct wwri_keep *keep) {
  bool never_there = (keep->owed & OWED_CREATE) && !keep->created;
  keep->acked = 0;
  if (keep->keeper->config.recreate) {
    if (keep->count && keep->session) keep->owed |= OWED_CREATE;
  } else if (!never_there) {
    keep->created = false;
    keep->owed &= ~(unsigned)OWED_CREATE;
    wwri_keep_tell(keep, WWRI_KEEPER_CLOSED);
    if (!keep->busy) wwri_keep_forget_session(keep);
  }
}

void wwri_keeper_generation(struct wwri_keeper *keeper, bool born_anew,
                            uint64_t now_ms) {
  struct wwri_list *at = keeper->all.next;
  keeper->gap =
      keeper->lost_ms && now_ms - keeper->lost_ms > keeper->config.keep_ms;
  keeper->generation = ++keeper->epoch;
  keeper->doubt_until = now_ms + keeper->config.doubt_ms;
  keeper->doubt = !keeper->live;
  outdate_calls(keeper);
  while (at != &keeper->all) {
    struct wwri_keep *keep = of_all(at);
    at = at->next;
    if (born_anew) data_lost(keep);
    repeat_changes(keep);
    wwri_keep_settle(keep);
  }
}

void wwri_keeper_fenced(struct wwri_keeper *keeper, uint64_t now_ms) {
  struct wwri_list *at = keeper->all.next;
  (void)now_ms;
  outdate_calls(keeper);
  while (at != &keeper->all) {
    struct wwri_keep *keep = of_all(at);
    at = at->next;
    keep->acked = 0;
    keep->unsure = false;
    if (keep->count) keep->owed |= OWED_REATTACH;
    wwri_keep_settle(keep);
  }
}

static void note_while_busy(struct wwri_keep *keep, uint64_t v) {
  for (unsigned i = NOTICES_MAX - 1; i > 0; i--) {
    keep->notices[i] = keep->notices[i - 1];
  }
  keep->notices[0] = v;
}

void wwri_keeper_closed(struct wwri_keeper *keeper,
                        const char id[WWRI_SESSION_ID_LEN], uint64_t v,
                        uint64_t now_ms) {
  struct wwri_keep *keep = wwri_keep_find(keeper, id);
  (void)now_ms;
  if (!keep || !v) return;
  if (keep->busy) note_while_busy(keep, v);
  if (keep->v != v) return;
  keep->owed &= ~(unsigned)OWED_CREATE;
  keep->created = false;
  keep->acked = 0;
  keep->unsure = keep->busy;
  wwri_keep_tell(keep, WWRI_KEEPER_CLOSED);
  if (!keep->busy) wwri_keep_forget_session(keep);
  wwri_keep_settle(keep);
}
