/* One signal to every connection of the node, or to all but one.
 *
 * With one I/O thread, and on it, the frame is queued at once. Otherwise it is
 * mailed to every shard under one lock, so that all connections see broadcasts
 * in one order, the caller's own connection included. */
#include <stdlib.h>

#include "internal.h"

struct broadcast {
  struct wwri_mail mail;
  struct wwri_shard *shard;
  struct wwri_frame *frame; /* one reference */
  uint64_t except;          /* id of a connection; 0: none */
};

/* In one piece, not in turns as a channel's message: what the caller sends to
 * one of these connections next, or its close, comes behind it. That takes
 * some 65 us for a thousand; the writing, which is the work, is done in turns
 * (flush.c). Takes over one reference. */
static void deliver(struct wwri_shard *shard, struct wwri_frame *frame,
                    uint64_t except) {
  size_t count = shard->own.conn_count;
  size_t sent = count;
  bool many = count >= WWRI_SPREAD_MIN;
  if (count) wwri_frame_ref_n(frame, (unsigned)count);
  for (size_t i = 0; i < count; i++) {
    struct wwr_conn *const *at = shard->own.conns + i;
    const struct wwr_conn *conn = *at;
    if (count - i > 2 * WWRI_AHEAD) {
      WWRI_FETCH_CONN(at[2 * WWRI_AHEAD]);
      WWRI_FETCH_PIPE(at[WWRI_AHEAD]);
    }
    if (except && conn->id == except) {
      wwri_frame_unref(frame);
      sent--;
    } else {
      const struct wwri_pipe_ops *ops = conn->pipe->ops;
      (void)(many ? ops->spread : ops->send)(conn->pipe, frame);
    }
  }
  wwri_count(&shard->counters.signals_out, sent);
  wwri_frame_unref(frame);
}

static void arrived(struct wwri_mail *mail) {
  struct broadcast *broadcast = WWRI_CONTAINER(mail, struct broadcast, mail);
  deliver(broadcast->shard, broadcast->frame, broadcast->except);
  free(broadcast);
}

static wwr_err post_to_all(struct wwr_server *server, struct wwri_frame *frame,
                           uint64_t except) {
  struct broadcast *mails[64];
  size_t count = server->shard_count;
  for (size_t i = 0; i < count; i++) {
    mails[i] = malloc(sizeof *mails[i]);
    if (!mails[i]) {
      while (i-- > 0) free(mails[i]);
      return WWR_E_NOMEM;
    }
  }
  wwri_frame_ref_n(frame, (unsigned)count);
  pthread_mutex_lock(&server->broadcast_lock);
  for (size_t i = 0; i < count; i++) {
    *mails[i] =
        (struct broadcast){{.fn = arrived}, &server->shards[i], frame, except};
    wwri_loop_post(server->loops[i], &mails[i]->mail);
  }
  pthread_mutex_unlock(&server->broadcast_lock);
  return WWR_OK;
}

wwr_err wwr_server_broadcast(struct wwr_server *server, struct wwr_view name,
                             const struct wwr_payload *payload) {
  return wwr_server_broadcast_except(server, NULL, name, payload);
}

wwr_err wwr_server_broadcast_except(struct wwr_server *server,
                                    const struct wwr_conn *except,
                                    struct wwr_view name,
                                    const struct wwr_payload *payload) {
  struct wwri_msg msg = wwri_signal_msg(name, payload);
  struct wwri_frame *frame;
  if (!wwri_server_is_running(server)) return WWR_E_CLOSED;
  wwr_err err =
      wwri_encode_frame(&msg, server->opts.message_buffer_bytes, &frame);
  if (err != WWR_OK) return err;
  uint64_t except_id = except ? except->id : 0;
  struct wwri_loop *loop = server->loops[0];
  if (server->shard_count == 1 && wwri_loop_is_current(loop) &&
      !wwri_loop_has_mail(loop)) {
    deliver(&server->shards[0], frame, except_id);
    return WWR_OK;
  }
  err = post_to_all(server, frame, except_id);
  wwri_frame_unref(frame);
  return err;
}
