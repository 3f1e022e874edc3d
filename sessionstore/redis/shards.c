/* shards.c - the session store of a node that has several memberships: one
 * store on each, and the one that has the session is asked, by its id.
 *
 * All memberships have one thread, so that what the stores tell is told one at
 * a time, as the server expects it. Stopping, they are waited for together. */
#include "store_impl.h"

#include <stdlib.h>

struct shards {
  struct wwr_sessionstore base;
  struct wwr_cluster *cluster;
  struct wwri_keeper_room room; /* of all keepers; the member thread's */
  size_t count;
  struct wwr_sessionstore *stores[]; /* as the memberships */
};

static struct shards *from_base(struct wwr_sessionstore *base) {
  return (struct shards *)(void *)base;
}

/* What is no key is looked for nowhere: any store says so. */
static size_t place_of(const struct shards *shards, struct wwr_view key) {
  char id[WWRI_SESSION_ID_LEN + 1];
  if (!wwri_session_id(key, id)) return 0;
  return wwri_cluster_member_for(shards->cluster, wwr_view_str(id));
}

static struct wwr_sessionstore *store_for(struct wwr_sessionstore *base,
                                          struct wwr_view key) {
  const struct shards *shards = from_base(base);
  return shards->stores[place_of(shards, key)];
}

/* --- Hooks -------------------------------------------------------------- */

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  struct wwr_sessionstore *store =
      store_for(base, wwr_view_str(wwr_session_key(session)));
  store->ops->created(store, conn, session, op);
}

static void lookup(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->lookup(store, key, op);
}

static void closed(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->closed(store, key, op);
}

static void attach(struct wwr_sessionstore *base, struct wwr_view key,
                   uint32_t max, struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->attach(store, key, max, op);
}

static void detach(struct wwr_sessionstore *base, struct wwr_view key) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->detach(store, key);
}

static void leave(struct wwr_sessionstore *base, struct wwr_view key,
                  struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->leave(store, key, op);
}

static void kill_session(struct wwr_sessionstore *base, struct wwr_view key,
                         struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->kill(store, key, op);
}

static void places(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_places_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->places(store, key, op);
}

static void send_bytes(struct wwr_sessionstore *base, struct wwr_view key,
                       struct wwr_view bytes, struct wwr_store_op *op) {
  struct wwr_sessionstore *store = store_for(base, key);
  store->ops->authority->send(store, key, bytes, op);
}

/* When the last of them has none under way, none of them has. */
static void watch(struct wwr_sessionstore *base,
                  const struct wwr_sessionstore_events *events, void *owner) {
  const struct shards *shards = from_base(base);
  for (size_t i = 0; i < shards->count; i++) {
    struct wwr_sessionstore *store = shards->stores[i];
    store->ops->authority->watch(store, events, owner);
  }
}

/* New sessions go where they can be kept now. */
static bool takes(struct wwr_sessionstore *base, struct wwr_view key) {
  const struct shards *shards = from_base(base);
  struct wwri_member *member =
      wwri_cluster_member(shards->cluster, place_of(shards, key));
  return wwri_member_health(member, NULL, 0) == WWRI_BUS_READY;
}

/* --- Life --------------------------------------------------------------- */

static void free_shards(struct wwr_sessionstore *base) {
  struct shards *shards = from_base(base);
  wwri_store_free_all(shards->stores, shards->count);
  free(shards);
}

static const struct wwr_sessionauthority_ops authority_ops = {
    .attach = attach,
    .detach = detach,
    .leave = leave,
    .kill = kill_session,
    .places = places,
    .send = send_bytes,
    .watch = watch,
};

static const struct wwr_sessionstore_ops shards_ops = {
    .created = created,
    .lookup = lookup,
    .closed = closed,
    .free = free_shards,
    .blocking = false,
    .authority = &authority_ops,
    .takes = takes,
};

wwr_err wwr_redisstore_new(struct wwr_sessionstore **out,
                           struct wwr_cluster *cluster) {
  size_t count = wwri_cluster_members(cluster);
  *out = NULL;
  if (count == 1) {
    return wwri_store_new(out, wwri_cluster_member(cluster, 0), NULL, 1);
  }
  struct shards *shards =
      calloc(1, sizeof *shards + count * sizeof *shards->stores);
  if (!shards) return WWR_E_NOMEM;
  shards->base.ops = &shards_ops;
  shards->cluster = cluster;
  for (; shards->count < count; shards->count++) {
    size_t i = shards->count;
    wwr_err err =
        wwri_store_new(&shards->stores[i], wwri_cluster_member(cluster, i),
                       &shards->room, (unsigned)count);
    if (!err) continue;
    free_shards(&shards->base);
    return err;
  }
  *out = &shards->base;
  return WWR_OK;
}
