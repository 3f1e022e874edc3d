/* internal.h - the server's own structs and who may touch them.
 *
 * A connection lives on one shard (an I/O thread) and is changed only there.
 * What other threads may read or change is either atomic, or guarded by the
 * registry's lock, and says so. Everything else comes in by mail. */
#ifndef WWRI_SERVER_INTERNAL_H
#define WWRI_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "channels.h"
#include "codec.h"
#include "http.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "map.h"
#include "pool.h"
#include "session.h"
#include "transport.h"
#include "waiter.h"
#include "wwr_server.h"

enum {
  WWRI_CLOSE_LINGER_MS = 5000,
  /* Open requests without a concurrency limit. A deferring handler keeps about
   * 200 bytes for each, and the message when it runs on workers. */
  WWRI_UNLIMITED = 65536,
  WWRI_DEFERRED_MAX = 32, /* of one connection */
  WWRI_DEFERRED_BYTES = 32 * 1024,
  WWRI_STORE_THREADS = 4,
  WWRI_KEY_MAX = 1024 /* of a key generator, NUL included */
};

/* Counters of a shard: written by its loop, read by anyone. */
struct wwri_counters {
  atomic_ullong accepted;
  atomic_ullong read_timeouts;
  atomic_ullong violations;
  atomic_ullong requests;
  atomic_ullong signals_in;
  atomic_ullong signals_out;
};

/* One writer, so no locked instruction is needed. */
static inline void wwri_count(atomic_ullong *counter, uint64_t n) {
  atomic_store_explicit(counter,
                        atomic_load_explicit(counter, memory_order_relaxed) + n,
                        memory_order_relaxed);
}

/* Limits that may change while the server runs: any thread. */
struct wwri_limits {
  atomic_uint connections; /* 0: none */
  atomic_uint queued_bytes;
  atomic_uint pending_bytes;
  atomic_uint conn_channels;
};

static inline uint32_t wwri_limit(const atomic_uint *limit) {
  return atomic_load_explicit(limit, memory_order_relaxed);
}

/* Says that its loop turns, and how late; see pulse.c. */
struct wwri_pulse {
  struct wwri_mail start;
  struct wwri_timer timer; /* loop thread only, as `due_us` */
  uint64_t due_us;         /* CLOCK_MONOTONIC */
  atomic_ullong turned_us; /* likewise; 0: not begun */
  atomic_ullong lag_us;    /* the largest since it was asked for */
};

struct wwri_shard {
  struct wwr_server *server;
  struct wwri_loop *loop;
  struct wwri_counters counters;
  struct wwri_pulse pulse;
  struct {                   /* loop thread only */
    struct wwr_conn **conns; /* dense: order changes, a slot is conn->slot */
    size_t conn_count;
    size_t conn_cap;
    struct wwr_request *spare; /* finished inline requests, linked by next */
    unsigned spare_count;
    uint64_t unanswered_ms; /* when a restore was last logged as unanswered */
  } own;
  struct wwri_mail relapse; /* see authority.c */
  atomic_uint relapses;
  struct wwri_shard_channels channels;
};

/* Sessions with connections: key -> entry with its connections. The lock also
 * guards what of a connection is about its session, so that "check the limit
 * and register" and "leave and see whether it was the last" are one step. */
struct wwri_registry {
  pthread_mutex_t lock;
  struct wwri_map entries;
  struct wwri_map
      pending; /* look-ups and closes under way; without authority */
  struct wwr_sessionstore *store; /* that has authority; NULL: none has */
};

enum wwri_server_state {
  WWRI_SERVER_NEW,
  WWRI_SERVER_RUNNING,
  WWRI_SERVER_DRAINING,
  WWRI_SERVER_STOPPING,
  WWRI_SERVER_STOPPED
};

/* Commands to other nodes: the first loop's, but for `count`. */
struct wwri_commands {
  atomic_uint count;
  uint32_t wait_ms; /* for an answer; tests are in a hurry */
  uint64_t last_id;
  struct wwri_list open;
  struct wwri_timer timer; /* the earliest deadline */
};

