/* keeper_answers.c - what an answer means for the session and for those who
 * wait. What was perhaps done is done again: counts are absolute, a CREATE
 * names its incarnation, and what is destroyed stays so. */
#include <string.h>

#include "keeper_impl.h"

static struct wwri_keeper_op *next_op(struct wwri_keep *keep,
                                      struct wwri_list **at) {
  if (*at == &keep->ops) return NULL;
  struct wwri_keeper_op *op = wwri_keep_op(*at);
  *at = (*at)->next;
  return op;
}

/* End the operations that were in the call. */
static void end_all(struct wwri_keep *keep, wwr_err err) {
  struct wwri_list *at = keep->ops.next;
  struct wwri_keeper_op *op;
  while ((op = next_op(keep, &at))) {
    if (op->in_call) wwri_keeper_end(keep->keeper, op, err);
  }
}

static void put_back_ops(struct wwri_keep *keep) {
  struct wwri_list *at = keep->ops.next;
  struct wwri_keeper_op *op;
  while ((op = next_op(keep, &at))) op->in_call = false;
}

static bool was_closed(const struct wwri_keep *keep, uint64_t v) {
  for (unsigned i = 0; i < NOTICES_MAX; i++) {
    if (v && keep->notices[i] == v) return true;
  }
  return false;
}

static bool is_doubtful(const struct wwri_keeper *keeper,
                        const struct slot *slot) {
  return slot->sent_ms < keeper->doubt_until;
}

/* Redis has the session and our count of it. */
static void agreed(struct wwri_keep *keep, const struct slot *slot,
                   uint32_t count, uint64_t now_ms) {
  if (keep->unsure || keep->acked != count) wwri_keep_changed(keep, now_ms);
  keep->acked = count;
  keep->unsure = false;
  keep->verified = slot->epoch;
  keep->touched_ms = now_ms;
}

/* It is not there. Ours may be another incarnation than the one meant. */
static void destroyed(struct wwri_keep *keep, uint64_t v) {
  keep->acked = 0;
  keep->unsure = false;
  if (v && keep->v != v) return;
  keep->owed &= ~(unsigned)(OWED_CREATE | OWED_REATTACH);
  wwri_keep_tell(keep, WWRI_KEEPER_CLOSED);
  wwri_keep_forget_session(keep);
}

/* We did that, and do it again when a generation forgets it. */
static void destroyed_by_us(struct wwri_keep *keep, uint64_t v,
                            uint64_t now_ms) {
  if (v) keep->removed = v;
  wwri_keep_changed(keep, now_ms);
  destroyed(keep, v);
}

/* --- CREATE --- */

static void end_create(struct wwri_keep *keep, wwr_err err) {
  struct wwri_keeper_op *op = wwri_keep_first(keep);
  if (op && op->ask == WWRI_ASK_CREATE) wwri_keeper_end(keep->keeper, op, err);
}

static void not_created(struct wwri_keep *keep, wwr_err err) {
  struct wwri_keeper_op *op = wwri_keep_first(keep);
  keep->owed &= ~(unsigned)(OWED_CREATE | OWED_REATTACH);
  if (op && op->ask == WWRI_ASK_CREATE) {
    wwri_keep_set_count(keep, 0); /* who made it hears it from us */
    wwri_keeper_end(keep->keeper, op, err);
  }
  keep->acked = 0;
  keep->unsure = false;
  wwri_keep_tell(keep, WWRI_KEEPER_CLOSED);
  wwri_keep_forget_session(keep);
}

static void judge_create(struct wwri_keep *keep, const struct slot *slot,
                         const struct wwri_keeper_answer *answer,
                         uint64_t now_ms) {
  if (answer->word == WWRI_WORD_OK && !was_closed(keep, slot->v)) {
    keep->owed &= ~(unsigned)OWED_CREATE;
    keep->created = true;
    agreed(keep, slot, slot->count, now_ms);
    wwri_keep_changed(keep, now_ms);
    end_create(keep, WWR_OK);
  } else if (answer->word == WWRI_WORD_ERROR) {
    not_created(keep, answer->err);
  } else if (answer->word == WWRI_WORD_TAKEN) {
    not_created(keep, WWR_E_EXISTS);
  } else {
    end_create(keep, WWR_OK);
    destroyed(keep, slot->v);
  }
}

/* --- ATTACH --- */

static void give(struct wwri_keep *keep, struct wwri_keeper_op *op,
                 struct wwr_session *session) {
  op->found = wwr_session_ref(session);
  wwri_keeper_end(keep->keeper, op, WWR_OK);
}

/* Places for the first that still wait; who gave up meanwhile leaves a count
 * too high, which the next TOUCH mends. */
static void grant(struct wwri_keep *keep, uint32_t places,
                  struct wwr_session *session) {
  struct wwri_list *at = keep->ops.next;
  struct wwri_keeper_op *op;
  while ((op = next_op(keep, &at))) {
    if (!op->in_call) continue;
    if (op->ask == WWRI_ASK_LOOKUP) {
      give(keep, op, session);
    } else if (places) {
      places--;
      wwri_keep_set_count(keep, keep->count + 1);
      give(keep, op, session);
    } else {
      wwri_keeper_end(keep->keeper, op, WWR_E_MAX_SESSION_CONNS);
    }
  }
}

