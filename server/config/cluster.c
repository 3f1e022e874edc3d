/* A server's options of the cluster, and the membership that is made of them.
 *
 * Failure modes: an option that makes no sense, alone or beside others, is said
 * by its name and is status 2. A Redis that can't be reached is none: the
 * membership goes on trying. The URL may hold a password and is never shown. */
#include <webwire/wwr_redisstore.h>

#include <string.h>

#include "node_impl.h"

enum {
  MIN_HOLD_MS = 100,
  MAX_HOLD_MS = 60000,
  MIN_LEASE_MS = 200,
  MAX_LEASE_MS = 600000
};

void wwri_cluster_options(struct wwr_node *node, struct wwr_option *rows) {
  struct wwr_cluster_opts *opts = &node->cluster_opts;
  wwr_cluster_opts_default(opts);
  const struct wwr_option shared[WWRI_CLUSTER_OPTIONS] = {
      {"redis", "URL",
       "be one of many nodes on this Redis: redis://, rediss://,\n"
       "                          unix://, redis+sentinel://",
       WWR_OPTION_SECRET, &opts->url, 0, 0},
      {"prefix", "NAME", "the cluster's name in that Redis", WWR_OPTION_TEXT,
       &opts->prefix, 0, 0},
      {"node-name", "NAME", "this node's name [host name and process id]",
       WWR_OPTION_TEXT, &opts->name, 0, 0},
      {"hold", "SECONDS", "how long to wait while Redis is away",
       WWR_OPTION_SECONDS, &opts->hold_ms, MIN_HOLD_MS, MAX_HOLD_MS},
      {"lease", "SECONDS", "silence that makes a node dead for others",
       WWR_OPTION_SECONDS, &opts->lease_ms, MIN_LEASE_MS, MAX_LEASE_MS},
  };
  memcpy(rows, shared, sizeof shared);
}

/* The options that mean nothing without a cluster. */
static int check_alone(const struct wwr_node *node) {
  static const char *const names[] = {"prefix", "node-name", "hold", "lease"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (wwri_option_given(node->options, names[i]))
      return wwr_options_reject(node->options, names[i], "needs --redis");
  }
  return WWR_GO_ON;
}

int wwri_cluster_settle(struct wwr_node *node) {
  struct wwr_cluster_opts *opts = &node->cluster_opts;
  if (!opts->url) return check_alone(node);
  if (node->sessions) {
    return wwr_options_reject(node->options, "sessions",
                              "not with --redis, which keeps them");
  }
  if (opts->lease_ms >= 2 * opts->hold_ms) return WWR_GO_ON;
  if (wwri_option_given(node->options, "lease")) {
    return wwr_options_reject(node->options, "lease",
                              "must be at least twice --hold");
  }
  opts->lease_ms = 2 * opts->hold_ms;
  return WWR_GO_ON;
}

/* --- Joining -------------------------------------------------------------- */

/* The option that the library's complaint is about. */
static const char *option_of(const char *why) {
  static const char *const names[][2] = {{"prefix", "prefix"},
                                         {"name", "node-name"},
                                         {"hold_ms", "hold"},
                                         {"lease_ms", "lease"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t len = strlen(names[i][0]);
    if (strncmp(why, names[i][0], len) == 0 && why[len] == ' ')
      return names[i][1];
  }
  return "redis";
}

int wwri_cluster_open(struct wwr_node *node) {
  const char *why = NULL;
  node->cluster_opts.log = node->opts->log;
  wwr_err err = wwr_cluster_new(&node->cluster, &node->cluster_opts, &why);
  if (why && (err == WWR_E_INVALID || err == WWR_E_TLS))
    return wwr_options_reject(node->options, option_of(why), why);
  if (err == WWR_OK) {
    err = wwr_redisstore_new(&node->opts->store, node->cluster);
  }
  if (err != WWR_OK) return wwri_node_failed(node, "could not start", err);
  node->opts->bus = wwr_cluster_bus(node->cluster);
  return WWR_GO_ON;
}
