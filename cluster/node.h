/* node.h - one node's side of one Redis partition: its lease, its channels, its
 * publishes. docs/rules.md, R1, R5, R13. Pure: no I/O, no clock; the owner
 * feeds events and carries out what the table asks for.
 *
 * Below it is a link (redis/link.h) that proves itself: live means that what
 * was written through its one connection came back on the other (R4). The node
 * judges what its beats bring: another generation, a fence, other settings; it
 * is live itself when the link is and a beat of these connections was
 * answered.
 *
 * Time: milliseconds of a clock that goes on while the machine sleeps
 * (CLOCK_BOOTTIME). Threads: a node belongs to one. The table's functions must
 * not call back into the node. */
#ifndef WWRI_NODE_H
#define WWRI_NODE_H

#include "channel.h"
#include "map.h"
#include "publisher.h"
#include "timers.h"

enum { WWRI_TOPS_MAX = 256, WWRI_CALLS_MAX = 512, WWRI_BEATS_MAX = 8 };

/** One script each (docs/rules.md). */
enum wwri_call_kind {
  WWRI_CALL_PUBLISH,
  WWRI_CALL_OPEN,
  WWRI_CALL_RANGE,
  WWRI_CALL_TOPS
};

struct wwri_node_channel {
  struct wwri_channel base;
  struct wwri_list all;   /* node->channels */
  struct wwri_list queue; /* node->todo or ->read_queue */
  struct wwri_list top;   /* node->tops */
  struct wwri_list held;  /* publishes that may not go yet (ahead.h) */
  struct wwri_list holds; /* node->holders, while there are some */
  struct wwri_timer timer;
  struct wwri_node *owner;
  size_t name_len;
  uint8_t name[];
};

struct wwri_node;

/** One command to send, behind those sent before. Borrowed. A script that
 * writes does nothing, and answers as if there were no generation, when the
 * boot's last beat was not of this connection: what was written to a connection
 * that is closed may be executed after what was sent on the next. */
struct wwri_call {
  enum wwri_call_kind kind;
  struct wwri_boot boot; /* ours now; a publish may be of an earlier one */
  uint64_t connection;
  const struct wwri_publish *publish; /* PUBLISH */
  uint64_t since_ms;       /* PUBLISH: sent first then or later, by the server's
                              clock; 0: not known */
  struct wwr_view channel; /* OPEN, RANGE */
  struct wwri_logid from;  /* RANGE */
  uint32_t count;          /* RANGE: entries, OPEN: history */
  struct wwri_node_channel *const *channels; /* TOPS */
  size_t channel_count;
  bool touch; /* TOPS: renew the keys' expiry too */
};

enum wwri_status {
  WWRI_REPLY_OK,
  WWRI_REPLY_REFUSED,    /* unavailable (R16); not executed */
  WWRI_REPLY_NOT_MASTER, /* READONLY and its kin: look for the master */
  WWRI_REPLY_NO_GENERATION,
  WWRI_REPLY_FENCED,   /* our beat is old: others may think that we died */
  WWRI_REPLY_CLONE,    /* somebody else beats under our boot id */
  WWRI_REPLY_DISAGREE, /* other settings (fingerprint): we may not join */
  WWRI_REPLY_ERROR     /* not executed and never will be (NOPERM ...) */
};

struct wwri_top {
  bool exists;
  struct wwri_pos pos;
};

struct wwri_reply {
  enum wwri_status status;
  enum wwri_answer answer;          /* PUBLISH, status OK */
  struct wwri_pos pos;              /* PUBLISH: id. OPEN: the top */
  const struct wwri_entry *entries; /* OPEN: history. RANGE */
  size_t count;
  bool more;                   /* RANGE: the count asked for was reached */
  const struct wwri_top *tops; /* TOPS: in the order asked for */
};

