/* The link's events and beats, with a scripted other side. Texts: calls by name
 * ("open", "tops20"), wishes ("sub c"), "drop", events. */
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "said.h"
#include "test.h"

struct fixture {
  struct wwri_node node;
  uint64_t boots;
  bool refuse; /* subscriptions */
  struct said said;
  uint64_t clock_ms; /* what beats are answered, the server's clock */
  uint64_t since_ms; /* of the last publish sent */
};

static struct said *said_of(void *user) {
  return &((struct fixture *)user)->said;
}

static void on_call(struct wwri_node *node, const struct wwri_call *call) {
  static const char *const names[] = {"publish", "open", "range", "tops"};
  CU_ASSERT_EQUAL(call->connection, node->connection);
  CU_ASSERT_TRUE(wwri_boot_equal(call->boot, node->boot));
  said_add(said_of(node->user), "%s", names[call->kind]);
  if (call->kind == WWRI_CALL_PUBLISH) {
    ((struct fixture *)node->user)->since_ms = call->since_ms;
  }
  if (call->kind == WWRI_CALL_TOPS) {
    said_add(said_of(node->user), "%u%s", (unsigned)call->channel_count,
             call->touch ? "t" : "");
  }
  said_add(said_of(node->user), " ");
}

static bool on_subscribe(struct wwri_node *node,
                         struct wwri_node_channel *channel, bool on) {
  struct fixture *f = node->user;
  said_add(said_of(node->user), "%s %.*s ", on ? "sub" : "unsub",
           (int)channel->name_len, (const char *)channel->name);
  return !on || !f->refuse;
}

static void on_drop(struct wwri_node *node, const char *why) {
  CU_ASSERT_TRUE(strlen(why) > 0);
  said_add(said_of(node->user), "drop ");
}

static void on_event(struct wwri_node *node, enum wwri_node_event event) {
  static const char *const names[] = {"LIVE",      "DOWN",   "UNCERTAIN",
                                      "DATA_LOST", "FENCED", "REFUSED"};
  said_add(said_of(node->user), "%s ", names[event]);
}

static struct wwri_boot on_new_boot(struct wwri_node *node) {
  struct fixture *f = node->user;
  return (struct wwri_boot){1, ++f->boots};
}

static const struct wwri_node_out out = {on_call, on_subscribe, on_drop,
                                         on_event, on_new_boot};

static void on_joined(struct wwri_channel *channel, struct wwri_join *join,
                      struct wwri_logid from, const struct wwri_entry *history,
                      size_t count) {
  const struct wwri_node_channel *outer = channel->user;
  (void)join, (void)from, (void)history, (void)count;
  said_add(said_of(outer->owner), "joined ");
}

static void on_deliver(struct wwri_channel *channel, struct wwri_sub *sub,
                       const struct wwri_entry *entry) {
  (void)channel, (void)sub, (void)entry;
}

static const struct wwri_channel_sink sink = {.deliver = on_deliver,
                                              .joined = on_joined};

static void on_done(struct wwri_publisher *publisher, void *cookie,
                    enum wwri_outcome outcome, struct wwri_logid id) {
  static const char *const names[] = {"acked", "failed", "denied", "unknown"};
  (void)cookie, (void)id;
  said_add(said_of(publisher->user), "%s ", names[outcome]);
}

static void begin(struct fixture *f) {
  struct wwri_node_config config;
  memset(f, 0, sizeof *f);
  f->boots = 1;
  wwri_node_config_default(&config);
  config.out = &out;
  config.channel.sink = &sink;
  config.publish.done = on_done;
  wwri_node_init(&f->node, &config, (struct wwri_boot){1, 1}, f, 1000);
}

/* The link sends a beat, and it is answered. */
static void send_beat(struct fixture *f, uint64_t n, uint64_t now_ms) {
  struct wwri_beat beat;
  wwri_node_beat(&f->node, &beat, now_ms);
  CU_ASSERT_EQUAL(beat.n, n);
  CU_ASSERT_EQUAL(beat.connection, f->node.connection);
  CU_ASSERT_TRUE(wwri_boot_equal(beat.boot, f->node.boot));
}

static void answer(struct fixture *f, enum wwri_status status,
                   uint64_t generation, uint64_t now_ms) {
  struct wwri_beat_answer made = {status, generation, 1, f->clock_ms};
  wwri_node_beat_answered(&f->node, &made, now_ms);
  wwri_node_run(&f->node, now_ms);
}

static void begin_live(struct fixture *f) {
  begin(f);
  send_beat(f, 1, 1000);
  answer(f, WWRI_REPLY_OK, 5, 1000);
  said_expect(&f->said, "");
  CU_ASSERT_TRUE(wwri_node_beat_back(&f->node, 5));
  wwri_node_link_live(&f->node, true, 1001);
  said_expect(&f->said, "LIVE ");
}

