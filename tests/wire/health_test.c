/* --health-check, as an image's health check uses it: real servers, and what
 * may sit on their port instead of them. */
#include "admin.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct wire_server server;
static uint16_t admin;

static int begin(void) {
  static const char *const args[] = {"--admin", "127.0.0.1:0", "--drain-time",
                                     "30", NULL};
  if (!wire_start(&server, "echo-server", args)) return 1;
  admin = admin_port(server.proc);
  return admin ? 0 : 1;
}

static int end(void) {
  proc_free(server.proc);
  wire_dir_remove(&server.dir);
  return 0;
}

static struct proc *ask(uint16_t port, const char *path) {
  char url[128];
  snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)port, path);
  const char *const args[] = {"--health-check", url, NULL};
  return wire_program("echo-server", args);
}

/* It ends with `status` and says one line, on the right stream, with `text`. */
static bool says(struct proc *proc, int status, const char *text) {
  if (!proc) return false;
  int got = proc_wait_exit(proc, WIRE_MS);
  char *out = proc_output(proc, PROC_STDOUT);
  char *err = proc_output(proc, PROC_STDERR);
  const char *said = status == 0 ? out : err;
  bool good = got == status && strstr(said, text) &&
              *(said == out ? err : out) == '\0' &&
              strchr(said, '\n') == said + strlen(said) - 1;
  if (!good) fprintf(stderr, "status %d: %s%s\n", got, out, err);
  free(out);
  free(err);
  proc_free(proc);
  return good;
}

static void a_server(void) {
  CU_ASSERT_TRUE(says(ask(admin, "/live"), 0, "ok"));
  CU_ASSERT_TRUE(says(ask(admin, "/ready"), 0, "ready"));
  CU_ASSERT_TRUE(says(ask(admin, "/nothing"), 1, ": 404: "));
  CU_ASSERT_TRUE(says(ask(admin, ""), 1, ": 404: "));
}

/* Not ready any more, and as alive as before. */
static void a_server_that_drains(void) {
  struct rawws *ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  proc_signal(server.proc, SIGTERM);
  CU_ASSERT_TRUE(admin_wait_probe(admin, "/ready", 503));
  CU_ASSERT_TRUE(says(ask(admin, "/ready"), 1, ": 503: draining"));
  CU_ASSERT_TRUE(says(ask(admin, "/live"), 0, "ok"));
  rawws_free(ws);
  CU_ASSERT_EQUAL(proc_wait_exit(server.proc, WIRE_MS), 0);
  int held = wire_hold_port(admin);
  CU_ASSERT_TRUE(held < 0 || says(ask(admin, "/live"), 1, "refused"));
  if (held >= 0) close(held);
}

/* A listening socket of ours, and its port. */
static int listener(uint16_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
      listen(fd, 1) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
    return -1;
  }
  *port = ntohs(address.sin_port);
  return fd;
}

/* One that answers with these bytes, again and again if `forever`. */
static bool answered(const char *bytes, bool forever, int status,
                     const char *text) {
  uint16_t port;
  char request[512];
  int fd = listener(&port);
  if (fd < 0) return false;
  struct proc *proc = ask(port, "/live");
  struct pollfd coming = {.fd = fd, .events = POLLIN};
  int peer = poll(&coming, 1, WIRE_MS) == 1 ? accept(fd, NULL, NULL) : -1;
  bool good = peer >= 0 && recv(peer, request, sizeof request, 0) > 0;
  while (good && send(peer, bytes, strlen(bytes), MSG_NOSIGNAL) > 0 &&
         forever) {
  }
  if (peer >= 0) close(peer);
  close(fd);
  return says(proc, status, text) && good;
}

static void somebody_else(void) {
  CU_ASSERT_TRUE(answered("", false, 1, "no answer of HTTP"));
  CU_ASSERT_TRUE(answered("SSH-2.0-x\r\n\r\n", false, 1, "no answer of HTTP"));
  CU_ASSERT_TRUE(answered("HTTP/1.1 200 OK\r\n", false, 1, "no answer"));
  CU_ASSERT_TRUE(answered("HTTP/1.1 20 OK\r\n\r\n", false, 1, "no answer"));
  CU_ASSERT_TRUE(answered("HTTP/1.1 2000\r\n\r\n", false, 1, "no answer"));
  CU_ASSERT_TRUE(
      answered("HTTP/1.0 200 OK\r\n\r\n\x1b[2J\n", false, 0, "?[2J"));
  CU_ASSERT_TRUE(
      answered("HTTP/1.1 500 \r\n\r\na\nb\n\n", false, 1, "500: a;b"));
  CU_ASSERT_TRUE(answered("x", true, 1, "no answer of HTTP"));
}

/* The connection stands, nothing comes. */
static void silence(void) {
  uint16_t port;
  int fd = listener(&port);
  CU_ASSERT_TRUE_FATAL(fd >= 0);
  CU_ASSERT_TRUE(says(ask(port, "/live"), 1, "timed out"));
  close(fd);
}

static void no_url(void) {
  static const char *const urls[] = {
      "",           "127.0.0.1:80/live",  "https://127.0.0.1:1/live",
      "http://",    "http://127.0.0.1/x", "http://:80/live",
      "http://a:b", "http://a:1/x y",     "http://a:1/\r\nX: y"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    const char *const args[] = {"--health-check", urls[i], NULL};
    CU_ASSERT_TRUE(says(wire_program("echo-server", args), 2, "health-check"));
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"a server", a_server},
                         {"a server that drains", a_server_that_drains},
                         {"somebody else", somebody_else},
                         {"silence", silence},
                         {"no URL", no_url},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"health", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
