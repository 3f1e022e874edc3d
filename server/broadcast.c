/* One signal to every connection of the node.
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
};

/* Takes over one reference. */
static void deliver(struct wwri_shard *shard, struct wwri_frame *frame) {
  size_t count = shard->own.conn_count;
  if (count) wwri_frame_ref_n(frame, (unsigned)count);
  for (size_t i = 0; i < count; i++) {
    struct wwri_pipe *pipe = shard->own.conns[i]->pipe;
    (void)pipe->ops->send(pipe, frame);
  }
  wwri_count(&shard->counters.signals_out, count);
  wwri_frame_unref(frame);
}

static void arrived(struct wwri_mail *mail) {
  struct broadcast *broadcast = WWRI_CONTAINER(mail, struct broadcast, mail);
  deliver(broadcast->shard, broadcast->frame);
  free(broadcast);
}

static wwr_err post_to_all(struct wwr_server *server,
                           struct wwri_frame *frame) {
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
    *mails[i] = (struct broadcast){{.fn = arrived}, &server->shards[i], frame};
    wwri_loop_post(server->loops[i], &mails[i]->mail);
  }
  pthread_mutex_unlock(&server->broadcast_lock);
  return WWR_OK;
}

wwr_err wwr_server_broadcast(struct wwr_server *server, struct wwr_view name,
                             const struct wwr_payload *payload) {
  static const struct wwr_payload none = {.encoding = WWR_BINARY};
  if (!payload) payload = &none;
  struct wwri_msg msg = {.type = wwri_signal_type(payload->encoding),
                         .name = name,
                         .payload = *payload};
  struct wwri_frame *frame;
  if (!wwri_server_is_running(server)) return WWR_E_CLOSED;
  wwr_err err =
      wwri_encode_frame(&msg, server->opts.message_buffer_bytes, &frame);
  if (err != WWR_OK) return err;
  struct wwri_loop *loop = server->loops[0];
  if (server->shard_count == 1 && wwri_loop_is_current(loop) &&
      !wwri_loop_has_mail(loop)) {
    deliver(&server->shards[0], frame);
    return WWR_OK;
  }
  err = post_to_all(server, frame);
  wwri_frame_unref(frame);
  return err;
}
