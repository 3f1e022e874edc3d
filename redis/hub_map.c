/* Happy path: dial a node, [AUTH], CLUSTER SLOTS, hang up; who waits for the
 * map gets its answer.
 *
 * Failure modes: a node that does not answer in time, is none of a cluster, or
 * talks nonsense is passed over: whoever a redirection named comes first, then
 * the nodes that we are connected to, then all that are known, then the seeds,
 * each round beginning with another of each. After MAP_ROUND_MAX of them the
 * round has failed, and those who wait hear the most telling reason. Rounds
 * keep a distance, so that a map that never settles costs little. */
#include <stdio.h>
#include <string.h>

#include "hub_impl.h"
#include "link_impl.h"
#include "log.h"

enum {
  DISTANCE_MIN_MS = 50, /* between the beginnings of two rounds */
  DISTANCE_MAX_MS = 250,
  CALM_MS = 1000,     /* without a round: the next is the first again */
  REFRESH_MS = 30000, /* also when nobody asks */
  EACH_MIN_MS = 250,
  EACH_PART = 4, /* of connect_ms for each node */
  MAX_OUT = 64 << 10
};

static void try_next(struct wwri_redis_hub *hub);

static void set_timer(struct wwri_redis_hub *hub, uint64_t ms) {
  wwri_loop_timer_set(hub->loop, &hub->map.timer, ms);
}

static void hang_up(struct hub_map *map) {
  struct wwri_rconn *conn = map->conn;
  map->conn = NULL;
  wwri_rconn_close(conn);
}

/* --- Whom to ask -------------------------------------------------------- */

static void add(struct hub_map *map, const struct wwri_redis_host *host) {
  for (size_t i = 0; i < map->round_count; i++) {
    if (map->round[i].port == host->port &&
        strcmp(map->round[i].name, host->name) == 0) {
      return;
    }
  }
  if (map->round_count < MAP_ROUND_MAX) map->round[map->round_count++] = *host;
}

/* Of the nodes that we are connected to those with a number from `first` to
 * `end`; how many there are. */
static size_t add_trunks(struct wwri_redis_hub *hub, size_t first, size_t end) {
  size_t count = 0;
  for (struct wwri_list *it = hub->trunks.next; it != &hub->trunks;
       it = it->next) {
    const struct wwri_trunk *trunk =
        WWRI_CONTAINER(it, struct wwri_trunk, in_hub);
    if (!wwri_trunk_is_ready(trunk)) continue;
    if (count >= first && count < end) add(&hub->map, &trunk->host);
    count++;
  }
  return count;
}

/* Each round begins with another of them, and now and then with none: one that
 * is cut off from the rest of the cluster says for ever what it heard last, and
 * as long as it is believed links go back to it and keep it connected. */
static void plan_trunks(struct wwri_redis_hub *hub) {
  size_t count = add_trunks(hub, 0, 0);
  size_t first = hub->map.turn % (count + 1);
  if (first == count) return;
  add_trunks(hub, first, count);
  add_trunks(hub, 0, first);
}

static void plan_round(struct wwri_redis_hub *hub) {
  struct hub_map *map = &hub->map;
  size_t known = map->slots.count;
  map->round_count = map->round_next = 0;
  if (map->has_hint) add(map, &map->hint);
  map->has_hint = false;
  plan_trunks(hub);
  /* The seeds keep a few places, however many nodes are known. */
  for (size_t i = 0; i < known; i++) {
    if (map->round_count >= MAP_ROUND_MAX - WWRI_REDIS_MAX_HOSTS) break;
    add(map, &map->slots.nodes[(map->turn + i) % known]);
  }
  map->turn++;
  for (size_t i = 0; i < hub->url.host_count; i++) {
    add(map, &hub->url.hosts[(map->turn + i) % hub->url.host_count]);
  }
}

/* --- How a round ends --------------------------------------------------- */

