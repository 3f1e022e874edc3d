/* Happy path: the file is read whole -> libconfig parses it -> every setting
 * names an option, becomes text and is set like one of the command line. Lists
 * of groups come last: their items start from what the others have set.
 *
 * Failure modes: a file that can't be read, is larger than MAX_FILE_BYTES or no
 * file at all (libconfig ends the process when it reads a directory), what
 * libconfig would misread (text.c), a syntax error: nothing of it is read. An
 * unknown key, a value of the wrong type or range: said, and the next one is
 * looked at. */
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_NUMBER = 32 };

/* Where a value goes. */
struct place {
  const struct wwr_option *row;
  struct wwr_option_list *list;
  const char *key; /* for people */
};

/* --- Complaints ----------------------------------------------------------- */

static int reject_file(const struct wwr_options *options, const char *reason) {
  wwri_complain(options->command, "%s: %s", options->file, reason);
  return WWR_EXIT_USAGE;
}

static void complain(struct wwr_options *options, unsigned line,
                     const char *key, const char *reason) {
  wwri_complain(options->command, "%s:%u: %s: %s", options->file, line, key,
                reason);
  options->mistakes++;
}

static void unknown(struct wwr_options *options, unsigned line,
                    const char *key) {
  char reason[WWRI_REASON_MAX];
  const char *hint = wwri_hint(options->command, key, true);
  snprintf(reason, sizeof reason, "unknown key%s%s%s",
           hint ? ", did you mean " : "", hint ? hint : "", hint ? "?" : "");
  complain(options, line, key, reason);
}

/* --- Values --------------------------------------------------------------- */

/* A scalar as text; NULL when it is none. Strings live in the document, others
 * in `number`. */
static const char *scalar_text(const config_setting_t *setting,
                               char number[MAX_NUMBER]) {
  switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
      return config_setting_get_string(setting);
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
      snprintf(number, MAX_NUMBER, "%lld",
               (long long)config_setting_get_int64(setting));
      return number;
    case CONFIG_TYPE_FLOAT:
      snprintf(number, MAX_NUMBER, "%.3f", config_setting_get_float(setting));
      return number;
    case CONFIG_TYPE_BOOL:
      snprintf(number, MAX_NUMBER, "%s",
               config_setting_get_bool(setting) ? "true" : "false");
      return number;
    default:
      return NULL;
  }
}

static const char *wrong_type(const struct wwr_option *row,
                              const config_setting_t *setting) {
  int type = config_setting_type(setting);
  switch (row->kind) {
    case WWR_OPTION_FLAG:
      return type == CONFIG_TYPE_BOOL ? NULL : "must be true or false";
    case WWR_OPTION_NUMBER:
    case WWR_OPTION_SECONDS:
      return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64 ||
                     type == CONFIG_TYPE_FLOAT
                 ? NULL
                 : "must be a number";
    default:
      return type == CONFIG_TYPE_STRING ? NULL : "must be a string";
  }
}

static bool set_scalar(struct wwr_options *options, const struct place *place,
                       const config_setting_t *setting,
                       char reason[WWRI_REASON_MAX]) {
  char number[MAX_NUMBER];
  const char *wrong = wrong_type(place->row, setting);
  if (wrong) {
    snprintf(reason, WWRI_REASON_MAX, "%s", wrong);
    return false;
  }
  return wwri_value_set(options, place->row, place->list,
                        scalar_text(setting, number), reason);
}

/* One value, or for a list an array or list of them. */
static void set_value(struct wwr_options *options, const struct place *place,
                      const config_setting_t *setting) {
  char reason[WWRI_REASON_MAX];
  bool many =
      place->row->kind == WWR_OPTION_LIST &&
      (config_setting_is_array(setting) || config_setting_is_list(setting));
  int count = many ? config_setting_length(setting) : 1;
  for (int i = 0; i < count; i++) {
    const config_setting_t *one =
        many ? config_setting_get_elem(setting, (unsigned)i) : setting;
    if (set_scalar(options, place, one, reason)) continue;
    complain(options, config_setting_source_line(setting), place->key, reason);
    return;
  }
}

/* --- Lists of groups ------------------------------------------------------ */

/* What the items of a list are put together with. */
struct items {
  struct wwr_options *options;
  const struct wwr_option *row;
  struct wwr_option_groups *groups;
  struct wwri_given *given;
};

