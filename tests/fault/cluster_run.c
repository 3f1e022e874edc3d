#include "cluster_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lateness.h"
#include "replicas.h"
#include "test.h"

#if defined(__has_feature)
#define RUN_HAS_FEATURE(x) __has_feature(x)
#else
#define RUN_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    RUN_HAS_FEATURE(address_sanitizer) || RUN_HAS_FEATURE(thread_sanitizer)
enum { CLIENTS = 16, RATE = 60, SLOW = 10 };
#else
enum { CLIENTS = 50, RATE = 200, SLOW = 1 };
#endif
enum {
  BEFORE_MS = 1000,
  AFTER_MS = 2000,
  SETTLE_MS = 60000,
  LOG_MAX = 1 << 22
};

struct row {
  const char *name;
  struct ledger_sum sum;
  uint64_t recover_ms;
  uint64_t away_us;
  uint64_t late_ms; /* how late this process was woken at worst */
  size_t breaks;
};

static struct row rows[RUN_ROWS_MAX];
static size_t row_count;

void run_talk(uint32_t ms) {
  struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&time, NULL);
}

void run_healed(struct run *run) {
  run->healed_us = chatters_now_us();
}

/* --- what the nodes declared --- */

static struct ledger_id id_at(const char *line, const char *key) {
  unsigned long long epoch = 0, offset = 0;
  const char *at = strstr(line, key);
  if (at) (void)sscanf(at + strlen(key), "%llu-%llu", &epoch, &offset);
  return (struct ledger_id){epoch, offset};
}

static void note_verdict(struct ledger *ledger, const char *line) {
  static const char *const kinds[LEDGER_VERDICTS] = {"lost", "diverged",
                                                     "reset", "uncertain"};
  static const char key[] = " verdict=";
  const char *at = strstr(line, key);
  if (!at) return;
  for (size_t i = 0; i < LEDGER_VERDICTS; i++) {
    size_t len = strlen(kinds[i]);
    if (strncmp(at + sizeof key - 1, kinds[i], len) != 0) continue;
    ledger_verdict(ledger, (enum ledger_verdict)i, id_at(line, " from="),
                   id_at(line, " to="));
  }
}

static void read_verdicts(struct run *run) {
  char line[2048];
  for (size_t i = 0; i < cluster_nodes(run->cluster); i++) {
    FILE *file = fopen(cluster_log(run->cluster, (int)i), "r");
    if (!file) continue;
    while (fgets(line, sizeof line, file)) note_verdict(run->ledger, line);
    fclose(file);
  }
}

/* --- one run --- */

/* False: it did not come up. */
static bool open_redis(struct run *run, struct cluster_opts *opts) {
  switch (run->plan->redis) {
    case RUN_ONE:
      return true;
    case RUN_REPLICAS:
      run->replicas = replicas_start();
      if (run->replicas) opts->redis_url = replicas_url(run->replicas);
      return run->replicas != NULL;
    case RUN_LIST:
    case RUN_SLOTS:
      run->shards = shards_start(run->plan->redis == RUN_SLOTS);
      if (run->shards) opts->redis_url = shards_url(run->shards);
      return run->shards != NULL;
  }
  return false;
}

static bool open_cluster(struct run *run) {
  static const char *const shared[] = {"--message-buffer", "262144",
                                       "--log-level", "info"};
  size_t n = 0;
  for (; n < sizeof shared / sizeof *shared; n++) run->args[n] = shared[n];
  const char *const *own = run->plan->node_args;
  for (; own && *own && n < RUN_ARGS_MAX - 1; own++) run->args[n++] = *own;
  struct cluster_opts opts = {.program = CHATROOM_SERVER,
                              .args = run->args,
                              .redis_args = run->plan->redis_args};
  if (!open_redis(run, &opts)) return false;
  run->cluster = cluster_open(&opts);
  return run->cluster != NULL;
}

static void read_log(struct run *run) {
  uint16_t ports[RUN_REDIS_MAX];
  const char *key = "wwr:{0}:l:room";
  size_t count = 1;
  if (run->replicas) {
    count = replicas_ports(run->replicas, ports);
  } else if (run->shards) {
    count = shards_ports(run->shards, ports);
    key = shards_room_log(run->shards);
  } else {
    ports[0] = cluster_port(run->cluster, CLUSTER_REDIS);
  }
  run->reader = log_reader_start(run->ledger, key, ports, count);
}

static bool open_crowd(struct run *run) {
  static char address[64];
  static const char *const addresses[] = {address};
  snprintf(address, sizeof address, "ws://127.0.0.1:%u",
           cluster_port(run->cluster, CLUSTER_HAPROXY));
  struct chatters_opts opts = {
      .addresses = addresses,
      .address_count = 1,
      .count = run->plan->clients ? run->plan->clients : CLIENTS,
      .rate = run->plan->rate / SLOW,
      .pad = run->plan->pad};
  if (opts.rate == 0) opts.rate = RATE;
  run->ledger = opts.ledger = ledger_new(opts.count);
  if (!run->ledger) return false;
  read_log(run);
  run->chatters = chatters_join(&opts);
  return run->reader && run->chatters;
}

