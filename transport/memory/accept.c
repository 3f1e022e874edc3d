/* The server's side: dials arrive by mail on a shard's loop, are let in or
 * refused there, and live there.
 *
 * Everything that can still use this object (a dial under way, a pipe, a stop
 * under way) is counted by the owner; stop() waits for zero. */
#include <stdlib.h>

#include "http.h"
#include "mem.h"

enum { STATUS_FORBIDDEN = 403, STATUS_UNAVAILABLE = 503 };

struct shard {
  struct wwri_mem_server *server;
  struct wwri_loop *loop;
  struct wwri_list pipes;
  bool stopping;
  struct wwri_mail stop_mail;
  atomic_size_t load; /* dials and pipes that chose this shard */
};

struct wwri_mem_server {
  struct wwr_transport base;
  struct wwri_mem_owner owner;
  struct wwr_memory_hub *hub;
  struct wwri_transport_config config;
  struct shard *shards; /* NULL before start */
  atomic_bool started;
  atomic_bool refusing;
  atomic_ullong accepted;
  atomic_ullong refused;
  atomic_ullong slow_consumers;
  atomic_ullong connections;
  atomic_ullong queued_bytes;
  atomic_uint max_connections; /* 0: no limit */
  atomic_uint max_queued_bytes;
};

static struct wwri_mem_server *from_base(const struct wwr_transport *base) {
  return WWRI_CONTAINER(base, struct wwri_mem_server, base);
}

/* Dials */

struct wwri_loop *wwri_mem_server_admit(struct wwri_mem_server *server,
                                        struct wwri_mem_pair *pair) {
  size_t best = 0;
  size_t best_load = SIZE_MAX;
  for (size_t i = 0; i < server->config.loop_count; i++) {
    size_t load = atomic_load(&server->shards[i].load);
    if (load >= best_load) continue;
    best = i;
    best_load = load;
  }
  pair->to = server;
  pair->shard = best;
  atomic_fetch_add(&server->shards[best].load, 1);
  wwri_mem_owner_hold(&server->owner);
  return server->shards[best].loop;
}

static void answer(struct wwri_mem_pair *pair, wwr_err result, int status) {
  pair->result = result;
  pair->http_status = status;
  pair->mail.fn = pair->answered;
  wwri_loop_post(pair->client.base.loop, &pair->mail);
}

static void refuse_dial(struct wwri_mem_pair *pair, int status) {
  struct wwri_mem_server *server = pair->to;
  atomic_fetch_add(&server->refused, 1);
  atomic_fetch_sub(&server->shards[pair->shard].load, 1);
  answer(pair, WWR_E_REFUSED, status);
  wwri_mem_owner_drop(&server->owner);
}

static bool count_connection(struct wwri_mem_server *server) {
  unsigned long long before = atomic_fetch_add(&server->connections, 1);
  uint32_t max = atomic_load(&server->max_connections);
  if (max == 0 || before < max) return true;
  atomic_fetch_sub(&server->connections, 1);
  return false;
}

static void open_pipe(struct wwri_mem_pair *pair, void *token) {
  struct wwri_mem_server *server = pair->to;
  struct shard *shard = &server->shards[pair->shard];
  struct wwri_mem_pipe_config config = {
      .loop = shard->loop,
      .owner = &server->owner,
      .max_message_bytes = server->config.max_message_bytes,
      .max_queued_bytes = &server->max_queued_bytes,
      .queued_total = &server->queued_bytes,
      .close_linger_ms = server->config.close_linger_ms,
  };
  wwri_mem_pipe_init(&pair->server, pair, &pair->client, &config);
  wwri_list_append(&shard->pipes, &pair->server.link);
  atomic_store(&pair->attached, 2);
  atomic_fetch_add(&server->accepted, 1);
  server->config.events->opened(server->config.owner, pair->shard, token,
                                &pair->server.base);
  answer(pair, WWR_OK, 0);
}

void wwri_mem_server_on_dial(struct wwri_mail *mail) {
  struct wwri_mem_pair *pair = WWRI_CONTAINER(mail, struct wwri_mem_pair, mail);
  struct wwri_mem_server *server = pair->to;
  if (server->shards[pair->shard].stopping || atomic_load(&server->refusing) ||
      !count_connection(server)) {
    refuse_dial(pair, STATUS_UNAVAILABLE);
    return;
  }
  struct wwr_http http = {.method = "GET", .path = "/", .remote = "memory"};
  void *token = NULL;
  if (server->config.events->upgrade(server->config.owner, pair->shard, &http,
                                     &token)) {
    open_pipe(pair, token);
  } else {
    atomic_fetch_sub(&server->connections, 1);
    refuse_dial(pair, http.status ? http.status : STATUS_FORBIDDEN);
  }
  wwri_http_deinit(&http);
}

/* Pipes */

static void on_finished(struct wwri_mem_pipe *pipe, wwr_err reason) {
  struct wwri_mem_server *server = pipe->pair->to;
  atomic_fetch_sub(&server->connections, 1);
  if (reason == WWR_E_SLOW_CONSUMER) {
    atomic_fetch_add(&server->slow_consumers, 1);
  }
}

