/* Making, starting and freeing a server, and its queries. Stopping it is
 * shutdown.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "options.h"

/* --- Making --------------------------------------------------------------- */

static wwr_err make_accept_conf(struct wwr_server *server) {
  const struct wwr_server_opts *opts = &server->opts;
  struct wwri_msg msg = {.type = WWRI_ACCEPT_CONF,
                         .name = wwr_view_str(opts->subprotocol)};
  msg.conf.major = WWRI_VERSION_MAJOR;
  msg.conf.read_timeout_ms = opts->read_timeout_ms;
  msg.conf.buffer_bytes = opts->message_buffer_bytes;
  return wwri_encode_frame(&msg, opts->message_buffer_bytes,
                           &server->accept_conf);
}

static wwr_err make_notices(struct wwr_server *server) {
  struct wwri_msg gone = {.type = WWRI_NOTIFY_SESSION_CLOSED};
  wwr_err err = make_accept_conf(server);
  return err == WWR_OK ? wwri_encode_frame(&gone, 1, &server->session_gone)
                       : err;
}

static wwr_err make_shards(struct wwr_server *server) {
  size_t count = server->opts.io_threads;
  server->shards = calloc(count, sizeof *server->shards);
  server->loops = calloc(count, sizeof(struct wwri_loop *));
  if (!server->shards || !server->loops) return WWR_E_NOMEM;
  for (size_t i = 0; i < count; i++) {
    wwr_err err = wwri_loop_new(&server->loops[i]);
    if (err != WWR_OK) return err;
    server->shards[i].server = server;
    server->shards[i].loop = server->loops[i];
    wwri_authority_init_shard(&server->shards[i]);
    server->shard_count = i + 1;
  }
  return WWR_OK;
}

static wwr_err make_pools(struct wwr_server *server) {
  wwr_err err = wwri_pool_new(&server->workers, server->opts.worker_threads);
  if (err != WWR_OK || !server->opts.store) return err;
  if (!server->opts.store->ops->blocking) return WWR_OK;
  /* Its own pool: handlers wait for the store, so they must not be able to
   * take all of its threads. */
  return wwri_pool_new(&server->store_workers, WWRI_STORE_THREADS);
}

static void init_control(struct wwr_server *server) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&server->control.changed, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&server->control.lock, NULL);
  pthread_mutex_init(&server->broadcast_lock, NULL);
  wwri_registry_init(&server->registry);
}

static void free_spares(struct wwri_shard *shard) {
  while (shard->own.spare) {
    struct wwr_request *request = shard->own.spare;
    shard->own.spare = request->next;
    free(request);
  }
}

/* Everything but what the caller still owns when making failed. */
static void destroy(struct wwr_server *server) {
  wwri_pool_free(server->workers);
  wwri_pool_free(server->store_workers);
  for (size_t i = 0; i < server->shard_count; i++) {
    wwri_loop_stop(server->loops[i]);
  }
  wwri_channels_deinit(server);
  for (size_t i = 0; i < server->shard_count; i++) {
    free_spares(&server->shards[i]);
    free(server->shards[i].own.conns);
    wwri_loop_free(server->loops[i]);
  }
  wwri_frame_unref(server->accept_conf);
  wwri_frame_unref(server->session_gone);
  wwri_registry_deinit(&server->registry);
  pthread_cond_destroy(&server->control.changed);
  pthread_mutex_destroy(&server->control.lock);
  pthread_mutex_destroy(&server->broadcast_lock);
  wwri_options_deinit(&server->opts);
  free(server->loops);
  free(server->shards);
  free(server);
}

wwr_err wwr_server_new(struct wwr_server **out,
                       const struct wwr_server_opts *opts,
                       const char **bad_field) {
  *out = NULL;
  struct wwr_server *server = calloc(1, sizeof *server);
  if (!server) {
    if (bad_field) *bad_field = NULL;
    return WWR_E_NOMEM;
  }
  init_control(server);
  wwr_err err = wwri_options_copy(&server->opts, opts, bad_field);
  if (err == WWR_OK) err = make_notices(server);
  if (err == WWR_OK) err = make_shards(server);
  if (err == WWR_OK) err = make_pools(server);
  if (err == WWR_OK) wwri_limits_init(server);
  if (err == WWR_OK) err = wwri_channels_init(server);
  if (err != WWR_OK) {
    destroy(server);
    return err;
  }
  server->transport = opts->transport;
  server->store = opts->store;
  if (opts->store && opts->store->ops->authority) {
    server->registry.store = opts->store;
  }
  *out = server;
  return WWR_OK;
}

void wwr_server_free(struct wwr_server *server) {
  if (!server) return;
  wwr_server_shutdown(server);
  wwri_shutdown_wait_idle(server);
  wwri_shutdown_end_channels(server);
  wwri_shutdown_wait_late(server);
  if (server->control.has_thread) pthread_join(server->control.thread, NULL);
  struct wwr_transport *transport = server->transport;
  struct wwr_sessionstore *store = server->store;
  wwri_authority_unwatch(server);
  destroy(server);
  wwr_transport_free(transport);
  if (store) store->ops->free(store);
}

/* --- Starting ------------------------------------------------------------- */

