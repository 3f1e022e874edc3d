/* Timers against a model: an array that is searched for the earliest. */
#include <stdlib.h>

#include "rng.h"
#include "test.h"
#include "timers.h"

enum { TIMERS = 60, ROUNDS = 20000 };

struct entry {
  struct wwri_timer timer;
  struct world *world;
  unsigned index;
};

/* What the model knows of each timer. */
struct expected {
  bool armed;
  bool armed_in_run; /* must wait for the next run */
  uint64_t deadline_ms;
};

struct world {
  struct wwri_timers timers;
  struct entry *entries[TIMERS]; /* each its own allocation */
  struct expected expected[TIMERS];
  struct rng rng;
  uint64_t now_ms;
  uint64_t last_fired_ms;
  bool running;
  size_t fired;
};

static void random_action(struct world *world);
static void check_next(const struct world *world);

static void on_fire(struct wwri_timer *timer) {
  struct entry *entry = (struct entry *)(void *)timer;
  struct world *world = entry->world;
  struct expected *expected = &world->expected[entry->index];
  CU_ASSERT_FALSE(timer->armed);
  CU_ASSERT_TRUE(world->running);
  CU_ASSERT_TRUE(expected->armed);
  CU_ASSERT_FALSE(expected->armed_in_run);
  CU_ASSERT_EQUAL(timer->deadline_ms, expected->deadline_ms);
  CU_ASSERT_TRUE(timer->deadline_ms <= world->now_ms);
  CU_ASSERT_TRUE(timer->deadline_ms >= world->last_fired_ms);
  world->last_fired_ms = timer->deadline_ms;
  world->fired++;
  expected->armed = false;
  uint64_t actions = rng_below(&world->rng, 4);
  while (actions-- > 0) random_action(world); /* may free `entry` */
  check_next(world);
}

static void replace_entry(struct world *world, unsigned index) {
  free(world->entries[index]); /* ASan finds whoever still links to it */
  struct entry *entry = malloc(sizeof *entry);
  CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
  entry->world = world;
  entry->index = index;
  wwri_timer_init(&entry->timer, on_fire);
  world->entries[index] = entry;
}

static void random_action(struct world *world) {
  unsigned index = (unsigned)rng_below(&world->rng, TIMERS);
  struct wwri_timer *timer = &world->entries[index]->timer;
  struct expected *expected = &world->expected[index];
  uint64_t kind = rng_below(&world->rng, 8);
  if (kind < 5) {
    /* From the past, so that some are due at once. */
    uint64_t deadline = world->now_ms + rng_below(&world->rng, 100);
    deadline = deadline > 30 ? deadline - 30 : 0;
    wwri_timers_set(&world->timers, timer, deadline);
    *expected = (struct expected){true, world->running, deadline};
  } else if (kind < 7) {
    wwri_timers_cancel(&world->timers, timer);
    expected->armed = false;
    if (kind == 6) replace_entry(world, index);
  } else if (world->running) {
    wwri_timers_run(&world->timers, world->now_ms); /* does nothing */
  }
}

static void check_next(const struct world *world) {
  bool any = false;
  uint64_t least = 0, got = 0;
  for (int i = 0; i < TIMERS; i++) {
    const struct expected *expected = &world->expected[i];
    CU_ASSERT_EQUAL(world->entries[i]->timer.armed, expected->armed);
    if (!expected->armed) continue;
    if (!any || expected->deadline_ms < least) least = expected->deadline_ms;
    any = true;
  }
  CU_ASSERT_EQUAL(wwri_timers_next(&world->timers, &got), any);
  CU_ASSERT_EQUAL(got, least);
}

static void run_all_due(struct world *world) {
  world->running = true;
  world->last_fired_ms = 0;
  wwri_timers_run(&world->timers, world->now_ms);
  world->running = false;
  for (int i = 0; i < TIMERS; i++) {
    struct expected *expected = &world->expected[i];
    bool missed = expected->armed && !expected->armed_in_run &&
                  expected->deadline_ms <= world->now_ms;
    CU_ASSERT_FALSE(missed);
    expected->armed_in_run = false;
  }
}

