#include "accounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 16 << 20 };

static const char demonstration[] =
    "Gandalf:gandalf1234\nSauron:sauron1234\nGaladriel:galadriel1234\n"
    "Legolas:legolas1234\nAragorn:aragorn1234\nMelkor:melkor1234\n"
    "Thranduil:thranduil1234\nFrodo:frodo1234\nSamweis:samweis1234\n"
    "Gollum:gollum1234\nGimli:gimli1234\nPeregrin:peregrin1234\n"
    "Meriadoc:meriadoc1234\nBoromir:boromir1234\nSaruman:saruman1234\n"
    "Elrond:elrond1234\n";

/* --- Loading ------------------------------------------------------------ */

static char *read_file(const char *path) {
  FILE *file = fopen(path, "re");
  if (!file) return NULL;
  char *text = malloc(MAX_FILE_BYTES + 1);
  size_t len = text ? fread(text, 1, MAX_FILE_BYTES, file) : 0;
  int error = ferror(file) ? errno : feof(file) ? 0 : EFBIG;
  fclose(file);
  if (text && error == 0) {
    text[len] = '\0';
    char *shrunk = realloc(text, len + 1);
    return shrunk ? shrunk : text;
  }
  free(text);
  errno = error ? error : ENOMEM;
  return NULL;
}

/* Cut one line into an account. What is wrong with it, or NULL. */
static const char *parse_line(char *line, struct account *account) {
  size_t len = strlen(line);
  if (len > 0 && line[len - 1] == '\r') line[len - 1] = '\0';
  char *colon = strchr(line, ':');
  if (!colon) return "no name:password";
  if (colon == line) return "no name";
  if (colon[1] == '\0') return "no password";
  *colon = '\0';
  account->name = line;
  account->pass = colon + 1;
  return NULL;
}

static int by_name(const void *a, const void *b) {
  const struct account *left = a, *right = b;
  int order = strcmp(left->name, right->name);
  if (order != 0) return order;
  return left->line < right->line ? -1 : 1;
}

/* Sort for bsearch(). The line of a name that occurs twice, or 0. */
static unsigned sort(struct accounts *accounts) {
  qsort(accounts->list, accounts->count, sizeof *accounts->list, by_name);
  for (size_t i = 1; i < accounts->count; i++) {
    const struct account *account = &accounts->list[i];
    if (strcmp(account[-1].name, account->name) == 0) return account->line;
  }
  return 0;
}

static size_t count_lines(const char *text) {
  size_t lines = 1;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

/* What is wrong, and in which line; or NULL. */
static const char *parse(struct accounts *accounts, unsigned *line) {
  accounts->list = calloc(count_lines(accounts->text), sizeof *accounts->list);
  *line = 0;
  if (!accounts->list) return "out of memory";
  for (char *rest = accounts->text, *text; (text = strsep(&rest, "\n"));) {
    struct account *account = &accounts->list[accounts->count];
    account->line = ++*line;
    if (*text == '\0' || strcmp(text, "\r") == 0) continue;
    const char *wrong = parse_line(text, account);
    if (wrong) return wrong;
    accounts->count++;
  }
  *line = sort(accounts);
  if (*line) return "this name occurs twice";
  return accounts->count > 0 ? NULL : "no accounts";
}

bool accounts_load(struct accounts *accounts, const char *file, char *reason,
                   size_t reason_cap) {
  unsigned line;
  *accounts = (struct accounts){0};
  accounts->text = file ? read_file(file) : strdup(demonstration);
  if (!accounts->text) {
    snprintf(reason, reason_cap, "%s: %s", file ? file : "",
             strerror(file ? errno : ENOMEM));
    return false;
  }
  const char *wrong = parse(accounts, &line);
  if (!wrong) return true;
  snprintf(reason, reason_cap, line ? "%s:%u: %s" : "%s:%.0u %s",
           file ? file : "", line, wrong);
  return false;
}

void accounts_deinit(struct accounts *accounts) {
  free(accounts->list);
  free(accounts->text);
  *accounts = (struct accounts){0};
}

/* --- Checking ----------------------------------------------------------- */

/* Looks at every byte that was given, whatever the first ones are. */
static bool same_secret(const char *given, size_t given_len,
                        const char *secret) {
  size_t len = strlen(secret);
  volatile unsigned char differs = given_len != len;
  for (size_t i = 0; i < given_len; i++) {
    differs = differs | (unsigned char)(given[i] ^ secret[len ? i % len : 0]);
  }
  return !differs;
}

struct wanted {
  const char *name;
  size_t len;
};

static int to_wanted(const void *key, const void *element) {
  const struct wanted *wanted = key;
  const struct account *account = element;
  size_t len = strlen(account->name);
  int order = memcmp(wanted->name, account->name,
                     len < wanted->len ? len : wanted->len);
  if (order != 0) return order;
  return (wanted->len > len) - (wanted->len < len);
}

enum account_verdict accounts_check(const struct accounts *accounts,
                                    const char *name, size_t name_len,
                                    const char *pass, size_t pass_len) {
  const struct wanted wanted = {name, name_len};
  const struct account *account =
      bsearch(&wanted, accounts->list, accounts->count, sizeof *accounts->list,
              to_wanted);
  if (!account) return ACCOUNT_UNKNOWN;
  return same_secret(pass, pass_len, account->pass) ? ACCOUNT_GOOD
                                                    : ACCOUNT_WRONG_PASSWORD;
}
