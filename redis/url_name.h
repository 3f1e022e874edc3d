/* url_name.h - what a URL names, for people and to compare: without secrets and
 * options. Pure. */
#ifndef WWRI_REDIS_URL_NAME_H
#define WWRI_REDIS_URL_NAME_H

#include "url.h"

enum { WWRI_REDIS_NAME_MAX = 300 };

/** "redis://HOST:PORT/DB", "unix:///PATH?db=DB",
 * "redis+sentinel://HOST:PORT,.../NAME/DB", and redis+cluster and rediss
 * likewise; the port always, the database only when it is not 0. What is too
 * long ends in "...".
 */
void wwri_redis_url_name(const struct wwri_redis_url *url,
                         char out[WWRI_REDIS_NAME_MAX]);

#endif
