/* A Redis Cluster is asked who has which slot. */
#include "redis_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slots.h"

/* --- The masters of a Redis Cluster --------------------------------------- */

void redis_masters_deinit(struct redis_masters *masters) {
  free(masters->list);
  masters->list = NULL;
}

/* The host that a connection goes to, for what says "where you asked". */
static void own_host(const struct redis_conn *conn, char *out, size_t size) {
  const char *address = redis_address(conn);
  const char *colon = strrchr(address, ':');
  size_t len = colon ? (size_t)(colon - address) : 0;
  if (len > 1 && *address == '[') {
    address++;
    len -= 2;
  }
  snprintf(out, size, "%.*s", (int)len, address);
}

/* Its index; a new one is added. */
static size_t find_master(struct redis_masters *out,
                          const struct wwri_redis_host *host) {
  for (size_t i = 0; i < out->count; i++) {
    const struct wwri_redis_host *known = &out->list[i].host;
    if (known->port == host->port && strcmp(known->name, host->name) == 0)
      return i;
  }
  out->list[out->count] = (struct redis_master){.host = *host};
  return out->count++;
}

/* The masters of a map, with the replicas of each. */
static bool list_masters(struct redis_masters *out, const redisReply *reply,
                         const struct wwri_slots *map) {
  out->list = calloc(reply->elements, sizeof *out->list);
  if (!out->list) return false;
  for (size_t i = 0; i < reply->elements; i++) {
    const redisReply *row = reply->element[i];
    const struct wwri_redis_host *owner =
        wwri_slots_owner(map, (uint16_t)row->element[0]->integer);
    if (!owner) continue; /* it has no name */
    out->list[find_master(out, owner)].replicas = (unsigned)row->elements - 3;
  }
  out->slots = (unsigned)map->covered;
  return true;
}

static void place_partitions(struct redis_masters *out,
                             const struct wwri_slots *map) {
  for (unsigned i = 0; i < WWRI_PARTITIONS; i++) {
    uint16_t slot = wwri_slot_of(wwr_view_str(wwri_partition_tag(i)));
    const struct wwri_redis_host *owner = wwri_slots_owner(map, slot);
    out->of_partition[i] =
        (unsigned)(owner ? find_master(out, owner) : out->count);
    if (owner) out->list[out->of_partition[i]].partitions++;
  }
}

/* NULL, or what is wrong. */
static const char *ask_masters(struct redis_masters *out,
                               struct redis_conn *conn, struct wwri_slots *map,
                               const redisReply *reply) {
  struct wwri_redis_host asked = {.port = 0};
  const char *why = "out of memory";
  if (!reply) return redis_why(conn);
  if (reply->type == REDIS_REPLY_ERROR) return reply->str;
  own_host(conn, asked.name, sizeof asked.name);
  /* The same behind another name: see redis/reply.c. */
  if (wwri_slots_read(map, (const struct wwri_redis_reply *)(const void *)reply,
                      &asked, &why))
    return why;
  if (map->covered == 0) return "no slot of the cluster has a master";
  if (!list_masters(out, reply, map)) return why;
  place_partitions(out, map);
  return NULL;
}

/* False: the reason is in `why`, and *out is empty. */
static bool ask(struct redis_masters *out, struct redis_conn *conn,
                char why[REDIS_WHY_SIZE]) {
  *out = (struct redis_masters){0};
  struct wwri_slots *map = calloc(1, sizeof *map);
  redisReply *reply = map ? redis_ask(conn, "CLUSTER SLOTS") : NULL;
  const char *bad = map ? ask_masters(out, conn, map, reply) : "out of memory";
  if (bad)
    snprintf(why, REDIS_WHY_SIZE, "%.270s: %.200s", redis_address(conn), bad);
  if (reply) freeReplyObject(reply);
  if (map) wwri_slots_deinit(map);
  free(map);
  if (bad) redis_masters_deinit(out);
  return !bad;
}

