#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "test.h"

static const char *find(const struct wwr_http *http, const char *name) {
  return strcasecmp(name, "Origin") == 0 ? http->transport_data : NULL;
}

static char origin[] = "https://example.org";

static struct wwr_http request(void) {
  struct wwr_http http = {.method = "GET",
                          .path = "/chat",
                          .query = "a=b",
                          .remote = "127.0.0.1:5000",
                          .find_header = find,
                          .transport_data = origin};
  return http;
}

static void test_reading(void) {
  struct wwr_http http = request();
  CU_ASSERT_STRING_EQUAL(wwr_http_method(&http), "GET");
  CU_ASSERT_STRING_EQUAL(wwr_http_path(&http), "/chat");
  CU_ASSERT_STRING_EQUAL(wwr_http_query(&http), "a=b");
  CU_ASSERT_STRING_EQUAL(wwr_http_remote(&http), "127.0.0.1:5000");
  CU_ASSERT_STRING_EQUAL(wwr_http_header(&http, "origin"), origin);
  CU_ASSERT_PTR_NULL(wwr_http_header(&http, "cookie"));
  http.find_header = NULL;
  CU_ASSERT_PTR_NULL(wwr_http_header(&http, "origin"));
  wwri_http_deinit(&http);
}

static void test_last_answer_counts(void) {
  struct wwr_http http = request();
  char body[] = "moved";
  struct wwr_view none = {NULL, 0};
  CU_ASSERT_EQUAL(
      wwr_http_respond(&http, 301, "text/plain", wwr_view_str(body)), WWR_OK);
  body[0] = 'x'; /* it was copied */
  CU_ASSERT_EQUAL(memcmp(http.body, "moved", 5), 0);
  CU_ASSERT_STRING_EQUAL(http.content_type, "text/plain");
  CU_ASSERT_EQUAL(wwr_http_respond(&http, 204, NULL, none), WWR_OK);
  CU_ASSERT_EQUAL(http.status, 204);
  CU_ASSERT_PTR_NULL(http.content_type);
  CU_ASSERT_EQUAL(http.body_len, 0);
  CU_ASSERT_EQUAL(wwr_http_respond(&http, 199, NULL, none), WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_http_respond(&http, 600, NULL, none), WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_http_respond(&http, 200, "a\r\nb", none), WWR_E_INVALID);
  CU_ASSERT_EQUAL(http.status, 204);
  wwri_http_deinit(&http);
}

static void test_headers(void) {
  static const char *const bad[][2] = {
      {"", "v"},   {"a b", "v"},  {"a:", "v"}, {"a\r", "v"}, {"n", "v\r\n"},
      {"n", "\n"}, {"n", "\x7f"}, {NULL, "v"}, {"n", NULL},
  };
  struct wwr_http http = request();
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    CU_ASSERT_EQUAL(wwr_http_add_header(&http, bad[i][0], bad[i][1]),
                    WWR_E_INVALID);
  }
  for (int i = 0; i < WWRI_HTTP_HEADERS_MAX; i++) {
    CU_ASSERT_EQUAL(wwr_http_add_header(&http, "X-A", "b c"), WWR_OK);
  }
  CU_ASSERT_EQUAL(wwr_http_add_header(&http, "X-A", "b"), WWR_E_LIMIT);
  CU_ASSERT_STRING_EQUAL(http.headers[15].name, "X-A");
  CU_ASSERT_STRING_EQUAL(http.headers[15].value, "b c");
  wwri_http_deinit(&http);
  CU_ASSERT_EQUAL(http.header_count, 0);
}

static int released;

static void release(void *value) {
  released++;
  free(value);
}

static void test_infos(void) {
  struct wwr_http http = request();
  released = 0;
  for (int key = 0; key < WWRI_INFOS_MAX; key++) {
    CU_ASSERT_EQUAL(wwr_http_set_info(&http, key, malloc(1), release), WWR_OK);
  }
  CU_ASSERT_EQUAL(wwr_http_set_info(&http, 3, malloc(1), release), WWR_OK);
  CU_ASSERT_EQUAL(released, 1); /* the one it replaced */
  CU_ASSERT_EQUAL(wwr_http_set_info(&http, 99, malloc(1), release),
                  WWR_E_LIMIT);
  CU_ASSERT_EQUAL(released, 2);
  CU_ASSERT_EQUAL(wwr_http_set_info(&http, 5, origin, NULL), WWR_OK);
  CU_ASSERT_EQUAL(http.infos.count, WWRI_INFOS_MAX);
  wwri_http_deinit(&http);
  CU_ASSERT_EQUAL(released, WWRI_INFOS_MAX + 2);
  CU_ASSERT_PTR_NULL(http.infos.items);
}

static void test_concurrency(void) {
  struct wwr_http http = request();
  CU_ASSERT_FALSE(http.has_concurrency);
  wwr_http_set_concurrency(&http, -1);
  CU_ASSERT_TRUE(http.has_concurrency);
  CU_ASSERT_EQUAL(http.concurrency, -1);
  wwri_http_deinit(&http);
}

static wwr_err fill(struct wwr_http *http, void *value) {
  wwr_err err = wwr_http_set_info(http, 1, value, release);
  if (!err) {
    err = wwr_http_respond(http, 403, "text/plain", wwr_view_str("no"));
  }
  if (!err) err = wwr_http_add_header(http, "X-A", "b");
  return err;
}

static void test_no_memory(void) {
  long n = 0;
  for (;; n++) {
    struct wwr_http http = request();
    void *value = malloc(1);
    released = 0;
    test_alloc_fail_at(n);
    wwr_err err = fill(&http, value);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    wwri_http_deinit(&http);
    CU_ASSERT_EQUAL(released, 1);
    if (!failed) break;
  }
  CU_ASSERT_EQUAL(n, 5); /* info, type, body, name, value */
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"reading", test_reading},
      {"last answer counts", test_last_answer_counts},
      {"headers", test_headers},
      {"infos", test_infos},
      {"concurrency", test_concurrency},
      {"no memory", test_no_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"http", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
