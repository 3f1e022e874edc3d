/* member.c - the life of a membership.
 *
 * Happy path: the loop's thread runs before the first membership; the start
 * makes the link beat; the core is fed by the link's hooks and run at the end
 * of the loop's turn, or when its deadline has come.
 *
 * What can go wrong: the machine slept: the core is told before anything that
 * waited in the sockets is looked at. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "member_impl.h"

static uint64_t clock_ms(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t wwri_member_now(void) {
  return clock_ms(CLOCK_BOOTTIME);
}

uint64_t wwri_member_unix_now(void) {
  return clock_ms(CLOCK_REALTIME);
}

/* --- running the core --- */

static void arm(struct wwri_member *member, uint64_t now) {
  uint64_t due = wwri_node_deadline(&member->node);
  if (due == UINT64_MAX) {
    wwri_loop_timer_cancel(member->loop, &member->timer);
  } else {
    wwri_loop_timer_set(member->loop, &member->timer,
                        due > now ? due - now : 0);
  }
}

static void run_now(struct wwri_member *member) {
  uint64_t now = wwri_member_now();
  if (member->phase == MEMBER_STOPPED) return;
  wwri_node_run(&member->node, now);
  atomic_store_explicit(&member->repaired, member->node.channel_stats.repaired,
                        memory_order_relaxed);
  atomic_store_explicit(&member->duplicates,
                        member->node.channel_stats.duplicates,
                        memory_order_relaxed);
  arm(member, now);
}

static void on_flush(struct wwri_flusher *flusher) {
  run_now(WWRI_CONTAINER(flusher, struct wwri_member, runner));
}

static void on_timer(struct wwri_timer *timer) {
  run_now(WWRI_CONTAINER(timer, struct wwri_member, timer));
}

void wwri_member_run(struct wwri_member *member) {
  wwri_loop_flush_later(member->loop, &member->runner);
}

uint64_t wwri_member_enter(struct wwri_member *member) {
  uint64_t now = wwri_member_now();
  if (now - member->node.run_ms > member->opts.lease_ms / 2) {
    wwri_node_run(&member->node, now);
  }
  wwri_member_run(member);
  return now;
}

/* --- users --- */

void wwri_member_user_add(struct wwri_member *member,
                          struct wwri_member_user *user) {
  assert(member->phase == MEMBER_NEW);
  user->stopped = false;
  wwri_list_append(&member->users, &user->node);
}

void wwri_member_user_remove(struct wwri_member *member,
                             struct wwri_member_user *user) {
  if (member->phase == MEMBER_STOPPING) wwri_member_user_done(member, user);
  wwri_list_remove(&user->node);
}

void wwri_member_each(struct wwri_member *member,
                      void (*fn)(struct wwri_member_user *user, void *arg),
                      void *arg) {
  struct wwri_list *at = member->users.next;
  for (; at != &member->users; at = at->next) {
    fn(WWRI_CONTAINER(at, struct wwri_member_user, node), arg);
  }
}

void wwri_member_waiting(struct wwri_member *member, int change) {
  member->waiting = (unsigned)((int)member->waiting + change);
  /* Who is refused waits for an operator, and nobody gains by haste. */
  bool hurry = member->waiting > 0 && !member->difference[0];
  if (hurry == member->hurried) return;
  member->hurried = hurry;
  wwri_redis_hurry(member->link, hurry);
}

/* --- what it knows --- */

int wwri_member_script(struct wwri_member *member, const char *text) {
  assert(member->phase == MEMBER_NEW);
  return wwri_redis_script(member->link, text);
}

struct wwri_loop *wwri_member_loop(struct wwri_member *member) {
  return member->loop;
}

struct wwri_redis *wwri_member_link(struct wwri_member *member) {
  return member->link;
}

struct wwri_node *wwri_member_node(struct wwri_member *member) {
  return &member->node;
}

bool wwri_member_is_live(const struct wwri_member *member) {
  return member->node.live;
}

bool wwri_member_is_stopping(const struct wwri_member *member) {
  return member->phase >= MEMBER_STOPPING;
}

const struct wwr_cluster_opts *wwri_member_opts(
    const struct wwri_member *member) {
  return &member->opts;
}

const struct wwr_log *wwri_member_log(const struct wwri_member *member) {
  return &member->opts.log;
}

void wwri_member_shard(struct wwri_member *member, struct wwri_bus_shard *out) {
  uint64_t beat = atomic_load(&member->beat_ms), now = wwri_member_now();
  *out = (struct wwri_bus_shard){
      .partitions = member->partitions,
      .slot = member->slot,
      .beat_age_ms = beat && now > beat ? now - beat : 0};
  out->health = wwri_member_health(member, out->reason, sizeof out->reason);
  snprintf(out->name, sizeof out->name, "%s", member->label);
  pthread_mutex_lock(&member->lock);
  memcpy(out->address, member->locked.address, sizeof out->address);
  uint64_t times = member->locked.times_live;
  out->reconnects = times > 1 ? times - 1 : 0;
  out->rtt_ms = member->locked.rtt_ms;
  pthread_mutex_unlock(&member->lock);
}