enum wwri_node_event {
  WWRI_NODE_LIVE,      /* the link is live and its generation known */
  WWRI_NODE_DOWN,      /* ... and no longer */
  WWRI_NODE_UNCERTAIN, /* new generation: verdict for the whole partition */
  WWRI_NODE_DATA_LOST, /* the data was born anew */
  WWRI_NODE_FENCED,    /* we have a new boot id; attach everything again */
  WWRI_NODE_REFUSED    /* our settings disagree with the cluster's */
};

struct wwri_node_out {
  void (*call)(struct wwri_node *node, const struct wwri_call *call);
  /** Want the channel's messages from the link (`on`), or no more. The link
   * keeps what is wanted across reconnects and says wwri_node_subscribed() each
   * time it is confirmed; after off it says nothing of the channel. False: it
   * can't (no memory, too many) and is asked again; off can't fail. */
  bool (*subscribe)(struct wwri_node *node, struct wwri_node_channel *channel,
                    bool on);
  /** Close the link, look for the master again, and connect; `why` is one
   * static line. The node counts it as lost already; wwri_node_link_lost()
   * follows when it is, not from inside. */
  void (*drop)(struct wwri_node *node, const char *why);
  void (*event)(struct wwri_node *node, enum wwri_node_event event);
  /** 128 random bits. */
  struct wwri_boot (*new_boot)(struct wwri_node *node);
};

struct wwri_node_config {
  const struct wwri_node_out *out;
  struct wwri_channel_config channel; /* sink set by the owner, total by us */
  struct wwri_publish_config publish; /* done, lost set by the owner, settled
                                         by us */
  struct wwri_rules rules;
  uint32_t lease_ms;
  uint32_t audit_ms;
  uint32_t audit_soon_ms; /* after a link event */
  uint32_t touch_ms;      /* a quarter of the log's expiry */
  uint32_t reads;         /* OPEN and RANGE in flight */
};

void wwri_node_config_default(struct wwri_node_config *config);

struct wwri_node_stats {
  uint64_t beats;       /* that came back */
  uint64_t drops;       /* of the link, by us */
  uint64_t generations; /* changes */
  uint64_t audits;
};

struct wwri_call_slot {
  enum wwri_call_kind kind;
  struct wwri_node_channel *channel;
};

struct wwri_node {
  struct wwri_node_config config;
  void *user;
  struct wwri_boot boot;
  struct wwri_publisher publisher;

  bool live;           /* the link is, and we know its generation */
  bool link_live;      /* the link says so */
  bool beating;        /* a beat was sent on these connections */
  bool beat_known;     /* ... and one was answered */
  bool dropping;       /* we asked for it; nothing counts until it is lost */
  uint64_t generation; /* last known, 0: never */
  uint64_t born;
  uint64_t connection; /* how many times `beating` began */
  uint64_t beat_n;     /* of the last beat sent, by this boot */
  uint64_t beat_done;  /* of the last one answered */
  uint64_t beat_sent_ms[WWRI_BEATS_MAX]; /* by number modulo */
  uint64_t server_ms;    /* what the server's clock showed, 0: not known, ... */
  uint64_t server_at_ms; /* ... when that was heard */
  uint64_t run_ms;
  uint64_t audit_at_ms;
  uint64_t touch_at_ms;

  struct wwri_call_slot calls[WWRI_CALLS_MAX]; /* ring, oldest first */
  unsigned call_first;
  unsigned call_count;
  unsigned reads;
  struct wwri_node_channel *tops_sent[WWRI_TOPS_MAX];
  size_t tops_sent_count;

  struct wwri_map by_name;
  struct wwri_timers timers;
  struct wwri_list channels;
  struct wwri_list todo;
  struct wwri_list read_queue;
  struct wwri_list tops;
  struct wwri_list holders;
  struct wwri_node_stats stats;
  struct wwri_channel_stats channel_stats; /* of all, also of former ones */
};

/** `config` is copied. The link is down; the owner starts it. */
void wwri_node_init(struct wwri_node *node,
                    const struct wwri_node_config *config,
                    struct wwri_boot boot, void *user, uint64_t now_ms);

