/* The same call on both, at random, and what they answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_twins.h"

/* --- calls -------------------------------------------------------------- */

static struct answer *ask_model(const struct request *request) {
  return model_execute(&twins.model, twins.server, request, twins.now_ms);
}

struct texts {
  char text[8][64];
};

static const char *number(struct texts *t, size_t i, uint64_t value) {
  snprintf(t->text[i], sizeof(t->text[i]), "%" PRIu64, value);
  return t->text[i];
}

static const char *key(struct texts *t, size_t i, const char *kind,
                       const char *name) {
  snprintf(t->text[i], sizeof(t->text[i]), "w:{0}:%s:%s", kind, name);
  return t->text[i];
}

static struct twins_node *random_node(void) {
  return &twins.nodes[rng_below(&twins.rng, TWINS_NODES)];
}

void twins_new_boot(struct twins_node *node) {
  twins.boots++;
  *node = (struct twins_node){
      .boot = {rng_next(&twins.rng), rng_next(&twins.rng)}, .connection = 1};
}

/* What was refused for want of memory. */
static bool both_refused(const struct answer *model) {
  if (model->reply.status != WWRI_REPLY_REFUSED) return false;
  twins_check(strncmp(twins.sr->answer.error, "OOM", 3) == 0, "not refused");
  return true;
}

static void count(unsigned kind) {
  twins.met[kind]++;
}

/* When the last beat of a node was, 0: never; a failover forgets some. */
uint64_t twins_stored_beat(const struct twins_node *node) {
  for (size_t i = 0; i < twins.server->beat_count; i++) {
    if (wwri_boot_equal(twins.server->beats[i].boot, node->boot)) {
      return twins.server->beats[i].ms - TWINS_CLOCK_MS;
    }
  }
  return 0;
}

void twins_beat(void) {
  struct twins_node *node = random_node();
  if (twins.now_ms < node->wakes_ms) return;
  if (twins_chance(4)) node->wakes_ms = twins.now_ms + 2 * TWINS_LEASE_MS;
  /* Stored for two leases only; the model has it for ever. */
  bool stale = twins_chance(5) && node->n > 1 &&
               twins.now_ms < twins_stored_beat(node) + TWINS_LEASE_MS;
  uint64_t n = stale ? node->n - rng_below(&twins.rng, 2) : ++node->n;
  if (twins_chance(20)) node->connection++;
  struct request request = {.kind = REQUEST_BEAT,
                            .boot = node->boot,
                            .connection = node->connection,
                            .n = n,
                            .token = 1};
  struct answer *model = ask_model(&request);
  char boot[33];
  char connection[24];
  twins_write_boot(node->boot, boot);
  snprintf(connection, sizeof(connection), "%" PRIu64, node->connection);
  const struct sr_answer *real =
      sr_beat_as(twins.sr, &(struct sr_beat){.boot = boot,
                                             .n = (unsigned)n,
                                             .lease = TWINS_LEASE_MS,
                                             .connection = connection});
  const char *kind = model->beat.status == WWRI_REPLY_OK       ? "ok"
                     : model->beat.status == WWRI_REPLY_FENCED ? "fenced"
                                                               : "clone";
  twins_check(strcmp(sr_text(real, 0), kind) == 0, kind);
  if (model->beat.status != WWRI_REPLY_CLONE) {
    twins_check(twins_same_number(&twins.generations, model->beat.generation,
                                  strtoull(sr_text(real, 1), NULL, 10)),
                "the generation");
    bool found = false;
    uint64_t born = (uint64_t)sr_number(real, 2);
    for (size_t i = 0; i < twins.births.count; i++) { /* in no order */
      const struct twins_pair *it = &twins.births.items[i];
      twins_check((it->model == model->beat.born) == (it->real == born),
                  "born");
      found = found || it->real == born;
    }
    if (!found && twins.births.count < TWINS_PAIRS) {
      twins.births.items[twins.births.count++] =
          (struct twins_pair){model->beat.born, born};
    }
  }
  if (model->beat.status == WWRI_REPLY_OK) {
    uint64_t time_ms = twins.now_ms + TWINS_CLOCK_MS;
    uint64_t grace =
        twins.server->grace_ms > time_ms ? twins.server->grace_ms - time_ms : 0;
    twins_check((uint64_t)sr_number(real, 3) == time_ms, "the time");
    twins_check((uint64_t)sr_number(real, 4) == grace, "the grace");
  } else if (model->beat.status == WWRI_REPLY_FENCED) {
    count(TWINS_FENCED);
    if (twins_chance(60) && twins.boots < BOOTS) twins_new_boot(node);
  } else {
    count(TWINS_CLONE);
  }
  free(model);
}

