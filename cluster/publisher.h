/* publisher.h - what a node published and must not forget: docs/rules.md, R7
 * and R8. Pure: no I/O, no clock.
 *
 * Publishes leave in one order: after a change of generation first what was
 * acknowledged lately, then what got no answer, then what is new. A publish
 * that got no answer is sent again with the retry flag, which makes the script
 * look for it before it appends.
 *
 * Not thread-safe: a publisher belongs to its node's thread. */
#ifndef WWRI_PUBLISHER_H
#define WWRI_PUBLISHER_H

#include "list.h"
#include "position.h"
#include "rules.h"
#include "wwr_err.h"

/** How a publish ended. */
enum wwri_outcome {
  WWRI_ACKED,  /* the log has it: `id` */
  WWRI_FAILED, /* nobody has or will ever see it */
  WWRI_DENIED, /* likewise: not permitted, so there is no use in repeating it */
  WWRI_UNKNOWN /* it may have been delivered, it may yet be */
};

/** What the script answered. */
enum wwri_answer {
  WWRI_ANSWER_OK,         /* appended: id */
  WWRI_ANSWER_DUP,        /* it was there: id */
  WWRI_ANSWER_SUPERSEDED, /* a later one of this boot is there, it is not */
  WWRI_ANSWER_WRAPPED,    /* can't tell: the log is longer than was read */
  WWRI_ANSWER_REFUSED,    /* not executed: unavailable, or no generation */
  WWRI_ANSWER_DEMOTED,    /* not executed, nor what was sent behind it: that
                             server is not the master; the link goes down */
  WWRI_ANSWER_ERROR,      /* not executed and never will be */
  WWRI_ANSWER_NONE        /* the link died first */
};

struct wwri_publisher;
struct wwri_publish;

/** How much of a channel is kept. */
struct wwri_log_limit {
  uint32_t entries; /* 0: nothing, the message is not logged */
  uint32_t age_ms;
};

struct wwri_publish_config {
  struct wwri_rules rules;
  uint32_t hold_ms;   /* how long a publish may wait for an answer */
  uint32_t keep_ms;   /* how long the acknowledged are kept */
  size_t keep_bytes;  /* ... and at most how many bytes of them */
  size_t queue_bytes; /* waiting publishes; over it: WWR_E_LIMIT */
  uint32_t window;    /* sent and unanswered at a time */
  uint32_t retry_ms;  /* after a refusal */
  /** A publish ended; exactly once each. `cookie` is the caller's. */
  void (*done)(struct wwri_publisher *publisher, void *cookie,
               enum wwri_outcome outcome, struct wwri_logid id);
  /** What was submitted for a lane was appended, as `id`, or ({0}) is given up
   * or not logged; once each, mostly before done(). NULL: nobody cares. */
  void (*settled)(struct wwri_publisher *publisher,
                  const struct wwri_publish *publish, struct wwri_logid id);
  /** A message that was acknowledged could not be re-submitted, or may not be
   * there: declared lost by name. */
  void (*lost)(struct wwri_publisher *publisher, struct wwr_view channel,
               const struct wwri_pos *pos);
};

/** hold 10 s, keep 15 s and 8 MiB, queue 8 MiB, window 256, retry 100 ms. */
void wwri_publish_config_default(struct wwri_publish_config *config);

/** One publish; internal, but its fields are what a command needs. */
struct wwri_publish {
  struct wwri_list node;
  struct wwri_boot boot;
  uint64_t seq;
  struct wwri_logid hint; /* it can't be before this entry; {0}: unknown */
  struct wwr_view channel;
  struct wwr_view data;
  struct wwri_log_limit limit; /* entries 0: sent at most once, not logged */
  bool retry;                  /* send with the retry flag */
  bool deep; /* acknowledged in another generation: read 1000 entries */
  bool sure; /* likewise, but it was appended only once: if it is there, it is
                at the hint */
  bool in_flight;
  bool unanswered; /* some attempt may have been executed */
  bool given_up;   /* the caller was told; an answer is still under way */
  void *cookie;
  void *lane; /* the owner's, until settled() */
  uint64_t deadline_ms;
  uint64_t first_sent_ms; /* 0: never; tells how far back a retry must look */
  uint64_t acked_ms;
  uint64_t generation; /* in which it was last known to be in the log */
  uint64_t sent_in;    /* generation of the link it was last sent on */
};

