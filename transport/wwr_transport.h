/* wwr_transport.h - transports as the application sees them: opaque objects
 * that it makes with a concrete constructor (wwr_websocket.h, wwr_memory.h)
 * and gives to a server or a client. */
#ifndef WWR_TRANSPORT_H
#define WWR_TRANSPORT_H

#include "wwr_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Accepts connections for one server. The server that takes it owns it. */
struct wwr_transport;

/** Makes connections for one client. The client that takes it owns it. */
struct wwr_dialer;

/** Free a transport or dialer that no server or client took over. NULL does
 * nothing. */
WWR_API void wwr_transport_free(struct wwr_transport *transport);
WWR_API void wwr_dialer_free(struct wwr_dialer *dialer);

/** An HTTP request before its upgrade, or one that is none; only valid during
 * the hook it is given to, on that hook's thread. The memory transport makes
 * one up with path "/" and no headers. */
struct wwr_http;

/** Borrowed, NUL-terminated, valid during the hook; NULL when absent.
 * `path` without the query. `remote` is the peer's address, "127.0.0.1:5000".
 * Percent-encoded characters are decoded in it, and "//", "/./" and "/x/../"
 * are folded. Header names are matched without regard to case; only the names
 * Host, Origin, User-Agent, Cookie, Authorization, X-Forwarded-For,
 * If-None-Match and those of the WebSocket handshake are certain to be known. A
 * header that comes more than once is joined by commas (Cookie: semicolons). */
WWR_API const char *wwr_http_method(const struct wwr_http *http);
WWR_API const char *wwr_http_path(const struct wwr_http *http);
WWR_API const char *wwr_http_query(const struct wwr_http *http);
WWR_API const char *wwr_http_remote(const struct wwr_http *http);
WWR_API const char *wwr_http_header(const struct wwr_http *http,
                                    const char *name);

/** Choose the answer of a refused upgrade or of a plain request; the last call
 * counts. `status` 200..599; `content_type` may be NULL, `body` empty; both are
 * copied. Errors: WWR_E_INVALID (the status; a control character in the type),
 * WWR_E_NOMEM. */
WWR_API wwr_err wwr_http_respond(struct wwr_http *http, int status,
                                 const char *content_type,
                                 struct wwr_view body);

/** Add a header to that answer; copied. At most 16.
 * Errors: WWR_E_INVALID (no name of a header, a control character in the value,
 * NULL), WWR_E_LIMIT, WWR_E_NOMEM. */
WWR_API wwr_err wwr_http_add_header(struct wwr_http *http, const char *name,
                                    const char *value);

/** Set the new connection's concurrency limit (docs/protocol.md, "Requests"): 0
 * or 1 one handler at a time, n > 1 up to n, below 0 unlimited. Without it the
 * server's default counts. */
WWR_API void wwr_http_set_concurrency(struct wwr_http *http, int limit);

/** Attach arbitrary info to the new connection, read by wwr_conn_info(). The
 * connection owns `value` from here on, whatever this returns or happens to
 * the upgrade, and passes it to `release` (may be NULL) when it is freed, or
 * when the same key is set again.
 * Key 0 is the User-Agent header as `char *` unless it is set here. At most
 * 16 keys. Errors: WWR_E_LIMIT, WWR_E_NOMEM. */
WWR_API wwr_err wwr_http_set_info(struct wwr_http *http, int key, void *value,
                                  void (*release)(void *value));

#ifdef __cplusplus
}
#endif
#endif /* WWR_TRANSPORT_H */
