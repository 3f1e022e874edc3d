/* tls.h - TLS as a filter: bytes of the socket go in and come out, so that
 * reading, writing and time-outs are the same with and without it. No I/O. */
#ifndef WWRI_REDIS_TLS_H
#define WWRI_REDIS_TLS_H

#include "buf.h"

struct wwri_redis_url;
struct wwri_redis_tls_config; /* certificates; shared by connections */
struct wwri_redis_tls;        /* one connection */

/** Load what the URL names; without ca_file the system's authorities.
 * WWR_E_TLS: a file can't be used, *why says which (static). WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err
wwri_redis_tls_config_new(struct wwri_redis_tls_config **out,
                          const struct wwri_redis_url *url, const char **why);
void wwri_redis_tls_config_free(struct wwri_redis_tls_config *config);

/** A client for one connection. The server's certificate must be valid and for
 * `name`, a host name (sent as SNI) or an address. `config` must outlive it.
 * Errors: WWR_E_NOMEM; WWR_E_TLS (a name that can't be one). */
WWR_MUST_CHECK wwr_err wwri_redis_tls_new(struct wwri_redis_tls **out,
                                          struct wwri_redis_tls_config *config,
                                          const char *name);
void wwri_redis_tls_free(struct wwri_redis_tls *tls);

/** Go on with the handshake: *done when it is over. What must be sent is
 * appended to `out`. WWR_E_TLS: refused; wwri_redis_tls_why() says why. */
WWR_MUST_CHECK wwr_err wwri_redis_tls_handshake(struct wwri_redis_tls *tls,
                                                struct wwri_buf *out,
                                                bool *done);

/** Bytes that the socket received. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_redis_tls_feed(struct wwri_redis_tls *tls,
                                           const void *bytes, size_t len);

/** Decrypt up to `cap` bytes of what was fed; *len 0: there is no more yet.
 * WWR_E_CLOSED: the peer said that it ends; WWR_E_TLS; WWR_E_NOMEM. `out` as
 * above (keys may change). */
WWR_MUST_CHECK wwr_err wwri_redis_tls_read(struct wwri_redis_tls *tls,
                                           uint8_t *into, size_t cap,
                                           size_t *len, struct wwri_buf *out);

/** Encrypt all of `bytes` onto `out`. Errors: WWR_E_TLS, WWR_E_NOMEM,
 * WWR_E_BUFFER_OVERFLOW: the connection is of no use then. */
WWR_MUST_CHECK wwr_err wwri_redis_tls_write(struct wwri_redis_tls *tls,
                                            struct wwr_view bytes,
                                            struct wwri_buf *out);

/** Why the last call failed; valid until the next, or static. */
const char *wwri_redis_tls_why(const struct wwri_redis_tls *tls);

#endif
