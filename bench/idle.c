/* Connections that only are there: what they cost in memory and CPU time. */
#include "measure.h"

/* Signals may come; nobody asked for them, so nothing is expected of them. */
static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  (void)link, (void)heard;
  struct measure *measure = user_data;
  measure->done++;
}

bool idle_run(struct measure *measure) {
  measure->net.hooks = (struct net_hooks){.on_heard = on_heard};
  measure->net.user_data = measure;
  if (!net_open(&measure->net)) return false;
  measure_run(measure);
  return true;
}
