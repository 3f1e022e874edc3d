/* What the transport answers to HTTP. */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "websocket_raw.h"

enum { BIG_BODY = 3 * 1024 * 1024 };

static void test_no_sub_protocol(void) {
  raw_start();
  static const char *const offers[] = {
      "Sec-WebSocket-Protocol: chat\r\n",
      "Sec-WebSocket-Protocol: v1.webwire, other\r\n",
      "Sec-WebSocket-Extensions: permessage-deflate\r\n"};
  for (int i = 0; i < 3; i++) {
    struct rawws_request request = {.headers = offers[i]};
    struct rawws *ws = raw_dial();
    CU_ASSERT_EQUAL(rawws_upgrade(ws, &request), 101);
    CU_ASSERT_PTR_NULL(rawws_header(ws, "Sec-WebSocket-Protocol"));
    CU_ASSERT_PTR_NULL(rawws_header(ws, "Sec-WebSocket-Extensions"));
    CU_ASSERT_TRUE(raw_echo(ws, "hi", 2));
    rawws_free(ws);
    CU_ASSERT_EQUAL(raw_status("/", NULL), 101); /* and none is left behind */
  }
}

static void test_refused_by_the_owner(void) {
  raw_start();
  CU_ASSERT_EQUAL(raw_status("/no", NULL), 403);
  struct rawws_request request = {.path = "/teapot?x=1"};
  struct rawws *ws = raw_dial();
  CU_ASSERT_EQUAL(rawws_upgrade(ws, &request), 429);
  const char *wait = rawws_header(ws, "retry-after");
  CU_ASSERT_TRUE(wait && strcmp(wait, "7") == 0);
  const char *type = rawws_header(ws, "Content-Type");
  CU_ASSERT_TRUE(type && strcmp(type, "text/x-tea") == 0);
  const char *body = rawws_body(ws, WAIT_MS);
  CU_ASSERT_TRUE(body && strcmp(body, "no tea") == 0);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1006);
  rawws_free(ws);
}

static void test_paths(void) {
  static const char *const paths[] = {"/ws", "/a/b"};
  raw.opts.paths = paths;
  raw.opts.path_count = 2;
  raw_start();
  CU_ASSERT_EQUAL(raw_status("/ws", NULL), 101);
  CU_ASSERT_EQUAL(raw_status("/a/b?x=y", NULL), 101);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 404);
  CU_ASSERT_EQUAL(raw_status("/ws2", NULL), 404);
}

static void check_origin(const char *origin, int status) {
  char line[128];
  snprintf(line, sizeof(line), "Origin: %s\r\n", origin);
  CU_ASSERT_EQUAL(raw_status("/", line), status);
}

static void test_same_host(void) {
  char lines[128];
  raw_start();
  snprintf(lines, sizeof(lines),
           "Host: 127.0.0.1:%u\r\nOrigin: http://127.0.0.1:%u\r\n", raw.port,
           raw.port);
  CU_ASSERT_EQUAL(raw_status("/", lines), 101);
  CU_ASSERT_TRUE(strncmp(raw.last_origin, "http://127.0.0.1:", 17) == 0);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101); /* no browser sends none */
  check_origin("http://localhost", 101);
  check_origin("http://localhost:1", 403);
  check_origin("http://evil.example", 403);
  check_origin("null", 403);
}

static void test_same_host_by_name(void) {
  raw_start();
  CU_ASSERT_EQUAL(raw_status("/",
                             "Host: Chat.Example:80\r\n"
                             "Origin: https://chat.example:80\r\n"),
                  101);
  CU_ASSERT_EQUAL(raw_status("/",
                             "Host: chat.example\r\n"
                             "Origin: https://chat.example.evil\r\n"),
                  403);
}

static void test_listed_origins(void) {
  static const char *const origins[] = {"https://a.example",
                                        "https://b.example:8443"};
  raw.opts.origins = origins;
  raw.opts.origin_count = 2;
  raw_start();
  check_origin("https://A.example", 101);
  check_origin("https://b.example:8443", 101);
  check_origin("https://b.example", 403);
  check_origin("https://c.example", 403);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
}

static void test_any_origin(void) {
  static const char *const any[] = {"*"};
  raw.opts.origins = any;
  raw.opts.origin_count = 1;
  raw_start();
  check_origin("https://whatever.example", 101);
  check_origin("null", 101);
}

static void test_bad_handshakes(void) {
  raw_start();
  CU_ASSERT_EQUAL(raw_status("/", "Sec-WebSocket-Version: 8\r\n"), 426);
  CU_ASSERT_EQUAL(raw_status("/", "Sec-WebSocket-Key: short\r\n"), 400);
  CU_ASSERT_EQUAL(raw_status("/", "Connection: close\r\n"), 400);
  struct rawws_request post = {.method = "POST"};
  struct rawws *ws = raw_dial();
  CU_ASSERT_EQUAL(rawws_upgrade(ws, &post), 405);
  rawws_free(ws);
  CU_ASSERT_EQUAL(raw_status("/", "Connection: keep-alive, Upgrade\r\n"), 101);
  CU_ASSERT_EQUAL(raw.log_lines, 0); /* what strangers send is no news */
}

