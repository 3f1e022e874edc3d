/* The local bus. What happens is written down as text: "+name=payload@offset"
 * delivered, "ok", "error-name", "[a b]" history. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "said.h"
#include "test.h"

static const struct wwri_boot own = {1, 2};

struct fixture {
  struct wwr_bus *bus;
  struct wwri_bus_config config;
  struct wwri_bus_sub sub;
  unsigned wakes;
  struct said said;
};

static struct said *said_of(void *user) {
  return &((struct fixture *)user)->said;
}

static void on_wake(void *owner) {
  ((struct fixture *)owner)->wakes++;
}

static void on_direct(void *owner, struct wwr_view topic,
                      struct wwr_view bytes) {
  said_add(said_of(owner), "direct %.*s=%.*s ", (int)topic.len,
           (const char *)topic.data, (int)bytes.len, (const char *)bytes.data);
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  said_add(said_of(owner), "control %.*s=%.*s ", (int)topic.len,
           (const char *)topic.data, (int)bytes.len, (const char *)bytes.data);
}

static const struct wwri_bus_events events = {
    .wake = on_wake, .direct = on_direct, .control = on_control};

static void on_deliver(struct wwri_bus_sub *sub,
                       const struct wwri_bus_message *message) {
  struct wwr_view data = message->payload.data;
  said_add(said_of(sub->user), "+%.*s=%.*s@%u ", (int)message->name.len,
           (const char *)message->name.data, (int)data.len,
           (const char *)data.data, (unsigned)message->id.offset);
}

static void on_done(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  struct fixture *f = op->user;
  said_add(&f->said, "%s ", wwr_err_name(result->err));
  for (size_t i = 0; i < result->message_count; i++) {
    struct wwr_view data = result->messages[i].payload.data;
    said_add(&f->said, "[%.*s]", (int)data.len, (const char *)data.data);
  }
  for (size_t i = 0; i < result->member_count; i++) {
    const struct wwri_bus_member *member = &result->members[i];
    said_add(&f->said, "<%.*s %u %.*s>", (int)member->member.len,
             (const char *)member->member.data, member->connections,
             (int)member->info.len, (const char *)member->info.data);
  }
  if (result->connections)
    said_add(&f->said, "of %u ", (unsigned)result->connections);
  for (size_t i = 0; i < result->node_count; i++) {
    const struct wwri_bus_node *node = &result->nodes[i];
    CU_ASSERT_TRUE(strlen(node->name) > 0);
    CU_ASSERT_STRING_EQUAL(node->version, wwr_version());
    said_add(&f->said, "{%s %u %u%s}", node->address,
             (unsigned)node->started_ms, (unsigned)node->connections,
             node->draining ? " draining" : "");
  }
  free(op);
}

static struct wwri_bus_op *op(struct fixture *f) {
  struct wwri_bus_op *made = calloc(1, sizeof *made);
  CU_ASSERT_PTR_NOT_NULL_FATAL(made);
  made->done = on_done;
  made->user = f;
  return made;
}

/* Operations that were refused were never the bus's. */
static wwr_err called(wwr_err err, struct wwri_bus_op *made) {
  if (err) free(made);
  return err;
}

static wwr_err subscribe(struct fixture *f, struct wwri_bus_sub *sub,
                         uint32_t history) {
  struct wwri_bus_op *made = op(f);
  sub->deliver = on_deliver;
  sub->user = f;
  return called(
      f->bus->ops->subscribe(f->bus, wwr_view_str("room"), sub, history, made),
      made);
}

static wwr_err publish_limited(struct fixture *f, const char *text,
                               uint32_t entries, uint32_t age_ms) {
  struct wwri_bus_op *made = op(f);
  struct wwri_bus_publish what = {.name = wwr_view_str("n"),
                                  .payload = wwr_payload_text(text),
                                  .limit = {entries, age_ms}};
  return called(f->bus->ops->publish(f->bus, wwr_view_str("room"), &what, made),
                made);
}

static wwr_err publish(struct fixture *f, const char *text) {
  return publish_limited(f, text, 3, 1000);
}

static wwr_err history(struct fixture *f, uint32_t count) {
  struct wwri_bus_op *made = op(f);
  return called(f->bus->ops->history(f->bus, wwr_view_str("room"), count, made),
                made);
}

