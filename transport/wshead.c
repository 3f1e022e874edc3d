/* What is not taken for a WebSocket's request though it may be one: targets
 * with escapes, dot segments or empty segments, headers that occur twice or go
 * on in another line, announced bodies, HTTP/1.0. */
#include "wshead.h"

#include <string.h>
#include <strings.h>

static const char start[] = "GET /";
static const char version[] = " HTTP/1.1";

static bool is_token(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_in_target(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return (c >= '0' && c <= '9') || (c && strchr("-._~!$&'()*,;=:@/", c));
}

static bool read_target(struct wwri_wshead *head, char *target,
                        const char *end) {
  char *at = target;
  while (is_in_target(*at)) at++;
  head->path = target;
  head->query = NULL;
  if (*at == '?') {
    *at++ = '\0';
    if (*at) head->query = at;
    while (is_in_target(*at) || *at == '?') at++;
  }
  return at == end && !strstr(target, "//") && !strstr(target, "/.");
}

/* "GET /path?query HTTP/1.1", without its line end. */
static bool read_request_line(struct wwri_wshead *head, char *line,
                              size_t len) {
  size_t tail = sizeof(version) - 1;
  if (len < sizeof(start) - 1 + tail) return false;
  if (memcmp(line, start, sizeof(start) - 1) != 0) return false;
  if (memcmp(line + len - tail, version, tail) != 0) return false;
  line[len - tail] = '\0';
  return read_target(head, line + sizeof(start) - 2, line + len - tail);
}

static bool is_value(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

static bool read_header(struct wwri_wshead *head, char *line, size_t len) {
  size_t name = 0;
  while (name < len && is_token(line[name])) name++;
  if (name == 0 || name == len || line[name] != ':') return false;
  line[name] = '\0';
  if (head->header_count == WWRI_WSHEAD_HEADERS_MAX) return false;
  if (wwri_wshead_find(head, line)) return false;
  char *value = line + name + 1;
  size_t value_len = len - name - 1;
  if (!is_value(value, value_len)) return false;
  while (value_len > 0 && strchr(" \t", value[value_len - 1])) value_len--;
  value[value_len] = '\0';
  head->headers[head->header_count].name = line;
  head->headers[head->header_count++].value = value + strspn(value, " \t");
  return true;
}

static bool is_upgrade(const struct wwri_wshead *head) {
  const char *upgrade = wwri_wshead_find(head, "upgrade");
  return upgrade && strcasecmp(upgrade, "websocket") == 0 &&
         !wwri_wshead_find(head, "content-length") &&
         !wwri_wshead_find(head, "transfer-encoding") &&
         !wwri_wshead_find(head, "expect");
}

enum wwri_wshead_kind wwri_wshead_read(struct wwri_wshead *head, char *bytes,
                                       size_t len) {
  char *end = bytes + len;
  char *line = bytes;
  size_t known = len < sizeof(start) - 1 ? len : sizeof(start) - 1;
  head->header_count = 0;
  if (memcmp(bytes, start, known) != 0) return WWRI_WSHEAD_OTHER;
  for (;;) {
    char *feed = memchr(line, '\n', (size_t)(end - line));
    if (!feed) return WWRI_WSHEAD_PARTIAL;
    if (feed == line || feed[-1] != '\r') return WWRI_WSHEAD_OTHER;
    size_t line_len = (size_t)(feed - 1 - line);
    if (line_len == 0) break;
    bool good = line == bytes ? read_request_line(head, line, line_len)
                              : read_header(head, line, line_len);
    if (!good) return WWRI_WSHEAD_OTHER;
    line = feed + 1;
  }
  head->len = (size_t)(line + 2 - bytes);
  return is_upgrade(head) ? WWRI_WSHEAD_UPGRADE : WWRI_WSHEAD_OTHER;
}

const char *wwri_wshead_find(const struct wwri_wshead *head, const char *name) {
  for (size_t i = 0; i < head->header_count; i++) {
    if (strcasecmp(head->headers[i].name, name) == 0) {
      return head->headers[i].value;
    }
  }
  return NULL;
}
