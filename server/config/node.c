/* Options of all servers and what is made of them: log, transport, session
 * store, server. run.c has the rest of the process's life.
 *
 * Failure modes: a wrong option is said and is status 2; a session directory
 * or an address that can't be used is said with the reason and is status 1. */
#include <webwire/wwr_stores.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "health.h"
#include "node_impl.h"

enum { WANTED_DESCRIPTORS = 65536, SPARE_DESCRIPTORS = 256 };

/* --- Options ------------------------------------------------------------ */

static int parse(struct wwr_node *node) {
  const struct wwr_node_program *program = node->program;
  size_t own = WWRI_OWN_OPTIONS + WWRI_ADMIN_OPTIONS;
  size_t shared = own + WWRI_CLUSTER_OPTIONS;
  size_t count = shared + program->option_count;
  node->table = calloc(count + 1, sizeof *node->table);
  if (!node->table) return WWR_EXIT_FAILED;
  wwri_node_options(node, node->table);
  wwri_node_admin_options(node, node->table + WWRI_OWN_OPTIONS);
  wwri_cluster_options(node, node->table + own);
  if (program->option_count > 0) {
    memcpy(node->table + shared, program->options,
           program->option_count * sizeof *node->table);
  }
  node->command = (struct wwr_command){.name = program->name,
                                       .usage = "[OPTION...]",
                                       .summary = program->summary,
                                       .options = node->table,
                                       .option_count = count,
                                       .sections = program->sections,
                                       .section_count = program->section_count,
                                       .env = program->env,
                                       .complain = program->complain,
                                       .user_data = program->user_data};
  return wwri_options_read(&node->options, &node->command, node->argc,
                           node->argv);
}

/* What only whoever uses an option can say of it. A URL is not blamed for the
 * password that it misses. */
static int try_out(struct wwr_node *node) {
  char why[WWRI_REASON_MAX];
  bool no_password = !node->cluster_opts.url ||
                     (!node->redis_password &&
                      wwr_option_given(node->options, "cluster.password-file"));
  int status = wwri_node_transport(node);
  if (status == WWR_EXIT_USAGE) status = WWR_GO_ON; /* said and counted */
  if (node->tls_readable &&
      wwr_websocket_check_tls(&node->tls, why, sizeof why) == WWR_E_TLS)
    wwr_node_reject(node, "tls-cert", why);
  if (status == WWR_GO_ON && node->redis_url && !no_password)
    status = wwri_cluster_new(node);
  wwr_transport_free(node->transport);
  node->transport = NULL;
  wwr_cluster_free(node->cluster);
  node->cluster = NULL;
  return status;
}

/* All of it, also when something is wrong already. */
static int look_over(struct wwr_node *node) {
  const struct wwr_node_program *program = node->program;
  enum wwri_ask ask = node->options->ask;
  wwri_node_settle(node);
  wwri_cluster_settle(node);
  wwri_node_admin_settle(node);
  if (program->settle) program->settle(node->options, program->user_data);
  int status = WWR_GO_ON;
  if (ask != WWRI_ASK_NOTHING) status = try_out(node);
  if (node->options->mistakes > 0) return WWR_EXIT_USAGE;
  if (status != WWR_GO_ON) return status;
  if (ask == WWRI_ASK_PRINT) return wwri_report_values(node->options);
  if (ask == WWRI_ASK_CHECK) {
    printf("%s: the configuration is good\n", program->name);
    return wwri_printed(&node->command);
  }
  return WWR_GO_ON;
}

static void block_signals(struct wwr_node *node) {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&node->signals);
  sigaddset(&node->signals, SIGTERM);
  sigaddset(&node->signals, SIGINT);
  sigaddset(&node->signals, SIGHUP);
  sigaddset(&node->signals, WWRI_SIGNAL_STOPPED);
  pthread_sigmask(SIG_BLOCK, &node->signals, NULL);
}

