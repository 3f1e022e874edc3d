/* Sentinels: each that the URL names is asked where the master is, and the
 * first that knows whether they could replace it, and by what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { SLOW_DOWN_MS = 5000, ENOUGH_SENTINELS = 3, MASTER_SIZE = 320 };

static const char *text_of(const redisReply *reply) {
  return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS
             ? reply->str
             : NULL;
}

/* --- Each: where is the master? ------------------------------------------- */

static bool ask_master(struct redis_conn *sentinel, const char *name,
                       char master[MASTER_SIZE]) {
  redisReply *reply =
      redis_ask(sentinel, "SENTINEL get-master-addr-by-name %s", name);
  bool ok = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
            text_of(reply->element[0]) && text_of(reply->element[1]);
  if (ok)
    snprintf(master, MASTER_SIZE, "%.255s:%.8s", reply->element[0]->str,
             reply->element[1]->str);
  if (reply) freeReplyObject(reply);
  return ok;
}

static void check_agreement(struct report *report, const char *whose,
                            const char *master, char first[MASTER_SIZE]) {
  if (!*first)
    snprintf(first, MASTER_SIZE, "%s", master);
  else if (strcmp(first, master) != 0)
    report_say(report, FINDING_PROBLEM, "redis sentinel",
               "one of them is cut off, or belongs to another group: SENTINEL "
               "RESET on it, or SENTINEL REMOVE and MONITOR",
               "%s: the master is %s, and not %s", whose, master, first);
}

/* --- One: could they replace it? ------------------------------------------ */

/* Of pairs of names and values; -1: not there. */
static long number_of(const redisReply *reply, const char *name) {
  if (reply->type != REDIS_REPLY_ARRAY) return -1;
  for (size_t i = 0; i + 1 < reply->elements; i += 2) {
    const char *key = text_of(reply->element[i]);
    const char *value = text_of(reply->element[i + 1]);
    if (key && value && strcmp(key, name) == 0) return strtol(value, NULL, 10);
  }
  return -1;
}

static void check_quorum(struct report *report, struct redis_conn *sentinel,
                         const char *name) {
  redisReply *reply = redis_ask(sentinel, "SENTINEL CKQUORUM %s", name);
  if (reply && reply->type == REDIS_REPLY_ERROR)
    report_say(report, FINDING_PROBLEM, "redis quorum",
               "bring the other sentinels back: a master that fails now would "
               "not be replaced",
               "%s: %s", redis_address(sentinel), reply->str);
  else if (reply)
    report_say(report, FINDING_OK, "redis quorum", NULL, "%s: %s",
               redis_address(sentinel), text_of(reply) ? reply->str : "yes");
  if (reply) freeReplyObject(reply);
}

static void check_group(struct report *report, const redisReply *master) {
  long others = number_of(master, "num-other-sentinels");
  long replicas = number_of(master, "num-slaves");
  long down_ms = number_of(master, "down-after-milliseconds");
  if (others >= 0 && others + 1 < ENOUGH_SENTINELS)
    report_say(report, FINDING_WARNING, "redis sentinels",
               "three or more, on machines that do not fail together: of two, "
               "one alone may not replace the master",
               "%ld", others + 1);
  if (replicas == 0)
    report_say(report, FINDING_WARNING, "redis replicas",
               "REPLICAOF: without one there is nothing to fail over to",
               "the master has none");
  if (down_ms > SLOW_DOWN_MS)
    report_say(report, FINDING_WARNING, "redis failover",
               "SENTINEL SET NAME down-after-milliseconds 2000 to 5000: nodes "
               "hold what needs Redis for 10 s (--hold)",
               "down-after-milliseconds is %ld", down_ms);
}

static void examine_group(struct report *report, struct redis_conn *sentinel,
                          const char *name) {
  check_quorum(report, sentinel, name);
  redisReply *reply = redis_ask(sentinel, "SENTINEL MASTER %s", name);
  if (reply) {
    check_group(report, reply);
    freeReplyObject(reply);
  }
}

/* --- All ------------------------------------------------------------------ */

static void examine_sentinel(const struct cli *cli, struct report *report,
                             const struct wwri_redis_url *url, size_t index,
                             char first[MASTER_SIZE]) {
  char why[REDIS_WHY_SIZE], master[MASTER_SIZE];
  struct redis_conn *sentinel =
      redis_connect_sentinel(url, index, cli->timeout_ms, why);
  if (!sentinel) {
    report_say(report, FINDING_WARNING, "redis sentinel",
               "nodes ask the others; who starts while these fail as well "
               "finds no master",
               "%s", why);
    return;
  }
  if (!ask_master(sentinel, url->master, master)) {
    report_say(report, FINDING_PROBLEM, "redis sentinel",
               "SENTINEL MONITOR, or the name in the URL is not theirs",
               "%s: it knows no master %s", redis_address(sentinel),
               url->master);
  } else {
    if (!*first) examine_group(report, sentinel, url->master);
    check_agreement(report, redis_address(sentinel), master, first);
  }
  redis_close(sentinel);
}

void doctor_sentinels(const struct cli *cli, struct report *report,
                      const struct wwri_redis_url *url) {
  char first[MASTER_SIZE] = "";
  for (size_t i = 0; i < url->host_count; i++)
    examine_sentinel(cli, report, url, i, first);
}
