/* cluster.c - the public handle: options checked and copied, memberships and
 * their bus made of them.
 *
 * What can go wrong is said here, before anything runs: an option out of range,
 * a URL that is none, a TLS file that can't be read, no thread. */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub.h"
#include "log.h"
#include "member_impl.h"
#include "redis_bus.h"
#include "servers.h"
#include "shards.h"
#include "slots.h"

enum { PREFIX_MAX = 32, NAME_LEN_MAX = 63 };
enum { HOLD_MIN_MS = 100, HOLD_MAX_MS = 60000, LEASE_MAX_MS = 600000 };
enum { SESSION_TTL_MIN_MS = 60000, LABEL_MAX = 16 };

struct wwr_cluster {
  struct wwri_loop *loop;
  struct wwri_redis_hub *hub; /* of a Redis Cluster; else NULL */
  size_t count;               /* of members */
  struct wwri_member *members[WWRI_SHARDS_MAX];
  struct wwr_bus *buses[WWRI_SHARDS_MAX];
  struct wwr_bus *sharded;               /* over these; NULL with one */
  struct wwr_bus *bus;                   /* of these the one to use */
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

/* NULL: they are good, but for the URL. */
static const char *what_is_wrong(const struct wwr_cluster_opts *opts) {
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

static wwr_err read_opts(const struct wwr_cluster_opts *opts,
                         struct wwri_servers *servers,
                         struct wwri_servers_fault *fault) {
  *servers = (struct wwri_servers){0};
  *fault = (struct wwri_servers_fault){.why = "url is required"};
  if (!opts->url) return WWR_E_INVALID;
  wwr_err err = wwri_servers_parse(servers, opts->url, fault);
  if (err) return err;
  fault->at = 0;
  fault->why = what_is_wrong(opts);
  return fault->why ? WWR_E_INVALID : WWR_OK;
}

wwr_err wwr_cluster_check(const struct wwr_cluster_opts *opts, char *why,
                          size_t cap) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  wwr_err err = read_opts(opts, &servers, &fault);
  wwri_servers_free(&servers);
  if (cap) why[0] = '\0';
  if (err) wwri_servers_say(err, &fault, why, cap);
  return err;
}

/* HOST-PID: what an operator looks for. */
static void default_name(char out[NAME_LEN_MAX + 1]) {
  char host[HOST_NAME_MAX + 1] = "";
  if (gethostname(host, sizeof host - 1) || !name_ok(host)) {
    snprintf(host, sizeof host, "node");
  }
  snprintf(out, NAME_LEN_MAX + 1, "%.48s-%ld", host, (long)getpid());
}

/* --- making --- */

/* What all nodes must agree on: a node with another list would look for a
 * channel elsewhere, and two entries that lead to one server refuse each
 * other. */
static char *make_settings(const struct wwri_servers *servers, size_t index) {
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  if (!out) return NULL;
  fprintf(out, "tags=%d\n",
          servers->sharding == WWRI_UNSHARDED ? 0 : WWRI_PARTITIONS);
  if (servers->sharding == WWRI_SHARD_LIST) {
    fprintf(out, "shards=%zu\nshard=%zu\n", servers->count, index + 1);
    for (size_t i = 0; i < servers->count; i++) {
      const char *address = strstr(servers->names[i], "://");
      fprintf(out, "shard.%zu=%s\n", i + 1, address + 3);
    }
  }
  bool bad = ferror(out);
  if (fclose(out) || bad) {
    free(text);
    return NULL;
  }
  return text;
}

static unsigned count_partitions(const struct wwr_cluster *cluster,
                                 size_t index) {
  unsigned count = 0;
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    if (cluster->of_partition[i] == index) count++;
  }
  return count;
}

/* A Redis of its own, the only one or one of the list. */
static void place_server(struct wwr_cluster *cluster,
                         const struct wwri_servers *servers,
                         struct wwri_member_place *place) {
  size_t index = cluster->count;
  bool list = servers->sharding == WWRI_SHARD_LIST;
  place->label = servers->names[index];
  place->several = list;
  place->tag = wwri_partition_tag(0);
  place->tag_of_name = list;
  place->partitions = list ? count_partitions(cluster, index) : 1;
  place->slot = -1;
}

/* A partition of the Redis Cluster; `label` of LABEL_MAX bytes. */
static void place_partition(struct wwr_cluster *cluster, char *label,
                            struct wwri_member_place *place) {
  const char *tag = wwri_partition_tag((unsigned)cluster->count);
  snprintf(label, LABEL_MAX, "{%s}", tag);
  place->hub = cluster->hub;
  place->label = label;
  place->several = true;
  place->tag = tag;
  place->partitions = 1;
  place->slot = wwri_slot_of(wwr_view_str(tag));
}

static wwr_err make_member(struct wwr_cluster *cluster,
                           const struct wwr_cluster_opts *opts,
                           const struct wwri_servers *servers,
                           const char **why) {
  size_t index = cluster->count;
  char label[LABEL_MAX], *settings = make_settings(servers, index);
  if (!settings) return WWR_E_NOMEM;
  struct wwri_member_place place = {
      .loop = cluster->loop, .first = index == 0, .settings = settings};
  if (cluster->hub) {
    place_partition(cluster, label, &place);
  } else {
    place_server(cluster, servers, &place);
  }
  wwr_err err =
      wwri_member_new(&cluster->members[index], opts,
                      &servers->urls[cluster->hub ? 0 : index], &place, why);
  free(settings);
  if (err) return err;
  cluster->count++;
  return wwri_redis_bus_new(&cluster->buses[index], cluster->members[index]);
}