static long find_row(const struct wwr_option *rows, size_t count,
                     const char *key) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(rows[i].key, key) == 0) return (long)i;
  }
  return -1;
}

static void set_member(const struct items *items, size_t item,
                       const struct wwr_option *rows,
                       const config_setting_t *setting) {
  const struct wwr_option_groups *groups = items->groups;
  const char *name = config_setting_name(setting);
  unsigned line = config_setting_source_line(setting);
  char key[WWRI_KEY_MAX];
  snprintf(key, sizeof key, "%s[%zu].%s", items->row->key, item, name);
  long found = find_row(rows, groups->row_count, name);
  if (found < 0) {
    complain(items->options, line, key, "unknown key");
    return;
  }
  items->given->lines[item * groups->row_count + (size_t)found] = line;
  const struct place place = {&rows[found], NULL, key};
  set_value(items->options, &place, setting);
}

static void set_item(const struct items *items, size_t item,
                     const config_setting_t *setting) {
  const struct wwr_option_groups *groups = items->groups;
  struct wwr_option rows[WWRI_MAX_ROWS];
  char *at = (char *)groups->items + item * groups->item_size;
  memcpy(at, groups->initial, groups->item_size);
  groups->bind(at, rows);
  if (!config_setting_is_group(setting)) {
    complain(items->options, config_setting_source_line(setting),
             items->row->key, "each must be a group, { ... }");
    return;
  }
  int count = config_setting_length(setting);
  for (int i = 0; i < count; i++)
    set_member(items, item, rows,
               config_setting_get_elem(setting, (unsigned)i));
}

static bool make_room(const struct items *items, size_t count,
                      char reason[WWRI_REASON_MAX]) {
  struct wwr_option_groups *groups = items->groups;
  snprintf(reason, WWRI_REASON_MAX, "more than %zu groups", groups->max);
  if (count > groups->max || groups->row_count > WWRI_MAX_ROWS) return false;
  groups->items = calloc(count + 1, groups->item_size);
  items->given->lines =
      calloc(count * groups->row_count + 1, sizeof *items->given->lines);
  snprintf(reason, WWRI_REASON_MAX, "out of memory");
  return groups->items && items->given->lines;
}

static bool set_groups(struct wwr_options *options, size_t index,
                       const config_setting_t *setting,
                       char reason[WWRI_REASON_MAX]) {
  const struct wwr_option *row = &options->command->options[index];
  const struct items items = {options, row, row->target,
                              &options->given[index]};
  size_t count = (size_t)config_setting_length(setting);
  /* An empty array and an empty list are the same to whoever writes them. */
  if (!config_setting_is_list(setting) &&
      !(config_setting_is_array(setting) && count == 0)) {
    snprintf(reason, WWRI_REASON_MAX, "must be a list of groups, ( { ... } )");
    return false;
  }
  if (!make_room(&items, count, reason)) return false;
  items.groups->count = count;
  for (size_t i = 0; i < count; i++)
    set_item(&items, i, config_setting_get_elem(setting, (unsigned)i));
  return true;
}

/* --- The document --------------------------------------------------------- */

static void set(struct wwr_options *options, const config_setting_t *setting,
                const char *key, bool groups) {
  unsigned line = config_setting_source_line(setting);
  const struct wwr_command *command = options->command;
  char reason[WWRI_REASON_MAX];
  long found = wwri_option_find(command, key);
  const struct wwr_option *row = found < 0 ? NULL : &command->options[found];
  bool named = row && command->sections && row->key && strcmp(row->key, key);
  if (!row || named || (command->sections && !row->key)) {
    if (!groups) unknown(options, line, key);
    return;
  }
  if ((row->kind == WWR_OPTION_GROUPS) != groups) return;
  if (row->kind == WWR_OPTION_FILE) {
    complain(options, line, key, "not in a configuration file");
    return;
  }
  struct wwri_given *given = &options->given[found];
  if (wwri_option_taken(options, (size_t)found, WWRI_FILE)) return;
  *given = (struct wwri_given){.source = WWRI_FILE, .line = line};
  const struct place place = {row, &given->list, key};
  if (!groups) {
    set_value(options, &place, setting);
  } else if (!set_groups(options, (size_t)found, setting, reason)) {
    complain(options, line, key, reason);
  }
}

