/* doctor.h - the doctor's examinations; each says what it found. */
#ifndef WEBWIRE_DOCTOR_H
#define WEBWIRE_DOCTOR_H

#include "report.h"

/** The way clients take: upgrade, accept-conf, close codes, silence. */
void doctor_way(const struct cli *cli, struct report *report);

/** The nodes, by their admin listeners. */
void doctor_nodes(const struct cli *cli, struct report *report);

/** Redis itself. */
void doctor_redis(const struct cli *cli, struct report *report);

#endif