struct wwr_server {
  struct wwr_server_opts opts; /* immutable, but for log.level; strings are
                                  ours. Of what is in `limits` the beginning */
  struct wwri_limits limits;
  struct wwr_transport *transport;
  struct wwr_sessionstore *store; /* NULL: sessions are disabled */
  struct wwri_shard *shards;
  struct wwri_loop **loops;
  size_t shard_count;
  struct wwri_pool *workers;
  struct wwri_pool *store_workers; /* NULL unless the store blocks */
  struct wwri_frame *accept_conf;  /* the same for every connection */
  struct wwri_frame *session_gone; /* notify-session-closed */
  struct wwri_registry registry;
  pthread_mutex_t broadcast_lock; /* one order of broadcasts on all shards */
  atomic_ullong next_conn_id;
  atomic_bool draining;         /* not ready; for good */
  atomic_bool stopping;         /* requests get reply-shutdown from here on */
  atomic_bool closing_all;      /* new connections are closed at once */
  atomic_ulong open_work;       /* handlers, restores and closes under way */
  atomic_ulong late_work;       /* operations of the store nobody waits for */
  atomic_size_t received_bytes; /* signals to sessions, on their way */
  bool watching;                /* the store's events */
  atomic_ulong live_pipes;      /* until the pipe has died */
  atomic_ulong live_conns;      /* until on_disconnected has returned */
  struct wwri_channels channels;
  struct wwri_commands commands;

  struct { /* under `control.lock` */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum wwri_server_state state;
    uint64_t drain_start_ms; /* CLOCK_MONOTONIC */
    uint64_t drain_end_ms;
    bool abort;
    bool has_thread;
    pthread_t thread; /* runs the shutdown, see shutdown.c */
  } control;
};

/** True from the start until the shutdown is complete: the loops take mail.
 * Any thread. */
bool wwri_server_is_running(struct wwr_server *server);

/* What a queued or running handler is for. */
enum wwri_work {
  WWRI_WORK_REQUEST,
  WWRI_WORK_SIGNAL,
  WWRI_WORK_RESTORE,
  WWRI_WORK_CLOSE,
  WWRI_WORK_CONNECTED,
  WWRI_WORK_DISCONNECTED
};

/* A message on its way through its handler. Loop thread only, except: `answer`
 * before it is posted, and `message` for the worker that runs the hook. */
struct wwr_request {
  struct wwr_request *next; /* in the inbox or the spare list */
  struct wwri_job job;
  struct wwri_mail returned; /* the hook has returned (workers) */
  struct wwri_mail answered; /* the answer, when it may not go out at once */
  struct wwr_conn *conn;     /* one reference */
  struct wwri_frame *answer;
  enum wwri_work work;
  struct wwri_id id;
  struct wwr_message message; /* into `bytes`, or borrowed while inline */
  bool hook_open;             /* the hook has not returned */
  bool answer_open;           /* not answered yet */
  bool has_slot;              /* counts among conn->running, else ->deferred */
  bool deferred;              /* the hook wants no slot; read when it is over */
  bool own_mail;              /* the answer is mail of its own loop to itself */
  bool spare;                 /* may be recycled: has no bytes */
  uint32_t len;
  uint8_t bytes[];
};

enum wwri_conn_state {
  WWRI_CONN_UPGRADING,  /* accepted, no pipe yet */
  WWRI_CONN_CONNECTING, /* on_connected runs; the pipe is held */
  WWRI_CONN_OPEN,
  WWRI_CONN_CLOSING, /* the pipe was told to close */
  WWRI_CONN_GONE     /* the pipe has died */
};

struct wwr_conn {
  atomic_uint refs;
  atomic_bool closing; /* close was asked for: no new work starts */
  atomic_bool gone;    /* the pipe has died */
  atomic_uint open;    /* its part of open_work; written on the loop only */
  struct wwr_server *server;
  struct wwri_shard *shard;
  uint64_t id;
  int64_t created_ns;
  char *remote;
  struct wwri_infos infos; /* immutable after the upgrade */

