/* A connection as the layers above see it. Its operations only note what is
 * wanted: frames leave in flush.c, and everything that might fire an event
 * happens in wwri_ws_pipe_work() or in a callback of lws.
 *
 * Endings: lws closes (peer's close, error, our close answered) and calls
 * wwri_ws_pipe_gone(); or we drop it (abort, slow consumer, out of memory, the
 * linger time is over) by wwri_ws_pipe_kill(). Both leave the pipe without a
 * wsi, and the closed event fires when the inbox is empty. */
#include <stdlib.h>

#include "websocket.h"

/* For the answer to a close, when the peer has it: nobody waits for longer. */
enum { ANSWER_MS = 1000 };

static struct wwri_ws_pipe *from_base(const struct wwri_pipe *base) {
  return WWRI_CONTAINER(base, struct wwri_ws_pipe, base);
}

/* Life */

/* The peer has our close and all before it; only its answer is missing. */
static bool has_all(const struct wwri_ws_pipe *pipe) {
  return pipe->close_sent && !pipe->broken && pipe->out.count == 0 &&
         wwri_ws_attached(pipe) &&
         wwri_ws_socket_unacked(wwri_ws_fd(pipe)) == 0;
}

static void on_linger(struct wwri_timer *timer) {
  struct wwri_ws_pipe *pipe =
      WWRI_CONTAINER(timer, struct wwri_ws_pipe, linger);
  uint64_t now = wwri_loop_now_ms(pipe->base.loop);
  if (now >= pipe->linger_end_ms || has_all(pipe)) {
    wwri_ws_pipe_kill(pipe, WWR_OK);
    return;
  }
  uint64_t left = pipe->linger_end_ms - now;
  wwri_loop_timer_set(pipe->base.loop, timer,
                      left < ANSWER_MS ? left : ANSWER_MS);
}

static void linger(struct wwri_ws_pipe *pipe) {
  uint32_t most = pipe->shard->close_linger_ms;
  pipe->linger_end_ms = wwri_loop_now_ms(pipe->base.loop) + most;
  wwri_loop_timer_set(pipe->base.loop, &pipe->linger,
                      most < ANSWER_MS ? most : ANSWER_MS);
}

void wwri_ws_pipe_init(struct wwri_ws_pipe *pipe, struct wwri_ws_shard *shard,
                       uint32_t max_message_bytes) {
  pipe->base.ops = &wwri_ws_pipe_ops;
  pipe->base.loop = shard->loop;
  pipe->base.max_message_bytes = max_message_bytes;
  pipe->shard = shard;
  pipe->held = true;
  wwri_outq_init(&pipe->out);
  wwri_buf_init(&pipe->message, 0);
  wwri_list_init(&pipe->link);
  wwri_list_init(&pipe->dirty_link);
  wwri_list_init(&pipe->todo_link);
  wwri_list_init(&pipe->ping_link);
  wwri_list_init(&pipe->stall_link);
  pipe->native.fd = -1;
  wwri_timer_init(&pipe->linger, on_linger);
}

void wwri_ws_pipe_opened(struct wwri_ws_pipe *pipe) {
  uint64_t now = wwri_loop_now_ms(pipe->base.loop);
  pipe->opened = true;
  if (pipe->shard->open) (*pipe->shard->open)++;
  pipe->base.last_rx_ms = pipe->last_tx_ms = pipe->progress_ms = now;
  wwri_list_append(&pipe->shard->pipes, &pipe->link);
  wwri_ws_ping_add(pipe);
}

/* No connection from here on, and nothing left to send to it. */
static void detach(struct wwri_ws_pipe *pipe) {
  pipe->wsi = NULL;
  wwri_ws_native_detach(pipe);
  pipe->closing = true;
  wwri_outq_deinit(&pipe->out);
  wwri_buf_deinit(&pipe->message);
  pipe->base.queued_bytes = 0;
  wwri_list_remove(&pipe->dirty_link);
  wwri_list_remove(&pipe->ping_link);
  wwri_list_remove(&pipe->stall_link);
  wwri_loop_timer_cancel(pipe->base.loop, &pipe->linger);
}

