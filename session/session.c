/* session.c - the session object: one immutable block that holds the struct,
 * the key and the info's text. */
#include "session.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "session_make.h"

struct wwr_session {
  atomic_uint refs;
  int64_t created_ns;
  int64_t last_lookup_ns;
  const char *info; /* behind the key in `text`, or NULL */
  char text[];
};

/* Copy the info behind the key. An object without members is no info. */
static void put_info(struct wwr_session *session, struct wwr_view info,
                     char *at) {
  size_t len = wwri_json_compact(info, at);
  at[len] = '\0';
  if (len > strlen("{}")) session->info = at;
}

wwr_err wwri_session_make(struct wwr_session **out, struct wwr_view key,
                          int64_t created_ns, int64_t last_lookup_ns,
                          struct wwr_view info) {
  *out = NULL;
  if (key.len == 0 || memchr(key.data, '\0', key.len)) return WWR_E_INVALID;
  struct wwr_session *session =
      malloc(sizeof *session + key.len + 1 + info.len + 1);
  if (!session) return WWR_E_NOMEM;
  atomic_init(&session->refs, 1);
  session->created_ns = created_ns;
  session->last_lookup_ns = last_lookup_ns;
  session->info = NULL;
  memcpy(session->text, key.data, key.len);
  session->text[key.len] = '\0';
  put_info(session, info, session->text + key.len + 1);
  *out = session;
  return WWR_OK;
}

static wwr_err check_object(struct wwr_view text) {
  json_t *json;
  wwr_err err = wwri_json_load(text, &json);
  if (err != WWR_OK) return err;
  if (!json_is_object(json)) err = WWR_E_INVALID;
  json_decref(json);
  return err;
}

wwr_err wwr_session_new(struct wwr_session **out, struct wwr_view key,
                        int64_t created_ns, int64_t last_lookup_ns,
                        const char *info_json) {
  *out = NULL;
  struct wwr_view info = wwr_view_str(info_json);
  wwr_err err = info_json ? check_object(info) : WWR_OK;
  if (err != WWR_OK) return err;
  return wwri_session_make(out, key, created_ns, last_lookup_ns, info);
}

wwr_err wwri_session_looked_up(const struct wwr_session *session,
                               int64_t now_ns, struct wwr_session **out) {
  return wwri_session_make(out, wwr_view_str(session->text),
                           session->created_ns, now_ns,
                           wwr_view_str(session->info));
}

struct wwr_session *wwr_session_ref(struct wwr_session *session) {
  atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
  return session;
}

void wwr_session_unref(struct wwr_session *session) {
  if (!session) return;
  unsigned before =
      atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel);
  assert(before > 0);
  if (before == 1) free(session);
}

const char *wwr_session_key(const struct wwr_session *session) {
  return session->text;
}

int64_t wwr_session_created(const struct wwr_session *session) {
  return session->created_ns;
}

int64_t wwr_session_last_lookup(const struct wwr_session *session) {
  return session->last_lookup_ns;
}

const char *wwr_session_info(const struct wwr_session *session) {
  return session->info;
}

static wwr_err find_field(const struct wwr_session *session, const char *name,
                          struct wwr_view *value) {
  if (!session->info) return WWR_E_INVALID;
  return wwri_json_member(wwr_view_str(session->info), wwr_view_str(name),
                          value);
}

static wwr_err copy_out(const void *data, size_t len, char **out) {
  char *copy = malloc(len + 1);
  if (!copy) return WWR_E_NOMEM;
  memcpy(copy, data, len);
  copy[len] = '\0';
  *out = copy;
  return WWR_OK;
}

wwr_err wwr_session_field(const struct wwr_session *session, const char *name,
                          char **out) {
  *out = NULL;
  struct wwr_view value;
  wwr_err err = find_field(session, name, &value);
  if (err != WWR_OK) return err;
  return copy_out(value.data, value.len, out);
}

wwr_err wwr_session_field_text(const struct wwr_session *session,
                               const char *name, char **out) {
  *out = NULL;
  struct wwr_view value;
  wwr_err err = find_field(session, name, &value);
  if (err != WWR_OK) return err;
  json_t *json;
  err = wwri_json_load(value, &json);
  if (err != WWR_OK) return err;
  const char *text = json_string_value(json);
  size_t len = json_string_length(json);
  if (!text || memchr(text, '\0', len)) {
    err = WWR_E_INVALID;
  } else {
    err = copy_out(text, len, out);
  }
  json_decref(json);
  return err;
}
