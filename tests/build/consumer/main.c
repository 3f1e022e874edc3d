#include <stdio.h>
#include <webwire/wwr_server.h>

int main(void) {
  struct wwr_server *server = NULL;
  struct wwr_server_opts opts;
  wwr_server_opts_default(&opts);
  const char *bad_field = NULL; /* no transport: refused, naming the field */
  wwr_err err = wwr_server_new(&server, &opts, &bad_field);
  printf("webwire %s: %s: %s\n", wwr_version(), bad_field, wwr_err_text(err));
  return err == WWR_E_INVALID && bad_field && !server ? 0 : 1;
}
