/* One side of a connection: send -> queue -> lane -> the peer's message event
 * -> the lane comes back.
 *
 * close: what is queued goes out, then "fin" behind it; the peer fires closed
 * when it has taken everything, says "gone", and so do we.
 * abort, the slow-consumer ceiling, no memory for the queue: closed fires from
 * a mail to ourselves ("kick"), and "gone" cuts the peer off.
 * The peer's "gone": closed fires, whatever was still waiting is dropped. */
#include <stdlib.h>

#include "mem.h"

static struct wwri_mem_pipe *from_base(const struct wwri_pipe *base) {
  return WWRI_CONTAINER(base, struct wwri_mem_pipe, base);
}

static void post_to_peer(struct wwri_mem_pipe *pipe, struct wwri_mail *mail) {
  wwri_loop_post(pipe->peer->base.loop, mail);
}

/* Run on_kick() soon: events are due that must not fire inside a call. */
static void kick(struct wwri_mem_pipe *pipe) {
  if (pipe->kicked) return;
  pipe->kicked = true;
  wwri_loop_post(pipe->base.loop, &pipe->kick);
}

/* The end */

static void detach_if_over(struct wwri_mem_pipe *pipe) {
  if (!pipe->finished || !pipe->gone_received || pipe->kicked) return;
  struct wwri_mem_owner *owner = pipe->owner;
  struct wwri_mem_pair *pair = pipe->pair;
  owner->detached(pipe);
  if (atomic_fetch_sub(&pair->attached, 1) == 1) free(pair);
  wwri_mem_owner_drop(owner);
}

static void set_queued(struct wwri_mem_pipe *pipe, uint32_t bytes) {
  uint32_t before = pipe->base.queued_bytes;
  pipe->base.queued_bytes = bytes;
  if (pipe->queued_total) {
    atomic_fetch_add(pipe->queued_total, (unsigned long long)bytes - before);
  }
}

static void drop_frames(struct wwri_mem_lane *lane) {
  while (lane->next < lane->count) {
    wwri_frame_unref(lane->frames[lane->next++]);
  }
}

void wwri_mem_pipe_finish(struct wwri_mem_pipe *pipe, wwr_err reason) {
  if (pipe->finished) return;
  pipe->finished = true;
  wwri_loop_timer_cancel(pipe->base.loop, &pipe->linger);
  wwri_flusher_cancel(&pipe->flusher);
  wwri_outq_deinit(&pipe->queue);
  set_queued(pipe, 0);
  if (pipe->in) drop_frames(pipe->in); /* the peer can spare its lane now */
  pipe->in = NULL;
  wwri_list_remove(&pipe->link);
  pipe->owner->finished(pipe, reason);
  if (pipe->base.events) pipe->base.events->closed(&pipe->base, reason);
  post_to_peer(pipe, &pipe->gone);
  detach_if_over(pipe);
}

static void on_gone(struct wwri_mail *mail) {
  struct wwri_mem_pipe *pipe =
      WWRI_CONTAINER(mail, struct wwri_mem_pipe, gone)->peer;
  pipe->gone_received = true;
  if (pipe->finished) {
    detach_if_over(pipe);
  } else {
    wwri_mem_pipe_finish(pipe, pipe->closing ? WWR_OK : WWR_E_DISCONNECTED);
  }
}

static void cut(struct wwri_mem_pipe *pipe, wwr_err reason) {
  if (pipe->cut || pipe->finished) return;
  pipe->cut = true;
  pipe->cut_reason = reason;
  kick(pipe);
}

/* Out */

static void count_queued(struct wwri_mem_pipe *pipe) {
  set_queued(pipe, pipe->queue.bytes + pipe->away_bytes);
}

static void on_lane(struct wwri_mail *mail);

