/* member_impl.h - between the files of the membership: member.c (life),
 * member_beat.c (lease and identity), member_health.c, member_watch.c,
 * member_call.c (the core's commands as scripts), member_channel.c
 * (subscriptions, control). */
#ifndef WWRI_MEMBER_IMPL_H
#define WWRI_MEMBER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "member.h"
#include "replies.h"
#include "scripts.h"
#include "url.h"
#include "waiter.h"

enum {
  MEMBER_REASON_MAX = 128,
  MEMBER_HEAD_MAX = 64,         /* "PREFIX:{TAG}:" */
  MEMBER_STOP_MS = 2000,        /* users' last writes */
  MEMBER_BYE_MS = 500,          /* the word to the cluster */
  MEMBER_REPLY_BYTES = 8 << 20, /* asked of one script, at most */
  MEMBER_PAYLOAD_MAX = 8 << 20  /* of one message */
};

/** A receiver on a channel of the core. */
struct member_sub {
  struct wwri_sub base;
  void (*deliver)(struct member_sub *sub, const struct wwri_entry *entry);
  void (*verdict)(struct member_sub *sub, const struct wwri_verdict *verdict);
  /** The server does not permit the subscription. */
  void (*refused)(struct member_sub *sub);
};

/** A join of the core. */
struct member_join {
  struct wwri_join base;
  void (*joined)(struct member_join *join, struct wwri_logid from,
                 const struct wwri_entry *history, size_t count);
};

/** When a publish last renewed the expiry of a channel's keys. */
struct member_touch {
  uint32_t hash;
  uint32_t age_ms;
  uint64_t generation;
  uint64_t at_ms;
};

/** What a call of the core became. */
struct member_call {
  struct wwri_redis_call base;
  struct wwri_member *member;
  enum wwri_call_kind kind;
  size_t channel_count; /* TOPS */
};

/** Numbers of the scripts. */
struct wwri_member_scripts {
  int beat, bye, publish, publish_unlogged, open, range, tops, tops_touch;
};

/** What the arguments of a beat point to. */
struct member_beat_text {
  char channel[WWRI_KEY_NAME_MAX];
  char node_key[WWRI_KEY_NAME_MAX];
  char boot[WWRI_BOOT_HEX + 1];
  char n[24], lease[16], started[24], connections[24], draining[24];
};

/** The layout of the data in Redis; nodes of different ones stay apart. */
#define WWRI_LAYOUT "1"

/** Where a membership is in its cluster. Texts are copied, the rest borrowed
 * until it is freed. */
struct wwri_member_place {
  struct wwri_loop *loop;
  struct wwri_redis_hub *hub; /* of the Redis Cluster; else NULL */
  const char *label;          /* the server, for people, without secrets */
  bool several;               /* there are other shards: say which */
  bool first;                 /* says for all what is the same for all */
  const char *tag;            /* of its lease */
  bool tag_of_name;     /* data has the tag of its name's partition instead */
  const char *settings; /* lines of the fingerprint */
  unsigned partitions;
  int slot; /* of the tag in a Redis Cluster; else -1 */
};

enum member_phase {
  MEMBER_NEW,
  MEMBER_STARTED,
  MEMBER_STOPPING,
  MEMBER_STOPPED
};

struct wwri_member {
  struct wwr_cluster_opts opts; /* its texts are ours, but for the URL: NULL */
  char *prefix;
  char *name;
  char *label;
  bool several;
  bool first;
  char *settings; /* our lines of the fingerprint */
  bool tag_of_name;
  unsigned partitions;
  int slot;
  char head[MEMBER_HEAD_MAX];
  size_t head_len;
  char gen_key[MEMBER_HEAD_MAX + 8];
  char nodes_key[MEMBER_HEAD_MAX + 8];
  struct wwri_redis_url url;
  struct wwri_loop *loop;
  struct wwri_redis *link;
  struct wwri_member_scripts scripts;
  char *address;
  char *fingerprint;
  uint64_t started_ms;                        /* Unix time; 0: not yet known */
  enum member_phase phase;                    /* member thread, but for NEW */
  bool stop_begun;                            /* the owner's */
  bool stop_awaited;                          /* likewise */
  atomic_uint_least64_t load;                 /* connections x 2 + draining */
  atomic_uint_least64_t repaired, duplicates; /* the core's, for any thread */
  atomic_uint_least64_t beat_ms; /* wwri_member_now() when a beat came back, or
                                    of the start */

  /* Member thread: */
  struct wwri_node node;
  struct wwri_flusher runner;
  struct wwri_timer timer; /* the core's deadline */
  struct wwri_list users;
  unsigned users_left; /* that have not said done */
  bool fresh;          /* the next `live` is on new connections */
  bool suspect;
  bool in_control; /* joined the control channel */
  bool told_live;  /* users were, and not yet of its end */
  bool has_core;
  bool stopping; /* users were told */
  bool said_bye;
  unsigned waiting;
  bool hurried;
  char boot_hex[WWRI_BOOT_HEX + 1];
  char connection[24];
  struct member_beat_text beat;
  struct wwri_timer stop_timer;
  struct wwri_redis_call bye;
  void (*bye_done)(void *user);
  struct wwri_mail stop_mail;
  struct wwri_waiter stopper;

