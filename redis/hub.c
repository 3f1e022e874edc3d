/* Happy path: links join with their tags; each asks who has its slot and gets
 * the answer from the map, which is read when somebody needs a newer one.
 *
 * Failure modes: a link that lost its trunk, or was sent away, doubts the map:
 * only one that was asked for afterwards will do. "Afterwards" is counted, not
 * timed. */
#include "hub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hub_impl.h"
#include "log.h"
#include "tls.h"

/* --- Ports -------------------------------------------------------------- */

static bool tag_is_good(const char *tag) {
  size_t len = tag ? strlen(tag) : 0;
  return len > 0 && len < WWRI_HUB_TAG_MAX && !strpbrk(tag, "{}");
}

wwr_err wwri_hub_join(struct wwri_redis_hub *hub, struct wwri_hub_port *port,
                      const char *tag, const struct wwri_hub_hooks *hooks,
                      void *user) {
  if (!tag_is_good(tag)) return WWR_E_INVALID;
  memcpy(port->tag, tag, strlen(tag) + 1);
  struct wwr_view name = wwr_view_str(port->tag);
  if (wwri_map_get(&hub->ports, name)) return WWR_E_EXISTS;
  wwr_err err = wwri_map_insert(&hub->ports, name, port);
  if (err != WWR_OK) return err;
  port->hub = hub;
  port->slot = wwri_slot_of(name);
  port->hooks = hooks;
  port->user = user;
  wwri_list_init(&port->waiting);
  wwri_list_init(&port->attached);
  return WWR_OK;
}

void wwri_hub_leave(struct wwri_hub_port *port) {
  if (!port->hub) return;
  assert(!port->trunk);
  wwri_list_remove(&port->waiting);
  wwri_map_remove(&port->hub->ports, wwr_view_str(port->tag));
  port->hub = NULL;
}

struct wwri_hub_port *wwri_hub_port_of(const struct wwri_redis_hub *hub,
                                       struct wwr_view channel) {
  return wwri_map_get(&hub->ports, wwri_slot_tag(channel));
}

const struct wwri_redis_host *wwri_hub_resolve(struct wwri_hub_port *port) {
  struct wwri_redis_hub *hub = port->hub;
  const struct wwri_redis_host *owner =
      wwri_slots_owner(&hub->map.slots, port->slot);
  if (owner && hub->map.stamp > port->doubt) {
    wwri_list_remove(&port->waiting); /* of a time before */
    return owner;
  }
  if (owner == NULL && hub->map.stamp > port->doubt) {
    port->doubt = ++hub->clock; /* it may have one by now */
  }
  if (wwri_list_empty(&port->waiting)) {
    wwri_list_append(&hub->waiting, &port->waiting);
  }
  wwri_hub_map_refresh(hub);
  return NULL;
}

void wwri_hub_hint(struct wwri_redis_hub *hub, struct wwr_view error) {
  struct wwri_redis_host to;
  uint16_t slot;
  if (!wwri_slots_moved(error, &slot, &to) || !to.name[0]) return;
  hub->map.hint = to;
  hub->map.has_hint = true;
}

/* --- Scripts ------------------------------------------------------------ */

/* Every 'PUBLISH' becomes 'SPUBLISH': one letter more each. */
static char *shard_text(const char *text) {
  static const char *const words[] = {"'PUBLISH'", "\"PUBLISH\""};
  enum { WORD = 9 };
  size_t cap = strlen(text) + strlen(text) / WORD + 1;
  char *out = malloc(cap);
  size_t len = 0;
  if (!out) return NULL;
  while (*text) {
    bool found = strncmp(text, words[0], WORD) == 0 ||
                 strncmp(text, words[1], WORD) == 0;
    out[len++] = *text++;
    if (found) out[len++] = 'S';
  }
  out[len] = '\0';
  return out;
}