static struct rawws *plain_request(const char *text, int status) {
  struct rawws *ws = raw_dial();
  CU_ASSERT_TRUE(rawws_write(ws, text, strlen(text)));
  CU_ASSERT_EQUAL(rawws_read_answer(ws), status);
  return ws;
}

static void check_plain(const char *text, int status, const char *body) {
  struct rawws *ws = plain_request(text, status);
  const char *got = rawws_body(ws, WAIT_MS);
  CU_ASSERT_TRUE(got && strcmp(got, body) == 0);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1006);
  rawws_free(ws);
}

static void test_plain_requests(void) {
  raw_start();
  check_plain("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET");
  check_plain("OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "OPTIONS");
  check_plain("GET /query?a=b HTTP/1.0\r\n\r\n", 200, "a=b");
  check_plain("GET /query?a=b&c=d&&e HTTP/1.0\r\n\r\n", 200, "a=b&c=d&&e");
  check_plain("GET /cookie HTTP/1.1\r\nCookie: a=b; c=d\r\nHost: x\r\n\r\n",
              200, "a=b; c=d");
  check_plain("GET /custom HTTP/1.1\r\nX-Own-Header: v\r\nHost: x\r\n\r\n", 200,
              "v");
  check_plain("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 200,
              "PUT");
  check_plain("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
              200, "POST");
  check_plain(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, "
      "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
      200, "GET");
  check_plain(
      "OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
      "Upgrade: websocket\r\n\r\n",
      200, "OPTIONS");
  CU_ASSERT_EQUAL(raw.log_lines, 0);
}

/* As much as a page's cookies come to, and the proxies' lines before them. */
static void check_long_headers(bool tls) {
  enum { COOKIES = 9000, CERTIFICATE = 3000 };
  char lines[COOKIES + CERTIFICATE + 64];
  raw_start_with(WWR_WRITE_DIRECT, tls);
  snprintf(lines, sizeof(lines),
           "X-Forwarded-Client-Cert: %0*d\r\nCookie: a=%0*d\r\n", CERTIFICATE,
           0, COOKIES, 0);
  CU_ASSERT_EQUAL(raw_status("/", lines), 101);
}

static void test_long_headers(void) {
  check_long_headers(false);
}

static void test_long_headers_with_tls(void) {
  check_long_headers(true);
}

/* The answer is not lost to a reset because the body came after it. */
static void test_posted_body(void) {
  enum { LEN = 300000, PIECE = 10000 };
  static const char head[] =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n";
  raw_start();
  struct rawws *ws = raw_dial();
  CU_ASSERT_TRUE(rawws_write(ws, head, strlen(head)));
  for (int i = 0; i < LEN; i += PIECE) {
    CU_ASSERT_TRUE(rawws_write(ws, raw_pattern(PIECE), PIECE));
  }
  CU_ASSERT_EQUAL(rawws_read_answer(ws), 200);
  const char *body = rawws_body(ws, WAIT_MS);
  CU_ASSERT_TRUE(body && strcmp(body, "POST") == 0);
  rawws_free(ws);
}

static void test_head(void) {
  raw_start();
  struct rawws *ws = plain_request("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  const char *length = rawws_header(ws, "Content-Length");
  CU_ASSERT_TRUE(length && strcmp(length, "4") == 0);
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1006);
  rawws_free(ws);
}

/* What is decoded does not get out of the line it came in. */
static void test_odd_paths(void) {
  static const struct {
    const char *path;
    int status; /* 0: an answer, or a close without one */
  } table[] = {{"/%61?x=%0d%0aX-Own-Header:%20evil", 0},
               {"/a%0d%0aX-Own-Header:%20evil", 400},
               {"/a%0dX-Own-Header:%20evil", 400},
               {"/%00", 0},
               {"/a%00b", 0},
               {"/a%0aX-Own-Header:%20evil", 400},
               {"/a%0bb", 200},
               {"/%7f", 200},
               {"/%C3%B6", 200},
               {"/../..", 0},
               {"/%", 0},
               {"/%5", 0},
               {"/%gg", 0}};
  char request[256];
  raw_start();
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
             table[i].path);
    struct rawws *ws = raw_dial();
    CU_ASSERT_TRUE(rawws_write(ws, request, strlen(request)));
    int status = rawws_read_answer(ws);
    const char *body = status > 0 ? rawws_body(ws, WAIT_MS) : NULL;
    if (table[i].status) CU_ASSERT_EQUAL(status, table[i].status);
    CU_ASSERT_FALSE(body && strstr(body, "evil"));
    rawws_free(ws);
    ws = raw_dial();
    snprintf(request, sizeof(request), "%s", table[i].path);
    struct rawws_request upgrade = {.path = table[i].path};
    status = rawws_upgrade(ws, &upgrade);
    if (table[i].status) {
      CU_ASSERT_EQUAL(status, table[i].status == 200 ? 101 : 400);
    }
    rawws_free(ws);
  }
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
}

