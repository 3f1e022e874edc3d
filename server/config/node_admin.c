/* A server's admin listener: its options, and what is asked of the process by
 * it. Draining and reloading are what SIGTERM and SIGHUP do, so they are asked
 * for by these signals.
 *
 * Failure modes: an address or a token that makes no sense is a wrong option;
 * one that can't be listened on ends the start with status 1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node_impl.h"

void wwri_node_admin_options(struct wwr_node *node, struct wwr_option *rows) {
  const struct wwr_option shared[WWRI_ADMIN_OPTIONS] = {
      {.name = "admin",
       .value = "HOST:PORT",
       .help = "answer probes, metrics and the API there; off: don't",
       .kind = WWR_OPTION_TEXT,
       .target = &node->admin_listen,
       .key = "admin.listen",
       .detail = "Probes and metrics are open to whoever reaches it: keep it "
                 "from the internet. Port 0 picks a free one."},
      {.value = "TOKEN",
       .help = "who sends it may use the admin API; none: nobody may",
       .kind = WWR_OPTION_SECRET,
       .target = &node->admin_token,
       .key = "admin.token",
       .live = true},
      {.name = "admin-token-file",
       .value = "FILE",
       .help = "a file with the token of the admin API; none: it is off",
       .kind = WWR_OPTION_SECRET_FILE,
       .target = &node->admin_token,
       .key = "admin.token-file",
       .live = true},
      {.name = "health-check",
       .value = "URL",
       .help = "ask http://HOST:PORT/live or /ready of a server, and end",
       .kind = WWR_OPTION_TEXT,
       .target = &node->health_url},
  };
  memcpy(rows, shared, sizeof shared);
}

/* --- What other nodes ask for --------------------------------------------- */

/* A second SIGTERM would cut short what the first began. */
static void drain(struct wwr_server *server) {
  struct wwr_drain_state state;
  wwr_server_drain_state(server, &state);
  if (!state.draining) kill(getpid(), SIGTERM);
}

static bool on_command(struct wwr_server *server, struct wwr_view text,
                       void *user_data) {
  (void)user_data;
  if (!wwr_view_equal(text, wwr_view_str(WWRI_ADMIN_COMMAND_DRAIN))) {
    return false;
  }
  drain(server);
  return true;
}

void wwri_node_admin_settle(struct wwr_node *node) {
  const char *token = node->admin_token;
  if (!node->opts->hooks.on_command) node->opts->hooks.on_command = on_command;
  if (node->admin_listen && strcmp(node->admin_listen, "off") == 0) {
    node->admin_listen = NULL;
  }
  if (node->admin_listen && !wwri_admin_listen_ok(node->admin_listen)) {
    char reason[WWRI_REASON_MAX];
    snprintf(reason, sizeof reason, "'%.128s' is no HOST:PORT",
             node->admin_listen);
    wwr_options_reject(node->options, "admin", reason);
  }
  if (token && !wwri_admin_token_ok(token)) {
    bool file = wwr_option_given(node->options, "admin-token-file");
    wwr_options_reject(node->options, file ? "admin-token-file" : "admin.token",
                       "must be 1 to 1024 printable characters without spaces");
  }
}

/* --- The listener --------------------------------------------------------- */

static void on_drain(void *user_data) {
  const struct wwr_node *node = user_data;
  drain(node->server);
}

static wwr_err on_reload(char reason[WWRI_ADMIN_REASON_MAX], void *user_data) {
  (void)user_data;
  if (kill(getpid(), SIGHUP) == 0) return WWR_OK;
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "%s", strerror(errno));
  return WWR_E_IO;
}

static void on_counters(struct wwri_admin_counters *out, void *user_data) {
  const struct wwr_node_program *program =
      ((const struct wwr_node *)user_data)->program;
  if (program->counters) program->counters(out, program->user_data);
}

int wwri_node_admin_start(struct wwr_node *node) {
  char reason[WWRI_ADMIN_REASON_MAX];
  const struct wwri_admin_opts opts = {.listen = node->admin_listen,
                                       .token = node->admin_token,
                                       .name = node->cluster_opts.name,
                                       .server = node->server,
                                       .log = node->opts->log,
                                       .drain = on_drain,
                                       .reload = on_reload,
                                       .counters = on_counters,
                                       .user_data = node};
  if (!node->admin_listen) return WWR_GO_ON;
  if (wwri_admin_new(&node->admin, &opts, reason) != WWR_OK) {
    fprintf(stderr, "%s: admin: %s\n", node->program->name, reason);
    return WWR_EXIT_FAILED;
  }
  /* Not to stdout, of which the first line says that the node is ready. */
  fprintf(stderr, "admin on %s\n", wwri_admin_address(node->admin));
  return WWR_GO_ON;
}

void wwri_node_admin_reread(struct wwr_node *node, const struct wwr_node *now) {
  if (!node->admin) return;
  /* Right, as wwri_node_admin_settle() found. */
  if (wwri_admin_set_token(node->admin, now->admin_token) != WWR_OK) return;
  wwri_admin_set_log_level(node->admin, wwri_node_log_level(now));
}