static void run(struct fixture *f, uint64_t now_ms) {
  f->bus->ops->run(f->bus, now_ms);
}

static void begin(struct fixture *f) {
  memset(f, 0, sizeof *f);
  CU_ASSERT_EQUAL_FATAL(wwri_localbus_new(&f->bus, own), WWR_OK);
  wwri_bus_config_default(&f->config);
  f->config.events = &events;
  f->config.owner = f;
  f->config.address = "here:1";
  f->config.max_payload_bytes = 10;
  CU_ASSERT_EQUAL_FATAL(f->bus->ops->open(f->bus, &f->config, 100), WWR_OK);
}

static void end(struct fixture *f) {
  f->bus->ops->close(f->bus);
  f->bus->ops->free(f->bus);
}

static void calls_are_carried_out_in_their_order(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish(&f, "a"), WWR_OK);
  CU_ASSERT_EQUAL(subscribe(&f, &f.sub, 5), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "b"), WWR_OK);
  said_expect(&f.said, ""); /* nothing from inside a call */
  CU_ASSERT_EQUAL(f.wakes, 1);
  run(&f, 200);
  said_expect(&f.said, "ok ok [a]+n=b@2 ok ");
  CU_ASSERT_EQUAL(publish(&f, "c"), WWR_OK);
  CU_ASSERT_EQUAL(f.wakes, 2);
  run(&f, 201);
  said_expect(&f.said, "+n=c@3 ok ");
  end(&f);
}

static uint64_t channels(struct fixture *f) {
  struct wwri_bus_state state;
  f->bus->ops->state(f->bus, &state);
  return state.channels;
}

static void the_log_is_bounded_by_count_and_age(void) {
  struct fixture f;
  begin(&f);
  const char *const texts[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) CU_ASSERT_EQUAL(publish(&f, texts[i]), WWR_OK);
  CU_ASSERT_EQUAL(history(&f, 10), WWR_OK);
  CU_ASSERT_EQUAL(history(&f, 2), WWR_OK);
  run(&f, 500);
  said_expect(&f.said, "ok ok ok ok ok [b][c][d]ok [c][d]");
  CU_ASSERT_EQUAL(publish(&f, "e"), WWR_OK);
  run(&f, 900);
  CU_ASSERT_EQUAL(history(&f, 10), WWR_OK);
  run(&f, 1500); /* c and d are a second old */
  said_expect(&f.said, "ok ok [e]");
  CU_ASSERT_EQUAL(channels(&f), 1);
  run(&f, 5000);
  CU_ASSERT_EQUAL(channels(&f), 0);
  end(&f);
}

static void the_last_publish_sets_the_limit(void) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < 30; i++) {
    CU_ASSERT_EQUAL(publish_limited(&f, "x", 30, 1000), WWR_OK);
  }
  CU_ASSERT_EQUAL(publish_limited(&f, "y", 2, 5000), WWR_OK);
  run(&f, 200);
  f.said.text[0] = '\0';
  CU_ASSERT_EQUAL(history(&f, 10), WWR_OK);
  run(&f, 4000);
  said_expect(&f.said, "ok [x][y]");
  CU_ASSERT_EQUAL(publish_limited(&f, "z", 3, 1000), WWR_OK);
  CU_ASSERT_EQUAL(history(&f, 10), WWR_OK);
  run(&f, 4000);
  said_expect(&f.said, "ok ok [z]");
  end(&f);
}

static void what_is_not_logged_leaves_nothing(void) {
  struct fixture f;
  begin(&f);
  CU_ASSERT_EQUAL(publish_limited(&f, "a", 0, 0), WWR_OK);
  run(&f, 200);
  CU_ASSERT_EQUAL(channels(&f), 0);
  CU_ASSERT_EQUAL(subscribe(&f, &f.sub, 9), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "b"), WWR_OK);
  CU_ASSERT_EQUAL(publish_limited(&f, "c", 0, 0), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "d"), WWR_OK);
  CU_ASSERT_EQUAL(history(&f, 9), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "ok ok +n=b@1 ok +n=c@0 ok +n=d@2 ok ok [b][d]");
  end(&f);
}