static void end(struct fixture *f) {
  wwri_node_deinit(&f->node);
}

static void publish(struct fixture *f, uint64_t now_ms) {
  struct wwri_log_limit limit = {.entries = 9, .age_ms = 1000};
  CU_ASSERT_EQUAL(wwri_node_publish(&f->node, wwr_view_str("c"),
                                    wwr_view_str("x"), limit, NULL, now_ms),
                  WWR_OK);
  wwri_node_run(&f->node, now_ms);
}

static void live_needs_the_link_and_an_answer(void) {
  struct fixture f;
  begin(&f);
  send_beat(&f, 1, 1000);
  CU_ASSERT_TRUE(wwri_node_beat_back(&f.node, 5)); /* before its answer */
  wwri_node_link_live(&f.node, true, 1000);
  said_expect(&f.said, "");
  answer(&f, WWRI_REPLY_OK, 5, 1001);
  said_expect(&f.said, "LIVE ");
  wwri_node_link_lost(&f.node, 1100);
  said_expect(&f.said, "DOWN ");
  answer(&f, WWRI_REPLY_OK, 5, 1100); /* to nothing */
  wwri_node_link_live(&f.node, true, 1200);
  said_expect(&f.said, "");
  send_beat(&f, 2, 1200);
  CU_ASSERT_EQUAL(f.node.connection, 2);
  answer(&f, WWRI_REPLY_REFUSED, 0, 1200); /* not now */
  send_beat(&f, 3, 2200);
  answer(&f, WWRI_REPLY_OK, 5, 2200);
  said_expect(&f.said, "LIVE ");
  wwri_node_link_lost(&f.node, 2300);
  wwri_node_link_lost(&f.node, 2400); /* an attempt failed */
  said_expect(&f.said, "DOWN ");
  CU_ASSERT_EQUAL(f.node.stats.drops, 0);
  end(&f);
}

static void silence_asks_for_an_audit(void) {
  struct fixture f;
  begin_live(&f);
  wwri_node_run(&f.node, 2001);
  CU_ASSERT_EQUAL(f.node.stats.audits, 1);
  CU_ASSERT_EQUAL(wwri_node_deadline(&f.node), 3001);
  wwri_node_link_suspect(&f.node, 2600);
  wwri_node_run(&f.node, 2600);
  CU_ASSERT_EQUAL(f.node.stats.audits, 2);
  wwri_node_link_live(&f.node, false, 2700);
  wwri_node_run(&f.node, 2700);
  CU_ASSERT_EQUAL(f.node.stats.audits, 3);
  said_expect(&f.said, ""); /* it was live all the time */
  end(&f);
}

static void a_new_generation_is_uncertain(void) {
  struct fixture f;
  begin_live(&f);
  send_beat(&f, 2, 2000);
  CU_ASSERT_FALSE(wwri_node_beat_back(&f.node, 6));
  answer(&f, WWRI_REPLY_OK, 6, 2000);
  said_expect(&f.said, "DOWN drop ");
  CU_ASSERT_FALSE(wwri_node_beat_back(&f.node, 5));
  wwri_node_link_live(&f.node, false, 2000); /* nothing counts any more */
  send_beat(&f, 3, 2050);
  answer(&f, WWRI_REPLY_OK, 6, 2050);
  said_expect(&f.said, "");
  wwri_node_link_lost(&f.node, 2050);
  send_beat(&f, 4, 2100);
  CU_ASSERT_TRUE(wwri_node_beat_back(&f.node, 6)); /* before its answer */
  answer(&f, WWRI_REPLY_OK, 6, 2100);
  wwri_node_link_live(&f.node, true, 2100);
  said_expect(&f.said, "UNCERTAIN LIVE ");
  CU_ASSERT_EQUAL(f.node.stats.drops, 1);
  CU_ASSERT_EQUAL(f.node.stats.generations, 1);
  wwri_node_link_lost(&f.node, 2200);
  send_beat(&f, 5, 2300);
  struct wwri_beat_answer reborn = {WWRI_REPLY_OK, 7, 2, 0};
  wwri_node_beat_answered(&f.node, &reborn, 2300);
  said_expect(&f.said, "DOWN UNCERTAIN DATA_LOST ");
  end(&f);
}

static void whoever_was_missed_takes_a_new_boot(void) {
  const enum wwri_status statuses[] = {WWRI_REPLY_FENCED, WWRI_REPLY_CLONE};
  for (int i = 0; i < 2; i++) {
    struct fixture f;
    begin_live(&f);
    send_beat(&f, 2, 2000);
    send_beat(&f, 3, 3000);
    answer(&f, statuses[i], 0, 3000);
    answer(&f, statuses[i], 0, 3000); /* of the other one */
    said_expect(&f.said, "DOWN drop FENCED ");
    CU_ASSERT_EQUAL(f.node.boot.lo, 2);
    wwri_node_link_lost(&f.node, 3000);
    send_beat(&f, 1, 3100);
    CU_ASSERT_EQUAL(f.node.connection, 2);
    answer(&f, WWRI_REPLY_OK, 5, 3100);
    wwri_node_link_live(&f.node, true, 3100);
    said_expect(&f.said, "LIVE ");
    end(&f);
  }
}