static bool has_section(const struct wwr_command *command, const char *name) {
  for (size_t i = 0; i < command->section_count; i++) {
    if (strcmp(command->sections[i].name, name) == 0) return true;
  }
  return false;
}

static void set_section(struct wwr_options *options,
                        const config_setting_t *section, bool groups) {
  const char *name = config_setting_name(section);
  unsigned line = config_setting_source_line(section);
  char key[WWRI_KEY_MAX];
  if (!has_section(options->command, name)) {
    if (!groups) unknown(options, line, name);
    return;
  }
  if (!config_setting_is_group(section)) {
    if (!groups) complain(options, line, name, "must be a group, { ... }");
    return;
  }
  int count = config_setting_length(section);
  for (int i = 0; i < count; i++) {
    const config_setting_t *one = config_setting_get_elem(section, (unsigned)i);
    snprintf(key, sizeof key, "%s.%s", name, config_setting_name(one));
    set(options, one, key, groups);
  }
}

static void set_all(struct wwr_options *options, const config_t *document,
                    bool groups) {
  const config_setting_t *root = config_root_setting(document);
  int count = config_setting_length(root);
  for (int i = 0; i < count; i++) {
    const config_setting_t *one = config_setting_get_elem(root, (unsigned)i);
    if (options->command->sections) {
      set_section(options, one, groups);
    } else {
      set(options, one, config_setting_name(one), groups);
    }
  }
}

/* Documents stay: texts of options point into them. */
struct document {
  config_t config;
  struct document *next;
};

static struct document *new_document(struct wwr_options *options) {
  struct document *document = malloc(sizeof *document);
  if (!document) return NULL;
  config_init(&document->config);
  document->next = options->documents;
  options->documents = document;
  return document;
}

/* For a mistake that libconfig knows nothing better of. */
static const char *hint_at(const struct wwr_options *options,
                           const config_t *config) {
  if (strcmp(config_error_text(config), "syntax error") != 0) return "";
  return options->command->sections ? " (try --sample-config)"
                                    : " (lines are: name = \"value\";)";
}

static int parse(struct wwr_options *options, const char *text) {
  struct document *document = new_document(options);
  if (!document) {
    reject_file(options, "out of memory");
    return WWR_EXIT_FAILED;
  }
  config_t *config = &document->config;
  if (!config_read_string(config, text)) {
    wwri_complain(options->command, "%s:%d: %s%s", options->file,
                  config_error_line(config), config_error_text(config),
                  hint_at(options, config));
    return WWR_EXIT_USAGE;
  }
  set_all(options, config, false);
  options->file_document = document;
  return WWR_GO_ON;
}

int wwri_file_read(struct wwr_options *options) {
  unsigned line;
  const char *why;
  char *text = wwri_conf_read(options->file, MAX_FILE_BYTES, &line, &why);
  if (!text && line == 0) return reject_file(options, why);
  if (!text) {
    wwri_complain(options->command, "%s:%u: %s", options->file, line, why);
    return WWR_EXIT_USAGE;
  }
  int status = parse(options, text);
  free(text);
  return status;
}

void wwri_file_read_groups(struct wwr_options *options) {
  if (options->file_document)
    set_all(options, &options->file_document->config, true);
}

bool wwri_file_groups(struct wwr_options *options, size_t index,
                      const char *text, char reason[WWRI_REASON_MAX]) {
  const char *wrong, *why;
  if (!wwri_conf_good(text, &wrong, &why)) {
    snprintf(reason, WWRI_REASON_MAX, "%s", why);
    return false;
  }
  struct document *document = new_document(options);
  size_t size = strlen(text) + sizeof "value = ;";
  char *whole = document ? malloc(size) : NULL;
  snprintf(reason, WWRI_REASON_MAX, "out of memory");
  if (!whole) return false;
  snprintf(whole, size, "value = %s;", text);
  bool good = config_read_string(&document->config, whole) == CONFIG_TRUE;
  free(whole);
  if (!good) {
    snprintf(reason, WWRI_REASON_MAX, "must be a list of groups, as in a file");
    return false;
  }
  const config_setting_t *setting = config_lookup(&document->config, "value");
  return set_groups(options, index, setting, reason);
}

void wwri_file_free(struct wwr_options *options) {
  struct document *document = options->documents;
  options->documents = NULL;
  while (document) {
    struct document *next = document->next;
    config_destroy(&document->config);
    free(document);
    document = next;
  }
}
