/* bus_ledger.h - three memberships in this process on one Redis, publishers and
 * receivers on all of them, and a ledger of every message: who published it,
 * how that ended, who got it and when. What the ledger says at the end is the
 * verdict over the bus:
 *   lost       acknowledged, not received by one who was subscribed throughout,
 *              and no verdict on its node or the publisher's names it
 *   lied       received though its publish ended as "nobody will ever see it"
 *   duplicates, reordered: by publisher; disordered: two receivers disagree
 */
#ifndef BUS_LEDGER_H
#define BUS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum {
  LEDGER_NODES = 3,
  LEDGER_CHANNELS = 4,
  LEDGER_WAIT_MS = 90000 /* for anything that must happen in the end */
};

struct ledger_opts {
  const char *url;
  const char *const *names; /* of the channels; NULL: "ch0", "ch1", ... */
  uint32_t hold_ms;
  uint32_t pace_ms; /* between a publisher's messages */
  uint32_t payload; /* bytes of each, at least 16 */
  uint32_t log_entries;
  bool shards; /* control messages keep their order only while all are there */
};

/* Start the nodes, subscribe everybody everywhere, wait until all stands and
 * every node has published. Asserts that it does. */
void ledger_open(const struct ledger_opts *opts);

/* The fault begins, is over: recovery is measured from the latter. */
void ledger_fault_over(void);

/* Wait until every publisher had a message acknowledged and every receiver got
 * one that was published since ledger_fault_over(). Asserts that they do. */
void ledger_await_recovery(void);

/* Wait until so many messages more were acknowledged (by all together). False
 * after LEDGER_WAIT_MS. */
bool ledger_await_acked(uint64_t more);

/* Wait until a node's health is (not) ready. */
bool ledger_await_ready(bool ready);

/* Every node publishes one message of 60,000 bytes among the others. */
void ledger_publish_big(void);

/* One channel: what its publishers and receivers waited at most, from making a
 * message to its end and to its arrival. */
struct ledger_channel_sums {
  uint64_t acked, failed, unknown, verdicts;
  int64_t longest_ack_ms, longest_way_ms;
};

struct ledger_sums {
  uint64_t published, acked, failed, unknown; /* publishes, by their end */
  uint64_t received, expected;                /* deliveries */
  uint64_t lost, excused, lied, duplicates, reordered, disordered;
  uint64_t verdicts[4]; /* by kind */
  uint64_t controls, controls_lost, controls_excused, controls_bad;
  uint64_t controls_reordered; /* over several Redis: those of different ones */
  uint64_t history_bad; /* entries of the last 256 that are twice in the log, or
                           in another order than they were published in */
  uint64_t away;        /* times that a node was no longer ready */
  uint64_t unready;     /* ... and said that it can't serve */
  int64_t recovery_ms;  /* the last of all */
  int64_t longest_ack_ms;
  int64_t late_ms; /* how late this process was woken at worst */
  struct ledger_channel_sums channels[LEDGER_CHANNELS];
};

/* Stop publishing, wait until everything ended and everybody got the last
 * message of every publisher, compare presence on all nodes, sum up, print one
 * line beginning with `name`, close all. */
struct ledger_sums ledger_close(const char *name);

/* The end of a run: wait for the recovery, close, and assert what may never be,
 * whatever Redis did: nothing lost without a verdict, doubled, out of order. */
struct ledger_sums ledger_end(const char *name);

/* Redis forgot nothing and was away for less than the hold time: every publish
 * succeeded, everybody got everything. */
void ledger_expect_whole(const struct ledger_sums *sums);

/* No node took Redis for away: unless something stood still so long that a beat
 * may have been missed, which messages then show, or the process itself. */
void ledger_expect_calm(const struct ledger_sums *sums);

/* What may take `ms`, on a machine that was as late as it was. */
int64_t ledger_allowed(const struct ledger_sums *sums, int64_t ms);

/* The publishers live: what Redis forgot they published again. */
void ledger_expect_complete(const struct ledger_sums *sums);

#endif