/* A limit in ms, on a machine that was as late as it was. */
static uint64_t allowed_ms(const struct row *row, uint32_t limit) {
  enum { TURNS = 6 }; /* of threads that a message takes */
  return (uint64_t)limit * SLOW + TURNS * row->late_ms;
}

static void judge(const struct run *run, const struct row *row) {
  const struct run_plan *plan = run->plan;
  const struct ledger_sum *sum = &row->sum;
  bool diverged = sum->verdicts[LEDGER_DIVERGED] > 0;
  CU_ASSERT_TRUE(sum->sent > 20);
  CU_ASSERT_TRUE(sum->answers[LEDGER_ACKED] > sum->sent / 3);
  CU_ASSERT_EQUAL(sum->answers[LEDGER_OPEN], 0);
  CU_ASSERT_EQUAL(sum->lost, 0);
  CU_ASSERT_EQUAL(sum->undead, 0);
  CU_ASSERT_EQUAL(sum->duplicated, 0);
  CU_ASSERT_TRUE(sum->reordered == 0 || (plan->may_diverge && diverged));
  CU_ASSERT_TRUE(sum->answers[LEDGER_FAILED] <= plan->may_fail);
  if (!plan->history) {
    CU_ASSERT_EQUAL(row->breaks, 0);
    CU_ASSERT_EQUAL(sum->answers[LEDGER_UNKNOWN], 0);
  }
  CU_ASSERT_TRUE(row->recover_ms <= allowed_ms(row, plan->limit_ms));
  if (plan->way_ms) {
    CU_ASSERT_TRUE(sum->worst_us <= allowed_ms(row, plan->way_ms) * 1000);
  }
  if (!plan->away_ms) return;
  CU_ASSERT_TRUE(row->away_us <= allowed_ms(row, plan->away_ms) * 1000);
  CU_ASSERT_TRUE(row->breaks > 0);
}

static void close_books(struct run *run, bool settled) {
  struct row *row = &rows[row_count];
  row->name = run->plan->name;
  row->late_ms = lateness_ms(run->lateness);
  row->breaks = chatters_breaks(run->chatters);
  row->away_us = chatters_away_us(run->chatters);
  ledger_sum(run->ledger, run->plan->history, run->healed_us, &row->sum);
  if (row->sum.last_us > run->healed_us) {
    row->recover_ms = (row->sum.last_us - run->healed_us) / 1000;
  }
  CU_ASSERT_TRUE(settled);
  judge(run, row);
  if (row_count < RUN_ROWS_MAX - 1) row_count++;
}

static bool chat(struct run *run) {
  chatters_speak(run->chatters);
  run_talk(BEFORE_MS);
  bool done = run->plan->fault(run);
  CU_ASSERT_TRUE(done);
  if (!run->healed_us) run_healed(run);
  run_talk(AFTER_MS);
  chatters_hush(run->chatters);
  bool settled = chatters_settle(run->chatters, run->plan->history, SETTLE_MS);
  log_reader_stop(run->reader);
  run->reader = NULL;
  read_verdicts(run);
  if (!settled) {
    settled = chatters_settle(run->chatters, run->plan->history, 1);
  }
  return settled;
}

void run_row(const struct run_plan *plan) {
  struct run run = {.plan = plan, .lateness = lateness_start()};
  bool open = open_cluster(&run) && open_crowd(&run);
  CU_ASSERT_TRUE(open);
  if (open) {
    bool settled = chat(&run);
    close_books(&run, settled);
    if (!settled) cluster_dump(run.cluster);
  }
  chatters_free(run.chatters);
  log_reader_stop(run.reader);
  if (run.cluster) CU_ASSERT_EQUAL(cluster_close(run.cluster), 0);
  replicas_stop(run.replicas);
  shards_stop(run.shards);
  ledger_free(run.ledger);
  lateness_stop(run.lateness);
}

void run_print(void) {
  printf(
      "\n| fault | sent | acknowledged | failed | unknown | delivered | lost "
      "without verdict | lost with one | duplicated | reordered | verdicts | "
      "broken connections | recovered in | longest way |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < row_count; i++) {
    const struct row *row = &rows[i];
    const struct ledger_sum *sum = &row->sum;
    size_t verdicts = 0;
    for (size_t k = 0; k < LEDGER_VERDICTS; k++) verdicts += sum->verdicts[k];
    printf(
        "| %s | %zu | %zu | %zu | %zu | %zu | %zu | %zu | %zu | %zu | %zu | "
        "%zu | %.2f s | %.2f s |\n",
        row->name, sum->sent, sum->answers[LEDGER_ACKED],
        sum->answers[LEDGER_FAILED], sum->answers[LEDGER_UNKNOWN],
        sum->delivered, sum->lost + sum->undead, sum->excused, sum->duplicated,
        sum->reordered, verdicts, row->breaks, (double)row->recover_ms / 1000,
        (double)sum->worst_us / 1e6);
  }
  for (size_t i = 0; i < row_count; i++) {
    if (!rows[i].breaks) continue;
    printf("%s: nobody was without a node for longer than %.2f s\n",
           rows[i].name, (double)rows[i].away_us / 1e6);
  }
  fflush(stdout);
}
