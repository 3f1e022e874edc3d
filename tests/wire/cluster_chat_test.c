/* The chat room on three nodes, one Redis and HAProxy: what is said on one node
 * reaches all, in one order, and any node knows what was said and who is here.
 */
#include "cluster.h"
#include "room.h"

#include <stdlib.h>
#include <string.h>

enum { NODES = 3 };

static struct cluster *cluster;
static struct rawws *at[NODES]; /* a client of each node */

/* Raw clients are silent for longer than the chat room's three seconds. */
static int begin(void) {
  static const char *const args[] = {"--read-timeout", "60", NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server", .nodes = NODES, .args = args};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end(void) {
  return cluster_close(cluster);
}

static void connect_clients(void) {
  for (int i = 0; i < NODES; i++) {
    at[i] = wire_open(cluster_port(cluster, i));
    CU_ASSERT_PTR_NOT_NULL_FATAL(at[i]);
  }
}

static void drop_clients(void) {
  for (int i = 0; i < NODES; i++) rawws_free(at[i]);
}

/* Somebody says `text`, and so everyone hears. */
static bool says(struct rawws *ws, const char *user, const char *text) {
  char json[ROOM_MAX_TEXT];
  snprintf(json, sizeof json, "{\"user\":\"%s\",\"msg\":\"%s\"}", user, text);
  bool good = wire_request(ws, "msg", text);
  for (int i = 0; i < NODES; i++)
    good = good && wire_expect_signal(at[i], json);
  return good && wire_expect_empty(ws);
}

/* --- Messages ------------------------------------------------------------- */

static void said_on_one_heard_on_all(void) {
  CU_ASSERT_TRUE(says(at[0], "Anonymous", "from 0"));
  CU_ASSERT_TRUE(says(at[1], "Anonymous", "from 1"));
  CU_ASSERT_TRUE(says(at[2], "Anonymous", "from 2"));
}

static void through_the_balancer(void) {
  struct rawws *more[NODES];
  for (int i = 0; i < NODES; i++) {
    more[i] = wire_open(cluster_port(cluster, CLUSTER_HAPROXY));
    CU_ASSERT_PTR_NOT_NULL_FATAL(more[i]);
  }
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_EQUAL(cluster_balanced(cluster, i), 1);
    CU_ASSERT_TRUE(says(at[i], "Anonymous", "hello"));
    for (int j = 0; j < NODES; j++) {
      CU_ASSERT_TRUE(wire_expect_signal(
          more[j], "{\"user\":\"Anonymous\",\"msg\":\"hello\"}"));
    }
  }
  for (int i = 0; i < NODES; i++) rawws_free(more[i]);
}

/* Whoever has received accept-conf hears what is said afterwards, wherever. */
static void heard_right_after_joining(void) {
  for (int i = 0; i < 30; i++) {
    struct rawws *late = wire_open(cluster_port(cluster, i % NODES));
    CU_ASSERT_PTR_NOT_NULL_FATAL(late);
    CU_ASSERT_TRUE_FATAL(says(at[(i + 1) % NODES], "Anonymous", "welcome"));
    CU_ASSERT_TRUE(wire_expect_signal(
        late, "{\"user\":\"Anonymous\",\"msg\":\"welcome\"}"));
    rawws_free(late);
  }
}

/* All talk at once: the same order everywhere, and each its own signal before
 * the reply to it. */
static void one_order_on_all_nodes(void) {
  enum { EACH = 50, ALL = NODES * EACH };
  static char seen[NODES][ALL];
  for (int i = 0; i < EACH; i++) {
    for (int c = 0; c < NODES; c++) {
      const char text[2] = {(char)('0' + c), '\0'};
      CU_ASSERT_TRUE(wire_request(at[c], "msg", text));
    }
  }
  for (int c = 0; c < NODES; c++) {
    int signals = 0, own = 0, replies = 0;
    while (signals + replies < ALL + EACH) {
      struct rawws_message got;
      CU_ASSERT_EQUAL_FATAL(rawws_recv_message(at[c], &got, WIRE_MS), RAWWS_OK);
      if (got.payload[0] == SIGNAL_UTF8) {
        char from = (char)got.payload[got.len - 3];
        CU_ASSERT_TRUE_FATAL(signals < ALL);
        seen[c][signals++] = from;
        own += from == '0' + c;
      } else {
        CU_ASSERT_EQUAL(got.payload[0], REPLY_BINARY);
        CU_ASSERT_TRUE_FATAL(++replies <= own);
      }
    }
    CU_ASSERT_EQUAL(signals, ALL);
    CU_ASSERT_EQUAL(memcmp(seen[0], seen[c], ALL), 0);
  }
}

/* As a signal it exceeds the message buffer: nobody gets it, nobody is cut. */
static void too_long_a_message(void) {
  static char text[8170];
  memset(text, 'x', sizeof text - 1);
  CU_ASSERT_TRUE(wire_request(at[0], "msg", text));
  CU_ASSERT_TRUE(wire_expect_empty(at[0]));
  CU_ASSERT_TRUE(says(at[0], "Anonymous", "short"));
}

/* --- History -------------------------------------------------------------- */

