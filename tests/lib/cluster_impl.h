/* cluster_impl.h - what cluster.c and cluster_ask.c share. */
#ifndef WWR_TEST_CLUSTER_IMPL_H
#define WWR_TEST_CLUSTER_IMPL_H

#include "cluster.h"
#include "proc.h"

enum {
  CLUSTER_MEMBERS = CLUSTER_MAX_NODES + 2,
  CLUSTER_MAX_ARGS = 64,
  CLUSTER_POLL_MS = 5
};

struct cluster_member {
  char name[16];
  char log[128];
  struct proc *proc; /* NULL: does not run */
  int reserved;      /* holds the port */
  uint16_t port;
  const char *const *args; /* of a node */
};

struct cluster {
  struct cluster_opts opts;
  char dir[64];
  struct cluster_member members[CLUSTER_MEMBERS];
};

int64_t cluster_now_ms(void);
void cluster_sleep_ms(int ms);

/** A connection to 127.0.0.1:port whose reads end after `timeout_ms`; -1. */
int cluster_dial(uint16_t port, int timeout_ms);

/** Write a line and read the answer, up to its end or `cap`; false when there
 * was none. Closes `fd`. */
bool cluster_converse(int fd, const char *line, char *out, size_t cap);

#endif
