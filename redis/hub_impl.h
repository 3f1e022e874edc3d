/* hub_impl.h - what the files of the hub share, and what the link has of it. */
#ifndef WWRI_REDIS_HUB_IMPL_H
#define WWRI_REDIS_HUB_IMPL_H

#include "answer.h"
#include "hub.h"
#include "list.h"
#include "map.h"
#include "mux.h"
#include "rconn.h"
#include "slots.h"

enum {
  WWRI_HUB_TAG_MAX = 32,
  WWRI_HUB_SCRIPTS_MAX = 64,
  WWRI_HUB_SHA_LEN = 40
};

struct wwri_redis_reply;
struct wwri_redis_tls_config;
struct wwri_trunk;

/* --- A link's place in the hub ------------------------------------------ */

/** What a link hears; from the loop, never from inside a call to the hub. */
struct wwri_hub_hooks {
  /** The answer to wwri_hub_resolve(). */
  void (*on_master)(const struct wwri_redis_host *host, void *user);
  void (*on_none)(enum wwri_redis_cause cause, const char *why, void *user);
  /** The trunk is ready: both connections are on one master. */
  void (*on_ready)(void *user);
  /** All scripts are loaded: the answer to wwri_hub_load(). */
  void (*on_loaded)(void *user);
  void (*on_reply)(enum wwri_pair_side side,
                   const struct wwri_redis_reply *reply, void *user);
  /** The trunk ended, or this slot is no longer there; call
   * wwri_hub_detach(). `shared`: others of the trunk hear it too, and the hub
   * logged it. */
  void (*on_ended)(enum wwri_redis_cause cause, const char *why, bool shared,
                   void *user);
};

/** Embedded in a link; zeroed before wwri_hub_join(). */
struct wwri_hub_port {
  struct wwri_redis_hub *hub; /* NULL: not joined */
  const struct wwri_hub_hooks *hooks;
  void *user;
  char tag[WWRI_HUB_TAG_MAX];
  uint16_t slot;
  struct wwri_list waiting;  /* in the hub's, for the map */
  struct wwri_list attached; /* in the trunk's */
  struct wwri_trunk *trunk;  /* NULL: not attached */
  uint64_t doubt;            /* the map must have been asked for after this */
  uint64_t stale;     /* messages are an earlier life's until mux.first is it */
  unsigned mark;      /* of a walk over the trunk's ports */
  bool wants_scripts; /* to be told when they are loaded */
};

/** WWR_E_INVALID: no such tag. WWR_E_EXISTS: another link has it.
 * WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_hub_join(struct wwri_redis_hub *hub,
                                     struct wwri_hub_port *port,
                                     const char *tag,
                                     const struct wwri_hub_hooks *hooks,
                                     void *user);
/** Detached before. Harmless when it never joined. */
void wwri_hub_leave(struct wwri_hub_port *port);

/** Register a script (borrowed, static); its number. The same text has the same
 * number. Asserts when there are too many. Out of memory: -1. */
int wwri_hub_script(struct wwri_redis_hub *hub, const char *text);
/** Its hash; valid when it was loaded somewhere. */
const char *wwri_hub_sha(const struct wwri_redis_hub *hub, int script);

/** Who has the slot? Known: at once. NULL: a hook will say. */
const struct wwri_redis_host *wwri_hub_resolve(struct wwri_hub_port *port);
/** A redirection was seen: whom to ask first. Any other text is ignored. */
void wwri_hub_hint(struct wwri_redis_hub *hub, struct wwr_view error);

/* --- trunk.c: the link's use of it -------------------------------------- */

/** Use the trunk of that node, a new one if need be; *ready: it is ready
 * already, and on_ready does not come. */
WWR_MUST_CHECK wwr_err wwri_hub_attach(struct wwri_hub_port *port,
                                       const struct wwri_redis_host *host,
                                       bool *ready);
/** Leave it, because of `cause`; answers under way are dropped. What the link
 * has subscribed must have been taken back by then. Harmless when not
 * attached. */
void wwri_hub_detach(struct wwri_hub_port *port, enum wwri_redis_cause cause);

/** What the subscribers' connection said before its first subscription. */
const struct wwri_redis_info *wwri_hub_info(const struct wwri_hub_port *port);

/** True: all scripts are loaded there. False: on_loaded or on_ended comes. */
WWR_MUST_CHECK wwr_err wwri_hub_load(struct wwri_hub_port *port, bool *loaded);

/** Where a command is appended; NULL with *err when nothing can be sent. Then
 * wwri_hub_sent(), exactly once per command. */
struct wwri_buf *wwri_hub_out(struct wwri_hub_port *port,
                              enum wwri_pair_side side, wwr_err *err);
/** `count`: channels of a subscription; else 1. */
void wwri_hub_sent(struct wwri_hub_port *port, enum wwri_pair_side side,
                   enum wwri_mux_kind kind, uint32_t count);
/** As wwri_rconn_queued() and _left(), of the commands' connection. While the
 * trunk lives on, all that was appended will leave. */
