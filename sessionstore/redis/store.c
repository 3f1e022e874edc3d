/* store.c - the Redis session store as the server sees it. Every call becomes
 * mail to the member thread, where the keeper has the say; results come from
 * there.
 *
 * What can go wrong: no memory for a request: the operation ends WWR_E_NOMEM. A
 * detach must not fail: it uses what the attach has left for it. */
#include "store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "replies.h"
#include "session.h"

static struct store *from_base(struct wwr_sessionstore *base) {
  return (struct store *)(void *)base;
}

/* --- Requests ----------------------------------------------------------- */

static struct request *take_spare(struct store *store) {
  pthread_mutex_lock(&store->lock);
  struct request *request = store->spares;
  if (request) store->spares = request->next;
  pthread_mutex_unlock(&store->lock);
  return request;
}

static void put_spare(struct request *request) {
  struct store *store = request->store;
  pthread_mutex_lock(&store->lock);
  request->next = store->spares;
  store->spares = request;
  pthread_mutex_unlock(&store->lock);
}

/* A connection that is counted leaves its request for its detach. */
static bool leaves_spare(const struct wwri_keeper_op *op, wwr_err err) {
  if (op->ask == WWRI_ASK_ATTACH) return err == WWR_OK;
  return op->ask == WWRI_ASK_CREATE &&
         (err == WWR_OK || err == WWR_E_UNAVAILABLE);
}

static void on_done(struct wwri_keeper_op *op, wwr_err err,
                    const struct wwri_keeper_answer *answer) {
  struct request *request = WWRI_CONTAINER(op, struct request, op);
  struct wwr_store_op *done = request->done;
  struct wwr_session *session = answer ? answer->session : NULL;
  if (op->ask == WWRI_ASK_CREATE) wwr_session_unref(op->session);
  if (leaves_spare(op, err)) {
    put_spare(request);
  } else {
    free(request);
  }
  wwr_store_op_done(done, err, session ? wwr_session_ref(session) : NULL);
}

static void on_places(struct wwri_keeper_op *op, wwr_err err,
                      const struct wwri_keeper_answer *answer) {
  struct request *request = WWRI_CONTAINER(op, struct request, op);
  struct wwr_store_places_op *places = request->places;
  struct wwr_session_place out[64];
  size_t count = answer ? answer->place_count : 0;
  struct wwr_session_place *all = out;
  if (count > sizeof out / sizeof *out) all = calloc(count, sizeof *all);
  if (!all) err = WWR_E_NOMEM;
  if (err != WWR_OK) count = 0;
  for (size_t i = 0; i < count; i++) {
    all[i].node = answer->places[i].node;
    all[i].connections = answer->places[i].count;
  }
  free(request);
  places->done(places, err, count ? all : NULL, count);
  if (all != out) free(all);
}

static void do_ask(struct wwri_mail *mail) {
  struct request *request = WWRI_CONTAINER(mail, struct request, mail);
  struct store *store = request->store;
  wwri_keeper_ask(store->keeper, &request->op, wwri_member_now());
  wwri_store_run_soon(store);
}

static void do_detach(struct wwri_mail *mail) {
  struct request *request = WWRI_CONTAINER(mail, struct request, mail);
  struct store *store = request->store;
  struct wwr_view key = {request->key, request->key_len};
  wwri_keeper_detach(store->keeper, key, wwri_member_now());
  free(request);
  wwri_store_run_soon(store);
}

static void fill(struct request *request, struct store *store,
                 enum wwri_keeper_ask ask, struct wwr_view key) {
  *request = (struct request){.mail = {.fn = do_ask}, .store = store};
  request->op.done = on_done;
  request->op.ask = ask;
  memcpy(request->key, key.data, key.len);
  request->key_len = key.len;
  request->op.key = (struct wwr_view){request->key, key.len};
}

static void post(struct request *request) {
  wwri_loop_post(wwri_member_loop(request->store->member), &request->mail);
}

