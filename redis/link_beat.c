/* Happy path: each beat is a script call with a token of this link, its number
 * in it; the token comes back as a message, which proves the pair.
 *
 * Failure modes: an answer that says "not here" or "not permitted" ends the
 * pair at once; "not now" is left to the missing message, and told as its
 * reason. A message that is no token of ours is another's, and ignored. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_impl.h"

/* A write script: refused on a replica, without enough replicas, and while data
 * can't be written; out of memory does not stop it, as it needs none. */
static const char default_script[] =
    "#!lua flags=allow-oom\n"
    "return redis.call('PUBLISH', ARGV[1], ARGV[2])\n";

static size_t default_make(struct wwr_view token, struct wwr_view *argv,
                           size_t *key_count, void *user) {
  struct wwri_redis *link = user;
  struct wwr_view channel = wwr_view_str(link->beat_channel);
  size_t count = 0;
  /* A key of no use, that names the slot. */
  if (wwri_redis_shares(link)) argv[count++] = channel;
  *key_count = count;
  argv[count++] = channel;
  argv[count++] = token;
  return count;
}

void wwri_redis_default_beat(struct wwri_redis *link) {
  struct wwri_redis_beat beat = {.make = default_make, .user = link};
  char channel[BEAT_CHANNEL_MAX];
  if (wwri_redis_shares(link)) {
    snprintf(channel, sizeof(channel), "wwr:{%s}:link:%s", link->port.tag,
             link->salt);
  } else {
    snprintf(channel, sizeof(channel), "wwr:link:%s", link->salt);
  }
  beat.channel = channel;
  beat.script = wwri_redis_script(link, default_script);
  wwri_redis_set_beat(link, &beat);
}

void wwri_redis_set_beat(struct wwri_redis *link,
                         const struct wwri_redis_beat *beat) {
  snprintf(link->beat_channel, sizeof(link->beat_channel), "%s", beat->channel);
  link->beat = *beat;
  link->beat.channel = link->beat_channel;
}

void wwri_redis_send_beat(struct wwri_redis *link) {
  char token[TOKEN_MAX];
  struct wwr_view argv[WWRI_REDIS_MAX_ARGS];
  size_t key_count = 0;
  struct redis_slot slot = {.kind = SLOT_BEAT};
  snprintf(token, sizeof(token), "%s.%" PRIu64, link->salt, link->pair.beat_n);
  size_t argc =
      link->beat.make(wwr_view_str(token), argv, &key_count, link->beat.user);
  if (argc == 0) return;
  wwr_err err =
      wwri_redis_push(link, slot, link->beat.script, argv, argc, key_count);
  if (err != WWR_OK) {
    wwri_redis_fault(link, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
  }
}

/* The owner does not like what the beat brought. */
static void refuse(struct wwri_redis *link, wwr_err err) {
  wwri_redis_fault(link, WWRI_CAUSE_REFUSED, wwr_view_str(wwr_err_text(err)));
}

void wwri_redis_beat_reply(struct wwri_redis *link,
                           const struct wwri_redis_reply *reply) {
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    struct wwr_view text = wwri_redis_reply_text(reply);
    if (wwri_redis_classify(text) == WWRI_REDIS_UNAVAILABLE) {
      snprintf(link->refusal, sizeof(link->refusal), "%.*s",
               (int)(text.len < sizeof(link->refusal) ? text.len
                                                      : sizeof(link->refusal)),
               (const char *)text.data);
      return;
    }
    wwri_redis_fault(link, wwri_redis_cause_of(text, WWRI_CAUSE_REFUSED), text);
    return;
  }
  if (!link->beat.on_reply) return;
  wwr_err err = link->beat.on_reply(reply, link->beat.user);
  if (err != WWR_OK) {
    wwri_redis_fault(link, WWRI_CAUSE_REFUSED, wwr_view_str(wwr_err_text(err)));
  }
}

/* "SALT.NUMBER", then nothing or a space and *rest. 0: not ours. */
static uint64_t parse_token(const struct wwri_redis *link,
                            struct wwr_view payload, struct wwr_view *rest) {
  size_t at = SALT_LEN + 1;
  uint64_t number = 0;
  if (payload.len <= at || memcmp(payload.data, link->salt, SALT_LEN) != 0 ||
      payload.data[SALT_LEN] != '.' || payload.len - at < 1) {
    return 0;
  }
  for (; at < payload.len && payload.data[at] != ' '; at++) {
    if (payload.data[at] < '0' || payload.data[at] > '9') return 0;
    if (at > SALT_LEN + 18) return 0;
    number = number * 10 + (uint64_t)(payload.data[at] - '0');
  }
  if (at < payload.len) at++;
  *rest = (struct wwr_view){payload.data + at, payload.len - at};
  return number;
}

void wwri_redis_beat_message(struct wwri_redis *link, struct wwr_view payload) {
  struct wwr_view rest;
  uint64_t number = parse_token(link, payload, &rest);
  if (number == 0) return;
  const struct wwri_pair_input input = {.event = WWRI_PAIR_BEAT_BACK,
                                        .beat = number};
  wwr_err err =
      link->beat.on_back ? link->beat.on_back(rest, link->beat.user) : WWR_OK;
  if (err == WWR_OK) {
    link->refusal[0] = '\0';
    wwri_redis_feed(link, &input);
  } else {
    refuse(link, err);
  }
}
