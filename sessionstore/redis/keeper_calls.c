/* keeper_calls.c - sending: which session gets a call now, and what it says. */
#include "keeper_impl.h"

static struct wwri_keep *of_place(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_keep, place);
}

static struct slot *take_slot(struct wwri_keeper *keeper, unsigned *number,
                              uint64_t now_ms) {
  *number = keeper->free_slots[--keeper->free_count];
  struct slot *slot = &keeper->slots[*number];
  *slot =
      (struct slot){.used = true, .epoch = keeper->epoch, .sent_ms = now_ms};
  return slot;
}

static void emit(struct wwri_keeper *keeper,
                 const struct wwri_keeper_call *call) {
  keeper->stats.calls++;
  keeper->config.out->call(keeper, call);
}

/* Attaches that stand one behind the other and want the same share a call. */
static uint32_t merge(struct wwri_keep *keep, struct wwri_keeper_op *first) {
  uint32_t count = 0;
  struct wwri_list *at = &first->node;
  for (; at != &keep->ops && count < UINT32_MAX - keep->count; at = at->next) {
    struct wwri_keeper_op *op = wwri_keep_op(at);
    if (op->ask != first->ask || op->max != first->max) break;
    op->in_call = true;
    if (count) keep->keeper->stats.merged++;
    count++;
  }
  return count;
}

static void fill_attach(struct wwri_keep *keep, const struct next *next,
                        struct wwri_keeper_call *call) {
  call->count = keep->count;
  call->max_known = keep->max_known;
  call->max = keep->max;
  call->v = keep->count ? keep->v : 0;
  if (!next->op) {
    call->whole = true;
    return;
  }
  call->had = keep->count;
  call->look_ns = next->op->look_ns;
  uint32_t merged = merge(keep, next->op);
  if (next->op->ask == WWRI_ASK_LOOKUP) return;
  call->count += merged;
  call->max_known = keep->max_known = true;
  call->max = keep->max = next->op->max;
}

static void fill_kill(const struct wwri_keep *keep, const struct next *next,
                      struct wwri_keeper_call *call) {
  if (next->owed == OWED_REMOVE) {
    call->v = keep->removed;
    call->force = true;
  } else if (next->owed) {
    call->any = keep->kill_any || keep->count > 0;
    call->force = keep->kill_force;
  } else {
    call->any = next->op->last || keep->count > 0;
    call->force = next->op->ask == WWRI_ASK_DESTROY;
  }
  if (call->any) call->v = keep->v;
}

static void fill(struct wwri_keep *keep, const struct next *next,
                 struct wwri_keeper_call *call) {
  call->kind = next->kind;
  call->id = keep->id;
  call->key = wwri_keep_key(keep);
  switch (next->kind) {
    case WWRI_KEEP_CREATE:
      call->v = keep->v;
      call->session = keep->session;
      call->count = keep->owed & OWED_REATTACH ? 0 : keep->count;
      call->max_known = keep->max_known;
      call->max = keep->max;
      break;
    case WWRI_KEEP_ATTACH:
      fill_attach(keep, next, call);
      break;
    case WWRI_KEEP_LEAVE:
      call->v = keep->v;
      call->count = keep->count;
      break;
    case WWRI_KEEP_KILL:
      fill_kill(keep, next, call);
      break;
    case WWRI_KEEP_SEND:
      call->bytes = next->op->bytes;
      break;
    default:
      break;
  }
  if (next->op) next->op->in_call = true;
}

/* The call of one session that is in no list. */
static void send_one(struct wwri_keep *keep, const struct next *next,
                     uint64_t now_ms) {
  struct wwri_keeper *keeper = keep->keeper;
  struct wwri_keeper_call call = {0};
  struct slot *slot = take_slot(keeper, &call.slot, now_ms);
  bool repair = wwri_list_empty(&keep->ops);
  fill(keep, next, &call);
  slot->kind = call.kind;
  slot->keep = keep;
  slot->owed = next->owed;
  slot->repair = repair;
  slot->v = call.v;
  slot->count = call.count;
  slot->had = call.had;
  keeper->ones++;
  if (repair) keeper->repairs++;
  keep->busy = true;
  emit(keeper, &call);
}