static void attached(struct wwri_keep *keep, const struct slot *slot,
                     const struct wwri_keeper_answer *answer, uint64_t now_ms) {
  uint32_t places = answer->count > slot->had ? answer->count - slot->had : 0;
  agreed(keep, slot, answer->count, now_ms);
  if (slot->owed) {
    keep->owed &= ~(unsigned)OWED_REATTACH;
    return;
  }
  grant(keep, places, answer->session);
  if (!keep->count) return;
  if (keep->session && keep->v == answer->v) return;
  wwri_keep_forget_session(keep);
  keep->v = answer->v;
  keep->session = wwr_session_ref(answer->session);
}

static void attach_missing(struct wwri_keep *keep, const struct slot *slot) {
  if (slot->owed || slot->v) {
    /* What we hold is gone; those who wait ask for what is there now. */
    wwri_keep_gone(keep);
    put_back_ops(keep);
    return;
  }
  keep->acked = 0;
  keep->unsure = false;
  if (is_doubtful(keep->keeper, slot)) {
    put_back_ops(keep);
    keep->ask_later = true;
    return;
  }
  end_all(keep, WWR_E_SESSION_NOT_FOUND);
  wwri_keep_missed(keep, slot->sent_ms);
}

static void attach_failed(struct wwri_keep *keep, const struct slot *slot,
                          wwr_err err) {
  keep->owed &= ~slot->owed;
  keep->unsure = true; /* a TOUCH will tell what is there */
  end_all(keep, err);
}

static void judge_attach(struct wwri_keep *keep, const struct slot *slot,
                         const struct wwri_keeper_answer *answer,
                         uint64_t now_ms) {
  switch (answer->word) {
    case WWRI_WORD_OK:
      if (was_closed(keep, answer->v)) {
        destroyed(keep, answer->v);
        end_all(keep, WWR_E_SESSION_NOT_FOUND);
      } else {
        attached(keep, slot, answer, now_ms);
      }
      break;
    case WWRI_WORD_FULL:
      keep->owed &= ~(unsigned)OWED_REATTACH;
      keep->acked = 0;
      keep->unsure = false;
      wwri_keep_tell(keep, WWRI_KEEPER_EVICTED);
      wwri_keep_forget_session(keep);
      break;
    case WWRI_WORD_ERROR:
      attach_failed(keep, slot, answer->err);
      break;
    default:
      attach_missing(keep, slot);
      break;
  }
}

/* --- LEAVE, KILL --- */

static void judge_leave(struct wwri_keep *keep, const struct slot *slot,
                        const struct wwri_keeper_answer *answer,
                        uint64_t now_ms) {
  keep->owed &= ~(unsigned)OWED_LEAVE;
  end_all(keep, answer->word == WWRI_WORD_ERROR ? answer->err : WWR_OK);
  if (answer->word == WWRI_WORD_OK) {
    agreed(keep, slot, slot->count, now_ms);
  } else if (answer->word == WWRI_WORD_LAST) {
    destroyed_by_us(keep, answer->v, now_ms);
  } else if (answer->word == WWRI_WORD_ERROR) {
    keep->unsure = true;
  } else {
    wwri_keep_gone(keep);
  }
}

static void judge_kill(struct wwri_keep *keep, const struct slot *slot,
                       const struct wwri_keeper_answer *answer,
                       uint64_t now_ms) {
  enum wwri_keeper_word word = answer->word;
  if (slot->owed == OWED_REMOVE) {
    keep->owed &= ~(unsigned)OWED_REMOVE;
    if (!keep->count) keep->acked = 0, keep->unsure = false;
    return;
  }
  bool not_there = word != WWRI_WORD_OK && word != WWRI_WORD_ERROR;
  if (not_there && is_doubtful(keep->keeper, slot)) {
    put_back_ops(keep);
    keep->ask_later = true;
    return;
  }
  keep->owed &= ~(unsigned)OWED_KILL;
  keep->kill_any = keep->kill_force = false;
  end_all(keep, word == WWRI_WORD_ERROR ? answer->err : WWR_OK);
  if (word == WWRI_WORD_OK) {
    destroyed_by_us(keep, answer->v, now_ms);
  } else if (word == WWRI_WORD_MISSING) {
    destroyed_by_us(keep, slot->v, now_ms);
  } else if (word == WWRI_WORD_ERROR) {
    keep->unsure = true;
  }
}

/* --- PLACES, SEND --- */

static void tell_first(struct wwri_keep *keep, wwr_err err,
                       const struct wwri_keeper_answer *answer) {
  struct wwri_keeper_op *op = wwri_keep_first(keep);
  if (!op || !op->in_call) return;
  wwri_keeper_end(keep->keeper, op, err);
  wwri_list_remove(&op->node);
  op->done(op, err, err == WWR_OK ? answer : NULL);
}

