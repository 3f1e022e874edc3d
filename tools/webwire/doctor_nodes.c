/* What the nodes say of themselves: /live, /ready, /metrics, and the API when
 * there is a token. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "adminapi.h"

enum { HEARD_MS = 3000 };
static const double many_fds = 10000, spare_fds = 64;

/* --- Metrics -------------------------------------------------------------- */

static void check_descriptors(struct report *report, const char *base,
                              const char *metrics) {
  static const char advice[] =
      "raise it: LimitNOFILE= of systemd, ulimit -n, --ulimit of a container";
  double max = doctor_metric(metrics, "process_max_fds");
  double open = doctor_metric(metrics, "process_open_fds");
  double limit = doctor_metric(metrics, "webwire_connections_limit");
  if (max < 0) {
    report_say(report, FINDING_SKIPPED, "descriptors", NULL,
               "%s does not say how many it may open", base);
  } else if (limit > 0 && limit < 1e9 && max < limit + spare_fds) {
    report_say(report, FINDING_PROBLEM, "descriptors", advice,
               "%s may take %.0f connections, but open only %.0f descriptors",
               base, limit, max);
  } else if (max < many_fds) {
    report_say(report, FINDING_WARNING, "descriptors", advice,
               "%s may open only %.0f", base, max);
  } else {
    report_say(report, FINDING_OK, "descriptors", NULL,
               "%s has %.0f of %.0f open", base, open, max);
  }
}

static void check_beat(struct report *report, const char *base,
                       const char *metrics) {
  double age = doctor_metric(metrics, "webwire_redis_beat_age_seconds");
  if (age > 3)
    report_say(report, FINDING_PROBLEM, "redis",
               "is Redis up, and can this node reach it?",
               "%s has not heard of it for %.1f s", base, age);
}

/* A node stays ready while it has one of several: so this is said apart. True
 * when it has none, or there is only one. */
static bool check_shards(struct report *report, const char *base,
                         const char *metrics) {
  static const char name[] = "\nwebwire_shard_ready{shard=\"";
  size_t ready = 0, away = 0;
  char first[160] = "";
  for (const char *at = metrics; (at = strstr(at, name));) {
    at += sizeof name - 1;
    const char *end = strstr(at, "\"} ");
    if (!end) break;
    bool up = strtod(end + 3, NULL) > 0;
    if (!up && !*first)
      snprintf(first, sizeof first, "%.*s", (int)(end - at), at);
    ready += up;
    away += !up;
  }
  if (ready > 0 && away > 0)
    report_say(report, FINDING_PROBLEM, "redis shards",
               "webwire shards says why; their channels and sessions wait",
               "%s works with %zu of %zu, not with %s", base, ready,
               ready + away, first);
  else if (ready > 1)
    report_say(report, FINDING_OK, "redis shards", NULL,
               "%s works with all %zu", base, ready);
  return ready == 0;
}

/* --- Probes --------------------------------------------------------------- */

static void check_ready(const struct cli *cli, struct report *report,
                        const char *base) {
  struct http_answer answer;
  if (!http_ask(cli, base, "GET", "/ready", NULL, &answer)) {
    report_say(report, FINDING_PROBLEM, "ready",
               "answers /live, but not this: look at its log", "%s: %s", base,
               answer.why);
  } else if (answer.status == 200) {
    report_say(report, FINDING_OK, "ready", NULL, "%s", base);
  } else {
    report_say(report, FINDING_PROBLEM, "ready",
               "docs/admin.md explains the reasons", "%s: %s", base,
               answer.text);
  }
  http_deinit(&answer);
}

static bool check_live(const struct cli *cli, struct report *report,
                       const char *base) {
  struct http_answer answer;
  bool there = http_ask(cli, base, "GET", "/live", NULL, &answer);
  if (!there) {
    report_say(report, FINDING_PROBLEM, "live",
               "is this its admin listener (--admin), and does it run?",
               "%s: %s", base, answer.why);
  } else if (answer.status != 200) {
    report_say(report, FINDING_PROBLEM, "live",
               "a loop stands still: restart the node, and report it", "%s: %s",
               base, answer.text);
  } else {
    report_say(report, FINDING_OK, "live", NULL, "%s", base);
    if (answer.date >= 0)
      doctor_clock(report, "clock", base, answer.date - (long)time(NULL));
  }
  http_deinit(&answer);
  return there;
}

static void check_metrics(const struct cli *cli, struct report *report,
                          const char *base) {
  struct http_answer answer;
  if (http_ask(cli, base, "GET", "/metrics", NULL, &answer) &&
      answer.status == 200) {
    check_descriptors(report, base, answer.text);
    if (check_shards(report, base, answer.text))
      check_beat(report, base, answer.text);
  } else {
    report_say(report, FINDING_PROBLEM, "metrics", NULL, "%s has none", base);
  }
  http_deinit(&answer);
}

/* --- The cluster ---------------------------------------------------------- */

static void check_versions(struct report *report, const json_t *nodes) {
  const char *first = NULL, *other = NULL;
  size_t index;
  json_t *node;
  json_array_foreach(nodes, index, node) {
    const char *version = json_string_value(json_object_get(node, "version"));
    if (!first) first = version;
    if (version && strcmp(version, first) != 0) other = version;
  }
  if (other) {
    report_say(report, FINDING_WARNING, "versions",
               "finish the upgrade; mixed versions are meant for its duration",
               "some nodes run %s, others %s", first, other);
  } else {
    report_say(report, FINDING_OK, "versions", NULL, "%zu nodes run %s",
               json_array_size(nodes), first ? first : "?");
  }
}

/* One that was killed and came back is still listed as it was before, but not
 * heard of any more. */
static bool is_heard(const json_t *node) {
  return json_integer_value(json_object_get(node, "beat_age")) < HEARD_MS;
}

static void check_names(struct report *report, const json_t *nodes) {
  size_t i, j;
  json_t *a, *b;
  json_array_foreach(nodes, i, a) {
    const char *name = json_string_value(json_object_get(a, "name"));
    size_t same = 0, first = i;
    json_array_foreach(nodes, j, b) {
      const char *other = json_string_value(json_object_get(b, "name"));
      if (!name || !other || strcmp(name, other) != 0 || !is_heard(b)) continue;
      same++;
      if (j < first) first = j;
    }
    if (same > 1 && first == i)
      report_say(report, FINDING_WARNING, "names",
                 "give each a server.node-name of its own; webwire drain finds "
                 "only one",
                 "%zu nodes are called %s", same, name);
  }
}

static void check_cluster(const struct cli *cli, struct report *report) {
  if (!cli->token) {
    report_say(report, FINDING_SKIPPED, "versions", NULL,
               "the list of nodes needs --token-file");
    return;
  }
  json_t *json = http_api(cli, "GET", "/api/v1/nodes", NULL);
  if (json) {
    check_versions(report, json_object_get(json, "nodes"));
    check_names(report, json_object_get(json, "nodes"));
  } else {
    report_say(report, FINDING_PROBLEM, "versions", NULL,
               "the list of nodes can't be had");
  }
  json_decref(json);
}

void doctor_nodes(const struct cli *cli, struct report *report) {
  for (size_t i = 0; i < cli->admins.count; i++) {
    const char *base = cli->admins.items[i];
    if (!check_live(cli, report, base)) continue;
    check_ready(cli, report, base);
    check_metrics(cli, report, base);
    if (i == 0) check_cluster(cli, report);
  }
}
