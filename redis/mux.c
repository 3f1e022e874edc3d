/* Happy path: sent goes to the back of a ring, answers consume its front.
 *
 * Failure modes: an unasked sunsubscribe may come just when one of the same
 * slot was asked for, and nothing tells them apart. It is then taken for the
 * confirmation; the true one comes later and is unsolicited, or is an error for
 * a slot that is not due. Either way the link of that slot starts over, which
 * it has to anyway: its slot has moved. */
#include "mux.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };

static struct wwri_mux_sent *at(const struct wwri_mux *mux, uint64_t number) {
  return &mux->ring[number & (mux->cap - 1)];
}

static struct wwri_mux_sent *front(const struct wwri_mux *mux) {
  return mux->first < mux->next ? at(mux, mux->first) : NULL;
}

void wwri_mux_deinit(struct wwri_mux *mux) {
  free(mux->ring);
  memset(mux, 0, sizeof(*mux));
}

wwr_err wwri_mux_reserve(struct wwri_mux *mux) {
  size_t count = (size_t)(mux->next - mux->first);
  if (count >= WWRI_MUX_MAX) return WWR_E_LIMIT;
  if (count < mux->cap) return WWR_OK;
  size_t cap = mux->cap ? mux->cap * 2 : FIRST_CAP;
  struct wwri_mux_sent *ring = calloc(cap, sizeof(*ring));
  if (!ring) return WWR_E_NOMEM;
  for (uint64_t n = mux->first; n < mux->next; n++) {
    ring[n & (cap - 1)] = *at(mux, n);
  }
  free(mux->ring);
  mux->ring = ring;
  mux->cap = cap;
  return WWR_OK;
}

/* Calls of one user at one time in a row are one entry. */
static bool extend(struct wwri_mux *mux, const void *user, uint64_t now_ms) {
  struct wwri_mux_sent *last =
      mux->first < mux->next ? at(mux, mux->next - 1) : NULL;
  if (!last || last->kind != WWRI_MUX_CALL || last->user != user ||
      last->sent_ms != now_ms || last->left == UINT32_MAX) {
    return false;
  }
  last->count++;
  last->left++;
  return true;
}

void wwri_mux_sent(struct wwri_mux *mux, void *user, enum wwri_mux_kind kind,
                   uint16_t slot, uint32_t count, uint64_t now_ms) {
  if (kind == WWRI_MUX_CALL && extend(mux, user, now_ms)) return;
  *at(mux, mux->next++) =
      (struct wwri_mux_sent){user, kind, slot, count, count, now_ms};
}

void wwri_mux_forget(struct wwri_mux *mux, const void *user) {
  for (uint64_t n = mux->first; n < mux->next; n++) {
    if (at(mux, n)->user == user) at(mux, n)->user = NULL;
  }
}

uint64_t wwri_mux_oldest_ms(const struct wwri_mux *mux) {
  const struct wwri_mux_sent *oldest = front(mux);
  return oldest ? oldest->sent_ms : UINT64_MAX;
}

static void consume(struct wwri_mux *mux, void **user) {
  struct wwri_mux_sent *it = front(mux);
  *user = it->user;
  if (--it->left == 0) mux->first++;
}

enum wwri_mux_verdict wwri_mux_answer(struct wwri_mux *mux, void **user) {
  if (!front(mux)) return WWRI_MUX_WRONG;
  consume(mux, user);
  return WWRI_MUX_OURS;
}

enum wwri_mux_verdict wwri_mux_confirmed(struct wwri_mux *mux, bool subscribe,
                                         uint16_t slot, void **user) {
  enum wwri_mux_kind kind =
      subscribe ? WWRI_MUX_SUBSCRIBE : WWRI_MUX_UNSUBSCRIBE;
  const struct wwri_mux_sent *it = front(mux);
  if (!it || it->kind != kind || it->slot != slot) {
    return subscribe ? WWRI_MUX_WRONG : WWRI_MUX_UNSOLICITED;
  }
  consume(mux, user);
  return WWRI_MUX_OURS;
}

enum wwri_mux_verdict wwri_mux_refused(struct wwri_mux *mux, bool moved,
                                       uint16_t slot, void **user) {
  struct wwri_mux_sent *it = front(mux);
  if (moved && (!it || it->slot != slot)) return WWRI_MUX_UNSOLICITED;
  /* A subscription that was begun is not refused any more; one that ends it
   * may be, when the rest of it was taken for confirmed. */
  if (!it || (it->left != it->count && it->kind == WWRI_MUX_SUBSCRIBE)) {
    return WWRI_MUX_WRONG;
  }
  *user = it->user;
  mux->first++;
  return WWRI_MUX_OURS;
}
