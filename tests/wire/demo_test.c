/* deploy/demo.sh without a terminal: it comes up, can be broken and repaired
 * while people talk, and leaves nothing behind however it ends. */
#include "cluster.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A test has TEST_MS for all that it waits for: what goes wrong in one leaves
 * time for the others. */
enum { TEST_MS = 90000, MAX_MEMBERS = 16 };

static struct wire_dir dir; /* where it keeps its files */
static char programs[64];   /* what it is to run */
static struct proc *demo;
static uint16_t port;
static int64_t deadline_ms;

static struct {
  char name[16];
  pid_t pid;
  int connections; /* of a node */
} members[MAX_MEMBERS];
static size_t member_count;

/* The chat room takes three silent seconds for a dead client: on a busy machine
 * not much, and these clients say only what a test says. Its directory is none
 * of those that the demo may leave behind. */
static bool make_patient(void) {
  char path[96];
  snprintf(programs, sizeof programs, "%s/.bin", dir.path);
  snprintf(path, sizeof path, "%s/chatroom-server", programs);
  return mkdir(programs, 0700) == 0 &&
         wire_write_file(path,
                         "#!/bin/sh\nexec '" PROGRAMS
                         "/chatroom-server' --read-timeout 120 \"$@\"\n") &&
         chmod(path, 0700) == 0;
}

static int begin(void) {
  return wire_dir_make(&dir) && setenv("TMPDIR", dir.path, 1) == 0 &&
                 make_patient()
             ? 0
             : 1;
}

static int end(void) {
  wire_dir_remove(&dir);
  return 0;
}

static void start_clock(void) {
  deadline_ms = wire_now_ms() + TEST_MS;
}

static int left_ms(void) {
  int64_t left = deadline_ms - wire_now_ms();
  return left > 0 ? (int)left : 0;
}

/* --- What it says --------------------------------------------------------- */

static size_t count(const char *text) {
  char *out = proc_output(demo, PROC_STDOUT);
  size_t found = 0;
  for (const char *at = out; at && (at = strstr(at, text)); at++) found++;
  free(out);
  return found;
}

static void print_output(void) {
  char *out = proc_output(demo, PROC_STDOUT);
  char *err = proc_output(demo, PROC_STDERR);
  fprintf(stderr, "it said: %s\n%s\n", out, err);
  free(out);
  free(err);
}

static bool wait_count(const char *text, size_t times) {
  do {
    if (count(text) >= times) return true;
    poll(NULL, 0, 10);
  } while (left_ms() > 0);
  fprintf(stderr, "no \"%s\"\n", text);
  print_output();
  return false;
}

static bool says(const char *text) {
  return wait_count(text, 1);
}

static bool ended(int status) {
  int got = proc_wait_exit(demo, left_ms());
  if (got == status) return true;
  fprintf(stderr, "%s %d\n", got < 0 ? "still runs:" : "status", got);
  print_output();
  return false;
}

static void note(const char *name, pid_t pid, int connections) {
  size_t i = 0;
  while (i < member_count && members[i].pid != pid) i++;
  CU_ASSERT_TRUE_FATAL(i < MAX_MEMBERS);
  if (i == member_count) member_count++;
  snprintf(members[i].name, sizeof members[i].name, "%s", name);
  members[i].pid = pid;
  members[i].connections = connections;
}

/* Without a terminal nobody sends SIGINT to a whole group; and a shell that
 * waits for a child just then forgets it, unless the child dies of it too. */
static bool interrupted(void) {
  do {
    proc_signal(demo, SIGINT);
  } while (proc_wait_exit(demo, 1000) < 0 && left_ms() > 0);
  return ended(0);
}

/* Ask for the status, and note whose numbers it tells. Who has gone stays
 * noted. */
static void note_members(void) {
  size_t before = count("its page:");
  CU_ASSERT_TRUE_FATAL(proc_write(demo, "s\n"));
  CU_ASSERT_TRUE_FATAL(wait_count("its page:", before + 1));
  for (size_t i = 0; i < member_count; i++) members[i].connections = 0;
  char *out = proc_output(demo, PROC_STDOUT), *last = out, *rest = NULL;
  for (char *at = out; (at = strstr(at, "  node-1 ")); at++) last = at;
  for (char *line = strtok_r(last, "\n", &rest); line;
       line = strtok_r(NULL, "\n", &rest)) {
    int pid, connections = 0;
    char name[16];
    if (sscanf(line, " %15s 127.0.0.1:%*d pid %d %d", name, &pid,
               &connections) >= 2)
      note(name, pid, connections);
  }
  free(out);
}

/* Ask until HAProxy has told it of so many connections. */
static bool wait_connections(int wanted) {
  while (left_ms() > 0) {
    int sum = 0;
    note_members();
    for (size_t m = 0; m < member_count; m++) sum += members[m].connections;
    if (sum == wanted) return true;
    poll(NULL, 0, 200);
  }
  return false;
}

static pid_t pid_of(const char *name) {
  pid_t pid = -1;
  for (size_t i = 0; i < member_count; i++) {
    if (strcmp(members[i].name, name) == 0) pid = members[i].pid;
  }
  return pid;
}

