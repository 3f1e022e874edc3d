/* The environment: PREFIX_SECTION_KEY for every key of the table.
 *
 * Failure modes: a value that is wrong, and a variable that begins like ours
 * and is none. Kubernetes puts the address of every service into the
 * environment, as WEBWIRED_SERVICE_HOST and WEBWIRED_PORT_8080_TCP: one called
 * like the program is no mistake. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

void wwri_option_variable(const struct wwr_command *command, const char *key,
                          char out[WWRI_KEY_MAX]) {
  snprintf(out, WWRI_KEY_MAX, "%s_%s", command->env, key);
  for (char *at = out + strlen(command->env); *at; at++)
    *at = *at == '.' || *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

/* --- Values --------------------------------------------------------------- */

static void complain(struct wwr_options *options, const char *variable,
                     const char *reason) {
  wwri_complain(options->command, "%s: %s", variable, reason);
  options->mistakes++;
}

/* Items are separated by spaces and commas. */
static bool set_list(struct wwr_options *options, size_t index,
                     const char *text, char reason[WWRI_REASON_MAX]) {
  const struct wwr_option *row = &options->command->options[index];
  char *copy = strdup(text), *rest = NULL;
  if (!copy || !wwri_options_keep(options, copy)) {
    snprintf(reason, WWRI_REASON_MAX, "out of memory");
    return false;
  }
  for (char *item = strtok_r(copy, ", ", &rest); item;
       item = strtok_r(NULL, ", ", &rest)) {
    struct wwr_option_list *list = &options->given[index].list;
    if (!wwri_value_set(options, row, list, item, reason)) return false;
  }
  return true;
}

static void take(struct wwr_options *options, size_t index, const char *text,
                 const char *variable) {
  const struct wwr_option *row = &options->command->options[index];
  struct wwri_given *given = &options->given[index];
  char reason[WWRI_REASON_MAX];
  bool good;
  given->source = WWRI_ENVIRONMENT;
  if (row->kind == WWR_OPTION_GROUPS) {
    good = wwri_file_groups(options, index, text, reason);
  } else if (row->kind == WWR_OPTION_LIST) {
    good = set_list(options, index, text, reason);
  } else {
    good = wwri_value_set(options, row, &given->list, text, reason);
  }
  if (!good) complain(options, variable, reason);
}

/* A variable that is set to nothing is not set: so it can be taken back. */
static void read_all(struct wwr_options *options, bool groups) {
  const struct wwr_command *command = options->command;
  for (size_t i = 0; i < command->option_count; i++) {
    const struct wwr_option *row = &command->options[i];
    char variable[WWRI_KEY_MAX];
    if (!row->key || (row->kind == WWR_OPTION_GROUPS) != groups) continue;
    wwri_option_variable(command, row->key, variable);
    const char *text = getenv(variable);
    if (!text || !*text || wwri_option_taken(options, i, WWRI_ENVIRONMENT))
      continue;
    take(options, i, text, variable);
  }
}

void wwri_env_read_groups(struct wwr_options *options) {
  if (options->command->env) read_all(options, true);
}

/* --- Variables that are none ---------------------------------------------- */

static bool is_known(const struct wwr_command *command, const char *name) {
  char variable[WWRI_KEY_MAX];
  for (size_t i = 0; i < command->option_count; i++) {
    const char *key = command->options[i].key;
    if (!key) continue;
    wwri_option_variable(command, key, variable);
    if (strcmp(variable, name) == 0) return true;
  }
  return false;
}

static bool is_service(const char *name, const char *value) {
  return strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") ||
         strstr(name, "_TCP_") || strstr(name, "_UDP_") ||
         strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
}

static void look_at(struct wwr_options *options, const char *entry) {
  char name[WWRI_KEY_MAX], reason[WWRI_REASON_MAX], best[WWRI_KEY_MAX] = "";
  const struct wwr_command *command = options->command;
  size_t len = strcspn(entry, "=");
  if (len >= sizeof name || entry[len] != '=') return;
  memcpy(name, entry, len);
  name[len] = '\0';
  if (is_known(command, name) || is_service(name, entry + len + 1)) return;
  unsigned nearest = 4;
  for (size_t i = 0; i < command->option_count; i++) {
    char variable[WWRI_KEY_MAX];
    if (!command->options[i].key) continue;
    wwri_option_variable(command, command->options[i].key, variable);
    size_t skip = strlen(command->env);
    unsigned distance = wwri_distance(variable + skip, name + skip);
    if (distance >= nearest) continue;
    nearest = distance;
    memcpy(best, variable, sizeof best);
  }
  snprintf(reason, sizeof reason, "unknown variable%s%s%s",
           *best ? ", did you mean " : "", best, *best ? "?" : "");
  complain(options, name, reason);
}

void wwri_env_read(struct wwr_options *options) {
  const char *prefix = options->command->env;
  if (!prefix) return;
  size_t len = strlen(prefix);
  for (char **entry = environ; *entry && !options->command->env_shared;
       entry++) {
    if (strncmp(*entry, prefix, len) == 0 && (*entry)[len] == '_')
      look_at(options, *entry);
  }
  read_all(options, false);
}
