/* Defaults and validation of the server's options. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "options.h"

enum {
  DEFAULT_READ_TIMEOUT_MS = 60000,
  MIN_READ_TIMEOUT_MS = 1000,
  DEFAULT_BUFFER_BYTES = 8192,
  MIN_BUFFER_BYTES = 32,
  MAX_BUFFER_BYTES = 64 << 20,
  MAX_IO_THREADS = 64,
  MAX_WORKERS = 1024,
  MAX_CONN_CHANNELS = 65536,
  MAX_SUBSCRIBE_WAIT_MS = 60000,
  ACCEPT_CONF_BYTES = 11,
  QUEUE_SPARE_BYTES = 1024 /* frame headers and the next small message */
};

void wwr_server_opts_default(struct wwr_server_opts *opts) {
  memset(opts, 0, sizeof *opts);
  opts->handlers = WWR_HANDLERS_BLOCKING;
  opts->read_timeout_ms = DEFAULT_READ_TIMEOUT_MS;
  opts->message_buffer_bytes = DEFAULT_BUFFER_BYTES;
  opts->keygen = wwri_keygen_random;
  opts->worker_threads = 64;
  opts->max_queued_bytes = 1 << 20;
  opts->max_pending_bytes = 64 << 10;
  opts->max_conn_channels = 1000;
  opts->subscribe_wait_ms = 2000;
  opts->ping_interval_ms = 25000;
  opts->shutdown_timeout_ms = 30000;
}

static uint32_t io_threads(uint32_t wanted) {
  if (wanted) return wanted;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (cores < 2) return 1;
  return cores > MAX_IO_THREADS ? MAX_IO_THREADS : (uint32_t)cores - 1;
}

static const char *bad_subprotocol(const struct wwr_server_opts *opts) {
  struct wwr_view name = wwr_view_str(opts->subprotocol);
  if (!wwri_is_printable(name)) return "subprotocol";
  if (name.len > opts->message_buffer_bytes - ACCEPT_CONF_BYTES) {
    return "subprotocol";
  }
  return NULL;
}

const char *wwri_limits_check(const struct wwr_server_limits *limits,
                              uint32_t message_buffer_bytes) {
  if (limits->max_queued_bytes < message_buffer_bytes + QUEUE_SPARE_BYTES) {
    return "max_queued_bytes";
  }
  if (!limits->max_pending_bytes) return "max_pending_bytes";
  if (!limits->max_conn_channels ||
      limits->max_conn_channels > MAX_CONN_CHANNELS) {
    return "max_conn_channels";
  }
  if ((unsigned)limits->log_level > WWR_LOG_OFF) return "log_level";
  return NULL;
}

static const char *bad_field(const struct wwr_server_opts *opts) {
  if (!opts->transport) return "transport";
  if (opts->store && opts->store->ops->blocking &&
      opts->store->ops->authority) {
    return "store";
  }
  if (opts->handlers != WWR_HANDLERS_BLOCKING &&
      opts->handlers != WWR_HANDLERS_NONBLOCKING) {
    return "handlers";
  }
  if (opts->message_buffer_bytes < MIN_BUFFER_BYTES ||
      opts->message_buffer_bytes > MAX_BUFFER_BYTES) {
    return "message_buffer_bytes";
  }
  if (opts->io_threads > MAX_IO_THREADS) return "io_threads";
  if (!opts->worker_threads || opts->worker_threads > MAX_WORKERS) {
    return "worker_threads";
  }
  const struct wwr_server_limits limits = {
      .max_queued_bytes = opts->max_queued_bytes,
      .max_pending_bytes = opts->max_pending_bytes,
      .max_conn_channels = opts->max_conn_channels,
      .log_level = opts->log.level};
  const char *limit = wwri_limits_check(&limits, opts->message_buffer_bytes);
  if (limit) return limit;
  if (opts->subscribe_wait_ms > MAX_SUBSCRIBE_WAIT_MS) {
    return "subscribe_wait_ms";
  }
  return bad_subprotocol(opts);
}

wwr_err wwri_options_copy(struct wwr_server_opts *out,
                          const struct wwr_server_opts *opts,
                          const char **bad) {
  const char *field = bad_field(opts);
  if (bad) *bad = field;
  if (field) return WWR_E_INVALID;
  *out = *opts;
  out->subprotocol = strdup(opts->subprotocol ? opts->subprotocol : "");
  if (!out->subprotocol) return WWR_E_NOMEM;
  if (out->read_timeout_ms < MIN_READ_TIMEOUT_MS) {
    out->read_timeout_ms = DEFAULT_READ_TIMEOUT_MS;
  }
  if (!out->keygen) out->keygen = wwri_keygen_random;
  out->io_threads = io_threads(opts->io_threads);
  return WWR_OK;
}

void wwri_options_deinit(struct wwr_server_opts *opts) {
  free((char *)(uintptr_t)opts->subprotocol);
  opts->subprotocol = NULL;
}
