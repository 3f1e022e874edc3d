/* One list of fields, three ways to print it. */
#include "measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { FIELDS = 32 };

struct field {
  const char *name;
  double value; /* NaN: unknown */
  int decimals;
};

struct fields {
  struct field list[FIELDS];
  int count;
};

static void add(struct fields *fields, const char *name, double value,
                int decimals) {
  if (fields->count < FIELDS)
    fields->list[fields->count++] = (struct field){name, value, decimals};
}

static double per(double value, uint64_t count) {
  return count ? value / (double)count : (double)NAN;
}

static void add_cost(struct fields *fields, const struct measure *measure) {
  const struct snapshot *begin = &measure->begin, *end = &measure->end;
  double seconds = (double)(end->at_ns - begin->at_ns) / 1e9;
  uint64_t done = end->done - begin->done;
  double cpu_us = (double)(end->server.cpu_ns - begin->server.cpu_ns) / 1e3;
  double own_us = (double)(end->own_cpu_ns - begin->own_cpu_ns) / 1e3;
  double grown =
      (double)end->server.rss_bytes - (double)measure->empty.rss_bytes;
  bool known = measure->has_server;
  add(fields, "done", (double)done, 0);
  add(fields, "rate_per_s", (double)done / seconds, 0);
  add(fields, "server_cpu_us_each", known ? per(cpu_us, done) : (double)NAN, 3);
  add(fields, "server_cpu_percent",
      known ? cpu_us / seconds / 1e4 : (double)NAN, 2);
  add(fields, "bench_cpu_percent", own_us / seconds / 1e4, 2);
  add(fields, "server_rss_bytes",
      known ? (double)end->server.rss_bytes : (double)NAN, 0);
  add(fields, "server_rss_bytes_per_connection",
      known ? per(grown, measure->net.count) : (double)NAN, 0);
}

static void add_latency(struct fields *fields, const struct hist *latency) {
  add(fields, "p50_us", (double)hist_percentile(latency, 50) / 1e3, 1);
  add(fields, "p90_us", (double)hist_percentile(latency, 90) / 1e3, 1);
  add(fields, "p99_us", (double)hist_percentile(latency, 99) / 1e3, 1);
  add(fields, "max_us", (double)latency->max / 1e3, 1);
}

static void add_reckoning(struct fields *fields,
                          const struct measure *measure) {
  add(fields, "issued", (double)measure->issued, 0);
  add(fields, "unanswered", (double)measure->unanswered, 0);
  add(fields, "undelivered", (double)measure->undelivered, 0);
  add(fields, "refused", (double)measure->refused, 0);
  add(fields, "unexpected", (double)measure->unexpected, 0);
  add(fields, "wrong", (double)measure->wrong, 0);
  add(fields, "disordered", (double)measure->disordered, 0);
  add(fields, "broken_connections", (double)measure->net.broken, 0);
}

static void print_value(const struct field *field, const char *unknown) {
  if (isnan(field->value)) {
    fputs(unknown, stdout);
  } else {
    printf("%.*f", field->decimals, field->value);
  }
}

static void print_text(const struct fields *fields, const char *mode) {
  printf("%-32s %s\n", "mode", mode);
  for (int i = 0; i < fields->count; i++) {
    printf("%-32s ", fields->list[i].name);
    print_value(&fields->list[i], "-");
    putchar('\n');
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

void report(const struct measure *measure) {
  const struct options *options = measure->options;
  const char *mode = mode_name(options->mode);
  struct fields fields = {.count = 0};
  add(&fields, "connections", options->connections, 0);
  if (options->mode != MODE_IDLE) {
    add(&fields, "window", options->window, 0);
    add(&fields, "size", options->size, 0);
  }
  add(&fields, "seconds",
      (double)(measure->end.at_ns - measure->begin.at_ns) / 1e9, 2);
  add_cost(&fields, measure);
  if (options->mode != MODE_IDLE) add_latency(&fields, &measure->latency);
  add_reckoning(&fields, measure);
  switch (options->output) {
    case OUTPUT_TEXT:
      print_text(&fields, mode);
      break;
    case OUTPUT_JSON:
      print_json(&fields, mode);
      break;
    case OUTPUT_CSV:
      print_csv(&fields, mode);
      break;
  }
}
