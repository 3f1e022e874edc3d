/* The simulation proves something only as far as its model of Redis is right:
 * the same random calls run on tests/sim/model.c and on the real server, whose
 * clock the test moves, and must be answered alike: kinds, offsets, order,
 * times and contents. Numbers of epochs and generations are made differently
 * on purpose; they are compared in their order.
 *
 * A failure prints its seed; `scripts_model_test random SEED` repeats it (the
 * real replication ids are others each time). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_twins.h"
#include "test.h"

enum { STEPS = 600 };

static struct sr servers[2];

/* --- faults ------------------------------------------------------------- */

/* Time passes after each, so that numbers made by the clock have one order. */
static void evict(void) {
  unsigned channel = (unsigned)rng_below(&twins.rng, CHANNELS);
  unsigned what = (unsigned)rng_below(&twins.rng, 4);
  const char *name = twins_channels[channel];
  if (what == 3) {
    model_write(
        &twins.model, twins.server,
        &(struct op){.kind = OP_DROP_GENERATION, .at_ms = twins.now_ms});
    sr_ask(twins.sr, "DEL w:{0}:gen");
  }
  if (what == 0 || what == 2) {
    model_write(
        &twins.model, twins.server,
        &(struct op){
            .kind = OP_DROP_META, .channel = channel, .at_ms = twins.now_ms});
    sr_ask(twins.sr, "DEL w:{0}:m:%s", name);
  }
  if (what == 1 || what == 2) {
    model_write(
        &twins.model, twins.server,
        &(struct op){
            .kind = OP_DROP_LOG, .channel = channel, .at_ms = twins.now_ms});
    sr_ask(twins.sr, "DEL w:{0}:l:%s", name);
  }
  twins_pass(3000);
}

static void toggle_memory(void) {
  twins.server->out_of_memory = !twins.server->out_of_memory;
  sr_ask(twins.sr, "CONFIG SET maxmemory %d", twins.server->out_of_memory);
}

static void listen_to_all(void) {
  for (unsigned i = 0; i <= CHANNELS; i++) {
    char channel[32] = "beats";
    if (i < CHANNELS)
      snprintf(channel, sizeof(channel), "w:{0}:c:%s", twins_channels[i]);
    if (twins.listeners[i]) sr_listen_end(twins.listeners[i]);
    twins.listeners[i] = sr_listen(twins.sr, channel);
  }
}

static void settle(void) {
  sr_ask(twins.sr, "CONFIG SET maxmemory 0");
  twins.server->out_of_memory = false;
  listen_to_all();
  twins_pass(3000);
}

static void follow(void) {
  sr_ask(twins.spare, "REPLICAOF NO ONE"); /* or it would try once a second */
  sr_ask(twins.spare, "REPLICAOF 127.0.0.1 %u", twins.sr->server.port);
  twins_check(redis_until(&twins.spare->server, "INFO replication",
                          "master_link_status:up"),
              "the replica does not follow");
  twins.cut = false;
}

/* What was a replica lately writes its file anew first. */
static bool is_on_disk(const struct redis_server *server) {
  return redis_until(server, "INFO persistence", "aof_rewrite_scheduled:0") &&
         redis_until(server, "INFO persistence", "aof_rewrite_in_progress:0");
}

static void restart(bool with_data) {
  if (!with_data) sr_ask(twins.sr, "FLUSHALL");
  twins_check(is_on_disk(&twins.sr->server), "the file is not written");
  sr_time_restart(twins.sr, &twins.time);
  server_new_id(&twins.model, twins.server);
  if (!with_data) server_truncate(twins.server, 0, TWINS_LIMIT);
  settle();
  follow();
}

/* The replica hears nothing from now on; it may become master later. */
static void cut_off(void) {
  if (twins.cut) return;
  twins_check(strcmp(sr_ask(twins.sr, "WAIT 1 10000"), "1") == 0,
              "replica lags");
  sr_ask(twins.spare, "REPLICAOF 127.0.0.1 1");
  twins.cut = true;
  twins.cut_at = twins.server->op_count;
}

static void fail_over(void) {
  if (!twins.cut) cut_off();
  struct sr *old = twins.sr;
  twins.sr = twins.spare;
  twins.spare = old;
  sr_ask(twins.sr, "REPLICAOF NO ONE");
  server_truncate(twins.server, twins.cut_at, TWINS_LIMIT);
  server_new_id(&twins.model, twins.server);
  settle();
  follow();
}

/* --- runs --------------------------------------------------------------- */

/* Boots that are silent for ten leases are forgotten, but not by the model. */
static void renew_silent(void) {
  for (unsigned i = 0; i < TWINS_NODES; i++) {
    uint64_t ms = twins_stored_beat(&twins.nodes[i]);
    if (ms && ms + 9 * TWINS_LEASE_MS < twins.now_ms)
      twins_new_boot(&twins.nodes[i]);
  }
}

