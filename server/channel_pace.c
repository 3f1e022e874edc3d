/* Many messages at once must not make slow consumers of clients that read.
 *
 * A repair (CLUSTER.md, row 14): while a queue is over half full, or too much
 * waits for the shard, the bus is told and reads no further. A burst of live
 * messages: while at least half of a feed's readers have such queues, and they
 * drain, the feed's messages wait here.
 *
 * A client that does not read must not hold the others' repair: one whose queue
 * has not become shorter for stuck_ms no longer counts. The transport cuts
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

/* A message that came while it was leaving may have pressed once more. */
void wwri_feed_unpressed(struct wwri_feed *feed) {
  struct wwri_channels *channels = &feed->shard->server->channels;
  pthread_mutex_lock(&channels->lock);
  feed->pressed = false;
  pthread_mutex_unlock(&channels->lock);
}

enum { NOT_FULL = -1 };

/* For how long the connection's queue is over half full without having become
 * shorter, in milliseconds, or NOT_FULL. */
static int64_t stuck_for(struct wwr_conn *conn, uint32_t half, uint64_t now) {
  struct wwri_conn_channels *watch = &conn->channels;
  uint32_t queued = conn->pipe->queued_bytes;
  uint64_t forget = conn->server->channels.stuck_ms / 2;
  if (queued <= half) {
    watch->watch_seen_ms = 0;
    return NOT_FULL;
  }
  bool fresh = !watch->watch_seen_ms || now - watch->watch_seen_ms > forget;
  watch->watch_seen_ms = now;
  if (fresh || queued + half / STEPS < watch->watch_bytes) {
    watch->watch_progress_ms = now;
    watch->watch_bytes = queued;
  } else if (queued > watch->watch_bytes) {
    watch->watch_bytes = queued; /* more was sent: it shrinks from here */
  }
  return (int64_t)(now - watch->watch_progress_ms);
}

struct queues {
  size_t slow;   /* full, but not stuck for as long as a repair waits */
  size_t moving; /* full, but not stuck for as long as a burst waits */
};

/* All of them are looked at, so that each one's time runs. */
static struct queues look_at(const struct wwri_feed *feed) {
  const struct wwr_server *server = feed->shard->server;
  uint64_t now = wwri_loop_now_ms(feed->shard->loop);
  uint32_t half = wwri_limit(&server->limits.queued_bytes) / 2;
  struct queues queues = {0, 0};
  for (size_t i = 0; i < feed->count; i++) {
    int64_t stuck = stuck_for(feed->slots[i].conn, half, now);
    if (stuck == NOT_FULL) continue;
    queues.slow += stuck < (int64_t)server->channels.stuck_ms;
    queues.moving += stuck < (int64_t)server->channels.crowd_ms;
  }
  return queues;
}

/* A few slow ones never hold the others. */
static bool are_many(const struct wwri_feed *feed, size_t count) {
  return count > 0 && count * 2 >= feed->count;
}

void wwri_feed_crowd(struct wwri_feed *feed, size_t full) {
  if (!are_many(feed, full)) return;
  feed->crowded = are_many(feed, look_at(feed).moving);
}

void wwri_feed_pace(struct wwri_feed *feed) {
  struct wwri_shard *shard = feed->shard;
  if (feed->pace.armed) return;
  wwri_loop_timer_set(shard->loop, &feed->pace, WWRI_PACE_MS);
}

void wwri_feed_repace(struct wwri_feed *feed) {
  const struct wwri_shard *shard = feed->shard;
  uint32_t much = shard->server->channels.press_bytes / 2;
  struct queues queues = look_at(feed);
  feed->crowded = are_many(feed, queues.moving);
  bool full = queues.slow || atomic_load(&shard->channels.waiting) > much;
  if (full || feed->crowded) wwri_feed_pace(feed);
  if (!full && feed->state == WWRI_FEED_UP) wwri_feed_unpress(feed);
  (void)wwri_feed_drain(feed); /* it may free the feed */
}
