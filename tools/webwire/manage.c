/* The commands that ask the admin API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adminapi.h"
#include "columns.h"

enum { PATH_SIZE = 1024, PAGE = 1000, WAIT_MS = 1000, WAITS_MAX = 3600 };

#define COUNT(columns) (sizeof(columns) / sizeof *(columns))

/* A path with an argument in the middle. False after a line on stderr. */
static bool make_path(char path[PATH_SIZE], const char *before,
                      const char *argument, const char *after) {
  char *escaped = http_escape(argument);
  int len = escaped
                ? snprintf(path, PATH_SIZE, "%s%s%s", before, escaped, after)
                : PATH_SIZE;
  free(escaped);
  if (len < PATH_SIZE) return true;
  cli_fail(argument, "is too long");
  return false;
}

/* --- Health --------------------------------------------------------------- */

static int probe(const struct cli *cli, const char *path) {
  const char *base = cli->admins.items[0];
  struct http_answer answer;
  int status = WWR_EXIT_FAILED;
  if (!http_ask(cli, base, "GET", path, NULL, &answer)) {
    cli_fail(base, answer.why);
  } else if (answer.status == 200) {
    status = WWR_EXIT_OK;
  } else {
    char *end = strchr(answer.text, '\0');
    while (end > answer.text && end[-1] == '\n') *--end = '\0';
    cli_fail(path + 1, *answer.text ? answer.text : "no");
  }
  http_deinit(&answer);
  return status;
}

int cli_health(const struct cli *cli) {
  int status = probe(cli, "/live");
  if (status == WWR_EXIT_OK) status = probe(cli, "/ready");
  if (status == WWR_EXIT_OK && puts("ready") == EOF) status = WWR_EXIT_FAILED;
  return status;
}

/* --- Nodes ---------------------------------------------------------------- */

int cli_node(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"name", "name", TABLE_TEXT},
      {"address", "address", TABLE_TEXT},
      {"version", "version", TABLE_TEXT},
      {"uptime", "uptime", TABLE_AGE},
      {"health", "health", TABLE_TEXT},
      {"reason", "reason", TABLE_TEXT},
      {"draining", "draining", TABLE_TEXT},
      {"connections", "connections", TABLE_NUMBER},
      {"sessions", "sessions", TABLE_NUMBER}};
  json_t *json = http_api(cli, "GET", "/api/v1/node", NULL);
  if (!json || cli->json) return cli_print_json(json);
  table_print_one(json, columns, COUNT(columns));
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(json, "counters"), name, value)
      printf("%-18s  %lld\n", name, (long long)json_integer_value(value));
  json_decref(json);
  return WWR_EXIT_OK;
}

static int print_list(const struct cli *cli, json_t *json, const char *member,
                      const struct table_column *columns, size_t count) {
  if (!json || cli->json) return cli_print_json(json);
  table_print(json_object_get(json, member), columns, count);
  if (json_is_true(json_object_get(json, "more")))
    fputs("(there are more; --limit N shows them)\n", stderr);
  json_decref(json);
  return WWR_EXIT_OK;
}

int cli_nodes(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"NAME", "name", TABLE_TEXT},
      {"ADDRESS", "address", TABLE_TEXT},
      {"VERSION", "version", TABLE_TEXT},
      {"STARTED", "started", TABLE_TIME},
      {"HEARD", "beat_age", TABLE_AGE},
      {"CONNECTIONS", "connections", TABLE_NUMBER},
      {"DRAINING", "draining", TABLE_FLAG}};
  return print_list(cli, http_api(cli, "GET", "/api/v1/nodes", NULL), "nodes",
                    columns, COUNT(columns));
}

int cli_shards(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"SHARD", "name", TABLE_TEXT},
      {"SERVER", "address", TABLE_TEXT},
      {"PARTITIONS", "partitions", TABLE_NUMBER},
      {"SLOT", "slot", TABLE_NUMBER},
      {"CHANNELS", "channels", TABLE_NUMBER},
      {"PUBLISHED", "published", TABLE_NUMBER},
      {"DELIVERED", "delivered", TABLE_NUMBER},
      {"RECONNECTS", "reconnects", TABLE_NUMBER},
      {"BEAT", "beat_age", TABLE_AGE},
      {"RTT MS", "rtt", TABLE_NUMBER},
      {"HEALTH", "health", TABLE_TEXT},
      {"REASON", "reason", TABLE_TEXT}};
  return print_list(cli, http_api(cli, "GET", "/api/v1/shards", NULL), "shards",
                    columns, COUNT(columns));
}

/* --- Lists in pages ------------------------------------------------------- */

