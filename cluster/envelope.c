/* envelope.c - a fixed head, the name, and whatever follows is the payload.
 *
 * Every byte that is not understood makes the whole envelope unreadable: a
 * message that is delivered half is worse than one that is counted as bad. */
#include "envelope.h"

#include "codec.h"

enum {
  ENCODING_MASK = 3,
  INTERNAL = 4,
  HAS_SENDER = 8,
  KNOWN_FLAGS = 15,
  NAME_MAX_LEN = 255,
  HEAD_MAX = WWRI_ENVELOPE_HEAD + WWRI_ENVELOPE_SENDER
};

static bool has_sender(const struct wwri_envelope *envelope) {
  return envelope->sender.process || envelope->sender.conn;
}

static size_t head_len(const struct wwri_envelope *envelope) {
  return WWRI_ENVELOPE_HEAD + (has_sender(envelope) ? WWRI_ENVELOPE_SENDER : 0);
}

size_t wwri_envelope_len(const struct wwri_envelope *envelope) {
  return head_len(envelope) + envelope->name.len + envelope->payload.data.len;
}

static void write_number(uint8_t *at, uint64_t number) {
  for (unsigned i = 0; i < 8; i++) at[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t read_number(const uint8_t *at) {
  uint64_t number = 0;
  for (unsigned i = 0; i < 8; i++) number |= (uint64_t)at[i] << (8 * i);
  return number;
}

static void write_head(const struct wwri_envelope *envelope, uint8_t *head) {
  head[0] = WWRI_ENVELOPE_VERSION;
  head[1] = (uint8_t)((unsigned)envelope->payload.encoding |
                      (envelope->internal ? INTERNAL : 0u) |
                      (has_sender(envelope) ? HAS_SENDER : 0u));
  write_number(head + 2, envelope->time_ms);
  head[10] = (uint8_t)envelope->name.len;
  if (!has_sender(envelope)) return;
  write_number(head + WWRI_ENVELOPE_HEAD, envelope->sender.process);
  write_number(head + WWRI_ENVELOPE_HEAD + 8, envelope->sender.conn);
}

wwr_err wwri_envelope_encode(const struct wwri_envelope *envelope,
                             struct wwri_buf *out) {
  struct wwr_view name = envelope->name;
  struct wwr_view data = envelope->payload.data;
  if (name.len > NAME_MAX_LEN) return WWR_E_INVALID;
  if ((unsigned)envelope->payload.encoding > WWR_UTF16) return WWR_E_INVALID;
  if (envelope->payload.encoding == WWR_UTF16 && data.len % 2) {
    return WWR_E_INVALID;
  }
  uint8_t head[HEAD_MAX];
  write_head(envelope, head);
  size_t before = out->len;
  wwr_err err = wwri_buf_append(out, head, head_len(envelope));
  if (!err) err = wwri_buf_append(out, name.data, name.len);
  if (!err) err = wwri_buf_append(out, data.data, data.len);
  if (err) out->len = before;
  return err;
}

static bool read_sender(struct wwr_view bytes, struct wwri_envelope *out) {
  if (!(bytes.data[1] & HAS_SENDER)) return true;
  if (bytes.len < HEAD_MAX) return false;
  out->sender.process = read_number(bytes.data + WWRI_ENVELOPE_HEAD);
  out->sender.conn = read_number(bytes.data + WWRI_ENVELOPE_HEAD + 8);
  return has_sender(out);
}

static bool read_envelope(struct wwr_view bytes, struct wwri_envelope *out) {
  if (bytes.len < WWRI_ENVELOPE_HEAD) return false;
  const uint8_t *head = bytes.data;
  if (head[0] != WWRI_ENVELOPE_VERSION || head[1] > KNOWN_FLAGS) return false;
  if (!read_sender(bytes, out)) return false;
  unsigned encoding = head[1] & ENCODING_MASK;
  size_t at = head_len(out), name_len = head[10];
  if (encoding > WWR_UTF16 || name_len > bytes.len - at) return false;
  out->time_ms = read_number(head + 2);
  out->internal = head[1] & INTERNAL;
  out->name = (struct wwr_view){head + at, name_len};
  at += name_len;
  out->payload.encoding = (enum wwr_encoding)encoding;
  out->payload.data = (struct wwr_view){head + at, bytes.len - at};
  return encoding != WWR_UTF16 || out->payload.data.len % 2 == 0;
}

wwr_err wwri_envelope_decode(struct wwr_view bytes, struct wwri_envelope *out) {
  *out = (struct wwri_envelope){0};
  if (read_envelope(bytes, out)) return WWR_OK;
  *out = (struct wwri_envelope){0};
  return WWR_E_PROTOCOL;
}

bool wwri_channel_name_ok(struct wwr_view name) {
  return name.len >= 1 && name.len <= WWRI_CHANNEL_MAX && name.data[0] != '!' &&
         wwri_is_printable(name);
}
