/* The page of metrics. Every series is there from the start, also at 0: a
 * counter that is born with 1 has no increase that Prometheus could see. */
#include "metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void family(FILE *out, const char *name, const char *type,
                   const char *help) {
  fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(FILE *out, const char *name, const char *help,
                    uint64_t value) {
  family(out, name, "counter", help);
  fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void gauge(FILE *out, const char *name, const char *help,
                  uint64_t value) {
  family(out, name, "gauge", help);
  fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void gauge_seconds(FILE *out, const char *name, const char *help,
                          double value) {
  family(out, name, "gauge", help);
  fprintf(out, "%s %.9g\n", name, value);
}

/* A gauge for which no limit is a value as well. */
static void gauge_limit(FILE *out, const char *name, const char *help,
                        bool limited, uint64_t value) {
  family(out, name, "gauge", help);
  if (limited) {
    fprintf(out, "%s %" PRIu64 "\n", name, value);
  } else {
    fprintf(out, "%s +Inf\n", name);
  }
}

static void labelled(FILE *out, const char *name, const char *label,
                     const char *value, uint64_t number) {
  fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, number);
}

/* A label's value from outside: the three characters that mean something. */
static void put_escaped(FILE *out, const char *text) {
  for (; *text; text++) {
    if (*text == '\\' || *text == '"') fputc('\\', out);
    if (*text == '\n') {
      fputs("\\n", out);
    } else {
      fputc(*text, out);
    }
  }
}

static void render_build(FILE *out, const struct wwri_metrics *metrics) {
  static const char name[] = "webwire_build_info";
  family(out, name, "gauge", "Always 1; which version and node this is.");
  fprintf(out, "%s{version=\"", name);
  put_escaped(out, metrics->version);
  fputs("\",node=\"", out);
  put_escaped(out, metrics->node ? metrics->node : "");
  fputs("\"} 1\n", out);
}

static void render_server(FILE *out, const struct wwri_metrics *metrics) {
  const struct wwr_server_stats *stats = &metrics->stats;
  uint32_t limit = metrics->limits.max_connections;
  gauge(out, "webwire_connections", "Clients that are connected to this node.",
        stats->connections);
  gauge_limit(out, "webwire_connections_limit",
              "How many may be; +Inf when only descriptors limit them.",
              limit > 0, limit);
  counter(out, "webwire_accepted_total", "Connections that were accepted.",
          stats->accepted);
  counter(out, "webwire_refused_total",
          "Connections that were refused: limits, origins, shutting down.",
          stats->refused);
  counter(out, "webwire_slow_consumers_total",
          "Connections closed because the client read too slowly.",
          stats->slow_consumers);
  counter(out, "webwire_read_timeouts_total",
          "Connections closed because nothing was heard from the client.",
          stats->read_timeouts);
  counter(out, "webwire_violations_total",
          "Connections closed because the client broke the protocol.",
          stats->violations);
  counter(out, "webwire_requests_total", "Requests that arrived.",
          stats->requests);
  counter(out, "webwire_signals_received_total", "Signals that arrived.",
          stats->signals_in);
  counter(out, "webwire_signals_sent_total",
          "Signals that were sent, each counted per receiving connection.",
          stats->signals_out);
  gauge(out, "webwire_open_handlers",
        "Handlers and operations of the session store that are under way.",
        stats->open_handlers);
  gauge(out, "webwire_sessions", "Sessions that have connections to this node.",
        stats->sessions);
  gauge(out, "webwire_queued_bytes",
        "Bytes for clients that the kernel has not taken at once.",
        stats->queued_bytes);
}

static void render_channels(FILE *out, const struct wwr_cluster_state *state) {
  static const char *const kinds[] = {"lost", "diverged", "reset", "uncertain"};
  static const char name[] = "webwire_verdicts_total";
  gauge(out, "webwire_channels", "Channels that this node receives.",
        state->channels);
  counter(out, "webwire_published_total", "Messages published by this node.",
          state->published);
  counter(out, "webwire_delivered_total",
          "Messages delivered to this node, before they are copied to clients.",
          state->delivered);
  counter(out, "webwire_repaired_total",
          "Messages that were missed and read from the log.", state->repaired);
  counter(out, "webwire_duplicates_total",
          "Messages that arrived twice and were dropped.", state->duplicates);
  gauge(out, "webwire_bus_queued_bytes",
        "Bytes of calls that wait for the channel bus.", state->queued_bytes);
  family(out, name, "counter",
         "Times a channel's messages could not be repaired, by what is known.");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    labelled(out, name, "kind", kinds[i], state->verdicts[i]);
  }
}

/* --- Shards --------------------------------------------------------------- */

struct shard_family {
  const char *name, *type, *help;
  size_t member; /* a uint64_t of struct wwr_shard_row */
  bool seconds;  /* it holds milliseconds */
};

static uint64_t shard_number(const struct wwr_shard_row *row, size_t member) {
  uint64_t number;
  memcpy(&number, (const char *)row + member, sizeof number);
  return number;
}

static void begin_shard(FILE *out, const char *name,
                        const struct wwr_shard_row *row) {
  fprintf(out, "%s{shard=\"", name);
  put_escaped(out, row->name);
  fputc('"', out);
}

static void render_shard_family(FILE *out, const struct wwri_metrics *metrics,
                                const struct shard_family *rows) {
  family(out, rows->name, rows->type, rows->help);
  for (size_t i = 0; i < metrics->shard_count; i++) {
    uint64_t number = shard_number(&metrics->shards[i], rows->member);
    begin_shard(out, rows->name, &metrics->shards[i]);
    if (rows->seconds)
      fprintf(out, "} %.9g\n", (double)number / 1000);
    else
      fprintf(out, "} %" PRIu64 "\n", number);
  }
}

static void render_shard_info(FILE *out, const struct wwri_metrics *metrics) {
  static const char info[] = "webwire_shard_info";
  static const char ready[] = "webwire_shard_ready";
  static const char parts[] = "webwire_shard_partitions";
  family(out, info, "gauge",
         "Always 1; the server that a shard or partition is on now.");
  for (size_t i = 0; i < metrics->shard_count; i++) {
    begin_shard(out, info, &metrics->shards[i]);
    fputs(",address=\"", out);
    put_escaped(out, metrics->shards[i].address);
    fputs("\"} 1\n", out);
  }
  family(out, ready, "gauge", "1 while the node works with it, else 0.");
  for (size_t i = 0; i < metrics->shard_count; i++) {
    begin_shard(out, ready, &metrics->shards[i]);
    fprintf(out, "} %d\n", metrics->shards[i].health == WWR_HEALTH_READY);
  }
  family(out, parts, "gauge", "Partitions of all names that it has.");
  for (size_t i = 0; i < metrics->shard_count; i++) {
    begin_shard(out, parts, &metrics->shards[i]);
    fprintf(out, "} %" PRIu32 "\n", metrics->shards[i].partitions);
  }
}

#define MEMBER(name) offsetof(struct wwr_shard_row, name)

/* By Redis server, or by partition of a Redis Cluster. */
static void render_shards(FILE *out, const struct wwri_metrics *metrics) {
  static const struct shard_family families[] = {
      {"webwire_shard_channels", "gauge", "Channels that this node receives.",
       MEMBER(channels), false},
      {"webwire_shard_published_total", "counter",
       "Messages published by this node.", MEMBER(published), false},
      {"webwire_shard_delivered_total", "counter",
       "Messages delivered to this node.", MEMBER(delivered), false},
      {"webwire_shard_reconnects_total", "counter",
       "Times its link was live again.", MEMBER(reconnects), false},
      {"webwire_shard_beat_age_seconds", "gauge",
       "Since it last answered a beat.", MEMBER(beat_age_ms), true},
      {"webwire_shard_rtt_seconds", "gauge", "What its last beat took.",
       MEMBER(rtt_ms), true}};
  render_shard_info(out, metrics);
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    render_shard_family(out, metrics, &families[i]);
}

/* --- The node ------------------------------------------------------------- */

static void render_health(FILE *out, const struct wwri_metrics *metrics) {
  static const char name[] = "webwire_health";
  family(out, name, "gauge", "1 for the state that the node is in, else 0.");
  for (int i = WWR_HEALTH_READY; i <= WWR_HEALTH_REFUSED; i++) {
    enum wwr_health state = (enum wwr_health)i;
    labelled(out, name, "state", wwr_health_name(state),
             metrics->cluster.health == state);
  }
  gauge_seconds(out, "webwire_redis_beat_age_seconds",
                "Since Redis last answered a beat; 0 without a cluster.",
                (double)metrics->cluster.beat_age_ms / 1000);
  gauge(out, "webwire_draining", "1 while the node drains or shuts down.",
        metrics->drain.draining);
  gauge(out, "webwire_drain_remaining",
        "Connections that a drain has not closed yet.",
        metrics->drain.remaining);
  gauge_seconds(out, "webwire_loop_lag_seconds",
                "How late an I/O thread was at most since the last scrape.",
                metrics->loop_lag_seconds);
  gauge_seconds(out, "webwire_loop_silent_seconds",
                "Since the I/O thread that has been silent longest turned.",
                metrics->loop_silent_seconds);
}

static void render_lag(FILE *out, const struct wwr_cluster_state *state) {
  static const uint32_t bounds[] = WWR_LAG_BOUNDS;
  static const char name[] = "webwire_publish_lag_seconds";
  uint64_t count = 0;
  family(out, name, "histogram",
         "This node's own messages, from publish to delivery here.");
  for (size_t i = 0; i < WWR_LAG_BUCKETS - 1; i++) {
    count += state->lag[i];
    fprintf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds[i] / 1000.0,
            count);
  }
  count += state->lag[WWR_LAG_BUCKETS - 1];
  fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
  fprintf(out, "%s_sum %.9g\n", name, (double)state->lag_sum_ms / 1000);
  fprintf(out, "%s_count %" PRIu64 "\n", name, count);
}

