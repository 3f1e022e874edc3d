/* The model and the real server side by side: what they say is compared. */
#include "scripts_twins.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct twins twins;

const char *const twins_channels[CHANNELS] = {"x", "y", "z"};

/* Tell what went wrong, once. */
bool twins_check(bool good, const char *what) {
  if (!good && !twins.failed) {
    twins.failed = true;
    printf("\nseed %" PRIu64 " step %u %s: %s; '%s' '%s' '%s' %s\n", twins.seed,
           twins.step, twins.what, what, sr_text(&twins.sr->answer, 0),
           sr_text(&twins.sr->answer, 1), sr_text(&twins.sr->answer, 2),
           twins.sr->answer.error);
  }
  return good;
}

/* Both made a number: a new one of each, or a known pair; in the same order. */
bool twins_same_number(struct twins_pairs *pairs, uint64_t model,
                       uint64_t real) {
  if (model == 0 || real == 0) return model == real;
  for (size_t i = 0; i < pairs->count; i++) {
    const struct twins_pair *it = &pairs->items[i];
    if ((it->model == model) != (it->real == real)) return false;
    if ((it->model < model) != (it->real < real)) return false;
    if (it->model == model) return true;
  }
  if (pairs->count == TWINS_PAIRS) return false;
  pairs->items[pairs->count++] = (struct twins_pair){model, real};
  return true;
}

struct wwri_logid twins_read_id(const char *text) {
  char *end = NULL;
  struct wwri_logid id = {strtoull(text, &end, 10), 0};
  if (end && *end == '-') id.offset = strtoull(end + 1, NULL, 10);
  return id;
}

bool twins_same_id(unsigned channel, struct wwri_logid model,
                   const char *text) {
  struct wwri_logid real = twins_read_id(text);
  return twins_same_number(&twins.epochs[channel], model.epoch, real.epoch) &&
         model.offset == real.offset;
}

void twins_write_boot(struct wwri_boot boot, char out[33]) {
  snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, boot.hi, boot.lo);
}

static bool same_boot(struct wwri_boot model, const char *text) {
  char hex[33] = "";
  if (model.hi || model.lo) twins_write_boot(model, hex);
  return strcmp(hex, text) == 0;
}

void twins_pass(uint64_t ms) {
  twins.now_ms += ms;
  sr_time_set(&twins.time, twins.now_ms + TWINS_CLOCK_MS);
}

/* --- comparing ---------------------------------------------------------- */

/* An entry of the model and nine values of the answer. */
static bool same_entry(unsigned channel, const struct wwri_entry *model,
                       size_t at) {
  const struct sr_answer *real = &twins.sr->answer;
  if (!twins_same_id(channel, model->pos.id, sr_text(real, at))) return false;
  if ((uint64_t)sr_number(real, at + 6) != model->time_ms) return false;
  if (!same_boot(model->pos.boot, sr_text(real, at + 2))) return false;
  if (model->fork) {
    return twins_same_id(channel, model->parent, sr_text(real, at + 4));
  }
  return (uint64_t)sr_number(real, at + 4) == model->pos.seq &&
         wwr_view_equal(model->data, at + 8 < real->count
                                         ? real->values[at + 8]
                                         : wwr_view_str("none"));
}

bool twins_same_entries(unsigned channel, const struct wwri_entry *entries,
                        size_t count, size_t at, bool newest_first) {
  if (twins.sr->answer.count != at + 9 * count) return false;
  for (size_t i = 0; i < count; i++) {
    size_t place = newest_first ? count - 1 - i : i;
    if (!same_entry(channel, &entries[i], at + 9 * place)) return false;
  }
  return true;
}

bool twins_same_pos(unsigned channel, const struct wwri_pos *pos, size_t at) {
  const struct sr_answer *real = &twins.sr->answer;
  return twins_same_id(channel, pos->id, sr_text(real, at)) &&
         same_boot(pos->boot, sr_text(real, at + 1)) &&
         (uint64_t)sr_number(real, at + 2) == pos->seq;
}

/* The whole log. */
void twins_compare_logs(void) {
  for (unsigned i = 0; i < CHANNELS && !twins.failed; i++) {
    const struct stream *stream = &twins.server->streams[i];
    if (stream->expires_ms && stream->expires_ms <= twins.now_ms) continue;
    sr_ask(twins.sr, "XRANGE w:{0}:l:%s - +", twins_channels[i]);
    twins_check(twins_same_entries(i, stream->entries + stream->first,
                                   stream->count, 0, false),
                "the log");
  }
}

void twins_on_published(struct model *model, struct server *server,
                        const struct op *op) {
  (void)model;
  (void)server;
  if (twins.hint_count < TWINS_HINTS) twins.hints[twins.hint_count++] = *op;
}

void twins_on_added(struct model *model, struct server *server,
                    unsigned channel, const struct wwri_entry *entry) {
  (void)model;
  (void)server;
  (void)channel;
  (void)entry;
}

/* "ID BOOT SEQ TIME DATA", or "TOKEN GENERATION". */
static bool same_hint(const struct op *op, struct wwr_view heard) {
  char text[256], boot[33], data[64];
  unsigned long long seq, time;
  char id[48];
  snprintf(text, sizeof(text), "%.*s", (int)heard.len,
           heard.data ? (const char *)heard.data : "");
  if (op->kind == OP_PUBLISH_BEAT) {
    unsigned long long generation;
    return sscanf(text, "token.1 %llu", &generation) == 1 &&
           twins_same_number(&twins.generations, op->b, generation);
  }
  const struct wwri_entry *entry = &op->entry;
  return sscanf(text, "%47s %32s %llu %llu %63s", id, boot, &seq, &time,
                data) == 5 &&
         twins_same_id(op->channel, entry->pos.id, id) &&
         same_boot(entry->pos.boot, boot) && seq == entry->pos.seq &&
         time == entry->time_ms &&
         wwr_view_equal(wwr_view_str(data), entry->data);
}

/* What was published, and nothing else. */
void twins_compare_hints(void) {
  for (size_t i = 0; i < twins.hint_count && !twins.failed; i++) {
    const struct op *op = &twins.hints[i];
    unsigned at = op->kind == OP_PUBLISH_BEAT ? CHANNELS : op->channel;
    twins_check(same_hint(op, sr_heard(twins.listeners[at])), "a hint");
  }
  twins.hint_count = 0;
  for (unsigned i = 0; i <= CHANNELS && twins.step % 20 == 0 && !twins.failed;
       i++) {
    char channel[32] = "beats";
    if (i < CHANNELS)
      snprintf(channel, sizeof(channel), "w:{0}:c:%s", twins_channels[i]);
    twins_check(sr_heard_nothing(twins.sr, twins.listeners[i], channel),
                "one hint too many");
  }
}

bool twins_chance(unsigned percent) {
  return rng_below(&twins.rng, 100) < percent;
}
