/* options.h - what the user asked for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_mode {
  MODE_ECHO,
  MODE_ASK,
  MODE_BROADCAST,
  MODE_PUBSUB,
  MODE_CHANNELS,
  MODE_CONNECT,
  MODE_RECONNECT,
  MODE_IDLE
};
enum bench_output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };
enum bench_protocol { PROTOCOL_WEBWIRE, PROTOCOL_PLAIN, PROTOCOL_SOCKETIO };

#define MAX_PIDS       64
#define MAX_WINDOW     4096
#define MAX_SIZE       1000000
#define MAX_URLS       16
#define MAX_PUBLISHERS 64
/* A message carries its number as so many hexadecimal digits. */
#define NUMBER_DIGITS 16

/** Where a server is: ws://HOST:PORT/PATH. */
struct target {
  char host[256];
  char port[8];
  char path[256];
  bool tls;
};

/** Servers, to which connections go in turn. */
struct targets {
  struct target list[MAX_URLS];
  uint32_t count;
};

struct options {
  enum bench_mode mode;
  enum bench_output output;
  enum bench_protocol protocol;
  struct targets servers;
  struct targets publish;   /* where senders go instead; may be empty */
  uint32_t connections;     /* without the senders of broadcast and pubsub */
  uint32_t publishers;      /* senders of broadcast and pubsub */
  uint32_t subscribers;     /* of each channel */
  uint32_t window;          /* in flight, 1..MAX_WINDOW, with MODE_CONNECT
                               1..connections */
  uint32_t size;            /* payload bytes, 1..MAX_SIZE */
  uint64_t count;           /* messages or visits in all; 0: no limit */
  double seconds;           /* measured */
  double warmup;            /* before that */
  double settle;            /* before that, with all connections open */
  double rate;              /* per second, 0: as the window allows */
  double patience;          /* seconds for what is missing at the end */
  const char *sub_protocol; /* NULL: any */
  const char *login;        /* "NAME=PAYLOAD" of a request; NULL: none */
  const char *ca_file;      /* NULL: those of the system */
  bool insecure;
  pid_t pids[MAX_PIDS]; /* the server's processes */
  size_t pid_count;
};

/** Parse the command line. False when the program shall exit with *status:
 * help, version or a usage error, all of which it has printed. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

/** "echo", "broadcast", ... */
const char *mode_name(enum bench_mode mode);

/** True when the mode has senders besides its connections. */
bool mode_sends(enum bench_mode mode);

#endif
