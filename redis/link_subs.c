/* Happy path: what changed in a turn of the loop is sent in batches at its end;
 * confirmations and messages come back in one stream.
 *
 * Failure modes: anything else in that stream ends the pair: after one message
 * that was misunderstood no other can be trusted. */
#include <string.h>

#include "link_impl.h"

static void fault(struct wwri_redis *link, const char *why) {
  wwri_redis_fault(link, WWRI_CAUSE_PROTOCOL, wwr_view_str(why));
}

static void on_flush(struct wwri_flusher *flusher) {
  wwri_redis_subs_send(
      WWRI_CONTAINER(flusher, struct wwri_redis, subs_flusher));
}

void wwri_redis_subs_init(struct wwri_redis *link) {
  wwri_subs_init(&link->subs, link->opts.max_subs);
  wwri_flusher_init(&link->subs_flusher, on_flush);
}

void wwri_redis_subs_send(struct wwri_redis *link) {
  bool sent = true;
  while (sent && wwri_redis_has_conns(link) && link->subs.online) {
    bool was_idle = !wwri_subs_in_flight(&link->subs);
    wwr_err err = WWR_OK;
    struct wwri_buf *out = wwri_redis_out(link, WWRI_PAIR_SUBSCRIBER, &err);
    if (out) err = wwri_subs_next(&link->subs, out, &sent);
    if (err != WWR_OK) {
      wwri_redis_fault(link, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
      return;
    }
    if (!sent) return;
    if (was_idle) link->subs_progress_ms = wwri_redis_time(link);
    const struct wwri_subs_command *last = wwri_subs_last(&link->subs);
    wwri_redis_sent(link, WWRI_PAIR_SUBSCRIBER,
                    last->subscribe ? WWRI_MUX_SUBSCRIBE : WWRI_MUX_UNSUBSCRIBE,
                    last->total);
  }
}

static void later(struct wwri_redis *link) {
  if (link->subs.online) wwri_loop_flush_later(link->loop, &link->subs_flusher);
}

wwr_err wwri_redis_subscribe(struct wwri_redis *link,
                             struct wwri_redis_sub **out,
                             struct wwr_view channel,
                             const struct wwri_redis_sub_hooks *hooks,
                             void *user) {
  if (wwr_view_equal(channel, wwr_view_str(link->beat_channel))) {
    return WWR_E_EXISTS;
  }
  if (wwri_redis_shares(link) &&
      !wwr_view_equal(wwri_slot_tag(channel), wwr_view_str(link->port.tag))) {
    return WWR_E_INVALID;
  }
  wwr_err err = wwri_subs_want(&link->subs, out, channel, hooks, user);
  if (err == WWR_OK) later(link);
  return err;
}

void wwri_redis_unsubscribe(struct wwri_redis *link,
                            struct wwri_redis_sub *sub) {
  wwri_subs_unwant(&link->subs, sub);
  later(link);
}

static void message(struct wwri_redis *link, struct wwr_view channel,
                    const struct wwri_redis_reply *payload) {
  struct wwr_view text = wwri_redis_reply_text(payload);
  if (wwri_redis_reply_type(payload) != WWRI_REDIS_STRING) {
    fault(link, "a message without a payload");
  } else if (wwr_view_equal(channel, wwr_view_str(link->beat_channel))) {
    wwri_redis_beat_message(link, text);
  } else if (wwri_subs_message(&link->subs, channel, text) != WWR_OK) {
    fault(link, "a message for a channel that was not asked for");
  }
}

static void confirmation(struct wwri_redis *link, bool subscribe,
                         struct wwr_view channel) {
  if (wwri_subs_confirmed(&link->subs, subscribe, channel) != WWR_OK) {
    /* On a trunk it may be one that nobody asked for: the slot has moved. */
    wwri_redis_fault(link,
                     wwri_redis_shares(link) && !subscribe
                         ? WWRI_CAUSE_DEMOTED
                         : WWRI_CAUSE_PROTOCOL,
                     wwr_view_str("a confirmation that is not the next"));
    return;
  }
  link->subs_progress_ms = wwri_redis_time(link);
  later(link);
}

/* Not permitted is about these channels; everything else about the server. */
static void error(struct wwri_redis *link, struct wwr_view text) {
  enum wwri_redis_class class = wwri_redis_classify(text);
  bool about_channels = class == WWRI_REDIS_DEFINITE ||
                        (text.len >= 6 && memcmp(text.data, "NOPERM", 6) == 0);
  if (about_channels && wwri_subs_refused(&link->subs, text) == WWR_OK) {
    later(link);
    return;
  }
  wwri_redis_fault(link, wwri_redis_cause_of(text, WWRI_CAUSE_PROTOCOL), text);
}

void wwri_redis_subscriber_reply(struct wwri_redis *link,
                                 const struct wwri_redis_reply *reply) {
  static const char *const kinds[2][3] = {
      {"message", "subscribe", "unsubscribe"},
      {"smessage", "ssubscribe", "sunsubscribe"}};
  const char *const *names = kinds[wwri_redis_shares(link)];
  const struct wwri_redis_reply *kind = wwri_redis_reply_at(reply, 0);
  const struct wwri_redis_reply *name = wwri_redis_reply_at(reply, 1);
  struct wwr_view channel = wwri_redis_reply_text(name);
  enum wwri_pair_step step = link->pair.side[WWRI_PAIR_SUBSCRIBER].step;
  if (step != WWRI_STEP_READY) {
    wwri_redis_step_reply(link, WWRI_PAIR_SUBSCRIBER, reply);
  } else if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    error(link, wwri_redis_reply_text(reply));
  } else if (wwri_redis_reply_count(reply) != 3 ||
             wwri_redis_reply_type(name) != WWRI_REDIS_STRING) {
    fault(link, "neither a message nor a confirmation");
  } else if (wwri_redis_reply_is(kind, names[0])) {
    message(link, channel, wwri_redis_reply_at(reply, 2));
  } else if (wwri_redis_reply_is(kind, names[1])) {
    confirmation(link, true, channel);
  } else if (wwri_redis_reply_is(kind, names[2])) {
    confirmation(link, false, channel);
  } else {
    fault(link, "neither a message nor a confirmation");
  }
}

bool wwri_redis_subs_overdue(const struct wwri_redis *link) {
  if (!wwri_subs_in_flight(&link->subs)) return false;
  return wwri_redis_time(link) - link->subs_progress_ms >=
         link->opts.timing.reply_ms;
}
