#include "server_fake_authority.h"

#include <stdlib.h>
#include <string.h>

void *__real_realloc(void *memory, size_t size); /* see test_alloc.c */

struct fake_authority fake;

struct fake_op {
  struct wwri_list link;
  enum fake_call call;
  char *key;
  struct wwr_session *session; /* created: a reference */
  uint32_t max;
  struct wwr_store_op *op;
};

/* Zeroed; does not count as an allocation of the library. */
static void *fresh(size_t size) {
  void *memory = __real_realloc(NULL, size);
  if (!memory) abort();
  return memset(memory, 0, size);
}

/* --- Slots (under the lock) ----------------------------------------------- */

static struct fake_slot *slot_of(const char *key) {
  struct fake_slot *slot = wwri_map_get(&fake.slots, wwr_view_str(key));
  if (slot) return slot;
  slot = fresh(sizeof *slot);
  if (wwri_map_insert(&fake.slots, wwr_view_str(key), slot)) abort();
  return slot;
}

static void count_down(const char *key) {
  struct fake_slot *slot = slot_of(key);
  if (slot->count > 0) {
    slot->count--;
  } else {
    fake.negative++;
  }
}

/* --- What operations do (under the lock) ---------------------------------- */

static wwr_err some_error(enum fake_call call) {
  static const wwr_err errors[] = {WWR_E_UNAVAILABLE, WWR_E_LIMIT, WWR_E_IO,
                                   WWR_E_UNAVAILABLE};
  if (!fake.errors || rng_below(fake.errors, 8)) return fake.err[call];
  return errors[rng_below(fake.errors, 4)];
}

static wwr_err do_created(struct fake_slot *slot, struct fake_op *op) {
  wwr_err err = some_error(op->call);
  if (err != WWR_OK && err != WWR_E_UNAVAILABLE) {
    slot->uncounted = true;
    return err;
  }
  wwr_session_unref(slot->session);
  slot->session = op->session;
  op->session = NULL;
  slot->alive = true;
  slot->count++;
  return err;
}

static wwr_err do_attach(struct fake_slot *slot, const struct fake_op *op) {
  wwr_err err = some_error(op->call);
  if (err != WWR_OK) return err;
  if (!slot->alive) return WWR_E_SESSION_NOT_FOUND;
  if (op->max && slot->count + slot->elsewhere >= (long)op->max) {
    return WWR_E_MAX_SESSION_CONNS;
  }
  slot->count++;
  return WWR_OK;
}

/* It was counted down when it was asked for. */
static wwr_err do_leave(struct fake_slot *slot, const struct fake_op *op) {
  wwr_err err = some_error(op->call);
  if (err == WWR_OK && slot->count + slot->elsewhere == 0) slot->alive = false;
  return err;
}

static wwr_err do_kill(struct fake_slot *slot, const struct fake_op *op,
                       bool *tell) {
  wwr_err err = some_error(op->call);
  *tell = err == WWR_OK && slot->alive;
  if (err == WWR_OK) slot->alive = false;
  return err;
}

static wwr_err decide(struct fake_op *op, struct wwr_session **found,
                      bool *tell) {
  struct fake_slot *slot = slot_of(op->key);
  wwr_err err;
  switch (op->call) {
    case FAKE_CREATED:
      return do_created(slot, op);
    case FAKE_ATTACH:
      err = do_attach(slot, op);
      if (err == WWR_OK) *found = wwr_session_ref(slot->session);
      return err;
    case FAKE_LEAVE:
      return do_leave(slot, op);
    default:
      return do_kill(slot, op, tell);
  }
}

/* --- Events --------------------------------------------------------------- */

enum { CLOSED, EVICTED, RECEIVED };

