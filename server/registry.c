/* Which connections have which session. Everything here is one step under one
 * lock; notices are queued (never written) inside it, so that their order on
 * the wire is the order of the steps.
 *
 * Also here: what a store with authority has counted (authority.c has the
 * rule). It is told after the lock was given back. */
#include <assert.h>
#include <stdlib.h>

#include "internal.h"

struct entry {
  struct wwri_list conns; /* wwr_conn.session_link */
  size_t count;
};

/* What a connection has lost. */
struct loss {
  struct wwr_session *session; /* its reference; NULL: there was none */
  bool last;                   /* no other connection has it */
  bool counted;
  struct wwri_store_op *opening;
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
  wwri_map_init(&registry->pending);
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
  wwri_map_each(&registry->pending, free_entry, NULL);
  wwri_map_deinit(&registry->pending);
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

/* --- Under way in a store without authority -------------------------------
 *
 * A look-up may read the session before a close has deleted it, and end when it
 * is gone: nobody may have it then. */

struct pending {
  unsigned ops; /* look-ups and closes */
  bool closed;
};

/* Under the lock; false: no memory. */
static bool enlist(struct wwri_registry *registry, struct wwri_store_op *op,
                   struct wwr_view key, bool closes) {
  if (registry->store) return true;
  struct pending *pending = wwri_map_get(&registry->pending, key);
  if (!pending) {
    pending = calloc(1, sizeof *pending);
    if (!pending) return false;
    if (wwri_map_insert(&registry->pending, key, pending) != WWR_OK) {
      free(pending);
      return false;
    }
  }
  pending->ops++;
  pending->closed |= closes;
  op->pending = true;
  return true;
}

bool wwri_registry_look(struct wwri_registry *registry,
                        struct wwri_store_op *op) {
  struct wwr_view key = {(const uint8_t *)op->key, op->key_len};
  pthread_mutex_lock(&registry->lock);
  bool good = enlist(registry, op, key, false);
  pthread_mutex_unlock(&registry->lock);
  return good;
}

void wwri_registry_looked(struct wwri_registry *registry, struct wwr_view key) {
  pthread_mutex_lock(&registry->lock);
  struct pending *pending = wwri_map_get(&registry->pending, key);
  assert(pending && pending->ops > 0);
  if (--pending->ops == 0) free(wwri_map_remove(&registry->pending, key));
  pthread_mutex_unlock(&registry->lock);
}

/* A generator may give the same key again. */
static bool is_closed(struct wwri_registry *registry,
                      const struct wwr_session *session, bool created) {
  struct pending *pending = wwri_map_get(&registry->pending, key_of(session));
  if (pending && created) pending->closed = false;
  return pending && pending->closed;
}

/* --- Losing a session ----------------------------------------------------- */

static struct loss take_off(struct wwri_registry *registry,
                            struct wwr_conn *conn) {
  struct loss loss = {.session = conn->session,
                      .counted = conn->counted,
                      .opening = conn->opening};
  if (!loss.session) return loss;
  struct wwr_view key = key_of(loss.session);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  assert(entry && entry->count > 0);
  wwri_list_remove(&conn->session_link);
  conn->session = NULL;
  wwri_conn_session_changed(conn);
  conn->counted = false;
  conn->opening = NULL;
  loss.last = --entry->count == 0;
  if (loss.last) free(wwri_map_remove(&registry->entries, key));
  return loss;
}

/* The session lives on. When its `created` is open, that ends the count. Not
 * under the lock. */
static void let_go(struct wwri_registry *registry, struct loss *loss) {
  if (loss->counted) wwri_store_detach(registry->store, key_of(loss->session));
  wwr_session_unref(loss->session);
}

/* A client that could not be told of a change must not live on with a wrong
 * idea of it. Not under the lock. */
static void close_if_untold(struct wwr_conn *conn, wwr_err sent) {
  if (sent == WWR_E_NOMEM) wwr_conn_close(conn);
}

/* --- Taking one ----------------------------------------------------------- */

static wwr_err attach_locked(struct wwri_registry *registry,
                             struct wwr_conn *conn, struct wwr_session *session,
                             uint32_t max, struct wwri_store_op *created,
                             struct loss *left) {
  if (conn->unreachable) return WWR_E_DISCONNECTED;
  if (conn->session && created) return WWR_E_SESSION_ACTIVE;
  if (is_closed(registry, session, created)) return WWR_E_SESSION_NOT_FOUND;
  struct entry *entry = entry_for(registry, key_of(session));
  if (!entry) return WWR_E_NOMEM;
  if (max && entry->count >= max) return WWR_E_MAX_SESSION_CONNS;
  /* Counted before the old one is left: it may be the same entry, which then
   * must not be freed in between. */
  entry->count++;
  *left = take_off(registry, conn);
  wwri_list_append(&entry->conns, &conn->session_link);
  conn->session = session;
  wwri_conn_session_changed(conn);
  conn->counted = registry->store && !created;
  conn->opening = created;
  return WWR_OK;
}

wwr_err wwri_registry_attach(struct wwri_registry *registry,
                             struct wwr_conn *conn, struct wwr_session *session,
                             uint32_t max, struct wwri_frame *notice,
                             struct wwri_store_op *created) {
  struct loss left = {0};
  wwr_err sent = WWR_OK;
  pthread_mutex_lock(&registry->lock);
  wwr_err err = attach_locked(registry, conn, session, max, created, &left);
  if (err == WWR_OK) sent = wwri_conn_send(conn, notice);
  pthread_mutex_unlock(&registry->lock);
  close_if_untold(conn, sent);
  let_go(registry, &left);
  return err;
}

void wwri_registry_created(struct wwri_registry *registry,
                           struct wwri_store_op *created) {
  struct wwr_conn *conn = created->conn;
  bool stored = registry->store && wwri_store_counts_created(created->err);
  pthread_mutex_lock(&registry->lock);
  bool kept = conn->opening == created;
  if (kept) {
    conn->opening = NULL;
    conn->counted = stored;
  }
  struct wwri_store_op *then = created->then;
  pthread_mutex_unlock(&registry->lock);
  if (then && then->call == WWRI_STORE_CLOSED) {
    /* What was not counted can't be given up; but the store may have it. */
    if (registry->store && !stored) then->call = WWRI_STORE_KILLED;
  } else if (stored && !kept) {
    wwri_store_detach(registry->store, key_of(created->session));
  }
  if (then) wwri_store_op_start(then);
}

/* --- Closing one ---------------------------------------------------------- */

/* Let `op` start only when the `created` of the same session is answered: in a
 * store that blocks it might overtake it, and what was closed would be there.
 */
static void park(struct wwri_store_op *op, struct wwri_store_op *opening) {
  if (!opening || op->call == WWRI_STORE_NOTHING) return;
  opening->then = op;
  atomic_fetch_add(&op->starts, 1);
}

static enum wwri_store_call closing_call(const struct wwri_registry *registry,
                                         const struct loss *loss) {
  if (!loss->session) return WWRI_STORE_NOTHING;
  if (!registry->store) {
    return loss->last ? WWRI_STORE_CLOSED : WWRI_STORE_NOTHING;
  }
  return loss->counted || loss->opening ? WWRI_STORE_CLOSED : WWRI_STORE_KILLED;
}

void wwri_registry_close(struct wwri_registry *registry, struct wwr_conn *conn,
                         struct wwri_frame *notice, struct wwri_store_op *op) {
  wwr_err sent = WWR_OK;
  pthread_mutex_lock(&registry->lock);
  struct loss loss = take_off(registry, conn);
  op->session = loss.session;
  op->call = closing_call(registry, &loss);
  park(op, loss.opening);
  if (op->call == WWRI_STORE_CLOSED) {
    (void)enlist(registry, op, key_of(loss.session), true);
  }
  if (loss.session && notice) {
    sent = wwri_conn_send(conn, wwri_frame_ref(notice));
  }
  pthread_mutex_unlock(&registry->lock);
  close_if_untold(conn, sent);
}

/* What expelling did, for when the lock was given back. */
struct expelled {
  size_t counted;
  wwr_err sent;
};

static void expel_all(struct wwri_registry *registry, struct entry *entry,
                      struct wwri_frame *notice, struct wwri_store_op *op,
                      struct wwr_close_result *results,
                      struct expelled *expelled) {
  struct wwri_list *link = entry->conns.next;
  for (size_t i = 0, n = entry->count; i < n; i++) {
    struct wwr_conn *conn = wwr_conn_ref(conn_of(link));
    link = link->next; /* before the last take_off frees the entry */
    struct loss loss = take_off(registry, conn);
    expelled->counted += loss.counted;
    park(op, loss.opening);
    wwr_session_unref(loss.session);
    if (wwri_conn_send(conn, wwri_frame_ref(notice)) == WWR_E_NOMEM) {
      expelled->sent = WWR_E_NOMEM;
    }
    results[i].conn = conn;
  }
}

static wwr_err expel_locked(struct wwri_registry *registry,
                            struct wwri_frame *notice, struct wwri_store_op *op,
                            struct wwr_close_result **results, size_t *count,
                            struct expelled *expelled) {
  struct wwr_view key = {(const uint8_t *)op->key, op->key_len};
  struct entry *entry = wwri_map_get(&registry->entries, key);
  op->call = entry || registry->store ? WWRI_STORE_KILLED : WWRI_STORE_NOTHING;
  if (!entry) return WWR_OK;
  *results = calloc(entry->count, sizeof **results);
  if (!*results) return WWR_E_NOMEM;
  *count = entry->count;
  (void)enlist(registry, op, key, true);
  expel_all(registry, entry, notice, op, *results, expelled);
  return WWR_OK;
}

wwr_err wwri_registry_expel(struct wwri_registry *registry,
                            struct wwri_frame *notice, struct wwri_store_op *op,
                            struct wwr_close_result **results, size_t *count) {
  struct expelled expelled = {0};
  *results = NULL;
  *count = 0;
  pthread_mutex_lock(&registry->lock);
  wwr_err err = expel_locked(registry, notice, op, results, count, &expelled);
  pthread_mutex_unlock(&registry->lock);
  for (size_t i = 0; i < *count; i++) {
    close_if_untold((*results)[i].conn, expelled.sent);
  }
  struct wwr_view key = {(const uint8_t *)op->key, op->key_len};
  while (expelled.counted-- > 0) wwri_store_detach(registry->store, key);
  return err;
}

/* --- On one shard --------------------------------------------------------- */

static size_t take_some(struct wwri_registry *registry, struct entry *entry,
                        const struct wwri_shard *shard,
                        struct wwri_frame *notice, struct wwr_conn **out,
                        size_t max, struct expelled *taken) {
  size_t count = 0;
  struct wwri_list *link = entry->conns.next;
  for (size_t left = entry->count; left > 0 && count < max; left--) {
    struct wwr_conn *conn = conn_of(link);
    link = link->next;
    if (conn->shard != shard) continue;
    struct loss loss = take_off(registry, conn);
    taken->counted += loss.counted;
    wwr_session_unref(loss.session);
    if (notice && wwri_conn_send(conn, wwri_frame_ref(notice)) == WWR_E_NOMEM) {
      taken->sent = WWR_E_NOMEM;
    }
    out[count++] = wwr_conn_ref(conn);
  }
  return count;
}

size_t wwri_registry_take(struct wwri_registry *registry, struct wwr_view key,
                          const struct wwri_shard *shard,
                          struct wwri_frame *notice, struct wwr_conn **out,
                          size_t max) {
  struct expelled taken = {0};
  size_t count = 0;
  pthread_mutex_lock(&registry->lock);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  if (entry) {
    count = take_some(registry, entry, shard, notice, out, max, &taken);
  }
  pthread_mutex_unlock(&registry->lock);
  for (size_t i = 0; i < count; i++) close_if_untold(out[i], taken.sent);
  while (taken.counted-- > 0) wwri_store_detach(registry->store, key);
  return count;
}

void wwri_registry_send(struct wwri_registry *registry, struct wwr_view key,
                        const struct wwri_shard *shard,
                        struct wwri_frame *frame) {
  pthread_mutex_lock(&registry->lock);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  struct wwri_list *link = entry ? entry->conns.next : NULL;
  for (size_t i = 0; entry && i < entry->count; i++, link = link->next) {
    if (conn_of(link)->shard != shard) continue;
    (void)wwri_conn_send(conn_of(link), wwri_frame_ref(frame));
  }
  pthread_mutex_unlock(&registry->lock);
}

/* --- Leaving -------------------------------------------------------------- */

void wwri_registry_seal(struct wwri_registry *registry, struct wwr_conn *conn) {
  pthread_mutex_lock(&registry->lock);
  conn->unreachable = true;
  pthread_mutex_unlock(&registry->lock);
}

void wwri_registry_leave(struct wwri_registry *registry,
                         struct wwr_conn *conn) {
  pthread_mutex_lock(&registry->lock);
  conn->unreachable = true;
  struct loss loss = take_off(registry, conn);
  pthread_mutex_unlock(&registry->lock);
  let_go(registry, &loss);
}

void wwri_registry_closing(struct wwri_registry *registry,
                           struct wwr_conn *conn) {
  pthread_mutex_lock(&registry->lock);
  if (atomic_load(&conn->open) == 0) conn->unreachable = true;
  pthread_mutex_unlock(&registry->lock);
}

/* --- Queries -------------------------------------------------------------- */

size_t wwri_registry_count(struct wwri_registry *registry) {
  pthread_mutex_lock(&registry->lock);
  size_t count = registry->entries.count;
  pthread_mutex_unlock(&registry->lock);
  return count;
}

struct scan {
  void (*visit)(struct wwr_session *session, size_t connections, void *arg);
  void *arg;
};

static void scan_entry(struct wwr_view key, void *value, void *arg) {
  const struct entry *entry = value;
  const struct scan *scan = arg;
  (void)key;
  scan->visit(conn_of(entry->conns.next)->session, entry->count, scan->arg);
}

size_t wwri_registry_scan(struct wwri_registry *registry, size_t cursor,
                          void (*visit)(struct wwr_session *session,
                                        size_t connections, void *arg),
                          void *arg) {
  struct scan scan = {visit, arg};
  pthread_mutex_lock(&registry->lock);
  cursor = wwri_map_scan(&registry->entries, cursor, scan_entry, &scan);
  pthread_mutex_unlock(&registry->lock);
  return cursor;
}

long wwri_registry_conn_count(struct wwri_registry *registry,
                              struct wwr_view key) {
  pthread_mutex_lock(&registry->lock);
  struct entry *entry = wwri_map_get(&registry->entries, key);
  long count = entry ? (long)entry->count : -1;
  pthread_mutex_unlock(&registry->lock);
  return count;
}

static wwr_err conns_locked(struct wwri_registry *registry, struct wwr_view key,
                            struct wwr_conn ***out, size_t *count) {
  struct entry *entry = wwri_map_get(&registry->entries, key);
  if (!entry) return WWR_OK;
  struct wwr_conn **conns = malloc(entry->count * sizeof(struct wwr_conn *));
  if (!conns) return WWR_E_NOMEM;
  struct wwri_list *link = entry->conns.next;
  for (size_t i = 0; i < entry->count; i++, link = link->next) {
    conns[i] = wwr_conn_ref(conn_of(link));
  }
  *count = entry->count;
  *out = conns;
  return WWR_OK;
}

wwr_err wwri_registry_conns(struct wwri_registry *registry, struct wwr_view key,
                            struct wwr_conn ***out, size_t *count) {
  *out = NULL;
  *count = 0;
  pthread_mutex_lock(&registry->lock);
  wwr_err err = conns_locked(registry, key, out, count);
  pthread_mutex_unlock(&registry->lock);
  return err;
}