static struct wwri_keep *pop_one(struct wwri_keeper *keeper) {
  struct wwri_list *at = wwri_list_pop(&keeper->todo[TODO_OPS]);
  if (!at && keeper->repairs < REPAIR_CALLS_MAX) {
    at = wwri_list_pop(&keeper->todo[TODO_REPAIR]);
  }
  return at ? of_place(at) : NULL;
}

static void send_ones(struct wwri_keeper *keeper, uint64_t now_ms) {
  while (keeper->ones < keeper->config.max_calls - BATCHES_MAX) {
    struct wwri_keep *keep = pop_one(keeper);
    if (!keep) return;
    /* What is next may have changed since it was put in that list. */
    struct next next = wwri_keep_next(keep);
    if (!next.any || next.kind == WWRI_KEEP_TOUCH) {
      wwri_keep_settle(keep);
    } else if (next.kind == WWRI_KEEP_LEAVE && now_ms < keeper->doubt_until) {
      /* Redis may have forgotten who else has it; they are telling it. */
      wwri_keep_delay(keep, now_ms);
    } else {
      send_one(keep, &next, now_ms);
    }
  }
}

/* --- TOUCH --- */

uint64_t wwri_keeper_due_ms(const struct wwri_keep *keep) {
  const struct wwri_keeper *keeper = keep->keeper;
  if (keep->verified != keeper->epoch) return 0;
  return keep->touched_ms + keeper->config.ttl_ms / 4;
}

static struct wwri_keep *pop_touch(struct wwri_keeper *keeper,
                                   uint64_t now_ms) {
  struct wwri_list *at = wwri_list_pop(&keeper->todo[TODO_TOUCH]);
  if (at) return of_place(at);
  if (wwri_list_empty(&keeper->held)) return NULL;
  struct wwri_keep *keep = of_place(keeper->held.next);
  if (wwri_keeper_due_ms(keep) > now_ms) return NULL;
  wwri_list_remove(&keep->place);
  return keep;
}

/* Leaves at the head of a session that others here still have: its new count
 * is what they wait for. */
static void mark_leaves(struct wwri_keep *keep) {
  struct wwri_list *at = keep->ops.next;
  for (; at != &keep->ops; at = at->next) {
    struct wwri_keeper_op *op = wwri_keep_op(at);
    if (op->ask != WWRI_ASK_LEAVE || op->last) return;
    op->in_call = true;
  }
}

static void add_touch(struct batch *batch, struct wwri_keep *keep) {
  batch->keeps[batch->count] = keep;
  batch->touches[batch->count] = (struct wwri_keeper_touch){
      .id = keep->id, .v = keep->v, .count = keep->count};
  batch->count++;
  keep->busy = true;
  mark_leaves(keep);
}

static bool send_batch(struct wwri_keeper *keeper, uint64_t now_ms) {
  unsigned number = 0;
  while (number < BATCHES_MAX && keeper->batches[number].used) number++;
  if (number == BATCHES_MAX) return false;
  struct batch *batch = &keeper->batches[number];
  struct wwri_keep *keep;
  batch->count = 0;
  while (batch->count < WWRI_KEEPER_BATCH &&
         (keep = pop_touch(keeper, now_ms))) {
    add_touch(batch, keep);
  }
  if (!batch->count) return false;
  struct wwri_keeper_call call = {.kind = WWRI_KEEP_TOUCH,
                                  .touches = batch->touches,
                                  .touch_count = batch->count};
  struct slot *slot = take_slot(keeper, &call.slot, now_ms);
  batch->used = true;
  slot->kind = WWRI_KEEP_TOUCH;
  slot->batch = number;
  emit(keeper, &call);
  return true;
}

void wwri_keeper_send(struct wwri_keeper *keeper, uint64_t now_ms) {
  if (!keeper->live || now_ms < keeper->resume_ms) return;
  send_ones(keeper, now_ms);
  while (send_batch(keeper, now_ms)) continue;
}
