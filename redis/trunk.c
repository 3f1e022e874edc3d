/* Happy path: a link that wants a node's trunk gets the one there is, or a new
 * one; its commands go out with everybody's, and the mux knows whose answer
 * comes next. Messages are told apart by the tag in their channel.
 *
 * Failure modes: what makes one of the two connections doubtful ends both, and
 * with them every link on them. An unasked sunsubscribe and a redirection end
 * only the link of that slot. A link that leaves a trunk that goes on takes its
 * subscriptions back; until that is confirmed, messages with its tag are those
 * of its former life. Links are told one after the other, and each may do
 * anything meanwhile; memory goes when the loop has let go of all. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub_impl.h"
#include "log.h"

enum { TICK_MIN_MS = 10, TICK_MAX_MS = 250, TICKS = 8, SAY_MS = 10000 };

/* How often it looks at its clock: often enough for the time-out of replies. */
static uint64_t tick_ms(const struct wwri_trunk *trunk) {
  uint64_t tick = trunk->hub->opts.timing.reply_ms / TICKS;
  if (tick < TICK_MIN_MS) tick = TICK_MIN_MS;
  return tick < TICK_MAX_MS ? tick : TICK_MAX_MS;
}

static struct wwri_hub_port *first_port(const struct wwri_trunk *trunk) {
  if (wwri_list_empty(&trunk->ports)) return NULL;
  return WWRI_CONTAINER(trunk->ports.next, struct wwri_hub_port, attached);
}

bool wwri_trunk_is_ready(const struct wwri_trunk *trunk) {
  return !trunk->closed && !trunk->doomed && trunk->was_ready;
}

/* --- The end ------------------------------------------------------------ */

/* One that was never reached is tried again and again: it is said now and
 * then. */
static bool is_news(const struct wwri_trunk *trunk, size_t links) {
  struct wwri_redis_hub *hub = trunk->hub;
  uint64_t now = wwri_loop_now_ms(hub->loop);
  if (links == 0) return false;
  if (trunk->was_ready) return true;
  if (hub->said_ms && now - hub->said_ms < SAY_MS) return false;
  hub->said_ms = now;
  return true;
}

static void log_end(const struct wwri_trunk *trunk) {
  char where[300];
  char links[16];
  size_t count = 0;
  for (struct wwri_list *it = trunk->ports.next; it != &trunk->ports;
       it = it->next) {
    count++;
  }
  const char *what = trunk->was_ready ? "redis node lost" : "no redis node";
  snprintf(where, sizeof(where), "%s:%u", trunk->host.name, trunk->host.port);
  snprintf(links, sizeof(links), "%zu", count);
  wwri_log(&trunk->hub->log,
           is_news(trunk, count) ? WWR_LOG_WARN : WWR_LOG_DEBUG, 0,
           count > 0 ? what : "redis node left", "address", where, "cause",
           wwri_redis_cause_name(trunk->cause), "why", trunk->why, "partitions",
           links, NULL);
}

static void tell_end(struct wwri_trunk *trunk) {
  struct wwri_hub_port *port;
  while ((port = first_port(trunk))) {
    wwri_list_remove(&port->attached);
    port->hooks->on_ended(trunk->cause, trunk->why, true, port->user);
    assert(port->trunk != trunk);
  }
}

void wwri_trunk_end(struct wwri_trunk *trunk, enum wwri_redis_cause cause,
                    struct wwr_view why) {
  size_t len = why.len < sizeof(trunk->why) ? why.len : sizeof(trunk->why) - 1;
  if (trunk->closed) return;
  trunk->closed = true;
  trunk->cause = cause;
  memmove(trunk->why, why.data, len);
  trunk->why[len] = '\0';
  wwri_list_remove(&trunk->in_hub);
  log_end(trunk);
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    wwri_rconn_close(trunk->side[i].conn);
  }
  /* It frees the trunk; what is asked of it until then is still there. */
  wwri_loop_timer_set(trunk->hub->loop, &trunk->timer, 0);
  tell_end(trunk);
}

static void doom(struct wwri_trunk *trunk, enum wwri_redis_cause cause) {
  if (trunk->closed || trunk->doomed) return;
  trunk->doomed = true;
  trunk->cause = cause;
  snprintf(trunk->why, sizeof(trunk->why),
           "one of its links found it faulty (%s)",
           wwri_redis_cause_name(cause));
  wwri_loop_timer_set(trunk->hub->loop, &trunk->timer, 0);
}

