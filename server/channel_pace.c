/* Many messages at once must not make slow consumers of clients that read.
 *
 * Whose queue is over half full is waited for, as long as the queue moves: so
 * many bytes of it must have left within a time. Who takes less must not hold
 * the others; the transport cuts it off when its queue is full.
 *
 * A repair (docs/rules.md, row 14): while such a queue has moved within
 * stuck_ms, or too much waits for the shard, the bus is told and reads no
 * further.
 *
 * What is here already, of a repair or a burst of live messages, waits in its
 * feed while such queues have moved within crowd_ms, if at least half of the
 * feed's readers have them; else, for a few, within few_ms, and not when a
 * message has waited for held_ms.
 *
 * Time counts only as far as the loop turns: when this process was not given
 * the processor, no queue could move. */
#include "internal.h"

enum {
  STEPS = 4,       /* of half a queue: it has moved by one of them */
  PACE_MAX_MS = 50 /* between two looks at a feed */
};

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

void wwri_reader_fills(struct wwri_reader *reader) {
  struct wwri_feed *feed = reader->feed;
  if (!wwri_list_empty(&reader->full)) return;
  wwri_list_append(&feed->full, &reader->full);
  feed->full_count++;
  reader->conn->channels.moved_ms = 0; /* its time begins */
}

void wwri_reader_drains(struct wwri_reader *reader) {
  if (wwri_list_empty(&reader->full)) return;
  wwri_list_remove(&reader->full);
  reader->feed->full_count--;
}

/* For how long the connection's full queue has not moved, in milliseconds. */
static uint64_t stuck_for(struct wwr_conn *conn, uint32_t step, uint64_t now) {
  struct wwri_conn_channels *watch = &conn->channels;
  uint64_t written = conn->pipe->written_bytes;
  if (!watch->moved_ms || written - watch->moved_bytes >= step) {
    watch->moved_ms = now;
    watch->moved_bytes = written;
  }
  return now - watch->moved_ms;
}

/* Those that are full and have moved within ... */
struct queues {
  size_t slow;   /* ... the time that a repair waits */
  size_t moving; /* ... that a burst waits for many */
  size_t prompt; /* ... for a few */
};

static uint64_t pace_of(const struct wwri_feed *feed) {
  uint64_t pace = WWRI_PACE_MS + feed->full_count / WWRI_PACE_QUEUES;
  return pace < PACE_MAX_MS ? pace : PACE_MAX_MS;
}

/* A look that comes late counts as two. */
static uint64_t tick(const struct wwri_feed *feed) {
  struct wwri_shard_channels *channels = &feed->shard->channels;
  uint64_t now = wwri_loop_now_ms(feed->shard->loop);
  uint64_t since = now - channels->paced_ms;
  uint64_t most = 2 * pace_of(feed);
  channels->paced_ms = now;
  channels->pace_ms += since < most ? since : most;
  return channels->pace_ms;
}

static struct queues look_at(struct wwri_feed *feed) {
  const struct wwr_server *server = feed->shard->server;
  const struct wwri_channels *channels = &server->channels;
  uint64_t now = tick(feed);
  uint32_t half = wwri_limit(&server->limits.queued_bytes) / 2;
  struct queues queues = {0, 0, 0};
  struct wwri_list *next = feed->full.next;
  while (next != &feed->full) {
    struct wwri_reader *reader = WWRI_CONTAINER(next, struct wwri_reader, full);
    next = next->next;
    if (reader->conn->pipe->queued_bytes <= half) {
      wwri_reader_drains(reader);
      continue;
    }
    uint64_t stuck = stuck_for(reader->conn, half / STEPS, now);
    queues.slow += stuck < channels->stuck_ms;
    queues.moving += stuck < channels->crowd_ms;
    queues.prompt += stuck < channels->few_ms;
  }
  return queues;
}

static bool waits_too_long(const struct wwri_feed *feed) {
  const struct wwri_shard *shard = feed->shard;
  if (wwri_list_empty(&feed->backlog)) return false;
  const struct wwri_item *first =
      WWRI_CONTAINER(feed->backlog.next, struct wwri_item, node);
  return shard->channels.pace_ms - first->held_ms >=
         shard->server->channels.held_ms;
}

static bool is_crowded(const struct wwri_feed *feed,
                       const struct queues *queues) {
  if (queues->moving > 0 && queues->moving * 2 >= feed->count) return true;
  return queues->prompt > 0 && !waits_too_long(feed);
}

void wwri_feed_crowd(struct wwri_feed *feed) {
  struct queues queues = look_at(feed);
  feed->crowded = is_crowded(feed, &queues);
  if (queues.slow) wwri_feed_press(feed);
  if (queues.slow || feed->crowded) wwri_feed_pace(feed);
}

void wwri_feed_pace(struct wwri_feed *feed) {
  struct wwri_shard *shard = feed->shard;
  if (feed->pace.armed) return;
  wwri_loop_timer_set(shard->loop, &feed->pace, pace_of(feed));
}

void wwri_feed_repace(struct wwri_feed *feed) {
  const struct wwri_shard *shard = feed->shard;
  uint32_t much = shard->server->channels.press_bytes / 2;
  struct queues queues = look_at(feed);
  feed->crowded = is_crowded(feed, &queues);
  bool full = queues.slow || atomic_load(&shard->channels.waiting) > much;
  if (full || feed->crowded) wwri_feed_pace(feed);
  if (!full && feed->state == WWRI_FEED_UP) wwri_feed_unpress(feed);
  (void)wwri_feed_drain(feed); /* it may free the feed */
}
