/* Which connections have which session. Everything here is one step under one
 * lock; notices are queued (never written) inside it, so that their order on
 * the wire is the order of the steps. */
#include <assert.h>
#include <stdlib.h>

#include "internal.h"

struct entry {
  struct wwri_list conns; /* wwr_conn.session_link */
  size_t count;
};

static struct wwr_view key_of(const struct wwr_session *session) {
  return wwr_view_str(wwr_session_key(session));
}

static struct wwr_conn *conn_of(struct wwri_list *link) {
  return WWRI_CONTAINER(link, struct wwr_conn, session_link);
}

void wwri_registry_init(struct wwri_registry *registry) {
  pthread_mutex_init(&registry->lock, NULL);
  wwri_map_init(&registry->entries);
}

static bool free_entry(struct wwr_view key, void *value, void *arg) {
  (void)key;
  (void)arg;
  free(value);
  return true;
}

void wwri_registry_deinit(struct wwri_registry *registry) {
  wwri_map_each(&registry->entries, free_entry, NULL);
  wwri_map_deinit(&registry->entries);
  pthread_mutex_destroy(&registry->lock);
}

/* The entry of a session, made when it is missing; NULL: no memory. */
static struct entry *entry_for(struct wwri_registry *registry,
                               struct wwr_view key) {
  struct entry *entry = wwri_map_get(&registry->entries, key);
  if (entry) return entry;
  entry = calloc(1, sizeof *entry);
  if (!entry) return NULL;
  wwri_list_init(&entry->conns);
  if (wwri_map_insert(&registry->entries, key, entry) != WWR_OK) {
    free(entry);
    return NULL;
  }
  return entry;
}

/* Take the session off; its reference. */
static struct wwr_session *take_off(struct wwri_registry *registry,
                                    struct wwr_conn *conn, bool *last) {
  struct wwr_session *session = conn->session;
  struct wwr_view key = key_of(session);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  assert(entry && entry->count > 0);
  wwri_list_remove(&conn->session_link);
  conn->session = NULL;
  *last = --entry->count == 0;
  if (*last) free(wwri_map_remove(&registry->entries, key));
  return session;
}

static wwr_err attach_locked(struct wwri_registry *registry,
                             struct wwr_conn *conn, struct wwr_session *session,
                             bool replace, uint32_t max,
                             struct wwr_session **left) {
  if (conn->unreachable) return WWR_E_DISCONNECTED;
  if (conn->session && !replace) return WWR_E_SESSION_ACTIVE;
  struct entry *entry = entry_for(registry, key_of(session));
  if (!entry) return WWR_E_NOMEM;
  if (max && entry->count >= max) return WWR_E_MAX_SESSION_CONNS;
  /* Counted before the old one is left: it may be the same entry, which then
   * must not be freed in between. */
  entry->count++;
  if (conn->session) {
    bool last;
    *left = take_off(registry, conn, &last);
  }
  wwri_list_append(&entry->conns, &conn->session_link);
  conn->session = session;
  return WWR_OK;
}

/* A client that could not be told of a change must not live on with a wrong
 * idea of it. Not under the lock. */
static void close_if_untold(struct wwr_conn *conn, wwr_err sent) {
  if (sent == WWR_E_NOMEM) wwr_conn_close(conn);
}

wwr_err wwri_registry_attach(struct wwri_registry *registry,
                             struct wwr_conn *conn, struct wwr_session *session,
                             bool replace, uint32_t max,
                             struct wwri_frame *notice) {
  struct wwr_session *left = NULL;
  wwr_err sent = WWR_OK;
  pthread_mutex_lock(&registry->lock);
  wwr_err err = attach_locked(registry, conn, session, replace, max, &left);
  if (err == WWR_OK && notice) sent = wwri_conn_send(conn, notice);
  pthread_mutex_unlock(&registry->lock);
  close_if_untold(conn, sent);
  wwr_session_unref(left);
  return err;
}

