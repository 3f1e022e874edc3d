/* servers.h - the Redis servers of a cluster, as its options name them: one,
 * several between white space, or the Redis Cluster. Pure. */
#ifndef WWRI_SERVERS_H
#define WWRI_SERVERS_H

#include "partition.h"
#include "url.h"
#include "url_name.h"

enum wwri_sharding {
  WWRI_UNSHARDED,    /* one Redis */
  WWRI_SHARD_LIST,   /* 2 to 64, each with some of the partitions */
  WWRI_REDIS_CLUSTER /* all partitions are apart, each where its slot is */
};

struct wwri_servers {
  enum wwri_sharding sharding;
  size_t count; /* of the URLs */
  struct wwri_redis_url *urls;
  char (*names)[WWRI_REDIS_NAME_MAX]; /* of the URLs, without secrets */
};

/** What is wrong with the options: a static sentence, and which URL. */
struct wwri_servers_fault {
  const char *why;
  size_t at;    /* the URL, from 1; 0: none in particular */
  size_t of;    /* how many there are */
  size_t other; /* it is the same Redis as this one, from 1; else 0 */
};

/** Read `text`; *out is to be freed with wwri_servers_free(), also after an
 * error. Errors: WWR_E_INVALID, and *fault is set; WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_servers_parse(struct wwri_servers *out,
                                          const char *text,
                                          struct wwri_servers_fault *fault);
void wwri_servers_free(struct wwri_servers *servers);

/** A line about what a parse did not like: `err` is what it returned. */
void wwri_servers_say(wwr_err err, const struct wwri_servers_fault *fault,
                      char *why, size_t cap);

#endif
