/* position.h - the words of the cluster: ids in a channel's log, the boot that
 * published an entry, a node's position, and verdicts (docs/rules.md, R2, R3,
 * R9). Values only; nothing here owns memory. */
#ifndef WWRI_POSITION_H
#define WWRI_POSITION_H

#include "wwr_base.h"

/** The id of a log entry; Redis gives the offset (R2). Epochs grow with time,
 * offsets by one. {0, 0} names nothing. Offset 0 is the fork record that
 * begins an epoch. */
struct wwri_logid {
  uint64_t epoch;
  uint64_t offset;
};

/** One life of a node: 128 random bits, all zero for none. */
struct wwri_boot {
  uint64_t hi;
  uint64_t lo;
};

/** A log entry named twice: by its id, and by who published it. Fork records
 * have no publisher. */
struct wwri_pos {
  struct wwri_logid id;
  struct wwri_boot boot;
  uint64_t seq;
};

/** One log entry, as the log or a hint brings it. */
struct wwri_entry {
  struct wwri_pos pos;
  bool fork;                /* begins an epoch; carries no message */
  struct wwri_logid parent; /* of a fork record; {0, 0}: unknown */
  uint64_t time_ms;         /* the server's clock when it was appended */
  struct wwr_view data;     /* the envelope; borrowed */
};

enum wwri_verdict_kind {
  WWRI_LOST,     /* from..to are gone from the log before we read them */
  WWRI_DIVERGED, /* we delivered `count` messages that the log forgot */
  WWRI_RESET,    /* our place in the log is unknown; what is not delivered up
                    to `to` is lost */
  WWRI_UNCERTAIN /* messages of publishers that died may be missing */
};

/** What could not be repaired. Ranges are inclusive. */
struct wwri_verdict {
  enum wwri_verdict_kind kind;
  struct wwri_logid from;
  struct wwri_logid to;
  uint64_t count; /* 0: unknown */
};

static inline int wwri_logid_compare(struct wwri_logid a, struct wwri_logid b) {
  if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
  if (a.offset != b.offset) return a.offset < b.offset ? -1 : 1;
  return 0;
}

static inline bool wwri_logid_equal(struct wwri_logid a, struct wwri_logid b) {
  return a.epoch == b.epoch && a.offset == b.offset;
}

static inline bool wwri_logid_none(struct wwri_logid id) {
  return id.epoch == 0 && id.offset == 0;
}

static inline bool wwri_boot_equal(struct wwri_boot a, struct wwri_boot b) {
  return a.hi == b.hi && a.lo == b.lo;
}

static inline bool wwri_pos_equal(const struct wwri_pos *a,
                                  const struct wwri_pos *b) {
  return wwri_logid_equal(a->id, b->id) && wwri_boot_equal(a->boot, b->boot) &&
         a->seq == b->seq;
}

#endif