static void a_long_sleep_is_noticed_first(void) {
  struct fixture f;
  begin(&f);
  wwri_node_run(&f.node, 90000); /* there was nothing to miss */
  said_expect(&f.said, "");
  end(&f);
  begin_live(&f);
  wwri_node_run(&f.node, 40000);
  said_expect(&f.said, "DOWN drop ");
  wwri_node_run(&f.node, 90000); /* once is enough */
  said_expect(&f.said, "");
  end(&f);
}

static void a_beat_that_is_refused_drops_the_link(void) {
  struct fixture f;
  begin(&f);
  send_beat(&f, 1, 1000);
  answer(&f, WWRI_REPLY_DISAGREE, 0, 1000);
  said_expect(&f.said, "REFUSED drop ");
  wwri_node_link_lost(&f.node, 1000);
  send_beat(&f, 2, 1100);
  answer(&f, WWRI_REPLY_ERROR, 0, 1100);
  said_expect(&f.said, "drop ");
  end(&f);
}

/* However late it is executed, and with the clock of whichever is the master.
 */
static void a_publish_says_when_by_the_servers_clock(void) {
  struct fixture f;
  begin_live(&f);
  publish(&f, 1200);
  CU_ASSERT_EQUAL(f.since_ms, 0); /* the beat did not tell */
  f.clock_ms = 500000;
  send_beat(&f, 2, 2000);
  answer(&f, WWRI_REPLY_OK, 5, 2000);
  publish(&f, 2300);
  CU_ASSERT_EQUAL(f.since_ms, 500300);
  wwri_node_link_lost(&f.node, 2400);
  f.clock_ms = 803000;
  send_beat(&f, 3, 5000);
  answer(&f, WWRI_REPLY_OK, 5, 5000);
  wwri_node_link_live(&f.node, true, 5000);
  wwri_node_run(&f.node, 5000);
  CU_ASSERT_EQUAL(f.since_ms, 803000 + 2300 - 5000);
  end(&f);
}

/* What was acknowledged is safe keep_ms after the beat was *sent* that says so.
 */
static void a_beat_counts_from_when_it_was_sent(void) {
  struct fixture f;
  begin_live(&f);
  f.node.config.publish.keep_ms = 500;
  send_beat(&f, 2, 2000);
  publish(&f, 2000);
  struct wwri_reply ok = {.answer = WWRI_ANSWER_OK, .pos = {.id = {7, 1}}};
  wwri_node_reply(&f.node, &ok, 2100);
  said_expect(&f.said, "publish acked ");
  send_beat(&f, 3, 3000);
  answer(&f, WWRI_REPLY_OK, 5, 3100); /* of beat 2 */
  CU_ASSERT_TRUE(f.node.publisher.acked_bytes > 0);
  answer(&f, WWRI_REPLY_OK, 5, 3200);
  CU_ASSERT_EQUAL(f.node.publisher.acked_bytes, 0);
  end(&f);
}

/* Where there is no generation, a beat between them may have made one: the
 * second may be in. Where there is no master, both go again. */
static void calls_may_find_that_all_is_over(void) {
  static const struct {
    enum wwri_status status;
    const char *refused, *again, *ended;
  } ways[] = {
      {WWRI_REPLY_NOT_MASTER, "publish publish DOWN drop ",
       "LIVE publish publish ", "unknown unknown "},
      {WWRI_REPLY_NO_GENERATION, "publish publish failed DOWN drop ",
       "LIVE publish ", "unknown "},
  };
  for (int i = 0; i < 2; i++) {
    struct fixture f;
    struct wwri_reply bad = {.status = ways[i].status};
    begin_live(&f);
    publish(&f, 1100);
    publish(&f, 1100);
    wwri_node_reply(&f.node, &bad, 1200);
    wwri_node_reply(&f.node, &bad, 1200); /* dropped already */
    said_expect(&f.said, ways[i].refused);
    wwri_node_run(&f.node, 1300);
    wwri_node_link_lost(&f.node, 1300);
    send_beat(&f, 2, 1400);
    answer(&f, WWRI_REPLY_OK, 5, 1400);
    wwri_node_link_live(&f.node, true, 1400);
    wwri_node_run(&f.node, 1400);
    said_expect(&f.said, ways[i].again);
    end(&f);
    said_expect(&f.said, ways[i].ended);
  }
}

