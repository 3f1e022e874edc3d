/* The upgrade: a request of one's own making, and the head of its answer. */
#include "rawws.h"
#include "rawws_io.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_TIMEOUT_MS 5000
#define MAX_HEAD_BYTES    65536
#define MAX_BODY_BYTES    1048576

/* The value of a header in lines ended by "\r\n", or NULL. */
static const char *find_header(const char *lines, const char *name) {
  size_t len = strlen(name);
  for (const char *line = lines; line && *line;) {
    if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
      line += len + 1;
      return line + strspn(line, " \t");
    }
    line = strstr(line, "\r\n");
    if (line) line += 2;
  }
  return NULL;
}

/* --- Asking ------------------------------------------------------------- */

static void make_key(char key[25]) {
  unsigned char random[16];
  if (RAND_bytes(random, sizeof random) != 1) memset(random, 7, sizeof random);
  EVP_EncodeBlock((unsigned char *)key, random, sizeof random);
}

static void make_accept(const char *key, char accept[29]) {
  char text[80];
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  int n = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                   key);
  EVP_Digest(text, (size_t)n, digest, &len, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)accept, digest, (int)len);
}

/* One header line, unless the test gives that header itself. */
static bool put_header(struct rawws *ws, const struct rawws_request *request,
                       const char *name, const char *value) {
  if (request->headers && find_header(request->headers, name)) return true;
  char line[256];
  int n = snprintf(line, sizeof line, "%s: %s\r\n", name, value);
  return rawws_write(ws, line, (size_t)n);
}

static bool put_text(struct rawws *ws, const char *text) {
  return rawws_write(ws, text, strlen(text));
}

static bool send_request(struct rawws *ws, const struct rawws_request *request,
                         const char *key) {
  bool good = put_text(ws, request->method ? request->method : "GET") &&
              put_text(ws, " ") &&
              put_text(ws, request->path ? request->path : "/") &&
              put_text(ws, " HTTP/1.1\r\n") &&
              put_header(ws, request, "Host", "localhost");
  if (good && !request->bare) {
    good = put_header(ws, request, "Connection", "Upgrade") &&
           put_header(ws, request, "Upgrade", "websocket") &&
           put_header(ws, request, "Sec-WebSocket-Version", "13") &&
           put_header(ws, request, "Sec-WebSocket-Key", key);
  }
  if (good && request->headers) good = put_text(ws, request->headers);
  return good && put_text(ws, "\r\n");
}

/* --- The answer --------------------------------------------------------- */

/* Length of the head including the empty line, or 0 when it is incomplete. */
static size_t head_length(const struct rawws *ws) {
  size_t len = ws->in_len - ws->in_pos;
  if (len == 0) return 0;
  const uint8_t *bytes = ws->in + ws->in_pos;
  const uint8_t *end = memmem(bytes, len, "\r\n\r\n", 4);
  return end ? (size_t)(end - bytes) + 4 : 0;
}

int rawws_read_answer(struct rawws *ws) {
  int64_t deadline = rawws_now_ms() + ANSWER_TIMEOUT_MS;
  size_t len;
  while ((len = head_length(ws)) == 0) {
    size_t have = ws->in_len - ws->in_pos;
    if (have > MAX_HEAD_BYTES) return -1;
    if (rawws_fill(ws, have + 1, deadline) != RAWWS_OK) return -1;
  }
  free(ws->head);
  ws->head = malloc(len + 1);
  if (!ws->head) return -1;
  memcpy(ws->head, ws->in + ws->in_pos, len);
  ws->head[len] = '\0';
  ws->in_pos += len;
  int status = -1;
  return sscanf(ws->head, "HTTP/1.%*1[01] %3d", &status) == 1 ? status : -1;
}

const char *rawws_header(struct rawws *ws, const char *name) {
  const char *value = ws->head ? find_header(ws->head, name) : NULL;
  if (!value) return NULL;
  size_t len = strcspn(value, "\r\n");
  free(ws->message);
  ws->message = malloc(len + 1);
  if (!ws->message) return NULL;
  memcpy(ws->message, value, len);
  ws->message[len] = '\0';
  return (const char *)ws->message;
}

int rawws_upgrade(struct rawws *ws, const struct rawws_request *request) {
  static const struct rawws_request plain;
  char key[25], accept[29];
  make_key(key);
  make_accept(key, accept);
  if (!send_request(ws, request ? request : &plain, key)) return -1;
  int status = rawws_read_answer(ws);
  if (status != 101) return status;
  bool own = request && request->headers &&
             find_header(request->headers, "Sec-WebSocket-Key");
  const char *got = rawws_header(ws, "Sec-WebSocket-Accept");
  return own || (got && strcmp(got, accept) == 0) ? status : -1;
}

const char *rawws_body(struct rawws *ws, int timeout_ms) {
  int64_t deadline = rawws_now_ms() + timeout_ms;
  const char *announced = rawws_header(ws, "Content-Length");
  enum rawws_result result = RAWWS_OK;
  size_t len = 0;
  if (announced) {
    len = (size_t)strtoul(announced, NULL, 10);
    if (len > MAX_BODY_BYTES) return NULL;
    result = rawws_fill(ws, len, deadline);
    if (result != RAWWS_OK) return NULL;
  } else {
    while (result == RAWWS_OK) {
      len = ws->in_len - ws->in_pos;
      result = rawws_fill(ws, len + 1, deadline);
    }
    if (result == RAWWS_TIMEOUT) return NULL;
    len = ws->in_len - ws->in_pos;
  }
  free(ws->message);
  ws->message = malloc(len + 1);
  if (!ws->message) return NULL;
  if (len > 0) memcpy(ws->message, ws->in + ws->in_pos, len);
  ws->message[len] = '\0';
  ws->in_pos += len;
  return (const char *)ws->message;
}
