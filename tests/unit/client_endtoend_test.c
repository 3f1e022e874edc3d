/* The client against the real server: the same cases over the memory transport
 * and over WebSocket. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "test.h"
#include "wwr_client.h"
#include "wwr_memory.h"
#include "wwr_server.h"
#include "wwr_stores.h"
#include "wwr_websocket.h"

enum { WAIT_MS = 10000, THREADS = 4, REQUESTS = 100 };

/* Both ends */

static bool over_websocket;
static struct wwr_websocket_opts ws_opts;          /* the next server's */
static struct wwr_websocket_dialer_opts dial_opts; /* the next client's */

static struct {
  struct wwr_memory_hub *hub;
  struct wwr_server *server;
  struct wwr_client *client;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  char journal[1024];
} both;

static void note(const char *what, struct wwr_view more) {
  pthread_mutex_lock(&both.mutex);
  size_t len = strlen(both.journal);
  snprintf(both.journal + len, sizeof both.journal - len, "%s%.*s;", what,
           (int)more.len, (const char *)more.data);
  pthread_cond_broadcast(&both.cond);
  pthread_mutex_unlock(&both.mutex);
}

static void expect(const char *expected) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_MS / 1000;
  pthread_mutex_lock(&both.mutex);
  while (strlen(both.journal) < strlen(expected) &&
         pthread_cond_timedwait(&both.cond, &both.mutex, &until) == 0) {
  }
  CU_ASSERT_STRING_EQUAL(both.journal, expected);
  if (strcmp(both.journal, expected) != 0) {
    fprintf(stderr, "\n  happened: %s\n", both.journal);
  }
  both.journal[0] = '\0';
  pthread_mutex_unlock(&both.mutex);
}

static struct wwr_view view(const char *text) {
  return wwr_view_str(text);
}

/* The server's hooks: each request name does something else */

static bool named(const struct wwr_message *message, const char *name) {
  return wwr_view_equal(message->name, view(name));
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  (void)user_data;
  if (named(message, "login")) {
    (void)!wwr_conn_create_session_wait(conn, "{\"username\":\"Frodo\"}");
  } else if (named(message, "signal")) {
    (void)wwr_conn_signal(conn, view("news"), &message->payload);
  } else if (named(message, "cut")) {
    wwr_conn_close(conn);
  } else if (named(message, "fail")) {
    (void)wwr_request_fail(request, "CODE", "why");
    return;
  } else if (named(message, "broken")) {
    (void)wwr_request_fail_internal(request, "on purpose");
    return;
  }
  (void)wwr_request_reply(request, &message->payload);
}

static void on_server_signal(struct wwr_conn *conn,
                             const struct wwr_message *message,
                             void *user_data) {
  (void)user_data;
  (void)wwr_conn_signal(conn, message->name, &message->payload);
}

/* The client's hooks */

static void on_disconnected(wwr_err reason, void *user_data) {
  (void)user_data;
  note("disconnected:", view(wwr_err_name(reason)));
}

static void on_signal(const struct wwr_message *message, void *user_data) {
  (void)user_data;
  note("signal:", message->payload.data);
}

static void on_created(struct wwr_session *session, void *user_data) {
  char *name = NULL;
  (void)user_data;
  CU_ASSERT_EQUAL(wwr_session_field_text(session, "username", &name), WWR_OK);
  note("created:", view(name));
  wwr_free(name);
}

static void on_session_closed(void *user_data) {
  (void)user_data;
  note("session closed", view(""));
}

/* Life */

static void start_server(void) {
  struct wwr_server_opts opts;
  const char *bad;
  wwr_server_opts_default(&opts);
  opts.hooks.on_request = on_request;
  opts.hooks.on_signal = on_server_signal;
  opts.subprotocol = "end-to-end";
  wwr_err err =
      over_websocket
          ? wwr_websocket_transport_new(&opts.transport, &ws_opts, &bad)
          : wwr_memory_transport_new(&opts.transport, both.hub);
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_memorystore_new(&opts.store, 0), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_new(&both.server, &opts, &bad), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_start(both.server), WWR_OK);
}

static struct wwr_dialer *make_dialer(void) {
  struct wwr_websocket_dialer_opts ws = dial_opts;
  struct wwr_dialer *dialer = NULL;
  if (!ws.url) ws.url = wwr_server_address(both.server);
  wwr_err err = over_websocket ? wwr_websocket_dialer_new(&dialer, &ws)
                               : wwr_memory_dialer_new(&dialer, both.hub);
  CU_ASSERT_EQUAL_FATAL(err, WWR_OK);
  return dialer;
}

