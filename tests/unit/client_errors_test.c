/* Every error that a caller can tell apart, each provoked in its own way. */
#include <stdlib.h>
#include <string.h>

#include "client_fixture.h"
#include "test.h"

static struct wwr_view view(const char *text) {
  return wwr_view_str(text);
}

/* Calls that a fresh fixture's client makes */

static wwr_err request(struct fix *fix, uint32_t timeout_ms) {
  struct wwr_payload payload = wwr_payload_text("payload");
  struct wwr_reply reply;
  wwr_err err = wwr_client_request_wait(fix->client, view("name"), &payload,
                                        timeout_ms, &reply);
  CU_ASSERT_EQUAL(reply.err, err);
  CU_ASSERT_EQUAL(reply.error_code != NULL, err == WWR_E_REQUEST);
  CU_ASSERT_EQUAL(reply.memory != NULL, err == WWR_E_REQUEST || err == WWR_OK);
  wwr_reply_deinit(&reply);
  return err;
}

static enum wwri_msg_type answer_type; /* set before the peer is told */

static void answer(struct peer *peer, struct wwri_pipe *pipe,
                   const struct wwri_msg *msg) {
  struct wwri_msg reply = {.type = answer_type, .id = msg->id};
  (void)peer;
  if (answer_type == WWRI_REPLY_ERROR) {
    reply.name = wwr_view_str("CODE");
    reply.payload = wwr_payload_text("why");
  }
  peer_send_now(pipe, &reply);
}

static void be_silent(struct peer *peer, struct wwri_pipe *pipe,
                      const struct wwri_msg *msg) {
  (void)peer;
  (void)pipe;
  (void)msg;
}

static wwr_err answered(struct fix *fix, enum wwri_msg_type type) {
  answer_type = type;
  fix->peer.on_message = answer;
  fix_start(fix);
  return request(fix, 0);
}

static wwr_err by_reply_error(struct fix *fix) {
  return answered(fix, WWRI_REPLY_ERROR);
}
static wwr_err by_reply_shutdown(struct fix *fix) {
  return answered(fix, WWRI_REPLY_SHUTDOWN);
}
static wwr_err by_reply_internal(struct fix *fix) {
  return answered(fix, WWRI_REPLY_INTERNAL_ERROR);
}

static wwr_err restore(struct fix *fix, enum wwri_msg_type type) {
  answer_type = type;
  fix->peer.on_message = answer;
  fix_start(fix);
  return wwr_client_restore_session(fix->client, view("key"), 0);
}

static wwr_err by_restore_not_found(struct fix *fix) {
  return restore(fix, WWRI_REPLY_SESSION_NOT_FOUND);
}
static wwr_err by_restore_max(struct fix *fix) {
  return restore(fix, WWRI_REPLY_MAX_SESSION_CONNS);
}
static wwr_err by_restore_disabled(struct fix *fix) {
  return restore(fix, WWRI_REPLY_SESSIONS_DISABLED);
}

static wwr_err by_session_active(struct fix *fix) {
  fix->peer.on_message = peer_echo;
  fix_start(fix);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix->client, view("key"), 0),
                  WWR_OK);
  return wwr_client_restore_session(fix->client, view("key"), 0);
}

static wwr_err by_own_deadline(struct fix *fix) {
  fix->peer.on_message = be_silent;
  fix_start(fix);
  return request(fix, 20);
}

static wwr_err by_default_timeout(struct fix *fix) {
  fix->peer.on_message = be_silent;
  fix->opts.request_timeout_ms = 20;
  fix_start(fix);
  return request(fix, 0);
}

static void close_on_message(struct peer *peer, struct wwri_pipe *pipe,
                             const struct wwri_msg *msg) {
  (void)peer;
  (void)msg;
  pipe->ops->abort(pipe);
}

static wwr_err by_broken_connection(struct fix *fix) {
  fix->peer.on_message = close_on_message;
  fix_start(fix);
  return request(fix, 0);
}

static wwr_err by_autoconnect_off(struct fix *fix) {
  fix->opts.autoconnect = WWR_AUTOCONNECT_OFF;
  fix_start(fix);
  return request(fix, 0);
}

static void *cancel_all(void *arg) {
  struct fix *fix = arg;
  fix_wait_status(fix, WWR_CLIENT_DISCONNECTED);
  wwr_client_close(fix->client);
  return NULL;
}

static wwr_err by_close(struct fix *fix) {
  pthread_t thread;
  fix->peer.conf.type = 0;
  fix_start(fix);
  CU_ASSERT_EQUAL(pthread_create(&thread, NULL, cancel_all, fix), 0);
  wwr_err err = wwr_client_connect(fix->client, 0);
  pthread_join(thread, NULL);
  return err;
}

/* Connecting */

static wwr_err connect_once(struct fix *fix) {
  fix->opts.autoconnect = WWR_AUTOCONNECT_OFF;
  fix_start(fix);
  return wwr_client_connect(fix->client, 0);
}

static wwr_err by_silent_server(struct fix *fix) {
  fix->peer.conf.type = 0;
  fix->opts.dial_timeout_ms = 20;
  return connect_once(fix);
}

