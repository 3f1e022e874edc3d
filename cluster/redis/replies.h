/* replies.h - what Redis tells of logs, read without believing it: hints of the
 * pub/sub channels, entries and tops of scripts (scripts.h has their forms).
 * Pure; nothing is copied: views point into what was read. */
#ifndef WWRI_CLUSTER_REPLIES_H
#define WWRI_CLUSTER_REPLIES_H

#include "position.h"
#include "reply.h"

enum { WWRI_LOGID_TEXT_MAX = 42 };

/** A decimal number up to UINT64_MAX; false for anything else. */
bool wwri_read_number(struct wwr_view text, uint64_t *out);

/** "EPOCH-OFFSET"; writes with a NUL, returns a view of it. */
bool wwri_read_logid(struct wwr_view text, struct wwri_logid *out);
struct wwr_view wwri_write_logid(struct wwri_logid id,
                                 char out[WWRI_LOGID_TEXT_MAX]);

/** A boot id as 32 hex digits; written with a NUL. */
enum { WWRI_BOOT_HEX = 32 };
bool wwri_read_boot(struct wwr_view hex, struct wwri_boot *out);
void wwri_write_boot(struct wwri_boot boot, char out[WWRI_BOOT_HEX + 1]);

/** A hint: "ID BOOT SEQ TIME ENVELOPE". False: it is none. */
bool wwri_read_hint(struct wwr_view payload, struct wwri_entry *out);

/** One entry of a stream, as XRANGE tells it. */
bool wwri_read_entry(const struct wwri_redis_reply *reply,
                     struct wwri_entry *out);

/** An array of them into `out` (room for `cap`); *count says how many. With
 * `newest_first` they are turned round, and of too many the newest are kept,
 * else the first. False: some is none. */
bool wwri_read_entries(const struct wwri_redis_reply *reply, bool newest_first,
                       struct wwri_entry *out, size_t cap, size_t *count);

/** ID, BOOT, SEQ at `index` of a reply; the last two empty for a fork record,
 * all three for no log (*exists false). */
bool wwri_read_top(const struct wwri_redis_reply *reply, size_t index,
                   struct wwri_pos *out, bool *exists);

#endif
