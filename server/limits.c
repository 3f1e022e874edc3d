/* Limits that may change while the server runs. Each is read by itself where it
 * counts, so several changed at once take effect one after the other. */
#include "internal.h"
#include "options.h"

static struct wwr_log *log_of(struct wwr_server *server) {
  return &server->opts.log;
}

static void store(struct wwr_server *server,
                  const struct wwr_server_limits *limits) {
  struct wwri_limits *to = &server->limits;
  atomic_store(&to->connections, limits->max_connections);
  atomic_store(&to->queued_bytes, limits->max_queued_bytes);
  atomic_store(&to->pending_bytes, limits->max_pending_bytes);
  atomic_store(&to->conn_channels, limits->max_conn_channels);
  atomic_store(&server->channels.press_bytes, limits->max_queued_bytes / 4);
  wwri_log_set_level(log_of(server), limits->log_level);
}

void wwri_limits_init(struct wwr_server *server) {
  const struct wwr_server_opts *opts = &server->opts;
  const struct wwr_server_limits limits = {
      .max_connections = opts->max_connections,
      .max_queued_bytes = opts->max_queued_bytes,
      .max_pending_bytes = opts->max_pending_bytes,
      .max_conn_channels = opts->max_conn_channels,
      .log_level = opts->log.level};
  store(server, &limits);
}

void wwri_limits_apply(struct wwr_server *server) {
  struct wwr_transport *transport = server->transport;
  transport->ops->limit(transport, wwri_limit(&server->limits.connections),
                        wwri_limit(&server->limits.queued_bytes));
}

void wwr_server_limits(const struct wwr_server *server,
                       struct wwr_server_limits *out) {
  const struct wwri_limits *from = &server->limits;
  *out = (struct wwr_server_limits){
      .max_connections = wwri_limit(&from->connections),
      .max_queued_bytes = wwri_limit(&from->queued_bytes),
      .max_pending_bytes = wwri_limit(&from->pending_bytes),
      .max_conn_channels = wwri_limit(&from->conn_channels),
      .log_level = wwri_log_level(&server->opts.log)};
}

wwr_err wwr_server_set_limits(struct wwr_server *server,
                              const struct wwr_server_limits *limits,
                              const char **bad_field) {
  const char *field =
      wwri_limits_check(limits, server->opts.message_buffer_bytes);
  if (bad_field) *bad_field = field;
  if (field) return WWR_E_INVALID;
  store(server, limits);
  wwri_limits_apply(server);
  return WWR_OK;
}
