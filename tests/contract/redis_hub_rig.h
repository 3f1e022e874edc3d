/* redis_hub_rig.h - a hub on a loop of its own; its links are rigs
 * (rig_init_hub() in redis_rig.h). */
#ifndef REDIS_HUB_RIG_H
#define REDIS_HUB_RIG_H

#include "hub.h"
#include "redis_rig.h"

struct hub_rig {
  struct wwri_loop *loop; /* NULL: not begun, or ended */
  struct wwri_redis_hub *hub;
  struct wwri_redis_url url;
  struct wwri_redis_hub_opts opts;
};

/** Asserts that the URL is good. Change `opts` before hub_rig_start(). */
void hub_rig_init(struct hub_rig *it, const char *url);
void hub_rig_start(struct hub_rig *it);

/** Stop and free all; its links have ended. Harmless twice. */
void hub_rig_end(struct hub_rig *it);

struct wwri_redis_hub_stats hub_rig_stats(struct hub_rig *it);

#endif