static void render_limits(FILE *out, const struct wwri_metrics *metrics) {
  static const char limited[] = "webwire_rate_limited_total";
  static const char auth[] = "webwire_auth_total";
  const struct wwri_admin_counters *counters = &metrics->counters;
  family(out, limited, "counter",
         "What was refused or had to wait because it came too fast.");
  labelled(out, limited, "scope", "connection", counters->limited_connection);
  labelled(out, limited, "scope", "address", counters->limited_address);
  labelled(out, limited, "scope", "accept", metrics->limited_accept);
  family(out, auth, "counter", "Attempts to sign in with a token.");
  labelled(out, auth, "result", "ok", counters->auth_ok);
  labelled(out, auth, "result", "bad", counters->auth_bad);
  labelled(out, auth, "result", "expired", counters->auth_expired);
}

static void render_process(FILE *out, const struct wwri_process *process) {
  static const char cpu[] = "process_cpu_seconds_total";
  family(out, cpu, "counter", "CPU time of the process, user and system.");
  fprintf(out, "%s %.6f\n", cpu, process->cpu_seconds);
  gauge(out, "process_resident_memory_bytes", "Resident memory.",
        process->resident_bytes);
  gauge(out, "process_open_fds", "Open file descriptors.", process->open_fds);
  gauge_limit(out, "process_max_fds", "How many may be open.",
              process->max_fds != UINT64_MAX, process->max_fds);
  family(out, "process_start_time_seconds", "gauge",
         "Unix time when the process started.");
  fprintf(out, "process_start_time_seconds %.3f\n", process->start_seconds);
}

char *wwri_metrics_render(const struct wwri_metrics *metrics, size_t *len) {
  char *page = NULL;
  FILE *out = open_memstream(&page, len);
  if (!out) return NULL;
  render_build(out, metrics);
  render_server(out, metrics);
  render_channels(out, &metrics->cluster);
  render_health(out, metrics);
  render_shards(out, metrics);
  render_lag(out, &metrics->cluster);
  render_limits(out, metrics);
  render_process(out, &metrics->process);
  bool failed = ferror(out);
  if (fclose(out) == 0 && !failed) return page;
  free(page);
  return NULL;
}
