/* The store of the server fixture. */
#include <stdlib.h>
#include <string.h>

#include "server_fixture.h"

static struct test_store *from_base(struct wwr_sessionstore *base) {
  return WWRI_CONTAINER(base, struct test_store, base);
}

/* Done now, or when the test releases it. */
static void finish(struct test_store *store, struct wwr_store_op *op,
                   wwr_err err, struct wwr_session *session) {
  pthread_mutex_lock(&fix.lock);
  bool hold = store->hold && store->held_count < KEEP_MAX;
  if (hold) {
    store->held[store->held_count].op = op;
    store->held[store->held_count].err = err;
    store->held[store->held_count++].session = session;
  }
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
  if (!hold) wwr_store_op_done(op, err, session);
}

static size_t find(const struct test_store *store, struct wwr_view key) {
  for (size_t i = 0; i < store->kept_count; i++) {
    if (view_is(key, wwr_session_key(store->kept[i]))) return i;
  }
  return SIZE_MAX;
}

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  struct test_store *store = from_base(base);
  (void)conn;
  pthread_mutex_lock(&fix.lock);
  store->created++;
  wwr_err err = store->created_err;
  if (err == WWR_OK && store->kept_count < KEEP_MAX) {
    store->kept[store->kept_count++] = wwr_session_ref(session);
  }
  pthread_mutex_unlock(&fix.lock);
  finish(store, op, err, NULL);
}

static void lookup(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct test_store *store = from_base(base);
  struct wwr_session *session = NULL;
  pthread_mutex_lock(&fix.lock);
  store->lookups++;
  wwr_err err = store->lookup_err;
  size_t at = find(store, key);
  if (err == WWR_OK && at == SIZE_MAX) err = WWR_E_SESSION_NOT_FOUND;
  if (err == WWR_OK) session = wwr_session_ref(store->kept[at]);
  pthread_mutex_unlock(&fix.lock);
  finish(store, op, err, session);
}

static void closed(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct test_store *store = from_base(base);
  pthread_mutex_lock(&fix.lock);
  store->closed++;
  wwr_err err = store->closed_err;
  size_t at = find(store, key);
  if (at != SIZE_MAX) {
    wwr_session_unref(store->kept[at]);
    store->kept[at] = store->kept[--store->kept_count];
  }
  pthread_mutex_unlock(&fix.lock);
  finish(store, op, err, NULL);
}

static void free_store(struct wwr_sessionstore *base) {
  struct test_store *store = from_base(base);
  if (store->held_count) fix.broken++;
  for (size_t i = 0; i < store->kept_count; i++) {
    wwr_session_unref(store->kept[i]);
  }
  store->kept_count = 0;
  store->freed = true;
}

static bool takes(struct wwr_sessionstore *base, struct wwr_view key) {
  struct test_store *store = from_base(base);
  CU_ASSERT(key.len > 0);
  return LOCKED(store->takes_not-- <= 0);
}

const struct wwr_sessionstore_ops test_store_ops[2] = {
    {created, lookup, closed, free_store, .blocking = false, .takes = takes},
    {created, lookup, closed, free_store, .blocking = true, .takes = takes}};

static void *release_thread(void *arg) {
  struct test_store *store = arg;
  pthread_mutex_lock(&fix.lock);
  /* Not what is held because of what this releases. */
  for (size_t left = store->held_count; left > 0; left--) {
    struct wwr_store_op *op = store->held[0].op;
    wwr_err err = store->held[0].err;
    struct wwr_session *session = store->held[0].session;
    --store->held_count;
    memmove(store->held, store->held + 1,
            store->held_count * sizeof *store->held);
    pthread_mutex_unlock(&fix.lock);
    wwr_store_op_done(op, err, session);
    pthread_mutex_lock(&fix.lock);
  }
  pthread_mutex_unlock(&fix.lock);
  return NULL;
}

void store_release(void) {
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(
      pthread_create(&thread, NULL, release_thread, &fix.store), 0);
  pthread_join(thread, NULL);
}

void store_put(const char *key, const char *info) {
  struct wwr_session *session;
  CU_ASSERT_EQUAL_FATAL(wwr_session_new(&session, wwr_view_str(key), 1000000000,
                                        2000000000, info),
                        WWR_OK);
  pthread_mutex_lock(&fix.lock);
  bool room = fix.store.kept_count < KEEP_MAX;
  if (room) fix.store.kept[fix.store.kept_count++] = session;
  pthread_mutex_unlock(&fix.lock);
  if (!room) wwr_session_unref(session);
}

bool store_has(const char *key) {
  return LOCKED(find(&fix.store, wwr_view_str(key)) != SIZE_MAX);
}

const char *peer_create(struct peer *peer) {
  peer_request(peer, 77, "create", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 77, "ok");
  return wwr_session_key(LOCKED(
      fix.store.kept_count ? fix.store.kept[fix.store.kept_count - 1] : NULL));
}
