/* Sessions: notices, restoring on every connect, closing, forgetting. */
#include <stdlib.h>
#include <string.h>

#include "client_fixture.h"
#include "test.h"

static struct fix fix;

static struct wwr_view view(const char *text) {
  return wwr_view_str(text);
}

static void expect_session(const char *key) {
  struct wwr_session *session = wwr_client_session(fix.client);
  CU_ASSERT_EQUAL(session != NULL, key != NULL);
  if (session && key) {
    CU_ASSERT_STRING_EQUAL(wwr_session_key(session), key);
  }
  wwr_session_unref(session);
}

/** Expect the restore of `key`; returns its id. */
static struct wwri_id expect_restore(const char *key) {
  const struct wwri_msg *msg =
      peer_expect(&fix.peer, WWRI_REQUEST_RESTORE_SESSION);
  CU_ASSERT_TRUE(wwr_view_equal(msg->name, view(key)));
  return msg->id;
}

static void reply(struct wwri_id id, enum wwri_msg_type type) {
  peer_send(&fix.peer, &(struct wwri_msg){.type = type, .id = id});
}

static void restored(struct wwri_id id, const char *key) {
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &id, session_json(key));
}

/* Connected, with session KEY, then cut: the next connection is restoring. */
static struct wwri_id cut_with_session(void) {
  fix_connect(&fix);
  fix_give_session(&fix, "KEY");
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  return expect_restore("KEY");
}

static void notices_come_in_order_with_replies(void) {
  fix_connect(&fix);
  fix_request(&fix, "login", 0);
  struct wwri_id id = peer_expect(&fix.peer, WWRI_REQUEST_UTF8)->id;
  peer_send_text(&fix.peer, WWRI_NOTIFY_SESSION_CREATED, NULL,
                 session_json("KEY"));
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &id, "KEY");
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "x");
  peer_send(&fix.peer, &(struct wwri_msg){.type = WWRI_NOTIFY_SESSION_CLOSED});
  peer_send(&fix.peer, &(struct wwri_msg){.type = WWRI_NOTIFY_SESSION_CLOSED});
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "y");
  fix_expect(&fix,
             "created:KEY;reply login:ok;signal:=x;session closed;"
             "signal:=y;");
  expect_session(NULL);
  fix_deinit(&fix);
}

static void see_connected(struct fix *self, const char *event) {
  if (strcmp(event, "created:") != 0) return;
  CU_ASSERT_EQUAL(wwr_client_status(self->client), WWR_CLIENT_CONNECTED);
  struct wwr_session *session = wwr_client_session(self->client);
  CU_ASSERT_PTR_NOT_NULL(session);
  wwr_session_unref(session);
  CU_ASSERT_EQUAL(wwr_client_signal(self->client, view("hook"), NULL, 0),
                  WWR_OK);
}

static void a_restore_comes_before_what_waits(void) {
  struct wwri_id id = cut_with_session();
  expect_session("KEY"); /* of the last connection */
  fix.in_hook = see_connected;
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "early");
  fix_expect(&fix, "signal:=early;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISCONNECTED);
  CU_ASSERT_TRUE(peer_heard_nothing(&fix.peer));
  restored(id, "KEY");
  peer_answer(&fix.peer, "a");
  peer_answer(&fix.peer, "b");
  peer_expect(&fix.peer, WWRI_SIGNAL_BINARY); /* the hook's, behind them */
  fix_expect(&fix, "created:KEY;reply a:ok;reply b:ok;");
  expect_session("KEY");
  fix_deinit(&fix);
}