/* Those that wait, each once: hooks may make others wait. */
static void tell(struct wwri_redis_hub *hub,
                 void (*what)(struct wwri_hub_port *port)) {
  size_t count = 0;
  for (struct wwri_list *it = hub->waiting.next; it != &hub->waiting;
       it = it->next) {
    count++;
  }
  for (; count > 0; count--) {
    struct wwri_list *node = wwri_list_pop(&hub->waiting);
    if (!node) return;
    what(WWRI_CONTAINER(node, struct wwri_hub_port, waiting));
  }
}

static void tell_master(struct wwri_hub_port *port) {
  struct hub_map *map = &port->hub->map;
  const struct wwri_redis_host *owner =
      wwri_slots_owner(&map->slots, port->slot);
  char why[80];
  if (map->stamp <= port->doubt) { /* asked for before it was needed */
    wwri_list_append(&port->hub->waiting, &port->waiting);
  } else if (owner) {
    struct wwri_redis_host copy = *owner;
    port->hooks->on_master(&copy, port->user);
  } else {
    snprintf(why, sizeof(why), "slot %u has no master", port->slot);
    port->hooks->on_none(WWRI_CAUSE_RESOLVE, why, port->user);
  }
}

/* A link that waits before it tries again need not: its master is known. */
static bool tell_change(struct wwr_view name, void *value, void *arg) {
  struct wwri_hub_port *port = value;
  const struct wwri_redis_host *owner =
      wwri_slots_owner(&port->hub->map.slots, port->slot);
  (void)name;
  (void)arg;
  if (!port->trunk && wwri_list_empty(&port->waiting) && owner) {
    port->hooks->on_master(owner, port->user);
  }
  return true;
}

static void tell_none(struct wwri_hub_port *port) {
  const struct hub_map *map = &port->hub->map;
  port->hooks->on_none(map->cause, map->why, port->user);
}

static void end_round(struct wwri_redis_hub *hub) {
  struct hub_map *map = &hub->map;
  uint64_t now = wwri_loop_now_ms(hub->loop);
  uint64_t since = now - map->round_ms;
  uint64_t distance = map->distance_ms;
  bool wanted = !wwri_list_empty(&hub->waiting);
  map->step = wanted ? MAP_WAIT : MAP_IDLE;
  if (wanted) {
    set_timer(hub, since < distance ? distance - since : 0);
  } else {
    set_timer(hub, REFRESH_MS);
  }
}

static void log_round(struct wwri_redis_hub *hub, const char *message,
                      enum wwr_log_level level) {
  const struct hub_map *map = &hub->map;
  char masters[16], nodes[16], covered[16];
  snprintf(masters, sizeof(masters), "%zu", map->slots.masters);
  snprintf(nodes, sizeof(nodes), "%zu", map->slots.count);
  snprintf(covered, sizeof(covered), "%zu", map->slots.covered);
  wwri_log(&hub->log, level, 0, message, "masters", masters, "nodes", nodes,
           "slots", covered, "why", map->why[0] ? map->why : NULL, NULL);
}

static void round_failed(struct wwri_redis_hub *hub) {
  struct hub_map *map = &hub->map;
  bool news = map->logged != map->cause;
  map->refused++;
  map->logged = map->cause;
  log_round(hub, "redis cluster does not tell its slots",
            news ? WWR_LOG_WARN : WWR_LOG_DEBUG);
  map->step = MAP_WAIT; /* so that hooks that ask again do not begin anew */
  tell(hub, tell_none);
  end_round(hub);
}

static void round_done(struct wwri_redis_hub *hub, struct wwri_slots *slots) {
  struct hub_map *map = &hub->map;
  bool news = map->logged != WWRI_CAUSE_NONE || map->stamp == 0 ||
              map->slots.covered != slots->covered ||
              map->slots.masters != slots->masters;
  wwri_slots_deinit(&map->slots);
  map->slots = *slots;
  map->stamp = map->round_stamp;
  map->refreshes++;
  map->logged = WWRI_CAUSE_NONE;
  map->why[0] = '\0';
  log_round(hub, "redis cluster", news ? WWR_LOG_INFO : WWR_LOG_DEBUG);
  map->step = MAP_WAIT;
  tell(hub, tell_master);
  wwri_map_each(&hub->ports, tell_change, NULL);
  end_round(hub);
}