/* An id to begin at: mostly of the channel, perhaps long gone. */
static bool random_known(unsigned channel, struct twins_known *out) {
  for (unsigned i = 0; i < 8 && twins.known_count; i++) {
    uint64_t back =
        rng_below(&twins.rng, twins_chance(50) ? 10 : twins.known_count);
    if (back >= twins.known_count) continue;
    *out = twins.known[twins.known_count - 1 - back];
    if (out->channel == channel) return true;
  }
  return false;
}

static const char *id_text(struct texts *t, size_t i, struct wwri_logid id) {
  snprintf(t->text[i], sizeof(t->text[i]), "%" PRIu64 "-%" PRIu64, id.epoch,
           id.offset);
  return t->text[i];
}

/* Both mean the same publish. Where a wrong hint let it be appended twice, each
 * may find the other copy. */
static bool same_dup(unsigned channel, struct wwri_logid model,
                     const char *text) {
  struct wwri_logid real = twins_read_id(text);
  const struct twins_known *a = NULL, *b = NULL;
  for (size_t i = 0; i < twins.known_count; i++) {
    const struct twins_known *it = &twins.known[i];
    if (it->channel != channel) continue;
    if (wwri_logid_equal(it->model, model)) a = it;
    if (wwri_logid_equal(it->real, real)) b = it;
  }
  return a && b && a->seq == b->seq && wwri_boot_equal(a->boot, b->boot);
}

static void compare_publish(const struct answer *model,
                            const struct request *request,
                            const struct sr_answer *real) {
  static const char *const kinds[] = {"ok", "dup", "superseded", "wrapped"};
  if (both_refused(model)) return;
  if (model->reply.status == WWRI_REPLY_NO_GENERATION) {
    count(TWINS_NOGEN);
    twins_check(strcmp(sr_text(real, 0), "nogen") == 0, "nogen");
    return;
  }
  const char *kind = kinds[model->reply.answer];
  if (!twins_check(strcmp(sr_text(real, 0), kind) == 0, kind)) return;
  if (model->reply.answer == WWRI_ANSWER_DUP) {
    count(TWINS_DUP);
    twins_check(
        same_dup(request->channel, model->reply.pos.id, sr_text(real, 1)),
        "another dup");
  } else if (model->reply.answer != WWRI_ANSWER_OK) {
    count(model->reply.answer == WWRI_ANSWER_WRAPPED ? TWINS_WRAPPED
                                                     : TWINS_SUPERSEDED);
  } else {
    twins_check(
        twins_same_id(request->channel, model->reply.pos.id, sr_text(real, 1)),
        "the id");
    if (twins.known_count < TWINS_KNOWN) {
      twins.known[twins.known_count++] = (struct twins_known){
          request->channel, model->reply.pos.id,
          twins_read_id(sr_text(real, 1)), request->author, request->seq};
    }
  }
}

/* Sixteen bytes that name an entry. */
static struct wwr_view data_of(struct wwri_boot boot, uint64_t seq) {
  static char texts[TWINS_KNOWN * 2][24];
  static size_t used;
  char *text = texts[used++ % (TWINS_KNOWN * 2)];
  snprintf(text, 24, "%08" PRIx64 ".%" PRIu64, boot.lo & 0xffffffff, seq);
  return wwr_view_str(text);
}

