/* Messages out of the pieces in which they come: a message may come in
 * several WebSocket fragments, and each of those in several reads.
 *
 * The usual message is whole in lws' own buffer and goes up without a copy.
 * Otherwise the pieces gather in `message`, which is freed when the message is
 * complete, so that an idle connection holds nothing. What arrives while the
 * pipe is paused or held waits in the inbox; lws stops reading then, so that
 * holds little more than one read.
 *
 * A text message, or one whose declared length exceeds the maximum, is a
 * violation; all that follows is read and thrown away. */
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

static bool may_deliver(const struct wwri_ws_pipe *pipe) {
  return !pipe->held && !pipe->paused;
}

bool wwri_ws_delivered(const struct wwri_ws_pipe *pipe) {
  return !pipe->inbox && !pipe->violation_due;
}

/* The inbox: records of a length (4 bytes) and a message. */

void wwri_ws_inbox_free(struct wwri_ws_pipe *pipe) {
  struct wwri_buf *box = pipe->inbox;
  if (!box) return;
  pipe->inbox_at = box->len;
  if (pipe->delivering) return; /* a message in it is being looked at */
  wwri_buf_deinit(box);
  free(box);
  pipe->inbox = NULL;
}

static wwr_err inbox_put(struct wwri_ws_pipe *pipe, struct wwr_view message) {
  if (!pipe->inbox) {
    pipe->inbox = malloc(sizeof(*pipe->inbox));
    if (!pipe->inbox) return WWR_E_NOMEM;
    wwri_buf_init(pipe->inbox, SIZE_MAX / 2); /* bounded by what lws reads */
    pipe->inbox_at = 0;
  }
  uint32_t len = (uint32_t)message.len;
  wwr_err err = wwri_buf_append(pipe->inbox, &len, sizeof(len));
  if (!err) err = wwri_buf_append(pipe->inbox, message.data, message.len);
  return err;
}

static void deliver_first(struct wwri_ws_pipe *pipe) {
  const uint8_t *record = pipe->inbox->data + pipe->inbox_at;
  uint32_t len;
  memcpy(&len, record, sizeof(len));
  struct wwr_view message = {record + sizeof(len), len};
  pipe->inbox_at += sizeof(len) + len;
  pipe->delivering = true;
  wwri_loop_note_input(pipe->base.loop);
  pipe->base.events->message(&pipe->base, message);
  pipe->delivering = false;
}

static void report_violation(struct wwri_ws_pipe *pipe) {
  pipe->violation_due = false;
  pipe->base.events->violation(&pipe->base, pipe->violation_code);
}

void wwri_ws_deliver(struct wwri_ws_pipe *pipe) {
  while (pipe->inbox && pipe->inbox_at < pipe->inbox->len) {
    if (!may_deliver(pipe)) return;
    deliver_first(pipe);
  }
  wwri_ws_inbox_free(pipe);
  if (pipe->violation_due && may_deliver(pipe)) report_violation(pipe);
}

/* Receiving */

void wwri_ws_violate(struct wwri_ws_pipe *pipe, uint16_t close_code) {
  pipe->violated = true;
  pipe->violation_due = true;
  pipe->violation_code = close_code;
  wwri_buf_deinit(&pipe->message);
  if (!pipe->inbox && may_deliver(pipe)) report_violation(pipe);
}

static void pass_on(struct wwri_ws_pipe *pipe, struct wwr_view message) {
  if (!pipe->inbox && may_deliver(pipe)) {
    pipe->base.events->message(&pipe->base, message);
    return;
  }
  wwr_err err = inbox_put(pipe, message);
  if (err) {
    wwri_ws_pipe_kill(pipe, err);
  } else if (!pipe->rx_off) {
    wwri_ws_todo(pipe);
  }
}

/* One more piece of a message that does not come at once. */
static void gather(struct wwri_ws_pipe *pipe, const void *data, size_t len,
                   bool last) {
  pipe->message.max = pipe->base.max_message_bytes;
  wwr_err err = wwri_buf_append(&pipe->message, data, len);
  if (err) {
    wwri_ws_pipe_kill(pipe, err);
    return;
  }
  if (!last) return;
  struct wwri_buf whole = pipe->message; /* the event may end the pipe */
  wwri_buf_init(&pipe->message, 0);
  pass_on(pipe, wwri_buf_view(&whole));
  wwri_buf_deinit(&whole);
}

void wwri_ws_received(struct wwri_ws_pipe *pipe,
                      const struct wwri_ws_piece *piece) {
  if (pipe->violated) return;
  if (piece->text) {
    wwri_ws_violate(pipe, WWRI_CLOSE_UNSUPPORTED);
  } else if (pipe->message.len + piece->len + piece->announced >
             pipe->base.max_message_bytes) {
    wwri_ws_violate(pipe, WWRI_CLOSE_TOO_BIG);
  } else if (piece->last && pipe->message.len == 0) {
    struct wwr_view message = {piece->data, piece->len};
    pass_on(pipe, message);
  } else {
    gather(pipe, piece->data, piece->len, piece->last);
  }
}

void wwri_ws_received_by_lws(struct wwri_ws_pipe *pipe, void *data,
                             size_t len) {
  uint64_t announced = lws_remaining_packet_payload(pipe->wsi);
  struct wwri_ws_piece piece = {
      .data = data,
      .len = len,
      .announced = announced,
      .text = !lws_frame_is_binary(pipe->wsi),
      .last = lws_is_final_fragment(pipe->wsi) && announced == 0};
  wwri_ws_touch(pipe);
  wwri_loop_note_input(pipe->base.loop);
  wwri_ws_received(pipe, &piece);
}
