/* Happy path: getopt_long() over a table made from ours -> every value is text
 * and goes through wwri_option_set() -> the file's values, as text too, go the
 * same way, except where the command line has spoken.
 *
 * Failure modes: whatever is wrong ends in one line and status 2; only memory
 * that runs out is status 1. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 26, MAX_LIST_ITEMS = 1024 };

/* --- Setting one option ------------------------------------------------- */

static bool only_of(const char *text, const char *characters) {
  return *text && text[strspn(text, characters)] == '\0';
}

static bool set_number(const struct wwr_option *option, const char *text,
                       char reason[WWRI_REASON_MAX]) {
  errno = 0;
  unsigned long long number = strtoull(text, NULL, 10);
  if (!only_of(text, "0123456789") || errno || number < option->min ||
      number > option->max) {
    snprintf(reason, WWRI_REASON_MAX,
             "'%.64s' is no whole number from %u to %u", text, option->min,
             option->max);
    return false;
  }
  *(uint32_t *)option->target = (uint32_t)number;
  return true;
}

static bool set_seconds(const struct wwr_option *option, const char *text,
                        char reason[WWRI_REASON_MAX]) {
  char *end = NULL;
  double seconds = strtod(text, &end);
  double ms = seconds * 1000.0 + 0.5;
  if (!only_of(text, "0123456789.") || *end || ms < option->min ||
      ms >= option->max + 1.0) {
    snprintf(reason, WWRI_REASON_MAX,
             "'%.64s' is no number of seconds from %g to %g", text,
             option->min / 1000.0, option->max / 1000.0);
    return false;
  }
  *(uint32_t *)option->target = (uint32_t)ms;
  return true;
}

