/* model.c - the data set of a server, and the scripts that read and write it.
 * See cluster/redis/scripts.h for what each script does. */
#include "model_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOCK_MARGIN_MS = 3000, LEAST = 1000, MOST = 10000 /* entries */ };

/* --- the data set: the fold of the writes --- */

static void stream_clear(struct stream *stream) {
  free(stream->entries);
  *stream = (struct stream){0};
}

static void stream_add(struct stream *stream, const struct wwri_entry *entry,
                       size_t limit) {
  if (stream->first + stream->count == stream->cap) {
    if (stream->first > stream->count) {
      memmove(stream->entries, stream->entries + stream->first,
              stream->count * sizeof *entry);
      stream->first = 0;
    } else {
      stream->cap = stream->cap ? stream->cap * 2 : 64;
      stream->entries = realloc(stream->entries, stream->cap * sizeof *entry);
      assert(stream->entries);
    }
  }
  stream->log = true;
  stream->entries[stream->first + stream->count++] = *entry;
  stream->last = entry->pos.id;
  while (stream->count > limit) {
    stream->first++;
    stream->count--;
  }
}

size_t server_find_boot(const struct server *server, struct wwri_boot boot) {
  for (size_t i = 0; i < server->beat_count; i++) {
    if (wwri_boot_equal(server->beats[i].boot, boot)) return i;
  }
  return SIZE_MAX;
}

static void set_beat(struct server *server, const struct op *op) {
  size_t i = server_find_boot(server, op->boot);
  if (i == SIZE_MAX) {
    i = server->beat_count++;
    assert(i < BOOTS);
  }
  server->beats[i].boot = op->boot;
  server->beats[i].ms = op->a;
  server->beats[i].n = op->b;
  server->beats[i].connection = op->c;
}

static void drop_generation(struct server *server) {
  server->generation.exists = false;
  server->generation.n = 0;
  for (size_t i = 0; i < server->beat_count; i++) {
    server->beats[i].connection = 0;
  }
}

static void take_nodes(struct server *server, const struct server *from) {
  server->generation = from->generation;
  memcpy(server->beats, from->beats, sizeof server->beats);
  server->beat_count = from->beat_count;
  server->grace_ms = from->grace_ms;
}

static void take_log(struct stream *stream, const struct stream *from,
                     size_t limit) {
  stream->first = stream->count = 0;
  for (size_t i = 0; i < from->count; i++) {
    stream_add(stream, &from->entries[i], limit);
  }
  stream->log = true;
  stream->last = from->last;
}

static void apply(struct server *server, const struct op *op, size_t limit) {
  struct stream *stream = &server->streams[op->channel];
  switch (op->kind) {
    case OP_GENERATION:
      server->generation.exists = true;
      server->generation.n = op->a;
      server->generation.replid = op->b;
      server->generation.born = op->c;
      break;
    case OP_META:
      stream->meta = true;
      stream->epoch = op->a;
      stream->born_in = op->b;
      break;
    case OP_ADD:
      stream_add(stream, &op->entry, limit);
      break;
    case OP_DROP_META:
      stream->meta = false;
      break;
    case OP_DROP_LOG:
      stream->log = false;
      stream->first = stream->count = 0;
      stream->last = (struct wwri_logid){0};
      break;
    case OP_DROP_GENERATION:
      drop_generation(server);
      break;
    case OP_DROP_NODES:
      drop_generation(server);
      server->beat_count = 0;
      server->grace_ms = 0;
      break;
    case OP_TAKE_NODES:
      take_nodes(server, op->server);
      break;
    case OP_TAKE_LOG:
      take_log(stream, op->log, limit);
      break;
    case OP_EXPIRE:
      stream->expires_ms = op->a;
      break;
    case OP_BEAT:
      set_beat(server, op);
      break;
    case OP_FENCE:
      server->beats[server_find_boot(server, op->boot)].connection = FENCED;
      break;
    case OP_GRACE:
      server->grace_ms = op->a;
      break;
    case OP_SESSION:
      server->sessions[op->a] = op->row;
      break;
    case OP_PUBLISH:
    case OP_PUBLISH_BEAT:
      break;
  }
}

