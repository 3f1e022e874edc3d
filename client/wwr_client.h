/* wwr_client.h - the webwire client (docs/protocol.md, "Client").
 *
 * A client owns one I/O thread. Every function may be called from any thread;
 * those that wait (connect, request_wait, restore_session, close_session) not
 * from a hook or callback: they return WWR_E_WRONG_THREAD there. Hooks and
 * callbacks run on the client's thread, one at a time, and must not block. */
#ifndef WWR_CLIENT_H
#define WWR_CLIENT_H

#include "wwr_log.h"
#include "wwr_payload.h"
#include "wwr_session.h"
#include "wwr_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_client; /* opaque; freed by wwr_client_free() */

enum wwr_client_status {
  WWR_CLIENT_DISABLED, /**< New, closed, or ended by a server that can't be ours
                            (see wwr_client_connect()): idle until used. With
                            autoconnect off only a connect counts as use. */
  WWR_CLIENT_DISCONNECTED, /**< No connection right now. */
  WWR_CLIENT_CONNECTED     /**< Accept-conf received, session restored. */
};

/** All optional; copied. Borrowed arguments are valid until the hook
 * returns. */
struct wwr_client_hooks {
  /** The connection was lost or closed; `reason` says how, WWR_OK: closed
   * normally by either side. Once for every time the client was connected,
   * after the requests that were sent on it have failed and before the first
   * attempt to reconnect. */
  void (*on_disconnected)(wwr_err reason, void *user_data);
  void (*on_signal)(const struct wwr_message *message, void *user_data);
  /** A session was created by the server, or restored; on a reconnect after
   * the status became connected and before the calls that waited are sent. */
  void (*on_session_created)(struct wwr_session *session, void *user_data);
  /** The session was closed, by either side, or forgotten because the server
   * does not know it any more. */
  void (*on_session_closed)(void *user_data);
};

enum wwr_autoconnect {
  WWR_AUTOCONNECT_ON, /**< Lost connections come back by themselves (default).
                       */
  WWR_AUTOCONNECT_OFF /**< Calls fail with WWR_E_DISCONNECTED at once; only
                           wwr_client_connect() connects. */
};

/** Fill with wwr_client_opts_default(), then change what you need. No number
 * may be 0. */
struct wwr_client_opts {
  struct wwr_client_hooks hooks;
  void *user_data;           /**< Given to hooks; borrowed. */
  struct wwr_dialer *dialer; /**< Required, taken over: of wwr_websocket.h or
                                  wwr_memory.h. */
  struct wwr_log log;        /**< Default: silence. Copied. */
  const char *subprotocol;   /**< Expected sub-protocol name, at most 255
                                  printable ASCII characters; default none.
                                  Copied. */
  enum wwr_autoconnect autoconnect;
  uint32_t request_timeout_ms;    /**< Default 60000: of calls without their own
                                       deadline. */
  uint32_t reconnect_interval_ms; /**< Default 2000: the first wait. */
  uint32_t reconnect_max_ms;     /**< Default 30000: ceiling of the back-off; at
                                      least reconnect_interval_ms. */
  uint32_t dial_timeout_ms;      /**< Default 5000: TCP, TLS, upgrade,
                                      accept-conf. */
  uint32_t message_buffer_bytes; /**< Largest message buffer size accepted from
                                      a server. Default 1048576, at least
                                      32. */
  uint32_t max_pending;          /**< Requests open or waiting at once; over it
                                      WWR_E_LIMIT. Default 65536. */
  uint32_t max_queued_bytes;     /**< Default 16777216. Bytes of calls that
                                      wait for the connection (over it
                                      WWR_E_LIMIT), and of those handed to it
                                      that did not leave yet (over it
                                      WWR_E_TRANSMISSION). */
};

WWR_API void wwr_client_opts_default(struct wwr_client_opts *opts);

/** Make a client; idle until first used. Copies `opts`; takes over the dialer
 * only on success, else it is freed by wwr_dialer_free(). `bad_field` (may be
 * NULL) names a wrong option; static. Errors: WWR_E_INVALID, WWR_E_NOMEM,
 * WWR_E_IO, WWR_E_TLS. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_client_new(struct wwr_client **out, const struct wwr_client_opts *opts,
               const char **bad_field);

/** Close, end the thread, free. Waits for callbacks under way; no other call
 * may be. NULL does nothing. Not in a hook. */
WWR_API void wwr_client_free(struct wwr_client *client);

/** Its status at this moment. */
WWR_API enum wwr_client_status wwr_client_status(
    const struct wwr_client *client);

/** Connect and wait for it, the restored session included; WWR_OK at once when
 * connected. With autoconnect it retries until `timeout_ms` (0: the default
 * request timeout) is over, otherwise it tries once. It does not sit out a
 * back-off: the next attempt is made now.
 *
 * A server that can't be ours ends the retrying and disables the client:
 * WWR_E_INCOMPATIBLE_VERSION, WWR_E_SUBPROTOCOL_MISMATCH, WWR_E_PROTOCOL (its
 * first message is no accept-conf), WWR_E_BUFFER_OVERFLOW (its message buffer
 * is larger than message_buffer_bytes), WWR_E_TLS, WWR_E_REFUSED (an HTTP
 * status below 500 other than 408, 425, 429).
 * Other errors: WWR_E_DISCONNECTED, WWR_E_DIAL_TIMEOUT, WWR_E_REFUSED (any
 * other status; these three only with autoconnect off), WWR_E_TIMEOUT or
 * WWR_E_DEADLINE, WWR_E_CANCELED (closed meanwhile), WWR_E_WRONG_THREAD,
 * WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_client_connect(struct wwr_client *client,
                                                  uint32_t timeout_ms);

/** The reply of a request. In callbacks everything is borrowed; the blocking
 * call's must be released with wwr_reply_deinit(). */
