/* wwr_log.h - structured log records and two ways to print them.
 *
 * The library never prints by itself: it hands records to the sink that the
 * options name. A sink of NULL means silence. */
#ifndef WWR_LOG_H
#define WWR_LOG_H

#include "wwr_err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wwr_log_level {
  WWR_LOG_DEBUG,
  WWR_LOG_INFO,
  WWR_LOG_WARN,
  WWR_LOG_ERROR,
  WWR_LOG_OFF /**< Nothing is logged. */
};

/** One key and its value, both NUL-terminated; borrowed. */
struct wwr_log_field {
  const char *key;
  const char *value;
};

/** One record; everything in it is valid only during the sink's call. */
struct wwr_log_record {
  enum wwr_log_level level;
  int64_t time_ns;     /**< Unix time in nanoseconds. */
  uint64_t conn_id;    /**< 0 when it is not about one connection. */
  const char *message; /**< Constant text: search for it. */
  const struct wwr_log_field *fields;
  size_t field_count;
};

/** Where records go. Copied by whoever takes it in options; `user_data` is
 * borrowed and must outlive that object. `write` may be called from any of the
 * library's threads, from several at once, so it must be thread-safe and
 * should not block. */
struct wwr_log {
  void (*write)(const struct wwr_log_record *record, void *user_data);
  void *user_data;
  enum wwr_log_level level; /**< Records below it are not even built. */
};

enum wwr_log_format { WWR_LOG_LOGFMT, WWR_LOG_JSON };

/** A sink that writes one line a record to a file descriptor, each by a single
 * write(2), so that lines of several threads do not mix. Opaque. */
struct wwr_log_writer;

/** Make a writer on `fd` (borrowed, not closed). Errors: WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_log_writer_new(struct wwr_log_writer **out,
                                                  int fd,
                                                  enum wwr_log_format format);

/** The sink to put into options. The writer must outlive its use. */
WWR_API struct wwr_log wwr_log_writer_sink(struct wwr_log_writer *writer,
                                           enum wwr_log_level level);

/** Free a writer; NULL does nothing. */
WWR_API void wwr_log_writer_free(struct wwr_log_writer *writer);

/** Format a record into `buf` as one line with its newline; at most `cap`
 * bytes including the NUL, truncated if need be, ending in a newline all the
 * same (from a `cap` of 2 on; 0 writes nothing).
 * Control characters and quotes in values are escaped, so that a value can't
 * forge a line. Returns the length written. Pure. */
WWR_API size_t wwr_log_format_record(const struct wwr_log_record *record,
                                     enum wwr_log_format format, char *buf,
                                     size_t cap);

/** Parse "debug", "info", "warn", "error" or "off". False when it is none. */
WWR_API bool wwr_log_level_parse(const char *text, enum wwr_log_level *out);

#ifdef __cplusplus
}
#endif
#endif /* WWR_LOG_H */