uint64_t wwri_hub_queued(const struct wwri_hub_port *port);
uint64_t wwri_hub_left(const struct wwri_hub_port *port);
/** The trunk goes on without this link: it has to clean up behind itself. */
bool wwri_hub_stays(const struct wwri_hub_port *port);

/* --- Inside ------------------------------------------------------------- */

struct hub_script {
  const char *text; /* as registered */
  char *sharded;    /* with SPUBLISH */
  char sha[WWRI_HUB_SHA_LEN + 1];
};

enum map_step { MAP_IDLE, MAP_WAIT, MAP_DIAL, MAP_AUTH, MAP_ASK };
enum { MAP_ROUND_MAX = 64 };

/* Reading the map from one node after the other. */
struct hub_map {
  struct wwri_slots slots;
  uint64_t stamp; /* hub->clock when it was asked for; 0: there is none */
  enum map_step step;
  struct wwri_timer timer;
  struct wwri_rconn *conn; /* NULL: none */
  size_t conns;            /* not yet gone */
  uint64_t round_stamp;
  uint64_t round_ms;
  uint64_t distance_ms; /* from that round to the next; 0: there was none */
  struct wwri_redis_host round[MAP_ROUND_MAX];
  size_t round_count;
  size_t round_next;
  size_t turn; /* where the next round begins among the known */
  struct wwri_redis_host hint;
  bool has_hint;
  enum wwri_redis_cause cause; /* why this round failed so far */
  char why[256];
  enum wwri_redis_cause logged;
  uint64_t refreshes;
  uint64_t refused;
};

struct wwri_redis_hub {
  struct wwri_loop *loop;
  struct wwri_redis_url url;
  struct wwri_redis_hub_opts opts;
  struct wwr_log log;
  struct wwri_redis_tls_config *tls;
  struct wwri_map ports;    /* tag -> port */
  struct wwri_list waiting; /* ports that want the map */
  struct wwri_list trunks;  /* usable */
  size_t trunk_count;       /* all that still have memory */
  uint64_t clock;           /* counts events, for what came after what */
  struct hub_map map;
  struct hub_script scripts[WWRI_HUB_SCRIPTS_MAX];
  int script_count;
  uint64_t said_ms; /* when the log was last told of a node not reached */
  bool stopping;
  struct wwri_timer stop_timer;
  void (*stop_done)(void *user);
  void *stop_user;
};

enum trunk_step { TRUNK_DIAL, TRUNK_AUTH, TRUNK_INFO, TRUNK_READY };

struct trunk_side {
  struct wwri_trunk *trunk;
  enum wwri_pair_side which;
  struct wwri_rconn *conn; /* its memory is there as long as the trunk's */
  enum trunk_step step;
  struct wwri_mux mux;
  struct wwri_redis_info info;
  uint64_t heard_ms; /* on the loop's clock */
};

struct wwri_trunk {
  struct wwri_list in_hub;
  struct wwri_redis_hub *hub;
  struct wwri_redis_host host;
  struct trunk_side side[WWRI_PAIR_SIDES];
  struct wwri_list ports;
  struct wwri_timer timer;
  uint64_t clock_ms; /* stands still when the loop does */
  uint64_t ticked_ms;
  uint64_t born_ms; /* on clock_ms */
  size_t conns;     /* not yet gone */
  unsigned walk;
  int loaded; /* scripts: so many of the hub's */
  int loading;
  bool doomed; /* closes as soon as the loop comes to it */
  bool closed;
  bool was_ready;
  enum wwri_redis_cause cause;
  char why[256];
};

/* trunk.c */

/* Close it for good: all its ports hear it. */
void wwri_trunk_end(struct wwri_trunk *trunk, enum wwri_redis_cause cause,
                    struct wwr_view why);
/* The trunk's clock, to note when something is sent. */
uint64_t wwri_trunk_time(const struct wwri_trunk *trunk);
bool wwri_trunk_is_ready(const struct wwri_trunk *trunk);
/* The port that has a channel's tag; NULL: none of the hub's. */
struct wwri_hub_port *wwri_hub_port_of(const struct wwri_redis_hub *hub,
                                       struct wwr_view channel);
/* A trunk has no memory any more, or a connection of the map is gone. */
void wwri_hub_gone(struct wwri_redis_hub *hub);

/* trunk_setup.c: from connected to ready, and scripts. */
void wwri_trunk_opened(struct trunk_side *side);
void wwri_trunk_setup_reply(struct trunk_side *side,
                            const struct wwri_redis_reply *reply);
void wwri_trunk_load_reply(struct wwri_trunk *trunk,
                           const struct wwri_redis_reply *reply);
/* hub_map.c */
void wwri_hub_map_init(struct wwri_redis_hub *hub);
void wwri_hub_map_refresh(struct wwri_redis_hub *hub);
void wwri_hub_map_stop(struct wwri_redis_hub *hub);
void wwri_hub_map_deinit(struct wwri_redis_hub *hub);

#endif
