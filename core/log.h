/* log.h - how the library's own code writes log records. */
#ifndef WWRI_LOG_H
#define WWRI_LOG_H

#include "wwr_log.h"

/** True when a record of this level would be written: guard costly fields. */
static inline bool wwri_log_enabled(const struct wwr_log *log,
                                    enum wwr_log_level level) {
  return log && log->write && level >= log->level;
}

/** Write one record. After `message` come pairs of strings (key, value), then
 * NULL; a NULL value prints as "-". At most 8 pairs. Any thread. */
void wwri_log(const struct wwr_log *log, enum wwr_log_level level,
              uint64_t conn_id, const char *message, ...) WWR_SENTINEL;

#endif
