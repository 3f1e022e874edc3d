/* settings.h - webwired's own settings beside those of every server: one table
 * with their defaults and ranges. */
#ifndef WEBWIRED_SETTINGS_H
#define WEBWIRED_SETTINGS_H

#include "access.h"
#include "options.h"

enum {
  SETTINGS_ROWS = 8 + ACCESS_ROWS,
  NAMESPACE_ROWS = 7,
  NAMESPACES_MAX = 256
};

/** How the channels of a namespace are. Texts as permit.h has them. */
struct namespace_settings {
  const char *prefix;   /* NULL: of those without a namespace */
  uint32_t log_entries; /* 0: no log */
  uint32_t log_age_ms;
  bool presence;
  const char *subscribe;
  const char *publish;
  const char *history;
};

/** All of them; filled by wwr_node_new(), by the rows of settings_rows(). */
struct settings {
  struct access_settings access;
  uint32_t max_name;
  struct namespace_settings channels;
  struct wwr_option_groups namespaces; /* struct namespace_settings */
};

extern const struct wwr_option_section settings_sections[];
extern const size_t settings_section_count;

/** Set the defaults. */
void settings_init(struct settings *settings);

/** Fill SETTINGS_ROWS rows that set `settings`. */
void settings_rows(struct settings *settings, struct wwr_option *rows);

/** Say what is wrong with them together. */
void settings_settle(const struct settings *settings,
                     struct wwr_options *options);

#endif