struct wwr_session *wwri_registry_detach(struct wwri_registry *registry,
                                         struct wwr_conn *conn, bool *last,
                                         struct wwri_frame *notice) {
  struct wwr_session *session = NULL;
  wwr_err sent = WWR_OK;
  *last = false;
  pthread_mutex_lock(&registry->lock);
  if (conn->session) {
    session = take_off(registry, conn, last);
    if (notice) sent = wwri_conn_send(conn, wwri_frame_ref(notice));
  }
  pthread_mutex_unlock(&registry->lock);
  close_if_untold(conn, sent);
  wwri_frame_unref(notice);
  return session;
}

void wwri_registry_seal(struct wwri_registry *registry, struct wwr_conn *conn) {
  pthread_mutex_lock(&registry->lock);
  conn->unreachable = true;
  pthread_mutex_unlock(&registry->lock);
}

void wwri_registry_leave(struct wwri_registry *registry,
                         struct wwr_conn *conn) {
  struct wwr_session *session = NULL;
  bool last;
  pthread_mutex_lock(&registry->lock);
  conn->unreachable = true;
  if (conn->session) session = take_off(registry, conn, &last);
  pthread_mutex_unlock(&registry->lock);
  wwr_session_unref(session);
}

void wwri_registry_closing(struct wwri_registry *registry,
                           struct wwr_conn *conn) {
  pthread_mutex_lock(&registry->lock);
  if (atomic_load(&conn->open) == 0) conn->unreachable = true;
  pthread_mutex_unlock(&registry->lock);
}

size_t wwri_registry_count(struct wwri_registry *registry) {
  pthread_mutex_lock(&registry->lock);
  size_t count = registry->entries.count;
  pthread_mutex_unlock(&registry->lock);
  return count;
}

long wwri_registry_conn_count(struct wwri_registry *registry,
                              struct wwr_view key) {
  pthread_mutex_lock(&registry->lock);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  long count = entry ? (long)entry->count : -1;
  pthread_mutex_unlock(&registry->lock);
  return count;
}

static wwr_err close_on(struct wwri_registry *registry, struct wwr_conn *conn,
                        struct wwri_frame *notice) {
  bool last;
  struct wwr_session *session = take_off(registry, conn, &last);
  wwr_session_unref(session);
  return wwri_conn_send(conn, wwri_frame_ref(notice));
}

static wwr_err conns_locked(struct wwri_registry *registry, struct wwr_view key,
                            struct wwri_frame *notice, struct wwr_conn ***out,
                            size_t *count, wwr_err *sent) {
  struct entry *entry = wwri_map_get(&registry->entries, key);
  if (!entry) return WWR_OK;
  struct wwr_conn **conns = malloc(entry->count * sizeof(struct wwr_conn *));
  if (!conns) return WWR_E_NOMEM;
  struct wwri_list *link = entry->conns.next;
  for (size_t i = 0, n = entry->count; i < n; i++) {
    conns[i] = wwr_conn_ref(conn_of(link));
    link = link->next; /* before the last take_off frees the entry */
    if (notice && close_on(registry, conns[i], notice) == WWR_E_NOMEM) {
      *sent = WWR_E_NOMEM;
    }
    ++*count;
  }
  *out = conns;
  return WWR_OK;
}

wwr_err wwri_registry_conns(struct wwri_registry *registry, struct wwr_view key,
                            struct wwri_frame *notice, struct wwr_conn ***out,
                            size_t *count) {
  *out = NULL;
  *count = 0;
  wwr_err sent = WWR_OK;
  pthread_mutex_lock(&registry->lock);
  wwr_err err = conns_locked(registry, key, notice, out, count, &sent);
  pthread_mutex_unlock(&registry->lock);
  for (size_t i = 0; i < *count; i++) close_if_untold((*out)[i], sent);
  return err;
}
