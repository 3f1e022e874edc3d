/* webwired's requests and signals, on one node. */
#include <stdlib.h>
#include <string.h>

#include "webwired.h"

static struct node node;

static const char config[] =
    "server = { max-channels = 3; threads = 2; };\n"
    "channels = { max-name = 40; namespaces = (\n"
    "  { prefix = \"raw:\"; log-entries = 0; },\n"
    "  { prefix = \"few:\"; log-entries = 2; },\n"
    "  { prefix = \"who:\"; presence = true; },\n"
    "  { prefix = \"in:\"; subscribe = \"session\"; publish = \"session\";\n"
    "    history = \"session\"; },\n"
    "  { prefix = \"in:deaf:\"; subscribe = \"nobody\"; },\n"
    "  { prefix = \"role:\"; publish = \"info:role=admin,staff\";\n"
    "    history = \"nobody\"; },\n"
    "  { prefix = \"own:\"; subscribe = \"info:rooms\"; } ); };\n";

static int begin(void) {
  return node_start(&node, config, NULL) ? 0 : 1;
}

static int end(void) {
  return node_end(&node);
}

static uint64_t place_of(const char *reply) {
  return number_of(reply, "offset");
}

static struct rawws *subscriber(const char *request) {
  struct rawws *ws = node_open(&node);
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, request, NULL));
  return ws;
}

static bool hears(struct rawws *ws, const char *channel, const char *text) {
  return wire_expect(ws, wire_named(SIGNAL_UTF8, channel, text, strlen(text)));
}

/* --- Subscribing and publishing ------------------------------------------- */

static void names_the_subprotocol(void) {
  struct rawws_message got;
  struct rawws *ws = rawws_open(node.server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], ACCEPT_CONF);
  CU_ASSERT_EQUAL(got.len, 11 + strlen("webwire-channels/1"));
  CU_ASSERT_EQUAL(memcmp(got.payload + 11, "webwire-channels/1", 18), 0);
  rawws_free(ws);
}

static void from_one_to_another(void) {
  struct rawws *ws = subscriber("sub:a"), *other = node_open(&node);
  const char *reply = node_ask(other, "pub:a", "one");
  uint64_t epoch = number_of(reply, "epoch"), first = place_of(reply);
  CU_ASSERT_TRUE(epoch > 0 && first > 0 && first < UINT64_MAX);
  CU_ASSERT_TRUE(hears(ws, "a", "one"));
  reply = node_ask(other, "pub:a", "two");
  CU_ASSERT_EQUAL(number_of(reply, "epoch"), epoch);
  CU_ASSERT_EQUAL(place_of(reply), first + 1);
  CU_ASSERT_TRUE(hears(ws, "a", "two"));
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "unsub:a", NULL), "{}");
  CU_ASSERT_PTR_NOT_NULL(node_ask(other, "pub:a", "three"));
  CU_ASSERT_TRUE(rawws_expect_silence(ws, WIRE_QUIET_MS));
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "unsub:a", NULL), "{}");
  rawws_free(ws);
  rawws_free(other);
}

/* The publisher is one of them; its reply comes behind the delivery. */
static void to_oneself(void) {
  struct rawws *ws = subscriber("sub:self");
  CU_ASSERT_TRUE(wire_request(ws, "pub:self", "x"));
  CU_ASSERT_TRUE(hears(ws, "self", "x"));
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
  rawws_free(ws);
}

static void many_at_once(void) {
  struct rawws *ws = subscriber("sub:many");
  char text[16];
  for (int i = 0; i < 200; i++) {
    snprintf(text, sizeof text, "%d", i);
    CU_ASSERT_TRUE(wire_request(ws, "pub:many", text));
  }
  int heard = 0, answered = 0;
  while (heard + answered < 400) {
    struct rawws_message got;
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
    snprintf(text, sizeof text, "%d", heard);
    if (got.payload[0] == SIGNAL_UTF8) {
      CU_ASSERT_EQUAL(memcmp(got.payload + 6, text, strlen(text)), 0);
      heard++;
    } else {
      CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
      answered++;
      CU_ASSERT_TRUE(heard >= answered);
    }
  }
  CU_ASSERT_EQUAL(answered, 200);
  rawws_free(ws);
}

