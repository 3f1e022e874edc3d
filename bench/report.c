/* One list of fields for programs (CSV, JSON), a few sentences for people. */
#include "measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { FIELDS = 48 };

struct field {
  const char *name;
  double value; /* NaN: unknown */
  int decimals;
};

struct fields {
  struct field list[FIELDS];
  int count;
};

/* What one run cost, in the units that are printed. */
struct cost {
  double seconds;
  double done;
  double rate;
  double cpu_us_each;
  double cpu_percent;
  double own_percent;
  double rss;
  double rss_each;
};

static double per(double value, double count) {
  return count > 0 ? value / count : (double)NAN;
}

static struct cost cost_of(const struct measure *measure) {
  const struct snapshot *begin = &measure->begin, *end = &measure->end;
  const struct procstat *before = &measure->empty;
  double seconds = (double)(end->at_ns - begin->at_ns) / 1e9;
  double done = (double)(end->done - begin->done);
  double cpu_us = (double)(end->server.cpu_ns - begin->server.cpu_ns) / 1e3;
  double own_us = (double)(end->own_cpu_ns - begin->own_cpu_ns) / 1e3;
  double grown = (double)end->server.rss_bytes - (double)before->rss_bytes;
  struct cost cost = {.seconds = seconds,
                      .done = done,
                      .rate = per(done, seconds),
                      .own_percent = per(own_us, seconds * 1e4),
                      .cpu_us_each = (double)NAN,
                      .cpu_percent = (double)NAN,
                      .rss = (double)NAN,
                      .rss_each = (double)NAN};
  if (!measure->has_server) return cost;
  cost.cpu_us_each = per(cpu_us, done);
  cost.cpu_percent = per(cpu_us, seconds * 1e4);
  cost.rss = (double)end->server.rss_bytes;
  cost.rss_each = per(grown, measure->net.count);
  return cost;
}

/* --- CSV and JSON --------------------------------------------------------- */

static void add(struct fields *fields, const char *name, double value,
                int decimals) {
  if (fields->count < FIELDS)
    fields->list[fields->count++] = (struct field){name, value, decimals};
}

static bool sends_payloads(enum bench_mode mode) {
  return mode == MODE_ECHO || mode == MODE_ASK || mode == MODE_CHANNELS ||
         mode_sends(mode);
}

static void add_setting(struct fields *fields, const struct options *options) {
  add(fields, "servers", options->servers.count, 0);
  add(fields, "connections", options->connections, 0);
  if (!sends_payloads(options->mode) && options->mode != MODE_CONNECT) return;
  if (mode_sends(options->mode))
    add(fields, "publishers", options->publishers, 0);
  if (options->mode == MODE_CHANNELS)
    add(fields, "subscribers", options->subscribers, 0);
  add(fields, "window", options->window, 0);
  add(fields, "wanted_per_s", options->rate > 0 ? options->rate : (double)NAN,
      1);
  if (options->mode != MODE_CONNECT) add(fields, "size", options->size, 0);
}

static void add_cost(struct fields *fields, const struct measure *measure) {
  struct cost cost = cost_of(measure);
  add(fields, "seconds", cost.seconds, 2);
  add(fields, "done", cost.done, 0);
  add(fields, "rate_per_s", cost.rate, 0);
  add(fields, "server_cpu_us_each", cost.cpu_us_each, 3);
  add(fields, "server_cpu_percent", cost.cpu_percent, 2);
  add(fields, "bench_cpu_percent", cost.own_percent, 2);
  add(fields, "server_rss_bytes", cost.rss, 0);
  add(fields, "server_rss_bytes_per_connection", cost.rss_each, 0);
}

static double us(const struct hist *latency, double percent) {
  return (double)hist_percentile(latency, percent) / 1e3;
}

static void add_latency(struct fields *fields, const struct hist *latency) {
  add(fields, "mean_us", hist_mean(latency) / 1e3, 1);
  add(fields, "p50_us", us(latency, 50), 1);
  add(fields, "p90_us", us(latency, 90), 1);
  add(fields, "p99_us", us(latency, 99), 1);
  add(fields, "p99_9_us", us(latency, 99.9), 1);
  add(fields, "max_us", (double)latency->max / 1e3, 1);
}

static void add_reckoning(struct fields *fields,
                          const struct measure *measure) {
  if (measure->options->mode == MODE_RECONNECT)
    add(fields, "lost_connections", (double)measure->lost, 0);
  add(fields, "issued", (double)measure->issued, 0);
  add(fields, "unsent", (double)measure->unsent, 0);
  add(fields, "unanswered", (double)measure->unanswered, 0);
  add(fields, "undelivered", (double)measure->undelivered, 0);
  add(fields, "duplicated", (double)measure->duplicated, 0);
  add(fields, "disordered", (double)measure->disordered, 0);
  add(fields, "refused", (double)measure->refused, 0);
  add(fields, "unexpected", (double)measure->unexpected, 0);
  add(fields, "wrong", (double)measure->wrong, 0);
  add(fields, "broken_connections", (double)measure->net.broken, 0);
}

static void print_value(const struct field *field, const char *unknown) {
  if (isnan(field->value)) {
    fputs(unknown, stdout);
  } else {
    printf("%.*f", field->decimals, field->value);
  }
}

