/* chatroom-server - one room: what a client says reaches every client.
 *
 * Requests: "msg" broadcasts its payload as a signal
 * {"user":NAME,"msg":TEXT}, the sender included, and is answered empty after
 * that; "auth" logs in (auth.c). Anything else is a BAD_REQUEST.
 *
 * A message that as a signal exceeds the message buffer reaches nobody, which
 * its sender sees by not getting it back. The reply is empty all the same:
 * existing clients know no error of "msg". */
#include <jansson.h>
#include <stdlib.h>

#include "node.h"
#include "room.h"

static bool is_named(const struct wwr_message *message, const char *name) {
  return wwr_view_equal(message->name, wwr_view_str(name));
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

static void say(const struct room *room, struct wwr_conn *conn,
                struct wwr_request *request,
                const struct wwr_payload *payload) {
  wwr_err err = WWR_E_NOMEM;
  char *json = signal_of(conn, payload);
  if (json) {
    const struct wwr_payload signal = wwr_payload_text(json);
    err = wwr_server_broadcast(room->server, wwr_view_str(""), &signal);
  }
  free(json);
  if (err == WWR_OK || err == WWR_E_BUFFER_OVERFLOW) {
    wwr_request_reply(request, NULL);
  } else {
    wwr_request_fail_internal(request, wwr_err_text(err));
  }
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  const struct room *room = user_data;
  if (is_named(message, "msg")) {
    say(room, conn, request, &message->payload);
  } else if (is_named(message, "auth")) {
    room_auth(room, conn, request, &message->payload);
  } else {
    wwr_request_fail(request, "BAD_REQUEST", "no such request");
  }
}

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
  opts.hooks.on_request = on_request;
  opts.user_data = &room;
  opts.handlers = WWR_HANDLERS_NONBLOCKING; /* on_request returns at once */
  opts.subprotocol = "chatroom-example-protocol";
  opts.read_timeout_ms = 3000;

  int status = wwr_node_new(&node, &program, &opts, argc, argv);
  if (status == WWR_GO_ON) status = run(node, &room, file);
  wwr_node_free(node);
  accounts_deinit(&room.accounts);
  return status;
}
