/* What could not be repaired: once to the log and the application, and to
 * subscribers of channels that want to know. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct judgement {
  struct wwri_item item;
  struct wwri_feed *feed;
  struct wwri_verdict verdict;
  bool report;
};

enum { ID_CHARS = 48, TEXT_CHARS = 160 };

static const char *kind_name(enum wwri_verdict_kind kind) {
  switch (kind) {
    case WWRI_LOST:
      return "lost";
    case WWRI_DIVERGED:
      return "diverged";
    case WWRI_RESET:
      return "reset";
    case WWRI_UNCERTAIN:
      return "uncertain";
  }
  return "unknown";
}

static void id_text(struct wwri_logid id, char out[ID_CHARS]) {
  snprintf(out, ID_CHARS, "%" PRIu64 "-%" PRIu64, id.epoch, id.offset);
}

/* --- Telling -------------------------------------------------------------- */

static void write_log(const struct wwr_server *server, struct wwr_view channel,
                      const struct wwri_verdict *verdict) {
  char name[WWRI_CHANNEL_MAX + 1], from[ID_CHARS], to[ID_CHARS], count[24];
  snprintf(name, sizeof name, "%.*s", (int)channel.len,
           (const char *)channel.data);
  id_text(verdict->from, from);
  id_text(verdict->to, to);
  snprintf(count, sizeof count, "%" PRIu64, verdict->count);
  wwri_log(&server->opts.log, WWR_LOG_WARN, 0, "verdict", "channel", name,
           "verdict", kind_name(verdict->kind), "from", from, "to", to, "count",
           count, NULL);
}

static void call_hook(struct wwr_server *server, struct wwr_view channel,
                      const struct wwri_verdict *verdict) {
  const struct wwr_server_opts *opts = &server->opts;
  if (!opts->hooks.on_verdict) return;
  struct wwr_verdict told = {
      .kind = (enum wwr_verdict_kind)verdict->kind,
      .from = {verdict->from.epoch, verdict->from.offset},
      .to = {verdict->to.epoch, verdict->to.offset},
      .count = verdict->count};
  opts->hooks.on_verdict(server, channel, &told, opts->user_data);
}

static wwr_err gap_frame(const struct wwri_feed *feed,
                         const struct wwri_verdict *verdict,
                         struct wwri_frame **out) {
  char name[WWRI_CHANNEL_MAX + 8], text[TEXT_CHARS];
  char from[ID_CHARS], to[ID_CHARS];
  id_text(verdict->from, from);
  id_text(verdict->to, to);
  snprintf(name, sizeof name, "gap:%.*s", (int)feed->name_len,
           (const char *)feed->name);
  snprintf(text, sizeof text, "%s %s %s %" PRIu64, kind_name(verdict->kind),
           from, to, verdict->count);
  struct wwri_msg msg = {.type = WWRI_SIGNAL_UTF8,
                         .name = wwr_view_str(name),
                         .payload = wwr_payload_text(text)};
  return wwri_encode_frame(&msg, feed->shard->server->opts.message_buffer_bytes,
                           out);
}

static void tell_subscribers(struct wwri_feed *feed,
                             const struct wwri_verdict *verdict) {
  struct wwri_frame *frame;
  if (!feed->opts.gap_signals || !feed->count) return;
  if (gap_frame(feed, verdict, &frame) != WWR_OK) return;
  for (size_t i = 0; i < feed->count; i++) {
    struct wwr_conn *conn = feed->slots[i].conn;
    wwr_err err = wwri_conn_send(conn, wwri_frame_ref(frame));
    if (err == WWR_E_NOMEM) conn->pipe->ops->abort(conn->pipe);
  }
  wwri_frame_unref(frame);
}

void wwri_feed_judge(struct wwri_feed *feed, const struct wwri_verdict *verdict,
                     bool report) {
  struct wwr_server *server = feed->shard->server;
  wwri_feed_release(feed, true); /* what they wait for may be what is lost */
  tell_subscribers(feed, verdict);
  if (!report) return;
  write_log(server, wwri_feed_name(feed), verdict);
  call_hook(server, wwri_feed_name(feed), verdict);
}

/* --- On the bus's thread -------------------------------------------------- */

static bool is_same(const struct wwri_verdict *a,
                    const struct wwri_verdict *b) {
  return a->kind == b->kind && a->count == b->count &&
         wwri_logid_equal(a->from, b->from) && wwri_logid_equal(a->to, b->to);
}

/* Every shard's receiver hears the same verdict, one after the other; the first
 * reports it. When one of them hears it again it is another. */
static bool is_news(const struct wwri_feed *feed,
                    const struct wwri_verdict *verdict) {
  struct wwr_server *server = feed->shard->server;
  struct wwri_channels *channels = &server->channels;
  uint64_t bit = UINT64_C(1) << (feed->shard - server->shards);
  struct wwr_view last = {channels->bus_thread.verdict_channel,
                          channels->bus_thread.verdict_len};
  bool known = is_same(verdict, &channels->bus_thread.verdict) &&
               wwr_view_equal(last, wwri_feed_name(feed)) &&
               !(channels->bus_thread.verdict_shards & bit);
  if (known && channels->bus_thread.verdict_shards) {
    channels->bus_thread.verdict_shards |= bit;
    return false;
  }
  channels->bus_thread.verdict = *verdict;
  channels->bus_thread.verdict_shards = bit;
  channels->bus_thread.verdict_len = feed->name_len;
  memcpy(channels->bus_thread.verdict_channel, feed->name, feed->name_len);
  return true;
}

static void judgement_run(struct wwri_item *item) {
  struct judgement *judgement = WWRI_CONTAINER(item, struct judgement, item);
  wwri_feed_judge(judgement->feed, &judgement->verdict, judgement->report);
  free(judgement);
}

static void judgement_drop(struct wwri_item *item) {
  free(WWRI_CONTAINER(item, struct judgement, item));
}

void wwri_feed_verdict(struct wwri_bus_sub *sub,
                       const struct wwri_verdict *verdict) {
  struct wwri_feed *feed = WWRI_CONTAINER(sub, struct wwri_feed, sub);
  bool report = is_news(feed, verdict);
  struct judgement *judgement = malloc(sizeof *judgement);
  if (!judgement) {
    /* Without details, but not without a word. */
    write_log(feed->shard->server, wwri_feed_name(feed), verdict);
    wwri_feed_lose(feed, verdict->to);
    return;
  }
  *judgement =
      (struct judgement){.feed = feed, .verdict = *verdict, .report = report};
  judgement->item.shard = feed->shard;
  judgement->item.feed = feed;
  judgement->item.drop = judgement_drop;
  judgement->item.run = judgement_run;
  wwri_item_send(&judgement->item);
}
