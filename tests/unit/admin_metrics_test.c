/* The page of metrics: what a number becomes, and what promtool says of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "metrics.h"
#include "test.h"

static struct wwri_metrics filled(void) {
  struct wwri_metrics metrics = {
      .version = "1.2.3",
      .node = "node-1",
      .stats = {.connections = 7,
                .accepted = 11,
                .slow_consumers = 2,
                .signals_out = UINT64_MAX},
      .limits = {.max_connections = 100},
      .cluster = {.health = WWR_HEALTH_HOLDING,
                  .published = 5,
                  .beat_age_ms = 1500,
                  .lag_sum_ms = 1234,
                  .verdicts = {1, 2, 3, 4}},
      .drain = {.draining = true, .remaining = 3},
      .loop_lag_seconds = 0.000123,
      .limited_accept = 9,
      .counters = {.limited_address = 8, .auth_expired = 6},
      .process = {.cpu_seconds = 1.5, .open_fds = 20, .max_fds = 1024}};
  for (size_t i = 0; i < WWR_LAG_BUCKETS; i++) metrics.cluster.lag[i] = i + 1;
  return metrics;
}

static struct wwr_shard_row shards[2] = {
    {.name = "redis://a:1",
     .address = "10.0.0.1:1",
     .partitions = 32,
     .health = WWR_HEALTH_READY,
     .channels = 3,
     .published = 4,
     .delivered = 5,
     .reconnects = 6,
     .beat_age_ms = 700,
     .rtt_ms = 8},
    {.name = "unix:///a\"b", .partitions = 32, .health = WWR_HEALTH_HOLDING}};

static char *render(const struct wwri_metrics *metrics) {
  size_t len = 0;
  char *page = wwri_metrics_render(metrics, &len);
  CU_ASSERT_PTR_NOT_NULL_FATAL(page);
  CU_ASSERT_EQUAL(strlen(page), len);
  return page;
}

/* A whole line of the page. */
static bool has_line(const char *page, const char *line) {
  size_t len = strlen(line);
  for (const char *at = page; (at = strstr(at, line)) != NULL; at += len) {
    if ((at == page || at[-1] == '\n') && at[len] == '\n') return true;
  }
  fprintf(stderr, "no line '%s'\n", line);
  return false;
}

static void numbers_become_lines(void) {
  static const char *const lines[] = {
      "webwire_build_info{version=\"1.2.3\",node=\"node-1\"} 1",
      "webwire_connections 7",
      "webwire_connections_limit 100",
      "webwire_accepted_total 11",
      "webwire_slow_consumers_total 2",
      "webwire_signals_sent_total 18446744073709551615",
      "webwire_published_total 5",
      "webwire_verdicts_total{kind=\"lost\"} 1",
      "webwire_verdicts_total{kind=\"diverged\"} 2",
      "webwire_verdicts_total{kind=\"reset\"} 3",
      "webwire_verdicts_total{kind=\"uncertain\"} 4",
      "webwire_health{state=\"ready\"} 0",
      "webwire_health{state=\"holding\"} 1",
      "webwire_health{state=\"unready\"} 0",
      "webwire_health{state=\"refused\"} 0",
      "webwire_redis_beat_age_seconds 1.5",
      "webwire_draining 1",
      "webwire_drain_remaining 3",
      "webwire_loop_lag_seconds 0.000123",
      "webwire_rate_limited_total{scope=\"connection\"} 0",
      "webwire_rate_limited_total{scope=\"address\"} 8",
      "webwire_rate_limited_total{scope=\"accept\"} 9",
      "webwire_auth_total{result=\"ok\"} 0",
      "webwire_auth_total{result=\"bad\"} 0",
      "webwire_auth_total{result=\"expired\"} 6",
      "process_cpu_seconds_total 1.500000",
      "process_open_fds 20",
      "process_max_fds 1024",
      "# TYPE webwire_publish_lag_seconds histogram",
      "# TYPE webwire_accepted_total counter",
      "# TYPE webwire_connections gauge"};
  struct wwri_metrics metrics = filled();
  char *page = render(&metrics);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    CU_ASSERT_TRUE(has_line(page, lines[i]));
  }
  free(page);
}

