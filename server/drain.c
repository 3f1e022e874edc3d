/* Draining: the end, spread over a time, on the control thread.
 *
 * Happy path: OPTIONS says 503 and the cluster hears of it -> balancers have a
 * while to find out -> new connections are refused, those that stand are put
 * into a random order -> each is closed at its turn -> all have gone, or the
 * time is over, and the shutdown does the rest.
 *
 * Failure modes: no memory for the order: no turns, the shutdown closes all at
 * once. A handler that hangs: its connection is left to the shutdown. The end
 * was moved forward: the turns that are left move closer together. A shutdown
 * or an abort: the drain ends at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"

enum { NOTICE_MAX_MS = 5000, NOTICE_PART = 4, DRAIN_MAX_MS = 24 * 3600 * 1000 };

/* The connections in the order of their turns, each with a reference. */
struct turns {
  struct wwr_conn **conns;
  size_t count;
  size_t cap;
  bool no_memory;
  uint64_t random;
};

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- Waiting; all under the lock of `control` ----------------------------- */

static bool goes_on(const struct wwr_server *server) {
  return server->control.state == WWRI_SERVER_DRAINING &&
         !server->control.abort && atomic_load(&server->live_pipes) > 0;
}

/* Until `at`, or until something has changed. */
static void sleep_until(struct wwr_server *server, uint64_t at) {
  struct timespec until = {.tv_sec = (time_t)(at / 1000),
                           .tv_nsec = (long)(at % 1000) * 1000000};
  (void)pthread_cond_timedwait(&server->control.changed, &server->control.lock,
                               &until);
}

/* When balancers have had their time, by the end that is in force. */
static uint64_t notice_end(const struct wwr_server *server) {
  uint64_t start = server->control.drain_start_ms;
  uint64_t part = (server->control.drain_end_ms - start) / NOTICE_PART;
  return start + (part < NOTICE_MAX_MS ? part : NOTICE_MAX_MS);
}

static bool wait_for_notice(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  while (goes_on(server) && now_ms() < notice_end(server)) {
    sleep_until(server, notice_end(server));
  }
  bool on = goes_on(server);
  pthread_mutex_unlock(&server->control.lock);
  return on;
}

static void wait_for_end(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  while (goes_on(server) && now_ms() < server->control.drain_end_ms) {
    sleep_until(server, server->control.drain_end_ms);
  }
  pthread_mutex_unlock(&server->control.lock);
}

/* --- Turns ---------------------------------------------------------------- */

/* xorshift: who is first needs no better. */
static uint64_t next_random(struct turns *turns) {
  uint64_t x = turns->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return turns->random = x;
}

static bool grow(struct turns *turns) {
  size_t cap = turns->cap ? turns->cap * 2 : 64;
  struct wwr_conn **conns =
      realloc(turns->conns, cap * sizeof(struct wwr_conn *));
  if (!conns) return false;
  turns->conns = conns;
  turns->cap = cap;
  return true;
}

/* On the connection's loop; the loops come one after the other. */
static void take_down(struct wwr_conn *conn, void *arg) {
  struct turns *turns = arg;
  if (turns->count == turns->cap && !grow(turns)) turns->no_memory = true;
  if (turns->no_memory) return;
  turns->conns[turns->count++] = wwr_conn_ref(conn);
}

static void shuffle(struct turns *turns) {
  for (size_t i = turns->count; i > 1; i--) {
    size_t j = (size_t)(next_random(turns) % i);
    struct wwr_conn *swapped = turns->conns[i - 1];
    turns->conns[i - 1] = turns->conns[j];
    turns->conns[j] = swapped;
  }
}

static void free_turns(struct turns *turns) {
  for (size_t i = 0; i < turns->count; i++) wwr_conn_unref(turns->conns[i]);
  free(turns->conns);
}

/* Somewhere in the part of the time left that is the next one's. */
static uint64_t next_due(struct turns *turns, size_t left, uint64_t from,
                         uint64_t end) {
  uint64_t part = end > from ? (end - from) * 1024 / left : 0;
  return from + part * (next_random(turns) % 1024) / 1024 / 1024;
}

/* Where the next part begins. */
static uint64_t after_part(size_t left, uint64_t from, uint64_t end) {
  return end > from ? from + (end - from) / left : from;
}