static void note_reason(struct wwri_ws_pipe *pipe, wwr_err reason) {
  if (pipe->has_reason) return;
  pipe->has_reason = true;
  pipe->reason = reason;
}

void wwri_ws_pipe_gone(struct wwri_ws_pipe *pipe, wwr_err reason) {
  note_reason(pipe, reason);
  if (pipe->wsi) lws_set_opaque_user_data(pipe->wsi, NULL);
  detach(pipe);
  wwri_ws_todo(pipe);
}

void wwri_ws_drop_wsi(struct lws *wsi) {
  lws_set_opaque_user_data(wsi, NULL);
  wwri_ws_kill_wsi(wsi);
}

void wwri_ws_kill_wsi(struct lws *wsi) {
  struct lws_context *context = lws_get_context(wsi);
  /* The reason is any but the idle one, which would let lws linger. */
  lws_set_timeout(wsi, PENDING_TIMEOUT_AWAITING_PROXY_RESPONSE,
                  LWS_TO_KILL_ASYNC);
  lws_cancel_service(context); /* its timers start from a callback only */
}

void wwri_ws_pipe_kill(struct wwri_ws_pipe *pipe, wwr_err reason) {
  note_reason(pipe, reason);
  struct lws *wsi = pipe->wsi;
  wwri_ws_inbox_free(pipe);
  pipe->violation_due = false;
  detach(pipe);
  if (wsi) wwri_ws_drop_wsi(wsi);
  wwri_ws_todo(pipe);
}

void wwri_ws_pipe_broken(struct wwri_ws_pipe *pipe) {
  if (pipe->rx_off) { /* nobody would notice */
    wwri_ws_pipe_kill(pipe, WWR_E_DISCONNECTED);
    return;
  }
  note_reason(pipe, WWR_E_DISCONNECTED);
  pipe->broken = pipe->closing = true;
  wwri_outq_deinit(&pipe->out);
  pipe->base.queued_bytes = 0;
  linger(pipe);
}

void wwri_ws_touch(struct wwri_ws_pipe *pipe) {
  pipe->base.last_rx_ms = wwri_loop_now_ms(pipe->base.loop);
}

void wwri_ws_peer_closes(struct wwri_ws_pipe *pipe) {
  wwri_ws_flush_last(pipe);
  if (!wwri_ws_attached(pipe)) return;
  note_reason(pipe, WWR_OK);
  pipe->closing = pipe->peer_closing = true;
  linger(pipe);
}

void wwri_ws_lws_closes(struct wwri_ws_pipe *pipe) {
  wwri_ws_flush_last(pipe);
  if (!pipe->wsi) return;
  pipe->closing = pipe->close_sent = true;
}

void wwri_ws_pipe_finish(struct wwri_ws_pipe *pipe) {
  detach(pipe);
  wwri_list_remove(&pipe->link);
  wwri_list_remove(&pipe->todo_link);
  if (pipe->shard->open) (*pipe->shard->open)--;
  pipe->base.events->closed(&pipe->base, pipe->reason);
  wwri_ws_native_farewell(pipe);
  wwri_ws_inbox_free(pipe);
  pipe->shard->events->free_pipe(pipe);
}

/* Reading stops only when something arrived that may not be delivered: a pause
 * that ends before that costs nothing. Called between lws' callbacks, so that
 * lws never has an unparsed rest to keep (docs/libwebsockets.md). */
static void apply_rx_flow(struct wwri_ws_pipe *pipe) {
  bool off = pipe->inbox != NULL;
  if (!wwri_ws_attached(pipe) || off == pipe->rx_off) return;
  pipe->rx_off = off;
  if (pipe->wsi) {
    lws_rx_flow_control(pipe->wsi, off ? 0 : 1);
  } else if (!off) {
    wwri_ws_native_resume(pipe);
  }
}

