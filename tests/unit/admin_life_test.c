/* The admin listener in the test's own process: what it calls back, its token's
 * change, its beginning and end, and what it does without memory. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <webwire/wwr_memory.h>

#include "admin.h"
#include "test.h"

enum { ANSWER_MAX = 32768, WAIT_SECONDS = 20 };

static struct wwr_memory_hub *hub;
static struct wwr_server *server;
static atomic_int drains, reloads;

static int begin(void) {
  struct wwr_server_opts opts;
  wwr_server_opts_default(&opts);
  if (wwr_memory_hub_new(&hub) ||
      wwr_memory_transport_new(&opts.transport, hub) ||
      wwr_server_new(&server, &opts, NULL)) {
    return 1;
  }
  return wwr_server_start(server) ? 1 : 0;
}

static int end(void) {
  wwr_server_free(server);
  wwr_memory_hub_free(hub);
  return 0;
}

static void on_drain(void *user_data) {
  (void)user_data;
  drains++;
}

static wwr_err on_reload(char reason[WWRI_ADMIN_REASON_MAX], void *user_data) {
  (void)user_data;
  reloads++;
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "a comma is missing");
  return reloads == 1 ? WWR_OK : WWR_E_INVALID;
}

static void on_counters(struct wwri_admin_counters *out, void *user_data) {
  (void)user_data;
  out->auth_bad = 42;
}

static struct wwri_admin_opts options(void) {
  return (struct wwri_admin_opts){
      .listen = "127.0.0.1:0", .token = "right", .server = server};
}

static struct wwri_admin *open_admin(const struct wwri_admin_opts *opts) {
  struct wwri_admin *admin;
  char reason[WWRI_ADMIN_REASON_MAX];
  CU_ASSERT_EQUAL_FATAL(wwri_admin_new(&admin, opts, reason), WWR_OK);
  return admin;
}

/* --- A client that allocates nothing -------------------------------------- */

static int dial(const struct wwri_admin *admin) {
  const char *port = strrchr(wwri_admin_address(admin), ':') + 1;
  struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct timeval wait = {WAIT_SECONDS, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* The whole answer; its status, or -1 when there was none. */
static int ask(const struct wwri_admin *admin, const char *line,
               const char *token, char answer[ANSWER_MAX]) {
  char head[512];
  int fd = dial(admin), status = -1;
  size_t len = 0;
  ssize_t n = 1;
  snprintf(head, sizeof head,
           "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
           "Authorization: Bearer %s\r\n\r\n",
           line, token);
  if (send(fd, head, strlen(head), MSG_NOSIGNAL) != (ssize_t)strlen(head)) {
    n = 0;
  }
  while (n > 0 && len < ANSWER_MAX - 1) {
    n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0);
    if (n > 0) len += (size_t)n;
  }
  answer[len] = '\0';
  close(fd);
  sscanf(answer, "HTTP/1.1 %d", &status);
  return status;
}

static char answer[ANSWER_MAX];

/* --- Its life ------------------------------------------------------------- */

static void addresses_that_are_none(void) {
  static const char *const rows[] = {"", "nonsense", "127.0.0.1",
                                     "127.0.0.1:99999"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct wwri_admin_opts opts = options();
    struct wwri_admin *admin;
    char reason[WWRI_ADMIN_REASON_MAX];
    opts.listen = rows[i];
    CU_ASSERT_EQUAL(wwri_admin_new(&admin, &opts, reason), WWR_E_INVALID);
    CU_ASSERT_PTR_NULL(admin);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "is no HOST:PORT"));
  }
}

static void an_address_that_is_taken(void) {
  struct wwri_admin_opts opts = options();
  struct wwri_admin *first = open_admin(&opts), *second;
  char reason[WWRI_ADMIN_REASON_MAX];
  opts.listen = wwri_admin_address(first) + strlen("http://");
  CU_ASSERT_EQUAL(wwri_admin_new(&second, &opts, reason), WWR_E_IO);
  CU_ASSERT_PTR_NULL(second);
  CU_ASSERT_PTR_NOT_NULL(strstr(reason, "in use"));
  CU_ASSERT_EQUAL(wwri_admin_new(&second, &opts, NULL), WWR_E_IO);
  wwri_admin_free(first);
  wwri_admin_free(NULL);
}

