/* oracle.h - what must never happen, checked at every step, and what must have
 * happened once all is calm again (docs/cluster.md):
 * - an id names one message; ids rise within an epoch at each receiver;
 * - no receiver gets one publish call twice, in deliveries or history;
 * - acknowledged means appended, certainly failed means never appended; every
 *   call ends, once;
 * - a log holds a publish call once;
 * - an entry that a receiver skips was delivered before or is in a verdict;
 * - receivers without a verdict agree on the order of what both got;
 * - in the end: what was acknowledged was delivered to every receiver that was
 *   there throughout, or a verdict names the channel and range;
 * - delivery is prompt when nothing is wrong;
 * - of what a node has still to read few entries are its own (ahead.h);
 * - no verdict without a cause. */
#ifndef WWR_SIM_ORACLE_H
#define WWR_SIM_ORACLE_H

#include <stdio.h>

#include "model.h"

enum {
  PROCS = 24, /* lives of nodes in one run */
  CALLS_MAX = 6000,
  SUBS_MAX = 96,
  IDS_MAX = 12, /* ids that one call had, over all branches */
  VERDICTS_MAX = 400
};

enum { PROMPT_MAX_MS = 2000 };

enum call_state { CALL_OPEN, CALL_ACKED, CALL_FAILED, CALL_UNKNOWN };

struct call {
  unsigned proc, channel;
  struct wwri_boot boot;
  uint64_t seq;
  uint64_t at_ms;
  enum call_state state;
  uint64_t acked_ms;
  struct wwri_logid ids[IDS_MAX];
  unsigned id_count;
  bool declared_lost; /* by its publisher */
  bool stale;         /* the master that took it was no longer the cluster's */
  bool paced;         /* its node read the channel when it was published */
  uint8_t data[8];
};

struct receiver {
  unsigned proc, channel;
  bool joined, gone;
  uint64_t joined_ms;
  struct wwri_logid last; /* position of what was delivered or given last */
  uint8_t got[CALLS_MAX];
  uint32_t order[CALLS_MAX];
  size_t got_count;
};

struct verdict_record {
  unsigned proc, channel;
  uint64_t at_ms;
  struct wwri_verdict verdict;
};

struct id_record {
  unsigned channel;
  struct wwri_logid id; /* none: free */
  int call;             /* -1: a fork */
};

enum { ID_SLOTS = 1 << 14 };

struct oracle {
  struct call calls[CALLS_MAX];
  unsigned call_count;
  unsigned by_seq[PROCS][CALLS_MAX]; /* call + 1 */
  struct receiver receivers[SUBS_MAX];
  unsigned receiver_count;
  struct verdict_record verdicts[VERDICTS_MAX];
  unsigned verdict_count;
  unsigned verdict_kinds[4];
  struct id_record ids[ID_SLOTS];
  unsigned id_count;
  uint8_t named[PROCS][CALLS_MAX]; /* by a verdict of that process */
  bool killed[PROCS];
  bool may_lose;           /* a fault of this run destroys data */
  bool may_diverge;        /* ... or forgets a tail */
  uint64_t prompt_from_ms; /* from here on delivery must be prompt */
  uint64_t now_ms;
  FILE *trace; /* NULL: none */
  unsigned violations;
  char first[256]; /* the first violation */
  uint64_t acked, deliveries;
};

/** A violation; the first one is kept, all are traced. */
void oracle_fail(struct oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void oracle_trace(struct oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** A publish call; boot.hi is the process. NULL: no room for more. */
struct call *oracle_call(struct oracle *oracle, unsigned proc, unsigned channel,
                         struct wwri_boot boot, uint64_t seq);
struct call *oracle_find(struct oracle *oracle, struct wwri_boot boot,
                         uint64_t seq);
void oracle_outcome(struct oracle *oracle, struct call *call,
                    enum wwri_outcome outcome, struct wwri_logid id);
/** `stale`: the server is not the cluster's master. */
void oracle_added(struct oracle *oracle, const struct server *server,
                  bool stale, unsigned channel, const struct wwri_entry *entry);
/** The same: its node has read the channel's log up to `at`, and may have
 * `most` entries of its own beyond that. */
void oracle_ahead(struct oracle *oracle, const struct server *server,
                  unsigned channel, unsigned proc, struct wwri_logid at,
                  unsigned most);
void oracle_joined(struct oracle *oracle, struct receiver *receiver,
                   struct wwri_logid from, const struct wwri_entry *history,
                   size_t count, bool first);
void oracle_delivered(struct oracle *oracle, struct receiver *receiver,
                      const struct wwri_entry *entry);
/** `server`: whose log the node reads. */
void oracle_verdict(struct oracle *oracle, unsigned proc, unsigned channel,
                    const struct server *server,
                    const struct wwri_verdict *verdict);

/** All is calm: what should be there is. `master` has the log that counts. */
void oracle_end(struct oracle *oracle, const struct server *master);

#endif
