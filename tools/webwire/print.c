/* What is printed: documents, and text of strangers. */
#include <stdio.h>
#include <string.h>

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

/* Length of a character whose first byte this is. */
static size_t char_len(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xf0) return 4;
  return first >= 0xe0 ? 3 : 2;
}

/* Control characters of both kinds, and what turns the direction of writing:
 * U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069, U+061C. */
static bool is_harmful(const unsigned char *at, size_t len) {
  if (len == 1) return *at < ' ' || *at == 0x7f;
  if (len == 2)
    return (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xd8 && at[1] == 0x9c);
  if (len != 3 || at[0] != 0xe2) return false;
  if (at[1] == 0x80)
    return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xaa && at[2] <= 0xae);
  return at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

void cli_print_text(const char *text, size_t len) {
  const unsigned char *at = (const unsigned char *)text, *end = at + len;
  while (at < end) {
    size_t size = char_len(*at);
    if (size > (size_t)(end - at)) size = (size_t)(end - at);
    if (*at == '\n' || *at == '\r' || *at == '\t') {
      fputc(' ', stdout);
    } else if (is_harmful(at, size)) {
      fputs("\xef\xbf\xbd", stdout);
    } else {
      fwrite(at, 1, size, stdout);
    }
    at += size;
  }
}
