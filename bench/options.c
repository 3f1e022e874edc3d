#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: webwire-bench --url ws://HOST:PORT[/PATH] [OPTION...]\n"
    "\n"
    "Puts load on a webwire server, checks every answer, and says what it "
    "cost.\n"
    "\n"
    "  --url URL          may be repeated: the nodes of a cluster, to which\n"
    "                     connections go in turn\n"
    "  --mode echo        every connection keeps --window requests open and\n"
    "                     expects its own payload back (echo-server)\n"
    "  --mode broadcast   one more connection sends chat messages, --window "
    "of\n"
    "                     them in flight: a message lands when all have got "
    "it\n"
    "                     (chatroom-server)\n"
    "  --mode idle        connections that only are there\n"
    "  --connections N    default 64\n"
    "  --window N         default 1\n"
    "  --rate N           messages per second with --mode broadcast, whether "
    "the\n"
    "                     server keeps up or not: latency counts from when a\n"
    "                     message was due. --window (then 1024) is the most "
    "in\n"
    "                     flight\n"
    "  --size BYTES       payload of a message, default 64\n"
    "  --seconds S        measured, default 5\n"
    "  --warmup S         before that, default 1\n"
    "  --pid PID          a process of the server: its CPU time and memory "
    "are\n"
    "                     read from /proc; may be repeated\n"
    "  --output FORMAT    text (default), json or csv\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0, 1 when an answer was lost, wrong, doubled or out of "
    "order\n"
    "or a connection failed, 2 for a usage error.\n";

static const char *const mode_names[] = {"echo", "broadcast", "idle"};
static const char *const output_names[] = {"text", "json", "csv"};

const char *mode_name(enum bench_mode mode) {
  return mode_names[mode];
}

static bool complain(const char *what, const char *value) {
  fprintf(stderr, "webwire-bench: %s: %s (try --help)\n", what, value);
  return false;
}

static bool number(const char *what, const char *text, double min, double max,
                   double *out) {
  char *end;
  *out = strtod(text, &end);
  if (end != text && *end == '\0' && *out >= min && *out <= max) return true;
  fprintf(stderr, "webwire-bench: %s: '%s' is not within %g..%g\n", what, text,
          min, max);
  return false;
}

static bool integer(const char *what, const char *text, double max,
                    uint32_t *out) {
  double value;
  if (!number(what, text, 1, max, &value)) return false;
  *out = (uint32_t)value;
  return (double)*out == value || complain(what, "not a whole number");
}

static bool one_of(const char *what, const char *text,
                   const char *const names[3], int *out) {
  for (int i = 0; i < 3; i++) {
    if (strcmp(text, names[i]) == 0) {
      *out = i;
      return true;
    }
  }
  return complain(what, text);
}

static bool parse_url(struct options *options, const char *url) {
  char rest[512];
  if (options->target_count == MAX_URLS) return complain("--url", "too many");
  struct target *target = &options->targets[options->target_count++];
  if (strncmp(url, "ws://", 5) != 0)
    return complain("--url must begin with ws://", url);
  snprintf(rest, sizeof rest, "%s", url + 5);
  char *slash = strchr(rest, '/');
  snprintf(target->path, sizeof target->path, "%.255s", slash ? slash : "/");
  if (slash) *slash = '\0';
  char *colon = strrchr(rest, ':');
  if (!colon || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
    return complain("--url needs a port", url);
  *colon = '\0';
  snprintf(target->host, sizeof target->host, "%.255s", rest);
  snprintf(target->port, sizeof target->port, "%.7s", colon + 1);
  return rest[0] != '\0' || complain("--url needs a host", url);
}

static bool add_pid(struct options *options, const char *text) {
  uint32_t pid;
  if (!integer("--pid", text, 4194304, &pid)) return false;
  if (options->pid_count == MAX_PIDS) return complain("--pid", "too many");
  options->pids[options->pid_count++] = (pid_t)pid;
  return true;
}

static bool apply(struct options *options, int option, const char *value) {
  int choice = 0;
  bool good = true;
  switch (option) {
    case 'u':
      return parse_url(options, value);
    case 'm':
      good = one_of("--mode", value, mode_names, &choice);
      options->mode = (enum bench_mode)choice;
      return good;
    case 'o':
      good = one_of("--output", value, output_names, &choice);
      options->output = (enum bench_output)choice;
      return good;
    case 'c':
      return integer("--connections", value, 1000000, &options->connections);
    case 'w':
      return integer("--window", value, MAX_WINDOW, &options->window);
    case 's':
      return integer("--size", value, MAX_SIZE, &options->size);
    case 't':
      return number("--seconds", value, 0.1, 86400, &options->seconds);
    case 'W':
      return number("--warmup", value, 0, 3600, &options->warmup);
    case 'r':
      return number("--rate", value, 0.1, 10000000, &options->rate);
    case 'p':
      return add_pid(options, value);
    default:
      fputs("(try --help)\n", stderr);
      return false;
  }
}

static bool check(const struct options *options) {
  if (options->target_count == 0) return complain("--url", "missing");
  /* A chat message carries its number as 16 hexadecimal digits. */
  if (options->mode == MODE_BROADCAST && options->size < 16)
    return complain("--size", "at least 16 with --mode broadcast");
  if (options->mode != MODE_BROADCAST && options->rate > 0)
    return complain("--rate", "only with --mode broadcast");
  return true;
}

bool options_parse(struct options *options, int argc, char **argv,
                   int *status) {
  static const struct option names[] = {
      {"url", required_argument, NULL, 'u'},
      {"mode", required_argument, NULL, 'm'},
      {"connections", required_argument, NULL, 'c'},
      {"window", required_argument, NULL, 'w'},
      {"size", required_argument, NULL, 's'},
      {"seconds", required_argument, NULL, 't'},
      {"warmup", required_argument, NULL, 'W'},
      {"rate", required_argument, NULL, 'r'},
      {"pid", required_argument, NULL, 'p'},
      {"output", required_argument, NULL, 'o'},
      {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'v'},
      {NULL, 0, NULL, 0}};
  *options = (struct options){
      .connections = 64, .size = 64, .seconds = 5, .warmup = 1};
  *status = 2;
  int option;
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    if (option == 'h' || option == 'v') {
      fputs(option == 'h' ? usage : "webwire-bench " BENCH_VERSION "\n",
            stdout);
      *status = 0;
      return false;
    }
    if (!apply(options, option, optarg)) return false;
  }
  if (optind < argc) return complain("unexpected argument", argv[optind]);
  if (options->window == 0) options->window = options->rate > 0 ? 1024 : 1;
  return check(options);
}
