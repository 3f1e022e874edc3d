/* rules.h - switches that break a rule of docs/rules.md on purpose, so that the
 * simulation can show that it would notice. All false outside of tests. */
#ifndef WWRI_RULES_H
#define WWRI_RULES_H

#include <stdbool.h>

struct wwri_rules {
  bool no_log_matching; /* R3: catch-up believes numbers alone */
  bool no_retry_flag;   /* R7: what got no answer is simply sent again */
  bool no_replay;       /* R8: what was acknowledged is forgotten at once */
  bool no_ahead;        /* ahead.h: a node publishes whatever it has read */
};

#endif
