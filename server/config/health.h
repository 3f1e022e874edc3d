/* health.h - what --health-check does. */
#ifndef WWRI_HEALTH_H
#define WWRI_HEALTH_H

#include "options.h"

/** GET `url`, "http://HOST:PORT/PATH" of an admin listener. WWR_EXIT_OK when
 * the answer is 200, with its body printed; WWR_EXIT_FAILED when it is another
 * or does not come within 4 seconds, WWR_EXIT_USAGE when the URL makes no
 * sense, each with a line that begins with `name` on stderr. */
int wwri_health_check(const char *name, const char *url);

#endif
