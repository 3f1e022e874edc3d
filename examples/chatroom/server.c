/* chatroom-server - one room: what a client says reaches every client, on every
 * node. The room is a channel that every connection is subscribed to.
 *
 * Requests: "msg" publishes its payload as a signal {"user":NAME,"msg":TEXT},
 * the sender included, and is answered empty when the message is in the
 * channel's log; "auth" logs in (auth.c); "history" and "who" ask (asks.c).
 * Anything else is a BAD_REQUEST.
 *
 * A message that as a signal exceeds the message buffer reaches nobody, which
 * its sender sees by not getting it back. The reply is empty all the same:
 * existing clients know no error of "msg" there. While the cluster's Redis is
 * away for longer than the hold time, "msg" fails with UNAVAILABLE (nobody will
 * ever see it) or UNKNOWN_OUTCOME (it may still appear). */
#include <jansson.h>
#include <stdlib.h>

#include "node.h"
#include "room.h"

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

/* Who does not hear the room had better come again, to another node. */
static void on_subscribed(struct wwr_conn *conn, wwr_err err,
                          const struct wwr_channel_message *history,
                          size_t count, void *user_data) {
  (void)history, (void)count, (void)user_data;
  if (err != WWR_OK) wwr_conn_close(conn);
}

static void on_connected(struct wwr_conn *conn, void *user_data) {
  (void)user_data;
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

/* {"user":NAME,"msg":TEXT} for who sent the message; NULL without memory. */
static char *signal_of(const struct wwr_conn *conn,
                       const struct wwr_payload *payload) {
  char *user = NULL, *text = NULL, *json = NULL;
  size_t len;
  json_t *object = NULL;
  wwr_err err = wwr_conn_session_text(conn, "username", &user);
  if (err != WWR_E_NOMEM && wwr_payload_to_utf8(payload, &text, &len) == WWR_OK)
    object = json_pack("{s:s, s:s%}", "user", user ? user : "Anonymous", "msg",
                       text, len);
  if (object) json = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  wwr_free(text);
  wwr_free(user);
  return json;
}

static void on_said(const struct wwr_publish_result *result, void *user_data) {
  struct wwr_request *request = user_data;
  if (result->err == WWR_OK) {
    wwr_request_reply(request, NULL);
  } else {
    room_fail(request, result->err, result->certain);
  }
}

static void say(const struct room *room, struct wwr_conn *conn,
                struct wwr_request *request,
                const struct wwr_payload *payload) {
  wwr_err err = WWR_E_NOMEM;
  char *json = signal_of(conn, payload);
  if (json) {
    const struct wwr_payload signal = wwr_payload_text(json);
    err = wwr_server_publish(room->server, wwr_view_str(ROOM_CHANNEL),
                             wwr_view_str(""), &signal, NULL, on_said, request);
  }
  free(json);
  if (err == WWR_E_BUFFER_OVERFLOW) {
    wwr_request_reply(request, NULL);
  } else if (err != WWR_OK) {
    room_fail(request, err, true);
  }
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  const struct room *room = user_data;
  if (is_named(message, "msg")) {
    say(room, conn, request, &message->payload);
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
  return status == WWR_GO_ON ? wwr_node_run(node) : status;
}

int main(int argc, char **argv) {
  struct room room = {.server = NULL};
  const char *file = NULL;
  const struct wwr_option own[] = {
      {"accounts", "FILE", "a name:password per line [a demonstration]",
       WWR_OPTION_TEXT, &file, 0, 0}};
  const struct wwr_node_program program = {
      .name = "chatroom-server",
      .summary = "A chat room: what a client says reaches every client.",
      .listen = "127.0.0.1:9090",
      .origin = "*", /* the page may be served from elsewhere */
      .options = own,
      .option_count = 1};
  struct wwr_server_opts opts;
  struct wwr_node *node;
  wwr_server_opts_default(&opts);
  opts.hooks.on_connected = on_connected;
  opts.hooks.on_request = on_request;
  opts.hooks.on_channel = on_channel;
  opts.user_data = &room;
  opts.handlers = WWR_HANDLERS_NONBLOCKING; /* the hooks return at once */
  opts.subprotocol = "chatroom-example-protocol";
  opts.read_timeout_ms = 3000;

  int status = wwr_node_new(&node, &program, &opts, argc, argv);
  room.message_buffer = opts.message_buffer_bytes;
  if (status == WWR_GO_ON) status = run(node, &room, file);
  wwr_node_free(node);
  accounts_deinit(&room.accounts);
  return status;
}
