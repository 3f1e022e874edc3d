/* chatroom-server as a browser sees it: the page's files by HTTP, on the port
 * where the WebSockets are. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "room.h"

static struct wire_server server;

static int begin(void) {
  return wire_start(&server, "chatroom-server", NULL) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

/* --- Asking --------------------------------------------------------------- */

/* Send this, read the head of the answer; its status, -1 without one. */
static int ask_raw(struct rawws **out, const char *request) {
  *out = rawws_dial(&(struct rawws_opts){.port = server.port});
  if (!*out || !rawws_write(*out, request, strlen(request))) return -1;
  return rawws_read_answer(*out);
}

static int ask(struct rawws **out, const char *method, const char *path,
               const char *headers) {
  static char request[70000];
  snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n",
           method, path, headers);
  return ask_raw(out, request);
}

static bool has(struct rawws *ws, const char *name, const char *value) {
  const char *found = rawws_header(ws, name);
  bool good = found && strcmp(found, value) == 0;
  if (!good) fprintf(stderr, "%s: %s\n", name, found ? found : "(none)");
  return good;
}

/* What every answer says. */
static bool is_guarded(struct rawws *ws) {
  const char *policy = rawws_header(ws, "Content-Security-Policy");
  return policy && strncmp(policy, "default-src 'none'; ", 20) == 0 &&
         strstr(policy, "script-src 'self'") &&
         strstr(policy, "connect-src 'self'") &&
         strstr(policy, "frame-ancestors 'none'") &&
         !strstr(policy, "unsafe") && has(ws, "Cache-Control", "no-cache") &&
         has(ws, "X-Content-Type-Options", "nosniff") &&
         has(ws, "Referrer-Policy", "no-referrer") &&
         has(ws, "Cross-Origin-Opener-Policy", "same-origin") &&
         has(ws, "Cross-Origin-Resource-Policy", "same-origin");
}

static bool ends_here(struct rawws *ws) {
  struct rawws_message got;
  return rawws_recv(ws, &got, WIRE_MS) == RAWWS_EOF;
}

/* --- Files ---------------------------------------------------------------- */

static char *read_file(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  char *bytes = file ? malloc(1 << 20) : NULL;
  *len = bytes ? fread(bytes, 1, 1 << 20, file) : 0;
  if (file) fclose(file);
  return bytes;
}

