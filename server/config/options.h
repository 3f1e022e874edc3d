/* options.h - a program's options as a table, set by its command line and, with
 * the same names, by a configuration file (libconfig). The command line wins.
 *
 * A wrong option ends the program with status 2 and one line on stderr that
 * names it: the option, or the file, the line and the key. */
#ifndef WWR_OPTIONS_H
#define WWR_OPTIONS_H

#include <webwire/wwr_log.h>

/** What the functions below return: an exit status, or that there is none. */
enum {
  WWR_GO_ON = -1,
  WWR_EXIT_OK = 0,
  WWR_EXIT_FAILED = 1,
  WWR_EXIT_USAGE = 2
};

/** What an option takes, and what its target is. */
enum wwr_option_kind {
  WWR_OPTION_TEXT,       /**< const char *; lives as long as the options. */
  WWR_OPTION_SECRET,     /**< The same, but never shown. */
  WWR_OPTION_LIST,       /**< struct wwr_option_list; may be given often. */
  WWR_OPTION_NUMBER,     /**< uint32_t, from min to max. */
  WWR_OPTION_SECONDS,    /**< uint32_t in milliseconds, from min to max;
                              written in seconds, decimals allowed. */
  WWR_OPTION_FLAG,       /**< bool; takes no value. */
  WWR_OPTION_LOG_LEVEL,  /**< enum wwr_log_level. */
  WWR_OPTION_LOG_FORMAT, /**< enum wwr_log_format. */
  WWR_OPTION_FILE        /**< const char *; the configuration file to read.
                              Only on the command line. */
};

/** Texts in the order given; the items live as long as the options. */
struct wwr_option_list {
  const char *const *items;
  size_t count;
};

/** One option. The target holds the default before parsing. All borrowed. */
struct wwr_option {
  const char *name;  /**< "read-timeout"; in the file `read-timeout = 3;`. */
  const char *value; /**< "SECONDS", for --help; NULL for a flag. */
  const char *help;  /**< One line. The default is added to it. */
  enum wwr_option_kind kind;
  void *target;
  uint32_t min, max; /**< Of numbers and milliseconds. */
};

/** A program's command line; --help and --version come by themselves. */
struct wwr_command {
  const char *name;    /**< "echo-server", begins every message. */
  const char *usage;   /**< What follows it in --help: "[OPTION...]". */
  const char *summary; /**< What the program does, a line or more. */
  const struct wwr_option *options;
  size_t option_count;
  int max_args; /**< How many arguments that are no options it takes. */
};

struct wwr_options; /* opaque; freed by wwr_options_free() */

/** Parse a command line and fill the targets. WWR_GO_ON: the program goes on,
 * and *out is to be freed by the caller once the targets are no longer used.
 * Else the exit status after --help, --version or an error, and *out is NULL.
 * `command` and `argv` are borrowed as long as *out lives. Not thread-safe:
 * call it from main(). */
int wwr_options_parse(struct wwr_options **out,
                      const struct wwr_command *command, int argc, char **argv);

/** The arguments that are no options, in order; NULL-terminated, borrowed. */
char **wwr_options_args(const struct wwr_options *options);

/** Print one line "NAME: option: message" to stderr and return WWR_EXIT_USAGE.
 * `option` is said as it was given: "--listen", or "FILE:3: listen". */
int wwr_options_reject(const struct wwr_options *options, const char *option,
                       const char *message);

/** NULL does nothing. */
void wwr_options_free(struct wwr_options *options);

#endif
