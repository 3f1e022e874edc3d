/* What Kubernetes, load balancers and Prometheus ask; open to everybody who
 * reaches the listener. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "metrics.h"

enum { SILENT_MS = 5000, LINES_MAX = 512 };

/* Asking forgets the lag: it is kept for the next scrape. */
static struct wwr_loops_state ask_loops(struct wwri_admin *admin) {
  struct wwr_loops_state loops;
  wwr_server_loops(admin->opts.server, &loops);
  if (loops.lag_us > admin->lag_us) admin->lag_us = loops.lag_us;
  return loops;
}

void wwri_probe_live(struct wwri_ask *ask) {
  struct wwr_loops_state loops = ask_loops(ask->admin);
  char text[128];
  if (loops.silent_ms <= SILENT_MS) {
    wwri_answer_text(ask, 200, "ok\n");
    return;
  }
  snprintf(text, sizeof text, "an I/O thread has not turned for %.1f s\n",
           (double)loops.silent_ms / 1000);
  wwri_answer_text(ask, 503, text);
}

/* --- Ready ---------------------------------------------------------------- */

static void add_line(char *lines, const char *line) {
  size_t len = strlen(lines);
  snprintf(lines + len, LINES_MAX - len, "%.300s\n", line);
}

static void add_cluster(char *lines, const struct wwr_server *server) {
  struct wwr_cluster_state state;
  char line[256];
  wwr_server_cluster(server, &state);
  if (state.health == WWR_HEALTH_REFUSED) {
    snprintf(line, sizeof line, "settings refused: %s", state.reason);
    add_line(lines, line);
  } else if (state.health == WWR_HEALTH_UNREADY) {
    snprintf(line, sizeof line, "%s, for %llu s", state.reason,
             (unsigned long long)state.beat_age_ms / 1000);
    add_line(lines, line);
  }
}

static void add_limits(char *lines, const struct wwr_server *server) {
  struct wwr_server_limits limits;
  struct wwr_server_stats stats;
  char line[128];
  wwr_server_limits(server, &limits);
  wwr_server_stats(server, &stats);
  if (!limits.max_connections || stats.connections < limits.max_connections) {
    return;
  }
  snprintf(line, sizeof line, "over limits: %llu of %u connections",
           (unsigned long long)stats.connections, limits.max_connections);
  add_line(lines, line);
}

static void ready_reasons(struct wwri_admin *admin, char *lines) {
  const struct wwr_server *server = admin->opts.server;
  struct wwr_drain_state drain;
  *lines = '\0';
  if (!*wwr_server_address(server)) {
    add_line(lines, "starting");
    return;
  }
  wwr_server_drain_state(server, &drain);
  if (drain.draining) add_line(lines, "draining");
  add_cluster(lines, server);
  add_limits(lines, server);
}

void wwri_probe_ready(struct wwri_ask *ask) {
  char lines[LINES_MAX];
  ready_reasons(ask->admin, lines);
  if (*lines) {
    wwri_answer_text(ask, 503, lines);
  } else {
    wwri_answer_text(ask, 200, "ready\n");
  }
}

/* --- Metrics -------------------------------------------------------------- */

/* To free(); none without memory, and then this page has none. */
static struct wwr_shard_row *read_shards(const struct wwr_server *server,
                                         size_t *count) {
  struct wwr_shard_row *rows = calloc(WWR_SHARDS_MAX, sizeof *rows);
  *count = rows ? wwr_server_shards(server, rows, WWR_SHARDS_MAX) : 0;
  return rows;
}

void wwri_probe_metrics(struct wwri_ask *ask) {
  static const char type[] = "text/plain; version=0.0.4; charset=utf-8";
  struct wwri_admin *admin = ask->admin;
  struct wwr_server *server = admin->opts.server;
  struct wwr_loops_state loops = ask_loops(admin);
  struct wwri_metrics metrics = {
      .version = wwr_version(),
      .node = admin->name,
      .loop_lag_seconds = (double)admin->lag_us / 1e6,
      .loop_silent_seconds = (double)loops.silent_ms / 1000};
  admin->lag_us = 0;
  wwr_server_stats(server, &metrics.stats);
  metrics.limited_accept = metrics.stats.delayed;
  wwr_server_limits(server, &metrics.limits);
  wwr_server_cluster(server, &metrics.cluster);
  metrics.shards = read_shards(server, &metrics.shard_count);
  wwr_server_drain_state(server, &metrics.drain);
  wwri_process_read(&metrics.process);
  if (admin->opts.counters) {
    admin->opts.counters(&metrics.counters, admin->opts.user_data);
  }
  size_t len = 0;
  char *page = wwri_metrics_render(&metrics, &len);
  free(metrics.shards);
  wwri_answer_take(ask, 200, type, page, len);
}
