/* A message from the bus to the connections of a shard. It is encoded and
 * framed once for all shards; every connection's queue holds a reference.
 *
 * Many readers are walked in turns, between which the loop does what else there
 * is. Whatever else comes for the feed waits behind the walk, so each reader
 * gets its messages in order, and nobody begins to read in its midst; but they
 * may leave, see wwri_reader_end(). */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct delivery {
  struct wwri_item item;
  struct wwri_feed *feed;
  struct wwri_frame *frame; /* one reference */
  struct wwri_logid id;
  uint64_t except; /* id of a connection; 0: none */
  bool pressed;    /* the bus was told that too much waits here */
};

/* A message to one connection, in the mail of its own loop. */
struct straggler {
  struct wwri_mail mail;
  struct wwr_conn *conn;      /* a reference */
  struct wwri_reader *reader; /* a reference */
  struct wwri_frame *frame;   /* a reference */
};

/* --- The frame ------------------------------------------------------------ */

static bool is_same(const struct wwri_frame *frame,
                    const struct wwri_msg *msg) {
  struct wwri_msg have;
  if (frame->message_len != wwri_encoded_len(msg)) return false;
  if (wwri_decode(wwri_frame_view(frame), &have) != WWR_OK) return false;
  return have.type == msg->type && wwr_view_equal(have.name, msg->name) &&
         wwr_view_equal(have.payload.data, msg->payload.data);
}

/* With one reference. The other shards' receivers come right after the first,
 * so the last frame is kept for them. */
static wwr_err frame_of(struct wwr_server *server,
                        const struct wwri_bus_message *message,
                        struct wwri_frame **out) {
  struct wwri_frame **kept = &server->channels.bus_thread.frame;
  struct wwri_msg msg = wwri_signal_msg(message->name, &message->payload);
  if (*kept && is_same(*kept, &msg)) {
    *out = wwri_frame_ref(*kept);
    return WWR_OK;
  }
  wwr_err err = wwri_encode_frame(&msg, server->opts.message_buffer_bytes, out);
  if (err != WWR_OK || server->shard_count == 1) return err;
  wwri_frame_unref(*kept);
  *kept = wwri_frame_ref(*out);
  return WWR_OK;
}

/* --- On the shard's loop -------------------------------------------------- */

static bool is_for(const struct wwri_walk *walk, const struct wwri_slot *slot) {
  if (walk->except && slot->conn->id == walk->except) return false;
  return !walk->compare || wwri_logid_compare(walk->id, slot->reader->from) > 0;
}

static void straggler_arrived(struct wwri_mail *mail) {
  struct straggler *straggler = WWRI_CONTAINER(mail, struct straggler, mail);
  struct wwri_reader *reader = straggler->reader;
  struct wwr_conn *conn = straggler->conn;
  conn->own_parcels--;
  if (reader->dead) {
    wwri_frame_unref(straggler->frame);
  } else {
    wwri_count(&conn->shard->counters.signals_out, 1);
    (void)conn->pipe->ops->send(conn->pipe, straggler->frame);
  }
  wwri_conn_close_if_idle(conn);
  wwri_reader_unref(reader);
  wwr_conn_unref(conn);
  free(straggler);
}

/* Behind what the connection was sent on this loop and is still in its mail.
 * Out of memory it is cut off: a lost message may not be followed by others. */
static void give_later(const struct wwri_walk *walk,
                       const struct wwri_slot *slot) {
  struct wwr_conn *conn = slot->conn;
  struct straggler *straggler = malloc(sizeof *straggler);
  if (!straggler) {
    wwri_frame_unref(walk->frame);
    conn->pipe->ops->abort(conn->pipe);
    return;
  }
  *straggler = (struct straggler){
      {.fn = straggler_arrived}, wwr_conn_ref(conn), slot->reader, walk->frame};
  slot->reader->refs++;
  conn->own_parcels++;
  wwri_loop_post(conn->shard->loop, &straggler->mail);
}

