/* decode.c - bytes to a message. Every rule is from docs/protocol.md, "Bytes".
 *
 * A decoder of one layout gets a message that is at least as long as the
 * layout's fixed part, and says whether the rest fits. All lengths are
 * compared before anything is read. */
#include "codec.h"

#include <string.h>

enum { AFTER_ID = 1 + WWRI_ID_LEN, CONF_LEN = 11 };

static struct wwr_view from(struct wwr_view bytes, size_t at) {
  struct wwr_view rest = {bytes.data + at, bytes.len - at};
  return rest;
}

static void take_id(struct wwr_view bytes, struct wwri_msg *out) {
  memcpy(out->id.bytes, bytes.data + 1, WWRI_ID_LEN);
}

static void take_payload(struct wwr_view bytes, size_t at,
                         enum wwr_encoding encoding, struct wwri_msg *out) {
  out->payload.encoding = encoding;
  out->payload.data = from(bytes, at);
}

/* At offset `at` stand the name's length and the name, a pad when the payload
 * is UTF-16 and would start at an odd offset, and the payload. */
static bool take_named(struct wwr_view bytes, size_t at,
                       enum wwr_encoding encoding, struct wwri_msg *out) {
  size_t name_len = bytes.data[at];
  size_t start = at + 1 + name_len;
  if (encoding == WWR_UTF16) start += name_len % 2;
  if (start > bytes.len) return false;
  out->name.data = bytes.data + at + 1;
  out->name.len = name_len;
  take_payload(bytes, start, encoding, out);
  return true;
}

static bool reply_error(struct wwr_view bytes, struct wwri_msg *out) {
  if (bytes.len < AFTER_ID + 2) return false;
  size_t code_len = bytes.data[AFTER_ID];
  if (code_len == 0 || AFTER_ID + 1 + code_len > bytes.len) return false;
  take_id(bytes, out);
  return take_named(bytes, AFTER_ID, WWR_UTF8, out);
}

/* Types 1 to 5 may be longer, what follows the id means nothing. */
static bool reply_bare(struct wwr_view bytes, struct wwri_msg *out) {
  if (bytes.len < AFTER_ID) return false;
  take_id(bytes, out);
  return true;
}

static bool session_created(struct wwr_view bytes, struct wwri_msg *out) {
  if (bytes.len < 2) return false;
  take_payload(bytes, 1, WWR_UTF8, out);
  return true;
}

static uint32_t little_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
         (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool accept_conf(struct wwr_view bytes, struct wwri_msg *out) {
  if (bytes.len < CONF_LEN) return false;
  out->conf.major = bytes.data[1];
  out->conf.minor = bytes.data[2];
  out->conf.read_timeout_ms = little_endian(bytes.data + 3);
  out->conf.buffer_bytes = little_endian(bytes.data + 7);
  out->name = from(bytes, CONF_LEN);
  return true;
}

static bool close_session(struct wwr_view bytes, struct wwri_msg *out) {
  return bytes.len == AFTER_ID && reply_bare(bytes, out);
}

static bool restore_session(struct wwr_view bytes, struct wwri_msg *out) {
  if (bytes.len < AFTER_ID + 1) return false;
  take_id(bytes, out);
  out->name = from(bytes, AFTER_ID);
  return true;
}

static bool signal_of(struct wwr_view bytes, enum wwr_encoding encoding,
                      struct wwri_msg *out) {
  if (bytes.len < 3 || !take_named(bytes, 1, encoding, out)) return false;
  if (encoding != WWR_UTF16) return true;
  return bytes.len % 2 == 0 && out->payload.data.len > 0;
}

/* The shortest request has one byte of name or payload; in UTF-16 that is two,
 * because its length is even. */
static bool request_of(struct wwr_view bytes, enum wwr_encoding encoding,
                       struct wwri_msg *out) {
  if (bytes.len < AFTER_ID + 2) return false;
  if (encoding == WWR_UTF16 && bytes.len % 2 != 0) return false;
  take_id(bytes, out);
  return take_named(bytes, AFTER_ID, encoding, out);
}

/* UTF-16: the type and the id are 9 bytes, so there is always a pad. */
static bool reply_of(struct wwr_view bytes, enum wwr_encoding encoding,
                     struct wwri_msg *out) {
  size_t start = encoding == WWR_UTF16 ? AFTER_ID + 1 : AFTER_ID;
  if (bytes.len < start) return false;
  if (encoding == WWR_UTF16 && bytes.len % 2 != 0) return false;
  take_id(bytes, out);
  take_payload(bytes, start, encoding, out);
  return true;
}

static enum wwr_encoding encoding_after(unsigned type, unsigned binary_type) {
  return (enum wwr_encoding)(type - binary_type);
}

static bool decode_as(unsigned type, struct wwr_view bytes,
                      struct wwri_msg *out) {
  switch (type) {
    case WWRI_REPLY_ERROR:
      return reply_error(bytes, out);
    case WWRI_REPLY_SHUTDOWN:
    case WWRI_REPLY_INTERNAL_ERROR:
    case WWRI_REPLY_SESSION_NOT_FOUND:
    case WWRI_REPLY_MAX_SESSION_CONNS:
    case WWRI_REPLY_SESSIONS_DISABLED:
      return reply_bare(bytes, out);
    case WWRI_NOTIFY_SESSION_CREATED:
      return session_created(bytes, out);
    case WWRI_NOTIFY_SESSION_CLOSED:
    case WWRI_HEARTBEAT:
      return bytes.len == 1;
    case WWRI_ACCEPT_CONF:
      return accept_conf(bytes, out);
    case WWRI_REQUEST_CLOSE_SESSION:
      return close_session(bytes, out);
    case WWRI_REQUEST_RESTORE_SESSION:
      return restore_session(bytes, out);
    case WWRI_SIGNAL_BINARY:
    case WWRI_SIGNAL_UTF8:
    case WWRI_SIGNAL_UTF16:
      return signal_of(bytes, encoding_after(type, WWRI_SIGNAL_BINARY), out);
    case WWRI_REQUEST_BINARY:
    case WWRI_REQUEST_UTF8:
    case WWRI_REQUEST_UTF16:
      return request_of(bytes, encoding_after(type, WWRI_REQUEST_BINARY), out);
    case WWRI_REPLY_BINARY:
    case WWRI_REPLY_UTF8:
    case WWRI_REPLY_UTF16:
      return reply_of(bytes, encoding_after(type, WWRI_REPLY_BINARY), out);
    default:
      return false;
  }
}

wwr_err wwri_decode(struct wwr_view bytes, struct wwri_msg *out) {
  *out = (struct wwri_msg){0};
  if (bytes.len > 0 && decode_as(bytes.data[0], bytes, out)) {
    out->type = (enum wwri_msg_type)bytes.data[0];
    return WWR_OK;
  }
  *out = (struct wwri_msg){0};
  return WWR_E_PROTOCOL;
}
