/* procstat.h - what processes cost, from /proc. */
#ifndef BENCH_PROCSTAT_H
#define BENCH_PROCSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procstat {
  uint64_t cpu_ns;    /* user and system time of all threads that live */
  uint64_t rss_bytes; /* resident memory */
};

/** The sum over `count` processes. False when one can't be read. */
bool procstat_read(const pid_t *pids, size_t count, struct procstat *out);

/** The CPU time of this process in nanoseconds. */
uint64_t procstat_own_cpu_ns(void);

#endif