/* Until the turn of the next of `left`; false: there are no more turns. */
static bool wait_for_turn(struct wwr_server *server, struct turns *turns,
                          size_t left, uint64_t *from) {
  pthread_mutex_lock(&server->control.lock);
  uint64_t end = server->control.drain_end_ms;
  uint64_t due = next_due(turns, left, *from, end);
  while (goes_on(server) && now_ms() < due) {
    sleep_until(server, due);
    if (server->control.drain_end_ms == end) continue;
    end = server->control.drain_end_ms;
    *from = now_ms();
    due = next_due(turns, left, *from, end);
  }
  *from = after_part(left, *from, end);
  bool on = goes_on(server);
  pthread_mutex_unlock(&server->control.lock);
  return on;
}

static void take_turns(struct wwr_server *server, struct turns *turns) {
  uint64_t from = now_ms();
  for (size_t i = 0; i < turns->count; i++) {
    if (!wwr_conn_is_active(turns->conns[i])) continue;
    if (!wait_for_turn(server, turns, turns->count - i, &from)) return;
    wwri_conn_go_away(turns->conns[i]);
  }
}

static void close_in_turn(struct wwr_server *server) {
  struct turns turns = {.random = server->channels.process};
  wwri_each_conn(server, take_down, &turns);
  if (turns.no_memory) {
    wwri_log(&server->opts.log, WWR_LOG_WARN, 0,
             "drain: out of memory, all are closed at once", NULL);
  } else {
    shuffle(&turns);
    take_turns(server, &turns);
    wait_for_end(server);
  }
  free_turns(&turns);
}

/* --- The drain ------------------------------------------------------------ */

static void say(struct wwr_server *server, const char *message) {
  char count[24];
  snprintf(count, sizeof count, "%lu", atomic_load(&server->live_pipes));
  wwri_log(&server->opts.log, WWR_LOG_INFO, 0, message, "connections", count,
           NULL);
}

static bool is_draining(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  bool draining = server->control.state == WWRI_SERVER_DRAINING;
  pthread_mutex_unlock(&server->control.lock);
  return draining;
}

void wwri_drain_run(struct wwr_server *server) {
  if (!is_draining(server)) return;
  say(server, "drain begins");
  wwri_channels_tell_load(server);
  if (wait_for_notice(server)) {
    server->transport->ops->refuse(server->transport);
    close_in_turn(server);
  }
  say(server, "drain ends");
}

static void begin(struct wwr_server *server, uint64_t end) {
  server->control.state = WWRI_SERVER_DRAINING;
  server->control.drain_start_ms = now_ms();
  server->control.drain_end_ms = end;
  atomic_store(&server->draining, true);
  pthread_cond_broadcast(&server->control.changed);
}

void wwr_server_drain(struct wwr_server *server, uint32_t ms) {
  uint64_t end = now_ms() + (ms < DRAIN_MAX_MS ? ms : DRAIN_MAX_MS);
  pthread_mutex_lock(&server->control.lock);
  enum wwri_server_state state = server->control.state;
  if (state == WWRI_SERVER_RUNNING && ms > 0) {
    begin(server, end);
  } else if (state == WWRI_SERVER_DRAINING &&
             end < server->control.drain_end_ms) {
    server->control.drain_end_ms = end;
    pthread_cond_broadcast(&server->control.changed);
  }
  pthread_mutex_unlock(&server->control.lock);
  if (ms == 0) wwr_server_shutdown_async(server);
}

void wwri_drain_nudge(struct wwr_server *server) {
  if (!atomic_load(&server->draining)) return;
  pthread_mutex_lock(&server->control.lock);
  pthread_cond_broadcast(&server->control.changed);
  pthread_mutex_unlock(&server->control.lock);
}

/* The lock is the only thing that asking changes. */
void wwr_server_drain_state(const struct wwr_server *base,
                            struct wwr_drain_state *out) {
  struct wwr_server *server = (struct wwr_server *)(uintptr_t)base;
  *out = (struct wwr_drain_state){0};
  if (!atomic_load(&server->draining)) return;
  out->draining = true;
  out->remaining = atomic_load(&server->live_pipes);
  uint64_t now = now_ms();
  pthread_mutex_lock(&server->control.lock);
  uint64_t end = server->control.drain_end_ms;
  if (server->control.state == WWRI_SERVER_DRAINING && end > now) {
    out->left_ms = end - now;
  }
  pthread_mutex_unlock(&server->control.lock);
}