static void random_use_matches_the_model(void) {
  struct world *world = calloc(1, sizeof *world);
  CU_ASSERT_PTR_NOT_NULL_FATAL(world);
  world->rng.state = 20261122;
  wwri_timers_init(&world->timers);
  for (unsigned i = 0; i < TIMERS; i++) replace_entry(world, i);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < 5; i++) random_action(world);
    check_next(world);
    world->now_ms += rng_below(&world->rng, 20);
    run_all_due(world);
    check_next(world);
  }
  CU_ASSERT_TRUE(world->fired > ROUNDS);
  for (unsigned i = 0; i < TIMERS; i++) free(world->entries[i]);
  free(world);
}

static unsigned fired_count;
static void count_fire(struct wwri_timer *timer) {
  (void)timer;
  fired_count++;
}

enum { MANY = 100000 };

static void many_timers_need_no_deep_stack(void) {
  struct wwri_timers timers;
  struct wwri_timer *many = calloc(MANY, sizeof *many);
  CU_ASSERT_PTR_NOT_NULL_FATAL(many);
  wwri_timers_init(&timers);
  for (unsigned i = 0; i < MANY; i++) {
    wwri_timer_init(&many[i], count_fire);
    wwri_timers_set(&timers, &many[i], i % 2 ? i : MANY - i);
  }
  fired_count = 0;
  wwri_timers_run(&timers, MANY / 2);
  CU_ASSERT_TRUE(fired_count >= MANY / 2 && fired_count < MANY);
  for (unsigned i = 0; i < MANY; i++) wwri_timers_cancel(&timers, &many[i]);
  uint64_t deadline;
  CU_ASSERT_FALSE(wwri_timers_next(&timers, &deadline));
  wwri_timers_run(&timers, UINT64_MAX);
  CU_ASSERT_TRUE(fired_count < MANY);
  free(many);
}

struct self_arming {
  struct wwri_timer timer;
  struct wwri_timers *timers;
  unsigned fired;
};

static void arm_again_at_once(struct wwri_timer *timer) {
  struct self_arming *self = (struct self_arming *)(void *)timer;
  self->fired++;
  wwri_timers_set(self->timers, timer, 0);
}

static void a_timer_armed_in_the_past_waits_for_the_next_run(void) {
  struct wwri_timers timers;
  struct self_arming self = {.timers = &timers};
  uint64_t deadline = 1;
  wwri_timers_init(&timers);
  wwri_timer_init(&self.timer, arm_again_at_once);
  wwri_timers_set(&timers, &self.timer, 5);
  wwri_timers_run(&timers, 4);
  CU_ASSERT_EQUAL(self.fired, 0);
  for (unsigned run = 1; run <= 3; run++) {
    wwri_timers_run(&timers, 5);
    CU_ASSERT_EQUAL(self.fired, run);
    CU_ASSERT_TRUE(wwri_timers_next(&timers, &deadline));
    CU_ASSERT_EQUAL(deadline, 0);
  }
  wwri_timers_cancel(&timers, &self.timer);
  wwri_timers_cancel(&timers, &self.timer);
  CU_ASSERT_FALSE(wwri_timers_next(&timers, &deadline));
}

static void free_self(struct wwri_timer *timer) {
  fired_count++;
  free(timer);
}

static void fire_functions_may_free_their_timer(void) {
  struct wwri_timers timers;
  wwri_timers_init(&timers);
  fired_count = 0;
  for (unsigned i = 0; i < 100; i++) {
    struct wwri_timer *timer = malloc(sizeof *timer);
    CU_ASSERT_PTR_NOT_NULL_FATAL(timer);
    wwri_timer_init(timer, free_self);
    wwri_timers_set(&timers, timer, i * 37 % 50);
  }
  wwri_timers_run(&timers, 50);
  CU_ASSERT_EQUAL(fired_count, 100);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"random use matches the model", random_use_matches_the_model},
      {"many timers need no deep stack", many_timers_need_no_deep_stack},
      {"a timer armed in the past waits",
       a_timer_armed_in_the_past_waits_for_the_next_run},
      {"fire functions may free their timer",
       fire_functions_may_free_their_timer},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"timers", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
