/* webwire - look after a webwire server or cluster: its admin listeners, and
 * the way that clients take to it. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct command {
  const char *name;
  int min_args, max_args;
  int (*run)(const struct cli *cli);
} commands[] = {{"health", 0, 0, cli_health},
                {"node", 0, 0, cli_node},
                {"nodes", 0, 0, cli_nodes},
                {"shards", 0, 0, cli_shards},
                {"channels", 0, 0, cli_channels},
                {"channel", 1, 1, cli_channel},
                {"history", 1, 1, cli_history},
                {"publish", 1, 2, cli_publish},
                {"subscribe", 1, 64, cli_subscribe},
                {"sessions", 0, 0, cli_sessions},
                {"session", 1, 1, cli_session},
                {"close-session", 1, 1, cli_close_session},
                {"connections", 0, 0, cli_connections},
                {"disconnect", 1, 1, cli_disconnect},
                {"drain", 0, 1, cli_drain},
                {"reload", 0, 0, cli_reload},
                {"doctor", 0, 0, cli_doctor},
                {"move", 0, 0, cli_move}};

static const char summary[] =
    "Looks after a webwire server or cluster.\n"
    "\n"
    "Ask and steer, by the admin listener of a node:\n"
    "  health                   is the node alive and ready? (exit status 0)\n"
    "  node                     what it says of itself\n"
    "  nodes                    the nodes of its cluster\n"
    "  shards                   its links to Redis: to each server, or to\n"
    "                           each partition of a Redis Cluster\n"
    "  channels                 channels that the node receives (--prefix)\n"
    "  channel CHANNEL          who is subscribed, on all nodes\n"
    "  history CHANNEL          its last messages (--count)\n"
    "  publish CHANNEL [TEXT]   publish TEXT, or what the input says\n"
    "  sessions                 sessions that have connections to the node\n"
    "  session KEY              the nodes where a session is connected\n"
    "  close-session KEY        close it on all nodes\n"
    "  connections              connections to the node\n"
    "  disconnect ID            close one\n"
    "  drain [NODE]             end a node gracefully (--wait)\n"
    "  reload                   the node reads its settings again\n"
    "\n"
    "Be a client (--url):\n"
    "  subscribe CHANNEL...     print what is published (webwired only)\n"
    "  doctor                   what is wrong with the way to the nodes, with\n"
    "                           them and with Redis, and how to mend it\n"
    "\n"
    "Work on Redis while no node runs:\n"
    "  move                     copy sessions and histories to other Redis\n"
    "                           servers (--from, --to; docs/scaling.md)\n"
    "\n"
    "Every option can be said by the environment: WEBWIRE_ADMIN,\n"
    "WEBWIRE_TOKEN_FILE, ... and WEBWIRE_TOKEN, WEBWIRE_AUTH for the texts.\n"
    "\n"
    "Options:";

enum {
  WAY_ROWS = 10,
  WHAT_ROWS = 9,
  MOVE_ROWS = 4,
  ROWS = WAY_ROWS + WHAT_ROWS + MOVE_ROWS
};

/* Whom to ask, and as whom. In both tables the key is the name: every option
 * can also be said by the environment. */
static void way_rows(struct wwr_option *rows, struct cli *cli) {
  const struct wwr_option all[WAY_ROWS] = {
      {.name = "admin",
       .key = "admin",
       .value = "URL",
       .kind = WWR_OPTION_LIST,
       .help = "a node's admin listener, for doctor all of them; default "
               "http://127.0.0.1:9180",
       .target = &cli->admins},
      {.key = "token",
       .value = "TEXT",
       .kind = WWR_OPTION_SECRET,
       .help = "the token of the API",
       .target = &cli->token},
      {.name = "token-file",
       .key = "token-file",
       .value = "FILE",
       .kind = WWR_OPTION_SECRET_FILE,
       .help = "holds the token of the API",
       .target = &cli->token},
      {.name = "url",
       .key = "url",
       .value = "URL",
       .kind = WWR_OPTION_TEXT,
       .help = "where clients connect",
       .target = &cli->url},
      {.key = "auth",
       .value = "TEXT",
       .kind = WWR_OPTION_SECRET,
       .help = "a token to sign in with",
       .target = &cli->auth},
      {.name = "auth-file",
       .key = "auth-file",
       .value = "FILE",
       .kind = WWR_OPTION_SECRET_FILE,
       .help = "holds a token to sign in with, for subscribe",
       .target = &cli->auth},
      {.name = "redis",
       .key = "redis",
       .value = "URL",
       .kind = WWR_OPTION_SECRET,
       .help = "Redis, for doctor: what the nodes have as redis",
       .target = &cli->redis},
      {.name = "ca",
       .key = "ca",
       .value = "FILE",
       .kind = WWR_OPTION_TEXT,
       .help = "trust the certificates in it",
       .target = &cli->ca_file},
      {.name = "insecure",
       .key = "insecure",
       .kind = WWR_OPTION_FLAG,
       .help = "accept any certificate",
       .target = &cli->insecure},
      {.name = "timeout",
       .key = "timeout",
       .value = "SECONDS",
       .kind = WWR_OPTION_SECONDS,
       .help = "how long an answer may take",
       .target = &cli->timeout_ms,
       .min = 1,
       .max = 600000},
  };
  memcpy(rows, all, sizeof all);
}

