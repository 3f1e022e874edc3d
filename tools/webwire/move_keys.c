/* Keys: which are ours, where they are, where they belong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "move.h"

enum { SCAN_COUNT = 1000 };

/* What a server of a Redis Cluster answers for a slot that it has not, or not
 * all of. */
static bool is_elsewhere(const char *why) {
  return strstr(why, "ASK ") || strstr(why, "MOVED ") ||
         strstr(why, "TRYAGAIN");
}

bool move_fail(struct move *move, const struct redis_server *server,
               const char *why) {
  if (!why) why = redis_why(server->conn);
  snprintf(move->why, sizeof move->why, "%.200s: %.200s%s",
           redis_address(server->conn), why,
           is_elsewhere(why) ? ": wait until no slot is being moved" : "");
  return false;
}

/* --- Places --------------------------------------------------------------- */

void move_place(const struct move *move, const struct redis_group *group,
                const struct move_key *key, struct move_place *out) {
  int head = snprintf(out->key, sizeof out->key, "%s:{%s}:%c:", move->prefix,
                      redis_group_tag(group, key->partition), key->kind);
  memcpy(out->key + head, key->name, key->name_len);
  out->len = (size_t)head + key->name_len;
  out->server = &group->servers[group->of_partition[key->partition]];
}

static bool same_server(const struct redis_server *a,
                        const struct redis_server *b) {
  return a == b || (*a->id && strcmp(a->id, b->id) == 0);
}

bool move_same(const struct move_place *a, const struct move_place *b) {
  return same_server(a->server, b->server) && a->len == b->len &&
         memcmp(a->key, b->key, a->len) == 0;
}

/* --- Names ---------------------------------------------------------------- */

/* "PREFIX:{TAG}:K:NAME". False: none of those that are moved. */
static bool parse(const struct move *move, const redisReply *reply,
                  struct move_key *out) {
  size_t head = strlen(move->prefix) + 2;
  if (reply->type != REDIS_REPLY_STRING || reply->len <= head) return false;
  const char *end = reply->str + reply->len, *at = reply->str + head;
  const char *brace = memchr(at, '}', (size_t)(end - at));
  /* A tag is short: so every place fits into MOVE_KEY_MAX. */
  if (!brace || brace - at > 16 || end - brace < 5) return false;
  if (brace[1] != ':' || brace[3] != ':' || !strchr("slm", brace[2]))
    return false;
  *out = (struct move_key){.text = reply->str,
                           .len = (size_t)reply->len,
                           .kind = brace[2],
                           .name = brace + 4,
                           .name_len = (size_t)(end - brace - 4)};
  if (out->name_len > MOVE_NAME_MAX || out->len >= MOVE_KEY_MAX) return false;
  out->partition = wwri_partition_of(
      (struct wwr_view){(const uint8_t *)out->name, out->name_len});
  /* Orders to the nodes, which are none any more. */
  return out->name_len != 4 || memcmp(out->name, "!ctl", 4) != 0;
}

/* The nodes of the group look for it there. */
static bool belongs(const struct move *move, const struct redis_group *group,
                    struct redis_server *server, const struct move_key *key) {
  struct move_place place, here = {.len = key->len, .server = server};
  memcpy(here.key, key->text, key->len);
  move_place(move, group, key, &place);
  return move_same(&here, &place);
}

/* --- Walking -------------------------------------------------------------- */

static bool take_names(struct move *move, const struct redis_group *group,
                       struct redis_server *server, const redisReply *names,
                       move_fn *fn, uint64_t *astray) {
  struct move_key keys[MOVE_BATCH];
  size_t count = 0;
  for (size_t i = 0; i < names->elements; i++) {
    if (!parse(move, names->element[i], &keys[count])) continue;
    if (belongs(move, group, server, &keys[count]))
      count++;
    else if (astray && !belongs(move, &move->to, server, &keys[count]))
      ++*astray;
    if (count < MOVE_BATCH) continue;
    if (!fn(move, keys, count)) return false;
    count = 0;
  }
  return count == 0 || fn(move, keys, count);
}

