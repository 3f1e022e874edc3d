/* What Linux tells about the process, in /proc. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics.h"

/* The beginning of a file, as text. */
static bool read_file(const char *path, char *text, size_t cap) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t len = fread(text, 1, cap - 1, file);
  fclose(file);
  text[len] = '\0';
  return len > 0;
}

static double cpu_seconds(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t resident_bytes(void) {
  char text[128];
  unsigned long long size, resident;
  if (!read_file("/proc/self/statm", text, sizeof text)) return 0;
  if (sscanf(text, "%llu %llu", &size, &resident) != 2) return 0;
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Without the one that this reads them with. */
static uint64_t open_fds(void) {
  DIR *dir = opendir("/proc/self/fd");
  uint64_t count = 0;
  if (!dir) return 0;
  while (readdir(dir)) count++;
  closedir(dir);
  return count > 3 ? count - 3 : 0;
}

static uint64_t max_fds(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

/* When the machine started, as Unix time. */
static double boot_seconds(void) {
  FILE *file = fopen("/proc/stat", "re");
  char line[256];
  unsigned long long seconds = 0;
  if (!file) return 0;
  while (seconds == 0 && fgets(line, sizeof line, file)) {
    if (sscanf(line, "btime %llu", &seconds) != 1) seconds = 0;
  }
  fclose(file);
  return (double)seconds;
}

/* Field 22 of /proc/self/stat, in ticks since the machine started. Field 2 is
 * the program's name in parentheses and may hold anything. */
static double start_seconds(void) {
  char text[1024];
  if (!read_file("/proc/self/stat", text, sizeof text)) return 0;
  char *at = strrchr(text, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  if (!at) return 0;
  return boot_seconds() + strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
}

void wwri_process_read(struct wwri_process *out) {
  *out = (struct wwri_process){.cpu_seconds = cpu_seconds(),
                               .start_seconds = start_seconds(),
                               .resident_bytes = resident_bytes(),
                               .open_fds = open_fds(),
                               .max_fds = max_fds()};
}
