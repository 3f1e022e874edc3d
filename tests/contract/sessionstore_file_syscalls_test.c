/* sessionstore_file_syscalls_test.c - the file store's system calls: that they
 * come in the order that survives a power cut, and that each of them may fail,
 * be interrupted or do only a part. */
#include "sessionstore_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sessionstore_fixture.h"

int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);

enum { TRACE_SIZE = 256, NO_FAILURE = -1 };

/* Only used by the tests of this file, which have one thread. */
static struct {
  bool on;
  char trace[TRACE_SIZE]; /* a letter per call */
  size_t calls;
  long fail_at; /* the call that fails with `error` */
  int error;
  bool byte_by_byte; /* reads and writes do one byte, every other EINTR */
} sys;

static void watch(long fail_at, int error) {
  memset(&sys, 0, sizeof sys);
  sys.fail_at = fail_at;
  sys.error = error;
  sys.on = true;
}

/* The number of calls made. */
static size_t unwatch(void) {
  sys.on = false;
  return sys.calls;
}

static bool must_fail(char letter) {
  if (!sys.on) return false;
  if (sys.calls < TRACE_SIZE - 1) sys.trace[sys.calls] = letter;
  if ((long)sys.calls++ != sys.fail_at) return false;
  errno = sys.error;
  return true;
}

static bool interrupted(size_t *len) {
  if (!sys.on || !sys.byte_by_byte) return false;
  if (*len > 1) *len = 1;
  errno = EINTR;
  return sys.calls % 2 == 0;
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
  va_end(args);
  if (must_fail(flags & O_CREAT ? 'c' : 'o')) return -1;
  return __real_openat(dir_fd, path, flags, mode);
}

ssize_t __wrap_read(int fd, void *bytes, size_t len) {
  if (must_fail('r') || interrupted(&len)) return -1;
  return __real_read(fd, bytes, len);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
  if (must_fail('w') || interrupted(&len)) return -1;
  return __real_write(fd, bytes, len);
}

int __wrap_fsync(int fd) {
  return must_fail('s') ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to) {
  if (must_fail('m')) return -1;
  return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags) {
  return must_fail('u') ? -1 : __real_unlinkat(dir_fd, path, flags);
}

static void calls_come_in_the_safe_order(void) {
  watch(NO_FAILURE, 0);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  unwatch();
  CU_ASSERT_STRING_EQUAL(sys.trace, "cwsms");
  watch(NO_FAILURE, 0);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  unwatch();
  CU_ASSERT_STRING_EQUAL(sys.trace, "orcwsms");
  watch(NO_FAILURE, 0);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  unwatch();
  CU_ASSERT_STRING_EQUAL(sys.trace, "us");
  watch(NO_FAILURE, 0);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(lookup_key("../abc"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(close_key("*"), WWR_OK);
  unwatch();
  CU_ASSERT_STRING_EQUAL(sys.trace, "o");
}

static void partial_and_interrupted_calls_are_repeated(void) {
  watch(NO_FAILURE, 0);
  sys.byte_by_byte = true;
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  struct wwr_session *found = find_key("abc");
  struct wwr_session *again = find_key("abc");
  unwatch();
  CU_ASSERT_FATAL(found && again);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(again), "{\"n\":1}");
  CU_ASSERT_EQUAL(wwr_session_last_lookup(found), seconds_ns(CREATED_S + 1));
  CU_ASSERT(wwr_session_last_lookup(again) > seconds_ns(CREATED_S + 1));
  wwr_session_unref(found);
  wwr_session_unref(again);
  for (long n = 0; n < 5; n += 2) { /* the syncs of "cwsms" are 2 and 4 */
    watch(n, n == 0 ? EEXIST : EINTR);
    CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
    CU_ASSERT_EQUAL(unwatch(), 6);
  }
}

/* What is in the file now: "{"n":1}", "{"n":2}"; NULL: none. */
static const char *stored_info(void) {
  static char info[32];
  struct wwr_session *found = find_key("abc");
  if (!found) return "none";
  snprintf(info, sizeof info, "%s", wwr_session_info(found));
  wwr_session_unref(found);
  return info;
}

static void a_failing_replacement_keeps_the_old_file(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  for (long n = 0;; n++) {
    fixture_forget_log();
    watch(n, ENOSPC);
    wwr_err err = create_key("abc", "{\"n\":2}");
    size_t calls = unwatch();
    if (calls <= (size_t)n) break;
    CU_ASSERT_EQUAL(err, WWR_E_IO);
    CU_ASSERT(fixture_logged("reason=No space left on device"));
    CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
    /* Only the sync of the directory comes after the replacement. */
    CU_ASSERT_STRING_EQUAL(stored_info(), n < 4 ? "{\"n\":1}" : "{\"n\":2}");
    CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  }
  CU_ASSERT_STRING_EQUAL(stored_info(), "{\"n\":2}");
}

static void a_failing_lookup_says_so_or_answers(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  for (long n = 0;; n++) {
    fixture_forget_log();
    watch(n, EIO);
    wwr_err err = lookup_key("abc");
    size_t calls = unwatch();
    if (calls <= (size_t)n) break;
    /* "or": opening and reading, then it was found. */
    CU_ASSERT_EQUAL(err, n < 2 ? WWR_E_IO : WWR_OK);
    CU_ASSERT(fixture_logged("reason=Input/output error"));
    CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
    CU_ASSERT_STRING_EQUAL(stored_info(), "{\"n\":1}");
  }
}

static void a_failing_close_is_an_error(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  for (long n = 0; n < 2; n++) {
    watch(n, EIO);
    CU_ASSERT_EQUAL(close_key("abc"), WWR_E_IO);
    unwatch();
  }
  CU_ASSERT(fixture_logged("can't remove a session file file=abc.wwrsess"));
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
}

static void directories_that_can_not_be_synced_are_fine(void) {
  watch(4, EINVAL);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(unwatch(), 5);
}

static void a_leftover_of_a_failed_clean_up_goes_at_the_next_start(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  put_file("sessions/.00000000000000ab.wwrtmp", "", 0);
  for (long n = 0; n < 5; n++) {
    struct wwr_sessionstore *store;
    fx.store->ops->free(fx.store);
    fx.store = NULL;
    watch(n, EACCES);
    wwr_err err = fx.subject->open(&store, fx.dir, &fx.log);
    unwatch();
    CU_ASSERT_EQUAL(err == WWR_OK, store != NULL);
    if (store) store->ops->free(store);
    fixture_reopen();
    CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
    put_file("sessions/.00000000000000ab.wwrtmp", "", 0);
  }
}

CU_TestInfo sessionstore_file_syscalls[] = {
    {"calls_come_in_the_safe_order", calls_come_in_the_safe_order},
    {"partial_and_interrupted_calls_are_repeated",
     partial_and_interrupted_calls_are_repeated},
    {"a_failing_replacement_keeps_the_old_file",
     a_failing_replacement_keeps_the_old_file},
    {"a_failing_lookup_says_so_or_answers",
     a_failing_lookup_says_so_or_answers},
    {"a_failing_close_is_an_error", a_failing_close_is_an_error},
    {"directories_that_can_not_be_synced_are_fine",
     directories_that_can_not_be_synced_are_fine},
    {"a_leftover_of_a_failed_clean_up_goes_at_the_next_start",
     a_leftover_of_a_failed_clean_up_goes_at_the_next_start},
    CU_TEST_INFO_NULL,
};
