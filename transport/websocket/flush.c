/* The way out (docs/libwebsockets.md). A send queues a frame and puts the pipe
 * on the shard's dirty list; when the loop has no more input, one flush writes
 * everything: a sendmsg() on a plain connection (native.c), an lws_write() of
 * up to one TLS record otherwise. POLLOUT is asked for only after a short
 * write.
 *
 * What makes writing raw frames to lws safe: only between its callbacks of an
 * open WebSocket, only while it has nothing of its own to finish, whole frames
 * (so that its pong or close can't get into the middle), and nothing after a
 * close.
 *
 * The callback path (every client, and servers on request) keeps to lws'
 * documented way: one frame per WRITEABLE callback.
 *
 * Failures: a socket that refuses bytes for good is left to the next read, so
 * that what the peer said last still arrives; no memory drops the pipe. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "websocket.h"

enum {
  BYTES_PER_FLUSH = 262144, /* of one pipe; then it is the others' turn */
  /* A turn of each list: so many pipes, or so long, looked at after so much
   * work. What is in front of a message is at most a turn of bulk. */
  PROMPT_PIPES = 256,
  PROMPT_NS = 400 * 1000,
  BULK_PIPES = 64,
  BULK_NS = 250 * 1000,
  WORK_PER_LOOK = 16, /* pipes, or as many times WORK_BYTES */
  WORK_BYTES = 8192,
  SCRATCH_KEPT = 262144,
  RX_REFRESH_MS = 100
};

static const uint8_t ping_byte = 0x89;

static void ask_writable(struct wwri_ws_pipe *pipe) {
  if (pipe->asked) return;
  pipe->asked = true;
  lws_callback_on_writable(pipe->wsi);
}

static void wait_writable(struct wwri_ws_pipe *pipe) {
  pipe->waiting = true;
  ask_writable(pipe);
  wwri_ws_stall_watch(pipe);
}

/* TLS */

static bool need_scratch(struct wwri_ws_pipe *pipe, size_t len) {
  struct wwri_ws_shard *shard = pipe->shard;
  if (shard->scratch && shard->scratch_cap >= len) return true;
  size_t cap = len > WWRI_WS_SCRATCH ? len : WWRI_WS_SCRATCH;
  uint8_t *scratch = malloc(LWS_PRE + cap);
  if (!scratch) {
    wwri_ws_pipe_kill(pipe, WWR_E_NOMEM);
    return false;
  }
  free(shard->scratch);
  shard->scratch = scratch;
  shard->scratch_cap = cap;
  return true;
}

static void trim_scratch(struct wwri_ws_shard *shard) {
  if (shard->scratch_cap <= SCRATCH_KEPT) return;
  free(shard->scratch);
  shard->scratch = NULL;
  shard->scratch_cap = 0;
}

/* Whole frames only, so that lws can't get between the halves of one. */
static size_t fill_scratch(struct wwri_ws_pipe *pipe) {
  size_t len = 0;
  for (uint32_t i = 0; i < pipe->out.count; i++) {
    struct wwri_frame *frame = wwri_outq_peek(&pipe->out, i);
    size_t more = wwri_frame_wire_len(frame);
    if (more > WWRI_WS_SCRATCH - len) break;
    memcpy(pipe->shard->scratch + LWS_PRE + len, frame->wire, more);
    len += more;
  }
  return len;
}

static void write_tls(struct wwri_ws_pipe *pipe) {
  size_t budget = BYTES_PER_FLUSH;
  while (pipe->out.count > 0 && budget > 0) {
    if (!need_scratch(pipe, WWRI_WS_SCRATCH)) return;
    uint8_t *bytes = pipe->shard->scratch + LWS_PRE;
    size_t len = fill_scratch(pipe);
    if (len == 0) { /* larger than a record; raw writes leave it unchanged */
      struct wwri_frame *frame = wwri_outq_peek(&pipe->out, 0);
      bytes = frame->wire;
      len = wwri_frame_wire_len(frame);
    }
    if (lws_write(pipe->wsi, bytes, len, LWS_WRITE_RAW) < 0) {
      wwri_ws_pipe_broken(pipe);
      return;
    }
    wwri_ws_wrote(pipe, len); /* or copied by lws */
    if (lws_partial_buffered(pipe->wsi)) {
      wait_writable(pipe);
      return;
    }
    budget -= len < budget ? len : budget;
  }
}