static wwr_err start_loops(struct wwr_server *server) {
  for (size_t i = 0; i < server->shard_count; i++) {
    char name[16];
    snprintf(name, sizeof name, "wwr-io-%u", (unsigned)(i & 0xffff));
    wwr_err err = wwri_loop_start(server->loops[i], name);
    if (err != WWR_OK) return err;
  }
  return WWR_OK;
}

static wwr_err start_transport(struct wwr_server *server) {
  const struct wwr_server_opts *opts = &server->opts;
  struct wwri_transport_config config = {
      .loops = server->loops,
      .loop_count = server->shard_count,
      .events = &wwri_accept_events,
      .owner = server,
      .log = &server->opts.log,
      .max_message_bytes = opts->message_buffer_bytes,
      .max_queued_bytes = opts->max_queued_bytes,
      .ping_interval_ms = opts->ping_interval_ms,
      .close_linger_ms = WWRI_CLOSE_LINGER_MS,
      .max_connections = opts->max_connections,
  };
  return server->transport->ops->start(server->transport, &config);
}

static wwr_err start_control(struct wwr_server *server) {
  if (pthread_create(&server->control.thread, NULL, wwri_shutdown_thread,
                     server) != 0) {
    return WWR_E_IO;
  }
  server->control.has_thread = true;
  return WWR_OK;
}

/* The bus is told where we listen, so it is opened after the transport; who
 * connects in between gets 503. */
static wwr_err start_all(struct wwr_server *server) {
  wwr_err err = start_loops(server);
  if (err == WWR_OK) err = start_transport(server);
  if (err != WWR_OK) return err;
  wwri_limits_apply(server);
  wwri_pulse_begin(server);
  err = wwri_channels_open(server, wwr_server_address(server));
  if (err == WWR_OK) err = start_control(server);
  if (err != WWR_OK) {
    server->transport->ops->stop(server->transport);
    wwri_channels_close(server);
  }
  return err;
}

wwr_err wwr_server_start(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  bool fresh = server->control.state == WWRI_SERVER_NEW;
  if (fresh) server->control.state = WWRI_SERVER_RUNNING;
  pthread_mutex_unlock(&server->control.lock);
  if (!fresh) return WWR_E_CLOSED;
  wwri_authority_watch(server);
  wwr_err err = start_all(server);
  if (err == WWR_OK) return WWR_OK;
  wwri_log(&server->opts.log, WWR_LOG_ERROR, 0, "server could not start",
           "error", wwr_err_name(err), NULL);
  pthread_mutex_lock(&server->control.lock);
  server->control.state = WWRI_SERVER_STOPPED;
  pthread_cond_broadcast(&server->control.changed);
  pthread_mutex_unlock(&server->control.lock);
  return err;
}

bool wwri_server_is_running(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  bool running = server->control.state >= WWRI_SERVER_RUNNING &&
                 server->control.state <= WWRI_SERVER_STOPPING;
  pthread_mutex_unlock(&server->control.lock);
  return running;
}

wwr_err wwr_server_run(struct wwr_server *server) {
  wwr_err err = wwr_server_start(server);
  if (err == WWR_OK) wwr_server_wait(server);
  return err;
}

/* --- Queries -------------------------------------------------------------- */

const char *wwr_server_address(const struct wwr_server *server) {
  return server->transport->ops->address(server->transport);
}

const char *wwr_server_node_name(const struct wwr_server *server) {
  return server->channels.bus->name;
}

/* The registry's lock is the only thing a query changes. */
static struct wwri_registry *registry_of(const struct wwr_server *server) {
  return (struct wwri_registry *)(uintptr_t)&server->registry;
}

size_t wwr_server_sessions(const struct wwr_server *server) {
  return wwri_registry_count(registry_of(server));
}

long wwr_server_session_conn_count(const struct wwr_server *server,
                                   struct wwr_view key) {
  return wwri_registry_conn_count(registry_of(server), key);
}

wwr_err wwr_server_session_conns(const struct wwr_server *server,
                                 struct wwr_view key, struct wwr_conn ***out,
                                 size_t *count) {
  return wwri_registry_conns(registry_of(server), key, out, count);
}

static uint64_t load(const atomic_ullong *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void wwr_server_stats(const struct wwr_server *server,
                      struct wwr_server_stats *out) {
  struct wwri_transport_stats transport = {0};
  memset(out, 0, sizeof *out);
  server->transport->ops->stats(server->transport, &transport);
  out->connections = transport.connections;
  out->sessions = wwr_server_sessions(server);
  out->queued_bytes = transport.queued_bytes;
  out->refused = transport.refused;
  out->delayed = transport.delayed;
  out->slow_consumers = transport.slow_consumers;
  out->open_handlers = atomic_load(&server->open_work);
  for (size_t i = 0; i < server->shard_count; i++) {
    const struct wwri_counters *counters = &server->shards[i].counters;
    out->accepted += load(&counters->accepted);
    out->read_timeouts += load(&counters->read_timeouts);
    out->violations += load(&counters->violations);
    out->requests += load(&counters->requests);
    out->signals_in += load(&counters->signals_in);
    out->signals_out += load(&counters->signals_out);
  }
}
