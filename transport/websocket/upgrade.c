/* Which requests become connections. In this order: a server that refuses says
 * 503; a handshake that is none 400, 405 or 426; an unknown path 404; a foreign
 * origin 403; then the server's hook decides. Requests that ask for no upgrade
 * go to the server as they are (docs/protocol.md, "Transport"). */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"
#include "wshead.h"

enum {
  KEY_LEN = 24,
  PROTOCOL_LIST_MAX = 126,
  PROTOCOL_NAME_MAX = 62,
  BODY_MAX = 1024 * 1024 /* larger ones are not waited for */
};

static const char *header(const struct wwr_http *http, const char *name) {
  const char *value = wwr_http_header(http, name);
  return value ? value : "";
}

/* RFC 6455, section 4.2.1; 0 when all is well. */
static int check_handshake(struct wwr_http *http) {
  if (strcmp(http->method, "GET") != 0) return 405;
  if (!wwri_ws_header_has(header(http, "connection"), "upgrade")) return 400;
  if (strcmp(header(http, "sec-websocket-version"), "13") != 0) {
    (void)wwr_http_add_header(http, "Sec-WebSocket-Version", "13");
    return 426;
  }
  if (strlen(header(http, "sec-websocket-key")) != KEY_LEN) return 400;
  return *header(http, "host") ? 0 : 400;
}

static bool path_is_known(const struct wwri_ws_strings *paths,
                          const char *path) {
  if (paths->count == 0) return true;
  for (size_t i = 0; i < paths->count; i++) {
    if (strcmp(paths->items[i], path) == 0) return true;
  }
  return false;
}

static bool origin_is_allowed(const struct wwri_ws_strings *origins,
                              const struct wwr_http *http) {
  const char *origin = wwr_http_header(http, "origin");
  if (!origin) return true;
  for (size_t i = 0; i < origins->count; i++) {
    if (strcmp(origins->items[i], "*") == 0) return true;
    if (strcasecmp(origins->items[i], origin) == 0) return true;
  }
  if (origins->count > 0) return false;
  const char *host = strstr(origin, "://");
  return host && strcasecmp(host + 3, header(http, "host")) == 0;
}

static bool origin_is_good(struct wwri_ws_server *server,
                           const struct wwr_http *http) {
  pthread_rwlock_rdlock(&server->origins_lock);
  bool good = origin_is_allowed(&server->origins, http);
  pthread_rwlock_unlock(&server->origins_lock);
  return good;
}

/* lws wants to know the sub-protocol that a client offers; we negotiate none.
 * So for the length of its check our protocol bears the first offered name, and
 * none again before the answer is made (LWS_CALLBACK_FILTER_PROTOCOL...). */
static bool lend_protocol_name(struct lws *wsi, struct wwr_http *http) {
  static _Thread_local char name[PROTOCOL_NAME_MAX + 1];
  const char *offered = header(http, "sec-websocket-protocol");
  if (!*offered) return true;
  if (strlen(offered) > PROTOCOL_LIST_MAX) return false;
  offered += strspn(offered, " \t,");
  size_t len = strcspn(offered, " \t,");
  if (len == 0 || len > PROTOCOL_NAME_MAX) return false;
  memcpy(name, offered, len);
  name[len] = '\0';
  /* lws' own copy, on its heap; const is for those who share it. */
  ((struct lws_protocols *)(uintptr_t)lws_get_protocol(wsi))->name = name;
  return true;
}

static bool is_refused(const struct wwri_ws_server_conn *conn) {
  return conn->shed || atomic_load(&conn->shard->server->refusing);
}

/* The status to refuse with; 0: accepted. */
static int decide(struct wwri_ws_server_conn *conn, struct lws *wsi,
                  struct wwr_http *http) {
  struct wwri_ws_server *server = conn->shard->server;
  if (is_refused(conn)) return 503;
  int status = check_handshake(http);
  if (status) return status;
  if (!path_is_known(&server->paths, http->path)) return 404;
  if (!origin_is_good(server, http)) return 403;
  if (wsi && !lend_protocol_name(wsi, http)) return 400;
  if (!server->config.events->upgrade(server->config.owner, conn->shard->index,
                                      http, &conn->token)) {
    return http->status ? -1 : 403;
  }
  conn->has_token = true;
  return 0;
}