static wwr_err by_version(struct fix *fix) {
  fix->peer.conf.conf.major = 3;
  return connect_once(fix);
}

static wwr_err by_subprotocol(struct fix *fix) {
  fix->peer.conf.name = wwr_view_str("other");
  return connect_once(fix);
}

static wwr_err by_first_message(struct fix *fix) {
  fix->peer.conf.type = WWRI_NOTIFY_SESSION_CLOSED;
  return connect_once(fix);
}

static wwr_err by_tiny_buffer(struct fix *fix) {
  fix->peer.conf.conf.buffer_bytes = 31;
  return connect_once(fix);
}

static wwr_err by_huge_message(struct fix *fix) {
  static char huge[300];
  memset(huge, 'x', sizeof huge);
  fix->peer.conf.name = (struct wwr_view){(const uint8_t *)huge, sizeof huge};
  fix->opts.message_buffer_bytes = 200;
  return connect_once(fix);
}

static wwr_err by_huge_buffer(struct fix *fix) {
  fix->peer.conf.conf.buffer_bytes = fix->opts.message_buffer_bytes + 1;
  return connect_once(fix);
}

static wwr_err by_refusal(struct fix *fix) {
  fix->peer.refuse = 403;
  return connect_once(fix);
}

static wwr_err by_certificate(struct fix *fix) {
  fix->opts.dialer = failing_dialer(WWR_E_TLS, 0);
  return connect_once(fix);
}

static wwr_err by_no_server(struct fix *fix) {
  fix->opts.dialer = failing_dialer(WWR_E_DISCONNECTED, 0);
  return connect_once(fix);
}

/* What can't be sent */

static wwr_err by_bad_name(struct fix *fix) {
  fix_start(fix);
  return wwr_client_request(fix->client, view("n\n"), NULL, 0, NULL, NULL,
                            NULL);
}

static wwr_err by_empty_signal(struct fix *fix) {
  fix_start(fix);
  return wwr_client_signal(fix->client, view(""), NULL, 0);
}

static wwr_err by_large_request(struct fix *fix) {
  fix->peer.conf.conf.buffer_bytes = 32;
  fix_start(fix);
  struct wwr_payload payload = wwr_payload_text("0123456789012345678901");
  struct wwr_reply reply;
  return wwr_client_request_wait(fix->client, view("n"), &payload, 0, &reply);
}

static wwr_err by_full_queue(struct fix *fix) {
  char bytes[100] = {0};
  struct wwr_payload payload = wwr_payload_binary(bytes, sizeof bytes);
  wwr_err err = WWR_OK;
  fix->opts.max_queued_bytes = 300;
  fix_start(fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix->client, 0), WWR_OK);
  peer_pause(&fix->peer);
  for (int i = 0; i < 100 && err == WWR_OK; i++) {
    err = wwr_client_signal(fix->client, view("s"), &payload, 0);
  }
  return err;
}

static wwr_err by_too_many(struct fix *fix) {
  fix->opts.max_pending = 2;
  fix->peer.on_message = be_silent;
  fix_start(fix);
  fix_request(fix, "a", 0);
  fix_request(fix, "b", 0);
  return request(fix, 0);
}

static wwr_err by_too_much_waiting(struct fix *fix) {
  char bytes[200] = {0};
  struct wwr_payload payload = wwr_payload_binary(bytes, sizeof bytes);
  fix->opts.max_queued_bytes = 100;
  fix->peer.conf.type = 0;
  fix_start(fix);
  wwr_err first =
      wwr_client_request(fix->client, view("n"), &payload, 0, NULL, NULL, NULL);
  CU_ASSERT_EQUAL(first, WWR_OK); /* one message always may wait */
  return request(fix, 0);
}

static wwr_err in_hook_err;

static void block_in_hook(struct fix *fix, const char *event) {
  (void)event;
  in_hook_err = wwr_client_connect(fix->client, 0);
}

static wwr_err by_blocking_in_hook(struct fix *fix) {
  fix->in_hook = block_in_hook;
  fix->peer.on_message = peer_echo;
  fix_start(fix);
  fix_request(fix, "a", 0);
  CU_ASSERT_EQUAL(request(fix, 0), WWR_OK); /* after that callback */
  return in_hook_err;
}