static void test_folded_paths(void) {
  static const char *const paths[] = {"/no",   "//no",     "/%6eo",
                                      "/./no", "/a/../no", "/no?x=/../y"};
  raw_start();
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    CU_ASSERT_EQUAL(raw_status(paths[i], NULL), 403);
  }
}

/* --- Pages ---------------------------------------------------------------- */

static bool is_page(struct rawws *ws) {
  const char *body = rawws_body(ws, WAIT_MS);
  return body && strlen(body) == PAGE_BYTES &&
         strspn(body, "x") == PAGE_BYTES &&
         rawws_expect_end(ws, WAIT_MS) == 1006;
}

static bool is_header(struct rawws *ws, const char *name, const char *value) {
  const char *found = rawws_header(ws, name);
  return found && strcmp(found, value) == 0;
}

static void test_page(void) {
  raw_start();
  struct rawws *ws =
      plain_request("GET /page HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  CU_ASSERT_TRUE(is_header(ws, "ETag", "\"tag\""));
  CU_ASSERT_TRUE(is_header(ws, "Connection", "close"));
  CU_ASSERT_TRUE(is_page(ws));
  rawws_free(ws);
  ws = plain_request("HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  CU_ASSERT_TRUE(is_header(ws, "Content-Length", "100000"));
  CU_ASSERT_TRUE(is_header(ws, "ETag", "\"tag\""));
  CU_ASSERT_EQUAL(rawws_recv(ws, &(struct rawws_message){0}, WAIT_MS),
                  RAWWS_EOF); /* nothing behind the head */
  rawws_free(ws);
}

static void test_page_that_is_known(void) {
  static const char *const same[] = {
      "If-None-Match: \"tag\"\r\n", "if-none-match: W/\"tag\"\r\n",
      "If-None-Match: \"other\", \"tag\"\r\n",
      "If-None-Match: \"other\"\r\nIf-None-Match: \"tag\"\r\n"};
  char request[256];
  raw_start();
  for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
    snprintf(request, sizeof(request),
             "GET /page HTTP/1.1\r\nHost: x\r\n%s\r\n", same[i]);
    struct rawws *ws = plain_request(request, 304);
    CU_ASSERT_TRUE(is_header(ws, "ETag", "\"tag\""));
    CU_ASSERT_PTR_NULL(rawws_header(ws, "Content-Length"));
    CU_ASSERT_PTR_NULL(rawws_header(ws, "Content-Type"));
    CU_ASSERT_EQUAL(rawws_recv(ws, &(struct rawws_message){0}, WAIT_MS),
                    RAWWS_EOF);
    rawws_free(ws);
  }
  struct rawws *ws = plain_request(
      "GET /page HTTP/1.1\r\nIf-None-Match: \"other\"\r\nHost: x\r\n\r\n", 200);
  CU_ASSERT_TRUE(is_page(ws));
  rawws_free(ws);
}

/* As a browser asks for the parts of a page; each connection is for one. */
static void test_pages_at_once(void) {
  enum { BROWSERS = 40 };
  static const char request[] =
      "GET /page HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
  struct rawws *all[BROWSERS];
  raw_start();
  for (int i = 0; i < BROWSERS; i++) {
    all[i] = raw_dial();
    CU_ASSERT_TRUE(rawws_write(all[i], request, strlen(request)));
  }
  for (int i = BROWSERS - 1; i >= 0; i--) {
    CU_ASSERT_EQUAL(rawws_read_answer(all[i]), 200);
    CU_ASSERT_TRUE(is_page(all[i]));
    rawws_free(all[i]);
  }
  CU_ASSERT_EQUAL(raw.log_lines, 0);
}

#ifdef ASKING_AHEAD
/* An answer that says "close" is the last one, and arrives although more was
 * asked for. */
static void test_asking_ahead(void) {
  static const char twice[] =
      "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";
  raw_start();
  for (int i = 0; i < 20; i++) {
    struct rawws *ws = plain_request(twice, 200);
    const char *body = rawws_body(ws, WAIT_MS);
    CU_ASSERT_TRUE(body && strlen(body) == PAGE_BYTES);
    CU_ASSERT_TRUE(rawws_expect_end(ws, WAIT_MS) == 1006);
    rawws_free(ws);
  }
}
#endif

