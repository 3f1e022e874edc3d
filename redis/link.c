/* Happy path: start; the pair asks for the master, for connections, for the
 * steps of each, for a beat; it is live, and subscriptions are replayed.
 *
 * Failure modes: whatever goes wrong anywhere becomes one FAILED event with a
 * cause and a sentence; the pair answers with CLOSE, and everything that
 * depended on the connections ends in one place, close_both(): calls first,
 * then subscriptions, then the owner hears it. Nothing of that happens inside a
 * call of the owner: start, stop and hurry only set the timer. */
#include "link.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "link_impl.h"
#include "log.h"
#include "tls.h"

enum { RESOLVE_BACKOFF_MAX_MS = 1000, SENTINEL_EACH_MIN_MS = 250 };

uint64_t wwri_redis_time(const struct wwri_redis *link) {
  return wwri_pair_time(&link->pair, wwri_loop_now_ms(link->loop));
}

/* --- What the pair asks for --------------------------------------------- */

static void close_both(struct wwri_redis *link) {
  wwri_redis_end_calls(link); /* asks the connection what has left */
  wwri_flusher_cancel(&link->subs_flusher);
  wwri_redis_take_back(link);
  wwri_subs_disconnected(&link->subs);
  wwri_redis_hang_up(link);
  link->refusal[0] = '\0';
  /* Also one that a subscriber asked for just now. */
  wwri_loop_timer_cancel(link->loop, &link->drop_timer);
}

static void feed_simple(struct wwri_redis *link, enum wwri_pair_event event) {
  const struct wwri_pair_input input = {.event = event};
  wwri_redis_feed(link, &input);
}

static void resolve_by_hub(struct wwri_redis *link) {
  const struct wwri_redis_host *owner = wwri_hub_resolve(&link->port);
  if (!owner) return; /* wwri_redis_found() or _not_found() comes */
  link->master = *owner;
  feed_simple(link, WWRI_PAIR_MASTER);
}

static void resolve(struct wwri_redis *link) {
  if (wwri_redis_shares(link)) {
    resolve_by_hub(link);
    return;
  }
  if (!link->sentinel || link->news) {
    link->news = false;
    feed_simple(link, WWRI_PAIR_MASTER);
    return;
  }
  uint32_t each = link->opts.timing.connect_ms / (uint32_t)link->url.host_count;
  if (each < SENTINEL_EACH_MIN_MS) each = SENTINEL_EACH_MIN_MS;
  wwri_redis_sentinel_ask(link->sentinel, each);
}

/* --- What the owner hears ----------------------------------------------- */

static void address(const struct wwri_redis *link, char *out, size_t cap) {
  if (link->url.path[0]) {
    snprintf(out, cap, "%s", link->url.path);
  } else {
    snprintf(out, cap, "%s:%u", link->master.name, link->master.port);
  }
}

static void log_event(const struct wwri_redis *link, enum wwr_log_level level,
                      const char *message) {
  char where[300];
  address(link, where, sizeof(where));
  wwri_log(&link->log, level, 0, message, "address", where, "replid",
           link->replid[0] ? link->replid : NULL,
           wwri_redis_shares(link) ? "shard" : NULL, link->port.tag, NULL);
}

/* What the hub says for all its links, or nobody needs to know. */
static bool is_said(const struct wwri_redis *link, bool lost) {
  enum wwri_redis_cause cause = link->pair.cause;
  if (!wwri_redis_shares(link)) return false;
  if (link->quiet || link->stopping) return true;
  return !lost && (cause == WWRI_CAUSE_RESOLVE || cause == WWRI_CAUSE_TIMEOUT);
}

/* The same trouble again and again is said once. */
static void log_failure(struct wwri_redis *link, bool lost) {
  char where[300];
  bool news =
      (lost || link->logged != link->pair.cause) && !is_said(link, lost);
  link->logged = link->pair.cause;
  if (news) link->told = true;
  address(link, where, sizeof(where));
  wwri_log(&link->log, news ? WWR_LOG_WARN : WWR_LOG_DEBUG, 0,
           lost ? "redis lost" : "redis not available", "address", where,
           "cause", wwri_redis_cause_name(link->pair.cause), "why", link->why,
           wwri_redis_shares(link) ? "shard" : NULL, link->port.tag, NULL);
}

static void tell_failure(struct wwri_redis *link, bool lost) {
  const struct wwri_redis_hooks *hooks = &link->opts.hooks;
  log_failure(link, lost);
  if (lost && hooks->on_lost) {
    hooks->on_lost(link->pair.cause, link->why, link->opts.user);
  } else if (!lost && hooks->on_failed) {
    hooks->on_failed(link->pair.cause, link->why, link->opts.user);
  }
}