bool redis_masters_find(struct redis_masters *out,
                        const struct wwri_redis_url *url, uint32_t timeout_ms,
                        bool *reached, char why[REDIS_WHY_SIZE]) {
  char unreachable[REDIS_WHY_SIZE];
  *reached = false;
  for (size_t i = 0; i < url->host_count; i++) {
    struct redis_conn *seed = redis_connect_host(
        url, &url->hosts[i], timeout_ms, *reached ? unreachable : why);
    if (!seed) continue;
    *reached = true;
    bool ok = ask(out, seed, why);
    redis_close(seed);
    if (ok) return true;
  }
  return false;
}

/* --- Groups --------------------------------------------------------------- */

void redis_identify(struct redis_conn *conn, uint32_t db,
                    char out[REDIS_ID_SIZE]) {
  redisReply *reply = redis_ask(conn, "INFO server");
  const char *at = reply && reply->type == REDIS_REPLY_STRING
                       ? strstr(reply->str, "run_id:")
                       : NULL;
  *out = '\0';
  if (at)
    snprintf(out, REDIS_ID_SIZE, "%.40s/%u", at + strlen("run_id:"),
             (unsigned)db);
  if (reply) freeReplyObject(reply);
}

static bool add(struct redis_group *group, struct redis_conn *conn,
                uint32_t db) {
  if (!conn) return false;
  struct redis_server *server = &group->servers[group->count++];
  server->conn = conn;
  redis_identify(conn, db, server->id);
  return true;
}

static bool make_room(struct redis_group *group, size_t count, char *why) {
  group->servers = calloc(count, sizeof *group->servers);
  if (!group->servers) snprintf(why, REDIS_WHY_SIZE, "out of memory");
  return group->servers != NULL;
}

static bool open_list(struct redis_group *group,
                      const struct wwri_redis_url *urls, size_t count,
                      uint32_t timeout_ms, char *why) {
  if (!make_room(group, count, why)) return false;
  for (size_t i = 0; i < count; i++) {
    if (!add(group, redis_connect(&urls[i], timeout_ms, why), urls[i].db))
      return false;
  }
  for (unsigned i = 0; count > 1 && i < WWRI_PARTITIONS; i++)
    group->of_partition[i] = wwri_partition_shard(i, (unsigned)count);
  return true;
}

static bool open_masters(struct redis_group *group,
                         const struct wwri_redis_url *url,
                         const struct redis_masters *masters,
                         uint32_t timeout_ms, char *why) {
  if (masters->slots < REDIS_SLOTS) {
    snprintf(why, REDIS_WHY_SIZE, "%u slots of the cluster have no master",
             REDIS_SLOTS - masters->slots);
    return false;
  }
  if (!make_room(group, masters->count, why)) return false;
  for (size_t i = 0; i < masters->count; i++) {
    if (!add(group,
             redis_connect_host(url, &masters->list[i].host, timeout_ms, why),
             0))
      return false;
  }
  memcpy(group->of_partition, masters->of_partition,
         sizeof group->of_partition);
  return true;
}

static bool open_cluster(struct redis_group *group,
                         const struct wwri_redis_url *url, uint32_t timeout_ms,
                         char *why) {
  struct redis_masters masters;
  bool reached;
  if (!redis_masters_find(&masters, url, timeout_ms, &reached, why))
    return false;
  bool ok = open_masters(group, url, &masters, timeout_ms, why);
  redis_masters_deinit(&masters);
  return ok;
}

bool redis_group_open(struct redis_group *group, const char *text,
                      uint32_t timeout_ms, char why[REDIS_WHY_SIZE]) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  bool ok = false;
  wwr_err err = wwri_servers_parse(&servers, text, &fault);
  *group = (struct redis_group){.kind = servers.sharding};
  if (err) {
    wwri_servers_say(err, &fault, why, REDIS_WHY_SIZE);
  } else if (servers.sharding == WWRI_REDIS_CLUSTER) {
    ok = open_cluster(group, servers.urls, timeout_ms, why);
  } else {
    ok = open_list(group, servers.urls, servers.count, timeout_ms, why);
  }
  wwri_servers_free(&servers);
  return ok;
}

void redis_group_close(struct redis_group *group) {
  for (size_t i = 0; i < group->count; i++) redis_close(group->servers[i].conn);
  free(group->servers);
  *group = (struct redis_group){0};
}

const char *redis_group_tag(const struct redis_group *group,
                            unsigned partition) {
  return wwri_partition_tag(group->kind == WWRI_UNSHARDED ? 0 : partition);
}