static void let_time_pass(void) {
  static const uint64_t steps[] = {2, 200, 1000, 5000, 14000, 16000, 31000};
  uint64_t at = rng_below(&twins.rng, 200);
  twins_pass(at < 185   ? steps[at % 3]
             : at < 199 ? steps[at % 7]
                        : TWINS_TTL_MS + 1);
}

static const struct {
  const char *name;
  void (*run)(void);
  unsigned weight;
} steps[] = {{"beat", twins_beat, 300}, {"publish", twins_publish, 450},
             {"open", twins_open, 80},  {"range", twins_range, 80},
             {"tops", twins_tops, 60},  {"burst", twins_burst, 8},
             {"evict", evict, 12},      {"memory", toggle_memory, 6},
             {"cut off", cut_off, 3}};

static void one_step(void) {
  unsigned total = 0;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    total += steps[i].weight;
  }
  unsigned at = (unsigned)rng_below(&twins.rng, total + 6);
  if (at >= total) {
    twins.what = "restart or failover";
    if (at - total < 3) {
      fail_over();
    } else {
      restart(at - total < 5);
    }
    return;
  }
  size_t i = 0;
  while (at >= steps[i].weight) at -= steps[i++].weight;
  twins.what = steps[i].name;
  steps[i].run();
}

/* All but the servers is new. */
static void begin(uint64_t seed) {
  static const struct model_config config = {
      .limit = TWINS_LIMIT, .lease_ms = TWINS_LEASE_MS, .ttl_ms = TWINS_TTL_MS};
  struct twins *it = &twins;
  it->seed = seed;
  it->what = "begin";
  it->rng.state = seed * 0x9e3779b97f4a7c15u | 1;
  it->now_ms = 1700000000000 + seed * 100000000;
  model_init(&it->model, &config, &it->rng, NULL);
  it->model.published = twins_on_published;
  it->model.added = twins_on_added;
  it->server = &it->model.servers[0];
  it->server->up = it->server->master = true;
  it->boots = 0;
  it->known_count = it->hint_count = 0;
  it->generations.count = it->births.count = 0;
  for (unsigned i = 0; i < CHANNELS; i++) it->epochs[i].count = 0;
  memset(it->met, 0, sizeof(it->met));
  for (unsigned i = 0; i < TWINS_NODES; i++) twins_new_boot(&it->nodes[i]);
  twins_pass(0);
  sr_ask(it->sr, "FLUSHALL");
  settle();
  follow();
}

static void run_seed(uint64_t seed, unsigned *met) {
  begin(seed);
  for (twins.step = 0; twins.step < STEPS && !twins.failed; twins.step++) {
    if (twins.boots >= BOOTS - TWINS_NODES) break; /* the model has no more */
    let_time_pass();
    renew_silent();
    one_step();
    if (!twins.failed) twins_compare_hints();
    if (!twins.failed && twins.step % 25 == 0) twins_compare_logs();
  }
  twins_compare_logs();
  CU_ASSERT_FALSE(twins.failed);
  for (size_t i = 0; i < TWINS_KINDS; i++) met[i] += twins.met[i];
  model_free(&twins.model);
}

static uint64_t first_seed = 1;
static unsigned seed_count = 8;
static bool skipped;

static void test_random(void) {
  unsigned met[TWINS_KINDS] = {0};
  if (skipped) return;
  for (unsigned i = 0; i < seed_count && !twins.failed; i++) {
    run_seed(first_seed + i, met);
  }
  for (size_t i = 0; i < TWINS_KINDS; i++) {
    printf("%u ", met[i]);
    CU_ASSERT(seed_count == 1 || met[i] > 0);
  }
}

static void setup(void) {
  static const char *const args[] = {
      "--appendonly", "yes", "--appendfsync", "no", "--hz", "500",
      "--repl-timeout", "1000000", "--repl-diskless-sync-delay", "0",
      "--stream-node-max-entries", "1", /* trims exactly, as the model does */
      /* The allocator's thread waits for times that the clock never reaches. */
      "--jemalloc-bg-thread", "no", NULL};
  if (twins.sr) return;
  sr_time_init(&twins.time, 1700000000000);
  sr_time_start(&servers[0], &twins.time, args);
  sr_time_start(&servers[1], &twins.time, args);
  twins.sr = &servers[0];
  twins.spare = &servers[1];
  skipped = !sr_time_works(twins.sr, &twins.time);
}

static void teardown(void) {
  if (!twins.sr) return;
  for (unsigned i = 0; i <= CHANNELS; i++) {
    if (twins.listeners[i]) sr_listen_end(twins.listeners[i]);
  }
  sr_end(&servers[0]);
  sr_end(&servers[1]);
  sr_time_deinit(&twins.time);
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  if (argc > 2) {
    first_seed = strtoull(argv[2], NULL, 10);
    seed_count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    argc = 2;
  }
  CU_TestInfo tests[] = {{"random", test_random}, CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"model", NULL, NULL, setup, NULL, tests},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  teardown();
  return status == 0 && skipped ? 77 : status;
}
