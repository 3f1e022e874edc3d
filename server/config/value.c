/* One value: from text into its target and back, by its kind.
 *
 * Failure modes: a text that is none of what the kind allows says so in a
 * reason, and leaves the target as it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

enum { MAX_LIST_ITEMS = 1024, MAX_SECRET_BYTES = 65536 };

/* --- Files ---------------------------------------------------------------- */

/* Why it can't be read; NULL: it can. A pipe could not be read again. */
static const char *unreadable(int fd, size_t max, size_t *size) {
  struct stat info;
  if (fstat(fd, &info) != 0) return strerror(errno);
  if (S_ISDIR(info.st_mode)) return strerror(EISDIR);
  if (!S_ISREG(info.st_mode)) return "is no regular file";
  if ((size_t)info.st_size > max) return strerror(EFBIG);
  *size = (size_t)info.st_size;
  return NULL;
}

static char *read_text(int fd, size_t max, size_t *len, const char **why) {
  size_t cap = 0;
  *why = unreadable(fd, max, &cap);
  if (*why) return NULL;
  char *text = malloc(cap + 2);
  ssize_t n = text ? 1 : -1;
  for (*len = 0; n > 0 && *len<cap; *len += n> 0 ? (size_t)n : 0)
    n = read(fd, text + *len, cap - *len);
  if (n < 0) {
    *why = strerror(text ? errno : ENOMEM);
    free(text);
    return NULL;
  }
  text[*len] = '\0';
  return text;
}

char *wwri_read_file(const char *path, size_t max, size_t *len,
                     const char **why) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    *why = strerror(errno);
    return NULL;
  }
  char *text = read_text(fd, max, len, why);
  close(fd);
  return text;
}

/* --- Setting -------------------------------------------------------------- */

static bool only_of(const char *text, const char *characters) {
  return *text && text[strspn(text, characters)] == '\0';
}

static bool set_number(const struct wwr_option *row, const char *text,
                       char reason[WWRI_REASON_MAX]) {
  errno = 0;
  unsigned long long number = strtoull(text, NULL, 10);
  if (!only_of(text, "0123456789") || errno || number < row->min ||
      number > row->max) {
    snprintf(reason, WWRI_REASON_MAX,
             "'%.64s' is no whole number from %u to %u", text, row->min,
             row->max);
    return false;
  }
  *(uint32_t *)row->target = (uint32_t)number;
  return true;
}

static bool set_seconds(const struct wwr_option *row, const char *text,
                        char reason[WWRI_REASON_MAX]) {
  char *end = NULL;
  double seconds = strtod(text, &end);
  double ms = seconds * 1000.0 + 0.5;
  if (!only_of(text, "0123456789.") || *end || ms < row->min ||
      ms >= row->max + 1.0) {
    snprintf(reason, WWRI_REASON_MAX,
             "'%.64s' is no number of seconds from %.10g to %.10g", text,
             row->min / 1000.0, row->max / 1000.0);
    return false;
  }
  *(uint32_t *)row->target = (uint32_t)ms;
  return true;
}

static bool set_choice(const struct wwr_option *row, const char *text) {
  const char *word = row->value;
  for (int i = 0; *word; i++) {
    size_t len = strcspn(word, "|");
    if (strlen(text) == len && memcmp(word, text, len) == 0) {
      *(int *)row->target = i;
      return true;
    }
    word += len + (word[len] == '|');
  }
  return false;
}

static bool set_flag(const struct wwr_option *row, const char *text,
                     char reason[WWRI_REASON_MAX]) {
  bool yes = strcmp(text, "true") == 0;
  if (!yes && strcmp(text, "false") != 0) {
    snprintf(reason, WWRI_REASON_MAX, "must be true or false");
    return false;
  }
  *(bool *)row->target = yes;
  return true;
}

static bool set_log_format(const struct wwr_option *row, const char *text) {
  bool json = strcmp(text, "json") == 0;
  if (!json && strcmp(text, "logfmt") != 0) return false;
  *(enum wwr_log_format *)row->target = json ? WWR_LOG_JSON : WWR_LOG_LOGFMT;
  return true;
}

static bool set_text(const struct wwr_option *row, const char *text,
                     char reason[WWRI_REASON_MAX]) {
  snprintf(reason, WWRI_REASON_MAX, "is empty");
  if (*text) *(const char **)row->target = text;
  return *text != '\0';
}

static bool append(struct wwr_option_list *list, const char *text,
                   char reason[WWRI_REASON_MAX]) {
  if (list->count >= MAX_LIST_ITEMS) {
    snprintf(reason, WWRI_REASON_MAX, "more than %d values", MAX_LIST_ITEMS);
    return false;
  }
  const char **old = (const char **)(uintptr_t)list->items;
  const char **items = realloc(old, (list->count + 1) * sizeof *items);
  if (!items) {
    snprintf(reason, WWRI_REASON_MAX, "out of memory");
    return false;
  }
  items[list->count++] = text;
  list->items = items;
  return true;
}

static bool set_list(const struct wwr_option *row, struct wwr_option_list *list,
                     const char *text, char reason[WWRI_REASON_MAX]) {
  if (!append(list, text, reason)) return false;
  *(struct wwr_option_list *)row->target = *list;
  return true;
}

