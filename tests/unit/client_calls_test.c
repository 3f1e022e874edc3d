/* Requests and signals: order, deadlines, cancelling, replies. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client_fixture.h"
#include "test.h"

static struct fix fix;

static void set_conf(enum wwri_msg_type type) {
  pthread_mutex_lock(&fix.peer.mutex);
  fix.peer.conf.type = type;
  pthread_mutex_unlock(&fix.peer.mutex);
}

static void send_conf(void) {
  struct wwri_msg conf = fix.peer.conf;
  conf.type = WWRI_ACCEPT_CONF;
  peer_send(&fix.peer, &conf);
}

/* A client that waits for accept-conf. */
static void begin_waiting(void) {
  fix_init(&fix);
  fix.peer.conf.type = 0;
  fix_start(&fix);
}

static struct wwri_id expect_id(void) {
  return peer_expect(&fix.peer, WWRI_REQUEST_UTF8)->id;
}

static void replies_in_any_order(void) {
  fix_connect(&fix);
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  fix_request(&fix, "c", 0);
  struct wwri_id a = expect_id(), b = expect_id(), c = expect_id();
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 3);
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &c, "");
  peer_send_text(&fix.peer, WWRI_REPLY_BINARY, &a, "");
  peer_send_text(&fix.peer, WWRI_REPLY_UTF16, &b, "");
  fix_expect(&fix, "reply c:ok;reply a:ok;reply b:ok;");
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 0);
  fix_deinit(&fix);
}

static void a_reply_comes_as_it_was_sent(void) {
  struct wwr_payload ask = {WWR_UTF16, {(const uint8_t *)"h\0i\0", 4}};
  struct wwr_reply reply;
  fix_init(&fix);
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  CU_ASSERT_EQUAL(
      wwr_client_request_wait(fix.client, wwr_view_str("odd"), &ask, 0, &reply),
      WWR_OK);
  CU_ASSERT_EQUAL(reply.payload.encoding, WWR_UTF8);
  CU_ASSERT_TRUE(wwr_view_equal(reply.payload.data, ask.data));
  wwr_reply_deinit(&reply);
  CU_ASSERT_PTR_NULL(reply.payload.data.data);
  CU_ASSERT_EQUAL(wwr_client_request_wait(fix.client, wwr_view_str("name only"),
                                          NULL, 0, &reply),
                  WWR_OK);
  CU_ASSERT_EQUAL(reply.payload.data.len, 0);
  wwr_reply_deinit(&reply);
  fix_deinit(&fix);
}

static void refuse_politely(struct peer *peer, struct wwri_pipe *pipe,
                            const struct wwri_msg *msg) {
  struct wwri_msg reply = {.type = WWRI_REPLY_ERROR, .id = msg->id};
  (void)peer;
  reply.name = wwr_view_str("WRONG_PASSWORD");
  reply.payload = wwr_payload_text("try \"again\"");
  if (msg->name.len == 0) reply.payload.data.len = 0;
  peer_send_now(pipe, &reply);
}

static void a_request_error_has_code_and_message(void) {
  struct wwr_payload ask = wwr_payload_text("x");
  struct wwr_reply reply;
  fix_init(&fix);
  fix.peer.on_message = refuse_politely;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_request_wait(fix.client, wwr_view_str("auth"),
                                          &ask, 0, &reply),
                  WWR_E_REQUEST);
  CU_ASSERT_STRING_EQUAL(reply.error_code, "WRONG_PASSWORD");
  CU_ASSERT_STRING_EQUAL(reply.error_message, "try \"again\"");
  wwr_reply_deinit(&reply);
  CU_ASSERT_EQUAL(
      wwr_client_request_wait(fix.client, wwr_view_str(""), &ask, 0, &reply),
      WWR_E_REQUEST);
  CU_ASSERT_STRING_EQUAL(reply.error_message, "");
  wwr_reply_deinit(&reply);
  fix_deinit(&fix);
}

static void deadlines_end_waiting_and_sent_calls(void) {
  begin_waiting();
  fix_request(&fix, "waits", 20);
  peer_wait_opened(&fix.peer, 1);
  fix_expect(&fix, "reply waits:deadline;");
  send_conf();
  fix_request(&fix, "sent", 20);
  struct wwri_id late = expect_id(); /* not "waits" */
  fix_expect(&fix, "reply sent:deadline;");
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &late, "late");
  fix_request(&fix, "next", 0);
  peer_answer(&fix.peer, "next");
  fix_expect(&fix, "reply next:ok;");
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 0);
  fix_deinit(&fix);
}

