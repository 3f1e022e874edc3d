/* channel.h - what a node knows about one logged channel, and what it must do
 * next: docs/rules.md, "Node state per channel". Pure: no I/O, no clock.
 *
 * The log is the truth, what comes by pub/sub is a hint: any hint may be
 * dropped, doubled or late. Events go in by the functions below; commands come
 * out when the owner asks for them; deliveries, completed joins and verdicts
 * go to the sink, which must not call back into the channel.
 *
 * Not thread-safe: a channel belongs to its node's thread. */
#ifndef WWRI_CHANNEL_H
#define WWRI_CHANNEL_H

#include "ahead.h"
#include "list.h"
#include "position.h"
#include "rules.h"
#include "seen.h"
#include "wwr_err.h"

enum wwri_phase {
  WWRI_IDLE,    /* nobody wants it */
  WWRI_SUBBING, /* wanted, no position yet */
  WWRI_LIVE,    /* hints follow our position one by one */
  WWRI_STALE,   /* the pair was lost; hints may have been missed */
  WWRI_LAGGING, /* reading the log; nothing newer is delivered before it */
  WWRI_LINGER   /* live, but nobody is left; unsubscribes soon */
};

enum wwri_channel_command {
  WWRI_CMD_NONE,
  WWRI_CMD_OPEN,  /* make sure of an epoch; the top, the last n entries */
  WWRI_CMD_RANGE, /* entries from an id on, that id included */
  WWRI_CMD_TOP    /* the last entry only; batched by the node */
};

/** One receiver. The owner's memory, linked while subscribed. */
struct wwri_sub {
  struct wwri_list node;
  struct wwri_logid from; /* nothing up to here is for it */
  bool joined;            /* its first join completed */
  void *user;
};

/** A request to begin, with the last `history` entries; or one more joiner of
 * a sub that stands already. The owner's memory until `joined`. */
struct wwri_join {
  struct wwri_list node;
  struct wwri_sub *sub;
  uint32_t history;
  void *user;
};

struct wwri_channel;

struct wwri_channel_sink {
  /** A message for one sub, in the log's order, each once. */
  void (*deliver)(struct wwri_channel *channel, struct wwri_sub *sub,
                  const struct wwri_entry *entry);
  /** A join is complete and no longer the channel's: what is published from
   * now on reaches the sub. `history`: entries up to `from`, oldest first,
   * borrowed. The join may be freed. */
  void (*joined)(struct wwri_channel *channel, struct wwri_join *join,
                 struct wwri_logid from, const struct wwri_entry *history,
                 size_t count);
  void (*verdict)(struct wwri_channel *channel,
                  const struct wwri_verdict *verdict);
};

/** Counters; all only grow. */
struct wwri_channel_stats {
  uint64_t delivered;
  uint64_t duplicates; /* dropped by (boot, seq) */
  uint64_t repaired;   /* delivered from the log rather than from a hint */
  uint64_t overflows;  /* hints dropped for want of room */
  uint64_t reads;
};

struct wwri_channel_config {
  const struct wwri_channel_sink *sink;
  struct wwri_rules rules;
  uint32_t buffer_messages; /* hints held while the log is read */
  uint32_t buffer_bytes;
  uint32_t chunk; /* entries of one read */
  uint32_t linger_ms;
  uint32_t audit_grace_ms;          /* for hints that are under way */
  uint32_t retry_ms;                /* after a command was refused */
  struct wwri_channel_stats *total; /* of all channels; may be NULL */
};

/** The values of docs/rules.md; the sink is left NULL. */
void wwri_channel_config_default(struct wwri_channel_config *config);

enum { WWRI_TRAIL = 8, WWRI_HISTORY_MAX = 256 };

/** An epoch that we delivered from, and how far. */
struct wwri_trail {
  uint64_t epoch;
  struct wwri_pos last; /* seq 0 without fork: known by its id only */
};

struct wwri_channel {
  const struct wwri_channel_config *config;
  void *user;
  enum wwri_phase phase;
  enum { WWRI_SUB_OFF, WWRI_SUB_WANTED, WWRI_SUB_ON } link;
  bool pair_live;
  bool paused; /* queues of its connections are over half full */

  enum wwri_channel_command in_flight;
  bool discard;   /* the reply under way is from before the pair was lost */
  bool need_open; /* the log ends before us: make sure of its generation */
  bool opened;    /* ... and that was done in this catch-up */
  bool again;     /* a hint was lost after the read was issued */
  uint64_t retry_at_ms;
  uint64_t issued; /* commands so far: tells which hints a read covers */
  uint32_t asked;  /* history that the OPEN under way brings */