static void push(struct server *server, const struct op *op) {
  if (server->op_count == server->op_cap) {
    server->op_cap = server->op_cap ? server->op_cap * 2 : 256;
    server->ops = realloc(server->ops, server->op_cap * sizeof *op);
    assert(server->ops);
  }
  server->ops[server->op_count++] = *op;
}

void model_write(struct model *model, struct server *server,
                 const struct op *op) {
  push(server, op);
  apply(server, op, model->config.limit);
  if (op->kind == OP_PUBLISH || op->kind == OP_PUBLISH_BEAT) {
    model->published(model, server, op);
  }
}

static void clear_data(struct server *server) {
  for (unsigned i = 0; i < STREAMS; i++) stream_clear(&server->streams[i]);
  memset(server->sessions, 0, sizeof server->sessions);
  memset(&server->generation, 0, sizeof server->generation);
  server->beat_count = 0;
  server->grace_ms = 0;
}

void server_truncate(struct server *server, size_t keep, size_t limit) {
  clear_data(server);
  if (keep < server->op_count) server->op_count = keep;
  for (size_t i = 0; i < server->op_count; i++) {
    apply(server, &server->ops[i], limit);
  }
}

void server_replicate(struct model *model, struct server *replica,
                      const struct server *master, uint64_t until_ms) {
  if (!replica->attached) {
    replica->attached = true;
    server_truncate(replica, 0, model->config.limit);
    replica->synced = 0;
    replica->replid = master->replid;
    for (size_t i = 0; i < master->op_count; i++) {
      push(replica, &master->ops[i]);
      apply(replica, &master->ops[i], model->config.limit);
      replica->synced++;
    }
    return;
  }
  while (replica->synced < master->op_count &&
         master->ops[replica->synced].at_ms <= until_ms) {
    model_write(model, replica, &master->ops[replica->synced++]);
  }
}

void server_new_id(struct model *model, struct server *server) {
  server->replid = rng_next(model->rng) | 1;
}

void server_info(const struct server *server, struct wwri_redis_info *out) {
  out->master = server->master;
  snprintf(out->replid, sizeof out->replid, "%016llx%024d",
           (unsigned long long)server->replid, 0);
}

bool server_find(const struct server *server, unsigned channel,
                 struct wwri_boot boot, uint64_t seq, struct wwri_logid *id) {
  const struct stream *stream = &server->streams[channel];
  for (size_t i = stream->count; i > 0; i--) {
    const struct wwri_pos *pos = &stream->entries[stream->first + i - 1].pos;
    if (pos->seq == seq && wwri_boot_equal(pos->boot, boot)) {
      *id = pos->id;
      return true;
    }
  }
  return false;
}

void model_init(struct model *model, const struct model_config *config,
                struct rng *rng, void *user) {
  *model = (struct model){.config = *config, .rng = rng, .user = user};
  for (unsigned i = 0; i < SERVERS_MAX; i++) {
    model->servers[i].index = i;
    model->servers[i].has_slot = true;
    server_new_id(model, &model->servers[i]);
  }
}

void model_free(struct model *model) {
  for (unsigned i = 0; i < SERVERS_MAX; i++) {
    clear_data(&model->servers[i]);
    free(model->servers[i].ops);
  }
}

/* --- scripts --- */

void script_write(struct script *script, struct op op) {
  op.at_ms = script->now_ms;
  model_write(script->model, script->server, &op);
}