struct wwri_boot wwri_member_boot(struct wwri_member *member) {
  pthread_mutex_lock(&member->lock);
  struct wwri_boot boot = member->locked.boot;
  pthread_mutex_unlock(&member->lock);
  return boot;
}

const char *wwri_member_boot_hex(const struct wwri_member *member) {
  return member->boot_hex;
}

uint64_t wwri_member_connection(const struct wwri_member *member) {
  return member->node.connection;
}

/* --- keys --- */

/* Data of channels and sessions, which can move to another shard; all but the
 * control channel, whose name no other has. */
static bool moves(const char *kind, struct wwr_view name) {
  static const char *const kinds[] = {"m", "l", "c", "pr", "pi", "s"};
  if (name.len == 0 || name.data[0] == '!') return false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kind, kinds[i]) == 0) return true;
  }
  return false;
}

/* "PREFIX:{TAG}:"; its length. */
static size_t write_head(const struct wwri_member *member,
                         char out[MEMBER_HEAD_MAX], const char *tag) {
  return (size_t)snprintf(out, MEMBER_HEAD_MAX, "%s:{%s}:", member->prefix,
                          tag);
}

struct wwr_view wwri_member_key(const struct wwri_member *member,
                                char buf[WWRI_KEY_NAME_MAX], const char *kind,
                                struct wwr_view name) {
  size_t head = member->head_len, len = strlen(kind);
  if (member->tag_of_name && moves(kind, name)) {
    head = write_head(member, buf, wwri_partition_tag(wwri_partition_of(name)));
  } else {
    memcpy(buf, member->head, head);
  }
  size_t at = head + len;
  assert(at + 1 + name.len < WWRI_KEY_NAME_MAX);
  memcpy(buf + head, kind, len);
  if (name.len) {
    buf[at++] = ':';
    memcpy(buf + at, name.data, name.len);
    at += name.len;
  }
  buf[at] = '\0';
  return (struct wwr_view){(const uint8_t *)buf, at};
}

struct wwr_view wwri_member_gen_key(const struct wwri_member *member) {
  return wwr_view_str(member->gen_key);
}

struct wwr_view wwri_member_nodes_key(const struct wwri_member *member) {
  return wwr_view_str(member->nodes_key);
}

static void make_keys(struct wwri_member *member, const char *tag) {
  member->head_len = write_head(member, member->head, tag);
  snprintf(member->gen_key, sizeof member->gen_key, "%sgen", member->head);
  snprintf(member->nodes_key, sizeof member->nodes_key, "%snodes",
           member->head);
}

/* --- life --- */

