/* Redis itself: what it may throw away, whom it hangs up on, its clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "redis_group.h"

enum {
  MIN_PUBSUB_BYTES = 32 << 20,
  GOOD_PUBSUB_BYTES = 256 << 20, /* docs/cluster.md */
  WHOSE_SIZE = REDIS_ADDRESS_SIZE + 2
};

static const char reachable[] =
    "is it up, and reachable from here, with this user and password, and with "
    "TLS (rediss://) if that is what it speaks?";
static const char larger_buffers[] =
    "CONFIG SET client-output-buffer-limit \"pubsub 268435456 67108864 60\": a "
    "node that falls behind for a moment is cut off by less";

/* --- Asking --------------------------------------------------------------- */

char *doctor_setting(struct redis_conn *redis, const char *name) {
  redisReply *reply = redis_ask(redis, "CONFIG GET %s", name);
  char *value = NULL;
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
      reply->element[1]->type == REDIS_REPLY_STRING)
    value = strdup(reply->element[1]->str);
  if (reply) freeReplyObject(reply);
  return value;
}

/* --- Examining ------------------------------------------------------------ */

static void check_eviction(const struct patient *it) {
  char *policy = doctor_setting(it->redis, "maxmemory-policy");
  char *max = doctor_setting(it->redis, "maxmemory");
  if (!policy || !max) {
    report_say(it->report, FINDING_SKIPPED, "redis eviction", NULL,
               "%sCONFIG is not permitted; maxmemory-policy must be noeviction",
               it->whose);
  } else if (strcmp(policy, "noeviction") != 0 && strcmp(max, "0") != 0) {
    report_say(it->report, FINDING_PROBLEM, "redis eviction",
               "CONFIG SET maxmemory-policy noeviction: all our keys expire, "
               "so every other policy throws sessions and logs away",
               "%smaxmemory-policy is %s", it->whose, policy);
  } else {
    report_say(it->report, FINDING_OK, "redis eviction", NULL,
               "%s%s, maxmemory %s", it->whose, policy, max);
  }
  free(policy);
  free(max);
}

/* "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60": hard, soft, seconds.
 */
static void check_buffers(const struct patient *it) {
  char *limits = doctor_setting(it->redis, "client-output-buffer-limit");
  const char *at = limits ? strstr(limits, "pubsub ") : NULL;
  unsigned long long hard = 0, soft = 0;
  if (!at || sscanf(at, "pubsub %llu %llu", &hard, &soft) != 2) {
    report_say(
        it->report, FINDING_SKIPPED, "redis buffers", NULL,
        "%sCONFIG is not permitted; client-output-buffer-limit of pubsub "
        "should be 256mb 64mb 60",
        it->whose);
  } else if (hard > 0 && hard < MIN_PUBSUB_BYTES) {
    report_say(it->report, FINDING_PROBLEM, "redis buffers", larger_buffers,
               "%sclient-output-buffer-limit of pubsub is %llu bytes",
               it->whose, hard);
  } else if (hard > 0 && hard < GOOD_PUBSUB_BYTES) {
    report_say(it->report, FINDING_WARNING, "redis buffers", larger_buffers,
               "%spubsub: %llu bytes, %llu for long", it->whose, hard, soft);
  } else {
    report_say(it->report, FINDING_OK, "redis buffers", NULL,
               "%spubsub: %llu bytes, %llu for long", it->whose, hard, soft);
  }
  free(limits);
}

static void check_clock(const struct patient *it) {
  char whose[WHOSE_SIZE + 16];
  redisReply *reply = redis_ask(it->redis, "TIME");
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
      reply->element[0]->type == REDIS_REPLY_STRING) {
    long now = strtol(reply->element[0]->str, NULL, 10);
    snprintf(whose, sizeof whose, "%sits clock", it->whose);
    doctor_clock(it->report, "redis clock", whose, now - (long)time(NULL));
  }
  if (reply) freeReplyObject(reply);
}

static void check_role(const struct patient *it, const char *info,
                       const char *kind) {
  bool in_cluster = strstr(info, "cluster_enabled:1") != NULL;
  if (in_cluster && !strstr(kind, "Redis Cluster"))
    report_say(it->report, FINDING_PROBLEM, "redis kind",
               "use redis+cluster://HOST:PORT,...",
               "%sit is a node of a Redis Cluster", it->whose);
  else if (strstr(info, "role:slave"))
    report_say(it->report, FINDING_PROBLEM, "redis kind",
               "give nodes the master's address, or redis+sentinel://",
               "%sit is a replica", it->whose);
  else
    report_say(it->report, FINDING_OK, "redis kind", NULL, "%s%s", it->whose,
               kind);
}

