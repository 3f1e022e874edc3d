#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In pieces, because C11 promises no longer literals. */
static const char *const usage[] = {
    "usage: webwire-bench --url ws://HOST:PORT[/PATH] [OPTION...]\n"
    "\n"
    "Puts load on a webwire server, accounts for every message, and says what "
    "it\ncost.\n"
    "\n"
    "  --url URL          ws:// or wss://; may be repeated: the nodes of a "
    "cluster,\n"
    "                     to which connections go in turn\n"
    "\n"
    "What to do:\n"
    "  --mode echo        every connection keeps --window requests open and\n"
    "                     expects its own payload back (echo-server)\n"
    "  --mode ask         the same with any server: any answer will do, an "
    "error\n"
    "                     too, and signals are left alone; to see how long a "
    "server\n"
    "                     that is busy with others makes one wait\n"
    "  --mode broadcast   one more connection sends chat messages, --window "
    "of\n"
    "                     them in flight: a message lands when all have got "
    "it\n"
    "                     (chatroom-server)\n"
    "  --mode pubsub      the same with one sender per --url: what each sends "
    "must\n"
    "                     reach all connections on all nodes, in one order\n"
    "  --mode channels    many channels: each has --subscribers, of which "
    "the\n"
    "                     first publishes and all get it (webwired)\n"
    "  --mode connect     connections come and go, --window of them opening at "
    "any\n"
    "                     moment; up to --connections stay open, then the "
    "oldest is\n"
    "                     reset to be opened again\n"
    "  --mode reconnect   connections that only are there, and come back at "
    "the "
    "next\n"
    "                     --url when they are lost: kill a node and see how "
    "long that\n"
    "                     takes; --count so many and it ends\n"
    "  --mode idle        connections that only are there\n",
    "\n"
    "How much:\n"
    "  --connections N    default 64\n"
    "  --window N         in flight, per connection with --mode echo and ask, "
    "per\n"
    "                     sender with broadcast, pubsub and channels; default "
    "1\n"
    "  --rate N           messages (connect: connections) per second in all, "
    "whether\n"
    "                     the server keeps up or not. Latency then counts from "
    "when\n"
    "                     each was due, so that a server that stalls can't "
    "hide it.\n"
    "                     --window (then 1024) is the most in flight\n"
    "  --size BYTES       payload of a message, default 64\n"
    "  --seconds S        measured, default 5\n"
    "  --warmup S         before that, default 1\n"
    "  --settle S         before that, connected but silent, default 0\n"
    "  --count N          so many messages in all, then stop, within --seconds "
    "(then\n"
    "                     600) and without warm-up\n"
    "  --publishers N     senders, default 1, with --mode pubsub one per "
    "--url\n"
    "  --subscribers N    of each channel with --mode channels, default one "
    "per\n"
    "                     --url\n"
    "  --patience S       how long to wait at the end for what is missing, "
    "default 10\n",
    "\n"
    "With whom:\n"
    "  --sub-protocol TEXT  the one that the server must announce; default "
    "any\n"
    "  --login NAME=TEXT  --mode connect and reconnect: log in by this request "
    "first,\n"
    "                     each connection for a session of its own, and "
    "restore "
    "it\n"
    "                     whenever the connection is opened again, as\n"
    "                     'auth={\"name\":\"Frodo\",\"pass\":\"frodo1234\"}'\n"
    "  --ca-file FILE     wss: trust the issuers in this PEM file\n"
    "  --insecure         wss: don't check the certificate\n"
    "  --protocol plain   another server for comparison: every message is a "
    "payload\n"
    "                     and nothing else\n"
    "  --protocol socket.io  the same in Socket.IO's packets, event \"msg\"\n"
    "  --publish-url URL  where senders go instead of --url; they are no "
    "subscribers\n"
    "                     then\n",
    "\n"
    "What to tell:\n"
    "  --pid PID          a process of the server (or its Redis): CPU time "
    "and\n"
    "                     memory are read from /proc; may be repeated\n"
    "  --output FORMAT    text (default), json or csv\n"
    "  --help, --version\n"
    "\n"
    "On a terminal a line on stderr shows the progress.\n"
    "Exit status: 0 when every message expected anywhere came, once, right and "
    "in\n"
    "order; 1 when not, or when a connection failed; 2 for a usage error.\n"};

