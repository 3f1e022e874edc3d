/* publisher URL CHANNEL - a client of webwired for compose.sh: connects, says
 * "connected", publishes what it reads, a message a line, and prints the reply
 * to each. */
#include <stdio.h>
#include <string.h>

#include "client.h"

enum { LINE = 256 };

/* The text of a reply, or why there is none. */
static int tell(const struct wwr_reply *reply, wwr_err err) {
  char *text = NULL;
  size_t len;
  if (err == WWR_OK) err = wwr_payload_to_utf8(&reply->payload, &text, &len);
  puts(err == WWR_OK ? text : wwr_err_text(err));
  wwr_free(text);
  return fflush(stdout) == 0 && err == WWR_OK ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}

static int publish(struct wwr_client *client, const char *name,
                   const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  struct wwr_reply reply;
  wwr_err err =
      wwr_client_request_wait(client, wwr_view_str(name), &payload, 0, &reply);
  int status = tell(&reply, err);
  wwr_reply_deinit(&reply);
  return status;
}

static int run(struct wwr_client *client, const char *channel) {
  char name[LINE], line[LINE];
  int status = WWR_EXIT_OK;
  snprintf(name, sizeof name, "pub:%s", channel);
  puts("connected");
  fflush(stdout);
  while (status == WWR_EXIT_OK && fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = '\0';
    status = publish(client, name, line);
  }
  return status;
}

int main(int argc, char **argv) {
  if (argc != 3) return WWR_EXIT_USAGE;
  struct example_client common = {
      .name = "publisher", .url = argv[1], .timeout_ms = 20000};
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.subprotocol = "webwire-channels/1";
  struct wwr_client *client = example_client_connect(&common, &opts);
  int status = client ? run(client, argv[2]) : WWR_EXIT_FAILED;
  wwr_client_free(client);
  return status;
}
