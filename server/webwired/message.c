#include "message.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- Requests ------------------------------------------------------------- */

/* UTF-16 is converted; all else is UTF-8 already, or no JSON. */
static json_t *decode(const struct wwr_payload *payload) {
  const char *text = (const char *)payload->data.data;
  size_t len = payload->data.len;
  char *converted = NULL;
  if (payload->encoding == WWR_UTF16) {
    if (wwr_payload_to_utf8(payload, &converted, &len) != WWR_OK) return NULL;
    text = converted;
  }
  json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
  wwr_free(converted);
  return json;
}

static bool is_count(json_int_t count) {
  return count >= 0 && count <= MESSAGE_HISTORY_MAX;
}

bool message_read_sub(const struct wwr_payload *payload,
                      struct message_wish *out) {
  json_int_t count = 0;
  *out = (struct message_wish){.count = 0};
  if (payload->data.len == 0) return true;
  json_t *json = decode(payload);
  bool good = json && json_unpack_ex(json, NULL, JSON_STRICT, "{s?I}",
                                     "history", &count) == 0;
  json_decref(json);
  out->count = (uint32_t)(good ? count : 0);
  return good && is_count(count);
}

/* Texts, as we write them; numbers are read as well. */
static bool read_epoch(const json_t *json, uint64_t *out) {
  const char *text = json_string_value(json);
  char *end;
  if (!text) {
    *out = (uint64_t)json_integer_value(json);
    return json_is_integer(json) && json_integer_value(json) >= 0;
  }
  errno = 0;
  *out = strtoull(text, &end, 10);
  return isdigit((unsigned char)*text) && *end == '\0' && errno == 0;
}

/* {"epoch":E,"offset":O}; NULL: none was said. */
static bool read_place(json_t *json, struct wwr_channel_id *out) {
  json_t *epoch = NULL;
  json_int_t offset = 0;
  if (!json) return true;
  bool good = json_unpack_ex(json, NULL, JSON_STRICT, "{so, sI}", "epoch",
                             &epoch, "offset", &offset) == 0;
  out->offset = (uint64_t)offset;
  return good && offset >= 0 && read_epoch(epoch, &out->epoch);
}

bool message_read_history(const struct wwr_payload *payload,
                          struct message_wish *out) {
  json_int_t count = MESSAGE_HISTORY_MAX;
  json_t *after = NULL, *before = NULL;
  *out = (struct message_wish){.count = MESSAGE_HISTORY_MAX};
  if (payload->data.len == 0) return true;
  json_t *json = decode(payload);
  bool good = json && json_unpack_ex(json, NULL, JSON_STRICT, "{s?I, s?o, s?o}",
                                     "count", &count, "after", &after, "before",
                                     &before) == 0;
  good = good && is_count(count) && !(after && before) &&
         read_place(after, &out->place) && read_place(before, &out->place);
  out->count = (uint32_t)(good ? count : 0);
  out->after = after != NULL;
  out->before = before != NULL;
  json_decref(json);
  return good && (!out->before || out->place.epoch > 0);
}

/* --- Messages ------------------------------------------------------------- */

static const char *const encodings[] = {
    [WWR_BINARY] = "binary", [WWR_UTF8] = "utf8", [WWR_UTF16] = "utf16"};

static char *base64(struct wwr_view bytes) {
  static const char letters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char *text = malloc((bytes.len + 2) / 3 * 4 + 1), *at = text;
  if (!text) return NULL;
  for (size_t i = 0; i < bytes.len; i += 3) {
    size_t left = bytes.len - i;
    uint32_t three = (uint32_t)bytes.data[i] << 16;
    if (left > 1) three |= (uint32_t)bytes.data[i + 1] << 8;
    if (left > 2) three |= bytes.data[i + 2];
    *at++ = letters[three >> 18];
    *at++ = letters[three >> 12 & 63];
    *at++ = left > 1 ? letters[three >> 6 & 63] : '=';
    *at++ = left > 2 ? letters[three & 63] : '=';
  }
  *at = '\0';
  return text;
}

static uint16_t unit_at(struct wwr_view bytes, size_t i) {
  return (uint16_t)(bytes.data[i] | bytes.data[i + 1] << 8);
}