static const char *const mode_names[] = {"echo",      "ask",      "broadcast",
                                         "pubsub",    "channels", "connect",
                                         "reconnect", "idle",     NULL};
static const char *const output_names[] = {"text", "json", "csv", NULL};
static const char *const protocol_names[] = {"webwire", "plain", "socket.io",
                                             NULL};

const char *mode_name(enum bench_mode mode) {
  return mode_names[mode];
}

bool mode_sends(enum bench_mode mode) {
  return mode == MODE_BROADCAST || mode == MODE_PUBSUB;
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
  fprintf(stderr,
          "webwire-bench: %s: '%s' is no number from %.10g to %.10g (try "
          "--help)\n",
          what, text, min, max);
  return false;
}

static bool whole(const char *what, const char *text, double max,
                  uint64_t *out) {
  double value;
  if (!number(what, text, 1, max, &value)) return false;
  *out = (uint64_t)value;
  return (double)*out == value || complain(what, "not a whole number");
}

static bool integer(const char *what, const char *text, double max,
                    uint32_t *out) {
  uint64_t value = 0;
  if (!whole(what, text, max, &value)) return false;
  *out = (uint32_t)value;
  return true;
}

static bool one_of(const char *what, const char *text,
                   const char *const names[], int *out) {
  for (int i = 0; names[i]; i++) {
    if (strcmp(text, names[i]) == 0) {
      *out = i;
      return true;
    }
  }
  return complain(what, text);
}

static bool parse_url(const char *what, struct targets *targets,
                      const char *url) {
  char rest[512];
  if (targets->count == MAX_URLS) return complain(what, "too many");
  struct target *target = &targets->list[targets->count++];
  target->tls = strncmp(url, "wss://", 6) == 0;
  if (!target->tls && strncmp(url, "ws://", 5) != 0)
    return complain(what, "must begin with ws:// or wss://");
  const char *from = url + (target->tls ? 6 : 5);
  if (strlen(from) >= sizeof rest) return complain(what, "too long");
  snprintf(rest, sizeof rest, "%s", from);
  char *slash = strchr(rest, '/');
  if (slash && strlen(slash) >= sizeof target->path)
    return complain(what, "too long");
  snprintf(target->path, sizeof target->path, "%s", slash ? slash : "/");
  if (slash) *slash = '\0';
  char *colon = strrchr(rest, ':');
  if (!colon || strlen(colon + 1) == 0) return complain(what, "needs a port");
  if (strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
      strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) - 1 > 65534)
    return complain(what, "the port must be 1 to 65535");
  *colon = '\0';
  if (rest[0] == '\0') return complain(what, "needs a host");
  if (strlen(rest) >= sizeof target->host) return complain(what, "too long");
  snprintf(target->host, sizeof target->host, "%.255s", rest);
  snprintf(target->port, sizeof target->port, "%.7s", colon + 1);
  return true;
}

static bool add_pid(struct options *options, const char *text) {
  uint32_t pid;
  if (!integer("--pid", text, 4194304, &pid)) return false;
  if (options->pid_count == MAX_PIDS) return complain("--pid", "too many");
  options->pids[options->pid_count++] = (pid_t)pid;
  return true;
}

static bool set_login(struct options *options, const char *text) {
  const char *equals = strchr(text, '=');
  options->login = text;
  return (equals && equals != text && equals - text <= 255 &&
          strlen(equals) > 1 && strlen(equals) < 4096) ||
         complain("--login", "must be NAME=TEXT");
}

static bool set_sub_protocol(struct options *options, const char *text) {
  options->sub_protocol = text;
  return strlen(text) < 4096 || complain("--sub-protocol", "too long");
}

