/* bus.h - the ops table between the server and what carries its channels: the
 * local bus (one process) and the Redis bus (many nodes). docs/rules.md.
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
#include "partition.h"
#include "publisher.h"
#include "wwr_log.h"

struct wwr_bus;
struct wwri_bus_op;

/** A message of a channel. Everything borrowed until the call returns. */
struct wwri_bus_message {
  struct wwri_logid id; /* {0, 0}: it is not logged */
  struct wwri_sender sender;
  uint64_t time_ms; /* Unix time when the bus took it */
  struct wwr_view name;
  struct wwr_payload payload;
};

enum {
  WWRI_BUS_NAME_MAX = 255, /* bytes of a message's name */
  WWRI_BUS_TOPIC_MAX = 255,
  WWRI_BUS_MEMBER_MAX = 255,
  WWRI_BUS_INFO_MAX = 1024,
  WWRI_BUS_ROOM = 1024, /* send, control: bytes over max_payload_bytes */
  WWRI_BUS_ENTRIES_MAX = 1000000,
  WWRI_LAG_BUCKETS = 13 /* the last one: without bound */
};

#define WWRI_BUS_AGE_MIN_MS UINT32_C(1000)
#define WWRI_BUS_AGE_MAX_MS UINT32_C(2592000000) /* 30 days */

/** What to publish. Copied. */
struct wwri_bus_publish {
  struct wwr_view name; /* any bytes, up to 255 */
  struct wwr_payload payload;
  struct wwri_sender sender;
  /** entries 0: at most once, not in the history; else 1..1,000,000 and an age
   * of 1 s to 30 days. Meant to be the same for every publish to a channel: a
   * change may take effect late. At least so many are kept, perhaps up to 100
   * more; none is given out that is older. */
  struct wwri_log_limit limit;
};

struct wwri_bus_member {
  struct wwr_view member; /* who: up to 255 bytes; empty: all without a name */
  struct wwr_view info;   /* what the application says: up to 1024 bytes */
  uint32_t connections;
};

/** A node of the cluster. Text is NUL-terminated and borrowed. */
struct wwri_bus_node {
  struct wwri_boot boot;
  const char *name;
  const char *address; /* where it listens */
  const char *version;
  uint64_t started_ms; /* Unix time */
  uint64_t beat_age_ms;
  uint64_t connections;
  bool draining;
};

struct wwri_bus_result {
  /** WWR_OK; WWR_E_UNAVAILABLE (for the hold time), WWR_E_CLOSED (the bus
   * closed, or the sub was unsubscribed, first), WWR_E_REFUSED (denied for
   * good; send: no such node), WWR_E_NOMEM. */
  wwr_err err;
  bool certain;         /* publish failed: true: nobody will ever see it;
                           false: it may have been, or yet be, delivered */
  struct wwri_logid id; /* publish: its id. subscribe, join: nothing up to here
                           is for the joiner; history: the last id */
  const struct wwri_bus_message *messages; /* history, oldest first */
  size_t message_count;
  const struct wwri_bus_member *members; /* presence_list */
  size_t member_count;                   /* presence_list */
  uint64_t connections;                  /* subscribers: of all members */
  const struct wwri_bus_node *nodes;     /* nodes, ours first */
  size_t node_count;
};

/** One open operation. `done`, `user` and `before` are the caller's, the rest
 * the bus's. */
struct wwri_bus_op {
  void (*done)(struct wwri_bus_op *op, const struct wwri_bus_result *result);
  void *user;
  struct wwri_list node;
  unsigned kind;
  uint32_t count;
  struct wwri_logid before; /* history; else {0, 0} */
  struct wwri_bus_sub *sub;
  void *copy; /* of what was passed by view */
};

/** A receiver of one channel. Meant to be few per channel: one per I/O loop;
 * further connections of that loop use join() on it. The caller's memory, kept
 * until unsubscribe is done, its subscribe has failed, or the bus is closed;
 * then it may be subscribed again. */
struct wwri_bus_sub {
  /** A message, in the channel's order, each once. Bus thread. */
  void (*deliver)(struct wwri_bus_sub *sub,
                  const struct wwri_bus_message *message);
  /** What could not be repaired (docs/rules.md, R9). Bus thread. */
  void (*verdict)(struct wwri_bus_sub *sub, const struct wwri_verdict *verdict);
  void *user;
  struct wwri_list node;
  void *channel;
  struct wwr_bus *shard; /* of a bus that is sharded: the one that has it */
  bool joined;
};

enum wwri_bus_health {
  WWRI_BUS_READY,   /* everything works */
  WWRI_BUS_HOLDING, /* unavailable for less than the hold time: still ready */
  WWRI_BUS_UNREADY, /* ... for longer: publishes fail, readiness is 503 */
  WWRI_BUS_REFUSED  /* our settings disagree with the cluster's */
};

/** Upper bounds of the buckets of wwri_bus_state.lag but the last, in ms. */
#define WWRI_LAG_BOUNDS \
  { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000 }

