/* lws prints through one function per process. Ours hands its errors to the log
 * of the shard whose loop runs on the thread, a few per second: many of them
 * say only that some peer spoke nonsense. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "websocket.h"

enum { LINES_PER_SECOND = 5, LINE_MAX_BYTES = 256 };

static _Thread_local const struct wwr_log *thread_log;
static _Thread_local time_t this_second;
static _Thread_local int lines;

static bool is_allowed(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec != this_second) {
    this_second = now.tv_sec;
    lines = 0;
  }
  return lines++ < LINES_PER_SECOND;
}

static void emit(int level, const char *line) {
  (void)level;
  if (!wwri_log_enabled(thread_log, WWR_LOG_WARN) || !is_allowed()) return;
  char text[LINE_MAX_BYTES];
  size_t len = strnlen(line, sizeof(text) - 1);
  memcpy(text, line, len);
  while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ')) len--;
  text[len] = '\0';
  wwri_log(thread_log, WWR_LOG_WARN, 0, "libwebsockets", "text", text, NULL);
}

static void set_once(void) {
  lws_set_log_level(LLL_ERR, emit); /* warnings are about what peers do */
}

void wwri_ws_log_to(const struct wwr_log *log) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, set_once);
  thread_log = log;
}
