/* WebSocket frames: encoding with any mistake that is asked for, decoding with
 * none tolerated. */
#include "rawws.h"
#include "rawws_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Sending ------------------------------------------------------------ */

static size_t put_length(uint8_t *out, const struct rawws_frame *frame) {
  uint64_t len = frame->lie ? frame->declared : frame->len;
  int bytes = frame->length_bytes;
  if (bytes == 0) bytes = len < 126 ? 1 : len < 65536 ? 2 : 8;
  uint8_t masked = frame->unmasked ? 0 : 0x80;
  if (bytes == 1) {
    out[0] = masked | (uint8_t)len;
    return 1;
  }
  out[0] = masked | (bytes == 2 ? 126 : 127);
  for (int i = 0; i < bytes; i++) {
    out[1 + i] = (uint8_t)(len >> (8 * (bytes - 1 - i)));
  }
  return (size_t)bytes + 1;
}

size_t rawws_encode(const struct rawws_frame *frame, uint8_t *out, size_t cap) {
  uint8_t head[14];
  head[0] = (uint8_t)((frame->more ? 0 : 0x80) | (frame->rsv & 7) << 4 |
                      (int)frame->opcode);
  size_t n = 1 + put_length(head + 1, frame);
  if (!frame->unmasked) {
    memcpy(head + n, frame->mask, 4);
    n += 4;
  }
  if (!out || n + frame->len > cap) return n + frame->len;
  memcpy(out, head, n);
  const uint8_t *payload = frame->payload;
  for (size_t i = 0; i < frame->len; i++) {
    out[n + i] = payload[i] ^ (frame->unmasked ? 0 : frame->mask[i % 4]);
  }
  return n + frame->len;
}

bool rawws_send_frame(struct rawws *ws, const struct rawws_frame *frame) {
  size_t len = rawws_encode(frame, NULL, 0);
  uint8_t *bytes = malloc(len);
  if (!bytes) return false;
  rawws_encode(frame, bytes, len);
  bool sent = rawws_write(ws, bytes, len);
  free(bytes);
  return sent;
}

static const uint8_t any_mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static bool send_masked(struct rawws *ws, enum rawws_opcode opcode, bool more,
                        const void *payload, size_t len) {
  struct rawws_frame frame = {
      .opcode = opcode, .more = more, .payload = payload, .len = len};
  memcpy(frame.mask, any_mask, sizeof any_mask);
  return rawws_send_frame(ws, &frame);
}

bool rawws_send(struct rawws *ws, const void *payload, size_t len) {
  return send_masked(ws, RAWWS_BINARY, false, payload, len);
}

bool rawws_send_pieces(struct rawws *ws, const void *payload, size_t len,
                       size_t piece) {
  const uint8_t *from = payload;
  enum rawws_opcode opcode = RAWWS_BINARY;
  do {
    size_t n = len < piece ? len : piece;
    if (!send_masked(ws, opcode, n < len, from, n)) return false;
    from += n;
    len -= n;
    opcode = RAWWS_CONTINUATION;
  } while (len > 0);
  return true;
}

bool rawws_send_close(struct rawws *ws, uint16_t code) {
  uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
  return send_masked(ws, RAWWS_CLOSE, false, payload, code ? 2 : 0);
}

/* --- Receiving ---------------------------------------------------------- */

void rawws_answer_pings(struct rawws *ws, bool answer) {
  ws->answer_pings = answer;
}

uint16_t rawws_close_code(const struct rawws *ws) {
  return ws->close_code;
}

/* True when a server may send this header: known opcode, not masked, no
 * reserved bit, and control frames whole and short. */
static bool head_is_legal(const uint8_t *head) {
  int opcode = head[0] & 15;
  if ((head[0] & 0x70) != 0 || (head[1] & 0x80) != 0) return false;
  if (opcode >= 8) return opcode <= 10 && (head[0] & 0x80) && head[1] <= 125;
  return opcode <= 2;
}

static uint64_t big_endian(const uint8_t *bytes, size_t n) {
  uint64_t value = 0;
  for (size_t i = 0; i < n; i++) value = value << 8 | bytes[i];
  return value;
}

static void note_close(struct rawws *ws, const struct rawws_message *frame) {
  ws->close_code = 1005;
  if (frame->len >= 2) ws->close_code = (uint16_t)big_endian(frame->payload, 2);
}

