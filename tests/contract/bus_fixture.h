/* bus_fixture.h - what the suites over channel buses share: one to three nodes
 * on one bus, calls whose ends are recorded and waited for with a deadline, and
 * what every callback must keep to, checked in each of them:
 * - never from inside a call into the bus, on one thread at a time per node;
 * - a call ends exactly once, and only if it was taken;
 * - a receiver hears nothing before its subscribe or after its unsubscribe is
 *   done, and ids only grow; no verdict comes unless the test expects some. */
#ifndef BUS_FIXTURE_H
#define BUS_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "test.h"

enum { BUS_NODES = 3, BUS_WAIT_MS = 60000, BUS_TEXT = 16384 };

struct bus_node;

/* One implementation. */
struct bus_subject {
  const char *name;
  unsigned nodes; /* 1..BUS_NODES; tests address node(i % nodes) */
  bool strict;    /* hold() leaves a subscribe open, so it must end CLOSED */
  /* Make the node's bus and open it with node->config. */
  wwr_err (*start)(struct bus_node *node);
  void (*close)(struct bus_node *node); /* close it; called once */
  void (*free)(struct bus_node *node);  /* free it; it is closed */
  void (*hold)(bool on);                /* nothing is carried out meanwhile */
};
extern const struct bus_subject bus_subject_local;
extern const struct bus_subject bus_subject_redis;

/* What a node was told: "topic=bytes|" each. */
struct bus_heard {
  char text[BUS_TEXT];
  unsigned count;
};

struct bus_node {
  unsigned index;
  struct wwr_bus *bus;
  void *own; /* the subject's */
  struct wwri_bus_config config;
  bool closed;
  atomic_bool busy; /* in a callback */
  /* Under the lock: */
  struct bus_heard direct, control;
  unsigned control_lost;
};

struct bus_message {
  struct wwri_logid id;
  struct wwri_sender sender;
  uint64_t time_ms;
  enum wwr_encoding encoding;
  struct wwr_view name;
  struct wwr_view data;
};

struct bus_messages {
  struct bus_message **at;
  size_t count, cap;
};

struct bus_receiver {
  struct wwri_bus_sub sub;
  struct wwri_list node;
  struct bus_node *on;
  /* Under the lock: */
  bool standing;
  struct bus_messages got;
  struct wwri_logid last;
  unsigned verdicts;
  struct wwri_verdict verdict;                 /* the last one */
  void (*then)(struct bus_receiver *receiver); /* after each; may be NULL */
};

struct bus_call {
  struct wwri_bus_op op;
  struct wwri_list node;
  struct bus_node *on;
  struct bus_receiver *begins, *ends; /* of a subscribe, an unsubscribe */
  struct bus_receiver *joins;
  wwr_err refused; /* by the call itself; it never ends then */
  /* Under the lock: */
  unsigned done;
  uint64_t stamp; /* grows with every end and message */
  wwr_err err;
  bool certain;
  struct wwri_logid id;
  struct wwri_logid last; /* what joins or begins had got by then */
  struct bus_messages history;
  uint64_t connections;
  char *text; /* members or nodes: "name=connections;", or "" */
  void (*then)(struct bus_call *call); /* when it ends; may be NULL */
};

struct bus_fixture {
  const struct bus_subject *subject;
  struct bus_node nodes[BUS_NODES];
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct wwri_list calls, receivers; /* freed at the end */
  uint64_t stamp;
  bool verdicts_expected;
  bool gaps_expected; /* ids may be missing */
  char breach[256];   /* what a callback saw first that must not be */
};
/* CUnit's tests take no argument. */
extern struct bus_fixture fx;

/* Start the nodes and wait until they are ready. `change` (may be NULL) may
 * alter each node's config before. */
void bus_fixture_open(const struct bus_subject *subject,
                      void (*change)(struct wwri_bus_config *config));

/* Close all, and assert that what was taken ended once and nothing was
 * breached. */
void bus_fixture_close(void);

/* Tests that need other settings: close, and open with them. */
void bus_fixture_reopen(void (*change)(struct wwri_bus_config *config));

struct bus_node *node(unsigned index); /* modulo the subject's nodes */
void bus_close_node(struct bus_node *node);

/* Wait until condition(arg) holds; it is called under the lock. */
bool bus_until(bool (*condition)(void *arg), void *arg);

/* --- calls; they return what bus_end() waits for --- */

struct bus_receiver *bus_receiver(struct bus_node *on);
struct bus_call *bus_subscribe(struct bus_receiver *receiver,
                               const char *channel, uint32_t history);
struct bus_call *bus_join(struct bus_receiver *receiver, uint32_t history);
struct bus_call *bus_unsubscribe(struct bus_receiver *receiver);
/* Logged: 1000 entries, 10 minutes. */
struct bus_call *bus_publish(struct bus_node *on, const char *channel,
                             const char *text);
struct bus_call *bus_publish_as(struct bus_node *on, struct wwr_view channel,
                                const struct wwri_bus_publish *what);
struct bus_call *bus_history(struct bus_node *on, const char *channel,
                             uint32_t count);
struct bus_call *bus_history_before(struct bus_node *on, const char *channel,
                                    uint32_t count, struct wwri_logid before);
struct bus_call *bus_presence(struct bus_node *on, const char *channel,
                              const char *member, uint32_t connections);
struct bus_call *bus_presence_as(struct bus_node *on, struct wwr_view channel,
                                 const struct wwri_bus_member *member);
struct bus_call *bus_members(struct bus_node *on, const char *channel);
struct bus_call *bus_subscribers(struct bus_node *on, const char *channel);
struct bus_call *bus_nodes(struct bus_node *on);
struct bus_call *bus_send(struct bus_node *on, struct wwri_boot to,
                          struct wwr_view topic, struct wwr_view bytes);
struct bus_call *bus_control(struct bus_node *on, struct wwr_view topic,
                             struct wwr_view bytes);

/* Wait for its end: its error, or that with which it was refused, or TIMEOUT.
 * The call stays the fixture's. bus_end() asserts that it ends, on the main
 * thread. */
wwr_err bus_wait(struct bus_call *call);
wwr_err bus_end(struct bus_call *call);
bool bus_ended(struct bus_call *call);

/* A receiver that stands. */
struct bus_receiver *bus_listen(struct bus_node *on, const char *channel);

/* --- what was got --- */

size_t bus_count(struct bus_receiver *receiver);
/* Assert that the receiver gets at least `count` messages. */
bool bus_await(struct bus_receiver *receiver, size_t count);
/* Payloads with a blank behind each; static, of the last call. */
const char *bus_texts(struct bus_receiver *receiver);
const char *bus_history_texts(const struct bus_call *call);
struct bus_message bus_message(struct bus_receiver *receiver, size_t index);
bool bus_same_message(const struct bus_message *a, const struct bus_message *b);

/* Wait until the node was told so much by send() or control(); the text. */
const char *bus_await_direct(struct bus_node *on, unsigned count);
const char *bus_await_control(struct bus_node *on, unsigned count);

/* Assert that asking `on` again and again ends in this text. */
void bus_await_members(struct bus_node *on, const char *channel,
                       const char *text);
void bus_await_nodes(struct bus_node *on, const char *text);

struct wwri_bus_state bus_state(struct bus_node *on);

/** Its boot id; the first of them. */
struct wwri_boot bus_boot_of(struct bus_node *on);

/* Run fn(index) in `count` threads and wait for them. */
void bus_threads(unsigned count, void (*fn)(unsigned index));

#endif
