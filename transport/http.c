#include "http.h"

#include <stdlib.h>
#include <string.h>

const char *wwr_http_method(const struct wwr_http *http) {
  return http->method;
}

const char *wwr_http_path(const struct wwr_http *http) {
  return http->path;
}

const char *wwr_http_query(const struct wwr_http *http) {
  return http->query;
}

const char *wwr_http_remote(const struct wwr_http *http) {
  return http->remote;
}

const char *wwr_http_header(const struct wwr_http *http, const char *name) {
  return http->find_header ? http->find_header(http, name) : NULL;
}

/* The answer */

/* What may stand in a header's value: nothing that could end the line. */
static bool is_value(const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

/* RFC 9110's token. */
static bool is_name(const char *text) {
  static const char allowed[] =
      "!#$%&'*+-.^_`|~0123456789"
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return *text && text[strspn(text, allowed)] == '\0';
}

static void drop_answer(struct wwr_http *http) {
  free(http->content_type);
  free(http->body);
  http->content_type = NULL;
  http->body = NULL;
  http->body_len = 0;
}

wwr_err wwr_http_respond(struct wwr_http *http, int status,
                         const char *content_type, struct wwr_view body) {
  if (status < 200 || status > 599) return WWR_E_INVALID;
  if (content_type && !is_value(content_type)) return WWR_E_INVALID;
  char *type = content_type ? strdup(content_type) : NULL;
  uint8_t *bytes = body.len ? malloc(body.len) : NULL;
  if ((content_type && !type) || (body.len && !bytes)) {
    free(type);
    free(bytes);
    return WWR_E_NOMEM;
  }
  if (bytes) memcpy(bytes, body.data, body.len);
  drop_answer(http);
  http->status = status;
  http->content_type = type;
  http->body = bytes;
  http->body_len = body.len;
  return WWR_OK;
}

wwr_err wwr_http_add_header(struct wwr_http *http, const char *name,
                            const char *value) {
  if (!name || !value || !is_name(name) || !is_value(value)) {
    return WWR_E_INVALID;
  }
  if (http->header_count == WWRI_HTTP_HEADERS_MAX) return WWR_E_LIMIT;
  char *name_copy = strdup(name);
  char *value_copy = strdup(value);
  if (!name_copy || !value_copy) {
    free(name_copy);
    free(value_copy);
    return WWR_E_NOMEM;
  }
  http->headers[http->header_count].name = name_copy;
  http->headers[http->header_count].value = value_copy;
  http->header_count++;
  return WWR_OK;
}

/* Options of the connection to be */

void wwr_http_set_concurrency(struct wwr_http *http, int limit) {
  http->has_concurrency = true;
  http->concurrency = limit;
}

static void release_info(const struct wwri_info *info) {
  if (info->release) info->release(info->value);
}

static wwr_err put_info(struct wwri_infos *infos, const struct wwri_info *info,
                        size_t max) {
  for (size_t i = 0; i < infos->count; i++) {
    if (infos->items[i].key != info->key) continue;
    release_info(&infos->items[i]);
    infos->items[i] = *info;
    return WWR_OK;
  }
  if (infos->count >= max) return WWR_E_LIMIT;
  struct wwri_info *items =
      realloc(infos->items, (infos->count + 1) * sizeof(*items));
  if (!items) return WWR_E_NOMEM;
  items[infos->count++] = *info;
  infos->items = items;
  return WWR_OK;
}

static wwr_err set_info(struct wwr_http *http, const struct wwri_info *info,
                        size_t max) {
  wwr_err err = put_info(&http->infos, info, max);
  if (err) release_info(info); /* it is ours whatever happens */
  return err;
}

wwr_err wwr_http_set_info(struct wwr_http *http, int key, void *value,
                          void (*release)(void *value)) {
  const struct wwri_info info = {key, value, release};
  return set_info(http, &info, WWRI_INFOS_MAX);
}

wwr_err wwri_http_add_info(struct wwr_http *http, int key, void *value,
                           void (*release)(void *value)) {
  const struct wwri_info info = {key, value, release};
  return set_info(http, &info, WWRI_INFOS_MAX + 1);
}

void wwri_infos_deinit(struct wwri_infos *infos) {
  for (size_t i = 0; i < infos->count; i++) release_info(&infos->items[i]);
  free(infos->items);
  infos->items = NULL;
  infos->count = 0;
}

void wwri_http_deinit(struct wwr_http *http) {
  drop_answer(http);
  for (size_t i = 0; i < http->header_count; i++) {
    free(http->headers[i].name);
    free(http->headers[i].value);
  }
  http->header_count = 0;
  wwri_infos_deinit(&http->infos);
}