static bool walk_one(struct move *move, const struct redis_group *group,
                     struct redis_server *server, move_fn *fn,
                     uint64_t *astray) {
  char cursor[24] = "0";
  do {
    redisReply *reply =
        redis_ask(server->conn, "SCAN %s MATCH %s:{*}:[slm]:* COUNT %d", cursor,
                  move->prefix, SCAN_COUNT);
    bool ok = reply && reply->type == REDIS_REPLY_ARRAY &&
              reply->elements == 2 &&
              reply->element[0]->type == REDIS_REPLY_STRING &&
              reply->element[1]->type == REDIS_REPLY_ARRAY;
    if (ok) {
      snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
      ok = take_names(move, group, server, reply->element[1], fn, astray);
    } else {
      move_fail(move, server,
                reply && reply->type == REDIS_REPLY_ERROR ? reply->str
                : reply                                   ? "SCAN: nonsense"
                                                          : NULL);
    }
    if (reply) freeReplyObject(reply);
    if (!ok) return false;
  } while (strcmp(cursor, "0") != 0);
  return true;
}

bool move_walk(struct move *move, const struct redis_group *group, move_fn *fn,
               uint64_t *astray) {
  for (size_t i = 0; i < group->count; i++) {
    if (!walk_one(move, group, &group->servers[i], fn, astray)) return false;
  }
  return true;
}

/* --- Nodes that are alive ------------------------------------------------- */

static long long now_of(const redisReply *time) {
  if (!time || time->type != REDIS_REPLY_ARRAY || time->elements != 2 ||
      time->element[0]->type != REDIS_REPLY_STRING)
    return 0;
  return strtoll(time->element[0]->str, NULL, 10) * 1000;
}

/* How long the newest beat is ago, and of whom; -1: there is none. The others
 * of the set are "!grace" and "-BOOT", boots that have gone. */
static long long newest_beat(const redisReply *rows, long long now,
                             const char **boot) {
  for (size_t i = 0;
       rows && rows->type == REDIS_REPLY_ARRAY && i + 1 < rows->elements;
       i += 2) {
    if (!rows->element[i]->str || !rows->element[i + 1]->str) break;
    *boot = rows->element[i]->str;
    if (!strchr("!-", **boot)) {
      long long age = now - (long long)strtod(rows->element[i + 1]->str, NULL);
      return age > 0 ? age : 0;
    }
  }
  return -1;
}

static void name_node(struct move *move, const struct redis_server *server,
                      const char *tag, const char *boot, long long age) {
  char why[200];
  redisReply *reply = redis_ask(server->conn, "HGET %s:{%s}:node:%s name",
                                move->prefix, tag, boot);
  snprintf(why, sizeof why,
           "node %.64s was heard %lld s ago: stop all nodes (one that was "
           "killed counts for the rest of its lease)",
           reply && reply->type == REDIS_REPLY_STRING ? reply->str : boot,
           age / 1000);
  move_fail(move, server, why);
  if (reply) freeReplyObject(reply);
}

/* The set expires 20 leases after the last beat: so its expiry tells the lease.
 */
static bool check_tag(struct move *move, const struct redis_server *server,
                      const char *tag) {
  const char *boot = "";
  redisReply *time = redis_ask(server->conn, "TIME");
  redisReply *rows =
      redis_ask(server->conn, "ZREVRANGE %s:{%s}:nodes 0 99 WITHSCORES",
                move->prefix, tag);
  redisReply *ttl =
      redis_ask(server->conn, "PTTL %s:{%s}:nodes", move->prefix, tag);
  long long age = newest_beat(rows, now_of(time), &boot);
  const redisReply *bad = rows && rows->type != REDIS_REPLY_ARRAY   ? rows
                          : ttl && ttl->type != REDIS_REPLY_INTEGER ? ttl
                                                                    : NULL;
  bool ok = time && rows && ttl && !bad;
  if (!ok) {
    move_fail(move, server,
              !bad       ? NULL
              : bad->str ? bad->str
                         : "nonsense instead of nodes");
  } else if (age >= 0 && age < (ttl->integer + age) / 20) {
    name_node(move, server, tag, boot, age);
    ok = false;
  }
  if (time) freeReplyObject(time);
  if (rows) freeReplyObject(rows);
  if (ttl) freeReplyObject(ttl);
  return ok;
}

bool move_check_idle(struct move *move, const struct redis_group *group) {
  if (group->kind == WWRI_REDIS_CLUSTER) {
    for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
      if (!check_tag(move, &group->servers[group->of_partition[i]],
                     wwri_partition_tag(i)))
        return false;
    }
    return true;
  }
  for (size_t i = 0; i < group->count; i++) {
    if (!check_tag(move, &group->servers[i], wwri_partition_tag(0)))
      return false;
  }
  return true;
}
