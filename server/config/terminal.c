#include "terminal.h"

#include <stdbool.h>
#include <stdint.h>

/* One character of valid UTF-8; its length in bytes to *len. */
static uint32_t decode(const unsigned char *text, size_t left, size_t *len) {
  uint32_t lead = text[0];
  size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  uint32_t code = n == 1 ? lead : lead & (0x7fu >> n);
  if (n > left) n = left;
  for (size_t i = 1; i < n; i++) code = code << 6 | (text[i] & 0x3fu);
  *len = n;
  return code;
}

static bool is_blank(uint32_t code) {
  return code == '\n' || code == '\r' || code == '\t' || code == 0x2028 ||
         code == 0x2029;
}

static bool is_harmful(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
         code == 0x200e || code == 0x200f ||
         (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

void wwr_print_harmless(FILE *out, const char *text, size_t len) {
  const unsigned char *at = (const unsigned char *)text;
  for (size_t n; len > 0; at += n, len -= n) {
    uint32_t code = decode(at, len, &n);
    if (is_blank(code)) {
      fputc(' ', out);
    } else if (is_harmful(code)) {
      fputs("\xef\xbf\xbd", out);
    } else {
      fwrite(at, 1, n, out);
    }
  }
}
