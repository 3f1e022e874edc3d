/* config.h - the inside of server/config. */
#ifndef WWRI_CONFIG_H
#define WWRI_CONFIG_H

#include <stdio.h>

#include "options.h"

enum {
  WWRI_REASON_MAX = WWR_REASON_MAX,
  WWRI_KEY_MAX = 128,
  WWRI_MAX_ROWS = 32 /* of an item of groups */
};

/** Who set a value; who is larger wins. */
enum wwri_source { WWRI_DEFAULT, WWRI_FILE, WWRI_ENVIRONMENT, WWRI_COMMAND };

/** Where an option's value came from. */
struct wwri_given {
  enum wwri_source source;
  unsigned line; /* in the file */
  struct wwr_option_list list;
  unsigned *lines; /* of groups: items x rows; 0: not given */
};

struct document;

/** What the program is asked to do instead of its work. */
enum wwri_ask { WWRI_ASK_NOTHING, WWRI_ASK_CHECK, WWRI_ASK_PRINT };

struct wwr_options {
  const struct wwr_command *command;
  struct wwri_given *given;   /* one per option */
  const char *file;           /* the configuration file, or NULL */
  struct document *documents; /* of libconfig: texts live in them */
  struct document *file_document;
  char **owned; /* texts that nothing else keeps */
  size_t owned_count;
  char **args;
  enum wwri_ask ask;
  size_t mistakes; /* said so far */
};

/* --- options.c ------------------------------------------------------------ */

/** wwr_options_parse(), but mistakes are only said and counted. */
int wwri_options_read(struct wwr_options **out,
                      const struct wwr_command *command, int argc, char **argv);

/** The index of an option by its name or key, or -1. */
long wwri_option_find(const struct wwr_command *command, const char *name);

/** Say a mistake, a line without its end. */
void wwri_complain(const struct wwr_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** True when a source above `source` has set the option's target. */
bool wwri_option_taken(const struct wwr_options *options, size_t index,
                       enum wwri_source source);

/** "WEBWIRED_SERVER_LISTEN". */
void wwri_option_variable(const struct wwr_command *command, const char *key,
                          char out[WWRI_KEY_MAX]);

/** Keep a text until the options are freed. Takes it over, also when it fails.
 * NULL without memory. */
const char *wwri_options_keep(struct wwr_options *options, char *text);

/* --- value.c -------------------------------------------------------------- */

/** Set a row's target from text; `list` is what the target of a list becomes,
 * with the text appended. On failure false, and what is wrong with the text in
 * `reason`. Numbers aside, `text` must live as long as the options. */
bool wwri_value_set(struct wwr_options *options, const struct wwr_option *row,
                    struct wwr_option_list *list, const char *text,
                    char reason[WWRI_REASON_MAX]);

/** A row's value as it stands in a file, into `out`; "" when it has none. A
 * secret is "***". Groups: their members. False: a file of a secret. */
bool wwri_value_print(const struct wwr_option *row, FILE *out);

/** The same as text, to free(); a secret as it is. NULL without memory. */
char *wwri_value_text(const struct wwr_option *row);

/** Read a file of at most `max` bytes, to free(); behind its *len bytes is a
 * NUL, and room for one more byte. NULL, and *why, until the next error. */
char *wwri_read_file(const char *path, size_t max, size_t *len,
                     const char **why);

/* --- text.c --------------------------------------------------------------- */

/** Whether libconfig will read a text as what it says. Else *why, at *wrong. */
bool wwri_conf_good(const char *text, const char **wrong, const char **why);

/** Read the text of a configuration file, to free(). NULL: *why, in *line; 0:
 * it is about the file. */
char *wwri_conf_read(const char *path, size_t max, unsigned *line,
                     const char **why);

/* --- file.c, env.c -------------------------------------------------------- */

/** Read the configuration file into options that nothing above it has given.
 * WWR_GO_ON or an exit status; then nothing of it was read. Mistakes in it are
 * said and counted. */
int wwri_file_read(struct wwr_options *options);

/** Its lists of groups: they start from what all others have set, so they come
 * last. */
void wwri_file_read_groups(struct wwr_options *options);

/** Set a list of groups from libconfig text. */
bool wwri_file_groups(struct wwr_options *options, size_t index,
                      const char *text, char reason[WWRI_REASON_MAX]);

/** Free what files left in memory. */
void wwri_file_free(struct wwr_options *options);

/** Read the environment likewise. */
void wwri_env_read(struct wwr_options *options);

/** Its lists of groups. */
void wwri_env_read_groups(struct wwr_options *options);

/* --- hint.c --------------------------------------------------------------- */

/** The key (`file`) or option that is most like what was written, or NULL when
 * none is. */
const char *wwri_hint(const struct wwr_command *command, const char *written,
                      bool file);

/** How many characters to change between two words, at most 32 long. */
unsigned wwri_distance(const char *a, const char *b);

/* --- report.c ------------------------------------------------------------- */

/** Whether all that was printed is out: WWR_EXIT_OK, or it is said and
 * WWR_EXIT_FAILED. */
int wwri_printed(const struct wwr_command *command);

/** What is in force and where it came from, on stdout, as a file. */
int wwri_report_values(const struct wwr_options *options);

/** A file with every key, as a comment, on stdout. */
int wwri_report_sample(const struct wwr_command *command);

#endif
