/* chatroom-server: what the page asks of it. Run with one I/O thread and with
 * three, because order between threads is part of it. */
#include <stdlib.h>
#include <string.h>

#include "room.h"

static struct wire_server server;
static struct rawws *page, *other; /* joined, and as existing clients */
static struct room_entry entries[ROOM_MAX_ENTRIES];
static char node[64];

static int begin_with(const char *threads) {
  const char *const args[] = {"--threads", threads, "--read-timeout", "60",
                              NULL};
  return wire_start(&server, "chatroom-server", args) ? 0 : 1;
}

static int begin_alone(void) {
  return begin_with("1");
}

static int begin_threaded(void) {
  return begin_with("3");
}

static int begin_big(void) {
  const char *const args[] = {
      "--threads", "3", "--read-timeout", "60", "--message-buffer",
      "65536",     NULL};
  return wire_start(&server, "chatroom-server", args) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

static void connect_clients(void) {
  page = room_open_page(server.port);
  other = wire_open(server.port);
}

static void drop_clients(void) {
  rawws_free(page);
  rawws_free(other);
  page = other = NULL;
}

static bool hears(struct rawws *ws, const char *user, const char *msg,
                  const char *cid) {
  struct room_entry heard;
  bool good = room_hear(ws, &heard) && strcmp(heard.user, user) == 0 &&
              strcmp(heard.msg, msg) == 0 && strcmp(heard.cid, cid) == 0;
  if (!good) {
    fprintf(stderr, "heard %s: %s (%s)\n", heard.user, heard.msg, heard.cid);
  }
  return good;
}

/* --- join ----------------------------------------------------------------- */

static void silent_until_it_joins(void) {
  char json[ROOM_MAX_TEXT], id[48];
  CU_ASSERT_TRUE(room_say(other, "unheard", "u", id));
  CU_ASSERT_TRUE(room_lists(page, "Anonymous", 1));
  CU_ASSERT_TRUE(rawws_expect_silence(page, WIRE_QUIET_MS));
  int count = room_join(page, NULL, node, entries);
  CU_ASSERT_FATAL(count >= 1);
  CU_ASSERT_TRUE(*node != '\0');
  CU_ASSERT_STRING_EQUAL(entries[count - 1].msg, "unheard");
  CU_ASSERT_STRING_EQUAL(entries[count - 1].cid, "u");
  CU_ASSERT_STRING_EQUAL(entries[count - 1].id, id);
  CU_ASSERT_TRUE(room_lists(page, "Anonymous", 2));
  CU_ASSERT_TRUE(wire_ask(other, "msg", "heard", json, sizeof json));
  CU_ASSERT_TRUE(hears(page, "Anonymous", "heard", ""));
}

static void history_is_as_long_as_asked(void) {
  char id[48];
  for (int i = 0; i < 4; i++) CU_ASSERT_TRUE(room_say(other, "x", "y", id));
  CU_ASSERT_EQUAL(room_join(page, "3", node, entries), 3);
  CU_ASSERT_STRING_EQUAL(entries[2].id, id);
  CU_ASSERT_STRING_NOT_EQUAL(entries[1].id, id);
  CU_ASSERT_TRUE(room_join(page, "256", node, entries) >= 4);
}

/* It changes nothing: what is said arrives once. */
static void joined_already(void) {
  char id[48];
  struct rawws *both[2] = {page, other};
  CU_ASSERT_TRUE(room_join(page, "1", node, entries) >= 0);
  for (int i = 0; i < 2; i++) {
    CU_ASSERT_TRUE(room_join(both[i], "1", node, entries) >= 0);
    CU_ASSERT_TRUE(room_say(other, "once", "o", id));
    CU_ASSERT_TRUE(hears(page, "Anonymous", "once", "o"));
  }
  CU_ASSERT_TRUE(rawws_expect_silence(page, WIRE_QUIET_MS));
}

static void refused_counts(void) {
  static const char *const counts[] = {"0",   "257", "-1",  "1 ",   " 1", "1.5",
                                       "all", "+1",  "0x1", "9999", "1e1"};
  char long_one[2000];
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    CU_ASSERT_TRUE(wire_request(page, "join", counts[i]));
    CU_ASSERT_TRUE(wire_expect_error(page, "BAD_REQUEST"));
  }
  memset(long_one, '1', sizeof long_one - 1);
  long_one[sizeof long_one - 1] = '\0';
  CU_ASSERT_TRUE(wire_request(page, "join", long_one));
  CU_ASSERT_TRUE(wire_expect_error(page, "BAD_REQUEST"));
  CU_ASSERT_TRUE(wire_send(page, wire_named(REQUEST_BINARY, "join", "1\0", 2)));
  CU_ASSERT_TRUE(wire_expect_error(page, "BAD_REQUEST"));
  CU_ASSERT_TRUE(room_lists(page, "Anonymous", 1)); /* it has not joined */
  CU_ASSERT_TRUE(wire_send(page, wire_named(REQUEST_UTF16, "join",
                                            "1\0"
                                            "2\0",
                                            4)));
  CU_ASSERT_TRUE(room_joined(page, node, entries) >= 0);
}