enum option_key {
  KEY_URL = 256,
  KEY_MODE,
  KEY_CONNECTIONS,
  KEY_WINDOW,
  KEY_RATE,
  KEY_SIZE,
  KEY_SECONDS,
  KEY_WARMUP,
  KEY_SETTLE,
  KEY_COUNT,
  KEY_PUBLISHERS,
  KEY_SUBSCRIBERS,
  KEY_PATIENCE,
  KEY_SUB_PROTOCOL,
  KEY_LOGIN,
  KEY_CA_FILE,
  KEY_INSECURE,
  KEY_PROTOCOL,
  KEY_PUBLISH_URL,
  KEY_PID,
  KEY_OUTPUT,
  KEY_HELP,
  KEY_VERSION
};

static const struct option names[] = {
    {"url", required_argument, NULL, KEY_URL},
    {"mode", required_argument, NULL, KEY_MODE},
    {"connections", required_argument, NULL, KEY_CONNECTIONS},
    {"window", required_argument, NULL, KEY_WINDOW},
    {"rate", required_argument, NULL, KEY_RATE},
    {"size", required_argument, NULL, KEY_SIZE},
    {"seconds", required_argument, NULL, KEY_SECONDS},
    {"warmup", required_argument, NULL, KEY_WARMUP},
    {"settle", required_argument, NULL, KEY_SETTLE},
    {"count", required_argument, NULL, KEY_COUNT},
    {"publishers", required_argument, NULL, KEY_PUBLISHERS},
    {"subscribers", required_argument, NULL, KEY_SUBSCRIBERS},
    {"patience", required_argument, NULL, KEY_PATIENCE},
    {"sub-protocol", required_argument, NULL, KEY_SUB_PROTOCOL},
    {"login", required_argument, NULL, KEY_LOGIN},
    {"ca-file", required_argument, NULL, KEY_CA_FILE},
    {"insecure", no_argument, NULL, KEY_INSECURE},
    {"protocol", required_argument, NULL, KEY_PROTOCOL},
    {"publish-url", required_argument, NULL, KEY_PUBLISH_URL},
    {"pid", required_argument, NULL, KEY_PID},
    {"output", required_argument, NULL, KEY_OUTPUT},
    {"help", no_argument, NULL, KEY_HELP},
    {"version", no_argument, NULL, KEY_VERSION},
    {NULL, 0, NULL, 0}};

/* Options whose value is one of some names. */
static bool apply_choice(struct options *options, int key, const char *value) {
  int choice = 0;
  switch (key) {
    case KEY_MODE:
      if (!one_of("--mode", value, mode_names, &choice)) return false;
      options->mode = (enum bench_mode)choice;
      return true;
    case KEY_PROTOCOL:
      if (!one_of("--protocol", value, protocol_names, &choice)) return false;
      options->protocol = (enum bench_protocol)choice;
      return true;
    default:
      if (!one_of("--output", value, output_names, &choice)) return false;
      options->output = (enum bench_output)choice;
      return true;
  }
}

static bool apply_number(struct options *options, int key, const char *value) {
  switch (key) {
    case KEY_CONNECTIONS:
      return integer("--connections", value, 1000000, &options->connections);
    case KEY_WINDOW:
      return integer("--window", value, 1000000, &options->window);
    case KEY_SIZE:
      return integer("--size", value, MAX_SIZE, &options->size);
    case KEY_PUBLISHERS:
      return integer("--publishers", value, MAX_PUBLISHERS,
                     &options->publishers);
    case KEY_SUBSCRIBERS:
      return integer("--subscribers", value, 1000000, &options->subscribers);
    case KEY_COUNT:
      return whole("--count", value, 1e12, &options->count);
    case KEY_RATE:
      return number("--rate", value, 0.1, 10000000, &options->rate);
    case KEY_SECONDS:
      return number("--seconds", value, 0.1, 86400, &options->seconds);
    case KEY_WARMUP:
      return number("--warmup", value, 0, 3600, &options->warmup);
    case KEY_SETTLE:
      return number("--settle", value, 0, 3600, &options->settle);
    default:
      return number("--patience", value, 0, 3600, &options->patience);
  }
}

