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
  struct hist latency; /* nanoseconds; of the measured stretch */
  /** Send what is due, as the mode wants; nanoseconds until more is. NULL:
   * nothing is ever due. */
  uint64_t (*due)(struct measure *measure);
  bool recording;        /* false during warm-up and drain */
  uint64_t done;         /* requests answered, or deliveries received */
  bool has_server;       /* the snapshots' `server` is known */
  struct procstat empty; /* the server before the first connection */
  struct snapshot begin;
  struct snapshot end;

  /* The reckoning. Everything but the first must be zero. */
  uint64_t issued;
  uint64_t unanswered;  /* requests without an answer when all was over */
  uint64_t undelivered; /* signals that a subscriber did not get */
  uint64_t refused;     /* answered with an error */
  uint64_t unexpected;  /* answers to nothing, or for the second time */
  uint64_t wrong;       /* another payload than expected */
  uint64_t disordered;  /* signals out of order, or a reply before its signal */
};

/** Count one finished request or delivery that was sent at `sent_ns`. */
void measure_done(struct measure *measure, uint64_t sent_ns);

/** False, with a complaint, when the server takes no messages of this size. */
bool measure_fits(const struct measure *measure, uint32_t bytes);

/** Poll for the warm-up and then for the measured stretch. */
void measure_run(struct measure *measure);

/** Poll until `*open` is zero, at most 10 s. */
void measure_drain(struct measure *measure, const uint64_t *open);

/** True when the reckoning is flawless. */
bool measure_is_good(const struct measure *measure);

/* The modes: open connections, measure, reckon. False when it could not be
 * measured at all, which they have explained. */
bool echo_run(struct measure *measure);
bool broadcast_run(struct measure *measure);
bool idle_run(struct measure *measure);

/** Print the result to stdout as the options say. */
void report(const struct measure *measure);

#endif
