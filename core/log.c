#include "log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A pipe takes a line of this size in one piece or not at all. */
enum { LINE_MAX_BYTES = PIPE_BUF, FIELDS_MAX = 8 };

struct wwr_log_writer {
  int fd;
  enum wwr_log_format format;
};

static int64_t unix_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void wwri_log(const struct wwr_log *log, enum wwr_log_level level,
              uint64_t conn_id, const char *message, ...) {
  if (!wwri_log_enabled(log, level)) return;
  struct wwr_log_field fields[FIELDS_MAX];
  size_t count = 0;
  va_list args;
  va_start(args, message);
  while (count < FIELDS_MAX) {
    const char *key = va_arg(args, const char *);
    if (!key) break;
    const char *value = va_arg(args, const char *);
    fields[count++] = (struct wwr_log_field){key, value ? value : "-"};
  }
  va_end(args);
  struct wwr_log_record record = {.level = level,
                                  .time_ns = unix_now_ns(),
                                  .conn_id = conn_id,
                                  .message = message,
                                  .fields = fields,
                                  .field_count = count};
  log->write(&record, log->user_data);
}

/* A log that can't be written must not stop the server: errors are dropped. */
static void write_line(const struct wwr_log_record *record, void *user_data) {
  const struct wwr_log_writer *writer = user_data;
  char line[LINE_MAX_BYTES + 1];
  size_t len = wwr_log_format_record(record, writer->format, line, sizeof line);
  int saved = errno;
  while (write(writer->fd, line, len) < 0 && errno == EINTR) continue;
  errno = saved;
}

wwr_err wwr_log_writer_new(struct wwr_log_writer **out, int fd,
                           enum wwr_log_format format) {
  *out = malloc(sizeof **out);
  if (!*out) return WWR_E_NOMEM;
  **out = (struct wwr_log_writer){fd, format};
  return WWR_OK;
}

struct wwr_log wwr_log_writer_sink(struct wwr_log_writer *writer,
                                   enum wwr_log_level level) {
  return (struct wwr_log){write_line, writer, level};
}

void wwr_log_writer_free(struct wwr_log_writer *writer) {
  free(writer);
}

bool wwr_log_level_parse(const char *text, enum wwr_log_level *out) {
  static const char *const names[] = {"debug", "info", "warn", "error", "off"};
  if (!text) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = (enum wwr_log_level)i;
    return true;
  }
  return false;
}
