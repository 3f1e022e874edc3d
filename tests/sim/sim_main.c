/* sim_main.c - run seeds of the simulation.
 *
 *   sim [--from S] [--seeds N] [--faults a,b] [--mutant R] [--sessions]
 *       [--verbose] [--trace]
 *
 * Without --mutant every seed must pass; the first that does not is printed
 * with how to run it again. With --mutant R1, R3, R4, R6, R7, R8, R11, R12,
 * ahead, ask or fence that rule is switched off, and some seed must fail, or
 * the simulation proves nothing. --sessions: in every run rather than in half
 * of them. --verbose: go on after a failure. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

struct options {
  struct params params;
  uint64_t from, seeds;
  bool mutant, verbose;
};

struct totals {
  uint64_t runs, steps, calls, acked, deliveries, late, sessions;
  uint64_t verdicts[4];
  uint64_t faults[FAULTS];
};

static unsigned long long ull(uint64_t value) {
  return value;
}

static bool set_mutant(struct options *options, const char *rule) {
  struct wwri_rules *rules = &options->params.rules;
  options->mutant = true;
  if (strcmp(rule, "R1") == 0) return options->params.no_generation = true;
  if (strcmp(rule, "R3") == 0) return rules->no_log_matching = true;
  if (strcmp(rule, "R4") == 0) return options->params.no_pair = true;
  if (strcmp(rule, "R6") == 0) return options->params.undeclared = true;
  if (strcmp(rule, "ask") == 0) {
    return options->params.follow = options->params.no_pair = true;
  }
  if (strcmp(rule, "R7") == 0) return rules->no_retry_flag = true;
  if (strcmp(rule, "R8") == 0) return rules->no_replay = true;
  if (strcmp(rule, "ahead") == 0) return rules->no_ahead = true;
  if (strcmp(rule, "R11") == 0 || strcmp(rule, "R12") == 0) {
    options->params.sessions = true;
    options->params.increments = strcmp(rule, "R11") == 0;
    options->params.no_grace = strcmp(rule, "R12") == 0;
    return true;
  }
  if (strcmp(rule, "fence") == 0) return options->params.no_fence = true;
  return false;
}

static bool set_faults(struct options *options, const char *list) {
  for (unsigned i = 0; i < FAULTS; i++) {
    if (strstr(list, fault_name((enum fault)i))) {
      options->params.faults |= 1u << i;
    }
  }
  if (strcmp(list, "none") == 0) options->params.faults = 1u << FAULTS;
  return options->params.faults != 0;
}

static bool parse(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--trace") == 0) {
      options->params.trace = stdout;
      continue;
    }
    if (strcmp(argv[i], "--sessions") == 0) {
      options->params.sessions = true;
      continue;
    }
    if (strcmp(argv[i], "--verbose") == 0) {
      options->verbose = true;
      continue;
    }
    i++;
    if (strcmp(argv[i - 1], "--from") == 0) {
      options->from = strtoull(value, NULL, 10);
    } else if (strcmp(argv[i - 1], "--seeds") == 0) {
      options->seeds = strtoull(value, NULL, 10);
    } else if (strcmp(argv[i - 1], "--faults") == 0) {
      if (!set_faults(options, value)) return false;
    } else if (strcmp(argv[i - 1], "--mutant") != 0 ||
               !set_mutant(options, value)) {
      return false;
    }
  }
  return true;
}

static void add(struct totals *totals, const struct result *result) {
  totals->runs++;
  totals->steps += result->steps;
  totals->calls += result->calls;
  totals->acked += result->acked;
  totals->deliveries += result->deliveries;
  totals->late += result->late;
  totals->sessions += result->sessions;
  for (int i = 0; i < 4; i++) totals->verdicts[i] += result->verdicts[i];
  for (int i = 0; i < FAULTS; i++) totals->faults[i] += result->faults[i];
}

static void print(const struct totals *totals, double seconds) {
  printf(
      "%llu runs in %.1f s: %llu events, %llu publishes, %llu acknowledged, "
      "%llu deliveries, %llu late commands, %llu session calls\n",
      ull(totals->runs), seconds, ull(totals->steps), ull(totals->calls),
      ull(totals->acked), ull(totals->deliveries), ull(totals->late),
      ull(totals->sessions));
  printf("verdicts: lost %llu, diverged %llu, reset %llu, uncertain %llu\n",
         ull(totals->verdicts[0]), ull(totals->verdicts[1]),
         ull(totals->verdicts[2]), ull(totals->verdicts[3]));
  printf("faults:");
  for (unsigned i = 0; i < FAULTS; i++) {
    printf(" %s %llu", fault_name((enum fault)i), ull(totals->faults[i]));
  }
  printf("\n");
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  struct options options = {.seeds = 100};
  struct totals totals = {0};
  if (!parse(argc, argv, &options)) {
    fprintf(stderr, "usage: see the head of sim_main.c\n");
    return 2;
  }
  double start = now();
  unsigned failed = 0;
  for (uint64_t i = 0; i < options.seeds; i++) {
    struct result result = {0};
    options.params.seed = options.from + i;
    world_run(&options.params, &result);
    add(&totals, &result);
    if (result.violations == 0) continue;
    printf("seed %llu: %s\n", ull(options.params.seed), result.first);
    failed++;
    if (!options.verbose) break;
  }
  print(&totals, now() - start);
  if (options.mutant) {
    printf("%s\n", failed ? "the mutant was caught" : "the mutant survived");
    return failed ? 0 : 1;
  }
  if (failed)
    printf("again: sim --from %llu --seeds 1 --trace\n",
           ull(options.params.seed));
  return failed ? 1 : 0;
}
