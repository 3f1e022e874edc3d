/* doctor.h - the doctor's examinations; each says what it found. */
#ifndef WEBWIRE_DOCTOR_H
#define WEBWIRE_DOCTOR_H

#include "report.h"

/** What a clock shows that is so many seconds from ours. */
void doctor_clock(struct report *report, const char *what, const char *whose,
                  long skew_s);

/** The way clients take: upgrade, accept-conf, close codes, silence. */
void doctor_way(const struct cli *cli, struct report *report);

/** The nodes, by their admin listeners. */
void doctor_nodes(const struct cli *cli, struct report *report);

/** Redis itself. */
void doctor_redis(const struct cli *cli, struct report *report);

#endif
