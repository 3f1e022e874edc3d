#include "scripts_time.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void sr_time_init(struct sr_time *time, uint64_t ms) {
  snprintf(time->path, sizeof(time->path), "/tmp/wwr-clock-XXXXXX");
  int fd = mkstemp(time->path);
  if (fd < 0 || ftruncate(fd, sizeof(*time->us))) abort();
  time->us =
      mmap(NULL, sizeof(*time->us), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (time->us == MAP_FAILED) abort();
  close(fd);
  sr_time_set(time, ms);
}

void sr_time_deinit(struct sr_time *time) {
  unlink(time->path);
  munmap(time->us, sizeof(*time->us));
}

void sr_time_set(struct sr_time *time, uint64_t ms) {
  __atomic_store_n(time->us, ms * 1000, __ATOMIC_RELEASE);
}

static void load(const struct sr_time *time) {
  setenv("WWR_TEST_CLOCK", time->path, 1);
  setenv("LD_PRELOAD", WWR_TEST_CLOCK_LIBRARY, 1);
}

void sr_time_start(struct sr *sr, struct sr_time *time,
                   const char *const *args) {
  load(time);
  sr_start(sr, args);
  unsetenv("LD_PRELOAD");
}

void sr_time_restart(struct sr *sr, struct sr_time *time) {
  load(time);
  sr_restart(sr);
  unsetenv("LD_PRELOAD");
}

bool sr_time_works(struct sr *sr, struct sr_time *time) {
  char expected[32];
  snprintf(expected, sizeof(expected), "%llu",
           (unsigned long long)(*time->us / 1000000));
  sr_ask(sr, "TIME");
  bool good = strcmp(sr_text(&sr->answer, 0), expected) == 0;
  if (!good) printf("skipped: redis-server takes no other clock\n");
  return good;
}