static void publish_both(struct request *request, struct wwri_logid hint,
                         unsigned tried_ms) {
  struct texts t;
  char boot[33], name[33], flags[5];
  request->data = data_of(request->author, request->seq);
  struct answer *model = ask_model(request);
  twins_write_boot(request->boot, boot);
  twins_write_boot(request->author, name);
  snprintf(flags, sizeof(flags), "t%s%s%s", request->retry ? "r" : "",
           request->deep ? "d" : "", request->sure ? "a" : "");
  const struct sr_answer *real = sr_publish_as(
      twins.sr,
      &(struct sr_publish){.channel = twins_channels[request->channel],
                           .author = name,
                           .seq = (unsigned)request->seq,
                           .node = boot,
                           .connection = number(&t, 1, request->connection),
                           .data = (const char *)request->data.data,
                           .flags = flags,
                           .hint = id_text(&t, 0, hint),
                           .tried_ms = tried_ms,
                           .limit = TWINS_LIMIT,
                           .age = 1000000000,
                           .expiry = TWINS_TTL_MS});
  compare_publish(model, request, real);
  free(model);
}

/* Something new, or what was published before, or what never was; from a hint
 * that is right, wrong, old or none. */
void twins_publish(void) {
  struct twins_node *node = random_node();
  unsigned author = (unsigned)rng_below(&twins.rng, TWINS_NODES);
  struct request request = {
      .kind = WWRI_CALL_PUBLISH,
      .boot = node->boot,
      .connection = node->connection,
      .author = twins.nodes[author].boot,
      .channel = (unsigned)rng_below(&twins.rng, CHANNELS),
      .seq = twins.nodes[author].seq + 1,
      .retry = twins_chance(40)};
  unsigned tried_ms = (unsigned)rng_below(&twins.rng, 60) * 1000;
  request.since_ms = twins.now_ms + TWINS_CLOCK_MS - tried_ms;
  struct twins_known known = {0}, before = {0};
  struct wwri_logid hint = {0};
  if (twins_chance(5)) { /* late, or never made; 0 is none to the model */
    request.connection = 1 + rng_below(&twins.rng, 9);
  }
  if (twins_chance(70) && random_known(request.channel, &known)) {
    request.from = known.model;
    hint = known.real;
  } else if (twins_chance(30)) {
    request.from = hint = (struct wwri_logid){5, 5};
  }
  if (request.retry && twins_chance(60) &&
      random_known(request.channel, &before)) {
    request.author = before.boot;
    request.seq = before.seq;
    request.sure = twins_chance(30);
    request.deep = !request.sure && twins_chance(40);
    if (request.deep || request.sure) {
      request.from = before.model;
      hint = before.real;
    }
  } else if (request.retry && twins_chance(30) && request.seq > 2) {
    request.seq -= 1 + rng_below(&twins.rng, 2); /* perhaps in no log at all */
  } else {
    twins.nodes[author].seq++;
  }
  publish_both(&request, hint, tried_ms);
}

/* Logs longer than what a retry looks through. */
void twins_burst(void) {
  unsigned author = (unsigned)rng_below(&twins.rng, TWINS_NODES);
  unsigned channel = (unsigned)rng_below(&twins.rng, CHANNELS);
  for (unsigned i = 0; i < TWINS_LIMIT + 10 && !twins.failed; i++) {
    struct twins_node *node = &twins.nodes[author];
    struct request request = {.kind = WWRI_CALL_PUBLISH,
                              .boot = node->boot,
                              .connection = node->connection,
                              .author = node->boot,
                              .channel = channel,
                              .seq = ++node->seq};
    publish_both(&request, (struct wwri_logid){0}, 0);
    twins_compare_hints();
  }
}

