/* Happy path: getopt_long() over a table made from ours -> every value is text
 * and goes through wwri_value_set() -> the environment's and the file's values,
 * as text too, go the same way, except where somebody above has spoken.
 *
 * Failure modes: whatever is wrong is one line, and in the end status 2; only
 * memory that runs out is status 1. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

enum { HELP_COLUMN = 26 };

long wwri_option_find(const struct wwr_command *command, const char *name) {
  for (size_t i = 0; i < command->option_count; i++) {
    const struct wwr_option *row = &command->options[i];
    if ((row->name && strcmp(row->name, name) == 0) ||
        (row->key && strcmp(row->key, name) == 0))
      return (long)i;
  }
  return -1;
}

bool wwr_option_given(const struct wwr_options *options, const char *option) {
  long index = wwri_option_find(options->command, option);
  return index >= 0 && options->given[index].source != WWRI_DEFAULT;
}

bool wwri_option_taken(const struct wwr_options *options, size_t index,
                       enum wwri_source source) {
  const struct wwr_option *rows = options->command->options;
  for (size_t i = 0; i < options->command->option_count; i++) {
    if (rows[i].target == rows[index].target &&
        options->given[i].source > source)
      return true;
  }
  return false;
}

const char *wwri_options_keep(struct wwr_options *options, char *text) {
  size_t size = (options->owned_count + 1) * sizeof *options->owned;
  char **owned = text ? realloc(options->owned, size) : NULL;
  if (!owned) {
    free(text);
    return NULL;
  }
  options->owned = owned;
  owned[options->owned_count++] = text;
  return text;
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
    default:
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
    if (option->name)
      print_option(option->name, option->value, option->help, option);
  }
  if (command->sections) {
    print_option("check-config", NULL, "say what is wrong, and end", NULL);
    print_option("print-config", NULL,
                 "show what is in force and where it came from", NULL);
    print_option("sample-config", NULL, "show a file with every key", NULL);
  }
  print_option("help", NULL, "this text", NULL);
  print_option("version", NULL, "the version", NULL);
  return wwri_printed(command);
}

static int print_version(const struct wwr_command *command) {
  printf("%s %s\n", command->name, wwr_version());
  return wwri_printed(command);
}

/* --- Complaints --------------------------------------------------------- */

