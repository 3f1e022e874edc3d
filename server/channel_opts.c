/* How a channel behaves: asked from the application once and then remembered
 * for as long as it is used now and then. The memory is bounded by two
 * generations: when the young one is full, the old one is forgotten. */
#include <stdlib.h>

#include "internal.h"

enum { GENERATION = 16384 };

static void defaults(struct wwr_channel_opts *opts) {
  *opts = (struct wwr_channel_opts){.logged = true,
                                    .log_entries = 1000,
                                    .log_age_ms = 600000,
                                    .counted = true,
                                    .member_field = "username"};
}

static uint32_t within(uint32_t value, uint32_t min, uint32_t max) {
  if (value < min) return min;
  return value > max ? max : value;
}

static void ask(struct wwr_server *server, struct wwr_view channel,
                struct wwr_channel_opts *opts) {
  server->opts.hooks.on_channel(channel, opts, server->opts.user_data);
  opts->log_entries = within(opts->log_entries, 1, WWRI_BUS_ENTRIES_MAX);
  opts->log_age_ms =
      within(opts->log_age_ms, WWRI_BUS_AGE_MIN_MS, WWRI_BUS_AGE_MAX_MS);
  if (!opts->member_field) opts->member_field = "";
}

void wwri_channel_cache_init(struct wwri_channel_cache *cache) {
  pthread_mutex_init(&cache->lock, NULL);
  wwri_map_init(&cache->young);
  wwri_map_init(&cache->old);
}

static bool free_entry(struct wwr_view key, void *value, void *arg) {
  (void)key;
  (void)arg;
  free(value);
  return true;
}

static void free_generation(struct wwri_map *map) {
  wwri_map_each(map, free_entry, NULL);
  wwri_map_deinit(map);
}

void wwri_channel_cache_deinit(struct wwri_channel_cache *cache) {
  free_generation(&cache->young);
  free_generation(&cache->old);
  pthread_mutex_destroy(&cache->lock);
}

/* Takes the entry over; *doomed is to be freed without the lock. */
static void insert(struct wwri_channel_cache *cache, struct wwr_view channel,
                   struct wwr_channel_opts *entry, struct wwri_map *doomed) {
  if (wwri_map_insert(&cache->young, channel, entry) != WWR_OK) {
    free(entry); /* it is asked for again */
    return;
  }
  if (cache->young.count < GENERATION) return;
  *doomed = cache->old;
  cache->old = cache->young;
  wwri_map_init(&cache->young);
}

static bool find(struct wwri_channel_cache *cache, struct wwr_view channel,
                 struct wwr_channel_opts *out) {
  struct wwri_map doomed;
  wwri_map_init(&doomed);
  pthread_mutex_lock(&cache->lock);
  struct wwr_channel_opts *entry = wwri_map_get(&cache->young, channel);
  bool found = entry != NULL;
  if (found) {
    *out = *entry;
  } else if ((entry = wwri_map_remove(&cache->old, channel))) {
    found = true;
    *out = *entry;
    insert(cache, channel, entry, &doomed);
  }
  pthread_mutex_unlock(&cache->lock);
  free_generation(&doomed);
  return found;
}

static void keep(struct wwri_channel_cache *cache, struct wwr_view channel,
                 const struct wwr_channel_opts *opts) {
  struct wwri_map doomed;
  struct wwr_channel_opts *entry = malloc(sizeof *entry);
  if (!entry) return;
  *entry = *opts;
  wwri_map_init(&doomed);
  pthread_mutex_lock(&cache->lock);
  insert(cache, channel, entry, &doomed);
  pthread_mutex_unlock(&cache->lock);
  free_generation(&doomed);
}

void wwri_channel_opts(struct wwr_server *server, struct wwr_view channel,
                       struct wwr_channel_opts *out) {
  struct wwri_channel_cache *cache = &server->channels.cache;
  defaults(out);
  if (!server->opts.hooks.on_channel || find(cache, channel, out)) return;
  ask(server, channel, out);
  keep(cache, channel, out);
}