void wwri_ws_pipe_work(struct wwri_ws_pipe *pipe) {
  wwri_ws_deliver(pipe);
  if (wwri_ws_attached(pipe)) {
    apply_rx_flow(pipe);
  } else if (wwri_ws_delivered(pipe)) {
    wwri_ws_pipe_finish(pipe);
  } else {
    wwri_ws_native_farewell(pipe); /* what waits for delivery may take long */
  }
}

/* Operations */

/* Takes over one reference. */
static inline wwr_err queue(struct wwri_ws_pipe *pipe,
                            struct wwri_frame *frame) {
  if (pipe->closing) {
    wwri_frame_unref(frame);
    return WWR_E_DISCONNECTED;
  }
  wwr_err err =
      wwri_outq_push(&pipe->out, frame,
                     atomic_load_explicit(&pipe->shard->max_queued_bytes,
                                          memory_order_relaxed));
  if (err) {
    wwri_frame_unref(frame);
    if (err == WWR_E_SLOW_CONSUMER) pipe->shard->slow_consumers++;
    wwri_ws_pipe_kill(pipe, err);
    return err;
  }
  pipe->base.queued_bytes = pipe->out.bytes;
  return WWR_OK;
}

static wwr_err pipe_send(struct wwri_pipe *base, struct wwri_frame *frame) {
  struct wwri_ws_pipe *pipe = from_base(base);
  wwr_err err = queue(pipe, frame);
  if (err == WWR_OK) wwri_ws_mark_dirty(pipe);
  return err;
}

static wwr_err pipe_spread(struct wwri_pipe *base, struct wwri_frame *frame) {
  struct wwri_ws_pipe *pipe = from_base(base);
  wwr_err err = queue(pipe, frame);
  if (err == WWR_OK) wwri_ws_mark_bulk(pipe);
  return err;
}

static void pipe_release(struct wwri_pipe *base) {
  struct wwri_ws_pipe *pipe = from_base(base);
  if (!pipe->held) return;
  pipe->held = false;
  if (pipe->out.count > 0 || pipe->native.pong) wwri_ws_mark_dirty(pipe);
  if (!wwri_ws_delivered(pipe)) wwri_ws_todo(pipe);
}

static void pipe_pause(struct wwri_pipe *base, bool paused) {
  struct wwri_ws_pipe *pipe = from_base(base);
  if (pipe->paused == paused) return;
  pipe->paused = paused;
  if (!paused &&
      (!wwri_ws_delivered(pipe) || pipe->rx_off || !wwri_ws_attached(pipe))) {
    wwri_ws_todo(pipe);
  }
}

static void pipe_close(struct wwri_pipe *base, uint16_t code) {
  struct wwri_ws_pipe *pipe = from_base(base);
  if (pipe->close_code) return;
  pipe->close_code = code;
  pipe->held = false;
  note_reason(pipe, WWR_OK);
  wwri_ws_inbox_free(pipe); /* no message events from here on */
  pipe->violation_due = false;
  pipe->violated = true;
  if (!wwri_ws_attached(pipe) || pipe->rx_off) wwri_ws_todo(pipe);
  if (pipe->closing) return; /* the peer was first, or it is gone */
  pipe->closing = true;
  linger(pipe);
  if (pipe->native.attached) {
    wwri_ws_native_close(pipe, code);
  } else {
    wwri_ws_mark_dirty(pipe);
  }
}

static void pipe_abort(struct wwri_pipe *base) {
  wwri_ws_pipe_kill(from_base(base), WWR_E_DISCONNECTED);
}

static const char *pipe_remote(const struct wwri_pipe *base) {
  return from_base(base)->remote;
}

const struct wwri_pipe_ops wwri_ws_pipe_ops = {.send = pipe_send,
                                               .spread = pipe_spread,
                                               .release = pipe_release,
                                               .pause = pipe_pause,
                                               .close = pipe_close,
                                               .abort = pipe_abort,
                                               .remote = pipe_remote};
