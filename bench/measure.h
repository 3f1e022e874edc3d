/* measure.h - the measured stretch of a run, and the reckoning at its end. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "hist.h"
#include "net.h"
#include "options.h"
#include "procstat.h"

/** Counters at one moment. */
struct snapshot {
  uint64_t at_ns;
  uint64_t done;
  uint64_t own_cpu_ns;
  struct procstat server;
};

struct measure {
  const struct options *options;
  struct net net;
  struct hist latency; /* nanoseconds; of what was due in the stretch */
  /** Begin what may begin now, as the mode wants; called after every poll.
   * Nanoseconds until more is due, UINT64_MAX when nothing is. NULL: nothing
   * ever is. */
  uint64_t (*pump)(struct measure *measure);
  uint64_t began_ns;     /* nothing is due before; --rate counts from here */
  uint64_t record_ns;    /* the measured stretch begins */
  uint64_t end_ns;       /* and ends: nothing is due from here on */
  uint64_t issued;       /* messages or visits begun */
  uint64_t open;         /* of those, not finished */
  uint64_t done;         /* requests answered, deliveries, connections opened */
  bool stuck;            /* nothing can be begun any more; an error was said */
  bool has_server;       /* the snapshots' `server` is known */
  struct procstat empty; /* the server before the first connection */
  struct snapshot begin;
  struct snapshot end;

  uint64_t lost; /* connections that MODE_RECONNECT saw break */

  /* The reckoning: all must be zero. */
  uint64_t unsent;      /* due by --rate or --count, never sent */
  uint64_t unanswered;  /* requests without an answer when all was over */
  uint64_t undelivered; /* what a subscriber did not get */
  uint64_t duplicated;  /* what a subscriber got twice */
  uint64_t disordered;  /* what came behind a later one of the same sender, in
                           another order than elsewhere, or a reply before its
                           signal */
  uint64_t refused;     /* answered with an error */
  uint64_t unexpected;  /* answers to nothing, or of an unknown kind */
  uint64_t wrong;       /* another payload than expected */
};

/** May another one begin now? With --rate: when it was due is *due_ns. False
 * when not: then *wait_ns is how long to wait, UINT64_MAX for ever. */
bool measure_may_issue(const struct measure *measure, uint64_t *due_ns,
                       uint64_t *wait_ns);

/** Count one that was begun. */
void measure_issued(struct measure *measure);

/** Count one finished request, delivery or visit that was due at `due_ns`. */
void measure_done(struct measure *measure, uint64_t due_ns);

/** False, with a complaint, when the server takes no messages of this size. */
bool measure_fits(const struct measure *measure, size_t bytes);

/** Warm up, measure, and wait for what is still open. */
void measure_run(struct measure *measure);

/** True when the reckoning is flawless. */
bool measure_is_good(const struct measure *measure);

/* The modes: open connections, measure, reckon. False when it could not be
 * measured at all, which they have explained. */
bool echo_run(struct measure *measure);
bool fanout_run(struct measure *measure);
bool channels_run(struct measure *measure);
bool connect_run(struct measure *measure);
bool reconnect_run(struct measure *measure);
bool idle_run(struct measure *measure);

/** Print the result to stdout as the options say. */
void report(const struct measure *measure);

#endif
