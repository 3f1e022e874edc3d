/* rconn_impl.h - what the two files of the connection share. */
#ifndef WWRI_RCONN_IMPL_H
#define WWRI_RCONN_IMPL_H

#include <uv.h>

#include "rconn.h"
#include "url.h"

struct addrinfo;
struct wwri_redis_parser;
struct wwri_redis_tls;
struct rconn_poll;

enum rconn_stage {
  RCONN_CONNECTING,
  RCONN_HANDSHAKE, /* of TLS */
  RCONN_OPEN,
  RCONN_CLOSED
};

struct wwri_rconn {
  struct wwri_loop *loop;
  const struct wwri_rconn_hooks *hooks;
  void *user;
  enum rconn_stage stage;
  unsigned refs; /* handles of libuv, and callbacks under way */

  struct wwri_redis_host host;
  char path[WWRI_REDIS_MAX_TEXT];
  struct wwri_redis_tls_config *tls_config;
  char tls_name[WWRI_REDIS_MAX_TEXT];

  struct wwri_timer start; /* dialing begins from the loop */
  uv_getaddrinfo_t dns;
  bool resolving;
  struct addrinfo *found;
  struct addrinfo *next;   /* to try */
  struct rconn_poll *poll; /* NULL: no socket */
  int fd;
  bool wants_write;

  struct wwri_redis_tls *tls;
  struct wwri_redis_parser *parser;
  struct wwri_resp_scan scan;
  struct wwri_buf in; /* received, decrypted */
  size_t in_pos;
  struct wwri_buf out; /* commands */
  size_t out_sent;     /* of out; with TLS always 0 */
  uint64_t out_base;   /* of the stream, where out begins */
  struct wwri_buf raw; /* encrypted */
  size_t raw_sent;
  struct wwri_flusher flusher;
  char why[160];
};

/* A socket's poll handle; outlives its use until libuv closed it. */
struct rconn_poll {
  uv_poll_t uv;
  struct wwri_rconn *conn;
};

/* Begin with the timer's first call; ends in wwri_rconn_connected() or
 * wwri_rconn_fail(). */
void wwri_rconn_dial(struct wwri_rconn *conn);

/* The socket became writable for the first time: connected, or not. */
void wwri_rconn_finish_connect(struct wwri_rconn *conn);

/* The socket is connected: go on with TLS or open. */
void wwri_rconn_connected(struct wwri_rconn *conn);

/* The socket is ready. */
void wwri_rconn_ready(struct wwri_rconn *conn, int events);

/* Close and tell. `format` as printf's. */
void wwri_rconn_fail(struct wwri_rconn *conn, enum wwri_redis_cause cause,
                     const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Close the socket, if any. */
void wwri_rconn_drop_socket(struct wwri_rconn *conn);

/* Poll for what the connection needs now. */
void wwri_rconn_watch(struct wwri_rconn *conn, int events);

void wwri_rconn_ref(struct wwri_rconn *conn);
void wwri_rconn_unref(struct wwri_rconn *conn);

#endif