/* The last row's name, key or id as a text to escape. */
static bool last_of(const json_t *rows, const char *key, char *out,
                    size_t size) {
  const json_t *row = json_array_get(rows, json_array_size(rows) - 1);
  const json_t *value = json_object_get(row, key);
  int len =
      json_is_integer(value)
          ? snprintf(out, size, "%lld", (long long)json_integer_value(value))
          : snprintf(out, size, "%s", value ? json_string_value(value) : "");
  return len > 0 && (size_t)len < size;
}

struct listing {
  const char *path; /* "/api/v1/channels?prefix=" or "...?" */
  const char *filter;
  const char *member;
  const char *key;
};

static json_t *ask_page(const struct cli *cli, const struct listing *listing,
                        const char *after, size_t limit) {
  char filtered[PATH_SIZE], tail[PATH_SIZE], number[32], path[2 * PATH_SIZE];
  snprintf(number, sizeof number, "&limit=%zu", limit);
  if (!make_path(filtered, listing->path, listing->filter, "") ||
      !make_path(tail, *after ? "&after=" : "", after, number))
    return NULL;
  snprintf(path, sizeof path, "%s%s", filtered, tail);
  return http_api(cli, "GET", path, NULL);
}

/* Page by page until --limit; a document with all rows, or NULL. */
static json_t *ask_all(const struct cli *cli, const struct listing *listing) {
  json_t *all = json_array();
  char after[PATH_SIZE] = "";
  bool more = all != NULL;
  while (more && json_array_size(all) < cli->limit) {
    size_t left = cli->limit - json_array_size(all);
    json_t *json = ask_page(cli, listing, after, left < PAGE ? left : PAGE);
    json_t *rows = json_object_get(json, listing->member);
    bool ok = json && json_array_extend(all, rows) == 0;
    more = ok && json_is_true(json_object_get(json, "more")) &&
           last_of(rows, listing->key, after, sizeof after);
    json_decref(json);
    if (ok) continue;
    json_decref(all);
    return NULL;
  }
  return all ? json_pack("{s:o, s:b}", listing->member, all, "more", (int)more)
             : NULL;
}

int cli_channels(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"NAME", "name", TABLE_TEXT},
      {"SUBSCRIBERS HERE", "subscribers", TABLE_NUMBER},
      {"EPOCH", "epoch", TABLE_NUMBER},
      {"OFFSET", "offset", TABLE_NUMBER}};
  const struct listing listing = {
      "/api/v1/channels?prefix=", cli->prefix ? cli->prefix : "", "channels",
      "name"};
  return print_list(cli, ask_all(cli, &listing), "channels", columns,
                    COUNT(columns));
}

int cli_sessions(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"KEY", "key", TABLE_TEXT},
      {"CONNECTIONS HERE", "connections", TABLE_NUMBER},
      {"CREATED", "created", TABLE_TIME},
      {"INFO", "info", TABLE_TEXT}};
  static const struct listing listing = {"/api/v1/sessions?", "", "sessions",
                                         "key"};
  return print_list(cli, ask_all(cli, &listing), "sessions", columns,
                    COUNT(columns));
}

int cli_connections(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"ID", "id", TABLE_NUMBER},
      {"REMOTE", "remote", TABLE_TEXT},
      {"CREATED", "created", TABLE_TIME},
      {"CHANNELS", "channels", TABLE_NUMBER},
      {"QUEUED", "queued_bytes", TABLE_NUMBER},
      {"PENDING", "pending_bytes", TABLE_NUMBER},
      {"CLOSING", "closing", TABLE_FLAG}};
  static const struct listing listing = {"/api/v1/connections?", "",
                                         "connections", "id"};
  return print_list(cli, ask_all(cli, &listing), "connections", columns,
                    COUNT(columns));
}

/* --- One channel, one session --------------------------------------------- */

int cli_channel(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"MEMBER", "name", TABLE_TEXT},
      {"CONNECTIONS", "connections", TABLE_NUMBER}};
  char path[PATH_SIZE];
  if (!make_path(path, "/api/v1/channels/", cli->args[0], ""))
    return WWR_EXIT_FAILED;
  json_t *json = http_api(cli, "GET", path, NULL);
  if (!json || cli->json) return cli_print_json(json);
  const json_t *members = json_object_get(json, "members");
  printf("%lld subscribers\n",
         (long long)json_integer_value(json_object_get(json, "subscribers")));
  if (json_array_size(members) > 0)
    table_print(members, columns, COUNT(columns));
  json_decref(json);
  return WWR_EXIT_OK;
}

/* --- Histories ------------------------------------------------------------ */

