/* sessions_model.c - the scripts about sessions: docs/rules.md, R11 to
 * R13, with what sessionstore/redis/keeper.h says of each call. */
#include <assert.h>
#include <string.h>

#include "model_impl.h"

enum { TOMB_MS = 120000 };

static uint64_t time_ms(const struct script *script) {
  return script->time_us / 1000;
}

/* Alive, or nobody can tell: while no beat comes at all, it is Redis that was
 * away. */
static bool is_alive(const struct script *script, struct wwri_boot boot) {
  const struct server *server = script->server;
  uint64_t lease = script->model->config.lease_ms;
  bool grace = time_ms(script) <= server->grace_ms ||
               server_newest_beat(server) + lease / 2 < time_ms(script);
  if (grace && !script->model->config.no_grace) return true;
  size_t at = server_find_boot(server, boot);
  return at != SIZE_MAX && server->beats[at].ms + lease >= time_ms(script);
}

/* --- rows --- */

static const struct session_row *row_of(const struct script *script,
                                        unsigned key) {
  return script->server->sessions[key];
}

static bool is_there(const struct session_row *row, uint64_t v) {
  return row && row->exists && (v == 0 || row->v == v);
}

uint32_t session_count(const struct session_row *row, struct wwri_boot boot) {
  if (!row || !row->exists) return 0;
  for (unsigned i = 0; i < row->count_count; i++) {
    if (wwri_boot_equal(row->counts[i].boot, boot)) return row->counts[i].n;
  }
  return 0;
}

/* A copy to change and write. */
static struct session_row *copy_row(const struct script *script, unsigned key) {
  struct session_row *row = script->model->alloc(script->model, sizeof *row);
  const struct session_row *old = row_of(script, key);
  *row = old ? *old : (struct session_row){0};
  if (row->tomb && row->tomb_until_ms <= script->now_ms) row->tomb = 0;
  return row;
}

static void set_count(struct session_row *row, struct wwri_boot boot,
                      uint32_t n) {
  unsigned at = 0;
  while (at < row->count_count &&
         !wwri_boot_equal(row->counts[at].boot, boot)) {
    at++;
  }
  if (at == row->count_count) {
    if (n == 0) return;
    assert(at < COUNTS_MAX);
    row->count_count++;
  }
  row->counts[at].boot = boot;
  row->counts[at].n = n;
  if (n == 0) row->counts[at] = row->counts[--row->count_count];
}

/* Connections of all others that are alive; the dead are dropped. */
static uint32_t sum_others(const struct script *script,
                           struct session_row *row) {
  uint32_t sum = 0;
  for (unsigned i = row->count_count; i-- > 0;) {
    struct wwri_boot boot = row->counts[i].boot;
    if (wwri_boot_equal(boot, script->request->boot)) continue;
    if (is_alive(script, boot)) {
      sum += row->counts[i].n;
    } else {
      set_count(row, boot, 0);
    }
  }
  return sum;
}

static void write_row(struct script *script, unsigned key,
                      struct session_row *row) {
  if (row->exists) {
    row->expires_ms = script->now_ms + script->model->config.session_ttl_ms;
  }
  script_write(script, (struct op){.kind = OP_SESSION, .a = key, .row = row});
}

static void tell_destroyed(struct script *script, unsigned key, uint64_t v) {
  struct notice *notice = script->model->alloc(script->model, sizeof *notice);
  *notice = (struct notice){key, v};
  struct wwri_entry entry = {.data = {(const uint8_t *)notice, sizeof *notice}};
  entry.pos.boot = script->request->boot;
  entry.pos.boot.hi += 1000; /* its pen */
  entry.pos.seq = script->request->session->pen_seq;
  script_append(script, CONTROL, entry);
}

static void destroy(struct script *script, unsigned key, uint64_t v) {
  struct session_row *row = script->model->alloc(script->model, sizeof *row);
  *row = (struct session_row){.tomb = v};
  row->tomb_until_ms = script->now_ms + TOMB_MS;
  write_row(script, key, row);
  tell_destroyed(script, key, v);
}

void script_expire_sessions(struct script *script) {
  for (unsigned key = 0; key < KEYS; key++) {
    const struct session_row *row = row_of(script, key);
    if (!row || !row->exists || row->expires_ms > script->now_ms) continue;
    script_write(script, (struct op){.kind = OP_SESSION, .a = key});
    script->model->session(script->model, script->server, NULL, key, row, NULL,
                           NULL);
  }
}

/* --- scripts --- */

/* What is stored for us from now on; mutant R11 adds instead. */
static uint32_t own_count(const struct script *script,
                          const struct session_row *row, uint32_t count,
                          uint32_t base) {
  if (!script->model->config.increments) return count;
  uint32_t stored = session_count(row, script->request->boot);
  return stored + count > base ? stored + count - base : 0;
}