static uint32_t least(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

/* Beats must come several times in a lease, however short it is. */
void wwri_member_timing(struct wwri_pair_opts *timing, uint32_t lease_ms) {
  timing->beat_ms = least(timing->beat_ms, lease_ms / 6);
  timing->suspect_ms = least(timing->suspect_ms, lease_ms / 4);
  timing->lost_ms = least(timing->lost_ms, lease_ms / 2);
}

static wwr_err make_link(struct wwri_member *member,
                         const struct wwri_redis_url *url,
                         const struct wwri_member_place *place,
                         const char **why) {
  struct wwri_redis_opts opts;
  wwri_redis_opts_default(&opts);
  opts.url = url;
  opts.hooks = wwri_member_link_hooks;
  opts.user = member;
  opts.log = &member->opts.log;
  opts.hub = place->hub;
  opts.tag = place->hub ? place->tag : NULL;
  wwri_member_timing(&opts.timing, member->opts.lease_ms);
  return wwri_redis_new(&member->link, member->loop, &opts, why);
}

static void make_core(struct wwri_member *member, struct wwri_boot boot) {
  struct wwri_node_config config;
  wwri_node_config_default(&config);
  config.out = &wwri_member_out;
  config.lease_ms = member->opts.lease_ms;
  config.channel.sink = &wwri_member_sink;
  config.publish.hold_ms = member->opts.hold_ms;
  config.publish.done = wwri_member_published;
  config.publish.lost = wwri_member_lost_message;
  /* What waits is bounded by those who call. */
  config.publish.queue_bytes = SIZE_MAX / 2;
  wwri_node_init(&member->node, &config, boot, member, wwri_member_now());
  member->has_core = true;
}

static wwr_err copy_opts(struct wwri_member *member,
                         const struct wwr_cluster_opts *opts,
                         const struct wwri_member_place *place) {
  member->prefix = strdup(opts->prefix);
  member->name = strdup(opts->name);
  member->settings = strdup(place->settings);
  member->label = strdup(place->label);
  member->several = place->several;
  member->first = place->first;
  member->tag_of_name = place->tag_of_name;
  member->partitions = place->partitions;
  member->slot = place->slot;
  member->loop = place->loop;
  member->opts = *opts;
  member->opts.url = NULL; /* it may hold a password */
  member->opts.prefix = member->prefix;
  member->opts.name = member->name;
  bool good =
      member->prefix && member->name && member->settings && member->label;
  return good ? WWR_OK : WWR_E_NOMEM;
}

/* The link comes last: it can only be ended by a loop that runs. */
static wwr_err init(struct wwri_member *member,
                    const struct wwr_cluster_opts *opts,
                    const struct wwri_redis_url *url,
                    const struct wwri_member_place *place, const char **why) {
  struct wwri_boot boot;
  wwr_err err = copy_opts(member, opts, place);
  if (err) return err;
  make_keys(member, place->tag);
  *why = "no random numbers";
  err = wwri_member_new_boot(&boot);
  if (err) return err;
  make_core(member, boot);
  wwri_member_set_boot(member, boot);
  err = wwri_member_calls_init(member);
  if (!err) err = wwri_member_channels_init(member);
  if (!err) err = make_link(member, url, place, why);
  if (!err) wwri_member_beat_init(member);
  return err;
}

wwr_err wwri_member_new(struct wwri_member **out,
                        const struct wwr_cluster_opts *opts,
                        const struct wwri_redis_url *url,
                        const struct wwri_member_place *place,
                        const char **why) {
  struct wwri_member *member = calloc(1, sizeof *member);
  *out = NULL;
  if (!member) return WWR_E_NOMEM;
  pthread_mutex_init(&member->lock, NULL); /* can't fail without attributes */
  wwri_list_init(&member->users);
  wwri_flusher_init_ranked(&member->runner, on_flush, WWRI_RANK_WORK);
  wwri_timer_init(&member->timer, on_timer);
  wwri_member_stop_init(member);
  wwri_member_health_init(member);
  wwri_member_watch_init(member);
  wwr_err err = init(member, opts, url, place, why);
  if (err) {
    if (err == WWR_E_NOMEM) *why = "out of memory";
    wwri_member_free(member);
    return err;
  }
  *out = member;
  return WWR_OK;
}

void wwri_member_free(struct wwri_member *member) {
  if (!member) return;
  wwri_redis_free(member->link);
  if (member->has_core) wwri_node_deinit(&member->node);
  wwri_member_channels_deinit(member);
  wwri_member_calls_deinit(member);
  pthread_mutex_destroy(&member->lock);
  free(member->address);
  free(member->fingerprint);
  free(member->prefix);
  free(member->name);
  free(member->label);
  free(member->settings);
  free(member);
}

/* --- start --- */

/* What all nodes of a cluster must agree on: ours, then the server's. */
static char *make_fingerprint(const struct wwri_member *member,
                              const char *more) {
  enum { LEASE = 32 };
  if (!more) more = "";
  size_t cap = strlen(member->settings) + LEASE + strlen(more);
  char *text = malloc(cap);
  if (!text) return NULL;
  snprintf(text, cap, "%slease_ms=%u\n%s", member->settings,
           (unsigned)member->opts.lease_ms, more);
  return text;
}

struct start {
  struct wwri_mail mail;
  struct wwri_member *member;
};

static void do_start(struct wwri_mail *mail) {
  struct start *start = WWRI_CONTAINER(mail, struct start, mail);
  struct wwri_member *member = start->member;
  free(start);
  if (member->phase != MEMBER_NEW) return;
  member->phase = MEMBER_STARTED;
  member->down_since_ms = wwri_member_now();
  wwri_member_direct_renew(member);
  wwri_member_run(member);
  wwri_member_watch_start(member);
  wwri_redis_start(member->link);
}

void wwri_member_set_started(struct wwri_member *member, uint64_t unix_ms) {
  member->started_ms = unix_ms;
}

wwr_err wwri_member_start(struct wwri_member *member, const char *address,
                          const char *fingerprint) {
  if (member->address) return WWR_E_INVALID;
  struct start *start = malloc(sizeof *start);
  member->address = strdup(address ? address : "");
  member->fingerprint = make_fingerprint(member, fingerprint);
  if (!start || !member->address || !member->fingerprint) {
    free(start);
    return WWR_E_NOMEM;
  }
  *start = (struct start){.mail = {.fn = do_start}, .member = member};
  if (!member->started_ms) member->started_ms = wwri_member_unix_now();
  atomic_store(&member->beat_ms, wwri_member_now());
  wwri_loop_post(member->loop, &start->mail);
  return WWR_OK;
}
