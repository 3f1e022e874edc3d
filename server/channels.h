/* channels.h - channels inside the server: what its parts share.
 *
 * A *feed* is one channel as one shard receives it: the receiver at the bus and
 * the shard's connections that are subscribed, its *readers*. Feeds and readers
 * belong to their shard's loop. What the bus says, on its own thread, goes to
 * the shard as *items*: one order per shard, by mail or, when the bus runs on
 * that loop and nothing else waits there, at once.
 *
 * Whatever waits is counted in bytes; see WWRI_ITEMS_MAX. */
#ifndef WWRI_SERVER_CHANNELS_H
#define WWRI_SERVER_CHANNELS_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "loop.h"
#include "map.h"
#include "wwr_channel.h"

struct wwr_conn;
struct wwri_feed;
struct wwri_frame;
struct wwri_reader;
struct wwri_row;
struct wwri_shard;

enum {
  WWRI_LINGER_MS = 5000,   /* a feed without readers, against flapping */
  WWRI_BEAT_MS = 1000,     /* tell the bus our load, let it clean up */
  WWRI_PACE_MS = 5,        /* look again whether queues have drained, */
  WWRI_PACE_QUEUES = 256,  /* ... a ms later for so many queues to look at */
  WWRI_STUCK_MS = 5000,    /* a queue that has not drained for so long no longer
                              holds a repair */
  WWRI_CROWD_MS = 1000,    /* ... and no longer holds a burst, if many are */
  WWRI_FEW_MS = 500,       /* ... or if few are, */
  WWRI_HELD_MS = 1000,     /* which no message waits for longer than this */
  WWRI_OWN_WAIT_MS = 1000, /* a publisher's `done` waits for its own message */
  WWRI_PRESENCE_MS = 20,   /* changes of presence are gathered */
  WWRI_RETRY_MS = 200,     /* ... and repeated when the bus refused them */
  /* What waits for one shard before the bus is not run for a while (so that its
   * publishers feel it), and before messages are lost, with a verdict. */
  WWRI_ITEMS_SOFT = 4 << 20,
  WWRI_ITEMS_MAX = 128 << 20,
  WWRI_SOFT_WAIT_MS = 1000,
  /* Readers that get a message in one turn of a shard's loop, at about 0.1 us
   * each; a feed's share while others wait is a part of it. */
  WWRI_TURN_STEPS = 2048,
  WWRI_TURN_SHARES = 4,
  WWRI_SPREAD_MIN = 256 /* readers: what goes to more of them is bulk */
};

/** Something from the bus for a shard; embed it. */
struct wwri_item {
  struct wwri_mail mail;
  struct wwri_list node;
  struct wwri_shard *shard;
  struct wwri_feed *feed;               /* whose order it keeps; NULL: none */
  uint32_t bytes;                       /* it costs: of a message; else 0 */
  uint64_t held_ms;                     /* in its feed since, by pace_ms */
  void (*run)(struct wwri_item *item);  /* on the shard's loop, in order */
  void (*drop)(struct wwri_item *item); /* instead, at the end; may be NULL */
};

enum wwri_feed_state {
  WWRI_FEED_NEW,     /* nothing is asked of the bus yet */
  WWRI_FEED_OPENING, /* subscribe is under way */
  WWRI_FEED_UP,
  WWRI_FEED_LEAVING, /* unsubscribe is under way */
  WWRI_FEED_OVER     /* failed; out of the table */
};

struct wwri_slot {
  struct wwr_conn *conn;
  struct wwri_reader *reader;
};

/** A message on its way to a feed's readers, some in each turn. It begins at
 * `start`, another place each time, goes to the end and on from slot 0. */
struct wwri_walk {
  struct wwri_frame *frame; /* a reference; NULL: none is under way */
  struct wwri_logid id;
  uint64_t except; /* id of a connection; 0: none */
  size_t start;
  size_t at;
  bool wrapped;
  bool compare; /* some began after this message */
  bool full;    /* queues were over half full */
};

