#include "lateness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { TURN_MS = 10 };

struct lateness {
  pthread_t thread;
  atomic_bool stop;
  atomic_uint worst_ms;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *watch(void *arg) {
  struct lateness *lateness = arg;
  const struct timespec turn = {0, TURN_MS * 1000000};
  int64_t before = now_ms();
  while (!atomic_load(&lateness->stop)) {
    nanosleep(&turn, NULL);
    int64_t now = now_ms(), late = now - before - TURN_MS;
    if (late > (int64_t)atomic_load(&lateness->worst_ms)) {
      atomic_store(&lateness->worst_ms, (unsigned)late);
    }
    before = now;
  }
  return NULL;
}

struct lateness *lateness_start(void) {
  struct lateness *lateness = calloc(1, sizeof *lateness);
  if (!lateness) return NULL;
  if (pthread_create(&lateness->thread, NULL, watch, lateness) == 0) {
    return lateness;
  }
  free(lateness);
  return NULL;
}

uint32_t lateness_ms(const struct lateness *lateness) {
  return lateness ? atomic_load(&lateness->worst_ms) : 0;
}

uint32_t lateness_stop(struct lateness *lateness) {
  if (!lateness) return 0;
  atomic_store(&lateness->stop, true);
  pthread_join(lateness->thread, NULL);
  uint32_t worst = lateness_ms(lateness);
  free(lateness);
  return worst;
}
