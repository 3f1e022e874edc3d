#include "transport_contract.h"

/* A side whose peer broke off may learn it in more than one way. */
static bool is_broken(wwr_err reason) {
  return reason == WWR_E_DISCONNECTED || reason == WWR_E_TRANSMISSION;
}

static struct end *open_pair(struct client **client) {
  if (!fix.started) CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  return connect_client(client);
}

static void check_close_delivers(struct end *closer, struct end *other) {
  enum { COUNT = 2000, LEN = 1000 };
  CU_ASSERT_EQUAL(end_send_and_close(closer, COUNT, LEN), WWR_OK);
  CU_ASSERT_EQUAL(end_send(closer, 0, 1, 1), WWR_E_DISCONNECTED);
  WAIT(closer->closed && other->closed);
  CU_ASSERT_EQUAL(other->received, COUNT);
  CU_ASSERT_EQUAL(closer->reason, WWR_OK);
  CU_ASSERT_EQUAL(other->reason, WWR_OK);
}

static void test_close_delivers_to_the_client(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  check_close_delivers(end, &client->end);
}

static void test_close_delivers_to_the_server(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  check_close_delivers(&client->end, end);
}

static void test_close_releases_a_held_pipe(void) {
  struct client *client;
  fix.hold_servers = true;
  struct end *end = open_pair(&client);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 10, 10), WWR_OK);
  check_close_delivers(end, &client->end);
  CU_ASSERT_EQUAL(end->received, 0);
}

static void test_close_in_a_message(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  end->close_at = 3;
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 10, 10), WWR_OK);
  WAIT(end->closed && client->end.closed);
  CU_ASSERT_EQUAL(end->received, 3); /* no message events from there on */
  CU_ASSERT_EQUAL(end->reason, WWR_OK);
  CU_ASSERT_EQUAL(client->end.reason, WWR_OK);
}

static void test_close_of_a_paused_pipe(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  end_pause(end, true);
  CU_ASSERT_EQUAL(end_send(&client->end, 0, 100, 1000), WWR_OK);
  settle();
  uint32_t before = end->received;
  end_close(end, WWRI_CLOSE_NORMAL);
  WAIT(end->closed && client->end.closed);
  CU_ASSERT_EQUAL(end->received, before);
  CU_ASSERT_EQUAL(end->reason, WWR_OK);
}

/* Both sides close, most times before either has heard of the other's. */
struct posted {
  struct wwri_mail mail;
  struct end *end;
};

static void run_posted(struct wwri_mail *mail) {
  struct wwri_pipe *pipe = WWRI_CONTAINER(mail, struct posted, mail)->end->pipe;
  if (pipe) pipe->ops->close(pipe, WWRI_CLOSE_NORMAL);
}

static void test_both_close(void) {
  for (int i = 0; i < 10; i++) {
    struct client *client;
    struct end *end = open_pair(&client);
    CU_ASSERT_EQUAL(end_send(end, 0, 10, 100), WWR_OK);
    CU_ASSERT_EQUAL(end_send(&client->end, 0, 10, 100), WWR_OK);
    WAIT(end->received == 10 && client->end.received == 10);
    struct posted a = {{NULL, run_posted}, end};
    struct posted b = {{NULL, run_posted}, &client->end};
    wwri_loop_post(end->loop, &a.mail);
    wwri_loop_post(client->end.loop, &b.mail);
    WAIT(end->closed && client->end.closed);
    CU_ASSERT_EQUAL(end->reason, WWR_OK);
    CU_ASSERT_EQUAL(client->end.reason, WWR_OK);
    settle(); /* the mails are on our stack */
  }
}

static void close_twice(void *arg) {
  struct wwri_pipe *pipe = ((struct end *)arg)->pipe;
  pipe->ops->close(pipe, WWRI_CLOSE_NORMAL);
  pipe->ops->close(pipe, WWRI_CLOSE_PROTOCOL);
  pipe->ops->pause(pipe, true);
  pipe->ops->release(pipe);
}

static void test_close_twice(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  run_on(end->loop, close_twice, end);
  WAIT(end->closed && client->end.closed);
  CU_ASSERT_EQUAL(end->reason, WWR_OK);
  CU_ASSERT_EQUAL(client->end.reason, WWR_OK);
}

/* The peer does not read, so it never answers the close. */
static void test_linger(void) {
  struct client *client;
  fix.config.close_linger_ms = 50;
  struct end *end = open_pair(&client);
  end_pause(&client->end, true);
  CU_ASSERT_EQUAL(end_send_and_close(end, 100, 100000), WWR_OK);
  WAIT(end->closed);
  end_pause(&client->end, false);
  WAIT(client->end.closed);
}

static void check_abort(struct end *aborter, struct end *other) {
  CU_ASSERT_EQUAL(end_send(aborter, 0, 10, 10), WWR_OK);
  end_abort(aborter);
  end_abort(aborter);
  WAIT(aborter->closed && other->closed);
  CU_ASSERT_EQUAL(aborter->reason, WWR_E_DISCONNECTED);
  CU_ASSERT_TRUE(is_broken(other->reason));
  CU_ASSERT_EQUAL(end_send(aborter, 0, 1, 1), WWR_E_DISCONNECTED);
}

