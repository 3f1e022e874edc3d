/* client.h - what the example clients share: options and connecting. */
#ifndef EXAMPLE_CLIENT_H
#define EXAMPLE_CLIENT_H

#include <webwire/wwr_client.h>

#include <stdatomic.h>

#include "options.h"

enum { EXAMPLE_CLIENT_OPTIONS = 3 };

/** Set by the shared options and the arguments. */
struct example_client {
  const char *name; /**< Of the program. */
  const char *url;  /**< The default before parsing. */
  const char *ca_file;
  bool insecure;
  uint32_t timeout_ms; /**< Of connecting and of a request. */
  int status;          /**< To exit with when connecting failed. */
  atomic_bool quiet;   /**< No more is said of attempts that failed. */
};

/** Fill EXAMPLE_CLIENT_OPTIONS rows of an option table; they point into
 * `client`. Sets the default time-out. */
void example_client_options(struct wwr_option *rows,
                            struct example_client *client);

/** Take the URL from the arguments when the first is one. Returns the others;
 * NULL-terminated. */
char **example_client_url(struct example_client *client, char **args);

/** Make a client of `opts` (all but its dialer and log) and connect it; a line
 * on stderr says that it takes more than one attempt. On failure one line on
 * stderr and NULL; `client->status` says how to exit. Free with
 * wwr_client_free(), before `client` ends. */
struct wwr_client *example_client_connect(struct example_client *client,
                                          struct wwr_client_opts *opts);

/** Print "NAME: what: why" to stderr. */
void example_client_fail(const struct example_client *client, const char *what,
                         wwr_err why);

#endif
