#include "site.h"

#include <string.h>

/* The page needs nothing from anywhere else, and is nobody's frame. */
static const char *const headers[][2] = {
    {"Cache-Control", "no-cache"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; "
     "img-src 'self'; connect-src 'self'; base-uri 'none'; "
     "form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

static const struct site_file *find(const char *path) {
  for (size_t i = 0; i < site_file_count; i++) {
    if (strcmp(site_files[i].path, path) == 0) return &site_files[i];
  }
  return NULL;
}

/* RFC 9110, 13.1.2: a list of tags in quotes, a W/ before each does not matter;
 * or an asterisk. */
static bool has_it(const struct wwr_http *http, const char *etag) {
  const char *tags = wwr_http_header(http, "If-None-Match");
  return tags && (strstr(tags, etag) || strcmp(tags, "*") == 0);
}

static wwr_err respond_text(struct wwr_http *http, int status,
                            const char *text) {
  return wwr_http_respond(http, status, "text/plain; charset=utf-8",
                          wwr_view_str(text));
}

static wwr_err choose(struct wwr_http *http) {
  const struct site_file *file = find(wwr_http_path(http));
  const char *method = wwr_http_method(http);
  if (!file) return respond_text(http, 404, "there is no such page\n");
  if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
    wwr_err err = wwr_http_add_header(http, "Allow", "GET, HEAD, OPTIONS");
    return err ? err : respond_text(http, 405, "this can only be read\n");
  }
  wwr_err err = wwr_http_add_header(http, "ETag", file->etag);
  if (err != WWR_OK) return err;
  const struct wwr_view body = {file->bytes, file->len};
  return has_it(http, file->etag)
             ? wwr_http_respond(http, 304, NULL, wwr_view_str(""))
             : wwr_http_respond(http, 200, file->type, body);
}

void site_answer(struct wwr_http *http) {
  wwr_err err = choose(http);
  for (size_t i = 0; !err && i < sizeof headers / sizeof *headers; i++) {
    err = wwr_http_add_header(http, headers[i][0], headers[i][1]);
  }
  /* Without memory: a page without its policy is not to be shown. */
  if (err) (void)wwr_http_respond(http, 503, NULL, wwr_view_str(""));
}