static wwr_err make_hub(struct wwr_cluster *cluster,
                        const struct wwr_cluster_opts *opts,
                        const struct wwri_servers *servers, const char **why) {
  struct wwri_redis_hub_opts hub;
  wwri_redis_hub_opts_default(&hub);
  hub.url = &servers->urls[0];
  hub.log = &opts->log;
  wwri_member_timing(&hub.timing, opts->lease_ms);
  return wwri_redis_hub_new(&cluster->hub, cluster->loop, &hub, why);
}

static wwr_err make_bus(struct wwr_cluster *cluster) {
  cluster->bus = cluster->buses[0];
  if (cluster->count == 1) return WWR_OK;
  const struct wwri_shards_opts opts = {.loop = cluster->loop,
                                        .name = cluster->bus->name,
                                        .count = cluster->count,
                                        .members = cluster->members,
                                        .buses = cluster->buses,
                                        .of_partition = cluster->of_partition,
                                        .partitions = cluster->hub != NULL};
  return wwri_shards_bus_new(&cluster->sharded, &opts);
}

/* In a Redis Cluster each partition is a membership, of the same number. */
static void deal_out(struct wwr_cluster *cluster, bool hub, unsigned count) {
  if (!hub) {
    wwri_partition_shards(count, cluster->of_partition);
    return;
  }
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    cluster->of_partition[i] = (uint8_t)i;
  }
}

static wwr_err fill(struct wwr_cluster *cluster,
                    const struct wwr_cluster_opts *opts,
                    const struct wwri_servers *servers, const char **why) {
  bool hub = servers->sharding == WWRI_REDIS_CLUSTER;
  size_t count = hub ? WWRI_PARTITIONS : servers->count;
  *why = "no thread";
  wwr_err err = wwri_loop_new(&cluster->loop);
  if (!err) err = wwri_loop_start(cluster->loop, "wwr-cluster");
  if (err) return err;
  deal_out(cluster, hub, (unsigned)count);
  if (hub) err = make_hub(cluster, opts, servers, why);
  while (!err && cluster->count < count) {
    err = make_member(cluster, opts, servers, why);
  }
  if (!err) err = make_bus(cluster);
  if (!err && cluster->sharded) cluster->bus = cluster->sharded;
  return err;
}

static wwr_err make(struct wwr_cluster **out,
                    const struct wwr_cluster_opts *opts,
                    const struct wwri_servers *servers, const char **why) {
  struct wwr_cluster *cluster = calloc(1, sizeof *cluster);
  if (!cluster) return WWR_E_NOMEM;
  wwr_err err = fill(cluster, opts, servers, why);
  if (err) {
    wwr_cluster_free(cluster);
    return err;
  }
  *out = cluster;
  return WWR_OK;
}

wwr_err wwr_cluster_new(struct wwr_cluster **out,
                        const struct wwr_cluster_opts *opts, const char **why) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  struct wwr_cluster_opts copy = *opts;
  char name[NAME_LEN_MAX + 1];
  const char *ignored;
  if (!why) why = &ignored;
  *out = NULL;
  wwr_err err = read_opts(opts, &servers, &fault);
  *why = fault.why;
  if (!copy.name) {
    default_name(name);
    copy.name = name;
  }
  if (!err) err = make(out, &copy, &servers, why);
  wwri_servers_free(&servers);
  if (err == WWR_E_NOMEM) *why = "out of memory";
  if (err == WWR_OK) *why = NULL;
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
  if (cluster->hub) wwri_redis_hub_set_log_level(cluster->hub, level);
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

/* --- the end --- */

struct hub_stop {
  struct wwri_mail mail;
  struct wwri_redis_hub *hub;
  struct wwri_waiter waiter;
};

static void on_hub_stopped(void *user) {
  struct hub_stop *stop = user;
  wwri_waiter_wake(&stop->waiter, WWR_OK);
}

static void do_hub_stop(struct wwri_mail *mail) {
  struct hub_stop *stop = WWRI_CONTAINER(mail, struct hub_stop, mail);
  wwri_redis_hub_stop(stop->hub, on_hub_stopped, stop);
}

static void stop_hub(struct wwr_cluster *cluster) {
  struct hub_stop stop = {.mail = {.fn = do_hub_stop}, .hub = cluster->hub};
  if (!cluster->hub) return;
  wwri_waiter_init(&stop.waiter);
  wwri_loop_post(cluster->loop, &stop.mail);
  wwri_waiter_wait(&stop.waiter);
}

void wwr_cluster_free(struct wwr_cluster *cluster) {
  if (!cluster) return;
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_member_stop_begin(cluster->members[i]);
  }
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_member_stop_wait(cluster->members[i]);
  }
  stop_hub(cluster);
  if (cluster->loop) wwri_loop_stop(cluster->loop);
  for (size_t i = 0; i < cluster->count; i++) {
    wwri_redis_bus_delete(cluster->buses[i]);
    wwri_member_free(cluster->members[i]);
  }
  wwri_shards_bus_delete(cluster->sharded);
  wwri_redis_hub_free(cluster->hub);
  wwri_loop_free(cluster->loop);
  free(cluster);
}