int wwri_hub_script(struct wwri_redis_hub *hub, const char *text) {
  for (int i = 0; i < hub->script_count; i++) {
    if (strcmp(hub->scripts[i].text, text) == 0) return i;
  }
  assert(hub->script_count < WWRI_HUB_SCRIPTS_MAX);
  struct hub_script *script = &hub->scripts[hub->script_count];
  script->text = text;
  script->sharded = shard_text(text);
  return script->sharded ? hub->script_count++ : -1;
}

const char *wwri_hub_sha(const struct wwri_redis_hub *hub, int script) {
  return hub->scripts[script].sha;
}

/* --- Life --------------------------------------------------------------- */

void wwri_redis_hub_opts_default(struct wwri_redis_hub_opts *opts) {
  *opts = (struct wwri_redis_hub_opts){.max_out_bytes = 64 << 20};
  wwri_pair_opts_default(&opts->timing);
}

static void on_stop(struct wwri_timer *timer) {
  struct wwri_redis_hub *hub =
      WWRI_CONTAINER(timer, struct wwri_redis_hub, stop_timer);
  if (hub->trunk_count > 0 || hub->map.conns > 0 || !hub->stop_done) return;
  void (*done)(void *user) = hub->stop_done;
  hub->stop_done = NULL;
  done(hub->stop_user);
}

wwr_err wwri_redis_hub_new(struct wwri_redis_hub **out, struct wwri_loop *loop,
                           const struct wwri_redis_hub_opts *opts,
                           const char **why) {
  *out = NULL;
  *why = "no URL of a Redis Cluster";
  if (!opts->url->cluster) return WWR_E_INVALID;
  struct wwri_redis_hub *hub = calloc(1, sizeof(*hub));
  *why = "out of memory";
  if (!hub) return WWR_E_NOMEM;
  hub->loop = loop;
  hub->url = *opts->url;
  hub->opts = *opts;
  hub->opts.url = &hub->url;
  if (opts->log) hub->log = *opts->log;
  wwri_map_init(&hub->ports);
  wwri_list_init(&hub->waiting);
  wwri_list_init(&hub->trunks);
  wwri_timer_init(&hub->stop_timer, on_stop);
  wwri_hub_map_init(hub);
  if (hub->url.tls) {
    wwr_err err = wwri_redis_tls_config_new(&hub->tls, &hub->url, why);
    if (err != WWR_OK) {
      wwri_redis_hub_free(hub);
      return err;
    }
  }
  *out = hub;
  return WWR_OK;
}

void wwri_redis_hub_set_log_level(struct wwri_redis_hub *hub,
                                  enum wwr_log_level level) {
  wwri_log_set_level(&hub->log, level);
}

/* Nobody is attached: the trunks close by themselves. */
void wwri_redis_hub_stop(struct wwri_redis_hub *hub, void (*done)(void *user),
                         void *user) {
  hub->stopping = true;
  hub->stop_done = done;
  hub->stop_user = user;
  wwri_hub_map_stop(hub);
  wwri_loop_timer_set(hub->loop, &hub->stop_timer, 0);
}

void wwri_hub_gone(struct wwri_redis_hub *hub) {
  if (hub->stopping) wwri_loop_timer_set(hub->loop, &hub->stop_timer, 0);
}

void wwri_redis_hub_free(struct wwri_redis_hub *hub) {
  if (!hub) return;
  for (int i = 0; i < hub->script_count; i++) free(hub->scripts[i].sharded);
  wwri_hub_map_deinit(hub);
  wwri_map_deinit(&hub->ports);
  wwri_redis_tls_config_free(hub->tls);
  free(hub);
}

void wwri_redis_hub_stats(const struct wwri_redis_hub *hub,
                          struct wwri_redis_hub_stats *out) {
  const struct hub_map *map = &hub->map;
  *out = (struct wwri_redis_hub_stats){.nodes = map->slots.count,
                                       .masters = map->slots.masters,
                                       .slots = map->slots.covered,
                                       .trunks = hub->trunk_count,
                                       .refreshes = map->refreshes,
                                       .refused = map->refused};
}