static void go_live(struct wwri_redis *link, bool fresh) {
  /* Of a hub's links only those are news that were missed. */
  bool news = link->told || !wwri_redis_shares(link);
  link->logged = WWRI_CAUSE_NONE;
  link->told = false;
  if (fresh) {
    link->times_live++;
    memcpy(link->replid, link->pair.side[0].replid, sizeof(link->replid));
    wwri_subs_connected(&link->subs);
  }
  log_event(link, news ? WWR_LOG_INFO : WWR_LOG_DEBUG,
            fresh ? "redis live" : "redis live again");
  if (link->opts.hooks.on_live) {
    link->opts.hooks.on_live(link->replid, fresh, link->opts.user);
  }
  wwri_subs_set_live(&link->subs, true);
  wwri_redis_subs_send(link);
}

static void go_suspect(struct wwri_redis *link) {
  link->told = true;
  wwri_subs_set_live(&link->subs, false);
  log_event(link, wwri_redis_shares(link) ? WWR_LOG_INFO : WWR_LOG_WARN,
            "redis is silent");
  if (link->opts.hooks.on_suspect) {
    link->opts.hooks.on_suspect(link->opts.user);
  }
}

/* --- The pair ----------------------------------------------------------- */

static void arm(struct wwri_redis *link) {
  uint64_t due = wwri_pair_due(&link->pair);
  uint64_t now = wwri_loop_now_ms(link->loop);
  if (link->stopping) return;
  if (due == UINT64_MAX) {
    wwri_loop_timer_cancel(link->loop, &link->timer);
  } else {
    wwri_loop_timer_set(link->loop, &link->timer, due > now ? due - now : 0);
  }
}

/* Either nothing follows an action that feeds the pair again, or the pair did
 * not ask for more: pair.c never mixes them. */
static void perform(struct wwri_redis *link, unsigned acts) {
  if (acts & WWRI_ACT_CLOSE) close_both(link);
  if (acts & WWRI_ACT_RESOLVE) resolve(link);
  if (acts & WWRI_ACT_DIAL) wwri_redis_dial(link);
  if (acts & WWRI_ACT_STEP_COMMANDS) {
    wwri_redis_send_step(link, WWRI_PAIR_COMMANDS);
  }
  if (acts & WWRI_ACT_STEP_SUBSCRIBER) {
    wwri_redis_send_step(link, WWRI_PAIR_SUBSCRIBER);
  }
  if (acts & WWRI_ACT_SUSPECT) go_suspect(link);
  if (acts & WWRI_ACT_BEAT) wwri_redis_send_beat(link);
  if (acts & WWRI_ACT_LIVE) go_live(link, true);
  if (acts & WWRI_ACT_RECOVERED) go_live(link, false);
}

static const char *default_why(enum wwri_redis_cause cause) {
  switch (cause) {
    case WWRI_CAUSE_TIMEOUT:
      return "no answer in time";
    case WWRI_CAUSE_BEAT:
      return "beats did not come back";
    case WWRI_CAUSE_RESOLVE:
      return "nobody told in time where the master is";
    case WWRI_CAUSE_ROLE:
      return "the server is a replica";
    case WWRI_CAUSE_REPLID:
      return "the two connections are on two servers";
    case WWRI_CAUSE_SWITCHED:
      return "a sentinel named another master";
    default:
      return "stopped";
  }
}

static void say_why(struct wwri_redis *link) {
  enum wwri_redis_cause cause = link->pair.cause;
  if (cause == WWRI_CAUSE_BEAT && link->refusal[0]) {
    snprintf(link->why, sizeof(link->why), "beats are refused: %s",
             link->refusal);
  } else {
    snprintf(link->why, sizeof(link->why), "%s", default_why(cause));
  }
}

static uint64_t failures(const struct wwri_redis *link) {
  uint64_t sum = 0;
  for (int i = 0; i < WWRI_CAUSES; i++) sum += link->pair.failures[i];
  return sum;
}

void wwri_redis_feed(struct wwri_redis *link,
                     const struct wwri_pair_input *input) {
  uint64_t before = failures(link);
  unsigned acts =
      wwri_pair_input(&link->pair, input, wwri_loop_now_ms(link->loop));
  bool failed = failures(link) != before;
  bool lost = acts & WWRI_ACT_LOST;
  if ((failed || lost) && input->event != WWRI_PAIR_FAILED) say_why(link);
  perform(link, acts);
  if (failed || lost) tell_failure(link, lost);
  arm(link);
}

void wwri_redis_fault(struct wwri_redis *link, enum wwri_redis_cause cause,
                      struct wwr_view why) {
  const struct wwri_pair_input input = {.event = WWRI_PAIR_FAILED,
                                        .cause = cause};
  size_t len = why.len < sizeof(link->why) ? why.len : sizeof(link->why) - 1;
  memmove(link->why, why.data, len);
  link->why[len] = '\0';
  if (wwri_redis_shares(link)) wwri_hub_hint(link->opts.hub, why);
  wwri_redis_feed(link, &input);
}