static void on_detached(struct wwri_mem_pipe *pipe) {
  struct wwri_mem_server *server = pipe->pair->to;
  atomic_fetch_sub(&server->shards[pipe->pair->shard].load, 1);
}

/* Start and stop */

static void on_stop(struct wwri_mail *mail) {
  struct shard *shard = WWRI_CONTAINER(mail, struct shard, stop_mail);
  shard->stopping = true;
  while (!wwri_list_empty(&shard->pipes)) {
    wwri_mem_pipe_finish(
        WWRI_CONTAINER(shard->pipes.next, struct wwri_mem_pipe, link),
        WWR_E_DISCONNECTED);
  }
  wwri_mem_owner_drop(&shard->server->owner);
}

static wwr_err listen_on_hub(struct wwri_mem_server *server) {
  struct wwr_memory_hub *hub = server->hub;
  wwr_err err = WWR_OK;
  pthread_mutex_lock(&hub->lock);
  if (hub->server) {
    err = WWR_E_EXISTS;
  } else {
    hub->server = server;
  }
  pthread_mutex_unlock(&hub->lock);
  return err;
}

static wwr_err server_start(struct wwr_transport *base,
                            const struct wwri_transport_config *config) {
  struct wwri_mem_server *server = from_base(base);
  if (server->shards || config->loop_count == 0) return WWR_E_INVALID;
  server->config = *config;
  atomic_store(&server->max_connections, config->max_connections);
  atomic_store(&server->max_queued_bytes, config->max_queued_bytes);
  server->shards = calloc(config->loop_count, sizeof(*server->shards));
  if (!server->shards) return WWR_E_NOMEM;
  for (size_t i = 0; i < config->loop_count; i++) {
    struct shard *shard = &server->shards[i];
    shard->server = server;
    shard->loop = config->loops[i];
    shard->stop_mail.fn = on_stop;
    wwri_list_init(&shard->pipes);
  }
  wwr_err err = listen_on_hub(server);
  if (err) {
    free(server->shards);
    server->shards = NULL;
    return err;
  }
  atomic_store(&server->started, true);
  return WWR_OK;
}

static void server_limit(struct wwr_transport *base, uint32_t max_connections,
                         uint32_t max_queued_bytes) {
  struct wwri_mem_server *server = from_base(base);
  if (!atomic_load(&server->started)) return;
  atomic_store(&server->max_connections, max_connections);
  atomic_store(&server->max_queued_bytes, max_queued_bytes);
}

static void server_refuse(struct wwr_transport *base) {
  atomic_store(&from_base(base)->refusing, true);
}

static void server_stop(struct wwr_transport *base) {
  struct wwri_mem_server *server = from_base(base);
  if (!atomic_exchange(&server->started, false)) return;
  pthread_mutex_lock(&server->hub->lock);
  server->hub->server = NULL;
  pthread_mutex_unlock(&server->hub->lock);
  for (size_t i = 0; i < server->config.loop_count; i++) {
    wwri_mem_owner_hold(&server->owner);
    wwri_loop_post(server->shards[i].loop, &server->shards[i].stop_mail);
  }
  wwri_mem_owner_wait(&server->owner);
}

static const char *server_address(const struct wwr_transport *base) {
  return atomic_load(&from_base(base)->started) ? "memory" : "";
}

static void server_stats(const struct wwr_transport *base,
                         struct wwri_transport_stats *out) {
  struct wwri_mem_server *server = from_base(base);
  out->accepted = atomic_load(&server->accepted);
  out->refused = atomic_load(&server->refused);
  out->slow_consumers = atomic_load(&server->slow_consumers);
  out->connections = atomic_load(&server->connections);
  out->queued_bytes = atomic_load(&server->queued_bytes);
}

static void server_free(struct wwr_transport *base) {
  struct wwri_mem_server *server = from_base(base);
  wwr_memory_hub_free(server->hub);
  wwri_mem_owner_deinit(&server->owner);
  free(server->shards);
  free(server);
}

static const struct wwri_transport_ops server_ops = {
    .start = server_start,
    .limit = server_limit,
    .refuse = server_refuse,
    .stop = server_stop,
    .address = server_address,
    .stats = server_stats,
    .free = server_free,
};

wwr_err wwr_memory_transport_new(struct wwr_transport **out,
                                 struct wwr_memory_hub *hub) {
  *out = NULL;
  struct wwri_mem_server *server = calloc(1, sizeof(*server));
  if (!server) return WWR_E_NOMEM;
  wwr_err err = wwri_mem_owner_init(&server->owner);
  if (err) {
    free(server);
    return err;
  }
  server->base.ops = &server_ops;
  server->owner.finished = on_finished;
  server->owner.detached = on_detached;
  server->hub = wwri_mem_hub_ref(hub);
  *out = &server->base;
  return WWR_OK;
}