/* NULL: ended at once, for it is no key, or there is no memory. */
static struct request *begin(struct store *store, enum wwri_keeper_ask ask,
                             struct wwr_view key, size_t room,
                             struct wwr_store_op *done, wwr_err for_no_key) {
  wwr_err err = for_no_key;
  struct request *request = NULL;
  if (wwri_session_key_ok(key)) {
    request = malloc(sizeof *request + room);
    err = WWR_E_NOMEM;
  }
  if (request) {
    fill(request, store, ask, key);
    request->done = done;
  } else if (done) {
    wwr_store_op_done(done, err, NULL);
  }
  return request;
}

static void ask(struct wwr_sessionstore *base, enum wwri_keeper_ask what,
                struct wwr_view key, uint32_t max, struct wwr_store_op *done,
                wwr_err for_no_key) {
  struct request *request =
      begin(from_base(base), what, key, 0, done, for_no_key);
  if (!request) return;
  request->op.max = max;
  request->op.look_ns = wwri_unix_now_ns();
  post(request);
}

/* --- Hooks -------------------------------------------------------------- */

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  struct wwr_view key = wwr_view_str(wwr_session_key(session));
  struct request *request =
      begin(from_base(base), WWRI_ASK_CREATE, key, 0, op, WWR_E_INVALID);
  (void)conn;
  if (!request) return;
  request->op.session = wwr_session_ref(session);
  post(request);
}

static void lookup(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  ask(base, WWRI_ASK_LOOKUP, key, 0, op, WWR_E_SESSION_NOT_FOUND);
}

static void closed(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  ask(base, WWRI_ASK_DESTROY, key, 0, op, WWR_OK);
}

static void attach(struct wwr_sessionstore *base, struct wwr_view key,
                   uint32_t max, struct wwr_store_op *op) {
  ask(base, WWRI_ASK_ATTACH, key, max, op, WWR_E_SESSION_NOT_FOUND);
}

static void detach(struct wwr_sessionstore *base, struct wwr_view key) {
  struct store *store = from_base(base);
  if (!wwri_session_key_ok(key)) return;
  struct request *request = take_spare(store);
  if (!request) return; /* more detaches than attaches */
  fill(request, store, WWRI_ASK_LEAVE, key);
  request->mail.fn = do_detach;
  post(request);
}

static void leave(struct wwr_sessionstore *base, struct wwr_view key,
                  struct wwr_store_op *op) {
  struct store *store = from_base(base);
  if (!wwri_session_key_ok(key)) {
    wwr_store_op_done(op, WWR_OK, NULL);
    return;
  }
  struct request *request = take_spare(store);
  if (!request) {
    wwr_store_op_done(op, WWR_OK, NULL);
    return;
  }
  fill(request, store, WWRI_ASK_LEAVE, key);
  request->done = op;
  post(request);
}

static void kill_session(struct wwr_sessionstore *base, struct wwr_view key,
                         struct wwr_store_op *op) {
  ask(base, WWRI_ASK_KILL, key, 0, op, WWR_OK);
}

static void places(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_places_op *op) {
  struct store *store = from_base(base);
  struct request *request = begin(store, WWRI_ASK_PLACES, key, 0, NULL, WWR_OK);
  if (!request) {
    bool ok = wwri_session_key_ok(key);
    op->done(op, ok ? WWR_E_NOMEM : WWR_E_SESSION_NOT_FOUND, NULL, 0);
    return;
  }
  request->op.done = on_places;
  request->places = op;
  post(request);
}

static void send_bytes(struct wwr_sessionstore *base, struct wwr_view key,
                       struct wwr_view bytes, struct wwr_store_op *op) {
  if (bytes.len > STORE_SEND_MAX) {
    wwr_store_op_done(op, WWR_E_BUFFER_OVERFLOW, NULL);
    return;
  }
  struct request *request = begin(from_base(base), WWRI_ASK_SEND, key,
                                  bytes.len, op, WWR_E_SESSION_NOT_FOUND);
  if (!request) return;
  if (bytes.len) memcpy(request->bytes, bytes.data, bytes.len);
  request->op.bytes = (struct wwr_view){request->bytes, bytes.len};
  post(request);
}

