/* Strict where a peer that is wrong would make us misread what follows, or is
 * told to be failed by the RFC: reserved bits and opcodes, frames that are not
 * masked, control frames that are cut or too long, continuations of nothing,
 * messages inside messages, lengths of 2^63 and more. Lengths written longer
 * than necessary are taken: that harms nobody. */
#include "wsparser.h"

#include <string.h>

#include "utf8.h"

enum {
  FIN = 0x80,
  RESERVED = 0x70,
  OPCODE = 0x0f,
  MASKED = 0x80,
  LENGTH = 0x7f,
  LENGTH_16 = 126,
  LENGTH_64 = 127,
  MASK_BYTES = 4
};

enum opcode {
  CONTINUATION = 0,
  TEXT = 1,
  BINARY = 2,
  FIRST_CONTROL = 8,
  CLOSE = 8,
  PING = 9,
  PONG = 10
};

struct header {
  unsigned opcode;
  bool final;
  size_t len; /* of the header itself */
  uint64_t payload;
};

/* Eight bytes at a time; the mask is left at the byte that follows. */
static void unmask(uint8_t *data, size_t len, uint8_t mask[MASK_BYTES]) {
  uint64_t word;
  uint64_t key;
  memcpy(&key, mask, MASK_BYTES);
  memcpy((uint8_t *)&key + MASK_BYTES, mask, MASK_BYTES);
  size_t i = 0;
  for (; len - i >= sizeof(word); i += sizeof(word)) {
    memcpy(&word, data + i, sizeof(word));
    word ^= key;
    memcpy(data + i, &word, sizeof(word));
  }
  const uint8_t *bytes = (const uint8_t *)&key;
  size_t rest = len - i;
  for (size_t j = 0; j < rest; j++) data[i + j] ^= bytes[j];
  memcpy(mask, bytes + rest % MASK_BYTES, MASK_BYTES);
}

static bool is_control(unsigned opcode) {
  return opcode >= FIRST_CONTROL;
}

/* By the first byte alone. */
static bool may_begin(const struct wwri_wsparser *parser, uint8_t first) {
  if (first & RESERVED) return false;
  switch (first & OPCODE) {
    case CONTINUATION:
      return parser->in_message;
    case TEXT:
    case BINARY:
      return !parser->in_message;
    case CLOSE:
    case PING:
    case PONG:
      return (first & FIN) != 0;
    default:
      return false;
  }
}

static size_t length_bytes(uint8_t second) {
  switch (second & LENGTH) {
    case LENGTH_16:
      return 2;
    case LENGTH_64:
      return 8;
    default:
      return 0;
  }
}

static uint64_t big_endian(const uint8_t *bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++) value = value << 8 | bytes[i];
  return value;
}

/* PIECE stands for "the header is whole". */
static enum wwri_ws_kind read_header(const struct wwri_wsparser *parser,
                                     const uint8_t *at, size_t len,
                                     struct header *out) {
  if (len < 1) return WWRI_WS_MORE;
  if (!may_begin(parser, at[0])) return WWRI_WS_BROKEN;
  if (len < 2) return WWRI_WS_MORE;
  if (!(at[1] & MASKED)) return WWRI_WS_BROKEN;
  out->opcode = at[0] & OPCODE;
  out->final = (at[0] & FIN) != 0;
  size_t extra = length_bytes(at[1]);
  if (is_control(out->opcode) && extra) return WWRI_WS_BROKEN;
  out->len = 2 + extra + MASK_BYTES;
  if (len < out->len) return WWRI_WS_MORE;
  out->payload = extra ? big_endian(at + 2, extra) : at[1] & LENGTH;
  return out->payload >> 63 ? WWRI_WS_BROKEN : WWRI_WS_PIECE;
}

static enum wwri_ws_kind kind_of(unsigned opcode) {
  if (opcode == CLOSE) return WWRI_WS_CLOSE;
  return opcode == PING ? WWRI_WS_PING : WWRI_WS_PONG;
}

/* As much of the frame under way as is there. */
static enum wwri_ws_kind take_piece(struct wwri_wsparser *parser, uint8_t **at,
                                    uint8_t *end, struct wwri_ws_piece *out) {
  size_t there = (size_t)(end - *at);
  out->data = *at;
  out->len = parser->left < there ? (size_t)parser->left : there;
  unmask(out->data, out->len, parser->mask);
  *at += out->len;
  parser->left -= out->len;
  out->announced = parser->left;
  out->text = parser->text;
  out->last = parser->final && parser->left == 0;
  return WWRI_WS_PIECE;
}

enum wwri_ws_kind wwri_wsparser_next(struct wwri_wsparser *parser, uint8_t **at,
                                     uint8_t *end, struct wwri_ws_piece *out) {
  struct header header;
  size_t there = (size_t)(end - *at);
  if (parser->left > 0) {
    return there > 0 ? take_piece(parser, at, end, out) : WWRI_WS_MORE;
  }
  enum wwri_ws_kind kind = read_header(parser, *at, there, &header);
  if (kind != WWRI_WS_PIECE) return kind;
  uint8_t *mask = *at + header.len - MASK_BYTES;
  if (is_control(header.opcode)) {
    if (there - header.len < header.payload) return WWRI_WS_MORE;
    out->data = *at + header.len;
    out->len = (size_t)header.payload;
    unmask(out->data, out->len, mask);
    *at = out->data + out->len;
    return kind_of(header.opcode);
  }
  memcpy(parser->mask, mask, MASK_BYTES);
  if (header.opcode != CONTINUATION) parser->text = header.opcode == TEXT;
  parser->final = header.final;
  parser->in_message = !header.final;
  parser->left = header.payload;
  *at += header.len;
  return take_piece(parser, at, end, out);
}

static bool is_utf8(const uint8_t *bytes, size_t len) {
  while (len > 0) {
    uint32_t character;
    size_t n = wwri_utf8_read(bytes, len, &character);
    /* Invalid bytes read as U+FFFD one by one; the real one has three. */
    if (character == WWRI_UTF8_REPLACEMENT && n == 1) return false;
    bytes += n;
    len -= n;
  }
  return true;
}

uint16_t wwri_wsparser_close_code(const uint8_t *payload, size_t len) {
  enum { PROTOCOL_ERROR = 1002, NOT_UTF8 = 1007 };
  if (len == 0) return 0;
  if (len == 1) return PROTOCOL_ERROR;
  uint16_t code = (uint16_t)big_endian(payload, 2);
  bool known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
  if (!known && (code < 3000 || code > 4999)) return PROTOCOL_ERROR;
  return is_utf8(payload + 2, len - 2) ? code : NOT_UTF8;
}