  /* Where we are: trail[trail_len - 1].last. Earlier epochs are remembered
   * for finding the way back after a fork. */
  struct wwri_trail trail[WWRI_TRAIL];
  unsigned trail_len;
  unsigned probe; /* the trail entry that catch-up tries to match */

  struct wwri_seen seen;
  struct wwri_ahead ahead; /* this node's own publishes */

  struct wwri_list buffer; /* hints in order of arrival */
  size_t buffer_count;
  size_t buffer_bytes;
  struct wwri_list recent; /* delivered since a history read was issued */
  size_t recent_count;
  bool recent_lost;

  struct wwri_list subs;
  struct wwri_list joins;
  uint64_t linger_until_ms;
  uint64_t suspect_until_ms; /* 0: not suspect */
  struct wwri_pos suspect_top;
  struct wwri_channel_stats stats;
};

/** Errors: WWR_E_NOMEM. `config` is borrowed and outlives the channel. */
WWR_MUST_CHECK wwr_err
wwri_channel_init(struct wwri_channel *channel,
                  const struct wwri_channel_config *config, void *user);

/** Free; subs and joins are the owner's and are only unlinked. */
void wwri_channel_deinit(struct wwri_channel *channel);

/* --- what the owner wants --- */

/** Add a join; a sub that is not linked yet is linked with it. */
void wwri_channel_join(struct wwri_channel *channel, struct wwri_join *join);

/** Unlink a sub and its joins, which will not complete (the owner knows). */
void wwri_channel_leave(struct wwri_channel *channel, struct wwri_sub *sub,
                        uint64_t now_ms);

/** True when it may be freed: nobody wants it and nothing is under way. */
bool wwri_channel_unused(const struct wwri_channel *channel);

/** The connections' queues are over half full (true) or drained (false):
 * repairs wait, live delivery goes on. */
void wwri_channel_pressure(struct wwri_channel *channel, bool full);

/* --- what happens --- */

/** The link became live, or is no longer; then its subscriptions are gone and
 * come again by themselves. */
void wwri_channel_pair_live(struct wwri_channel *channel);
void wwri_channel_pair_lost(struct wwri_channel *channel);

/** What is wanted from the link was confirmed. */
void wwri_channel_confirmed(struct wwri_channel *channel);

/** A hint arrived; bytes are copied when kept. Epoch 0: a message that is not
 * logged, which goes to whoever has joined and is forgotten. */
void wwri_channel_hint(struct wwri_channel *channel,
                       const struct wwri_entry *entry);

/** Answer to OPEN: the log's last entry and its last entries, oldest first. */
void wwri_channel_opened(struct wwri_channel *channel,
                         const struct wwri_pos *top,
                         const struct wwri_entry *history, size_t count,
                         uint64_t now_ms);

/** Answer to RANGE: what the log holds from the id asked for; `more` when the
 * count asked for was reached. */
void wwri_channel_ranged(struct wwri_channel *channel,
                         const struct wwri_entry *entries, size_t count,
                         bool more, uint64_t now_ms);

/** Answer to TOP. `top` NULL: there is no log. */
void wwri_channel_topped(struct wwri_channel *channel,
                         const struct wwri_pos *top, uint64_t now_ms);

/** The command under way was refused or its link died. */
void wwri_channel_failed(struct wwri_channel *channel, uint64_t now_ms);

/** Do what is due: completed joins, lingering, suspicion. */
void wwri_channel_run(struct wwri_channel *channel, uint64_t now_ms);

/** When run should be called next at the latest; UINT64_MAX: no need. */
uint64_t wwri_channel_deadline(const struct wwri_channel *channel);

/* --- what to do --- */

/** What to tell the link: +1 the channel is wanted, -1 no longer, 0 nothing.
 * It counts as told. */
int wwri_channel_next_sub(struct wwri_channel *channel);

/** The link could not take the wish: it is told again after a while. */
void wwri_channel_sub_failed(struct wwri_channel *channel, uint64_t now_ms);

/** A command that the channel wants on the command link. */
struct wwri_channel_want {
  enum wwri_channel_command kind;
  struct wwri_logid from; /* RANGE */
  uint32_t count;         /* RANGE: entries, OPEN: history */
};

/** The next command, which counts as sent; kind NONE when there is none. */
struct wwri_channel_want wwri_channel_next(struct wwri_channel *channel,
                                           uint64_t now_ms);

/** Ask for an audit: the next command of a live channel is TOP. True when the
 * channel takes part (the TOP then counts as sent). */
bool wwri_channel_audit(struct wwri_channel *channel);

/** Where the channel is; {0} before the first OPEN. */
struct wwri_pos wwri_channel_pos(const struct wwri_channel *channel);

/** True when this node may publish one more to it (ahead.h). */
bool wwri_channel_may_publish(struct wwri_channel *channel,
                              uint32_t log_entries);

#endif
