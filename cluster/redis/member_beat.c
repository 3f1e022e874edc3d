/* member_beat.c - the lease and the identity: what beats carry and bring, and
 * what follows from it.
 *
 * Happy path: the first beat on new connections tells the generation; every
 * other that it is the same.
 *
 * What can go wrong: we were silent for too long, or somebody else beats under
 * our boot id: a new boot id, on new connections. Our settings are not the
 * cluster's: we stay out, say which line differs, and try again, for an
 * operator may change the other side. An answer of another shape: the link is
 * dropped, for that is no server of ours. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "log.h"
#include "member_impl.h"

/* --- boot ids --- */

wwr_err wwri_member_new_boot(struct wwri_boot *out) {
  do {
    if (getrandom(out, sizeof *out, 0) != sizeof *out) return WWR_E_IO;
  } while (out->hi == 0 && out->lo == 0);
  return WWR_OK;
}

void wwri_member_set_boot(struct wwri_member *member, struct wwri_boot boot) {
  wwri_write_boot(boot, member->boot_hex);
  pthread_mutex_lock(&member->lock);
  member->locked.boot = boot;
  pthread_mutex_unlock(&member->lock);
}

/* The system's source worked when we began; should it fail now, an id that is
 * merely new has to do. */
static struct wwri_boot next_boot(struct wwri_node *node) {
  struct wwri_boot boot;
  if (wwri_member_new_boot(&boot) == WWR_OK) return boot;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  boot = node->boot;
  boot.lo += (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  boot.hi ^= boot.lo * 0x9e3779b97f4a7c15u;
  return boot;
}

/* --- the beat --- */

static struct wwr_view number(char *out, size_t cap, uint64_t value) {
  snprintf(out, cap, "%" PRIu64, value);
  return wwr_view_str(out);
}

static void learn_load(struct wwri_member *member) {
  uint64_t load = atomic_load(&member->load);
  number(member->beat.connections, sizeof member->beat.connections, load / 2);
  number(member->beat.draining, sizeof member->beat.draining, load % 2);
}

static size_t make_beat(struct wwr_view token, struct wwr_view *argv,
                        size_t *key_count, void *user) {
  struct wwri_member *member = user;
  if (member->hung) return 0;
  struct member_beat_text *text = &member->beat;
  struct wwri_beat beat;
  wwri_node_beat(&member->node, &beat, wwri_member_enter(member));
  wwri_write_boot(beat.boot, text->boot);
  number(member->connection, sizeof member->connection, beat.connection);
  learn_load(member);
  size_t n = 0;
  argv[n++] = wwri_member_gen_key(member);
  argv[n++] = wwri_member_nodes_key(member);
  argv[n++] =
      wwri_member_key(member, text->node_key, "node", wwr_view_str(text->boot));
  *key_count = n;
  argv[n++] = wwr_view_str(text->channel);
  argv[n++] = token;
  argv[n++] = wwr_view_str(text->boot);
  argv[n++] = wwr_view_str(member->connection);
  argv[n++] = number(text->n, sizeof text->n, beat.n);
  argv[n++] = number(text->lease, sizeof text->lease, member->opts.lease_ms);
  argv[n++] = wwr_view_str(WWRI_LAYOUT);
  argv[n++] = wwr_view_str(member->fingerprint);
  argv[n++] = wwr_view_str(member->name);
  argv[n++] = wwr_view_str(member->address);
  argv[n++] = wwr_view_str(wwr_version());
  argv[n++] = number(text->started, sizeof text->started, member->started_ms);
  argv[n++] = wwr_view_str(text->connections);
  argv[n++] = wwr_view_str(text->draining);
  assert(n <= WWRI_REDIS_MAX_ARGS);
  return n;
}

enum { LINE_MAX_LEN = 43 }; /* two of them fit */

/* "here lease_ms=2000, in the cluster lease_ms=3000": the first of them. */
static void learn_difference(struct wwri_member *member,
                             const struct wwri_redis_reply *reply) {
  struct wwr_view theirs = wwri_redis_reply_text(wwri_redis_reply_at(reply, 1));
  struct wwr_view ours = wwri_redis_reply_text(wwri_redis_reply_at(reply, 2));
  char before[MEMBER_REASON_MAX];
  memcpy(before, member->difference, sizeof before);
  if (theirs.len == 0) theirs = wwr_view_str("nothing");
  if (ours.len == 0) ours = wwr_view_str("nothing");
  snprintf(member->difference, sizeof member->difference,
           "settings disagree: here %.*s, in the cluster %.*s",
           (int)(ours.len < LINE_MAX_LEN ? ours.len : LINE_MAX_LEN),
           (const char *)ours.data,
           (int)(theirs.len < LINE_MAX_LEN ? theirs.len : LINE_MAX_LEN),
           (const char *)theirs.data);
  if (strcmp(before, member->difference) == 0) return;
  wwri_log(&member->opts.log, WWR_LOG_ERROR, 0, "the cluster refuses this node",
           "why", member->difference, MEMBER_SHARD(member), NULL);
}

static bool read_status(struct wwri_member *member,
                        const struct wwri_redis_reply *reply,
                        struct wwri_beat_answer *out) {
  const struct wwri_redis_reply *status = wwri_redis_reply_at(reply, 0);
  size_t count = wwri_redis_reply_count(reply);
  if (wwri_redis_reply_is(status, "disagree") && count >= 3) {
    learn_difference(member, reply);
    out->status = WWRI_REPLY_DISAGREE;
    return true;
  }
  if (wwri_redis_reply_is(status, "ok")) {
    out->status = WWRI_REPLY_OK;
  } else if (wwri_redis_reply_is(status, "fenced")) {
    out->status = WWRI_REPLY_FENCED;
  } else if (wwri_redis_reply_is(status, "clone")) {
    out->status = WWRI_REPLY_CLONE;
  } else {
    return false;
  }
  struct wwr_view generation =
      wwri_redis_reply_text(wwri_redis_reply_at(reply, 1));
  int64_t born = wwri_redis_reply_int(wwri_redis_reply_at(reply, 2));
  int64_t time_ms = wwri_redis_reply_int(wwri_redis_reply_at(reply, 3));
  out->born = (uint64_t)born;
  out->time_ms = time_ms > 0 ? (uint64_t)time_ms : 0;
  return wwri_read_number(generation, &out->generation) && out->generation > 0;
}

static wwr_err on_beat_reply(const struct wwri_redis_reply *reply, void *user) {
  struct wwri_member *member = user;
  struct wwri_beat_answer answer = {0};
  uint64_t now = wwri_member_enter(member);
  if (!read_status(member, reply, &answer)) return WWR_E_PROTOCOL;
  wwri_node_beat_answered(&member->node, &answer, now);
  return WWR_OK;
}

/* What operators hear of the link. */
static void note_link(struct wwri_member *member) {
  struct wwri_redis_stats stats;
  wwri_redis_stats(member->link, &stats);
  pthread_mutex_lock(&member->lock);
  memcpy(member->locked.address, stats.address, sizeof stats.address);
  member->locked.times_live = stats.times_live;
  member->locked.rtt_ms = stats.rtt_ms;
  pthread_mutex_unlock(&member->lock);
}

static wwr_err on_beat_back(struct wwr_view rest, void *user) {
  struct wwri_member *member = user;
  uint64_t generation;
  uint64_t now = wwri_member_enter(member);
  if (!wwri_read_number(rest, &generation)) return WWR_E_PROTOCOL;
  if (!wwri_node_beat_back(&member->node, generation)) return WWR_E_REFUSED;
  atomic_store(&member->beat_ms, now);
  note_link(member);
  return WWR_OK;
}

/* Each boot id has a channel of its own: a clone of this process would hear our
 * beats for its own. */
static void set_beat(struct wwri_member *member) {
  wwri_member_key(member, member->beat.channel, "b",
                  wwr_view_str(member->boot_hex));
  const struct wwri_redis_beat beat = {.channel = member->beat.channel,
                                       .script = member->scripts.beat,
                                       .make = make_beat,
                                       .on_reply = on_beat_reply,
                                       .on_back = on_beat_back,
                                       .user = member};
  wwri_redis_set_beat(member->link, &beat);
}

void wwri_member_beat_init(struct wwri_member *member) {
  struct wwri_member_scripts *it = &member->scripts;
  it->beat = wwri_member_script(member, wwri_script_beat);
  it->bye = wwri_member_script(member, wwri_script_bye);
  it->publish = wwri_member_script(member, wwri_script_publish);
  it->publish_unlogged =
      wwri_member_script(member, wwri_script_publish_unlogged);
  it->range = wwri_member_script(member, wwri_script_range);
  it->open = wwri_member_script(member, wwri_script_open);
  it->tops = wwri_member_script(member, wwri_script_tops);
  it->tops_touch = wwri_member_script(member, wwri_script_tops_touch);
  set_beat(member);
}

/* --- what the link says --- */

static void end_lost(struct wwri_member *member, enum wwri_redis_cause cause,
                     const char *why) {
  wwri_node_link_lost(&member->node, wwri_member_enter(member));
  member->suspect = false;
  member->no_auth = cause == WWRI_CAUSE_AUTH;
  snprintf(member->trouble, sizeof member->trouble, "%s", why);
}

static void tell_lost(struct wwri_member_user *user, void *arg) {
  (void)arg;
  if (user->lost) user->lost(user);
}

static void on_lost(enum wwri_redis_cause cause, const char *why, void *user) {
  struct wwri_member *member = user;
  end_lost(member, cause, why);
  set_beat(member); /* the boot id may be a new one */
  if (member->told_live) {
    member->told_live = false;
    wwri_member_each(member, tell_lost, NULL);
  }
  wwri_member_judge(member);
  wwri_member_stop_check(member);
}

static void on_failed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  on_lost(cause, why, user);
}

