/* The server's connections as lws calls back about them: a socket from the
 * lobby, TLS and HTTP (lws), upgrade or answer (upgrade.c), then a pipe. Plain
 * WebSockets don't come here (native.c), unless asked to. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

static struct wwri_ws_server_conn *conn_of(struct lws *wsi) {
  struct wwri_ws_pipe *pipe = wwri_ws_pipe_of(wsi);
  return pipe ? WWRI_CONTAINER(pipe, struct wwri_ws_server_conn, pipe) : NULL;
}

static struct wwri_ws_server_shard *shard_of(struct lws *wsi) {
  struct wwri_ws_shard *shard = lws_context_user(lws_get_context(wsi));
  return WWRI_CONTAINER(shard, struct wwri_ws_server_shard, base);
}

/* Life */

void wwri_ws_adopt(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server_shard *shard = conn->shard;
  lws_adopt_desc_t info = {
      .vh = shard->base.vhost,
      .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
      .fd.sockfd = conn->fd,
      .opaque = &conn->pipe};
  shard->adopting = conn;
  struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&info);
  shard->adopting = NULL;
  /* On failure lws closes the socket; a wsi it had made still dies later. */
  if (wsi || conn->created) {
    shard->base.wsi_count++;
    conn->pipe.wsi = wsi;
  } else {
    wwri_ws_conn_free(conn);
  }
}

void wwri_ws_conn_free(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server *server = conn->shard->server;
  wwri_ws_handshake_over(conn);
  if (conn->has_token) {
    server->config.events->abandoned(server->config.owner, conn->shard->index,
                                     conn->token);
  }
  conn->shard->load--;
  if (conn->shed) {
    server->shed--;
  } else {
    server->connections--;
  }
  free(conn->answer.bytes);
  free(conn);
}

/* lws is done with a connection that may never have become a pipe. */
static void destroyed(struct wwri_ws_server_conn *conn) {
  if (conn->pipe.opened) {
    wwri_ws_pipe_gone(&conn->pipe, WWR_E_DISCONNECTED);
  } else {
    wwri_ws_conn_free(conn);
  }
}

void wwri_ws_conn_opened(struct wwri_ws_server_conn *conn) {
  struct wwri_ws_server *server = conn->shard->server;
  conn->has_token = false;
  server->accepted++;
  wwri_ws_pipe_opened(&conn->pipe);
  server->config.events->opened(server->config.owner, conn->shard->index,
                                conn->token, &conn->pipe.base);
}

static int established(struct wwri_ws_server_conn *conn, struct lws *wsi) {
  struct wwri_ws_server *server = conn->shard->server;
  struct wwri_ws_pipe *pipe = &conn->pipe;
  pipe->wsi = wsi;
  pipe->direct = server->tls.cert_file &&
                 atomic_load(&server->write_path) == WWR_WRITE_DIRECT;
  lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
  wwri_ws_handshake_over(conn);
  wwri_ws_conn_opened(conn);
  return 0;
}

/* The peer starts the closing handshake. If all is sent and lws' answer can go
 * out in the next pass, nobody needs to wait for it: the pipe ends before, so
 * that a client which has the answer finds its place free. Otherwise it stays,
 * with its time limit. */
static void peer_closes(struct wwri_ws_pipe *pipe) {
  wwri_ws_peer_closes(pipe);
  if (pipe->wsi && pipe->out.count == 0 && !lws_partial_buffered(pipe->wsi) &&
      wwri_ws_socket_is_writable(lws_get_socket_fd(pipe->wsi))) {
    wwri_ws_pipe_gone(pipe, WWR_OK);
  }
}

/* Callbacks */

static int on_http(struct wwri_ws_server_conn *conn, struct lws *wsi,
                   enum lws_callback_reasons reason, const char *in,
                   size_t len) {
  switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
      return wwri_ws_confirm_upgrade(conn, wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
      ((struct lws_protocols *)(uintptr_t)lws_get_protocol(wsi))->name = "";
      return 0;
    case LWS_CALLBACK_ESTABLISHED:
      return established(conn, wsi);
    case LWS_CALLBACK_HTTP:
      return wwri_ws_plain_request(conn, wsi);
    case LWS_CALLBACK_HTTP_BODY:
      return wwri_ws_request_body(conn, wsi, len);
    case LWS_CALLBACK_HTTP_WRITEABLE:
      return conn->body_left ? 0 : wwri_ws_answer_continue(conn, wsi);
    case LWS_CALLBACK_RAW_ADOPT: /* CONNECT */
    case LWS_CALLBACK_RAW_RX:
      return -1;
    case LWS_CALLBACK_WSI_DESTROY:
      destroyed(conn);
      return 0;
    default:
      return 0;
  }
}

static int on_websocket(struct wwri_ws_server_conn *conn,
                        enum lws_callback_reasons reason, void *in,
                        size_t len) {
  struct wwri_ws_pipe *pipe = &conn->pipe;
  switch (reason) {
    case LWS_CALLBACK_RECEIVE:
      wwri_ws_received_by_lws(pipe, in, len);
      return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
      wwri_ws_touch(pipe);
      return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return wwri_ws_writeable(pipe);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      peer_closes(pipe);
      return 0;
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
      wwri_ws_lws_closes(pipe);
      return 0;
    case LWS_CALLBACK_CLOSED:
      wwri_ws_pipe_gone(pipe, WWR_E_DISCONNECTED);
      return 0;
    default:
      return 0;
  }
}

/* For a connection that we have given up already. */
static int on_orphan(struct lws *wsi, enum lws_callback_reasons reason) {
  switch (reason) {
    case LWS_CALLBACK_WSI_CREATE:
      if (shard_of(wsi)->adopting) shard_of(wsi)->adopting->created = true;
      return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return -1;
    default:
      return 0;
  }
}

static int load_tls(struct lws *wsi, void *ssl_ctx) {
  struct wwri_ws_server_shard *shard = shard_of(wsi);
  shard->ssl_ctx = ssl_ctx;
  return wwri_ws_tls_apply(ssl_ctx, &shard->server->tls) ? 1 : 0;
}

int wwri_ws_server_callback(struct lws *wsi, enum lws_callback_reasons reason,
                            void *user, void *in, size_t len) {
  if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
    return load_tls(wsi, user);
  }
  /* Some callbacks come without a connection, on a wsi that is only a shell. */
  if (reason == LWS_CALLBACK_PROTOCOL_INIT ||
      reason == LWS_CALLBACK_PROTOCOL_DESTROY ||
      reason == LWS_CALLBACK_GET_THREAD_ID ||
      reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
    return 0;
  }
  if (reason == LWS_CALLBACK_WSI_DESTROY) shard_of(wsi)->base.wsi_count--;
  struct wwri_ws_server_conn *conn = conn_of(wsi);
  if (!conn) return on_orphan(wsi, reason);
  return conn->pipe.opened && reason != LWS_CALLBACK_WSI_DESTROY
             ? on_websocket(conn, reason, in, len)
             : on_http(conn, wsi, reason, in, len);
}
