/* codec.h - webwire messages to and from bytes. Pure: no I/O, no clock, and
 * decode allocates nothing and returns views into its input.
 *
 * Every rule here is a line of docs/protocol.md, section "Bytes". */
#ifndef WWRI_CODEC_H
#define WWRI_CODEC_H

#include "frame.h"
#include "wwr_payload.h"

/* X(NAME, byte). The second of the two X-macros. */
#define WWRI_MSG_MAP(X)          \
  X(REPLY_ERROR, 0)              \
  X(REPLY_SHUTDOWN, 1)           \
  X(REPLY_INTERNAL_ERROR, 2)     \
  X(REPLY_SESSION_NOT_FOUND, 3)  \
  X(REPLY_MAX_SESSION_CONNS, 4)  \
  X(REPLY_SESSIONS_DISABLED, 5)  \
  X(NOTIFY_SESSION_CREATED, 21)  \
  X(NOTIFY_SESSION_CLOSED, 22)   \
  X(ACCEPT_CONF, 23)             \
  X(REQUEST_CLOSE_SESSION, 31)   \
  X(REQUEST_RESTORE_SESSION, 32) \
  X(HEARTBEAT, 33)               \
  X(SIGNAL_BINARY, 63)           \
  X(SIGNAL_UTF8, 64)             \
  X(SIGNAL_UTF16, 65)            \
  X(REQUEST_BINARY, 127)         \
  X(REQUEST_UTF8, 128)           \
  X(REQUEST_UTF16, 129)          \
  X(REPLY_BINARY, 191)           \
  X(REPLY_UTF8, 192)             \
  X(REPLY_UTF16, 193)

enum wwri_msg_type {
#define X(NAME, byte) WWRI_##NAME = byte,
  WWRI_MSG_MAP(X)
#undef X
};

enum { WWRI_ID_LEN = 8, WWRI_NAME_MAX = 255, WWRI_VERSION_MAJOR = 2 };

/** An opaque request id, compared and copied as 8 bytes. */
struct wwri_id {
  uint8_t bytes[WWRI_ID_LEN];
};

/** One message of any type; the fields its type has are set, others zero. */
struct wwri_msg {
  enum wwri_msg_type type;
  struct wwri_id id;          /* requests and replies */
  struct wwr_view name;       /* request, signal: name. reply-error: code.
                                 request-restore-session: session key.
                                 accept-conf: sub-protocol name */
  struct wwr_payload payload; /* request, signal, reply: payload.
                                 reply-error: message (UTF-8).
                                 notify-session-created: session object */
  struct {
    uint8_t major;
    uint8_t minor;
    uint32_t read_timeout_ms;
    uint32_t buffer_bytes;
  } conf; /* accept-conf */
};

/** Decode one whole message. Only WWR_E_PROTOCOL: empty, unknown type, or a
 * length its type does not allow; *out is then zeroed. Views in *out point
 * into `bytes`. Accepts every type from either side: who may send what is the
 * caller's rule. */
WWR_MUST_CHECK wwr_err wwri_decode(struct wwr_view bytes, struct wwri_msg *out);

/** The exact size of the encoded message, without checking it. */
size_t wwri_encoded_len(const struct wwri_msg *msg);

/** Check a message before sending: names 0..255 printable ASCII bytes, codes
 * 1..255, UTF-16 payloads even, signals and requests with a name or a payload,
 * no UTF-16 signal without payload, not over max_bytes.
 * Errors: WWR_E_PROTOCOL; WWR_E_BUFFER_OVERFLOW (only the size is wrong). */
WWR_MUST_CHECK wwr_err wwri_check(const struct wwri_msg *msg, size_t max_bytes);

/** Write exactly wwri_encoded_len() bytes of a message that wwri_check()
 * accepted to `out`. Can't fail. */
void wwri_encode(const struct wwri_msg *msg, uint8_t *out);

/** Check and encode into a new frame with one reference.
 * Errors: as wwri_check(); WWR_E_NOMEM. *out is NULL then. */
WWR_MUST_CHECK wwr_err wwri_encode_frame(const struct wwri_msg *msg,
                                         size_t max_bytes,
                                         struct wwri_frame **out);

/** True when every byte is printable 7-bit ASCII (32..126). */
bool wwri_is_printable(struct wwr_view text);

/** The message types that carry a payload, by its encoding. */
static inline enum wwri_msg_type wwri_signal_type(enum wwr_encoding encoding) {
  return (enum wwri_msg_type)(WWRI_SIGNAL_BINARY + (int)encoding);
}

/** A signal to encode; views stay borrowed. `payload` NULL: an empty binary
 * one. Not checked. */
static inline struct wwri_msg wwri_signal_msg(
    struct wwr_view name, const struct wwr_payload *payload) {
  struct wwri_msg msg = {.type = WWRI_SIGNAL_BINARY, .name = name};
  if (!payload) return msg;
  msg.type = wwri_signal_type(payload->encoding);
  msg.payload = *payload;
  return msg;
}

static inline enum wwri_msg_type wwri_request_type(enum wwr_encoding encoding) {
  return (enum wwri_msg_type)(WWRI_REQUEST_BINARY + (int)encoding);
}
static inline enum wwri_msg_type wwri_reply_type(enum wwr_encoding encoding) {
  return (enum wwri_msg_type)(WWRI_REPLY_BINARY + (int)encoding);
}

#endif