struct wwri_feed {
  struct wwri_bus_sub sub;
  struct wwri_shard *shard;
  struct wwr_channel_opts opts;
  enum wwri_feed_state state;
  struct wwri_slot *slots; /* live readers, dense: order changes */
  size_t count;
  size_t cap;
  unsigned open;            /* joins under way */
  struct wwri_logid last;   /* the last message that arrived here */
  struct wwri_logid newest; /* of the readers' `from` */
  struct wwri_walk walk;
  uint32_t rotor;           /* where the next walk begins */
  struct wwri_list backlog; /* items behind a walk, or while `crowded` */
  struct wwri_list pent;    /* in the shard's `pent` with a walk or a backlog */
  struct wwri_list full;    /* readers whose queues were over half full */
  size_t full_count;
  bool crowded;             /* its messages wait for them, see channel_pace.c */
  struct wwri_list waiting; /* subscriptions, until the feed is up */
  struct wwri_list held;    /* publications, until their message is here */
  struct wwri_timer linger;
  struct wwri_timer pace;
  struct wwri_timer own_wait;
  struct wwri_bus_op leave;
  struct wwri_item left;
  wwr_err left_err;
  bool pressed; /* the bus was told; under channels.lock */
  struct {      /* what could not even be queued; under channels.lock */
    struct wwri_item item;
    struct wwri_verdict verdict;
    bool posted;
  } lost;
  size_t name_len;
  uint8_t name[];
};

/** A connection's place in a feed. */
struct wwri_reader {
  unsigned refs; /* the connection's while not dead, and open subscriptions' */
  struct wwri_feed *feed;
  struct wwr_conn *conn;
  size_t slot; /* while live */
  struct wwri_logid from;
  struct wwri_row *row;   /* presence; NULL: not counted */
  struct wwri_list later; /* subscriptions again, told after the first */
  struct wwri_list full;  /* in the feed's `full` */
  bool live;
  bool dead;
  wwr_err err; /* why it is dead */
};

/** Part of a connection. */
struct wwri_conn_channels {
  struct wwri_reader **readers; /* by address of their feed, ascending */
  size_t cap;
  atomic_uint count;   /* readers; written on the loop */
  atomic_uint calls;   /* subscriptions under way */
  atomic_uint members; /* readers whose presence names the session */
  atomic_bool session_posted;
  struct wwri_mail session_mail;
  unsigned holding; /* subscriptions that accept-conf waits for */
  bool awaiting;    /* on_connected has returned, and it does wait */
  /* When (by pace_ms) the full queue has moved last, and where to. */
  uint64_t moved_ms;
  uint64_t moved_bytes;
};

/** Part of a shard. */
struct wwri_shard_channels {
  atomic_ullong waiting; /* bytes of items that were not run yet */
  struct wwri_map feeds; /* loop only, as the rest */
  struct wwri_list inflow;
  struct wwri_list pent;       /* feeds with a walk or a backlog, in rotation */
  struct wwri_flusher flusher; /* the next turn */
  int64_t credit;              /* bytes that may be sent in this turn */
  size_t steps;                /* readers that may get something in it */
  uint64_t pace_ms;  /* time, as far as the loop turned, see channel_pace.c */
  uint64_t paced_ms; /* loop time when that was looked at last */
  struct wwri_mail pulse; /* asks whether the loop turns */
  atomic_bool pulsing;    /* ... and has not been answered */
};

/** Options of channels as the application gave them, until they were not used
 * for some ten thousand others. */
struct wwri_channel_cache {
  pthread_mutex_t lock;
  struct wwri_map young;
  struct wwri_map old;
};

struct wwri_presence {
  pthread_mutex_t lock;
  struct wwri_map channels;
  struct wwri_list dirty;
  bool scheduled;
  bool retry;
  struct wwri_mail mail;
  struct wwri_timer timer; /* the first shard's loop */
};

/** Part of a server. */
struct wwri_channels {
  struct wwr_bus *bus;
  struct wwr_bus *own; /* the same, when we made it */
  uint64_t process;    /* random: names us as a sender */
  uint32_t linger_ms;  /* WWRI_...; tests are in a hurry */
  uint32_t beat_ms;
  uint32_t stuck_ms;
  uint32_t crowd_ms;
  uint32_t few_ms;
  uint32_t held_ms;
  uint64_t items_soft;
  uint64_t items_max;
  size_t turn_steps;
  atomic_uint press_bytes; /* of a shard's items: then repairs wait */
  atomic_bool open;        /* calls of the bus may succeed */
  atomic_ulong calls;      /* promised callbacks that are not done yet */
  pthread_mutex_t lock;    /* pressure, lost messages */
  atomic_ullong lost;      /* verdicts of our own */
  struct wwri_channel_cache cache;
  struct wwri_presence presence;

  atomic_int health; /* enum wwr_health, as last heard */
  atomic_bool health_posted;
  struct wwri_mail health_mail;

