/* Happy path: a link of its own server has two connections; a link of a hub
 * has a place on the trunk of its node. The rest of the link does not know.
 *
 * Failure modes: a link that leaves a trunk that goes on takes back what it
 * subscribed there; if even that can't be sent, the trunk goes too. */
#include <string.h>

#include "link_impl.h"

/* --- What happens to connections of its own ----------------------------- */

static void on_open(void *user) {
  struct redis_side *side = user;
  const struct wwri_pair_input input = {.event = WWRI_PAIR_OPENED,
                                        .side = side->which};
  wwri_redis_feed(side->link, &input);
}

static void on_reply(const struct wwri_redis_reply *reply, void *user) {
  struct redis_side *side = user;
  if (side->which == WWRI_PAIR_COMMANDS) {
    wwri_redis_command_reply(side->link, reply);
  } else {
    wwri_redis_subscriber_reply(side->link, reply);
  }
}

/* The connection is closed, but its memory is there until it is gone: what has
 * left can still be asked. */
static void on_closed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  struct redis_side *side = user;
  wwri_redis_fault(side->link, cause, wwr_view_str(why));
}

static void on_gone(void *user) {
  struct redis_side *side = user;
  struct wwri_redis *link = side->link;
  link->conns--;
  if (link->stopping) wwri_loop_timer_set(link->loop, &link->timer, 0);
}

static void dial_own(struct wwri_redis *link) {
  static const struct wwri_rconn_hooks hooks = {on_open, on_reply, on_closed,
                                                on_gone};
  const struct wwri_rconn_target target = {.path = link->url.path,
                                           .host = link->master.name,
                                           .port = link->master.port,
                                           .tls = link->tls,
                                           .tls_name = link->url.tls_name};
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    wwr_err err =
        wwri_rconn_new(&link->side[i].conn, link->loop, &target,
                       link->opts.max_out_bytes, &hooks, &link->side[i]);
    if (err != WWR_OK) {
      wwri_redis_fault(link, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
      return;
    }
    link->conns++;
  }
}

/* --- What the hub tells ------------------------------------------------- */

static void opened(struct wwri_redis *link) {
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    const struct wwri_pair_input input = {.event = WWRI_PAIR_OPENED,
                                          .side = (enum wwri_pair_side)i};
    wwri_redis_feed(link, &input);
  }
}

static void hub_master(const struct wwri_redis_host *host, void *user) {
  wwri_redis_found(user, host);
}

static void hub_none(enum wwri_redis_cause cause, const char *why, void *user) {
  wwri_redis_not_found(user, cause, why);
}

static void hub_ready(void *user) {
  opened(user);
}

static void hub_loaded(void *user) {
  wwri_redis_scripts_loaded(user);
}

static void hub_reply(enum wwri_pair_side side,
                      const struct wwri_redis_reply *reply, void *user) {
  if (side == WWRI_PAIR_COMMANDS) {
    wwri_redis_command_reply(user, reply);
  } else {
    wwri_redis_subscriber_reply(user, reply);
  }
}

static void hub_ended(enum wwri_redis_cause cause, const char *why, bool shared,
                      void *user) {
  struct wwri_redis *link = user;
  link->quiet = shared;
  wwri_redis_fault(link, cause, wwr_view_str(why));
  link->quiet = false;
}

const struct wwri_hub_hooks wwri_redis_hub_hooks = {
    hub_master, hub_none, hub_ready, hub_loaded, hub_reply, hub_ended};

/* --- Connecting --------------------------------------------------------- */

static void dial_hub(struct wwri_redis *link) {
  bool ready = false;
  wwr_err err = wwri_hub_attach(&link->port, &link->master, &ready);
  link->listening = false;
  if (err != WWR_OK) {
    wwri_redis_fault(link, WWRI_CAUSE_NOMEM, wwr_view_str(wwr_err_text(err)));
  } else if (ready) {
    opened(link);
  }
}

void wwri_redis_dial(struct wwri_redis *link) {
  if (wwri_redis_shares(link)) {
    dial_hub(link);
  } else {
    dial_own(link);
  }
}

bool wwri_redis_has_conns(const struct wwri_redis *link) {
  return link->side[WWRI_PAIR_COMMANDS].conn || link->port.trunk;
}

/* --- Letting go --------------------------------------------------------- */

/* SUNSUBSCRIBE `count` channels. False: it can't be sent. */
static bool unsubscribe(struct wwri_redis *link, const struct wwr_view *names,
                        size_t count) {
  wwr_err err = WWR_OK;
  struct wwri_buf *out = wwri_redis_out(link, WWRI_PAIR_SUBSCRIBER, &err);
  if (!out) return false;
  size_t before = out->len;
  err = wwri_resp_begin(out, count + 1);
  if (err == WWR_OK) err = wwri_resp_arg(out, wwr_view_str("SUNSUBSCRIBE"));
  for (size_t i = 0; i < count && err == WWR_OK; i++) {
    err = wwri_resp_arg(out, names[i]);
  }
  if (err != WWR_OK) {
    out->len = before;
    return false;
  }
  wwri_redis_sent(link, WWRI_PAIR_SUBSCRIBER, WWRI_MUX_UNSUBSCRIBE,
                  (uint32_t)count);
  return true;
}

static bool unsubscribe_all(struct wwri_redis *link) {
  struct wwr_view names[WWRI_SUBS_BATCH];
  const struct wwri_list *at = NULL;
  size_t count;
  names[0] = wwr_view_str(link->beat_channel);
  if (link->listening && !unsubscribe(link, names, 1)) return false;
  while ((count = wwri_subs_held(&link->subs, &at, names, WWRI_SUBS_BATCH))) {
    if (!unsubscribe(link, names, count)) return false;
  }
  return true;
}

void wwri_redis_take_back(struct wwri_redis *link) {
  if (!wwri_redis_shares(link) || !wwri_hub_stays(&link->port)) return;
  if (!unsubscribe_all(link)) {
    /* What it would go on to send is nobody's. */
    wwri_hub_detach(&link->port, WWRI_CAUSE_PROTOCOL);
  }
}

void wwri_redis_hang_up(struct wwri_redis *link) {
  struct wwri_rconn *conns[WWRI_PAIR_SIDES];
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) {
    conns[i] = link->side[i].conn;
    link->side[i].conn = NULL;
  }
  for (int i = 0; i < WWRI_PAIR_SIDES; i++) wwri_rconn_close(conns[i]);
  wwri_hub_detach(&link->port, link->pair.cause);
}

/* --- Sending ------------------------------------------------------------ */

struct wwri_buf *wwri_redis_out(struct wwri_redis *link,
                                enum wwri_pair_side side, wwr_err *err) {
  if (wwri_redis_shares(link)) return wwri_hub_out(&link->port, side, err);
  return wwri_rconn_out(link->side[side].conn);
}

void wwri_redis_sent(struct wwri_redis *link, enum wwri_pair_side side,
                     enum wwri_mux_kind kind, uint32_t count) {
  if (wwri_redis_shares(link)) {
    wwri_hub_sent(&link->port, side, kind, count);
  } else {
    wwri_rconn_commit(link->side[side].conn);
  }
}

uint64_t wwri_redis_queued(const struct wwri_redis *link) {
  if (wwri_redis_shares(link)) return wwri_hub_queued(&link->port);
  return wwri_rconn_queued(link->side[WWRI_PAIR_COMMANDS].conn);
}

uint64_t wwri_redis_left(const struct wwri_redis *link) {
  if (wwri_redis_shares(link)) return wwri_hub_left(&link->port);
  return wwri_rconn_left(link->side[WWRI_PAIR_COMMANDS].conn);
}
