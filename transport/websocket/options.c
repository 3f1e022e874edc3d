/* The server's options: defaults, checks, copies. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum {
  DEFAULT_ACCEPTS = 64,
  DEFAULT_HANDSHAKE_MS = 10000,
  ACCEPTS_MAX = 100000,
  HANDSHAKE_MAX_MS = 3600000
};

void wwr_websocket_opts_default(struct wwr_websocket_opts *opts) {
  memset(opts, 0, sizeof(*opts));
  opts->listen = "127.0.0.1:0";
  opts->accepts_per_pass = DEFAULT_ACCEPTS;
  opts->handshake_timeout_ms = DEFAULT_HANDSHAKE_MS;
  opts->write_path = WWR_WRITE_DIRECT;
}

const char *wwri_ws_tls_wrong(const struct wwr_tls_server *tls) {
  if (!tls->cert_file) return "tls.cert_file";
  if (!tls->key_file) return "tls.key_file";
  if (tls->min_version && strcmp(tls->min_version, "1.2") != 0 &&
      strcmp(tls->min_version, "1.3") != 0) {
    return "tls.min_version";
  }
  return NULL;
}

/* The name of the field that is wrong, or NULL. */
static const char *check_opts(const struct wwr_websocket_opts *opts,
                              struct wwri_ws_address *where) {
  if (opts->listen && !wwri_ws_address_parse(where, opts->listen)) {
    return "listen";
  }
  for (size_t i = 0; i < opts->origin_count; i++) {
    if (!opts->origins || !opts->origins[i]) return "origins";
  }
  for (size_t i = 0; i < opts->path_count; i++) {
    if (!opts->paths || !opts->paths[i] || opts->paths[i][0] != '/') {
      return "paths";
    }
  }
  if (opts->accepts_per_pass > ACCEPTS_MAX) return "accepts_per_pass";
  if (opts->handshake_timeout_ms > HANDSHAKE_MAX_MS) {
    return "handshake_timeout_ms";
  }
  if (opts->write_path != WWR_WRITE_DIRECT &&
      opts->write_path != WWR_WRITE_CALLBACK) {
    return "write_path";
  }
  return opts->tls ? wwri_ws_tls_wrong(opts->tls) : NULL;
}

static bool copy_string(char **out, const char *text) {
  if (!text) return true;
  *out = strdup(text);
  return *out != NULL;
}

static bool copy_strings(struct wwri_ws_strings *out, const char *const *items,
                         size_t count) {
  if (count == 0) return true;
  out->items = calloc(count, sizeof(*out->items));
  if (!out->items) return false;
  for (; out->count < count; out->count++) {
    if (!copy_string(&out->items[out->count], items[out->count])) return false;
  }
  return true;
}

static void free_strings(struct wwri_ws_strings *strings) {
  for (size_t i = 0; i < strings->count; i++) free(strings->items[i]);
  free(strings->items);
}

static bool copy_tls(struct wwri_ws_tls *out,
                     const struct wwr_tls_server *tls) {
  return !tls || (copy_string(&out->cert_file, tls->cert_file) &&
                  copy_string(&out->key_file, tls->key_file) &&
                  copy_string(&out->min_version, tls->min_version) &&
                  copy_string(&out->ciphers, tls->ciphers) &&
                  copy_string(&out->ciphersuites, tls->ciphersuites) &&
                  copy_string(&out->curves, tls->curves));
}

static bool copy_opts(struct wwri_ws_server *server,
                      const struct wwr_websocket_opts *opts) {
  server->accepts_per_pass =
      opts->accepts_per_pass ? opts->accepts_per_pass : DEFAULT_ACCEPTS;
  server->handshake_timeout_ms = opts->handshake_timeout_ms
                                     ? opts->handshake_timeout_ms
                                     : DEFAULT_HANDSHAKE_MS;
  atomic_store(&server->write_path, (int)opts->write_path);
  atomic_store(&server->accepts_per_second, opts->accepts_per_second);
  return copy_string(&server->listen,
                     opts->listen ? opts->listen : "127.0.0.1:0") &&
         wwri_ws_address_parse(&server->where, server->listen) &&
         copy_tls(&server->tls, opts->tls) &&
         copy_strings(&server->origins, opts->origins, opts->origin_count) &&
         copy_strings(&server->paths, opts->paths, opts->path_count);
}

void wwri_ws_server_free(struct wwri_ws_server *server) {
  free(server->listen);
  free(server->tls.cert_file);
  free(server->tls.key_file);
  free(server->tls.min_version);
  free(server->tls.ciphers);
  free(server->tls.ciphersuites);
  free(server->tls.curves);
  free_strings(&server->origins);
  free_strings(&server->paths);
  wwri_ws_latch_deinit(&server->latch);
  pthread_mutex_destroy(&server->reload_lock);
  pthread_rwlock_destroy(&server->origins_lock);
  free(server);
}

static struct wwri_ws_server *server_new(void) {
  struct wwri_ws_server *server = calloc(1, sizeof(*server));
  if (!server) return NULL;
  server->base.ops = &wwri_ws_transport_ops;
  server->reserve_fd = -1;
  if (!wwri_ws_latch_init(&server->latch)) {
    free(server);
    return NULL;
  }
  if (pthread_mutex_init(&server->reload_lock, NULL)) {
    wwri_ws_latch_deinit(&server->latch);
    free(server);
    return NULL;
  }
  pthread_rwlock_init(&server->origins_lock, NULL); /* never fails there */
  return server;
}

wwr_err wwr_websocket_transport_new(struct wwr_transport **out,
                                    const struct wwr_websocket_opts *opts,
                                    const char **bad_field) {
  struct wwri_ws_address where;
  const char *bad = check_opts(opts, &where);
  if (bad_field) *bad_field = bad;
  *out = NULL;
  if (bad) return WWR_E_INVALID;
  struct wwri_ws_server *server = server_new();
  if (!server) return WWR_E_NOMEM;
  if (!copy_opts(server, opts)) {
    wwri_ws_server_free(server);
    return WWR_E_NOMEM;
  }
  *out = &server->base;
  return WWR_OK;
}

wwr_err wwr_websocket_set_origins(struct wwr_transport *ws,
                                  const char *const *origins, size_t count) {
  if (ws->ops != &wwri_ws_transport_ops) return WWR_E_INVALID;
  for (size_t i = 0; i < count; i++) {
    if (!origins || !origins[i]) return WWR_E_INVALID;
  }
  struct wwri_ws_server *server =
      WWRI_CONTAINER(ws, struct wwri_ws_server, base);
  struct wwri_ws_strings now = {NULL, 0};
  if (!copy_strings(&now, origins, count)) {
    free_strings(&now);
    return WWR_E_NOMEM;
  }
  pthread_rwlock_wrlock(&server->origins_lock);
  struct wwri_ws_strings old = server->origins;
  server->origins = now;
  pthread_rwlock_unlock(&server->origins_lock);
  free_strings(&old);
  return WWR_OK;
}

void wwr_websocket_set_accepts_per_second(struct wwr_transport *ws,
                                          uint32_t count) {
  if (ws->ops != &wwri_ws_transport_ops) return;
  struct wwri_ws_server *server =
      WWRI_CONTAINER(ws, struct wwri_ws_server, base);
  atomic_store(&server->accepts_per_second, count);
}

void wwr_websocket_set_write_path(struct wwr_transport *ws,
                                  enum wwr_write_path path) {
  if (ws->ops != &wwri_ws_transport_ops) return;
  atomic_store(&WWRI_CONTAINER(ws, struct wwri_ws_server, base)->write_path,
               (int)path);
}
