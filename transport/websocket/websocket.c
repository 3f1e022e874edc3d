/* The server's transport: its options, and its life from start to stop.
 *
 * Start: try the certificate, open the sockets, create a context on every loop
 * (each on its own thread, by mail), then listen. Stop: the listener first, so
 * that no connection comes any more, then every context. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "server.h"

/* Above it lws falls back to 2560 descriptors (docs/libwebsockets.md). */
static const rlim_t nofile_max = 10000000;
static const rlim_t nofile_sane = 1048576;

static struct wwri_ws_server *from_base(const struct wwr_transport *base) {
  return WWRI_CONTAINER(base, struct wwri_ws_server, base);
}

/* Orders to shards */

static struct wwri_ws_server_shard *shard_of(struct wwri_mail *mail) {
  return WWRI_CONTAINER(mail, struct wwri_ws_server_shard, mail);
}

static void on_stopped(struct wwri_ws_shard *base) {
  struct wwri_ws_server_shard *shard =
      WWRI_CONTAINER(base, struct wwri_ws_server_shard, base);
  wwri_ws_latch_count(&shard->server->latch);
}

static void free_pipe(struct wwri_ws_pipe *pipe) {
  wwri_ws_conn_free(WWRI_CONTAINER(pipe, struct wwri_ws_server_conn, pipe));
}

static const struct wwri_ws_shard_events shard_events = {
    .stopped = on_stopped, .free_pipe = free_pipe};

static void open_shard(struct wwri_mail *mail) {
  struct wwri_ws_server_shard *shard = shard_of(mail);
  struct wwri_ws_server *server = shard->server;
  bool tls = server->tls.cert_file != NULL;
  struct wwri_ws_context_opts opts = {
      .callback = wwri_ws_server_callback,
      .options = tls ? LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX : 0,
      .tls = tls,
      .handshake_timeout_ms = server->handshake_timeout_ms,
      .rx_buffer = WWRI_WS_RX_BUFFER,
      .serv_buf = WWRI_WS_SERV_BUF};
  shard->result =
      wwri_ws_ping_init(&shard->base, server->config.ping_interval_ms);
  if (!shard->result && !tls) {
    shard->result = wwri_ws_native_open(&shard->base);
  }
  if (!shard->result) shard->result = wwri_ws_shard_open(&shard->base, &opts);
  if (!shard->result) shard->result = wwri_ws_lobby_open(shard);
  wwri_ws_latch_count(&server->latch);
}

static void stop_shard(struct wwri_mail *mail) {
  wwri_ws_lobby_stop(shard_of(mail));
}

static void order_all(struct wwri_ws_server *server,
                      void (*fn)(struct wwri_mail *mail)) {
  wwri_ws_latch_set(&server->latch, (unsigned)server->shard_count);
  for (size_t i = 0; i < server->shard_count; i++) {
    server->shards[i].mail.fn = fn;
    wwri_loop_post(server->shards[i].base.loop, &server->shards[i].mail);
  }
  wwri_ws_latch_wait(&server->latch);
}

static void open_listener(struct wwri_mail *mail) {
  struct wwri_ws_server *server =
      WWRI_CONTAINER(mail, struct wwri_ws_server, listen_mail);
  server->shards[0].result = wwri_ws_listener_open(server);
  wwri_ws_latch_count(&server->latch);
}

static void close_listener(struct wwri_mail *mail) {
  wwri_ws_listener_close(
      WWRI_CONTAINER(mail, struct wwri_ws_server, listen_mail));
}

static void order_listener(struct wwri_ws_server *server,
                           void (*fn)(struct wwri_mail *mail)) {
  wwri_ws_latch_set(&server->latch, 1);
  server->listen_mail.fn = fn;
  wwri_loop_post(server->config.loops[0], &server->listen_mail);
  wwri_ws_latch_wait(&server->latch);
}

/* Start and stop */

static void check_descriptors(const struct wwr_log *log) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur <= nofile_max) return;
  limit.rlim_cur = nofile_sane;
  if (setrlimit(RLIMIT_NOFILE, &limit)) return;
  wwri_log(log, WWR_LOG_WARN, 0, "lowered the soft limit of open files", "to",
           "1048576", NULL);
}