static void tell_live(struct wwri_member_user *user, void *arg) {
  if (user->live) user->live(user, *(bool *)arg);
}

static void on_live(const char *replid, bool fresh, void *user) {
  struct wwri_member *member = user;
  (void)replid;
  uint64_t now = wwri_member_enter(member);
  member->suspect = false;
  wwri_node_link_live(&member->node, fresh, now);
  note_link(member);
  if (!fresh && member->told_live) {
    wwri_member_each(member, tell_live, &fresh);
  }
  wwri_member_judge(member);
}

static void on_suspect(void *user) {
  struct wwri_member *member = user;
  uint64_t now = wwri_member_enter(member);
  member->suspect = true;
  snprintf(member->trouble, sizeof member->trouble, "beats are missing");
  wwri_node_link_suspect(&member->node, now);
  wwri_member_judge(member);
}

const struct wwri_redis_hooks wwri_member_link_hooks = {on_live, on_suspect,
                                                        on_lost, on_failed};

/* --- what the core says --- */

static void drop(struct wwri_node *node, const char *why) {
  struct wwri_member *member = wwri_member_of_node(node);
  snprintf(member->trouble, sizeof member->trouble, "%s", why);
  wwri_redis_drop(member->link, why);
  wwri_member_judge(member);
}

static void tell_event(struct wwri_member_user *user, void *arg) {
  if (user->event) user->event(user, *(enum wwri_node_event *)arg);
}