static void judge_question(struct wwri_keep *keep, const struct slot *slot,
                           const struct wwri_keeper_answer *answer) {
  bool missing = answer->word == WWRI_WORD_MISSING;
  if (missing && is_doubtful(keep->keeper, slot)) {
    put_back_ops(keep);
    keep->ask_later = true;
  } else if (answer->word == WWRI_WORD_OK) {
    tell_first(keep, WWR_OK, answer);
  } else if (answer->word == WWRI_WORD_ERROR) {
    tell_first(keep, answer->err, NULL);
  } else {
    tell_first(keep, WWR_E_SESSION_NOT_FOUND, NULL);
  }
}

/* --- TOUCH --- */

static void touched(struct wwri_keep *keep, const struct slot *slot,
                    const struct wwri_keeper_touch *touch, bool gone,
                    uint64_t now_ms) {
  end_all(keep, WWR_OK);
  if (!gone) {
    agreed(keep, slot, touch->count, now_ms);
  } else if (keep->v == touch->v && !(keep->owed & OWED_CREATE)) {
    wwri_keep_gone(keep);
  } else {
    keep->acked = 0;
    keep->unsure = false;
  }
}

static void end_call(struct wwri_keep *keep, uint64_t now_ms) {
  keep->busy = false;
  memset(keep->notices, 0, sizeof keep->notices);
  if (!keep->ask_later) {
    wwri_keep_settle(keep);
    return;
  }
  keep->ask_later = false;
  wwri_keep_delay(keep, now_ms);
}

static void repeat(struct wwri_keep *keep) {
  keep->unsure = true;
  put_back_ops(keep);
}

static void judge_touch(struct wwri_keeper *keeper, const struct slot *slot,
                        const struct wwri_keeper_answer *answer, bool again,
                        uint64_t now_ms) {
  struct batch *batch = &keeper->batches[slot->batch];
  for (size_t i = 0; i < batch->count; i++) {
    struct wwri_keep *keep = batch->keeps[i];
    if (again) {
      repeat(keep);
    } else {
      bool gone = answer->gone && answer->gone[i];
      touched(keep, slot, &batch->touches[i], gone, now_ms);
    }
    end_call(keep, now_ms);
  }
  batch->used = false;
}

/* --- All --- */

/* SEND is for once at most: what was perhaps done is not repeated. */
static void unavailable(struct wwri_keep *keep, const struct slot *slot,
                        bool perhaps, uint64_t now_ms) {
  if (perhaps) {
    keep->unsure = true;
    wwri_keep_changed(keep, now_ms);
    if (slot->kind == WWRI_KEEP_SEND) end_all(keep, WWR_E_UNAVAILABLE);
  }
  put_back_ops(keep);
}

static void judge_one(struct wwri_keep *keep, const struct slot *slot,
                      const struct wwri_keeper_answer *answer,
                      uint64_t now_ms) {
  switch (slot->kind) {
    case WWRI_KEEP_CREATE:
      judge_create(keep, slot, answer, now_ms);
      break;
    case WWRI_KEEP_ATTACH:
      judge_attach(keep, slot, answer, now_ms);
      break;
    case WWRI_KEEP_LEAVE:
      judge_leave(keep, slot, answer, now_ms);
      break;
    case WWRI_KEEP_KILL:
      judge_kill(keep, slot, answer, now_ms);
      break;
    default:
      judge_question(keep, slot, answer);
      break;
  }
}

/* Not done, perhaps done, or done where it counts for nothing any more. */
static bool is_to_repeat(const struct slot *slot, enum wwri_keeper_word word) {
  if (word == WWRI_WORD_UNAVAILABLE || word == WWRI_WORD_UNKNOWN) return true;
  if (slot->kind == WWRI_KEEP_TOUCH && word != WWRI_WORD_OK) return true;
  return slot->old && slot->kind != WWRI_KEEP_PLACES &&
         slot->kind != WWRI_KEEP_SEND;
}

void wwri_keeper_judge(struct wwri_keeper *keeper, unsigned number,
                       const struct wwri_keeper_answer *answer,
                       uint64_t now_ms) {
  struct slot slot = keeper->slots[number];
  keeper->slots[number].used = false;
  keeper->free_slots[keeper->free_count++] = number;
  bool again = is_to_repeat(&slot, answer->word);
  if (answer->word == WWRI_WORD_ERROR) keeper->stats.errors++;
  if (again) {
    keeper->stats.refused++;
    keeper->resume_ms = now_ms + keeper->config.retry_ms;
  }
  if (slot.kind == WWRI_KEEP_TOUCH) {
    judge_touch(keeper, &slot, answer, again, now_ms);
    return;
  }
  keeper->ones--;
  if (slot.repair) keeper->repairs--;
  if (again) {
    unavailable(slot.keep, &slot,
                slot.old || answer->word != WWRI_WORD_UNAVAILABLE, now_ms);
  } else {
    judge_one(slot.keep, &slot, answer, now_ms);
  }
  end_call(slot.keep, now_ms);
}
