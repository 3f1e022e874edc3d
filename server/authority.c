/* A store with authority over several nodes (wwr_sessionstore.h): what the
 * server asks it differently, and what it tells the server.
 *
 * The rule of counting: every `attach` that succeeded, and every `created` that
 * succeeded or that the store goes on with by itself (unavailable), is one
 * count, and exactly one detach or leave ends it. Between the two it is carried
 * by exactly one of
 *   - the operation, from the store's answer until `finished` (session.c),
 *   - conn->counted, under the registry's lock (registry.c),
 *   - a `leave` on its way to the store (session_close.c).
 * A carrier hands it on in the step in which it lets go: a restore whose
 * connection is gone, can't take the session or waits no more detaches; taking
 * a session off a connection detaches, or makes a leave of it. While a
 * `created` is open nothing is counted and nobody knows whether it will be, so
 * who takes the session off meanwhile leaves the rest to
 * wwri_registry_created(). An event changes no count.
 *
 * Events are mailed to every shard, behind the answers that the store gave
 * before, so a restore whose answer was under way is affected as well. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
  TAKE_MAX = 32,
  /* Signals that wait in mailboxes: they are sent at most once, so what would
   * not fit into memory is dropped. */
  RECEIVED_MAX_BYTES = 64 << 20
};

/* --- Asking --------------------------------------------------------------- */

bool wwri_store_counts_created(wwr_err err) {
  return err == WWR_OK || err == WWR_E_UNAVAILABLE;
}

uint32_t wwri_store_own_limit(const struct wwr_server *server) {
  return wwri_store_decides(server) ? 0 : server->opts.max_session_conns;
}

bool wwri_store_is_answer(const struct wwr_server *server, wwr_err err) {
  return !wwri_store_decides(server) || err == WWR_E_SESSION_NOT_FOUND ||
         err == WWR_E_MAX_SESSION_CONNS || err == WWR_E_BUFFER_OVERFLOW;
}

void wwri_store_detach(struct wwr_sessionstore *store, struct wwr_view key) {
  if (store) store->ops->authority->detach(store, key);
}

/* --- Events --------------------------------------------------------------- */

struct event;

/* The event as one shard gets it. */
struct share {
  struct wwri_mail mail;
  struct wwri_shard *shard;
  struct event *event;
};

struct event {
  atomic_size_t left; /* shares that have not run */
  void (*run)(struct event *event, struct wwri_shard *shard);
  struct wwri_frame *frame; /* a reference; NULL but for signals */
  struct wwr_view key;      /* behind the shares */
  struct share shares[];
};

static size_t frame_bytes(const struct wwri_frame *frame) {
  return frame ? wwri_frame_view(frame).len : 0;
}

static void share_arrived(struct wwri_mail *mail) {
  struct share *share = WWRI_CONTAINER(mail, struct share, mail);
  struct event *event = share->event;
  struct wwr_server *server = share->shard->server;
  event->run(event, share->shard);
  if (atomic_fetch_sub(&event->left, 1) > 1) return;
  atomic_fetch_sub(&server->received_bytes, frame_bytes(event->frame));
  wwri_frame_unref(event->frame);
  free(event);
}

/* False: no memory. */
static bool post_event(struct wwr_server *server,
                       void (*run)(struct event *, struct wwri_shard *),
                       struct wwr_view key, struct wwri_frame *frame) {
  size_t count = server->shard_count;
  size_t head = sizeof(struct event) + count * sizeof(struct share);
  struct event *event = malloc(head + key.len);
  if (!event) return false;
  uint8_t *copy = (uint8_t *)event + head;
  if (key.len) memcpy(copy, key.data, key.len);
  atomic_init(&event->left, count);
  event->run = run;
  event->frame = frame ? wwri_frame_ref(frame) : NULL;
  event->key = (struct wwr_view){copy, key.len};
  atomic_fetch_add(&server->received_bytes, frame_bytes(frame));
  for (size_t i = 0; i < count; i++) {
    event->shares[i] =
        (struct share){{.fn = share_arrived}, &server->shards[i], event};
  }
  for (size_t i = 0; i < count; i++) {
    wwri_loop_post(server->loops[i], &event->shares[i].mail);
  }
  return true;
}

/* --- Closed and evicted --------------------------------------------------- */

static void evict(struct wwr_conn *conn) {
  wwri_log(&conn->server->opts.log, WWR_LOG_INFO, conn->id,
           "the session's place was taken while this node was away", NULL);
  wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_E_UNAVAILABLE);
}

static void take_all(struct event *event, struct wwri_shard *shard,
                     struct wwri_frame *notice,
                     void (*then)(struct wwr_conn *conn)) {
  struct wwri_registry *registry = &shard->server->registry;
  struct wwr_conn *conns[TAKE_MAX];
  size_t count;
  do {
    count = wwri_registry_take(registry, event->key, shard, notice, conns,
                               TAKE_MAX);
    for (size_t i = 0; i < count; i++) {
      if (then) then(conns[i]);
      wwr_conn_unref(conns[i]);
    }
  } while (count == TAKE_MAX);
}