static struct wwr_node *node_new(const struct wwr_node_program *program,
                                 struct wwr_server_opts *opts, int argc,
                                 char **argv) {
  struct wwr_node *node = calloc(1, sizeof *node);
  if (!node) return NULL;
  node->program = program;
  node->opts = opts;
  node->argc = argc;
  node->argv = argv;
  node->default_read_timeout_ms = opts->read_timeout_ms;
  node->listen = program->listen;
  node->origin = program->origin;
  node->drain_ms = program->drain_ms;
  node->admin_listen = program->admin;
  node->log_level = WWR_LOG_INFO;
  pthread_mutex_init(&node->reason.mutex, NULL);
  return node;
}

int wwri_node_read(struct wwr_node **out,
                   const struct wwr_node_program *program,
                   struct wwr_server_opts *opts, int argc, char **argv) {
  *out = NULL;
  struct wwr_node *node = node_new(program, opts, argc, argv);
  if (!node) return WWR_EXIT_FAILED;
  int status = parse(node);
  if (status == WWR_GO_ON && node->health_url) {
    status = wwri_health_check(program->name, node->health_url);
  } else if (status == WWR_GO_ON) {
    status = look_over(node);
  }
  if (status == WWR_GO_ON) {
    *out = node;
  } else {
    wwr_node_free(node);
  }
  return status;
}

int wwr_node_new(struct wwr_node **out, const struct wwr_node_program *program,
                 struct wwr_server_opts *opts, int argc, char **argv) {
  int status = wwri_node_read(out, program, opts, argc, argv);
  if (status == WWR_GO_ON) block_signals(*out);
  return status;
}

int wwr_node_reject(struct wwr_node *node, const char *option,
                    const char *message) {
  return wwr_options_reject(node->options, option, message);
}

/* --- The log ------------------------------------------------------------ */

static size_t add(char *text, size_t len, const char *separator,
                  const char *key, const char *value) {
  if (len >= WWRI_REASON_MAX) return len;
  int n = snprintf(text + len, WWRI_REASON_MAX - len, "%s%s%s%s", separator,
                   key, *value ? " " : "", value);
  return n < 0 ? len : len + (size_t)n;
}

/* Keep the first error: it says why the server can't start. */
static void keep_reason(struct wwr_node *node,
                        const struct wwr_log_record *record) {
  pthread_mutex_lock(&node->reason.mutex);
  char *text = node->reason.text;
  if (!*text) {
    size_t len = add(text, 0, "", record->message, "");
    for (size_t i = 0; i < record->field_count; i++) {
      len = add(text, len, i == 0 ? " (" : ", ", record->fields[i].key,
                record->fields[i].value);
    }
    if (record->field_count > 0) add(text, len, ")", "", "");
  }
  pthread_mutex_unlock(&node->reason.mutex);
}

static void write_log(const struct wwr_log_record *record, void *user_data) {
  struct wwr_node *node = user_data;
  if (record->level == WWR_LOG_ERROR) keep_reason(node, record);
  if ((int)record->level >= atomic_load(&node->level)) {
    node->log.write(record, node->log.user_data);
  }
}

/* Errors are asked for in any case, for keep_reason(). */
enum wwr_log_level wwri_node_log_level(const struct wwr_node *node) {
  enum wwr_log_level level = node->log_level;
  return level > WWR_LOG_ERROR ? WWR_LOG_ERROR : level;
}

/* --- The server --------------------------------------------------------- */

int wwri_node_failed(const struct wwr_node *node, const char *what,
                     wwr_err err) {
  if (*node->reason.text) {
    fprintf(stderr, "%s: %s\n", node->program->name, node->reason.text);
  } else {
    fprintf(stderr, "%s: %s: %s\n", node->program->name, what,
            wwr_err_text(err));
  }
  return WWR_EXIT_FAILED;
}