static void blocked_signals_and_restores_end_too(void) {
  begin_waiting();
  struct wwr_view name = wwr_view_str("s");
  CU_ASSERT_EQUAL(wwr_client_signal(fix.client, name, NULL, 20),
                  WWR_E_DEADLINE);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, name, 20),
                  WWR_E_DEADLINE);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 20), WWR_E_DEADLINE);
  peer_wait_opened(&fix.peer, 1);
  CU_ASSERT_TRUE(peer_heard_nothing(&fix.peer));
  fix_deinit(&fix);
}

static void cancel_at_every_stage(void) {
  begin_waiting();
  wwr_call waiting = fix_request(&fix, "waiting", 0);
  wwr_client_cancel(fix.client, waiting);
  wwr_client_cancel(fix.client, waiting);
  fix_expect(&fix, "reply waiting:canceled;");
  peer_wait_opened(&fix.peer, 1);
  send_conf();
  wwr_call sent = fix_request(&fix, "sent", 0);
  struct wwri_id late = expect_id();
  wwr_client_cancel(fix.client, sent);
  fix_expect(&fix, "reply sent:canceled;");
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &late, "late");
  wwr_call over = fix_request(&fix, "over", 0);
  peer_answer(&fix.peer, "over");
  fix_expect(&fix, "reply over:ok;");
  wwr_client_cancel(fix.client, over);
  wwr_client_cancel(fix.client, waiting);
  wwr_client_cancel(fix.client, 0);
  wwr_client_cancel(fix.client, UINT64_MAX);
  fix_request(&fix, "next", 0);
  peer_answer(&fix.peer, "next");
  fix_expect(&fix, "reply next:ok;");
  fix_deinit(&fix);
}

static void waiting_calls_meet_the_servers_limit(void) {
  char large[64] = {0};
  struct wwr_payload payload = wwr_payload_binary(large, sizeof large);
  begin_waiting();
  fix.peer.conf.conf.buffer_bytes = 40;
  fix_request(&fix, "before", 0);
  fix_request(&fix, "0123456789abcde", 0); /* 25 bytes: fits */
  peer_wait_opened(&fix.peer, 1);
  send_conf();
  CU_ASSERT_EQUAL(wwr_client_signal(fix.client, wwr_view_str("s"), &payload, 0),
                  WWR_E_BUFFER_OVERFLOW);
  peer_answer(&fix.peer, "before");
  peer_answer(&fix.peer, "0123456789abcde");
  fix_expect(&fix, "reply before:ok;reply 0123456789abcde:ok;");
  fix_deinit(&fix);
}

static void too_large_waiting_calls_fail_alone(void) {
  begin_waiting();
  fix.peer.conf.conf.buffer_bytes = 32;
  fix_request(&fix, "a", 0);
  struct wwr_payload payload = wwr_payload_text("0123456789012345678901");
  CU_ASSERT_EQUAL(wwr_client_request(fix.client, wwr_view_str("large"),
                                     &payload, 0, NULL, NULL, NULL),
                  WWR_OK);
  fix_request(&fix, "b", 0);
  peer_wait_opened(&fix.peer, 1);
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 3);
  send_conf();
  peer_answer(&fix.peer, "a");
  peer_answer(&fix.peer, "b");
  fix_expect(&fix, "reply a:ok;reply b:ok;");
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 0);
  fix_deinit(&fix);
}

/* Calls from hooks */

static void signal_between(struct fix *self, const char *event) {
  struct wwr_view name = wwr_view_str("s");
  if (strcmp(event, "signal:") == 0) {
    CU_ASSERT_EQUAL(wwr_client_signal(self->client, name, NULL, 0), WWR_OK);
    fix_request(self, "r", 0);
    CU_ASSERT_EQUAL(wwr_client_signal(self->client, name, NULL, 0), WWR_OK);
    CU_ASSERT_EQUAL(wwr_client_signal(self->client, wwr_view_str(""), NULL, 0),
                    WWR_E_PROTOCOL);
  } else if (strcmp(event, "disconnected:") == 0) {
    CU_ASSERT_EQUAL(wwr_client_signal(self->client, name, NULL, 0),
                    WWR_E_DISCONNECTED);
  }
}