static void by_signal(void) {
  struct rawws *ws = subscriber("sub:s"), *other = node_open(&node);
  static const char *const ignored[] = {"pub:", "pub:!x",  "pub:gap:s", "sub:x",
                                        "s",    "nothing", "pub:in:s"};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
    CU_ASSERT_TRUE(
        wire_send(other, wire_named(SIGNAL_UTF8, ignored[i], "x", 1)));
  CU_ASSERT_TRUE(
      wire_send(other, wire_named(SIGNAL_BINARY, "pub:s", "\0\xff", 2)));
  CU_ASSERT_TRUE(wire_expect(ws, wire_named(SIGNAL_BINARY, "s", "\0\xff", 2)));
  rawws_free(ws);
  rawws_free(other);
}

/* --- Payloads ------------------------------------------------------------- */

static const struct {
  int request;
  int signal;
  const char *bytes;
  size_t len;
} payloads[] = {
    {REQUEST_BINARY, SIGNAL_BINARY, "\0\xff\x80 x", 5},
    {REQUEST_BINARY, SIGNAL_BINARY, "", 0},
    {REQUEST_UTF8, SIGNAL_UTF8, "h\xc3\xa9 \xf0\x9f\x98\x80", 8},
    {REQUEST_UTF8, SIGNAL_UTF8, "", 0},
    {REQUEST_UTF8, SIGNAL_UTF8, "a\0b", 3},
    {REQUEST_UTF8, SIGNAL_UTF8, "\xff\xfe not UTF-8", 12},
    {REQUEST_UTF16, SIGNAL_UTF16, "h\0\xe9\0=\xd8\0\xde", 8},
    {REQUEST_UTF16, SIGNAL_UTF16, "\0\xd8 \0", 4},
};

static void untouched(const char *channel) {
  char name[64];
  struct rawws_message got;
  snprintf(name, sizeof name, "sub:%s", channel);
  struct rawws *ws = subscriber(name), *other = node_open(&node);
  snprintf(name, sizeof name, "pub:%s", channel);
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    CU_ASSERT_TRUE(
        wire_send(other, wire_named(payloads[i].request, name,
                                    payloads[i].bytes, payloads[i].len)));
    CU_ASSERT_EQUAL(rawws_recv_message(other, &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
    CU_ASSERT_TRUE(
        wire_expect(ws, wire_named(payloads[i].signal, channel,
                                   payloads[i].bytes, payloads[i].len)));
  }
  rawws_free(ws);
  rawws_free(other);
}

static void payloads_are_untouched(void) {
  untouched("odd");
  untouched("even");
  untouched("raw:odd");
  untouched("raw:even");
}

static bool ends_with(const char *reply, const char *end) {
  size_t len = reply ? strlen(reply) : 0;
  return len >= strlen(end) && strcmp(reply + len - strlen(end), end) == 0;
}

static void payloads_in_history(void) {
  static const char *const told[] = {
      "\"encoding\":\"binary\",\"payload\":\"AP+AIHg=\"}",
      "\"encoding\":\"binary\",\"payload\":\"\"}",
      "\"encoding\":\"utf8\",\"payload\":\"h\xc3\xa9 \xf0\x9f\x98\x80\"}",
      "\"encoding\":\"utf8\",\"payload\":\"\"}",
      "\"encoding\":\"utf8\",\"payload\":\"a\\u0000b\"}",
      "\"encoding\":\"utf8\",\"payload\":\"//4gbm90IFVURi04\",\"base64\":true}",
      "\"encoding\":\"utf16\",\"payload\":\"h\xc3\xa9\xf0\x9f\x98\x80\"}",
      "\"encoding\":\"utf16\",\"payload\":\"ANggAA==\",\"base64\":true}"};
  char end_of[256];
  struct rawws_message got;
  struct rawws *ws = node_open(&node);
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    CU_ASSERT_TRUE(
        wire_send(ws, wire_named(payloads[i].request, "pub:told",
                                 payloads[i].bytes, payloads[i].len)));
    CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
    snprintf(end_of, sizeof end_of, "%s],\"more\":false}", told[i]);
    const char *reply = node_ask(ws, "history:told", "{\"count\":1}");
    CU_ASSERT_TRUE(ends_with(reply, end_of));
    if (!ends_with(reply, end_of)) fprintf(stderr, "%s\n", reply);
  }
  rawws_free(ws);
}

