/* keeper_ops.c - what the server asks for: how an operation begins, and how it
 * ends for its caller.
 *
 * Counts change when the server says so, for a connection has gone whether
 * Redis knows it or not; only an attach counts when Redis has agreed. */
#include "keeper_impl.h"

static bool is_attach(const struct wwri_keeper_op *op) {
  return op->ask == WWRI_ASK_ATTACH || op->ask == WWRI_ASK_LOOKUP;
}

/* --- Ceilings, of all keepers that share them ----------------------------- */

/* How many wait: here, at all beyond their parts, and at most. */
struct ceiling {
  size_t *here;
  size_t *shared;
  size_t part; /* that each has for itself */
  size_t max;  /* that all have beyond it */
};

static struct ceiling ceiling_of(struct wwri_keeper *keeper,
                                 const struct wwri_keeper_op *op) {
  const struct wwri_keeper_config *config = &keeper->config;
  struct wwri_keeper_room *room = config->room;
  bool attach = is_attach(op);
  size_t all = attach ? config->max_held : config->max_open;
  size_t part = config->sharers > 1 ? all / 2 / config->sharers : 0;
  return (struct ceiling){
      .here = attach ? &keeper->open_attaches : &keeper->open_others,
      .shared = attach ? &room->attaches : &room->others,
      .part = part,
      .max = all - part * config->sharers};
}

static void enter(struct ceiling at) {
  if (*at.here >= at.part) (*at.shared)++;
  (*at.here)++;
}

static void go(struct ceiling at) {
  (*at.here)--;
  if (*at.here >= at.part) (*at.shared)--;
}

static bool is_full(struct ceiling at) {
  return *at.here >= at.part && *at.shared >= at.max;
}

/* --- How an operation ends ------------------------------------------------ */

void wwri_keeper_end(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     wwr_err err) {
  wwri_list_remove(&op->node);
  if (!wwri_list_empty(&op->waiting)) {
    go(ceiling_of(keeper, op));
    wwri_list_remove(&op->waiting);
  }
  if (err == WWR_E_UNAVAILABLE) keeper->stats.timed_out++;
  if (err == WWR_E_LIMIT) keeper->stats.limited++;
  op->err = err;
  op->keep = NULL;
  wwri_list_append(&keeper->ended, &op->node);
}

void wwri_keeper_tell_ended(struct wwri_keeper *keeper) {
  struct wwri_list ended;
  struct wwri_list *at;
  wwri_list_init(&ended);
  wwri_list_splice(&ended, &keeper->ended);
  while ((at = wwri_list_pop(&ended))) {
    struct wwri_keeper_op *op = wwri_keep_op(at);
    struct wwr_session *found = op->found;
    struct wwri_keeper_answer answer = {.session = found};
    op->found = NULL;
    op->done(op, op->err, found ? &answer : NULL);
    wwr_session_unref(found);
  }
}

void wwri_keeper_owe(struct wwri_keeper_op *op) {
  struct wwri_keep *keep = op->keep;
  bool destroys = op->ask == WWRI_ASK_KILL || op->ask == WWRI_ASK_DESTROY;
  if (op->ask == WWRI_ASK_LEAVE && op->last) keep->owed |= OWED_LEAVE;
  if (!destroys) return;
  /* One that should have been the last to leave: somebody had it. */
  keep->kill_any |= op->last || (keep->owed & OWED_LEAVE);
  keep->kill_force |= op->ask == WWRI_ASK_DESTROY;
  keep->owed |= OWED_KILL;
}

/* --- How each begins: WWR_OK and it is to wait, or how it ends at once --- */

static wwr_err begin_create(struct wwri_keeper *keeper,
                            struct wwri_keeper_op *op, struct wwri_keep *keep) {
  bool idle = !keep->count && !keep->owed && wwri_list_empty(&keep->ops);
  if (!idle) return WWR_E_EXISTS;
  wwri_keep_forget_miss(keep);
  wwri_keep_forget_session(keep);
  keep->session = wwr_session_ref(op->session);
  do {
    keep->v = keeper->config.out->random(keeper);
  } while (!keep->v);
  keep->max_known = false;
  keep->owed |= OWED_CREATE;
  wwri_keep_set_count(keep, 1);
  return WWR_OK;
}

static wwr_err begin_leave(struct wwri_keeper_op *op, struct wwri_keep *keep) {
  wwri_keep_set_count(keep, keep->count - 1);
  op->last = keep->count == 0;
  return WWR_OK;
}