static void not_found_forgets(void) {
  struct wwri_id id = cut_with_session();
  reply(id, WWRI_REPLY_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_expect(&fix, "session closed;");
  expect_session(NULL);
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  fix_request(&fix, "a", 0);
  peer_answer(&fix.peer, "a"); /* no restore before it */
  fix_expect(&fix, "reply a:ok;");
  fix_deinit(&fix);
}

static void other_failures_keep_it_for_the_next_connect(void) {
  static const enum wwri_msg_type failures[] = {
      WWRI_REPLY_INTERNAL_ERROR, WWRI_REPLY_MAX_SESSION_CONNS,
      WWRI_REPLY_SESSIONS_DISABLED, WWRI_REPLY_SHUTDOWN};
  struct wwri_id id = cut_with_session();
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    reply(id, failures[i]);
    CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
    expect_session(NULL);
    peer_cut(&fix.peer);
    fix_expect(&fix, "disconnected:disconnected;");
    id = expect_restore("KEY");
  }
  restored(id, "KEY");
  fix_expect(&fix, "created:KEY;");
  fix_deinit(&fix);
}

static void a_kept_session_can_be_replaced_or_dropped(void) {
  struct wwri_id id = cut_with_session();
  reply(id, WWRI_REPLY_INTERNAL_ERROR);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0), WWR_OK);
  fix_expect(&fix, "session closed;");
  CU_ASSERT_TRUE(peer_heard_nothing(&fix.peer));
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0), WWR_OK);
  fix.peer.on_message = peer_echo;
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view("NEW"), 0),
                  WWR_OK);
  fix_expect(&fix, "created:NEW;");
  expect_session("NEW");
  fix_deinit(&fix);
}

static void it_survives_close(void) {
  fix_connect(&fix);
  fix_give_session(&fix, "KEY");
  wwr_client_close(fix.client);
  expect_session("KEY");
  fix_request(&fix, "a", 0);
  restored(expect_restore("KEY"), "KEY");
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "disconnected:ok;created:KEY;reply a:ok;");
  fix_deinit(&fix);
}

static void closing_it_tells_the_server(void) {
  fix_init(&fix);
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_give_session(&fix, "KEY");
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0), WWR_OK);
  fix_expect(&fix, "session closed;");
  expect_session(NULL);
  fix_deinit(&fix);
}

static void refuse_close(struct peer *peer, struct wwri_pipe *pipe,
                         const struct wwri_msg *msg) {
  (void)peer;
  peer_send_now(pipe, &(struct wwri_msg){.type = WWRI_REPLY_SESSIONS_DISABLED,
                                         .id = msg->id});
}

static void a_refused_close_keeps_it(void) {
  fix_init(&fix);
  fix.peer.on_message = refuse_close;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_give_session(&fix, "KEY");
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0),
                  WWR_E_SESSIONS_DISABLED);
  expect_session("KEY");
  fix_deinit(&fix);
}

static void offline_it_is_only_forgotten(void) {
  fix_connect(&fix);
  fix_give_session(&fix, "KEY");
  wwr_client_close(fix.client);
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0), WWR_OK);
  fix_expect(&fix, "disconnected:ok;session closed;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  fix_request(&fix, "a", 0);
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "reply a:ok;");
  fix_deinit(&fix);
}

/* A restore whose caller gave up, but which the server then did. */
static void a_late_restore_is_not_missed(void) {
  fix_connect(&fix);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view("KEY"), 20),
                  WWR_E_DEADLINE);
  restored(expect_restore("KEY"), "KEY");
  fix_expect(&fix, "created:KEY;");
  expect_session("KEY");
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 20), WWR_E_DEADLINE);
  reply(peer_expect(&fix.peer, WWRI_REQUEST_CLOSE_SESSION)->id,
        WWRI_REPLY_BINARY);
  fix_expect(&fix, "session closed;");
  expect_session(NULL);
  fix_deinit(&fix);
}

static void a_late_reply_of_another_connection_is(void) {
  fix_connect(&fix);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view("KEY"), 20),
                  WWR_E_DEADLINE);
  struct wwri_id id = expect_restore("KEY");
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  restored(id, "KEY");
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "x");
  fix_expect(&fix, "signal:=x;");
  expect_session(NULL);
  fix_deinit(&fix);
}

