#include "measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DRAIN_NS 10000000000ULL
#define TURN_NS  100000000ULL

void measure_done(struct measure *measure, uint64_t sent_ns) {
  measure->done++;
  if (measure->recording)
    hist_add(&measure->latency, measure->net.now_ns - sent_ns);
}

bool measure_fits(const struct measure *measure, uint32_t bytes) {
  if (bytes <= measure->net.message_bytes) return true;
  fprintf(stderr,
          "webwire-bench: --size: the server takes messages of %u bytes\n",
          measure->net.message_bytes);
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

static void progress(const struct measure *measure, uint64_t *last_ns,
                     uint64_t *last_done) {
  uint64_t passed = measure->net.now_ns - *last_ns;
  if (passed < 1000000000 || !isatty(STDERR_FILENO)) return;
  fprintf(stderr, "\r%s: %.0f/s, %" PRIu64 " in all%s ",
          measure->recording ? "measuring" : "warming up",
          (double)(measure->done - *last_done) * 1e9 / (double)passed,
          measure->done, measure->net.broken ? ", connections broken" : "");
  *last_ns = measure->net.now_ns;
  *last_done = measure->done;
}

static void poll_for(struct measure *measure, double seconds) {
  uint64_t now = net_clock_ns();
  uint64_t end = now + (uint64_t)(seconds * 1e9);
  uint64_t last_ns = now, last_done = measure->done;
  while (now < end && measure->net.open > 0) {
    uint64_t wait = end - now < TURN_NS ? end - now : TURN_NS;
    if (measure->due) {
      uint64_t due = measure->due(measure);
      if (due < wait) wait = due;
    }
    net_poll(&measure->net, wait);
    progress(measure, &last_ns, &last_done);
    now = net_clock_ns();
  }
}

void measure_run(struct measure *measure) {
  poll_for(measure, measure->options->warmup);
  measure->recording = true;
  take(measure, &measure->begin);
  poll_for(measure, measure->options->seconds);
  take(measure, &measure->end);
  measure->recording = false;
  if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

void measure_drain(struct measure *measure, const uint64_t *open) {
  uint64_t end = net_clock_ns() + DRAIN_NS;
  while (*open > 0 && measure->net.open > 0 && net_clock_ns() < end)
    net_poll(&measure->net, TURN_NS);
}

bool measure_is_good(const struct measure *measure) {
  return measure->unanswered == 0 && measure->undelivered == 0 &&
         measure->refused == 0 && measure->unexpected == 0 &&
         measure->wrong == 0 && measure->disordered == 0 &&
         measure->net.broken == 0;
}
