#include "slots.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static unsigned slot(const char *key) {
  return wwri_slot_of(wwr_view_str(key));
}

/* As CLUSTER KEYSLOT answers. */
static void test_slot(void) {
  CU_ASSERT_EQUAL(slot("123456789"), 12739);
  CU_ASSERT_EQUAL(slot("foo"), 12182);
  CU_ASSERT_EQUAL(slot("0"), 13907);
  CU_ASSERT_EQUAL(slot(""), 0);
  CU_ASSERT_EQUAL(slot("{0}:gen"), 13907);
  CU_ASSERT_EQUAL(slot("wwr:{0}:s:{x}"), 13907);
  CU_ASSERT_EQUAL(slot("{}0"), slot("{}0"));
  CU_ASSERT_NOT_EQUAL(slot("{}0"), 13907);
  CU_ASSERT_EQUAL(slot("{{0}"), slot("{0"));
  CU_ASSERT_NOT_EQUAL(slot("{0"), 13907);
  CU_ASSERT_EQUAL(slot("}{0}"), 13907);
}

static const struct wwri_redis_host asked = {"asked", 7};

static wwr_err read_text(struct wwri_slots *slots, const char *text,
                         const char **why) {
  struct wwri_redis_parser *parser;
  struct wwri_redis_reply *reply;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_new(&parser), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(
      wwri_redis_parser_take(parser, wwr_view_str(text), &reply), WWR_OK);
  wwr_err err = wwri_slots_read(slots, reply, &asked, why);
  wwri_redis_reply_free(reply);
  wwri_redis_parser_free(parser);
  return err;
}

static void expect_owner(const struct wwri_slots *slots, uint16_t slot_number,
                         const char *name, unsigned port) {
  const struct wwri_redis_host *owner = wwri_slots_owner(slots, slot_number);
  CU_ASSERT_PTR_NOT_NULL_FATAL(owner);
  CU_ASSERT_STRING_EQUAL(owner->name, name);
  CU_ASSERT_EQUAL(owner->port, port);
}

static void test_map(void) {
  static const char text[] =
      "*4\r\n"
      "*4\r\n:0\r\n:99\r\n"
      "*4\r\n$2\r\nh1\r\n:1\r\n$1\r\na\r\n*0\r\n"
      "*4\r\n$2\r\nh2\r\n:2\r\n$1\r\nb\r\n*0\r\n"
      "*3\r\n:100\r\n:100\r\n*3\r\n$0\r\n\r\n:3\r\n$1\r\nc\r\n"
      "*3\r\n:200\r\n:200\r\n*4\r\n$1\r\n?\r\n:4\r\n$1\r\nd\r\n*0\r\n"
      "*3\r\n:16383\r\n:16383\r\n*4\r\n$1\r\n?\r\n:5\r\n$1\r\ne\r\n"
      "*2\r\n$2\r\nip\r\n$3\r\n::1\r\n";
  struct wwri_slots slots = {0};
  const char *why = "";
  CU_ASSERT_EQUAL_FATAL(read_text(&slots, text, &why), WWR_OK);
  expect_owner(&slots, 0, "h1", 1);
  expect_owner(&slots, 99, "h1", 1);
  expect_owner(&slots, 100, "asked", 3);
  expect_owner(&slots, 16383, "::1", 5);
  CU_ASSERT_PTR_NULL(wwri_slots_owner(&slots, 101));
  CU_ASSERT_PTR_NULL(wwri_slots_owner(&slots, 200));
  CU_ASSERT_EQUAL(slots.covered, 102);
  CU_ASSERT_EQUAL(slots.masters, 3);
  CU_ASSERT_EQUAL(slots.count, 4);
  /* Another takes its place. */
  CU_ASSERT_EQUAL(read_text(&slots, "*0\r\n", &why), WWR_OK);
  CU_ASSERT_EQUAL(slots.covered, 0);
  wwri_slots_deinit(&slots);
}

static void test_bad_leaves_nothing(void) {
  struct wwri_slots slots = {0};
  const char *why = "";
  CU_ASSERT_EQUAL(read_text(&slots,
                            "*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n"
                            "*3\r\n:1\r\n:2\r\n*2\r\n$1\r\nh\r\n:1\r\n",
                            &why),
                  WWR_E_PROTOCOL);
  CU_ASSERT_STRING_EQUAL(why, "a map with a slot of two masters");
  CU_ASSERT_EQUAL(slots.count, 0);
  CU_ASSERT_PTR_NULL(wwri_slots_owner(&slots, 0));
}

static void test_too_many_nodes(void) {
  static char text[WWRI_SLOTS_NODES_MAX * 64 + 128];
  struct wwri_slots slots = {0};
  const char *why = "";
  for (int nodes = WWRI_SLOTS_NODES_MAX; nodes <= WWRI_SLOTS_NODES_MAX + 1;
       nodes++) {
    size_t len = (size_t)snprintf(text, sizeof(text), "*%d\r\n", nodes);
    for (int i = 0; i < nodes; i++) {
      len += (size_t)snprintf(text + len, sizeof(text) - len,
                              "*3\r\n:%d\r\n:%d\r\n*2\r\n$1\r\nh\r\n:%d\r\n", i,
                              i, i + 1);
    }
    CU_ASSERT_EQUAL(read_text(&slots, text, &why),
                    nodes > WWRI_SLOTS_NODES_MAX ? WWR_E_PROTOCOL : WWR_OK);
  }
  wwri_slots_deinit(&slots);
}

static const struct {
  const char *text;
  const char *host; /* NULL: none */
  unsigned slot, port;
} redirections[] = {
    {"MOVED 3999 127.0.0.1:6381", "127.0.0.1", 3999, 6381},
    {"MOVED 0 ::1:1", "::1", 0, 1},
    {"MOVED 16383 :65535", "", 16383, 65535},
    {"MOVED 16384 h:1", NULL, 0, 0},
    {"MOVED 1 h:0", NULL, 0, 0},
    {"MOVED 1 h:65536", NULL, 0, 0},
    {"MOVED 1 h:", NULL, 0, 0},
    {"MOVED 1 h", NULL, 0, 0},
    {"MOVED 1", NULL, 0, 0},
    {"MOVED  h:1", NULL, 0, 0},
    {"MOVED 1x h:1", NULL, 0, 0},
    {"MOVED 99999999999 h:1", NULL, 0, 0},
    {"MOVED ", NULL, 0, 0},
    {"MOVED", NULL, 0, 0},
    {"ASK 1 h:1", NULL, 0, 0},
    {"", NULL, 0, 0},
};

static void test_redirections(void) {
  for (size_t i = 0; i < sizeof(redirections) / sizeof(redirections[0]); i++) {
    struct wwri_redis_host to;
    uint16_t number = 0;
    bool is =
        wwri_slots_moved(wwr_view_str(redirections[i].text), &number, &to);
    CU_ASSERT_EQUAL(is, redirections[i].host != NULL);
    if (!is || !redirections[i].host) continue;
    CU_ASSERT_STRING_EQUAL(to.name, redirections[i].host);
    CU_ASSERT_EQUAL(to.port, redirections[i].port);
    CU_ASSERT_EQUAL(number, redirections[i].slot);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"slot", test_slot},
                         {"map", test_map},
                         {"bad leaves nothing", test_bad_leaves_nothing},
                         {"too many nodes", test_too_many_nodes},
                         {"redirections", test_redirections},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"redis slots", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
