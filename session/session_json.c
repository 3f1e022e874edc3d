/* session_json.c - the session object to and from JSON:
 *
 *   {"k":"kQ9…","c":"2026-11-22T09:00:00Z","l":"2026-11-22T09:05:00Z","i":{…}}
 *
 * Read from the wire by clients of any language, so nothing is printed that
 * another parser could refuse: a key's invalid UTF-8 becomes U+FFFD. */
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "session.h"
#include "session_make.h"
#include "utf8.h"

/* Names, quotes and punctuation of the whole object. */
enum { FRAME_MAX = 40 };

static char *put(char *at, const char *text) {
  size_t len = strlen(text);
  memcpy(at, text, len);
  return at + len;
}

static char *put_escaped(char *at, const char *text) {
  struct wwr_view rest = wwr_view_str(text);
  while (rest.len > 0) at += wwri_json_escape(&rest, at);
  return at;
}

static char *put_time(char *at, int64_t unix_ns) {
  wwri_rfc3339_format(unix_ns, at);
  return at + strlen(at);
}

static size_t encoded_max(const struct wwr_session *session) {
  const char *info = wwr_session_info(session);
  return FRAME_MAX + WWRI_ESCAPED_MAX * strlen(wwr_session_key(session)) +
         2 * WWRI_RFC3339_MAX + (info ? strlen(info) : 0);
}

/* Parts of the object that are left out sometimes. */
enum { WITH_KEY = 1, WITH_LOOKUP = 2 };

static wwr_err encode(const struct wwr_session *session, unsigned parts,
                      char **out, size_t *len) {
  const char *info = wwr_session_info(session);
  *out = malloc(encoded_max(session));
  if (!*out) return WWR_E_NOMEM;
  char *at = put(*out, "{");
  if (parts & WITH_KEY) {
    at = put(at, "\"k\":\"");
    at = put_escaped(at, wwr_session_key(session));
    at = put(at, "\",");
  }
  at = put(at, "\"c\":\"");
  at = put_time(at, wwr_session_created(session));
  if (parts & WITH_LOOKUP) {
    at = put(at, "\",\"l\":\"");
    at = put_time(at, wwr_session_last_lookup(session));
  }
  at = put(at, "\"");
  if (info) at = put(put(at, ",\"i\":"), info);
  at = put(at, "}");
  *at = '\0';
  *len = (size_t)(at - *out);
  return WWR_OK;
}

wwr_err wwri_session_encode(const struct wwr_session *session, bool with_key,
                            char **out, size_t *len) {
  return encode(session, WITH_LOOKUP | (with_key ? WITH_KEY : 0u), out, len);
}

wwr_err wwri_session_encode_fixed(const struct wwr_session *session, char **out,
                                  size_t *len) {
  return encode(session, 0, out, len);
}

static struct wwr_view string_of(const json_t *json) {
  return (struct wwr_view){(const uint8_t *)json_string_value(json),
                           json_string_length(json)};
}

static bool take_times(const json_t *root, int64_t *created, int64_t *looked) {
  const json_t *last = json_object_get(root, "l");
  if (!wwri_rfc3339_parse(string_of(json_object_get(root, "c")), created)) {
    return false;
  }
  *looked = *created;
  return !last || wwri_rfc3339_parse(string_of(last), looked);
}

/* No info, and null for info, give an empty view. */
static wwr_err take_info(const json_t *root, struct wwr_view text,
                         struct wwr_view *info) {
  const json_t *value = json_object_get(root, "i");
  *info = (struct wwr_view){0};
  if (!value || json_is_null(value)) return WWR_OK;
  if (!json_is_object(value)) return WWR_E_INVALID;
  return wwri_json_member(text, wwr_view_str("i"), info);
}

static wwr_err from_root(const json_t *root, struct wwr_view text,
                         struct wwr_view key, struct wwr_session **out) {
  if (!json_is_object(root)) return WWR_E_INVALID;
  int64_t created, looked;
  if (!take_times(root, &created, &looked)) return WWR_E_INVALID;
  struct wwr_view info;
  wwr_err err = take_info(root, text, &info);
  if (err != WWR_OK) return err;
  if (!key.data) key = string_of(json_object_get(root, "k"));
  return wwri_session_make(out, key, created, looked, info);
}

wwr_err wwri_session_decode(struct wwr_view json, struct wwr_view key,
                            struct wwr_session **out) {
  *out = NULL;
  json_t *root;
  wwr_err err = wwri_json_load(json, &root);
  if (err != WWR_OK) return err;
  err = from_root(root, json, key, out);
  json_decref(root);
  return err;
}
