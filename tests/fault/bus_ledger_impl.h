/* bus_ledger_impl.h - between bus_ledger.c (what happens) and bus_ledger_sum.c
 * (what it amounts to). */
#ifndef BUS_LEDGER_IMPL_H
#define BUS_LEDGER_IMPL_H

#include <pthread.h>

#include "bus.h"
#include "bus_ledger.h"
#include "wwr_cluster.h"

enum { MAX_EACH = 60000, MAX_VERDICTS = 256, CONTROL_EVERY = 16 };

/* One publish or control message: the n-th of a node. */
struct ledger_pub {
  struct wwri_bus_op op;
  uint8_t from;
  uint8_t channel; /* LEDGER_CHANNELS: a control message */
  bool taken;      /* the bus took it; else it never happened */
  bool ended;
  bool certain;
  wwr_err err;
  struct wwri_logid id;
  int64_t made_ms, ended_ms;
};

struct ledger_got {
  uint8_t from;
  uint32_t n;
  uint32_t way_ms; /* from its making */
};

/* What one receiver saw, in order. Channel LEDGER_CHANNELS: control. */
struct ledger_receiver {
  struct wwri_bus_sub sub;
  struct wwri_bus_op op;
  bool stands;
  uint8_t node, channel;
  struct ledger_got *got;
  size_t count, cap;
  struct wwri_verdict verdicts[MAX_VERDICTS];
  unsigned verdict_count;
  int64_t fresh_ms; /* first got that was made after the fault */
};

struct ledger_node {
  struct wwr_cluster *cluster;
  struct wwr_bus *bus;
  pthread_t thread;
  struct ledger_pub *pubs[MAX_EACH];
  uint32_t count; /* published by now; its thread's, then everybody's */
  uint64_t acked;
  int64_t fresh_ms; /* first acknowledged that was made after the fault */
  struct ledger_receiver receivers[LEDGER_CHANNELS + 1];
};

struct ledger {
  struct ledger_opts opts;
  struct wwr_log_writer *writer;
  struct lateness *lateness;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool stop;
  bool big[LEDGER_NODES];
  int64_t fault_over_ms;
  uint64_t open; /* publishes that have not ended */
  uint64_t away; /* health left READY */
  uint64_t unready;
  struct ledger_node nodes[LEDGER_NODES];
};
extern struct ledger ledger;

int64_t ledger_now(void);
/* Wait under the lock until condition() holds; false after LEDGER_WAIT_MS. */
bool ledger_until(bool (*condition)(void));
void ledger_sum(struct ledger_sums *sums);
void ledger_print(const char *name, const struct ledger_sums *sums);

#endif