static const char *type_of(const char *name) {
  static const char *const types[][2] = {
      {".html", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"}};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++) {
    if (strcmp(dot, types[i][0]) == 0) return types[i][1];
  }
  return NULL;
}

/* GET gives the file, HEAD its size, and who has it is told so. */
static void check_file(const char *path, const char *file) {
  struct rawws *ws;
  size_t len;
  char etag[64], headers[128], size[32];
  char *bytes = read_file(file, &len);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT_EQUAL_FATAL(ask(&ws, "GET", path, ""), 200);
  CU_ASSERT_TRUE(has(ws, "Content-Type", type_of(file)));
  CU_ASSERT_TRUE(is_guarded(ws));
  const char *tag = rawws_header(ws, "ETag");
  CU_ASSERT_TRUE_FATAL(tag && strlen(tag) > 16 && tag[0] == '"');
  snprintf(etag, sizeof etag, "%s", tag);
  snprintf(size, sizeof size, "%zu", len);
  CU_ASSERT_TRUE(has(ws, "Content-Length", size));
  const char *body = rawws_body(ws, WIRE_MS);
  CU_ASSERT_TRUE(body && memcmp(body, bytes, len) == 0);
  CU_ASSERT_TRUE(ends_here(ws));
  rawws_free(ws);

  CU_ASSERT_EQUAL(ask(&ws, "HEAD", path, ""), 200);
  CU_ASSERT_TRUE(has(ws, "Content-Length", size));
  CU_ASSERT_TRUE(has(ws, "ETag", etag));
  CU_ASSERT_TRUE(ends_here(ws));
  rawws_free(ws);

  snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", etag);
  CU_ASSERT_EQUAL(ask(&ws, "GET", path, headers), 304);
  CU_ASSERT_TRUE(has(ws, "ETag", etag));
  CU_ASSERT_TRUE(is_guarded(ws));
  CU_ASSERT_TRUE(ends_here(ws));
  rawws_free(ws);
  free(bytes);
}

static int check_folder(const char *folder, const char *extension) {
  char path[300], file[600];
  int count = 0;
  DIR *dir = opendir(folder);
  CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
  for (const struct dirent *at; (at = readdir(dir));) {
    const char *dot = strrchr(at->d_name, '.');
    if (!type_of(at->d_name)) continue;
    if (extension && strcmp(dot, extension) != 0) continue;
    snprintf(path, sizeof path, "/%s", at->d_name);
    snprintf(file, sizeof file, "%s/%s", folder, at->d_name);
    check_file(path, file);
    count++;
  }
  closedir(dir);
  return count;
}

static void every_file(void) {
  check_file("/", SOURCES "/examples/chatroom/page/index.html");
  CU_ASSERT_TRUE(check_folder(SOURCES "/examples/chatroom/page", NULL) >= 1);
  CU_ASSERT_TRUE(check_folder(SOURCES "/client/js", ".js") >= 1);
}

static void files_that_are_known(void) {
  static const struct {
    const char *format;
    int status;
  } table[] = {
      {"If-None-Match: W/%s\r\n", 304},
      {"If-None-Match: \"x\", W/\"y\" ,%s\r\n", 304},
      {"If-None-Match: *\r\n", 304},
      {"if-none-match:%s\r\n", 304},
      {"If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", 304},
      {"If-None-Match: \"x\"\r\n", 200},
      {"If-None-Match: \r\n", 200},
      {"If-Match: %s\r\n", 200},
      {"If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT\r\n", 200},
      {"Range: bytes=0-1\r\n", 200},
  };
  struct rawws *ws;
  char etag[64], headers[256];
  CU_ASSERT_EQUAL_FATAL(ask(&ws, "HEAD", "/webwire.js", ""), 200);
  snprintf(etag, sizeof etag, "%s", rawws_header(ws, "ETag"));
  rawws_free(ws);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const char *format = table[i].format, *gap = strstr(format, "%s");
    size_t before = gap ? (size_t)(gap - format) : strlen(format);
    snprintf(headers, sizeof headers, "%.*s%s%s", (int)before, format,
             gap ? etag : "", gap ? gap + 2 : "");
    int status = ask(&ws, "GET", "/webwire.js", headers);
    if (status != table[i].status) fprintf(stderr, "%d: %s", status, headers);
    CU_ASSERT_EQUAL(status, table[i].status);
    rawws_free(ws);
  }
}

/* --- What else is asked for ----------------------------------------------- */

static void nothing_else(void) {
  static const char *const paths[] = {"/x",
                                      "/index",
                                      "/webwire",
                                      "/webwire.d.ts",
                                      "/server.c",
                                      "/page/",
                                      "/Index.html",
                                      "/index.html/",
                                      "/index.htm",
                                      "/index.html.",
                                      "/.",
                                      "/..x",
                                      "/etc/passwd",
                                      "/proc/self/exe",
                                      "/wwrsess",
                                      "/package.json",
                                      "/index.html%20",
                                      "/%25%30%30",
                                      "/index%2ehtml%2f",
                                      "/\\..\\x"};
  struct rawws *ws;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int status = ask(&ws, "GET", paths[i], "");
    if (strcmp(paths[i], "/.") == 0) { /* the same as "/" */
      CU_ASSERT_EQUAL(status, 200);
    } else {
      if (status != 404) fprintf(stderr, "%s: %d\n", paths[i], status);
      CU_ASSERT_EQUAL(status, 404);
      CU_ASSERT_TRUE(is_guarded(ws));
      CU_ASSERT_PTR_NULL(rawws_header(ws, "ETag"));
    }
    rawws_free(ws);
  }
  CU_ASSERT_EQUAL(ask(&ws, "GET", "/join", ""), 426);
  CU_ASSERT_TRUE(has(ws, "Upgrade", "websocket"));
  rawws_free(ws);
}