static void closed_here(struct event *event, struct wwri_shard *shard) {
  take_all(event, shard, shard->server->session_gone, NULL);
}

static void evicted_here(struct event *event, struct wwri_shard *shard) {
  take_all(event, shard, NULL, evict);
}

/* --- No memory for an event ----------------------------------------------- */

/* Whose session it was is not known any more: every connection that has one is
 * closed, undestroyed, and its client will be told when it restores it. */
static void relapse_arrived(struct wwri_mail *mail) {
  struct wwri_shard *shard = WWRI_CONTAINER(mail, struct wwri_shard, relapse);
  for (size_t i = shard->own.conn_count; i-- > 0;) {
    struct wwr_conn *conn = shard->own.conns[i];
    if (!wwr_conn_has_session(conn)) continue;
    wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_E_NOMEM);
  }
  /* Once for each event, and each time behind what was posted before it. */
  if (atomic_fetch_sub(&shard->relapses, 1) > 1) {
    wwri_loop_post(shard->loop, &shard->relapse);
  }
}

void wwri_authority_init_shard(struct wwri_shard *shard) {
  shard->relapse.fn = relapse_arrived;
  atomic_init(&shard->relapses, 0);
}

static void post_or_relapse(struct wwr_server *server,
                            void (*run)(struct event *, struct wwri_shard *),
                            struct wwr_view key) {
  if (post_event(server, run, key, NULL)) return;
  wwri_log(&server->opts.log, WWR_LOG_ERROR, 0,
           "out of memory, connections with sessions are dropped", NULL);
  for (size_t i = 0; i < server->shard_count; i++) {
    struct wwri_shard *shard = &server->shards[i];
    if (atomic_fetch_add(&shard->relapses, 1) == 0) {
      wwri_loop_post(shard->loop, &shard->relapse);
    }
  }
}

static void on_closed(void *owner, struct wwr_view key) {
  post_or_relapse(owner, closed_here, key);
}

static void on_evicted(void *owner, struct wwr_view key) {
  post_or_relapse(owner, evicted_here, key);
}

/* --- Signals -------------------------------------------------------------- */

static void signal_here(struct event *event, struct wwri_shard *shard) {
  wwri_registry_send(&shard->server->registry, event->key, shard, event->frame);
}

wwr_err wwri_session_signal_local(struct wwr_server *server,
                                  struct wwr_view key,
                                  struct wwri_frame *frame) {
  size_t waiting = atomic_load(&server->received_bytes);
  if (waiting && waiting + frame_bytes(frame) > RECEIVED_MAX_BYTES) {
    return WWR_E_LIMIT;
  }
  return post_event(server, signal_here, key, frame) ? WWR_OK : WWR_E_NOMEM;
}

/* The bytes come from another process, by way of Redis: only what this server
 * could have sent by itself goes on. */
static wwr_err check_signal(const struct wwr_server *server,
                            struct wwr_view bytes, struct wwri_frame **out) {
  struct wwri_msg msg;
  wwr_err err = wwri_decode(bytes, &msg);
  if (err != WWR_OK) return err;
  if (msg.type < WWRI_SIGNAL_BINARY || msg.type > WWRI_SIGNAL_UTF16) {
    return WWR_E_PROTOCOL;
  }
  return wwri_encode_frame(&msg, server->opts.message_buffer_bytes, out);
}

static void on_received(void *owner, struct wwr_view key,
                        struct wwr_view bytes) {
  struct wwr_server *server = owner;
  struct wwri_frame *frame = NULL;
  wwr_err err = check_signal(server, bytes, &frame);
  if (err == WWR_OK) err = wwri_session_signal_local(server, key, frame);
  wwri_frame_unref(frame);
  if (err == WWR_OK) return;
  wwri_log(&server->opts.log, WWR_LOG_WARN, 0,
           "a signal to a session was dropped", "error", wwr_err_name(err),
           NULL);
}

/* --- Watching ------------------------------------------------------------- */

static const struct wwr_sessionstore_events events = {
    .closed = on_closed,
    .evicted = on_evicted,
    .received = on_received,
};

void wwri_authority_watch(struct wwr_server *server) {
  struct wwr_sessionstore *store = server->registry.store;
  if (!store) return;
  server->watching = true;
  store->ops->authority->watch(store, &events, server);
}

void wwri_authority_unwatch(struct wwr_server *server) {
  struct wwr_sessionstore *store = server->registry.store;
  if (!server->watching) return;
  store->ops->authority->watch(store, NULL, NULL);
}
