#include "url_name.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text that grows; what does not fit is seen by its length. */
struct name {
  char *out;
  size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct name *name,
                                                      const char *format, ...) {
  va_list args;
  size_t left =
      name->len < WWRI_REDIS_NAME_MAX ? WWRI_REDIS_NAME_MAX - name->len : 0;
  va_start(args, format);
  int len = vsnprintf(left ? name->out + name->len : NULL, left, format, args);
  va_end(args);
  if (len > 0) name->len += (size_t)len;
}

static const char *scheme_of(const struct wwri_redis_url *url) {
  if (url->sentinel) return url->tls ? "rediss+sentinel" : "redis+sentinel";
  if (url->cluster) return url->tls ? "rediss+cluster" : "redis+cluster";
  return url->tls ? "rediss" : "redis";
}

static void add_hosts(struct name *name, const struct wwri_redis_url *url) {
  for (size_t i = 0; i < url->host_count; i++) {
    const struct wwri_redis_host *host = &url->hosts[i];
    add(name, strchr(host->name, ':') ? "%s[%s]:%u" : "%s%s:%u",
        i > 0 ? "," : "", host->name, host->port);
  }
}

void wwri_redis_url_name(const struct wwri_redis_url *url,
                         char out[WWRI_REDIS_NAME_MAX]) {
  struct name name = {out, 0};
  out[0] = '\0';
  if (*url->path) {
    add(&name, "unix://%s", url->path);
    if (url->db) add(&name, "?db=%u", (unsigned)url->db);
  } else {
    add(&name, "%s://", scheme_of(url));
    add_hosts(&name, url);
    if (url->sentinel) add(&name, "/%s", url->master);
    if (url->db) add(&name, "/%u", (unsigned)url->db);
  }
  if (name.len >= WWRI_REDIS_NAME_MAX)
    memcpy(out + WWRI_REDIS_NAME_MAX - 4, "...", 4);
}
