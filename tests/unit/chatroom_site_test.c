#include "site.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"
#include "test.h"

static const char *find(const struct wwr_http *http, const char *name) {
  return strcasecmp(name, "If-None-Match") == 0 ? http->transport_data : NULL;
}

/* Ask with what the browser has already, or NULL. */
static struct wwr_http ask(const char *method, const char *path,
                           const char *known) {
  struct wwr_http http = {.method = method,
                          .path = path,
                          .remote = "127.0.0.1:5000",
                          .find_header = find,
                          .transport_data = (void *)(uintptr_t)known};
  site_answer(&http);
  return http;
}

static int status_of(const char *method, const char *path, const char *known) {
  struct wwr_http http = ask(method, path, known);
  int status = http.status;
  wwri_http_deinit(&http);
  return status;
}

static const char *header(const struct wwr_http *http, const char *name) {
  for (size_t i = 0; i < http->header_count; i++) {
    if (strcmp(http->headers[i].name, name) == 0) return http->headers[i].value;
  }
  return "";
}

static const struct site_file *file_at(const char *path) {
  for (size_t i = 0; i < site_file_count; i++) {
    if (strcmp(site_files[i].path, path) == 0) return &site_files[i];
  }
  return NULL;
}

/* --- The table ------------------------------------------------------------ */

static bool ends_in(const char *text, const char *end) {
  size_t len = strlen(text), end_len = strlen(end);
  return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void table_is_sound(void) {
  for (size_t i = 0; i < site_file_count; i++) {
    const struct site_file *file = &site_files[i];
    CU_ASSERT_EQUAL(file->path[0], '/');
    CU_ASSERT_PTR_EQUAL(file_at(file->path), file); /* no path twice */
    CU_ASSERT_EQUAL(strlen(file->etag), 34);
    CU_ASSERT_EQUAL(strspn(file->etag + 1, "0123456789abcdef"), 32);
    CU_ASSERT_EQUAL(file->etag[0], '"');
    CU_ASSERT_EQUAL(file->etag[33], '"');
    CU_ASSERT_TRUE(file->len > 0);
    if (ends_in(file->path, ".js"))
      CU_ASSERT_STRING_EQUAL(file->type, "text/javascript; charset=utf-8");
  }
}

static void what_must_be_there(void) {
  const struct site_file *page = file_at("/"), *same = file_at("/index.html");
  CU_ASSERT_PTR_NOT_NULL_FATAL(page);
  CU_ASSERT_PTR_NOT_NULL_FATAL(same);
  CU_ASSERT_PTR_EQUAL(page->bytes, same->bytes);
  CU_ASSERT_STRING_EQUAL(page->type, "text/html; charset=utf-8");
  CU_ASSERT_EQUAL(strncasecmp((const char *)page->bytes, "<!DOCTYPE html>", 15),
                  0);
  CU_ASSERT_PTR_NOT_NULL(file_at("/webwire.js"));
}

/* --- Answers -------------------------------------------------------------- */

static void files_are_given(void) {
  for (size_t i = 0; i < site_file_count; i++) {
    const struct site_file *file = &site_files[i];
    struct wwr_http http = ask("GET", file->path, NULL);
    CU_ASSERT_EQUAL(http.status, 200);
    CU_ASSERT_STRING_EQUAL(http.content_type, file->type);
    CU_ASSERT_STRING_EQUAL(header(&http, "ETag"), file->etag);
    CU_ASSERT_STRING_EQUAL(header(&http, "Cache-Control"), "no-cache");
    CU_ASSERT_EQUAL_FATAL(http.body_len, file->len);
    CU_ASSERT_EQUAL(memcmp(http.body, file->bytes, file->len), 0);
    wwri_http_deinit(&http);
    http = ask("HEAD", file->path, NULL); /* the transport drops the body */
    CU_ASSERT_EQUAL(http.status, 200);
    CU_ASSERT_EQUAL(http.body_len, file->len);
    wwri_http_deinit(&http);
    http = ask("GET", file->path, file->etag);
    CU_ASSERT_EQUAL(http.status, 304);
    CU_ASSERT_EQUAL(http.body_len, 0);
    CU_ASSERT_STRING_EQUAL(header(&http, "ETag"), file->etag);
    wwri_http_deinit(&http);
  }
}

static void known_tags(void) {
  const char *etag = site_files[0].etag, *path = site_files[0].path;
  char tags[128];
  static const char *const same[] = {"%s", "W/%s", "\"a\", %s", "%s,\"b\"",
                                     "\"a\" , W/%s , \"b\""};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    size_t before = (size_t)(strchr(same[i], '%') - same[i]);
    snprintf(tags, sizeof tags, "%.*s%s%s", (int)before, same[i], etag,
             same[i] + before + 2);
    CU_ASSERT_EQUAL(status_of("GET", path, tags), 304);
  }
  snprintf(tags, sizeof tags, "%.20s", etag);
  CU_ASSERT_EQUAL(status_of("GET", path, tags), 200);
  snprintf(tags, sizeof tags, "%.32s", etag + 1); /* without its quotes */
  CU_ASSERT_EQUAL(status_of("GET", path, tags), 200);
  CU_ASSERT_EQUAL(status_of("HEAD", path, "*"), 304);
  CU_ASSERT_EQUAL(status_of("GET", path, ""), 200);
  CU_ASSERT_EQUAL(status_of("GET", path, "\"\""), 200);
  CU_ASSERT_EQUAL(status_of("GET", "/none", "*"), 404);
  CU_ASSERT_EQUAL(status_of("POST", path, etag), 405);
}