  /* Under the registry's lock. */
  struct wwr_session *session;
  struct wwri_list session_link; /* in the entry of the session */
  bool unreachable;              /* no session may be attached any more */
  bool counted;                  /* by the store with authority */
  struct wwri_store_op *opening; /* `created`, which was not answered yet */

  /* Loop thread only. */
  struct wwri_pipe *pipe; /* NULL when GONE */
  unsigned own_parcels;   /* sent on this loop, but still in its mail. Beside
                             the pipe: a message looks at both */
  size_t slot;
  enum wwri_conn_state state;
  int concurrency;
  unsigned running;  /* handlers that hold a slot */
  unsigned deferred; /* requests that gave it back, and wait for their answer */
  size_t deferred_bytes; /* of their payloads */
  unsigned hooks;        /* of them: hooks on a worker, or on their way there */
  bool blocked;          /* a restore or close holds back later messages */
  struct wwri_store_op *restoring; /* a restore that may be given up */
  bool pumping;
  bool pump_posted;
  bool paused;
  bool doubted;     /* silent for too long, at the first look */
  bool going_away;  /* close with 1001; set with `closing`, read behind
                       `close_asked` */
  bool close_asked; /* `closing`, once its mail has arrived: what was sent
                       before the close is out */
  uint16_t ending;  /* close code: nothing the peer sends counts any more,
                       see wwri_conn_end() */
  wwr_err ending_reason;
  wwr_err reason;
  struct wwr_request *inbox_head;
  struct wwr_request *inbox_tail;
  size_t inbox_bytes;
  struct wwri_timer read_timer;
  struct wwri_timer end_timer; /* of its session, see session_end.c */
  struct wwri_mail pump_mail;
  struct wwri_mail close_mail; /* posted once: `closing` says so */
  struct wwr_request *life;    /* runs on_connected and on_disconnected on
                                  workers; NULL when hooks run inline */
  bool announced;              /* on_connected was (or would be) called */
  bool ended;                  /* so was on_disconnected */
  struct wwri_conn_channels channels;
};

enum { WWRI_AHEAD = 6 /* connections */ };

/** Connections lie scattered in memory. Whoever gives something to many calls
 * this for the one twice WWRI_AHEAD further on, and WWRI_FETCH_PIPE for the one
 * WWRI_AHEAD further on: what a send looks at is then on its way while those
 * before are served. Macros, because gcc drops calls of functions that do
 * nothing but this. */
#define WWRI_FETCH_CONN(conn) __builtin_prefetch(&(conn)->pipe)
#define WWRI_FETCH_PIPE(conn)                                   \
  do { /* three lines: what is the transport's stands behind */ \
    __builtin_prefetch((const char *)(conn)->pipe, 1);          \
    __builtin_prefetch((const char *)(conn)->pipe + 64, 1);     \
    __builtin_prefetch((const char *)(conn)->pipe + 128, 1);    \
  } while (0)

/* --- conn.c: life of a connection ---------------------------------------- */

extern const struct wwri_accept_events wwri_accept_events;

/** Send a frame from any thread, in the order of this thread's calls; takes
 * over one reference. */
wwr_err wwri_conn_send(struct wwr_conn *conn, struct wwri_frame *frame);

/** Send a reply without content (types 1 to 5). Loop thread. */
void wwri_conn_reply_plain(struct wwr_conn *conn, enum wwri_msg_type type,
                           const struct wwri_id *id);

/** True when messages of this connection get reply-shutdown. */
static inline bool wwri_conn_refusing(const struct wwr_conn *conn) {
  return atomic_load(&conn->closing) || atomic_load(&conn->server->stopping);
}

/** As wwr_conn_close(), but the client is told to come back elsewhere. */
void wwri_conn_go_away(struct wwr_conn *conn);

