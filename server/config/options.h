/* options.h - a program's options as a table, set by its command line, its
 * environment and a configuration file (libconfig); who comes first in this
 * list wins over those behind.
 *
 * A wrong option ends the program with status 2 and a line on stderr that
 * names it: the option, the variable, or the file, the line and the key. Every
 * mistake has its line. */
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
  WWR_OPTION_TEXT,        /**< const char *; lives as long as the options. */
  WWR_OPTION_SECRET,      /**< The same, but never shown. */
  WWR_OPTION_SECRET_FILE, /**< The same target as the secret's, which is read
                               from this file, without its last line end. */
  WWR_OPTION_CHOICE,      /**< int: which of the words in `value`, from 0. */
  WWR_OPTION_LIST,        /**< struct wwr_option_list; on the command line it
                               may be given often. */
  WWR_OPTION_NUMBER,      /**< uint32_t, from min to max. */
  WWR_OPTION_SECONDS,     /**< uint32_t in milliseconds, from min to max;
                               written in seconds, decimals allowed. */
  WWR_OPTION_FLAG,        /**< bool; takes no value on the command line. */
  WWR_OPTION_LOG_LEVEL,   /**< enum wwr_log_level. */
  WWR_OPTION_LOG_FORMAT,  /**< enum wwr_log_format. */
  WWR_OPTION_GROUPS,      /**< struct wwr_option_groups; not on the command
                               line. */
  WWR_OPTION_FILE         /**< const char *; the configuration file to read.
                               Only on the command line. */
};

enum { WWR_REASON_MAX = 256 };

/** Texts in the order given; the items live as long as the options. */
struct wwr_option_list {
  const char *const *items;
  size_t count;
};

/** One option. The target holds the default before parsing. All borrowed. */
struct wwr_option {
  const char *name;  /**< "read-timeout"; NULL: not on the command line. */
  const char *value; /**< "SECONDS", for --help; "a|b" of a choice; NULL for a
                          flag. */
  const char *help;  /**< One line. The default is added to it. */
  enum wwr_option_kind kind;
  void *target;
  uint32_t min, max; /**< Of numbers and milliseconds. */
  const char *key;   /**< "server.read-timeout": its place in a file with groups
                          and, as PREFIX_SERVER_READ_TIMEOUT, in the
                          environment. NULL: only by its name. */
  bool live;         /**< A running program takes a new value (SIGHUP). */
  /** May be NULL: whether the text is right; false with what it is instead. */
  bool (*check)(const char *text, char reason[WWR_REASON_MAX]);
  const char *detail; /**< More about it for the file's readers, or NULL. */
};

/** A list of groups: `namespaces = ( { prefix = "a:"; }, ... );` in a file. An
 * item is a struct that starts as a copy of `initial`, and rows say what its
 * members are called; their keys are names without a dot. Lists and groups in
 * groups are not foreseen. */
struct wwr_option_groups {
  size_t item_size;
  size_t row_count;
  size_t max;
  const void *initial; /**< Read after everything else has been set. */
  void (*bind)(void *item, struct wwr_option *rows);
  void *items; /**< Out: live as long as the options. */
  size_t count;
};

/** A group of keys, for those who read the file. */
struct wwr_option_section {
  const char *name; /**< "server". */
  const char *help; /**< One line. */
};

/** A program's command line; --help and --version come by themselves. */
struct wwr_command {
  const char *name;    /**< "echo-server", begins every message. */
  const char *usage;   /**< What follows it in --help: "[OPTION...]". */
  const char *summary; /**< What the program does, a line or more. */
  const struct wwr_option *options;
  size_t option_count;
  int max_args; /**< How many arguments that are no options it takes. */

  /** NULL: files are flat, keys are names. Else they have these groups, and
   * there are --check-config, --print-config and --sample-config. */
  const struct wwr_option_section *sections;
  size_t section_count;
  const char *env; /**< "WEBWIRED": variables are read; NULL: none. */
  bool env_shared; /**< Others have variables with that prefix, too: what is
                        none of ours is no mistake. */

  /** Where mistakes go, a line each without its end. NULL: stderr, behind the
   * program's name. */
  void (*complain)(const char *line, void *user_data);
  void *user_data;
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

/** Say one line "NAME: option: message", count it, and return WWR_EXIT_USAGE.
 * `option` is a name or a key, and is said as it was given: "--listen",
 * "WEBWIRED_SERVER_LISTEN", or "FILE:3: server.listen". */
int wwr_options_reject(struct wwr_options *options, const char *option,
                       const char *message);

/** The same about a row of an item of groups. */
int wwr_options_reject_item(struct wwr_options *options, const char *option,
                            size_t item, const char *row, const char *message);

/** True when something has set an option of this name or key. */
bool wwr_option_given(const struct wwr_options *options, const char *option);

/** True when that row of an item of groups was set, rightly or not. */
bool wwr_option_item_given(const struct wwr_options *options,
                           const char *option, size_t item, const char *row);

/** NULL does nothing. */
void wwr_options_free(struct wwr_options *options);

#endif
