/* redis_bus.h - the bus over Redis: the ops of bus.h on a membership. Files:
 * redis_bus.c (calls become operations in one queue, and end), redis_channel.c
 * (subscriptions), redis_publish.c (publishes, control), redis_ask.c (questions
 * that are one script each), redis_presence.c (rows of this node).
 *
 * The member thread is the bus thread: all but the queue belongs to it. */
#ifndef WWRI_REDIS_BUS_H
#define WWRI_REDIS_BUS_H

#include "member_impl.h"

enum bus_kind {
  BUS_SUBSCRIBE,
  BUS_JOIN,
  BUS_UNSUBSCRIBE,
  BUS_PUBLISH,
  BUS_CONTROL,
  BUS_HISTORY,
  BUS_PRESENCE_SET,
  BUS_PRESENCE_LIST,
  BUS_SUBSCRIBERS,
  BUS_NODES,
  BUS_SEND
};

/** What an operation holds until it ends; the copies of what was passed stand
 * behind it in the same block. */
struct bus_work {
  struct wwri_bus_op *op;
  struct redis_bus *bus;
  size_t size; /* counted against max_queued_bytes */
  uint64_t deadline_ms;
  struct wwr_view channel;
  union {
    struct {
      struct member_join join;
      struct wwri_list node; /* receiver->joins */
      struct bus_receiver *receiver;
    } join;
    struct {
      struct wwri_member_publish publish;
      struct wwri_log_limit limit;
      struct wwr_view data; /* PUBLISH: the envelope. CONTROL: bytes */
      struct wwr_view topic;
    } publish;
    struct {
      struct wwri_redis_call call;
      struct wwri_boot node; /* SEND */
      struct wwr_view data;  /* SEND: the envelope */
      bool perhaps;          /* SEND: it may have been delivered */
    } ask;
    struct {
      struct wwri_list node; /* of the channel's operations */
      struct wwri_bus_member member;
    } presence;
  } u;
};

/** A sub of the server on a channel. */
struct bus_receiver {
  struct member_sub base;
  struct redis_bus *bus;
  struct wwri_bus_sub *sub;
  struct bus_channel *channel;
  struct wwri_list node;  /* channel->receivers */
  struct wwri_list joins; /* operations that are open */
  bool full;              /* its queues; under the lock */
  bool full_known;        /* as the core was told */
  bool in_pressed;
  struct wwri_list pressed; /* bus->locked.pressed */
};

struct bus_channel {
  struct wwri_list node; /* bus->channels */
  struct wwri_list receivers;
  unsigned full; /* of them */
  size_t name_len;
  uint8_t name[];
};

struct redis_bus {
  struct wwr_bus base;
  struct wwri_member *member;
  struct wwri_member_user user;
  struct wwri_bus_config config; /* set by open */
  bool opened;                   /* the owner's */
  struct {
    int direct, history, nodes, presence_set, presence_renew, presence_list;
  } scripts;

  struct {
    pthread_mutex_t mutex;
    struct wwri_list queue;   /* operations, in the order of their calls */
    struct wwri_list pressed; /* receivers whose pressure changed */
    bool open;
    bool posted;
  } locked;
  struct wwri_mail mail;
  atomic_uint_least64_t *queued; /* bytes; perhaps of several buses */
  struct {
    atomic_uint_least64_t queued_bytes, channels, published, delivered,
        verdicts[4], lag[WWRI_LAG_BUCKETS], lag_sum_ms;
  } counts;

  /* Member thread: */
  struct wwri_list open; /* operations with a deadline, earliest first */
  struct wwri_timer timer;
  unsigned publishes; /* open */
  bool stopping;
  bool waiting; /* the member was told that somebody waits */
  struct wwri_map by_name;
  struct wwri_list channels;
  struct wwri_bus_message *messages; /* MEMBER_ENTRIES of them */
  struct wwri_timer retry_timer;
  struct {
    struct wwri_map by_name;
    struct wwri_list channels;
    struct wwri_list ready; /* to be written */
    unsigned passes;        /* under way */
    bool pumping;           /* passes are being begun */
    struct wwri_timer renew_timer;
    struct wwri_list renewals; /* to be asked */
    bool renewing;
  } presence;
};

/** Make the bus of a membership. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_redis_bus_new(struct wwr_bus **out,
                                          struct wwri_member *member);

/** What waits counts with what waits in others, whose ceiling is one; before it
 * is opened. */
void wwri_redis_bus_share(struct wwr_bus *base, atomic_uint_least64_t *queued);

/** Add to what waits, unless it were more than `max`. */
bool wwri_redis_bus_take(atomic_uint_least64_t *queued, size_t size,
                         uint64_t max);

/** Free it; the membership has stopped. NULL does nothing. */
void wwri_redis_bus_delete(struct wwr_bus *base);

/* --- between the files --- */

static inline struct bus_work *bus_work_of(struct wwri_bus_op *op) {
  return op->copy;
}

/** End an operation: free what it holds, call done. */
void wwri_rbus_end(struct redis_bus *bus, struct wwri_bus_op *op,
                   const struct wwri_bus_result *result);
void wwri_rbus_fail(struct redis_bus *bus, struct wwri_bus_op *op, wwr_err err,
                    bool certain);

/** It waits for something, for the hold time at most. */
void wwri_rbus_wait(struct redis_bus *bus, struct wwri_bus_op *op);

/** Read the messages of entries into bus->messages, without those that are no
 * messages; how many. */
size_t wwri_rbus_read_messages(struct redis_bus *bus,
                               const struct wwri_entry *entries, size_t count);
bool wwri_rbus_read_message(struct redis_bus *bus,
                            const struct wwri_entry *entry,
                            struct wwri_bus_message *out);

/* redis_channel.c */
void wwri_rbus_subscribe(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_join(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_unsubscribe(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_join_expired(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_press(struct redis_bus *bus);
void wwri_rbus_uncertain(struct redis_bus *bus);
void wwri_rbus_channels_end(struct redis_bus *bus);

/* redis_publish.c */
void wwri_rbus_publish(struct redis_bus *bus, struct wwri_bus_op *op);

/* redis_ask.c */
void wwri_rbus_asks_init(struct redis_bus *bus);
void wwri_rbus_ask(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_ask_expired(struct redis_bus *bus, struct wwri_bus_op *op);
/** The link is live: what waits for it is asked. */
void wwri_rbus_asks_live(struct redis_bus *bus);

/* redis_presence.c */
void wwri_rbus_presence_init(struct redis_bus *bus);
void wwri_rbus_presence_set(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_presence_expired(struct redis_bus *bus, struct wwri_bus_op *op);
void wwri_rbus_presence_live(struct redis_bus *bus);
/** What Redis has of this node counts for nothing: write all anew. */
void wwri_rbus_presence_again(struct redis_bus *bus);
void wwri_rbus_presence_end(struct redis_bus *bus);
void wwri_rbus_presence_deinit(struct redis_bus *bus);

#endif