static void send_lane(struct wwri_mem_pipe *pipe) {
  struct wwri_mem_lane *lane = &pipe->out;
  size_t bytes = 0;
  lane->count = lane->next = 0;
  while (pipe->queue.count > 0 && lane->count < WWRI_MEM_LANE_FRAMES &&
         bytes < WWRI_MEM_LANE_BYTES) {
    struct wwri_frame *frame = wwri_outq_pop(&pipe->queue);
    bytes += wwri_frame_wire_len(frame);
    lane->frames[lane->count++] = frame;
  }
  pipe->away_bytes = (uint32_t)bytes; /* no more than the queue's were */
  pipe->out_away = true;
  lane->mail.fn = on_lane;
  post_to_peer(pipe, &lane->mail);
}

static void pump(struct wwri_mem_pipe *pipe) {
  if (pipe->held || pipe->cut || pipe->finished) return;
  if (!pipe->out_away && pipe->queue.count > 0) send_lane(pipe);
  if (pipe->closing && pipe->queue.count == 0 && !pipe->fin_sent) {
    pipe->fin_sent = true;
    post_to_peer(pipe, &pipe->fin);
  }
}

static void on_flush(struct wwri_flusher *flusher) {
  pump(WWRI_CONTAINER(flusher, struct wwri_mem_pipe, flusher));
}

static void on_lane_back(struct wwri_mail *mail) {
  struct wwri_mem_pipe *pipe =
      WWRI_CONTAINER(mail, struct wwri_mem_pipe, out.mail);
  if (pipe->finished) return;
  pipe->out_away = false;
  pipe->base.written_bytes += pipe->away_bytes;
  pipe->away_bytes = 0;
  count_queued(pipe);
  pump(pipe);
}

/* In */

/* A closing pipe reads on, held or not, and throws away. */
static bool may_read(const struct wwri_mem_pipe *pipe) {
  if (pipe->cut || pipe->finished) return false;
  return pipe->closing || (!pipe->held && !pipe->paused);
}

static void hand_over(struct wwri_mem_pipe *pipe, struct wwri_frame *frame) {
  struct wwri_pipe *base = &pipe->base;
  base->last_rx_ms = wwri_loop_now_ms(base->loop);
  if (pipe->closing || pipe->violated) return;
  if (frame->message_len > base->max_message_bytes) {
    pipe->violated = true;
    base->events->violation(base, WWRI_CLOSE_TOO_BIG);
  } else {
    base->events->message(base, wwri_frame_view(frame));
  }
}

static void return_lane(struct wwri_mem_pipe *pipe) {
  struct wwri_mem_lane *lane = pipe->in;
  pipe->in = NULL;
  lane->mail.fn = on_lane_back;
  post_to_peer(pipe, &lane->mail);
}

static void deliver(struct wwri_mem_pipe *pipe) {
  while (pipe->in && may_read(pipe)) {
    struct wwri_mem_lane *lane = pipe->in;
    if (lane->next == lane->count) {
      return_lane(pipe);
    } else {
      struct wwri_frame *frame = lane->frames[lane->next++];
      hand_over(pipe, frame);
      wwri_frame_unref(frame);
    }
  }
  if (!pipe->in && pipe->fin_received && may_read(pipe)) {
    wwri_mem_pipe_finish(pipe, WWR_OK);
  }
}

static void on_lane(struct wwri_mail *mail) {
  struct wwri_mem_pipe *from =
      WWRI_CONTAINER(mail, struct wwri_mem_pipe, out.mail);
  struct wwri_mem_pipe *pipe = from->peer;
  if (pipe->finished) {
    drop_frames(&from->out);
    return;
  }
  pipe->in = &from->out;
  deliver(pipe);
}

static void on_fin(struct wwri_mail *mail) {
  struct wwri_mem_pipe *pipe =
      WWRI_CONTAINER(mail, struct wwri_mem_pipe, fin)->peer;
  pipe->fin_received = true;
  deliver(pipe);
}

static void on_kick(struct wwri_mail *mail) {
  struct wwri_mem_pipe *pipe = WWRI_CONTAINER(mail, struct wwri_mem_pipe, kick);
  pipe->kicked = false;
  if (pipe->finished) {
    detach_if_over(pipe);
  } else if (pipe->cut) {
    wwri_mem_pipe_finish(pipe, pipe->cut_reason);
  } else {
    deliver(pipe);
  }
}

/* What the user calls */

