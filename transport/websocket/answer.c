/* Answers to HTTP requests: refused upgrades and plain requests. Every answer
 * closes its connection, so there is no state between requests. A request's
 * body is read before the answer is sent (and thrown away): a close with unread
 * bytes is a reset, which would take the answer with it.
 *
 * A large body goes out in pieces as the peer takes them. lws' time-out ends an
 * answer that does not get on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum { PIECE = 65536, STATUS_LINE_MAX = 128, PIECE_TIMEOUT_S = 10 };

static const char *phrase(int status) {
  static const struct {
    int status;
    const char *text;
  } phrases[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {409, "Conflict"},
      {410, "Gone"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
  };
  for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
    if (phrases[i].status == status) return phrases[i].text;
  }
  return "Answer";
}

void wwri_ws_answer_status(struct wwr_http *http, int status) {
  struct wwr_view body = wwr_view_str(phrase(status));
  /* Out of memory: the status alone says enough. */
  if (wwr_http_respond(http, status, "text/plain; charset=utf-8", body)) {
    http->status = status;
  }
}

static bool has_body(const struct wwr_http *http) {
  return http->status != 204 && http->status != 304;
}

static size_t head_max(const struct wwr_http *http) {
  size_t len = 2 * STATUS_LINE_MAX;
  if (http->content_type) len += strlen(http->content_type) + 32;
  for (size_t i = 0; i < http->header_count; i++) {
    len += strlen(http->headers[i].name) + strlen(http->headers[i].value) + 4;
  }
  return len;
}

static size_t put_head(char *out, size_t cap, const struct wwr_http *http) {
  size_t n =
      (size_t)snprintf(out, cap, "HTTP/1.1 %d %s\r\nConnection: close\r\n",
                       http->status, phrase(http->status));
  if (has_body(http)) {
    n += (size_t)snprintf(out + n, cap - n, "Content-Length: %zu\r\n",
                          http->body_len);
  }
  if (http->content_type) {
    n += (size_t)snprintf(out + n, cap - n, "Content-Type: %s\r\n",
                          http->content_type);
  }
  for (size_t i = 0; i < http->header_count; i++) {
    n += (size_t)snprintf(out + n, cap - n, "%s: %s\r\n", http->headers[i].name,
                          http->headers[i].value);
  }
  return n + (size_t)snprintf(out + n, cap - n, "\r\n");
}

static bool build(struct wwri_ws_answer *answer, const struct wwr_http *http) {
  size_t cap = head_max(http);
  bool with_body =
      has_body(http) && http->body_len && strcmp(http->method, "HEAD") != 0;
  size_t body_len = with_body ? http->body_len : 0;
  answer->bytes = malloc(LWS_PRE + cap + body_len);
  if (!answer->bytes) return false;
  answer->at = 0;
  answer->len = put_head((char *)answer->bytes + LWS_PRE, cap, http);
  if (with_body) {
    memcpy(answer->bytes + LWS_PRE + answer->len, http->body, body_len);
    answer->len += body_len;
  }
  return true;
}

static bool write_piece(struct wwri_ws_answer *answer, struct lws *wsi,
                        size_t max) {
  size_t len = answer->len - answer->at;
  if (len > max) len = max;
  if (lws_write(wsi, answer->bytes + LWS_PRE + answer->at, len,
                LWS_WRITE_HTTP) < 0) {
    return false;
  }
  answer->at += len;
  lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, PIECE_TIMEOUT_S);
  return true;
}

bool wwri_ws_answer_make(struct wwri_ws_server_conn *conn,
                         const struct wwr_http *http) {
  free(conn->answer.bytes);
  return build(&conn->answer, http);
}

bool wwri_ws_answer_at_once(struct wwri_ws_server_conn *conn, struct lws *wsi) {
  return write_piece(&conn->answer, wsi, conn->answer.len);
}

int wwri_ws_answer_continue(struct wwri_ws_server_conn *conn, struct lws *wsi) {
  struct wwri_ws_answer *answer = &conn->answer;
  if (!answer->bytes) return 0;
  if (!lws_partial_buffered(wsi)) {
    if (answer->at == answer->len) return -1;
    if (!write_piece(answer, wsi, PIECE)) return -1;
    /* Downloads take their time, while newcomers wait for the handshakes. */
    if (answer->at < answer->len) wwri_ws_handshake_over(conn);
  }
  lws_callback_on_writable(wsi);
  return 0;
}
