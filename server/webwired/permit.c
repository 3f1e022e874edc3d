#include "permit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFO "info:"

/* --- Parsing -------------------------------------------------------------- */

static const struct {
  const char *text;
  enum permit_kind kind;
} words[] = {{"everyone", PERMIT_EVERYONE},
             {"session", PERMIT_SESSION},
             {"nobody", PERMIT_NOBODY}};

/* Its kind without info, or -1. */
static int kind_of(const char *text) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcmp(words[i].text, text) == 0) return (int)words[i].kind;
  }
  return -1;
}

static bool has_empty_value(const char *values) {
  size_t len = strlen(values);
  return len == 0 || values[0] == ',' || values[len - 1] == ',' ||
         strstr(values, ",,");
}

bool permit_check(const char *text, char reason[PERMIT_REASON_MAX]) {
  if (kind_of(text) >= 0) return true;
  const char *field = text + strlen(INFO);
  const char *missing = NULL;
  if (strncmp(text, INFO, strlen(INFO)) != 0) {
    snprintf(reason, PERMIT_REASON_MAX,
             "'%.64s' is none of everyone, session, nobody, "
             "info:FIELD=VALUE[,VALUE...], info:FIELD",
             text);
    return false;
  }
  if (*field == '\0' || *field == '=') missing = "field";
  const char *equals = strchr(field, '=');
  if (!missing && equals && has_empty_value(equals + 1)) missing = "value";
  if (!missing) return true;
  snprintf(reason, PERMIT_REASON_MAX, "'%.64s' has an empty %s", text, missing);
  return false;
}

static bool split(struct permit *permit, char *values) {
  size_t count = 1;
  for (const char *at = values; *at; at++) count += *at == ',';
  permit->values = calloc(count, sizeof *permit->values);
  if (!permit->values) return false;
  char *rest = NULL;
  for (char *value = strtok_r(values, ",", &rest); value;
       value = strtok_r(NULL, ",", &rest))
    permit->values[permit->count++] = value;
  return true;
}

bool permit_init(struct permit *out, const char *text) {
  *out = (struct permit){.kind = PERMIT_NOBODY};
  int kind = kind_of(text);
  if (kind >= 0) {
    out->kind = (enum permit_kind)kind;
    return true;
  }
  out->text = strdup(text + strlen(INFO));
  if (!out->text) return false;
  out->field = out->text;
  char *equals = strchr(out->text, '=');
  out->kind = equals ? PERMIT_VALUES : PERMIT_CHANNELS;
  if (!equals) return true;
  *equals = '\0';
  return split(out, equals + 1);
}

void permit_deinit(struct permit *permit) {
  free(permit->text);
  free(permit->values);
  *permit = (struct permit){.kind = PERMIT_NOBODY};
}

bool permit_needs_field(const struct permit *permit) {
  return permit->kind == PERMIT_VALUES || permit->kind == PERMIT_CHANNELS;
}

/* --- Deciding ------------------------------------------------------------- */

static bool is_value(const struct permit *permit, const json_t *one) {
  char number[32];
  const char *text = json_string_value(one);
  /* A NUL in it is no end. */
  if (text && strlen(text) != json_string_length(one)) return false;
  if (json_is_integer(one)) {
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(one));
    text = number;
  } else if (json_is_boolean(one)) {
    text = json_is_true(one) ? "true" : "false";
  }
  for (size_t i = 0; text && i < permit->count; i++) {
    if (strcmp(permit->values[i], text) == 0) return true;
  }
  return false;
}

static bool names_channel(const json_t *one, struct wwr_view channel) {
  const char *text = json_string_value(one);
  size_t len = json_string_length(one);
  if (!text || len == 0) return false;
  if (text[len - 1] == '*') {
    len--;
    return channel.len >= len && memcmp(channel.data, text, len) == 0;
  }
  return channel.len == len && memcmp(channel.data, text, len) == 0;
}

static bool fits(const struct permit *permit, const json_t *one,
                 struct wwr_view channel) {
  return permit->kind == PERMIT_VALUES ? is_value(permit, one)
                                       : names_channel(one, channel);
}

/* The field itself, or one of the list that it is. */
static bool any_fits(const struct permit *permit, const json_t *field,
                     struct wwr_view channel) {
  if (!json_is_array(field)) return fits(permit, field, channel);
  for (size_t i = 0; i < json_array_size(field); i++) {
    if (fits(permit, json_array_get(field, i), channel)) return true;
  }
  return false;
}

static enum permit_verdict by_info(const struct permit *permit,
                                   const char *field_json,
                                   struct wwr_view channel) {
  json_error_t error;
  if (!field_json) return PERMIT_NO;
  json_t *field =
      json_loads(field_json, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (!field) {
    bool memory = json_error_code(&error) == json_error_out_of_memory;
    return memory ? PERMIT_FAILED : PERMIT_NO;
  }
  bool good = any_fits(permit, field, channel);
  json_decref(field);
  return good ? PERMIT_YES : PERMIT_NO;
}

enum permit_verdict permit_decide(const struct permit *permit, bool session,
                                  const char *field_json,
                                  struct wwr_view channel) {
  switch (permit->kind) {
    case PERMIT_EVERYONE:
      return PERMIT_YES;
    case PERMIT_NOBODY:
      return PERMIT_NO;
    case PERMIT_SESSION:
      return session ? PERMIT_YES : PERMIT_SIGN_IN;
    case PERMIT_VALUES:
    case PERMIT_CHANNELS:
      break;
  }
  if (!session) return PERMIT_SIGN_IN;
  return by_info(permit, field_json, channel);
}