static int answer_at_once(struct wwri_ws_server_conn *conn, struct lws *wsi,
                          const struct wwr_http *http) {
  bool done =
      wwri_ws_answer_make(conn, http) && wwri_ws_answer_at_once(conn, wsi);
  return done ? 1 : -1;
}

static int refuse(struct wwri_ws_server_conn *conn, struct lws *wsi,
                  struct wwr_http *http, int status) {
  conn->shard->server->refused++;
  if (status > 0) wwri_ws_answer_status(http, status);
  return answer_at_once(conn, wsi, http);
}

/* What is no handshake is for the server's owner to answer. */
static void ask_owner(struct wwri_ws_server_conn *conn,
                      struct wwri_ws_request *request) {
  struct wwri_ws_server *server = conn->shard->server;
  if (is_refused(conn)) {
    server->refused++;
    wwri_ws_answer_status(&request->http, 503);
  } else if (request->malformed) {
    wwri_ws_answer_status(&request->http, 400);
  } else {
    server->config.events->http(server->config.owner, conn->shard->index,
                                &request->http);
    if (!request->http.status) wwri_ws_answer_status(&request->http, 500);
  }
}

/* h2c: an upgrade may be ignored. OPTIONS asks whether we are well, whatever
 * else it says. */
static bool asks_for_websocket(const struct wwr_http *http,
                               const char *protocol) {
  return strcasecmp(protocol, "websocket") == 0 &&
         strcmp(http->method, "OPTIONS") != 0;
}

int wwri_ws_confirm_upgrade(struct wwri_ws_server_conn *conn, struct lws *wsi,
                            const char *protocol) {
  struct wwri_ws_request request;
  if (conn->answer.bytes) return wwri_ws_answer_at_once(conn, wsi) ? 1 : -1;
  if (!wwri_ws_request_init(&request, wsi, conn->pipe.remote)) return -1;
  int result = 0;
  if (request.malformed) {
    result = refuse(conn, wsi, &request.http, 400);
  } else if (!asks_for_websocket(&request.http, protocol)) {
    ask_owner(conn, &request);
    result = answer_at_once(conn, wsi, &request.http);
  } else {
    int status = decide(conn, wsi, &request.http);
    if (status) result = refuse(conn, wsi, &request.http, status);
  }
  wwri_ws_request_deinit(&request);
  return result;
}

static uint32_t body_to_wait_for(const struct wwr_http *http) {
  unsigned long long bytes = strtoull(header(http, "content-length"), NULL, 10);
  return bytes <= BODY_MAX ? (uint32_t)bytes : 0;
}

int wwri_ws_plain_request(struct wwri_ws_server_conn *conn, struct lws *wsi) {
  struct wwri_ws_request request;
  if (conn->answer.bytes) return wwri_ws_answer_continue(conn, wsi);
  if (!wwri_ws_request_init(&request, wsi, conn->pipe.remote)) return -1;
  ask_owner(conn, &request);
  bool made = wwri_ws_answer_make(conn, &request.http);
  conn->body_left = body_to_wait_for(&request.http);
  wwri_ws_request_deinit(&request);
  if (!made) return -1;
  return conn->body_left ? 0 : wwri_ws_answer_continue(conn, wsi);
}

int wwri_ws_request_body(struct wwri_ws_server_conn *conn, struct lws *wsi,
                         size_t len) {
  if (conn->body_left == 0) return 0;
  conn->body_left -= len < conn->body_left ? (uint32_t)len : conn->body_left;
  return conn->body_left ? 0 : wwri_ws_answer_continue(conn, wsi);
}

/* Plain connections: the usual request is answered without lws, which gets
 * those that are refused, with their answer, and everything else as it is. */

enum { HEAD_MAX = 8192, ACCEPT_MAX = 32 };

static bool is_native(const struct wwri_ws_server *server) {
  return !server->tls.cert_file &&
         atomic_load(&server->write_path) == WWR_WRITE_DIRECT;
}

