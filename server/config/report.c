/* The options as a configuration file: what is in force, and the sample that
 * names every key. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { WIDTH = 78 };

static bool is_in(const struct wwr_option *row, const char *section) {
  size_t len = strlen(section);
  return row->key && strncmp(row->key, section, len) == 0 &&
         row->key[len] == '.';
}

static const char *last_part(const char *key) {
  const char *dot = strrchr(key, '.');
  return dot ? dot + 1 : key;
}

int wwri_printed(const struct wwr_command *command) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return WWR_EXIT_OK;
  fprintf(stderr, "%s: stdout: %s\n", command->name, strerror(errno));
  return WWR_EXIT_FAILED;
}

/* --- What is in force ----------------------------------------------------- */

static void print_origin(const struct wwr_options *options, size_t index) {
  const struct wwr_option *row = &options->command->options[index];
  const struct wwri_given *given = &options->given[index];
  char variable[WWRI_KEY_MAX];
  switch (given->source) {
    case WWRI_DEFAULT:
      printf("default");
      break;
    case WWRI_FILE:
      printf("%s:%u", options->file, given->line);
      break;
    case WWRI_ENVIRONMENT:
      wwri_option_variable(options->command, row->key, variable);
      printf("%s", variable);
      break;
    case WWRI_COMMAND:
      printf("--%s", row->name);
      break;
  }
}

static void print_items(const struct wwr_option_groups *groups) {
  struct wwr_option rows[WWRI_MAX_ROWS];
  for (size_t i = 0; i < groups->count; i++) {
    groups->bind((char *)groups->items + i * groups->item_size, rows);
    printf("    {");
    for (size_t r = 0; r < groups->row_count; r++) {
      char *text = wwri_value_text(&rows[r]);
      bool shown = text && *text;
      if (shown) {
        printf(" %s = ", rows[r].key);
        wwri_value_print(&rows[r], stdout);
        printf(";");
      }
      free(text);
    }
    printf(" }%s\n", i + 1 < groups->count ? "," : "");
  }
}

/* A secret that was read from a file: the option that named the file. */
static size_t origin_of(const struct wwr_options *options, size_t index) {
  const struct wwr_option *rows = options->command->options;
  if (options->given[index].source != WWRI_DEFAULT) return index;
  for (size_t i = 0; i < options->command->option_count; i++) {
    if (rows[i].target == rows[index].target &&
        options->given[i].source != WWRI_DEFAULT)
      return i;
  }
  return index;
}

/* Defaults and what is not set are comments, so that the whole is a file. */
static void print_value(const struct wwr_options *options, size_t index) {
  const struct wwr_option *row = &options->command->options[index];
  if (row->kind == WWR_OPTION_SECRET_FILE) return;
  size_t origin = origin_of(options, index);
  bool groups = row->kind == WWR_OPTION_GROUPS;
  bool given = options->given[origin].source != WWRI_DEFAULT;
  char *text = wwri_value_text(row);
  printf("  %s%s = ", given ? "" : "#", last_part(row->key));
  if (groups) {
    printf("(%s # ", given ? "" : ");");
  } else {
    wwri_value_print(row, stdout);
    printf("%s # ", text && *text ? ";" : "not set;");
  }
  free(text);
  print_origin(options, origin);
  printf("\n");
  if (!groups || !given) return;
  print_items(row->target);
  printf("  );\n");
}

int wwri_report_values(const struct wwr_options *options) {
  const struct wwr_command *command = options->command;
  for (size_t s = 0; s < command->section_count; s++) {
    const char *section = command->sections[s].name;
    printf("%s%s = {\n", s > 0 ? "\n" : "", section);
    for (size_t i = 0; i < command->option_count; i++) {
      if (is_in(&command->options[i], section)) print_value(options, i);
    }
    printf("};\n");
  }
  return wwri_printed(command);
}

/* --- The sample ----------------------------------------------------------- */