  struct {                    /* bus thread only */
    struct wwri_frame *frame; /* of the last message, for the other shards */
    struct wwri_verdict verdict;
    uint64_t verdict_shards; /* that heard it, a bit each */
    size_t verdict_len;
    uint8_t verdict_channel[WWRI_CHANNEL_MAX];
  } bus_thread;

  struct { /* the first shard's loop, where a bus without a thread is run */
    atomic_bool posted;
    struct wwri_mail mail;
    struct wwri_mail start;
    struct wwri_timer beat;
    struct wwri_timer retry;
    bool begun; /* the timers are armed */
    uint64_t late_since_ms;
    int told_health;
  } run;
};

/* --- channels.c: life, the bus's thread, health -------------------------- */

/** Make the local bus when none is given. Errors: WWR_E_NOMEM, WWR_E_IO (no
 * randomness). */
WWR_MUST_CHECK wwr_err wwri_channels_init(struct wwr_server *server);

/** Free everything; no loop runs any more. Harmless on a zeroed struct whose
 * init failed or never came. */
void wwri_channels_deinit(struct wwr_server *server);

/** Open the bus; `address`: where the server listens. Errors: the bus's. */
WWR_MUST_CHECK wwr_err wwri_channels_open(struct wwr_server *server,
                                          const char *address);

/** Tell the bus now how many connections there are, and whether this node is
 * draining. Any thread. */
void wwri_channels_tell_load(struct wwr_server *server);

/** Close the bus: open calls complete with WWR_E_CLOSED. Blocks; harmless when
 * it is not open. Not on an I/O thread. */
void wwri_channels_close(struct wwr_server *server);

/** True when every promised callback was called. Any thread. */
bool wwri_channels_quiet(const struct wwr_server *server);

/** A promised callback more, or one done. Any thread. */
void wwri_channels_call_begin(struct wwr_server *server);
void wwri_channels_call_end(struct wwr_server *server);

/** Why new connections are not taken ("..." for people), or NULL. */
const char *wwri_channels_refusal(struct wwr_server *server);

/** Not ready: writes the reason, at most `cap` bytes with its NUL. */
bool wwri_channels_ready(struct wwr_server *server, char *reason, size_t cap);

/* --- channel_opts.c ------------------------------------------------------ */

void wwri_channel_cache_init(struct wwri_channel_cache *cache);
void wwri_channel_cache_deinit(struct wwri_channel_cache *cache);

/** The channel's options; may call the application. Any thread. */
void wwri_channel_opts(struct wwr_server *server, struct wwr_view channel,
                       struct wwr_channel_opts *out);

/* --- channel_items.c: from the bus to a shard, in order ------------------ */

void wwri_shard_channels_init(struct wwri_shard *shard);

/** Hand an item over: it runs now or later. Bus thread. */
void wwri_item_send(struct wwri_item *item);

/** True when a message of the feed may be handed out at once. Any thread. */
bool wwri_feed_may_act(struct wwri_feed *feed);

/** Run what waits in the feed, as long as its readers take it and its share of
 * this turn lasts; it may free the feed. True: it could go on. Loop thread. */
bool wwri_feed_drain(struct wwri_feed *feed);

/** The feed has something that waits for a turn. Loop thread. */
void wwri_feed_pend(struct wwri_feed *feed);

/** Bytes are being sent to connections. Loop thread. */
void wwri_shard_spend(struct wwri_shard *shard, size_t bytes);

/* --- channel_feed.c: feeds and their readers; loop thread ---------------- */

struct wwri_feed *wwri_feed_find(struct wwri_shard *shard,
                                 struct wwr_view channel);

/** NULL: no memory. */
struct wwri_feed *wwri_feed_new(struct wwri_shard *shard,
                                struct wwr_view channel,
                                const struct wwr_channel_opts *opts);

/** Take it out of the table, and free it. Nobody reads it. */
void wwri_feed_forget(struct wwri_feed *feed);
void wwri_feed_free(struct wwri_feed *feed);

/** Linger and then leave the bus when nobody needs it. */
void wwri_feed_settle(struct wwri_feed *feed);

static inline struct wwr_view wwri_feed_name(const struct wwri_feed *feed) {
  return (struct wwr_view){feed->name, feed->name_len};
}

struct wwri_reader *wwri_reader_find(const struct wwr_conn *conn,
                                     const struct wwri_feed *feed);

/** Not live yet. NULL: no memory. */
struct wwri_reader *wwri_reader_new(struct wwr_conn *conn,
                                    struct wwri_feed *feed);

