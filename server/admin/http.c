/* HTTP by libmicrohttpd; the only file that knows it.
 *
 * It runs without a thread of its own, so that everything happens on the admin
 * thread and nothing in it needs a lock. A request is looked at when its head
 * is there (who asks what: most errors end here), carried out when its body is
 * there too, and suspended while the server has not answered.
 *
 * Against those who are slow on purpose: a connection has CLIENT_MS from its
 * beginning or its last answer to get the next request in and its answer out.
 * When there are more than MAX_CLIENTS, the one that has been waiting longest
 * makes room, so probes get through. */
#include <microhttpd.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "impl.h"

enum {
  MAX_CLIENTS = 96,
  MAX_SOCKETS = 128, /* with those that are being closed */
  SOCKET_BYTES = 16384,
  IDLE_SECONDS = 60,
  CLIENT_MS = 75000,
  ANSWER_MS = 30000, /* for the server */
  SKIP_BYTES = 16 * WWRI_ADMIN_BODY_MAX,
  LAST_TURNS = 4
};

/* --- Connections ---------------------------------------------------------- */

static void touch(struct wwri_admin *admin, struct wwri_client *client) {
  wwri_list_remove(&client->node);
  client->since_ms = wwri_admin_now();
  wwri_list_append(&admin->clients, &client->node);
}

/* libmicrohttpd hears of it and closes the descriptor. */
static void shut(struct wwri_client *client) {
  wwri_list_remove(&client->node);
  shutdown(client->fd, SHUT_RDWR);
}

static struct wwri_client *oldest(const struct wwri_admin *admin) {
  if (wwri_list_empty(&admin->clients)) return NULL;
  return WWRI_CONTAINER(admin->clients.next, struct wwri_client, node);
}

static void opened(struct wwri_admin *admin, struct MHD_Connection *connection,
                   void **context) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  struct wwri_client *client = info ? calloc(1, sizeof *client) : NULL;
  if (!client) return; /* it is only bounded by libmicrohttpd then */
  client->fd = info->connect_fd;
  wwri_list_init(&client->node);
  *context = client;
  if (++admin->client_count > MAX_CLIENTS && oldest(admin)) {
    shut(oldest(admin));
  }
  touch(admin, client);
}

static void closed(struct wwri_admin *admin, void **context) {
  struct wwri_client *client = *context;
  if (!client) return;
  *context = NULL;
  admin->client_count--;
  wwri_list_remove(&client->node);
  free(client);
}

static void on_connection(void *cls, struct MHD_Connection *connection,
                          void **context,
                          enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_STARTED) opened(cls, connection, context);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) closed(cls, context);
}

