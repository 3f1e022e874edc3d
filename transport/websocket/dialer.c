/* The client's dialer: options, and its life on its loop. It has an lws context
 * of its own, small, because it holds one connection at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialer.h"

enum {
  CLIENT_FD_LIMIT = 64, /* connections on their way out count, too */
  CLIENT_SERV_BUF = 8192,
  CLIENT_RX_BUFFER = 4096,
  CLIENT_HANDSHAKE_MS = 3600000, /* the dial's own time-out comes first */
  PATH_MAX_BYTES = 2048
};

static struct wwri_ws_dialer *from_base(const struct wwr_dialer *base) {
  return WWRI_CONTAINER(base, struct wwri_ws_dialer, base);
}

/* Orders: carried out on the loop, waited for here. */

static void finish_order(struct wwri_ws_dialer *dialer) {
  pthread_mutex_lock(&dialer->lock);
  dialer->done = true;
  pthread_cond_signal(&dialer->changed);
  pthread_mutex_unlock(&dialer->lock);
}

static void order(struct wwri_ws_dialer *dialer,
                  void (*fn)(struct wwri_mail *mail)) {
  dialer->done = false;
  dialer->mail.fn = fn;
  wwri_loop_post(dialer->config.loop, &dialer->mail);
  pthread_mutex_lock(&dialer->lock);
  while (!dialer->done) pthread_cond_wait(&dialer->changed, &dialer->lock);
  pthread_mutex_unlock(&dialer->lock);
}

/* Dialing */

static void on_dial_timeout(struct wwri_timer *timer) {
  wwri_ws_dial_fail(WWRI_CONTAINER(timer, struct wwri_ws_dialer, dial_timer),
                    WWR_E_DIAL_TIMEOUT, 0);
}

static void on_later(struct wwri_timer *timer) {
  struct wwri_ws_dialer *dialer =
      WWRI_CONTAINER(timer, struct wwri_ws_dialer, later);
  wwri_ws_dial_fail(dialer, dialer->failure, dialer->failure_status);
}

static wwr_err dialer_dial(struct wwr_dialer *base, uint32_t timeout_ms) {
  struct wwri_ws_dialer *dialer = from_base(base);
  if (dialer->dialing || !dialer->shard.context) return WWR_E_IO;
  struct wwri_ws_client_conn *conn = calloc(1, sizeof(*conn));
  if (!conn) return WWR_E_NOMEM;
  conn->dialer = dialer;
  wwri_ws_pipe_init(&conn->pipe, &dialer->shard,
                    dialer->config.max_message_bytes);
  dialer->dialing = conn;
  wwr_err err = wwri_ws_dial(dialer);
  if (err) {
    dialer->dialing = NULL;
    free(conn);
    return err;
  }
  wwri_loop_timer_set(dialer->config.loop, &dialer->dial_timer, timeout_ms);
  return WWR_OK;
}

static void dialer_cancel(struct wwr_dialer *base) {
  struct wwri_ws_dialer *dialer = from_base(base);
  if (dialer->dialing) wwri_ws_dial_fail_later(dialer, WWR_E_CANCELED, 0);
}

/* Start and stop */

void wwri_ws_dialer_maybe_stopped(struct wwri_ws_dialer *dialer) {
  if (dialer->context_gone && dialer->lookups == 0) finish_order(dialer);
}

static void on_stopped(struct wwri_ws_shard *shard) {
  struct wwri_ws_dialer *dialer = shard->owner;
  dialer->context_gone = true;
  wwri_ws_dialer_maybe_stopped(dialer);
}

static void free_pipe(struct wwri_ws_pipe *pipe) {
  free(WWRI_CONTAINER(pipe, struct wwri_ws_client_conn, pipe));
}

static const struct wwri_ws_shard_events shard_events = {
    .stopped = on_stopped, .free_pipe = free_pipe};

static void open_order(struct wwri_mail *mail) {
  struct wwri_ws_dialer *dialer =
      WWRI_CONTAINER(mail, struct wwri_ws_dialer, mail);
  struct wwri_ws_context_opts opts = {
      .callback = wwri_ws_client_callback,
      .tls = dialer->url.tls,
      .handshake_timeout_ms = CLIENT_HANDSHAKE_MS,
      .fd_limit = CLIENT_FD_LIMIT,
      .rx_buffer = CLIENT_RX_BUFFER,
      .serv_buf = CLIENT_SERV_BUF,
      .client_ssl_ctx = dialer->ssl_ctx};
  dialer->result = wwri_ws_ping_init(&dialer->shard, 0);
  if (!dialer->result) {
    dialer->result = wwri_ws_shard_open(&dialer->shard, &opts);
  }
  finish_order(dialer);
}