/* Thousands of clients need more descriptors than a shell usually allows. */
static void raise_descriptor_limit(const struct wwr_node *node) {
  struct rlimit limit;
  rlim_t wanted = node->opts->max_connections + SPARE_DESCRIPTORS;
  if (wanted < WANTED_DESCRIPTORS) wanted = WANTED_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int wwri_node_transport(struct wwr_node *node) {
  struct wwr_websocket_opts opts;
  wwr_websocket_opts_default(&opts);
  opts.listen = node->listen;
  opts.accepts_per_second = node->accepts_per_second;
  opts.tls = node->tls.cert_file ? &node->tls : NULL;
  opts.origins = node->origins.items;
  opts.origin_count = node->origins.count;
  const char *bad = NULL;
  wwr_err err = wwr_websocket_transport_new(&node->transport, &opts, &bad);
  if (err == WWR_OK) return WWR_GO_ON;
  if (err != WWR_E_INVALID)
    return wwri_node_failed(node, "could not start", err);
  if (bad && strncmp(bad, "origin", 6) == 0) {
    return wwr_node_reject(node, "origin", "is no origin");
  }
  if (bad && strncmp(bad, "tls.", 4) == 0) return WWR_EXIT_USAGE; /* said */
  char reason[WWRI_REASON_MAX];
  snprintf(reason, sizeof reason, "'%.128s' is no HOST:PORT", node->listen);
  return wwr_node_reject(node, "listen", reason);
}

/* Where systemd lets a service write, if it runs by it. */
static const char *state_dir(struct wwr_node *node) {
  const char *state = getenv("STATE_DIRECTORY");
  if (node->sessions || !state || *state != '/') return node->sessions;
  size_t size = strlen(state) + sizeof "/sessions";
  char *path = malloc(size);
  if (path) snprintf(path, size, "%s/sessions", state);
  return wwri_options_keep(node->options, path);
}

static int new_store(struct wwr_node *node, const struct wwr_log *log) {
  char what[WWRI_REASON_MAX];
  const char *dir = state_dir(node);
  wwr_err err = wwr_filestore_new(&node->opts->store, dir, log);
  if (err == WWR_OK) return WWR_GO_ON;
  snprintf(what, sizeof what, "can't keep sessions in %.128s",
           dir ? dir : "wwrsess beside the program");
  wwri_node_failed(node, what, err);
  if (!dir)
    fprintf(stderr, "%s: say where else to keep them: --sessions DIR\n",
            node->program->name);
  return WWR_EXIT_FAILED;
}

static int new_server(struct wwr_node *node) {
  const char *bad = NULL;
  node->opts->transport = node->transport;
  wwr_err err = wwr_server_new(&node->server, node->opts, &bad);
  if (err == WWR_OK) return WWR_GO_ON;
  wwr_sessionstore_free(node->opts->store);
  fprintf(stderr, "%s: could not start: %s%s%s\n", node->program->name,
          wwr_err_text(err), bad ? ": " : "", bad ? bad : "");
  return WWR_EXIT_FAILED;
}

int wwr_node_open(struct wwr_node *node, struct wwr_server **server) {
  *server = NULL;
  raise_descriptor_limit(node);
  wwr_err err =
      wwr_log_writer_new(&node->writer, STDERR_FILENO, node->log_format);
  if (err != WWR_OK) return wwri_node_failed(node, "could not start", err);
  node->log = wwr_log_writer_sink(node->writer, WWR_LOG_DEBUG);
  atomic_store(&node->level, (int)node->log_level);
  node->opts->log =
      (struct wwr_log){write_log, node, wwri_node_log_level(node)};
  int status = wwri_node_transport(node);
  if (status == WWR_GO_ON) {
    status = node->redis_url ? wwri_cluster_open(node)
                             : new_store(node, &node->opts->log);
  }
  if (status == WWR_GO_ON) status = new_server(node);
  *server = node->server;
  return status;
}

void wwr_node_free(struct wwr_node *node) {
  if (!node) return;
  if (node->server) {
    wwr_server_free(node->server);
  } else {
    wwr_transport_free(node->transport);
  }
  wwr_cluster_free(node->cluster);
  wwr_log_writer_free(node->writer);
  wwr_options_free(node->options);
  pthread_mutex_destroy(&node->reason.mutex);
  free(node->table);
  free(node);
}
