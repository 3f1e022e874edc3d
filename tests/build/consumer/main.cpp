#include <cstdio>
#include <webwire/webwire.h>

int main() {
  wwr_client *client = nullptr;
  wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  const char *bad_field = nullptr;  // no dialer: refused, naming the field
  wwr_err err = wwr_client_new(&client, &opts, &bad_field);
  std::printf("webwire %s: %s\n", wwr_version(), wwr_err_text(err));
  return err == WWR_E_INVALID && bad_field && !client ? 0 : 1;
}
