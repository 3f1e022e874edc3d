/* wwr_websocket.h - webwire over WebSocket (docs/protocol.md, "Transport"),
 * plain or with TLS, on libwebsockets, which ignores SIGPIPE in the whole
 * process from the first start on. */
#ifndef WWR_WEBSOCKET_H
#define WWR_WEBSOCKET_H

#include "wwr_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

/** TLS of a server. Strings are copied. */
struct wwr_tls_server {
  const char *cert_file;   /**< Required: PEM certificate chain. */
  const char *key_file;    /**< Required: PEM private key without a
                                passphrase. */
  const char *min_version; /**< "1.2" (default, NULL) or "1.3". */
  const char *ciphers;     /**< TLS 1.2 cipher list; NULL: OpenSSL's default. */
  const char *ciphersuites; /**< TLS 1.3 suites; NULL: OpenSSL's default. */
  const char *curves;       /**< "X25519:P-256"; NULL: OpenSSL's default. */
};

/** Whether a server could use these files and options now, so that a mistake is
 * found before. WWR_E_INVALID, WWR_E_TLS: `why`, of `cap` bytes, is one line
 * that names what is wrong. Any thread. */
WWR_API WWR_MUST_CHECK wwr_err wwr_websocket_check_tls(
    const struct wwr_tls_server *tls, char *why, size_t cap);

/** How frames come and go: see docs/architecture.md. */
enum wwr_write_path {
  WWR_WRITE_DIRECT,  /**< Plain connections without libwebsockets, those with
                          TLS past its WRITEABLE callback (default). */
  WWR_WRITE_CALLBACK /**< Everything through libwebsockets, inside its
                          documented contract. Slower; frames that a client
                          did not mask are not noticed. */
};

struct wwr_websocket_opts {
  const char *listen; /**< "HOST:PORT", "[::1]:PORT", ":PORT" for every address;
                           port 0 picks a free one. Default 127.0.0.1:0. */
  const struct wwr_tls_server *tls; /**< Optional; NULL: plain ws. */
  /** Allowed Origin headers, "https://example.org" each, compared without
   * regard to case; a list of count 0 (default) allows the same host as the
   * Host header only; one entry "*" allows any. No Origin header is always
   * allowed: only browsers send one (docs/protocol.md, "Transport"). */
  const char *const *origins;
  size_t origin_count;
  /** Paths that upgrade; count 0 (default): any. Others get 404. */
  const char *const *paths;
  size_t path_count;
  uint32_t accepts_per_pass; /**< Default 64: new connections per loop pass. */
  /** New connections per second, of all I/O threads together, and a tenth of
   * that at once; 0 (default): no limit. Those above wait, in the order in
   * which they said what they want; one that would have to wait for more than
   * half of handshake_timeout_ms is told 503 instead; with TLS it is dropped,
   * because the answer would cost a handshake. */
  uint32_t accepts_per_second;
  /** Default 10000: until a connection has sent its whole upgrade request; with
   * TLS, until it has sent something and its handshake may begin, and once more
   * for the rest, as for what is no usual upgrade request. In a crowd only some
   * handshakes run at a time; then those that take more than a second may give
   * way to others that wait. */
  uint32_t handshake_timeout_ms;
  enum wwr_write_path write_path;
};

/** Fill in the defaults named above. */
WWR_API void wwr_websocket_opts_default(struct wwr_websocket_opts *opts);

/** A server's transport. Copies the options. Nothing is opened before the
 * server starts. Errors: WWR_E_INVALID (`bad_field`, may be NULL, names the
 * field; static), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_websocket_transport_new(
    struct wwr_transport **out, const struct wwr_websocket_opts *opts,
    const char **bad_field);

/** Read the certificate and key files again; new handshakes use them. Errors:
 * WWR_E_TLS (unreadable or not a pair: the old ones stay, and the server's log
 * says why), WWR_E_INVALID (no TLS). Any thread. */
WWR_API wwr_err wwr_websocket_reload_certificate(struct wwr_transport *ws);

/** Allow other origins from now on; copied. Errors: WWR_E_INVALID, WWR_E_NOMEM
 * (nothing changed). Any thread. */
WWR_API wwr_err wwr_websocket_set_origins(struct wwr_transport *ws,
                                          const char *const *origins,
                                          size_t count);

/** Choose the write path of connections from now on. Any thread. */
WWR_API void wwr_websocket_set_write_path(struct wwr_transport *ws,
                                          enum wwr_write_path path);

/** Change accepts_per_second from now on. Any thread. */
WWR_API void wwr_websocket_set_accepts_per_second(struct wwr_transport *ws,
                                                  uint32_t count);

/** Zeroed but for the URL is the default. */
struct wwr_websocket_dialer_opts {
  const char *url; /**< Required: "ws://host[:port][/path]" or "wss://…". */
  const char *origin;     /**< Optional Origin header. */
  const char *user_agent; /**< Optional; default "webwire-c/VERSION". */
  const char *ca_file;    /**< wss: PEM file of trusted issuers; NULL: the
                               system's. */
  bool insecure;          /**< wss: skip the certificate check. Never outside
                               tests. */
};

/** A client's dialer. Copies the options.
 * Errors: WWR_E_INVALID (url), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_websocket_dialer_new(
    struct wwr_dialer **out, const struct wwr_websocket_dialer_opts *opts);

#ifdef __cplusplus
}
#endif
#endif /* WWR_WEBSOCKET_H */
