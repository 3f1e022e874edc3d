/* Channels: which there are, who is on one, what was said, and saying it. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "text.h"

/* --- All of this node ------------------------------------------------------
 */

static void on_channels(wwr_err err, const struct wwr_channel_row *rows,
                        size_t count, bool more, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->more = more;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(
        call->json,
        json_pack("{s:o, s:I, s:o, s:I}", "name", wwri_json_text(rows[i].name),
                  "subscribers", (json_int_t)rows[i].subscribers, "epoch",
                  json_sprintf("%" PRIu64, rows[i].last.epoch), "offset",
                  (json_int_t)rows[i].last.offset));
  }
  wwri_call_post(call);
}

static wwr_err ask_channels(struct wwri_ask *ask, const json_t *after,
                            uint32_t max, struct wwri_call *call) {
  return wwr_server_list_channels(
      ask->admin->opts.server, wwr_view_str(ask->filter),
      wwr_view_str(json_string_value(after)), max, on_channels, call);
}

void wwri_api_channels(struct wwri_ask *ask) {
  static const struct wwri_listing listing = {"channels", "name", ask_channels};
  char after[sizeof ask->filter];
  if (!wwri_ask_param(ask, "prefix", ask->filter, sizeof ask->filter, NULL) ||
      !wwri_ask_param(ask, "after", after, sizeof after, NULL)) {
    return;
  }
  wwri_list_answer(ask, &listing, json_string(after));
}

/* --- One channel ---------------------------------------------------------- */

static void on_count(wwr_err err, uint64_t count, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->number = count;
  wwri_call_post(call);
}

static void on_presence(wwr_err err, const struct wwr_member *members,
                        size_t count, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->more = count > WWR_LIST_MAX;
  if (call->more) count = WWR_LIST_MAX;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(
        call->json,
        json_pack("{s:o, s:I}", "name", wwri_json_text(members[i].name),
                  "connections", (json_int_t)members[i].connections));
  }
  wwri_call_post(call);
}

static void got_members(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
    return;
  }
  wwri_answer_json(
      ask, 200,
      json_pack("{s:o, s:I, s:O, s:b}", "name", wwri_json_text(ask->parts[3]),
                "subscribers", (json_int_t)ask->left, "members", call->json,
                "more", (int)call->more));
}

static void got_count(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
    return;
  }
  ask->left = call->number;
  struct wwri_call *next = wwri_call_new(ask, got_members);
  if (!next) return;
  wwri_call_begun(next, wwr_server_presence(ask->admin->opts.server,
                                            ask->parts[3], on_presence, next));
}

void wwri_api_channel(struct wwri_ask *ask) {
  struct wwri_call *call = wwri_call_new(ask, got_count);
  if (!call) return;
  wwri_call_begun(call, wwr_server_subscribers(ask->admin->opts.server,
                                               ask->parts[3], on_count, call));
}

/* --- History -------------------------------------------------------------- */

static const char *encoding_name(enum wwr_encoding encoding) {
  switch (encoding) {
    case WWR_BINARY:
      return "binary";
    case WWR_UTF8:
      return "utf8";
    case WWR_UTF16:
      return "utf16";
  }
  return "binary";
}

static json_t *base64_json(struct wwr_view bytes) {
  char *text = malloc(wwri_base64_len(bytes.len) + 1);
  if (!text) return NULL;
  wwri_base64_encode(bytes, text);
  json_t *json = json_string(text);
  free(text);
  return json;
}

static json_t *payload_json(const struct wwr_payload *payload) {
  char *text;
  size_t len;
  if (payload->encoding == WWR_BINARY) return base64_json(payload->data);
  if (wwr_payload_to_utf8(payload, &text, &len) != WWR_OK) return NULL;
  json_t *json = json_stringn(text, len);
  wwr_free(text);
  return json;
}

static json_t *message_json(const struct wwr_channel_message *message) {
  return json_pack("{s:o, s:I, s:I, s:o, s:s, s:o}", "epoch",
                   json_sprintf("%" PRIu64, message->id.epoch), "offset",
                   (json_int_t)message->id.offset, "time",
                   (json_int_t)message->time_ms, "name",
                   wwri_json_text(message->name), "encoding",
                   encoding_name(message->payload.encoding), "payload",
                   payload_json(&message->payload));
}

/* The newest that are not too much together. */
static void on_history(wwr_err err, const struct wwr_channel_message *messages,
                       size_t count, void *user_data) {
  struct wwri_call *call = user_data;
  size_t bytes = 0, first = count;
  while (first > 0) {
    bytes += messages[first - 1].payload.data.len;
    if (bytes > WWRI_ADMIN_ANSWER_BYTES) break;
    first--;
  }
  call->err = err;
  call->more = first > 0;
  call->json = json_array();
  for (size_t i = first; i < count; i++) {
    (void)json_array_append_new(call->json, message_json(&messages[i]));
  }
  wwri_call_post(call);
}

static void got_history(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
    return;
  }
  wwri_answer_json(
      ask, 200,
      json_pack("{s:O, s:b}", "messages", call->json, "more", (int)call->more));
}

static bool read_digits(const char **at, char end, uint64_t *out) {
  char *behind;
  errno = 0;
  *out = strtoull(*at, &behind, 10);
  bool good = isdigit((unsigned char)**at) && *behind == end && errno == 0;
  *at = behind + 1;
  return good;
}

