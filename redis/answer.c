/* Errors of Redis begin with a word in capitals, ERR for those that have none
 * of their own. What is not in the table is definite: a new kind of error is
 * shown, not waited out. */
#include "answer.h"

#include <ctype.h>
#include <string.h>

struct known {
  const char *begin;
  enum wwri_redis_class class;
};

static const struct known table[] = {
    {"LOADING", WWRI_REDIS_UNAVAILABLE},
    {"CLUSTERDOWN", WWRI_REDIS_UNAVAILABLE},
    {"TRYAGAIN", WWRI_REDIS_UNAVAILABLE},
    {"ASK", WWRI_REDIS_UNAVAILABLE},
    {"BUSY", WWRI_REDIS_UNAVAILABLE},
    {"OOM", WWRI_REDIS_UNAVAILABLE},
    {"MISCONF", WWRI_REDIS_UNAVAILABLE},
    {"NOREPLICAS", WWRI_REDIS_UNAVAILABLE},
    {"ERR max number of clients", WWRI_REDIS_UNAVAILABLE},
    /* Inside a script: a slot that is being moved, or has no owner now. */
    {"ERR Script attempted to access a non local key", WWRI_REDIS_UNAVAILABLE},
    {"ERR Script attempted to execute a command while the cluster is down",
     WWRI_REDIS_UNAVAILABLE},
    {"ERR Script attempted to execute a write command while the cluster is "
     "down",
     WWRI_REDIS_UNAVAILABLE},
    {"READONLY", WWRI_REDIS_DEMOTED},
    {"MASTERDOWN", WWRI_REDIS_DEMOTED},
    {"MOVED", WWRI_REDIS_DEMOTED},
    {"UNBLOCKED", WWRI_REDIS_DEMOTED},
    {"NOSCRIPT", WWRI_REDIS_NOSCRIPT},
    {"NOAUTH", WWRI_REDIS_AUTH},
    {"WRONGPASS", WWRI_REDIS_AUTH},
    {"NOPERM", WWRI_REDIS_AUTH},
    {"DENIED", WWRI_REDIS_AUTH}, /* protected mode */
    {"ERR invalid password", WWRI_REDIS_AUTH},
};

/* The word must end where the known one ends: ASK is not ASKING. */
static bool begins(struct wwr_view text, const char *begin) {
  size_t len = strlen(begin);
  if (text.len < len || memcmp(text.data, begin, len) != 0) return false;
  return text.len == len || !isalnum(text.data[len]);
}

enum wwri_redis_class wwri_redis_classify(struct wwr_view error) {
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    if (begins(error, table[i].begin)) return table[i].class;
  }
  return WWRI_REDIS_DEFINITE;
}

static bool contains(struct wwr_view text, const char *part) {
  return text.len > 0 &&
         memmem(text.data, text.len, part, strlen(part)) != NULL;
}

bool wwri_redis_from_script(struct wwr_view error) {
  return contains(error, "@user_script") || contains(error, "@user_function");
}

/* The value of a line "name:value\r\n"; an empty view when there is none. */
static struct wwr_view field(struct wwr_view text, const char *name) {
  size_t len = strlen(name);
  struct wwr_view none = {NULL, 0};
  size_t at = 0;
  while (at < text.len) {
    const uint8_t *line = text.data + at;
    const uint8_t *end = memchr(line, '\n', text.len - at);
    size_t all = end ? (size_t)(end - line) : text.len - at;
    size_t line_len = all > 0 && line[all - 1] == '\r' ? all - 1 : all;
    if (line_len > len && memcmp(line, name, len) == 0 && line[len] == ':') {
      return (struct wwr_view){line + len + 1, line_len - len - 1};
    }
    at += all + 1;
  }
  return none;
}

bool wwri_redis_info_parse(struct wwr_view text, struct wwri_redis_info *out) {
  struct wwr_view role = field(text, "role");
  struct wwr_view replid = field(text, "master_replid");
  if (role.len == 0 || replid.len == 0 || replid.len >= WWRI_REPLID_MAX) {
    return false;
  }
  for (size_t i = 0; i < replid.len; i++) {
    if (!isalnum(replid.data[i])) return false;
  }
  out->master = wwr_view_equal(role, wwr_view_str("master"));
  out->cluster =
      wwr_view_equal(field(text, "cluster_enabled"), wwr_view_str("1"));
  memcpy(out->replid, replid.data, replid.len);
  out->replid[replid.len] = '\0';
  return true;
}
