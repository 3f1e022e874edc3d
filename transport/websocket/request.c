/* The HTTP request as the hooks see it. lws keeps headers in pieces; each one
 * that is asked for is copied once and lives as long as the request. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server.h"

struct wwri_ws_header {
  struct wwri_ws_header *next;
  char *name;
  char *value; /* NULL: the request has none */
};

static const struct {
  const char *name;
  enum lws_token_indexes token;
} known[] = {
    {"host", WSI_TOKEN_HOST},
    {"origin", WSI_TOKEN_ORIGIN},
    {"user-agent", WSI_TOKEN_HTTP_USER_AGENT},
    {"cookie", WSI_TOKEN_HTTP_COOKIE},
    {"authorization", WSI_TOKEN_HTTP_AUTHORIZATION},
    {"x-forwarded-for", WSI_TOKEN_X_FORWARDED_FOR},
    {"connection", WSI_TOKEN_CONNECTION},
    {"upgrade", WSI_TOKEN_UPGRADE},
    {"sec-websocket-key", WSI_TOKEN_KEY},
    {"sec-websocket-version", WSI_TOKEN_VERSION},
    {"sec-websocket-protocol", WSI_TOKEN_PROTOCOL},
    {"sec-websocket-extensions", WSI_TOKEN_EXTENSIONS},
    {"accept", WSI_TOKEN_HTTP_ACCEPT},
    {"accept-encoding", WSI_TOKEN_HTTP_ACCEPT_ENCODING},
    {"accept-language", WSI_TOKEN_HTTP_ACCEPT_LANGUAGE},
    {"cache-control", WSI_TOKEN_HTTP_CACHE_CONTROL},
    {"content-length", WSI_TOKEN_HTTP_CONTENT_LENGTH},
    {"content-type", WSI_TOKEN_HTTP_CONTENT_TYPE},
    {"if-modified-since", WSI_TOKEN_HTTP_IF_MODIFIED_SINCE},
    {"if-none-match", WSI_TOKEN_HTTP_IF_NONE_MATCH},
    {"range", WSI_TOKEN_HTTP_RANGE},
    {"referer", WSI_TOKEN_HTTP_REFERER},
};

/* lws_hdr_copy() joins the pieces differently in every version. */
static char separator(enum lws_token_indexes token) {
  if (token == WSI_TOKEN_HTTP_URI_ARGS) return '&';
  return token == WSI_TOKEN_HTTP_COOKIE ? ';' : ',';
}

static char *copy_token(struct lws *wsi, enum lws_token_indexes token) {
  int total = lws_hdr_total_length(wsi, token);
  if (total <= 0) return NULL;
  int cap = 2 * total + 2; /* a separator behind each piece */
  char *text = malloc((size_t)cap);
  if (!text) return NULL;
  int len = 0;
  for (int i = 0; len < cap; i++) {
    int n = lws_hdr_copy_fragment(wsi, text + len, cap - len, token, i);
    if (n < 0) break;
    len += n;
    text[len++] = separator(token);
  }
  text[len > 0 ? len - 1 : 0] = '\0';
  return text;
}

/* `name` in lower case, with a colon behind it. */
static char *copy_custom(struct lws *wsi, const char *name) {
  int name_len = (int)strlen(name);
  int len = lws_hdr_custom_length(wsi, name, name_len);
  if (len < 0) return NULL;
  char *text = malloc((size_t)len + 1);
  if (!text) return NULL;
  if (lws_hdr_custom_copy(wsi, text, len + 1, name, name_len) < 0) {
    free(text);
    return NULL;
  }
  return text;
}

static char *copy_header(struct lws *wsi, const char *name) {
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (strcasecmp(known[i].name, name) == 0) {
      return copy_token(wsi, known[i].token);
    }
  }
  char with_colon[64];
  size_t len = strlen(name);
  if (len + 2 > sizeof(with_colon)) return NULL;
  for (size_t i = 0; i < len; i++) {
    char c = name[i];
    with_colon[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  memcpy(with_colon + len, ":", 2);
  return copy_custom(wsi, with_colon);
}

static const char *find_header(const struct wwr_http *http, const char *name) {
  struct wwri_ws_request *request = http->transport_data;
  struct wwri_ws_header *header = request->headers;
  while (header && strcasecmp(header->name, name) != 0) header = header->next;
  if (header) return header->value;
  header = calloc(1, sizeof(*header));
  if (!header || !(header->name = strdup(name))) {
    free(header);
    return NULL;
  }
  header->value = copy_header(request->wsi, name);
  header->next = request->headers;
  request->headers = header;
  return header->value;
}

static const char *method_name(int method) {
  switch (method) {
    case LWSHUMETH_GET:
      return "GET";
    case LWSHUMETH_POST:
      return "POST";
    case LWSHUMETH_OPTIONS:
      return "OPTIONS";
    case LWSHUMETH_PUT:
      return "PUT";
    case LWSHUMETH_PATCH:
      return "PATCH";
    case LWSHUMETH_DELETE:
      return "DELETE";
    case LWSHUMETH_HEAD:
      return "HEAD";
    default:
      return NULL;
  }
}

/* lws takes a CR or LF that was percent-encoded for the end of the request
 * line, and reads on after it as headers; then there is no HTTP version. */
static bool is_malformed(struct lws *wsi, const char *path, int len) {
  return memchr(path, '\0', (size_t)len) ||
         lws_hdr_total_length(wsi, WSI_TOKEN_HTTP) <= 0;
}

bool wwri_ws_request_init(struct wwri_ws_request *request, struct lws *wsi,
                          const char *remote) {
  char *path = NULL;
  int path_len = 0;
  memset(request, 0, sizeof(*request));
  request->wsi = wsi;
  request->http.method =
      method_name(lws_http_get_uri_and_method(wsi, &path, &path_len));
  if (!request->http.method || !path) return false;
  request->malformed = path_len < 0 || is_malformed(wsi, path, path_len);
  request->query = copy_token(wsi, WSI_TOKEN_HTTP_URI_ARGS);
  request->http.path = path;
  request->http.query = request->query;
  request->http.remote = remote;
  request->http.find_header = find_header;
  request->http.transport_data = request;
  return true;
}

void wwri_ws_request_deinit(struct wwri_ws_request *request) {
  while (request->headers) {
    struct wwri_ws_header *header = request->headers;
    request->headers = header->next;
    free(header->name);
    free(header->value);
    free(header);
  }
  free(request->query);
  wwri_http_deinit(&request->http);
}

bool wwri_ws_header_has(const char *header, const char *token) {
  size_t len = strlen(token);
  while (header && *header) {
    header += strspn(header, " \t,");
    size_t word = strcspn(header, ",");
    size_t end = word;
    while (end > 0 && strchr(" \t", header[end - 1])) end--;
    if (end == len && strncasecmp(header, token, len) == 0) return true;
    header += word;
  }
  return false;
}