struct wwri_bus_state {
  enum wwri_bus_health health;
  char reason[128]; /* one line for people; "" when ready */
  uint64_t channels;
  uint64_t published, delivered, repaired, duplicates;
  uint64_t verdicts[4]; /* by enum wwri_verdict_kind */
  uint64_t queued_bytes;
  uint64_t beat_age_ms; /* since a beat came back; 0: there are none */
  /** From publish to delivery, of this node's own messages: how many took up to
   * WWRI_LAG_BOUNDS ms (and more than the bound before), how long all. */
  uint64_t lag[WWRI_LAG_BUCKETS];
  uint64_t lag_sum_ms;
};

/** One Redis, or one partition of a Redis Cluster, for operators: what part of
 * the channels and sessions it has, and how it is. */
struct wwri_bus_shard {
  char name[300];      /* "10.0.0.1:6379/0", as in the settings, without
                          secrets; Redis Cluster: the partition's tag, "{0}" */
  char address[300];   /* HOST:PORT, or path, of the server that it is on now;
                          "" before it was reached first */
  unsigned partitions; /* that it has, of 64; of a single Redis 1 */
  int slot;            /* of its tag in a Redis Cluster; else -1 */
  enum wwri_bus_health health;
  char reason[128]; /* as in struct wwri_bus_state */
  uint64_t channels, published, delivered;
  uint64_t reconnects; /* how often its link came to be live again */
  uint64_t beat_age_ms;
  uint64_t rtt_ms; /* of the last beat */
};

struct wwri_bus_events {
  /** Somebody called send() for this node. Bus thread. */
  void (*direct)(void *owner, struct wwr_view topic, struct wwr_view bytes);
  /** A control message of any node, this one included, each once, in one order
   * on all nodes (of a bus that is sharded: while all shards are there). Bus
   * thread. */
  void (*control)(void *owner, struct wwr_view topic, struct wwr_view bytes);
  /** Control messages may have been missed: verify every attached session
   * (docs/rules.md, row 52). Bus thread. */
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
  uint32_t max_payload_bytes; /* over it publish: WWR_E_BUFFER_OVERFLOW */
  uint32_t max_queued_bytes;  /* of open operations; over it: WWR_E_LIMIT */
  /** Local bus: what the logs of all channels together may take; over it the
   * oldest entries of all go, whatever the channel's limit. */
  uint64_t max_log_bytes;
  /** What all nodes of a cluster must agree on, "KEY=VALUE" lines in a fixed
   * order; a difference is said by its line. Borrowed until open returns. */
  const char *fingerprint;
  const char *address;       /* where this node listens; borrowed likewise */
  const struct wwr_log *log; /* optional; copied */
};

/** 8 MiB queued, 64 KiB payload, 256 MiB of logs, no text, no log. */
void wwri_bus_config_default(struct wwri_bus_config *config);

struct wwri_bus_ops {
  /** Start. Called once. Unavailability is no error: it shows in the state.
   * Errors: WWR_E_INVALID, WWR_E_NOMEM, WWR_E_IO. */
  wwr_err (*open)(struct wwr_bus *bus, const struct wwri_bus_config *config,
                  uint64_t now_ms);

  /** End: what is open completes with WWR_E_CLOSED, then nothing fires any
   * more; only a call under way on another thread may still wake. What it has
   * set of presence is over with it, and needs not be taken back. Not on the
   * bus thread of a bus that has one; for the local bus on the thread that
   * runs it. Harmless before open. */
  void (*close)(struct wwr_bus *bus);

  /** Do what waits. Bus thread only; now_ms: Unix time. For the local bus
   * also every second or so when nothing woke it, to free what is too old. */
  void (*run)(struct wwr_bus *bus, uint64_t now_ms);

  /** Begin to receive a channel. Done when what is published afterwards, on
   * any node, arrives at `sub`; with up to `history` (at most
   * WWRI_HISTORY_MAX) messages from before that.
   * Errors: WWR_E_INVALID (name), WWR_E_LIMIT, WWR_E_NOMEM, WWR_E_CLOSED. */
  wwr_err (*subscribe)(struct wwr_bus *bus, struct wwr_view channel,
                       struct wwri_bus_sub *sub, uint32_t history,
                       struct wwri_bus_op *op);

  /** One more joiner of a sub that stands: as subscribe, without a receiver of
   * its own; delivers to the sub go on undisturbed. */
  wwr_err (*join)(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                  uint32_t history, struct wwri_bus_op *op);

  /** Stop receiving. Nothing is delivered after it is done; a subscribe or join
   * that is open completes first, with WWR_E_CLOSED unless it was just done.
   * Never refused for want of memory or room. Errors: WWR_E_CLOSED. */
  wwr_err (*unsubscribe)(struct wwr_bus *bus, struct wwri_bus_sub *sub,
                         struct wwri_bus_op *op);

