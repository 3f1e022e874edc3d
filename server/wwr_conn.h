/* wwr_conn.h - one client's connection, as handlers see it, and the requests
 * that arrive on it (docs/protocol.md, "Connection", "Requests", "Sessions").
 *
 * Threads: every function may be called from any thread. Calls made one after
 * the other on one thread take effect in that order.
 *
 * Lifetime: hooks borrow the connection. Keep it longer with wwr_conn_ref();
 * give every reference back before wwr_server_free(). On a connection that has
 * gone the functions still work and say so. */
#ifndef WWR_CONN_H
#define WWR_CONN_H

#include "wwr_payload.h"
#include "wwr_session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_conn;    /* opaque, reference-counted */
struct wwr_request; /* opaque; whoever has it must answer it exactly once */

/** Add a reference; returns `conn`. */
WWR_API struct wwr_conn *wwr_conn_ref(struct wwr_conn *conn);

/** Drop a reference. NULL does nothing. */
WWR_API void wwr_conn_unref(struct wwr_conn *conn);

/** A number that is unique in this server's life, as in its logs; never 0. */
WWR_API uint64_t wwr_conn_id(const struct wwr_conn *conn);

/** True until the connection is closed or was asked to close: false in
 * on_disconnected. */
WWR_API bool wwr_conn_is_active(const struct wwr_conn *conn);

/** The peer's address, "127.0.0.1:5000"; lives as long as the connection. */
WWR_API const char *wwr_conn_remote(const struct wwr_conn *conn);

/** Unix time in nanoseconds. */
WWR_API int64_t wwr_conn_created(const struct wwr_conn *conn);

/** Info attached before the upgrade by wwr_http_set_info(), or NULL. Key 0 is
 * the User-Agent as `const char *` unless the hook set it otherwise. Lives as
 * long as the connection. */
WWR_API const void *wwr_conn_info(const struct wwr_conn *conn, int key);

/** Send a signal. `name`: 0..255 printable ASCII bytes; a name or a payload is
 * required. `payload` may be NULL for none. Copies both. It queues behind
 * everything sent before, at the earliest behind accept-conf.
 * Errors: WWR_E_PROTOCOL (bad name, nothing to send, odd UTF-16),
 * WWR_E_BUFFER_OVERFLOW (over the message buffer size; the client stays),
 * WWR_E_DISCONNECTED, WWR_E_SLOW_CONSUMER, WWR_E_NOMEM. WWR_OK means queued,
 * not received. */
WWR_API wwr_err wwr_conn_signal(struct wwr_conn *conn, struct wwr_view name,
                                const struct wwr_payload *payload);

/** Close gracefully: open requests finish and are answered, then the
 * connection closes; requests that come meanwhile get reply-shutdown. Again is
 * harmless. Never blocks. */
WWR_API void wwr_conn_close(struct wwr_conn *conn);

/* --- Sessions ----------------------------------------------------------- */

/** How an asynchronous call ended. Called exactly once, on the connection's
 * I/O thread, never from inside the call that took it (but, when that was made
 * on another thread, perhaps before it returned); it must not block. */
typedef void (*wwr_conn_done)(struct wwr_conn *conn, wwr_err err,
                              void *user_data);

/** Create a session on this connection (docs/protocol.md, "Sessions", create).
 * `info_json`: a JSON object, or NULL. The client is told before the reply of
 * the request that is being handled; `done` (may be NULL) is called when the
 * store's hook has finished: only then can it be restored elsewhere. An error
 * of the store is logged and counts as success: the session is active, but
 * can't be restored.
 * Errors, returned, `done` is then never called: WWR_E_SESSIONS_DISABLED,
 * WWR_E_DISCONNECTED, WWR_E_SESSION_ACTIVE, WWR_E_BUFFER_OVERFLOW (the session
 * object exceeds the message buffer; nothing changed), WWR_E_INVALID (info),
 * WWR_E_INTERNAL (the key generator failed), WWR_E_MAX_SESSION_CONNS (it gave a
 * key that is in use), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_conn_create_session(struct wwr_conn *conn,
                                                       const char *info_json,
                                                       wwr_conn_done done,
                                                       void *user_data);

/** The same, waiting until it is done. Errors: as above; WWR_E_WRONG_THREAD on
 * an I/O thread (in a non-blocking handler). */
WWR_API WWR_MUST_CHECK wwr_err
wwr_conn_create_session_wait(struct wwr_conn *conn, const char *info_json);

/** Close the connection's session; the client gets notify-session-closed. It
 * is destroyed in the store when this was its last connection. Without a
 * session it succeeds silently. `done` (may be NULL) tells the store's result.
 * Errors, returned: WWR_E_SESSIONS_DISABLED, WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_conn_close_session(struct wwr_conn *conn,
                                                      wwr_conn_done done,
                                                      void *user_data);

/** The same, waiting until it is done. Errors: as above; WWR_E_WRONG_THREAD;
 * the store's. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_conn_close_session_wait(struct wwr_conn *conn);

/** True while the connection has a session. */
WWR_API bool wwr_conn_has_session(const struct wwr_conn *conn);

/** The connection's session, a reference to give back with
 * wwr_session_unref(), or NULL. Key, creation and info are read from it. */
WWR_API struct wwr_session *wwr_conn_session(const struct wwr_conn *conn);

/** An info field of the session as text (a JSON string), to free with
 * wwr_free(). Errors: WWR_E_INVALID (no session, no such field, no string),
 * WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_conn_session_text(
    const struct wwr_conn *conn, const char *field, char **out);

/* --- Requests ----------------------------------------------------------- */
/* Each of these consumes the request whatever it returns: do not touch it
 * again. It may be answered in the handler or later, from any thread. Errors,
 * which need no handling: WWR_E_DISCONNECTED (the client has left),
 * WWR_E_NOMEM (the connection is dropped). */

/** Reply with a payload in its own encoding; NULL is an empty binary one.
 * Copies it. A payload that is too large or an odd UTF-16 one becomes
 * reply-internal-error, is logged, and returns WWR_E_BUFFER_OVERFLOW or
 * WWR_E_PROTOCOL. */
WWR_API wwr_err wwr_request_reply(struct wwr_request *request,
                                  const struct wwr_payload *payload);

/** Reply with a request error: `code` is 1..255 printable ASCII characters,
 * `message` UTF-8 or NULL. Copies both. A bad code becomes
 * reply-internal-error, is logged, and returns WWR_E_PROTOCOL. */
WWR_API wwr_err wwr_request_fail(struct wwr_request *request, const char *code,
                                 const char *message);

/** Reply with reply-internal-error; `cause` is logged and never sent. */
WWR_API wwr_err wwr_request_fail_internal(struct wwr_request *request,
                                          const char *cause);

/** In the on_request hook, before anybody can answer the request: its answer
 * comes later, and what the client sent after it need not wait for that. When
 * the hook has returned, the request does not count towards the concurrency
 * limit any more (docs/protocol.md, "Requests"): meant for a hook that has only
 * handed the request on, such as to wwr_server_publish(), which keeps the
 * order. Over 32 deferred requests of one connection, or 32 KiB of their
 * payloads, the limit counts again. */
WWR_API void wwr_request_defer(struct wwr_request *request);

/** The connection it came on; borrowed, lives until the request is answered. */
WWR_API struct wwr_conn *wwr_request_conn(const struct wwr_request *request);

#ifdef __cplusplus
}
#endif
#endif /* WWR_CONN_H */