/* --- Places --------------------------------------------------------------- */

/* What sub says is the place from which deliveries count. */
static void places(void) {
  struct rawws *ws = node_open(&node), *other = node_open(&node);
  const char *reply = node_ask(ws, "sub:p", NULL);
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"messages\":[],\"more\":false"));
  CU_ASSERT_EQUAL(place_of(reply), 0);
  for (uint64_t i = 1; i <= 3; i++) {
    CU_ASSERT_EQUAL(place_of(node_ask(other, "pub:p", "x")), i);
    CU_ASSERT_TRUE(hears(ws, "p", "x"));
  }
  CU_ASSERT_EQUAL(place_of(node_ask(ws, "sub:p", NULL)), 3); /* again */
  reply = node_ask(other, "sub:p", "{\"history\":2}");
  CU_ASSERT_EQUAL(place_of(reply), 3);
  uint64_t epoch = number_of(reply, "epoch");
  const char *messages = strstr(reply, "\"messages\":[");
  CU_ASSERT_EQUAL(place_of(messages), 2);
  CU_ASSERT_EQUAL(number_of(messages, "epoch"), epoch);
  CU_ASSERT_TRUE(number_of(messages, "time") > 1700000000000);
  CU_ASSERT_EQUAL(place_of(node_ask(ws, "pub:p", "y")), 4);
  rawws_free(ws);
  rawws_free(other);
}

/* A place stays when what was at it has gone. */
static void places_of_a_short_log(void) {
  struct rawws *ws = node_open(&node);
  for (int i = 0; i < 5; i++)
    CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:few:x", "x"));
  const char *reply = node_ask(ws, "history:few:x", NULL);
  CU_ASSERT_EQUAL(place_of(reply), 4);
  CU_ASSERT_EQUAL(place_of(node_ask(ws, "sub:few:x", NULL)), 5);
  rawws_free(ws);
}

static void nothing_to_count_without_a_log(void) {
  struct rawws *ws = node_open(&node);
  const char *reply = node_ask(ws, "sub:raw:x", "{\"history\":5}");
  CU_ASSERT_STRING_EQUAL(
      reply, "{\"epoch\":\"0\",\"offset\":0,\"messages\":[],\"more\":false}");
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "pub:raw:x", "x"),
                         "{\"epoch\":\"0\",\"offset\":0}");
  rawws_free(ws);
}

/* --- History -------------------------------------------------------------- */

static size_t messages_in(const char *reply) {
  size_t count = 0;
  for (const char *at = reply; at && (at = strstr(at, "\"time\":")); at++)
    count++;
  return count;
}

static void history(void) {
  char text[128];
  struct rawws *ws = node_open(&node);
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "history:h", NULL),
                         "{\"messages\":[],\"more\":false}");
  const char *reply = NULL;
  for (int i = 0; i < 5; i++) reply = node_ask(ws, "pub:h", "x");
  unsigned long long epoch = number_of(reply, "epoch");
  CU_ASSERT_EQUAL(messages_in(node_ask(ws, "history:h", NULL)), 5);
  CU_ASSERT_EQUAL(messages_in(node_ask(ws, "history:h", "{\"count\":0}")), 0);
  reply = node_ask(ws, "history:h", "{\"count\":2}");
  CU_ASSERT_EQUAL(messages_in(reply), 2);
  CU_ASSERT_EQUAL(place_of(reply), 4);
  snprintf(text, sizeof text,
           "{\"after\":{\"epoch\":%llu,\"offset\":3},\"count\":256}", epoch);
  reply = node_ask(ws, "history:h", text);
  CU_ASSERT_EQUAL(messages_in(reply), 2);
  CU_ASSERT_EQUAL(place_of(reply), 4);
  snprintf(text, sizeof text,
           "{\"after\":{\"epoch\":%llu,\"offset\":0},\"count\":2}", epoch);
  reply = node_ask(ws, "history:h", text);
  CU_ASSERT_EQUAL(messages_in(reply), 2);
  CU_ASSERT_EQUAL(place_of(reply), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"more\":true"));
  rawws_free(ws);
}

