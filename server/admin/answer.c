/* Answers and what they are made of: JSON in the API, lines of text for
 * probes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "text.h"

/* --- Answers -------------------------------------------------------------- */

void wwri_answer_take(struct wwri_ask *ask, int status, const char *type,
                      char *text, size_t len) {
  if (!text) {
    wwri_answer_text(ask, 503, "out of memory\n");
    return;
  }
  free(ask->text);
  ask->answered = true;
  ask->status = status;
  ask->type = type;
  ask->text = text;
  ask->text_len = len;
}

void wwri_answer_text(struct wwri_ask *ask, int status, const char *text) {
  free(ask->text);
  ask->answered = true;
  ask->status = status;
  ask->type = "text/plain; charset=utf-8";
  ask->text = strdup(text);
  ask->text_len = strlen(text);
}

void wwri_answer_json(struct wwri_ask *ask, int status, json_t *json) {
  char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  size_t len = text ? strlen(text) : 0;
  char *line = text ? realloc(text, len + 2) : NULL;
  if (!line) {
    free(text);
  } else {
    memcpy(line + len, "\n", 2);
  }
  wwri_answer_take(ask, status, "application/json", line, len + 1);
}

static const char *code_of(int status) {
  switch (status) {
    case 400:
      return "bad-request";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not-found";
    case 405:
      return "method-not-allowed";
    case 413:
      return "too-large";
    case 429:
      return "too-many";
    default:
      return status < 500 ? "conflict" : "unavailable";
  }
}

void wwri_answer_error(struct wwri_ask *ask, int status, const char *code,
                       const char *message) {
  if (ask->route && ask->route->json) {
    wwri_answer_json(
        ask, status,
        json_pack("{s:{s:s, s:s}}", "error", "code",
                  code ? code : code_of(status), "message", message));
    return;
  }
  char line[256];
  snprintf(line, sizeof line, "%s\n", message);
  wwri_answer_text(ask, status, line);
}

static int status_of(wwr_err err) {
  switch (err) {
    case WWR_E_INVALID:
    case WWR_E_PROTOCOL:
      return 400;
    case WWR_E_SESSION_NOT_FOUND:
    case WWR_E_NOT_FOUND:
      return 404;
    case WWR_E_SESSIONS_DISABLED:
    case WWR_E_REFUSED:
      return 409;
    case WWR_E_BUFFER_OVERFLOW:
      return 413;
    case WWR_E_LIMIT:
      return 429;
    default:
      return 503;
  }
}

static const char *code_of_err(wwr_err err) {
  switch (err) {
    case WWR_E_CLOSED:
      return "shutting-down";
    case WWR_E_NOMEM:
      return "out-of-memory";
    case WWR_E_SESSIONS_DISABLED:
      return "sessions-disabled";
    case WWR_E_REFUSED:
      return "refused";
    default:
      return NULL;
  }
}

/* All else that a path or a body says is looked at before. */
static const char *text_of_err(const struct wwri_ask *ask, wwr_err err) {
  if (err == WWR_E_CLOSED) return "the server is not running";
  if (err == WWR_E_INVALID && ask->part_count > 3 &&
      wwr_view_equal(ask->parts[2], wwr_view_str("channels"))) {
    return "no name of a channel: 1 to 200 printable ASCII characters, the "
           "first of them no '!'";
  }
  return wwr_err_text(err);
}

void wwri_answer_err(struct wwri_ask *ask, wwr_err err) {
  wwri_answer_error(ask, status_of(err), code_of_err(err),
                    text_of_err(ask, err));
}

json_t *wwri_json_text(struct wwr_view bytes) {
  if (bytes.len == 0) return json_string("");
  json_t *json = json_stringn((const char *)bytes.data, bytes.len);
  if (json) return json;
  const struct wwr_payload payload = {WWR_UTF8, bytes};
  char *text;
  size_t len;
  if (wwr_payload_to_utf8(&payload, &text, &len) != WWR_OK) return NULL;
  json = json_stringn(text, len);
  wwr_free(text);
  return json;
}

void wwri_json_number(json_t *object, const char *key, uint64_t number) {
  (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

/* --- Parameters ----------------------------------------------------------- */

bool wwri_ask_param(struct wwri_ask *ask, const char *name, char *out,
                    size_t cap, bool *given) {
  char message[128];
  const char *value = wwri_http_param(ask, name);
  size_t len = value ? strlen(value) : 0;
  *out = '\0';
  if (given) *given = value != NULL;
  if (len < cap) {
    memcpy(out, value ? value : "", len + 1);
    if (wwri_percent_decode(out, &len)) return true;
  }
  snprintf(message, sizeof message, "%.32s: malformed or too long", name);
  wwri_answer_error(ask, 400, NULL, message);
  return false;
}

bool wwri_ask_number(struct wwri_ask *ask, const char *name, uint64_t min,
                     uint64_t max, uint64_t fallback, uint64_t *out) {
  char text[64], message[128];
  bool given;
  *out = fallback;
  if (!wwri_ask_param(ask, name, text, sizeof text, &given)) return false;
  if (!given || wwri_parse_number(text, min, max, out)) return true;
  snprintf(message, sizeof message, "%.32s: must be a number from %llu to %llu",
           name, (unsigned long long)min, (unsigned long long)max);
  wwri_answer_error(ask, 400, NULL, message);
  return false;
}

static bool members_known(struct wwri_ask *ask, json_t *object,
                          const char *const *names) {
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    size_t i = 0;
    while (names[i] && strcmp(names[i], key) != 0) i++;
    if (names[i]) continue;
    char message[128];
    snprintf(message, sizeof message, "unknown member '%.64s'", key);
    wwri_answer_error(ask, 400, NULL, message);
    return false;
  }
  return true;
}

json_t *wwri_ask_object(struct wwri_ask *ask, const char *const *names) {
  json_error_t error;
  char message[256];
  json_t *object = ask->body ? json_loadb(ask->body, ask->body_len,
                                          JSON_REJECT_DUPLICATES, &error)
                             : json_object();
  if (!object) {
    snprintf(message, sizeof message, "the body is no JSON: %.160s",
             ask->body ? error.text : "out of memory");
    wwri_answer_error(ask, 400, NULL, message);
    return NULL;
  }
  if (!json_is_object(object)) {
    wwri_answer_error(ask, 400, NULL, "the body is no JSON object");
  } else if (members_known(ask, object, names)) {
    return object;
  }
  json_decref(object);
  return NULL;
}
