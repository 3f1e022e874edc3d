/* client.h - the inside of a client, shared by the files of this folder.
 *
 * Threads: what is not said to be for any thread is for the client's own loop.
 * The application's hooks and callbacks run there as well, under no lock, and
 * can change nothing synchronously: every public function they may call posts
 * mail (a signal at most goes straight to the pipe, which fires no event). So
 * no function here has to expect that its state changed behind its back. */
#ifndef WWRI_CLIENT_H
#define WWRI_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "codec.h"
#include "log.h"
#include "loop.h"
#include "reconnect.h"
#include "table.h"
#include "transport.h"
#include "waiter.h"
#include "wwr_client.h"

/* The largest header that a transport puts before a message. */
enum { WWRI_CLIENT_HEADER_MAX = 14 };

enum wwri_call_kind {
  WWRI_CALL_REQUEST,
  WWRI_CALL_SIGNAL,
  WWRI_CALL_CONNECT,
  WWRI_CALL_RESTORE,
  WWRI_CALL_CLOSE_SESSION
};

enum wwri_call_state {
  WWRI_CALL_POSTED,    /* on its way to the loop */
  WWRI_CALL_WAITING,   /* for the connection */
  WWRI_CALL_SENT,      /* for the reply */
  WWRI_CALL_ABANDONED, /* result given; a late reply still counts (session) */
  WWRI_CALL_DONE
};

/** One public call on its way through the client. */
struct wwri_call {
  struct wwri_mail arrive; /* to the loop */
  struct wwri_mail cancel; /* to the loop, by wwr_client_cancel() */
  struct wwri_list link;   /* in waiting or open */
  struct wwri_timer deadline;
  struct wwr_client *client;
  struct wwri_frame *frame; /* encoded by the caller's thread; NULL: connect,
                               or sent */
  struct wwri_call *chain;  /* locked: in the table */
  uint64_t id;              /* also on the wire */
  uint64_t closes;          /* client->closes when it was made */
  unsigned refs;            /* locked: the loop's and the cancel mail's */
  bool cancel_posted;       /* locked */
  bool canceled;            /* before it arrived */
  enum wwri_call_kind kind;
  enum wwri_call_state state;
  wwr_err late; /* WWR_E_DEADLINE or WWR_E_TIMEOUT */
  uint32_t timeout_ms;
  wwr_reply_fn done; /* NULL: nobody wants to know */
  void *user_data;
};

enum wwri_link_state {
  WWRI_LINK_IDLE,      /* nothing under way */
  WWRI_LINK_BACKOFF,   /* the timer will dial */
  WWRI_LINK_DIALING,   /* the dialer has it */
  WWRI_LINK_HANDSHAKE, /* pipe open, accept-conf to come */
  WWRI_LINK_RESTORING, /* the previous session is being restored */
  WWRI_LINK_UP,
  WWRI_LINK_CLOSING /* pipe closed by us, its last event to come */
};

/** The way to the server; loop only. */
struct wwri_client_link {
  enum wwri_link_state state;
  struct wwri_pipe *pipe;  /* HANDSHAKE to CLOSING */
  struct wwri_timer timer; /* back-off; handshake; restore */
  struct wwri_timer heart; /* UP: heartbeats */
  struct wwri_reconnect reconnect;
  uint64_t random;
  uint64_t dialed_ms;
  uint64_t last_tx_ms;
  uint64_t restore_id;
  uint32_t heart_ms;     /* 0: none */
  uint32_t buffer_bytes; /* of this server */
  wwr_err reason;        /* why we dropped the connection; else WWR_OK */
  bool was_up;
  bool broken;    /* UP, but the pipe takes nothing more */
  bool abandoned; /* nobody wants this attempt or connection any more */
  bool again;     /* a connect joined it; if it fails, dial at once */
};

/** A blocked wwr_client_close(), on its caller's stack. */
struct wwri_closer {
  struct wwri_mail mail;
  struct wwri_list link;
  struct wwr_client *client;
  struct wwri_waiter *waiter;
  bool final; /* wwr_client_free() */
};

struct wwr_client {
  /* Fixed by wwr_client_new(). `opts.subprotocol` is our copy. */
  struct wwr_client_opts opts;
  char *subprotocol;
  struct wwri_loop *loop;
  struct wwri_frame *heartbeat;

  /* Any thread. */
  atomic_int status;
  atomic_bool freeing;
  atomic_uint_fast64_t next_id;
  atomic_uint_fast64_t closes; /* wwr_client_close() calls made in hooks */
  atomic_size_t pending;       /* requests without an answer */
  atomic_size_t unsent_bytes;  /* of calls that are not handed over yet */
  struct {
    pthread_mutex_t mutex;
    struct wwri_call_table calls;
    struct wwr_session *session; /* what wwr_client_session() shows */
  } locked;

  /* Loop only. */
  bool enabled;
  struct wwri_client_link link;
  struct wwri_list waiting; /* calls, in the order they arrived */
  struct wwri_list open;    /* calls that were sent, and abandoned ones */
  struct wwri_list closers;
  struct wwr_session *kept;    /* restored at the next connect */
  struct wwri_mail hook_close; /* wwr_client_close() in a hook */
  bool hook_close_posted;
};

