/* dialect.h - what servers speak above WebSocket: webwire, or for comparison
 * something else. Pure: bytes in, bytes out. */
#ifndef BENCH_DIALECT_H
#define BENCH_DIALECT_H

#include "options.h"

/** What a message is to a mode. */
enum heard_kind {
  HEARD_NOTHING, /* the server's own affairs */
  HEARD_REPLY,   /* `id`, and the payload */
  HEARD_REFUSAL, /* `id`: answered with an error */
  HEARD_SIGNAL,  /* what a sender said: the payload */
  HEARD_SESSION, /* a session was created: its JSON */
  HEARD_PING,    /* `len` bytes of `payload` must be sent back */
  HEARD_ODD      /* nothing that belongs here */
};

struct heard {
  enum heard_kind kind;
  uint64_t id;
  const uint8_t *payload; /* borrowed from the message */
  size_t len;
};

/** What the server said of itself before the connection counted as open. */
struct greeting {
  uint32_t read_timeout_ms; /* 0: no heartbeats */
  uint32_t message_bytes;   /* 0: no limit known */
};

enum greeted {
  GREETED_OPEN,  /* the connection is open */
  GREETED_WAIT,  /* more must come */
  GREETED_WRONG, /* no such server */
  GREETED_OTHER_SUB_PROTOCOL
};

struct dialect {
  uint8_t opcode;       /* of the messages it sends: 1 text, 2 binary */
  bool greets;          /* messages come before the connection is open */
  bool acknowledges;    /* what senders say is answered, too */
  size_t overhead;      /* bytes that a message has besides its payload */
  const char *path;     /* instead of "/" in a URL without one; may be NULL */
  const char *hello;    /* sent first, may be NULL */
  uint8_t heartbeat[8]; /* with its length in front */

  /** Look at a message that came before the connection was open; sub_protocol
   * NULL takes any. */
  enum greeted (*greet)(const uint8_t *message, size_t len,
                        const char *sub_protocol, struct greeting *out);
  /** Write a request that is answered with its payload, or one whose payload
   * reaches all. Room for `overhead` bytes more than `len`; returns the length
   * of the message. */
  size_t (*ask)(uint8_t *to, uint64_t id, const uint8_t *payload, size_t len);
  size_t (*say)(uint8_t *to, uint64_t id, const uint8_t *payload, size_t len);
  /** Look at a message. */
  void (*hear)(const uint8_t *message, size_t len, struct heard *out);
};

const struct dialect *dialect_of(enum bench_protocol protocol);

extern const struct dialect dialect_webwire;
extern const struct dialect dialect_channels; /* of --mode channels */
extern const struct dialect dialect_plain;
extern const struct dialect dialect_socketio;

enum { CHANNEL_NAME_MAX = 24 };

/** Of dialect_channels: write the request "VERB:CHANNEL" of three or so letters
 * and a channel's number; returns its length. */
size_t channels_request(uint8_t *to, uint64_t id, const char *verb,
                        uint32_t channel, const uint8_t *payload, size_t len);

/* --- Payloads: a number as hexadecimal digits, then padding --------------- */

/** The padding from `from` on. */
void payload_pad(uint8_t *to, size_t from, size_t len);

/** Write the number, at least NUMBER_DIGITS long. */
void payload_number(uint8_t *to, uint64_t number);

/** Read it. False when these are no digits. */
bool payload_read(const uint8_t *from, uint64_t *number);

#endif
