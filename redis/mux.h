/* mux.h - whose turn it is on a connection that several links share: what was
 * sent, in order, and what each answer belongs to. Pure.
 *
 * Answers come in the order of commands. On the subscribers' connection a
 * command with n channels is answered by n confirmations, or by one error that
 * names no channel; between them come messages, and sunsubscribe for channels
 * whose slot has moved away, which nobody asked for. */
#ifndef WWRI_REDIS_MUX_H
#define WWRI_REDIS_MUX_H

#include "wwr_err.h"

enum { WWRI_MUX_MAX = 1 << 20 /* entries; calls in a row are one */ };

enum wwri_mux_kind {
  WWRI_MUX_CALL,        /* one answer of any kind */
  WWRI_MUX_SUBSCRIBE,   /* `count` times ssubscribe */
  WWRI_MUX_UNSUBSCRIBE, /* `count` times sunsubscribe */
};

/** What was sent for one user. */
struct wwri_mux_sent {
  void *user; /* NULL: nobody is interested */
  enum wwri_mux_kind kind;
  uint16_t slot; /* of the channels */
  uint32_t count;
  uint32_t left;
  uint64_t sent_ms;
};

/** Zeroed: nothing was sent. */
struct wwri_mux {
  struct wwri_mux_sent *ring;
  size_t cap; /* power of two */
  uint64_t first;
  uint64_t next;
};

void wwri_mux_deinit(struct wwri_mux *mux);

/** Make sure that wwri_mux_sent() can be called once. WWR_E_LIMIT,
 * WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_mux_reserve(struct wwri_mux *mux);

/** A command was sent; room for it was reserved. */
void wwri_mux_sent(struct wwri_mux *mux, void *user, enum wwri_mux_kind kind,
                   uint16_t slot, uint32_t count, uint64_t now_ms);

/** A user goes: its answers will be dropped. */
void wwri_mux_forget(struct wwri_mux *mux, const void *user);

/** When the oldest that is not answered was sent; UINT64_MAX: there is none. */
uint64_t wwri_mux_oldest_ms(const struct wwri_mux *mux);

enum wwri_mux_verdict {
  WWRI_MUX_OURS,        /* *user gets it; NULL: nobody */
  WWRI_MUX_UNSOLICITED, /* belongs to nothing that was sent, and may come */
  WWRI_MUX_WRONG        /* can't be: the connection is not to be trusted */
};

/** An answer on the commands' connection. */
enum wwri_mux_verdict wwri_mux_answer(struct wwri_mux *mux, void **user);

/** ssubscribe or sunsubscribe came, for a channel in `slot`. */
enum wwri_mux_verdict wwri_mux_confirmed(struct wwri_mux *mux, bool subscribe,
                                         uint16_t slot, void **user);

/** An error came on the subscribers' connection. `moved`: it is a redirection
 * and names `slot`; one of a slot that is not due answers a command that was
 * taken for confirmed by an unasked sunsubscribe: UNSOLICITED. */
enum wwri_mux_verdict wwri_mux_refused(struct wwri_mux *mux, bool moved,
                                       uint16_t slot, void **user);

#endif