/** From now on it gets what is after `from`. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_reader_begin(struct wwri_reader *reader,
                                         struct wwri_logid from);

/** End it. Harmless when it is dead. */
void wwri_reader_end(struct wwri_reader *reader, wwr_err err);

void wwri_reader_unref(struct wwri_reader *reader);

/** The connection leaves: end all of its readers. */
void wwri_channels_leave(struct wwr_conn *conn);

/** conn->session changed: count the connection under its name. Any thread,
 * under the registry's lock. */
void wwri_conn_session_changed(struct wwr_conn *conn);

/** Free a shard's feeds; no loop runs any more. */
void wwri_shard_channels_deinit(struct wwri_shard *shard);

/* --- channel_subscribe.c ------------------------------------------------- */

/** The feed left the bus (or, with an error, the bus is closed): begin again
 * with who waits, or free it. */
void wwri_feed_left(struct wwri_feed *feed, wwr_err err);

/* --- channel_deliver.c --------------------------------------------------- */

/** Receivers of a feed at the bus. Bus thread. */
void wwri_feed_deliver(struct wwri_bus_sub *sub,
                       const struct wwri_bus_message *message);

/** Go on with the feed's walk, if one is under way, for a share of this turn.
 * True: none is any more. Loop thread. */
bool wwri_feed_walk(struct wwri_feed *feed);

/** A verdict of our own: a message could not be handed over. Bus thread. */
void wwri_feed_lose(struct wwri_feed *feed, struct wwri_logid id);

/* --- channel_pace.c: what waits for slow queues -------------------------- */

/** The reader's queue is over half full. Loop thread. */
void wwri_reader_fills(struct wwri_reader *reader);

/** It is not, or the reader ends. Harmless when it was not. Loop thread. */
void wwri_reader_drains(struct wwri_reader *reader);

/** Such queues have got a message: hold the next ones, and repairs, if they are
 * worth it. Loop thread. */
void wwri_feed_crowd(struct wwri_feed *feed);

/** Queues are full: the bus holds repairs. Loop or bus thread; wwri_feed_pace()
 * must follow on the loop. */
void wwri_feed_press(struct wwri_feed *feed);

/** Look again soon whether they still are. Loop thread. */
void wwri_feed_pace(struct wwri_feed *feed);

/** Look, and let the bus go on when they are not. Loop thread. */
void wwri_feed_repace(struct wwri_feed *feed);

/** Let the bus go on. Loop thread. */
void wwri_feed_unpress(struct wwri_feed *feed);

/** The feed left the bus, which forgot what it was told. Loop thread. */
void wwri_feed_unpressed(struct wwri_feed *feed);

/* --- channel_verdict.c --------------------------------------------------- */

void wwri_feed_verdict(struct wwri_bus_sub *sub,
                       const struct wwri_verdict *verdict);

/** Tell subscribers that want to know and, with `report`, the application and
 * the log. Loop thread. */
void wwri_feed_judge(struct wwri_feed *feed, const struct wwri_verdict *verdict,
                     bool report);

/* --- channel_publish.c --------------------------------------------------- */

/** The feed's messages up to feed->last are here, or (`all`) none will come
 * soon: publications that waited are done. Loop thread. */
void wwri_feed_release(struct wwri_feed *feed, bool all);

/* --- channel_presence.c -------------------------------------------------- */

void wwri_presence_init(struct wwr_server *server);
void wwri_presence_deinit(struct wwr_server *server);

/** One connection more of a member; NULL: no memory. Any thread. */
struct wwri_row *wwri_presence_add(struct wwr_server *server,
                                   struct wwr_view channel,
                                   struct wwr_view member);

/** One less. NULL does nothing. Any thread. */
void wwri_presence_drop(struct wwr_server *server, struct wwri_row *row);

/** True when the row is this member's. */
bool wwri_presence_is(const struct wwri_row *row, struct wwr_view member);

/** Tell the bus now, of this channel. Any thread. */
void wwri_presence_flush(struct wwr_server *server, struct wwr_view channel);

/* --- channel_ask.c ------------------------------------------------------- */

/** Messages copied into one block. */
struct wwri_messages {
  size_t count;
  struct wwr_channel_message *items;
};

/** NULL: no memory; free with free(). */
struct wwri_messages *wwri_messages_copy(
    const struct wwri_bus_message *messages, size_t count);

/** What every call checks first: WWR_OK, WWR_E_INVALID, WWR_E_CLOSED. */
WWR_MUST_CHECK wwr_err wwri_channels_check(struct wwr_server *server,
                                           struct wwr_view channel);

#endif
