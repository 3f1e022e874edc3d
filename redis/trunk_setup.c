/* Happy path of a trunk's connection: AUTH, INFO; when both are on the same
 * master of a Redis Cluster, the trunk is ready and its links are told. Scripts
 * are loaded when the first link asks, once for all.
 *
 * Failure modes: an error ends the attempt with the cause that it stands for;
 * an answer of another shape is no Redis. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "hub_impl.h"
#include "link_impl.h"
#include "log.h"

static void end(struct trunk_side *side, enum wwri_redis_cause cause,
                const char *why) {
  wwri_trunk_end(side->trunk, cause, wwr_view_str(why));
}

static wwr_err command(struct trunk_side *side, const struct wwr_view *argv,
                       size_t argc) {
  wwr_err err = wwri_resp_command(wwri_rconn_out(side->conn), argv, argc);
  if (err == WWR_OK) wwri_rconn_commit(side->conn);
  return err;
}

static void send_step(struct trunk_side *side, enum trunk_step step,
                      const struct wwr_view *argv, size_t argc) {
  side->step = step;
  wwr_err err = command(side, argv, argc);
  if (err != WWR_OK) end(side, WWRI_CAUSE_NOMEM, wwr_err_text(err));
}

static void ask_info(struct trunk_side *side) {
  const struct wwr_view argv[] = {wwr_view_str("INFO"),
                                  wwr_view_str("replication"),
                                  wwr_view_str("cluster")};
  send_step(side, TRUNK_INFO, argv, 3);
}

void wwri_trunk_opened(struct trunk_side *side) {
  const struct wwri_redis_url *url = &side->trunk->hub->url;
  struct wwr_view argv[3] = {wwr_view_str("AUTH")};
  size_t argc = 1;
  if (!url->password[0]) {
    ask_info(side);
    return;
  }
  if (url->user[0]) argv[argc++] = wwr_view_str(url->user);
  argv[argc++] = wwr_view_str(url->password);
  send_step(side, TRUNK_AUTH, argv, argc);
}

/* A port that was not visited in this walk; hooks may change the list. */
static struct wwri_hub_port *next_port(struct wwri_trunk *trunk) {
  for (struct wwri_list *it = trunk->ports.next; it != &trunk->ports;
       it = it->next) {
    struct wwri_hub_port *port =
        WWRI_CONTAINER(it, struct wwri_hub_port, attached);
    if (port->mark == trunk->walk) continue;
    port->mark = trunk->walk;
    return port;
  }
  return NULL;
}

static void tell_ready(struct wwri_trunk *trunk) {
  struct wwri_hub_port *port;
  trunk->walk++;
  while (!trunk->closed && (port = next_port(trunk))) {
    port->hooks->on_ready(port->user);
  }
}

static void tell_loaded(struct wwri_trunk *trunk) {
  struct wwri_hub_port *port;
  trunk->walk++;
  while (!trunk->closed && (port = next_port(trunk))) {
    bool wanted = port->wants_scripts;
    port->wants_scripts = false;
    if (wanted) port->hooks->on_loaded(port->user);
  }
}

static void log_ready(const struct wwri_trunk *trunk) {
  char where[300];
  snprintf(where, sizeof(where), "%s:%u", trunk->host.name, trunk->host.port);
  wwri_log(&trunk->hub->log, WWR_LOG_INFO, 0, "redis node found", "address",
           where, "replid", trunk->side[0].info.replid, NULL);
}

static void side_ready(struct trunk_side *side) {
  struct wwri_trunk *trunk = side->trunk;
  side->step = TRUNK_READY;
  if (trunk->side[0].step != TRUNK_READY ||
      trunk->side[1].step != TRUNK_READY) {
    return;
  }
  if (strcmp(trunk->side[0].info.replid, trunk->side[1].info.replid) != 0) {
    end(side, WWRI_CAUSE_REPLID, "the two connections are on two servers");
    return;
  }
  trunk->was_ready = true;
  log_ready(trunk);
  tell_ready(trunk);
}

static void take_info(struct trunk_side *side, struct wwr_view text) {
  if (!wwri_redis_info_parse(text, &side->info)) {
    end(side, WWRI_CAUSE_PROTOCOL,
        "INFO replication without role and replication id");
  } else if (!side->info.cluster) {
    end(side, WWRI_CAUSE_REFUSED, WWRI_REDIS_IS_NO_CLUSTER);
  } else if (!side->info.master) {
    end(side, WWRI_CAUSE_ROLE, "the server is a replica");
  } else {
    side_ready(side);
  }
}

void wwri_trunk_setup_reply(struct trunk_side *side,
                            const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    enum wwri_redis_cause cause = wwri_redis_cause_of(
        text, side->step == TRUNK_AUTH ? WWRI_CAUSE_AUTH : WWRI_CAUSE_REFUSED);
    wwri_trunk_end(side->trunk, cause, text);
  } else if (side->step == TRUNK_INFO) {
    take_info(side, text);
  } else if (side->step == TRUNK_AUTH && wwri_redis_reply_is(reply, "OK")) {
    ask_info(side);
  } else {
    end(side, WWRI_CAUSE_PROTOCOL, "an answer to AUTH that is not OK");
  }
}

/* --- Scripts ------------------------------------------------------------ */

static wwr_err send_load(struct trunk_side *side, int script) {
  const struct wwri_redis_hub *hub = side->trunk->hub;
  const struct wwr_view argv[] = {wwr_view_str("SCRIPT"), wwr_view_str("LOAD"),
                                  wwr_view_str(hub->scripts[script].sharded)};
  wwr_err err = wwri_mux_reserve(&side->mux);
  if (err == WWR_OK) err = command(side, argv, 3);
  if (err == WWR_OK) {
    wwri_mux_sent(&side->mux, side->trunk, WWRI_MUX_CALL, 0, 1,
                  wwri_trunk_time(side->trunk));
  }
  return err;
}

wwr_err wwri_hub_load(struct wwri_hub_port *port, bool *loaded) {
  struct wwri_trunk *trunk = port->trunk;
  wwr_err err = WWR_OK;
  *loaded = trunk->loading == 0 && trunk->loaded == trunk->hub->script_count;
  port->wants_scripts = !*loaded;
  if (*loaded || trunk->loading > 0) return WWR_OK;
  for (int i = trunk->loaded; i < trunk->hub->script_count && err == WWR_OK;
       i++) {
    err = send_load(&trunk->side[WWRI_PAIR_COMMANDS], i);
    if (err == WWR_OK) trunk->loading++;
  }
  return err;
}

static bool is_sha(struct wwr_view text) {
  if (text.len != WWRI_HUB_SHA_LEN) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!isxdigit(text.data[i])) return false;
  }
  return true;
}

void wwri_trunk_load_reply(struct wwri_trunk *trunk,
                           const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  struct hub_script *script = &trunk->hub->scripts[trunk->loaded];
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    wwri_trunk_end(trunk, wwri_redis_cause_of(text, WWRI_CAUSE_SCRIPT), text);
    return;
  }
  if (!is_sha(text)) {
    wwri_trunk_end(trunk, WWRI_CAUSE_PROTOCOL,
                   wwr_view_str("an answer to SCRIPT LOAD that is no hash"));
    return;
  }
  memcpy(script->sha, text.data, WWRI_HUB_SHA_LEN);
  trunk->loaded++;
  if (--trunk->loading == 0) tell_loaded(trunk);
}