static void bury(struct wwri_trunk *trunk) {
  struct wwri_redis_hub *hub = trunk->hub;
  if (trunk->conns > 0 || first_port(trunk)) return;
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    wwri_mux_deinit(&trunk->side[i].mux);
  }
  free(trunk);
  hub->trunk_count--;
  wwri_hub_gone(hub);
}

/* --- Time --------------------------------------------------------------- */

/* Not before now: what was sent is never taken for older than it is. */
uint64_t wwri_trunk_time(const struct wwri_trunk *trunk) {
  return trunk->clock_ms + tick_ms(trunk);
}

/* A tick that comes late means that the loop stood still and nothing was read:
 * that time does not count. */
static void advance(struct wwri_trunk *trunk) {
  uint64_t now = wwri_loop_now_ms(trunk->hub->loop);
  uint64_t passed = now - trunk->ticked_ms;
  trunk->ticked_ms = now;
  uint64_t most = 2 * tick_ms(trunk);
  trunk->clock_ms += passed < most ? passed : most;
}

static bool is_overdue(const struct wwri_trunk *trunk) {
  const struct wwri_pair_opts *timing = &trunk->hub->opts.timing;
  if (!trunk->was_ready) {
    return trunk->clock_ms - trunk->born_ms >=
           timing->connect_ms + timing->reply_ms;
  }
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    uint64_t oldest = wwri_mux_oldest_ms(&trunk->side[i].mux);
    if (oldest != UINT64_MAX && trunk->clock_ms >= oldest + timing->reply_ms) {
      return true;
    }
  }
  return false;
}

static void on_timer(struct wwri_timer *timer) {
  struct wwri_trunk *trunk = WWRI_CONTAINER(timer, struct wwri_trunk, timer);
  if (trunk->closed) {
    bury(trunk);
    return;
  }
  advance(trunk);
  if (trunk->doomed) {
    char why[sizeof(trunk->why)];
    snprintf(why, sizeof(why), "%s", trunk->why);
    wwri_trunk_end(trunk, trunk->cause, wwr_view_str(why));
  } else if (!first_port(trunk)) {
    wwri_trunk_end(trunk, WWRI_CAUSE_STOPPED, wwr_view_str("not needed"));
  } else if (is_overdue(trunk)) {
    wwri_trunk_end(trunk, WWRI_CAUSE_TIMEOUT,
                   wwr_view_str("a reply took too long"));
  } else {
    wwri_loop_timer_set(trunk->hub->loop, &trunk->timer, tick_ms(trunk));
  }
}

/* --- Answers ------------------------------------------------------------ */

static void wrong(struct trunk_side *side, const char *why) {
  wwri_trunk_end(side->trunk, WWRI_CAUSE_PROTOCOL, wwr_view_str(why));
}

static void hand_on(struct trunk_side *side, void *user,
                    const struct wwri_redis_reply *reply) {
  struct wwri_hub_port *port = user;
  if (user == side->trunk) {
    wwri_trunk_load_reply(side->trunk, reply);
  } else if (port) {
    port->hooks->on_reply(side->which, reply, port->user);
  }
}

static void command_reply(struct trunk_side *side,
                          const struct wwri_redis_reply *reply) {
  void *user = NULL;
  if (wwri_mux_answer(&side->mux, &user) == WWRI_MUX_OURS) {
    hand_on(side, user, reply);
    return;
  }
  struct wwr_view text = wwri_redis_reply_text(reply);
  bool error = wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR;
  wwri_trunk_end(side->trunk, WWRI_CAUSE_PROTOCOL,
                 error ? text : wwr_view_str("an answer to nothing"));
}

static void message(struct trunk_side *side, struct wwri_hub_port *port,
                    const struct wwri_redis_reply *reply) {
  if (port->trunk != side->trunk || side->mux.first < port->stale) return;
  port->hooks->on_reply(side->which, reply, port->user);
}

/* The server took a subscription back: the slot is served elsewhere. */
static void moved_away(struct trunk_side *side, struct wwri_hub_port *port) {
  char why[80];
  if (port->trunk != side->trunk || side->mux.first < port->stale) return;
  snprintf(why, sizeof(why), "slot %u is no longer served there", port->slot);
  port->hooks->on_ended(WWRI_CAUSE_DEMOTED, why, false, port->user);
}

static void confirmation(struct trunk_side *side, bool subscribe,
                         struct wwri_hub_port *port,
                         const struct wwri_redis_reply *reply) {
  void *user = NULL;
  switch (wwri_mux_confirmed(&side->mux, subscribe, port->slot, &user)) {
    case WWRI_MUX_OURS:
      hand_on(side, user, reply);
      break;
    case WWRI_MUX_UNSOLICITED:
      moved_away(side, port);
      break;
    default:
      wrong(side, "a confirmation that is not the next");
  }
}

