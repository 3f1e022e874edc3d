/* webwire-bench: measure a server from outside, and account for every message.
 */
#include "measure.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool run(struct measure *measure) {
  const struct options *options = measure->options;
  if (options->pid_count > 0 &&
      !procstat_read(options->pids, options->pid_count, &measure->empty)) {
    fprintf(stderr, "webwire-bench: can't read /proc of --pid: %s\n",
            strerror(errno));
    return false;
  }
  if (!net_init(&measure->net, options,
                mode_sends(options->mode) ? options->publishers : 0))
    return false;
  switch (options->mode) {
    case MODE_ECHO:
    case MODE_ASK:
      return echo_run(measure);
    case MODE_BROADCAST:
    case MODE_PUBSUB:
      return fanout_run(measure);
    case MODE_CHANNELS:
      return channels_run(measure);
    case MODE_CONNECT:
      return connect_run(measure);
    case MODE_RECONNECT:
      return reconnect_run(measure);
    case MODE_IDLE:
      return idle_run(measure);
  }
  return false;
}

int main(int argc, char **argv) {
  struct options options;
  int status;
  signal(SIGPIPE, SIG_IGN);
  if (!options_parse(&options, argc, argv, &status)) return status;
  struct measure *measure = calloc(1, sizeof *measure);
  if (!measure) return 1;
  measure->options = &options;
  measure->net.epoll = -1;
  status = 1;
  if (run(measure)) {
    report(measure);
    if (measure_is_good(measure)) status = 0;
  }
  net_deinit(&measure->net);
  free(measure);
  return status;
}