static void stop_order(struct wwri_mail *mail) {
  struct wwri_ws_dialer *dialer =
      WWRI_CONTAINER(mail, struct wwri_ws_dialer, mail);
  if (dialer->dialing) wwri_ws_dial_fail(dialer, WWR_E_CANCELED, 0);
  wwri_ws_shard_stop(&dialer->shard);
}

static void dialer_stop(struct wwr_dialer *base) {
  struct wwri_ws_dialer *dialer = from_base(base);
  if (!dialer->started) return;
  dialer->started = false;
  order(dialer, stop_order);
  wwri_ws_client_tls_free(dialer->ssl_ctx);
  dialer->ssl_ctx = NULL;
}

static wwr_err dialer_start(struct wwr_dialer *base,
                            const struct wwri_dialer_config *config) {
  struct wwri_ws_dialer *dialer = from_base(base);
  dialer->config = *config;
  if (dialer->url.tls) {
    wwr_err err = wwri_ws_client_tls_new(&dialer->ssl_ctx, dialer);
    if (err) return err;
  }
  wwri_ws_shard_init(&dialer->shard, config->loop, &shard_events, config->log);
  dialer->shard.owner = dialer;
  dialer->shard.max_queued_bytes = config->max_queued_bytes;
  dialer->shard.close_linger_ms = config->close_linger_ms;
  wwri_timer_init(&dialer->dial_timer, on_dial_timeout);
  wwri_timer_init(&dialer->later, on_later);
  dialer->started = true;
  order(dialer, open_order);
  wwr_err err = dialer->result;
  if (err) dialer_stop(base);
  return err;
}

static void dialer_free(struct wwr_dialer *base) {
  struct wwri_ws_dialer *dialer = from_base(base);
  dialer_stop(base);
  free(dialer->url.path);
  free(dialer->origin);
  free(dialer->user_agent);
  free(dialer->ca_file);
  pthread_cond_destroy(&dialer->changed);
  pthread_mutex_destroy(&dialer->lock);
  free(dialer);
}

static const struct wwri_dialer_ops dialer_ops = {.start = dialer_start,
                                                  .dial = dialer_dial,
                                                  .cancel = dialer_cancel,
                                                  .stop = dialer_stop,
                                                  .free = dialer_free};

/* Options */

/* What may stand in a header line. */
static bool is_header_value(const char *text) {
  for (; text && *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

static bool copy_string(char **out, const char *text) {
  if (!text) return true;
  *out = strdup(text);
  return *out != NULL;
}

static void make_host_header(struct wwri_ws_dialer *dialer) {
  const struct wwri_ws_address *at = &dialer->url.address;
  const char *usual = dialer->url.tls ? "443" : "80";
  bool with_port = strcmp(at->port, usual) != 0;
  snprintf(dialer->host_header, sizeof(dialer->host_header), "%s%s%s%s%s",
           at->bracketed ? "[" : "", at->host, at->bracketed ? "]" : "",
           with_port ? ":" : "", with_port ? at->port : "");
}

static wwr_err copy_opts(struct wwri_ws_dialer *dialer,
                         const struct wwr_websocket_dialer_opts *opts) {
  char agent[64];
  snprintf(agent, sizeof(agent), "webwire-c/%s", wwr_version());
  wwr_err err = wwri_ws_url_parse(&dialer->url, opts->url);
  if (err) return err;
  if (strlen(dialer->url.path) > PATH_MAX_BYTES) return WWR_E_INVALID;
  make_host_header(dialer);
  dialer->insecure = opts->insecure;
  bool done = copy_string(&dialer->origin, opts->origin) &&
              copy_string(&dialer->user_agent,
                          opts->user_agent ? opts->user_agent : agent) &&
              copy_string(&dialer->ca_file, opts->ca_file);
  return done ? WWR_OK : WWR_E_NOMEM;
}

static struct wwri_ws_dialer *dialer_new(void) {
  struct wwri_ws_dialer *dialer = calloc(1, sizeof(*dialer));
  if (!dialer) return NULL;
  dialer->base.ops = &dialer_ops;
  if (pthread_mutex_init(&dialer->lock, NULL)) {
    free(dialer);
    return NULL;
  }
  if (pthread_cond_init(&dialer->changed, NULL)) {
    pthread_mutex_destroy(&dialer->lock);
    free(dialer);
    return NULL;
  }
  return dialer;
}

wwr_err wwr_websocket_dialer_new(struct wwr_dialer **out,
                                 const struct wwr_websocket_dialer_opts *opts) {
  *out = NULL;
  if (!opts->url || !is_header_value(opts->origin) ||
      !is_header_value(opts->user_agent)) {
    return WWR_E_INVALID;
  }
  struct wwri_ws_dialer *dialer = dialer_new();
  if (!dialer) return WWR_E_NOMEM;
  wwr_err err = copy_opts(dialer, opts);
  if (err) {
    dialer_free(&dialer->base);
    return err;
  }
  *out = &dialer->base;
  return WWR_OK;
}