static void calls_in_hooks_keep_their_order(void) {
  fix_connect(&fix);
  fix.in_hook = signal_between;
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "go");
  peer_expect(&fix.peer, WWRI_SIGNAL_BINARY);
  struct wwri_id id = expect_id();
  peer_expect(&fix.peer, WWRI_SIGNAL_BINARY);
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &id, "");
  fix_expect(&fix, "signal:=go;reply r:ok;");
  set_conf(0);
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  fix_deinit(&fix);
}

static atomic_uint asked;
static atomic_int last_answer; /* of the client that is freed by now */

static void ask_again(const struct wwr_reply *reply, void *user_data) {
  struct fix *self = user_data;
  (void)reply;
  wwr_err err = wwr_client_request(self->client, wwr_view_str("again"), NULL, 0,
                                   ask_again, self, NULL);
  atomic_store(&last_answer, (int)err);
  if (atomic_fetch_add(&asked, 1) == 10) fix_note(self, "ten", "");
}

static void a_callback_that_asks_again_ends_with_the_client(void) {
  const struct wwr_reply none = {0};
  fix_init(&fix);
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  ask_again(&none, &fix);
  fix_expect(&fix, "ten;");
  fix_deinit(&fix);
  CU_ASSERT_EQUAL(atomic_load(&last_answer), WWR_E_CLOSED);
}

/* A connection that takes nothing more, but is not gone yet */

static wwr_err send_nothing(struct wwri_pipe *pipe, struct wwri_frame *frame) {
  (void)pipe;
  wwri_frame_unref(frame);
  return WWR_E_DISCONNECTED;
}

static void stop_taking(struct fix *self) {
  static struct wwri_pipe_ops dying;
  struct wwri_pipe *pipe = self->client->link.pipe;
  dying = *pipe->ops;
  dying.send = send_nothing;
  pipe->ops = &dying;
}

static void calls_on_a_dying_connection_wait_for_the_next(void) {
  fix_connect(&fix);
  fix_on_loop(&fix, stop_taking);
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  fix_wait_calls(&fix, 2);
  peer_cut(&fix.peer);
  peer_answer(&fix.peer, "a");
  peer_answer(&fix.peer, "b");
  fix_expect(&fix, "disconnected:disconnected;reply a:ok;reply b:ok;");
  fix_deinit(&fix);
}

static void *connect_thread(void *arg) {
  wwr_err *err = arg;
  *err = wwr_client_connect(fix.client, 0);
  return NULL;
}

static void without_autoconnect_they_fail(void) {
  pthread_t thread;
  wwr_err err = WWR_E_NOMEM;
  fix_init(&fix);
  fix.opts.autoconnect = WWR_AUTOCONNECT_OFF;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_on_loop(&fix, stop_taking);
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  fix_expect(&fix, "reply a:disconnected;reply b:disconnected;");
  pthread_create(&thread, NULL, connect_thread, &err);
  fix_wait_calls(&fix, 1); /* for the connection after this one */
  peer_cut(&fix.peer);
  pthread_join(thread, NULL);
  CU_ASSERT_EQUAL(err, WWR_OK);
  CU_ASSERT_EQUAL(fix.peer.opened, 2);
  fix_deinit(&fix);
}

static CU_TestInfo tests[] = {
    {"replies in any order", replies_in_any_order},
    {"a reply comes as it was sent", a_reply_comes_as_it_was_sent},
    {"code and message", a_request_error_has_code_and_message},
    {"deadlines", deadlines_end_waiting_and_sent_calls},
    {"blocked signals and restores", blocked_signals_and_restores_end_too},
    {"cancel at every stage", cancel_at_every_stage},
    {"the server's limit", waiting_calls_meet_the_servers_limit},
    {"too large waiting calls fail alone", too_large_waiting_calls_fail_alone},
    {"calls in hooks keep their order", calls_in_hooks_keep_their_order},
    {"a callback that asks again",
     a_callback_that_asks_again_ends_with_the_client},
    {"a dying connection", calls_on_a_dying_connection_wait_for_the_next},
    {"a dying connection without autoconnect", without_autoconnect_they_fail},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/calls", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
