/* chatroom-client - talk in a chat room, by hand or by a script through a pipe:
 * lines are sent one after the other, each when the one before was answered,
 * and after the last one the program ends.
 *
 * Messages appear on stdout as "name: text" when they are said, everything else
 * on stderr: notices, and what was said earlier. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "display.h"

#define LAST_MESSAGES "10" /* shown at the start */

struct chat {
  struct example_client common;
  struct wwr_client *client;
  const char *name; /* to log in with at the start, or NULL */
  const char *pass;
};

/* Print what came instead of a reply. */
static void report(const char *what, const struct wwr_reply *reply) {
  bool refused = reply->err == WWR_E_REQUEST;
  display_notice(what, refused ? reply->error_code : wwr_err_text(reply->err));
}

/* `show` (may be NULL) gets the reply's payload. */
static bool ask(const struct chat *chat, const char *name, const char *text,
                const char *failure, void (*show)(struct wwr_view payload)) {
  const struct wwr_payload payload = wwr_payload_text(text);
  struct wwr_reply reply = {.err = WWR_OK};
  wwr_err err = wwr_client_request_wait(chat->client, wwr_view_str(name),
                                        &payload, 0, &reply);
  reply.err = err;
  if (err != WWR_OK && failure) report(failure, &reply);
  if (err == WWR_OK && show) show(reply.payload.data);
  wwr_reply_deinit(&reply);
  return err == WWR_OK;
}

static bool request(const struct chat *chat, const char *name, const char *text,
                    const char *failure) {
  return ask(chat, name, text, failure, NULL);
}

static bool log_in(const struct chat *chat, const char *name,
                   const char *pass) {
  json_t *credentials = json_pack("{s:s, s:s}", "name", name, "pass", pass);
  char *text = credentials ? json_dumps(credentials, JSON_COMPACT) : NULL;
  bool good = text && request(chat, "auth", text, "not logged in");
  if (!text) display_notice("not logged in", "that is no UTF-8 text");
  free(text);
  json_decref(credentials);
  return good;
}

/* --- Commands ----------------------------------------------------------- */

static void tell(const char *failure, wwr_err err) {
  if (err != WWR_OK) display_notice(failure, wwr_err_text(err));
}

static void login_command(const struct chat *chat, char *words) {
  char *pass = words ? strchr(words, ' ') : NULL;
  if (!pass || pass == words || pass[1] == '\0') {
    display_notice("usage", ":login NAME PASSWORD");
    return;
  }
  *pass = '\0';
  log_in(chat, words, pass + 1);
}

static void logout_command(const struct chat *chat) {
  struct wwr_session *session = wwr_client_session(chat->client);
  if (!session) {
    display_notice("not logged in", NULL);
    return;
  }
  wwr_session_unref(session);
  tell("not logged out", wwr_client_close_session(chat->client, 0));
}

static void connect_command(const struct chat *chat) {
  wwr_err err = wwr_client_connect(chat->client, chat->common.timeout_ms);
  tell("not connected", err);
  if (err == WWR_OK) display_notice("connected", NULL);
}

/* False when the line is the last one. */
static bool obey(const struct chat *chat, char *line) {
  char *words = strchr(line, ' ');
  if (words) *words++ = '\0';
  if (strcmp(line, ":x") == 0) return false;
  if (strcmp(line, ":login") == 0) {
    login_command(chat, words);
  } else if (strcmp(line, ":logout") == 0) {
    logout_command(chat);
  } else if (strcmp(line, ":history") == 0) {
    ask(chat, "history", words ? words : "", "no history", display_history);
  } else if (strcmp(line, ":who") == 0) {
    ask(chat, "who", "", "not known who is here", display_who);
  } else if (strcmp(line, ":connect") == 0) {
    connect_command(chat);
  } else if (strcmp(line, ":disconnect") == 0) {
    wwr_client_close(chat->client);
  } else {
    display_notice("commands",
                   ":login NAME PASSWORD, :logout, :history [COUNT], :who, "
                   ":connect, :disconnect, :x");
  }
  return true;
}

static void talk(const struct chat *chat) {
  char *line = NULL;
  size_t cap = 0;
  bool more = true;
  while (more && getline(&line, &cap, stdin) > 0) {
    line[strcspn(line, "\r\n")] = '\0';
    if (*line == ':') {
      more = obey(chat, line);
    } else if (*line != '\0') {
      request(chat, "msg", line, "not sent");
    }
  }
  free(line);
}

/* --- The program -------------------------------------------------------- */

static int run(struct chat *chat, char **args) {
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.subprotocol = "chatroom-example-protocol";
  display_hooks(&opts);
  args = example_client_url(&chat->common, args);
  if (*args || !chat->name != !chat->pass) {
    fprintf(stderr, "%s: %s%s (try --help)\n", chat->common.name,
            *args ? *args : "--name and --pass belong together",
            *args ? ": no ws:// or wss:// URL" : "");
    return WWR_EXIT_USAGE;
  }
  chat->client = example_client_connect(&chat->common, &opts);
  if (!chat->client) return chat->common.status;
  display_notice("connected", NULL);
  bool good = !chat->name || log_in(chat, chat->name, chat->pass);
  /* A person wants to know what the talk is about; older servers don't say. */
  if (good && isatty(STDERR_FILENO))
    ask(chat, "history", LAST_MESSAGES, NULL, display_history);
  if (good) talk(chat);
  wwr_client_free(chat->client);
  return good ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}

int main(int argc, char **argv) {
  struct chat chat = {
      .common = {.name = "chatroom-client", .url = "ws://127.0.0.1:9090"}};
  struct wwr_option rows[EXAMPLE_CLIENT_OPTIONS + 2] = {
      {.name = "name",
       .value = "NAME",
       .help = "log in with this name",
       .kind = WWR_OPTION_TEXT,
       .target = &chat.name},
      {.name = "pass",
       .value = "PASSWORD",
       .help = "and this password",
       .kind = WWR_OPTION_TEXT,
       .target = &chat.pass}};
  example_client_options(rows + 2, &chat.common);
  const struct wwr_command command = {
      .name = chat.common.name,
      .usage = "[OPTION...] [URL]",
      .summary =
          "Talk in a chat room. Lines are sent; those that begin with a colon\n"
          "are commands: :login NAME PASSWORD, :logout, :history [COUNT],"
          " :who,\n:connect, :disconnect, and :x to leave."
          " URL is ws://127.0.0.1:9090 by default.",
      .options = rows,
      .option_count = EXAMPLE_CLIENT_OPTIONS + 2,
      .max_args = 1};
  struct wwr_options *options;
  int status = wwr_options_parse(&options, &command, argc, argv);
  if (status == WWR_GO_ON) status = run(&chat, wwr_options_args(options));
  wwr_options_free(options);
  return status;
}
