/* The pair of links and its beat, with a scripted other side. Texts: calls by
 * name ("hello", "beat1"), operations ("sub own", "sub c"), events. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "test.h"

struct fixture {
  struct wwri_node node;
  uint64_t boots;
  char said[512];
};

static const struct wwri_server_id master = {.master = true, .replid = "aa"},
                                   other = {.master = true, .replid = "bb"};

static void say(struct wwri_node *node, const char *format, ...) {
  struct fixture *f = node->user;
  size_t len = strlen(f->said);
  va_list args;
  va_start(args, format);
  vsnprintf(f->said + len, sizeof f->said - len, format, args);
  va_end(args);
}

static void expect(struct fixture *f, const char *text) {
  if (strcmp(f->said, text) != 0) printf("said: %s\n", f->said);
  CU_ASSERT_STRING_EQUAL(f->said, text);
  f->said[0] = '\0';
}

static void on_call(struct wwri_node *node, const struct wwri_call *call) {
  static const char *const names[] = {"hello", "beat",  "publish",
                                      "open",  "range", "tops"};
  say(node, "%s", names[call->kind]);
  if (call->kind == WWRI_CALL_BEAT) say(node, "%u", (unsigned)call->n);
  if (call->kind == WWRI_CALL_TOPS) {
    say(node, "%u%s", (unsigned)call->channel_count, call->touch ? "t" : "");
  }
  say(node, " ");
}

static void on_subscribe(struct wwri_node *node, const struct wwr_view *name,
                         bool on) {
  say(node, "%s ", on ? "sub" : "unsub");
  if (name) say(node, "%.*s ", (int)name->len, (const char *)name->data);
}

static void on_reconnect(struct wwri_node *node, enum wwri_link link) {
  say(node, "reconnect%d ", (int)link);
}

static void on_event(struct wwri_node *node, enum wwri_node_event event) {
  static const char *const names[] = {"LIVE",      "DOWN",   "UNCERTAIN",
                                      "DATA_LOST", "FENCED", "REFUSED"};
  say(node, "%s ", names[event]);
}

static struct wwri_boot on_new_boot(struct wwri_node *node) {
  struct fixture *f = node->user;
  return (struct wwri_boot){1, ++f->boots};
}

static const struct wwri_node_out out = {on_call, on_subscribe, on_reconnect,
                                         on_event, on_new_boot};

static void on_joined(struct wwri_channel *channel, struct wwri_join *join,
                      struct wwri_logid from, const struct wwri_entry *history,
                      size_t count) {
  const struct wwri_node_channel *outer = channel->user;
  (void)join, (void)from, (void)history, (void)count;
  say(outer->owner, "joined ");
}

static const struct wwri_channel_sink sink = {.joined = on_joined};

static void begin(struct fixture *f) {
  struct wwri_node_config config;
  memset(f, 0, sizeof *f);
  f->boots = 1;
  wwri_node_config_default(&config);
  config.out = &out;
  config.channel.sink = &sink;
  wwri_node_init(&f->node, &config, (struct wwri_boot){1, 1}, f, 1000);
}

static void reply(struct fixture *f, enum wwri_status status,
                  const struct wwri_server_id *server, uint64_t generation,
                  uint64_t now_ms) {
  struct wwri_reply made = {
      .status = status, .generation = generation, .born = 1};
  if (server) made.server = *server;
  wwri_node_reply(&f->node, &made, now_ms);
  wwri_node_run(&f->node, now_ms);
}

static void heard(struct fixture *f, uint64_t n, uint64_t now_ms) {
  wwri_node_heard(&f->node, f->node.boot, n, f->node.generation, now_ms);
  wwri_node_run(&f->node, now_ms);
}

static void links_up(struct fixture *f, uint64_t now_ms) {
  wwri_node_link_up(&f->node, WWRI_LINK_COMMAND, NULL, now_ms);
  wwri_node_link_up(&f->node, WWRI_LINK_SUBSCRIBER, &master, now_ms);
  wwri_node_confirmed(&f->node);
}

static void begin_live(struct fixture *f) {
  begin(f);
  links_up(f, 1000);
  expect(f, "hello sub ");
  reply(f, WWRI_REPLY_OK, &master, 5, 1000);
  expect(f, "beat1 ");
  heard(f, 1, 1000); /* before its answer: both sockets were readable */
  reply(f, WWRI_REPLY_OK, &master, 5, 1001);
  expect(f, "LIVE ");
}

static void end(struct fixture *f) {
  wwri_node_deinit(&f->node);
}

static void only_a_beat_that_came_back_makes_a_pair(void) {
  struct fixture f;
  begin_live(&f);
  wwri_node_link_down(&f.node, WWRI_LINK_SUBSCRIBER, 1100);
  expect(&f, "DOWN ");
  wwri_node_link_up(&f.node, WWRI_LINK_SUBSCRIBER, &master, 1200);
  wwri_node_run(&f.node, 1200);
  heard(&f, 1, 1200); /* from before */
  wwri_node_confirmed(&f.node);
  heard(&f, 1, 1201);
  expect(&f, "sub beat2 ");
  wwri_node_heard(&f.node, f.node.boot, 2, 6, 1202); /* another generation */
  wwri_node_heard(&f.node, (struct wwri_boot){9, 9}, 2, 5, 1202);
  expect(&f, "");
  heard(&f, 2, 1203);
  expect(&f, "LIVE ");
  end(&f);
}