static const struct {
  wwr_err expected;
  const char *how;
  wwr_err (*provoke)(struct fix *fix);
  enum wwr_client_status status; /* afterwards */
} rows[] = {
    {WWR_E_REQUEST, "reply-error", by_reply_error, WWR_CLIENT_CONNECTED},
    {WWR_E_SHUTDOWN, "reply-shutdown", by_reply_shutdown, WWR_CLIENT_CONNECTED},
    {WWR_E_INTERNAL, "reply-internal", by_reply_internal, WWR_CLIENT_CONNECTED},
    {WWR_E_SESSION_NOT_FOUND, "restore, unknown", by_restore_not_found,
     WWR_CLIENT_CONNECTED},
    {WWR_E_MAX_SESSION_CONNS, "restore, full", by_restore_max,
     WWR_CLIENT_CONNECTED},
    {WWR_E_SESSIONS_DISABLED, "restore, disabled", by_restore_disabled,
     WWR_CLIENT_CONNECTED},
    {WWR_E_SESSION_ACTIVE, "restore twice", by_session_active,
     WWR_CLIENT_CONNECTED},
    {WWR_E_DEADLINE, "the caller's deadline", by_own_deadline,
     WWR_CLIENT_CONNECTED},
    {WWR_E_TIMEOUT, "the default timeout", by_default_timeout,
     WWR_CLIENT_CONNECTED},
    {WWR_E_DISCONNECTED, "sent, then cut", by_broken_connection,
     WWR_CLIENT_DISCONNECTED},
    {WWR_E_DISCONNECTED, "autoconnect off", by_autoconnect_off,
     WWR_CLIENT_DISABLED},
    {WWR_E_CANCELED, "closed meanwhile", by_close, WWR_CLIENT_DISABLED},
    {WWR_E_DIAL_TIMEOUT, "no accept-conf", by_silent_server,
     WWR_CLIENT_DISCONNECTED},
    {WWR_E_INCOMPATIBLE_VERSION, "version", by_version, WWR_CLIENT_DISABLED},
    {WWR_E_SUBPROTOCOL_MISMATCH, "sub-protocol", by_subprotocol,
     WWR_CLIENT_DISABLED},
    {WWR_E_PROTOCOL, "first message", by_first_message, WWR_CLIENT_DISABLED},
    {WWR_E_PROTOCOL, "tiny buffer", by_tiny_buffer, WWR_CLIENT_DISABLED},
    {WWR_E_PROTOCOL, "huge message", by_huge_message, WWR_CLIENT_DISABLED},
    {WWR_E_BUFFER_OVERFLOW, "huge buffer", by_huge_buffer, WWR_CLIENT_DISABLED},
    {WWR_E_REFUSED, "403", by_refusal, WWR_CLIENT_DISABLED},
    {WWR_E_TLS, "certificate", by_certificate, WWR_CLIENT_DISABLED},
    {WWR_E_DISCONNECTED, "no server", by_no_server, WWR_CLIENT_DISCONNECTED},
    {WWR_E_PROTOCOL, "bad name", by_bad_name, WWR_CLIENT_DISABLED},
    {WWR_E_PROTOCOL, "empty signal", by_empty_signal, WWR_CLIENT_DISABLED},
    {WWR_E_BUFFER_OVERFLOW, "large request", by_large_request,
     WWR_CLIENT_CONNECTED},
    {WWR_E_TRANSMISSION, "full queue", by_full_queue, WWR_CLIENT_CONNECTED},
    {WWR_E_LIMIT, "too many", by_too_many, WWR_CLIENT_CONNECTED},
    {WWR_E_LIMIT, "too much waiting", by_too_much_waiting,
     WWR_CLIENT_DISCONNECTED},
    {WWR_E_WRONG_THREAD, "blocking in a hook", by_blocking_in_hook,
     WWR_CLIENT_CONNECTED},
};

static void every_error_in_its_way(void) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    static struct fix fix;
    fix_init(&fix);
    wwr_err err = rows[i].provoke(&fix);
    if (err != rows[i].expected) {
      fprintf(stderr, "\n  %s: %s\n", rows[i].how, wwr_err_name(err));
    }
    CU_ASSERT_EQUAL(err, rows[i].expected);
    /* A cut connection may be back already. */
    if (rows[i].provoke != by_broken_connection) {
      fix_wait_status(&fix, rows[i].status);
    }
    fix_deinit(&fix);
  }
}

static void options_name_the_bad_field(void) {
  struct wwr_client_opts good;
  struct wwr_client *client;
  const char *bad;
  wwr_client_opts_default(&good);
  CU_ASSERT_EQUAL(wwr_client_new(&client, &good, &bad), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(bad, "dialer");
  good.dialer = failing_dialer(WWR_E_DISCONNECTED, 0);
  struct wwr_client_opts opts = good;
  opts.reconnect_max_ms = opts.reconnect_interval_ms - 1;
  CU_ASSERT_EQUAL(wwr_client_new(&client, &opts, &bad), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(bad, "reconnect_max_ms");
  opts = good;
  opts.autoconnect = (enum wwr_autoconnect)7;
  CU_ASSERT_EQUAL(wwr_client_new(&client, &opts, &bad), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(bad, "autoconnect");
  opts = good;
  opts.subprotocol = "caf\xc3\xa9";
  CU_ASSERT_EQUAL(wwr_client_new(&client, &opts, &bad), WWR_E_INVALID);
  CU_ASSERT_STRING_EQUAL(bad, "subprotocol");
  opts = good;
  opts.message_buffer_bytes = 31;
  CU_ASSERT_EQUAL(wwr_client_new(&client, &opts, NULL), WWR_E_INVALID);
  CU_ASSERT_PTR_NULL(client);
  wwr_dialer_free(good.dialer);
  wwr_client_free(NULL);
}

static CU_TestInfo tests[] = {
    {"every error in its way", every_error_in_its_way},
    {"options name the bad field", options_name_the_bad_field},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/errors", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
