/* A configuration file's text, before libconfig gets it: what that would read
 * as something else than it says. Numbers beyond 32 bits lose their upper part
 * in old releases; a text ends where a NUL is; an included file's mistakes have
 * no file's name, and when it is a directory the process ends. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static unsigned line_at(const char *text, const char *at) {
  unsigned line = 1;
  for (; text < at; text++) line += *text == '\n';
  return line;
}

/* Behind a comment, a string or a name; what it begins is none of these:
 * NULL. */
static const char *skip(const char *at) {
  const char *end;
  if (*at == '#' || strncmp(at, "//", 2) == 0) return at + strcspn(at, "\n");
  if (strncmp(at, "/*", 2) == 0) {
    end = strstr(at + 2, "*/");
    return end ? end + 2 : at + strlen(at);
  }
  if (*at == '"') {
    for (end = at + 1; *end && *end != '"'; end++)
      if (*end == '\\' && end[1]) end++;
    return end + (*end == '"');
  }
  if (!isalpha((unsigned char)*at) && *at != '*') return NULL;
  for (end = at; isalnum((unsigned char)*end) || (*end && strchr("-_*", *end));)
    end++;
  return end;
}

/* Behind a number; *good: libconfig will read what it says. */
static const char *skip_number(const char *at, bool *good) {
  char *end;
  size_t digits = strspn(at, "0123456789");
  *good = true;
  if (strchr(".eE", at[digits]) && at[digits])
    return at + strspn(at, "0123456789.eE+-");
  errno = 0;
  unsigned long long value =
      strtoull(at, &end, at[1] == 'x' || at[1] == 'X' ? 16 : 10);
  bool wide = *end == 'L';
  *good =
      errno == 0 && value <= (wide ? (unsigned long long)INT64_MAX : INT32_MAX);
  return end;
}

bool wwri_conf_good(const char *text, const char **wrong, const char **why) {
  const char *at = text;
  while (*at) {
    const char *next = skip(at);
    bool good = *at != '@';
    *wrong = at;
    *why = "other files can't be included: all belongs into this one";
    if (good && !next && isdigit((unsigned char)*at)) {
      next = skip_number(at, &good);
      *why = "too large a number";
    }
    if (!good) return false;
    at = next && next > at ? next : at + 1;
  }
  return true;
}

char *wwri_conf_read(const char *path, size_t max, unsigned *line,
                     const char **why) {
  size_t len;
  const char *wrong;
  char *text = wwri_read_file(path, max, &len, why);
  *line = 0;
  if (!text) return NULL;
  if (strncmp(text, BYTE_ORDER_MARK, 3) == 0) memset(text, ' ', 3);
  bool good = strlen(text) == len;
  wrong = text + strlen(text);
  *why = "a zero byte: it must be text, as UTF-8";
  if (good) good = wwri_conf_good(text, &wrong, why);
  if (good) {
    if (len > 0 && text[len - 1] != '\n')
      memcpy(text + len, "\n", 2); /* a comment must have an end */
    return text;
  }
  *line = line_at(text, wrong);
  free(text);
  return NULL;
}
