/* Redis itself: what it may throw away, whom it hangs up on, its clock. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "url.h"

enum { MIN_PUBSUB_BYTES = 32 << 20 };

/* --- Asking --------------------------------------------------------------- */

static redisContext *connect_to(const struct cli *cli,
                                const struct wwri_redis_url *url) {
  struct timeval patience = {cli->timeout_ms / 1000,
                             (cli->timeout_ms % 1000) * 1000};
  redisContext *redis =
      *url->path ? redisConnectUnixWithTimeout(url->path, patience)
                 : redisConnectWithTimeout(url->hosts[0].name,
                                           url->hosts[0].port, patience);
  if (redis && !redis->err) redisSetTimeout(redis, patience);
  return redis;
}

static bool sign_in(redisContext *redis, const struct wwri_redis_url *url) {
  if (!*url->password) return true;
  redisReply *reply =
      *url->user ? redisCommand(redis, "AUTH %s %s", url->user, url->password)
                 : redisCommand(redis, "AUTH %s", url->password);
  bool ok = reply && reply->type == REDIS_REPLY_STATUS;
  if (reply) freeReplyObject(reply);
  return ok;
}

/* A setting, to free(); NULL when it can't be had. */
static char *setting(redisContext *redis, const char *name) {
  redisReply *reply = redisCommand(redis, "CONFIG GET %s", name);
  char *value = NULL;
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
      reply->element[1]->type == REDIS_REPLY_STRING)
    value = strdup(reply->element[1]->str);
  if (reply) freeReplyObject(reply);
  return value;
}

/* --- Examining ------------------------------------------------------------ */

static void check_eviction(struct report *report, redisContext *redis) {
  char *policy = setting(redis, "maxmemory-policy");
  char *max = setting(redis, "maxmemory");
  if (!policy || !max) {
    report_say(report, FINDING_SKIPPED, "redis eviction", NULL,
               "CONFIG is not permitted; maxmemory-policy must be noeviction");
  } else if (strcmp(policy, "noeviction") != 0 && strcmp(max, "0") != 0) {
    report_say(report, FINDING_PROBLEM, "redis eviction",
               "CONFIG SET maxmemory-policy noeviction: all our keys expire, "
               "so every other policy throws sessions and logs away",
               "maxmemory-policy is %s", policy);
  } else {
    report_say(report, FINDING_OK, "redis eviction", NULL, "%s, maxmemory %s",
               policy, max);
  }
  free(policy);
  free(max);
}

/* "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60": hard, soft, seconds.
 */
static void check_buffers(struct report *report, redisContext *redis) {
  char *limits = setting(redis, "client-output-buffer-limit");
  const char *at = limits ? strstr(limits, "pubsub ") : NULL;
  unsigned long long hard = 0, soft = 0;
  if (!at || sscanf(at, "pubsub %llu %llu", &hard, &soft) != 2) {
    report_say(report, FINDING_SKIPPED, "redis buffers", NULL,
               "CONFIG is not permitted; client-output-buffer-limit of pubsub "
               "should be 32 MB or more");
  } else if (hard > 0 && hard < MIN_PUBSUB_BYTES) {
    report_say(report, FINDING_PROBLEM, "redis buffers",
               "CONFIG SET client-output-buffer-limit \"pubsub 33554432 "
               "8388608 60\", or more: a node that falls behind for a moment "
               "is cut off by it",
               "client-output-buffer-limit of pubsub is %llu bytes", hard);
  } else {
    report_say(report, FINDING_OK, "redis buffers", NULL,
               "pubsub: %llu bytes, %llu for long", hard, soft);
  }
  free(limits);
}

static void check_clock(struct report *report, redisContext *redis) {
  redisReply *reply = redisCommand(redis, "TIME");
  if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
      reply->element[0]->type == REDIS_REPLY_STRING) {
    long now = strtol(reply->element[0]->str, NULL, 10);
    doctor_clock(report, "redis clock", "its clock", now - (long)time(NULL));
  }
  if (reply) freeReplyObject(reply);
}

/* It must be a master, and not one of a Redis Cluster. */
static void check_role(struct report *report, redisContext *redis) {
  redisReply *reply = redisCommand(redis, "INFO");
  const char *info =
      reply && reply->type == REDIS_REPLY_STRING ? reply->str : "";
  if (strstr(info, "cluster_enabled:1"))
    report_say(report, FINDING_PROBLEM, "redis kind",
               "use one Redis, or Sentinel: Redis Cluster is not supported",
               "it is a node of a Redis Cluster");
  else if (strstr(info, "role:slave"))
    report_say(report, FINDING_PROBLEM, "redis kind",
               "give nodes the master's address, or redis+sentinel://",
               "it is a replica");
  else if (*info)
    report_say(report, FINDING_OK, "redis kind", NULL, "a master");
  if (*info && strstr(info, "aof_enabled:0"))
    report_say(report, FINDING_WARNING, "redis data",
               "appendonly yes, appendfsync everysec: a restart then loses a "
               "second at most",
               "the append-only file is off");
  if (reply) freeReplyObject(reply);
}

static void examine(const struct cli *cli, struct report *report,
                    const struct wwri_redis_url *url) {
  redisContext *redis = connect_to(cli, url);
  if (!redis || redis->err) {
    report_say(report, FINDING_PROBLEM, "redis",
               "is it up, and reachable from here?", "%s",
               redis ? redis->errstr : "out of memory");
  } else if (!sign_in(redis, url)) {
    report_say(report, FINDING_PROBLEM, "redis", "user or password are wrong",
               "AUTH was refused");
  } else {
    check_role(report, redis);
    check_eviction(report, redis);
    check_buffers(report, redis);
    check_clock(report, redis);
  }
  redisFree(redis);
}

void doctor_redis(const struct cli *cli, struct report *report) {
  struct wwri_redis_url url;
  const char *why = NULL;
  if (!cli->redis) {
    report_say(report, FINDING_SKIPPED, "redis", NULL,
               "it is looked at with --redis URL");
  } else if (wwri_redis_url_parse(&url, cli->redis, &why) != WWR_OK) {
    report_say(report, FINDING_PROBLEM, "redis", NULL, "--redis: %s", why);
  } else if (url.tls || url.sentinel) {
    report_say(report, FINDING_SKIPPED, "redis",
               "give the master's address as redis:// or unix://",
               "neither TLS nor sentinels are spoken here");
  } else {
    examine(cli, report, &url);
  }
}