static void subscriber_error(struct trunk_side *side,
                             const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  struct wwri_redis_host to;
  uint16_t slot = 0;
  void *user = NULL;
  bool moved = wwri_slots_moved(text, &slot, &to);
  switch (wwri_mux_refused(&side->mux, moved, slot, &user)) {
    case WWRI_MUX_OURS:
      hand_on(side, user, reply);
      break;
    case WWRI_MUX_UNSOLICITED:
      break;
    default:
      wwri_trunk_end(side->trunk, WWRI_CAUSE_PROTOCOL, text);
  }
}

static void subscriber_reply(struct trunk_side *side,
                             const struct wwri_redis_reply *reply) {
  const struct wwri_redis_reply *kind = wwri_redis_reply_at(reply, 0);
  struct wwr_view channel =
      wwri_redis_reply_text(wwri_redis_reply_at(reply, 1));
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    subscriber_error(side, reply);
    return;
  }
  struct wwri_hub_port *port = wwri_hub_port_of(side->trunk->hub, channel);
  if (wwri_redis_reply_count(reply) != 3 || !port) {
    wrong(side, "neither a message nor a confirmation of ours");
  } else if (wwri_redis_reply_is(kind, "smessage")) {
    message(side, port, reply);
  } else if (wwri_redis_reply_is(kind, "ssubscribe")) {
    confirmation(side, true, port, reply);
  } else if (wwri_redis_reply_is(kind, "sunsubscribe")) {
    confirmation(side, false, port, reply);
  } else {
    wrong(side, "neither a message nor a confirmation");
  }
}

/* --- The connections ---------------------------------------------------- */

static void on_open(void *user) {
  wwri_trunk_opened(user);
}

static void on_reply(const struct wwri_redis_reply *reply, void *user) {
  struct trunk_side *side = user;
  side->heard_ms = wwri_loop_now_ms(side->trunk->hub->loop);
  if (side->step != TRUNK_READY) {
    wwri_trunk_setup_reply(side, reply);
  } else if (side->which == WWRI_PAIR_COMMANDS) {
    command_reply(side, reply);
  } else {
    subscriber_reply(side, reply);
  }
}

static void on_closed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  struct trunk_side *side = user;
  wwri_trunk_end(side->trunk, cause, wwr_view_str(why));
}

static void on_gone(void *user) {
  struct trunk_side *side = user;
  side->conn = NULL;
  side->trunk->conns--;
  if (side->trunk->closed) {
    wwri_loop_timer_set(side->trunk->hub->loop, &side->trunk->timer, 0);
  }
}

static wwr_err dial(struct trunk_side *side) {
  static const struct wwri_rconn_hooks hooks = {on_open, on_reply, on_closed,
                                                on_gone};
  struct wwri_trunk *trunk = side->trunk;
  const struct wwri_rconn_target target = {
      .host = trunk->host.name,
      .port = trunk->host.port,
      .tls = trunk->hub->tls,
      .tls_name = trunk->hub->url.tls_name};
  wwr_err err = wwri_rconn_new(&side->conn, trunk->hub->loop, &target,
                               trunk->hub->opts.max_out_bytes, &hooks, side);
  if (err == WWR_OK) trunk->conns++;
  return err;
}

