/* webwired's settings: every mistake at once, where values come from, what is
 * hidden, the sample, and reading them again by SIGHUP. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "webwired.h"

static struct wire_dir dir;

static int make(void) {
  return wire_dir_make(&dir) ? 0 : 1;
}

static int clean(void) {
  wire_dir_remove(&dir);
  return 0;
}

/* What it printed, until the next run. */
static struct {
  int status;
  char *out;
  char *err;
} said;

static void run_with(const char *const args[]) {
  free(said.out);
  free(said.err);
  said.status = -1;
  said.out = said.err = NULL;
  struct proc *proc = wire_program("webwired", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  said.status = proc_wait_exit(proc, WIRE_MS);
  said.out = proc_output(proc, PROC_STDOUT);
  said.err = proc_output(proc, PROC_STDERR);
  proc_free(proc);
}

/* Run on a file with this text. */
static void run_on(const char *text, const char *option) {
  const char *path = wire_path(&dir, "x.conf");
  CU_ASSERT_TRUE_FATAL(wire_write_file(path, text));
  run_with((const char *[]){"--config", path, option, NULL});
}

static size_t lines(const char *text) {
  size_t count = 0;
  for (; *text; text++) count += *text == '\n';
  return count;
}

static bool complains(const char *text) {
  bool good = strstr(said.err, text) != NULL;
  if (!good) fprintf(stderr, "no \"%s\" in:\n%s", text, said.err);
  return good;
}

static bool prints(const char *text) {
  bool good = strstr(said.out, text) != NULL;
  if (!good) fprintf(stderr, "no \"%s\" in:\n%s", text, said.out);
  return good;
}

/* --- Mistakes ------------------------------------------------------------- */

static void every_mistake_at_once(void) {
  static const char *const mistakes[] = {
      "x.conf:1: server.listen: 'nonsense' is no HOST:PORT\n",
      "x.conf:2: server.threads: '65' is no whole number from 0 to 64\n",
      "x.conf:3: server.max-connection: unknown key, did you mean "
      "server.max-connections?\n",
      "x.conf:5: log.level: 'loud' is none of debug|info|warn|error|off\n",
      "x.conf:6: tls.cert: needs tls.key\n",
      "x.conf:7: cluster.hold-time: needs cluster.redis\n",
      "x.conf:8: chanels: unknown key\n",
      "x.conf:10: channels.presence: must be true or false\n",
      "x.conf:11: channels.publish: 'all' is none of everyone, session, "
      "nobody,",
      "x.conf:13: channels.namespaces[0].prefix: occurs",
      "x.conf:14: channels.namespaces[1].log-age: must be a number\n",
      "x.conf:14: channels.namespaces[1].prefix: is missing\n",
      "x.conf:15: channels.namespaces[2].log: unknown key\n",
      "x.conf:15: channels.namespaces[2].subscribe: 'info:=x' has an empty "
      "field\n",
      "x.conf:16: sessions: must be a group, { ... }\n",
      "x.conf:17: auth.mode: 'magic' is none of ",
  };
  run_on(
      "server = { listen = \"nonsense\";\n"
      "  threads = 65;\n"
      "  max-connection = 1;\n"
      "};\n"
      "log = { level = \"loud\"; };\n"
      "tls = { cert = \"/dev/null\"; };\n"
      "cluster = { hold-time = 5; };\n"
      "chanels = { };\n"
      "channels = {\n"
      "  presence = 1;\n"
      "  publish = \"all\";\n"
      "  namespaces = (\n"
      "    { prefix = \"a:\"; },\n"
      "    { log-age = \"long\"; },\n"
      "    { prefix = \"a:\"; log = 1; subscribe = \"info:=x\"; } ); };\n"
      "sessions = 1;\n"
      "auth = { mode = \"magic\"; };\n",
      "--check-config");
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_STRING_EQUAL(said.out, "");
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    if (i == 9) continue; /* said of the second, below */
    CU_ASSERT_TRUE(complains(mistakes[i]));
  }
  CU_ASSERT_TRUE(
      complains("x.conf:15: channels.namespaces[2].prefix: occurs twice\n"));
  CU_ASSERT_EQUAL(lines(said.err), sizeof mistakes / sizeof *mistakes);
}

