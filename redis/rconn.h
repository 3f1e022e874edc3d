/* rconn.h - one connection that speaks Redis: TCP, Unix socket or TLS; commands
 * out, replies in. It knows nothing of what they mean, and no time-outs: who
 * owns it keeps the time.
 *
 * Threads: everything on the loop's. */
#ifndef WWRI_RCONN_H
#define WWRI_RCONN_H

#include "loop.h"
#include "pair.h"
#include "resp.h"

struct wwri_rconn; /* freed by itself, some time after it was closed */
struct wwri_redis_reply;
struct wwri_redis_tls_config;

/** Where to; copied. */
struct wwri_rconn_target {
  const char *path; /**< Of a Unix socket; NULL or empty: host and port. */
  const char *host;
  uint16_t port;
  struct wwri_redis_tls_config *tls; /**< NULL: plain. Borrowed. */
  const char *tls_name; /**< Expected certificate; empty or NULL: host. */
};

/** Called from the loop, never from inside a call to the connection; after
 * wwri_rconn_close() only on_gone. */
struct wwri_rconn_hooks {
  /** Connected, TLS included. */
  void (*on_open)(void *user);
  /** A reply; borrowed. */
  void (*on_reply)(const struct wwri_redis_reply *reply, void *user);
  /** It ended by itself: IO, PROTOCOL, TLS, RESOLVE or NOMEM. It is closed
   * already; `why` is valid during the call. */
  void (*on_closed)(enum wwri_redis_cause cause, const char *why, void *user);
  /** Exactly once, at the very end: nothing of it is left in the loop. */
  void (*on_gone)(void *user);
};

/** Begin to connect. At most `max_out` bytes may wait to be sent. `hooks` must
 * be static. Errors: WWR_E_NOMEM, and no hook fires. */
WWR_MUST_CHECK wwr_err wwri_rconn_new(struct wwri_rconn **out,
                                      struct wwri_loop *loop,
                                      const struct wwri_rconn_target *target,
                                      size_t max_out,
                                      const struct wwri_rconn_hooks *hooks,
                                      void *user);

/** Close at once and forget it; what was not sent is dropped. NULL does
 * nothing. */
void wwri_rconn_close(struct wwri_rconn *conn);

/** Where commands are appended (resp.h), then wwri_rconn_commit(). Bytes that
 * were committed must not be cut off again. */
struct wwri_buf *wwri_rconn_out(struct wwri_rconn *conn);

/** What was appended leaves at the loop's next quiescence, with whatever else
 * was by then. */
void wwri_rconn_commit(struct wwri_rconn *conn);

/** Offsets in the stream of commands since the connection began: what was
 * appended so far, and what may have reached the server so far. A command that
 * ends behind the latter was not executed. */
uint64_t wwri_rconn_queued(const struct wwri_rconn *conn);
uint64_t wwri_rconn_left(const struct wwri_rconn *conn);

#endif
