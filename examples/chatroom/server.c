/* chatroom-server - one room: what a client says reaches every client, on every
 * node. The room is a channel that every connection is subscribed to: from its
 * start, or when it was made on the path of the page, by the request "join".
 *
 * A browser gets the page from here (site.c).
 *
 * Requests: "msg" and "say" publish a signal {"user":NAME,"msg":TEXT}, the
 * sender included (say.c); "auth" logs in and "signout" out (auth.c); "join",
 * "history" and "who" ask (asks.c). Anything else is a BAD_REQUEST. */
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "room.h"
#include "site.h"

enum { INFO_JOINS = 1 }; /* connection info: it subscribes by "join" */

static bool is_named(const struct wwr_message *message, const char *name) {
  return wwr_view_equal(message->name, wwr_view_str(name));
}

void room_fail(struct wwr_request *request, wwr_err err, bool certain) {
  if (!certain) {
    wwr_request_fail(request, "UNKNOWN_OUTCOME",
                     "the message may have been said, or may yet appear");
  } else if (err == WWR_E_UNAVAILABLE || err == WWR_E_LIMIT ||
             err == WWR_E_CLOSED) {
    wwr_request_fail(request, "UNAVAILABLE",
                     "the chat room is not available now; nothing happened");
  } else {
    wwr_request_fail_internal(request, wwr_err_text(err));
  }
}

/* --- Coming and talking --------------------------------------------------- */

static void on_http(struct wwr_http *http, void *user_data) {
  (void)user_data;
  /* The page's address, but not to look at: there it is 426. */
  if (strcmp(wwr_http_path(http), ROOM_JOIN_PATH) != 0) site_answer(http);
}

static bool on_upgrade(struct wwr_http *http, void *user_data) {
  static char yes;
  (void)user_data;
  if (strcmp(wwr_http_path(http), ROOM_JOIN_PATH) != 0) return true;
  return wwr_http_set_info(http, INFO_JOINS, &yes, NULL) == WWR_OK;
}

/* Who does not hear the room had better come again, to another node. */
static void on_subscribed(struct wwr_conn *conn, wwr_err err,
                          const struct wwr_channel_message *history,
                          size_t count, void *user_data) {
  (void)history, (void)count, (void)user_data;
  if (err != WWR_OK) wwr_conn_close(conn);
}

static void on_connected(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
  if (wwr_conn_info(conn, INFO_JOINS)) return;
  wwr_err err = wwr_conn_subscribe(conn, wwr_view_str(ROOM_CHANNEL), 0,
                                   on_subscribed, NULL);
  if (err != WWR_OK) wwr_conn_close(conn);
}

static void on_channel(struct wwr_view channel, struct wwr_channel_opts *opts,
                       void *user_data) {
  (void)user_data;
  if (!wwr_view_equal(channel, wwr_view_str(ROOM_CHANNEL))) return;
  opts->log_age_ms = ROOM_HISTORY_AGE_MS;
  opts->presence = true; /* by "username", the sessions' only field */
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  const struct room *room = user_data;
  if (is_named(message, "msg")) {
    room_msg(room, conn, request, &message->payload);
  } else if (is_named(message, "say")) {
    room_say(room, conn, request, &message->payload);
  } else if (is_named(message, "join")) {
    room_join(room, conn, request, &message->payload);
  } else if (is_named(message, "signout")) {
    room_sign_out(room, conn, request);
  } else if (is_named(message, "auth")) {
    room_auth(room, conn, request, &message->payload);
  } else if (is_named(message, "history")) {
    room_history(room, request, &message->payload);
  } else if (is_named(message, "who")) {
    room_who(room, request);
  } else {
    wwr_request_fail(request, "BAD_REQUEST", "no such request");
  }
}

/* --- The program ---------------------------------------------------------- */

static int run(struct wwr_node *node, struct room *room, const char *file) {
  char reason[512];
  if (!accounts_load(&room->accounts, file, reason, sizeof reason)) {
    return wwr_node_reject(node, "accounts", reason);
  }
  int status = wwr_node_open(node, &room->server);
  if (status != WWR_GO_ON) return status;
  if (room_asks_init(room)) return wwr_node_run(node);
  fprintf(stderr, "chatroom-server: out of memory\n");
  return WWR_EXIT_FAILED;
}

int main(int argc, char **argv) {
  struct room room = {.server = NULL};
  const char *file = NULL;
  const struct wwr_option own[] = {
      {.name = "accounts",
       .value = "FILE",
       .help = "a name:password per line [a demonstration]",
       .kind = WWR_OPTION_TEXT,
       .target = &file}};
  const struct wwr_node_program program = {
      .name = "chatroom-server",
      .summary =
          "A chat room: what a client says reaches every client. Open\n"
          "http://HOST:PORT/ in a browser, or use chatroom-client. Pages from\n"
          "anywhere may connect; --origin limits that.",
      .listen = "127.0.0.1:9090",
      /* Existing clients run in pages served elsewhere. Such a page gains
       * nothing by a visitor's browser: there are no cookies, and a session's
       * key is with the page that got it. */
      .origin = "*",
      .options = own,
      .option_count = 1};
  struct wwr_server_opts opts;
  struct wwr_node *node;
  wwr_server_opts_default(&opts);
  opts.hooks.on_upgrade = on_upgrade;
  opts.hooks.on_http = on_http;
  opts.hooks.on_connected = on_connected;
  opts.hooks.on_request = on_request;
  opts.hooks.on_channel = on_channel;
  opts.user_data = &room;
  opts.handlers = WWR_HANDLERS_NONBLOCKING; /* the hooks return at once */
  opts.subprotocol = "chatroom-example-protocol";
  opts.read_timeout_ms = 3000;

  int status = wwr_node_new(&node, &program, &opts, argc, argv);
  room.message_buffer = opts.message_buffer_bytes;
  /* Browsers let no timers run in a page that nobody looks at, so it sends no
   * heartbeats; but pings they answer by themselves. */
  if (opts.ping_interval_ms > opts.read_timeout_ms / 2)
    opts.ping_interval_ms = opts.read_timeout_ms / 2;
  if (status == WWR_GO_ON) status = run(node, &room, file);
  wwr_node_free(node);
  room_asks_deinit(&room);
  accounts_deinit(&room.accounts);
  return status;
}