/* Surrogates in pairs only. */
static bool is_utf16(struct wwr_view bytes) {
  if (bytes.len % 2) return false;
  for (size_t i = 0; i < bytes.len; i += 2) {
    uint16_t unit = unit_at(bytes, i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    bool pair = unit < 0xdc00 && i + 2 < bytes.len &&
                (unit_at(bytes, i + 2) & 0xfc00) == 0xdc00;
    if (!pair) return false;
    i += 2;
  }
  return true;
}

static json_t *binary_json(struct wwr_view bytes) {
  char *text = base64(bytes);
  json_t *json = text ? json_string(text) : NULL;
  free(text);
  return json;
}

/* The payload as a JSON string; *coded when that is base64 though the payload
 * is text: text that no Unicode is. NULL without memory. */
static json_t *payload_json(const struct wwr_payload *payload, bool *coded) {
  struct wwr_view data = payload->data;
  json_t *json = NULL;
  *coded = false;
  if (payload->encoding == WWR_BINARY) return binary_json(data);
  if (payload->encoding == WWR_UTF8) {
    json = json_stringn(data.len ? (const char *)data.data : "", data.len);
  } else if (is_utf16(data)) {
    char *text;
    size_t len;
    if (wwr_payload_to_utf8(payload, &text, &len) != WWR_OK) return NULL;
    json = json_stringn(text, len);
    wwr_free(text);
  }
  if (json) return json;
  *coded = true;
  return binary_json(data);
}

static char *print(const struct wwr_channel_message *message, json_t *payload,
                   bool coded) {
  json_t *json = json_pack(
      "{so, sI, sI, ss, so}", "epoch",
      json_sprintf("%" PRIu64, message->id.epoch), "offset",
      (json_int_t)message->id.offset, "time", (json_int_t)message->time_ms,
      "encoding", encodings[message->payload.encoding], "payload", payload);
  bool good =
      json && (!coded || json_object_set_new(json, "base64", json_true()) == 0);
  char *text = good ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return text;
}

char *message_json(const struct wwr_channel_message *message, size_t max) {
  bool coded;
  json_t *payload = payload_json(&message->payload, &coded);
  char *text = payload ? print(message, payload, coded) : NULL;
  if (!text || strlen(text) <= max) return text;
  free(text);
  return print(message, json_null(), false);
}

/* --- Pages ---------------------------------------------------------------- */

static bool is_after(struct wwr_channel_id id, struct wwr_channel_id place) {
  if (id.epoch != place.epoch) return id.epoch > place.epoch;
  return id.offset > place.offset;
}

struct texts {
  char **items;
  size_t count;
};

static bool make(const struct message_wish *wish,
                 const struct wwr_channel_message *messages, size_t count,
                 size_t max, struct texts *out) {
  *out = (struct texts){calloc(count + 1, sizeof *out->items), 0};
  if (!out->items) return false;
  for (size_t i = 0; i < count; i++) {
    if (wish->after && !is_after(messages[i].id, wish->place)) continue;
    char *text = message_json(&messages[i], max);
    if (!text) return false;
    out->items[out->count++] = text;
  }
  return true;
}

/* How many from one end are within `max` bytes, brackets and commas included.
 */
static size_t fitting(const struct texts *texts, bool from_front, size_t max) {
  size_t size = 2, n = 0;
  while (n < texts->count) {
    size_t i = from_front ? n : texts->count - 1 - n;
    size += strlen(texts->items[i]) + (n > 0);
    if (size > max) break;
    n++;
  }
  return n;
}

static char *join(char *const *items, size_t count) {
  size_t size = 3;
  for (size_t i = 0; i < count; i++) size += strlen(items[i]) + 1;
  char *text = malloc(size), *at = text;
  if (!text) return NULL;
  *at++ = '[';
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(items[i]);
    if (i > 0) *at++ = ',';
    memcpy(at, items[i], len);
    at += len;
  }
  memcpy(at, "]", 2);
  return text;
}

struct message_page message_page(const struct message_wish *wish,
                                 const struct wwr_channel_message *messages,
                                 size_t count, size_t max) {
  struct message_page page = {.json = NULL};
  struct texts texts;
  if (make(wish, messages, count, max > 2 ? max - 2 : 0, &texts)) {
    size_t n = fitting(&texts, wish->after, max);
    if (n > wish->count) n = wish->count;
    page.more = n < texts.count;
    page.json = join(texts.items + (wish->after ? 0 : texts.count - n), n);
  }
  for (size_t i = 0; i < texts.count; i++) free(texts.items[i]);
  free(texts.items);
  return page;
}
