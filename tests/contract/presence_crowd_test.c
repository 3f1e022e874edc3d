/* Presence of a node with very many channels, and a Redis that goes away while
 * all of them are to be written. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "member_rig.h"
#include "test.h"

enum { CHANNELS = 60000 };

static struct redis_server server;
static struct rig_node ann;

/* Under the lock: */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned open;
} calls = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void on_told(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  (void)result;
  free(op);
  pthread_mutex_lock(&calls.lock);
  calls.open--;
  pthread_cond_broadcast(&calls.changed);
  pthread_mutex_unlock(&calls.lock);
}

/* As many as the bus takes at a time. */
static void tell(unsigned index, uint32_t connections) {
  const struct wwri_bus_member member = {.connections = connections};
  char name[32];
  struct wwri_bus_op *op = calloc(1, sizeof *op);
  wwr_err err;
  CU_ASSERT_PTR_NOT_NULL_FATAL(op);
  snprintf(name, sizeof name, "channel-%u", index);
  op->done = on_told;
  pthread_mutex_lock(&calls.lock);
  calls.open++;
  while ((err = ann.bus->ops->presence_set(ann.bus, wwr_view_str(name), &member,
                                           op)) == WWR_E_LIMIT) {
    pthread_cond_wait(&calls.changed, &calls.lock);
  }
  pthread_mutex_unlock(&calls.lock);
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
}

static void wait_told(void) {
  pthread_mutex_lock(&calls.lock);
  while (calls.open) pthread_cond_wait(&calls.changed, &calls.lock);
  pthread_mutex_unlock(&calls.lock);
}

static void setup(void) {
  memset(&ann, 0, sizeof ann);
  redis_init(&server, NULL);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  rig_init(&ann, &server, "ann");
  ann.opts.hold_ms = 10000;
  ann.opts.lease_ms = 60000;
  rig_join(&ann);
}

static void teardown(void) {
  rig_close(&ann);
  redis_remove(&server);
}

/* A new boot id, say: all rows of all channels at once. */
static void all_again(struct wwri_mail *mail) {
  (void)mail;
  struct wwri_member_user *user =
      WWRI_CONTAINER(ann.member->users.next, struct wwri_member_user, node);
  user->event(user, WWRI_NODE_DATA_LOST);
}

static void the_link_goes_while_all_wait(void) {
  struct wwri_mail again = {.fn = all_again};
  for (unsigned i = 0; i < CHANNELS; i++) tell(i, 1);
  wait_told();
  redis_signal(&server, SIGSTOP);
  wwri_loop_post(wwri_member_loop(ann.member), &again);
  CU_ASSERT_TRUE(rig_wait_health(&ann, WWRI_BUS_HOLDING));
  redis_kill(&server);
  CU_ASSERT_TRUE_FATAL(redis_start(&server));
  CU_ASSERT_TRUE(rig_wait_health(&ann, WWRI_BUS_READY));
  tell(7, 2);
  wait_told();
  CU_ASSERT_TRUE(rig_wait_members(&ann, "channel-7", "=2 "));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"the link goes while all wait", the_link_goes_while_all_wait},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"presence crowd", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL};
  if (!redis_available()) return 77;
  return test_run(argc, argv, suites);
}