/* Words, in lines that begin with `margin` and "# ". */
static void print_words(const char *text, const char *margin) {
  size_t column = 0;
  while (*text) {
    size_t gap = strspn(text, " \n");
    text += gap;
    size_t len = strcspn(text, " \n");
    if (len == 0) break;
    if (column > 0 && column + 1 + len > WIDTH) {
      printf("\n");
      column = 0;
    }
    if (column == 0) {
      column = (size_t)printf("%s# %.*s", margin, (int)len, text);
    } else {
      column += (size_t)printf(" %.*s", (int)len, text);
    }
    text += len;
  }
  printf("\n");
}

/* "Seconds, 1 to 60. Default 5. A running program takes a new value." */
static void print_facts(const struct wwr_option *row, bool live,
                        const char *margin) {
  char *value = wwri_value_text(row), text[512];
  const char *unit = row->value ? row->value : "true or false";
  size_t len = (size_t)snprintf(text, sizeof text, "%s", unit);
  if (row->kind == WWR_OPTION_NUMBER) {
    len += (size_t)snprintf(text + len, sizeof text - len, ", %u to %u",
                            row->min, row->max);
  } else if (row->kind == WWR_OPTION_SECONDS) {
    len += (size_t)snprintf(text + len, sizeof text - len, ", %.10g to %.10g",
                            row->min / 1000.0, row->max / 1000.0);
  }
  len += (size_t)snprintf(text + len, sizeof text - len, ". Default: %.128s.",
                          value && *value ? value : "none");
  if (live) snprintf(text + len, sizeof text - len, " Reloaded by SIGHUP.");
  print_words(text, margin);
  free(value);
}

static void print_help(const struct wwr_option *row, const char *margin) {
  char text[1024];
  snprintf(text, sizeof text, "%s.%s%s", row->help, row->detail ? " " : "",
           row->detail ? row->detail : "");
  text[0] = (char)toupper((unsigned char)text[0]);
  print_words(text, margin);
}

static void print_assignment(const struct wwr_option *row, const char *margin) {
  char *value = wwri_value_text(row);
  bool set = value && *value;
  if (set) {
    printf("%s#%s = %s;\n", margin, last_part(row->key), value);
  } else {
    printf("%s#%s = \"%s\";\n", margin, last_part(row->key), row->value);
  }
  free(value);
}

static void print_key(const struct wwr_option *row, const char *margin) {
  print_help(row, margin);
  print_facts(row, row->live, margin);
  print_assignment(row, margin);
}

/* The members of an item, all of them comments. */
static void print_groups(const struct wwr_option *row) {
  const struct wwr_option_groups *groups = row->target;
  struct wwr_option rows[WWRI_MAX_ROWS];
  void *item = malloc(groups->item_size);
  print_help(row, "  ");
  if (row->live) print_words("Reloaded by SIGHUP.", "  ");
  printf("  #%s = (\n  #  {\n", last_part(row->key));
  if (item) {
    memcpy(item, groups->initial, groups->item_size);
    groups->bind(item, rows);
    for (size_t r = 0; r < groups->row_count; r++) {
      print_help(&rows[r], "  #    ");
      print_facts(&rows[r], false, "  #    ");
      print_assignment(&rows[r], "  #    ");
    }
  }
  printf("  #  }\n  #);\n");
  free(item);
}

static void print_section(const struct wwr_command *command,
                          const struct wwr_option_section *section) {
  printf("\n");
  print_words(section->help, "");
  printf("%s = {\n", section->name);
  bool first = true;
  for (size_t i = 0; i < command->option_count; i++) {
    const struct wwr_option *row = &command->options[i];
    if (!is_in(row, section->name)) continue;
    if (!first) printf("\n");
    first = false;
    if (row->kind == WWR_OPTION_GROUPS) {
      print_groups(row);
    } else {
      print_key(row, "  ");
    }
  }
  printf("};\n");
}

int wwri_report_sample(const struct wwr_command *command) {
  char text[512];
  snprintf(
      text, sizeof text,
      "Configuration of %s, all keys with their defaults. A key that is not "
      "commented out counts; the environment (%s_SECTION_KEY) comes before the "
      "file, the command line before both. "
      "`%s --config FILE --check-config` says what is wrong with a file, "
      "--print-config what is in force.",
      command->name, command->env ? command->env : "", command->name);
  print_words(text, "");
  for (size_t s = 0; s < command->section_count; s++)
    print_section(command, &command->sections[s]);
  return wwri_printed(command);
}