void wwri_complain(const struct wwr_command *command, const char *format, ...) {
  char line[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (command->complain) {
    command->complain(line, command->user_data);
  } else {
    fprintf(stderr, "%s: %s\n", command->name, line);
  }
}

static int reject(const struct wwr_command *command, const char *what,
                  const char *message) {
  wwri_complain(command, "%s: %s (try --help)", what, message);
  return WWR_EXIT_USAGE;
}

/* What nobody has given is said by its key, if files have such. */
static int reject_as(struct wwr_options *options, size_t index,
                     const char *option, const char *message) {
  const struct wwr_command *command = options->command;
  const struct wwri_given *given = &options->given[index];
  const struct wwr_option *row = &command->options[index];
  char variable[WWRI_KEY_MAX];
  options->mistakes++;
  switch (given->source) {
    case WWRI_FILE:
      wwri_complain(command, "%s:%u: %s: %s", options->file, given->line,
                    option, message);
      break;
    case WWRI_ENVIRONMENT:
      wwri_option_variable(command, row->key, variable);
      wwri_complain(command, "%s: %s", variable, message);
      break;
    case WWRI_DEFAULT:
      if (command->sections && row->key) {
        wwri_complain(command, "%s: %s", row->key, message);
        break;
      } /* fall through */
    case WWRI_COMMAND:
      wwri_complain(command, "--%s: %s (try --help)", row->name, message);
      break;
  }
  return WWR_EXIT_USAGE;
}

int wwr_options_reject(struct wwr_options *options, const char *option,
                       const char *message) {
  const struct wwr_command *command = options->command;
  long index = wwri_option_find(command, option);
  if (index < 0) {
    wwri_complain(command, "%s: %s", option, message);
    options->mistakes++;
    return WWR_EXIT_USAGE;
  }
  const struct wwr_option *row = &command->options[index];
  const char *key = command->sections && row->key ? row->key : option;
  return reject_as(options, (size_t)index, key, message);
}

/* Of an item's row; 0: it was not given. */
static unsigned row_line(const struct wwri_given *given,
                         const struct wwr_option_groups *groups, size_t item,
                         const char *name) {
  struct wwr_option rows[WWRI_MAX_ROWS];
  groups->bind(groups->items, rows);
  for (size_t i = 0; i < groups->row_count; i++) {
    if (strcmp(rows[i].key, name) == 0)
      return given->lines[item * groups->row_count + i];
  }
  return 0;
}

/* The line of an item's row, else of its first, else of the list. */
static unsigned line_of(const struct wwri_given *given,
                        const struct wwr_option_groups *groups, size_t item,
                        const char *name) {
  unsigned line = row_line(given, groups, item, name);
  for (size_t i = 0; line == 0 && i < groups->row_count; i++)
    line = given->lines[item * groups->row_count + i];
  return line > 0 ? line : given->line;
}

bool wwr_option_item_given(const struct wwr_options *options,
                           const char *option, size_t item, const char *row) {
  size_t index = (size_t)wwri_option_find(options->command, option);
  const struct wwri_given *given = &options->given[index];
  return given->lines &&
         row_line(given, options->command->options[index].target, item, row) >
             0;
}

int wwr_options_reject_item(struct wwr_options *options, const char *option,
                            size_t item, const char *row, const char *message) {
  size_t index = (size_t)wwri_option_find(options->command, option);
  const struct wwri_given *given = &options->given[index];
  char at[WWRI_REASON_MAX] = "";
  options->mistakes++;
  if (given->source == WWRI_FILE) {
    snprintf(
        at, sizeof at, "%s:%u: ", options->file,
        line_of(given, options->command->options[index].target, item, row));
  }
  wwri_complain(options->command, "%s%s[%zu].%s: %s", at, option, item, row,
                message);
  return WWR_EXIT_USAGE;
}

/* --- The command line --------------------------------------------------- */

/* Values of the table that getopt_long() returns: indexes, moved away from the
 * characters it returns itself. */
enum { FIRST_INDEX = 256, OWN_OPTIONS = 5 };

static struct option *long_options(const struct wwr_command *command) {
  static const struct option own[OWN_OPTIONS] = {
      {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'v'},
      {"check-config", no_argument, NULL, 'c'},
      {"print-config", no_argument, NULL, 'p'},
      {"sample-config", no_argument, NULL, 's'}};
  size_t count = 0;
  struct option *table =
      calloc(command->option_count + OWN_OPTIONS + 1, sizeof *table);
  if (!table) return NULL;
  for (size_t i = 0; i < command->option_count; i++) {
    bool flag = command->options[i].kind == WWR_OPTION_FLAG;
    if (!command->options[i].name) continue;
    table[count++] = (struct option){command->options[i].name,
                                     flag ? no_argument : required_argument,
                                     NULL, FIRST_INDEX + (int)i};
  }
  memcpy(table + count, own, (command->sections ? 5 : 2) * sizeof *own);
  return table;
}

/* getopt_long() tells in `optopt` what it found: 0 an unknown long option, the
 * value of one that was given a value it does not take, or a short option. */
static int reject_unknown(const struct wwr_command *command, const char *arg) {
  char name[] = {'-', (char)optopt, '\0'}, reason[WWRI_REASON_MAX];
  if (optopt == 0) {
    const char *hint = wwri_hint(command, arg + strspn(arg, "-"), false);
    snprintf(reason, sizeof reason, "unknown option%s%s%s",
             hint ? ", did you mean --" : "", hint ? hint : "",
             hint ? "?" : "");
    return reject(command, arg, reason);
  }
  if (strncmp(arg, "--", 2) == 0 && strchr(arg, '=')) {
    return reject(command, arg, "takes no value");
  }
  return reject(command, name, "unknown option");
}

static void take(struct wwr_options *options, size_t index, const char *value) {
  const struct wwr_option *row = &options->command->options[index];
  struct wwri_given *given = &options->given[index];
  char reason[WWRI_REASON_MAX];
  given->source = WWRI_COMMAND;
  if (row->kind == WWR_OPTION_FLAG) {
    *(bool *)row->target = true;
  } else if (!wwri_value_set(options, row, &given->list, value, reason)) {
    reject_as(options, index, row->name, reason);
  } else if (row->kind == WWR_OPTION_FILE) {
    options->file = value;
  }
}

/* One option; WWR_GO_ON or the exit status. */
static int take_option(struct wwr_options *options, int found, char **argv) {
  const struct wwr_command *command = options->command;
  switch (found) {
    case 'h':
      return print_help(command);
    case 'v':
      return print_version(command);
    case 's':
      return wwri_report_sample(command);
    case 'c':
      options->ask = WWRI_ASK_CHECK;
      break;
    case 'p':
      options->ask = WWRI_ASK_PRINT;
      break;
    case ':':
      return reject(command, argv[optind - 1], "needs a value");
    case '?':
      return reject_unknown(command, argv[optind - 1]);
    default:
      take(options, (size_t)(found - FIRST_INDEX), optarg);
  }
  return WWR_GO_ON;
}

static int parse_argv(struct wwr_options *options, const struct option *table,
                      int argc, char **argv) {
  const struct wwr_command *command = options->command;
  int found, status = WWR_GO_ON;
  optind = 1;
  while (status == WWR_GO_ON &&
         (found = getopt_long(argc, argv, ":", table, NULL)) != -1) {
    status = take_option(options, found, argv);
  }
  options->args = argv + optind;
  if (status == WWR_GO_ON && argc - optind > command->max_args) {
    return reject(command, argv[optind + command->max_args],
                  "unexpected argument");
  }
  return status;
}

/* A secret and the file that holds it, both from the same place. */
static void check_secrets(struct wwr_options *options) {
  const struct wwr_option *rows = options->command->options;
  for (size_t i = 0; i < options->command->option_count; i++) {
    if (rows[i].kind != WWR_OPTION_SECRET_FILE) continue;
    enum wwri_source source = options->given[i].source;
    for (size_t j = 0; j < options->command->option_count; j++) {
      if (j == i || rows[j].target != rows[i].target ||
          source == WWRI_DEFAULT || options->given[j].source != source)
        continue;
      char reason[WWRI_REASON_MAX];
      snprintf(reason, sizeof reason, "not together with %s", rows[j].key);
      reject_as(options, i, rows[i].key, reason);
    }
  }
}

static int no_memory(const struct wwr_command *command) {
  wwri_complain(command, "out of memory");
  return WWR_EXIT_FAILED;
}

static int parse(struct wwr_options *options, int argc, char **argv) {
  struct option *table = long_options(options->command);
  if (!table) return no_memory(options->command);
  int status = parse_argv(options, table, argc, argv);
  free(table);
  if (status != WWR_GO_ON) return status;
  wwri_env_read(options);
  if (options->file) status = wwri_file_read(options);
  if (status != WWR_GO_ON) return status;
  wwri_env_read_groups(options);
  wwri_file_read_groups(options);
  check_secrets(options);
  return status;
}

/* Those that were closed when the program was started, or a socket would be
 * taken for one of them. What is written there fails as it did. */
static void occupy_standard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) return;
  }
}