static uint64_t greater(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* The number of a generation or an epoch, larger than the one before. The clock
 * can be behind that (another master's ran ahead), and then "one more" would be
 * given out again by a server that lost its tail, or by two masters. So 20 bits
 * of the replication id, which every restart and promotion changes, are added.
 */
static uint64_t next_number(const struct script *script, uint64_t before) {
  uint64_t salt = script->server->replid & 0xfffff;
  return greater(script->time_us, before + 1) + salt;
}

/* What every beat begins with. */
static void ensure_generation(struct script *script) {
  struct server *server = script->server;
  bool changed = server->generation.replid != server->replid &&
                 !script->model->config.no_generation;
  if (server->generation.exists && !changed) return;
  uint64_t born = server->generation.exists ? server->generation.born
                                            : rng_next(script->model->rng);
  uint64_t n = next_number(script, server->generation.n);
  script_write(
      script,
      (struct op){
          .kind = OP_GENERATION, .a = n, .b = server->replid, .c = born});
}

uint64_t server_newest_beat(const struct server *server) {
  uint64_t newest = 0;
  for (size_t i = 0; i < server->beat_count; i++) {
    newest = greater(newest, server->beats[i].ms);
  }
  return newest;
}

bool script_is_dead(const struct script *script, size_t at) {
  const struct server *server = script->server;
  uint64_t time_ms = script->time_us / 1000;
  if (server->beats[at].connection == FENCED) return true;
  if (script->model->config.no_grace) return false; /* just late */
  return server->beats[at].ms + script->model->config.lease_ms < time_ms &&
         server->grace_ms < time_ms;
}

static void beat(struct script *script) {
  struct server *server = script->server;
  const struct request *request = script->request;
  struct wwri_beat_answer *answer = &script->answer->beat;
  uint64_t lease = script->model->config.lease_ms;
  uint64_t time_ms = script->time_us / 1000;
  size_t own = server_find_boot(server, request->boot);
  if (own != SIZE_MAX && request->n <= server->beats[own].n) {
    answer->status = WWRI_REPLY_CLONE;
    return;
  }
  uint64_t before = server->generation.n;
  ensure_generation(script);
  answer->generation = server->generation.n;
  answer->born = server->generation.born;
  answer->time_ms = time_ms;
  if (time_ms > server_newest_beat(server) + lease / 2 ||
      before != server->generation.n) {
    script_write(script, (struct op){.kind = OP_GRACE, .a = time_ms + lease});
  }
  if (own != SIZE_MAX && script_is_dead(script, own)) {
    /* Its commands that are still on their way must not count either. */
    script_write(script, (struct op){.kind = OP_FENCE, .boot = request->boot});
    answer->status = WWRI_REPLY_FENCED;
    return;
  }
  script_write(script, (struct op){.kind = OP_BEAT,
                                   .boot = request->boot,
                                   .a = time_ms,
                                   .b = request->n,
                                   .c = request->connection});
  script_write(script, (struct op){.kind = OP_PUBLISH_BEAT,
                                   .boot = request->boot,
                                   .a = request->token,
                                   .b = server->generation.n});
  if (script->model->beaten) {
    script->model->beaten(script->model, server, request->boot);
  }
}

bool script_is_current(const struct script *script) {
  const struct server *server = script->server;
  if (!server->generation.exists) return false;
  if (script->model->config.no_fence) return true;
  size_t at = server_find_boot(server, script->request->boot);
  return at != SIZE_MAX &&
         server->beats[at].connection == script->request->connection;
}

static bool has_log(const struct stream *stream) {
  return stream->log;
}

static struct wwri_logid add(struct script *script, unsigned channel,
                             struct wwri_entry entry) {
  script_write(script,
               (struct op){.kind = OP_ADD, .channel = channel, .entry = entry});
  script->model->added(script->model, script->server, channel, &entry);
  return entry.pos.id;
}

/* The channel has an epoch of this generation, perhaps a new one. */
static void ensure_epoch(struct script *script, unsigned channel) {
  struct stream *stream = &script->server->streams[channel];
  uint64_t generation = script->server->generation.n;
  if (stream->meta && has_log(stream) && stream->born_in == generation) return;
  uint64_t before = stream->last.epoch;
  if (stream->meta) before = greater(before, stream->epoch);
  uint64_t epoch = next_number(script, before);
  struct wwri_entry fork = {.fork = true, .parent = stream->last};
  fork.time_ms = script->time_us / 1000;
  if (!has_log(stream)) fork.parent = (struct wwri_logid){0};
  fork.pos.id.epoch = epoch;
  script_write(
      script,
      (struct op){
          .kind = OP_META, .channel = channel, .a = epoch, .b = generation});
  add(script, channel, fork);
}

static void renew(struct script *script, unsigned channel) {
  script_write(script,
               (struct op){.kind = OP_EXPIRE,
                           .channel = channel,
                           .a = script->now_ms + script->model->config.ttl_ms});
}

struct wwri_logid script_append(struct script *script, unsigned channel,
                                struct wwri_entry entry) {
  const struct stream *stream = &script->server->streams[channel];
  ensure_epoch(script, channel);
  entry.time_ms = script->time_us / 1000;
  entry.pos.id = stream->last;
  entry.pos.id.offset++;
  add(script, channel, entry);
  renew(script, channel);
  script_write(
      script,
      (struct op){.kind = OP_PUBLISH, .channel = channel, .entry = entry});
  return entry.pos.id;
}

static bool is_own(const struct request *request, const struct wwri_pos *pos) {
  return pos->seq == request->seq &&
         wwri_boot_equal(pos->boot, request->author);
}

/* Look at one entry: it is the publish itself, or a later one of the same
 * boot, which ends nothing: the publish may stand behind it. */
static bool look_at(const struct request *request, const struct wwri_pos *pos,
                    enum wwri_answer *found, struct wwri_logid *id) {
  if (is_own(request, pos)) {
    *id = pos->id;
    *found = WWRI_ANSWER_DUP;
    return true;
  }
  if (wwri_boot_equal(pos->boot, request->author) && pos->seq > request->seq) {
    *found = WWRI_ANSWER_SUPERSEDED;
  }
  return false;
}

static enum wwri_answer look_forward(const struct stream *stream,
                                     const struct request *request, size_t at,
                                     struct wwri_logid *id) {
  enum wwri_answer found = WWRI_ANSWER_OK;
  size_t end = stream->count - at > MOST ? at + MOST : stream->count;
  for (; at < end; at++) {
    const struct wwri_entry *entry = &stream->entries[stream->first + at];
    if (look_at(request, &entry->pos, &found, id)) return found;
  }
  bool whole = end == stream->count;
  return whole || found != WWRI_ANSWER_OK ? found : WWRI_ANSWER_WRAPPED;
}

/* From the log's end to its own beginning, or, behind a thousand entries (for
 * masters' clocks differ), to one from before the first attempt: what is older
 * can't be the publish. */
static enum wwri_answer look_back(const struct script *script,
                                  const struct stream *stream,
                                  struct wwri_logid *id) {
  uint64_t since_ms = script->request->since_ms;
  enum wwri_answer found = WWRI_ANSWER_OK;
  const struct wwri_entry *entry = NULL;
  size_t at = stream->count, end = at > MOST ? at - MOST : 0;
  bool old = false;
  while (at > end && !(old && stream->count - at >= LEAST)) {
    entry = &stream->entries[stream->first + --at];
    if (look_at(script->request, &entry->pos, &found, id)) return found;
    old = entry->time_ms + CLOCK_MARGIN_MS < since_ms;
  }
  bool whole = at == 0 && entry->fork && wwri_logid_none(entry->parent);
  return whole || old || found != WWRI_ANSWER_OK ? found : WWRI_ANSWER_WRAPPED;
}

/* Acknowledged entries carry their own id as the hint: when the log goes on in
 * that epoch but begins later, ours was there and was trimmed. */
static bool was_trimmed(const struct stream *stream,
                        const struct request *request) {
  const struct wwri_logid first = stream->entries[stream->first].pos.id;
  bool acked = request->deep || request->sure;
  return acked && first.epoch == request->from.epoch &&
         first.offset > request->from.offset;
}

/* The log begins before the place of the hint. */
static bool reaches_hint(const struct stream *stream,
                         const struct request *request) {
  return wwri_logid_compare(stream->entries[stream->first].pos.id,
                            request->from) <= 0;
}

/* Forward from the hint when the log holds that very entry, else backward from
 * the end: the hint may be from a branch that was forgotten. */
static enum wwri_answer look_for(struct script *script,
                                 const struct stream *stream,
                                 struct wwri_logid *id) {
  const struct request *request = script->request;
  size_t at = 0;
  if (!stream->log || !stream->count) return WWRI_ANSWER_OK;
  if (was_trimmed(stream, request)) {
    *id = request->from;
    return WWRI_ANSWER_DUP;
  }
  while (at < stream->count &&
         !wwri_logid_equal(stream->entries[stream->first + at].pos.id,
                           request->from)) {
    at++;
  }
  const struct wwri_pos *there = &stream->entries[stream->first + at].pos;
  if (at < stream->count && is_own(request, there)) {
    *id = there->id;
    return WWRI_ANSWER_DUP;
  }
  if (request->sure && reaches_hint(stream, request)) return WWRI_ANSWER_OK;
  if (at < stream->count) return look_forward(stream, request, at, id);
  enum wwri_answer answer = look_back(script, stream, id);
  if (!request->sure || answer != WWRI_ANSWER_SUPERSEDED) return answer;
  *id = request->from; /* it stood before the later one, and was trimmed */
  return WWRI_ANSWER_DUP;
}

static void publish(struct script *script) {
  struct server *server = script->server;
  const struct request *request = script->request;
  struct wwri_reply *reply = &script->answer->reply;
  struct stream *stream = &server->streams[request->channel];
  if (!script_is_current(script)) {
    reply->status = WWRI_REPLY_NO_GENERATION;
    return;
  }
  reply->answer = WWRI_ANSWER_OK;
  if (request->retry) {
    reply->answer = look_for(script, stream, &reply->pos.id);
  }
  if (reply->answer != WWRI_ANSWER_OK) return;
  struct wwri_entry entry = {.data = request->data};
  entry.pos.boot = request->author;
  entry.pos.seq = request->seq;
  reply->pos.id = script_append(script, request->channel, entry);
}

static const struct wwri_entry *last_of(const struct stream *stream) {
  return &stream->entries[stream->first + stream->count - 1];
}

static void copy_entries(struct script *script, const struct stream *stream,
                         size_t first, size_t count) {
  struct wwri_reply *reply = &script->answer->reply;
  script->answer =
      realloc(script->answer, sizeof *script->answer +
                                  count * sizeof script->answer->entries[0]);
  assert(script->answer);
  reply = &script->answer->reply;
  if (count) {
    memcpy(script->answer->entries, stream->entries + stream->first + first,
           count * sizeof script->answer->entries[0]);
  }
  reply->count = count;
}

static void open_channel(struct script *script) {
  const struct request *request = script->request;
  struct stream *stream = &script->server->streams[request->channel];
  if (!script_is_current(script)) {
    script->answer->reply.status = WWRI_REPLY_NO_GENERATION;
    return;
  }
  ensure_epoch(script, script->request->channel);
  renew(script, request->channel);
  size_t count = request->count;
  if (count > stream->count) count = stream->count;
  copy_entries(script, stream, stream->count - count, count);
  script->answer->reply.pos = last_of(stream)->pos;
}

static void range(struct script *script) {
  const struct request *request = script->request;
  struct stream *stream = &script->server->streams[request->channel];
  size_t at = 0;
  while (at < stream->count &&
         wwri_logid_compare(stream->entries[stream->first + at].pos.id,
                            request->from) < 0) {
    at++;
  }
  size_t count = stream->count - at;
  if (count > request->count) count = request->count;
  copy_entries(script, stream, at, count);
  script->answer->reply.more = count == request->count;
}

static void tops(struct script *script) {
  const struct request *request = script->request;
  for (size_t i = 0; i < request->channel_count; i++) {
    unsigned channel = request->channels[i];
    struct stream *stream = &script->server->streams[channel];
    if (request->touch && stream->log) renew(script, channel);
    script->answer->tops[i].exists = stream->log && stream->count;
    if (script->answer->tops[i].exists) {
      script->answer->tops[i].pos = last_of(stream)->pos;
    }
  }
}

static void expire_keys(struct script *script) {
  if (!script->server->master) return;
  script_expire_sessions(script);
  for (unsigned i = 0; i < STREAMS; i++) {
    struct stream *stream = &script->server->streams[i];
    if (!stream->expires_ms || stream->expires_ms > script->now_ms) continue;
    script_write(script, (struct op){.kind = OP_EXPIRE, .channel = i});
    script_write(script, (struct op){.kind = OP_DROP_META, .channel = i});
    script_write(script, (struct op){.kind = OP_DROP_LOG, .channel = i});
  }
}

static bool refuse(struct script *script) {
  const struct server *server = script->server;
  unsigned kind = script->request->kind;
  struct wwri_reply *reply = &script->answer->reply;
  bool reads = kind == WWRI_CALL_RANGE ||
               (kind == WWRI_CALL_TOPS && !script->request->touch);
  bool needs_memory = kind == WWRI_CALL_PUBLISH || kind == WWRI_CALL_OPEN;
  if (!server->has_slot) {
    reply->status = WWRI_REPLY_NOT_MASTER; /* MOVED */
  } else if (script->now_ms < server->loading_until) {
    reply->status = WWRI_REPLY_REFUSED;
  } else if (!server->master && !reads) {
    reply->status = WWRI_REPLY_NOT_MASTER;
  } else if (server->migrating && !script->model->config.undeclared &&
             slot_keys_of(server, script->request).missing) {
    reply->status = WWRI_REPLY_REFUSED; /* TRYAGAIN, or ASK when none is left */
  } else if (server->out_of_memory && needs_memory) {
    reply->status = WWRI_REPLY_REFUSED;
  }
  return reply->status != WWRI_REPLY_OK;
}

/* Mutant: ASK and MOVED are followed, as clients of Redis Cluster do. */
static struct server *follow(struct model *model, struct server *server,
                             const struct request *request) {
  struct server *importer = &model->servers[model->importer];
  struct slot_keys here = slot_keys_of(server, request);
  bool asked = server->migrating && here.missing && !here.present &&
               !slot_keys_of(importer, request).missing;
  return asked || !server->has_slot ? importer : server;
}

struct answer *model_execute(struct model *model, struct server *server,
                             const struct request *request, uint64_t now_ms) {
  if (model->config.follow) server = follow(model, server, request);
  struct script script = {model, server, request, now_ms, 0, NULL};
  script.time_us = now_ms * 1000 + 1000000000u + (uint64_t)server->clock_us;
  script.time_us += server->index; /* no two read the same microsecond */
  script.answer = calloc(1, sizeof *script.answer);
  assert(script.answer);
  script.answer->kind = request->kind;
  if (request->session) {
    script.answer->session.slot = request->session->slot;
    script.answer->session.word = WWRI_WORD_UNAVAILABLE;
  }
  expire_keys(&script);
  if (!refuse(&script)) {
    switch (request->kind) {
      case REQUEST_BEAT:
        beat(&script);
        script.answer->reply.status = script.answer->beat.status;
        break;
      case REQUEST_SESSION:
        script_session(&script);
        break;
      case WWRI_CALL_PUBLISH:
        publish(&script);
        break;
      case WWRI_CALL_OPEN:
        open_channel(&script);
        break;
      case WWRI_CALL_RANGE:
        range(&script);
        break;
      case WWRI_CALL_TOPS:
        tops(&script);
        break;
    }
  }
  script.answer->reply.entries = script.answer->entries;
  script.answer->reply.tops = script.answer->tops;
  return script.answer;
}
