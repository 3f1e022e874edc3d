/* Happy path: the file is read whole -> libconfig parses it -> every setting
 * names an option, becomes text and is set like one of the command line.
 *
 * Failure modes: a file that can't be read, is larger than MAX_FILE_BYTES or no
 * file at all (libconfig ends the process when it reads a directory); a syntax
 * error; an unknown key; a value of the wrong type or range. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 20, MAX_NUMBER = 32 };

/* --- Reading ------------------------------------------------------------ */

static int reject_file(const struct wwr_options *options, const char *reason) {
  fprintf(stderr, "%s: %s: %s\n", options->command->name, options->file,
          reason);
  return WWR_EXIT_USAGE;
}

static int reject_line(const struct wwr_options *options, unsigned line,
                       const char *key, const char *reason) {
  fprintf(stderr, "%s: %s:%u: %s: %s\n", options->command->name, options->file,
          line, key, reason);
  return WWR_EXIT_USAGE;
}

/* The text, to be freed, or NULL and what is wrong in errno. */
static char *read_text(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return NULL;
  errno = S_ISDIR(info.st_mode) ? EISDIR : EFBIG;
  if (!S_ISREG(info.st_mode) || info.st_size > MAX_FILE_BYTES) return NULL;
  size_t cap = (size_t)info.st_size, len = 0;
  char *text = malloc(cap + 1);
  ssize_t n = 1;
  while (text && len < cap && n > 0) {
    n = read(fd, text + len, cap - len);
    if (n > 0) len += (size_t)n;
  }
  if (text && n < 0) {
    free(text);
    return NULL;
  }
  if (text) text[len] = '\0';
  return text;
}

static char *read_file(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return NULL;
  char *text = read_text(fd);
  int error = errno;
  close(fd);
  errno = error;
  return text;
}

/* --- Settings ----------------------------------------------------------- */

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
    default:
      return NULL;
  }
}

static bool wants_text(const struct wwr_option *option) {
  return option->kind != WWR_OPTION_NUMBER &&
         option->kind != WWR_OPTION_SECONDS;
}

static int set_scalar(struct wwr_options *options, size_t index,
                      const config_setting_t *setting, const char *key) {
  const struct wwr_option *option = &options->command->options[index];
  unsigned line = config_setting_source_line(setting);
  char number[MAX_NUMBER], reason[WWRI_REASON_MAX];
  const char *text = scalar_text(setting, number);
  if (!text || (wants_text(option) && text == number)) {
    return reject_line(
        options, line, key,
        wants_text(option) ? "must be a string" : "must be a number");
  }
  if (!wwri_option_set(options, index, text, reason)) {
    return reject_line(options, line, key, reason);
  }
  return WWR_GO_ON;
}

static int set_flag(struct wwr_options *options, size_t index,
                    const config_setting_t *setting, const char *key) {
  if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
    return reject_line(options, config_setting_source_line(setting), key,
                       "must be true or false");
  }
  *(bool *)options->command->options[index].target =
      config_setting_get_bool(setting) != 0;
  return WWR_GO_ON;
}

/* One string, or an array or list of them. */
static int set_list(struct wwr_options *options, size_t index,
                    const config_setting_t *setting, const char *key) {
  if (!config_setting_is_array(setting) && !config_setting_is_list(setting)) {
    return set_scalar(options, index, setting, key);
  }
  int status = WWR_GO_ON;
  int count = config_setting_length(setting);
  for (int i = 0; i < count && status == WWR_GO_ON; i++) {
    status = set_scalar(options, index,
                        config_setting_get_elem(setting, (unsigned)i), key);
  }
  return status;
}

static int set(struct wwr_options *options, const config_setting_t *setting) {
  const char *key = config_setting_name(setting);
  unsigned line = config_setting_source_line(setting);
  long found = wwri_option_find(options->command, key);
  if (found < 0) return reject_line(options, line, key, "unknown key");
  size_t index = (size_t)found;
  enum wwr_option_kind kind = options->command->options[index].kind;
  if (kind == WWR_OPTION_FILE) {
    return reject_line(options, line, key, "not in a configuration file");
  }
  if (options->given[index].given) return WWR_GO_ON;
  options->given[index].line = line;
  if (kind == WWR_OPTION_FLAG) return set_flag(options, index, setting, key);
  if (kind == WWR_OPTION_LIST) return set_list(options, index, setting, key);
  return set_scalar(options, index, setting, key);
}

static int set_all(struct wwr_options *options, config_t *document) {
  const config_setting_t *root = config_root_setting(document);
  int status = WWR_GO_ON, count = config_setting_length(root);
  for (int i = 0; i < count && status == WWR_GO_ON; i++) {
    status = set(options, config_setting_get_elem(root, (unsigned)i));
  }
  return status;
}

/* The document stays: texts of options point into it. */
static config_t *new_document(struct wwr_options *options) {
  config_t *document = malloc(sizeof *document);
  if (document) config_init(document);
  options->document = document;
  return document;
}

int wwri_file_read(struct wwr_options *options) {
  char *text = read_file(options->file);
  if (!text) return reject_file(options, strerror(errno));
  config_t *document = new_document(options);
  int status = WWR_EXIT_FAILED;
  if (!document) {
    reject_file(options, "out of memory");
  } else if (!config_read_string(document, text)) {
    fprintf(stderr, "%s: %s:%d: %s\n", options->command->name, options->file,
            config_error_line(document), config_error_text(document));
    status = WWR_EXIT_USAGE;
  } else {
    status = set_all(options, document);
  }
  free(text);
  return status;
}

void wwri_file_free(struct wwr_options *options) {
  if (!options->document) return;
  config_destroy(options->document);
  free(options->document);
  options->document = NULL;
}