/* Gives `count` readers from walk->at on a reference each. */
static void give(struct wwri_feed *feed, size_t count) {
  const struct wwri_walk walk = feed->walk; /* of which nothing changes here */
  const struct wwri_slot *slot = feed->slots + walk.at;
  const struct wwri_slot *end = slot + count;
  struct wwri_shard *shard = feed->shard;
  uint32_t half = wwri_limit(&shard->server->limits.queued_bytes) / 2;
  bool many = feed->count >= WWRI_SPREAD_MIN;
  unsigned sent = 0;
  wwri_frame_ref_n(walk.frame, (unsigned)count);
  for (; slot < end; slot++) {
    struct wwri_pipe *pipe = slot->conn->pipe;
    if (end - slot > 2 * WWRI_AHEAD) {
      WWRI_FETCH_CONN(slot[2 * WWRI_AHEAD].conn);
      WWRI_FETCH_PIPE(slot[WWRI_AHEAD].conn);
    }
    if (!is_for(&walk, slot)) {
      wwri_frame_unref(walk.frame);
    } else if (slot->conn->own_parcels) {
      give_later(&walk, slot);
    } else {
      (void)(many ? pipe->ops->spread : pipe->ops->send)(pipe, walk.frame);
      sent++;
      if (pipe->queued_bytes <= half) continue;
      wwri_reader_fills(slot->reader);
      feed->walk.full = true;
    }
  }
  feed->walk.at += count;
  wwri_count(&shard->counters.signals_out, sent);
}

static void end_walk(struct wwri_feed *feed) {
  struct wwri_walk walk = feed->walk;
  feed->walk = (struct wwri_walk){.frame = NULL};
  wwri_frame_unref(walk.frame);
  if (!wwri_logid_none(walk.id) &&
      wwri_logid_compare(walk.id, feed->last) > 0) {
    feed->last = walk.id;
  }
  if (walk.full) wwri_feed_crowd(feed);
  if (!wwri_list_empty(&feed->held)) wwri_feed_release(feed, false);
}

bool wwri_feed_walk(struct wwri_feed *feed) {
  struct wwri_walk *walk = &feed->walk;
  size_t *steps = &feed->shard->channels.steps;
  size_t share = feed->shard->server->channels.turn_steps / WWRI_TURN_SHARES;
  if (share == 0) share = 1;
  while (walk->frame) {
    if (!walk->wrapped && walk->at == feed->count) {
      walk->wrapped = true;
      walk->at = 0;
    }
    size_t ahead = (walk->wrapped ? walk->start : feed->count) - walk->at;
    if (ahead == 0) {
      end_walk(feed);
      break;
    }
    size_t count = share < *steps ? share : *steps;
    if (count > ahead) count = ahead;
    if (count == 0) return false;
    share -= count;
    *steps -= count;
    give(feed, count);
  }
  return true;
}

/* Spread evenly, so that nobody is always the last. */
static size_t next_start(struct wwri_feed *feed) {
  const uint32_t golden = 2654435769U;
  feed->rotor += golden;
  return (size_t)((uint64_t)feed->rotor * feed->count >> 32);
}

enum { OWN_COPY_MIN = 16 /* readers */ };

/* Shards that share a frame take its count of references from each other, and
 * with it the line of memory that its message begins in. One that has use for
 * many references makes a copy. */
static struct wwri_frame *own_frame(const struct wwri_feed *feed,
                                    struct wwri_frame *frame) {
  if (feed->shard->server->shard_count == 1 || feed->count < OWN_COPY_MIN) {
    return frame;
  }
  struct wwri_frame *copy = wwri_frame_new(frame->message_len);
  if (!copy) return frame;
  memcpy(wwri_frame_message(copy), wwri_frame_message(frame),
         frame->message_len);
  wwri_frame_unref(frame);
  return copy;
}

/* Takes over one reference of the frame. No walk is under way. */
static void hand_out(struct wwri_feed *feed, struct wwri_frame *frame,
                     struct wwri_logid id, uint64_t except) {
  frame = own_frame(feed, frame);
  feed->walk = (struct wwri_walk){.frame = frame, .id = id, .except = except};
  feed->walk.start = feed->walk.at = next_start(feed);
  if (!wwri_logid_none(id)) {
    feed->walk.compare = wwri_logid_compare(id, feed->newest) <= 0;
  }
  if (feed->count) wwri_shard_spend(feed->shard, wwri_frame_wire_len(frame));
  if (!wwri_feed_walk(feed)) wwri_feed_pend(feed);
}

