/* dialer.h - the client's half of transport/websocket. */
#ifndef WWRI_WS_DIALER_H
#define WWRI_WS_DIALER_H

#include <netdb.h>
#include <pthread.h>
#include <uv.h>

#include "websocket.h"

struct wwri_ws_dialer;

/** A dial, and the connection that comes of it. */
struct wwri_ws_client_conn {
  struct wwri_ws_pipe pipe;
  struct wwri_ws_dialer *dialer;
  struct lws *wsi;       /* while dialing; then it is the pipe's */
  struct addrinfo *list; /* where the name leads; owned */
  struct addrinfo *next; /* to be tried next */
  bool list_is_uv;       /* libuv allocated it */
  bool tls_failed;
};

/** A name being looked up by libuv's threads; outlives a dial given up. */
struct wwri_ws_resolve {
  uv_getaddrinfo_t request;
  struct wwri_ws_dialer *dialer;
  struct wwri_ws_client_conn *conn; /* NULL: nobody waits any more */
};

struct wwri_ws_dialer {
  struct wwr_dialer base;
  struct wwri_ws_url url;
  char host_header[280];
  char *origin;
  char *user_agent;
  char *ca_file;
  bool insecure;

  struct wwri_dialer_config config;
  struct wwri_ws_shard shard;
  void *ssl_ctx; /* SSL_CTX, owned; NULL without TLS */
  bool started;

  struct wwri_ws_client_conn *dialing; /* NULL: no dial under way */
  struct wwri_ws_resolve *resolving;
  unsigned lookups; /* that libuv still has */
  struct wwri_timer dial_timer;
  struct wwri_timer later; /* reports `failure` in the next pass */
  wwr_err failure;
  int failure_status;

  struct wwri_mail mail;
  bool context_gone;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done; /* guarded by lock: the last order is carried out */
  wwr_err result;
};

/* dial.c */

/** Start connecting `dialer->dialing`. Errors: WWR_E_NOMEM, WWR_E_IO; no event
 * follows then. */
WWR_MUST_CHECK wwr_err wwri_ws_dial(struct wwri_ws_dialer *dialer);

/** End the dial under way, now (`failed` fires in this call) or in the next
 * pass. */
void wwri_ws_dial_fail(struct wwri_ws_dialer *dialer, wwr_err reason,
                       int status);
void wwri_ws_dial_fail_later(struct wwri_ws_dialer *dialer, wwr_err reason,
                             int status);

int wwri_ws_client_callback(struct lws *wsi, enum lws_callback_reasons reason,
                            void *user, void *in, size_t len);

/* dialer.c */

/** No look-up is under way any more, or the context is gone. */
void wwri_ws_dialer_maybe_stopped(struct wwri_ws_dialer *dialer);

/* client_tls.c */

/** Make the SSL_CTX. Errors: WWR_E_TLS. */
WWR_MUST_CHECK wwr_err wwri_ws_client_tls_new(void **out,
                                              const struct wwri_ws_dialer *d);
void wwri_ws_client_tls_free(void *ssl_ctx);

/** True when the failed check of a certificate is to be ignored. */
bool wwri_ws_client_tls_verified(void *store_ctx, bool ok, bool insecure);

#endif