void twins_open(void) {
  struct twins_node *node = random_node();
  static const uint32_t counts[] = {0, 1, 5, 256};
  struct request request = {
      .kind = WWRI_CALL_OPEN,
      .boot = node->boot,
      .connection = node->connection + twins_chance(5),
      .channel = (unsigned)rng_below(&twins.rng, CHANNELS),
      .count = counts[rng_below(&twins.rng, 4)]};
  const char *name = twins_channels[request.channel];
  /* The real log is cut by the next publish only: a fork record may be one
   * too many. */
  bool full = twins.server->streams[request.channel].count >= TWINS_LIMIT;
  if (full && request.count > 5) request.count = 5;
  struct answer *model = ask_model(&request);
  struct texts t;
  char boot[33];
  twins_write_boot(request.boot, boot);
  const struct sr_answer *real = sr_eval(
      twins.sr, wwri_script_open,
      LIST(key(&t, 0, "m", name), key(&t, 1, "l", name), "w:{0}:gen"),
      LIST(boot, number(&t, 2, request.connection), number(&t, 3, TWINS_TTL_MS),
           number(&t, 4, request.count), "1000000"));
  if (both_refused(model)) {
  } else if (model->reply.status == WWRI_REPLY_NO_GENERATION) {
    twins_check(strcmp(sr_text(real, 0), "nogen") == 0, "nogen");
  } else {
    twins_check(strcmp(sr_text(real, 0), "ok") == 0, "ok");
    twins_check(twins_same_pos(request.channel, &model->reply.pos, 1),
                "the top");
    twins_check(twins_same_entries(request.channel, model->reply.entries,
                                   model->reply.count, 4, true),
                "the history");
    sr_ask(twins.sr, "XTRIM w:{0}:l:%s MAXLEN %d", name, TWINS_LIMIT);
  }
  free(model);
}

void twins_range(void) {
  struct request request = {
      .kind = WWRI_CALL_RANGE,
      .channel = (unsigned)rng_below(&twins.rng, CHANNELS),
      .from = {1, 1},
      .count = twins_chance(50) ? 128 : 3};
  struct twins_known known;
  struct wwri_logid from = request.from;
  if (random_known(request.channel, &known)) {
    request.from = known.model;
    from = known.real;
  }
  struct answer *model = ask_model(&request);
  struct texts t;
  const struct sr_answer *real = sr_eval(
      twins.sr, wwri_script_range,
      LIST(key(&t, 0, "l", twins_channels[request.channel])),
      LIST(id_text(&t, 1, from), number(&t, 2, request.count), "1000000"));
  twins_check(sr_number(real, 1) == model->reply.more, "more");
  twins_check(twins_same_entries(request.channel, model->reply.entries,
                                 model->reply.count, 2, false),
              "the range");
  free(model);
}

void twins_tops(void) {
  struct request request = {.kind = WWRI_CALL_TOPS,
                            .touch = twins_chance(50),
                            .channels = {0, 1, 2},
                            .channel_count = CHANNELS};
  struct answer *model = ask_model(&request);
  static const char *const keys[] = {"w:{0}:l:x", "w:{0}:l:y", "w:{0}:l:z",
                                     NULL};
  static const char *const both[] = {"w:{0}:l:x", "w:{0}:m:x", "w:{0}:l:y",
                                     "w:{0}:m:y", "w:{0}:l:z", "w:{0}:m:z",
                                     NULL};
  struct texts t;
  if (request.touch) {
    sr_eval(twins.sr, wwri_script_tops_touch, both,
            LIST(number(&t, 0, TWINS_TTL_MS)));
  } else {
    sr_eval(twins.sr, wwri_script_tops, keys, LIST(NULL));
  }
  for (unsigned i = 0; i < CHANNELS; i++) {
    const struct wwri_top *top = &model->tops[i];
    if (top->exists) {
      twins_check(twins_same_pos(i, &top->pos, 1 + 3 * i), "a top");
    } else {
      twins_check(sr_text(&twins.sr->answer, 1 + 3 * i)[0] == '\0', "no log");
    }
  }
  free(model);
}