static BIO *connect_bio(SSL_CTX *ctx) {
  char where[32];
  snprintf(where, sizeof(where), "127.0.0.1:%u", raw.port);
  BIO *bio = ctx ? BIO_new_ssl_connect(ctx) : BIO_new_connect(where);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bio);
  BIO_set_conn_hostname(bio, where);
  CU_ASSERT_EQUAL_FATAL(BIO_do_connect(bio), 1);
  return bio;
}

static const char big_request[] = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";

/* Reads slowly at first, so that the answer has to wait for us. */
static void check_big_body(bool tls, const char *request) {
  SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
  BIO *bio = connect_bio(ctx);
  char bytes[4096];
  size_t count = 0;
  int n;
  CU_ASSERT_TRUE(BIO_write(bio, request, (int)strlen(request)) > 0);
  usleep(50 * 1000);
  while ((n = BIO_read(bio, bytes, sizeof(bytes))) > 0) {
    for (int i = 0; i < n; i++) count += bytes[i] == 'x';
  }
  CU_ASSERT_EQUAL(count, BIG_BODY + 1); /* one is in "text/plain" */
  BIO_free_all(bio);
  SSL_CTX_free(ctx);
}

static void test_big_body(void) {
  raw_start();
  check_big_body(false, big_request);
}

static void test_big_body_instead_of_h2c(void) {
  raw_start();
  check_big_body(false,
                 "GET /big HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, "
                 "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
                 "AA\r\n\r\n");
}

static void test_big_body_with_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_big_body(true, big_request);
}

/* Whatever is answered, it ends. */
static bool ends(int fd) {
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
  char bytes[1024];
  ssize_t n = 1;
  while (n > 0 && poll(&poll_fd, 1, WAIT_MS) == 1) {
    n = read(fd, bytes, sizeof(bytes));
  }
  return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_nonsense(void) {
  static const char *const nonsense[] = {
      "\r\n\r\n\r\n",
      "GET\r\n\r\n",
      "BREW / HTTP/1.1\r\n\r\n",
      "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"};
  raw_start();
  for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
    struct rawws *ws = raw_dial();
    CU_ASSERT_TRUE(rawws_write(ws, nonsense[i], strlen(nonsense[i])));
    rawws_shutdown_write(ws);
    CU_ASSERT_TRUE(ends(rawws_fd(ws)));
    rawws_free(ws);
  }
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
}

static void test_refusing(void) {
  raw_start();
  struct rawws *ws = raw_client(0);
  raw.transport->ops->refuse(raw.transport);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 503);
  check_plain("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 503, "Service Unavailable");
  check_plain(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, "
      "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
      503, "Service Unavailable");
  CU_ASSERT_TRUE(raw_echo(ws, "still here", 10));
  rawws_free(ws);
}

static void test_full(void) {
  raw.config.max_connections = 3;
  raw_start();
  struct rawws *some[3];
  for (int i = 0; i < 3; i++) some[i] = raw_client(0);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 503);
  rawws_free(some[0]);
  RAW_WAIT(raw.closed == 1);
  int status = 503;
  for (int i = 0; i < 100 && status == 503; i++) status = raw_status("/", NULL);
  CU_ASSERT_EQUAL(status, 101);
  struct wwri_transport_stats stats;
  RAW_WAIT(raw.opened == 4);
  raw.transport->ops->stats(raw.transport, &stats);
  CU_ASSERT_TRUE(stats.refused >= 1);
  CU_ASSERT_EQUAL(stats.accepted, 4);
  rawws_free(some[1]);
  rawws_free(some[2]);
}

CU_TestInfo raw_http[] = {
    {"no sub-protocol, no extension", test_no_sub_protocol},
    {"refused by the owner", test_refused_by_the_owner},
    {"paths", test_paths},
    {"same host", test_same_host},
    {"same host by name", test_same_host_by_name},
    {"listed origins", test_listed_origins},
    {"any origin", test_any_origin},
    {"bad handshakes", test_bad_handshakes},
    {"plain requests", test_plain_requests},
    {"long headers", test_long_headers},
    {"long headers, TLS", test_long_headers_with_tls},
    {"posted body", test_posted_body},
    {"HEAD", test_head},
    {"odd paths", test_odd_paths},
    {"folded paths", test_folded_paths},
    {"page", test_page},
    {"page that is known", test_page_that_is_known},
    {"pages at once", test_pages_at_once},
#ifdef ASKING_AHEAD
    {"asking ahead", test_asking_ahead},
#endif
    {"big body", test_big_body},
    {"big body instead of h2c", test_big_body_instead_of_h2c},
    {"big body, TLS", test_big_body_with_tls},
    {"nonsense", test_nonsense},
    {"refusing", test_refusing},
    {"full", test_full},
    CU_TEST_INFO_NULL};