/** Free; open publishes end (wwri_publisher_deinit), joins are the owner's. */
void wwri_node_deinit(struct wwri_node *node);

/* --- wishes --- */

/** The channel of that name, made when there is none (`create`). It lives
 * until nobody wants it. NULL: not there, or no memory. */
struct wwri_node_channel *wwri_node_channel(struct wwri_node *node,
                                            struct wwr_view name, bool create);

/** wwri_channel_join() / _leave() / _pressure() by way of the node. */
WWR_MUST_CHECK wwr_err wwri_node_join(struct wwri_node *node,
                                      struct wwr_view name,
                                      struct wwri_join *join);
void wwri_node_leave(struct wwri_node *node, struct wwr_view name,
                     struct wwri_sub *sub, uint64_t now_ms);
void wwri_node_pressure(struct wwri_node *node, struct wwr_view name,
                        bool full);

/** Make a publish with the best hint that the node has, and submit it: at once
 * or when the node has read enough of the channel's log (ahead.h). Errors: as
 * wwri_publisher_make(). */
WWR_MUST_CHECK wwr_err wwri_node_publish(struct wwri_node *node,
                                         struct wwr_view channel,
                                         struct wwr_view data,
                                         struct wwri_log_limit limit,
                                         void *cookie, uint64_t now_ms);

/* --- what happens; follow each with wwri_node_run() --- */

/** The link is about to send a beat: what it carries. Its script says CLONE
 * and does nothing when `n` is not above the boot's last one. */
struct wwri_beat {
  struct wwri_boot boot;
  uint64_t n;          /* grows with every beat, lost ones too */
  uint64_t connection; /* grows with every new connection (struct wwri_call) */
};
void wwri_node_beat(struct wwri_node *node, struct wwri_beat *out,
                    uint64_t now_ms);

/** The oldest unanswered beat's script was executed, or refused for good. The
 * first one on new connections tells the generation; later ones that it is the
 * same. "Not now" need not be told. */
struct wwri_beat_answer {
  enum wwri_status status;
  uint64_t generation;
  uint64_t born;    /* of the data */
  uint64_t time_ms; /* the server's clock; 0: not known */
};
void wwri_node_beat_answered(struct wwri_node *node,
                             const struct wwri_beat_answer *answer,
                             uint64_t now_ms);

/** A beat came back on the other connection. False: of another generation than
 * we know of; it does not count. */
WWR_MUST_CHECK bool wwri_node_beat_back(struct wwri_node *node,
                                        uint64_t generation);

/** The link is live, on new connections (`fresh`) or after it was suspect. */
void wwri_node_link_live(struct wwri_node *node, bool fresh, uint64_t now_ms);

/** Beats are missing; calls still go out. wwri_node_link_live() or _lost()
 * follows. */
void wwri_node_link_suspect(struct wwri_node *node, uint64_t now_ms);

/** Both connections are gone, or an attempt to connect failed: no call will be
 * answered, no subscription holds; what is wanted will be subscribed again. */
void wwri_node_link_lost(struct wwri_node *node, uint64_t now_ms);

/** The oldest call was answered. */
void wwri_node_reply(struct wwri_node *node, const struct wwri_reply *reply,
                     uint64_t now_ms);

/** A wanted channel is confirmed, on the connection that is live now or is
 * about to be. */
void wwri_node_subscribed(struct wwri_node *node,
                          struct wwri_node_channel *channel);

/** A hint on a channel. */
void wwri_node_hint(struct wwri_node *node, struct wwr_view name,
                    const struct wwri_entry *entry);

/** Do and send what is due. Call it before reading any socket after a sleep:
 * it notices when the node slept past its lease. */
void wwri_node_run(struct wwri_node *node, uint64_t now_ms);

/** When to call it next at the latest. */
uint64_t wwri_node_deadline(const struct wwri_node *node);

#endif
