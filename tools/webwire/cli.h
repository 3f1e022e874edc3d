/* cli.h - webwire: what its commands share. */
#ifndef WEBWIRE_CLI_H
#define WEBWIRE_CLI_H

#include <jansson.h>

#include "options.h"

/** In the order of the option's words. */
enum cli_encoding { CLI_UTF8, CLI_UTF16, CLI_BINARY };

/** The command line, for all commands. */
struct cli {
  struct wwr_option_list admins; /**< Admin listeners; the first counts, for
                                      doctor all. */
  const char *token;             /**< Of the API; NULL: none. */
  const char *url;               /**< Where clients connect. */
  const char *redis;             /**< For doctor; NULL: not looked at. */
  const char *from;              /**< URLs of Redis, for move. */
  const char *to;
  const char *ca_file;
  const char *auth;   /**< A token to sign in with; NULL: none. */
  const char *prefix; /**< Of channels; NULL: all. For move: of keys. */
  const char *name;   /**< Of a signal; NULL: the channel's. */
  int encoding;       /**< enum cli_encoding. */
  uint32_t timeout_ms;
  uint32_t idle_ms;
  uint32_t count; /**< 0: no limit. */
  uint32_t history;
  uint32_t limit;
  bool insecure;
  bool json;
  bool wait;
  bool dry_run;
  bool delete;
  char **args; /**< Behind the command's name; NULL-terminated. */
};

/** Print "webwire: what: why" to stderr; returns WWR_EXIT_FAILED. */
int cli_fail(const char *what, const char *why);

/** Print a document on stdout, indented; consumes it. Returns an exit status:
 * failed when it is NULL or can't be written. */
int cli_print_json(json_t *json);

/** The member "epoch" of a place or a message: a number as text, for programs
 * whose numbers are short. 0 when it is none. */
json_int_t cli_epoch(const json_t *json);

/* --- commands ------------------------------------------------------------- */
/* Each returns the exit status. */

int cli_health(const struct cli *cli);
int cli_node(const struct cli *cli);
int cli_nodes(const struct cli *cli);
int cli_shards(const struct cli *cli);
int cli_channels(const struct cli *cli);
int cli_channel(const struct cli *cli);
int cli_history(const struct cli *cli);
int cli_sessions(const struct cli *cli);
int cli_session(const struct cli *cli);
int cli_connections(const struct cli *cli);
int cli_publish(const struct cli *cli);
int cli_close_session(const struct cli *cli);
int cli_disconnect(const struct cli *cli);
int cli_drain(const struct cli *cli);
int cli_reload(const struct cli *cli);
int cli_subscribe(const struct cli *cli);
int cli_doctor(const struct cli *cli);
int cli_move(const struct cli *cli);

#endif
