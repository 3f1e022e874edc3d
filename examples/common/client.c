#include "client.h"

#include <webwire/wwr_websocket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  DEFAULT_TIMEOUT_MS = 10000,
  MIN_TIMEOUT_MS = 1,
  MAX_TIMEOUT_MS = 86400000
};

void example_client_options(struct wwr_option *rows,
                            struct example_client *client) {
  client->timeout_ms = DEFAULT_TIMEOUT_MS;
  rows[0] =
      (struct wwr_option){.name = "ca-file",
                          .value = "FILE",
                          .help = "wss: trust the issuers in this PEM file",
                          .kind = WWR_OPTION_TEXT,
                          .target = &client->ca_file};
  rows[1] = (struct wwr_option){
      .name = "insecure",
      .help = "wss: don't check the certificate (for tests)",
      .kind = WWR_OPTION_FLAG,
      .target = &client->insecure};
  rows[2] = (struct wwr_option){.name = "timeout",
                                .value = "SECONDS",
                                .help = "how long to wait for the server",
                                .kind = WWR_OPTION_SECONDS,
                                .target = &client->timeout_ms,
                                .min = MIN_TIMEOUT_MS,
                                .max = MAX_TIMEOUT_MS};
}

char **example_client_url(struct example_client *client, char **args) {
  if (!*args) return args;
  if (strncmp(*args, "ws://", 5) != 0 && strncmp(*args, "wss://", 6) != 0) {
    return args;
  }
  client->url = *args;
  return args + 1;
}

void example_client_fail(const struct example_client *client, const char *what,
                         wwr_err why) {
  fprintf(stderr, "%s: %s: %s\n", client->name, what,
          wwr_err_is_timeout(why) ? "no answer in time" : wwr_err_text(why));
}

/* Somebody who waits should know for what. */
static void on_log(const struct wwr_log_record *record, void *user_data) {
  struct example_client *client = user_data;
  if (strcmp(record->message, "connecting failed") != 0 ||
      atomic_exchange(&client->quiet, true))
    return;
  fprintf(stderr, "%s: %s: no connection yet, trying for %g s\n", client->name,
          client->url, client->timeout_ms / 1000.0);
}

static struct wwr_client *mistake(struct example_client *client,
                                  const char *what, const char *why) {
  fprintf(stderr, "%s: %s: %s (try --help)\n", client->name, what, why);
  client->status = WWR_EXIT_USAGE;
  return NULL;
}

static struct wwr_client *make(struct example_client *client,
                               struct wwr_client_opts *opts) {
  const struct wwr_websocket_dialer_opts dialer = {
      .url = client->url,
      .ca_file = client->ca_file,
      .insecure = client->insecure};
  struct wwr_client *made;
  if (client->ca_file && access(client->ca_file, R_OK) != 0)
    return mistake(client, client->ca_file, strerror(errno));
  wwr_err err = wwr_websocket_dialer_new(&opts->dialer, &dialer);
  if (err == WWR_E_INVALID)
    return mistake(client, client->url, "is no ws://HOST:PORT or wss:// URL");
  if (err != WWR_OK) {
    example_client_fail(client, client->url, err);
    return NULL;
  }
  err = wwr_client_new(&made, opts, NULL);
  if (err == WWR_OK) return made;
  wwr_dialer_free(opts->dialer);
  if (err == WWR_E_TLS && client->ca_file)
    return mistake(client, client->ca_file, "holds no certificate (PEM)");
  example_client_fail(client, "could not start", err);
  return NULL;
}

struct wwr_client *example_client_connect(struct example_client *client,
                                          struct wwr_client_opts *opts) {
  client->status = WWR_EXIT_FAILED;
  opts->request_timeout_ms = client->timeout_ms;
  if (opts->dial_timeout_ms > client->timeout_ms) {
    opts->dial_timeout_ms = client->timeout_ms;
  }
  atomic_init(&client->quiet, opts->autoconnect == WWR_AUTOCONNECT_OFF);
  opts->log = (struct wwr_log){on_log, client, WWR_LOG_INFO};
  struct wwr_client *made = make(client, opts);
  if (!made) return NULL;
  wwr_err err = wwr_client_connect(made, client->timeout_ms);
  atomic_store(&client->quiet, true);
  if (err == WWR_OK) return made;
  example_client_fail(client, client->url, err);
  wwr_client_free(made);
  return NULL;
}