/* Somebody has it: we, or we had it until a moment ago. */
static bool is_or_was_here(const struct wwri_keep *keep, uint64_t now_ms) {
  if (keep->count || wwri_keep_dirty(keep)) return true;
  return keep->had_ms && now_ms < keep->had_ms + JUST_MS;
}

static wwr_err begin(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     struct wwri_keep *keep, uint64_t now_ms) {
  switch (op->ask) {
    case WWRI_ASK_CREATE:
      return begin_create(keeper, op, keep);
    case WWRI_ASK_LEAVE:
      return begin_leave(op, keep);
    case WWRI_ASK_KILL:
    case WWRI_ASK_DESTROY:
      op->last = is_or_was_here(keep, now_ms);
      break;
    case WWRI_ASK_ATTACH:
    case WWRI_ASK_LOOKUP:
      return wwri_list_empty(&keep->missed) ? WWR_OK : WWR_E_SESSION_NOT_FOUND;
    case WWRI_ASK_PLACES:
    case WWRI_ASK_SEND:
      break;
  }
  return WWR_OK;
}

static void enqueue(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                    struct wwri_keep *keep, uint64_t now_ms) {
  enter(ceiling_of(keeper, op));
  op->keep = keep;
  op->deadline_ms = now_ms + keeper->config.hold_ms;
  wwri_list_append(&keep->ops, &op->node);
  wwri_list_append(&keeper->waiting, &op->waiting);
}

/* Over the limit only the waiting is refused: who gave a session up, or closed
 * it, has done so. */
static wwr_err start_limited(struct wwri_keeper *keeper,
                             struct wwri_keeper_op *op, struct wwri_keep *keep,
                             uint64_t now_ms) {
  bool may = op->ask == WWRI_ASK_LEAVE || op->ask == WWRI_ASK_KILL ||
             op->ask == WWRI_ASK_DESTROY;
  if (may && keep) {
    begin(keeper, op, keep, now_ms);
    op->keep = keep;
    wwri_keeper_owe(op);
    wwri_keep_settle(keep);
  }
  return WWR_E_LIMIT;
}

/* What is known without asking. */
static wwr_err answer_for_no_key(const struct wwri_keeper_op *op) {
  switch (op->ask) {
    case WWRI_ASK_CREATE:
      return WWR_E_INVALID;
    case WWRI_ASK_LEAVE:
    case WWRI_ASK_KILL:
    case WWRI_ASK_DESTROY:
      return WWR_OK;
    default:
      return WWR_E_SESSION_NOT_FOUND;
  }
}

/* Counted down, if its session is gone. */
static bool is_gone(struct wwri_keep *keep) {
  if (!keep) return true;
  if (keep->ghosts) {
    keep->ghosts--;
    wwri_keep_settle(keep);
    return true;
  }
  return keep->count == 0;
}

static wwr_err start(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     uint64_t now_ms, bool *open) {
  char id[WWRI_SESSION_ID_LEN + 1];
  if (keeper->stopped) return WWR_E_CLOSED;
  if (!wwri_session_id(op->key, id)) return answer_for_no_key(op);
  struct wwri_keep *keep = wwri_keep_find(keeper, id);
  if (op->ask == WWRI_ASK_LEAVE && is_gone(keep)) return WWR_OK;
  if (is_full(ceiling_of(keeper, op))) {
    return start_limited(keeper, op, keep, now_ms);
  }
  wwr_err err = wwri_keep_make(keeper, id, op->key, &keep);
  if (err != WWR_OK) return err;
  err = begin(keeper, op, keep, now_ms);
  *open = err == WWR_OK;
  if (*open) enqueue(keeper, op, keep, now_ms);
  wwri_keep_settle(keep);
  return err;
}

void wwri_keeper_ask(struct wwri_keeper *keeper, struct wwri_keeper_op *op,
                     uint64_t now_ms) {
  bool open = false;
  wwri_list_init(&op->node);
  wwri_list_init(&op->waiting);
  op->keep = NULL;
  op->found = NULL;
  op->in_call = false;
  op->last = false;
  wwr_err err = start(keeper, op, now_ms, &open);
  if (!open) wwri_keeper_end(keeper, op, err);
}

void wwri_keeper_detach(struct wwri_keeper *keeper, struct wwr_view key,
                        uint64_t now_ms) {
  char id[WWRI_SESSION_ID_LEN + 1];
  if (!wwri_session_id(key, id)) return;
  struct wwri_keep *keep = wwri_keep_find(keeper, id);
  if (is_gone(keep)) return;
  wwri_keep_set_count(keep, keep->count - 1);
  if (!keep->count) keep->had_ms = now_ms;
  wwri_keep_settle(keep);
}
