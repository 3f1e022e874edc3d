/* metrics.h - what Prometheus reads, in its text format 0.0.4. Pure: numbers
 * in, text out. docs/admin.md tells what each metric means. */
#ifndef WWRI_METRICS_H
#define WWRI_METRICS_H

#include <webwire/wwr_admin.h>
#include <webwire/wwr_server.h>

#include "admin.h"

/** What the kernel knows of the process. */
struct wwri_process {
  double cpu_seconds;
  double start_seconds; /* Unix time */
  uint64_t resident_bytes;
  uint64_t open_fds;
  uint64_t max_fds; /* UINT64_MAX: no limit */
};

/** Look it up; what can't be found is 0. Not pure. */
void wwri_process_read(struct wwri_process *out);

/** Everything that is told. */
struct wwri_metrics {
  const char *version;
  const char *node; /* NULL: unknown */
  struct wwr_server_stats stats;
  struct wwr_server_limits limits;
  struct wwr_cluster_state cluster;
  struct wwr_shard_row *shards; /* borrowed */
  size_t shard_count;
  struct wwr_drain_state drain;
  double loop_lag_seconds;
  double loop_silent_seconds;
  uint64_t limited_accept;
  struct wwri_admin_counters counters;
  struct wwri_process process;
};

/** The page, to free(), and its length; NULL without memory. */
char *wwri_metrics_render(const struct wwri_metrics *metrics, size_t *len);

#endif