static wwr_err enqueue(struct wwri_mem_pipe *pipe, struct wwri_frame *frame) {
  uint64_t queued = pipe->base.queued_bytes;
  if (queued > 0 && queued + wwri_frame_wire_len(frame) >
                        atomic_load(pipe->max_queued_bytes)) {
    return WWR_E_SLOW_CONSUMER;
  }
  return wwri_outq_push(&pipe->queue, frame, UINT32_MAX);
}

static wwr_err pipe_send(struct wwri_pipe *base, struct wwri_frame *frame) {
  struct wwri_mem_pipe *pipe = from_base(base);
  wwr_err err = WWR_E_DISCONNECTED;
  if (!pipe->closing && !pipe->cut && !pipe->finished) {
    err = enqueue(pipe, frame);
    if (err) cut(pipe, err);
  }
  if (err) {
    wwri_frame_unref(frame);
    return err;
  }
  count_queued(pipe);
  if (!pipe->held) wwri_loop_flush_later(base->loop, &pipe->flusher);
  return WWR_OK;
}

static void pipe_release(struct wwri_pipe *base) {
  struct wwri_mem_pipe *pipe = from_base(base);
  if (!pipe->held || pipe->finished) return;
  pipe->held = false;
  if (pipe->queue.count > 0) {
    wwri_loop_flush_later(base->loop, &pipe->flusher);
  }
  if (pipe->in || pipe->fin_received) kick(pipe);
}

static void pipe_pause(struct wwri_pipe *base, bool paused) {
  struct wwri_mem_pipe *pipe = from_base(base);
  if (pipe->finished) return;
  pipe->paused = paused;
  if (!paused && (pipe->in || pipe->fin_received)) kick(pipe);
}

static void pipe_close(struct wwri_pipe *base, uint16_t code) {
  struct wwri_mem_pipe *pipe = from_base(base);
  (void)code; /* only a WebSocket has somewhere to put it */
  if (pipe->closing || pipe->cut || pipe->finished) return;
  pipe->closing = true;
  pipe->held = false;
  wwri_loop_timer_set(base->loop, &pipe->linger, pipe->close_linger_ms);
  wwri_loop_flush_later(base->loop, &pipe->flusher);
  if (pipe->in || pipe->fin_received) kick(pipe);
}

static void on_linger_over(struct wwri_timer *timer) {
  wwri_mem_pipe_finish(WWRI_CONTAINER(timer, struct wwri_mem_pipe, linger),
                       WWR_OK);
}

static void pipe_abort(struct wwri_pipe *base) {
  cut(from_base(base), WWR_E_DISCONNECTED);
}

static const char *pipe_remote(const struct wwri_pipe *base) {
  (void)base;
  return "memory";
}

static const struct wwri_pipe_ops pipe_ops = {
    .send = pipe_send,
    .spread = pipe_send, /* nothing leaves that others would wait for */
    .release = pipe_release,
    .pause = pipe_pause,
    .close = pipe_close,
    .abort = pipe_abort,
    .remote = pipe_remote,
};

void wwri_mem_pipe_init(struct wwri_mem_pipe *pipe, struct wwri_mem_pair *pair,
                        struct wwri_mem_pipe *peer,
                        const struct wwri_mem_pipe_config *config) {
  pipe->base.ops = &pipe_ops;
  pipe->base.loop = config->loop;
  pipe->base.last_rx_ms = wwri_loop_now_ms(config->loop);
  pipe->base.max_message_bytes = config->max_message_bytes;
  pipe->peer = peer;
  pipe->pair = pair;
  pipe->owner = config->owner;
  pipe->max_queued_bytes = config->max_queued_bytes;
  pipe->queued_total = config->queued_total;
  pipe->close_linger_ms = config->close_linger_ms;
  pipe->held = true;
  wwri_list_init(&pipe->link);
  wwri_outq_init(&pipe->queue);
  wwri_flusher_init(&pipe->flusher, on_flush);
  wwri_timer_init(&pipe->linger, on_linger_over);
  pipe->kick.fn = on_kick;
  pipe->fin.fn = on_fin;
  pipe->gone.fn = on_gone;
}
