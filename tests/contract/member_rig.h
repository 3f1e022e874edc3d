/* member_rig.h - memberships in one process, each with its bus, against a
 * redis-server of the test's own. What happens is recorded and waited for with
 * a deadline. */
#ifndef MEMBER_RIG_H
#define MEMBER_RIG_H

#include <pthread.h>

#include "member_impl.h"
#include "proc.h"
#include "redis_fixture.h"

enum { RIG_WAIT_MS = 90000, RIG_TEXT = 8192 };

struct rig_node {
  struct wwr_cluster_opts opts; /* change before rig_open() */
  const char *fingerprint;
  uint32_t watch_ms; /* of the member; 0: its own */
  struct wwr_cluster *cluster;
  struct wwr_bus *bus;
  struct wwri_member *member;
  struct wwri_list calls;
  pthread_mutex_t lock;
  char url[300]; /* opts.url, unless that was changed */
  /* Under the lock: */
  char log[64 << 10];  /* "level message key=value ...\n" */
  unsigned lost;       /* control_lost */
  unsigned healths[4]; /* how often each was told */
};

/** Fill opts: this server, hold 2 s, lease 4 s, log on. */
void rig_init(struct rig_node *node, const struct redis_server *server,
              const char *name);

/** Make it and start it. */
void rig_open(struct rig_node *node);

/** The same, and wait until it is ready. */
void rig_join(struct rig_node *node);

/** Stop and free. Harmless twice, and when it was never opened. */
void rig_close(struct rig_node *node);

bool rig_wait_health(struct rig_node *node, enum wwri_bus_health health);

/** The same, and say meanwhile that the server's threads turn. */
bool rig_turn_until(struct rig_node *node, enum wwri_bus_health health);
bool rig_wait_log(struct rig_node *node, const char *text);
bool rig_has_log(struct rig_node *node, const char *text);

/** Wait until the reason holds `text`. */
bool rig_wait_reason(struct rig_node *node, const char *text);

struct rig_call {
  struct wwri_bus_op op;
  struct rig_node *on;
  struct wwri_list node;
  wwr_err refused; /* by the call itself */
  /* Under the node's lock: */
  unsigned done;
  wwr_err err;
  bool certain;
  struct wwri_logid id;
  uint64_t connections;
  char text[RIG_TEXT]; /* messages, members or nodes with a blank behind each */
};

/** A receiver; the test's memory. */
struct rig_receiver {
  struct wwri_bus_sub sub;
  struct rig_node *on;
  /* Under the node's lock: */
  unsigned count;
  char text[RIG_TEXT];
  unsigned verdicts[4];
};

struct rig_call *rig_subscribe(struct rig_receiver *receiver,
                               struct rig_node *on, const char *channel,
                               uint32_t history);
struct rig_call *rig_unsubscribe(struct rig_receiver *receiver);
struct rig_call *rig_publish(struct rig_node *on, const char *channel,
                             const char *text, bool logged);
struct rig_call *rig_presence(struct rig_node *on, const char *channel,
                              const char *member, uint32_t connections);
struct rig_call *rig_members(struct rig_node *on, const char *channel);
struct rig_call *rig_history(struct rig_node *on, const char *channel,
                             uint32_t count);
struct rig_call *rig_nodes(struct rig_node *on);
struct rig_call *rig_control(struct rig_node *on, const char *topic);
struct rig_call *rig_send(struct rig_node *on, struct wwri_boot to);

/** Wait for its end; its error, or WWR_E_TIMEOUT. */
wwr_err rig_end(struct rig_call *call);

/** Wait until the node was told that control messages may be lost. */
bool rig_wait_lost(struct rig_node *on, unsigned times);

/** A counter of the node or of a receiver of it, read under the lock. */
unsigned rig_counter(struct rig_node *on, const unsigned *counter);

/** What was received, each with a blank behind; static, of the last call. */
const char *rig_text(struct rig_receiver *receiver);

bool rig_wait_count(struct rig_receiver *receiver, unsigned count);
bool rig_wait_verdict(struct rig_receiver *receiver,
                      enum wwri_verdict_kind kind);

/** Ask the node for all nodes until the answer is "NAME NAME ". */
bool rig_wait_nodes(struct rig_node *on, const char *names);
bool rig_wait_members(struct rig_node *on, const char *channel,
                      const char *members);

/** Let the member's thread stand still until rig_go_on(). */
struct rig_pause {
  struct wwri_mail mail;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool begun, over;
};
void rig_stand_still(struct rig_node *node, struct rig_pause *pause);
void rig_go_on(struct rig_pause *pause);

/** Milliseconds on the monotonic clock. */
uint64_t rig_now(void);

#endif