/* Pages are as long as a message may be. */
static void history_in_pages(void) {
  static char text[30001];
  char wish[128];
  memset(text, 'x', sizeof text - 1);
  struct rawws *ws = node_open(&node);
  const char *reply = NULL;
  for (int i = 0; i < 4; i++) reply = node_ask(ws, "pub:pages", text);
  unsigned long long epoch = number_of(reply, "epoch");
  reply = node_ask(ws, "history:pages", NULL); /* the last of them */
  CU_ASSERT_EQUAL(messages_in(reply), 2);
  CU_ASSERT_EQUAL(place_of(reply), 3);
  CU_ASSERT_TRUE(ends_with(reply, "\"more\":true}"));
  reply = node_ask(ws, "sub:pages", "{\"history\":4}");
  CU_ASSERT_EQUAL(messages_in(reply), 2);
  CU_ASSERT_EQUAL(place_of(reply), 4);
  CU_ASSERT_TRUE(ends_with(reply, "\"more\":true}"));
  for (unsigned after = 0; after < 4; after += 2) {
    snprintf(wish, sizeof wish, "{\"after\":{\"epoch\":%llu,\"offset\":%u}}",
             epoch, after);
    reply = node_ask(ws, "history:pages", wish);
    CU_ASSERT_EQUAL(messages_in(reply), 2);
    CU_ASSERT_EQUAL(place_of(reply), after + 1);
    CU_ASSERT_TRUE(
        ends_with(reply, after == 0 ? "\"more\":true}" : "\"more\":false}"));
  }
  rawws_free(ws);
}

/* Six bytes of JSON for each: then its place is told without it. */
static void too_large_for_a_page(void) {
  static char text[20001];
  memset(text, '\1', sizeof text - 1);
  struct rawws *ws = subscriber("sub:large");
  CU_ASSERT_TRUE(wire_request(ws, "pub:large", text));
  CU_ASSERT_TRUE(hears(ws, "large", text));
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  const char *reply = node_ask(ws, "history:large", NULL);
  CU_ASSERT_EQUAL(place_of(reply), 1);
  CU_ASSERT_PTR_NOT_NULL(
      strstr(reply, "\"encoding\":\"utf8\",\"payload\":null}],\"more\":false"));
  rawws_free(ws);
}

/* --- What is wrong -------------------------------------------------------- */

static void errors(void) {
  static const struct {
    const char *request;
    const char *payload;
    const char *code;
  } cases[] = {
      {"nonsense", NULL, "NO_SUCH_REQUEST"},
      {"", "x", "NO_SUCH_REQUEST"},
      {"sub", NULL, "NO_SUCH_REQUEST"},
      {"signout:x", NULL, "NO_SUCH_REQUEST"},
      {"auth", "x", "NO_SUCH_REQUEST"},
      {"sub:", NULL, "BAD_CHANNEL"},
      {"sub:!x", NULL, "BAD_CHANNEL"},
      {"pub:gap:x", "x", "BAD_CHANNEL"},
      {"history:\x7f", NULL, "BAD_CHANNEL"},
      {"unsub:a\tb", NULL, "BAD_CHANNEL"},
      {"presence:\xc3\xa9", NULL, "BAD_CHANNEL"},
      {"pub:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x", "BAD_CHANNEL"},
      {"sub:e", "{", "BAD_REQUEST"},
      {"sub:e", "[]", "BAD_REQUEST"},
      {"sub:e", "2", "BAD_REQUEST"},
      {"sub:e", "{\"history\":257}", "BAD_REQUEST"},
      {"sub:e", "{\"history\":-1}", "BAD_REQUEST"},
      {"sub:e", "{\"history\":1.5}", "BAD_REQUEST"},
      {"sub:e", "{\"history\":\"1\"}", "BAD_REQUEST"},
      {"sub:e", "{\"histroy\":1}", "BAD_REQUEST"},
      {"sub:e", "{\"history\":1,\"history\":2}", "BAD_REQUEST"},
      {"history:e", "{\"count\":257}", "BAD_REQUEST"},
      {"history:e", "{\"after\":{}}", "BAD_REQUEST"},
      {"history:e", "{\"after\":{\"epoch\":1}}", "BAD_REQUEST"},
      {"history:e", "{\"after\":{\"epoch\":1,\"offset\":-1}}", "BAD_REQUEST"},
      {"history:e", "{\"after\":[1,2]}", "BAD_REQUEST"},
      {"presence:e", "{}", "BAD_REQUEST"},
      {"history:raw:e", NULL, "NOT_LOGGED"},
      {"sub:in:e", NULL, "SIGN_IN_FIRST"},
      {"pub:in:e", "x", "SIGN_IN_FIRST"},
      {"history:in:e", NULL, "SIGN_IN_FIRST"},
      {"presence:in:e", NULL, "SIGN_IN_FIRST"},
      {"sub:in:deaf:e", NULL, "NOT_PERMITTED"},
      {"pub:role:e", "x", "SIGN_IN_FIRST"},
      {"history:role:e", NULL, "NOT_PERMITTED"},
      {"sub:role:e", "{\"history\":1}", "NOT_PERMITTED"},
  };
  struct rawws *ws = node_open(&node);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *code = node_refused(ws, cases[i].request, cases[i].payload);
    CU_ASSERT_STRING_EQUAL(code, cases[i].code);
    if (strcmp(code, cases[i].code) != 0)
      fprintf(stderr, "%s %s: %s\n", cases[i].request, cases[i].payload, code);
  }
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:role:e", NULL));
  rawws_free(ws);
}

