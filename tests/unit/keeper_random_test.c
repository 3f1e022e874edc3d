/* Random sequences over three keepers, by seed: whatever happens on the way, in
 * the end Redis, the keepers and the application agree; and on the way no limit
 * is exceeded, and nothing is closed that nobody closed, unless Redis forgot or
 * a node was taken for dead.
 *
 *   bin/keeper_random_test            all
 *   KEEPER_SEED=17 ...                one seed */
#include <stdio.h>
#include <stdlib.h>

#include "keeper_world.h"

/* A few where each costs ten times as much. */
#ifdef KEEPER_FEW
enum { SEEDS = 4 };
#else
enum { SEEDS = 60 };
#endif

static void run(struct faults faults) {
  static struct world world;
  const char *only = getenv("KEEPER_SEED");
  unsigned events = 0, attached = 0, refused = 0;
  uint64_t first = only ? strtoull(only, NULL, 10) : 1;
  for (uint64_t seed = first; seed <= (only ? first : SEEDS); seed++) {
    bool good = world_run(&world, seed, faults);
    if (!good) printf("\nseed %llu: %s\n", (unsigned long long)seed, world.why);
    CU_ASSERT_TRUE(good);
    events += world.events;
    attached += world.attached;
    refused += world.refused;
  }
  printf("(%u attached, %u refused, %u events) ", attached, refused, events);
  CU_ASSERT(attached > 10 && events > 0);
}

static void in_calm(void) {
  run((struct faults){.cuts = false});
}
static void with_refusals(void) {
  run((struct faults){.refusals = true});
}
static void with_cuts(void) {
  run((struct faults){.cuts = true, .refusals = true});
}
static void with_fences(void) {
  run((struct faults){.cuts = true, .fences = true});
}
static void with_failovers(void) {
  run((struct faults){.failovers = true});
}
static void with_data_loss(void) {
  run((struct faults){.data_loss = true});
}
static void with_cuts_and_failovers(void) {
  run((struct faults){.cuts = true, .failovers = true, .refusals = true});
}
static void with_everything(void) {
  run((struct faults){true, true, true, true, true});
}

static CU_TestInfo tests[] = {
    {"in_calm", in_calm},
    {"with_refusals", with_refusals},
    {"with_cuts", with_cuts},
    {"with_fences", with_fences},
    {"with_failovers", with_failovers},
    {"with_data_loss", with_data_loss},
    {"with_cuts_and_failovers", with_cuts_and_failovers},
    {"with_everything", with_everything},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"keeper/random", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
