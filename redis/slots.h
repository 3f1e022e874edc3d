/* slots.h - which slot a key is in, and which node of a Redis Cluster has it.
 * Pure. */
#ifndef WWRI_REDIS_SLOTS_H
#define WWRI_REDIS_SLOTS_H

#include "reply.h"
#include "url.h"

enum { WWRI_SLOTS = 16384, WWRI_SLOTS_NODES_MAX = 1000 };

/** What decides the slot of a key or channel: what is between the first { and
 * the next } when that is not empty, else all of it. */
struct wwr_view wwri_slot_tag(struct wwr_view key);

/** The slot of a key: CRC16 of its tag, modulo WWRI_SLOTS. */
uint16_t wwri_slot_of(struct wwr_view key);

/** A map of a cluster. Zeroed: knows nothing. */
struct wwri_slots {
  struct wwri_redis_host *nodes; /* all that were named, replicas too */
  size_t count;
  size_t cap;
  size_t masters;             /* nodes that have slots */
  size_t covered;             /* slots that have a master */
  uint16_t owner[WWRI_SLOTS]; /* index of the node + 1; 0: none */
};

/** Read the answer to CLUSTER SLOTS into *out, which is zeroed or was read
 * before. A node that does not know its own address is `asked`. Errors, and
 * then *out knows nothing: WWR_E_PROTOCOL, *why (static) says what is wrong;
 * WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_slots_read(struct wwri_slots *out,
                                       const struct wwri_redis_reply *reply,
                                       const struct wwri_redis_host *asked,
                                       const char **why);
void wwri_slots_deinit(struct wwri_slots *slots);

/** The master of a slot; NULL: there is none. */
const struct wwri_redis_host *wwri_slots_owner(const struct wwri_slots *slots,
                                               uint16_t slot);

/** "MOVED SLOT HOST:PORT", an error's text. HOST may be empty: whoever said
 * it. False when it is no such thing. */
bool wwri_slots_moved(struct wwr_view error, uint16_t *slot,
                      struct wwri_redis_host *to);

#endif