static void a_token_changes(void) {
  struct wwri_admin_opts opts = options();
  opts.token = "not right";
  struct wwri_admin *admin;
  CU_ASSERT_EQUAL(wwri_admin_new(&admin, &opts, NULL), WWR_E_INVALID);
  opts.token = NULL;
  admin = open_admin(&opts);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "right", answer), 403);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "", answer), 403);
  CU_ASSERT_EQUAL(wwri_admin_set_token(admin, "right"), WWR_OK);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "right", answer), 200);
  CU_ASSERT_EQUAL(wwri_admin_set_token(admin, "other"), WWR_OK);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "right", answer), 401);
  CU_ASSERT_EQUAL(wwri_admin_set_token(admin, "a b"), WWR_E_INVALID);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "other", answer), 200);
  CU_ASSERT_EQUAL(wwri_admin_set_token(admin, NULL), WWR_OK);
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/node", "other", answer), 403);
  wwri_admin_free(admin);
}

static void what_it_calls(void) {
  struct wwri_admin_opts opts = options();
  opts.drain = on_drain;
  opts.reload = on_reload;
  opts.counters = on_counters;
  opts.name = "here";
  struct wwri_admin *admin = open_admin(&opts);
  CU_ASSERT_EQUAL(ask(admin, "POST /api/v1/drain", "right", answer), 202);
  CU_ASSERT_EQUAL(drains, 1);
  CU_ASSERT_EQUAL(ask(admin, "POST /api/v1/reload", "right", answer), 202);
  CU_ASSERT_EQUAL(ask(admin, "POST /api/v1/reload", "right", answer), 409);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer, "a comma is missing"));
  CU_ASSERT_EQUAL(ask(admin, "GET /metrics", "", answer), 200);
  CU_ASSERT_PTR_NOT_NULL(
      strstr(answer, "\nwebwire_auth_total{result=\"bad\"} 42\n"));
  CU_ASSERT_PTR_NOT_NULL(strstr(answer, "node=\"here\""));
  CU_ASSERT_EQUAL(ask(admin, "GET /api/v1/sessions/x", "right", answer), 409);
  CU_ASSERT_PTR_NOT_NULL(strstr(answer, "sessions-disabled"));
  wwri_admin_free(admin);
}

static void without_callbacks(void) {
  struct wwri_admin_opts opts = options();
  struct wwri_admin *admin = open_admin(&opts);
  CU_ASSERT_EQUAL(ask(admin, "POST /api/v1/drain", "right", answer), 409);
  CU_ASSERT_EQUAL(ask(admin, "POST /api/v1/reload", "right", answer), 409);
  wwri_admin_free(admin);
}

/* --- Without memory ------------------------------------------------------- */

static void no_memory_at_the_start(void) {
  struct wwri_admin_opts opts = options();
  opts.name = "here";
  for (long n = 0;; n++) {
    struct wwri_admin *admin;
    test_alloc_fail_at(n);
    wwr_err err = wwri_admin_new(&admin, &opts, NULL);
    wwri_admin_free(admin);
    if (!test_alloc_failed()) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      CU_ASSERT_TRUE(n > 2);
      return;
    }
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    CU_ASSERT_FATAL(n < 100);
  }
}

/* An answer, 503 or a closed connection; the next request is answered. */
static void no_memory_for_a_request(void) {
  static const char *const lines[] = {"GET /live",
                                      "GET /metrics",
                                      "GET /api/v1/node",
                                      "GET /api/v1/nodes",
                                      "GET /api/v1/channels",
                                      "GET /api/v1/channels/a",
                                      "GET /api/v1/connections",
                                      "GET /api/v1/nothing"};
  struct wwri_admin_opts opts = options();
  struct wwri_admin *admin = open_admin(&opts);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    int good = ask(admin, lines[i], "right", answer);
    bool failed = true;
    for (long n = 0; failed && n < 100; n++) {
      test_alloc_fail_at(n);
      int status = ask(admin, lines[i], "right", answer);
      failed = test_alloc_failed();
      CU_ASSERT_TRUE(status == good || status == 503 || status == -1);
      CU_ASSERT_EQUAL(ask(admin, lines[i], "right", answer), good);
    }
    CU_ASSERT_FALSE(failed);
  }
  wwri_admin_free(admin);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"addresses that are none", addresses_that_are_none},
                         {"an address that is taken", an_address_that_is_taken},
                         {"a token changes", a_token_changes},
                         {"what it calls", what_it_calls},
                         {"without callbacks", without_callbacks},
                         {"no memory at the start", no_memory_at_the_start},
                         {"no memory for a request", no_memory_for_a_request},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"admin_life", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
