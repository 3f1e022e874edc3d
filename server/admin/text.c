/* Texts from strangers: every function here looks at no more than it was given,
 * and refuses what it does not know. */
#include "text.h"

#include <string.h>
#include <strings.h>

/* --- Percent-encoding ----------------------------------------------------- */

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool wwri_percent_decode(char *text, size_t *len) {
  size_t to = 0;
  for (size_t i = 0; i < *len; i++) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < *len ? hex(text[i + 1]) : -1;
      int low = i + 2 < *len ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0 || high + low == 0) return false;
      c = (char)(high * 16 + low);
      i += 2;
    }
    text[to++] = c;
  }
  text[to] = '\0';
  *len = to;
  return true;
}

/* --- Base64 --------------------------------------------------------------- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t wwri_base64_len(size_t len) {
  return (len + 2) / 3 * 4;
}

void wwri_base64_encode(struct wwr_view bytes, char *out) {
  for (size_t i = 0; i < bytes.len; i += 3, out += 4) {
    size_t left = bytes.len - i;
    uint32_t bits = (uint32_t)bytes.data[i] << 16;
    if (left > 1) bits |= (uint32_t)bytes.data[i + 1] << 8;
    if (left > 2) bits |= bytes.data[i + 2];
    out[0] = alphabet[bits >> 18];
    out[1] = alphabet[bits >> 12 & 63];
    out[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
    out[3] = left > 2 ? alphabet[bits & 63] : '=';
  }
  *out = '\0';
}

static int sextet(uint8_t c) {
  const char *at = c ? strchr(alphabet, c) : NULL;
  return at ? (int)(at - alphabet) : -1;
}

/* Four characters, the last of which may be padding when `last`. The number of
 * bytes they stand for, 0 when they are wrong. */
static size_t decode_four(const uint8_t *text, bool last, uint8_t out[3]) {
  size_t count = 3;
  if (last && text[3] == '=') count = text[2] == '=' ? 1 : 2;
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; i++) {
    int value = i <= count ? sextet(text[i]) : 0;
    if (value < 0) return 0;
    bits = bits << 6 | (uint32_t)value;
  }
  if (bits & ((1U << (8 * (3 - count))) - 1)) return 0;
  for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(bits >> (16 - 8 * i));
  return count;
}

bool wwri_base64_decode(struct wwr_view text, uint8_t *out, size_t *len) {
  *len = 0;
  if (text.len % 4) return false;
  for (size_t i = 0; i < text.len; i += 4) {
    uint8_t bytes[3];
    size_t n = decode_four(text.data + i, i + 4 == text.len, bytes);
    if (n == 0) return false;
    memcpy(out + *len, bytes, n);
    *len += n;
  }
  return true;
}

/* --- UTF-16 --------------------------------------------------------------- */

/* One character of valid UTF-8; *at moves behind it. */
static uint32_t next_char(struct wwr_view text, size_t *at) {
  uint8_t first = text.data[(*at)++];
  if (first < 0x80) return first;
  unsigned more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  uint32_t c = first & (0x3fU >> more);
  while (more-- > 0 && *at < text.len) c = c << 6 | (text.data[(*at)++] & 0x3f);
  return c;
}

static size_t put_unit(uint8_t *out, size_t len, uint32_t unit) {
  out[len] = (uint8_t)unit;
  out[len + 1] = (uint8_t)(unit >> 8);
  return len + 2;
}

size_t wwri_utf16_encode(struct wwr_view text, uint8_t *out) {
  size_t len = 0;
  for (size_t at = 0; at < text.len;) {
    uint32_t c = next_char(text, &at);
    if (c < 0x10000) {
      len = put_unit(out, len, c);
    } else {
      len = put_unit(out, len, 0xd800 + ((c - 0x10000) >> 10));
      len = put_unit(out, len, 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
  }
  return len;
}

/* --- Tokens --------------------------------------------------------------- */

bool wwri_token_ok(const char *token, size_t max) {
  size_t len = strlen(token);
  if (len == 0 || len > max) return false;
  for (size_t i = 0; i < len; i++) {
    if (token[i] <= ' ' || token[i] > '~') return false;
  }
  return true;
}

bool wwri_token_matches(const char *authorization, const char *token) {
  static const char scheme[] = "Bearer ";
  if (strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) return false;
  const char *given = authorization + sizeof scheme - 1;
  size_t given_len = strlen(given), token_len = strlen(token);
  /* What differs is collected, so that the time tells the length of what was
   * given and nothing else. */
  volatile unsigned char odd = given_len != token_len;
  for (size_t i = 0; i < given_len; i++) {
    odd = (unsigned char)(odd | (given[i] ^ token[i % (token_len + 1)]));
  }
  return !odd && token_len > 0;
}

/* --- Addresses and numbers ------------------------------------------------ */

bool wwri_parse_number(const char *text, uint64_t min, uint64_t max,
                       uint64_t *out) {
  uint64_t value = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    uint64_t digit = (uint64_t)(*text - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return value >= min && value <= max;
}

bool wwri_split_address(const char *text, char *host, size_t cap,
                        char port[6]) {
  const char *colon = strrchr(text, ':');
  uint64_t number;
  if (!colon || strlen(colon + 1) > 5) return false;
  if (!wwri_parse_number(colon + 1, 0, 65535, &number)) return false;
  const char *begin = text, *end = colon;
  if (*begin == '[') {
    begin++;
    if (--end < begin || *end != ']') return false;
  } else if (memchr(begin, ':', (size_t)(end - begin))) {
    return false;
  }
  size_t len = (size_t)(end - begin);
  if (len >= cap || (len == 0 && begin != text)) return false;
  memcpy(host, begin, len);
  host[len] = '\0';
  memcpy(port, colon + 1, strlen(colon + 1) + 1);
  return true;
}
