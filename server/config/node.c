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

#include "node_impl.h"

enum {
  OWN_OPTIONS = 14,
  SHARED_OPTIONS = OWN_OPTIONS + WWRI_CLUSTER_OPTIONS,
  MAX_SECONDS_MS = 86400000, /* a day */
  MAX_CONNECTIONS = 10000000,
  QUEUE_SPARE_BYTES = 65536,
  MIN_READ_TIMEOUT_MS = 1000,
  WANTED_DESCRIPTORS = 65536,
  SPARE_DESCRIPTORS = 256
};

/* --- Options ------------------------------------------------------------ */

static void fill_table(struct wwr_node *node, struct wwr_option *table) {
  struct wwr_server_opts *opts = node->opts;
  const struct wwr_option shared[OWN_OPTIONS] = {
      {"listen", "HOST:PORT", "port 0 picks a free one", WWR_OPTION_TEXT,
       &node->listen, 0, 0},
      {"tls-cert", "FILE", "PEM certificate chain; makes it wss",
       WWR_OPTION_TEXT, &node->tls.cert_file, 0, 0},
      {"tls-key", "FILE", "its private key", WWR_OPTION_TEXT,
       &node->tls.key_file, 0, 0},
      {"tls-min-version", "1.2|1.3", "refuse older TLS", WWR_OPTION_TEXT,
       &node->tls.min_version, 0, 0},
      {"sessions", "DIR", "keep sessions here [wwrsess beside the program]",
       WWR_OPTION_TEXT, &node->sessions, 0, 0},
      {"threads", "N", "I/O threads; 0: cores - 1", WWR_OPTION_NUMBER,
       &opts->io_threads, 0, 64},
      {"read-timeout", "SECONDS", "silence that ends a connection",
       WWR_OPTION_SECONDS, &opts->read_timeout_ms, 0, MAX_SECONDS_MS},
      {"message-buffer", "BYTES", "largest message", WWR_OPTION_NUMBER,
       &opts->message_buffer_bytes, 32, 64 << 20},
      {"max-connections", "N", "0: as many as descriptors allow",
       WWR_OPTION_NUMBER, &opts->max_connections, 0, MAX_CONNECTIONS},
      {"max-session-connections", "N", "of one session; 0: no limit",
       WWR_OPTION_NUMBER, &opts->max_session_conns, 0, MAX_CONNECTIONS},
      {"origin", "ORIGIN", "let its pages connect, \"*\": any; repeatable",
       WWR_OPTION_LIST, &node->origins, 0, 0},
      {"log-level", "debug|info|warn|error|off", "how much to log on stderr",
       WWR_OPTION_LOG_LEVEL, &node->log_level, 0, 0},
      {"log-format", "logfmt|json", "how to log it [logfmt]",
       WWR_OPTION_LOG_FORMAT, &node->log_format, 0, 0},
      {"config", "FILE", "more options: listen = \"HOST:PORT\";",
       WWR_OPTION_FILE, &node->config, 0, 0},
  };
  memcpy(table, shared, sizeof shared);
  wwri_cluster_options(node, table + OWN_OPTIONS);
}

static int parse(struct wwr_node *node, int argc, char **argv) {
  const struct wwr_node_program *program = node->program;
  size_t count = SHARED_OPTIONS + program->option_count;
  node->table = calloc(count + 1, sizeof *node->table);
  if (!node->table) return WWR_EXIT_FAILED;
  fill_table(node, node->table);
  if (program->option_count > 0) {
    memcpy(node->table + SHARED_OPTIONS, program->options,
           program->option_count * sizeof *node->table);
  }
  node->command = (struct wwr_command){.name = program->name,
                                       .usage = "[OPTION...]",
                                       .summary = program->summary,
                                       .options = node->table,
                                       .option_count = count};
  return wwr_options_parse(&node->options, &node->command, argc, argv);
}

static int check_readable(const struct wwr_node *node, const char *option,
                          const char *file) {
  char reason[WWRI_REASON_MAX];
  if (access(file, R_OK) == 0) return WWR_GO_ON;
  snprintf(reason, sizeof reason, "%.128s: %s", file, strerror(errno));
  return wwr_options_reject(node->options, option, reason);
}

