/* CPU time is summed from the schedstat of each thread, which counts
 * nanoseconds; where the kernel has none, from the process's stat, which counts
 * ticks. Memory comes from smaps_rollup, which is exact; where that can't be
 * read, from statm, which may be some pages per thread behind. */
#include "procstat.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static bool read_file(char *out,
                                                            size_t cap,
                                                            const char *format,
                                                            ...) {
  char path[64];
  va_list args;
  va_start(args, format);
  vsnprintf(path, sizeof path, format, args);
  va_end(args);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t n = fread(out, 1, cap - 1, file);
  fclose(file);
  out[n] = '\0';
  return n > 0;
}

static bool threads_cpu(pid_t pid, uint64_t *ns) {
  char path[64], text[128];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *dir = opendir(path);
  if (!dir) return false;
  struct dirent *entry;
  bool any = false;
  uint64_t sum = 0;
  while ((entry = readdir(dir))) {
    int tid = (int)strtol(entry->d_name, NULL, 10);
    if (tid <= 0 || !read_file(text, sizeof text, "/proc/%d/task/%d/schedstat",
                               (int)pid, tid))
      continue;
    any = true;
    sum += strtoull(text, NULL, 10);
  }
  closedir(dir);
  *ns = sum;
  return any;
}

static bool process_cpu(pid_t pid, uint64_t *ns) {
  char text[1024];
  if (!read_file(text, sizeof text, "/proc/%d/stat", (int)pid)) return false;
  /* The command's name may hold anything: fields are counted from its end. */
  const char *after = strrchr(text, ')');
  unsigned long long user, system;
  if (!after || sscanf(after + 1,
                       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                       &user, &system) != 2)
    return false;
  *ns = (user + system) * 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
  return true;
}

static bool rss(pid_t pid, uint64_t *bytes) {
  char text[4096];
  unsigned long long value;
  if (read_file(text, sizeof text, "/proc/%d/smaps_rollup", (int)pid)) {
    const char *line = strstr(text, "\nRss:");
    if (line && sscanf(line, "\nRss: %llu", &value) == 1) {
      *bytes = value * 1024;
      return true;
    }
  }
  if (!read_file(text, sizeof text, "/proc/%d/statm", (int)pid) ||
      sscanf(text, "%*u %llu", &value) != 1)
    return false;
  *bytes = value * (uint64_t)sysconf(_SC_PAGESIZE);
  return true;
}

bool procstat_read(const pid_t *pids, size_t count, struct procstat *out) {
  *out = (struct procstat){0};
  for (size_t i = 0; i < count; i++) {
    uint64_t ns, bytes;
    if (!threads_cpu(pids[i], &ns) && !process_cpu(pids[i], &ns)) return false;
    if (!rss(pids[i], &bytes)) return false;
    out->cpu_ns += ns;
    out->rss_bytes += bytes;
  }
  return count > 0;
}

uint64_t procstat_own_cpu_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
  return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}
