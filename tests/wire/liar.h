/* liar.h - a server that seems to be an echo-server and a chat room, and does
 * one thing wrong, on a thread of its own. Shares no code with the library, nor
 * with what is tested with it. */
#ifndef WIRE_LIAR_H
#define WIRE_LIAR_H

#include <stdint.h>

/** The wrong thing. Messages are counted from 0 as they come, connections as
 * they are accepted. */
enum lie {
  LIE_NONE,
  LIE_LOSE,    /* message 5 is not delivered to connection 2 */
  LIE_TWICE,   /* message 5 is delivered to connection 2 twice */
  LIE_SWAP,    /* connection 2 gets message 5 behind message 6 */
  LIE_ALTER,   /* the payload of message 5 is another for connection 2 */
  LIE_EARLY,   /* message 5 is confirmed before it is delivered */
  LIE_SILENT,  /* message or request 5 is not answered */
  LIE_ANSWERS, /* request 5 is answered twice */
  LIE_REFUSE,  /* message or request 5 is answered with an error */
  LIE_STALL,   /* before request 5 nothing happens for LIAR_STALL_MS */
  LIE_CLOSE,   /* connection 2 is closed at message 5 */
  LIE_GREET,   /* the first message is no accept-conf */
  LIE_HTTP     /* the upgrade is answered with 503 */
};

enum { LIAR_STALL_MS = 400 };

struct liar; /* opaque; freed by liar_stop() */

/** NULL when it can't listen. */
struct liar *liar_start(enum lie lie);
void liar_stop(struct liar *liar);

uint16_t liar_port(const struct liar *liar);

#endif
