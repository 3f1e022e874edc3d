/* slot.c - the keys of the partition as Redis Cluster sees them: which of them
 * a server has, which ones a request names, and how they move. */
#include <assert.h>
#include <string.h>

#include "model_impl.h"

/* --- which there are --- */

bool server_has(const struct server *server, unsigned key) {
  if (key == SLOT_NODES) return server->generation.exists || server->beat_count;
  if (key < SLOT_LOG) return server->streams[key - SLOT_META].meta;
  if (key < SLOT_SESSION) return server->streams[key - SLOT_LOG].log;
  return server->sessions[key - SLOT_SESSION] != NULL;
}

static void count(struct slot_keys *keys, bool present) {
  keys->present += present;
  keys->missing += !present;
}

static void count_channel(struct slot_keys *keys, const struct server *server,
                          unsigned channel, bool meta) {
  count(keys, server_has(server, SLOT_LOG + channel));
  if (meta) count(keys, server_has(server, SLOT_META + channel));
}

static void count_session(struct slot_keys *keys, const struct server *server,
                          const struct session_request *request) {
  bool tells =
      request->kind == WWRI_KEEP_LEAVE || request->kind == WWRI_KEEP_KILL;
  count(keys, server_has(server, SLOT_NODES));
  if (request->kind != WWRI_KEEP_TOUCH) {
    count(keys, server_has(server, SLOT_SESSION + request->key));
  }
  for (size_t i = 0; i < request->touch_count; i++) {
    count(keys, server_has(server, SLOT_SESSION + request->touches[i].key));
  }
  if (tells) count_channel(keys, server, CONTROL, true);
}

struct slot_keys slot_keys_of(const struct server *server,
                              const struct request *request) {
  struct slot_keys keys = {0, 0};
  switch (request->kind) {
    case REQUEST_BEAT:
      count(&keys, server_find_boot(server, request->boot) != SIZE_MAX);
      count(&keys, server_has(server, SLOT_NODES));
      break;
    case REQUEST_SESSION:
      count_session(&keys, server, request->session);
      break;
    case WWRI_CALL_PUBLISH:
    case WWRI_CALL_OPEN:
      count_channel(&keys, server, request->channel, true);
      count(&keys, server->generation.exists);
      break;
    case WWRI_CALL_RANGE:
      count_channel(&keys, server, request->channel, false);
      break;
    case WWRI_CALL_TOPS:
      for (size_t i = 0; i < request->channel_count; i++) {
        count_channel(&keys, server, request->channels[i], request->touch);
      }
      break;
  }
  return keys;
}

/* --- how they move --- */

static void *copy(struct model *model, const void *from, size_t size) {
  void *memory = model->alloc(model, size);
  memcpy(memory, from, size);
  return memory;
}

static const struct stream *copy_log(struct model *model,
                                     const struct stream *from) {
  struct stream *log = copy(model, from, sizeof *from);
  if (from->count) {
    log->entries = copy(model, from->entries + from->first,
                        from->count * sizeof from->entries[0]);
  }
  log->first = 0;
  return log;
}

/* The write that makes the key on another server. */
static struct op take_op(struct model *model, const struct server *from,
                         unsigned key) {
  struct op op = {.kind = OP_TAKE_NODES};
  if (key == SLOT_NODES) {
    op.server = copy(model, from, sizeof *from);
  } else if (key < SLOT_LOG) {
    op.kind = OP_META;
    op.channel = key - SLOT_META;
    op.a = from->streams[op.channel].epoch;
    op.b = from->streams[op.channel].born_in;
  } else if (key < SLOT_SESSION) {
    op.kind = OP_TAKE_LOG;
    op.channel = key - SLOT_LOG;
    op.log = copy_log(model, &from->streams[op.channel]);
  } else {
    op.kind = OP_SESSION;
    op.a = key - SLOT_SESSION;
    op.row = from->sessions[op.a];
  }
  return op;
}

static struct op drop_op(unsigned key) {
  struct op op = {.kind = OP_DROP_NODES};
  if (key >= SLOT_SESSION) {
    op.kind = OP_SESSION;
    op.a = key - SLOT_SESSION;
  } else if (key >= SLOT_LOG) {
    op.kind = OP_DROP_LOG;
    op.channel = key - SLOT_LOG;
  } else if (key >= SLOT_META) {
    op.kind = OP_DROP_META;
    op.channel = key - SLOT_META;
  }
  return op;
}

static void write_at(struct model *model, struct server *server, struct op op,
                     uint64_t now_ms) {
  op.at_ms = now_ms;
  model_write(model, server, &op);
}

void server_move(struct model *model, struct server *from, struct server *to,
                 unsigned key, uint64_t now_ms) {
  struct op op = take_op(model, from, key);
  uint64_t expires_ms = from->streams[op.channel].expires_ms;
  write_at(model, to, op, now_ms);
  if (op.kind == OP_META || op.kind == OP_TAKE_LOG) {
    write_at(
        model, to,
        (struct op){.kind = OP_EXPIRE, .channel = op.channel, .a = expires_ms},
        now_ms);
  }
  write_at(model, from, drop_op(key), now_ms);
}

void server_drop_slot(struct model *model, struct server *server,
                      uint64_t now_ms) {
  for (unsigned key = 0; key < SLOT_KEYS; key++) {
    if (server_has(server, key)) {
      write_at(model, server, drop_op(key), now_ms);
    }
  }
}
