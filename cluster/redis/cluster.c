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
  struct wwri_loop *loop;
  size_t count; /* of members */
  struct wwri_member *members[WWRI_SHARDS_MAX];
  struct wwr_bus *buses[WWRI_SHARDS_MAX];
  struct wwr_bus *bus;
  uint8_t of_partition[WWRI_PARTITIONS]; /* the index of a member */
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
  *why = "no thread";
  wwr_err err = wwri_loop_new(&cluster->loop);
  if (!err) err = wwri_loop_start(cluster->loop, "wwr-cluster");
  const struct wwri_member_place place = {.loop = cluster->loop,
                                          .label = "redis",
                                          .tag = wwri_partition_tag(0),
                                          .settings = "tags=0\n",
                                          .slot = -1};
  if (!err) err = wwri_member_new(&cluster->members[0], opts, url, &place, why);
  if (!err) cluster->count = 1;
  if (!err) err = wwri_redis_bus_new(&cluster->buses[0], cluster->members[0]);
  cluster->bus = cluster->buses[0];
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
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_log_set_level(&cluster->members[i]->opts.log, level);
    wwri_redis_set_log_level(cluster->members[i]->link, level);
  }
}

size_t wwri_cluster_members(const struct wwr_cluster *cluster) {
  return cluster->count;
}

struct wwri_member *wwri_cluster_member(struct wwr_cluster *cluster,
                                        size_t index) {
  return cluster->members[index];
}

size_t wwri_cluster_member_for(const struct wwr_cluster *cluster,
                               struct wwr_view name) {
  if (cluster->count == 1) return 0;
  return cluster->of_partition[wwri_partition_of(name)];
}

void wwr_cluster_free(struct wwr_cluster *cluster) {
  if (!cluster) return;
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_member_stop_begin(cluster->members[i]);
  }
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_member_stop_wait(cluster->members[i]);
  }
  if (cluster->loop) wwri_loop_stop(cluster->loop);
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_redis_bus_delete(cluster->buses[i]);
    wwri_member_free(cluster->members[i]);
  }
  wwri_loop_free(cluster->loop);
  free(cluster);
}
