/* Happy path, for some keys: PTTL, DUMP and the length of each are asked of the
 * source in one go; each answer is sent on with RESTORE before the next is
 * read, so that there is one value in memory, and then the target's answers are
 * read.
 *
 * What is asked for waits in the source's memory: after large values, fewer are
 * asked for at a time. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "move.h"

/* A key under way. */
struct item {
  struct move_place from, to;
  const struct move_key *key;
  long long ttl, len;
  size_t bytes; /* of its DUMP; 0: it is gone, or was not asked for */
};

enum { AHEAD_BYTES = 4 << 20 };

static const char *length_command(const struct move_key *key) {
  return key->kind == 'l' ? "XLEN" : "HLEN";
}

/* --- Sending -------------------------------------------------------------- */

static bool send_key(const struct move_place *at, const char *command) {
  const char *argv[] = {command, at->key};
  const size_t lens[] = {strlen(command), at->len};
  return redis_send(at->server->conn, 2, argv, lens);
}

static bool send_restore(const struct item *it, const redisReply *payload) {
  char ttl[24];
  snprintf(ttl, sizeof ttl, "%lld", it->ttl);
  const char *argv[] = {"RESTORE", it->to.key, ttl, payload->str, "REPLACE"};
  const size_t lens[] = {7, it->to.len, strlen(ttl), (size_t)payload->len, 7};
  return redis_send(it->to.server->conn, 5, argv, lens);
}

/* --- Taking answers ------------------------------------------------------- */

static const char *complaint(const redisReply *reply) {
  if (reply->type != REDIS_REPLY_ERROR) return "nonsense";
  return strstr(reply->str, "DUMP payload version")
             ? "it can't read what the source wrote: is it an older Redis?"
             : reply->str;
}

/* The next answer, which must be of `type` (or nil); else NULL. */
static redisReply *take(struct move *move, const struct move_place *at,
                        int type) {
  char why[192];
  redisReply *reply = redis_answer(at->server->conn);
  if (reply && (reply->type == type || reply->type == REDIS_REPLY_NIL))
    return reply;
  if (reply)
    snprintf(why, sizeof why, "%.80s: %.100s", at->key, complaint(reply));
  move_fail(move, at->server, reply ? why : NULL);
  if (reply) freeReplyObject(reply);
  return NULL;
}

static bool take_number(struct move *move, const struct move_place *at,
                        long long *out) {
  redisReply *reply = take(move, at, REDIS_REPLY_INTEGER);
  if (!reply) return false;
  *out = reply->integer;
  freeReplyObject(reply);
  return true;
}

/* --- Copying -------------------------------------------------------------- */

static bool ask_source(struct move *move, const struct item *items,
                       size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct move_place *from = &items[i].from;
    if (!send_key(from, "PTTL") || !send_key(from, "DUMP") ||
        !send_key(from, length_command(items[i].key)))
      return move_fail(move, from->server, NULL);
  }
  return true;
}

static bool send_on(struct move *move, struct item *it,
                    const redisReply *payload) {
  /* It has expired meanwhile, or does now: RESTORE would keep it for ever. */
  if (payload->type == REDIS_REPLY_NIL || it->ttl == -2) return true;
  /* To RESTORE 0 is for ever, to PTTL it is the last moment. */
  if (it->ttl == 0) it->ttl = 1;
  if (it->ttl == -1) it->ttl = 0;
  it->bytes = (size_t)payload->len;
  return (send_restore(it, payload) &&
          send_key(&it->to, length_command(it->key))) ||
         move_fail(move, it->to.server, NULL);
}

static bool pass_on(struct move *move, struct item *it) {
  if (!take_number(move, &it->from, &it->ttl)) return false;
  redisReply *payload = take(move, &it->from, REDIS_REPLY_STRING);
  bool ok = payload && send_on(move, it, payload);
  if (payload) freeReplyObject(payload);
  return ok && take_number(move, &it->from, &it->len);
}

static bool hear_target(struct move *move, const struct item *it) {
  long long len;
  if (it->bytes == 0) return true;
  redisReply *reply = take(move, &it->to, REDIS_REPLY_STATUS);
  if (!reply) return false;
  freeReplyObject(reply);
  if (!take_number(move, &it->to, &len)) return false;
  return len == it->len || len == 0 || /* 0: its time came meanwhile */
         move_fail(move, it->to.server,
                   "a copy differs: is something else writing there?");
}

static bool copy_some(struct move *move, struct item *items, size_t count) {
  size_t bytes = 0;
  if (!ask_source(move, items, count)) return false;
  for (size_t i = 0; i < count; i++) {
    if (!pass_on(move, &items[i])) return false;
    bytes += items[i].bytes;
  }
  for (size_t i = 0; i < count; i++) {
    if (!hear_target(move, &items[i])) return false;
  }
  if (bytes > AHEAD_BYTES) {
    move->ahead = 1;
  } else if (move->ahead < MOVE_BATCH) {
    move->ahead *= 2;
  }
  return true;
}

