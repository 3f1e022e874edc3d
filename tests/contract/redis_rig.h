/* redis_rig.h - a link on a loop of its own, driven by the test's thread: what
 * happens is counted under a lock and waited for with a deadline. */
#ifndef REDIS_RIG_H
#define REDIS_RIG_H

#include <pthread.h>

#include "link.h"
#include "url.h"

enum { RIG_WAIT_MS = 60000, RIG_MAX_SUBS = 8192 };

struct rig_sub {
  struct rig *rig;
  struct wwri_redis_sub *sub; /* the loop's */
  unsigned subscribed;
  unsigned lost;
  unsigned refused;
  unsigned messages;
  char last[64]; /* payload */
};

struct rig {
  struct wwri_loop *loop;
  bool borrowed;           /* the loop is not its own */
  struct wwri_redis *link; /* the loop's */
  struct wwri_redis_url url;
  struct wwri_redis_opts opts; /* change before rig_start() */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* Under the lock: */
  unsigned live; /* fresh */
  unsigned recovered;
  unsigned suspect;
  unsigned lost;
  unsigned failed;
  enum wwri_redis_cause cause; /* of the last loss or failure */
  unsigned causes[WWRI_CAUSES];
  char why[WWRI_CAUSES][256]; /* the last of each */
  char replid[WWRI_REPLID_MAX];
  bool stopped;
  unsigned subs_subscribed, subs_lost, subs_messages; /* sums */
  struct rig_sub subs[RIG_MAX_SUBS];
};

/** A loop that runs, a link that does not yet. Asserts that the URL is good.
 * Opts: defaults with short back-offs. */
void rig_init(struct rig *rig, const char *url);

/** The same with a link of a hub on the hub's loop; rig_start() takes the tag
 * from rig->opts. */
void rig_init_hub(struct rig *rig, const char *url, struct wwri_loop *loop,
                  struct wwri_redis_hub *hub, const char *tag);

/** Make the link unless there is one. All links of a hub are made before one
 * starts. */
void rig_make(struct rig *rig);

/** Before the start: neither suspect nor lost for want of answers while others
 * have the processor; what breaks is noticed as ever. */
void rig_be_patient(struct rig *rig);

/** rig_make(), call `before` (may be NULL) with the link, start it. */
void rig_start(struct rig *rig, void (*before)(struct wwri_redis *link));

/** Stop and free all. Harmless twice. */
void rig_end(struct rig *rig);

/** Wait until *counter (of this rig) is at least n. False after RIG_WAIT_MS. */
bool rig_wait(struct rig *rig, const unsigned *counter, unsigned n);

/** The counter's value now. */
unsigned rig_count(struct rig *rig, const unsigned *counter);

/** Why the last connection was lost or could not be made. */
enum wwri_redis_cause rig_cause(struct rig *rig);

/** True when the last reason told for this cause holds `text`; prints it
 * otherwise. */
bool rig_why_has(struct rig *rig, enum wwri_redis_cause cause,
                 const char *text);

/** The replication id of the last live connection. */
void rig_replid(struct rig *rig, char out[WWRI_REPLID_MAX]);

/** Run `fn` on the loop and wait for it. */
void rig_on_loop(struct rig *rig, void (*fn)(struct rig *rig, void *arg),
                 void *arg);

struct rig_result {
  wwr_err err; /* of making the call; the rest is set only without one */
  enum wwri_redis_outcome outcome;
  bool maybe_done;
  enum wwri_redis_type type;
  int64_t number;
  char text[256];
};

/** Make a call given as one line and wait for its end. */
struct rig_result rig_run(struct rig *rig, const char *line,
                          uint32_t timeout_ms);

/** The same with a script; `keys` of the words are keys. */
struct rig_result rig_eval(struct rig *rig, int script, const char *line,
                           size_t keys);

/** Subscribe rig->subs[index] to "ch:INDEX" (rig_name()); on a hub to
 * "{TAG}ch:INDEX". */
void rig_subscribe(struct rig *rig, unsigned first, unsigned count);
void rig_unsubscribe(struct rig *rig, unsigned index);
void rig_name(unsigned index, char *out, size_t cap);

struct wwri_redis_stats rig_stats(struct rig *rig);

#endif