static void on_drop(struct wwri_timer *timer) {
  struct wwri_redis *link =
      WWRI_CONTAINER(timer, struct wwri_redis, drop_timer);
  wwri_redis_fault(link, WWRI_CAUSE_REFUSED, wwr_view_str(link->drop_why));
}

void wwri_redis_drop(struct wwri_redis *link, const char *why) {
  if (link->stopping || !wwri_redis_has_conns(link)) return;
  link->drop_why = why;
  wwri_loop_timer_set(link->loop, &link->drop_timer, 0);
}

/* --- Who knows the master ----------------------------------------------- */

void wwri_redis_found(struct wwri_redis *link,
                      const struct wwri_redis_host *host) {
  bool same = strcmp(link->master.name, host->name) == 0 &&
              link->master.port == host->port;
  if (link->pair.state == WWRI_PAIR_RESOLVE) {
    link->master = *host;
    feed_simple(link, WWRI_PAIR_MASTER);
  } else if (!same && link->pair.state == WWRI_PAIR_WAIT) {
    feed_simple(link, WWRI_PAIR_SWITCH); /* try at once */
  }
}

void wwri_redis_not_found(struct wwri_redis *link, enum wwri_redis_cause cause,
                          const char *why) {
  if (link->pair.state != WWRI_PAIR_RESOLVE) return;
  link->quiet = wwri_redis_shares(link);
  wwri_redis_fault(link, cause, wwr_view_str(why));
  link->quiet = false;
}

static void on_master(const char *host, uint16_t port, void *user) {
  struct wwri_redis *link = user;
  bool same = strcmp(link->master.name, host) == 0 && link->master.port == port;
  snprintf(link->master.name, sizeof(link->master.name), "%s", host);
  link->master.port = port;
  if (link->pair.state == WWRI_PAIR_RESOLVE) {
    feed_simple(link, WWRI_PAIR_MASTER);
  } else if (!same) {
    /* Not asked again: the next sentinel may not have heard of it yet, and the
     * old master may still answer as one. */
    link->news = true;
    feed_simple(link, WWRI_PAIR_SWITCH);
  }
}

static void on_none(const char *why, void *user) {
  wwri_redis_not_found(user, WWRI_CAUSE_RESOLVE, why);
}

static void on_sentinel_gone(void *user) {
  struct wwri_redis *link = user;
  link->conns--;
  wwri_loop_timer_set(link->loop, &link->timer, 0);
}

/* --- Life --------------------------------------------------------------- */

static void end_stop(struct wwri_redis *link) {
  if (link->pair.state != WWRI_PAIR_STOPPED) {
    feed_simple(link, WWRI_PAIR_STOP);
  }
  wwri_redis_sentinel_free(link->sentinel);
  link->sentinel = NULL;
  if (link->conns > 0) return; /* who is gone comes back here */
  wwri_hub_leave(&link->port);
  wwri_loop_timer_cancel(link->loop, &link->timer);
  void (*done)(void *user) = link->stop_done;
  void *user = link->stop_user;
  link->stop_done = NULL;
  if (done) done(user);
}

static void on_timer(struct wwri_timer *timer) {
  struct wwri_redis *link = WWRI_CONTAINER(timer, struct wwri_redis, timer);
  if (link->stopping) {
    end_stop(link);
    return;
  }
  feed_simple(link, link->pair.state == WWRI_PAIR_STOPPED ? WWRI_PAIR_START
                                                          : WWRI_PAIR_TICK);
  if (wwri_redis_calls_overdue(link) || wwri_redis_subs_overdue(link)) {
    wwri_redis_fault(link, WWRI_CAUSE_TIMEOUT,
                     wwr_view_str("a reply took too long"));
  }
}

void wwri_redis_opts_default(struct wwri_redis_opts *opts) {
  *opts = (struct wwri_redis_opts){
      .max_calls = 65536, .max_out_bytes = 64 << 20, .max_subs = 1000000};
  wwri_pair_opts_default(&opts->timing);
}

static wwr_err add_resolver(struct wwri_redis *link) {
  static const struct wwri_redis_sentinel_hooks hooks = {on_master, on_none,
                                                         on_sentinel_gone};
  struct wwri_pair_opts *timing = &link->opts.timing;
  if (!link->url.sentinel && !wwri_redis_shares(link)) {
    link->master = link->url.hosts[0];
    return WWR_OK;
  }
  /* They are asked at least once a second while it is not live. */
  if (timing->backoff_max_ms > RESOLVE_BACKOFF_MAX_MS) {
    timing->backoff_max_ms = RESOLVE_BACKOFF_MAX_MS;
  }
  if (wwri_redis_shares(link)) {
    link->subs.sharded = true;
    return wwri_hub_join(link->opts.hub, &link->port, link->opts.tag,
                         &wwri_redis_hub_hooks, link);
  }
  return wwri_redis_sentinel_new(&link->sentinel, link->loop, &link->url,
                                 link->tls, &hooks, link);
}