/* --- One node ----------------------------------------------------------- */

/* Not reached is the least telling. */
static bool tells_more(enum wwri_redis_cause a, enum wwri_redis_cause than) {
  bool vague = than == WWRI_CAUSE_NONE || than == WWRI_CAUSE_IO ||
               than == WWRI_CAUSE_TIMEOUT || than == WWRI_CAUSE_RESOLVE;
  return a != WWRI_CAUSE_NONE && vague;
}

static const struct wwri_redis_host *current(const struct hub_map *map) {
  return &map->round[map->round_next - 1];
}

static void pass_over(struct wwri_redis_hub *hub, enum wwri_redis_cause cause,
                      struct wwr_view why) {
  struct hub_map *map = &hub->map;
  int len = (int)(why.len < 120 ? why.len : 120);
  hang_up(map);
  if (tells_more(cause, map->cause)) {
    map->cause = cause;
    snprintf(map->why, sizeof(map->why), "%.100s:%u: %.*s", current(map)->name,
             current(map)->port, len, (const char *)why.data);
  }
  try_next(hub);
}

static void send_step(struct wwri_redis_hub *hub, const struct wwr_view *argv,
                      size_t argc, enum map_step step) {
  struct hub_map *map = &hub->map;
  map->step = step;
  if (wwri_resp_command(wwri_rconn_out(map->conn), argv, argc) != WWR_OK) {
    pass_over(hub, WWRI_CAUSE_NOMEM, wwr_view_str("out of memory"));
    return;
  }
  wwri_rconn_commit(map->conn);
}

static void ask(struct wwri_redis_hub *hub) {
  const struct wwr_view argv[] = {wwr_view_str("CLUSTER"),
                                  wwr_view_str("SLOTS")};
  send_step(hub, argv, 2, MAP_ASK);
}

static void on_open(void *user) {
  struct wwri_redis_hub *hub = user;
  struct wwr_view argv[3] = {wwr_view_str("AUTH")};
  size_t argc = 1;
  if (!hub->url.password[0]) {
    ask(hub);
    return;
  }
  if (hub->url.user[0]) argv[argc++] = wwr_view_str(hub->url.user);
  argv[argc++] = wwr_view_str(hub->url.password);
  send_step(hub, argv, argc, MAP_AUTH);
}

static void take_error(struct wwri_redis_hub *hub, struct wwr_view text) {
  static const char disabled[] = "cluster support disabled";
  enum wwri_redis_cause cause = wwri_redis_cause_of(
      text, hub->map.step == MAP_AUTH ? WWRI_CAUSE_AUTH : WWRI_CAUSE_REFUSED);
  if (text.len > 0 &&
      memmem(text.data, text.len, disabled, sizeof(disabled) - 1)) {
    text = wwr_view_str(WWRI_REDIS_IS_NO_CLUSTER);
  }
  pass_over(hub, cause, text);
}

static void take_map(struct wwri_redis_hub *hub,
                     const struct wwri_redis_reply *reply) {
  struct hub_map *map = &hub->map;
  struct wwri_slots slots = {0};
  const char *why = "";
  wwr_err err = wwri_slots_read(&slots, reply, current(map), &why);
  if (err == WWR_OK && slots.covered == 0) {
    err = WWR_E_PROTOCOL;
    why = "no slot has a master: is the cluster made?";
  }
  if (err != WWR_OK) {
    wwri_slots_deinit(&slots);
    pass_over(hub, err == WWR_E_NOMEM ? WWRI_CAUSE_NOMEM : WWRI_CAUSE_PROTOCOL,
              wwr_view_str(err == WWR_E_NOMEM ? "out of memory" : why));
    return;
  }
  hang_up(map);
  round_done(hub, &slots);
}