static void nothing_else_is_given(void) {
  static const char *const paths[] = {"",
                                      "index.html",
                                      "/INDEX.HTML",
                                      "/index.html/",
                                      "//",
                                      "/./",
                                      "/../index.html",
                                      "/index.html ",
                                      "/index",
                                      "/.",
                                      "/..",
                                      "/page/index.html",
                                      "/%2e",
                                      "/index.html\n",
                                      "*",
                                      "http://x/",
                                      "/join",
                                      "/webwire.d.ts",
                                      "/site.c",
                                      "/etc/passwd"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct wwr_http http = ask("GET", paths[i], NULL);
    CU_ASSERT_EQUAL(http.status, 404);
    CU_ASSERT_STRING_EQUAL(header(&http, "ETag"), "");
    CU_ASSERT_TRUE(*header(&http, "Content-Security-Policy") != '\0');
    wwri_http_deinit(&http);
  }
}

static void methods(void) {
  static const char *const others[] = {"POST", "PUT", "PATCH", "DELETE", "get"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    struct wwr_http http = ask(others[i], "/", NULL);
    CU_ASSERT_EQUAL(http.status, 405);
    CU_ASSERT_STRING_EQUAL(header(&http, "Allow"), "GET, HEAD, OPTIONS");
    wwri_http_deinit(&http);
  }
}

/* Whichever allocation fails: the whole answer, with its policy, or 503. */
static void without_memory(void) {
  static const char *const asked[][2] = {
      {"GET", "/"}, {"GET", "/none"}, {"POST", "/"}};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    int usual = status_of(asked[i][0], asked[i][1], NULL);
    long n = 0;
    bool failed = true;
    for (; failed && n < 100; n++) {
      test_alloc_fail_at(n);
      struct wwr_http http = ask(asked[i][0], asked[i][1], NULL);
      failed = test_alloc_failed();
      CU_ASSERT_EQUAL(http.status, failed ? 503 : usual);
      wwri_http_deinit(&http);
    }
    CU_ASSERT_TRUE(n > 10 && n < 100);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"table is sound", table_is_sound},
                         {"what must be there", what_must_be_there},
                         {"files are given", files_are_given},
                         {"known tags", known_tags},
                         {"nothing else is given", nothing_else_is_given},
                         {"methods", methods},
                         {"without memory", without_memory},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"chat page", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
