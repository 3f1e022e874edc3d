/* fault_server - the server that the fault suites attack. Requests by name:
 *
 *   stats   the counters, "name=value ..." as text
 *   create  a session; the reply is its key
 *   cast    the payload goes to every client as a signal, then an empty reply
 *   slow    the first bytes of the payload after --delay
 *   trim    gives free memory back to the system, then an empty reply
 *
 * and any other: the payload, at once.
 *
 * A signal "slow" takes --delay too. Prints "listening on ADDRESS"; SIGTERM
 * stops it gracefully, with status 0. */
#include <webwire/webwire.h>

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_REPLY_BYTES = 16 };

struct app {
  struct wwr_server *server;
  uint32_t delay_ms;
};

struct settings {
  struct app app;
  struct wwr_server_opts server;
  struct wwr_websocket_opts websocket;
  struct wwr_tls_server tls;
  const char *sessions;
};

/* --- Handlers ------------------------------------------------------------- */

static bool is_named(const struct wwr_message *message, const char *name) {
  return wwr_view_equal(message->name, wwr_view_str(name));
}

static void be_slow(const struct app *app) {
  struct timespec left = {app->delay_ms / 1000,
                          (long)(app->delay_ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static void reply_text(struct wwr_request *request, const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  wwr_request_reply(request, &payload);
}

static void reply_stats(const struct app *app, struct wwr_request *request) {
  struct wwr_server_stats stats;
  char text[512];
  wwr_server_stats(app->server, &stats);
  snprintf(text, sizeof text,
           "connections=%" PRIu64 " accepted=%" PRIu64 " refused=%" PRIu64
           " slow_consumers=%" PRIu64 " read_timeouts=%" PRIu64
           " violations=%" PRIu64 " requests=%" PRIu64 " signals_in=%" PRIu64
           " signals_out=%" PRIu64 " open_handlers=%" PRIu64,
           stats.connections, stats.accepted, stats.refused,
           stats.slow_consumers, stats.read_timeouts, stats.violations,
           stats.requests, stats.signals_in, stats.signals_out,
           stats.open_handlers);
  reply_text(request, text);
}

static void reply_created(struct wwr_conn *conn, struct wwr_request *request) {
  wwr_err err = wwr_conn_create_session(conn, NULL, NULL, NULL);
  struct wwr_session *session = err ? NULL : wwr_conn_session(conn);
  if (session) {
    reply_text(request, wwr_session_key(session));
  } else {
    wwr_request_fail(request, "CREATE", wwr_err_text(err));
  }
  wwr_session_unref(session);
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  struct app *app = user_data;
  if (is_named(message, "stats")) {
    reply_stats(app, request);
  } else if (is_named(message, "create")) {
    reply_created(conn, request);
  } else if (is_named(message, "cast")) {
    wwr_server_broadcast(app->server, wwr_view_str(""), &message->payload);
    wwr_request_reply(request, NULL);
  } else if (is_named(message, "trim")) {
    malloc_trim(0);
    wwr_request_reply(request, NULL);
  } else {
    struct wwr_payload reply = message->payload;
    if (is_named(message, "slow")) {
      be_slow(app);
      if (reply.data.len > SLOW_REPLY_BYTES) reply.data.len = SLOW_REPLY_BYTES;
    }
    wwr_request_reply(request, &reply);
  }
}

static void on_signal(struct wwr_conn *conn, const struct wwr_message *message,
                      void *user_data) {
  (void)conn;
  if (is_named(message, "slow")) be_slow(user_data);
}

/* --- Command line --------------------------------------------------------- */

static void limit_descriptors(const char *value) {
  rlim_t max = strtoul(value, NULL, 10);
  struct rlimit limit = {max, max};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) perror("setrlimit");
}

static uint32_t *number_of(struct settings *s, const char *name) {
  const struct {
    const char *name;
    uint32_t *target;
  } numbers[] = {
      {"--delay", &s->app.delay_ms},
      {"--threads", &s->server.io_threads},
      {"--workers", &s->server.worker_threads},
      {"--read-timeout", &s->server.read_timeout_ms},
      {"--buffer", &s->server.message_buffer_bytes},
      {"--queue", &s->server.max_queued_bytes},
      {"--pending", &s->server.max_pending_bytes},
      {"--max-connections", &s->server.max_connections},
      {"--ping", &s->server.ping_interval_ms},
      {"--shutdown-timeout", &s->server.shutdown_timeout_ms},
      {"--handshake-timeout", &s->websocket.handshake_timeout_ms},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    if (strcmp(numbers[i].name, name) == 0) return numbers[i].target;
  }
  return NULL;
}

static bool set(struct settings *s, const char *name, const char *value) {
  uint32_t *number = number_of(s, name);
  if (number) {
    *number = (uint32_t)strtoul(value, NULL, 10);
  } else if (strcmp(name, "--nonblocking") == 0) {
    bool on = strcmp(value, "yes") == 0;
    s->server.handlers = on ? WWR_HANDLERS_NONBLOCKING : WWR_HANDLERS_BLOCKING;
  } else if (strcmp(name, "--concurrency") == 0) {
    s->server.concurrency = (int)strtol(value, NULL, 10);
  } else if (strcmp(name, "--tls-cert") == 0) {
    s->tls.cert_file = value;
    s->websocket.tls = &s->tls;
  } else if (strcmp(name, "--tls-key") == 0) {
    s->tls.key_file = value;
  } else if (strcmp(name, "--sessions") == 0) {
    s->sessions = value;
  } else if (strcmp(name, "--descriptors") == 0) {
    limit_descriptors(value);
  } else {
    return false;
  }
  return true;
}

static bool parse(struct settings *s, int argc, char **argv) {
  wwr_server_opts_default(&s->server);
  wwr_websocket_opts_default(&s->websocket);
  s->server.hooks.on_request = on_request;
  s->server.hooks.on_signal = on_signal;
  s->server.user_data = &s->app;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || !set(s, argv[i], argv[i + 1])) {
      fprintf(stderr, "fault_server: %s: unknown, or without a value\n",
              argv[i]);
      return false;
    }
  }
  return true;
}

/* --- Life ----------------------------------------------------------------- */

static wwr_err make_server(struct settings *s) {
  wwr_err err =
      wwr_websocket_transport_new(&s->server.transport, &s->websocket, NULL);
  if (err) return err;
  err = s->sessions
            ? wwr_filestore_new(&s->server.store, s->sessions, &s->server.log)
            : wwr_memorystore_new(&s->server.store, 0);
  if (!err) err = wwr_server_new(&s->app.server, &s->server, NULL);
  return err;
}

static int serve(struct settings *s) {
  sigset_t signals;
  int signal;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  wwr_err err = make_server(s);
  if (!err) err = wwr_server_start(s->app.server);
  if (err) {
    fprintf(stderr, "fault_server: %s\n", wwr_err_text(err));
    return 1;
  }
  printf("listening on %s\n", wwr_server_address(s->app.server));
  fflush(stdout);
  sigwait(&signals, &signal);
  wwr_server_shutdown(s->app.server);
  wwr_server_free(s->app.server);
  return 0;
}

int main(int argc, char **argv) {
  struct settings settings = {0};
  struct wwr_log_writer *writer;
  signal(SIGPIPE, SIG_IGN);
  if (!parse(&settings, argc, argv)) return 2;
  if (wwr_log_writer_new(&writer, STDERR_FILENO, WWR_LOG_LOGFMT)) return 1;
  settings.server.log = wwr_log_writer_sink(writer, WWR_LOG_WARN);
  int status = serve(&settings);
  wwr_log_writer_free(writer);
  return status;
}
