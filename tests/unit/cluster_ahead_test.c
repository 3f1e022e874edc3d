/* A node does not run ahead of what it has read of a channel. Texts: "publish"
 * a call, "acked", "failed", "unknown" an end. */
#include <string.h>

#include "ahead.h"
#include "node.h"
#include "said.h"
#include "test.h"

static const struct wwri_logid none = {0};

/* --- the ring --- */

static unsigned fill(struct wwri_ahead *ahead, const struct wwri_logid *at,
                     unsigned log_entries, size_t bytes) {
  unsigned count = 0;
  for (; wwri_ahead_has_room(ahead, at, log_entries); count++) {
    wwri_ahead_begin(ahead, bytes);
  }
  return count;
}

static void an_eighth_of_the_log_64_and_64_kib(void) {
  const struct {
    unsigned log_entries;
    size_t bytes;
    unsigned room;
  } cases[] = {{1, 1, 1},        {7, 1, 1},          {16, 1, 2},
               {1000, 1, 64},    {1000000, 1, 64},   {1000, 20000, 4},
               {1000, 65536, 1}, {1000, 10000000, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct wwri_ahead ahead = {0};
    CU_ASSERT_EQUAL(wwri_ahead_prepare(&ahead), WWR_OK);
    CU_ASSERT_EQUAL(fill(&ahead, &none, cases[i].log_entries, cases[i].bytes),
                    cases[i].room);
    wwri_ahead_deinit(&ahead);
  }
}

static void reading_makes_room(void) {
  struct wwri_ahead ahead = {0};
  struct wwri_logid at = {5, 10};
  CU_ASSERT_EQUAL(wwri_ahead_prepare(&ahead), WWR_OK);
  CU_ASSERT_EQUAL(fill(&ahead, &at, 24, 100), 3);
  wwri_ahead_end(&ahead, (struct wwri_logid){5, 11}, 100);
  wwri_ahead_end(&ahead, (struct wwri_logid){5, 14}, 100);
  CU_ASSERT_FALSE(wwri_ahead_has_room(&ahead, &at, 24));
  wwri_ahead_end(&ahead, none, 100); /* it failed */
  CU_ASSERT_EQUAL(fill(&ahead, &at, 24, 100), 1);
  at.offset = 13;
  CU_ASSERT_EQUAL(fill(&ahead, &at, 24, 100), 1);
  at.offset = 14;
  CU_ASSERT_EQUAL(fill(&ahead, &at, 24, 100), 1);
  for (int i = 0; i < 3; i++) wwri_ahead_end(&ahead, none, 100);
  CU_ASSERT_EQUAL(ahead.bytes, 0);
  wwri_ahead_deinit(&ahead);
}

/* Epochs may go down when everything but the clock's past was lost. */
static void another_epoch_says_nothing(void) {
  struct wwri_ahead ahead = {0};
  CU_ASSERT_EQUAL(wwri_ahead_prepare(&ahead), WWR_OK);
  CU_ASSERT_EQUAL(fill(&ahead, &none, 8, 1), 1);
  wwri_ahead_end(&ahead, (struct wwri_logid){5, 11}, 1);
  CU_ASSERT_FALSE(wwri_ahead_has_room(&ahead, &(struct wwri_logid){6, 20}, 8));
  CU_ASSERT_FALSE(wwri_ahead_has_room(&ahead, &(struct wwri_logid){4, 20}, 8));
  wwri_ahead_reached(&ahead);
  CU_ASSERT_TRUE(wwri_ahead_has_room(&ahead, &(struct wwri_logid){4, 20}, 8));
  CU_ASSERT_EQUAL(fill(&ahead, NULL, 8, 1), 1); /* nobody listens */
  wwri_ahead_end(&ahead, (struct wwri_logid){5, 12}, 1);
  CU_ASSERT_TRUE(wwri_ahead_has_room(&ahead, NULL, 8));
  wwri_ahead_deinit(&ahead);
}

/* --- the node --- */

enum { NOW = 1500, HOLD_MS = 10000 };

struct fixture {
  struct wwri_node node;
  struct wwri_sub sub;
  struct wwri_join join;
  struct said said;
};

static struct said *said_of(void *user) {
  return &((struct fixture *)user)->said;
}

static void on_call(struct wwri_node *node, const struct wwri_call *call) {
  if (call->kind != WWRI_CALL_PUBLISH) return;
  said_add(said_of(node->user), "%s%u ",
           call->publish->limit.entries ? "publish" : "signal",
           (unsigned)call->publish->seq);
}

static bool on_subscribe(struct wwri_node *node,
                         struct wwri_node_channel *channel, bool on) {
  (void)node, (void)channel, (void)on;
  return true;
}

static void on_drop(struct wwri_node *node, const char *why) {
  (void)node, (void)why;
}

static void on_event(struct wwri_node *node, enum wwri_node_event event) {
  (void)node, (void)event;
}

static struct wwri_boot on_new_boot(struct wwri_node *node) {
  return node->boot;
}

static const struct wwri_node_out out = {on_call, on_subscribe, on_drop,
                                         on_event, on_new_boot};

static void on_joined(struct wwri_channel *channel, struct wwri_join *join,
                      struct wwri_logid from, const struct wwri_entry *history,
                      size_t count) {
  (void)channel, (void)join, (void)from, (void)history, (void)count;
}

static void on_deliver(struct wwri_channel *channel, struct wwri_sub *sub,
                       const struct wwri_entry *entry) {
  (void)channel, (void)sub, (void)entry;
}

static void on_verdict(struct wwri_channel *channel,
                       const struct wwri_verdict *verdict) {
  (void)channel, (void)verdict;
}

static const struct wwri_channel_sink sink = {on_deliver, on_joined,
                                              on_verdict};

static void on_done(struct wwri_publisher *publisher, void *cookie,
                    enum wwri_outcome outcome, struct wwri_logid id) {
  static const char *const names[] = {"acked", "failed", "denied", "unknown"};
  (void)cookie, (void)id;
  said_add(said_of(publisher->user), "%s ", names[outcome]);
}

static void live(struct fixture *f, uint64_t now_ms) {
  struct wwri_beat beat;
  struct wwri_beat_answer answer = {WWRI_REPLY_OK, 5, 1, 0};
  wwri_node_beat(&f->node, &beat, now_ms);
  wwri_node_beat_answered(&f->node, &answer, now_ms);
  wwri_node_link_live(&f->node, true, now_ms);
}

static void reply(struct fixture *f, struct wwri_reply what) {
  wwri_node_reply(&f->node, &what, NOW);
  wwri_node_run(&f->node, NOW);
}

/* The node reads channel "c", and is at 7-10. */
static void begin(struct fixture *f) {
  struct wwri_node_config config;
  memset(f, 0, sizeof *f);
  wwri_node_config_default(&config);
  config.out = &out;
  config.channel.sink = &sink;
  config.publish.done = on_done;
  config.publish.hold_ms = HOLD_MS;
  wwri_node_init(&f->node, &config, (struct wwri_boot){1, 1}, f, 1000);
  live(f, 1000);
  wwri_list_init(&f->sub.node);
  wwri_list_init(&f->join.node);
  f->join.sub = &f->sub;
  CU_ASSERT_EQUAL(wwri_node_join(&f->node, wwr_view_str("c"), &f->join),
                  WWR_OK);
  wwri_node_run(&f->node, 1000);
  wwri_node_subscribed(&f->node,
                       wwri_node_channel(&f->node, wwr_view_str("c"), false));
  wwri_node_run(&f->node, 1000);
  reply(f, (struct wwri_reply){.pos = {.id = {7, 10}}});
}

static void publish(struct fixture *f, const char *channel, unsigned entries,
                    uint64_t now_ms) {
  struct wwri_log_limit limit = {.entries = entries, .age_ms = 1000};
  CU_ASSERT_EQUAL(wwri_node_publish(&f->node, wwr_view_str(channel),
                                    wwr_view_str("x"), limit, NULL, now_ms),
                  WWR_OK);
  wwri_node_run(&f->node, now_ms);
}

static void acked(struct fixture *f, uint64_t offset) {
  reply(f, (struct wwri_reply){.answer = WWRI_ANSWER_OK,
                               .pos = {.id = {7, offset}}});
}

static void hint(struct fixture *f, uint64_t offset, uint64_t seq) {
  struct wwri_entry entry = {.pos = {{7, offset}, {1, 1}, seq}};
  wwri_node_hint(&f->node, wwr_view_str("c"), &entry);
  wwri_node_run(&f->node, NOW);
}

static void publishes_wait_for_what_the_node_reads(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 4; i++) publish(&f, "c", 16, NOW);
  said_expect(&f.said, "publish1 publish2 ");
  acked(&f, 11);
  acked(&f, 12);
  said_expect(&f.said, "acked acked "); /* but not read yet */
  hint(&f, 11, 1);
  said_expect(&f.said, "publish3 ");
  hint(&f, 12, 2);
  said_expect(&f.said, "publish4 ");
  hint(&f, 13, 3); /* before the answer */
  publish(&f, "c", 16, NOW);
  said_expect(&f.said, "");
  acked(&f, 13);
  said_expect(&f.said, "acked publish5 ");
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "unknown unknown ");
}

