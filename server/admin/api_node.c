/* The node itself, the cluster's nodes, its Redis, draining and reloading. */
#include <stdlib.h>
#include <string.h>

#include "impl.h"

/* --- This node ------------------------------------------------------------ */

static json_t *counters_json(const struct wwr_server *server) {
  struct wwr_server_stats stats;
  struct wwr_cluster_state cluster;
  wwr_server_stats(server, &stats);
  wwr_server_cluster(server, &cluster);
  const struct {
    const char *key;
    uint64_t number;
  } rows[] = {{"accepted", stats.accepted},
              {"refused", stats.refused},
              {"slow_consumers", stats.slow_consumers},
              {"read_timeouts", stats.read_timeouts},
              {"violations", stats.violations},
              {"requests", stats.requests},
              {"signals_received", stats.signals_in},
              {"signals_sent", stats.signals_out},
              {"open_handlers", stats.open_handlers},
              {"queued_bytes", stats.queued_bytes},
              {"channels", cluster.channels},
              {"published", cluster.published},
              {"delivered", cluster.delivered},
              {"repaired", cluster.repaired},
              {"duplicates", cluster.duplicates},
              {"lost", cluster.verdicts[WWR_VERDICT_LOST]},
              {"diverged", cluster.verdicts[WWR_VERDICT_DIVERGED]},
              {"reset", cluster.verdicts[WWR_VERDICT_RESET]},
              {"uncertain", cluster.verdicts[WWR_VERDICT_UNCERTAIN]}};
  json_t *json = json_object();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wwri_json_number(json, rows[i].key, rows[i].number);
  }
  return json;
}

void wwri_api_node(struct wwri_ask *ask) {
  const struct wwri_admin *admin = ask->admin;
  const struct wwr_server *server = admin->opts.server;
  struct wwr_server_stats stats;
  struct wwr_cluster_state cluster;
  struct wwr_drain_state drain;
  wwr_server_stats(server, &stats);
  wwr_server_cluster(server, &cluster);
  wwr_server_drain_state(server, &drain);
  json_t *json = json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:b, s:I, s:I, s:I}", "name",
      admin->name, "version", wwr_version(), "address",
      wwr_server_address(server), "started", (json_int_t)admin->started_ms,
      "uptime", (json_int_t)(wwri_admin_now() - admin->since_ms), "health",
      wwr_health_name(cluster.health), "reason", cluster.reason, "draining",
      (int)drain.draining, "drain_remaining", (json_int_t)drain.remaining,
      "connections", (json_int_t)stats.connections, "sessions",
      (json_int_t)stats.sessions);
  if (json) (void)json_object_set_new(json, "counters", counters_json(server));
  wwri_answer_json(ask, 200, json);
}

/* --- All nodes ------------------------------------------------------------ */

static void on_nodes(wwr_err err, const struct wwr_node_info *nodes,
                     size_t count, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(
        call->json,
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "name", nodes[i].name,
                  "address", nodes[i].address, "version", nodes[i].version,
                  "started", (json_int_t)nodes[i].started_ms, "beat_age",
                  (json_int_t)nodes[i].beat_age_ms, "connections",
                  (json_int_t)nodes[i].connections, "draining",
                  (int)nodes[i].draining));
  }
  wwri_call_post(call);
}

static void got_nodes(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
  } else {
    wwri_answer_json(ask, 200, json_pack("{s:O}", "nodes", call->json));
  }
}

void wwri_api_nodes(struct wwri_ask *ask) {
  struct wwri_call *call = wwri_call_new(ask, got_nodes);
  if (!call) return;
  wwri_call_begun(call,
                  wwr_server_nodes(ask->admin->opts.server, on_nodes, call));
}

/* --- Redis ---------------------------------------------------------------- */