static void delivery_run(struct wwri_item *item) {
  struct delivery *delivery = WWRI_CONTAINER(item, struct delivery, item);
  if (delivery->pressed) wwri_feed_pace(delivery->feed);
  hand_out(delivery->feed, delivery->frame, delivery->id, delivery->except);
  free(delivery);
}

static void delivery_drop(struct wwri_item *item) {
  struct delivery *delivery = WWRI_CONTAINER(item, struct delivery, item);
  wwri_frame_unref(delivery->frame);
  free(delivery);
}

/* --- On the bus's thread -------------------------------------------------- */

static void lost_run(struct wwri_item *item) {
  struct wwri_feed *feed = WWRI_CONTAINER(item, struct wwri_feed, lost.item);
  struct wwr_server *server = feed->shard->server;
  pthread_mutex_lock(&server->channels.lock);
  struct wwri_verdict verdict = feed->lost.verdict;
  feed->lost.posted = false;
  pthread_mutex_unlock(&server->channels.lock);
  wwri_feed_judge(feed, &verdict, true);
}

/* Several losses before the shard hears of the first are one. */
static bool merge_loss(struct wwri_feed *feed, struct wwri_logid id) {
  struct wwri_verdict *verdict = &feed->lost.verdict;
  bool posted = feed->lost.posted;
  feed->lost.posted = true;
  if (!posted) *verdict = (struct wwri_verdict){.kind = WWRI_LOST, .from = id};
  verdict->to = id;
  verdict->count++;
  return !posted;
}

void wwri_feed_lose(struct wwri_feed *feed, struct wwri_logid id) {
  struct wwri_channels *channels = &feed->shard->server->channels;
  atomic_fetch_add(&channels->lost, 1);
  pthread_mutex_lock(&channels->lock);
  bool fresh = merge_loss(feed, id);
  pthread_mutex_unlock(&channels->lock);
  if (!fresh) return;
  feed->lost.item.shard = feed->shard;
  feed->lost.item.feed = feed;
  feed->lost.item.run = lost_run;
  wwri_item_send(&feed->lost.item);
}

/* Takes the frame over. False: it can't be queued. */
static bool post(struct wwri_feed *feed, struct wwri_frame *frame,
                 struct wwri_logid id, uint64_t except) {
  struct wwri_shard *shard = feed->shard;
  uint64_t waiting = atomic_load(&shard->channels.waiting);
  size_t bytes = wwri_frame_wire_len(frame) + sizeof(struct delivery);
  struct delivery *delivery = NULL;
  if (waiting < shard->server->channels.items_max)
    delivery = malloc(sizeof *delivery);
  if (!delivery) {
    wwri_frame_unref(frame);
    return false;
  }
  *delivery = (struct delivery){
      .feed = feed, .frame = frame, .id = id, .except = except};
  delivery->item.shard = shard;
  delivery->item.feed = feed;
  delivery->item.drop = delivery_drop;
  delivery->item.bytes = (uint32_t)bytes;
  delivery->item.run = delivery_run;
  delivery->pressed = waiting + bytes > shard->server->channels.press_bytes;
  if (delivery->pressed) wwri_feed_press(feed);
  wwri_item_send(&delivery->item);
  return true;
}

void wwri_feed_deliver(struct wwri_bus_sub *sub,
                       const struct wwri_bus_message *message) {
  struct wwri_feed *feed = WWRI_CONTAINER(sub, struct wwri_feed, sub);
  struct wwr_server *server = feed->shard->server;
  struct wwri_frame *frame;
  uint64_t except = 0;
  if (message->sender.process == server->channels.process) {
    except = message->sender.conn;
  }
  if (frame_of(server, message, &frame) != WWR_OK) {
    wwri_feed_lose(feed, message->id);
  } else if (wwri_feed_may_act(feed)) {
    hand_out(feed, frame, message->id, except);
  } else if (!post(feed, frame, message->id, except)) {
    wwri_feed_lose(feed, message->id);
  }
}