enum { HISTORY_PAGE = 256, HISTORY_DEFAULT = 20 };

/* The last `count` before the first of `rows`, NULL: of all. */
static json_t *ask_history(const struct cli *cli, const json_t *rows,
                           size_t count) {
  char path[PATH_SIZE], tail[128];
  const json_t *first = json_array_get(rows, 0);
  int len = snprintf(tail, sizeof tail, "/history?count=%zu", count);
  if (first) {
    snprintf(tail + len, sizeof tail - (size_t)len, "&before=%.20s-%lld",
             json_string_value(json_object_get(first, "epoch")),
             (long long)json_integer_value(json_object_get(first, "offset")));
  }
  if (!make_path(path, "/api/v1/channels/", cli->args[0], tail)) return NULL;
  return http_api(cli, "GET", path, NULL);
}

/* Put the older ones in front; consumes both. */
static json_t *put_before(json_t *older, json_t *rows) {
  if (json_array_extend(older, rows) != 0) {
    json_decref(older);
    older = NULL;
  }
  json_decref(rows);
  return older;
}

/* Page by page from the end: NULL after a line on stderr. */
static json_t *read_history(const struct cli *cli, size_t count) {
  json_t *rows = json_array();
  while (rows && json_array_size(rows) < count) {
    size_t left = count - json_array_size(rows);
    json_t *page =
        ask_history(cli, rows, left < HISTORY_PAGE ? left : HISTORY_PAGE);
    json_t *older = json_incref(json_object_get(page, "messages"));
    size_t got = json_array_size(older);
    json_decref(page);
    if (!page) {
      json_decref(rows);
      return NULL;
    }
    rows = put_before(older, rows);
    if (got == 0) break;
  }
  return rows;
}

int cli_history(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"EPOCH", "epoch", TABLE_NUMBER},     {"OFFSET", "offset", TABLE_NUMBER},
      {"TIME", "time", TABLE_TIME},         {"NAME", "name", TABLE_TEXT},
      {"ENCODING", "encoding", TABLE_TEXT}, {"PAYLOAD", "payload", TABLE_TEXT}};
  json_t *rows =
      read_history(cli, cli->count > 0 ? cli->count : HISTORY_DEFAULT);
  if (!rows) return WWR_EXIT_FAILED;
  return print_list(cli, json_pack("{s:o}", "messages", rows), "messages",
                    columns, COUNT(columns));
}

int cli_session(const struct cli *cli) {
  static const struct table_column columns[] = {
      {"NODE", "node", TABLE_TEXT},
      {"CONNECTIONS", "connections", TABLE_NUMBER}};
  char path[PATH_SIZE];
  if (!make_path(path, "/api/v1/sessions/", cli->args[0], ""))
    return WWR_EXIT_FAILED;
  return print_list(cli, http_api(cli, "GET", path, NULL), "places", columns,
                    COUNT(columns));
}

/* --- Doing ---------------------------------------------------------------- */

/* Print the answer with --json, else a line; consumes it. */
static int done(const struct cli *cli, json_t *json, const char *what,
                const char *line) {
  if (!json || cli->json) return cli_print_json(json);
  json_decref(json);
  return printf("%s: %s\n", what, line) < 0 ? WWR_EXIT_FAILED : WWR_EXIT_OK;
}

static int delete_one(const struct cli *cli, const char *before,
                      const char *line) {
  char path[PATH_SIZE];
  if (!make_path(path, before, cli->args[0], "")) return WWR_EXIT_FAILED;
  return done(cli, http_api(cli, "DELETE", path, NULL), cli->args[0], line);
}

int cli_close_session(const struct cli *cli) {
  return delete_one(cli, "/api/v1/sessions/", "closed on all nodes");
}

int cli_disconnect(const struct cli *cli) {
  return delete_one(cli, "/api/v1/connections/", "is being closed");
}

int cli_reload(const struct cli *cli) {
  return done(cli, http_api(cli, "POST", "/api/v1/reload", NULL),
              cli->admins.items[0], "reads its settings again; see its log");
}

/* --- Publishing ----------------------------------------------------------- */

/* All of the standard input, without a line end behind it. */
static char *read_input(void) {
  enum { INPUT_MAX = 1 << 20 };
  char *text = malloc(INPUT_MAX + 1);
  size_t len = text ? fread(text, 1, INPUT_MAX + 1, stdin) : 0;
  if (!text || ferror(stdin) || len > INPUT_MAX) {
    free(text);
    return NULL;
  }
  if (len > 0 && text[len - 1] == '\n') len--;
  text[len] = '\0';
  return text;
}

