/* The options of every server: the table, and what follows from it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node_impl.h"

enum {
  MAX_SECONDS_MS = 86400000, /* a day */
  MAX_CONNECTIONS = 10000000,
  MAX_ACCEPTS = 1000000,
  MAX_BYTES = 1 << 30,
  QUEUE_SPARE_BYTES = 65536,
  MIN_READ_TIMEOUT_MS = 1000
};

static bool check_origin(const char *text, char reason[WWR_REASON_MAX]) {
  const char *host = strstr(text, "://");
  snprintf(reason, WWR_REASON_MAX,
           "'%.64s' is no origin: https://HOST, http://HOST:PORT, \"null\" or "
           "\"*\"",
           text);
  if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0) return true;
  return host && host > text && host[3] && !strpbrk(host + 3, "/?# ");
}

/* --- The table ------------------------------------------------------------ */

enum { LISTENING = 8, LIMITS = 8, ENDING = 2, LOGGING = 3 };

static void listening(struct wwr_node *node, struct wwr_option *rows) {
  const struct wwr_option shared[LISTENING] = {
      {.name = "listen",
       .value = "HOST:PORT",
       .help = "port 0 picks a free one",
       .kind = WWR_OPTION_TEXT,
       .target = &node->listen,
       .key = "server.listen",
       .detail = "\":PORT\" is every address."},
      {.name = "tls-cert",
       .value = "FILE",
       .help = "PEM certificate chain; makes it wss",
       .kind = WWR_OPTION_TEXT,
       .target = &node->tls.cert_file,
       .key = "tls.cert",
       .detail = "SIGHUP reads the file again."},
      {.name = "tls-key",
       .value = "FILE",
       .help = "its private key",
       .kind = WWR_OPTION_TEXT,
       .target = &node->tls.key_file,
       .key = "tls.key"},
      {.name = "tls-min-version",
       .value = "1.2|1.3",
       .help = "refuse older TLS",
       .kind = WWR_OPTION_TEXT,
       .target = &node->tls.min_version,
       .key = "tls.min-version"},
      {.name = "sessions",
       .value = "DIR",
       .help = "keep sessions here [wwrsess beside the program]",
       .kind = WWR_OPTION_TEXT,
       .target = &node->sessions,
       .key = "sessions.dir",
       .detail = "Of a node without Redis, which else has them. A service of "
                 "systemd keeps them in its StateDirectory."},
      {.name = "threads",
       .value = "N",
       .help = "I/O threads; 0: cores - 1",
       .kind = WWR_OPTION_NUMBER,
       .target = &node->opts->io_threads,
       .max = 64,
       .key = "server.threads"},
      {.name = "origin",
       .value = "ORIGIN",
       .help = "let its pages connect, \"*\": any; repeatable",
       .kind = WWR_OPTION_LIST,
       .target = &node->origins,
       .key = "server.origins",
       .live = true,
       .check = check_origin,
       .detail = "None: only pages of the host that the browser connects to."},
      {.name = "accepts-per-second",
       .value = "N",
       .help = "new connections; those above wait; 0: no limit",
       .kind = WWR_OPTION_NUMBER,
       .target = &node->accepts_per_second,
       .max = MAX_ACCEPTS,
       .key = "limits.accepts-per-second",
       .live = true,
       .detail = "Who would wait for more than 5 seconds is told 503, with TLS "
                 "dropped."},
  };
  memcpy(rows, shared, sizeof shared);
}

static void limits(struct wwr_server_opts *opts, struct wwr_option *rows) {
  const struct wwr_option shared[LIMITS] = {
      {.name = "read-timeout",
       .value = "SECONDS",
       .help = "silence that ends a connection",
       .kind = WWR_OPTION_SECONDS,
       .target = &opts->read_timeout_ms,
       .max = MAX_SECONDS_MS,
       .key = "server.read-timeout",
       .detail = "Below 1 it is the default."},
      {.name = "message-buffer",
       .value = "BYTES",
       .help = "largest message",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->message_buffer_bytes,
       .min = 32,
       .max = 64 << 20,
       .key = "server.message-buffer",
       .detail = "The same on all nodes."},
      {.name = "max-connections",
       .value = "N",
       .help = "0: as many as descriptors allow",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_connections,
       .max = MAX_CONNECTIONS,
       .key = "server.max-connections",
       .live = true},
      {.name = "max-session-connections",
       .value = "N",
       .help = "of one session; 0: no limit",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_session_conns,
       .max = MAX_CONNECTIONS,
       .key = "sessions.max-connections",
       .detail = "The same on all nodes."},
      {.value = "SECONDS",
       .help = "how often clients are pinged, about; 0: never",
       .kind = WWR_OPTION_SECONDS,
       .target = &opts->ping_interval_ms,
       .max = MAX_SECONDS_MS,
       .key = "server.ping-interval",
       .detail = "Less than the idle time-out of whatever is in front."},
      {.value = "BYTES",
       .help = "outgoing bytes of a connection that may wait",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_queued_bytes,
       .max = MAX_BYTES,
       .key = "server.max-queued",
       .live = true,
       .detail = "Over it the client reads too slowly and is cut off. At least "
                 "64 KiB more than message-buffer."},
      {.value = "BYTES",
       .help = "incoming bytes of a connection that may wait",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_pending_bytes,
       .min = 1024,
       .max = MAX_BYTES,
       .key = "server.max-pending",
       .live = true,
       .detail = "Over it the connection is not read for a while."},
      {.value = "N",
       .help = "channels that a connection may subscribe to",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_conn_channels,
       .min = 1,
       .max = 65536,
       .key = "server.max-channels",
       .live = true},
  };
  memcpy(rows, shared, sizeof shared);
}

