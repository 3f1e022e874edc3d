/* link_impl.h - what the files of the link share. */
#ifndef WWRI_REDIS_LINK_IMPL_H
#define WWRI_REDIS_LINK_IMPL_H

#include "hub_impl.h"
#include "link.h"
#include "rconn.h"
#include "sentinel.h"
#include "url.h"

enum { SHA_LEN = 40, SALT_LEN = 16, TOKEN_MAX = 48, BEAT_CHANNEL_MAX = 256 };

/* Said of a server that the URL is wrong about. */
#define WWRI_REDIS_IS_CLUSTER \
  "the server is a node of a Redis Cluster: use redis+cluster://"
#define WWRI_REDIS_IS_NO_CLUSTER \
  "the server is not a node of a Redis Cluster: use redis://"

/* What a reply that has yet to come belongs to. */
enum slot_kind { SLOT_SETUP, SLOT_LOAD, SLOT_BEAT, SLOT_CALL };

struct redis_slot {
  enum slot_kind kind;
  int script;                   /* SLOT_LOAD */
  struct wwri_redis_call *call; /* SLOT_CALL; NULL: cancelled or timed out */
  uint64_t end;     /* where the command ends in the stream of commands */
  uint64_t sent_ms; /* on the pair's clock */
};

struct redis_script {
  const char *text;
  int number; /* the hub's; -1: it had no memory */
  char sha[SHA_LEN + 1];
};

struct redis_side {
  struct wwri_redis *link;
  enum wwri_pair_side which;
  struct wwri_rconn *conn; /* NULL: none */
};

struct wwri_redis {
  struct wwri_loop *loop;
  struct wwri_redis_url url;
  struct wwri_redis_opts opts; /* url points to the one above */
  struct wwr_log log;
  struct wwri_redis_tls_config *tls;

  struct wwri_pair pair;
  struct wwri_timer timer;
  struct wwri_timer drop_timer; /* wwri_redis_drop() */
  const char *drop_why;
  struct redis_side side[WWRI_PAIR_SIDES]; /* unused with a hub */
  size_t conns;                            /* not yet gone */
  struct wwri_hub_port port;               /* used with a hub */
  bool listening; /* the hub's subscriber was asked for the beat's channel */
  bool quiet;     /* the hub says in the log what happens now */
  bool told;      /* the log has it that the link is not well */
  struct wwri_redis_sentinel *sentinel;
  struct wwri_redis_host master;
  bool news; /* a sentinel named it by itself: it counts without asking */
  char replid[WWRI_REPLID_MAX];
  char why[256];
  char refusal[128]; /* what the last beat was answered, "not now"; or empty */
  uint64_t times_live;
  enum wwri_redis_cause logged;

  struct redis_script scripts[WWRI_REDIS_MAX_SCRIPTS];
  int script_count;
  int loads; /* not yet answered */

  struct redis_slot *slots; /* a ring */
  size_t slot_cap;          /* power of two */
  uint64_t slot_first;      /* numbers; the index is modulo slot_cap */
  uint64_t slot_next;

  struct wwri_redis_beat beat;
  char beat_channel[BEAT_CHANNEL_MAX];
  char salt[SALT_LEN + 1];

  struct wwri_subs subs;
  struct wwri_flusher subs_flusher;
  uint64_t subs_progress_ms; /* on the pair's clock */

  bool stopping;
  void (*stop_done)(void *user);
  void *stop_user;
};

/* link.c */

/* The master is known, or is another; or nobody knows it. */
void wwri_redis_found(struct wwri_redis *link,
                      const struct wwri_redis_host *host);
void wwri_redis_not_found(struct wwri_redis *link, enum wwri_redis_cause cause,
                          const char *why);

/* Give the pair an event and do what it says. */
void wwri_redis_feed(struct wwri_redis *link,
                     const struct wwri_pair_input *input);

