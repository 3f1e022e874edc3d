/* Scripts with the keys that all suites use, and listening. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "test.h"

struct texts {
  char text[12][64];
};

static const char *number(struct texts *texts, size_t i, unsigned value) {
  snprintf(texts->text[i], sizeof(texts->text[i]), "%u", value);
  return texts->text[i];
}

static const char *key(struct texts *texts, size_t i, const char *kind,
                       const char *name) {
  snprintf(texts->text[i], sizeof(texts->text[i]), "w:{0}:%s:%s", kind, name);
  return texts->text[i];
}

static const char *or_else(const char *text, const char *other) {
  return text ? text : other;
}

static unsigned or_number(unsigned number, unsigned other) {
  return number ? number : other;
}

const struct sr_answer *sr_beat_as(struct sr *sr, const struct sr_beat *beat) {
  struct texts t;
  return sr_eval(
      sr, wwri_script_beat,
      LIST("w:{0}:gen", "w:{0}:nodes", key(&t, 0, "node", beat->boot)),
      LIST("beats", "token.1", beat->boot, or_else(beat->connection, "1"),
           number(&t, 1, beat->n),
           number(&t, 2, or_number(beat->lease, SR_LEASE_MS)),
           or_else(beat->layout, "1"), or_else(beat->fingerprint, "a=1\nb=2"),
           "node", "127.0.0.1:80", "1.0", "1700000000000", "7", "0"));
}

const struct sr_answer *sr_beat(struct sr *sr, const char *boot, unsigned n) {
  return sr_beat_as(sr, &(struct sr_beat){.boot = boot, .n = n});
}

/* When it was first sent, by the server's clock. */
static const char *since(struct sr *sr, struct texts *t, size_t i,
                         const struct sr_publish *publish) {
  if (!publish->flags || !strchr(publish->flags, 'r')) return "0";
  int64_t ms = publish->since_ms;
  if (!ms) ms = sr_server_ms(sr) - publish->tried_ms;
  snprintf(t->text[i], sizeof(t->text[i]), "%lld", (long long)ms);
  return t->text[i];
}

const struct sr_answer *sr_publish_as(struct sr *sr,
                                      const struct sr_publish *publish) {
  struct texts t;
  char data[32];
  snprintf(data, sizeof(data), "d%u", publish->seq);
  return sr_eval(
      sr, wwri_script_publish,
      LIST(key(&t, 0, "m", publish->channel), key(&t, 1, "l", publish->channel),
           "w:{0}:gen"),
      LIST(key(&t, 2, "c", publish->channel), or_else(publish->node, BOOT_A),
           or_else(publish->connection, "1"), publish->author,
           number(&t, 3, publish->seq), or_else(publish->data, data),
           number(&t, 4, or_number(publish->limit, 1000)),
           number(&t, 5, or_number(publish->age, 60000)),
           number(&t, 6, or_number(publish->expiry, 120000)),
           or_else(publish->flags, ""), or_else(publish->hint, "0-0"),
           since(sr, &t, 7, publish)));
}

const struct sr_answer *sr_publish(struct sr *sr, const char *channel,
                                   const char *author, unsigned seq) {
  return sr_publish_as(
      sr,
      &(struct sr_publish){.channel = channel, .author = author, .seq = seq});
}

const struct sr_answer *sr_open(struct sr *sr, const char *channel,
                                unsigned count) {
  struct texts t;
  return sr_eval(
      sr, wwri_script_open,
      LIST(key(&t, 0, "m", channel), key(&t, 1, "l", channel), "w:{0}:gen"),
      LIST(BOOT_A, "1", "120000", number(&t, 2, count), "1000000"));
}

void sr_fill(struct sr *sr, const char *author, unsigned first, unsigned last,
             unsigned limit) {
  for (unsigned i = first; i <= last; i++) {
    sr_publish_as(
        sr, &(struct sr_publish){
                .channel = "ch", .author = author, .seq = i, .limit = limit});
  }
}

