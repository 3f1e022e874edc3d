/* One dial: look up the name without blocking the loop, try its addresses in
 * turn, upgrade. Whatever goes wrong ends in one `failed` event; a connection
 * attempt that was given up is detached from us and dies inside lws.
 *
 * lws connects to a numeric address, so that it has nothing to look up itself;
 * the name goes into the Host header and the certificate check. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialer.h"

enum { HEADER_ROOM = 8 };

/* Ends */

static void drop_list(struct wwri_ws_client_conn *conn) {
  if (conn->list_is_uv) {
    uv_freeaddrinfo(conn->list);
  } else if (conn->list) {
    freeaddrinfo(conn->list);
  }
  conn->list = conn->next = NULL;
  conn->list_is_uv = false;
}

/* The dial is over, one way or the other; the conn is the caller's. */
static struct wwri_ws_client_conn *end_dial(struct wwri_ws_dialer *dialer) {
  struct wwri_ws_client_conn *conn = dialer->dialing;
  dialer->dialing = NULL;
  wwri_loop_timer_cancel(dialer->config.loop, &dialer->dial_timer);
  wwri_loop_timer_cancel(dialer->config.loop, &dialer->later);
  if (dialer->resolving) {
    dialer->resolving->conn = NULL;
    uv_cancel((uv_req_t *)&dialer->resolving->request);
  }
  drop_list(conn);
  return conn;
}

void wwri_ws_dial_fail(struct wwri_ws_dialer *dialer, wwr_err reason,
                       int status) {
  struct wwri_ws_client_conn *conn = end_dial(dialer);
  if (conn->wsi) wwri_ws_drop_wsi(conn->wsi);
  free(conn);
  dialer->config.events->failed(dialer->config.owner, reason, status);
}

void wwri_ws_dial_fail_later(struct wwri_ws_dialer *dialer, wwr_err reason,
                             int status) {
  dialer->failure = reason;
  dialer->failure_status = status;
  wwri_loop_timer_set(dialer->config.loop, &dialer->later, 0);
}

/* Connecting */

static void numeric(const struct addrinfo *info, char *text, size_t cap) {
  if (getnameinfo(info->ai_addr, info->ai_addrlen, text, (socklen_t)cap, NULL,
                  0, NI_NUMERICHOST)) {
    text[0] = '\0';
  }
}

static int ssl_flags(const struct wwri_ws_dialer *dialer) {
  int flags = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
  if (!dialer->url.tls) return flags;
  /* The host name is checked by the SSL_CTX (client_tls.c). */
  flags |= LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
  if (dialer->insecure) {
    flags |=
        LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_INSECURE | LCCSCF_ALLOW_EXPIRED;
  }
  return flags;
}

static struct lws *connect_to(struct wwri_ws_client_conn *conn,
                              const struct addrinfo *info) {
  struct wwri_ws_dialer *dialer = conn->dialer;
  char address[NI_MAXHOST];
  numeric(info, address, sizeof(address));
  struct lws_client_connect_info connect_info = {
      .context = dialer->shard.context,
      .vhost = dialer->shard.vhost,
      .address = address,
      .port = (int)strtol(dialer->url.address.port, NULL, 10),
      .path = dialer->url.path,
      .host = dialer->host_header,
      .ssl_connection = ssl_flags(dialer),
      .ietf_version_or_minus_one = -1,
      .local_protocol_name = "",
      .alpn = "http/1.1",
      .opaque_user_data = &conn->pipe};
  return lws_client_connect_via_info(&connect_info);
}

/* The next address; false when there is none. */
static bool try_next(struct wwri_ws_client_conn *conn) {
  conn->wsi = NULL;
  while (conn->next) {
    const struct addrinfo *info = conn->next;
    conn->next = info->ai_next;
    if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
    conn->wsi = connect_to(conn, info);
    if (conn->wsi) return true;
  }
  return false;
}

static void start_connecting(struct wwri_ws_client_conn *conn) {
  if (!try_next(conn)) {
    wwri_ws_dial_fail_later(conn->dialer, WWR_E_DISCONNECTED, 0);
  }
}

/* Names */

static void on_resolved(uv_getaddrinfo_t *request, int status,
                        struct addrinfo *list) {
  struct wwri_ws_resolve *resolve =
      WWRI_CONTAINER(request, struct wwri_ws_resolve, request);
  struct wwri_ws_dialer *dialer = resolve->dialer;
  struct wwri_ws_client_conn *conn = resolve->conn;
  if (dialer->resolving == resolve) dialer->resolving = NULL;
  dialer->lookups--;
  free(resolve);
  if (!conn) {
    uv_freeaddrinfo(list);
    wwri_ws_dialer_maybe_stopped(dialer);
    return;
  }
  conn->list = conn->next = list;
  conn->list_is_uv = list != NULL;
  if (status) {
    wwri_ws_dial_fail(dialer, WWR_E_DISCONNECTED, 0);
  } else {
    start_connecting(conn);
  }
}

static wwr_err resolve(struct wwri_ws_client_conn *conn,
                       const struct addrinfo *hints) {
  struct wwri_ws_dialer *dialer = conn->dialer;
  struct wwri_ws_resolve *look_up = calloc(1, sizeof(*look_up));
  if (!look_up) return WWR_E_NOMEM;
  look_up->dialer = dialer;
  look_up->conn = conn;
  if (uv_getaddrinfo(wwri_loop_uv(dialer->config.loop), &look_up->request,
                     on_resolved, dialer->url.address.host, NULL, hints)) {
    free(look_up);
    return WWR_E_IO;
  }
  dialer->resolving = look_up;
  dialer->lookups++;
  return WWR_OK;
}

