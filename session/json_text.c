#include "json_text.h"

#include <string.h>

static bool is_space(uint8_t byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void drop(struct wwr_view *text, size_t len) {
  text->data += len;
  text->len -= len;
}

/* White space, and punctuation that may stand there too. */
static void skip(struct wwr_view *rest, const char *punctuation) {
  while (rest->len > 0 && (is_space(*rest->data) ||
                           (*rest->data && strchr(punctuation, *rest->data)))) {
    drop(rest, 1);
  }
}

/* Bytes of the string that starts at `at`, both quotes included. */
static size_t string_len(struct wwr_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.len && text.data[end] != '"') {
    end += text.data[end] == '\\' ? 2 : 1;
  }
  end = end < text.len ? end + 1 : text.len;
  return end - at;
}

static bool ends_value(uint8_t byte) {
  return byte == ',' || byte == '}' || byte == ']' || is_space(byte);
}

/* Bytes of the value at the front: up to the first byte outside its strings
 * and brackets that can't belong to it. */
static size_t value_len(struct wwr_view text) {
  size_t depth = 0;
  size_t at = 0;
  while (at < text.len) {
    uint8_t byte = text.data[at];
    if (depth == 0 && ends_value(byte)) break;
    at += byte == '"' ? string_len(text, at) : 1;
    if (byte == '{' || byte == '[') depth++;
    if (byte == '}' || byte == ']') depth--;
  }
  return at;
}

static bool next_member(struct wwr_view *rest, struct wwr_view *key,
                        struct wwr_view *value) {
  skip(rest, "{,");
  if (rest->len == 0 || *rest->data != '"') return false;
  *key = (struct wwr_view){rest->data, string_len(*rest, 0)};
  drop(rest, key->len);
  skip(rest, ":");
  *value = (struct wwr_view){rest->data, value_len(*rest)};
  drop(rest, value->len);
  return true;
}

/* Compares a quoted key; only one with escapes needs to be decoded. */
static wwr_err key_is(struct wwr_view quoted, struct wwr_view name,
                      bool *same) {
  struct wwr_view key = {quoted.data + 1, quoted.len - 2};
  *same = wwr_view_equal(key, name);
  if (*same || key.len == 0 || !memchr(key.data, '\\', key.len)) return WWR_OK;
  json_t *string;
  wwr_err err = wwri_json_load(quoted, &string);
  if (err != WWR_OK) return err;
  key.data = (const uint8_t *)json_string_value(string);
  key.len = json_string_length(string);
  *same = wwr_view_equal(key, name);
  json_decref(string);
  return WWR_OK;
}

wwr_err wwri_json_member(struct wwr_view object, struct wwr_view name,
                         struct wwr_view *value) {
  wwr_err found = WWR_E_INVALID;
  struct wwr_view key, candidate;
  while (next_member(&object, &key, &candidate)) {
    bool same;
    wwr_err err = key_is(key, name, &same);
    if (err != WWR_OK) return err;
    if (!same) continue;
    *value = candidate;
    found = WWR_OK;
  }
  return found;
}

size_t wwri_json_compact(struct wwr_view text, char *out) {
  size_t len = 0;
  for (size_t at = 0; at < text.len;) {
    bool string = text.data[at] == '"';
    size_t take = string ? string_len(text, at) : 1;
    if (string || !is_space(text.data[at])) {
      memcpy(out + len, text.data + at, take);
      len += take;
    }
    at += take;
  }
  return len;
}

/* Integers are read as reals so that one over 64 bits is valid too. The library
 * overlooks a NUL byte behind a number, so that is refused here. */
wwr_err wwri_json_load(struct wwr_view text, json_t **out) {
  const size_t flags =
      JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
  json_error_t error = {0};
  *out = NULL;
  if (text.len == 0 || memchr(text.data, 0, text.len)) return WWR_E_INVALID;
  *out = json_loadb((const char *)text.data, text.len, flags, &error);
  if (*out) return WWR_OK;
  /* It says "unknown" when it had no memory to begin with. */
  enum json_error_code code = json_error_code(&error);
  bool no_memory =
      code == json_error_out_of_memory || code == json_error_unknown;
  return no_memory ? WWR_E_NOMEM : WWR_E_INVALID;
}
