/* Happy path: the payload is JSON with a name and a password that belong
 * together -> a session {"username":NAME} is created, of which the client is
 * told -> when it is stored, the reply is its key.
 *
 * Failure modes, in the order they are looked for: DECODING_FAILURE (no JSON
 * object, members of the wrong type), INEXISTENT_USER (missing members and null
 * too, also for the object, as the first server of this kind decoded them),
 * WRONG_PASSWORD, SESSION_ACTIVE.
 *
 * Signing out closes the session wherever it is, each of its connections is
 * told, and then the reply is empty, as it is without a session. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "room.h"

/* --- Coming --------------------------------------------------------------- */

/* The session is stored, or at least active: the reply is its key. */
static void on_created(struct wwr_conn *conn, wwr_err err, void *user_data) {
  struct wwr_request *request = user_data;
  struct wwr_session *session = err ? NULL : wwr_conn_session(conn);
  if (!session) {
    wwr_request_fail_internal(request, "the session is gone already");
    return;
  }
  const char *key = wwr_session_key(session);
  const struct wwr_payload reply = wwr_payload_binary(key, strlen(key));
  wwr_request_reply(request, &reply);
  wwr_session_unref(session);
}

static void log_in(struct wwr_conn *conn, struct wwr_request *request,
                   json_t *name) {
  json_t *info = json_pack("{sO}", "username", name);
  char *text = info ? json_dumps(info, JSON_COMPACT) : NULL;
  wwr_err err = WWR_E_NOMEM;
  if (text) err = wwr_conn_create_session(conn, text, on_created, request);
  if (err == WWR_E_SESSION_ACTIVE) {
    wwr_request_fail(request, "SESSION_ACTIVE", "you are logged in already");
  } else if (err != WWR_OK) {
    wwr_request_fail_internal(request, wwr_err_text(err));
  }
  free(text);
  json_decref(info);
}

/* A member, NULL when it is missing or null. */
static json_t *member(const json_t *object, const char *name) {
  json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

static bool is_text_or_missing(const json_t *value) {
  return !value || json_is_string(value);
}

static void check(const struct room *room, struct wwr_conn *conn,
                  struct wwr_request *request, const json_t *credentials) {
  json_t *name = member(credentials, "name");
  json_t *pass = member(credentials, "pass");
  if (!(json_is_object(credentials) || json_is_null(credentials)) ||
      !is_text_or_missing(name) || !is_text_or_missing(pass)) {
    wwr_request_fail(request, "DECODING_FAILURE",
                     "expected {\"name\":\"...\",\"pass\":\"...\"}");
    return;
  }
  enum account_verdict verdict = ACCOUNT_UNKNOWN;
  if (name && pass) {
    verdict = accounts_check(&room->accounts, json_string_value(name),
                             json_string_length(name), json_string_value(pass),
                             json_string_length(pass));
  }
  if (verdict == ACCOUNT_UNKNOWN) {
    wwr_request_fail(request, "INEXISTENT_USER", "no such user");
  } else if (verdict == ACCOUNT_WRONG_PASSWORD) {
    wwr_request_fail(request, "WRONG_PASSWORD", "the password is wrong");
  } else {
    log_in(conn, request, name);
  }
}

void room_auth(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload) {
  char *text;
  size_t len;
  wwr_err err = wwr_payload_to_utf8(payload, &text, &len);
  if (err != WWR_OK) {
    wwr_request_fail_internal(request, wwr_err_text(err));
    return;
  }
  json_t *credentials = json_loadb(
      text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL,
      NULL);
  check(room, conn, request, credentials);
  json_decref(credentials);
  wwr_free(text);
}

/* --- Going ---------------------------------------------------------------- */

static void on_signed_out(const struct wwr_close_result *results, size_t count,
                          void *user_data) {
  struct wwr_request *request = user_data;
  wwr_err err = count > 0 ? results[count - 1].err : WWR_OK;
  if (err == WWR_OK) {
    wwr_request_reply(request, NULL);
  } else if (err == WWR_E_UNAVAILABLE) {
    wwr_request_fail(
        request, "UNAVAILABLE",
        "signed out here; other nodes follow when they can be reached");
  } else {
    wwr_request_fail_internal(request, wwr_err_text(err));
  }
}

void room_sign_out(const struct room *room, struct wwr_conn *conn,
                   struct wwr_request *request) {
  struct wwr_session *session = wwr_conn_session(conn);
  if (!session) {
    wwr_request_reply(request, NULL);
    return;
  }
  wwr_err err = wwr_server_close_session(room->server,
                                         wwr_view_str(wwr_session_key(session)),
                                         on_signed_out, request);
  wwr_session_unref(session);
  if (err != WWR_OK) room_fail(request, err, true);
}
