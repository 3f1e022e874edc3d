/* encode.c - a message to bytes. Every rule is from docs/protocol.md, "Bytes".
 *
 * A type's layout is a list of parts in wire order; its length and its bytes
 * are both made from that one list. */
#include "codec.h"

#include <assert.h>
#include <string.h>

enum part {
  ID = 1,
  LENGTH = 2, /* of the name, one byte */
  CONF = 4,   /* accept-conf's numbers */
  NAME = 8,   /* or code, key, sub-protocol */
  PAD = 16,   /* one byte when the offset is odd here */
  PAYLOAD = 32
};

enum { CONF_NUMBERS_LEN = 10 };

static unsigned parts_of(enum wwri_msg_type type) {
  switch (type) {
    case WWRI_NOTIFY_SESSION_CLOSED:
    case WWRI_HEARTBEAT:
      return 0;
    case WWRI_REPLY_SHUTDOWN:
    case WWRI_REPLY_INTERNAL_ERROR:
    case WWRI_REPLY_SESSION_NOT_FOUND:
    case WWRI_REPLY_MAX_SESSION_CONNS:
    case WWRI_REPLY_SESSIONS_DISABLED:
    case WWRI_REQUEST_CLOSE_SESSION:
      return ID;
    case WWRI_NOTIFY_SESSION_CREATED:
      return PAYLOAD;
    case WWRI_ACCEPT_CONF:
      return CONF | NAME;
    case WWRI_REQUEST_RESTORE_SESSION:
      return ID | NAME;
    case WWRI_SIGNAL_BINARY:
    case WWRI_SIGNAL_UTF8:
      return LENGTH | NAME | PAYLOAD;
    case WWRI_SIGNAL_UTF16:
      return LENGTH | NAME | PAD | PAYLOAD;
    case WWRI_REPLY_ERROR:
    case WWRI_REQUEST_BINARY:
    case WWRI_REQUEST_UTF8:
      return ID | LENGTH | NAME | PAYLOAD;
    case WWRI_REQUEST_UTF16:
      return ID | LENGTH | NAME | PAD | PAYLOAD;
    case WWRI_REPLY_BINARY:
    case WWRI_REPLY_UTF8:
      return ID | PAYLOAD;
    case WWRI_REPLY_UTF16:
      return ID | PAD | PAYLOAD;
  }
  return 0;
}

size_t wwri_encoded_len(const struct wwri_msg *msg) {
  unsigned parts = parts_of(msg->type);
  size_t len = 1;
  if (parts & ID) len += WWRI_ID_LEN;
  if (parts & LENGTH) len += 1;
  if (parts & CONF) len += CONF_NUMBERS_LEN;
  if (parts & NAME) len += msg->name.len;
  if (parts & PAD) len += len % 2;
  if (parts & PAYLOAD) len += msg->payload.data.len;
  return len;
}

bool wwri_is_printable(struct wwr_view text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < 32 || text.data[i] > 126) return false;
  }
  return true;
}

static bool name_is_good(struct wwr_view name) {
  return name.len <= WWRI_NAME_MAX && wwri_is_printable(name);
}

static bool has_name_or_payload(const struct wwri_msg *msg) {
  return msg->name.len > 0 || msg->payload.data.len > 0;
}

static bool is_sendable(const struct wwri_msg *msg) {
  size_t payload_len = msg->payload.data.len;
  switch (msg->type) {
    case WWRI_NOTIFY_SESSION_CLOSED:
    case WWRI_HEARTBEAT:
    case WWRI_REPLY_SHUTDOWN:
    case WWRI_REPLY_INTERNAL_ERROR:
    case WWRI_REPLY_SESSION_NOT_FOUND:
    case WWRI_REPLY_MAX_SESSION_CONNS:
    case WWRI_REPLY_SESSIONS_DISABLED:
    case WWRI_REQUEST_CLOSE_SESSION:
    case WWRI_ACCEPT_CONF:
    case WWRI_REPLY_BINARY:
    case WWRI_REPLY_UTF8:
      return true;
    case WWRI_REPLY_ERROR:
      return msg->name.len > 0 && name_is_good(msg->name);
    case WWRI_NOTIFY_SESSION_CREATED:
      return payload_len > 0;
    case WWRI_REQUEST_RESTORE_SESSION:
      return msg->name.len > 0;
    case WWRI_SIGNAL_BINARY:
    case WWRI_SIGNAL_UTF8:
    case WWRI_REQUEST_BINARY:
    case WWRI_REQUEST_UTF8:
      return name_is_good(msg->name) && has_name_or_payload(msg);
    case WWRI_SIGNAL_UTF16:
      return name_is_good(msg->name) && payload_len > 0 && payload_len % 2 == 0;
    case WWRI_REQUEST_UTF16:
      return name_is_good(msg->name) && has_name_or_payload(msg) &&
             payload_len % 2 == 0;
    case WWRI_REPLY_UTF16:
      return payload_len % 2 == 0;
  }
  return false; /* no type of ours */
}

wwr_err wwri_check(const struct wwri_msg *msg, size_t max_bytes) {
  if (!is_sendable(msg)) return WWR_E_PROTOCOL;
  return wwri_encoded_len(msg) > max_bytes ? WWR_E_BUFFER_OVERFLOW : WWR_OK;
}

static uint8_t *put(uint8_t *at, const void *data, size_t len) {
  if (len > 0) memcpy(at, data, len);
  return at + len;
}

static uint8_t *put_little_endian(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++, value >>= 8) *at++ = (uint8_t)value;
  return at;
}

static uint8_t *put_conf(uint8_t *at, const struct wwri_msg *msg) {
  *at++ = msg->conf.major;
  *at++ = msg->conf.minor;
  at = put_little_endian(at, msg->conf.read_timeout_ms);
  return put_little_endian(at, msg->conf.buffer_bytes);
}

void wwri_encode(const struct wwri_msg *msg, uint8_t *out) {
  unsigned parts = parts_of(msg->type);
  uint8_t *at = out;
  *at++ = (uint8_t)msg->type;
  if (parts & ID) at = put(at, msg->id.bytes, WWRI_ID_LEN);
  if (parts & LENGTH) *at++ = (uint8_t)msg->name.len;
  if (parts & CONF) at = put_conf(at, msg);
  if (parts & NAME) at = put(at, msg->name.data, msg->name.len);
  if (parts & PAD && (at - out) % 2 != 0) *at++ = 0;
  if (parts & PAYLOAD) {
    at = put(at, msg->payload.data.data, msg->payload.data.len);
  }
  assert((size_t)(at - out) == wwri_encoded_len(msg));
}

wwr_err wwri_encode_frame(const struct wwri_msg *msg, size_t max_bytes,
                          struct wwri_frame **out) {
  *out = NULL;
  wwr_err err = wwri_check(msg, max_bytes);
  if (err != WWR_OK) return err;
  struct wwri_frame *frame = wwri_frame_new(wwri_encoded_len(msg));
  if (!frame) return WWR_E_NOMEM;
  wwri_encode(msg, wwri_frame_message(frame));
  *out = frame;
  return WWR_OK;
}