static bool apply(struct options *options, int key, const char *value) {
  switch (key) {
    case KEY_URL:
      return parse_url("--url", &options->servers, value);
    case KEY_PUBLISH_URL:
      return parse_url("--publish-url", &options->publish, value);
    case KEY_MODE:
    case KEY_PROTOCOL:
    case KEY_OUTPUT:
      return apply_choice(options, key, value);
    case KEY_SUB_PROTOCOL:
      return set_sub_protocol(options, value);
    case KEY_LOGIN:
      return set_login(options, value);
    case KEY_CA_FILE:
      options->ca_file = value;
      return true;
    case KEY_INSECURE:
      options->insecure = true;
      return true;
    case KEY_PID:
      return add_pid(options, value);
    default:
      return apply_number(options, key, value);
  }
}

static void set_defaults(struct options *options) {
  bool counted = options->count > 0;
  if (options->window == 0) options->window = options->rate > 0 ? 1024 : 1;
  if (options->seconds == 0) options->seconds = counted ? 600 : 5;
  if (counted) options->warmup = 0;
  if (options->warmup < 0) options->warmup = 1;
  if (options->publishers == 0)
    options->publishers =
        options->mode == MODE_PUBSUB ? options->servers.count : 1;
  if (options->subscribers == 0) options->subscribers = options->servers.count;
  /* Nothing opens twice at a time. */
  if (options->mode == MODE_CONNECT && options->window > options->connections)
    options->window = options->connections;
}

static bool check(const struct options *options) {
  bool sends = mode_sends(options->mode);
  bool foreign = options->protocol != PROTOCOL_WEBWIRE;
  if (options->servers.count == 0) return complain("--url", "missing");
  if (options->size < NUMBER_DIGITS &&
      (sends || options->mode == MODE_CHANNELS ||
       (foreign && options->mode == MODE_ECHO)))
    return complain("--size", "at least 16 here: messages carry a number");
  if (options->mode != MODE_CONNECT && options->window > MAX_WINDOW)
    return complain("--window", "at most 4096 here");
  bool sent = sends || options->mode == MODE_ECHO ||
              options->mode == MODE_ASK || options->mode == MODE_CHANNELS;
  if (options->rate > 0 && !sent && options->mode != MODE_CONNECT)
    return complain("--rate", "nothing is sent in this mode");
  if (options->count > 0 && options->mode == MODE_IDLE)
    return complain("--count", "nothing happens in this mode");
  if (foreign && (options->mode == MODE_ASK || options->mode == MODE_CHANNELS))
    return complain("--mode", "ask, channels: only with --protocol webwire");
  if (options->mode == MODE_CHANNELS &&
      options->connections % options->subscribers != 0)
    return complain("--connections", "as many for each channel");
  if (options->login && (foreign || (options->mode != MODE_CONNECT &&
                                     options->mode != MODE_RECONNECT)))
    return complain("--login", "only with --mode connect and reconnect");
  if (options->publish.count > 0 && !sends)
    return complain("--publish-url", "only with --mode broadcast and pubsub");
  if (options->sub_protocol && foreign)
    return complain("--sub-protocol", "only with --protocol webwire");
  return true;
}

static void help(void) {
  for (size_t i = 0; i < sizeof usage / sizeof *usage; i++)
    fputs(usage[i], stdout);
}

bool options_parse(struct options *options, int argc, char **argv,
                   int *status) {
  *options = (struct options){
      .connections = 64, .size = 64, .warmup = -1, .patience = 10};
  *status = 2;
  int key;
  while ((key = getopt_long(argc, argv, ":", names, NULL)) != -1) {
    if (key == KEY_HELP || key == KEY_VERSION) {
      if (key == KEY_HELP)
        help();
      else
        puts("webwire-bench " BENCH_VERSION);
      *status = 0;
      return false;
    }
    if (key == '?') return complain(argv[optind - 1], "unknown option");
    if (key == ':') return complain(argv[optind - 1], "needs a value");
    if (!apply(options, key, optarg)) return false;
  }
  if (optind < argc) return complain("unexpected argument", argv[optind]);
  set_defaults(options);
  return check(options);
}