/* However it is written, it is a file of the table or none. */
static void roundabout_paths(void) {
  static const char *const paths[] = {
      "/../../../../etc/passwd",
      "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
      "/..%2f..%2f..%2fetc/passwd",
      "/%252e%252e/etc/passwd",
      "//etc/passwd",
      "/index.html/../../../etc/passwd",
      "/./././etc/passwd",
      "/..\\..\\etc\\passwd",
      "/%c0%ae%c0%ae/etc/passwd",
      "/index.html%00",
      "/index.html%00.svg",
      "/%",
      "/%zz",
      "/index.html%0d%0aX-Evil:%201",
  };
  struct rawws *ws;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int status = ask(&ws, "GET", paths[i], "");
    bool refused = status == 400 || status == 403 || status == 404;
    if (!refused && status != -1) fprintf(stderr, "%d %s\n", status, paths[i]);
    CU_ASSERT_TRUE(refused || status == -1);
    if (refused) {
      CU_ASSERT_PTR_NULL(rawws_header(ws, "X-Evil"));
      const char *body = rawws_body(ws, WIRE_MS);
      CU_ASSERT_TRUE(body && !strstr(body, "root:"));
    }
    rawws_free(ws);
  }
}

static void other_methods(void) {
  static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
  struct rawws *ws;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    CU_ASSERT_EQUAL(ask(&ws, methods[i], "/", "Content-Length: 0\r\n"), 405);
    CU_ASSERT_TRUE(has(ws, "Allow", "GET, HEAD, OPTIONS"));
    rawws_free(ws);
  }
  CU_ASSERT_EQUAL(ask(&ws, "POST", "/", "Content-Length: 4\r\n\r\nbody"), 405);
  rawws_free(ws);
  CU_ASSERT_EQUAL(ask(&ws, "OPTIONS", "/", ""), 200); /* it is ready */
  CU_ASSERT_TRUE(has(ws, "Content-Length", "0"));
  rawws_free(ws);
}

/* Nothing of this hurts: whatever the answer is, it ends, and the next one is
 * served. */
static void nonsense(void) {
  static char longest[66000], headers[66000];
  static const char *const requests[] = {
      "GET\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      "GET index.html HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
      "get / HTTP/1.1\r\nHost: x\r\n\r\n",
      "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost x\r\n: y\r\n\r\n",
      "GET / HTTP/1.1\r\nIf-None-Match\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"};
  struct rawws *ws;
  memset(longest, 'a', sizeof longest - 1);
  longest[0] = '/';
  for (size_t n = 0; n + 16 < sizeof headers; n += 11)
    memcpy(headers + n, "X-a: bcde\r\n", 12);
  for (size_t i = 0; i < sizeof requests / sizeof *requests + 2; i++) {
    if (i < sizeof requests / sizeof *requests) {
      ws = rawws_dial(&(struct rawws_opts){.port = server.port});
      CU_ASSERT_TRUE(rawws_write(ws, requests[i], strlen(requests[i])));
      rawws_shutdown_write(ws);
      (void)rawws_read_answer(ws);
    } else if (ask(&ws, "GET", i % 2 ? longest : "/", headers) == 200) {
      CU_ASSERT_TRUE(is_guarded(ws));
    }
    rawws_free(ws);
    CU_ASSERT_EQUAL_FATAL(ask(&ws, "GET", "/", ""), 200);
    rawws_free(ws);
  }
}

/* A page's parts are asked for at once, on connections that are kept when the
 * server lets them be. */
static void a_browser_comes(void) {
  enum { BROWSERS = 30 };
  struct rawws *all[BROWSERS];
  for (int i = 0; i < BROWSERS; i++) {
    all[i] = rawws_dial(&(struct rawws_opts){.port = server.port});
    CU_ASSERT_PTR_NOT_NULL_FATAL(all[i]);
    static const char request[] =
        "GET /webwire.js HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n"
        "Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n";
    CU_ASSERT_TRUE(rawws_write(all[i], request, strlen(request)));
  }
  for (int i = 0; i < BROWSERS; i++) {
    CU_ASSERT_EQUAL(rawws_read_answer(all[i]), 200);
    CU_ASSERT_PTR_NOT_NULL(rawws_body(all[i], WIRE_MS));
    CU_ASSERT_TRUE(ends_here(all[i]));
    rawws_free(all[i]);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"every file", every_file},
                         {"files that are known", files_that_are_known},
                         {"nothing else", nothing_else},
                         {"roundabout paths", roundabout_paths},
                         {"other methods", other_methods},
                         {"nonsense", nonsense},
                         {"a browser comes", a_browser_comes},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"page", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
