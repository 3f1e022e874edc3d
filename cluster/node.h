/* node.h - one node's side of one Redis partition: a pair of links, its beat,
 * its channels, its publishes. CLUSTER.md, R1, R4, R5, R13. Pure: no I/O, no
 * clock; the owner feeds events and carries out what the table asks for.
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

enum { WWRI_TOPS_MAX = 256, WWRI_CALLS_MAX = 512, WWRI_REPLID_LEN = 40 };

enum wwri_link { WWRI_LINK_COMMAND, WWRI_LINK_SUBSCRIBER };

/** Which server a link ended at: INFO's role and master_replid. */
struct wwri_server_id {
  bool master;
  char replid[WWRI_REPLID_LEN + 1];
};

/** X of section 3 of CLUSTER.md, one script each. */
enum wwri_call_kind {
  WWRI_CALL_HELLO,
  WWRI_CALL_BEAT,
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
  struct wwri_list op;    /* node->ops: an operation awaits confirmation */
  struct wwri_timer timer;
  struct wwri_node *owner;
  size_t name_len;
  uint8_t name[];
};

struct wwri_node;

/** One command to send, behind those sent before. Borrowed. */
struct wwri_call {
  enum wwri_call_kind kind;
  struct wwri_boot boot;              /* HELLO, BEAT */
  uint64_t n;                         /* BEAT */
  const struct wwri_publish *publish; /* PUBLISH */
  uint64_t age_ms;                    /* PUBLISH: since it was first sent */
  struct wwr_view channel;            /* OPEN, RANGE */
  struct wwri_logid from;             /* RANGE */
  uint32_t count;                     /* RANGE: entries, OPEN: history */
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
  struct wwri_server_id server;     /* HELLO, BEAT */
  uint64_t generation;              /* HELLO, BEAT */
  uint64_t born;                    /* HELLO: of the data */
  enum wwri_answer answer;          /* PUBLISH, status OK */
  struct wwri_pos pos;              /* PUBLISH: id. OPEN: the top */
  const struct wwri_entry *entries; /* OPEN: history. RANGE */
  size_t count;
  bool more;                   /* RANGE: the count asked for was reached */
  const struct wwri_top *tops; /* TOPS: in the order asked for */
};

enum wwri_node_event {
  WWRI_NODE_LIVE,      /* the pair is live */
  WWRI_NODE_DOWN,      /* ... and no longer */
  WWRI_NODE_UNCERTAIN, /* new generation: verdict for the whole partition */
  WWRI_NODE_DATA_LOST, /* the data was born anew */
  WWRI_NODE_FENCED,    /* we have a new boot id; attach everything again */
  WWRI_NODE_REFUSED    /* our settings disagree with the cluster's */
};

struct wwri_node_out {
  void (*call)(struct wwri_node *node, const struct wwri_call *call);
  /** SUBSCRIBE (true) or UNSUBSCRIBE; name NULL: the node's own channel. */
  void (*subscribe)(struct wwri_node *node, const struct wwr_view *name,
                    bool on);
  /** Drop the link if it is up or coming up, look for the master again, and
   * connect. link_down need not be reported. */
  void (*reconnect)(struct wwri_node *node, enum wwri_link link);
  void (*event)(struct wwri_node *node, enum wwri_node_event event);
  /** 128 random bits. */
  struct wwri_boot (*new_boot)(struct wwri_node *node);
};

struct wwri_node_config {
  const struct wwri_node_out *out;
  struct wwri_channel_config channel; /* sink set by the owner */
  struct wwri_publish_config publish; /* done, lost set by the owner */
  struct wwri_rules rules;
  uint32_t beat_ms;
  uint32_t suspect_ms;
  uint32_t dead_ms;
  uint32_t lease_ms;
  uint32_t audit_ms;
  uint32_t audit_soon_ms; /* after a link event */
  uint32_t touch_ms;      /* a quarter of the log's expiry */
  uint32_t reads;         /* OPEN and RANGE in flight */
};

void wwri_node_config_default(struct wwri_node_config *config);

struct wwri_node_stats {
  uint64_t beats;
  uint64_t reconnects;
  uint64_t generations;
  uint64_t fenced;
  uint64_t audits;
  uint64_t differences; /* channels that an audit sent to the log */
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

  bool command_up; /* connected */
  bool hello_done; /* ... and we know the generation */
  bool subscriber_up;
  bool own_confirmed;
  bool live;
  bool suspect;
  struct wwri_server_id command_server;
  struct wwri_server_id subscriber_server;
  uint64_t generation; /* last known, 0: never */
  uint64_t born;

  uint64_t beat_n;    /* of the last beat sent */
  uint64_t pair_beat; /* the pair is live when this or a later one is heard */
  bool beat_in_flight;
  uint64_t beat_sent_ms;
  uint64_t heard_ms; /* last beat heard, or the pair's beginning */
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
  struct wwri_list ops;
  bool own_op; /* the own channel's SUBSCRIBE is the oldest operation */
  struct wwri_node_stats stats;
};

/** `config` is copied. Both links are down; the owner connects them. */
void wwri_node_init(struct wwri_node *node,
                    const struct wwri_node_config *config,
                    struct wwri_boot boot, void *user, uint64_t now_ms);

/** Free; open publishes end as UNKNOWN, joins are the owner's. */
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

/** wwri_publisher_publish() with the best hint that the node has. */
WWR_MUST_CHECK wwr_err wwri_node_publish(struct wwri_node *node,
                                         struct wwr_view channel,
                                         struct wwr_view data, bool logged,
                                         void *cookie, uint64_t now_ms);

/* --- what happens; follow each with wwri_node_run() --- */

/** A link is connected and authenticated; for the subscriber link `server` was
 * read from it before anything else. */
void wwri_node_link_up(struct wwri_node *node, enum wwri_link link,
                       const struct wwri_server_id *server, uint64_t now_ms);
void wwri_node_link_down(struct wwri_node *node, enum wwri_link link,
                         uint64_t now_ms);

/** The oldest call was answered. */
void wwri_node_reply(struct wwri_node *node, const struct wwri_reply *reply,
                     uint64_t now_ms);

/** The oldest operation of the subscriber link was confirmed. */
void wwri_node_confirmed(struct wwri_node *node);

/** A hint on a channel. */
void wwri_node_hint(struct wwri_node *node, struct wwr_view name,
                    const struct wwri_entry *entry, uint64_t now_ms);

/** A beat on the own channel. */
void wwri_node_heard(struct wwri_node *node, struct wwri_boot boot, uint64_t n,
                     uint64_t generation, uint64_t now_ms);

/** Do and send what is due. Call it before reading any socket after a sleep:
 * it notices when the node slept past its lease. */
void wwri_node_run(struct wwri_node *node, uint64_t now_ms);

/** When to call it next at the latest. */
uint64_t wwri_node_deadline(const struct wwri_node *node);

#endif