static void buckets_add_up(void) {
  struct wwri_metrics metrics = filled();
  char *page = render(&metrics);
  CU_ASSERT_TRUE(
      has_line(page, "webwire_publish_lag_seconds_bucket{le=\"0.001\"} 1"));
  CU_ASSERT_TRUE(
      has_line(page, "webwire_publish_lag_seconds_bucket{le=\"0.002\"} 3"));
  CU_ASSERT_TRUE(
      has_line(page, "webwire_publish_lag_seconds_bucket{le=\"5\"} 78"));
  CU_ASSERT_TRUE(
      has_line(page, "webwire_publish_lag_seconds_bucket{le=\"+Inf\"} 91"));
  CU_ASSERT_TRUE(has_line(page, "webwire_publish_lag_seconds_sum 1.234"));
  CU_ASSERT_TRUE(has_line(page, "webwire_publish_lag_seconds_count 91"));
  free(page);
}

static void each_shard_has_its_lines(void) {
  static const char *const lines[] = {
      "webwire_shard_info{shard=\"redis://a:1\",address=\"10.0.0.1:1\"} 1",
      "webwire_shard_info{shard=\"unix:///a\\\"b\",address=\"\"} 1",
      "webwire_shard_ready{shard=\"redis://a:1\"} 1",
      "webwire_shard_ready{shard=\"unix:///a\\\"b\"} 0",
      "webwire_shard_partitions{shard=\"redis://a:1\"} 32",
      "webwire_shard_channels{shard=\"redis://a:1\"} 3",
      "webwire_shard_published_total{shard=\"redis://a:1\"} 4",
      "webwire_shard_delivered_total{shard=\"redis://a:1\"} 5",
      "webwire_shard_reconnects_total{shard=\"redis://a:1\"} 6",
      "webwire_shard_beat_age_seconds{shard=\"redis://a:1\"} 0.7",
      "webwire_shard_rtt_seconds{shard=\"redis://a:1\"} 0.008"};
  struct wwri_metrics metrics = filled();
  metrics.shards = shards;
  metrics.shard_count = 2;
  char *page = render(&metrics);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    CU_ASSERT_TRUE(has_line(page, lines[i]));
  }
  free(page);
}

static void no_limit_is_infinite(void) {
  struct wwri_metrics metrics = filled();
  metrics.limits.max_connections = 0;
  metrics.process.max_fds = UINT64_MAX;
  char *page = render(&metrics);
  CU_ASSERT_TRUE(has_line(page, "webwire_connections_limit +Inf"));
  CU_ASSERT_TRUE(has_line(page, "process_max_fds +Inf"));
  free(page);
}

static void labels_are_escaped(void) {
  struct wwri_metrics metrics = filled();
  metrics.node = "a\"b\\c\nd";
  char *page = render(&metrics);
  CU_ASSERT_TRUE(has_line(
      page,
      "webwire_build_info{version=\"1.2.3\",node=\"a\\\"b\\\\c\\nd\"} 1"));
  metrics.node = NULL;
  free(page);
  page = render(&metrics);
  CU_ASSERT_TRUE(
      has_line(page, "webwire_build_info{version=\"1.2.3\",node=\"\"} 1"));
  free(page);
}

/* 77 without promtool. */
static const char promtool_command[] =
    "command -v promtool >/dev/null || { cat >/dev/null; exit 77; }\n"
    "exec promtool check metrics";

static void promtool_is_content(void) {
  struct wwri_metrics metrics = filled();
  metrics.node = "a\"b\\c\nd";
  metrics.shards = shards;
  metrics.shard_count = 2;
  char *page = render(&metrics);
  FILE *promtool = popen(promtool_command, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(promtool);
  fputs(page, promtool);
  int status = pclose(promtool);
  CU_ASSERT_TRUE(WIFEXITED(status));
  CU_ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
  free(page);
}

static void process_is_known(void) {
  struct wwri_process process;
  wwri_process_read(&process);
  CU_ASSERT_TRUE(process.cpu_seconds > 0);
  CU_ASSERT_TRUE(process.start_seconds > 1.6e9);
  CU_ASSERT_TRUE(process.resident_bytes > 100000);
  CU_ASSERT_TRUE(process.open_fds >= 3 && process.open_fds < 1000);
  CU_ASSERT_TRUE(process.max_fds >= process.open_fds);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"numbers_become_lines", numbers_become_lines},
                         {"buckets_add_up", buckets_add_up},
                         {"each_shard_has_its_lines", each_shard_has_its_lines},
                         {"no_limit_is_infinite", no_limit_is_infinite},
                         {"labels_are_escaped", labels_are_escaped},
                         {"promtool_is_content", promtool_is_content},
                         {"process_is_known", process_is_known},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"admin_metrics", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