static enum rawws_result recv_until(struct rawws *ws, struct rawws_message *out,
                                    int64_t deadline) {
  enum rawws_result result = rawws_fill(ws, 2, deadline);
  if (result != RAWWS_OK) return result;
  const uint8_t *head = ws->in + ws->in_pos;
  if (!head_is_legal(head)) return RAWWS_BROKEN;
  size_t wide = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
  result = rawws_fill(ws, 2 + wide, deadline);
  if (result != RAWWS_OK) return result;
  head = ws->in + ws->in_pos;
  uint64_t len = wide ? big_endian(head + 2, wide) : head[1];
  if (len > UINT32_MAX) return RAWWS_BROKEN;
  result = rawws_fill(ws, 2 + wide + (size_t)len, deadline);
  if (result != RAWWS_OK) return result;
  head = ws->in + ws->in_pos;
  *out = (struct rawws_message){.opcode = (enum rawws_opcode)(head[0] & 15),
                                .fin = (head[0] & 0x80) != 0,
                                .payload = head + 2 + wide,
                                .len = (size_t)len};
  ws->in_pos += 2 + wide + (size_t)len;
  if (out->opcode == RAWWS_CLOSE) note_close(ws, out);
  return RAWWS_OK;
}

enum rawws_result rawws_recv(struct rawws *ws, struct rawws_message *out,
                             int timeout_ms) {
  return recv_until(ws, out, rawws_now_ms() + timeout_ms);
}

/* Add a data frame to the message that is being received. */
static enum rawws_result assemble(struct rawws *ws,
                                  const struct rawws_message *frame) {
  bool begun = ws->message_opcode != 0;
  if (begun != (frame->opcode == RAWWS_CONTINUATION)) return RAWWS_BROKEN;
  if (!begun) {
    ws->message_opcode = frame->opcode;
    ws->message_len = 0;
  }
  uint8_t *grown = realloc(ws->message, ws->message_len + frame->len + 1);
  if (!grown) return RAWWS_BROKEN;
  ws->message = grown;
  memcpy(grown + ws->message_len, frame->payload, frame->len);
  ws->message_len += frame->len;
  return RAWWS_OK;
}

static enum rawws_result message_until(struct rawws *ws,
                                       struct rawws_message *out,
                                       int64_t deadline) {
  for (;;) {
    enum rawws_result result = recv_until(ws, out, deadline);
    if (result != RAWWS_OK) return result;
    if (out->opcode == RAWWS_CLOSE) return RAWWS_CLOSED;
    if (out->opcode == RAWWS_PONG) continue;
    if (out->opcode == RAWWS_PING) {
      if (ws->answer_pings)
        send_masked(ws, RAWWS_PONG, false, out->payload, out->len);
      continue;
    }
    result = assemble(ws, out);
    if (result != RAWWS_OK) return result;
    if (!out->fin) continue;
    *out = (struct rawws_message){ws->message_opcode, true, ws->message,
                                  ws->message_len};
    ws->message_opcode = RAWWS_CONTINUATION;
    return RAWWS_OK;
  }
}

enum rawws_result rawws_recv_message(struct rawws *ws,
                                     struct rawws_message *out,
                                     int timeout_ms) {
  return message_until(ws, out, rawws_now_ms() + timeout_ms);
}

/* --- Expectations ------------------------------------------------------- */

static void complain(const char *what, enum rawws_result result,
                     const struct rawws_message *got) {
  static const char *const names[] = {"message", "close frame", "end",
                                      "reset",   "nothing",     "broken frame"};
  fprintf(stderr, "rawws: expected %s, got %s", what, names[result]);
  if (result == RAWWS_OK) {
    fprintf(stderr, " opcode %d, %zu bytes:", got->opcode, got->len);
    for (size_t i = 0; i < got->len && i < 64; i++)
      fprintf(stderr, " %02x", got->payload[i]);
  }
  fputc('\n', stderr);
}

bool rawws_expect(struct rawws *ws, const void *payload, size_t len,
                  int timeout_ms) {
  struct rawws_message got;
  enum rawws_result result = rawws_recv_message(ws, &got, timeout_ms);
  if (result == RAWWS_OK && got.opcode == RAWWS_BINARY && got.len == len &&
      (len == 0 || memcmp(got.payload, payload, len) == 0))
    return true;
  complain("other bytes", result, &got);
  return false;
}

bool rawws_expect_silence(struct rawws *ws, int quiet_ms) {
  struct rawws_message got;
  enum rawws_result result = rawws_recv_message(ws, &got, quiet_ms);
  if (result == RAWWS_TIMEOUT) return true;
  complain("silence", result, &got);
  return false;
}

int rawws_expect_end(struct rawws *ws, int timeout_ms) {
  int64_t deadline = rawws_now_ms() + timeout_ms;
  int code = 1006;
  for (;;) {
    struct rawws_message got;
    switch (message_until(ws, &got, deadline)) {
      case RAWWS_OK:
        break;
      case RAWWS_CLOSED:
        code = ws->close_code;
        rawws_send_close(ws, code == 1005 ? 0 : (uint16_t)code);
        break;
      case RAWWS_EOF:
      case RAWWS_RESET:
        return code;
      default:
        return -1;
    }
  }
}
