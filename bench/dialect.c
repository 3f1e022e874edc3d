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
  static const uint8_t one_more[256] = {
      ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
      ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
      ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};
  uint64_t sum = 0;
  unsigned seen = 0;
  for (int i = 0; i < NUMBER_DIGITS; i++) {
    unsigned value = one_more[from[i]] - 1U;
    seen |= value; /* over 15 for what is no digit */
    sum = sum << 4 | (value & 15);
  }
  *number = sum;
  return seen <= 15;
}
