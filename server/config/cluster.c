/* A server's options of the cluster, and the membership that is made of them.
 *
 * Failure modes: an option that makes no sense, alone or beside others, is said
 * by its name and is status 2. A Redis that can't be reached is none: the
 * membership goes on trying. The URL may hold a password and is never shown. */
#include <webwire/wwr_redisstore.h>

#include <stdlib.h>
#include <string.h>

#include "node_impl.h"

/* 45 days, in milliseconds of 32 bits. */
#define MAX_TTL_MS 3888000000U

enum {
  MIN_HOLD_MS = 100,
  MAX_HOLD_MS = 60000,
  MIN_LEASE_MS = 200,
  MAX_LEASE_MS = 600000,
  MIN_TTL_MS = 60000,
  WHY_MAX = 256,
};

void wwri_cluster_options(struct wwr_node *node, struct wwr_option *rows) {
  struct wwr_cluster_opts *opts = &node->cluster_opts;
  wwr_cluster_opts_default(opts);
  const struct wwr_option shared[WWRI_CLUSTER_OPTIONS] = {
      {.name = "redis",
       .value = "URL",
       .help = "be one of many nodes on this Redis: redis://, rediss://,\n"
               "                          unix://, redis+sentinel://; or on\n"
               "                          several, between spaces, or on\n"
               "                          redis+cluster://",
       .kind = WWR_OPTION_SECRET,
       .target = &node->redis_url,
       .key = "cluster.redis",
       .detail = "Several: the same ones in the same order on all nodes. "
                 "Without it the node is alone."},
      {.value = "FILE",
       .help = "a file that holds the URL",
       .kind = WWR_OPTION_SECRET_FILE,
       .target = &node->redis_url,
       .key = "cluster.redis-file"},
      {.value = "PASSWORD",
       .help = "the password, when it is not in the URL",
       .kind = WWR_OPTION_SECRET,
       .target = &node->redis_password,
       .key = "cluster.password"},
      {.value = "FILE",
       .help = "a file that holds the password",
       .kind = WWR_OPTION_SECRET_FILE,
       .target = &node->redis_password,
       .key = "cluster.password-file"},
      {.name = "prefix",
       .value = "NAME",
       .help = "the cluster's name in that Redis",
       .kind = WWR_OPTION_TEXT,
       .target = &opts->prefix,
       .key = "cluster.prefix"},
      {.name = "node-name",
       .value = "NAME",
       .help = "this node's name [host name and process id]",
       .kind = WWR_OPTION_TEXT,
       .target = &opts->name,
       .key = "server.node-name"},
      {.name = "hold",
       .value = "SECONDS",
       .help = "how long to wait while Redis is away",
       .kind = WWR_OPTION_SECONDS,
       .target = &opts->hold_ms,
       .min = MIN_HOLD_MS,
       .max = MAX_HOLD_MS,
       .key = "cluster.hold-time"},
      {.name = "lease",
       .value = "SECONDS",
       .help = "silence that makes a node dead for others",
       .kind = WWR_OPTION_SECONDS,
       .target = &opts->lease_ms,
       .min = MIN_LEASE_MS,
       .max = MAX_LEASE_MS,
       .key = "cluster.lease-time",
       .detail = "The same on all nodes, at least twice hold-time."},
      {.value = "N",
       .help = "restores of sessions that wait at a time while Redis is away",
       .kind = WWR_OPTION_NUMBER,
       .target = &opts->max_held,
       .min = 1,
       .max = 1000000,
       .key = "cluster.max-held"},
      {.value = "SECONDS",
       .help = "how long a session nobody is connected with is kept in Redis",
       .kind = WWR_OPTION_SECONDS,
       .target = &opts->session_ttl_ms,
       .min = MIN_TTL_MS,
       .max = MAX_TTL_MS,
       .key = "sessions.expiry"},
  };
  memcpy(rows, shared, sizeof shared);
}

/* --- What is wrong -------------------------------------------------------- */

/* The options that mean nothing without a cluster. */
static void check_alone(const struct wwr_node *node) {
  static const char *const names[] = {
      "cluster.password", "cluster.password-file", "prefix", "hold", "lease",
      "cluster.max-held", "sessions.expiry"};
  const char *message =
      node->program->sections ? "needs cluster.redis" : "needs --redis";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (wwr_option_given(node->options, names[i]))
      wwr_options_reject(node->options, names[i], message);
  }
  /* A node's name is also for people, in a group of others that are not. */
  if (!node->program->sections && wwr_option_given(node->options, "node-name"))
    wwr_options_reject(node->options, "node-name", message);
}

/* Characters that stand for themselves in a URL. */
static bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || strchr("-._~", c);
}

