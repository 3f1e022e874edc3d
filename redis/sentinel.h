/* sentinel.h - asks the sentinels where the master is, and listens for news.
 *
 * One connection at a time: it asks (SENTINEL get-master-addr-by-name), and
 * when it got an answer it subscribes to +switch-master and stays. Asking again
 * goes to the next sentinel of the list, so that one with old news does not
 * decide twice. Threads: the loop's. */
#ifndef WWRI_REDIS_SENTINEL_H
#define WWRI_REDIS_SENTINEL_H

#include "loop.h"
#include "url.h"

struct wwri_redis_sentinel;
struct wwri_redis_tls_config;

/** Called from the loop, never from inside a call. */
struct wwri_redis_sentinel_hooks {
  /** The master's address: the answer to wwri_redis_sentinel_ask(), or news.
   * `host` is valid during the call. */
  void (*on_master)(const char *host, uint16_t port, void *user);
  /** All sentinels were asked and none knows; `why` is valid during the call.
   * Only as the answer to wwri_redis_sentinel_ask(). */
  void (*on_none)(const char *why, void *user);
  /** After wwri_redis_sentinel_free(): nothing of it is left in the loop. */
  void (*on_gone)(void *user);
};

/** `url` (with sentinel true), `tls`, `hooks` are borrowed and must outlive it.
 * Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_redis_sentinel_new(
    struct wwri_redis_sentinel **out, struct wwri_loop *loop,
    const struct wwri_redis_url *url, struct wwri_redis_tls_config *tls,
    const struct wwri_redis_sentinel_hooks *hooks, void *user);

/** Ask all sentinels in turn, each for at most `each_ms`. An ask under way
 * begins anew. */
void wwri_redis_sentinel_ask(struct wwri_redis_sentinel *sentinel,
                             uint32_t each_ms);

/** Stop, and free as soon as possible; then on_gone. NULL does nothing, and
 * then on_gone does not fire. */
void wwri_redis_sentinel_free(struct wwri_redis_sentinel *sentinel);

#endif