  /* Calls: a ring, as the core's. */
  struct member_call calls[WWRI_CALLS_MAX];
  unsigned call_first;
  unsigned call_count;
  struct wwri_entry *entries; /* MEMBER_ENTRIES of them, for replies */
  struct wwri_top tops[WWRI_TOPS_MAX];
  struct wwr_view top_argv[2 * WWRI_TOPS_MAX + 1];
  char *top_names;              /* of MEMBER_TOP_NAMES bytes */
  struct member_touch *touches; /* MEMBER_TOUCHES of them */
  uint64_t complained_ms;

  /* Channels by name, while the link is to have them. */
  struct wwri_map channels;
  struct wwri_list channel_list;
  struct wwri_redis_sub *direct;
  struct member_sub control_sub;
  struct member_join control_join;

  /* Whether the server's threads turn. */
  atomic_uint words; /* from them; any thread */
  unsigned words_seen;
  unsigned silent; /* looks since the last word */
  bool hung;
  uint32_t watch_ms; /* from look to look; tests are in a hurry */
  struct wwri_timer watch_timer;

  /* Health; `reason` and what is told of it under the lock. */
  struct wwri_timer hold_timer;
  uint64_t down_since_ms; /* 0: not down */
  bool was_live;
  bool no_auth;
  char trouble[MEMBER_REASON_MAX];    /* why it is down */
  char difference[MEMBER_REASON_MAX]; /* not empty: refused */

  pthread_mutex_t lock;
  struct {
    enum wwri_bus_health health;
    char reason[MEMBER_REASON_MAX];
    struct wwri_boot boot;
    char address[300];
    uint64_t times_live;
    uint64_t rtt_ms;
  } locked;
};

/* The last pair of a line of the log; nothing when there is one shard. */
#define MEMBER_SHARD(member) (member)->several ? "shard" : NULL, (member)->label

/* member.c */
void wwri_member_each(struct wwri_member *member,
                      void (*fn)(struct wwri_member_user *user, void *arg),
                      void *arg);

/* Make one; on error nothing is left. `opts` were checked. */
wwr_err wwri_member_new(struct wwri_member **out,
                        const struct wwr_cluster_opts *opts,
                        const struct wwri_redis_url *url,
                        const struct wwri_member_place *place,
                        const char **why);
/* It has stopped, or was never started. */
void wwri_member_free(struct wwri_member *member);

/* member_stop.c */
void wwri_member_stop_init(struct wwri_member *member);

/* Go on with the stop when nothing is to be waited for any more. */
void wwri_member_stop_check(struct wwri_member *member);

/* The clock; and the core is told when we slept. First in every hook. */
uint64_t wwri_member_enter(struct wwri_member *member);

/* How a link to Redis is timed, with this lease. */
void wwri_member_timing(struct wwri_pair_opts *timing, uint32_t lease_ms);

/* The same for all memberships of a node, by which its rows are united. Before
 * _start, which sets it else. */
void wwri_member_set_started(struct wwri_member *member, uint64_t unix_ms);

/* member_beat.c */
wwr_err wwri_member_new_boot(struct wwri_boot *out);
void wwri_member_set_boot(struct wwri_member *member, struct wwri_boot boot);
void wwri_member_beat_init(struct wwri_member *member);
/* The link's hooks and the core's table. */
extern const struct wwri_redis_hooks wwri_member_link_hooks;
extern const struct wwri_node_out wwri_member_out;
/* Tell the users that it is live, if it is and they were not. */
void wwri_member_announce(struct wwri_member *member);
void wwri_member_control_lost(struct wwri_member *member,
                              const struct wwri_verdict *verdict);
/* Say good bye; `done` once, soon. */
void wwri_member_bye(struct wwri_member *member, void (*done)(void *user));

/* member_health.c */
void wwri_member_health_init(struct wwri_member *member);
/* Judge anew, and tell. */
void wwri_member_judge(struct wwri_member *member);
/* It has stopped. */
void wwri_member_health_end(struct wwri_member *member);

/* member_watch.c */
void wwri_member_watch_init(struct wwri_member *member);
void wwri_member_watch_start(struct wwri_member *member);
void wwri_member_watch_end(struct wwri_member *member);

/* member_call.c */
enum {
  MEMBER_ENTRIES = WWRI_HISTORY_MAX + 64,
  MEMBER_TOUCHES = 4096,
  MEMBER_TOP_NAMES = 2 * WWRI_TOPS_MAX * (MEMBER_HEAD_MAX + WWRI_CHANNEL_MAX)
};
wwr_err wwri_member_calls_init(struct wwri_member *member);
void wwri_member_calls_deinit(struct wwri_member *member);
/* Something is wrong with Redis, or what is in it: one line a second. */
void wwri_member_complain(struct wwri_member *member, const char *message,
                          struct wwr_view text);
void wwri_member_call(struct wwri_node *node, const struct wwri_call *call);

/* member_channel.c */
extern const struct wwri_channel_sink wwri_member_sink;
bool wwri_member_subscribe(struct wwri_node *node,
                           struct wwri_node_channel *channel, bool on);
void wwri_member_lost_message(struct wwri_publisher *publisher,
                              struct wwr_view channel,
                              const struct wwri_pos *pos);
void wwri_member_published(struct wwri_publisher *publisher, void *cookie,
                           enum wwri_outcome outcome, struct wwri_logid id);
/* Joins the control channel. */
wwr_err wwri_member_channels_init(struct wwri_member *member);
void wwri_member_channels_deinit(struct wwri_member *member);
/* Want the direct channel of this boot, and no longer that of another. */
void wwri_member_direct_renew(struct wwri_member *member);

static inline struct wwri_member *wwri_member_of_node(struct wwri_node *node) {
  return WWRI_CONTAINER(node, struct wwri_member, node);
}

#endif