bool sr_answered(const struct sr_answer *answer, const char *kind,
                 const char *offset) {
  const char *dash = strchr(sr_text(answer, 1), '-');
  bool good = answer->count == 2 && strcmp(sr_text(answer, 0), kind) == 0 &&
              dash && strcmp(dash + 1, offset) == 0;
  if (!good) sr_is(answer, kind);
  return good;
}

int64_t sr_ttl(struct sr *sr, const char *key) {
  return strtoll(sr_ask(sr, "PTTL %s", key), NULL, 10);
}

bool sr_lives(struct sr *sr, const char *key, int64_t ms) {
  int64_t ttl = sr_ttl(sr, key);
  bool good = ttl > ms - 30000 && ttl <= ms;
  if (!good) printf("\n%s: %lld\n", key, (long long)ttl);
  return good;
}

/* Flat entries have nine values. */
const char *sr_log(struct sr *sr, const char *channel) {
  static char out[8192];
  size_t len = 0;
  sr_ask(sr, "XRANGE w:{0}:l:%s - +", channel);
  out[0] = '\0';
  for (size_t i = 0; i + 8 < sr->answer.count && len < sizeof(out); i += 9) {
    const char *dash = strchr(sr_text(&sr->answer, i), '-');
    bool fork = sr_text(&sr->answer, i + 2)[0] == '\0';
    len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.*s%s%s",
                            len ? " " : "", fork ? 0 : 8, dash ? dash + 1 : "",
                            fork ? "!" : ":", sr_text(&sr->answer, i + 8));
  }
  return out;
}

const char *sr_entry_id(struct sr *sr, const char *channel, size_t index,
                        char out[48]) {
  sr_ask(sr, "XRANGE w:{0}:l:%s - +", channel);
  snprintf(out, 48, "%s", sr_text(&sr->answer, 9 * index));
  return out;
}

/* --- Listening ---------------------------------------------------------- */

struct listener {
  redisContext *context;
  redisReply *last;
};

static bool next(struct listener *listener) {
  void *reply = NULL;
  if (listener->last) freeReplyObject(listener->last);
  listener->last = NULL;
  if (redisGetReply(listener->context, &reply) != REDIS_OK) return false;
  listener->last = reply;
  return listener->last->type == REDIS_REPLY_ARRAY &&
         listener->last->elements == 3;
}

void *sr_listen(struct sr *sr, const char *channel) {
  const struct timeval timeout = {.tv_sec = 10};
  struct listener *listener = calloc(1, sizeof(*listener));
  if (!listener) abort();
  listener->context =
      redisConnectWithTimeout("127.0.0.1", sr->server.port, timeout);
  if (!listener->context || listener->context->err ||
      redisSetTimeout(listener->context, timeout)) {
    abort();
  }
  listener->last = redisCommand(listener->context, "SUBSCRIBE %s", channel);
  CU_ASSERT_PTR_NOT_NULL_FATAL(listener->last);
  return listener;
}

struct wwr_view sr_heard(void *it) {
  struct listener *listener = it;
  if (!next(listener)) return wwr_view_str("");
  const redisReply *payload = listener->last->element[2];
  return (struct wwr_view){(const uint8_t *)payload->str, (size_t)payload->len};
}

bool sr_heard_nothing(struct sr *sr, void *listener, const char *channel) {
  sr_ask(sr, "PUBLISH %s marker", channel);
  struct wwr_view heard = sr_heard(listener);
  bool good = heard.len == 6 && memcmp(heard.data, "marker", 6) == 0;
  if (!good)
    printf("\nheard '%.*s'\n", (int)heard.len, (const char *)heard.data);
  return good;
}

void sr_listen_end(void *it) {
  struct listener *listener = it;
  if (listener->last) freeReplyObject(listener->last);
  redisFree(listener->context);
  free(listener);
}