/* --- Its life ------------------------------------------------------------- */

static void start(const char *const options[]) {
  const char *argv[16] = {SOURCES "/deploy/demo.sh", "--bin", programs};
  size_t n = 3;
  char line[256];
  while (options && *options) argv[n++] = *options++;
  start_clock();
  demo = proc_start(argv);
  CU_ASSERT_PTR_NOT_NULL_FATAL(demo);
  CU_ASSERT_TRUE_FATAL(proc_wait_line(demo, PROC_STDOUT,
                                      "The chat room:  http://", left_ms(),
                                      line, sizeof line));
  port = (uint16_t)strtoul(strrchr(line, ':') + 1, NULL, 10);
  member_count = 0;
}

static void expect_members_gone(void) {
  for (size_t i = 0; i < member_count; i++) {
    while (kill(members[i].pid, 0) == 0 && left_ms() > 0) poll(NULL, 0, 10);
    CU_ASSERT_TRUE(kill(members[i].pid, 0) != 0 && errno == ESRCH);
  }
}

/* All members that were noted end, and no file is left. */
static void expect_nothing_left(void) {
  expect_members_gone();
  DIR *list = opendir(dir.path);
  const struct dirent *entry;
  CU_ASSERT_PTR_NOT_NULL_FATAL(list);
  while ((entry = readdir(list))) CU_ASSERT_EQUAL(entry->d_name[0], '.');
  closedir(list);
}

static struct rawws *one, *two;

/* Or the nodes' graceful stop waits for them. */
static void leave(void) {
  rawws_free(one);
  rawws_free(two);
  one = two = NULL;
}

static void drop(void) {
  leave();
  proc_free(demo);
  demo = NULL;
}

static void join(struct rawws **who) {
  *who = wire_open(port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(*who);
}

static bool hears(struct rawws *ws, const char *text) {
  char json[128];
  snprintf(json, sizeof json, "{\"user\":\"Anonymous\",\"msg\":\"%s\"}", text);
  return wire_expect_signal(ws, json);
}

static bool talk(struct rawws *from, struct rawws *to, const char *text) {
  return wire_request(from, "msg", text) && hears(from, text) &&
         wire_expect_empty(from) && hears(to, text);
}

/* The one of two clients that was cut off comes again. */
static void come_again(void) {
  struct pollfd cut[2] = {{.fd = rawws_fd(one), .events = POLLIN},
                          {.fd = rawws_fd(two), .events = POLLIN}};
  CU_ASSERT_EQUAL_FATAL(poll(cut, 2, left_ms()), 1);
  struct rawws **gone = cut[0].revents ? &one : &two;
  CU_ASSERT_EQUAL(rawws_expect_end(*gone, WIRE_MS), 1006);
  rawws_free(*gone);
  join(gone);
}

static void broken_and_repaired(void) {
  start(NULL);
  join(&one);
  join(&two);
  CU_ASSERT_TRUE(talk(one, two, "first"));
  note_members();
  CU_ASSERT_EQUAL(member_count, 5);

  /* It learns of connections from HAProxy, once a second. */
  CU_ASSERT_TRUE(wait_connections(2));
  CU_ASSERT_TRUE(proc_write(demo, "k\n"));
  CU_ASSERT_TRUE(says("(kill -9) with 1 connections"));
  come_again();
  CU_ASSERT_TRUE(talk(two, one, "second"));
  CU_ASSERT_TRUE(says("all 2 clients are connected"));
  CU_ASSERT_TRUE(proc_write(demo, "n\n"));
  CU_ASSERT_TRUE(says("starting node-"));
  note_members();
  CU_ASSERT_EQUAL(member_count, 6);

  CU_ASSERT_TRUE(proc_write(demo, "r\n"));
  CU_ASSERT_TRUE(says("Redis is stopped"));
  CU_ASSERT_TRUE(wire_request(one, "msg", "third"));
  CU_ASSERT_TRUE(says("Redis is back"));
  CU_ASSERT_TRUE(hears(two, "third"));
  CU_ASSERT_TRUE(
      wire_hears_himself(one, "{\"user\":\"Anonymous\",\"msg\":\"third\"}"));
  CU_ASSERT_TRUE(talk(two, one, "fourth"));
  note_members();
  leave();
  CU_ASSERT_TRUE(proc_write(demo, "q\n"));
  CU_ASSERT_TRUE_FATAL(ended(0));
  expect_nothing_left();
}

static void by_itself(void) {
  start((const char *[]){"--nodes", "2", "--kill-node", "--restart-redis",
                         "--after", "1", NULL});
  join(&one);
  note_members();
  CU_ASSERT_TRUE(says("(kill -9) with 1 connections"));
  rawws_free(one);
  join(&one);
  CU_ASSERT_TRUE(says("starting node-"));
  CU_ASSERT_TRUE(says("Redis is stopped"));
  CU_ASSERT_TRUE(says("Redis is back"));
  note_members();
  leave();
  CU_ASSERT_TRUE(proc_signal(demo, SIGTERM));
  CU_ASSERT_TRUE_FATAL(ended(143));
  expect_nothing_left();
}

static void by_signals(void) {
  start((const char *[]){"--nodes", "1", NULL});
  note_members();
  proc_close_stdin(demo);
  CU_ASSERT_TRUE(proc_signal(demo, SIGUSR1));
  CU_ASSERT_TRUE(says("killed node-1"));
  CU_ASSERT_TRUE(proc_signal(demo, SIGUSR2));
  CU_ASSERT_TRUE(says("Redis is stopped"));
  CU_ASSERT_TRUE_FATAL(interrupted());
  expect_nothing_left();
}

static void members_that_die(void) {
  start((const char *[]){"--nodes", "2", NULL});
  note_members();
  CU_ASSERT_EQUAL(kill(pid_of("node-2"), SIGKILL), 0);
  CU_ASSERT_TRUE(says("node-2 ended by itself (exit status 137)"));
  CU_ASSERT_TRUE(proc_write(demo, "n 2\n"));
  CU_ASSERT_TRUE(says("starting node-2 again"));
  CU_ASSERT_EQUAL(kill(pid_of("redis"), SIGKILL), 0);
  CU_ASSERT_TRUE(says("redis ended by itself"));
  CU_ASSERT_TRUE(proc_write(demo, "r\n"));
  CU_ASSERT_TRUE(says("Redis is back"));
  note_members();
  CU_ASSERT_EQUAL(kill(pid_of("haproxy"), SIGKILL), 0);
  CU_ASSERT_TRUE_FATAL(ended(1));
  char *err = proc_output(demo, PROC_STDERR);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, "the chat room ended by itself"));
  free(err);
  expect_nothing_left();
}

