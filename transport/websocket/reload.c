/* A new certificate in place of the old one, while the server runs: read and
 * tried as a pair first, then put into each context on its own thread. */
#include "server.h"

struct reload {
  struct wwri_mail mail;
  struct wwri_ws_server_shard *shard;
  const struct wwri_ws_certificate *certificate;
  struct wwri_ws_latch *latch;
  wwr_err result;
};

static void reload_shard(struct wwri_mail *mail) {
  struct reload *reload = WWRI_CONTAINER(mail, struct reload, mail);
  reload->result =
      wwri_ws_certificate_use(reload->certificate, reload->shard->ssl_ctx);
  wwri_ws_latch_count(reload->latch);
}

/* A shard whose loop is this thread's can't be waited for. */
static void reload_one(struct reload *reload) {
  if (wwri_loop_is_current(reload->shard->base.loop)) {
    reload_shard(&reload->mail);
  } else {
    reload->mail.fn = reload_shard;
    wwri_loop_post(reload->shard->base.loop, &reload->mail);
  }
  wwri_ws_latch_wait(reload->latch);
}

static wwr_err reload_all(struct wwri_ws_server *server,
                          const struct wwri_ws_certificate *certificate) {
  struct wwri_ws_latch latch;
  wwr_err err = WWR_OK;
  if (!wwri_ws_latch_init(&latch)) return WWR_E_TLS;
  for (size_t i = 0; i < server->shard_count && !err; i++) {
    struct reload reload = {.shard = &server->shards[i],
                            .certificate = certificate,
                            .latch = &latch};
    wwri_ws_latch_set(&latch, 1);
    reload_one(&reload);
    err = reload.result;
  }
  wwri_ws_latch_deinit(&latch);
  return err;
}

wwr_err wwr_websocket_reload_certificate(struct wwr_transport *ws) {
  if (ws->ops != &wwri_ws_transport_ops) return WWR_E_INVALID;
  struct wwri_ws_server *server =
      WWRI_CONTAINER(ws, struct wwri_ws_server, base);
  if (!server->tls.cert_file) return WWR_E_INVALID;
  struct wwri_ws_certificate *certificate = NULL;
  pthread_mutex_lock(&server->reload_lock);
  wwr_err err = wwri_ws_certificate_load(
      &certificate, &server->tls, server->running ? server->config.log : NULL);
  if (!err && server->running) err = reload_all(server, certificate);
  pthread_mutex_unlock(&server->reload_lock);
  wwri_ws_certificate_free(certificate);
  return err;
}
