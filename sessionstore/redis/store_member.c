/* store_member.c - the keeper on the member thread: fed with what the
 * membership tells, run at the end of the loop's turn, or by its own clock.
 *
 * After whatever may complete an operation the keeper is run before anything
 * else is fed: the server must hear that an attach succeeded before it can hear
 * that the session was closed. */
#include "store_impl.h"

#include <stdlib.h>
#include <string.h>

static struct store *of_user(struct wwri_member_user *user) {
  return WWRI_CONTAINER(user, struct store, user);
}

/* --- Running ------------------------------------------------------------ */

static void hurry(struct store *store) {
  struct wwri_keeper_stats stats;
  wwri_keeper_stats(store->keeper, &stats);
  bool waiting = stats.open > 0;
  if (waiting == store->waiting) return;
  store->waiting = waiting;
  wwri_member_waiting(store->member, waiting ? 1 : -1);
}

static void arm(struct store *store, uint64_t now) {
  struct wwri_loop *loop = wwri_member_loop(store->member);
  uint64_t due = wwri_keeper_deadline(store->keeper);
  if (due == UINT64_MAX) {
    wwri_loop_timer_cancel(loop, &store->timer);
  } else {
    wwri_loop_timer_set(loop, &store->timer, due > now ? due - now : 0);
  }
}

/* What the link did not take is as good as refused. */
static void answer_failed(struct store *store, uint64_t now) {
  static const struct wwri_keeper_answer none = {.word = WWRI_WORD_UNAVAILABLE};
  while (store->failed_count) {
    unsigned slot = store->failed[--store->failed_count];
    wwri_keeper_answered(store->keeper, slot, &none, now);
  }
}

static void end_check(struct store *store);

void wwri_store_run(struct store *store) {
  uint64_t now = wwri_member_now();
  wwri_keeper_run(store->keeper, now);
  answer_failed(store, now);
  hurry(store);
  arm(store, now);
  end_check(store);
}

static void on_flush(struct wwri_flusher *flusher) {
  wwri_store_run(WWRI_CONTAINER(flusher, struct store, runner));
}

static void on_timer(struct wwri_timer *timer) {
  wwri_store_run(WWRI_CONTAINER(timer, struct store, timer));
}

void wwri_store_run_soon(struct store *store) {
  wwri_loop_flush_later(wwri_member_loop(store->member), &store->runner);
}

/* --- What the membership tells ------------------------------------------ */

static void on_live(struct wwri_member_user *user, bool fresh) {
  struct store *store = of_user(user);
  (void)fresh;
  wwri_keeper_live(store->keeper, wwri_member_now());
  wwri_store_run(store);
}

static void on_lost(struct wwri_member_user *user) {
  struct store *store = of_user(user);
  wwri_keeper_lost(store->keeper, wwri_member_now());
  wwri_store_run(store);
}

static void on_event(struct wwri_member_user *user,
                     enum wwri_node_event event) {
  struct store *store = of_user(user);
  uint64_t now = wwri_member_now();
  if (event == WWRI_NODE_UNCERTAIN || event == WWRI_NODE_DATA_LOST) {
    bool born_anew = event == WWRI_NODE_DATA_LOST;
    wwri_keeper_generation(store->keeper, born_anew, now);
  } else if (event == WWRI_NODE_FENCED) {
    wwri_keeper_fenced(store->keeper, now);
  }
  wwri_store_run(store);
}

/* Lower-case hex, as the scripts have it. */
static bool read_hex(const uint8_t *text, size_t len, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < len; i++) {
    uint8_t c = text[i];
    bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return false;
    *out = *out << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
  }
  return true;
}

static void on_control(struct wwri_member_user *user, struct wwr_view topic,
                       struct wwr_view bytes) {
  struct store *store = of_user(user);
  uint64_t v;
  if (!wwr_view_equal(topic, wwr_view_str("closed"))) return;
  if (bytes.len != WWRI_SESSION_ID_LEN + STORE_V ||
      !read_hex(bytes.data + WWRI_SESSION_ID_LEN, STORE_V, &v)) {
    wwri_store_log(store, "a notice that is none", NULL, bytes);
    return;
  }
  wwri_keeper_closed(store->keeper, (const char *)bytes.data, v,
                     wwri_member_now());
  wwri_store_run(store);
}

static void on_control_lost(struct wwri_member_user *user,
                            const struct wwri_verdict *verdict) {
  struct store *store = of_user(user);
  (void)verdict;
  wwri_keeper_verify(store->keeper, wwri_member_now());
  wwri_store_run(store);
}

struct received {
  struct wwr_view key;
  struct wwr_view bytes;
};

static void tell_received(const struct wwr_sessionstore_events *events,
                          void *owner, void *arg) {
  const struct received *it = arg;
  events->received(owner, it->key, it->bytes);
}

