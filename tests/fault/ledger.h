/* ledger.h - the books of a fault run: who sent what, what was answered, who
 * received it, and what the nodes declared. At the end it counts what was lost
 * without a verdict, doubled and out of order.
 *
 * Lost means: acknowledged, the receiver's connection was open from before it
 * was sent to the end, it did not arrive, and no verdict of the run names its
 * place in the channel's log. With `history` also connections that were open at
 * the end but broke meanwhile must have it, from the log.
 *
 * Times are in microseconds of one clock. Thread-safe. */
#ifndef WWR_TEST_LEDGER_H
#define WWR_TEST_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger; /* opaque */

enum ledger_answer {
  LEDGER_OPEN,    /* no answer yet */
  LEDGER_ACKED,   /* accepted */
  LEDGER_FAILED,  /* certainly not: must reach nobody */
  LEDGER_UNKNOWN, /* can't tell */
  LEDGER_ANSWERS
};

enum ledger_verdict {
  LEDGER_LOST,
  LEDGER_DIVERGED,
  LEDGER_RESET,
  LEDGER_UNCERTAIN,
  LEDGER_VERDICTS
};

struct ledger_id {
  uint64_t epoch, offset;
};

/** NULL without memory. */
struct ledger *ledger_new(size_t clients);
void ledger_free(struct ledger *ledger);

/** A client is about to send its next message; its number, or SIZE_MAX when the
 * books are full. */
size_t ledger_send(struct ledger *ledger, size_t client, uint64_t now_us);
void ledger_answer(struct ledger *ledger, size_t message,
                   enum ledger_answer answer);

/** A client receives from now on; or it does no longer. */
void ledger_open(struct ledger *ledger, size_t client, uint64_t now_us);
void ledger_close(struct ledger *ledger, size_t client);

/** It arrived as a signal; or was found in the history. */
void ledger_receive(struct ledger *ledger, size_t client, size_t message,
                    uint64_t now_us);
void ledger_read(struct ledger *ledger, size_t client, size_t message);

/** The log has it there (the last place counts). */
void ledger_logged(struct ledger *ledger, size_t message, struct ledger_id id);

/** A node declared something. `from`..`to` inclusive; all zero: unnamed. */
void ledger_verdict(struct ledger *ledger, enum ledger_verdict kind,
                    struct ledger_id from, struct ledger_id to);

/** A node with these clients was just killed: what they have sent so far is
 * excused by an `uncertain`. */
void ledger_killed(struct ledger *ledger, const bool *clients);

/** True when every message that was sent is answered and every acknowledged one
 * has arrived where it must. */
bool ledger_settled(struct ledger *ledger, bool history);

struct ledger_sum {
  size_t sent;
  size_t answers[LEDGER_ANSWERS];
  size_t delivered; /* signals received */
  size_t lost;      /* without a verdict */
  size_t excused;   /* ... with one */
  size_t undead;    /* certainly failed, and received all the same */
  size_t duplicated;
  size_t reordered; /* against other clients, or a sender's order */
  size_t verdicts[LEDGER_VERDICTS];
  uint64_t last_us;  /* when the last message sent before `heal_us` arrived */
  uint64_t worst_us; /* longest way from sending to arriving */
};

/** Add up. `heal_us`: see last_us. Prints up to ten findings to stderr. */
void ledger_sum(struct ledger *ledger, bool history, uint64_t heal_us,
                struct ledger_sum *out);

/** A message's text, "CLIENT-NUMBER-MESSAGE"; and back, SIZE_MAX: none. */
void ledger_text(struct ledger *ledger, size_t message, char out[64]);
size_t ledger_parse(struct ledger *ledger, const char *text);

#endif
