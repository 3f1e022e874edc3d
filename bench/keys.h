/* keys.h - a session for every link: logged in once, then restored by its key
 * whenever the link was opened again. Without --login there are none. */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include "measure.h"

struct keys {
  struct measure *measure;
  char (*list)[513]; /* per link; "" for none */
  uint32_t answered; /* of what keys_log_in() or keys_log_out() asked */
};

/** False without memory. */
bool keys_init(struct keys *keys, struct measure *measure);
void keys_deinit(struct keys *keys);

/** Open all links and log in on each; sets the hooks for that. True at once
 * without --login. Complains and returns false when it fails. */
bool keys_log_in(struct keys *keys);

/** Destroy the sessions whose links are open, as far as that works. */
void keys_log_out(struct keys *keys);

/** A link is open again: ask for its session. False when it has none. */
bool keys_restore(struct keys *keys, struct link *link);

/** What a link heard about its restore. */
enum keys_heard {
  KEYS_BACK,     /* the session is back */
  KEYS_NOT_BACK, /* it is not, which was counted */
  KEYS_OTHER     /* something else; what nobody expects was counted */
};
enum keys_heard keys_heard(struct keys *keys, const struct link *link,
                           const struct heard *heard);

#endif
