/* local_impl.h - the local bus, between local.c (calls and their queue) and
 * local_channel.c (what they do, on the bus thread). */
#ifndef WWRI_LOCAL_IMPL_H
#define WWRI_LOCAL_IMPL_H

#include <pthread.h>

#include "bus.h"
#include "map.h"

enum local_kind {
  LOCAL_SUBSCRIBE,
  LOCAL_JOIN,
  LOCAL_UNSUBSCRIBE,
  LOCAL_PUBLISH,
  LOCAL_HISTORY,
  LOCAL_PRESENCE_SET,
  LOCAL_PRESENCE_LIST,
  LOCAL_PRESENCE_COUNT,
  LOCAL_SEND,
  LOCAL_CONTROL
};

/** What was passed by view, in one piece. */
struct local_copy {
  size_t size; /* counted against max_queued_bytes */
  bool logged;
  enum wwr_encoding encoding;
  uint32_t connections;
  struct wwri_boot node;
  struct wwr_view first;  /* the channel, or the topic */
  struct wwr_view second; /* the message's name, or the member */
  struct wwr_view third;  /* payload, info, bytes */
  uint8_t bytes[];
};

struct local_entry {
  struct wwri_list node;
  struct wwri_bus_message message;
  uint8_t bytes[];
};

struct local_member {
  struct wwri_list node;
  struct wwri_bus_member member;
  uint8_t bytes[];
};

struct local_channel {
  struct wwri_list node;
  struct wwri_logid last;
  struct wwri_list log; /* oldest first */
  size_t log_count;
  struct wwri_list subs;
  struct wwri_list members;
  size_t member_count;
  size_t name_len;
  uint8_t name[];
};

struct local_bus {
  struct wwri_bus base;
  struct wwri_boot boot;
  struct wwri_bus_config config; /* set by open */
  struct {
    pthread_mutex_t mutex;
    struct wwri_list queue; /* operations, in the order of their calls */
    size_t queued_bytes;
    bool open;
    bool woken;
    uint64_t channels, published, delivered; /* for state() */
  } locked;
  struct { /* bus thread only */
    struct wwri_map by_name;
    struct wwri_list channels;
    uint64_t next_epoch;
    uint64_t now_ms;
    uint64_t sweep_at_ms;
    uint64_t published, delivered;
  } run;
};

static inline struct local_copy *local_copy_of(struct wwri_bus_op *op) {
  return op->copy;
}

/** Carry out an operation and call its done; the copy is freed. */
void wwri_local_execute(struct local_bus *bus, struct wwri_bus_op *op);

/** Complete an operation with an error; the copy is freed. */
void wwri_local_fail(struct wwri_bus_op *op, wwr_err err);

/** Forget what is too old, and channels that nobody needs. */
void wwri_local_sweep(struct local_bus *bus);

/** Free every channel; subs are their owners'. */
void wwri_local_clear(struct local_bus *bus);

#endif
