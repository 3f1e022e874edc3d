/* A session that was read prints to JSON that reads as the same session, and
 * its fields can be asked for whatever its info holds. */
#include <string.h>

#include "fuzz.h"
#include "session.h"

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static void is_same(const struct wwr_session *a, const struct wwr_session *b) {
  fuzz_check(same_text(wwr_session_key(a), wwr_session_key(b)));
  fuzz_check(same_text(wwr_session_info(a), wwr_session_info(b)));
  fuzz_check(wwr_session_created(a) == wwr_session_created(b));
  fuzz_check(wwr_session_last_lookup(a) == wwr_session_last_lookup(b));
}

static struct wwr_session *reread(const struct wwr_session *session,
                                  bool with_key) {
  char *json = NULL;
  size_t len = 0;
  struct wwr_session *again = NULL;
  struct wwr_view key = wwr_view_str(wwr_session_key(session));
  if (with_key) key = (struct wwr_view){0};
  fuzz_check(wwri_session_encode(session, with_key, &json, &len) == WWR_OK);
  fuzz_check(strlen(json) == len);
  struct wwr_view view = {(const uint8_t *)json, len};
  fuzz_check(wwri_session_decode(view, key, &again) == WWR_OK);
  free(json);
  return again;
}

static void fields_answer(const struct wwr_session *session) {
  static const char *const names[] = {"a", "", "nested", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *json = NULL, *text = NULL;
    wwr_err err = wwr_session_field(session, names[i], &json);
    fuzz_check((err == WWR_OK) == (json != NULL));
    err = wwr_session_field_text(session, names[i], &text);
    fuzz_check((err == WWR_OK) == (text != NULL));
    fuzz_check(!text || (json && json[0] == '"'));
    wwr_free(json);
    wwr_free(text);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwr_session *session = NULL;
  struct wwr_view none = {0};
  wwr_err err =
      wwri_session_decode((struct wwr_view){data, size}, none, &session);
  fuzz_check(err == WWR_OK || err == WWR_E_INVALID);
  if (err != WWR_OK) return 0;
  for (int with_key = 0; with_key < 2; with_key++) {
    struct wwr_session *again = reread(session, with_key);
    is_same(session, again);
    wwr_session_unref(again);
  }
  fields_answer(session);
  wwr_session_unref(session);
  return 0;
}
