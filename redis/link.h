/* link.h - the link to one Redis: a pair of connections (commands and
 * subscriptions) that is live only when it is proven to be, and that comes back
 * by itself.
 *
 * What it promises:
 * - Live means: both connections are on the same server, it is a master, it
 *   takes writes, and what is written through the one comes back on the other.
 * - A call's callback fires exactly once, also when the link goes.
 * - A subscription that is wanted is sent again on every connect; on_subscribed
 *   means that the server confirmed it on the connection that is live now.
 * - It tries for ever, with a back-off; nobody has to restart it.
 *
 * Threads: everything on the loop's thread, but _new, _script, _set_beat
 * before _start, and _free after _stop is done, which may be on another.
 * Hooks and callbacks fire on the loop's thread, never from inside a call to
 * the link, and may call it again. Durations are in ms. */
#ifndef WWRI_REDIS_LINK_H
#define WWRI_REDIS_LINK_H

#include "loop.h"
#include "pair.h"
#include "reply.h"
#include "subs.h"
#include "wwr_log.h"

struct wwri_redis; /* opaque; freed by wwri_redis_free() */
struct wwri_redis_hub;
struct wwri_redis_url;

/** What the owner hears; each may be NULL. */
struct wwri_redis_hooks {
  /** It may be used. `replid` (NUL-terminated, valid during the call) tells
   * servers apart: it changes with every restart and promotion. `fresh`: on new
   * connections; else it was suspect and the beats came back. */
  void (*on_live)(const char *replid, bool fresh, void *user);
  /** Beats are missing. Calls still go out; on_live or on_lost follows. */
  void (*on_suspect)(void *user);
  /** It was live or suspect. Pending calls have ended, subscriptions heard
   * on_lost. `why` is one line for the log, valid during the call. */
  void (*on_lost)(enum wwri_redis_cause cause, const char *why, void *user);
  /** An attempt to get live failed; there will be others. */
  void (*on_failed)(enum wwri_redis_cause cause, const char *why, void *user);
};

/** Fill with wwri_redis_opts_default(), then change what you need. */
struct wwri_redis_opts {
  const struct wwri_redis_url *url; /**< Required. Copied. */
  struct wwri_redis_hooks hooks;    /**< Copied. */
  void *user;                       /**< Given to hooks. */
  const struct wwr_log *log;        /**< Optional; copied. */
  struct wwri_pair_opts timing;     /**< auth, select, scripts are set by the
                                         link. */
  size_t max_calls;                 /**< Unanswered at most. Default 65536. */
  size_t max_out_bytes;             /**< Unsent at most. Default 64 MiB. */
  size_t max_subs;                  /**< Default 1,000,000. */
  /** NULL: a server of its own. Else a link of that Redis Cluster (hub.h),
   * whose connections it uses: `url`, `max_out_bytes` and AUTH are the hub's.
   * All of the hub's links are made, and their scripts registered, before the
   * first of them starts, or on the loop's thread. */
  struct wwri_redis_hub *hub;
  /** With a hub: what all keys and channels of this link carry in braces. No
   * two links of a hub have the same. Copied; 1 to 31 bytes without braces. */
  const char *tag;
};
void wwri_redis_opts_default(struct wwri_redis_opts *opts);

/** A link that does nothing yet. Errors: WWR_E_NOMEM; WWR_E_IO (no random
 * numbers); WWR_E_TLS, *why (static) says which file; WWR_E_INVALID: a URL of
 * a Redis Cluster without a hub. */
WWR_MUST_CHECK wwr_err wwri_redis_new(struct wwri_redis **out,
                                      struct wwri_loop *loop,
                                      const struct wwri_redis_opts *opts,
                                      const char **why);

enum { WWRI_REDIS_MAX_SCRIPTS = 32, WWRI_REDIS_MAX_ARGS = 24 };

/** Change what its log gets. Any thread. */
void wwri_redis_set_log_level(struct wwri_redis *link,
                              enum wwr_log_level level);

/** Register a Lua script (static text, borrowed); its number for
 * wwri_redis_eval(). The same text has the same number, however often it is
 * registered. It is loaded on every connect before the first call. At most
 * WWRI_REDIS_MAX_SCRIPTS - 1; more is our own mistake and asserts. */
int wwri_redis_script(struct wwri_redis *link, const char *text);

/** What beats once a second. The script must be a write script (`#!lua`), so
 * that a replica refuses it, and must PUBLISH to `channel` a payload that
 * begins with the token. Behind it may follow a space and anything. */
struct wwri_redis_beat {
  const char *channel; /**< This node's own. Copied; 1 to 255 bytes. */
  int script;
  /** Fill the keys, then the arguments, of the next beat: at most
   * WWRI_REDIS_MAX_ARGS views that stay valid until the call returned to the
   * link (the token does). The number of all of them; 0: not now. Without
   * beats the pair is suspect, then lost, as when they do not come back. */
  size_t (*make)(struct wwr_view token, struct wwr_view *argv,
                 size_t *key_count, void *user);
  /** The script's reply, no error. Not WWR_OK: both connections are closed
   * (cause REFUSED) and tried again after the back-off. May be NULL. */
  wwr_err (*on_reply)(const struct wwri_redis_reply *reply, void *user);
  /** It came back: the payload behind token and space. Not WWR_OK (another
   * generation, say): as above, and the beat does not count. May be NULL. */
  wwr_err (*on_back)(struct wwr_view rest, void *user);
  void *user;
};