static void print_json(const struct fields *fields, const char *mode) {
  printf("{\"mode\":\"%s\"", mode);
  for (int i = 0; i < fields->count; i++) {
    printf(",\"%s\":", fields->list[i].name);
    print_value(&fields->list[i], "null");
  }
  puts("}");
}

static void print_csv(const struct fields *fields, const char *mode) {
  fputs("mode", stdout);
  for (int i = 0; i < fields->count; i++) printf(",%s", fields->list[i].name);
  printf("\n%s", mode);
  for (int i = 0; i < fields->count; i++) {
    putchar(',');
    print_value(&fields->list[i], "");
  }
  putchar('\n');
}

/* --- For people ----------------------------------------------------------- */

static void print_setting(const struct options *options) {
  printf("%s: %u connections to %u server%s", mode_name(options->mode),
         options->connections, options->servers.count,
         options->servers.count == 1 ? "" : "s");
  if (mode_sends(options->mode))
    printf(", %u sender%s", options->publishers,
           options->publishers == 1 ? "" : "s");
  if (options->mode == MODE_CHANNELS)
    printf(", %u to a channel", options->subscribers);
  if (sends_payloads(options->mode))
    printf(", %u-byte payloads", options->size);
  if (options->rate > 0)
    printf(", %g per second wanted", options->rate);
  else if (sends_payloads(options->mode) || options->mode == MODE_CONNECT)
    printf(
        ", %u in flight%s", options->window,
        options->mode == MODE_ECHO || options->mode == MODE_ASK ? " each" : "");
  putchar('\n');
}

static void print_bytes(double bytes) {
  if (fabs(bytes) < 10240)
    printf("%.0f B", bytes);
  else if (fabs(bytes) < 10485760)
    printf("%.1f KB", bytes / 1024);
  else
    printf("%.1f MB", bytes / 1048576);
}

static void print_cost(const struct measure *measure) {
  static const char *const units[] = {
      [MODE_ECHO] = "replies",          [MODE_ASK] = "replies",
      [MODE_BROADCAST] = "deliveries",  [MODE_PUBSUB] = "deliveries",
      [MODE_CHANNELS] = "deliveries",   [MODE_CONNECT] = "connections",
      [MODE_RECONNECT] = "connections", [MODE_IDLE] = "signals"};
  struct cost cost = cost_of(measure);
  printf("  %-16s %.0f %s per second, %.0f in %.2f s\n", "throughput",
         isnan(cost.rate) ? 0 : cost.rate, units[measure->options->mode],
         cost.done, cost.seconds);
  if (measure->has_server) {
    printf("  %-16s %.2f %% of a CPU", "server", cost.cpu_percent);
    if (!isnan(cost.cpu_us_each)) printf(", %.3f us each", cost.cpu_us_each);
    printf("; memory ");
    print_bytes(cost.rss);
    printf(", ");
    print_bytes(cost.rss_each);
    puts(" per connection");
  }
  printf("  %-16s %.1f %% of a CPU\n", "load generator", cost.own_percent);
}

static void print_latency(const struct measure *measure) {
  const struct hist *latency = &measure->latency;
  if (latency->count == 0) return;
  printf(
      "  %-16s mean %.3f, p50 %.3f, p90 %.3f, p99 %.3f, p99.9 %.3f, max "
      "%.3f ms%s\n",
      "latency", hist_mean(latency) / 1e6, us(latency, 50) / 1e3,
      us(latency, 90) / 1e3, us(latency, 99) / 1e3, us(latency, 99.9) / 1e3,
      (double)latency->max / 1e6,
      measure->options->rate > 0 ? ", from when each was due" : "");
}

static void print_reckoning(const struct measure *measure) {
  const struct {
    uint64_t count;
    const char *what;
  } list[] = {{measure->unsent, "due but never sent"},
              {measure->unanswered, "unanswered"},
              {measure->undelivered, "undelivered"},
              {measure->duplicated, "duplicated"},
              {measure->disordered, "out of order"},
              {measure->refused, "refused"},
              {measure->unexpected, "unexpected"},
              {measure->wrong, "wrong"},
              {measure->net.broken, "connections broken"}};
  printf("  %-16s %" PRIu64 " begun", "reckoning", measure->issued);
  if (measure->lost > 0)
    printf(", %" PRIu64 " connections and attempts lost", measure->lost);
  if (measure_is_good(measure)) {
    puts(measure->options->mode == MODE_IDLE ? ", all connections stayed"
                                             : ", all accounted for");
    return;
  }
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (list[i].count > 0)
      printf(", %" PRIu64 " %s", list[i].count, list[i].what);
  puts(": FAILED");
}

static void print_text(const struct measure *measure) {
  print_setting(measure->options);
  print_cost(measure);
  print_latency(measure);
  print_reckoning(measure);
}

void report(const struct measure *measure) {
  const struct options *options = measure->options;
  const char *mode = mode_name(options->mode);
  struct fields fields = {.count = 0};
  add_setting(&fields, options);
  add_cost(&fields, measure);
  if (options->mode != MODE_IDLE) add_latency(&fields, &measure->latency);
  add_reckoning(&fields, measure);
  switch (options->output) {
    case OUTPUT_TEXT:
      print_text(measure);
      break;
    case OUTPUT_JSON:
      print_json(&fields, mode);
      break;
    case OUTPUT_CSV:
      print_csv(&fields, mode);
      break;
  }
}