static void start_client(const char *subprotocol) {
  struct wwr_client_opts opts;
  const char *bad;
  wwr_client_opts_default(&opts);
  opts.hooks = (struct wwr_client_hooks){on_disconnected, on_signal, on_created,
                                         on_session_closed};
  opts.subprotocol = subprotocol;
  opts.request_timeout_ms = WAIT_MS;
  opts.reconnect_interval_ms = 5;
  opts.reconnect_max_ms = 50;
  opts.dialer = make_dialer();
  CU_ASSERT_EQUAL_FATAL(wwr_client_new(&both.client, &opts, &bad), WWR_OK);
}

static void begin(void) {
  memset(&both, 0, sizeof both);
  pthread_mutex_init(&both.mutex, NULL);
  pthread_cond_init(&both.cond, NULL);
  CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&both.hub), WWR_OK);
  start_server();
  start_client("end-to-end");
}

static void end(void) {
  wwr_client_free(both.client);
  wwr_server_free(both.server);
  wwr_memory_hub_free(both.hub);
  wwr_websocket_opts_default(&ws_opts);
  dial_opts = (struct wwr_websocket_dialer_opts){0};
  pthread_cond_destroy(&both.cond);
  pthread_mutex_destroy(&both.mutex);
}

static wwr_err ask(const char *name, const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  struct wwr_reply reply;
  wwr_err err =
      wwr_client_request_wait(both.client, view(name), &payload, 0, &reply);
  if (err == WWR_OK) {
    CU_ASSERT_TRUE(wwr_view_equal(reply.payload.data, view(text)));
  }
  wwr_reply_deinit(&reply);
  return err;
}

/* Cases */

static void requests_and_their_errors(void) {
  static uint8_t bytes[8192];
  struct wwr_payload large = wwr_payload_binary(bytes, sizeof bytes);
  struct wwr_reply reply;
  begin();
  CU_ASSERT_EQUAL(ask("echo", "hello"), WWR_OK);
  CU_ASSERT_EQUAL(ask("fail", "x"), WWR_E_REQUEST);
  CU_ASSERT_EQUAL(ask("broken", "x"), WWR_E_INTERNAL);
  CU_ASSERT_EQUAL(wwr_client_restore_session(both.client, view("unknown"), 0),
                  WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(
      wwr_client_request_wait(both.client, view("n"), &large, 0, &reply),
      WWR_E_BUFFER_OVERFLOW);
  large.data.len = 8192 - 11; /* exactly the server's buffer */
  CU_ASSERT_EQUAL(
      wwr_client_request_wait(both.client, view("n"), &large, 0, &reply),
      WWR_OK);
  CU_ASSERT_EQUAL(reply.payload.data.len, large.data.len);
  wwr_reply_deinit(&reply);
  end();
}

static void signals_both_ways(void) {
  struct wwr_payload payload = wwr_payload_text("first");
  begin();
  CU_ASSERT_EQUAL(wwr_client_signal(both.client, view("s"), &payload, 0),
                  WWR_OK);
  expect("signal:first;");
  CU_ASSERT_EQUAL(ask("signal", "second"), WWR_OK);
  expect("signal:second;"); /* before its reply, so it has happened */
  payload = wwr_payload_text("third");
  CU_ASSERT_EQUAL(wwr_server_broadcast(both.server, view("b"), &payload),
                  WWR_OK);
  expect("signal:third;");
  end();
}

static void a_session_comes_back(void) {
  begin();
  CU_ASSERT_EQUAL(ask("login", "x"), WWR_OK);
  expect("created:Frodo;");
  CU_ASSERT_EQUAL(ask("cut", "x"), WWR_OK);
  expect("disconnected:ok;created:Frodo;");
  CU_ASSERT_EQUAL(wwr_server_sessions(both.server), 1);
  wwr_client_close(both.client);
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 0), WWR_OK);
  expect("disconnected:ok;created:Frodo;");
  CU_ASSERT_EQUAL(wwr_client_close_session(both.client, 0), WWR_OK);
  expect("session closed;");
  CU_ASSERT_EQUAL(wwr_server_sessions(both.server), 0);
  end();
}

static void another_subprotocol_is_a_mismatch(void) {
  begin();
  wwr_client_free(both.client);
  start_client("other");
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 0),
                  WWR_E_SUBPROTOCOL_MISMATCH);
  CU_ASSERT_EQUAL(wwr_client_status(both.client), WWR_CLIENT_DISABLED);
  end();
}

