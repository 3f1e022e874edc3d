/* sessionstore_file_format_test.c - the file store's files: their names, modes
 * and contents, those of other implementations, and damaged ones. */
#include "sessionstore_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sessionstore_fixture.h"

enum { MIB = 1024 * 1024 };

/* As the Go implementation writes it. */
static const char go_file[] =
    "{\"c\":\"2017-10-21T18:50:13.123456789+02:00\","
    "\"l\":\"2017-10-21T18:50:13+02:00\",\"i\":{\"username\":\"x\"}}";

static unsigned mode_of(const char *path) {
  char full[PATH_SIZE * 2];
  struct stat st;
  snprintf(full, sizeof full, "%s/%s", fx.root, path);
  CU_ASSERT_EQUAL_FATAL(stat(full, &st), 0);
  return st.st_mode & 07777;
}

static void files_have_the_documented_form(void) {
  char text[256];
  CU_ASSERT_EQUAL(create_key("abc", "{\"username\":\"x\"}"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
  get_file("sessions/abc.wwrsess", text, sizeof text);
  CU_ASSERT_STRING_EQUAL(text,
                         "{\"c\":\"2017-10-21T16:50:13.000000005Z\","
                         "\"l\":\"2017-10-21T16:50:14Z\","
                         "\"i\":{\"username\":\"x\"}}");
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "abc.wwrsess ");
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "");
}

static void nobody_else_may_read(void) {
  mode_t old = umask(0);
  fixture_close();
  fixture_open(&subject_file);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(mode_of("sessions"), 0700);
  CU_ASSERT_EQUAL(mode_of("sessions/abc.wwrsess"), 0600);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(mode_of("sessions/abc.wwrsess"), 0600);
  CU_ASSERT_FALSE(fixture_logged("open to other users"));
  umask(old);
}

static void reads_files_of_the_go_implementation(void) {
  put_file("sessions/abc.wwrsess", go_file, sizeof go_file - 1);
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(found), "abc");
  CU_ASSERT_EQUAL(wwr_session_created(found),
                  seconds_ns(CREATED_S) + 123456789);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(found), seconds_ns(CREATED_S));
  CU_ASSERT_STRING_EQUAL(wwr_session_info(found), "{\"username\":\"x\"}");
  wwr_session_unref(found);
  found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_EQUAL(wwr_session_created(found),
                  seconds_ns(CREATED_S) + 123456789);
  CU_ASSERT(wwr_session_last_lookup(found) > seconds_ns(CREATED_S));
  CU_ASSERT_STRING_EQUAL(wwr_session_info(found), "{\"username\":\"x\"}");
  wwr_session_unref(found);
}

#define TIMES \
  "\"c\":\"2017-10-21T18:50:13+02:00\",\"l\":\"2017-10-21T18:50:13Z\""

static void reads_files_without_info(void) {
  static const char *const files[] = {
      "{" TIMES "}", "{" TIMES ",\"i\":null}",
      "{\"c\":\"2017-10-21T18:50:13+02:00\"}\n"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    put_file("sessions/abc.wwrsess", files[i], strlen(files[i]));
    struct wwr_session *found = find_key("abc");
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(wwr_session_created(found), seconds_ns(CREATED_S));
    CU_ASSERT_PTR_NULL(wwr_session_info(found));
    wwr_session_unref(found);
  }
}

/* An error that names the file, and the file left for who looks into it. */
static void expect_damaged(const char *bytes, size_t len) {
  fixture_forget_log();
  put_file("sessions/abc.wwrsess", bytes, len);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_IO);
  CU_ASSERT(fixture_logged("session file is damaged file=abc.wwrsess"));
  CU_ASSERT(file_exists("sessions/abc.wwrsess"));
}

static void damaged_files_are_errors(void) {
  static const char *const files[] = {
      "null",
      "[]",
      "\"\"",
      "{}",
      "{\"l\":\"2017-10-21T18:50:13Z\"}",
      "{\"c\":1}",
      "{\"c\":\"yesterday\"}",
      "{\"c\":\"2017-10-21T18:50:13Z\",\"l\":7}",
      "{\"c\":\"2017-10-21T18:50:13Z\",\"i\":[]}",
      "{\"c\":\"2017-10-21T18:50:13Z\"}}",
      "\xff\xfe{"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    expect_damaged(files[i], strlen(files[i]));
  }
  static const char zeros[4096];
  expect_damaged(zeros, sizeof zeros);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "");
}

