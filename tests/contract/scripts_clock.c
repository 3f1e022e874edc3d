/* Loaded into a redis-server by LD_PRELOAD: its clock is a number in a file
 * (WWR_TEST_CLOCK), microseconds since 1970, which the test moves. Clocks that
 * only measure go on as they are. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const uint64_t *clock_us;

__attribute__((constructor)) static void find_clock(void) {
  const char *path = getenv("WWR_TEST_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) clock_us = map;
  close(fd);
}

static uint64_t now_us(void) {
  if (clock_us) return __atomic_load_n(clock_us, __ATOMIC_ACQUIRE);
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  uint64_t now = now_us();
  (void)zone;
  out->tv_sec = (time_t)(now / 1000000);
  out->tv_usec = (suseconds_t)(now % 1000000);
  return 0;
}

time_t time(time_t *out) {
  time_t now = (time_t)(now_us() / 1000000);
  if (out) *out = now;
  return now;
}

int clock_gettime(clockid_t id, struct timespec *out) {
  if (id != CLOCK_REALTIME) return (int)syscall(SYS_clock_gettime, id, out);
  uint64_t now = now_us();
  out->tv_sec = (time_t)(now / 1000000);
  out->tv_nsec = (long)(now % 1000000) * 1000;
  return 0;
}
