/* member.h - one node's membership in a cluster: the link to Redis, the lease
 * that its beats renew, and the identity (boot id) that bus and session store
 * share. A sharded cluster has several, on one thread: one for each Redis, or
 * for each partition of a Redis Cluster. Each is whole: no rule of
 * docs/rules.md spans two of them.
 *
 * Threads: "member thread" is the loop's. _new, _user_add, _script, _start,
 * _stop and _free are for the owner's thread; the rest for the member thread,
 * except where it says otherwise. */
#ifndef WWRI_CLUSTER_MEMBER_H
#define WWRI_CLUSTER_MEMBER_H

#include "bus.h"
#include "link.h"
#include "node.h"
#include "wwr_cluster.h"

enum { WWRI_KEY_NAME_MAX = 512 };

struct wwri_member; /* one of struct wwr_cluster's */

/** A part that lives on the membership. All on the member thread; each may be
 * NULL. Embed it. Inside of these hooks the core (wwri_member_node) must not be
 * fed, except with publishes: wwri_node_publish(), wwri_member_control(). */
struct wwri_member_user {
  /** The link is live, the generation known and the control channel joined;
   * again after it was lost, or suspect (`fresh` false). */
  void (*live)(struct wwri_member_user *user, bool fresh);
  /** It is not. Calls have ended. */
  void (*lost)(struct wwri_member_user *user);
  /** UNCERTAIN, DATA_LOST, FENCED, REFUSED; before `live` that follows. */
  void (*event)(struct wwri_member_user *user, enum wwri_node_event event);
  /** wwri_member_health() changed. */
  void (*health)(struct wwri_member_user *user);
  /** A control message, or that some may have been missed (verdict). */
  void (*control)(struct wwri_member_user *user, struct wwr_view topic,
                  struct wwr_view bytes);
  void (*control_lost)(struct wwri_member_user *user,
                       const struct wwri_verdict *verdict);
  /** Bytes sent to this node alone (`P:{T}:n:BOOT`). */
  void (*direct)(struct wwri_member_user *user, struct wwr_view topic,
                 struct wwr_view bytes);
  /** The membership ends: complete what is open with WWR_E_CLOSED; call
   * wwri_member_user_done() once, now or later (after last writes to Redis, for
   * which the link stays up for at most 2 s). */
  void (*stop)(struct wwri_member_user *user);
  struct wwri_list node;
  bool stopped;
};

/** Join; before _start. */
void wwri_member_user_add(struct wwri_member *member,
                          struct wwri_member_user *user);
void wwri_member_user_done(struct wwri_member *member,
                           struct wwri_member_user *user);

/** Join no more: no hook fires afterwards. Not from inside a hook. */
void wwri_member_user_remove(struct wwri_member *member,
                             struct wwri_member_user *user);

/** The memberships behind the public handle: one, or 2 to WWRI_SHARDS_MAX. Any
 * thread. */
size_t wwri_cluster_members(const struct wwr_cluster *cluster);
struct wwri_member *wwri_cluster_member(struct wwr_cluster *cluster,
                                        size_t index);

/** The index of the one that has a channel, by its name, or a session, by its
 * id. Any thread. */
size_t wwri_cluster_member_for(const struct wwr_cluster *cluster,
                               struct wwr_view name);

/** Register a Lua script (static text); before _start. */
int wwri_member_script(struct wwri_member *member, const char *text);

/** Its loop: post mail to it from any thread. Runs from wwr_cluster_new() until
 * wwr_cluster_free(). */
struct wwri_loop *wwri_member_loop(struct wwri_member *member);

/** The link, for wwri_redis_eval() while live. */
struct wwri_redis *wwri_member_link(struct wwri_member *member);

/** The core. After feeding it: wwri_member_run(), which runs it soon. */
struct wwri_node *wwri_member_node(struct wwri_member *member);
void wwri_member_run(struct wwri_member *member);

bool wwri_member_is_live(const struct wwri_member *member);

/** Since wwri_member_stop() began. */
bool wwri_member_is_stopping(const struct wwri_member *member);

