/* Connecting, losing the connection, getting it back, closing. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client_fixture.h"
#include "test.h"

static struct fix fix;

static void set_conf(enum wwri_msg_type type) {
  pthread_mutex_lock(&fix.peer.mutex);
  fix.peer.conf.type = type;
  pthread_mutex_unlock(&fix.peer.mutex);
}

static void set_refuse(int status) {
  pthread_mutex_lock(&fix.peer.mutex);
  fix.peer.refuse = status;
  pthread_mutex_unlock(&fix.peer.mutex);
}

static void send_conf(void) {
  struct wwri_msg conf = fix.peer.conf;
  conf.type = WWRI_ACCEPT_CONF;
  peer_send(&fix.peer, &conf);
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(long ms) {
  nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void idle_until_first_used(void) {
  fix_init(&fix);
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  CU_ASSERT_EQUAL(wwr_client_close_session(fix.client, 0), WWR_OK);
  wwr_client_close(fix.client);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  CU_ASSERT_EQUAL(fix.peer.opened, 0);
  fix_request(&fix, "a", 0);
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "reply a:ok;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_CONNECTED);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  CU_ASSERT_EQUAL(fix.peer.opened, 1);
  fix_deinit(&fix);
}

static void a_cut_fails_what_was_sent_and_keeps_what_waits(void) {
  fix_connect(&fix);
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  peer_expect(&fix.peer, WWRI_REQUEST_UTF8);
  peer_expect(&fix.peer, WWRI_REQUEST_UTF8);
  set_conf(0);
  peer_cut(&fix.peer);
  fix_expect(&fix,
             "reply a:disconnected;reply b:disconnected;"
             "disconnected:disconnected;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISCONNECTED);
  fix_request(&fix, "c", 0);
  fix_request(&fix, "d", 0);
  fix_request(&fix, "e", 0);
  peer_wait_opened(&fix.peer, 2);
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 3);
  CU_ASSERT_TRUE(peer_heard_nothing(&fix.peer));
  send_conf();
  peer_answer(&fix.peer, "c");
  peer_answer(&fix.peer, "d");
  peer_answer(&fix.peer, "e");
  fix_expect(&fix, "reply c:ok;reply d:ok;reply e:ok;");
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 0);
  fix_deinit(&fix);
}

static void it_comes_back_without_being_used(void) {
  fix_connect(&fix);
  for (unsigned i = 1; i <= 5; i++) {
    if (i % 2) {
      peer_cut(&fix.peer);
      fix_expect(&fix, "disconnected:disconnected;");
    } else {
      peer_close(&fix.peer);
      fix_expect(&fix, "disconnected:ok;");
    }
    peer_wait_opened(&fix.peer, i + 1);
    fix_wait_status(&fix, WWR_CLIENT_CONNECTED);
  }
  fix_deinit(&fix);
}

static void close_cancels_and_disables(void) {
  fix_connect(&fix);
  fix_request(&fix, "sent", 0);
  peer_expect(&fix.peer, WWRI_REQUEST_UTF8);
  wwr_client_close(fix.client);
  fix_expect(&fix, "reply sent:disconnected;disconnected:ok;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  peer_wait_closed(&fix.peer, 1);
  set_conf(0);
  fix_request(&fix, "wait1", 0);
  fix_request(&fix, "wait2", 0);
  peer_wait_opened(&fix.peer, 2);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISCONNECTED);
  wwr_client_close(fix.client);
  fix_expect(&fix, "reply wait1:canceled;reply wait2:canceled;");
  wwr_client_close(fix.client);
  CU_ASSERT_EQUAL(fix.peer.opened, 2);
  set_conf(WWRI_ACCEPT_CONF);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_deinit(&fix);
}

static void request_close_request_close(struct fix *self, const char *event) {
  if (strcmp(event, "signal:") != 0) return;
  fix_request(self, "a", 0);
  wwr_client_close(self->client);
  fix_request(self, "b", 0);
  wwr_client_close(self->client);
  fix_request(self, "c", 0);
  CU_ASSERT_EQUAL(wwr_client_status(self->client), WWR_CLIENT_CONNECTED);
}

static void close_in_a_hook_only_begins(void) {
  fix_connect(&fix);
  fix.in_hook = request_close_request_close;
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "x");
  fix_expect(&fix,
             "signal:=x;reply a:canceled;reply b:canceled;disconnected:ok;");
  peer_wait_opened(&fix.peer, 2); /* c uses it again */
  peer_answer(&fix.peer, "c");
  fix_expect(&fix, "reply c:ok;");
  fix_deinit(&fix);
}

