/* Which requests are taken for the usual one for a WebSocket. */
#include "wshead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define HEADERS                         \
  "Host: a.example:80\r\n"              \
  "Connection: keep-alive, Upgrade\r\n" \
  "Upgrade: websocket\r\n"              \
  "Sec-WebSocket-Version: 13\r\n"       \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

#define REQUEST "GET /chat?a=b&c=d HTTP/1.1\r\n" HEADERS "\r\n"

static char bytes[8192];

static enum wwri_wshead_kind read_bytes(struct wwri_wshead *head,
                                        const char *text, size_t len) {
  /* Of just that size, so that ASan sees a byte more. */
  memcpy(bytes, text, len);
  char *exact = malloc(len ? len : 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
  memcpy(exact, text, len);
  enum wwri_wshead_kind kind = wwri_wshead_read(head, exact, len);
  free(exact);
  CU_ASSERT_EQUAL(wwri_wshead_read(head, bytes, len), kind);
  return kind;
}

static enum wwri_wshead_kind kind_of(const char *text) {
  struct wwri_wshead head;
  return read_bytes(&head, text, strlen(text));
}

static void test_usual(void) {
  struct wwri_wshead head;
  CU_ASSERT_EQUAL_FATAL(read_bytes(&head, REQUEST "\x82\x80",  //
                                   strlen(REQUEST) + 2),
                        WWRI_WSHEAD_UPGRADE);
  CU_ASSERT_EQUAL(head.len, strlen(REQUEST));
  CU_ASSERT_STRING_EQUAL(head.path, "/chat");
  CU_ASSERT_STRING_EQUAL(head.query, "a=b&c=d");
  CU_ASSERT_EQUAL(head.header_count, 5);
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "HOST"), "a.example:80");
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "connection"),
                         "keep-alive, Upgrade");
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "Sec-Websocket-KEY"),
                         "dGhlIHNhbXBsZSBub25jZQ==");
  CU_ASSERT_PTR_NULL(wwri_wshead_find(&head, "Origin"));
  CU_ASSERT_PTR_NULL(wwri_wshead_find(&head, "Hos"));
}

static void test_targets(void) {
  static const struct {
    const char *target;
    const char *path; /* NULL: not taken */
    const char *query;
  } cases[] = {{"/", "/", NULL},
               {"/?", "/", NULL},
               {"/a/b-c_d~e.f", "/a/b-c_d~e.f", NULL},
               {"/a?x=1", "/a", "x=1"},
               {"/a?x=/../..//y?z", "/a", "x=/../..//y?z"},
               {"/a?&&", "/a", "&&"},
               {"/%20", NULL, NULL},
               {"/a?x=%20", NULL, NULL},
               {"//a", NULL, NULL},
               {"/a//b", NULL, NULL},
               {"/./a", NULL, NULL},
               {"/a/../b", NULL, NULL},
               {"/.a", NULL, NULL},
               {"/a b", NULL, NULL},
               {"/a#b", NULL, NULL},
               {"/a\tb", NULL, NULL},
               {"/\xc3\xa4", NULL, NULL},
               {"*", NULL, NULL},
               {"http://x/", NULL, NULL}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    char text[512];
    struct wwri_wshead head;
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HEADERS "\r\n",
                       cases[i].target);
    enum wwri_wshead_kind kind = read_bytes(&head, text, (size_t)len);
    CU_ASSERT_EQUAL(kind,
                    cases[i].path ? WWRI_WSHEAD_UPGRADE : WWRI_WSHEAD_OTHER);
    if (!cases[i].path || kind != WWRI_WSHEAD_UPGRADE) continue;
    CU_ASSERT_STRING_EQUAL(head.path, cases[i].path);
    if (cases[i].query) {
      CU_ASSERT_PTR_NOT_NULL_FATAL(head.query);
      CU_ASSERT_STRING_EQUAL(head.query, cases[i].query);
    } else {
      CU_ASSERT_PTR_NULL(head.query);
    }
  }
}