static void tell(int what, const char *key, struct wwr_view bytes) {
  pthread_mutex_lock(&fix.lock);
  while (fake.telling) pthread_cond_wait(&fix.changed, &fix.lock);
  const struct wwr_sessionstore_events *events = fake.events;
  void *owner = fake.owner;
  fake.telling = events != NULL;
  pthread_mutex_unlock(&fix.lock);
  if (!events) return;
  struct wwr_view view = wwr_view_str(key);
  if (what == CLOSED) events->closed(owner, view);
  if (what == EVICTED) events->evicted(owner, view);
  if (what == RECEIVED) events->received(owner, view, bytes);
  pthread_mutex_lock(&fix.lock);
  fake.telling = false;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

void fake_closed(const char *key) {
  pthread_mutex_lock(&fix.lock);
  slot_of(key)->alive = false;
  pthread_mutex_unlock(&fix.lock);
  tell(CLOSED, key, (struct wwr_view){NULL, 0});
}

void fake_evicted(const char *key) {
  tell(EVICTED, key, (struct wwr_view){NULL, 0});
}

void fake_received(const char *key, const void *bytes, size_t len) {
  tell(RECEIVED, key, (struct wwr_view){bytes, len});
}

static void watch(struct wwr_sessionstore *base,
                  const struct wwr_sessionstore_events *events, void *owner) {
  (void)base;
  pthread_mutex_lock(&fix.lock);
  fake.events = events;
  fake.owner = owner;
  while (fake.telling) pthread_cond_wait(&fix.changed, &fix.lock);
  pthread_mutex_unlock(&fix.lock);
}

/* --- Operations ----------------------------------------------------------- */

static void complete(struct fake_op *op) {
  struct wwr_session *found = NULL;
  bool closed = false;
  pthread_mutex_lock(&fix.lock);
  wwr_err err = decide(op, &found, &closed);
  pthread_mutex_unlock(&fix.lock);
  if (closed) tell(CLOSED, op->key, (struct wwr_view){NULL, 0});
  wwr_store_op_done(op->op, err, found);
  wwr_session_unref(op->session);
  free(op->key);
  free(op);
}

static void ask(enum fake_call call, struct wwr_view key,
                struct wwr_session *session, uint32_t max,
                struct wwr_store_op *store_op) {
  struct fake_op *op = fresh(sizeof *op);
  char *copy = fresh(key.len + 1);
  memcpy(copy, key.data, key.len);
  *op = (struct fake_op){.call = call,
                         .key = copy,
                         .session = session ? wwr_session_ref(session) : NULL,
                         .max = max,
                         .op = store_op};
  pthread_mutex_lock(&fix.lock);
  fake.calls[call]++;
  if (call == FAKE_LEAVE) count_down(copy);
  bool hold = fake.hold;
  if (hold) {
    wwri_list_append(&fake.open, &op->link);
    fake.open_count++;
  }
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
  if (!hold) complete(op);
}

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  (void)base;
  (void)conn;
  ask(FAKE_CREATED, wwr_view_str(wwr_session_key(session)), session, 0, op);
}

static void never(struct wwr_sessionstore *base, struct wwr_view key,
                  struct wwr_store_op *op) {
  (void)base;
  (void)key;
  (void)op;
  abort(); /* lookup and closed are not called */
}

static void attach(struct wwr_sessionstore *base, struct wwr_view key,
                   uint32_t max, struct wwr_store_op *op) {
  (void)base;
  ask(FAKE_ATTACH, key, NULL, max, op);
}

