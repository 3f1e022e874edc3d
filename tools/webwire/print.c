/* What is printed: mistakes and documents. */
#include <stdio.h>

#include "cli.h"

int cli_fail(const char *what, const char *why) {
  fprintf(stderr, "webwire: %s: %s\n", what, why);
  return WWR_EXIT_FAILED;
}

int cli_print_json(json_t *json) {
  if (!json) return WWR_EXIT_FAILED;
  bool ok = json_dumpf(json, stdout, JSON_INDENT(2)) == 0 &&
            fputc('\n', stdout) != EOF && fflush(stdout) == 0;
  json_decref(json);
  return ok ? WWR_EXIT_OK : cli_fail("standard output", "can't be written");
}
