#include "measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define TURN_NS   100000000ULL
#define SECOND_NS 1000000000ULL

static uint64_t ns_of(double seconds) {
  return (uint64_t)(seconds * 1e9);
}

/* Without --rate what may begin at all is due now; while connections settle
 * nothing is. */
bool measure_may_issue(const struct measure *measure, uint64_t *due_ns,
                       uint64_t *wait_ns) {
  const struct options *options = measure->options;
  uint64_t now = net_clock_ns();
  *wait_ns = UINT64_MAX;
  if (measure->began_ns > now) return false;
  *due_ns =
      options->rate > 0
          ? measure->began_ns + ns_of((double)measure->issued / options->rate)
          : now;
  if ((options->count > 0 && measure->issued >= options->count) ||
      *due_ns >= measure->end_ns)
    return false;
  if (*due_ns > now) *wait_ns = *due_ns - now;
  return *due_ns <= now;
}

void measure_issued(struct measure *measure) {
  measure->issued++;
  measure->open++;
}

/* By when it was due, not by when it came: who waits longest is not left out
 * because the stretch is over. */
void measure_done(struct measure *measure, uint64_t due_ns) {
  measure->done++;
  if (due_ns >= measure->record_ns && due_ns < measure->end_ns)
    hist_add(&measure->latency,
             measure->net.now_ns > due_ns ? measure->net.now_ns - due_ns : 0);
}

bool measure_fits(const struct measure *measure, size_t bytes) {
  uint32_t most = measure->net.greeting.message_bytes;
  if (most == 0 || bytes <= most) return true;
  fprintf(stderr,
          "webwire-bench: --size: the server takes messages of %u bytes\n",
          most);
  return false;
}

static void take(struct measure *measure, struct snapshot *snapshot) {
  const struct options *options = measure->options;
  snapshot->at_ns = net_clock_ns();
  snapshot->done = measure->done;
  snapshot->own_cpu_ns = procstat_own_cpu_ns();
  measure->has_server =
      procstat_read(options->pids, options->pid_count, &snapshot->server);
}

/* --- Progress ------------------------------------------------------------- */

struct progress {
  uint64_t last_ns;
  uint64_t last_done;
  bool shown;
};

static void show(const struct measure *measure, struct progress *progress,
                 uint64_t now) {
  uint64_t passed = now - progress->last_ns;
  if (passed < SECOND_NS || !isatty(STDERR_FILENO)) return;
  const struct options *options = measure->options;
  double total = options->warmup + options->seconds;
  fprintf(stderr, "\r\033[K%s %.0f of %.0f s: %.0f/s, %" PRIu64 " in all",
          now < measure->began_ns    ? "settling"
          : now < measure->record_ns ? "warming up"
          : now < measure->end_ns    ? "measuring"
                                     : "waiting for the rest",
          now < measure->began_ns ? 0 : (double)(now - measure->began_ns) / 1e9,
          total,
          (double)(measure->done - progress->last_done) * 1e9 / (double)passed,
          measure->done);
  if (measure->latency.count > 0)
    fprintf(stderr, ", p50 %.2f ms, p99 %.2f ms",
            (double)hist_percentile(&measure->latency, 50) / 1e6,
            (double)hist_percentile(&measure->latency, 99) / 1e6);
  if (measure->net.broken > 0)
    fprintf(stderr, ", %" PRIu64 " connections broken", measure->net.broken);
  progress->last_ns = now;
  progress->last_done = measure->done;
  progress->shown = true;
}

/* --- Running -------------------------------------------------------------- */

/* All of --count is begun, and finished. */
static bool complete(const struct measure *measure) {
  uint64_t count = measure->options->count;
  return count > 0 && measure->issued >= count && measure->open == 0;
}

/* Where no connection is open, there may be one again. */
static bool opens_again(const struct measure *measure) {
  return measure->options->mode == MODE_CONNECT ||
         measure->options->mode == MODE_RECONNECT;
}

/* Poll until then; false when there is nothing left to wait for. */
static bool poll_until(struct measure *measure, uint64_t end,
                       struct progress *progress) {
  struct net *net = &measure->net;
  for (uint64_t now = net_clock_ns(); now < end; now = net_clock_ns()) {
    uint64_t wait = end - now < TURN_NS ? end - now : TURN_NS;
    if (measure->pump) {
      uint64_t due = measure->pump(measure);
      if (due < wait) wait = due;
    }
    if (complete(measure) || measure->stuck) return false;
    if (net->open == 0 && !opens_again(measure)) return false;
    net_poll(net, wait);
    show(measure, progress, net->now_ns);
  }
  return true;
}

/* What is open, and by --rate what was due and could not be sent. */
static void drain(struct measure *measure, struct progress *progress) {
  uint64_t end = net_clock_ns() + ns_of(measure->options->patience);
  uint64_t due, wait;
  struct net *net = &measure->net;
  for (uint64_t now = net_clock_ns(); now < end; now = net_clock_ns()) {
    if (measure->pump) measure->pump(measure);
    if (measure->stuck ||
        (measure->open == 0 && !measure_may_issue(measure, &due, &wait)))
      return;
    if (net->open == 0 && !opens_again(measure)) return;
    net_poll(net, end - now < TURN_NS ? end - now : TURN_NS);
    show(measure, progress, net->now_ns);
  }
}

/* What was due before the end and never began. */
static uint64_t unsent(const struct measure *measure) {
  const struct options *options = measure->options;
  uint64_t wanted = options->count;
  if (options->rate > 0) {
    double span = (double)(measure->end_ns - measure->began_ns) / 1e9;
    uint64_t due = (uint64_t)(span * options->rate);
    if (wanted == 0 || due < wanted) wanted = due;
  }
  return wanted > measure->issued ? wanted - measure->issued : 0;
}

/* The stretch begins when the warm-up really ended, or a machine that stalled
 * just then would leave nothing of it. */
void measure_run(struct measure *measure) {
  const struct options *options = measure->options;
  struct progress progress = {.last_ns = net_clock_ns()};
  measure->record_ns = measure->end_ns = UINT64_MAX;
  measure->began_ns = UINT64_MAX;
  poll_until(measure, progress.last_ns + ns_of(options->settle), &progress);
  measure->began_ns = net_clock_ns();
  bool more = poll_until(measure, measure->began_ns + ns_of(options->warmup),
                         &progress);
  measure->record_ns = net_clock_ns();
  measure->end_ns = measure->record_ns + ns_of(options->seconds);
  take(measure, &measure->begin);
  if (more) poll_until(measure, measure->end_ns, &progress);
  take(measure, &measure->end);
  drain(measure, &progress);
  measure->unsent = unsent(measure);
  if (progress.shown) fputs("\r\033[K", stderr);
}

bool measure_is_good(const struct measure *measure) {
  return measure->unsent == 0 && measure->unanswered == 0 &&
         measure->undelivered == 0 && measure->duplicated == 0 &&
         measure->disordered == 0 && measure->refused == 0 &&
         measure->unexpected == 0 && measure->wrong == 0 &&
         measure->net.broken == 0;
}
