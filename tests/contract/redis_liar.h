/* redis_liar.h - a server that speaks just enough Redis to make the link live,
 * and lies where a test tells it to. It shares no code with the link.
 *
 * It answers AUTH, SELECT, INFO, SCRIPT LOAD, EVALSHA (the link's own beat: it
 * publishes), SUBSCRIBE, UNSUBSCRIBE, PING and ECHO. */
#ifndef REDIS_LIAR_H
#define REDIS_LIAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct liar; /* opaque; freed by liar_free() */

/** Listen on a port of its own. */
struct liar *liar_new(void);

/** It is a node of a Redis Cluster from now on, with all slots: CLUSTER,
 * SSUBSCRIBE and SUNSUBSCRIBE too. Before anybody connects. */
void liar_be_cluster(struct liar *liar);
/** It takes the node with this port for its replica. */
void liar_have_replica(struct liar *liar, uint16_t port);
void liar_free(struct liar *liar);
uint16_t liar_port(const struct liar *liar);

/** Instead of the true answer to a command with the word `command` (its name in
 * capitals, or an argument, or what begins with { in an argument), send these
 * bytes; NULL `command` ends all lies. `len` 0: say nothing. With `close` the
 * connection ends behind them. Copied.
 */
void liar_answer(struct liar *liar, const char *command, const void *bytes,
                 size_t len, bool close);

/** Close the connection number `which` (0 or 1, as accepted in each pair of
 * connections) as soon as it sent `bytes` bytes; SIZE_MAX: not. */
void liar_cut(struct liar *liar, int which, size_t bytes);

/** Send these bytes on all connections that subscribed, or on all that did not.
 */
void liar_push(struct liar *liar, bool subscribed, const void *bytes,
               size_t len);

/** Bytes that connection `which` of the pair sent in its whole life, the last
 * time that it lived without a cut. */
size_t liar_sent(struct liar *liar, int which);

/** Connections accepted so far. */
unsigned liar_accepted(struct liar *liar);

#endif