static void one_mistake(void) {
  static const struct {
    const char *file;
    const char *text;
  } cases[] = {
      {"server = { listen = \"127.0.0.1:0\" \n", "x.conf:2: syntax error"},
      {"server = { max-queued = 4294967297; };\n",
       "x.conf:1: too large a number"},
      {"server = {\n  max-queued = 0x1ffffffff;\n};\n",
       "x.conf:2: too large a number"},
      {"log = { };\n@include \"/etc\"\n",
       "x.conf:2: other files can't be included"},
      {"listen = \"127.0.0.1:0\";\n",
       "x.conf:1: listen: unknown key, did you mean server.listen?"},
      {"server = { listen = 80; };\n",
       "x.conf:1: server.listen: must be a string"},
      {"server = { listen = \"\"; };\n", "x.conf:1: server.listen: is empty"},
      {"server = { origins = [\"x\"]; };\n",
       "x.conf:1: server.origins: 'x' is no origin"},
      {"server = { origins = [1]; };\n",
       "x.conf:1: server.origins: must be a string"},
      {"cluster = { redis = \"http://x\"; };\n", "x.conf:1: cluster.redis: "},
      {"cluster = { redis-file = \"/nonexistent\"; };\n",
       "x.conf:1: cluster.redis-file: /nonexistent: No such file"},
      {"cluster = { redis = \"redis://x\"; password = \"a\";\n"
       "  password-file = \"/etc/hostname\"; };\n",
       "x.conf:2: cluster.password-file: not together with "
       "cluster.password"},
      {"cluster = { redis = \"redis://x\"; lease-time = 15; };\n",
       "x.conf:1: cluster.lease-time: must be at least twice "
       "cluster.hold-time"},
      {"cluster = { redis = \"redis://x\"; };\nsessions = { dir = \"/x\"; };\n",
       "x.conf:2: sessions.dir: not with cluster.redis"},
      {"cluster = { redis = \"redis://:a@x\"; password = \"hunter2\"; };\n",
       "x.conf:1: cluster.password: has a password already"},
      {"cluster = { redis = \"redis://x redis://:a@y\"; password = \"b\"; };\n",
       "x.conf:1: cluster.password: has a password already"},
      {"cluster = { redis = \"redis://x redis://y:0 redis://z\"; };\n",
       "x.conf:1: cluster.redis: URL 2 of 3: the port must be 1 to 65535"},
      {"cluster = { redis = \"redis://x redis://y redis://X\";\n"
       "  password = \"b\"; };\n",
       "x.conf:1: cluster.redis: URL 3 of 3 is the same Redis as URL 1"},
      {"channels = { namespaces = 1; };\n",
       "x.conf:1: channels.namespaces: must be a list of groups"},
      {"channels = { namespaces = ( { prefix = \"a\"; }, { } ); };\n",
       "x.conf:1: channels.namespaces[1].prefix: is missing"},
      {"channels = { namespaces = ( { prefix = \"!\"; } ); };\n",
       "x.conf:1: channels.namespaces[0].prefix: '!' begins no channel"},
      {"channels = { log-age = 0.5; };\n",
       "x.conf:1: channels.log-age: '0.500' is no number of seconds from 1 to "
       "2592000"},
      {"channels = { history = \"info:a=\"; };\n",
       "x.conf:1: channels.history: 'info:a=' has an empty value"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run_on(cases[i].file, "--check-config");
    CU_ASSERT_EQUAL(said.status, 2);
    CU_ASSERT_TRUE(complains(cases[i].text));
    CU_ASSERT_PTR_NULL(strstr(said.err, "hunter2"));
    CU_ASSERT_EQUAL(lines(said.err), 1);
    if (lines(said.err) != 1) fputs(said.err, stderr);
  }
}

/* What is no mistake: a byte order mark, ends of lines as on Windows, a comment
 * at the very end, and what would be a mistake outside of strings and
 * comments. */
static void odd_but_good(void) {
  run_on(
      "\xef\xbb\xbfserver = { # @include 99999999999\r\n"
      "  origins = [\"https://x99999999999.example\"]; /* @ 99999999999 */\r\n"
      "  read-timeout = 1.5e1; threads = 0x3; max-queued = 2000000L; };\r\n"
      "auth = { issuer = \"\\\"@\\\\\"; }; // 99999999999 \"",
      "--print-config");
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_STRING_EQUAL(said.err, "");
  CU_ASSERT_TRUE(prints("threads = 3; # "));
  CU_ASSERT_TRUE(prints("read-timeout = 15; # "));
  CU_ASSERT_TRUE(prints("max-queued = 2000000; # "));
}

static bool write_bytes(const char *path, const void *bytes, size_t len) {
  FILE *file = fopen(path, "we");
  if (!file) return false;
  bool good = fwrite(bytes, 1, len, file) == len;
  return fclose(file) == 0 && good;
}

/* What comes behind a zero byte would be ignored. */
static void zero_bytes(void) {
  static const char file[] = "server = { };\n\0log = { level = 1; };\n";
  const char *path = wire_path(&dir, "x.conf");
  CU_ASSERT_TRUE_FATAL(write_bytes(path, file, sizeof file - 1));
  run_with((const char *[]){"--config", path, "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(complains("x.conf:2: a zero byte"));
  path = wire_path(&dir, "token");
  CU_ASSERT_TRUE_FATAL(write_bytes(path, "a\0b\n", 4));
  run_with(
      (const char *[]){"--admin-token-file", path, "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(complains("token: has a zero byte"));
}

/* A directory or a device can't be read as a file, nor again by SIGHUP. */
static void no_files(void) {
  run_with((const char *[]){"--config", dir.path, "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(complains("Is a directory"));
  run_with((const char *[]){"--config", "/dev/null", "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(complains("/dev/null: is no regular file"));
  run_with((const char *[]){"--config", "", "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_EQUAL(lines(said.err), 1);
}

/* One wrong option is one line. */
static void one_line_each(void) {
  run_with(
      (const char *[]){"--tls-min-version", "1.1", "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_EQUAL(lines(said.err), 1);
  CU_ASSERT_TRUE(complains("--tls-min-version: must be 1.2 or 1.3"));
}

/* The same mistakes keep it from starting. */
static void does_not_start(void) {
  run_on("server = { threads = 65; };\nlog = { level = \"x\"; };\n", NULL);
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_EQUAL(lines(said.err), 2);
  run_with((const char *[]){"--treads", "1", NULL});
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(
      complains("--treads: unknown option, did you mean --threads?"));
}

/* --- Where values come from ----------------------------------------------- */

static void set_all(const char *const pairs[][2], bool set) {
  for (size_t i = 0; pairs[i][0]; i++) {
    if (set) {
      setenv(pairs[i][0], pairs[i][1], 1);
    } else {
      unsetenv(pairs[i][0]);
    }
  }
}

static void precedence(void) {
  static const char *const variables[][2] = {
      {"WEBWIRED_SERVER_THREADS", "3"},
      {"WEBWIRED_SERVER_READ_TIMEOUT", "4.5"},
      {"WEBWIRED_SERVER_ORIGINS", "https://a.example, https://b.example"},
      {"WEBWIRED_CHANNELS_PRESENCE", "true"},
      {"WEBWIRED_CHANNELS_PUBLISH", ""},
      {"WEBWIRED_CHANNELS_NAMESPACES",
       "( { prefix = \"x:\"; publish = \"nobody\"; } )"},
      /* What Kubernetes says of services called webwired. */
      {"WEBWIRED_SERVICE_HOST", "10.0.0.1"},
      {"WEBWIRED_PORT", "tcp://10.0.0.1:8080"},
      {"WEBWIRED_ADMIN_PORT_9180_TCP_ADDR", "10.0.0.1"},
      {NULL, NULL}};
  const char *path = wire_path(&dir, "x.conf");
  CU_ASSERT_TRUE_FATAL(wire_write_file(
      path,
      "server = { threads = 2; read-timeout = 2; max-queued = 2000000; };\n"
      "channels = { publish = \"session\"; log-entries = 7;\n"
      "  namespaces = ( { prefix = \"file:\"; } ); };\n"));
  set_all(variables, true);
  run_with((const char *[]){"--config", path, "--print-config",
                            "--read-timeout", "5", NULL});
  set_all(variables, false);
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_STRING_EQUAL(said.err, "");
  CU_ASSERT_TRUE(prints("  #listen = \"127.0.0.1:8080\"; # default\n"));
  CU_ASSERT_TRUE(prints("threads = 3; # WEBWIRED_SERVER_THREADS\n"));
  CU_ASSERT_TRUE(prints("read-timeout = 5; # --read-timeout\n"));
  CU_ASSERT_TRUE(prints("x.conf:1\n"));
  CU_ASSERT_TRUE(
      prints("origins = [\"https://a.example\", "
             "\"https://b.example\"]; # WEBWIRED_SERVER_ORIGINS\n"));
  CU_ASSERT_TRUE(prints("presence = true; # WEBWIRED_CHANNELS_PRESENCE\n"));
  CU_ASSERT_TRUE(prints("publish = \"session\"; # "));
  CU_ASSERT_TRUE(
      prints("{ prefix = \"x:\"; log-entries = 7; log-age = 600; "
             "presence = true; subscribe = \"everyone\"; publish = "
             "\"nobody\"; history = \"everyone\"; }"));
  CU_ASSERT_PTR_NULL(strstr(said.out, "file:"));
}

/* What is printed is a file that says the same. */
static void prints_a_file(void) {
  run_on(
      "channels = { namespaces = ( { prefix = \"a\\\"\\\\:\"; } ); };\n"
      "server = { ping-interval = 2.5; };\n",
      "--print-config");
  CU_ASSERT_EQUAL(said.status, 0);
  char *first = strdup(said.out);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  run_on(first, "--print-config");
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_TRUE(prints("ping-interval = 2.5; # "));
  CU_ASSERT_TRUE(prints("prefix = \"a\\\"\\\\:\"; "));
  free(first);
}

static void wrong_variables(void) {
  static const char *const variables[][2] = {
      {"WEBWIRED_SERVER_THREADS", "many"},
      {"WEBWIRED_SERVER_TREADS", "1"},
      {"WEBWIRED_CHANNELS_PRESENCE", "yes"},
      {"WEBWIRED_CHANNELS_NAMESPACES", "prefix"},
      {"WEBWIRED_CONFIG", "x"},
      {NULL, NULL}};
  set_all(variables, true);
  run_with((const char *[]){"--check-config", NULL});
  set_all(variables, false);
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_EQUAL(lines(said.err), 5);
  CU_ASSERT_TRUE(complains("WEBWIRED_SERVER_THREADS: 'many' is no whole"));
  CU_ASSERT_TRUE(
      complains("WEBWIRED_SERVER_TREADS: unknown variable, did you "
                "mean WEBWIRED_SERVER_THREADS?"));
  CU_ASSERT_TRUE(complains("WEBWIRED_CHANNELS_PRESENCE: must be true or"));
  CU_ASSERT_TRUE(complains("WEBWIRED_CHANNELS_NAMESPACES: must be a list"));
  CU_ASSERT_TRUE(complains("WEBWIRED_CONFIG: unknown variable"));
}

static void secrets(void) {
  static const char *const variables[][2] = {
      {"WEBWIRED_CLUSTER_REDIS", "redis://:hunter2@127.0.0.1"}, {NULL, NULL}};
  const char *secret = wire_path(&dir, "secret");
  char text[256];
  CU_ASSERT_TRUE_FATAL(wire_write_file(secret, "hunter2/ %\n"));
  snprintf(text, sizeof text,
           "cluster = { redis = \"redis://ann@127.0.0.1:1/2\"; password-file = "
           "\"%s\"; };\n",
           secret);
  run_on(text, "--print-config");
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_TRUE(prints("redis = \"***\"; # "));
  CU_ASSERT_TRUE(prints("password = \"***\"; # "));
  CU_ASSERT_PTR_NULL(strstr(said.out, "hunter2"));
  CU_ASSERT_TRUE_FATAL(wire_write_file(secret, "\n"));
  run_on(text, "--check-config");
  CU_ASSERT_EQUAL(said.status, 2);
  CU_ASSERT_TRUE(complains("secret: is empty\n"));
  /* What comes first wins over a file of the same secret. */
  snprintf(text, sizeof text,
           "cluster = { redis-file = \"/nonexistent\"; };\n");
  set_all(variables, true);
  run_on(text, "--print-config");
  set_all(variables, false);
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_TRUE(prints("redis = \"***\"; # WEBWIRED_CLUSTER_REDIS\n"));
  CU_ASSERT_PTR_NULL(strstr(said.out, "hunter2"));
  CU_ASSERT_PTR_NULL(strstr(said.err, "hunter2"));
}

/* --- The sample ----------------------------------------------------------- */

static char *read_all(const char *path) {
  char *text = calloc(1, 65536);
  FILE *file = text ? fopen(path, "r") : NULL;
  if (!file || fread(text, 1, 65535, file) == 0) {
    free(text);
    text = NULL;
  }
  if (file) fclose(file);
  return text;
}

/* `webwired --sample-config >deploy/webwired.conf` makes it again. */
static void the_sample_is_of_this_table(void) {
  const char *path = SOURCES "/deploy/webwired.conf";
  char *sample = read_all(path);
  CU_ASSERT_PTR_NOT_NULL_FATAL(sample);
  run_with((const char *[]){"--sample-config", NULL});
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_STRING_EQUAL(said.out, sample);
  free(sample);
  run_with((const char *[]){"--config", path, "--check-config", NULL});
  CU_ASSERT_EQUAL(said.status, 0);
  CU_ASSERT_TRUE(prints("webwired: the configuration is good\n"));
}

/* Every value that is in force by default stands in the sample. */
static void the_sample_names_every_default(void) {
  char *sample = read_all(SOURCES "/deploy/webwired.conf");
  CU_ASSERT_PTR_NOT_NULL_FATAL(sample);
  run_with((const char *[]){"--print-config", NULL});
  size_t found = 0;
  char *rest = NULL;
  for (char *line = strtok_r(said.out, "\n", &rest); line;
       line = strtok_r(NULL, "\n", &rest)) {
    char *end = strstr(line, " # default");
    if (strncmp(line, "  #", 3) != 0 || !end || strstr(line, "= (") ||
        strstr(line, "= not set"))
      continue;
    char wanted[256];
    *end = '\0';
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    CU_ASSERT_PTR_NOT_NULL(strstr(sample, wanted));
    if (!strstr(sample, wanted)) fprintf(stderr, "not there: %s\n", wanted);
    found++;
  }
  CU_ASSERT_TRUE(found >= 20);
  free(sample);
}

/* --- SIGHUP --------------------------------------------------------------- */

static void reloads(void) {
  struct node node;
  CU_ASSERT_TRUE_FATAL(
      node_start(&node, "channels = { publish = \"nobody\"; };\n", NULL));
  struct rawws *ws = node_open(&node);
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:x", NULL));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "pub:x", "x"), "NOT_PERMITTED");
  CU_ASSERT_TRUE(node_reload(&node, "server = { max-channels = 1; };\n",
                             "settings read again", 1));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:x", "x"));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "sub:y", NULL), "TOO_MANY_CHANNELS");
  CU_ASSERT_TRUE(node_reload(&node,
                             "channels = { namespaces = ( { prefix = \"x\"; "
                             "publish = \"nobody\"; } ); };\n",
                             "settings read again", 2));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "pub:x", "x"), "NOT_PERMITTED");
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:y", "x"));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:y", NULL));
  CU_ASSERT_EQUAL(node_said(&node, "next start"), 0);
  rawws_free(ws);
  CU_ASSERT_EQUAL(node_end(&node), 0);
}

static int upgrade_from(const struct node *node, const char *origin) {
  char headers[128];
  snprintf(headers, sizeof headers, "Origin: %s\r\n", origin);
  const struct rawws_opts opts = {.port = node->server.port};
  const struct rawws_request request = {.headers = headers};
  struct rawws *ws = rawws_dial(&opts);
  int status = ws ? rawws_upgrade(ws, &request) : -1;
  rawws_free(ws);
  return status;
}

static void reloads_origins(void) {
  struct node node;
  CU_ASSERT_TRUE_FATAL(node_start(
      &node, "server = { origins = [\"https://a.example\"]; };\n", NULL));
  CU_ASSERT_EQUAL(upgrade_from(&node, "https://a.example"), 101);
  CU_ASSERT_EQUAL(upgrade_from(&node, "https://b.example"), 403);
  CU_ASSERT_TRUE(
      node_reload(&node, "server = { origins = [\"https://b.example\"]; };\n",
                  "settings read again", 1));
  CU_ASSERT_EQUAL(upgrade_from(&node, "https://a.example"), 403);
  CU_ASSERT_EQUAL(upgrade_from(&node, "https://b.example"), 101);
  CU_ASSERT_EQUAL(node_end(&node), 0);
}

static void names_what_it_cannot_reload(void) {
  struct node node;
  CU_ASSERT_TRUE_FATAL(node_start(&node, "", NULL));
  CU_ASSERT_TRUE(node_reload(&node,
                             "server = { threads = 3; message-buffer = 4096;\n"
                             "  max-channels = 7; };\n"
                             "channels = { log-entries = 5; };\n",
                             "settings read again", 1));
  CU_ASSERT_EQUAL(
      node_said(&node,
                "\"server.threads changed; takes effect at the next "
                "start\""),
      1);
  CU_ASSERT_EQUAL(node_said(&node, "server.message-buffer changed; "), 1);
  CU_ASSERT_EQUAL(node_said(&node, "channels.log-entries changed; "), 1);
  CU_ASSERT_EQUAL(node_said(&node, "takes effect at the next start"), 3);
  CU_ASSERT_TRUE(node_reload(&node,
                             "channels = { namespaces = ( { prefix = \"x:\";\n"
                             "  presence = true; } ); };\n",
                             "settings read again", 2));
  CU_ASSERT_EQUAL(node_said(&node, "next start"), 4);
  CU_ASSERT_EQUAL(node_said(&node, "channels.namespaces changed logs or "), 1);
  CU_ASSERT_EQUAL(node_end(&node), 0);
}

static void a_broken_file_changes_nothing(void) {
  struct node node;
  CU_ASSERT_TRUE_FATAL(
      node_start(&node, "channels = { publish = \"nobody\"; };\n", NULL));
  struct rawws *ws = node_open(&node);
  CU_ASSERT_TRUE(node_reload(&node,
                             "channels = { publish = \"everyone\"; };\n"
                             "server = { threads = 65; };\nlog = 1;\n",
                             "settings not read again", 1));
  CU_ASSERT_EQUAL(node_said(&node, "x.conf:2: server.threads: "), 1);
  CU_ASSERT_EQUAL(node_said(&node, "x.conf:3: log: must be a group"), 1);
  CU_ASSERT_TRUE(node_reload(&node, "channels = {\n", "syntax error", 1));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "pub:x", "x"), "NOT_PERMITTED");
  rawws_free(ws);
  CU_ASSERT_EQUAL(node_end(&node), 0);
}

/* --- systemd -------------------------------------------------------------- */

/* A socket as systemd has it, named in the environment. */
static int notify_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  CU_ASSERT_EQUAL_FATAL(
      bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
  setenv("NOTIFY_SOCKET", path, 1);
  return fd;
}

/* What it says next. */
static bool notifies(int fd, const char *begin) {
  char text[256];
  struct pollfd poller = {.fd = fd, .events = POLLIN};
  ssize_t n =
      poll(&poller, 1, WIRE_MS) == 1 ? recv(fd, text, sizeof text - 1, 0) : -1;
  text[n > 0 ? n : 0] = '\0';
  bool good = strncmp(text, begin, strlen(begin)) == 0;
  if (!good) fprintf(stderr, "expected %s, got %s\n", begin, text);
  return good;
}

static void tells_systemd(void) {
  struct node node;
  int fd = notify_socket(wire_path(&dir, "notify"));
  bool started = node_start(&node, "", NULL);
  unsetenv("NOTIFY_SOCKET");
  CU_ASSERT_TRUE_FATAL(started);
  CU_ASSERT_TRUE(notifies(fd, "READY=1"));
  CU_ASSERT_TRUE(node_reload(&node, "", "settings read again", 1));
  CU_ASSERT_TRUE(notifies(fd, "RELOADING=1\nMONOTONIC_USEC="));
  CU_ASSERT_TRUE(notifies(fd, "READY=1"));
  CU_ASSERT_EQUAL(node_end(&node), 0);
  CU_ASSERT_TRUE(notifies(fd, "STOPPING=1"));
  close(fd);
}

static void tells_the_watchdog(void) {
  struct node node;
  int fd = notify_socket(wire_path(&dir, "watchdog"));
  setenv("WATCHDOG_USEC", "100000", 1);
  bool started = node_start(&node, "", NULL);
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  CU_ASSERT_TRUE_FATAL(started);
  CU_ASSERT_TRUE(notifies(fd, "READY=1"));
  CU_ASSERT_TRUE(notifies(fd, "WATCHDOG=1"));
  CU_ASSERT_TRUE(notifies(fd, "WATCHDOG=1"));
  CU_ASSERT_EQUAL(node_end(&node), 0);
  close(fd);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"every mistake at once", every_mistake_at_once},
      {"one mistake", one_mistake},
      {"odd but good", odd_but_good},
      {"zero bytes", zero_bytes},
      {"no files", no_files},
      {"one line each", one_line_each},
      {"does not start", does_not_start},
      {"precedence", precedence},
      {"prints a file", prints_a_file},
      {"wrong variables", wrong_variables},
      {"secrets", secrets},
      {"the sample is of this table", the_sample_is_of_this_table},
      {"the sample names every default", the_sample_names_every_default},
      {"reloads", reloads},
      {"reloads origins", reloads_origins},
      {"names what it can't reload", names_what_it_cannot_reload},
      {"a broken file changes nothing", a_broken_file_changes_nothing},
      {"tells systemd", tells_systemd},
      {"tells the watchdog", tells_the_watchdog},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"webwired_config", make, clean, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  free(said.out);
  free(said.err);
  return status;
}