static json_t *shard_json(const struct wwr_shard_row *row) {
  json_t *json =
      json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", row->name, "address",
                row->address, "partitions", (json_int_t)row->partitions,
                "health", wwr_health_name(row->health), "reason", row->reason);
  if (!json) return NULL;
  if (row->slot >= 0) wwri_json_number(json, "slot", (uint64_t)row->slot);
  wwri_json_number(json, "channels", row->channels);
  wwri_json_number(json, "published", row->published);
  wwri_json_number(json, "delivered", row->delivered);
  wwri_json_number(json, "reconnects", row->reconnects);
  wwri_json_number(json, "beat_age", row->beat_age_ms);
  wwri_json_number(json, "rtt", row->rtt_ms);
  return json;
}

void wwri_api_shards(struct wwri_ask *ask) {
  struct wwr_shard_row *rows = calloc(WWR_SHARDS_MAX, sizeof *rows);
  json_t *shards = json_array();
  if (!rows || !shards) {
    wwri_answer_err(ask, WWR_E_NOMEM);
  } else {
    size_t count =
        wwr_server_shards(ask->admin->opts.server, rows, WWR_SHARDS_MAX);
    for (size_t i = 0; i < count; i++)
      (void)json_array_append_new(shards, shard_json(&rows[i]));
    wwri_answer_json(ask, 200, json_pack("{s:O}", "shards", shards));
  }
  json_decref(shards);
  free(rows);
}

/* --- Draining ------------------------------------------------------------- */

static void on_command(wwr_err err, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  wwri_call_post(call);
}

static void commanded(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err == WWR_E_REFUSED) {
    wwri_answer_error(ask, 409, "refused",
                      "that node does not drain by command");
  } else if (call->err == WWR_E_NOT_FOUND) {
    wwri_answer_error(ask, 404, NULL, "no node of that name is alive");
  } else if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
  } else {
    wwri_answer_json(ask, 202, json_pack("{s:b}", "draining", 1));
  }
}

static void drain_by_name(struct wwri_ask *ask, const char *node) {
  struct wwri_call *call = wwri_call_new(ask, commanded);
  if (!call) return;
  wwri_call_begun(call,
                  wwr_server_command(ask->admin->opts.server, node,
                                     wwr_view_str(WWRI_ADMIN_COMMAND_DRAIN),
                                     on_command, call));
}

static void drain_here(struct wwri_ask *ask) {
  const struct wwri_admin_opts *opts = &ask->admin->opts;
  if (!opts->drain) {
    wwri_answer_error(ask, 409, "refused", "this program does not drain");
    return;
  }
  opts->drain(opts->user_data);
  wwri_answer_json(ask, 202, json_pack("{s:b}", "draining", 1));
}

void wwri_api_drain(struct wwri_ask *ask) {
  static const char *const names[] = {"node", NULL};
  json_t *body = wwri_ask_object(ask, names);
  if (!body) return;
  json_t *node = json_object_get(body, "node");
  if (!node) {
    drain_here(ask);
  } else if (!json_is_string(node) || json_string_length(node) == 0 ||
             strlen(json_string_value(node)) != json_string_length(node)) {
    wwri_answer_error(ask, 400, NULL, "node: must be the name of a node");
  } else {
    drain_by_name(ask, json_string_value(node));
  }
  json_decref(body);
}

/* --- Reloading ------------------------------------------------------------ */

void wwri_api_reload(struct wwri_ask *ask) {
  static const char *const names[] = {NULL};
  const struct wwri_admin_opts *opts = &ask->admin->opts;
  char reason[WWRI_ADMIN_REASON_MAX] = "";
  json_t *body = wwri_ask_object(ask, names);
  if (!body) return;
  json_decref(body);
  if (!opts->reload) {
    wwri_answer_error(ask, 409, "refused", "this program does not reload");
  } else if (opts->reload(reason, opts->user_data) == WWR_OK) {
    wwri_answer_json(ask, 202, json_pack("{s:b}", "reloading", 1));
  } else {
    wwri_answer_error(ask, 409, "refused", reason);
  }
}