static void all_logs_together_are_bounded(void) {
  struct fixture f;
  begin(&f);
  f.bus->ops->close(f.bus);
  f.bus->ops->free(f.bus);
  CU_ASSERT_EQUAL_FATAL(wwri_localbus_new(&f.bus, own), WWR_OK);
  f.config.max_log_bytes = 5000;
  CU_ASSERT_EQUAL_FATAL(f.bus->ops->open(f.bus, &f.config, 100), WWR_OK);
  CU_ASSERT_EQUAL(publish_limited(&f, "old", 1000, 1000), WWR_OK);
  for (int i = 0; i < 100; i++) {
    struct wwri_bus_publish what = {.payload = wwr_payload_text("x"),
                                    .limit = {1000, 1000}};
    CU_ASSERT_EQUAL(
        f.bus->ops->publish(f.bus, wwr_view_str("other"), &what, op(&f)),
        WWR_OK);
  }
  CU_ASSERT_EQUAL(history(&f, 10), WWR_OK);
  run(&f, 200);
  CU_ASSERT_PTR_NULL(strstr(f.said.text, "old"));
  f.said.text[0] = '\0';
  CU_ASSERT_EQUAL(
      f.bus->ops->history(f.bus, wwr_view_str("other"), 200, op(&f)), WWR_OK);
  run(&f, 200);
  size_t kept = (strlen(f.said.text) - strlen("ok ")) / strlen("[x]");
  CU_ASSERT_TRUE(kept > 5 && kept < 50);
  end(&f);
}

static void a_clock_that_steps_back_ages_nothing_twice(void) {
  struct fixture f;
  begin(&f);
  run(&f, 1000000);
  CU_ASSERT_EQUAL(publish(&f, "a"), WWR_OK);
  run(&f, 500);
  CU_ASSERT_EQUAL(history(&f, 1), WWR_OK);
  run(&f, 1400);
  said_expect(&f.said, "ok ok [a]");
  CU_ASSERT_EQUAL(history(&f, 1), WWR_OK);
  run(&f, 1500);
  said_expect(&f.said, "ok ");
  end(&f);
}

static void after_unsubscribe_nothing_is_delivered(void) {
  struct fixture f;
  struct wwri_bus_sub second = {0};
  begin(&f);
  CU_ASSERT_EQUAL(subscribe(&f, &f.sub, 0), WWR_OK);
  CU_ASSERT_EQUAL(subscribe(&f, &second, 0), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "a"), WWR_OK);
  struct wwri_bus_op *leave = op(&f), *join = op(&f);
  CU_ASSERT_EQUAL(f.bus->ops->unsubscribe(f.bus, &second, leave), WWR_OK);
  CU_ASSERT_EQUAL(f.bus->ops->join(f.bus, &second, 1, join), WWR_OK);
  CU_ASSERT_EQUAL(publish(&f, "b"), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "ok ok +n=a@1 +n=a@1 ok ok closed +n=b@2 ok ");
  join = op(&f);
  CU_ASSERT_EQUAL(f.bus->ops->join(f.bus, &f.sub, 2, join), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "ok [a][b]");
  end(&f);
}

static void set_member(struct fixture *f, const char *member, const char *info,
                       uint32_t connections) {
  struct wwri_bus_member what = {wwr_view_str(member), wwr_view_str(info),
                                 connections};
  CU_ASSERT_EQUAL(
      f->bus->ops->presence_set(f->bus, wwr_view_str("room"), &what, op(f)),
      WWR_OK);
}

static void members_are_counted(void) {
  struct fixture f;
  struct wwr_view room = wwr_view_str("room");
  begin(&f);
  set_member(&f, "ann", "x", 1);
  set_member(&f, "", "", 4);
  set_member(&f, "bob", "", 2);
  CU_ASSERT_EQUAL(f.bus->ops->subscribers(f.bus, room, op(&f)), WWR_OK);
  set_member(&f, "ann", "y", 3);
  set_member(&f, "ann", "z", 3);
  set_member(&f, "bob", "", 0);
  set_member(&f, "eve", "", 0);
  CU_ASSERT_EQUAL(f.bus->ops->presence_list(f.bus, room, op(&f)), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "ok ok ok ok of 7 ok ok ok ok ok <ann 3 z>< 4 >of 7 ");
  set_member(&f, "ann", "", 0);
  set_member(&f, "", "", 0);
  CU_ASSERT_EQUAL(f.bus->ops->subscribers(f.bus, room, op(&f)), WWR_OK);
  run(&f, 400);
  said_expect(&f.said, "ok ok ok ");
  CU_ASSERT_EQUAL(channels(&f), 0);
  end(&f);
}

