#include "client.h"

#include <webwire/wwr_websocket.h>

#include <stdio.h>
#include <string.h>

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

struct wwr_client *example_client_connect(const struct example_client *client,
                                          struct wwr_client_opts *opts) {
  const struct wwr_websocket_dialer_opts dialer = {
      .url = client->url,
      .ca_file = client->ca_file,
      .insecure = client->insecure};
  struct wwr_client *made;
  opts->request_timeout_ms = client->timeout_ms;
  if (opts->dial_timeout_ms > client->timeout_ms) {
    opts->dial_timeout_ms = client->timeout_ms;
  }
  wwr_err err = wwr_websocket_dialer_new(&opts->dialer, &dialer);
  if (err != WWR_OK) {
    example_client_fail(client, client->url, err);
    return NULL;
  }
  err = wwr_client_new(&made, opts, NULL);
  if (err != WWR_OK) {
    wwr_dialer_free(opts->dialer);
    example_client_fail(client, "could not start", err);
    return NULL;
  }
  err = wwr_client_connect(made, client->timeout_ms);
  if (err == WWR_OK) return made;
  example_client_fail(client, client->url, err);
  wwr_client_free(made);
  return NULL;
}
