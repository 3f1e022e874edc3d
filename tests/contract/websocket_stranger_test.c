/* A context of lws that goes closes no descriptor of anybody else, although it
 * closes that of its event pipe twice, or never (docs/libwebsockets.md).
 *
 * This program's close() is the one that the libraries call, too: whenever an
 * event descriptor has been closed, "another thread" opens a file at once, and
 * has the number that was free first. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "websocket_raw.h"

enum { STRANGERS_MAX = 64, HOLES_MAX = 256, ROUNDS = 20 };

static atomic_bool watching;
static int strangers[STRANGERS_MAX];
static atomic_int stranger_count;

static bool is_event(int fd) {
  char path[32], target[32] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(path, target, sizeof target - 1);
  return len > 0 && strstr(target, "eventfd");
}

static void stranger_opens(void) {
  int at = atomic_fetch_add(&stranger_count, 1);
  if (at >= STRANGERS_MAX) return;
  strangers[at] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int close(int fd) {
  bool event = atomic_load(&watching) && is_event(fd);
  int result = (int)syscall(SYS_close, fd);
  if (event) stranger_opens();
  return result;
}

static bool is_theirs(int fd) {
  struct stat null, info;
  return stat("/dev/null", &null) == 0 && fstat(fd, &info) == 0 &&
         info.st_rdev == null.st_rdev && info.st_ino == null.st_ino;
}

/* Each of them still has what it opened. */
static void strangers_go(void) {
  int count = atomic_exchange(&stranger_count, 0);
  CU_ASSERT_TRUE(count >= 1 && count <= STRANGERS_MAX);
  for (int i = 0; i < count; i++) {
    CU_ASSERT_TRUE(is_theirs(strangers[i]));
    if (is_theirs(strangers[i])) close(strangers[i]);
  }
}

/* No number below the highest one is free: the next descriptor that is closed
 * is the next that is given out. */
static size_t fill_holes(int *holes) {
  size_t count = 0;
  int highest = dup(STDERR_FILENO), next;
  close(highest);
  for (int fd = 0; fd < HOLES_MAX; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) highest = fd;
  }
  while (count < HOLES_MAX && (next = dup(STDERR_FILENO)) >= 0) {
    holes[count++] = next;
    if (next > highest) break;
  }
  close(holes[--count]); /* the one above */
  return count;
}

static int open_count(void) {
  int count = 0;
  for (int fd = 0; fd < HOLES_MAX; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static void stop_among_strangers(void (*stop)(void)) {
  int holes[HOLES_MAX];
  size_t count = fill_holes(holes);
  atomic_store(&watching, true);
  stop();
  atomic_store(&watching, false);
  strangers_go();
  while (count > 0) close(holes[--count]);
}

static void stop_server(void) {
  raw.transport->ops->stop(raw.transport);
}

static void test_server(void) {
  for (int i = 0; i < ROUNDS; i++) {
    int before = open_count();
    raw_start();
    struct rawws *ws = raw_client(0);
    stop_among_strangers(stop_server);
    wwr_transport_free(raw.transport);
    raw.transport = NULL;
    rawws_free(ws);
    if (i > 0) CU_ASSERT_EQUAL(open_count(), before);
  }
}

static struct wwr_dialer *dialer;

static void stop_dialer(void) {
  dialer->ops->stop(dialer);
}

static void test_dialer(void) {
  static const struct wwri_dial_events none;
  const struct wwr_websocket_dialer_opts opts = {.url = "ws://127.0.0.1:1/"};
  const struct wwri_dialer_config config = {
      .loop = raw.loop, .events = &none, .max_message_bytes = MAX_MESSAGE};
  for (int i = 0; i < ROUNDS; i++) {
    int before = open_count();
    CU_ASSERT_EQUAL_FATAL(wwr_websocket_dialer_new(&dialer, &opts), WWR_OK);
    CU_ASSERT_EQUAL_FATAL(dialer->ops->start(dialer, &config), WWR_OK);
    stop_among_strangers(stop_dialer);
    wwr_dialer_free(dialer);
    if (i > 0) CU_ASSERT_EQUAL(open_count(), before);
  }
}

static CU_TestInfo tests[] = {
    {"server", test_server},
    {"dialer", test_dialer},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"strangers", NULL, NULL, raw_setup, raw_teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