static void ending(struct wwr_node *node, struct wwr_option *rows) {
  const struct wwr_option shared[ENDING] = {
      {.value = "SECONDS",
       .help = "how long handlers may take when the server ends; 0: for ever",
       .kind = WWR_OPTION_SECONDS,
       .target = &node->opts->shutdown_timeout_ms,
       .max = MAX_SECONDS_MS,
       .key = "drain.grace"},
      {.name = "drain-time",
       .value = "SECONDS",
       .help = "SIGTERM: close connections over so long",
       .kind = WWR_OPTION_SECONDS,
       .target = &node->drain_ms,
       .max = MAX_SECONDS_MS,
       .key = "drain.time",
       .live = true,
       .detail = "For its first quarter, at most 5, new ones are still taken. "
                 "0: all are closed at once."},
  };
  memcpy(rows, shared, sizeof shared);
}

static void logging(struct wwr_node *node, struct wwr_option *rows) {
  const struct wwr_option shared[LOGGING] = {
      {.name = "log-level",
       .value = "debug|info|warn|error|off",
       .help = "how much to log on stderr",
       .kind = WWR_OPTION_LOG_LEVEL,
       .target = &node->log_level,
       .key = "log.level",
       .live = true},
      {.name = "log-format",
       .value = "logfmt|json",
       .help = "how to log it [logfmt]",
       .kind = WWR_OPTION_LOG_FORMAT,
       .target = &node->log_format,
       .key = "log.format"},
      {.name = "config",
       .value = "FILE",
       .help = node->program->sections
                   ? "the configuration file; see --sample-config"
                   : "more options: listen = \"HOST:PORT\";",
       .kind = WWR_OPTION_FILE,
       .target = &node->config},
  };
  memcpy(rows, shared, sizeof shared);
}

void wwri_node_options(struct wwr_node *node, struct wwr_option *rows) {
  _Static_assert(LISTENING + LIMITS + ENDING + LOGGING == WWRI_OWN_OPTIONS,
                 "rows");
  listening(node, rows);
  limits(node->opts, rows + LISTENING);
  ending(node, rows + LISTENING + LIMITS);
  logging(node, rows + LISTENING + LIMITS + ENDING);
}

/* --- What is wrong -------------------------------------------------------- */

static bool check_readable(const struct wwr_node *node, const char *option,
                           const char *file) {
  char reason[WWRI_REASON_MAX];
  if (access(file, R_OK) == 0) return true;
  snprintf(reason, sizeof reason, "%.128s: %s", file, strerror(errno));
  wwr_options_reject(node->options, option, reason);
  return false;
}

static void check_tls(struct wwr_node *node) {
  const struct wwr_tls_server *tls = &node->tls;
  const char *version = tls->min_version;
  bool keys = node->program->sections != NULL;
  if (version && strcmp(version, "1.2") != 0 && strcmp(version, "1.3") != 0) {
    wwr_options_reject(node->options, "tls-min-version", "must be 1.2 or 1.3");
  } else if (version && !tls->cert_file && !tls->key_file) {
    wwr_options_reject(
        node->options, "tls-min-version",
        keys ? "needs tls.cert and tls.key" : "needs --tls-cert and --tls-key");
  }
  if (tls->key_file && !tls->cert_file) {
    wwr_options_reject(node->options, "tls-key",
                       keys ? "needs tls.cert" : "needs --tls-cert");
  }
  if (tls->cert_file && !tls->key_file) {
    wwr_options_reject(node->options, "tls-cert",
                       keys ? "needs tls.key" : "needs --tls-key");
  }
  if (!tls->cert_file || !tls->key_file) return;
  bool cert = check_readable(node, "tls-cert", tls->cert_file);
  bool key = check_readable(node, "tls-key", tls->key_file);
  node->tls_readable = cert && key;
}

void wwri_node_settle(struct wwr_node *node) {
  struct wwr_server_opts *opts = node->opts;
  if (opts->read_timeout_ms < MIN_READ_TIMEOUT_MS) {
    opts->read_timeout_ms = node->default_read_timeout_ms;
  }
  uint32_t queue = opts->message_buffer_bytes + QUEUE_SPARE_BYTES;
  if (opts->max_queued_bytes < queue) opts->max_queued_bytes = queue;
  if (node->origins.count == 0 && node->origin) {
    node->origins = (struct wwr_option_list){&node->origin, 1};
  }
  check_tls(node);
}
