#include "utf8.h"

#include <string.h>

/* Length by the first byte, and the range that its second byte must be in:
 * that range is what keeps out overlong forms, surrogates and the too large
 * (Unicode, table 3-7). Length 0: no first byte. */
struct lead {
  uint8_t len;
  uint8_t low;
  uint8_t high;
};

static struct lead lead_of(uint8_t byte) {
  if (byte < 0x80) return (struct lead){1, 0, 0};
  if (byte < 0xc2) return (struct lead){0, 0, 0};
  if (byte < 0xe0) return (struct lead){2, 0x80, 0xbf};
  if (byte == 0xe0) return (struct lead){3, 0xa0, 0xbf};
  if (byte == 0xed) return (struct lead){3, 0x80, 0x9f};
  if (byte < 0xf0) return (struct lead){3, 0x80, 0xbf};
  if (byte == 0xf0) return (struct lead){4, 0x90, 0xbf};
  if (byte < 0xf4) return (struct lead){4, 0x80, 0xbf};
  if (byte == 0xf4) return (struct lead){4, 0x80, 0x8f};
  return (struct lead){0, 0, 0};
}

size_t wwri_utf8_read(const uint8_t *bytes, size_t len, uint32_t *character) {
  struct lead lead = lead_of(bytes[0]);
  *character = bytes[0];
  if (lead.len == 1) return 1;
  *character = WWRI_UTF8_REPLACEMENT;
  if (lead.len == 0 || lead.len > len) return 1;
  if (bytes[1] < lead.low || bytes[1] > lead.high) return 1;
  uint32_t value = bytes[0] & (0x7fu >> lead.len);
  for (size_t i = 1; i < lead.len; i++) {
    if ((bytes[i] & 0xc0) != 0x80) return 1;
    value = value << 6 | (bytes[i] & 0x3fu);
  }
  *character = value;
  return lead.len;
}

size_t wwri_utf8_write(uint32_t character, uint8_t *out) {
  static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
  size_t len = character < 0x80      ? 1
               : character < 0x800   ? 2
               : character < 0x10000 ? 3
                                     : 4;
  for (size_t i = len - 1; i > 0; i--, character >>= 6) {
    out[i] = (uint8_t)(0x80 | (character & 0x3f));
  }
  out[0] = (uint8_t)(marks[len] | character);
  return len;
}

/* JSON demands it below U+0020; the other control characters and the two line
 * separators could still break a line or drive a terminal. */
static bool must_escape(uint32_t character) {
  return character < 0x20 || (character >= 0x7f && character <= 0x9f) ||
         character == 0x2028 || character == 0x2029;
}

static size_t escape_short(char letter, char *out) {
  out[0] = '\\';
  out[1] = letter;
  return 2;
}

static size_t escape_hex(uint32_t character, char *out) {
  static const char digits[] = "0123456789abcdef";
  escape_short('u', out);
  for (unsigned i = 0; i < 4; i++) {
    out[2 + i] = digits[character >> (12 - 4 * i) & 0xf];
  }
  return 6;
}

size_t wwri_json_escape(struct wwr_view *text, char *out) {
  uint32_t character;
  size_t taken = wwri_utf8_read(text->data, text->len, &character);
  text->data += taken;
  text->len -= taken;
  switch (character) {
    case '"':
    case '\\':
      return escape_short((char)character, out);
    case '\n':
      return escape_short('n', out);
    case '\r':
      return escape_short('r', out);
    case '\t':
      return escape_short('t', out);
    default:
      if (must_escape(character)) return escape_hex(character, out);
      return wwri_utf8_write(character, (uint8_t *)out);
  }
}
