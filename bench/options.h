/* options.h - what the user asked for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_mode { MODE_ECHO, MODE_BROADCAST, MODE_IDLE };
enum bench_output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

#define MAX_PIDS   64
#define MAX_WINDOW 4096
#define MAX_SIZE   1000000

#define MAX_URLS 16

/** Where a server is: ws://HOST:PORT/PATH. */
struct target {
  char host[256];
  char port[8];
  char path[256];
};

struct options {
  enum bench_mode mode;
  enum bench_output output;
  struct target targets[MAX_URLS]; /* connections go round */
  uint32_t target_count;
  uint32_t connections; /* subscribers in MODE_BROADCAST */
  uint32_t window;      /* requests in flight, 1..MAX_WINDOW */
  uint32_t size;        /* payload bytes, 1..MAX_SIZE */
  double seconds;       /* measured */
  double warmup;        /* before that */
  double rate;          /* messages per second, 0: as the window allows */
  pid_t pids[MAX_PIDS]; /* the server's processes */
  size_t pid_count;
};

/** Parse the command line. False when the program shall exit with *status:
 * help, version or a usage error, all of which it has printed. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

/** "echo", "broadcast" or "idle". */
const char *mode_name(enum bench_mode mode);

#endif