struct wwr_reply {
  wwr_err err; /**< WWR_OK: `payload` is the reply. */
  struct wwr_payload payload;
  const char *error_code;    /**< WWR_E_REQUEST: the code, else NULL. */
  const char *error_message; /**< WWR_E_REQUEST: the message, else NULL. */
  void *memory;              /**< Internal. */
};

/** Release what wwr_client_request_wait() put into `reply`; also when it
 * failed, and also when zeroed. */
WWR_API void wwr_reply_deinit(struct wwr_reply *reply);

typedef void (*wwr_reply_fn)(const struct wwr_reply *reply, void *user_data);

/** An open request, to cancel it; 0 is none. */
typedef uint64_t wwr_call;

/** Send a request; `done` (may be NULL) is called exactly once, never from
 * inside this call, unless this returns an error. `name` and `payload` (one may
 * be empty or NULL) are copied. `timeout_ms`: the caller's deadline, or 0 for
 * the default timeout. `call` (may be NULL) receives the handle for
 * wwr_client_cancel(). While disconnected the request waits for the connection
 * until its deadline (autoconnect). Errors in the reply: WWR_E_REQUEST,
 * WWR_E_TIMEOUT, WWR_E_DEADLINE, WWR_E_CANCELED, WWR_E_DISCONNECTED (sent, then
 * the connection broke; or autoconnect is off), WWR_E_INTERNAL, WWR_E_SHUTDOWN,
 * WWR_E_BUFFER_OVERFLOW (larger than this server takes), WWR_E_TRANSMISSION
 * (max_queued_bytes), WWR_E_NOMEM, and while it waits what ends the retrying
 * (wwr_client_connect()). Returned: WWR_E_PROTOCOL (bad name, nothing to send,
 * odd UTF-16), WWR_E_BUFFER_OVERFLOW (larger than any server may take),
 * WWR_E_LIMIT, WWR_E_CLOSED (the client is being freed), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_client_request(struct wwr_client *client, struct wwr_view name,
                   const struct wwr_payload *payload, uint32_t timeout_ms,
                   wwr_reply_fn done, void *user_data, wwr_call *call);

/** The same, waiting for the reply. Returns reply->err or what
 * wwr_client_request() returns; WWR_E_WRONG_THREAD in a hook. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_client_request_wait(struct wwr_client *client, struct wwr_view name,
                        const struct wwr_payload *payload, uint32_t timeout_ms,
                        struct wwr_reply *reply);

/** Give up a request: its callback gets WWR_E_CANCELED. Harmless when it is
 * over. */
WWR_API void wwr_client_cancel(struct wwr_client *client, wwr_call call);

/** Send a signal and wait until it is handed to the connection. While
 * disconnected it waits for the connection up to `timeout_ms` (0: default).
 * In a hook or callback it never waits: WWR_E_DISCONNECTED there when not
 * connected. Errors: as a request's. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_client_signal(struct wwr_client *client, struct wwr_view name,
                  const struct wwr_payload *payload, uint32_t timeout_ms);

/** Number of requests without an answer yet. */
WWR_API size_t wwr_client_pending(const struct wwr_client *client);

/** The session of the connection, or while there is none of the last one; a
 * reference to give back with wwr_session_unref(), or NULL. NULL also when it
 * could not be restored for another reason than WWR_E_SESSION_NOT_FOUND: then
 * the next connect tries again. */
WWR_API struct wwr_session *wwr_client_session(const struct wwr_client *client);

/** Restore a session by its key, and wait. Fails with WWR_E_SESSION_ACTIVE when
 * there is one. Errors: WWR_E_SESSION_NOT_FOUND, WWR_E_MAX_SESSION_CONNS,
 * WWR_E_SESSIONS_DISABLED, WWR_E_INTERNAL, and those of a request. */
WWR_API WWR_MUST_CHECK wwr_err wwr_client_restore_session(
    struct wwr_client *client, struct wwr_view key, uint32_t timeout_ms);

/** Close the session on the server and forget it, and wait. Offline it is only
 * forgotten. Without one it succeeds. Errors: WWR_E_SESSIONS_DISABLED and those
 * of a request; the session is kept then. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_client_close_session(struct wwr_client *client, uint32_t timeout_ms);

/** Close the connection and disable the client until it is used again. What
 * waits fails with WWR_E_CANCELED, what was sent with WWR_E_DISCONNECTED. The
 * session stays known and is restored at the next connect. Blocks until closed;
 * in a hook it only begins. */
WWR_API void wwr_client_close(struct wwr_client *client);

#ifdef __cplusplus
}
#endif
#endif /* WWR_CLIENT_H */