static struct wwri_trunk *new_trunk(struct wwri_redis_hub *hub,
                                    const struct wwri_redis_host *host) {
  struct wwri_trunk *trunk = calloc(1, sizeof(*trunk));
  wwr_err err = WWR_OK;
  if (!trunk) return NULL;
  trunk->hub = hub;
  trunk->host = *host;
  trunk->ticked_ms = wwri_loop_now_ms(hub->loop);
  wwri_list_init(&trunk->ports);
  wwri_list_init(&trunk->in_hub);
  wwri_timer_init(&trunk->timer, on_timer);
  hub->trunk_count++;
  for (int i = 0; i < WWRI_PAIR_SIDES && err == WWR_OK; i++) {
    trunk->side[i].trunk = trunk;
    trunk->side[i].which = (enum wwri_pair_side)i;
    err = dial(&trunk->side[i]);
  }
  if (err != WWR_OK) {
    wwri_trunk_end(trunk, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
    return NULL;
  }
  wwri_list_append(&hub->trunks, &trunk->in_hub);
  wwri_loop_timer_set(hub->loop, &trunk->timer, tick_ms(trunk));
  return trunk;
}

static struct wwri_trunk *find_trunk(const struct wwri_redis_hub *hub,
                                     const struct wwri_redis_host *host) {
  for (struct wwri_list *it = hub->trunks.next; it != &hub->trunks;
       it = it->next) {
    struct wwri_trunk *trunk = WWRI_CONTAINER(it, struct wwri_trunk, in_hub);
    if (!trunk->doomed && trunk->host.port == host->port &&
        strcmp(trunk->host.name, host->name) == 0) {
      return trunk;
    }
  }
  return NULL;
}

/* --- The link's use ----------------------------------------------------- */

wwr_err wwri_hub_attach(struct wwri_hub_port *port,
                        const struct wwri_redis_host *host, bool *ready) {
  struct wwri_trunk *trunk = find_trunk(port->hub, host);
  if (!trunk) trunk = new_trunk(port->hub, host);
  if (!trunk) return WWR_E_NOMEM;
  port->trunk = trunk;
  port->wants_scripts = false;
  port->mark = trunk->walk;
  port->stale = trunk->side[WWRI_PAIR_SUBSCRIBER].mux.next;
  wwri_list_append(&trunk->ports, &port->attached);
  *ready = trunk->was_ready;
  return WWR_OK;
}

/* Whether the trunk itself is doubtful when a link ends like this. */
static bool blames_trunk(const struct wwri_trunk *trunk,
                         enum wwri_redis_cause cause) {
  const struct trunk_side *subs = &trunk->side[WWRI_PAIR_SUBSCRIBER];
  switch (cause) {
    case WWRI_CAUSE_PROTOCOL:
    case WWRI_CAUSE_AUTH:
    case WWRI_CAUSE_ROLE:
    case WWRI_CAUSE_REPLID:
    case WWRI_CAUSE_TIMEOUT:
      return trunk->was_ready;
    case WWRI_CAUSE_BEAT: /* its own trouble, unless nobody hears anything */
      return wwri_loop_now_ms(trunk->hub->loop) - subs->heard_ms >=
             trunk->hub->opts.timing.suspect_ms;
    default:
      return false;
  }
}

/* Not when the link's owner, or its own trouble, ended it. */
static bool doubts_map(enum wwri_redis_cause cause) {
  return cause != WWRI_CAUSE_REFUSED && cause != WWRI_CAUSE_SCRIPT &&
         cause != WWRI_CAUSE_NOMEM && cause != WWRI_CAUSE_STOPPED;
}

void wwri_hub_detach(struct wwri_hub_port *port, enum wwri_redis_cause cause) {
  struct wwri_trunk *trunk = port->trunk;
  if (!trunk) return;
  port->trunk = NULL;
  if (doubts_map(cause)) port->doubt = ++port->hub->clock;
  wwri_list_remove(&port->attached);
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    wwri_mux_forget(&trunk->side[i].mux, port);
  }
  if (trunk->closed) {
    wwri_loop_timer_set(port->hub->loop, &trunk->timer, 0);
    return;
  }
  if (cause == WWRI_CAUSE_SCRIPT && trunk->loading == 0) trunk->loaded = 0;
  if (blames_trunk(trunk, cause)) {
    doom(trunk, cause);
  } else if (!first_port(trunk)) {
    wwri_loop_timer_set(port->hub->loop, &trunk->timer, 0);
  }
}

const struct wwri_redis_info *wwri_hub_info(const struct wwri_hub_port *port) {
  return &port->trunk->side[WWRI_PAIR_SUBSCRIBER].info;
}

struct wwri_buf *wwri_hub_out(struct wwri_hub_port *port,
                              enum wwri_pair_side side, wwr_err *err) {
  struct trunk_side *at = &port->trunk->side[side];
  *err = wwri_mux_reserve(&at->mux);
  return *err == WWR_OK ? wwri_rconn_out(at->conn) : NULL;
}

void wwri_hub_sent(struct wwri_hub_port *port, enum wwri_pair_side side,
                   enum wwri_mux_kind kind, uint32_t count) {
  struct trunk_side *at = &port->trunk->side[side];
  wwri_mux_sent(&at->mux, port, kind, port->slot, count,
                wwri_trunk_time(port->trunk));
  wwri_rconn_commit(at->conn);
}

uint64_t wwri_hub_queued(const struct wwri_hub_port *port) {
  return wwri_rconn_queued(port->trunk->side[WWRI_PAIR_COMMANDS].conn);
}

uint64_t wwri_hub_left(const struct wwri_hub_port *port) {
  if (!port->trunk->closed) return UINT64_MAX;
  return wwri_rconn_left(port->trunk->side[WWRI_PAIR_COMMANDS].conn);
}

bool wwri_hub_stays(const struct wwri_hub_port *port) {
  return port->trunk && wwri_trunk_is_ready(port->trunk);
}