static void too_many_channels(void) {
  struct rawws *ws = node_open(&node);
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:1", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:2", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:3", NULL));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "sub:4", NULL), "TOO_MANY_CHANNELS");
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:3", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "unsub:3", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:4", NULL));
  rawws_free(ws);
}

/* --- Sessions ------------------------------------------------------------- */

static void permitted_by_session(void) {
  struct rawws *ws = node_open(&node);
  CU_ASSERT_TRUE_FATAL(node_restore(
      &node, ws, "k1",
      "{\"username\":\"Ann\",\"role\":\"staff\",\"rooms\":[\"own:a\","
      "\"own:b*\"]}"));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:in:x", "{\"history\":1}"));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:in:x", "x"));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "sub:in:deaf:x", NULL),
                         "NOT_PERMITTED");
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:role:x", "x"));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:own:a", NULL));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:own:bcd", NULL));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "sub:own:aa", NULL), "NOT_PERMITTED");
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "unsub:own:a", NULL));
  CU_ASSERT_TRUE(wire_request(ws, "signout", NULL));
  CU_ASSERT_TRUE(rawws_expect(ws, "\x16", 1, WIRE_MS));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_UTF8, "{}", 2)));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "pub:in:x", "x"), "SIGN_IN_FIRST");
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "signout", NULL), "{}");
  CU_ASSERT_TRUE_FATAL(node_restore(
      &node, ws, "k2", "{\"role\":\"guest\",\"rooms\":\"own:a\"}"));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "pub:role:x", "x"), "NOT_PERMITTED");
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:own:a", NULL));
  rawws_free(ws);
}

static void presence(void) {
  struct rawws *first = subscriber("sub:who:x"), *second = node_open(&node);
  CU_ASSERT_TRUE_FATAL(
      node_restore(&node, second, "k3", "{\"username\":\"Zo\\u00eb\"}"));
  CU_ASSERT_PTR_NOT_NULL(node_ask(second, "sub:who:x", NULL));
  const char *reply = node_ask(first, "presence:who:x", NULL);
  CU_ASSERT_EQUAL(number_of(reply, "subscribers"), 2);
  CU_ASSERT_PTR_NOT_NULL(
      strstr(reply, "{\"name\":\"Zo\xc3\xab\",\"connections\":1}"));
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "{\"name\":\"\",\"connections\":1}"));
  CU_ASSERT_STRING_EQUAL(node_ask(first, "presence:nobody", NULL),
                         "{\"subscribers\":0}");
  rawws_free(first);
  rawws_free(second);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"names the sub-protocol", names_the_subprotocol},
      {"from one to another", from_one_to_another},
      {"to oneself", to_oneself},
      {"many at once", many_at_once},
      {"by signal", by_signal},
      {"payloads are untouched", payloads_are_untouched},
      {"payloads in history", payloads_in_history},
      {"places", places},
      {"places of a short log", places_of_a_short_log},
      {"nothing to count without a log", nothing_to_count_without_a_log},
      {"history", history},
      {"history in pages", history_in_pages},
      {"too large for a page", too_large_for_a_page},
      {"errors", errors},
      {"too many channels", too_many_channels},
      {"permitted by session", permitted_by_session},
      {"presence", presence},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"webwired", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