  /** The queues behind the sub are over half full, or drained again: repairs
   * wait meanwhile. */
  void (*pressure)(struct wwr_bus *bus, struct wwri_bus_sub *sub, bool full);

  /** Publish. Done when the bus has accepted it, which may be before or after
   * it is delivered; keeps the order of calls.
   * Errors: as subscribe; WWR_E_INVALID also for the name, an unknown encoding,
   * UTF-16 of odd length, and the limit; WWR_E_BUFFER_OVERFLOW. */
  wwr_err (*publish)(struct wwr_bus *bus, struct wwr_view channel,
                     const struct wwri_bus_publish *what,
                     struct wwri_bus_op *op);

  /** The last `count` (at most WWRI_HISTORY_MAX) messages of a channel; with
   * op->before (else {0, 0}) the last of those before that place. Whoever asks
   * again with the first message's place reads the whole log; none is the end.
   * Errors: as subscribe. */
  wwr_err (*history)(struct wwr_bus *bus, struct wwr_view channel,
                     uint32_t count, struct wwri_bus_op *op);

  /** This node's connections of a member on a channel are now `connections`
   * (0: none); absolute, so that repeating it changes nothing.
   * Errors: as subscribe; WWR_E_INVALID also for the member or its info. */
  wwr_err (*presence_set)(struct wwr_bus *bus, struct wwr_view channel,
                          const struct wwri_bus_member *member,
                          struct wwri_bus_op *op);

  /** The members, each once with the connections of all nodes together, and
   * the info of one of them; in no order. What another node has set shows
   * within a second. Errors: as subscribe. */
  wwr_err (*presence_list)(struct wwr_bus *bus, struct wwr_view channel,
                           struct wwri_bus_op *op);

  /** The sum of all members' connections on all nodes. Errors: as subscribe. */
  wwr_err (*subscribers)(struct wwr_bus *bus, struct wwr_view channel,
                         struct wwri_bus_op *op);

  /** The nodes that are alive. Errors: WWR_E_LIMIT, WWR_E_NOMEM,
   * WWR_E_CLOSED. */
  wwr_err (*nodes)(struct wwr_bus *bus, struct wwri_bus_op *op);

  /** What other nodes are told about this one, with the next beat. Also the
   * word that this node's threads turn: once it was said, a bus with a lease
   * expects it about once a second, and after a silence of a third of the lease
   * (at least 5 s) gives the lease up until the next (docs/rules.md, row 49).
   */
  void (*load)(struct wwr_bus *bus, uint64_t connections, bool draining);

  /** Bytes for one node, by its boot id; at most once. Errors: WWR_E_INVALID
   * (topic), WWR_E_BUFFER_OVERFLOW, WWR_E_LIMIT, WWR_E_NOMEM, WWR_E_CLOSED. */
  wwr_err (*send)(struct wwr_bus *bus, struct wwri_boot node,
                  struct wwr_view topic, struct wwr_view bytes,
                  struct wwri_bus_op *op);

  /** Bytes for every node, logged and in one order. Errors: as send. */
  wwr_err (*control)(struct wwr_bus *bus, struct wwr_view topic,
                     struct wwr_view bytes, struct wwri_bus_op *op);

  /** This node's boot ids, one per shard; each changes when it was fenced
   * there. Up to `cap` are written (at least one); how many. */
  size_t (*boots)(struct wwr_bus *bus, struct wwri_boot *out, size_t cap);

  /** Of a bus that is sharded: all shards together. */
  void (*state)(struct wwr_bus *bus, struct wwri_bus_state *out);

  /** Up to `cap` shards, in their order; how many there are. The local bus has
   * none, a bus that is not sharded one. */
  size_t (*shards)(struct wwr_bus *bus, struct wwri_bus_shard *out, size_t cap);

  /** Free; it was closed or never opened. */
  void (*free)(struct wwr_bus *bus);
};

/** Base of every bus. */
struct wwr_bus {
  const struct wwri_bus_ops *ops;
  const char *name; /* of this node; constant, as long as the bus */
};

/** What every bus refuses before it takes a call: WWR_OK, WWR_E_INVALID or
 * WWR_E_BUFFER_OVERFLOW. */
WWR_MUST_CHECK wwr_err wwri_bus_check_publish(
    const struct wwri_bus_config *config, struct wwr_view channel,
    const struct wwri_bus_publish *what);
WWR_MUST_CHECK wwr_err wwri_bus_check_member(
    struct wwr_view channel, const struct wwri_bus_member *member);
WWR_MUST_CHECK wwr_err
wwri_bus_check_topic(const struct wwri_bus_config *config,
                     struct wwr_view topic, struct wwr_view bytes);

/** The bus of one process: one order, bounded logs, no thread, no I/O. send()
 * to another boot is refused. `events->wake` is required.
 * `boot`: this process. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_localbus_new(struct wwr_bus **out,
                                         struct wwri_boot boot);

#endif
