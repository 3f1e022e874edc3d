/* hub.h - a Redis Cluster as its links see it: who has which slot, and one pair
 * of connections (a trunk) per Redis node, shared by the links of all
 * partitions.
 *
 * A link with `hub` and `tag` in its options (link.h) is like any other link,
 * but asks the hub where its master is and uses the trunk of that node. All its
 * keys and channels must carry {tag}, so that all of it is in one slot. What
 * moves that slot (a failover, resharding) ends that link; what ends a trunk
 * ends the links on it, and no other. Both are ordinary losses of a link: it
 * comes back by itself, where the slot is then.
 *
 * What the hub knows of the cluster it asked of some node (CLUSTER SLOTS), the
 * seeds of the URL or any that it heard of: a redirection is only a reason to
 * ask again. It asks when a link that was lost looks for its master, and once
 * in a while.
 *
 * Threads: everything on the loop's thread, but _new, and _free when it is
 * stopped or nothing of it ever started, which may be on another. */
#ifndef WWRI_REDIS_HUB_H
#define WWRI_REDIS_HUB_H

#include "loop.h"
#include "pair.h"
#include "wwr_log.h"

struct wwri_redis_hub; /* opaque; freed by wwri_redis_hub_free() */
struct wwri_redis_url;

/** Fill with wwri_redis_hub_opts_default(), then change what you need. */
struct wwri_redis_hub_opts {
  const struct wwri_redis_url *url; /**< Required, with `cluster`. Copied. */
  const struct wwr_log *log;        /**< Optional; copied. */
  struct wwri_pair_opts timing;     /**< As its links': connect_ms, reply_ms,
 suspect_ms count here. */
  size_t max_out_bytes; /**< Unsent at most, per connection. Default 64 MiB. */
};
void wwri_redis_hub_opts_default(struct wwri_redis_hub_opts *opts);

/** A hub that does nothing until a link of it is started. Errors: WWR_E_NOMEM;
 * WWR_E_TLS, *why (static) says which file; WWR_E_INVALID: the URL is none of
 * a cluster. */
WWR_MUST_CHECK wwr_err
wwri_redis_hub_new(struct wwri_redis_hub **out, struct wwri_loop *loop,
                   const struct wwri_redis_hub_opts *opts, const char **why);

/** Change what its log gets. Any thread. */
void wwri_redis_hub_set_log_level(struct wwri_redis_hub *hub,
                                  enum wwr_log_level level);

/** When all links of it are stopped: close what is left; `done` fires once
 * from the loop when nothing of it is in the loop any more. Once. */
void wwri_redis_hub_stop(struct wwri_redis_hub *hub, void (*done)(void *user),
                         void *user);

/** Free, from inside `done` or later, or when no link of it was ever started;
 * after its links were freed. NULL does nothing. */
void wwri_redis_hub_free(struct wwri_redis_hub *hub);

/* --- For operators ------------------------------------------------------ */

struct wwri_redis_hub_stats {
  size_t nodes;       /* known, replicas too; 0: the map was never read */
  size_t masters;     /* of them: have slots */
  size_t slots;       /* that a master has, of 16384 */
  size_t trunks;      /* connected, or on their way */
  uint64_t refreshes; /* of the map, successful */
  uint64_t refused;   /* attempts to read it that failed */
};
void wwri_redis_hub_stats(const struct wwri_redis_hub *hub,
                          struct wwri_redis_hub_stats *out);

#endif
