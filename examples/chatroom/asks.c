/* Happy path: the question goes to the cluster -> its answer, on an I/O thread,
 * becomes JSON objects -> as many of them as one message holds are the reply.
 *
 * Failure modes: a count that is none (BAD_REQUEST); a cluster that can't be
 * asked (UNAVAILABLE). */
#include <jansson.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "room.h"

enum { REPLY_HEAD_BYTES = 9 };

/* An open question. */
struct ask {
  const struct room *room;
  struct wwr_request *request;
};

static struct ask *ask_new(const struct room *room,
                           struct wwr_request *request) {
  struct ask *ask = malloc(sizeof *ask);
  if (ask) {
    *ask = (struct ask){room, request};
  } else {
    wwr_request_fail_internal(request, wwr_err_text(WWR_E_NOMEM));
  }
  return ask;
}

/* It was not asked. */
static void give_up(struct ask *ask, wwr_err err) {
  room_fail(ask->request, err, true);
  free(ask);
}

/* --- Replies -------------------------------------------------------------- */

/* Objects as text, up to `cap` of them. */
struct objects {
  char **texts;
  size_t count;
};

/* Takes the object over; null is nothing to add. False without memory. */
static bool add(struct objects *objects, json_t *object) {
  if (json_is_null(object)) return true;
  char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  if (text) objects->texts[objects->count++] = text;
  return text != NULL;
}

static size_t text_size(const struct objects *objects) {
  size_t size = objects->count > 0 ? 1 : 2; /* brackets, commas between */
  for (size_t i = 0; i < objects->count; i++) {
    size += strlen(objects->texts[i]) + 1;
  }
  return size;
}

/* Remove the first that are too many for `max` bytes. */
static void shrink(struct objects *objects, size_t max) {
  size_t size = text_size(objects), gone = 0;
  while (size > max && gone < objects->count) {
    size -= strlen(objects->texts[gone]) + 1;
    free(objects->texts[gone++]);
  }
  objects->count -= gone;
  memmove(objects->texts, objects->texts + gone,
          objects->count * sizeof *objects->texts);
}

static char *join(const struct objects *objects) {
  char *text = malloc(text_size(objects) + 1), *at = text;
  if (!text) return NULL;
  *at++ = '[';
  for (size_t i = 0; i < objects->count; i++) {
    size_t len = strlen(objects->texts[i]);
    if (i > 0) *at++ = ',';
    memcpy(at, objects->texts[i], len);
    at += len;
  }
  *at++ = ']';
  *at = '\0';
  return text;
}

/* Answer with them, or with an internal error when they are not complete. */
static void reply(struct ask *ask, struct objects *objects, bool complete) {
  shrink(objects, ask->room->message_buffer - REPLY_HEAD_BYTES);
  char *text = complete ? join(objects) : NULL;
  if (text) {
    const struct wwr_payload payload = wwr_payload_text(text);
    wwr_request_reply(ask->request, &payload);
  } else {
    wwr_request_fail_internal(ask->request, wwr_err_text(WWR_E_NOMEM));
  }
  for (size_t i = 0; i < objects->count; i++) free(objects->texts[i]);
  free(objects->texts);
  free(text);
  free(ask);
}

/* --- History -------------------------------------------------------------- */

/* RFC 3339 in UTC, with milliseconds. */
static void print_time(uint64_t time_ms, char *out, size_t cap) {
  struct tm utc;
  time_t seconds = (time_t)(time_ms / 1000);
  size_t len = 0;
  if (gmtime_r(&seconds, &utc)) len = strftime(out, cap, "%FT%T", &utc);
  snprintf(out + len, cap - len, ".%03uZ", (unsigned)(time_ms % 1000));
}

/* What was said, with its time and id; NULL without memory, null when somebody
 * else's program said it. */
static json_t *said(const struct wwr_channel_message *message) {
  char when[48], id[48];
  json_error_t error;
  const struct wwr_view text = message->payload.data;
  json_t *object =
      json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &error);
  if (!object && json_error_code(&error) != json_error_out_of_memory)
    return json_null();
  print_time(message->time_ms, when, sizeof when);
  snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, message->id.epoch,
           message->id.offset);
  if (json_object_set_new(object, "time", json_string(when)) == 0 &&
      json_object_set_new(object, "id", json_string(id)) == 0)
    return object;
  json_decref(object);
  return NULL;
}

static void on_history(wwr_err err, const struct wwr_channel_message *messages,
                       size_t count, void *user_data) {
  struct ask *ask = user_data;
  if (err != WWR_OK) {
    give_up(ask, err);
    return;
  }
  struct objects objects = {calloc(count + 1, sizeof *objects.texts), 0};
  bool complete = objects.texts != NULL;
  for (size_t i = 0; complete && i < count; i++) {
    complete = add(&objects, said(&messages[i]));
  }
  reply(ask, &objects, complete);
}

/* A decimal number up to ROOM_HISTORY_MAX, or nothing; 0: something else. */
static uint32_t wanted(const struct wwr_payload *payload) {
  char *text;
  size_t len;
  if (payload->data.len == 0) return ROOM_HISTORY_DEFAULT;
  if (wwr_payload_to_utf8(payload, &text, &len) != WWR_OK) return 0;
  bool decimal = len <= 3 && strspn(text, "0123456789") == len;
  unsigned long count = decimal ? strtoul(text, NULL, 10) : 0;
  wwr_free(text);
  return count <= ROOM_HISTORY_MAX ? (uint32_t)count : 0;
}

void room_history(const struct room *room, struct wwr_request *request,
                  const struct wwr_payload *payload) {
  uint32_t count = wanted(payload);
  if (count == 0) {
    wwr_request_fail(request, "BAD_REQUEST",
                     "expected a number of messages from 1 to 256, or nothing");
    return;
  }
  struct ask *ask = ask_new(room, request);
  if (!ask) return;
  wwr_err err = wwr_server_history(room->server, wwr_view_str(ROOM_CHANNEL),
                                   count, on_history, ask);
  if (err != WWR_OK) give_up(ask, err);
}

/* --- Who is here ---------------------------------------------------------- */

static json_t *present(const struct wwr_member *member) {
  const char *name = (const char *)member->name.data;
  bool anonymous = member->name.len == 0;
  return json_pack("{s:s%, s:I}", "user", anonymous ? "Anonymous" : name,
                   anonymous ? strlen("Anonymous") : member->name.len,
                   "connections", (json_int_t)member->connections);
}

static void on_presence(wwr_err err, const struct wwr_member *members,
                        size_t count, void *user_data) {
  struct ask *ask = user_data;
  if (err != WWR_OK) {
    give_up(ask, err);
    return;
  }
  struct objects objects = {calloc(count + 1, sizeof *objects.texts), 0};
  bool complete = objects.texts != NULL;
  for (size_t i = 0; complete && i < count; i++) {
    complete = add(&objects, present(&members[i]));
  }
  reply(ask, &objects, complete);
}

void room_who(const struct room *room, struct wwr_request *request) {
  struct ask *ask = ask_new(room, request);
  if (!ask) return;
  wwr_err err = wwr_server_presence(room->server, wwr_view_str(ROOM_CHANNEL),
                                    on_presence, ask);
  if (err != WWR_OK) give_up(ask, err);
}