static enum wwri_keeper_word create(struct script *script) {
  const struct session_request *request = script->request->session;
  struct session_row *row = copy_row(script, request->key);
  if (row->tomb == request->v) return WWRI_WORD_CLOSED;
  if (row->exists && row->v != request->v) return WWRI_WORD_TAKEN;
  row->exists = true;
  row->v = request->v;
  if (request->max_known) row->max = request->max;
  set_count(row, script->request->boot,
            own_count(script, row, request->count, request->base));
  write_row(script, request->key, row);
  return WWRI_WORD_OK;
}

static enum wwri_keeper_word attach(struct script *script,
                                    struct session_answer *answer) {
  const struct session_request *request = script->request->session;
  struct wwri_boot boot = script->request->boot;
  if (!is_there(row_of(script, request->key), request->v)) {
    return WWRI_WORD_MISSING;
  }
  struct session_row *row = copy_row(script, request->key);
  uint32_t others = sum_others(script, row);
  if (request->max_known) row->max = request->max;
  uint32_t places = row->max > others ? row->max - others : 0;
  if (row->max == 0) places = UINT32_MAX;
  uint32_t count = own_count(script, row, request->count, request->base);
  bool full = request->whole && count > places;
  if (full) count = 0;
  if (count > places) count = places > request->had ? places : request->had;
  set_count(row, boot, count);
  write_row(script, request->key, row);
  answer->v = row->v;
  answer->count = count;
  return full ? WWRI_WORD_FULL : WWRI_WORD_OK;
}

static enum wwri_keeper_word leave(struct script *script,
                                   struct session_answer *answer) {
  const struct session_request *request = script->request->session;
  if (!is_there(row_of(script, request->key), request->v)) {
    return WWRI_WORD_MISSING;
  }
  struct session_row *row = copy_row(script, request->key);
  uint32_t count = own_count(script, row, request->count, request->base);
  set_count(row, script->request->boot, count);
  answer->v = row->v;
  if (sum_others(script, row) + count == 0) {
    destroy(script, request->key, row->v);
    return WWRI_WORD_LAST;
  }
  write_row(script, request->key, row);
  return WWRI_WORD_OK;
}

static enum wwri_keeper_word kill(struct script *script,
                                  struct session_answer *answer) {
  const struct session_request *request = script->request->session;
  struct session_row *row = copy_row(script, request->key);
  answer->v = row->exists ? row->v : 0;
  if (!is_there(row, request->v)) {
    if (!request->v || row->exists) return WWRI_WORD_MISSING;
    row->tomb = request->v; /* a late CREATE must not bring it back */
    row->tomb_until_ms = script->now_ms + TOMB_MS;
    write_row(script, request->key, row);
    return WWRI_WORD_MISSING;
  }
  uint32_t own = session_count(row, script->request->boot);
  if (!request->any && !request->force && sum_others(script, row) + own == 0) {
    return WWRI_WORD_NOBODY;
  }
  destroy(script, request->key, row->v);
  return WWRI_WORD_OK;
}

/* True: it is not there. */
static bool touch(struct script *script, const struct session_touch *touch) {
  if (!is_there(row_of(script, touch->key), touch->v)) return true;
  struct session_row *row = copy_row(script, touch->key);
  set_count(row, script->request->boot,
            own_count(script, row, touch->count, touch->base));
  write_row(script, touch->key, row);
  return false;
}

static void touches(struct script *script, struct session_answer *answer) {
  const struct session_request *request = script->request->session;
  for (size_t i = 0; i < request->touch_count; i++) {
    unsigned key = request->touches[i].key;
    const struct session_row *before = row_of(script, key);
    answer->gone[i] = touch(script, &request->touches[i]);
    script->model->session(script->model, script->server, script->request, key,
                           before, row_of(script, key), answer);
  }
}

static enum wwri_keeper_word run(struct script *script,
                                 struct session_answer *answer) {
  switch (script->request->session->kind) {
    case WWRI_KEEP_CREATE:
      return create(script);
    case WWRI_KEEP_ATTACH:
      return attach(script, answer);
    case WWRI_KEEP_LEAVE:
      return leave(script, answer);
    case WWRI_KEEP_KILL:
      return kill(script, answer);
    case WWRI_KEEP_TOUCH:
      touches(script, answer);
      return WWRI_WORD_OK;
    default:
      assert(false && "nobody asks for that here");
      return WWRI_WORD_ERROR;
  }
}

void script_session(struct script *script) {
  const struct session_request *request = script->request->session;
  struct session_answer *answer = &script->answer->session;
  size_t own = server_find_boot(script->server, script->request->boot);
  if (!script_is_current(script)) return; /* unavailable */
  if (own == SIZE_MAX || script_is_dead(script, own)) return;
  const struct session_row *before = row_of(script, request->key);
  answer->word = run(script, answer);
  if (request->kind == WWRI_KEEP_TOUCH) return;
  script->model->session(script->model, script->server, script->request,
                         request->key, before, row_of(script, request->key),
                         answer);
}
