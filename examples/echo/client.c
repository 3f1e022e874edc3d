/* echo-client - sends its arguments, or the lines of its input, as requests and
 * prints the replies. */
#include <webwire/wwr_client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static bool echo(const struct example_client *common, struct wwr_client *client,
                 const char *text, size_t len) {
  const struct wwr_payload payload = {WWR_UTF8, {(const uint8_t *)text, len}};
  struct wwr_reply reply;
  if (len == 0) return true; /* a request can't be empty */
  wwr_err err =
      wwr_client_request_wait(client, wwr_view_str(""), &payload, 0, &reply);
  if (err == WWR_OK) {
    fwrite(reply.payload.data.data, 1, reply.payload.data.len, stdout);
    fputc('\n', stdout);
  } else {
    example_client_fail(common, "no reply", err);
  }
  wwr_reply_deinit(&reply);
  return err == WWR_OK && fflush(stdout) == 0;
}

static bool echo_lines(const struct example_client *common,
                       struct wwr_client *client) {
  char *line = NULL;
  size_t cap = 0;
  ssize_t len;
  bool good = true;
  while (good && (len = getline(&line, &cap, stdin)) > 0) {
    if (line[len - 1] == '\n') len--;
    good = echo(common, client, line, (size_t)len);
  }
  free(line);
  return good;
}

static int run(struct example_client *common, char **args) {
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.autoconnect = WWR_AUTOCONNECT_OFF;
  args = example_client_url(common, args);
  struct wwr_client *client = example_client_connect(common, &opts);
  if (!client) return common->status;
  bool good = *args ? true : echo_lines(common, client);
  for (; good && *args; args++) {
    good = echo(common, client, *args, strlen(*args));
  }
  wwr_client_free(client);
  return good ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}

int main(int argc, char **argv) {
  struct example_client common = {.name = "echo-client",
                                  .url = "ws://127.0.0.1:8081"};
  struct wwr_option rows[EXAMPLE_CLIENT_OPTIONS];
  example_client_options(rows, &common);
  const struct wwr_command command = {
      .name = common.name,
      .usage = "[OPTION...] [URL] [TEXT...]",
      .summary =
          "Sends each TEXT, or each line of its input, as a request and "
          "prints the reply.\nURL is ws://127.0.0.1:8081 by default.",
      .options = rows,
      .option_count = EXAMPLE_CLIENT_OPTIONS,
      .max_args = argc};
  struct wwr_options *options;
  int status = wwr_options_parse(&options, &command, argc, argv);
  if (status == WWR_GO_ON) status = run(&common, wwr_options_args(options));
  wwr_options_free(options);
  return status;
}
