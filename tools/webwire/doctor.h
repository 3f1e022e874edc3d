/* doctor.h - the doctor's examinations; each says what it found. */
#ifndef WEBWIRE_DOCTOR_H
#define WEBWIRE_DOCTOR_H

#include "redis_connect.h"
#include "report.h"

/** What a clock shows that is so many seconds from ours. */
void doctor_clock(struct report *report, const char *what, const char *whose,
                  long skew_s);

/** The way clients take: upgrade, accept-conf, close codes, silence. */
void doctor_way(const struct cli *cli, struct report *report);

/** A sample's value in what /metrics answers; -1: there is none. Infinite:
 * there is no limit. */
double doctor_metric(const char *metrics, const char *name);

/** What each node has lost since its start, when the doctor begins. */
struct doctor_losses;
struct doctor_losses *doctor_losses_begin(const struct cli *cli);

/** What they lost meanwhile. Frees `before`, which may be NULL. */
void doctor_losses_end(const struct cli *cli, struct report *report,
                       struct doctor_losses *before);

/** The nodes, by their admin listeners. */
void doctor_nodes(const struct cli *cli, struct report *report);

/** A Redis that answers; what it is called when there are several. */
struct patient {
  struct report *report;
  struct redis_conn *redis;
  const char *whose; /* "" or "ADDRESS: " */
};

/** What every Redis is asked; `kind` is what it is when it is right. */
void doctor_examine(const struct patient *patient, const char *kind);

/** A setting, to free(); NULL when it can't be had. */
char *doctor_setting(struct redis_conn *redis, const char *name);

/** The Redis Cluster that a URL names. */
void doctor_redis_cluster(const struct cli *cli, struct report *report,
                          const struct wwri_redis_url *url);

/** The sentinels that a URL names, and the group that they watch. */
void doctor_sentinels(const struct cli *cli, struct report *report,
                      const struct wwri_redis_url *url);

/** Redis itself. */
void doctor_redis(const struct cli *cli, struct report *report);

#endif