static void tell_control_lost(struct wwri_member_user *user, void *arg) {
  if (user->control_lost) user->control_lost(user, arg);
}

void wwri_member_control_lost(struct wwri_member *member,
                              const struct wwri_verdict *verdict) {
  struct wwri_verdict copy = *verdict;
  wwri_member_each(member, tell_control_lost, &copy);
}

/* The first time only with the control channel: what is closed from then on is
 * heard. */
void wwri_member_announce(struct wwri_member *member) {
  bool fresh = true;
  if (!member->node.live || !member->in_control || member->told_live) return;
  member->told_live = true;
  wwri_member_each(member, tell_live, &fresh);
  wwri_member_judge(member);
}

static void go_live(struct wwri_member *member) {
  member->difference[0] = '\0';
  if (!member->direct) wwri_member_direct_renew(member);
  wwri_member_waiting(member, 0);
  wwri_member_announce(member);
}

static void log_event(struct wwri_member *member, const char *message) {
  char generation[24];
  number(generation, sizeof generation, member->node.generation);
  wwri_log(&member->opts.log, WWR_LOG_WARN, 0, message, "node", member->name,
           "boot", member->boot_hex, "generation", generation,
           MEMBER_SHARD(member), NULL);
}

static void on_event(struct wwri_node *node, enum wwri_node_event event) {
  static const struct wwri_verdict uncertain = {.kind = WWRI_UNCERTAIN};
  struct wwri_member *member = wwri_member_of_node(node);
  switch (event) {
    case WWRI_NODE_LIVE:
      go_live(member);
      return;
    case WWRI_NODE_DOWN: /* users hear it when their calls have ended */
      wwri_member_judge(member);
      return;
    case WWRI_NODE_UNCERTAIN:
      log_event(member, "cluster generation changed");
      wwri_member_control_lost(member, &uncertain);
      break;
    case WWRI_NODE_DATA_LOST:
      log_event(member, "cluster data lost");
      break;
    case WWRI_NODE_FENCED:
      wwri_member_set_boot(member, node->boot);
      log_event(member, "fenced: this node has a new boot id");
      wwri_member_direct_renew(member);
      break;
    case WWRI_NODE_REFUSED:
      wwri_member_waiting(member, 0);
      wwri_member_judge(member);
      break;
  }
  wwri_member_each(member, tell_event, &event);
}

const struct wwri_node_out wwri_member_out = {
    wwri_member_call, wwri_member_subscribe, drop, on_event, next_boot};

/* --- good bye --- */

static void on_bye(struct wwri_redis_call *call,
                   const struct wwri_redis_result *result) {
  struct wwri_member *member = WWRI_CONTAINER(call, struct wwri_member, bye);
  (void)result;
  member->bye_done(member);
}

void wwri_member_bye(struct wwri_member *member, void (*done)(void *user)) {
  char node[WWRI_KEY_NAME_MAX], lease[24];
  struct wwr_view boot = wwr_view_str(member->boot_hex);
  const struct wwr_view argv[] = {
      wwri_member_gen_key(member), wwri_member_nodes_key(member),
      wwri_member_key(member, node, "node", boot), boot,
      number(lease, sizeof lease, member->opts.lease_ms)};
  member->bye = (struct wwri_redis_call){.done = on_bye};
  member->bye_done = done;
  if (!member->node.live ||
      wwri_redis_eval(member->link, &member->bye, member->scripts.bye, argv, 5,
                      3, MEMBER_BYE_MS)) {
    done(member);
  }
}