/* What the commands do. */
static void what_rows(struct wwr_option *rows, struct cli *cli) {
  const struct wwr_option all[WHAT_ROWS] = {
      {.name = "json",
       .key = "json",
       .kind = WWR_OPTION_FLAG,
       .help = "print JSON",
       .target = &cli->json},
      {.name = "limit",
       .key = "limit",
       .value = "N",
       .kind = WWR_OPTION_NUMBER,
       .help = "rows of a list",
       .target = &cli->limit,
       .min = 1,
       .max = 1000000},
      {.name = "prefix",
       .key = "prefix",
       .value = "TEXT",
       .kind = WWR_OPTION_TEXT,
       .help = "only channels that begin with it; for move: that of the nodes, "
               "default wwr",
       .target = &cli->prefix},
      {.name = "count",
       .key = "count",
       .value = "N",
       .kind = WWR_OPTION_NUMBER,
       .help = "messages of history, back to the log's first (0: 20), or after "
               "which subscribe ends (0: never)",
       .target = &cli->count,
       .min = 0,
       .max = UINT32_MAX},
      {.name = "history",
       .key = "history",
       .value = "N",
       .kind = WWR_OPTION_NUMBER,
       .help = "messages of before that subscribe prints",
       .target = &cli->history,
       .min = 0,
       .max = 256},
      {.name = "name",
       .key = "name",
       .value = "NAME",
       .kind = WWR_OPTION_TEXT,
       .help = "of the signal to publish; default: the channel's",
       .target = &cli->name},
      {.name = "encoding",
       .key = "encoding",
       .value = "utf8|utf16|binary",
       .kind = WWR_OPTION_CHOICE,
       .help = "of what is published; binary: TEXT is base64",
       .target = &cli->encoding},
      {.name = "wait",
       .key = "wait",
       .kind = WWR_OPTION_FLAG,
       .help = "until a node that drains has gone",
       .target = &cli->wait},
      {.name = "idle",
       .key = "idle",
       .value = "SECONDS",
       .kind = WWR_OPTION_SECONDS,
       .help = "how long doctor keeps a silent connection: 1.5 times the "
               "nodes' ping-interval, or more; 0: not at all",
       .target = &cli->idle_ms,
       .min = 0,
       .max = 3600000},
  };
  memcpy(rows, all, sizeof all);
}

static void move_rows(struct wwr_option *rows, struct cli *cli) {
  const struct wwr_option all[MOVE_ROWS] = {
      {.name = "from",
       .key = "from",
       .value = "URLS",
       .kind = WWR_OPTION_SECRET,
       .help = "where move finds sessions and histories: what the nodes have "
               "as redis",
       .target = &cli->from},
      {.name = "to",
       .key = "to",
       .value = "URLS",
       .kind = WWR_OPTION_SECRET,
       .help = "where move copies them to: what the nodes will have",
       .target = &cli->to},
      {.name = "dry-run",
       .key = "dry-run",
       .kind = WWR_OPTION_FLAG,
       .help = "move only counts",
       .target = &cli->dry_run},
      {.name = "delete",
       .key = "delete",
       .kind = WWR_OPTION_FLAG,
       .help = "move also deletes what it copied from where it was, and what "
               "earlier moves left where it goes",
       .target = &cli->delete},
  };
  memcpy(rows, all, sizeof all);
}

static const struct command *find_command(const char *name) {
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  }
  return NULL;
}

static int usage(const char *what, const char *why) {
  fprintf(stderr, "webwire: %s%s%s (try --help)\n", what, why ? ": " : "",
          why ? why : "");
  return WWR_EXIT_USAGE;
}

static int run(struct cli *cli, char **args) {
  int count = 0;
  if (!*args) return usage("which command?", NULL);
  const struct command *command = find_command(*args);
  if (!command) return usage(*args, "no such command");
  cli->args = args + 1;
  while (cli->args[count]) count++;
  if (count < command->min_args) return usage(*args, "an argument is missing");
  if (count > command->max_args)
    return usage(cli->args[command->max_args], "unexpected argument");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  int status = command->run(cli);
  curl_global_cleanup();
  return status;
}

int main(int argc, char **argv) {
  struct cli cli = {.url = "ws://127.0.0.1:8080",
                    .timeout_ms = 5000,
                    .idle_ms = 40000,
                    .limit = 100};
  static const char *const local[] = {"http://127.0.0.1:9180"};
  struct wwr_option rows[ROWS];
  way_rows(rows, &cli);
  what_rows(rows + WAY_ROWS, &cli);
  move_rows(rows + WAY_ROWS + WHAT_ROWS, &cli);
  const struct wwr_command command = {.name = "webwire",
                                      .usage = "[OPTION...] COMMAND",
                                      .summary = summary,
                                      .options = rows,
                                      .option_count = ROWS,
                                      .max_args = 66,
                                      .env = "WEBWIRE",
                                      .env_shared = true};
  struct wwr_options *options;
  signal(SIGPIPE, SIG_IGN);
  int status = wwr_options_parse(&options, &command, argc, argv);
  if (status == WWR_GO_ON) {
    if (cli.admins.count == 0) cli.admins = (struct wwr_option_list){local, 1};
    status = run(&cli, wwr_options_args(options));
  }
  wwr_options_free(options);
  return status;
}