static void join_all(struct fixture *f, struct wwri_sub *subs,
                     struct wwri_join *joins, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    char name[8];
    snprintf(name, sizeof name, "c%u", i);
    wwri_list_init(&subs[i].node);
    wwri_list_init(&joins[i].node);
    joins[i].sub = &subs[i];
    CU_ASSERT_EQUAL(wwri_node_join(&f->node, wwr_view_str(name), &joins[i]),
                    WWR_OK);
  }
}

static void reads_are_few_and_audits_are_batched(void) {
  enum { MANY = 20 };
  struct fixture f;
  struct wwri_sub subs[MANY] = {0};
  struct wwri_join joins[MANY] = {0};
  begin_live(&f);
  join_all(&f, subs, joins, MANY);
  wwri_node_run(&f.node, 1100);
  for (unsigned i = 0; i < MANY; i++) {
    char name[8];
    snprintf(name, sizeof name, "c%u", i);
    wwri_node_subscribed(&f.node,
                         wwri_node_channel(&f.node, wwr_view_str(name), false));
  }
  f.said.text[0] = '\0';
  wwri_node_run(&f.node, 1100);
  said_expect(&f.said, "open open open open open open open open ");
  for (unsigned i = 0; i < MANY; i++) {
    struct wwri_reply top = {.pos = {.id = {7, 0}}};
    wwri_node_reply(&f.node, &top, 1200);
    wwri_node_run(&f.node, 1200);
    CU_ASSERT_TRUE(f.node.reads <= 8);
  }
  f.said.text[0] = '\0';
  wwri_node_run(&f.node, 2100);
  said_expect(&f.said, "tops20 "); /* one second after it was live */
  wwri_node_link_lost(&f.node, 2200);
  CU_ASSERT_EQUAL(f.node.tops_sent_count, 0);
  struct wwri_entry plain = {.pos = {.seq = 1}};
  wwri_node_hint(&f.node, wwr_view_str("c0"), &plain);
  wwri_node_hint(&f.node, wwr_view_str("c1"), &plain);
  CU_ASSERT_EQUAL(f.node.channel_stats.delivered, 2); /* of all channels */
  end(&f);
}

static void a_link_may_be_full(void) {
  struct fixture f;
  struct wwri_sub sub;
  struct wwri_join join;
  begin_live(&f);
  f.refuse = true;
  memset(&sub, 0, sizeof sub);
  memset(&join, 0, sizeof join);
  join_all(&f, &sub, &join, 1);
  wwri_node_run(&f.node, 1100);
  wwri_node_run(&f.node, 1199);
  said_expect(&f.said, "sub c0 ");
  CU_ASSERT_EQUAL(wwri_node_deadline(&f.node), 1200);
  f.refuse = false;
  wwri_node_run(&f.node, 1200);
  wwri_node_run(&f.node, 1400);
  said_expect(&f.said, "sub c0 ");
  wwri_node_leave(&f.node, wwr_view_str("c0"), &sub, 1500);
  wwri_node_run(&f.node, 1500);
  said_expect(&f.said, "unsub c0 ");
  CU_ASSERT_PTR_NULL(wwri_node_channel(&f.node, wwr_view_str("c0"), false));
  end(&f);
}

static void memory_may_be_short(void) {
  for (long n = 0;; n++) {
    struct fixture f;
    struct wwri_sub sub = {0};
    struct wwri_join join = {.sub = &sub};
    begin_live(&f);
    wwri_list_init(&sub.node);
    wwri_list_init(&join.node);
    test_alloc_fail_at(n);
    wwr_err err = wwri_node_join(&f.node, wwr_view_str("c"), &join);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    wwri_node_run(&f.node, 1100);
    said_expect(&f.said, failed ? "" : "sub c ");
    end(&f);
    if (!failed) break;
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"live_needs_the_link_and_an_answer", live_needs_the_link_and_an_answer},
      {"silence_asks_for_an_audit", silence_asks_for_an_audit},
      {"a_new_generation_is_uncertain", a_new_generation_is_uncertain},
      {"whoever_was_missed_takes_a_new_boot",
       whoever_was_missed_takes_a_new_boot},
      {"a_long_sleep_is_noticed_first", a_long_sleep_is_noticed_first},
      {"a_beat_that_is_refused_drops_the_link",
       a_beat_that_is_refused_drops_the_link},
      {"a_publish_says_when_by_the_servers_clock",
       a_publish_says_when_by_the_servers_clock},
      {"a_beat_counts_from_when_it_was_sent",
       a_beat_counts_from_when_it_was_sent},
      {"calls_may_find_that_all_is_over", calls_may_find_that_all_is_over},
      {"reads_are_few_and_audits_are_batched",
       reads_are_few_and_audits_are_batched},
      {"a_link_may_be_full", a_link_may_be_full},
      {"memory_may_be_short", memory_may_be_short},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"node", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
