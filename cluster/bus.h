/* bus.h - the ops table between the server and what carries its channels: the
 * local bus (one process) and the Redis bus (many nodes). DESIGN.md, section 5.
 *
 * Threads: every op may be called from any thread, except where it says
 * otherwise; calls of one thread keep their order. Completions and events fire
 * on one thread at a time, the bus thread, never from inside a call of the user
 * into the bus, and with no lock held. The local bus has no thread of its own:
 * it asks to be run by `wake`, and whoever calls run() is the bus thread.
 *
 * Operations: the caller embeds a struct wwri_bus_op and keeps it until its
 * `done` was called: exactly once for every call that returned WWR_OK, not at
 * all for others. Views passed in are copied before the call returns. */
#ifndef WWRI_BUS_H
#define WWRI_BUS_H

#include "channel.h"
#include "envelope.h"

struct wwri_bus;
struct wwri_bus_op;

/** A message of a channel. Everything borrowed until the call returns. */
struct wwri_bus_message {
  struct wwri_logid id;
  uint64_t time_ms; /* Unix time when the bus took it */
  struct wwr_view name;
  struct wwr_payload payload;
};

struct wwri_bus_member {
  struct wwr_view member; /* who: 1..255 bytes */
  struct wwr_view info;   /* what the application says about them */
  uint32_t connections;
};

struct wwri_bus_result {
  /** WWR_OK; WWR_E_TIMEOUT (unavailable for the hold time), WWR_E_CLOSED (the
   * bus closed first), WWR_E_REFUSED (denied for good), WWR_E_NOMEM. */
  wwr_err err;
  bool certain;         /* publish failed: true: nobody will ever see it;
                           false: it may have been, or yet be, delivered */
  struct wwri_logid id; /* publish: its id. subscribe, join: nothing up to here
                           is for the joiner; history: the last id */
  const struct wwri_bus_message *messages; /* history, oldest first */
  size_t message_count;
  const struct wwri_bus_member *members; /* presence_list */
  size_t member_count;                   /* presence_list, presence_count */
};

/** One open operation. `done` and `user` are the caller's, the rest the bus's.
 */
struct wwri_bus_op {
  void (*done)(struct wwri_bus_op *op, const struct wwri_bus_result *result);
  void *user;
  struct wwri_list node;
  unsigned kind;
  uint32_t count;
  struct wwri_bus_sub *sub;
  void *copy; /* of what was passed by view */
};

/** A receiver of one channel. Meant to be few per channel: one per I/O loop;
 * further connections of that loop use join() on it. The caller's memory, kept
 * until unsubscribe is done. */
struct wwri_bus_sub {
  /** A message, in the channel's order, each once. Bus thread. */
  void (*deliver)(struct wwri_bus_sub *sub,
                  const struct wwri_bus_message *message);
  /** What could not be repaired (CLUSTER.md, R9). Bus thread. */
  void (*verdict)(struct wwri_bus_sub *sub, const struct wwri_verdict *verdict);
  void *user;
  struct wwri_list node;
  void *channel;
  bool joined;
};

enum wwri_bus_health {
  WWRI_BUS_READY,   /* everything works */
  WWRI_BUS_HOLDING, /* unavailable for less than the hold time: still ready */
  WWRI_BUS_UNREADY, /* ... for longer: publishes fail, readiness is 503 */
  WWRI_BUS_REFUSED  /* our settings disagree with the cluster's */
};

struct wwri_bus_state {
  enum wwri_bus_health health;
  char reason[128]; /* one line for people; "" when ready */
  uint64_t channels;
  uint64_t published, delivered, repaired, duplicates;
  uint64_t verdicts[4]; /* by enum wwri_verdict_kind */
  uint64_t queued_bytes;
};

struct wwri_bus_events {
  /** Somebody called send() for this node. Bus thread. */
  void (*direct)(void *owner, struct wwr_view topic, struct wwr_view bytes);
  /** A control message of any node, this one included, each once, in one order
   * on all nodes. Bus thread. */
  void (*control)(void *owner, struct wwr_view topic, struct wwr_view bytes);
  /** Control messages may have been missed: verify every attached session
   * (CLUSTER.md, row 52). Bus thread. */
  void (*control_lost)(void *owner, const struct wwri_verdict *verdict);
  /** Health changed. Bus thread. */
  void (*health)(void *owner, enum wwri_bus_health health);
  /** Call run() soon. Any thread; calls in between coalesce. May be NULL for a
   * bus that has a thread. */
  void (*wake)(void *owner);
};