static void the_server_goes_away(void) {
  begin();
  CU_ASSERT_EQUAL(ask("echo", "x"), WWR_OK);
  wwr_server_shutdown(both.server);
  expect("disconnected:ok;");
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 50), WWR_E_DEADLINE);
  CU_ASSERT_EQUAL(wwr_client_status(both.client), WWR_CLIENT_DISCONNECTED);
  end();
}

static void *ask_often(void *arg) {
  unsigned *good = arg;
  for (unsigned i = 0; i < REQUESTS; i++) {
    struct wwr_payload payload = wwr_payload_binary(&i, sizeof i);
    struct wwr_reply reply;
    *good += wwr_client_request_wait(both.client, view("echo"), &payload, 0,
                                     &reply) == WWR_OK &&
             wwr_view_equal(reply.payload.data, payload.data);
    wwr_reply_deinit(&reply);
  }
  return NULL;
}

static void many_threads_ask(void) {
  pthread_t threads[THREADS];
  unsigned good[THREADS] = {0};
  begin();
  for (int i = 0; i < THREADS; i++) {
    pthread_create(&threads[i], NULL, ask_often, &good[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(good[i], REQUESTS);
  }
  end();
}

/* Only WebSocket: refused and mistrusted */

static void a_path_that_is_none(void) {
  static const char *const paths[] = {"/here"};
  char url[128];
  ws_opts.paths = paths;
  ws_opts.path_count = 1;
  begin(); /* asks for "/" */
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 0), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(wwr_client_status(both.client), WWR_CLIENT_DISABLED);
  wwr_client_free(both.client);
  snprintf(url, sizeof url, "%s/here", wwr_server_address(both.server));
  dial_opts.url = url;
  start_client("end-to-end");
  CU_ASSERT_EQUAL(ask("echo", "x"), WWR_OK);
  end();
}

static void nobody_listens(void) {
  char url[128];
  begin();
  snprintf(url, sizeof url, "%s", wwr_server_address(both.server));
  wwr_client_free(both.client);
  wwr_server_free(both.server);
  dial_opts.url = url;
  both.server = NULL;
  start_client(NULL);
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 50), WWR_E_DEADLINE);
  CU_ASSERT_EQUAL(wwr_client_status(both.client), WWR_CLIENT_DISCONNECTED);
  end();
}

static void certificates(void) {
  struct test_cert cert;
  CU_ASSERT_TRUE_FATAL(test_cert_make(&cert));
  struct wwr_tls_server tls = {.cert_file = cert.cert_file,
                               .key_file = cert.key_file};
  ws_opts.tls = &tls;
  begin();
  CU_ASSERT_EQUAL(wwr_client_connect(both.client, 0), WWR_E_TLS);
  CU_ASSERT_EQUAL(wwr_client_status(both.client), WWR_CLIENT_DISABLED);
  wwr_client_free(both.client);
  dial_opts.ca_file = cert.cert_file;
  start_client("end-to-end");
  CU_ASSERT_EQUAL(ask("echo", "secret"), WWR_OK);
  CU_ASSERT_EQUAL(ask("login", "x"), WWR_OK);
  expect("created:Frodo;");
  CU_ASSERT_EQUAL(ask("cut", "x"), WWR_OK);
  expect("disconnected:ok;created:Frodo;");
  end();
  test_cert_remove(&cert);
}

static int use_memory(void) {
  over_websocket = false;
  return 0;
}

static int use_websocket(void) {
  wwr_websocket_opts_default(&ws_opts);
  over_websocket = true;
  return 0;
}

static CU_TestInfo tests[] = {
    {"requests and their errors", requests_and_their_errors},
    {"signals both ways", signals_both_ways},
    {"a session comes back", a_session_comes_back},
    {"another sub-protocol", another_subprotocol_is_a_mismatch},
    {"the server goes away", the_server_goes_away},
    {"many threads ask", many_threads_ask},
    CU_TEST_INFO_NULL,
};

static CU_TestInfo refusals[] = {
    {"a path that is none", a_path_that_is_none},
    {"nobody listens", nobody_listens},
    {"certificates", certificates},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/end-to-end/memory", use_memory, NULL, NULL, NULL, tests},
    {"client/end-to-end/websocket", use_websocket, NULL, NULL, NULL, tests},
    {"client/end-to-end/refusals", use_websocket, NULL, NULL, NULL, refusals},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