static bool set_log_format(const struct wwr_option *option, const char *text) {
  bool json = strcmp(text, "json") == 0;
  if (!json && strcmp(text, "logfmt") != 0) return false;
  *(enum wwr_log_format *)option->target = json ? WWR_LOG_JSON : WWR_LOG_LOGFMT;
  return true;
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

static bool set_list(struct wwr_options *options, size_t index,
                     const char *text, char reason[WWRI_REASON_MAX]) {
  struct wwr_option_list *list = &options->given[index].list;
  if (!append(list, text, reason)) return false;
  *(struct wwr_option_list *)options->command->options[index].target = *list;
  return true;
}

bool wwri_option_set(struct wwr_options *options, size_t index,
                     const char *text, char reason[WWRI_REASON_MAX]) {
  const struct wwr_option *option = &options->command->options[index];
  snprintf(reason, WWRI_REASON_MAX, "'%.64s' is none of %s", text,
           option->value ? option->value : "");
  switch (option->kind) {
    case WWR_OPTION_FILE:
    case WWR_OPTION_TEXT:
    case WWR_OPTION_SECRET:
      snprintf(reason, WWRI_REASON_MAX, "is empty");
      *(const char **)option->target = text;
      return *text != '\0';
    case WWR_OPTION_LIST:
      return set_list(options, index, text, reason);
    case WWR_OPTION_NUMBER:
      return set_number(option, text, reason);
    case WWR_OPTION_SECONDS:
      return set_seconds(option, text, reason);
    case WWR_OPTION_FLAG:
      *(bool *)option->target = true;
      return true;
    case WWR_OPTION_LOG_LEVEL:
      return wwr_log_level_parse(text, option->target);
    case WWR_OPTION_LOG_FORMAT:
      return set_log_format(option, text);
  }
  return false;
}

long wwri_option_find(const struct wwr_command *command, const char *name) {
  for (size_t i = 0; i < command->option_count; i++) {
    if (strcmp(command->options[i].name, name) == 0) return (long)i;
  }
  return -1;
}

bool wwri_option_given(const struct wwr_options *options, const char *name) {
  long index = wwri_option_find(options->command, name);
  if (index < 0) return false;
  return options->given[index].given || options->given[index].line > 0;
}

/* --- --help ------------------------------------------------------------- */

static void print_default(const struct wwr_option *option) {
  static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
  const char *text = NULL;
  char number[32];
  switch (option->kind) {
    case WWR_OPTION_TEXT:
      text = *(const char *const *)option->target;
      break;
    case WWR_OPTION_NUMBER:
      snprintf(number, sizeof number, "%u", *(const uint32_t *)option->target);
      text = number;
      break;
    case WWR_OPTION_SECONDS:
      snprintf(number, sizeof number, "%g",
               *(const uint32_t *)option->target / 1000.0);
      text = number;
      break;
    case WWR_OPTION_LOG_LEVEL:
      text = levels[*(const enum wwr_log_level *)option->target];
      break;
    case WWR_OPTION_LOG_FORMAT:
    case WWR_OPTION_SECRET:
    case WWR_OPTION_LIST:
    case WWR_OPTION_FLAG:
    case WWR_OPTION_FILE:
      break;
  }
  if (text) printf(" [%s]", text);
}

static void print_option(const char *name, const char *value, const char *help,
                         const struct wwr_option *option) {
  int width = printf("  --%s%s%s", name, value ? " " : "", value ? value : "");
  if (width + 2 > HELP_COLUMN) {
    printf("\n");
    width = 0;
  }
  printf("%*s%s", HELP_COLUMN - width, "", help);
  if (option) print_default(option);
  printf("\n");
}

static int print_help(const struct wwr_command *command) {
  printf("usage: %s %s\n\n%s\n\n", command->name, command->usage,
         command->summary);
  for (size_t i = 0; i < command->option_count; i++) {
    const struct wwr_option *option = &command->options[i];
    print_option(option->name, option->value, option->help, option);
  }
  print_option("help", NULL, "this text", NULL);
  print_option("version", NULL, "the version", NULL);
  return fflush(stdout) == 0 ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}

static int print_version(const struct wwr_command *command) {
  printf("%s %s\n", command->name, wwr_version());
  return fflush(stdout) == 0 ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}

/* --- The command line --------------------------------------------------- */

static int reject(const struct wwr_command *command, const char *what,
                  const char *message) {
  fprintf(stderr, "%s: %s: %s (try --help)\n", command->name, what, message);
  return WWR_EXIT_USAGE;
}

int wwr_options_reject(const struct wwr_options *options, const char *option,
                       const char *message) {
  long index = wwri_option_find(options->command, option);
  unsigned line = index < 0 ? 0 : options->given[index].line;
  if (line == 0) {
    fprintf(stderr, "%s: --%s: %s (try --help)\n", options->command->name,
            option, message);
  } else {
    fprintf(stderr, "%s: %s:%u: %s: %s\n", options->command->name,
            options->file, line, option, message);
  }
  return WWR_EXIT_USAGE;
}

/* Values of the table that getopt_long() returns: indexes, moved away from the
 * characters it returns itself. */
enum { FIRST_INDEX = 256 };

static struct option *long_options(const struct wwr_command *command) {
  struct option *table = calloc(command->option_count + 3, sizeof *table);
  if (!table) return NULL;
  for (size_t i = 0; i < command->option_count; i++) {
    bool flag = command->options[i].kind == WWR_OPTION_FLAG;
    table[i] = (struct option){command->options[i].name,
                               flag ? no_argument : required_argument, NULL,
                               FIRST_INDEX + (int)i};
  }
  table[command->option_count] =
      (struct option){"help", no_argument, NULL, 'h'};
  table[command->option_count + 1] =
      (struct option){"version", no_argument, NULL, 'v'};
  return table;
}

/* getopt_long() tells in `optopt` what it found: 0 an unknown long option, the
 * value of one that was given a value it does not take, or a short option. */
static int reject_unknown(const struct wwr_command *command, const char *arg) {
  char name[] = {'-', (char)optopt, '\0'};
  if (optopt == 0) return reject(command, arg, "unknown option");
  if (strncmp(arg, "--", 2) == 0 && strchr(arg, '=')) {
    return reject(command, arg, "takes no value");
  }
  return reject(command, name, "unknown option");
}

static int take(struct wwr_options *options, size_t index, const char *value) {
  const struct wwr_option *option = &options->command->options[index];
  char reason[WWRI_REASON_MAX];
  if (!wwri_option_set(options, index, value ? value : "", reason)) {
    return wwr_options_reject(options, option->name, reason);
  }
  options->given[index].given = true;
  if (option->kind == WWR_OPTION_FILE) options->file = value;
  return WWR_GO_ON;
}

static int parse_argv(struct wwr_options *options, const struct option *table,
                      int argc, char **argv) {
  const struct wwr_command *command = options->command;
  int found, status = WWR_GO_ON;
  optind = 1;
  while (status == WWR_GO_ON &&
         (found = getopt_long(argc, argv, ":", table, NULL)) != -1) {
    if (found == 'h') return print_help(command);
    if (found == 'v') return print_version(command);
    if (found == ':') return reject(command, argv[optind - 1], "needs a value");
    if (found == '?') return reject_unknown(command, argv[optind - 1]);
    status = take(options, (size_t)(found - FIRST_INDEX), optarg);
  }
  options->args = argv + optind;
  if (status == WWR_GO_ON && argc - optind > command->max_args) {
    return reject(command, argv[optind + command->max_args],
                  "unexpected argument");
  }
  return status;
}

static int parse(struct wwr_options *options, int argc, char **argv) {
  struct option *table = long_options(options->command);
  if (!table) return WWR_EXIT_FAILED;
  int status = parse_argv(options, table, argc, argv);
  free(table);
  if (status == WWR_GO_ON && options->file) status = wwri_file_read(options);
  return status;
}

int wwr_options_parse(struct wwr_options **out,
                      const struct wwr_command *command, int argc,
                      char **argv) {
  int status = WWR_EXIT_FAILED;
  *out = NULL;
  struct wwr_options *options = calloc(1, sizeof *options);
  if (options) {
    options->command = command;
    options->given = calloc(command->option_count + 1, sizeof *options->given);
    if (options->given) status = parse(options, argc, argv);
  }
  if (status == WWR_GO_ON) {
    *out = options;
    return status;
  }
  if (status == WWR_EXIT_FAILED) {
    fprintf(stderr, "%s: could not start\n", command->name);
  }
  wwr_options_free(options);
  return status;
}

char **wwr_options_args(const struct wwr_options *options) {
  return options->args;
}

void wwr_options_free(struct wwr_options *options) {
  if (!options) return;
  for (size_t i = 0; options->given && i < options->command->option_count;
       i++) {
    free((void *)(uintptr_t)options->given[i].list.items);
  }
  free(options->given);
  wwri_file_free(options);
  free(options);
}