int cli_publish(const struct cli *cli) {
  static const char *const encodings[] = {"utf8", "utf16", "binary"};
  char path[PATH_SIZE];
  const char *argument = cli->args[1];
  bool input = !argument || strcmp(argument, "-") == 0;
  char *text = input ? read_input() : NULL;
  if (input && !text)
    return cli_fail("standard input", "can't be read, or is over 1 MiB");
  json_t *body =
      json_pack("{s:s, s:s, s:s*}", "payload", input ? text : argument,
                "encoding", encodings[cli->encoding], "name", cli->name);
  free(text);
  if (!body) return cli_fail(cli->args[0], "the text is no UTF-8");
  json_t *json = NULL;
  if (make_path(path, "/api/v1/channels/", cli->args[0], "/messages"))
    json = http_api(cli, "POST", path, body);
  json_decref(body);
  if (!json || cli->json) return cli_print_json(json);
  printf("%s: published as %lld-%lld\n", cli->args[0],
         (long long)cli_epoch(json),
         (long long)json_integer_value(json_object_get(json, "offset")));
  json_decref(json);
  return WWR_EXIT_OK;
}

/* --- Draining ------------------------------------------------------------- */

static const json_t *find_node(const json_t *json, const char *name) {
  size_t index;
  json_t *node;
  json_array_foreach(json_object_get(json, "nodes"), index, node) {
    const char *one = json_string_value(json_object_get(node, "name"));
    if (one && strcmp(one, name) == 0) return node;
  }
  return NULL;
}

/* Until another node does not hear of it any more. An hour at most. */
static int wait_gone(const struct cli *cli, const char *name) {
  long long before = -1;
  for (int i = 0; i < WAITS_MAX; i++) {
    json_t *json = http_api(cli, "GET", "/api/v1/nodes", NULL);
    if (!json) return WWR_EXIT_FAILED;
    const json_t *node = find_node(json, name);
    long long left = json_integer_value(json_object_get(node, "connections"));
    bool gone = !node;
    json_decref(json);
    if (gone) return printf("%s: gone\n", name) < 0;
    if (left != before) {
      printf("%s: %lld connections\n", name, left);
      fflush(stdout);
    }
    before = left;
    nanosleep(&(struct timespec){WAIT_MS / 1000, 0}, NULL);
  }
  return cli_fail(name, "is still there after an hour");
}

/* How many connections the asked node still has; -1: it does not answer any
 * more, -2: it answers nonsense. */
static long long connections_left(const struct cli *cli) {
  struct http_answer answer;
  long long left = -1;
  if (http_ask(cli, cli->admins.items[0], "GET", "/api/v1/node", NULL,
               &answer)) {
    json_t *json = json_loads(answer.text, 0, NULL);
    const json_t *count = json_object_get(json, "connections");
    left = json_is_integer(count) ? json_integer_value(count) : -2;
    json_decref(json);
  }
  http_deinit(&answer);
  return left;
}

/* The same of the node that is asked: until it does not answer. */
static int wait_silent(const struct cli *cli, const char *what) {
  long long before = -1;
  for (int i = 0; i < WAITS_MAX * 10; i++) {
    long long left = connections_left(cli);
    if (left == -1) return printf("%s: gone\n", what) < 0;
    if (left >= 0 && left != before) {
      printf("%s: %lld connections\n", what, left);
      fflush(stdout);
    }
    before = left;
    nanosleep(&(struct timespec){0, WAIT_MS * 100000L}, NULL);
  }
  return cli_fail(what, "is still there after an hour");
}

/* Whether the node of that name is the one that is asked; false: no answer. */
static bool find_asked(const struct cli *cli, const char *name, bool *same) {
  json_t *json = http_api(cli, "GET", "/api/v1/node", NULL);
  const char *own = json_string_value(json_object_get(json, "name"));
  *same = own && strcmp(own, name) == 0;
  json_decref(json);
  return json != NULL;
}

int cli_drain(const struct cli *cli) {
  const char *name = cli->args[0];
  const char *what = name ? name : cli->admins.items[0];
  bool self = !name;
  if (cli->wait && name && !find_asked(cli, name, &self))
    return WWR_EXIT_FAILED;
  json_t *body = name ? json_pack("{s:s}", "node", name) : NULL;
  if (name && !body) return cli_fail(name, "is no node's name");
  json_t *json = http_api(cli, "POST", "/api/v1/drain", body);
  json_decref(body);
  int status = done(cli, json, what, "is draining");
  if (status != WWR_EXIT_OK || !cli->wait) return status;
  return self ? wait_silent(cli, what) : wait_gone(cli, what);
}
