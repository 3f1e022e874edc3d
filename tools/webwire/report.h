/* report.h - what the doctor found, a line each, and what would mend it. */
#ifndef WEBWIRE_REPORT_H
#define WEBWIRE_REPORT_H

#include "cli.h"

enum finding { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM, FINDING_SKIPPED };

struct report {
  bool json;
  json_t *findings; /* with `json`; NULL without memory */
  unsigned counts[FINDING_SKIPPED + 1];
};

void report_begin(struct report *report, bool json);

/** Say that `what` is so; `advice` is NULL or a sentence. Printed at once. */
void report_say(struct report *report, enum finding finding, const char *what,
                const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/** Print the sum; the exit status: failed when there is a problem. */
int report_end(struct report *report);

#endif
