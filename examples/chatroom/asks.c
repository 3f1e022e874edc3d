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

#define JOIN_HEAD "{\"node\":%s,\"history\":"
#define JOIN_TAIL "}"
#define LONGEST_HISTORY_EXTRAS              \
  ",\"time\":\"2026-01-01T00:00:00.000Z\"," \
  "\"id\":\"18446744073709551615-18446744073709551615\""
enum { REPLY_HEAD_BYTES = 9, NODE_NAME_MAX = 64 };

/* An open question. */
struct ask {
  const struct room *room;
  struct wwr_request *request;
  const char *head, *tail; /* of the answer, around the list */
};

static struct ask *ask_new(const struct room *room,
                           struct wwr_request *request) {
  struct ask *ask = malloc(sizeof *ask);
  if (ask) {
    *ask = (struct ask){room, request, "", ""};
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
  if (size <= max) return;
  while (size > max && gone < objects->count) {
    size -= strlen(objects->texts[gone]) + 1;
    free(objects->texts[gone++]);
  }
  objects->count -= gone;
  memmove(objects->texts, objects->texts + gone,
          objects->count * sizeof *objects->texts);
}

static char *put(char *at, const char *text) {
  size_t len = strlen(text);
  memcpy(at, text, len);
  return at + len;
}

static char *print(const struct ask *ask, const struct objects *objects) {
  size_t around = strlen(ask->head) + strlen(ask->tail);
  char *text = malloc(around + text_size(objects) + 1);
  if (!text) return NULL;
  char *at = put(put(text, ask->head), "[");
  for (size_t i = 0; i < objects->count; i++) {
    if (i > 0) *at++ = ',';
    at = put(at, objects->texts[i]);
  }
  at = put(put(at, "]"), ask->tail);
  *at = '\0';
  return text;
}

/* Answer with them, or with an internal error when they are not complete. */
static void reply(struct ask *ask, struct objects *objects, bool complete) {
  size_t around = REPLY_HEAD_BYTES + strlen(ask->head) + strlen(ask->tail);
  size_t max = ask->room->message_buffer;
  shrink(objects, max > around ? max - around : 0);
  char *text = complete ? print(ask, objects) : NULL;
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

void room_print_time(uint64_t time_ms, char out[ROOM_TIME_SIZE]) {
  struct tm utc;
  time_t seconds = (time_t)(time_ms / 1000);
  size_t len = 0;
  if (gmtime_r(&seconds, &utc))
    len = strftime(out, ROOM_TIME_SIZE, "%FT%T", &utc);
  snprintf(out + len, ROOM_TIME_SIZE - len, ".%03uZ",
           (unsigned)(time_ms % 1000));
}

void room_print_id(struct wwr_channel_id id, char out[ROOM_ID_SIZE]) {
  snprintf(out, ROOM_ID_SIZE, "%" PRIu64 "-%" PRIu64, id.epoch, id.offset);
}

/* What was said, with its time and id; NULL without memory, null when somebody
 * else's program said it. */
static json_t *said(const struct wwr_channel_message *message) {
  char when[ROOM_TIME_SIZE], id[ROOM_ID_SIZE];
  json_error_t error;
  const struct wwr_view text = message->payload.data;
  json_t *object =
      json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &error);
  if (!object && json_error_code(&error) != json_error_out_of_memory)
    return json_null();
  room_print_time(message->time_ms, when);
  room_print_id(message->id, id);
  if (json_object_set_new(object, "time", json_string(when)) == 0 &&
      json_object_set_new(object, "id", json_string(id)) == 0)
    return object;
  json_decref(object);
  return NULL;
}

static void reply_history(struct ask *ask, wwr_err err,
                          const struct wwr_channel_message *messages,
                          size_t count) {
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

static void on_history(wwr_err err, const struct wwr_channel_message *messages,
                       size_t count, void *user_data) {
  reply_history(user_data, err, messages, count);
}

/* Messages that follow queue behind this reply. */
static void on_joined(struct wwr_conn *conn, wwr_err err,
                      const struct wwr_channel_message *messages, size_t count,
                      void *user_data) {
  (void)conn;
  reply_history(user_data, err, messages, count);
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

/* The same, else the request is answered and it is 0. */
static uint32_t wanted_or_fail(struct wwr_request *request,
                               const struct wwr_payload *payload) {
  uint32_t count = wanted(payload);
  if (count == 0) {
    wwr_request_fail(request, "BAD_REQUEST",
                     "expected a number of messages from 1 to 256, or nothing");
  }
  return count;
}

void room_history(const struct room *room, struct wwr_request *request,
                  const struct wwr_payload *payload) {
  uint32_t count = wanted_or_fail(request, payload);
  struct ask *ask = count ? ask_new(room, request) : NULL;
  if (!ask) return;
  wwr_err err = wwr_server_history(room->server, wwr_view_str(ROOM_CHANNEL),
                                   count, on_history, ask);
  if (err != WWR_OK) give_up(ask, err);
}

void room_join(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload) {
  uint32_t count = wanted_or_fail(request, payload);
  struct ask *ask = count ? ask_new(room, request) : NULL;
  if (!ask) return;
  ask->head = room->join_head;
  ask->tail = JOIN_TAIL;
  wwr_err err = wwr_conn_subscribe(conn, wwr_view_str(ROOM_CHANNEL), count,
                                   on_joined, ask);
  if (err != WWR_OK) give_up(ask, err);
}

bool room_fits_history(const struct room *room, size_t len) {
  /* Other nodes have other names. */
  size_t around = REPLY_HEAD_BYTES + NODE_NAME_MAX +
                  strlen(JOIN_HEAD "[]" JOIN_TAIL LONGEST_HISTORY_EXTRAS);
  return len + around <= room->message_buffer;
}

bool room_asks_init(struct room *room) {
  json_t *name = json_string(wwr_server_node_name(room->server));
  char *text = json_dumps(name, JSON_ENCODE_ANY); /* NULL: not UTF-8 */
  const char *node = text ? text : "\"\"";
  size_t cap = sizeof JOIN_HEAD + strlen(node);
  room->join_head = malloc(cap);
  if (room->join_head) snprintf(room->join_head, cap, JOIN_HEAD, node);
  free(text);
  json_decref(name);
  return room->join_head != NULL;
}

void room_asks_deinit(struct room *room) {
  free(room->join_head);
  room->join_head = NULL;
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
