/* log.h - how the library's own code writes log records. */
#ifndef WWRI_LOG_H
#define WWRI_LOG_H

#include "wwr_log.h"

/** Any thread. */
static inline enum wwr_log_level wwri_log_level(const struct wwr_log *log) {
  return __atomic_load_n(&log->level, __ATOMIC_RELAXED);
}

/** True when a record of this level would be written: guard costly fields. */
static inline bool wwri_log_enabled(const struct wwr_log *log,
                                    enum wwr_log_level level) {
  return log && log->write && level >= wwri_log_level(log);
}

/** Change the level of a log that is in use. Any thread. */
static inline void wwri_log_set_level(struct wwr_log *log,
                                      enum wwr_log_level level) {
  __atomic_store_n(&log->level, level, __ATOMIC_RELAXED);
}

/** Write one record. After `message` come pairs of strings (key, value), then
 * NULL; a NULL value prints as "-". At most 8 pairs. Any thread. */
void wwri_log(const struct wwr_log *log, enum wwr_log_level level,
              uint64_t conn_id, const char *message, ...) WWR_SENTINEL;

#endif
