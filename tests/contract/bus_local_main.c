/* bus_local_main.c - the contract over the local bus: a thread that runs it
 * whenever it is woken, as a server's I/O thread does. */
#include <stdlib.h>
#include <time.h>

#include "bus_contract.h"
#include "bus_impl.h"

struct runner {
  struct wwr_bus *bus;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool woken, held, stop;
};

static uint64_t unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *run_bus(void *arg) {
  struct runner *runner = arg;
  pthread_mutex_lock(&runner->lock);
  while (!runner->stop) {
    if (!runner->woken || runner->held) {
      pthread_cond_wait(&runner->changed, &runner->lock);
      continue;
    }
    runner->woken = false;
    pthread_mutex_unlock(&runner->lock);
    runner->bus->ops->run(runner->bus, unix_ms());
    pthread_mutex_lock(&runner->lock);
  }
  pthread_mutex_unlock(&runner->lock);
  runner->bus->ops->close(runner->bus);
  return NULL;
}

static void set(struct runner *runner, bool *flag, bool value) {
  pthread_mutex_lock(&runner->lock);
  *flag = value;
  pthread_cond_signal(&runner->changed);
  pthread_mutex_unlock(&runner->lock);
}

static void on_wake(void *owner) {
  struct runner *runner = ((struct bus_node *)owner)->own;
  set(runner, &runner->woken, true);
}

static struct wwri_bus_events events; /* the fixture's, and ours */

static wwr_err local_start(struct bus_node *node) {
  struct runner *runner = calloc(1, sizeof *runner);
  if (!runner) abort();
  pthread_mutex_init(&runner->lock, NULL);
  pthread_cond_init(&runner->changed, NULL);
  events = bus_events;
  events.wake = on_wake;
  node->own = runner;
  node->config.events = &events;
  wwr_err err = wwri_localbus_new(&node->bus, (struct wwri_boot){7, 8});
  if (err) return err;
  runner->bus = node->bus;
  err = node->bus->ops->open(node->bus, &node->config, unix_ms());
  if (!err && pthread_create(&runner->thread, NULL, run_bus, runner)) abort();
  return err;
}

static void local_close(struct bus_node *node) {
  struct runner *runner = node->own;
  set(runner, &runner->stop, true);
  pthread_join(runner->thread, NULL);
}

static void local_free(struct bus_node *node) {
  struct runner *runner = node->own;
  node->bus->ops->free(node->bus);
  pthread_mutex_destroy(&runner->lock);
  pthread_cond_destroy(&runner->changed);
  free(runner);
}

static void local_hold(bool on) {
  struct runner *runner = node(0)->own;
  set(runner, &runner->held, on);
}

const struct bus_subject bus_subject_local = {.name = "local",
                                              .nodes = 1,
                                              .start = local_start,
                                              .close = local_close,
                                              .free = local_free,
                                              .hold = local_hold};

static void set_up(void) {
  bus_fixture_open(&bus_subject_local, NULL);
}

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {BUS_CONTRACT("local", set_up), CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
