/* sessionstore_file_faults_test.c - the file store when the system fails it:
 * full disk, missing permissions, foreign file types, crashes. What counts is
 * always the same: a clear error, and nothing of the old file lost. */
#include "sessionstore_contract.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sessionstore_fixture.h"

enum { NOBODY = 65534, KILLS = 8 };

static const char *path_in(const char *name) {
  static char full[PATH_SIZE * 2];
  snprintf(full, sizeof full, "%s/%s", fx.dir, name);
  return full;
}

/* No file may grow past `bytes`: like a disk that fills up while writing. */
static rlim_t limit_file_size(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &limit);
  rlim_t old = limit.rlim_cur;
  limit.rlim_cur = bytes;
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
  return old;
}

static void a_full_disk_loses_nothing(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  for (rlim_t size = 0; size < 40; size += 13) {
    rlim_t old = limit_file_size(size);
    wwr_err created = create_key("new", NULL);
    wwr_err replaced = create_key("abc", "{\"n\":2}");
    struct wwr_session *found = find_key("abc");
    wwr_err closed = close_key("new");
    limit_file_size(old);
    CU_ASSERT_EQUAL(created, WWR_E_IO);
    CU_ASSERT_EQUAL(replaced, WWR_E_IO);
    CU_ASSERT_EQUAL(closed, WWR_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(wwr_session_info(found), "{\"n\":1}");
    CU_ASSERT_EQUAL(wwr_session_last_lookup(found), seconds_ns(CREATED_S + 1));
    wwr_session_unref(found);
    CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
  }
  CU_ASSERT(fixture_logged("can't write a session file directory="));
  CU_ASSERT(fixture_logged("reason=File too large"));
  CU_ASSERT(fixture_logged("restored but not its time of look-up"));
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

/* Root may do everything: be someone who may not. The directory stays
 * searchable, so that only what the test takes away is missing. */
static void become_nobody(mode_t directory_mode) {
  CU_ASSERT_EQUAL_FATAL(chmod(fx.root, 0555), 0);
  CU_ASSERT_EQUAL_FATAL(chmod(fx.dir, directory_mode), 0);
  if (geteuid() == 0) CU_ASSERT_EQUAL_FATAL(seteuid(NOBODY), 0);
}

static void be_oneself_again(void) {
  if (getuid() == 0) CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
  CU_ASSERT_EQUAL(chmod(fx.root, 0700), 0);
  CU_ASSERT_EQUAL(chmod(fx.dir, 0700), 0);
}

static void a_read_only_directory_loses_nothing(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(chmod(path_in("abc.wwrsess"), 0444), 0);
  become_nobody(0555);
  wwr_err created = create_key("new", NULL);
  wwr_err found = lookup_key("abc");
  wwr_err closed = close_key("abc");
  wwr_err unknown = lookup_key("unknown");
  be_oneself_again();
  CU_ASSERT_EQUAL(created, WWR_E_IO);
  CU_ASSERT_EQUAL(found, WWR_OK);
  CU_ASSERT_EQUAL(closed, WWR_E_IO);
  CU_ASSERT_EQUAL(unknown, WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT(fixture_logged("can't remove a session file file=abc.wwrsess"));
  CU_ASSERT(fixture_logged("reason=Permission denied"));
  CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void an_unreadable_file_is_an_error(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(chmod(path_in("abc.wwrsess"), 0), 0);
  become_nobody(0755);
  wwr_err found = lookup_key("abc");
  be_oneself_again();
  CU_ASSERT_EQUAL(found, WWR_E_IO);
  CU_ASSERT(fixture_logged("can't read a session file file=abc.wwrsess"));
  CU_ASSERT(fixture_logged("reason=Permission denied"));
  CU_ASSERT_EQUAL(chmod(path_in("abc.wwrsess"), 0600), 0);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void a_removed_directory_is_an_error(void) {
  CU_ASSERT_EQUAL_FATAL(rmdir(fx.dir), 0);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_E_IO);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_IO);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_E_IO);
  CU_ASSERT(fixture_logged("reason=the directory was removed"));
  CU_ASSERT_FALSE(file_exists("sessions"));
  fixture_reopen();
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
}

static void running_out_of_descriptors_is_an_error(void) {
  struct rlimit limit;
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
  struct rlimit none = {0, limit.rlim_max};
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
  wwr_err created = create_key("new", NULL);
  wwr_err found = lookup_key("abc");
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
  CU_ASSERT_EQUAL(created, WWR_E_IO);
  CU_ASSERT_EQUAL(found, WWR_E_IO);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void symbolic_links_are_not_followed(void) {
  static const char victim[] = "{\"c\":\"2017-10-21T16:50:13Z\"}";
  char text[64];
  put_file("victim", victim, sizeof victim - 1);
  CU_ASSERT_EQUAL(symlink("../victim", path_in("abc.wwrsess")), 0);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_IO);
  CU_ASSERT(fixture_logged("can't read a session file file=abc.wwrsess"));
  CU_ASSERT_EQUAL(symlink("nowhere", path_in("dangling.wwrsess")), 0);
  CU_ASSERT_EQUAL(lookup_key("dangling"), WWR_E_IO);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  get_file("victim", text, sizeof text);
  CU_ASSERT_STRING_EQUAL(text, victim);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT(file_exists("victim"));
}

static void other_file_types_are_refused(void) {
  CU_ASSERT_EQUAL(mkdir(path_in("dir.wwrsess"), 0700), 0);
  CU_ASSERT_EQUAL(mkfifo(path_in("pipe.wwrsess"), 0600), 0);
  CU_ASSERT_EQUAL(lookup_key("dir"), WWR_E_IO);
  CU_ASSERT_EQUAL(create_key("dir", NULL), WWR_E_IO);
  CU_ASSERT_EQUAL(close_key("dir"), WWR_E_IO);
  CU_ASSERT_EQUAL(lookup_key("pipe"), WWR_E_IO);
  CU_ASSERT_EQUAL(close_key("pipe"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "dir.wwrsess ");
}

static void expect_refused(const char *directory, const char *reason) {
  struct wwr_sessionstore *store = fx.store;
  fixture_forget_log();
  CU_ASSERT_EQUAL(wwr_filestore_new(&store, directory, &fx.log), WWR_E_IO);
  CU_ASSERT_PTR_NULL(store);
  CU_ASSERT(fixture_logged("can't use the session directory directory="));
  CU_ASSERT(fixture_logged(reason));
}

static void an_unusable_directory_is_refused_at_start(void) {
  char path[PATH_SIZE];
  put_file("plain", "x", 1);
  snprintf(path, sizeof path, "%s/plain", fx.root);
  expect_refused(path, "reason=Not a directory");
  snprintf(path, sizeof path, "%s/no/parent", fx.root);
  expect_refused(path, "reason=No such file or directory");
  expect_refused("", "reason=No such file or directory");
  become_nobody(0555);
  expect_refused(fx.dir, "reason=Permission denied");
  snprintf(path, sizeof path, "%s/new", fx.root);
  expect_refused(path, "reason=Permission denied");
  be_oneself_again();
  CU_ASSERT_FALSE(file_exists("new"));
}

static void an_open_directory_is_warned_about(void) {
  CU_ASSERT_EQUAL(chmod(fx.dir, 0750), 0);
  fixture_reopen();
  CU_ASSERT(fixture_logged("session directory is open to other users"));
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
}

static void a_crash_leaves_nothing_behind(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  put_file("sessions/.00000000000000ab.wwrtmp", "{\"c\":", 5);
  put_file("sessions/.ffffffffffffffff.wwrtmp", "", 0);
  put_file("sessions/.other.wwrtmp", "", 0);
  put_file("sessions/0000000000000000.wwrtmp", "", 0);
  put_file("sessions/.00000000000000ab.wwrtmp~", "", 0);
  fixture_reopen();
  CU_ASSERT_STRING_EQUAL(listing(),
                         ".00000000000000ab.wwrtmp~ .other.wwrtmp "
                         "0000000000000000.wwrtmp abc.wwrsess ");
  CU_ASSERT(fixture_logged("removed a temporary session file"));
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void the_files_of_a_running_store_are_left_alone(void) {
  struct wwr_sessionstore *second;
  put_file("sessions/.00000000000000ab.wwrtmp", "", 0);
  CU_ASSERT_EQUAL_FATAL(wwr_filestore_new(&second, fx.dir, &fx.log), WWR_OK);
  CU_ASSERT(file_exists("sessions/.00000000000000ab.wwrtmp"));
  CU_ASSERT(fixture_logged("session directory is already in use"));
  second->ops->free(second);
  fixture_reopen();
  CU_ASSERT_FALSE(file_exists("sessions/.00000000000000ab.wwrtmp"));
}

/* Writes until it is killed; a byte into the pipe after each round. */
static void write_until_killed(int progress) {
  char info[64];
  alarm(30);
  if (fx.subject->open(&fx.store, fx.dir, NULL) != WWR_OK) _exit(1);
  for (int i = 0;; i++) {
    struct wwr_session *session;
    snprintf(info, sizeof info, "{\"n\":%d}", i);
    if (wwr_session_new(&session, wwr_view_str("abc"), 1, 1, info) != WWR_OK ||
        do_create(session).err != WWR_OK ||
        do_lookup(wwr_view_str("abc")).err != WWR_OK ||
        write(progress, "", 1) != 1) {
      _exit(1);
    }
  }
}

static void kill_a_writer(int rounds) {
  int progress[2];
  char byte;
  CU_ASSERT_EQUAL_FATAL(pipe(progress), 0);
  pid_t child = fork();
  if (child == 0) write_until_killed(progress[1]);
  close(progress[1]);
  for (int i = 0; i < rounds; i++) {
    CU_ASSERT_EQUAL(read(progress[0], &byte, 1), 1);
  }
  int status;
  kill(child, SIGKILL);
  CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
  CU_ASSERT(WIFSIGNALED(status));
  close(progress[0]);
}

static void a_killed_writer_leaves_a_whole_file(void) {
  for (int i = 1; i <= KILLS; i++) {
    fx.store->ops->free(fx.store);
    fx.store = NULL;
    kill_a_writer(i);
    fixture_reopen();
    CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
    CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  }
}

CU_TestInfo sessionstore_file_faults[] = {
    {"a_full_disk_loses_nothing", a_full_disk_loses_nothing},
    {"a_read_only_directory_loses_nothing",
     a_read_only_directory_loses_nothing},
    {"an_unreadable_file_is_an_error", an_unreadable_file_is_an_error},
    {"a_removed_directory_is_an_error", a_removed_directory_is_an_error},
    {"running_out_of_descriptors_is_an_error",
     running_out_of_descriptors_is_an_error},
    {"symbolic_links_are_not_followed", symbolic_links_are_not_followed},
    {"other_file_types_are_refused", other_file_types_are_refused},
    {"an_unusable_directory_is_refused_at_start",
     an_unusable_directory_is_refused_at_start},
    {"an_open_directory_is_warned_about", an_open_directory_is_warned_about},
    {"a_crash_leaves_nothing_behind", a_crash_leaves_nothing_behind},
    {"the_files_of_a_running_store_are_left_alone",
     the_files_of_a_running_store_are_left_alone},
    {"a_killed_writer_leaves_a_whole_file",
     a_killed_writer_leaves_a_whole_file},
    CU_TEST_INFO_NULL,
};
