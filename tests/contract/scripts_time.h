/* scripts_time.h - redis-servers whose wall clock the test moves (it stands
 * still otherwise), by a library of ours that is loaded into them. */
#ifndef SCRIPTS_TIME_H
#define SCRIPTS_TIME_H

#include "scripts_rig.h"

struct sr_time {
  uint64_t *us; /* since 1970; shared with the server */
  char path[32];
};

/** A clock that shows `ms`. */
void sr_time_init(struct sr_time *time, uint64_t ms);
void sr_time_deinit(struct sr_time *time);
void sr_time_set(struct sr_time *time, uint64_t ms);

/** sr_start(), sr_restart() with that clock. No thread may run that reads the
 * environment: link later. */
void sr_time_start(struct sr *sr, struct sr_time *time,
                   const char *const *args);
void sr_time_restart(struct sr *sr, struct sr_time *time);

/** True when the server's clock is really that one (it is not where a library
 * can't be loaded into it); else says that it skips. */
bool sr_time_works(struct sr *sr, struct sr_time *time);

#endif