static void autoconnect_off_waits_for_connect(void) {
  fix_init(&fix);
  fix.opts.autoconnect = WWR_AUTOCONNECT_OFF;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  fix_request(&fix, "a", 0);
  fix_expect(&fix, "reply a:disconnected;");
  CU_ASSERT_EQUAL(wwr_client_signal(fix.client, wwr_view_str("s"), NULL, 0),
                  WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(wwr_client_restore_session(fix.client, wwr_view_str("k"), 0),
                  WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISCONNECTED);
  CU_ASSERT_EQUAL(fix.peer.opened, 1);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  CU_ASSERT_EQUAL(fix.peer.opened, 2);
  fix_deinit(&fix);
}

static void a_connect_that_gives_up_abandons_its_attempt(void) {
  fix_init(&fix);
  fix.opts.autoconnect = WWR_AUTOCONNECT_OFF;
  fix.peer.conf.type = 0;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 20), WWR_E_DEADLINE);
  peer_wait_opened(&fix.peer, 1);
  peer_wait_closed(&fix.peer, 1);
  set_conf(WWRI_ACCEPT_CONF);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_expect(&fix, "");
  fix_deinit(&fix);
}

static void unavailable_is_tried_again(void) {
  fix_init(&fix);
  fix.peer.refuse = 503;
  fix_start(&fix);
  fix_request(&fix, "a", 0);
  peer_wait_opened(&fix.peer, 4);
  set_refuse(0);
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "reply a:ok;");
  fix_deinit(&fix);
}

static void a_mismatch_ends_the_retrying(void) {
  fix_init(&fix);
  fix.peer.refuse = 503;
  fix_start(&fix);
  fix_request(&fix, "a", 0);
  fix_request(&fix, "b", 0);
  peer_wait_opened(&fix.peer, 2);
  set_refuse(404);
  fix_expect(&fix, "reply a:refused;reply b:refused;");
  fix_wait_status(&fix, WWR_CLIENT_DISABLED);
  set_refuse(0);
  fix.peer.conf.conf.major = 1;
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0),
                  WWR_E_INCOMPATIBLE_VERSION);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  peer_wait_closed(&fix.peer, 1);
  fix.peer.conf.conf.major = 2;
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_deinit(&fix);
}

static void handshakes(void) {
  static const struct {
    const char *ours, *theirs;
    wwr_err expected;
  } rows[] = {
      {NULL, "", WWR_OK},
      {"", "", WWR_OK},
      {"chat", "chat", WWR_OK},
      {"chat", "", WWR_E_SUBPROTOCOL_MISMATCH},
      {NULL, "chat", WWR_E_SUBPROTOCOL_MISMATCH},
      {"chat", "chatt", WWR_E_SUBPROTOCOL_MISMATCH},
      {"chat", "Chat", WWR_E_SUBPROTOCOL_MISMATCH},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fix_init(&fix);
    fix.opts.subprotocol = rows[i].ours;
    fix.peer.conf.name = wwr_view_str(rows[i].theirs);
    fix.peer.conf.conf.minor = 7; /* says nothing */
    fix_start(&fix);
    CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), rows[i].expected);
    fix_deinit(&fix);
  }
}

static void a_garbled_first_message_is_a_mismatch(void) {
  static const uint8_t short_conf[] = {23, 2, 0, 1, 0, 0, 0, 32, 0, 0};
  fix_init(&fix);
  fix.peer.conf.type = 0;
  fix_start(&fix);
  fix_request(&fix, "a", 0);
  peer_wait_opened(&fix.peer, 1);
  peer_send_bytes(&fix.peer, short_conf, sizeof short_conf);
  fix_expect(&fix, "reply a:protocol;");
  fix_wait_status(&fix, WWR_CLIENT_DISABLED);
  fix_deinit(&fix);
}

