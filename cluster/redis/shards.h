/* shards.h - the bus of a node that has several memberships: the ops of bus.h
 * over their buses. Files: shards.c (by name, to its shard; what is told of all
 * of them), shards_ask.c (what is asked of all, or of one after the other).
 *
 * All of them share one thread, which is the bus thread. */
#ifndef WWRI_SHARDS_H
#define WWRI_SHARDS_H

#include "redis_bus.h"

struct wwri_shards_bus {
  struct wwr_bus base;
  struct wwri_loop *loop;
  size_t count;
  struct wwri_member *const *members;
  struct wwr_bus *const *buses;
  const uint8_t *of_partition;   /* the index of its membership */
  const char *unit;              /* "shards", "partitions" */
  bool quiet;                    /* the memberships say nothing in the log */
  struct wwri_bus_config config; /* set by open */
  atomic_uint_least64_t queued;  /* bytes, of all */

  pthread_mutex_t mutex;
  bool open; /* under the mutex */

  /* Bus thread: */
  struct wwri_flusher judge; /* once for all that changed together */
  enum wwri_bus_health told;
  size_t away; /* memberships that were not usable when last looked */
};

/** What it is made of: borrowed until it is deleted. */
struct wwri_shards_opts {
  struct wwri_loop *loop;
  const char *name; /* of the node */
  size_t count;     /* 2 or more */
  struct wwri_member *const *members;
  struct wwr_bus *const *buses;
  const uint8_t *of_partition;
  bool partitions; /* of a Redis Cluster: each is one */
};

/** Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_shards_bus_new(struct wwr_bus **out,
                                           const struct wwri_shards_opts *opts);

/** Free it, after its memberships have stopped. NULL does nothing. */
void wwri_shards_bus_delete(struct wwr_bus *base);

/* --- between the files --- */

/** The first membership that is ready; without one the first. Any thread. */
size_t wwri_shards_ready(const struct wwri_shards_bus *bus);

/** Post `mail` unless the bus is closed; `size` counts as queued until
 * wwri_shards_give(). Errors: WWR_E_CLOSED, WWR_E_LIMIT. */
WWR_MUST_CHECK wwr_err wwri_shards_post(struct wwri_shards_bus *bus,
                                        struct wwri_mail *mail, size_t size);
void wwri_shards_give(struct wwri_shards_bus *bus, size_t size);

/* shards_ask.c */
wwr_err wwri_shards_nodes(struct wwr_bus *base, struct wwri_bus_op *op);
wwr_err wwri_shards_send(struct wwr_bus *base, struct wwri_boot node,
                         struct wwr_view topic, struct wwr_view bytes,
                         struct wwri_bus_op *op);

#endif