/** If accept-conf waits for subscriptions, it waits no more. Loop thread. */
void wwri_conn_talk(struct wwr_conn *conn);

/** Close the pipe if a close or end waits for open work that is done. Loop
 * thread. */
void wwri_conn_close_if_idle(struct wwr_conn *conn);

/** Look at nothing the peer sends from here on; when what arrived before is
 * done, close the pipe with `code`. The first call counts. Loop thread. */
void wwri_conn_end(struct wwr_conn *conn, uint16_t code, wwr_err reason);

/** Run on_disconnected once the pipe has died and nothing of the connection is
 * open or waits any more; may free it. Loop thread. */
void wwri_conn_end_if_over(struct wwr_conn *conn);

/** Close the pipe now with a code, whatever is open. Loop thread. */
void wwri_conn_close_now(struct wwr_conn *conn, uint16_t code, wwr_err reason);

/** A piece of work began or ended: counted for shutdown. Loop thread. */
void wwri_conn_work_begin(struct wwr_conn *conn);
void wwri_conn_work_end(struct wwr_conn *conn);

/** The pipe's last event. Loop thread. */
void wwri_conn_closed(struct wwri_pipe *pipe, wwr_err reason);

/* --- inbox.c: messages in their order, within the concurrency limit ------ */

extern const struct wwri_pipe_events wwri_conn_pipe_events;

/** Start what may start; resume reading; close when idle. Loop thread, not
 * inside a hook of the application: there use _later. */
void wwri_conn_pump(struct wwr_conn *conn);
void wwri_conn_pump_later(struct wwr_conn *conn);

/** Answer with reply-shutdown, or drop, everything that waits; a restore that
 * can be made elsewhere ends the connection instead. Loop thread. */
void wwri_inbox_refuse(struct wwr_conn *conn);

/** Free everything that waits. Loop thread. */
void wwri_inbox_drop(struct wwr_conn *conn);

/* --- handler.c: running hooks -------------------------------------------- */

/** Run on_request or on_signal for a message whose views live until this
 * returns. Loop thread. */
void wwri_handle_inline(struct wwr_conn *conn, const struct wwri_msg *msg);

/** Run a queued request or signal; takes it over. Loop thread. */
void wwri_handle_queued(struct wwr_request *request);

/** Run on_connected or on_disconnected; wwri_conn_hook_returned() follows, also
 * from inside this call. Loop thread. */
void wwri_handle_life(struct wwr_conn *conn, enum wwri_work work);
void wwri_conn_hook_returned(struct wwr_conn *conn, enum wwri_work work);

/* --- request.c: their memory and their answers --------------------------- */

/** A request with a copy of `bytes` and its views moved there; NULL: no
 * memory. Loop thread. */
struct wwr_request *wwri_request_new(struct wwr_conn *conn, enum wwri_work work,
                                     const struct wwri_msg *msg,
                                     struct wwr_view bytes);

/** A request whose message is borrowed while its hook runs inline. */
struct wwr_request *wwri_request_borrow(struct wwr_conn *conn,
                                        const struct wwri_msg *msg);

void wwri_request_free(struct wwr_request *request);

/** End it if its hook has returned and it is answered: frees its slot. True
 * when it ended. Loop thread. */
bool wwri_request_end(struct wwr_request *request);

/* --- session.c, session_close.c: sessions on a connection ----------------- */

/** Handle types 32 and 31; the connection is blocked until it is done. Loop
 * thread. */
void wwri_session_restore(struct wwr_conn *conn, const struct wwri_id *id,
                          struct wwr_view key);
void wwri_session_close_asked(struct wwr_conn *conn, const struct wwri_id *id);

/** Do not wait for the store any longer, if a restore is under way that may be
 * given up: as if it had never been asked for. Loop thread. */
void wwri_session_abandon(struct wwr_conn *conn);

/* --- session_end.c: sessions that end at a time --------------------------- */

/** Its time has come. Any thread. */
bool wwri_session_is_over(const struct wwr_server *server,
                          const struct wwr_session *session);