static void a_gap_holds_them_until_it_is_read(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 2; i++) publish(&f, "c", 8, NOW);
  said_expect(&f.said, "publish1 ");
  acked(&f, 13);
  said_expect(&f.said, "acked ");
  hint(&f, 13, 1); /* 11 and 12 did not come: the log is read */
  said_expect(&f.said, "");
  struct wwri_entry entries[] = {{.pos = {.id = {7, 10}}},
                                 {.pos = {{7, 11}, {2, 2}, 1}},
                                 {.pos = {{7, 12}, {2, 2}, 2}},
                                 {.pos = {{7, 13}, {1, 1}, 1}}};
  reply(&f, (struct wwri_reply){.entries = entries, .count = 2, .more = true});
  said_expect(&f.said, "");
  entries[2].pos.id.offset = 12;
  reply(&f, (struct wwri_reply){.entries = &entries[1], .count = 3});
  said_expect(&f.said, "publish2 ");
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "unknown ");
}

static void a_failure_makes_room(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 2; i++) publish(&f, "c", 8, NOW);
  said_expect(&f.said, "publish1 ");
  reply(&f, (struct wwri_reply){.status = WWRI_REPLY_ERROR});
  said_expect(&f.said, "denied publish2 ");
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "unknown ");
}

static void what_waits_too_long_fails_for_certain(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 3; i++) publish(&f, "c", 8, NOW);
  acked(&f, 11);
  said_expect(&f.said, "publish1 acked ");
  CU_ASSERT_NOT_EQUAL(f.node.publisher.waiting_bytes, 0);
  wwri_node_run(&f.node, NOW + HOLD_MS - 1);
  said_expect(&f.said, "");
  CU_ASSERT_TRUE(wwri_node_deadline(&f.node) <= NOW + HOLD_MS);
  wwri_node_run(&f.node, NOW + HOLD_MS);
  said_expect(&f.said, "failed failed ");
  CU_ASSERT_EQUAL(f.node.publisher.waiting_bytes, 0);
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "");
}