int wwri_options_read(struct wwr_options **out,
                      const struct wwr_command *command, int argc,
                      char **argv) {
  int status;
  *out = NULL;
  occupy_standard_descriptors();
  struct wwr_options *options = calloc(1, sizeof *options);
  if (!options) return no_memory(command);
  options->command = command;
  options->given = calloc(command->option_count + 1, sizeof *options->given);
  status = options->given ? parse(options, argc, argv) : no_memory(command);
  if (status == WWR_GO_ON) {
    *out = options;
  } else {
    wwr_options_free(options);
  }
  return status;
}

int wwr_options_parse(struct wwr_options **out,
                      const struct wwr_command *command, int argc,
                      char **argv) {
  int status = wwri_options_read(out, command, argc, argv);
  if (status != WWR_GO_ON || (*out)->mistakes == 0) return status;
  wwr_options_free(*out);
  *out = NULL;
  return WWR_EXIT_USAGE;
}

char **wwr_options_args(const struct wwr_options *options) {
  return options->args;
}

static void free_given(struct wwr_options *options) {
  for (size_t i = 0; options->given && i < options->command->option_count;
       i++) {
    const struct wwr_option *row = &options->command->options[i];
    free((void *)(uintptr_t)options->given[i].list.items);
    free(options->given[i].lines);
    if (row->kind == WWR_OPTION_GROUPS) {
      struct wwr_option_groups *groups = row->target;
      free(groups->items);
      groups->items = NULL;
      groups->count = 0;
    }
  }
  free(options->given);
}

void wwr_options_free(struct wwr_options *options) {
  if (!options) return;
  free_given(options);
  for (size_t i = 0; i < options->owned_count; i++) free(options->owned[i]);
  free(options->owned);
  wwri_file_free(options);
  free(options);
}
