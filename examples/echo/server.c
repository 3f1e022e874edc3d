/* echo-server - answers every request with its own payload, in its encoding.
 * Signals are ignored. */
#include <webwire/wwr_server.h>

#include "node.h"

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  (void)conn;
  (void)user_data;
  wwr_request_reply(request, &message->payload);
}

int main(int argc, char **argv) {
  static const struct wwr_node_program program = {
      .name = "echo-server",
      .summary = "Answers every request with its own payload.",
      .listen = "127.0.0.1:8081"};
  struct wwr_server_opts opts;
  struct wwr_node *node;
  wwr_server_opts_default(&opts);
  opts.hooks.on_request = on_request;
  opts.handlers = WWR_HANDLERS_NONBLOCKING; /* on_request returns at once */

  int status = wwr_node_new(&node, &program, &opts, argc, argv);
  if (status == WWR_GO_ON) status = wwr_node_run(node);
  wwr_node_free(node);
  return status;
}