static void killed_itself(void) {
  start((const char *[]){"--nodes", "1", NULL});
  note_members();
  CU_ASSERT_TRUE(proc_signal(demo, SIGKILL));
  CU_ASSERT_TRUE_FATAL(ended(128 + SIGKILL));
  expect_members_gone();
}

static void one_node(void) {
  start((const char *[]){"--single", NULL});
  join(&one);
  join(&two);
  CU_ASSERT_TRUE(talk(one, two, "hello"));
  CU_ASSERT_TRUE(proc_write(demo, "s\n"));
  CU_ASSERT_TRUE(says("node-1"));
  rawws_free(two);
  two = NULL;
  CU_ASSERT_TRUE(proc_signal(demo, SIGTERM));
  CU_ASSERT_EQUAL(rawws_expect_end(one, WIRE_MS), 1001);
  CU_ASSERT_TRUE_FATAL(ended(143));
  expect_nothing_left();
}

/* --- Mistakes ------------------------------------------------------------- */

static void mistakes(void) {
  start_clock();
  static const struct {
    const char *args[4];
    int status;
    const char *text;
  } cases[] = {
      {{"--nonsense"}, 2, "--nonsense"},
      {{"--nodes"}, 2, "--nodes"},
      {{"--nodes", "0"}, 2, "--nodes: '0'"},
      {{"--nodes", "9"}, 2, "--nodes: '9'"},
      {{"--port", "65536"}, 2, "--port: '65536'"},
      {{"--after", "soon"}, 2, "--after: 'soon'"},
      {{"--single", "--kill-node"}, 2, "--single"},
      {{"--bin", "/nonexistent"}, 1, "no chatroom-server in /nonexistent"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *argv[8] = {SOURCES "/deploy/demo.sh"};
    for (size_t j = 0; j < 4; j++) argv[j + 1] = cases[i].args[j];
    demo = proc_start(argv);
    CU_ASSERT_PTR_NOT_NULL_FATAL(demo);
    CU_ASSERT_TRUE_FATAL(ended(cases[i].status));
    char *err = proc_output(demo, PROC_STDERR);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, cases[i].text));
    free(err);
    drop();
  }
  expect_nothing_left();
}

/* Somebody listens there already. */
static void port_taken(void) {
  static const char *const kinds[][2] = {{"--single"}, {"--nodes", "1"}};
  char text[8];
  start((const char *[]){"--single", NULL});
  struct proc *first = demo;
  snprintf(text, sizeof text, "%u", port);
  for (int i = 0; i < 2; i++) {
    const char *const argv[] = {SOURCES "/deploy/demo.sh",
                                "--bin",
                                programs,
                                "--port",
                                text,
                                kinds[i][0],
                                kinds[i][1],
                                NULL};
    demo = proc_start(argv);
    CU_ASSERT_PTR_NOT_NULL_FATAL(demo);
    CU_ASSERT_TRUE_FATAL(ended(1));
    char *err = proc_output(demo, PROC_STDERR);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "taken?"));
    free(err);
    drop();
  }
  demo = first;
  proc_signal(demo, SIGTERM);
  CU_ASSERT_TRUE_FATAL(ended(143));
  expect_nothing_left();
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"broken and repaired", broken_and_repaired},
                         {"by itself", by_itself},
                         {"by signals", by_signals},
                         {"members that die", members_that_die},
                         {"one node", one_node},
                         {"mistakes", mistakes},
                         {"port taken", port_taken},
                         {"killed itself", killed_itself}, /* leaves files */
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"demo", begin, end, NULL, drop, tests},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