/** Set with wwr_cluster_new(); any thread. */
const struct wwr_cluster_opts *wwri_member_opts(
    const struct wwri_member *member);

/** Its own copy of the options' log. Any thread. */
const struct wwr_log *wwri_member_log(const struct wwri_member *member);

/** CLOCK_BOOTTIME in ms. Any thread. */
uint64_t wwri_member_now(void);

/** Unix time in ms. Any thread. */
uint64_t wwri_member_unix_now(void);

/** This life's boot id; changes when fenced. Any thread. */
struct wwri_boot wwri_member_boot(struct wwri_member *member);

/** The same as 32 hex digits (replies.h). */
const char *wwri_member_boot_hex(const struct wwri_member *member);

/** The number of this connection (struct wwri_call in node.h): scripts that
 * write pass it with the boot id. Changes only while not live. */
uint64_t wwri_member_connection(const struct wwri_member *member);

/** What is published to `P:{T}:n:BOOT` or written into the log of "!ctl" for a
 * topic (at most 255 bytes) and bytes. `out` is initialised here; deinit it,
 * also after an error. Errors: WWR_E_INVALID, WWR_E_NOMEM. Any thread. */
WWR_MUST_CHECK wwr_err wwri_member_encode(struct wwri_buf *out,
                                          struct wwr_view topic,
                                          struct wwr_view bytes);

/** Write the key "PREFIX:{TAG}:KIND:NAME" (":NAME" left out when it is empty).
 * The tag is that of the membership; where the shards are Redis servers of
 * their own, kinds of channels and sessions (m, l, c, pr, pi, s) have that of
 * the partition `name` belongs to, which must be the whole name of the channel
 * or session. The view points into `buf`; the text ends in a NUL. Any
 * thread. */
struct wwr_view wwri_member_key(const struct wwri_member *member,
                                char buf[WWRI_KEY_NAME_MAX], const char *kind,
                                struct wwr_view name);

/** What operators hear of this membership; `channels`, `published` and
 * `delivered` are left to the bus. Any thread. */
void wwri_member_shard(struct wwri_member *member, struct wwri_bus_shard *out);

/** The keys that nearly every script needs: "gen" and "nodes". Any thread. */
struct wwr_view wwri_member_gen_key(const struct wwri_member *member);
struct wwr_view wwri_member_nodes_key(const struct wwri_member *member);

/** Somebody waits: reconnect soon (nesting counter). */
void wwri_member_waiting(struct wwri_member *member, int change);

/** Publish to every node, this one included: logged, in one order. `publish`
 * is the caller's until its `done`, which fires exactly once if this returned
 * WWR_OK. Errors: as wwri_node_publish(). */
struct wwri_member_publish {
  void (*done)(struct wwri_member_publish *publish, enum wwri_outcome outcome,
               struct wwri_logid id);
};
WWR_MUST_CHECK wwr_err wwri_member_control(struct wwri_member *member,
                                           struct wwr_view topic,
                                           struct wwr_view bytes,
                                           struct wwri_member_publish *publish);

/** Health, and the reason as one line for people. Any thread. */
enum wwri_bus_health wwri_member_health(struct wwri_member *member,
                                        char *reason, size_t cap);

/** Begin: what other nodes hear of this one, and what all must agree on
 * ("KEY=VALUE" lines, may be NULL). Once; copied. Errors: WWR_E_INVALID (twice,
 * or stopped), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_member_start(struct wwri_member *member,
                                         const char *address,
                                         const char *fingerprint);

/** What other nodes are told with the next beat; and a word that the server's
 * threads turn, to be said about once a second: after the first one a silence
 * of a third of the lease (at least 5 s) ends the lease until the next. Any
 * thread. */
void wwri_member_load(struct wwri_member *member, uint64_t connections,
                      bool draining);

/** End the membership: users' last writes, a word to the cluster, the link; and
 * wait for it, at most about 3 s, also for several that were begun together.
 * Harmless twice, and when it was never started. Not on the member thread. */
void wwri_member_stop_begin(struct wwri_member *member);
void wwri_member_stop_wait(struct wwri_member *member);

#endif