static char *put_encoded(char *at, const char *text) {
  for (; *text; text++) {
    if (is_plain(*text)) {
      *at++ = *text;
    } else {
      at += snprintf(at, 4, "%%%02X", (unsigned char)*text);
    }
  }
  return at;
}

static const char space[] = " \t\r\n\v\f";

/* Where SCHEME://[USER@]REST of `len` bytes wants a password: behind the user,
 * whose "@" is not to be repeated (*user: there is one). False: it has one. */
static bool find_login(const char *url, size_t len, size_t *at, bool *user) {
  const char *rest = memmem(url, len, "://", 3);
  size_t head = rest ? (size_t)(rest - url) + 3 : 0;
  size_t name = strcspn(url + head, "@/?");
  *user = name < len - head && url[head + name] == '@';
  if (!*user) name = 0;
  *at = head + name;
  return !memchr(url + head, ':', name);
}

/* Every URL of the text with the password in its place, whatever it is: if it
 * is none, that is said later. NULL: no memory, or `why` says what is wrong. */
static char *with_password(const char *urls, const char *password,
                           const char **why) {
  size_t len = strlen(urls), most = len / 2 + 1; /* of URLs */
  size_t more = 3 * strlen(password) + 2;        /* of each */
  char *text = malloc(len + 1 + most * more), *to = text;
  *why = NULL;
  if (!text) return NULL;
  while (*urls) {
    size_t at, gap = strspn(urls, space), word = strcspn(urls + gap, space);
    bool user;
    memcpy(to, urls, gap);
    to += gap;
    urls += gap;
    if (word == 0) break;
    if (!find_login(urls, word, &at, &user)) {
      *why = "has a password already, in the URL";
      free(text);
      return NULL;
    }
    memcpy(to, urls, at);
    to += at;
    *to++ = ':';
    to = put_encoded(to, password);
    *to++ = '@';
    memcpy(to, urls + at + user, word - at - user);
    to += word - at - user;
    urls += word;
  }
  *to = '\0';
  return text;
}

static void settle_url(struct wwr_node *node) {
  const char *why = NULL;
  node->cluster_opts.url = node->redis_url;
  if (!node->redis_password) return;
  char *url = with_password(node->redis_url, node->redis_password, &why);
  node->cluster_opts.url = url ? wwri_options_keep(node->options, url) : NULL;
  if (node->cluster_opts.url) return;
  bool file = wwr_option_given(node->options, "cluster.password-file");
  wwr_options_reject(node->options,
                     file ? "cluster.password-file" : "cluster.password",
                     why ? why : "out of memory");
}

void wwri_cluster_settle(struct wwr_node *node) {
  struct wwr_cluster_opts *opts = &node->cluster_opts;
  if (!node->redis_url) {
    check_alone(node);
    return;
  }
  settle_url(node);
  if (node->sessions) {
    wwr_options_reject(node->options, "sessions",
                       node->program->sections
                           ? "not with cluster.redis, which keeps them"
                           : "not with --redis, which keeps them");
  }
  if (opts->lease_ms >= 2 * opts->hold_ms) return;
  if (wwr_option_given(node->options, "lease")) {
    wwr_options_reject(node->options, "lease",
                       node->program->sections
                           ? "must be at least twice cluster.hold-time"
                           : "must be at least twice --hold");
  }
  opts->lease_ms = 2 * opts->hold_ms;
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

int wwri_cluster_new(struct wwr_node *node) {
  const char *why = NULL;
  char text[WHY_MAX];
  node->cluster_opts.log = node->opts->log;
  wwr_err err = wwr_cluster_check(&node->cluster_opts, text, sizeof text);
  if (err == WWR_OK) {
    err = wwr_cluster_new(&node->cluster, &node->cluster_opts, &why);
  } else {
    why = text;
  }
  if (why && (err == WWR_E_INVALID || err == WWR_E_TLS)) {
    const char *option = option_of(why);
    if (strcmp(option, "redis") == 0 &&
        wwr_option_given(node->options, "cluster.redis-file"))
      option = "cluster.redis-file";
    return wwr_options_reject(node->options, option, why);
  }
  if (err == WWR_OK) return WWR_GO_ON;
  return wwri_node_failed(node, "could not start", err);
}

int wwri_cluster_open(struct wwr_node *node) {
  int status = wwri_cluster_new(node);
  if (status != WWR_GO_ON) return status;
  wwr_err err = wwr_redisstore_new(&node->opts->store, node->cluster);
  if (err != WWR_OK) return wwri_node_failed(node, "could not start", err);
  node->opts->bus = wwr_cluster_bus(node->cluster);
  return WWR_GO_ON;
}
