/* redis_connect.h - one connection to a Redis, asked and waited for, as far as
 * the URL of a node says how: over TCP, TLS or a Unix socket, to the master
 * that sentinels name, with its user and database.
 *
 * hiredis writes the commands and reads the replies. The socket is ours: its
 * version 0.14 has no TLS, and TLS is spoken here as the link speaks it. */
#ifndef WEBWIRE_REDIS_CONNECT_H
#define WEBWIRE_REDIS_CONNECT_H

#include <hiredis/hiredis.h>

#include "url.h"

enum { REDIS_WHY_SIZE = 512, REDIS_ADDRESS_SIZE = WWRI_REDIS_MAX_TEXT + 16 };

struct redis_conn;

/** Connect to what `url` names; with sentinels to the master, with a Redis
 * Cluster to the first node that answers. Signed in, the database selected.
 * Each step may take `timeout_ms`, and so may every answer later. NULL: `why`
 * is a line that has no secrets. */
struct redis_conn *redis_connect(const struct wwri_redis_url *url,
                                 uint32_t timeout_ms, char why[REDIS_WHY_SIZE]);

/** The same to one server, which need not be in the URL, as the URL's user. */
struct redis_conn *redis_connect_host(const struct wwri_redis_url *url,
                                      const struct wwri_redis_host *host,
                                      uint32_t timeout_ms,
                                      char why[REDIS_WHY_SIZE]);

/** The same to one of its sentinels, as the user for sentinels. */
struct redis_conn *redis_connect_sentinel(const struct wwri_redis_url *url,
                                          size_t index, uint32_t timeout_ms,
                                          char why[REDIS_WHY_SIZE]);

/** NULL does nothing. */
void redis_close(struct redis_conn *conn);

/** HOST:PORT or the path of the socket. Lives as long as the connection. */
const char *redis_address(const struct redis_conn *conn);

/** What broke the connection; it is of no use after that. */
const char *redis_why(const struct redis_conn *conn);

/** Ask, and wait for the answer, to be freed with freeReplyObject(); an error
 * that Redis answers is a reply. NULL: the connection broke, redis_why() says
 * how. The format is that of hiredis. */
redisReply *redis_ask(struct redis_conn *conn, const char *format, ...);

/** Send a command without waiting; its answer is the next that was not taken
 * yet. Between two answers not more than a few thousand. False: broken. */
bool redis_send(struct redis_conn *conn, int argc, const char **argv,
                const size_t *lens);
redisReply *redis_answer(struct redis_conn *conn);

#endif
