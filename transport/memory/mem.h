/* mem.h - what the parts of the memory transport share.
 *
 * A connection is a pair of pipes in one allocation. Each pipe is touched only
 * on its own loop; they talk by mail. Every mail is embedded in the pair, so
 * nothing but the queue's ring is allocated while they talk.
 *
 * Frames travel in lanes: a pipe has one lane, fills it with frames, posts it
 * to the peer, and gets it back when the peer's user took them all. What is in
 * the lane still counts as queued at the sender, so a peer that does not read
 * makes the sender hit its ceiling as a full socket would.
 *
 * The end: each side posts "gone" as its very last mail to the other's loop.
 * A side that has posted its own and received the peer's is detached: nothing
 * can reach its loop any more. stop() waits for that, which is what makes it
 * safe to stop the loop afterwards. The second side to detach frees the pair.
 */
#ifndef WWRI_MEM_H
#define WWRI_MEM_H

#include <pthread.h>
#include <stdatomic.h>

#include "outq.h"
#include "transport.h"
#include "wwr_memory.h"

enum { WWRI_MEM_LANE_FRAMES = 64, WWRI_MEM_LANE_BYTES = 64 * 1024 };

struct wwri_mem_pipe;
struct wwri_mem_pair;
struct wwri_mem_server;

/** What waits for its pipes and mails: the base of server and dialer. */
struct wwri_mem_owner {
  pthread_mutex_t lock;
  pthread_cond_t idle;
  size_t users; /* guarded by lock */
  /* A pipe of this owner is about to fire closed; its own loop. */
  void (*finished)(struct wwri_mem_pipe *pipe, wwr_err reason);
  /* Nothing can reach that pipe's loop any more; its own loop. */
  void (*detached)(struct wwri_mem_pipe *pipe);
};

/** Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_mem_owner_init(struct wwri_mem_owner *owner);
void wwri_mem_owner_deinit(struct wwri_mem_owner *owner);

/** Count one thing that must end before the owner may stop; any thread. */
void wwri_mem_owner_hold(struct wwri_mem_owner *owner);
/** It ended; the owner may be freed at any moment from here on. */
void wwri_mem_owner_drop(struct wwri_mem_owner *owner);
/** Block until everything ended. */
void wwri_mem_owner_wait(struct wwri_mem_owner *owner);

/** Frames under way to the peer; belongs to whom the mail is with. */
struct wwri_mem_lane {
  struct wwri_mail mail;
  unsigned count;
  unsigned next; /* the first frame not yet delivered */
  struct wwri_frame *frames[WWRI_MEM_LANE_FRAMES];
};

struct wwri_mem_pipe {
  struct wwri_pipe base;
  struct wwri_mem_pipe *peer;
  struct wwri_mem_pair *pair;
  struct wwri_mem_owner *owner;
  struct wwri_list link; /* in its owner's list of pipes on this loop */
  const atomic_uint *max_queued_bytes;
  atomic_ullong *queued_total; /* of all pipes of its side; may be NULL */
  uint32_t close_linger_ms;

  struct wwri_outq queue;
  struct wwri_flusher flusher;
  struct wwri_timer linger;
  struct wwri_mem_lane out;
  bool out_away;
  uint32_t away_bytes;

  struct wwri_mem_lane *in; /* the peer's lane while it is here */

  struct wwri_mail kick; /* to the own loop: events are due */
  struct wwri_mail fin;  /* to the peer: all that was queued has been sent */
  struct wwri_mail gone; /* to the peer: the last mail */

  bool kicked;
  bool held;
  bool paused;
  bool violated;
  bool closing; /* the user called close */
  bool fin_sent;
  bool fin_received;
  bool cut; /* the user called abort, or the pipe gave up by itself */
  wwr_err cut_reason;
  bool finished; /* closed has fired */
  bool gone_received;
};

struct wwri_mem_pair {
  atomic_uint attached; /* sides */
  struct wwri_mem_pipe server;
  struct wwri_mem_pipe client;

  /* The dial: goes to the server's shard and comes back with the answer. */
  struct wwri_mail mail;
  void (*answered)(struct wwri_mail *mail);
  struct wwri_mem_server *to;
  size_t shard;
  void *dialer;
  bool given_up; /* by the dialer, on its loop */
  wwr_err result;
  int http_status;
};

struct wwri_mem_pipe_config {
  struct wwri_loop *loop;
  struct wwri_mem_owner *owner;
  uint32_t max_message_bytes;
  const atomic_uint *max_queued_bytes; /* the owner's */
  atomic_ullong *queued_total;         /* the owner's; may be NULL */
  uint32_t close_linger_ms;
};

/** Prepare one side of a pair, zeroed before. Can't fail. */
void wwri_mem_pipe_init(struct wwri_mem_pipe *pipe, struct wwri_mem_pair *pair,
                        struct wwri_mem_pipe *peer,
                        const struct wwri_mem_pipe_config *config);

/** Fire closed (if a user ever got the pipe) and say goodbye to the peer. Not
 * from inside a call of the user. May free the pair. */
void wwri_mem_pipe_finish(struct wwri_mem_pipe *pipe, wwr_err reason);

struct wwr_memory_hub {
  atomic_uint refs;
  pthread_mutex_t lock;
  struct wwri_mem_server *server; /* guarded by lock; NULL: none listens */
};

struct wwr_memory_hub *wwri_mem_hub_ref(struct wwr_memory_hub *hub);

/** Send a dial to the hub's server; false when there is none. The answer is
 * pair->mail posted to the client's loop with `answered` as its function. */
bool wwri_mem_hub_dial(struct wwr_memory_hub *hub, struct wwri_mem_pair *pair,
                       void (*answered)(struct wwri_mail *mail));

/** In accept.c: choose the shard and count the dial. Under the hub's lock.
 * Returns the loop to post to. */
struct wwri_loop *wwri_mem_server_admit(struct wwri_mem_server *server,
                                        struct wwri_mem_pair *pair);
/** In accept.c: the dial's arrival at its shard. */
void wwri_mem_server_on_dial(struct wwri_mail *mail);

#endif