static void test_target_with_nul(void) {
  static const char text[] = "GET /a\0b HTTP/1.1\r\n" HEADERS "\r\n";
  struct wwri_wshead head;
  CU_ASSERT_EQUAL(read_bytes(&head, text, sizeof(text) - 1), WWRI_WSHEAD_OTHER);
}

static void test_others(void) {
  static const char *const cases[] = {
      "POST / HTTP/1.1\r\n" HEADERS "\r\n",
      "get / HTTP/1.1\r\n" HEADERS "\r\n",
      "GET / HTTP/1.0\r\n" HEADERS "\r\n",
      "GET / HTTP/1.1 \r\n" HEADERS "\r\n",
      "GET /  HTTP/1.1\r\n" HEADERS "\r\n",
      "GET  / HTTP/1.1\r\n" HEADERS "\r\n",
      "GET / \r\n\r\n",
      "GET /HTTP/1.1\r\n" HEADERS "\r\n",
      "GET / HTTP/1.1\n" HEADERS "\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
      "GET / HTTP/1.1\r\nUpgrade: websocket, h2c\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "Host: b\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "hOST: b\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\r\nx: b\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\r\n b\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X : a\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS " X: a\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS ": a\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\x01\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\rb\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "X: a\x7f\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "\n",
      "GET / HTTP/1.1\r\n" HEADERS "Content-Length: 0\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "Transfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\n" HEADERS "Expect: 100-continue\r\n\r\n",
      "\r\nGET / HTTP/1.1\r\n" HEADERS "\r\n",
      "\x16\x03\x01",
      "GET http://x/ HTTP/1.1\r\n" HEADERS "\r\n"};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    CU_ASSERT_EQUAL(kind_of(cases[i]), WWRI_WSHEAD_OTHER);
    if (kind_of(cases[i]) != WWRI_WSHEAD_OTHER) printf("\n%s\n", cases[i]);
  }
}

/* However few bytes came, it is partial; with them all, an upgrade. */
static void test_every_prefix(void) {
  struct wwri_wshead head;
  for (size_t len = 0; len < strlen(REQUEST); len++) {
    CU_ASSERT_EQUAL(read_bytes(&head, REQUEST, len), WWRI_WSHEAD_PARTIAL);
  }
  CU_ASSERT_EQUAL(kind_of(REQUEST), WWRI_WSHEAD_UPGRADE);
}

static void test_many_headers(void) {
  for (int extra = 42; extra <= 44; extra++) {
    char text[4096] = "GET / HTTP/1.1\r\n" HEADERS;
    for (int i = 0; i < extra; i++) {
      size_t len = strlen(text);
      snprintf(text + len, sizeof(text) - len, "X-%d: %d\r\n", i, i);
    }
    size_t end = strlen(text);
    snprintf(text + end, sizeof(text) - end, "\r\n");
    CU_ASSERT_EQUAL(kind_of(text), 5 + extra <= WWRI_WSHEAD_HEADERS_MAX
                                       ? WWRI_WSHEAD_UPGRADE
                                       : WWRI_WSHEAD_OTHER);
  }
}

static void test_values(void) {
  struct wwri_wshead head;
  static const char text[] = "GET / HTTP/1.1\r\n" HEADERS
                             "Empty:\r\nSpaced: \t a b \t\r\nHigh: \xc3\xa4\r\n"
                             "\r\n";
  CU_ASSERT_EQUAL_FATAL(read_bytes(&head, text, sizeof(text) - 1),
                        WWRI_WSHEAD_UPGRADE);
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "empty"), "");
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "spaced"), "a b");
  CU_ASSERT_STRING_EQUAL(wwri_wshead_find(&head, "high"), "\xc3\xa4");
}

static CU_TestInfo tests[] = {{"usual", test_usual},
                              {"targets", test_targets},
                              {"target with NUL", test_target_with_nul},
                              {"others", test_others},
                              {"every prefix", test_every_prefix},
                              {"many headers", test_many_headers},
                              {"values", test_values},
                              CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {{"wshead", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