static void other_paths_are_as_ever(void) {
  static const char *const paths[] = {"/", "/Join", "/join/", "/joining", "/x"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    char id[48];
    struct rawws_message got;
    struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = server.port});
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
    CU_ASSERT_EQUAL(
        rawws_upgrade(ws, &(struct rawws_request){.path = paths[i]}), 101);
    CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_TRUE(room_say(other, "all", "a", id));
    CU_ASSERT_TRUE(hears(ws, "Anonymous", "all", "a"));
    rawws_free(ws);
  }
  rawws_free(page);
  page = rawws_dial(&(struct rawws_opts){.port = server.port});
  CU_ASSERT_EQUAL(
      rawws_upgrade(page, &(struct rawws_request){.path = "/join?a=b"}), 101);
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(page, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_TRUE(room_lists(page, "Anonymous", 1));
}

static void join_amid_talk(void) {
  CU_ASSERT_TRUE(room_join_amid(&server.port, 1));
}

/* --- say ------------------------------------------------------------------ */

static void said_to_everyone(void) {
  char id[48], key[65];
  CU_ASSERT_TRUE(room_join(page, "1", node, entries) >= 0);
  CU_ASSERT_TRUE_FATAL(wire_log_in(page, "Frodo", "frodo1234", key));
  CU_ASSERT_TRUE(
      wire_request(page, "say", "{\"cid\": \"7\", \"msg\": \"hi\"}"));
  CU_ASSERT_TRUE(hears(page, "Frodo", "hi", "7")); /* before the reply */
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(page, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
  CU_ASSERT_TRUE(hears(other, "Frodo", "hi", "7"));
  CU_ASSERT_TRUE(room_say(page, "", " ~", id));
  CU_ASSERT_TRUE(hears(other, "Frodo", "", " ~"));
  CU_ASSERT_EQUAL(room_join(page, "1", node, entries), 1);
  CU_ASSERT_STRING_EQUAL(entries[0].id, id);
  CU_ASSERT_STRING_EQUAL(entries[0].cid, " ~");
}

static const struct {
  int type;
  const uint8_t *payload;
  size_t len;
  const char *signal;
} spoken[] = {
    {REQUEST_BINARY, WIRE_BYTES("{\"msg\":\"b\",\"cid\":\"1\"}"), "b"},
    {REQUEST_UTF8, WIRE_BYTES(" {\n\"cid\":\"1\",\"msg\":\"w\"}\t"), "w"},
    {REQUEST_UTF8, WIRE_BYTES("{\"msg\":\"\\u0000<b>\\\"\",\"cid\":\"1\"}"),
     "\\u0000<b>\\\""},
    {REQUEST_UTF8,
     WIRE_BYTES("{\"msg\":\"\\ud83d\\ude00w\xc3\xb6\",\"cid\":\"1\"}"),
     "\xf0\x9f\x98\x80w\xc3\xb6"},
    {REQUEST_UTF16,
     WIRE_BYTES("{\0\"\0m\0s\0g\0\"\0:\0\"\0\x3d\xd8\x00\xde\"\0,\0\"\0c\0i\0"
                "d\0\"\0:\0\"\0001\0\"\0}\0"),
     "\xf0\x9f\x98\x80"},
};

static void said_in_every_encoding(void) {
  struct rawws_message got;
  for (size_t i = 0; i < sizeof spoken / sizeof *spoken; i++) {
    CU_ASSERT_TRUE(wire_send(
        page,
        wire_named(spoken[i].type, "say", spoken[i].payload, spoken[i].len)));
    CU_ASSERT_EQUAL(rawws_recv_message(page, &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
    CU_ASSERT_TRUE_FATAL(hears(other, "Anonymous", spoken[i].signal, "1"));
  }
}

#define CID_64 \
  "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr"

static const char *const unsaid[] = {
    NULL,
    "x",
    "{}",
    "[]",
    "7",
    "null",
    "\"msg\"",
    "[\"msg\",\"cid\"]",
    "{\"msg\":\"a\"}",
    "{\"cid\":\"a\"}",
    "{\"msg\":1,\"cid\":\"a\"}",
    "{\"msg\":null,\"cid\":\"a\"}",
    "{\"msg\":[],\"cid\":\"a\"}",
    "{\"msg\":\"a\",\"cid\":1}",
    "{\"msg\":\"a\",\"cid\":null}",
    "{\"msg\":\"a\",\"cid\":{}}",
    "{\"msg\":\"a\",\"cid\":\"\"}",
    "{\"msg\":\"a\",\"cid\":\"" CID_64 "5\"}",
    "{\"msg\":\"a\",\"cid\":\"\\u00e4\"}",
    "{\"msg\":\"a\",\"cid\":\"a\\n\"}",
    "{\"msg\":\"a\",\"cid\":\"a\\u0000\"}",
    "{\"msg\":\"a\",\"cid\":\"\x7f\"}",
    "{\"msg\":\"a\",\"cid\":\"a\",\"user\":\"Sauron\"}",
    "{\"msg\":\"a\",\"cid\":\"a\",\"cid\":\"b\"}",
    "{\"msg\":\"a\",\"msg\":\"b\",\"cid\":\"b\"}",
    "{\"MSG\":\"a\",\"cid\":\"a\"}",
    "{\"msg\":\"a\",\"cid\":\"a\"",
    "{\"msg\":\"a\",\"cid\":\"a\"} x",
    "{\"msg\":\"a\",\"cid\":\"a\"}{}",
    "\xef\xbb\xbf{\"msg\":\"a\",\"cid\":\"a\"}",
    "{'msg':'a','cid':'a'}",
    "{\"msg\":\"\xff\",\"cid\":\"a\"}",
    "{\"msg\":\"\xc3\",\"cid\":\"a\"}",
    "{\"msg\":\"\xed\xa0\x80\",\"cid\":\"a\"}",
    "{\"msg\":\"\xc0\x80\",\"cid\":\"a\"}",
    "{\"msg\":\"\\ud800\",\"cid\":\"a\"}",
    "{\"msg\":\"a\nb\",\"cid\":\"a\"}",
    "{\"msg\":1e999,\"cid\":\"a\"}",
};

static void refused_words(void) {
  char nested[4000], id[48];
  for (size_t i = 0; i < sizeof unsaid / sizeof *unsaid; i++) {
    CU_ASSERT_TRUE(wire_request(page, "say", unsaid[i]));
    bool good = wire_expect_error(page, "BAD_REQUEST");
    if (!good) fprintf(stderr, "say: %s\n", unsaid[i]);
    CU_ASSERT_TRUE_FATAL(good);
  }
  memset(nested, '[', sizeof nested - 1);
  nested[sizeof nested - 1] = '\0';
  CU_ASSERT_TRUE(wire_request(page, "say", nested));
  CU_ASSERT_TRUE(wire_expect_error(page, "BAD_REQUEST"));
  CU_ASSERT_TRUE(
      wire_send(page, wire_named(REQUEST_UTF16, "say", "{\0\x00\xd8}\0", 6)));
  CU_ASSERT_TRUE(wire_expect_error(page, "BAD_REQUEST"));
  CU_ASSERT_TRUE(rawws_expect_silence(other, WIRE_QUIET_MS));
  CU_ASSERT_TRUE(room_say(page, "a", CID_64, id));
  CU_ASSERT_TRUE(hears(other, "Anonymous", "a", CID_64));
}

/* The longest that is taken is in the history of who comes next, all of it; one
 * more byte reaches nobody. */
static void too_long(void) {
  static char json[9000], reply[256];
  bool taken = false;
  int len = 8150;
  for (; len > 7800 && !taken; len--) {
    memset(json, 'x', sizeof json);
    int head = snprintf(json, sizeof json, "{\"cid\":\"long\",\"msg\":\"");
    json[head] = 'x';
    memcpy(json + head + len, "\"}", 3);
    taken = wire_ask(page, "say", json, reply, sizeof reply);
    if (!taken) CU_ASSERT_STRING_EQUAL_FATAL(reply, "TOO_LARGE");
  }
  CU_ASSERT_TRUE_FATAL(taken);
  CU_ASSERT_EQUAL(room_join(page, "5", node, entries), 1);
  CU_ASSERT_STRING_EQUAL(entries[0].cid, "long");
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(other, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_TRUE(got.len > 7800);
  CU_ASSERT_TRUE(rawws_expect_silence(other, WIRE_QUIET_MS));
}

/* Who does not know what became of it looks, and says it again only when it is
 * not there. */
static void said_again(void) {
  char id[48], again[48];
  struct rawws *hasty = room_open_page(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(hasty);
  CU_ASSERT_TRUE(
      wire_request(hasty, "say", "{\"msg\":\"!\",\"cid\":\"hasty\"}"));
  rawws_free(hasty);
  CU_ASSERT_TRUE(hears(other, "Anonymous", "!", "hasty"));
  CU_ASSERT_EQUAL(room_join(page, "1", node, entries), 1);
  CU_ASSERT_STRING_EQUAL(entries[0].cid, "hasty");
  /* The same cid again is another message: receivers know it by the cid. */
  CU_ASSERT_TRUE(room_say(page, "?", "twice", id));
  CU_ASSERT_TRUE(room_say(page, "?", "twice", again));
  CU_ASSERT_STRING_NOT_EQUAL(id, again);
  CU_ASSERT_TRUE(hears(other, "Anonymous", "?", "twice"));
  CU_ASSERT_TRUE(hears(other, "Anonymous", "?", "twice"));
}

/* --- signout -------------------------------------------------------------- */

static bool is_told(struct rawws *ws) {
  return rawws_expect(ws, "\x16", 1, WIRE_MS);
}

static int restored(struct rawws *ws, const char *key) {
  struct rawws_message got;
  if (!wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) ||
      rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK)
    return -1;
  return got.payload[0];
}

static void signed_out_everywhere(void) {
  char key[65], id[48];
  struct rawws *third = room_open_page(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(third);
  CU_ASSERT_TRUE_FATAL(wire_log_in(page, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restored(other, key), REPLY_UTF8);
  CU_ASSERT_EQUAL(restored(third, key), REPLY_UTF8);
  CU_ASSERT_TRUE(wire_request(third, "signout", NULL));
  CU_ASSERT_TRUE(is_told(page));
  CU_ASSERT_TRUE(is_told(other));
  CU_ASSERT_TRUE(is_told(third));
  CU_ASSERT_TRUE(wire_expect_empty(third));
  CU_ASSERT_EQUAL(restored(page, key), REPLY_SESSION_NOT_FOUND);
  CU_ASSERT_TRUE(room_say(page, "who am I", "w", id));
  CU_ASSERT_TRUE(hears(other, "Anonymous", "who am I", "w"));
  CU_ASSERT_TRUE(wire_request(third, "signout", "again"));
  CU_ASSERT_TRUE(wire_expect_empty(third));
  CU_ASSERT_TRUE_FATAL(wire_log_in(page, "Sauron", "sauron1234", key));
  rawws_free(third);
}

/* Both want the same at once: each is answered. */
static void signed_out_twice(void) {
  char key[65];
  struct rawws *both[2] = {page, other};
  CU_ASSERT_TRUE_FATAL(wire_log_in(page, "Frodo", "frodo1234", key));
  CU_ASSERT_EQUAL(restored(other, key), REPLY_UTF8);
  for (int i = 0; i < 2; i++)
    CU_ASSERT_TRUE(wire_request(both[i], "signout", NULL));
  for (int i = 0; i < 2; i++) {
    struct rawws_message got;
    CU_ASSERT_TRUE(is_told(both[i]));
    CU_ASSERT_EQUAL(rawws_recv_message(both[i], &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(got.payload[0], REPLY_BINARY);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"silent until it joins", silent_until_it_joins},
      {"history is as long as asked", history_is_as_long_as_asked},
      {"joined already", joined_already},
      {"refused counts", refused_counts},
      {"other paths are as ever", other_paths_are_as_ever},
      {"said to everyone", said_to_everyone},
      {"said in every encoding", said_in_every_encoding},
      {"refused words", refused_words},
      {"too long", too_long},
      {"said again", said_again},
      {"signed out everywhere", signed_out_everywhere},
      {"signed out twice", signed_out_twice},
      CU_TEST_INFO_NULL};
  CU_TestInfo big[] = {{"join amid talk", join_amid_talk},
                       {"join amid talk again", join_amid_talk},
                       CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {
      {"one thread", begin_alone, end, connect_clients, drop_clients, tests},
      {"three threads", begin_threaded, end, connect_clients, drop_clients,
       tests},
      {"big messages", begin_big, end, NULL, NULL, big},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