struct wwri_publisher_stats {
  uint64_t acked;
  uint64_t failed;
  uint64_t unknown;
  uint64_t overflows; /* dropped from the acknowledged for want of room */
  uint64_t lost;
};

struct wwri_publisher {
  const struct wwri_publish_config *config;
  void *user;
  struct wwri_boot boot;
  uint64_t last_seq;
  uint64_t generation; /* 0: none known; nothing is sent */
  bool link;
  bool draining; /* something was refused: first all answers, then more */
  bool probing;  /* ... one at a time, until one is accepted */
  bool demoted;  /* the server is not the master; until the link is up again */
  struct wwri_list acked;   /* in this generation; in order of seq */
  struct wwri_list replay;  /* acknowledged in others, to be sent again */
  struct wwri_list waiting; /* in order of seq: unanswered, then new */
  struct wwri_list sent;    /* in flight, in the order of sending */
  size_t in_flight;
  size_t acked_bytes;
  size_t waiting_bytes;
  uint64_t retry_at_ms;
  struct wwri_publisher_stats stats;
};

void wwri_publisher_init(struct wwri_publisher *publisher,
                         const struct wwri_publish_config *config,
                         struct wwri_boot boot, void *user);

/** Free everything; open publishes end: FAILED when they certainly were not
 * executed, else UNKNOWN. */
void wwri_publisher_deinit(struct wwri_publisher *publisher);

/** A new life: later publishes carry this boot, earlier ones keep theirs. */
void wwri_publisher_reboot(struct wwri_publisher *publisher,
                           struct wwri_boot boot);

/** Make a publish; copies both views. `hint`: the newest id of the channel that
 * the node knows, or {0}. It is numbered now, and to be submitted or expired,
 * those of one channel in the order they were made. Its list node is the
 * caller's until then.
 * Errors: WWR_E_LIMIT (queue_bytes), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_publisher_make(
    struct wwri_publisher *publisher, struct wwr_view channel,
    struct wwr_view data, struct wwri_log_limit limit, struct wwri_logid hint,
    void *cookie, uint64_t now_ms, struct wwri_publish **out);

/** Queue it. done() follows, never from inside this call. */
void wwri_publisher_submit(struct wwri_publisher *publisher,
                           struct wwri_publish *publish);

/** It waited too long to be submitted: it fails, from inside this call. */
void wwri_publisher_expire(struct wwri_publisher *publisher,
                           struct wwri_publish *publish);

/** Forget it: whoever made it hears of the error itself. */
void wwri_publisher_discard(struct wwri_publisher *publisher,
                            struct wwri_publish *publish);

/** What it counts for in queue_bytes. */
size_t wwri_publish_size(const struct wwri_publish *publish);

/** The link is live, in this generation. */
void wwri_publisher_link_up(struct wwri_publisher *publisher,
                            uint64_t generation);

/** A beat was answered: the generation is unchanged (or not) as of now_ms, so
 * what was acknowledged keep_ms before that is safe. */
void wwri_publisher_verified(struct wwri_publisher *publisher,
                             uint64_t generation, uint64_t now_ms);

/** The link is gone: what is in flight got no answer. */
void wwri_publisher_link_down(struct wwri_publisher *publisher);

/** The next publish to send; NULL: none now. It counts as sent. */
const struct wwri_publish *wwri_publisher_next(struct wwri_publisher *publisher,
                                               uint64_t now_ms);

/** The oldest publish in flight was answered. */
void wwri_publisher_answer(struct wwri_publisher *publisher,
                           enum wwri_answer answer, struct wwri_logid id,
                           uint64_t now_ms);

/** End what has waited too long. */
void wwri_publisher_run(struct wwri_publisher *publisher, uint64_t now_ms);

/** When the next one will have waited too long, or more may be sent after a
 * refusal; UINT64_MAX: nothing waits. */
uint64_t wwri_publisher_deadline(const struct wwri_publisher *publisher);

#endif
