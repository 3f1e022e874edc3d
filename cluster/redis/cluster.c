/* cluster.c - the public handle: options checked and copied, a membership and
 * its bus made of them.
 *
 * What can go wrong is said here, before anything runs: an option out of range,
 * a URL that is none, a TLS file that can't be read, no thread. */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "member_impl.h"
#include "redis_bus.h"

enum { PREFIX_MAX = 32, NAME_LEN_MAX = 63 };
enum { HOLD_MIN_MS = 100, HOLD_MAX_MS = 60000, LEASE_MAX_MS = 600000 };
enum { SESSION_TTL_MIN_MS = 60000 };

struct wwr_cluster {
  struct wwri_member *member;
  struct wwr_bus *bus;
};

void wwr_cluster_opts_default(struct wwr_cluster_opts *opts) {
  *opts = (struct wwr_cluster_opts){.prefix = "wwr",
                                    .hold_ms = 10000,
                                    .lease_ms = 30000,
                                    .session_ttl_ms = UINT32_C(2592000000),
                                    .recreate_sessions = true,
                                    .max_held = 20000,
                                    .log = {.level = WWR_LOG_OFF}};
}

static bool prefix_ok(const char *prefix) {
  size_t len = strlen(prefix);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)prefix[i];
    if (!isalnum(c) && c != '-' && c != '_') return false;
  }
  return len >= 1 && len <= PREFIX_MAX;
}

static bool name_ok(const char *name) {
  size_t len = strlen(name);
  for (size_t i = 0; i < len; i++) {
    if (name[i] < 32 || name[i] > 126) return false;
  }
  return len >= 1 && len <= NAME_LEN_MAX;
}

/* NULL: they are good. */
static const char *what_is_wrong(const struct wwr_cluster_opts *opts,
                                 struct wwri_redis_url *url) {
  const char *why = NULL;
  if (!opts->url) return "url is required";
  if (wwri_redis_url_parse(url, opts->url, &why) != WWR_OK) return why;
  if (!opts->prefix || !prefix_ok(opts->prefix)) {
    return "prefix must be 1 to 32 letters, digits, '-' or '_'";
  }
  if (opts->name && !name_ok(opts->name)) {
    return "name must be 1 to 63 printable characters";
  }
  if (opts->hold_ms < HOLD_MIN_MS || opts->hold_ms > HOLD_MAX_MS) {
    return "hold_ms must be 100 to 60000";
  }
  if (opts->lease_ms / 2 < opts->hold_ms || opts->lease_ms > LEASE_MAX_MS) {
    return "lease_ms must be at least twice hold_ms and at most 600000";
  }
  if (opts->session_ttl_ms < SESSION_TTL_MIN_MS) {
    return "session_ttl_ms must be at least 60000";
  }
  if (opts->max_held < 1) return "max_held must be at least 1";
  return NULL;
}

/* HOST-PID: what an operator looks for. */
static void default_name(char out[NAME_LEN_MAX + 1]) {
  char host[HOST_NAME_MAX + 1] = "";
  if (gethostname(host, sizeof host - 1) || !name_ok(host)) {
    snprintf(host, sizeof host, "node");
  }
  snprintf(out, NAME_LEN_MAX + 1, "%.48s-%ld", host, (long)getpid());
}

static wwr_err make(struct wwr_cluster **out,
                    const struct wwr_cluster_opts *opts,
                    const struct wwri_redis_url *url, const char **why) {
  struct wwr_cluster *cluster = calloc(1, sizeof *cluster);
  *why = "out of memory";
  if (!cluster) return WWR_E_NOMEM;
  wwr_err err = wwri_member_new(&cluster->member, opts, url, why);
  if (!err) err = wwri_redis_bus_new(&cluster->bus, cluster->member);
  if (err) {
    wwr_cluster_free(cluster);
    return err;
  }
  *out = cluster;
  return WWR_OK;
}

wwr_err wwr_cluster_new(struct wwr_cluster **out,
                        const struct wwr_cluster_opts *opts, const char **why) {
  struct wwri_redis_url url;
  struct wwr_cluster_opts copy = *opts;
  char name[NAME_LEN_MAX + 1];
  const char *ignored;
  if (!why) why = &ignored;
  *out = NULL;
  *why = what_is_wrong(opts, &url);
  if (*why) return WWR_E_INVALID;
  if (!copy.name) {
    default_name(name);
    copy.name = name;
  }
  wwr_err err = make(out, &copy, &url, why);
  if (!err) *why = NULL;
  return err;
}

struct wwr_bus *wwr_cluster_bus(struct wwr_cluster *cluster) {
  return cluster->bus;
}

void wwr_cluster_set_log_level(struct wwr_cluster *cluster,
                               enum wwr_log_level level) {
  wwri_log_set_level(&cluster->member->opts.log, level);
  wwri_redis_set_log_level(cluster->member->link, level);
}

struct wwri_member *wwri_member_of(struct wwr_cluster *cluster) {
  return cluster->member;
}

void wwr_cluster_free(struct wwr_cluster *cluster) {
  if (!cluster) return;
  if (cluster->member) wwri_member_end(cluster->member);
  wwri_redis_bus_delete(cluster->bus);
  wwri_member_free(cluster->member);
  free(cluster);
}