/** The connection has got a session, or perhaps another one: end it, and the
 * connection, in time. Loop thread, as the next two. */
void wwri_session_mind_end(struct wwr_conn *conn);

void wwri_session_end_init(struct wwr_conn *conn);
void wwri_session_end_deinit(struct wwr_conn *conn);

/** A session that was found for a connection, but is over: ends the count of
 * it, and destroys it when nobody else has it. Loop thread. */
void wwri_session_give_up(struct wwri_shard *shard,
                          struct wwr_session *session);

/** A wwr_conn_done that wakes a struct wwri_waiter. */
void wwri_conn_wake(struct wwr_conn *conn, wwr_err err, void *waiter);

/** A restore or close is over: later messages may start. Loop thread. */
void wwri_session_unblock(struct wwr_conn *conn);

/* --- storeop.c: one call of the store ------------------------------------ */

/* What is to be told; in brackets what a store with authority is asked. */
enum wwri_store_call {
  WWRI_STORE_NOTHING, /* just finish later */
  WWRI_STORE_CREATED,
  WWRI_STORE_LOOKUP, /* [attach] */
  WWRI_STORE_CLOSED, /* on a connection [leave] */
  WWRI_STORE_KILLED  /* on all of them: closed [kill] */
};

/* Embed it; everything in it is valid until `finished`. */
struct wwri_store_op {
  struct wwr_store_op op;
  struct wwri_job job;
  struct wwri_mail mail;
  struct wwri_shard *shard; /* where it starts and ends */
  enum wwri_store_call call;
  struct wwr_conn *conn;       /* a reference; may be NULL */
  struct wwr_session *session; /* a reference; lookup: the result */
  char *key;                   /* ours; NULL: the session's */
  size_t key_len;
  wwr_err err;
  bool late;                  /* counts as late work. Loop thread */
  bool pending;               /* in the registry's `pending` */
  atomic_uint starts;         /* calls of _start that it takes: 1 */
  struct wwri_store_op *then; /* of a `created`, under the registry's lock:
                                 what waits for it */
  void (*finished)(struct wwri_store_op *op); /* on the shard's loop, once */
};

/** Prepare; takes references of `conn` (may be NULL) and `session` (may be
 * NULL). Infallible. */
void wwri_store_op_init(struct wwri_store_op *op, enum wwri_store_call call,
                        struct wwri_shard *shard, struct wwr_conn *conn,
                        struct wwr_session *session,
                        void (*finished)(struct wwri_store_op *op));

/** Set the key of an operation without a session; copied. Errors:
 * WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_store_op_key(struct wwri_store_op *op,
                                         struct wwr_view key);

/** Start it; `finished` is called later, never inside. Counts as open work of
 * the server until then. Any thread. */
void wwri_store_op_start(struct wwri_store_op *op);

/** Nobody waits for it any longer: it is late work from here on, which a
 * shutdown does not wait for. On the shard's loop, before `finished`. */
void wwri_store_op_forsake(struct wwri_store_op *op);

/** Give back what it holds. */
void wwri_store_op_deinit(struct wwri_store_op *op);

/* --- authority.c: stores that decide for several nodes -------------------- */

/** True when the store decides who may have a session, over all nodes. */
static inline bool wwri_store_decides(const struct wwr_server *server) {
  return server->registry.store != NULL;
}

/** True when a `created` that ended so is counted by the store. */
bool wwri_store_counts_created(wwr_err err);

/** The limit of connections per session that this server checks by itself. */
uint32_t wwri_store_own_limit(const struct wwr_server *server);

/** True when an error of a restore is an answer for the client; false: it must
 * not be told, because it would throw away a session that may live. */
bool wwri_store_is_answer(const struct wwr_server *server, wwr_err err);

/** One connection less that the store counted. Any thread. */
void wwri_store_detach(struct wwr_sessionstore *store, struct wwr_view key);

