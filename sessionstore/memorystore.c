/* memorystore.c - sessions in a map under one mutex, until the process ends.
 *
 * The happy path: `created` keeps a reference, `lookup` hands out the stored
 * session and puts one with the present time in its place, `closed` drops it.
 *
 * What can go wrong: the map is full (WWR_E_LIMIT) or memory is short. A
 * look-up that can't allocate the session's next state still answers: who
 * looked last matters less than a client that would forget its session. */
#include "wwr_stores.h"

#include <pthread.h>
#include <stdlib.h>

#include "map.h"
#include "session.h"

enum { DEFAULT_MAX_SESSIONS = 1000000 };

struct memory_store {
  struct wwr_sessionstore base;
  pthread_mutex_t mutex; /* guards what follows */
  struct wwri_map slots; /* key -> struct slot */
  size_t max_sessions;
};

/* The map can't replace a value, a slot can. */
struct slot {
  struct wwr_session *session;
};

static struct memory_store *from_base(struct wwr_sessionstore *base) {
  return (struct memory_store *)(void *)base;
}

static wwr_err insert(struct memory_store *store, struct wwr_view key,
                      struct wwr_session *session) {
  if (store->slots.count >= store->max_sessions) return WWR_E_LIMIT;
  struct slot *slot = malloc(sizeof *slot);
  if (!slot) return WWR_E_NOMEM;
  slot->session = session;
  wwr_err err = wwri_map_insert(&store->slots, key, slot);
  if (err != WWR_OK) free(slot);
  return err;
}

/* Consumes one reference of `session` on success. */
static wwr_err keep(struct memory_store *store, struct wwr_session *session,
                    struct wwr_session **replaced) {
  struct wwr_view key = wwr_view_str(wwr_session_key(session));
  struct slot *slot = wwri_map_get(&store->slots, key);
  if (!slot) return insert(store, key, session);
  *replaced = slot->session;
  slot->session = session;
  return WWR_OK;
}

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  struct memory_store *store = from_base(base);
  struct wwr_session *replaced = NULL;
  (void)conn;
  wwr_session_ref(session);
  pthread_mutex_lock(&store->mutex);
  wwr_err err = keep(store, session, &replaced);
  pthread_mutex_unlock(&store->mutex);
  wwr_session_unref(err == WWR_OK ? replaced : session);
  wwr_store_op_done(op, err, NULL);
}

/* The slot's session, its reference passing to the caller; the slot gets the
 * session as it is after this look-up. */
static struct wwr_session *touch(struct slot *slot, int64_t now_ns) {
  struct wwr_session *found = slot->session;
  struct wwr_session *next;
  if (wwri_session_looked_up(found, now_ns, &next) != WWR_OK) {
    return wwr_session_ref(found);
  }
  slot->session = next;
  return found;
}

static void lookup(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct memory_store *store = from_base(base);
  struct wwr_session *found = NULL;
  int64_t now_ns = wwri_unix_now_ns();
  pthread_mutex_lock(&store->mutex);
  struct slot *slot = wwri_map_get(&store->slots, key);
  if (slot) found = touch(slot, now_ns);
  pthread_mutex_unlock(&store->mutex);
  wwr_store_op_done(op, found ? WWR_OK : WWR_E_SESSION_NOT_FOUND, found);
}

static void free_slot(struct slot *slot) {
  if (!slot) return;
  wwr_session_unref(slot->session);
  free(slot);
}

static void closed(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct memory_store *store = from_base(base);
  pthread_mutex_lock(&store->mutex);
  struct slot *slot = wwri_map_remove(&store->slots, key);
  pthread_mutex_unlock(&store->mutex);
  free_slot(slot);
  wwr_store_op_done(op, WWR_OK, NULL);
}

static bool visit_free(struct wwr_view key, void *value, void *arg) {
  (void)key;
  (void)arg;
  free_slot(value);
  return true;
}

static void free_store(struct wwr_sessionstore *base) {
  struct memory_store *store = from_base(base);
  wwri_map_each(&store->slots, visit_free, NULL);
  wwri_map_deinit(&store->slots);
  pthread_mutex_destroy(&store->mutex);
  free(store);
}

static const struct wwr_sessionstore_ops memory_ops = {
    .created = created,
    .lookup = lookup,
    .closed = closed,
    .free = free_store,
    .blocking = false,
    .authority = NULL,
};

wwr_err wwr_memorystore_new(struct wwr_sessionstore **out,
                            size_t max_sessions) {
  *out = NULL;
  struct memory_store *store = calloc(1, sizeof *store);
  if (!store) return WWR_E_NOMEM;
  if (pthread_mutex_init(&store->mutex, NULL) != 0) {
    free(store);
    return WWR_E_NOMEM;
  }
  store->base.ops = &memory_ops;
  wwri_map_init(&store->slots);
  store->max_sessions = max_sessions ? max_sessions : DEFAULT_MAX_SESSIONS;
  *out = &store->base;
  return WWR_OK;
}
