#include "dialect.h"

#include <string.h>

const struct dialect *dialect_of(enum bench_protocol protocol) {
  switch (protocol) {
    case PROTOCOL_PLAIN:
      return &dialect_plain;
    case PROTOCOL_SOCKETIO:
      return &dialect_socketio;
    case PROTOCOL_WEBWIRE:
      break;
  }
  return &dialect_webwire;
}

/* Letters, so that every protocol can carry them as they are. */
void payload_pad(uint8_t *to, size_t from, size_t len) {
  for (size_t i = from; i < len; i++) to[i] = (uint8_t)('a' + i * 7 % 26);
}

void payload_number(uint8_t *to, uint64_t number) {
  for (int i = NUMBER_DIGITS - 1; i >= 0; i--, number >>= 4)
    to[i] = (uint8_t) "0123456789abcdef"[number & 15];
}

bool payload_read(const uint8_t *from, uint64_t *number) {
  *number = 0;
  for (int i = 0; i < NUMBER_DIGITS; i++) {
    uint8_t digit = from[i];
    uint8_t value = digit <= '9' ? digit - '0' : (uint8_t)(digit - 'a' + 10);
    if (value > 15) return false;
    *number = *number << 4 | value;
  }
  return true;
}