/** Hear the store's events, until _unwatch, after which none is under way. */
void wwri_authority_watch(struct wwr_server *server);
void wwri_authority_unwatch(struct wwr_server *server);

/** Prepare what must not fail later. */
void wwri_authority_init_shard(struct wwri_shard *shard);

/** Queue a signal for every connection of a session on this node; connections
 * whose restore was completed by the store before are among them. Borrows
 * `frame`. Any thread. Errors: WWR_E_NOMEM, WWR_E_LIMIT (too much is on its
 * way). */
wwr_err wwri_session_signal_local(struct wwr_server *server,
                                  struct wwr_view key,
                                  struct wwri_frame *frame);

/* --- registry.c ----------------------------------------------------------- */

void wwri_registry_init(struct wwri_registry *registry);
void wwri_registry_deinit(struct wwri_registry *registry);

/** Give the connection a session: WWR_OK takes one reference of it and of
 * `notice`, which is sent in the same step. `max` 0: unlimited.
 * With `created` (to be started by the caller) the session is new; without, it
 * is restored, was counted by a store that has authority, and takes the place
 * of the present one.
 * Errors: WWR_E_DISCONNECTED, WWR_E_SESSION_ACTIVE, WWR_E_MAX_SESSION_CONNS,
 * WWR_E_SESSION_NOT_FOUND (it was closed), WWR_E_NOMEM: nothing changed. Any
 * thread. */
wwr_err wwri_registry_attach(struct wwri_registry *registry,
                             struct wwr_conn *conn, struct wwr_session *session,
                             uint32_t max, struct wwri_frame *notice,
                             struct wwri_store_op *created);

/** A look-up begins; with a store without authority what is closed meanwhile is
 * not found, whatever the store says. It ends with wwri_store_op_deinit().
 * False: no memory. Any thread. */
bool wwri_registry_look(struct wwri_registry *registry,
                        struct wwri_store_op *op);
void wwri_registry_looked(struct wwri_registry *registry, struct wwr_view key);

/** `created` was answered: the connection is counted from here on, or, when it
 * has lost the session meanwhile, what waited for this happens. */
void wwri_registry_created(struct wwri_registry *registry,
                           struct wwri_store_op *created);

/** Take the session, if there is one, off the connection for good. `op` gets
 * the reference and the call that is due, WWRI_STORE_NOTHING perhaps; the
 * caller starts it. `notice` (borrowed, may be NULL) is sent in the same step
 * when there was a session. Any thread. */
void wwri_registry_close(struct wwri_registry *registry, struct wwr_conn *conn,
                         struct wwri_frame *notice, struct wwri_store_op *op);

/** The same for all connections of a session, with op->key; each gets a
 * reference and a place in *results, which is freed by the caller. Errors:
 * WWR_E_NOMEM: nothing changed. Any thread. */
wwr_err wwri_registry_expel(struct wwri_registry *registry,
                            struct wwri_frame *notice, struct wwri_store_op *op,
                            struct wwr_close_result **results, size_t *count);

/** Take the session off up to `max` of its connections on `shard`, undestroyed;
 * with `notice` (borrowed) each is told. A reference of each in `out`; their
 * number. On the shard's loop. */
size_t wwri_registry_take(struct wwri_registry *registry, struct wwr_view key,
                          const struct wwri_shard *shard,
                          struct wwri_frame *notice, struct wwr_conn **out,
                          size_t max);

/** Send a frame to the session's connections on `shard`. On its loop. */
void wwri_registry_send(struct wwri_registry *registry, struct wwr_view key,
                        const struct wwri_shard *shard,
                        struct wwri_frame *frame);

/** From now on no session can be attached. Any thread. */
void wwri_registry_seal(struct wwri_registry *registry, struct wwr_conn *conn);

/** The same, and the present one is taken off without being closed. Any
 * thread. */
void wwri_registry_leave(struct wwri_registry *registry, struct wwr_conn *conn);

/** Forbid attaching when the connection has no open work. Any thread. */
void wwri_registry_closing(struct wwri_registry *registry,
                           struct wwr_conn *conn);