struct wwri_bus_config {
  const struct wwri_bus_events *events; /* borrowed, static */
  void *owner;
  uint32_t
      max_payload_bytes;     /* over it publish returns WWR_E_BUFFER_OVERFLOW */
  uint32_t max_queued_bytes; /* of open operations; over it WWR_E_LIMIT */
  uint32_t log_entries;      /* kept per channel */
  uint64_t log_age_ms;
};

/** 8 MiB queued, 64 KiB payload, 1000 entries, 10 minutes. */
void wwri_bus_config_default(struct wwri_bus_config *config);

enum { WWRI_BUS_TOPIC_MAX = 255 };

struct wwri_bus_ops {
  /** Start. Called once. Unavailability is no error: it shows in the state.
   * Errors: WWR_E_INVALID, WWR_E_NOMEM, WWR_E_IO. */
  wwr_err (*open)(struct wwri_bus *bus, const struct wwri_bus_config *config,
                  uint64_t now_ms);

  /** End: what is open completes with WWR_E_CLOSED, then nothing fires any
   * more. Not on the bus thread of a bus that has one; for the local bus on
   * the thread that runs it. Harmless before open. */
  void (*close)(struct wwri_bus *bus);

  /** Do what waits. Bus thread only. now_ms: Unix time. */
  void (*run)(struct wwri_bus *bus, uint64_t now_ms);

  /** Begin to receive a channel. Done when what is published afterwards, on
   * any node, arrives at `sub`; with up to `history` (at most
   * WWRI_HISTORY_MAX) messages from before that.
   * Errors: WWR_E_INVALID (name), WWR_E_LIMIT, WWR_E_NOMEM, WWR_E_CLOSED. */
  wwr_err (*subscribe)(struct wwri_bus *bus, struct wwr_view channel,
                       struct wwri_bus_sub *sub, uint32_t history,
                       struct wwri_bus_op *op);

  /** One more joiner of a sub that stands: as subscribe, without a receiver of
   * its own; delivers to the sub go on undisturbed. */
  wwr_err (*join)(struct wwri_bus *bus, struct wwri_bus_sub *sub,
                  uint32_t history, struct wwri_bus_op *op);

  /** Stop receiving. Nothing is delivered after it is done, and a subscribe or
   * join that is open completes first, with WWR_E_CLOSED. */
  wwr_err (*unsubscribe)(struct wwri_bus *bus, struct wwri_bus_sub *sub,
                         struct wwri_bus_op *op);

  /** The queues behind the sub are over half full, or drained again: repairs
   * wait meanwhile. */
  void (*pressure)(struct wwri_bus *bus, struct wwri_bus_sub *sub, bool full);

  /** Publish. Done when the bus has accepted it; keeps the order of calls.
   * `logged` false: at most once, not in the history.
   * Errors: as subscribe; WWR_E_BUFFER_OVERFLOW. */
  wwr_err (*publish)(struct wwri_bus *bus, struct wwr_view channel, bool logged,
                     const struct wwr_message *message, struct wwri_bus_op *op);

  /** The last `count` messages of a channel. */
  wwr_err (*history)(struct wwri_bus *bus, struct wwr_view channel,
                     uint32_t count, struct wwri_bus_op *op);

  /** This node's connections of a member on a channel are now `connections`
   * (0: none); absolute, so that repeating it changes nothing. */
  wwr_err (*presence_set)(struct wwri_bus *bus, struct wwr_view channel,
                          const struct wwri_bus_member *member,
                          struct wwri_bus_op *op);
  wwr_err (*presence_list)(struct wwri_bus *bus, struct wwr_view channel,
                           struct wwri_bus_op *op);
  wwr_err (*presence_count)(struct wwri_bus *bus, struct wwr_view channel,
                            struct wwri_bus_op *op);

  /** Bytes for one node, by its boot id; at most once. */
  wwr_err (*send)(struct wwri_bus *bus, struct wwri_boot node,
                  struct wwr_view topic, struct wwr_view bytes,
                  struct wwri_bus_op *op);

  /** Bytes for every node, logged and in one order. */
  wwr_err (*control)(struct wwri_bus *bus, struct wwr_view topic,
                     struct wwr_view bytes, struct wwri_bus_op *op);

  /** This node's boot id; changes when it was fenced. */
  struct wwri_boot (*boot)(struct wwri_bus *bus);

  void (*state)(struct wwri_bus *bus, struct wwri_bus_state *out);

  /** Free; it was closed or never opened. */
  void (*free)(struct wwri_bus *bus);
};

/** Base of every bus. */
struct wwri_bus {
  const struct wwri_bus_ops *ops;
};

/** The bus of one process: one order, a bounded log, no thread, no I/O.
 * `boot`: this process. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_localbus_new(struct wwri_bus **out,
                                         struct wwri_boot boot);

#endif
