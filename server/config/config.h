/* config.h - the inside of server/config. */
#ifndef WWRI_CONFIG_H
#define WWRI_CONFIG_H

#include "options.h"

enum { WWRI_REASON_MAX = 256 };

/* Where an option's value came from. */
struct wwri_given {
  bool given;
  unsigned line; /* in the file; 0: the command line */
  struct wwr_option_list list;
};

struct wwr_options {
  const struct wwr_command *command;
  struct wwri_given *given; /* one per option */
  const char *file;         /* the configuration file, or NULL */
  void *document;           /* of libconfig: texts of the file live in it */
  char **args;
};

/** Set an option's target from text. On failure false, and what is wrong with
 * the text in `reason`. `text` must live as long as the options unless it is a
 * number. */
bool wwri_option_set(struct wwr_options *options, size_t index,
                     const char *text, char reason[WWRI_REASON_MAX]);

/** True when the command line or the file has set an option of this name. */
bool wwri_option_given(const struct wwr_options *options, const char *name);

/** The index of an option, or -1. */
long wwri_option_find(const struct wwr_command *command, const char *name);

/** Read the configuration file into options that the command line has not
 * given. WWR_GO_ON or an exit status, then a line was printed. */
int wwri_file_read(struct wwr_options *options);

/** Free what the file left in memory. */
void wwri_file_free(struct wwr_options *options);

#endif