/* The callback path */

static void write_one(struct wwri_ws_pipe *pipe) {
  if (pipe->out.count == 0) return;
  struct wwri_frame *frame = wwri_outq_peek(&pipe->out, 0);
  struct wwr_view message = wwri_frame_view(frame);
  if (!need_scratch(pipe, message.len)) return;
  uint8_t *bytes = pipe->shard->scratch + LWS_PRE;
  if (message.len) memcpy(bytes, message.data, message.len);
  bool is_ping = frame->wire[0] == ping_byte;
  int n = lws_write(pipe->wsi, bytes, message.len,
                    is_ping ? LWS_WRITE_PING : LWS_WRITE_BINARY);
  if (n < 0) {
    wwri_ws_pipe_broken(pipe);
  } else {
    wwri_ws_wrote(pipe, wwri_frame_wire_len(frame));
  }
  trim_scratch(pipe->shard);
}

/* When */

static bool must_send_close(const struct wwri_ws_pipe *pipe) {
  return pipe->close_code && pipe->out.count == 0 && !pipe->close_sent &&
         !pipe->peer_closing && !pipe->broken;
}

void wwri_ws_mark_dirty(struct wwri_ws_pipe *pipe) {
  if (pipe->held || pipe->waiting || !wwri_ws_attached(pipe)) return;
  if (!wwri_list_empty(&pipe->dirty_link)) {
    if (!pipe->bulk) return;
    wwri_list_remove(&pipe->dirty_link);
  }
  pipe->bulk = false;
  wwri_list_append(&pipe->shard->dirty, &pipe->dirty_link);
  wwri_loop_flush_later(pipe->base.loop, &pipe->shard->flusher);
}

void wwri_ws_mark_bulk(struct wwri_ws_pipe *pipe) {
  if (pipe->held || pipe->waiting || !wwri_ws_attached(pipe)) return;
  if (!wwri_list_empty(&pipe->dirty_link)) return;
  pipe->bulk = true;
  wwri_list_append(&pipe->shard->bulk, &pipe->dirty_link);
  wwri_loop_flush_later(pipe->base.loop, &pipe->shard->bulk_flusher);
}

static void write_later(struct wwri_ws_pipe *pipe) {
  if (pipe->direct) {
    wwri_ws_mark_bulk(pipe); /* the others first */
  } else {
    ask_writable(pipe);
    wwri_ws_stall_watch(pipe);
  }
}

/* Not by the documented way, a negative return from the WRITEABLE callback:
 * Debian's 4.1.6 is a debug build, which then closes a second time at once to
 * see that this does no harm, and so never sends the frame. */
static void send_close(struct wwri_ws_pipe *pipe) {
  struct lws *wsi = pipe->wsi;
  pipe->close_sent = true;
  lws_close_reason(wsi, (enum lws_close_status)pipe->close_code, NULL, 0);
  lws_set_timeout(wsi, PENDING_TIMEOUT_AWAITING_PROXY_RESPONSE,
                  LWS_TO_KILL_SYNC);
}

static void flush_pipe(struct wwri_ws_pipe *pipe) {
  if (pipe->native.attached) {
    wwri_ws_native_flush(pipe);
    return;
  }
  if (lws_partial_buffered(pipe->wsi)) {
    wait_writable(pipe);
    return;
  }
  if (pipe->direct) write_tls(pipe);
  if (!pipe->wsi || pipe->waiting) return;
  if (pipe->out.count > 0) {
    write_later(pipe); /* over its budget, or not our turn */
  } else if (must_send_close(pipe)) {
    send_close(pipe);
  }
}