static void check_version(const struct patient *it, const char *info) {
  const char *at = strstr(info, "redis_version:");
  long major = at ? strtol(at + strlen("redis_version:"), NULL, 10) : 0;
  if (at && major < 7)
    report_say(it->report, FINDING_PROBLEM, "redis version",
               "Redis 7.0 or later is needed", "%sit is %ld", it->whose, major);
}

void doctor_examine(const struct patient *it, const char *kind) {
  redisReply *reply = redis_ask(it->redis, "INFO");
  if (!reply) {
    report_say(it->report, FINDING_PROBLEM, "redis",
               "is it a Redis, and does it want TLS (rediss://)?", "%s: %s",
               redis_address(it->redis), redis_why(it->redis));
    return;
  }
  if (reply->type == REDIS_REPLY_STRING) {
    check_role(it, reply->str, kind);
    check_version(it, reply->str);
    if (strstr(reply->str, "aof_enabled:0"))
      report_say(it->report, FINDING_WARNING, "redis data",
                 "appendonly yes, appendfsync everysec: a restart then loses a "
                 "second at most",
                 "%sthe append-only file is off", it->whose);
  } else if (reply->type == REDIS_REPLY_ERROR &&
             strncmp(reply->str, "NOAUTH", 6) == 0) {
    report_say(it->report, FINDING_PROBLEM, "redis",
               "it wants a password: redis://USER:PASSWORD@HOST, or cluster's "
               "password beside the URL",
               "%s%s", it->whose, reply->str);
    freeReplyObject(reply);
    return;
  } else {
    report_say(it->report, FINDING_SKIPPED, "redis kind", NULL, "%sINFO: %s",
               it->whose,
               reply->type == REDIS_REPLY_ERROR ? reply->str : "nonsense");
  }
  freeReplyObject(reply);
  check_eviction(it);
  check_buffers(it);
  check_clock(it);
}

/* --- One, or a list ------------------------------------------------------- */

/* What is one twice would be two shards that share their keys. */
static void check_twins(struct report *report, char (*ids)[REDIS_ID_SIZE],
                        size_t index) {
  for (size_t i = 0; i < index; i++) {
    if (*ids[index] && strcmp(ids[i], ids[index]) == 0)
      report_say(report, FINDING_PROBLEM, "redis list",
                 "every shard needs a Redis, or a database, of its own",
                 "%zu and %zu of the list are the same", i + 1, index + 1);
  }
}

static void examine_url(const struct cli *cli, struct report *report,
                        const struct wwri_redis_url *url, bool alone,
                        char id[REDIS_ID_SIZE]) {
  char why[REDIS_WHY_SIZE], whose[WHOSE_SIZE] = "";
  if (url->sentinel) doctor_sentinels(cli, report, url);
  struct redis_conn *redis = redis_connect(url, cli->timeout_ms, why);
  *id = '\0';
  if (!redis) {
    report_say(report, FINDING_PROBLEM, "redis", reachable, "%s", why);
    return;
  }
  if (!alone) snprintf(whose, sizeof whose, "%s: ", redis_address(redis));
  const struct patient patient = {report, redis, whose};
  doctor_examine(&patient, "a master");
  redis_identify(redis, url->db, id);
  redis_close(redis);
}

static void examine_all(const struct cli *cli, struct report *report,
                        const struct wwri_redis_url *urls, size_t count) {
  char ids[WWRI_SHARDS_MAX][REDIS_ID_SIZE];
  for (size_t i = 0; i < count; i++) {
    examine_url(cli, report, &urls[i], count == 1, ids[i]);
    check_twins(report, ids, i);
  }
}

void doctor_redis(const struct cli *cli, struct report *report) {
  struct wwri_servers servers;
  struct wwri_servers_fault fault;
  char why[REDIS_WHY_SIZE];
  if (!cli->redis) {
    report_say(report, FINDING_SKIPPED, "redis", NULL,
               "it is looked at with --redis URL");
    return;
  }
  wwr_err err = wwri_servers_parse(&servers, cli->redis, &fault);
  if (err) {
    wwri_servers_say(err, &fault, why, sizeof why);
    report_say(report, FINDING_PROBLEM, "redis", NULL, "--redis: %s", why);
  } else if (servers.sharding == WWRI_REDIS_CLUSTER) {
    doctor_redis_cluster(cli, report, servers.urls);
  } else {
    examine_all(cli, report, servers.urls, servers.count);
  }
  wwri_servers_free(&servers);
}