static int check_tls(struct wwr_node *node) {
  const struct wwr_tls_server *tls = &node->tls;
  const char *version = tls->min_version;
  if (version && strcmp(version, "1.2") != 0 && strcmp(version, "1.3") != 0) {
    return wwr_options_reject(node->options, "tls-min-version",
                              "must be 1.2 or 1.3");
  }
  if (!tls->cert_file && !tls->key_file) {
    if (!version) return WWR_GO_ON;
    return wwr_options_reject(node->options, "tls-min-version",
                              "needs --tls-cert and --tls-key");
  }
  if (!tls->cert_file) {
    return wwr_options_reject(node->options, "tls-key", "needs --tls-cert");
  }
  if (!tls->key_file) {
    return wwr_options_reject(node->options, "tls-cert", "needs --tls-key");
  }
  int status = check_readable(node, "tls-cert", tls->cert_file);
  if (status != WWR_GO_ON) return status;
  return check_readable(node, "tls-key", tls->key_file);
}

/* What follows from one option for others. */
static int settle(struct wwr_node *node) {
  struct wwr_server_opts *opts = node->opts;
  if (opts->read_timeout_ms < MIN_READ_TIMEOUT_MS) {
    opts->read_timeout_ms = node->default_read_timeout_ms;
  }
  uint32_t queue = opts->message_buffer_bytes + QUEUE_SPARE_BYTES;
  if (opts->max_queued_bytes < queue) opts->max_queued_bytes = queue;
  if (node->origins.count == 0 && node->origin) {
    node->origins = (struct wwr_option_list){&node->origin, 1};
  }
  int status = wwri_cluster_settle(node);
  return status == WWR_GO_ON ? check_tls(node) : status;
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

int wwr_node_new(struct wwr_node **out, const struct wwr_node_program *program,
                 struct wwr_server_opts *opts, int argc, char **argv) {
  *out = NULL;
  struct wwr_node *node = calloc(1, sizeof *node);
  if (!node) return WWR_EXIT_FAILED;
  node->program = program;
  node->opts = opts;
  node->default_read_timeout_ms = opts->read_timeout_ms;
  node->listen = program->listen;
  node->origin = program->origin;
  node->log_level = WWR_LOG_INFO;
  pthread_mutex_init(&node->reason.mutex, NULL);
  int status = parse(node, argc, argv);
  if (status == WWR_GO_ON) status = settle(node);
  if (status == WWR_GO_ON) {
    block_signals(node);
    *out = node;
  } else {
    wwr_node_free(node);
  }
  return status;
}

int wwr_node_reject(const struct wwr_node *node, const char *option,
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
  if (record->level >= node->log_level) {
    node->log.write(record, node->log.user_data);
  }
}

/* Errors are asked for in any case, for keep_reason(). */
static struct wwr_log node_log(struct wwr_node *node) {
  enum wwr_log_level level = node->log_level;
  if (level > WWR_LOG_ERROR) level = WWR_LOG_ERROR;
  return (struct wwr_log){write_log, node, level};
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

static int new_transport(struct wwr_node *node) {
  struct wwr_websocket_opts opts;
  wwr_websocket_opts_default(&opts);
  opts.listen = node->listen;
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
  char reason[WWRI_REASON_MAX];
  snprintf(reason, sizeof reason, "'%.128s' is no HOST:PORT", node->listen);
  return wwr_node_reject(node, "listen", reason);
}

static int new_store(struct wwr_node *node, const struct wwr_log *log) {
  char what[WWRI_REASON_MAX];
  wwr_err err = wwr_filestore_new(&node->opts->store, node->sessions, log);
  if (err == WWR_OK) return WWR_GO_ON;
  snprintf(what, sizeof what, "can't keep sessions in %.128s",
           node->sessions ? node->sessions : "wwrsess beside the program");
  return wwri_node_failed(node, what, err);
}

static int new_server(struct wwr_node *node) {
  const char *bad = NULL;
  node->opts->transport = node->transport;
  wwr_err err = wwr_server_new(&node->server, node->opts, &bad);
  if (err == WWR_OK) return WWR_GO_ON;
  node->opts->store->ops->free(node->opts->store);
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
  node->log = wwr_log_writer_sink(node->writer, node->log_level);
  node->opts->log = node_log(node);
  int status = new_transport(node);
  if (status == WWR_GO_ON) {
    status = node->cluster_opts.url ? wwri_cluster_open(node)
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
