/* wsparser.h - the WebSocket frames that a server gets from its client, out of
 * the bytes of a stream (RFC 6455, section 5). Pure: no I/O, no memory.
 *
 * The bytes are given as they were read, cut anywhere. Payloads are unmasked
 * where they lie and handed out as pieces of messages, without a copy; control
 * frames are handed out whole. What is too little to go on with stays with the
 * caller, who puts it before the next bytes: at most WWRI_WSPARSER_REST_MAX. */
#ifndef WWRI_WSPARSER_H
#define WWRI_WSPARSER_H

#include "wwr_base.h"

enum {
  WWRI_WSPARSER_CONTROL_MAX = 125,
  /* A control frame but for its last byte; headers are shorter. */
  WWRI_WSPARSER_REST_MAX = 2 + 4 + WWRI_WSPARSER_CONTROL_MAX - 1
};

/** Zeroed is ready to start. */
struct wwri_wsparser {
  uint64_t left;   /* of the data frame that is under way */
  uint8_t mask[4]; /* of its next byte, and so on */
  bool final;      /* it ends its message */
  bool text;       /* the message under way is one of text */
  bool in_message; /* a frame came that did not end its message */
};

enum wwri_ws_kind {
  WWRI_WS_MORE,  /* nothing that can be handed out is left */
  WWRI_WS_PIECE, /* of a message */
  WWRI_WS_PING,
  WWRI_WS_PONG,
  WWRI_WS_CLOSE,
  WWRI_WS_BROKEN /* not WebSocket; nothing can be read from here on */
};

/** What was found; `data` points into the bytes that were read. */
struct wwri_ws_piece {
  uint8_t *data;
  size_t len;
  /* Of a piece of a message only: */
  uint64_t announced; /* bytes that this frame still holds */
  bool text;
  bool last; /* the message is complete */
};

/** The next thing in the bytes from *at to `end`; *at moves behind it. Call
 * again until it is MORE or BROKEN. The bytes change. */
enum wwri_ws_kind wwri_wsparser_next(struct wwri_wsparser *parser, uint8_t **at,
                                     uint8_t *end, struct wwri_ws_piece *out);

/** The code to answer a close frame of this payload with; 0: none. */
uint16_t wwri_wsparser_close_code(const uint8_t *payload, size_t len);

#endif