static void on_reply(const struct wwri_redis_reply *reply, void *user) {
  struct wwri_redis_hub *hub = user;
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    take_error(hub, wwri_redis_reply_text(reply));
  } else if (hub->map.step == MAP_AUTH) {
    ask(hub);
  } else if (hub->map.step == MAP_ASK) {
    take_map(hub, reply);
  } else {
    pass_over(hub, WWRI_CAUSE_PROTOCOL,
              wwr_view_str("it answers what was not asked"));
  }
}

static void on_closed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  struct wwri_redis_hub *hub = user;
  hub->map.conn = NULL; /* it is closed already */
  pass_over(hub, cause, wwr_view_str(why));
}

static void on_gone(void *user) {
  struct wwri_redis_hub *hub = user;
  hub->map.conns--;
  wwri_hub_gone(hub);
}

static uint32_t each_ms(const struct wwri_redis_hub *hub) {
  uint32_t each = hub->opts.timing.connect_ms / EACH_PART;
  return each < EACH_MIN_MS ? EACH_MIN_MS : each;
}

static void try_next(struct wwri_redis_hub *hub) {
  static const struct wwri_rconn_hooks hooks = {on_open, on_reply, on_closed,
                                                on_gone};
  struct hub_map *map = &hub->map;
  if (map->round_next == map->round_count) {
    round_failed(hub);
    return;
  }
  const struct wwri_redis_host *host = &map->round[map->round_next++];
  const struct wwri_rconn_target target = {.host = host->name,
                                           .port = host->port,
                                           .tls = hub->tls,
                                           .tls_name = hub->url.tls_name};
  map->step = MAP_DIAL;
  set_timer(hub, each_ms(hub));
  /* Without memory the time-out goes on to the next. */
  if (wwri_rconn_new(&map->conn, hub->loop, &target, MAX_OUT, &hooks, hub) ==
      WWR_OK) {
    map->conns++;
  }
}

/* --- Rounds ------------------------------------------------------------- */

static void begin_round(struct wwri_redis_hub *hub) {
  struct hub_map *map = &hub->map;
  uint64_t now = wwri_loop_now_ms(hub->loop);
  uint64_t longer = 2 * map->distance_ms;
  if (map->distance_ms == 0 || now - map->round_ms >= CALM_MS) {
    longer = DISTANCE_MIN_MS;
  }
  map->distance_ms = longer < DISTANCE_MAX_MS ? longer : DISTANCE_MAX_MS;
  map->round_stamp = ++hub->clock;
  map->round_ms = now;
  map->cause = WWRI_CAUSE_NONE;
  map->why[0] = '\0';
  plan_round(hub);
  try_next(hub);
}

static void on_timer(struct wwri_timer *timer) {
  struct wwri_redis_hub *hub =
      WWRI_CONTAINER(timer, struct wwri_redis_hub, map.timer);
  if (hub->stopping) return;
  if (hub->map.step == MAP_IDLE || hub->map.step == MAP_WAIT) {
    begin_round(hub);
  } else {
    pass_over(hub, WWRI_CAUSE_TIMEOUT, wwr_view_str("no answer in time"));
  }
}

/* From inside a link's call: a round begins from the loop only. */
void wwri_hub_map_refresh(struct wwri_redis_hub *hub) {
  struct hub_map *map = &hub->map;
  if (map->step != MAP_IDLE || hub->stopping) return;
  uint64_t since = wwri_loop_now_ms(hub->loop) - map->round_ms;
  bool soon = since < map->distance_ms;
  map->step = MAP_WAIT;
  set_timer(hub, soon ? map->distance_ms - since : 0);
}

void wwri_hub_map_init(struct wwri_redis_hub *hub) {
  wwri_timer_init(&hub->map.timer, on_timer);
}

void wwri_hub_map_stop(struct wwri_redis_hub *hub) {
  wwri_loop_timer_cancel(hub->loop, &hub->map.timer);
  hang_up(&hub->map);
}

void wwri_hub_map_deinit(struct wwri_redis_hub *hub) {
  wwri_slots_deinit(&hub->map.slots);
}
