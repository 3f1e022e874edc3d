/* Signals to a session wherever it is, and where that is. With a store that has
 * authority over several nodes it is asked; else this server's connections are
 * all there are. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The shutdown does not wait for these, as the store may hold them for long;
 * the end of the server does. */
static void call_begin(struct wwr_server *server) {
  wwri_channels_call_begin(server);
  atomic_fetch_add(&server->late_work, 1);
}

static void call_end(struct wwr_server *server) {
  wwri_channels_call_end(server);
  if (atomic_fetch_sub(&server->late_work, 1) == 1) wwri_shutdown_nudge(server);
}

static struct wwri_shard *home_of(struct wwr_server *server) {
  struct wwri_shard *shard = wwri_shard_current(server);
  return shard ? shard : &server->shards[0];
}

/* --- A signal for every connection of a session --------------------------- */

struct notice {
  struct wwr_store_op op;
  struct wwri_mail mail;
  struct wwri_shard *home;
  struct wwr_server *server;
  struct wwri_frame *frame;
  wwr_signal_done done; /* may be NULL */
  void *user_data;
  wwr_err err;
  size_t key_len;
  uint8_t key[];
};

static void notice_free(struct notice *notice) {
  struct wwr_server *server = notice->server;
  wwri_frame_unref(notice->frame);
  free(notice);
  call_end(server);
}

static void notice_here(struct wwri_mail *mail) {
  struct notice *notice = WWRI_CONTAINER(mail, struct notice, mail);
  if (notice->done) notice->done(notice->err, notice->user_data);
  notice_free(notice);
}

static void notice_sent(struct wwr_store_op *op, wwr_err err,
                        struct wwr_session *session) {
  struct notice *notice = WWRI_CONTAINER(op, struct notice, op);
  wwr_session_unref(session);
  notice->err = err;
  wwri_loop_post(notice->home->loop, &notice->mail);
}

static void send_notice(struct notice *notice) {
  struct wwr_server *server = notice->server;
  struct wwr_view key = {notice->key, notice->key_len};
  const struct wwr_sessionstore_ops *ops = server->store->ops;
  if (ops->authority) {
    ops->authority->send(server->store, key, wwri_frame_view(notice->frame),
                         &notice->op);
    return;
  }
  wwr_err err = WWR_E_SESSION_NOT_FOUND;
  if (wwr_server_session_conn_count(server, key) > 0) {
    err = wwri_session_signal_local(server, key, notice->frame);
  }
  notice_sent(&notice->op, err, NULL);
}

static struct notice *notice_new(struct wwr_server *server,
                                 struct wwr_view key) {
  struct notice *notice = calloc(1, sizeof *notice + key.len);
  if (!notice) return NULL;
  notice->op.done = notice_sent;
  notice->home = home_of(server);
  notice->mail.fn = notice_here;
  notice->server = server;
  notice->key_len = key.len;
  if (key.len) memcpy(notice->key, key.data, key.len);
  call_begin(server);
  return notice;
}

wwr_err wwr_server_signal_session(struct wwr_server *server,
                                  struct wwr_view key, struct wwr_view name,
                                  const struct wwr_payload *payload,
                                  wwr_signal_done done, void *user_data) {
  struct wwri_frame *frame;
  if (!server->store) return WWR_E_SESSIONS_DISABLED;
  if (!atomic_load(&server->channels.open)) return WWR_E_CLOSED;
  struct wwri_msg msg = wwri_signal_msg(name, payload);
  wwr_err err =
      wwri_encode_frame(&msg, server->opts.message_buffer_bytes, &frame);
  if (err != WWR_OK) return err;
  struct notice *notice = notice_new(server, key);
  if (!notice) {
    wwri_frame_unref(frame);
    return WWR_E_NOMEM;
  }
  notice->frame = frame;
  notice->done = done;
  notice->user_data = user_data;
  send_notice(notice);
  return WWR_OK;
}

/* --- Where a session is --------------------------------------------------- */

struct search {
  struct wwr_store_places_op op;
  struct wwri_mail mail;
  struct wwri_shard *home;
  struct wwr_server *server;
  wwr_places_done done;
  void *user_data;
  wwr_err err;
  size_t count;
  struct wwr_session_place *places;
  size_t key_len;
  uint8_t key[];
};

static void search_here(struct wwri_mail *mail) {
  struct search *search = WWRI_CONTAINER(mail, struct search, mail);
  struct wwr_server *server = search->server;
  search->done(search->err, search->places, search->count, search->user_data);
  free(search->places);
  free(search);
  call_end(server);
}

static struct wwr_session_place *copy_places(
    const struct wwr_session_place *places, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += strlen(places[i].node) + 1;
  struct wwr_session_place *copy = malloc(count * sizeof *copy + bytes);
  if (!copy) return NULL;
  char *at = (char *)(copy + count);
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(places[i].node) + 1;
    memcpy(at, places[i].node, len);
    copy[i] = (struct wwr_session_place){at, places[i].connections};
    at += len;
  }
  return copy;
}

static void search_found(struct wwr_store_places_op *op, wwr_err err,
                         const struct wwr_session_place *places, size_t count) {
  struct search *search = WWRI_CONTAINER(op, struct search, op);
  search->err = err;
  if (err == WWR_OK && count) {
    search->places = copy_places(places, count);
    search->count = search->places ? count : 0;
    if (!search->places) search->err = WWR_E_NOMEM;
  }
  wwri_loop_post(search->home->loop, &search->mail);
}

static void look(struct search *search) {
  struct wwr_server *server = search->server;
  struct wwr_view key = {search->key, search->key_len};
  const struct wwr_sessionstore_ops *ops = server->store->ops;
  if (ops->authority) {
    ops->authority->places(server->store, key, &search->op);
    return;
  }
  long count = wwr_server_session_conn_count(server, key);
  struct wwr_session_place here = {wwr_server_node_name(server),
                                   count > 0 ? (uint32_t)count : 0};
  if (count > 0) {
    search_found(&search->op, WWR_OK, &here, 1);
  } else {
    search_found(&search->op, WWR_E_SESSION_NOT_FOUND, NULL, 0);
  }
}

wwr_err wwr_server_session_places(struct wwr_server *server,
                                  struct wwr_view key, wwr_places_done done,
                                  void *user_data) {
  if (!server->store) return WWR_E_SESSIONS_DISABLED;
  if (!atomic_load(&server->channels.open)) return WWR_E_CLOSED;
  struct search *search = calloc(1, sizeof *search + key.len);
  if (!search) return WWR_E_NOMEM;
  search->op.done = search_found;
  search->home = home_of(server);
  search->mail.fn = search_here;
  search->server = server;
  search->done = done;
  search->user_data = user_data;
  search->key_len = key.len;
  if (key.len) memcpy(search->key, key.data, key.len);
  call_begin(server);
  look(search);
  return WWR_OK;
}