static wwr_err make_shards(struct wwri_ws_server *server) {
  size_t count = server->config.loop_count;
  server->shards = calloc(count, sizeof(*server->shards));
  if (!server->shards) return WWR_E_NOMEM;
  server->shard_count = count;
  for (size_t i = 0; i < count; i++) {
    struct wwri_ws_server_shard *shard = &server->shards[i];
    shard->server = server;
    shard->index = i;
    wwri_ws_shard_init(&shard->base, server->config.loops[i], &shard_events,
                       server->config.log);
    wwri_ws_lobby_init(shard);
    shard->base.max_queued_bytes = server->config.max_queued_bytes;
    shard->base.close_linger_ms = server->config.close_linger_ms;
    shard->base.open = &server->open;
  }
  return WWR_OK;
}

static wwr_err open_shards(struct wwri_ws_server *server) {
  order_all(server, open_shard);
  for (size_t i = 0; i < server->shard_count; i++) {
    if (server->shards[i].result) {
      wwri_log(server->config.log, WWR_LOG_ERROR, 0,
               "can't create the libwebsockets context", "error",
               wwr_err_text(server->shards[i].result), NULL);
      return server->shards[i].result;
    }
  }
  return WWR_OK;
}

static void drop_shards(struct wwri_ws_server *server) {
  order_all(server, stop_shard);
  for (size_t i = 0; i < server->shard_count; i++) {
    server->old_slow_consumers += server->shards[i].base.slow_consumers;
  }
  free(server->shards);
  server->shards = NULL;
  server->shard_count = 0;
}

static void set_running(struct wwri_ws_server *server, bool running) {
  pthread_mutex_lock(&server->reload_lock);
  server->running = running;
  pthread_mutex_unlock(&server->reload_lock);
}

static wwr_err transport_start(struct wwr_transport *base,
                               const struct wwri_transport_config *config) {
  struct wwri_ws_server *server = from_base(base);
  server->config = *config;
  atomic_store(&server->max_connections, config->max_connections);
  check_descriptors(config->log);
  wwr_err err = WWR_OK;
  if (server->tls.cert_file) err = wwri_ws_tls_check(&server->tls, config->log);
  if (!err) err = wwri_ws_listen(server);
  if (!err) err = make_shards(server);
  if (err) {
    wwri_ws_listener_abandon(server);
    return err;
  }
  err = open_shards(server);
  if (err) {
    drop_shards(server);
    wwri_ws_listener_abandon(server);
    return err;
  }
  order_listener(server, open_listener);
  err = server->shards[0].result;
  set_running(server, true);
  if (err) base->ops->stop(base);
  return err;
}

static void transport_limit(struct wwr_transport *base,
                            uint32_t max_connections,
                            uint32_t max_queued_bytes) {
  struct wwri_ws_server *server = from_base(base);
  pthread_mutex_lock(&server->reload_lock);
  if (server->running) {
    atomic_store(&server->max_connections, max_connections);
    for (size_t i = 0; i < server->shard_count; i++) {
      atomic_store(&server->shards[i].base.max_queued_bytes, max_queued_bytes);
    }
  }
  pthread_mutex_unlock(&server->reload_lock);
}

static void transport_refuse(struct wwr_transport *base) {
  atomic_store(&from_base(base)->refusing, true);
}

static void transport_stop(struct wwr_transport *base) {
  struct wwri_ws_server *server = from_base(base);
  if (!server->shards) return;
  set_running(server, false);
  order_listener(server, close_listener);
  server->listener_count = 0;
  drop_shards(server);
}

static const char *transport_address(const struct wwr_transport *base) {
  return from_base(base)->address;
}

static void transport_stats(const struct wwr_transport *base,
                            struct wwri_transport_stats *out) {
  struct wwri_ws_server *server = from_base(base);
  out->accepted = server->accepted;
  out->refused = server->refused;
  out->delayed = server->delayed;
  out->connections = server->open;
  out->slow_consumers = server->old_slow_consumers;
  pthread_mutex_lock(&server->reload_lock);
  for (size_t i = 0; server->running && i < server->shard_count; i++) {
    out->slow_consumers += server->shards[i].base.slow_consumers;
    out->queued_bytes += server->shards[i].base.stalled_bytes;
  }
  pthread_mutex_unlock(&server->reload_lock);
}

static void transport_free(struct wwr_transport *base) {
  transport_stop(base);
  wwri_ws_server_free(from_base(base));
}

const struct wwri_transport_ops wwri_ws_transport_ops = {
    .start = transport_start,
    .limit = transport_limit,
    .refuse = transport_refuse,
    .stop = transport_stop,
    .address = transport_address,
    .stats = transport_stats,
    .free = transport_free};