/* "EPOCH-OFFSET"; {0, 0} without it. False: the ask is answered. */
static bool ask_before(struct wwri_ask *ask, struct wwr_channel_id *out) {
  char text[48];
  const char *at = text;
  bool given;
  *out = (struct wwr_channel_id){0, 0};
  if (!wwri_ask_param(ask, "before", text, sizeof text, &given)) return false;
  if (!given) return true;
  if (read_digits(&at, '-', &out->epoch) &&
      read_digits(&at, '\0', &out->offset) && out->epoch > 0) {
    return true;
  }
  wwri_answer_error(ask, 400, NULL, "before must be EPOCH-OFFSET");
  return false;
}

void wwri_api_history(struct wwri_ask *ask) {
  uint64_t count;
  struct wwr_channel_id before;
  if (!wwri_ask_number(ask, "count", 1, WWRI_ADMIN_HISTORY_MAX,
                       WWRI_ADMIN_LIST_DEFAULT, &count) ||
      !ask_before(ask, &before)) {
    return;
  }
  struct wwri_call *call = wwri_call_new(ask, got_history);
  if (!call) return;
  wwri_call_begun(call, wwr_server_history_before(
                            ask->admin->opts.server, ask->parts[3], before,
                            (uint32_t)count, on_history, call));
}

/* --- Publishing ----------------------------------------------------------- */

static void on_published(const struct wwr_publish_result *result,
                         void *user_data) {
  struct wwri_call *call = user_data;
  call->err = result->err;
  call->certain = result->certain;
  call->id = result->id;
  wwri_call_post(call);
}

static void published(struct wwri_ask *ask, struct wwri_call *call) {
  char message[160];
  if (call->err == WWR_OK) {
    wwri_answer_json(ask, 200,
                     json_pack("{s:o, s:I}", "epoch",
                               json_sprintf("%" PRIu64, call->id.epoch),
                               "offset", (json_int_t)call->id.offset));
    return;
  }
  snprintf(message, sizeof message, "%.100s: %s", wwr_err_text(call->err),
           call->certain ? "certain, nobody will see it"
                         : "uncertain, it may have been delivered");
  wwri_answer_error(ask, call->err == WWR_E_REFUSED ? 409 : 503,
                    call->err == WWR_E_REFUSED ? "refused" : NULL, message);
}

/* What the body means; the bytes are to be freed. */
struct draft {
  struct wwr_view name;
  struct wwr_payload payload;
  uint8_t *bytes;
};

static bool draft_payload(struct draft *draft, const json_t *payload,
                          const char *encoding) {
  const struct wwr_view text = {(const uint8_t *)json_string_value(payload),
                                json_string_length(payload)};
  size_t len = text.len;
  draft->bytes = malloc(2 * len + 1);
  if (!draft->bytes) return false;
  if (strcmp(encoding, "utf16") == 0) {
    draft->payload.encoding = WWR_UTF16;
    len = wwri_utf16_encode(text, draft->bytes);
  } else if (strcmp(encoding, "binary") == 0) {
    draft->payload.encoding = WWR_BINARY;
    if (!wwri_base64_decode(text, draft->bytes, &len)) return false;
  } else {
    draft->payload.encoding = WWR_UTF8;
    memcpy(draft->bytes, text.data, len);
  }
  draft->payload.data = (struct wwr_view){draft->bytes, len};
  return true;
}

/* Fill in the draft; NULL, or what is wrong. */
static const char *draft_read(struct draft *draft, const json_t *body) {
  const json_t *payload = json_object_get(body, "payload");
  const json_t *encoding = json_object_get(body, "encoding");
  const json_t *name = json_object_get(body, "name");
  const char *kind = encoding ? json_string_value(encoding) : "utf8";
  if (!json_is_string(payload)) return "payload: must be a text";
  if (!kind || (strcmp(kind, "utf8") != 0 && strcmp(kind, "utf16") != 0 &&
                strcmp(kind, "binary") != 0)) {
    return "encoding: must be binary, utf8 or utf16";
  }
  if (name && !json_is_string(name)) return "name: must be a text";
  if (name) {
    draft->name = (struct wwr_view){(const uint8_t *)json_string_value(name),
                                    json_string_length(name)};
  }
  if (draft_payload(draft, payload, kind)) return NULL;
  return draft->bytes ? "payload: is no base64" : "out of memory";
}

static void publish(struct wwri_ask *ask, const struct draft *draft) {
  struct wwr_view channel = ask->parts[3];
  struct wwri_call *call = wwri_call_new(ask, published);
  if (!call) return;
  wwri_call_begun(
      call, wwr_server_publish(ask->admin->opts.server, channel,
                               draft->name.data ? draft->name : channel,
                               &draft->payload, NULL, on_published, call));
}

void wwri_api_publish(struct wwri_ask *ask) {
  static const char *const names[] = {"payload", "encoding", "name", NULL};
  struct draft draft = {.bytes = NULL};
  json_t *body = wwri_ask_object(ask, names);
  if (!body) return;
  const char *wrong = draft_read(&draft, body);
  if (wrong) {
    wwri_answer_error(ask, 400, NULL, wrong);
  } else {
    publish(ask, &draft);
  }
  free(draft.bytes);
  json_decref(body);
}