static void an_unanswered_restore_ends_the_attempt(void) {
  fix_init(&fix);
  fix.opts.request_timeout_ms = 50;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, WAIT_MS), WWR_OK);
  fix_give_session(&fix, "KEY");
  peer_cut(&fix.peer);
  expect_restore("KEY");
  struct wwri_id id = expect_restore("KEY"); /* the next connection's */
  restored(id, "KEY");
  fix_expect(&fix, "disconnected:disconnected;created:KEY;");
  fix_deinit(&fix);
}

static void a_cut_while_restoring_is_no_answer(void) {
  struct wwri_id id = cut_with_session();
  (void)id;
  peer_cut(&fix.peer);
  restored(expect_restore("KEY"), "KEY");
  fix_expect(&fix, "created:KEY;");
  CU_ASSERT_EQUAL(fix.peer.opened, 3);
  fix_deinit(&fix);
}

static void a_garbled_session_object_ends_the_connection(void) {
  fix_connect(&fix);
  peer_send_text(&fix.peer, WWRI_NOTIFY_SESSION_CREATED, NULL, "{\"k\":7}");
  fix_expect(&fix, "disconnected:protocol;");
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_give_session(&fix, "KEY");
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  struct wwri_id id = expect_restore("KEY");
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &id, "no JSON");
  restored(expect_restore("KEY"), "KEY"); /* of the next connection */
  fix_expect(&fix, "created:KEY;");
  fix_deinit(&fix);
}

static void a_key_over_the_servers_limit_is_a_failed_restore(void) {
  static const char key[] = "a-key-of-more-than-32-bytes-in-all";
  fix_connect(&fix);
  fix_give_session(&fix, key);
  fix.peer.conf.conf.buffer_bytes = 32;
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  expect_session(NULL);
  fix_deinit(&fix);
}

static void a_restore_made_offline_waits(void) {
  fix_init(&fix);
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view("KEY"), 0),
                  WWR_OK);
  fix_expect(&fix, "created:KEY;");
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view("X"), 0),
                  WWR_E_SESSION_ACTIVE);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, view(""), 0),
                  WWR_E_PROTOCOL);
  fix_deinit(&fix);
}

static void *restore_by_hand(void *arg) {
  wwr_err *err = arg;
  *err = wwr_client_restore_session(fix.client, view("OTHER"), 0);
  return NULL;
}

/* The kept session comes back before the restore that waited is sent. */
static void a_waiting_restore_can_come_too_late(void) {
  pthread_t thread;
  wwr_err err = WWR_OK;
  reply(cut_with_session(), WWRI_REPLY_INTERNAL_ERROR);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  struct wwri_id id = expect_restore("KEY");
  pthread_create(&thread, NULL, restore_by_hand, &err);
  fix_wait_calls(&fix, 1);
  restored(id, "KEY");
  pthread_join(thread, NULL);
  CU_ASSERT_EQUAL(err, WWR_E_SESSION_ACTIVE);
  fix_expect(&fix, "created:KEY;");
  fix_deinit(&fix);
}

static CU_TestInfo tests[] = {
    {"notices in order with replies", notices_come_in_order_with_replies},
    {"a restore comes before what waits", a_restore_comes_before_what_waits},
    {"not found forgets", not_found_forgets},
    {"other failures keep it", other_failures_keep_it_for_the_next_connect},
    {"a kept one can be replaced", a_kept_session_can_be_replaced_or_dropped},
    {"it survives close", it_survives_close},
    {"closing it tells the server", closing_it_tells_the_server},
    {"a refused close keeps it", a_refused_close_keeps_it},
    {"offline it is only forgotten", offline_it_is_only_forgotten},
    {"a late restore is not missed", a_late_restore_is_not_missed},
    {"a late reply of another connection",
     a_late_reply_of_another_connection_is},
    {"an unanswered restore", an_unanswered_restore_ends_the_attempt},
    {"a cut while restoring", a_cut_while_restoring_is_no_answer},
    {"a garbled session object", a_garbled_session_object_ends_the_connection},
    {"a key over the limit", a_key_over_the_servers_limit_is_a_failed_restore},
    {"a restore made offline waits", a_restore_made_offline_waits},
    {"a waiting restore comes too late", a_waiting_restore_can_come_too_late},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/session", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