size_t wwri_registry_count(struct wwri_registry *registry);

/** Visit some of the sessions, as wwri_map_scan(), under the lock; `visit` may
 * take a reference of the session, and nothing else. Any thread. */
size_t wwri_registry_scan(struct wwri_registry *registry, size_t cursor,
                          void (*visit)(struct wwr_session *session,
                                        size_t connections, void *arg),
                          void *arg);

/** -1 when unknown. */
long wwri_registry_conn_count(struct wwri_registry *registry,
                              struct wwr_view key);

/** The connections of a session, each with a reference. Errors:
 * WWR_E_NOMEM. */
wwr_err wwri_registry_conns(struct wwri_registry *registry, struct wwr_view key,
                            struct wwr_conn ***out, size_t *count);

/* --- keygen.c ------------------------------------------------------------- */

/** The default key generator: 48 random bytes, 64 characters. */
bool wwri_keygen_random(char *out, size_t cap, void *user_data);

/* --- shard.c -------------------------------------------------------------- */

/** Add to and remove from the dense array. Errors: WWR_E_NOMEM. */
wwr_err wwri_shard_add(struct wwri_shard *shard, struct wwr_conn *conn);
void wwri_shard_remove(struct wwri_shard *shard, struct wwr_conn *conn);

/** The shard on whose thread this is called, or NULL. */
struct wwri_shard *wwri_shard_current(const struct wwr_server *server);

/** True on any of the server's I/O threads. */
bool wwri_on_io_thread(const struct wwr_server *server);

/** Run `fn` for every connection of every shard, on its thread, and wait until
 * all have. Not on an I/O thread. */
void wwri_each_conn(struct wwr_server *server,
                    void (*fn)(struct wwr_conn *conn, void *arg), void *arg);

/* --- limits.c ------------------------------------------------------------- */

/** Take the options' limits. */
void wwri_limits_init(struct wwr_server *server);

/** Tell the transport, which has just started. */
void wwri_limits_apply(struct wwr_server *server);

/* --- pulse.c -------------------------------------------------------------- */

/** Begin to look whether the loops turn; they run. */
void wwri_pulse_begin(struct wwr_server *server);

/* --- command.c ------------------------------------------------------------ */

void wwri_commands_init(struct wwr_server *server);

/** A control message of the bus, perhaps about commands. Bus thread. */
void wwri_command_heard(struct wwr_server *server, struct wwr_view topic,
                        struct wwr_view bytes);

/** The bus is closed: nobody waits any longer. First loop. */
void wwri_commands_close(struct wwr_server *server);

/* --- drain.c -------------------------------------------------------------- */

/** Drain, on the control thread; returns when the shutdown may begin. */
void wwri_drain_run(struct wwr_server *server);

/** The last pipe has died. Any thread. */
void wwri_drain_nudge(struct wwr_server *server);

/* --- shutdown.c ----------------------------------------------------------- */

/** The control thread's main function; `arg` is the server. */
void *wwri_shutdown_thread(void *arg);

/** Something the shutdown waits for may have happened. Any thread. */
void wwri_shutdown_nudge(struct wwr_server *server);

/** Work of the server as a whole, for shutdown to wait for. Any thread. */
static inline void wwri_server_work_begin(struct wwr_server *server) {
  atomic_fetch_add(&server->open_work, 1);
}
static inline void wwri_server_work_end(struct wwr_server *server) {
  if (atomic_fetch_sub(&server->open_work, 1) == 1) wwri_shutdown_nudge(server);
}

/** Wait until no work is open and no connection is left. */
void wwri_shutdown_wait_idle(struct wwr_server *server);

/** Then: close the bus, if the shutdown could not, and wait until every
 * promised callback was called. */
void wwri_shutdown_end_channels(struct wwr_server *server);

/** Then: wait until the store, which has learnt of the end, gave the answers
 * that nobody waits for any more. */
void wwri_shutdown_wait_late(struct wwr_server *server);

#endif