/* What comes next is on its way from memory while the kernel sends. */
static void fetch_next(const struct wwri_list *batch) {
  if (wwri_list_empty(batch)) return;
  const struct wwri_ws_pipe *pipe =
      WWRI_CONTAINER(batch->next, struct wwri_ws_pipe, dirty_link);
  __builtin_prefetch(&pipe->out, 1);
  __builtin_prefetch(&pipe->dirty_link, 1);
  __builtin_prefetch(&pipe->native, 1);
  __builtin_prefetch(&pipe->last_tx_ms, 1);
}

struct turn {
  int pipes;
  uint64_t ns;
};

/* One that is cut short goes on where it stopped. The clock runs from the first
 * look on: a short turn doesn't read it. */
static void take_turn(struct wwri_list *dirty, const struct turn *turn) {
  struct wwri_list batch;
  struct wwri_list *node;
  uint64_t since = 0;
  size_t work = 0;
  wwri_list_init(&batch);
  wwri_list_splice(&batch, dirty);
  for (int i = 0; i < turn->pipes && (node = wwri_list_pop(&batch)); i++) {
    struct wwri_ws_pipe *pipe =
        WWRI_CONTAINER(node, struct wwri_ws_pipe, dirty_link);
    work += 1 + pipe->out.bytes / WORK_BYTES;
    fetch_next(&batch);
    flush_pipe(pipe);
    if (work < WORK_PER_LOOK) continue;
    uint64_t now = uv_hrtime();
    work = 0;
    if (since && now - since >= turn->ns) break;
    if (!since) since = now;
  }
  wwri_list_splice(&batch, dirty); /* the rest goes first next time */
  wwri_list_splice(dirty, &batch);
}

void wwri_ws_flush(struct wwri_flusher *flusher) {
  static const struct turn turn = {PROMPT_PIPES, PROMPT_NS};
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(flusher, struct wwri_ws_shard, flusher);
  take_turn(&shard->dirty, &turn);
  if (wwri_list_empty(&shard->dirty)) return;
  wwri_loop_flush_later(shard->loop, flusher);
}

void wwri_ws_flush_bulk(struct wwri_flusher *flusher) {
  static const struct turn turn = {BULK_PIPES, BULK_NS};
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(flusher, struct wwri_ws_shard, bulk_flusher);
  take_turn(&shard->bulk, &turn);
  if (wwri_list_empty(&shard->bulk)) return;
  wwri_loop_flush_later(shard->loop, flusher);
}

/* lws answers pings without telling; but it calls WRITEABLE after its pong, so
 * one that nobody asked for says that the peer is there. */
static void note_activity(struct wwri_ws_pipe *pipe) {
  uint64_t now = wwri_loop_now_ms(pipe->base.loop);
  uint64_t idle = 0;
  if (pipe->asked) {
    if (now - pipe->base.last_rx_ms < RX_REFRESH_MS) return;
    idle = wwri_ws_socket_idle_ms(lws_get_socket_fd(pipe->wsi));
    if (idle > now - pipe->base.last_rx_ms) return;
  }
  pipe->base.last_rx_ms = now - idle;
}

int wwri_ws_writeable(struct wwri_ws_pipe *pipe) {
  note_activity(pipe);
  pipe->asked = pipe->waiting = false;
  wwri_list_remove(&pipe->stall_link);
  if (pipe->held || pipe->close_sent) return 0;
  if (pipe->direct) {
    write_tls(pipe);
  } else {
    write_one(pipe);
  }
  if (!pipe->wsi) return -1;
  if (pipe->waiting) return 0;
  if (pipe->out.count > 0 || lws_partial_buffered(pipe->wsi)) {
    write_later(pipe);
    return 0;
  }
  if (must_send_close(pipe)) wwri_ws_mark_dirty(pipe);
  return 0;
}

void wwri_ws_flush_last(struct wwri_ws_pipe *pipe) {
  while (pipe->native.attached && !pipe->held && !pipe->waiting &&
         !pipe->broken && pipe->out.count > 0) {
    wwri_ws_native_flush(pipe);
  }
  while (!pipe->held && !pipe->waiting && pipe->wsi && pipe->out.count > 0 &&
         !lws_partial_buffered(pipe->wsi)) {
    if (pipe->direct) {
      write_tls(pipe);
    } else {
      write_one(pipe);
    }
  }
}
