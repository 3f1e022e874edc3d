#include "wwr_payload.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

struct wwr_payload wwr_payload_text(const char *text) {
  return (struct wwr_payload){WWR_UTF8, wwr_view_str(text)};
}

struct wwr_payload wwr_payload_binary(const void *data, size_t len) {
  return (struct wwr_payload){WWR_BINARY, {data, len}};
}

static uint32_t unit_at(struct wwr_view utf16, size_t at) {
  return (uint32_t)utf16.data[at] | (uint32_t)utf16.data[at + 1] << 8;
}

static bool is_high(uint32_t unit) {
  return (unit & 0xfc00) == 0xd800;
}
static bool is_low(uint32_t unit) {
  return (unit & 0xfc00) == 0xdc00;
}

/* One character of at least 2 bytes of UTF-16; the bytes it takes. */
static size_t read_utf16(struct wwr_view utf16, uint32_t *character) {
  uint32_t first = unit_at(utf16, 0);
  uint32_t second = utf16.len >= 4 ? unit_at(utf16, 2) : 0;
  if (is_high(first) && is_low(second)) {
    *character = 0x10000 + ((first & 0x3ff) << 10 | (second & 0x3ff));
    return 4;
  }
  bool lone = is_high(first) || is_low(first);
  *character = lone ? WWRI_UTF8_REPLACEMENT : first;
  return 2;
}

/* How many bytes of ASCII it begins with: those stay as they are. */
static size_t ascii_run(struct wwr_view text) {
  const uint64_t high_bits = 0x8080808080808080;
  size_t len = 0;
  uint64_t eight;
  for (; len + sizeof eight <= text.len; len += sizeof eight) {
    memcpy(&eight, text.data + len, sizeof eight);
    if (eight & high_bits) break;
  }
  while (len < text.len && text.data[len] < 0x80) len++;
  return len;
}

/* The length as UTF-8; written too unless `out` is NULL. */
static size_t convert(const struct wwr_payload *payload, uint8_t *out) {
  bool is_utf16 = payload->encoding == WWR_UTF16;
  struct wwr_view rest = payload->data;
  size_t len = 0;
  while (rest.len > 0) {
    size_t taken = is_utf16 ? 0 : ascii_run(rest);
    if (taken > 0) {
      if (out) memcpy(out + len, rest.data, taken);
      len += taken;
    } else {
      uint8_t unused[WWRI_UTF8_MAX];
      uint32_t character;
      taken = is_utf16 ? read_utf16(rest, &character)
                       : wwri_utf8_read(rest.data, rest.len, &character);
      len += wwri_utf8_write(character, out ? out + len : unused);
    }
    rest.data += taken;
    rest.len -= taken;
  }
  return len;
}

wwr_err wwr_payload_to_utf8(const struct wwr_payload *payload, char **out,
                            size_t *out_len) {
  *out = NULL;
  if (payload->encoding == WWR_UTF16 && payload->data.len % 2 != 0) {
    return WWR_E_PROTOCOL;
  }
  size_t len = convert(payload, NULL);
  char *text = malloc(len + 1);
  if (!text) return WWR_E_NOMEM;
  convert(payload, (uint8_t *)text);
  text[len] = '\0';
  *out = text;
  if (out_len) *out_len = len;
  return WWR_OK;
}
