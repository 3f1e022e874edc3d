/* Publishing. A message that no client could be sent is refused here, so that
 * it never gets into a log.
 *
 * `done` on the caller's own I/O thread comes behind the message itself: the
 * bus's answer may overtake it, so the publication then waits in the feed for
 * its message, but not for long. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct publication {
  struct wwri_item item;
  struct wwri_bus_op op;
  struct wwri_list node; /* in feed->held */
  struct wwr_server *server;
  struct wwr_publish_result result;
  wwr_publish_done done; /* may be NULL: then nobody waits for it */
  void *user_data;
  bool own; /* the caller is on the shard's thread */
  size_t name_len;
  uint8_t name[]; /* with `own` */
};

static struct wwri_logid id_of(const struct publication *publication) {
  return (struct wwri_logid){publication->result.id.epoch,
                             publication->result.id.offset};
}

static void finish(struct publication *publication) {
  struct wwr_server *server = publication->server;
  publication->done(&publication->result, publication->user_data);
  free(publication);
  wwri_channels_call_end(server);
}

/* The feed that has not got the message yet, or NULL. */
static struct wwri_feed *ahead_of(const struct publication *publication) {
  struct wwr_view name = {publication->name, publication->name_len};
  if (!publication->own || publication->result.err != WWR_OK) return NULL;
  struct wwri_feed *feed = wwri_feed_find(publication->item.shard, name);
  if (!feed || feed->state != WWRI_FEED_UP) return NULL;
  bool behind = wwri_logid_compare(feed->last, id_of(publication)) < 0;
  return behind ? feed : NULL;
}

static void answer_here(struct wwri_item *item) {
  struct publication *publication =
      WWRI_CONTAINER(item, struct publication, item);
  struct wwri_feed *feed = ahead_of(publication);
  if (!feed) {
    finish(publication);
    return;
  }
  if (wwri_list_empty(&feed->held)) {
    wwri_loop_timer_set(item->shard->loop, &feed->own_wait, WWRI_OWN_WAIT_MS);
  }
  wwri_list_append(&feed->held, &publication->node);
}

void wwri_feed_release(struct wwri_feed *feed, bool all) {
  struct wwri_list due;
  struct wwri_list *node;
  wwri_list_init(&due); /* a `done` function may change the feed's list */
  wwri_list_splice(&due, &feed->held);
  struct wwri_list *next = due.next;
  while ((node = next) != &due) {
    struct publication *publication =
        WWRI_CONTAINER(node, struct publication, node);
    next = node->next;
    if (all || wwri_logid_compare(id_of(publication), feed->last) <= 0) {
      continue;
    }
    wwri_list_remove(node);
    wwri_list_append(&feed->held, node);
  }
  while ((node = wwri_list_pop(&due))) {
    finish(WWRI_CONTAINER(node, struct publication, node));
  }
}

static void on_answer(struct wwri_bus_op *op,
                      const struct wwri_bus_result *result) {
  struct publication *publication = op->user;
  if (!publication->done) {
    free(publication);
    return;
  }
  publication->result =
      (struct wwr_publish_result){.err = result->err,
                                  .certain = result->certain,
                                  .id = {result->id.epoch, result->id.offset}};
  wwri_item_send(&publication->item);
}

static struct publication *publication_new(struct wwr_server *server,
                                           struct wwr_view channel,
                                           wwr_publish_done done,
                                           void *user_data) {
  struct wwri_shard *shard = done ? wwri_shard_current(server) : NULL;
  size_t name_len = shard ? channel.len : 0;
  struct publication *publication = malloc(sizeof *publication + name_len);
  if (!publication) return NULL;
  *publication = (struct publication){.server = server,
                                      .done = done,
                                      .user_data = user_data,
                                      .own = shard != NULL,
                                      .name_len = name_len};
  publication->op.done = on_answer;
  publication->op.user = publication;
  publication->item.run = answer_here;
  publication->item.shard = shard ? shard : &server->shards[0];
  if (name_len) memcpy(publication->name, channel.data, name_len);
  return publication;
}

static wwr_err check(struct wwr_server *server, struct wwr_view channel,
                     struct wwr_view name, const struct wwr_payload *payload) {
  wwr_err err = wwri_channels_check(server, channel);
  if (err != WWR_OK) return err;
  struct wwri_msg msg = wwri_signal_msg(name, payload);
  return wwri_check(&msg, server->opts.message_buffer_bytes);
}

wwr_err wwr_server_publish(struct wwr_server *server, struct wwr_view channel,
                           struct wwr_view name,
                           const struct wwr_payload *payload,
                           const struct wwr_conn *except, wwr_publish_done done,
                           void *user_data) {
  struct wwr_channel_opts opts;
  wwr_err err = check(server, channel, name, payload);
  if (err != WWR_OK) return err;
  wwri_channel_opts(server, channel, &opts);
  struct wwri_bus_publish what = {.name = name};
  if (payload) what.payload = *payload;
  if (except) {
    what.sender = (struct wwri_sender){server->channels.process, except->id};
  }
  if (opts.logged) {
    what.limit = (struct wwri_log_limit){opts.log_entries, opts.log_age_ms};
  }
  struct publication *publication =
      publication_new(server, channel, done, user_data);
  if (!publication) return WWR_E_NOMEM;
  if (done) wwri_channels_call_begin(server);
  struct wwr_bus *bus = server->channels.bus;
  err = bus->ops->publish(bus, channel, &what, &publication->op);
  if (err == WWR_OK) return WWR_OK;
  free(publication);
  if (done) wwri_channels_call_end(server);
  return err;
}