/* The pair failed: `why` ends up in log and hooks. */
void wwri_redis_fault(struct wwri_redis *link, enum wwri_redis_cause cause,
                      struct wwr_view why);

/* The pair's clock now. */
uint64_t wwri_redis_time(const struct wwri_redis *link);

/* link_side.c: the connections, its own or the hub's */

static inline bool wwri_redis_shares(const struct wwri_redis *link) {
  return link->opts.hub != NULL;
}

/* There are connections. */
bool wwri_redis_has_conns(const struct wwri_redis *link);

/* Begin to connect both; OPENED and FAILED come by themselves. */
void wwri_redis_dial(struct wwri_redis *link);

/* Let go of both, because of `cause`; subscriptions are still known. */
void wwri_redis_take_back(struct wwri_redis *link);
void wwri_redis_hang_up(struct wwri_redis *link);

/* Where to append one command; NULL with *err: nothing can be sent. */
struct wwri_buf *wwri_redis_out(struct wwri_redis *link,
                                enum wwri_pair_side side, wwr_err *err);
/* It was appended; `count` channels, else 1. */
void wwri_redis_sent(struct wwri_redis *link, enum wwri_pair_side side,
                     enum wwri_mux_kind kind, uint32_t count);

/* As wwri_rconn_queued() and _left() of the commands' connection. */
uint64_t wwri_redis_queued(const struct wwri_redis *link);
uint64_t wwri_redis_left(const struct wwri_redis *link);

/* What the hub tells. */
extern const struct wwri_hub_hooks wwri_redis_hub_hooks;

/* link_setup.c */

/* Send what the side's step asks. */
void wwri_redis_send_step(struct wwri_redis *link, enum wwri_pair_side side);

/* The answer to a step that is one command. */
void wwri_redis_step_reply(struct wwri_redis *link, enum wwri_pair_side side,
                           const struct wwri_redis_reply *reply);

/* The hub has loaded all scripts. */
void wwri_redis_scripts_loaded(struct wwri_redis *link);

/* The answer to one SCRIPT LOAD. */
void wwri_redis_load_reply(struct wwri_redis *link, int script,
                           const struct wwri_redis_reply *reply);

/* The cause that an error reply is for the link, `otherwise` for a definite
 * one. */
enum wwri_redis_cause wwri_redis_cause_of(struct wwr_view error,
                                          enum wwri_redis_cause otherwise);

/* link_beat.c */
void wwri_redis_default_beat(struct wwri_redis *link);
void wwri_redis_send_beat(struct wwri_redis *link);
void wwri_redis_beat_reply(struct wwri_redis *link,
                           const struct wwri_redis_reply *reply);
void wwri_redis_beat_message(struct wwri_redis *link, struct wwr_view payload);

/* link_calls.c */

/* Append a command and the slot for its reply, or neither. `script` < 0: argv
 * is the command. Errors: WWR_E_NOMEM, WWR_E_LIMIT. */
wwr_err wwri_redis_push(struct wwri_redis *link, struct redis_slot slot,
                        int script, const struct wwr_view *argv, size_t argc,
                        size_t key_count);

/* A reply on the commands' connection. */
void wwri_redis_command_reply(struct wwri_redis *link,
                              const struct wwri_redis_reply *reply);

/* The commands' connection goes: end every call. Before it is closed. */
void wwri_redis_end_calls(struct wwri_redis *link);

/* True when the oldest reply is overdue. */
bool wwri_redis_calls_overdue(const struct wwri_redis *link);

/* link_subs.c */
void wwri_redis_subs_init(struct wwri_redis *link);

/* A reply on the subscriber's connection. */
void wwri_redis_subscriber_reply(struct wwri_redis *link,
                                 const struct wwri_redis_reply *reply);

/* Send what is to be sent, as far as the window allows. */
void wwri_redis_subs_send(struct wwri_redis *link);

bool wwri_redis_subs_overdue(const struct wwri_redis *link);

#endif