wwr_err wwri_ws_dial(struct wwri_ws_dialer *dialer) {
  struct wwri_ws_client_conn *conn = dialer->dialing;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICHOST};
  if (getaddrinfo(dialer->url.address.host, NULL, &hints, &conn->list) == 0) {
    conn->next = conn->list;
    start_connecting(conn);
    return WWR_OK;
  }
  conn->list = NULL;
  hints.ai_flags = 0;
  return resolve(conn, &hints);
}

/* Callbacks */

static int append_header(char **at, const char *end, const char *name,
                         const char *value) {
  if (!value) return 0;
  size_t room = (size_t)(end - *at);
  if (strlen(name) + strlen(value) + HEADER_ROOM > room) return -1;
  *at += snprintf(*at, room, "%s: %s\r\n", name, value);
  return 0;
}

static int append_headers(const struct wwri_ws_dialer *dialer, char **at,
                          size_t room) {
  const char *end = *at + room;
  if (append_header(at, end, "User-Agent", dialer->user_agent)) return -1;
  return append_header(at, end, "Origin", dialer->origin);
}

static void attempt_failed(struct wwri_ws_client_conn *conn, struct lws *wsi,
                           const char *text) {
  struct wwri_ws_dialer *dialer = conn->dialer;
  int status = (int)lws_http_client_http_response(wsi);
  bool tls = conn->tls_failed ||
             (text && (strstr(text, "SSL") || strstr(text, "tls")));
  lws_set_opaque_user_data(wsi, NULL);
  conn->wsi = NULL;
  if (status) {
    wwri_ws_dial_fail(dialer, WWR_E_REFUSED, status);
  } else if (dialer->url.tls && tls) {
    wwri_ws_dial_fail(dialer, WWR_E_TLS, 0);
  } else if (!try_next(conn)) {
    wwri_ws_dial_fail(dialer, WWR_E_DISCONNECTED, 0);
  }
}

static void note_remote(struct wwri_ws_pipe *pipe) {
  struct sockaddr_storage peer;
  socklen_t len = sizeof(peer);
  memset(&peer, 0, sizeof(peer));
  (void)getpeername(lws_get_socket_fd(pipe->wsi), (struct sockaddr *)&peer,
                    &len);
  wwri_ws_socket_text((struct sockaddr *)&peer, pipe->remote,
                      sizeof(pipe->remote));
}

static int established(struct wwri_ws_client_conn *conn, struct lws *wsi) {
  struct wwri_ws_dialer *dialer = conn->dialer;
  struct wwri_ws_pipe *pipe = &conn->pipe;
  end_dial(dialer);
  conn->wsi = NULL;
  pipe->wsi = wsi;
  note_remote(pipe);
  wwri_ws_socket_tune(lws_get_socket_fd(wsi));
  wwri_ws_pipe_opened(pipe);
  dialer->config.events->opened(dialer->config.owner, &pipe->base);
  return 0;
}

static int while_dialing(struct wwri_ws_client_conn *conn, struct lws *wsi,
                         enum lws_callback_reasons reason, void *in,
                         size_t len) {
  switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
      return append_headers(conn->dialer, in, len);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
      return established(conn, wsi);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
      attempt_failed(conn, wsi, in);
      return 0;
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
      if (conn->wsi == wsi) attempt_failed(conn, wsi, NULL);
      return 0;
    default:
      return 0;
  }
}

static int while_open(struct wwri_ws_pipe *pipe,
                      enum lws_callback_reasons reason, void *in, size_t len) {
  switch (reason) {
    case LWS_CALLBACK_CLIENT_RECEIVE:
      wwri_ws_received_by_lws(pipe, in, len);
      return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
      wwri_ws_touch(pipe);
      return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
      return wwri_ws_writeable(pipe);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      wwri_ws_peer_closes(pipe);
      return 0;
    case LWS_CALLBACK_WS_CLIENT_DROP_PROTOCOL:
      wwri_ws_lws_closes(pipe);
      return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
      wwri_ws_pipe_gone(pipe, WWR_E_DISCONNECTED);
      return 0;
    default:
      return 0;
  }
}

static int verify(struct lws *wsi, void *store_ctx, bool ok) {
  struct wwri_ws_shard *shard = lws_context_user(lws_get_context(wsi));
  struct wwri_ws_dialer *dialer = shard->owner;
  if (wwri_ws_client_tls_verified(store_ctx, ok, dialer->insecure)) return 0;
  if (dialer->dialing) dialer->dialing->tls_failed = true;
  return 1;
}

int wwri_ws_client_callback(struct lws *wsi, enum lws_callback_reasons reason,
                            void *user, void *in, size_t len) {
  switch (reason) {
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
      return verify(wsi, user, len != 0);
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
    case LWS_CALLBACK_PROTOCOL_INIT: /* these come on the shell of a wsi */
    case LWS_CALLBACK_PROTOCOL_DESTROY:
    case LWS_CALLBACK_GET_THREAD_ID:
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
      return 0;
    default:
      break;
  }
  struct wwri_ws_pipe *pipe = wwri_ws_pipe_of(wsi);
  if (!pipe) { /* given up */
    return reason == LWS_CALLBACK_CLIENT_ESTABLISHED ||
                   reason == LWS_CALLBACK_CLIENT_RECEIVE ||
                   reason == LWS_CALLBACK_CLIENT_WRITEABLE
               ? -1
               : 0;
  }
  if (pipe->opened) return while_open(pipe, reason, in, len);
  return while_dialing(WWRI_CONTAINER(pipe, struct wwri_ws_client_conn, pipe),
                       wsi, reason, in, len);
}