static void the_node_is_this_process(void) {
  struct fixture f;
  begin(&f);
  f.bus->ops->load(f.bus, 17, true);
  CU_ASSERT_EQUAL(f.bus->ops->nodes(f.bus, op(&f)), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "ok {here:1 100 17 draining}");
  end(&f);
}

static void nodes_are_told(void) {
  struct fixture f;
  struct wwr_view topic = wwr_view_str("t"), bytes = wwr_view_str("b");
  struct wwri_boot other = {9, 9}, boot;
  begin(&f);
  CU_ASSERT_EQUAL(f.bus->ops->send(f.bus, own, topic, bytes, op(&f)), WWR_OK);
  CU_ASSERT_EQUAL(f.bus->ops->send(f.bus, other, topic, bytes, op(&f)), WWR_OK);
  CU_ASSERT_EQUAL(f.bus->ops->control(f.bus, topic, bytes, op(&f)), WWR_OK);
  run(&f, 200);
  said_expect(&f.said, "direct t=b ok refused control t=b ok ");
  CU_ASSERT_EQUAL(f.bus->ops->boots(f.bus, &boot, 1), 1);
  CU_ASSERT_TRUE(wwri_boot_equal(boot, own));
  CU_ASSERT_EQUAL(f.bus->ops->shards(f.bus, NULL, 0), 0);
  end(&f);
}

