#include "display.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "terminal.h"

void display_notice(const char *what, const char *more) {
  flockfile(stderr); /* hooks and the main thread print */
  fprintf(stderr, "* %s%s", what, more ? ": " : "");
  if (more) wwr_print_harmless(stderr, more, strlen(more));
  fputc('\n', stderr);
  funlockfile(stderr);
}

static void print_message(const json_t *user, const json_t *text) {
  if (!json_is_string(user) || !json_is_string(text)) return;
  flockfile(stdout);
  wwr_print_harmless(stdout, json_string_value(user), json_string_length(user));
  fputs(": ", stdout);
  wwr_print_harmless(stdout, json_string_value(text), json_string_length(text));
  fputc('\n', stdout);
  fflush(stdout);
  funlockfile(stdout);
}

static void on_signal(const struct wwr_message *message, void *user_data) {
  (void)user_data;
  const struct wwr_view data = message->payload.data;
  json_t *json =
      json_loadb((const char *)data.data, data.len, JSON_ALLOW_NUL, NULL);
  print_message(json_object_get(json, "user"), json_object_get(json, "msg"));
  json_decref(json);
}

/* --- Replies -------------------------------------------------------------- */

static void print_text(const json_t *text) {
  if (!json_is_string(text)) return;
  wwr_print_harmless(stderr, json_string_value(text), json_string_length(text));
}

void display_history(struct wwr_view json) {
  size_t i;
  json_t *entry;
  json_t *list =
      json_loadb((const char *)json.data, json.len, JSON_ALLOW_NUL, NULL);
  flockfile(stderr);
  json_array_foreach(list, i, entry) {
    fputs("* ", stderr);
    print_text(json_object_get(entry, "time"));
    fputc(' ', stderr);
    print_text(json_object_get(entry, "user"));
    fputs(": ", stderr);
    print_text(json_object_get(entry, "msg"));
    fputc('\n', stderr);
  }
  funlockfile(stderr);
  json_decref(list);
}

void display_who(struct wwr_view json) {
  size_t i;
  json_t *entry;
  json_t *list =
      json_loadb((const char *)json.data, json.len, JSON_ALLOW_NUL, NULL);
  flockfile(stderr);
  fputs("* here:", stderr);
  json_array_foreach(list, i, entry) {
    fputs(i > 0 ? ", " : " ", stderr);
    print_text(json_object_get(entry, "user"));
    fprintf(
        stderr, " (%lld)",
        (long long)json_integer_value(json_object_get(entry, "connections")));
  }
  fputc('\n', stderr);
  funlockfile(stderr);
  json_decref(list);
}

/* --- Hooks ---------------------------------------------------------------- */

static void on_disconnected(wwr_err reason, void *user_data) {
  (void)user_data;
  display_notice("disconnected", reason ? wwr_err_text(reason) : NULL);
}

static void on_session_created(struct wwr_session *session, void *user_data) {
  (void)user_data;
  char *name = NULL;
  if (wwr_session_field_text(session, "username", &name) != WWR_OK) return;
  display_notice("logged in as", name);
  wwr_free(name);
}

static void on_session_closed(void *user_data) {
  (void)user_data;
  display_notice("logged out", NULL);
}

void display_hooks(struct wwr_client_opts *opts) {
  opts->hooks =
      (struct wwr_client_hooks){.on_signal = on_signal,
                                .on_disconnected = on_disconnected,
                                .on_session_created = on_session_created,
                                .on_session_closed = on_session_closed};
}
