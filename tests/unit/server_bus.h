/* server_bus.h - a bus for tests of the server: the local bus run by a thread
 * of its own, which can hold calls back, refuse and fail them, and say what a
 * local bus never says: verdicts, old messages, bad health. */
#ifndef SERVER_BUS_H
#define SERVER_BUS_H

#include <pthread.h>

#include "bus.h"

enum test_call {
  TEST_SUBSCRIBE,
  TEST_JOIN,
  TEST_UNSUBSCRIBE,
  TEST_PUBLISH,
  TEST_HISTORY,
  TEST_PRESENCE_SET,
  TEST_PRESENCE_LIST,
  TEST_SUBSCRIBERS,
  TEST_NODES,
  TEST_CONTROL,
  TEST_CALLS
};

/** Guarded by fix.lock, except what is the bus thread's. */
struct test_bus {
  struct wwr_bus base;
  struct wwr_bus *local;
  struct wwri_bus_config config; /* the server's */
  char fingerprint[256];
  char address[64];
  pthread_t thread;
  bool started;
  bool stopping;
  bool woken;
  struct wwri_list queue; /* calls, in their order */
  struct wwri_list subs;  /* bus thread */
  struct errand_of_bus *errand;

  unsigned hold;              /* bits of enum test_call: they wait */
  wwr_err refuse[TEST_CALLS]; /* what the call returns at once */
  wwr_err fail[TEST_CALLS];   /* what it completes with instead */
  bool fail_certain;
  struct wwri_logid early; /* publish completes with this id, and nothing
                              is delivered; {0, 0}: as usual */
  int calls[TEST_CALLS];   /* that were made */
  int done[TEST_CALLS];    /* carried out */
  int held;                /* waiting now */
  int pressed;             /* pressure(true) */
  int released;            /* pressure(false) */
  int loads;
  int runs;
  uint64_t connections; /* of the last load */
  bool draining;
  int closes;
  enum wwri_bus_health health;
  char reason[128];
};

/** Make it (fix.bus) and let fix.opts name it. */
void test_bus_use(void);

/** Free it; the server is gone. */
void test_bus_free(void);

/** Hold calls of these kinds (bits), release the others. */
void test_bus_hold(unsigned kinds);

/** Let a kind fail from now on; WWR_OK: no more. */
void test_bus_fail(enum test_call kind, wwr_err err);
void test_bus_refuse(enum test_call kind, wwr_err err);

/** On the bus thread, to every receiver of the channel; return when done. */
void test_bus_verdict(const char *channel, const struct wwri_verdict *verdict);
void test_bus_message(const char *channel,
                      const struct wwri_bus_message *message);
void test_bus_health(enum wwri_bus_health health, const char *reason);

/** Number of receivers of a channel. */
int test_bus_subs(const char *channel);

#endif