static void garbage_ends_the_connection(void) {
  static const struct {
    uint8_t bytes[64];
    size_t len;
  } rows[] = {{{99}, 1}, {{191, 1}, 2}, {{65, 0, 1}, 3}, {{64, 0, 1}, 33}};
  fix_init(&fix);
  fix.peer.conf.conf.buffer_bytes = 32; /* the last row is too long */
  fix_start(&fix);
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
    peer_send_bytes(&fix.peer, rows[i].bytes, rows[i].len);
    fix_expect(&fix, "disconnected:protocol;");
    peer_wait_opened(&fix.peer, i + 2);
  }
  fix_deinit(&fix);
}

static void what_makes_no_sense_is_ignored(void) {
  struct wwri_id unknown = {{1, 2, 3, 4, 5, 6, 7, 8}};
  fix_connect(&fix);
  peer_send_text(&fix.peer, WWRI_REPLY_UTF8, &unknown, "nobody asked");
  peer_send(&fix.peer, &(struct wwri_msg){.type = WWRI_REPLY_SHUTDOWN});
  peer_send(&fix.peer, &(struct wwri_msg){.type = WWRI_HEARTBEAT});
  peer_send_text(&fix.peer, WWRI_REQUEST_UTF8, &unknown, "you too");
  peer_send(&fix.peer, &(struct wwri_msg){.type = WWRI_REQUEST_CLOSE_SESSION});
  send_conf();
  peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, "end");
  fix_expect(&fix, "signal:=end;");
  CU_ASSERT_EQUAL(fix.peer.opened, 1);
  fix_deinit(&fix);
}

static void signals_keep_their_order(void) {
  char expected[4096] = "";
  fix_connect(&fix);
  for (int i = 0; i < 200; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    peer_send_text(&fix.peer, WWRI_SIGNAL_UTF8, NULL, text);
    size_t len = strlen(expected);
    snprintf(expected + len, sizeof expected - len, "signal:=%d;", i);
  }
  fix_expect(&fix, expected);
  fix_deinit(&fix);
}

static void connect_does_not_sit_out_a_back_off(void) {
  fix_init(&fix);
  fix.opts.reconnect_interval_ms = fix.opts.reconnect_max_ms = 3600000;
  fix.peer.refuse = 503;
  fix_start(&fix);
  fix_request(&fix, "a", 0);
  peer_wait_opened(&fix.peer, 1);
  set_refuse(0);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "reply a:ok;");
  peer_cut(&fix.peer);
  fix_expect(&fix, "disconnected:disconnected;");
  wwr_client_close(fix.client); /* in the back-off */
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  fix_deinit(&fix);
}

static void connect_gives_up_at_its_deadline(void) {
  fix_init(&fix);
  fix.opts.dialer = failing_dialer(WWR_E_DISCONNECTED, 0);
  fix.opts.request_timeout_ms = 30;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 30), WWR_E_DEADLINE);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_E_TIMEOUT);
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISCONNECTED);
  fix_deinit(&fix);
}

static void silence_is_filled_with_heartbeats(void) {
  fix_init(&fix);
  fix.peer.conf.conf.read_timeout_ms = 40;
  fix_start(&fix);
  uint64_t start = now_ms();
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  peer_wait_heartbeats(&fix.peer, 4);
  CU_ASSERT_TRUE(now_ms() - start >= 4 * 30 - 4);
  peer_cut(&fix.peer);
  peer_wait_opened(&fix.peer, 2); /* and on the next connection */
  peer_wait_heartbeats(&fix.peer, 6);
  fix_deinit(&fix);
}

