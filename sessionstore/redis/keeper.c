/* keeper.c - the keeper as a whole: its life, its clock, what it counts. */
#include "keeper_impl.h"

#include <stdlib.h>

void wwri_keeper_config_default(struct wwri_keeper_config *config) {
  *config = (struct wwri_keeper_config){
      .hold_ms = 10000,
      .lease_ms = 30000,
      .ttl_ms = 2592000000,
      .max_held = 20000,
      .max_open = 65536,
      .max_kept = 131072,
      .sharers = 1,
      .max_calls = WWRI_KEEPER_CALLS,
      .keep_ms = 60000,
      .doubt_ms = 2000,
      .miss_ms = 1000,
      .retry_ms = 100,
      .recreate = true,
  };
}

wwr_err wwri_keeper_new(struct wwri_keeper **out,
                        const struct wwri_keeper_config *config) {
  struct wwri_keeper *keeper = calloc(1, sizeof *keeper);
  *out = keeper;
  if (!keeper) return WWR_E_NOMEM;
  keeper->config = *config;
  if (!config->room) keeper->config.room = &keeper->own_room;
  keeper->epoch = 1;
  wwri_map_init(&keeper->by_id);
  wwri_list_init(&keeper->all);
  for (unsigned i = 0; i < TODO_COUNT; i++) wwri_list_init(&keeper->todo[i]);
  wwri_list_init(&keeper->later);
  wwri_list_init(&keeper->held);
  wwri_list_init(&keeper->recent);
  wwri_list_init(&keeper->missed);
  wwri_list_init(&keeper->waiting);
  wwri_list_init(&keeper->ended);
  for (unsigned i = 0; i < WWRI_KEEPER_CALLS; i++) {
    keeper->free_slots[i] = WWRI_KEEPER_CALLS - 1 - i;
  }
  keeper->free_count = WWRI_KEEPER_CALLS;
  return WWR_OK;
}

static struct wwri_keeper_op *of_waiting(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keeper_op, waiting);
}

static struct wwri_keep *of_all(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, all);
}

/* End what is open; what can't be taken back is still to be done. */
static void end_open(struct wwri_keeper *keeper) {
  while (!wwri_list_empty(&keeper->waiting)) {
    struct wwri_keeper_op *op = of_waiting(keeper->waiting.next);
    struct wwri_keep *keep = op->keep;
    wwri_keeper_owe(op);
    wwri_keeper_end(keeper, op, WWR_E_CLOSED);
    wwri_keep_settle(keep);
  }
}

void wwri_keeper_free(struct wwri_keeper *keeper) {
  if (!keeper) return;
  keeper->stopped = true;
  end_open(keeper);
  while (!wwri_list_empty(&keeper->ended)) wwri_keeper_tell_ended(keeper);
  while (!wwri_list_empty(&keeper->all)) {
    wwri_keep_free(of_all(keeper->all.next));
  }
  wwri_map_deinit(&keeper->by_id);
  free(keeper);
}

void *wwri_keeper_user(const struct wwri_keeper *keeper) {
  return keeper->config.user;
}

void wwri_keeper_stop(struct wwri_keeper *keeper, uint64_t now_ms) {
  (void)now_ms;
  keeper->stopped = true;
  end_open(keeper);
  struct wwri_list *at = keeper->all.next;
  while (at != &keeper->all) {
    struct wwri_keep *keep = of_all(at);
    at = at->next;
    wwri_keep_set_count(keep, 0);
    wwri_keep_settle(keep);
  }
}

bool wwri_keeper_is_idle(const struct wwri_keeper *keeper) {
  for (unsigned i = 0; i < TODO_COUNT; i++) {
    if (!wwri_list_empty(&keeper->todo[i])) return false;
  }
  return keeper->free_count == WWRI_KEEPER_CALLS &&
         wwri_list_empty(&keeper->later) && wwri_list_empty(&keeper->ended);
}

void wwri_keeper_answered(struct wwri_keeper *keeper, unsigned slot,
                          const struct wwri_keeper_answer *answer,
                          uint64_t now_ms) {
  if (slot >= WWRI_KEEPER_CALLS || !keeper->slots[slot].used) return;
  wwri_keeper_judge(keeper, slot, answer, now_ms);
}

static void end_late(struct wwri_keeper *keeper, uint64_t now_ms) {
  while (!wwri_list_empty(&keeper->waiting)) {
    struct wwri_keeper_op *op = of_waiting(keeper->waiting.next);
    struct wwri_keep *keep = op->keep;
    if (op->deadline_ms > now_ms) return;
    wwri_keeper_owe(op);
    wwri_keeper_end(keeper, op, WWR_E_UNAVAILABLE);
    wwri_keep_settle(keep);
  }
}

void wwri_keeper_run(struct wwri_keeper *keeper, uint64_t now_ms) {
  end_late(keeper, now_ms);
  wwri_keep_expire(keeper, now_ms);
  wwri_keeper_tell_ended(keeper);
  wwri_keeper_send(keeper, now_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t sending_deadline(const struct wwri_keeper *keeper) {
  uint64_t at = UINT64_MAX;
  for (unsigned i = 0; i < TODO_COUNT; i++) {
    if (!wwri_list_empty(&keeper->todo[i])) at = keeper->resume_ms;
  }
  if (!wwri_list_empty(&keeper->held)) {
    const struct wwri_keep *keep =
        WWRI_CONTAINER(keeper->held.next, struct wwri_keep, place);
    uint64_t due = wwri_keeper_due_ms(keep);
    at = earlier(at, due > keeper->resume_ms ? due : keeper->resume_ms);
  }
  return at;
}

uint64_t wwri_keeper_deadline(const struct wwri_keeper *keeper) {
  uint64_t at = UINT64_MAX;
  if (!wwri_list_empty(&keeper->ended)) return 0;
  if (!wwri_list_empty(&keeper->waiting)) {
    at = earlier(at, of_waiting(keeper->waiting.next)->deadline_ms);
  }
  if (!wwri_list_empty(&keeper->later)) {
    at = earlier(
        at,
        WWRI_CONTAINER(keeper->later.next, struct wwri_keep, place)->later_ms);
  }
  if (!wwri_list_empty(&keeper->missed)) {
    at = earlier(at,
                 WWRI_CONTAINER(keeper->missed.next, struct wwri_keep, missed)
                         ->missed_ms +
                     keeper->config.miss_ms);
  }
  if (!wwri_list_empty(&keeper->recent)) {
    at = earlier(at,
                 WWRI_CONTAINER(keeper->recent.next, struct wwri_keep, recent)
                         ->changed_ms +
                     keeper->config.keep_ms);
  }
  bool can_send = keeper->live && keeper->free_count == WWRI_KEEPER_CALLS;
  return can_send ? earlier(at, sending_deadline(keeper)) : at;
}

uint32_t wwri_keeper_count(const struct wwri_keeper *keeper,
                           const char id[WWRI_SESSION_ID_LEN],
                           struct wwr_view *key) {
  const struct wwri_keep *keep = wwri_keep_find(keeper, id);
  if (!keep || !keep->count) return 0;
  if (key) *key = wwri_keep_key(keep);
  return keep->count;
}

void wwri_keeper_stats(const struct wwri_keeper *keeper,
                       struct wwri_keeper_stats *out) {
  *out = keeper->stats;
  out->open = keeper->open_attaches + keeper->open_others;
  out->in_call = WWRI_KEEPER_CALLS - keeper->free_count;
}
