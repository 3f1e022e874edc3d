/* webwired on two nodes over Redis: what is published on the one arrives at the
 * other as it came, with the same places, and the log is one. */
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "webwired.h"

enum { NODES = 2 };

static struct cluster *cluster;
static struct wire_dir dir;

static int begin(void) {
  static const char config[] =
      "channels = { namespaces = (\n"
      "  { prefix = \"raw:\"; log-entries = 0; },\n"
      "  { prefix = \"who:\"; presence = true; } ); };\n";
  static const char *args[] = {"--config", NULL, "--admin", "off", NULL};
  static const struct cluster_opts opts = {.program = PROGRAMS "/webwired",
                                           .nodes = NODES,
                                           .args = args,
                                           .no_haproxy = true};
  static char path[128];
  if (!wire_dir_make(&dir)) return 1;
  snprintf(path, sizeof path, "%s/x.conf", dir.path);
  args[1] = path;
  if (!wire_write_file(path, config)) return 1;
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int begin_hasty(void) {
  static const char *const args[] = {"--hold",  "0.5", "--lease", "5",
                                     "--admin", "off", NULL};
  static const struct cluster_opts opts = {.program = PROGRAMS "/webwired",
                                           .nodes = NODES,
                                           .args = args,
                                           .no_haproxy = true};
  cluster = cluster_open(&opts);
  return cluster ? 0 : 1;
}

static int end_hasty(void) {
  return cluster_close(cluster);
}

static int end(void) {
  int status = cluster_close(cluster);
  wire_dir_remove(&dir);
  return status;
}

static struct rawws *open_at(int node) {
  struct rawws *ws = wire_open(cluster_port(cluster, node));
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
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
    {REQUEST_UTF8, SIGNAL_UTF8, "\xff\xfe not UTF-8", 12},
    {REQUEST_UTF16, SIGNAL_UTF16, "h\0\xe9\0=\xd8\0\xde", 8},
    {REQUEST_UTF16, SIGNAL_UTF16, "\0\xd8 \0", 4},
};

static void untouched(const char *channel) {
  char sub[64], pub[64];
  struct rawws *ws[NODES];
  struct rawws_message got;
  snprintf(sub, sizeof sub, "sub:%s", channel);
  snprintf(pub, sizeof pub, "pub:%s", channel);
  for (int i = 0; i < NODES; i++) {
    ws[i] = open_at(i);
    CU_ASSERT_PTR_NOT_NULL(node_ask(ws[i], sub, NULL));
  }
  struct rawws *other = open_at(0);
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    CU_ASSERT_TRUE(
        wire_send(other, wire_named(payloads[i].request, pub, payloads[i].bytes,
                                    payloads[i].len)));
    CU_ASSERT_EQUAL(rawws_recv_message(other, &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
    for (int n = 0; n < NODES; n++)
      CU_ASSERT_TRUE(
          wire_expect(ws[n], wire_named(payloads[i].signal, channel,
                                        payloads[i].bytes, payloads[i].len)));
  }
  for (int i = 0; i < NODES; i++) rawws_free(ws[i]);
  rawws_free(other);
}

static void payloads_are_untouched(void) {
  untouched("odd");
  untouched("even");
  untouched("raw:odd");
  untouched("raw:even");
}

/* --- Places --------------------------------------------------------------- */

/* A client on the other node is told where the deliveries count from, also in
 * the midst of them: the log begins with 1, and each message says its number.
 */
static void places_amid_messages(void) {
  enum { AT_A_TIME = 15, JOINS = 20 };
  char text[16], channel[64];
  unsigned said = 0;
  struct rawws_message got;
  struct rawws *speaker = open_at(0);
  for (int j = 0; j < JOINS; j++) {
    struct rawws *ws = open_at(1);
    for (int i = 0; i < 2 * AT_A_TIME; i++) {
      snprintf(text, sizeof text, "%u", ++said);
      CU_ASSERT_TRUE(wire_send(
          speaker, wire_named(SIGNAL_UTF8, "pub:p", text, strlen(text))));
      if (i == AT_A_TIME) CU_ASSERT_TRUE(wire_request(ws, "sub:p", NULL));
    }
    CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
    CU_ASSERT_EQUAL_FATAL(got.payload[0], REPLY_UTF8);
    snprintf(channel, sizeof channel, "%.*s", (int)got.len - 9,
             (const char *)got.payload + 9);
    uint64_t at = number_of(channel, "offset");
    CU_ASSERT_TRUE_FATAL(at <= said);
    while (at++ < said) {
      snprintf(text, sizeof text, "%llu", (unsigned long long)at);
      CU_ASSERT_TRUE_FATAL(
          wire_expect(ws, wire_named(SIGNAL_UTF8, "p", text, strlen(text))));
    }
    rawws_free(ws);
  }
  rawws_free(speaker);
}

static void one_log(void) {
  struct rawws *here = open_at(0), *there = open_at(1);
  const char *reply = node_ask(here, "pub:log", "one");
  uint64_t epoch = number_of(reply, "epoch");
  CU_ASSERT_EQUAL(number_of(reply, "offset"), 1);
  reply = node_ask(there, "pub:log", "two");
  CU_ASSERT_EQUAL(number_of(reply, "epoch"), epoch);
  CU_ASSERT_EQUAL(number_of(reply, "offset"), 2);
  reply = node_ask(here, "history:log", NULL);
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"payload\":\"one\"}"));
  CU_ASSERT_PTR_NOT_NULL(
      strstr(reply, "\"payload\":\"two\"}],\"more\":false}"));
  reply = node_ask(there, "sub:log", "{\"history\":5}");
  CU_ASSERT_EQUAL(number_of(reply, "offset"), 2);
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"payload\":\"one\"}"));
  CU_ASSERT_STRING_EQUAL(node_ask(here, "sub:raw:log", NULL),
                         "{\"epoch\":\"0\",\"offset\":0,\"messages\":[],"
                         "\"more\":false}");
  rawws_free(here);
  rawws_free(there);
}