static void any_node_knows_what_was_said(void) {
  char key[65], json[ROOM_MAX_TEXT], texts[256][64];
  CU_ASSERT_TRUE_FATAL(wire_log_in(at[1], "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(says(at[0], "Anonymous", "one"));
  CU_ASSERT_TRUE(says(at[1], "Frodo", "two"));
  CU_ASSERT_TRUE(says(at[2], "Anonymous", "three"));
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_TRUE(wire_ask(at[i], "history", "3", json, sizeof json));
    CU_ASSERT_EQUAL_FATAL(room_parse_history(json, texts, 256), 3);
    CU_ASSERT_STRING_EQUAL(texts[0], "Anonymous: one");
    CU_ASSERT_STRING_EQUAL(texts[1], "Frodo: two");
    CU_ASSERT_STRING_EQUAL(texts[2], "Anonymous: three");
  }
  CU_ASSERT_TRUE(wire_ask(at[0], "history", "1", json, sizeof json));
  CU_ASSERT_EQUAL(room_parse_history(json, texts, 256), 1);
  CU_ASSERT_STRING_EQUAL(texts[0], "Anonymous: three");
}

static void counts_of_history(void) {
  static const char *const bad[] = {"0",  "257", "1000", "-1",  "+1",
                                    "1 ", "x",   "1.0",  "0x1", "99999999999"};
  char json[ROOM_MAX_TEXT], texts[256][64], text[16];
  for (int i = 0; i < 60; i++) {
    snprintf(text, sizeof text, "m%d", i);
    CU_ASSERT_TRUE_FATAL(says(at[i % NODES], "Anonymous", text));
  }
  CU_ASSERT_TRUE(wire_ask(at[0], "history", NULL, json, sizeof json));
  CU_ASSERT_EQUAL(room_parse_history(json, texts, 256), 50);
  CU_ASSERT_STRING_EQUAL(texts[0], "Anonymous: m10");
  CU_ASSERT_STRING_EQUAL(texts[49], "Anonymous: m59");
  CU_ASSERT_TRUE(wire_ask(at[1], "history", "055", json, sizeof json));
  CU_ASSERT_EQUAL(room_parse_history(json, texts, 256), 55);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CU_ASSERT_FALSE(wire_ask(at[0], "history", bad[i], json, sizeof json));
    CU_ASSERT_STRING_EQUAL(json, "BAD_REQUEST");
  }
}

/* More than a message holds: the newest that fit. */
static void history_fits_a_message(void) {
  char json[ROOM_MAX_TEXT], texts[256][64];
  static char text[1001];
  memset(text, 'y', sizeof text - 1);
  for (int i = 0; i < 10; i++) {
    text[0] = (char)('a' + i);
    CU_ASSERT_TRUE_FATAL(says(at[0], "Anonymous", text));
  }
  CU_ASSERT_TRUE(wire_ask(at[2], "history", "256", json, sizeof json));
  int count = room_parse_history(json, texts, 256);
  CU_ASSERT_EQUAL_FATAL(count, 7); /* of a little over 1,100 bytes each */
  CU_ASSERT_EQUAL(texts[0][strlen("Anonymous: ")], 'd');
  CU_ASSERT_EQUAL(texts[6][strlen("Anonymous: ")], 'j');
}

/* --- Who is here ---------------------------------------------------------- */

static void who_is_here(void) {
  char key[65], reply[64];
  for (int i = 0; i < NODES; i++) {
    CU_ASSERT_TRUE(room_lists(at[i], "Anonymous", NODES));
    CU_ASSERT_TRUE(room_lists(at[i], "Gimli", 0));
  }
  CU_ASSERT_TRUE_FATAL(wire_log_in(at[0], "Gimli", "gimli1234", key));
  CU_ASSERT_TRUE(room_lists(at[0], "Gimli", 1));
  CU_ASSERT_TRUE(room_lists(at[2], "Gimli", 1));
  CU_ASSERT_TRUE(room_lists(at[2], "Anonymous", NODES - 1));
  CU_ASSERT_TRUE(wire_send(at[1], wire_with_id(RESTORE_SESSION, key, 64)));
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(at[1], &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
  CU_ASSERT_TRUE(room_lists(at[2], "Gimli", 2));
  CU_ASSERT_TRUE(wire_send(at[1], wire_with_id(CLOSE_SESSION, NULL, 0)));
  CU_ASSERT_TRUE(wire_expect_empty(at[1]));
  CU_ASSERT_TRUE(room_lists(at[2], "Gimli", 1));
  rawws_free(at[0]);
  CU_ASSERT_TRUE(room_lists(at[2], "Gimli", 0));
  CU_ASSERT_TRUE(room_lists(at[2], "Anonymous", 2));
  at[0] = wire_open(cluster_port(cluster, 0));
  CU_ASSERT_PTR_NOT_NULL_FATAL(at[0]);
  CU_ASSERT_TRUE(room_lists(at[2], "Anonymous", 3));
  CU_ASSERT_TRUE(wire_ask(at[0], "msg", "x", reply, sizeof reply));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"said on one, heard on all", said_on_one_heard_on_all},
      {"through the balancer", through_the_balancer},
      {"heard right after joining", heard_right_after_joining},
      {"one order on all nodes", one_order_on_all_nodes},
      {"too long a message", too_long_a_message},
      {"any node knows what was said", any_node_knows_what_was_said},
      {"counts of history", counts_of_history},
      {"history fits a message", history_fits_a_message},
      {"who is here", who_is_here},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"chat", begin, end, connect_clients, drop_clients, tests},
      CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