static struct wwri_client *client_of(const struct wwri_ask *ask) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(
      ask->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

/* --- Requests ------------------------------------------------------------- */

static enum wwri_method parse_method(const char *name) {
  if (strcmp(name, "GET") == 0 || strcmp(name, "HEAD") == 0) return WWRI_GET;
  if (strcmp(name, "POST") == 0) return WWRI_POST;
  if (strcmp(name, "DELETE") == 0) return WWRI_DELETE;
  return WWRI_OTHER;
}

static struct wwri_ask *ask_new(struct wwri_admin *admin,
                                struct MHD_Connection *connection,
                                const char *method) {
  struct wwri_ask *ask = calloc(1, sizeof *ask);
  if (!ask) return NULL;
  ask->admin = admin;
  ask->connection = connection;
  ask->method_name = method;
  ask->method = parse_method(method);
  wwri_list_init(&ask->waiting);
  return ask;
}

static void ask_free(struct wwri_ask *ask) {
  if (ask->call) ask->call->ask = NULL;
  wwri_list_remove(&ask->waiting);
  json_decref(ask->rows);
  free(ask->body);
  free(ask->text);
  free(ask);
}

const char *wwri_http_header(const struct wwri_ask *ask, const char *name) {
  return MHD_lookup_connection_value(ask->connection, MHD_HEADER_KIND, name);
}

const char *wwri_http_param(const struct wwri_ask *ask, const char *name) {
  return MHD_lookup_connection_value(ask->connection, MHD_GET_ARGUMENT_KIND,
                                     name);
}

static bool announces_more(const struct wwri_ask *ask, unsigned long max) {
  const char *length = wwri_http_header(ask, "Content-Length");
  return length && strtoull(length, NULL, 10) > max;
}

/* --- Answers -------------------------------------------------------------- */

static void log_request(const struct wwri_ask *ask) {
  const struct wwr_log *log = &ask->admin->log;
  char status[8], remote[NI_MAXHOST] = "-";
  if (!wwri_log_enabled(log, WWR_LOG_DEBUG)) return;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(
      ask->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info && info->client_addr) {
    socklen_t len = info->client_addr->sa_family == AF_INET6
                        ? sizeof(struct sockaddr_in6)
                        : sizeof(struct sockaddr_in);
    getnameinfo(info->client_addr, len, remote, sizeof remote, NULL, 0,
                NI_NUMERICHOST);
  }
  snprintf(status, sizeof status, "%d", ask->status);
  /* The route, not the path: that may hold a session's key. */
  wwri_log(log, WWR_LOG_DEBUG, 0, "admin request", "method", ask->method_name,
           "route", ask->route ? ask->route->path : "none", "status", status,
           "remote", remote, NULL);
}

static void add_headers(const struct wwri_ask *ask, struct MHD_Response *out) {
  (void)MHD_add_response_header(out, "Content-Type", ask->type);
  (void)MHD_add_response_header(out, "Cache-Control", "no-store");
  (void)MHD_add_response_header(out, "X-Content-Type-Options", "nosniff");
  if (*ask->allow) (void)MHD_add_response_header(out, "Allow", ask->allow);
  if (ask->status == 401) {
    (void)MHD_add_response_header(out, "WWW-Authenticate",
                                  "Bearer realm=\"webwire\"");
  }
}

static enum MHD_Result queue(struct wwri_ask *ask) {
  struct wwri_client *client = client_of(ask);
  if (!ask->text) return MHD_NO; /* there was no memory even for an error */
  struct MHD_Response *response = MHD_create_response_from_buffer(
      ask->text_len, ask->text, MHD_RESPMEM_MUST_FREE);
  if (!response) return MHD_NO;
  ask->text = NULL;
  add_headers(ask, response);
  enum MHD_Result queued =
      MHD_queue_response(ask->connection, (unsigned)ask->status, response);
  MHD_destroy_response(response);
  if (client) touch(ask->admin, client);
  log_request(ask);
  return queued;
}

static void suspend(struct wwri_ask *ask) {
  struct wwri_client *client = client_of(ask);
  if (client) wwri_list_remove(&client->node);
  ask->suspended = true;
  ask->until_ms = wwri_admin_now() + ANSWER_MS;
  wwri_list_append(&ask->admin->waiting, &ask->waiting);
  MHD_suspend_connection(ask->connection);
}

void wwri_http_resume(struct wwri_ask *ask) {
  ask->suspended = false;
  wwri_list_remove(&ask->waiting);
  MHD_resume_connection(ask->connection);
}

static void give_up(struct wwri_ask *ask, const char *why) {
  if (ask->call) ask->call->ask = NULL;
  ask->call = NULL;
  wwri_answer_error(ask, 503, NULL, why);
  wwri_http_resume(ask);
}

/* --- What libmicrohttpd tells --------------------------------------------- */

/* The head is there. */
static enum MHD_Result begin(struct wwri_ask *ask, const char *url) {
  if (wwri_route_find(ask, url) && announces_more(ask, WWRI_ADMIN_BODY_MAX)) {
    wwri_answer_error(ask, 413, NULL, "the body is larger than 1 MiB");
  }
  /* An answer at once leaves the body unread, which resets the connection:
   * whoever is still writing might not see the answer. So a body is skipped, if
   * it is not too long and already under way. */
  bool unsent = wwri_http_header(ask, "Expect") != NULL;
  if (ask->answered && (unsent || announces_more(ask, SKIP_BYTES))) {
    return queue(ask);
  }
  return MHD_YES;
}

static enum MHD_Result collect(struct wwri_ask *ask, const char *data,
                               size_t len) {
  ask->body_len += len;
  if (ask->answered || ask->body_len > WWRI_ADMIN_BODY_MAX) {
    if (!ask->answered) {
      wwri_answer_error(ask, 413, NULL, "the body is larger than 1 MiB");
    }
    return ask->body_len > SKIP_BYTES ? MHD_NO : MHD_YES;
  }
  char *body = realloc(ask->body, ask->body_len + 1);
  if (!body) return MHD_NO;
  ask->body = body;
  memcpy(body + ask->body_len - len, data, len);
  body[ask->body_len] = '\0';
  return MHD_YES;
}

static enum MHD_Result finish(struct wwri_ask *ask) {
  if (!ask->answered) ask->route->handle(ask);
  if (ask->answered) return queue(ask);
  suspend(ask);
  return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *len, void **context) {
  struct wwri_ask *ask = *context;
  (void)version;
  if (!ask) {
    ask = *context = ask_new(cls, connection, method);
    return ask ? begin(ask, url) : MHD_NO;
  }
  if (*len == 0) return finish(ask);
  size_t taken = *len;
  *len = 0;
  return collect(ask, data, taken);
}

static void on_completed(void *cls, struct MHD_Connection *connection,
                         void **context, enum MHD_RequestTerminationCode code) {
  struct wwri_ask *ask = *context;
  (void)connection;
  (void)code;
  *context = NULL;
  if (!ask) return;
  struct wwri_client *client = client_of(ask);
  if (client) touch(cls, client);
  ask_free(ask);
}

/* Paths are decoded behind their division at '/'. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection,
                           char *text) {
  (void)cls;
  (void)connection;
  return strlen(text);
}

static void on_log(void *cls, const char *format, va_list args) {
  const struct wwri_admin *admin = cls;
  char text[256];
  if (!wwri_log_enabled(&admin->log, WWR_LOG_DEBUG)) return;
  vsnprintf(text, sizeof text, format, args);
  text[strcspn(text, "\r\n")] = '\0';
  wwri_log(&admin->log, WWR_LOG_DEBUG, 0, "admin http", "what", text, NULL);
}

/* --- Life ----------------------------------------------------------------- */

wwr_err wwri_http_start(struct wwri_admin *admin) {
  admin->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
      NULL, on_request, admin, MHD_OPTION_EXTERNAL_LOGGER, on_log, admin,
      MHD_OPTION_LISTEN_SOCKET, admin->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned)MAX_SOCKETS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t)SOCKET_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, admin,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, admin,
      MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
  if (!admin->daemon) return WWR_E_IO;
  admin->listen_fd = -1; /* libmicrohttpd closes it */
  const union MHD_DaemonInfo *info =
      MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (!info) return WWR_E_IO;
  admin->epoll_fd = info->epoll_fd;
  return WWR_OK;
}