static void two_servers_are_no_pair(void) {
  struct fixture f;
  begin(&f);
  wwri_node_link_up(&f.node, WWRI_LINK_SUBSCRIBER, &other, 1000);
  wwri_node_link_up(&f.node, WWRI_LINK_COMMAND, NULL, 1000);
  reply(&f, WWRI_REPLY_OK, &master, 5, 1000);
  expect(&f, "sub hello reconnect0 reconnect1 ");
  struct wwri_server_id replica = {.replid = "aa"};
  wwri_node_link_up(&f.node, WWRI_LINK_SUBSCRIBER, &replica, 1000);
  expect(&f, "reconnect1 ");
  wwri_node_link_up(&f.node, WWRI_LINK_COMMAND, NULL, 1000);
  reply(&f, WWRI_REPLY_OK, &replica, 5, 1000);
  expect(&f, "hello reconnect0 reconnect1 ");
  end(&f);
}

static void silence_ends_a_pair(void) {
  struct fixture f;
  begin_live(&f);
  for (uint64_t now = 2000; now < 4000; now += 100) {
    wwri_node_run(&f.node, now);
  }
  expect(&f, "beat2 "); /* one at a time, and no answer */
  CU_ASSERT_TRUE(f.node.suspect);
  wwri_node_run(&f.node, 4000);
  expect(&f, "DOWN reconnect0 reconnect1 ");
  end(&f);
}

static void a_new_generation_is_uncertain(void) {
  struct fixture f;
  begin_live(&f);
  wwri_node_run(&f.node, 2000);
  reply(&f, WWRI_REPLY_OK, &master, 6, 2000);
  expect(&f, "beat2 DOWN reconnect0 reconnect1 ");
  links_up(&f, 2100);
  reply(&f, WWRI_REPLY_OK, &master, 6, 2100);
  expect(&f, "hello sub UNCERTAIN beat3 ");
  end(&f);
}

static void whoever_was_missed_takes_a_new_boot(void) {
  const enum wwri_status statuses[] = {WWRI_REPLY_FENCED, WWRI_REPLY_CLONE};
  for (int i = 0; i < 2; i++) {
    struct fixture f;
    begin_live(&f);
    wwri_node_run(&f.node, 2000);
    reply(&f, statuses[i], &master, 5, 2000);
    expect(&f, "beat2 FENCED DOWN reconnect0 reconnect1 ");
    CU_ASSERT_EQUAL(f.node.boot.lo, 2);
    links_up(&f, 2100);
    reply(&f, WWRI_REPLY_OK, &master, 5, 2100);
    expect(&f, "hello sub beat1 ");
    end(&f);
  }
}

static void a_long_sleep_is_noticed_first(void) {
  struct fixture f;
  begin_live(&f);
  wwri_node_run(&f.node, 40000);
  expect(&f, "DOWN reconnect0 reconnect1 ");
  end(&f);
}

static void other_settings_may_not_join(void) {
  struct fixture f;
  begin(&f);
  links_up(&f, 1000);
  reply(&f, WWRI_REPLY_DISAGREE, &master, 0, 1000);
  expect(&f, "hello sub REFUSED reconnect0 reconnect1 ");
  end(&f);
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
  for (unsigned i = 0; i < MANY; i++) wwri_node_confirmed(&f.node);
  f.said[0] = '\0';
  wwri_node_run(&f.node, 1100);
  expect(&f, "open open open open open open open open ");
  for (unsigned i = 0; i < MANY; i++) {
    struct wwri_reply top = {.pos = {.id = {7, 0}}};
    wwri_node_reply(&f.node, &top, 1200);
    wwri_node_run(&f.node, 1200);
    CU_ASSERT_TRUE(f.node.reads <= 8);
  }
  f.said[0] = '\0';
  wwri_node_run(&f.node, 2100);
  expect(&f, "beat2 tops20 "); /* one second after the pair was made */
  wwri_node_link_down(&f.node, WWRI_LINK_COMMAND, 2200);
  CU_ASSERT_EQUAL(f.node.tops_sent_count, 0);
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
    expect(&f, failed ? "" : "sub c ");
    end(&f);
    if (!failed) break;
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"only_a_beat_that_came_back_makes_a_pair",
       only_a_beat_that_came_back_makes_a_pair},
      {"two_servers_are_no_pair", two_servers_are_no_pair},
      {"silence_ends_a_pair", silence_ends_a_pair},
      {"a_new_generation_is_uncertain", a_new_generation_is_uncertain},
      {"whoever_was_missed_takes_a_new_boot",
       whoever_was_missed_takes_a_new_boot},
      {"a_long_sleep_is_noticed_first", a_long_sleep_is_noticed_first},
      {"other_settings_may_not_join", other_settings_may_not_join},
      {"reads_are_few_and_audits_are_batched",
       reads_are_few_and_audits_are_batched},
      {"memory_may_be_short", memory_may_be_short},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"node", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