static bool copy_all(struct move *move, struct item *items, size_t count) {
  if (move->ahead == 0) move->ahead = 1;
  while (count > 0) {
    size_t some = move->ahead < count ? move->ahead : count;
    if (!copy_some(move, items, some)) return false;
    items += some;
    count -= some;
  }
  return true;
}

static void count_one(struct move *move, const struct item *it) {
  struct move_counts *counts = &move->to_each[it->to.server - move->to.servers];
  counts->sessions += it->key->kind == 's';
  counts->logs += it->key->kind == 'l';
  counts->bytes += it->bytes;
}

/* A line that is written over on a terminal; else one every ten seconds. */
static void tell_progress(struct move *move, size_t count) {
  bool terminal = isatty(STDERR_FILENO);
  long now = (long)time(NULL);
  move->seen += count;
  if (move->next_at == 0) move->next_at = now + 1;
  if (now < move->next_at) return;
  move->told = true;
  move->next_at = now + (terminal ? 1 : 10);
  fprintf(stderr, "%s%llu keys%s", terminal ? "\r" : "",
          (unsigned long long)move->seen, terminal ? " " : "\n");
}

void move_end_progress(struct move *move) {
  if (move->told && isatty(STDERR_FILENO)) fputc('\n', stderr);
}

bool move_copy(struct move *move, const struct move_key *keys, size_t count) {
  static const struct item none;
  struct item items[MOVE_BATCH];
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    struct item *it = &items[used];
    *it = none;
    it->key = &keys[i];
    move_place(move, &move->from, &keys[i], &it->from);
    move_place(move, &move->to, &keys[i], &it->to);
    if (move_same(&it->from, &it->to))
      move->in_place++;
    else
      used++;
  }
  bool dry = move->cli->dry_run;
  bool ok = dry || copy_all(move, items, used);
  for (size_t i = 0; i < used && ok; i++) {
    if (dry || items[i].bytes > 0) count_one(move, &items[i]);
  }
  if (ok) tell_progress(move, count);
  return ok;
}

/* --- What is not on the other side ---------------------------------------- */

/* For each key whether it is on the other side, and whether that is the same
 * place: one round trip for all. */
static bool ask_exists(struct move *move, const struct redis_group *other,
                       const struct move_key *keys, size_t count,
                       long long *exists) {
  struct move_place at;
  for (size_t i = 0; i < count; i++) {
    move_place(move, other, &keys[i], &at);
    if (!send_key(&at, "EXISTS")) return move_fail(move, at.server, NULL);
  }
  for (size_t i = 0; i < count; i++) {
    move_place(move, other, &keys[i], &at);
    if (!take_number(move, &at, &exists[i])) return false;
  }
  return true;
}

/* DEL of those that are chosen, in `group`. */
static bool remove_chosen(struct move *move, const struct redis_group *group,
                          const struct move_key *keys, size_t count,
                          const bool *chosen) {
  struct move_place at;
  long long deleted;
  for (size_t i = 0; i < count; i++) {
    if (!chosen[i]) continue;
    move_place(move, group, &keys[i], &at);
    if (!send_key(&at, "UNLINK")) return move_fail(move, at.server, NULL);
  }
  for (size_t i = 0; i < count; i++) {
    if (!chosen[i]) continue;
    move_place(move, group, &keys[i], &at);
    if (!take_number(move, &at, &deleted)) return false;
    move->deleted += deleted > 0;
  }
  return true;
}

bool move_find_stale(struct move *move, const struct move_key *keys,
                     size_t count) {
  long long exists[MOVE_BATCH];
  bool chosen[MOVE_BATCH];
  if (!ask_exists(move, &move->from, keys, count, exists)) return false;
  for (size_t i = 0; i < count; i++) {
    chosen[i] = exists[i] == 0;
    move->stale += chosen[i];
  }
  return move->cli->dry_run || !move->cli->delete ||
         remove_chosen(move, &move->to, keys, count, chosen);
}

bool move_delete(struct move *move, const struct move_key *keys, size_t count) {
  long long exists[MOVE_BATCH];
  bool chosen[MOVE_BATCH];
  struct move_place from, to;
  if (!ask_exists(move, &move->to, keys, count, exists)) return false;
  for (size_t i = 0; i < count; i++) {
    move_place(move, &move->from, &keys[i], &from);
    move_place(move, &move->to, &keys[i], &to);
    chosen[i] = exists[i] != 0 && !move_same(&from, &to);
  }
  return remove_chosen(move, &move->from, keys, count, chosen);
}
