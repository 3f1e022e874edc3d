/* ahead.c - a ring of ids. */
#include "ahead.h"

#include <assert.h>
#include <stdlib.h>

void wwri_ahead_deinit(struct wwri_ahead *ahead) {
  free(ahead->ring);
  *ahead = (struct wwri_ahead){0};
}

wwr_err wwri_ahead_prepare(struct wwri_ahead *ahead) {
  if (ahead->ring) return WWR_OK;
  ahead->ring = malloc(WWRI_AHEAD_MAX * sizeof *ahead->ring);
  return ahead->ring ? WWR_OK : WWR_E_NOMEM;
}

static void drop_first(struct wwri_ahead *ahead) {
  ahead->bytes -= ahead->ring[ahead->first].bytes;
  ahead->first = (ahead->first + 1) % WWRI_AHEAD_MAX;
  ahead->count--;
}

/* Another epoch may be one that the log has left, or that it will come to. */
static bool was_read(struct wwri_logid id, const struct wwri_logid *at) {
  return !at || (id.epoch == at->epoch && id.offset <= at->offset);
}

static unsigned most(unsigned log_entries) {
  unsigned share = log_entries / WWRI_AHEAD_SHARE;
  if (share == 0) return 1;
  return share < WWRI_AHEAD_MAX ? share : WWRI_AHEAD_MAX;
}

bool wwri_ahead_has_room(struct wwri_ahead *ahead, const struct wwri_logid *at,
                         unsigned log_entries) {
  while (ahead->count && was_read(ahead->ring[ahead->first].id, at)) {
    drop_first(ahead);
  }
  unsigned have = ahead->count + ahead->open;
  return have < most(log_entries) && ahead->bytes < WWRI_AHEAD_BYTES;
}

void wwri_ahead_begin(struct wwri_ahead *ahead, size_t bytes) {
  assert(ahead->ring && ahead->count + ahead->open < WWRI_AHEAD_MAX);
  ahead->open++;
  ahead->bytes += bytes;
}

void wwri_ahead_end(struct wwri_ahead *ahead, struct wwri_logid id,
                    size_t bytes) {
  ahead->open--;
  if (wwri_logid_none(id)) {
    ahead->bytes -= bytes;
    return;
  }
  unsigned at = (ahead->first + ahead->count) % WWRI_AHEAD_MAX;
  ahead->ring[at] = (struct wwri_ahead_entry){id, bytes};
  ahead->count++;
}

void wwri_ahead_reached(struct wwri_ahead *ahead) {
  while (ahead->count) drop_first(ahead);
}