static void test_abort_by_the_server(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  check_abort(end, &client->end);
  CU_ASSERT_TRUE(connections_become(0));
}

static void test_abort_by_the_client(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  check_abort(&client->end, end);
  CU_ASSERT_TRUE(connections_become(0));
}

static void abort_and_send(void *arg) {
  struct wwri_pipe *pipe = ((struct end *)arg)->pipe;
  pipe->ops->abort(pipe);
  CU_ASSERT_EQUAL(pipe->ops->send(pipe, message_frame(5)), WWR_E_DISCONNECTED);
  pipe->ops->close(pipe, WWRI_CLOSE_NORMAL);
  pipe->ops->pause(pipe, false);
}

static void test_calls_after_abort(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  run_on(end->loop, abort_and_send, end);
  WAIT(end->closed && client->end.closed);
  CU_ASSERT_EQUAL(end->reason, WWR_E_DISCONNECTED);
  CU_ASSERT_EQUAL(client->end.received, 0);
}

static void test_abort_of_a_held_pipe(void) {
  struct client *client;
  fix.hold_servers = true;
  struct end *end = open_pair(&client);
  end_abort(end);
  WAIT(end->closed && client->end.closed);
  CU_ASSERT_EQUAL(end->reason, WWR_E_DISCONNECTED);
}

static void test_abort_while_closing(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  end_pause(&client->end, true);
  CU_ASSERT_EQUAL(end_send_and_close(end, 100, 100000), WWR_OK);
  end_abort(end);
  WAIT(end->closed);
  end_pause(&client->end, false);
  WAIT(client->end.closed);
}

static void test_stop_of_the_server(void) {
  enum { CLIENTS = 8 };
  struct client *client;
  for (int i = 0; i < CLIENTS; i++) {
    fix.hold_servers = i % 2 == 0;
    struct end *end = open_pair(&client);
    CU_ASSERT_EQUAL(end_send(end, 0, 100, 100), WWR_OK);
    CU_ASSERT_EQUAL(end_send(&client->end, 0, 100, 100), WWR_OK);
  }
  fix.transport->ops->stop(fix.transport);
  for (int i = 0; i < CLIENTS; i++) {
    CU_ASSERT_EQUAL(fix.server_ends[i].closed, 1); /* when stop returns */
    WAIT(fix.clients[i].end.closed);
  }
  fix.transport->ops->stop(fix.transport); /* harmless */
}

static void test_stop_of_the_dialers(void) {
  enum { CLIENTS = 8 };
  struct client *client;
  for (int i = 0; i < CLIENTS; i++) {
    struct end *end = open_pair(&client);
    CU_ASSERT_EQUAL(end_send(end, 0, 100, 100), WWR_OK);
  }
  for (int i = 0; i < CLIENTS; i++) {
    struct wwr_dialer *dialer = fix.clients[i].dialer;
    dialer->ops->stop(dialer);
    CU_ASSERT_EQUAL(fix.clients[i].end.closed, 1);
    WAIT(fix.server_ends[i].closed);
  }
  CU_ASSERT_TRUE(connections_become(0));
}

static void test_stop_while_closing(void) {
  struct client *client;
  struct end *end = open_pair(&client);
  end_pause(&client->end, true);
  CU_ASSERT_EQUAL(end_send_and_close(end, 100, 100000), WWR_OK);
  fix.transport->ops->stop(fix.transport);
  CU_ASSERT_EQUAL(end->closed, 1);
}

static void test_stop_while_dialing(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_start(), WWR_OK);
  for (int i = 0; i < 20; i++) {
    struct client *client = client_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT_EQUAL(client_dial(client, 20000), WWR_OK);
    client->dialer->ops->stop(client->dialer);
    CU_ASSERT_EQUAL(client->failed + client->end.opened, 1);
    CU_ASSERT_EQUAL(client->end.closed, client->end.opened);
  }
}

CU_TestInfo transport_ending[] = {
    {"close delivers to the client", test_close_delivers_to_the_client},
    {"close delivers to the server", test_close_delivers_to_the_server},
    {"close releases a held pipe", test_close_releases_a_held_pipe},
    {"close in a message", test_close_in_a_message},
    {"close of a paused pipe", test_close_of_a_paused_pipe},
    {"both close", test_both_close},
    {"close twice", test_close_twice},
    {"linger", test_linger},
    {"abort by the server", test_abort_by_the_server},
    {"abort by the client", test_abort_by_the_client},
    {"calls after abort", test_calls_after_abort},
    {"abort of a held pipe", test_abort_of_a_held_pipe},
    {"abort while closing", test_abort_while_closing},
    {"stop of the server", test_stop_of_the_server},
    {"stop of the dialers", test_stop_of_the_dialers},
    {"stop while closing", test_stop_while_closing},
    {"stop while dialing", test_stop_while_dialing},
    CU_TEST_INFO_NULL,
};