/* calls.c */

/** Make a call: encode `msg` (its id is filled in here; NULL: none), count it
 * against the limits. Any thread; not posted yet.
 * Errors: WWR_E_PROTOCOL, WWR_E_BUFFER_OVERFLOW, WWR_E_LIMIT, WWR_E_NOMEM,
 * WWR_E_CLOSED (being freed). */
WWR_MUST_CHECK wwr_err wwri_client_call_new(struct wwri_call **out,
                                            struct wwr_client *client,
                                            enum wwri_call_kind kind,
                                            struct wwri_msg *msg,
                                            uint32_t timeout_ms,
                                            wwr_reply_fn done, void *user_data);

/** Hand it to the loop, which owns it from here on. Any thread. */
void wwri_client_call_post(struct wwri_call *call);

/** Give the call its result and forget it. */
void wwri_client_call_finish(struct wwri_call *call,
                             const struct wwr_reply *reply);
void wwri_client_call_fail(struct wwri_call *call, wwr_err err);

/** Fail every call of the list with `err`. */
void wwri_client_calls_fail(struct wwri_list *calls, wwr_err err);

/** Send what waits, as long as the connection takes it. */
void wwri_client_calls_flush(struct wwr_client *client);

/** True when a wwr_client_connect() waits. */
bool wwri_client_connect_waits(const struct wwr_client *client);

/** The call that this reply answers, or NULL (late or never asked). */
struct wwri_call *wwri_client_call_answered(struct wwr_client *client,
                                            const struct wwri_id *id);

struct wwri_id wwri_client_wire_id(uint64_t id);

/* link.c */

extern const struct wwri_dial_events wwri_client_dial_events;

void wwri_client_link_init(struct wwr_client *client);

/** Somebody needs the connection: enable the client, dial if nothing is under
 * way. An explicit connect does not sit out a back-off: nor the one that would
 * follow if what is under way fails. */
void wwri_client_link_use(struct wwr_client *client, bool explicitly);

/** True when a message sent now would follow all those made before it. */
bool wwri_client_link_ready(const struct wwr_client *client);

/** Hand a frame to the connection; takes no reference. Errors:
 * WWR_E_BUFFER_OVERFLOW, WWR_E_TRANSMISSION (queue full), WWR_E_NOMEM,
 * WWR_E_DISCONNECTED (it is breaking: the closed event follows). */
WWR_MUST_CHECK wwr_err wwri_client_link_send(struct wwr_client *client,
                                             struct wwri_frame *frame);

/** The last one who wanted this attempt (autoconnect off) gave up. */
void wwri_client_link_abandon(struct wwr_client *client);

/** wwr_client_close() on the loop. */
void wwri_client_link_close(struct wwr_client *client);

/** Drop the connection because of `reason`; autoconnect brings it back.
 * `close_code` 0: without a word to the server. */
void wwri_client_link_break(struct wwr_client *client, wwr_err reason,
                            uint16_t close_code);

/** The server is none that we can talk to: end the retrying, fail everyone who
 * waits with `reason`. */
void wwri_client_link_mismatch(struct wwr_client *client, wwr_err reason);

/** Accept-conf was checked, the limits of `conf` hold from here on. */
void wwri_client_link_accepted(struct wwr_client *client,
                               const struct wwri_msg *conf);

/** The restore is over: the client counts as connected. What waits is sent by
 * wwri_client_calls_flush(), after the hook. */
void wwri_client_link_up(struct wwr_client *client);

/* receive.c */

extern const struct wwri_pipe_events wwri_client_pipe_events;

/** The pipe's closed event; in link.c. */
void wwri_client_link_closed(struct wwri_pipe *pipe, wwr_err reason);

/* session.c */

/** After accept-conf: ask for the kept session (link.restore_id is set), or be
 * connected at once. Errors: WWR_E_NOMEM and those of wwri_client_link_send():
 * the connection is of no use. */
WWR_MUST_CHECK wwr_err wwri_client_restore_begin(struct wwr_client *client);

/** The reply of that restore; WWR_OK: connected, whatever became of the
 * session. Errors: WWR_E_PROTOCOL, WWR_E_NOMEM: the connection is of no use. */
WWR_MUST_CHECK wwr_err wwri_client_restore_end(struct wwr_client *client,
                                               const struct wwr_reply *reply);

/** Take over the session object in `json` and tell the hook. Errors:
 * WWR_E_PROTOCOL, WWR_E_NOMEM; nothing changed. */
WWR_MUST_CHECK wwr_err wwri_client_session_take(struct wwr_client *client,
                                                struct wwr_view json);

/** Forget the session, if any, and tell the hook. */
void wwri_client_session_forget(struct wwr_client *client);

/** True when wwr_client_session() shows one. Loop only, as is every change. */
bool wwri_client_session_active(const struct wwr_client *client);

#endif
