/* map.h - hash map from byte strings to pointers. Not thread-safe. Keys are
 * copied. The hash is seeded per map from the operating system, so that a
 * peer who chooses keys can't choose collisions. */
#ifndef WWRI_MAP_H
#define WWRI_MAP_H

#include "wwr_err.h"

struct wwri_map_entry;

struct wwri_map {
  struct wwri_map_entry **slots; /* NULL until the first insert */
  size_t slot_count;             /* power of two */
  size_t count;
  uint64_t seed[2];
};

/** Can't fail: allocates (and seeds) on the first insert. */
void wwri_map_init(struct wwri_map *map);

/** Free the map's own memory; the values are the caller's. */
void wwri_map_deinit(struct wwri_map *map);

/** The value, or NULL. */
void *wwri_map_get(const struct wwri_map *map, struct wwr_view key);

/** Insert a new key with a value that is not NULL. WWR_E_EXISTS or
 * WWR_E_NOMEM: nothing changed. */
WWR_MUST_CHECK wwr_err wwri_map_insert(struct wwri_map *map,
                                       struct wwr_view key, void *value);

/** Remove a key; its value, or NULL when there was none. */
void *wwri_map_remove(struct wwri_map *map, struct wwr_view key);

/** Call `visit` for every entry in no particular order, until it returns
 * false. `visit` must not change the map. */
void wwri_map_each(const struct wwri_map *map,
                   bool (*visit)(struct wwr_view key, void *value, void *arg),
                   void *arg);

/** Visit a part of the map, in no particular order: `cursor` is 0 at first,
 * then what the last call returned, until that is 0. In between the map may
 * change: an entry that stayed is visited at least once, perhaps twice; others
 * may be.
 */
size_t wwri_map_scan(const struct wwri_map *map, size_t cursor,
                     void (*visit)(struct wwr_view key, void *value, void *arg),
                     void *arg);

#endif