static void every_truncation_is_an_error(void) {
  for (size_t len = 0; len < sizeof go_file - 1; len++) {
    expect_damaged(go_file, len);
  }
}

static void put_padded(size_t len) {
  char *bytes = malloc(len);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  memset(bytes, ' ', len);
  memcpy(bytes, go_file, sizeof go_file - 1);
  put_file("sessions/abc.wwrsess", bytes, len);
  free(bytes);
}

static void huge_files_are_not_read(void) {
  char full[PATH_SIZE * 2];
  put_padded(MIB + 1);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_IO);
  CU_ASSERT(fixture_logged("can't read a session file file=abc.wwrsess"));
  snprintf(full, sizeof full, "%s/abc.wwrsess", fx.dir);
  CU_ASSERT_EQUAL(truncate(full, (off_t)1 << 40), 0);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_IO);
  put_padded(MIB);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void huge_sessions_are_not_written(void) {
  static char info[MIB + 16];
  memset(info, 'x', sizeof info);
  memcpy(info, "{\"n\":\"", 6);
  memcpy(info + sizeof info - 3, "\"}", 3);
  CU_ASSERT_EQUAL(create_key("abc", info), WWR_E_LIMIT);
  CU_ASSERT_STRING_EQUAL(listing(), "");
  CU_ASSERT(fixture_logged("can't write a session file"));
}

static void strange_keys_of_a_generator_are_refused(void) {
  char key[130];
  memset(key, 'k', 129);
  key[129] = '\0';
  static const char *const keys[] = {"../x", "a/b", ".", "a b", "\xc3\xa4"};
  CU_ASSERT_EQUAL(create_key(key, NULL), WWR_E_INVALID);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    fixture_forget_log();
    CU_ASSERT_EQUAL(create_key(keys[i], NULL), WWR_E_INVALID);
    CU_ASSERT(fixture_logged("can't store a session"));
  }
  CU_ASSERT_STRING_EQUAL(listing(), "");
  CU_ASSERT_FALSE(file_exists("x.wwrsess"));
}

static void sessions_survive_reopening(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  CU_ASSERT_EQUAL(create_key("gone", NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(close_key("gone"), WWR_OK);
  fixture_reopen();
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(found), "{\"n\":1}");
  CU_ASSERT(wwr_session_last_lookup(found) > seconds_ns(CREATED_S + 1));
  wwr_session_unref(found);
  CU_ASSERT_EQUAL(lookup_key("gone"), WWR_E_SESSION_NOT_FOUND);
}

/* Wants a writable directory beside the test program, as a server has. */
static void the_default_directory_is_beside_the_program(void) {
  char path[PATH_SIZE * 4];
  struct wwr_sessionstore *store;
  struct stat st;
  ssize_t len = readlink("/proc/self/exe", path, sizeof path - 16);
  CU_ASSERT_FATAL(len > 0);
  path[len] = '\0';
  char *name = strrchr(path, '/') + 1;
  memcpy(name, "wwrsess", sizeof "wwrsess");
  bool was_there = stat(path, &st) == 0;
  CU_ASSERT_EQUAL_FATAL(wwr_filestore_new(&store, NULL, NULL), WWR_OK);
  CU_ASSERT_EQUAL(stat(path, &st), 0);
  CU_ASSERT(S_ISDIR(st.st_mode));
  CU_ASSERT_TRUE(store->ops->blocking);
  store->ops->free(store);
  if (!was_there) CU_ASSERT_EQUAL(rmdir(path), 0);
}

CU_TestInfo sessionstore_file_format[] = {
    {"files_have_the_documented_form", files_have_the_documented_form},
    {"nobody_else_may_read", nobody_else_may_read},
    {"reads_files_of_the_go_implementation",
     reads_files_of_the_go_implementation},
    {"reads_files_without_info", reads_files_without_info},
    {"damaged_files_are_errors", damaged_files_are_errors},
    {"every_truncation_is_an_error", every_truncation_is_an_error},
    {"huge_files_are_not_read", huge_files_are_not_read},
    {"huge_sessions_are_not_written", huge_sessions_are_not_written},
    {"strange_keys_of_a_generator_are_refused",
     strange_keys_of_a_generator_are_refused},
    {"sessions_survive_reopening", sessions_survive_reopening},
    {"the_default_directory_is_beside_the_program",
     the_default_directory_is_beside_the_program},
    CU_TEST_INFO_NULL,
};
