/* What the page asks of the chat room, on two nodes over Redis and through
 * HAProxy. */
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "room.h"

enum { NODES = 2 };

static struct cluster *cluster;
static struct room_entry entries[ROOM_MAX_ENTRIES];
static char node[64];

static int begin(void) {
  static const char *const args[] = {"--read-timeout", "60", "--message-buffer",
                                     "65536", NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server", .nodes = NODES, .args = args};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int begin_hasty(void) {
  static const char *const args[] = {"--read-timeout", "60", "--hold", "0.5",
                                     "--lease",        "5",  NULL};
  static const struct cluster_opts opts = {
      .program = PROGRAMS "/chatroom-server",
      .nodes = NODES,
      .args = args,
      .no_haproxy = true};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end(void) {
  return cluster_close(cluster);
}

static struct rawws *page_at(int member) {
  struct rawws *ws = room_open_page(cluster_port(cluster, member));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

static void joins_from_both(void) {
  char names[NODES][64], id[48];
  struct room_entry heard;
  struct rawws *ws[NODES];
  for (int i = 0; i < NODES; i++) {
    ws[i] = page_at(i);
    CU_ASSERT_TRUE(room_join(ws[i], NULL, names[i], entries) >= 0);
    CU_ASSERT_TRUE(*names[i] != '\0');
  }
  CU_ASSERT_STRING_NOT_EQUAL(names[0], names[1]);
  CU_ASSERT_TRUE(room_say(ws[0], "over there", "x1", id));
  CU_ASSERT_TRUE(room_hear(ws[1], &heard));
  CU_ASSERT_STRING_EQUAL(heard.msg, "over there");
  CU_ASSERT_STRING_EQUAL(heard.cid, "x1");
  struct rawws *late = page_at(CLUSTER_HAPROXY);
  int count = room_join(late, NULL, node, entries);
  CU_ASSERT_FATAL(count >= 1);
  CU_ASSERT_STRING_EQUAL(entries[count - 1].id, id);
  CU_ASSERT_TRUE(strcmp(node, names[0]) == 0 || strcmp(node, names[1]) == 0);
  CU_ASSERT_TRUE(room_lists(late, "Anonymous", 3));
  rawws_free(late);
  for (int i = 0; i < NODES; i++) rawws_free(ws[i]);
}

static void join_amid_talk(void) {
  const uint16_t ports[] = {cluster_port(cluster, 0), cluster_port(cluster, 1),
                            cluster_port(cluster, CLUSTER_HAPROXY)};
  CU_ASSERT_TRUE(room_join_amid(ports, 3));
}

/* --- signout -------------------------------------------------------------- */

static int restored(struct rawws *ws, const char *key) {
  struct rawws_message got;
  if (!wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) ||
      rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK)
    return -1;
  return got.payload[0];
}

static void signed_out_on_both(void) {
  char key[65];
  struct rawws *first = page_at(0), *second = page_at(0), *third = page_at(1);
  CU_ASSERT_TRUE_FATAL(wire_log_in(first, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restored(second, key), REPLY_UTF8);
  CU_ASSERT_EQUAL(restored(third, key), REPLY_UTF8);
  CU_ASSERT_TRUE(wire_request(third, "signout", NULL));
  CU_ASSERT_TRUE(rawws_expect(third, "\x16", 1, WIRE_MS));
  CU_ASSERT_TRUE(wire_expect_empty(third));
  CU_ASSERT_TRUE(rawws_expect(first, "\x16", 1, WIRE_MS));
  CU_ASSERT_TRUE(rawws_expect(second, "\x16", 1, WIRE_MS));
  CU_ASSERT_EQUAL(restored(first, key), REPLY_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(restored(third, key), REPLY_SESSION_NOT_FOUND);
  rawws_free(first);
  rawws_free(second);
  rawws_free(third);
}

/* --- Without Redis -------------------------------------------------------- */

/* Nothing is answered wrongly while it is away: requests wait, and are carried
 * out once. */
static void while_redis_is_away(void) {
  struct rawws_message got;
  struct rawws *joined = page_at(0), *joining = page_at(1);
  CU_ASSERT_TRUE(room_join(joined, NULL, node, entries) >= 0);
  cluster_pause(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(
      wire_request(joined, "say", "{\"msg\":\"late\",\"cid\":\"l\"}"));
  CU_ASSERT_TRUE(wire_request(joining, "join", "1"));
  CU_ASSERT_TRUE(rawws_expect_silence(joined, WIRE_QUIET_MS));
  CU_ASSERT_TRUE(rawws_expect_silence(joining, WIRE_QUIET_MS));
  cluster_resume(cluster, CLUSTER_REDIS);
  struct room_entry heard;
  unsigned signals = 0, replies = 0; /* in this order, unless it takes long */
  for (int i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(joined, &got, WIRE_MS), RAWWS_OK);
    signals += got.payload[0] == SIGNAL_UTF8 &&
               memmem(got.payload, got.len, "\"cid\":\"l\"", 9) != NULL;
    replies += got.payload[0] == REPLY_UTF8;
  }
  CU_ASSERT_TRUE(signals == 1 && replies == 1);
  int count = room_joined(joining, node, entries);
  CU_ASSERT_TRUE_FATAL(count >= 0);
  if (count == 0 || strcmp(entries[count - 1].cid, "l") != 0) {
    CU_ASSERT_TRUE(room_hear(joining, &heard)); /* it joined just before */
    CU_ASSERT_STRING_EQUAL(heard.cid, "l");
  }
  rawws_free(joined);
  rawws_free(joining);
}

/* Longer than requests wait: each is told what is certain. Who signs out is
 * signed out where the node can do it, and elsewhere when Redis is back. */
static void redis_is_away_for_long(void) {
  char key[65], id[48];
  struct rawws *here = page_at(0), *there = page_at(1);
  CU_ASSERT_TRUE(room_join(here, NULL, node, entries) >= 0);
  CU_ASSERT_TRUE_FATAL(wire_log_in(here, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restored(there, key), REPLY_UTF8);
  cluster_pause(cluster, CLUSTER_REDIS);
  CU_ASSERT_FALSE(room_say(here, "lost", "x", id));
  CU_ASSERT_TRUE(strcmp(id, "UNAVAILABLE") == 0 ||
                 strcmp(id, "UNKNOWN_OUTCOME") == 0);
  CU_ASSERT_TRUE(wire_request(there, "join", NULL));
  CU_ASSERT_TRUE(wire_expect_error(there, "UNAVAILABLE"));
  CU_ASSERT_TRUE(wire_request(here, "signout", NULL));
  CU_ASSERT_TRUE(rawws_expect(here, "\x16", 1, WIRE_MS));
  CU_ASSERT_TRUE(wire_expect_error(here, "UNAVAILABLE"));
  cluster_resume(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(rawws_expect(there, "\x16", 1, WIRE_MS));
  CU_ASSERT_TRUE(room_join(there, NULL, node, entries) >= 0);
  CU_ASSERT_EQUAL(restored(there, key), REPLY_SESSION_NOT_FOUND);
  rawws_free(here);
  rawws_free(there);
}

/* --- The page ------------------------------------------------------------- */

static void the_page_through_the_balancer(void) {
  static const char request[] =
      "GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n"
      "GET /webwire.js HTTP/1.1\r\nHost: chat.example\r\n\r\n"
      "HEAD / HTTP/1.1\r\nHost: chat.example\r\n\r\n";
  struct rawws *ws = rawws_dial(
      &(struct rawws_opts){.port = cluster_port(cluster, CLUSTER_HAPROXY)});
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(rawws_write(ws, request, strlen(request)));
  for (int i = 0; i < 2; i++) { /* it keeps the connection to the browser */
    CU_ASSERT_EQUAL_FATAL(rawws_read_answer(ws), 200);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rawws_body(ws, WIRE_MS));
  }
  CU_ASSERT_EQUAL(rawws_read_answer(ws), 200);
  rawws_free(ws);
  /* Its own page may connect, seen under the balancer's name. */
  ws = rawws_dial(
      &(struct rawws_opts){.port = cluster_port(cluster, CLUSTER_HAPROXY)});
  CU_ASSERT_EQUAL(
      rawws_upgrade(
          ws, &(struct rawws_request){.path = "/join",
                                      .headers =
                                          "Host: chat.example\r\n"
                                          "Origin: https://chat.example\r\n"}),
      101);
  rawws_free(ws);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"joins from both", joins_from_both},
      {"join amid talk", join_amid_talk},
      {"signed out on both", signed_out_on_both},
      {"while Redis is away", while_redis_is_away},
      {"the page through the balancer", the_page_through_the_balancer},
      CU_TEST_INFO_NULL};
  CU_TestInfo hasty[] = {{"Redis is away for long", redis_is_away_for_long},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"two nodes", begin, end, NULL, NULL, tests},
                           {"hasty", begin_hasty, end, NULL, NULL, hasty},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
