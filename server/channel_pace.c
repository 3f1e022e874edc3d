/* A repair brings many messages at once; it must not make slow consumers of
 * clients that read (CLUSTER.md, row 14). While a queue is over half full, or
 * too much waits for the shard, the bus is told and reads no further.
 *
 * A client that does not read must not hold the others' repair: one whose queue
 * has not become shorter for WWRI_STUCK_MS no longer counts. The transport cuts
 * it off when its queue is full. */
#include "internal.h"

enum { STEPS = 16 }; /* of half a queue: progress is one of them */

static void tell(struct wwri_feed *feed, bool full) {
  struct wwri_channels *channels = &feed->shard->server->channels;
  pthread_mutex_lock(&channels->lock);
  if (feed->pressed != full) {
    feed->pressed = full;
    channels->bus->ops->pressure(channels->bus, &feed->sub, full);
  }
  pthread_mutex_unlock(&channels->lock);
}

void wwri_feed_press(struct wwri_feed *feed) {
  tell(feed, true);
}

void wwri_feed_unpress(struct wwri_feed *feed) {
  tell(feed, false);
}

/* True while the connection's queue is a reason to wait. */
static bool holds(struct wwr_conn *conn, uint32_t half, uint64_t now) {
  struct wwri_conn_channels *watch = &conn->channels;
  uint32_t queued = conn->pipe->queued_bytes;
  if (queued <= half) {
    watch->watch_seen_ms = 0;
    return false;
  }
  bool fresh =
      !watch->watch_seen_ms || now - watch->watch_seen_ms > WWRI_STUCK_MS / 2;
  watch->watch_seen_ms = now;
  if (fresh || queued + half / STEPS < watch->watch_bytes) {
    watch->watch_progress_ms = now;
    watch->watch_bytes = queued;
  }
  return now - watch->watch_progress_ms < WWRI_STUCK_MS;
}

/* All of them are looked at, so that each one's time runs. */
static bool any_holds(const struct wwri_feed *feed) {
  uint64_t now = wwri_loop_now_ms(feed->shard->loop);
  uint32_t half = feed->shard->server->opts.max_queued_bytes / 2;
  bool any = false;
  for (size_t i = 0; i < feed->count; i++) {
    any |= holds(feed->slots[i].conn, half, now);
  }
  return any;
}

void wwri_feed_pace(struct wwri_feed *feed) {
  struct wwri_shard *shard = feed->shard;
  if (feed->state != WWRI_FEED_UP || feed->pace.armed) return;
  wwri_loop_timer_set(shard->loop, &feed->pace, WWRI_PACE_MS);
}

void wwri_feed_repace(struct wwri_feed *feed) {
  const struct wwri_shard *shard = feed->shard;
  uint32_t much = shard->server->channels.press_bytes / 2;
  if (feed->state != WWRI_FEED_UP) return;
  if (atomic_load(&shard->channels.waiting) > much || any_holds(feed)) {
    wwri_feed_pace(feed);
  } else {
    wwri_feed_unpress(feed);
  }
}