/* Reads without taking. The head points into the shard's scratch. */
static enum wwri_wshead_kind peek(struct wwri_ws_server_conn *conn,
                                  struct wwri_wshead *head, ssize_t *len) {
  size_t cap;
  char *bytes = (char *)wwri_ws_native_scratch(&conn->shard->base, &cap);
  *len = recv(conn->fd, bytes, HEAD_MAX, MSG_PEEK | MSG_DONTWAIT);
  if (*len <= 0) return WWRI_WSHEAD_OTHER;
  enum wwri_wshead_kind kind = wwri_wshead_read(head, bytes, (size_t)*len);
  bool more = kind == WWRI_WSHEAD_PARTIAL && *len == HEAD_MAX;
  return more ? WWRI_WSHEAD_OTHER : kind;
}

enum wwri_ws_said wwri_ws_listen_to(struct wwri_ws_server_conn *conn) {
  struct wwri_wshead head;
  ssize_t len;
  char byte;
  if (!is_native(conn->shard->server)) {
    len = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  } else if (peek(conn, &head, &len) == WWRI_WSHEAD_PARTIAL) {
    return WWRI_WS_SAID_PART;
  }
  if (len > 0) return WWRI_WS_SAID_ENOUGH;
  bool later = len < 0 && (errno == EAGAIN || errno == EINTR);
  return later ? WWRI_WS_SAID_PART : WWRI_WS_SAID_BYE;
}

static const char *find_in_head(const struct wwr_http *http, const char *name) {
  return wwri_wshead_find(http->transport_data, name);
}

/* RFC 6455, section 4.2.2. */
static int write_acceptance(char *out, size_t cap, const char *key) {
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  char text[KEY_LEN + sizeof(magic)];
  unsigned char hash[SHA_DIGEST_LENGTH];
  unsigned char accept[ACCEPT_MAX];
  int len = snprintf(text, sizeof(text), "%s%s", key, magic);
  SHA1((const unsigned char *)text, (size_t)len, hash);
  EVP_EncodeBlock(accept, hash, SHA_DIGEST_LENGTH);
  return snprintf(out, cap,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                  (const char *)accept);
}

static void drop(struct wwri_ws_server_conn *conn) {
  close(conn->fd);
  wwri_ws_conn_free(conn);
}

/* Take the head from the socket, answer it, and let frames begin. */
static void open_native(struct wwri_ws_server_conn *conn,
                        const struct wwri_wshead *head) {
  char answer[256];
  size_t len = head->len;
  size_t cap;
  int want = write_acceptance(answer, sizeof(answer),
                              wwri_wshead_find(head, "sec-websocket-key"));
  /* The head itself is not needed any more. */
  void *bytes = wwri_ws_native_scratch(&conn->shard->base, &cap);
  if (recv(conn->fd, bytes, len, MSG_DONTWAIT) == (ssize_t)len &&
      send(conn->fd, answer, (size_t)want, MSG_NOSIGNAL | MSG_DONTWAIT) ==
          want &&
      !wwri_ws_native_attach(&conn->pipe, conn->fd)) {
    wwri_ws_conn_opened(conn);
  } else {
    drop(conn);
  }
}

bool wwri_ws_native_upgrade(struct wwri_ws_server_conn *conn) {
  struct wwri_wshead head;
  ssize_t len;
  if (!is_native(conn->shard->server)) return false;
  if (peek(conn, &head, &len) != WWRI_WSHEAD_UPGRADE) return false;
  struct wwr_http http = {.method = "GET",
                          .path = head.path,
                          .query = head.query,
                          .remote = conn->pipe.remote,
                          .find_header = find_in_head,
                          .transport_data = &head};
  int status = decide(conn, NULL, &http);
  bool done = status == 0;
  if (done) {
    open_native(conn, &head);
  } else {
    conn->shard->server->refused++;
    if (status > 0) wwri_ws_answer_status(&http, status);
    done = !wwri_ws_answer_make(conn, &http);
    if (done) drop(conn); /* no memory */
  }
  wwri_http_deinit(&http);
  return done;
}