static void detach(struct wwr_sessionstore *base, struct wwr_view key) {
  char copy[128] = "";
  (void)base;
  memcpy(copy, key.data, key.len < sizeof copy ? key.len : sizeof copy - 1);
  pthread_mutex_lock(&fix.lock);
  fake.detaches++;
  count_down(copy);
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static void leave(struct wwr_sessionstore *base, struct wwr_view key,
                  struct wwr_store_op *op) {
  (void)base;
  ask(FAKE_LEAVE, key, NULL, 0, op);
}

static void kill_everywhere(struct wwr_sessionstore *base, struct wwr_view key,
                            struct wwr_store_op *op) {
  (void)base;
  ask(FAKE_KILL, key, NULL, 0, op);
}

static bool free_slot(struct wwr_view key, void *value, void *arg) {
  struct fake_slot *slot = value;
  (void)key;
  (void)arg;
  fake.leftover += slot->count != 0;
  wwr_session_unref(slot->session);
  free(slot);
  return true;
}

static void free_store(struct wwr_sessionstore *base) {
  (void)base;
  pthread_mutex_lock(&fix.lock);
  fake.early = fake.open_count;
  wwri_map_each(&fake.slots, free_slot, NULL);
  wwri_map_deinit(&fake.slots);
  fake.freed = true;
  pthread_mutex_unlock(&fix.lock);
}

static const struct wwr_sessionauthority_ops authority_ops = {
    .attach = attach,
    .detach = detach,
    .leave = leave,
    .kill = kill_everywhere,
    .watch = watch,
};

static const struct wwr_sessionstore_ops store_ops = {
    .created = created,
    .lookup = never,
    .closed = never,
    .free = free_store,
    .authority = &authority_ops,
};

/* --- For the test --------------------------------------------------------- */

void fake_use(void) {
  memset(&fake, 0, sizeof fake);
  fake.base.ops = &store_ops;
  wwri_map_init(&fake.slots);
  wwri_list_init(&fake.open);
  fix.with_store = false;
  fix.opts.store = &fake.base;
}

void fake_finish(void) {
  fixture_stop_peers();
  fixture_free_server();
  CU_ASSERT_TRUE_FATAL(fake.freed);
  CU_ASSERT_PTR_NULL(fake.events);
  CU_ASSERT_EQUAL(fake.early, 0);
  CU_ASSERT_EQUAL(fake.negative, 0);
  CU_ASSERT_EQUAL(fake.leftover, 0);
}

void fake_put(const char *key, const char *info) {
  struct wwr_session *session;
  CU_ASSERT_EQUAL_FATAL(wwr_session_new(&session, wwr_view_str(key), 1000000000,
                                        2000000000, info),
                        WWR_OK);
  pthread_mutex_lock(&fix.lock);
  struct fake_slot *slot = slot_of(key);
  slot->session = session;
  slot->alive = true;
  pthread_mutex_unlock(&fix.lock);
}

long fake_count(const char *key) {
  return LOCKED(slot_of(key)->count);
}

bool fake_alive(const char *key) {
  return LOCKED(slot_of(key)->alive);
}

void fake_key_of(const struct wwri_msg *notice, char key[FAKE_KEY]) {
  static const char before[] = "\"k\":\"";
  struct wwr_view json = notice->payload.data;
  char text[512] = "";
  memcpy(text, json.data, json.len < sizeof text ? json.len : sizeof text - 1);
  const char *at = strstr(text, before);
  CU_ASSERT_PTR_NOT_NULL_FATAL(at);
  at += strlen(before);
  size_t len = strcspn(at, "\"");
  CU_ASSERT_TRUE_FATAL(len < FAKE_KEY);
  memcpy(key, at, len);
  key[len] = '\0';
}

void fake_create(struct peer *peer, char key[FAKE_KEY]) {
  peer_request(peer, 77, "create", NULL);
  struct wwri_msg notice = peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  fake_key_of(&notice, key);
  peer_expect_text(peer, 77, "ok");
}

void fake_start(void) {
  fake_use();
  fixture_start();
  fake_put("key", NULL);
}

struct peer *fake_restored(void) {
  struct peer *peer = peer_connect();
  peer_restore(peer, 1, "key");
  peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  return peer;
}

struct peer *fake_restoring(void) {
  struct peer *peer = peer_connect();
  LOCKED(fake.hold = true);
  peer_restore(peer, 1, "key");
  WAIT(fake.open_count == 1);
  return peer;
}

struct peer *fake_creating(struct wwr_conn **conn, char key[FAKE_KEY]) {
  struct peer *peer = peer_connect_conn(conn);
  LOCKED(fake.hold = true);
  peer_request(peer, 1, "create", NULL);
  struct wwri_msg notice = peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  fake_key_of(&notice, key);
  WAIT(fake.open_count == 1);
  return peer;
}

/* The oldest of its key, as the key of a random one: operations of one key keep
 * their order, others overtake each other. Under the lock. */
static struct fake_op *pick(struct rng *rng) {
  if (wwri_list_empty(&fake.open)) return NULL;
  struct wwri_list *link = fake.open.next;
  uint64_t skip = rng ? rng_below(rng, (uint64_t)fake.open_count) : 0;
  while (skip-- > 0) link = link->next;
  const char *key = WWRI_CONTAINER(link, struct fake_op, link)->key;
  link = fake.open.next;
  while (strcmp(WWRI_CONTAINER(link, struct fake_op, link)->key, key) != 0) {
    link = link->next;
  }
  return WWRI_CONTAINER(link, struct fake_op, link);
}

bool fake_release_one(struct rng *rng) {
  pthread_mutex_lock(&fix.lock);
  struct fake_op *op = pick(rng);
  if (op) {
    wwri_list_remove(&op->link);
    fake.open_count--;
  }
  pthread_mutex_unlock(&fix.lock);
  if (op) complete(op);
  return op != NULL;
}

void fake_release(void) {
  pthread_mutex_lock(&fix.lock);
  fake.hold = false;
  pthread_mutex_unlock(&fix.lock);
  while (fake_release_one(NULL)) continue;
}
