/* Happy path: what somebody says becomes a signal with the speaker's name -> it
 * is published to the room -> when it is in the channel's log, the request is
 * answered.
 *
 * "msg" takes any payload as text and is answered empty. As a signal it may
 * exceed the message buffer; then it reaches nobody, which its sender sees by
 * not getting it back. The reply is empty all the same: existing clients know
 * no error of "msg" there.
 *
 * "say" takes {"msg":TEXT,"cid":ID} as JSON to the letter, else BAD_REQUEST. It
 * is answered with the message's id, or fails with TOO_LARGE when it would not
 * fit into a signal, or alone into the reply to "join": those who come later,
 * and a sender who does not know the outcome, find every message there.
 *
 * While the cluster's Redis is away for longer than the hold time both fail
 * with UNAVAILABLE (nobody will ever see it) or UNKNOWN_OUTCOME (it may still
 * appear). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "room.h"

enum { CID_MAX = 64 };

/* What the client chose to know its message by; empty: nothing. */
struct words {
  const char *text;
  size_t len;
  const char *cid;
};

/* {"user":NAME,"msg":TEXT} for who sent the message, with the cid if there is
 * one; NULL without memory. */
static char *signal_of(const struct wwr_conn *conn, const struct words *words) {
  char *user = NULL, *json = NULL;
  json_t *object = NULL;
  wwr_err err = wwr_conn_session_text(conn, "username", &user);
  if (err != WWR_E_NOMEM) {
    object = json_pack("{s:s, s:s%}", "user", user ? user : "Anonymous", "msg",
                       words->text, words->len);
  }
  if (object && (!*words->cid ||
                 !json_object_set_new(object, "cid", json_string(words->cid))))
    json = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  wwr_free(user);
  return json;
}

/* The room keeps the order of what is published: who writes much need not wait
 * for each answer. */
static wwr_err publish(const struct room *room, const char *json,
                       wwr_publish_done done, struct wwr_request *request) {
  const struct wwr_payload signal = wwr_payload_text(json);
  wwr_request_defer(request);
  return wwr_server_publish(room->server, wwr_view_str(ROOM_CHANNEL),
                            wwr_view_str(""), &signal, NULL, done, request);
}

/* --- msg ------------------------------------------------------------------ */

static void on_told(const struct wwr_publish_result *result, void *user_data) {
  struct wwr_request *request = user_data;
  if (result->err == WWR_OK) {
    wwr_request_reply(request, NULL);
  } else {
    room_fail(request, result->err, result->certain);
  }
}

void room_msg(const struct room *room, struct wwr_conn *conn,
              struct wwr_request *request, const struct wwr_payload *payload) {
  struct words words = {.cid = ""};
  char *text = NULL, *json = NULL;
  wwr_err err = WWR_E_NOMEM;
  if (wwr_payload_to_utf8(payload, &text, &words.len) == WWR_OK) {
    words.text = text;
    json = signal_of(conn, &words);
  }
  if (json) err = publish(room, json, on_told, request);
  free(json);
  wwr_free(text);
  if (err == WWR_E_BUFFER_OVERFLOW) {
    wwr_request_reply(request, NULL);
  } else if (err != WWR_OK) {
    room_fail(request, err, true);
  }
}

/* --- say ------------------------------------------------------------------ */

static void on_said(const struct wwr_publish_result *result, void *user_data) {
  struct wwr_request *request = user_data;
  char when[ROOM_TIME_SIZE], id[ROOM_ID_SIZE], json[128];
  struct timespec now;
  if (result->err != WWR_OK) {
    room_fail(request, result->err, result->certain);
    return;
  }
  clock_gettime(CLOCK_REALTIME, &now);
  room_print_time((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                  when);
  room_print_id(result->id, id);
  snprintf(json, sizeof json, "{\"id\":\"%s\",\"time\":\"%s\"}", id, when);
  const struct wwr_payload reply = wwr_payload_text(json);
  wwr_request_reply(request, &reply);
}

static bool is_cid(const char *text, size_t len) {
  if (len < 1 || len > CID_MAX) return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < ' ' || text[i] > '~') return false;
  }
  return true;
}

/* A payload that claims to be UTF-16 is converted, all else is UTF-8 already or
 * is not JSON. NULL: none; without memory `err` says so. */
static json_t *decode(const struct wwr_payload *payload, wwr_err *err) {
  const char *text = (const char *)payload->data.data;
  size_t len = payload->data.len;
  char *converted = NULL;
  json_error_t error;
  if (payload->encoding == WWR_UTF16) {
    *err = wwr_payload_to_utf8(payload, &converted, &len);
    if (*err == WWR_E_PROTOCOL) *err = WWR_OK; /* of odd length: no JSON */
    if (!converted) return NULL;
    text = converted;
  }
  json_t *json = json_loadb(text ? text : "", len,
                            JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  bool memory = !json && json_error_code(&error) == json_error_out_of_memory;
  *err = memory ? WWR_E_NOMEM : WWR_OK;
  wwr_free(converted);
  return json;
}

/* The words borrow from the JSON. */
static bool read_words(json_t *json, struct words *out) {
  size_t cid_len;
  return json &&
         json_unpack_ex(json, NULL, JSON_STRICT, "{s:s%, s:s%}", "msg",
                        &out->text, &out->len, "cid", &out->cid,
                        &cid_len) == 0 &&
         is_cid(out->cid, cid_len);
}

static wwr_err say(const struct room *room, struct wwr_conn *conn,
                   struct wwr_request *request, const struct words *words) {
  char *json = signal_of(conn, words);
  if (!json) return WWR_E_NOMEM;
  wwr_err err = WWR_E_BUFFER_OVERFLOW;
  if (room_fits_history(room, strlen(json)))
    err = publish(room, json, on_said, request);
  free(json);
  return err;
}

void room_say(const struct room *room, struct wwr_conn *conn,
              struct wwr_request *request, const struct wwr_payload *payload) {
  struct words words;
  wwr_err err;
  json_t *json = decode(payload, &err);
  if (err == WWR_OK && !read_words(json, &words)) {
    wwr_request_fail(request, "BAD_REQUEST",
                     "expected {\"msg\":\"...\",\"cid\":\"...\"}, the cid of 1 "
                     "to 64 printable ASCII characters");
  } else {
    if (err == WWR_OK) err = say(room, conn, request, &words);
    if (err == WWR_E_BUFFER_OVERFLOW) {
      wwr_request_fail(request, "TOO_LARGE", "the message is too long");
    } else if (err != WWR_OK) {
      room_fail(request, err, true);
    }
  }
  json_decref(json);
}
