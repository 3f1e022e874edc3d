/* What is printed: mistakes and documents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "terminal.h"

/* `why` may be a server's, `what` an argument. */
int cli_fail(const char *what, const char *why) {
  fputs("webwire: ", stderr);
  wwr_print_harmless(stderr, what, strlen(what));
  fputs(": ", stderr);
  wwr_print_harmless(stderr, why, strlen(why));
  fputc('\n', stderr);
  return WWR_EXIT_FAILED;
}

int cli_print_json(json_t *json) {
  if (!json) return WWR_EXIT_FAILED;
  bool ok = json_dumpf(json, stdout, JSON_INDENT(2)) == 0 &&
            fputc('\n', stdout) != EOF && fflush(stdout) == 0;
  json_decref(json);
  return ok ? WWR_EXIT_OK : cli_fail("standard output", "can't be written");
}

json_int_t cli_epoch(const json_t *json) {
  const char *text = json_string_value(json_object_get(json, "epoch"));
  return text ? strtoll(text, NULL, 10) : 0;
}
