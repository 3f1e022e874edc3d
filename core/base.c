#include "wwr_base.h"

#include <stdlib.h>
#include <string.h>

struct wwr_view wwr_view_str(const char *text) {
  struct wwr_view view = {(const uint8_t *)text, text ? strlen(text) : 0};
  return view;
}

bool wwr_view_equal(struct wwr_view a, struct wwr_view b) {
  /* memcmp() must not see NULL, not even for no bytes. */
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void wwr_free(void *memory) {
  free(memory);
}

const char *wwr_version(void) {
  return WWR_VERSION;
}