static struct wwri_ask *first_waiting(const struct wwri_admin *admin) {
  if (wwri_list_empty(&admin->waiting)) return NULL;
  return WWRI_CONTAINER(admin->waiting.next, struct wwri_ask, waiting);
}

/* End what takes too long; when the next does. */
static uint64_t expire(struct wwri_admin *admin, uint64_t now) {
  uint64_t next = UINT64_MAX;
  struct wwri_ask *ask;
  struct wwri_client *client;
  while ((ask = first_waiting(admin)) && ask->until_ms <= now) {
    give_up(ask, "the server did not answer in time");
  }
  while ((client = oldest(admin)) && client->since_ms + CLIENT_MS <= now) {
    shut(client);
  }
  if (ask) next = ask->until_ms;
  if (client && client->since_ms + CLIENT_MS < next) {
    next = client->since_ms + CLIENT_MS;
  }
  return next;
}

int wwri_http_turn(struct wwri_admin *admin) {
  MHD_UNSIGNED_LONG_LONG timeout;
  MHD_run(admin->daemon);
  uint64_t now = wwri_admin_now();
  uint64_t next = expire(admin, now);
  uint64_t wait = next == UINT64_MAX ? UINT64_MAX : next - now;
  if (MHD_get_timeout(admin->daemon, &timeout) == MHD_YES && timeout < wait) {
    wait = timeout;
  }
  return wait == UINT64_MAX ? -1 : (int)wait;
}

void wwri_http_stop(struct wwri_admin *admin) {
  struct wwri_ask *ask;
  if (admin->daemon) {
    while ((ask = first_waiting(admin)) != NULL) {
      give_up(ask, "the server is shutting down");
    }
    for (int i = 0; i < LAST_TURNS; i++) MHD_run(admin->daemon);
    MHD_stop_daemon(admin->daemon);
    admin->daemon = NULL;
  }
  if (admin->listen_fd >= 0) close(admin->listen_fd);
  admin->listen_fd = -1;
}