static void only_logged_channels_that_are_read_hold(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 3; i++) publish(&f, "c", 0, NOW);
  for (int i = 0; i < 3; i++) publish(&f, "elsewhere", 8, NOW);
  said_expect(&f.said, "signal1 signal2 signal3 publish4 publish5 publish6 ");
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "unknown unknown unknown unknown unknown unknown ");
}

/* The channel stays until what was published through it has ended. */
static void whoever_leaves_frees_what_waits(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 2; i++) publish(&f, "c", 8, NOW);
  wwri_node_leave(&f.node, wwr_view_str("c"), &f.sub, NOW);
  wwri_node_run(&f.node, NOW);
  wwri_node_channel(&f.node, wwr_view_str("c"), false)->base.linger_until_ms =
      NOW;
  wwri_node_run(&f.node, NOW);
  CU_ASSERT_PTR_NOT_NULL(wwri_node_channel(&f.node, wwr_view_str("c"), false));
  said_expect(&f.said, "publish1 ");
  acked(&f, 11);
  said_expect(&f.said, "acked publish2 ");
  acked(&f, 12);
  said_expect(&f.said, "acked ");
  CU_ASSERT_PTR_NULL(wwri_node_channel(&f.node, wwr_view_str("c"), false));
  wwri_node_deinit(&f.node);
}

static void a_node_that_ends_tells_all(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 3; i++) publish(&f, "c", 8, NOW);
  said_expect(&f.said, "publish1 ");
  wwri_node_link_lost(&f.node, NOW);
  wwri_node_deinit(&f.node);
  said_expect(&f.said, "failed failed unknown ");
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"an eighth of the log, 64, and 64 KiB",
       an_eighth_of_the_log_64_and_64_kib},
      {"reading makes room", reading_makes_room},
      {"another epoch says nothing", another_epoch_says_nothing},
      {"publishes wait for what the node reads",
       publishes_wait_for_what_the_node_reads},
      {"a gap holds them until it is read", a_gap_holds_them_until_it_is_read},
      {"a failure makes room", a_failure_makes_room},
      {"what waits too long fails for certain",
       what_waits_too_long_fails_for_certain},
      {"only logged channels that are read hold",
       only_logged_channels_that_are_read_hold},
      {"whoever leaves frees what waits", whoever_leaves_frees_what_waits},
      {"a node that ends tells all", a_node_that_ends_tells_all},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cluster ahead", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
