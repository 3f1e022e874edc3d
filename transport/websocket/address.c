/* Addresses as people write them: "HOST:PORT" and "ws://HOST:PORT/PATH". */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "websocket.h"

enum { PORT_MAX = 65535 };

static bool parse_port(char out[8], const char *text) {
  size_t len = strlen(text);
  if (len == 0 || len > 5 || strspn(text, "0123456789") != len) return false;
  if (strtoul(text, NULL, 10) > PORT_MAX) return false;
  memcpy(out, text, len + 1);
  return true;
}

static bool copy_host(struct wwri_ws_address *out, const char *host,
                      size_t len) {
  if (len >= sizeof(out->host)) return false;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)host[i];
    if (c <= ' ' || c == 0x7f || strchr("/?#@[]\\", c)) return false;
  }
  memcpy(out->host, host, len);
  out->host[len] = '\0';
  return true;
}

/* `port` may be missing when `default_port` is given. */
static bool parse(struct wwri_ws_address *out, const char *text,
                  const char *default_port) {
  const char *host = text;
  const char *end;
  const char *rest;
  out->bracketed = *text == '[';
  if (out->bracketed) {
    host = text + 1;
    end = strchr(host, ']');
    if (!end || end == host) return false;
    rest = end + 1;
  } else {
    end = rest = text + strcspn(text, ":");
    if (*rest && strchr(rest + 1, ':')) return false; /* IPv6 needs brackets */
  }
  if (!copy_host(out, host, (size_t)(end - host))) return false;
  if (!*rest && default_port) return parse_port(out->port, default_port);
  return *rest == ':' && parse_port(out->port, rest + 1);
}

bool wwri_ws_address_parse(struct wwri_ws_address *out, const char *text) {
  return parse(out, text, NULL);
}

/* No spaces and no control characters may get into a request line. */
static bool is_path(const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c <= ' ' || c >= 0x7f || c == '#') return false;
  }
  return true;
}

wwr_err wwri_ws_url_parse(struct wwri_ws_url *out, const char *text) {
  memset(out, 0, sizeof(*out));
  if (strncasecmp(text, "wss://", 6) == 0) {
    out->tls = true;
    text += 6;
  } else if (strncasecmp(text, "ws://", 5) == 0) {
    text += 5;
  } else {
    return WWR_E_INVALID;
  }
  size_t len = strcspn(text, "/?#");
  const char *path = text + len;
  char *authority = strndup(text, len);
  if (!authority) return WWR_E_NOMEM;
  bool good = parse(&out->address, authority, out->tls ? "443" : "80") &&
              out->address.host[0] && is_path(path);
  free(authority);
  if (!good) return WWR_E_INVALID;
  if (*path == '/') path++;
  size_t path_size = strlen(path) + 1;
  out->path = malloc(1 + path_size);
  if (!out->path) return WWR_E_NOMEM;
  out->path[0] = '/';
  memcpy(out->path + 1, path, path_size);
  return WWR_OK;
}
