/* What comes from the bus, in one order per shard.
 *
 * An item runs at once when the bus runs on the shard's own loop and nothing
 * waits there that was posted before; else it goes by mail. Messages have a
 * credit, which the next turn renews: whatever burst arrives in one pass of
 * the loop, a connection that reads can't have its queue filled by it. What is
 * over the credit waits in `inflow`, and everything behind it too. What is for
 * a feed whose readers can't take more waits there, and the others go on.
 *
 * A turn has so many steps, a reader each, which feeds share in rotation: a
 * feed with many readers does not hold up the others, nor the loop. */
#include "internal.h"

/* Connections whose turn to be flushed comes in a pass. */
enum { CONNS_PER_FLUSH = 64, FLUSHES_TO_FILL = 8 };

static struct wwri_shard *shard_of(struct wwri_flusher *flusher) {
  return WWRI_CONTAINER(flusher, struct wwri_shard, channels.flusher);
}

static int64_t full_credit(const struct wwri_shard *shard) {
  int64_t bytes =
      wwri_limit(&shard->server->limits.queued_bytes) / FLUSHES_TO_FILL;
  return bytes / (1 + (int64_t)shard->own.conn_count / CONNS_PER_FLUSH) + 1;
}

static void run(struct wwri_item *item) {
  atomic_fetch_sub(&item->shard->channels.waiting, item->bytes);
  item->run(item);
}

/* Only messages find a feed crowded; everything keeps its place behind them. */
static bool must_wait(const struct wwri_feed *feed, uint32_t bytes) {
  return !wwri_list_empty(&feed->backlog) || feed->walk.frame ||
         (bytes && feed->crowded);
}

void wwri_feed_pend(struct wwri_feed *feed) {
  if (!wwri_list_empty(&feed->pent)) return;
  wwri_list_append(&feed->shard->channels.pent, &feed->pent);
}

static void take(struct wwri_item *item) {
  struct wwri_feed *feed = item->feed;
  if (!feed || !must_wait(feed, item->bytes)) {
    run(item);
    return;
  }
  wwri_feed_pend(feed);
  item->held_ms = feed->shard->channels.pace_ms;
  wwri_list_append(&feed->backlog, &item->node);
  if (feed->crowded) wwri_feed_pace(feed);
}

/* `run` may free the feed, with the last item. */
bool wwri_feed_drain(struct wwri_feed *feed) {
  struct wwri_shard_channels *channels = &feed->shard->channels;
  if (!wwri_feed_walk(feed)) return true;
  bool more = !wwri_list_empty(&feed->backlog);
  if (!more) wwri_list_remove(&feed->pent);
  while (more && !feed->crowded && channels->credit > 0) {
    struct wwri_list *node = wwri_list_pop(&feed->backlog);
    more = !wwri_list_empty(&feed->backlog);
    if (!more) wwri_list_remove(&feed->pent);
    run(WWRI_CONTAINER(node, struct wwri_item, node));
    if (more && feed->walk.frame) return true;
  }
  return false;
}

/* Everybody once; those that come back are behind. True: some could go on. */
static bool drain_each(struct wwri_shard_channels *channels) {
  struct wwri_list round;
  struct wwri_list *node;
  bool more = false;
  wwri_list_init(&round);
  wwri_list_splice(&round, &channels->pent);
  while (channels->steps > 0 && (node = wwri_list_pop(&round))) {
    wwri_list_append(&channels->pent, node);
    more |= wwri_feed_drain(WWRI_CONTAINER(node, struct wwri_feed, pent));
  }
  wwri_list_splice(&round, &channels->pent);
  wwri_list_splice(&channels->pent, &round);
  return more;
}

static void on_turn(struct wwri_flusher *flusher) {
  struct wwri_shard *shard = shard_of(flusher);
  struct wwri_shard_channels *channels = &shard->channels;
  struct wwri_list *node;
  channels->credit = full_credit(shard);
  channels->steps = shard->server->channels.turn_steps;
  while (drain_each(channels) && channels->steps > 0) continue;
  while (channels->credit > 0 && channels->steps > 0 &&
         (node = wwri_list_pop(&channels->inflow))) {
    take(WWRI_CONTAINER(node, struct wwri_item, node));
  }
  if (!wwri_list_empty(&channels->inflow) || channels->steps == 0) {
    wwri_loop_flush_later(shard->loop, flusher);
  }
}

void wwri_shard_channels_init(struct wwri_shard *shard) {
  struct wwri_shard_channels *channels = &shard->channels;
  wwri_map_init(&channels->feeds);
  wwri_list_init(&channels->inflow);
  wwri_list_init(&channels->pent);
  wwri_flusher_init_ranked(&channels->flusher, on_turn, WWRI_RANK_WALK);
  channels->credit = full_credit(shard);
  channels->steps = shard->server->channels.turn_steps;
}

void wwri_shard_spend(struct wwri_shard *shard, size_t bytes) {
  shard->channels.credit -= (int64_t)bytes;
  wwri_loop_flush_later(shard->loop, &shard->channels.flusher);
}

static void put_off(struct wwri_item *item) {
  struct wwri_shard *shard = item->shard;
  wwri_list_append(&shard->channels.inflow, &item->node);
  wwri_loop_flush_later(shard->loop, &shard->channels.flusher);
}

static bool may_take(const struct wwri_shard *shard, uint32_t bytes) {
  if (!wwri_list_empty(&shard->channels.inflow)) return false;
  return !bytes || shard->channels.credit > 0;
}

static void item_arrived(struct wwri_mail *mail) {
  struct wwri_item *item = WWRI_CONTAINER(mail, struct wwri_item, mail);
  if (may_take(item->shard, item->bytes)) {
    take(item);
  } else {
    put_off(item);
  }
}

static bool nothing_before(const struct wwri_shard *shard) {
  return wwri_loop_is_current(shard->loop) && !wwri_loop_has_mail(shard->loop);
}

bool wwri_feed_may_act(struct wwri_feed *feed) {
  return nothing_before(feed->shard) && may_take(feed->shard, 1) &&
         !must_wait(feed, 1);
}

void wwri_item_send(struct wwri_item *item) {
  struct wwri_shard *shard = item->shard;
  atomic_fetch_add(&shard->channels.waiting, item->bytes);
  if (!nothing_before(shard)) {
    item->mail.fn = item_arrived;
    wwri_loop_post(shard->loop, &item->mail);
  } else if (may_take(shard, item->bytes)) {
    take(item);
  } else {
    put_off(item);
  }
}