static wwr_err init(struct wwri_redis *link, const char **why) {
  uint64_t seed;
  struct wwri_pair_opts *timing = &link->opts.timing;
  if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) return WWR_E_IO;
  snprintf(link->salt, sizeof(link->salt), "%016" PRIx64, seed);
  if (link->url.tls && !wwri_redis_shares(link)) {
    wwr_err err = wwri_redis_tls_config_new(&link->tls, &link->url, why);
    if (err != WWR_OK) return err;
  }
  wwr_err err = add_resolver(link);
  if (err != WWR_OK) return err;
  if (link->sentinel) link->conns++; /* so it counts until it is gone */
  wwri_redis_default_beat(link);
  timing->auth = link->url.password[0] != '\0' && !wwri_redis_shares(link);
  timing->select = link->url.db != 0 && !wwri_redis_shares(link);
  timing->scripts = true; /* at least the beat's */
  wwri_pair_init(&link->pair, timing, seed);
  return WWR_OK;
}

wwr_err wwri_redis_new(struct wwri_redis **out, struct wwri_loop *loop,
                       const struct wwri_redis_opts *opts, const char **why) {
  struct wwri_redis *link = calloc(1, sizeof(*link));
  *out = NULL;
  *why = "out of memory";
  if (!link) return WWR_E_NOMEM;
  if (opts->url->cluster && !opts->hub) {
    free(link);
    *why = "a Redis Cluster needs a hub";
    return WWR_E_INVALID;
  }
  link->loop = loop;
  link->url = *opts->url;
  link->opts = *opts;
  link->opts.url = &link->url;
  if (opts->log) link->log = *opts->log;
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    link->side[i].link = link;
    link->side[i].which = (enum wwri_pair_side)i;
  }
  wwri_redis_subs_init(link);
  wwri_timer_init(&link->timer, on_timer);
  wwri_timer_init(&link->drop_timer, on_drop);
  wwr_err err = init(link, why);
  if (err != WWR_OK) {
    wwri_redis_free(link);
    return err;
  }
  *out = link;
  return WWR_OK;
}

void wwri_redis_set_log_level(struct wwri_redis *link,
                              enum wwr_log_level level) {
  wwri_log_set_level(&link->log, level);
}

int wwri_redis_script(struct wwri_redis *link, const char *text) {
  for (int i = 0; i < link->script_count; i++) {
    if (strcmp(link->scripts[i].text, text) == 0) return i;
  }
  assert(link->script_count < WWRI_REDIS_MAX_SCRIPTS);
  struct redis_script *script = &link->scripts[link->script_count];
  script->text = text;
  script->number =
      wwri_redis_shares(link) ? wwri_hub_script(link->opts.hub, text) : -1;
  return link->script_count++;
}

void wwri_redis_start(struct wwri_redis *link) {
  wwri_loop_timer_set(link->loop, &link->timer, 0);
}

void wwri_redis_stop(struct wwri_redis *link, void (*done)(void *user),
                     void *user) {
  link->stopping = true;
  link->stop_done = done;
  link->stop_user = user;
  wwri_loop_timer_set(link->loop, &link->timer, 0);
}

void wwri_redis_free(struct wwri_redis *link) {
  if (!link) return;
  wwri_hub_leave(&link->port);
  free(link->slots);
  wwri_subs_deinit(&link->subs);
  wwri_redis_tls_config_free(link->tls);
  free(link);
}

void wwri_redis_hurry(struct wwri_redis *link, bool waiting) {
  wwri_pair_set_waiting(&link->pair, waiting, wwri_loop_now_ms(link->loop));
  if (link->pair.state != WWRI_PAIR_STOPPED) arm(link);
}

void wwri_redis_stats(const struct wwri_redis *link,
                      struct wwri_redis_stats *out) {
  const struct wwri_pair *pair = &link->pair;
  uint64_t now = wwri_redis_time(link);
  *out = (struct wwri_redis_stats){.state = pair->state,
                                   .rtt_ms = pair->rtt_ms,
                                   .beat_age_ms = now - pair->back_ms,
                                   .times_live = link->times_live,
                                   .subs_on = link->subs.on};
  out->calls = (size_t)(link->slot_next - link->slot_first);
  memcpy(out->failures, pair->failures, sizeof(out->failures));
  snprintf(out->replid, sizeof(out->replid), "%s", link->replid);
  snprintf(out->why, sizeof(out->why), "%s", link->why);
  address(link, out->address, sizeof(out->address));
}