static void on_direct(struct wwri_member_user *user, struct wwr_view topic,
                      struct wwr_view bytes) {
  enum { HEAD = WWRI_SESSION_ID_LEN + STORE_V };
  struct store *store = of_user(user);
  struct received it;
  if (!wwr_view_equal(topic, wwr_view_str("session"))) return;
  if (bytes.len < HEAD) {
    wwri_store_log(store, "bytes for no session", NULL, bytes);
    return;
  }
  if (!wwri_keeper_count(store->keeper, (const char *)bytes.data, &it.key)) {
    return;
  }
  it.bytes = (struct wwr_view){bytes.data + HEAD, bytes.len - HEAD};
  wwri_store_tell(store, tell_received, &it);
}

/* --- What the keeper tells ---------------------------------------------- */

struct told {
  enum wwri_keeper_event event;
  struct wwr_view key;
};

static void tell_event(const struct wwr_sessionstore_events *events,
                       void *owner, void *arg) {
  const struct told *it = arg;
  if (it->event == WWRI_KEEPER_CLOSED) {
    events->closed(owner, it->key);
  } else {
    events->evicted(owner, it->key);
  }
}

static void on_keeper_event(struct wwri_keeper *keeper,
                            enum wwri_keeper_event event, struct wwr_view key) {
  struct told it = {event, key};
  wwri_store_tell(wwri_keeper_user(keeper), tell_event, &it);
}

/* Incarnations need no secrecy: splitmix64 from a random start. */
static uint64_t on_random(struct wwri_keeper *keeper) {
  struct store *store = wwri_keeper_user(keeper);
  uint64_t z = store->random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static const struct wwri_keeper_out keeper_out = {
    .call = wwri_store_call, .event = on_keeper_event, .random = on_random};

/* --- The end ------------------------------------------------------------ */

static void finish(struct store *store) {
  struct wwri_loop *loop = wwri_member_loop(store->member);
  struct wwri_waiter *freer = store->freer;
  wwri_loop_timer_cancel(loop, &store->stop_timer);
  if (wwri_member_is_stopping(store->member)) {
    wwri_member_user_done(store->member, &store->user);
  }
  if (!freer) return;
  store->freer = NULL;
  wwri_store_cancel_calls(store);
  if (store->waiting) wwri_member_waiting(store->member, -1);
  wwri_loop_timer_cancel(loop, &store->timer);
  wwri_flusher_cancel(&store->runner);
  wwri_member_user_remove(store->member, &store->user);
  wwri_waiter_wake(freer, WWR_OK);
}

/* Redis was told everything, or can't be. */
static void end_check(struct store *store) {
  if (!store->stopping) return;
  if (wwri_keeper_is_idle(store->keeper) ||
      !wwri_member_is_live(store->member)) {
    finish(store);
  }
}

static void on_stop_timer(struct wwri_timer *timer) {
  finish(WWRI_CONTAINER(timer, struct store, stop_timer));
}

static void begin_end(struct store *store) {
  if (!store->stopping) {
    store->stopping = true;
    wwri_keeper_stop(store->keeper, wwri_member_now());
    wwri_loop_timer_set(wwri_member_loop(store->member), &store->stop_timer,
                        STORE_STOP_MS);
  }
  wwri_store_run(store);
}

static void on_stop(struct wwri_member_user *user) {
  begin_end(of_user(user));
}

void wwri_store_begin_free(struct store *store, struct wwri_waiter *freer) {
  store->freer = freer;
  begin_end(store);
}

/* --- Joining ------------------------------------------------------------ */

/* A restart of everything sends every session's call at once: those that share
 * their servers with other stores must not make other commands wait for long.
 */
static uint32_t calls_of(unsigned sharers) {
  uint32_t part = STORE_CALLS / sharers;
  return part < WWRI_KEEPER_CALLS ? part : WWRI_KEEPER_CALLS;
}

wwr_err wwri_store_join(struct store *store, struct wwri_keeper_room *room,
                        unsigned sharers) {
  const struct wwr_cluster_opts *opts = wwri_member_opts(store->member);
  struct wwri_keeper_config config;
  wwri_keeper_config_default(&config);
  config.out = &keeper_out;
  config.user = store;
  config.hold_ms = opts->hold_ms;
  config.lease_ms = opts->lease_ms;
  config.ttl_ms = opts->session_ttl_ms;
  config.max_held = opts->max_held;
  config.room = room;
  config.sharers = sharers;
  config.max_calls = calls_of(sharers);
  config.recreate = opts->recreate_sessions;
  if (config.doubt_ms > opts->hold_ms / 2) config.doubt_ms = opts->hold_ms / 2;
  wwr_err err = wwri_keeper_new(&store->keeper, &config);
  if (err) return err;
  wwri_timer_init(&store->timer, on_timer);
  wwri_timer_init(&store->stop_timer, on_stop_timer);
  wwri_flusher_init_ranked(&store->runner, on_flush, WWRI_RANK_WORK);
  wwri_store_register(store);
  store->user = (struct wwri_member_user){.live = on_live,
                                          .lost = on_lost,
                                          .event = on_event,
                                          .control = on_control,
                                          .control_lost = on_control_lost,
                                          .direct = on_direct,
                                          .stop = on_stop};
  wwri_member_user_add(store->member, &store->user);
  return WWR_OK;
}
