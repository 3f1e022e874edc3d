/* chatters.h - a crowd of real clients in a chat room: each says numbered
 * messages at a steady rate and notes in the ledger what it hears. They come
 * back by themselves when their connection breaks, and then ask for the
 * history. */
#ifndef WWR_TEST_CHATTERS_H
#define WWR_TEST_CHATTERS_H

#include "ledger.h"

enum { CHATTERS_MAX = 200, CHATTERS_PAD_MAX = 100000 };

struct chatters; /* opaque */

struct chatters_opts {
  const char *const *addresses; /* client i joins addresses[i % count] */
  size_t address_count;
  size_t count;
  unsigned rate; /* messages per second of all together */
  unsigned pad;  /* blanks behind each message, at most CHATTERS_PAD_MAX */
  struct ledger *ledger;
};

/** Join; nobody speaks yet. NULL, and the reason on stderr, when not all are in
 * within 20 s. */
struct chatters *chatters_join(const struct chatters_opts *opts);

/** Begin to speak; stop speaking (what is open goes on). */
void chatters_speak(struct chatters *chatters);
void chatters_hush(struct chatters *chatters);

/** Wait until nobody waits for an answer and all acknowledged messages arrived
 * where they must, all connections being open. False: not in time. */
bool chatters_settle(struct chatters *chatters, bool history, int timeout_ms);

/** How many are connected and have read the history. */
size_t chatters_open(struct chatters *chatters);

/** How many connections broke so far, of all. */
size_t chatters_breaks(struct chatters *chatters);

/** The longest time that one of them was without a node: from a lost connection
 * until it has read the history again. */
uint64_t chatters_away_us(struct chatters *chatters);

/** Which of them have lost their connection since they joined. */
void chatters_broken(struct chatters *chatters, bool *broken);

/** So many others join, hear somebody, and leave, `at_once` at a time. False,
 * and the reason on stderr, when one could not. */
bool chatters_flap(struct chatters *chatters, size_t visits, size_t at_once);

/** Leave, free. NULL does nothing. */
void chatters_free(struct chatters *chatters);

/** The clock that goes into the ledger. */
uint64_t chatters_now_us(void);

#endif
