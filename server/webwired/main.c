/* webwired - the general node: clients subscribe to channels and publish to
 * them by the sub-protocol of docs/channels.md, as its configuration permits.
 */
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "webwired.h"

enum { SHUTDOWN_MS = 10000, MESSAGE_BUFFER = 65536 };

/* What is read of the settings, at the start and at every SIGHUP. */
struct reading {
  struct settings settings;
  struct wwr_option rows[SETTINGS_ROWS];
  struct wwr_server_opts opts;
  struct wwr_node_program program;
};

struct daemon {
  struct webwired webwired;
  struct reading reading;
  struct wwr_node *node;
  const struct reading *now; /* that is being read */
};

/* --- Counters ------------------------------------------------------------- */

static void counters(struct wwri_admin_counters *out, void *user_data) {
  struct webwired *webwired = &((struct daemon *)user_data)->webwired;
  struct guard_counts refused;
  guard_counts(webwired->guard, &refused);
  out->limited_connection = refused.messages;
  out->limited_address = refused.connections;
  out->auth_ok = atomic_load(&webwired->sign_ins[AUTH_GOOD]);
  out->auth_bad = atomic_load(&webwired->sign_ins[AUTH_BAD]);
  out->auth_expired = atomic_load(&webwired->sign_ins[AUTH_EXPIRED]);
}

/* --- Settings ------------------------------------------------------------- */

static void settle(struct wwr_options *options, void *user_data) {
  const struct daemon *daemon = user_data;
  settings_settle(&daemon->now->settings, options);
}

static void on_reload(struct wwr_node *node, void *user_data);

static void prepare(struct daemon *daemon, struct reading *reading) {
  daemon->now = reading;
  settings_init(&reading->settings);
  settings_rows(&reading->settings, reading->rows);
  wwr_server_opts_default(&reading->opts);
  reading->opts.handlers = WWR_HANDLERS_NONBLOCKING;
  reading->opts.subprotocol = WEBWIRED_SUBPROTOCOL;
  reading->opts.shutdown_timeout_ms = SHUTDOWN_MS;
  reading->opts.message_buffer_bytes = MESSAGE_BUFFER;
  reading->opts.hooks.on_upgrade = webwired_on_upgrade;
  reading->opts.hooks.on_request = webwired_on_request;
  reading->opts.hooks.on_signal = webwired_on_signal;
  reading->opts.hooks.on_channel = webwired_on_channel;
  reading->opts.hooks.on_session = webwired_on_session;
  reading->program = (struct wwr_node_program){
      .name = "webwired",
      .summary =
          "A node for channels: clients subscribe to them and publish to\n"
          "them, on this node and on all others of its cluster.",
      .listen = "127.0.0.1:8080",
      .admin = "127.0.0.1:9180",
      .drain_ms = 20000,
      .options = reading->rows,
      .option_count = SETTINGS_ROWS,
      .sections = settings_sections,
      .section_count = settings_section_count,
      .env = "WEBWIRED",
      .settle = settle,
      .on_reload = on_reload,
      .counters = counters,
      .user_data = daemon};
}

/* --- Reading them again --------------------------------------------------- */

/* Channels stay what they were at the start: nodes must agree on their logs. */
static void name_changes(const struct daemon *daemon,
                         const struct policy *policy) {
  if (policy_keeps_alike(daemon->webwired.first_policy, policy)) return;
  wwr_node_say(daemon->node, WWR_LOG_WARN,
               "channels.namespaces changed logs or presence; takes effect at "
               "the next start");
}

/* What was before is freed when nobody looks at it any more. */
static void keep(void *user_data) {
  struct daemon *daemon = user_data;
  struct webwired *webwired = &daemon->webwired;
  const struct settings *settings = &daemon->now->settings;
  struct policy *policy = policy_new(settings);
  struct auth *auth = auth_new(&settings->access);
  const struct guard_limits limits = access_limits(&settings->access);
  if (policy && auth && guard_set(webwired->guard, &limits)) {
    pthread_rwlock_wrlock(&webwired->lock);
    struct policy *old_policy = webwired->policy;
    struct auth *old_auth = webwired->auth;
    webwired->policy = policy;
    webwired->auth = auth;
    pthread_rwlock_unlock(&webwired->lock);
    name_changes(daemon, policy);
    policy = old_policy;
    auth = old_auth;
  } else {
    wwr_node_say(daemon->node, WWR_LOG_ERROR,
                 "out of memory: permissions and keys stay as they were");
  }
  policy_free(policy);
  auth_free(auth);
}

static void complain(const char *line, void *user_data) {
  const struct daemon *daemon = user_data;
  wwr_node_say(daemon->node, WWR_LOG_ERROR, line);
}

static void on_reload(struct wwr_node *node, void *user_data) {
  struct daemon *daemon = user_data;
  struct reading again;
  prepare(daemon, &again);
  again.program.complain = complain;
  int status = wwr_node_reread(node, &again.program, &again.opts, keep, daemon);
  daemon->now = NULL;
  wwr_node_say(node, status == WWR_GO_ON ? WWR_LOG_INFO : WWR_LOG_ERROR,
               status == WWR_GO_ON ? "settings read again"
                                   : "settings not read again, all stays");
}

/* --- The program ---------------------------------------------------------- */

static int run(struct daemon *daemon) {
  struct webwired *webwired = &daemon->webwired;
  const struct settings *settings = &daemon->reading.settings;
  webwired->message_buffer = daemon->reading.opts.message_buffer_bytes;
  webwired->first_policy = policy_new(settings);
  webwired->policy = policy_new(settings);
  const struct guard_limits limits = access_limits(&settings->access);
  webwired->auth = auth_new(&settings->access);
  webwired->guard = guard_new(&limits);
  if (!webwired->first_policy || !webwired->policy || !webwired->auth ||
      !webwired->guard) {
    fputs("webwired: out of memory\n", stderr);
    return WWR_EXIT_FAILED;
  }
  daemon->reading.opts.user_data = webwired;
  int status = wwr_node_open(daemon->node, &webwired->server);
  if (status == WWR_GO_ON) status = wwr_node_run(daemon->node);
  return status;
}

int main(int argc, char **argv) {
  struct daemon daemon = {.node = NULL};
  struct reading *reading = &daemon.reading;
  pthread_rwlock_init(&daemon.webwired.lock, NULL);
  prepare(&daemon, reading);
  int status =
      wwr_node_new(&daemon.node, &reading->program, &reading->opts, argc, argv);
  if (status == WWR_GO_ON) status = run(&daemon);
  wwr_node_free(daemon.node);
  policy_free(daemon.webwired.policy);
  policy_free(daemon.webwired.first_policy);
  auth_free(daemon.webwired.auth);
  guard_free(daemon.webwired.guard);
  pthread_rwlock_destroy(&daemon.webwired.lock);
  return status;
}
