/* Commands to nodes, on a bus that can hold and refuse them. There is one node,
 * which is its own sender; tests/contract has several. */
#include <stdlib.h>
#include <string.h>

#include "server_bus.h"
#include "server_channel_common.h"
#include "server_fixture.h"

enum { SENT_MAX = 100 };

static struct {
  int calls;
  char text[WWR_COMMAND_MAX + 1];
  bool answer;
  bool on_io_thread;
} heard; /* under fix.lock */

struct sent {
  int calls;
  wwr_err err;
};

static bool on_command(struct wwr_server *server, struct wwr_view text,
                       void *user_data) {
  (void)user_data;
  pthread_mutex_lock(&fix.lock);
  heard.calls++;
  memcpy(heard.text, text.data, text.len);
  heard.text[text.len] = '\0';
  heard.on_io_thread = wwri_on_io_thread(server);
  bool answer = heard.answer;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
  return answer;
}

static void on_done(wwr_err err, void *user_data) {
  struct sent *sent = user_data;
  pthread_mutex_lock(&fix.lock);
  sent->calls++;
  sent->err = err;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static void start_node(void) {
  memset(&heard, 0, sizeof heard);
  heard.answer = true;
  fix.opts.hooks.on_command = on_command;
  channel_start();
}

static const char *self(void) {
  return wwr_server_node_name(fix.server);
}

static wwr_err begin(const char *node, const char *text, struct sent *sent) {
  *sent = (struct sent){0};
  return wwr_server_command(fix.server, node, wwr_view_str(text), on_done,
                            sent);
}

static wwr_err command(const char *node, const char *text) {
  struct sent sent;
  CU_ASSERT_EQUAL_FATAL(begin(node, text, &sent), WWR_OK);
  WAIT(sent.calls > 0);
  settle();
  CU_ASSERT_EQUAL(LOCKED(sent.calls), 1);
  return sent.err;
}

static void a_node_is_told_and_answers(void) {
  char longest[WWR_COMMAND_MAX + 1];
  start_node();
  CU_ASSERT_EQUAL(command(self(), "drain 20"), WWR_OK);
  CU_ASSERT_EQUAL(LOCKED(heard.calls), 1);
  CU_ASSERT_STRING_EQUAL(heard.text, "drain 20");
  CU_ASSERT_TRUE(heard.on_io_thread);
  memset(longest, 'x', WWR_COMMAND_MAX);
  longest[WWR_COMMAND_MAX] = '\0';
  CU_ASSERT_EQUAL(command(self(), longest), WWR_OK);
  CU_ASSERT_STRING_EQUAL(heard.text, longest);
  CU_ASSERT_EQUAL(
      wwr_server_command(fix.server, self(), wwr_view_str("quiet"), NULL, NULL),
      WWR_OK);
  WAIT(heard.calls == 3);
}

static void the_smallest_message_buffer_holds_the_longest(void) {
  char longest[WWR_COMMAND_MAX + 1];
  fix.opts.message_buffer_bytes = 32;
  fix.opts.max_queued_bytes = 4096;
  start_node();
  memset(longest, 'x', WWR_COMMAND_MAX);
  longest[WWR_COMMAND_MAX] = '\0';
  CU_ASSERT_EQUAL(command(self(), longest), WWR_OK);
  CU_ASSERT_EQUAL(LOCKED(heard.calls), 1);
}

static void a_refusal_is_told(void) {
  start_node();
  pthread_mutex_lock(&fix.lock);
  heard.answer = false;
  pthread_mutex_unlock(&fix.lock);
  CU_ASSERT_EQUAL(command(self(), "dance"), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(LOCKED(heard.calls), 1);
}

static void without_a_hook_it_is_refused(void) {
  channel_start();
  CU_ASSERT_EQUAL(command(self(), "drain"), WWR_E_REFUSED);
}

static void an_unknown_node_is_not_found(void) {
  start_node();
  CU_ASSERT_EQUAL(command("nobody", "drain"), WWR_E_NOT_FOUND);
  CU_ASSERT_EQUAL(LOCKED(heard.calls), 0);
}

static void what_is_wrong_is_refused_at_once(void) {
  struct sent sent;
  uint8_t bytes[WWR_COMMAND_MAX + 1] = {0};
  char name[300];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  CU_ASSERT_EQUAL(begin("x", "y", &sent), WWR_E_CLOSED);
  CU_ASSERT_EQUAL(wwr_server_start(fix.server), WWR_OK);
  CU_ASSERT_EQUAL(begin(NULL, "y", &sent), WWR_E_INVALID);
  CU_ASSERT_EQUAL(begin("", "y", &sent), WWR_E_INVALID);
  CU_ASSERT_EQUAL(begin(name, "y", &sent), WWR_E_INVALID);
  CU_ASSERT_EQUAL(begin("x", "", &sent), WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwr_server_command(fix.server, "x",
                                     (struct wwr_view){bytes, sizeof bytes},
                                     on_done, &sent),
                  WWR_E_INVALID);
  wwr_server_shutdown(fix.server);
  CU_ASSERT_EQUAL(begin("x", "y", &sent), WWR_E_CLOSED);
  CU_ASSERT_EQUAL(sent.calls, 0);
}

static struct sent sents[SENT_MAX];

static int begin_many(void) {
  int begun = 0;
  for (int i = 0; i < SENT_MAX; i++) {
    wwr_err err = begin(self(), "x", &sents[i]);
    CU_ASSERT_TRUE(err == WWR_OK || err == WWR_E_LIMIT);
    begun += err == WWR_OK;
  }
  return begun;
}

static int calls_of_many(void) {
  int calls = 0;
  for (int i = 0; i < SENT_MAX; i++) calls += sents[i].calls;
  return calls;
}

static void only_so_many_are_under_way(void) {
  start_on_bus();
  test_bus_hold(ON(NODES));
  CU_ASSERT_EQUAL(begin_many(), 64);
  test_bus_hold(0);
  WAIT(calls_of_many() == 64);
  settle();
  CU_ASSERT_EQUAL(command(self(), "again"), WWR_E_REFUSED);
  CU_ASSERT_EQUAL(LOCKED(calls_of_many()), 64);
}

/* Held by the bus: the time is over first; what comes later changes nothing. */
static void the_answer_is_late(unsigned held) {
  struct sent sent;
  start_on_bus();
  fix.server->commands.wait_ms = 50;
  test_bus_hold(held);
  CU_ASSERT_EQUAL(begin(self(), "x", &sent), WWR_OK);
  WAIT(sent.calls > 0);
  CU_ASSERT_EQUAL(sent.err, WWR_E_UNAVAILABLE);
  test_bus_hold(0);
  settle();
  CU_ASSERT_EQUAL(LOCKED(sent.calls), 1);
}

static void a_late_list_of_nodes_is_given_up(void) {
  the_answer_is_late(ON(NODES));
}

static void a_late_answer_is_given_up(void) {
  the_answer_is_late(ON(CONTROL));
}

static void errors_of_the_bus_are_told(void) {
  start_on_bus();
  test_bus_fail(TEST_NODES, WWR_E_UNAVAILABLE);
  CU_ASSERT_EQUAL(command(self(), "x"), WWR_E_UNAVAILABLE);
  test_bus_fail(TEST_NODES, WWR_OK);
  test_bus_refuse(TEST_NODES, WWR_E_LIMIT);
  CU_ASSERT_EQUAL(command(self(), "x"), WWR_E_UNAVAILABLE);
  test_bus_refuse(TEST_NODES, WWR_OK);
  test_bus_fail(TEST_CONTROL, WWR_E_REFUSED);
  CU_ASSERT_EQUAL(command(self(), "x"), WWR_E_UNAVAILABLE);
  test_bus_fail(TEST_CONTROL, WWR_OK);
  test_bus_refuse(TEST_CONTROL, WWR_E_NOMEM);
  CU_ASSERT_EQUAL(command(self(), "x"), WWR_E_UNAVAILABLE);
}

/* Each is told before the server is gone. */
static void the_end_is_told(unsigned held) {
  memset(sents, 0, sizeof sents);
  start_on_bus();
  test_bus_hold(held);
  int begun = begin_many();
  settle();
  fixture_stop_peers();
  fixture_free_server();
  CU_ASSERT_EQUAL(calls_of_many(), begun);
  for (int i = 0; i < SENT_MAX; i++) {
    if (sents[i].calls) CU_ASSERT_EQUAL(sents[i].err, WWR_E_CLOSED);
  }
}

static void the_end_is_told_to_who_waits(void) {
  the_end_is_told(ON(NODES));
}

static void the_end_is_told_to_who_has_asked(void) {
  the_end_is_told(ON(CONTROL));
}

/* Of others, or none at all. */
static void strange_messages_are_ignored(void) {
  static const char *const topics[] = {"command", "command-answer", "closed"};
  uint8_t bytes[600] = {0};
  start_node();
  for (int topic = 0; topic < 3; topic++) {
    for (size_t len = 0; len < sizeof bytes; len++) {
      bytes[0] = (uint8_t)(len % 3);
      wwri_command_heard(fix.server, wwr_view_str(topics[topic]),
                         (struct wwr_view){bytes, len});
    }
  }
  settle();
  CU_ASSERT_EQUAL(LOCKED(heard.calls), 0);
  CU_ASSERT_EQUAL(command(self(), "x"), WWR_OK);
}

static bool drain_on_command(struct wwr_server *server, struct wwr_view text,
                             void *user_data) {
  (void)user_data;
  wwr_server_drain(server, 200);
  return view_is(text, "drain");
}

static void a_command_drains(void) {
  fix.opts.hooks.on_command = drain_on_command;
  channel_start();
  struct peer *peer = peer_connect();
  CU_ASSERT_EQUAL(command(self(), "drain"), WWR_OK);
  peer_expect_closed(peer);
  wwr_server_wait(fix.server);
}

int main(int argc, char **argv) {
  static CU_TestInfo tests[] = {
      {"a node is told and answers", a_node_is_told_and_answers},
      {"the smallest message buffer holds the longest",
       the_smallest_message_buffer_holds_the_longest},
      {"a refusal is told", a_refusal_is_told},
      {"without a hook it is refused", without_a_hook_it_is_refused},
      {"an unknown node is not found", an_unknown_node_is_not_found},
      {"what is wrong is refused at once", what_is_wrong_is_refused_at_once},
      {"only so many are under way", only_so_many_are_under_way},
      {"a late list of nodes is given up", a_late_list_of_nodes_is_given_up},
      {"a late answer is given up", a_late_answer_is_given_up},
      {"errors of the bus are told", errors_of_the_bus_are_told},
      {"the end is told to who waits", the_end_is_told_to_who_waits},
      {"the end is told to who has asked", the_end_is_told_to_who_has_asked},
      {"strange messages are ignored", strange_messages_are_ignored},
      {"a command drains", a_command_drains},
      CU_TEST_INFO_NULL,
  };
  return channel_main(argc, argv, tests);
}
