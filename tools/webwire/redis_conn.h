/* redis_conn.h - the inside of a connection, for what opens it. */
#ifndef WEBWIRE_REDIS_CONN_H
#define WEBWIRE_REDIS_CONN_H

#include "buf.h"
#include "redis_connect.h"
#include "tls.h"

struct redis_conn {
  int fd; /* -1: none */
  uint32_t timeout_ms;
  struct wwri_redis_tls_config *config; /* NULL: no TLS */
  struct wwri_redis_tls *tls;           /* NULL: not yet, or none */
  redisReader *reader;
  struct wwri_buf plain; /* commands */
  struct wwri_buf wire;  /* the same as they are sent, with TLS */
  char address[REDIS_ADDRESS_SIZE];
  char why[REDIS_WHY_SIZE / 2];
};

/** `host` NULL: the URL's socket. NULL without memory. */
struct redis_conn *redis_conn_new(const struct wwri_redis_url *url,
                                  const struct wwri_redis_host *host,
                                  uint32_t timeout_ms);

/** Note the reason, which is copied; false. */
bool redis_conn_fail(struct redis_conn *conn, const char *why);

void redis_conn_hang_up(struct redis_conn *conn);

/** Wait until the socket is writable, or readable; false: not in time. */
bool redis_conn_wait(struct redis_conn *conn, bool writable);

/** The handshake, with the server's name in its certificate. */
bool redis_conn_begin_tls(struct redis_conn *conn,
                          const struct wwri_redis_url *url, const char *name);

#endif
