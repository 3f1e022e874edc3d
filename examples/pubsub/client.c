/* pubsub-client - prints the signals of a server and exits after some. */
#include <webwire/wwr_client.h>

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "terminal.h"

struct subscriber {
  uint32_t left; /* of the client's thread alone, once connecting began */
  sem_t done;
};

static void on_signal(const struct wwr_message *message, void *user_data) {
  struct subscriber *subscriber = user_data;
  char *text;
  size_t len;
  if (subscriber->left == 0) return;
  if (wwr_payload_to_utf8(&message->payload, &text, &len) == WWR_OK) {
    wwr_print_harmless(stdout, text, len);
    fputc('\n', stdout);
    fflush(stdout);
    wwr_free(text);
  }
  if (--subscriber->left == 0) sem_post(&subscriber->done);
}

static int run(struct example_client *common, struct subscriber *subscriber,
               char **args) {
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.hooks.on_signal = on_signal;
  opts.user_data = subscriber;
  args = example_client_url(common, args);
  if (*args) {
    fprintf(stderr, "%s: %s: no ws:// or wss:// URL\n", common->name, *args);
    return WWR_EXIT_USAGE;
  }
  sem_init(&subscriber->done, 0, 0);
  struct wwr_client *client = example_client_connect(common, &opts);
  int status = client ? WWR_EXIT_OK : common->status;
  while (client && sem_wait(&subscriber->done) != 0) continue;
  wwr_client_free(client);
  sem_destroy(&subscriber->done);
  return status;
}

int main(int argc, char **argv) {
  struct subscriber subscriber = {.left = 6};
  struct example_client common = {.name = "pubsub-client",
                                  .url = "ws://127.0.0.1:8082"};
  struct wwr_option rows[EXAMPLE_CLIENT_OPTIONS + 1] = {
      {.name = "count",
       .value = "N",
       .help = "exit after so many signals",
       .kind = WWR_OPTION_NUMBER,
       .target = &subscriber.left,
       .min = 1,
       .max = UINT32_MAX}};
  example_client_options(rows + 1, &common);
  const struct wwr_command command = {
      .name = common.name,
      .usage = "[OPTION...] [URL]",
      .summary =
          "Prints the signals of a server, one a line.\n"
          "URL is ws://127.0.0.1:8082 by default.",
      .options = rows,
      .option_count = EXAMPLE_CLIENT_OPTIONS + 1,
      .max_args = 1};
  struct wwr_options *options;
  int status = wwr_options_parse(&options, &command, argc, argv);
  if (status == WWR_GO_ON) {
    status = run(&common, &subscriber, wwr_options_args(options));
  }
  wwr_options_free(options);
  return status;
}
