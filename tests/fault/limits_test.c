/* The ends of things: no descriptors left, and clients that are killed with
 * requests open and sessions kept. */
#include "fault.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  CROWD = 100,
  KILLED = FAULT_SCALED(100),
  OPEN_REQUESTS = 4,
  KEY_MAX = 80,
  RESTORE = 32,
  REPLY_UTF8 = 192
};

static char self[PATH_MAX];

/* --- Descriptors ---------------------------------------------------------- */

/* One episode: more connect than there are descriptors, some get in, those who
 * are in are served; then they go and there is room again. */
static void exhaust(const struct fault_server *server, struct rawws *old) {
  struct fault_reply reply;
  size_t fds = fault_fds(server);
  struct fault_swarm *swarm = fault_swarm_connect(server, CROWD);
  CU_ASSERT_FATAL(swarm != NULL);
  CU_ASSERT_EQUAL(fault_swarm_send(swarm, fault_upgrade, strlen(fault_upgrade)),
                  CROWD);
  for (int i = 0; i < 400; i++) { /* for longer than accepting pauses */
    CU_ASSERT_FATAL(fault_call(old, "echo", "x", 1, &reply));
    if (i % 10 == 0) (void)fault_wait_stat(old, "refused", 0, LLONG_MAX);
    const struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
  }
  fault_swarm_end(swarm, FAULT_FIN);
  CU_ASSERT(fault_wait_fds(server, fds));
  /* The backlog still holds dead ones of the crowd, and for each pause one of
   * the backlog is dropped, which may hit us; hardly three times. */
  struct rawws *fresh = NULL;
  for (int i = 0; !fresh && i < 3; i++) fresh = fault_client(server, 0);
  CU_ASSERT_FATAL(fresh != NULL);
  CU_ASSERT(fault_call(fresh, "echo", "x", 1, &reply));
  rawws_free(fresh);
}

static void test_descriptors(void) {
  static const char *const options[] = {"--nonblocking", "yes", "--descriptors",
                                        "64", NULL};
  struct fault_server server;
  if (!fault_start(&server, options)) return;
  struct rawws *old = fault_client(&server, 0);
  CU_ASSERT_FATAL(old != NULL);
  exhaust(&server, old);
  CU_ASSERT_EQUAL(fault_count_logged(&server, "can't accept"), 1);
  exhaust(&server, old);
  CU_ASSERT(fault_count_logged(&server, "can't accept") <= 2);
  rawws_free(old);
  fault_stop(&server);
}

/* --- Killed clients ------------------------------------------------------- */

/* A program of its own, so that it can be killed: clients with a session each,
 * whose keys it prints, and with requests that take long. */
static int client_main(const char *port, bool tls) {
  struct fault_server server = {.proc = NULL,
                                .port = (uint16_t)strtoul(port, NULL, 10)};
  if (tls) fault_use_tls();
  for (int i = 0; i < KILLED; i++) {
    struct fault_reply reply;
    struct rawws *ws = fault_client(&server, 0);
    if (!ws || !fault_call(ws, "create", NULL, 0, &reply)) return 1;
    printf("key %.*s\n", (int)reply.len, (const char *)reply.payload);
    for (uint64_t id = 0; id < OPEN_REQUESTS; id++) {
      if (!fault_send_request(ws, id, "slow", "x", 1)) return 1;
    }
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}

static struct proc *start_clients(const struct fault_server *server) {
  char port[8];
  snprintf(port, sizeof port, "%u", (unsigned)server->port);
  const char *const argv[] = {self, "--client", port,
                              fault_is_tls() ? "tls" : "plain", NULL};
  struct proc *clients = proc_start(argv);
  CU_ASSERT_FATAL(clients != NULL);
  CU_ASSERT_FATAL(
      proc_wait_line(clients, PROC_STDOUT, "ready", 60000, NULL, 0));
  return clients;
}

static bool restore(const struct fault_server *server, const char *key,
                    size_t len) {
  uint8_t message[9 + KEY_MAX] = {RESTORE};
  struct fault_reply reply = {0};
  struct rawws *ws = fault_client(server, 0);
  if (!ws || len > KEY_MAX) return false;
  memcpy(message + 9, key, len);
  bool good = rawws_send(ws, message, 9 + len) &&
              fault_recv_reply(ws, &reply, FAULT_WAIT_MS) == RAWWS_OK &&
              reply.type == REPLY_UTF8;
  rawws_free(ws);
  return good;
}

static void expect_sessions(const struct fault_server *server,
                            const char *output) {
  int restored = 0;
  for (const char *end; (end = strchr(output, '\n')); output = end + 1) {
    if (strncmp(output, "key ", 4) != 0) continue;
    if (restore(server, output + 4, (size_t)(end - output) - 4)) restored++;
  }
  CU_ASSERT_EQUAL(restored, KILLED);
}

static void kill_clients(const char *const options[]) {
  struct fault_server server;
  if (!fault_start(&server, options)) return;
  struct rawws *ws = fault_client(&server, 0);
  CU_ASSERT_FATAL(ws != NULL);
  size_t fds = fault_fds(&server);
  struct proc *clients = start_clients(&server);
  char *output = proc_output(clients, PROC_STDOUT);
  proc_free(clients); /* by SIGKILL */
  CU_ASSERT(fault_wait_stat(ws, "connections", 1, 1));
  CU_ASSERT(fault_wait_stat(ws, "open_handlers", 0, 1)); /* the stats itself */
  CU_ASSERT(fault_wait_fds(&server, fds + 2));           /* of the store */
  expect_sessions(&server, output);
  free(output);
  rawws_free(ws);
  fault_stop(&server);
}

static void test_killed(void) {
  static const char *const options[] = {"--delay", "20", "--workers", "8",
                                        NULL};
  kill_clients(options);
}

static void remove_directory(const char *path) {
  DIR *dir = opendir(path);
  CU_ASSERT_FATAL(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    unlinkat(dirfd(dir), entry->d_name, 0); /* not "." and ".." */
  }
  closedir(dir);
  CU_ASSERT_EQUAL(rmdir(path), 0);
}

static void test_killed_file_store(void) {
  char directory[] = "/tmp/wwr-fault-XXXXXX";
  CU_ASSERT_FATAL(mkdtemp(directory) != NULL);
  const char *const options[] = {"--delay",    "20",      "--workers", "8",
                                 "--sessions", directory, NULL};
  kill_clients(options);
  remove_directory(directory);
}

static CU_TestInfo plain_tests[] = {
    {"no descriptors left", test_descriptors},
    {"killed clients", test_killed},
    {"killed clients, sessions in files", test_killed_file_store},
    CU_TEST_INFO_NULL,
};

static CU_TestInfo tls_tests[] = {
    {"TLS: killed clients", test_killed},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "--client") == 0) {
    return client_main(argv[2], strcmp(argv[3], "tls") == 0);
  }
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 2;
  CU_SuiteInfo suites[] = {
      {"limits", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"limits, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