static void messages_replace_heartbeats(void) {
  uint64_t widest = 0;
  fix_init(&fix);
  fix.peer.conf.conf.read_timeout_ms = 200;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  uint64_t last = now_ms();
  for (int i = 0; i < 40; i++) {
    CU_ASSERT_EQUAL(wwr_client_signal(fix.client, wwr_view_str("s"), NULL, 0),
                    WWR_OK);
    uint64_t now = now_ms();
    if (now - last > widest) widest = now - last;
    last = now;
    nap(10);
  }
  /* On a machine that slept too long itself, heartbeats are right. */
  if (widest < 140) CU_ASSERT_EQUAL(fix.peer.heartbeats, 0);
  fix_deinit(&fix);
}

static void no_read_timeout_needs_no_heartbeats(void) {
  fix_init(&fix);
  fix.peer.conf.conf.read_timeout_ms = 0;
  fix_start(&fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
  fix_request(&fix, "a", 0);
  peer_answer(&fix.peer, "a");
  fix_expect(&fix, "reply a:ok;");
  CU_ASSERT_EQUAL(fix.peer.heartbeats, 0);
  fix_deinit(&fix);
}

static void ignore_cancel(struct wwr_dialer *dialer) {
  (void)dialer;
}

static void *close_thread(void *arg) {
  (void)arg;
  wwr_client_close(fix.client);
  return NULL;
}

/* The server is held up in its upgrade, by the peer's mutex. */
static void close_while_dialing(bool cancel_works) {
  static struct wwri_dialer_ops ops;
  pthread_t thread;
  fix_init(&fix);
  CU_ASSERT_EQUAL(wwr_memory_dialer_new(&fix.opts.dialer, fix.peer.hub),
                  WWR_OK);
  ops = *fix.opts.dialer->ops;
  if (!cancel_works) ops.cancel = ignore_cancel;
  fix.opts.dialer->ops = &ops;
  fix_start(&fix);
  pthread_mutex_lock(&fix.peer.mutex);
  fix_request(&fix, "a", 0);
  fix_wait_calls(&fix, 1);
  pthread_create(&thread, NULL, close_thread, NULL);
  fix_expect(&fix, "reply a:canceled;");
  CU_ASSERT_EQUAL(wwr_client_status(fix.client), WWR_CLIENT_DISABLED);
  fix_request(&fix, "b", 0); /* uses it again, before it is closed or after */
  fix_wait_calls(&fix, 1);
  pthread_mutex_unlock(&fix.peer.mutex);
  pthread_join(thread, NULL);
  peer_answer(&fix.peer, "b");
  fix_expect(&fix, "reply b:ok;");
  fix_deinit(&fix);
}

static void close_cancels_a_dial(void) {
  close_while_dialing(true);
}

static void close_overtaken_by_the_connection(void) {
  close_while_dialing(false);
}

static CU_TestInfo tests[] = {
    {"idle until first used", idle_until_first_used},
    {"a cut fails what was sent, keeps what waits",
     a_cut_fails_what_was_sent_and_keeps_what_waits},
    {"it comes back without being used", it_comes_back_without_being_used},
    {"close cancels and disables", close_cancels_and_disables},
    {"close in a hook only begins", close_in_a_hook_only_begins},
    {"autoconnect off", autoconnect_off_waits_for_connect},
    {"a connect that gives up", a_connect_that_gives_up_abandons_its_attempt},
    {"unavailable is tried again", unavailable_is_tried_again},
    {"a mismatch ends the retrying", a_mismatch_ends_the_retrying},
    {"handshakes", handshakes},
    {"a garbled first message", a_garbled_first_message_is_a_mismatch},
    {"garbage ends the connection", garbage_ends_the_connection},
    {"what makes no sense is ignored", what_makes_no_sense_is_ignored},
    {"signals keep their order", signals_keep_their_order},
    {"connect does not sit out a back-off",
     connect_does_not_sit_out_a_back_off},
    {"connect gives up at its deadline", connect_gives_up_at_its_deadline},
    {"heartbeats in silence", silence_is_filled_with_heartbeats},
    {"messages replace heartbeats", messages_replace_heartbeats},
    {"close cancels a dial", close_cancels_a_dial},
    {"close, but the dial succeeded", close_overtaken_by_the_connection},
    {"no read time-out, no heartbeats", no_read_timeout_needs_no_heartbeats},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/link", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