/* --- Events ------------------------------------------------------------- */

static void watch(struct wwr_sessionstore *base,
                  const struct wwr_sessionstore_events *events, void *owner) {
  struct store *store = from_base(base);
  bool inside = wwri_loop_is_current(wwri_member_loop(store->member));
  pthread_mutex_lock(&store->lock);
  store->events = events;
  store->owner = owner;
  while (store->telling && !inside) {
    pthread_cond_wait(&store->calm, &store->lock);
  }
  pthread_mutex_unlock(&store->lock);
}

void wwri_store_tell(struct store *store,
                     void (*tell)(const struct wwr_sessionstore_events *events,
                                  void *owner, void *arg),
                     void *arg) {
  pthread_mutex_lock(&store->lock);
  const struct wwr_sessionstore_events *events = store->events;
  void *owner = store->owner;
  store->telling = events != NULL;
  pthread_mutex_unlock(&store->lock);
  if (!events) return;
  tell(events, owner, arg);
  pthread_mutex_lock(&store->lock);
  store->telling = false;
  pthread_cond_broadcast(&store->calm);
  pthread_mutex_unlock(&store->lock);
}

/* --- Life --------------------------------------------------------------- */

static void dispose(struct store *store) {
  struct request *request;
  while ((request = take_spare(store))) free(request);
  wwri_keeper_free(store->keeper);
  free(store->place_list);
  pthread_cond_destroy(&store->calm);
  pthread_mutex_destroy(&store->lock);
  free(store);
}

struct freeing {
  struct wwri_mail mail;
  struct store *store;
  struct wwri_waiter waiter;
};

static void do_free(struct wwri_mail *mail) {
  struct freeing *freeing = WWRI_CONTAINER(mail, struct freeing, mail);
  wwri_store_begin_free(freeing->store, &freeing->waiter);
}

void wwri_store_free_all(struct wwr_sessionstore *const *stores, size_t count) {
  struct freeing freeing[WWRI_SHARDS_MAX];
  for (size_t i = 0; i < count; i++) {
    struct store *store = from_base(stores[i]);
    freeing[i] = (struct freeing){.mail = {.fn = do_free}, .store = store};
    wwri_waiter_init(&freeing[i].waiter);
    wwri_loop_post(wwri_member_loop(store->member), &freeing[i].mail);
  }
  for (size_t i = 0; i < count; i++) {
    wwri_waiter_wait(&freeing[i].waiter);
    dispose(freeing[i].store);
  }
}

static void free_store(struct wwr_sessionstore *base) {
  wwri_store_free_all(&base, 1);
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

static const struct wwr_sessionstore_ops store_ops = {
    .created = created,
    .lookup = lookup,
    .closed = closed,
    .free = free_store,
    .blocking = false,
    .authority = &authority_ops,
};

static wwr_err choose_pen(struct store *store) {
  struct wwri_boot boot;
  if (getrandom(&boot, sizeof boot, 0) != (ssize_t)sizeof boot ||
      getrandom(&store->random_state, sizeof store->random_state, 0) !=
          (ssize_t)sizeof store->random_state) {
    return WWR_E_IO;
  }
  wwri_write_boot(boot, store->pen);
  return WWR_OK;
}

wwr_err wwri_store_new(struct wwr_sessionstore **out,
                       struct wwri_member *member,
                       struct wwri_keeper_room *room, unsigned sharers) {
  struct store *store = calloc(1, sizeof *store);
  if (!store) return WWR_E_NOMEM;
  store->base.ops = &store_ops;
  store->member = member;
  pthread_mutex_init(&store->lock, NULL); /* can't fail without attributes */
  pthread_cond_init(&store->calm, NULL);
  wwr_err err = choose_pen(store);
  if (!err) err = wwri_store_join(store, room, sharers);
  if (err) {
    dispose(store);
    return err;
  }
  *out = &store->base;
  return WWR_OK;
}
