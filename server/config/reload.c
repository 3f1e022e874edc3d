/* Reading the options again in a running server.
 *
 * Happy path: command line, environment and file fill targets of their own ->
 * every value that differs is one that may change, or is named in the log ->
 * limits and log level change, the program takes what is its own.
 *
 * Failure modes: any mistake, and nothing changes. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node_impl.h"

void wwr_node_say(const struct wwr_node *node, enum wwr_log_level level,
                  const char *message) {
  struct timespec now;
  if ((int)level < atomic_load(&node->level)) return;
  clock_gettime(CLOCK_REALTIME, &now);
  const struct wwr_log_record record = {
      .level = level,
      .time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
      .message = message};
  node->log.write(&record, node->log.user_data);
}

/* --- What differs --------------------------------------------------------- */

static bool differs(const struct wwr_option *a, const struct wwr_option *b) {
  char *old = wwri_value_text(a), *new = wwri_value_text(b);
  bool same = old && new &&strcmp(old, new) == 0;
  free(old);
  free(new);
  return !same;
}

static void name_change(const struct wwr_node *node,
                        const struct wwr_option *row) {
  char message[WWRI_REASON_MAX];
  snprintf(message, sizeof message,
           "%s changed; takes effect at the next start", row->key);
  wwr_node_say(node, WWR_LOG_WARN, message);
}

static void name_changes(const struct wwr_node *node,
                         const struct wwr_node *now) {
  for (size_t i = 0; i < node->command.option_count; i++) {
    const struct wwr_option *row = &node->table[i];
    if (row->key && !row->live && differs(row, &now->table[i]))
      name_change(node, row);
  }
}

/* --- What changes --------------------------------------------------------- */

static void set_limits(struct wwr_node *node, const struct wwr_node *now) {
  const struct wwr_server_opts *opts = now->opts;
  struct wwr_server_limits limits;
  const char *bad = "";
  wwr_server_limits(node->server, &limits);
  limits.max_connections = opts->max_connections;
  limits.max_queued_bytes = opts->max_queued_bytes;
  limits.max_pending_bytes = opts->max_pending_bytes;
  limits.max_conn_channels = opts->max_conn_channels;
  limits.log_level = wwri_node_log_level(now);
  if (wwr_server_set_limits(node->server, &limits, &bad) != WWR_OK)
    wwr_node_say(node, WWR_LOG_ERROR, bad);
  wwr_websocket_set_accepts_per_second(node->transport,
                                       now->accepts_per_second);
  if (node->cluster) wwr_cluster_set_log_level(node->cluster, limits.log_level);
}

static void set_origins(const struct wwr_node *node,
                        const struct wwr_node *now) {
  if (wwr_websocket_set_origins(node->transport, now->origins.items,
                                now->origins.count) != WWR_OK)
    wwr_node_say(node, WWR_LOG_ERROR, "out of memory: origins stay");
}

/* Texts belong to the reading that they came from, so only numbers are taken
 * over. */
static void remember(struct wwr_node *node, const struct wwr_node *now) {
  for (size_t i = 0; i < node->command.option_count; i++) {
    const struct wwr_option *row = &node->table[i];
    if (!row->live || !row->key) continue;
    if (row->kind == WWR_OPTION_NUMBER || row->kind == WWR_OPTION_SECONDS)
      *(uint32_t *)row->target = *(const uint32_t *)now->table[i].target;
  }
  node->log_level = now->log_level;
  atomic_store(&node->level, (int)now->log_level);
}

int wwr_node_reread(struct wwr_node *node,
                    const struct wwr_node_program *program,
                    struct wwr_server_opts *opts, void (*keep)(void *user_data),
                    void *user_data) {
  struct wwr_node *now;
  int status = wwri_node_read(&now, program, opts, node->argc, node->argv);
  if (status != WWR_GO_ON) return status;
  name_changes(node, now);
  set_limits(node, now);
  set_origins(node, now);
  remember(node, now);
  wwri_node_admin_reread(node, now);
  keep(user_data);
  wwr_node_free(now);
  return WWR_GO_ON;
}