static void bad_calls_are_refused_at_once(void) {
  struct fixture f;
  begin(&f);
  struct wwri_bus_publish what = {.name = wwr_view_str("n"),
                                  .payload = wwr_payload_text("x")};
  struct wwri_bus_op unused = {0};
  const struct wwri_bus_ops *ops = f.bus->ops;
  CU_ASSERT_EQUAL(ops->publish(f.bus, wwr_view_str("!ctl"), &what, &unused),
                  WWR_E_INVALID);
  CU_ASSERT_EQUAL(ops->history(f.bus, wwr_view_str(""), 1, &unused),
                  WWR_E_INVALID);
  what.payload = wwr_payload_text("eleven byte");
  CU_ASSERT_EQUAL(ops->publish(f.bus, wwr_view_str("room"), &what, &unused),
                  WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(ops->open(f.bus, &f.config, 1), WWR_E_INVALID);
  run(&f, 200);
  said_expect(&f.said, "");
  end(&f);
}

static void the_queue_is_bounded_and_close_ends_it(void) {
  struct fixture f;
  begin(&f);
  unsigned accepted = 0;
  wwri_list_init(&f.sub.node);
  while (accepted < 1000000 && publish(&f, "0123456789") == WWR_OK) {
    f.said.text[0] = '\0';
    accepted++;
  }
  CU_ASSERT_TRUE(accepted > 1000 && accepted < 1000000);
  CU_ASSERT_EQUAL(publish(&f, "0123456789"), WWR_E_LIMIT);
  CU_ASSERT_EQUAL(f.bus->ops->unsubscribe(f.bus, &f.sub, op(&f)), WWR_OK);
  run(&f, 200);
  f.said.text[0] = '\0';
  CU_ASSERT_EQUAL(publish(&f, "x"), WWR_OK);
  CU_ASSERT_EQUAL(subscribe(&f, &f.sub, 0), WWR_OK);
  f.bus->ops->close(f.bus);
  said_expect(&f.said, "closed closed ");
  CU_ASSERT_EQUAL(publish(&f, "x"), WWR_E_CLOSED);
  end(&f);
}

enum { CALLS = 5 };

static void call_all(struct fixture *f, struct wwri_bus_op *ops[CALLS],
                     wwr_err errs[CALLS]) {
  const struct wwri_bus_ops *bus = f->bus->ops;
  struct wwr_view room = wwr_view_str("room");
  struct wwri_bus_publish what = {.name = wwr_view_str("n"),
                                  .payload = wwr_payload_text("x"),
                                  .limit = {3, 1000}};
  struct wwri_bus_member ann = {wwr_view_str("ann"), wwr_view_str("i"), 1};
  errs[0] = bus->subscribe(f->bus, room, &f->sub, 3, ops[0]);
  errs[1] = bus->publish(f->bus, room, &what, ops[1]);
  errs[2] = bus->history(f->bus, room, 3, ops[2]);
  errs[3] = bus->presence_set(f->bus, room, &ann, ops[3]);
  errs[4] = bus->presence_list(f->bus, room, ops[4]);
}

static void every_allocation_may_fail(void) {
  for (long n = 0;; n++) {
    struct fixture f;
    begin(&f);
    struct wwri_bus_op *ops[CALLS];
    wwr_err errs[CALLS];
    for (int i = 0; i < CALLS; i++) ops[i] = op(&f);
    f.sub.deliver = on_deliver;
    f.sub.user = &f;
    test_alloc_fail_at(n);
    call_all(&f, ops, errs);
    run(&f, 200);
    bool failed = test_alloc_failed();
    for (int i = 0; i < CALLS; i++) {
      CU_ASSERT_TRUE(errs[i] == WWR_OK || (failed && errs[i] == WWR_E_NOMEM));
      if (errs[i]) free(ops[i]);
    }
    if (!failed)
      said_expect(&f.said, "ok +n=x@1 ok ok [x]ok ok <ann 1 i>of 1 ");
    end(&f);
    if (!failed) break;
  }
  struct wwr_bus *none = NULL;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_localbus_new(&none, own), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
}

enum { THREADS = 3, EACH = 300 };

static void count_wake(void *owner) {
  (void)owner;
}

static void *publish_many(void *arg) {
  struct fixture *f = arg;
  for (int i = 0; i < EACH; i++) {
    if (publish(f, "x") != WWR_OK) return f;
  }
  return NULL;
}

static void any_thread_may_call(void) {
  static const struct wwri_bus_events quiet = {.wake = count_wake};
  struct fixture f;
  pthread_t threads[THREADS];
  memset(&f, 0, sizeof f);
  CU_ASSERT_EQUAL_FATAL(wwri_localbus_new(&f.bus, own), WWR_OK);
  wwri_bus_config_default(&f.config);
  f.config.events = &quiet;
  CU_ASSERT_EQUAL(f.bus->ops->open(f.bus, &f.config, 100), WWR_OK);
  for (int i = 0; i < THREADS; i++) {
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, publish_many, &f),
                          0);
  }
  struct wwri_bus_state state = {0};
  for (int i = 0; i < 100; i++) run(&f, 200);
  for (int i = 0; i < THREADS; i++) {
    void *failed = &f;
    pthread_join(threads[i], &failed);
    CU_ASSERT_PTR_NULL(failed);
  }
  run(&f, 200);
  f.bus->ops->state(f.bus, &state);
  CU_ASSERT_EQUAL(state.published, THREADS * EACH);
  end(&f);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"calls_are_carried_out_in_their_order",
       calls_are_carried_out_in_their_order},
      {"the_log_is_bounded_by_count_and_age",
       the_log_is_bounded_by_count_and_age},
      {"the_last_publish_sets_the_limit", the_last_publish_sets_the_limit},
      {"what_is_not_logged_leaves_nothing", what_is_not_logged_leaves_nothing},
      {"all_logs_together_are_bounded", all_logs_together_are_bounded},
      {"a_clock_that_steps_back_ages_nothing_twice",
       a_clock_that_steps_back_ages_nothing_twice},
      {"after_unsubscribe_nothing_is_delivered",
       after_unsubscribe_nothing_is_delivered},
      {"members_are_counted", members_are_counted},
      {"the_node_is_this_process", the_node_is_this_process},
      {"nodes_are_told", nodes_are_told},
      {"bad_calls_are_refused_at_once", bad_calls_are_refused_at_once},
      {"the_queue_is_bounded_and_close_ends_it",
       the_queue_is_bounded_and_close_ends_it},
      {"every_allocation_may_fail", every_allocation_may_fail},
      {"any_thread_may_call", any_thread_may_call},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"local", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