static bool set_secret_file(struct wwr_options *options,
                            const struct wwr_option *row, const char *path,
                            char reason[WWRI_REASON_MAX]) {
  size_t len;
  const char *why;
  char *text = wwri_read_file(path, MAX_SECRET_BYTES, &len, &why);
  if (text && strlen(text) < len) {
    why = "has a zero byte: it must be text";
    free(text);
    text = NULL;
  }
  if (!text) {
    snprintf(reason, WWRI_REASON_MAX, "%.128s: %s", path, why);
    return false;
  }
  if (len > 0 && text[len - 1] == '\n') text[--len] = '\0';
  if (len > 0 && text[len - 1] == '\r') text[--len] = '\0';
  const char *kept = wwri_options_keep(options, text);
  if (kept && *kept) {
    *(const char **)row->target = kept;
    return true;
  }
  snprintf(reason, WWRI_REASON_MAX, kept ? "%.128s: is empty" : "out of memory",
           path);
  return false;
}

static bool set(struct wwr_options *options, const struct wwr_option *row,
                struct wwr_option_list *list, const char *text,
                char reason[WWRI_REASON_MAX]) {
  switch (row->kind) {
    case WWR_OPTION_FILE:
    case WWR_OPTION_TEXT:
    case WWR_OPTION_SECRET:
      return set_text(row, text, reason);
    case WWR_OPTION_SECRET_FILE:
      return set_secret_file(options, row, text, reason);
    case WWR_OPTION_CHOICE:
      return set_choice(row, text);
    case WWR_OPTION_LIST:
      return set_list(row, list, text, reason);
    case WWR_OPTION_NUMBER:
      return set_number(row, text, reason);
    case WWR_OPTION_SECONDS:
      return set_seconds(row, text, reason);
    case WWR_OPTION_FLAG:
      return set_flag(row, text, reason);
    case WWR_OPTION_LOG_LEVEL:
      return wwr_log_level_parse(text, row->target);
    case WWR_OPTION_LOG_FORMAT:
      return set_log_format(row, text);
    case WWR_OPTION_GROUPS:
      break;
  }
  return false;
}

bool wwri_value_set(struct wwr_options *options, const struct wwr_option *row,
                    struct wwr_option_list *list, const char *text,
                    char reason[WWRI_REASON_MAX]) {
  if (row->check && *text && !row->check(text, reason)) return false;
  snprintf(reason, WWRI_REASON_MAX, "'%.64s' is none of %s", text,
           row->value ? row->value : "");
  return set(options, row, list, text, reason);
}

/* --- Printing ------------------------------------------------------------- */

static void print_string(FILE *out, const char *text, size_t len) {
  fputc('"', out);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      fprintf(out, "\\%c", c);
    } else if (c < ' ' || c == 0x7f) {
      fprintf(out, "\\x%02x", c);
    } else {
      fputc(c, out);
    }
  }
  fputc('"', out);
}

static void print_list(FILE *out, const struct wwr_option_list *list) {
  fputc('[', out);
  for (size_t i = 0; i < list->count; i++) {
    if (i > 0) fputs(", ", out);
    print_string(out, list->items[i], strlen(list->items[i]));
  }
  fputc(']', out);
}

static void print_choice(FILE *out, const struct wwr_option *row) {
  const char *word = row->value;
  for (int i = *(const int *)row->target; i > 0; i--)
    word += strcspn(word, "|") + 1;
  print_string(out, word, strcspn(word, "|"));
}

static void print_text(FILE *out, const struct wwr_option *row) {
  const char *text = *(const char *const *)row->target;
  if (text) print_string(out, text, strlen(text));
}

static bool print(const struct wwr_option *row, FILE *out, bool hide);

static void print_groups(const struct wwr_option_groups *groups, FILE *out,
                         bool hide) {
  struct wwr_option rows[WWRI_MAX_ROWS];
  for (size_t i = 0; i < groups->count; i++) {
    groups->bind((char *)groups->items + i * groups->item_size, rows);
    for (size_t r = 0; r < groups->row_count; r++) {
      fprintf(out, "%s = ", rows[r].key);
      print(&rows[r], out, hide);
      fputs("; ", out);
    }
  }
}

static bool print(const struct wwr_option *row, FILE *out, bool hide) {
  static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
  switch (row->kind) {
    case WWR_OPTION_FILE:
    case WWR_OPTION_TEXT:
      print_text(out, row);
      return true;
    case WWR_OPTION_SECRET:
      if (!hide) {
        print_text(out, row);
      } else if (*(const char *const *)row->target) {
        fputs("\"***\"", out);
      }
      return true;
    case WWR_OPTION_CHOICE:
      print_choice(out, row);
      return true;
    case WWR_OPTION_LIST:
      print_list(out, row->target);
      return true;
    case WWR_OPTION_NUMBER:
      fprintf(out, "%u", *(const uint32_t *)row->target);
      return true;
    case WWR_OPTION_SECONDS:
      fprintf(out, "%.10g", *(const uint32_t *)row->target / 1000.0);
      return true;
    case WWR_OPTION_FLAG:
      fputs(*(const bool *)row->target ? "true" : "false", out);
      return true;
    case WWR_OPTION_LOG_LEVEL:
      fprintf(out, "\"%s\"", levels[*(const enum wwr_log_level *)row->target]);
      return true;
    case WWR_OPTION_LOG_FORMAT:
      fprintf(out, "\"%s\"",
              *(const enum wwr_log_format *)row->target == WWR_LOG_JSON
                  ? "json"
                  : "logfmt");
      return true;
    case WWR_OPTION_GROUPS:
      print_groups(row->target, out, hide);
      return true;
    case WWR_OPTION_SECRET_FILE: /* its value is the secret's */
      break;
  }
  return false;
}

bool wwri_value_print(const struct wwr_option *row, FILE *out) {
  return print(row, out, true);
}

char *wwri_value_text(const struct wwr_option *row) {
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  if (!out) return NULL;
  print(row, out, false);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}
