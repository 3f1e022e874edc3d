/* subs.h - the channels that are wanted and what the server was told about
 * them. Pure: it writes commands into a buffer and is told what came back.
 *
 * The wanted set is the truth; on every connect it is sent again. One operation
 * per channel is in flight; what is wanted when its confirmation arrives
 * decides the next one. Confirmations are matched to the operations sent, in
 * order, and their name is only compared to find a server that lies. */
#ifndef WWRI_REDIS_SUBS_H
#define WWRI_REDIS_SUBS_H

#include "buf.h"
#include "list.h"
#include "map.h"

enum {
  WWRI_SUBS_BATCH = 512, /* channels per command */
  WWRI_SUBS_WINDOW = 4,  /* commands in flight */
  WWRI_SUBS_NAME_MAX = 512
};

/** What a subscriber hears, all from the loop. Views are borrowed. */
struct wwri_redis_sub_hooks {
  /** Confirmed while the link is live: what is published from now on arrives,
   * or on_lost says that it may not have. Again after every on_lost. */
  void (*on_subscribed)(void *user);
  /** No longer; the link subscribes again by itself. Only after
   * on_subscribed. */
  void (*on_lost)(void *user);
  /** The server does not permit it (`why`: its words). Tried again at the next
   * connect. */
  void (*on_refused)(struct wwr_view why, void *user);
  /** A message, only between on_subscribed and on_lost. */
  void (*on_message)(struct wwr_view payload, void *user);
};

/** A wanted channel. Opaque. */
struct wwri_redis_sub;

struct wwri_subs_command {
  bool subscribe;
  unsigned total;
  unsigned left; /* confirmations to come */
};

struct wwri_subs {
  struct wwri_map names;
  struct wwri_list all;   /* every channel there is an operation or wish for */
  struct wwri_list dirty; /* wished differs from what it is */
  struct wwri_list sent;  /* in flight, in order */
  struct wwri_subs_command flight[WWRI_SUBS_WINDOW];
  unsigned flight_first;
  unsigned flight_count;
  size_t wanted;
  size_t max; /* wanted at most */
  size_t on;  /* confirmed */
  bool online;
  bool live;
  bool sharded; /* SSUBSCRIBE: set it before the first connect */
};

/** Can't fail. */
void wwri_subs_init(struct wwri_subs *subs, size_t max);

/** Free everything; hooks do not fire. */
void wwri_subs_deinit(struct wwri_subs *subs);

/** Want a channel; copies the name, `hooks` must be static and complete.
 * Errors: WWR_E_EXISTS (it is wanted already), WWR_E_LIMIT, WWR_E_INVALID (an
 * empty or too long name), WWR_E_NOMEM. No hook fires inside. */
WWR_MUST_CHECK wwr_err wwri_subs_want(struct wwri_subs *subs,
                                      struct wwri_redis_sub **out,
                                      struct wwr_view channel,
                                      const struct wwri_redis_sub_hooks *hooks,
                                      void *user);

/** Want it no more; no hook of it fires afterwards, and the caller forgets it.
 */
void wwri_subs_unwant(struct wwri_subs *subs, struct wwri_redis_sub *sub);

/** A new connection that may be used: everything wanted is to be sent. */
void wwri_subs_connected(struct wwri_subs *subs);

/** The connection is gone: on_lost for all that were told. */
void wwri_subs_disconnected(struct wwri_subs *subs);

/** Whether on_subscribed may be told; true tells those that wait for it. */
void wwri_subs_set_live(struct wwri_subs *subs, bool live);

/** Append the next command to `out`. False: nothing to send now. On error
 * (as wwri_buf_append()) nothing was appended and it may be tried again. */
WWR_MUST_CHECK wwr_err wwri_subs_next(struct wwri_subs *subs,
                                      struct wwri_buf *out, bool *sent);

/** The command that was appended last; only after wwri_subs_next() did. */
const struct wwri_subs_command *wwri_subs_last(const struct wwri_subs *subs);

/** Channels that the server may take for subscribed, up to `max`, beginning at
 * *at (NULL: the first); 0: no more. Nothing may change in between. */
size_t wwri_subs_held(const struct wwri_subs *subs, const struct wwri_list **at,
                      struct wwr_view *names, size_t max);

/** True when commands wait for confirmations. */
bool wwri_subs_in_flight(const struct wwri_subs *subs);

/** A confirmation came. WWR_E_PROTOCOL: not the one that had to come next. */
WWR_MUST_CHECK wwr_err wwri_subs_confirmed(struct wwri_subs *subs,
                                           bool subscribe,
                                           struct wwr_view channel);

/** An error came instead of confirmations of the oldest command: a batch is
 * sent again one by one, a single one is refused. WWR_E_PROTOCOL: none is due.
 */
WWR_MUST_CHECK wwr_err wwri_subs_refused(struct wwri_subs *subs,
                                         struct wwr_view why);

/** A message came. WWR_E_PROTOCOL: for a channel that was not asked for. */
WWR_MUST_CHECK wwr_err wwri_subs_message(struct wwri_subs *subs,
                                         struct wwr_view channel,
                                         struct wwr_view payload);

#endif
