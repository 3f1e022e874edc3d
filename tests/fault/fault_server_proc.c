/* The server's process from outside: start, counters, descriptors, memory,
 * end. */
#include "fault.h"

#include "cert.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ARGS = 48, POLL_MS = 5, EXIT_MS = 20000 };

static struct test_cert cert;
static bool tls;

static void remove_cert(void) {
  test_cert_remove(&cert);
}

int fault_use_plain(void) {
  tls = false;
  return 0;
}

int fault_use_tls(void) {
  tls = true;
  return 0;
}

bool fault_is_tls(void) {
  return tls;
}

/* --- Start and end -------------------------------------------------------- */

/* A process that only plays clients needs none, and may be killed before it
 * could remove it. */
static bool have_cert(void) {
  if (!tls || cert.dir[0]) return true;
  return test_cert_make(&cert) && atexit(remove_cert) == 0;
}

static size_t append(const char **argv, size_t n, const char *const more[]) {
  for (size_t i = 0; more && more[i] && n < MAX_ARGS; i++) argv[n++] = more[i];
  return n;
}

bool fault_start_under(struct fault_server *server, const char *const runner[],
                       const char *const options[]) {
  CU_ASSERT_FATAL(have_cert());
  const char *argv[MAX_ARGS + 1] = {NULL};
  const char *const program[] = {FAULT_SERVER, NULL};
  const char *const certificate[] = {"--tls-cert", cert.cert_file, "--tls-key",
                                     cert.key_file, NULL};
  size_t n = append(argv, 0, runner);
  n = append(argv, n, program);
  if (tls) n = append(argv, n, certificate);
  append(argv, n, options);
  server->proc = proc_start(argv);
  server->port = server->proc ? proc_wait_listening(server->proc, 60000) : 0;
  CU_ASSERT_FATAL(server->port != 0);
  return server->port != 0;
}

bool fault_start(struct fault_server *server, const char *const options[]) {
  return fault_start_under(server, NULL, options);
}

static void expect_clean_stderr(struct proc *proc) {
  static const char *const bad[] = {"Sanitizer", "runtime error", "Assertion",
                                    "ERROR SUMMARY: 1"};
  char *text = proc_output(proc, PROC_STDERR);
  for (size_t i = 0; text && i < sizeof bad / sizeof bad[0]; i++) {
    bool clean = strstr(text, bad[i]) == NULL;
    CU_ASSERT(clean);
    if (!clean) fprintf(stderr, "server's stderr: %.20000s\n", text);
    if (!clean) break;
  }
  free(text);
}

void fault_expect_exit(struct fault_server *server, int timeout_ms) {
  int status = proc_wait_exit(server->proc, timeout_ms);
  CU_ASSERT_EQUAL(status, 0);
  if (status != 0) fprintf(stderr, "the server's exit status: %d\n", status);
  expect_clean_stderr(server->proc);
  proc_free(server->proc);
  server->proc = NULL;
}

void fault_stop(struct fault_server *server) {
  CU_ASSERT(proc_signal(server->proc, SIGTERM));
  fault_expect_exit(server, EXIT_MS);
}

size_t fault_count_logged(const struct fault_server *server, const char *text) {
  char *all = proc_output(server->proc, PROC_STDERR);
  size_t count = 0;
  for (const char *at = all; at && (at = strstr(at, text)); at++) count++;
  free(all);
  return count;
}

/* --- What it holds -------------------------------------------------------- */

size_t fault_fds(const struct fault_server *server) {
  char path[64];
  size_t count = 0;
  snprintf(path, sizeof path, "/proc/%d/fd", (int)proc_pid(server->proc));
  DIR *dir = opendir(path);
  if (!dir) return 0;
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] != '.') count++;
  }
  closedir(dir);
  return count;
}

uint64_t fault_rss(const struct fault_server *server) {
  return proc_rss_bytes(proc_pid(server->proc));
}

uint64_t fault_live_rss(const struct fault_server *server, struct rawws *ws) {
  struct fault_reply reply;
  CU_ASSERT(fault_call(ws, "trim", NULL, 0, &reply));
  return fault_rss(server);
}

static void pause_ms(long ms) {
  const struct timespec step = {0, ms * 1000000};
  nanosleep(&step, NULL);
}

bool fault_wait_fds(const struct fault_server *server, size_t max) {
  size_t open = 0;
  for (int left = FAULT_WAIT_MS; left > 0; left -= POLL_MS) {
    open = fault_fds(server);
    if (open <= max) return true;
    pause_ms(POLL_MS);
  }
  fprintf(stderr, "%zu descriptors are open, expected %zu\n", open, max);
  return false;
}

/* --- Counters ------------------------------------------------------------- */

long long fault_stat(struct rawws *ws, const char *name) {
  struct fault_reply reply;
  char text[600], key[40];
  if (!fault_call(ws, "stats", NULL, 0, &reply) || reply.len >= sizeof text) {
    return -1;
  }
  text[0] = ' ';
  memcpy(text + 1, reply.payload, reply.len);
  text[reply.len + 1] = '\0';
  snprintf(key, sizeof key, " %s=", name);
  const char *at = strstr(text, key);
  return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

bool fault_wait_stat(struct rawws *ws, const char *name, long long min,
                     long long max) {
  long long value = -1;
  for (int left = FAULT_WAIT_MS; left > 0; left -= POLL_MS) {
    value = fault_stat(ws, name);
    if (value < 0 || (value >= min && value <= max)) break;
    pause_ms(POLL_MS);
  }
  if (value >= min && value <= max) return true;
  fprintf(stderr, "%s is %lld, expected %lld to %lld\n", name, value, min, max);
  return false;
}