/** Replace the built-in beat, which only publishes. Copied. Before _start, or
 * inside on_lost and on_failed: then the next connection uses it. */
void wwri_redis_set_beat(struct wwri_redis *link,
                         const struct wwri_redis_beat *beat);

/** Connect, and stay connected. Once. */
void wwri_redis_start(struct wwri_redis *link);

/** The owner knows that this is the wrong server: both connections are closed
 * as for an error (cause REFUSED; `why`, static, in the log and the hooks), not
 * from inside this call, and the master is looked for again after the back-off.
 * Harmless when there is no connection. */
void wwri_redis_drop(struct wwri_redis *link, const char *why);

/** End everything; `done` fires once from the loop when nothing of the link is
 * left in it. Pending calls end, subscriptions hear on_lost, before that. Also
 * right for a link that was never started. Once. */
void wwri_redis_stop(struct wwri_redis *link, void (*done)(void *user),
                     void *user);

/** Free, from inside `done` or later, or when it never started. All calls have
 * ended; subscriptions are forgotten. NULL does nothing. */
void wwri_redis_free(struct wwri_redis *link);

/** Whether someone waits for the link to be live: then it tries again within
 * 500 ms at most. */
void wwri_redis_hurry(struct wwri_redis *link, bool waiting);

/* --- Calls -------------------------------------------------------------- */

enum wwri_redis_outcome {
  WWRI_CALL_OK,          /**< `reply` is the answer, no error. */
  WWRI_CALL_ERROR,       /**< `reply` is a definite error. */
  WWRI_CALL_UNAVAILABLE, /**< Not now, or the link went: wait and try again. */
  WWRI_CALL_AUTH,        /**< Not permitted: wait for an operator. */
  WWRI_CALL_TIMEOUT      /**< No answer within the call's own time. */
};

struct wwri_redis_result {
  enum wwri_redis_outcome outcome;
  /** False with an outcome that is not OK: it was certainly not executed, or
   * refused whole. True: it may have been, in part with an error. */
  bool maybe_done;
  /** The server's answer, an error too; NULL when none came. Borrowed. */
  const struct wwri_redis_reply *reply;
};

/** A call; embed it, set `done`, make it, get it back in `done`. Zero the
 * rest. */
struct wwri_redis_call {
  void (*done)(struct wwri_redis_call *call,
               const struct wwri_redis_result *result);
  struct wwri_redis *link; /* NULL: not under way */
  struct wwri_timer timer;
  uint64_t slot;
};

/** Send a command; argv[0] is its name. Copied; it leaves at the loop's next
 * quiescence. Answers come in the order of calls. `timeout_ms` 0: the link's
 * own time-out for replies, which closes it. On error `done` never fires:
 * WWR_E_DISCONNECTED (neither live nor suspect), WWR_E_LIMIT, WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_redis_call(struct wwri_redis *link,
                                       struct wwri_redis_call *call,
                                       const struct wwr_view *argv, size_t argc,
                                       uint32_t timeout_ms);

/** The same with a registered script: `argv` holds `key_count` keys, then the
 * arguments. */
WWR_MUST_CHECK wwr_err wwri_redis_eval(struct wwri_redis *link,
                                       struct wwri_redis_call *call, int script,
                                       const struct wwr_view *argv, size_t argc,
                                       size_t key_count, uint32_t timeout_ms);

/** Forget a call: `done` does not fire. What was sent may still be executed.
 * Harmless when it is not under way. */
void wwri_redis_cancel(struct wwri_redis_call *call);

/* --- Subscriptions ------------------------------------------------------ */

/** Want a channel (subs.h). Errors also: WWR_E_EXISTS for the beat's. */
WWR_MUST_CHECK wwr_err
wwri_redis_subscribe(struct wwri_redis *link, struct wwri_redis_sub **out,
                     struct wwr_view channel,
                     const struct wwri_redis_sub_hooks *hooks, void *user);

/** Want it no more; no hook of it fires afterwards. */
void wwri_redis_unsubscribe(struct wwri_redis *link,
                            struct wwri_redis_sub *sub);

/* --- For operators ------------------------------------------------------ */

struct wwri_redis_stats {
  enum wwri_pair_state state;
  char replid[WWRI_REPLID_MAX]; /* of the last live pair; empty before */
  char address[300];            /* HOST:PORT or the socket's path */
  uint64_t rtt_ms;              /* of the last beat */
  uint64_t beat_age_ms;         /* since the newest that came back was sent */
  uint64_t times_live;
  uint64_t failures[WWRI_CAUSES];
  char why[256];  /* of the last failure; empty: none */
  size_t calls;   /* unanswered */
  size_t subs_on; /* confirmed */
};
void wwri_redis_stats(const struct wwri_redis *link,
                      struct wwri_redis_stats *out);

#endif