static void presence_of_both(void) {
  struct rawws *ws[NODES];
  for (int i = 0; i < NODES; i++) {
    ws[i] = open_at(i);
    CU_ASSERT_PTR_NOT_NULL(node_ask(ws[i], "sub:who:x", NULL));
  }
  const char *reply;
  int tries = 0;
  do { /* a change of another node is seen within a second or so */
    reply = node_ask(ws[0], "presence:who:x", NULL);
  } while (reply && number_of(reply, "subscribers") != NODES && ++tries < 100 &&
           rawws_expect_silence(ws[1], WIRE_QUIET_MS));
  CU_ASSERT_EQUAL(number_of(reply, "subscribers"), NODES);
  CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"members\":[{\"name\":\"\","));
  for (int i = 0; i < NODES; i++) rawws_free(ws[i]);
}

/* --- Without Redis -------------------------------------------------------- */

/* Requests wait while it is away, and are carried out once. */
static void while_redis_is_away(void) {
  struct rawws_message got;
  struct rawws *here = open_at(0), *there = open_at(1);
  CU_ASSERT_PTR_NOT_NULL(node_ask(there, "sub:away", NULL));
  cluster_pause(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(wire_request(here, "pub:away", "late"));
  CU_ASSERT_TRUE(rawws_expect_silence(here, WIRE_QUIET_MS));
  cluster_resume(cluster, CLUSTER_REDIS);
  CU_ASSERT_EQUAL(rawws_recv_message(here, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
  CU_ASSERT_TRUE(
      wire_expect(there, wire_named(SIGNAL_UTF8, "away", "late", 4)));
  CU_ASSERT_TRUE(rawws_expect_silence(there, WIRE_QUIET_MS));
  rawws_free(here);
  rawws_free(there);
}

/* Longer than requests wait: each is told what is certain. */
static void redis_is_away_for_long(void) {
  struct rawws_message got;
  struct rawws *ws = open_at(0);
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "sub:long", NULL));
  cluster_pause(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(wire_request(ws, "pub:long", "x"));
  CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_ERROR);
  CU_ASSERT_PTR_NOT_NULL(
      memmem(got.payload, got.len, "UNAVAILABLE", strlen("UNAVAILABLE")));
  CU_ASSERT_PTR_NOT_NULL(
      memmem(got.payload, got.len, "certain: ", strlen("certain: ")));
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "history:long", NULL), "UNAVAILABLE");
  CU_ASSERT_STRING_EQUAL(node_refused(ws, "sub:other", NULL), "UNAVAILABLE");
  CU_ASSERT_STRING_EQUAL(node_ask(ws, "unsub:long", NULL), "{}");
  cluster_resume(cluster, CLUSTER_REDIS);
  CU_ASSERT_TRUE(cluster_wait_health(cluster, 0, 200));
  CU_ASSERT_PTR_NOT_NULL(node_ask(ws, "pub:long", "y"));
  rawws_free(ws);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"payloads are untouched", payloads_are_untouched},
                         {"places amid messages", places_amid_messages},
                         {"one log", one_log},
                         {"presence of both", presence_of_both},
                         {"while Redis is away", while_redis_is_away},
                         CU_TEST_INFO_NULL};
  CU_TestInfo hasty[] = {{"Redis is away for long", redis_is_away_for_long},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cluster_webwired", begin, end, NULL, NULL, tests},
                           {"hasty", begin_hasty, end_hasty, NULL, NULL, hasty},
                           CU_SUITE_INFO_NULL};
  if (!cluster_available()) return 77;
  return test_run(argc, argv, suites);
}
