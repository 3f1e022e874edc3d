/* local_impl.h - the local bus, between local.c (calls and their queue),
 * local_work.c (what they do, on the bus thread) and local_channel.c (the
 * channels they do it to).
 *
 * What a call passes by view is copied into one block, and that block is what
 * stays: a publish's copy is the log's entry, a member's copy the member. */
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
  LOCAL_SUBSCRIBERS,
  LOCAL_NODES,
  LOCAL_SEND,
  LOCAL_CONTROL
};

/** How the block of every operation begins. */
struct local_copy {
  size_t size; /* of the block; counted against max_queued_bytes */
  struct wwr_view channel;
};

/** PUBLISH: the message, and its place in the logs. */
struct local_entry {
  struct local_copy copy;
  struct wwri_list node;   /* local_channel.log, oldest first */
  struct wwri_list by_age; /* of all channels, oldest first */
  struct local_channel *owner;
  uint64_t clock_ms; /* run.clock_ms when it was published */
  struct wwri_log_limit limit;
  struct wwri_bus_message message;
};

/** PRESENCE_SET. */
struct local_member {
  struct local_copy copy;
  struct wwri_list node;
  struct wwri_bus_member member;
  struct local_member *info_from; /* a later block that holds the info */
};

/** SEND and CONTROL. */
struct local_tell {
  struct local_copy copy; /* channel: the topic */
  struct wwri_boot node;
  struct wwr_view bytes;
};

struct local_channel {
  struct wwri_list node;
  struct wwri_logid last;
  struct wwri_log_limit limit; /* of the last logged publish */
  struct wwri_list log;
  size_t log_count;
  struct wwri_list subs;
  struct wwri_list members;
  struct wwri_map member_by_name;
  uint64_t connections; /* of all members */
  size_t name_len;
  uint8_t name[];
};

struct local_bus {
  struct wwr_bus base;
  struct wwri_boot boot;
  struct wwri_bus_config config; /* set by open */
  char *address;
  char name[96];
  struct {
    pthread_mutex_t mutex;
    struct wwri_list queue; /* operations, in the order of their calls */
    size_t queued_bytes;
    bool open;
    bool woken;
    bool draining;
    uint64_t connections;
    uint64_t channels, published, delivered; /* for state() */
  } locked;
  struct { /* bus thread only */
    struct wwri_map by_name;
    struct wwri_list channels;
    struct wwri_list by_age; /* every entry of every log */
    uint64_t log_bytes;
    uint64_t next_epoch;
    uint64_t now_ms;   /* Unix time, as the caller sees it */
    uint64_t clock_ms; /* never steps back: for ages */
    uint64_t sweep_at_ms;
    uint64_t started_ms;
    uint64_t published, delivered;
  } run;
};

/* --- local_channel.c --- */

/** NULL: it does not exist; make: there is no memory. */
struct local_channel *wwri_local_find(struct local_bus *bus,
                                      struct wwr_view name);
struct local_channel *wwri_local_make(struct local_bus *bus,
                                      struct wwr_view name);

/** Take over a delivered message, and forget what it displaces. */
void wwri_local_keep(struct local_bus *bus, struct local_channel *channel,
                     struct local_entry *entry);

/** The last `count` messages, before that place unless it is {0, 0}; *out is to
 * be freed. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_local_last(const struct local_bus *bus,
                                       const struct local_channel *channel,
                                       struct wwri_logid before, uint32_t count,
                                       struct wwri_bus_message **out,
                                       size_t *out_count);

/** Take over a member with connections. WWR_E_NOMEM: nothing changed. */
WWR_MUST_CHECK wwr_err wwri_local_member_set(struct local_channel *channel,
                                             struct local_member *member);
void wwri_local_member_remove(struct local_channel *channel,
                              struct wwr_view name);

/** Forget some of what is too old, and channels that nobody needs; a little
 * each time, all of it in turn. */
void wwri_local_sweep(struct local_bus *bus);

/** Free every channel; subs are their owners'. */
void wwri_local_clear(struct local_bus *bus);

/* --- local_work.c --- */

/** Carry out an operation and call its done; the copy is freed or kept. */
void wwri_local_execute(struct local_bus *bus, struct wwri_bus_op *op);

/** Complete an operation with an error; the copy is freed. */
void wwri_local_fail(struct wwri_bus_op *op, wwr_err err);

#endif
